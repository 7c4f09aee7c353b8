//! The format of a batch: what one write makes durable.
//!
//! ```text
//! header (96 bytes) | descriptors (64 bytes each) | copied payloads | zeroes to the page | gathered pages ...
//! ```
//!
//! The header's checksum covers the checksum of the descriptors, which covers the checksums of every entry's prefix and
//! body; the next batch's header carries this header's checksum. So the chain covers all bytes of all entries, and
//! nobody runs over a body to build it. Bytes between entries (padding, neighbours in gathered pages) are not covered
//! and mean nothing.

use crate::bytes::{Get, Put};
use torc_base::crc::crc32c;
use torc_base::ids::{BatchSeq, GroupId, Index, Offset, SegmentId, Term};
use torc_base::limits::{BATCH_ENTRIES_MAX, PAGE, SEGMENT_BYTES_MAX};

const MAGIC: [u8; 8] = *b"torcBAT1";
/// Bytes of a batch header.
pub const HEADER_BYTES: usize = 96;
/// Bytes of a descriptor.
pub const DESCRIPTOR_BYTES: usize = 64;

/// The head of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The segment it was written to.
    pub segment: SegmentId,
    /// That segment's salt: a block of the file's earlier life does not have it.
    pub salt: u64,
    /// Random number of the process life that wrote it, so that two lives never write equal batches.
    pub life: u64,
    /// Its number in the shard's log.
    pub seq: BatchSeq,
    /// When it was cut, all batches up to this one were on stable storage. This is what tells corruption of an
    /// earlier batch from a torn write.
    pub durable: BatchSeq,
    /// Checksum of the batch before ([`Header::encode`] returned it); 0 for the very first.
    pub chain: u32,
    /// Byte position in the segment.
    pub position: u32,
    /// Entries.
    pub count: u32,
    /// Bytes of the whole batch, a multiple of the page.
    pub total: u32,
    /// Bytes up to the gathered pages, a multiple of the page.
    pub block: u32,
    /// CRC32C of the descriptors.
    pub table_crc: u32,
}

impl Header {
    /// Bytes of header and descriptors.
    pub fn table_end(&self) -> usize {
        table_end(self.count as usize)
    }

    /// Writes the header; returns its checksum, which is the batch's place in the chain.
    pub fn encode(&self, out: &mut [u8]) -> u32 {
        let out = &mut out[..HEADER_BYTES];
        out.fill(0);
        let mut put = Put::new(out);
        put.bytes(&MAGIC);
        put.u32(0);
        put.u32(self.table_crc);
        put.u64(self.segment.get());
        put.u64(self.salt);
        put.u64(self.life);
        put.u64(self.seq.get());
        put.u64(self.durable.get());
        put.u32(self.chain);
        put.u32(self.position);
        put.u32(self.count);
        put.u32(self.total);
        put.u32(self.block);
        let crc = crc32c(&out[12..]);
        out[8..12].copy_from_slice(&crc.to_le_bytes());
        crc
    }

    /// Reads a header and its checksum; `None` if these bytes are not an intact header. Zeroes never are.
    pub fn decode(bytes: &[u8]) -> Option<(Header, u32)> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let mut get = Get::new(bytes);
        if get.bytes::<8>()? != MAGIC {
            return None;
        }
        let crc = get.u32()?;
        if crc32c(&bytes[12..]) != crc {
            return None;
        }
        let table_crc = get.u32()?;
        let header = Header {
            segment: SegmentId(get.u64()?),
            salt: get.u64()?,
            life: get.u64()?,
            seq: BatchSeq(get.u64()?),
            durable: BatchSeq(get.u64()?),
            chain: get.u32()?,
            position: get.u32()?,
            count: get.u32()?,
            total: get.u32()?,
            block: get.u32()?,
            table_crc,
        };
        header.is_sound().then_some((header, crc))
    }

    /// Lengths and positions fit each other.
    fn is_sound(&self) -> bool {
        let page = PAGE as u32;
        self.count as usize <= BATCH_ENTRIES_MAX
            && self.total.is_multiple_of(page)
            && self.block.is_multiple_of(page)
            && self.position.is_multiple_of(page)
            && self.position >= page
            && self.block <= self.total
            && self.table_end() <= self.block as usize
            && u64::from(self.position) + u64::from(self.total) <= SEGMENT_BYTES_MAX
            && self.durable < self.seq
    }
}

