//! Requests become transactions: checked in ZooKeeper's order against what will be when all that is appended is applied.

use super::acl::{self, Acl, AclList, Id, perms};
use super::error::TreeError;
use super::lifetime::{Lifetime, TTL_MAX};
use super::overlay::View;
use super::txn::{Body, Op};
use super::{Tree, digest, path};
use std::sync::Arc;
use torc_base::ids::SessionId;
use torc_base::limits::*;
use torc_base::time::Wall;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The session; [`SessionId::NONE`]: this server itself.
    pub session: SessionId,
    /// What is known of the client, its address among it.
    pub ids: &'a [Id<'a>],
    /// Another server serves the session by now.
    pub is_moved: bool,
    /// The session is known to this server alone: it stands in no log.
    pub is_local: bool,
}

/// A znode is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Create<'a> {
    /// Where; of a sequential one, what its number is put behind.
    pub path: &'a str,
    /// `None`: null.
    pub data: Option<&'a [u8]>,
    /// Who may do what.
    pub acls: &'a [Acl<'a>],
    /// The mode, as on the wire. It makes no containers.
    pub flags: i32,
    /// It is a container, whatever the mode says of how it ends.
    pub is_container: bool,
    /// Milliseconds, of an operation that has them.
    pub ttl: Option<i64>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// A znode.
    Create(Create<'a>),
    /// A znode goes, if it has this version; -1: any.
    Delete(&'a str, i32),
    /// Its data become others, if it has this version.
    SetData(&'a str, Option<&'a [u8]>, i32),
    /// Its access list becomes another, if that has this version.
    SetAcl(&'a str, &'a [Acl<'a>], i32),
    /// It has this version.
    Check(&'a str, i32),
}

/// Why nothing is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong.
    pub error: TreeError,
    /// The operation of a multi that it is wrong with, from 0.
    pub at: usize,
}

impl Refused {
    /// What is answered for operation `n` of a multi; `None`: it would have done.
    pub fn of(&self, n: usize) -> Option<TreeError> {
        match n.cmp(&self.at) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(self.error),
            std::cmp::Ordering::Greater => Some(TreeError::RuntimeInconsistency),
        }
    }
}

/// What an operation leaves of the znodes that it touches: each with what stands for its path, and how it will be; `None`: it
/// is gone.
pub(super) type Leaves = [Option<(Arc<str>, u64, Option<View>)>; 2];

/// What is made, and what it must fulfil. As ZooKeeper has it: a container with the mode of an ephemeral znode must fulfil what
/// one must.
struct Mode {
    lifetime: fn(SessionId, i64) -> Lifetime,
    is_ephemeral: bool,
    is_ttl: bool,
    is_sequential: bool,
}

impl Mode {
    fn of(flags: i32, is_container: bool) -> Result<Mode, TreeError> {
        let persistent: fn(SessionId, i64) -> Lifetime = |_, _| Lifetime::Persistent;
        let ephemeral: fn(SessionId, i64) -> Lifetime = |session, _| Lifetime::Ephemeral(session);
        let container: fn(SessionId, i64) -> Lifetime = |_, _| Lifetime::Container;
        let ttl: fn(SessionId, i64) -> Lifetime = |_, ms| Lifetime::Ttl(ms);
        let mode = |lifetime, is_ephemeral, is_ttl, is_sequential| {
            let lifetime = if is_container { container } else { lifetime };
            Mode { lifetime, is_ephemeral, is_ttl, is_sequential }
        };
        Ok(match flags {
            0 | 4 => mode(persistent, false, false, false),
            1 => mode(ephemeral, true, false, false),
            2 => mode(persistent, false, false, true),
            3 => mode(ephemeral, true, false, true),
            5 => mode(ttl, false, true, false),
            6 => mode(ttl, false, true, true),
            _ => return Err(TreeError::BadArguments),
        })
    }
}

/// The version behind `current`, if that is what is expected. There is no version -1: it means "any".
fn next_version(current: i32, expected: i32) -> Result<i32, TreeError> {
    if expected != -1 && expected != current {
        return Err(TreeError::BadVersion);
    }
    Ok(match current.wrapping_add(1) {
        -1 => 0,
        next => next,
    })
}

impl Tree {
    /// What a request becomes, or why it does not. Nothing has changed before [`Tree::append`], and what is appended is looked
    /// at again there: see [`Tree::draft`] for whoever appends it at once.
    pub fn prepare(&self, who: &Asker<'_>, change: &Change<'_>) -> Result<Body, TreeError> {
        let (op, _) = self.op(who, change, Wall(0))?;
        self.check_size(op.bytes(), &op)?;
        Ok(Body::One(op))
    }

    /// An operation at that time, and what it leaves.
    pub(super) fn op(&self, who: &Asker<'_>, change: &Change<'_>, time: Wall) -> Result<(Op, Leaves), TreeError> {
        match *change {
            Change::Create(create) => self.create(who, &create, time),
            Change::Delete(path, version) => self.delete_op(who, path, version),
            Change::SetData(path, data, version) => self.set_data(who, path, data, version, time),
            Change::SetAcl(path, acls, version) => self.set_acl(who, path, acls, version),
            Change::Check(path, version) => self.check(who, path, version),
        }
    }

    /// Fails where a transaction of so many bytes, of which this is the last operation, has no room.
    pub(super) fn check_size(&self, bytes: usize, op: &Op) -> Result<(), TreeError> {
        if bytes > TREE_TXN_BYTES_MAX {
            return Err(TreeError::BadArguments);
        }
        let grows = matches!(op, Op::Create { .. } | Op::SetData { .. });
        let full = || self.store.memory() + self.overlay.bytes() + bytes > self.settings.memory_max;
        if grows && (full() || self.store.slab.live() + self.overlay.records().0 >= ZNODES_MAX) {
            return Err(TreeError::QuotaExceeded);
        }
        Ok(())
    }

    pub(super) fn check_session(&self, who: &Asker<'_>, is_ephemeral: bool) -> Result<(), TreeError> {
        if who.session == SessionId::NONE && !is_ephemeral {
            return Ok(());
        }
        if who.is_local {
            return if is_ephemeral { Err(TreeError::EphemeralOnLocalSession) } else { Ok(()) };
        }
        match self.session(who.session) {
            None | Some(super::Session { is_closing: true, .. }) => Err(TreeError::SessionExpired),
            Some(_) if who.is_moved => Err(TreeError::SessionMoved),
            Some(_) => Ok(()),
        }
    }

    /// Fails unless the access list lets the client do that.
    pub(super) fn allow(&self, acl: &AclList, perm: i32, ids: &[Id<'_>]) -> Result<(), TreeError> {
        if self.settings.skips_acls { Ok(()) } else { acl.allow(perm, ids) }
    }

    /// See [`acl::resolve`]. Most lists let everybody do everything, and are one.
    fn resolve(&self, acls: &[Acl<'_>], ids: &[Id<'_>]) -> Result<AclList, TreeError> {
        match acls {
            [acl::OPEN] => Ok(self.open.clone()),
            _ => acl::resolve(acls, ids),
        }
    }

    fn create(&self, who: &Asker<'_>, create: &Create<'_>, time: Wall) -> Result<(Op, Leaves), TreeError> {
        let mode = Mode::of(create.flags, create.is_container)?;
        if mode.is_ttl && !self.settings.has_ttl {
            return Err(TreeError::Unimplemented);
        }
        let ttl = create.ttl.unwrap_or(-1);
        let fits = if mode.is_ttl { (1..=TTL_MAX).contains(&ttl) } else { create.ttl.is_none() };
        if !fits {
            return Err(TreeError::BadArguments);
        }
        self.check_session(who, mode.is_ephemeral)?;
        let (above, _) = path::split(create.path).ok_or(TreeError::BadArguments)?;
        let acl = self.resolve(create.acls, who.ids)?;
        let above_hash = digest::of_whole_path(above);
        let (above, parent) = self.view_and_path(above, above_hash).ok_or(TreeError::NoNode)?;
        self.allow(&parent.acl, perms::CREATE, who.ids)?;
        let path: Arc<str> = if mode.is_sequential {
            format!("{}{:010}", create.path, parent.creates).into()
        } else {
            create.path.into()
        };
        path::check(&path)?;
        check_lengths(&path, create.data)?;
        let (_, name) = path::split(&path).expect("it was checked");
        let hash = digest::of_path(above_hash, name);
        if self.is_there(&path, hash) {
            return Err(TreeError::NodeExists);
        }
        if parent.lifetime.session() != SessionId::NONE {
            return Err(TreeError::NoChildrenForEphemerals);
        }
        let data_len = create.data.map_or(0, <[u8]>::len);
        self.check_quota(&path, data_len as i64, 1)?;
        let lifetime = (mode.lifetime)(who.session, ttl);
        let creates = parent.creates.wrapping_add(1);
        let made = View::made(time, data_len, lifetime, acl.clone());
        let parent = View { children: parent.children + 1, creates, ..parent };
        let leaves = [Some((above, above_hash, Some(parent))), Some((path.clone(), hash, Some(made)))];
        Ok((Op::Create { path, data: create.data.map(Box::from), acl, lifetime, creates }, leaves))
    }

    fn delete_op(&self, who: &Asker<'_>, path: &str, version: i32) -> Result<(Op, Leaves), TreeError> {
        self.check_session(who, false)?;
        let (above, name) = path::split(path).ok_or(TreeError::BadArguments)?;
        if path::is_special(path) {
            return Err(TreeError::BadArguments);
        }
        let above_hash = digest::of_whole_path(above);
        let (above, parent) = self.view_and_path(above, above_hash).ok_or(TreeError::NoNode)?;
        self.allow(&parent.acl, perms::DELETE, who.ids)?;
        let hash = digest::of_path(above_hash, name);
        let (path, view) = self.view_and_path(path, hash).ok_or(TreeError::NoNode)?;
        next_version(view.version, version)?;
        super::deletable(&path, Some(view.children))?;
        let parent = View { children: parent.children - 1, ..parent };
        let leaves = [Some((above, above_hash, Some(parent))), Some((path.clone(), hash, None))];
        Ok((Op::Delete { path }, leaves))
    }

    fn set_data(
        &self,
        who: &Asker<'_>,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
        mtime: Wall,
    ) -> Result<(Op, Leaves), TreeError> {
        self.check_session(who, false)?;
        path::check(path)?;
        check_lengths(path, data)?;
        let hash = digest::of_whole_path(path);
        let (path, view) = self.view_and_path(path, hash).ok_or(TreeError::NoNode)?;
        self.allow(&view.acl, perms::WRITE, who.ids)?;
        let data_len = data.map_or(0, <[u8]>::len);
        self.check_quota(&path, data_len as i64 - view.data_len as i64, 0)?;
        let version = next_version(view.version, version)?;
        let written = View { data_len, version, mtime, ..view };
        let leaves = [Some((path.clone(), hash, Some(written))), None];
        Ok((Op::SetData { path, data: data.map(Box::from), version }, leaves))
    }

    fn set_acl(&self, who: &Asker<'_>, path: &str, acls: &[Acl<'_>], version: i32) -> Result<(Op, Leaves), TreeError> {
        self.check_session(who, false)?;
        path::check(path)?;
        let acl = self.resolve(acls, who.ids)?;
        let hash = digest::of_whole_path(path);
        let (path, view) = self.view_and_path(path, hash).ok_or(TreeError::NoNode)?;
        self.allow(&view.acl, perms::ADMIN, who.ids)?;
        let version = next_version(view.aversion, version)?;
        let written = View { acl: acl.clone(), aversion: version, ..view };
        let leaves = [Some((path.clone(), hash, Some(written))), None];
        Ok((Op::SetAcl { path, acl, version }, leaves))
    }

    fn check(&self, who: &Asker<'_>, path: &str, version: i32) -> Result<(Op, Leaves), TreeError> {
        self.check_session(who, false)?;
        path::check(path)?;
        let (path, view) = self.view_and_path(path, digest::of_whole_path(path)).ok_or(TreeError::NoNode)?;
        self.allow(&view.acl, perms::READ, who.ids)?;
        next_version(view.version, version)?;
        Ok((Op::Check { path }, [None, None]))
    }
}

fn check_lengths(path: &str, data: Option<&[u8]>) -> Result<(), TreeError> {
    let fits = path.len() <= ZNODE_PATH_BYTES_MAX && data.is_none_or(|data| data.len() <= ZNODE_DATA_BYTES_MAX);
    if fits { Ok(()) } else { Err(TreeError::BadArguments) }
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
