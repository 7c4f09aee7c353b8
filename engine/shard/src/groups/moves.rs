//! Bringing a group from its replicas to others, as the catalog wants it.
//!
//! Whoever leads the group does one step at a time, and goes by nothing but the group's own configuration: new replicas learn
//! first, then the voters change by way of a joint configuration, and when the target holds, committed, the controller is
//! told until the catalog says that the move has ended. So any leader goes on where another one stopped, and a wish that
//! changed on the way, or was taken back, is only another target.

use super::replicas::find;
use super::{Groups, Notice, Out};
use crate::group::Group;
use crate::meaning::LogKind;
use std::collections::BTreeSet;
use std::fmt;
use torc_base::ids::{GroupId, Index, NodeId};
use torc_base::prng::Prng;
use torc_base::time::Mono;
use torc_consensus::{Input, Raft, Refused, Seat};
use torc_state::catalog::Move;

/// Between two looks at groups that are to move, and between two reports of one that has.
const LOOK_MS: u64 = 100;
const REPORT_MS: u64 = 1_000;
/// What the rate allows of bytes may be used up to so much later.
const BURST_MS: u64 = 100;

/// Where a group is to come to.
#[derive(Debug)]
pub struct Moving {
    number: Index,
    target: Vec<NodeId>,
    hold: Hold,
    report_at: Mono,
}

impl Moving {
    /// The replicas that it is to have.
    pub fn target(&self) -> impl Iterator<Item = NodeId> {
        self.target.iter().copied()
    }
}

/// What a group that this node leads waits for on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// This node has not looked yet.
    New,
    /// As many groups as may are on their way.
    Turn,
    /// This replica has not got the log yet.
    Behind(NodeId),
    /// This one cannot be reached.
    Away(NodeId),
    /// Of the new replicas fewer than a majority can be reached.
    FewerThanMajority,
    /// A change of its members is not committed.
    Commit,
    /// The controller has been told that it has come there.
    Controller,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::New => f.write_str("about to begin"),
            Hold::Turn => f.write_str("waits until other moves of its leader have ended (torc.moves.at.once)"),
            Hold::Behind(node) => write!(f, "node {node} is being sent the log"),
            Hold::Away(node) => write!(f, "node {node} cannot be reached from the leader"),
            Hold::FewerThanMajority => f.write_str("a majority of the new replicas cannot be reached from the leader"),
            Hold::Commit => f.write_str("the change of replicas is being committed"),
            Hold::Controller => f.write_str("all replicas have it, the controller is being told"),
        }
    }
}

/// A group that has come to the target of its move `number`, by the entry `members` of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub group: GroupId,
    pub number: Index,
    pub members: Index,
}

/// Groups of this shard that are to move.
#[derive(Debug)]
pub(super) struct Moves {
    all: BTreeSet<GroupId>,
    next: Mono,
    /// Groups that were made here for replicas that are to be added.
    made: u64,
    rate: Rate,
}

/// Bytes that leave for new replicas.
#[derive(Debug)]
struct Rate {
    /// 0: as many as there are.
    bytes_per_second: u64,
    /// Until then what has left is paid for.
    paid: Mono,
}

impl Rate {
    fn admits(&self, now: Mono) -> bool {
        self.bytes_per_second == 0 || self.paid <= now.plus_ms(BURST_MS)
    }

    fn take(&mut self, now: Mono, bytes: u64) {
        if let Some(nanos) = (u128::from(bytes) * 1_000_000_000).checked_div(self.bytes_per_second.into()) {
            self.paid = Mono(self.paid.max(now).0.saturating_add(u64::try_from(nanos).unwrap_or(u64::MAX)));
        }
    }
}

impl Moves {
    pub fn new(bytes_per_second: u64) -> Moves {
        Moves { all: BTreeSet::new(), next: Mono(0), made: 0, rate: Rate { bytes_per_second, paid: Mono(0) } }
    }

    /// The group is here no longer.
    pub fn forget(&mut self, id: GroupId) {
        self.all.remove(&id);
    }
}

