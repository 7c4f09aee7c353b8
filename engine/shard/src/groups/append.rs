//! The owner's half of a produce: whether a batch is taken, and who waits for it.

use super::{Groups, Out, Phase};
use crate::group::{Group, Reply, Waiter};
use crate::mail::{Acks, Answer, Asker, ProducePart, Produced};
use crate::refusal::Refusal;
use crate::stages::LogTimes;
use crate::stats::add;
use torc_base::ids::Offset;
use torc_base::limits::UNCOMMITTED_ENTRIES_FREE;
use torc_base::time::Mono;
use torc_state::partition::Admission;

impl Groups {
    /// Takes batches in, in order. Each is answered when it has reached the disks that its producer asked for.
    pub fn produce(&mut self, out: &mut Out, asker: Asker, parts: Vec<ProducePart>) {
        for part in parts {
            // Once one waits, all that come later wait behind it.
            if self.deferred.is_empty() && self.wal.admits(part.batch.bytes.len()) {
                self.append(out, asker, out.now.mono, part);
            } else if let Some(refusal) = self.refusal() {
                refuse(out, asker, part.position, refusal);
            } else {
                self.deferred.push_back((asker, out.now.mono, part));
            }
        }
    }

    /// Why no batch can be taken for now and for a while, if so.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match self.wal.state() {
            torc_wal::State::Running if self.phase == Phase::Running => None,
            torc_wal::State::Running | torc_wal::State::Recovering => Some(Refusal::NotLeader),
            torc_wal::State::Full | torc_wal::State::Fenced(_) => Some(Refusal::Storage),
        }
    }

    /// Appends what waited for room, as far as there is room now.
    pub(super) fn take_deferred(&mut self, out: &mut Out) {
        while let Some((_, _, part)) = self.deferred.front() {
            if let Some(refusal) = self.refusal() {
                return self.refuse_deferred(out, refusal);
            }
            if !self.wal.admits(part.batch.bytes.len()) {
                return;
            }
            let (asker, asked, part) = self.deferred.pop_front().expect("looked at above");
            self.append(out, asker, asked, part);
        }
    }

    pub(super) fn refuse_deferred(&mut self, out: &mut Out, refusal: Refusal) {
        for (asker, _, part) in self.deferred.drain(..) {
            refuse(out, asker, part.position, refusal);
        }
    }

    fn append(&mut self, out: &mut Out, asker: Asker, asked: Mono, part: ProducePart) {
        let hop = asker.place != self.settings.here();
        let times = LogTimes { asked, appended: out.now.mono, hop, ..LogTimes::default() };
        match self.admit(out.now.mono, &part) {
            Ok(Admission::Append { base }) => self.write(out, asker, part, base, times),
            Ok(Admission::Duplicate { base, last, max_timestamp }) => {
                add(&self.stats.produce_duplicates_total, 1);
                let append_time = if part.batch.stamp { max_timestamp } else { -1 };
                self.answer_known(out, asker, &part, (base, last), append_time, times);
            }
            Err(refusal) => {
                add(&self.stats.produce_errors_total, 1);
                refuse(out, asker, part.position, refusal);
            }
        }
    }

    /// Asks the partition for offsets.
    fn admit(&self, now: Mono, part: &ProducePart) -> Result<Admission, Refusal> {
        let group = self.groups.get(&part.group).filter(|group| group.leads()).ok_or(Refusal::NotLeader)?;
        if part.in_sync > 1 && part.acks == Acks::All && group.in_sync(now) < part.in_sync {
            return Err(Refusal::TooFewInSync);
        }
        let admission = group.records().admit(&part.batch.incoming())?;
        if matches!(admission, Admission::Append { .. }) {
            self.check_length(part.group, part.batch.bytes.len())?;
            self.check_backlog(group)?;
        }
        Ok(admission)
    }

    /// Whether what waits for a quorum leaves room for more.
    fn check_backlog(&self, group: &Group) -> Result<(), Refusal> {
        let (own, most) = (backlog(group), self.settings.memory.uncommitted_entries);
        let is_too_much = own >= most.min(UNCOMMITTED_ENTRIES_FREE) && own.max(self.backlog) >= most;
        if is_too_much { Err(Refusal::TooFewInSync) } else { Ok(()) }
    }

    /// Looks how much of what is led here waits for a quorum, of the groups that wait for anything.
    pub(super) fn note_backlog(&mut self) {
        let groups = self.ticking.iter().filter_map(|id| self.groups.get(id));
        self.backlog = groups.filter(|group| group.raft.is_leader()).map(backlog).sum();
    }

    /// The batch has offsets from `base` on: it goes into the log and waits for its marks.
    fn write(&mut self, out: &mut Out, asker: Asker, part: ProducePart, base: Offset, times: LogTimes) {
        let ProducePart { position, group: id, batch, acks, in_sync } = part;
        let (records, bytes) = (batch.incoming().records, batch.bytes.len());
        let (group, index, append_time) = match self.append_batch(out, id, base, batch) {
            Ok(appended) => appended,
            Err(refusal) => return refuse(out, asker, position, refusal),
        };
        let meter = group.meter;
        let waiter = Waiter { index, asker, position, reply: Reply::Produced { base, append_time }, times };
        match acks {
            Acks::None => {
                let produced = Produced { base, append_time, log_start: Offset(-1), times: None };
                out.answers.push_back((asker, Answer::Produced(vec![(position, Ok(produced))])));
            }
            Acks::Disks(1) => group.on_disk.push_back(waiter),
            Acks::All if in_sync == 1 => group.on_commit.push_back(waiter),
            Acks::All | Acks::Disks(_) => group.await_copies(waiter, acks, in_sync),
        }
        add(&self.stats.produce_batches_total, 1);
        add(&self.stats.produce_records_total, records.into());
        add(&self.stats.produce_bytes_total, bytes as u64);
        self.stats.topics.took(meter, records, bytes);
        if acks == Acks::None {
            add(&self.stats.produce_acks_none_total, 1);
        }
    }

    /// A batch that is in the log already is answered as it was then, and not before it is where its producer wants
    /// it: the first answer may have been lost on the way, or may not have been given yet.
    fn answer_known(
        &mut self,
        out: &mut Out,
        asker: Asker,
        part: &ProducePart,
        (base, last): (Offset, Offset),
        append_time: i64,
        times: LogTimes,
    ) {
        let group = self.groups.get_mut(&part.group).expect("it knew the batch");
        let log_start = group.partition().log_start();
        if last < group.partition().high_watermark() || part.acks == Acks::None {
            let produced = Produced { base, append_time, log_start, times: None };
            out.answers.push_back((asker, Answer::Produced(vec![(part.position, Ok(produced))])));
            return;
        }
        let index = group.partition().pending_entry(last);
        let reply = Reply::Produced { base, append_time };
        let waiter = Waiter { index, asker, position: part.position, reply, times };
        group.await_copies(waiter, part.acks, part.in_sync);
    }
}

/// Entries that are not committed.
fn backlog(group: &Group) -> u64 {
    let marks = group.raft.marks();
    marks.written.get() - marks.committed.get()
}

fn refuse(out: &mut Out, asker: Asker, position: u32, refusal: Refusal) {
    out.answers.push_back((asker, Answer::Produced(vec![(position, Err(refusal))])));
}
