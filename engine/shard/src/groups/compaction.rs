//! Compaction: which partitions are due, which records stay, piece by piece beside everything else.
//!
//! A partition is gone through twice. First its new part is read, as far as the table of keys has room, and the last offset
//! of each key is noted. Then all of it up to there is read, and what is left of each batch goes to the log, which lets
//! readers find it ([`torc_wal::Wal::compact`]). Reads are those of all readers, in the pace of the cleaner; one turn looks
//! at [`COMPACTION_TURN`] bytes of records.
//!
//! - What is left is copied: nobody holds memory of reads while waiting for more of it.
//! - What lies in a segment between many groups' entries would bring most of that segment from the disk, for each group. So it waits until
//!   the cleaner has sorted it, which is asked to do so at once ([`torc_wal::Wal::sort`]).
//! - Only what is committed is touched, and never the last entry of it; entries that are no record batches stay.
//! - A tombstone gets the time of its end when all older records of its key have gone with it. Behind a batch that could
//!   not be taken apart tombstones stay: there may be older records in it.
//! - The first batch whose keys are noted has room for all of them, however small the table is: each pass gets on.
//! - Of a producer's newest batch an empty one is left at least: its last sequence. So it is of the last batch of all: readers
//!   get to the end, though what follows are entries of torc's own.

use super::fair::Flow;
use super::{Groups, Out, Phase};
use crate::batch::{self, Keyed, Left, Sift, Spares};
use crate::meaning::kind;
use crate::stats::{add, set};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use torc_base::buf::{Buf, Pool};
use torc_base::ids::{GroupId, Index, Offset, SegmentId};
use torc_base::io::Level;
use torc_base::limits::{COMPACTION_BATCH_RECORDS_MAX, COMPACTION_TURN};
use torc_base::prng::Prng;
use torc_base::time::{Mono, Wall};
use torc_base::turns::Work;
use torc_state::compaction::{Compaction as Rules, Dirt, Keys};
use torc_state::retention::Age;
use torc_wal::{Claim, Compacting, Item, Part, Read, ReadId, Share, WalError};

/// Bytes of one read.
const PIECE: usize = 256 << 10;
/// Until a read that found no memory is tried again, and a compaction that found the cleaner at work.
const RETRY_MS: u64 = 100;
const BUSY_MS: u64 = 300;
/// Records of the segment that is being filled stay for so long: they are served from memory.
const FILLING_MS: i64 = 10_000;

/// What is known of a compacted partition besides its log.
#[derive(Clone, Copy, Debug, Default)]
struct Watched {
    /// Since when something waits here, and since when it is due and waits for a segment to be sorted.
    waits: Option<Mono>,
    unsorted: Option<Mono>,
    /// When the first of its tombstones ends.
    tombstones_end: Option<i64>,
    /// No entry below has anything that compaction would remove: what a pass without work has seen.
    seen: Index,
}

/// See the module.
pub(super) struct Compaction {
    prng: Prng,
    groups: BTreeMap<GroupId, Watched>,
    next_look: Mono,
    retry_at: Mono,
    /// The log takes parts.
    pub(super) begun: bool,
    /// All parts have been handed over.
    ended: bool,
    /// Partitions that are due, the next one first, and from which index on each waits.
    todo: VecDeque<(GroupId, Index)>,
    job: Option<Box<Job>>,
    read: Option<ReadId>,
    /// When it was to have its turn.
    turn: u64,
    /// It is of a job that has ended.
    stale: bool,
    spares: Spares,
    pool: Pool,
}

/// A partition that is being compacted.
struct Job {
    id: GroupId,
    rules: Rules,
    /// The longest entry that the log takes.
    bytes_max: usize,
    now: Wall,
    keys: Keys,
    /// Entries below had been compacted before.
    compacted: Index,
    /// The last entry that may be touched, and the first one that counts as fresh.
    upto: Index,
    filling: Index,
    /// True while keys are noted.
    notes: bool,
    /// The last entry whose keys are noted: so far is compacted now.
    limit: Option<Index>,
    /// Where the next part begins, what has been read of it, what is left of it.
    next: (Index, Offset),
    items: VecDeque<Item>,
    left: Vec<Item>,
    sift: Option<Sift>,
    /// Batches whose emptied form stays.
    producers: BTreeSet<Offset>,
    /// Where the records that may be touched end: the emptied form of the last batch before stays, or who reads there would
    /// wait for ever for what is gone.
    end: Offset,
    /// Older records of any key may lie before here.
    holds_back: bool,
    tombstones_end: Option<i64>,
    /// There is something to be done: keys of fresh entries, or tombstones whose time is up.
    worth: bool,
    /// There was no room for more keys.
    full: bool,
}

