use crate::units::*;

#[test]
fn counts_take_underscores_and_decimal_units() {
    for (text, count) in
        [("0", 0), ("500", 500), ("10_000", 10_000), ("10k", 10_000), ("2M", 2_000_000), (" 1.5k ", 1_500)]
    {
        assert_eq!(parse_count(text), Some(count), "{text}");
    }
    assert_eq!(parse_count("-1"), Some(-1));
}

#[test]
fn counts_of_options_have_bounds_and_say_them() {
    for (text, count) in [("1", 1), ("10_000", 10_000), ("10k", 10_000), ("100k", 100_000)] {
        assert_eq!(count_in::<u32>(text, 1..=100_000), Ok(count), "{text}");
    }
    for text in ["0", "100001", "101k", "-1", "x", "", "1.5", "9223372036854775808"] {
        let why = count_in::<u32>(text, 1..=100_000).unwrap_err();
        assert!(why.contains("from 1 to 100000") && why.contains("10k"), "{text}: {why}");
    }
    assert!(count_in::<u64>("-1", 0..=i64::MAX).unwrap_err().contains("at least 0"));
    assert_eq!(count_in::<u64>("9223372036854775807", 0..=i64::MAX), Ok(i64::MAX as u64));
    assert_eq!(count_in::<u8>("300", 0..=300), Err("it must be a whole number from 0 to 300".to_string()));
}

#[test]
fn settings_of_topics_are_sent_as_plain_numbers() {
    for (key, value, plain) in [
        ("retention.ms", "7d", "604800000"),
        ("retention.ms", "604_800_000", "604800000"),
        ("retention.ms", "-1", "-1"),
        ("max.message.bytes", "2MiB", "2097152"),
        ("flush.messages", "10k", "10000"),
        ("retention.ms", "soon", "soon"),
        ("min.insync.replicas", "1", "1"),
        ("cleanup.policy", "delete", "delete"),
        ("follower.replication.throttled.replicas", "0:1", "0:1"),
    ] {
        assert_eq!(plain_setting(key, value), plain, "{key}={value}");
    }
}

#[test]
fn sizes_take_units() {
    assert_eq!(parse_size("1048588"), Some(1_048_588));
    assert_eq!(parse_size("1_048_588"), Some(1_048_588));
    assert_eq!(parse_size("64MiB"), Some(64 << 20));
    assert_eq!(parse_size("64 mib"), Some(64 << 20));
    assert_eq!(parse_size("1g"), Some(1 << 30));
    assert_eq!(parse_size("1GB"), Some(1_000_000_000));
    assert_eq!(parse_size("1.5GiB"), Some(3 << 29));
    assert_eq!(parse_size("-1"), Some(-1));
}

#[test]
fn times_take_units_and_plain_numbers_count_the_keys_own() {
    assert_eq!(parse_time_ms("250", 1), Some(250));
    assert_eq!(parse_time_ms("168", 3_600_000), Some(7 * 86_400_000));
    assert_eq!(parse_time_ms("7d", 3_600_000), Some(7 * 86_400_000));
    assert_eq!(parse_time_ms("10 s", 1), Some(10_000));
    assert_eq!(parse_time_ms("1.5s", 1), Some(1_500));
    assert_eq!(parse_time_ms("2000us", 1), Some(2));
    assert_eq!(parse_time_ms("-1", 3_600_000), Some(-1), "no limit, in any unit");
    assert_eq!(parse_time_ms("9223372036854775807", 1), Some(i64::MAX));
    assert_eq!(parse_time_us("500us", 1_000_000), Some(500));
    assert_eq!(parse_time_us("2", 1_000_000), Some(2_000_000));
    assert_eq!(parse_time_us("0.5", 1_000_000), Some(500_000));
}

#[test]
fn what_is_no_number_is_refused_by_all() {
    for text in [
        "",
        "-",
        "_1",
        "1_",
        "1__0",
        "1._5",
        "1.",
        ".5",
        "1.2.3",
        "--1",
        "1-",
        "+1",
        "0x10",
        "1e3",
        "-1k",
        "- 1",
        "9223372036854775808",
        "9223372036854775807k",
        "12parsecs",
        "1.0000000000",
        "\u{664}",
    ] {
        assert_eq!((parse_count(text), parse_size(text), parse_time_ms(text, 1)), (None, None, None), "{text}");
        assert_eq!(parse_time_us(text, 1), None, "{text}");
    }
    for text in ["MiB", "1.3B", "1s", "0.3k"] {
        assert_eq!(parse_size(text), None, "{text}");
    }
    for text in ["s", "10MiB", "-5s", "500us", "0.1ms", "9223372036854775807d"] {
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
