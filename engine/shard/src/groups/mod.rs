//! The log groups that this shard owns, over its one write-ahead log.
//!
//! Every change goes the same way: consensus gives it a place, the log makes it durable, consensus says when it is
//! committed, and only then it is answered. Nothing here knows how many voters a group has.

mod append;
mod checkpoint;
mod fetch;
mod lookups;
mod read;
mod recover;
mod retention;
mod watch;

pub use recover::Phase;

use crate::group::{Group, Reply, Waiter, epoch_of};
use crate::mail::{Answer, Asker, Leaders, Mail};
use crate::meaning::{Applied, CatalogLog, LogKind, Meaning, kind};
use crate::packer::Packer;
use crate::settings::Settings;
use crate::stats::{Stats, set};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use torc_base::crc::crc32c;
use torc_base::ids::{BatchSeq, GroupId, Index, NodeId, Offset, Term};
use torc_base::io::{DiskDone, DiskError, DiskOp, Level, Op};
use torc_base::time::{Mono, Now};
use torc_consensus::{Append, HardState, Input, Output};
use torc_state::catalog::{Change, Command};
use torc_state::retention::Age;
use torc_wal::{Entry, Kind, Outcome, State, Wal};

/// Between two looks at the log's counters.
const STATS_MS: u64 = 50;

/// What becomes durable with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// The group's log through this index, handed out with this cut.
    Log { cut: u32, through: Index },
    /// The group's hard state.
    HardState(HardState),
}

/// What the groups say to the rest of the shard.
#[derive(Debug)]
pub enum Notice {
    /// More of the catalog's log is committed: what that changed.
    CatalogApplied(Vec<(Index, Change)>),
    /// All groups of this shard have leaders.
    AllServing,
    /// The log takes nothing more.
    Fenced,
}

/// What a call may leave behind.
pub struct Out<'a> {
    pub now: Now,
    pub ops: &'a mut Vec<Op<Mail>>,
    pub answers: &'a mut VecDeque<(Asker, Answer)>,
    pub notices: &'a mut VecDeque<Notice>,
}

impl Out<'_> {
    /// A line for the log.
    pub fn log(&mut self, level: Level, text: String) {
        self.ops.push(Op::Log { level, text });
    }
}

/// The groups of one shard.
pub struct Groups {
    settings: Arc<Settings>,
    stats: Arc<Stats>,
    pub phase: Phase,
    wal: Wal,
    groups: BTreeMap<GroupId, Group>,
    /// What is in the log and not yet durable, in the order of the log.
    in_flight: VecDeque<(BatchSeq, GroupId, Mark)>,
    /// Batches that wait for room in the log, in the order of arrival, with when that was.
    deferred: VecDeque<(Asker, Mono, crate::mail::ProducePart)>,
    /// When batches were handed to the disk, each time with the last one of its turn; those that are not durable.
    cuts: VecDeque<(BatchSeq, Mono)>,
    /// The same of the batch that was durable last.
    last_cut: Mono,
    /// That batch.
    cut_seq: BatchSeq,
    fetches: fetch::Fetches,
    lookups: lookups::Lookups,
    /// Who waits for bytes.
    watches: BTreeMap<Asker, watch::Watch>,
    /// Groups of this shard that do not serve yet.
    electing: usize,
    /// Partitions that began to serve, and nobody has been told.
    new_leaders: Leaders,
    packer: Packer,
    output: Output,
    disk_ops: Vec<DiskOp>,
    outcomes: Vec<Outcome>,
    checkpoint: checkpoint::Checkpointing,
    next_retention: Mono,
    /// Groups whose size is to be looked at, because a segment with entries of them has been filled.
    overfull: BTreeSet<GroupId>,
    next_stats: Mono,
    /// The counters have been left for later: a turn is due then, or they would stay old while the shard idles.
    stats_due: bool,
}

