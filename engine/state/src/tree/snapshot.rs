//! Snapshots of the tree, taken a piece at a time while it is written to, and exact all the same: what stands in one is the
//! tree as it was when it began. A znode that is about to change before its turn is written first, out of turn. So nothing
//! is applied twice when the log is replayed behind it, and its digest is that of one moment.
//!
//! Pieces are: one head, any number of pieces of sessions and of znodes, one end. Znodes come in any order; parents are
//! named by the places that they had in memory. Two snapshots may be under way, one for each [`Taker`].

use super::acl::{AclList, AclTable, perms};
use super::digest;
use super::lifetime::Lifetime;
use super::overlay::Session;
use super::slab::{NONE, ROOT, Slab};
use super::store::{Slot, Store};
use super::txn::{self, number};
use super::{Tree, TreeSettings};
use crate::codec::{DecodeError, Decoder, put_bytes, put_i64, put_u64};
use std::collections::VecDeque;
use std::ops::Range;
use torc_base::ids::{Index, SessionId, Zxid};
use torc_base::limits::*;

/// First byte of a head.
const VERSION: u8 = 1;

const HEAD: u8 = 0;
const SESSIONS: u8 = 1;
const ZNODES: u8 = 2;
const END: u8 = 3;

/// Sessions of one piece.
const PIECE_SESSIONS: usize = 4096;

/// Who takes a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taker {
    /// It goes into a checkpoint.
    Checkpoint,
    /// It goes to another member.
    Member,
}

/// A snapshot that is being taken.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    head: Option<Vec<u8>>,
    sessions: Vec<(SessionId, Session)>,
    /// Of one piece, the last znode aside.
    piece_bytes: usize,
    /// Places before it have been written.
    cursor: u32,
    /// Places that there were.
    end: u32,
    /// Places behind the cursor that are done: written out of turn, or taken later.
    passed: Vec<u64>,
    /// Pieces of znodes that were written out of turn, which are not taken yet.
    early: VecDeque<Vec<u8>>,
    early_bytes: usize,
    /// The bytes of an access list that lets everybody do everything: it stands in most znodes.
    open: AclList,
}

impl Walk {
    fn is_passed(&self, id: u32) -> bool {
        self.passed[id as usize / 64] >> (id % 64) & 1 == 1
    }

    /// What is put at this place from now on is not part of the snapshot.
    pub(super) fn pass_over(&mut self, id: u32) {
        if id < self.end {
            self.passed[id as usize / 64] |= 1 << (id % 64);
        }
    }

    /// A znode is about to change.
    pub(super) fn preserve(&mut self, id: u32, slab: &Slab, acls: &AclTable) {
        if id >= self.cursor && id < self.end && !self.is_passed(id) {
            self.pass_over(id);
            let slot = slab.get(id);
            if self.early.back().is_none_or(|piece| piece.len() >= self.piece_bytes) {
                self.early.push_back(vec![ZNODES]);
            }
            let piece = self.early.back_mut().expect("just seen");
            let before = piece.len();
            encode(piece, id, slab, slot, acls.get(slot.acl), &self.open);
            self.early_bytes += piece.len() - before;
        }
    }
}

fn encode(out: &mut Vec<u8>, id: u32, slab: &Slab, slot: &Slot, acl: &AclList, open: &AclList) {
    put_u64(out, u64::from(id));
    put_u64(out, u64::from(slot.parent));
    put_bytes(out, slab.name(slot).as_bytes());
    txn::put_data(out, slab.data(slot));
    for number in [slot.czxid, slot.mzxid, slot.pzxid(), slot.ctime, slot.mtime, slot.owner()] {
        put_i64(out, number);
    }
    for number in [slot.version, slot.creates(), slot.aversion()] {
        put_i64(out, i64::from(number));
    }
    out.push(u8::from(acl != open));
    if acl != open {
        acl.encode(out);
    }
}

