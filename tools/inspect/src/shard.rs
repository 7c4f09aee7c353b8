//! One shard's log: its segments in the order of writing, each judged, with what a start would make of all of it.

use crate::dry_run::{DryRun, Verdict};
use crate::kind;
use crate::names::Names;
use crate::place::{self, InspectError, Place};
use crate::progress;
use crate::scan::{self, Expected, Footer, FoundBatch, Scanned};
use crate::source::Source;
use indicatif::ProgressBar;
use serde::Serialize;
use std::io;
use torc_base::ids::{BatchSeq, SegmentId};
use torc_wal::batch::Descriptor;
use torc_wal::segment::{BATCHES_START, Header, Slot, is_cold};

/// Scans of a file that changes meanwhile.
const TRIES: usize = 5;

/// How much is shown of each segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// A line for each batch.
    pub batches: bool,
    /// And for each entry.
    pub entries: bool,
    /// A line for each extent of the footer.
    pub extents: bool,
}

/// Where a segment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Full, with a footer.
    Sealed,
    /// The log ends here.
    Active,
    /// It has batches and no footer, and the log goes on elsewhere (or where it ends is not known).
    Unsealed,
    /// Its batches lie behind the log's end: cut off by the next start.
    Cut,
    /// A cold segment that the checkpoint does not name: not published when that was made, or dead. The next start takes
    /// the file for other use.
    Unknown,
    /// Prepared, nothing written yet.
    Spare,
    /// Without an intact header page.
    Headless,
}

impl State {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            State::Sealed => "sealed",
            State::Active => "active",
            State::Unsealed => "unsealed",
            State::Cut => "cut",
            State::Unknown => "unknown",
            State::Spare => "spare",
            State::Headless => "headless",
        }
    }
}

/// A break of the chain and how recovery would judge it.
#[derive(Clone, Debug, Serialize)]
pub struct BreakReport {
    /// In the file.
    pub position: u64,
    /// The batch that should be there.
    pub missing_batch: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// `torn`: an unfinished write, which is cut. `corruption`: the batch had been durable.
    pub judged: &'static str,
    /// What proves that it had been durable.
    pub proof: Option<String>,
}

/// One entry.
#[derive(Clone, Debug, Serialize)]
pub struct EntryReport {
    pub group: u64,
    pub name: Option<String>,
    pub kind: u8,
    pub kind_name: Option<&'static str>,
    pub term: u64,
    /// 0: a marker.
    pub index: u64,
    pub first_offset: i64,
    pub offsets: u32,
    /// Milliseconds since 1970; -1: none.
    pub max_timestamp: i64,
    /// Of the payload in the file.
    pub position: u64,
    pub bytes: u32,
    pub prefix_bytes: u8,
    pub prefix_crc: String,
    pub body_crc: String,
    /// Both checksums are right.
    pub intact: bool,
}

/// One batch.
#[derive(Clone, Debug, Serialize)]
pub struct BatchReport {
    pub seq: u64,
    /// In the file.
    pub position: u64,
    /// With padding.
    pub bytes: u32,
    /// Up to the gathered pages.
    pub block_bytes: u32,
    /// Batches up to this one were durable when it was cut.
    pub durable: u64,
    /// Checksum of the batch before, and of this one.
    pub chain: String,
    pub crc: String,
    /// The process life that wrote it.
    pub life: String,
    pub entry_count: u32,
    pub payload_bytes: u64,
    /// What is not as it was written.
    pub damage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<Vec<EntryReport>>,
}

/// One line of a footer.
#[derive(Clone, Debug, Serialize)]
pub struct ExtentReport {
    pub group: u64,
    pub name: Option<String>,
    pub first_index: u64,
    pub last_index: u64,
    /// Fewer than the indexes where compaction has left some out.
    pub entries: u16,
    pub first_offset: i64,
    pub end_offset: i64,
    pub max_timestamp: i64,
    /// Of the batch in the file.
    pub batch_position: u32,
    /// Number of the first entry in its batch.
    pub first_entry: u16,
    /// Of the first payload in the file, and to the end of the last.
    pub position: u32,
    pub bytes: u32,
}

/// The footer.
#[derive(Clone, Debug, Serialize)]
pub struct FooterReport {
    /// False: its extents are not as they were written; reads of this segment fail.
    pub intact: bool,
    pub extents: u32,
    /// On disk.
    pub bytes: Option<usize>,
    pub last_batch: u64,
    pub end: u32,
    /// Its extents are those of the batches; none if a break hides that.
    pub agrees: Option<bool>,
}

