//! The log of one shard: what ties its parts together.

use crate::batch::{Descriptor, table_end};
use crate::checkpoint::Section;
use crate::cleaner::{self, Cleaner};
use crate::cleaner_choice::lies_in_pieces;
use crate::compaction::{Compacting, Part};
use crate::directory::Directory;
use crate::entry::{Entry, Item, Run};
use crate::error::WalError;
use crate::index::{Extent, extents_of};
use crate::outcome::{Claim, Find, From, Outcome, Read, ReadId, Recovered, Share, State, Stats};
use crate::reads::{Answer, Reads};
use crate::recovery::{self, Recovery};
use crate::search::{Goal, Seen, Sources};
use crate::segment::is_cold;
use crate::segments::{Segment, Segments};
use crate::settings::WalSettings;
use crate::spares::{self, Spares};
use crate::tags::Job;
use crate::tail::Tail;
use crate::writer::{Place, Writer};
use std::collections::BTreeSet;
use torc_base::buf::Pool;
use torc_base::ids::{BatchSeq, GroupId, Index, Offset, SegmentId, Tag};
use torc_base::io::{DiskDone, DiskError, DiskKind, DiskOk, DiskOp, Level};
use torc_base::limits::WAL_MEMORY;
use torc_base::prng::Prng;
use torc_base::time::{Mono, Now};

/// Entries that wait for a place in the pipeline hold at most this much, one entry aside.
const QUEUE_BYTES_MAX: usize = 16 << 20;
const _: () = assert!(QUEUE_BYTES_MAX <= WAL_MEMORY);
/// From this mean size of a segment's batches on, the next files are not written ahead.
const LARGE_BATCH: u64 = 256 << 10;

/// What readers look into, borrowed apart from the reader.
macro_rules! sources {
    ($wal:ident) => {
        Sources {
            directory: &$wal.directory,
            segments: &$wal.segments,
            tail: &$wal.tail,
            writer: &$wal.writer,
            replicated: $wal.salvages,
        }
    };
}

/// Where the log is in its life.
enum Life {
    /// Not opened yet.
    New,
    Recovering(Box<Recovery>),
    /// A first start: the first segment is being made.
    FirstSegment,
    Running,
    Fenced(String),
}

/// A checkpoint that has begun.
struct Checkpoint {
    /// Segments that can be reused once it is published.
    dead: Vec<SegmentId>,
    /// What the one before had reached.
    before: SegmentId,
}

/// The write-ahead log of one shard.
pub struct Wal {
    settings: WalSettings,
    seed: u64,
    life: Life,
    /// Number of this process life in batch headers.
    nonce: u64,
    writer: Writer,
    tail: Tail,
    directory: Directory,
    segments: Segments,
    spares: Spares,
    reader: Reads,
    cleaner: Cleaner,
    /// Header blocks and footers. Bounded by the pipeline, the tail and what readers hold, not by the pool.
    blocks: Pool,
    extents: Vec<Extent>,
    /// Groups of which nobody reads what was just written.
    unread: BTreeSet<GroupId>,
    /// Groups with entries in segments that were filled since [`Wal::take_filled`].
    filled: Vec<GroupId>,
    checkpoint: Option<Checkpoint>,
    /// Dead and published, but perhaps still being read from.
    freeable: Vec<SegmentId>,
    /// Where the last checkpoint's recovery would start.
    checkpointed: SegmentId,
    /// Something died or was sealed since `wants_checkpoint` was last worked out.
    stale_wish: bool,
    wants_checkpoint: bool,
    /// The checkpoint that recovery began with says that the log ends where it was closed. Until another is published, the
    /// loss of what is written right there would look like that end.
    closed: bool,
    idle_at: Option<Mono>,
    /// What it lacked when that was last told.
    told_lack: Option<DiskError>,
    /// Recovery passes over damage.
    salvages: bool,
    /// Nothing is appended any more: a log that stops in order leaves no file half made.
    closing: bool,
    stats: Stats,
}

impl Wal {
    /// A log that is not open. `seed` should differ from one process life to the next.
    pub fn new(settings: WalSettings, seed: u64) -> Wal {
        Wal::with_blocks(settings, seed, Pool::new(usize::MAX, WAL_MEMORY))
    }

