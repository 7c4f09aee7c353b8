//! A place in a group's log: consensus gives it, the write-ahead log gets the entry, and what becomes durable with it is
//! remembered.

use super::follow::Sent;
use super::{Groups, Out};
use crate::batch::NewBatch;
use crate::group::{Group, epoch_of};
use crate::meaning::{Meaning, kind};
use crate::refusal::Refusal;
use torc_base::crc::crc32c;
use torc_base::ids::{BatchSeq, GroupId, Index, Offset};
use torc_base::time::Mono;
use torc_consensus::wire::encode_configuration;
use torc_consensus::{Append, HardState, Input, Output, Role};
use torc_state::catalog::Command;
use torc_state::retention::Age;
use torc_wal::{Entry, Kind};

/// What becomes durable with a batch of the write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The group's log through this index, handed out with this cut.
    Log { cut: u32, through: Index },
    /// The group's hard state.
    HardState(HardState),
}

impl Mark {
    /// The cut of a log's mark.
    fn cut(self) -> Option<u32> {
        match self {
            Mark::Log { cut, .. } => Some(cut),
            Mark::HardState(_) => None,
        }
    }
}

/// Asks consensus for the next place in a group's log.
fn next_place(group: &mut Group, now: Mono, output: &mut Output) -> Result<Append, Refusal> {
    group.appending(now);
    group.raft.step(Input::Propose { entries: 1 }, output).map_err(|_| Refusal::NotLeader)?;
    let append = output.append.take().expect("an accepted proposal has a place");
    assert_eq!(append.first, append.last);
    Ok(append)
}

impl Groups {
    /// Puts records into the log that their partition admitted at `base`. The group, the entry's index, and the time of
    /// the append if the records are to have it, else -1.
    pub(super) fn append_batch(
        &mut self,
        out: &mut Out,
        id: GroupId,
        base: Offset,
        mut batch: NewBatch,
    ) -> Result<(&mut Group, Index, i64), Refusal> {
        let now = out.now.wall;
        let group = self.groups.get_mut(&id).ok_or(Refusal::NotLeader)?;
        let append = next_place(group, out.now.mono, &mut self.output)?;
        let append_time = batch.place(base, group.epoch(), now);
        let bytes = batch.bytes.len() as u32;
        group.records_mut().append(append.first, base, &batch.incoming(), bytes);
        let entry = batch.into_entry(id, &append, base, now);
        if !group.is_alone() {
            group.digests.appended(&entry);
        }
        let seq = self.wal.append(entry);
        group.wrote(seq, Some(append.cut));
        self.track_written(seq, id, Mark::Log { cut: append.cut, through: append.last });
        self.carry_out(out, id);
        let group = self.groups.get_mut(&id).expect("it took the batch");
        Ok((group, append.first, append_time))
    }

    /// Appends a command to the catalog's log; [`super::Notice::CatalogApplied`] tells what it did.
    pub fn propose_command(&mut self, out: &mut Out, command: Command) -> Result<Index, Refusal> {
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        if bytes.len() > self.entry_bytes_max(GroupId::CATALOG) {
            return Err(Refusal::TooLarge);
        }
        let index = self.propose_internal(out, GroupId::CATALOG, kind::COMMAND, &bytes)?;
        self.catalog_mut().append(index, command);
        Ok(index)
    }

    /// Appends an entry of torc's own. Such entries are taken even when the disk is full: the reserve is for them.
    pub(super) fn propose_internal(
        &mut self,
        out: &mut Out,
        id: GroupId,
        kind: Kind,
        payload: &[u8],
    ) -> Result<Index, Refusal> {
        self.propose_internal_with(out, id, kind, payload, |_, _| {})
    }

    /// The same; `note` is told the entry's place before anything comes of it.
    pub(super) fn propose_internal_with(
        &mut self,
        out: &mut Out,
        id: GroupId,
        kind: Kind,
        payload: &[u8],
        note: impl FnOnce(&mut Meaning, Index),
    ) -> Result<Index, Refusal> {
        if self.fenced().is_some() {
            return Err(Refusal::Storage);
        }
        let group = self.groups.get_mut(&id).filter(|group| group.leads()).ok_or(Refusal::NotLeader)?;
        assert!(payload.len() <= self.settings.wal.entry_bytes_max(), "whoever makes long ones asks before");
        let append = next_place(group, out.now.mono, &mut self.output)?;
        note(&mut group.meaning, append.first);
        let seq = self.write_internal(id, kind, append.first, payload);
        self.track(seq, id, Mark::Log { cut: append.cut, through: append.last });
        self.carry_out(out, id);
        Ok(append.first)
    }

