//! `torc topic` against a server of its own.

use crate::support::{Server, torc};
use serde_json::{Value, json};

struct Topics<'a>(&'a str);

impl Topics<'_> {
    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output = torc(&[&["topic", "--bootstrap-server", self.0], args].concat()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn json(&self, args: &[&str]) -> Value {
        let (code, out, err) = self.run(&[args, &["--format", "json"]].concat());
        assert_eq!(code, Some(0), "{args:?}: {err}");
        serde_json::from_str(&out).unwrap()
    }

    fn names(&self, args: &[&str]) -> Vec<String> {
        let listed = self.json(args);
        listed.as_array().unwrap().iter().map(|topic| topic["name"].as_str().unwrap().to_string()).collect()
    }
}

#[test]
fn topics_are_chosen_by_pattern_tried_first_and_deleted_only_if_that_is_meant() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--shards", "2"]);
    let topics = Topics(server.said("kafka"));

    let tried = topics.json(&["create", "orders.eu", "--partitions", "3", "--dry-run"]);
    assert_eq!((&tried["name"], &tried["dry_run"]), (&json!("orders.eu"), &json!(true)));
    let (_, text, _) = topics.run(&["create", "orders.eu", "--dry-run"]);
    assert!(text.ends_with("nothing is changed: this is a dry run\n"), "{text}");
    assert_eq!(topics.names(&["list"]), [] as [&str; 0]);
    let (code, _, text) = topics.run(&["create", "no/name", "--dry-run"]);
    assert!(code == Some(1) && text.contains("INVALID_TOPIC"), "{text}");

    for name in ["orders.eu", "orders.us", "payments"] {
        let made = topics.json(&["create", name, "--partitions", "2", "--config", "retention.ms=7d"]);
        assert_eq!(made["dry_run"], json!(false));
    }
    assert_eq!(topics.names(&["ls", "ord*"]), ["orders.eu", "orders.us"]);
    assert_eq!(topics.names(&["list", "payments", "*.us"]), ["orders.us", "payments"]);
    assert_eq!(topics.names(&["list", "x*"]), [] as [&str; 0], "none is an answer");
    assert_eq!(topics.run(&["list", "paymants"]).0, Some(1), "a name that is no topic's is not");
    assert_eq!(topics.names(&["describe", "orders.?s"]), ["orders.us"]);
    let (code, _, text) = topics.run(&["describe", "x*"]);
    assert!(code == Some(2) && text.contains("no topic matches x*"), "{text}");
    assert_eq!(topics.json(&["describe", "payments"])[0]["configs"], json!({ "retention.ms": "604800000" }));

    let altered = topics.json(&["alter", "payments", "--partitions", "5", "--config", "retention.ms=1h", "--dry-run"]);
    assert_eq!((&altered["set"]["retention.ms"], &altered["dry_run"]), (&json!("3600000"), &json!(true)));
    let unchanged = &topics.json(&["describe", "payments"])[0];
    assert_eq!(unchanged["partitions"].as_array().unwrap().len(), 2);
    assert_eq!(unchanged["configs"]["retention.ms"], "604800000");
    assert_eq!(topics.run(&["alter", "payments", "--partitions", "1", "--dry-run"]).0, Some(1));

    // There is no terminal here.
    let (code, _, text) = topics.run(&["delete", "payments"]);
    assert!(code == Some(2) && text.contains("--yes"), "{text}");
    assert_eq!(topics.json(&["delete", "ord*", "--dry-run"])["deleted"], json!(["orders.eu", "orders.us"]));
    assert_eq!(topics.run(&["delete", "-y", "payments", "paymants"]).0, Some(1), "all or nothing");
    assert_eq!(topics.run(&["delete", "-y", "x*", "payments"]).0, Some(2));
    assert_eq!(topics.names(&["list"]).len(), 3);
    let deleted = topics.json(&["delete", "--yes", "ord*"]);
    assert_eq!(deleted, json!({ "deleted": ["orders.eu", "orders.us"], "dry_run": false }));
    assert_eq!(topics.names(&["list"]), ["payments"]);
}

#[test]
fn sizes_are_those_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--shards", "2"]);
    let topics = Topics(server.said("kafka"));
    topics.json(&["create", "orders", "--partitions", "3"]);
    topics.json(&["create", "empty"]);
    let mut load = torc(&["bench", "produce", "--bootstrap-server", server.said("kafka"), "--topic", "orders"]);
    load.args(["--partitions", "3", "--warmup", "0", "--requests", "200", "--record-size", "1KiB", "--quiet"]);
    assert!(load.output().unwrap().status.success());

    let listed = topics.json(&["list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["bytes"]), (&json!("empty"), &json!(0)));
    let bytes = listed[1]["bytes"].as_u64().unwrap();
    assert!((200 << 10..2 << 20).contains(&bytes), "{listed}");
    let described = &topics.json(&["describe", "orders"])[0];
    let of_partitions = described["partitions"].as_array().unwrap().iter().map(|p| p["bytes"].as_u64().unwrap());
    assert_eq!(of_partitions.sum::<u64>(), bytes);
    let (_, text, _) = topics.run(&["list", "orders"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 2 && lines[0].contains("SIZE") && lines[1].contains(" KiB"), "{text}");

    // The same topics are seen by name at the metrics endpoint.
    let metrics = server.get("/metrics");
    let value = |series: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {metrics}")).parse::<f64>().unwrap()
    };
    assert!(value("torc_topic_produce_records_total{topic=\"orders\"}") >= 200.0);
    assert!(value("torc_topic_produce_bytes_total{topic=\"orders\"}") >= 200.0 * 1024.0);
    assert_eq!(value("torc_topic_produce_bytes_total{topic=\"empty\"}"), 0.0);
    assert_eq!(value("torc_topic_fetch_bytes_total{topic=\"orders\"}"), 0.0);
    assert_eq!(value("torc_topic_log_bytes{topic=\"orders\"}"), bytes as f64);
    assert_eq!(value("torc_topic_log_bytes{topic=\"empty\"}"), 0.0);
    assert!(value("torc_disk_free_bytes") > 0.0 && value("torc_disk_free_bytes") <= value("torc_disk_size_bytes"));
    for shard in 0..2 {
        assert!(
            value(&format!("torc_shard_cpu_seconds_total{{shard=\"{shard}\"}}")) <= value("process_cpu_seconds_total")
        );
    }
    assert!(value("process_open_fds") > 2.0 && value("process_open_fds") < value("process_max_fds"));
    assert!(metrics.contains(concat!("\ntorc_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\",commit=\"")));

    let mut read = torc(&["bench", "consume", "--bootstrap-server", server.said("kafka"), "--topic", "orders"]);
    read.args(["--partitions", "3", "--warmup", "0", "--quiet"]);
    assert!(read.output().unwrap().status.success());
    let fetched = "torc_topic_fetch_records_total{topic=\"orders\"} ";
    let metrics = server.get("/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix(fetched)).unwrap();
    assert!(line.parse::<f64>().unwrap() >= 200.0, "{line}");
    topics.json(&["delete", "--yes", "orders"]);
    assert!(!server.get("/metrics").contains("topic=\"orders\""), "a topic that is gone is not shown");
}