impl Compaction {
    pub(super) fn new(seed: u64) -> Compaction {
        Compaction {
            prng: Prng::new(seed ^ 0xc0_3fac),
            groups: BTreeMap::new(),
            next_look: Mono(0),
            retry_at: Mono(0),
            begun: false,
            ended: false,
            todo: VecDeque::new(),
            job: None,
            read: None,
            turn: 0,
            stale: false,
            spares: Spares::default(),
            pool: Pool::new(usize::MAX, 4 << 20),
        }
    }

    /// The partition is compacted from now on.
    pub(super) fn watch(&mut self, id: GroupId) {
        self.groups.entry(id).or_default();
    }

    /// The partition has another log: what was seen of the one before says nothing of it.
    pub(super) fn forget(&mut self, id: GroupId) {
        if let Some(watched) = self.groups.get_mut(&id) {
            *watched = Watched::default();
        }
    }

    /// True if the read is one of a compaction.
    pub(super) fn asked(&self, id: ReadId) -> bool {
        self.read == Some(id)
    }
}

impl Groups {
    /// When a turn is due at the latest.
    pub(super) fn compaction_deadline(&self) -> Option<Mono> {
        let compaction = &self.compaction;
        if compaction.groups.is_empty() && !compaction.begun {
            return None;
        }
        match &compaction.job {
            Some(job) if !job.items.is_empty() => Some(Mono(0)),
            Some(_) if compaction.read.is_some() => None,
            Some(_) => self.wal.compaction_due().map(|at| at.max(compaction.retry_at)),
            None if compaction.begun && compaction.ended => None,
            None if compaction.begun => Some(Mono(0)),
            None if !compaction.todo.is_empty() => Some(compaction.retry_at),
            None => Some(compaction.next_look),
        }
    }

    /// Goes on with what is under way, or looks for what is due.
    /// Goes on, for so many bytes at most; how many it took.
    pub(super) fn turn_compaction(&mut self, out: &mut Out, bytes: usize) -> usize {
        if self.phase != Phase::Running || (self.compaction.groups.is_empty() && !self.compaction.begun) {
            return 0;
        }
        let before = self.stats.turns.at(Work::Compaction);
        let most = bytes.min(COMPACTION_TURN);
        let mut budget = most;
        while budget > 0 && self.compaction_step(out, &mut budget) {}
        self.stats.turns.at(before);
        most - budget
    }

    /// One step. False: it waits for something.
    fn compaction_step(&mut self, out: &mut Out, budget: &mut usize) -> bool {
        let now = out.now.mono;
        if let Some(job) = self.compaction.job.take() {
            if !job.items.is_empty() {
                self.take_item(out, job, budget);
                return true;
            }
            self.compaction.job = Some(job);
            return self.compaction.read.is_none() && now >= self.compaction.retry_at && self.read_on(out);
        }
        if self.compaction.begun {
            return !self.compaction.ended && self.next_job(out);
        }
        if self.compaction.todo.is_empty() {
            if now < self.compaction.next_look || self.fenced().is_some() {
                return false;
            }
            self.compaction.next_look = now.plus_ms(self.settings.compaction_backoff_ms);
            self.look_for_dirt(out);
        }
        if self.compaction.todo.is_empty() || now < self.compaction.retry_at {
            return false;
        }
        self.compaction.begun = self.wal.begin_compaction();
        self.compaction.ended = false;
        if !self.compaction.begun {
            self.compaction.retry_at = now.plus_ms(BUSY_MS);
        }
        self.compaction.begun
    }

