//! Making batches, as clients do: for the simulator, the command line and tests.

use super::batch::{Batch, Codec, HEADER, TimestampType, attributes, write};
use super::inflate::XERIAL_HEADER;
use super::walk::put_varlong;
use std::io::Write;

/// A record to be put into a batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'a> {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

/// The header fields that a client chooses.
#[derive(Clone, Copy, Debug)]
pub struct BuildOptions {
    pub codec: Codec,
    pub base_offset: i64,
    /// -1 without idempotence; so are epoch and sequence.
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub transactional: bool,
}

impl Default for BuildOptions {
    fn default() -> BuildOptions {
        BuildOptions {
            codec: Codec::None,
            base_offset: 0,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            transactional: false,
        }
    }
}

/// A batch of `records`, of which there must be one at least.
pub fn build(records: &[Record], options: &BuildOptions) -> Vec<u8> {
    assert!(!records.is_empty(), "a client's batch has records");
    let base_timestamp = records[0].timestamp;
    let mut body = Vec::new();
    let mut content = Vec::new();
    for (index, record) in records.iter().enumerate() {
        content.clear();
        put_record(record, base_timestamp, index, &mut content);
        put_varlong(&mut body, content.len() as i64);
        body.extend_from_slice(&content);
    }
    let body = compress(options.codec, body);
    let count = i32::try_from(records.len()).expect("fewer than 2^31 records");
    let mut bytes = vec![0; HEADER];
    bytes.extend_from_slice(&body);
    let batch = Batch {
        base_offset: options.base_offset,
        length: bytes.len(),
        leader_epoch: -1,
        magic: 2,
        crc: 0, // computed as the header is written
        attributes: attributes(options.codec, options.transactional, TimestampType::CreateTime),
        last_offset_delta: count - 1,
        base_timestamp,
        max_timestamp: records.iter().map(|record| record.timestamp).max().expect("not empty"),
        producer_id: options.producer_id,
        producer_epoch: options.producer_epoch,
        base_sequence: options.base_sequence,
        records: count,
    };
    write(&mut bytes, &batch);
    bytes
}

fn put_record(record: &Record, base_timestamp: i64, index: usize, out: &mut Vec<u8>) {
    out.push(0);
    put_varlong(out, record.timestamp - base_timestamp);
    put_varlong(out, index as i64);
    put_field(record.key, out);
    put_field(record.value, out);
    put_varlong(out, record.headers.len() as i64);
    for (key, value) in record.headers {
        put_field(Some(key), out);
        put_field(*value, out);
    }
}

fn put_field(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    match bytes {
        None => put_varlong(out, -1),
        Some(bytes) => {
            put_varlong(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}

/// Bytes of an uncompressed Snappy block, as snappy-java cuts them.
const SNAPPY_BLOCK: usize = 32 << 10;

fn compress(codec: Codec, body: Vec<u8>) -> Vec<u8> {
    if codec == Codec::None {
        return body;
    }
    let mut deflate = Deflate::new(codec, Vec::new());
    deflate.put(&body);
    deflate.finish()
}

/// Records on their way into a compressed batch, piece by piece.
pub(super) enum Deflate {
    None(Vec<u8>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    /// What is compressed, and the block that is being filled.
    Snappy(Vec<u8>, Vec<u8>),
    Lz4(Box<lz4_flex::frame::FrameEncoder<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

const INTO_MEMORY: &str = "writing to memory does not fail";

impl Deflate {
    /// Appends to `out`.
    pub(super) fn new(codec: Codec, mut out: Vec<u8>) -> Deflate {
        match codec {
            Codec::None => Deflate::None(out),
            Codec::Gzip => Deflate::Gzip(flate2::write::GzEncoder::new(out, flate2::Compression::default())),
            Codec::Snappy => {
                out.extend_from_slice(&XERIAL_HEADER);
                Deflate::Snappy(out, Vec::new())
            }
            Codec::Lz4 => Deflate::Lz4(Box::new(lz4_flex::frame::FrameEncoder::new(out))),
            Codec::Zstd => {
                let level = zstd::DEFAULT_COMPRESSION_LEVEL;
                Deflate::Zstd(zstd::stream::write::Encoder::new(out, level).expect(INTO_MEMORY))
            }
        }
    }

    pub(super) fn put(&mut self, mut bytes: &[u8]) {
        match self {
            Deflate::None(out) => out.extend_from_slice(bytes),
            Deflate::Gzip(encoder) => encoder.write_all(bytes).expect(INTO_MEMORY),
            Deflate::Snappy(out, block) => {
                while !bytes.is_empty() {
                    let (now, later) = bytes.split_at(bytes.len().min(SNAPPY_BLOCK - block.len()));
                    block.extend_from_slice(now);
                    bytes = later;
                    if block.len() == SNAPPY_BLOCK {
                        put_snappy(out, block);
                    }
                }
            }
            Deflate::Lz4(encoder) => encoder.write_all(bytes).expect(INTO_MEMORY),
            Deflate::Zstd(encoder) => encoder.write_all(bytes).expect(INTO_MEMORY),
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Deflate::None(out) => out,
            Deflate::Gzip(encoder) => encoder.finish().expect(INTO_MEMORY),
            Deflate::Snappy(mut out, mut block) => {
                if !block.is_empty() {
                    put_snappy(&mut out, &mut block);
                }
                out
            }
            Deflate::Lz4(encoder) => encoder.finish().expect(INTO_MEMORY),
            Deflate::Zstd(encoder) => encoder.finish().expect(INTO_MEMORY),
        }
    }
}

fn put_snappy(out: &mut Vec<u8>, block: &mut Vec<u8>) {
    let compressed = snap::raw::Encoder::new().compress_vec(block).expect("a block is short");
    out.extend_from_slice(&(compressed.len() as u32).to_be_bytes());
    out.extend_from_slice(&compressed);
    block.clear();
}
