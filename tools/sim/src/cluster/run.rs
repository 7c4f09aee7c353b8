//! One run of a cluster.

#[path = "scattering.rs"]
mod scattering;
#[path = "storms.rs"]
mod storms;

use super::Actor;
use super::builds::Builds;
use super::committer::Committer;
use super::guide::Nodes;
use super::logs::Logs;
use super::losses::{Budget, Loss};
use super::maker::Maker;
use super::marks::{Marks, Until, Voter};
use super::mover::Mover;
use super::newcomers::Newcomers;
use super::reader::RecordReader;
use super::segments::Segments;
use super::workload::Workload;
use super::writer::{self, Writer};
use crate::client::Next;
use crate::disk::{Disk, Speed};
use crate::history::Life;
use crate::net::Net;
use crate::run::{Failure, Report, Start};
use crate::trail::Trail;
use crate::violation::{Rule, Violation};
use crate::world::{Happening, MS, World};
use crate::znodes::Znodes;
use std::ops::Range;
use std::sync::Arc;
use storms::Storms;
use torc_base::buf::Pool;
use torc_base::ids::{GroupId, Index, ListenerId, Term};
use torc_base::io::App;
use torc_base::limits::RECV_BUF_BYTES;
use torc_base::prng::Prng;
use torc_shard::{CleanerSettings, CoordinatorSettings, GroupMarks};

/// Timers below this are actors'; this one ends a phase.
const PHASE_OVER: u64 = 1 << 40;
/// Virtual time in which a cluster that is whole serves again, and has answered everything.
const END_MS: u64 = 60_000;
/// Virtual time in which somebody gets an answer, mostly.
const ANSWER_MS: u64 = 50;
/// One in so many clusters has clients of ZooKeeper.
const ZNODES_IN: u64 = 2;
/// The lane of whoever writes what not all nodes take.
const LONG_LANE: u64 = 100;
/// Receive buffers of each shard: so few that they run out.
const RECV_BUFS: usize = 6;

/// A shard's place in a cluster.
pub struct Seat {
    /// Its node, from 0.
    pub node: usize,
    /// The nodes before this number founded the cluster; those from there on joined it.
    pub founders: usize,
    /// Drawn at the start of its process.
    pub start: u64,
    /// The number of its node's disks, and whether the cluster was founded without them.
    pub disk: u128,
    pub is_replaced: bool,
    /// The newest version of the peers' protocol that it speaks.
    pub newest_version: u16,
    /// The rest.
    pub shard: Start,
}

/// What is simulated.
pub struct Subject<A: App> {
    /// Makes a shard.
    pub make: fn(&Seat) -> A,
    /// The reason why it would not start, if so.
    pub refused: fn(&A) -> Option<String>,
    /// Says where its groups stand.
    pub standing: fn(&A) -> String,
    /// Why a replica of a group that it leads cannot get what it lacks, if so.
    pub held: fn(&A) -> Option<String>,
    /// True if it knows its groups, and none of them may have forgotten something.
    pub is_whole: fn(&A) -> bool,
    /// Where its groups stand.
    pub marks: fn(&A, &mut dyn FnMut(GroupMarks)),
    /// Who votes in a group that it leads.
    pub voters: fn(&A, GroupId) -> Vec<Voter>,
    /// True if its member of a group counts on having an entry on its disk, as it was appended.
    pub keeps: fn(&A, GroupId, Term, Index) -> bool,
    /// What a node's first shard is told when another one wants to join.
    pub admit: fn(usize) -> A::Mail,
    /// True if a node's first shard has it in its catalog that another one was let in.
    pub knows: fn(&A, usize) -> bool,
    /// The newest change that is applied to a node's tree of znodes, and what stands for it, of its first shard.
    pub tree: fn(&A) -> Option<(i64, u64)>,
}

impl<A: App> Nodes for World<A> {
    fn nodes(&self) -> usize {
        World::nodes(self)
    }
    fn shards_of(&self, node: usize) -> Range<usize> {
        World::shards_of(self, node)
    }
}

/// True if a node runs, and has forgotten nothing.
fn runs_whole<A: App>(world: &World<A>, is_whole: fn(&A) -> bool, node: usize) -> bool {
    world.shards_of(node).all(|shard| world.app(shard).is_some_and(is_whole))
}

