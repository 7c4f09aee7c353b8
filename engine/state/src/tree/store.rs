//! Committed znodes in memory.
//!
//! A znode takes 88 bytes for its place, 9 to 10 for its entry in the index, and a cell that holds its name and its
//! data: with 20 bytes of name and 100 of data 120. That is about 218 bytes in all; a test holds it to 220. Those that have
//! had children, an access list that was changed or an end of their own take 48 more, ephemeral znodes and those that end by
//! themselves 25 to 50 besides, access lists stand in a table of their own. The name is the last part of the path alone: the
//! rest follows from the parents.

use super::acl::{AclList, AclTable};
use super::digest;
use super::index::Index;
use super::lifetime::{Lifetime, Lifetimes};
use super::slab::{NONE, ROOT, Slab};
use super::snapshot::Walk;
use super::texts;
use torc_base::ids::{SessionId, Zxid};
use torc_base::time::Wall;

/// The length of no data.
const NULL: u32 = u32::MAX;

/// What is told of a znode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The change that made it.
    pub czxid: Zxid,
    /// The last change of its data.
    pub mzxid: Zxid,
    /// When it was made, and when its data were last changed.
    pub ctime: Wall,
    pub mtime: Wall,
    /// Changes of its data, of its children, of its access list.
    pub version: i32,
    pub cversion: i32,
    pub aversion: i32,
    /// The session that it goes with; none for containers and znodes with a time to live.
    pub ephemeral_owner: SessionId,
    /// Bytes of data.
    pub data_length: i32,
    /// Children.
    pub num_children: i32,
    /// The last change of its children.
    pub pzxid: Zxid,
}

/// One znode. Its name and data are the slab's. What is looked at to find one lies together, at the front: mostly one line of
/// the processor's cache.
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct Slot {
    pub(super) path_hash: u64,
    pub(super) parent: u32,
    /// Where its name and data lie, one behind the other, and how long each is.
    pub(super) cell: u32,
    name_len: u32,
    data_len: u32,
    pub(super) acl: u32,
    pub(super) czxid: i64,
    pub(super) mzxid: i64,
    pub(super) ctime: i64,
    pub(super) mtime: i64,
    /// What most znodes do not have.
    family: Option<Box<Family>>,
    pub(super) data_crc: u32,
    pub(super) version: i32,
    /// Its parent's next child; of a free place the next free one.
    pub(super) next: u32,
    prev: u32,
}

const _: () = assert!(size_of::<Slot>() == 88);

/// What is told of a znode by its children, by how it ends, by an access list that was changed.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) pzxid: i64,
    /// See [`Lifetime`].
    pub(super) owner: i64,
    /// Children that were ever made.
    pub(super) creates: i32,
    pub(super) aversion: i32,
    pub(super) children: u32,
    first_child: u32,
}

/// What one takes, with what an allocator adds.
const FAMILY_BYTES: usize = 48;

