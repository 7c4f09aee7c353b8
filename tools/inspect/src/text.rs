//! Reports for people.

use crate::columns::{Align, Columns, size};
use crate::dry_run::{DryRun, Verdict};
use crate::place::Place;
use crate::shard::{BatchReport, Detail, EntryReport, SegmentReport};
use std::io::{self, Write};
use torc_base::ids::SegmentId;
use torc_wal::segment;

/// Writes a shard's report piece by piece; the table of segments comes last, since its columns are aligned.
pub struct ShardText {
    segments: Columns,
    remarks: Vec<String>,
}

/// Cold segments are shown by their own numbers.
fn number(segment: u64) -> u64 {
    segment::cold_number(SegmentId(segment)).unwrap_or(segment)
}

/// `segment 7` or `cold segment 7`.
pub fn segment(id: u64) -> String {
    let kind = if segment::is_cold(SegmentId(id)) { "cold segment" } else { "segment" };
    format!("{kind} {}", number(id))
}

fn optional(number: Option<impl ToString>) -> String {
    number.map(|n| n.to_string()).unwrap_or_default()
}

/// Where the shard is and who runs on it.
pub fn heading(place: &Place, server: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
    match place.shard {
        Some(shard) => writeln!(out, "shard {shard}: {}", place.dir.display())?,
        None => writeln!(out, "shard: {}", place.dir.display())?,
    }
    if let Some(server) = server {
        writeln!(out, "warning: {server} runs on it: what is said of the log's end may already have changed")?;
    }
    Ok(())
}

impl ShardText {
    /// Nothing written yet.
    pub fn new() -> ShardText {
        use Align::{Left, Right};
        let segments = Columns::new(&[
            ("FILE", Left),
            ("KIND", Left),
            ("SEGMENT", Right),
            ("SALT", Left),
            ("STATE", Left),
            ("FIRST BATCH", Right),
            ("LAST BATCH", Right),
            ("BATCHES", Right),
            ("ENTRIES", Right),
            ("PAYLOAD", Right),
            ("USED", Right),
            ("LIVE", Right),
            ("FOOTER", Left),
            ("CHAIN", Left),
        ]);
        ShardText { segments, remarks: Vec::new() }
    }

    /// Writes the details of a segment and keeps its line for the table.
    pub fn segment(&mut self, report: &SegmentReport, detail: Detail, out: &mut dyn Write) -> io::Result<()> {
        let name = report.segment.map_or(report.file.clone(), |id| format!("{}, {}", report.file, segment(id)));
        if let Some(batches) = report.batch_list.as_ref().filter(|list| !list.is_empty()) {
            writeln!(out, "\n{name}: {} batches", batches.len())?;
            if detail.entries { with_entries(batches, out)? } else { batch_columns(batches).write(2, out)? }
        }
        if let Some(extents) = report.extent_list.as_ref().filter(|list| !list.is_empty()) {
            writeln!(out, "\n{name}: {} extents", extents.len())?;
            extent_columns(extents).write(2, out)?;
        }
        self.row(report);
        self.remark(report, &name);
        Ok(())
    }

    fn row(&mut self, report: &SegmentReport) {
        let live = report.live_bytes.map(|bytes| if bytes == 0 { "0".to_string() } else { size(bytes) });
        let footer = report.footer.as_ref().map(|f| match (f.intact, f.agrees) {
            (false, _) => "damaged".to_string(),
            (true, Some(false)) => "differs".to_string(),
            (true, _) => format!("{} extents", f.extents),
        });
        self.segments.row([
            report.file.clone(),
            report.kind.unwrap_or_default().to_string(),
            optional(report.segment.map(number)),
            report.salt.clone().unwrap_or_default(),
            report.state.name().to_string(),
            optional(report.first_batch),
            optional(report.last_batch),
            report.batches.to_string(),
            report.entries.to_string(),
            size(report.payload_bytes),
            report.used_bytes.to_string(),
            live.unwrap_or_else(|| "?".to_string()),
            footer.unwrap_or_default(),
            chain(report),
        ]);
    }

    fn remark(&mut self, report: &SegmentReport, name: &str) {
        for found in &report.breaks {
            let judged = match &found.proof {
                Some(proof) => format!("corruption: {proof}"),
                None => {
                    format!("torn: an unfinished write, never acknowledged; {} piece(s) are cut", report.cut_pieces)
                }
            };
            self.remarks.push(format!("{name}, position {}: {}\n  {judged}", found.position, found.what));
        }
        if let Some(footer) = &report.footer {
            if !footer.intact {
                self.remarks.push(format!(
                    "{name}: the footer's extents are damaged: a server finds what they said in the batches"
                ));
            } else if footer.agrees == Some(false) {
                self.remarks.push(format!("{name}: the footer's extents are not those of the batches"));
            }
        }
        self.remarks.extend(report.notes.iter().map(|note| format!("{name}: {note}")));
    }

    /// Writes the table, the remarks, and what a start would say.
    pub fn finish(&self, dry: Option<&DryRun>, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out)?;
        if self.segments.is_empty() {
            writeln!(out, "there are no segments")?;
        } else {
            self.segments.write(0, out)?;
        }
        for remark in &self.remarks {
            writeln!(out, "\n{remark}")?;
        }
        if let Some(dry) = dry {
            writeln!(out, "\n{}\n{}", checkpoint_line(dry), verdict_line(&dry.verdict))?;
        }
        writeln!(out)
    }
}

