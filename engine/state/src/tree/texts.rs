//! Names and data of znodes: in cells of few sizes, which lie in chunks of equal ones. An allocation each would take 8 bytes
//! more and 8 for a wider pointer, and be rounded up to 16. A chunk in which nothing is left goes back to the allocator, or
//! to texts of another size. What is longer than a cell has an allocation of its own.

use super::slab::NONE;
use std::collections::BTreeSet;

/// Sizes of cells are multiples of it, from twice that on.
const STEP: usize = 8;
/// The largest cell.
const CELL_BYTES_MAX: usize = 512;
/// How many sizes there are.
const SIZES: usize = CELL_BYTES_MAX / STEP - 1;
const CHUNK_BYTES: usize = 64 << 10;
/// Bits of a cell's number that say which one of its chunk's it is.
const CELL_BITS: u32 = 12;
/// No cell of a chunk.
const NO_CELL: u16 = u16::MAX;

const _: () = assert!(CHUNK_BYTES / (2 * STEP) <= 1 << CELL_BITS && 1 << CELL_BITS < NO_CELL as usize);

/// Cells of one size, side by side. One that is free has the number of the next free one in its first two bytes.
#[derive(Clone, Debug)]
struct Chunk {
    bytes: Box<[u8]>,
    free: u16,
    /// Cells from here on were never taken.
    fresh: u16,
    taken: u16,
}

impl Chunk {
    fn new(bytes: usize) -> Chunk {
        Chunk { bytes: vec![0; bytes].into_boxed_slice(), free: NO_CELL, fresh: 0, taken: 0 }
    }

    fn cell(&self, at: u16, size: usize) -> &[u8] {
        &self.bytes[usize::from(at) * size..][..size]
    }

    fn cell_mut(&mut self, at: u16, size: usize) -> &mut [u8] {
        &mut self.bytes[usize::from(at) * size..][..size]
    }
}

/// All texts, by the numbers of their cells; each is told with its length. That of no bytes has no cell.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    chunks: Vec<Chunk>,
    /// Chunks that have none.
    empty: Vec<u32>,
    /// Chunks of each size that have free cells.
    with_room: Vec<BTreeSet<u32>>,
    /// What is longer than a cell, and places there that are free.
    long: Vec<Box<[u8]>>,
    long_free: Vec<u32>,
}

/// Which size a text of so many bytes has.
fn size_for(len: usize) -> usize {
    len.div_ceil(STEP).max(2) - 2
}

/// Bytes of a cell of this size.
fn bytes_of(size: usize) -> usize {
    (size + 2) * STEP
}

/// What a text of so many bytes takes in memory.
pub(super) fn allocated(len: usize) -> usize {
    match len {
        0 => 0,
        1..=CELL_BYTES_MAX => bytes_of(size_for(len)),
        // What an allocator adds: 8 bytes, in steps of 16.
        _ => size_of::<Box<[u8]>>() + (len + 8).next_multiple_of(16),
    }
}

/// True if a text of so many bytes can stay where one of so many was.
pub(super) fn fits(before: usize, now: usize) -> bool {
    let is_cell = |len: usize| (1..=CELL_BYTES_MAX).contains(&len);
    before == now || is_cell(before) && is_cell(now) && size_for(before) == size_for(now)
}

fn chunk_and_cell(cell: u32) -> (usize, u16) {
    ((cell >> CELL_BITS) as usize, (cell & ((1 << CELL_BITS) - 1)) as u16)
}

impl Texts {
    pub(super) fn new() -> Texts {
        Texts {
            chunks: Vec::new(),
            empty: Vec::new(),
            with_room: vec![BTreeSet::new(); SIZES],
            long: Vec::new(),
            long_free: Vec::new(),
        }
    }