impl Slot {
    /// A place without a znode, and the next one of its kind.
    pub(super) fn free(next: u32) -> Slot {
        Slot {
            czxid: 0,
            mzxid: 0,
            ctime: 0,
            mtime: 0,
            path_hash: 0,
            family: None,
            cell: NONE,
            name_len: 0,
            data_len: NULL,
            data_crc: 0,
            version: 0,
            acl: NONE,
            parent: NONE,
            next,
            prev: NONE,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.parent != NONE
    }

    pub(super) fn pzxid(&self) -> i64 {
        self.family.as_ref().map_or(self.czxid, |family| family.pzxid)
    }

    pub(super) fn owner(&self) -> i64 {
        self.family.as_ref().map_or(0, |family| family.owner)
    }

    pub(super) fn creates(&self) -> i32 {
        self.family.as_ref().map_or(0, |family| family.creates)
    }

    pub(super) fn aversion(&self) -> i32 {
        self.family.as_ref().map_or(0, |family| family.aversion)
    }

    pub(super) fn children(&self) -> u32 {
        self.family.as_ref().map_or(0, |family| family.children)
    }

    fn first_child(&self) -> u32 {
        self.family.as_ref().map_or(NONE, |family| family.first_child)
    }

    /// To change what most znodes do not have.
    pub(super) fn family(&mut self) -> &mut Family {
        let pzxid = self.czxid;
        let none = || Family { pzxid, owner: 0, creates: 0, aversion: 0, children: 0, first_child: NONE };
        self.family.get_or_insert_with(|| Box::new(none()))
    }

    pub(super) fn name_bytes(&self) -> usize {
        self.name_len as usize
    }

    pub(super) fn has_data(&self) -> bool {
        self.data_len != NULL
    }

    pub(super) fn data_len(&self) -> usize {
        if self.has_data() { self.data_len as usize } else { 0 }
    }

    /// Bytes of its name and its data.
    pub(super) fn len(&self) -> usize {
        self.name_bytes() + self.data_len()
    }

    /// It has a name and data of so many bytes; `None`: no data, which differs from data of no bytes.
    pub(super) fn measure(&mut self, name: usize, data: Option<usize>) {
        self.name_len = u32::try_from(name).expect("names are bounded");
        self.data_len = data.map_or(NULL, |data| u32::try_from(data).expect("data are bounded"));
    }

    /// What its name, its data and its family take.
    fn allocated(&self) -> usize {
        texts::allocated(self.len()) + self.family.as_ref().map_or(0, |_| FAMILY_BYTES)
    }
}

/// What a znode is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made<'a> {
    pub(super) data: Option<&'a [u8]>,
    pub(super) acl: &'a AclList,
    pub(super) owner: i64,
    pub(super) zxid: Zxid,
    pub(super) time: Wall,
    /// Children that its parent has had then, this one too.
    pub(super) creates: i32,
}

/// All znodes.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) slab: Slab,
    index: Index,
    pub(super) acls: AclTable,
    pub(super) lifetimes: Lifetimes,
    /// Sum of what stands for each znode.
    pub(super) digest: u64,
    /// Of names and data, as allocated.
    allocated: usize,
    /// Bytes of all data.
    pub(super) data_bytes: u64,
    /// The snapshots that are being taken, by who takes them.
    pub(super) walks: [Option<Box<Walk>>; 2],
}

impl Store {
    /// The root alone, which everybody may do everything with. `secret`: random bytes, which other stores do not share.
    pub(super) fn new(secret: (u64, u64)) -> Store {
        let mut store = Store::empty(secret);
        let acl = store.acls.take(&AclList::world(super::acl::perms::ALL));
        let mut root = Slot { acl, parent: ROOT, path_hash: digest::ROOT, ..Slot::free(NONE) };
        store.slab.put(&mut root, "", Some(&[]));
        assert_eq!(store.slab.insert(root), ROOT);
        store.enter(ROOT);
        store
    }

    /// No znode at all.
    pub(super) fn empty(secret: (u64, u64)) -> Store {
        Store {
            slab: Slab::new(),
            index: Index::new(secret),
            acls: AclTable::default(),
            lifetimes: Lifetimes::default(),
            digest: 0,
            allocated: 0,
            data_bytes: 0,
            walks: [None, None],
        }
    }

    pub(super) fn get(&self, id: u32) -> &Slot {
        let slot = self.slab.get(id);
        debug_assert!(slot.is_live());
        slot
    }

    /// The znode of a path; empty is the root too, as in ZooKeeper. Whatever is no path has none.
    pub(super) fn find(&self, path: &str) -> Option<u32> {
        self.find_hashed(path, digest::of_whole_path(path))
    }

    /// The same of a path for which this stands.
    pub(super) fn find_hashed(&self, path: &str, hash: u64) -> Option<u32> {
        if matches!(path, "" | "/") {
            return Some(ROOT);
        }
        let names = path.strip_prefix('/')?;
        self.index.find(&self.slab, hash, |slot| self.is_at(slot, names))
    }