    /// The same, with header blocks out of `blocks`, which must have no limit: its arena may be known to the kernel.
    pub fn with_blocks(settings: WalSettings, seed: u64, blocks: Pool) -> Wal {
        settings.check();
        Wal {
            writer: Writer::new(settings.batch_bytes()),
            tail: Tail::new(settings.tail_bytes),
            directory: Directory::default(),
            segments: Segments::default(),
            spares: Spares::new(&settings, Prng::new(seed)),
            reader: Reads::new(settings.read_memory, settings.read_ahead_bytes),
            cleaner: Cleaner::new(&settings),
            blocks,
            extents: Vec::new(),
            unread: BTreeSet::new(),
            filled: Vec::new(),
            checkpoint: None,
            freeable: Vec::new(),
            checkpointed: SegmentId(1),
            stale_wish: false,
            wants_checkpoint: false,
            closed: false,
            idle_at: None,
            told_lack: None,
            salvages: false,
            closing: false,
            stats: Stats::default(),
            settings,
            seed,
            life: Life::New,
            nonce: 0,
        }
    }

    /// Recovery, which has not begun, is to pass over damage and tell what is lost ([`Outcome::Lost`]), instead of refusing
    /// the log: others have it. What it cannot read at all it refuses all the same.
    pub fn salvage(&mut self) {
        assert!(matches!(self.life, Life::New), "said before recovery begins");
        self.salvages = true;
    }

    /// Starts recovery. `checkpoint` is the log's section of the newest checkpoint, as [`Wal::begin_checkpoint`] gave
    /// it; `None` on a first start.
    ///
    /// # Errors
    /// The section is not one.
    pub fn open(&mut self, now: Now, checkpoint: Option<&[u8]>, ops: &mut Vec<DiskOp>) -> Result<(), WalError> {
        assert!(matches!(self.life, Life::New), "a log is opened once");
        let section = checkpoint.map(Section::decode).transpose().map_err(WalError::Checkpoint)?;
        // Salts must not repeat from one life to the next, even if the seed does.
        let mut prng = Prng::new(self.seed ^ now.mono.0.rotate_left(32) ^ now.wall.0 as u64);
        self.nonce = prng.next_u64();
        self.spares.reseed(prng.fork());
        self.cleaner.reseed(prng.fork(), self.nonce);
        if let Some(section) = &section {
            self.checkpointed = section.scan;
        }
        self.life = Life::Recovering(Box::new(Recovery::start(section, self.salvages, ops)));
        Ok(())
    }

    /// True if a completion with this tag is for [`Wal::on_disk`].
    pub fn owns(&self, tag: Tag) -> bool {
        Job::owns(tag)
    }

    /// Takes a completion of one of the log's own operations; outcomes are appended.
    pub fn on_disk(&mut self, now: Now, done: DiskDone, ops: &mut Vec<DiskOp>, out: &mut Vec<Outcome>) {
        match Job::of(done.tag) {
            Job::Batch(seq) => self.batch_written(seq, done.result, out),
            Job::Footer(segment) => match done.result {
                Ok(_) if matches!(self.life, Life::Fenced(_)) => {}
                Ok(_) => {
                    if self.segments.footer_written(segment, &self.blocks, ops) {
                        self.segments.drop_indexes(self.tail.oldest_segment());
                        self.note_change();
                    }
                }
                Err(error) => self.fence("writing the footer", segment, error, out),
            },
            Job::Spare => self.spare_step(now, done.result, ops, out),
            Job::Retire(slot) => {
                if let spares::Progress::Failed(error) = self.spares.retired(now, slot, done.result, ops) {
                    out.push(Outcome::Log(Level::Warn, error.to_string()));
                }
            }
            Job::Read { id, part } => {
                let log = sources!(self);
                self.reader.on_disk(log, (id, part), done.result, ops, out);
            }
            Job::Recovery(number) => self.recover(number, done.result, ops, out),
            Job::Clean(number) => self.cleaned(now, number, done.result, ops, out),
        }
    }

    fn batch_written(&mut self, seq: BatchSeq, result: Result<DiskOk, DiskError>, out: &mut Vec<Outcome>) {
        match result {
            Ok(_) => {
                if self.writer.written(seq) {
                    out.push(Outcome::Durable(self.writer.durable()));
                    self.evict();
                }
            }
            Err(error) => {
                let segment = self.segments.active().header.segment;
                self.fence("writing a batch", segment, error, out);
            }
        }
    }

    fn evict(&mut self) {
        let before = self.tail.oldest_segment();
        self.tail.evict(self.writer.durable());
        if self.tail.oldest_segment() != before {
            self.segments.drop_indexes(self.tail.oldest_segment());
        }
    }

    fn fence(&mut self, doing: &'static str, segment: SegmentId, error: DiskError, out: &mut Vec<Outcome>) {
        let file = self.segments.get(segment).map_or(String::new(), |s| s.header.slot.file_name());
        self.fence_for(WalError::Disk { doing, file, error }, out);
    }

