//! Random schedules: messages late, lost, doubled, out of order; links cut; power cuts that lose what is not durable;
//! disks damaged and replaced; members that come and go; leadership handed over; logs compacted.

mod usurped;

use crate::cluster::disk::Disk;
use crate::cluster::{Cluster, Member, Settings};
use torc_base::ids::{Index, NodeId};
use torc_base::prng::Prng;
use torc_consensus::quorum::majority;
use torc_consensus::{Configuration, Doubt, Input, Seat};

/// Plays the schedule of a seed, and expects of the group that it works afterwards.
pub fn run(seed: u64) {
    let mut storm = Storm::new(seed);
    for _ in 0..4 {
        storm.rage(600);
    }
    storm.calm(60);
    storm.works();
}

/// One run.
struct Storm {
    cluster: Cluster,
    prng: Prng,
    nodes: u64,
    /// Voters come and go.
    changes: bool,
    /// Disks are lost, fewer at a time than make a majority of those who vote.
    losses: bool,
    /// They are even in number, and disks are lost more often.
    wipes: bool,
    /// Any number of logs may be damaged at a time, and each entry is to be found again.
    scattered: bool,
    /// How often things go wrong, in 100.
    trouble: u64,
    /// Entries of reads that were asked for and not answered: by whom, the ticket, and what was committed then.
    reads: Vec<(NodeId, u64, Index)>,
    reads_served: u64,
}

impl Storm {
    fn new(seed: u64) -> Storm {
        let mut prng = Prng::new(seed);
        // Of its own, so that what the others do in a seed stays.
        let mut even = Prng::new(seed ^ 0xe7e1);
        let voters = [1, 2, 3, 3, 3, 5][prng.below(6) as usize];
        let voters = if even.chance(1, 6) { 4 } else { voters };
        let changes = prng.chance(2, 3);
        let nodes = if changes { voters.max(2) + prng.below(3) as u32 } else { voters };
        let configuration = Configuration::of_voters((1..=voters).map(NodeId));
        let mut cluster = Cluster { entry_bytes: 64 << 10, ..Cluster::default() };
        cluster.folds = prng.chance(1, 2);
        cluster.reads_later = prng.chance(1, 2);
        for id in (1..=nodes).map(NodeId) {
            let configuration = configuration.clone();
            let settings = Settings { id, configuration, election_ticks: 5, heartbeat_ticks: 2, seed };
            cluster.add(settings.clone(), Disk::new(settings.configuration));
        }
        let losses = if voters == 2 { even.chance(2, 3) } else { voters >= 3 && prng.chance(1, 2) };
        let scattered = losses && prng.chance(1, 2);
        let trouble = prng.between(2, 20);
        let (nodes, reads) = (u64::from(nodes), Vec::new());
        let wipes = losses && voters % 2 == 0;
        Storm { cluster, prng, nodes, changes, losses, wipes, scattered, trouble, reads, reads_served: 0 }
    }

    fn node(&mut self) -> NodeId {
        NodeId(self.prng.between(1, self.nodes) as u32)
    }

    /// One input; what is asked for may be refused.
    fn input(&mut self, id: NodeId, input: Input) {
        let read = input == Input::Read;
        let committed = self.cluster.checks.committed.keys().next_back().copied().unwrap_or_default();
        let Ok(outs) = self.cluster.step(id, input) else { return };
        if let (true, Some(ticket)) = (read, outs[0].read) {
            self.reads.push((id, ticket, committed));
        }
        self.look_at_reads(id, &outs);
    }

    /// A read sees all that was committed anywhere before it was asked for.
    fn look_at_reads(&mut self, id: NodeId, outs: &[torc_consensus::Output]) {
        for out in outs {
            if out.role.is_some() {
                self.reads.retain(|read| read.0 != id);
            }
            if let Some(ready) = out.reads {
                self.reads.retain(|&(by, ticket, committed)| {
                    let served = by == id && ticket <= ready.ticket;
                    assert!(!served || ready.index >= committed, "a read of {committed} is served at {}", ready.index);
                    self.reads_served += u64::from(served);
                    !served
                });
            }
        }
    }

