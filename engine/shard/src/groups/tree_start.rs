//! The tree for a member that lacks the beginning of its log: a snapshot that its leader takes while the tree is written to, in
//! parts, of which few are under way at a time.
//!
//! The member makes a tree of them beside the one that it has, and writes them into its log as they come; nothing counts
//! before all of them are there and make the tree that the leader began with. Then consensus is told, and one entry says on
//! the member's disk that these parts replace the group's log: a start finds either all of the old, or this. No checkpoint
//! begins meanwhile: a start needs the parts from the first one on. Whatever comes in between (another leader, a link that is
//! lost, a member that has caught up after all) ends the transfer, and who still needs a tree gets another one from its beginning.

use super::{Groups, Out, Phase};
use crate::mail::Mail;
use crate::meaning::{Meaning, TreeLog, TreeStart, kind, take_numbers};
use std::collections::VecDeque;
use torc_base::buf::Buf;
use torc_base::crc::crc32c;
use torc_base::ids::{BatchSeq, GroupId, Index, NodeId, Offset, Place, ShardId, Term};
use torc_base::io::{Level, Op};
use torc_base::limits::{TREE_ASIDE_BYTES_MAX, TREE_PART_BYTES, TREE_PARTS_WINDOW};
use torc_base::time::Mono;
use torc_consensus::progress::Flow;
use torc_consensus::{Body, Configuration, Input, Mark, Message, SnapshotOutcome};
use torc_net::peer::{EntryHead, GroupsWriter};
use torc_state::codec::{DecodeError, Decoder, put_bytes, put_u64};
use torc_state::retention::Age;
use torc_wal::State;

/// Pieces of the snapshot that are taken in one turn.
const TURN_PIECES: usize = 2;
/// Znodes that are put where they belong in one turn, once all have come.
const TURN_ZNODES: usize = 16_384;
/// A tree of which nothing more is heard for so long is given up, by who gives it and by who takes it.
const SILENT_MS: u64 = 30_000;
/// What stands before a part in the log: the transfer, and where in it the part begins.
const PART_HEAD: usize = 16;

/// What a leader and a member tell each other about a tree that the member is to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeTold {
    pub term: Term,
    /// Which of the leader's trees this is.
    pub transfer: u64,
    pub word: TreeWord,
}

/// The same, without its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeWord {
    /// What begins at this byte.
    Part { at: u64, bytes: Vec<u8> },
    /// Nothing more comes.
    GivenUp,
    /// All before this byte is on the disk.
    Written { through: u64 },
    /// So many bytes make the tree that they are to make.
    Whole { bytes: u64 },
    /// It cannot be taken.
    Refused,
}

impl TreeTold {
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.term.get());
        put_u64(out, self.transfer);
        let (tag, number) = match &self.word {
            TreeWord::Part { at, .. } => (0, *at),
            TreeWord::GivenUp => (1, 0),
            TreeWord::Written { through } => (2, *through),
            TreeWord::Whole { bytes } => (3, *bytes),
            TreeWord::Refused => (4, 0),
        };
        out.push(tag);
        put_u64(out, number);
        if let TreeWord::Part { bytes, .. } = &self.word {
            put_bytes(out, bytes);
        }
    }

    /// Takes it off the front of what is there.
    pub fn decode(from: &mut Decoder<'_, '_>) -> Result<TreeTold, DecodeError> {
        let (term, transfer) = (Term(from.u64("term")?), from.u64("transfer")?);
        let (tag, number) = (from.u8("kind of word")?, from.u64("place in a tree")?);
        let word = match tag {
            0 => {
                let len = from.u64_max(TREE_PART_BYTES as u64, "part of a tree")?;
                TreeWord::Part { at: number, bytes: from.take(len as usize, "part of a tree")?.to_vec() }
            }
            1 => TreeWord::GivenUp,
            2 => TreeWord::Written { through: number },
            3 => TreeWord::Whole { bytes: number },
            4 => TreeWord::Refused,
            _ => return Err(from.bad("kind of word")),
        };
        Ok(TreeTold { term, transfer, word })
    }
}

