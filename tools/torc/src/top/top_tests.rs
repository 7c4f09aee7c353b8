use super::figures::{Figures, GroupRates, Times, TopicRates, of_nodes};
use super::scrape::{Histogram, Scrape, parse};
use super::terminal::{Size, Wish, frame, wish};
use super::trend::{Glyphs, Trends, bars};
use super::view::{self, Page};
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
fn nodes_of_a_cluster_stand_below_each_other_and_one_that_is_silent_hides_no_other() {
    let begin = Instant::now();
    let before = scraped(begin, 1_000, 100, [50, 50, 0], 0.1);
    let after = scraped(begin + Duration::from_secs(2), 5_000, 150, [50, 150, 0], 0.25);
    let seen = |first: &Scrape, third: Result<&Scrape, &str>| {
        let third = third.cloned().map_err(str::to_string);
        vec![
            ("a:1".to_string(), Ok(first.clone())),
            ("b:2".to_string(), Err("no".to_string())),
            ("c:3".to_string(), third),
        ]
    };
    let figures = of_nodes(&seen(&before, Ok(&before)), &seen(&after, Ok(&after))).unwrap();
    assert_eq!(figures.nodes.iter().map(|node| node.rates.is_some()).collect::<Vec<_>>(), [true, false, true]);
    assert!(near(figures.nodes[2].rates.as_ref().unwrap().requests, 2_000.0));
    let page = view::page("a:1", &figures);
    for line in ["a:1 ", "b:2 ", "c:3 "] {
        assert!(page.lines().any(|shown| shown.starts_with(line)), "{line}: {page}");
    }
    assert!(page.lines().any(|line| line.starts_with("b:2") && line.contains("does not answer")), "{page}");
    // One that has just come back has no rates yet; without the first there is nothing.
    let figures = of_nodes(&seen(&before, Err("away")), &seen(&after, Ok(&after))).unwrap();
    assert!(figures.nodes[2].rates.is_none() && figures.nodes[2].silent.is_none());
    let gone = vec![("a:1".to_string(), Err("gone".to_string()))];
    assert_eq!(of_nodes(&gone, &seen(&after, Ok(&after))).unwrap_err(), "gone");
    assert!(of_nodes(&seen(&before, Ok(&before))[..1], &seen(&after, Ok(&after))[..1]).unwrap().nodes.is_empty());
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
    let throughput: Vec<_> = rows.iter().filter(|row| row.len() == 11 && row[0] != "shard").collect();
    assert_eq!(throughput.iter().map(|row| row[0]).collect::<Vec<_>>(), ["all", "0", "1"], "{page}");
    assert_eq!(throughput[0][1..4], ["-", "7", "2000"], "what an older server does not tell is no 0: {page}");
    assert_eq!(throughput[1][8..], ["50", "8192", "5.0"], "{page}");
    assert!(page.contains("disk    - free of -\n"), "{page}");
    assert_eq!(page.matches("1.50ms 1.99ms").count(), 2, "{page}");
}

/// The same server, which also tells of topics, disk and CPU.
fn talkative(at: Instant, bytes: [u64; 2], cpu: f64) -> Scrape {
    let text = format!(
        "torc_build_info{{version=\"1.2.3\",commit=\"abc\"}} 1\ntorc_requests_total{{shard=\"0\"}} 1\n\
         torc_topic_produce_bytes_total{{topic=\"orders\"}} {}\ntorc_topic_fetch_records_total{{topic=\"orders\"}} 10\n\
         torc_topic_produce_bytes_total{{topic=\"(others)\"}} {}\ntorc_shard_cpu_seconds_total{{shard=\"0\"}} {cpu}\n\
         process_cpu_seconds_total {cpu}\nprocess_start_time_seconds 1.5\nprocess_resident_memory_bytes 1048576\n\
         torc_disk_free_bytes 3221225472\ntorc_disk_size_bytes 4294967296\n",
        bytes[0], bytes[1],
    );
    parse(&text, at).unwrap()
}

