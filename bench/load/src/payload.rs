//! Record batches, built before the run. During it only ids, sequences and the CRC that follows from them are written
//! anew, and only where a run needs them.

use crate::options::{CodecName, Records};
use crate::sizes::Sizes;
use torc_base::crc::crc32c;
use torc_base::prng::Prng;
use torc_net::kafka::records::{BuildOptions, CRC_PREFIX, Codec, HEADER, Record, build};

/// Bytes that a stamped value begins with: mark, CRC32C of what follows the stamp, id, due time.
pub const STAMP: usize = 24;
const MARK: [u8; 4] = *b"TRCB";
/// What a value begins with that is not stamped, if it is long enough: mark, CRC32C of the rest.
const PLAIN: usize = 8;
const PLAIN_MARK: [u8; 4] = *b"TRCP";
const AT_FILLER_CRC: usize = 4;
const AT_ID: usize = 8;
const AT_DUE: usize = 16;

/// Positions in a record batch.
const AT_CRC: usize = CRC_PREFIX - 4;
const AT_BASE_SEQUENCE: usize = 53;

/// Batches of a run that differ, so that no cache or compression meets the same bytes each time.
const BATCHES: usize = 8;
/// All batches together stay below this, but there is one at least.
const BATCHES_BYTES_MAX: usize = 4 << 20;

/// Who sends: what an idempotent producer puts into each batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
}

impl Producer {
    /// Without idempotence.
    pub const NONE: Producer = Producer { id: -1, epoch: -1 };
}

/// What the batches of a run are made of.
#[derive(Clone, Debug)]
pub struct Recipe {
    sizes: Sizes,
    codec: Codec,
    /// Records of a batch.
    count: Count,
    keys: u64,
    seed: u64,
    /// Values begin with a stamp.
    stamped: bool,
}

#[derive(Clone, Copy, Debug)]
enum Count {
    Records(u32),
    Bytes(usize),
}

/// A batch ready to be sent, and what must be known to change it.
#[derive(Clone, Debug)]
pub struct Template {
    pub batch: Vec<u8>,
    pub records: u32,
    /// Bytes of all keys and values.
    pub payload: u64,
    /// Keys and values, from which a stamped batch that is compressed must be built anew. Empty otherwise.
    contents: Vec<(Option<Vec<u8>>, Vec<u8>)>,
    /// Where the values of an uncompressed stamped batch begin.
    values_at: Vec<u32>,
}

/// What a stamped value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// That of the request.
    pub id: u64,
    /// When the request was due, in nanoseconds of the run's clock.
    pub due: u64,
}

impl Recipe {
    /// Errors: stamped records are longer than what was asked for.
    pub fn new(records: &Records, stamped: bool) -> Result<Recipe, String> {
        if stamped && records.record_size.least() < STAMP {
            return Err(format!("records that are marked have {STAMP} bytes at least; raise --record-size"));
        }
        let codec = match records.codec {
            CodecName::None => Codec::None,
            CodecName::Gzip => Codec::Gzip,
            CodecName::Snappy => Codec::Snappy,
            CodecName::Lz4 => Codec::Lz4,
            CodecName::Zstd => Codec::Zstd,
        };
        let count = match records.batch_bytes {
            Some(bytes) => Count::Bytes(bytes),
            None => Count::Records(records.records.unwrap_or(1)),
        };
        Ok(Recipe { sizes: records.record_size.clone(), codec, count, keys: records.keys, seed: records.seed, stamped })
    }

    /// The same, but with `records` in a batch.
    pub fn with_records(self, records: u32) -> Recipe {
        Recipe { count: Count::Records(records), ..self }
    }

    /// The batches of `producer`; they carry `timestamp`, in milliseconds since 1970.
    pub fn batches(&self, producer: Producer, timestamp: i64) -> Vec<Template> {
        let mut prng = Prng::new(self.seed);
        let mut batches: Vec<Template> = Vec::new();
        let mut bytes = 0;
        while batches.len() < BATCHES && (batches.is_empty() || bytes + bytes / batches.len() <= BATCHES_BYTES_MAX) {
            let template = self.template(&mut prng, producer, timestamp);
            bytes += template.batch.len();
            batches.push(template);
        }
        batches
    }

    fn template(&self, prng: &mut Prng, producer: Producer, timestamp: i64) -> Template {
        let contents = self.contents(prng);
        let batch = self.build(&contents, producer, timestamp);
        let payload = contents.iter().map(|(key, value)| key.as_ref().map_or(0, Vec::len) + value.len()).sum::<usize>();
        let in_place = self.stamped && self.codec == Codec::None;
        let values_at = if in_place { values_in(&batch, &contents) } else { Vec::new() };
        Template {
            batch,
            records: contents.len() as u32,
            payload: payload as u64,
            contents: if self.stamped && !in_place { contents } else { Vec::new() },
            values_at,
        }
    }

    fn contents(&self, prng: &mut Prng) -> Vec<(Option<Vec<u8>>, Vec<u8>)> {
        let mut contents = Vec::new();
        let mut bytes = 0;
        loop {
            let size = self.sizes.pick(prng);
            let full = match self.count {
                Count::Records(records) => contents.len() >= records as usize,
                Count::Bytes(limit) => bytes + size > limit,
            };
            if full && !contents.is_empty() {
                return contents;
            }
            bytes += size.max(1);
            let key = (self.keys > 0).then(|| format!("key-{:010}", prng.below(self.keys)).into_bytes());
            contents.push((key, self.value(prng, size)));
        }
    }