impl Tree {
    /// Begins a snapshot of what is applied now. One that was being taken for the same is given up.
    pub fn begin_snapshot(&mut self, taker: Taker) {
        assert!(self.applying() == 0, "a snapshot has whole transactions");
        let mut head = vec![HEAD, VERSION];
        put_u64(&mut head, self.applied.get());
        put_i64(&mut head, self.zxid.get());
        put_u64(&mut head, self.store.slab.live() as u64);
        put_u64(&mut head, self.sessions.len() as u64);
        head.extend(self.digest().to_le_bytes());
        let end = self.store.slab.end();
        self.store.walks[taker as usize] = Some(Box::new(Walk {
            head: Some(head),
            sessions: self.sessions.iter().map(|(id, session)| (*id, *session)).collect(),
            piece_bytes: match taker {
                Taker::Checkpoint => self.settings.piece_bytes,
                Taker::Member => TREE_PIECE_BYTES,
            },
            cursor: 0,
            end,
            passed: vec![0; (end as usize).div_ceil(64)],
            early: VecDeque::new(),
            early_bytes: 0,
            open: AclList::world(perms::ALL),
        }));
    }

    /// Bytes that a snapshot of what is applied now has, about: a znode's numbers take some 60, names mostly few.
    pub fn snapshot_bytes_expected(&self) -> u64 {
        self.store.data_bytes + self.store.slab.live() as u64 * 80 + self.sessions.len() as u64 * 16
    }

    /// Gives the snapshot up.
    pub fn abandon_snapshot(&mut self, taker: Taker) {
        self.store.walks[taker as usize] = None;
    }

    /// True while a snapshot is being taken and not all of it has been.
    pub fn has_snapshot(&self, taker: Taker) -> bool {
        self.store.walks[taker as usize].is_some()
    }

    /// Bytes that changes have added to the snapshot and that wait for being taken. They are taken first.
    pub fn snapshot_waiting(&self, taker: Taker) -> usize {
        self.store.walks[taker as usize].as_ref().map_or(0, |walk| walk.early_bytes)
    }

    /// The next piece of the snapshot, of about as many bytes as its taker wants; `None`: no snapshot is being taken, or there is no more
    /// of it.
    pub fn next_piece(&mut self, taker: Taker) -> Option<Vec<u8>> {
        let mut walk = self.store.walks[taker as usize].take()?;
        let piece = self.piece(&mut walk);
        if piece.first() != Some(&END) {
            self.store.walks[taker as usize] = Some(walk);
        }
        Some(piece)
    }

    fn piece(&self, walk: &mut Walk) -> Vec<u8> {
        if let Some(head) = walk.head.take() {
            return head;
        }
        if let Some(piece) = walk.early.pop_front() {
            walk.early_bytes -= piece.len() - 1;
            return piece;
        }
        if !walk.sessions.is_empty() {
            let mut piece = vec![SESSIONS];
            let from = walk.sessions.len().saturating_sub(PIECE_SESSIONS);
            for (id, session) in walk.sessions.drain(from..) {
                put_i64(&mut piece, id.get());
                put_u64(&mut piece, u64::from(session.timeout_ms));
                piece.push(u8::from(session.is_closing));
            }
            return piece;
        }
        let mut piece = vec![ZNODES];
        while walk.cursor < walk.end && piece.len() < walk.piece_bytes {
            let id = walk.cursor;
            walk.cursor += 1;
            let slot = self.store.slab.get(id);
            if slot.is_live() && !walk.is_passed(id) {
                encode(&mut piece, id, &self.store.slab, slot, self.store.acls.get(slot.acl), &walk.open);
            }
        }
        if piece.len() == 1 && walk.cursor == walk.end { vec![END] } else { piece }
    }
}

/// What the head of a snapshot says.
#[derive(Clone, Copy, Debug)]
struct Head {
    applied: Index,
    zxid: Zxid,
    znodes: usize,
    sessions: usize,
    digest: u64,
}

/// A snapshot that is being read, piece by piece.
#[derive(Debug)]
pub struct Loader {
    tree: Tree,
    head: Option<Head>,
    /// Where znodes stood, and where they stand now.
    places: Vec<(u32, u32)>,
    open: AclList,
    settling: Settling,
}

/// How far a tree is made of what has come.
#[derive(Debug)]
enum Settling {
    No,
    /// So many znodes know where their parents stand now.
    Parents(usize),
    /// Znodes before that place, and all above them, hang where they belong.
    Paths(u32, Vec<bool>),
    Done,
}

impl Loader {
    /// A tree with these settings will be made.
    pub fn new(settings: TreeSettings) -> Loader {
        let mut store = Store::empty(settings.secret);
        // The root's place, until it comes.
        store.slab.insert(Slot::free(NONE));
        Loader {
            tree: Tree::with(settings, store),
            head: None,
            places: Vec::new(),
            open: AclList::world(perms::ALL),
            settling: Settling::No,
        }
    }

