//! What the log of a group means: a state for each kind of log, made by its entries and by nothing else.
//!
//! An entry is taken in twice: when it is appended, or found by recovery, or sent by a leader ([`Meaning::replay`]), and when
//! it is committed ([`Meaning::apply`]). Only what is committed is in the state that others see; what is not lies behind it,
//! in the order of the log, and is taken back from its end when another leader's entries replace it ([`Meaning::cut`]).
//! Nothing else changes a state, so that replicas which have applied the same entries have the same one: what goes by a
//! clock is told by an entry of its own.

mod catalog;
mod partition;
mod tree;

pub use catalog::CatalogLog;
pub use partition::{PartitionLog, encode_clock};
pub use tree::{AppliedPart, AppliedTxn, TreeLog, TreeStart, encode_entry, ends_term, zxid_of};

use crate::settings::Settings;
use torc_base::ids::{GroupId, Index, LeaderEpoch, Offset};
use torc_consensus::Configuration;
use torc_consensus::wire::take_configuration;
use torc_state::catalog::Change;
use torc_wal::{Item, Kind};

/// What an entry of a group's log is.
pub mod kind {
    use super::Kind;
    /// A Kafka record batch.
    pub const RECORDS: Kind = Kind(1);
    /// The first entry of a leader's term.
    pub const NOOP: Kind = Kind(2);
    /// Term and vote; not part of the log: its index is 0.
    pub const HARD_STATE: Kind = Kind(3);
    /// The first offset to keep, 8 bytes little endian.
    pub const TRIM: Kind = Kind(4);
    /// A catalog command.
    pub const COMMAND: Kind = Kind(5);
    /// The leader's clock, for what a partition forgets with time.
    pub const CLOCK: Kind = Kind(6);
    /// Who belongs to the group from here on.
    pub const MEMBERS: Kind = Kind(7);
    /// In a follower's log: what stands in the place of an entry that compaction has left out of its leader's. The log ends at its
    /// first offset or behind: the next entry that is none says where. Of the last one in front of an entry that is whole it is exact,
    /// and whoever leads has come that far: what compaction leaves out is committed, and so is what lies between.
    pub const HOLE: Kind = Kind(8);
    /// A state that replaces a follower's whole log; not part of it: its index is 0.
    pub const STATE: Kind = Kind(9);
    /// Here the log begins anew, without entries, since it was damaged or its replica had been moved away; not part of it: its
    /// index is 0.
    pub const ANEW: Kind = Kind::ANEW;
    /// A transaction of the tree.
    pub const TXN: Kind = Kind(11);
    /// A part of a tree that is to replace a follower's whole log; not part of it: its index is 0.
    pub const PART: Kind = Kind(12);
    /// The parts that came before it replace the log, as [`STATE`] does; its index is 0.
    pub const PARTS: Kind = Kind(13);
}

/// Where the records of a log end at some place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    offset: Offset,
    /// It may as well be further: what stands there is a hole, or not known.
    is_open: bool,
}

impl End {
    pub fn at(offset: Offset) -> End {
        End { offset, is_open: false }
    }

    /// Behind the next entry, which has been checked.
    pub fn behind(self, item: &Item) -> End {
        match item.kind {
            kind::HOLE => End { offset: item.first_offset.max(self.offset), is_open: true },
            _ => End::at(item.end_offset()),
        }
    }

    /// The end in front of the next entry, which says that it begins at `first`.
    fn in_front_of(self, first: Offset) -> Offset {
        if self.is_open { first.max(self.offset) } else { self.offset }
    }
}

/// The kinds of logs. Their tags stand in checkpoints and beside the terms in the log; 2 is kept for coordinators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// Topics and their settings.
    Catalog = 0,
    /// Records with offsets.
    Partition = 1,
    /// Znodes and sessions.
    Tree = 3,
}

impl LogKind {
    /// The kind of a tag; the error names one that this torc does not know.
    pub fn of_tag(tag: u8) -> Result<LogKind, String> {
        match tag {
            0 => Ok(LogKind::Catalog),
            1 => Ok(LogKind::Partition),
            3 => Ok(LogKind::Tree),
            _ => Err(format!("its log is of kind {tag}, which this torc cannot read: it was written by a newer one")),
        }
    }

