//! One run: a server, its clients, its misfortunes, and the audit at the end. Everything follows from the seed.

use crate::admin::{self, Admin};
use crate::by_hand::ByHand;
use crate::client::{Client, Next};
use crate::cluster::Losses;
use crate::consumer::Consumer;
use crate::disk::{Disk, Speed};
use crate::faults::{self, Class};
use crate::fuzzer::Fuzzer;
use crate::groups::{Group, INSTANCE};
use crate::history::{Faults, History, Life};
use crate::member::{self, Member};
use crate::modern::Modern;
use crate::neighbour::Neighbour;
use crate::net::{Manner, Net};
use crate::producer::{self, Producer};
use crate::scribe::Scribe;
use crate::trail::Trail;
use crate::violation::{Rule, Violation};
use crate::wire::Port;
use crate::world::{Happening, MS, World};
use crate::znodes::{self, Znodes};
use std::sync::Arc;
use torc_base::buf::Pool;
use torc_base::ids::ListenerId;
use torc_base::io::App;
use torc_base::limits::RECV_BUF_BYTES;
use torc_base::prng::Prng;
use torc_shard::{CleanerSettings, CoordinatorSettings};
use torc_state::coordinator::Coordinator;

/// Timers below this are clients'; this one ends a phase.
const PHASE_OVER: u64 = 1 << 40;
/// Virtual time in which a healthy server must have answered everything at the end.
const END_MS: u64 = 120_000;
/// Virtual time in which a start comes to its end, on a slow disk, too.
const START_MS: u64 = 60_000;
/// Virtual time after which a server without clients is at rest.
const REST_MS: u64 = 3_000;
/// So many times again, while a disk is busy.
const REST_ROUNDS: u32 = 10;
/// Virtual time in which somebody gets an answer, mostly.
const ANSWER_MS: u64 = 20;
/// One in so many runs has clients of ZooKeeper.
const ZNODES_IN: u64 = 3;
/// Receive buffers of each shard: so few that they run out in every run.
const RECV_BUFS: [usize; 3] = [2, 6, 24];

/// How a server process is started.
pub struct Start {
    /// Which shard.
    pub shard: usize,
    /// Of how many.
    pub shards: usize,
    /// Randomness of this life of this shard.
    pub seed: u64,
    /// Bytes of a WAL segment.
    pub segment_bytes: u64,
    /// Bytes of the file system that are held back.
    pub reserve_bytes: u64,
    /// The log's cleaner.
    pub cleaner: CleanerSettings,
    /// Memory for the log's newest batches.
    pub tail_bytes: usize,
    /// The coordinators of consumer groups.
    pub coordinator: Arc<CoordinatorSettings>,
    /// Partitions of their log.
    pub offsets_partitions: u32,
    /// ZooKeeper's clients are served, and their deadlines are rounded to so many milliseconds.
    pub zookeeper_tick_ms: Option<u64>,
}

/// What a run sees of a shard from outside, as its metrics show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// It serves.
    pub ready: bool,
    /// Bytes that requests and answers of its connections hold.
    pub memory: u64,
    /// The most that they may hold.
    pub memory_max: u64,
    /// What is held for requests of connections that wait for more, or for nobody, while somebody waits.
    pub memory_idle: u64,
}

/// What is simulated.
pub struct Subject<A> {
    /// Makes a shard.
    pub make: fn(&Start) -> A,
    /// Looks at one.
    pub look: fn(&A) -> Look,
    /// Shows the coordinators that serve on a shard: partition and end of the log, and the state. `None` if the server
    /// knows no consumer groups.
    pub coordinators: Option<fn(&A, &mut Shown<'_>)>,
    /// The newest change that is applied to its tree of znodes, if it is here, and what stands for the tree. `None` if the
    /// server knows no clients of ZooKeeper.
    pub tree: Option<Tree<A>>,
}

/// Tells the newest change of a tree of znodes, and what stands for the tree.
pub type Tree<A> = fn(&A) -> Option<(i64, u64)>;

/// Who is shown coordinators.
pub type Shown<'a> = dyn FnMut(i32, i64, &Coordinator) + 'a;

/// Misfortunes that a run is made of; besides, every run has crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// kill -9, power cuts, restarts.
    Crashes,
    /// Disk operations fail.
    Errors,
    /// The disk fills up.
    Full,
    /// What lies on the disk is damaged.
    Damage,
    /// The disk is slow, the clock jumps.
    Slow,
}

