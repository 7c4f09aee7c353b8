//! Reads that need the disk: which pages, what to check, when to try again.

use crate::batch::{self, Descriptor};
use crate::entry::Item;
use crate::error::{Corruption, WalError};
use crate::footers::Footers;
use crate::index::Extent;
use crate::outcome::{Outcome, ReadId};
use crate::search::{Goal, Plan, Want, fetched};
use crate::segment::{Header, decode_footer};
use crate::segments::Segments;
use crate::tags::Job;
use crate::tail::item;
use std::collections::{BTreeMap, VecDeque};
use torc_base::buf::{Buf, Pool};
use torc_base::ids::{GroupId, SegmentId};
use torc_base::io::{DiskError, DiskKind, DiskOk, DiskOp};
use torc_base::limits::{PAGE, READ_MEMORY};

/// Wanted ranges nearer to each other than this are read as one.
const JOIN_BYTES: u64 = 64 << 10;
/// Memory that is kept for the next reads.
const KEEP_BYTES: usize = 8 << 20;

/// Bytes of one file, wanted or there.
#[derive(Debug)]
struct Range {
    start: u64,
    end: u64,
    bytes: Option<Buf>,
}

#[derive(Debug)]
enum Fetch {
    /// Waits for memory; planned anew when there is some.
    None,
    Footer {
        segment: Header,
    },
    Extents {
        segment: Header,
        extents: Vec<Extent>,
        want: Want,
        ranges: Vec<Range>,
        missing: usize,
        error: Option<DiskError>,
    },
}

/// A read under way.
#[derive(Debug)]
struct Pending {
    group: GroupId,
    goal: Goal,
    fetch: Fetch,
}

/// All reads under way, and the memory they use.
pub(crate) struct Reader {
    pool: Pool,
    pending: BTreeMap<u64, Pending>,
    /// Reads that found no memory, in order.
    starved: VecDeque<u64>,
    next: u64,
    pub(crate) footers: Footers,
    pub(crate) fetches: u64,
}

