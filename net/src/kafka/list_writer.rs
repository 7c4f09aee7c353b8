//! An answer that is one list, element by element: what is long is encoded while it is made, and never all at once.

use super::response::EncodeError;
use super::windows::window;
use super::wire;
use kafka_protocol::protocol::Encodable;

/// The answer of an API that tells how long the client is throttled, then a list, and nothing else. With the head, the elements
/// and the tail one behind the other it is what `encode` makes of the same answer.
#[derive(Debug)]
pub struct ListWriter {
    api: i16,
    version: i16,
    is_compact: bool,
    /// Elements that nobody has taken yet.
    bytes: Vec<u8>,
    /// Elements, and their bytes.
    count: usize,
    total: usize,
    failed: Option<EncodeError>,
}

impl ListWriter {
    /// No elements yet.
    pub fn new(api: i16, version: i16) -> ListWriter {
        let flexible = window(api).map_or(i16::MAX, |window| window.flexible);
        let is_compact = version >= flexible;
        ListWriter { api, version, is_compact, bytes: Vec::new(), count: 0, total: 0, failed: None }
    }

    /// Elements so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Adds an element; its bytes. One that the version cannot express spoils the answer.
    pub fn put(&mut self, element: &impl Encodable) -> usize {
        let before = self.bytes.len();
        self.count += 1;
        if let Err(error) = element.encode(&mut self.bytes, self.version) {
            self.bytes.truncate(before);
            self.failed = Some(EncodeError { api: self.api, version: self.version, what: error.to_string() });
        }
        let bytes = self.bytes.len() - before;
        self.total += bytes;
        bytes
    }

    /// The elements that were added since this was last called.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// What stands before the elements, the frame's 4-byte length first, and behind them.
    pub fn finish(self, correlation: i32) -> Result<(Vec<u8>, &'static [u8]), EncodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut head = Vec::new();
        let start = wire::begin_frame(&mut head, correlation, self.is_compact);
        head.extend_from_slice(&0i32.to_be_bytes());
        wire::put_length(&mut head, self.is_compact, self.count);
        // No tagged fields.
        let tail: &[u8] = if self.is_compact { &[0] } else { &[] };
        wire::end_frame(&mut head, start, self.total + tail.len());
        Ok((head, tail))
    }
}

#[cfg(test)]
#[path = "list_writer_tests.rs"]
mod tests;