/// What is known when a run has ended well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Of everything that happened.
    pub digest: u64,
    /// Things that happened.
    pub steps: u64,
    /// Batches acknowledged.
    pub acked: u64,
    /// Batches fetched and compared.
    pub fetched: u64,
    /// Commits of offsets acknowledged.
    pub commits: u64,
    /// Generations that members were told of.
    pub generations: u64,
    /// Coordinators that were compared with their log.
    pub compared: u64,
    /// Records that were compacted away, as far as readers have noticed.
    pub compacted: u64,
    /// Lives of the server process.
    pub lives: u32,
    /// Connections that moved from shard to shard.
    pub moves: u64,
    /// What ZooKeeper's clients have seen.
    pub znodes: znodes::Sums,
    /// Topics deleted from a cluster.
    pub deleted: u64,
    /// Batches that a cluster refused because a replica takes none of their length.
    pub too_long: u64,
    /// What the disks of a cluster have lost.
    pub losses: Losses,
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// The server refused to start on damaged data, as it should.
    pub refused: bool,
}

/// A run that ended badly.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The rule that was broken, and how.
    pub violation: Violation,
    /// The last things that happened.
    pub trail: String,
}

impl<A: App> Port for World<A> {
    fn now(&self) -> u64 {
        World::now(self)
    }
    fn wall_ms(&self) -> i64 {
        self.clocks().wall.0
    }
    fn shards(&self) -> usize {
        World::shards(self)
    }
    fn connect(&mut self, shard: usize, manner: Manner) -> Option<u64> {
        World::connect(self, shard, manner)
    }
    fn connect_at(&mut self, shard: usize, listener: ListenerId, manner: Manner) -> Option<u64> {
        World::connect_at(self, shard, listener, manner)
    }
    fn send(&mut self, link: u64, bytes: &[u8]) {
        World::send(self, link, bytes);
    }
    fn abort(&mut self, link: u64) {
        World::abort(self, link);
    }
    fn half_close(&mut self, link: u64) {
        World::half_close(self, link);
    }
}

/// A run under way.
pub struct Run<A: App> {
    rng: Prng,
    theme: Theme,
    world: World<A>,
    history: History,
    clients: Vec<Box<dyn Client>>,
    done: Vec<bool>,
    subject: Subject<A>,
    segment_bytes: u64,
    /// Members of classic groups say so much of themselves that it does not always fit into one entry of the log.
    says_much: bool,
    cleaner: CleanerSettings,
    tail_bytes: usize,
    coordinator: Arc<CoordinatorSettings>,
    offsets_partitions: u32,
    znodes: Znodes,
    /// A shard ended by itself since the last start.
    exited: Option<usize>,
    lives: u32,
    phase: u64,
    /// Disk faults that had struck when the server was last started.
    struck: u64,
    /// Those that follow others have been told to stop.
    last_stop: bool,
    /// A phase ends when somebody has got something.
    to_answer: bool,
}

/// What a phase ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Its time was over.
    Time,
    /// All clients were done.
    Done,
    /// The server ended by itself.
    Exited,
}

/// Runs `seed` with `rounds` misfortunes, over shards of `subject`.
pub fn run<A: App>(seed: u64, rounds: u32, trail: &Trail, subject: Subject<A>) -> Result<Report, Failure> {
    let mut run = Run::new(seed, trail.clone(), subject);
    match run.whole(rounds) {
        Ok(refused) => Ok(run.report(refused)),
        Err(violation) => Err(Failure { violation, trail: trail.tail() }),
    }
}

