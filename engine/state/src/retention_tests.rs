use super::*;

fn run(last_offset: i64, age: i64, bytes: u64) -> Run {
    Run { last_offset: Offset(last_offset), age: Age(age), bytes }
}

/// The age of a batch without a usable timestamp that was appended then.
fn appended(at: i64) -> i64 {
    Age::of(-1, Wall(at)).0
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
fn the_future_is_young() {
    assert_eq!(decide(&[run(9, i64::MAX, 50)], 0, -1, 10), None);
}

#[test]
fn without_a_usable_timestamp_the_age_counts_from_the_append() {
    for unusable in [-1, -5_000, i64::MIN] {
        let age = Age::of(unusable, Wall(4_000));
        assert_eq!(age.time(), Some(Wall(4_000)));
        assert_eq!(decide(&[run(9, age.0, 50)], 5_999, -1, 10), Some(10));
        assert_eq!(decide(&[run(9, age.0, 50)], 6_000, -1, 10), None);
    }
    assert_eq!(Age::of(0, Wall(4_000)).time(), Some(Wall(0)), "1970 is a time");
}

/// The log keeps the largest number of many, and nothing else.
#[test]
fn the_youngest_of_several_stands_for_all() {
    let youngest = |ages: &[Age]| ages.iter().max().and_then(|age| age.time());
    let (old, young) = (Age::of(-1, Wall(1_000)), Age::of(-1, Wall(2_000)));
    assert_eq!(youngest(&[young, old, Age::NONE]), Some(Wall(2_000)));
    assert_eq!(youngest(&[young, Age::of(500, Wall(3_000)), old]), Some(Wall(500)), "as in Kafka, a timestamp wins");
    assert_eq!(youngest(&[Age::NONE]), None);
    assert!(old.0 < -1, "a search for timestamps from 0 on passes it over");
}

/// Runs of logs from before ages were kept say -1.
#[test]
fn a_run_of_unknown_age_goes_with_the_one_behind_it() {
    assert_eq!(decide(&[run(9, -1, 50)], 0, -1, 10), None);
    assert_eq!(decide(&[run(9, -1, 50)], 0, 0, 10), Some(10), "its size is known");
    let runs = [run(9, -1, 50), run(19, appended(1_000), 50), run(29, 9_500, 50), run(39, -1, 50)];
    assert_eq!(decide(&runs, 5_000, -1, 40), Some(20));
    assert_eq!(decide(&runs, 9_500, -1, 40), None);
    assert_eq!(decide(&runs, -1, 149, 40), Some(10));
    assert_eq!(decide(&runs, 5_000, 149, 40), Some(20), "what went by its age counts as room");
}
