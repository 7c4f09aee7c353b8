//! What clients send: requests that are appended, each with its length.

use super::connect::Connect;
use super::jute::{Acl, put_acls, put_buffer, put_count, put_int, put_long, put_string};
use super::reply::seal;
use super::request::{AddMode, Kind, WatcherType, op};
use super::xid;

/// A znode to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct New<'a> {
    /// Where; of a sequential one, what its number is put behind.
    pub path: &'a str,
    /// What it holds.
    pub data: &'a [u8],
    /// Who may do what.
    pub acls: &'a [Acl<'a>],
    /// How it ends by itself.
    pub kind: Kind,
    /// Its name gets a number.
    pub sequential: bool,
    /// Milliseconds, of a kind that has them.
    pub ttl_ms: i64,
    /// The answer is to have the stat too. Containers and znodes with a time to live are told it in any case.
    pub with_stat: bool,
}

impl New<'_> {
    fn number(&self) -> i32 {
        match self.kind {
            Kind::Container => op::CREATE_CONTAINER,
            Kind::Ttl => op::CREATE_TTL,
            Kind::Persistent | Kind::Ephemeral if self.with_stat => op::CREATE2,
            Kind::Persistent | Kind::Ephemeral => op::CREATE,
        }
    }

    fn flags(&self) -> i32 {
        match (self.kind, self.sequential) {
            (Kind::Persistent, false) => 0,
            (Kind::Ephemeral, false) => 1,
            (Kind::Persistent, true) => 2,
            (Kind::Ephemeral, true) => 3,
            (Kind::Container, _) => 4,
            (Kind::Ttl, false) => 5,
            (Kind::Ttl, true) => 6,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_string(out, self.path);
        put_buffer(out, Some(self.data));
        put_acls(out, self.acls.iter().copied());
        put_int(out, self.flags());
        if self.kind == Kind::Ttl {
            put_long(out, self.ttl_ms);
        }
    }
}

/// One operation of a multi to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// A znode is made.
    Create(New<'a>),
    /// A znode goes, if it has this version; -1: any.
    Delete(&'a str, i32),
    /// Its data become others, if it has this version.
    SetData(&'a str, &'a [u8], i32),
    /// It has this version.
    Check(&'a str, i32),
}

impl Change<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        let number = match self {
            Change::Create(new) => new.number(),
            Change::Delete(..) => op::DELETE,
            Change::SetData(..) => op::SET_DATA,
            Change::Check(..) => op::CHECK,
        };
        multi_head(out, number, false);
        match self {
            Change::Create(new) => new.encode(out),
            Change::Delete(path, version) | Change::Check(path, version) => {
                put_string(out, path);
                put_int(out, *version);
            }
            Change::SetData(path, data, version) => {
                put_string(out, path);
                put_buffer(out, Some(data));
                put_int(out, *version);
            }
        }
    }

    /// Bytes that it takes in a request, about.
    pub fn bytes(&self) -> usize {
        const HEADS: usize = 64;
        HEADS
            + match self {
                Change::Create(new) => {
                    let acls = new.acls.iter().map(|acl| 12 + acl.scheme.len() + acl.id.len());
                    new.path.len() + new.data.len() + acls.sum::<usize>()
                }
                Change::Delete(path, _) | Change::Check(path, _) => path.len(),
                Change::SetData(path, data, _) => path.len() + data.len(),
            }
    }
}

fn multi_head(out: &mut Vec<u8>, number: i32, done: bool) {
    put_int(out, number);
    out.push(u8::from(done));
    put_int(out, -1);
}

