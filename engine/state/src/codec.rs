//! How state is written into checkpoints and into the catalog's log: LEB128 numbers and counted bytes.
//! Readers trust nothing: every length is checked against what is there before it is used.

use std::fmt;

/// Bytes that are no encoding of what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// What was being read.
    pub what: &'static str,
    /// Bytes that were left from there on.
    pub left: usize,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad {} with {} bytes left", self.what, self.left)
    }
}

impl std::error::Error for DecodeError {}

/// Appends `value` in 1 to 10 bytes.
pub fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` so that numbers near 0, of either sign, are short.
pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends `bytes` with their length before them.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes values off the front of a slice.
pub struct Decoder<'a, 'b> {
    bytes: &'b mut &'a [u8],
}

impl<'a, 'b> Decoder<'a, 'b> {
    /// Reads from the front of `bytes`, which is left at what was not read.
    pub fn new(bytes: &'b mut &'a [u8]) -> Decoder<'a, 'b> {
        Decoder { bytes }
    }

    /// The error that `what` is wrong here.
    pub fn bad(&self, what: &'static str) -> DecodeError {
        DecodeError { what, left: self.bytes.len() }
    }

    /// Fails unless `right`.
    pub fn check(&self, right: bool, what: &'static str) -> Result<(), DecodeError> {
        if right { Ok(()) } else { Err(self.bad(what)) }
    }

    /// True if all has been read.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// True if `byte` comes next.
    pub fn is_at(&self, byte: u8) -> bool {
        self.bytes.first() == Some(&byte)
    }

    /// Exactly `count` bytes.
    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.bytes.split_at_checked(count).ok_or(self.bad(what))?;
        *self.bytes = tail;
        Ok(head)
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        Ok(self.take(1, what)?[0])
    }

    /// A number written by [`put_u64`], in its shortest form.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            let bits = u64::from(byte & 0x7f);
            self.check(bits << shift >> shift == bits, what)?;
            value |= bits << shift;
            if byte < 0x80 {
                self.check(byte != 0 || shift == 0, what)?;
                return Ok(value);
            }
        }
        Err(self.bad(what))
    }

    /// A number of at most `max`.
    pub fn u64_max(&mut self, max: u64, what: &'static str) -> Result<u64, DecodeError> {
        let value = self.u64(what)?;
        self.check(value <= max, what)?;
        Ok(value)
    }

    /// A count of things that take at least one byte each, at most `max` of them.
    pub fn count(&mut self, max: usize, what: &'static str) -> Result<usize, DecodeError> {
        let count = self.u64(what)?;
        self.check(count <= max as u64 && count <= self.bytes.len() as u64, what)?;
        Ok(count as usize)
    }

    /// A number written by [`put_i64`].
    pub fn i64(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        let value = self.u64(what)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A number from 0 to `i64::MAX`.
    pub fn positive(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        Ok(self.u64_max(i64::MAX as u64, what)? as i64)
    }

    /// UTF-8 text of at most `max` bytes.
    pub fn text(&mut self, max: usize, what: &'static str) -> Result<&'a str, DecodeError> {
        let len = self.u64_max(max as u64, what)? as usize;
        let bytes = self.take(len, what)?;
        std::str::from_utf8(bytes).map_err(|_| self.bad(what))
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
