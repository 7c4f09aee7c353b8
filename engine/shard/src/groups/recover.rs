//! From a directory to running groups: checkpoint, then the log behind it, then elections.

use super::behind::Behind;
use super::checkpoint::TREE;
use super::hard_state::{decode_hard_state, decode_state, encode_hard_state};
use super::propose::Mark;
use super::put_aside::PutAside;
use super::salvage::{self, Loss};
use super::tree_start::FoundParts;
use super::{Groups, Notice, Out};
use crate::group::Group;
use crate::meaning::{LogKind, Meaning, TreeStart, kind, members};
use crate::settings::Settings;
use std::collections::BTreeMap;
use std::sync::Arc;
use torc_base::ids::{FileId, GroupId, Index, NodeId, Offset, Term};
use torc_base::io::{DiskOp, Level, Op};
use torc_base::limits::BEHIND_BYTES_MAX;
use torc_consensus::{Config, Configuration, Doubt, HardState, LogView, Mark as StateMark, Raft, TermRun};
use torc_snapshot::{CheckpointReader, Loaded};
use torc_wal::{Item, Recovered, WalError};

/// The file slot of checkpoints; the log uses others.
pub(super) const CHECKPOINT_FILE: FileId = FileId(1);

/// Where the groups of a shard stand.
pub enum Phase {
    /// Not started.
    Idle,
    /// A replica looks whether its files are to be put aside, or puts them aside.
    Aside(PutAside),
    /// The newest checkpoint is being read.
    Loading(CheckpointReader),
    /// The log behind it is being read.
    Replaying,
    /// Groups serve, or stand for election.
    Running,
    /// The start was refused; the reason.
    Refused(String),
}

impl PartialEq for Phase {
    fn eq(&self, other: &Phase) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// A group as the checkpoint and the log tell of it.
pub(super) struct RecoveredGroup {
    pub hard_state: HardState,
    pub first: Index,
    pub last: Index,
    pub applied: Index,
    pub terms: Vec<TermRun>,
    /// Who belongs to it, as [`torc_consensus::Raft::configurations`]; empty: this node alone.
    pub configurations: Vec<(Index, Configuration)>,
    /// What the log still has from before `first` is none of it.
    pub restored: bool,
    /// How it began is known.
    pub began: bool,
    /// It has begun anew in the log that was read, since damage was found in it, or its replica had been moved away.
    pub began_anew: bool,
    /// The members that the last hard state in the log named: behind it the log may begin anew.
    pub told: Option<Configuration>,
    pub loss: Loss,
    /// What the log had behind what is lost.
    pub behind: Behind,
    /// Parts of a tree that is to replace all that is here, if they turn out to be all.
    pub parts: Option<Box<FoundParts>>,
    pub meaning: Meaning,
}

impl RecoveredGroup {
    fn new(meaning: Meaning) -> RecoveredGroup {
        RecoveredGroup {
            hard_state: HardState::default(),
            first: Index(1),
            last: Index(0),
            applied: Index(0),
            terms: Vec::new(),
            configurations: Vec::new(),
            restored: false,
            began: false,
            began_anew: false,
            told: None,
            loss: Loss::default(),
            behind: Behind::default(),
            parts: None,
            meaning,
        }
    }

    /// Takes in an entry, which follows all that was there or replaces what is there from its index on. A leader's
    /// entries replace those of another leader, of a newer or of an older term: only that they differ counts.
    fn extend(&mut self, item: &Item) -> Result<(), String> {
        let (term, index) = (item.term, item.index);
        if !self.follows(term, index) {
            self.note_behind(term, index, Some(item));
            return Ok(());
        }
        let before = (index <= self.last).then(|| self.term_at(index).unwrap_or(term));
        self.behind.taken(before, term, index);
        if index <= self.last {
            match self.term_at(index) {
                // For the log's index it stands in the place of all behind it: it began anew, and its beginning is lost.
                Some(known) if known == term && index <= self.applied => {
                    self.note_gap();
                    return Ok(());
                }
                // Released: the state has it.
                None => return Ok(()),
                Some(known) if index <= self.applied => {
                    let applied = self.applied;
                    return Err(format!(
                        "entry {index} of term {term} replaces one of term {known}, and {applied} is applied"
                    ));
                }
                Some(_) => self.cut(index),
            }
        }
        if index != self.last.next() {
            return Err(format!("entry {index} follows entry {}", self.last));
        }
        match self.terms.last() {
            Some(run) if run.term > term => {
                return Err(format!("entry {index} of term {term} follows term {}", run.term));
            }
            Some(run) if run.term == term => {}
            _ => self.terms.push(TermRun { term, first: index }),
        }
        self.last = index;
        if item.kind == kind::MEMBERS {
            self.configurations.push((index, members(item)?));
        }
        self.meaning.replay(item)
    }