    fn rage(&mut self, steps: u32) {
        for _ in 0..steps {
            let id = self.node();
            match self.prng.below(100) {
                0..=34 => (0..self.prng.between(1, 6)).for_each(|_| self.move_a_message()),
                35..=59 => self.write(),
                60..=68 => {
                    let (leader, entries) = (self.leader(), self.prng.between(1, 4) as u32);
                    self.input(leader, Input::Propose { entries });
                }
                69..=77 => self.pass_time(),
                78..=83 => self.carry(),
                84 => {
                    let leader = self.leader();
                    self.input(leader, Input::Read);
                }
                85 if self.prng.chance(1, 2) => self.cluster.compact(id),
                86 => self.liveness(id),
                87..=88 if self.changes => self.change(),
                89 if self.prng.chance(1, 4) => {
                    let (leader, to) = (self.leader(), self.node());
                    self.input(leader, Input::Transfer { to });
                }
                90..=91 if self.prng.chance(1, 2) => self.depose(),
                92 => self.input(id, Input::Campaign),
                93 => self.heal(),
                94..=95 if self.losses => self.regain(),
                96 | 98 if self.scattered => self.usurp(),
                97 if self.wipes && self.may_lose(id) => self.wipe(id),
                94.. if self.prng.chance(self.trouble, 100) => self.disaster(id),
                _ => {}
            }
        }
    }

    /// Most disks end some of their writes.
    fn write(&mut self) {
        for id in (1..=self.nodes as u32).map(NodeId) {
            if self.prng.chance(2, 3) {
                let (count, folded) = (self.prng.between(1, 4) as usize, self.prng.chance(1, 2));
                let outs = self.cluster.flush(id, count, folded);
                self.look_at_reads(id, &outs);
            }
        }
    }

    /// Mostly one that leads, or thinks so.
    fn leader(&mut self) -> NodeId {
        let leaders = self.cluster.members.iter().filter(|(_, member)| member.raft.is_leader());
        let leaders: Vec<NodeId> = leaders.map(|(&id, _)| id).collect();
        if leaders.is_empty() || self.prng.chance(1, 8) {
            return self.node();
        }
        leaders[self.prng.below(leaders.len() as u64) as usize]
    }

    /// Most clocks tick.
    fn pass_time(&mut self) {
        for id in (1..=self.nodes as u32).map(NodeId) {
            if self.prng.chance(3, 4) {
                self.input(id, Input::Tick);
            }
        }
    }

    /// Most nodes suspect this one, which may be cut off, and may or may not suspect them.
    fn depose(&mut self) {
        let id = self.leader();
        if self.prng.chance(1, 2) {
            self.cluster.cut_off(id);
        }
        for other in (1..=self.nodes as u32).map(NodeId).filter(|&other| other != id) {
            if self.prng.chance(4, 5) {
                self.input(other, Input::Suspected(id));
            }
            if self.prng.chance(1, 3) {
                self.input(id, Input::Suspected(other));
            }
        }
    }

    /// All links are whole.
    fn heal(&mut self) {
        self.cluster.cut.clear();
        for a in (1..=self.nodes as u32).map(NodeId) {
            for b in (1..=self.nodes as u32).map(NodeId).filter(|&b| b != a) {
                self.input(a, Input::Alive(b));
            }
        }
    }

    fn move_a_message(&mut self) {
        let waiting = self.cluster.network.len() as u64;
        if waiting == 0 {
            return;
        }
        // Mostly in order, as connections deliver.
        let reach = if self.prng.chance(9, 10) { 1 } else { waiting };
        let at = self.prng.below(reach) as usize;
        let (from, to) = (self.cluster.network[at].from, self.cluster.network[at].to);
        if self.prng.chance(self.trouble, 300) {
            let copy = self.cluster.network[at].clone();
            self.cluster.network.push_back(copy);
        }
        if self.cluster.cut.contains(&(from, to)) || self.prng.chance(self.trouble, 200) {
            self.cluster.network.remove(at);
        } else {
            let (_, outs) = self.cluster.deliver(at);
            self.look_at_reads(to, &outs);
        }
    }

