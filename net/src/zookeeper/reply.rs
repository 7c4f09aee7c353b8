//! Answers and events.

use super::error::ErrorCode;
use super::jute::{Acl, put_acls, put_buffer, put_count, put_int, put_long, put_string};
use super::request::op;
use super::xid;

/// What is told of a znode. Times are in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The change that made it.
    pub czxid: i64,
    /// The last change of its data.
    pub mzxid: i64,
    /// When it was made.
    pub ctime: i64,
    /// When its data were last changed.
    pub mtime: i64,
    /// Changes of its data.
    pub version: i32,
    /// Changes of its children.
    pub cversion: i32,
    /// Changes of its access list.
    pub aversion: i32,
    /// The session that it goes with; 0: none. Containers and znodes with a time to live have marks of their own here.
    pub ephemeral_owner: i64,
    /// Bytes of data.
    pub data_length: i32,
    /// Children.
    pub num_children: i32,
    /// The last change of its children.
    pub pzxid: i64,
}

impl Stat {
    fn encode(&self, out: &mut Vec<u8>) {
        for zxid_or_time in [self.czxid, self.mzxid, self.ctime, self.mtime] {
            put_long(out, zxid_or_time);
        }
        for version in [self.version, self.cversion, self.aversion] {
            put_int(out, version);
        }
        put_long(out, self.ephemeral_owner);
        put_int(out, self.data_length);
        put_int(out, self.num_children);
        put_long(out, self.pzxid);
    }
}

