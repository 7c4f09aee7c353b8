//! Which segments are worth copying forward.
//!
//! For **space**: much of a segment is dead, and several together give back more files than their entries need. For
//! **order**: a log segment is mostly alive, but its groups lie in pieces so small that a reader of one group reads
//! mostly others.

use crate::batch::DESCRIPTOR_BYTES;
use crate::directory::Live;
use crate::index::EXTENT_BYTES;
use crate::segment::is_cold;
use crate::settings::CleanerSettings;
use torc_base::ids::SegmentId;
use torc_base::limits::PAGE;
use torc_base::time::Mono;

/// Segments of one pass.
const WINDOW: usize = 16;
/// Their footers together, which are in memory during the pass; one segment alone may have more.
const FOOTERS_BYTES: u64 = 16 << 20;
/// A pass for space gives back at least this many files, unless space is short: with fewer the same entries would be
/// copied again and again, a little of new ones each time...
const GAIN: usize = 3;
/// ...or this many while all that lives would fit into so few files, of which three are too large a part.
const GAIN_SMALL: usize = 2;
const SMALL_FILES: u64 = 12;
/// Extents of this mean length are as good for a sequential reader as any.
const SORTED_BYTES: u64 = 128 << 10;
/// A segment of fewer groups is not sorted: a reader of one reads not so much of the others.
const SORT_GROUPS: u32 = 8;
/// A window that does not fill is sorted as it is when its oldest segment has waited so many times as long.
const LATE: u64 = 4;

/// A segment that may be copied forward.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: SegmentId,
    pub(crate) file_bytes: u64,
    pub(crate) footer_bytes: u32,
    pub(crate) live: Live,
    /// Payload bytes that were put into it.
    pub(crate) full: u64,
    /// When it was first seen with a footer.
    pub(crate) since: Mono,
    /// It is to be sorted now: compaction waits for it.
    pub(crate) hurried: bool,
}

/// True if the groups of a log segment lie in pieces so small that a reader of one group reads mostly others.
pub(crate) fn lies_in_pieces(live: &Live, extents: u64) -> bool {
    live.runs >= SORT_GROUPS && live.bytes / extents.max(1) <= SORTED_BYTES
}

impl Candidate {
    /// Bytes that its live entries need in another segment.
    fn needs(&self) -> u64 {
        let lines = self.live.entries * DESCRIPTOR_BYTES as u64 + u64::from(self.live.runs) * EXTENT_BYTES as u64;
        self.live.bytes + lines
    }

    fn mean_entry(&self) -> u64 {
        self.live.bytes / self.live.entries.max(1)
    }

    /// Much of the file would be gained.
    fn is_mostly_dead(&self, settings: &CleanerSettings) -> bool {
        self.needs() * 100 <= self.file_bytes * (100 - settings.dead_percent)
    }

    /// Much of it has died, and was not only padding from the beginning. What is cold has no padding; if it holds little
    /// it was the last of its pass, and goes with the next one.
    fn is_dying(&self, settings: &CleanerSettings) -> bool {
        is_cold(self.id) || self.live.bytes * 100 <= self.full * (100 - settings.dead_percent)
    }

    fn ripe_at(&self, settings: &CleanerSettings) -> Mono {
        if self.hurried { self.since } else { self.since.plus_ms(settings.sort_after_ms) }
    }

    /// When it is worth emptying, if it still is then.
    fn empty_at(&self, settings: &CleanerSettings) -> Mono {
        let ripe = self.ripe_at(settings);
        if self.is_dying(settings) { ripe.min(self.since.plus_ms(settings.settle_ms)) } else { ripe }
    }

    fn is_in_pieces(&self) -> bool {
        let extents = u64::from(self.footer_bytes).saturating_sub(PAGE as u64) / EXTENT_BYTES as u64;
        !is_cold(self.id) && lies_in_pieces(&self.live, extents)
    }
}

/// Room for outputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Files that may be made, or are there.
    pub(crate) files: u64,
    /// Every file counts.
    pub(crate) short: bool,
}

/// Why a pass is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Space,
    Order,
}

/// What a look at all segments came to.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// The next pass.
    pub(crate) choice: Option<(Reason, Vec<SegmentId>)>,
    /// Bytes that would be gained from segments that are dying.
    pub(crate) garbage: u64,
    /// Segments that are worth a pass.
    pub(crate) waiting: u64,
    /// When time alone makes a difference.
    pub(crate) again: Option<Mono>,
}

/// Bytes of entries, with what [`Candidate::needs`] counts, that a segment takes for certain: the rest is for headers,
/// the ends of batches and the footer's page.
fn capacity(segment_bytes: u64) -> u64 {
    (segment_bytes - 4 * PAGE as u64) / 100 * 94
}

/// Outputs that together need `bytes`, of which one entry has about `entry` bytes: at the end of each output there is no
/// room for another.
fn outputs(bytes: u64, entry: u64, segment_bytes: u64) -> u64 {
    let capacity = capacity(segment_bytes);
    bytes.div_ceil(capacity.saturating_sub(entry).max(capacity / 2))
}