    /// Entries that were offered leave, or a part of them; a snapshot arrives, or does not.
    fn carry(&mut self) {
        if !self.cluster.offers.is_empty() {
            let at = self.prng.below(self.cluster.offers.len() as u64) as usize;
            let most = if self.prng.chance(1, 4) { self.prng.below(3) } else { u64::MAX };
            self.cluster.carry_offer(at, most);
        }
        if !self.cluster.snapshots.is_empty() && self.prng.chance(1, 3) {
            let at = self.prng.below(self.cluster.snapshots.len() as u64) as usize;
            let taken = self.prng.chance(3, 4);
            self.cluster.end_snapshot(at, taken);
        }
    }

    /// What the watch over nodes says, right or wrong.
    fn liveness(&mut self, id: NodeId) {
        let other = self.node();
        let input = if self.prng.chance(1, 2) { Input::Suspected(other) } else { Input::Alive(other) };
        self.input(id, input);
    }

    fn change(&mut self) {
        let id = self.leader();
        let raft = &self.cluster.members[&id].raft;
        if !raft.is_leader() {
            return;
        }
        let (_, now) = raft.configuration();
        let seats: Vec<_> = (1..=self.nodes as u32).map(|node| (NodeId(node), now.seat(NodeId(node)))).collect();
        let (mut voters, mut learners) = (Vec::new(), Vec::new());
        for (node, seat) in seats {
            let votes = seat.is_some_and(Seat::votes);
            match (seat, self.prng.below(10)) {
                (_, 0..=5) if votes => voters.push(node),
                (Some(Seat::Learner), 0..=6) => voters.push(node),
                (_, 7..=8) => learners.push(node),
                (None, 0..=4) => learners.push(node),
                _ => {}
            }
        }
        let least = if self.losses { 3 - u64::from(self.wipes) } else { 1 };
        if voters.len() as u64 >= least {
            self.input(id, Input::Reconfigure { voters, learners });
        }
    }

    fn disaster(&mut self, id: NodeId) {
        match self.prng.below(10) {
            0..=4 => {
                let kept = self.prng.below(self.cluster.writes(id) as u64 + 1) as usize;
                self.cluster.restart(id, kept);
                self.reads.retain(|read| read.0 != id);
            }
            5..=6 => {
                let to = self.node();
                match self.prng.below(3) {
                    0 => self.cluster.cut_off(id),
                    1 => self.cluster.cut.push((id, to)),
                    _ => self.cluster.cut.extend([(id, to), (to, id)]),
                }
            }
            7 => self.heal(),
            8 => self.input(id, Input::Resign),
            _ if self.losses && self.may_lose(id) => {
                self.reads.retain(|read| read.0 != id);
                if self.prng.chance(1, 2) { self.wipe(id) } else { self.damage(id) }
            }
            _ if self.scattered && self.votes_are_known() => {
                self.reads.retain(|read| read.0 != id);
                self.damage(id);
            }
            _ => {}
        }
    }

    fn wipe(&mut self, id: NodeId) {
        self.reads.retain(|read| read.0 != id);
        self.cluster.wipe(id);
    }

    fn damage(&mut self, id: NodeId) {
        let entries = self.cluster.members[&id].disk.entries.len() as u64;
        let kept = self.prng.below(entries + 1) as usize;
        self.cluster.damage(id, kept);
    }

    /// True if no member has lost more than entries.
    fn votes_are_known(&self) -> bool {
        let unknown = |m: &Member| matches!(m.disk.hard_state.doubt, Some(Doubt::All { .. }));
        !self.cluster.members.values().any(unknown)
    }

    /// Whoever has lost something gets some of it.
    fn regain(&mut self) {
        for id in (1..=self.nodes as u32).map(NodeId) {
            if self.cluster.members[&id].had.is_some() && self.prng.chance(1, 2) {
                let most = self.prng.between(1, 4);
                self.cluster.regain(id, most);
            }
        }
    }