    pub(super) fn write_internal(&mut self, id: GroupId, kind: Kind, index: Index, payload: &[u8]) -> BatchSeq {
        let group = &self.groups[&id];
        if id == GroupId::TREE {
            // Whoever has no other members to tell is its only reader, and has applied it.
            self.wal.note_readers(id, !group.is_alone());
        }
        let term = group.raft.term();
        let end = group.meaning.partition().map_or(Offset(0), |records| records.state().end());
        let entry = Entry {
            group: id,
            kind,
            term,
            index,
            first_offset: end,
            records: 0,
            max_timestamp: Age::NONE.0,
            bytes: self.packer.put(payload),
            prefix_len: 0,
            body_crc: crc32c(payload),
            gather: false,
        };
        if index > Index(0)
            && let Some(group) = self.groups.get_mut(&id).filter(|group| !group.is_alone())
        {
            group.digests.appended(&entry);
        }
        self.wal.append(entry)
    }

    /// Remembers what becomes durable with batch `seq`.
    pub(super) fn track(&mut self, seq: BatchSeq, id: GroupId, mark: Mark) {
        let group = self.groups.get_mut(&id).expect("the caller has it");
        group.wrote(seq, mark.cut());
        self.track_written(seq, id, mark);
    }

    /// The same of a group that knows it.
    fn track_written(&mut self, seq: BatchSeq, id: GroupId, mark: Mark) {
        if let (Some((last_seq, last_id, Mark::Log { cut, through })), Mark::Log { cut: new_cut, through: new }) =
            (self.in_flight.back_mut(), mark)
            && (*last_seq, *last_id, *cut) == (seq, id, new_cut)
        {
            *through = new;
            return;
        }
        self.in_flight.push_back((seq, id, mark));
    }

    /// Gives consensus an input and does what it says.
    pub(super) fn step(&mut self, out: &mut Out, id: GroupId, input: Input) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let result = group.raft.step(input, &mut self.output);
        assert!(result.is_ok(), "only proposals are refused");
        self.carry_out(out, id);
    }

    /// Carries out consensus' output, whose entries are a proposer's or this leader's own.
    pub(super) fn carry_out(&mut self, out: &mut Out, id: GroupId) {
        if self.output.is_empty() {
            // All that a step says may be that it waits now.
            self.note_ticks(out.now.mono, id);
        } else {
            self.carry_out_with(out, id, Vec::new());
        }
    }

    /// Carries out consensus' output, in the order of its contract: the one place where that is done. `sent`: entries that
    /// came with a leader's message; consensus says which of them are to be written.
    pub(super) fn carry_out_with(&mut self, out: &mut Out, id: GroupId, sent: Vec<Sent>) {
        let mut output = std::mem::take(&mut self.output);
        if let Some(hard_state) = output.hard_state.take() {
            match &output.restore {
                Some(restore) => self.write_hard_state_in_front(id, hard_state, &restore.replaced),
                None => self.write_hard_state(id, hard_state),
            }
        }
        let mut sent = sent;
        if let Some(restore) = output.restore.take() {
            self.restore(out, id, restore, std::mem::take(&mut sent));
        }
        if let Some(append) = output.append.take() {
            if let Some(members) = output.configuration.take() {
                assert_eq!(append.first, append.last, "members change by one entry");
                let mut payload = Vec::new();
                encode_configuration(&members, &mut payload);
                let seq = self.write_internal(id, kind::MEMBERS, append.first, &payload);
                self.track(seq, id, Mark::Log { cut: append.cut, through: append.last });
            } else if append.noop {
                assert_eq!(append.first, append.last, "a term begins with one entry");
                self.begin_term(id, append.first);
                let seq = self.write_internal(id, kind::NOOP, append.first, b"");
                self.track(seq, id, Mark::Log { cut: append.cut, through: append.last });
            } else {
                self.take_back(out, id, append.first);
                self.write_sent(id, &append, sent);
            }
        }
        for (peer, message) in output.send_now.drain(..) {
            self.outboxes.send(peer, id, message);
        }
        for (peer, message) in output.send_when_durable.drain(..) {
            self.outboxes.send_behind(self.groups[&id].written, self.wal.durable(), peer, id, message);
        }
        if let Some(through) = output.committed.take() {
            self.committed(out, id, through);
        }
        if let Some(role) = output.role.take()
            && role != Role::Leader
        {
            self.step_down(out, id);
        }
        let reconfigured = std::mem::take(&mut output.reconfigured);
        let snapshots = std::mem::take(&mut output.snapshots);
        self.note_ticks(out.now.mono, id);
        // For the sake of its memory; what was done meanwhile has left nothing in the other one.
        self.output = output;
        if reconfigured {
            self.members_changed(out, id);
        }
        for to in snapshots {
            if let Some(outcome) = self.start_for_others(out.now.mono, id, to) {
                self.step(out, id, Input::Snapshot { to, outcome });
            }
        }
    }

    fn begin_term(&mut self, id: GroupId, noop: Index) {
        let group = self.groups.get_mut(&id).expect("consensus spoke for it");
        group.term_start = Some(noop);
        let epoch = epoch_of(group.raft.term());
        group.meaning.begin_term(epoch, noop);
    }
}
