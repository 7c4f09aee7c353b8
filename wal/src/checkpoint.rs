//! The log's section of a checkpoint: where recovery starts, and what the segments before hold.
//!
//! Recovery reads from the start of the oldest segment without a durable footer. Entries of batches before `next` that
//! it finds there are put into the index only: the checkpoint's other sections contain their effect.

use crate::bytes::Get;
use crate::directory::Group;
use crate::entry::Run;
use crate::segment::is_cold;
use std::collections::BTreeMap;
use torc_base::crc::crc32c;
use torc_base::ids::{BatchSeq, GroupId, Index, Offset, SegmentId};

const MAGIC: [u8; 8] = *b"torcWCP4";
/// The version before entries could be left out: the same, without the word up to where they are, and runs whose entries
/// are as many as their indexes.
const MAGIC_3: [u8; 8] = *b"torcWCP3";
/// The version before a log could be closed: the same, without the word for it.
const MAGIC_2: [u8; 8] = *b"torcWCP2";
/// The version before there were cold segments: as version 2, without them.
const MAGIC_1: [u8; 8] = *b"torcWCP1";
const GROUP_BYTES: usize = 44;
const RUN_BYTES: usize = 64;
const FOOTER_BYTES: usize = 12;

/// What a checkpoint says of the log.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    /// The first batch whose entries are not in the checkpoint. All before it were durable when it was published.
    pub next: BatchSeq,
    /// Recovery reads from the first batch of this segment...
    pub scan: SegmentId,
    /// ...which has this number...
    pub scan_first: BatchSeq,
    /// ...and follows a batch with this checksum.
    pub scan_chain: u32,
    /// Nothing was written behind the last batch before `next`, nor would be in that life of the log: if it ends there,
    /// nothing is missing.
    pub closed: bool,
    /// Segments before `scan` and cold segments that hold live entries, with the lengths of their footers. A cold segment
    /// that is not named here was never published.
    pub footers: BTreeMap<SegmentId, u32>,
    /// All groups, each with its runs in those segments.
    pub groups: Vec<(GroupId, Group)>,
}

impl Section {
    /// The section's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let runs: usize = self.groups.iter().map(|(_, g)| g.runs.len()).sum();
        let bytes = 52 + self.footers.len() * FOOTER_BYTES + self.groups.len() * GROUP_BYTES + runs * RUN_BYTES;
        let mut out = Vec::with_capacity(bytes);
        // The checksum comes first: behind its bytes it would give every section the same outer checksum.
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.next.get().to_le_bytes());
        out.extend_from_slice(&self.scan.get().to_le_bytes());
        out.extend_from_slice(&self.scan_first.get().to_le_bytes());
        out.extend_from_slice(&self.scan_chain.to_le_bytes());
        out.extend_from_slice(&u32::from(self.closed).to_le_bytes());
        out.extend_from_slice(&(self.footers.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.groups.len() as u32).to_le_bytes());
        for (segment, bytes) in &self.footers {
            out.extend_from_slice(&segment.get().to_le_bytes());
            out.extend_from_slice(&bytes.to_le_bytes());
        }
        for (id, group) in &self.groups {
            out.extend_from_slice(&id.get().to_le_bytes());
            out.extend_from_slice(&group.first.get().to_le_bytes());
            out.extend_from_slice(&group.compacted.get().to_le_bytes());
            out.extend_from_slice(&group.last.get().to_le_bytes());
            out.extend_from_slice(&group.end_offset.get().to_le_bytes());
            out.extend_from_slice(&(group.runs.len() as u32).to_le_bytes());
            for run in &group.runs {
                out.extend_from_slice(&run.segment.get().to_le_bytes());
                out.extend_from_slice(&run.first_index.get().to_le_bytes());
                out.extend_from_slice(&run.last_index.get().to_le_bytes());
                out.extend_from_slice(&run.first_offset.get().to_le_bytes());
                out.extend_from_slice(&run.end_offset.get().to_le_bytes());
                out.extend_from_slice(&run.max_timestamp.to_le_bytes());
                out.extend_from_slice(&run.bytes.to_le_bytes());
                out.extend_from_slice(&run.entries.to_le_bytes());
            }
        }
        let crc = crc32c(&out[4..]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a section; what is wrong with it, if it is not one.
    pub fn decode(bytes: &[u8]) -> Result<Section, String> {
        let (crc, body) = bytes.split_first_chunk::<4>().ok_or("the log's section is too short")?;
        if crc32c(body) != u32::from_le_bytes(*crc) {
            return Err("the checksum of the log's section is wrong".to_string());
        }
        Section::read(&mut Get::new(body)).ok_or_else(|| "the log's section makes no sense".to_string())
    }

    fn read(get: &mut Get<'_>) -> Option<Section> {
        let magic = get.bytes::<8>()?;
        if ![MAGIC, MAGIC_3, MAGIC_2, MAGIC_1].contains(&magic) {
            return None;
        }
        let (next, scan) = (BatchSeq(get.u64()?), SegmentId(get.u64()?));
        let (scan_first, scan_chain) = (BatchSeq(get.u64()?), get.u32()?);
        let closed = match magic {
            MAGIC | MAGIC_3 => get.u32()?,
            _ => 0,
        };
        let (footers, groups) = (get.u32()?, get.u32()?);
        let mut section = Section {
            next,
            scan,
            scan_first,
            scan_chain,
            closed: closed == 1,
            footers: BTreeMap::new(),
            groups: Vec::new(),
        };
        if closed > 1 || scan_first.get() == 0 || next < scan_first {
            return None;
        }
        for _ in 0..footers {
            let (segment, bytes) = (SegmentId(get.u64()?), get.u32()?);
            if segment >= scan && (magic == MAGIC_1 || !is_cold(segment)) {
                return None;
            }
            section.footers.insert(segment, bytes);
        }
        for _ in 0..groups {
            let (id, group) = read_group(get, &section.footers, magic == MAGIC)?;
            if section.groups.last().is_some_and(|(before, _)| *before >= id) {
                return None;
            }
            section.groups.push((id, group));
        }
        (get.left() == 0).then_some(section)
    }
}

fn read_group(get: &mut Get<'_>, footers: &BTreeMap<SegmentId, u32>, gaps: bool) -> Option<(GroupId, Group)> {
    let id = GroupId(get.u64()?);
    let first = Index(get.u64()?);
    let compacted = if gaps { Index(get.u64()?) } else { Index(0) };
    let (last, end_offset) = (Index(get.u64()?), Offset(get.i64()?));
    let mut group = Group { first, compacted, last, end_offset, runs: Vec::new() };
    for _ in 0..get.u32()? {
        let mut run = Run {
            segment: SegmentId(get.u64()?),
            first_index: Index(get.u64()?),
            last_index: Index(get.u64()?),
            first_offset: Offset(get.i64()?),
            end_offset: Offset(get.i64()?),
            max_timestamp: get.i64()?,
            bytes: get.u64()?,
            entries: 0,
        };
        let follows = group.runs.last().is_none_or(|b| b.last_index < run.first_index);
        let indexes = run.last_index.get().checked_sub(run.first_index.get())?.checked_add(1)?;
        run.entries = if gaps { get.u64()? } else { indexes };
        let sound = run.first_index.get() > 0
            && run.last_index.get() < u64::MAX
            && run.first_offset <= run.end_offset
            && run.bytes < 1 << 40
            && run.entries <= indexes;
        if !follows || !sound || !footers.contains_key(&run.segment) {
            return None;
        }
        group.runs.push(run);
    }
    (compacted.get() <= last.get().checked_add(1)?).then_some((id, group))
}
