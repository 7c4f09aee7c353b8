//! The binary as its users start and stop it.

mod support;

use rustix::process::{Pid, Signal, kill_process};

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use support::{Server, refused, refused_with, torc};

#[test]
fn it_says_what_listens_where_and_drains() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--shards", "2"]);
    assert!(server.said("shards").starts_with("2,"));
    assert!(server.get("/readyz").starts_with("HTTP/1.1 200"));
    assert!(server.get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(server.get("/metrics").contains("\nprocess_resident_memory_bytes "));
    TcpStream::connect(server.said("kafka")).expect("kafka listens where it says");
    let first = server.lines[0].clone();
    assert_eq!(server.stop(Signal::TERM).code(), Some(0));

    let again = Server::start(dir.path(), &[]);
    assert_eq!(again.lines[0], first, "it is the same node of the same cluster");
    assert!(again.said("shards").starts_with("2,"), "shards come from the data directory");
    assert_eq!(again.stop(Signal::INT).code(), Some(0));
}

#[test]
fn top_shows_every_shard_and_says_what_is_wrong_with_an_address() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--shards", "2"]);
    let url = server.said("metrics");
    let metrics = server.get("/metrics");
    for shard in [0, 1] {
        for stage in ["receive", "hop", "queue", "wal_wait", "flush", "reply", "total", "fetch_read", "fetch_total"] {
            let line = format!("\ntorc_stage_seconds_count{{shard=\"{shard}\",stage=\"{stage}\"}} ");
            assert!(metrics.contains(&line), "no {line:?} in {metrics}");
        }
        assert!(metrics.contains(&format!("\ntorc_wal_flush_seconds_count{{shard=\"{shard}\"}} ")), "{metrics}");
    }
    let address = url.strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap();
    let top = |args: &[&str]| {
        let output = torc(&[&["top", "--interval", "200ms", "--metrics"], args].concat()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text, _) = top(&[address]);
    assert_eq!(code, Some(0));
    assert!(!text.contains('\x1b') && text.contains("requests/s") && text.contains("\nall "), "{text}");
    let (code, text, _) = top(&[url, "--once", "--format", "json"]);
    let figures: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, Some(0));
    assert!(figures["all"]["requests"].is_number() && figures["shards"]["1"]["stages"].is_object(), "{figures}");
    let (code, _, text) = top(&[server.said("kafka")]);
    assert!(code == Some(1) && text.contains("cannot read http://"), "{text}");
}

#[test]
fn what_cannot_be_shared_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mine, other) = (dir.path().join("mine"), dir.path().join("other"));
    let (mine, other) = (mine.to_str().unwrap(), other.to_str().unwrap());
    let server = Server::start(Path::new(mine), &["--shards", "1"]);
    let (kafka, metrics) = (server.said("kafka").to_string(), "127.0.0.1:0");

    let text = refused(&["serve", "--data-dir", mine, "--kafka", "127.0.0.1:0", "--metrics", metrics]);
    assert!(text.contains("another torc") && text.contains(mine), "{text}");

    let text = refused(&["--data-dir", other, "--kafka", &kafka, "--metrics", metrics]);
    assert!(text.contains(&format!("cannot listen for kafka on {kafka}: the port is in use")), "{text}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let text = refused(&["--data-dir", other, "--kafka", "127.0.0.1:0", "--metrics", &taken]);
    assert!(text.contains("cannot listen for metrics"), "{text}");
    assert_eq!(server.stop(Signal::TERM).code(), Some(0));

    let text = refused(&["--data-dir", mine, "--kafka", "127.0.0.1:0", "--metrics", metrics, "--shards", "3"]);
    assert!(text.contains("torc.shards=1"), "{text}");
}

#[test]
fn a_bad_configuration_stops_the_start_with_all_its_problems() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.properties");
    std::fs::write(&file, "num.partitions=3\nlog.dir.s=/x\n").unwrap();
    let data = dir.path().join("data");
    let args = ["--config", file.to_str().unwrap(), "--data-dir", data.to_str().unwrap(), "--shards", "x"];
    let text = refused_with(2, &args);
    assert!(text.contains("server.properties:2: unknown key `log.dir.s`") && text.contains("--shards: "), "{text}");
    assert!(!data.exists(), "nothing is made before the configuration is good");
}

