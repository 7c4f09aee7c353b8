//! What leaves the log: by age, by size, by request. The decision is an entry of the group's own log.

use super::{Groups, Out};
use crate::group::{Reply, Waiter};
use crate::mail::{Answer, Asker};
use crate::meaning::{PartitionLog, encode_clock, kind};
use crate::refusal::Refusal;
use torc_base::ids::{GroupId, Index, Offset};
use torc_base::limits::DELETED_KEPT_SEGMENTS;
use torc_base::time::Mono;
use torc_consensus::{Input, Peer};
use torc_state::catalog::Topic;
use torc_state::config::TopicConfig;
use torc_state::retention::{self, Age};
use torc_wal::Run;

/// Groups that one turn looks at because a segment has been filled; the others wait for the next.
const OVERFULL_PER_TURN: usize = 64;

impl Groups {
    /// What a topic's partitions keep, from now on.
    pub fn set_cleanup(&mut self, config: &TopicConfig, groups: impl Iterator<Item = GroupId>) {
        for id in groups {
            if let Some(group) = self.groups.get_mut(&id) {
                (group.retention, group.compaction) = (config.retention(), config.compaction());
                if group.compaction.is_some() {
                    self.compaction.watch(id);
                }
            }
        }
    }

    /// Counts a topic from now on where it has its place.
    pub fn set_meter(&mut self, topic: &Topic, groups: &[GroupId]) {
        let meter = self.places.take(&self.stats.topics, topic.id, &topic.name);
        for id in groups {
            if let Some(group) = self.groups.get_mut(id) {
                group.meter = meter;
            }
        }
    }

    /// The topic is gone.
    pub fn drop_meter(&mut self, topic: &Topic) {
        if let Some(meter) = self.places.give_back(&self.stats.topics, topic.id) {
            self.forget_size(meter.place());
        }
    }

    /// Drops what is too old or too much, when the check is due.
    pub(super) fn retain(&mut self, out: &mut Out) {
        let now = out.now.mono;
        if now < self.next_retention || self.fenced().is_some() {
            return;
        }
        let first = self.next_retention == Mono(0);
        self.next_retention = now.plus_ms(self.settings.retention_check_interval_ms);
        if first {
            return;
        }
        for id in self.ids() {
            self.tell_time(out, id);
            self.retain_group(out, id);
            self.release_kept(now, id);
        }
    }

    /// Releases what was kept, though it is deleted, for members of a group that is led here: they have it by now, or are not waited for
    /// any more.
    fn release_kept(&mut self, now: Mono, id: GroupId) {
        let led = self.groups.get(&id).filter(|group| group.leads());
        let trimmed = |records: &PartitionLog| records.state().log_start() > Offset(0);
        if led.and_then(|group| group.meaning.partition()).is_some_and(trimmed) {
            self.release_trimmed(now, id);
        }
    }

    /// Has producers forgotten that have been idle for long: the leader's clock goes through the log, so that all replicas
    /// forget the same ones. Nothing is written while there is nothing to forget or to remember the time of.
    fn tell_time(&mut self, out: &mut Out, id: GroupId) {
        let Some(group) = self.groups.get(&id).filter(|group| group.leads()) else { return };
        let Some(records) = group.meaning.partition() else { return };
        let after_ms = self.settings.producer_expiration_ms;
        let Some(clock) = records.state().clock_to_tell(out.now.wall, after_ms) else { return };
        // The reserve of a full disk is for what makes room.
        if self.is_full() {
            return;
        }
        if let Ok(index) = self.propose_internal(out, id, kind::CLOCK, &encode_clock(clock)) {
            self.groups.get_mut(&id).expect("it took the proposal").records_mut().append_clock(index, clock);
        }
    }

    fn retain_group(&mut self, out: &mut Out, id: GroupId) {
        let Some(group) = self.groups.get(&id) else { return };
        let Some(records) = group.meaning.partition() else { return };
        if !group.leads() || records.state().is_trimming() {
            return;
        }
        let partition = records.state();
        let log_start = partition.log_start();
        let runs = self.wal.runs(id).iter().filter(|run| run.end_offset > log_start).map(|run| retention::Run {
            last_offset: Offset(run.end_offset.get() - 1),
            bytes: run.bytes,
            age: Age(run.max_timestamp),
        });
        let start = retention::new_log_start(runs, group.retention, out.now.wall, partition.high_watermark());
        // A refusal (the log was fenced meanwhile) leaves the records where they are.
        if let Some(start) = start {
            let _ = self.trim(out, id, start);
        }
    }

    /// A bound in bytes need not wait for the next check: it can be exceeded only when a segment has been filled.
    pub(super) fn retain_filled(&mut self, out: &mut Out) {
        for id in self.wal.take_filled() {
            if self.groups.get(&id).is_some_and(|group| group.retention.bytes >= 0) {
                self.overfull.insert(id);
            }
        }
        for _ in 0..self.overfull.len().min(OVERFULL_PER_TURN) {
            let id = self.overfull.pop_first().expect("counted");
            if self.fenced().is_none() {
                self.retain_group(out, id);
            }
        }
    }

