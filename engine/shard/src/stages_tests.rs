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

fn stages(trace: Trace, sent: u64) -> Vec<(&'static str, u64)> {
    let mut stages = Vec::new();
    trace.each(Mono(sent), |stage, ns| stages.push((stage.name(), ns)));
    stages
}

#[test]
fn the_stages_of_a_produce_add_up_to_its_total() {
    let (asked, appended, cut, durable) = (Mono(30), Mono(37), Mono(48), Mono(61));
    let times = LogTimes { asked, appended, cut, own: None, durable, hop: true };
    let mut trace = Trace { api: 0, began: Mono(10), decoded: Mono(15), path: Path::Log(times) };
    let all =
        [("receive", 5), ("hop", 15), ("queue", 7), ("wal_wait", 11), ("flush", 13), ("reply", 19), ("total", 70)];
    assert_eq!(stages(trace, 80), all);
    assert_eq!(all[..6].iter().map(|(_, ns)| ns).sum::<u64>(), 70);
    trace.path = Path::Log(LogTimes { asked: Mono(15), hop: false, ..times });
    assert!(stages(trace, 80).iter().all(|(name, _)| *name != "hop"));
    // With other replicas the wait for them is told apart.
    trace.path = Path::Log(LogTimes { own: Some(Mono(52)), ..times });
    let told = stages(trace, 80);
    assert!(told.contains(&("flush", 4)) && told.contains(&("quorum", 9)) && told.contains(&("total", 70)), "{told:?}");
}

#[test]
fn a_fetch_is_not_charged_for_records_that_were_not_there() {
    let path = Path::Fetch { waited_ns: 500, read_ns: 0 };
    let mut trace = Trace { api: 1, began: Mono(100), decoded: Mono(110), path };
    assert_eq!(stages(trace, 700), [("fetch_total", 100)]);
    trace.path = Path::Fetch { waited_ns: 0, read_ns: 60 };
    assert_eq!(stages(trace, 700), [("fetch_read", 60), ("fetch_total", 600)]);
    assert!(stages(Trace { path: Path::Other, ..trace }, 700).is_empty());
}
