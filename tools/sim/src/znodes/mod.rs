//! ZooKeeper's clients, and what must be true of all that they are told.
//!
//! - Changes have one order, that of their zxids: all that anybody reads, anywhere, fits into one history, and what was
//!   answered before something was asked comes before it ([`annals`], [`line`]).
//! - What a session is told of never goes back, whichever node it is served by ([`client`]).
//! - Watches are told of every change once, before anything that the change made can be seen, and of nothing else ([`watching`]).
//! - Ephemeral znodes are there as long as their session, and no longer; a client whose session is gone is told so, and only
//!   when nobody heard of it for its whole timeout.
//! - Two hold a lock at once only if the first one's session is gone, and then its writes are refused ([`lock`]).
//! - Nodes that have applied the same changes have the same tree.
//! - When no fault is in play any more, everybody is served and every request is answered.

mod annals;
mod asked;
mod client;
mod line;
mod load;
mod lock;
mod watching;

pub use client::Client;

use crate::violation::{Rule, Violation};
use annals::Annals;
use asked::{Do, Op};
use std::cell::RefCell;
use std::rc::Rc;
use torc_base::ids::ListenerId;
use torc_base::prng::Prng;

/// Znodes that all clients make first.
const SETUP: [&str; 16] = [
    "/t", "/t/c", "/t/r", "/t/q", "/t/e", "/t/b", "/t/x", "/t/l", "/t/m", GUARD, "/t/c/0", "/t/c/1", "/t/c/2", PAIR[0],
    PAIR[1], "/t/r/0",
];
/// Those whose children are looked at.
const PARENTS: [&str; 8] = ["/t/c", "/t/r", "/t/q", "/t/e", "/t/b", "/t/x", "/t/l", "/t/m"];
const COUNTERS: &str = "/t/c";
const REGISTERS: &str = "/t/r";
/// Containers, and znodes with a time to live.
const CONTAINERS: &str = "/t/b";
const MORTALS: &str = "/t/x";
const PAIR: [&str; 2] = ["/t/m/a", "/t/m/b"];
const LOCK: &str = "/t/l";
/// What is written under the lock alone.
const GUARD: &str = "/t/g";

/// What all clients of a run share.
type Shared = Rc<RefCell<Annals>>;

/// How a client works.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    pub listener: ListenerId,
    pub timeout_ms: u64,
    /// From where to where it may be another one on another connection.
    pub timeouts_ms: (u64, u64),
    /// Requests without answers.
    pub in_flight: usize,
    /// Longest pause between requests, nanoseconds.
    pub pause: u64,
    /// It waits for answers for longer than real ones do.
    pub is_patient: bool,
}

/// The clients of a run, and what they know together. It follows from the seed, but from a part of it that nothing else uses.
pub struct Znodes {
    rng: Prng,
    listener: ListenerId,
    timeouts_ms: (u64, u64),
    clients: u64,
    /// What sessions' deadlines are rounded to, milliseconds.
    tick_ms: u64,
    shared: Shared,
}

/// What clients saw of the tree, for the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Changes that were acknowledged.
    pub written: u64,
    /// Znodes seen and compared.
    pub read: u64,
    /// Events.
    pub events: u64,
    /// Sessions that were said to be gone.
    pub expired: u64,
    /// Locks that were held.
    pub held: u64,
}

impl Znodes {
    /// One in `of` runs has clients of ZooKeeper, at that listener; 0: none has. `timeouts_ms`: from where to where those of
    /// sessions go.
    pub fn new(seed: u64, of: u64, listener: ListenerId, timeouts_ms: (u64, u64)) -> Znodes {
        let mut rng = Prng::new(seed ^ 0x2002_7a6b_0000_0001);
        let clients = if of > 0 && rng.chance(1, of) { rng.between(2, 5) } else { 0 };
        let tick_ms = [50, 200, 500][rng.below(3) as usize];
        Znodes { rng, listener, timeouts_ms, clients, tick_ms, shared: Shared::default() }
    }

    /// True if there are any.
    pub fn has_clients(&self) -> bool {
        self.clients > 0
    }

    /// What a server is to round sessions' deadlines to; `None`: it is to serve nobody.
    pub fn tick_ms(&self) -> Option<u64> {
        self.has_clients().then_some(self.tick_ms)
    }

    fn ways(&mut self) -> Ways {
        let rng = &mut self.rng;
        Ways {
            listener: self.listener,
            timeout_ms: rng.between(self.timeouts_ms.0, self.timeouts_ms.1),
            timeouts_ms: self.timeouts_ms,
            in_flight: [1, 4, 8][rng.below(3) as usize],
            pause: rng.between(4, 40) * crate::world::MS,
            is_patient: rng.chance(1, 4),
        }
    }

    /// The clients of the run.
    pub fn hire(&mut self) -> Vec<Client> {
        (0..self.clients).map(|_| Client::new(self.ways(), self.rng.fork(), self.shared.clone())).collect()
    }

    /// One that reads everything; `None` if nobody wrote anything.
    pub fn auditor(&mut self) -> Option<Client> {
        self.has_clients().then(|| Client::auditor(self.ways(), self.rng.fork(), self.shared.clone()))
    }

    /// Room lacks on some disk, or a log has taken nothing more.
    pub fn lacks_room(&self) {
        self.shared.borrow_mut().lacks_room = true;
    }

    /// A node has applied all changes through that zxid, and this stands for its tree.
    pub fn tree(&self, node: usize, (at, digest): (i64, u64)) -> Result<(), Violation> {
        self.shared.borrow_mut().digest(node, at, digest)
    }

    /// Nobody asks anything any more.
    pub fn end(&self) -> Result<(), Violation> {
        self.shared.borrow_mut().end()
    }

    pub fn sums(&self) -> Sums {
        let annals = self.shared.borrow();
        let Annals { written, read, events, expired, held, .. } = *annals;
        Sums { written, read, events, expired, held }
    }
}

/// Errors that a client meets which changes what others change, too.
fn explain(annals: &Annals, ops: &[Op], error: i32) -> Result<(), Violation> {
    const NO_NODE: i32 = -101;
    const BAD_VERSION: i32 = -103;
    const EXISTS: i32 = -110;
    const NOT_EMPTY: i32 = -111;
    const EXPIRED: i32 = -112;
    const NO_ROOM: i32 = -125;
    let may = |op: &Op| match (op.what, error) {
        (_, NO_NODE) => true,
        (Do::Make { .. }, EXISTS) | (Do::Delete, NOT_EMPTY) => true,
        (Do::Set | Do::Delete | Do::Check, BAD_VERSION) => op.version >= 0,
        _ => false,
    };
    if ops.iter().any(may) || error == EXPIRED || error == NO_ROOM && annals.lacks_room {
        return Ok(());
    }
    Err(Violation::new(Rule::ExpectedErrors, format!("{ops:?} was answered with error {error}")))
}