/// Looks at all candidates, which are in rising order of their numbers.
pub(crate) fn look(
    candidates: &[Candidate],
    settings: &CleanerSettings,
    segment_bytes: u64,
    now: Mono,
    room: Room,
) -> Look {
    let mut look = Look::default();
    let (dead, alive): (Vec<Candidate>, Vec<Candidate>) =
        candidates.iter().partition(|candidate| candidate.is_mostly_dead(settings) && !candidate.hurried);
    // What is little but padding does no harm for a while, and the disk has better to do while it comes in so fast.
    let (ripe, unripe): (Vec<Candidate>, Vec<Candidate>) =
        dead.into_iter().partition(|c| room.short || c.empty_at(settings) <= now);
    look.again = unripe.iter().map(|candidate| candidate.empty_at(settings)).min();
    look.garbage = ripe.iter().filter(|c| c.is_dying(settings)).map(|c| c.file_bytes - c.needs()).sum();
    look.waiting = ripe.len() as u64;
    let lives: u64 = candidates.iter().map(|candidate| candidate.live.bytes).sum();
    let gain = match lives < SMALL_FILES * segment_bytes {
        _ if room.short => 1,
        true => GAIN_SMALL,
        false => GAIN,
    };
    let space = for_space(ripe, segment_bytes, room, gain);
    let order = for_order(&alive, settings, segment_bytes, now, room, &mut look);
    look.choice = space.map(|ids| (Reason::Space, ids)).or(order.map(|ids| (Reason::Order, ids)));
    look
}

/// Those whose footers are together in memory.
fn fitting(candidates: &[Candidate]) -> &[Candidate] {
    let mut bytes = 0;
    let fits = candidates.iter().take(WINDOW).take_while(|candidate| {
        let first = bytes == 0;
        bytes += u64::from(candidate.footer_bytes);
        first || bytes <= FOOTERS_BYTES
    });
    let count = fits.count();
    &candidates[..count]
}

/// `gain`: files that are given back, less those written.
fn for_space(mut dead: Vec<Candidate>, segment_bytes: u64, room: Room, gain: usize) -> Option<Vec<SegmentId>> {
    dead.sort_by_key(|candidate| (candidate.needs(), candidate.id));
    let window = fitting(&dead);
    // For each number of victims, how many outputs they need.
    let needs = window.iter().scan((0, 0), |(sum, entry), candidate| {
        *sum += candidate.needs();
        *entry = candidate.mean_entry().max(*entry);
        Some(outputs(*sum, *entry, segment_bytes).max(1) as usize)
    });
    let options: Vec<(usize, usize)> = needs.enumerate().map(|(at, outputs)| (at + 1, outputs)).collect();
    let affordable = |&&(victims, outputs): &&(usize, usize)| {
        outputs as u64 <= room.files.max(u64::from(room.short)) && victims >= outputs + gain
    };
    // One output gives all victims back at once; several are written before any victim is free.
    let one = options.iter().filter(affordable).rfind(|(_, outputs)| *outputs == 1);
    let (victims, _) = one.or_else(|| options.iter().find(affordable))?;
    Some(window[..*victims].iter().map(|candidate| candidate.id).collect())
}

fn for_order(
    alive: &[Candidate],
    settings: &CleanerSettings,
    segment_bytes: u64,
    now: Mono,
    room: Room,
    look: &mut Look,
) -> Option<Vec<SegmentId>> {
    let in_pieces: Vec<Candidate> = alive.iter().filter(|candidate| candidate.is_in_pieces()).copied().collect();
    let unripe = in_pieces.iter().map(|c| c.ripe_at(settings)).filter(|at| *at > now).min();
    let ripe: Vec<Candidate> = in_pieces.into_iter().filter(|c| c.ripe_at(settings) <= now).collect();
    look.waiting += ripe.len() as u64;
    look.again = look.again.into_iter().chain(unripe).min();
    let hurried: Vec<Candidate> = ripe.iter().filter(|candidate| candidate.hurried).copied().collect();
    let window = fitting(if hurried.is_empty() { &ripe } else { &hurried });
    let late_at = window.iter().map(|c| c.since.plus_ms(settings.sort_after_ms.saturating_mul(LATE))).min()?;
    let is_full = !hurried.is_empty() || window.len() == WINDOW || window.len() < ripe.len();
    if !is_full && now < late_at {
        look.again = Some(look.again.map_or(late_at, |at| at.min(late_at)));
        return None;
    }
    let (mut needs, mut entry) = (0, 0);
    let affordable = window.iter().take_while(|candidate| {
        needs += candidate.needs();
        entry = candidate.mean_entry().max(entry);
        !room.short && outputs(needs, entry, segment_bytes) <= room.files
    });
    let ids: Vec<SegmentId> = affordable.map(|candidate| candidate.id).collect();
    (!ids.is_empty()).then_some(ids)
}