/// The voters and the learners of a settled configuration.
fn seats(raft: &Raft) -> (Vec<NodeId>, Vec<NodeId>) {
    let of = |voters: bool| {
        let members = raft.configuration().1.members().iter();
        members.filter(|member| (member.seat == Seat::Voter) == voters).map(|member| member.id).collect()
    };
    (of(true), of(false))
}

fn same(a: &[NodeId], b: &[NodeId]) -> bool {
    a.len() == b.len() && a.iter().all(|node| b.contains(node))
}

impl Group {
    /// True if entries for that node bring it a log that it has not been trusted with yet.
    fn is_added(&self, node: NodeId) -> bool {
        self.moving.is_some() && find(&self.raft, node).is_some_and(|peer| peer.seat == Seat::Learner)
    }

    /// True if a majority of these nodes, this one among them or not, follows.
    fn majority_follows(&self, own: NodeId, nodes: &[NodeId]) -> bool {
        let follows = |node: &&NodeId| **node == own || find(&self.raft, **node).is_some_and(|peer| peer.follows());
        nodes.iter().filter(follows).count() > nodes.len() / 2
    }
}

impl Groups {
    /// Makes the group of a partition that is to be added to its replicas `voters`. What this node may once have known of the
    /// group is lost: its word does not count before the group's leader has brought it everything.
    pub fn create_added(&mut self, out: &mut Out, id: GroupId, voters: &[NodeId]) {
        self.moves.made += 1;
        let life = self.settings.cluster.start ^ self.moves.made.rotate_left(32);
        let incarnation = Prng::new(self.settings.seed ^ life ^ id.get().rotate_left(17)).next_u64() | 1;
        if self.groups.contains_key(&id) || self.fenced().is_some() {
            return;
        }
        self.make(out, id, LogKind::Partition, voters, Some(incarnation), false);
        // The copy that was dropped may stand in the log and in the checkpoint: a start would take the entries of this one, which
        // are the same, for those, of which the log has nothing any more. In this order: who has nothing is to know that it may
        // have forgotten something.
        let hard_state = self.groups[&id].raft.hard_state();
        self.write_hard_state(id, hard_state);
        self.write_anew(id);
    }

