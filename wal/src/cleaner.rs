//! The cleaner: copies what outlives its segment forward, so that the segment can be freed, and sorts it on the way.
//!
//! A pass takes some victims, all of them sealed and in front of what recovery reads. What is alive in them goes, in
//! order of group and index, into **cold segments**: files of the usual format that are in no chain. An output is
//! written, flushed once, and gets its footer; only then the groups' runs that it replaces are swapped in memory, and the
//! next checkpoint says so. Until that is published the victims stay as they are: after a crash the checkpoint names
//! them and not the output, which is then a file to be recycled. So nothing has to be undone, and at most the outputs
//! since the last checkpoint are written again.
//!
//! Readers find entries in cold segments as in any other. One operation is under way at a time, in the pace that is set.

use crate::cleaner_choice::{Candidate, Look, Reason, Room, look};
use crate::cleaner_output::Output;
use crate::cleaner_slice::{Piece, Planned, Planner, Slice, Victim};
use crate::compaction::Compaction;
use crate::directory::{Directory, Live};
use crate::error::WalError;
use crate::footers::Loading;
use crate::outcome::{Outcome, Stats};
use crate::segment::{Header, Slot, cold_segment};
use crate::segments::{Segments, footed};
use crate::settings::{CleanerSettings, WalSettings};
use crate::spares::{Cold, Spares, header_write};
use crate::tags::Job;
use std::collections::{BTreeMap, BTreeSet};
use torc_base::buf::{Buf, Pool};
use torc_base::ids::SegmentId;
use torc_base::io::{DiskError, DiskKind, DiskOk, DiskOp, Level};
use torc_base::prng::Prng;
use torc_base::time::{Mono, Now};

#[path = "cleaner_compaction.rs"]
mod compacting;

/// From one look at all segments to the next, at least, and a millisecond more for so many segments.
const LOOK_MS: u64 = 50;
const LOOK_SEGMENTS: u64 = 8;
/// From a pass that found no room, or a victim that cannot be read, to the next look.
const RETRY_MS: u64 = 1000;
/// After a pass that found no room nothing waits for it for so long.
const SHORT_MS: u64 = 60_000;
/// One write: a batch that comes to the disk meanwhile waits for no more.
const WRITE_BYTES: usize = 256 << 10;
/// With less room than so many files the pace is not kept: it must not be what fills the disk.
const SHORT_FILES: u64 = 4;
/// The same if what is dead is so many files more than what is alive, then with this many times the pace.
const BEHIND_FILES: u64 = 16;
const BEHIND_PACE: u64 = 4;
/// Extents planned in one turn, and runs swapped: less than a millisecond's work.
const STEPS: usize = 2048;
const SWAPS: usize = 256;
/// What a turn may take before it counts as one that goes round.
const TURN_STEPS_MAX: usize = 1 << 20;
/// Memory that is kept from one read or batch to the next.
const KEEP_BYTES: usize = 4 << 20;

/// The parts of the log that the cleaner works on.
pub(crate) struct Parts<'a> {
    pub(crate) now: Now,
    pub(crate) directory: &'a mut Directory,
    pub(crate) segments: &'a mut Segments,
    pub(crate) spares: &'a mut Spares,
    /// Log segments from here on are not touched: recovery may read them, or they are in memory.
    pub(crate) before: SegmentId,
    /// Those from here on may be read by recovery.
    pub(crate) published: SegmentId,
    pub(crate) ops: &'a mut Vec<DiskOp>,
    pub(crate) out: &'a mut Vec<Outcome>,
}

#[derive(Debug)]
enum Phase {
    Idle,
    /// There is something to do; free space was asked for.
    Asking,
    Pass(Box<Pass>),
    /// What compaction leaves is being written.
    Compaction(Box<Compaction>),
}

/// What a pass does next, or waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Reads the victims' footers, piece by piece.
    Footers,
    /// Looks for what is alive.
    Plan,
    /// Reads it.
    Read,
    /// Writes it.
    Write,
    /// Waits for a file to write to.
    File,
    /// Flushes the output, writes its footer, and lets readers find it.
    Sync,
    Footer,
    Publish,
}

