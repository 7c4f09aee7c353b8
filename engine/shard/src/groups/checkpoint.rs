//! Checkpoints of the groups: what recovery starts from, so that it reads little of the log.

use super::behind::Behind;
use super::hard_state::{encode_doubt, is_alone, take_doubt};
use super::recover::{CHECKPOINT_FILE, RecoveredGroup, Recovery};
use super::salvage::Loss;
use super::{Groups, Out, Phase};
use crate::group::Group;
use crate::meaning::{Meaning, TreeLog, put_list, take_list, take_numbers, take_u64};
use crate::stats::{add, set};
use torc_base::ids::{BatchSeq, GroupId, Index, NodeId, Term};
use torc_base::io::{DiskDone, DiskOp, Level, Op};
use torc_base::limits::CHECKPOINT_WRITE_BYTES;
use torc_base::time::Mono;
use torc_consensus::wire::{encode_configuration, take_configuration};
use torc_consensus::{Configuration, HardState, TermRun};
use torc_snapshot::{CheckpointWriter, Plan, Progress, Section, Sections};

const SHARD: Section = Section(*b"SHRD");
const GROUPS: Section = Section(*b"GRPS");
const CATALOG: Section = Section(*b"CATL");
/// Handed on as it is read, and taken as it is written: it is never in memory as a whole.
pub(super) const TREE: Section = Section(*b"TREE");
const LOG: Section = Section(*b"WAL ");

/// Added to the number of groups: what each has applied is less than what it has, and counts. Older torcs did not say what
/// was applied: they had one voter, and all that their checkpoints have was on its disk, and so committed.
const SAYS_APPLIED: u64 = 1 << 63;
/// The same: each group says who belongs to it, and what this member may have forgotten. Of groups that do not, this node
/// is the only member.
const SAYS_MEMBERS: u64 = 1 << 62;

/// After a failed checkpoint the next one waits this long...
const RETRY_MS: u64 = 1_000;
/// ...and after a published one this many times as long as that one took: where the log is recycled as fast as it is
/// written, checkpoints of many groups would do little else.
const REST: u64 = 4;

/// Pieces of the tree's snapshot that are taken in one turn: a change waits for two or three turns.
const TURN_PIECES: usize = 1;

/// A checkpoint that is being written.
struct UnderWay {
    writer: CheckpointWriter,
    /// The batch that must be durable for it to be published, 0 once it is; `None` while the tree's snapshot, which comes
    /// first, is taken: of all else nothing has been looked at then.
    needs: Option<BatchSeq>,
}

/// The checkpoint that is being written, and what the next one needs to know.
#[derive(Default)]
pub(super) struct Checkpointing {
    /// Number of the last published one.
    pub number: u64,
    under_way: Option<UnderWay>,
    /// When the last one was begun.
    begun: Mono,
    /// Until then no other is begun: the last one failed.
    retry: Option<Mono>,
    /// Until then no other is begun, unless it is the last one.
    rest: Option<Mono>,
    /// One is wanted whatever the log says: the shard stops.
    pub forced: bool,
    /// None is made before the catalog has said which groups this node has: some may have been lost with their promises, and
    /// until they are in the log again each start must find out anew that something is lost.
    pub waits_for_catalog: bool,
    /// Groups met while starting.
    pub recovery: Recovery,
}

impl Groups {
    /// True if a checkpoint is due, or more of the tree for the one under way; [`Groups::begin_checkpoint`] makes it.
    pub fn wants_checkpoint(&self) -> bool {
        let Checkpointing { under_way, retry, rest, forced, .. } = &self.checkpoint;
        let is_due = match under_way {
            Some(under_way) => under_way.needs.is_none() && under_way.writer.has_room(),
            None => {
                let is_wanted = || self.wal.wants_checkpoint() || self.mends.want_checkpoint();
                // What a tree's snapshot has is whole transactions.
                retry.is_none() && (*forced || rest.is_none() && is_wanted()) && !self.is_applying_tree()
            }
        };
        is_due
            && self.phase == Phase::Running
            && !self.checkpoint.waits_for_catalog
            && !self.tree_starts.is_taking()
            && !self.is_regaining()
            && self.fenced().is_none()
    }

