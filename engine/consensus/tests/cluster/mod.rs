//! A few members with disks and a network that do only what a test tells them to.

use std::collections::{BTreeMap, VecDeque};
use torc_base::ids::{Index, NodeId, Term};
use torc_consensus::{Append, Config, HardState, Input, LogView, Message, NotLeader, Output, Raft, TermRun};

/// What a member asked its disk for and has not been told about.
pub struct Write {
    hard_state: Option<HardState>,
    append: Option<(Append, Vec<Term>)>,
    sends: Vec<(NodeId, Message)>,
}

/// One member: the core, its disk, and what is on the way to the disk.
pub struct Member {
    pub raft: Raft,
    config: Config,
    disk_hard_state: HardState,
    /// Terms of the entries on the disk.
    disk_log: Vec<Term>,
    writes: VecDeque<Write>,
}

#[derive(Default)]
pub struct Cluster {
    pub members: BTreeMap<NodeId, Member>,
    /// Messages under way, in the order of sending.
    pub network: VecDeque<(NodeId, NodeId, Message)>,
    /// Every entry that any member has ever committed.
    pub committed: BTreeMap<Index, Term>,
    /// Who led which term.
    pub leaders: BTreeMap<Term, NodeId>,
    out: Output,
}

fn view(log: &[Term]) -> LogView {
    let mut terms: Vec<TermRun> = Vec::new();
    for (at, &term) in log.iter().enumerate() {
        if terms.last().is_none_or(|run| run.term != term) {
            terms.push(TermRun { term, first: Index(at as u64 + 1) });
        }
    }
    LogView { first: Index(1), last: Index(log.len() as u64), terms }
}

impl Cluster {
    pub fn add(&mut self, config: Config, hard_state: HardState, log: Vec<Term>) {
        let id = config.id;
        let raft = Raft::new(config.clone(), hard_state, view(&log), Index(0));
        let member = Member { raft, config, disk_hard_state: hard_state, disk_log: log, writes: VecDeque::new() };
        self.members.insert(id, member);
    }

    pub fn member(&mut self, id: NodeId) -> &mut Member {
        self.members.get_mut(&id).unwrap_or_else(|| panic!("no member {id}"))
    }

    /// Steps a member, hands its writes to its disk and its messages to the network, and applies what it committed.
    /// Returns what it wanted.
    pub fn step(&mut self, id: NodeId, input: Input) -> Result<Output, NotLeader> {
        let mut out = std::mem::take(&mut self.out);
        let result = self.member(id).raft.step(input, &mut out);
        if let Err(refused) = result {
            assert!(out.is_empty(), "a refusal does nothing");
            return Err(refused);
        }
        let member = self.members.get_mut(&id).expect("just stepped");
        let raft = &mut member.raft;
        let terms = |append: Append| {
            let terms = (append.first.0..=append.last.0).map(|i| raft.log().term_at(Index(i)).expect("appended"));
            (append, terms.collect::<Vec<_>>())
        };
        let append = out.append.map(terms);
        if out.hard_state.is_some() || append.is_some() || !member.writes.is_empty() {
            let write = Write { hard_state: out.hard_state, append, sends: out.send_when_durable.clone() };
            member.writes.push_back(write);
        } else {
            self.network.extend(out.send_when_durable.iter().map(|(to, message)| (id, *to, message.clone())));
        }
        self.network.extend(out.send_now.iter().map(|(to, message)| (id, *to, message.clone())));
        if member.raft.is_leader() {
            let leader = *self.leaders.entry(member.raft.term()).or_insert(id);
            assert_eq!(leader, id, "two leaders of term {}", member.raft.term());
        }
        if let Some(committed) = out.committed {
            self.committed(id, committed);
        }
        Ok(out)
    }

    /// Every member commits the same entry at the same place, and a majority of the disks holds it.
    fn committed(&mut self, id: NodeId, committed: Index) {
        let member = &self.members[&id];
        for i in member.raft.marks().applied.0 + 1..=committed.0 {
            let term = member.raft.log().term_at(Index(i)).expect("in the log");
            let before = *self.committed.entry(Index(i)).or_insert(term);
            assert_eq!(before, term, "entry {i} was committed with another term");
            let holders = self.members.values().filter(|m| m.disk_log.get(i as usize - 1) == Some(&term)).count();
            assert!(holders > self.members.len() / 2, "entry {i} is on {holders} disks");
        }
        let mut out = Output::default();
        let raft = &mut self.member(id).raft;
        raft.step(Input::Applied { through: committed }, &mut out).expect("never refused");
        assert!(out.is_empty());
    }

    /// The disk of a member ends up to `count` writes; with `folded` the reports about entries come as one.
    pub fn flush(&mut self, id: NodeId, count: usize, folded: bool) -> Vec<Output> {
        let member = self.member(id);
        let count = count.min(member.writes.len());
        let mut inputs = Vec::new();
        let mut sends = Vec::new();
        for write in member.writes.drain(..count) {
            if let Some(hard_state) = write.hard_state {
                member.disk_hard_state = hard_state;
                inputs.push(Input::HardStateDurable(hard_state));
            }
            if let Some((append, terms)) = write.append {
                member.disk_log.truncate(append.first.0 as usize - 1);
                assert_eq!(member.disk_log.len() as u64 + 1, append.first.0, "a hole in the log");
                member.disk_log.extend(terms);
                if folded && let Some(Input::Durable { .. }) = inputs.last() {
                    inputs.pop();
                }
                inputs.push(Input::Durable { cut: append.cut, through: append.last });
            }
            sends.extend(write.sends.into_iter().map(|(to, message)| (id, to, message)));
        }
        self.network.extend(sends);
        inputs.into_iter().map(|input| self.step(id, input).expect("never refused")).collect()
    }

    /// Takes the message at `at` off the network and gives it to its receiver.
    pub fn deliver(&mut self, at: usize) -> (NodeId, NodeId, Message, Output) {
        let (from, to, message) = self.network.remove(at).expect("a message");
        let out = self.step(to, Input::Message { from, message: message.clone() }).expect("never refused");
        (from, to, message, out)
    }

    /// Power cut: what was on the way to the disk is gone, except for the first `kept` writes.
    pub fn restart(&mut self, id: NodeId, kept: usize) {
        let member = self.member(id);
        for write in member.writes.drain(..).take(kept) {
            if let Some(hard_state) = write.hard_state {
                member.disk_hard_state = hard_state;
            }
            if let Some((append, terms)) = write.append {
                member.disk_log.truncate(append.first.0 as usize - 1);
                member.disk_log.extend(terms);
            }
        }
        let log = view(&member.disk_log);
        member.raft = Raft::new(member.config.clone(), member.disk_hard_state, log, Index(0));
    }

    pub fn writes(&self, id: NodeId) -> usize {
        self.members[&id].writes.len()
    }
}
