//! Reads and the memory for them: whoever finds no room is told so, and holds nothing while he comes back.

mod rig;

use rig::{FIRST, MORE, Rig};
use torc_base::ids::{GroupId, Index};
use torc_wal::{Claim, From, Item, Read, WalError, WalSettings};

const ENTRY: usize = 40_000;
const GROUPS: u64 = 12;
const LIMIT: usize = 1 << 20;

/// A log of several segments whose tail is not in memory, and little memory for reads.
fn rig() -> Rig {
    let settings = WalSettings { tail_bytes: 0, read_memory: LIMIT, read_ahead_bytes: LIMIT / 4, ..rig::small() };
    let mut rig = Rig::started(settings, 1);
    for _ in 0..10 {
        for group in 1..=GROUPS {
            rig.append(group, ENTRY, false);
        }
        rig.settle();
    }
    rig
}

fn read(rig: &mut Rig, group: u64, claim: Claim) -> Result<Vec<Item>, WalError> {
    match rig.wal.read(GroupId(group), From::Index(Index(1)), Index(10), 400_000, claim, &mut rig.pending) {
        Read::Ready(items) => Ok(items),
        Read::Pending(id) => rig.wait_read(id),
        Read::NoRoom => Err(WalError::NoRoom),
        Read::Released => panic!("nothing is released"),
    }
}

#[test]
fn what_readers_hold_is_bounded_and_those_who_have_nothing_come_first() {
    let mut rig = rig();
    let mut held = Vec::new();
    let mut refused = 0;
    for group in 1..=GROUPS {
        match read(&mut rig, group, MORE) {
            Ok(items) => held.push(items),
            Err(WalError::NoRoom) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(held.len() >= 2 && refused >= 4, "{} got entries, {refused} did not", held.len());
    let (used, _) = rig.wal.read_memory();
    assert!(used <= LIMIT, "{used} bytes are in use");
    let first = read(&mut rig, GROUPS, FIRST).expect("half is left to those who have nothing");
    assert!(!first.is_empty());
    assert!(rig.wal.reads_are_tight());
}

#[test]
fn what_is_given_back_is_there_for_the_next() {
    let mut rig = rig();
    let mut held = Vec::new();
    let refused = loop {
        let group = held.len() as u64 % GROUPS + 1;
        match read(&mut rig, group, FIRST) {
            Ok(items) => held.push(items),
            Err(error) => break error,
        }
        assert!(held.len() < 500, "memory for reads has no bound");
    };
    assert_eq!(refused, WalError::NoRoom);
    held.clear();
    for group in 1..=GROUPS {
        let items = read(&mut rig, group, FIRST).expect("all that was held is given back");
        assert!(!items.is_empty());
    }
}

#[test]
fn what_nobody_reads_does_not_stay_in_memory_and_is_read_from_the_disk() {
    let mut rig = Rig::started(WalSettings { tail_bytes: 10 << 20, ..rig::small() }, 1);
    rig.wal.note_readers(GroupId(1), false);
    for _ in 0..20 {
        rig.append(1, ENTRY, false);
        rig.settle();
    }
    assert_eq!(rig.wal.stats().tail_bytes, 0);
    assert!(!rig.wal.is_recent(GroupId(1), Index(20)));
    // Beside what others read it stays as that does.
    rig.append(1, 100, false);
    rig.append(2, 100, false);
    rig.settle();
    assert!(rig.wal.is_recent(GroupId(1), Index(21)));
    rig.wal.note_readers(GroupId(1), true);
    rig.append(1, 100, false);
    rig.settle();
    assert!(rig.wal.is_recent(GroupId(1), Index(22)));
    rig.verify(usize::MAX);
}
