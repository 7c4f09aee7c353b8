//! Pooled, page-aligned memory, handed out as slices.
//!
//! A [`BufMut`] owns a range of a block alone and may write it; [`BufMut::freeze`] turns it into a [`Buf`], which can
//! be cloned and sliced but never written again. Both may cross threads. A block goes back to its pool when the last
//! slice of it is gone, on whichever thread that is. [`Pages`] names whole pages of a block for the kernel to read,
//! including neighbours' bytes; it gives no access to them in Rust.

use crate::limits::PAGE;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Size classes: four to each doubling, from one page to more than the largest frame.
const CLASSES: usize = 80;

/// A bounded source of aligned buffers. Clones share the bound.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    /// Bytes that may be out at once.
    limit: usize,
    /// Bytes of returned blocks that are kept for reuse.
    keep: usize,
    used: AtomicUsize,
    kept: AtomicUsize,
    /// Returned blocks by size class; no lists where none are kept.
    free: Box<[Mutex<Vec<Memory>>]>,
    /// Memory whose pieces are blocks that are never freed singly. Declared last, so dropped after them.
    arena: Option<Memory>,
}

/// The owner of one allocation, or of a piece of its pool's arena. Not `Clone`: whoever holds it may free it.
struct Memory {
    start: NonNull<u8>,
    bytes: usize,
    /// Bytes of the allocation in front of `start`; more than 0 only from [`LAZY_BYTES`] on.
    before: usize,
    /// A piece of the arena, which goes back to its pool and is freed with the whole.
    piece: bool,
}

// SAFETY: `Memory` is a uniquely owned allocation, like `Box<[u8]>`; nothing about it is tied to a thread.
unsafe impl Send for Memory {}
// SAFETY: a shared `Memory` tells where it lies, and gives no access to its bytes.
unsafe impl Sync for Memory {}

/// From this size on memory is zeroed by the kernel as it is first touched: asking for 100 MiB must cost nothing before
/// the bytes come. Allocators do so only for alignments that they give anyhow, so a page more is asked for.
const LAZY_BYTES: usize = 1 << 20;

impl Memory {
    fn layout(bytes: usize) -> Layout {
        let (bytes, align) = if bytes >= LAZY_BYTES { (bytes + PAGE, 16) } else { (bytes, PAGE) };
        Layout::from_size_align(bytes, align).expect("a class size is a multiple of the page")
    }

    fn allocate(bytes: usize) -> Memory {
        assert!(bytes > 0);
        let layout = Memory::layout(bytes);
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(start) else { handle_alloc_error(layout) };
        let before = base.align_offset(PAGE);
        assert!(before + bytes <= layout.size());
        // SAFETY: less than a page from the base, and with `bytes` behind it inside the allocation, as just checked.
        let start = unsafe { base.add(before) };
        Memory { start, bytes, before, piece: false }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.piece {
            return;
        }
        // SAFETY: allocated in `allocate` with this layout, `before` bytes in front of `start`, and owned by nobody else.
        unsafe { dealloc(self.start.sub(self.before).as_ptr(), Memory::layout(self.bytes)) }
    }
}

/// One block in use; shared by all slices of it.
struct Block {
    /// `None` only while it is dropped.
    memory: Option<Memory>,
    pool: Arc<Shared>,
}

// SAFETY: slices of a block touch disjoint ranges if any of them can write (see `BufMut`), so shared access from
// several threads never races.
unsafe impl Sync for Block {}

impl Block {
    fn memory(&self) -> &Memory {
        self.memory.as_ref().expect("present until drop")
    }

    fn at(&self, position: usize) -> *mut u8 {
        let memory = self.memory();
        debug_assert!(position <= memory.bytes);
        // SAFETY: `position` is at most the allocation's length; all callers hold ranges inside it.
        unsafe { memory.start.as_ptr().add(position) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.pool.put_back(memory);
        }
    }
}

/// The class whose size is the smallest that holds `bytes`.
fn class_of(bytes: usize) -> usize {
    let pages = bytes.div_ceil(PAGE).max(1);
    if pages <= 4 {
        return pages - 1;
    }
    // 4 classes to each doubling above four pages: (4 + q) * 2^k pages, q in 0..4.
    let k = (usize::BITS - 1 - (pages - 1).leading_zeros()) as usize - 2;
    let q = ((pages - 1) >> k) - 4 + 1;
    3 + k * 4 + q
}

/// Bytes of a block of `class`.
fn class_bytes(class: usize) -> usize {
    if class < 4 {
        return (class + 1) * PAGE;
    }
    let (k, q) = ((class - 3) / 4, (class - 3) % 4);
    PAGE * ((4 + q) << k)
}

impl Shared {
    fn lists() -> Box<[Mutex<Vec<Memory>>]> {
        (0..CLASSES).map(|_| Mutex::new(Vec::new())).collect()
    }

