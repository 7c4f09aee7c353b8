//! Why the owner of a log does not do what it is asked, or will not. Protocols put it into words of their own:
//! `kafka/refusals.rs` has Kafka's codes.

use torc_state::partition;

/// A reason that whoever asked can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The group is not here, does not serve yet, or another node leads it: whoever asks shall look again.
    NotLeader,
    /// The group was dropped meanwhile.
    Gone,
    /// The log takes nothing: the disk is full, or the log is fenced. Or what was asked for cannot be read from it.
    Storage,
    /// Such an entry fits into no segment of the log.
    TooLarge,
    /// No record has the offset.
    OffsetOutOfRange,
    /// Who asks believes in a leader that has been replaced.
    OldEpoch,
    /// Who asks knows of a leader that is not known here yet.
    NewEpoch,
    /// Too few replicas are in sync for what the topic demands (`min.insync.replicas`).
    TooFewInSync,
    /// The same, found out when it was in the log already.
    FewerInSync,
    /// What is in the log is not sound.
    Damaged,
    /// The producer's numbering does not fit.
    Producer(partition::Refusal),
}

impl Refusal {
    /// True if it helps to know who leads the group.
    pub fn is_of_leader(self) -> bool {
        matches!(self, Refusal::NotLeader | Refusal::OldEpoch)
    }
}

impl From<partition::Refusal> for Refusal {
    fn from(refusal: partition::Refusal) -> Refusal {
        Refusal::Producer(refusal)
    }
}
