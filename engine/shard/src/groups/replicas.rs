//! What this node knows of the other replicas of its groups: who leads elsewhere, and which replicas are in sync with what
//! it leads itself.

use super::{Groups, Notice, Out};
use crate::group::{Flush, Group, Waiter};
use crate::mail::{Acks, Led};
use crate::refusal::Refusal;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use torc_base::ids::{GroupId, Index, LeaderEpoch, NodeId};
use torc_base::time::Mono;
use torc_consensus::{Configuration, Input, Peer, Raft, Refused};

/// So many flushes are remembered while the other replicas are slower than this node's disk.
const FLUSHES_MAX: usize = 1_024;
/// Between two looks at replicas that lag.
const LOOK_MS: u64 = 1_000;

/// What a leader notes of another replica.
#[derive(Debug)]
struct Replica {
    node: NodeId,
    /// It had all that the log had, the last time that this is known of.
    had_all: Mono,
    /// The log's end at `marked`: when the replica has that, it had all then. A log that is written to without a pause is
    /// never all there.
    goal: Index,
    marked: Mono,
}

/// The replicas of a group that this node leads.
#[derive(Debug)]
pub struct InSync {
    others: Vec<Replica>,
    /// `replica.lag.time.max.ms`
    lag_ms: u64,
    /// Which entries were on this node's disk when, and when they were handed to it, as long as somebody may wait for their commit.
    flushed: VecDeque<(Index, Flush)>,
    /// Those that are not in sync, as it was told last.
    behind: Vec<NodeId>,
}

impl InSync {
    /// At the beginning of a leader's term nobody is known to lag. `None`: there is no other replica.
    fn begin(now: Mono, own: NodeId, raft: &Raft, lag_ms: u64) -> Option<Box<InSync>> {
        let mut in_sync = InSync { others: Vec::new(), lag_ms, flushed: VecDeque::new(), behind: Vec::new() };
        in_sync.seat(now, own, raft);
        (!in_sync.others.is_empty()).then(|| Box::new(in_sync))
    }

    /// The other members are those that the group has now. Of new ones it is not known that they lag, if they vote.
    fn seat(&mut self, now: Mono, own: NodeId, raft: &Raft) {
        let goal = raft.marks().written;
        self.others.retain(|replica| find(raft, replica.node).is_some());
        for peer in raft.peers().iter().filter(|peer| peer.id != own) {
            if self.others.iter().all(|replica| replica.node != peer.id) {
                self.others.push(Replica { node: peer.id, had_all: now, goal, marked: now });
            }
        }
    }

    /// Something is about to be appended: who has all now lags from now on.
    fn appending(&mut self, now: Mono, raft: &Raft) {
        let last = raft.marks().written;
        for replica in &mut self.others {
            if find(raft, replica.node).is_some_and(|peer| peer.matched >= last) {
                replica.had_all = now;
            }
        }
    }

    /// A replica has said something.
    fn heard(&mut self, now: Mono, from: NodeId, raft: &Raft) {
        let last = raft.marks().written;
        let Some(replica) = self.others.iter_mut().find(|replica| replica.node == from) else { return };
        let Some(peer) = find(raft, from) else { return };
        if peer.matched >= last {
            replica.had_all = now;
        }
        if peer.matched >= replica.goal {
            replica.had_all = replica.had_all.max(replica.marked);
            (replica.goal, replica.marked) = (last, now);
        }
    }

    /// When a replica is known to have had all that there was.
    pub fn had_all(&self, node: NodeId) -> Option<Mono> {
        self.others.iter().find(|replica| replica.node == node).map(|replica| replica.had_all)
    }

    /// Those that have lacked something for too long, cannot be reached, do not know what they had, or do not count yet.
    fn lagging(&self, now: Mono, raft: &Raft) -> impl Iterator<Item = NodeId> {
        let last = raft.marks().written;
        let lags = move |replica: &&Replica| match find(raft, replica.node) {
            None => true,
            Some(peer) if !peer.follows() || !peer.seat.votes() => true,
            Some(peer) => peer.matched < last && now >= replica.had_all.plus_ms(self.lag_ms),
        };
        self.others.iter().filter(lags).map(|replica| replica.node)
    }
}

