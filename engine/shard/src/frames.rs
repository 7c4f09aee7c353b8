//! Cuts a connection's bytes into frames: a 4-byte length, then that many bytes.
//!
//! A frame that arrived in one piece is a slice of the receive buffer. One that did not is collected in a buffer of
//! its own length. When a large one is coming, the connection switches to receiving exactly: first the length, then
//! the frame, straight into a buffer of that size; it switches back when small frames return. So does a connection that
//! found no shared buffer: whoever holds those, nobody waits for one.

use crate::memory::{Pace, Turns};
use std::collections::VecDeque;
use torc_base::buf::{BufMut, Pool};
use torc_base::ids::ConnId;
use torc_base::limits::{LARGE_FRAME, PAGE};
use torc_base::time::Mono;

/// Small frames in a row after which a connection goes back to shared receive buffers.
const SMALL_AGAIN: u32 = 8;

/// What to receive next.
#[derive(Debug)]
pub enum Want {
    /// Whatever comes, into shared buffers.
    Any,
    /// Exactly this buffer, from that position on.
    Exact(BufMut, usize),
    /// Nothing now: the frame that is coming waits for memory.
    Memory,
}

/// The length in front of a frame is negative or above the limit.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLength(pub i32);

/// Where frames get their memory from: see [`Turns`].
pub struct Lender<'a> {
    pub now: Mono,
    pub conn: ConnId,
    pub pace: Pace,
    pub turns: &'a mut Turns,
    /// Without a limit of its own.
    pub pool: &'a Pool,
    /// Bytes that the connection has for a frame that is not whole.
    pub reserved: &'a mut usize,
    /// Nothing else of the connection is under way: then a short frame waits for nobody, as one does not that came whole.
    pub is_first: bool,
}

impl Lender<'_> {
    fn take(&mut self, len: usize) -> Option<BufMut> {
        // No buffer takes less.
        let bytes = len.max(PAGE);
        if self.is_first && len <= PAGE {
            self.turns.leave(self.conn);
            self.turns.take(bytes);
        } else if !self.turns.ask(self.now, self.conn, bytes, self.pace) {
            return None;
        }
        *self.reserved += bytes;
        Some(self.pool.take(len).expect("the pool has no limit"))
    }
}

/// Assembles the frames of one connection.
#[derive(Debug)]
pub struct Frames {
    max: usize,
    head: [u8; 4],
    head_len: usize,
    /// The frame that is being collected, and how much of it is there.
    body: Option<(BufMut, usize)>,
    /// Length of a frame for which there was no memory.
    waiting: Option<usize>,
    /// Bytes behind it.
    held: VecDeque<(Mono, BufMut)>,
    /// The first byte of the frame at hand, or of the one that was whole last, was there.
    began: Mono,
    exact: bool,
    /// How much of the frame was there when its exact receive was armed.
    exact_from: usize,
    small_in_a_row: u32,
}

impl Frames {
    /// For frames of up to `max` bytes.
    pub fn new(max: usize) -> Frames {
        Frames {
            max,
            head: [0; 4],
            head_len: 0,
            body: None,
            waiting: None,
            held: VecDeque::new(),
            began: Mono(0),
            exact: false,
            exact_from: 0,
            small_in_a_row: 0,
        }
    }

    /// From now on frames of up to `max` bytes are taken.
    pub fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// True in the middle of a frame.
    pub fn is_partial(&self) -> bool {
        self.head_len > 0 || self.body.is_some() || self.waiting.is_some()
    }

    /// True if no bytes came in that have not been looked at.
    pub fn is_looked_through(&self) -> bool {
        self.held.is_empty()
    }

    /// Received pieces that have not been looked at.
    pub fn pieces(&self) -> usize {
        self.held.len()
    }

    /// True if a frame waits for memory.
    pub fn is_starved(&self) -> bool {
        self.waiting.is_some()
    }

    /// True if the connection is to receive exactly what is wanted, and not into shared buffers.
    pub fn wants_exact(&self) -> bool {
        self.exact
    }

    /// When the first byte of the frame that was given out last came in.
    pub fn began(&self) -> Mono {
        self.began
    }

    /// Bytes came in.
    pub fn push(&mut self, now: Mono, bytes: BufMut) {
        self.held.push_back((now, bytes));
    }

    /// No shared buffer was free: what comes next is received exactly. So it is for some frames, and then it is seen
    /// whether there are buffers again.
    pub fn do_without_shared(&mut self) {
        (self.exact, self.small_in_a_row) = (true, 0);
    }

    /// What came in and is not to be looked at for now moves to a smaller block of the same memory, if it fills less than
    /// half of what it holds: shared buffers are for what comes in.
    pub fn set_aside(&mut self) {
        let bytes: usize = self.held.iter().map(|(_, bytes)| bytes.len()).sum();
        let pinned: usize = self.held.iter().map(|(_, bytes)| bytes.block_bytes()).sum();
        let Some((at, first)) = self.held.front() else { return };
        if pinned <= 2 * bytes.max(PAGE) {
            return;
        }
        let Some(mut aside) = first.another(bytes) else { return };
        let (at, mut filled) = (*at, 0);
        for (_, bytes) in self.held.drain(..) {
            aside[filled..filled + bytes.len()].copy_from_slice(&bytes);
            filled += bytes.len();
        }
        self.held.push_back((at, aside));
    }

