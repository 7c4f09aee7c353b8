//! Reads whose answers are long, or not taken: they wait for their turn, or for their client, so that nobody else does.
//!
//! A line of requests is answered as far as it goes, and what stands in it may ask for a hundred times what the requests
//! themselves take. So a turn makes so many bytes of long answers as its sum has left (`allowance.rs`), whoever wants them;
//! further ones stand in line, while short reads go on. No answer is made for a client that has much to take, and no long one while memory for answers is short.

use super::clients::Step;
use super::{Around, Znodes};
use crate::conns::Conns;
use crate::memory::Standstill;
use std::collections::VecDeque;
use torc_base::ids::ConnId;
use torc_base::limits::{PIECE_BYTES_MIN, REPLY_BYTES_MAX, TURN_SEND_BYTES};
use torc_net::zookeeper::{Request, decode};
use torc_state::tree::Tree;

/// What a name takes in an answer, besides its bytes, and what one of the znodes takes that are counted.
pub(super) const NAME_BYTES: usize = 32;
/// Bytes of long answers that cost a unit of the turn's sum.
const BYTES_MADE: usize = 512;
/// What is long, or is taken for it: more than reads may take together that are answered whatever has been sent.
const LONG: usize = REPLY_BYTES_MAX + 1;

/// What the first request of a connection waits for, which only reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nothing.
    Free,
    /// Its turn.
    Turn,
    /// Its client is to take what it has been sent.
    Client,
    /// A change is applied in part, and it is to see all of it.
    Change,
}

/// Connections whose turn is to come, in order, and what is left of this one.
#[derive(Default)]
pub(super) struct LongReads {
    waiting: VecDeque<ConnId>,
    /// Below 0: what the last one took beyond, which later turns have less, however much it is.
    left: isize,
    /// Of what is not left any more so much counts in the turn's sum already.
    counted: isize,
    standstill: Standstill,
}

impl LongReads {
    /// So much of the turn was taken, if it is much.
    pub(super) fn charge(&mut self, bytes: usize) {
        if bytes > PIECE_BYTES_MIN {
            self.left -= bytes as isize;
        }
    }

    /// So much of the turn was taken, if it is much or not. False: there is nothing left of it.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        self.left -= bytes as isize;
        self.left > 0
    }

    /// What was made since this was last asked counts in the turn's sum.
    fn count(&mut self, conns: &mut Conns) {
        let made = std::mem::replace(&mut self.counted, self.left) - self.left;
        conns.allowance.charge(usize::try_from(made).unwrap_or(0) / BYTES_MADE);
    }

    /// A new turn has so much for them.
    fn begin_turn(&mut self, conns: &mut Conns) {
        self.count(conns);
        let due = TURN_SEND_BYTES.min(conns.allowance.part() * BYTES_MADE) as isize;
        self.left = (self.left + due).min(due);
        self.counted = self.left;
    }

    /// True if something waits for nothing but its turn.
    pub(super) fn is_due(&self, conns: &Conns) -> bool {
        !self.waiting.is_empty() && !conns.are_answers_full()
    }

    fn is_over(&self, conns: &Conns) -> bool {
        self.left <= 0 || !self.waiting.is_empty() || conns.are_answers_full()
    }
}

/// True if a request that only reads might see a part of the change that is being applied.
fn is_of_change(tree: &Tree, frame: &[u8]) -> bool {
    let (_, request) = decode(frame).expect("it was decoded before");
    match request {
        Request::Ping | Request::WhoAmI | Request::Sasl | Request::Reconfig => false,
        Request::Exists(path, _) | Request::GetData(path, _) | Request::GetAcl(path) => tree.touches(path),
        Request::GetChildren(path, ..) => tree.touches(path),
        _ => true,
    }
}

