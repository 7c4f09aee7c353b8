use super::*;
use std::collections::BTreeMap;
use torc_base::prng::Prng;

#[test]
fn what_was_put_last_is_found_whatever_is_put_and_taken_away_beside_it() {
    for seed in 0..20 {
        let mut prng = Prng::new(seed);
        // With few hashes many share a place; with many the places grow, and shrink at the end.
        let hashes = if seed % 2 == 0 { 40 } else { 20_000 };
        let mut newest = Newest::new((prng.next_u64(), prng.next_u64()));
        let mut model = BTreeMap::new();
        for number in 1..30_000 {
            let hash = prng.below(hashes);
            if prng.chance(1, 3) {
                newest.remove(hash);
                model.remove(&hash);
            } else {
                assert_eq!(newest.insert(hash, number), model.insert(hash, number), "seed {seed}");
            }
            let other = prng.below(hashes);
            assert_eq!(newest.get(other), model.get(&other).copied(), "seed {seed}");
        }
        for hash in 0..hashes {
            assert_eq!(newest.get(hash), model.get(&hash).copied(), "seed {seed}");
        }
        model.into_keys().for_each(|hash| newest.remove(hash));
        assert!(newest.len == 0 && newest.places.iter().all(|place| *place == (0, 0)));
        assert!(newest.places.len() <= 64 * PLACES_MIN, "seed {seed}: {} places stay", newest.places.len());
    }
}
