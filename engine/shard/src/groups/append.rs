//! The owner's half of a produce: offsets, a place in consensus, a place in the log.

use super::{Groups, Mark, Out, Phase};
use crate::batch;
use crate::group::{Reply, Waiter};
use crate::mail::{Acks, Answer, Asker, ProducePart, Produced};
use crate::meaning::kind;
use crate::stages::LogTimes;
use crate::stats::add;
use torc_base::buf::BufMut;
use torc_base::ids::{GroupId, Index, Offset};
use torc_base::time::Mono;
use torc_net::kafka::{error, records};
use torc_state::partition::Admission;
use torc_state::retention::Age;
use torc_wal::Entry;

impl Groups {
    /// Takes batches in, in order. Each is answered when it has reached the disks that its producer asked for.
    pub fn produce(&mut self, out: &mut Out, asker: Asker, parts: Vec<ProducePart>) {
        for part in parts {
            // Once one waits, all that come later wait behind it.
            if self.deferred.is_empty() && self.wal.admits(part.bytes.len()) {
                self.append(out, asker, out.now.mono, part);
            } else if let Some(refusal) = self.refusal() {
                refuse(out, asker, part.position, refusal);
            } else {
                self.deferred.push_back((asker, out.now.mono, part));
            }
        }
    }

    /// Why no batch can be taken for now and for a while, if so.
    fn refusal(&self) -> Option<i16> {
        match self.wal.state() {
            torc_wal::State::Running if self.phase == Phase::Running => None,
            torc_wal::State::Running | torc_wal::State::Recovering => Some(error::NOT_LEADER_OR_FOLLOWER),
            torc_wal::State::Full | torc_wal::State::Fenced(_) => Some(error::KAFKA_STORAGE_ERROR),
        }
    }

    /// Appends what waited for room, as far as there is room now.
    pub(super) fn take_deferred(&mut self, out: &mut Out) {
        while let Some((_, _, part)) = self.deferred.front() {
            if let Some(refusal) = self.refusal() {
                return self.refuse_deferred(out, refusal);
            }
            if !self.wal.admits(part.bytes.len()) {
                return;
            }
            let (asker, asked, part) = self.deferred.pop_front().expect("looked at above");
            self.append(out, asker, asked, part);
        }
    }

    pub(super) fn refuse_deferred(&mut self, out: &mut Out, refusal: i16) {
        for (asker, _, part) in self.deferred.drain(..) {
            refuse(out, asker, part.position, refusal);
        }
    }

    fn append(&mut self, out: &mut Out, asker: Asker, asked: Mono, part: ProducePart) {
        let hop = asker.shard != self.settings.shard;
        let times = LogTimes { asked, appended: out.now.mono, hop, ..LogTimes::default() };
        match self.place(&part) {
            Ok(Placed::New { base }) => self.write(out, asker, part, base, times),
            Ok(Placed::Known { base, last, append_time }) => {
                add(&self.stats.produce_duplicates_total, 1);
                self.answer_known(out, asker, &part, (base, last), append_time, times);
            }
            Err(refusal) => {
                add(&self.stats.produce_errors_total, 1);
                refuse(out, asker, part.position, refusal);
            }
        }
    }

    /// Asks the partition for offsets.
    fn place(&self, part: &ProducePart) -> Result<Placed, i16> {
        let group = self.groups.get(&part.group).ok_or(error::NOT_LEADER_OR_FOLLOWER)?;
        if !group.leads() {
            return Err(error::NOT_LEADER_OR_FOLLOWER);
        }
        let incoming = batch::incoming(&part.batch);
        match group.records().admit(&incoming).map_err(super::recover::refusal_code)? {
            Admission::Append { base } => Ok(Placed::New { base }),
            Admission::Duplicate { base, last, max_timestamp } => {
                Ok(Placed::Known { base, last, append_time: if part.stamp { max_timestamp } else { -1 } })
            }
        }
    }

    /// The batch has offsets from `base` on: it goes into the log and waits for its marks.
    fn write(&mut self, out: &mut Out, asker: Asker, mut part: ProducePart, base: Offset, times: LogTimes) {
        let append = match self.propose(out, part.group) {
            Ok(append) => append,
            Err(()) => return refuse(out, asker, part.position, error::NOT_LEADER_OR_FOLLOWER),
        };
        let group = self.groups.get_mut(&part.group).expect("it was there to give offsets");
        records::place(&mut part.bytes, base, group.epoch());
        let mut append_time = -1;
        if part.stamp {
            append_time = out.now.wall.0;
            part.batch.crc = records::stamp(&mut part.bytes, out.now.wall);
            part.batch.max_timestamp = append_time;
        }
        let incoming = batch::incoming(&part.batch);
        group.records_mut().append(out.now.wall, append.first, base, &incoming, part.bytes.len() as u32);
        let waiter = Waiter {
            index: append.first,
            asker,
            position: part.position,
            reply: Reply::Produced { base, append_time },
            times,
        };
        match part.acks {
            Acks::None => {}
            Acks::Disks(_) => group.on_disk.push_back(waiter),
            Acks::All => group.on_commit.push_back(waiter),
        }
        add(&self.stats.produce_batches_total, 1);
        add(&self.stats.produce_records_total, incoming.records.into());
        add(&self.stats.produce_bytes_total, part.bytes.len() as u64);
        let age = Age::of(part.batch.max_timestamp, out.now.wall);
        self.write_records(
            part.group,
            append.first,
            append.term,
            base,
            (&part.batch, age),
            part.bytes,
            part.gather,
            append.cut,
        );
        if part.acks == Acks::None {
            add(&self.stats.produce_acks_none_total, 1);
            let produced = Produced { error: error::NONE, base, append_time, log_start: Offset(-1), times: None };
            out.answers.push_back((asker, Answer::Produced(vec![(part.position, produced)])));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "an entry has that many fields")]
    fn write_records(
        &mut self,
        group: GroupId,
        index: Index,
        term: torc_base::ids::Term,
        base: Offset,
        (batch, age): (&records::Batch, Age),
        bytes: BufMut,
        gather: bool,
        cut: u32,
    ) {
        let entry = Entry {
            group,
            kind: kind::RECORDS,
            term,
            index,
            first_offset: base,
            records: batch.last_offset_delta as u32 + 1,
            max_timestamp: age.0,
            bytes: bytes.freeze(),
            prefix_len: records::CRC_PREFIX as u8,
            body_crc: batch.crc,
            gather,
        };
        let seq = self.wal.append(entry);
        self.track(seq, group, Mark::Log { cut, through: index });
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
            let produced = Produced { error: error::NONE, base, append_time, log_start, times: None };
            out.answers.push_back((asker, Answer::Produced(vec![(part.position, produced)])));
            return;
        }
        let index = group.records().pending_entry(last);
        let reply = Reply::Produced { base, append_time };
        let waiter = Waiter { index, asker, position: part.position, reply, times };
        group.wait_for_commit(waiter);
    }
}

/// Where a batch stands.
enum Placed {
    New { base: Offset },
    Known { base: Offset, last: Offset, append_time: i64 },
}

fn refuse(out: &mut Out, asker: Asker, position: u32, refusal: i16) {
    out.answers.push_back((asker, Answer::Produced(vec![(position, Produced::refused(refusal))])));
}