    /// True if `names` lead to it. Going up is one look into the index instead of one for each parent.
    fn is_at<'a>(&'a self, mut slot: &'a Slot, mut names: &str) -> bool {
        loop {
            let (before, name) = names.rsplit_once('/').map_or((None, names), |(before, name)| (Some(before), name));
            if !self.slab.is_called(slot, name) || name.is_empty() {
                return false;
            }
            match (before, slot.parent == ROOT) {
                (None, is_top) => return is_top,
                (Some(_), true) => return false,
                (Some(before), false) => names = before,
            }
            slot = self.slab.get(slot.parent);
        }
    }

    /// True if the parent has a child already that is called like `other`, a znode that is to be its child.
    pub(super) fn has_child(&self, parent: u32, other: u32) -> bool {
        let other = self.slab.get(other);
        let name = self.slab.name(other);
        let is_it = |slot: &Slot| slot.parent == parent && self.slab.is_called(slot, name);
        self.index.find(&self.slab, other.path_hash, is_it).is_some()
    }

    pub(super) fn name(&self, id: u32) -> &str {
        self.slab.name(self.get(id))
    }

    pub(super) fn data(&self, id: u32) -> Option<&[u8]> {
        self.slab.data(self.get(id))
    }

    /// Its path.
    pub(super) fn path(&self, id: u32) -> String {
        let mut names = Vec::new();
        let mut at = id;
        while at != ROOT {
            let slot = self.get(at);
            names.push(self.slab.name(slot));
            at = slot.parent;
        }
        if names.is_empty() {
            return "/".into();
        }
        let mut path = String::with_capacity(names.iter().map(|name| name.len() + 1).sum());
        for name in names.into_iter().rev() {
            path.push('/');
            path.push_str(name);
        }
        path
    }

    pub(super) fn stat(&self, id: u32) -> Stat {
        let slot = self.get(id);
        // The count of changes is one for each that was made and one for each that is gone.
        let cversion = slot.creates().wrapping_mul(2).wrapping_sub(slot.children() as i32);
        Stat {
            czxid: Zxid(slot.czxid),
            mzxid: Zxid(slot.mzxid),
            ctime: Wall(slot.ctime),
            mtime: Wall(slot.mtime),
            version: slot.version,
            cversion,
            aversion: slot.aversion(),
            ephemeral_owner: Lifetime::of(slot.owner()).session(),
            data_length: slot.data_len() as i32,
            num_children: slot.children() as i32,
            pzxid: Zxid(slot.pzxid()),
        }
    }

    pub(super) fn acl(&self, id: u32) -> &AclList {
        self.acls.get(self.get(id).acl)
    }

    /// Its children, the newest first.
    pub(super) fn children(&self, id: u32) -> impl Iterator<Item = u32> {
        let first = self.get(id).first_child();
        std::iter::successors((first != NONE).then_some(first), |child| self.next_sibling(*child))
    }

    /// The child of the same parent that comes behind it.
    pub(super) fn next_sibling(&self, child: u32) -> Option<u32> {
        let next = self.get(child).next;
        (next != NONE).then_some(next)
    }

    /// The znode that comes next when `top` and all below it are gone through, parents before children.
    pub(super) fn next_below(&self, top: u32, id: u32) -> Option<u32> {
        let slot = self.get(id);
        if slot.first_child() != NONE {
            return Some(slot.first_child());
        }
        let mut at = id;
        while at != top {
            let slot = self.get(at);
            if slot.next != NONE {
                return Some(slot.next);
            }
            at = slot.parent;
        }
        None
    }

    /// Makes a child, which must not be there.
    pub(super) fn insert(&mut self, parent: u32, name: &str, made: Made<'_>) -> u32 {
        let path_hash = digest::of_path(self.get(parent).path_hash, name);
        self.insert_hashed(parent, name, path_hash, made)
    }

    /// The same of a path for which this stands.
    pub(super) fn insert_hashed(&mut self, parent: u32, name: &str, path_hash: u64, made: Made<'_>) -> u32 {
        debug_assert_eq!(path_hash, digest::of_path(self.get(parent).path_hash, name));
        let acl = self.acls.take(made.acl);
        let (zxid, time) = (made.zxid.get(), made.time.0);
        let mut slot = Slot { acl, parent, path_hash, ..Slot::free(NONE) };
        (slot.czxid, slot.mzxid, slot.ctime, slot.mtime) = (zxid, zxid, time, time);
        if made.owner != 0 {
            slot.family().owner = made.owner;
        }
        self.slab.put(&mut slot, name, made.data);
        let id = self.slab.insert(slot);
        for walk in self.walks.iter_mut().flatten() {
            walk.pass_over(id);
        }
        self.enter(id);
        self.update(parent, |parent| {
            let family = parent.family();
            family.children += 1;
            (family.creates, family.pzxid) = (made.creates, zxid);
        });
        self.link(id);
        id
    }

    /// Counts a znode that has its place.
    pub(super) fn enter(&mut self, id: u32) {
        let slot = self.slab.get(id);
        self.digest = self.digest.wrapping_add(digest::of_znode(slot, self.acls.hash(slot.acl)));
        self.allocated += slot.allocated();
        self.data_bytes += slot.data_len() as u64;
        self.lifetimes.enter(id, slot);
        self.index.insert(slot.path_hash, id);
    }

    /// Puts it before its parent's other children, which count it already.
    pub(super) fn link(&mut self, id: u32) {
        let parent = self.slab.get(id).parent;
        let first = std::mem::replace(&mut self.slab.get_mut(parent).family().first_child, id);
        let slot = self.slab.get_mut(id);
        (slot.prev, slot.next) = (NONE, first);
        if first != NONE {
            self.slab.get_mut(first).prev = id;
        }
    }

    fn unlink(&mut self, id: u32) {
        let Slot { parent, prev, next, .. } = *self.slab.get(id);
        if prev == NONE {
            self.slab.get_mut(parent).family().first_child = next;
        } else {
            self.slab.get_mut(prev).next = next;
        }
        if next != NONE {
            self.slab.get_mut(next).prev = prev;
        }
    }

    /// Change `zxid` takes a znode without children out.
    pub(super) fn remove(&mut self, id: u32, zxid: Zxid) {
        assert!(id != ROOT && self.get(id).children() == 0, "a znode with others below it");
        self.preserve(id);
        self.unlink(id);
        let slot = self.slab.remove(id);
        self.index.remove(slot.path_hash, id);
        self.lifetimes.leave(id, &slot);
        self.digest = self.digest.wrapping_sub(digest::of_znode(&slot, self.acls.hash(slot.acl)));
        self.allocated -= slot.allocated();
        self.data_bytes -= slot.data_len() as u64;
        self.acls.give_back(slot.acl);
        self.update(slot.parent, |parent| {
            let family = parent.family();
            family.children -= 1;
            family.pzxid = zxid.get();
        });
    }

    /// Changes a znode, but neither name nor place.
    fn update(&mut self, id: u32, change: impl FnOnce(&mut Slot)) {
        self.update_with(id, |slab| change(slab.get_mut(id)));
    }

    fn update_with(&mut self, id: u32, change: impl FnOnce(&mut Slab)) {
        self.preserve(id);
        let slot = self.slab.get(id);
        self.digest = self.digest.wrapping_sub(digest::of_znode(slot, self.acls.hash(slot.acl)));
        self.allocated -= slot.allocated();
        self.data_bytes -= slot.data_len() as u64;
        let before = self.lifetimes.place(id, slot);
        change(&mut self.slab);
        let slot = self.slab.get(id);
        self.lifetimes.moved(before, self.lifetimes.place(id, slot));
        self.digest = self.digest.wrapping_add(digest::of_znode(slot, self.acls.hash(slot.acl)));
        self.allocated += slot.allocated();
        self.data_bytes += slot.data_len() as u64;
    }

    /// What stands in a snapshot is what was there when it began.
    fn preserve(&mut self, id: u32) {
        for walk in self.walks.iter_mut().flatten() {
            walk.preserve(id, &self.slab, &self.acls);
        }
    }

    /// Data become others, under a version.
    pub(super) fn set_data(&mut self, id: u32, data: Option<&[u8]>, version: i32, zxid: Zxid, time: Wall) {
        self.update_with(id, |slab| {
            slab.put_data(id, data);
            let slot = slab.get_mut(id);
            (slot.version, slot.mzxid, slot.mtime) = (version, zxid.get(), time.0);
        });
    }

    /// Data become others, and nothing else tells of it: what a quota has counted.
    pub(super) fn set_count(&mut self, id: u32, data: &[u8]) {
        self.update_with(id, |slab| slab.put_data(id, Some(data)));
    }

    /// The access list becomes another, under a version.
    pub(super) fn set_acl(&mut self, id: u32, acl: &AclList, aversion: i32) {
        let number = self.acls.take(acl);
        let before = self.get(id).acl;
        self.update(id, |slot| (slot.acl, slot.family().aversion) = (number, aversion));
        self.acls.give_back(before);
    }

    /// Memory of all znodes, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.slab.memory() + self.index.memory() + self.allocated + self.acls.memory() + self.lifetimes.memory()
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
