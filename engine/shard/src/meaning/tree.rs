//! The tree's log: znodes and sessions as its committed transactions make them, and the transactions that are not committed.
//!
//! An entry is the number of the request that it came of (8 bytes, little endian; 0: of none), then the transaction. By the
//! number the node that waits for it finds whom to answer, whichever node has made the entry.
//!
//! A checkpoint's section has a snapshot, taken over many turns while the tree is written to, and the entries behind it. What
//! another member gets that lacks the log's beginning is such a snapshot, too ([`TreeStart`]).

use super::kind;
use crate::settings::Settings;
use std::collections::VecDeque;
use torc_base::ids::{Index, Term, Zxid};
use torc_base::limits::TREE_PIECE_BYTES_MAX;
use torc_state::tree::{self, Event, Loader, Outcome, Taker, Tree, Txn};
use torc_wal::Item;

/// Bytes in front of a transaction.
const NUMBER: usize = 8;

/// A snapshot that is being taken for a checkpoint.
struct Walk {
    /// What is applied in it.
    at: Index,
    /// Entries that were applied since.
    behind: Behind,
    is_whole: bool,
}

/// Entries behind a snapshot, each with its index (8) and its length (4).
#[derive(Default)]
struct Behind {
    count: u64,
    bytes: Vec<u8>,
}

impl Behind {
    fn push(&mut self, index: Index, number: u64, txn: &Txn) {
        self.count += 1;
        self.bytes.extend_from_slice(&index.get().to_le_bytes());
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        encode_entry(number, txn, &mut self.bytes);
        let len = u32::try_from(self.bytes.len() - at - 4).expect("an entry is bounded");
        self.bytes[at..at + 4].copy_from_slice(&len.to_le_bytes());
    }
}

/// The tree with its log's uncommitted end.
pub struct TreeLog {
    tree: Tree,
    settings: tree::TreeSettings,
    /// Of each transaction that is appended and not applied, the number of its request.
    numbers: VecDeque<(Index, u64)>,
    walk: Option<Walk>,
}

/// A transaction that was applied, by its request's number.
pub struct AppliedTxn {
    pub number: u64,
    pub txn: Txn,
}

/// A part of one.
pub enum AppliedPart {
    /// The last one, or the whole.
    Last(AppliedTxn),
    /// So many operations, looked at or applied; more are left.
    NotLast { operations: usize },
}

/// The zxid of an entry: the term, and the low 32 bits of its place in the log.
pub fn zxid_of(term: Term, index: Index) -> Zxid {
    let term = i64::try_from(term.get()).expect("fewer than two billion elections");
    Zxid(term << 32 | (index.get() & u64::from(u32::MAX)) as i64)
}

/// True if the entry behind this one would get a smaller zxid in the same term.
pub fn ends_term(index: Index) -> bool {
    index.get() & u64::from(u32::MAX) >= u64::from(u32::MAX) - 1
}

/// Appends an entry's bytes.
pub fn encode_entry(number: u64, txn: &Txn, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_le_bytes());
    txn.encode(out);
}

/// The number and the transaction of an entry.
fn parts_of_entry(bytes: &[u8]) -> Result<(u64, &[u8]), String> {
    let (number, txn) = bytes.split_first_chunk::<NUMBER>().ok_or("an entry that is cut short")?;
    Ok((u64::from_le_bytes(*number), txn))
}

fn decode_entry(bytes: &[u8]) -> Result<(u64, Txn), String> {
    let (number, txn) = parts_of_entry(bytes)?;
    Ok((number, Txn::decode(txn).map_err(|error| error.to_string())?))
}

impl TreeLog {
    /// As every tree begins.
    pub fn new(settings: &Settings) -> TreeLog {
        let zookeeper = settings.zookeeper.clone().unwrap_or_default();
        let mut prng = torc_base::prng::Prng::new(settings.seed ^ 0x7a6e_0de5);
        let settings = tree::TreeSettings {
            secret: (prng.next_u64(), prng.next_u64()),
            has_ttl: zookeeper.has_ttl,
            enforces_quotas: zookeeper.enforces_quotas,
            skips_acls: zookeeper.skips_acls,
            memory_max: zookeeper.memory_max,
            piece_bytes: zookeeper.snapshots.piece_bytes,
        };
        TreeLog::with(settings, Tree::new(settings))
    }