/// The cleaner of a run, and how much of the log stays in memory: in most runs it finds something to do all the time.
fn cleaning(rng: &mut Prng) -> (CleanerSettings, usize) {
    let eager = CleanerSettings {
        enabled: true,
        dead_percent: rng.between(2, 50),
        settle_ms: rng.below(50),
        sort_after_ms: rng.below(100),
        bytes_per_second: (8 << 20) << rng.below(10),
    };
    match rng.below(6) {
        0 => (CleanerSettings { enabled: false, ..eager }, 256 << 10),
        1 => (CleanerSettings::default(), 256 << 10),
        _ => (eager, (rng.below(2) * (64 << 10)) as usize),
    }
}

/// The coordinators of a run: everything that takes minutes in life takes as many milliseconds.
fn coordinating(rng: &mut Prng) -> CoordinatorSettings {
    let day = 86_400_000;
    let expires = rng.chance(1, 4);
    CoordinatorSettings {
        min_session_timeout_ms: 1,
        initial_rebalance_delay_ms: [0, 5, 30][rng.below(3) as usize],
        group_max_size: if rng.chance(1, 6) { 2 } else { usize::MAX },
        // Clocks jump by days.
        offsets_retention_ms: if expires { rng.between(50, 1_500) as i64 } else { 1_000 * day },
        offsets_retention_check_interval_ms: if expires { rng.between(20, 200) } else { day as u64 },
        consumer_session_timeout_ms: rng.between(60, 250) as i32,
        consumer_heartbeat_interval_ms: rng.between(5, 30) as i32,
        ..CoordinatorSettings::default()
    }
}

impl<A: App> Run<A> {
    fn new(seed: u64, trail: Trail, subject: Subject<A>) -> Run<A> {
        let mut rng = Prng::new(seed);
        let theme = match rng.below(12) {
            0..=4 => Theme::Crashes,
            5 | 6 => Theme::Errors,
            7 => Theme::Full,
            8 | 9 => Theme::Damage,
            _ => Theme::Slow,
        };
        let shards = [1, 1, 2, 3][rng.below(4) as usize];
        let segment_bytes = (256 << 10) << rng.below(3);
        let capacity = if theme == Theme::Full { segment_bytes * rng.between(10, 20) } else { 1 << 30 };
        let least = rng.between(5_000, 100_000);
        let speed = Speed { least, most: least * rng.between(2, 12), per_kib: rng.between(100, 2_000) };
        let disks = (0..shards).map(|_| Disk::new(rng.fork(), capacity, speed)).collect();
        let recv_bytes = RECV_BUFS[rng.below(RECV_BUFS.len() as u64) as usize] * RECV_BUF_BYTES;
        let pools = (0..shards).map(|_| Pool::new(recv_bytes, recv_bytes)).collect();
        let mut net = Net::new(rng.fork(), pools);
        net.starvation = [0, 1, 40][rng.below(3) as usize];
        let (cleaner, tail_bytes) = cleaning(&mut rng);
        let coordinator = Arc::new(coordinating(&mut rng));
        let offsets_partitions = rng.between(1, 3) as u32;
        trail.say(format!(
            "seed {seed}: {theme:?}, {shards} shards, segments of {segment_bytes}, {speed:?}, {cleaner:?}, offsets kept for \
             {} ms",
            coordinator.offsets_retention_ms
        ));
        let world = World::new(rng.fork(), disks, net, trail);
        let znodes = Znodes::new(seed, subject.tree.map_or(0, |_| ZNODES_IN), ListenerId(1), (200, 1_500));
        let mut run = Run {
            rng,
            theme,
            world,
            history: History::default(),
            clients: Vec::new(),
            done: Vec::new(),
            subject,
            segment_bytes,
            // Where space is short, it is for other things.
            says_much: seed % 8 == 5 && theme != Theme::Full,
            cleaner,
            tail_bytes,
            coordinator,
            offsets_partitions,
            znodes,
            exited: None,
            lives: 0,
            phase: 0,
            struck: 0,
            last_stop: false,
            to_answer: false,
        };
        run.hire();
        run
    }