    /// Where a group is to come to; `None`: it may stay.
    pub fn set_move(&mut self, id: GroupId, to: Option<&Move>) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let Some(Move { number, target, .. }) = to else {
            group.moving = None;
            return self.moves.forget(id);
        };
        if group.moving.as_ref().is_some_and(|moving| moving.number == *number) {
            return;
        }
        let (number, target) = (*number, target.clone());
        group.moving = Some(Box::new(Moving { number, target, hold: Hold::New, report_at: Mono(0) }));
        self.moves.all.insert(id);
        self.moves.next = Mono(0);
    }

    /// A move that ended with the group's entry `members` has left this node without the partition: its group goes, unless its
    /// log already says that it is a replica again.
    pub fn moved_away(&mut self, out: &mut Out, id: GroupId, members: Index) {
        let Some(group) = self.groups.get(&id) else { return };
        let (index, configuration) = group.raft.configuration();
        let is_back = index > members && configuration.seat(self.settings.node).is_some();
        if !is_back {
            self.drop_group(out, id);
        }
    }

    /// Another configuration holds in a group.
    pub(super) fn members_changed(&mut self, out: &mut Out, id: GroupId) {
        self.suspect_absent(out, id);
        self.seat_replicas(out.now.mono, id);
        if self.moves.all.contains(&id) {
            self.moves.next = Mono(0);
        }
    }

    /// Takes groups that are led here a step further, those first that are on their way.
    pub(super) fn turn_moves(&mut self, out: &mut Out) {
        if self.moves.all.is_empty() || out.now.mono < self.moves.next {
            return;
        }
        self.moves.next = out.now.mono.plus_ms(LOOK_MS);
        let ids: Vec<GroupId> = self.moves.all.iter().copied().collect();
        let is_under_way = |id: &&GroupId| {
            let group = &self.groups[*id];
            group.leads() && group.raft.configuration().1.members().iter().any(|member| member.seat != Seat::Voter)
        };
        let under_way = ids.iter().filter(is_under_way).count();
        let mut room = self.settings.moves_at_once.saturating_sub(under_way);
        let mut arrived = Vec::new();
        for id in ids {
            self.drive_move(out, id, &mut room, &mut arrived);
        }
        if !arrived.is_empty() {
            out.notices.push_back(Notice::Arrived(arrived));
        }
    }

    fn drive_move(&mut self, out: &mut Out, id: GroupId, room: &mut usize, arrived: &mut Vec<Arrival>) {
        let Some(group) = self.groups.get_mut(&id).filter(|group| group.leads()) else { return };
        let Some(moving) = group.moving.as_mut() else { return };
        let (index, configuration) = group.raft.configuration();
        if index > group.raft.marks().committed || configuration.is_joint() {
            moving.hold = Hold::Commit;
            return;
        }
        let (voters, learners) = seats(&group.raft);
        if same(&voters, &moving.target) && learners.is_empty() {
            moving.hold = Hold::Controller;
            if moving.report_at <= out.now.mono {
                moving.report_at = out.now.mono.plus_ms(REPORT_MS);
                arrived.push(Arrival { group: id, number: moving.number, members: index });
            }
            return;
        }
        let target = moving.target.clone();
        let wanted: Vec<NodeId> = target.iter().filter(|node| !voters.contains(node)).copied().collect();
        let (input, begins) = if same(&wanted, &learners) {
            if !group.majority_follows(self.settings.node, &target) {
                return self.hold(id, Hold::FewerThanMajority);
            }
            (Input::Reconfigure { voters: target, learners: Vec::new() }, false)
        } else {
            let begins = learners.is_empty() && !wanted.is_empty();
            (Input::Reconfigure { voters, learners: wanted }, begins)
        };
        if begins && *room == 0 {
            return self.hold(id, Hold::Turn);
        }
        *room -= usize::from(begins);
        let result = group.raft.step(input, &mut self.output);
        let hold = match result {
            Ok(()) => Hold::Commit,
            Err(Refused::NotCaughtUp { node }) => match find(&group.raft, node) {
                Some(peer) if !peer.suspected => Hold::Behind(node),
                _ => Hold::Away(node),
            },
            // A change that is not committed, or leadership that is being handed over: both pass.
            Err(_) => Hold::Commit,
        };
        self.hold(id, hold);
        self.carry_out(out, id);
    }

    fn hold(&mut self, id: GroupId, hold: Hold) {
        if let Some(moving) = self.groups.get_mut(&id).and_then(|group| group.moving.as_mut()) {
            moving.hold = hold;
        }
    }

    /// What a group that is to move, and is led here, waits for.
    pub(super) fn hold_of(&self, id: GroupId) -> Option<Hold> {
        self.groups.get(&id).filter(|group| group.leads())?.moving.as_ref().map(|moving| moving.hold)
    }

    /// When groups that are to move are looked at next.
    pub(super) fn moves_deadline(&self) -> Option<Mono> {
        (!self.moves.all.is_empty()).then_some(self.moves.next)
    }

    /// False if entries of a group for that node have to wait: it is a new replica, and as much as may has left for such.
    pub(super) fn may_depart(&self, now: Mono, id: GroupId, node: NodeId) -> bool {
        self.moves.rate.admits(now) || !self.groups.get(&id).is_some_and(|group| group.is_added(node))
    }

    /// So many bytes of entries of a group leave for that node.
    pub(super) fn departed(&mut self, now: Mono, id: GroupId, node: NodeId, bytes: u64) {
        if self.groups.get(&id).is_some_and(|group| group.is_added(node)) {
            self.moves.rate.take(now, bytes);
        }
    }
}

#[cfg(test)]
#[path = "moves_tests.rs"]
mod tests;
