use super::*;
use crate::stages::LogTimes;
use std::sync::atomic::Ordering;

const CONN: ConnId = ConnId(7);

fn at(us: u64) -> Mono {
    Mono(us * 1_000)
}

fn produce() -> Trace {
    let times =
        LogTimes { asked: at(10), appended: at(20), cut: at(1_020), own: None, durable: at(1_500_020), hop: false };
    Trace { api: 0, began: at(4), decoded: at(10), path: Path::Log(times) }
}

#[test]
fn a_line_has_every_stage() {
    let mut log = SlowLog::new(1_000, Arc::default());
    assert_eq!(
        log.look_at(at(1_500_100), CONN, &produce()).expect("slow"),
        "slow request: Produce of connection 7 took 1500.096 ms: receive 0.006 ms queue 0.010 ms wal_wait 1.000 ms \
         flush 1499.000 ms reply 0.080 ms"
    );
    let path = Path::Fetch { waited_ns: 400_000_000, read_ns: 1_000_000_000 };
    let fetch = Trace { api: 1, began: at(0), decoded: at(5), path };
    assert_eq!(
        log.look_at(at(1_500_000), CONN, &fetch).expect("slow"),
        "slow request: Fetch of connection 7 took 1100.000 ms: receive 0.005 ms fetch_read 1000.000 ms rest 99.995 ms, \
         besides 400.000 ms of waiting for records"
    );
    let other = Trace { api: 3, path: Path::Other, ..fetch };
    assert_eq!(
        log.look_at(at(2_000_000), CONN, &other).expect("slow"),
        "slow request: Metadata of connection 7 took 2000.000 ms: receive 0.005 ms rest 1999.995 ms"
    );
}

#[test]
fn waiting_for_records_is_not_slow_and_nothing_is_when_it_is_off() {
    let mut log = SlowLog::new(1_000, Arc::default());
    let path = Path::Fetch { waited_ns: 600_000_000, read_ns: 0 };
    let fetch = Trace { api: 1, began: at(0), decoded: at(0), path };
    assert_eq!(log.look_at(at(1_600_000), CONN, &fetch), None);
    assert!(log.look_at(at(1_600_001), CONN, &fetch).is_some());
    for (api, is_slow) in [(api::JOIN_GROUP, false), (api::SYNC_GROUP, false), (api::HEARTBEAT, true)] {
        let trace = Trace { api, began: at(0), decoded: at(0), path: Path::Other };
        assert_eq!(log.look_at(at(1_600_001), CONN, &trace).is_some(), is_slow, "who waits for others is not slow");
    }
    assert_eq!(SlowLog::new(0, Arc::default()).look_at(at(1 << 40), CONN, &produce()), None);
}

#[test]
fn few_lines_a_second_and_the_next_says_how_many_are_missing() {
    let stats = Arc::<Stats>::default();
    let mut log = SlowLog::new(1_000, Arc::clone(&stats));
    let lines = |log: &mut SlowLog, from: u64| {
        (0..100).filter_map(|n| log.look_at(at(from + n), CONN, &produce())).collect::<Vec<String>>()
    };
    assert_eq!(lines(&mut log, 2_000_000).len(), LINES_MAX as usize);
    let next = lines(&mut log, 3_000_000);
    assert_eq!(next.len(), LINES_MAX as usize);
    assert!(next[0].ends_with("reply 1499.980 ms (95 more slow requests since the last line)"), "{}", next[0]);
    assert!(!next[1].contains("more slow"));
    assert_eq!(stats.slow_requests_total.load(Ordering::Relaxed), 200);
}
