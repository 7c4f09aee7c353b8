use super::*;
use std::collections::BTreeMap;
use torc_base::prng::Prng;

#[test]
fn texts_stay_what_they_are_whatever_comes_and_goes_beside_them() {
    for seed in 0..10 {
        let mut prng = Prng::new(seed);
        let mut texts = Texts::new();
        let mut model: BTreeMap<(u32, usize), u8> = BTreeMap::new();
        for _ in 0..3_000 {
            if prng.chance(2, 5)
                && let Some((cell, len)) = model.keys().nth(prng.below(model.len().max(1) as u64) as usize).copied()
            {
                model.remove(&(cell, len));
                texts.give_back(cell, len);
                continue;
            }
            let len = if prng.chance(1, 8) { 500 + prng.below(1_000) } else { 1 + prng.below(40) } as usize;
            let (cell, fill) = (texts.take(len), prng.next_u64() as u8);
            texts.get_mut(cell, len).fill(fill);
            assert_eq!(model.insert((cell, len), fill), None, "seed {seed}: two texts in one cell");
        }
        for ((cell, len), fill) in &model {
            assert!(texts.get(*cell, *len) == vec![*fill; *len], "seed {seed}: {len} bytes");
        }
        for (cell, len) in model.into_keys() {
            texts.give_back(cell, len);
        }
        // One chunk of each size stays.
        assert!(texts.held() <= SIZES * CHUNK_BYTES, "seed {seed}: {} bytes", texts.held());
    }
}

#[test]
fn a_chunk_in_which_nothing_is_left_is_had_by_texts_of_another_size() {
    let mut texts = Texts::new();
    let cells: Vec<u32> = (0..10_000).map(|_| texts.take(100)).collect();
    let held = texts.held();
    cells.into_iter().for_each(|cell| texts.give_back(cell, 100));
    assert!(texts.held() <= CHUNK_BYTES);
    let chunks = texts.chunks.len();
    let cells: Vec<u32> = (0..4_000).map(|_| texts.take(200)).collect();
    assert!(texts.held() <= held + CHUNK_BYTES && texts.chunks.len() <= chunks + 1, "places are used again");
    cells.into_iter().for_each(|cell| texts.give_back(cell, 200));
    assert!(texts.held() <= 2 * CHUNK_BYTES);
}

#[test]
fn what_a_text_takes_is_what_it_is_counted_as() {
    for (len, bytes) in [(0, 0), (1, 16), (16, 16), (17, 24), (120, 120), (511, 512), (512, 512), (513, 544)] {
        assert_eq!(allocated(len), bytes, "{len} bytes");
    }
    let mut texts = Texts::new();
    assert_eq!(texts.take(0), NONE);
    assert!(texts.get(NONE, 0).is_empty() && texts.get_mut(NONE, 0).is_empty());
    texts.give_back(NONE, 0);
    for len in [1, 2, 16, 17, 512, 513] {
        let cell = texts.take(len);
        assert_eq!((texts.get(cell, len).len(), texts.get_mut(cell, len).len()), (len, len));
    }
}