    /// Fails unless a group may have a log of this kind: there is one tree, and it has nothing else.
    pub fn check_group(self, id: GroupId) -> Result<(), String> {
        if (self == LogKind::Tree) == (id == GroupId::TREE) {
            return Ok(());
        }
        Err(format!("its log is of kind {}, which is not that group's", self as u8))
    }

    /// The kind of a group whose log does not say, as logs did before there were tags.
    pub fn of_group(id: GroupId) -> LogKind {
        match id {
            GroupId::CATALOG => LogKind::Catalog,
            GroupId::TREE => LogKind::Tree,
            _ => LogKind::Partition,
        }
    }
}

/// The state that a group's log makes.
pub enum Meaning {
    Catalog(Box<CatalogLog>),
    Partition(PartitionLog),
    Tree(Box<TreeLog>),
}

/// What newly committed entries did.
#[derive(Debug)]
pub enum Applied {
    /// Changes of the catalog, with the entries that made them.
    Catalog(Vec<(Index, Change)>),
    /// Records before a new log start are gone.
    Partition { trimmed: bool },
    /// Nothing yet: whoever has the tree's clients applies what is committed, as they are told of it on the way.
    Tree,
}

impl Meaning {
    /// Of a log without entries.
    pub fn new(kind: LogKind, settings: &Settings) -> Meaning {
        match kind {
            LogKind::Catalog => Meaning::Catalog(Box::new(CatalogLog::new(settings))),
            LogKind::Partition => Meaning::Partition(PartitionLog::new()),
            LogKind::Tree => Meaning::Tree(Box::new(TreeLog::new(settings))),
        }
    }

    /// The meaning of the same kind of log that begins with this state, as a leader tells it to a member that lacks what came
    /// before.
    pub fn starting_with(&self, state: &[u8]) -> Result<Meaning, String> {
        match self {
            Meaning::Catalog(catalog) => Ok(Meaning::Catalog(Box::new(catalog.decode_start(state)?))),
            Meaning::Partition(_) => PartitionLog::decode_start(state).map(Meaning::Partition),
            Meaning::Tree(_) => Err("the tree comes in parts".into()),
        }
    }

    /// Which it is.
    pub fn kind(&self) -> LogKind {
        match self {
            Meaning::Catalog(_) => LogKind::Catalog,
            Meaning::Partition(_) => LogKind::Partition,
            Meaning::Tree(_) => LogKind::Tree,
        }
    }

    /// The records' side of a log that has records.
    pub fn partition(&self) -> Option<&PartitionLog> {
        match self {
            Meaning::Partition(partition) => Some(partition),
            Meaning::Catalog(_) | Meaning::Tree(_) => None,
        }
    }

    /// The same, to change it.
    pub fn partition_mut(&mut self) -> Option<&mut PartitionLog> {
        match self {
            Meaning::Partition(partition) => Some(partition),
            Meaning::Catalog(_) | Meaning::Tree(_) => None,
        }
    }

    /// A term begins with the no-op at `index`.
    pub fn begin_term(&mut self, epoch: LeaderEpoch, index: Index) {
        match self {
            Meaning::Partition(partition) => partition.begin_term(epoch, index),
            Meaning::Catalog(_) | Meaning::Tree(_) => {}
        }
    }

    /// Takes in an entry that recovery found or a leader has sent, behind all that were there before. It waits for its
    /// commit.
    pub fn replay(&mut self, item: &Item) -> Result<(), String> {
        match self {
            Meaning::Catalog(catalog) => catalog.replay(item),
            Meaning::Partition(partition) => partition.replay(item),
            Meaning::Tree(tree) => tree.replay(item),
        }
    }

    /// What is wrong with an entry of a log that ends there; nothing changes.
    pub fn check(&self, item: &Item, end: End) -> Result<(), String> {
        match self {
            Meaning::Catalog(_) => CatalogLog::check(item),
            Meaning::Partition(_) => PartitionLog::check(item, end),
            Meaning::Tree(_) => TreeLog::check(item),
        }
    }