    /// Makes the clients.
    fn hire(&mut self) {
        // A batch lies in one segment, with room for what surrounds it.
        let entry_max = self.segment_bytes as usize - 80 * 1024;
        let rng = &mut self.rng;
        let mut clients: Vec<Box<dyn Client>> = Vec::new();
        let ways = admin::Ways {
            topics: rng.between(1, 4) as usize,
            partitions_max: [1, 3, 8][rng.below(3) as usize],
            topics_max: 8,
            deletes: rng.chance(2, 3),
            compacts: rng.between(1, 4),
            pause: rng.between(20, 200) * MS,
        };
        clients.push(Box::new(Admin::new(ways, rng.fork())));
        for lane in 0..rng.between(2, 5) {
            let idempotent = rng.chance(1, 2);
            let retries = idempotent || rng.chance(1, 2);
            let acks = if idempotent { -1 } else { [0, 1, 1, -1, -1][rng.below(5) as usize] };
            let ways = producer::Ways {
                idempotent,
                retries: retries && acks != 0,
                acks,
                version: rng.between(3, 13) as i16,
                in_flight: rng.between(1, 5) as usize,
                bytes_max: if rng.chance(1, 4) { entry_max.min(300_000) } else { 60_000 },
                pause: rng.between(1, 30) * MS,
            };
            clients.push(Box::new(Producer::new(ways, rng.fork(), lane + 1)));
        }
        for _ in 0..rng.between(1, 3) {
            clients.push(Box::new(Consumer::new(rng.fork(), false)));
        }
        if rng.chance(1, 3) {
            clients.push(Box::new(Fuzzer::new(rng.fork())));
        }
        // In half of the runs, so that the others can do more in the same time.
        for _ in 0..rng.below(10).saturating_sub(5) {
            clients.push(Box::new(Neighbour::new(rng.fork())));
        }
        for client in clients {
            self.employ(client);
        }
        if self.subject.coordinators.is_some() && self.rng.chance(1, 2) {
            self.hire_groups();
        }
        if matches!(self.theme, Theme::Errors | Theme::Full) {
            self.znodes.lacks_room();
        }
        for client in self.znodes.hire() {
            self.employ(Box::new(client));
        }
    }

    /// Makes consumer groups, and who commits without being in one.
    fn hire_groups(&mut self) {
        let expires = self.coordinator.offsets_retention_check_interval_ms < 1_000;
        self.history.groups.retention_ms = expires.then_some(self.coordinator.offsets_retention_ms);
        for number in 0..self.rng.between(1, 2) as usize {
            let by_hand = self.rng.chance(1, 3);
            let every = if self.rng.chance(1, 2) { 1 } else { 2 };
            let topics = (every, self.rng.below(every as u64) as usize);
            self.history.groups.all.push(Group::new(format!("group-{number}"), topics));
            // Of the classic protocol, of the consumer protocol, or of both.
            let modern = [0, 0, 0, 4, 4, 4, 4, 2][self.rng.below(8) as usize];
            self.history.groups.all[number].mixed = modern == 2;
            for one in 0..self.rng.between(1, if by_hand { 2 } else { 3 }) {
                let rng = self.rng.fork();
                if by_hand {
                    self.employ(Box::new(ByHand::new(number, rng)));
                    continue;
                }
                let instance = self.rng.chance(1, 3).then(|| format!("{INSTANCE}-{one}"));
                let ways = member::Ways {
                    group: number,
                    old: instance.is_none() && self.rng.chance(1, 5),
                    instance,
                    session_ms: self.rng.between(60, 250),
                    rebalance_ms: self.rng.between(30, 300),
                    // Two members fit into one record of their group, mostly, and not always a third.
                    padding: if self.says_much && modern == 0 { self.segment_bytes / 2 } else { 0 },
                };
                if self.rng.chance(modern, 4) {
                    self.employ(Box::new(Modern::new(ways, rng)));
                } else {
                    self.employ(Box::new(Member::new(ways, rng)));
                }
            }
        }
        let scribe = Scribe::new(self.offsets_partitions as usize, self.rng.fork());
        self.employ(Box::new(scribe));
    }

    fn employ(&mut self, client: Box<dyn Client>) {
        self.world.timer(self.rng.below(5 * MS), self.clients.len() as u64);
        self.clients.push(client);
        self.done.push(false);
    }