    /// True if more of the tree is to be taken at once for the checkpoint under way.
    pub(super) fn is_taking_snapshot(&self) -> bool {
        self.checkpoint.under_way.is_some() && self.wants_checkpoint()
    }

    /// Asks for a last checkpoint, which closes the log: the next start replays nothing and looks for nothing behind it.
    pub fn force_checkpoint(&mut self) {
        self.tree_starts.give_up_taking();
        self.checkpoint.forced = !self.checkpoint.waits_for_catalog && !self.is_regaining();
    }

    /// True while a checkpoint is wanted or written.
    pub fn is_checkpointing(&self) -> bool {
        self.fenced().is_none() && (self.checkpoint.forced || self.checkpoint.under_way.is_some())
    }

    /// Begins a checkpoint, or goes on with it. It says what each group has applied, and what it has appended behind that, apart:
    /// the log's own section says where the entries are, and the replay begins behind them. So no group holds up a checkpoint,
    /// whether it has a leader or not.
    pub fn begin_checkpoint(&mut self, out: &mut Out) {
        set(&self.stats.checkpoint_under_way, 1);
        let mut ops = std::mem::take(&mut self.disk_ops);
        if self.take_snapshot(out.now.mono, &mut ops) {
            self.end_checkpoint(out, &mut ops);
        }
        out.ops.extend(ops.drain(..).map(Op::Disk));
        self.disk_ops = ops;
    }

    /// Takes what comes next of the tree, which is written over many turns, in which all else goes on: no faster than the disk
    /// takes it. True: that was all.
    fn take_snapshot(&mut self, now: Mono, ops: &mut Vec<DiskOp>) -> bool {
        if !self.has_tree() && self.checkpoint.under_way.is_none() {
            return true;
        }
        if self.checkpoint.under_way.is_none() {
            let expected = self.tree().state().snapshot_bytes_expected();
            self.begin_writing(now, expected, ops).section(TREE);
            self.tree_mut().begin_walk();
        }
        // Of the members only those are known that hold where all is applied.
        let since = self.groups.get(&GroupId::TREE).map(|group| group.raft.configurations()[0].0);
        if since.is_none_or(|since| self.tree().walked().is_none_or(|at| at < since)) {
            self.give_up_snapshot(ops);
            return false;
        }
        // As before a stop: nobody waits for anything else.
        let pieces = if self.checkpoint.forced { usize::MAX } else { TURN_PIECES };
        for _ in 0..pieces {
            let UnderWay { writer, .. } = self.checkpoint.under_way.as_mut().expect("just begun");
            if !writer.has_room() {
                return false;
            }
            let Some(Meaning::Tree(tree)) = self.groups.get_mut(&GroupId::TREE).map(|group| &mut group.meaning) else {
                unreachable!("just seen")
            };
            match tree.walk() {
                Some(piece) => writer.put(piece, ops),
                None => return true,
            }
        }
        false
    }

    /// What has been taken of the tree for a checkpoint is of no use: the checkpoint is given up.
    pub(super) fn give_up_snapshot(&mut self, ops: &mut Vec<DiskOp>) {
        if let Some(UnderWay { writer, needs: None }) = &mut self.checkpoint.under_way {
            writer.give_up(ops);
            self.forget_snapshot();
        }
    }

    fn forget_snapshot(&mut self) {
        if self.has_tree() {
            self.tree_mut().give_up_walk();
        }
    }

    fn begin_writing(&mut self, now: Mono, expected: u64, ops: &mut Vec<DiskOp>) -> &mut CheckpointWriter {
        self.checkpoint.begun = now;
        let write_bytes = self.settings.zookeeper.as_ref().map_or(CHECKPOINT_WRITE_BYTES, |z| z.snapshots.write_bytes);
        let plan = Plan { expected, write_bytes };
        let writer = CheckpointWriter::begin(self.checkpoint.number + 1, plan, CHECKPOINT_FILE, ops);
        &mut self.checkpoint.under_way.insert(UnderWay { writer, needs: None }).writer
    }