    /// Finds the partitions that are due, the dirtiest first.
    fn look_for_dirt(&mut self, out: &mut Out) {
        let unsorted = self.unsorted(out.now.mono);
        let (mut due, mut dirtiest, mut wanted) = (Vec::new(), 0, BTreeSet::new());
        for id in self.compaction.groups.keys().copied().collect::<Vec<_>>() {
            let Some(rules) = self.rules(id) else {
                self.compaction.groups.remove(&id);
                continue;
            };
            let dirt = self.dirt(out, id, &rules, Index(u64::MAX));
            dirtiest = dirtiest.max(if dirt.dirty > 0 { dirt.dirty_ppm() } else { 0 });
            if !dirt.is_due(&rules) {
                self.compaction.groups.get_mut(&id).expect("it is watched").unsorted = None;
                continue;
            }
            let until = self.waits_from(out, id, &unsorted, &rules, &dirt);
            if until < Index(u64::MAX) {
                let runs = self.wal.runs(id);
                let behind = runs[runs.partition_point(|run| run.first_index < until)..].iter();
                wanted.extend(behind.map(|run| run.segment).filter(|segment| unsorted.contains(segment)));
                if !self.dirt(out, id, &rules, until).is_due(&rules) {
                    continue;
                }
            }
            due.push((dirt.dirty_ppm(), id, until));
        }
        set(&self.stats.compaction_max_dirty_percent, u64::from(dirtiest / 10_000));
        self.wal.sort(wanted);
        due.sort_unstable_by(|a, b| b.cmp(a));
        self.compaction.todo = due.into_iter().map(|(_, id, until)| (id, until)).collect();
    }

    /// What a partition that is here says of compaction, if it is compacted. Whether it is led here does not matter: what a replica has
    /// applied is committed, and its disk is as full as the leader's.
    fn rules(&self, id: GroupId) -> Option<Rules> {
        self.groups.get(&id)?.compaction
    }

    /// Below, the partition has nothing that a compaction would remove.
    fn seen(&self, id: GroupId) -> Index {
        self.wal.compacted(id).max(self.compaction.groups.get(&id).map_or(Index(0), |watched| watched.seen))
    }

    /// Segments that are better sorted before the partitions that have something new there are compacted.
    fn unsorted(&self, now: Mono) -> BTreeSet<SegmentId> {
        let mut readers: BTreeMap<SegmentId, u64> = BTreeMap::new();
        for id in self.compaction.groups.keys().copied().filter(|id| self.rules(*id).is_some()) {
            let (runs, seen) = (self.wal.runs(id), self.seen(id));
            for run in &runs[runs.partition_point(|run| run.last_index < seen)..] {
                *readers.entry(run.segment).or_default() += 1;
            }
        }
        readers.retain(|segment, readers| self.wal.wants_sorting(*segment, *readers, now));
        readers.into_keys().collect()
    }

    /// From where on a partition's compaction waits for what lies there to be sorted. Not beyond what the topic says, nor for longer than
    /// anything waits for that: what goes into the segment that is being filled may come slowly.
    fn waits_from(
        &mut self,
        out: &Out,
        id: GroupId,
        unsorted: &BTreeSet<SegmentId>,
        rules: &Rules,
        dirt: &Dirt,
    ) -> Index {
        let (runs, seen, now) = (self.wal.runs(id), self.seen(id), out.now.mono);
        let fresh = &runs[runs.partition_point(|run| run.last_index < seen)..];
        let first = fresh.iter().find(|run| unsorted.contains(&run.segment)).map(|run| run.first_index);
        let watched = self.compaction.groups.get_mut(&id).expect("it is watched");
        let since = first.map(|_| *watched.unsorted.get_or_insert(now));
        watched.unsorted = since;
        let may_wait = |since: &Mono| dirt.age_ms <= rules.max_lag_ms && now < since.plus_ms(self.wal.sorts_after_ms());
        first.filter(|_| since.as_ref().is_some_and(may_wait)).unwrap_or(Index(u64::MAX))
    }

