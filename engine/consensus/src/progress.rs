//! What a member knows of another.

use crate::configuration::{Member, Seat};
use crate::quorum::{Ballot, Reach};
use std::collections::VecDeque;
use torc_base::ids::{Index, NodeId};
use torc_base::limits::{REPLICATE_BYTES_WINDOW, REPLICATE_MESSAGES_WINDOW, REPLICATE_WINDOW};

/// Another member, or this one, as seen from here. All but the first four is kept by a leader only, and not for itself.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Who.
    pub id: NodeId,
    /// In which seat.
    pub seat: Seat,
    /// Its answer in the current poll.
    pub ballot: Option<Ballot>,
    /// Its node is silent, or the link to it broke.
    pub suspected: bool,
    /// Its log agrees with ours and is durable up to here, and that counts.
    pub matched: Index,
    /// Its log agrees with ours and is durable up to here. Ahead of `matched` in a member whose word does not count.
    pub held: Index,
    /// The next entry to send it.
    pub next: Index,
    /// How it is sent to.
    pub flow: Flow,
    /// The commit mark that it was told.
    pub told: Index,
    /// Entries were offered of which it is not known yet whether they left.
    pub(crate) offered: bool,
    /// Heartbeats since it was last heard.
    pub(crate) missed: u16,
    /// The last question whether we still lead that it has answered.
    pub(crate) round: u64,
    /// The life of its disk if it lost one and its word does not count; else 0.
    pub(crate) incarnation: u64,
    /// The entry that shows that it holds all again, once it is committed and held; 0: none yet. Made in its
    /// `incarnation`.
    pub(crate) barrier: Index,
    pub(crate) in_flight: InFlight,
}

/// How a leader sends to a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Where its log agrees is not known: one message at a time, until it answers.
    Probe { waiting: bool },
    /// It agrees: entries leave before the earlier ones are answered, up to a window.
    Stream,
    /// The log no longer has what it needs: it gets a snapshot.
    Snapshot,
    /// It did not take a snapshot; nothing is sent for so many ticks.
    Paused { ticks: u16 },
}

/// Messages with entries that were not acknowledged yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight {
    /// Last entry and bytes of each, in the order of sending.
    sent: VecDeque<(Index, u64)>,
    bytes: u64,
}

impl InFlight {
    pub(crate) fn push(&mut self, through: Index, bytes: u64) {
        self.sent.push_back((through, bytes));
        self.bytes += bytes;
    }

    pub(crate) fn acknowledge(&mut self, through: Index) {
        while let Some((_, bytes)) = self.sent.front().filter(|(last, _)| *last <= through) {
            self.bytes -= bytes;
            self.sent.pop_front();
        }
    }

    fn is_full(&self) -> bool {
        self.bytes >= REPLICATE_BYTES_WINDOW || self.sent.len() >= REPLICATE_MESSAGES_WINDOW
    }
}

impl Peer {
    /// A member of which nothing is known; the log here ends at `last`.
    pub(crate) fn new(Member { id, seat }: Member, last: Index) -> Peer {
        Peer {
            id,
            seat,
            ballot: None,
            suspected: false,
            matched: Index(0),
            held: Index(0),
            next: last.next(),
            flow: Flow::Probe { waiting: false },
            told: Index(0),
            offered: false,
            missed: 0,
            round: 0,
            incarnation: 0,
            barrier: Index(0),
            in_flight: InFlight::default(),
        }
    }

    /// True if it has answered since its node was last lost sight of, and what it says counts: it may have another disk since.
    pub fn follows(&self) -> bool {
        !self.suspected && self.incarnation == 0 && self.flow == Flow::Stream
    }

    /// Forgets what was known, at the start of a leader's term whose log ends at `last`.
    pub(crate) fn reset(&mut self, last: Index) {
        let (ballot, suspected) = (self.ballot, self.suspected);
        *self = Peer { ballot, suspected, ..Peer::new(Member { id: self.id, seat: self.seat }, last) };
    }

    /// Bytes of entries that have left for it, and that it has not acknowledged.
    pub fn under_way(&self) -> u64 {
        self.in_flight.bytes
    }