/// A tree that another member gets of this one, which leads.
struct Giving {
    to: NodeId,
    term: Term,
    transfer: u64,
    /// Where the snapshot was begun.
    begun: Option<(Mark, Configuration)>,
    /// The piece at hand, and what of it has left.
    piece: Vec<u8>,
    left: usize,
    /// It is the last one.
    is_last: bool,
    /// Bytes that have left, and those that the member has on its disk.
    sent: u64,
    written: u64,
    /// The member has it all: what is left is to tell consensus.
    is_delivered: bool,
    /// When the member last said something.
    heard: Mono,
}

/// A tree that comes.
struct Taking {
    from: NodeId,
    term: Term,
    transfer: u64,
    start: TreeStart,
    /// Batches with parts that are not on the disk yet, and where those end.
    writing: VecDeque<(BatchSeq, u64)>,
    heard: Mono,
    /// It is whole, and what it is to be.
    is_settled: bool,
}

/// Trees on their way.
#[derive(Default)]
pub(super) struct TreeStarts {
    giving: Option<Box<Giving>>,
    taking: Option<Box<Taking>>,
    transfers: u64,
}

impl TreeStarts {
    /// `seed`: differs from start to start.
    pub(super) fn new(seed: u64) -> TreeStarts {
        TreeStarts { giving: None, taking: None, transfers: seed }
    }

    /// True while one comes, parts of which are in the log.
    pub(super) fn is_taking(&self) -> bool {
        self.taking.is_some()
    }

    /// Nothing more of a tree is taken, if one comes.
    pub(super) fn give_up_taking(&mut self) {
        self.taking = None;
    }

    /// The link to that node is lost.
    pub(super) fn lost(&mut self, node: NodeId) {
        if self.taking.as_ref().is_some_and(|taking| taking.from == node) {
            self.taking = None;
        }
    }
}

fn post(groups: &mut Groups, node: NodeId, term: Term, transfer: u64, word: TreeWord) {
    let told = TreeTold { term, transfer, word };
    groups.outboxes.post(Place { node, shard: ShardId(0) }, Mail::TreeStart(Box::new(told)));
}

/// Of the leader.
impl Groups {
    /// A member needs the tree. `None`: it gets it, and consensus hears of that later.
    pub(super) fn begin_giving(&mut self, now: Mono, to: NodeId) -> Option<SnapshotOutcome> {
        let busy = self.tree_starts.giving.as_ref();
        if busy.is_some_and(|giving| giving.to != to && !giving.is_delivered && self.is_wanted(giving)) {
            return Some(SnapshotOutcome::Refused);
        }
        self.tree_mut().give_up_giving();
        self.tree_starts.transfers = self.tree_starts.transfers.wrapping_add(1);
        self.tree_starts.giving = Some(Box::new(Giving {
            to,
            term: self.tree_term(),
            transfer: self.tree_starts.transfers,
            begun: None,
            piece: Vec::new(),
            left: 0,
            is_last: false,
            sent: 0,
            written: 0,
            is_delivered: false,
            heard: now,
        }));
        None
    }

    /// True as long as consensus waits for it.
    fn is_wanted(&self, giving: &Giving) -> bool {
        let Some(group) = self.groups.get(&GroupId::TREE) else { return false };
        let mut peers = group.raft.peers().iter();
        let peer = peers.find(|peer| peer.id == giving.to && !peer.suspected);
        let waits = peer.is_some_and(|peer| peer.flow == Flow::Snapshot || giving.is_delivered);
        group.raft.is_leader() && group.raft.term() == giving.term && waits
    }

    /// Who is being given the tree, and as it is at which entry.
    pub(super) fn given(&self) -> Option<(NodeId, Index)> {
        let giving = self.tree_starts.giving.as_ref()?;
        Some((giving.to, giving.begun.as_ref()?.0.index))
    }