/// One file.
#[derive(Clone, Debug, Serialize)]
pub struct SegmentReport {
    pub file: String,
    pub file_bytes: u64,
    /// `log`: a link of the chain. `cold`: written by the cleaner, a chain of its own.
    pub kind: Option<&'static str>,
    /// Cold segments are numbered from 2^40 on.
    pub segment: Option<u64>,
    pub salt: Option<String>,
    pub state: State,
    pub first_batch: Option<u64>,
    pub last_batch: Option<u64>,
    pub batches: usize,
    pub entries: u64,
    pub payload_bytes: u64,
    /// Where its batches end in the file.
    pub used_bytes: u64,
    /// Payload bytes that some group needs; none if recovery would not get that far.
    pub live_bytes: Option<u64>,
    pub breaks: Vec<BreakReport>,
    /// Batches of unfinished writes behind the end.
    pub cut_pieces: u64,
    pub footer: Option<FooterReport>,
    /// Anything else worth knowing.
    pub notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_list: Option<Vec<BatchReport>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extent_list: Option<Vec<ExtentReport>>,
}

impl SegmentReport {
    /// True if something in it had been durable and is not there any more.
    pub fn is_corrupt(&self) -> bool {
        self.breaks.iter().any(|b| b.proof.is_some())
            || self.footer.as_ref().is_some_and(|f| !f.intact || f.agrees == Some(false))
    }
}

/// The segment files of a place, oldest segment first, those without a header last.
pub fn files(place: &Place) -> Result<Vec<(Option<SegmentId>, String)>, InspectError> {
    let names = match &place.files {
        Some(files) => files.clone(),
        None => place::names(&place.dir)?,
    };
    let mut files = Vec::new();
    for name in names.into_iter().filter(|name| Slot::of_name(name).is_some()) {
        let path = place.dir.join(&name);
        match Source::open(&path).and_then(|mut source| scan::read_header(&mut source, &name)) {
            Ok(header) => files.push((header.ok().map(|h| h.segment), name)),
            // A server has removed it since its name was read.
            Err(error) if place.files.is_none() && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(InspectError::io("read", &path)(error)),
        }
    }
    files.sort_by_key(|(segment, name)| (segment.is_none(), *segment, name.clone()));
    Ok(files)
}

