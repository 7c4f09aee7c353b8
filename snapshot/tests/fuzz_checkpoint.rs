//! Whatever a checkpoint's file holds, the reader ends: with what was written, or with what is wrong. It never panics,
//! and never asks for more memory than the file has bytes.

use torc_base::crc::crc32c;
use torc_base::ids::FileId;
use torc_base::io::{DiskDone, DiskKind, DiskOk};
use torc_base::limits::PAGE;
use torc_snapshot::{CheckpointReader, Loaded};

/// Lets a reader read a directory with one checkpoint, number 1, of these bytes.
fn read(file: &[u8]) -> Loaded {
    let mut ops = Vec::new();
    let mut reader = CheckpointReader::begin(FileId(1), None, &mut ops);
    for _ in 0..64 {
        let op = ops.pop().expect("an operation while reading");
        let ok = match op.kind {
            DiskKind::List => DiskOk::Listed(vec![("checkpoint-000000000001".into(), file.len() as u64)]),
            DiskKind::Open { .. } => DiskOk::Opened { bytes: file.len() as u64 },
            DiskKind::Read { at, mut bytes, .. } => {
                let at = (at as usize).min(file.len());
                let end = (at + bytes.len()).min(file.len());
                bytes.truncate(end - at);
                bytes.copy_from_slice(&file[at..end]);
                DiskOk::Read { bytes }
            }
            DiskKind::Close { .. } => DiskOk::Done,
            other => panic!("{other:?} does not belong to reading"),
        };
        match reader.on_disk(DiskDone { tag: op.tag, result: Ok(ok) }, &mut ops) {
            Loaded::Reading => {}
            end => return end,
        }
    }
    panic!("the reader does not end");
}

#[test]
fn any_file() {
    bolero::check!().with_type::<Vec<u8>>().for_each(|input| {
        assert!(matches!(read(input), Loaded::Damaged(_)));
    });
}

/// The header's checksum is right, so that what stands behind it is looked at.
#[test]
fn any_header_with_the_right_checksum() {
    bolero::check!().with_type::<(u8, Vec<u8>, Vec<u8>)>().for_each(|(sections, table, body)| {
        let mut page = vec![0; PAGE];
        page[..8].copy_from_slice(b"torcCKP1");
        page[8..12].copy_from_slice(&1u32.to_le_bytes());
        page[12..16].copy_from_slice(&u32::from(*sections % 20).to_le_bytes());
        page[16..24].copy_from_slice(&1u64.to_le_bytes());
        let padded = body.len().next_multiple_of(PAGE);
        page[24..32].copy_from_slice(&(padded as u64).to_le_bytes());
        let n = table.len().min(PAGE - 36);
        page[32..32 + n].copy_from_slice(&table[..n]);
        let crc = crc32c(&page[..PAGE - 4]);
        page[PAGE - 4..].copy_from_slice(&crc.to_le_bytes());
        page.extend_from_slice(body);
        page.resize(PAGE + padded, 0);
        match read(&page) {
            Loaded::Some { number, sections: read } => {
                let bytes: usize = read.iter().map(|(_, bytes)| bytes.len()).sum();
                assert!(number == 1 && read.len() == usize::from(*sections % 20) && bytes <= padded);
            }
            Loaded::Damaged(damage) => assert!(damage.to_string().contains("checkpoint-000000000001")),
            other => panic!("{other:?}"),
        }
    });
}