    /// Takes in what the log has of it, a hard state aside.
    fn replay(&mut self, item: &Item, settings: &Settings) -> Result<(), String> {
        match item.kind {
            kind::ANEW => {
                self.begin_again(settings);
                Ok(())
            }
            kind::STATE | kind::PART | kind::PARTS if self.loss.is_gap() => Ok(()),
            kind::STATE => self.restore(&item.bytes),
            kind::PART => {
                self.parts = FoundParts::with(self.parts.take(), &item.bytes, &self.meaning);
                Ok(())
            }
            kind::PARTS => self.restore_parts(&item.bytes),
            _ if self.is_begun_again(item) => {
                self.begin_again(settings);
                self.extend(item)
            }
            _ => self.extend(item),
        }
    }

    /// A leader's state took the place of all that was there.
    fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (mark, members, state) = decode_state(bytes).ok_or("a state that makes no sense")?;
        let meaning = self.meaning.starting_with(state)?;
        self.replace(mark, members, meaning)
    }

    /// The parts of a tree that were found did so.
    fn restore_parts(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (mark, members, state) = decode_state(bytes).ok_or("the end of a tree that makes no sense")?;
        match self.parts.take().and_then(|parts| parts.finish(state)) {
            Some(meaning) => self.replace(mark, members, meaning),
            // Some of them are lost.
            None => {
                self.note_tail();
                Ok(())
            }
        }
    }

    fn replace(&mut self, mark: StateMark, members: Configuration, meaning: Meaning) -> Result<(), String> {
        if mark.index < self.applied {
            return Err(format!("a state at entry {} replaces what is applied to {}", mark.index, self.applied));
        }
        *self = RecoveredGroup {
            hard_state: self.hard_state,
            first: mark.index.next(),
            last: mark.index,
            applied: mark.index,
            terms: vec![TermRun { term: mark.term, first: mark.index }],
            configurations: vec![(mark.index, members)],
            restored: true,
            began: self.began,
            began_anew: self.began_anew,
            told: self.told.take(),
            loss: std::mem::take(&mut self.loss).restored(mark),
            behind: Behind::default(),
            parts: None,
            meaning,
        };
        Ok(())
    }

    /// It is not known who belonged to the group at first: a promise is lost with that. If a hard state says that the first who are
    /// known held with a state that is not here, that stood in front of it in the log, and is lost, too: what is here is from
    /// before. (Older torcs wrote the state behind it; a crash could part the two.)
    fn look_for_state(&mut self) {
        let Some(&(since, _)) = self.configurations.first().filter(|(since, _)| *since > self.applied) else { return };
        if since > self.last {
            self.note_gap();
        }
        self.note_tail();
        self.configurations[0].0 = self.applied;
    }

    /// The term of an entry; `None` before the first of which it is known.
    pub(super) fn term_at(&self, index: Index) -> Option<Term> {
        let after = self.terms.partition_point(|run| run.first <= index);
        after.checked_sub(1).map(|at| self.terms[at].term)
    }

    /// Entries from `from` on were never there.
    pub(super) fn cut(&mut self, from: Index) {
        self.last = Index(from.get() - 1);
        self.terms.retain(|run| run.first < from);
        self.configurations.retain(|(index, _)| *index < from);
        self.meaning.cut(from);
    }
}

