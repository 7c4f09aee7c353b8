use super::*;

fn run(last_offset: i64, max_timestamp: i64, bytes: u64) -> Run {
    Run { last_offset: Offset(last_offset), max_timestamp, bytes }
}

fn decide(runs: &[Run], ms: i64, bytes: i64, high_watermark: i64) -> Option<i64> {
    let now = Wall(10_000);
    new_log_start(runs.iter().copied(), Limits { ms, bytes }, now, Offset(high_watermark)).map(Offset::get)
}

#[test]
fn old_runs_go_from_the_front() {
    let runs = [run(9, 1_000, 50), run(19, 4_000, 50), run(29, 2_000, 50), run(39, 9_000, 50)];
    assert_eq!(decide(&runs, -1, -1, 40), None);
    assert_eq!(decide(&runs, 9_000, -1, 40), None, "exactly as old as allowed");
    assert_eq!(decide(&runs, 8_999, -1, 40), Some(10));
    assert_eq!(decide(&runs, 7_000, -1, 40), Some(10), "the old run behind a young one stays");
    assert_eq!(decide(&runs, 5_999, -1, 40), Some(30));
    assert_eq!(decide(&runs, 0, -1, 40), Some(40), "all of it");
}

#[test]
fn bytes_are_kept_at_least() {
    let runs = [run(9, 1, 50), run(19, 1, 30), run(29, 1, 50)];
    assert_eq!(decide(&runs, -1, 130, 30), None);
    assert_eq!(decide(&runs, -1, 81, 30), None, "79 would remain");
    assert_eq!(decide(&runs, -1, 80, 30), Some(10));
    assert_eq!(decide(&runs, -1, 50, 30), Some(20));
    assert_eq!(decide(&runs, -1, 0, 30), Some(30));
}

#[test]
fn age_makes_room_for_the_bytes_too() {
    let runs = [run(9, 1_000, 50), run(19, 9_000, 30), run(29, 9_000, 50)];
    assert_eq!(decide(&runs, 5_000, 60, 30), Some(10), "80 remain, 20 too many, the next run is larger");
    assert_eq!(decide(&runs, 5_000, 50, 30), Some(20));
}

#[test]
fn what_is_not_committed_stays() {
    let runs = [run(9, 1, 50), run(19, 1, 50)];
    assert_eq!(decide(&runs, 0, 0, 15), Some(10));
    assert_eq!(decide(&runs, 0, 0, 9), None);
}

#[test]
fn runs_without_timestamps_have_no_age_and_the_future_is_young() {
    assert_eq!(decide(&[run(9, -1, 50)], 0, -1, 10), None);
    assert_eq!(decide(&[run(9, i64::MAX, 50)], 0, -1, 10), None);
    assert_eq!(decide(&[run(9, -1, 50)], 0, 0, 10), Some(10));
}
