//! Entries of a log that rot on several disks at once, no two disks alike.
//!
//! The budget: bytes of entries, of no batch's header or table and of no word about votes, and only of batches of which the disk
//! says that they were durable (`faults.rs`). Each entry stays whole on one disk at least of those that have it, and nothing rots that
//! only one has. So nothing is lost that was acknowledged, though no disk may be left that has all of it.

use crate::disk::Disk;
use std::collections::{BTreeMap, BTreeSet};
use torc_base::ids::{BatchSeq, GroupId, Index, Term};
use torc_base::prng::Prng;
use torc_wal::batch::{Descriptor, Header, check};

/// What is one entry on all disks.
pub type Entry = (GroupId, Term, Index);

/// In so many groups at most something rots at once, and of each so many entries in a row at most.
const GROUPS_AT_ONCE: u64 = 3;
const ENTRIES_AT_ONCE: u64 = 10;

/// Where a disk has an entry that was written last.
#[derive(Clone, Copy)]
struct Place {
    seq: BatchSeq,
    file: u32,
    at: usize,
    bytes: usize,
    witnessed: bool,
}

/// Entries rot on each of the disks, which belong to different nodes, about `one_in` of those that may. How many did, by disk.
pub fn scatter(disks: &mut [Disk], rng: &mut Prng, one_in: u64) -> Vec<usize> {
    let mut found: BTreeMap<Entry, Vec<(usize, Place)>> = BTreeMap::new();
    for (number, disk) in disks.iter().enumerate() {
        for (entry, copy) in copies(disk) {
            found.entry(entry).or_default().push((number, copy));
        }
    }
    let mut rotten = vec![0; disks.len()];
    for copies in found.into_values().filter(|copies| copies.len() > 1) {
        rot_all_but_one(disks, rng, copies, one_in).into_iter().for_each(|number| rotten[number] += 1);
    }
    rotten
}

/// The same of few groups and of few entries in a row of each, mostly of the newest; only those copies count of which `keeps` says, by
/// the number of their disk, that their members count on them. `lost` has what rotted here before: a disk may still have such an entry
/// in a place that its log has left, and that is none.
pub fn scatter_some(
    disks: &mut [Disk],
    rng: &mut Prng,
    lost: &mut BTreeSet<(usize, Entry)>,
    keeps: impl Fn(usize, Entry) -> bool,
) -> Vec<usize> {
    let mut groups: BTreeMap<GroupId, BTreeMap<Entry, Vec<(usize, Place)>>> = BTreeMap::new();
    for (number, disk) in disks.iter().enumerate() {
        let counts = |entry: Entry| keeps(number, entry) && !lost.contains(&(number, entry));
        for (entry, copy) in copies(disk).into_iter().filter(|(entry, _)| counts(*entry)) {
            groups.entry(entry.0).or_default().entry(entry).or_default().push((number, copy));
        }
    }
    let mut rotten = vec![0; disks.len()];
    for _ in 0..rng.between(1, GROUPS_AT_ONCE) {
        let Some(&group) = groups.keys().nth(rng.below(groups.len().max(1) as u64) as usize) else { break };
        let entries = groups.remove(&group).expect("just seen");
        let count = rng.between(1, ENTRIES_AT_ONCE).min(entries.len() as u64) as usize;
        let before = entries.len() - count;
        let before = if rng.chance(2, 3) { before } else { rng.below(before as u64 + 1) as usize };
        for (entry, copies) in entries.into_iter().skip(before).take(count).filter(|(_, copies)| copies.len() > 1) {
            for number in rot_all_but_one(disks, rng, copies, 2) {
                rotten[number] += 1;
                lost.insert((number, entry));
            }
        }
    }
    rotten
}

/// Of copies on different disks one in `one_in` rots, never all. The numbers of the disks where one did.
fn rot_all_but_one(disks: &mut [Disk], rng: &mut Prng, copies: Vec<(usize, Place)>, one_in: u64) -> Vec<usize> {
    let whole = rng.below(copies.len() as u64) as usize;
    let mut rotten = Vec::new();
    for (at, (number, copy)) in copies.into_iter().enumerate() {
        let rots = rng.chance(1, one_in);
        if at != whole && rots && copy.witnessed && copy.bytes > 0 {
            rot(&mut disks[number], rng, &copy);
            rotten.push(number);
        }
    }
    rotten
}

/// The newest entry that all of the disks have, and that may rot, rots on all of them: more than can be survived. None is such.
pub fn lose_one(disks: &mut [Disk], rng: &mut Prng, of: impl Fn(GroupId) -> bool) -> Option<Index> {
    let mut all: Vec<BTreeMap<Entry, Place>> = disks.iter().map(copies).collect();
    let may_rot = |copies: &BTreeMap<Entry, Place>, entry: &Entry| {
        copies.get(entry).is_some_and(|copy| copy.witnessed && copy.bytes > 0)
    };
    let common = |entry: &&Entry| of(entry.0) && all.iter().all(|copies| may_rot(copies, entry));
    let entry = *all.first()?.keys().filter(common).max_by_key(|(_, _, index)| *index)?;
    for (disk, copies) in disks.iter_mut().zip(&mut all) {
        rot(disk, rng, &copies.remove(&entry).expect("just seen"));
    }
    Some(entry.2)
}

fn rot(disk: &mut Disk, rng: &mut Prng, copy: &Place) {
    let file = disk.files.get_mut(&copy.file).expect("just seen");
    let bit = rng.below(8 * copy.bytes as u64) as usize;
    file.bytes[copy.at + bit / 8] ^= 1 << (bit % 8);
}

/// Entries of the batches of a disk that are whole, each where it was written last.
fn copies(disk: &Disk) -> BTreeMap<Entry, Place> {
    let mut copies: BTreeMap<Entry, Place> = BTreeMap::new();
    for ino in disk.names.iter().filter(|(name, _)| name.starts_with("wal-")).map(|(_, ino)| *ino) {
        let file = &disk.files[&ino];
        for note in &file.notes {
            let witnessed = file.notes.iter().any(|w| w.at > note.at && w.issued > note.completed);
            let bytes = &file.bytes[note.at..(note.at + note.len).min(file.bytes.len())];
            let Some((header, _)) = Header::decode(bytes) else { continue };
            let Some(batch) = bytes.get(..header.total as usize).filter(|batch| check(&header, batch).is_ok()) else {
                continue;
            };
            let lines = (0..header.count as usize).filter_map(|number| Descriptor::decode(&header, batch, number));
            for d in lines.filter(|d| d.index > Index(0)) {
                let at = note.at + d.position as usize;
                let copy = Place { seq: header.seq, file: ino, at, bytes: d.length as usize, witnessed };
                let newest = copies.entry((d.group, d.term, d.index)).or_insert(Place { seq: BatchSeq(0), ..copy });
                if newest.seq <= header.seq {
                    *newest = Place { seq: header.seq, ..copy };
                }
            }
        }
    }
    copies
}
