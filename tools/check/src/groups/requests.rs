//! What members of both protocols ask alike: their coordinator, commits, and what is committed.

use crate::failure::{Result, wrong};
use crate::wire::{Client, text};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{FindCoordinatorRequest, OffsetCommitRequest, OffsetFetchRequest};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// Versions that are sent. The commit's is the first that members of the consumer protocol can use.
const FIND: i16 = 2;
const COMMIT: i16 = 9;
const FETCH: i16 = 5;

/// Kafka's codes for what passes by itself: a coordinator that loads, is not there yet, or is elsewhere.
const PASSING: [i16; 3] = [14, 15, 16];
/// A coordinator is loaded in a moment; one that is not after this time never will be.
const LOAD_TIME: Duration = Duration::from_secs(60);

/// `ILLEGAL_GENERATION`
pub const ILLEGAL_GENERATION: i16 = 22;
/// `UNKNOWN_MEMBER_ID`
pub const UNKNOWN_MEMBER: i16 = 25;
/// `REBALANCE_IN_PROGRESS`
pub const REBALANCING: i16 = 27;
/// `STALE_MEMBER_EPOCH`
pub const STALE_EPOCH: i16 = 113;

/// Who somebody is in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub group: String,
    pub member: String,
    /// Or the member's epoch, in a group of the consumer protocol.
    pub generation: i32,
}

/// What is committed for one partition: the offset, and what the committer wrote beside it.
pub type Committed = Option<(i64, String)>;

/// Asks again while the code says that it passes; the answer with its code.
pub fn patiently<T>(mut ask: impl FnMut() -> Result<(i16, T)>) -> Result<(i16, T)> {
    let began = Instant::now();
    loop {
        let (code, answer) = ask()?;
        if !passes(code) {
            return Ok((code, answer));
        }
        if began.elapsed() > LOAD_TIME {
            return wrong(format!("a coordinator still answers with error {code} after {LOAD_TIME:?}"));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// True of codes that tell to ask again.
pub fn passes(code: i16) -> bool {
    PASSING.contains(&code)
}

/// A connection, and the coordinator of `group` behind it: there is one broker.
pub fn connect(address: SocketAddr, group: &str) -> Result<Client> {
    let mut client = Client::connect(address)?;
    let request = FindCoordinatorRequest::default().with_key(text(group));
    let (code, ()) = patiently(|| Ok((client.call(&request, FIND)?.error_code, ())))?;
    if code == 0 { Ok(client) } else { wrong(format!("looking for the coordinator of {group}: error {code}")) }
}

/// Commits what is given for partitions from 0 on, with `note` beside each offset; `None`: nothing for that one.
pub fn commit(client: &mut Client, place: &Place, topic: &str, offsets: &[Option<i64>], note: &str) -> Result<i16> {
    let part = |(index, offset): (i32, &Option<i64>)| {
        let part = OffsetCommitRequestPartition::default().with_partition_index(index);
        offset.map(|offset| part.with_committed_offset(offset).with_committed_metadata(Some(text(note))))
    };
    let parts: Vec<_> = (0..).zip(offsets).filter_map(part).collect();
    let sent = parts.len();
    let topic = OffsetCommitRequestTopic::default().with_name(text(topic).into()).with_partitions(parts);
    let request = OffsetCommitRequest::default()
        .with_group_id(text(&place.group).into())
        .with_generation_id_or_member_epoch(place.generation)
        .with_member_id(text(&place.member))
        .with_topics(vec![topic]);
    let (code, told) = patiently(|| {
        let answer = client.call(&request, COMMIT)?;
        let codes = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|part| part.error_code);
        let codes: Vec<i16> = codes.collect();
        Ok((codes.iter().copied().max().unwrap_or(-1), codes.len()))
    })?;
    if told == sent {
        Ok(code)
    } else {
        wrong(format!("{place:?} committed for {sent} partitions and is told of {told}"))
    }
}

/// What is committed for partitions from 0 on.
pub fn committed(client: &mut Client, group: &str, topic: &str, partitions: i32) -> Result<Vec<Committed>> {
    let wanted = OffsetFetchRequestTopic::default().with_name(text(topic).into());
    let wanted = wanted.with_partition_indexes((0..partitions).collect());
    let request = OffsetFetchRequest::default().with_group_id(text(group).into()).with_topics(Some(vec![wanted]));
    let (code, parts) = patiently(|| {
        let answer = client.call(&request, FETCH)?;
        Ok((answer.error_code, answer.topics.into_iter().flat_map(|topic| topic.partitions).collect::<Vec<_>>()))
    })?;
    let is_asked =
        |(index, part): (i32, &kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartition)| {
            part.partition_index == index && part.error_code == 0
        };
    if code != 0 || parts.len() != partitions as usize || !(0..).zip(&parts).all(is_asked) {
        return wrong(format!("the offsets of {group}: error {code}, {parts:?}"));
    }
    let found = parts.into_iter().map(|part| {
        let note = part.metadata.map(|note| note.to_string()).unwrap_or_default();
        (part.committed_offset >= 0).then_some((part.committed_offset, note))
    });
    Ok(found.collect())
}
