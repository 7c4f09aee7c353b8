//! Fetch: requests, and answers whose record bytes are sent from where they lie.

use super::leaders::{CurrentLeader, Endpoint, put_endpoints, put_leader};
use super::windows::{api, window};
use super::wire::{self, Wire, WireReader};
use std::ops::Range;
use torc_base::buf::Buf;
use torc_base::ids::TopicId;

/// First version that names topics by their ids.
pub const BY_ID: i16 = 13;

/// A fetch request, versions 4 to 18.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub version: i16,
    /// The follower that asks; -1 for a consumer.
    pub replica_id: i32,
    /// -1 but for a follower that speaks version 15 or later.
    pub replica_epoch: i64,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    /// 0 read uncommitted, 1 read committed; unchecked.
    pub isolation_level: i8,
    /// 0 without a session. Sent from version 7 on.
    pub session_id: i32,
    /// -1 without a session. Sent from version 7 on.
    pub session_epoch: i32,
    pub topics: Vec<Topic>,
    /// What leaves the session.
    pub forgotten: Vec<Forgotten>,
    /// Empty before version 11.
    pub rack_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Empty from version 13 on.
    pub name: String,
    /// Zero before version 13.
    pub id: TopicId,
    pub partitions: Vec<Partition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub index: i32,
    /// -1 if the client does not know it.
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    /// -1 if the client does not know it.
    pub last_fetched_epoch: i32,
    /// Of a follower; -1 for a consumer.
    pub log_start_offset: i64,
    pub max_bytes: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// Empty from version 13 on.
    pub name: String,
    /// Zero before version 13.
    pub id: TopicId,
    pub partitions: Vec<i32>,
}

/// The answer to a [`Request`], in any of its versions.
#[derive(Clone, Debug, Default)]
pub struct Response {
    pub throttle_ms: i32,
    /// Of the whole request. Sent from version 7 on.
    pub error: i16,
    /// 0 without a session. Sent from version 7 on.
    pub session_id: i32,
    pub topics: Vec<TopicData>,
    /// Of the leaders that are named. Sent from version 16 on.
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, Default)]
pub struct TopicData {
    /// Not sent from version 13 on.
    pub name: String,
    /// Not sent before version 13.
    pub id: TopicId,
    pub partitions: Vec<PartitionData>,
}

#[derive(Clone, Debug)]
pub struct PartitionData {
    pub index: i32,
    pub error: i16,
    pub high_watermark: i64,
    /// -1 if unknown.
    pub last_stable_offset: i64,
    /// -1 if unknown. Sent from version 5 on.
    pub log_start_offset: i64,
    /// -1 for "this one". Sent from version 11 on.
    pub preferred_read_replica: i32,
    /// `None` for readers of uncommitted records.
    pub aborted: Option<Vec<AbortedTransaction>>,
    /// Sent one after the other, without a copy.
    pub records: Vec<Buf>,
    /// Who leads the partition, if that is why it cannot be read. Sent from version 12 on.
    pub leader: Option<CurrentLeader>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
}

impl PartitionData {
    /// The answer for a partition that cannot be read.
    pub fn refused(index: i32, error: i16) -> PartitionData {
        PartitionData {
            index,
            error,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            preferred_read_replica: -1,
            aborted: None,
            records: Vec::new(),
            leader: None,
        }
    }
}

/// A piece of an encoded frame.
#[derive(Clone, Debug)]
pub enum Part {
    /// These bytes of the scratch memory.
    Scratch(Range<usize>),
    /// These record bytes.
    Records(Buf),
}

fn flexible(version: i16) -> bool {
    version >= window(api::FETCH).expect("served").flexible
}

/// First versions that tell of leaders, and of where they are; and the tag of a partition's leader.
const WITH_LEADERS: i16 = 12;
const WITH_ENDPOINTS: i16 = 16;
const TAG_CURRENT_LEADER: u32 = 1;
/// Tag of `ReplicaState` in the request.
const TAG_REPLICA_STATE: u32 = 1;

/// Decodes a request whose header ended at `body`.
pub(crate) fn decode(frame: &[u8], body: usize, version: i16) -> Result<Request, (&'static str, usize)> {
    let mut reader = WireReader::new(frame);
    reader.take(body).expect("the header was read from this frame");
    read(&mut reader, version).map_err(|what| (what, reader.at()))
}

fn read(reader: &mut WireReader, version: i16) -> Wire<Request> {
    let compact = flexible(version);
    let replica_id = if version <= 14 { reader.i32()? } else { -1 };
    let mut request = Request {
        version,
        replica_id,
        replica_epoch: -1,
        max_wait_ms: reader.i32()?,
        min_bytes: reader.i32()?,
        max_bytes: reader.i32()?,
        isolation_level: reader.i8()?,
        session_id: if version >= 7 { reader.i32()? } else { 0 },
        session_epoch: if version >= 7 { reader.i32()? } else { -1 },
        topics: read_topics(reader, version)?,
        forgotten: if version >= 7 { read_forgotten(reader, version)? } else { Vec::new() },
        rack_id: if version >= 11 { reader.text(compact)?.into_owned() } else { String::new() },
    };
    if compact {
        // Tag 0 is a cluster id that only controllers sent; the partitions' tags are for followers of other servers.
        reader.tags(|tag, bytes| {
            if tag != TAG_REPLICA_STATE || version < 15 {
                return Ok(());
            }
            let mut state = WireReader::new(bytes);
            request.replica_id = state.i32()?;
            request.replica_epoch = state.i64()?;
            state.skip_tags(true)
        })?;
    }
    Ok(request)
}

fn read_topic_name(reader: &mut WireReader, version: i16) -> Wire<(String, TopicId)> {
    if version <= 12 {
        Ok((reader.text(flexible(version))?.into_owned(), TopicId::ZERO))
    } else {
        Ok((String::new(), TopicId(reader.u128()?)))
    }
}