fn chain(report: &SegmentReport) -> String {
    let more = |n: usize| if n > 1 { format!(" (and {} more)", n - 1) } else { String::new() };
    match report.breaks.first() {
        None if report.batches == 0 => String::new(),
        None => "ok".to_string(),
        Some(first) if first.proof.is_some() => {
            format!("CORRUPT at {}{}", first.position, more(report.breaks.len()))
        }
        Some(first) => format!("torn at {}", first.position),
    }
}

/// What the checkpoint says of the log.
pub fn checkpoint_line(dry: &DryRun) -> String {
    match (&dry.section, dry.checkpoint) {
        (Some(section), Some(number)) => format!(
            "checkpoint {number}: holds batches up to {}; recovery reads from segment {}, batch {}",
            section.next.get() - 1,
            section.scan,
            section.scan_first
        ),
        (None, Some(number)) => format!("checkpoint {number}: its section of the log cannot be read"),
        _ => "there is no usable checkpoint: recovery reads from segment 1".to_string(),
    }
}

/// What a start would say.
pub fn verdict_line(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Fresh => "a start would find no log here and make one".to_string(),
        Verdict::Accepted { last, torn: None } => format!("a start would accept the log: it ends with batch {last}"),
        Verdict::Accepted { last, torn: Some(torn) } => {
            format!("a start would accept the log: it ends with batch {last}, behind it {torn}")
        }
        Verdict::Refused { why, .. } => format!("a start would REFUSE the log: {why}"),
        Verdict::Moving { why } => {
            format!("the log is written faster than it is read: what a start would say cannot be told (last: {why})")
        }
    }
}

fn batch_columns(batches: &[BatchReport]) -> Columns {
    use Align::{Left, Right};
    let mut columns = Columns::new(&[
        ("BATCH", Right),
        ("POSITION", Right),
        ("BYTES", Right),
        ("BLOCK", Right),
        ("ENTRIES", Right),
        ("PAYLOAD", Right),
        ("DURABLE", Right),
        ("CHAIN", Left),
        ("CRC", Left),
        ("LIFE", Left),
        ("CHECK", Left),
    ]);
    for b in batches {
        columns.row([
            b.seq.to_string(),
            b.position.to_string(),
            b.bytes.to_string(),
            b.block_bytes.to_string(),
            b.entry_count.to_string(),
            b.payload_bytes.to_string(),
            b.durable.to_string(),
            b.chain.clone(),
            b.crc.clone(),
            b.life.clone(),
            b.damage.clone().unwrap_or_else(|| "ok".to_string()),
        ]);
    }
    columns
}

fn with_entries(batches: &[BatchReport], out: &mut dyn Write) -> io::Result<()> {
    for b in batches {
        writeln!(
            out,
            "  batch {} at {}, {} bytes, batches up to {} durable, crc {} behind {}: {}",
            b.seq,
            b.position,
            b.bytes,
            b.durable,
            b.crc,
            b.chain,
            b.damage.as_deref().unwrap_or("ok")
        )?;
        let entries = b.entries.as_deref().unwrap_or_default();
        if !entries.is_empty() {
            entry_columns(entries).write(4, out)?;
        }
    }
    Ok(())
}

fn entry_columns(entries: &[EntryReport]) -> Columns {
    use Align::{Left, Right};
    let mut columns = Columns::new(&[
        ("GROUP", Right),
        ("NAME", Left),
        ("KIND", Left),
        ("TERM", Right),
        ("INDEX", Right),
        ("OFFSETS", Left),
        ("TIMESTAMP", Right),
        ("POSITION", Right),
        ("BYTES", Right),
        ("CRC", Left),
        ("CHECK", Left),
    ]);
    for e in entries {
        columns.row([
            e.group.to_string(),
            e.name.clone().unwrap_or_default(),
            e.kind_name.map_or_else(|| e.kind.to_string(), str::to_string),
            e.term.to_string(),
            if e.index == 0 { String::new() } else { e.index.to_string() },
            offsets(e.first_offset, e.offsets),
            if e.max_timestamp < 0 { String::new() } else { e.max_timestamp.to_string() },
            e.position.to_string(),
            e.bytes.to_string(),
            e.body_crc.clone(),
            if e.intact { "ok" } else { "WRONG" }.to_string(),
        ]);
    }
    columns
}

/// `7`, `7..9` with both ends, or nothing.
pub fn offsets(first: i64, count: u32) -> String {
    match count {
        0 => String::new(),
        1 => first.to_string(),
        _ => format!("{first}..{}", first + i64::from(count) - 1),
    }
}

fn extent_columns(extents: &[crate::shard::ExtentReport]) -> Columns {
    use Align::{Left, Right};
    let mut columns = Columns::new(&[
        ("GROUP", Right),
        ("NAME", Left),
        ("INDEXES", Left),
        ("OFFSETS", Left),
        ("BATCH AT", Right),
        ("ENTRY", Right),
        ("POSITION", Right),
        ("BYTES", Right),
    ]);
    for e in extents {
        columns.row([
            e.group.to_string(),
            e.name.clone().unwrap_or_default(),
            format!("{}..{}", e.first_index, e.last_index),
            if e.first_offset == e.end_offset {
                String::new()
            } else {
                format!("{}..{}", e.first_offset, e.end_offset - 1)
            },
            e.batch_position.to_string(),
            e.first_entry.to_string(),
            e.position.to_string(),
            e.bytes.to_string(),
        ]);
    }
    columns
}