#[test]
fn a_batch_that_no_segment_holds_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let text = refused(&[
        "--data-dir",
        dir.path().to_str().unwrap(),
        "--set",
        "torc.wal.segment.bytes=4MiB",
        "--set",
        "message.max.bytes=4MiB",
        "--kafka",
        "127.0.0.1:0",
        "--metrics",
        "none",
    ]);
    assert!(text.contains("message.max.bytes") && text.contains("4MiB"), "{text}");
}

#[test]
fn a_topic_command_without_a_server_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = listener.local_addr().unwrap().to_string();
    drop(listener);
    let text = refused(&["topic", "list", "--bootstrap-server", &free]);
    assert!(text.contains(&format!("cannot connect to {free}")), "{text}");
}

#[test]
fn keys_are_listed() {
    let output = torc(&["serve", "--keys"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("torc.shards"), "{text}");
    let output = torc(&["serve", "--keys", "--format", "json"]).output().unwrap();
    let keys: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = |name: &str| keys.as_array().unwrap().iter().find(|row| row["key"] == name).unwrap().clone();
    assert_eq!(row("num.partitions")["default"], "1");
    assert_eq!(
        (&row("torc.shards")["default"], &row("torc.shards")["type"]),
        (&serde_json::Value::Null, &"integer".into())
    );
    assert_eq!(text.lines().count(), keys.as_array().unwrap().len() + 1, "both list the same keys");
}

#[test]
fn topics_are_created_altered_and_deleted_and_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--shards", "2"]);
    let kafka = server.said("kafka").to_string();
    let made = json(&kafka, &["create", "orders", "--partitions", "3", "--config", "retention.ms=3600000"]);
    assert_eq!((&made["name"], &made["partitions"]), (&"orders".into(), &3.into()));
    json(&kafka, &["create", "gone"]);
    json(&kafka, &["alter", "orders", "--partitions", "5", "--config", "max.message.bytes=2000"]);
    json(&kafka, &["alter", "orders", "--delete-config", "retention.ms"]);
    assert_eq!(json(&kafka, &["delete", "--yes", "gone"])["deleted"], serde_json::json!(["gone"]));
    let text = refused(&["topic", "--bootstrap-server", &kafka, "create", "orders"]);
    assert!(text.contains("TOPIC_ALREADY_EXISTS"), "{text}");
    let text = refused(&["topic", "--bootstrap-server", &kafka, "describe", "gone"]);
    assert!(text.contains("describe topic gone: UNKNOWN_TOPIC_OR_PARTITION"), "{text}");
    assert_eq!(server.stop(Signal::TERM).code(), Some(0));

    let again = Server::start(dir.path(), &[]);
    let kafka = again.said("kafka").to_string();
    let listed = json(&kafka, &["list"]);
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["topic_id"]), (Some(1), &made["topic_id"]));
    let orders = &json(&kafka, &["describe", "orders"])[0];
    assert_eq!(orders["configs"], serde_json::json!({ "max.message.bytes": "2000" }));
    let partitions = orders["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 5);
    assert!(partitions.iter().all(|p| p["leader"] == 1 && p["earliest"] == 0 && p["latest"] == 0), "{partitions:?}");
    assert_eq!(again.stop(Signal::TERM).code(), Some(0));
}

/// What a topic command prints with `--format json`.
fn json(kafka: &str, args: &[&str]) -> serde_json::Value {
    let fixed = ["topic", "--bootstrap-server", kafka, "--format", "json"];
    let output = torc(&[&fixed, args].concat()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_service_manager_hears_that_it_is_ready_that_it_turns_and_that_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let heard = || {
        let mut bytes = [0; 256];
        let length = manager.recv(&mut bytes).expect("silence");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let data = dir.path().join("data");
    let args =
        ["serve", "--data-dir", data.to_str().unwrap(), "--kafka", "127.0.0.1:0", "--metrics", "none", "--shards", "2"];
    let child = torc(&args).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000").spawn().unwrap();
    let mut server = Server { child, lines: Vec::new() };
    assert!(server.until_ready());
    let ready = heard();
    let address = server.said("kafka");
    assert_eq!(ready, format!("READY=1\nSTATUS=serving Kafka clients on {address}"));
    for _ in 0..3 {
        assert_eq!(heard(), "WATCHDOG=1", "idle shards are alive too");
    }
    kill_process(Pid::from_child(&server.child), Signal::TERM).unwrap();
    let end = std::iter::repeat_with(heard).find(|message| message != "WATCHDOG=1").unwrap();
    assert!(end.starts_with("STOPPING=1"), "{end}");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}