    /// Begins to probe for the place where its log agrees, behind `agree` at the earliest.
    pub(crate) fn probe_from(&mut self, next: Index, waiting: bool) {
        self.next = next.max(self.held.next());
        self.flow = Flow::Probe { waiting };
        self.offered = false;
        self.in_flight = InFlight::default();
    }

    /// Entries that may be offered to it now.
    pub(crate) fn room(&mut self) -> u64 {
        if self.next == self.held.next() {
            // Nothing is under way; what was is lost.
            self.in_flight = InFlight::default();
        }
        if self.in_flight.is_full() {
            return 0;
        }
        (REPLICATE_WINDOW + self.held.0 + 1).saturating_sub(self.next.0)
    }

    /// How far it is, for whoever counts.
    pub(crate) fn reach(&self) -> Reach {
        Reach { matched: self.matched, held: self.held, in_doubt: self.incarnation != 0 }
    }

    /// Whether it does what was asked of it, as an answer; it may be one whose word does not count.
    pub(crate) fn ballot_if(&self, does: bool) -> Ballot {
        match does {
            false => Ballot::No,
            true if self.incarnation == 0 => Ballot::Yes,
            true => Ballot::Abstained,
        }
    }

    /// True if it can be sent to.
    pub(crate) fn is_open(&self) -> bool {
        !self.suspected && !self.offered && matches!(self.flow, Flow::Probe { waiting: false } | Flow::Stream)
    }

    /// True if it lacks nothing of a log that ends at `last` and is committed up to `committed`, and knows that; or if
    /// nothing can be done about it by waiting.
    pub(crate) fn is_settled(&self, last: Index, committed: Index) -> bool {
        self.suspected
            || self.flow == Flow::Snapshot
            || (self.flow == Flow::Stream && self.held == last && self.told >= committed && self.incarnation == 0)
    }

    /// It agrees up to `through`; `counts` unless it has lost its disk. The log here begins at `first`. True if that is
    /// news.
    pub(crate) fn accepted(&mut self, through: Index, counts: bool, first: Index) -> bool {
        let news = through > self.held || (counts && through > self.matched);
        self.held = self.held.max(through);
        if counts {
            self.matched = self.matched.max(through);
        }
        self.next = self.next.max(self.held.next());
        self.in_flight.acknowledge(self.held);
        match self.flow {
            Flow::Probe { .. } => self.flow = Flow::Stream,
            // What it answered is older than the snapshot.
            Flow::Snapshot | Flow::Paused { .. } if self.held.next() < first => {}
            Flow::Snapshot | Flow::Paused { .. } => self.probe_from(self.held.next(), false),
            Flow::Stream => {}
        }
        news
    }

    /// It has not the entry at `prev`, and agrees at `agree` at the latest. Answers to old messages say nothing.
    pub(crate) fn rejected(&mut self, prev: Index, agree: Index) {
        let next = match self.flow {
            Flow::Stream if prev > self.held => self.held.next(),
            // It has acknowledged more: it is broken, and asked again with the next heartbeat.
            Flow::Probe { .. } if prev.next() == self.next && agree < self.held => {
                return self.probe_from(self.held.next(), true);
            }
            Flow::Probe { .. } if prev.next() == self.next => agree.next().min(prev),
            _ => return,
        };
        self.probe_from(next, false);
    }

    /// It has lost some of what it held, and agrees at `agree` at the latest.
    pub(crate) fn damaged(&mut self, agree: Index) {
        if agree < self.held {
            self.forget();
            self.probe_from(agree.next(), false);
        }
    }

    fn forget(&mut self) {
        self.matched = Index(0);
        self.held = Index(0);
        self.told = Index(0);
    }

    /// Its word does not count in this life of its disk. True if that is news.
    pub(crate) fn doubted(&mut self, incarnation: u64, last: Index) -> bool {
        if self.incarnation == incarnation {
            return false;
        }
        self.incarnation = incarnation;
        self.barrier = Index(0);
        self.forget();
        self.probe_from(last.next(), false);
        true
    }
}
