//! What is committed moves into the state, and is told to those who watch.

use super::acl::AclList;
use super::error::TreeError;
use super::lifetime::Lifetime;
use super::store::{Made, Stat};
use super::txn::{Body, Op, Txn};
use super::{Session, Tree, deletable, digest, path};
use torc_base::ids::{Index, Zxid};

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The znode was made.
    Created(Stat),
    /// It is gone.
    Deleted,
    /// Its data are others.
    DataSet(Stat),
    /// Its access list is another.
    AclSet(Stat),
    /// Its version was right when this was asked.
    Checked,
    /// Nothing.
    Failed(TreeError),
}

/// What happened to a znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// It was made.
    Created,
    /// It is gone.
    Deleted,
    /// Its data are others.
    DataChanged,
    /// A child was made or is gone.
    ChildrenChanged,
}

/// News for those who watch, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// What happened, to which znode, by which change.
    pub kind: EventKind,
    pub path: &'a str,
    pub zxid: Zxid,
    /// Who may not read the znode is not told.
    pub acl: &'a AclList,
}

impl Tree {
    /// Applies the next transaction, if its entry is not behind `through`, which is committed. What each of its operations
    /// did stands in `outcomes` then. `None`: all through there are applied.
    pub fn apply_next(
        &mut self,
        through: Index,
        outcomes: &mut Vec<Outcome>,
        tell: &mut impl FnMut(Event<'_>),
    ) -> Option<Txn> {
        outcomes.clear();
        let Some((index, txn)) = self.overlay.pop_through(through) else {
            self.applied = self.applied.max(through);
            return None;
        };
        for op in txn.ops() {
            outcomes.push(self.apply_op(op, &txn, tell).unwrap_or_else(Outcome::Failed));
        }
        match &txn.body {
            Body::CreateSession { timeout_ms } if !self.sessions.contains_key(&txn.session) => {
                let session = Session { timeout_ms: *timeout_ms, is_closing: false };
                self.put_session(txn.session, Some(session));
            }
            Body::CloseSession { ephemerals, last } => {
                for path in ephemerals {
                    self.end_ephemeral(path, &txn, tell);
                }
                if let Some(session) = self.sessions.get(&txn.session).copied() {
                    self.put_session(txn.session, (!last).then_some(Session { is_closing: true, ..session }));
                }
            }
            Body::Error(error) => outcomes.push(Outcome::Failed(*error)),
            Body::One(_) | Body::Multi(_) | Body::CreateSession { .. } => {}
        }
        (self.applied, self.zxid) = (index, txn.zxid);
        Some(txn)
    }

    fn apply_op(&mut self, op: &Op, txn: &Txn, tell: &mut impl FnMut(Event<'_>)) -> Result<Outcome, TreeError> {
        Ok(match op {
            Op::Create { path, data, acl, lifetime, creates } => {
                let above = path::parent(path);
                let (above_hash, hash) = digest::of_parent_and_path(path);
                let parent = self.store.find_hashed(above, above_hash).ok_or(TreeError::NoNode)?;
                if self.store.find_hashed(path, hash).is_some() {
                    return Err(TreeError::NodeExists);
                }
                let (_, name) = path::split(path).expect("paths are checked");
                let (data, owner) = (data.as_deref(), lifetime.owner());
                let made = Made { data, acl, owner, zxid: txn.zxid, time: txn.time, creates: *creates };
                let id = self.store.insert(parent, name, made);
                let stat = self.store.stat(id);
                self.count_created(path, data.map_or(0, <[u8]>::len));
                tell(Event { kind: EventKind::Created, path, zxid: txn.zxid, acl });
                let acl = self.store.acl(parent);
                tell(Event { kind: EventKind::ChildrenChanged, path: above, zxid: txn.zxid, acl });
                Outcome::Created(stat)
            }
            Op::Delete { path } => {
                self.delete(path, txn.zxid, tell)?;
                Outcome::Deleted
            }
            Op::SetData { path, data, version } => {
                let id = self.store.find(path).ok_or(TreeError::NoNode)?;
                let before = self.store.get(id).data_len();
                self.store.set_data(id, data.as_deref(), *version, txn.zxid, txn.time);
                let stat = self.store.stat(id);
                self.count_changed(path, before, stat.data_length as usize);
                let acl = self.store.acl(id);
                tell(Event { kind: EventKind::DataChanged, path, zxid: txn.zxid, acl });
                Outcome::DataSet(stat)
            }
            Op::SetAcl { path, acl, version } => {
                let id = self.store.find(path).ok_or(TreeError::NoNode)?;
                self.store.set_acl(id, acl, *version);
                Outcome::AclSet(self.store.stat(id))
            }
            Op::Check { .. } => Outcome::Checked,
        })
    }

    fn delete(&mut self, path: &str, zxid: Zxid, tell: &mut impl FnMut(Event<'_>)) -> Result<(), TreeError> {
        let found = self.store.find(path);
        deletable(path, found.map(|id| self.store.get(id).children()))?;
        let id = found.expect("it can go");
        let slot = self.store.get(id);
        let (parent, bytes) = (slot.parent, slot.data_len());
        let acl = self.store.acl(id).clone();
        self.store.remove(id, zxid);
        self.count_deleted(path, bytes);
        tell(Event { kind: EventKind::Deleted, path, zxid, acl: &acl });
        let (path, acl) = (path::parent(path), self.store.acl(parent));
        tell(Event { kind: EventKind::ChildrenChanged, path, zxid, acl });
        Ok(())
    }

    /// A znode that its session listed as it ended. It cannot have become another's since.
    fn end_ephemeral(&mut self, path: &str, txn: &Txn, tell: &mut impl FnMut(Event<'_>)) {
        let owner = self.store.find(path).map(|id| Lifetime::of(self.store.get(id).owner()));
        if owner == Some(Lifetime::Ephemeral(txn.session)) {
            let _ = self.delete(path, txn.zxid, tell);
        }
    }
}