/// A pass under way.
#[derive(Debug)]
struct Pass {
    reason: Reason,
    /// The numbers of the victims, and those whose footers have been read, in the same order.
    ids: Vec<SegmentId>,
    victims: Vec<Victim>,
    /// The footer that is being read.
    footer: Option<Loading>,
    planner: Planner,
    slice: Slice,
    /// The read under way.
    piece: Option<Piece>,
    /// The slice's first entry that is not in an output.
    next: usize,
    /// Nothing is left to plan.
    exhausted: bool,
    output: Option<Output>,
    /// The batch that is being written: its position, and what of it has not been written.
    block: Option<(u32, Buf)>,
    /// Pieces of the output that readers find there.
    published: usize,
    outputs: Vec<SegmentId>,
    step: Step,
}

/// How a pass goes on.
#[derive(Debug)]
enum Next {
    Again,
    /// For a completion, a moment, or a file.
    Wait,
    /// Something is left that takes only time of this core.
    Yield,
    Done,
    /// It ends here; what it has published stays.
    GiveUp,
}

/// See the module.
pub(crate) struct Cleaner {
    settings: CleanerSettings,
    segment_bytes: u64,
    reserve_bytes: u64,
    prng: Prng,
    life: u64,
    /// Number of the next output.
    next_cold: u64,
    pool: Pool,
    phase: Phase,
    /// The operation under way.
    under_way: Option<u64>,
    numbers: u64,
    /// No operation starts before.
    pace: Mono,
    hurry: u64,
    /// When to look at the segments again; something changed since the last look.
    look_at: Option<Mono>,
    next_look: Mono,
    changed: bool,
    /// There is work for the next turn, which can come at once.
    busy: Option<Mono>,
    /// When log segments were first seen with footers.
    since: BTreeMap<SegmentId, Mono>,
    /// What lived in segments when copying them gave nothing back.
    futile: BTreeMap<SegmentId, u64>,
    /// They could not be read.
    damaged: BTreeSet<SegmentId>,
    /// To be sorted at once.
    hurried: BTreeSet<SegmentId>,
    /// When it last asked there was no room to sort anything: it may be so until then.
    short_until: Mono,
    /// Emptied, and not freed yet.
    emptied: BTreeSet<SegmentId>,
    /// A file was made of the reserve, and nothing has been freed since.
    borrowed: bool,
    passes: u64,
    read_bytes: u64,
    written_bytes: u64,
    freed_bytes: u64,
    waiting: u64,
    compactions: u64,
}

impl Cleaner {
    pub(crate) fn new(settings: &WalSettings) -> Cleaner {
        Cleaner {
            settings: settings.cleaner,
            segment_bytes: settings.segment_bytes,
            reserve_bytes: settings.reserve_bytes,
            prng: Prng::new(0),
            life: 0,
            next_cold: 1,
            pool: Pool::new(usize::MAX, KEEP_BYTES),
            phase: Phase::Idle,
            under_way: None,
            numbers: 0,
            pace: Mono(0),
            hurry: 1,
            look_at: None,
            next_look: Mono(0),
            changed: true,
            busy: None,
            since: BTreeMap::new(),
            futile: BTreeMap::new(),
            damaged: BTreeSet::new(),
            hurried: BTreeSet::new(),
            short_until: Mono(0),
            emptied: BTreeSet::new(),
            borrowed: false,
            passes: 0,
            read_bytes: 0,
            written_bytes: 0,
            freed_bytes: 0,
            waiting: 0,
            compactions: 0,
        }
    }

    /// Where salts come from in this life, and the life's number for batch headers.
    pub(crate) fn reseed(&mut self, prng: Prng, life: u64) {
        (self.prng, self.life) = (prng, life);
    }

    /// The numbers of cold segments go on behind this one.
    pub(crate) fn resume(&mut self, last_cold: u64) {
        self.next_cold = last_cold + 1;
    }

    /// Something was sealed, died, or was freed.
    pub(crate) fn changed(&mut self) {
        self.changed = true;
    }

    /// Compaction waits for these segments: they are sorted before their time, if they may be.
    pub(crate) fn sort(&mut self, segments: BTreeSet<SegmentId>) {
        self.changed |= !segments.is_subset(&self.hurried);
        self.hurried = segments;
    }

