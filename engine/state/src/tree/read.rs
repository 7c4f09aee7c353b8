//! Reads of what is applied, checked in ZooKeeper's order.

use super::acl::{Acl, AclList, Id, perms};
use super::error::TreeError;
use super::store::Stat;
use super::{Tree, path, slab};
use torc_base::ids::{SessionId, Zxid};

/// A place in a list that is made over several turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPlace {
    /// What the list is of: another number once something has come or gone.
    of: i64,
    next: u32,
}

/// How far a list was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// To its end.
    Whole,
    /// To this place, where it goes on.
    Part(ListPlace),
    /// What was told of it before is out of date.
    Changed,
}

impl Tree {
    fn readable(&self, path: &str, ids: &[Id<'_>], perm: i32) -> Result<u32, TreeError> {
        let id = self.store.find(path).ok_or(TreeError::NoNode)?;
        self.allow(self.store.acl(id), perm, ids)?;
        Ok(id)
    }

    /// What is shown at a path in the place of the znode's data.
    fn shown(&self, path: &str) -> Option<&[u8]> {
        self.config.as_ref().filter(|_| path == path::CONFIG).map(|text| text.as_bytes())
    }

    /// A znode's stat, as reads tell it.
    fn told(&self, path: &str, id: u32) -> Stat {
        let stat = self.store.stat(id);
        self.shown(path).map_or(stat, |shown| Stat { data_length: shown.len() as i32, ..stat })
    }

    /// Who may do what with a znode, if it is there.
    pub fn access(&self, path: &str) -> Option<&AclList> {
        self.store.find(path).map(|id| self.store.acl(id))
    }

    /// What a znode is.
    pub fn exists(&self, path: &str, ids: &[Id<'_>]) -> Result<Stat, TreeError> {
        if path.contains('\0') {
            return Err(TreeError::BadArguments);
        }
        Ok(self.told(path, self.readable(path, ids, perms::READ)?))
    }

    /// Its data.
    pub fn data(&self, path: &str, ids: &[Id<'_>]) -> Result<(Option<&[u8]>, Stat), TreeError> {
        let id = self.readable(path, ids, perms::READ)?;
        Ok((self.shown(path).or(self.store.data(id)), self.told(path, id)))
    }

    /// Names of its children, in no order.
    pub fn children(&self, path: &str, ids: &[Id<'_>]) -> Result<(impl Iterator<Item = &str>, Stat), TreeError> {
        let id = self.readable(path, ids, perms::READ)?;
        let names = self.store.children(id).map(|child| self.store.name(child));
        Ok((names, self.told(path, id)))
    }

    /// Its access list. Hashes of passwords are for those who may change it.
    pub fn acl(&self, path: &str, ids: &[Id<'_>]) -> Result<(AclList, Stat), TreeError> {
        let id = self.readable(path, ids, perms::READ | perms::ADMIN)?;
        let (list, stat) = (self.store.acl(id), self.told(path, id));
        if self.allow(list, perms::ADMIN, ids).is_ok() {
            return Ok((list.clone(), stat));
        }
        let users = list.iter().map(|acl| acl.id.id.split_once(':').map(|(user, _)| format!("{user}:x")));
        let users: Vec<Option<String>> = users.collect();
        let hidden = list.iter().zip(&users).map(|(acl, user)| match user {
            Some(user) if acl.id.scheme == "digest" => Acl { id: Id { id: user, ..acl.id }, ..acl },
            _ => acl,
        });
        Ok((AclList::new(&hidden.collect::<Vec<_>>()), stat))
    }

    /// How many znodes are below it, at any depth: `most` of them, from a place on or from the beginning, and the place where it
    /// goes on. Below the root all are known at once. A place is of use while nothing below the znode has come or gone.
    pub fn count_some(
        &self,
        path: &str,
        ids: &[Id<'_>],
        from: Option<u32>,
        most: usize,
    ) -> Result<(usize, Option<u32>), TreeError> {
        let top = self.readable(path, ids, perms::READ)?;
        if top == slab::ROOT {
            return Ok((self.store.slab.live() - 1, None));
        }
        let (mut counted, mut at) = (0, from.unwrap_or(top));
        while counted < most {
            let Some(next) = self.store.next_below(top, at) else { return Ok((counted, None)) };
            (counted, at) = (counted + 1, next);
        }
        Ok((counted, Some(at)))
    }

    /// Ephemeral znodes of a session whose paths begin with `prefix`.
    pub fn ephemerals(&self, session: SessionId, prefix: &str) -> Vec<String> {
        let prefix = if matches!(prefix.trim(), "" | "/") { "" } else { prefix };
        let all = self.store.lifetimes.of_session(session, 0).map(|id| self.store.path(id));
        all.filter(|path| path.starts_with(prefix)).collect()
    }

    /// Tells names of a znode's children, from a place on or from the beginning, until `put` says that it is enough.
    pub fn list_children(
        &self,
        path: &str,
        ids: &[Id<'_>],
        from: Option<ListPlace>,
        put: &mut impl FnMut(&str) -> bool,
    ) -> Result<Listed, TreeError> {
        let id = self.readable(path, ids, perms::READ)?;
        // Whatever comes or goes is the last change. Another znode at this path has others.
        let of = self.store.get(id).pzxid();
        let mut next = match from {
            Some(from) if from.of != of => return Ok(Listed::Changed),
            Some(from) => Some(from.next),
            None => self.store.children(id).next(),
        };
        while let Some(child) = next {
            next = self.store.next_sibling(child);
            if let (false, Some(next)) = (put(self.store.name(child)), next) {
                return Ok(Listed::Part(ListPlace { of, next }));
            }
        }
        Ok(Listed::Whole)
    }

    /// The same of the paths of a session's ephemeral znodes.
    pub fn list_ephemerals(
        &self,
        session: SessionId,
        from: Option<ListPlace>,
        put: &mut impl FnMut(&str) -> bool,
    ) -> Listed {
        let of = self.store.lifetimes.changes();
        if from.is_some_and(|from| from.of != of) {
            return Listed::Changed;
        }
        let mut all = self.store.lifetimes.of_session(session, from.map_or(0, |from| from.next)).peekable();
        // Mostly they have few parents.
        let (mut parent, mut path, mut above) = (slab::NONE, String::new(), 0);
        while let Some(id) = all.next() {
            let slot = self.store.get(id);
            if slot.parent != parent {
                parent = slot.parent;
                path = self.store.path(parent);
                if parent != slab::ROOT {
                    path.push('/');
                }
                above = path.len();
            }
            path.truncate(above);
            path.push_str(self.store.name(id));
            if let (false, Some(next)) = (put(&path), all.peek()) {
                return Listed::Part(ListPlace { of, next: *next });
            }
        }
        Listed::Whole
    }

    /// Sessions that have ephemeral znodes, from that one on.
    pub fn owners(&self, from: SessionId) -> impl Iterator<Item = SessionId> {
        self.store.lifetimes.owners(from)
    }

    /// Paths of a session's ephemeral znodes, `most` of them, from a place on; and the place where there are more. What comes
    /// and goes meanwhile is told or not.
    pub fn some_ephemerals(&self, session: SessionId, from: u32, most: usize) -> (Vec<String>, Option<u32>) {
        let mut all = self.store.lifetimes.of_session(session, from);
        let some = all.by_ref().take(most).map(|id| self.store.path(id)).collect();
        (some, all.next())
    }

    /// The last changes of a znode's data and of its children; `None`: there is none.
    pub(super) fn changed(&self, path: &str) -> Option<(Zxid, Zxid)> {
        let slot = self.store.get(self.store.find(path)?);
        Some((Zxid(slot.mzxid), Zxid(slot.pzxid())))
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
