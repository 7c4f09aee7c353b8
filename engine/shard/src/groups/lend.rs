//! Single entries that one member has lost and others have: they are asked for by term and index, of one member after the other,
//! and come in pieces. Two entries of one term and index are the same, wherever they lie: so any member may be asked, whether it
//! leads or not, and whether that entry is committed or not.
//!
//! Who wants an entry says so ([`Groups::want`]) and gets it ([`Groups::lent`]): `regain.rs` for the end of a log, `mend.rs` for
//! its middle.

use super::{Groups, Out, Phase};
use crate::mail::{Mail, Place};
use crate::meaning::kind;
use std::collections::{BTreeMap, BTreeSet};
use torc_base::buf::Buf;
use torc_base::crc::crc32c;
use torc_base::ids::{GroupId, Index, NodeId, Offset, Term};
use torc_base::limits::{ENTRY_BYTES_MAX, LENT_AT_ONCE, LENT_PIECE_BYTES};
use torc_base::time::Mono;
use torc_consensus::Mark;
use torc_state::codec::{DecodeError, Decoder, put_bytes, put_i64, put_u64};
use torc_wal::{Claim, From, Item, Kind, Read, ReadId, Share, WalError};

/// A member that says nothing for so long is passed over.
const SILENT_MS: u64 = 1_000;
/// Until all members are asked again, of which none had it.
const AGAIN_MS: u64 = 1_000;

/// What one member tells another about an entry that one of them has lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lending {
    pub group: GroupId,
    pub entry: Mark,
    pub word: LendingWord,
}

/// The same, without its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LendingWord {
    /// Who has it, from this byte on?
    Wanted { at: u64 },
    /// It has so many bytes, and these are there from that one on.
    Piece { head: LentHead, at: u64, bytes: Vec<u8> },
    /// It is not here, or damaged as well.
    Lacked,
    /// Compaction or retention has taken it from here.
    Gone,
}

/// What the log keeps of an entry besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LentHead {
    pub kind: u8,
    pub prefix_len: u8,
    /// Compaction may have taken something out of it.
    pub compacted: bool,
    pub records: u32,
    pub first_offset: Offset,
    pub max_timestamp: i64,
    pub body_crc: u32,
    /// Bytes of all of it.
    pub total: u64,
}

impl Lending {
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        [self.group.get(), self.entry.term.get(), self.entry.index.get()].into_iter().for_each(|n| put_u64(out, n));
        match &self.word {
            LendingWord::Wanted { at } => {
                out.push(0);
                put_u64(out, *at);
            }
            LendingWord::Piece { head, at, bytes } => {
                out.extend([1, head.kind, head.prefix_len, head.compacted.into()]);
                [head.records.into(), head.body_crc.into(), head.total, *at].into_iter().for_each(|n| put_u64(out, n));
                put_i64(out, head.first_offset.get());
                put_i64(out, head.max_timestamp);
                put_bytes(out, bytes);
            }
            LendingWord::Lacked => out.push(2),
            LendingWord::Gone => out.push(3),
        }
    }

    /// Takes it off the front of what is there.
    pub fn decode(from: &mut Decoder<'_, '_>) -> Result<Lending, DecodeError> {
        let group = GroupId(from.u64("group")?);
        let entry = Mark { term: Term(from.u64("term")?), index: Index(from.u64("entry")?) };
        from.check(entry.index > Index(0), "entry")?;
        let word = match from.u8("kind of word")? {
            0 => LendingWord::Wanted { at: from.u64("place in an entry")? },
            1 => {
                let (kind, prefix_len) = (from.u8("kind of entry")?, from.u8("prefix")?);
                let compacted = from.u64_max(1, "whether it is compacted")? == 1;
                let records = from.u64_max(u32::MAX.into(), "records")? as u32;
                let body_crc = from.u64_max(u32::MAX.into(), "checksum")? as u32;
                let total = from.u64_max(ENTRY_BYTES_MAX as u64, "length of an entry")?;
                let at = from.u64_max(total, "place in an entry")?;
                let (first_offset, max_timestamp) = (Offset(from.i64("offset")?), from.i64("timestamp")?);
                let len = from.u64_max((total - at).min(LENT_PIECE_BYTES as u64), "part of an entry")?;
                let sound = u64::from(prefix_len) <= total && first_offset.get().checked_add(records.into()).is_some();
                from.check(sound, "an entry's head")?;
                let bytes = from.take(len as usize, "part of an entry")?.to_vec();
                let head =
                    LentHead { kind, prefix_len, compacted, records, first_offset, max_timestamp, body_crc, total };
                LendingWord::Piece { head, at, bytes }
            }
            2 => LendingWord::Lacked,
            3 => LendingWord::Gone,
            _ => return Err(from.bad("kind of word")),
        };
        Ok(Lending { group, entry, word })
    }
}