    /// True if a segment with so much in it, of which all else speaks for it, may be sorted in a while.
    pub(crate) fn may_sort(&self, id: SegmentId, live: &Live, now: Mono) -> bool {
        self.settings.enabled
            && now >= self.short_until
            && !self.damaged.contains(&id)
            && !is_futile(&self.futile, id, live)
    }

    /// True if the segment's file must stay as it is.
    pub(crate) fn pins(&self, id: SegmentId) -> bool {
        matches!(&self.phase, Phase::Pass(pass) if pass.ids.contains(&id))
    }

    /// The output whose entries are just being made known: it may look dead, and is not.
    pub(crate) fn publishing(&self) -> Option<SegmentId> {
        match &self.phase {
            Phase::Pass(pass) if pass.step == Step::Publish => pass.output.as_ref().map(Output::segment),
            Phase::Compaction(compaction) => compaction.publishing(),
            _ => None,
        }
    }

    /// A segment's file was freed.
    pub(crate) fn freed(&mut self, id: SegmentId, bytes: u64) {
        if self.emptied.remove(&id) {
            self.freed_bytes += bytes;
            self.borrowed = false;
        }
        self.since.remove(&id);
        self.futile.remove(&id);
        self.damaged.remove(&id);
        self.hurried.remove(&id);
    }

    pub(crate) fn deadline(&self) -> Option<Mono> {
        if self.rests() || self.under_way.is_some() {
            return None;
        }
        match &self.phase {
            _ if self.busy.is_some() => self.busy,
            Phase::Idle => self.look_at,
            Phase::Pass(pass) if pass.step != Step::File => Some(self.pace),
            Phase::Compaction(compaction) if compaction.has_work() => Some(self.pace),
            // The file's own operations wake the log, or whoever hands parts over.
            Phase::Asking | Phase::Pass(_) | Phase::Compaction(_) => None,
        }
    }

    pub(crate) fn add_to(&self, stats: &mut Stats) {
        stats.cleaner_passes = self.passes;
        stats.cleaner_read_bytes = self.read_bytes;
        stats.cleaner_written_bytes = self.written_bytes;
        stats.cleaner_freed_bytes = self.freed_bytes;
        stats.cleaner_waiting = self.waiting;
        stats.compactions = self.compactions;
    }

    /// Does what can be done now.
    pub(crate) fn turn(&mut self, parts: &mut Parts<'_>) {
        self.busy = None;
        if self.rests() {
            return;
        }
        let mut steps = 0;
        while self.under_way.is_none() {
            steps += 1;
            assert!(steps < TURN_STEPS_MAX, "a turn of the cleaner does not end");
            match std::mem::replace(&mut self.phase, Phase::Idle) {
                Phase::Idle if self.rests() || !self.look_is_due(parts.now.mono) => return,
                Phase::Idle => {
                    if self.look(parts, u64::MAX).choice.is_none() {
                        return;
                    }
                    self.phase = Phase::Asking;
                    self.ask(DiskKind::Free, parts);
                }
                Phase::Asking => panic!("an answer is under way"),
                Phase::Compaction(mut compaction) => match self.compact(&mut compaction, parts) {
                    Next::Again => self.phase = Phase::Compaction(compaction),
                    Next::Wait => return self.phase = Phase::Compaction(compaction),
                    Next::Yield => {
                        self.busy = Some(parts.now.mono);
                        return self.phase = Phase::Compaction(compaction);
                    }
                    Next::Done => self.compacted(&compaction, !compaction.cut_short, parts),
                    Next::GiveUp => self.drop_compaction(*compaction, parts),
                },
                Phase::Pass(mut pass) => match self.advance(&mut pass, parts) {
                    Next::Again => self.phase = Phase::Pass(pass),
                    Next::Wait => return self.phase = Phase::Pass(pass),
                    Next::Yield => {
                        self.busy = Some(parts.now.mono);
                        return self.phase = Phase::Pass(pass);
                    }
                    Next::Done => self.end(*pass, parts),
                    Next::GiveUp => self.give_up(*pass, parts),
                },
            }
        }
    }