    /// How a partition looks below the index `until`.
    fn dirt(&mut self, out: &Out, id: GroupId, rules: &Rules, until: Index) -> Dirt {
        let wall = out.now.wall.0;
        let compacted = self.seen(id);
        let committed = self.groups[&id].raft.marks().committed;
        let filling = self.wal.filling();
        let (mut dirt, mut growing) = (Dirt::default(), 0);
        for run in self.wal.runs(id).iter().take_while(|run| run.first_index < until) {
            let age = Age(run.max_timestamp).time().map_or(i64::MAX, |time| wall.saturating_sub(time.0));
            if run.last_index < compacted {
                dirt.clean += run.bytes;
            } else if run.first_index.max(compacted) >= committed || !run.has_records() {
                continue;
            } else if is_old(age, rules, run.segment == filling) {
                dirt.dirty += run.bytes;
                dirt.age_ms = dirt.age_ms.max(if age == i64::MAX { 0 } else { age });
            } else if run.segment == filling && rules.max_lag_ms < i64::MAX {
                growing += run.bytes;
            }
        }
        let watched = self.compaction.groups.get_mut(&id).expect("it is watched");
        if dirt.dirty + growing > 0 {
            dirt.waited_ms = (out.now.mono.since(*watched.waits.get_or_insert(out.now.mono)) / 1_000_000) as i64;
            // Only its newest record is known to be young: some of the others have waited for as long as they may.
            if dirt.waited_ms > rules.max_lag_ms {
                dirt.dirty += growing;
            }
            dirt.age_ms = dirt.age_ms.max(dirt.waited_ms);
        } else if until == Index(u64::MAX) {
            watched.waits = None;
        }
        dirt.tombstones_due = watched.tombstones_end.is_some_and(|end| end <= wall);
        dirt
    }

    /// Begins with the next partition; none: the compaction ends.
    fn next_job(&mut self, out: &mut Out) -> bool {
        while let Some((id, until)) = self.compaction.todo.pop_front() {
            let Some(rules) = self.rules(id) else { continue };
            let group = &self.groups[&id];
            let compacted = self.wal.compacted(id);
            let Some(first) = self.wal.first_index(id) else { continue };
            let runs = self.wal.runs(id);
            // A follower may have applied what still waits for its batch.
            let placed = runs.last().map_or(Index(0), |run| run.last_index);
            let upto = Index(group.raft.marks().applied.min(until).get().saturating_sub(1)).min(placed);
            let from = compacted.max(first);
            let at = runs.partition_point(|run| run.last_index < from);
            let Some(run) = runs.get(at) else { continue };
            let filling = self.wal.filling();
            let fresh = runs.last().filter(|run| run.segment == filling).map_or(Index(u64::MAX), |run| run.first_index);
            let dirty = group.partition().end().get() - run.first_offset.get();
            let end = self.compaction.groups.get(&id).and_then(|watched| watched.tombstones_end);
            let tombstones_due = end.is_some_and(|end| end <= out.now.wall.0);
            let seed = (self.compaction.prng.next_u64(), self.compaction.prng.next_u64());
            self.compaction.job = Some(Box::new(Job {
                id,
                rules,
                bytes_max: self.entry_bytes_max(id),
                now: out.now.wall,
                keys: Keys::new(seed, dirty.max(0) as u64, self.settings.compaction_keys_bytes),
                compacted,
                upto,
                filling: fresh,
                notes: true,
                limit: (compacted > first).then(|| Index(compacted.get() - 1)),
                next: (from, run.first_offset),
                items: VecDeque::new(),
                left: Vec::new(),
                sift: None,
                producers: group.partition().producers_last(),
                end: group.partition().high_watermark(),
                holds_back: false,
                tombstones_end: None,
                worth: tombstones_due,
                full: false,
            }));
            return true;
        }
        self.wal.end_compaction(true);
        self.compaction.ended = true;
        false
    }

    /// Reads the next piece. False: it waits for that, for memory, or for the pace.
    fn read_on(&mut self, out: &mut Out) -> bool {
        let now = out.now.mono;
        let job = self.compaction.job.as_mut().expect("the caller has one");
        match self.wal.compacting(now) {
            Compacting::Parts => {}
            Compacting::Time => return false,
            Compacting::Nothing => {
                self.compaction.job = None;
                return false;
            }
        }
        let end = if job.notes { job.upto } else { job.limit.expect("else there is no second round") };
        if job.next.0 > end || !self.groups.contains_key(&job.id) {
            return self.end_round(out);
        }
        let claim = Claim { share: Share::Background, turn: self.fetches.fair.turn(Flow::Compaction) };
        let read = self.wal.read_to_compact(job.id, (job.next.0, end), PIECE, claim, &mut self.disk_ops);
        self.emit_disk(out);
        match read {
            Read::Ready(items) => {
                self.compaction_read(out, Ok(items));
                true
            }
            Read::Pending(id) => {
                self.compaction.read = Some(id);
                self.compaction.turn = claim.turn;
                false
            }
            Read::NoRoom => {
                self.compaction.retry_at = now.plus_ms(RETRY_MS);
                false
            }
            Read::Released => {
                self.give_up_job(None);
                true
            }
        }
    }