impl Reader {
    pub(crate) fn new() -> Reader {
        Reader {
            pool: Pool::new(READ_MEMORY, KEEP_BYTES),
            pending: BTreeMap::new(),
            starved: VecDeque::new(),
            next: 1,
            footers: Footers::default(),
            fetches: 0,
        }
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Starts a read whose plan was not [`Plan::Done`].
    pub(crate) fn start(
        &mut self,
        group: GroupId,
        goal: Goal,
        plan: Plan,
        segments: &Segments,
        ops: &mut Vec<DiskOp>,
    ) -> ReadId {
        let id = self.next;
        self.next += 1;
        self.pending.insert(id, Pending { group, goal, fetch: Fetch::None });
        self.fetch(id, plan, segments, ops);
        ReadId(id)
    }

    /// Asks the disk for what the plan needs, or puts the read aside until there is memory.
    fn fetch(&mut self, id: u64, plan: Plan, segments: &Segments, ops: &mut Vec<DiskOp>) {
        let pending = self.pending.get_mut(&id).expect("a read under way");
        let (segment, mut ranges) = match &plan {
            Plan::Footer(id) => {
                let segment = segments.get(*id).expect("a run's segment exists");
                let bytes = segment.footer().expect("extents leave memory when the footer is durable");
                let end = segment.header.bytes;
                (segment.header, vec![Range { start: end - u64::from(bytes), end, bytes: None }])
            }
            Plan::Fetch(id, extents, _) => {
                (segments.get(*id).expect("a run's segment exists").header, ranges_of(extents))
            }
            Plan::Done(_) | Plan::Released => panic!("nothing to fetch for {plan:?}"),
        };
        let bufs: Option<Vec<_>> = ranges.iter().map(|r| self.pool.take((r.end - r.start) as usize)).collect();
        let Some(bufs) = bufs else {
            pending.fetch = Fetch::None;
            self.starved.push_back(id);
            return;
        };
        self.fetches += 1;
        for (part, (range, bytes)) in ranges.iter_mut().zip(bufs).enumerate() {
            let tag = Job::Read { id, part: part as u8 }.tag();
            ops.push(DiskOp { tag, kind: DiskKind::Read { file: segment.slot.file(), at: range.start, bytes } });
        }
        pending.fetch = match plan {
            Plan::Fetch(_, extents, want) => {
                let missing = ranges.len();
                Fetch::Extents { segment, extents, want, ranges, missing, error: None }
            }
            _ => Fetch::Footer { segment },
        };
    }

    /// A part of a read has come.
    pub(crate) fn on_disk(
        &mut self,
        id: u64,
        part: u8,
        result: Result<DiskOk, DiskError>,
    ) -> Option<Result<Ready, WalError>> {
        let pending = self.pending.get_mut(&id).expect("a read under way");
        match &mut pending.fetch {
            Fetch::None => panic!("read {id} asked for nothing"),
            Fetch::Footer { segment } => {
                let segment = *segment;
                pending.fetch = Fetch::None;
                Some(self.footer(segment, result))
            }
            Fetch::Extents { ranges, missing, error, .. } => {
                match result {
                    Ok(DiskOk::Read { bytes }) => ranges[usize::from(part)].bytes = Some(bytes.freeze()),
                    Ok(other) => panic!("a read ended with {other:?}"),
                    Err(e) => *error = Some(e),
                }
                *missing -= 1;
                if *missing > 0 {
                    return None;
                }
                let Fetch::Extents { segment, extents, want, ranges, error, .. } =
                    std::mem::replace(&mut pending.fetch, Fetch::None)
                else {
                    unreachable!("matched above")
                };
                let group = pending.group;
                let items = match error {
                    Some(error) => Err(WalError::Disk { doing: "read", file: segment.slot.file_name(), error }),
                    None => verify(group, &segment, &extents, &want, &ranges),
                };
                Some(items.map(|items| match fetched(&mut pending.goal, items) {
                    Some(items) => Ready::Items(items),
                    None => Ready::PlanAgain,
                }))
            }
        }
    }

    fn footer(&mut self, segment: Header, result: Result<DiskOk, DiskError>) -> Result<Ready, WalError> {
        let bytes = match result {
            Ok(DiskOk::Read { bytes }) => bytes,
            Ok(other) => panic!("a read ended with {other:?}"),
            Err(error) => return Err(WalError::Disk { doing: "read", file: segment.slot.file_name(), error }),
        };
        match decode_footer(segment.segment, segment.salt, &bytes) {
            Some((index, _)) => {
                self.footers.insert(segment.segment, index);
                Ok(Ready::PlanAgain)
            }
            None => Err(corrupt("the footer is damaged", &segment, segment.bytes - bytes.len() as u64, None)),
        }
    }

    /// Takes the read up again: the answer, or another fetch.
    pub(crate) fn plan_again(
        &mut self,
        id: u64,
        mut view: impl FnMut(&mut Footers, GroupId, &mut Goal) -> Plan,
        segments: &Segments,
        ops: &mut Vec<DiskOp>,
    ) -> Option<Result<Vec<Item>, WalError>> {
        let pending = self.pending.get_mut(&id).expect("a read under way");
        let group = pending.group;
        match view(&mut self.footers, group, &mut pending.goal) {
            Plan::Done(items) => Some(Ok(items)),
            Plan::Released => Some(Err(WalError::Released { group })),
            plan => {
                self.fetch(id, plan, segments, ops);
                None
            }
        }
    }

    /// The read is over.
    pub(crate) fn finish(&mut self, id: u64, result: Result<Vec<Item>, WalError>, out: &mut Vec<Outcome>) {
        let pending = self.pending.remove(&id).expect("a read under way");
        out.push(match pending.goal {
            Goal::Entries { .. } => Outcome::Read(ReadId(id), result),
            _ => Outcome::Found(ReadId(id), result.map(|items| items.into_iter().next())),
        });
    }

    /// True if a fetch from this segment is under way: its file must stay as it is.
    pub(crate) fn reads_from(&self, id: SegmentId) -> bool {
        self.pending.values().any(|p| match &p.fetch {
            Fetch::None => false,
            Fetch::Footer { segment } | Fetch::Extents { segment, .. } => segment.segment == id,
        })
    }

    /// A read that waits for memory, if there is some again.
    pub(crate) fn starved(&mut self) -> Option<u64> {
        let has_room = self.pool.used() == 0 || self.pool.used() < self.pool.limit() / 4 * 3;
        if has_room { self.starved.pop_front() } else { None }
    }
}

/// What a completed fetch leads to.
pub(crate) enum Ready {
    Items(Vec<Item>),
    PlanAgain,
}

/// Whole pages that hold the extents and their batches' descriptors, near ones joined.
fn ranges_of(extents: &[Extent]) -> Vec<Range> {
    let page = PAGE as u64;
    let mut wanted: Vec<(u64, u64)> = Vec::with_capacity(extents.len() * 2);
    for extent in extents {
        wanted.push((u64::from(extent.batch), u64::from(extent.table_end())));
        wanted.push((u64::from(extent.payload), u64::from(extent.payload_end())));
    }
    wanted.sort_unstable();
    let mut ranges: Vec<Range> = Vec::new();
    for (start, end) in wanted {
        let (start, end) = (start / page * page, end.next_multiple_of(page));
        match ranges.last_mut() {
            Some(last) if start <= last.end + JOIN_BYTES => last.end = last.end.max(end),
            _ => ranges.push(Range { start, end, bytes: None }),
        }
    }
    assert!(ranges.len() <= usize::from(u8::MAX), "parts are numbered in a byte");
    ranges
}

fn find(ranges: &[Range], start: u64, end: u64) -> Option<Buf> {
    let range = ranges.iter().find(|r| r.start <= start && end <= r.end)?;
    let bytes = range.bytes.as_ref()?;
    let (from, to) = ((start - range.start) as usize, (end - range.start) as usize);
    (to <= bytes.len()).then(|| bytes.slice(from..to))
}

/// Checks everything from the batch header to the bodies; nothing unchecked gets out.
fn verify(
    group: GroupId,
    segment: &Header,
    extents: &[Extent],
    want: &Want,
    ranges: &[Range],
) -> Result<Vec<Item>, WalError> {
    let mut items = Vec::new();
    let mut room = want.max_bytes;
    let mut checked: Option<(batch::Header, Buf)> = None;
    for extent in extents {
        if checked.as_ref().is_none_or(|(h, _)| h.position != extent.batch) {
            checked = Some(verify_table(segment, extent, ranges)?);
        }
        let (header, table) = checked.as_ref().expect("just set");
        for number in extent.numbers(want.from, want.upto) {
            let at = u64::from(extent.batch);
            let d = descriptor(segment, extent, header, table, number)?;
            let bad = |what: &str, at| corrupt(what, segment, at, Some((group, d.index)));
            if d.end_offset() <= want.behind {
                continue;
            }
            if !items.is_empty() && d.length as usize > room {
                return Ok(items);
            }
            let position = at + u64::from(d.position);
            let payload = find(ranges, position, position + u64::from(d.length))
                .ok_or_else(|| bad("the file ends inside an entry, or the footer is wrong", position))?;
            if !d.matches(&payload) {
                return Err(bad("an entry's checksum is wrong", position));
            }
            room = room.saturating_sub(d.length as usize);
            items.push(item(&d, payload));
        }
    }
    Ok(items)
}

fn verify_table(segment: &Header, extent: &Extent, ranges: &[Range]) -> Result<(batch::Header, Buf), WalError> {
    let at = u64::from(extent.batch);
    let bad = |what: &str| corrupt(what, segment, at, Some((extent.group, extent.first_index)));
    let table = find(ranges, at, u64::from(extent.table_end())).ok_or_else(|| bad("the file ends inside a batch"))?;
    Ok((check_table(segment, extent, &table)?, table))
}

/// Checks header and descriptors of the extent's batch, which are all of `table`.
pub(crate) fn check_table(segment: &Header, extent: &Extent, table: &[u8]) -> Result<batch::Header, WalError> {
    let bad = |what: &str| corrupt(what, segment, u64::from(extent.batch), Some((extent.group, extent.first_index)));
    let (header, _) = batch::Header::decode(table).ok_or_else(|| bad("a batch header's checksum is wrong"))?;
    let belongs = header.segment == segment.segment
        && header.salt == segment.salt
        && header.position == extent.batch
        && header.count == u32::from(extent.batch_count);
    if !belongs {
        return Err(bad("a batch of another place or time stands here"));
    }
    if !batch::table_matches(&header, table) {
        return Err(bad("the checksum of a batch's table is wrong"));
    }
    Ok(header)
}

/// The descriptor of entry `number` of the extent's batch, whose table was checked.
pub(crate) fn descriptor(
    segment: &Header,
    extent: &Extent,
    header: &batch::Header,
    table: &[u8],
    number: usize,
) -> Result<Descriptor, WalError> {
    let expected = extent.first_index.plus(number as u64 - u64::from(extent.descriptor));
    Descriptor::decode(header, table, number).filter(|d| d.group == extent.group && d.index == expected).ok_or_else(
        || {
            let entry = Some((extent.group, expected));
            corrupt("the footer and the batch's table differ", segment, u64::from(extent.batch), entry)
        },
    )
}

/// A corruption of this segment.
pub(crate) fn corrupt(
    what: &str,
    segment: &Header,
    position: u64,
    entry: Option<(GroupId, torc_base::ids::Index)>,
) -> WalError {
    WalError::Corrupt(Box::new(Corruption {
        what: what.to_string(),
        file: segment.slot.file_name(),
        segment: segment.segment,
        position,
        entry,
    }))
}