fn told() -> Figures {
    let begin = Instant::now();
    let (before, after) =
        (talkative(begin, [0, 0], 1.0), talkative(begin + Duration::from_secs(2), [4_000_000, 6_000_000], 2.0));
    Figures::between(&before, &after)
}

#[test]
fn topics_disk_and_cpu_are_shown() {
    let figures = told();
    assert_eq!(figures.topics["orders"], TopicRates { mb_in: 2.0, ..TopicRates::default() });
    assert_eq!((figures.cpu_cores, figures.shards[&0].cpu_cores), (Some(0.5), Some(0.5)));
    let page = view::page("h:1", &figures);
    assert!(page.starts_with("torc at h:1, up ") && page.contains(", 2.0 s, 1.2.3 (abc)\n"), "{page}");
    assert!(page.contains("disk    25 % used, 3.0 GiB free of 4.0 GiB\nmemory  1.0 MiB: log 0 B"), "{page}");
    let (others, orders) = (page.find("(others)").unwrap(), page.find("orders").unwrap());
    assert!(others < orders, "what does most stands first: {page}");
}

#[test]
fn a_screen_is_never_wider_or_longer_than_the_terminal() {
    let figures = told();
    let mut trends = Trends::default();
    (0..300).for_each(|_| trends.push(Some(&figures)));
    for columns in [1, 2, 20, 40, 79, 80, 160, 400] {
        for rows in [1, 2, 3, 10, 24, 60] {
            for (figures, note) in [
                (Some(&figures), None),
                (None, Some("nobody answers at a rather long address")),
                (Some(&figures), Some("x")),
            ] {
                let lines = view::screen(
                    "h:1",
                    figures,
                    note,
                    (&trends, Glyphs::Blocks),
                    (Page::Server, Size { columns, rows }),
                );
                assert_eq!(lines.len(), rows, "{columns}x{rows}");
                assert!(lines.iter().all(|line| line.chars().count() <= columns), "{columns}x{rows}: {lines:?}");
            }
        }
    }
    let text = |columns, rows| {
        view::screen("h:1", Some(&figures), None, (&trends, Glyphs::Blocks), (Page::Server, Size { columns, rows }))
            .join("\n")
    };
    for part in ["requests/s", "\u{2588}", "disk", "memory", "shard", "topic", "orders", "total", "q leaves"] {
        assert!(text(80, 40).contains(part), "no {part} in {}", text(80, 40));
    }
    assert!(text(30, 40).contains("requests/s") && !text(30, 40).contains("bytes/batch"), "whole columns go");
}

#[test]
fn bars_are_as_high_as_values_beside_the_highest() {
    assert_eq!(
        bars(&[Some(0.0), Some(1.0), Some(4.0), None, Some(8.0)], Glyphs::Blocks),
        "\u{2581}\u{2581}\u{2584} \u{2588}"
    );
    assert_eq!(bars(&[Some(0.0), Some(0.0)], Glyphs::Ascii), "__");
    assert_eq!(bars(&[], Glyphs::Ascii), "");
    let locale = |set: &'static str| Glyphs::of_locale(move |name| (name == "LANG").then(|| set.to_string()));
    assert_eq!([locale("en_US.UTF-8"), locale("C.utf8"), locale("C")], [Glyphs::Blocks, Glyphs::Blocks, Glyphs::Ascii]);
    let mut trends = Trends::default();
    trends.push(Some(&told()));
    trends.push(None);
    assert!(
        trends.lines(80, Glyphs::Ascii).iter().all(|line| line.contains("  -  ")),
        "a look that failed has no value"
    );
}

