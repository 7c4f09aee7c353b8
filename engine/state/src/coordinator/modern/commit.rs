//! Who may commit and fetch offsets of a group of the consumer protocol.

use super::super::record::MemberValue;
use super::super::request::{Commit, Fetch};
use super::super::response::Refusal;
use super::{Consumer, Current};

impl Consumer {
    /// A member commits with its epoch, or with an older one for partitions that it has held since then: the answer
    /// that told it of the newer one may still be on its way.
    pub(in super::super) fn check_commit(&self, commit: &Commit) -> Result<(), Refusal> {
        if commit.generation < 0 && self.is_empty() {
            return Ok(());
        }
        let member = self.members.get(&commit.member).ok_or(Refusal::UnknownMemberId)?;
        let speaks_classic = |value: &MemberValue| value.classic.is_some();
        let is_classic = member.value.as_ref().is_some_and(speaks_classic);
        if !is_classic && !commit.knows_epochs {
            return Err(Refusal::UnsupportedVersion);
        }
        let stale = if is_classic { Refusal::IllegalGeneration } else { Refusal::StaleMemberEpoch };
        let current = member.current.as_ref().ok_or(stale)?;
        if commit.generation == current.epoch {
            return Ok(());
        }
        let is_older = (0..current.epoch).contains(&commit.generation);
        if !is_classic && is_older && has_held_all(current, commit) { Ok(()) } else { Err(stale) }
    }

    /// A member that says who it is must be one.
    pub(in super::super) fn check_fetch(&self, fetch: &Fetch) -> Result<(), Refusal> {
        let Some(member) = &fetch.member else { return Ok(()) };
        if fetch.epoch < 0 && (member.is_empty() || self.is_empty()) {
            return Ok(());
        }
        let member = self.members.get(member).ok_or(Refusal::UnknownMemberId)?;
        let is_current = member.current.as_ref().is_some_and(|current| current.epoch == fetch.epoch);
        if is_current { Ok(()) } else { Err(Refusal::StaleMemberEpoch) }
    }
}

/// True if the member has held every partition of the commit since the commit's epoch.
fn has_held_all(current: &Current, commit: &Commit) -> bool {
    commit.topics.iter().all(|topic| {
        topic.partitions.iter().all(|partition| {
            let since = current.assigned.epoch(topic.id, partition.index);
            let since = since.or_else(|| current.revoking.epoch(topic.id, partition.index));
            since.is_some_and(|since| since <= commit.generation)
        })
    })
}