/// An entry that is wanted here.
#[derive(Debug)]
struct Wanted {
    entry: Mark,
    /// Who was asked last, and when it is passed over.
    asked: Option<(NodeId, Mono)>,
    /// What has come from there.
    bytes: Vec<u8>,
    /// Who was asked in this round, or cannot be reached.
    passed: BTreeSet<NodeId>,
    /// What members said in this round or in the last one.
    said: BTreeMap<NodeId, Said>,
    /// All have been asked: again from here on.
    again: Option<Mono>,
}

/// Why a member does not lend an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Lacked,
    Gone,
}

/// A read for another member.
#[derive(Debug)]
struct Lent {
    to: Place,
    group: GroupId,
    entry: Mark,
    at: u64,
}

/// What is asked for, and read for others.
#[derive(Debug, Default)]
pub(super) struct Lendings {
    wanted: BTreeMap<GroupId, Wanted>,
    reads: BTreeMap<ReadId, Lent>,
}

impl Lendings {
    /// What members have said of the entry that is wanted of a group, once all were asked; `None`: not yet.
    pub fn said(&self, id: GroupId) -> Option<(Mark, &BTreeMap<NodeId, Said>)> {
        let wanted = self.wanted.get(&id).filter(|wanted| wanted.again.is_some())?;
        Some((wanted.entry, &wanted.said))
    }

    /// Nothing is wanted of the group any more.
    pub fn forget(&mut self, id: GroupId) {
        self.wanted.remove(&id);
    }

    /// When somebody is asked or passed over next.
    pub fn deadline(&self) -> Option<Mono> {
        let due = |wanted: &Wanted| wanted.asked.map(|(_, at)| at).or(wanted.again);
        let asked = self.wanted.values().filter(|wanted| wanted.asked.is_some()).count();
        // Who waits for a turn is asked for when another one's ends.
        let waits = |wanted: &&Wanted| due(wanted).is_some() || asked < LENT_AT_ONCE;
        self.wanted.values().filter(waits).map(|wanted| due(wanted).unwrap_or(Mono(0))).min()
    }
}

impl Groups {
    /// An entry of a group is wanted, and nothing else of it. It is asked for in the turn that follows.
    pub(super) fn want(&mut self, id: GroupId, entry: Mark) {
        if self.lendings.wanted.get(&id).is_none_or(|wanted| wanted.entry != entry) {
            let (bytes, passed, said) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
            self.lendings.wanted.insert(id, Wanted { entry, asked: None, bytes, passed, said, again: None });
        }
    }

    /// Asks for what is wanted.
    pub(super) fn turn_lendings(&mut self, out: &mut Out) {
        let now = out.now.mono;
        let mut asked = 0;
        for (id, wanted) in &mut self.lendings.wanted {
            if let Some((node, _)) = wanted.asked.take_if(|(_, until)| *until <= now) {
                wanted.passed.insert(node);
                wanted.said.remove(&node);
            }
            if wanted.again.take_if(|at| *at <= now).is_some() {
                wanted.passed.clear();
            }
            asked += usize::from(wanted.asked.is_some());
            debug_assert!(self.groups.contains_key(id), "what is dropped is wanted no longer");
        }
        let due = |wanted: &Wanted| wanted.asked.is_none() && wanted.again.is_none();
        let due: Vec<GroupId> = self.lendings.wanted.iter().filter(|(_, w)| due(w)).map(|(id, _)| *id).collect();
        for id in due.into_iter().take(LENT_AT_ONCE.saturating_sub(asked)) {
            self.ask_next(now, id);
        }
    }

