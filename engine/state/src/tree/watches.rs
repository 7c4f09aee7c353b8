//! Who is told of which changes: what a server knows of its own connections, beside the log.
//!
//! A watch takes two entries in ordered maps, 50 bytes at most as these fill; a watched path takes 130 and three times its
//! length at most the first time, whoever watches it. A change costs a look-up of its path, and of the paths above it while
//! somebody watches all below a path, and as much as there are watches that it fires.

use super::apply::EventKind;
use super::error::TreeError;
use super::{Tree, path};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use torc_base::ids::{ConnId, Zxid};
use torc_base::limits::WATCHES_MAX;

/// Kinds of watches. One connection may have all of them at one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Watch {
    /// One change of the znode: its making, its end, other data.
    Data = 1,
    /// One change of its children, or its end.
    Children = 2,
    /// All changes of both.
    Persistent = 4,
    /// All changes of it and of all below it, but none of "children".
    Recursive = 8,
}

const ONE_SHOT: u8 = Watch::Data as u8 | Watch::Children as u8;
const ALL: u8 = ONE_SHOT | Watch::Persistent as u8 | Watch::Recursive as u8;
/// Those that ZooKeeper counts among watches of data, and among those of children: one that stays is of both.
const OF_DATA: u8 = ALL & !(Watch::Children as u8);
const OF_CHILDREN: u8 = Watch::Children as u8 | Watch::Persistent as u8;

/// What a watch costs, and a path besides three times its length.
const WATCH_BYTES: usize = 50;
const PATH_BYTES: usize = 130;

/// A watch from before a reconnect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Of a znode that was there.
    Data,
    /// Of one that was not.
    Absent,
    /// Of a znode's children.
    Children,
    /// One that stays.
    Persistent,
    /// One that stays, on all below.
    Recursive,
}

/// A name, how many watches have it, and how many of these are of data.
#[derive(Clone, Debug)]
struct Named<T> {
    name: T,
    watches: u32,
    of_data: u32,
}

/// Names as numbers, which are used again.
#[derive(Clone, Debug)]
struct Numbers<T> {
    numbers: BTreeMap<T, u32>,
    names: Vec<Option<Named<T>>>,
    free: Vec<u32>,
    /// Names that have watches of data.
    of_data: usize,
}

impl<T: Ord + Clone> Numbers<T> {
    fn new() -> Numbers<T> {
        Numbers { numbers: BTreeMap::new(), names: Vec::new(), free: Vec::new(), of_data: 0 }
    }

    fn take(&mut self, name: T) -> u32 {
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.names.push(None);
            self.names.len() as u32 - 1
        });
        self.names[number as usize] = Some(Named { name: name.clone(), watches: 0, of_data: 0 });
        self.numbers.insert(name, number);
        number
    }

    fn name(&self, number: u32) -> &T {
        &self.names[number as usize].as_ref().expect("it has a watch").name
    }

    fn count(&mut self, number: u32) {
        self.names[number as usize].as_mut().expect("just taken").watches += 1;
    }

    /// One of its watches is of data, or is not any more.
    fn count_data(&mut self, number: u32, is_one: bool) {
        let named = self.names[number as usize].as_mut().expect("it has a watch");
        if is_one {
            named.of_data += 1;
            self.of_data += usize::from(named.of_data == 1);
        } else {
            named.of_data -= 1;
            self.of_data -= usize::from(named.of_data == 0);
        }
    }

    /// One watch less. The name, if that was the last.
    fn discount(&mut self, number: u32) -> Option<T> {
        let place = &mut self.names[number as usize];
        let named = place.as_mut().expect("it has a watch");
        named.watches -= 1;
        if named.watches > 0 {
            return None;
        }
        let Named { name, .. } = place.take().expect("just seen");
        self.numbers.remove(&name);
        self.free.push(number);
        Some(name)
    }
}

