use crate::log::{format_line, timestamp};
use torc_base::io::Level;

#[test]
fn days_are_those_of_the_calendar() {
    assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(timestamp(951_782_400_000), "2000-02-29T00:00:00.000Z");
    assert_eq!(timestamp(951_868_799_999), "2000-02-29T23:59:59.999Z");
    assert_eq!(timestamp(951_868_800_000), "2000-03-01T00:00:00.000Z");
    assert_eq!(timestamp(4_107_542_399_001), "2100-02-28T23:59:59.001Z");
    assert_eq!(timestamp(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    assert_eq!(timestamp(1_795_338_000_123), "2026-11-22T09:00:00.123Z");
}

#[test]
fn a_line_reads_well_and_stays_one() {
    let line = format_line(0, Level::Info, "shard 0", "recovered 12 segments\n");
    assert_eq!(line, "1970-01-01T00:00:00.000Z INFO  shard 0: recovered 12 segments\n");
    let line = format_line(0, Level::Error, "torc", "a\nb");
    assert_eq!(line, "1970-01-01T00:00:00.000Z ERROR torc: a\n    b\n");
}

#[test]
fn levels_go_from_what_matters_most() {
    assert!(Level::Error < Level::Warn && Level::Warn < Level::Info && Level::Info < Level::Debug);
}