#[test]
fn keys_and_frames_are_those_of_a_terminal() {
    for keys in ["q", "Q", "\u{3}", "\u{4}", "xq"] {
        assert_eq!(wish(keys.as_bytes()), Wish::Leave, "{keys:?}");
    }
    for keys in ["g", "\t", "xG"] {
        assert_eq!(wish(keys.as_bytes()), Wish::Page, "{keys:?}");
    }
    for keys in ["", "x", "\u{1b}[A", "\u{1b}Oq"] {
        assert_eq!(wish(keys.as_bytes()), Wish::Nothing, "{keys:?}");
    }
    assert_eq!(frame(&["a".to_string(), "b".to_string()]), "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J");
}

#[test]
fn times_have_three_digits() {
    let shown = [0.5, 1.5, 9.999, 12.34, 512.0, 1_234.0, 45_600.0, 2.5e6].map(view::time);
    assert_eq!(shown, ["<1us", "1.50us", "10.0us", "12.3us", "512us", "1.23ms", "45.6ms", "2.50s"]);
}

fn with_groups(at: Instant, committed: u64) -> Scrape {
    let text = format!(
        "torc_requests_total{{shard=\"0\"}} 1\n\
         torc_consumergroup_info{{consumergroup=\"app,\\\"1\\\"\",state=\"Stable\",type=\"classic\"}} 1\n\
         kafka_consumergroup_members{{consumergroup=\"app,\\\"1\\\"\"}} 3\n\
         kafka_consumergroup_current_offset{{consumergroup=\"app,\\\"1\\\"\",topic=\"t\",partition=\"0\"}} 9\n\
         kafka_consumergroup_current_offset_sum{{consumergroup=\"app,\\\"1\\\"\",topic=\"t\"}} {committed}\n\
         kafka_consumergroup_lag_sum{{consumergroup=\"app,\\\"1\\\"\",topic=\"t\"}} 40\n\
         torc_consumergroup_info{{consumergroup=\"other\",state=\"Empty\",type=\"classic\"}} 1\n\
         kafka_consumergroup_current_offset_sum{{consumergroup=\"other\",topic=\"gone\"}} 5\n",
    );
    parse(&text, at).unwrap()
}

#[test]
fn groups_have_a_page() {
    let begin = Instant::now();
    let figures = Figures::between(&with_groups(begin, 100), &with_groups(begin + Duration::from_secs(2), 300));
    let app = &figures.groups["app,\"1\""];
    let expected =
        GroupRates { state: Some("Stable".to_string()), members: Some(3.0), lag: Some(40.0), committed: 100.0 };
    assert_eq!(*app, expected);
    assert_eq!(figures.groups["other"].lag, None, "what nobody says is not 0");
    assert!(figures.topics.is_empty(), "a group's topics are no topics of the server's: {:?}", figures.topics);
    let trends = Trends::default();
    let screen = |columns, rows| {
        let size = Size { columns, rows };
        view::screen("h:1", Some(&figures), None, (&trends, Glyphs::Blocks), (Page::Groups, size))
    };
    for columns in [1, 20, 40, 80, 200] {
        for rows in [1, 2, 3, 5, 6, 7, 24] {
            let lines = screen(columns, rows);
            assert_eq!(lines.len(), rows, "{columns}x{rows}");
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{columns}x{rows}: {lines:?}");
        }
    }
    let text = screen(80, 24).join("\n");
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["app,\"1\"", "Stable", "3", "40", "100"]), "{text}");
    assert!(rows.contains(&vec!["other", "Empty", "-", "-", "0"]) && text.contains("q leaves, g server"), "{text}");
    let narrow = screen(40, 24).join("\n");
    assert!(narrow.contains("lag") && !narrow.contains("members"), "whole columns go: {narrow}");
    assert!(view::page("h:1", &figures).contains("committed/s"));
    let none = Figures::between(&scraped(begin, 1, 1, [0, 0, 0], 0.0), &scraped(begin, 1, 1, [0, 0, 0], 0.0));
    let empty =
        view::screen("h:1", Some(&none), None, (&trends, Glyphs::Ascii), (Page::Groups, Size { columns: 80, rows: 9 }));
    assert!(empty.iter().any(|line| line == "no consumer groups"), "{empty:?}");
}
