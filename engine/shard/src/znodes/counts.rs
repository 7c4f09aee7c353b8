//! Counts of all znodes below one: they are made over turns, and are of what is there in the last of these.
//!
//! A count is of use as long as nothing below its znode comes or goes; if something does, it begins anew. One that begins too
//! often, or whose client has changed something since that it is not to see, is made in one turn after all.

use super::answers::code;
use super::long_reads::NAME_BYTES;
use super::{Around, Znodes};
use crate::outbox::Piece;
use std::collections::BTreeMap;
use torc_base::ids::ConnId;
use torc_net::zookeeper::{Head, Reply, failure};
use torc_state::tree::{Body, Op, Txn, path};

/// Znodes that are counted before it is looked whether the turn has room for more.
const STEP: usize = 1_024;
/// A count that has begun anew so often is made in one turn.
const BEGINNINGS_MAX: u32 = 3;

/// How far one has come.
#[derive(Debug)]
pub(super) struct Counting {
    top: Box<str>,
    counted: usize,
    place: Option<u32>,
    /// How often something had come or gone then.
    seen: u64,
    beginnings: u32,
}

/// A znode below which all is counted.
#[derive(Debug, Default)]
struct Top {
    /// Who counts.
    counts: usize,
    /// How often something has come or gone.
    changes: u64,
}

/// What comes and goes below the znodes where somebody counts.
#[derive(Debug, Default)]
pub(super) struct Counted {
    tops: BTreeMap<Box<str>, Top>,
}

impl Counted {
    /// A transaction is applied.
    pub(super) fn note(&mut self, txn: &Txn) {
        if self.tops.is_empty() {
            return;
        }
        let moves = txn.ops().iter().filter(|op| matches!(op, Op::Create { .. } | Op::Delete { .. }));
        let ended: &[_] = if let Body::CloseSession { ephemerals, .. } = &txn.body { ephemerals } else { &[] };
        for moved in moves.map(Op::path).chain(ended) {
            let mut at = &**moved;
            while at != "/" {
                at = path::parent(at);
                if let Some(top) = self.tops.get_mut(at) {
                    top.changes += 1;
                }
            }
        }
    }

    fn begin(&mut self, top: &str) -> Box<Counting> {
        let here = self.tops.entry(top.into()).or_default();
        here.counts += 1;
        Box::new(Counting { top: top.into(), counted: 0, place: None, seen: here.changes, beginnings: 0 })
    }

    /// What was counted is of no use if something has come or gone since.
    fn look_at(&self, counting: &mut Counting) {
        let changes = self.tops.get(&counting.top).map_or(0, |top| top.changes);
        if changes != counting.seen {
            (counting.counted, counting.place, counting.seen) = (0, None, changes);
            counting.beginnings += 1;
        }
    }

    /// Somebody counts no more.
    pub(super) fn leave(&mut self, counting: &Counting) {
        let Some(top) = self.tops.get_mut(&counting.top) else { return };
        top.counts -= 1;
        if top.counts == 0 {
            self.tops.remove(&counting.top);
        }
    }
}

impl Znodes {
    /// Goes on with the count of all that is below a path, as far as this turn goes. The answer, when that was all.
    pub(super) fn count(&mut self, around: &Around, conn: ConnId, head: Head, path: &str) -> Option<Vec<Piece>> {
        let (tree, zxid) = (around.tree(), around.tree().zxid().get());
        let client = self.clients.get_mut(&conn).expect("the caller has it");
        let mut counting = match client.counting.take() {
            Some(counting) if *counting.top == *path => counting,
            // What stands at the path was none of the tree's meanwhile.
            other => {
                other.iter().for_each(|counting| self.counted.leave(counting));
                self.counted.begin(path)
            }
        };
        self.counted.look_at(&mut counting);
        let at_once = counting.beginnings > BEGINNINGS_MAX || client.has_asked();
        let ids = client.as_ids();
        let result = loop {
            match tree.count_some(path, &ids, counting.place, STEP) {
                Err(error) => break Err(code(error)),
                Ok((some, next)) => {
                    counting.counted += some;
                    counting.place = next;
                    // All below the root are known without a look at them.
                    let goes_on = self.long_reads.take(some.min(STEP) * NAME_BYTES);
                    if next.is_none() {
                        break Ok(counting.counted);
                    }
                    if !goes_on && !at_once {
                        client.counting = Some(counting);
                        return None;
                    }
                }
            }
        };
        self.counted.leave(&counting);
        let scratch = &mut self.packer.scratch;
        match result {
            Ok(count) => {
                let mut reply = Reply::new(scratch, head.xid, zxid);
                reply.count(i32::try_from(count).unwrap_or(i32::MAX));
                reply.end();
            }
            Err(error) => failure(scratch, head.xid, zxid, error),
        }
        Some(vec![Piece::Bytes(self.packer.take_scratch())])
    }
}
