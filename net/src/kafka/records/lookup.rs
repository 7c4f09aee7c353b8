//! Reading what lies inside a batch, compressed or not: lookups by time, and whole records for clients.

use super::Invalid;
use super::batch::{Batch, Codec, HEADER, TimestampType, parse};
use super::walk::{CUT_SHORT, Framed, SliceSource, Source, Walk, headers};
use std::io::{self, BufRead, BufReader, Read};
use torc_base::ids::Offset;
use torc_base::limits::ENTRY_BYTES_MAX;

/// A compressed batch is read up to so many bytes of records; a longer one is an error, since it was made to hurt.
pub const INFLATED_BYTES_MAX: u64 = 128 << 20;

/// Largest window that a zstd frame may ask for, as a power of two: what RFC 8878 (3.1.1.1.2) advises, 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Bytes of one read from a decompressor that has no buffer of its own.
const READ_BUF: usize = 8 << 10;

/// The first record of the batch in `bytes` from offset `from` on whose timestamp is `timestamp` or later: its offset
/// and timestamp.
///
/// Opens compressed batches, in memory that is bounded by the codec's window (at most some 8 MiB; for the unframed
/// Snappy of old clients a multiple of the batch). What the batch header says about time is not used, but for
/// LogAppendTime.
pub fn first_at_or_after(bytes: &[u8], timestamp: i64, from: Offset) -> Result<Option<(i64, i64)>, Invalid> {
    let batch = whole(bytes)?;
    if batch.timestamp_type() == TimestampType::LogAppendTime {
        return Ok(appended(&batch, from).filter(|_| batch.max_timestamp >= timestamp));
    }
    let mut found = None;
    visit(bytes, &batch, |record| {
        if record.timestamp >= timestamp && offset(&batch, record) >= from.0 {
            found = Some((offset(&batch, record), record.timestamp));
        }
        found.is_none()
    })?;
    Ok(found)
}

/// The first record with the largest timestamp of those in the batch in `bytes` from offset `from` on: its offset and
/// timestamp. `None` if there are none.
pub fn max_timestamp_offset(bytes: &[u8], from: Offset) -> Result<Option<(i64, i64)>, Invalid> {
    let batch = whole(bytes)?;
    if batch.timestamp_type() == TimestampType::LogAppendTime {
        return Ok(appended(&batch, from));
    }
    let mut found: Option<(i64, i64)> = None;
    visit(bytes, &batch, |record| {
        if offset(&batch, record) >= from.0 && found.is_none_or(|(_, largest)| record.timestamp > largest) {
            found = Some((offset(&batch, record), record.timestamp));
        }
        true
    })?;
    Ok(found)
}

/// The first record from offset `from` on of a batch whose records all have the time of its append.
fn appended(batch: &Batch, from: Offset) -> Option<(i64, i64)> {
    let first = batch.base_offset.max(from.0);
    (first <= batch.last_offset()).then_some((first, batch.max_timestamp))
}

/// A record with memory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedRecord {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// All records of the batch in `bytes`. For clients (the simulator, the command line, tests): allocates per record.
pub fn read(bytes: &[u8]) -> Result<Vec<OwnedRecord>, Invalid> {
    let batch = whole(bytes)?;
    let codec = batch.codec()?;
    let mut inflated = Vec::new();
    let body = match codec {
        Codec::None => &bytes[HEADER..],
        _ => {
            let mut reader = open(codec, &bytes[HEADER..])?.take(INFLATED_BYTES_MAX + 1);
            reader.read_to_end(&mut inflated).map_err(|_| Invalid::Decompress { codec, what: DAMAGED })?;
            if inflated.len() as u64 > INFLATED_BYTES_MAX {
                return Err(Invalid::Decompress { codec, what: TOO_LONG });
            }
            &inflated[..]
        }
    };
    let copy = |range: std::ops::Range<u64>| body[range.start as usize..range.end as usize].to_vec();
    let log_append_time = batch.timestamp_type() == TimestampType::LogAppendTime;
    let mut walk = Walk::new(SliceSource::new(body), &batch);
    let mut records = Vec::new();
    while let Some(record) = walk.next()? {
        let headers = headers(body, &record);
        records.push(OwnedRecord {
            offset: offset(&batch, &record),
            timestamp: if log_append_time { batch.max_timestamp } else { record.timestamp },
            key: record.key.clone().map(copy),
            value: record.value.clone().map(copy),
            headers: headers.into_iter().map(|(key, value)| (copy(key), value.map(copy))).collect(),
        });
    }
    Ok(records)
}

const DAMAGED: &str = "the compressed bytes are damaged";
const TOO_LONG: &str = "the decompressed records take more than 128 MiB";

fn whole(bytes: &[u8]) -> Result<Batch, Invalid> {
    let batch = parse(bytes)?;
    if batch.length == bytes.len() {
        return Ok(batch);
    }
    Err(Invalid::NotOneBatch { declared: batch.length, bytes: bytes.len() })
}

fn offset(batch: &Batch, record: &Framed) -> i64 {
    batch.base_offset.wrapping_add(i64::from(record.offset_delta))
}

