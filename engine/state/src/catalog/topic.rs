//! A topic, and what it may be called.

use super::moves::Moves;
use super::{CatalogError, Replicas};
use crate::config::{Overrides, TopicConfig};
use std::sync::Arc;
use torc_base::ids::{GroupId, TopicId};
use torc_base::limits::TOPIC_NAME_MAX;
use torc_base::time::Wall;

/// A topic as it was at one moment; a change makes a new one. Shards share it by its `Arc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id, never used for another.
    pub id: TopicId,
    /// The logs of its partitions.
    pub partitions: GroupRanges,
    /// Copies that were asked for.
    pub replication: i16,
    /// Which nodes have them.
    pub replicas: Replicas,
    /// Partitions that are being brought to others, by number.
    pub moves: Moves,
    /// When it was made.
    pub created: Wall,
    /// Its settings in effect.
    pub config: TopicConfig,
    /// The settings that are its own.
    pub overrides: Overrides,
}

/// The groups of a topic's partitions, by ranges: a topic that never grew is one range, however many it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupRanges {
    /// First group and count, in the order of partitions.
    ranges: Vec<(GroupId, u32)>,
}

impl GroupRanges {
    /// Partitions 0 to `count - 1` are the groups from `first` on.
    pub fn new(first: GroupId, count: u32) -> GroupRanges {
        GroupRanges { ranges: vec![(first, count)] }
    }

    pub(super) fn add(&mut self, first: GroupId, count: u32) {
        match self.ranges.last_mut() {
            // Adjacent ids make the range longer.
            Some((before, n)) if before.0 + u64::from(*n) == first.0 => *n += count,
            _ => self.ranges.push((first, count)),
        }
    }

    /// Partitions.
    #[expect(clippy::len_without_is_empty, reason = "a topic has partitions")]
    pub fn len(&self) -> u32 {
        self.ranges.iter().map(|(_, count)| count).sum()
    }

    /// The log of a partition; `None` if the topic has no such partition.
    pub fn get(&self, mut partition: u32) -> Option<GroupId> {
        for &(first, count) in &self.ranges {
            if partition < count {
                return Some(first.plus(u64::from(partition)));
            }
            partition -= count;
        }
        None
    }

    /// True if the log is one of a partition.
    pub fn contains(&self, log: GroupId) -> bool {
        self.ranges.iter().any(|&(first, count)| log >= first && log.0 - first.0 < u64::from(count))
    }

    /// The logs of all partitions in their order.
    pub fn iter(&self) -> impl Iterator<Item = GroupId> {
        self.ranges.iter().flat_map(|&(first, count)| (0..u64::from(count)).map(move |n| first.plus(n)))
    }

    /// First group and count of each range.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = (GroupId, u32)> {
        self.ranges.iter().copied()
    }
}

/// Fails unless a topic may have that name. The rules are Kafka's.
pub fn check_name(name: &str) -> Result<(), CatalogError> {
    let is_legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let why = if name.is_empty() {
        "the empty string is not allowed".to_string()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.len() > TOPIC_NAME_MAX {
        format!("its {} bytes are more than the allowed {TOPIC_NAME_MAX}", name.len())
    } else if !name.bytes().all(is_legal) {
        format!("{name:?} contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
    } else {
        return Ok(());
    };
    Err(CatalogError::InvalidTopic(format!("Topic name is invalid: {why}")))
}

/// True if another name could differ from `name` only in '.' and '_'.
pub(super) fn can_be_mistaken(name: &str) -> bool {
    name.contains(['.', '_'])
}

/// The same for all names that differ only in '.' and '_'.
pub(super) fn alike(name: &str) -> String {
    name.replace('.', "_")
}

/// Topics that coordinators keep their state in, as Kafka names them.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];
/// Kafka's own log of metadata, which is no topic that clients see.
const METADATA: &str = "__cluster_metadata";

/// True of a topic that is told of as internal.
pub fn is_internal(name: &str) -> bool {
    // Asked for each produced topic: nearly all are settled by their first bytes.
    name.starts_with("__") && INTERNAL.contains(&name)
}

/// True of a name that belongs to the server: clients neither make such a topic nor write to it.
pub fn is_reserved(name: &str) -> bool {
    is_internal(name) || name == METADATA
}
