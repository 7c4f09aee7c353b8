//! The tree of znodes that ZooKeeper's clients see, with its sessions: pure state, fed by a log.
//!
//! A request is checked against what will be when all that is appended is applied ([`Tree::prepare`]), and becomes a
//! transaction that leaves nothing to decide ([`Txn`]). That goes through the log ([`Tree::append`], and [`Tree::follow`] on
//! other replicas), and is applied once it is committed ([`Tree::apply_next`]). What is appended and not committed lies before
//! the state as a list ([`overlay`]), which a new leader's entries cut from the back ([`Tree::cut`]). Reads see what is applied.
//! All replicas that have applied the same transactions have the same [`Tree::digest`].
//!
//! Who is heard of when ([`expiry`]) and who watches what ([`watches`]) is not in the log, and stands beside the tree.

mod acl;
mod apply;
mod auth;
mod close;
mod digest;
mod draft;
mod error;
pub mod expiry;
mod index;
mod lifetime;
mod newest;
mod overlay;
pub mod path;
mod prepare;
mod quota;
mod read;
mod slab;
mod snapshot;
mod store;
mod texts;
mod txn;
pub mod watches;

pub use acl::{Acl, AclList, Id, perms};
pub use apply::{Applied, Event, EventKind, Outcome};
pub use auth::{Identity, authenticate};
pub use digest::of_whole_path as stands_for;
pub use error::TreeError;
pub use lifetime::{Lifetime, TTL_MAX};
pub use overlay::Session;
pub use prepare::{Asker, Change, Create, Refused};
pub use read::{ListPlace, Listed};
pub use snapshot::{Loader, Taker};
pub use store::Stat;
pub use txn::{Body, Op, Txn};

use draft::Draft;
use lifetime::Lifetime as Life;
use overlay::{Overlay, View};
use quota::Quotas;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Made, Store};
use torc_base::ids::{Index, SessionId, Zxid};
use torc_base::time::Wall;

/// What a tree is told when it is made. Replicas may differ in all of it.
#[derive(Clone, Copy, Debug)]
pub struct TreeSettings {
    /// Random bytes, by which clients are kept from choosing names that are slow to find.
    pub secret: (u64, u64),
    /// There are znodes with a time to live (`zookeeper.extendedTypesEnabled`).
    pub has_ttl: bool,
    /// Hard quotas are kept (`zookeeper.enforceQuota`).
    pub enforces_quotas: bool,
    /// Access lists are not asked (`zookeeper.skipACL`).
    pub skips_acls: bool,
    /// Memory that znodes may take, in bytes: beyond it none is made, and none gets larger.
    pub memory_max: usize,
    /// Bytes of one piece of a snapshot for a checkpoint, its last znode aside.
    pub piece_bytes: usize,
}

/// The tree, with what is appended and not committed.
#[derive(Clone, Debug)]
pub struct Tree {
    settings: TreeSettings,
    store: Store,
    sessions: BTreeMap<SessionId, Session>,
    /// Sum of what stands for each session.
    sessions_digest: u64,
    quotas: Quotas,
    overlay: Overlay,
    /// What is to be appended next.
    draft: Option<Draft>,
    /// Operations of the next transaction that are applied: not all of them are, or there are none.
    applying: usize,
    /// Operations that are applied, and go some at a time.
    spent: Vec<Op>,
    /// Lets everybody do everything: most znodes have it.
    open: AclList,
    /// The last entry of the log that is applied, and the last transaction.
    applied: Index,
    zxid: Zxid,
    /// What reads find at [`path::CONFIG`] in the place of what stands there. It is no part of the state.
    config: Option<Box<str>>,
}

impl Tree {
    /// The tree that every cluster begins with.
    pub fn new(settings: TreeSettings) -> Tree {
        let mut store = Store::new(settings.secret);
        let open = AclList::world(perms::ALL);
        let read_only = AclList::world(perms::READ);
        let mut make = |parent: &str, name: &str, acl: &AclList| {
            let parent = store.find(parent).expect("made before");
            let data = Some(&[][..]);
            let owner = Life::Persistent.owner();
            store.insert(parent, name, Made { data, acl, owner, zxid: Zxid(0), time: Wall(0), creates: 0 });
        };
        make("/", "zookeeper", &open);
        make(path::SYSTEM, "quota", &open);
        make(path::SYSTEM, "config", &open);
        // ZooKeeper makes it so that the list has this version.
        store.set_acl(store.find(path::CONFIG).expect("just made"), &read_only, -1);
        Tree::with(settings, store)
    }

