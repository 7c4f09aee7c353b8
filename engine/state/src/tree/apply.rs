//! What is committed moves into the state, and is told to those who watch.

use super::acl::AclList;
use super::error::TreeError;
use super::lifetime::Lifetime;
use super::store::{Made, Stat};
use super::txn::{Body, Op, Txn};
use super::{Session, Tree, deletable, digest, path};
use torc_base::ids::{Index, Zxid};

/// What is left of a transaction is let go of at once if it is not more than so many operations, or changes of znodes...
const FORGOTTEN: usize = 1_024;
/// ...and else so much of it at a time.
const TIDIED: usize = 8_192;

/// How far a transaction was applied.
#[derive(Debug)]
pub enum Applied {
    /// All of it; this was it.
    Whole(Txn),
    /// Not all of it: so many of its operations were applied now, or are known to be about to be.
    Part(usize),
}

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
        let applied = self.apply_part(through, usize::MAX, outcomes, tell);
        self.overlay.forget(usize::MAX);
        match applied? {
            Applied::Whole(txn) => Some(txn),
            Applied::Part(_) => unreachable!("it was to be all"),
        }
    }

    /// The same, `most` of its operations at most: what those did stands in `outcomes`. Until the last of them is applied
    /// nobody is to see of the znodes that it touches ([`Tree::touches`]), nor of what is counted and listed, and no snapshot
    /// is begun. What others have made is looked through for these first, `most` operations at a time, too.
    pub fn apply_part(
        &mut self,
        through: Index,
        most: usize,
        outcomes: &mut Vec<Outcome>,
        tell: &mut impl FnMut(Event<'_>),
    ) -> Option<Applied> {
        outcomes.clear();
        let Some((index, txn)) = self.overlay.take_front(through) else {
            self.applied = self.applied.max(through);
            return None;
        };
        let ops = txn.ops();
        if let Some(seen) = self.overlay.seen().filter(|seen| *seen < ops.len() && ops.len() > most) {
            let (to, mark) = (ops.len().min(seen.saturating_add(most)), self.overlay.mark());
            for op in &ops[seen..to] {
                // As in `append`.
                let _ = self.stage(op, txn.time);
            }
            self.overlay.see(to, mark);
            self.overlay.put_front(txn);
            return Some(Applied::Part(to - seen));
        }
        let (from, to) = (self.applying, ops.len().min(self.applying.saturating_add(most)));
        for op in &ops[from..to] {
            outcomes.push(self.apply_op(op, &txn, tell).unwrap_or_else(Outcome::Failed));
        }
        if to < ops.len() {
            self.applying = to;
            self.overlay.put_front(txn);
            return Some(Applied::Part(to - from));
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
        self.overlay.pop_front();
        self.overlay.forget(FORGOTTEN);
        (self.applied, self.zxid, self.applying) = (index, txn.zxid, 0);
        Some(Applied::Whole(txn))
    }

    /// How many operations of the next transaction are applied, if some are and some are not; 0: what is applied is whole.
    pub fn applying(&self) -> usize {
        self.applying
    }

    /// True if something that is appended changes a znode there, or its children.
    pub fn touches(&self, path: &str) -> bool {
        let path = if path.is_empty() { "/" } else { path };
        self.overlay.znode(path, digest::of_whole_path(path)).is_some()
    }

    /// Takes a transaction that is of no use any more, which may be long: [`Tree::tidy`] lets go of it.
    pub fn spend(&mut self, txn: Txn) {
        if let Body::Multi(ops) = txn.body
            && ops.len() > FORGOTTEN
        {
            self.spent.extend(ops);
        }
    }

    /// Lets go of some of what is left of transactions that were applied. True: there is more.
    pub fn tidy(&mut self) -> bool {
        self.overlay.forget(TIDIED);
        self.spent.truncate(self.spent.len().saturating_sub(TIDIED));
        if self.spent.is_empty() {
            self.spent = Vec::new();
        }
        self.overlay.stale() > 0 || !self.spent.is_empty()
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
                let id = self.store.insert_hashed(parent, name, hash, made);
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

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