struct Run<A: App> {
    rng: Prng,
    world: World<A>,
    subject: Subject<A>,
    logs: Logs,
    budget: Budget,
    workload: Workload,
    znodes: Znodes,
    newcomers: Newcomers,
    storms: Storms,
    marks: Marks,
    /// What each shard's members were when they were looked at last.
    looked: Vec<Vec<GroupMarks>>,
    actors: Vec<Box<dyn Actor>>,
    done: Vec<bool>,
    segments: Segments,
    builds: Builds,
    cleaner: CleanerSettings,
    coordinator: Arc<CoordinatorSettings>,
    lives: u32,
    phase: u64,
    /// A phase ends when somebody has got something.
    to_answer: bool,
    /// A phase ends when this has happened.
    until: Until,
}

/// Runs `seed` with `rounds` misfortunes, over shards of `subject`.
pub fn run<A: App>(seed: u64, rounds: u32, trail: &Trail, subject: Subject<A>) -> Result<Report, Failure> {
    let mut run = Run::new(seed, trail.clone(), subject);
    match run.whole(rounds) {
        Ok(()) => Ok(run.report()),
        Err(Violation { rule, text }) => {
            let violation = Violation::new(rule, format!("{text}\n{}", trail.titled()));
            Err(Failure { violation, trail: trail.tail() })
        }
    }
}

/// The cleaner of a run whose disks lose something: mostly it finds something to do, so that there are cold segments.
fn cleaning(rng: &mut Prng) -> CleanerSettings {
    let eager = CleanerSettings {
        enabled: true,
        dead_percent: rng.between(2, 50),
        settle_ms: rng.below(50),
        sort_after_ms: rng.below(100),
        bytes_per_second: (8 << 20) << rng.below(10),
    };
    if rng.chance(2, 3) { eager } else { CleanerSettings::default() }
}

impl<A: App> Run<A> {
    fn new(seed: u64, trail: Trail, subject: Subject<A>) -> Run<A> {
        let mut rng = Prng::new(seed ^ 0xc1a5_7e12);
        let nodes = [3, 3, 3, 5, 1][rng.below(5) as usize];
        // Nodes may differ in their shards.
        let mut shards: Vec<usize> = (0..nodes).map(|_| [1, 1, 2, 3][rng.below(4) as usize]).collect();
        let mut newcomers = Newcomers::new(seed, nodes);
        shards.extend((nodes..newcomers.nodes()).map(|_| newcomers.shards()));
        let least = rng.between(5_000, 100_000);
        let speed = Speed { least, most: least * rng.between(2, 12), per_kib: rng.between(100, 2_000) };
        let disks = (0..shards.iter().sum()).map(|_| Disk::new(rng.fork(), 1 << 30, speed)).collect();
        let pool = || Pool::new(RECV_BUFS * RECV_BUF_BYTES, RECV_BUFS * RECV_BUF_BYTES);
        let pools = shards.iter().map(|count| (0..*count).map(|_| pool()).collect()).collect();
        let net = Net::of_nodes(rng.fork(), pools);
        let segments = Segments::new(seed, shards.len(), (256 << 10) << rng.below(3));
        let mut budget = Budget::new(seed, nodes);
        // Of two copies one with a new disk needs what older ones do not know.
        let builds = Builds::new(seed, shards.len(), !budget.kinds().contains(&Loss::Disks));
        let cleaner = if budget.kinds().is_empty() { CleanerSettings::default() } else { cleaning(budget.rng()) };
        let workload = Workload::new(seed);
        let znodes = Znodes::new(seed, ZNODES_IN, ListenerId(2), (1_000, 4_000));
        let storms =
            Storms::new(seed, nodes, newcomers.nodes(), budget.kinds().contains(&Loss::Disks), znodes.has_clients());
        trail.title(format!(
            "seed {seed}: nodes with {shards:?} shards, segments of {:?}, {speed:?}, losses {:?}, {}, {}, {}",
            segments.all(),
            budget.kinds(),
            storms.told(),
            workload.told(),
            builds.told()
        ));
        let world = World::new(rng.fork(), disks, net, trail);
        let mut run = Run {
            rng,
            world,
            subject,
            logs: Logs::of(nodes),
            budget,
            workload,
            znodes,
            newcomers,
            storms,
            marks: Marks::default(),
            looked: vec![Vec::new(); shards.iter().sum()],
            actors: Vec::new(),
            done: Vec::new(),
            segments,
            builds,
            cleaner,
            coordinator: Arc::default(),
            lives: 0,
            phase: 0,
            to_answer: false,
            until: Until::Never,
        };
        run.hire();
        run
    }

