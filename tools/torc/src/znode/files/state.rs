//! What the files of a ZooKeeper say: its znodes and sessions, and what becomes of them by a transaction.

use std::collections::BTreeMap;
use std::sync::Arc;
use torc_net::zookeeper::OwnedAcl;

/// What is kept of a znode beside its data. Times are in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    pub czxid: i64,
    pub mzxid: i64,
    pub ctime: i64,
    pub mtime: i64,
    pub version: i32,
    /// Children that were ever made: the next sequential name's number. Clients are told another figure.
    pub cversion: i32,
    pub aversion: i32,
    pub owner: i64,
    pub pzxid: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `None`: null was written.
    pub data: Option<Vec<u8>>,
    pub acls: Arc<Vec<OwnedAcl>>,
    pub kept: Kept,
}

/// All that a ZooKeeper holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// By path, parents before their children.
    pub nodes: BTreeMap<String, Node>,
    /// Their timeouts in milliseconds.
    pub sessions: BTreeMap<i64, i32>,
    /// The newest change.
    pub zxid: i64,
}

/// A change, as a log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Txn {
    Create {
        path: String,
        data: Option<Vec<u8>>,
        acls: Vec<OwnedAcl>,
        owner: i64,
        parent_cversion: i32,
    },
    Delete {
        path: String,
    },
    SetData {
        path: String,
        data: Option<Vec<u8>>,
        version: i32,
    },
    SetAcl {
        path: String,
        acls: Vec<OwnedAcl>,
        version: i32,
    },
    CreateSession {
        timeout_ms: i32,
    },
    CloseSession,
    /// All of these or, if one is an error, none.
    Multi(Vec<Txn>),
    /// The version was right, or a request was refused.
    Nothing,
    /// A request was refused.
    Error,
}

/// Who made a change, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub session: i64,
    pub zxid: i64,
    pub time: i64,
}

/// The path of what a znode is in.
pub fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

impl State {
    /// Makes a change. A snapshot is taken while changes are made, so this one may be in it already, or what it is about may
    /// be gone by another: then nothing is to be done, as in ZooKeeper.
    pub fn apply(&mut self, head: &Head, txn: Txn) {
        self.zxid = self.zxid.max(head.zxid);
        match txn {
            Txn::Create { path, data, acls, owner, parent_cversion } => {
                self.create(head, path, Node { data, acls: Arc::new(acls), kept: fresh(head, owner) }, parent_cversion);
            }
            Txn::Delete { path } => self.delete(head, &path),
            Txn::SetData { path, data, version } => {
                if let Some(node) = self.nodes.get_mut(&path) {
                    node.data = data;
                    (node.kept.version, node.kept.mzxid, node.kept.mtime) = (version, head.zxid, head.time);
                }
            }
            Txn::SetAcl { path, acls, version } => {
                if let Some(node) = self.nodes.get_mut(&path) {
                    (node.acls, node.kept.aversion) = (Arc::new(acls), version);
                }
            }
            Txn::CreateSession { timeout_ms } => {
                self.sessions.insert(head.session, timeout_ms);
            }
            Txn::CloseSession => {
                self.sessions.remove(&head.session);
                let mine = |node: &Node| node.kept.owner == head.session;
                let gone: Vec<String> =
                    self.nodes.iter().filter(|(_, node)| mine(node)).map(|(path, _)| path.clone()).collect();
                gone.iter().for_each(|path| self.delete(head, path));
            }
            Txn::Multi(txns) if txns.contains(&Txn::Error) => {}
            Txn::Multi(txns) => txns.into_iter().for_each(|txn| self.apply(head, txn)),
            Txn::Nothing | Txn::Error => {}
        }
    }

    fn create(&mut self, head: &Head, path: String, node: Node, parent_cversion: i32) {
        let Some(above) = self.nodes.get_mut(parent(&path)) else { return };
        let made = if parent_cversion == -1 { above.kept.cversion + 1 } else { parent_cversion };
        if made > above.kept.cversion {
            (above.kept.cversion, above.kept.pzxid) = (made, above.kept.pzxid.max(head.zxid));
        }
        self.nodes.entry(path).or_insert(node);
    }

    fn delete(&mut self, head: &Head, path: &str) {
        if self.nodes.remove(path).is_some()
            && let Some(above) = self.nodes.get_mut(parent(path))
        {
            above.kept.pzxid = above.kept.pzxid.max(head.zxid);
        }
    }
}

fn fresh(head: &Head, owner: i64) -> Kept {
    let Head { zxid, time, .. } = *head;
    Kept { czxid: zxid, mzxid: zxid, pzxid: zxid, ctime: time, mtime: time, owner, ..Kept::default() }
}