    fn with(settings: TreeSettings, store: Store) -> Tree {
        let (sessions, quotas, overlay) = (BTreeMap::new(), Quotas::default(), Overlay::new(settings.secret));
        let (open, applied, zxid) = (AclList::new(&[acl::OPEN]), Index(0), Zxid(0));
        Tree {
            settings,
            store,
            sessions,
            sessions_digest: 0,
            quotas,
            overlay,
            draft: None,
            applying: 0,
            spent: Vec::new(),
            open,
            applied,
            zxid,
            config: None,
        }
    }

    /// Reads find this at [`path::CONFIG`] from now on: who the servers are, as this one knows them.
    pub fn show_config(&mut self, text: Option<String>) {
        self.config = text.map(String::into_boxed_str);
    }

    /// What they find there now; `None`: what stands there.
    pub fn shown_config(&self) -> Option<&str> {
        self.config.as_deref()
    }

    /// Through which entry of the log this is applied.
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// The last transaction that is applied.
    pub fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// The last transaction that is appended.
    pub fn newest_zxid(&self) -> Zxid {
        self.overlay.last().map_or(self.zxid, |(_, txn)| txn.zxid)
    }

    /// Transactions that are appended and not applied, and their bytes.
    pub fn pending(&self) -> (usize, usize) {
        (self.overlay.len(), self.overlay.bytes())
    }

    /// The transactions that are appended and not applied, in the order of the log.
    pub fn pending_txns(&self) -> impl Iterator<Item = (Index, &Txn)> {
        self.overlay.iter()
    }

    /// What stands for all znodes and sessions: replicas that have applied the same transactions have the same.
    pub fn digest(&self) -> u64 {
        self.store.digest.wrapping_add(self.sessions_digest)
    }

    /// A session is another from now on, or gone. What it was before.
    fn put_session(&mut self, id: SessionId, session: Option<Session>) -> Option<Session> {
        let digest = |session: Session| digest::of_session(id.get(), session.timeout_ms, session.is_closing);
        let before = match session {
            Some(session) => self.sessions.insert(id, session),
            None => self.sessions.remove(&id),
        };
        let more = session.map_or(0, digest).wrapping_sub(before.map_or(0, digest));
        self.sessions_digest = self.sessions_digest.wrapping_add(more);
        before
    }

    /// Memory of znodes, in bytes.
    pub fn memory(&self) -> usize {
        self.store.memory()
    }

    /// Znodes, the root among them; and how many of these go with their sessions.
    pub fn znodes(&self) -> (usize, usize) {
        (self.store.slab.live(), self.store.lifetimes.ephemerals())
    }

    /// Bytes of all znodes' data.
    pub fn data_bytes(&self) -> u64 {
        self.store.data_bytes
    }

    /// Different access lists.
    pub fn acl_lists(&self) -> usize {
        self.store.acls.len()
    }

    /// Committed sessions.
    pub fn sessions(&self) -> impl ExactSizeIterator<Item = (SessionId, Session)> {
        self.sessions.iter().map(|(id, session)| (*id, *session))
    }

    /// A session as new requests see it.
    pub fn session(&self, id: SessionId) -> Option<Session> {
        match self.overlay.session(id) {
            Some(pending) => *pending,
            None => self.sessions.get(&id).copied(),
        }
    }

    /// A session as reads see it.
    pub fn committed_session(&self, id: SessionId) -> Option<Session> {
        self.sessions.get(&id).copied()
    }

    /// A znode as new requests see it.
    fn view(&self, path: &str) -> Option<View> {
        self.view_hashed(path, digest::of_whole_path(path))
    }

    /// The same of a path for which this stands.
    fn view_hashed(&self, path: &str, hash: u64) -> Option<View> {
        let path = if path.is_empty() { "/" } else { path };
        match self.overlay.znode(path, hash) {
            Some(pending) => pending.clone(),
            None => self.committed_view(path, hash),
        }
    }

    /// The same, with the path again.
    fn view_and_path(&self, path: &str, hash: u64) -> Option<(Arc<str>, View)> {
        let path = if path.is_empty() { "/" } else { path };
        match self.overlay.znode_and_path(path, hash) {
            Some((path, pending)) => pending.clone().map(|view| (path.clone(), view)),
            None => self.committed_view(path, hash).map(|view| (path.into(), view)),
        }
    }

    /// True if new requests see a znode there.
    fn is_there(&self, path: &str, hash: u64) -> bool {
        match self.overlay.znode(path, hash) {
            Some(pending) => pending.is_some(),
            None => self.store.find_hashed(path, hash).is_some(),
        }
    }

    fn committed_view(&self, path: &str, hash: u64) -> Option<View> {
        let id = self.store.find_hashed(path, hash)?;
        let slot = self.store.get(id);
        Some(View {
            version: slot.version,
            aversion: slot.aversion(),
            creates: slot.creates(),
            children: slot.children(),
            data_len: slot.data_len(),
            mtime: Wall(slot.mtime),
            lifetime: Life::of(slot.owner()),
            acl: self.store.acl(id).clone(),
        })
    }

