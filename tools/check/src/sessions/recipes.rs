//! What services do with ZooKeeper, by many clients at once, and whether it came out right: counters by compare-and-set, a lock
//! with fencing, a queue.

use super::znode;
use crate::failure::{Result, wrong};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};
use torc_client::zookeeper::{Done, ZooKeeper, ZooKeeperError, ZooKeeperOptions};
use torc_net::zookeeper::{Change, ErrorCode, Kind};

/// Between two requests: the machine is to have time for elections.
const REST: Duration = Duration::from_millis(3);
/// A waiting queue is not made longer than this.
const QUEUE_MAX: usize = 200;
const COUNTER: &str = "/counter";
const LOCK: &str = "/lock";
const GUARD: &str = "/guard";
const QUEUE: &str = "/queue";

type Asked<T> = std::result::Result<T, ZooKeeperError>;

/// What a client does, over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Counter,
    Lock,
    Producer,
    Consumer,
}

/// When a client was last served, and its longest wait in this round.
#[derive(Default)]
struct Wait {
    last_us: AtomicU64,
    longest_us: AtomicU64,
    served: AtomicU64,
}

/// What all clients share: what was acknowledged, and what may have been done.
pub struct Book {
    servers: String,
    timeout: Duration,
    began: Instant,
    stop: AtomicBool,
    waits: Vec<Wait>,
    failures: Mutex<Vec<String>>,
    /// The newest version of the counter that was acknowledged to anybody.
    newest: AtomicI32,
    counted: Mutex<Counted>,
    queued: Mutex<Queued>,
    locked: AtomicU64,
}

#[derive(Default)]
struct Counted {
    /// Versions that somebody was told to have made.
    acked: BTreeSet<i32>,
    /// Versions that somebody may have made.
    maybe: BTreeSet<i32>,
}

#[derive(Default)]
struct Queued {
    acked: BTreeSet<u64>,
    maybe: BTreeSet<u64>,
    taken: BTreeSet<u64>,
    maybe_taken: BTreeSet<u64>,
}

/// What was done in all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    pub counted: u64,
    pub locked: u64,
    pub queued: u64,
}

impl Book {
    pub fn new(servers: &str, timeout: Duration, clients: usize) -> Book {
        Book {
            servers: servers.to_string(),
            timeout,
            began: Instant::now(),
            stop: AtomicBool::new(false),
            waits: (0..clients).map(|_| Wait::default()).collect(),
            failures: Mutex::default(),
            newest: AtomicI32::new(0),
            counted: Mutex::default(),
            queued: Mutex::default(),
            locked: AtomicU64::new(0),
        }
    }

    /// The znodes that all work on.
    pub fn prepare(&self, client: &mut ZooKeeper) -> Result<()> {
        for (path, data) in [(COUNTER, "0"), (LOCK, ""), (GUARD, "0"), (QUEUE, "")] {
            client.create(&znode(path, data.as_bytes(), Kind::Persistent))?;
        }
        Ok(())
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The first thing that went wrong, if anything did.
    pub fn check(&self) -> Result<()> {
        match self.failures.lock().expect("no client panics").first() {
            Some(failure) => wrong(failure.clone()),
            None => Ok(()),
        }
    }

    fn fail(&self, what: String) {
        self.failures.lock().expect("no client panics").push(what);
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().expect("no client panics")
    }

    fn queued(&self) -> MutexGuard<'_, Queued> {
        self.queued.lock().expect("no client panics")
    }