    /// What the checkpoint has besides the tree's snapshot, all of one moment.
    fn end_checkpoint(&mut self, out: &mut Out, ops: &mut Vec<DiskOp>) {
        let catalog = self.has_catalog().then(|| {
            let mut bytes = Vec::new();
            self.catalog().encode(&mut bytes);
            bytes
        });
        if let Some(catalog) = &catalog {
            let applied = self.groups[&GroupId::CATALOG].raft.marks().applied;
            self.release_whole(out, GroupId::CATALOG, catalog.len(), applied);
        }
        if self.has_tree() {
            let applied = self.tree().walked().expect("just taken");
            self.release_whole(out, GroupId::TREE, 0, applied);
        }
        let groups = self.encode_groups();
        let closing = std::mem::take(&mut self.checkpoint.forced);
        let (log, needs) = self.wal.begin_checkpoint(closing);
        let mut sections: Sections = vec![(SHARD, self.encode_shard()), (GROUPS, groups), (LOG, log)];
        sections.extend(catalog.map(|bytes| (CATALOG, bytes)));
        if self.has_tree() {
            let behind = self.tree_mut().end_section();
            let UnderWay { writer, .. } = self.checkpoint.under_way.as_mut().expect("the tree is in it");
            behind.into_iter().for_each(|bytes| writer.put(bytes, ops));
        } else {
            let expected = sections.iter().map(|(_, bytes)| bytes.len() as u64).sum();
            self.begin_writing(out.now.mono, expected, ops);
        }
        let UnderWay { writer, needs: told } = self.checkpoint.under_way.as_mut().expect("just begun");
        for (section, bytes) in sections {
            writer.section(section);
            writer.put(bytes, ops);
        }
        writer.end(ops);
        *told = Some(needs);
        if self.wal.durable() >= needs {
            self.checkpoint_durable_now(ops);
        }
    }

    fn checkpoint_durable_now(&mut self, ops: &mut Vec<DiskOp>) {
        if let Some(UnderWay { writer, needs: Some(needs) }) = &mut self.checkpoint.under_way
            && needs.0 != 0
        {
            writer.publish(ops);
            *needs = BatchSeq(0);
        }
    }

    /// A checkpoint never gets ahead of the log: it is published when all that it says is durable.
    pub(super) fn checkpoint_durable(&mut self, out: &mut Out, seq: BatchSeq) {
        let needs = self.checkpoint.under_way.as_ref().and_then(|under_way| under_way.needs);
        if needs.is_some_and(|needs| seq >= needs) {
            let mut ops = Vec::new();
            self.checkpoint_durable_now(&mut ops);
            out.ops.extend(ops.into_iter().map(Op::Disk));
        }
    }

    /// When the next checkpoint may begin, if one may not now.
    pub(super) fn checkpoint_deadline(&self) -> Option<Mono> {
        self.checkpoint.retry.max(self.checkpoint.rest)
    }

    /// Lets the next checkpoint begin if its time has come.
    pub(super) fn turn_checkpoint(&mut self, now: Mono) {
        self.checkpoint.retry = self.checkpoint.retry.filter(|at| now < *at);
        self.checkpoint.rest = self.checkpoint.rest.filter(|at| now < *at);
    }

    pub(super) fn on_checkpoint_disk(&mut self, out: &mut Out, done: DiskDone, ops: &mut Vec<DiskOp>) {
        if let Phase::Loading(reader) = &mut self.phase {
            let loaded = reader.on_disk(done, ops);
            if let Some(part) = reader.take_part() {
                self.load_tree(&part);
            }
            return self.loaded(out, loaded, ops);
        }
        let Some(UnderWay { writer, needs }) = &mut self.checkpoint.under_way else { return };
        match writer.on_disk(done, ops) {
            Progress::Working => {}
            Progress::Written => {
                if *needs == Some(BatchSeq(0)) {
                    writer.publish(ops);
                }
            }
            Progress::Published => {
                self.checkpoint.number = writer.number();
                add(&self.stats.checkpoints_total, 1);
                self.wal.checkpoint_published();
            }
            Progress::Finished => {
                self.checkpoint.rest = Some(out.now.mono.rested(self.checkpoint.begun, REST));
                self.no_checkpoint_is_under_way();
            }
            Progress::Failed(error) => {
                out.log(Level::Warn, format!("a checkpoint could not be written: {error}; it is tried again"));
                self.checkpoint.retry = Some(out.now.mono.plus_ms(RETRY_MS));
                if needs.is_some() {
                    self.wal.checkpoint_failed();
                } else {
                    self.forget_snapshot();
                }
                self.no_checkpoint_is_under_way();
            }
            Progress::GivenUp => self.no_checkpoint_is_under_way(),
        }
    }

