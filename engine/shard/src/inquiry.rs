//! Questions of other threads to a shard: what its groups have committed, where logs end, what topics take. The metrics endpoint
//! puts them when it is scraped; the shard answers in its next turns, and does nothing while nobody asks.

use crate::znodes::facts::{Detail, Facts, ListOf, ListPart, ListPlace};
use crate::znodes::words::Reset;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use torc_base::ids::{GroupId, Offset, ShardId};
use torc_state::coordinator::Text;

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inquiry {
    /// The consumer groups that are coordinated here, with what they have committed: whole groups, as long as there are no more
    /// than so many offsets.
    Groups { offsets_max: usize },
    /// Where these logs end, all of them owned by this shard.
    Ends(Vec<GroupId>),
    /// What topics take in this shard's log.
    Sizes,
    /// What is known of the service to ZooKeeper's clients, with these lists; numbers may begin anew behind it. Shard 0 knows.
    ZooKeeper { detail: Detail, reset: Option<Reset> },
    /// A part of a list that may be long, from that place on. Shard 0 knows.
    ZooKeeperList { of: ListOf, place: ListPlace },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Groups {
        groups: Vec<GroupProgress>,
        /// Groups that there was no room for.
        left_out: usize,
    },
    /// In the order of the question; `None`: nobody leads it here.
    Ends(Vec<Option<Offset>>),
    /// Bytes of record batches, by topic; those of topics without metrics of their own together.
    Sizes { topics: Vec<(String, u64)>, others: u64 },
    /// `None`: ZooKeeper's clients are not served.
    ZooKeeper(Option<Box<Facts>>),
    /// The same.
    ZooKeeperList(Option<ListPart>),
}

/// A consumer group, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupProgress {
    pub group: Text,
    /// Kafka's words for its state and its type.
    pub state: &'static str,
    pub kind: &'static str,
    pub members: usize,
    pub offsets: Vec<PartitionProgress>,
}

/// What a group has committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionProgress {
    pub topic: Text,
    pub partition: i32,
    pub offset: i64,
    /// The partition's log and its owner; `None`: there is no such partition.
    pub log: Option<(ShardId, GroupId)>,
}

/// The place of the one question that is open. Both sides hold the lock only to put something in or take it out.
#[derive(Debug, Default)]
pub struct Inquiries {
    /// A question waits: all that a turn looks at while there is none.
    waits: AtomicBool,
    slot: Mutex<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Of the last question; an answer to an older one is nobody's.
    number: u64,
    question: Option<Inquiry>,
    answer: Option<(u64, Finding)>,
}

impl Inquiries {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a question, in the place of one that was not answered yet; returns its number. The shard may sleep.
    pub fn ask(&self, inquiry: Inquiry) -> u64 {
        let mut slot = self.slot();
        slot.number += 1;
        (slot.question, slot.answer) = (Some(inquiry), None);
        self.waits.store(true, Ordering::Release);
        slot.number
    }

    /// The answer to question `number`, once it is there.
    pub fn take(&self, number: u64) -> Option<Finding> {
        let mut slot = self.slot();
        slot.answer.take_if(|(of, _)| *of == number).map(|(_, finding)| finding)
    }

    /// For the shard: the question that waits, and its number.
    pub(crate) fn next(&self) -> Option<(u64, Inquiry)> {
        if !self.waits.load(Ordering::Relaxed) || !self.waits.swap(false, Ordering::Acquire) {
            return None;
        }
        let mut slot = self.slot();
        Some((slot.number, slot.question.take()?))
    }

    /// For the shard: the answer.
    pub(crate) fn answer(&self, number: u64, finding: Finding) {
        self.slot().answer = Some((number, finding));
    }
}
