//! Changes of members. A configuration is an entry: it holds as soon as it is appended, and no longer when it is cut off.
//! At most one is uncommitted at a time.

use crate::configuration::{Configuration, Seat};
use crate::output::{Output, Refused};
use crate::progress::{Flow, Peer};
use crate::raft::{Raft, Role};
use torc_base::ids::{Index, NodeId};
use torc_base::limits::REPLICATE_ENTRIES_MAX;

impl Raft {
    pub(crate) fn reconfigure(
        &mut self,
        voters: &[NodeId],
        learners: &[NodeId],
        out: &mut Output,
    ) -> Result<(), Refused> {
        self.check_leads()?;
        let (index, current) = self.configuration();
        if index > self.committed || current.is_joint() {
            return Err(Refused::ChangeInProgress { index });
        }
        // Else two leaders could change the members by one each, and neither know of the other's change.
        if self.committed < self.term_start {
            return Err(Refused::TermNotCommitted);
        }
        let next = current.towards(voters, learners).ok_or(Refused::Invalid)?;
        if next == *current {
            return Ok(());
        }
        for member in next.members() {
            if member.seat == Seat::Joining && !self.has_caught_up(member.id) {
                return Err(Refused::NotCaughtUp { node: member.id });
            }
        }
        self.append_configuration(next, out);
        Ok(())
    }

    /// True for a member that has all of older terms, was sent all that is committed, and lacks little of it: as a voter
    /// it would not hold commits up. Of a leader that is asked about itself, true.
    pub fn has_caught_up(&self, id: NodeId) -> bool {
        let Some(at) = self.leads_to(id) else { return self.is_leader() && id == self.id };
        let peer = &self.peers[at];
        peer.flow == Flow::Stream
            && !peer.suspected
            && peer.matched >= self.term_start
            && peer.next > self.committed
            && peer.matched.plus(REPLICATE_ENTRIES_MAX) >= self.committed
    }

    fn append_configuration(&mut self, configuration: Configuration, out: &mut Output) {
        self.append(1, false, out);
        // Who goes is told so, once: it is in no quorum any more, and does not ask for votes when it knows.
        for at in 0..self.peers.len() {
            if configuration.seat(self.peers[at].id).is_none() && self.peers[at].id != self.id {
                self.send_append(at, out);
            }
        }
        out.configuration = Some(configuration.clone());
        self.configurations.push((self.log.last(), configuration));
        self.seat_peers();
        out.reconfigured = true;
        self.send_appends(out);
    }

    /// What follows when a leader's commit mark has moved: a joint configuration is left, and members that lost their
    /// disk get the entry that readmits them.
    pub(crate) fn settle_members(&mut self, out: &mut Output) {
        let (index, configuration) = self.configuration();
        if index > self.committed || self.committed < self.term_start || out.append.is_some() {
            return;
        }
        if configuration.is_joint() {
            let settled = configuration.settled();
            self.append_configuration(settled, out);
        } else if self.peers.iter().any(|peer| peer.incarnation != 0 && peer.barrier == Index(0)) {
            // The same members anew: an entry that none of those can have acknowledged in an earlier life.
            let same = configuration.clone();
            self.append_configuration(same, out);
            let last = self.log.last();
            for peer in self.peers.iter_mut().filter(|peer| peer.incarnation != 0 && peer.barrier == Index(0)) {
                peer.barrier = last;
            }
        }
    }

    /// Takes configurations in that stand among the entries from `first` on, which were just appended.
    pub(crate) fn take_configurations(
        &mut self,
        first: Index,
        configurations: Vec<(Index, Configuration)>,
        out: &mut Output,
    ) {
        let before = self.configurations.len();
        self.configurations.extend(configurations.into_iter().filter(|&(index, _)| index >= first));
        if self.configurations.len() > before {
            self.seat_peers();
            out.reconfigured = true;
        }
    }

    /// Takes configurations back whose entries are cut off, from `from` on.
    pub(crate) fn cut_configurations(&mut self, from: Index, out: &mut Output) {
        let before = self.configurations.len();
        self.configurations.retain(|&(index, _)| index < from);
        assert!(!self.configurations.is_empty(), "cut at {from}: no configuration holds");
        if self.configurations.len() < before {
            self.seat_peers();
            out.reconfigured = true;
        }
    }

    /// The last configuration that is known to be committed, and those behind it.
    pub(crate) fn open_configurations(&self) -> impl Iterator<Item = &Configuration> {
        let committed = self.configurations.partition_point(|&(index, _)| index <= self.committed);
        self.configurations[committed.saturating_sub(1)..].iter().map(|(_, configuration)| configuration)
    }

    /// Forgets configurations that neither hold nor can hold again, nor are those of a checkpoint at the applied mark.
    pub(crate) fn forget_configurations(&mut self) {
        let applied = self.configurations.partition_point(|&(index, _)| index <= self.applied);
        self.configurations.drain(..applied.saturating_sub(1));
    }

    /// Makes the peers those of the configuration that holds; what is known of those that stay is kept.
    pub(crate) fn seat_peers(&mut self) {
        let known = std::mem::take(&mut self.peers);
        let mut known = known.into_iter().peekable();
        let last = self.log.last();
        let (_, configuration) = self.configurations.last().expect("there is always one");
        let seated = configuration.members().iter().map(|&member| {
            while known.next_if(|peer| peer.id < member.id).is_some() {}
            match known.next_if(|peer| peer.id == member.id) {
                Some(peer) => Peer { seat: member.seat, ..peer },
                None => Peer::new(member, last),
            }
        });
        self.peers = seated.collect();
        if self.role == Role::Leader
            && let Some(transfer) = self.transfer
            && self.find(transfer.to).is_none()
        {
            self.transfer = None;
        }
    }
}
