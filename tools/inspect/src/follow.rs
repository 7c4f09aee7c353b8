//! Follows one offset to its bytes: group, segment, batch, entry, record batch, record; every checksum on the way.

use crate::columns::size;
use crate::dry_run::{DryRun, GroupState, Opened, Verdict};
use crate::kind;
use crate::names::Names;
use crate::place::{InspectError, Place};
use crate::record::{self, RecordBatchReport, RecordReport};
use crate::scan::{self, Footer};
use crate::shard::{self, EntryReport};
use crate::source::Source;
use crate::text;
use serde::Serialize;
use std::io::{self, Write};
use torc_base::ids::{GroupId, Index, Offset, SegmentId};
use torc_wal::batch::{self, Descriptor};
use torc_wal::segment::{Header, is_cold};

/// Bytes that are shown at most.
const SHOWN: usize = 256;

/// Where an offset lies.
#[derive(Debug, Serialize)]
pub struct Followed {
    pub group: u64,
    pub name: Option<String>,
    pub offset: i64,
    /// What recovery would know of the group.
    pub known: Option<GroupLine>,
    pub directory: String,
    pub file: String,
    pub segment: u64,
    pub salt: String,
    /// How the entry was found in the segment.
    pub found_by: String,
    pub batch: u64,
    pub batch_position: u64,
    pub batch_bytes: u32,
    pub batch_entries: u32,
    pub batch_durable: u64,
    pub batch_crc: String,
    /// Number of the entry in its batch, from 0.
    pub entry_number: usize,
    pub entry: EntryReport,
    /// Copies of the offset in other batches: replaced, or moved by the cleaner.
    pub older_copies: usize,
    /// Readers do not get it any more.
    pub released: bool,
    pub record_batch: Option<RecordBatchReport>,
    pub record: Option<RecordReport>,
    /// What is wrong on the way.
    pub problems: Vec<String>,
    /// Position in the file and content of what is shown: the record, or the start of the entry if that is compressed.
    pub bytes_position: u64,
    pub bytes_hex: String,
}

/// See [`Followed::known`].
#[derive(Clone, Debug, Serialize)]
pub struct GroupLine {
    pub first_index: u64,
    pub last_index: u64,
    pub first_offset: i64,
    pub end_offset: i64,
    pub bytes: u64,
    pub segments: Vec<u64>,
}

/// A group of a recovered log, for people and programs.
pub fn group_line(state: &GroupState) -> GroupLine {
    GroupLine {
        first_index: state.first.get(),
        last_index: state.last.get(),
        first_offset: state.offsets.0.get(),
        end_offset: state.offsets.1.get(),
        bytes: state.bytes,
        segments: distinct(state.runs.iter().map(|(segment, ..)| *segment)),
    }
}

/// The segments of runs in order: one may hold several neighbours.
pub fn distinct(segments: impl Iterator<Item = SegmentId>) -> Vec<u64> {
    let mut all: Vec<u64> = segments.map(SegmentId::get).collect();
    all.dedup();
    all
}

/// An entry that covers the offset.
struct Candidate {
    file: String,
    header: Header,
    batch: batch::Header,
    crc: u32,
    index: Index,
    number: usize,
    found_by: String,
}