    /// A piece has been read.
    pub(super) fn compaction_read(&mut self, out: &mut Out, result: Result<Vec<Item>, WalError>) {
        let is_cold = self.compaction.read.take().is_some();
        let bytes = result.iter().flatten().map(|item| item.bytes.len()).sum();
        if is_cold && result.is_ok() {
            let others = self.fetches.readers();
            self.fetches.fair.gave(Flow::Compaction, self.compaction.turn, bytes, others);
        }
        if std::mem::take(&mut self.compaction.stale) {
            return;
        }
        let Some(job) = &mut self.compaction.job else { return };
        match result {
            Ok(items) if items.is_empty() => {
                // Nothing of it may be taken for gone.
                let id = job.id;
                self.give_up_job(None);
                out.log(Level::Debug, format!("group {id}: its compaction found no more entries and waits"));
            }
            Ok(items) => {
                self.wal.charge_compaction(out.now.mono, bytes as u64);
                job.items = items.into();
            }
            Err(WalError::NoRoom) => self.compaction.retry_at = out.now.mono.plus_ms(RETRY_MS),
            Err(WalError::Released { .. }) => self.give_up_job(None),
            Err(error) => {
                let id = job.id;
                let what = format!("group {id}: it cannot be compacted: {error}");
                self.note_damage(out.now.mono, id, &error);
                self.give_up_job(None);
                self.report_damage(out, Level::Error, &what);
            }
        }
    }

    /// The partition stays as it is, as far as nothing has been handed over.
    fn give_up_job(&mut self, tombstones_end: Option<i64>) {
        let Some(job) = self.compaction.job.take() else { return };
        if let Some(sift) = job.sift {
            sift.end_with(&mut self.compaction.spares);
        }
        if let Some(watched) = self.compaction.groups.get_mut(&job.id) {
            *watched = Watched { waits: None, unsorted: None, tombstones_end, ..*watched };
        }
    }

    /// The keys are noted, or the partition is done.
    fn end_round(&mut self, out: &mut Out) -> bool {
        let mut job = self.compaction.job.take().expect("the caller has one");
        let first = self.wal.first_index(job.id);
        let run = first.and_then(|first| self.wal.runs(job.id).iter().find(|run| run.last_index >= first));
        let begins = first.zip(run.map(|run| run.first_offset));
        if let (true, Some(begin), Some(limit)) = (job.notes && job.worth, begins, job.limit)
            && limit >= begin.0
        {
            job.notes = false;
            job.next = begin;
            self.compaction.job = Some(job);
            return true;
        }
        if let (false, Some(limit), Some(watched)) = (job.worth, job.limit, self.compaction.groups.get_mut(&job.id)) {
            watched.seen = watched.seen.max(limit.next());
        }
        // There was no room for all keys: the rest does not wait.
        let more = !job.notes && job.full;
        let (id, end) = (job.id, job.tombstones_end);
        let waits = self.compaction.groups.get(&id).and_then(|watched| watched.waits);
        self.compaction.job = Some(job);
        self.give_up_job(end);
        if more && let Some(watched) = self.compaction.groups.get_mut(&id) {
            watched.waits = waits;
            self.compaction.next_look = self.compaction.next_look.min(out.now.mono.plus_ms(BUSY_MS));
        }
        true
    }