    /// Letters and digits, which compress about as badly as most data.
    fn value(&self, prng: &mut Prng, size: usize) -> Vec<u8> {
        const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        let mut value = vec![0; size];
        prng.fill(&mut value);
        for byte in &mut value {
            *byte = LETTERS[usize::from(*byte) % LETTERS.len()];
        }
        if self.stamped {
            let crc = crc32c(&value[STAMP..]);
            value[..AT_FILLER_CRC].copy_from_slice(&MARK);
            value[AT_FILLER_CRC..AT_ID].copy_from_slice(&crc.to_be_bytes());
        } else if size >= PLAIN {
            let crc = crc32c(&value[PLAIN..]);
            value[..AT_FILLER_CRC].copy_from_slice(&PLAIN_MARK);
            value[AT_FILLER_CRC..PLAIN].copy_from_slice(&crc.to_be_bytes());
        }
        value
    }

    fn build(&self, contents: &[(Option<Vec<u8>>, Vec<u8>)], producer: Producer, timestamp: i64) -> Vec<u8> {
        let records: Vec<Record> = contents
            .iter()
            .map(|(key, value)| Record { timestamp, key: key.as_deref(), value: Some(value), headers: &[] })
            .collect();
        let options = BuildOptions {
            codec: self.codec,
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            base_sequence: if producer == Producer::NONE { -1 } else { 0 },
            ..BuildOptions::default()
        };
        build(&records, &options)
    }

    /// A batch like `template` with `stamp` in its values: for codecs, under which a stamp cannot be changed in place.
    pub fn rebuild(&self, template: &Template, producer: Producer, timestamp: i64, stamp: Stamp) -> Vec<u8> {
        let mut contents = template.contents.clone();
        for (_, value) in &mut contents {
            put_stamp(value, stamp);
        }
        self.build(&contents, producer, timestamp)
    }

    /// True if [`Recipe::rebuild`] must be used to stamp.
    pub fn rebuilds(&self) -> bool {
        self.stamped && self.codec != Codec::None
    }
}

/// Where the values of `contents` lie in the uncompressed `batch` that was built of them, in the same order.
fn values_in(batch: &[u8], contents: &[(Option<Vec<u8>>, Vec<u8>)]) -> Vec<u32> {
    let mut at = HEADER;
    let mut positions = Vec::with_capacity(contents.len());
    for (_, value) in contents {
        let head = &value[..STAMP];
        let found = batch[at..].windows(STAMP).position(|window| window == head).expect("the batch holds its values");
        positions.push((at + found) as u32);
        at += found + value.len();
    }
    positions
}

fn put_stamp(value: &mut [u8], stamp: Stamp) {
    value[AT_ID..AT_DUE].copy_from_slice(&stamp.id.to_be_bytes());
    value[AT_DUE..STAMP].copy_from_slice(&stamp.due.to_be_bytes());
}

impl Template {
    /// Writes `stamp` into all values of `batch`, a copy of this template's, which must not be compressed. The CRC is
    /// wrong until [`seal`].
    pub fn stamp(&self, batch: &mut [u8], stamp: Stamp) {
        for &at in &self.values_at {
            put_stamp(&mut batch[at as usize..][..STAMP], stamp);
        }
    }
}

/// Writes the sequence of an idempotent producer's batch. The CRC is wrong until [`seal`].
pub fn set_sequence(batch: &mut [u8], sequence: i32) {
    batch[AT_BASE_SEQUENCE..AT_BASE_SEQUENCE + 4].copy_from_slice(&sequence.to_be_bytes());
}

/// Writes the CRC that follows from the bytes.
pub fn seal(batch: &mut [u8]) {
    let crc = crc32c(&batch[CRC_PREFIX..]);
    batch[AT_CRC..CRC_PREFIX].copy_from_slice(&crc.to_be_bytes());
}

/// Who wrote a value that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A run that marks each record.
    Stamped(Stamp),
    /// A run that does not: torc bench produce without --verify.
    Plain,
    /// Somebody else, or a run of such short values that a mark has no room.
    Foreign,
}

/// Who wrote a value that came back. An error: torc bench, and it is damaged.
pub fn origin(value: &[u8]) -> Result<Origin, String> {
    if value.len() < PLAIN || value[..AT_FILLER_CRC] != PLAIN_MARK {
        return read_stamp(value).map(|stamp| stamp.map_or(Origin::Foreign, Origin::Stamped));
    }
    let stored = u32::from_be_bytes(value[AT_FILLER_CRC..PLAIN].try_into().expect("4 bytes"));
    match crc32c(&value[PLAIN..]) {
        computed if computed == stored => Ok(Origin::Plain),
        computed => Err(format!("a value of {} bytes has CRC {computed:08x} instead of {stored:08x}", value.len())),
    }
}

/// What a value that came back says. `None`: it was not stamped by a run. An error: it was, and is damaged.
pub fn read_stamp(value: &[u8]) -> Result<Option<Stamp>, String> {
    if value.len() < STAMP || value[..AT_FILLER_CRC] != MARK {
        return Ok(None);
    }
    let number = |at: usize| u64::from_be_bytes(value[at..at + 8].try_into().expect("8 bytes"));
    let stored = u32::from_be_bytes(value[AT_FILLER_CRC..AT_ID].try_into().expect("4 bytes"));
    let computed = crc32c(&value[STAMP..]);
    if stored != computed {
        return Err(format!("a value of {} bytes has CRC {computed:08x} instead of {stored:08x}", value.len()));
    }
    Ok(Some(Stamp { id: number(AT_ID), due: number(AT_DUE) }))
}