/// Groups that recovery has met so far.
#[derive(Default)]
pub(super) struct Recovery {
    pub found: BTreeMap<GroupId, RecoveredGroup>,
    /// What has come of the checkpoint's section of the tree, or what is wrong with it.
    pub tree: Option<Result<Box<TreeStart>, String>>,
    /// Batches behind the checkpoint are lost, with groups that may have been made in them.
    pub lost_batches: bool,
    /// Bytes of whole entries that lie behind lost ones.
    pub behind_bytes: usize,
    /// Entries that the checkpoint contains, whose bytes are lost.
    pub wounds: Vec<(GroupId, StateMark)>,
}

/// Consensus for a group of which this disk has nothing. `doubt` names the disk if one before it may have had something.
pub(super) fn fresh_raft(settings: &Settings, doubt: Option<u64>, id: GroupId, replicas: &[NodeId]) -> Raft {
    let log = LogView { first: Index(1), last: Index(0), terms: Vec::new() };
    let members = match id {
        GroupId::CATALOG | GroupId::TREE => settings.catalog_members(),
        _ => Configuration::of_voters(replicas.iter().copied()),
    };
    let doubt = doubt.map(|incarnation| Doubt::All { incarnation });
    let hard_state = HardState { doubt, ..HardState::default() };
    Raft::new(config(settings, id, vec![(Index(0), members)]), hard_state, log, Index(0))
}

pub(super) fn config(settings: &Settings, id: GroupId, configurations: Vec<(Index, Configuration)>) -> Config {
    // The same on all its members.
    let seed = id.get();
    Config { id: settings.node, configurations, election_ticks: 10, heartbeat_ticks: 1, seed }
}

/// What came back of a log that was not closed, and what did not.
fn tell_recovered(out: &mut Out, found: &Recovered) {
    let Recovered { batches, entries, bytes, .. } = found;
    let cut = match &found.torn {
        None => "nothing was cut".to_string(),
        Some(torn) => format!("cut was an unfinished write, which was never acknowledged: {torn}"),
    };
    let text = format!(
        "the last stop was no orderly one: {entries} entries in {batches} writes ({bytes} bytes) were recovered from behind \
         the last checkpoint; {cut}"
    );
    out.log(Level::Info, text);
}

impl Groups {
    /// Begins with the checkpoint.
    pub fn start(&mut self, out: &mut Out) {
        let mut ops = Vec::new();
        if self.settings.is_alone() {
            self.phase = Phase::Loading(CheckpointReader::begin(CHECKPOINT_FILE, Some(TREE), &mut ops));
        } else {
            self.look_for_aside(&mut ops);
        }
        out.ops.extend(ops.into_iter().map(Op::Disk));
    }

    /// The checkpoint has been read, or there is none: the log is next.
    pub(super) fn loaded(&mut self, out: &mut Out, loaded: Loaded, ops: &mut Vec<DiskOp>) {
        let sections = match loaded {
            Loaded::Reading => return,
            Loaded::Damaged(damage) if self.settings.is_alone() => return self.refuse_start(damage.to_string()),
            Loaded::Damaged(damage) => return self.put_aside(out, &damage.to_string()),
            Loaded::Unreadable(damage) => return self.refuse_start(damage.to_string()),
            Loaded::None => None,
            Loaded::Some { number, sections } => {
                self.checkpoint.number = number;
                Some(sections)
            }
        };
        let wal = match sections {
            None => None,
            Some(sections) => match self.load_sections(out, sections) {
                Ok(wal) => Some(wal),
                Err(what) => return self.refuse_start(format!("checkpoint {}: {what}", self.checkpoint.number)),
            },
        };
        self.phase = Phase::Replaying;
        if !self.settings.is_alone() {
            self.wal.salvage();
        }
        if let Err(error) = self.wal.open(out.now, wal.as_deref(), ops) {
            self.refuse_start(error.to_string());
        }
    }

    /// The data cannot be trusted, or not be read: nothing is served.
    pub(super) fn refuse_start(&mut self, why: String) {
        self.phase = Phase::Refused(why);
    }