    /// The end of the log's records behind entry `index`, which is applied last or one of those behind it.
    pub fn end_at(&self, index: Index) -> Offset {
        self.partition().map_or(Offset(0), |partition| partition.state().end_at(index))
    }

    /// The same, for who checks the entry that follows.
    pub fn end_behind(&self, index: Index) -> End {
        self.partition().map_or(End::at(Offset(0)), |partition| partition.end_behind(index))
    }

    /// Entries from `from` on, none of which is committed, are replaced: they were never there.
    pub fn cut(&mut self, from: Index) {
        match self {
            Meaning::Catalog(catalog) => catalog.cut(from),
            Meaning::Partition(partition) => partition.cut(from),
            Meaning::Tree(tree) => tree.cut(from),
        }
    }

    /// The first and the last entry that it has taken in, and that wait for their commit.
    pub fn pending(&self) -> Option<(Index, Index)> {
        match self {
            Meaning::Catalog(catalog) => {
                let mut pending = catalog.state().pending().map(|(index, _)| *index);
                let first = pending.next()?;
                Some((first, pending.last().unwrap_or(first)))
            }
            Meaning::Partition(partition) => partition.state().pending(),
            Meaning::Tree(tree) => tree.pending(),
        }
    }

    /// All entries through `through` are committed.
    pub fn apply(&mut self, through: Index) -> Applied {
        match self {
            Meaning::Partition(partition) => Applied::Partition { trimmed: partition.apply(through) },
            Meaning::Catalog(catalog) => Applied::Catalog(catalog.apply(through)),
            Meaning::Tree(_) => Applied::Tree,
        }
    }

    /// Appends it for a checkpoint's section of groups. Of the catalog and the tree that is their kind alone: their states have
    /// sections of their own ([`CatalogLog::encode`], [`TreeLog::walk`]).
    pub fn encode(&self, out: &mut Vec<u8>) {
        let tag = self.kind() as u8;
        match self {
            // A list stands before the tag, in which older torcs had trims.
            Meaning::Partition(partition) => partition.encode(tag, out),
            Meaning::Catalog(_) | Meaning::Tree(_) => {
                put_list(out, [].into_iter());
                out.push(tag);
            }
        }
    }

    /// Takes it off the front of `bytes`.
    pub fn decode(settings: &Settings, bytes: &mut &[u8]) -> Result<Meaning, String> {
        const SHORT: &str = "its state is cut short";
        let trims = take_list(bytes).ok_or(SHORT)?;
        let (tag, rest) = bytes.split_first().ok_or(SHORT)?;
        *bytes = rest;
        match LogKind::of_tag(*tag)? {
            LogKind::Partition => Ok(Meaning::Partition(PartitionLog::decode(trims, bytes)?)),
            kind @ (LogKind::Catalog | LogKind::Tree) => Ok(Meaning::new(kind, settings)),
        }
    }
}

/// The members that an entry of kind [`kind::MEMBERS`] names.
pub fn members(item: &Item) -> Result<Configuration, String> {
    let rest = &mut &item.bytes[..];
    match take_configuration(rest) {
        Ok(members) if rest.is_empty() => Ok(members),
        Ok(_) => Err("members with bytes behind them".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// Appends a list of pairs, after their number.
pub fn put_list(out: &mut Vec<u8>, list: impl ExactSizeIterator<Item = [u64; 2]>) {
    out.extend_from_slice(&(list.len() as u64).to_le_bytes());
    for pair in list {
        pair.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
    }
}

/// Takes a number off the front of `rest`.
pub fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(u64::from_le_bytes(*head))
}

/// Takes `N` numbers off the front of `rest`.
pub fn take_numbers<const N: usize>(rest: &mut &[u8]) -> Option<[u64; N]> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = take_u64(rest)?;
    }
    Some(numbers)
}

/// Takes a list of pairs off the front of `rest`.
pub fn take_list(rest: &mut &[u8]) -> Option<Vec<[u64; 2]>> {
    let count = take_u64(rest)?;
    if count > rest.len() as u64 / 16 {
        return None;
    }
    (0..count).map(|_| take_numbers(rest)).collect()
}

#[cfg(test)]
#[path = "meaning_tests.rs"]
mod tests;
