//! Which completion belongs to what.

use crate::flight::RANGES_MAX;
use crate::segment::Slot;
use torc_base::ids::{BatchSeq, SegmentId, Tag};

/// Top byte of all tags of the log.
const MARK: u64 = 0x57;
/// Bits of a read's tag that number its parts.
const PART_BITS: u32 = 10;
/// Reads that can be told apart; their numbers begin again after it.
pub(crate) const TRIPS: u64 = 1 << (48 - PART_BITS);
const _: () = assert!(RANGES_MAX <= 1 << PART_BITS);

/// What a disk operation of the log was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// The write of a batch.
    Batch(BatchSeq),
    /// The write of a sealed segment's footer.
    Footer(SegmentId),
    /// The one outstanding step of making a spare.
    Spare,
    /// A step of getting rid of a file.
    Retire(Slot),
    /// A part of a read.
    Read { id: u64, part: u16 },
    /// A step of recovery.
    Recovery(u64),
    /// A step of the cleaner.
    Clean(u64),
}

impl Job {
    pub(crate) fn tag(self) -> Tag {
        let (class, number) = match self {
            Job::Batch(seq) => (1, seq.get()),
            Job::Footer(segment) => (2, segment.get()),
            Job::Spare => (3, 0),
            Job::Retire(slot) => (4, u64::from(slot.0)),
            Job::Read { id, part } => (5, id << PART_BITS | u64::from(part)),
            Job::Recovery(number) => (6, number),
            Job::Clean(number) => (7, number),
        };
        assert!(number < 1 << 48, "tags have 48 bits for the number");
        Tag(MARK << 56 | class << 48 | number)
    }

    pub(crate) fn of(tag: Tag) -> Job {
        assert!(Job::owns(tag), "a tag of somebody else: {tag}");
        let number = tag.get() & ((1 << 48) - 1);
        match tag.get() >> 48 & 0xff {
            1 => Job::Batch(BatchSeq(number)),
            2 => Job::Footer(SegmentId(number)),
            3 => Job::Spare,
            4 => Job::Retire(Slot(number as u32)),
            5 => Job::Read { id: number >> PART_BITS, part: (number & ((1 << PART_BITS) - 1)) as u16 },
            6 => Job::Recovery(number),
            7 => Job::Clean(number),
            class => panic!("no tag of the log has class {class}"),
        }
    }

    pub(crate) fn owns(tag: Tag) -> bool {
        tag.get() >> 56 == MARK
    }
}