impl Groups {
    /// Nothing happens before [`Groups::start`].
    pub fn new(settings: Arc<Settings>, stats: Arc<Stats>) -> Groups {
        Groups {
            phase: Phase::Idle,
            wal: Wal::with_blocks(settings.wal.clone(), settings.seed, settings.log_blocks.clone()),
            groups: BTreeMap::new(),
            in_flight: VecDeque::new(),
            deferred: VecDeque::new(),
            cuts: VecDeque::new(),
            last_cut: Mono(0),
            cut_seq: BatchSeq(0),
            fetches: fetch::Fetches::default(),
            lookups: lookups::Lookups::default(),
            watches: BTreeMap::new(),
            electing: 0,
            new_leaders: Leaders::new(),
            packer: Packer::new(),
            output: Output::default(),
            disk_ops: Vec::new(),
            outcomes: Vec::new(),
            checkpoint: checkpoint::Checkpointing::default(),
            next_retention: Mono(0),
            overfull: BTreeSet::new(),
            next_stats: Mono(0),
            stats_due: false,
            settings,
            stats,
        }
    }

    /// Groups of this shard.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// True while a flush is in flight.
    pub fn flushing(&self) -> bool {
        self.wal.flushing()
    }

    /// Why the log takes nothing more, if so.
    pub fn fenced(&self) -> Option<String> {
        match self.wal.state() {
            State::Fenced(why) => Some(why),
            _ => None,
        }
    }

    /// True while there is no room for producers' records, nor for partitions to put them in.
    pub fn is_full(&self) -> bool {
        self.wal.state() == State::Full
    }

    /// True when the log leaves no file half made. Asked after the last checkpoint.
    pub fn is_settled(&self) -> bool {
        self.wal.is_settled()
    }

    /// True when every group has its leader, or never will.
    pub fn all_serving(&self) -> bool {
        self.electing == 0 || self.fenced().is_some()
    }

    /// Partitions that began to serve since this was last asked.
    pub fn take_leaders(&mut self) -> Leaders {
        std::mem::take(&mut self.new_leaders)
    }

