//! The owner's half of fetches and watches, and of what is known without a look into the log.

use super::{Groups, Out};
use crate::group::{Group, kind};
use crate::mail::{Answer, Asker, FetchPart, Fetched};
use std::collections::BTreeMap;
use torc_base::buf::Buf;
use torc_base::ids::{GroupId, LeaderEpoch, Offset};
use torc_base::io::Level;
use torc_net::kafka::error;
use torc_wal::{From, Item, Read, ReadId, WalError};

/// A fetch of several partitions, some of which wait for the disk.
struct Job {
    asker: Asker,
    done: Vec<(u32, Fetched)>,
    waiting: usize,
}

/// What a read of the log is for: number of the job, and what the answer says besides the records.
struct Purpose {
    job: u64,
    position: u32,
    offset: Offset,
    high_watermark: Offset,
    log_start: Offset,
}

/// Reads that wait for the disk.
#[derive(Default)]
pub(super) struct Reads {
    next_job: u64,
    jobs: BTreeMap<u64, Job>,
    purposes: BTreeMap<ReadId, Purpose>,
}

impl Groups {
    /// Reads partitions, in order, until `max_bytes` are together; the first that has records gives at least one batch.
    pub fn fetch(&mut self, out: &mut Out, asker: Asker, parts: Vec<FetchPart>, max_bytes: usize) {
        let number = self.reads.next_job;
        let mut job = Job { asker, done: Vec::with_capacity(parts.len()), waiting: 0 };
        let mut budget = max_bytes;
        for part in parts {
            match self.read(out, number, &part, budget) {
                Some(fetched) => {
                    budget = budget.saturating_sub(fetched.bytes);
                    job.done.push((part.position, fetched));
                }
                None => {
                    budget = budget.saturating_sub(part.max_bytes);
                    job.waiting += 1;
                }
            }
        }
        if job.waiting == 0 {
            out.answers.push_back((asker, Answer::Fetched(job.done)));
        } else {
            self.reads.next_job += 1;
            self.reads.jobs.insert(number, job);
        }
    }

    /// Reads one partition; `None` if the disk has to be asked.
    fn read(&mut self, out: &mut Out, job: u64, part: &FetchPart, budget: usize) -> Option<Fetched> {
        let group = match self.group_for_reading(part.group, part.epoch) {
            Ok(group) => group,
            Err(refusal) => return Some(Fetched::refused(refusal)),
        };
        let partition = group.partition();
        let (high_watermark, log_start) = (partition.high_watermark(), partition.log_start());
        if part.offset < log_start || part.offset > partition.end() {
            return Some(Fetched::refused(error::OFFSET_OUT_OF_RANGE));
        }
        if part.offset >= high_watermark || budget == 0 {
            return Some(Fetched::empty(error::NONE, high_watermark, log_start));
        }
        let upto = group.raft.marks().committed;
        let bytes = part.max_bytes.min(budget).max(1);
        let read = self.wal.read(part.group, From::Offset(part.offset), upto, bytes, &mut self.disk_ops);
        // What is in memory may make the log read ahead.
        self.emit_disk(out);
        match read {
            Read::Ready(items) => Some(fetched(items, part.offset, high_watermark, log_start)),
            Read::Released => Some(Fetched::refused(error::OFFSET_OUT_OF_RANGE)),
            Read::Pending(id) => {
                let purpose = Purpose { job, position: part.position, offset: part.offset, high_watermark, log_start };
                self.reads.purposes.insert(id, purpose);
                None
            }
        }
    }

    pub(super) fn emit_disk(&mut self, out: &mut Out) {
        out.ops.extend(self.disk_ops.drain(..).map(torc_base::io::Op::Disk));
    }

    /// The group of a partition that this node leads, if the client's epoch is the present one. A group that is not
    /// here is one that the asking shard's catalog has: it is about to come (this shard still starts) or just gone,
    /// and the client shall look again.
    pub(super) fn group_for_reading(&self, id: GroupId, epoch: i32) -> Result<&Group, i16> {
        let group = self.groups.get(&id).ok_or(error::NOT_LEADER_OR_FOLLOWER)?;
        group.check_epoch(epoch)?;
        if !group.leads() {
            return Err(error::NOT_LEADER_OR_FOLLOWER);
        }
        Ok(group)
    }

