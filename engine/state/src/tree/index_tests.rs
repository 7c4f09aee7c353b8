use super::*;
use crate::tree::slab::NONE;
use std::collections::BTreeMap;

const SECRET: (u64, u64) = (0x5eed, 0xfeed);

/// Znodes of these hashes, each at the place of its number.
fn slab(hashes: &[u64]) -> Slab {
    let mut slab = Slab::new();
    for (n, path_hash) in hashes.iter().enumerate() {
        let mut slot = Slot::free(NONE);
        slot.path_hash = *path_hash;
        assert_eq!(slab.insert(slot), n as u32);
    }
    slab
}

fn spread(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
}

#[test]
fn buckets_stay_small_and_whole_at_every_size_and_through_removals() {
    let hashes: Vec<u64> = (0..40_000).map(spread).collect();
    let slab = slab(&hashes);
    let mut index = Index::new(SECRET);
    for (n, hash) in hashes.iter().enumerate() {
        index.insert(*hash, n as u32);
        if n % 1_777 == 0 {
            let lengths = index.lengths();
            assert_eq!(lengths.iter().sum::<usize>(), n + 1, "everybody stands in one");
            let longest = *lengths.iter().max().expect("there is one");
            assert!(longest <= 4 * BUCKET_MEAN, "after {n}: {longest}");
        }
    }
    for (n, hash) in hashes.iter().enumerate() {
        assert_eq!(index.find(&slab, *hash, |_| true), Some(n as u32));
        assert_eq!(index.find(&slab, *hash, |_| false), None);
        assert_eq!(index.find(&slab, hash ^ 1, |_| true), None);
        index.remove(*hash, n as u32);
        assert_eq!(index.find(&slab, *hash, |_| true), None);
    }
    assert_eq!((index.lengths().iter().sum::<usize>(), index.live, index.room), (0, 0, 0));
}

/// Hashes that are alike, of which nobody is to make many, are kept apart by who looks.
#[test]
fn any_number_of_equal_hashes_are_told_apart_and_cost_what_they_are() {
    let hashes: Vec<u64> = (0..1_000).map(|n| spread(n / 500)).collect();
    let slab = slab(&hashes);
    let mut index = Index::new(SECRET);
    for (n, hash) in hashes.iter().enumerate() {
        index.insert(*hash, n as u32);
    }
    for id in [3, 499, 500, 999] {
        let it = std::ptr::from_ref(slab.get(id));
        assert_eq!(index.find(&slab, hashes[id as usize], |slot| std::ptr::from_ref(slot) == it), Some(id));
    }
    assert_eq!(index.lengths().iter().sum::<usize>(), 1_000);
}

#[test]
fn it_is_a_map_whatever_comes_and_goes() {
    for seed in 0..50 {
        let hashes: Vec<u64> = (0..600).map(|n| spread(n % 550 + seed * 1_000)).collect();
        let slab = slab(&hashes);
        let (mut index, mut model) = (Index::new((seed, spread(seed))), BTreeMap::new());
        for turn in 0..2_000 {
            let id = (spread(turn + seed * 7_919) % 600) as u32;
            if model.remove(&id).is_some() {
                index.remove(hashes[id as usize], id);
            } else {
                index.insert(hashes[id as usize], id);
                model.insert(id, ());
            }
        }
        assert_eq!(index.lengths().iter().sum::<usize>(), model.len());
        for id in 0..600 {
            let it = std::ptr::from_ref(slab.get(id));
            let found = index.find(&slab, hashes[id as usize], |slot| std::ptr::from_ref(slot) == it);
            assert_eq!(found.is_some(), model.contains_key(&id), "seed {seed}, znode {id}");
        }
    }
}
