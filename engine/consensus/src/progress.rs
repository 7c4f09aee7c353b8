//! What a member knows of another.

use torc_base::ids::{Index, NodeId};

/// Another voter, or this one, as seen from here.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Who.
    pub id: NodeId,
    /// Its answer in the current poll.
    pub ballot: Option<bool>,
    /// Its log agrees with ours and is durable up to here. Only kept by a leader, and not for itself.
    pub matched: Index,
    /// The next entry to send it.
    pub next: Index,
    /// How it is sent to.
    pub flow: Flow,
}

/// How a leader sends to a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Where its log agrees is not known: one message at a time, until it answers.
    Probe { waiting: bool },
    /// It agrees: entries leave before the earlier ones are answered, up to a window.
    Stream,
}

impl Peer {
    pub(crate) fn new(id: NodeId) -> Peer {
        Peer { id, ballot: None, matched: Index(0), next: Index(1), flow: Flow::Probe { waiting: false } }
    }

    /// Forgets what was known, at the start of a leader's term whose log ends at `last`.
    pub(crate) fn reset(&mut self, last: Index) {
        self.matched = Index(0);
        self.next = last.next();
        self.flow = Flow::Probe { waiting: false };
    }

    /// It agrees up to `through`. True if that is news.
    pub(crate) fn accepted(&mut self, through: Index) -> bool {
        let news = through > self.matched;
        self.matched = self.matched.max(through);
        self.next = self.next.max(through.next());
        if news || matches!(self.flow, Flow::Probe { .. }) {
            self.flow = Flow::Stream;
        }
        news
    }

    /// It has not the entry at `prev`, and agrees at `agree` at the latest. False if the answer is to an old message.
    pub(crate) fn rejected(&mut self, prev: Index, agree: Index) -> bool {
        match self.flow {
            Flow::Stream => {
                if prev <= self.matched {
                    return false;
                }
                self.next = self.matched.next();
            }
            Flow::Probe { .. } => {
                if prev.next() != self.next {
                    return false;
                }
                self.next = agree.next().min(prev).max(self.matched.next());
            }
        }
        self.flow = Flow::Probe { waiting: false };
        true
    }
}
