//! Requests: a head, and a record whose kind it names. Bytes behind the last field are ignored, as ZooKeeper does.

use super::error::ErrorCode;
use super::jute::{Acls, JuteReader, Place, Strings};
use torc_base::malformed::Malformed;

/// Numbers of operations.
pub(super) mod op {
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const EXISTS: i32 = 3;
    pub const GET_DATA: i32 = 4;
    pub const SET_DATA: i32 = 5;
    pub const GET_ACL: i32 = 6;
    pub const SET_ACL: i32 = 7;
    pub const GET_CHILDREN: i32 = 8;
    pub const SYNC: i32 = 9;
    pub const PING: i32 = 11;
    pub const GET_CHILDREN2: i32 = 12;
    pub const CHECK: i32 = 13;
    pub const MULTI: i32 = 14;
    pub const CREATE2: i32 = 15;
    pub const RECONFIG: i32 = 16;
    pub const CHECK_WATCHES: i32 = 17;
    pub const REMOVE_WATCHES: i32 = 18;
    pub const CREATE_CONTAINER: i32 = 19;
    /// Between ZooKeeper's servers.
    pub const DELETE_CONTAINER: i32 = 20;
    pub const CREATE_TTL: i32 = 21;
    pub const MULTI_READ: i32 = 22;
    pub const AUTH: i32 = 100;
    pub const SET_WATCHES: i32 = 101;
    pub const SASL: i32 = 102;
    pub const GET_EPHEMERALS: i32 = 103;
    pub const GET_ALL_CHILDREN_NUMBER: i32 = 104;
    pub const SET_WATCHES2: i32 = 105;
    pub const ADD_WATCH: i32 = 106;
    pub const WHO_AM_I: i32 = 107;
    pub const CLOSE_SESSION: i32 = -11;
}

/// What stands in front of each request but the first of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Stands in the answer.
    pub xid: i32,
    /// What is asked.
    pub op: i32,
}

/// Why a request cannot be read. The session goes on after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// There is no head to answer to: the connection is of no use.
    Head(Malformed),
    /// Nor is it where a client was to prove who it is: as in ZooKeeper, there is no answer.
    Proof(Malformed),
    /// It is answered with this.
    Body(Head, ErrorCode, Malformed),
}

/// How a znode ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It does not.
    Persistent,
    /// With its session.
    Ephemeral,
    /// When its last child is gone.
    Container,
    /// When it had no child and no change for so long.
    Ttl,
}

/// The mode of a container.
const CONTAINER: i32 = 4;

/// A znode is to be made.
#[derive(Clone, Debug)]
pub struct Create<'a> {
    /// Where; of a sequential one, what its number is put behind.
    pub path: &'a str,
    /// `None`: null.
    pub data: Option<&'a [u8]>,
    /// Who may do what.
    pub acls: Acls<'a>,
    /// The mode, as on the wire: see [`Create::mode`].
    pub flags: i32,
    /// It is a container, whatever the mode says of how it ends.
    pub is_container: bool,
    /// Milliseconds, of an operation that has them.
    pub ttl: Option<i64>,
    /// The answer has the stat too.
    pub with_stat: bool,
}

impl Create<'_> {
    /// How it ends by itself, and whether its name gets a number; `None`: nobody knows such a mode.
    pub fn mode(&self) -> Option<(Kind, bool)> {
        let (kind, sequential) = match self.flags {
            // The operation makes containers, not the mode.
            0 | 4 => (Kind::Persistent, false),
            1 => (Kind::Ephemeral, false),
            2 => (Kind::Persistent, true),
            3 => (Kind::Ephemeral, true),
            5 => (Kind::Ttl, false),
            6 => (Kind::Ttl, true),
            _ => return None,
        };
        Some((if self.is_container { Kind::Container } else { kind }, sequential))
    }
}

