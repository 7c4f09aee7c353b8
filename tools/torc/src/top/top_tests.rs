use super::figures::{Figures, Times};
use super::scrape::{Histogram, Scrape, parse};
use super::view;
use std::time::{Duration, Instant};

/// A server of two shards: counters of shard 0, and its flush histogram by bucket, not cumulative.
fn scraped(at: Instant, requests: u64, batches: u64, flushes: [u64; 3], sum: f64) -> Scrape {
    let [a, b, c] = flushes;
    let text = format!(
        "# HELP torc_requests_total Requests.\n# TYPE torc_requests_total counter\n\
         torc_requests_total{{shard=\"0\"}} {requests}\ntorc_requests_total{{shard=\"1\"}} 7\n\
         torc_connections{{shard=\"0\"}} 3\ntorc_connections{{shard=\"1\"}} 4\n\
         torc_wal_batches_total{{shard=\"0\"}} {batches}\ntorc_wal_bytes_total{{shard=\"0\"}} {}\n\
         torc_wal_entries_total{{shard=\"0\"}} {}\nprocess_resident_memory_bytes 12345\n\
         torc_stage_seconds_bucket{{shard=\"0\",stage=\"flush\",le=\"0.001\"}} {a}\n\
         torc_stage_seconds_bucket{{shard=\"0\",stage=\"flush\",le=\"0.002\"}} {}\n\
         torc_stage_seconds_bucket{{shard=\"0\",stage=\"flush\",le=\"+Inf\"}} {}\n\
         torc_stage_seconds_sum{{shard=\"0\",stage=\"flush\"}} {sum}\n\
         torc_stage_seconds_count{{shard=\"0\",stage=\"flush\"}} {}\n",
        batches * 8192,
        batches * 5,
        a + b,
        a + b + c,
        a + b + c,
    );
    parse(&text, at).unwrap()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6 * b.abs().max(1.0)
}

#[test]
fn rates_are_of_the_interval_and_not_of_the_whole_life() {
    let begin = Instant::now();
    let before = scraped(begin, 1_000, 100, [50, 50, 0], 0.1);
    let after = scraped(begin + Duration::from_secs(2), 5_000, 150, [50, 150, 0], 0.25);
    let figures = Figures::between(&before, &after);
    assert!(near(figures.seconds, 2.0));
    let shard = &figures.shards[&0];
    assert!(near(shard.requests, 2_000.0) && near(shard.flushes, 25.0), "{shard:?}");
    assert!(near(shard.batch_bytes, 8_192.0) && near(shard.batch_entries, 5.0), "{shard:?}");
    let Times { rate, mean_us, p50_us, p99_us } = &shard.stages["flush"];
    assert!(near(*rate, 50.0) && near(*mean_us, 1_500.0), "{shard:?}");
    assert!(near(*p50_us, 1_500.0) && near(*p99_us, 1_990.0), "{shard:?}");
    assert!(figures.shards[&1].stages.is_empty() && figures.shards[&1].requests == 0.0);
    assert!(near(figures.all.requests, 2_000.0) && near(figures.all.connections, 7.0));
    assert_eq!(figures.all.stages["flush"], shard.stages["flush"]);
}

#[test]
fn a_restart_between_two_looks_gives_no_negative_rates() {
    let begin = Instant::now();
    let before = scraped(begin, 1_000, 100, [50, 50, 0], 0.1);
    let after = scraped(begin + Duration::from_secs(1), 40, 4, [4, 0, 0], 0.002);
    let shard = &Figures::between(&before, &after).shards[&0];
    assert!(
        near(shard.requests, 40.0) && near(shard.flushes, 4.0) && near(shard.stages["flush"].rate, 4.0),
        "{shard:?}"
    );
}

#[test]
fn quantiles_lie_in_their_bucket() {
    let histogram = Histogram { buckets: vec![(1.0, 10.0), (2.0, 10.0), (4.0, 20.0), (f64::INFINITY, 21.0)], sum: 0.0 };
    assert!(near(histogram.quantile(5.0 / 21.0).unwrap(), 0.5));
    assert!(near(histogram.quantile(15.0 / 21.0).unwrap(), 3.0), "the empty bucket is passed over");
    assert_eq!(histogram.quantile(1.0), Some(4.0), "above the last bound");
    assert_eq!(Histogram { buckets: vec![(1.0, 0.0), (f64::INFINITY, 0.0)], sum: 0.0 }.quantile(0.5), None);
}

#[test]
fn what_is_no_metrics_text_is_refused() {
    for text in
        ["<html>", "torc_x{shard=\"a\"} 1", "torc_x{shard=0} 1", "torc_x one", "torc_s_seconds_bucket{shard=\"0\"} 1"]
    {
        assert!(parse(text, Instant::now()).is_err(), "{text}");
    }
}

#[test]
fn the_page_has_a_row_for_all_and_each_shard() {
    let begin = Instant::now();
    let before = scraped(begin, 0, 0, [0, 0, 0], 0.0);
    let after = scraped(begin + Duration::from_secs(1), 2_000, 50, [0, 100, 0], 0.15);
    let page = view::page("h:1", &Figures::between(&before, &after));
    assert!(page.starts_with("torc at h:1, 1.0 s\n"), "{page}");
    let rows: Vec<Vec<&str>> = page.lines().map(|line| line.split_whitespace().collect()).collect();
    let throughput: Vec<_> = rows.iter().filter(|row| row.len() == 10 && row[0] != "shard").collect();
    assert_eq!(throughput.iter().map(|row| row[0]).collect::<Vec<_>>(), ["all", "0", "1"], "{page}");
    assert_eq!(throughput[0][1..3], ["7", "2000"], "{page}");
    assert_eq!(throughput[1][7..], ["50", "8192", "5.0"], "{page}");
    assert_eq!(page.matches("1.50ms 1.99ms").count(), 2, "{page}");
    let frame = view::frame(&page, false);
    assert!(frame.starts_with("\x1b[Htorc at h:1") && frame.ends_with("\x1b[J"));
    assert!(!frame.contains("\x1b[2J") && view::frame("x\n", true) == "\x1b[2J\x1b[Hx\x1b[K\r\n\x1b[J");
}

#[test]
fn times_have_three_digits() {
    let shown = [0.5, 9.999, 12.34, 512.0, 1_234.0, 45_600.0, 2.5e6].map(view::time);
    assert_eq!(shown, ["0.50us", "10.0us", "12.3us", "512us", "1.23ms", "45.6ms", "2.50s"]);
}