/// Follows `offset` of `group` through the shards of `places`; the entry that readers get counts, or the newest one.
///
/// # Errors
/// No entry covers it, or a file cannot be read.
pub fn follow(places: &[Opened], names: &Names, group: GroupId, offset: Offset) -> Result<Followed, InspectError> {
    for Opened { place, dry } in places {
        let mut candidates = Vec::new();
        for (_, name) in shard::files(place)? {
            let path = place.dir.join(&name);
            let read = Source::open(&path).and_then(|mut source| candidates_in(&mut source, &name, group, offset));
            match read {
                Ok(found) => candidates.extend(found),
                // A server has removed it since its name was read.
                Err(error) if place.files.is_none() && error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(InspectError::io("read", &path)(error)),
            }
        }
        if let Some(Verdict::Accepted { last, .. }) = dry.as_ref().map(|d| &d.verdict) {
            candidates.retain(|c| is_cold(c.header.segment) || c.batch.seq <= *last);
        }
        // What readers get is where recovery finds it; the cleaner leaves copies behind. Else the newest of the log.
        let runs = dry.iter().flat_map(|dry| &dry.groups).filter(|g| g.group == group).flat_map(|g| &g.runs);
        let runs: Vec<_> = runs.collect();
        let held = |c: &Candidate| {
            let holds = |(segment, first, last): &&(SegmentId, Index, Index)| {
                *segment == c.header.segment && (*first..=*last).contains(&c.index)
            };
            runs.iter().any(holds)
        };
        candidates.sort_by_key(|c| (held(c), !is_cold(c.header.segment), c.batch.seq, c.number));
        let older = candidates.len().saturating_sub(1);
        if let Some(found) = candidates.pop() {
            return describe(place, dry.as_ref(), names, group, offset, &found, older);
        }
    }
    Err(InspectError::Unknown(not_found(places, names, group, offset)))
}

fn not_found(places: &[Opened], names: &Names, group: GroupId, offset: Offset) -> String {
    let mut known = places.iter().filter_map(|o| o.dry.as_ref()).flat_map(|dry| &dry.groups);
    let label = names.label(group);
    match known.find(|g| g.group == group) {
        Some(state) => format!(
            "no entry of {label} covers offset {offset}: the log holds its offsets from {} to before {}",
            state.offsets.0, state.offsets.1
        ),
        None => format!("no entry of {label} covers offset {offset}: the log holds nothing of it"),
    }
}

fn covers(d: &Descriptor, group: GroupId, offset: Offset) -> bool {
    d.group == group && d.index.get() > 0 && d.first_offset <= offset && offset < d.end_offset()
}

/// Entries of one file that cover the offset: through its footer, or by reading its batches if it has none.
fn candidates_in(source: &mut Source, name: &str, group: GroupId, offset: Offset) -> io::Result<Vec<Candidate>> {
    let Ok(header) = scan::read_header(source, name)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    if let Footer::Intact { index, .. } = scan::read_footer(source, &header)? {
        for e in index.of(group).iter().filter(|e| e.first_offset <= offset && offset < e.end_offset) {
            let by = format!("the footer's extent of entries {} to {}", e.first_index, e.last_index());
            let bytes = source.bytes(u64::from(e.batch), (e.table_end() - e.batch) as usize)?;
            let Some((batch, crc)) = batch::Header::decode(bytes) else { continue };
            for number in e.numbers(e.first_index, e.last_index()) {
                if let Some(d) = Descriptor::decode(&batch, bytes, number).filter(|d| covers(d, group, offset)) {
                    let (file, index, found_by) = (name.into(), d.index, by.clone());
                    found.push(Candidate { file, header, batch, crc, index, number, found_by });
                }
            }
        }
        return Ok(found);
    }
    let scanned = scan::scan(source, name, &|_| None, false, &mut |batch, bytes| {
        for number in 0..batch.header.count as usize {
            if let Some(d) = Descriptor::decode(&batch.header, bytes, number).filter(|d| covers(d, group, offset)) {
                let by = "reading the segment's batches: it has no footer".to_string();
                let (batch, crc) = (batch.header, batch.crc);
                let (file, index) = (name.into(), d.index);
                found.push(Candidate { file, header, batch, crc, index, number, found_by: by });
            }
        }
    })?;
    found.retain(|c| u64::from(c.batch.position) < scanned.end);
    Ok(found)
}

