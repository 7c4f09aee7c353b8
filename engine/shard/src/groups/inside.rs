//! Records that come from inside, as those of coordinators: batches like a client's in a partition's log, without a
//! client behind them. What is answered is known when they are made, and leaves when they are committed, never before.

use super::{Groups, Out};
use crate::batch::{self, NewBatch, Record};
use crate::group::{Ready, Reply, Waiter};
use crate::mail::{Answer, Asker};
use crate::refusal::Refusal;
use crate::stages::LogTimes;
use torc_base::ids::{GroupId, Index, Offset};

/// Somebody's answer, which is kept back until what it tells is committed.
#[derive(Debug)]
pub struct KeptBack {
    pub asker: Asker,
    pub answer: Answer,
    /// What is answered instead when the log cannot take it, or loses it: the group is gone or led by another node, the
    /// log is full or fenced. It is made of the answer.
    pub lost: fn(Answer, Refusal) -> Answer,
}

impl Groups {
    /// Appends records, of which there is one at least, as one batch to a partition that this node leads; the offset of
    /// the first. Each of `answers` leaves when the batch is committed, in their order, or says why it never will be.
    /// Nothing is appended if this fails, and `answers` have said so.
    ///
    /// The log takes it at once, however much waits to be written: who makes records for clients asks
    /// [`torc_wal::Wal::admits`] first and lets the question wait, as batches of clients do.
    pub fn append_records(
        &mut self,
        out: &mut Out,
        id: GroupId,
        records: &[Record],
        answers: Vec<KeptBack>,
    ) -> Result<Offset, Refusal> {
        match self.append_own(out, id, records) {
            Ok((base, index)) => {
                let group = self.groups.get_mut(&id).expect("it took the batch");
                answers.into_iter().for_each(|answer| group.wait_for_commit(answer.until(index)));
                Ok(base)
            }
            Err(refusal) => {
                out.answers.extend(answers.into_iter().map(|answer| answer.until(Index(0)).refused(refusal)));
                Err(refusal)
            }
        }
    }

    /// Bytes of key and value of one record that fit into an entry of a group's log.
    pub fn record_bytes_max(&self, id: GroupId) -> usize {
        batch::record_bytes_max(self.entry_bytes_max(id))
    }

    fn append_own(&mut self, out: &mut Out, id: GroupId, records: &[Record]) -> Result<(Offset, Index), Refusal> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        let group = self.groups.get(&id).filter(|group| group.leads()).ok_or(Refusal::NotLeader)?;
        let base = group.partition().end();
        let bytes = batch::build(records);
        if bytes.len() > self.entry_bytes_max(id) {
            return Err(Refusal::TooLarge);
        }
        let header = batch::header(&bytes).expect("it was just made");
        let batch = NewBatch { header, bytes: self.packer.put_mut(&bytes), gather: false, stamp: false };
        let (_, index, _) = self.append_batch(out, id, base, batch)?;
        Ok((base, index))
    }

    /// Lets an answer wait, that goes with no records, until all that the partition's log has now is committed: what it
    /// tells may come of records that are not. It leaves at once if they are, or with the reason why they never will be.
    pub fn answer_behind(&mut self, out: &mut Out, id: GroupId, answer: KeptBack) {
        let fenced = self.fenced().is_some();
        let Some(group) = self.groups.get_mut(&id).filter(|group| group.leads()) else {
            return out.answers.push_back(answer.until(Index(0)).refused(Refusal::NotLeader));
        };
        let marks = group.raft.marks();
        if marks.committed >= marks.written {
            return out.answers.push_back((answer.asker, answer.answer));
        }
        if fenced {
            return out.answers.push_back(answer.until(Index(0)).refused(Refusal::Storage));
        }
        group.wait_for_commit(answer.until(marks.written));
    }
}

impl KeptBack {
    /// Who waits for entry `index`.
    fn until(self, index: Index) -> Waiter {
        let KeptBack { asker, answer, lost } = self;
        let reply = Reply::Ready(Box::new(Ready { answer, lost }));
        Waiter { index, asker, position: 0, reply, times: LogTimes::default() }
    }
}

#[cfg(test)]
#[path = "inside_tests.rs"]
mod tests;