    /// Looks at the first entry of the piece.
    fn take_item(&mut self, out: &mut Out, mut job: Box<Job>, budget: &mut usize) {
        let compaction = &mut self.compaction;
        let item = job.items.front().expect("the caller has looked").clone();
        if job.notes && !job.may_note(&item) {
            // From here on all stays as it is.
            job.items.clear();
            job.next.0 = job.upto.next();
            compaction.job = Some(job);
            return;
        }
        let done = match job.look_at(&item, &mut compaction.spares, &compaction.pool, budget) {
            Ok(None) => {
                compaction.job = Some(job);
                return;
            }
            Ok(Some(done)) => done,
            Err(why) => {
                // It stays as it is, and so does what it may have older records of.
                job.holds_back = true;
                job.sift = None;
                let what = format!("group {}, entry {}: it is not compacted: {why}", job.id, item.index);
                self.report_damage(out, Level::Warn, &what);
                Done::Noted.or_left(&job, &item, &self.compaction.pool)
            }
        };
        *budget = budget.saturating_sub(256);
        job.items.pop_front();
        match done {
            Done::Full => {
                job.full = true;
                job.items.clear();
                job.next.0 = job.upto.next();
            }
            Done::Noted => {
                job.worth |= item.kind == kind::RECORDS;
                job.limit = Some(item.index);
                job.next = (item.index.next(), item.end_offset().max(job.next.1));
            }
            Done::Left(left) => {
                let removed = item.bytes.len() - left.as_ref().map_or(0, |left| left.bytes.len()).min(item.bytes.len());
                add(&self.stats.compaction_read_bytes_total, item.bytes.len() as u64);
                add(&self.stats.compaction_removed_bytes_total, removed as u64);
                job.left.extend(left);
                if job.items.is_empty() {
                    let (first_index, first_offset) = job.next;
                    let end_offset = item.end_offset().max(first_offset);
                    let part = Part { group: job.id, first_index, first_offset, last_index: item.index, end_offset };
                    self.wal.compact(&part, std::mem::take(&mut job.left));
                    job.next = (item.index.next(), end_offset);
                }
            }
        }
        self.compaction.job = Some(job);
    }

    /// The log has written all, or what it could.
    pub(super) fn compaction_ended(&mut self, out: &mut Out, whole: bool) {
        self.give_up_job(None);
        (self.compaction.begun, self.compaction.ended) = (false, false);
        self.compaction.stale = self.compaction.read.is_some();
        if !whole {
            self.compaction.todo.clear();
            self.compaction.retry_at = out.now.mono.plus_ms(self.settings.compaction_backoff_ms);
            out.log(Level::Info, "a compaction ended early; what it has not come to waits for the next".into());
        }
    }
}

/// True if records of that age have stayed for as long as the rules say, or for longer while their segment is being filled. Where none
/// have to stay nothing is too young, not even what a client's clock puts into times to come: all behind it would wait for them.
fn is_old(age_ms: i64, rules: &Rules, is_filling: bool) -> bool {
    let lag_ms = if is_filling { rules.min_lag_ms.max(FILLING_MS) } else { rules.min_lag_ms };
    lag_ms <= 0 || age_ms >= lag_ms
}

/// Why a batch stays as it is, in each pass anew.
enum Untouched {
    Invalid(batch::Invalid),
    Records(usize),
}

impl std::convert::From<batch::Invalid> for Untouched {
    fn from(invalid: batch::Invalid) -> Untouched {
        Untouched::Invalid(invalid)
    }
}

impl fmt::Display for Untouched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Untouched::Invalid(invalid) => invalid.fmt(f),
            Untouched::Records(records) => {
                write!(f, "it has {records} records, of one batch at most {COMPACTION_BATCH_RECORDS_MAX} are compacted")
            }
        }
    }
}

/// What came of an entry.
enum Done {
    /// Its keys are known.
    Noted,
    /// There was no room for them.
    Full,
    /// This is left of it.
    Left(Option<Item>),
}

impl Done {
    /// Of an entry that stays as it is.
    fn or_left(self, job: &Job, item: &Item, pool: &Pool) -> Done {
        if job.notes { self } else { Done::Left(Some(kept(item, pool))) }
    }
}

impl Job {
    /// True if the entry's records may be compacted: they are old enough.
    fn may_note(&self, item: &Item) -> bool {
        let is_filling = item.index >= self.filling;
        let old = |time: Wall| is_old(self.now.0.saturating_sub(time.0), &self.rules, is_filling);
        Age(item.max_timestamp).time().is_none_or(old)
    }

