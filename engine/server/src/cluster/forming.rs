//! How servers whose disks are empty become a cluster, before anything of them runs.
//!
//! Each asks all others again and again, says who it is, and answers what it is asked. When the one with the lowest number has
//! heard all others, all of them empty and started with the same list, it draws the cluster's id and writes down which disks
//! were there: the record of the founding. It tells it when it is durable. The others take it, from it or from whoever has it.
//!
//! An empty disk that hears of a record without it is new in an old cluster: what the server knew is lost, so that it must
//! not vote as if it had never promised anything. Its number was durable before it was told, so that a server that is only
//! killed meanwhile is no such one.

use super::wire::{self, Form, Speaker};
use super::{Founding, Member, Members};
use crate::data_dir::{self, DataDirError};
use crate::endpoint::Endpoint;
use crate::machine;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const CONNECT_TIME: Duration = Duration::from_millis(500);
/// Until a question has its answer. Whoever is asked may first ask somebody else.
pub(super) const ANSWER_TIME: Duration = Duration::from_millis(1500);
/// Between two rounds of questions, from the first to the last of a long wait.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));
/// How often somebody who waits says so again, with more words.
pub(super) const TELL_AGAIN: Duration = Duration::from_secs(10);
/// How long a server that is refused goes on to answer, so that the others hear why.
const LINGER: Duration = Duration::from_secs(1);
/// Questions that are answered at once; more are closed.
const CALLERS_MAX: usize = 64;
/// Starts of servers that are remembered.
const STARTS_MAX: usize = 1024;
/// Servers that are asked at once.
const ASKED_AT_ONCE: usize = 16;
/// Between two looks of the thread that accepts whether it is still wanted.
const ACCEPT_LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Tells somebody a line.
pub type Teller = Arc<dyn Fn(&str) + Send + Sync>;

/// A server that is to be of a cluster.
pub struct Former {
    /// Its number, and what it drew at this start.
    pub me: Speaker,
    /// The number of its disk, durable.
    pub disk: u128,
    /// It is one of them.
    pub members: Members,
    /// Gets a line about whom it waits for.
    pub tell: Teller,
    /// Gets a line about whom it refuses.
    pub warn: Teller,
}

/// Why there is no cluster.
#[derive(Debug)]
pub enum FormError {
    /// These servers cannot be one: why, and what to do.
    Refused(String),
    /// The record cannot be kept.
    Keep(DataDirError),
    /// The operating system refused `what`.
    Io { what: &'static str, error: io::Error },
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormError::Refused(why) => f.write_str(why),
            FormError::Keep(error) => error.fmt(f),
            FormError::Io { what, error } => write!(f, "cannot {what}: {error}"),
        }
    }
}

impl std::error::Error for FormError {}

/// How it ended.
#[derive(Debug)]
pub enum Formed {
    /// There is a cluster, and its record is kept.
    Founded(Founding),
    /// It was told to stop before.
    Stopped,
}

/// Waits for the others. `keep` makes the record durable; it is called once at most, before anybody is told. Others ask on
/// `listeners`, which are not closed. `stopped` is asked some times a second.
pub fn form(
    former: Former,
    listeners: &[TcpListener],
    keep: impl FnOnce(&Founding) -> Result<(), DataDirError>,
    stopped: &dyn Fn() -> bool,
) -> Result<Formed, FormError> {
    let table =
        Arc::new(Table { former, state: Mutex::default(), woken: Condvar::new(), callers: AtomicUsize::new(0) });
    let door = Door::open(Arc::clone(&table), listeners)?;
    let result = table.until_founded(keep, stopped);
    if let Err(FormError::Refused(_)) = &result {
        let until = Instant::now() + LINGER;
        while Instant::now() < until && !stopped() {
            thread::sleep(PAUSES.0);
        }
    }
    door.close().and(result)
}

/// What the threads of a server know together.
struct Table {
    former: Former,
    state: Mutex<State>,
    /// Somebody has told something that changes what is done next.
    woken: Condvar,
    /// Threads that answer.
    callers: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// Kept; from then on it is the answer to every question.
    founding: Option<Founding>,
    /// Told by a server, and not looked at yet.
    told: Option<(Speaker, Founding)>,
    /// Why this server cannot go on, as found by one that answers.
    verdict: Option<String>,
    /// Those of whom it is known that they answer at the address of their number, and those that were refused.
    known: BTreeSet<(u32, u64)>,
    refused: BTreeSet<(u32, u64)>,
}

