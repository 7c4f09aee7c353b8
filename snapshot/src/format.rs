//! The file: a header page, then the sections one behind the other, padded to a page.
//!
//! Header page, little endian: magic (8), version (4), sections (4), number (8), bytes behind the header page (8), then per
//! section: name (4), CRC32C (4), length (8); at the page's end the CRC32C of all before it.

use std::fmt;
use torc_base::crc::crc32c;
use torc_base::limits::PAGE;

const MAGIC: &[u8; 8] = b"torcCKP1";
const VERSION: u32 = 1;
const FIXED: usize = 32;
const PER_SECTION: usize = 16;
const SECTIONS_MAX: usize = 16;
/// A checkpoint beyond this is damage, not data: 100,000 partitions need some 20 MB.
const BYTES_MAX: u64 = 4 << 30;

/// Four letters that name a section.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Section(pub [u8; 4]);

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// The contents of a checkpoint.
pub type Sections = Vec<(Section, Vec<u8>)>;

/// Why a checkpoint cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: String,
    /// What is wrong, and where.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "checkpoint {}: {}", self.file, self.what)
    }
}

impl std::error::Error for Damage {}

/// The name of checkpoint `number` once it is published.
pub(crate) fn name(number: u64) -> String {
    format!("checkpoint-{number:012}")
}

/// Its name while it is written.
pub(crate) fn temporary(number: u64) -> String {
    format!("checkpoint-{number:012}.tmp")
}

/// The number in a published checkpoint's name.
pub fn number(name: &str) -> Option<u64> {
    name.strip_prefix("checkpoint-")?.parse().ok()
}

/// The header page of a file with these sections, which take `body` bytes behind it.
pub(crate) fn encode_header(number: u64, sections: &[Line], body: u64) -> Vec<u8> {
    assert!(sections.len() <= SECTIONS_MAX);
    let mut out = Vec::with_capacity(PAGE);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(sections.len() as u32).to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&body.to_le_bytes());
    for line in sections {
        out.extend_from_slice(&line.section.0);
        out.extend_from_slice(&line.crc.to_le_bytes());
        out.extend_from_slice(&line.bytes.to_le_bytes());
    }
    out.resize(PAGE - 4, 0);
    let crc = crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// A verified header page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes behind the header page.
    pub bytes: u64,
    /// What they are, in this order, one behind the other.
    pub sections: Vec<Line>,
}

/// What the header page says of one section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub section: Section,
    /// CRC32C of its bytes.
    pub crc: u32,
    /// Its bytes.
    pub bytes: u64,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Checks a header page; the error says what is wrong with it.
pub fn decode_header(page: &[u8], expected_number: u64) -> Result<Header, String> {
    if page.len() < PAGE {
        return Err(format!("is {} bytes long, shorter than its header", page.len()));
    }
    if &page[..8] != MAGIC {
        return Err("does not begin as a checkpoint does".into());
    }
    if crc32c(&page[..PAGE - 4]) != u32_at(page, PAGE - 4) {
        return Err("the header's checksum does not match".into());
    }
    let version = u32_at(page, 8);
    if version != VERSION {
        return Err(format!("has version {version}, this torc reads version {VERSION}"));
    }
    let count = u32_at(page, 12) as usize;
    let (number, bytes) = (u64_at(page, 16), u64_at(page, 24));
    if number != expected_number {
        return Err(format!("says it is checkpoint {number}"));
    }
    if count > SECTIONS_MAX || bytes > BYTES_MAX || !bytes.is_multiple_of(PAGE as u64) {
        return Err("the header's sizes make no sense".into());
    }
    let mut sections = Vec::with_capacity(count);
    for i in 0..count {
        let at = FIXED + i * PER_SECTION;
        let section = Section(page[at..at + 4].try_into().expect("four bytes"));
        sections.push(Line { section, crc: u32_at(page, at + 4), bytes: u64_at(page, at + 8) });
    }
    let sum = sections.iter().try_fold(0u64, |sum, line| sum.checked_add(line.bytes));
    if sum.is_none_or(|sum| sum > bytes) {
        return Err("the sections are longer than the file".into());
    }
    Ok(Header { bytes, sections })
}