    fn hire(&mut self) {
        let nodes = self.newcomers.founders();
        for _ in 0..self.rng.between(1, 3) {
            let partitions = [1, 2, 5][self.rng.below(3) as usize];
            let replication =
                if self.rng.chance(3, 4) { nodes.min(3) } else { self.rng.between(1, nodes as u64) as usize };
            let replication = replication.max(self.budget.copies_min());
            self.logs.add_topic(partitions, replication as i16, self.workload.keys_of_one());
        }
        let maker = Maker::new(self.rng.fork(), self.workload.maker(nodes.min(3)));
        self.employ(Box::new(maker));
        for lane in 0..self.rng.between(2, 4) {
            let once = self.rng.chance(2, 3);
            let ways = writer::Ways {
                once,
                acks: if once || self.rng.chance(3, 4) { -1 } else { 1 },
                in_flight: self.rng.between(1, 5) as usize,
                pause: self.rng.between(2, 40) * MS,
                bytes_max: if self.rng.chance(1, 4) { 150_000 } else { 20_000 },
            };
            let writer = Writer::new(ways, self.rng.fork(), lane + 1);
            self.employ(Box::new(writer));
        }
        for _ in 0..2 {
            let reader = RecordReader::new(self.rng.fork(), false);
            self.employ(Box::new(reader));
        }
        let mut stay = self.newcomers.nodes() == nodes;
        // Some clusters keep their replicas where they are.
        if nodes > 1 && self.rng.chance(1, 2) {
            stay = false;
            self.logs.replicas_move = true;
            let pause = self.rng.between(50, 1_500) * MS;
            let mover = Mover::new(self.rng.fork(), pause, self.budget.copies_min());
            self.employ(Box::new(mover));
        }
        if let Some(mover) = self.storms.mover(self.budget.copies_min()) {
            self.logs.replicas_move = true;
            stay = false;
            self.employ(Box::new(mover));
        }
        // What is in the log before a replica comes to a node that does not take it keeps it from coming there.
        if self.segments.differ() && stay {
            self.logs.lengths_differ = true;
            let (ways, rng) = self.segments.writer();
            self.employ(Box::new(Writer::new(ways, rng, LONG_LANE)));
        }
        for number in 0..self.workload.committers {
            let pause = self.workload.rng.between(5, 100) * MS;
            let committer = Committer::new(self.workload.rng.fork(), format!("group-{number}"), pause);
            self.employ(Box::new(committer));
        }
        self.coordinator = self.workload.coordinator();
        let members = self.workload.members(&mut self.logs.members);
        members.into_iter().for_each(|member| self.employ(Box::new(member)));
        for client in self.znodes.hire() {
            self.employ(Box::new(client));
        }
        if let Some((deleter, after)) = self.workload.deleter() {
            self.employ_in(after, Box::new(deleter));
        }
    }

    fn employ(&mut self, actor: Box<dyn Actor>) {
        let after = self.rng.below(20 * MS);
        self.employ_in(after, actor);
    }

    fn employ_in(&mut self, after: u64, actor: Box<dyn Actor>) {
        let number = self.actors.len() as u64;
        self.actors.push(actor);
        self.done.push(false);
        self.world.timer(after, number);
    }

    fn whole(&mut self, rounds: u32) -> Result<(), Violation> {
        (0..self.newcomers.founders()).for_each(|node| self.boot(node));
        // The maker has to find a cluster that works.
        self.await_topics()?;
        for _ in 0..rounds {
            let ms = self.rng.between(50, 2_500);
            self.phase(ms)?;
            if self.rng.chance(1, 2) {
                // What strikes now finds an answer given that may be all that there is yet.
                self.to_answer = true;
                self.phase(ANSWER_MS)?;
                self.to_answer = false;
            }
            if !self.storm()? && !self.scatter()? {
                self.strike();
            }
            self.lose();
            self.welcome(false);
            if let Some((node, ms)) = self.workload.jump(self.world.nodes()) {
                self.world.jump(node, ms);
            }
            if self.rng.chance(1, 2) {
                let ms = self.rng.between(20, 3_000);
                self.phase(ms)?;
                self.heal(true);
            }
        }
        self.heal(false);
        self.welcome_all()?;
        self.actors.iter_mut().for_each(|actor| actor.stop());
        self.finish("were not done")?;
        for power in [false, true] {
            self.employ_auditor();
            self.finish("did not read all logs to their ends")?;
            (0..self.world.nodes()).for_each(|node| self.end_node(node, power));
            (0..self.world.nodes()).for_each(|node| self.boot(node));
        }
        self.employ_auditor();
        self.finish("did not read all logs to their ends after a restart of all nodes")?;
        self.look_for_held()?;
        self.znodes.end()
    }