/// What a round of questions brought.
#[derive(Default)]
struct Round {
    /// Disks of those that are as empty as this one.
    fresh: BTreeMap<u32, u128>,
    founded: Vec<(u32, Founding)>,
    /// Servers that did not answer, and why.
    missing: Vec<(u32, String)>,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn until_founded(
        &self,
        keep: impl FnOnce(&Founding) -> Result<(), DataDirError>,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Formed, FormError> {
        let (mut progress, mut pause) = (Progress::default(), PAUSES.0);
        let founding = loop {
            if stopped() {
                return Ok(Formed::Stopped);
            }
            let mut round = self.ask_all().map_err(FormError::Refused)?;
            {
                let mut state = self.lock();
                if let Some(verdict) = state.verdict.take() {
                    return Err(FormError::Refused(verdict));
                }
                round.founded.extend(state.told.take().map(|(from, founding)| (from.node, founding)));
            }
            if let Some(founding) = self.agreed(&round).map_err(FormError::Refused)? {
                break founding;
            }
            if self.former.me.node == self.former.members.founder() && round.missing.is_empty() {
                break self.draw(round.fresh)?;
            }
            if let Some(line) = progress.line(&self.former.members, &round.missing, Instant::now()) {
                (self.former.tell)(&line);
            }
            self.wait(pause);
            pause = (pause * 2).min(PAUSES.1);
        };
        keep(&founding).map_err(FormError::Keep)?;
        self.lock().founding = Some(founding.clone());
        if self.former.me.node == self.former.members.founder() {
            // Whoever does not hear it now hears it when it asks.
            self.ask_each(self.former.members.others(self.former.me.node), &Form::Founded(founding.clone()));
        }
        Ok(Formed::Founded(founding))
    }

    fn wait(&self, pause: Duration) {
        let nothing = |state: &mut State| state.told.is_none() && state.verdict.is_none();
        drop(self.woken.wait_timeout_while(self.lock(), pause, nothing).unwrap_or_else(PoisonError::into_inner));
    }

    fn fresh(&self) -> Form {
        Form::Fresh { disk: self.former.disk, members: self.former.members.clone() }
    }

    /// Asks all servers once, this one too: another process may sit at its address. An error is final.
    fn ask_all(&self) -> Result<Round, String> {
        let mut round = Round::default();
        for (member, answer) in self.ask_each(self.former.members.iter(), &self.fresh()) {
            match answer {
                Ok((from, form)) => self.take(member, from, form, &mut round)?,
                Err(_) if member.node == self.former.me.node => {}
                Err(error) => round.missing.push((member.node, why(&error))),
            }
        }
        Ok(round)
    }

    /// Puts one question to each, some at once; answers come in the order of the servers.
    fn ask_each<'a>(&self, members: impl Iterator<Item = &'a Member>, form: &Form) -> Vec<(&'a Member, Answer)> {
        let members: Vec<&Member> = members.collect();
        let me = self.former.me;
        let mut answers = Vec::new();
        for some in members.chunks(ASKED_AT_ONCE) {
            thread::scope(|scope| {
                let ask = |member: &'a Member| scope.spawn(move || ask(&member.address, me, form));
                let asking: Vec<_> = some.iter().map(|member| ask(member)).collect();
                let joined = asking.into_iter().map(|thread| thread.join().expect("who asks does not panic"));
                answers.extend(some.iter().copied().zip(joined));
            });
        }
        answers
    }

    /// Takes in what a server answered at the address of `member`.
    fn take(&self, member: &Member, from: Speaker, form: Form, round: &mut Round) -> Result<(), String> {
        let (me, Member { node, address }) = (self.former.me, member);
        if *node == me.node && from == me {
            return Ok(());
        }
        if *node == me.node && from.node == me.node {
            return Err(format!(
                "another server with node.id {node} answers at {address}: stop one of the two, or give each a number of its own"
            ));
        }
        if from.node != *node {
            return Err(format!(
                "server {} answers at {address}, which torc.peers gives to server {node}: correct torc.peers on all servers",
                from.node
            ));
        }
        match form {
            Form::Fresh { members, .. } if members != self.former.members => {
                Err(other_list(&format!("server {node} at {address}"), &members, &self.former.members))
            }
            Form::Fresh { disk, .. } => {
                round.fresh.insert(*node, disk);
                Ok(())
            }
            Form::Founded(founding) => {
                round.founded.push((*node, founding));
                Ok(())
            }
            Form::Refused(why) => Err(format!("server {node} at {address} refuses this one: {why}")),
            Form::Who => {
                round.missing.push((*node, "it answers with a question".to_string()));
                Ok(())
            }
        }
    }