/// Least bytes of a topic, in a list of topics or of forgotten ones.
fn topic_min(version: i16) -> usize {
    match version {
        13.. => 16 + 1 + 1,
        12 => 1 + 1 + 1,
        _ => 2 + 4,
    }
}

fn read_topics(reader: &mut WireReader, version: i16) -> Wire<Vec<Topic>> {
    let compact = flexible(version);
    let partition_min = match version {
        12.. => 4 + 4 + 8 + 4 + 8 + 4 + 1,
        9.. => 4 + 4 + 8 + 8 + 4,
        5.. => 4 + 8 + 8 + 4,
        _ => 4 + 8 + 4,
    };
    let topic_count = reader.array(compact, topic_min(version))?;
    let mut topics = Vec::with_capacity(topic_count);
    for _ in 0..topic_count {
        let (name, id) = read_topic_name(reader, version)?;
        let count = reader.array(compact, partition_min)?;
        let mut partitions = Vec::with_capacity(count);
        for _ in 0..count {
            partitions.push(Partition {
                index: reader.i32()?,
                current_leader_epoch: if version >= 9 { reader.i32()? } else { -1 },
                fetch_offset: reader.i64()?,
                last_fetched_epoch: if version >= 12 { reader.i32()? } else { -1 },
                log_start_offset: if version >= 5 { reader.i64()? } else { -1 },
                max_bytes: reader.i32()?,
            });
            reader.skip_tags(compact)?;
        }
        reader.skip_tags(compact)?;
        topics.push(Topic { name, id, partitions });
    }
    Ok(topics)
}

fn read_forgotten(reader: &mut WireReader, version: i16) -> Wire<Vec<Forgotten>> {
    let compact = flexible(version);
    let topic_count = reader.array(compact, topic_min(version))?;
    let mut forgotten = Vec::with_capacity(topic_count);
    for _ in 0..topic_count {
        let (name, id) = read_topic_name(reader, version)?;
        let count = reader.array(compact, 4)?;
        let mut partitions = Vec::with_capacity(count);
        for _ in 0..count {
            partitions.push(reader.i32()?);
        }
        reader.skip_tags(compact)?;
        forgotten.push(Forgotten { name, id, partitions });
    }
    Ok(forgotten)
}

/// Encodes `response` as one frame, its 4-byte length first: appends what is not records to `scratch`, and the pieces
/// of the frame, in the order of sending, to `parts`. Returns the frame's bytes.
pub fn encode(
    response: Response,
    version: i16,
    correlation: i32,
    scratch: &mut Vec<u8>,
    parts: &mut Vec<Part>,
) -> usize {
    let compact = flexible(version);
    let start = wire::begin_frame(scratch, correlation, compact);
    // Start of the scratch bytes that no part names yet, and record bytes so far.
    let mut pending = start;
    let mut apart = 0;
    scratch.extend_from_slice(&response.throttle_ms.to_be_bytes());
    if version >= 7 {
        scratch.extend_from_slice(&response.error.to_be_bytes());
        scratch.extend_from_slice(&response.session_id.to_be_bytes());
    }
    wire::put_length(scratch, compact, response.topics.len());
    for topic in response.topics {
        if version <= 12 {
            wire::put_string(scratch, compact, &topic.name);
        } else {
            scratch.extend_from_slice(&topic.id.0.to_be_bytes());
        }
        wire::put_length(scratch, compact, topic.partitions.len());
        for partition in topic.partitions {
            put_partition(&partition, version, compact, scratch);
            let bytes: usize = partition.records.iter().map(|records| records.len()).sum();
            // No records is an empty field, not a null one: some clients cannot read null.
            wire::put_length(scratch, compact, bytes);
            if bytes > 0 {
                parts.push(Part::Scratch(pending..scratch.len()));
                pending = scratch.len();
                apart += bytes;
                parts.extend(partition.records.into_iter().filter(|records| !records.is_empty()).map(Part::Records));
            }
            match version {
                WITH_LEADERS.. => put_leader(scratch, TAG_CURRENT_LEADER, partition.leader),
                _ => put_no_tags(compact, scratch),
            }
        }
        put_no_tags(compact, scratch);
    }
    match version {
        WITH_ENDPOINTS.. => put_endpoints(scratch, &response.endpoints),
        _ => put_no_tags(compact, scratch),
    }
    if pending < scratch.len() {
        parts.push(Part::Scratch(pending..scratch.len()));
    }
    wire::end_frame(scratch, start, apart);
    scratch.len() - start + apart
}

/// All of a partition before its records.
fn put_partition(partition: &PartitionData, version: i16, compact: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(&partition.index.to_be_bytes());
    out.extend_from_slice(&partition.error.to_be_bytes());
    out.extend_from_slice(&partition.high_watermark.to_be_bytes());
    out.extend_from_slice(&partition.last_stable_offset.to_be_bytes());
    if version >= 5 {
        out.extend_from_slice(&partition.log_start_offset.to_be_bytes());
    }
    match &partition.aborted {
        None if compact => out.push(0),
        None => out.extend_from_slice(&(-1i32).to_be_bytes()),
        Some(aborted) => {
            wire::put_length(out, compact, aborted.len());
            for transaction in aborted {
                out.extend_from_slice(&transaction.producer_id.to_be_bytes());
                out.extend_from_slice(&transaction.first_offset.to_be_bytes());
                put_no_tags(compact, out);
            }
        }
    }
    if version >= 11 {
        out.extend_from_slice(&partition.preferred_read_replica.to_be_bytes());
    }
}

fn put_no_tags(compact: bool, out: &mut Vec<u8>) {
    if compact {
        out.push(0);
    }
}
