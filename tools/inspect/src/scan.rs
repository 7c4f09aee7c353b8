//! Goes through one segment file batch by batch, checks every checksum, and notes where the chain breaks.
//!
//! A break is a torn write, unless something proves that the missing batch had been durable: then it is corruption. The
//! rules are recovery's (design section 4), which stops at the first break; this goes on behind it.

use crate::source::Source;
use std::io;
use torc_base::ids::{BatchSeq, SegmentId};
use torc_base::limits::PAGE;
use torc_wal::batch::{self, Damage, Descriptor};
use torc_wal::segment::{self, BATCHES_START, Header, Slot, Trailer};
use torc_wal::{SegmentIndex, extents_of};

/// Breaks of one segment that are told one by one.
const BREAKS_MAX: usize = 100;

/// The footer of a segment.
#[derive(Debug)]
pub enum Footer {
    /// The last page is no trailer of this segment: it was not sealed.
    Absent,
    /// All of it is as it was written; bytes on disk.
    Intact { trailer: Trailer, index: SegmentIndex, bytes: usize },
    /// The trailer is intact, the extents are not.
    Damaged { trailer: Trailer },
}

impl Footer {
    /// The trailer, if it is intact.
    pub fn trailer(&self) -> Option<&Trailer> {
        match self {
            Footer::Absent => None,
            Footer::Intact { trailer, .. } | Footer::Damaged { trailer } => Some(trailer),
        }
    }
}

/// A batch that was found.
#[derive(Clone, Debug)]
pub struct FoundBatch {
    /// Its header.
    pub header: batch::Header,
    /// The header's checksum: what the next batch must name.
    pub crc: u32,
    /// Bytes of its entries.
    pub payload_bytes: u64,
    /// Its entries; only if they were asked for.
    pub entries: Vec<(Descriptor, bool)>,
    /// What of it is not as it was written.
    pub damage: Option<String>,
}

/// A place where the batch that should be there is not, or not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// In the file.
    pub position: u64,
    /// The batch that should be there, if that is known.
    pub missing: Option<BatchSeq>,
    /// What is wrong.
    pub what: String,
    /// What proves that it had been durable; without a proof it counts as torn.
    pub proof: Option<String>,
}

/// The first batch of a segment and the checksum of the one before it, as the log's order demands them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its number.
    pub seq: BatchSeq,
    /// Checksum of the batch before.
    pub chain: u32,
}

/// What a segment file holds.
#[derive(Debug)]
pub struct Scanned {
    /// The file's bytes.
    pub file_bytes: u64,
    /// The header page, if it is intact.
    pub header: Option<Header>,
    /// What is wrong with the header page.
    pub header_problem: Option<String>,
    /// The footer.
    pub footer: Footer,
    /// All whole batches of this segment, up to its end; behind a tear none.
    pub batches: Vec<FoundBatch>,
    /// Where the batches end.
    pub end: u64,
    /// Why nothing follows there; empty for a sealed segment.
    pub end_what: String,
    /// Breaks with a proof, and at most one without, at the end.
    pub breaks: Vec<Break>,
    /// Pieces of unfinished writes behind the end.
    pub pieces: u64,
    /// Whether the footer's extents are those of the batches; `None` if that cannot be said.
    pub footer_agrees: Option<bool>,
}

impl Scanned {
    /// What the first batch of the next segment must be.
    pub fn next(&self) -> Option<Expected> {
        self.batches.last().map(|last| Expected { seq: last.header.seq.next(), chain: last.crc })
    }

    fn empty(file_bytes: u64, header: Option<Header>, problem: Option<String>) -> Scanned {
        Scanned {
            file_bytes,
            header,
            header_problem: problem,
            footer: Footer::Absent,
            batches: Vec::new(),
            end: u64::from(BATCHES_START),
            end_what: String::new(),
            breaks: Vec::new(),
            pieces: 0,
            footer_agrees: None,
        }
    }
}

/// Reads the header page.
pub fn read_header(source: &mut Source, name: &str) -> io::Result<Result<Header, String>> {
    let bytes = source.len();
    let page = source.bytes(0, 2 * PAGE)?;
    let Some(header) = Header::decode(page) else {
        let first = page.get(PAGE..).and_then(batch::Header::decode);
        return Ok(Err(match first {
            Some((first, _)) => format!("the header page is damaged; its first batch is of segment {}", first.segment),
            None if page.iter().all(|&b| b == 0) => "the header page is empty: the file was never finished".to_string(),
            None => "there is no intact header page".to_string(),
        }));
    };
    Ok(match Slot::of_name(name) {
        Some(slot) if slot != header.slot => {
            Err(format!("the header page was written for {}", header.slot.file_name()))
        }
        _ if header.bytes != bytes => Err(format!("the file has {bytes} bytes, its header says {}", header.bytes)),
        _ => Ok(header),
    })
}

