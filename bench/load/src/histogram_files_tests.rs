use crate::drive::Finished;
use crate::histogram_files::{write_hgrm, write_hlog};
use crate::recorder::{Recorder, Request};
use crate::report::Report;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

const MS: u64 = 1_000_000;

/// Two seconds: a hundred requests of 1 ms and one of 9 ms, then one of 3 ms.
fn finished() -> Finished {
    let mut recorder = Recorder::new(true);
    recorder.begin(0);
    let request = |at: u64, latency: u64, recorder: &mut Recorder| {
        let request = Request { due: at, records: 1, payload: 10 };
        recorder.sent(at, at, &request);
        recorder.done(at + latency, &request);
    };
    (0..100).for_each(|n| request(n * MS, MS, &mut recorder));
    request(500 * MS, 9 * MS, &mut recorder);
    recorder.tick(1000 * MS);
    request(1500 * MS, 3 * MS, &mut recorder);
    recorder.tick(2000 * MS);
    recorder.end(2000 * MS);
    Finished { began_s: 1_700_000_000.25, ..Finished::of(recorder) }
}

fn report(finished: &Finished) -> Report {
    Report::new("x", "produce", "produce --rate 50".to_string(), finished)
}

#[test]
fn a_distribution_says_its_unit_and_has_the_columns_of_the_tools() {
    let finished = finished();
    let mut out = Vec::new();
    write_hgrm(&report(&finished), &finished.recorder.latency, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("#[torc bench produce --rate 50: latencies in microseconds (us)]\n"), "{text}");
    // As the tools read it: lines of four numbers that are no comments.
    let numbers = |line: &str| line.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>().ok();
    let rows: Vec<Vec<f64>> = text.lines().filter_map(numbers).filter(|row| row.len() >= 3).collect();
    assert!(rows.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][2] <= pair[1][2]), "{text}");
    let last = rows.last().unwrap();
    assert!((9_000.0..9_010.0).contains(&last[0]) && last[1] == 1.0 && last[2] == 102.0, "{text}");
    assert!(text.contains("#[Max     =     ") && text.contains("Total count    =          102]"), "{text}");
}

#[test]
fn a_log_has_the_header_of_the_format_and_an_interval_to_each_second() {
    let finished = finished();
    let mut out = Vec::new();
    write_hlog(&report(&finished), Some(&finished), &mut out).unwrap();
    let text = String::from_utf8(out.clone()).unwrap();
    let head: Vec<&str> = text.lines().filter(|line| !line.starts_with(|c: char| c.is_ascii_digit())).collect();
    assert_eq!(head[0], "#[Histogram log format version 1.3]");
    assert!(head.iter().any(|line| line.starts_with("#[StartTime: 1700000000.250 (seconds since epoch), 2023-11-14T")));
    let legend = "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"";
    assert_eq!(head.last(), Some(&legend));
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).collect();
    assert!(lines[0].starts_with("0.000,1.000,9.0"), "the maximum is in milliseconds: {}", lines[0]);
    assert!(lines[1].starts_with("1.000,1.000,3.0"), "{}", lines[1]);
    // The histograms are those of the seconds.
    let counts: Vec<u64> = lines.iter().map(|line| decoded(line.rsplit(',').next().unwrap())).collect();
    assert_eq!(counts, [101, 1]);
    // A reader of the library finds the same, once the legend, which only the original's reader knows, is left out.
    let known: String = text.lines().filter(|line| *line != legend).map(|line| format!("{line}\n")).collect();
    let intervals = IntervalLogIterator::new(known.as_bytes()).filter_map(Result::ok);
    assert_eq!(intervals.filter(|entry| matches!(entry, LogEntry::Interval(_))).count(), 2);
}

/// Values in a histogram that is written in base64.
fn decoded(text: &str) -> u64 {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("no base64: {c}"),
    };
    let digits: Vec<u8> = text.trim_end_matches('=').bytes().map(value).collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let bits = four.iter().fold(0u32, |bits, digit| bits << 6 | u32::from(*digit)) << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    });
    let bytes: Vec<u8> = bytes.collect();
    Deserializer::new().deserialize::<u64, _>(&mut bytes.as_slice()).unwrap().len()
}

#[test]
fn no_result_is_no_distribution() {
    let none = Report::none("x", "produce", String::new(), "the server is gone".to_string());
    let (mut hgrm, mut hlog) = (Vec::new(), Vec::new());
    write_hgrm(&none, &crate::recorder::histogram(), &mut hgrm).unwrap();
    write_hlog(&none, None, &mut hlog).unwrap();
    let (hgrm, hlog) = (String::from_utf8(hgrm).unwrap(), String::from_utf8(hlog).unwrap());
    for text in [&hgrm, &hlog] {
        assert!(text.contains("#[NO RESULT: the server is gone]"), "{text}");
    }
    assert!(hgrm.contains("#[Max     =            -") && !hgrm.contains("0.000"), "{hgrm}");
    assert!(!hlog.contains("HIST"), "{hlog}");
}
