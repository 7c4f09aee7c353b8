//! An answer with lists in lists, element by element: what is long is encoded over turns, and never all at once. How long a list is
//! is said when it is begun.

use super::response::EncodeError;
use super::windows::window;
use super::wire;
use kafka_protocol::protocol::Encodable;

/// The bytes of an answer, in order. With the head in front they are what `encode` makes of the same answer.
#[derive(Debug)]
pub struct NestedWriter {
    api: i16,
    version: i16,
    schema_version: i16,
    is_compact: bool,
    /// Bytes that nobody has taken yet.
    bytes: Vec<u8>,
    total: usize,
    failed: Option<EncodeError>,
}

/// What stands behind a list: it is written when the list is closed.
#[derive(Debug)]
#[must_use]
pub struct Behind(Vec<u8>);

impl NestedWriter {
    /// Nothing is there yet.
    pub fn new(api: i16, version: i16) -> NestedWriter {
        let window = window(api);
        let schema_version = window.map_or(version, |window| version.min(window.schema_max));
        let is_compact = version >= window.map_or(i16::MAX, |window| window.flexible);
        NestedWriter { api, version, schema_version, is_compact, bytes: Vec::new(), total: 0, failed: None }
    }

    /// Writes what stands before a list of `count` elements, in that which `around` makes of the list. They are written next.
    pub fn open<E, T>(&mut self, count: usize, around: impl Fn(Vec<E>) -> T) -> Behind
    where
        E: Encodable + Clone + Default,
        T: Encodable,
    {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        let encoded = around(Vec::new()).encode(&mut without, self.schema_version);
        if let Err(error) = encoded.and_then(|()| around(vec![E::default()]).encode(&mut with, self.schema_version)) {
            self.fail(error.to_string());
            return Behind(Vec::new());
        }
        // The two are the same up to the last byte of how many elements there are.
        let same = without.iter().zip(&with).take_while(|(a, b)| a == b).count();
        let length = if self.is_compact { 1 } else { 4 };
        let at = same + 1 - length;
        self.add(&without[..at]);
        let before = self.bytes.len();
        wire::put_length(&mut self.bytes, self.is_compact, count);
        self.total += self.bytes.len() - before;
        Behind(without[same + 1..].to_vec())
    }

    /// Adds an element of the list that was opened last; its bytes. One that the version cannot express spoils the answer.
    pub fn put(&mut self, element: &impl Encodable) -> usize {
        let before = self.bytes.len();
        if let Err(error) = element.encode(&mut self.bytes, self.schema_version) {
            self.bytes.truncate(before);
            self.fail(error.to_string());
        }
        let bytes = self.bytes.len() - before;
        self.total += bytes;
        bytes
    }

    /// Ends the list that was opened last.
    pub fn close(&mut self, behind: Behind) {
        self.add(&behind.0);
    }

    /// What was added since this was last called.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// What stands in front of all of it, the frame's 4-byte length first.
    pub fn finish(self, correlation: i32) -> Result<Vec<u8>, EncodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut head = Vec::new();
        let start = wire::begin_frame(&mut head, correlation, self.is_compact);
        wire::end_frame(&mut head, start, self.total);
        Ok(head)
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.total += bytes.len();
    }

    fn fail(&mut self, what: String) {
        self.failed = Some(EncodeError { api: self.api, version: self.version, what });
    }
}

#[cfg(test)]
#[path = "nested_writer_tests.rs"]
mod tests;