    /// Asks the next member that can be reached; none: all again later. Where the end of a log is lost, the word of who has become a
    /// member may be lost with it: then all other nodes are asked behind those that are known.
    fn ask_next(&mut self, now: Mono, id: GroupId) {
        let own = self.settings.node;
        let Some(group) = self.groups.get(&id) else { return self.lendings.forget(id) };
        let mut others: Vec<NodeId> =
            group.raft.peers().iter().map(|peer| peer.id).filter(|node| *node != own).collect();
        if self.regains.is_of(id) {
            let strangers = self.lenders().filter(|node| !others.contains(node)).collect::<Vec<_>>();
            others.extend(strangers);
        }
        let reachable = |node: &NodeId| self.place_of(*node, id).filter(|_| self.may_borrow(*node));
        let passed = &self.lendings.wanted[&id].passed;
        let next = others.iter().filter(|node| !passed.contains(node)).find_map(reachable);
        let wanted = self.lendings.wanted.get_mut(&id).expect("just seen");
        wanted.bytes.clear();
        let Some(place) = next else {
            wanted.said.retain(|node, _| wanted.passed.contains(node));
            wanted.again = Some(now.plus_ms(AGAIN_MS));
            return;
        };
        wanted.asked = Some((place.node, now.plus_ms(SILENT_MS)));
        self.ask_for(place, id, 0);
    }

    fn ask_for(&mut self, place: Place, id: GroupId, at: u64) {
        let entry = self.lendings.wanted[&id].entry;
        let word = LendingWord::Wanted { at };
        self.outboxes.post(place, Mail::Lending(Box::new(Lending { group: id, entry, word })));
    }

    /// Another member has said something about an entry.
    pub fn lending(&mut self, out: &mut Out, from: Place, told: Lending) {
        if self.phase != Phase::Running || self.fenced().is_some() {
            return;
        }
        let Lending { group: id, entry, word } = told;
        let (said, head, at, bytes) = match word {
            LendingWord::Wanted { at } => return self.lend(out, Lent { to: from, group: id, entry, at }),
            LendingWord::Lacked => (Some(Said::Lacked), None, 0, Vec::new()),
            LendingWord::Gone => (Some(Said::Gone), None, 0, Vec::new()),
            LendingWord::Piece { head, at, bytes } => (None, Some(head), at, bytes),
        };
        let is_this =
            |wanted: &&mut Wanted| wanted.entry == entry && wanted.asked.is_some_and(|(node, _)| node == from.node);
        let Some(wanted) = self.lendings.wanted.get_mut(&id).filter(is_this) else { return };
        if let Some(said) = said {
            wanted.said.insert(from.node, said);
            return self.pass_over(out, id, from.node);
        }
        let head = head.expect("a piece has one");
        if at != wanted.bytes.len() as u64 {
            return;
        }
        wanted.bytes.extend_from_slice(&bytes);
        let came = wanted.bytes.len() as u64;
        if came < head.total {
            wanted.asked = Some((from.node, out.now.mono.plus_ms(SILENT_MS)));
            return if bytes.is_empty() { self.pass_over(out, id, from.node) } else { self.ask_for(from, id, came) };
        }
        let bytes = std::mem::take(&mut wanted.bytes);
        let whole = head.total == came && crc32c(&bytes[usize::from(head.prefix_len)..]) == head.body_crc;
        if !whole || bytes.len() > self.settings.wal.entry_bytes_max() {
            return self.pass_over(out, id, from.node);
        }
        let item = Item {
            group: id,
            kind: Kind(head.kind),
            term: entry.term,
            index: entry.index,
            first_offset: head.first_offset,
            records: head.records,
            max_timestamp: head.max_timestamp,
            prefix_len: head.prefix_len,
            body_crc: head.body_crc,
            bytes: Buf::copy_of(&bytes),
        };
        self.lent(out, id, from.node, item, head.compacted);
    }

    /// An entry has come. Whoever wants it takes it, or the next member is asked.
    fn lent(&mut self, out: &mut Out, id: GroupId, from: NodeId, item: Item, compacted: bool) {
        let taken =
            if self.regains.is_of(id) { self.regain_lent(id, item) } else { self.mend_lent(id, item, compacted) };
        match taken {
            Ok(()) => self.lendings.forget(id),
            Err(said) => {
                if let Some(wanted) = self.lendings.wanted.get_mut(&id) {
                    wanted.said.insert(from, said);
                }
                return self.pass_over(out, id, from);
            }
        }
        self.turn_regains(out);
        self.turn_mends(out);
    }