    /// Goes on with the tree that a member gets.
    pub(super) fn turn_giving(&mut self, out: &mut Out) {
        let Some(mut giving) = self.tree_starts.giving.take() else { return };
        if !self.is_wanted(&giving) {
            self.tree_mut().give_up_giving();
            return post(self, giving.to, giving.term, giving.transfer, TreeWord::GivenUp);
        }
        if giving.begun.is_none() {
            let mark = self.whole_mark(GroupId::TREE);
            let Some(mark) = mark.filter(|(mark, _)| self.tree().state().applied() == mark.index) else {
                // What is committed is about to be applied.
                self.tree_starts.giving = Some(giving);
                return;
            };
            let (to, (Mark { index, .. }, _)) = (giving.to, &mark);
            out.log(Level::Info, format!("node {to} gets the tree of znodes as it is at entry {index}"));
            self.tree_mut().begin_giving();
            giving.begun = Some(mark);
        }
        if out.now.mono >= giving.heard.plus_ms(SILENT_MS) {
            return self.refuse_giving(out, &giving);
        }
        let waiting = self.tree().to_be_given();
        if waiting > TREE_ASIDE_BYTES_MAX {
            let to = giving.to;
            out.log(
                Level::Warn,
                format!("the tree of znodes changes faster than node {to} takes it: it gets another one"),
            );
            return self.refuse_giving(out, &giving);
        }
        match self.give(&mut giving) {
            Some(()) => self.tree_starts.giving = Some(giving),
            // The tree was replaced.
            None => self.refuse_giving(out, &giving),
        }
    }

    /// Lets parts leave as far as few are under way. `None`: the snapshot is gone.
    fn give(&mut self, giving: &mut Giving) -> Option<()> {
        let mut pieces = 0;
        while giving.sent < giving.written + TREE_PARTS_WINDOW {
            if giving.left == giving.piece.len() {
                if giving.is_last || pieces == TURN_PIECES {
                    break;
                }
                pieces += 1;
                giving.piece.clear();
                giving.left = 0;
                giving.is_last = self.tree_mut().give(&mut giving.piece)?;
            }
            let part = &giving.piece[giving.left..];
            let bytes = part[..part.len().min(TREE_PART_BYTES)].to_vec();
            let at = giving.sent;
            giving.sent += bytes.len() as u64;
            giving.left += bytes.len();
            post(self, giving.to, giving.term, giving.transfer, TreeWord::Part { at, bytes });
        }
        Some(())
    }

    /// The member does not get this tree; consensus asks for another one later, if it is still needed.
    fn refuse_giving(&mut self, out: &mut Out, giving: &Giving) {
        self.tree_mut().give_up_giving();
        post(self, giving.to, giving.term, giving.transfer, TreeWord::GivenUp);
        let outcome = SnapshotOutcome::Refused;
        self.step(out, GroupId::TREE, Input::Snapshot { to: giving.to, outcome });
    }

    /// The member that gets a tree has said something.
    fn heard_of_giving(&mut self, out: &mut Out, from: NodeId, told: TreeTold) {
        let is_this = |giving: &Giving| (giving.to, giving.term, giving.transfer) == (from, told.term, told.transfer);
        let Some(mut giving) = self.tree_starts.giving.take_if(|giving| is_this(giving)) else { return };
        giving.heard = out.now.mono;
        let sent_all = giving.is_last && giving.left == giving.piece.len();
        let mut outcome = None;
        match told.word {
            TreeWord::Written { through } => giving.written = through.clamp(giving.written, giving.sent),
            TreeWord::Whole { bytes } if sent_all && bytes == giving.sent && self.is_wanted(&giving) => {
                giving.is_delivered = true;
                let (mark, configuration) = giving.begun.clone().expect("parts of it have left");
                outcome = Some(SnapshotOutcome::Delivered { mark, configuration });
            }
            TreeWord::Refused => return self.refuse_giving(out, &giving),
            _ => {}
        }
        let to = giving.to;
        self.tree_starts.giving = Some(giving);
        if let Some(outcome) = outcome {
            self.step(out, GroupId::TREE, Input::Snapshot { to, outcome });
        }
    }

    /// Tells a member that what it has been given is the tree at its mark.
    pub(super) fn depart_parts(&mut self, out: &mut Out, node: NodeId, message: &Message, writer: &mut GroupsWriter) {
        let is_this = |giving: &Giving| match (&message.body, &giving.begun) {
            (Body::Snapshot { mark, .. }, Some((begun, _))) => {
                giving.is_delivered && giving.to == node && mark == begun
            }
            _ => false,
        };
        let Some(giving) = self.tree_starts.giving.take_if(|giving| is_this(giving)) else {
            return self.offer_again(out, node, GroupId::TREE, message);
        };
        let payload = head(giving.transfer, giving.sent);
        let (kind, max_timestamp, body_crc) = (kind::PARTS.0, Age::NONE.0, crc32c(&payload));
        let head = EntryHead { kind, prefix_len: 0, records: 0, first_offset: Offset(0), max_timestamp, body_crc };
        self.put(GroupId::TREE, message, 1, writer);
        writer.entry(head, Buf::copy_of(&payload));
    }
}

