//! Whatever bytes the disk gives, the decoders answer and never panic; what they accept, they can write again.

use torc_base::crc::crc32c;
use torc_base::ids::SegmentId;
use torc_base::limits::PAGE;
use torc_wal::checkpoint::Section;
use torc_wal::{batch, segment};

/// Makes the checksum right, so that the checks behind it are reached.
fn sealed(input: &[u8], magic: &[u8; 8], bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    let n = input.len().min(bytes);
    out[..n].copy_from_slice(&input[..n]);
    out[..8].copy_from_slice(magic);
    let crc = crc32c(&out[12..]);
    out[8..12].copy_from_slice(&crc.to_le_bytes());
    out
}

#[test]
fn batch_headers_and_tables() {
    bolero::check!().with_type::<Vec<u8>>().for_each(|input| {
        assert!(batch::Header::decode(input).is_none_or(|(h, _)| h.durable < h.seq));
        let bytes = sealed(input, b"torcBAT1", batch::HEADER_BYTES);
        if let Some((header, crc)) = batch::Header::decode(&bytes) {
            let mut again = vec![0; batch::HEADER_BYTES];
            assert_eq!(header.encode(&mut again), crc32c(&again[12..]));
            assert_eq!(batch::Header::decode(&again).map(|(h, _)| h), Some(header));
            assert!(crc == crc32c(&bytes[12..]));
            for number in 0..(header.count as usize).min(4) {
                let _ = batch::Descriptor::decode(&header, input, number);
            }
        }
    });
}

#[test]
fn whole_batches() {
    bolero::check!().with_type::<(Vec<u8>, u8)>().for_each(|(input, count)| {
        let count = u32::from(*count % 8);
        let mut bytes = vec![0; 2 * PAGE];
        let n = input.len().min(bytes.len() - batch::HEADER_BYTES);
        bytes[batch::HEADER_BYTES..batch::HEADER_BYTES + n].copy_from_slice(&input[..n]);
        let table = &bytes[batch::HEADER_BYTES..batch::table_end(count as usize)];
        let header = batch::Header {
            segment: SegmentId(1),
            salt: 1,
            life: 1,
            seq: torc_base::ids::BatchSeq(2),
            durable: torc_base::ids::BatchSeq(1),
            chain: 0,
            position: PAGE as u32,
            count,
            total: 2 * PAGE as u32,
            block: PAGE as u32,
            table_crc: crc32c(table),
        };
        header.encode(&mut bytes);
        let checked = batch::check(&header, &bytes);
        assert!(count > 0 || checked.is_ok());
        if checked.is_ok() {
            for number in 0..count as usize {
                let d = batch::Descriptor::decode(&header, &bytes, number).expect("checked");
                assert!(d.end() as usize <= bytes.len());
            }
        }
    });
}

#[test]
fn segment_headers_and_footers() {
    bolero::check!().with_type::<Vec<u8>>().for_each(|input| {
        let _ = segment::Header::decode(input);
        let _ = segment::Trailer::decode(input);
        let _ = segment::decode_footer(SegmentId(1), 1, input);
        let sealed_header = sealed(input, b"torcSEG1", 48);
        let header = segment::Header::decode(&sealed_header).expect("sealed");
        let mut page = vec![0; PAGE];
        header.encode(&mut page);
        assert_eq!(segment::Header::decode(&page), Some(header));
        // A footer whose checksums are right and whose extents are anything.
        let count = (input.len() / 64).min(32);
        let mut footer = vec![0; segment::footer_bytes(count)];
        footer[..count * 64].copy_from_slice(&input[..count * 64]);
        let split = footer.len() - PAGE;
        let extents_crc = crc32c(&footer[..split]);
        let trailer = segment::Trailer {
            segment: SegmentId(1),
            salt: 1,
            last: torc_base::ids::BatchSeq(9),
            chain: 7,
            end: 1 << 20,
            extents: count as u32,
            extents_crc,
        };
        trailer.encode(&mut footer[split..]);
        if let Some((index, read)) = segment::decode_footer(SegmentId(1), 1, &footer) {
            assert_eq!(read, trailer);
            assert!(index.iter().all(|e| e.payload_end() <= trailer.end));
        }
    });
}

#[test]
fn checkpoint_sections() {
    bolero::check!().with_type::<Vec<u8>>().for_each(|input| {
        let _ = Section::decode(input);
        for magic in [b"torcWCP1", b"torcWCP2", b"torcWCP3", b"torcWCP4"] {
            let body = [magic, &input[..]].concat();
            let bytes = [&crc32c(&body).to_le_bytes()[..], &body].concat();
            if let Ok(section) = Section::decode(&bytes) {
                assert_eq!(Section::decode(&section.encode()), Ok(section));
            }
        }
    });
}

/// A section of a version, with one run of one group in `segment`.
fn section(magic: &[u8; 8], segment: SegmentId) -> Vec<u8> {
    use torc_base::ids::{BatchSeq, GroupId, Index, Offset};
    let run = torc_wal::Run {
        segment,
        first_index: Index(1),
        last_index: Index(9),
        first_offset: Offset(0),
        end_offset: Offset(20),
        max_timestamp: 5,
        bytes: 1_000,
        entries: 9,
    };
    let (first, last, compacted) = (Index(1), Index(9), Index(0));
    let group = torc_wal::Group { first, compacted, last, end_offset: Offset(20), runs: vec![run] };
    let section = Section {
        next: BatchSeq(7),
        scan: SegmentId(3),
        scan_first: BatchSeq(5),
        scan_chain: 1,
        closed: false,
        footers: [(segment, 8192)].into(),
        groups: vec![(GroupId(4), group)],
    };
    let mut bytes = section.encode();
    bytes[4..12].copy_from_slice(magic);
    if magic <= b"torcWCP3" {
        // Older ones know of no gaps: neither how many entries a run has, the last word here, nor what is compacted.
        bytes.truncate(bytes.len() - 8);
        bytes.drain(80..88);
    }
    if magic <= b"torcWCP2" {
        // Older ones have no word for a closed log, behind the checksum of the chain.
        bytes.drain(40..44);
    }
    let crc = crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn sections_of_older_versions_are_read_and_the_first_knows_no_cold_segments() {
    let cold = segment::cold_segment(1);
    for (magic, id, is_sound) in [
        (b"torcWCP1", SegmentId(2), true),
        (b"torcWCP2", SegmentId(2), true),
        (b"torcWCP1", cold, false),
        (b"torcWCP2", cold, true),
        (b"torcWCP2", SegmentId(3), false),
        (b"torcWCP3", cold, true),
        (b"torcWCP4", cold, true),
        (b"torcWCP5", SegmentId(2), false),
    ] {
        let read = Section::decode(&section(magic, id));
        assert_eq!(read.is_ok(), is_sound, "{magic:?} {id}: {read:?}");
        assert!(read.is_err() || Section::decode(&section(b"torcWCP4", id)) == read);
    }
}