    /// True if it is to do nothing, and is not asked to mend anything.
    fn rests(&self) -> bool {
        !self.settings.enabled && !matches!(self.phase, Phase::Compaction(_))
    }

    fn look_is_due(&mut self, now: Mono) -> bool {
        if std::mem::take(&mut self.changed) {
            let next = now.max(self.next_look);
            self.look_at = Some(self.look_at.map_or(next, |at| at.min(next)));
        }
        self.look_at.is_some_and(|at| at <= now)
    }

    /// Looks at all segments. `free`: bytes of the file system.
    fn look(&mut self, parts: &Parts<'_>, free: u64) -> Look {
        let now = parts.now.mono;
        let candidates: Vec<Candidate> = parts
            .segments
            .described(parts.before)
            .filter(|(id, s)| !self.damaged.contains(id) && s.header.bytes <= self.segment_bytes)
            .filter_map(|(id, s)| {
                let live = parts.directory.live(id);
                let since = *self.since.entry(id).or_insert(now);
                (live.runs > 0 && !is_futile(&self.futile, id, &live)).then_some(Candidate {
                    id,
                    file_bytes: s.header.bytes,
                    footer_bytes: s.footer()?,
                    live,
                    full: s.full,
                    since,
                    hurried: self.hurried.contains(&id),
                })
            })
            .collect();
        let above = free.saturating_sub(self.reserve_bytes);
        let files = above / self.segment_bytes;
        // Asked for, not assumed: the reserve is whole again.
        self.borrowed &= free == u64::MAX || files == 0;
        let room = Room { files, short: files < SHORT_FILES || parts.spares.is_full() };
        let look = look(&candidates, &self.settings, self.segment_bytes, now, room);
        let segments = parts.segments.by_id.len() as u64 + parts.segments.cold.len() as u64;
        let behind = parts.directory.live_bytes() + BEHIND_FILES * self.segment_bytes;
        self.hurry = match look.garbage > behind {
            _ if room.short => u64::MAX,
            true => BEHIND_PACE,
            false => 1,
        };
        self.next_look = now.plus_ms(LOOK_MS + segments / LOOK_SEGMENTS);
        self.waiting = look.waiting;
        self.look_at = look.again.map(|at| at.max(self.next_look));
        look
    }

    fn begin(&mut self, free: u64, parts: &Parts<'_>) {
        let Some((reason, mut ids)) = self.look(parts, free).choice else {
            // What there is to do needs more room than there is.
            self.short_until = parts.now.mono.plus_ms(SHORT_MS);
            self.next_look = parts.now.mono.plus_ms(RETRY_MS);
            self.look_at = Some(self.next_look);
            return;
        };
        ids.sort_unstable();
        self.phase = Phase::Pass(Box::new(Pass {
            reason,
            ids,
            victims: Vec::new(),
            footer: None,
            planner: Planner::default(),
            slice: Slice::default(),
            piece: None,
            next: 0,
            exhausted: false,
            output: None,
            block: None,
            published: 0,
            outputs: Vec::new(),
            step: Step::Footers,
        }));
    }

    fn ask(&mut self, kind: DiskKind, parts: &mut Parts<'_>) {
        let bytes = match &kind {
            DiskKind::Read { bytes, .. } => {
                self.read_bytes += bytes.len() as u64;
                bytes.len() as u64
            }
            DiskKind::Write { runs, .. } => {
                let bytes = runs.iter().map(|run| run.len() as u64).sum();
                self.written_bytes += bytes;
                bytes
            }
            _ => 0,
        };
        self.pace_for(parts.now.mono, bytes);
        self.numbers += 1;
        self.under_way = Some(self.numbers);
        parts.ops.push(DiskOp { tag: Job::Clean(self.numbers).tag(), kind });
    }

    /// So many bytes take their time.
    fn pace_for(&mut self, now: Mono, bytes: u64) {
        let per_second = self.settings.bytes_per_second.saturating_mul(self.hurry);
        let takes = u128::from(bytes) * 1_000_000_000 / u128::from(per_second);
        self.pace = Mono(self.pace.max(now).0.saturating_add(takes as u64));
    }