    fn now_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    fn served(&self, client: usize) {
        let (now, wait) = (self.now_us(), &self.waits[client]);
        let last = wait.last_us.swap(now, Ordering::Relaxed);
        wait.longest_us.fetch_max(now.saturating_sub(last), Ordering::Relaxed);
        wait.served.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits count from here on.
    pub fn begin_round(&self) {
        self.waits.iter().for_each(|wait| wait.longest_us.store(0, Ordering::Relaxed));
    }

    /// How often each was served.
    pub fn marks(&self) -> Vec<u64> {
        self.waits.iter().map(|wait| wait.served.load(Ordering::Relaxed)).collect()
    }

    /// The longest wait of each in this round.
    pub fn longest(&self) -> Vec<Duration> {
        self.waits.iter().map(|wait| Duration::from_micros(wait.longest_us.load(Ordering::Relaxed))).collect()
    }

    pub fn sums(&self) -> Sums {
        Sums {
            counted: self.counted().acked.len() as u64,
            locked: self.locked.load(Ordering::Relaxed),
            queued: self.queued().taken.len() as u64,
        }
    }

    /// Works as client number `number` until it is told to stop, or finds that something is wrong.
    pub fn work(&self, number: usize, role: Role) {
        while !self.is_stopping() {
            let options = ZooKeeperOptions { timeout: self.timeout, auths: Vec::new() };
            let Ok(mut client) = ZooKeeper::connect(&self.servers, options) else {
                thread::sleep(REST * 10);
                continue;
            };
            let mut hand = Hand { book: self, number, client: &mut client, seen: 0, tries: 0 };
            let ended = hand.until_the_session_ends(role);
            match ended {
                Ok(()) | Err(ZooKeeperError::Expired { .. }) => {}
                Err(error) => {
                    self.fail(format!("{role:?} {number}: {error}"));
                    return;
                }
            }
        }
    }

    /// What must hold when nobody works any more.
    pub fn settle(&self, client: &mut ZooKeeper) -> Result<()> {
        self.check()?;
        client.sync()?;
        let (data, stat) = client.get(COUNTER)?;
        let counted = self.counted();
        if number(&data) != i64::from(stat.version) {
            return wrong(format!("the counter holds {} in version {}", number(&data), stat.version));
        }
        if let Some(lost) = counted.acked.iter().find(|version| **version > stat.version) {
            return wrong(format!("version {lost} of the counter was acknowledged, and it is at {}", stat.version));
        }
        let is_known = |version: &i32| counted.acked.contains(version) || counted.maybe.contains(version);
        if let Some(invented) = (1..=stat.version).find(|version| !is_known(version)) {
            return wrong(format!("version {invented} of the counter is nobody's"));
        }
        let mut left = BTreeSet::new();
        for name in client.children(QUEUE)?.0 {
            left.insert(number(&client.get(&format!("{QUEUE}/{name}"))?.0) as u64);
        }
        let queued = self.queued();
        let is_somewhere = |id: &u64| queued.taken.contains(id) || queued.maybe_taken.contains(id) || left.contains(id);
        if let Some(lost) = queued.acked.iter().find(|id| !is_somewhere(id)) {
            return wrong(format!("{lost} was put into the queue and is nowhere"));
        }
        if let Some(twice) = left.intersection(&queued.taken).next() {
            return wrong(format!("{twice} was taken out of the queue and is still there"));
        }
        let was_put = |id: &&u64| queued.acked.contains(id) || queued.maybe.contains(id);
        match left.union(&queued.taken).find(|id| !was_put(id)) {
            Some(invented) => wrong(format!("{invented} is in the queue, and nobody put it there")),
            None => Ok(()),
        }
    }
}

/// A client at work, in one session.
struct Hand<'a> {
    book: &'a Book,
    number: usize,
    client: &'a mut ZooKeeper,
    /// The newest version of the counter that this session has seen.
    seen: i32,
    tries: u64,
}