    /// Nothing is written any more in this life of the process: what reached the disk is unknown.
    fn fence_for(&mut self, error: WalError, out: &mut Vec<Outcome>) {
        if matches!(self.life, Life::Fenced(_)) {
            return;
        }
        let recovering = !matches!(self.life, Life::Running);
        let text = error.to_string();
        self.life = Life::Fenced(text.clone());
        self.writer.abandon();
        out.push(if recovering { Outcome::Refused(error) } else { Outcome::Fenced(text) });
    }

    fn spare_step(
        &mut self,
        now: Now,
        result: Result<DiskOk, DiskError>,
        ops: &mut Vec<DiskOp>,
        out: &mut Vec<Outcome>,
    ) {
        if matches!(self.life, Life::Fenced(_)) {
            return;
        }
        match self.spares.on_disk(now, result, ops) {
            spares::Progress::Nothing => {}
            spares::Progress::NoRoom(error) if matches!(self.life, Life::FirstSegment) => {
                self.fence_for(WalError::Disk { doing: "making the first segment", file: String::new(), error }, out);
            }
            spares::Progress::NoRoom(_) => {}
            spares::Progress::Failed(error) => self.fence_for(error, out),
            spares::Progress::Ready => {
                if matches!(self.life, Life::FirstSegment) {
                    let header = self.spares.take(now.mono).expect("just made");
                    self.segments.activate(header, BatchSeq(1), 0);
                    self.life = Life::Running;
                    out.push(Outcome::RecoveryDone(Recovered { fresh: true, ..Recovered::default() }));
                }
            }
        }
    }

    fn recover(
        &mut self,
        number: u64,
        result: Result<DiskOk, DiskError>,
        ops: &mut Vec<DiskOp>,
        out: &mut Vec<Outcome>,
    ) {
        // Windows behind the end of the log may come in late.
        let Life::Recovering(recovery) = &mut self.life else { return };
        let mut parts =
            recovery::Parts { directory: &mut self.directory, segments: &mut self.segments, spares: &mut self.spares };
        match recovery.on_disk(number, result, &mut parts, ops, out) {
            Ok(recovery::Progress::Going) => {}
            Ok(recovery::Progress::Fresh) => {
                self.life = Life::FirstSegment;
                // The caller may sleep until the next completion: ask at once.
                self.spares.turn(Now::default(), ops);
            }
            Ok(recovery::Progress::Done(end)) => {
                self.writer.resume(end.next, end.chain, end.vouched, end.last_filled);
                self.cleaner.resume(recovery.last_cold());
                self.closed = end.closed;
                self.life = Life::Running;
                self.note_change();
                out.push(Outcome::RecoveryDone(end.found));
            }
            Err(error) => {
                // Its owner does without it, and uses the directory for another one.
                let abandoned = if self.salvages { recovery.abandon(error, ops) } else { Err(error) };
                if let Err(error) = abandoned {
                    self.fence_for(error, out);
                }
            }
        }
    }

    /// Puts an entry into the open batch. It is durable when [`Wal::durable`] has reached the returned number.
    /// The caller has asked [`Wal::admits`], or the entry is internal.
    pub fn append(&mut self, entry: Entry) -> BatchSeq {
        assert!(entry.bytes.len() <= self.settings.entry_bytes_max(), "an entry of {} bytes", entry.bytes.len());
        assert!(usize::from(entry.prefix_len) <= entry.bytes.len());
        match self.life {
            Life::Running => {}
            // Nobody waits for this number: no batch gets durable after the fence.
            Life::Fenced(_) => return BatchSeq(u64::MAX),
            _ => panic!("entries are appended after recovery"),
        }
        let end_offset = entry.first_offset.plus(i64::from(entry.records));
        let replaces =
            entry.index > Index(0) && self.directory.note(entry.group, entry.index, entry.first_offset, end_offset);
        if replaces {
            assert!(entry.index >= self.compacted(entry.group), "what is compacted is not replaced");
            self.reader.truncate(entry.group, entry.index);
            self.writer.replace(entry.group, entry.index);
        }
        self.writer.append(entry)
    }

