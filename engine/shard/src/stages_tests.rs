use super::*;

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