    /// The record that servers told of, if any did. All tell of the same one.
    fn agreed(&self, round: &Round) -> Result<Option<Founding>, String> {
        let Some((node, founding)) = round.founded.first() else { return Ok(None) };
        if let Some((other, _)) = round.founded.iter().find(|(_, other)| other.cluster != founding.cluster) {
            return Err(format!(
                "servers {node} and {other} are of different clusters: torc.peers must name the servers of one cluster"
            ));
        }
        if founding.members != self.former.members {
            let who = format!("the cluster of server {node}");
            return Err(other_list(&who, &founding.members, &self.former.members));
        }
        Ok(Some(founding.clone()))
    }

    /// A new cluster of this disk and all that it has heard of.
    fn draw(&self, mut founders: BTreeMap<u32, u128>) -> Result<Founding, FormError> {
        let random = machine::random().map_err(|error| FormError::Io { what: "get randomness", error })?;
        founders.insert(self.former.me.node, self.former.disk);
        let members = self.former.members.clone();
        Ok(Founding { cluster: data_dir::cluster_number(random), members, founders })
    }

    /// Answers a question that came from `caller`.
    fn answer(&self, caller: &str, from: Speaker, form: Form) -> Form {
        let me = self.former.me;
        if from.node == me.node && from != me {
            let why = format!("node.id {} is taken: give each server a number of its own", me.node);
            return self.refuse(caller, from, why);
        }
        match form {
            Form::Fresh { members, .. } if self.lock().founding.is_none() && from != me => {
                if members != self.former.members {
                    let why = other_list(&format!("server {}", me.node), &self.former.members, &members);
                    let verdict =
                        other_list(&format!("server {} ({caller})", from.node), &members, &self.former.members);
                    self.lock().verdict = Some(verdict);
                    self.woken.notify_all();
                    return self.refuse(caller, from, why);
                }
                if let Some(address) = self.taken(from) {
                    let why = format!(
                        "node.id {} is taken: another server answers at {address}; give each server a number of its own",
                        from.node
                    );
                    return self.refuse(caller, from, why);
                }
            }
            Form::Founded(founding) if from.node != me.node => {
                self.lock().told = Some((from, founding));
                self.woken.notify_all();
            }
            _ => {}
        }
        self.lock().founding.clone().map_or_else(|| self.fresh(), Form::Founded)
    }

    fn refuse(&self, caller: &str, from: Speaker, why: String) -> Form {
        if remember(&mut self.lock().refused, from) {
            (self.former.warn)(&format!("a server with node.id {} ({caller}) is refused: {why}", from.node));
        }
        Form::Refused(why)
    }

    /// Where another process answers under the number of `from`. A start is looked up once.
    fn taken(&self, from: Speaker) -> Option<Endpoint> {
        let known = (from.node, from.start);
        if self.lock().known.contains(&known) {
            return None;
        }
        let address = self.former.members.address(from.node)?;
        match ask(address, self.former.me, &Form::Who) {
            Ok((there, _)) if there == from => drop(remember(&mut self.lock().known, from)),
            Ok((there, _)) if there.node == from.node => return Some(address.clone()),
            // Who is not there, or somebody else, takes nobody's place.
            Ok(_) | Err(_) => {}
        }
        None
    }
}

/// False if it was known. Strangers who come again and again do not fill memory: then all are forgotten.
fn remember(starts: &mut BTreeSet<(u32, u64)>, who: Speaker) -> bool {
    if starts.len() >= STARTS_MAX {
        starts.clear();
    }
    starts.insert((who.node, who.start))
}

fn other_list(who: &str, theirs: &Members, mine: &Members) -> String {
    format!("{who} has torc.peers={theirs}, this one {mine}: start all servers with the same list")
}

/// What somebody says when it is asked.
type Answer = io::Result<(Speaker, Form)>;

/// Puts one question.
fn ask(address: &Endpoint, me: Speaker, form: &Form) -> Answer {
    let mut stream = TcpStream::connect_timeout(&address.resolve()?, CONNECT_TIME)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIME))?;
    stream.set_write_timeout(Some(ANSWER_TIME))?;
    wire::send(&mut stream, me, form)?;
    let unwilling = || io::Error::other("it does not speak of its cluster yet");
    wire::receive(&mut stream)?.ok_or_else(unwilling)
}