/// What a client asks.
#[derive(Clone, Copy, Debug)]
pub enum Ask<'a> {
    /// A znode is to be made.
    Create(New<'a>),
    /// A znode is to go, if it has this version; -1: any.
    Delete(&'a str, i32),
    /// Whether it is there; true: and is watched.
    Exists(&'a str, bool),
    /// Its data; true: and is watched.
    GetData(&'a str, bool),
    /// Its data are to become others, if it has this version.
    SetData(&'a str, &'a [u8], i32),
    /// Its access list.
    GetAcl(&'a str),
    /// Its access list is to become another, if that has this version.
    SetAcl(&'a str, &'a [Acl<'a>], i32),
    /// Names of its children, and its stat; true: and they are watched.
    GetChildren(&'a str, bool),
    /// Everything that was committed when this was asked is to be seen from now on.
    Sync(&'a str),
    /// The session lives.
    Ping,
    /// All of these or none.
    Multi(&'a [Change<'a>]),
    /// Such watches are to go.
    RemoveWatches(&'a str, WatcherType),
    /// Credentials: a scheme, and what proves it.
    Auth(&'a str, &'a [u8]),
    /// Watches from before a reconnect: since which zxid, and where, by data, exists, children, persistent, recursive.
    SetWatches(i64, [&'a [String]; 5]),
    /// How many descendants it has.
    GetAllChildrenNumber(&'a str),
    /// A watch that stays.
    AddWatch(&'a str, AddMode),
    /// The session ends.
    CloseSession,
}

impl Ask<'_> {
    /// The id that a request of this kind has whoever sends it; `None`: a number of the client's own.
    pub fn fixed_xid(&self) -> Option<i32> {
        match self {
            Ask::Ping => Some(xid::PING),
            Ask::Auth(..) => Some(xid::AUTH),
            Ask::SetWatches(..) => Some(xid::SET_WATCHES),
            _ => None,
        }
    }

    /// True if asking it twice is as good as once.
    pub fn only_reads(&self) -> bool {
        !matches!(
            self,
            Ask::Create(_)
                | Ask::Delete(..)
                | Ask::SetData(..)
                | Ask::SetAcl(..)
                | Ask::Multi(_)
                | Ask::RemoveWatches(..)
                | Ask::CloseSession
        )
    }

    fn number(&self) -> i32 {
        match self {
            Ask::Create(new) => new.number(),
            Ask::Delete(..) => op::DELETE,
            Ask::Exists(..) => op::EXISTS,
            Ask::GetData(..) => op::GET_DATA,
            Ask::SetData(..) => op::SET_DATA,
            Ask::GetAcl(_) => op::GET_ACL,
            Ask::SetAcl(..) => op::SET_ACL,
            Ask::GetChildren(..) => op::GET_CHILDREN2,
            Ask::Sync(_) => op::SYNC,
            Ask::Ping => op::PING,
            Ask::Multi(_) => op::MULTI,
            Ask::RemoveWatches(..) => op::REMOVE_WATCHES,
            Ask::Auth(..) => op::AUTH,
            // Those that stay are known from ZooKeeper 3.6 on.
            Ask::SetWatches(_, [.., persistent, recursive]) if persistent.is_empty() && recursive.is_empty() => {
                op::SET_WATCHES
            }
            Ask::SetWatches(..) => op::SET_WATCHES2,
            Ask::GetAllChildrenNumber(_) => op::GET_ALL_CHILDREN_NUMBER,
            Ask::AddWatch(..) => op::ADD_WATCH,
            Ask::CloseSession => op::CLOSE_SESSION,
        }
    }

    /// Appends the request, with its length. `xid` stands in the answer, unless the kind has one of its own.
    pub fn encode(&self, xid: i32, out: &mut Vec<u8>) {
        let at = out.len();
        put_count(out, 0);
        put_int(out, self.fixed_xid().unwrap_or(xid));
        put_int(out, self.number());
        self.body(out);
        seal(out, at);
    }

    fn body(&self, out: &mut Vec<u8>) {
        match self {
            Ask::Create(new) => new.encode(out),
            Ask::Delete(path, version) => {
                put_string(out, path);
                put_int(out, *version);
            }
            Ask::Exists(path, watch) | Ask::GetData(path, watch) | Ask::GetChildren(path, watch) => {
                put_string(out, path);
                out.push(u8::from(*watch));
            }
            Ask::SetData(path, data, version) => {
                put_string(out, path);
                put_buffer(out, Some(data));
                put_int(out, *version);
            }
            Ask::GetAcl(path) | Ask::Sync(path) | Ask::GetAllChildrenNumber(path) => put_string(out, path),
            Ask::SetAcl(path, acls, version) => {
                put_string(out, path);
                put_acls(out, acls.iter().copied());
                put_int(out, *version);
            }
            Ask::Multi(changes) => {
                changes.iter().for_each(|change| change.encode(out));
                multi_head(out, -1, true);
            }
            Ask::RemoveWatches(path, kind) => {
                put_string(out, path);
                put_int(out, *kind as i32);
            }
            Ask::Auth(scheme, proof) => {
                put_int(out, 0);
                put_string(out, scheme);
                put_buffer(out, Some(proof));
            }
            Ask::SetWatches(since, lists) => {
                put_long(out, *since);
                let kinds = if self.number() == op::SET_WATCHES2 { 5 } else { 3 };
                for list in &lists[..kinds] {
                    put_count(out, list.len());
                    list.iter().for_each(|path| put_string(out, path));
                }
            }
            Ask::AddWatch(path, mode) => {
                put_string(out, path);
                put_int(out, i32::from(*mode == AddMode::Recursive));
            }
            Ask::Ping | Ask::CloseSession => {}
        }
    }
}

impl Connect {
    /// Appends the first request of a connection, with its length.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let at = out.len();
        put_count(out, 0);
        put_int(out, 0);
        put_long(out, self.last_zxid);
        put_int(out, self.timeout_ms);
        put_long(out, self.session.map_or(0, |session| session.id));
        put_buffer(out, Some(&self.session.map_or([0; super::PASSWORD_BYTES], |session| session.password)));
        if self.knows_read_only {
            out.push(u8::from(self.read_only));
        }
        seal(out, at);
    }
}

#[cfg(test)]
#[path = "ask_tests.rs"]
mod tests;
