use super::{Samples, Times, Window};
use std::time::{Duration, Instant};

#[test]
fn an_operation_counts_where_it_ended() {
    let samples = Samples::default();
    let before = Instant::now();
    assert_eq!(samples.window(before, Instant::now()), Window::default());
    let began = before - Duration::from_secs(100);
    (0..200).for_each(|_| samples.note(began, 2));
    let between = Instant::now();
    std::thread::sleep(Duration::from_millis(2));
    samples.note(began - Duration::from_secs(100), 5);
    let after = Instant::now();
    let Window { records, times: Some(Times { mean, p99 }) } = samples.window(before, between) else {
        panic!("operations have ended")
    };
    assert_eq!(records, 400);
    assert!(mean >= Duration::from_secs(100) && p99 >= Duration::from_secs(100), "{mean:?} {p99:?}");
    let one = samples.window(between + Duration::from_micros(500), after);
    assert_eq!(one.records, 5);
    assert!(one.times.is_some_and(|times| times.mean == times.p99 && times.p99 >= Duration::from_secs(200)), "{one:?}");
    assert_eq!(samples.window(after, after + Duration::from_secs(9)), Window::default());
    assert_eq!(samples.window(before, after).records, 405);
}