    /// Takes the next step that is possible.
    fn advance(&mut self, pass: &mut Pass, parts: &mut Parts<'_>) -> Next {
        let works = matches!(pass.step, Step::Footers | Step::Read | Step::Write | Step::Sync | Step::Footer);
        if works && parts.now.mono < self.pace && !parts.spares.is_full() {
            return Next::Wait;
        }
        match pass.step {
            Step::Footers => self.read_footer(pass, parts),
            Step::Plan => self.plan(pass, parts),
            Step::Read => {
                let Some(piece) = pass.slice.next_piece() else {
                    pass.slice.complete();
                    pass.step = Step::Write;
                    return Next::Again;
                };
                let bytes = self.pool.take((piece.end - piece.start) as usize).expect("the pool has no limit");
                let file = pass.victims[piece.victim].header.slot.file();
                self.ask(DiskKind::Read { file, at: piece.start, bytes }, parts);
                pass.piece = Some(piece);
                Next::Again
            }
            Step::Write => self.write(pass, parts),
            Step::File => self.open_output(pass, parts),
            Step::Sync => {
                let file = pass.output.as_ref().expect("there is one to be flushed").header.slot.file();
                self.ask(DiskKind::Sync { file }, parts);
                Next::Again
            }
            Step::Footer => {
                let write = pass.output.as_mut().expect("it was flushed").write_footer(&self.pool);
                self.ask(write, parts);
                Next::Again
            }
            Step::Publish => self.publish(pass, parts),
        }
    }

    fn read_footer(&mut self, pass: &mut Pass, parts: &mut Parts<'_>) -> Next {
        let Some(&id) = pass.ids.get(pass.victims.len()) else {
            pass.step = Step::Plan;
            return Next::Again;
        };
        let footer = pass.footer.get_or_insert_with(|| {
            let segment = parts.segments.get(id).expect("a victim is pinned");
            let length = segment.footer().expect("victims have footers");
            let memory = self.pool.take(length as usize).expect("the pool has no limit");
            Loading::new(segment.header, segment.known_end(), memory)
        });
        let read = footer.next(&self.pool);
        self.ask(read, parts);
        Next::Again
    }

    fn plan(&mut self, pass: &mut Pass, parts: &mut Parts<'_>) -> Next {
        match pass.slice.plan(&mut pass.planner, &mut pass.victims, parts.directory, STEPS) {
            Err((victim, error)) => return self.leave_alone(pass.ids[victim], &error, parts),
            Ok(Planned::Going) => return Next::Yield,
            Ok(Planned::Full) => {}
            Ok(Planned::Exhausted) => pass.exhausted = true,
        }
        if pass.slice.is_empty() {
            pass.step = Step::Write;
        } else {
            pass.slice.prepare(&self.pool);
            pass.step = Step::Read;
        }
        Next::Again
    }

    fn write(&mut self, pass: &mut Pass, parts: &mut Parts<'_>) -> Next {
        if let (Some((at, block)), Some(output)) = (pass.block.take(), &pass.output) {
            let piece = block.slice(0..block.len().min(WRITE_BYTES));
            if piece.len() < block.len() {
                pass.block = Some((at + piece.len() as u32, block.slice(piece.len()..block.len())));
            }
            let (file, runs) = (output.header.slot.file(), vec![piece.pages()]);
            self.ask(DiskKind::Write { file, at: u64::from(at), runs, durable: false }, parts);
            return Next::Again;
        }
        if pass.next == pass.slice.len() {
            (pass.slice, pass.next) = (Slice::default(), 0);
            if !pass.exhausted {
                pass.step = Step::Plan;
                return Next::Again;
            }
            if pass.output.is_none() {
                return Next::Done;
            }
            pass.step = Step::Sync;
            return Next::Again;
        }
        let Some(output) = &mut pass.output else {
            // Until something is freed, what was made of the reserve is all that is taken of it.
            parts.spares.want_cold(!self.borrowed && self.emptied.is_empty());
            pass.step = Step::File;
            return Next::Again;
        };
        match output.batch(&pass.slice, pass.next, &pass.victims, &self.pool) {
            None => pass.step = Step::Sync,
            Some((at, block, next)) => {
                pass.next = next;
                pass.block = Some((at, block));
            }
        }
        Next::Again
    }