    fn report(&self, refused: bool) -> Report {
        Report {
            digest: self.world.trail.digest(),
            steps: self.world.trail.steps(),
            acked: self.history.acked,
            fetched: self.history.fetched,
            commits: self.history.groups.commits,
            generations: self.history.groups.generations,
            compared: self.history.ledger.compared,
            compacted: self.history.compacted,
            znodes: self.znodes.sums(),
            lives: self.lives,
            moves: self.world.moves,
            too_long: 0,
            deleted: 0,
            losses: Losses::default(),
            virtual_ms: self.world.now() / MS,
            refused,
        }
    }

    /// All of it; true if the server refused damaged data and the run ended there.
    fn whole(&mut self, rounds: u32) -> Result<bool, Violation> {
        self.boot();
        for round in 0..rounds {
            self.plan_misfortune();
            if self.rng.chance(1, 4) {
                self.await_start()?;
            }
            // Some lives end before they have begun to serve.
            let ms = if self.rng.chance(1, 5) { self.rng.below(12) } else { self.rng.between(20, 450) };
            let mut ended = self.phase(ms)?;
            if ended == Ended::Time && self.rng.chance(1, 2) {
                ended = self.phase_to_answer()?;
            }
            self.judge_end(ended)?;
            self.strike(round, rounds)?;
            if !self.world.running() {
                // Clients find nobody for a while.
                let ms = self.rng.below(30);
                self.phase(ms)?;
                self.boot();
            }
        }
        self.end()
    }

    fn boot(&mut self) {
        let (make, shards, segment_bytes) = (self.subject.make, self.world.shards(), self.segment_bytes);
        let (cleaner, tail_bytes) = (self.cleaner, self.tail_bytes);
        let (coordinator, offsets_partitions) = (&self.coordinator, self.offsets_partitions);
        let zookeeper_tick_ms = self.znodes.tick_ms();
        let seeds: Vec<u64> = (0..shards).map(|_| self.rng.next_u64()).collect();
        let reserve_bytes = segment_bytes * 2;
        self.world.boot(|shard| {
            let seed = seeds[shard];
            let coordinator = Arc::clone(coordinator);
            make(&Start {
                shard,
                shards,
                seed,
                segment_bytes,
                reserve_bytes,
                cleaner,
                tail_bytes,
                coordinator,
                offsets_partitions,
                zookeeper_tick_ms,
            })
        });
        self.exited = None;
        self.lives += 1;
        self.struck = self.struck_now();
    }

    /// A start comes to its end, whatever the disk does: every shard serves, or one has ended.
    fn await_start(&mut self) -> Result<(), Violation> {
        let began = self.world.now();
        loop {
            let looks: Vec<Look> = (0..self.world.shards()).filter_map(|shard| self.look(shard)).collect();
            if looks.len() < self.world.shards() || looks.iter().all(|look| look.ready) {
                return Ok(());
            }
            if self.world.now() > began + START_MS * MS {
                let waiting: Vec<usize> = (0..looks.len()).filter(|shard| !looks[*shard].ready).collect();
                let text = format!("shards {waiting:?} neither serve nor end, {START_MS} ms after the start");
                return Err(Violation::new(Rule::StartEnds, text));
            }
            let ended = self.phase(10)?;
            self.judge_end(ended)?;
        }
    }

    fn look(&self, shard: usize) -> Option<Look> {
        self.world.app(shard).map(self.subject.look)
    }

    /// Nobody makes a shard hold more than it may, and nobody holds memory while it waits for memory.
    fn check_memory(&self) -> Result<(), Violation> {
        for shard in 0..self.world.shards() {
            let Some(Look { memory, memory_max, memory_idle, .. }) = self.look(shard) else { continue };
            if memory_idle > 0 {
                let text = format!("{memory_idle} bytes of shard {shard} are held by those who wait for more of them");
                return Err(Violation::new(Rule::Memory, text));
            }
            if memory > memory_max {
                let text = format!("requests and answers hold {memory} bytes of shard {shard}, of {memory_max}");
                return Err(Violation::new(Rule::Memory, text));
            }
        }
        Ok(())
    }

