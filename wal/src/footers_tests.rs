use super::*;
use crate::index::SegmentIndex;
use crate::segment::{Trailer, encode_footer, footer_bytes};
use torc_base::buf::Pool;
use torc_base::ids::{BatchSeq, Index, Offset};
use torc_base::limits::PAGE;

const SEGMENT: SegmentId = SegmentId(7);
const SALT: u64 = 0x5a17;
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

fn footer(index: &SegmentIndex) -> Vec<u8> {
    let mut bytes = vec![0; footer_bytes(index.len())];
    let trailer =
        Trailer { segment: SEGMENT, salt: SALT, last: BatchSeq(1), chain: 0, end: END, extents: 0, extents_crc: 0 };
    encode_footer(index, trailer, &mut bytes);
    bytes
}

fn buf(bytes: &[u8]) -> Buf {
    let mut buf = Pool::new(usize::MAX, 0).take(bytes.len()).expect("there is no limit");
    buf.copy_from_slice(bytes);
    buf.freeze()
}

#[test]
fn a_group_finds_in_a_footer_what_the_index_had_that_it_was_made_of() {
    for (groups, entries) in [(0, 0), (1, 1), (1, 50), (7, 1), (7, 33)] {
        let index = index(groups, entries);
        let footer = Footer::new(SEGMENT, SALT, buf(&footer(&index))).expect("it is whole");
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
    assert!(Footer::new(SEGMENT, SALT, buf(&whole)).is_some());
    assert!(Footer::new(SegmentId(8), SALT, buf(&whole)).is_none());
    assert!(Footer::new(SEGMENT, SALT + 1, buf(&whole)).is_none());
    assert!(Footer::new(SEGMENT, SALT, buf(&whole[PAGE..])).is_none());
    let mut flipped = whole.clone();
    flipped[EXTENT_BYTES] ^= 1;
    assert!(Footer::new(SEGMENT, SALT, buf(&flipped)).is_none());
    // Two extents in each other's place, and the checksum of that.
    let mut swapped = whole;
    let (extents, page) = swapped.split_at_mut(whole_pages(15));
    let (first, second) = extents.split_at_mut(EXTENT_BYTES);
    first.swap_with_slice(&mut second[..EXTENT_BYTES]);
    let mut trailer = Trailer::decode(page).expect("it is whole");
    trailer.extents_crc = torc_base::crc::crc32c(extents);
    trailer.encode(page);
    assert!(Footer::new(SEGMENT, SALT, buf(&swapped)).is_none());
}

fn whole_pages(extents: usize) -> usize {
    footer_bytes(extents) - PAGE
}

#[test]
fn the_longest_unused_goes_and_the_newest_stays_however_large() {
    let small = footer(&index(1, 1));
    let large = footer(&index(1, (FOOTERS_BYTES / EXTENT_BYTES) as u64 + 1));
    let mut footers = Footers::default();
    let loaded = |bytes: &[u8]| Footer::new(SEGMENT, SALT, buf(bytes)).expect("it is whole");
    footers.insert(SegmentId(1), loaded(&small));
    footers.insert(SegmentId(2), loaded(&small));
    assert!(footers.of(SegmentId(1), GroupId(3)).is_some());
    footers.insert(SegmentId(3), loaded(&large));
    let kept = |footers: &mut Footers| [1, 2, 3].map(|id| footers.of(SegmentId(id), GroupId(3)).is_some());
    assert_eq!(kept(&mut footers), [false, false, true]);
    footers.insert(SegmentId(1), loaded(&small));
    assert_eq!(kept(&mut footers), [true, false, false]);
    footers.remove(SegmentId(1));
    assert_eq!((kept(&mut footers), footers.bytes), ([false, false, false], 0));
}
