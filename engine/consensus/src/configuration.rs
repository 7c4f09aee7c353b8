//! Who belongs to a group, and in which seat.
//!
//! Voters change by joint consensus (Raft, section 6): between two sets of voters stands a configuration that holds both,
//! in which whatever is decided needs a majority of each. A seat says on its own to which of the two a member belongs, so
//! that one list of members is all there is.

use torc_base::ids::NodeId;

/// What a member may do. The last three exist only in a joint configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// Votes and counts.
    Voter,
    /// Gets the log, and counts for nothing.
    Learner,
    /// Becomes a voter: belongs to the new voters only.
    Joining,
    /// Is to go: belongs to the old voters only.
    Leaving,
    /// Is to become a learner: belongs to the old voters only.
    Demoted,
}

impl Seat {
    /// True for one of the voters from which a change begins; in a settled configuration, for a voter.
    pub fn votes_before(self) -> bool {
        matches!(self, Seat::Voter | Seat::Leaving | Seat::Demoted)
    }

    /// True for one of the voters with which a change ends; in a settled configuration, for a voter.
    pub fn votes_after(self) -> bool {
        matches!(self, Seat::Voter | Seat::Joining)
    }

    /// True for one of either.
    pub fn votes(self) -> bool {
        self != Seat::Learner
    }

    /// The seat after the change; `None`: no member any more.
    fn settled(self) -> Option<Seat> {
        match self {
            Seat::Voter | Seat::Joining => Some(Seat::Voter),
            Seat::Learner | Seat::Demoted => Some(Seat::Learner),
            Seat::Leaving => None,
        }
    }
}

/// A member and its seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub id: NodeId,
    /// In which seat.
    pub seat: Seat,
}

/// All members of a group. Never without a voter, before a change and after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// By id, each once.
    members: Vec<Member>,
}

impl Configuration {
    /// The configuration of these members, in any order; `None` if one is named twice, or none would vote.
    pub fn new(mut members: Vec<Member>) -> Option<Configuration> {
        members.sort_unstable_by_key(|member| member.id);
        let once = members.windows(2).all(|w| w[0].id != w[1].id);
        let voters = members.iter().any(|m| m.seat.votes_before()) && members.iter().any(|m| m.seat.votes_after());
        (once && voters).then_some(Configuration { members })
    }

    /// Voters only, at least one, each once: how groups begin.
    pub fn of_voters(ids: impl IntoIterator<Item = NodeId>) -> Configuration {
        let members: Vec<_> = ids.into_iter().map(|id| Member { id, seat: Seat::Voter }).collect();
        let named = members.len();
        Configuration::new(members).unwrap_or_else(|| panic!("{named} voters: none, or one of them twice"))
    }

    /// All members, by id.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The seat of a member.
    pub fn seat(&self, id: NodeId) -> Option<Seat> {
        self.members.binary_search_by_key(&id, |member| member.id).ok().map(|at| self.members[at].seat)
    }

    /// True while a change of voters is under way.
    pub fn is_joint(&self) -> bool {
        self.members.iter().any(|m| m.seat.votes_before() != m.seat.votes_after())
    }

    /// The first step from this settled configuration to `voters` and `learners`: joint if voters change, else the
    /// target itself. `None` if the target names a member twice or has no voters.
    pub(crate) fn towards(&self, voters: &[NodeId], learners: &[NodeId]) -> Option<Configuration> {
        assert!(!self.is_joint(), "a change from the middle of another");
        let was_voter = |id| self.seat(id).is_some_and(Seat::votes);
        let staying =
            voters.iter().map(|&id| Member { id, seat: if was_voter(id) { Seat::Voter } else { Seat::Joining } });
        let below =
            learners.iter().map(|&id| Member { id, seat: if was_voter(id) { Seat::Demoted } else { Seat::Learner } });
        let gone =
            self.members.iter().filter(|m| m.seat.votes() && !voters.contains(&m.id) && !learners.contains(&m.id));
        let gone = gone.map(|m| Member { id: m.id, seat: Seat::Leaving });
        Configuration::new(staying.chain(below).chain(gone).collect())
    }

    /// The second step: what a joint configuration leads to.
    pub(crate) fn settled(&self) -> Configuration {
        let members = self.members.iter().filter_map(|m| m.seat.settled().map(|seat| Member { id: m.id, seat }));
        Configuration { members: members.collect() }
    }
}

#[cfg(test)]
#[path = "configuration_tests.rs"]
mod tests;
