//! The load generator against three nodes: it goes where leaders go, and says how long nobody answered.

use crate::broker::Nodes;
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;

/// Starts a load, kills the node that leads partition 0 in the middle, and returns the load's report.
fn killed_in_the_middle(mode: &str, more: &[&str]) -> Value {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut nodes = Nodes::start(dir.path());
    let fixed = ["--warmup", "0s", "--duration", "6s", "--format", "json", "--topic", "moving", "--partitions", "6"];
    let child = nodes.command(mode, &[&fixed, more].concat()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap();
    nodes.await_records("moving");
    std::thread::sleep(Duration::from_millis(500));
    nodes.kill(nodes.await_leader("moving"));
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}: {}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn assert_followed(report: &Value) {
    assert_eq!((&report["outcome"], &report["connections_lost"]), (&"complete".into(), &0.into()), "{report}");
    assert!(report["moved"].as_u64().unwrap() > 0, "{report}");
    let windows = report["windows"].as_array().unwrap();
    // A node's death is noticed after 500 ms where its sockets do not tell; in either case nothing is led for a while.
    assert!(windows.iter().all(|window| window["longest_ns"].as_u64() >= Some(100_000_000)), "{report}");
}

#[test]
fn a_producer_follows_its_leaders_and_loses_nothing() {
    let more = ["--connections", "6", "--outstanding", "3", "--record-size", "100", "--verify", "--idempotence"];
    let report = killed_in_the_middle("produce", &more);
    assert_followed(&report);
    let verdict = &report["verdict"];
    assert_eq!((&verdict["missing"], &verdict["wrong"], &verdict["disordered"]), (&0.into(), &0.into(), &0.into()));
    assert_eq!(verdict["unacknowledged"], 0, "what was sent again is there once: {verdict}");
    assert!(report["repeated"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn a_rate_is_kept_to_the_leaders_that_are_left() {
    let more = ["--connections", "3", "--rate", "300", "--consumers", "3", "--idempotence"];
    let report = killed_in_the_middle("e2e", &more);
    assert_followed(&report);
    // 300 a second for 6 s: what was due while nobody led is sent later, and counts from when it was due.
    assert!(report["requests"].as_u64().unwrap() >= 1_750, "{report}");
}