    /// Whoever leads has taken nothing that a replica could not take.
    fn look_for_held(&self) -> Result<(), Violation> {
        let mut apps = (0..self.world.shards()).filter_map(|shard| self.world.app(shard));
        match apps.find_map(self.subject.held) {
            Some(why) => {
                Err(Violation::new(Rule::Liveness, format!("a replica stays behind: {why}{}", self.standing())))
            }
            None => Ok(()),
        }
    }

    /// A node that is to join asks for it, or is started when a node that it asks says that it is in.
    fn welcome(&mut self, surely: bool) {
        let Some(newcomer) = self.newcomers.next() else { return };
        let Some(via) = self.newcomers.turn(surely) else { return };
        let asked = self.world.shards_of(via).start;
        let Some(app) = self.world.app(asked).filter(|_| self.world.runs(via)) else { return };
        if !(self.subject.knows)(app, newcomer) {
            return self.world.tell(asked, (self.subject.admit)(newcomer));
        }
        self.newcomers.came(newcomer);
        (self.logs.nodes, self.logs.has_newcomers) = (newcomer + 1, true);
        self.boot(newcomer);
        // What is made now may come to it.
        let replication = self.newcomers.replication(self.budget.copies_min());
        self.logs.add_topic(3, replication, 0);
    }

    /// All that are to come are there.
    fn welcome_all(&mut self) -> Result<(), Violation> {
        let began = self.world.now();
        while self.newcomers.next().is_some() && self.world.now() < began + END_MS * MS {
            self.welcome(true);
            self.phase(50)?;
        }
        self.newcomers.left_outside(END_MS, self.standing())
    }

    fn employ_auditor(&mut self) {
        self.logs.begin_audit();
        let auditor = RecordReader::new(self.rng.fork(), true);
        self.employ(Box::new(auditor));
        if let Some(auditor) = self.znodes.auditor() {
            self.employ(Box::new(auditor));
        }
    }

    fn await_topics(&mut self) -> Result<(), Violation> {
        let began = self.world.now();
        while self.logs.topics.iter().any(|topic| topic.life == Life::Asked) {
            if self.world.now() > began + END_MS * MS {
                let text = format!("topics were not made within {END_MS} ms of a cluster that nothing happened to");
                return Err(Violation::new(Rule::Liveness, text + &self.standing()));
            }
            self.phase(20)?;
        }
        Ok(())
    }

    /// Where all groups stand, for a report.
    fn standing(&self) -> String {
        let of = |shard: usize| match self.world.app(shard) {
            Some(app) => format!("\nshard {shard}:\n{}", (self.subject.standing)(app)),
            None => format!("\nshard {shard} does not run"),
        };
        (0..self.world.shards()).map(of).collect()
    }

    fn boot(&mut self, node: usize) {
        let (make, founders) = (self.subject.make, self.newcomers.founders());
        let shards = self.world.shards_of(node).len();
        let (segment_bytes, cleaner) = (self.segments.of(node), self.cleaner);
        let coordinator = Arc::clone(&self.coordinator);
        let seeds: Vec<u64> = (0..shards).map(|_| self.rng.next_u64()).collect();
        let start = self.rng.next_u64();
        let disk = self.budget.disk(node);
        let newest_version = self.builds.start(node);
        let zookeeper_tick_ms = self.znodes.tick_ms();
        let is_replaced = disk != Budget::first_disk(node) || node >= founders;
        self.world.boot_node(node, |shard| {
            make(&Seat {
                node,
                founders,
                start,
                disk,
                is_replaced,
                newest_version,
                shard: Start {
                    shard,
                    shards,
                    seed: seeds[shard],
                    segment_bytes,
                    reserve_bytes: segment_bytes * 2,
                    cleaner,
                    tail_bytes: 256 << 10,
                    coordinator: Arc::clone(&coordinator),
                    offsets_partitions: 1,
                    zookeeper_tick_ms,
                },
            })
        });
        self.lives += 1;
    }