    /// What has been read of the coordinators' log is what their state is.
    fn check_coordinators(&mut self) -> Result<(), Violation> {
        let Some(show) = self.subject.coordinators.filter(|_| std::mem::take(&mut self.history.ledger.fresh)) else {
            return Ok(());
        };
        let ledger = &mut self.history.ledger;
        let mut verdict = Ok(());
        for shard in (0..self.world.shards()).filter_map(|shard| self.world.app(shard)) {
            show(shard, &mut |partition, end, live| {
                if verdict.is_ok() {
                    verdict = ledger.compare(partition, end, live);
                }
            });
        }
        verdict
    }

    /// A restart makes the same tree of the same changes.
    fn check_tree(&self) -> Result<(), Violation> {
        if !self.znodes.has_clients() {
            return Ok(());
        }
        let tree = self.world.app(0).zip(self.subject.tree).and_then(|(shard, tree)| tree(shard));
        tree.map_or(Ok(()), |tree| self.znodes.tree(0, tree))
    }

    fn struck_now(&self) -> u64 {
        self.world.disks.iter().map(|d| d.faults.struck).sum()
    }

    /// Lets things happen for `ms` virtual milliseconds.
    fn phase(&mut self, ms: u64) -> Result<Ended, Violation> {
        self.phase += 1;
        let token = PHASE_OVER + self.phase;
        self.world.timer(ms * MS, token);
        loop {
            let Some(happening) = self.world.step()? else { return Ok(Ended::Done) };
            self.check_memory()?;
            let wall = self.world.clocks().wall.0;
            self.history.groups.clock_shows(wall);
            self.history.now_ms = self.world.now() / MS;
            match happening {
                Happening::Quiet => {}
                Happening::Timer { token: t } if t == token => return Ok(Ended::Time),
                Happening::Timer { token: t } if t < PHASE_OVER => {
                    self.wake(t as usize)?;
                    if self.waiting_for().is_empty() {
                        return Ok(Ended::Done);
                    }
                }
                Happening::Timer { .. } => {}
                Happening::Bytes { link, bytes } => {
                    if let Some(client) = self.clients.iter_mut().find(|c| c.link() == Some(link)) {
                        client.receive(&mut self.world, &mut self.history, &bytes)?;
                    }
                    self.check_coordinators()?;
                    self.check_tree()?;
                    if self.to_answer {
                        return Ok(Ended::Time);
                    }
                }
                Happening::Lost { link } => {
                    if let Some(client) = self.clients.iter_mut().find(|c| c.link() == Some(link)) {
                        client.lost(&mut self.world, &mut self.history)?;
                    }
                }
                Happening::Exited { shard } => {
                    self.exited = Some(shard);
                    return Ok(Ended::Exited);
                }
            }
        }
    }

    /// Lets things happen until somebody has got something: what strikes then finds an answer given that may be all that
    /// there is yet.
    fn phase_to_answer(&mut self) -> Result<Ended, Violation> {
        self.to_answer = true;
        let ended = self.phase(ANSWER_MS);
        self.to_answer = false;
        ended
    }

    /// Clients that are not done. Those that are in the way of others stay until nobody else is left; those that follow
    /// the others are waited for when they have been told to stop.
    fn waiting_for(&self) -> Vec<usize> {
        let counts = |client: &dyn Client| !client.is_neighbour() && (self.last_stop || !client.follows());
        (0..self.done.len()).filter(|c| !self.done[*c] && counts(&*self.clients[*c])).collect()
    }

    fn wake(&mut self, number: usize) -> Result<(), Violation> {
        match self.clients[number].wake(&mut self.world, &mut self.history)? {
            Next::Wake(after) => self.world.timer(after, number as u64),
            Next::Done => self.done[number] = true,
        }
        Ok(())
    }

    /// A server that ends by itself needs a reason.
    fn judge_end(&mut self, ended: Ended) -> Result<(), Violation> {
        if ended != Ended::Exited {
            return Ok(());
        }
        let shard = self.exited.unwrap_or(0);
        self.world.kill();
        // On a disk that was full from the beginning there never was a log.
        let never_began = self.history.faults.full && self.history.topics.iter().all(|t| t.life == Life::Asked);
        let excused = self.struck_now() > self.struck || self.history.faults.damage || never_began;
        if excused {
            return Ok(());
        }
        Err(Violation::new(Rule::Starts, format!("shard {shard} ended by itself, and nothing was wrong with its disk")))
    }