fn describe(
    place: &Place,
    dry: Option<&DryRun>,
    names: &Names,
    group: GroupId,
    offset: Offset,
    found: &Candidate,
    older_copies: usize,
) -> Result<Followed, InspectError> {
    let path = place.dir.join(&found.file);
    let failed = || InspectError::io("read", &path);
    let mut source = Source::open(&path).map_err(failed())?;
    let at = u64::from(found.batch.position);
    let bytes = source.bytes(at, found.batch.total as usize).map_err(failed())?;
    let descriptor = Descriptor::decode(&found.batch, bytes, found.number);
    let payload = descriptor.and_then(|d| Some((d, bytes.get(d.position as usize..d.end() as usize)?)));
    let Some((d, payload)) = payload else {
        return Err(InspectError::Unknown(format!("{}: the batch at {at} changed while it was read", path.display())));
    };
    let mut problems = Vec::new();
    if !batch::table_matches(&found.batch, bytes) {
        problems.push("the checksum of the batch's table is wrong".to_string());
    }
    if found.batch.salt != found.header.salt || found.batch.segment != found.header.segment {
        problems.push("the batch belongs to another use of the file".to_string());
    }
    let entry = shard::entry_report(found.batch.position, &d, d.matches(payload), names);
    if !entry.intact {
        problems.push("a checksum of the entry is wrong".to_string());
    }
    let (record_batch, record) = records_of(&d, payload, offset, &mut problems);
    let (from, len) = record.as_ref().and_then(|r| r.place).unwrap_or((0, payload.len()));
    let shown = &payload[from..from + len.min(SHOWN)];
    let known = dry.and_then(|dry| dry.groups.iter().find(|g| g.group == group));
    Ok(Followed {
        group: group.get(),
        name: names.of_group(group),
        offset: offset.get(),
        known: known.map(group_line),
        directory: place.dir.to_string_lossy().into_owned(),
        file: found.file.clone(),
        segment: found.header.segment.get(),
        salt: format!("{:016x}", found.header.salt),
        found_by: found.found_by.clone(),
        batch: found.batch.seq.get(),
        batch_position: at,
        batch_bytes: found.batch.total,
        batch_entries: found.batch.count,
        batch_durable: found.batch.durable.get(),
        batch_crc: format!("{:08x}", found.crc),
        entry_number: found.number,
        released: known.is_some_and(|g| d.index < g.first),
        bytes_position: entry.position + from as u64,
        bytes_hex: shown.iter().map(|b| format!("{b:02x}")).collect(),
        entry,
        older_copies,
        record_batch,
        record,
        problems,
    })
}

fn records_of(
    d: &Descriptor,
    payload: &[u8],
    offset: Offset,
    problems: &mut Vec<String>,
) -> (Option<RecordBatchReport>, Option<RecordReport>) {
    if d.kind != kind::RECORDS {
        return (None, None);
    }
    let batch = match record::batch(payload) {
        Ok(batch) => batch,
        Err(why) => {
            problems.push(format!("the entry is no record batch: {why}"));
            return (None, None);
        }
    };
    problems.extend(batch.problem.iter().map(|why| format!("the record batch: {why}")));
    let record = record::find(payload, offset.get()).unwrap_or_else(|why| {
        problems.push(format!("the records: {why}"));
        None
    });
    (Some(batch), record)
}

