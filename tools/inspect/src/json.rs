//! Reports for programs: one document, written piece by piece so that a long log needs no memory.

use crate::dry_run::{DryRun, Verdict};
use crate::place::Place;
use crate::shard::SegmentReport;
use serde_json::{Value, json};
use std::io::{self, Write};

/// Writes `{"shards":[{..., "segments":[...]}, ...]}`.
#[derive(Default)]
pub struct JsonWriter {
    shards: usize,
    segments: usize,
}

impl JsonWriter {
    /// Opens the next shard.
    pub fn begin_shard(&mut self, place: &Place, server: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
        let open = if self.shards == 0 { "{\"shards\":[" } else { "," };
        let (path, server) = (json!(place.dir.to_string_lossy()), json!(server));
        write!(out, "{open}\n{{\"path\":{path},\"shard\":{},\"server\":{server},\"segments\":[", json!(place.shard))?;
        (self.shards, self.segments) = (self.shards + 1, 0);
        Ok(())
    }

    /// Adds a segment to it.
    pub fn segment(&mut self, report: &SegmentReport, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(if self.segments == 0 { b"\n" } else { b",\n" })?;
        self.segments += 1;
        serde_json::to_writer(&mut *out, report).map_err(io::Error::from)
    }

    /// Closes it with what a start would say.
    pub fn end_shard(&mut self, dry: Option<&DryRun>, out: &mut dyn Write) -> io::Result<()> {
        let start = dry.map(|dry| verdict(&dry.verdict));
        let checkpoint = dry.and_then(checkpoint);
        write!(out, "],\n\"checkpoint\":{},\"start\":{}}}", json!(checkpoint), json!(start))
    }

    /// Closes the document.
    pub fn finish(self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}\n]}}", if self.shards == 0 { "{\"shards\":[" } else { "" })
    }
}

fn verdict(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Fresh => json!({ "verdict": "fresh" }),
        Verdict::Accepted { last, torn } => json!({ "verdict": "accepted", "last_batch": last.get(), "torn": torn }),
        Verdict::Moving { why } => json!({ "verdict": "moving", "why": why }),
        Verdict::Refused { why, at } => json!({
            "verdict": "refused",
            "why": why,
            "file": at.as_ref().map(|c| c.file.clone()),
            "position": at.as_ref().map(|c| c.position),
        }),
    }
}

fn checkpoint(dry: &DryRun) -> Option<Value> {
    let (number, section) = (dry.checkpoint?, dry.section.as_ref()?);
    Some(json!({
        "number": number,
        "next_batch": section.next.get(),
        "scan_segment": section.scan.get(),
        "scan_first_batch": section.scan_first.get(),
    }))
}
