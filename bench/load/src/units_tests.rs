use crate::units::{
    counted, parse_count, parse_size, parse_span, parse_time, thousands, three_digits, time, time_or_none,
};
use std::time::Duration;

#[test]
fn sizes_and_times_are_read() {
    assert_eq!(parse_size("100"), Ok(100));
    assert_eq!(parse_size("16KiB"), Ok(16384));
    assert_eq!(parse_size("1 MB"), Ok(1_000_000));
    assert_eq!(parse_time("500us"), Ok(Duration::from_micros(500)));
    assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
    assert_eq!((parse_size("1.5KB"), parse_size("1_000")), (Ok(1_500), Ok(1_000)));
    assert_eq!(
        (parse_time("1.5s"), parse_time("1d")),
        (Ok(Duration::from_millis(1_500)), Ok(Duration::from_secs(86_400)))
    );
    for bad in ["", "MB", "1.3B", "-1", "10 apples", "99999999999999999999"] {
        assert!(parse_size(bad).is_err(), "{bad}");
        assert!(parse_time(bad).is_err(), "{bad}");
    }
    let seconds = [("5", 5_000), ("0", 0), ("0.5", 500)];
    assert!(seconds.iter().all(|(text, ms)| parse_time(text) == Ok(Duration::from_millis(*ms))), "plain numbers");
    assert!(parse_span("0").is_err() && parse_span("0ms").is_err() && parse_span("1us").is_ok());
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

#[test]
fn counts_are_read_as_people_write_them() {
    for (text, count) in [("500", 500), ("10_000", 10_000), ("10k", 10_000), ("2M", 2_000_000), ("0", 0)] {
        assert_eq!(parse_count(text), Ok(count), "{text}");
    }
    for bad in ["", "k", "0.1", "-1", "10 apples", "1KiB"] {
        assert!(parse_count(bad).unwrap_err().contains("10k"), "{bad}");
    }
}

#[test]
fn one_is_singular_and_what_is_not_there_is_a_dash() {
    assert_eq!(
        [counted(0, "check"), counted(1, "check"), counted(2000, "check")],
        ["0 checks", "1 check", "2 000 checks"]
    );
    assert_eq!((time_or_none(None), time_or_none(Some(5))), ("-".to_string(), "5 ns".to_string()));
}