    /// A file gets the header page that says what it will be, durably: no crash brings an older one back.
    fn open_output(&mut self, pass: &mut Pass, parts: &mut Parts<'_>) -> Next {
        match parts.spares.take_cold() {
            Cold::None => panic!("a file was asked for"),
            Cold::Wanted { .. } => Next::Wait,
            Cold::Refused => Next::GiveUp,
            Cold::Ready { slot, borrowed } => {
                self.borrowed |= borrowed;
                let header = self.header(slot);
                pass.output = Some(Output::new(header, self.life));
                pass.step = Step::Write;
                self.ask(header_write(&header), parts);
                Next::Again
            }
        }
    }

    fn header(&mut self, slot: Slot) -> Header {
        let segment = cold_segment(self.next_cold);
        self.next_cold += 1;
        Header { segment, slot, salt: self.prng.next_u64(), bytes: self.segment_bytes }
    }

    /// Readers find the output's entries there from now on, some runs a turn.
    fn publish(&mut self, pass: &mut Pass, parts: &mut Parts<'_>) -> Next {
        let output = pass.output.as_ref().expect("its footer is durable");
        let id = output.segment();
        if pass.published == 0 {
            let full = output.moved.iter().map(|moved| moved.bytes).sum();
            let footer = output.footer().expect("it is durable");
            parts.segments.cold.insert(id, footed(output.header, footer, full));
        }
        let upto = output.moved.len().min(pass.published + SWAPS);
        for moved in &output.moved[pass.published..upto] {
            parts.directory.swap(id, moved);
        }
        pass.published = upto;
        if upto < output.moved.len() {
            return Next::Yield;
        }
        (pass.output, pass.published) = (None, 0);
        pass.outputs.push(id);
        pass.step = Step::Write;
        Next::Again
    }