    /// Recovery cannot go on.
    pub(super) fn recovery_refused(&mut self, out: &mut Out, error: &WalError) {
        match error {
            WalError::Corrupt(found) if !self.settings.is_alone() => self.put_aside(out, &found.to_string()),
            _ => self.refuse_start(error.to_string()),
        }
    }

    /// An entry of the log, in the log's order.
    pub(super) fn recovered(&mut self, item: Item) {
        if let Phase::Refused(_) = self.phase {
            return;
        }
        if let Err(what) = self.replay(&item) {
            self.refuse_start(format!("group {} in the log: {what}", item.group));
        }
    }

    fn replay(&mut self, item: &Item) -> Result<(), String> {
        let node = self.settings.node;
        if item.kind == kind::HARD_STATE {
            let told = decode_hard_state(&item.bytes).ok_or("a hard state that makes no sense")?;
            let found = self.recovered_group(item.group, told.kind.map(LogKind::of_tag).transpose()?)?;
            found.hard_state = told.hard_state;
            found.loss.votes_are_known();
            found.began |= told.kind.is_some();
            // The first one that names members tells how the group began; all later ones say what the log and the checkpoint have,
            // too. Who names none had the group for itself from the beginning, whoever came by an entry since.
            let alone = (Index(0), Configuration::of_voters([node]));
            found.told = Some(told.members.as_ref().map_or(&alone, |members| members).1.clone());
            if found.configurations.is_empty() || told.members.is_some() && found.configurations[..] == [alone.clone()]
            {
                let members = told.members.unwrap_or(alone);
                // They held with a state that was taken over, and of which the log has nothing: what is here is from before.
                if members.0 > found.last {
                    found.note_tail();
                }
                found.configurations = vec![members];
            }
            return Ok(());
        }
        let settings = Arc::clone(&self.settings);
        let kept = self.checkpoint.recovery.behind_bytes;
        let found = self.recovered_group(item.group, None)?;
        found.behind.keeps = kept + item.bytes.len() <= BEHIND_BYTES_MAX;
        let before = found.behind.bytes();
        let replayed = found.replay(item, &settings);
        let after = found.behind.bytes();
        self.checkpoint.recovery.behind_bytes = kept + after - before;
        replayed
    }

    /// What is known of a group, whose log says of which kind it is, if it does.
    fn recovered_group(&mut self, id: GroupId, said: Option<LogKind>) -> Result<&mut RecoveredGroup, String> {
        let kind = said.unwrap_or(LogKind::of_group(id));
        kind.check_group(id)?;
        let recovery = &mut self.checkpoint.recovery;
        let found = recovery.found.entry(id).or_insert_with(|| {
            let loss = if recovery.lost_batches { Loss::of_beginning() } else { Loss::default() };
            RecoveredGroup { loss, ..RecoveredGroup::new(Meaning::new(kind, &self.settings)) }
        });
        match (found.meaning.kind(), said) {
            (known, Some(said)) if known != said => Err(format!("it is of kind {said:?}, and was of kind {known:?}")),
            _ => Ok(found),
        }
    }