    /// True if all that was appended is durable, and nothing waits for room.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.deferred.is_empty()
    }

    /// Makes a group that is new here; it has a leader when its vote and no-op are committed.
    pub fn create(&mut self, out: &mut Out, id: GroupId, kind: LogKind) {
        if self.groups.contains_key(&id) || self.fenced().is_some() {
            return;
        }
        let raft = recover::fresh_raft(&self.settings);
        self.groups.insert(id, Group::new(raft, Meaning::new(kind, &self.settings)));
        self.campaign(out, id);
    }

    /// The catalog as its log says. Only the shard that owns it may ask, once it has been made.
    pub fn catalog(&self) -> &CatalogLog {
        match &self.groups.get(&GroupId::CATALOG).expect("asked of the catalog's owner").meaning {
            Meaning::Catalog(catalog) => catalog,
            Meaning::Partition(_) => unreachable!("the catalog's group has the catalog's log"),
        }
    }

    /// The same, to plan changes of it.
    pub fn catalog_mut(&mut self) -> &mut CatalogLog {
        match &mut self.groups.get_mut(&GroupId::CATALOG).expect("asked of the catalog's owner").meaning {
            Meaning::Catalog(catalog) => catalog,
            Meaning::Partition(_) => unreachable!("the catalog's group has the catalog's log"),
        }
    }

    /// Stands for election. With one voter the vote alone decides, once it is durable.
    fn campaign(&mut self, out: &mut Out, id: GroupId) {
        self.electing += 1;
        self.step(out, id, Input::Campaign);
        set(&self.stats.groups, self.groups.len() as u64);
    }

    /// Drops a group and all that waits for it.
    pub fn drop_group(&mut self, out: &mut Out, id: GroupId) {
        let Some(group) = self.groups.remove(&id) else { return };
        if !group.serving {
            self.electing -= 1;
        }
        self.wal.drop_group(id);
        let gone = torc_net::kafka::error::UNKNOWN_TOPIC_OR_PARTITION;
        for waiter in group.on_disk.iter().chain(&group.on_commit) {
            refuse(out, waiter, gone);
        }
        self.wake_all(out, group.watchers.into_iter().map(|(_, asker)| asker));
        set(&self.stats.groups, self.groups.len() as u64);
        self.note_serving(out);
    }

    /// The ids of all groups.
    pub fn ids(&self) -> Vec<GroupId> {
        self.groups.keys().copied().collect()
    }

    /// Appends a command to the catalog's log; [`Notice::CatalogApplied`] tells what it did.
    pub fn propose_command(&mut self, out: &mut Out, command: Command) -> Result<Index, i16> {
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        let index = self.propose_internal(out, GroupId::CATALOG, kind::COMMAND, &bytes)?;
        self.catalog_mut().append(index, command);
        Ok(index)
    }

    /// Appends an entry of torc's own. Such entries are taken even when the disk is full: the reserve is for them.
    fn propose_internal(&mut self, out: &mut Out, id: GroupId, kind: Kind, payload: &[u8]) -> Result<Index, i16> {
        use torc_net::kafka::error;
        if self.fenced().is_some() {
            return Err(error::KAFKA_STORAGE_ERROR);
        }
        let group = self.groups.get_mut(&id).ok_or(error::NOT_LEADER_OR_FOLLOWER)?;
        if !group.leads() {
            return Err(error::NOT_LEADER_OR_FOLLOWER);
        }
        let append = self.propose(out, id).map_err(|()| error::NOT_LEADER_OR_FOLLOWER)?;
        let seq = self.write_internal(id, kind, append.first, payload);
        self.track(seq, id, Mark::Log { cut: append.cut, through: append.last });
        Ok(append.first)
    }

    /// Asks consensus for the next place in a group's log.
    fn propose(&mut self, out: &mut Out, id: GroupId) -> Result<Append, ()> {
        let group = self.groups.get_mut(&id).ok_or(())?;
        group.raft.step(Input::Propose { entries: 1 }, &mut self.output).map_err(|_| ())?;
        let append = self.output.append.take().expect("an accepted proposal has a place");
        assert_eq!(append.first, append.last);
        self.carry_out(out, id);
        Ok(append)
    }

    fn write_internal(&mut self, id: GroupId, kind: Kind, index: Index, payload: &[u8]) -> BatchSeq {
        let group = &self.groups[&id];
        let term = group.raft.term();
        let end = group.meaning.partition().map_or(Offset(0), |records| records.state().end());
        let entry = Entry {
            group: id,
            kind,
            term,
            index,
            first_offset: end,
            records: 0,
            max_timestamp: Age::NONE.0,
            bytes: self.packer.put(payload),
            prefix_len: 0,
            body_crc: crc32c(payload),
            gather: false,
        };
        self.wal.append(entry)
    }

    /// Remembers what becomes durable with batch `seq`.
    fn track(&mut self, seq: BatchSeq, id: GroupId, mark: Mark) {
        if let (Some((last_seq, last_id, Mark::Log { cut, through })), Mark::Log { cut: new_cut, through: new }) =
            (self.in_flight.back_mut(), mark)
            && (*last_seq, *last_id, *cut) == (seq, id, new_cut)
        {
            *through = new;
            return;
        }
        self.in_flight.push_back((seq, id, mark));
    }

    /// Gives consensus an input and does what it says.
    fn step(&mut self, out: &mut Out, id: GroupId, input: Input) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let result = group.raft.step(input, &mut self.output);
        assert!(result.is_ok(), "only proposals are refused");
        self.carry_out(out, id);
    }

    /// Carries out consensus' output, in the order of its contract.
    fn carry_out(&mut self, out: &mut Out, id: GroupId) {
        if let Some(hard_state) = self.output.hard_state.take() {
            let payload = encode_hard_state(&hard_state, self.groups[&id].meaning.kind());
            let seq = self.write_internal(id, kind::HARD_STATE, Index(0), &payload);
            self.track(seq, id, Mark::HardState(hard_state));
        }
        if let Some(append) = self.output.append.take() {
            assert!(append.noop && append.first == append.last, "proposals are appended by the proposer");
            self.begin_term(id, append.first);
            let seq = self.write_internal(id, kind::NOOP, append.first, b"");
            self.track(seq, id, Mark::Log { cut: append.cut, through: append.last });
        }
        assert!(self.output.send_now.is_empty() && self.output.send_when_durable.is_empty(), "no peers yet");
        if let Some(through) = self.output.committed.take() {
            self.committed(out, id, through);
        }
    }

    fn begin_term(&mut self, id: GroupId, noop: Index) {
        let group = self.groups.get_mut(&id).expect("consensus spoke for it");
        group.term_start = Some(noop);
        let epoch = epoch_of(group.raft.term());
        group.meaning.begin_term(epoch, noop);
    }

    /// All batches through `seq` are on this disk.
    fn durable(&mut self, out: &mut Out, seq: BatchSeq) {
        while let Some(&(at, id, mark)) = self.in_flight.front() {
            if at > seq {
                break;
            }
            self.in_flight.pop_front();
            self.cut_through(out.now.mono, at);
            match mark {
                Mark::HardState(hard_state) => self.step(out, id, Input::HardStateDurable(hard_state)),
                Mark::Log { cut, through } => {
                    self.answer_on_disk(out, id, through);
                    self.step(out, id, Input::Durable { cut, through });
                }
            }
        }
        self.cut_through(out.now.mono, seq);
        self.checkpoint_durable(out, seq);
    }

    /// Batches through `seq` are durable: goes on to when the last of them was handed to the disk.
    fn cut_through(&mut self, now: Mono, seq: BatchSeq) {
        while let Some(&(last, at)) = self.cuts.front()
            && self.cut_seq < seq
        {
            let through = last.min(seq);
            for _ in self.cut_seq.get()..through.get() {
                self.stats.wal_flush.record(now.since(at));
            }
            (self.cut_seq, self.last_cut) = (through, at);
            if last == through {
                self.cuts.pop_front();
            }
        }
    }

    fn answer_on_disk(&mut self, out: &mut Out, id: GroupId, through: Index) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        while group.on_disk.front().is_some_and(|w| w.index <= through) {
            let waiter = group.on_disk.pop_front().expect("looked at above");
            answer(out, &waiter, group.partition().log_start(), self.last_cut);
        }
    }

    /// A group's log is committed through `through`.
    fn committed(&mut self, out: &mut Out, id: GroupId, through: Index) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        match group.meaning.apply(through) {
            Applied::Catalog(changes) => out.notices.push_back(Notice::CatalogApplied(changes)),
            Applied::Partition { trimmed } => {
                let log_start = group.partition().log_start();
                while group.on_commit.front().is_some_and(|w| w.index <= through) {
                    let waiter = group.on_commit.pop_front().expect("looked at above");
                    answer(out, &waiter, log_start, self.last_cut);
                }
                if !group.watchers.is_empty() {
                    self.look_at_watchers(out, id);
                }
                if trimmed {
                    self.release_trimmed(id);
                }
            }
        }
        let group = self.groups.get_mut(&id).expect("it was there");
        if !group.serving && group.term_start.is_some_and(|start| start <= through) {
            group.serving = true;
            if group.meaning.partition().is_some() {
                self.new_leaders.push((id, group.epoch()));
            }
            self.electing -= 1;
            self.release_empty(id);
            self.note_serving(out);
        }
    }

    fn note_serving(&mut self, out: &mut Out) {
        if self.electing == 0 {
            out.notices.push_back(Notice::AllServing);
        }
    }

    /// The log failed: everything that waits is refused, and nothing is taken from now on.
    fn fence(&mut self, out: &mut Out, why: String) {
        set(&self.stats.fenced, 1);
        out.log(Level::Error, format!("the log is fenced: {why}; nothing more is written until a restart"));
        self.in_flight.clear();
        self.cuts.clear();
        let refused = torc_net::kafka::error::KAFKA_STORAGE_ERROR;
        for group in self.groups.values_mut() {
            for waiter in group.on_disk.drain(..).chain(group.on_commit.drain(..)) {
                refuse(out, &waiter, refused);
            }
        }
        self.refuse_deferred(out, refused);
        out.notices.push_back(Notice::Fenced);
        out.notices.push_back(Notice::AllServing);
    }

    /// A completion of the log or of a checkpoint.
    pub fn on_disk(&mut self, out: &mut Out, done: DiskDone) {
        let mut ops = std::mem::take(&mut self.disk_ops);
        if torc_snapshot::owns(done.tag) {
            self.on_checkpoint_disk(out, done, &mut ops);
        } else {
            assert!(self.wal.owns(done.tag), "a completion that nobody asked for: {:?}", done.tag);
            let mut outcomes = std::mem::take(&mut self.outcomes);
            self.wal.on_disk(out.now, done, &mut ops, &mut outcomes);
            self.take_outcomes(out, outcomes);
        }
        out.ops.extend(ops.drain(..).map(Op::Disk));
        self.disk_ops = ops;
    }

    fn take_outcomes(&mut self, out: &mut Out, mut outcomes: Vec<Outcome>) {
        for outcome in outcomes.drain(..) {
            match outcome {
                Outcome::Durable(seq) => self.durable(out, seq),
                Outcome::Recovered(item) => self.recovered(out, item),
                Outcome::RecoveryDone(found) => self.recovery_done(out, found),
                Outcome::Refused(error) => self.refuse_start(error.to_string()),
                Outcome::Read(id, result) => self.read_done(out, id, result),
                Outcome::Found(id, result) => self.find_done(out, id, result),
                Outcome::Fenced(why) => self.fence(out, why),
                Outcome::Full(lack) => {
                    set(&self.stats.disk_full, u64::from(lack.is_some()));
                    let consequence = "producers are refused, all else goes on";
                    let (level, text) = match lack {
                        Some(DiskError::NoSpace) => (Level::Warn, format!("the disk is full: {consequence}")),
                        Some(lack) => {
                            (Level::Warn, format!("the log cannot grow: {lack}: {consequence}; {}", lack.cure()))
                        }
                        None => (Level::Info, "the log has room again: producers are served".into()),
                    };
                    out.log(level, text);
                }
                Outcome::Log(level, text) => out.log(level, text),
            }
        }
        self.outcomes = outcomes;
    }

    /// End of a turn: waiting batches go in, the open batch is cut, background work goes on.
    pub fn turn(&mut self, out: &mut Out) {
        if !matches!(self.phase, Phase::Running | Phase::Replaying) {
            return;
        }
        self.turn_checkpoint(out.now.mono);
        self.take_deferred(out);
        self.retry_fetches(out);
        self.retain(out);
        self.retain_filled(out);
        self.turn_lookups(out);
        let mut ops = std::mem::take(&mut self.disk_ops);
        let mut outcomes = std::mem::take(&mut self.outcomes);
        self.wal.turn(out.now, &mut ops, &mut outcomes);
        let cut = self.wal.written();
        if self.cuts.back().map_or(self.cut_seq, |(last, _)| *last) < cut {
            self.cuts.push_back((cut, out.now.mono));
        }
        self.take_outcomes(out, outcomes);
        out.ops.extend(ops.drain(..).map(Op::Disk));
        self.disk_ops = ops;
        self.publish_stats(out.now.mono);
    }

    /// Not in every turn: adding up what is alive costs more than a small request.
    fn publish_stats(&mut self, now: Mono) {
        self.stats_due = now < self.next_stats;
        if self.stats_due {
            return;
        }
        self.next_stats = now.plus_ms(STATS_MS);
        let wal = self.wal.stats();
        set(&self.stats.wal_batches_total, wal.batches);
        set(&self.stats.wal_bytes_total, wal.bytes);
        set(&self.stats.wal_entries_total, wal.entries);
        set(&self.stats.read_memory_bytes, self.wal.read_memory().0 as u64);
        set(&self.stats.log_memory_bytes, self.settings.log_blocks.used() as u64);
        set(&self.stats.wal_segments, wal.segments);
        set(&self.stats.wal_live_bytes, wal.live_bytes);
        set(&self.stats.cleaner_cold_segments, wal.cold_segments);
        set(&self.stats.cleaner_waiting_segments, wal.cleaner_waiting);
        set(&self.stats.cleaner_passes_total, wal.cleaner_passes);
        set(&self.stats.cleaner_read_bytes_total, wal.cleaner_read_bytes);
        set(&self.stats.cleaner_written_bytes_total, wal.cleaner_written_bytes);
        set(&self.stats.cleaner_freed_bytes_total, wal.cleaner_freed_bytes);
        set(&self.stats.fetch_cold_reads_total, wal.cold_reads);
        set(&self.stats.wal_reads_total, wal.disk_reads);
        set(&self.stats.wal_read_bytes_total, wal.disk_read_bytes);
        set(&self.stats.read_ahead_hits_total, wal.ahead_hits);
        set(&self.stats.read_ahead_misses_total, wal.ahead_misses);
        set(&self.stats.read_ahead_dropped_total, wal.ahead_dropped);
        set(&self.stats.read_ahead_bytes, wal.ahead_bytes);
    }

    /// When the next turn is due at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        // Fenced, retention is at rest: its time would be due for ever.
        if self.phase != Phase::Running || self.fenced().is_some() {
            let lookups = self.lookups.is_due().then_some(Mono(0));
            return self.wal.deadline().into_iter().chain(lookups).min();
        }
        let stats = self.stats_due.then_some(self.next_stats);
        let overfull = (!self.overfull.is_empty()).then_some(Mono(0));
        let lookups = self.lookups.is_due().then_some(Mono(0));
        let others = [self.wal.deadline(), self.checkpoint_deadline(), stats, overfull, lookups];
        others.into_iter().flatten().chain([self.next_retention]).min()
    }
}

