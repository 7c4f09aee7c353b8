//! Which sectors of a write survive, and putting them there.

use crate::disk::{Inode, SECTOR, Unstable};
use torc_base::prng::Prng;

/// Which sectors of a run are written.
pub enum Keep {
    /// All.
    All,
    /// Those that are true.
    Some(Vec<bool>),
}

impl Keep {
    fn keeps(&self, sector: usize) -> bool {
        match self {
            Keep::All => true,
            Keep::Some(which) => which[sector],
        }
    }
}

/// One of the ways in which a write of `sectors` sectors tears: nothing, everything, a prefix, a suffix, a hole,
/// or any subset.
pub fn pattern(rng: &mut Prng, sectors: usize) -> Keep {
    let n = sectors as u64;
    let at = rng.below(n + 1) as usize;
    let other = rng.below(n + 1) as usize;
    let (low, high) = (at.min(other), at.max(other));
    match rng.below(8) {
        0 | 1 => Keep::Some(vec![false; sectors]),
        2 => Keep::All,
        3 | 4 => Keep::Some((0..sectors).map(|s| s < at).collect()),
        5 => Keep::Some((0..sectors).map(|s| s >= at).collect()),
        6 => Keep::Some((0..sectors).map(|s| s < low || s >= high).collect()),
        _ => Keep::Some((0..sectors).map(|_| rng.chance(1, 2)).collect()),
    }
}

/// Puts the kept sectors of `bytes` at `at` (inside the file): on the medium if `stable`, else in the cache.
pub(crate) fn put(file: &mut Inode, at: usize, bytes: &[u8], keep: &Keep, stable: bool, tick: u64) {
    let end = at + bytes.len();
    if stable && matches!(keep, Keep::All) {
        while let Some((&sector, _)) = file.undo.range(at / SECTOR..end.div_ceil(SECTOR)).next() {
            file.undo.remove(&sector);
        }
        return file.bytes[at..end].copy_from_slice(bytes);
    }
    if !stable && file.bytes[at..end] == *bytes {
        return;
    }
    for (n, new) in bytes.chunks(SECTOR).enumerate() {
        if !keep.keeps(n) {
            continue;
        }
        let from = at + n * SECTOR;
        let place = &mut file.bytes[from..from + new.len()];
        let sector = from / SECTOR;
        if stable {
            file.undo.remove(&sector);
        } else if place != new {
            // If the sector was unstable already the medium keeps what it had.
            let mut old = Box::new([0; SECTOR]);
            old.copy_from_slice(place);
            file.undo.entry(sector).and_modify(|u| u.at = tick).or_insert(Unstable { old, at: tick });
        }
        place.copy_from_slice(new);
    }
}

/// After a power cut: each unstable sector is what was written or what was there, and reads see the medium.
pub(crate) fn settle(rng: &mut Prng, file: &mut Inode) {
    let undo = std::mem::take(&mut file.undo);
    // The whole file at once or sector by sector, so that both clean and ragged ends are common.
    let whole = rng.below(4);
    for (sector, unstable) in undo {
        let lost = match whole {
            0 => false,
            1 => true,
            _ => rng.chance(1, 2),
        };
        if lost {
            let from = sector * SECTOR;
            let end = (from + SECTOR).min(file.bytes.len());
            if from < end {
                file.bytes[from..end].copy_from_slice(&unstable.old[..end - from]);
            }
        }
    }
    if file.bytes.len() > file.stable_len && rng.chance(1, 2) {
        file.bytes.truncate(file.stable_len);
    }
    file.stable_len = file.bytes.len();
}

/// The device loses those unstable sectors that `lost` names: reads see the medium.
pub(crate) fn drop_unstable(file: &mut Inode, lost: &Keep) {
    let bytes = &mut file.bytes;
    file.undo.retain(|sector, unstable| {
        let from = sector * SECTOR;
        let keeps = from + SECTOR > bytes.len() || !lost.keeps(*sector);
        if !keeps {
            bytes[from..from + SECTOR].copy_from_slice(&unstable.old[..]);
        }
        keeps
    });
}

/// Any order of `items`, each as likely.
pub fn shuffle<T>(rng: &mut Prng, items: &mut [T]) {
    for i in (1..items.len()).rev() {
        items.swap(i, rng.below(i as u64 + 1) as usize);
    }
}