/// Bytes of a header and `count` descriptors.
pub fn table_end(count: usize) -> usize {
    HEADER_BYTES + count * DESCRIPTOR_BYTES
}

/// One entry's line in the table of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The log it belongs to.
    pub group: GroupId,
    /// Raft's term.
    pub term: Term,
    /// Position in the group's log.
    pub index: Index,
    /// First covered offset.
    pub first_offset: Offset,
    /// Largest timestamp, negative: none.
    pub max_timestamp: i64,
    /// Covered offsets.
    pub records: u32,
    /// Byte position of the payload in the batch.
    pub position: u32,
    /// Bytes of the payload.
    pub length: u32,
    /// CRC32C of the prefix.
    pub prefix_crc: u32,
    /// CRC32C of the body.
    pub body_crc: u32,
    /// [`crate::Kind`] as a number.
    pub kind: u8,
    /// Bytes of the prefix.
    pub prefix_len: u8,
}

impl Descriptor {
    /// Writes the line.
    pub fn encode(&self, out: &mut [u8]) {
        let mut put = Put::new(&mut out[..DESCRIPTOR_BYTES]);
        put.u64(self.group.get());
        put.u64(self.term.get());
        put.u64(self.index.get());
        put.i64(self.first_offset.get());
        put.i64(self.max_timestamp);
        put.u32(self.records);
        put.u32(self.position);
        put.u32(self.length);
        put.u32(self.prefix_crc);
        put.u32(self.body_crc);
        put.u8(self.kind);
        put.u8(self.prefix_len);
        put.u16(0);
    }

    /// Reads line `number` of the table of the batch that `header` heads and that starts with `bytes`. The table's
    /// checksum must have been checked. `None` if the line names bytes outside the batch.
    pub fn decode(header: &Header, bytes: &[u8], number: usize) -> Option<Descriptor> {
        let start = table_end(number);
        let mut get = Get::new(bytes.get(start..start + DESCRIPTOR_BYTES)?);
        let d = Descriptor {
            group: GroupId(get.u64()?),
            term: Term(get.u64()?),
            index: Index(get.u64()?),
            first_offset: Offset(get.i64()?),
            max_timestamp: get.i64()?,
            records: get.u32()?,
            position: get.u32()?,
            length: get.u32()?,
            prefix_crc: get.u32()?,
            body_crc: get.u32()?,
            kind: get.u8()?,
            prefix_len: get.u8()?,
        };
        let end = u64::from(d.position) + u64::from(d.length);
        let sound = d.position as usize >= header.table_end()
            && end <= u64::from(header.total)
            && u32::from(d.prefix_len) <= d.length
            && d.first_offset.get().checked_add(i64::from(d.records)).is_some();
        sound.then_some(d)
    }

    /// Byte behind the payload, in the batch.
    pub fn end(&self) -> u32 {
        self.position + self.length
    }

    /// The offset behind the last covered one.
    pub fn end_offset(&self) -> Offset {
        self.first_offset.plus(i64::from(self.records))
    }

    /// True if `payload` is what was written.
    pub fn matches(&self, payload: &[u8]) -> bool {
        let (prefix, body) = payload.split_at(usize::from(self.prefix_len));
        crc32c(prefix) == self.prefix_crc && crc32c(body) == self.body_crc
    }
}

/// True if the descriptors at the front of a batch are what was written. `bytes` holds them all.
pub fn table_matches(header: &Header, bytes: &[u8]) -> bool {
    bytes.get(HEADER_BYTES..header.table_end()).is_some_and(|table| crc32c(table) == header.table_crc)
}

/// First damaged place of a batch whose header is intact and whose bytes are all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The descriptors.
    Table,
    /// The payload of this entry, at this position in the batch.
    Payload { group: GroupId, index: Index, position: u32 },
}

/// Checks descriptors and payloads of a whole batch.
pub fn check(header: &Header, bytes: &[u8]) -> Result<(), Damage> {
    assert_eq!(bytes.len(), header.total as usize, "the whole batch");
    if !table_matches(header, bytes) {
        return Err(Damage::Table);
    }
    for number in 0..header.count as usize {
        let d = Descriptor::decode(header, bytes, number).ok_or(Damage::Table)?;
        if !d.matches(&bytes[d.position as usize..d.end() as usize]) {
            return Err(Damage::Payload { group: d.group, index: d.index, position: d.position });
        }
    }
    Ok(())
}
