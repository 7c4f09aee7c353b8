//! What must hold after every step (Raft, figure 3), seen from outside all members.

use super::Member;
use super::disk::{Disk, Entry};
use std::collections::BTreeMap;
use torc_base::ids::{Index, NodeId, Term};
use torc_consensus::{Configuration, HardState, Mark, Output, Raft};

/// What has been seen so far.
#[derive(Default)]
pub struct Checks {
    /// Who led which term.
    pub leaders: BTreeMap<Term, NodeId>,
    /// Every entry that any member has ever committed, with the term in which it was first seen to be.
    pub committed: BTreeMap<Index, (Entry, Term)>,
    /// Every entry ever appended, and the one before it.
    appended: BTreeMap<Mark, (u64, Mark)>,
    /// Who got the vote of which disk in which term.
    votes: BTreeMap<(NodeId, u64, Term), NodeId>,
    disks_lost: bool,
}

impl Checks {
    /// From now on an acknowledged entry may be on fewer disks than were counted.
    pub fn loses_a_disk(&mut self) {
        self.disks_lost = true;
    }

    /// A vote was given. Only once in a term, as long as the disk lives, and the disk knows of it.
    pub fn voted(&mut self, voter: NodeId, life: u64, term: Term, candidate: NodeId, disk: HardState) {
        let known = disk.term > term || (disk.term == term && disk.vote == Some(candidate));
        assert!(known, "vote durable: node {voter} votes for {candidate} in term {term}, its disk has {disk:?}");
        let first = *self.votes.entry((voter, life, term)).or_insert(candidate);
        assert_eq!(first, candidate, "vote once: node {voter} votes twice in term {term}");
    }

    /// Log matching: the same place in two logs is the same entry, behind the same one.
    pub fn appended(&mut self, log: &Disk, first: Index) {
        for index in first.0..=log.last_mark().index.0 {
            let mark = log.mark(Index(index)).expect("just appended");
            let before = log.mark(Index(index - 1)).expect("the one before");
            let id = log.entry(Index(index)).expect("just appended").id;
            let known = *self.appended.entry(mark).or_insert((id, before));
            assert_eq!(known, (id, before), "log matching: entry {}/{index} and the one before", mark.term);
        }
    }

    pub fn stepped(&mut self, before: &Raft, out: &Output, member: &Member, members: &BTreeMap<NodeId, Member>) {
        let (raft, id) = (&member.raft, member.settings.id);
        let (old, new) = (before.marks(), raft.marks());
        assert!(new.committed >= old.committed, "commit never goes back: {} to {}", old.committed, new.committed);
        assert_eq!(raft.log().last(), member.log.last_mark().index, "what was handed out is what is known");
        if raft.is_leader() {
            let leader = *self.leaders.entry(raft.term()).or_insert(id);
            assert_eq!(leader, id, "election safety: two leaders of term {}", raft.term());
            if !before.is_leader() {
                self.has_all_committed(raft);
            }
        }
        if let Some(restore) = &out.restore {
            assert_eq!(
                restore.replaced,
                before.configurations()[0],
                "what is in front of it speaks of what was before"
            );
            self.restored(raft, restore.mark);
        }
        if let Some(through) = out.committed {
            for index in new.applied.0 + 1..=through.0 {
                self.committed(member, Index(index));
            }
            let own = !before.is_leader() || raft.log().term_at(through) == Some(before.term());
            assert!(own, "own term: a leader of term {} commits {through} by count", before.term());
            // The leader counts with the members that it knew when it did.
            if before.is_leader() && !self.disks_lost {
                self.is_on_a_quorum(before.configuration().1, through, members);
            }
        }
    }

    /// Leader completeness: a new leader has what was committed in terms before its own.
    fn has_all_committed(&self, raft: &Raft) {
        for (&index, (entry, term)) in &self.committed {
            if *term < raft.term() && index.next() >= raft.log().first() {
                let has = raft.log().term_at(index);
                let (term, id) = (raft.term(), entry.term);
                assert_eq!(has, Some(id), "leader completeness: entry {index} and the leader of term {term}");
            }
        }
    }

    /// State machine safety: everybody commits the same entry at a place.
    fn committed(&mut self, member: &Member, index: Index) {
        let entry = member.log.entry(index).expect("in the log");
        let term = member.raft.term();
        let (known, _) = self.committed.entry(index).or_insert_with(|| (entry.clone(), term));
        assert_eq!(known, entry, "state machine safety: another entry {index} was committed");
    }

    /// A snapshot holds what was committed, and the members that were then.
    fn restored(&self, raft: &Raft, mark: Mark) {
        let (entry, _) = self.committed.get(&mark.index).expect("a snapshot holds what is committed");
        assert_eq!(entry.term, mark.term, "state machine safety: another snapshot at {}", mark.index);
        let configured = self.committed.range(..=mark.index).rev().find_map(|(_, (e, _))| e.configuration.as_ref());
        if let Some(configuration) = configured {
            assert_eq!(raft.configuration().1, configuration, "the members at {}", mark.index);
        }
    }

    /// What is committed is on the disks of a majority of the voters, of the old ones and of the new.
    fn is_on_a_quorum(&self, configuration: &Configuration, index: Index, members: &BTreeMap<NodeId, Member>) {
        let (entry, _) = &self.committed[&index];
        let holds = |id: NodeId| {
            let Some(Member { disk, .. }) = members.get(&id) else { return false };
            disk.base.index >= index || disk.entry(index) == Some(entry)
        };
        for half in [torc_consensus::Seat::votes_before, torc_consensus::Seat::votes_after] {
            let voters: Vec<_> = configuration.members().iter().filter(|m| half(m.seat)).collect();
            let holders = voters.iter().filter(|m| holds(m.id)).count();
            assert!(holders > voters.len() / 2, "durable: entry {index} is on {holders} of {} disks", voters.len());
        }
    }
}
