use super::*;
use crate::index::SegmentIndex;
use crate::segment::{Footing, Slot, encode_footer};
use torc_base::buf::Pool;
use torc_base::ids::{BatchSeq, Offset};

const SEGMENT: SegmentId = SegmentId(7);
const SALT: u64 = 0x5a17;
/// Of a file whose footers have pieces of 8 KiB.
const FILE: u64 = 256 << 10;
const END: u32 = 1 << 20;

/// Extents of `groups`, one entry each, in turns, as a batch that they share puts them down.
fn index(groups: u64, entries: u64) -> SegmentIndex {
    let mut index = SegmentIndex::default();
    for n in 0..entries {
        for group in 1..=groups {
            index.push(Extent {
                group: GroupId(group * 3),
                first_index: Index(n + group),
                first_offset: Offset(n as i64),
                end_offset: Offset(n as i64 + 1),
                max_timestamp: n as i64,
                batch: PAGE as u32,
                payload: 8 * PAGE as u32,
                length: 100,
                descriptor: 0,
                count: 1,
                batch_count: 64,
                absent: 0,
            });
        }
    }
    index
}

const TRAILER: Trailer =
    Trailer { segment: SEGMENT, salt: SALT, last: BatchSeq(1), chain: 0, end: END, extents: 0, extents_crc: 0 };

fn footer(index: &SegmentIndex) -> Vec<u8> {
    let mut bytes = vec![0; footer_bytes(index.len())];
    encode_footer(index, TRAILER, &mut bytes);
    bytes
}

fn header(bytes: u64) -> Header {
    Header { segment: SEGMENT, slot: Slot(1), salt: SALT, bytes }
}

/// Reads a footer at the end of a file, and how many pieces came of it before it was found damaged, if it was. `fails`: this piece, counted
/// from 1.
fn load(header: Header, bytes: &[u8], fails: usize) -> (Option<Intact>, usize) {
    let pool = Pool::new(usize::MAX, 0);
    let mut loading = Loading::new(header, None, pool.take(bytes.len()).expect("there is no limit"));
    for pieces in 1.. {
        let DiskKind::Read { file, at, bytes: mut piece } = loading.next(&pool) else { panic!("it is read") };
        assert_eq!((file, piece.len()), (header.slot.file(), loading.asked()));
        assert!(piece.len() <= footer_piece(header.bytes), "{} bytes at once", piece.len());
        let start = bytes.len() - (header.bytes - at) as usize;
        piece.copy_from_slice(&bytes[start..start + loading.asked()]);
        let failed = pieces == fails;
        match loading.take(if failed { Err(DiskError::Io(5)) } else { Ok(DiskOk::Read { bytes: piece }) }) {
            Ok(None) if loading.rebuild.is_some() => return (None, pieces),
            Ok(None) => {}
            Ok(Some(Footer::Intact(footer))) => return (Some(footer), pieces),
            other => panic!("{other:?}"),
        }
    }
    unreachable!()
}

fn loaded(bytes: &[u8]) -> Option<Intact> {
    load(header(1 << 40), bytes, 0).0
}

#[test]
fn what_the_disk_lacks_is_no_damage() {
    let whole = footer(&index(1, 1));
    let pool = Pool::new(usize::MAX, 0);
    let mut loading = Loading::new(header(FILE), None, pool.take(whole.len()).expect("there is no limit"));
    drop(loading.next(&pool));
    let result = loading.take(Err(DiskError::NoMemory));
    assert!(matches!(result, Err(WalError::Disk { error: DiskError::NoMemory, .. })), "{result:?}");
}

#[test]
fn a_group_finds_in_a_footer_what_the_index_had_that_it_was_made_of() {
    for (groups, entries) in [(0, 0), (1, 1), (1, 50), (7, 1), (7, 33)] {
        let index = index(groups, entries);
        let footer = loaded(&footer(&index)).expect("it is whole");
        for group in (0..3 * groups + 5).map(GroupId) {
            let (known, found) = (index.of(group), footer.of(group));
            assert_eq!(found.from(0).collect::<Vec<_>>(), known, "{group} of {groups}");
            for wanted in 0..entries + groups + 2 {
                let before = |extent: &Extent| extent.last_index() < Index(wanted);
                let first = known.partition_point(before);
                assert_eq!(found.partition_point(before), first);
                assert_eq!(Extents::Decoded(known).partition_point(before), first);
                assert!(found.from(first).eq(known[first..].iter().copied()));
            }
        }
    }
}

