//! Produce: the hot path. Record batches stay where they were received.

use super::leaders::{CurrentLeader, Endpoint, put_endpoints, put_leader};
use super::windows::{api, window};
use super::wire::{self, Wire, WireReader};
use std::borrow::Cow;
use std::ops::Range;
use torc_base::buf::BufMut;
use torc_base::ids::TopicId;

/// First version that names topics by their ids.
pub const BY_ID: i16 = 13;

/// A produce request, versions 3 to 13.
#[derive(Debug)]
pub struct Request {
    pub version: i16,
    pub transactional_id: Option<String>,
    /// -1 all, 0 none, 1 the leader, as on the wire; unchecked.
    pub acks: i16,
    pub timeout_ms: i32,
    pub topics: Vec<Topic>,
}

#[derive(Debug)]
pub struct Topic {
    /// Empty from version 13 on.
    pub name: String,
    /// Zero before version 13.
    pub id: TopicId,
    pub partitions: Vec<Partition>,
}

#[derive(Debug)]
pub struct Partition {
    pub index: i32,
    /// The bytes of the partition's record batches, a part of the request's frame; unchecked.
    pub records: Option<BufMut>,
}

/// The answer to a [`Request`], in any of its versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub topics: Vec<TopicResponse>,
    pub throttle_ms: i32,
    /// Of the leaders that are named. Sent from version 10 on.
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicResponse {
    /// Not sent from version 13 on.
    pub name: String,
    /// Not sent before version 13.
    pub id: TopicId,
    pub partitions: Vec<PartitionResponse>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionResponse {
    pub index: i32,
    pub error: i16,
    /// Offset of the batch's first record; -1 if there is none.
    pub base_offset: i64,
    /// Milliseconds since 1970 if the topic stamps records when they are appended; -1 if not.
    pub log_append_time: i64,
    /// -1 if unknown. Sent from version 5 on.
    pub log_start_offset: i64,
    /// For people. Sent from version 8 on.
    pub message: Option<String>,
    /// Who leads the partition, if that is why it was refused. Sent from version 10 on.
    pub leader: Option<CurrentLeader>,
}

impl PartitionResponse {
    /// The answer for a partition whose records were not appended.
    pub fn refused(index: i32, error: i16, message: Option<String>) -> PartitionResponse {
        PartitionResponse {
            index,
            error,
            base_offset: -1,
            log_append_time: -1,
            log_start_offset: -1,
            message,
            leader: None,
        }
    }
}

/// First version that tells of leaders, and the tag of a partition's.
const WITH_LEADERS: i16 = 10;
const TAG_CURRENT_LEADER: u32 = 0;

fn flexible(version: i16) -> bool {
    version >= window(api::PRODUCE).expect("served").flexible
}

/// Decodes a request whose header ended at `body`. Everything is checked before the frame is taken apart.
pub(crate) fn decode(mut frame: BufMut, body: usize, version: i16) -> Result<Request, (&'static str, usize)> {
    let mut reader = WireReader::new(&frame);
    reader.take(body).expect("the header was read from this frame");
    let mut places = Vec::new();
    let mut request = read(&mut reader, version, &mut places).map_err(|what| (what, reader.at()))?;
    let mut at = 0;
    let partitions = request.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    for (partition, place) in partitions.zip(places) {
        let Some(place) = place else { continue };
        drop(frame.split_to(place.start - at));
        partition.records = Some(frame.split_to(place.len()));
        at = place.end;
    }
    Ok(request)
}

/// Reads all but the records, whose places in the frame go to `places`, one to each partition in order.
fn read(reader: &mut WireReader, version: i16, places: &mut Vec<Option<Range<usize>>>) -> Wire<Request> {
    let compact = flexible(version);
    let transactional_id = reader.nullable_text(compact)?.map(Cow::into_owned);
    let acks = reader.i16()?;
    let timeout_ms = reader.i32()?;
    let topic_min = match version {
        13.. => 16 + 1 + 1,
        9.. => 1 + 1 + 1,
        _ => 2 + 4,
    };
    let partition_min = if compact { 4 + 1 + 1 } else { 4 + 4 };
    let topic_count = reader.array(compact, topic_min)?;
    let mut topics = Vec::with_capacity(topic_count);
    for _ in 0..topic_count {
        let name = if version < BY_ID { reader.text(compact)?.into_owned() } else { String::new() };
        let id = if version >= BY_ID { TopicId(reader.u128()?) } else { TopicId::ZERO };
        let count = reader.array(compact, partition_min)?;
        let mut partitions = Vec::with_capacity(count);
        for _ in 0..count {
            partitions.push(Partition { index: reader.i32()?, records: None });
            places.push(reader.nullable_bytes(compact)?);
            reader.skip_tags(compact)?;
        }
        reader.skip_tags(compact)?;
        topics.push(Topic { name, id, partitions });
    }
    reader.skip_tags(compact)?;
    Ok(Request { version, transactional_id, acks, timeout_ms, topics })
}

/// Appends the whole frame of `response` to `out`, its 4-byte length first.
pub fn encode(response: &Response, version: i16, correlation: i32, out: &mut Vec<u8>) {
    let compact = flexible(version);
    let start = wire::begin_frame(out, correlation, compact);
    wire::put_length(out, compact, response.topics.len());
    for topic in &response.topics {
        if version < BY_ID {
            wire::put_string(out, compact, &topic.name);
        } else {
            out.extend_from_slice(&topic.id.0.to_be_bytes());
        }
        wire::put_length(out, compact, topic.partitions.len());
        for partition in &topic.partitions {
            put_partition(partition, version, compact, out);
        }
        put_no_tags(compact, out);
    }
    out.extend_from_slice(&response.throttle_ms.to_be_bytes());
    match version {
        WITH_LEADERS.. => put_endpoints(out, &response.endpoints),
        _ => put_no_tags(compact, out),
    }
    wire::end_frame(out, start, 0);
}

fn put_partition(partition: &PartitionResponse, version: i16, compact: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(&partition.index.to_be_bytes());
    out.extend_from_slice(&partition.error.to_be_bytes());
    out.extend_from_slice(&partition.base_offset.to_be_bytes());
    out.extend_from_slice(&partition.log_append_time.to_be_bytes());
    if version >= 5 {
        out.extend_from_slice(&partition.log_start_offset.to_be_bytes());
    }
    if version >= 8 {
        wire::put_length(out, compact, 0); // errors of single records: torc refuses whole batches
        wire::put_nullable_string(out, compact, partition.message.as_deref());
    }
    match version {
        WITH_LEADERS.. => put_leader(out, TAG_CURRENT_LEADER, partition.leader),
        _ => put_no_tags(compact, out),
    }
}

fn put_no_tags(compact: bool, out: &mut Vec<u8>) {
    if compact {
        out.push(0);
    }
}