    fn no_checkpoint_is_under_way(&mut self) {
        self.checkpoint.under_way = None;
        set(&self.stats.checkpoint_under_way, 0);
    }

    fn encode_shard(&self) -> Vec<u8> {
        let mut out = self.settings.shard.0.to_le_bytes().to_vec();
        out.extend_from_slice(&self.settings.shards.to_le_bytes());
        out
    }

    pub(super) fn encode_groups(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // The tree is as it was when it began to be written down.
        let applied_of = |group: &Group| match &group.meaning {
            Meaning::Tree(tree) => tree.walked().unwrap_or(tree.state().applied()),
            _ => group.raft.marks().applied,
        };
        let behind = |group: &Group| applied_of(group) < group.raft.marks().written;
        let node = self.settings.node;
        let plain = |group: &Group| {
            let [(index, members)] = group.raft.configurations() else { return false };
            is_alone((*index, members), node) && group.raft.hard_state().doubt.is_none()
        };
        // Where all is applied, and this node alone has it all, an older torc can read it, too.
        let applied = if self.groups.values().any(behind) { SAYS_APPLIED } else { 0 };
        let members = if self.groups.values().all(plain) { 0 } else { SAYS_MEMBERS };
        out.extend_from_slice(&(self.groups.len() as u64 | applied | members).to_le_bytes());
        for (id, group) in &self.groups {
            let (hard_state, log) = (group.raft.hard_state(), group.raft.log());
            let vote = hard_state.vote.map_or(u64::from(u32::MAX), |vote| u64::from(vote.get()));
            let applied = applied_of(group);
            let numbers = [id.get(), hard_state.term.get(), vote, log.first().get(), log.last().get(), applied.get()];
            numbers.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
            if members != 0 {
                encode_doubt(hard_state.doubt, &mut out);
                encode_configurations(group.raft.configurations(), &mut out);
            }
            put_list(&mut out, log.terms().iter().map(|run| [run.term.get(), run.first.get()]));
            group.meaning.encode(&mut out);
        }
        out
    }

    /// Takes what comes next of the tree's section. Nothing of it counts before the whole checkpoint was checked.
    fn load_tree(&mut self, part: &[u8]) {
        let before = self.checkpoint.recovery.tree.take();
        let start = before.unwrap_or_else(|| Ok(Box::new(TreeLog::new(&self.settings).start())));
        let taken = start.and_then(|mut start| start.take_section(part).map(|()| start));
        self.checkpoint.recovery.tree = Some(taken);
    }

    /// Takes a checkpoint's sections in; returns the log's.
    pub(super) fn load_sections(&mut self, out: &mut Out, sections: Sections) -> Result<Vec<u8>, String> {
        let (mut log, mut catalog) = (None, None);
        for (section, bytes) in sections {
            match section {
                SHARD if bytes == self.encode_shard() => {}
                SHARD => return Err("belongs to another shard, or to another number of shards".into()),
                GROUPS => self.decode_groups(&bytes)?,
                CATALOG => catalog = Some(bytes),
                // It came on the way.
                TREE => {}
                LOG => log = Some(bytes),
                other => out.log(Level::Warn, format!("section {other:?} of the checkpoint is unknown")),
            }
        }
        // A catalog without its state would have lost all topics.
        let found = self.checkpoint.recovery.found.get_mut(&GroupId::CATALOG).map(|found| &mut found.meaning);
        match (found, catalog) {
            (Some(Meaning::Catalog(log)), Some(section)) => log.load(&section)?,
            (None, None) => {}
            _ => return Err("the sections of the groups and of the catalog do not fit together".into()),
        }
        let tree = self.checkpoint.recovery.tree.take();
        let found = self.checkpoint.recovery.found.get_mut(&GroupId::TREE);
        let found = found.map(|found| (found.applied, found.last, &mut found.meaning));
        match (found, tree) {
            (Some((applied, last, Meaning::Tree(log))), Some(section)) => {
                log.load(*section?, applied)?;
                if log.pending().is_some_and(|(_, tail)| tail > last) {
                    return Err("the tree's section goes on behind its log".into());
                }
            }
            (None, None) => {}
            _ => return Err("the sections of the groups and of the tree do not fit together".into()),
        }
        log.ok_or_else(|| "has no section of the log".into())
    }

