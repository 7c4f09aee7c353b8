//! Long lists of reads: they are made over turns, and all of them see what is there in the last one.
//!
//! What a part has read is right as long as nothing of it is changed. If something is, it begins anew; one that begins too often,
//! or whose client has changed something since that it is not to see, is made in one turn after all.

use super::long_reads::NAME_BYTES;
use super::reads::put_read_of_many;
use super::{Around, Znodes};
use crate::outbox::Piece;
use torc_base::buf::Buf;
use torc_base::ids::ConnId;
use torc_base::limits::{PIECE_BYTES_MIN, ZNODE_READS_BYTES_MAX};
use torc_net::zookeeper::{ErrorCode, Head, Op, Ops, Outcome, Place, Reply};
use torc_state::tree::{Body, Id, Tree, Txn, path, stands_for};

/// Lists of no more reads, and of no more bytes, about, are made at once.
const SHORT: usize = 1_024;
const SHORT_BYTES: usize = PIECE_BYTES_MIN;
/// What a read costs besides the bytes of its answer.
const READ_BYTES: usize = 128;
/// One that has begun anew so often is made in one turn.
const BEGINNINGS_MAX: u32 = 3;
/// Changed paths that are remembered while somebody reads.
const CHANGED_MAX: usize = 1 << 16;

/// How far one has come.
#[derive(Debug)]
pub(super) struct Reading {
    head: Head,
    /// Where the first one stands, and the next one.
    first: Place,
    place: Place,
    parts: Vec<Buf>,
    bytes: usize,
    /// What stands for the paths that were read.
    paths: Vec<u64>,
    /// What had been changed then.
    seen: Moment,
    beginnings: u32,
}

/// A place in what is remembered of changes.
type Moment = (u64, usize);

/// What is changed while somebody reads: what stands for the paths.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Who reads.
    readers: usize,
    /// Another number when some was forgotten.
    epoch: u64,
    paths: Vec<u64>,
}

impl Changed {
    /// A transaction is applied.
    pub(super) fn note(&mut self, txn: &Txn) {
        if self.readers == 0 {
            return;
        }
        let ops = txn.ops().iter().map(|op| &**op.path());
        let ended: &[_] = if let Body::CloseSession { ephemerals, .. } = &txn.body { ephemerals } else { &[] };
        for changed in ops.chain(ended.iter().map(|path| &**path)) {
            // The parent's children may be others.
            self.paths.extend([stands_for(changed), stands_for(path::parent(changed))]);
        }
        if self.paths.len() > CHANGED_MAX {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.epoch += 1;
        self.paths = Vec::new();
    }

    fn now(&self) -> Moment {
        (self.epoch, self.paths.len())
    }

    /// True if one of these was changed since, or may have been.
    fn has_any(&self, paths: &[u64], (epoch, at): Moment) -> bool {
        if epoch != self.epoch {
            return true;
        }
        let mut changed = self.paths[at..].to_vec();
        changed.sort_unstable();
        !changed.is_empty() && paths.iter().any(|path| changed.binary_search(path).is_ok())
    }

    /// Somebody reads no more.
    pub(super) fn leave(&mut self) {
        self.readers -= 1;
        if self.readers == 0 {
            self.forget();
        }
    }
}

/// True if reads are few, and bring little.
fn are_short(tree: &Tree, ids: &[Id<'_>], ops: &Ops<'_>) -> bool {
    let number = |number: i32| usize::try_from(number).unwrap_or(0);
    let mut bytes = 0;
    ops.len() <= SHORT
        && ops.clone().all(|op| {
            let (Op::GetData(path) | Op::GetChildren(path)) = op else { unreachable!("not mixed with changes") };
            let most = tree.exists(path, ids).map(|s| number(s.data_length).max(number(s.num_children) * NAME_BYTES));
            bytes += most.unwrap_or(0);
            bytes <= SHORT_BYTES
        })
}

impl Znodes {
    /// Begins one if it is long. `None`: it is made at once.
    pub(super) fn begin_reading(
        &mut self,
        tree: &Tree,
        conn: ConnId,
        head: Head,
        ops: &Ops<'_>,
    ) -> Option<Box<Reading>> {
        let client = self.clients.get(&conn)?;
        if client.has_asked() || are_short(tree, &client.as_ids(), ops) {
            return None;
        }
        let (place, seen) = (ops.place(), self.changed.now());
        self.changed.readers += 1;
        let (parts, paths) = (Vec::new(), Vec::new());
        Some(Box::new(Reading { head, first: place, place, parts, bytes: 0, paths, seen, beginnings: 0 }))
    }

    /// Goes on with one, as far as this turn goes. The answer, when that was all.
    pub(super) fn go_on_reading(
        &mut self,
        around: &Around,
        conn: ConnId,
        frame: &[u8],
        mut reading: Box<Reading>,
    ) -> Option<Vec<Piece>> {
        let client = self.clients.get_mut(&conn).expect("the caller has it");
        if self.changed.has_any(&reading.paths, reading.seen) {
            reading.place = reading.first;
            reading.parts.clear();
            reading.paths.clear();
            (reading.bytes, reading.beginnings) = (0, reading.beginnings + 1);
        }
        reading.seen = self.changed.now();
        let at_once = reading.beginnings > BEGINNINGS_MAX || client.has_asked();
        let ids = client.as_ids();
        let mut ops = Ops::at(frame, reading.place);
        let mut reply = Reply::part(&mut self.packer.scratch);
        for op in ops.by_ref() {
            let before = reply.bytes();
            if reading.bytes + before > ZNODE_READS_BYTES_MAX {
                reply.outcome(&Outcome::Error(Some(ErrorCode::ThrottledOp)));
            } else {
                put_read_of_many(around.tree(), &ids, &op, &mut reply);
            }
            let (Op::GetData(path) | Op::GetChildren(path)) = op else { unreachable!("not mixed with changes") };
            reading.paths.push(stands_for(path));
            if !self.long_reads.take(READ_BYTES + reply.bytes() - before) && !at_once {
                break;
            }
        }
        reading.place = ops.place();
        if !reading.place.is_end() {
            let part = self.packer.take_scratch();
            reading.bytes += part.len();
            reading.parts.push(part);
            client.reading = Some(reading);
            return None;
        }
        reply.end_of_outcomes();
        reading.parts.push(self.packer.take_scratch());
        self.changed.leave();
        let bytes = reading.parts.iter().map(|part| part.len()).sum();
        let zxid = around.tree().zxid().get();
        Reply::new(&mut self.packer.scratch, reading.head.xid, zxid).end_before(bytes);
        let first = std::iter::once(self.packer.take_scratch());
        Some(first.chain(reading.parts).map(Piece::Bytes).collect())
    }
}