/// Reads the footer.
pub fn read_footer(source: &mut Source, header: &Header) -> io::Result<Footer> {
    let Some(at) = header.bytes.checked_sub(PAGE as u64) else { return Ok(Footer::Absent) };
    let trailer = Trailer::decode(source.bytes(at, PAGE)?);
    let Some(trailer) = trailer.filter(|t| t.segment == header.segment && t.salt == header.salt) else {
        return Ok(Footer::Absent);
    };
    let bytes = segment::footer_bytes(trailer.extents as usize);
    let start = header.bytes.checked_sub(bytes as u64).filter(|&start| start >= u64::from(trailer.end));
    let Some(start) = start else { return Ok(Footer::Damaged { trailer }) };
    Ok(match segment::decode_footer(header.segment, header.salt, source.bytes(start, bytes)?) {
        Some((index, trailer)) => Footer::Intact { trailer, index, bytes },
        None => Footer::Damaged { trailer },
    })
}

/// Goes through a segment file. `expected` is its first batch, if the one before is known; `each` sees every batch with
/// its bytes.
pub fn scan(
    source: &mut Source,
    name: &str,
    expected: &dyn Fn(SegmentId) -> Option<Expected>,
    with_entries: bool,
    each: &mut dyn FnMut(&FoundBatch, &[u8]),
) -> io::Result<Scanned> {
    let header = match read_header(source, name)? {
        Ok(header) => header,
        Err(problem) => return Ok(Scanned::empty(source.len(), None, Some(problem))),
    };
    let footer = read_footer(source, &header)?;
    let mut out = Scanned::empty(source.len(), Some(header), None);
    let limit = footer.trailer().map_or(header.bytes, |t| u64::from(t.end).min(header.bytes));
    let mut walk = Walk { header, limit, expected: expected(header.segment), index: SegmentIndex::default() };
    let mut at = u64::from(BATCHES_START);
    while at < limit {
        match walk.take(source, at, with_entries, each)? {
            Ok(found) => {
                out.end = at + u64::from(found.header.total);
                prove(&mut out.breaks, &found.header);
                if let Some(what) = &found.damage {
                    out.breaks.push(Break {
                        position: at,
                        missing: Some(found.header.seq),
                        what: what.clone(),
                        proof: None,
                    });
                }
                at = out.end;
                out.batches.push(found);
            }
            Err(what) => {
                let missing = walk.expected.map(|e| e.seq);
                let (evidence, pieces) = walk.look_behind(source, at)?;
                let is_sealed = footer.trailer().is_some();
                match evidence {
                    Some(found) => {
                        out.breaks.push(Break { position: at, missing, what, proof: None });
                        walk.expected = None;
                        at = found;
                    }
                    None => {
                        if is_sealed || pieces > 0 {
                            out.breaks.push(Break { position: at, missing, what: what.clone(), proof: None });
                        }
                        (out.end, out.end_what, out.pieces) = (at, what, pieces);
                        break;
                    }
                }
            }
        }
        out.breaks.truncate(BREAKS_MAX);
    }
    if let Some(trailer) = footer.trailer() {
        out.seal(trailer);
    }
    if let Footer::Intact { index, .. } = &footer {
        out.footer_agrees = out.breaks.is_empty().then(|| *index == walk.index);
    }
    out.footer = footer;
    Ok(out)
}

/// The batch was written when all up to its durable mark were on stable storage.
fn prove(breaks: &mut [Break], header: &batch::Header) {
    for open in breaks.iter_mut().filter(|b| b.proof.is_none()) {
        // Which batch is missing is not known if it is the first one; it came before this one.
        let missing = open.missing.map_or(header.seq.get() - 1, BatchSeq::get);
        if header.durable.get() >= missing {
            open.proof = Some(format!(
                "batch {} at {} was written when batches up to {} were durable",
                header.seq, header.position, header.durable
            ));
        }
    }
}

impl Scanned {
    /// The footer was written when all batches of the segment were durable.
    fn seal(&mut self, trailer: &Trailer) {
        let last = self.batches.last().map(|b| (b.header.seq, b.crc));
        if self.breaks.is_empty() && last != Some((trailer.last, trailer.chain)) {
            let what = match last {
                Some((seq, _)) => format!("the last batch is {seq}, the footer names batch {}", trailer.last),
                None => format!("there are no batches, the footer names batch {}", trailer.last),
            };
            self.breaks.push(Break { position: self.end, missing: Some(trailer.last), what, proof: None });
        }
        for open in self.breaks.iter_mut().filter(|b| b.proof.is_none()) {
            open.proof = Some(format!("the footer says that batches up to {} were durable", trailer.last));
        }
    }