impl Followed {
    /// For people.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let name = self.name.clone().unwrap_or_else(|| format!("group {}", self.group));
        writeln!(out, "{name}, offset {}", self.offset)?;
        match &self.known {
            Some(g) => writeln!(
                out,
                "  group    {}: entries {} to {}, offsets {} to before {}, {} in {} segment(s)",
                self.group,
                g.first_index,
                g.last_index,
                g.first_offset,
                g.end_offset,
                size(g.bytes),
                g.segments.len()
            )?,
            None => writeln!(out, "  group    {}", self.group)?,
        }
        let cold = torc_wal::segment::cold_number(SegmentId(self.segment));
        let number = cold.map_or(self.segment.to_string(), |number| format!("cold {number}"));
        writeln!(out, "  segment  {number} in {}/{}, salt {}", self.directory, self.file, self.salt)?;
        writeln!(out, "           found by {}", self.found_by)?;
        writeln!(
            out,
            "  batch    {} at {}: {} bytes, {} entries, crc {}, written when batches up to {} were durable",
            self.batch, self.batch_position, self.batch_bytes, self.batch_entries, self.batch_crc, self.batch_durable
        )?;
        let e = &self.entry;
        writeln!(
            out,
            "  entry    {} (number {} of the batch): {} of term {}, offsets {}, {} bytes at {}",
            e.index,
            self.entry_number,
            e.kind_name.map_or_else(|| format!("kind {}", e.kind), str::to_string),
            e.term,
            text::offsets(e.first_offset, e.offsets),
            e.bytes,
            e.position
        )?;
        let check = if e.intact { "ok" } else { "WRONG" };
        writeln!(
            out,
            "           crc {} of the first {} bytes, {} of the rest: {check}",
            e.prefix_crc, e.prefix_bytes, e.body_crc
        )?;
        self.write_records(out)?;
        if self.older_copies > 0 {
            let copies = self.older_copies;
            writeln!(
                out,
                "  note     {copies} other batch(es) cover the offset too; this is the one that readers get"
            )?;
        }
        if self.released {
            writeln!(
                out,
                "  note     released: readers do not get it any more, its bytes stay until the file is reused"
            )?;
        }
        for problem in &self.problems {
            writeln!(out, "  PROBLEM  {problem}")?;
        }
        writeln!(out)?;
        self.dump(out)
    }

    fn write_records(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(b) = &self.record_batch {
            let producer = match b.producer_id {
                -1 => "no producer id".to_string(),
                id => format!("producer {id}, epoch {}, sequence {}", b.producer_epoch, b.base_sequence),
            };
            let check = if b.problem.is_none() { "ok" } else { "WRONG" };
            writeln!(
                out,
                "  records  offsets {}..{}, {} records, codec {}, leader epoch {}, {producer}, crc {}: {check}",
                b.base_offset, b.last_offset, b.records, b.codec, b.leader_epoch, b.crc
            )?;
        }
        if let Some(r) = &self.record {
            let text = |bytes: Option<usize>, text: &Option<String>| match (bytes, text) {
                (Some(bytes), Some(text)) => format!("{bytes} bytes \"{text}\""),
                _ => "null".to_string(),
            };
            let place = match r.place {
                Some((at, len)) => format!("{len} bytes at {}", self.entry.position + at as u64),
                None => "inside the compressed batch".to_string(),
            };
            writeln!(out, "  record   {}: {place}, timestamp {}, {} headers", r.offset, r.timestamp, r.headers)?;
            writeln!(out, "           key {}", text(r.key_bytes, &r.key))?;
            writeln!(out, "           value {}", text(r.value_bytes, &r.value))?;
        }
        Ok(())
    }

    /// The bytes at their positions in the file, 16 to a line.
    fn dump(&self, out: &mut dyn Write) -> io::Result<()> {
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex");
        let bytes: Vec<u8> = self.bytes_hex.as_bytes().chunks(2).map(byte).collect();
        for (line, chunk) in bytes.chunks(16).enumerate() {
            let hex: Vec<String> = chunk.iter().map(|b| format!("{b:02x}")).collect();
            let shown: String =
                chunk.iter().map(|&b| if b.is_ascii_graphic() || b == b' ' { char::from(b) } else { '.' }).collect();
            writeln!(out, "  {:>12}  {:<47}  {shown}", self.bytes_position + line as u64 * 16, hex.join(" "))?;
        }
        let whole = self.record.as_ref().and_then(|r| r.place).map_or(self.entry.bytes as usize, |(_, len)| len);
        if whole > bytes.len() {
            writeln!(out, "  {:>12}  and {} bytes more", "", whole - bytes.len())?;
        }
        Ok(())
    }
}
