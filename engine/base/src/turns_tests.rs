use super::*;
use std::cell::Cell;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
    static READS: Cell<u32> = const { Cell::new(0) };
}

const MS: u64 = 1_000_000;

fn clock() -> Mono {
    READS.set(READS.get() + 1);
    Mono(NOW.get())
}

fn pass(ns: u64) {
    NOW.set(NOW.get() + ns);
}

fn meter() -> TurnMeter {
    NOW.set(MS);
    READS.set(0);
    let meter = TurnMeter::default();
    meter.set_clock(clock);
    meter
}

fn turn(meter: &TurnMeter, works: &[(Work, u64)]) {
    meter.begin(Mono(NOW.get()));
    for (work, ns) in works {
        meter.at(*work);
        pass(*ns);
    }
    meter.end(Mono(NOW.get()));
}

fn count(meter: &TurnMeter, work: Work) -> u64 {
    meter.long(work).read().0.iter().sum()
}

#[test]
fn short_turns_of_the_usual_work_read_no_clock_and_count_nowhere() {
    let meter = meter();
    for _ in 0..100 {
        turn(&meter, &[(Work::Produce, MS / 10), (Work::Log, MS / 10), (Work::Answers, MS / 10)]);
    }
    assert_eq!(READS.get(), 0);
    assert!(Work::ALL.iter().all(|work| count(&meter, *work) == 0 && meter.spent_ns(*work) == 0));
}

#[test]
fn a_long_turn_counts_as_what_took_most_of_it() {
    let meter = meter();
    // Nothing was expected: it is not known what it was.
    turn(&meter, &[(Work::Produce, 3 * MS), (Work::Log, MS)]);
    assert_eq!((count(&meter, Work::Usual), meter.spent_ns(Work::Usual)), (1, 4 * MS));
    // Now it is watched.
    turn(&meter, &[(Work::Produce, MS), (Work::Log, 2 * MS), (Work::Produce, MS / 2)]);
    assert_eq!((count(&meter, Work::Log), count(&meter, Work::Produce)), (1, 0));
    assert_eq!((meter.spent_ns(Work::Log), meter.spent_ns(Work::Produce)), (2 * MS, 3 * MS / 2));
    // Times of short turns are not taken along.
    turn(&meter, &[(Work::Fetch, MS / 2)]);
    turn(&meter, &[(Work::Produce, MS), (Work::Fetch, MS / 10)]);
    assert_eq!(meter.spent_ns(Work::Fetch), MS / 10);
    // After a while it is not any more.
    pass(WATCH_NS);
    turn(&meter, &[(Work::Fetch, MS / 2)]);
    let reads = READS.get();
    turn(&meter, &[(Work::Fetch, MS / 2), (Work::Log, MS / 4)]);
    assert_eq!(READS.get(), reads);
}

#[test]
fn what_is_rare_is_always_measured() {
    let meter = meter();
    turn(&meter, &[(Work::Fetch, MS), (Work::Lists, 5 * MS), (Work::Answers, 2 * MS)]);
    assert_eq!((count(&meter, Work::Lists), meter.spent_ns(Work::Lists)), (1, 5 * MS));
    assert_eq!(meter.spent_ns(Work::Usual), 3 * MS);
}

#[test]
fn a_turn_ends_once_and_one_whose_end_nobody_saw_is_not_counted() {
    let meter = meter();
    meter.begin(Mono(NOW.get()));
    meter.at(Work::Kernel);
    pass(2 * MS);
    meter.end(Mono(NOW.get()));
    pass(2 * MS);
    meter.end(Mono(NOW.get()));
    assert_eq!(count(&meter, Work::Usual), 1);
    meter.begin(Mono(NOW.get()));
    pass(2 * MS);
    meter.leave();
    pass(5 * MS);
    meter.end(Mono(NOW.get()));
    assert_eq!(Work::ALL.iter().map(|work| count(&meter, *work)).sum::<u64>(), 1);
}

#[test]
fn work_goes_back_to_what_it_was() {
    let meter = meter();
    meter.begin(Mono(NOW.get()));
    meter.at(Work::Fetch);
    let before = meter.at(Work::Lists);
    assert_eq!((before, meter.at(before)), (Work::Fetch, Work::Lists));
}
