//! The session: it survives its connections.

use super::error::ZooKeeperError;
use super::wire::{Wire, handshake};
use crate::client::{Times, open};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::{Duration, Instant};
use torc_base::malformed::Malformed;
use torc_net::zookeeper::{
    AddMode, Answer, Ask, Came, Change, Connect, ErrorCode, EventKind, New, OwnedAcl, Session, Stat, WatcherType, xid,
};

/// Frames of one write, when many are asked at once.
const GATHER_BYTES: usize = 256 << 10;
/// So many questions are asked before the first answer is read: fewer than servers hold back at.
const GATHER_MAX: usize = 256;
/// Between two rounds over all servers.
const REST: Duration = Duration::from_millis(200);

/// What a session is to be like.
#[derive(Clone, Debug)]
pub struct ZooKeeperOptions {
    /// Wanted: how long the session outlives its last word. It is also how long servers are looked for.
    pub timeout: Duration,
    /// Scheme and proof, such as `digest` and `user:password`.
    pub auths: Vec<(String, Vec<u8>)>,
}

impl Default for ZooKeeperOptions {
    fn default() -> ZooKeeperOptions {
        ZooKeeperOptions { timeout: Duration::from_secs(10), auths: Vec::new() }
    }
}

/// What comes unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A watched znode was changed.
    Event { kind: EventKind, path: String },
    /// Another connection serves the session: events of the time between are missing.
    Reconnected { address: String },
}

/// What came of an operation of a multi.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// A znode was made, here.
    Created(String),
    /// Something else was done.
    Other,
    /// It failed, or another did: a code.
    Failed(i32),
}

/// A session with a ZooKeeper.
pub struct ZooKeeper {
    servers: Vec<String>,
    /// Which of them is tried next.
    next: usize,
    /// What stands before every path: empty, or a path.
    chroot: String,
    options: ZooKeeperOptions,
    wire: Option<Wire>,
    session: Option<Session>,
    /// Agreed.
    timeout: Duration,
    last_zxid: i64,
    xid: i32,
    watches: BTreeMap<String, AddMode>,
    happenings: VecDeque<Happening>,
}

impl ZooKeeper {
    /// Opens a session with one of `servers`: `host:port,...`, and perhaps a path behind that which all paths are below.
    ///
    /// # Errors
    /// None of them serves, or the credentials prove nothing.
    pub fn connect(servers: &str, options: ZooKeeperOptions) -> Result<ZooKeeper, ZooKeeperError> {
        let (servers, chroot) = match servers.split_once('/') {
            Some((servers, chroot)) => (servers, format!("/{}", chroot.trim_end_matches('/'))),
            None => (servers, String::new()),
        };
        let mut zookeeper = ZooKeeper {
            servers: servers.split(',').map(|server| server.trim().to_string()).collect(),
            next: 0,
            chroot: if chroot == "/" { String::new() } else { chroot },
            timeout: options.timeout,
            options,
            wire: None,
            session: None,
            last_zxid: 0,
            xid: 0,
            watches: BTreeMap::new(),
            happenings: VecDeque::new(),
        };
        zookeeper.ready()?;
        Ok(zookeeper)
    }

    /// The session's number.
    pub fn session(&self) -> i64 {
        self.session.map_or(0, |session| session.id)
    }

    /// The server that serves the session now; empty: none.
    pub fn address(&self) -> &str {
        self.wire.as_ref().map_or("", |wire| &wire.address)
    }

    /// What was agreed.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The newest change that this session has seen.
    pub fn last_zxid(&self) -> i64 {
        self.last_zxid
    }

    /// Makes a znode. Returns its path, which of a sequential one is another.
    ///
    /// # Errors
    /// See [`ZooKeeperError`]; so with all of these.
    pub fn create(&mut self, new: &New<'_>) -> Result<String, ZooKeeperError> {
        let path = self.below(new.path);
        let frame = self.call(&Ask::Create(New { path: &path, ..*new }), "create", new.path)?;
        let created = self.read(&frame, |answer| answer.path().map(str::to_string))?;
        Ok(self.outside(&created))
    }