    /// Sets up what goes wrong during the next phase.
    fn plan_misfortune(&mut self) {
        let shard = self.rng.below(self.world.shards() as u64) as usize;
        let now = self.world.now();
        let disk = &mut self.world.disks[shard];
        match self.theme {
            Theme::Errors if self.rng.chance(1, 2) => {
                let class = [Class::Write, Class::Write, Class::Sync, Class::Read, Class::Directory];
                let class = class[self.rng.below(class.len() as u64) as usize];
                let most = if class == Class::Write { 150 } else { 12 };
                disk.faults.fail(class, self.rng.below(most));
                self.history.faults.disk_errors = true;
            }
            Theme::Full => {
                let used = disk.used();
                let free = disk.capacity.saturating_sub(used);
                disk.foreign = if self.rng.chance(1, 2) { self.rng.below(free + 1) } else { 0 };
                self.history.faults.full = true;
            }
            Theme::Slow => {
                if self.rng.chance(1, 2) {
                    disk.slow = (torc_base::time::Mono(now + self.rng.between(10, 300) * MS), self.rng.between(5, 100));
                }
                if self.rng.chance(1, 3) {
                    let hours = self.rng.between(0, 48) as i64 - 24;
                    self.world.wall_skew += hours * 3_600_000;
                    self.history.clock_jumped = true;
                }
            }
            _ => {}
        }
    }

    /// Ends a life of the server, one way or another, or lets it live.
    fn strike(&mut self, round: u32, rounds: u32) -> Result<(), Violation> {
        if self.world.running() {
            match self.rng.below(10) {
                0..=3 => self.world.cut_power(),
                4..=6 => self.world.kill(),
                7 => self.stop()?,
                _ if self.struck_now() > self.struck => self.world.kill(),
                _ => {}
            }
        } else if self.rng.chance(1, 2) {
            self.world.cut_power();
        }
        for disk in &mut self.world.disks {
            disk.faults.clear();
        }
        if !self.world.running() {
            // What was answered before the crash may still arrive: errors of the life that ended stay explained.
            let before = self.history.faults;
            let disk_errors = self.struck_now() > self.struck;
            let full = self.theme == Theme::Full;
            self.history.faults = Faults { disk_errors, full, stuck: false, ..before };
        }
        if self.theme == Theme::Damage && round + 2 >= rounds && (!self.world.running() || self.rng.chance(1, 2)) {
            self.damage();
        }
        Ok(())
    }

    fn damage(&mut self) {
        for _ in 0..self.rng.between(1, 3) {
            let shard = self.rng.below(self.world.shards() as u64) as usize;
            let log = self.rng.chance(3, 4);
            let prefix = if log { "wal-" } else { "checkpoint" };
            if let Some(done) = faults::damage(&mut self.world.disks[shard], &mut self.rng, prefix, log) {
                self.history.faults.damage = true;
                self.world.trail.say(format!("damage on shard {shard}: {done:?}"));
            }
        }
    }

    /// SIGTERM, and what must follow.
    fn stop(&mut self) -> Result<(), Violation> {
        self.world.stop();
        self.history.faults.stuck = true;
        for _ in 0..self.world.shards() {
            match self.phase(30_000)? {
                Ended::Exited => {}
                _ if self.struck_now() > self.struck => {}
                ended => {
                    return Err(Violation::new(
                        Rule::Liveness,
                        format!("the server did not stop within 30 s: {ended:?}"),
                    ));
                }
            }
        }
        if self.rng.chance(1, 2) {
            self.world.cut_power();
        } else {
            self.world.kill();
        }
        self.history.faults.stuck = false;
        Ok(())
    }

