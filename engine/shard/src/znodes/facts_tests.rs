use super::*;

#[test]
fn numbers_moments_and_addresses_are_written_as_java_does() {
    for (number, text) in [
        (0.0, "0.0"),
        (0.3333, "0.3333"),
        (12.0, "12.0"),
        (0.001, "0.001"),
        (0.0005, "5.0E-4"),
        (9_999_999.5, "9999999.5"),
        (10_000_000.0, "1.0E7"),
        (12_345_678.25, "1.234567825E7"),
        (-0.0001, "-1.0E-4"),
    ] {
        assert_eq!(java_double(number), text);
    }
    for (ms, text) in [
        (0, "Thu Jan 01 00:00:00 UTC 1970"),
        (951_782_400_000, "Tue Feb 29 00:00:00 UTC 2000"),
        (1_709_251_199_999, "Thu Feb 29 23:59:59 UTC 2024"),
        (1_795_960_488_123, "Sun Nov 29 13:54:48 UTC 2026"),
        (-1, "Wed Dec 31 23:59:59 UTC 1969"),
        (4_107_542_400_000, "Mon Mar 01 00:00:00 UTC 2100"),
    ] {
        assert_eq!(java_date(Wall(ms)), text);
    }
    for (address, text) in [("10.0.0.1:1", "10.0.0.1:1"), ("[fe80::1:0]:65535", "[fe80:0:0:0:0:0:1:0]:65535")] {
        assert_eq!(java_address(address.parse().unwrap()), text);
    }
}

#[test]
fn latencies_and_sizes_are_counted() {
    let mut latency = Latency::default();
    assert_eq!((latency.min, latency.average(), latency.max), (0, 0.0, 0));
    [5, 1, 1].into_iter().for_each(|ms| latency.add(ms));
    assert_eq!((latency.min, latency.average(), latency.max), (1, 2.3333, 5));
    let mut sizes = Sizes::default();
    assert_eq!(sizes.numbers(), (-1, -1, -1));
    [8, 90, 20].into_iter().for_each(|bytes| sizes.add(bytes));
    assert_eq!(sizes.numbers(), (20, 8, 90));
}

#[test]
fn every_figure_has_one_name_and_a_sentence() {
    let facts =
        Facts { files: Some((1, 2)), mode: Mode::Leader, ensemble: Some(Ensemble::default()), ..Facts::default() };
    let figures = facts.figures();
    let names: std::collections::BTreeSet<&str> = figures.iter().map(|figure| figure.name).collect();
    assert_eq!(names.len(), figures.len());
    assert!(figures.iter().all(|figure| figure.help.ends_with('.')), "{figures:?}");
    assert!(figures.len() >= 30, "{}", figures.len());
}