    /// Deletes a znode, if it has this version; -1: any.
    pub fn delete(&mut self, path: &str, version: i32) -> Result<(), ZooKeeperError> {
        let below = self.below(path);
        self.call(&Ask::Delete(&below, version), "delete", path).map(drop)
    }

    /// What a znode is; `None`: there is none.
    pub fn exists(&mut self, path: &str) -> Result<Option<Stat>, ZooKeeperError> {
        let below = self.below(path);
        match self.call(&Ask::Exists(&below, false), "look at", path) {
            Ok(frame) => self.read(&frame, |answer| answer.stat()).map(Some),
            Err(error) if error.code() == Some(ErrorCode::NoNode) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a znode holds; null is empty here.
    pub fn get(&mut self, path: &str) -> Result<(Vec<u8>, Stat), ZooKeeperError> {
        let below = self.below(path);
        let frame = self.call(&Ask::GetData(&below, false), "read", path)?;
        self.read(&frame, |answer| Ok((answer.data()?.unwrap_or_default().to_vec(), answer.stat()?)))
    }

    /// Writes a znode, if it has this version; -1: any.
    pub fn set(&mut self, path: &str, data: &[u8], version: i32) -> Result<Stat, ZooKeeperError> {
        let below = self.below(path);
        let frame = self.call(&Ask::SetData(&below, data, version), "write", path)?;
        self.read(&frame, |answer| answer.stat())
    }

    /// Names of a znode's children, in order.
    pub fn children(&mut self, path: &str) -> Result<(Vec<String>, Stat), ZooKeeperError> {
        let below = self.below(path);
        let frame = self.call(&Ask::GetChildren(&below, false), "list", path)?;
        self.read(&frame, |answer| {
            let mut names: Vec<String> = answer.names()?.map(str::to_string).collect();
            names.sort_unstable();
            Ok((names, answer.stat()?))
        })
    }

    /// Who may do what.
    pub fn acl(&mut self, path: &str) -> Result<(Vec<OwnedAcl>, Stat), ZooKeeperError> {
        let below = self.below(path);
        let frame = self.call(&Ask::GetAcl(&below), "read the access list of", path)?;
        self.read(&frame, |answer| Ok((answer.acls()?.map(OwnedAcl::from).collect(), answer.stat()?)))
    }

    /// Says who may do what, if the access list has this version; -1: any.
    pub fn set_acl(&mut self, path: &str, acls: &[OwnedAcl], version: i32) -> Result<Stat, ZooKeeperError> {
        let below = self.below(path);
        let acls: Vec<_> = acls.iter().map(OwnedAcl::borrow).collect();
        let frame = self.call(&Ask::SetAcl(&below, &acls, version), "change the access list of", path)?;
        self.read(&frame, |answer| answer.stat())
    }

    /// How many znodes are below one.
    pub fn descendants(&mut self, path: &str) -> Result<i32, ZooKeeperError> {
        let below = self.below(path);
        let frame = self.call(&Ask::GetAllChildrenNumber(&below), "count what is below", path)?;
        self.read(&frame, |answer| answer.count())
    }

    /// Sees from now on everything that was committed when this was asked.
    pub fn sync(&mut self) -> Result<(), ZooKeeperError> {
        let below = self.below("/");
        self.call(&Ask::Sync(&below), "synchronize with the leader", "").map(drop)
    }

    /// All of these or none; paths are as on the server, without a chroot. `Err`: it did not come to that; what failed among
    /// the changes is in the answer.
    pub fn multi(&mut self, changes: &[Change<'_>]) -> Result<Vec<Done>, ZooKeeperError> {
        let below: Vec<Cow<'_, str>> = changes.iter().map(|change| self.below(path_of(change))).collect();
        let changes: Vec<Change<'_>> = changes.iter().zip(&below).map(|(change, path)| moved(change, path)).collect();
        let what = format!("make {} changes at once", changes.len());
        let frame = self.call_raw(&Ask::Multi(&changes), &what)?;
        let mut done = Vec::with_capacity(changes.len());
        // One that was refused as a whole says so in the head, and has no results.
        let mut answer = self.open(&frame)?;
        loop {
            match answer.came() {
                Ok(None) => break,
                Ok(Some(Came::Created(path) | Came::Created2(path, _))) => done.push(Done::Created(self.outside(path))),
                Ok(Some(Came::Failed(code))) => done.push(Done::Failed(code)),
                Ok(Some(Came::Deleted | Came::Written(_) | Came::Checked)) => done.push(Done::Other),
                Err(_) if answer.error != 0 && done.is_empty() => {
                    return Err(ZooKeeperError::Refused { what, code: answer.error });
                }
                Err(error) => return Err(self.nonsense(error.to_string())),
            }
        }
        match done.len() == changes.len() {
            true => Ok(done),
            false => Err(self.nonsense(format!("{} results of {} changes", done.len(), changes.len()))),
        }
    }

    /// Watches a znode until [`unwatch`](ZooKeeper::unwatch), also over reconnects.
    pub fn watch(&mut self, path: &str, mode: AddMode) -> Result<(), ZooKeeperError> {
        let below = self.below(path);
        self.call(&Ask::AddWatch(&below, mode), "watch", path)?;
        self.watches.insert(below.into_owned(), mode);
        Ok(())
    }

    /// Ends all watches of a path.
    pub fn unwatch(&mut self, path: &str) -> Result<(), ZooKeeperError> {
        let below = self.below(path).into_owned();
        self.watches.remove(&below);
        self.call(&Ask::RemoveWatches(&below, WatcherType::Any), "end watches of", path).map(drop)
    }

    /// Proves who this is.
    pub fn auth(&mut self, scheme: &str, proof: &[u8]) -> Result<(), ZooKeeperError> {
        self.call(&Ask::Auth(scheme, proof), "prove who this is by", scheme)?;
        self.options.auths.push((scheme.to_string(), proof.to_vec()));
        Ok(())
    }

    /// Asks all of these at once, and returns an answer to each, without its length: for reads, whose refusals stand in the
    /// answers. Paths are as on the server.
    pub fn ask_all(&mut self, asks: &[Ask<'_>]) -> Result<Vec<Vec<u8>>, ZooKeeperError> {
        assert!(asks.iter().all(Ask::only_reads), "what writes is not asked twice");
        let mut answers = Vec::with_capacity(asks.len());
        let mut since = None;
        while answers.len() < asks.len() {
            self.ready()?;
            match self.ask_some(&asks[answers.len()..], &mut answers) {
                Ok(()) => since = None,
                Err(error) => self.retry("read", error, &mut since)?,
            }
        }
        Ok(answers)
    }

    /// Asks as many as go at once.
    fn ask_some(&mut self, asks: &[Ask<'_>], answers: &mut Vec<Vec<u8>>) -> io::Result<()> {
        let mut out = Vec::new();
        let mut xids = Vec::new();
        for ask in asks.iter().take(GATHER_MAX) {
            xids.push(self.next_xid(ask));
            ask.encode(self.xid, &mut out);
            if out.len() >= GATHER_BYTES {
                break;
            }
        }
        self.connected()?.send(&out)?;
        for xid in xids {
            answers.push(self.await_answer(xid)?);
        }
        Ok(())
    }

    /// Ends the session: its ephemeral znodes go.
    pub fn close(mut self) -> Result<(), ZooKeeperError> {
        self.end()
    }

    /// The same where others hold it too: whatever they ask, it has expired.
    pub fn end(&mut self) -> Result<(), ZooKeeperError> {
        if self.wire.is_none() {
            return Ok(());
        }
        let ended = self.call_raw(&Ask::CloseSession, "end the session").map(drop);
        self.wire = None;
        ended
    }

    /// Says that the session lives, if it has said nothing for a while, and takes in what has come. To be called at least
    /// once in a third of [`timeout`](ZooKeeper::timeout) while nothing else is asked.
    pub fn beat(&mut self) -> Result<(), ZooKeeperError> {
        self.wait_until(Instant::now() + Duration::from_millis(1), false)
    }

    /// The next thing that comes unasked; `None`: nothing has come in so much time. The session is kept alive.
    pub fn wait(&mut self, time: Duration) -> Result<Option<Happening>, ZooKeeperError> {
        self.wait_until(Instant::now() + time, true)?;
        Ok(self.happenings.pop_front())
    }

    /// Takes in frames until `deadline`, or if `first` until something has happened.
    fn wait_until(&mut self, deadline: Instant, first: bool) -> Result<(), ZooKeeperError> {
        loop {
            self.ready()?;
            if first && !self.happenings.is_empty() {
                return Ok(());
            }
            if let Err(_error) = self.listen(deadline) {
                // The next round looks for another server.
                self.wire = None;
                continue;
            }
            if Instant::now() >= deadline {
                return Ok(());
            }
        }
    }

    /// Waits for a frame, until `deadline` or until it is time for a ping.
    fn listen(&mut self, deadline: Instant) -> io::Result<()> {
        let (beat, patience) = (self.timeout / 3, self.timeout * 2 / 3);
        let wire = self.connected()?;
        if wire.sent.elapsed() >= beat {
            let mut out = Vec::new();
            Ask::Ping.encode(0, &mut out);
            wire.send(&out)?;
        }
        if wire.heard.elapsed() > patience.max(beat * 2) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let next = wire.sent + beat;
        if let Some(frame) = wire.receive(deadline.min(next))? {
            self.take_in(&frame)?;
        }
        Ok(())
    }

    /// Takes in a frame that is no answer to a request.
    fn take_in(&mut self, frame: &[u8]) -> io::Result<()> {
        let nonsense = |error: Malformed| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        let mut answer = Answer::open(frame).map_err(nonsense)?;
        self.last_zxid = self.last_zxid.max(answer.zxid);
        if answer.xid != xid::EVENT {
            return Ok(());
        }
        let told = answer.event().map_err(nonsense)?;
        let kinds = [EventKind::Created, EventKind::Deleted, EventKind::DataChanged, EventKind::ChildrenChanged];
        if let Some(kind) = kinds.into_iter().find(|kind| *kind as i32 == told.kind) {
            let path = self.outside(told.path);
            self.happenings.push_back(Happening::Event { kind, path });
        }
        Ok(())
    }

    /// Asks, and returns the answer if it is none that refuses.
    fn call(&mut self, ask: &Ask<'_>, doing: &str, path: &str) -> Result<Vec<u8>, ZooKeeperError> {
        let what = if path.is_empty() { doing.to_string() } else { format!("{doing} {path}") };
        let frame = self.call_raw(ask, &what)?;
        match self.open(&frame)?.error {
            0 => Ok(frame),
            code => Err(ZooKeeperError::Refused { what, code }),
        }
    }

    /// Asks, and returns the answer.
    fn call_raw(&mut self, ask: &Ask<'_>, what: &str) -> Result<Vec<u8>, ZooKeeperError> {
        let mut since = None;
        loop {
            self.ready()?;
            let xid = self.next_xid(ask);
            let mut out = Vec::new();
            ask.encode(self.xid, &mut out);
            let sent = self.connected().and_then(|wire| wire.send(&out));
            match sent.and_then(|()| self.await_answer(xid)) {
                Ok(frame) => return Ok(frame),
                Err(error) if ask.only_reads() => self.retry(what, error, &mut since)?,
                Err(error) => return Err(self.lost(what, error)),
            }
        }
    }

    /// The connection is gone: whether another is to be tried.
    fn retry(&mut self, what: &str, error: io::Error, since: &mut Option<Instant>) -> Result<(), ZooKeeperError> {
        let since = *since.get_or_insert_with(Instant::now);
        if since.elapsed() > self.timeout {
            return Err(self.lost(what, error));
        }
        self.wire = None;
        Ok(())
    }

    fn lost(&mut self, what: &str, error: io::Error) -> ZooKeeperError {
        let address = self.wire.take().map_or_else(|| self.servers.join(","), |wire| wire.address);
        ZooKeeperError::Lost { address, what: what.to_string(), error }
    }

    fn nonsense(&mut self, what: String) -> ZooKeeperError {
        // What follows a broken answer is part of it.
        let address = self.wire.take().map_or_else(|| self.servers.join(","), |wire| wire.address);
        ZooKeeperError::Protocol { address, what }
    }

    fn open<'f>(&mut self, frame: &'f [u8]) -> Result<Answer<'f>, ZooKeeperError> {
        Answer::open(frame).map_err(|error| self.nonsense(error.to_string()))
    }

    fn read<T>(
        &mut self,
        frame: &[u8],
        read: impl FnOnce(&mut Answer<'_>) -> Result<T, Malformed>,
    ) -> Result<T, ZooKeeperError> {
        let mut answer = self.open(frame)?;
        read(&mut answer).map_err(|error| self.nonsense(error.to_string()))
    }

    /// The xid of the answer to `ask`, which is the next one.
    fn next_xid(&mut self, ask: &Ask<'_>) -> i32 {
        ask.fixed_xid().unwrap_or_else(|| {
            self.xid = if self.xid == i32::MAX { 1 } else { self.xid + 1 };
            self.xid
        })
    }

    fn connected(&mut self) -> io::Result<&mut Wire> {
        self.wire.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Waits for the answer with this xid; what comes before it, nobody has asked for.
    fn await_answer(&mut self, xid: i32) -> io::Result<Vec<u8>> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let time = self.timeout;
            let frame = self.connected()?.receive(deadline)?.ok_or_else(|| {
                io::Error::new(io::ErrorKind::TimedOut, format!("nothing came for {} s", time.as_secs_f64()))
            })?;
            let answer =
                Answer::open(&frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            if answer.xid == xid {
                self.last_zxid = self.last_zxid.max(answer.zxid);
                return Ok(frame);
            }
            self.take_in(&frame)?;
        }
    }

    /// There is a connection that serves the session, or one is found.
    fn ready(&mut self) -> Result<(), ZooKeeperError> {
        if self.wire.is_some() {
            return Ok(());
        }
        let began = Instant::now();
        let again = self.session.is_some();
        loop {
            let mut whys = Vec::new();
            for _ in 0..self.servers.len() {
                let server = self.servers[self.next % self.servers.len()].clone();
                self.next += 1;
                match self.take_up(&server) {
                    Ok(true) => {
                        if again {
                            self.happenings.push_back(Happening::Reconnected { address: server });
                        }
                        return Ok(());
                    }
                    Ok(false) => return Err(ZooKeeperError::Expired { id: self.session() }),
                    Err(Unfit::Refused(error)) => return Err(error),
                    Err(Unfit::Wire(error)) => whys.push(format!("{server}: {error}")),
                }
            }
            // A command that is started beside nothing is not kept waiting.
            let patience = if again { self.timeout } else { Duration::ZERO };
            if began.elapsed() >= patience {
                return Err(ZooKeeperError::Connect { servers: self.servers.join(","), why: whys.join("; ") });
            }
            std::thread::sleep(REST);
        }
    }

    /// Takes the session up at `server`; false: it is gone.
    fn take_up(&mut self, server: &str) -> Result<bool, Unfit> {
        let times = Times { connect: self.timeout.min(Duration::from_secs(5)), answer: self.timeout };
        let mut stream = open(server, times)?;
        let timeout_ms = i32::try_from(self.options.timeout.as_millis()).unwrap_or(i32::MAX);
        let session = self.session;
        let connect =
            Connect { last_zxid: self.last_zxid, timeout_ms, session, read_only: false, knows_read_only: true };
        let connected = handshake(&mut stream, &connect, self.timeout)?;
        let Some(session) = connected.session else {
            return match self.session {
                Some(_) => Ok(false),
                None => Err(Unfit::Wire(io::Error::other("it gives out no sessions"))),
            };
        };
        self.session = Some(session);
        self.timeout = Duration::from_millis(u64::try_from(connected.timeout_ms).unwrap_or(0).max(1));
        self.wire = Some(Wire::new(stream, server.to_string()));
        let prepared = self.prepare(server);
        if prepared.is_err() {
            self.wire = None;
        }
        prepared.map(|()| true)
    }

    /// Tells a new connection who this is, and what is watched.
    fn prepare(&mut self, server: &str) -> Result<(), Unfit> {
        for (scheme, proof) in self.options.auths.clone() {
            let answer = self.exchange(&Ask::Auth(&scheme, &proof), xid::AUTH)?;
            if answer != 0 {
                let what = format!("prove who this is by {scheme}");
                return Err(Unfit::Refused(ZooKeeperError::Refused { what, code: answer }));
            }
        }
        if self.watches.is_empty() {
            return Ok(());
        }
        let of = |wanted: AddMode| {
            let paths = self.watches.iter().filter(|(_, mode)| **mode == wanted).map(|(path, _)| path.clone());
            paths.collect::<Vec<String>>()
        };
        let (persistent, recursive) = (of(AddMode::Persistent), of(AddMode::Recursive));
        let ask = Ask::SetWatches(self.last_zxid, [&[], &[], &[], &persistent, &recursive]);
        match self.exchange(&ask, xid::SET_WATCHES)? {
            0 => Ok(()),
            code => {
                Err(Unfit::Refused(ZooKeeperError::Refused { what: format!("set watches at {server} again"), code }))
            }
        }
    }

    /// Asks what the connection itself needs; the answer is an error code.
    fn exchange(&mut self, ask: &Ask<'_>, xid: i32) -> io::Result<i32> {
        let mut out = Vec::new();
        ask.encode(xid, &mut out);
        self.connected()?.send(&out)?;
        let frame = self.await_answer(xid)?;
        Ok(Answer::open(&frame).map_or(0, |answer| answer.error))
    }

    /// A path as the server has it.
    fn below<'p>(&self, path: &'p str) -> Cow<'p, str> {
        match (self.chroot.as_str(), path) {
            ("", path) => Cow::Borrowed(path),
            (chroot, "/") => Cow::Owned(chroot.to_string()),
            (chroot, path) => Cow::Owned(format!("{chroot}{path}")),
        }
    }

    /// A path of the server's as the caller has it.
    fn outside(&self, path: &str) -> String {
        match path.strip_prefix(self.chroot.as_str()) {
            Some("") => "/".to_string(),
            Some(rest) => rest.to_string(),
            None => path.to_string(),
        }
    }

    /// The same for callers that ask by themselves: see [`ask_all`](ZooKeeper::ask_all).
    pub fn on_server(&self, path: &str) -> String {
        self.below(path).into_owned()
    }
}

/// Why a server does not serve the session.
enum Unfit {
    Wire(io::Error),
    /// No other will.
    Refused(ZooKeeperError),
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Unfit {
        Unfit::Wire(error)
    }
}

fn path_of<'a>(change: &Change<'a>) -> &'a str {
    match change {
        Change::Create(new) => new.path,
        Change::Delete(path, _) | Change::SetData(path, ..) | Change::Check(path, _) => path,
    }
}

fn moved<'a>(change: &Change<'a>, path: &'a str) -> Change<'a> {
    match *change {
        Change::Create(new) => Change::Create(New { path, ..new }),
        Change::Delete(_, version) => Change::Delete(path, version),
        Change::SetData(_, data, version) => Change::SetData(path, data, version),
        Change::Check(_, version) => Change::Check(path, version),
    }
}
