//! A few members with disks and a network that do only what a test tells them to, and what must hold whatever it tells:
//! one leader in a term, logs that match, committed entries that every later leader has and everybody applies.

pub mod check;
pub mod disk;

use check::Checks;
use disk::{Disk, Entry, Write};
use std::collections::{BTreeMap, VecDeque};
use torc_base::ids::{Index, NodeId};
use torc_consensus::{
    Append, Body, Config, Configuration, Doubt, HardState, Input, Mark, Message, Output, Raft, Refused, Run,
    SnapshotOutcome,
};

/// One member: the core, its log in memory, its disk, and what is on the way to the disk.
pub struct Member {
    pub raft: Raft,
    settings: Settings,
    /// What the disk will hold when all is written.
    pub log: Disk,
    pub disk: Disk,
    writes: VecDeque<Write>,
    /// How often its disk was replaced.
    pub life: u64,
    /// What its log was before it was damaged; what of it is still there it has as well.
    pub had: Option<Disk>,
}

/// What stays the same over a member's restarts.
#[derive(Clone)]
pub struct Settings {
    pub id: NodeId,
    /// As it was when the member was made.
    pub configuration: Configuration,
    pub election_ticks: u16,
    pub heartbeat_ticks: u16,
    pub seed: u64,
}

/// A message under way, with the entries that whoever carries it has read.
#[derive(Clone)]
pub struct Envelope {
    pub from: NodeId,
    pub to: NodeId,
    pub message: Message,
    entries: Vec<(Index, Entry)>,
}

#[derive(Default)]
pub struct Cluster {
    pub members: BTreeMap<NodeId, Member>,
    /// Messages under way, in the order of sending.
    pub network: VecDeque<Envelope>,
    /// Entries that were offered and are not read yet. Read at once unless `reads_later`.
    pub offers: Vec<(NodeId, NodeId, Message)>,
    pub reads_later: bool,
    /// What waits for one another's place folds into it, as in the outbox of a link.
    pub folds: bool,
    /// Links that are cut, from and to.
    pub cut: Vec<(NodeId, NodeId)>,
    /// Snapshots that are wanted: by whom to be sent, and to whom.
    pub snapshots: Vec<(NodeId, NodeId)>,
    pub checks: Checks,
    /// Bytes of an entry.
    pub entry_bytes: u64,
    pub next_entry: u64,
}

impl Cluster {
    pub fn add(&mut self, settings: Settings, disk: Disk) {
        let raft = disk.recover(&settings);
        let member = Member { raft, settings, log: disk.clone(), disk, writes: VecDeque::new(), life: 0, had: None };
        self.members.insert(member.settings.id, member);
    }

    pub fn member(&mut self, id: NodeId) -> &mut Member {
        self.members.get_mut(&id).unwrap_or_else(|| panic!("no member {id}"))
    }

    /// Steps a member, hands its writes to its disk and its messages to the network, and applies what it committed.
    /// Returns what it wanted, and what it wanted when it was told that its entries had left.
    pub fn step(&mut self, id: NodeId, input: Input) -> Result<Vec<Output>, Refused> {
        let first = self.step_once(id, input, Vec::new())?;
        Ok(self.follow_up(first))
    }

    fn follow_up(&mut self, first: Output) -> Vec<Output> {
        let mut outs = vec![first];
        while !self.reads_later && !self.offers.is_empty() {
            outs.extend(self.carry_offer(0, u64::MAX));
        }
        outs
    }

    /// One step; `entries` came with the message.
    fn step_once(&mut self, id: NodeId, input: Input, entries: Vec<(Index, Entry)>) -> Result<Output, Refused> {
        let mut out = Output::default();
        let member = self.member(id);
        let before = member.raft.clone();
        let result = member.raft.step(input, &mut out);
        if let Err(refused) = result {
            assert!(out.is_empty(), "a refusal does nothing");
            return Err(refused);
        }
        self.write(id, &out, &entries);
        for (to, message) in out.send_now.clone() {
            self.send(id, to, message);
        }
        self.snapshots.extend(out.snapshots.iter().map(|&to| (id, to)));
        self.checks.stepped(&before, &out, &self.members[&id], &self.members);
        let raft = &mut self.member(id).raft;
        if let Some(through) = out.committed.or(out.restore.as_ref().map(|restore| restore.mark.index)) {
            let mut nothing = Output::default();
            raft.step(Input::Applied { through }, &mut nothing).expect("never refused");
            assert!(nothing.is_empty());
        }
        Ok(out)
    }

