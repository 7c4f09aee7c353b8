//! The provided-buffer ring: pooled blocks that the kernel receives into, each handed out whole and replaced.

use crate::ring::Ring;
use io_uring::types::BufRingEntry;
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};
use torc_base::buf::{BufMut, Pool};
use torc_base::limits::PAGE;

/// The one buffer group of a ring.
pub(crate) const GROUP: u16 = 0;

/// The ring that is shared with the kernel, and the blocks in it.
pub(crate) struct Provided {
    /// The entries; the kernel reads them, this writes them. Page-aligned, from a pool of its own.
    entries: BufMut,
    /// By buffer id; `None` while the pool was dry.
    slots: Vec<Option<BufMut>>,
    /// Ids whose slot is `None`.
    empty: Vec<u16>,
    tail: u16,
    pool: Pool,
    buf_bytes: usize,
}

impl Provided {
    /// Registers a ring of `count` buffers (a power of two) of `buf_bytes` each and fills it as far as `pool` allows.
    pub(crate) fn new(ring: &Ring, count: u16, buf_bytes: usize, pool: Pool) -> io::Result<Provided> {
        assert!(count.is_power_of_two() && count <= 32768, "{count} receive buffers are not a power of two");
        assert!(buf_bytes > 0 && buf_bytes.is_multiple_of(PAGE));
        let bytes = usize::from(count) * size_of::<BufRingEntry>();
        let mut entries = Pool::new(usize::MAX, 0).take(bytes).expect("no limit");
        entries.fill(0);
        let address = entries.as_raw().0 as u64;
        // SAFETY: the memory is page-aligned, holds `count` entries, and lives until `unregister`.
        unsafe { ring.submitter().register_buf_ring_with_flags(address, count, GROUP, 0) }?;
        let slots = (0..count).map(|_| None).collect();
        let empty = (0..count).rev().collect();
        let mut provided = Provided { entries, slots, empty, tail: 0, pool, buf_bytes };
        provided.refill();
        Ok(provided)
    }

    /// Bytes of one buffer.
    pub(crate) fn buf_bytes(&self) -> usize {
        self.buf_bytes
    }

    /// Buffers that the kernel has.
    pub(crate) fn available(&self) -> usize {
        self.slots.len() - self.empty.len()
    }

    /// Fills empty slots as long as the pool gives.
    pub(crate) fn refill(&mut self) {
        while let Some(&id) = self.empty.last() {
            let Some(buf) = self.pool.take(self.buf_bytes) else { return };
            self.empty.pop();
            self.offer(id, buf);
        }
    }

    /// Takes the buffer that the kernel has filled, cut to `len`, and puts a fresh one into its place if there is one.
    pub(crate) fn take(&mut self, id: u16, len: usize) -> BufMut {
        let mut buf = self.slots[usize::from(id)].take().expect("the kernel names buffers that it was given");
        self.empty.push(id);
        self.refill();
        buf.truncate(len);
        buf
    }

    /// Takes back a buffer that the kernel did not use.
    pub(crate) fn put_back(&mut self, id: u16) {
        let buf = self.slots[usize::from(id)].take().expect("the kernel names buffers that it was given");
        self.offer(id, buf);
    }

    fn offer(&mut self, id: u16, mut buf: BufMut) {
        let (address, len) = buf.as_raw();
        let position = usize::from(self.tail) & (self.slots.len() - 1);
        let base = self.entries.as_raw().0.cast::<BufRingEntry>();
        // SAFETY: `position` is below the number of entries, and the kernel does not read an entry before the tail
        // has passed it. The tail lies in the reserved field of entry 0, which the setters below leave alone.
        unsafe {
            let entry = &mut *base.add(position);
            entry.set_addr(address as u64);
            entry.set_len(len as u32);
            entry.set_bid(id);
        }
        self.slots[usize::from(id)] = Some(buf);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail is an aligned u16 inside the entries' memory; both sides use it atomically.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(base).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    /// Takes the ring from the kernel. Only when no receive is in flight.
    pub(crate) fn unregister(&self, ring: &Ring) -> io::Result<()> {
        ring.submitter().unregister_buf_ring(GROUP)
    }
}