/// Of the member.
impl Groups {
    /// Another node has said something about a tree.
    pub fn tree_told(&mut self, out: &mut Out, from: NodeId, told: TreeTold) {
        if self.phase != Phase::Running || self.fenced().is_some() || !self.has_tree() {
            return;
        }
        let (term, transfer) = (told.term, told.transfer);
        let (at, bytes) = match told.word {
            TreeWord::Part { at, bytes } => (at, bytes),
            TreeWord::GivenUp => {
                self.tree_starts.taking.take_if(|taking| (taking.from, taking.transfer) == (from, transfer));
                return;
            }
            _ => return self.heard_of_giving(out, from, told),
        };
        if !self.may_lead(from, term) {
            return;
        }
        let heard = out.now.mono;
        if at == 0 {
            let mut ops = Vec::new();
            self.give_up_snapshot(&mut ops);
            out.ops.extend(ops.into_iter().map(Op::Disk));
            let start = self.tree().start();
            let (writing, is_settled) = (VecDeque::new(), false);
            self.tree_starts.taking =
                Some(Box::new(Taking { from, term, transfer, start, writing, heard, is_settled }));
        }
        let is_next = |taking: &Taking| {
            (taking.from, taking.term, taking.transfer, taking.start.bytes()) == (from, term, transfer, at)
        };
        let Some(mut taking) = self.tree_starts.taking.take_if(|taking| is_next(taking)) else {
            // It was given up here.
            return post(self, from, term, transfer, TreeWord::Refused);
        };
        taking.heard = heard;
        let taken =
            if self.wal.state() == State::Full { Err("the disk is full".into()) } else { taking.start.take(&bytes) };
        match taken {
            Ok(()) => {
                self.write_part(&mut taking, at, &bytes);
                self.tree_starts.taking = Some(taking);
            }
            Err(what) => self.refuse_taking(out, &taking, &what),
        }
    }

    /// True unless it is known here that another node leads the tree's group, or nobody in that term any more. Whoever was just
    /// started may not have heard of its leader before it gets the tree.
    fn may_lead(&self, node: NodeId, term: Term) -> bool {
        let Some(raft) = self.groups.get(&GroupId::TREE).map(|group| &group.raft) else { return false };
        raft.term() < term || raft.term() == term && raft.leader().is_none_or(|leader| leader == node)
    }

    fn refuse_taking(&mut self, out: &mut Out, taking: &Taking, what: &str) {
        let text = format!("the tree of znodes that node {} sends is not taken: {what}", taking.from);
        self.report_damage(out, Level::Error, &text);
        post(self, taking.from, taking.term, taking.transfer, TreeWord::Refused);
    }

    /// Puts a part into the log, in as many entries as that takes.
    fn write_part(&mut self, taking: &mut Taking, mut at: u64, bytes: &[u8]) {
        for bytes in bytes.chunks(self.settings.wal.entry_bytes_max() - PART_HEAD) {
            let mut payload = head(taking.transfer, at).to_vec();
            payload.extend_from_slice(bytes);
            at += bytes.len() as u64;
            let seq = self.write_internal(GroupId::TREE, kind::PART, Index(0), &payload);
            self.groups.get_mut(&GroupId::TREE).expect("it is here").wrote(seq, None);
            self.arrived.take(seq, bytes.len());
            match taking.writing.back_mut() {
                Some((last, through)) if *last == seq => *through = at,
                _ => taking.writing.push_back((seq, at)),
            }
        }
    }

    /// All through batch `seq` is on the disk.
    pub(super) fn parts_durable(&mut self, seq: BatchSeq) {
        let Some(taking) = &mut self.tree_starts.taking else { return };
        let mut written = None;
        while let Some(&(_, through)) = taking.writing.front().filter(|(at, _)| *at <= seq) {
            taking.writing.pop_front();
            written = Some(through);
        }
        if let Some(through) = written {
            let (from, term, transfer) = (taking.from, taking.term, taking.transfer);
            post(self, from, term, transfer, TreeWord::Written { through });
        }
    }