    /// Appends the decision that records before `to` are gone.
    fn trim(&mut self, out: &mut Out, id: GroupId, to: Offset) -> Result<Index, Refusal> {
        let index = self.propose_internal(out, id, kind::TRIM, &to.get().to_le_bytes())?;
        self.groups.get_mut(&id).expect("it took the proposal").records_mut().append_trim(index, to);
        Ok(index)
    }

    /// Deletes records before the offsets named (-1: all that are committed), as DeleteRecords asks.
    pub fn delete_records(&mut self, out: &mut Out, asker: Asker, parts: Vec<(u32, GroupId, Offset)>) {
        for (position, id, to) in parts {
            match self.delete_before(out, id, to) {
                Ok(Some(index)) => {
                    let waiter = Waiter { index, asker, position, reply: Reply::Trimmed, times: Default::default() };
                    self.groups.get_mut(&id).expect("it took the proposal").wait_for_commit(waiter);
                }
                Ok(None) => {
                    let log_start = self.groups[&id].partition().log_start();
                    out.answers.push_back((asker, Answer::Deleted(vec![(position, Ok(log_start))])));
                }
                Err(refusal) => {
                    out.answers.push_back((asker, Answer::Deleted(vec![(position, Err(refusal))])));
                }
            }
        }
    }

    /// The entry whose commit deletes the records before `to`; `None` if they are gone. Entries of torc's own are taken
    /// even when the disk is full, so that a client must not get more of them than there are records to delete.
    fn delete_before(&mut self, out: &mut Out, id: GroupId, to: Offset) -> Result<Option<Index>, Refusal> {
        let group = self.groups.get(&id).ok_or(Refusal::NotLeader)?;
        if !group.leads() {
            return Err(Refusal::NotLeader);
        }
        let partition = group.partition();
        let to = if to == Offset(-1) { partition.high_watermark() } else { to };
        if to < Offset(0) || to > partition.high_watermark() {
            return Err(Refusal::OffsetOutOfRange);
        }
        if to <= partition.log_start() {
            return Ok(None);
        }
        match group.partition().pending_trim(to) {
            Some(index) => Ok(Some(index)),
            None => self.trim(out, id, to).map(Some),
        }
    }

    /// Frees the log of what lies before a group's start: whole runs, or all of it when no records are left.
    pub(super) fn release_trimmed(&mut self, now: Mono, id: GroupId) {
        let group = &self.groups[&id];
        let start = group.partition().log_start();
        let committed = group.raft.marks().committed;
        let runs = self.wal.runs(id);
        let (deleted, kept) = runs.split_at(runs.partition_point(|run| run.end_offset <= start));
        // What waits for its batch is in no run. A follower may have it from the same message that told of the deletion, and know of all
        // of it that it is committed.
        let below = match (kept.first(), deleted.last()) {
            (Some(run), _) => run.first_index,
            (None, Some(run)) => run.last_index.next(),
            (None, None) => return,
        };
        let below = below.min(committed.next());
        let lacked = self.lacked_of(now, id).map(|index| index.max(self.kept_from(deleted, kept)));
        let below = lacked.map_or(below, |index| index.min(below));
        if below > group.raft.log().first() {
            self.release(id, below);
        }
    }

    /// The first entry of a group that a member lacks for which the leader keeps it: one that can be reached. Who is gone is not waited
    /// for, nor who cannot take it. One whose disk is full gets no room by what retention says, since that stands behind what it does not
    /// take: it begins anew where the log does.
    fn lacked_of(&self, now: Mono, id: GroupId) -> Option<Index> {
        let raft = &self.groups[&id].raft;
        let takes = |peer: &Peer| !self.is_held(id, peer.id, peer.held.next()) && !self.refuses(now, id, peer);
        let others = raft.peers().iter().filter(|peer| peer.id != self.settings.node && !peer.suspected && takes(peer));
        others.map(|peer| peer.held.next()).min().filter(|_| raft.is_leader())
    }

    /// Where that begins which is kept at most of the deleted runs: a member that is slow is not to fill the leader's disk.
    fn kept_from(&self, deleted: &[Run], kept: &[Run]) -> Index {
        let bytes: u64 = kept.iter().map(|run| run.bytes).sum();
        let most = bytes.max(DELETED_KEPT_SEGMENTS * self.settings.wal.segment_bytes);
        let mut sum = 0;
        let fits = |run: &&Run| {
            sum += run.bytes;
            sum <= most
        };
        let first = deleted.iter().rev().take_while(fits).last().map(|run| run.first_index);
        first.or(deleted.last().map(|run| run.last_index.next())).unwrap_or_default()
    }

    /// A group without records needs none of its log: its state is in the checkpoint. A follower may need it, if there are
    /// any.
    pub(super) fn release_empty(&mut self, id: GroupId) {
        let group = &self.groups[&id];
        if !group.is_alone() {
            return;
        }
        let is_empty = |records: &PartitionLog| records.state().log_start() == records.state().end();
        let empty = group.meaning.partition().is_some_and(is_empty);
        if empty {
            self.release(id, group.raft.marks().committed.next());
        }
    }

    pub(super) fn release(&mut self, id: GroupId, below: Index) {
        self.wal.release(id, below);
        let group = self.groups.get_mut(&id).expect("the caller has it");
        let mut nothing = torc_consensus::Output::default();
        group.raft.step(Input::Released { first: below }, &mut nothing).expect("only proposals are refused");
        assert!(nothing.is_empty());
    }
}