    /// Something goes wrong.
    fn strike(&mut self) {
        let nodes = self.world.nodes() as u64;
        let one = self.rng.below(nodes) as usize;
        let other = (one + 1 + self.rng.below((nodes - 1).max(1)) as usize) % nodes as usize;
        match self.rng.below(17) {
            0..=3 => self.end_node(one, false),
            4..=5 => self.end_node(one, true),
            6 | 7 => {
                let ns = self.rng.between(10, 4_000) * MS;
                if self.world.runs(one) {
                    self.world.pause_node(one, ns);
                }
            }
            8 | 9 if one != other => self.world.cut(one, other),
            10 if one != other => {
                self.world.cut(one, other);
                self.world.cut(other, one);
            }
            11 | 12 => {
                for other in (0..nodes as usize).filter(|other| *other != one) {
                    self.world.cut(one, other);
                    self.world.cut(other, one);
                }
            }
            13 => {
                let ns = self.rng.between(1, 300) * MS;
                self.world.net.cables.slow_down(one, other, ns);
            }
            14 => {
                let until = torc_base::time::Mono(self.world.now() + self.rng.between(100, 2_000) * MS);
                let times = self.rng.between(5, 100);
                for shard in self.world.shards_of(one) {
                    self.world.disks[shard].slow = (until, times);
                }
            }
            15 => {
                let power = self.rng.chance(2, 3);
                (0..nodes as usize).for_each(|node| self.end_node(node, power));
            }
            16 => {
                // All but one: whoever is left knows what the others must have had.
                (0..nodes as usize).filter(|node| *node != one).for_each(|node| self.end_node(node, true));
            }
            _ => {}
        }
    }

    /// Disks lose something, or are full.
    fn lose(&mut self) {
        let (world, is_whole) = (&self.world, self.subject.is_whole);
        let Some((loss, node)) = self.budget.next(|node| runs_whole(world, is_whole, node)) else { return };
        self.logs.disks_lose = true;
        self.znodes.lacks_room();
        let shards = self.world.shards_of(node);
        match loss {
            Loss::Rot => {
                for damage in self.budget.rot(&mut self.world.disks[shards]) {
                    self.world.trail.say(format!("rot on node {node}: {damage:?}"));
                }
            }
            Loss::Disks => self.replace_disks(node),
            Loss::Scatter => {}
            Loss::Room => {
                self.budget.filled_up();
                for shard in shards {
                    let free = self.budget.fill_up(self.segments.of(node));
                    self.world.disks[shard].fill_up(free);
                }
                self.world.trail.say(format!("the disks of node {node} are full"));
            }
        }
    }

    /// A node ends, and has empty disks.
    fn replace_disks(&mut self, node: usize) {
        self.logs.disks_lose = true;
        self.znodes.lacks_room();
        let power = self.budget.replace(node);
        self.end_node(node, power);
        self.world.replace_disks(node);
    }

    fn end_node(&mut self, node: usize, power: bool) {
        if !self.world.runs(node) {
            return;
        }
        self.marks.ended(node);
        self.looked[self.world.shards_of(node)].iter_mut().for_each(Vec::clear);
        if power { self.world.cut_power_of(node) } else { self.world.kill_node(node) }
    }

    /// Nodes that are down are started again and ways are mended: `some` of them, or all.
    fn heal(&mut self, some: bool) {
        let nodes = self.world.nodes();
        for node in 0..nodes {
            let stays = some && self.rng.chance(1, 4);
            if !self.world.runs(node) && !stays && self.newcomers.is_in(node) {
                self.boot(node);
            }
        }
        for from in 0..nodes {
            for to in (0..nodes).filter(|to| *to != from) {
                if self.world.net.cables.is_cut(from, to) && !(some && self.rng.chance(1, 4)) {
                    self.world.mend(from, to);
                }
                if !some {
                    self.world.net.cables.slow_down(from, to, 0);
                }
            }
        }
        if !some {
            self.world.disks.iter_mut().for_each(|disk| disk.slow = (torc_base::time::Mono(0), 1));
        }
        if !some || self.budget.makes_room() {
            self.world.disks.iter_mut().for_each(|disk| disk.foreign = 0);
        }
    }

