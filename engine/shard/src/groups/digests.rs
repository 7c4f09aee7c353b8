//! Digests of what replicas have committed, compared as long as there is traffic.
//!
//! Each replica adds up what it commits by ranges of [`RANGE`] entries, which begin at the same indexes everywhere: terms,
//! kinds, offsets and checksums as the entries came in. Whoever leads tells the others its digest of each range that is
//! whole, with the frames that leave in that turn anyway; they compare it with theirs. Raft promises that there is no
//! difference: one is a fault of a program or of memory, and is named with its range. Ranges of which a replica did not see
//! everything (its start, a state in the place of entries, what compaction has left out) it does not compare.

use super::{Groups, Out};
use crate::batch;
use crate::mail::Mail;
use crate::meaning::kind;
use crate::stats::add;
use std::collections::{BTreeMap, VecDeque};
use torc_base::ids::{GroupId, Index, NodeId, Offset, Place, Term};
use torc_base::io::Level;
use torc_wal::{Entry, Item, Kind};

/// Entries of a range.
pub const RANGE: u64 = 64;
/// Ranges that a replica keeps for the comparison, and words of leaders that it keeps until it has committed as much.
const KEPT: usize = 4;

/// A leader's word: the range that ends at this entry has this digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    pub group: GroupId,
    pub last: Index,
    pub digest: u64,
}

/// What a group adds up.
#[derive(Debug, Default)]
pub struct Digests {
    /// Entries that wait for their commit, each with its own digest; none for what the others may have in another form.
    pending: VecDeque<(Index, Option<u64>)>,
    /// The last entry that was added up, and the digest of its range until there; none if not all of it was seen.
    at: Index,
    open: Option<u64>,
    whole: VecDeque<(Index, u64)>,
    told: VecDeque<(Index, u64, NodeId)>,
    /// Ranges that differ from a leader's, since the start.
    differences: u64,
}

/// What identifies an entry, mixed into one number.
fn mix(parts: [u64; 6]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |sum, part| {
        let x = (sum ^ part).wrapping_mul(0xff51_afd7_ed55_8ccd);
        x ^ x >> 32
    })
}

/// What an entry counts for: its place, its offsets and its checksum. `None`: the others may have it in another form.
fn of_entry(of: Kind, at: (Term, Index), range: (Offset, u32), crc: u32) -> Option<u64> {
    let parts = [at.0.get(), at.1.get(), of.0.into(), range.0.0 as u64, range.1.into(), crc.into()];
    (of != kind::HOLE).then(|| mix(parts))
}

impl Digests {
    /// An entry that this replica appends.
    pub(super) fn appended(&mut self, e: &Entry) {
        let (at, range) = ((e.term, e.index), (e.first_offset, e.records));
        self.push(e.index, of_entry(e.kind, at, range, e.body_crc));
    }

    /// An entry that a leader has sent.
    pub(super) fn received(&mut self, e: &Item) {
        let (at, range) = ((e.term, e.index), (e.first_offset, e.records));
        // Whoever leads may have told the digest of what compaction has taken something of since.
        let is_whole = batch::is_as_it_came(e);
        self.push(e.index, of_entry(e.kind, at, range, e.body_crc).filter(|_| is_whole));
    }

    fn push(&mut self, index: Index, digest: Option<u64>) {
        self.cut(index);
        self.pending.push_back((index, digest));
    }

    /// Entries from `from` on were replaced.
    pub(super) fn cut(&mut self, from: Index) {
        while self.pending.back().is_some_and(|(index, _)| *index >= from) {
            self.pending.pop_back();
        }
    }

    /// Entries through `through` are committed. The ranges that became whole by that.
    pub(super) fn committed(&mut self, through: Index) -> Vec<(Index, u64)> {
        let mut ended = Vec::new();
        while let Some((index, digest)) = self.pending.front().copied().filter(|(index, _)| *index <= through) {
            self.pending.pop_front();
            if (index.get() - 1).is_multiple_of(RANGE) {
                self.open = Some(0);
            } else if index != self.at.next() {
                self.open = None;
            }
            self.at = index;
            self.open = self.open.zip(digest).map(|(sum, one)| mix([sum, one, 0, 0, 0, 0]));
            if index.get().is_multiple_of(RANGE)
                && let Some(sum) = self.open.take()
            {
                ended.push((index, sum));
                keep(&mut self.whole, (index, sum));
            }
        }
        ended
    }

