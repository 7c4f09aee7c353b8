use super::*;

#[test]
fn bounds_rise_by_half_an_octave_and_belong_to_the_bucket_below() {
    let bounds: Vec<u64> = Histogram::bounds().collect();
    assert_eq!(bounds[..6], [1024, 1536, 2048, 3072, 4096, 6144]);
    assert_eq!(bounds.len(), BOUNDED);
    for (n, &bound) in bounds.iter().enumerate() {
        assert_eq!(bucket(bound), n);
        assert_eq!(bucket(bound + 1), n + 1);
    }
    assert!((16_000_000_000..40_000_000_000).contains(bounds.last().expect("there are some")));
    assert_eq!((bucket(0), bucket(u64::MAX)), (0, BOUNDED));
}

#[test]
fn values_are_counted_once_and_summed() {
    let histogram = Histogram::default();
    for ns in [0, 1024, 1025, 5000, u64::from(u32::MAX) * 100] {
        histogram.record(ns);
    }
    let (buckets, sum) = histogram.read();
    assert_eq!((buckets.len(), buckets.iter().sum::<u64>()), (BOUNDED + 1, 5));
    assert_eq!((buckets[0], buckets[1], buckets[5], buckets[BOUNDED]), (2, 1, 1, 1));
    assert_eq!(sum, 1024 + 1025 + 5000 + u64::from(u32::MAX) * 100);
}