    fn with(settings: tree::TreeSettings, tree: Tree) -> TreeLog {
        TreeLog { tree, settings, numbers: VecDeque::new(), walk: None }
    }

    /// What is applied, and what requests see.
    pub fn state(&self) -> &Tree {
        &self.tree
    }

    /// The same, to check requests.
    pub fn state_mut(&mut self) -> &mut Tree {
        &mut self.tree
    }

    /// Entry `index` is this transaction, which this node makes.
    pub fn append(&mut self, index: Index, number: u64, txn: Txn) {
        self.tree.append(index, txn);
        self.numbers.push_back((index, number));
    }

    /// The same of one that others have made, or this node before it was started.
    fn follow(&mut self, index: Index, number: u64, txn: Txn) {
        self.tree.follow(index, txn);
        self.numbers.push_back((index, number));
    }

    /// See [`super::Meaning::check`].
    pub fn check(item: &Item) -> Result<(), String> {
        if !has_txn(item)? {
            return Ok(());
        }
        let zxid = parts_of_entry(&item.bytes)
            .and_then(|(_, txn)| Txn::check(txn).map_err(|error| error.to_string()))
            .map_err(|what| of_entry(item, &what))?;
        check_zxid(item, zxid)
    }

    /// See [`super::Meaning::replay`].
    pub fn replay(&mut self, item: &Item) -> Result<(), String> {
        if let Some((number, txn)) = read(item)? {
            if txn.zxid <= self.tree.newest_zxid() {
                return Err(format!("zxid {} after {}", txn.zxid, self.tree.newest_zxid()));
            }
            self.follow(item.index, number, txn);
        }
        Ok(())
    }

    /// See [`super::Meaning::pending`].
    pub fn pending(&self) -> Option<(Index, Index)> {
        Some((self.numbers.front()?.0, self.numbers.back()?.0))
    }

    /// See [`super::Meaning::cut`].
    pub fn cut(&mut self, from: Index) {
        self.tree.cut(from);
        while self.numbers.back().is_some_and(|(index, _)| *index >= from) {
            self.numbers.pop_back();
        }
    }