    /// A leader's digest of a range; this replica's, if it has one.
    fn compare(&mut self, last: Index, digest: u64, from: NodeId) -> Option<u64> {
        if last > self.at {
            keep(&mut self.told, (last, digest, from));
            return None;
        }
        self.whole.iter().find(|(at, _)| *at == last).map(|(_, sum)| *sum)
    }

    /// Ranges that differ from a leader's, since the start.
    pub(super) fn differences(&self) -> u64 {
        self.differences
    }

    /// What a leader has said of a range that is whole only now.
    fn said_of(&mut self, last: Index) -> Option<(u64, NodeId)> {
        let at = self.told.iter().position(|(of, ..)| *of == last)?;
        self.told.remove(at).map(|(_, digest, from)| (digest, from))
    }
}

fn keep<T>(list: &mut VecDeque<T>, new: T) {
    if list.len() == KEPT {
        list.pop_front();
    }
    list.push_back(new);
}

impl Groups {
    /// These ranges of a group are whole and committed: they are told, or compared with what was told of them.
    pub(super) fn tell_or_compare(&mut self, out: &mut Out, id: GroupId, ended: Vec<(Index, u64)>) {
        let Some(group) = self.groups.get(&id).filter(|group| !group.is_alone()) else { return };
        let leads = group.raft.is_leader();
        for (last, digest) in ended {
            if leads {
                self.digests_to_tell.push(Digest { group: id, last, digest });
            } else if let Some((said, from)) = self.groups.get_mut(&id).and_then(|group| group.digests.said_of(last)) {
                self.judge(out, id, last, digest, said, from);
            }
        }
    }

    /// Tells the other members what became whole in this turn.
    pub(super) fn tell_digests(&mut self) {
        if self.digests_to_tell.is_empty() {
            return;
        }
        let mut words: BTreeMap<Place, Vec<Digest>> = BTreeMap::new();
        for word in std::mem::take(&mut self.digests_to_tell) {
            let Some(group) = self.groups.get(&word.group) else { continue };
            for peer in group.raft.peers().iter().filter(|peer| peer.id != self.settings.node) {
                if let Some(place) = self.place_of(peer.id, word.group) {
                    words.entry(place).or_default().push(word);
                }
            }
        }
        for (place, words) in words {
            self.outboxes.post(place, Mail::Digests(words));
        }
    }

    /// A leader on that node has told digests.
    pub fn take_digests(&mut self, out: &mut Out, from: NodeId, words: Vec<Digest>) {
        for Digest { group: id, last, digest } in words {
            let Some(group) = self.groups.get_mut(&id).filter(|group| !group.raft.is_leader()) else { continue };
            if let Some(own) = group.digests.compare(last, digest, from) {
                self.judge(out, id, last, own, digest, from);
            }
        }
    }

    fn judge(&mut self, out: &mut Out, id: GroupId, last: Index, own: u64, said: u64, from: NodeId) {
        add(&self.stats.replica_ranges_compared_total, 1);
        if own == said {
            return;
        }
        add(&self.stats.replica_differences_total, 1);
        if let Some(group) = self.groups.get_mut(&id) {
            group.digests.differences += 1;
        }
        let first = Index(last.get() + 1 - RANGE);
        let text = format!(
            "group {id}: the entries {first} to {last} here are not those of node {from}, which leads: a fault of torc or of a \
             machine's memory. Keep the directories of both nodes for those who look into it; then let this replica begin anew: \
             stop this node, and start it with an empty data directory"
        );
        self.report_damage(out, Level::Error, &text);
    }
}

#[cfg(test)]
#[path = "digests_tests.rs"]
mod tests;
