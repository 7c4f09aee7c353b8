//! A replica's directory that cannot be read at all is put aside, and everything is got from the other replicas.
//!
//! That is the case when the checkpoint is damaged, or the log lacks a file. Without them it is not known what the rest means.
//! What this node has promised is lost then, as with a new disk: groups begin in doubt, under a number that names this life
//! of the disk. The files are not removed, only renamed: of topics with a single replica there is nothing else.
//!
//! ```text
//! putting-aside-NUMBER is made      from here on the directory is being emptied, whatever is still in it
//! all files become aside-NUMBER-... those of a time before go
//! it is renamed begun-anew-NUMBER   from here on groups that the log does not know are in doubt, until the catalog has this
//!                                   node's word that it has started
//! ```

use super::checkpoint::TREE;
use super::recover::{CHECKPOINT_FILE, Phase};
use super::{Groups, Out};
use crate::stats::add;
use torc_base::ids::Tag;
use torc_base::io::{DiskDone, DiskKind, DiskOk, DiskOp, Level, Op};
use torc_snapshot::CheckpointReader;
use torc_wal::Wal;

/// Tags of these operations have this in their highest byte.
const TAG: u64 = 0x41 << 56;
/// Before the number in the name of a file that is there while others are being put aside.
const UNDER_WAY: &str = "putting-aside-";
/// Before the name of a file that was.
const ASIDE_PREFIX: &str = "aside-";
/// Before the number of this life of the directory.
const ANEW: &str = "begun-anew-";

/// True for completions of these operations.
pub(super) fn owns(tag: Tag) -> bool {
    tag.0 >> 56 == TAG >> 56
}

/// Where it stands.
#[derive(Debug)]
enum Step {
    /// The start looks whether it was begun before.
    Look,
    Make,
    Close,
    MarkDurable,
    List,
    /// These are still to be renamed or removed.
    Move(Vec<DiskKind>),
    MovesDurable,
    Done,
    DoneDurable,
}

/// The directory's names are looked at, or its files are put aside.
#[derive(Debug)]
pub struct PutAside {
    step: Step,
    number: u64,
}

impl PutAside {
    fn ask(&mut self, step: Step, kind: DiskKind, ops: &mut Vec<DiskOp>) {
        self.step = step;
        ops.push(DiskOp { tag: Tag(TAG), kind });
    }

    /// The next file.
    fn go_on(&mut self, mut moves: Vec<DiskKind>, ops: &mut Vec<DiskOp>) {
        match moves.pop() {
            Some(kind) => self.ask(Step::Move(moves), kind, ops),
            None => self.ask(Step::MovesDurable, DiskKind::SyncDir, ops),
        }
    }

    /// The name of the file that says so.
    fn under_way(&self) -> String {
        format!("{UNDER_WAY}{:016x}", self.number)
    }

    /// What is to be done with files of these names.
    fn moves(&self, names: Vec<(String, u64)>) -> Vec<DiskKind> {
        let mine = format!("{ASIDE_PREFIX}{:016x}-", self.number);
        let one = |(name, _): (String, u64)| match () {
            () if name == self.under_way() || name.starts_with(&mine) => None,
            () if name.starts_with(ASIDE_PREFIX) || name.starts_with(ANEW) => Some(DiskKind::Remove { name }),
            () => Some(DiskKind::Rename { to: format!("{mine}{name}"), from: name }),
        };
        names.into_iter().filter_map(one).collect()
    }
}

impl Groups {
    /// Begins a start of a replica: was the directory being put aside?
    pub(super) fn look_for_aside(&mut self, ops: &mut Vec<DiskOp>) {
        let mut aside = PutAside { step: Step::Look, number: self.life() };
        aside.ask(Step::Look, DiskKind::List, ops);
        self.phase = Phase::Aside(aside);
    }

    /// The directory cannot be used, for this reason; nothing of it is open.
    pub(super) fn put_aside(&mut self, out: &mut Out, why: &str) {
        add(&self.stats.damage_found_total, 1);
        let number = self.life();
        let text = format!(
            "the log of this shard cannot be used: {why}; its files are kept under names that begin with \
             {ASIDE_PREFIX}{number:016x}-, and what they had is got from the other replicas; remove them when all is there"
        );
        out.log(Level::Error, text);
        let mut ops = Vec::new();
        let mut aside = PutAside { step: Step::Make, number };
        let name = aside.under_way();
        aside.ask(Step::Make, DiskKind::Create { file: CHECKPOINT_FILE, name, bytes: 0 }, &mut ops);
        self.phase = Phase::Aside(aside);
        out.ops.extend(ops.into_iter().map(Op::Disk));
    }

    pub(super) fn on_aside_disk(&mut self, out: &mut Out, done: DiskDone, ops: &mut Vec<DiskOp>) {
        let Phase::Aside(aside) = &mut self.phase else { return };
        let ok = match done.result {
            Ok(ok) => ok,
            Err(error) => {
                return self
                    .refuse_start(format!("a damaged directory cannot be put aside: {error}; {}", error.cure()));
            }
        };
        match (std::mem::replace(&mut aside.step, Step::Look), ok) {
            (Step::Look, DiskOk::Listed(names)) => {
                let number = |prefix: &str| {
                    let number = |name: &str| u64::from_str_radix(name.strip_prefix(prefix)?, 16).ok();
                    names.iter().find_map(|(name, _)| number(name))
                };
                if let Some(number) = number(UNDER_WAY) {
                    aside.number = number;
                    let moves = aside.moves(names);
                    return aside.go_on(moves, ops);
                }
                if let Some(number) = number(ANEW) {
                    self.doubt = Some(number);
                }
                self.phase = Phase::Loading(CheckpointReader::begin(CHECKPOINT_FILE, Some(TREE), ops));
            }
            (Step::Make, _) => aside.ask(Step::Close, DiskKind::Close { file: CHECKPOINT_FILE }, ops),
            (Step::Close, _) => aside.ask(Step::MarkDurable, DiskKind::SyncDir, ops),
            (Step::MarkDurable, _) => aside.ask(Step::List, DiskKind::List, ops),
            (Step::List, DiskOk::Listed(names)) => {
                let moves = aside.moves(names);
                aside.go_on(moves, ops);
            }
            (Step::Move(moves), _) => aside.go_on(moves, ops),
            (Step::MovesDurable, _) => {
                let (from, to) = (aside.under_way(), format!("{ANEW}{:016x}", aside.number));
                aside.ask(Step::Done, DiskKind::Rename { from, to }, ops);
            }
            (Step::Done, _) => aside.ask(Step::DoneDurable, DiskKind::SyncDir, ops),
            (Step::DoneDurable, _) => {
                self.doubt = Some(aside.number);
                self.begin_empty(out, ops);
            }
            (step, ok) => unreachable!("{step:?} ended with {ok:?}"),
        }
    }

    /// The directory is empty: the log begins.
    fn begin_empty(&mut self, out: &mut Out, ops: &mut Vec<DiskOp>) {
        let seed = self.settings.seed ^ self.life();
        self.wal = Wal::with_blocks(self.settings.wal.clone(), seed, self.settings.log_blocks.clone());
        self.checkpoint = super::checkpoint::Checkpointing::default();
        self.phase = Phase::Replaying;
        self.wal.salvage();
        if let Err(error) = self.wal.open(out.now, None, ops) {
            self.refuse_start(error.to_string());
        }
    }
}