    /// Goes on with an entry; `None`: the budget is used up.
    fn look_at(
        &mut self,
        item: &Item,
        spares: &mut Spares,
        pool: &Pool,
        budget: &mut usize,
    ) -> Result<Option<Done>, Untouched> {
        if item.kind != kind::RECORDS {
            return Ok(Some(Done::Noted.or_left(self, item, pool)));
        }
        if self.sift.is_none() {
            let records = batch::header(&item.bytes)?.records.max(0) as usize;
            if records > COMPACTION_BATCH_RECORDS_MAX {
                return Err(Untouched::Records(records));
            }
            if self.notes {
                self.keys.make_room(records);
            }
        }
        let settled = item.index < self.compacted;
        let horizon = self.now.0.saturating_add(self.rules.delete_retention_ms);
        let mut sift = match self.sift.take() {
            Some(sift) => sift,
            None => Sift::new(&item.bytes, (!self.holds_back).then_some(horizon), settled, self.bytes_max, spares)?,
        };
        let result = if self.notes {
            let (keys, mut full) = (&mut self.keys, false);
            let left = sift.step(&item.bytes, budget, |record| {
                full |= record.key.is_some_and(|key| !keys.note(key, Offset(record.offset)));
                false
            });
            // What is noted of it does no harm: the records are there, and stay.
            if full {
                sift.end_with(spares);
                return Ok(Some(Done::Full));
            }
            left
        } else {
            let ends = settled && !self.holds_back && sift.delete_horizon().is_some_and(|end| end <= self.now.0);
            let keys = &self.keys;
            sift.step(&item.bytes, budget, |record| stays(keys, &record, ends))
        };
        let Some(left) = result? else {
            self.sift = Some(sift);
            return Ok(None);
        };
        let own_end = sift.delete_horizon();
        sift.end_with(spares);
        if self.notes {
            return Ok(Some(Done::Noted));
        }
        let bytes = match left {
            Left::All if batch::header(&item.bytes)?.records > 0 => {
                self.note_end(settled.then_some(own_end).flatten());
                return Ok(Some(Done::Left(Some(kept(item, pool)))));
            }
            Left::TooLarge => {
                self.holds_back = true;
                return Ok(Some(Done::Left(Some(kept(item, pool)))));
            }
            Left::Some(bytes) => bytes,
            Left::All | Left::Nothing => {
                let last = Offset(item.end_offset().get() - 1);
                let is_last = self.limit == Some(item.index) || item.end_offset() >= self.end;
                if !is_last && !self.producers.contains(&last) {
                    return Ok(Some(Done::Left(None)));
                }
                batch::emptied(&item.bytes)?
            }
        };
        let header = batch::header(&bytes)?;
        self.note_end(header.delete_horizon());
        Ok(Some(Done::Left(Some(replaced(item, &header, pool, &bytes)))))
    }

    /// Tombstones that are left end then.
    fn note_end(&mut self, end: Option<i64>) {
        let end = end.filter(|end| *end > self.now.0);
        self.tombstones_end = self.tombstones_end.into_iter().chain(end).min();
    }
}

/// True if the record is the last of its key, and no tombstone whose time is up. A record without a key goes.
fn stays(keys: &Keys, record: &Keyed<'_>, tombstones_end: bool) -> bool {
    let Some(key) = record.key else { return false };
    keys.last(key).is_none_or(|last| last.get() <= record.offset) && (record.has_value || !tombstones_end)
}

/// The entry as it is, with bytes of its own: it waits to be written until more is left, and what more is left is read into
/// the memory that it would hold.
fn kept(item: &Item, pool: &Pool) -> Item {
    let mut copy = pool.take(item.bytes.len()).expect("the pool has no limit");
    copy.copy_from_slice(&item.bytes);
    Item { bytes: copy.freeze(), ..item.clone() }
}

/// The entry with other bytes, which are a batch with this header.
fn replaced(item: &Item, header: &batch::Batch, pool: &Pool, bytes: &[u8]) -> Item {
    let mut copy = pool.take(bytes.len()).expect("the pool has no limit");
    copy.copy_from_slice(bytes);
    let bytes: Buf = copy.freeze();
    let max_timestamp = match Age(item.max_timestamp).time() {
        _ if header.records == 0 => Age::NONE.0,
        // What has no usable time keeps that of its append.
        Some(was) => Age::of(header.max_timestamp, was).0,
        None => item.max_timestamp,
    };
    Item { max_timestamp, body_crc: header.crc, bytes, ..item.clone() }
}
