//! Making batches, as clients do: for the simulator, the command line and tests.

use super::batch::{Batch, Codec, HEADER, TimestampType, attributes, write};
use super::inflate::XERIAL_HEADER;
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

/// Appends a zigzag varint; 32-bit ones have the same form.
fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

/// Bytes of an uncompressed Snappy block, as snappy-java cuts them.
const SNAPPY_BLOCK: usize = 32 << 10;

fn compress(codec: Codec, body: Vec<u8>) -> Vec<u8> {
    let into_memory = "writing to memory does not fail";
    match codec {
        Codec::None => body,
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&body).expect(into_memory);
            encoder.finish().expect(into_memory)
        }
        Codec::Snappy => {
            let mut out = XERIAL_HEADER.to_vec();
            for block in body.chunks(SNAPPY_BLOCK) {
                let compressed = snap::raw::Encoder::new().compress_vec(block).expect("a block is short");
                out.extend_from_slice(&(compressed.len() as u32).to_be_bytes());
                out.extend_from_slice(&compressed);
            }
            out
        }
        Codec::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(&body).expect(into_memory);
            encoder.finish().expect(into_memory)
        }
        Codec::Zstd => zstd::stream::encode_all(&body[..], zstd::DEFAULT_COMPRESSION_LEVEL).expect(into_memory),
    }
}