    /// True if the disk of a member may be lost: no log is damaged elsewhere, and with it fewer disks than make a majority are
    /// in doubt, whatever members the group may have.
    fn may_lose(&self, id: NodeId) -> bool {
        let doubts = |m: &Member| [m.disk.hard_state.doubt, m.raft.hard_state().doubt].into_iter().flatten();
        let others = || self.cluster.members.iter().filter(|(other, _)| **other != id);
        if others().flat_map(|(_, member)| doubts(member)).any(|doubt| matches!(doubt, Doubt::Tail(_))) {
            return false;
        }
        let lost: Vec<NodeId> =
            others().filter(|(_, m)| doubts(m).count() > 0).map(|(&id, _)| id).chain([id]).collect();
        let all = self.cluster.members.values().flat_map(|member| member.raft.configurations());
        all.flat_map(|(_, members)| [(members, true), (members, false)]).all(|(members, before)| {
            let votes = |seat: Seat| if before { seat.votes_before() } else { seat.votes_after() };
            let voters = members.members().iter().filter(|member| votes(member.seat));
            let of_lost = voters.clone().filter(|member| lost.contains(&member.id)).count();
            of_lost < majority(voters.count())
        })
    }

    /// All works again: links are new, everything is delivered and written.
    fn calm(&mut self, turns: u32) {
        self.cluster.cut.clear();
        let ids: Vec<_> = self.cluster.members.keys().copied().collect();
        self.cluster.network.clear();
        for said in [Input::Suspected, Input::Alive] {
            for (&a, &b) in ids.iter().flat_map(|a| ids.iter().map(move |b| (a, b))).filter(|(a, b)| a != b) {
                self.input(a, said(b));
            }
        }
        self.go_on(turns);
    }

    /// Time passes, and nothing goes wrong.
    fn go_on(&mut self, turns: u32) {
        let ids: Vec<_> = self.cluster.members.keys().copied().collect();
        for _ in 0..turns {
            for &id in &ids {
                if self.cluster.members[&id].raft.needs_ticks() {
                    self.input(id, Input::Tick);
                } else if self.cluster.members[&id].raft.peers().len() == 1 {
                    self.input(id, Input::Campaign);
                }
            }
            for _ in 0..12 {
                for &id in &ids {
                    self.cluster.regain(id, u64::MAX);
                    let outs = self.cluster.flush(id, usize::MAX, true);
                    self.look_at_reads(id, &outs);
                }
                while !self.cluster.offers.is_empty() {
                    self.cluster.carry_offer(0, u64::MAX);
                }
                while !self.cluster.snapshots.is_empty() {
                    self.cluster.end_snapshot(0, true);
                }
                for _ in 0..self.cluster.network.len() {
                    let to = self.cluster.network[0].to;
                    let (_, outs) = self.cluster.deliver(0);
                    self.look_at_reads(to, &outs);
                }
            }
        }
    }

    /// All members, for whoever looks for a fault.
    fn picture(&self) -> String {
        self.cluster.members.iter().map(|(id, member)| format!("{id}: {:?}\n", member.raft)).collect()
    }

    /// A calm group does what it is asked for, and then nothing more.
    fn works(&mut self) {
        let leader = self.cluster.members.iter().filter(|(_, m)| m.raft.is_leader()).max_by_key(|(_, m)| m.raft.term());
        let (&leader, _) = leader.unwrap_or_else(|| panic!("liveness: no leader after calm:\n{}", self.picture()));
        let outs = self.cluster.step(leader, Input::Propose { entries: 3 }).expect("liveness: it leads");
        let last = outs[0].append.expect("an append").last;
        let served = self.reads_served;
        self.input(leader, Input::Read);
        self.go_on(12);
        let now = self.reads_served;
        assert_eq!(now, served + 1, "liveness: the read of node {leader} is not served:\n{}", self.picture());
        let raft = &self.cluster.members[&leader].raft;
        assert!(raft.is_leader() && !raft.configuration().1.is_joint(), "liveness: the members are not settled");
        for member in raft.configuration().1.members() {
            let raft = &self.cluster.members[&member.id].raft;
            let marks = raft.marks();
            let has_all = marks.committed >= last && marks.durable >= last;
            assert!(has_all, "liveness: node {} has not {last}:\n{}", member.id, self.picture());
            assert_eq!(
                raft.hard_state().doubt,
                None,
                "liveness: node {} is not readmitted:\n{}",
                member.id,
                self.picture()
            );
            assert!(!raft.needs_ticks(), "liveness: node {} is not at rest:\n{}", member.id, self.picture());
        }
        assert_eq!(self.cluster.network.len(), 0, "liveness: an idle group is silent");
    }
}
