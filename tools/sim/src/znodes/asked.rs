//! What a simulated client asks, kept until it is answered.

use super::annals::{Attempt, Effect};
use super::line;
use torc_net::zookeeper::{Acl, AddMode, Ask, Change, Kind, New};

const OPEN: &[Acl<'static>] = &[Acl { perms: 31, scheme: "world", id: "anyone" }];

/// What is to be done to one znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Do {
    Make { kind: Kind, sequential: bool, ttl_ms: i64 },
    Set,
    Delete,
    Check,
}

/// The same, with which. `count` stands in its data, behind the number of the request.
#[derive(Clone, Debug)]
pub struct Op {
    pub what: Do,
    pub path: String,
    pub version: i32,
    pub count: i64,
}

impl Op {
    pub fn make(path: &str, kind: Kind) -> Op {
        Op::make_as(path, Do::Make { kind, sequential: false, ttl_ms: 0 })
    }

    pub fn numbered(path: &str, kind: Kind) -> Op {
        Op::make_as(path, Do::Make { kind, sequential: true, ttl_ms: 0 })
    }

    pub fn make_as(path: &str, what: Do) -> Op {
        Op { what, path: path.to_string(), version: -1, count: 0 }
    }

    pub fn set(path: &str, version: i32, count: i64) -> Op {
        Op { what: Do::Set, path: path.to_string(), version, count }
    }

    pub fn delete(path: &str, version: i32) -> Op {
        Op { what: Do::Delete, path: path.to_string(), version, count: 0 }
    }

    pub fn check(path: &str, version: i32) -> Op {
        Op { what: Do::Check, path: path.to_string(), version, count: 0 }
    }

    /// What it will have done when it is done in a session.
    pub fn effect(&self, session: i64) -> Option<Effect> {
        let of = |kind, sequential, owner| Some(Effect { path: self.path.clone(), kind, sequential, owner });
        match self.what {
            Do::Make { kind, sequential, .. } => {
                // Marks of those that end otherwise are not told.
                let owner = if kind == Kind::Ephemeral { session } else { 0 };
                of(line::Kind::Made, sequential, owner)
            }
            Do::Set => of(line::Kind::Set, false, 0),
            Do::Delete => of(line::Kind::Gone, false, 0),
            Do::Check => None,
        }
    }

    fn data(&self, attempt: Attempt) -> Vec<u8> {
        format!("{attempt} {}", self.count).into_bytes()
    }
}

/// Why something is asked, where the answer leads to something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Load,
    /// To count one more.
    Count,
    /// To get a lock, or to give it back.
    Lock,
}

/// See the module.
#[derive(Clone, Debug)]
pub enum Asked {
    Change {
        ops: Vec<Op>,
        attempt: Attempt,
        is_multi: bool,
        why: Why,
    },
    Get {
        path: String,
        watch: bool,
        why: Why,
    },
    Exists {
        path: String,
        watch: bool,
        why: Why,
    },
    List {
        path: String,
        watch: bool,
        why: Why,
    },
    /// The newest change that was answered when it was asked.
    Sync {
        floor: i64,
    },
    Stay {
        path: String,
        recursive: bool,
    },
    Restore {
        since: i64,
        lists: [Vec<String>; 5],
    },
    Ping,
    Close,
}

/// A request without its answer.
#[derive(Debug)]
pub struct Waiting {
    pub xid: i32,
    pub at: u64,
    pub asked: Asked,
}

impl Asked {
    /// The frame, and the number that stands in the answer.
    pub fn encode(&self, xid: i32) -> (Vec<u8>, i32) {
        let mut out = Vec::new();
        let mut put = |ask: &Ask<'_>| {
            ask.encode(xid, &mut out);
            ask.fixed_xid().unwrap_or(xid)
        };
        let xid = match self {
            Asked::Change { ops, attempt, is_multi, .. } => put_change(ops, *attempt, *is_multi, &mut put),
            Asked::Get { path, watch, .. } => put(&Ask::GetData(path, *watch)),
            Asked::Exists { path, watch, .. } => put(&Ask::Exists(path, *watch)),
            Asked::List { path, watch, .. } => put(&Ask::GetChildren(path, *watch)),
            Asked::Sync { .. } => put(&Ask::Sync("/")),
            Asked::Stay { path, recursive } => {
                put(&Ask::AddWatch(path, if *recursive { AddMode::Recursive } else { AddMode::Persistent }))
            }
            Asked::Restore { since, lists } => put(&Ask::SetWatches(*since, lists.each_ref().map(Vec::as_slice))),
            Asked::Ping => put(&Ask::Ping),
            Asked::Close => put(&Ask::CloseSession),
        };
        (out, xid)
    }
}

fn put_change(ops: &[Op], attempt: Attempt, is_multi: bool, put: &mut dyn FnMut(&Ask<'_>) -> i32) -> i32 {
    let data: Vec<Vec<u8>> = ops.iter().map(|op| op.data(attempt)).collect();
    let changes: Vec<Change<'_>> = ops
        .iter()
        .zip(&data)
        .map(|(op, data)| match op.what {
            Do::Make { kind, sequential, ttl_ms } => {
                Change::Create(New { path: &op.path, data, acls: OPEN, kind, sequential, ttl_ms, with_stat: true })
            }
            Do::Set => Change::SetData(&op.path, data, op.version),
            Do::Delete => Change::Delete(&op.path, op.version),
            Do::Check => Change::Check(&op.path, op.version),
        })
        .collect();
    if is_multi {
        return put(&Ask::Multi(&changes));
    }
    match changes[0] {
        Change::Create(new) => put(&Ask::Create(new)),
        Change::Delete(path, version) => put(&Ask::Delete(path, version)),
        Change::SetData(path, data, version) => put(&Ask::SetData(path, data, version)),
        Change::Check(..) => unreachable!("only multis check"),
    }
}
