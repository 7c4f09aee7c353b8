//! Handing leadership over (Raft dissertation, section 3.10).

use crate::configuration::Seat;
use crate::message::Body;
use crate::output::{Output, Refused};
use crate::raft::{Raft, Role};
use torc_base::ids::NodeId;

/// A leader that hands over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    /// Who is to lead.
    pub to: NodeId,
    /// Ticks since it began.
    elapsed: u16,
    /// It was told to stand for election.
    told: bool,
}

impl Raft {
    pub(crate) fn transfer_to(&mut self, to: NodeId, out: &mut Output) -> Result<(), Refused> {
        self.check_leads()?;
        if to == self.id {
            // Also the way to call off a transfer to another.
            self.transfer = None;
            return Ok(());
        }
        let Some(at) = self.find(to).filter(|&at| self.peers[at].seat.votes_after()) else {
            return Err(Refused::NotAVoter { node: to });
        };
        if self.peers[at].suspected || self.peers[at].incarnation != 0 {
            return Err(Refused::NotReachable { node: to });
        }
        self.transfer = Some(Transfer { to, elapsed: 0, told: false });
        self.hand_over(out);
        Ok(())
    }

    /// Tells the next leader to stand for election, if it has all.
    pub(crate) fn hand_over(&mut self, out: &mut Output) {
        let Some(Transfer { to, told: false, .. }) = self.transfer else { return };
        let has_all = self.find(to).is_some_and(|at| self.peers[at].matched == self.log.last());
        if has_all {
            out.send_now.push((to, self.message(Body::TimeoutNow)));
            self.transfer.as_mut().expect("under way").told = true;
        }
    }

    /// Gives up after an election timeout: whoever was to lead does not, and the group is to go on.
    pub(crate) fn tick_transfer(&mut self) {
        if let Some(transfer) = &mut self.transfer {
            transfer.elapsed += 1;
            if transfer.elapsed >= self.election_ticks {
                self.transfer = None;
            }
        }
    }

    /// Stands at once: the leader asks for it, so nobody is disturbed.
    pub(crate) fn time_out_now(&mut self, out: &mut Output) {
        if self.role == Role::Follower && self.may_campaign() {
            self.stand(out);
        }
    }

    /// A leader that is no voter any more goes, once that is committed, and sees to it that somebody leads.
    pub(crate) fn leave_if_removed(&mut self, out: &mut Output) {
        if self.configuration().0 > self.committed || self.seat().is_some_and(Seat::votes) {
            return;
        }
        let voters = self.peers.iter().filter(|peer| peer.seat.votes() && !peer.suspected);
        if let Some(best) = voters.max_by_key(|peer| peer.matched) {
            out.send_now.push((best.id, self.message(Body::TimeoutNow)));
        }
        self.resign(out);
    }
}
