//! The follower's half: entries that a leader sends, entries that are taken back because another leader replaced them, and
//! the end of this node's own leadership. Nothing here waits for a client, and no client's memory is needed for it.

use super::hard_state::encode_state;
use super::propose::Mark;
use super::{Groups, Notice, Out, Phase};
use crate::group::{Group, Waiter};
use crate::mail::Led;
use crate::meaning::{LogKind, kind, members};
use crate::memory::Budget;
use crate::refusal::Refusal;
use std::collections::VecDeque;
use torc_base::ids::{BatchSeq, GroupId, Index, NodeId};
use torc_base::io::Level;
use torc_base::limits::PEER_HEAD_BYTES_MAX;
use torc_base::time::Mono;
use torc_consensus::{Append, Body, Input, Message, Restore};
use torc_wal::{Entry, Item, State, Wal};

/// What stands beside a group's state where that is written as one entry, at most.
pub(super) const STATE_HEAD_BYTES: usize = PEER_HEAD_BYTES_MAX / 16;

/// Between two ticks of those groups that need some.
pub const TICK_MS: u64 = 100;

/// An entry as a leader sent it: checked, and in the memory that it came in.
#[derive(Debug)]
pub struct Sent {
    pub item: Item,
    /// Write it from where it lies.
    pub gather: bool,
}

/// Why a leader's message was not taken in. It is as if it had been lost: the leader sends it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untaken {
    /// The group is not here, or the log takes nothing now.
    NotHere,
    /// There is no memory for its entries, or no disk for their records.
    NoRoom,
    /// What it brings is not what it says: whoever sent it is broken.
    Unsound(String),
}

/// Memory of entries that leaders have sent, until they are on this disk.
pub(super) struct Arrived {
    budget: Budget,
    /// By the batch that makes them durable, in the order of the log.
    waiting: VecDeque<(BatchSeq, usize)>,
}

impl Arrived {
    pub(super) fn new(limit: usize) -> Arrived {
        Arrived { budget: Budget::new(limit), waiting: VecDeque::new() }
    }

    pub(super) fn used(&self) -> usize {
        self.budget.used()
    }

    /// So many bytes wait for that batch.
    pub(super) fn take(&mut self, seq: BatchSeq, bytes: usize) {
        self.budget.take(bytes);
        self.waiting.push_back((seq, bytes));
    }
}

impl Groups {
    /// Takes in what another member says of a group, with the entries that it speaks of.
    pub fn receive(
        &mut self,
        out: &mut Out,
        id: GroupId,
        from: NodeId,
        mut message: Message,
        sent: Vec<Sent>,
    ) -> Result<(), Untaken> {
        if self.phase != Phase::Running || self.fenced().is_some() {
            return Err(Untaken::NotHere);
        }
        let group = self.groups.get(&id).ok_or(Untaken::NotHere)?;
        self.check(group, id, &message, &sent).map_err(Untaken::Unsound)?;
        let ends_parts = sent.first().is_some_and(|sent| sent.item.kind == kind::PARTS);
        if let Body::Append { configurations, .. } = &mut message.body {
            let changes = sent.iter().filter(|sent| sent.item.kind == kind::MEMBERS);
            for Sent { item, .. } in changes {
                configurations.push((item.index, members(item).map_err(Untaken::Unsound)?));
            }
        }
        let bytes: usize = sent.iter().map(|sent| sent.item.bytes.len()).sum();
        // The reserve of a full disk is for what makes room.
        let has_records = || sent.iter().any(|sent| sent.item.kind == kind::RECORDS);
        if !self.has_memory_for_sent(bytes) || self.wal.state() == State::Full && has_records() {
            return Err(Untaken::NoRoom);
        }
        let group = self.groups.get_mut(&id).expect("just seen");
        let result = group.raft.step(Input::Message { from, message }, &mut self.output);
        assert!(result.is_ok(), "only proposals are refused");
        self.carry_out_with(out, id, sent);
        if ends_parts {
            // It may have turned out not to be needed.
            self.tree_starts.give_up_taking();
        }
        self.heard_replica(out, id, from);
        Ok(())
    }

    /// True if there is memory for entries of other nodes: one message is taken whatever its size, or it would never be.
    fn has_memory_for_sent(&self, bytes: usize) -> bool {
        let budget = &self.arrived.budget;
        bytes <= budget.free() || budget.used() == 0
    }

    /// The same, and room on the disk.
    pub(super) fn has_room_for_sent(&self, bytes: usize) -> bool {
        self.wal.state() != State::Full && self.has_memory_for_sent(bytes)
    }

