//! Records whose bytes follow from who wrote them: any loss, doubling or change shows.
//!
//! ```text
//! producer u16 | number u32 | filler, random from both | CRC-32C of all before, u32
//! ```

use crate::failure::{Result, wrong};
use torc_base::crc::crc32c;
use torc_base::prng::Prng;
use torc_net::kafka::records::{self, BuildOptions, Codec, Record};

/// The smallest value: producer, number, checksum.
pub const VALUE_MIN: usize = 10;

/// What a value says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub producer: u16,
    /// Of the record among all of this producer and partition, from 0.
    pub number: u32,
}

/// The value of record `mark`, of `bytes` bytes.
pub fn value(mark: Mark, bytes: usize) -> Vec<u8> {
    assert!(bytes >= VALUE_MIN);
    let mut out = vec![0; bytes];
    out[..2].copy_from_slice(&mark.producer.to_le_bytes());
    out[2..6].copy_from_slice(&mark.number.to_le_bytes());
    let seed = (u64::from(mark.producer) << 32) | u64::from(mark.number);
    Prng::new(seed).fill(&mut out[6..bytes - 4]);
    let crc = crc32c(&out[..bytes - 4]);
    out[bytes - 4..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Reads a value back; an error if it is not exactly what [`value`] made.
pub fn read(bytes: &[u8]) -> Result<Mark> {
    if bytes.len() < VALUE_MIN {
        return wrong(format!("a value of {} bytes was never written", bytes.len()));
    }
    let producer = u16::from_le_bytes(bytes[..2].try_into().expect("two"));
    let number = u32::from_le_bytes(bytes[2..6].try_into().expect("four"));
    let mark = Mark { producer, number };
    if value(mark, bytes.len()) != bytes {
        return wrong(format!("the value of {mark:?} is changed"));
    }
    Ok(mark)
}

/// Who sends a batch: for an idempotent producer its id and epoch.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    pub producer: u16,
    pub idempotent: Option<(i64, i16)>,
}

/// A batch of `sizes.len()` records from number `first` on.
pub fn batch(sender: Sender, first: u32, sizes: &[usize], codec: Codec, timestamp: i64) -> Vec<u8> {
    let mark = |n: usize| Mark { producer: sender.producer, number: first + n as u32 };
    let values: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(n, size)| value(mark(n), *size)).collect();
    let record = |value| Record { timestamp, key: None, value: Some(value), headers: &[] };
    let batch: Vec<Record> = values.iter().map(|value| record(&value[..])).collect();
    let mut options = BuildOptions { codec, ..BuildOptions::default() };
    if let Some((id, epoch)) = sender.idempotent {
        options.producer_id = id;
        options.producer_epoch = epoch;
        options.base_sequence = first as i32;
    }
    records::build(&batch, &options)
}
