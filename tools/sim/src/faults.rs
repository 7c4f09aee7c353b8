//! Disk faults: failures of operations, and damage at rest, under a budget.
//!
//! The budget: damage strikes only what the log can prove to have been durable. Of a segment that is a durable write
//! (or one that was synced) that has, behind it in the same file, another one that was issued after the first had completed: the later batch
//! says so. The newest durable batch has no such witness; its damage looks like a torn tail, and no single node
//! could tell them apart.

use crate::disk::{Disk, Note, SECTOR};
use torc_base::limits::PAGE;
use torc_base::prng::Prng;

/// Kinds of operations that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Writes.
    Write,
    /// Syncs of files and of the directory.
    Sync,
    /// Reads.
    Read,
    /// Everything that concerns names.
    Directory,
}

/// Failures to come: for each class, how many operations go well before one fails with EIO.
#[derive(Default)]
pub struct DiskFaults {
    next: Vec<(Class, u64)>,
    /// Operations that have been failed.
    pub struck: u64,
}

impl DiskFaults {
    /// One operation of `class` fails, after `after` that do not.
    pub fn fail(&mut self, class: Class, after: u64) {
        self.next.push((class, after));
    }

    /// Forgets failures that have not struck.
    pub fn clear(&mut self) {
        self.next.clear();
    }

    /// Counts an operation; true if it is to fail.
    pub fn strikes(&mut self, class: Class) -> bool {
        let mut fails = false;
        self.next.retain_mut(|(of, left)| {
            if *of != class {
                return true;
            }
            let now = *left == 0;
            fails |= now;
            *left = left.saturating_sub(1);
            !now
        });
        self.struck += u64::from(fails);
        fails
    }
}

/// What was damaged.
#[derive(Clone, Debug)]
pub struct Damage {
    /// Name of the file.
    pub file: String,
    /// First damaged byte.
    pub at: usize,
    /// How.
    pub how: &'static str,
}

/// Damages stable bytes of a file whose name starts with `prefix`; `None` when the budget allows nothing.
/// `log`: the file is part of the log, and only what has a witness behind it may be damaged.
pub fn damage(disk: &mut Disk, rng: &mut Prng, prefix: &str, log: bool) -> Option<Damage> {
    let named: Vec<(String, u32)> =
        disk.names.iter().filter(|(n, _)| n.starts_with(prefix)).map(|(n, i)| (n.clone(), *i)).collect();
    let mut places: Vec<(String, u32, usize, usize)> = Vec::new();
    for (name, ino) in named {
        let file = &disk.files[&ino];
        if log {
            let witnessed = |n: &&Note| file.notes.iter().any(|w| w.at > n.at && w.issued > n.completed);
            places.extend(file.notes.iter().filter(witnessed).map(|n| (name.clone(), ino, n.at, n.len)));
        } else if !file.bytes.is_empty() {
            places.push((name, ino, 0, file.bytes.len()));
        }
    }
    if places.is_empty() {
        return None;
    }
    let (name, ino, start, len) = places[rng.below(places.len() as u64) as usize].clone();
    let source = &places[rng.below(places.len() as u64) as usize];
    let stray = disk.files[&source.1].bytes[source.2..source.2 + source.3.min(PAGE)].to_vec();
    let file = disk.files.get_mut(&ino).expect("named files exist");
    let sector = start + rng.below((len / SECTOR).max(1) as u64) as usize * SECTOR;
    let end = (sector + SECTOR).min(file.bytes.len());
    let before = file.bytes[sector..end].to_vec();
    let how = match rng.below(4) {
        0 => {
            file.bytes[sector..end].fill(0);
            "a sector of zeroes"
        }
        1 => {
            let page = start + rng.below((len / PAGE).max(1) as u64) as usize * PAGE;
            let end = (page + stray.len()).min(start + len);
            if file.bytes[page..end] == stray[..end - page] {
                return None;
            }
            file.bytes[page..end].copy_from_slice(&stray[..end - page]);
            return Some(Damage { file: name, at: page, how: "a misdirected write" });
        }
        _ => {
            let bit = rng.below(8 * (end - sector) as u64) as usize;
            file.bytes[sector + bit / 8] ^= 1 << (bit % 8);
            "a flipped bit"
        }
    };
    (file.bytes[sector..end] != before[..]).then_some(Damage { file: name, at: sector, how })
}