    /// Hands to the disk what is to be written, and lets messages wait for it.
    fn write(&mut self, id: NodeId, out: &Output, entries: &[(Index, Entry)]) {
        let first_new = self.next_entry;
        let member = self.members.get_mut(&id).expect("just stepped");
        let restore = out.restore.clone().map(|restore| {
            let (index, configuration) = member.raft.configuration();
            assert_eq!(index, restore.mark.index, "the configuration is the snapshot's");
            (restore, configuration.clone())
        });
        if let Some((restore, configuration)) = &restore {
            member.log.restore(restore.mark, configuration.clone());
        }
        let append = out.append.map(|append| {
            let leads = member.raft.is_leader();
            let entry = |index| {
                if leads {
                    let id = first_new + (index - append.first.0);
                    return Entry { term: append.term, id, configuration: out.configuration.clone() };
                }
                let came = entries.iter().rev().find(|(at, _)| at.0 == index);
                came.unwrap_or_else(|| panic!("entry {index} did not come with the message")).1.clone()
            };
            (append, (append.first.0..=append.last.0).map(entry).collect::<Vec<_>>())
        });
        if let Some((append, new)) = &append {
            member.log.append(*append, new);
            self.next_entry += new.len() as u64;
            self.checks.appended(&member.log, append.first);
        }
        let write = Write { hard_state: out.hard_state, restore, append, sends: out.send_when_durable.clone() };
        if !write.is_empty() || !member.writes.is_empty() {
            member.writes.push_back(write);
        } else {
            for (to, message) in write.sends {
                self.send(id, to, message);
            }
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        if let Body::VoteReply { granted: true } = message.body {
            let Member { life, disk, .. } = &self.members[&from];
            self.checks.voted(from, *life, message.term, to, disk.hard_state);
        }
        match &message.body {
            Body::Append { runs, .. } if !runs.is_empty() => self.offers.push((from, to, message)),
            _ => self.put(Envelope { from, to, message, entries: Vec::new() }),
        }
    }

    fn put(&mut self, envelope: Envelope) {
        let waits = self.network.iter_mut().rev().find(|w| w.from == envelope.from && w.to == envelope.to);
        if self.folds
            && let Some(waits) = waits
            && waits.message.absorb(&envelope.message)
        {
            waits.entries.extend(envelope.entries);
            return;
        }
        self.network.push_back(envelope);
    }

    /// Reads up to `most` of the entries of an offer and sends them.
    pub fn carry_offer(&mut self, at: usize, most: u64) -> Vec<Output> {
        let (from, to, mut message) = self.offers.remove(at);
        let member = &self.members[&from];
        let Body::Append { prev, runs, configurations, .. } = &mut message.body else { unreachable!("an offer") };
        if !member.raft.is_leader() || member.raft.term() != message.term {
            return Vec::new();
        }
        let offered: u64 = runs.iter().map(|run| u64::from(run.entries)).sum();
        let mut entries = Vec::new();
        for index in prev.index.0 + 1..=prev.index.0 + offered.min(most) {
            match member.log.entry(Index(index)) {
                Some(entry) => entries.push((Index(index), entry.clone())),
                // Released meanwhile.
                None => break,
            }
        }
        let mut left = entries.len() as u32;
        runs.retain_mut(|run| {
            run.entries = run.entries.min(left);
            left -= run.entries;
            run.entries > 0
        });
        let configured = entries.iter().filter_map(|(at, entry)| entry.configuration.clone().map(|c| (*at, c)));
        *configurations = configured.collect();
        let through = prev.index.plus(entries.len() as u64);
        let bytes = entries.len() as u64 * self.entry_bytes;
        if !entries.is_empty() {
            self.put(Envelope { from, to, message, entries });
        }
        vec![self.step_once(from, Input::Sent { to, through, bytes }, Vec::new()).expect("never refused")]
    }

    /// The disk of a member ends up to `count` writes; with `folded` the reports about entries come as one.
    pub fn flush(&mut self, id: NodeId, count: usize, folded: bool) -> Vec<Output> {
        let member = self.member(id);
        let count = count.min(member.writes.len());
        let mut inputs = Vec::new();
        let mut sends = Vec::new();
        for write in member.writes.drain(..count) {
            member.disk.write(&write);
            inputs.extend(write.hard_state.map(Input::HardStateDurable));
            if let Some((restore, _)) = &write.restore {
                inputs.push(Input::Durable { cut: restore.cut, through: restore.mark.index });
            }
            if let Some((Append { cut, last, .. }, _)) = write.append {
                if folded && let Some(Input::Durable { .. }) = inputs.last() {
                    inputs.pop();
                }
                inputs.push(Input::Durable { cut, through: last });
            }
            sends.extend(write.sends);
        }
        for (to, message) in sends {
            self.send(id, to, message);
        }
        inputs.into_iter().flat_map(|input| self.step(id, input).expect("never refused")).collect()
    }

    /// Cuts all links of a node.
    pub fn cut_off(&mut self, id: NodeId) {
        self.cut.extend(self.members.keys().flat_map(|&other| [(id, other), (other, id)]));
    }

    /// Takes the message at `at` off the network and gives it to its receiver.
    pub fn deliver(&mut self, at: usize) -> (Envelope, Vec<Output>) {
        let envelope = self.network.remove(at).expect("a message");
        let Envelope { from, to, message, entries } = envelope.clone();
        if !self.members.contains_key(&to) {
            return (envelope, Vec::new());
        }
        let first = self.step_once(to, Input::Message { from, message }, entries).expect("never refused");
        let outs = self.follow_up(first);
        (envelope, outs)
    }

    /// Power cut: what was on the way to the disk is gone, except for the first `kept` writes.
    pub fn restart(&mut self, id: NodeId, kept: usize) {
        let member = self.member(id);
        for write in member.writes.drain(..).take(kept) {
            member.disk.write(&write);
        }
        self.boot(id);
    }

    fn boot(&mut self, id: NodeId) {
        let member = self.member(id);
        member.writes.clear();
        member.log = member.disk.clone();
        member.raft = member.disk.recover(&member.settings);
        self.offers.retain(|(from, ..)| *from != id);
        self.snapshots.retain(|(from, _)| *from != id);
    }

    /// The disk is replaced by an empty one. What its earlier life has sent does not arrive any more.
    pub fn wipe(&mut self, id: NodeId) {
        self.network.retain(|envelope| envelope.from != id);
        self.checks.loses_a_disk();
        let member = self.member(id);
        member.life += 1;
        let doubt = Some(Doubt::All { incarnation: member.life });
        member.disk = Disk::new(member.settings.configuration.clone());
        member.disk.hard_state = HardState { doubt, ..HardState::default() };
        member.had = None;
        self.boot(id);
    }

    /// Power cut, and the end of the log on the disk is found to be damaged: all but its first `kept` entries.
    pub fn damage(&mut self, id: NodeId, kept: usize) {
        self.checks.loses_a_disk();
        let member = self.member(id);
        let lost = member.disk.last_mark();
        let doubt = match member.disk.hard_state.doubt {
            None => Some(Doubt::Tail(lost)),
            Some(Doubt::Tail(before)) => Some(Doubt::Tail(before.max(lost))),
            all => all,
        };
        // What is lost of what was regained is the same once more.
        if member.had.is_none() || member.disk.hard_state.doubt.is_none() {
            member.had = Some(member.disk.clone());
        }
        member.disk.hard_state.doubt = doubt;
        member.disk.entries.truncate(kept);
        self.boot(id);
    }

    /// A member whose log was damaged gets up to `most` of the entries that it had behind what it has, as if others had had them.
    /// Nobody here knows whether it may take them: that is for consensus to say.
    pub fn regain(&mut self, id: NodeId, most: u64) -> Vec<Output> {
        let Member { raft, had: Some(had), .. } = &self.members[&id] else { return Vec::new() };
        let prev = raft.log().last_mark();
        let Some(first) = had.entry(prev.index.next()).filter(|_| had.mark(prev.index).is_some()) else {
            return Vec::new();
        };
        let term = first.term;
        let next = (prev.index.0 + 1..).map_while(|at| Some((Index(at), had.entry(Index(at))?.clone())));
        let entries: Vec<_> = next.take_while(|(_, entry)| entry.term == term).take(most as usize).collect();
        let configurations = entries.iter().filter_map(|(at, entry)| entry.configuration.clone().map(|c| (*at, c)));
        let run = Run { term, entries: entries.len() as u32 };
        let prev = had.mark(prev.index).expect("just seen");
        let input = Input::Regained { prev, run, configurations: configurations.collect() };
        vec![self.step_once(id, input, entries).expect("never refused")]
    }

    /// A member makes a checkpoint of what it has applied, and releases the log before it.
    pub fn compact(&mut self, id: NodeId) {
        let member = self.member(id);
        let marks = member.raft.marks();
        if marks.applied > marks.durable || marks.applied <= member.log.base.index {
            return;
        }
        let (_, configuration) = member.raft.configurations()[0].clone();
        let mark = Mark { term: member.raft.log().term_at(marks.applied).expect("applied"), index: marks.applied };
        member.log.compact(mark, configuration.clone());
        member.disk.compact(mark, configuration);
        let mut nothing = Output::default();
        member.raft.step(Input::Released { first: mark.index.next() }, &mut nothing).expect("never refused");
        assert!(nothing.is_empty());
    }

    /// The transfer of a snapshot that was wanted ends.
    pub fn end_snapshot(&mut self, at: usize, taken: bool) -> Vec<Output> {
        let (from, to) = self.snapshots.remove(at);
        let raft = &self.members[&from].raft;
        let outcome = if taken {
            let index = raft.marks().applied;
            let mark = Mark { term: raft.log().term_at(index).expect("applied"), index };
            SnapshotOutcome::Delivered { mark, configuration: raft.configurations()[0].1.clone() }
        } else {
            SnapshotOutcome::Refused
        };
        self.step(from, Input::Snapshot { to, outcome }).expect("never refused")
    }

    pub fn writes(&self, id: NodeId) -> usize {
        self.members[&id].writes.len()
    }
}

impl Settings {
    pub fn config(&self, configurations: Vec<(Index, Configuration)>) -> Config {
        let Settings { id, election_ticks, heartbeat_ticks, seed, .. } = *self;
        Config { id, configurations, election_ticks, heartbeat_ticks, seed }
    }
}
