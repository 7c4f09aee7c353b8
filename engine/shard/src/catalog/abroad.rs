//! The owner's part in a cluster: where the controller is, what is handed on to it, which nodes are there, and that this
//! one is known.

use super::job::Job;
use super::{CatalogOwner, producers_code};
use crate::groups::{Groups, Out};
use crate::mail::{Admin, AdminResult, Answer, Ask, Asker, Leaders, Led, Mail, Token, wire};
use crate::settings::{Protocol, Settings};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use torc_base::ids::{GroupId, Index, NodeId, Place, ShardId};
use torc_base::limits::{FORWARD_BYTES_MAX, FORWARDED_BYTES_MAX};
use torc_base::time::Mono;
use torc_net::kafka::error;
use torc_state::catalog::{Command, Life, Node};

/// How long a request waits for a controller to be there, and how many may. Elections take less.
const HOLD_MS: u64 = 5_000;
const HELD_MAX: usize = 10_000;
/// How long it takes until this node says again that it is there.
const REGISTER_MS: u64 = 500;

/// A question that was handed on.
struct Forwarded {
    to: NodeId,
    asker: Asker,
    what: What,
    bytes: usize,
}

#[derive(Clone, Copy)]
enum What {
    /// Results that are to come, and whether partitions are made.
    Admin {
        items: usize,
        makes_partitions: bool,
    },
    ProducerId,
}

/// What an owner knows of other nodes.
pub(super) struct Abroad {
    /// This node, as it says of itself.
    me: Node,
    registered: bool,
    /// The lives of its shards' disks, of those that have told of them.
    lives: Vec<Option<u64>>,
    /// When it says so next.
    register_at: Mono,
    /// Nodes that want to be known, while this one is the controller.
    registrations: Vec<Node>,
    controller: Option<NodeId>,
    present: BTreeSet<NodeId>,
    /// The shards have not been told of them.
    is_news: bool,
    forwarded: BTreeMap<Token, Forwarded>,
    /// Bytes of all of it.
    forwarded_bytes: usize,
    next: u64,
}

impl Abroad {
    pub fn new(settings: &Settings) -> Abroad {
        // Clients of others are told of none of them.
        let kafkas = settings.listeners.iter().filter(|listener| listener.protocol == Protocol::Kafka);
        let listeners = kafkas.map(|listener| listener.advertised.clone()).collect();
        let me = Node {
            id: settings.node,
            start: settings.cluster.start,
            rack: settings.cluster.rack.clone(),
            listeners,
            shards: settings.shards,
            lives: Vec::new(),
            entry_bytes_max: settings.wal.entry_bytes_max(),
        };
        Abroad {
            me,
            registered: false,
            lives: vec![None; usize::from(settings.shards)],
            register_at: Mono(0),
            registrations: Vec::new(),
            controller: None,
            present: BTreeSet::new(),
            is_news: false,
            forwarded: BTreeMap::new(),
            forwarded_bytes: 0,
            next: 0,
        }
    }

    /// True if all shards have said which lives of their disks these are.
    fn knows_lives(&self) -> bool {
        self.lives.iter().all(Option::is_some)
    }

    fn token(&mut self) -> Token {
        self.next += 1;
        Token::forwarded(self.next)
    }

    /// A question that is answered now.
    fn take(&mut self, token: Token) -> Option<Forwarded> {
        let forwarded = self.forwarded.remove(&token)?;
        self.forwarded_bytes -= forwarded.bytes;
        Some(forwarded)
    }
}

/// Where the owner of a node's catalog is.
pub(super) fn owner_of(node: NodeId) -> Place {
    Place { node, shard: ShardId(0) }
}

impl CatalogOwner {
    /// Nodes of the cluster that there is no link to.
    pub(super) fn absent(&self) -> BTreeSet<NodeId> {
        self.others().filter(|node| !self.is_present(*node)).collect()
    }

