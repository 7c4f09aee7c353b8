//! The members of one group, each a client of its own on a thread of its own, and a board on which all see who reads what.

use super::requests::{REBALANCING, passes};
use super::{consumer, requests};
use crate::failure::{Failure, Result, wrong};
use crate::wire::Client;
use kafka_protocol::messages::ConsumerGroupHeartbeatRequest;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};
use torc_base::prng::Prng;
use torc_client::{Assignor, Change, Membership, Patience, TopicPartition};

/// How a group divides its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The classic one with the cooperative-sticky assignor.
    Cooperative,
    /// KIP-848.
    Consumer,
}

impl Protocol {
    pub const ALL: [Protocol; 2] = [Protocol::Cooperative, Protocol::Consumer];

    /// As it stands in names of numbers.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Cooperative => "cooperative",
            Protocol::Consumer => "consumer",
        }
    }
}

/// Partitions for each member, when all are there.
pub const SHARE: usize = 2;
/// Between two looks of a member at its partitions.
const LOOK: Duration = Duration::from_millis(100);
/// Between two heartbeats of a member that has no news: others wait so long for it to hear of theirs.
pub const BEAT: Duration = Duration::from_secs(1);
/// How long a request is tried again whose answer says that this passes.
const PATIENCE: Duration = Duration::from_secs(60);

const STAYS: u8 = 0;
const LEAVES: u8 = 1;
const FALLS_SILENT: u8 = 2;

/// The group.
pub struct Crew {
    pub address: SocketAddr,
    pub protocol: Protocol,
    pub topic: &'static str,
    pub session: Duration,
    pub rebalance: Duration,
    board: Mutex<Board>,
}

/// What all members see.
#[derive(Default)]
struct Board {
    /// Who reads which partition now.
    readers: BTreeMap<i32, u32>,
    /// Members that have all that the group gives them, as far as they know.
    settled: BTreeSet<u32>,
    /// The time between two reads of each member, less what it waits by itself.
    pauses: Vec<Duration>,
    /// Partitions that somebody took up.
    taken_up: u64,
    /// Partitions that were taken up while another member read them.
    doubled: u64,
    failure: Option<String>,
    ended: bool,
}

/// What is seen of a time.
pub struct Figures {
    pub pauses: Vec<Duration>,
    pub taken_up: u64,
    pub doubled: u64,
}

/// A member at work.
pub struct Hand<'scope> {
    order: &'scope AtomicU8,
    thread: ScopedJoinHandle<'scope, ()>,
}

impl Hand<'_> {
    /// Leaves the group, or is heard of no more, and ends.
    pub fn end(self, silently: bool) {
        self.order.store(if silently { FALLS_SILENT } else { LEAVES }, Ordering::Relaxed);
        self.thread.join().expect("a member's thread does not panic");
    }
}

impl Crew {
    pub fn new(address: SocketAddr, protocol: Protocol, topic: &'static str, timeouts: (Duration, Duration)) -> Crew {
        let (session, rebalance) = timeouts;
        Crew { address, protocol, topic, session, rebalance, board: Mutex::default() }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().expect("no thread panics")
    }