/// The result of one operation of a multi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Created.
    Create(&'a str),
    /// The same by an operation that is told what it made (create2, createContainer, createTTL).
    Create2(&'a str, Stat),
    /// Deleted.
    Delete,
    /// Written.
    SetData(Stat),
    /// The version is right.
    Check,
    /// Read; `None` where null was written.
    GetData(Option<&'a [u8]>, Stat),
    /// It failed. Where all fail together, `None` stands before the one that did.
    Error(Option<ErrorCode>),
}

/// The type of results that are errors, and of what ends them.
const NO_OP: i32 = -1;

/// Appends one of the names of an answer that has them in several parts; see [`Reply::end_before`].
pub fn put_name(out: &mut Vec<u8>, name: &str) {
    put_string(out, name);
}

/// Appends what stands behind such names.
pub fn put_stat(out: &mut Vec<u8>, stat: &Stat) {
    stat.encode(out);
}

/// Puts the length in front of a frame that begins at `at`.
pub(super) fn seal(out: &mut [u8], at: usize) {
    seal_before(out, at, 0);
}

/// The same of one that goes on elsewhere for `more` bytes.
fn seal_before(out: &mut [u8], at: usize, more: usize) {
    let len = i32::try_from(out.len() - at - 4 + more).expect("an answer is bounded");
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
}

/// Appends a refusal of request `xid`. `zxid`: the newest change that this server has applied.
pub fn failure(out: &mut Vec<u8>, xid: i32, zxid: i64, error: ErrorCode) {
    Reply::begin(out, xid, zxid, error as i32).end();
}

/// An answer that is being appended. What stands in it, and in which order, follows from the request.
#[derive(Debug)]
pub struct Reply<'o> {
    out: &'o mut Vec<u8>,
    at: usize,
}

impl<'o> Reply<'o> {
    /// Begins the answer to request `xid`. `zxid`: that of the change, or of the newest that this server has applied.
    pub fn new(out: &'o mut Vec<u8>, xid: i32, zxid: i64) -> Reply<'o> {
        Reply::begin(out, xid, zxid, 0)
    }

    /// A part of an answer that begins elsewhere, and is ended there: see [`Reply::end_before`].
    pub fn part(out: &'o mut Vec<u8>) -> Reply<'o> {
        Reply { at: out.len(), out }
    }

    fn begin(out: &'o mut Vec<u8>, xid: i32, zxid: i64, error: i32) -> Reply<'o> {
        let at = out.len();
        put_int(out, 0);
        put_int(out, xid);
        put_long(out, zxid);
        put_int(out, error);
        Reply { out, at }
    }

    /// The answer is whole.
    pub fn end(self) {
        seal(self.out, self.at);
    }

    /// The answer goes on elsewhere, for so many bytes, and is whole then.
    pub fn end_before(self, more: usize) {
        seal_before(self.out, self.at, more);
    }

    /// Bytes of it so far.
    pub fn bytes(&self) -> usize {
        self.out.len() - self.at
    }

    /// A path.
    pub fn path(&mut self, path: &str) {
        put_string(self.out, path);
    }

    /// What a znode is.
    pub fn stat(&mut self, stat: &Stat) {
        stat.encode(self.out);
    }

    /// Data of a znode; `None` where null was written.
    pub fn data(&mut self, data: Option<&[u8]>) {
        put_buffer(self.out, data);
    }

    /// Names of children, or paths.
    pub fn names<'a>(&mut self, names: impl ExactSizeIterator<Item = &'a str>) {
        put_count(self.out, names.len());
        names.for_each(|name| put_string(self.out, name));
    }

    /// Who may do what.
    pub fn acls<'a>(&mut self, acls: impl ExactSizeIterator<Item = Acl<'a>>) {
        put_acls(self.out, acls);
    }

    /// A number.
    pub fn count(&mut self, count: i32) {
        put_int(self.out, count);
    }

    /// Who the client is, by scheme and user.
    pub fn clients<'a>(&mut self, clients: impl ExactSizeIterator<Item = (&'a str, &'a str)>) {
        put_count(self.out, clients.len());
        for (scheme, user) in clients {
            put_string(self.out, scheme);
            put_string(self.out, user);
        }
    }

    /// The next operation's result; [`Reply::end_of_outcomes`] stands behind the last one.
    pub fn outcome(&mut self, outcome: &Outcome<'_>) {
        let number = match outcome {
            Outcome::Create(_) => op::CREATE,
            Outcome::Create2(..) => op::CREATE2,
            Outcome::Delete => op::DELETE,
            Outcome::SetData(_) => op::SET_DATA,
            Outcome::Check => op::CHECK,
            Outcome::GetData(..) => op::GET_DATA,
            Outcome::Error(error) => {
                let error = error.map_or(0, |error| error as i32);
                self.multi_head(NO_OP, false, error);
                return put_int(self.out, error);
            }
        };
        self.multi_head(number, false, 0);
        match outcome {
            Outcome::Create(path) => self.path(path),
            Outcome::Create2(path, stat) => {
                self.path(path);
                self.stat(stat);
            }
            Outcome::SetData(stat) => self.stat(stat),
            Outcome::GetData(data, stat) => {
                self.data(*data);
                self.stat(stat);
            }
            Outcome::Delete | Outcome::Check | Outcome::Error(_) => {}
        }
    }

    /// The next operation's result: names of children.
    pub fn outcome_names<'a>(&mut self, names: impl ExactSizeIterator<Item = &'a str>) {
        self.outcome_of_names(names.len());
        names.for_each(|name| self.name(name));
    }

    /// The same of so many, which are appended one by one ([`Reply::name`]).
    pub fn outcome_of_names(&mut self, count: usize) {
        self.multi_head(op::GET_CHILDREN, false, 0);
        put_count(self.out, count);
    }

    /// One of these.
    pub fn name(&mut self, name: &str) {
        put_string(self.out, name);
    }

    /// There are no more results.
    pub fn end_of_outcomes(&mut self) {
        self.multi_head(NO_OP, true, NO_OP);
    }

    fn multi_head(&mut self, op: i32, done: bool, error: i32) {
        put_int(self.out, op);
        self.out.push(u8::from(done));
        put_int(self.out, error);
    }
}

/// What happened to a watched znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum EventKind {
    /// To the session itself.
    None = -1,
    /// It was made.
    Created = 1,
    /// It is gone.
    Deleted = 2,
    /// Its data are others.
    DataChanged = 3,
    /// Its children are others.
    ChildrenChanged = 4,
}

/// How the session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum EventState {
    /// It is served.
    Connected = 3,
    /// It is gone.
    Expired = -112,
    /// Its credentials prove nothing.
    AuthFailed = 4,
}

/// What a client that watches is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// What happened.
    pub kind: EventKind,
    /// How the session stands.
    pub state: EventState,
    /// To which znode.
    pub path: &'a str,
}

/// Appends an event. `zxid`: the change that caused it for servers that tell (ZooKeeper 3.9), -1 else.
pub fn event(out: &mut Vec<u8>, zxid: i64, event: Event<'_>) {
    let reply = Reply::new(out, xid::EVENT, zxid);
    put_int(reply.out, event.kind as i32);
    put_int(reply.out, event.state as i32);
    put_string(reply.out, event.path);
    reply.end();
}