    /// Takes the next piece. True: it was the last one, and [`Loader::finish`] makes a tree of all.
    pub fn piece(&mut self, mut bytes: &[u8]) -> Result<bool, DecodeError> {
        let mut from = Decoder::new(&mut bytes);
        let kind = from.u8("the kind of a piece")?;
        from.check(self.head.is_some() != (kind == HEAD), "the head of a snapshot")?;
        match kind {
            HEAD => self.head = Some(head(&mut from)?),
            SESSIONS => {
                while !from.is_empty() {
                    self.session(&mut from)?;
                }
            }
            ZNODES => {
                while !from.is_empty() {
                    self.znode(&mut from)?;
                }
            }
            END => {}
            _ => return Err(from.bad("the kind of a piece")),
        }
        from.check(from.is_empty(), "the end of a piece")?;
        Ok(kind == END)
    }

    fn session(&mut self, from: &mut Decoder<'_, '_>) -> Result<(), DecodeError> {
        let id = SessionId(from.i64("a session")?);
        let timeout_ms = from.u64_max(u64::from(u32::MAX), "a session's timeout")? as u32;
        let is_closing = from.u8("whether a session ends")?;
        from.check(is_closing <= 1, "whether a session ends")?;
        let session = Session { timeout_ms, is_closing: is_closing == 1 };
        let before = self.tree.put_session(id, Some(session));
        from.check(before.is_none() && self.tree.sessions.len() <= SESSIONS_MAX, "a session")
    }

    fn znode(&mut self, from: &mut Decoder<'_, '_>) -> Result<(), DecodeError> {
        let id = from.u64_max(ZNODES_MAX as u64, "a znode's place")? as u32;
        let parent = from.u64_max(ZNODES_MAX as u64, "a parent's place")? as u32;
        let name = from.text(ZNODE_PATH_BYTES_MAX, "a name")?;
        let data = txn::data(from)?;
        let mut slot = Slot::free(NONE);
        slot.parent = parent;
        let mut numbers = [0; 6];
        for field in &mut numbers {
            *field = from.i64("a znode's numbers")?;
        }
        let (pzxid, owner);
        [slot.czxid, slot.mzxid, pzxid, slot.ctime, slot.mtime, owner] = numbers;
        let mut versions = [0; 3];
        for field in &mut versions {
            *field = number(from, "a znode's versions")?;
        }
        let (creates, aversion);
        [slot.version, creates, aversion] = versions;
        from.check(Lifetime::of(owner).owner() == owner, "what a znode ends with")?;
        if (pzxid, owner, creates, aversion) != (slot.czxid, 0, 0, 0) {
            let family = slot.family();
            (family.pzxid, family.owner, family.creates, family.aversion) = (pzxid, owner, creates, aversion);
        }
        let list = match from.u8("whether a znode is open")? {
            0 => self.open.clone(),
            1 => AclList::decode(from)?,
            _ => return Err(from.bad("whether a znode is open")),
        };
        let is_root = id == ROOT;
        from.check(is_root == name.is_empty() && !name.contains('/') && is_root <= (parent == ROOT), "a name")?;
        if is_root {
            from.check(!self.tree.store.slab.get(ROOT).is_live(), "a second root")?;
            slot.path_hash = digest::ROOT;
        }
        self.tree.store.slab.put(&mut slot, name, data);
        slot.acl = self.tree.store.acls.take(&list);
        let place = if is_root {
            *self.tree.store.slab.get_mut(ROOT) = slot;
            ROOT
        } else {
            self.tree.store.slab.insert(slot)
        };
        self.places.push((id, place));
        from.check(self.places.len() <= ZNODES_MAX, "the number of znodes")
    }

    /// What the tree is applied through, as soon as that is known.
    pub fn applied(&self) -> Option<Index> {
        self.head.map(|head| head.applied)
    }

    /// Makes the tree: everything is there, once, hangs together, and has the digest that the head tells.
    pub fn finish(mut self) -> Result<Tree, DecodeError> {
        while !self.settle(usize::MAX)? {}
        Ok(self.tree)
    }