/// Calls `each` with the records of the batch until it returns false.
fn visit(bytes: &[u8], batch: &Batch, each: impl FnMut(&Framed) -> bool) -> Result<(), Invalid> {
    let body = &bytes[HEADER..];
    match batch.codec()? {
        Codec::None => walk_while(SliceSource::new(body), batch, each),
        codec => walk_while(Inflating { reader: open(codec, body)?, position: 0 }, batch, each),
    }
}

fn walk_while<S: Source>(source: S, batch: &Batch, mut each: impl FnMut(&Framed) -> bool) -> Result<(), Invalid> {
    let mut walk = Walk::new(source, batch);
    while let Some(record) = walk.next()? {
        if !each(&record) {
            break;
        }
    }
    Ok(())
}

/// A reader of the decompressed records.
fn open<'a>(codec: Codec, body: &'a [u8]) -> Result<Box<dyn BufRead + 'a>, Invalid> {
    let wrong = |what| Invalid::Decompress { codec, what };
    Ok(match codec {
        Codec::None => Box::new(body),
        Codec::Gzip => Box::new(BufReader::with_capacity(READ_BUF, flate2::bufread::MultiGzDecoder::new(body))),
        Codec::Snappy => Box::new(Snappy::new(body).map_err(wrong)?),
        Codec::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(body)),
        Codec::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(body).map_err(|_| wrong("there is no memory to open them"))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).expect("23 is a window that zstd allows");
            Box::new(BufReader::with_capacity(READ_BUF, decoder))
        }
    })
}

/// Records that are decompressed as they are walked.
struct Inflating<'a> {
    reader: Box<dyn BufRead + 'a>,
    position: u64,
}

impl Inflating<'_> {
    fn fill(&mut self) -> Result<&[u8], &'static str> {
        if self.position >= INFLATED_BYTES_MAX {
            return Err(TOO_LONG);
        }
        self.reader.fill_buf().map_err(|_| DAMAGED)
    }

    fn consume(&mut self, n: usize) {
        self.reader.consume(n);
        self.position += n as u64;
    }
}

impl Source for Inflating<'_> {
    fn byte(&mut self) -> Result<u8, &'static str> {
        let byte = *self.fill()?.first().ok_or(CUT_SHORT)?;
        self.consume(1);
        Ok(byte)
    }

    fn skip(&mut self, n: u64) -> Result<(), &'static str> {
        let mut left = n;
        while left > 0 {
            let here = self.fill()?.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if here == 0 {
                return Err(CUT_SHORT);
            }
            self.consume(here);
            left -= here as u64;
        }
        Ok(())
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn is_at_end(&mut self) -> Result<bool, &'static str> {
        Ok(self.fill()?.is_empty())
    }
}

/// What snappy-java writes before its blocks: magic, version, oldest compatible version.
pub(super) const XERIAL_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// The longest text of one Snappy element of 3 bytes is 64 bytes, so nothing grows by more than this factor.
const SNAPPY_GROWTH_MAX: usize = 22;

/// Snappy as Kafka's clients write it: in the blocks of snappy-java, or (some of them) as one block without a frame.
struct Snappy<'a> {
    /// What is still compressed.
    rest: &'a [u8],
    framed: bool,
    block: Vec<u8>,
    at: usize,
}

impl<'a> Snappy<'a> {
    fn new(body: &'a [u8]) -> Result<Snappy<'a>, &'static str> {
        // Versions differ between writers; only the magic matters, as for snappy-java itself.
        let framed = body.len() >= XERIAL_HEADER.len() && body[..8] == XERIAL_HEADER[..8];
        let rest = if framed { &body[XERIAL_HEADER.len()..] } else { body };
        Ok(Snappy { rest, framed, block: Vec::new(), at: 0 })
    }

    /// Decompresses the next block into `block`.
    fn next_block(&mut self) -> Result<(), &'static str> {
        let compressed = if self.framed {
            let (length, rest) = self.rest.split_at_checked(4).ok_or(DAMAGED)?;
            let length = u32::from_be_bytes(length.try_into().expect("4 bytes")) as usize;
            let (block, rest) = rest.split_at_checked(length).ok_or(DAMAGED)?;
            self.rest = rest;
            block
        } else {
            std::mem::take(&mut self.rest)
        };
        let length = snap::raw::decompress_len(compressed).map_err(|_| DAMAGED)?;
        if length > compressed.len().saturating_mul(SNAPPY_GROWTH_MAX) || length > ENTRY_BYTES_MAX {
            return Err("a Snappy block claims more bytes than it can hold");
        }
        self.at = 0;
        self.block.clear();
        self.block.resize(length, 0);
        snap::raw::Decoder::new().decompress(compressed, &mut self.block).map_err(|_| DAMAGED)?;
        Ok(())
    }
}

impl BufRead for Snappy<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.block.len() && !self.rest.is_empty() {
            self.next_block().map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))?;
        }
        Ok(&self.block[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
        assert!(self.at <= self.block.len(), "more consumed than there was");
    }
}

impl Read for Snappy<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(out)?;
        self.consume(n);
        Ok(n)
    }
}