    /// A cell for a text of so many bytes, whatever is in it.
    pub(super) fn take(&mut self, len: usize) -> u32 {
        match len {
            0 => NONE,
            1..=CELL_BYTES_MAX => self.take_cell(size_for(len)),
            _ => {
                let text = vec![0; len].into_boxed_slice();
                let place = self.long_free.pop().unwrap_or(self.long.len() as u32);
                match self.long.get_mut(place as usize) {
                    Some(free) => *free = text,
                    None => self.long.push(text),
                }
                place
            }
        }
    }

    fn take_cell(&mut self, size: usize) -> u32 {
        let number = self.with_room[size].first().copied().unwrap_or_else(|| self.make_chunk(size));
        let (bytes, chunk) = (bytes_of(size), &mut self.chunks[number as usize]);
        let at = chunk.free;
        let at = if at == NO_CELL {
            chunk.fresh += 1;
            chunk.fresh - 1
        } else {
            let [low, high, ..] = *chunk.cell(at, bytes) else { unreachable!("cells have 16 bytes") };
            chunk.free = u16::from_le_bytes([low, high]);
            at
        };
        chunk.taken += 1;
        if usize::from(chunk.taken) == CHUNK_BYTES / bytes {
            self.with_room[size].remove(&number);
        }
        number << CELL_BITS | u32::from(at)
    }

    fn make_chunk(&mut self, size: usize) -> u32 {
        let chunk = Chunk::new(CHUNK_BYTES / bytes_of(size) * bytes_of(size));
        let number = self.empty.pop().unwrap_or(self.chunks.len() as u32);
        match self.chunks.get_mut(number as usize) {
            Some(empty) => *empty = chunk,
            None => self.chunks.push(chunk),
        }
        assert!(number < 1 << (u32::BITS - CELL_BITS), "64 GiB of texts");
        self.with_room[size].insert(number);
        number
    }

    /// The cell of a text of so many bytes is free.
    pub(super) fn give_back(&mut self, cell: u32, len: usize) {
        match len {
            0 => {}
            1..=CELL_BYTES_MAX => self.give_cell_back(cell, size_for(len)),
            _ => {
                self.long[cell as usize] = Box::default();
                self.long_free.push(cell);
            }
        }
    }

    fn give_cell_back(&mut self, cell: u32, size: usize) {
        let (number, at) = chunk_and_cell(cell);
        let (bytes, chunk) = (bytes_of(size), &mut self.chunks[number]);
        let next = std::mem::replace(&mut chunk.free, at);
        chunk.cell_mut(at, bytes)[..2].copy_from_slice(&next.to_le_bytes());
        let was_full = usize::from(chunk.taken) == CHUNK_BYTES / bytes;
        chunk.taken -= 1;
        let with_room = &mut self.with_room[size];
        if was_full {
            with_room.insert(number as u32);
        }
        // One of each size stays, or a single text that comes and goes would make a chunk each time.
        if chunk.taken == 0 && with_room.len() > 1 {
            with_room.remove(&(number as u32));
            *chunk = Chunk::new(0);
            self.empty.push(number as u32);
        }
    }

    pub(super) fn get(&self, cell: u32, len: usize) -> &[u8] {
        match len {
            0 => &[],
            1..=CELL_BYTES_MAX => {
                let (number, at) = chunk_and_cell(cell);
                &self.chunks[number].cell(at, bytes_of(size_for(len)))[..len]
            }
            _ => &self.long[cell as usize],
        }
    }

    pub(super) fn get_mut(&mut self, cell: u32, len: usize) -> &mut [u8] {
        match len {
            0 => &mut [],
            1..=CELL_BYTES_MAX => {
                let (number, at) = chunk_and_cell(cell);
                &mut self.chunks[number].cell_mut(at, bytes_of(size_for(len)))[..len]
            }
            _ => &mut self.long[cell as usize],
        }
    }

    /// Bytes that are with the allocator.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| chunk.bytes.len());
        chunks.chain(self.long.iter().map(|text| text.len())).sum()
    }
}

#[cfg(test)]
#[path = "texts_tests.rs"]
mod tests;
