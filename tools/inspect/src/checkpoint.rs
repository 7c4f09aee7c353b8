//! What checkpoint files hold: their sections, whether they are as they were written, and what they say.

use crate::columns::{Align, Columns, size};
use crate::dry_run::{CATALOG, LOG};
use crate::follow::{GroupLine, distinct};
use crate::names::{self, Names};
use crate::place::{self, InspectError, Place};
use crate::source::Source;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;
use torc_base::crc;
use torc_base::ids::GroupId;
use torc_base::limits::PAGE;
use torc_snapshot::{Line, Section};
use torc_wal::checkpoint::Section as LogSection;
use torc_wal::segment::is_cold;

/// Read at once.
const CHUNK: usize = 1 << 20;

/// One section.
#[derive(Debug, Serialize)]
pub struct SectionReport {
    pub name: String,
    /// What it holds, if this torc knows it.
    pub holds: Option<&'static str>,
    /// In the file.
    pub position: u64,
    pub bytes: u64,
    /// As the header page says.
    pub crc: String,
    pub intact: bool,
}

/// What the log's section says.
#[derive(Debug, Serialize)]
pub struct LogReport {
    /// Batches before this one are in the checkpoint.
    pub next_batch: u64,
    /// Where recovery starts to read.
    pub scan_segment: u64,
    pub scan_first_batch: u64,
    /// The log was closed: an orderly stop.
    pub closed: bool,
    /// Segments before it whose footers are relied upon.
    pub sealed_segments: usize,
    /// How many of these the cleaner wrote.
    pub cold_segments: usize,
    pub groups: usize,
    pub entries: u64,
    /// Payload bytes in the segments before `scan_segment`.
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_list: Option<Vec<NamedGroup>>,
}

/// One group of the log's section.
#[derive(Debug, Serialize)]
pub struct NamedGroup {
    pub group: u64,
    pub name: Option<String>,
    #[serde(flatten)]
    pub state: GroupLine,
}

/// What the catalog's section says.
#[derive(Debug, Serialize)]
pub struct CatalogReport {
    pub topics: usize,
    pub partitions: usize,
    /// The last command of the catalog's log that is in it.
    pub applied: u64,
}

/// One file.
#[derive(Debug, Serialize)]
pub struct CheckpointReport {
    pub file: String,
    pub file_bytes: u64,
    pub number: Option<u64>,
    /// `published`: the newest, which recovery reads. `old` and `unfinished` are removed by the next start.
    pub state: &'static str,
    pub problem: Option<String>,
    pub sections: Vec<SectionReport>,
    pub log: Option<LogReport>,
    pub catalog: Option<CatalogReport>,
}

impl CheckpointReport {
    /// True if recovery would refuse it.
    pub fn is_corrupt(&self) -> bool {
        self.state == "published" && self.problem.is_some()
    }
}

fn holds(section: Section) -> Option<&'static str> {
    Some(match &section.0 {
        b"SHRD" => "shard",
        b"GRPS" => "groups: terms, votes, partitions",
        b"CATL" => "catalog: topics",
        b"WAL " => "log: segments, runs",
        _ => return None,
    })
}

/// All checkpoint files of a place.
///
/// # Errors
/// The directory cannot be listed, or a file not be read.
pub fn inspect(place: &Place, names: &Names, with_groups: bool) -> Result<Vec<CheckpointReport>, InspectError> {
    let all = place::names(&place.dir)?;
    let newest = all.iter().filter_map(|name| torc_snapshot::number(name)).max();
    let mut wanted: Vec<String> = all.into_iter().filter(|name| name.starts_with("checkpoint-")).collect();
    if let Some(files) = &place.files {
        wanted.retain(|name| files.contains(name));
    }
    let mut reports = Vec::new();
    for name in wanted {
        let path = place.dir.join(&name);
        let number = torc_snapshot::number(&name);
        let state = match number {
            None => "unfinished",
            Some(_) if number == newest => "published",
            Some(_) => "old",
        };
        match one(&path, name, state, names, with_groups) {
            Ok(report) => reports.push(report),
            // A server has replaced it since its name was read.
            Err(error) if place.files.is_none() && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(InspectError::io("read", &path)(error)),
        }
    }
    Ok(reports)
}

fn one(
    path: &Path,
    file: String,
    state: &'static str,
    names: &Names,
    with_groups: bool,
) -> io::Result<CheckpointReport> {
    let mut source = Source::open(path)?;
    let number = torc_snapshot::number(file.strip_suffix(".tmp").unwrap_or(&file));
    let mut report = CheckpointReport {
        file,
        file_bytes: source.len(),
        number,
        state,
        problem: None,
        sections: Vec::new(),
        log: None,
        catalog: None,
    };
    let page = source.bytes(0, PAGE)?;
    let header = match torc_snapshot::decode_header(page, number.unwrap_or(0)) {
        Ok(header) => header,
        Err(problem) => {
            report.problem = Some(problem);
            return Ok(report);
        }
    };
    if source.len() != PAGE as u64 + header.bytes {
        report.problem = Some(format!("has {} bytes, its header says {}", source.len(), PAGE as u64 + header.bytes));
    }
    let mut at = PAGE as u64;
    for line in &header.sections {
        let intact = checksum(&mut source, at, line.bytes)? == Some(line.crc);
        if intact {
            let problem = report.look_into(&mut source, at, line, names, with_groups)?;
            report.problem = report.problem.take().or(problem);
        } else {
            let problem = format!("section {:?} at byte {at}: the checksum does not match", line.section);
            report.problem = report.problem.take().or(Some(problem));
        }
        report.sections.push(SectionReport {
            name: String::from_utf8_lossy(&line.section.0).trim_end().to_string(),
            holds: holds(line.section),
            position: at,
            bytes: line.bytes,
            crc: format!("{:08x}", line.crc),
            intact,
        });
        at += line.bytes;
    }
    Ok(report)
}

