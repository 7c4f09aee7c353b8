//! A Metadata answer in pieces: that about all topics of a large cluster is too much to be made at once.

use super::response::{EncodeError, encode};
use super::schema::MetadataResponse;
use super::schema::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use super::windows::{api, window};
use super::wire;
use kafka_protocol::protocol::Encodable;
use std::fmt::Display;

/// The topics of an answer, as far as they have been written. The result is what [`encode`] makes of the same answer.
#[derive(Debug)]
pub struct MetadataWriter {
    version: i16,
    bytes: Vec<u8>,
    topics: usize,
    /// Of the topic that is being written: where it begins, what stands behind its partitions, and how many are to come.
    open: Option<(usize, Vec<u8>, usize)>,
}

/// First version with compact lengths and tagged fields.
const COMPACT: i16 = 9;

impl MetadataWriter {
    /// No topics yet.
    pub fn new(version: i16) -> MetadataWriter {
        let version = window(api::METADATA).map_or(version, |window| version.min(window.schema_max));
        MetadataWriter { version, bytes: Vec::new(), topics: 0, open: None }
    }

    fn is_compact(&self) -> bool {
        self.version >= COMPACT
    }

    fn error(&self, error: impl Display) -> EncodeError {
        EncodeError { api: api::METADATA, version: self.version, what: error.to_string() }
    }

    /// Takes the empty list off the end of `self.bytes` that has `behind` bytes behind it; these bytes.
    fn open_list(&mut self, behind: usize) -> Vec<u8> {
        let tail = self.bytes.split_off(self.bytes.len() - behind);
        let mut empty = Vec::new();
        wire::put_length(&mut empty, self.is_compact(), 0);
        let at = self.bytes.len() - empty.len();
        assert_eq!(self.bytes[at..], empty, "an empty list stands there");
        self.bytes.truncate(at);
        tail
    }

    /// Begins a topic of so many partitions, which come next; `topic` has none.
    pub fn begin_topic(&mut self, topic: &MetadataResponseTopic, partitions: usize) -> Result<(), EncodeError> {
        assert!(self.open.is_none() && topic.partitions.is_empty(), "a topic begins behind the last one's end");
        let begin = self.bytes.len();
        topic.encode(&mut self.bytes, self.version).map_err(|error| self.error(error))?;
        // Authorized operations, tagged fields.
        let behind = if self.version >= 8 { 4 } else { 0 } + usize::from(self.is_compact());
        let tail = self.open_list(behind);
        wire::put_length(&mut self.bytes, self.version >= COMPACT, partitions);
        self.open = Some((begin, tail, partitions));
        Ok(())
    }

    /// The topic's next partition.
    pub fn partition(&mut self, partition: &MetadataResponsePartition) -> Result<(), EncodeError> {
        let (_, _, to_come) = self.open.as_mut().expect("a partition of a topic");
        *to_come = to_come.checked_sub(1).expect("no more partitions than were announced");
        partition.encode(&mut self.bytes, self.version).map_err(|error| self.error(error))
    }

    /// All partitions of the topic are there.
    pub fn end_topic(&mut self) {
        let (_, tail, to_come) = self.open.take().expect("a topic was begun");
        assert_eq!(to_come, 0, "partitions that were announced and did not come");
        self.bytes.extend_from_slice(&tail);
        self.topics += 1;
    }

    /// Leaves the topic out that was begun.
    pub fn drop_topic(&mut self) {
        let (begin, ..) = self.open.take().expect("a topic was begun");
        self.bytes.truncate(begin);
    }

    /// Appends the whole frame to `out`, its 4-byte length first: `response`, which has no topics, with those that were
    /// written. On an error `out` is as it was.
    pub fn finish(
        mut self,
        response: &MetadataResponse,
        correlation: i32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        assert!(self.open.is_none() && response.topics.is_empty());
        let topics = std::mem::take(&mut self.bytes);
        encode(response, api::METADATA, self.version, correlation, &mut self.bytes)?;
        // Authorized operations of the cluster, an error code, tagged fields.
        let operations = if (8..=10).contains(&self.version) { 4 } else { 0 };
        let error = if self.version >= 13 { 2 } else { 0 };
        let tail = self.open_list(operations + error + usize::from(self.is_compact()));
        let start = out.len();
        out.reserve(self.bytes.len() + topics.len() + tail.len() + size_of::<i32>() + 1);
        out.extend_from_slice(&self.bytes);
        wire::put_length(out, self.version >= COMPACT, self.topics);
        out.extend_from_slice(&topics);
        out.extend_from_slice(&tail);
        wire::end_frame(out, start, 0);
        Ok(())
    }
}