    /// The next whole frame, if it is there.
    pub fn pop(&mut self, memory: &mut Lender) -> Result<Option<BufMut>, BadLength> {
        loop {
            if let Some(len) = self.waiting {
                let Some(buf) = memory.take(len) else { return Ok(None) };
                self.waiting = None;
                self.body = Some((buf, 0));
            }
            if let Some(frame) = self.fill_body() {
                return Ok(Some(frame));
            }
            let Some((at, bytes)) = self.held.front_mut() else { return Ok(None) };
            if bytes.is_empty() {
                self.held.pop_front();
                continue;
            }
            if self.head_len < 4 {
                if self.head_len == 0 {
                    self.began = *at;
                }
                let n = (4 - self.head_len).min(bytes.len());
                self.head[self.head_len..self.head_len + n].copy_from_slice(&bytes.split_to(n));
                self.head_len += n;
                if self.head_len < 4 {
                    continue;
                }
            }
            let len = self.length()?;
            let (_, bytes) = self.held.front_mut().expect("looked at above");
            let frame = (bytes.len() >= len).then(|| bytes.split_to(len));
            if bytes.is_empty() {
                self.held.pop_front();
            }
            if let Some(frame) = frame {
                self.end_of_frame(len);
                return Ok(Some(frame));
            }
            self.waiting = Some(len);
        }
    }

    fn length(&self) -> Result<usize, BadLength> {
        let len = i32::from_be_bytes(self.head);
        match usize::try_from(len) {
            Ok(n) if n <= self.max => Ok(n),
            _ => Err(BadLength(len)),
        }
    }

    /// Moves held bytes into the frame that is being collected; the frame, if that completes it.
    fn fill_body(&mut self) -> Option<BufMut> {
        let (mut buf, mut filled) = self.body.take()?;
        while filled < buf.len() {
            let Some((_, bytes)) = self.held.front_mut() else {
                self.exact |= buf.len() >= LARGE_FRAME;
                self.body = Some((buf, filled));
                return None;
            };
            let n = (buf.len() - filled).min(bytes.len());
            buf[filled..filled + n].copy_from_slice(&bytes.split_to(n));
            filled += n;
            if bytes.is_empty() {
                self.held.pop_front();
            }
        }
        self.end_of_frame(buf.len());
        Some(buf)
    }

    fn end_of_frame(&mut self, len: usize) {
        self.head_len = 0;
        if len >= LARGE_FRAME {
            self.small_in_a_row = 0;
        } else {
            self.small_in_a_row += 1;
            self.exact &= self.small_in_a_row < SMALL_AGAIN;
        }
    }

    /// What to receive next, when no receive is under way and all that came in has been looked at.
    pub fn want(&mut self, pool: &Pool) -> Want {
        assert!(self.held.is_empty() || self.waiting.is_some(), "bytes are left to look at");
        if self.waiting.is_some() {
            return Want::Memory;
        }
        if !self.exact {
            return Want::Any;
        }
        if let Some((buf, filled)) = self.body.take() {
            self.exact_from = filled;
            return Want::Exact(buf, filled);
        }
        let mut head = pool.take(4).expect("the pool has no limit");
        head[..4].copy_from_slice(&self.head);
        Want::Exact(head, self.head_len)
    }

    /// An exact receive was stopped when its buffer was filled up to `at`; it goes on from there when it is wanted again.
    /// True if something has come since it began.
    pub fn halted(&mut self, now: Mono, buf: BufMut, at: usize) -> bool {
        assert!(self.exact && self.body.is_none());
        if self.head_len == 4 {
            let before = std::mem::replace(&mut self.exact_from, at);
            self.body = Some((buf, at));
            return at > before;
        }
        if self.head_len == 0 {
            self.began = now;
        }
        let before = std::mem::replace(&mut self.head_len, at);
        self.head[..at].copy_from_slice(&buf[..at]);
        at > before
    }

    /// The length of a frame was received exactly, which is not to be looked at for now.
    pub fn keep_length(&mut self, now: Mono, mut bytes: BufMut) {
        assert!(self.exact && self.body.is_none() && self.held.is_empty() && self.head_len < 4);
        drop(bytes.split_to(self.head_len));
        self.held.push_back((now, bytes));
    }

    /// An exact receive has filled its buffer; the frame, if it was one.
    pub fn filled(&mut self, buf: BufMut, memory: &mut Lender) -> Result<Option<BufMut>, BadLength> {
        assert!(self.exact && self.body.is_none() && self.held.is_empty());
        if self.head_len == 4 {
            self.end_of_frame(buf.len());
            return Ok(Some(buf));
        }
        if self.head_len == 0 {
            self.began = memory.now;
        }
        self.head.copy_from_slice(&buf[..4]);
        self.head_len = 4;
        let len = self.length()?;
        if len == 0 {
            self.end_of_frame(0);
            return Ok(memory.pool.take(0));
        }
        match memory.take(len) {
            Some(buf) => self.body = Some((buf, 0)),
            None => self.waiting = Some(len),
        }
        Ok(None)
    }
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
