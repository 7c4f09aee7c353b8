use super::*;
use std::collections::BTreeMap;
use torc_base::prng::Prng;

#[test]
fn it_knows_what_a_map_knows_as_long_as_there_is_room() {
    let mut prng = Prng::new(1);
    for (expected, memory) in [(10_000, 1 << 30), (1 << 40, 24 * 3_000), (1 << 40, 24 * 100_000), (3, 1 << 20), (0, 0)]
    {
        let mut keys = Keys::new((prng.next_u64(), prng.next_u64()), expected, memory);
        let mut model: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
        let mut refused = 0;
        for offset in 0..40_000 {
            let key = prng.below(8_000).to_string().into_bytes();
            let known = model.contains_key(&key);
            if keys.note(&key, Offset(offset)) {
                model.insert(key, offset);
            } else {
                assert!(!known, "a key that is there always has room");
                refused += 1;
            }
        }
        assert_eq!(keys.len(), model.len());
        assert!(!keys.is_empty() && keys.len() <= (memory / COMPACTION_KEY_BYTES).max(2), "memory is bounded");
        assert_eq!(refused > 0, keys.len() < 7_900);
        for key in 0..8_100u32 {
            let key = key.to_string().into_bytes();
            assert_eq!(keys.last(&key).map(|offset| offset.0), model.get(&key).copied());
        }
    }
}

#[test]
fn the_last_offset_counts_whatever_the_order() {
    let mut keys = Keys::new((1, 2), 10, 1 << 20);
    for (key, offset) in [("a", 7), ("b", 1), ("a", 3), ("", 0)] {
        assert!(keys.note(key.as_bytes(), Offset(offset)));
    }
    let last = |key: &str| keys.last(key.as_bytes()).map(|offset| offset.0);
    assert_eq!((last("a"), last("b"), last(""), last("c")), (Some(7), Some(1), Some(0), None));
}

#[test]
fn an_empty_table_grows_for_a_single_batch() {
    for batch in [1, 2, 9, 100, 70_000] {
        let mut keys = Keys::new((1, 2), 1 << 40, 0);
        keys.make_room(batch);
        for key in 0..batch {
            assert!(keys.note(&key.to_be_bytes(), Offset(key as i64)), "{key} of {batch}");
        }
        let before = keys.len();
        keys.make_room(1 << 20);
        assert_eq!((keys.len(), keys.last(&0usize.to_be_bytes())), (before, Some(Offset(0))), "what it knows it keeps");
    }
}

#[test]
fn when_it_is_time() {
    let settings = Compaction { min_lag_ms: 0, max_lag_ms: i64::MAX, dirty_ppm: 500_000, delete_retention_ms: 1 };
    let due =
        |clean, dirty, age_ms, waited_ms| Dirt { clean, dirty, age_ms, waited_ms, ..Dirt::default() }.is_due(&settings);
    assert!(due(100 << 20, 101 << 20, 0, 0));
    assert!(!due(100 << 20, 99 << 20, 0, 1 << 40), "half is not more than half");
    assert!(!due(0, 100, 0, 1_000) && due(0, 100, 0, 60_000), "a little waits for a minute");
    assert!(!due(0, 0, 1 << 50, 1 << 50), "nothing is new");
    let overdue = Compaction { max_lag_ms: 1_000, ..settings };
    let dirt = Dirt { clean: 1 << 30, dirty: 1, age_ms: 1_001, ..Dirt::default() };
    assert!(dirt.is_due(&overdue) && !dirt.is_due(&settings));
    assert!(Dirt { tombstones_due: true, ..Dirt::default() }.is_due(&settings));
}