    /// True if there is a link to that node's owner.
    pub(super) fn is_present(&self, node: NodeId) -> bool {
        self.abroad.present.contains(&node)
    }

    /// True if the catalog has this node as it is.
    pub(super) fn is_registered(&self, groups: &Groups) -> bool {
        let me = &self.abroad.me;
        !self.settings.is_alone() && groups.catalog().state().node(me.id).is_some_and(|node| node.is_as_said(me))
    }

    /// A shard of this node has read its log, and says which life of its disk this is.
    pub fn begun(&mut self, shard: ShardId, life: u64) {
        self.abroad.lives[usize::from(shard.get())] = Some(life);
        let all: Option<Vec<u64>> = self.abroad.lives.iter().copied().collect();
        let counts = |all: &Vec<u64>| all.iter().any(|life| *life != 0);
        self.abroad.me.lives = all.filter(counts).into_iter().flatten().map(Life::of).collect();
    }

    /// There is a link to the owner of that node.
    pub fn peer_up(&mut self, node: NodeId) {
        self.abroad.is_news |= self.abroad.present.insert(node);
    }

    /// There is none any more: what was asked of it is answered, so that whoever asked tries again.
    pub fn peer_down(&mut self, node: NodeId, answers: &mut VecDeque<(Asker, Answer)>) {
        self.abroad.is_news |= self.abroad.present.remove(&node);
        let to_node = |(_, forwarded): &(&Token, &Forwarded)| forwarded.to == node;
        let lost: Vec<Token> = self.abroad.forwarded.iter().filter(to_node).map(|(token, _)| *token).collect();
        for token in lost {
            let Forwarded { asker, what, .. } = self.abroad.take(token).expect("listed above");
            self.refuse_what(answers, asker, what);
        }
    }

    fn refuse_what(&self, answers: &mut VecDeque<(Asker, Answer)>, asker: Asker, what: What) {
        match what {
            What::Admin { items, .. } => self.refuse(answers, asker, items, error::NOT_CONTROLLER),
            What::ProducerId => {
                let code = producers_code(error::NOT_CONTROLLER);
                answers.push_back((asker, Answer::ProducerId(Err(code))));
            }
        }
    }

    /// The nodes that there are links to, if that is news for the shards.
    pub fn take_present(&mut self) -> Option<BTreeSet<NodeId>> {
        std::mem::take(&mut self.abroad.is_news).then(|| self.abroad.present.clone())
    }

    /// The same without taking it.
    pub fn present(&self) -> impl Iterator<Item = Place> {
        self.abroad.present.iter().copied().map(owner_of)
    }

    /// Another node leads partitions, or leads them no longer.
    pub fn heard(&mut self, from: NodeId, leaders: Leaders) {
        // Of what others lead they tell themselves.
        let own = leaders.into_iter().filter(|led| led.node == from && led.group != GroupId::CATALOG);
        self.leaders.extend(own);
    }

    /// A node wants to be known. What it says of another is nothing.
    pub fn register(&mut self, from: NodeId, node: Node) {
        if node.id == from {
            self.abroad.registrations.retain(|other| other.id != from);
            self.abroad.registrations.push(node);
        }
    }

    /// The controller's answer to what was handed on.
    pub fn answered(
        &mut self,
        now: Mono,
        from: NodeId,
        token: Token,
        answer: Answer,
        out: &mut VecDeque<(Asker, Answer)>,
    ) {
        // Whoever asked may have been answered when the link was down.
        let Some(Forwarded { to, asker, what, .. }) = self.abroad.take(token) else { return };
        match (what, answer) {
            (What::ProducerId, Answer::ProducerId(result)) if to == from => {
                out.push_back((asker, Answer::ProducerId(result)));
            }
            (What::Admin { items, makes_partitions }, Answer::Committed { index, results })
                if to == from && results.len() == items =>
            {
                self.put_job(Job::committed(now, asker, index, results, makes_partitions));
            }
            _ => self.refuse_what(out, asker, what),
        }
    }