    /// See [`check`].
    fn check(&self, group: &Group, id: GroupId, message: &Message, sent: &[Sent]) -> Result<(), String> {
        let most = self.settings.wal.entry_bytes_max();
        // A state is written with the members and its mark.
        let beside = if matches!(message.body, Body::Snapshot { .. }) { STATE_HEAD_BYTES } else { 0 };
        if let Some(long) = sent.iter().map(|sent| sent.item.bytes.len() + beside).find(|bytes| *bytes > most) {
            return Err(format!(
                "an entry of {long} bytes, and the log here, with segments of {} bytes, takes {most} at most: this node needs \
                 a new data directory with larger segments (torc.wal.segment.bytes)",
                self.settings.wal.segment_bytes
            ));
        }
        let Body::Snapshot { mark, .. } = message.body else { return check(group, id, message, sent) };
        match sent {
            [Sent { item, .. }] if item.kind == kind::STATE => group.meaning.starting_with(&item.bytes).map(|_| ()),
            [Sent { item, .. }] if item.kind == kind::PARTS && id == GroupId::TREE => {
                self.check_parts(mark, &item.bytes)
            }
            _ => Err("a snapshot without a state".into()),
        }
    }

    /// Writes the entries that consensus has accepted of those that were sent.
    pub(super) fn write_sent(&mut self, id: GroupId, append: &Append, sent: Vec<Sent>) {
        let group = self.groups.get_mut(&id).expect("consensus spoke for it");
        let mut next = append.first;
        let mut bytes = 0;
        let mut seq = BatchSeq(0);
        for Sent { mut item, gather } in sent {
            if item.index < append.first || item.index > append.last {
                continue;
            }
            assert_eq!(item.index, next, "a leader's entries are adjacent");
            next = next.next();
            if item.kind == kind::HOLE {
                // Offsets never go back in the log, whatever another member knew of them.
                item.first_offset = item.first_offset.max(group.meaning.end_at(item.index));
            }
            group.meaning.replay(&item).expect("checked before consensus was asked");
            bytes += item.bytes.len();
            group.digests.received(&item);
            seq = append_to(&mut self.wal, item, gather);
        }
        assert_eq!(next, append.last.next(), "consensus accepts what was sent");
        if self.fenced().is_none() {
            self.arrived.take(seq, bytes);
        } else {
            self.arrived.budget.take(bytes);
        }
        self.track(seq, id, Mark::Log { cut: append.cut, through: append.last });
    }

    /// A leader's state takes the place of the log and of what it meant, on the disk with one entry.
    pub(super) fn restore(&mut self, out: &mut Out, id: GroupId, restore: Restore, sent: Vec<Sent>) {
        let Item { kind: sent_as, bytes: state, .. } =
            sent.into_iter().next().expect("checked before consensus was asked").item;
        let parts = (sent_as == kind::PARTS).then(|| self.take_parts());
        let group = self.groups.get_mut(&id).expect("consensus spoke for it");
        group.waiters_mut().for_each(|waiters| refuse(out, waiters, Index(0)));
        let watchers: Vec<_> = group.watchers.iter().map(|(_, asker)| *asker).collect();
        group.digests = crate::groups::Digests::default();
        group.meaning = parts.unwrap_or_else(|| group.meaning.starting_with(&state).expect("checked as well"));
        let kind_of_log = group.meaning.kind();
        let payload = encode_state(restore.mark, group.raft.configuration().1, &state);
        let through = restore.mark.index;
        let mut nothing = torc_consensus::Output::default();
        group.raft.step(Input::Applied { through }, &mut nothing).expect("only proposals are refused");
        assert!(nothing.is_empty());
        self.compaction.forget(id);
        self.wal.restart_group(id);
        let seq = self.write_internal(id, sent_as, Index(0), &payload);
        self.track(seq, id, Mark::Log { cut: restore.cut, through });
        let taken = |what: &str| format!("{what} is taken over from its leader as it was at entry {through}");
        match kind_of_log {
            LogKind::Catalog => {
                out.log(Level::Info, taken("the catalog"));
                out.notices.push_back(Notice::CatalogReplaced);
            }
            LogKind::Tree => {
                out.log(Level::Info, taken("the tree of znodes"));
                out.notices.push_back(Notice::TreeReplaced);
            }
            LogKind::Partition => {}
        }
        // Consumers that read here may find that what they wait for is gone.
        self.wake_all(out, watchers);
    }

    /// Everything through batch `seq` is on this disk.
    pub(super) fn give_back(&mut self, seq: BatchSeq) {
        while let Some(&(at, bytes)) = self.arrived.waiting.front()
            && at <= seq
        {
            self.arrived.waiting.pop_front();
            self.arrived.budget.give(bytes);
        }
    }

    /// Entries from `from` on are not to be: another leader replaces them. They are taken out of what the log means, and
    /// whoever waits for one of them shall look for the leader; the log itself forgets them with the next entry.
    pub(super) fn take_back(&mut self, out: &mut Out, id: GroupId, from: Index) {
        let group = self.groups.get_mut(&id).expect("consensus spoke for it");
        group.meaning.cut(from);
        group.digests.cut(from);
        group.waiters_mut().for_each(|waiters| refuse(out, waiters, from));
    }