    /// The disk has answered a fetch.
    pub(super) fn read_done(&mut self, out: &mut Out, id: ReadId, result: Result<Vec<Item>, WalError>) {
        let Some(Purpose { job, position, offset, high_watermark, log_start }) = self.reads.purposes.remove(&id) else {
            panic!("an answer to a read that nobody asked for");
        };
        let fetched = match result {
            Ok(items) => Fetched { cold: true, ..fetched(items, offset, high_watermark, log_start) },
            Err(error) => Fetched::refused(read_error(out, &error)),
        };
        let waiting = self.reads.jobs.get_mut(&job).expect("a job lives until its last read");
        waiting.done.push((position, fetched));
        waiting.waiting -= 1;
        if waiting.waiting == 0 {
            let job = self.reads.jobs.remove(&job).expect("it is there");
            out.answers.push_back((job.asker, Answer::Fetched(job.done)));
        }
    }

    /// Wakes the asker when one of the high watermarks passes its offset; at once if one has.
    pub fn watch(&mut self, out: &mut Out, asker: Asker, parts: Vec<(GroupId, Offset)>) {
        let passed = |(id, offset): &(GroupId, Offset)| {
            self.groups.get(id).is_none_or(|group| group.partition().high_watermark() > *offset)
        };
        if parts.iter().any(passed) {
            out.answers.push_back((asker, Answer::Wake));
            return;
        }
        for (id, offset) in parts {
            self.groups.get_mut(&id).expect("looked at above").watchers.insert(asker, offset);
        }
    }

    /// Forgets the asker's watches.
    pub fn unwatch(&mut self, asker: Asker, groups: &[GroupId]) {
        for id in groups {
            if let Some(group) = self.groups.get_mut(id) {
                group.watchers.remove(&asker);
            }
        }
    }

    /// Where leader epochs end (KIP-320).
    pub fn epoch_ends(&mut self, out: &mut Out, asker: Asker, parts: Vec<(u32, GroupId, i32, LeaderEpoch)>) {
        let ends =
            parts.into_iter().map(|(position, id, current, requested)| match self.group_for_reading(id, current) {
                Ok(group) => {
                    let (epoch, end) = group.partition().epoch_end_offset(requested);
                    (position, error::NONE, epoch, end)
                }
                Err(refusal) => (position, refusal, LeaderEpoch(-1), Offset(-1)),
            });
        let ends = ends.collect();
        out.answers.push_back((asker, Answer::EpochEnds(ends)));
    }

    /// Bytes that groups hold in the log.
    pub fn sizes(&mut self, out: &mut Out, asker: Asker, parts: Vec<(u32, GroupId)>) {
        let sizes = parts.into_iter().map(|(position, id)| (position, self.wal.group_bytes(id))).collect();
        out.answers.push_back((asker, Answer::Sizes(sizes)));
    }
}

/// A damaged entry is reported to whoever runs the server, and never served.
pub(super) fn read_error(out: &mut Out, error: &WalError) -> i16 {
    if let WalError::Released { .. } = error {
        return error::OFFSET_OUT_OF_RANGE;
    }
    out.log(Level::Error, format!("a read of the log failed: {error}"));
    error::KAFKA_STORAGE_ERROR
}

/// What a consumer at `offset` is told.
fn fetched(items: Vec<Item>, offset: Offset, high_watermark: Offset, log_start: Offset) -> Fetched {
    let more = items.last().is_some_and(|last| last.end_offset() < high_watermark);
    let (records, bytes, count) = record_slices(items, offset);
    Fetched { error: error::NONE, high_watermark, log_start, records, bytes, count, cold: false, more }
}

/// The record batches among `items` that end behind `from`, neighbours in memory joined; their bytes and records.
fn record_slices(items: Vec<Item>, from: Offset) -> (Vec<Buf>, usize, u64) {
    let mut slices: Vec<Buf> = Vec::with_capacity(items.len().min(16));
    let (mut bytes, mut count) = (0, 0);
    for item in items {
        if item.kind != kind::RECORDS || item.first_offset.0 + i64::from(item.records) <= from.0 {
            continue;
        }
        bytes += item.bytes.len();
        count += u64::from(item.records);
        if !slices.last_mut().is_some_and(|last| last.join(&item.bytes)) {
            slices.push(item.bytes);
        }
    }
    (slices, bytes, count)
}
