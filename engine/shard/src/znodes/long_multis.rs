//! Long multis are looked through over turns before they are taken up, so that others are served in between: whether all of it can be read,
//! and what must be known of its operations.
//!
//! They stand in their client's line meanwhile as what has not been looked at. Those that others' nodes send were looked through there, and
//! are decoded at once.

use super::changes::has_stat;
use super::clients::{Looked, What};
use super::kafka::path_of;
use super::{Around, Znodes};
use torc_base::ids::ConnId;
use torc_base::limits::TREE_TURN_OPS;
use torc_net::zookeeper::{Looking, Op, Undecodable};

/// What is shorter is looked at in one go: so many operations that name no more than they must take a fraction of a millisecond.
pub(super) const LONG_FRAME: usize = 64 << 10;

/// One that is being looked through.
pub(super) struct LongMulti {
    looking: Looking,
    seen: Seen,
    /// There is nothing more to look at; and it is its turn.
    is_whole: bool,
    is_due: bool,
}

impl LongMulti {
    fn new(looking: Looking) -> LongMulti {
        LongMulti { looking, seen: Seen::default(), is_whole: false, is_due: true }
    }
}

/// What was seen of one.
#[derive(Default)]
pub(super) struct Seen {
    /// Of each operation, whether what it makes is told with its stat.
    pub(super) with_stat: Vec<bool>,
    /// One of them is of Kafka's znodes.
    pub(super) is_kafkas: bool,
}

impl Znodes {
    /// Looks at the next operations of a long multi, and takes it up if they were the last ones; `None`: it is something else. `waits`:
    /// as for any other.
    pub(super) fn take_long_multi(
        &mut self,
        around: &mut Around,
        conn: ConnId,
        frame: &[u8],
        waits: bool,
    ) -> Option<Looked> {
        let client = self.clients.get_mut(&conn).expect("the caller has it");
        let mut multi = match client.multi.take() {
            Some(multi) => multi,
            None => Box::new(LongMulti::new(Looking::begin(frame)?)),
        };
        if waits || !multi.is_due {
            client.multi = Some(multi);
            return Some(if waits { Looked::Behind } else { Looked::Later });
        }
        if !multi.is_whole {
            match self.look_through(around, &mut multi, frame) {
                Ok(true) => multi.is_whole = true,
                Ok(false) => {
                    multi.is_due = false;
                    self.unread.push_back(conn);
                    self.clients.get_mut(&conn).expect("just seen").multi = Some(multi);
                    return Some(Looked::Later);
                }
                Err(Undecodable::Body(head, error, _)) => {
                    return Some(Looked::Taken(What::Failed { xid: head.xid, error }));
                }
                Err(_) => unreachable!("its head was read"),
            }
        }
        let (head, request) = multi.looking.request(frame);
        self.clients.get_mut(&conn).expect("just seen").meters.note(head.xid, head.op);
        let looked = self.take_request(around, conn, head, (&request, frame), Some(&multi.seen));
        if matches!(looked, Some(Looked::Stalled)) {
            self.clients.get_mut(&conn).expect("just seen").multi = Some(multi);
        }
        looked
    }

    fn look_through(&self, around: &Around, multi: &mut LongMulti, frame: &[u8]) -> Result<bool, Undecodable> {
        let LongMulti { looking, seen, .. } = multi;
        looking.go_on(frame, TREE_TURN_OPS, |op: &Op<'_>| {
            seen.with_stat.push(has_stat(op));
            seen.is_kafkas = seen.is_kafkas || self.is_kafkas(around, path_of(op));
        })
    }

    /// Goes on with one of those whose turn has not come.
    pub(super) fn turn_long_multis(&mut self, around: &mut Around) {
        let Some(conn) = self.unread.pop_front() else { return };
        // It may have gone meanwhile.
        let multi = self.clients.get_mut(&conn).and_then(|client| client.multi.as_mut());
        if let Some(multi) = multi {
            multi.is_due = true;
            self.look(around, conn);
        }
    }
}