    fn put_back(&self, memory: Memory) {
        self.used.fetch_sub(memory.bytes, Ordering::Relaxed);
        if !memory.piece {
            if self.kept.load(Ordering::Relaxed) + memory.bytes > self.keep {
                return;
            }
            self.kept.fetch_add(memory.bytes, Ordering::Relaxed);
        }
        let class = class_of(memory.bytes);
        self.free[class].lock().unwrap_or_else(PoisonError::into_inner).push(memory);
    }
}

impl Pool {
    /// A pool of which at most `limit` bytes are out at once, and which keeps at most `keep` bytes for reuse.
    pub fn new(limit: usize, keep: usize) -> Pool {
        let free = if keep > 0 { Shared::lists() } else { Box::default() };
        let shared = Shared { limit, keep, used: AtomicUsize::new(0), kept: AtomicUsize::new(0), free, arena: None };
        Pool { shared: Arc::new(shared) }
    }

    /// A pool as [`Pool::new`] makes it, whose first `blocks` buffers of `block_bytes` lie in one piece of memory, the
    /// arena, which can be registered with the kernel. `block_bytes` must be a power of two of at least a page.
    pub fn with_arena(limit: usize, keep: usize, block_bytes: usize, blocks: usize) -> Pool {
        let class = class_of(block_bytes);
        assert!(block_bytes.is_power_of_two() && class_bytes(class) == block_bytes, "{block_bytes} is no block size");
        let arena = Memory::allocate(block_bytes * blocks);
        let pieces = (0..blocks).rev().map(|i| {
            // SAFETY: `i` blocks from the start is inside the arena.
            let start = unsafe { arena.start.add(i * block_bytes) };
            Memory { start, bytes: block_bytes, before: 0, piece: true }
        });
        let mut pool = Pool::new(limit, keep);
        let shared = Arc::get_mut(&mut pool.shared).expect("not shared yet");
        if keep == 0 {
            shared.free = Shared::lists();
        }
        shared.free[class].get_mut().unwrap_or_else(PoisonError::into_inner).extend(pieces);
        shared.arena = Some(arena);
        pool
    }

    /// Where the arena lies; `None` if the pool has none. Valid as long as the pool, a clone or a buffer of it lives.
    pub fn arena(&self) -> Option<(*const u8, usize)> {
        self.shared.arena.as_ref().map(|a| (a.start.as_ptr().cast_const(), a.bytes))
    }

    /// A buffer of exactly `bytes` bytes that starts on a page boundary; `None` when the pool is at its limit.
    /// Its content is whatever was there before, never another process's.
    pub fn take(&self, bytes: usize) -> Option<BufMut> {
        let class = class_of(bytes);
        assert!(class < CLASSES, "no pool hands out {bytes} bytes in one piece");
        let size = class_bytes(class);
        let used = self.shared.used.fetch_add(size, Ordering::Relaxed) + size;
        if used > self.shared.limit {
            self.shared.used.fetch_sub(size, Ordering::Relaxed);
            return None;
        }
        let list = self.shared.free.get(class);
        let kept = list.and_then(|free| free.lock().unwrap_or_else(PoisonError::into_inner).pop());
        let memory = match kept {
            Some(memory) => {
                if !memory.piece {
                    self.shared.kept.fetch_sub(size, Ordering::Relaxed);
                }
                memory
            }
            None => Memory::allocate(size),
        };
        let block = Block { memory: Some(memory), pool: Arc::clone(&self.shared) };
        Some(BufMut { block: Arc::new(block), start: 0, end: bytes })
    }

    /// Gives all memory back that is kept for reuse, the arena aside.
    pub fn trim(&self) {
        for class in &self.shared.free {
            let mut free = class.lock().unwrap_or_else(PoisonError::into_inner);
            free.retain(|memory| {
                if !memory.piece {
                    self.shared.kept.fetch_sub(memory.bytes, Ordering::Relaxed);
                }
                memory.piece
            });
        }
    }

    /// Bytes that are out.
    pub fn used(&self) -> usize {
        self.shared.used.load(Ordering::Relaxed)
    }

    /// Bytes that may be out.
    pub fn limit(&self) -> usize {
        self.shared.limit
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} of {} bytes)", self.used(), self.limit())
    }
}

/// A range of a block that nobody else can see. Invariant: no other slice of the block overlaps it.
pub struct BufMut {
    block: Arc<Block>,
    start: usize,
    end: usize,
}

impl BufMut {
    /// Cuts the first `at` bytes off and returns them; this one keeps the rest.
    pub fn split_to(&mut self, at: usize) -> BufMut {
        assert!(at <= self.len(), "split at {at} of {}", self.len());
        let head = BufMut { block: Arc::clone(&self.block), start: self.start, end: self.start + at };
        self.start += at;
        head
    }

    /// Forgets all bytes behind `len`.
    pub fn truncate(&mut self, len: usize) {
        assert!(len <= self.len(), "truncate to {len} of {}", self.len());
        self.end = self.start + len;
    }

    /// Bytes of memory that stay in use while this range lives.
    pub fn block_bytes(&self) -> usize {
        self.block.memory().bytes
    }