    /// End of a loop turn: cuts the open batch into a write if there is a place in the pipeline, and does what waits.
    pub fn turn(&mut self, now: Now, ops: &mut Vec<DiskOp>, out: &mut Vec<Outcome>) {
        match self.life {
            Life::Running => {}
            Life::FirstSegment => return self.spares.turn(now, ops),
            Life::Fenced(_) => return self.reader.turn(sources!(self), now.mono, ops, out),
            Life::New | Life::Recovering(_) => return,
        }
        self.vouch(now);
        self.pump(now.mono, ops);
        if self.closing && self.writer.front().is_none() {
            self.spares.close();
        }
        self.segments.write_footers(self.writer.durable(), &self.blocks, ops);
        self.free_dead();
        self.clean(now, ops, out);
        self.reader.turn(sources!(self), now.mono, ops, out);
        if self.stale_wish {
            self.stale_wish = false;
            self.wants_checkpoint = self.checkpoint_is_due();
        }
        let lack = self.spares.lack();
        if lack != self.told_lack.as_ref() {
            self.told_lack = lack.cloned();
            out.push(Outcome::Full(self.told_lack.clone()));
        }
    }

    /// Cuts waiting batches while the pipeline and the segments have room.
    fn pump(&mut self, now: Mono, ops: &mut Vec<DiskOp>) {
        while self.writer.in_flight() < self.settings.batches_in_flight && self.writer.pipelines() {
            let Some(open) = self.writer.front() else { return };
            let (count, total) = (open.entries.len(), open.total_bytes());
            if !self.segments.active().has_room(total, count) {
                let Some(header) = self.spares.take(now) else { return };
                let (seq, chain) = self.writer.cut_mark();
                let filled = self.segments.active();
                self.spares.expect_large(filled.mean_batch() >= LARGE_BATCH.min(self.settings.batch_bytes() as u64));
                self.filled.extend(filled.groups());
                self.segments.activate(header, seq, chain);
                continue;
            }
            self.spares.note_write(now);
            self.cut(ops);
        }
    }

    fn cut(&mut self, ops: &mut Vec<DiskOp>) {
        let bytes = self.writer.front().expect("the caller saw one").block_bytes();
        let block = self.blocks.take(bytes).expect("the pool has no limit");
        let segment = self.segments.active();
        let place = Place { segment: segment.header, position: segment.end, life: self.nonce };
        let mut cut = self.writer.cut(place, block);
        let (header, block) = (cut.tail.header, &cut.tail.block);
        debug_assert_eq!(block.len(), header.block as usize);
        debug_assert!(table_end(header.count as usize) <= block.len());
        let count = header.count as usize;
        let found = (0..count).filter(|n| cut.replaced.binary_search(n).is_err());
        let lines = found.map(|n| (n, Descriptor::decode(&header, block, n).expect("encoded here")));
        self.extents.clear();
        extents_of(&header, lines, &mut self.extents);
        cut.tail.is_read = self.extents.iter().any(|extent| !self.unread.contains(&extent.group));
        segment.take(&header, self.writer.cut_mark().1, &self.extents, &mut self.directory);
        ops.push(DiskOp {
            tag: Job::Batch(header.seq).tag(),
            kind: DiskKind::Write {
                file: place.segment.slot.file(),
                at: u64::from(header.position),
                runs: cut.runs,
                durable: true,
            },
        });
        self.tail.push(cut.tail);
        self.stats.batches += 1;
        self.stats.entries += count as u64;
        self.stats.bytes += u64::from(header.total);
        self.stats.payload_bytes += cut.payload_bytes as u64;
        self.stats.gathered_bytes += cut.gathered_bytes as u64;
    }

    /// After a pause, an empty batch says that the last ones are durable.
    fn vouch(&mut self, now: Now) {
        if self.settings.idle_seal_ms == 0 || !self.writer.needs_mark() {
            self.idle_at = None;
            return;
        }
        let at = *self.idle_at.get_or_insert(now.mono.plus_ms(self.settings.idle_seal_ms));
        if now.mono >= at {
            self.idle_at = None;
            self.writer.mark();
        }
    }

    fn free_dead(&mut self) {
        if self.freeable.is_empty() {
            return;
        }
        let (reader, segments, spares) = (&mut self.reader, &mut self.segments, &mut self.spares);
        let cleaner = &mut self.cleaner;
        self.freeable.retain(|&id| {
            if reader.reads_from(id) || cleaner.pins(id) {
                return true;
            }
            let segment = segments.remove(id).expect("dead, not gone");
            reader.forget(id);
            spares.recycle(segment.header.slot, segment.header.bytes);
            cleaner.freed(id, segment.header.bytes);
            false
        });
        self.note_change();
    }

    /// What is alive, or where it lies, has changed.
    fn note_change(&mut self) {
        self.stale_wish = true;
        self.cleaner.changed();
    }

    /// Makes files, and copies forward what outlives its segment.
    fn clean(&mut self, now: Now, ops: &mut Vec<DiskOp>, out: &mut Vec<Outcome>) {
        self.cleaner_parts(now, ops, out, |cleaner, parts| cleaner.turn(parts));
        self.spares.turn(now, ops);
        if self.spares.has_cold() {
            self.cleaner_parts(now, ops, out, |cleaner, parts| cleaner.turn(parts));
        }
    }