    /// Goes on with that, by so many znodes; a large tree takes its time. True: it is done.
    pub fn settle(&mut self, znodes: usize) -> Result<bool, DecodeError> {
        let next = match std::mem::replace(&mut self.settling, Settling::No) {
            Settling::No => {
                self.count()?;
                Settling::Parents(0)
            }
            Settling::Parents(from) if from < self.places.len() => Settling::Parents(self.find_parents(from, znodes)?),
            Settling::Parents(_) => {
                let mut is_done = vec![false; self.tree.store.slab.end() as usize];
                is_done[ROOT as usize] = true;
                self.tree.store.enter(ROOT);
                Settling::Paths(0, is_done)
            }
            Settling::Paths(place, mut is_done) if (place as usize) < is_done.len() => {
                let to = (place as usize).saturating_add(znodes).min(is_done.len()) as u32;
                hang(&mut self.tree.store, place..to, &mut is_done).ok_or(bad("the parents of znodes"))?;
                Settling::Paths(to, is_done)
            }
            Settling::Paths(..) => {
                self.check_whole()?;
                Settling::Done
            }
            Settling::Done => Settling::Done,
        };
        self.settling = next;
        Ok(matches!(self.settling, Settling::Done))
    }

    fn count(&mut self) -> Result<(), DecodeError> {
        let head = self.head.ok_or(bad("the head of a snapshot"))?;
        let is_whole = self.places.len() == head.znodes && self.tree.sessions.len() == head.sessions;
        if !is_whole || !self.tree.store.slab.get(ROOT).is_live() {
            return Err(bad("the number of znodes and sessions"));
        }
        self.places.sort_unstable();
        if self.places.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(bad("a znode's place"));
        }
        Ok(())
    }

    fn find_parents(&mut self, from: usize, znodes: usize) -> Result<usize, DecodeError> {
        let to = from.saturating_add(znodes).min(self.places.len());
        let store = &mut self.tree.store;
        for (_, place) in &self.places[from..to] {
            let before = store.slab.get(*place).parent;
            let found = self.places.binary_search_by_key(&before, |(before, _)| *before);
            let parent = self.places[found.map_err(|_| bad("a parent's place"))?].1;
            store.slab.get_mut(*place).parent = parent;
            if *place != ROOT {
                store.slab.get_mut(parent).family().children += 1;
            }
        }
        Ok(to)
    }

    fn check_whole(&mut self) -> Result<(), DecodeError> {
        let head = self.head.ok_or(bad("the head of a snapshot"))?;
        self.tree.find_quotas();
        (self.tree.applied, self.tree.zxid) = (head.applied, head.zxid);
        let special = ["/zookeeper", super::path::QUOTA, super::path::CONFIG];
        if special.iter().any(|path| self.tree.store.find(path).is_none()) || self.tree.digest() != head.digest {
            return Err(bad("the digest of a snapshot"));
        }
        Ok(())
    }
}

fn bad(what: &'static str) -> DecodeError {
    DecodeError { what, left: 0 }
}

fn head(from: &mut Decoder<'_, '_>) -> Result<Head, DecodeError> {
    let version = from.u8("the version of a snapshot")?;
    from.check(version == VERSION, "the version of a snapshot")?;
    let applied = Index(from.u64("an index")?);
    let zxid = Zxid(from.i64("a zxid")?);
    let znodes = from.u64_max(ZNODES_MAX as u64, "the number of znodes")? as usize;
    let sessions = from.u64_max(SESSIONS_MAX as u64, "the number of sessions")? as usize;
    let digest = from.take(8, "a digest")?;
    Ok(Head { applied, zxid, znodes, sessions, digest: u64::from_le_bytes(digest.try_into().expect("eight bytes")) })
}

/// Finds the paths of znodes, of parents first, and links them. `None`: some hang on themselves, or two have one path.
fn hang(store: &mut Store, places: Range<u32>, is_done: &mut [bool]) -> Option<()> {
    let mut way = Vec::new();
    for place in places {
        let mut at = place;
        while !is_done[at as usize] {
            way.push(at);
            if way.len() > is_done.len() {
                return None;
            }
            at = store.slab.get(at).parent;
        }
        while let Some(id) = way.pop() {
            let slot = store.slab.get(id);
            let above = store.slab.get(slot.parent).path_hash;
            let (parent, path_hash) = (slot.parent, digest::of_path(above, store.slab.name(slot)));
            store.slab.get_mut(id).path_hash = path_hash;
            if store.has_child(parent, id) {
                return None;
            }
            store.enter(id);
            store.link(id);
            is_done[id as usize] = true;
        }
    }
    Some(())
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