    /// An operation has ended. An error that fences the log is returned.
    pub(crate) fn on_disk(
        &mut self,
        number: u64,
        result: Result<DiskOk, DiskError>,
        parts: &mut Parts<'_>,
    ) -> Result<(), WalError> {
        assert_eq!(self.under_way.take(), Some(number), "one operation at a time");
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Idle => panic!("nothing was under way"),
            Phase::Asking => match result {
                Ok(DiskOk::Free { free, .. }) => self.begin(free, parts),
                Ok(other) => panic!("free space was asked for, the answer was {other:?}"),
                Err(_) => self.look_at = Some(parts.now.mono.plus_ms(RETRY_MS)),
            },
            Phase::Compaction(mut compaction) => match compacting::took(&mut compaction, result, parts)? {
                Next::GiveUp => self.drop_compaction(*compaction, parts),
                _ => self.phase = Phase::Compaction(compaction),
            },
            Phase::Pass(mut pass) => match self.took(&mut pass, result, parts)? {
                Next::GiveUp => self.give_up(*pass, parts),
                _ => self.phase = Phase::Pass(pass),
            },
        }
        Ok(())
    }

    fn took(
        &mut self,
        pass: &mut Pass,
        result: Result<DiskOk, DiskError>,
        parts: &mut Parts<'_>,
    ) -> Result<Next, WalError> {
        match (pass.step, result) {
            (Step::Footers, result) => Ok(self.took_footer(pass, result, parts)),
            (Step::Read, result) => Ok(self.took_piece(pass, result, parts)),
            (Step::Write, Ok(_)) => Ok(Next::Again),
            (Step::Sync, Ok(_)) => {
                pass.step = Step::Footer;
                Ok(Next::Again)
            }
            (Step::Footer, Ok(_)) => {
                if pass.output.as_ref().is_some_and(|output| output.footer().is_some()) {
                    pass.step = Step::Publish;
                }
                Ok(Next::Again)
            }
            // The file goes back, and what it has taken with it.
            (_, Err(error)) if error.is_shortage() => {
                let output = pass.output.take().expect("only outputs are written");
                parts.spares.retire(output.header.slot);
                Ok(Next::GiveUp)
            }
            (step, Err(error)) => {
                let doing = if step == Step::Sync { "flush" } else { "writing" };
                let file = pass.output.as_ref().map_or(String::new(), |o| o.header.slot.file_name());
                Err(WalError::Disk { doing, file, error })
            }
            (step, Ok(ok)) => panic!("{step:?} ended with {ok:?}"),
        }
    }

    fn took_footer(&mut self, pass: &mut Pass, result: Result<DiskOk, DiskError>, parts: &mut Parts<'_>) -> Next {
        let id = pass.ids[pass.victims.len()];
        match pass.footer.as_mut().expect("it is being read").take(result) {
            Ok(None) => {}
            Ok(Some(footer)) => {
                let header = parts.segments.get(id).expect("a victim is pinned").header;
                if !footer.is_whole() {
                    let refusal = pass.footer.as_ref().expect("it was being read").refusal();
                    return self.leave_alone(id, &refusal, parts);
                }
                parts.out.extend(footer.remark().map(|text| Outcome::Log(Level::Warn, text)));
                pass.footer = None;
                pass.victims.push(Victim::new(header, footer));
            }
            Err(error) => return self.leave_alone(id, &error, parts),
        }
        Next::Again
    }

    fn took_piece(&mut self, pass: &mut Pass, result: Result<DiskOk, DiskError>, parts: &mut Parts<'_>) -> Next {
        let piece = pass.piece.take().expect("a read was under way");
        let victim = &pass.victims[piece.victim].header;
        let taken = read(victim, result).and_then(|bytes| pass.slice.take(&piece, &bytes, &pass.victims));
        match taken {
            Ok(()) => Next::Again,
            Err(error) => self.leave_alone(pass.ids[piece.victim], &error, parts),
        }
    }

    /// A victim cannot be read: its entries stay where they are, for whoever can repair them.
    fn leave_alone(&mut self, id: SegmentId, error: &WalError, parts: &mut Parts<'_>) -> Next {
        self.damaged.insert(id);
        parts.out.push(Outcome::Log(Level::Error, format!("a segment is left where it is by the cleaner: {error}")));
        Next::GiveUp
    }

    /// The pass ends before its end: an output that nobody finds anything in goes back.
    fn give_up(&mut self, pass: Pass, parts: &mut Parts<'_>) {
        if let Some(output) = pass.output {
            parts.spares.recycle(output.header.slot, output.header.bytes);
        }
        self.changed = true;
        self.next_look = parts.now.mono.plus_ms(RETRY_MS);
    }

    fn end(&mut self, pass: Pass, parts: &mut Parts<'_>) {
        self.passes += 1;
        self.changed = true;
        let (dead, left): (Vec<SegmentId>, Vec<SegmentId>) =
            pass.ids.iter().partition(|id| parts.directory.is_dead(**id));
        self.emptied.extend(&dead);
        let moved: u64 = pass.outputs.iter().map(|id| parts.directory.live(*id).bytes).sum();
        // Entries that fill their segments badly: the same copies again would give nothing again.
        let futile = if dead.len() > pass.outputs.len() { left } else { [left, pass.outputs.clone()].concat() };
        for id in futile {
            self.futile.insert(id, parts.directory.live(id).bytes);
        }
        let why = match pass.reason {
            Reason::Space => "mostly dead",
            Reason::Order => "in small pieces",
        };
        let text = format!(
            "the cleaner emptied {} segments that were {why}: {} KiB moved into {} cold segments",
            dead.len(),
            moved >> 10,
            pass.outputs.len()
        );
        parts.out.push(Outcome::Log(Level::Info, text));
    }
}

/// True if copying what lives in a segment gave nothing back, and not much of it has died since.
fn is_futile(tried: &BTreeMap<SegmentId, u64>, id: SegmentId, live: &Live) -> bool {
    tried.get(&id).is_some_and(|then| live.bytes > then / 5 * 4)
}

/// The bytes of a read of this segment.
fn read(segment: &Header, result: Result<DiskOk, DiskError>) -> Result<Buf, WalError> {
    match result {
        Ok(DiskOk::Read { bytes }) => Ok(bytes.freeze()),
        Ok(other) => panic!("a read ended with {other:?}"),
        Err(error) => Err(WalError::Disk { doing: "read", file: segment.slot.file_name(), error }),
    }
}