/// CRC32C of a stretch of the file; `None` if the file ends before it does.
fn checksum(source: &mut Source, mut at: u64, bytes: u64) -> io::Result<Option<u32>> {
    let (end, mut sum) = (at + bytes, 0);
    while at < end {
        let chunk = source.bytes(at, (end - at).min(CHUNK as u64) as usize)?;
        if chunk.is_empty() {
            return Ok(None);
        }
        sum = crc::extend(sum, chunk);
        at += chunk.len() as u64;
    }
    Ok(Some(sum))
}

impl CheckpointReport {
    /// Decodes a section that this tool can say something about; what is wrong with it.
    fn look_into(
        &mut self,
        source: &mut Source,
        at: u64,
        line: &Line,
        names: &Names,
        with_groups: bool,
    ) -> io::Result<Option<String>> {
        if line.section != LOG && line.section != CATALOG {
            return Ok(None);
        }
        let bytes = source.bytes(at, line.bytes as usize)?;
        Ok(match line.section {
            LOG => match LogSection::decode(bytes) {
                Ok(section) => {
                    self.log = Some(log_report(&section, names, with_groups));
                    None
                }
                Err(why) => Some(why),
            },
            _ => match names::decode(bytes) {
                Ok(catalog) => {
                    let topics = catalog.topics().len();
                    let applied = catalog.applied().get();
                    self.catalog = Some(CatalogReport { topics, partitions: catalog.partitions(), applied });
                    None
                }
                Err(why) => Some(format!("the catalog: {why}")),
            },
        })
    }

    /// For people.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}: {}, {}", self.file, self.state, size(self.file_bytes))?;
        let mut columns = Columns::new(&[
            ("SECTION", Align::Left),
            ("POSITION", Align::Right),
            ("BYTES", Align::Right),
            ("CRC", Align::Left),
            ("CHECK", Align::Left),
            ("HOLDS", Align::Left),
        ]);
        for s in &self.sections {
            columns.row([
                s.name.clone(),
                s.position.to_string(),
                s.bytes.to_string(),
                s.crc.clone(),
                if s.intact { "ok" } else { "WRONG" }.to_string(),
                s.holds.unwrap_or("unknown to this torc").to_string(),
            ]);
        }
        if !columns.is_empty() {
            columns.write(2, out)?;
        }
        if let Some(problem) = &self.problem {
            writeln!(out, "  PROBLEM: {problem}")?;
        }
        if let Some(c) = &self.catalog {
            let (topics, partitions) = (c.topics, c.partitions);
            writeln!(out, "  catalog: {topics} topics, {partitions} partitions, as of its command {}", c.applied)?;
        }
        if let Some(log) = &self.log {
            log.write(out)?;
        }
        writeln!(out)
    }
}

fn log_report(section: &LogSection, names: &Names, with_groups: bool) -> LogReport {
    let named = |(id, group): &(GroupId, torc_wal::Group)| NamedGroup {
        group: id.get(),
        name: names.of_group(*id),
        state: GroupLine {
            first_index: group.first.get(),
            last_index: group.last.get(),
            first_offset: group.runs.first().map_or(group.end_offset, |run| run.first_offset).get(),
            end_offset: group.end_offset.get(),
            bytes: group.runs.iter().map(|run| run.bytes).sum(),
            segments: distinct(group.runs.iter().map(|run| run.segment)),
        },
    };
    let entries = |g: &torc_wal::Group| (g.last.get() + 1).saturating_sub(g.first.get());
    LogReport {
        next_batch: section.next.get(),
        scan_segment: section.scan.get(),
        scan_first_batch: section.scan_first.get(),
        closed: section.closed,
        sealed_segments: section.footers.len(),
        cold_segments: section.footers.keys().filter(|id| is_cold(**id)).count(),
        groups: section.groups.len(),
        entries: section.groups.iter().map(|(_, g)| entries(g)).sum(),
        bytes: section.groups.iter().flat_map(|(_, g)| &g.runs).map(|run| run.bytes).sum(),
        group_list: with_groups.then(|| section.groups.iter().map(named).collect()),
    }
}

impl LogReport {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "  log: holds batches up to {}{}; recovery reads from segment {}, batch {}",
            self.next_batch - 1,
            if self.closed { ", where the log was closed" } else { "" },
            self.scan_segment,
            self.scan_first_batch
        )?;
        writeln!(
            out,
            "  groups: {} with {} entries; {} in {} sealed segments, {} of them cold",
            self.groups,
            self.entries,
            size(self.bytes),
            self.sealed_segments,
            self.cold_segments
        )?;
        let Some(groups) = &self.group_list else { return Ok(()) };
        let mut columns = Columns::new(&[
            ("GROUP", Align::Right),
            ("NAME", Align::Left),
            ("FIRST INDEX", Align::Right),
            ("LAST INDEX", Align::Right),
            ("END OFFSET", Align::Right),
            ("SEALED BYTES", Align::Right),
            ("SEGMENTS", Align::Right),
        ]);
        for g in groups {
            columns.row([
                g.group.to_string(),
                g.name.clone().unwrap_or_default(),
                g.state.first_index.to_string(),
                g.state.last_index.to_string(),
                g.state.end_offset.to_string(),
                size(g.state.bytes),
                g.state.segments.len().to_string(),
            ]);
        }
        columns.write(4, out)
    }
}
