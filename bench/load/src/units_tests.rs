use crate::units::{parse_size, parse_time, thousands, three_digits, time};
use std::time::Duration;

#[test]
fn sizes_and_times_are_read() {
    assert_eq!(parse_size("100"), Ok(100));
    assert_eq!(parse_size("16KiB"), Ok(16384));
    assert_eq!(parse_size("1 MB"), Ok(1_000_000));
    assert_eq!(parse_time("500us"), Ok(Duration::from_micros(500)));
    assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
    for bad in ["", "MB", "1.5KB", "-1", "10 apples", "99999999999999999999"] {
        assert!(parse_size(bad).is_err(), "{bad}");
        assert!(parse_time(bad).is_err(), "{bad}");
    }
    assert!(parse_time("5").is_err(), "a time without a unit could mean anything");
}

#[test]
fn numbers_are_written_for_people() {
    assert_eq!(time(950), "950 ns");
    assert_eq!(time(118_400), "118 us");
    assert_eq!(time(1_234_000), "1.23 ms");
    assert_eq!(time(72_000_000_000), "72.0 s");
    assert_eq!(three_digits(0.5), "0.500");
    assert_eq!(thousands(1_234_567), "1 234 567");
    assert_eq!(thousands(12), "12");
}