impl Znodes {
    /// True if the first request of a connection, which only reads, is to wait; it is looked at again.
    /// `before`: what it waited for until now.
    pub(super) fn is_held(
        &mut self,
        around: &Around,
        conn: ConnId,
        frame: &[u8],
        before: Hold,
        has_turn: bool,
    ) -> bool {
        if around.tree().applying() > 0 && is_of_change(around.tree(), frame) {
            // What was asked for behind it is applied later still.
            if before != Hold::Change {
                self.clients.get_mut(&conn).expect("it has a request").hold = Hold::Change;
                self.applying.waiting.push(conn);
            }
            return true;
        }
        let hold = if around.conns.held(conn) > REPLY_BYTES_MAX {
            Hold::Client
        } else if !has_turn
            && self.long_reads.is_over(around.conns)
            && (before == Hold::Turn || self.is_long(around, conn, frame))
        {
            Hold::Turn
        } else {
            Hold::Free
        };
        // What was asked for behind it is not to be seen by it: so it is answered now. There is little of that.
        let hold = if self.clients.get(&conn).is_some_and(|client| hold != Hold::Free && client.has_asked()) {
            Hold::Free
        } else {
            hold
        };
        if hold != before {
            self.clients.get_mut(&conn).expect("it has a request").hold = hold;
            if hold == Hold::Turn {
                self.long_reads.waiting.push_back(conn);
            }
        }
        hold != Hold::Free
    }

    fn is_long(&self, around: &Around, conn: ConnId, frame: &[u8]) -> bool {
        self.weight(around, conn, frame) == LONG
    }

    /// Bytes that the answer to a request that only reads may take; [`LONG`] if they are many, or long in the making.
    pub(super) fn weight(&self, around: &Around, conn: ConnId, frame: &[u8]) -> usize {
        if frame.len() > PIECE_BYTES_MIN {
            return LONG;
        }
        let (_, request) = decode(frame).expect("it was decoded before");
        match request {
            Request::GetData(path, _) | Request::GetChildren(path, ..) => {
                if self.is_kafkas(around, path) {
                    return LONG;
                }
                let Some(client) = self.clients.get(&conn) else { return NAME_BYTES };
                around.tree().exists(path, &client.as_ids()).map_or(NAME_BYTES, |stat| {
                    let names = usize::try_from(stat.num_children).unwrap_or(0) * NAME_BYTES;
                    let bytes = NAME_BYTES + usize::try_from(stat.data_length).unwrap_or(0).max(names);
                    if bytes > PIECE_BYTES_MIN { LONG } else { bytes }
                })
            }
            Request::MultiRead(_)
            | Request::GetEphemerals(_)
            | Request::GetAllChildrenNumber(_)
            | Request::SetWatches(..) => LONG,
            _ => NAME_BYTES,
        }
    }

    /// The first request of a connection has come some way, and goes on in its next turn.
    pub(super) fn go_on_later(&mut self, conn: ConnId, step: Step) {
        self.put_back(conn, step);
        let client = self.clients.get_mut(&conn).expect("just seen");
        client.hold = Hold::Turn;
        // A list that has begun comes before others: it is in memory.
        if client.listing.is_some() || client.reading.is_some() {
            self.long_reads.waiting.push_front(conn);
        } else {
            self.long_reads.waiting.push_back(conn);
        }
    }

    /// A client has taken something.
    pub fn sent(&mut self, around: &mut Around, conn: ConnId) {
        if self.clients.get(&conn).is_some_and(|client| client.hold == Hold::Client) {
            self.advance(around, conn);
        }
    }

    /// A new turn: those who have waited for it come first.
    pub(super) fn turn_reads(&mut self, around: &mut Around) {
        self.long_reads.begin_turn(around.conns);
        for _ in 0..self.long_reads.waiting.len() {
            if self.long_reads.left <= 0 || around.conns.are_answers_full() {
                break;
            }
            let Some(conn) = self.long_reads.waiting.pop_front() else { break };
            if let Some(client) = self.clients.get_mut(&conn).filter(|client| client.hold == Hold::Turn) {
                client.hold = Hold::Free;
                self.long_reads.standstill.end();
                self.advance_in_turn(around, conn);
            }
        }
        self.long_reads.count(around.conns);
        let waits = !self.long_reads.waiting.is_empty() || !self.lists.is_empty();
        self.long_reads.standstill.note(around.now(), waits && around.conns.are_answers_full());
        around.conns.note_stuck(self.long_reads.standstill);
    }
}

#[cfg(test)]
#[path = "long_reads_tests.rs"]
mod tests;
