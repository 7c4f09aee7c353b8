//! What clients are told: answers and events, read from their frames. What stands in an answer follows from its request.

use super::connect::{Connected, Session};
use super::jute::{Acl, Acls, JuteReader, Strings};
use super::reply::Stat;
use super::request::op;
use torc_base::malformed::Malformed;

/// An answer, without its length. Fields are taken off its front in the order in which they stand.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// Of the request.
    pub xid: i32,
    /// The change, or the newest that the server has applied; 0 or less where it does not say.
    pub zxid: i64,
    /// 0, or why it was refused: see [`ErrorCode`](super::ErrorCode).
    pub error: i32,
    rest: JuteReader<'a>,
}

/// What came of an operation of a multi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came<'a> {
    /// It was made, here.
    Created(&'a str),
    /// The same, with its stat.
    Created2(&'a str, Stat),
    /// It is gone.
    Deleted,
    /// Its data are others.
    Written(Stat),
    /// The version is right.
    Checked,
    /// It failed, or another did: a code.
    Failed(i32),
}

/// What happened to a watched znode, or to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// What happened, as [`EventKind`](super::EventKind) numbers it.
    pub kind: i32,
    /// How the session stands, as [`EventState`](super::EventState) numbers it.
    pub state: i32,
    /// To which znode.
    pub path: &'a str,
}

impl<'a> Answer<'a> {
    /// Reads the head.
    ///
    /// # Errors
    /// It is cut short.
    pub fn open(frame: &'a [u8]) -> Result<Answer<'a>, Malformed> {
        let mut rest = JuteReader(frame);
        let xid = rest.int("an answer's xid")?;
        let zxid = rest.long("an answer's zxid")?;
        Ok(Answer { xid, zxid, error: rest.int("an answer's error")?, rest })
    }

    /// A path.
    ///
    /// # Errors
    /// There is none here; so with all of these.
    pub fn path(&mut self) -> Result<&'a str, Malformed> {
        self.rest.string("a path")
    }

    /// What a znode is.
    pub fn stat(&mut self) -> Result<Stat, Malformed> {
        Stat::decode(&mut self.rest)
    }

    /// Data of a znode; `None` where null was written.
    pub fn data(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        self.rest.buffer("a znode's data")
    }

    /// Names of children.
    pub fn names(&mut self) -> Result<Strings<'a>, Malformed> {
        self.rest.strings("names of children")
    }

    /// Who may do what.
    pub fn acls(&mut self) -> Result<Acls<'a>, Malformed> {
        self.rest.acls("an access list")
    }

    /// A number.
    pub fn count(&mut self) -> Result<i32, Malformed> {
        self.rest.int("a count")
    }

    /// An event.
    pub fn event(&mut self) -> Result<Told<'a>, Malformed> {
        let kind = self.rest.int("an event's kind")?;
        let state = self.rest.int("a session's state")?;
        Ok(Told { kind, state, path: self.rest.string("a path")? })
    }

    /// The next operation's result of a multi; `None`: there are no more.
    pub fn came(&mut self) -> Result<Option<Came<'a>>, Malformed> {
        let number = self.rest.int("a result's type")?;
        let done = self.rest.boolean("whether results follow")?;
        self.rest.int("a result's error")?;
        if done {
            return Ok(None);
        }
        Ok(Some(match number {
            -1 => Came::Failed(self.rest.int("an error")?),
            op::CREATE => Came::Created(self.path()?),
            op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => Came::Created2(self.path()?, self.stat()?),
            op::DELETE => Came::Deleted,
            op::SET_DATA => Came::Written(self.stat()?),
            op::CHECK => Came::Checked,
            _ => return Err(Malformed { what: "a result's type" }),
        }))
    }
}

impl Stat {
    pub(super) fn decode(reader: &mut JuteReader<'_>) -> Result<Stat, Malformed> {
        const WHAT: &str = "a stat";
        Ok(Stat {
            czxid: reader.long(WHAT)?,
            mzxid: reader.long(WHAT)?,
            ctime: reader.long(WHAT)?,
            mtime: reader.long(WHAT)?,
            version: reader.int(WHAT)?,
            cversion: reader.int(WHAT)?,
            aversion: reader.int(WHAT)?,
            ephemeral_owner: reader.long(WHAT)?,
            data_length: reader.int(WHAT)?,
            num_children: reader.int(WHAT)?,
            pzxid: reader.long(WHAT)?,
        })
    }
}

impl Connected {
    /// Reads the first frame that a client gets. A server from before ZooKeeper 3.4 does not say whether it only reads.
    ///
    /// # Errors
    /// It is cut short.
    pub fn decode(frame: &[u8]) -> Result<Connected, Malformed> {
        let mut reader = JuteReader(frame);
        reader.int("the protocol's version")?;
        let timeout_ms = reader.int("the timeout")?;
        let id = reader.long("the session")?;
        let password = reader.buffer("the password")?.unwrap_or_default();
        let password = password.try_into().map_err(|_| Malformed { what: "the password" })?;
        let read_only = !reader.0.is_empty() && reader.boolean("whether this server only reads")?;
        let session = (id != 0).then_some(Session { id, password });
        Ok(Connected { session, timeout_ms, read_only })
    }
}

/// An access list's entries as they are, for lists that are kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnedAcl {
    /// Bits: read 1, write 2, create 4, delete 8, admin 16.
    pub perms: i32,
    /// `world`, `auth`, `digest`, `ip`, ...
    pub scheme: String,
    /// What it says in that scheme.
    pub id: String,
}

impl OwnedAcl {
    /// The same, borrowed.
    pub fn borrow(&self) -> Acl<'_> {
        Acl { perms: self.perms, scheme: &self.scheme, id: &self.id }
    }

    /// Everybody may do everything.
    pub fn open() -> OwnedAcl {
        OwnedAcl { perms: 31, scheme: "world".to_string(), id: "anyone".to_string() }
    }
}

impl From<Acl<'_>> for OwnedAcl {
    fn from(acl: Acl<'_>) -> OwnedAcl {
        OwnedAcl { perms: acl.perms, scheme: acl.scheme.to_string(), id: acl.id.to_string() }
    }
}