    /// Who was asked for an entry in vain, and who could not be, in words that follow others.
    pub(super) fn nowhere(&self, id: GroupId, said: &BTreeMap<NodeId, Said>) -> String {
        let (own, peers) = (self.settings.node, self.groups[&id].raft.peers());
        let list = |asked: bool| {
            let others = peers.iter().map(|peer| peer.id).filter(|node| *node != own);
            let nodes: Vec<String> =
                others.filter(|node| said.contains_key(node) == asked).map(|node| node.to_string()).collect();
            nodes.join(", ")
        };
        let (mut text, silent) = (String::new(), list(false));
        if !said.is_empty() {
            text += &format!(", and not as it was on nodes {} either", list(true));
        }
        if !silent.is_empty() {
            text += &format!("; nodes {silent} do not answer");
        }
        text
    }

    /// The next member is asked.
    fn pass_over(&mut self, out: &mut Out, id: GroupId, node: NodeId) {
        let Some(wanted) = self.lendings.wanted.get_mut(&id) else { return };
        wanted.asked = None;
        wanted.passed.insert(node);
        self.ask_next(out.now.mono, id);
    }

    /// Another member lacks an entry.
    fn lend(&mut self, out: &mut Out, lent: Lent) {
        let Mark { term, index } = lent.entry;
        let Some(group) = self.groups.get(&lent.group) else {
            return self.answer_lending(&lent, LendingWord::Lacked);
        };
        if let Some(item) = self.regains.whole(lent.group, lent.entry) {
            let item = item.clone();
            return self.give_piece(&lent, &item);
        }
        let log = group.raft.log();
        if index < log.first() {
            return self.answer_lending(&lent, LendingWord::Gone);
        }
        if log.term_at(index) != Some(term) {
            return self.answer_lending(&lent, LendingWord::Lacked);
        }
        let under_way = self.lendings.reads.values().filter(|read| read.to == lent.to).count();
        if under_way >= LENT_AT_ONCE {
            // It is asked for again.
            return;
        }
        let claim = Claim { share: Share::Followers, turn: 0 };
        let read = self.wal.read(lent.group, From::Index(index), index, 1, claim, &mut self.disk_ops);
        self.emit_disk(out);
        match read {
            Read::Ready(items) => self.lend_what_was_read(&lent, &items),
            Read::Pending(id) => {
                self.lendings.reads.insert(id, lent);
            }
            Read::NoRoom => {}
            Read::Released => self.answer_lending(&lent, LendingWord::Gone),
        }
    }

    /// The disk has answered a read for another member. False: it was not one.
    pub(super) fn lending_read(&mut self, out: &mut Out, id: ReadId, result: &mut Result<Vec<Item>, WalError>) -> bool {
        let Some(lent) = self.lendings.reads.remove(&id) else { return false };
        match std::mem::replace(result, Ok(Vec::new())) {
            Ok(items) => self.lend_what_was_read(&lent, &items),
            Err(WalError::NoRoom) => {}
            Err(WalError::Released { .. }) => self.answer_lending(&lent, LendingWord::Gone),
            Err(error) => {
                self.note_damage(out.now.mono, lent.group, &error);
                self.read_error(out, &error);
                self.answer_lending(&lent, LendingWord::Lacked);
            }
        }
        true
    }

    fn lend_what_was_read(&mut self, lent: &Lent, items: &[Item]) {
        match items.first() {
            Some(item) if item.index == lent.entry.index && item.term == lent.entry.term => self.give_piece(lent, item),
            Some(_) => self.answer_lending(lent, LendingWord::Lacked),
            None if lent.entry.index < self.wal.compacted(lent.group) => self.answer_lending(lent, LendingWord::Gone),
            None => self.answer_lending(lent, LendingWord::Lacked),
        }
    }

    fn give_piece(&mut self, lent: &Lent, item: &Item) {
        let total = item.bytes.len();
        let at = lent.at.min(total as u64) as usize;
        let bytes = item.bytes[at..total.min(at + LENT_PIECE_BYTES)].to_vec();
        let head = LentHead {
            kind: item.kind.0,
            prefix_len: item.prefix_len,
            compacted: item.index < self.wal.compacted(lent.group) || item.kind == kind::HOLE,
            records: item.records,
            first_offset: item.first_offset,
            max_timestamp: item.max_timestamp,
            body_crc: item.body_crc,
            total: total as u64,
        };
        self.answer_lending(lent, LendingWord::Piece { head, at: at as u64, bytes });
    }

    fn answer_lending(&mut self, lent: &Lent, word: LendingWord) {
        let lending = Lending { group: lent.group, entry: lent.entry, word };
        self.outboxes.post(lent.to, Mail::Lending(Box::new(lending)));
    }
}