    pub(super) fn decode_groups(&mut self, bytes: &[u8]) -> Result<(), String> {
        const NONSENSE: &str = "the groups' section makes no sense";
        let rest = &mut &bytes[..];
        let count = take_u64(rest).ok_or(NONSENSE)?;
        for _ in 0..count & !(SAYS_APPLIED | SAYS_MEMBERS) {
            let [id, term, vote, first, last, applied] = take_numbers(rest).ok_or(NONSENSE)?;
            let alone = (Index(0), Configuration::of_voters([self.settings.node]));
            let (mut doubt, mut configurations) = (None, vec![alone]);
            if count & SAYS_MEMBERS != 0 {
                doubt = take_doubt(rest).ok_or(NONSENSE)?;
                configurations = take_configurations(rest).ok_or(NONSENSE)?;
            }
            let terms = take_list(rest).ok_or(NONSENSE)?;
            let terms: Vec<TermRun> =
                terms.into_iter().map(|[t, f]| TermRun { term: Term(t), first: Index(f) }).collect();
            let meaning = Meaning::decode(&self.settings, rest);
            let meaning = meaning.and_then(|meaning| meaning.kind().check_group(GroupId(id)).map(|()| meaning));
            let meaning = meaning.map_err(|what| format!("group {id}: {what}"))?;
            let hard_state = HardState { term: Term(term), vote: u32::try_from(vote).ok().map(NodeId), doubt };
            let hard_state = HardState { vote: hard_state.vote.filter(|v| v.get() != u32::MAX), ..hard_state };
            let (first, last, applied) = (Index(first), Index(last), Index(applied));
            let applied = if count & SAYS_APPLIED == 0 { last } else { applied };
            let fits = meaning.pending().is_none_or(|(head, tail)| applied < head && tail <= last);
            let mut places = configurations.iter().map(|&(index, _)| index);
            let members_fit = places.next().is_none_or(|first| first <= applied) && places.all(|index| index <= last);
            let fits = fits && members_fit && configurations.is_sorted_by(|(a, _), (b, _)| a < b);
            if !fits || applied > last || first > applied.next() {
                return Err(format!("group {id}: its marks do not fit its state"));
            }
            let (restored, began, began_anew, loss) = (false, true, false, Loss::of(&terms, last));
            let found = RecoveredGroup {
                hard_state,
                first,
                last,
                applied,
                terms,
                configurations,
                restored,
                began,
                began_anew,
                told: None,
                loss,
                behind: Behind::default(),
                parts: None,
                meaning,
            };
            self.checkpoint.recovery.found.insert(GroupId(id), found);
        }
        if rest.is_empty() { Ok(()) } else { Err(NONSENSE.into()) }
    }
}

/// Their number (2), and each with its index (8) in front.
fn encode_configurations(configurations: &[(Index, Configuration)], out: &mut Vec<u8>) {
    let count = u16::try_from(configurations.len()).expect("few changes of members wait to be applied");
    out.extend_from_slice(&count.to_le_bytes());
    for (index, members) in configurations {
        out.extend_from_slice(&index.get().to_le_bytes());
        encode_configuration(members, out);
    }
}

/// Takes them off the front of `rest`; `None` if they make no sense.
fn take_configurations(rest: &mut &[u8]) -> Option<Vec<(Index, Configuration)>> {
    let (count, after) = rest.split_first_chunk()?;
    *rest = after;
    (0..u16::from_le_bytes(*count)).map(|_| Some((Index(take_u64(rest)?), take_configuration(rest).ok()?))).collect()
}
