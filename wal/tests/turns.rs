//! Reads that wait for the disk: who is next, and that nobody waits there for memory.

mod rig;

use rig::{Rig, small};
use torc_base::ids::{GroupId, Index};
use torc_wal::{Claim, From, Item, Outcome, Read, ReadId, Share, WalError, WalSettings};

const ENTRY: usize = 40_000;
const ENTRIES: u64 = 10;
/// Twice as many as may be with the disk at once.
const GROUPS: u64 = 32;

/// A log whose entries are all cold.
fn rig(read_memory: usize) -> Rig {
    let settings = WalSettings { segment_bytes: 4 << 20, tail_bytes: 0, read_memory, read_ahead_bytes: 0, ..small() };
    let mut rig = Rig::started(settings, 1);
    for group in 1..=GROUPS {
        for _ in 0..ENTRIES {
            rig.append(group, ENTRY, false);
        }
        rig.settle();
    }
    rig
}

/// Asks for all of a group.
fn ask(rig: &mut Rig, group: u64, turn: u64) -> ReadId {
    let claim = Claim { share: Share::All, turn };
    let read = rig.wal.read(GroupId(group), From::Index(Index(1)), Index(ENTRIES), 1 << 20, claim, &mut rig.pending);
    let Read::Pending(id) = read else { panic!("{read:?}, and nothing is in memory") };
    id
}

/// Carries operations out in the order in which they were asked for, until every read has ended: in which order they did.
fn finish(rig: &mut Rig) -> Vec<(ReadId, Result<Vec<Item>, WalError>)> {
    let mut ended = Vec::new();
    loop {
        for outcome in rig.outcomes.drain(..) {
            if let Outcome::Read(id, result) = outcome {
                ended.push((id, result));
            }
        }
        if rig.pending.is_empty() {
            return ended;
        }
        rig.step_at(0);
        rig.turn();
    }
}

#[test]
fn whose_turn_comes_first_is_read_first_in_whichever_order_they_asked() {
    let mut rig = rig(64 << 20);
    // These find the disk idle until it is not, so their turns do not matter.
    let mut asked: Vec<(u64, ReadId)> = (1..=20).map(|group| (100, ask(&mut rig, group, 100))).collect();
    let turns = [50, 7, 101, 7, 3, 60, 200, 1];
    asked.extend((21..).zip(turns).map(|(group, turn)| (turn, ask(&mut rig, group, turn))));
    let ended = finish(&mut rig);
    assert_eq!(ended.len(), asked.len());
    assert!(ended.iter().all(|(_, result)| result.as_ref().is_ok_and(|items| items.len() as u64 == ENTRIES)));
    let order: Vec<(u64, ReadId)> =
        ended.iter().map(|(id, _)| *asked.iter().find(|(_, other)| other == id).expect("it was asked")).collect();
    // What waited comes by turns, and of the same turn in the order of coming.
    let begun = order.iter().position(|(turn, _)| *turn != 100).expect("some have other turns");
    assert!(order[..begun].len() >= 10, "the disk takes several at a time: {order:?}");
    assert!(order[begun..].is_sorted(), "{order:?}");
}

#[test]
fn nobody_waits_for_memory_behind_the_disk() {
    let mut rig = rig(8 << 20);
    let asked = (1..=GROUPS).map(|group| ask(&mut rig, group, group % 3)).count();
    // What is read stays with its readers, as if each waited for more.
    let ended = finish(&mut rig);
    assert_eq!(ended.len(), asked, "each read has ended, with entries or without");
    let with = ended.iter().filter(|(_, result)| result.is_ok()).count();
    let without = ended.iter().filter(|(_, result)| matches!(result, Err(WalError::NoRoom))).count();
    assert!(with >= 10 && without >= 4 && with + without == asked, "{with} with, {without} without");
}
