use crate::pace::Schedule;
use std::time::Duration;

#[test]
fn requests_are_due_evenly() {
    let schedule = Schedule::new(1_000, 10, 4, None);
    assert_eq!((schedule.at(0), schedule.at(1), schedule.at(100)), (0, 10_000_000, 1_000_000_000));
    assert_eq!(schedule.gather, 0);
    let uneven = Schedule::new(3, 1, 1, None);
    assert_eq!(uneven.at(3_000_000), 1_000_000_000_000_000, "no error adds up");
}

#[test]
fn records_gather_within_the_linger() {
    let linger = Duration::from_millis(5);
    // 1,000 records a second on each of four connections: five more within 5 ms.
    assert_eq!(Schedule::gathered(4_000, 4, linger, 100), 6);
    assert_eq!(Schedule::gathered(4_000, 4, linger, 3), 3);
    assert_eq!(Schedule::gathered(4, 4, linger, 100), 1, "nobody comes in time");
    let schedule = Schedule::new(4_000, 6, 4, Some(linger));
    assert_eq!(schedule.gather, 5_000_000, "the first waits for five others");
}