    /// Applies the next of the entries through `through`, which are committed: see [`Tree::apply_next`].
    pub fn apply_next(
        &mut self,
        through: Index,
        outcomes: &mut Vec<Outcome>,
        tell: &mut impl FnMut(Event<'_>),
    ) -> Option<AppliedTxn> {
        let txn = self.tree.apply_next(through, outcomes, tell)?;
        Some(self.applied(txn))
    }

    /// The same of a part of it: see [`Tree::apply_part`].
    pub fn apply_part(
        &mut self,
        through: Index,
        most: usize,
        outcomes: &mut Vec<Outcome>,
        tell: &mut impl FnMut(Event<'_>),
    ) -> Option<AppliedPart> {
        Some(match self.tree.apply_part(through, most, outcomes, tell)? {
            tree::Applied::Whole(txn) => AppliedPart::Last(self.applied(txn)),
            tree::Applied::Part(operations) => AppliedPart::NotLast { operations },
        })
    }

    /// The next transaction, a part of which is applied.
    pub fn in_part(&self) -> (u64, &Txn) {
        let number = self.numbers.front().expect("each transaction has a number").1;
        (number, self.tree.pending_txns().next().expect("it is not whole").1)
    }

    fn applied(&mut self, txn: Txn) -> AppliedTxn {
        let (index, number) = self.numbers.pop_front().expect("each transaction has a number");
        assert_eq!(index, self.tree.applied(), "numbers stand in the order of the entries");
        if let Some(walk) = &mut self.walk {
            walk.behind.push(index, number, &txn);
        }
        AppliedTxn { number, txn }
    }

    /// Begins the snapshot for the next checkpoint.
    pub fn begin_walk(&mut self) {
        self.tree.begin_snapshot(Taker::Checkpoint);
        self.walk = Some(Walk { at: self.tree.applied(), behind: Behind::default(), is_whole: false });
    }

    /// Its next piece, behind its length (4 bytes, little endian): the pieces, one behind the other, are the beginning of the
    /// checkpoint's section. `None`: all have been taken.
    pub fn walk(&mut self) -> Option<Vec<u8>> {
        let walk = self.walk.as_mut().expect("it has begun");
        match self.tree.next_piece(Taker::Checkpoint) {
            Some(piece) => {
                let mut bytes = Vec::with_capacity(piece.len() + 4);
                put_piece(&mut bytes, &piece);
                Some(bytes)
            }
            None => {
                walk.is_whole = true;
                None
            }
        }
    }

    /// Gives the snapshot for the next checkpoint up.
    pub fn give_up_walk(&mut self) {
        self.walk = None;
        self.tree.abandon_snapshot(Taker::Checkpoint);
    }

    /// What is applied in the snapshot that is being taken or has been taken for the next checkpoint.
    pub fn walked(&self) -> Option<Index> {
        self.walk.as_ref().map(|walk| walk.at)
    }

    /// What the checkpoint's section has behind the snapshot, which has been taken: the number (8) of entries behind it, those
    /// that were applied since, and those that are not.
    pub fn end_section(&mut self) -> [Vec<u8>; 3] {
        let walk = self.walk.take().filter(|walk| walk.is_whole).expect("the snapshot was taken");
        let mut pending = Behind::default();
        for ((index, number), (of, txn)) in self.numbers.iter().zip(self.tree.pending_txns()) {
            assert_eq!(*index, of, "numbers stand in the order of the entries");
            pending.push(*index, *number, txn);
        }
        let count = walk.behind.count + pending.count;
        [count.to_le_bytes().to_vec(), walk.behind.bytes, pending.bytes]
    }

    /// Takes over what has come of a checkpoint's section ([`TreeStart::take_section`]), all of it, which is applied through
    /// `applied`.
    pub fn load(&mut self, section: TreeStart, applied: Index) -> Result<(), String> {
        let (mut loaded, entries) = section.finish_section()?;
        if loaded.tree.applied() != applied {
            return Err(format!("the tree is applied through {}, not {applied}", loaded.tree.applied()));
        }
        let rest = &mut &entries[..];
        let count = super::take_u64(rest).ok_or(SHORT)?;
        let mut last = applied;
        for _ in 0..count {
            let index = Index(super::take_u64(rest).ok_or(SHORT)?);
            let (number, txn) = decode_entry(take_piece(rest).ok_or(SHORT)?)?;
            if index <= last || txn.zxid <= loaded.tree.newest_zxid() {
                return Err(format!("entry {index} of the tree's log does not follow entry {last}"));
            }
            last = index;
            loaded.follow(index, number, txn);
        }
        if !rest.is_empty() {
            return Err("the tree's section has something behind it".into());
        }
        *self = loaded;
        Ok(())
    }

    /// Begins a snapshot of what is applied, for whoever lacks the log's beginning.
    pub fn begin_giving(&mut self) {
        self.tree.begin_snapshot(Taker::Member);
    }

    /// Appends its next piece to what a [`TreeStart`] takes. True: it was the last one; `None`: there is no such snapshot.
    pub fn give(&mut self, out: &mut Vec<u8>) -> Option<bool> {
        put_piece(out, &self.tree.next_piece(Taker::Member)?);
        Some(!self.tree.has_snapshot(Taker::Member))
    }

    /// What changes have added to it and is not given yet, in bytes.
    pub fn to_be_given(&self) -> usize {
        self.tree.snapshot_waiting(Taker::Member)
    }

    /// Gives it up.
    pub fn give_up_giving(&mut self) {
        self.tree.abandon_snapshot(Taker::Member);
    }

    /// A tree of the same settings is to come from another member.
    pub fn start(&self) -> TreeStart {
        let (rest, is_whole) = (Vec::new(), false);
        TreeStart { settings: self.settings, loader: Loader::new(self.settings), rest, bytes: 0, is_whole }
    }
}

/// A tree as it comes from another member: a stream of pieces, each behind its length (4 bytes, little endian), in parts that
/// are cut anywhere.
pub struct TreeStart {
    settings: tree::TreeSettings,
    loader: Loader,
    /// Of a piece that is not all here.
    rest: Vec<u8>,
    bytes: u64,
    is_whole: bool,
}

impl TreeStart {
    /// Bytes that have come.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The last piece has come.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// What is applied in it, as soon as that is known.
    pub fn applied(&self) -> Option<Index> {
        self.loader.applied()
    }

    /// Takes what comes next.
    pub fn take(&mut self, part: &[u8]) -> Result<(), String> {
        self.take_section(part)?;
        if self.is_whole && !self.rest.is_empty() {
            return Err("a tree with something behind it".into());
        }
        Ok(())
    }

    /// Takes what comes next of a checkpoint's section, which has entries behind the tree.
    pub fn take_section(&mut self, part: &[u8]) -> Result<(), String> {
        self.bytes += part.len() as u64;
        self.rest.extend_from_slice(part);
        let mut rest = &self.rest[..];
        while !self.is_whole
            && let Some(bytes) = rest.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize)
        {
            if bytes > TREE_PIECE_BYTES_MAX {
                return Err(format!("a piece of {bytes} bytes of a tree"));
            }
            let Some(piece) = take_piece(&mut rest) else { break };
            self.is_whole = self.loader.piece(piece).map_err(of_tree)?;
        }
        let taken = self.rest.len() - rest.len();
        self.rest.drain(..taken);
        Ok(())
    }

    /// Makes the tree of what has come, by so many znodes. True: it is as it was where it came from.
    pub fn settle(&mut self, znodes: usize) -> Result<bool, String> {
        if !self.is_whole {
            return Err(SHORT.into());
        }
        self.loader.settle(znodes).map_err(of_tree)
    }

    /// The log that begins with it.
    pub fn finish(self) -> Result<TreeLog, String> {
        if !self.is_whole {
            return Err(SHORT.into());
        }
        Ok(TreeLog::with(self.settings, self.loader.finish().map_err(of_tree)?))
    }

    /// The log that begins with it, and what came behind it.
    fn finish_section(mut self) -> Result<(TreeLog, Vec<u8>), String> {
        let rest = std::mem::take(&mut self.rest);
        self.finish().map(|log| (log, rest))
    }
}

const SHORT: &str = "the tree is cut short";

fn put_piece(out: &mut Vec<u8>, piece: &[u8]) {
    let bytes = u32::try_from(piece.len()).expect("a piece is bounded");
    out.extend_from_slice(&bytes.to_le_bytes());
    out.extend_from_slice(piece);
}

fn take_piece<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (bytes, after) = rest.split_first_chunk()?;
    let (piece, after) = after.split_at_checked(u32::from_le_bytes(*bytes) as usize)?;
    *rest = after;
    Some(piece)
}

fn of_tree(error: torc_state::codec::DecodeError) -> String {
    format!("the tree: {error}")
}

/// The transaction of an entry, if it has one.
fn read(item: &Item) -> Result<Option<(u64, Txn)>, String> {
    if !has_txn(item)? {
        return Ok(None);
    }
    let (number, txn) = decode_entry(&item.bytes).map_err(|what| of_entry(item, &what))?;
    check_zxid(item, txn.zxid)?;
    Ok(Some((number, txn)))
}

/// True of an entry that has a transaction; one that has none is right.
fn has_txn(item: &Item) -> Result<bool, String> {
    match item.kind {
        kind::NOOP => Ok(false),
        kind::MEMBERS => super::members(item).map(|_| false),
        kind::TXN => Ok(true),
        other => Err(format!("an entry of kind {} does not belong into the tree's log", other.0)),
    }
}

fn check_zxid(item: &Item, zxid: Zxid) -> Result<(), String> {
    let is_right = zxid == zxid_of(item.term, item.index);
    if is_right { Ok(()) } else { Err(of_entry(item, &format!("zxid {zxid} in term {}", item.term))) }
}

fn of_entry(item: &Item, what: &str) -> String {
    format!("entry {} of the tree's log: {what}", item.index)
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
