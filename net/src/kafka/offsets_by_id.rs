//! OffsetCommit and OffsetFetch of version 10, which name topics by their ids: the schema crate's requests end before it.
//! Answers of that version are the schema crate's.

use super::wire::{Wire, WireReader};
use kafka_protocol::protocol::StrBytes;
use std::borrow::Cow;
use torc_base::ids::TopicId;

/// The version that is read here.
pub(crate) const VERSION: i16 = 10;

/// An OffsetCommit.
#[derive(Debug)]
pub struct Commit {
    pub group: StrBytes,
    /// The group's generation, or the member's epoch.
    pub generation: i32,
    pub member: StrBytes,
    pub instance: Option<StrBytes>,
    pub topics: Vec<CommitTopic>,
}

/// A topic of a [`Commit`].
#[derive(Debug)]
pub struct CommitTopic {
    pub id: TopicId,
    pub partitions: Vec<CommitPartition>,
}

/// A partition of a [`CommitTopic`].
#[derive(Debug)]
pub struct CommitPartition {
    pub index: i32,
    pub offset: i64,
    /// -1 if the client does not say.
    pub leader_epoch: i32,
    pub metadata: Option<StrBytes>,
}

/// An OffsetFetch.
#[derive(Debug)]
pub struct Fetch {
    pub groups: Vec<FetchGroup>,
    /// Without offsets of open transactions.
    pub require_stable: bool,
}

/// A group of a [`Fetch`].
#[derive(Debug)]
pub struct FetchGroup {
    pub group: StrBytes,
    /// Of the consumer protocol, as is the next, which is -1 otherwise.
    pub member: Option<StrBytes>,
    pub epoch: i32,
    /// Topics and their partitions; `None` for all.
    pub topics: Option<Vec<(TopicId, Vec<i32>)>>,
}

/// Bytes that each takes at least: a topic (id, array, tags), a partition of a commit (index, offset, epoch, metadata, tags), a
/// group (group, member, epoch, array, tags).
const TOPIC_MIN: usize = 16 + 1 + 1;
const PARTITION_MIN: usize = 4 + 8 + 4 + 1 + 1;
const GROUP_MIN: usize = 1 + 1 + 4 + 1 + 1;

/// Reads the body of an OffsetCommit. On an error `reader` is where it was found.
pub(crate) fn commit(reader: &mut WireReader) -> Wire<Commit> {
    let group = owned(reader.text(true)?);
    let generation = reader.i32()?;
    let member = owned(reader.text(true)?);
    let instance = reader.nullable_text(true)?.map(owned);
    let topics = list(reader, TOPIC_MIN, |reader| {
        let id = TopicId(reader.u128()?);
        let partitions = list(reader, PARTITION_MIN, commit_partition)?;
        reader.skip_tags(true)?;
        Ok(CommitTopic { id, partitions })
    })?;
    reader.skip_tags(true)?;
    Ok(Commit { group, generation, member, instance, topics })
}

fn commit_partition(reader: &mut WireReader) -> Wire<CommitPartition> {
    let (index, offset, leader_epoch) = (reader.i32()?, reader.i64()?, reader.i32()?);
    let metadata = reader.nullable_text(true)?.map(owned);
    reader.skip_tags(true)?;
    Ok(CommitPartition { index, offset, leader_epoch, metadata })
}

/// Reads the body of an OffsetFetch. On an error `reader` is where it was found.
pub(crate) fn fetch(reader: &mut WireReader) -> Wire<Fetch> {
    let groups = list(reader, GROUP_MIN, |reader| {
        let group = owned(reader.text(true)?);
        let member = reader.nullable_text(true)?.map(owned);
        let epoch = reader.i32()?;
        let topics = match reader.nullable_array(true, TOPIC_MIN)? {
            None => None,
            Some(count) => Some(items(reader, count, |reader| {
                let id = TopicId(reader.u128()?);
                let partitions = list(reader, 4, |reader| reader.i32())?;
                reader.skip_tags(true)?;
                Ok((id, partitions))
            })?),
        };
        reader.skip_tags(true)?;
        Ok(FetchGroup { group, member, epoch, topics })
    })?;
    let require_stable = reader.i8()? != 0;
    reader.skip_tags(true)?;
    Ok(Fetch { groups, require_stable })
}

fn list<T>(reader: &mut WireReader, item_min: usize, item: impl FnMut(&mut WireReader) -> Wire<T>) -> Wire<Vec<T>> {
    let count = reader.array(true, item_min)?;
    items(reader, count, item)
}

fn items<T>(reader: &mut WireReader, count: usize, mut item: impl FnMut(&mut WireReader) -> Wire<T>) -> Wire<Vec<T>> {
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        items.push(item(reader)?);
    }
    Ok(items)
}

/// What a handler keeps must not hold the frame.
fn owned(text: Cow<'_, str>) -> StrBytes {
    StrBytes::from_string(text.into_owned())
}