fn answer(out: &mut Out, waiter: &Waiter, log_start: Offset, cut: Mono) {
    let answer = match waiter.produced(log_start, cut, out.now.mono) {
        Some(produced) => Answer::Produced(vec![(waiter.position, produced)]),
        None => Answer::Deleted(vec![(waiter.position, 0, log_start)]),
    };
    out.answers.push_back((waiter.asker, answer));
}

fn refuse(out: &mut Out, waiter: &Waiter, error: i16) {
    let answer = match waiter.reply {
        Reply::Produced { .. } => Answer::Produced(vec![(waiter.position, crate::mail::Produced::refused(error))]),
        Reply::Trimmed => Answer::Deleted(vec![(waiter.position, error, Offset(-1))]),
    };
    out.answers.push_back((waiter.asker, answer));
}

/// Term and vote as they lie in the log, and the kind of the group's log: each log begins with its leader's vote for
/// itself, so that a start knows what it reads before there is a checkpoint.
fn encode_hard_state(hard_state: &HardState, kind: LogKind) -> [u8; 14] {
    let mut out = [0; 14];
    out[..8].copy_from_slice(&hard_state.term.get().to_le_bytes());
    if let Some(vote) = hard_state.vote {
        out[8] = 1;
        out[9..13].copy_from_slice(&vote.get().to_le_bytes());
    }
    out[13] = kind as u8;
    out
}

/// The reverse; `None` if the bytes make no sense. Older logs do not name their kind: its tag is missing then.
fn decode_hard_state(bytes: &[u8]) -> Option<(HardState, Option<u8>)> {
    let (numbers, tag) = bytes.split_first_chunk::<13>()?;
    let tag = match tag {
        [] => None,
        [tag] => Some(*tag),
        _ => return None,
    };
    let term = Term(u64::from_le_bytes(numbers[..8].try_into().ok()?));
    let vote = u32::from_le_bytes(numbers[9..].try_into().ok()?);
    Some((HardState { term, vote: (numbers[8] == 1).then_some(NodeId(vote)) }, tag))
}
