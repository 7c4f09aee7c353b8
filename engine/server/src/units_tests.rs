use crate::units::*;

#[test]
fn sizes_take_units() {
    assert_eq!(parse_size("1048588"), Some(1_048_588));
    assert_eq!(parse_size("64MiB"), Some(64 << 20));
    assert_eq!(parse_size("64 mib"), Some(64 << 20));
    assert_eq!(parse_size("1g"), Some(1 << 30));
    assert_eq!(parse_size("1GB"), Some(1_000_000_000));
    assert_eq!(parse_size("-1"), Some(-1));
}

#[test]
fn times_take_units_and_plain_numbers_count_the_keys_own() {
    assert_eq!(parse_time_ms("250", 1), Some(250));
    assert_eq!(parse_time_ms("168", 3_600_000), Some(7 * 86_400_000));
    assert_eq!(parse_time_ms("7d", 3_600_000), Some(7 * 86_400_000));
    assert_eq!(parse_time_ms("10 s", 1), Some(10_000));
    assert_eq!(parse_time_ms("-1", 3_600_000), Some(-1), "no limit, in any unit");
}

#[test]
fn what_is_no_size_or_time_is_refused() {
    for text in ["", "MiB", "1.5GiB", "12parsecs", "--1", "1-", "-1MiB", "9223372036854775808", "9223372036854775807k"]
    {
        assert_eq!(parse_size(text), None, "{text}");
    }
    for text in ["", "s", "1.5h", "10MiB", "-5s", "9223372036854775807d"] {
        assert_eq!(parse_time_ms(text, 1), None, "{text}");
    }
}

#[test]
fn printed_sizes_read_back() {
    for bytes in [0, 1, 1023, 4096, 4097, 64 << 20, 3 << 30, 1_048_588] {
        assert_eq!(parse_size(&size(bytes)), Some(bytes as i64));
    }
    assert_eq!(size(64 << 20), "64MiB");
    assert_eq!(rounded_size(12_777_777_777), "11.9 GiB");
    assert_eq!(rounded_size(512), "512 B");
}