/// What is known of a member.
pub(super) fn find(raft: &Raft, node: NodeId) -> Option<&Peer> {
    raft.peers().iter().find(|peer| peer.id == node)
}

/// Who waits for more than the group's commit: by the copies that are wanted, and whether it must be committed besides.
pub type OnCopies = BTreeMap<(u32, bool), VecDeque<Waiter>>;

/// When replicas are looked at next.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// Groups with replicas that can be reached and are not in sync.
    lagging: BTreeSet<GroupId>,
    /// Nodes came or went: all groups are to be looked at.
    all: bool,
    next: Mono,
}

impl Group {
    /// Something is about to be appended.
    pub(super) fn appending(&mut self, now: Mono) {
        if let Some(in_sync) = &mut self.in_sync {
            in_sync.appending(now, &self.raft);
        }
    }

    /// Replicas that are in sync, this one among them.
    pub(super) fn in_sync(&self, now: Mono) -> u32 {
        let others = self.in_sync.as_ref();
        1 + others.map_or(0, |others| others.others.len() - others.lagging(now, &self.raft).count()) as u32
    }

    /// Lets somebody wait until as many disks have the entry as was asked for. `in_sync`: how many at least if it is to be on
    /// all.
    pub(super) fn await_copies(&mut self, waiter: Waiter, acks: Acks, in_sync: u32) {
        let voters = self.raft.peers().iter().filter(|peer| peer.seat.votes()).count() as u32;
        let (copies, committed) = match acks {
            Acks::Disks(copies) if copies > 1 => (copies.into(), false),
            Acks::All if in_sync > voters / 2 + 1 => (in_sync, true),
            Acks::All | Acks::None | Acks::Disks(_) => return self.wait_for_commit(waiter),
        };
        let waiters = self.on_copies.entry((copies, committed)).or_default();
        let at = waiters.partition_point(|other| other.index <= waiter.index);
        waiters.insert(at, waiter);
    }

    /// So many replicas are in sync: who waits for more of them is told so, and asks again. What is in the log may stay there.
    fn refuse_copies(&mut self, out: &mut Out, in_sync: u32) {
        for ((copies, and_committed), waiters) in &mut self.on_copies {
            if *and_committed && *copies > in_sync {
                out.answers.extend(waiters.drain(..).map(|waiter| waiter.refused(Refusal::FewerInSync)));
            }
        }
        self.on_copies.retain(|_, waiters| !waiters.is_empty());
    }

    /// Entries through `through` are on this node's disk, handed to it at `cut`.
    pub(super) fn note_flushed(&mut self, through: Index, cut: Mono, now: Mono) {
        if self.on_commit.is_empty() && self.on_copies.is_empty() {
            return;
        }
        let Some(in_sync) = &mut self.in_sync else { return };
        if in_sync.flushed.len() == FLUSHES_MAX {
            in_sync.flushed.pop_front();
        }
        in_sync.flushed.push_back((through, Flush { cut, own: Some(now) }));
    }

    /// When an entry that is committed now was flushed. `last`: when the newest batch that is on the disk was handed to it.
    pub(super) fn flush_of(&self, index: Index, last: Mono, now: Mono) -> Flush {
        let Some(in_sync) = &self.in_sync else { return Flush { cut: last, own: None } };
        let at = in_sync.flushed.partition_point(|(through, _)| *through < index);
        // Others may have been quicker than the own disk.
        in_sync.flushed.get(at).map_or(Flush { cut: last, own: Some(now) }, |(_, flush)| *flush)
    }

    /// Whoever waited for entries through `through` has been answered.
    pub(super) fn forget_flushes(&mut self, through: Index) {
        let Some(in_sync) = &mut self.in_sync else { return };
        while in_sync.flushed.front().is_some_and(|(last, _)| *last <= through) {
            in_sync.flushed.pop_front();
        }
    }