    /// Entry `index` of the log is this transaction, which others have made: before it is applied nobody is judged by it here.
    /// So it costs nothing to take it in, however long it is; who is to judge requests applies it first.
    pub fn follow(&mut self, index: Index, txn: Txn) {
        self.check_follows(index, &txn);
        self.drop_draft();
        self.overlay.follow(index, txn);
    }

    fn check_follows(&self, index: Index, txn: &Txn) {
        let last = self.overlay.last().map_or(self.applied, |(last, _)| last);
        assert!(index > last, "entry {index} after entry {last}");
        assert!(txn.zxid > self.newest_zxid(), "zxid {} after {}", txn.zxid, self.newest_zxid());
    }

    /// Entry `index` of the log is this transaction: new requests are judged by it from now on.
    pub fn append(&mut self, index: Index, txn: Txn) {
        self.check_follows(index, &txn);
        if let Some(mark) = self.take_draft() {
            return self.overlay.seal(index, txn, mark);
        }
        let mark = self.overlay.mark();
        for op in txn.ops() {
            // What has become impossible changes nothing here, and nothing when it is applied.
            let _ = self.stage(op, txn.time);
        }
        match &txn.body {
            Body::CreateSession { timeout_ms } if self.session(txn.session).is_none() => {
                let session = Session { timeout_ms: *timeout_ms, is_closing: false };
                self.overlay.put_session(txn.session, Some(session));
            }
            Body::CloseSession { ephemerals, last } => {
                for path in ephemerals {
                    let owner = self.view(path).map(|view| view.lifetime.session());
                    if owner == Some(txn.session) {
                        let _ = self.stage(&Op::Delete { path: path.clone() }, txn.time);
                    }
                }
                if let Some(session) = self.session(txn.session) {
                    let rest = Session { is_closing: true, ..session };
                    self.overlay.put_session(txn.session, (!last).then_some(rest));
                }
            }
            _ => {}
        }
        self.overlay.seal(index, txn, mark);
    }

    /// Entries from `from` on, none of which is committed, were never there: another leader's take their place.
    pub fn cut(&mut self, from: Index) {
        assert!(from > self.applied, "entry {from} is applied");
        self.drop_draft();
        while self.overlay.pop_from(from).is_some() {}
    }

    /// Lets new requests see what an operation will have done. What fails here fails when it is applied.
    fn stage(&mut self, op: &Op, time: Wall) -> Result<(), TreeError> {
        let path = op.path();
        let (above_hash, hash) = digest::of_parent_and_path(path);
        let view = self.view_hashed(path, hash);
        match op {
            Op::Create { data, acl, lifetime, creates, .. } => {
                let above = self.overlay.shared(path::parent(path), above_hash);
                let parent = self.view_hashed(&above, above_hash).ok_or(TreeError::NoNode)?;
                if view.is_some() {
                    return Err(TreeError::NodeExists);
                }
                let parent = View { children: parent.children + 1, creates: *creates, ..parent };
                self.overlay.put_znode(above, above_hash, Some(parent));
                let data_len = data.as_ref().map_or(0, |data| data.len());
                let made = View::made(time, data_len, *lifetime, acl.clone());
                self.overlay.put_znode(path.clone(), hash, Some(made));
            }
            Op::Delete { .. } => {
                deletable(path, view.map(|view| view.children))?;
                let above = self.overlay.shared(path::parent(path), above_hash);
                let parent = self.view_hashed(&above, above_hash).expect("a child has a parent");
                let parent = View { children: parent.children - 1, ..parent };
                self.overlay.put_znode(above, above_hash, Some(parent));
                self.overlay.put_znode(path.clone(), hash, None);
            }
            Op::SetData { data, version, .. } => {
                let view = view.ok_or(TreeError::NoNode)?;
                let data_len = data.as_ref().map_or(0, |data| data.len());
                self.overlay.put_znode(
                    path.clone(),
                    hash,
                    Some(View { data_len, version: *version, mtime: time, ..view }),
                );
            }
            Op::SetAcl { acl, version, .. } => {
                let view = view.ok_or(TreeError::NoNode)?;
                let acl = acl.clone();
                self.overlay.put_znode(path.clone(), hash, Some(View { acl, aversion: *version, ..view }));
            }
            Op::Check { .. } => {}
        }
        Ok(())
    }
}

/// Fails unless a znode can go: with so many children, `None` if it is not there.
fn deletable(path: &str, children: Option<u32>) -> Result<(), TreeError> {
    match children {
        _ if path::is_special(path) => Err(TreeError::BadArguments),
        None => Err(TreeError::NoNode),
        Some(0) => Ok(()),
        Some(_) => Err(TreeError::NotEmpty),
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod transcript_tests;