    /// What is known from elsewhere has been added as proofs: the first break that has none is where the log was torn,
    /// and nothing behind it counts.
    pub fn settle(&mut self) {
        let Some(at) = self.breaks.iter().position(|b| b.proof.is_none()) else { return };
        self.breaks.truncate(at + 1);
        let torn = &self.breaks[at];
        self.end = torn.position;
        self.end_what.clone_from(&torn.what);
        let kept = self.batches.iter().position(|b| u64::from(b.header.position) >= self.end);
        if let Some(kept) = kept {
            self.pieces += (self.batches.len() - kept) as u64;
            self.batches.truncate(kept);
        }
    }
}

struct Walk {
    header: Header,
    limit: u64,
    /// The next batch; `None` at a start that nothing leads to.
    expected: Option<Expected>,
    index: SegmentIndex,
}

impl Walk {
    fn take(
        &mut self,
        source: &mut Source,
        at: u64,
        with_entries: bool,
        each: &mut dyn FnMut(&FoundBatch, &[u8]),
    ) -> io::Result<Result<FoundBatch, String>> {
        let (header, crc) = match self.head(at, source.bytes(at, PAGE)?) {
            Ok(found) => found,
            Err(what) => return Ok(Err(what)),
        };
        let bytes = source.bytes(at, header.total as usize)?;
        if bytes.len() < header.total as usize {
            return Ok(Err("the file ends inside the batch there".to_string()));
        }
        let mut found =
            FoundBatch { header, crc, payload_bytes: 0, entries: Vec::new(), damage: damage(&header, bytes) };
        if batch::table_matches(&header, bytes) {
            let count = header.count as usize;
            let lines = || (0..count).filter_map(|n| Some((n, Descriptor::decode(&header, bytes, n)?)));
            found.payload_bytes = lines().map(|(_, d)| u64::from(d.length)).sum();
            if with_entries {
                let whole = |d: &Descriptor| d.matches(&bytes[d.position as usize..d.end() as usize]);
                found.entries = lines().map(|(_, d)| (d, whole(&d))).collect();
            }
            let mut extents = Vec::new();
            extents_of(&header, lines(), &mut extents);
            extents.into_iter().for_each(|extent| self.index.push(extent));
        }
        each(&found, bytes);
        self.expected = Some(Expected { seq: header.seq.next(), chain: crc });
        Ok(Ok(found))
    }

    /// The header at this place, if it is the next one of the log.
    fn head(&self, at: u64, page: &[u8]) -> Result<(batch::Header, u32), String> {
        let (header, crc) = batch::Header::decode(page).ok_or("there is no intact batch header")?;
        if header.segment != self.header.segment || header.salt != self.header.salt {
            return Err("the batch there belongs to an earlier use of the file".to_string());
        }
        if u64::from(header.position) != at || at + u64::from(header.total) > self.limit {
            return Err(format!("the batch there was written for position {}", header.position));
        }
        match self.expected {
            Some(next) if header.seq != next.seq => {
                Err(format!("batch {} is there, batch {} should be", header.seq, next.seq))
            }
            Some(next) if header.chain != next.chain => {
                Err(format!("batch {} there does not follow from the batch before", next.seq))
            }
            _ => Ok((header, crc)),
        }
    }

    /// Behind a break: the position of the first batch that proves that the missing one had been durable, and without
    /// one the number of batches that may have been in flight with it.
    fn look_behind(&self, source: &mut Source, from: u64) -> io::Result<(Option<u64>, u64)> {
        let mut pieces = 0;
        for at in (from..self.limit).step_by(PAGE) {
            let Some((header, _)) = batch::Header::decode(source.bytes(at, PAGE)?) else { continue };
            let fits = at + u64::from(header.total) <= self.limit;
            let ours = header.segment == self.header.segment && header.salt == self.header.salt;
            if !ours || u64::from(header.position) != at || !fits {
                continue;
            }
            let missing = self.expected.map_or(BatchSeq(header.seq.get() - 1), |e| e.seq);
            if header.durable >= missing {
                return Ok((Some(at), 0));
            }
            pieces += u64::from(header.seq >= missing);
        }
        Ok((None, pieces))
    }
}

fn damage(header: &batch::Header, bytes: &[u8]) -> Option<String> {
    Some(match batch::check(header, bytes).err()? {
        Damage::Table => format!("the checksum of the table of batch {} is wrong", header.seq),
        Damage::Payload { group, index, position } => format!(
            "the checksum of entry {index} of group {group} is wrong (batch {}, {position} bytes in)",
            header.seq
        ),
    })
}