    fn cleaned(
        &mut self,
        now: Now,
        number: u64,
        result: Result<DiskOk, DiskError>,
        ops: &mut Vec<DiskOp>,
        out: &mut Vec<Outcome>,
    ) {
        if matches!(self.life, Life::Fenced(_)) {
            return;
        }
        let taken = self.cleaner_parts(now, ops, out, |cleaner, parts| cleaner.on_disk(number, result, parts));
        if let Err(error) = taken {
            self.fence_for(error, out);
        }
    }

    fn cleaner_parts<T>(
        &mut self,
        now: Now,
        ops: &mut Vec<DiskOp>,
        out: &mut Vec<Outcome>,
        act: impl FnOnce(&mut Cleaner, &mut cleaner::Parts<'_>) -> T,
    ) -> T {
        // What no checkpoint has behind it may be read by recovery; what is in the tail is served best from there.
        let published = self.published();
        let before = self.tail.oldest_segment().map_or(published, |tail| tail.min(published));
        let (directory, segments, spares) = (&mut self.directory, &mut self.segments, &mut self.spares);
        let emptied = directory.swaps();
        let mut parts = cleaner::Parts { now, directory, segments, spares, before, published, ops, out };
        let done = act(&mut self.cleaner, &mut parts);
        if self.directory.swaps() != emptied {
            self.stale_wish = true;
            for group in self.directory.take_replaced() {
                self.reader.truncate(group, Index(0));
            }
        }
        done
    }

    /// When [`Wal::turn`] is due at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        match self.life {
            Life::Running => {
                let parts = [self.spares.deadline(), self.cleaner.deadline(), self.reader.deadline()];
                parts.into_iter().chain([self.idle_at]).flatten().min()
            }
            _ => None,
        }
    }

    /// True while a batch is in flight.
    pub fn flushing(&self) -> bool {
        self.writer.in_flight() > 0
    }

    /// All batches up to this one have been handed to the disk.
    pub fn written(&self) -> BatchSeq {
        BatchSeq(self.writer.cut_mark().0.get() - 1)
    }

    /// All batches up to this one are on stable storage.
    pub fn durable(&self) -> BatchSeq {
        self.writer.durable()
    }

    /// What the log can do at the moment.
    pub fn state(&self) -> State {
        match &self.life {
            Life::New | Life::Recovering(_) | Life::FirstSegment => State::Recovering,
            Life::Running if self.spares.is_full() => State::Full,
            Life::Running => State::Running,
            Life::Fenced(why) => State::Fenced(why.clone()),
        }
    }

    /// True if producers' entries of together `bytes` may be appended now.
    pub fn admits(&self, bytes: usize) -> bool {
        let queued = self.writer.queued_bytes();
        let fits = queued == 0 || queued.saturating_add(bytes) <= QUEUE_BYTES_MAX;
        matches!(self.life, Life::Running) && !self.spares.is_full() && fits
    }

    /// Reads entries of a group from `from` up to index `upto` (included), about `max_bytes` of them, at least one.
    pub fn read(
        &mut self,
        group: GroupId,
        from: From,
        upto: Index,
        max_bytes: usize,
        claim: Claim,
        ops: &mut Vec<DiskOp>,
    ) -> Read {
        let goal = Goal::Entries { from, upto, max_bytes, asked: false };
        match self.reader.read(sources!(self), group, goal, claim, ops) {
            Answer::Ready(items) => Read::Ready(items),
            Answer::Released => Read::Released,
            Answer::Pending(id) => Read::Pending(id),
            Answer::NoRoom => Read::NoRoom,
        }
    }

    /// Whether somebody reads what was just written of a group, as everybody does of whom nothing else is said. If nobody does,
    /// it does not stay in the memory that it was written from: whoever does read it reads the disk.
    pub fn note_readers(&mut self, group: GroupId, are_there: bool) {
        if are_there {
            self.unread.remove(&group);
        } else {
            self.unread.insert(group);
        }
    }

    /// True if an entry is in the memory that it was written from, or is not written yet.
    pub fn is_recent(&self, group: GroupId, index: Index) -> bool {
        let Some(known) = self.directory.group(group) else { return true };
        let Some(run) = known.runs.get(known.runs.partition_point(|run| run.last_index < index)) else { return true };
        let Some(of) = self.segments.get(run.segment).and_then(|segment| segment.index.as_ref()) else { return false };
        let extents = of.of(group);
        let extent = extents.get(extents.partition_point(|extent| extent.last_index() < index));
        extent.is_none_or(|extent| self.tail.get(run.segment, extent.batch).is_some())
    }

    /// True if more than half of the memory for reads is in use: what holds it for nothing should let go.
    pub fn reads_are_tight(&self) -> bool {
        self.reader.is_tight()
    }

    /// Bytes of memory that hold what was read from disk, and what of that is only kept for later.
    pub fn read_memory(&self) -> (usize, usize) {
        self.reader.memory_used()
    }

    /// The first entry up to index `upto` that ends behind the offset `behind` and whose largest timestamp is at least
    /// `ts`. `turn`: see [`Claim`].
    pub fn find_timestamp(
        &mut self,
        group: GroupId,
        ts: i64,
        (behind, upto): (Offset, Index),
        turn: u64,
        ops: &mut Vec<DiskOp>,
    ) -> Find {
        self.find(group, Goal::Time { ts, from: Index(1), through: Index(0), behind, upto }, turn, ops)
    }

    /// The first of the entries with the largest timestamp of those up to index `upto` that end behind the offset
    /// `behind`; none if no entry has a timestamp.
    pub fn find_max_timestamp(
        &mut self,
        group: GroupId,
        (behind, upto): (Offset, Index),
        turn: u64,
        ops: &mut Vec<DiskOp>,
    ) -> Find {
        self.find(group, Goal::MaxTime { behind, upto, best: None, seen: Seen::default() }, turn, ops)
    }

    fn find(&mut self, group: GroupId, goal: Goal, turn: u64, ops: &mut Vec<DiskOp>) -> Find {
        match self.reader.read(sources!(self), group, goal, Claim { share: Share::All, turn }, ops) {
            Answer::Ready(items) => Find::Ready(items.into_iter().next()),
            Answer::Released => Find::Ready(None),
            Answer::Pending(id) => Find::Pending(id),
            Answer::NoRoom => panic!("a search waits for memory"),
        }
    }

    /// Nobody waits for this search any more: it ends where it is, without an outcome.
    pub fn cancel_find(&mut self, id: ReadId) {
        self.reader.cancel_search(id);
    }

    /// The first entry of the group that is not dead; the one after the last if all are. `None`: unknown group.
    pub fn first_index(&self, group: GroupId) -> Option<Index> {
        self.directory.group(group).map(|g| g.first)
    }

    /// The newest entry of the group that was appended. `None`: unknown group.
    pub fn last_index(&self, group: GroupId) -> Option<Index> {
        self.directory.group(group).map(|g| g.last)
    }

    /// The offset behind the group's newest entry. `None`: unknown group.
    pub fn end_offset(&self, group: GroupId) -> Option<Offset> {
        self.directory.group(group).map(|g| g.end_offset)
    }

    /// All groups that the log knows.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.directory.groups().map(|(id, _)| id)
    }

    /// Entries of the group below `below` are dead. Not durable by itself: the next checkpoint says it.
    pub fn release(&mut self, group: GroupId, below: Index) {
        self.directory.release(group, below);
        self.note_change();
    }

    /// Entries of the group from `from` on, behind the offset `end_offset`, were never there: nothing of them is whole. To be
    /// said after recovery; what follows in the log says it on the disk.
    pub fn take_back(&mut self, group: GroupId, from: Index, end_offset: Offset) {
        self.reader.truncate(group, from);
        self.directory.cut(group, from, end_offset);
        self.note_change();
    }

    /// All entries of the group are dead; its log begins anew with the next one, whatever the index of that is.
    pub fn restart_group(&mut self, group: GroupId) {
        self.writer.replace(group, Index(1));
        self.drop_group(group);
    }

    /// All entries of the group are dead. The next checkpoint says it; before that, if it comes again, [`crate::Kind::ANEW`].
    pub fn drop_group(&mut self, group: GroupId) {
        self.directory.drop_group(group);
        self.cleaner.forget(group);
        self.reader.truncate(group, Index(0));
        self.note_change();
    }

    /// Payload bytes of the group on disk.
    pub fn group_bytes(&self, group: GroupId) -> u64 {
        self.directory.runs(group).iter().map(|run| run.bytes).sum()
    }

    /// The groups with entries in segments that were filled since this was last asked: what they hold has grown by a
    /// run.
    pub fn take_filled(&mut self) -> Vec<GroupId> {
        std::mem::take(&mut self.filled)
    }

    /// One run per segment that holds entries of the group, oldest first. What waits for its batch is not among them.
    pub fn runs(&self, group: GroupId) -> &[Run] {
        self.directory.runs(group)
    }

    /// True if a checkpoint would shorten recovery by a segment, free one, or tell that a log that was closed goes on.
    pub fn wants_checkpoint(&self) -> bool {
        self.wants_checkpoint && self.checkpoint.is_none() && matches!(self.life, Life::Running)
    }

    fn checkpoint_is_due(&self) -> bool {
        self.closed || self.segments.scan_start().header.segment > self.checkpointed || !self.dead_segments().is_empty()
    }

    /// Segments that recovery from a checkpoint of now would not need.
    fn dead_segments(&self) -> Vec<SegmentId> {
        let scan = self.segments.scan_start().header.segment;
        let described = self.segments.described(scan).map(|(id, _)| id);
        let is_dead = |id: &SegmentId| self.directory.is_dead(*id) && self.cleaner.publishing() != Some(*id);
        described.filter(|id| is_dead(id) && !self.freeable.contains(id)).collect()
    }

    /// Closes the open batch. Returns the log's section of a checkpoint that contains the effect of everything appended
    /// so far, and the batch that must be durable before that checkpoint may be published. `closing`: nothing is appended
    /// any more, and the next recovery need not look whether something is missing.
    pub fn begin_checkpoint(&mut self, closing: bool) -> (Vec<u8>, BatchSeq) {
        assert!(matches!(self.life, Life::Running), "a checkpoint of a running log");
        let last = self.writer.close();
        self.closing |= closing;
        let scan = self.segments.scan_start();
        let (scan_first, scan_chain, scan) = (scan.first, scan.first_chain, scan.header.segment);
        let alive = self.segments.described(scan).filter(|(id, _)| !self.directory.is_dead(*id));
        let footers = alive.map(|(id, s)| (id, s.footer().expect("before the scan all have one"))).collect();
        let groups = self.directory.groups().map(|(id, group)| {
            let mut group = group.clone();
            group.runs.retain(|run| run.segment < scan || is_cold(run.segment));
            (id, group)
        });
        let groups = groups.collect();
        let section = Section { next: last.next(), scan, scan_first, scan_chain, closed: closing, footers, groups };
        self.checkpoint = Some(Checkpoint { dead: self.dead_segments(), before: self.checkpointed });
        self.checkpointed = scan;
        (section.encode(), last)
    }

    /// The checkpoint begun last is published: what was dead when it began can be reused.
    pub fn checkpoint_published(&mut self) {
        let checkpoint = self.checkpoint.take().expect("a checkpoint was begun");
        self.closed = false;
        self.freeable.extend(checkpoint.dead);
        self.free_dead();
        self.note_change();
    }

    /// False while files are half made, or on their way out for want of a header. Only asked after a checkpoint that closes.
    pub fn is_settled(&self) -> bool {
        !matches!(self.life, Life::Running) || !self.closing || self.spares.is_settled()
    }

    /// The checkpoint begun last will not be published, or nobody knows: another one is wanted, and nothing is freed.
    pub fn checkpoint_failed(&mut self) {
        let checkpoint = self.checkpoint.take().expect("a checkpoint was begun");
        self.checkpointed = checkpoint.before;
        self.stale_wish = true;
    }

    /// Begins a compaction, if the cleaner has nothing else to do: parts of groups' logs are replaced by what the caller
    /// says is left of them. It lasts until [`Outcome::Compacted`], which follows [`Wal::end_compaction`] or comes before.
    pub fn begin_compaction(&mut self) -> bool {
        matches!(self.life, Life::Running) && !self.spares.is_full() && self.cleaner.begin_compaction(false)
    }

    /// The same with entries that take the place of damaged ones, all that were there, and with nothing else: nothing is compacted
    /// by that, and all else of their groups stays as it is.
    pub fn begin_mending(&mut self) -> bool {
        matches!(self.life, Life::Running) && !self.spares.is_full() && self.cleaner.begin_compaction(true)
    }

    /// True if entries of a group, from `first` to `last`, can be mended now. If not, recovery may come by where they lie: they
    /// can be once a checkpoint is published, but for what lies in the segment that is being filled ([`Wal::seal`]).
    pub fn may_mend(&self, group: GroupId, first: Index, last: Index) -> bool {
        self.directory.may_mend(group, first, last, self.published())
    }

    /// Of these entries some lie in the segment that is being filled: what is appended next goes into another one.
    pub fn seal(&mut self, group: GroupId, first: Index, last: Index) -> bool {
        let filling = self.filling();
        let seals = self.directory.spanned(group, first, last).iter().any(|run| run.segment == filling);
        if seals {
            self.segments.active().closed = true;
        }
        seals
    }

    /// Where recovery from the last published checkpoint begins.
    fn published(&self) -> SegmentId {
        self.checkpoint.as_ref().map_or(self.checkpointed, |begun| begun.before)
    }

    /// What the compaction wants now.
    pub fn compacting(&self, now: Mono) -> Compacting {
        if matches!(self.life, Life::Running) { self.cleaner.compacting(now) } else { Compacting::Nothing }
    }

    /// When it may want parts again, if it is only the pace that keeps it.
    pub fn compaction_due(&self) -> Option<Mono> {
        self.cleaner.compaction_due()
    }

    /// True if a segment should be sorted before these many groups, which all have something there, are compacted: they lie between
    /// others' entries, so that each of them would bring most of the segment from the disk, together more than all of a segment. As long
    /// as it is being filled it cannot be.
    pub fn wants_sorting(&self, segment: SegmentId, readers: u64, now: Mono) -> bool {
        let sortable = |known: &&Segment| !is_cold(segment) && known.header.bytes <= self.settings.segment_bytes;
        let Some(known) = self.segments.get(segment).filter(sortable) else { return false };
        let live = self.directory.live(segment);
        let filled = if known.footer().is_some() { known.header.bytes } else { u64::from(known.end) };
        readers.saturating_mul(filled) > self.settings.segment_bytes
            && lies_in_pieces(&live, known.extents())
            && self.cleaner.may_sort(segment, &live, now)
    }

    /// These are to be sorted as soon as they can be, and no others before their time.
    pub fn sort(&mut self, segments: BTreeSet<SegmentId>) {
        self.cleaner.sort(segments);
    }

    /// How long what can wait for a segment to be sorted waits at most.
    pub fn sorts_after_ms(&self) -> u64 {
        self.settings.cleaner.sort_after_ms
    }

    /// Hands over what is left of a part of a group's log, whose entries are all durable: `items`, in order, each with the
    /// index, term, kind and offsets that it has. Of one compaction each group's parts follow one another, and of the last
    /// one's last entry something is left: where it ends no run is of gaps alone.
    pub fn compact(&mut self, part: &Part, items: Vec<Item>) {
        assert!(part.first_index <= part.last_index && part.first_offset <= part.end_offset, "{part:?}");
        self.cleaner.put_part(part, items);
    }

    /// [`Wal::read`] for the compaction: what the disk has to bring for it counts in the cleaner's pace.
    pub fn read_to_compact(
        &mut self,
        group: GroupId,
        (from, upto): (Index, Index),
        max_bytes: usize,
        claim: Claim,
        ops: &mut Vec<DiskOp>,
    ) -> Read {
        self.reader.compacts(Some(group));
        self.read(group, From::Index(from), upto, max_bytes, claim, ops)
    }

    /// A read of `bytes` for the compaction is over. What the disk brought along, of batches that many groups share and of footers, can be
    /// many times that.
    pub fn charge_compaction(&mut self, now: Mono, bytes: u64) {
        self.cleaner.charge(now, bytes.max(self.reader.take_compaction_bytes()));
    }

    /// All parts have been handed over (`whole`), or no more will be.
    pub fn end_compaction(&mut self, whole: bool) {
        self.reader.compacts(None);
        self.cleaner.end_compaction(whole);
    }

    /// Entries of the group below have been compacted; 0 if none ever was.
    pub fn compacted(&self, group: GroupId) -> Index {
        self.directory.group(group).map_or(Index(0), |g| g.compacted)
    }

    /// Another number than before if compaction has put what is left of parts of the group's log in their place since: who looks
    /// for something there over several turns may have passed over it.
    pub fn compacted_at(&self, group: GroupId) -> u64 {
        self.directory.replaced_at(group)
    }

    /// The segment that is being filled: its runs still grow. Of a running log.
    pub fn filling(&self) -> SegmentId {
        *self.segments.by_id.last_key_value().expect("a running log has an active segment").0
    }

    /// Counters and present state.
    pub fn stats(&self) -> Stats {
        let ids = || self.segments.by_id.keys().chain(self.segments.cold.keys());
        let mut stats = Stats {
            segments: ids().count() as u64,
            spares: self.spares.prepared() as u64,
            dead_segments: ids().filter(|id| self.directory.is_dead(**id)).count() as u64,
            cold_segments: self.segments.cold.len() as u64,
            live_bytes: self.directory.live_bytes(),
            free_bytes: self.spares.free_bytes(),
            in_flight: self.writer.in_flight() as u64,
            queued_bytes: self.writer.queued_bytes() as u64,
            tail_bytes: self.tail.memory() as u64,
            vouched: self.writer.vouched(),
            ..self.stats.clone()
        };
        self.cleaner.add_to(&mut stats);
        self.reader.count_into(&mut stats);
        stats
    }
}