/// One operation of a multi.
#[derive(Clone, Debug)]
pub enum Op<'a> {
    /// A znode is made.
    Create(Create<'a>),
    /// A znode goes, if it has this version; -1: any.
    Delete(&'a str, i32),
    /// Its data become others, if it has this version.
    SetData(&'a str, Option<&'a [u8]>, i32),
    /// It has this version.
    Check(&'a str, i32),
    /// What its data are.
    GetData(&'a str),
    /// What its children are.
    GetChildren(&'a str),
}

impl Op<'_> {
    fn is_read(&self) -> bool {
        matches!(self, Op::GetData(_) | Op::GetChildren(_))
    }
}

/// Which events a watch that stays is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddMode {
    /// Those of the znode and its children.
    Persistent,
    /// Those of the znode and all below it.
    Recursive,
}

/// Which watches are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum WatcherType {
    /// One-shot, on children.
    Children = 1,
    /// One-shot, on data.
    Data,
    /// Every kind.
    Any,
    /// Those that stay.
    Persistent,
    /// Those that stay, and watch all below.
    Recursive,
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub enum Request<'a> {
    /// A znode.
    Create(Create<'a>),
    /// A znode goes, if it has this version; -1: any.
    Delete(&'a str, i32),
    /// Whether it is there; true: and is watched.
    Exists(&'a str, bool),
    /// Its data; true: and is watched.
    GetData(&'a str, bool),
    /// Its data become others, if it has this version.
    SetData(&'a str, Option<&'a [u8]>, i32),
    /// Its access list.
    GetAcl(&'a str),
    /// Its access list becomes another, if that has this version.
    SetAcl(&'a str, Acls<'a>, i32),
    /// Names of its children; the flags: children are watched, the stat is wanted too.
    GetChildren(&'a str, bool, bool),
    /// Everything that was committed when this was asked is seen from now on.
    Sync(&'a str),
    /// The session lives.
    Ping,
    /// It has this version.
    Check(&'a str, i32),
    /// All of these or none.
    Multi(Ops<'a>),
    /// All of these, each by itself.
    MultiRead(Ops<'a>),
    /// Whether there are such watches.
    CheckWatches(&'a str, WatcherType),
    /// Such watches are to go.
    RemoveWatches(&'a str, WatcherType),
    /// Credentials: a scheme, and what proves it; `None`: null.
    Auth(&'a str, Option<&'a [u8]>),
    /// Credentials of SASL, which is not served.
    Sasl,
    /// Another ensemble, which is not made by requests.
    Reconfig,
    /// Watches from before a reconnect: since which zxid, and where, by data, exists, children, persistent, recursive. A path may
    /// be null: see [`Strings::next_or_null`].
    SetWatches(i64, [Strings<'a>; 5]),
    /// Ephemeral znodes of this session below a prefix.
    GetEphemerals(&'a str),
    /// How many descendants it has.
    GetAllChildrenNumber(&'a str),
    /// A watch that stays.
    AddWatch(&'a str, AddMode),
    /// What this client has proved.
    WhoAmI,
    /// The session ends.
    CloseSession,
}

/// Operations of a multi, in a frame. Their bytes have been looked through.
#[derive(Clone, Debug)]
pub struct Ops<'a> {
    rest: JuteReader<'a>,
    left: usize,
}

impl<'a> Ops<'a> {
    /// Where the next one stands.
    pub fn place(&self) -> Place {
        self.rest.place(self.left)
    }

    /// Those that go on there, in the frame of which that was told.
    pub fn at(frame: &'a [u8], place: Place) -> Ops<'a> {
        Ops { rest: JuteReader::at(frame, place), left: place.left() }
    }
}

impl<'a> Iterator for Ops<'a> {
    type Item = Op<'a>;

    fn next(&mut self) -> Option<Op<'a>> {
        self.left = self.left.checked_sub(1)?;
        operation(&mut self.rest).expect("looked through before")
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Ops<'_> {}

/// A multi of writes that is looked through some operations at a time: [`decode`] looks at all of them.
#[derive(Clone, Copy, Debug)]
pub struct Looking {
    head: Head,
    first: Place,
    next: Place,
    count: usize,
}

impl Looking {
    /// Begins with the first operation of a frame; `None`: it is something else.
    pub fn begin(frame: &[u8]) -> Option<Looking> {
        let mut reader = JuteReader(frame);
        let head = Head { xid: reader.int("a request's xid").ok()?, op: reader.int("a request's type").ok()? };
        let first = reader.place(0);
        (head.op == op::MULTI).then_some(Looking { head, first, next: first, count: 0 })
    }

    /// Looks at some more, `most` at most. True: there are no more.
    ///
    /// # Errors
    /// As [`decode`] has them.
    pub fn go_on<'a>(
        &mut self,
        frame: &'a [u8],
        most: usize,
        mut each: impl FnMut(&Op<'a>),
    ) -> Result<bool, Undecodable> {
        let bad = |malformed| Undecodable::Body(self.head, ErrorCode::MarshallingError, malformed);
        let mut reader = JuteReader::at(frame, self.next);
        for _ in 0..most {
            let Some(op) = of_many(&mut reader, false).map_err(bad)? else { return Ok(true) };
            each(&op);
            self.count += 1;
        }
        self.next = reader.place(0);
        Ok(false)
    }

    /// The request, when all of it was looked at.
    pub fn request<'a>(&self, frame: &'a [u8]) -> (Head, Request<'a>) {
        (self.head, Request::Multi(Ops { rest: JuteReader::at(frame, self.first), left: self.count }))
    }
}

/// Reads a frame behind its length.
pub fn decode(frame: &[u8]) -> Result<(Head, Request<'_>), Undecodable> {
    let mut reader = JuteReader(frame);
    let mut head = || Ok(Head { xid: reader.int("a request's xid")?, op: reader.int("a request's type")? });
    let head = head().map_err(Undecodable::Head)?;
    match request(head.op, &mut reader) {
        Ok(Some(request)) => Ok((head, request)),
        Ok(None) if head.op == op::DELETE_CONTAINER => {
            // ZooKeeper finds no path in whatever a client says.
            Err(Undecodable::Body(head, ErrorCode::BadArguments, Malformed { what: "a request's type" }))
        }
        Ok(None) => Err(Undecodable::Body(head, ErrorCode::Unimplemented, Malformed { what: "a request's type" })),
        Err(malformed) if matches!(head.op, op::AUTH | op::SASL) => Err(Undecodable::Proof(malformed)),
        Err(malformed) => Err(Undecodable::Body(head, ErrorCode::MarshallingError, malformed)),
    }
}

/// `None`: nobody knows such an operation.
fn request<'a>(number: i32, reader: &mut JuteReader<'a>) -> Result<Option<Request<'a>>, Malformed> {
    Ok(Some(match number {
        op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
            Request::Create(create(number, reader, false)?)
        }
        op::DELETE => Request::Delete(znode(reader)?, version(reader)?),
        op::EXISTS => Request::Exists(znode(reader)?, watch(reader)?),
        op::GET_DATA => Request::GetData(znode(reader)?, watch(reader)?),
        op::SET_DATA => Request::SetData(path(reader)?, data(reader)?, version(reader)?),
        op::GET_ACL => Request::GetAcl(znode(reader)?),
        op::SET_ACL => Request::SetAcl(path(reader)?, reader.acls("an access list")?, version(reader)?),
        op::GET_CHILDREN | op::GET_CHILDREN2 => {
            Request::GetChildren(znode(reader)?, watch(reader)?, number == op::GET_CHILDREN2)
        }
        op::SYNC => Request::Sync(path(reader)?),
        op::PING => Request::Ping,
        op::CHECK => Request::Check(path(reader)?, version(reader)?),
        op::MULTI | op::MULTI_READ => {
            let ops = operations(reader, number == op::MULTI_READ)?;
            if number == op::MULTI { Request::Multi(ops) } else { Request::MultiRead(ops) }
        }
        op::CHECK_WATCHES => Request::CheckWatches(znode(reader)?, watcher_type(reader)?),
        op::REMOVE_WATCHES => Request::RemoveWatches(path(reader)?, watcher_type(reader)?),
        op::AUTH => {
            reader.int("the kind of credentials")?;
            let scheme = reader.string("a scheme")?;
            Request::Auth(scheme, reader.buffer("credentials")?)
        }
        op::SASL => {
            reader.buffer("a token of SASL")?.ok_or(Malformed { what: "a token of SASL" })?;
            Request::Sasl
        }
        op::RECONFIG => {
            for what in ["servers that join", "servers that leave", "servers that there are to be"] {
                reader.string(what)?;
            }
            reader.long("the version of an ensemble")?;
            Request::Reconfig
        }
        op::SET_WATCHES | op::SET_WATCHES2 => set_watches(reader, number == op::SET_WATCHES2)?,
        op::GET_EPHEMERALS => Request::GetEphemerals(path(reader)?),
        op::GET_ALL_CHILDREN_NUMBER => Request::GetAllChildrenNumber(znode(reader)?),
        op::ADD_WATCH => Request::AddWatch(
            znode(reader)?,
            match reader.int("a watch's mode")? {
                0 => AddMode::Persistent,
                1 => AddMode::Recursive,
                _ => return Err(Malformed { what: "a watch's mode" }),
            },
        ),
        op::WHO_AM_I => Request::WhoAmI,
        op::CLOSE_SESSION => Request::CloseSession,
        _ => return Ok(None),
    }))
}

fn path<'a>(reader: &mut JuteReader<'a>) -> Result<&'a str, Malformed> {
    reader.path().map(Option::unwrap_or_default)
}

/// The path of a znode where null is none: that is ZooKeeper's to say; elsewhere null is as wrong as no path at all.
fn znode<'a>(reader: &mut JuteReader<'a>) -> Result<&'a str, Malformed> {
    reader.path()?.ok_or(Malformed { what: "a path" })
}

fn data<'a>(reader: &mut JuteReader<'a>) -> Result<Option<&'a [u8]>, Malformed> {
    reader.buffer("a znode's data")
}

fn version(reader: &mut JuteReader<'_>) -> Result<i32, Malformed> {
    reader.int("a version")
}

fn watch(reader: &mut JuteReader<'_>) -> Result<bool, Malformed> {
    reader.boolean("whether it is watched")
}

fn create<'a>(number: i32, reader: &mut JuteReader<'a>, in_multi: bool) -> Result<Create<'a>, Malformed> {
    let (path, data) = (znode(reader)?, data(reader)?);
    if in_multi && number != op::CREATE_TTL && reader.is_at_null() {
        // ZooKeeper finds that to be no list in what stands alone or has a time to live, and no operation at all elsewhere.
        return Err(Malformed { what: "an access list" });
    }
    Ok(Create {
        path,
        data,
        acls: reader.acls("an access list")?,
        flags: reader.int("a mode")?,
        is_container: number == op::CREATE_CONTAINER,
        ttl: if number == op::CREATE_TTL { Some(reader.long("a time to live")?) } else { None },
        with_stat: number != op::CREATE,
    })
}

/// The same as an operation of a multi. As ZooKeeper has it: there a mode can say that it is a container, and what has a time
/// to live is another operation if its mode wants none.
fn create_of_many<'a>(number: i32, reader: &mut JuteReader<'a>) -> Result<Create<'a>, Malformed> {
    let mut create = create(number, reader, true)?;
    // A mode that nobody knows makes the whole unreadable, and so does one that wants a time to live where none stands.
    if number != op::CREATE_TTL && !(0..=CONTAINER).contains(&create.flags) {
        return Err(Malformed { what: "a mode" });
    }
    create.is_container |= create.flags == CONTAINER;
    if number == op::CREATE_TTL && !matches!(create.mode(), Some((Kind::Ttl, _))) {
        (create.ttl, create.with_stat) = (None, false);
    }
    create.with_stat |= create.is_container;
    Ok(create)
}

fn watcher_type(reader: &mut JuteReader<'_>) -> Result<WatcherType, Malformed> {
    Ok(match reader.int("a watch's kind")? {
        1 => WatcherType::Children,
        2 => WatcherType::Data,
        3 => WatcherType::Any,
        4 => WatcherType::Persistent,
        5 => WatcherType::Recursive,
        _ => return Err(Malformed { what: "a watch's kind" }),
    })
}

fn set_watches<'a>(reader: &mut JuteReader<'a>, all_kinds: bool) -> Result<Request<'a>, Malformed> {
    let since = reader.long("the zxid that watches were set at")?;
    let mut paths = |asked: bool| if asked { reader.paths("watched paths") } else { Ok(Strings::default()) };
    let lists = [paths(true)?, paths(true)?, paths(true)?, paths(all_kinds)?, paths(all_kinds)?];
    Ok(Request::SetWatches(since, lists))
}

/// Looks through the operations of a multi. Reads and writes are not mixed.
fn operations<'a>(reader: &mut JuteReader<'a>, reads: bool) -> Result<Ops<'a>, Malformed> {
    let mut ops = Ops { rest: reader.clone(), left: 0 };
    while of_many(reader, reads)?.is_some() {
        ops.left += 1;
    }
    Ok(ops)
}

fn of_many<'a>(reader: &mut JuteReader<'a>, reads: bool) -> Result<Option<Op<'a>>, Malformed> {
    let op = operation(reader)?;
    match op {
        Some(op) if op.is_read() != reads => Err(Malformed { what: "an operation of a multi" }),
        op => Ok(op),
    }
}

/// The next operation; `None`: there are no more.
fn operation<'a>(reader: &mut JuteReader<'a>) -> Result<Option<Op<'a>>, Malformed> {
    let number = reader.int("an operation's type")?;
    let done = reader.boolean("whether operations follow")?;
    reader.int("an operation's error")?;
    if done {
        return Ok(None);
    }
    Ok(Some(match number {
        op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => Op::Create(create_of_many(number, reader)?),
        op::DELETE => Op::Delete(znode(reader)?, version(reader)?),
        op::SET_DATA => Op::SetData(znode(reader)?, data(reader)?, version(reader)?),
        op::CHECK => Op::Check(znode(reader)?, version(reader)?),
        op::GET_DATA | op::GET_CHILDREN => {
            let path = znode(reader)?;
            watch(reader)?;
            if number == op::GET_DATA { Op::GetData(path) } else { Op::GetChildren(path) }
        }
        _ => return Err(Malformed { what: "an operation's type" }),
    }))
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