    /// A buffer of `bytes` bytes of the pool that this one is of; `None` when that is at its limit.
    pub fn another(&self, bytes: usize) -> Option<BufMut> {
        Pool { shared: Arc::clone(&self.block.pool) }.take(bytes)
    }

    /// Gives up writing.
    pub fn freeze(self) -> Buf {
        Buf { block: self.block, start: self.start, end: self.end }
    }

    /// True if the range starts on a page boundary, so that whole pages of it can be read from disk.
    pub fn is_aligned(&self) -> bool {
        self.start.is_multiple_of(PAGE)
    }

    /// Where the range lies, for the kernel to write into.
    pub fn as_raw(&mut self) -> (*mut u8, usize) {
        (self.block.at(self.start), self.end - self.start)
    }
}

impl Deref for BufMut {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the range lies inside the block, which lives as long as `self`; nobody else writes it.
        unsafe { std::slice::from_raw_parts(self.block.at(self.start), self.end - self.start) }
    }
}

impl DerefMut for BufMut {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and by the invariant nobody else reads or writes the range in Rust.
        unsafe { std::slice::from_raw_parts_mut(self.block.at(self.start), self.end - self.start) }
    }
}

impl fmt::Debug for BufMut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BufMut({} bytes)", self.len())
    }
}

/// Bytes that never change again. Clones and slices share the block.
#[derive(Clone)]
pub struct Buf {
    block: Arc<Block>,
    start: usize,
    end: usize,
}

impl Buf {
    /// A part of these bytes.
    pub fn slice(&self, range: Range<usize>) -> Buf {
        assert!(range.start <= range.end && range.end <= self.len(), "slice {range:?} of {}", self.len());
        Buf { block: Arc::clone(&self.block), start: self.start + range.start, end: self.start + range.end }
    }

    /// Copies `bytes` into a buffer outside any pool's bound. For replies and tests, not for the data path.
    pub fn copy_of(bytes: &[u8]) -> Buf {
        let pool = Pool::new(usize::MAX, 0);
        let mut buf = pool.take(bytes.len()).expect("no limit");
        buf.copy_from_slice(bytes);
        buf.freeze()
    }

    /// The whole pages that hold these bytes.
    pub fn pages(&self) -> Pages {
        let start = self.start / PAGE * PAGE;
        let end = self.end.next_multiple_of(PAGE);
        assert!(end <= self.block.memory().bytes);
        Pages { block: Arc::clone(&self.block), start, end }
    }

    /// Position of the first byte inside its first page.
    pub fn page_offset(&self) -> usize {
        self.start % PAGE
    }

    /// Bytes of memory that stay in use while this slice lives.
    pub fn block_bytes(&self) -> usize {
        self.block.memory().bytes
    }

    /// Appends `next` if it follows these bytes in the same block; false (and nothing done) if not.
    pub fn join(&mut self, next: &Buf) -> bool {
        let follows = Arc::ptr_eq(&self.block, &next.block) && self.end == next.start;
        if follows {
            self.end = next.end;
        }
        follows
    }
}

impl Deref for Buf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the range lies inside the block, which lives as long as `self`; frozen bytes are never written.
        unsafe { std::slice::from_raw_parts(self.block.at(self.start), self.end - self.start) }
    }
}

impl fmt::Debug for Buf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buf({} bytes)", self.len())
    }
}

/// Whole pages of a block, to be written to disk as they are. Holds the block, shows no bytes: parts of the pages may
/// belong to slices that are still written to.
#[derive(Clone)]
pub struct Pages {
    block: Arc<Block>,
    start: usize,
    end: usize,
}

impl Pages {
    /// Bytes, a multiple of the page.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Where the pages lie, for the kernel to read from.
    pub fn as_raw(&self) -> (*const u8, usize) {
        (self.block.at(self.start).cast_const(), self.len())
    }

    /// Takes `next` in if its pages overlap these or follow them, in the same block; false (and nothing done) if not.
    /// `next` must not start before these pages do.
    pub fn merge(&mut self, next: &Pages) -> bool {
        let joins = Arc::ptr_eq(&self.block, &next.block) && next.start >= self.start && next.start <= self.end;
        if joins {
            self.end = self.end.max(next.end);
        }
        joins
    }

    /// Position of `slice` in these pages, if they hold all of it.
    pub fn position_of(&self, slice: &Buf) -> Option<usize> {
        let inside = Arc::ptr_eq(&self.block, &slice.block) && slice.start >= self.start && slice.end <= self.end;
        inside.then(|| slice.start - self.start)
    }

    /// Copies the pages as a disk would take them, for the simulator's disk. Bytes of slices that somebody still
    /// writes come out old or new.
    pub fn copy_into(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.len());
        // SAFETY: both ranges are valid for their length and belong to different allocations. The simulator runs
        // every shard on one thread, so nobody writes while this copies.
        unsafe { std::ptr::copy_nonoverlapping(self.as_raw().0, out.as_mut_ptr(), out.len()) }
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pages({} bytes)", self.len())
    }
}
