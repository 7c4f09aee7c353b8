//! Memory for small byte strings (answers, internal entries): many share a block, so that one costs no allocation.

use torc_base::buf::{Buf, BufMut, Pool};

/// One block.
const BLOCK: usize = 64 << 10;
/// A longer scratch is not kept.
const SCRATCH_KEPT: usize = 1 << 20;

/// Turns encoded bytes into buffers.
pub struct Packer {
    pool: Pool,
    current: Option<BufMut>,
    /// For encoders; see [`Packer::take_scratch`].
    pub scratch: Vec<u8>,
}

impl Packer {
    /// Blocks live until the last string in them is gone; users bound that, not the packer.
    pub fn new() -> Packer {
        Packer { pool: Pool::new(usize::MAX, 16 * BLOCK), current: None, scratch: Vec::new() }
    }

    /// A copy of `bytes`.
    pub fn put(&mut self, bytes: &[u8]) -> Buf {
        self.put_mut(bytes).freeze()
    }

    /// The same, that can still be changed.
    pub fn put_mut(&mut self, bytes: &[u8]) -> BufMut {
        let mut piece = match &mut self.current {
            _ if bytes.len() > BLOCK / 4 => self.take(bytes.len()),
            Some(current) if current.len() >= bytes.len() => current.split_to(bytes.len()),
            _ => {
                let mut block = self.take(BLOCK);
                let piece = block.split_to(bytes.len());
                self.current = Some(block);
                piece
            }
        };
        piece.copy_from_slice(bytes);
        piece
    }

    fn take(&self, bytes: usize) -> BufMut {
        self.pool.take(bytes).expect("the packer has no limit of its own")
    }

    /// What was encoded into the scratch, as one buffer.
    pub fn take_scratch(&mut self) -> Buf {
        let scratch = std::mem::take(&mut self.scratch);
        let buf = self.put(&scratch);
        if scratch.capacity() <= SCRATCH_KEPT {
            self.scratch = scratch;
            self.scratch.clear();
        }
        buf
    }
}