#[test]
fn what_is_no_footer_of_this_segment_or_out_of_order_is_none() {
    let whole = footer(&index(3, 5));
    assert!(loaded(&whole).is_some());
    let of = |header| load(header, &whole, 0).0.is_some();
    assert!(of(header(FILE)));
    assert!(!of(Header { segment: SegmentId(8), ..header(FILE) }));
    assert!(!of(Header { salt: SALT + 1, ..header(FILE) }));
    assert!(loaded(&whole[PAGE..]).is_none());
    let mut flipped = whole.clone();
    flipped[EXTENT_BYTES] ^= 1;
    assert!(loaded(&flipped).is_none());
    // Two extents in each other's place, and the checksum of that.
    let mut swapped = whole;
    let (extents, page) = swapped.split_at_mut(whole_pages(15));
    let (first, second) = extents.split_at_mut(EXTENT_BYTES);
    first.swap_with_slice(&mut second[..EXTENT_BYTES]);
    let mut trailer = Trailer::decode(page).expect("it is whole");
    trailer.extents_crc = torc_base::crc::crc32c(extents);
    trailer.encode(page);
    assert!(loaded(&swapped).is_none());
}

fn whole_pages(extents: usize) -> usize {
    footer_bytes(extents) - PAGE
}

#[test]
fn a_footer_that_comes_in_pieces_is_what_it_is_as_a_whole() {
    for entries in [0, 1, 40, 63, 64, 65, 127, 128, 129, 191, 192, 193, 1000] {
        let index = index(1, entries);
        let whole = footer(&index);
        let (found, pieces) = load(header(FILE), &whole, 0);
        let found = found.expect("it is whole");
        assert_eq!(pieces, whole.len().div_ceil(footer_piece(FILE)), "{entries}");
        assert_eq!(found.bytes[..], whole);
        assert_eq!(found.of(GroupId(3)).from(0).collect::<Vec<_>>(), index.of(GroupId(3)));
        for piece in 1..=pieces {
            let (found, came) = load(header(FILE), &whole, piece);
            assert!(found.is_none(), "piece {piece} of {pieces}");
            assert_eq!(came, piece, "nothing more of it is asked for");
        }
        for at in (0..whole.len()).step_by(509).chain([whole.len() - PAGE + 20]) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            let sound = load(header(FILE), &flipped, 0).0.is_some();
            // What lies behind the trailer in its page says nothing.
            assert_eq!(sound, at >= whole.len() - PAGE + 56, "byte {at} of {}", whole.len());
        }
    }
}

#[test]
fn what_is_written_in_pieces_is_the_same_and_has_its_trailer_in_the_last() {
    let pool = Pool::new(usize::MAX, 0);
    for entries in [0, 64, 65, 128, 1000] {
        let index = index(3, entries);
        let whole = footer(&index);
        let mut footing = Footing::new(&index, TRAILER);
        assert_eq!(footing.bytes() as usize, whole.len());
        let mut written = Vec::new();
        while !footing.is_whole() {
            let DiskKind::Write { file, at, runs, durable } = footing.next(&index, &header(FILE), &pool) else {
                panic!("it is written")
            };
            assert!(durable && file == Slot(1).file());
            assert_eq!(at as usize, FILE as usize - whole.len() + written.len());
            let [run] = &runs[..] else { panic!("a piece of memory") };
            assert!(run.len() <= footer_piece(FILE));
            let start = written.len();
            written.resize(start + run.len(), 0);
            run.copy_into(&mut written[start..]);
        }
        assert_eq!(written, whole, "{entries}");
    }
}

#[test]
fn the_longest_unused_goes_and_the_newest_stays_however_large() {
    let small = footer(&index(1, 1));
    let large = footer(&index(1, (FOOTERS_BYTES / EXTENT_BYTES) as u64 + 1));
    let mut footers = Footers::default();
    let loaded = |bytes: &[u8]| Footer::Intact(loaded(bytes).expect("it is whole"));
    let known = Directory::default();
    footers.insert(SegmentId(1), loaded(&small));
    footers.insert(SegmentId(2), loaded(&small));
    assert!(footers.of(SegmentId(1), GroupId(3), &known).is_some());
    footers.insert(SegmentId(3), loaded(&large));
    let kept = |footers: &mut Footers| [1, 2, 3].map(|id| footers.of(SegmentId(id), GroupId(3), &known).is_some());
    assert_eq!(kept(&mut footers), [false, false, true]);
    footers.insert(SegmentId(1), loaded(&small));
    assert_eq!(kept(&mut footers), [true, false, false]);
    footers.remove(SegmentId(1));
    assert_eq!((kept(&mut footers), footers.bytes), ([false, false, false], 0));
}
