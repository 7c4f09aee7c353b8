//! The generator against the bare server: every request of every kind is answered, and counted once.

use clap::{Args, Command, FromArgMatches};
use serde_json::Value;
use std::io::{self, Write};
use std::sync::mpsc::{Sender, channel};
use torc_load::command::{self, BenchArgs};
use torc_load::environment::Build;

const BUILD: Build = Build { version: "0", commit: None };

fn parse(arguments: &[&str]) -> BenchArgs {
    let command = BenchArgs::augment_args(Command::new("bench").no_binary_name(true));
    let matches = command.try_get_matches_from(arguments).unwrap_or_else(|error| panic!("{error}"));
    BenchArgs::from_arg_matches(&matches).unwrap()
}

/// Sends what is printed to another thread.
struct Lines(Sender<String>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts a bare server, which ends with the test's process; returns its address.
fn bare(depth: &str) -> String {
    bare_with(depth, &[])
}

/// The same, with followers.
fn bare_with(depth: &str, followers: &[String]) -> String {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (sender, lines) = channel();
    let depth = depth.to_string();
    let followers: Vec<String> = followers.iter().map(|address| format!("--follower={address}")).collect();
    std::thread::spawn(move || {
        let file = directory.path().join("bare.dat");
        let arguments = ["bare", "--listen", "127.0.0.1:0", "--file-bytes", "64MiB", "--depth", &depth, "--file"];
        let followers: Vec<&str> = followers.iter().map(String::as_str).collect();
        let arguments = [&arguments[..], &[file.to_str().unwrap()], &followers].concat();
        command::run(&parse(&arguments), BUILD, &mut Lines(sender)).unwrap_or_else(|error| panic!("{error}"));
    });
    let mut text = String::new();
    while !text.ends_with('\n') {
        text += &lines.recv().expect("it says where it listens");
    }
    text.trim().strip_prefix("bare server on ").expect("it says where it listens").to_string()
}

fn produce(address: &str, more: &[&str]) -> Value {
    let fixed = [
        "produce",
        "--protocol",
        "bare",
        "--quiet",
        "--format",
        "json",
        "--warmup",
        "10ms",
        "--bootstrap-server",
        address,
    ];
    let mut out = Vec::new();
    command::run(&parse(&[&fixed, more].concat()), BUILD, &mut out).unwrap_or_else(|error| panic!("{error}"));
    serde_json::from_slice(&out).unwrap()
}

fn assert_sound(report: &Value, requests: u64) {
    assert!(report["requests"].as_u64().unwrap() >= requests, "{report}");
    assert_eq!(report["errors"].as_object().unwrap().len(), 0, "{report}");
    assert_eq!(report["connections_lost"], 0);
    assert!(report["latency"]["max_ns"].as_u64().unwrap() > 0);
    let curve = report["curve"].as_array().unwrap();
    let rising = |key: &str| curve.windows(2).all(|pair| pair[0][key].as_f64() <= pair[1][key].as_f64());
    assert!(rising("percentile") && rising("ns"));
}

#[test]
fn small_requests_in_a_closed_loop() {
    let address = bare("4");
    let report =
        produce(&address, &["--connections", "8", "--outstanding", "3", "--requests", "2000", "--duration", "60s"]);
    assert_sound(&report, 2000);
    assert!(report["requests"].as_u64().unwrap() < 2000 + 1000, "a run ends soon after its limit");
    assert_eq!(report["records"], report["requests"]);
    assert_eq!(report["payload_bytes"].as_u64().unwrap(), report["requests"].as_u64().unwrap() * 100);
}

#[test]
fn large_requests_are_answered_in_order_though_writes_end_in_any() {
    let address = bare("8");
    let large = ["--record-size", "1000", "--batch-bytes", "300KB", "--outstanding", "8", "--partitions", "3"];
    let report = produce(&address, &[&large[..], &["--requests", "300", "--duration", "60s"]].concat());
    assert_sound(&report, 300);
    assert_eq!(report["records"].as_u64().unwrap(), report["requests"].as_u64().unwrap() * 300);
}

#[test]
fn sizes_on_both_sides_of_large_share_a_connection() {
    let address = bare("1");
    let mixed = ["--record-size", "10:5,40KiB:1", "--outstanding", "5"];
    assert_sound(&produce(&address, &[&mixed[..], &["--requests", "500", "--duration", "60s"]].concat()), 500);
}

#[test]
fn three_servers_take_every_frame_and_a_majority_answers() {
    let followers = [bare("2"), bare("1")];
    let address = bare_with("2", &followers);
    let small = ["--connections", "8", "--outstanding", "3", "--requests", "2000", "--duration", "60s"];
    assert_sound(&produce(&address, &small), 2000);
    let mixed = ["--record-size", "10:5,40KiB:1", "--outstanding", "5", "--requests", "500", "--duration", "60s"];
    assert_sound(&produce(&address, &mixed), 500);
}

#[test]
fn a_server_without_one_of_its_followers_says_so() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = directory.path().join("bare.dat");
    let arguments = ["bare", "--listen", "127.0.0.1:0", "--file-bytes", "64MiB", "--follower", "127.0.0.1:1", "--file"];
    let arguments = [&arguments[..], &[file.to_str().unwrap()]].concat();
    let ended = command::run(&parse(&arguments), BUILD, &mut Vec::new()).unwrap_err().to_string();
    assert!(ended.contains("follower 127.0.0.1:1: connection refused"), "{ended}");
}

#[test]
fn an_open_loop_sends_what_is_due() {
    let address = bare("4");
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (hgrm, hlog) = (directory.path().join("x.hgrm"), directory.path().join("x.hlog"));
    let files = ["--hgrm", hgrm.to_str().unwrap(), "--hlog", hlog.to_str().unwrap()];
    let rate = ["--connections", "4", "--rate", "4000", "--records", "2", "--duration", "500ms"];
    let report = produce(&address, &[&rate[..], &files].concat());
    assert_sound(&report, 1);
    // 4,000 records in requests of two for as long as the measurement was, which may be long on a busy machine.
    let elapsed = report["elapsed_s"].as_f64().unwrap();
    let requests = report["requests"].as_f64().unwrap();
    assert!(requests <= elapsed * 2000.0 + 2.0, "{requests} requests in {elapsed} s");
    assert!(requests >= 0.5 * 2000.0 - 2.0, "whatever was due in half a second was sent: {requests}");
    assert!(std::fs::read_to_string(hgrm).unwrap().contains("#[Max"));
    assert!(std::fs::read_to_string(hlog).unwrap().contains("HISTFAAA"), "compressed, as HdrHistogram's tools read it");
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let refused = |arguments: &[&str]| command::run(&parse(arguments), BUILD, &mut Vec::new()).unwrap_err().to_string();
    assert!(refused(&["produce", "--protocol", "bare", "--verify"]).contains("nothing to verify"));
    assert!(refused(&["consume", "--protocol", "bare"]).contains("bare server"));
    let missing = refused(&["produce", "--protocol", "bare", "--quiet", "--bootstrap-server", "127.0.0.1:1"]);
    assert!(missing.contains("127.0.0.1:1"), "{missing}");
}