impl Hand<'_> {
    fn until_the_session_ends(&mut self, role: Role) -> Asked<()> {
        while !self.book.is_stopping() {
            self.tries += 1;
            let done = match role {
                Role::Counter => self.count(),
                Role::Lock => self.lock(),
                Role::Producer => self.put(),
                Role::Consumer => self.take(),
            };
            match done {
                Ok(()) => {}
                // Whoever asked has noted that it may have been done.
                Err(ZooKeeperError::Lost { .. } | ZooKeeperError::Connect { .. }) => {}
                Err(error) => return Err(error),
            }
            thread::sleep(REST);
        }
        // Who is not answered at the end leaves its znodes to its timeout.
        let _ = self.client.end();
        Ok(())
    }

    fn served(&self) {
        self.book.served(self.number);
    }

    /// Reads the counter, and writes one more if nobody else has.
    fn count(&mut self) -> Asked<()> {
        let synced = self.tries.is_multiple_of(4);
        let floor = self.book.newest.load(Ordering::SeqCst);
        if synced {
            self.client.sync()?;
        }
        let (data, stat) = self.client.get(COUNTER)?;
        let what = if number(&data) != i64::from(stat.version) {
            Some(format!("the counter holds {} in version {}", number(&data), stat.version))
        } else if stat.version < self.seen {
            Some(format!("a session saw version {} of the counter after {}", stat.version, self.seen))
        } else if synced && stat.version < floor {
            Some(format!("version {} was read after a sync, and {floor} had been acknowledged", stat.version))
        } else {
            None
        };
        if let Some(what) = what {
            self.book.fail(what);
        }
        self.seen = stat.version;
        let next = stat.version + 1;
        match self.client.set(COUNTER, next.to_string().as_bytes(), stat.version) {
            Ok(written) => {
                if written.version != next || !self.book.counted().acked.insert(next) {
                    self.book.fail(format!("version {next} of the counter was made twice, or as {}", written.version));
                }
                self.book.newest.fetch_max(next, Ordering::SeqCst);
                self.seen = next;
            }
            Err(error) if error.code() == Some(ErrorCode::BadVersion) => {}
            Err(error) => {
                self.book.counted().maybe.insert(next);
                return Err(error);
            }
        }
        self.served();
        Ok(())
    }

    /// Takes the lock in its turn, writes what it guards, gives it back.
    fn lock(&mut self) -> Asked<()> {
        let id = format!("{:04}-{:08x}-", self.number, self.tries);
        // Whether it was made, the names tell.
        let made = self.client.create(&znode(&format!("{LOCK}/{id}"), b"", Kind::Ephemeral));
        if let Err(error) = made
            && !matches!(error, ZooKeeperError::Lost { .. })
        {
            return Err(error);
        }
        while !self.book.is_stopping() {
            // Whoever was not answered may be told of names from before it asked.
            self.client.sync()?;
            let mut names = self.client.children(LOCK)?.0;
            names.sort_by_key(|name| name[name.len().saturating_sub(10)..].to_string());
            let Some(mine) = names.iter().find(|name| name.starts_with(&id)) else { return Ok(()) };
            if names.first() == Some(mine) {
                return self.guarded(&format!("{LOCK}/{mine}"));
            }
            thread::sleep(REST * 2);
        }
        Ok(())
    }

    /// Has the lock, by the znode `mine`.
    fn guarded(&mut self, mine: &str) -> Asked<()> {
        let Some(token) = self.client.exists(mine)?.map(|stat| stat.czxid) else { return Ok(()) };
        let (data, stat) = self.client.get(GUARD)?;
        let last = number(&data);
        let text = token.to_string();
        let done = self.client.multi(&[Change::Check(mine, 0), Change::SetData(GUARD, text.as_bytes(), stat.version)]);
        match done {
            Ok(done) => match done[..] {
                [Done::Failed(_), Done::Failed(code)] if code == ErrorCode::BadVersion as i32 => {
                    self.book.fail(format!("{mine} has the lock, and somebody else wrote what it guards"));
                }
                // The session ended meanwhile, and the lock with it.
                [Done::Failed(_), _] => {}
                _ if last > token => self.book.fail(format!("the lock went from {last:#x} back to {token:#x}")),
                _ => {
                    self.book.locked.fetch_add(1, Ordering::Relaxed);
                }
            },
            Err(ZooKeeperError::Lost { .. }) => {}
            Err(error) => return Err(error),
        }
        match self.client.delete(mine, -1) {
            Ok(()) => self.served(),
            // A write that was not answered is made again until it is: else the others would wait for the whole session.
            Err(ZooKeeperError::Lost { .. }) => match self.client.delete(mine, -1) {
                Err(error) if error.code() != Some(ErrorCode::NoNode) => return Err(error),
                _ => {}
            },
            Err(error) if error.code() == Some(ErrorCode::NoNode) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn put(&mut self) -> Asked<()> {
        if self.client.children(QUEUE)?.0.len() >= QUEUE_MAX {
            self.served();
            return Ok(());
        }
        // Of this client and this session alone.
        let id = ((self.client.session() as u64) << 20) ^ ((self.number as u64) << 56) ^ self.tries;
        let text = (id as i64).to_string();
        match self.client.create(&znode(&format!("{QUEUE}/q-"), text.as_bytes(), Kind::Persistent)) {
            Ok(_) => {
                self.book.queued().acked.insert(id);
                self.served();
                Ok(())
            }
            Err(error) => {
                self.book.queued().maybe.insert(id);
                Err(error)
            }
        }
    }

    fn take(&mut self) -> Asked<()> {
        let names = self.client.children(QUEUE)?.0;
        let Some(name) = names.first() else {
            self.served();
            return Ok(());
        };
        let path = format!("{QUEUE}/{name}");
        let none = |error: &ZooKeeperError| error.code() == Some(ErrorCode::NoNode);
        let id = match self.client.get(&path) {
            Ok((data, _)) => number(&data) as u64,
            Err(error) if none(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        match self.client.delete(&path, -1) {
            Ok(()) => {
                if !self.book.queued().taken.insert(id) {
                    self.book.fail(format!("{id} was taken out of the queue twice"));
                }
                self.served();
                Ok(())
            }
            Err(error) if none(&error) => Ok(()),
            Err(error) => {
                self.book.queued().maybe_taken.insert(id);
                Err(error)
            }
        }
    }
}

fn number(data: &[u8]) -> i64 {
    std::str::from_utf8(data).ok().and_then(|text| text.parse().ok()).unwrap_or(i64::MIN)
}

/// What each of so many clients does.
pub fn roles(clients: usize) -> Vec<Role> {
    let all = [Role::Counter, Role::Counter, Role::Lock, Role::Lock, Role::Producer, Role::Consumer];
    all.into_iter().cycle().take(clients).collect()
}