    /// Goes on with the tree that comes.
    pub(super) fn turn_taking(&mut self, out: &mut Out) {
        let Some(mut taking) = self.tree_starts.taking.take() else { return };
        if !self.may_lead(taking.from, taking.term) || out.now.mono >= taking.heard.plus_ms(SILENT_MS) {
            return;
        }
        if taking.start.is_whole() && !taking.is_settled {
            match taking.start.settle(TURN_ZNODES) {
                Ok(is_settled) => taking.is_settled = is_settled,
                Err(what) => return self.refuse_taking(out, &taking, &what),
            }
            if taking.is_settled {
                let bytes = taking.start.bytes();
                post(self, taking.from, taking.term, taking.transfer, TreeWord::Whole { bytes });
            }
        }
        self.tree_starts.taking = Some(taking);
    }

    /// Says what is wrong with the word that what has come is the tree at `mark`.
    pub(super) fn check_parts(&self, mark: Mark, payload: &[u8]) -> Result<(), String> {
        let taking = self.tree_starts.taking.as_ref().ok_or("no tree has come")?;
        let told = take_numbers(&mut &payload[..]).ok_or("the end of a tree that makes no sense")?;
        if told != [taking.transfer, taking.start.bytes()] || payload.len() != PART_HEAD || !taking.is_settled {
            return Err("another tree than the one that has come".into());
        }
        if taking.start.applied() != Some(mark.index) {
            return Err(format!("a tree at entry {:?} for one at entry {}", taking.start.applied(), mark.index));
        }
        Ok(())
    }

    /// The tree that has come and was checked.
    pub(super) fn take_parts(&mut self) -> Meaning {
        let taking = self.tree_starts.taking.take().expect("checked before consensus was asked");
        let tree: TreeLog = taking.start.finish().expect("it was settled");
        Meaning::Tree(Box::new(tree))
    }

    /// True while a tree comes, parts of which are in the log.
    #[cfg(test)]
    pub fn is_taking_tree(&self) -> bool {
        self.tree_starts.is_taking()
    }

    /// When this is due next.
    pub(super) fn tree_starts_deadline(&self) -> Option<Mono> {
        let TreeStarts { giving, taking, .. } = &self.tree_starts;
        let has_more = |giving: &Giving| {
            let all = giving.is_last && giving.left == giving.piece.len();
            !giving.is_delivered && !all && giving.sent < giving.written + TREE_PARTS_WINDOW
        };
        let give = giving.as_ref().map(|giving| match has_more(giving) {
            true => Mono(0),
            false => giving.heard.plus_ms(SILENT_MS),
        });
        let take = taking.as_ref().map(|taking| match taking.start.is_whole() && !taking.is_settled {
            true => Mono(0),
            false => taking.heard.plus_ms(SILENT_MS),
        });
        give.into_iter().chain(take).min()
    }
}

fn head(transfer: u64, number: u64) -> [u8; PART_HEAD] {
    let mut head = [0; PART_HEAD];
    head[..8].copy_from_slice(&transfer.to_le_bytes());
    head[8..].copy_from_slice(&number.to_le_bytes());
    head
}

/// The parts of a tree that recovery has met.
pub(super) struct FoundParts {
    transfer: u64,
    start: TreeStart,
}

impl FoundParts {
    /// One more was found. Parts that nothing came of are left behind; a first one begins anew.
    pub(super) fn with(before: Option<Box<FoundParts>>, payload: &[u8], tree: &Meaning) -> Option<Box<FoundParts>> {
        let rest = &mut &payload[..];
        let [transfer, at] = take_numbers(rest)?;
        let Meaning::Tree(log) = tree else { return None };
        let before = if at == 0 { Some(Box::new(FoundParts { transfer, start: log.start() })) } else { before };
        let mut parts = before.filter(|parts| parts.transfer == transfer && parts.start.bytes() == at)?;
        parts.start.take(rest).ok().map(|()| parts)
    }

    /// The tree that the parts make, if it is the one that the log speaks of.
    pub(super) fn finish(self, payload: &[u8]) -> Option<Meaning> {
        let told: [u64; 2] = take_numbers(&mut &payload[..])?;
        let is_this = told == [self.transfer, self.start.bytes()];
        is_this.then(|| self.start.finish().ok())?.map(|tree| Meaning::Tree(Box::new(tree)))
    }
}

#[cfg(test)]
#[path = "tree_start_tests.rs"]
mod tests;