/// Goes through all segments of a place; `each` gets them one by one, oldest first.
///
/// # Errors
/// A file cannot be opened or read, or `each` failed.
pub fn inspect(
    place: &Place,
    detail: Detail,
    names: &Names,
    dry: Option<&DryRun>,
    each: &mut dyn FnMut(&SegmentReport) -> Result<(), InspectError>,
) -> Result<(), InspectError> {
    let files = files(place)?;
    let bytes = |(_, name): &(_, String)| std::fs::metadata(place.dir.join(name)).map_or(0, |m| m.len());
    let bar = progress::bar("reading", files.iter().map(bytes).sum());
    let mut before: Option<(SegmentId, Expected)> = None;
    let live = place.server().is_some();
    for (_, name) in &files {
        let expected = |id: SegmentId| expected(id, before, dry);
        let Some((scanned, notes)) = scan_file(place, name, live, detail, dry, &expected, &bar)? else { continue };
        if let Some(header) = scanned.header.filter(|h| !is_cold(h.segment)) {
            // Behind a torn batch another with its number may come, but nothing that was written with it.
            let next = scanned.next().or(expected(header.segment));
            before = next.map(|next| (header.segment, next));
        }
        let mut report = report(name, &scanned, detail, names, dry);
        report.notes.extend(notes);
        bar.suspend(|| each(&report))?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// Scans one file; `None` if a server has removed it meanwhile.
///
/// While a server writes, a break counts only if it is found twice at the same place: what was being written when its
/// first part was read looks like damage once the rest is there, and files change hands.
fn scan_file(
    place: &Place,
    name: &str,
    live: bool,
    detail: Detail,
    dry: Option<&DryRun>,
    expected: &dyn Fn(SegmentId) -> Option<Expected>,
    bar: &ProgressBar,
) -> Result<Option<(Scanned, Option<String>)>, InspectError> {
    let path = place.dir.join(name);
    let mut before = None;
    for attempt in 1.. {
        let once = || -> io::Result<(Scanned, bool)> {
            let mut source = Source::open(&path)?;
            let count = &mut |batch: &FoundBatch, _: &[u8]| {
                if attempt == 1 {
                    bar.inc(u64::from(batch.header.total));
                }
            };
            let scanned = scan::scan(&mut source, name, expected, detail.entries, count)?;
            let same = scan::read_header(&mut Source::open(&path)?, name)?.ok() == scanned.header;
            Ok((scanned, same))
        };
        let (mut scanned, same) = match once() {
            Err(error) if live && error.kind() == io::ErrorKind::NotFound => return Ok(None),
            once => once.map_err(InspectError::io("read", &path))?,
        };
        prove(&mut scanned, name, dry);
        scanned.settle();
        let proven = scanned.breaks.iter().find(|b| b.proof.is_some()).map(|b| (scanned.header, b.position));
        if same && (!live || proven.is_none() || proven == before) {
            return Ok(Some((scanned, None)));
        }
        if attempt == TRIES {
            scanned.breaks.clear();
            return Ok(Some((scanned, Some("the file changed while it was read, again and again".to_string()))));
        }
        before = proven;
    }
    unreachable!("the last attempt returns")
}

/// The first batch that a segment must have, if the log's order says so.
fn expected(id: SegmentId, before: Option<(SegmentId, Expected)>, dry: Option<&DryRun>) -> Option<Expected> {
    if is_cold(id) {
        return Some(Expected { seq: BatchSeq(1), chain: 0 });
    }
    if let Some((_, next)) = before.filter(|(before, _)| before.next() == id) {
        return Some(next);
    }
    match dry?.section.as_ref() {
        Some(section) => {
            (id == section.scan).then_some(Expected { seq: section.scan_first, chain: section.scan_chain })
        }
        None => (id == SegmentId(1)).then_some(Expected { seq: BatchSeq(1), chain: 0 }),
    }
}

/// Adds what is known from outside the file: the checkpoint, and where recovery stops.
fn prove(scanned: &mut Scanned, name: &str, dry: Option<&DryRun>) {
    let Some(dry) = dry.filter(|_| !scanned.header.is_some_and(|h| is_cold(h.segment))) else { return };
    for open in scanned.breaks.iter_mut().filter(|b| b.proof.is_none()) {
        if let Some(section) = dry.section.as_ref().filter(|s| open.missing.is_some_and(|m| m < s.next)) {
            let last = section.next.get() - 1;
            open.proof = Some(format!("the checkpoint says that batches up to {last} were durable"));
        } else if let Verdict::Refused { at: Some(at), .. } = &dry.verdict
            && (at.file == name && at.position == open.position || is_named_before(scanned.header.as_ref(), open, dry))
        {
            let proof = at.what.split_once("; but ").map_or(&*at.what, |(_, proof)| proof);
            open.proof = Some(proof.to_string());
        }
    }
}

/// True if recovery names this break by the end of the segment before: the first batch of a segment is what tells it
/// that the log goes on there.
fn is_named_before(header: Option<&Header>, found: &scan::Break, dry: &DryRun) -> bool {
    let Verdict::Refused { at: Some(at), .. } = &dry.verdict else { return false };
    found.position == u64::from(BATCHES_START) && header.is_some_and(|h| h.segment == at.segment.next())
}

fn state(scanned: &Scanned, dry: Option<&DryRun>) -> State {
    if scanned.header.is_none() {
        return State::Headless;
    }
    let section = dry.and_then(|d| d.section.as_ref());
    let named = |id| section.is_some_and(|s| s.footers.contains_key(&id));
    if dry.is_some() && scanned.header.is_some_and(|h| is_cold(h.segment) && !named(h.segment)) {
        return State::Unknown;
    }
    if scanned.footer.trailer().is_some() {
        return State::Sealed;
    }
    if scanned.header.is_some_and(|h| is_cold(h.segment)) {
        return State::Unsealed;
    }
    let end = match dry.map(|d| &d.verdict) {
        Some(Verdict::Accepted { last, .. }) => Some(*last),
        _ => None,
    };
    let (first, last) = match (scanned.batches.first(), scanned.batches.last()) {
        (Some(first), Some(last)) => (first.header.seq, last.header.seq),
        _ if !scanned.breaks.is_empty() => return State::Cut,
        _ => return State::Spare,
    };
    // A running server may have gone on since recovery looked.
    match end {
        Some(end) if first <= end && end <= last => State::Active,
        _ => State::Unsealed,
    }
}

fn hex(crc: u32) -> String {
    format!("{crc:08x}")
}

fn report(name: &str, scanned: &Scanned, detail: Detail, names: &Names, dry: Option<&DryRun>) -> SegmentReport {
    let seq = |batch: Option<&FoundBatch>| batch.map(|b| b.header.seq.get());
    let recovered = dry.filter(|d| matches!(d.verdict, Verdict::Accepted { .. }));
    let live = |id: SegmentId| recovered.map(|d| d.live.get(&id).copied().unwrap_or(0));
    let mut notes: Vec<String> = scanned.header_problem.iter().cloned().collect();
    if let Some(bytes) = missing_footer(scanned, dry) {
        notes.push(format!("the checkpoint says that there is a footer of {bytes} bytes, but there is no intact one"));
    }
    if dry.is_some_and(|dry| scanned.breaks.iter().any(|b| is_named_before(scanned.header.as_ref(), b, dry))) {
        notes.push("recovery names this break by the end of the segment before".to_string());
    }
    SegmentReport {
        file: name.to_string(),
        file_bytes: scanned.file_bytes,
        kind: scanned.header.map(|h| if is_cold(h.segment) { "cold" } else { "log" }),
        segment: scanned.header.map(|h| h.segment.get()),
        salt: scanned.header.map(|h| format!("{:016x}", h.salt)),
        state: state(scanned, dry),
        first_batch: seq(scanned.batches.first()),
        last_batch: seq(scanned.batches.last()),
        batches: scanned.batches.len(),
        entries: scanned.batches.iter().map(|b| u64::from(b.header.count)).sum(),
        payload_bytes: scanned.batches.iter().map(|b| b.payload_bytes).sum(),
        used_bytes: scanned.end,
        live_bytes: scanned.header.and_then(|h| live(h.segment)),
        breaks: scanned.breaks.iter().map(break_report).collect(),
        cut_pieces: scanned.pieces,
        footer: footer_report(scanned),
        notes,
        batch_list: detail.batches.then(|| scanned.batches.iter().map(|b| batch_report(b, detail, names)).collect()),
        extent_list: detail.extents.then(|| extent_list(scanned, names)),
    }
}

/// A footer that the checkpoint relies on and that is not there.
fn missing_footer(scanned: &Scanned, dry: Option<&DryRun>) -> Option<u32> {
    let bytes = *dry?.section.as_ref()?.footers.get(&scanned.header?.segment)?;
    scanned.footer.trailer().is_none().then_some(bytes)
}

fn break_report(found: &scan::Break) -> BreakReport {
    BreakReport {
        position: found.position,
        missing_batch: found.missing.map(BatchSeq::get),
        what: found.what.clone(),
        judged: if found.proof.is_some() { "corruption" } else { "torn" },
        proof: found.proof.clone(),
    }
}

fn footer_report(scanned: &Scanned) -> Option<FooterReport> {
    let trailer = scanned.footer.trailer()?;
    let bytes = match &scanned.footer {
        Footer::Intact { bytes, .. } => Some(*bytes),
        _ => None,
    };
    Some(FooterReport {
        intact: bytes.is_some(),
        extents: trailer.extents,
        bytes,
        last_batch: trailer.last.get(),
        end: trailer.end,
        agrees: scanned.footer_agrees,
    })
}

fn batch_report(batch: &FoundBatch, detail: Detail, names: &Names) -> BatchReport {
    let h = &batch.header;
    let entry = |(d, intact): &(Descriptor, bool)| entry_report(h.position, d, *intact, names);
    BatchReport {
        seq: h.seq.get(),
        position: u64::from(h.position),
        bytes: h.total,
        block_bytes: h.block,
        durable: h.durable.get(),
        chain: hex(h.chain),
        crc: hex(batch.crc),
        life: format!("{:016x}", h.life),
        entry_count: h.count,
        payload_bytes: batch.payload_bytes,
        damage: batch.damage.clone(),
        entries: detail.entries.then(|| batch.entries.iter().map(entry).collect()),
    }
}

/// One entry of the batch at `batch` of its file.
pub fn entry_report(batch: u32, d: &Descriptor, intact: bool, names: &Names) -> EntryReport {
    EntryReport {
        group: d.group.get(),
        name: names.of_group(d.group),
        kind: d.kind,
        kind_name: kind::name(d.kind),
        term: d.term.get(),
        index: d.index.get(),
        first_offset: d.first_offset.get(),
        offsets: d.records,
        max_timestamp: d.max_timestamp,
        position: u64::from(batch) + u64::from(d.position),
        bytes: d.length,
        prefix_bytes: d.prefix_len,
        prefix_crc: hex(d.prefix_crc),
        body_crc: hex(d.body_crc),
        intact,
    }
}

fn extent_list(scanned: &Scanned, names: &Names) -> Vec<ExtentReport> {
    let Footer::Intact { index, .. } = &scanned.footer else { return Vec::new() };
    let line = |e: &torc_wal::Extent| ExtentReport {
        group: e.group.get(),
        name: names.of_group(e.group),
        first_index: e.first_index.get(),
        last_index: e.last_index().get(),
        entries: e.count,
        first_offset: e.first_offset.get(),
        end_offset: e.end_offset.get(),
        max_timestamp: e.max_timestamp,
        batch_position: e.batch,
        first_entry: e.descriptor,
        position: e.payload,
        bytes: e.length,
    };
    index.iter().map(line).collect()
}
