//! `torc bench zk`: what it asks is done, counted and taken away again.

use crate::zookeeper::Fake;
use serde_json::Value;
use std::process::Command;

fn torc(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_torc")).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A run of a moment, and its report.
fn bench(fake: &Fake, args: &str) -> Value {
    let servers = fake.servers();
    let fixed =
        ["bench", "zk", "--server", &servers, "--warmup", "0s", "--duration", "200ms", "--format", "json", "--quiet"];
    let args: Vec<&str> = args.split_whitespace().collect();
    let (code, out, err) = torc(&[&fixed[..], &args].concat());
    assert_eq!(code, Some(0), "{args:?}: {err}");
    serde_json::from_str(&out).unwrap()
}

/// Requests that the server had, of that kind.
fn asked(fake: &Fake, kind: &str) -> u64 {
    fake.state.lock().unwrap().asked.iter().filter(|asked| *asked == kind).count() as u64
}

#[test]
fn every_kind_of_request_is_sent_and_answered() {
    for (op, kind) in [
        ("create", "Create"),
        ("set", "SetData"),
        ("get", "GetData"),
        ("exists", "Exists"),
        ("multi --changes 3", "Multi"),
        ("sync", "Sync"),
        ("create:1,delete:1", "Delete"),
        ("get:9,set:1 --connections 4 --outstanding 8", "SetData"),
    ] {
        let fake = Fake::start();
        let report = bench(&fake, &format!("--znodes 20 --op {op}"));
        let requests = report["requests"].as_u64().unwrap();
        assert!(requests > 0 && report["errors"].as_object().unwrap().is_empty(), "{op}: {report}");
        assert!(asked(&fake, kind) > 0, "{op}");
        if kind == "Multi" {
            assert_eq!(report["records"].as_u64().unwrap(), requests * 3);
        }
        if matches!(op, "set" | "get" | "create") {
            assert_eq!(report["payload_bytes"].as_u64().unwrap(), requests * 100, "{op}");
        }
        let left = fake.paths();
        assert!(!left.iter().any(|path| path.contains("torc-bench")), "{op}: {left:?}");
    }
}

#[test]
fn in_an_open_loop_as_many_are_sent_as_are_due() {
    let fake = Fake::start();
    let report = bench(&fake, "--op set --rate 500 --connections 3");
    let (requests, elapsed) = (report["requests"].as_f64().unwrap(), report["elapsed_s"].as_f64().unwrap());
    assert!(requests > 0.0 && requests <= 500.0 * elapsed + 2.0, "{report}");
    assert_eq!(report["asked_requests_per_s"], 500.0);
}

#[test]
fn each_write_is_told_to_each_watcher_once() {
    let fake = Fake::start();
    let report = bench(&fake, "--op watch --connections 5");
    let requests = report["requests"].as_u64().unwrap();
    assert!(requests > 0 && report["errors"].as_object().unwrap().is_empty(), "{report}");
    // Those of writes at the edges of the measurement are not all in it.
    assert!(requests <= 5 * asked(&fake, "SetData"), "{report}");
    assert_eq!(asked(&fake, "AddWatch"), 5);
}

#[test]
fn sessions_come_and_go() {
    let fake = Fake::start();
    let report = bench(&fake, "--op session --connections 3");
    let requests = report["requests"].as_u64().unwrap();
    assert!(requests > 0 && report["errors"].as_object().unwrap().is_empty(), "{report}");
    assert!(asked(&fake, "CloseSession") >= requests);
    assert_eq!(fake.paths(), ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"]);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let fake = Fake::start();
    let servers = fake.servers();
    let refused = |args: &[&str]| {
        let (code, _, err) = torc(&[&["bench", "zk", "--server", &servers, "--duration", "100ms"], args].concat());
        (code, err)
    };
    let (code, err) = refused(&["--op", "put"]);
    assert!(code == Some(2) && err.contains("\"put\" is none of create"), "{err}");
    let (code, err) = refused(&["--op", "session", "--outstanding", "4"]);
    assert!(code == Some(2) && err.contains("--connections, not --outstanding"), "{err}");
    let (code, err) = refused(&["--path", "/zookeeper/x"]);
    assert!(code == Some(2) && err.contains("such as /torc-bench"), "{err}");
    let (code, _, err) = torc(&["bench", "zk", "--server", "127.0.0.1:1"]);
    assert!(code == Some(1) && err.contains("no ZooKeeper serves"), "{err}");
}

#[test]
fn reports_are_written_and_compared_and_what_is_asked_for_is_kept() {
    let fake = Fake::start();
    let dir = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        let out = dir.path().join(name);
        bench(&fake, &format!("--keep --znodes 5 --name {name} --out {}", out.display()));
        for file in ["report.json", "report.html", "percentiles.svg", "latency.hgrm", "latency.hlog"] {
            assert!(std::fs::metadata(out.join(file)).unwrap().len() > 0, "{file}");
        }
    }
    let report = |name: &str| dir.path().join(name).join("report.json").to_string_lossy().into_owned();
    let (code, out, err) = torc(&["bench", "compare", &report("one"), &report("two")]);
    assert!(code == Some(0) && out.contains("requests/s"), "{out}{err}");
    assert_eq!(fake.paths().iter().filter(|path| path.starts_with("/torc-bench/d/")).count(), 5);
}
