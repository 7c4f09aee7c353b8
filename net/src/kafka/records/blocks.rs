//! Long blocks of Snappy and LZ4, decompressed in steps: some kilobytes that hold megabytes are many turns' work.
//!
//! Short ones are left to the crates, which are quicker. What these take is taken here, and nothing else.

use std::ops::Range;

/// How a codec writes what a block is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Snappy,
    Lz4,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Element {
    /// One begins.
    Begins,
    /// So many bytes that are text as they are; of LZ4 a copy may follow, whose length begins in this byte.
    Literal { left: usize, token: Option<u8> },
    /// So many bytes that stand so far back in the text.
    Copy { offset: usize, left: usize },
}

/// A block that is being decompressed.
#[derive(Debug)]
pub(super) struct Block {
    coding: Coding,
    /// Where in the body lies what has not been read.
    rest: Range<usize>,
    element: Element,
    /// Bytes of text: so many of Snappy, of LZ4 no more.
    most: usize,
}

/// LZ4: the shortest copy, and the length in a token that says that more bytes of it follow.
const COPY_MIN: usize = 4;
const GOES_ON: u8 = 15;
/// Snappy: literals of more bytes than this have their length in bytes of its own.
const LITERAL_SHORT_MAX: usize = 60;

impl Block {
    /// A block whose elements lie there in the body. Memory for its text is made ready.
    pub(super) fn new(coding: Coding, rest: Range<usize>, most: usize, text: &mut Vec<u8>) -> Block {
        text.clear();
        if text.capacity() < most {
            // Not both at a time.
            *text = Vec::new();
            text.reserve_exact(most);
        }
        Block { coding, rest, element: Element::Begins, most }
    }

    /// One that is not compressed.
    pub(super) fn stored(rest: Range<usize>, text: &mut Vec<u8>) -> Block {
        let left = rest.len();
        let element = Element::Literal { left, token: None };
        Block { element, ..Block::new(Coding::Snappy, rest, left, text) }
    }

    /// Goes on behind `text`, which is all there is so far, for about so many bytes. True: there is no more. `None`: it is
    /// damaged.
    pub(super) fn step(&mut self, body: &[u8], text: &mut Vec<u8>, bytes: usize) -> Option<bool> {
        let upto = text.len() + bytes;
        while text.len() < upto {
            let room = upto - text.len();
            self.element = match self.element {
                Element::Begins if self.coding == Coding::Lz4 => self.lz4_literal(body, text.len())?,
                Element::Begins if self.rest.is_empty() => return (text.len() == self.most).then_some(true),
                Element::Begins => self.snappy_element(body, text.len())?,
                Element::Literal { left: 0, token: Some(_) } if self.rest.is_empty() => return Some(true),
                Element::Literal { left: 0, token: Some(token) } => self.lz4_copy(body, token, text.len())?,
                Element::Literal { left: 0, token: None } | Element::Copy { left: 0, .. } => Element::Begins,
                Element::Literal { left, token } => {
                    let now = left.min(room);
                    text.extend_from_slice(self.take(body, now)?);
                    Element::Literal { left: left - now, token }
                }
                Element::Copy { offset, left } => {
                    let now = left.min(room);
                    copy(text, offset, now);
                    Element::Copy { offset, left: left - now }
                }
            };
        }
        Some(false)
    }

    fn take<'a>(&mut self, body: &'a [u8], count: usize) -> Option<&'a [u8]> {
        if count > self.rest.len() {
            return None;
        }
        let bytes = &body[self.rest.start..self.rest.start + count];
        self.rest.start += count;
        Some(bytes)
    }

    fn byte(&mut self, body: &[u8]) -> Option<u8> {
        Some(self.take(body, 1)?[0])
    }

    /// A number of up to four bytes, the lowest first.
    fn number(&mut self, body: &[u8], bytes: usize) -> Option<usize> {
        let bytes = self.take(body, bytes)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    fn literal(&self, length: usize, token: Option<u8>, at: usize) -> Option<Element> {
        (length <= self.rest.len() && length <= self.most - at).then_some(Element::Literal { left: length, token })
    }

    fn copy(&self, offset: usize, length: usize, at: usize) -> Option<Element> {
        ((1..=at).contains(&offset) && length <= self.most - at).then_some(Element::Copy { offset, left: length })
    }

    fn snappy_element(&mut self, body: &[u8], at: usize) -> Option<Element> {
        let tag = self.byte(body)?;
        let length = usize::from(tag >> 2) + 1;
        match tag & 3 {
            0 if length <= LITERAL_SHORT_MAX => self.literal(length, None, at),
            0 => {
                let length = self.number(body, length - LITERAL_SHORT_MAX)? + 1;
                self.literal(length, None, at)
            }
            1 => {
                let offset = usize::from(tag >> 5) << 8 | usize::from(self.byte(body)?);
                self.copy(offset, usize::from(tag >> 2 & 7) + 4, at)
            }
            kind => {
                let offset = self.number(body, if kind == 2 { 2 } else { 4 })?;
                self.copy(offset, length, at)
            }
        }
    }

    fn lz4_literal(&mut self, body: &[u8], at: usize) -> Option<Element> {
        let token = self.byte(body)?;
        let length = self.lz4_length(body, token >> 4)?;
        self.literal(length, Some(token), at)
    }

    fn lz4_copy(&mut self, body: &[u8], token: u8, at: usize) -> Option<Element> {
        let offset = self.number(body, 2)?;
        let length = self.lz4_length(body, token & GOES_ON)? + COPY_MIN;
        self.copy(offset, length, at)
    }

    /// A length that begins in a token.
    fn lz4_length(&mut self, body: &[u8], begins: u8) -> Option<usize> {
        let mut length = usize::from(begins);
        let mut goes_on = begins == GOES_ON;
        while goes_on {
            let byte = self.byte(body)?;
            length += usize::from(byte);
            // What follows of it need not be looked at, however much it is.
            if length > self.most {
                return None;
            }
            goes_on = byte == u8::MAX;
        }
        Some(length)
    }
}

/// Appends bytes that stand `offset` back; those that are appended by it may be among them.
fn copy(text: &mut Vec<u8>, offset: usize, mut left: usize) {
    let start = text.len() - offset;
    while left > 0 {
        let now = left.min(text.len() - start);
        text.extend_from_within(start..start + now);
        left -= now;
    }
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;