    /// True if that replica has all that is committed, as far as is known: whoever has read from here can go on there.
    pub(super) fn has_committed(&self, node: NodeId) -> bool {
        let committed = self.raft.marks().committed;
        find(&self.raft, node).is_some_and(|peer| peer.follows() && peer.matched >= committed)
    }

    /// The last entry that so many disks have.
    fn on_copies_through(&self, own: NodeId, copies: u32) -> Index {
        let marks = self.raft.marks();
        let voters = self.raft.peers().iter().filter(|peer| peer.seat.votes());
        let mut held: Vec<Index> =
            voters.map(|peer| if peer.id == own { marks.durable } else { peer.matched }).collect();
        held.sort_unstable_by_key(|index| std::cmp::Reverse(*index));
        held.get(copies as usize - 1).copied().unwrap_or(Index(0))
    }

    /// All who wait for something in the log.
    pub(super) fn waiters_mut(&mut self) -> impl Iterator<Item = &mut VecDeque<Waiter>> {
        [&mut self.on_disk, &mut self.on_commit].into_iter().chain(self.on_copies.values_mut())
    }
}

impl Groups {
    /// True when the catalog's log has been read, or begun.
    pub fn has_catalog(&self) -> bool {
        self.groups.contains_key(&GroupId::CATALOG)
    }

    /// The other node that leads a group, as far as is known here.
    pub fn leader_elsewhere(&self, id: GroupId) -> Option<NodeId> {
        self.groups.get(&id)?.raft.leader().filter(|node| *node != self.settings.node)
    }

    /// Who belongs to a group that is here, committed or not, and since which entry.
    pub fn members(&self, id: GroupId) -> (Index, &Configuration) {
        self.groups[&id].raft.configuration()
    }

    /// The entry since which the members are those that are known to be for certain.
    pub fn members_since(&self, id: GroupId) -> Index {
        self.groups[&id].raft.configurations()[0].0
    }

    /// All who belong to a group that is here, by the configuration that is applied or by one of those behind it.
    pub fn all_members(&self, id: GroupId) -> BTreeSet<NodeId> {
        let configurations = self.groups[&id].raft.configurations().iter();
        configurations.flat_map(|(_, configuration)| configuration.members()).map(|member| member.id).collect()
    }

    /// True of a member of a group that is led here, if it could vote without holding commits up.
    pub fn has_caught_up(&self, id: GroupId, node: NodeId) -> bool {
        self.groups.get(&id).is_some_and(|group| group.raft.is_leader() && group.raft.has_caught_up(node))
    }

    /// Begins to change the members of a group that is led here. Voters change by way of a joint configuration, which is
    /// left by itself; a new one must have caught up as a learner.
    pub fn reconfigure(
        &mut self,
        out: &mut Out,
        id: GroupId,
        voters: &[NodeId],
        learners: &[NodeId],
    ) -> Result<(), Refused> {
        let group = self.groups.get_mut(&id).ok_or(Refused::NotLeader { leader: None })?;
        let input = Input::Reconfigure { voters: voters.to_vec(), learners: learners.to_vec() };
        group.raft.step(input, &mut self.output)?;
        self.carry_out(out, id);
        Ok(())
    }

    /// The epoch of a group that is here.
    pub fn epoch(&self, id: GroupId) -> LeaderEpoch {
        self.groups[&id].epoch()
    }

    /// This node leads the group from now on.
    pub(super) fn begin_in_sync(&mut self, now: Mono, id: GroupId) {
        let group = self.groups.get_mut(&id).expect("it leads");
        group.in_sync = InSync::begin(now, self.settings.node, &group.raft, self.settings.cluster.replica_lag_ms);
        // Some may be known not to be there.
        self.looks.all |= group.in_sync.is_some();
        if group.preferred.is_some_and(|node| node != self.settings.node) {
            self.balance_soon(now);
        }
    }