/// The watches of one server.
#[derive(Clone, Debug)]
pub struct Watches {
    paths: Numbers<Arc<str>>,
    watchers: Numbers<ConnId>,
    /// By path and watcher, which kinds.
    by_path: BTreeMap<(u32, u32), u8>,
    by_watcher: BTreeSet<(u32, u32)>,
    /// Of all below.
    recursive: usize,
    /// Of data and of children, as ZooKeeper counts them.
    of_data: usize,
    of_children: usize,
    /// Lengths of all watched paths.
    path_bytes: usize,
    memory_max: usize,
}

impl Watches {
    /// None yet, and never more than take so much memory, in bytes.
    pub fn new(memory_max: usize) -> Watches {
        Watches {
            paths: Numbers::new(),
            watchers: Numbers::new(),
            by_path: BTreeMap::new(),
            by_watcher: BTreeSet::new(),
            recursive: 0,
            of_data: 0,
            of_children: 0,
            path_bytes: 0,
            memory_max,
        }
    }

    /// Watches (all kinds of one connection at one path are one), paths, connections.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.by_path.len(), self.paths.numbers.len(), self.watchers.numbers.len())
    }

    /// The same of those that are of data, as ZooKeeper counts them.
    pub fn data_counts(&self) -> (usize, usize, usize) {
        (self.of_data, self.paths.of_data, self.watchers.of_data)
    }

    /// Those that are of children.
    pub fn of_children(&self) -> usize {
        self.of_children
    }

    /// Memory, in bytes, at most.
    pub fn memory(&self) -> usize {
        self.by_path.len() * WATCH_BYTES + self.paths.numbers.len() * PATH_BYTES + 3 * self.path_bytes
    }

    /// All watches, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, ConnId)> {
        self.by_path.keys().map(|(path, watcher)| (&**self.paths.name(*path), *self.watchers.name(*watcher)))
    }

    /// Paths, in order, and the connections that are told of the data of each, if there are some: those that come behind
    /// `through`.
    pub fn data_by_path(&self, through: Option<&str>) -> impl Iterator<Item = (&str, Vec<ConnId>)> {
        let from = through.map_or(Bound::Unbounded, Bound::Excluded);
        self.paths.numbers.range::<str, _>((from, Bound::Unbounded)).map(|(path, number)| {
            let here = self.by_path.range((*number, 0)..=(*number, u32::MAX));
            let of_data = here.filter(|(_, kinds)| **kinds != Watch::Children as u8);
            (&**path, of_data.map(|((_, watcher), _)| *self.watchers.name(*watcher)).collect())
        })
    }

    /// Paths of whose data a connection is told, each with its number: those that come behind number `through`.
    pub fn data_of(&self, conn: ConnId, through: Option<u32>) -> impl Iterator<Item = (u32, &str)> {
        let watcher = self.watchers.numbers.get(&conn).copied();
        let from = |watcher| through.map_or(Bound::Included((watcher, 0)), |number| Bound::Excluded((watcher, number)));
        let all = watcher.map(|watcher| self.by_watcher.range((from(watcher), Bound::Included((watcher, u32::MAX)))));
        all.into_iter().flatten().filter_map(|(watcher, path)| {
            let is_of_data = self.by_path[&(*path, *watcher)] != Watch::Children as u8;
            is_of_data.then(|| (*path, &**self.paths.name(*path)))
        })
    }

    /// This connection watches a path, whether there is a znode or not. Fails if there are too many.
    pub fn add(&mut self, conn: ConnId, path: &str, watch: Watch) -> Result<(), TreeError> {
        let known = self.paths.numbers.get(path).copied();
        let more = WATCH_BYTES + if known.is_some() { 0 } else { PATH_BYTES + 3 * path.len() };
        let key = known.zip(self.watchers.numbers.get(&conn).copied());
        let before = match key.and_then(|key| self.by_path.get_mut(&key)) {
            Some(kinds) => std::mem::replace(kinds, *kinds | watch as u8),
            None => 0,
        };
        let key = match key.filter(|_| before != 0) {
            Some(key) => key,
            None if self.memory() + more > self.memory_max || self.by_path.len() == WATCHES_MAX => {
                return Err(TreeError::QuotaExceeded);
            }
            None => self.insert(conn, path, watch),
        };
        self.recount(key, before, before | watch as u8);
        if watch == Watch::Recursive && before & watch as u8 == 0 {
            self.recursive += 1;
        }
        Ok(())
    }

    fn insert(&mut self, conn: ConnId, path: &str, watch: Watch) -> (u32, u32) {
        let number = match self.paths.numbers.get(path) {
            Some(number) => *number,
            None => {
                self.path_bytes += path.len();
                self.paths.take(path.into())
            }
        };
        let watcher = self.watchers.take(conn);
        self.paths.count(number);
        self.watchers.count(watcher);
        self.by_path.insert((number, watcher), watch as u8);
        self.by_watcher.insert((watcher, number));
        (number, watcher)
    }

    /// The kinds of watches of one connection at one path are others.
    fn recount(&mut self, (path, watcher): (u32, u32), before: u8, after: u8) {
        let (was_one, is_one) = (before & OF_DATA != 0, after & OF_DATA != 0);
        if was_one != is_one {
            self.paths.count_data(path, is_one);
            self.watchers.count_data(watcher, is_one);
        }
        self.of_data = self.of_data + usize::from(is_one) - usize::from(was_one);
        let (was_one, is_one) = (before & OF_CHILDREN != 0, after & OF_CHILDREN != 0);
        self.of_children = self.of_children + usize::from(is_one) - usize::from(was_one);
    }

    /// Takes kinds of watches away; which of them there were.
    fn clear(&mut self, path: u32, watcher: u32, kinds: u8) -> u8 {
        let Some(here) = self.by_path.get_mut(&(path, watcher)) else { return 0 };
        let (before, after) = (*here, *here & !kinds);
        *here = after;
        let cleared = before & kinds;
        if cleared & Watch::Recursive as u8 != 0 {
            self.recursive -= 1;
        }
        self.recount((path, watcher), before, after);
        if after == 0 {
            self.by_path.remove(&(path, watcher));
            self.by_watcher.remove(&(watcher, path));
            if let Some(path) = self.paths.discount(path) {
                self.path_bytes -= path.len();
            }
            self.watchers.discount(watcher);
        }
        cleared
    }

    fn find(&self, conn: ConnId, path: &str) -> Option<(u32, u32)> {
        Some((*self.paths.numbers.get(path)?, *self.watchers.numbers.get(&conn)?))
    }

    /// Whether this connection has such a watch there; `None`: of any kind.
    pub fn contains(&self, conn: ConnId, path: &str, watch: Option<Watch>) -> bool {
        let kinds = self.find(conn, path).and_then(|key| self.by_path.get(&key)).copied().unwrap_or(0);
        kinds & watch.map_or(ALL, |watch| watch as u8) != 0
    }

    /// Takes such watches away; `None`: all kinds. Fails if there are none.
    pub fn remove(&mut self, conn: ConnId, path: &str, watch: Option<Watch>) -> Result<(), TreeError> {
        let (path, watcher) = self.find(conn, path).ok_or(TreeError::NoWatcher)?;
        let kinds = watch.map_or(ALL, |watch| watch as u8);
        if self.clear(path, watcher, kinds) == 0 { Err(TreeError::NoWatcher) } else { Ok(()) }
    }

    /// At most `max` watches of a connection that is gone are taken away. True: there are no more of it.
    pub fn remove_all(&mut self, conn: ConnId, max: usize) -> bool {
        let Some(watcher) = self.watchers.numbers.get(&conn).copied() else { return true };
        let some = self.by_watcher.range((watcher, 0)..=(watcher, u32::MAX)).take(max);
        for (_, path) in some.copied().collect::<Vec<_>>() {
            self.clear(path, watcher, ALL);
        }
        !self.watchers.numbers.contains_key(&conn)
    }

    /// Tells everybody who watches, each once, and ends the watches that are for one change.
    pub fn fire(&mut self, kind: EventKind, changed: &str, mut tell: impl FnMut(ConnId)) {
        use Watch::*;
        let (fires, ends) = match kind {
            EventKind::Created | EventKind::DataChanged => {
                (Data as u8 | Persistent as u8 | Recursive as u8, Data as u8)
            }
            EventKind::Deleted => (ALL, ONE_SHOT),
            EventKind::ChildrenChanged => (Children as u8 | Persistent as u8, Children as u8),
        };
        let goes_up = self.recursive > 0 && kind != EventKind::ChildrenChanged;
        let mut told = BTreeSet::new();
        if let Some(path) = self.paths.numbers.get(changed).copied() {
            let here = self.by_path.range((path, 0)..=(path, u32::MAX));
            let hit = here.filter(|(_, kinds)| **kinds & fires != 0).map(|((_, watcher), kinds)| (*watcher, *kinds));
            for (watcher, kinds) in hit.collect::<Vec<_>>() {
                let conn = *self.watchers.name(watcher);
                tell(conn);
                if goes_up {
                    told.insert(conn);
                }
                if kinds & ends != 0 {
                    self.clear(path, watcher, ends);
                }
            }
        }
        let mut at = changed;
        while goes_up && at != "/" {
            at = path::parent(at);
            let Some(path) = self.paths.numbers.get(at).copied() else { continue };
            for ((_, watcher), kinds) in self.by_path.range((path, 0)..=(path, u32::MAX)) {
                let conn = *self.watchers.name(*watcher);
                if kinds & Recursive as u8 != 0 && told.insert(conn) {
                    tell(conn);
                }
            }
        }
    }

    /// True if somebody watches a path or one below it, or all below some path.
    pub fn is_watched_below(&self, top: &str) -> bool {
        let from = self.paths.numbers.range::<str, _>((Bound::Included(top), Bound::Unbounded));
        let mut paths = from.take_while(|(path, _)| path.starts_with(top));
        self.recursive > 0 || paths.any(|(path, _)| matches!(path.as_bytes().get(top.len()), None | Some(b'/')))
    }

    /// Takes a watch up again on a path of which nobody knows when it was changed: as if it were after all that the client has
    /// seen. Watches that stay watch on.
    pub fn resume_unsure(
        &mut self,
        conn: ConnId,
        kept: Kept,
        path: &str,
        is_there: bool,
    ) -> Result<Option<EventKind>, TreeError> {
        let watch = match (kept, is_there) {
            (Kept::Data, true) => return Ok(Some(EventKind::DataChanged)),
            (Kept::Children, true) => return Ok(Some(EventKind::ChildrenChanged)),
            (Kept::Data | Kept::Children, false) => return Ok(Some(EventKind::Deleted)),
            (Kept::Absent, true) => return Ok(Some(EventKind::Created)),
            (Kept::Absent, false) => Watch::Data,
            (Kept::Persistent, _) => Watch::Persistent,
            (Kept::Recursive, _) => Watch::Recursive,
        };
        self.add(conn, path, watch).map(|()| None)
    }

    /// Takes a watch up again that a connection's client had before, when it had seen all changes through `since`: what it
    /// is told now if it has missed something, else it watches on.
    pub fn resume(
        &mut self,
        tree: &Tree,
        conn: ConnId,
        since: Zxid,
        kept: Kept,
        path: &str,
    ) -> Result<Option<EventKind>, TreeError> {
        let (missed, watch) = match (kept, tree.changed(path)) {
            (Kept::Data | Kept::Children, None) => (Some(EventKind::Deleted), Watch::Data),
            (Kept::Data, Some((data, _))) => ((data > since).then_some(EventKind::DataChanged), Watch::Data),
            (Kept::Children, Some((_, children))) => {
                ((children > since).then_some(EventKind::ChildrenChanged), Watch::Children)
            }
            (Kept::Absent, found) => (found.map(|_| EventKind::Created), Watch::Data),
            (Kept::Persistent, _) => (None, Watch::Persistent),
            (Kept::Recursive, _) => (None, Watch::Recursive),
        };
        if missed.is_none() {
            self.add(conn, path, watch)?;
        }
        Ok(missed)
    }
}

#[cfg(test)]
#[path = "watches_tests.rs"]
mod tests;