    /// The log has been read to its end: all groups stand for election.
    pub(super) fn recovery_done(&mut self, out: &mut Out, found: Recovered) {
        if let Phase::Refused(_) = self.phase {
            return;
        }
        if !found.fresh && !found.closed {
            tell_recovered(out, &found);
        }
        self.phase = Phase::Running;
        self.cut_seq = self.wal.written();
        let recovery = std::mem::take(&mut self.checkpoint.recovery);
        let unknown = salvage::without_beginning(&recovery);
        if recovery.lost_batches {
            self.doubt = Some(self.life());
            self.checkpoint.waits_for_catalog = true;
        }
        if !self.settings.is_alone() {
            out.notices.push_back(Notice::Begun { life: self.doubt.unwrap_or(0) });
        }
        let mut ids = Vec::with_capacity(recovery.found.len());
        for (id, found) in recovery.found {
            if unknown.contains(&id) {
                self.wal.drop_group(id);
                continue;
            }
            self.begin_recovered(out, id, found);
            ids.push(id);
        }
        if self.settings.shard.0 == 0 && !self.groups.contains_key(&GroupId::CATALOG) {
            self.create(out, GroupId::CATALOG, LogKind::Catalog, &[]);
        }
        if self.settings.shard.0 == 0 && self.settings.zookeeper.is_some() {
            self.create(out, GroupId::TREE, LogKind::Tree, &[]);
        }
        for id in ids {
            self.seek_leader(out, id, false);
        }
        for (id, StateMark { term, index }) in recovery.wounds {
            let group = self.groups.get(&id).filter(|group| group.meaning.partition().is_some());
            if group.is_some_and(|group| group.raft.log().term_at(index) == Some(term)) {
                self.add_wound(id, index, index);
            }
        }
        self.note_serving(out);
    }

    /// A group as recovery has found it begins to run.
    fn begin_recovered(&mut self, out: &mut Out, id: GroupId, mut found: RecoveredGroup) {
        let node = self.settings.node;
        if found.configurations.is_empty() {
            found.configurations.push((Index(0), Configuration::of_voters([node])));
        }
        found.look_for_state();
        let (_, members) = found.configurations.last().expect("just seen");
        let has_others = members.members().iter().any(|member| member.id != node && member.seat.votes());
        found.know_its_terms();
        if found.began_anew {
            let begins = self.wal.first_index(id).is_none_or(|first| first <= found.first);
            if self.wal.compacted(id) > Index(0) || !begins {
                // Nobody said so in the log: where its entries lie now cannot be told from where they lay.
                found.note_gap();
            } else if found.last == Index(0) {
                self.wal.restart_group(id);
            }
        }
        let consequence = found.consequence(&self.settings, self.life(), has_others);
        if consequence.doubt.is_some() {
            let (_, members) = found.configurations.last().expect("just seen");
            self.tell_loss(out, id, &consequence, members);
        }
        let RecoveredGroup {
            hard_state, first, last, applied, terms, configurations, restored, meaning, behind, ..
        } = found;
        if restored {
            self.wal.release(id, first);
        }
        if consequence.anew {
            self.wal.restart_group(id);
        }
        if let Some(from) = consequence.cut {
            let end = meaning.partition().map_or(Offset(0), |partition| partition.state().end());
            self.wal.take_back(id, from, end);
        }
        let config = config(&self.settings, id, configurations);
        let raft = Raft::new(config, hard_state, LogView { first, last, terms }, applied);
        self.groups.insert(id, Group::new(raft, meaning));
        if consequence.doubt.is_some() {
            self.write_hard_state(id, hard_state);
        }
        if consequence.anew {
            self.write_anew(id);
        }
        if has_others {
            self.begin_regaining(id, behind);
        }
    }

    /// Says in the log that a group's log begins anew.
    pub(super) fn write_anew(&mut self, id: GroupId) {
        let seq = self.write_internal(id, kind::ANEW, Index(0), b"");
        self.groups.get_mut(&id).expect("the caller has it").wrote(seq, None);
    }

    /// Puts a group's hard state into the log.
    pub(super) fn write_hard_state(&mut self, id: GroupId, hard_state: HardState) {
        let members = self.groups[&id].raft.configurations()[0].clone();
        self.write_hard_state_in_front(id, hard_state, &members);
    }

    /// The same in front of what changes who belongs to the group: a start may find the one without the other, so it speaks of
    /// the members that hold by what the log has up to here.
    pub(super) fn write_hard_state_in_front(
        &mut self,
        id: GroupId,
        hard_state: HardState,
        (index, members): &(Index, Configuration),
    ) {
        let kind = self.groups[&id].meaning.kind();
        let payload = encode_hard_state(&hard_state, kind, (*index, members), self.settings.node);
        let seq = self.write_internal(id, kind::HARD_STATE, Index(0), &payload);
        self.track(seq, id, Mark::HardState(hard_state));
    }
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod tests;