    /// The members of a group are others than before.
    pub(super) fn seat_replicas(&mut self, now: Mono, id: GroupId) {
        let (own, lag_ms) = (self.settings.node, self.settings.cluster.replica_lag_ms);
        let Some(group) = self.groups.get_mut(&id).filter(|group| group.leads()) else { return };
        match &mut group.in_sync {
            Some(in_sync) => in_sync.seat(now, own, &group.raft),
            none => *none = InSync::begin(now, own, &group.raft, lag_ms),
        }
        self.looks.all = true;
        self.looks.next = Mono(0);
    }

    /// Another replica of a group has said something: it may have more than before.
    pub(super) fn heard_replica(&mut self, out: &mut Out, id: GroupId, from: NodeId) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let Some(in_sync) = &mut group.in_sync else { return };
        in_sync.heard(out.now.mono, from, &group.raft);
        if !group.on_copies.is_empty() {
            self.answer_on_copies(out, id);
        }
    }

    /// More disks may have what somebody waits for.
    pub(super) fn answer_on_copies(&mut self, out: &mut Out, id: GroupId) {
        let Some(group) = self.groups.get_mut(&id).filter(|group| !group.on_copies.is_empty()) else { return };
        let log_start = group.partition().log_start();
        let committed = group.raft.marks().committed;
        let mut answered = Vec::new();
        for (copies, and_committed) in group.on_copies.keys().copied().collect::<Vec<_>>() {
            let mut through = group.on_copies_through(self.settings.node, copies);
            if and_committed {
                through = through.min(committed);
            }
            let waiters = group.on_copies.get_mut(&(copies, and_committed)).expect("listed above");
            while waiters.front().is_some_and(|waiter| waiter.index <= through) {
                answered.push(waiters.pop_front().expect("looked at above"));
            }
        }
        for waiter in answered {
            let flush = group.flush_of(waiter.index, self.last_cut, out.now.mono);
            out.answers.push_back(waiter.reached(log_start, flush, out.now.mono));
        }
        group.on_copies.retain(|_, waiters| !waiters.is_empty());
    }

    /// A node came or went.
    pub fn look_at_replicas(&mut self, now: Mono, node: NodeId, came: bool) {
        self.looks.all = true;
        self.looks.next = Mono(0);
        if came {
            self.node_came(now, node);
        }
    }

    /// Tells of replicas that have fallen behind, and of those that have caught up.
    pub(super) fn turn_replicas(&mut self, out: &mut Out) {
        if self.replicas_deadline().is_none_or(|at| out.now.mono < at) {
            return;
        }
        self.looks.next = out.now.mono.plus_ms(LOOK_MS);
        let ids: Vec<GroupId> = match std::mem::take(&mut self.looks.all) {
            true => self.groups.keys().copied().collect(),
            false => self.ticking.union(&self.looks.lagging).copied().collect(),
        };
        let mut told = false;
        for id in ids {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            let epoch = group.epoch();
            let is_served = group.serving && group.meaning.partition().is_some();
            let Some(in_sync) = group.in_sync.as_mut().filter(|_| is_served) else {
                self.looks.lagging.remove(&id);
                continue;
            };
            let behind: Vec<NodeId> = in_sync.lagging(out.now.mono, &group.raft).collect();
            let may_return = |node: &NodeId| find(&group.raft, *node).is_some_and(|peer| !peer.suspected);
            match behind.iter().any(may_return) {
                true => self.looks.lagging.insert(id),
                false => self.looks.lagging.remove(&id),
            };
            if behind != in_sync.behind {
                in_sync.behind.clone_from(&behind);
                let left = 1 + in_sync.others.len() - behind.len();
                group.refuse_copies(out, left as u32);
                self.new_leaders.push(Led { behind, ..Led::by(id, self.settings.node, epoch) });
                told = true;
            }
        }
        if told {
            out.notices.push_back(Notice::AllServing);
        }
    }

    /// When replicas are looked at next, if any may lag.
    pub(super) fn replicas_deadline(&self) -> Option<Mono> {
        let may_lag = self.looks.all || !self.looks.lagging.is_empty() || !self.ticking.is_empty();
        (may_lag && !self.settings.is_alone()).then_some(self.looks.next)
    }
}