/// Why there was no answer, for people.
pub(super) fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer".to_string(),
        io::ErrorKind::UnexpectedEof => "it closed the connection".to_string(),
        _ => error.to_string(),
    }
}

/// What is told of the waiting, and when.
#[derive(Default)]
struct Progress {
    last: Option<(Vec<u32>, Instant)>,
}

impl Progress {
    /// The next line, if there is something new, or nothing was said for long.
    fn line(&mut self, members: &Members, missing: &[(u32, String)], now: Instant) -> Option<String> {
        let nodes: Vec<u32> = missing.iter().map(|(node, _)| *node).collect();
        let again = match &self.last {
            Some((before, at)) if *before == nodes => {
                if now.duration_since(*at) < TELL_AGAIN {
                    return None;
                }
                true
            }
            _ => false,
        };
        // The founder writes its record at this moment.
        let only_founder = nodes.is_empty() && self.last.is_none();
        self.last = Some((nodes.clone(), now));
        if only_founder {
            return None;
        }
        let of = members.len();
        let mut line = match &nodes[..] {
            [] => format!("all {of} nodes are there: waiting for node {} to found the cluster", members.founder()),
            [node] => format!("waiting for node {node} of {of}"),
            [some @ .., last] => {
                let some: Vec<String> = some.iter().map(u32::to_string).collect();
                format!("waiting for nodes {} and {last} of {of}", some.join(", "))
            }
        };
        if again {
            for (node, why) in missing {
                let address = members.address(*node).expect("it is one of them");
                line += &format!("\nnode {node} at {address}: {why}");
            }
        }
        Some(line)
    }
}

/// The thread that takes questions.
struct Door {
    closed: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
    listeners: Vec<TcpListener>,
}

impl Door {
    fn open(table: Arc<Table>, listeners: &[TcpListener]) -> Result<Door, FormError> {
        let copy = |listener: &TcpListener| {
            // One that is gone again when it is accepted must not hold up the others.
            listener.set_nonblocking(true)?;
            listener.try_clone()
        };
        let copies = || listeners.iter().map(copy).collect::<io::Result<Vec<TcpListener>>>();
        let failed = |error| FormError::Io { what: "listen for other servers", error };
        let (accepting, kept) = (copies().map_err(failed)?, copies().map_err(failed)?);
        let closed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&closed);
        let builder = thread::Builder::new().name("forming".to_string());
        let thread = builder.spawn(move || accept(&table, &accepting, &seen)).map_err(failed)?;
        Ok(Door { closed, thread, listeners: kept })
    }

    /// The listeners are as they were before.
    fn close(self) -> Result<(), FormError> {
        self.closed.store(true, Ordering::Relaxed);
        self.thread.join().expect("the thread that accepts does not panic");
        let back = self.listeners.iter().try_for_each(|listener| listener.set_nonblocking(false));
        back.map_err(|error| FormError::Io { what: "go on to listen for other servers", error })
    }
}

fn accept(table: &Arc<Table>, listeners: &[TcpListener], closed: &AtomicBool) {
    while !closed.load(Ordering::Relaxed) {
        let mut polled: Vec<PollFd<'_>> = listeners.iter().map(|l| PollFd::new(l, PollFlags::IN)).collect();
        if poll(&mut polled, Some(&ACCEPT_LOOK)).is_err() {
            thread::sleep(PAUSES.0);
        }
        for (stream, caller) in listeners.iter().filter_map(|listener| listener.accept().ok()) {
            if table.callers.fetch_add(1, Ordering::Relaxed) >= CALLERS_MAX {
                table.callers.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let counted = Caller(Arc::clone(table));
            // Without a thread the connection is closed, and whoever asked asks again.
            let _ = thread::Builder::new().name("forming".to_string()).spawn(move || counted.serve(stream, caller));
        }
    }
}

/// Somebody who asks, counted.
struct Caller(Arc<Table>);

impl Caller {
    /// One question and its answer. Whoever says nothing sound gets none.
    fn serve(&self, mut stream: TcpStream, caller: SocketAddr) {
        let mut serve = || {
            stream.set_nonblocking(false)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_TIME))?;
            stream.set_write_timeout(Some(ANSWER_TIME))?;
            match wire::receive(&mut stream)? {
                Some((from, form)) => {
                    let answer = self.0.answer(&caller.ip().to_string(), from, form);
                    wire::send(&mut stream, self.0.former.me, &answer)
                }
                None => wire::send_not_ready(&mut stream),
            }
        };
        let _: io::Result<()> = serve();
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.callers.fetch_sub(1, Ordering::Relaxed);
    }
}