    /// The faults end; everything must come to rest, be there, and be there again after one more crash.
    fn end(&mut self) -> Result<bool, Violation> {
        for disk in &mut self.world.disks {
            disk.faults.clear();
            disk.foreign = 0;
            disk.slow = (torc_base::time::Mono(0), 1);
            disk.capacity = disk.capacity.max(1 << 30);
        }
        // The others end what they have begun beside their neighbours, and the log is read beside them.
        for client in self.clients.iter_mut().filter(|client| !client.is_neighbour() && !client.follows()) {
            client.stop();
        }
        if self.struck_now() > self.struck && self.world.running() {
            self.world.kill();
        }
        for audit in 0..2 {
            if !self.world.running() {
                self.boot();
            }
            self.audit(audit)?;
            self.clients.iter_mut().for_each(|client| client.stop());
            if self.exited.is_some() {
                return Ok(true);
            }
            self.check_rest()?;
            if self.rng.chance(1, 2) { self.world.cut_power() } else { self.world.kill() }
        }
        self.znodes.end()?;
        Ok(false)
    }

    /// No client is left: nothing holds receive buffers, and the disk comes to rest.
    fn check_rest(&mut self) -> Result<(), Violation> {
        for client in &self.clients {
            if let Some(link) = client.link() {
                self.world.abort(link);
            }
        }
        // Half-open connections of clients that are gone are given up by the server itself, much later.
        if let Ended::Exited = self.phase(REST_MS)? {
            return self.judge_end(Ended::Exited);
        }
        // The cleaner comes to its end, too, but at its own pace.
        for _ in 0..REST_ROUNDS {
            if self.world.disks.iter().all(|disk| disk.in_flight() == 0) {
                break;
            }
            if let Ended::Exited = self.phase(REST_MS)? {
                return self.judge_end(Ended::Exited);
            }
        }
        for shard in 0..self.world.shards() {
            let (open, held) = (self.world.net.open(), self.world.net.held(shard));
            if open == 0 && held > 0 {
                let text = format!("shard {shard} holds {held} bytes of receive buffers, with no connection open");
                return Err(Violation::new(Rule::Memory, text));
            }
            let memory = self.look(shard).map_or(0, |look| look.memory);
            if open == 0 && memory > 0 {
                let text =
                    format!("requests and answers of shard {shard} take {memory} bytes, with no connection open");
                return Err(Violation::new(Rule::Memory, text));
            }
            let busy = self.world.disks[shard].in_flight();
            if busy > 0 {
                let text = format!("shard {shard} has {busy} disk operations in flight, long after the last request");
                return Err(Violation::new(Rule::Liveness, text));
            }
        }
        Ok(())
    }

    fn audit(&mut self, which: u32) -> Result<(), Violation> {
        if which == 0 {
            let text = format!("were not done {END_MS} ms after the last fault");
            if self.finish(&text)? == Ended::Exited {
                return Ok(());
            }
            let damage = self.history.faults.damage;
            self.history.faults = Faults { damage, ..Faults::default() };
            // Who follows the others has now seen all of what they do.
            self.last_stop = true;
            self.clients.iter_mut().filter(|client| client.follows()).for_each(|client| client.stop());
            if self.finish(&text)? == Ended::Exited {
                return Ok(());
            }
        } else if !self.history.groups.all.is_empty() {
            (0..self.offsets_partitions as i32).for_each(|partition| self.history.ledger.begin_again(partition));
            let mut scribe = Scribe::new(self.offsets_partitions as usize, self.rng.fork());
            scribe.stop();
            self.employ(Box::new(scribe));
        }
        if let Some(auditor) = self.znodes.auditor() {
            self.employ(Box::new(auditor));
        }
        let auditor = Consumer::new(self.rng.fork(), true);
        self.employ(Box::new(auditor));
        self.finish(&format!("did not read the log to its end within {END_MS} ms")).map(|_| ())
    }

    /// Lets everybody come to an end; `late` says what it means if they do not.
    fn finish(&mut self, late: &str) -> Result<Ended, Violation> {
        if self.waiting_for().is_empty() {
            return Ok(Ended::Done);
        }
        let ended = self.phase(END_MS)?;
        self.judge_end(ended)?;
        if ended == Ended::Time && !self.history.faults.damage {
            let busy = self.waiting_for();
            let missing = (0..self.history.groups.all.len()).find_map(|group| self.history.missing(group));
            let missing = missing.map_or_else(String::new, |what| format!("; a group has not got {what}"));
            return Err(Violation::new(Rule::Liveness, format!("clients {busy:?} {late}{missing}")));
        }
        Ok(ended)
    }
}
