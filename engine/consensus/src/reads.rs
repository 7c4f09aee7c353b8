//! Reads of what is committed, without an entry of their own (Raft dissertation, section 6.4): the leader asks a quorum
//! whether it still leads. One question serves all reads that were there when it was asked; the next question is asked
//! when the last one is answered, so that any number of reads costs one exchange at a time.

use crate::output::{Output, ReadsReady, Refused};
use crate::progress::Peer;
use crate::quorum::{Ballot, Tally, poll};
use crate::raft::Raft;

/// The leader's questions, by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    /// The last one asked.
    asked: u64,
    /// The last one that a quorum has answered.
    confirmed: u64,
    /// The last one whose reads were served.
    served: u64,
    /// Reads wait for the next question.
    again: bool,
}

impl Reads {
    pub(crate) fn round(&self) -> u64 {
        self.asked
    }

    /// True if somebody waits.
    pub(crate) fn is_open(&self) -> bool {
        self.asked > self.served
    }

    /// Forgets the reads of an earlier leadership; their numbers do not come again.
    pub(crate) fn begin_term(&mut self) {
        let asked = self.asked + u64::from(self.again);
        *self = Reads { asked, confirmed: asked, served: asked, again: false };
    }
}

impl Raft {
    pub(crate) fn read(&mut self, out: &mut Output) -> Result<(), Refused> {
        self.check_leads()?;
        if self.reads.asked > self.reads.confirmed {
            self.reads.again = true;
            out.read = Some(self.reads.asked + 1);
        } else {
            self.ask(out);
            out.read = Some(self.reads.asked);
            self.count_answers(out);
        }
        Ok(())
    }

    fn ask(&mut self, out: &mut Output) {
        self.reads.asked += 1;
        for at in 0..self.peers.len() {
            if self.peers[at].id != self.id && self.peers[at].seat.votes() {
                self.send_heartbeat(at, out);
            }
        }
    }

    /// Counts who has answered the open question.
    pub(crate) fn count_answers(&mut self, out: &mut Output) {
        if self.reads.asked == self.reads.confirmed {
            return;
        }
        let asked = self.reads.asked;
        let answer = |peer: &Peer| match peer.id == self.id {
            true => Some(Ballot::Yes),
            false => (peer.round >= asked).then(|| peer.ballot_if(true)),
        };
        let answers = self.peers.iter().map(|peer| (peer.seat, answer(peer)));
        if poll(answers) != Tally::Won {
            return;
        }
        self.reads.confirmed = asked;
        self.serve_reads(out);
        if std::mem::take(&mut self.reads.again) {
            self.ask(out);
        }
    }

    /// What is committed includes all that earlier leaders committed only once an entry of the own term is.
    pub(crate) fn serve_reads(&mut self, out: &mut Output) {
        if self.reads.confirmed > self.reads.served && self.committed >= self.term_start {
            self.reads.served = self.reads.confirmed;
            out.reads = Some(ReadsReady { ticket: self.reads.served, index: self.committed });
        }
    }
}