    /// This node does not lead the group, or leads it no longer: what waits for it is answered so.
    pub fn step_down(&mut self, out: &mut Out, id: GroupId) {
        let group = self.groups.get_mut(&id).expect("consensus spoke for it");
        group.term_start = None;
        group.in_sync = None;
        self.balance.left(id);
        group.waiters_mut().for_each(|waiters| refuse(out, waiters, Index(0)));
        if std::mem::take(&mut group.serving) {
            let is_partition = group.meaning.partition().is_some();
            let watchers: Vec<_> = group.watchers.iter().map(|(_, asker)| *asker).collect();
            self.wake_all(out, watchers);
            if is_partition {
                self.new_leaders.push(Led::lost(id, self.settings.node));
            }
            out.notices.push_back(Notice::Lost(id));
        }
    }

    /// This node is to lead nothing any more: it stops, or its disk has failed. What it has for itself it keeps.
    pub fn resign(&mut self, out: &mut Out) {
        let led = self.groups.iter().filter(|(_, group)| group.raft.is_leader() && !group.is_alone());
        let led: Vec<GroupId> = led.map(|(id, _)| *id).collect();
        led.into_iter().for_each(|id| self.step(out, id, Input::Resign));
    }

    /// Groups get ticks as long as consensus wants some.
    pub(super) fn note_ticks(&mut self, now: Mono, id: GroupId) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let needs = group.raft.needs_ticks();
        if needs == group.ticks {
            return;
        }
        group.ticks = needs;
        if !needs {
            self.ticking.remove(&id);
        } else if self.ticking.insert(id) && self.ticking.len() == 1 {
            self.next_tick = now.plus_ms(TICK_MS);
        }
    }

    /// Time passes for those groups that need to know.
    pub(super) fn turn_ticks(&mut self, out: &mut Out) {
        if self.ticking.is_empty() {
            self.backlog = 0;
        }
        if self.ticking.is_empty() || out.now.mono < self.next_tick {
            return;
        }
        self.next_tick = out.now.mono.plus_ms(TICK_MS);
        for id in self.ticking.iter().copied().collect::<Vec<_>>() {
            self.step(out, id, Input::Tick);
        }
        self.note_backlog();
    }

    /// When ticks are due, if any group needs them.
    pub(super) fn tick_deadline(&self) -> Option<Mono> {
        (!self.ticking.is_empty()).then_some(self.next_tick)
    }
}

fn refuse(out: &mut Out, waiters: &mut VecDeque<Waiter>, from: Index) {
    let at = waiters.partition_point(|waiter| waiter.index < from);
    out.answers.extend(waiters.drain(at..).map(|waiter| waiter.refused(Refusal::NotLeader)));
}

fn append_to(wal: &mut Wal, item: Item, gather: bool) -> BatchSeq {
    let Item { group, kind, term, index, first_offset, records, max_timestamp, prefix_len, body_crc, bytes } = item;
    let entry =
        Entry { group, kind, term, index, first_offset, records, max_timestamp, bytes, prefix_len, body_crc, gather };
    wal.append(entry)
}

/// Says what is wrong with entries that a message brings: consensus trusts that they are what it says, and the state that
/// they fit.
fn check(group: &Group, id: GroupId, message: &Message, sent: &[Sent]) -> Result<(), String> {
    let Body::Append { prev, runs, .. } = &message.body else {
        return if sent.is_empty() { Ok(()) } else { Err("entries with a message that names none".into()) };
    };
    let count: u64 = runs.iter().map(|run| u64::from(run.entries)).sum();
    if count != sent.len() as u64 {
        return Err(format!("{count} entries were named and {} sent", sent.len()));
    }
    // A leader of the past may say what was replaced since: consensus takes nothing of it.
    if message.term < group.raft.term() {
        return Ok(());
    }
    let applied = group.raft.marks().applied;
    // Where the logs do not agree nothing is taken in, and offsets may differ.
    let agrees = prev.index < applied || group.raft.log().term_at(prev.index) == Some(prev.term);
    let mut end = (agrees && prev.index >= applied).then(|| group.meaning.end_behind(prev.index));
    let terms = runs.iter().flat_map(|run| std::iter::repeat_n(run.term, run.entries as usize));
    for (at, (Sent { item, .. }, term)) in sent.iter().zip(terms).enumerate() {
        let index = prev.index.plus(at as u64 + 1);
        if (item.group, item.index, item.term) != (id, index, term) {
            let (of, found, its) = (item.group, item.index, item.term);
            return Err(format!("instead of entry {index} of term {term}: entry {found} of term {its} of group {of}"));
        }
        if agrees && index > applied {
            let end = *end.get_or_insert_with(|| group.meaning.end_behind(applied));
            group.meaning.check(item, end).map_err(|what| format!("entry {index}: {what}"))?;
        }
        end = end.map(|end| end.behind(item));
    }
    Ok(())
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