    /// Starts a member. `order` is its own, and new.
    pub fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        number: u32,
        order: &'scope AtomicU8,
    ) -> Hand<'scope> {
        order.store(STAYS, Ordering::Relaxed);
        let work = move || {
            if let Err(failure) = self.member(number, order) {
                let failure = format!("member {number} of the {} group: {failure}", self.protocol.name());
                self.board().failure.get_or_insert(failure);
            }
            let mut board = self.board();
            board.readers.retain(|_, reader| *reader != number);
            board.settled.remove(&number);
        };
        Hand { order, thread: scope.spawn(work) }
    }

    /// Everybody goes.
    pub fn end(&self) {
        self.board().ended = true;
    }

    /// Waits until `members` members have all they get, [`SHARE`] partitions each; how long that took.
    ///
    /// # Errors
    /// It takes longer than `limit`, or a member fails.
    pub fn settle(&self, members: u32, limit: Duration) -> Result<Duration> {
        self.wait(limit, |crew| {
            let board = crew.board();
            let mut shares: BTreeMap<u32, usize> = BTreeMap::new();
            board.readers.values().for_each(|reader| *shares.entry(*reader).or_default() += 1);
            let is_level = shares.len() == members as usize && shares.values().all(|share| *share == SHARE);
            is_level && board.settled.len() == members as usize
        })
    }

    /// Waits until something is so; how long that took.
    ///
    /// # Errors
    /// It takes longer than `limit`, or a member fails.
    pub fn wait(&self, limit: Duration, done: impl Fn(&Crew) -> bool) -> Result<Duration> {
        let began = Instant::now();
        while !done(self) {
            let board = self.board();
            if let Some(failure) = &board.failure {
                return wrong(failure.clone());
            }
            if began.elapsed() > limit {
                let (settled, read) = (board.settled.len(), board.readers.len());
                let readers = board.readers.values().collect::<BTreeSet<_>>().len();
                return wrong(format!(
                    "after {limit:?} {read} partitions are read by {readers} members, of which {settled} wait for nothing"
                ));
            }
            drop(board);
            thread::sleep(Duration::from_millis(5));
        }
        Ok(began.elapsed())
    }

    /// True if every one of so many partitions is read.
    pub fn reads_all(&self, partitions: usize) -> bool {
        self.board().readers.len() == partitions
    }

    /// True if the member reads something.
    pub fn reads(&self, number: u32) -> bool {
        self.board().readers.values().any(|reader| *reader == number)
    }

    /// What has been seen since this was asked last.
    pub fn figures(&self) -> Figures {
        let mut board = self.board();
        let taken_up = std::mem::take(&mut board.taken_up);
        Figures { pauses: std::mem::take(&mut board.pauses), taken_up, doubled: std::mem::take(&mut board.doubled) }
    }

    /// One member until it is told to end.
    fn member(&self, number: u32, order: &AtomicU8) -> Result<()> {
        let mut part = self.join(number)?;
        let mut client = Client::connect(self.address)?;
        let mut mine = BTreeSet::new();
        // From its first partitions on it is to read without a pause, as long as it is not told to end.
        let mut last: Option<Instant> = None;
        while order.load(Ordering::Relaxed) == STAYS && !self.board().ended {
            while let Some(change) = part.poll()? {
                self.follow(number, &mut mine, change);
            }
            if part.is_settled() {
                self.board().settled.insert(number);
            } else {
                self.board().settled.remove(&number);
            }
            if !mine.is_empty() {
                let from: Vec<(i32, i64)> = mine.iter().map(|partition| (*partition, 0)).collect();
                let read = client.fetch(self.topic, &from, 1 << 20, 0)?;
                if read.len() != from.len() || read.iter().any(|part| part.error != 0) {
                    return wrong(format!("it reads {from:?} and is told {read:?}"));
                }
                if let Some(last) = last.replace(Instant::now()) {
                    self.board().pauses.push(last.elapsed().saturating_sub(LOOK));
                }
            }
            thread::sleep(LOOK);
        }
        self.board().readers.retain(|_, reader| *reader != number);
        if order.load(Ordering::Relaxed) != FALLS_SILENT {
            part.leave();
        }
        Ok(())
    }

    fn follow(&self, number: u32, mine: &mut BTreeSet<i32>, change: Move) {
        let mut board = self.board();
        for partition in change.given_back {
            board.readers.remove(&partition);
            mine.remove(&partition);
        }
        for partition in change.taken_up {
            let before = board.readers.insert(partition, number);
            board.doubled += u64::from(before.is_some_and(|other| other != number));
            board.taken_up += 1;
            mine.insert(partition);
        }
    }

    fn join(&self, number: u32) -> Result<Part> {
        match self.protocol {
            Protocol::Cooperative => {
                let membership = Membership {
                    address: self.address.to_string(),
                    group: self.topic.to_string(),
                    topic: self.topic.to_string(),
                    assignors: vec![Assignor::CooperativeSticky],
                    session_timeout: self.session,
                    rebalance_timeout: self.rebalance,
                };
                let member = torc_client::Member::new(membership, Patience::new(PATIENCE, || false)).map_err(failed)?;
                Ok(Part::Cooperative(Box::new(member)))
            }
            Protocol::Consumer => {
                let client = requests::connect(self.address, self.topic)?;
                // Ids differ by when and by whom they are made.
                let mut prng = Prng::new(crate::kill::now_ms() as u64 ^ (u64::from(number) << 48));
                let rebalance = self.rebalance.as_millis() as i32;
                let member = consumer::Member::new(self.topic, &[self.topic], rebalance, &mut prng);
                Ok(Part::Consumer { member, client: Box::new(client), beat_at: Instant::now() })
            }
        }
    }
}

/// What somebody is to do before it goes on, in this order.
struct Move {
    given_back: Vec<i32>,
    taken_up: Vec<i32>,
}

/// A member's side of its protocol. When it is dropped it is heard of no more.
enum Part {
    Cooperative(Box<torc_client::Member>),
    Consumer { member: consumer::Member, client: Box<Client>, beat_at: Instant },
}

impl Part {
    fn poll(&mut self) -> Result<Option<Move>> {
        match self {
            Part::Cooperative(member) => {
                let numbers =
                    |places: BTreeSet<TopicPartition>| places.into_iter().map(|place| place.partition).collect();
                match member.poll().map_err(failed)? {
                    None => Ok(None),
                    Some(Change::Assigned(places)) => {
                        Ok(Some(Move { given_back: Vec::new(), taken_up: numbers(places) }))
                    }
                    Some(Change::Revoked(places)) => {
                        Ok(Some(Move { given_back: numbers(places), taken_up: Vec::new() }))
                    }
                    Some(Change::Lost) => wrong("the group has gone on without it"),
                }
            }
            Part::Consumer { member, client, beat_at } => {
                if Instant::now() < *beat_at && !member.has_news() {
                    return Ok(None);
                }
                let answer = client.call(&member.request(), consumer::BEAT)?;
                *beat_at = Instant::now() + BEAT;
                match member.answered(&answer)? {
                    0 => {}
                    code if passes(code) || code == REBALANCING => return Ok(None),
                    code => return wrong(format!("a heartbeat of {:?}: error {code}", member.place())),
                }
                if member.owned == member.given {
                    return Ok(None);
                }
                let numbers =
                    |from: &consumer::Places, to: &consumer::Places| from.difference(to).map(|(_, p)| *p).collect();
                let change = Move {
                    given_back: numbers(&member.owned, &member.given),
                    taken_up: numbers(&member.given, &member.owned),
                };
                member.take_up();
                Ok(Some(change))
            }
        }
    }

    fn is_settled(&self) -> bool {
        match self {
            Part::Cooperative(member) => member.is_settled(),
            Part::Consumer { member, .. } => member.is_settled(),
        }
    }

    fn leave(self) {
        match self {
            Part::Cooperative(member) => member.leave(),
            Part::Consumer { member, mut client, .. } => {
                // If nobody hears it, its session ends.
                let _ = client.call::<ConsumerGroupHeartbeatRequest>(&member.leave_request(), consumer::BEAT);
            }
        }
    }
}

fn failed(error: impl ToString) -> Failure {
    Failure::Wrong(error.to_string())
}
