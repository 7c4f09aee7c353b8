//! Entries that cannot be read get their bytes from elsewhere and are found again, whatever happens meanwhile; all else of their
//! groups stays as and where it is.

mod rig;

use rig::{Rig, batches, small};
use torc_base::ids::{GroupId, Index};
use torc_wal::batch::Descriptor;
use torc_wal::{From, Item, Part, WalError, WalSettings};

const ID: GroupId = GroupId(1);

fn settings() -> WalSettings {
    WalSettings { tail_bytes: 0, read_ahead_bytes: 0, ..small() }
}

/// Two groups in several segments.
fn filled(seed: u64) -> Rig {
    let mut rig = Rig::started(settings(), seed);
    for round in 0..120 {
        rig.append(1, 2_000 + round * 7, false);
        rig.append(2, 3_000, round % 3 == 0);
        rig.settle();
    }
    rig
}

/// The first byte of an entry's payload is another one from now on.
fn damage(rig: &mut Rig, index: Index) {
    for file in rig.disk.files.values_mut().filter(|file| torc_wal::segment::Header::decode(&file.bytes).is_some()) {
        for header in batches(&file.bytes) {
            let at = header.position as usize;
            let batch = file.bytes[at..at + header.total as usize].to_vec();
            let lines = (0..header.count as usize).filter_map(|number| Descriptor::decode(&header, &batch, number));
            for d in lines.filter(|d| (d.group, d.index) == (ID, index)) {
                file.bytes[at + d.position as usize] ^= 1;
            }
        }
    }
}

fn read(rig: &mut Rig, index: Index) -> Result<Item, WalError> {
    rig.read(1, From::Index(index), index.get(), 1).map(|mut items| items.remove(0))
}

#[test]
fn entries_are_read_from_where_they_were_mended_and_all_else_from_where_it_was() {
    for seed in 1..=4 {
        let mut rig = filled(seed);
        rig.checkpoint();
        let lost = [[5, 5], [11, 13], [20, 20]].map(|[first, last]| (first..=last).map(Index).collect::<Vec<_>>());
        let whole: Vec<Vec<Item>> =
            lost.iter().map(|lost| lost.iter().map(|index| read(&mut rig, *index).unwrap()).collect()).collect();
        lost.iter().flatten().for_each(|index| damage(&mut rig, *index));
        for index in lost.iter().flatten() {
            let Err(WalError::Corrupt(found)) = read(&mut rig, *index) else { panic!("entry {index} was read") };
            assert_eq!((found.entry, found.through), (Some((ID, *index)), None));
        }
        let before = rig.wal.group_bytes(ID);
        assert!(lost.iter().all(|lost| rig.wal.may_mend(ID, lost[0], *lost.last().unwrap())));
        assert!(rig.mend(whole), "seed {seed}");
        rig.verify(1 << 20);
        rig.verify(1);
        assert_eq!((rig.wal.compacted(ID), rig.wal.group_bytes(ID).abs_diff(before) < 4_000), (Index(0), true));
        rig.goes_on();
    }
}

/// A crash before that checkpoint finds the damage again, and nothing else.
#[test]
fn without_a_checkpoint_a_start_finds_the_old_places() {
    let mut rig = filled(7);
    rig.checkpoint();
    let whole = read(&mut rig, Index(9)).unwrap();
    damage(&mut rig, Index(9));
    assert!(rig.mend(vec![vec![whole.clone()]]));
    rig.verify(1 << 20);
    rig.restart(false);
    assert!(matches!(read(&mut rig, Index(9)), Err(WalError::Corrupt(_))));
    assert!(read(&mut rig, Index(8)).is_ok() && read(&mut rig, Index(10)).is_ok());
    assert!(rig.mend(vec![vec![whole]]));
    rig.verify(1 << 20);
}

/// What recovery may come by is not mended, or it would be taken for what replaces all behind it.
#[test]
fn what_recovery_may_come_by_waits_for_a_checkpoint() {
    let mut rig = filled(3);
    let last = rig.wal.last_index(ID).unwrap();
    let whole = read(&mut rig, last).unwrap();
    assert!(!rig.wal.may_mend(ID, Index(5), Index(5)) && !rig.wal.may_mend(ID, last, last));
    rig.checkpoint();
    assert!(rig.wal.may_mend(ID, Index(5), Index(5)) && !rig.wal.may_mend(ID, last, last));
    assert!(!rig.mend(vec![vec![whole.clone()]]), "it says that it is not");
    rig.verify(1 << 20);
    assert!(!rig.wal.seal(ID, Index(5), Index(5)) && rig.wal.seal(ID, last, last));
    rig.append(2, 100, false);
    rig.settle();
    rig.checkpoint();
    assert!(rig.wal.may_mend(ID, last, last));
    damage(&mut rig, last);
    assert!(rig.mend(vec![vec![whole]]));
    rig.verify(1 << 20);
    rig.checkpoint();
    rig.restart(true);
    rig.verify(1 << 20);
}

/// What was handed over of a group that is dropped and made again is none of the new one.
#[test]
fn a_group_that_is_made_again_has_nothing_of_what_was_handed_over() {
    let mut rig = filled(5);
    rig.checkpoint();
    let whole = read(&mut rig, Index(3)).unwrap();
    assert!(rig.wal.begin_mending());
    let (first_offset, end_offset) = (whole.first_offset, whole.end_offset());
    let part = Part { group: ID, first_index: Index(3), first_offset, last_index: Index(3), end_offset };
    rig.wal.compact(&part, vec![whole]);
    rig.drop_group(1);
    for at in 0..100 {
        rig.append_at(1, at + 1, at as i64 * 10, 4_000, false);
    }
    rig.settle();
    rig.checkpoint();
    rig.wal.end_compaction(true);
    rig.compaction_ended();
    let items = rig.read_all(1, 1 << 20).unwrap();
    assert_eq!(items.len(), 100);
    assert!(items.iter().all(|item| item.bytes.len() == 4_000), "{:?}", items[2].bytes.len());
}