    /// True if there is something to do that no message brought: the controller is another, or time has passed.
    pub fn is_due(&self, groups: &Groups, now: Mono) -> bool {
        let news = || {
            let controller = self.find_controller(groups) != self.abroad.controller;
            groups.has_catalog() && (controller || self.members_are_due(groups, now))
        };
        !self.settings.is_alone() && (self.deadline().is_some_and(|at| at <= now) || news())
    }

    /// When the next turn is due at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        if self.settings.is_alone() {
            return None;
        }
        let Abroad { registered, register_at, controller, .. } = &self.abroad;
        let registers = controller.filter(|_| !registered && self.abroad.knows_lives()).map(|_| *register_at);
        let asked = self.requests.front().map(|(_, asked, _)| *asked);
        let asked = asked.into_iter().chain(self.producer_askers.front().map(|(_, asked)| *asked)).min();
        let holds = asked.filter(|_| controller.is_none()).map(|asked| asked.plus_ms(HOLD_MS));
        let jobs = self.jobs.values().filter(|job| job.missing == 0).map(|job| job.until);
        let inside = self.members_deadline().into_iter().chain(self.moves.deadline());
        jobs.chain(registers).chain(holds).chain(inside).min()
    }

    fn find_controller(&self, groups: &Groups) -> Option<NodeId> {
        if groups.leads(GroupId::CATALOG) {
            return Some(self.settings.node);
        }
        groups.leader_elsewhere(GroupId::CATALOG).filter(|node| self.abroad.present.contains(node))
    }

    /// Begins what this node can begin as the controller, and hands on what it cannot.
    pub(super) fn drive_abroad(&mut self, groups: &mut Groups, out: &mut Out) {
        let controller = self.find_controller(groups);
        if controller != self.abroad.controller {
            self.abroad.controller = controller;
            // Whoever leads now has not heard of this node, if it is not known yet.
            self.abroad.register_at = out.now.mono;
            let epoch = controller.map(|_| groups.epoch(GroupId::CATALOG));
            let node = controller.unwrap_or(self.settings.node);
            self.leaders.push(Led { epoch, ..Led::lost(GroupId::CATALOG, node) });
        }
        // Before the topics that this node makes as the controller: its disks are to be known when they get partitions.
        self.say_who_this_is(groups, out);
        if self.fenced || controller == Some(self.settings.node) {
            self.begin_requests(groups, out);
            self.give_producer_ids(groups, out);
            self.begin_registrations(groups, out);
            self.drive_moves(groups, out);
        } else {
            self.abroad.registrations.clear();
            self.moves.clear();
            self.hand_on(groups, out, controller);
        }
        self.drive_members(groups, out, controller);
    }

    /// What this node's clients ask goes to the controller, or waits for one. What other nodes ask was meant for the
    /// controller.
    fn hand_on(&mut self, groups: &mut Groups, out: &mut Out, controller: Option<NodeId>) {
        let (now, here) = (out.now.mono, self.settings.node);
        let waits = |asked: Mono, place: usize| now < asked.plus_ms(HOLD_MS) && place < HELD_MAX;
        let mut requests = std::mem::take(&mut self.requests).into_iter().enumerate();
        while let Some((place, (asker, asked, admin))) = requests.next() {
            match controller {
                Some(to) if asker.place.node == here => {
                    if let Err(waits) = self.forward_admin(groups, out, to, (asker, asked, admin)) {
                        self.requests.push_back(waits);
                        self.requests.extend(requests.by_ref().map(|(_, request)| request));
                    }
                }
                None if asker.place.node == here && waits(asked, place) => {
                    self.requests.push_back((asker, asked, admin));
                }
                _ => self.refuse(out.answers, asker, admin.items(), error::NOT_CONTROLLER),
            }
        }
        for (place, (asker, asked)) in std::mem::take(&mut self.producer_askers).into_iter().enumerate() {
            match controller {
                Some(to) if asker.place.node == here => {
                    let (token, ask) = (self.abroad.token(), Ask::ProducerId);
                    self.forward(groups, (to, asker, What::ProducerId), (token, Mail::Ask { token, ask }), 0);
                }
                None if asker.place.node == here && waits(asked, place) => {
                    self.producer_askers.push_back((asker, asked));
                }
                _ => self.refuse_what(out.answers, asker, What::ProducerId),
            }
        }
    }

    /// Hands a request on, if it is not too long and not too much is under way; then it is given back.
    fn forward_admin(
        &mut self,
        groups: &mut Groups,
        out: &mut Out,
        to: NodeId,
        (asker, asked, admin): (Asker, Mono, Admin),
    ) -> Result<(), (Asker, Mono, Admin)> {
        let what = What::Admin { items: admin.items(), makes_partitions: admin.makes_partitions() };
        let token = self.abroad.token();
        let mail = Mail::Ask { token, ask: Ask::Admin(admin) };
        let bytes = wire::encode(&mail).map_or(0, |bytes| bytes.len());
        if bytes > FORWARD_BYTES_MAX {
            let What::Admin { items, .. } = what else { unreachable!("it is one") };
            let why = format!(
                "{bytes} bytes are more than the {FORWARD_BYTES_MAX} that are handed on to the controller, node {to}: ask for \
                 less at once"
            );
            let results = vec![AdminResult::refused(error::POLICY_VIOLATION, why); items];
            out.answers.push_back((asker, self.answer(asker, Index(0), results)));
            return Ok(());
        }
        if self.abroad.forwarded_bytes + bytes > FORWARDED_BYTES_MAX {
            let Mail::Ask { ask: Ask::Admin(admin), .. } = mail else { unreachable!("made above") };
            return Err((asker, asked, admin));
        }
        self.forward(groups, (to, asker, what), (token, mail), bytes);
        Ok(())
    }

    fn forward(
        &mut self,
        groups: &mut Groups,
        (to, asker, what): (NodeId, Asker, What),
        (token, mail): (Token, Mail),
        bytes: usize,
    ) {
        self.abroad.forwarded_bytes += bytes;
        self.abroad.forwarded.insert(token, Forwarded { to, asker, what, bytes });
        groups.outboxes.post(owner_of(to), mail);
    }

    fn begin_registrations(&mut self, groups: &mut Groups, out: &mut Out) {
        for node in std::mem::take(&mut self.abroad.registrations) {
            self.append_registration(groups, out, node);
        }
    }

    /// What is said already is not said again.
    fn append_registration(&mut self, groups: &mut Groups, out: &mut Out, node: Node) {
        let catalog = groups.catalog().state();
        let command = Command::RegisterNode(node);
        let Command::RegisterNode(node) = &command else { unreachable!("made above") };
        let is_known = catalog.node(node.id).is_some_and(|known| known.is_as_said(node));
        if !is_known && !catalog.pending().any(|(_, pending)| *pending == command) {
            // Refused, it is said again.
            let _ = groups.propose_command(out, command);
        }
    }

    /// Has the controller know this node, if it does not.
    fn say_who_this_is(&mut self, groups: &mut Groups, out: &mut Out) {
        self.abroad.registered = self.is_registered(groups);
        let Some(controller) = self.abroad.controller else { return };
        // Groups that are made from then on are made on the disks that it tells of.
        if !self.abroad.knows_lives() || self.abroad.registered || self.fenced || out.now.mono < self.abroad.register_at
        {
            return;
        }
        self.abroad.register_at = out.now.mono.plus_ms(REGISTER_MS);
        let me = self.abroad.me.clone();
        if controller == self.settings.node {
            return self.append_registration(groups, out, me);
        }
        let ask = Ask::Register(Box::new(me));
        groups.outboxes.post(owner_of(controller), Mail::Ask { token: Token::forwarded(0), ask });
    }
}
