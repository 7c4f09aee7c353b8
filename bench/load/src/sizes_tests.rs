use crate::sizes::Sizes;
use torc_base::prng::Prng;

#[test]
fn sizes_are_picked_by_weight() {
    let sizes: Sizes = "100:9,1KiB..2KiB:1".parse().unwrap();
    let mut prng = Prng::new(1);
    let picked: Vec<usize> = (0..10_000).map(|_| sizes.pick(&mut prng)).collect();
    let small = picked.iter().filter(|size| **size == 100).count();
    assert!((8_800..9_200).contains(&small), "{small}");
    assert!(picked.iter().all(|size| *size == 100 || (1024..=2048).contains(size)));
    assert_eq!(sizes.least(), 100);
}

#[test]
fn what_is_no_size_is_refused() {
    for bad in ["", "a", "2..1", "100:0", "100:x", "1,", "17MiB", "1..17MiB"] {
        assert!(bad.parse::<Sizes>().is_err(), "{bad}");
    }
    assert_eq!("0".parse::<Sizes>().unwrap().least(), 0);
}
