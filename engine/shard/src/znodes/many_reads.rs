//! Long lists of reads: they are made over turns, and all of them see what is there in the last one.
//!
//! What a part has read is right as long as nothing of it is changed. If something is, it begins anew; one that begins too often,
//! or whose client has changed something since that it is not to see, is made in one turn after all. A part may end in the middle
//! of a list of children.

use super::long_reads::NAME_BYTES;
use super::reads::{Seen, put_read_of_many};
use super::{Around, Znodes};
use crate::outbox::Piece;
use torc_base::buf::Buf;
use torc_base::ids::ConnId;
use torc_base::limits::{PIECE_BYTES_MIN, ZNODE_ANSWER_BYTES_MAX, ZNODE_READS_BYTES_MAX};
use torc_net::zookeeper::{ErrorCode, Head, Op, Ops, Outcome, Place, Reply};
use torc_state::tree::{Body, Id, ListPlace, Listed, Tree, Txn, path, stands_for};

/// Lists of no more reads, and of no more bytes, about, are made at once.
const SHORT: usize = 1_024;
const SHORT_BYTES: usize = PIECE_BYTES_MIN;
/// What a read costs besides the bytes of its answer.
const READ_BYTES: usize = 128;
/// Lists of no more children are of one turn.
const SHORT_LIST: usize = PIECE_BYTES_MIN / NAME_BYTES;
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
    /// Where the next one goes on, if that is a list of children of which a part was told.
    list: Option<ListPlace>,
    parts: Vec<Buf>,
    bytes: usize,
    /// What stands for the paths that were read.
    paths: Vec<u64>,
    /// What had been changed then.
    seen: Moment,
    beginnings: u32,
}

impl Reading {
    /// What was read is of no use.
    fn begin_anew(&mut self) {
        (self.place, self.list) = (self.first, None);
        self.parts.clear();
        self.paths.clear();
        (self.bytes, self.beginnings) = (0, self.beginnings + 1);
    }

    /// Reads on, as far as this turn `takes` it. False: what was read is of no use.
    fn go_on(
        &mut self,
        seen: Seen<'_>,
        frame: &[u8],
        reply: &mut Reply<'_>,
        takes: &mut impl FnMut(usize) -> bool,
    ) -> bool {
        let ((tree, kafka, ids), mut ops) = (seen, Ops::at(frame, self.place));
        while let Some(op) = ops.next() {
            let (Op::GetData(path) | Op::GetChildren(path)) = op else { unreachable!("not mixed with changes") };
            let (before, list) = (reply.bytes(), self.list.take());
            if list.is_none() {
                self.paths.push(stands_for(path));
            }
            let children = if matches!(op, Op::GetChildren(_)) { long_list(tree, ids, path) } else { None };
            let mut cost = READ_BYTES;
            if list.is_none() && self.bytes + before > ZNODE_READS_BYTES_MAX {
                reply.outcome(&Outcome::Error(Some(ErrorCode::ThrottledOp)));
            } else if let Some(children) = children {
                if list.is_none() {
                    let besides = kafka.child_of(tree, path);
                    reply.outcome_of_names(children + usize::from(besides.is_some()));
                    besides.into_iter().for_each(|name| reply.name(name));
                }
                match tree.list_children(path, ids, list, &mut |name| {
                    reply.name(name);
                    takes(NAME_BYTES + name.len())
                }) {
                    Ok(Listed::Whole) => {}
                    Ok(Listed::Part(place)) => {
                        self.list = Some(place);
                        return true;
                    }
                    Ok(Listed::Changed) | Err(_) => return false,
                }
            } else if list.is_some() {
                return false;
            } else {
                put_read_of_many(seen, &op, reply);
                cost += reply.bytes() - before;
            }
            self.place = ops.place();
            if !takes(cost) {
                break;
            }
        }
        true
    }
}

/// How many children are to be listed, if they are many.
fn long_list(tree: &Tree, ids: &[Id<'_>], path: &str) -> Option<usize> {
    let children = tree.exists(path, ids).ok().and_then(|stat| usize::try_from(stat.num_children).ok());
    children.filter(|children| *children > SHORT_LIST)
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
        Some(Box::new(Reading { head, first: place, place, list: None, parts, bytes: 0, paths, seen, beginnings: 0 }))
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
            reading.begin_anew();
        }
        reading.seen = self.changed.now();
        let at_once = reading.beginnings > BEGINNINGS_MAX || client.has_asked();
        let (ids, long_reads) = (client.as_ids(), &mut self.long_reads);
        let mut takes = |bytes: usize| long_reads.take(bytes) || at_once;
        let mut reply = Reply::part(&mut self.packer.scratch);
        if !reading.go_on((around.tree(), &self.kafka, &ids[..]), frame, &mut reply, &mut takes) {
            self.packer.scratch.clear();
            reading.begin_anew();
            client.reading = Some(reading);
            return None;
        }
        let is_whole = reading.place.is_end();
        if is_whole {
            reply.end_of_outcomes();
        }
        let part = self.packer.take_scratch();
        reading.bytes += part.len();
        reading.parts.push(part);
        if !is_whole && reading.bytes <= ZNODE_ANSWER_BYTES_MAX {
            client.reading = Some(reading);
            return None;
        }
        self.changed.leave();
        if reading.bytes > ZNODE_ANSWER_BYTES_MAX {
            return Some(self.not_listed(around, reading.head, ErrorCode::ThrottledOp));
        }
        let zxid = around.tree().zxid().get();
        Reply::new(&mut self.packer.scratch, reading.head.xid, zxid).end_before(reading.bytes);
        let first = std::iter::once(self.packer.take_scratch());
        Some(first.chain(reading.parts).map(Piece::Bytes).collect())
    }
}