    /// Lets everybody come to an end; `late` says what it means if they do not.
    fn finish(&mut self, late: &str) -> Result<(), Violation> {
        let began = self.world.now();
        while let Some(waits) = self.done.iter().position(|done| !done) {
            if self.world.now() > began + END_MS * MS {
                let text = format!("clients, of which {waits} is the first, {late} {END_MS} ms after the last fault");
                return Err(Violation::new(Rule::Liveness, text + &self.standing()));
            }
            self.phase(20)?;
        }
        Ok(())
    }

    /// Lets things happen for `ms` virtual milliseconds.
    fn phase(&mut self, ms: u64) -> Result<(), Violation> {
        self.phase += 1;
        let token = PHASE_OVER + self.phase;
        self.world.timer(ms * MS, token);
        loop {
            let step = self.world.step().map_err(|violation| match violation.rule {
                Rule::Liveness => Violation::new(Rule::Liveness, violation.text + &self.standing()),
                _ => violation,
            });
            let Some(happening) = step? else { return Ok(()) };
            if let Some(shard) = self.world.take_turned() {
                self.look(shard)?;
            }
            match happening {
                Happening::Quiet => {}
                Happening::Timer { token: t } if t == token => return Ok(()),
                Happening::Timer { token: t } if t < PHASE_OVER => self.wake(t as usize)?,
                Happening::Timer { .. } => {}
                Happening::Bytes { link, bytes } => {
                    if let Some(actor) = self.actors.iter_mut().find(|actor| actor.has(link)) {
                        actor.receive(&mut self.world, &mut self.logs, link, &bytes)?;
                    }
                    if self.to_answer {
                        return Ok(());
                    }
                }
                Happening::Lost { link } => {
                    if let Some(actor) = self.actors.iter_mut().find(|actor| actor.has(link)) {
                        actor.lost(&mut self.world, &mut self.logs, link);
                    }
                }
                Happening::Exited { shard } => {
                    let why = self.world.app(shard).and_then(self.subject.refused);
                    let why = why.unwrap_or_else(|| "it gave no reason".into());
                    return Err(Violation::new(Rule::Starts, format!("shard {shard} ended by itself: {why}")));
                }
            }
            if self.marks.meet(&self.until) {
                return Ok(());
            }
        }
    }

    /// Nodes that have applied the same changes have the same tree.
    fn look_at_tree(&self, shard: usize) -> Result<(), Violation> {
        let node = self.world.node_of(shard);
        let first = self.world.shards_of(node).start == shard;
        match self.world.app(shard).filter(|_| first).and_then(self.subject.tree) {
            Some(tree) => self.znodes.tree(node, tree),
            None => Ok(()),
        }
    }

    /// Looks at a shard's members of all groups.
    fn look(&mut self, shard: usize) -> Result<(), Violation> {
        if self.znodes.has_clients() {
            self.look_at_tree(shard)?;
        }
        let (marks, looked, mut verdict) = (&mut self.marks, &mut self.looked[shard], Ok(()));
        let node = self.world.node_of(shard);
        if let Some(app) = self.world.app(shard) {
            let mut number = 0;
            (self.subject.marks)(app, &mut |member| {
                // Most are what they were, and where they were.
                if looked.get(number) != Some(&member) && verdict.is_ok() {
                    match looked.get_mut(number) {
                        Some(before) => *before = member,
                        None => looked.push(member),
                    }
                    verdict = marks.see(node, &member);
                }
                number += 1;
            });
            looked.truncate(number);
            for (node, group, led) in marks.take_reseated() {
                let voters = (self.subject.voters)(app, group);
                verdict = verdict.and_then(|()| marks.seat(node, group, led, voters));
            }
        }
        verdict
    }

    fn wake(&mut self, number: usize) -> Result<(), Violation> {
        match self.actors[number].wake(&mut self.world, &mut self.logs)? {
            Next::Wake(after) => self.world.timer(after, number as u64),
            Next::Done => self.done[number] = true,
        }
        Ok(())
    }

    fn report(&self) -> Report {
        Report {
            digest: self.world.trail.digest(),
            steps: self.world.trail.steps(),
            acked: self.logs.acked,
            fetched: self.logs.fetched,
            commits: self.logs.commits + self.logs.members.groups.commits,
            generations: self.logs.members.groups.generations,
            deleted: self.logs.deleted,
            too_long: self.logs.refused,
            compacted: self.logs.compacted(),
            znodes: self.znodes.sums(),
            lives: self.lives,
            moves: self.world.moves,
            losses: self.budget.done(),
            virtual_ms: self.world.now() / MS,
            ..Report::default()
        }
    }
}
