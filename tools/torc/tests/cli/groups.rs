//! `torc group` against a server of its own.

use crate::support::{Server, torc};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::process::Stdio;
use torc_client::{Client, text};

struct Groups<'a>(&'a str);

impl Groups<'_> {
    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output = torc(&[&["group", "--bootstrap-server", self.0], args].concat()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn json(&self, args: &[&str]) -> Value {
        let (code, out, err) = self.run(&[args, &["--format", "json"]].concat());
        assert_eq!(code, Some(0), "{args:?}: {err}");
        serde_json::from_str(&out).unwrap()
    }

    /// Where the group goes on, by partition: what is committed, and how far the end is.
    fn offsets(&self, group: &str) -> Vec<(String, i64, i64, i64)> {
        let described = self.json(&["describe", group]);
        let offset = |one: &Value| {
            let number = |key: &str| one[key].as_i64().unwrap();
            (one["topic"].as_str().unwrap().to_string(), number("partition"), number("committed"), number("lag"))
        };
        described[0]["offsets"].as_array().unwrap().iter().map(offset).collect()
    }

    fn names(&self, args: &[&str]) -> Vec<String> {
        let listed = self.json(args);
        listed.as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap().to_string()).collect()
    }

    fn refused(&self, code: i32, args: &[&str], why: &str) {
        let (got, _, text) = self.run(args);
        assert!(got == Some(code) && text.contains(why), "{args:?}: {got:?} {text}");
    }
}

fn produce(server: &str, topic: &str, partition: &str, records: usize) {
    let mut child = torc(&["produce", topic, "-b", server, "--create", "--partition", partition, "--quiet"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = (0..records).map(|n| format!("{n}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// A server with topic `orders` of two partitions, with 10 and 20 records.
fn with_orders(dir: &std::path::Path) -> Server {
    let server = Server::start(dir, &["--shards", "2", "--set", "group.initial.rebalance.delay.ms=0"]);
    let kafka = server.said("kafka");
    let created = torc(&["topic", "create", "orders", "--partitions", "2", "--bootstrap-server", kafka]).output();
    assert!(created.unwrap().status.success());
    produce(kafka, "orders", "0", 10);
    produce(kafka, "orders", "1", 20);
    server
}

fn at(offsets: &[(i64, i64)]) -> Vec<(String, i64, i64, i64)> {
    let one = |(partition, (committed, lag)): (usize, &(i64, i64))| {
        ("orders".to_string(), partition as i64, *committed, *lag)
    };
    offsets.iter().enumerate().map(one).collect()
}

#[test]
fn offsets_are_set_to_every_place_that_can_be_named_and_shown_before() {
    let dir = tempfile::tempdir().unwrap();
    let server = with_orders(dir.path());
    let groups = Groups(server.said("kafka"));
    assert_eq!(groups.names(&["list"]), [] as [&str; 0]);
    groups.refused(1, &["describe", "app"], "there are no groups yet");

    let reset = |more: &[&str]| groups.json(&[&["reset-offsets", "app", "-t", "orders", "--yes"], more].concat());
    groups.refused(1, &["reset-offsets", "app", "-t", "orders", "--to-earliest", "--yes"], "--create makes it");
    let tried = reset(&["--to-earliest", "--create", "--dry-run"]);
    assert_eq!(tried["dry_run"], true);
    assert_eq!(groups.names(&["list"]), [] as [&str; 0], "a dry run makes no group");
    let done = reset(&["--to-latest", "--create"]);
    let place = |partition: i32, before: Value, after: i64, lag: i64| json!({ "topic": "orders", "partition": partition, "before": before, "after": after, "lag": lag });
    assert_eq!(done["offsets"], json!([place(0, Value::Null, 10, 0), place(1, Value::Null, 20, 0)]));
    assert_eq!(groups.offsets("app"), at(&[(10, 0), (20, 0)]));

    let tried = reset(&["--shift-by", "-3", "--dry-run"]);
    assert_eq!(tried["offsets"], json!([place(0, json!(10), 7, 3), place(1, json!(20), 17, 3)]));
    assert_eq!(groups.offsets("app"), at(&[(10, 0), (20, 0)]), "a dry run changes nothing");
    reset(&["--shift-by", "-3"]);
    assert_eq!(groups.offsets("app"), at(&[(7, 3), (17, 3)]));
    reset(&["--shift-by", "1", "--topic", "orders:1"]);
    assert_eq!(groups.offsets("app"), at(&[(8, 2), (18, 2)]), "a topic named twice is meant once");
    groups.json(&["reset-offsets", "app", "--all-topics", "--to-offset", "15", "--yes"]);
    assert_eq!(groups.offsets("app"), at(&[(10, 0), (15, 5)]), "an end is not passed");
    groups.json(&["reset-offsets", "app", "-t", "orders:0", "--to-offset", "0", "--yes"]);
    assert_eq!(groups.offsets("app"), at(&[(0, 10), (15, 5)]), "only what was named");
    reset(&["--to-datetime", "2020-01-01"]);
    assert_eq!(groups.offsets("app"), at(&[(0, 10), (0, 20)]));
    reset(&["--to-time", "@4102444800000"]);
    assert_eq!(groups.offsets("app"), at(&[(10, 0), (20, 0)]), "nothing is as new: behind the end");
    reset(&["--to-time", "-1h"]);
    assert_eq!(groups.offsets("app"), at(&[(0, 10), (0, 20)]));

    let file = dir.path().join("offsets.csv");
    fs::write(&file, "orders,0,4\norders,1,5\n").unwrap();
    groups.json(&["reset-offsets", "app", "--from-file", file.to_str().unwrap(), "--yes"]);
    assert_eq!(groups.offsets("app"), at(&[(4, 6), (5, 15)]));
    groups.json(&["reset-offsets", "app", "--all-topics", "--to-current", "--yes"]);
    assert_eq!(groups.offsets("app"), at(&[(4, 6), (5, 15)]));

    // All or nothing, with what is wrong.
    for (args, why) in [
        (&["-t", "orders", "-t", "order"][..], "UNKNOWN_TOPIC_OR_PARTITION"),
        (&["-t", "orders:0,7"], "partition 7 of topic orders"),
    ] {
        let all = [&["reset-offsets", "app", "--to-latest", "--yes"], args].concat();
        groups.refused(1, &all, why);
    }
    groups.refused(1, &["reset-offsets", "app", "--from-file", "/dev/null", "--yes"], "no offsets");
    groups.refused(2, &["reset-offsets", "app", "--all-topics", "--to-latest"], "--yes");
    assert_eq!(groups.offsets("app"), at(&[(4, 6), (5, 15)]));
}

#[test]
fn groups_and_offsets_are_deleted_only_if_that_is_meant() {
    let dir = tempfile::tempdir().unwrap();
    let server = with_orders(dir.path());
    let groups = Groups(server.said("kafka"));
    for group in ["app-1", "app-2", "other"] {
        groups.json(&["reset-offsets", group, "-t", "orders", "--to-latest", "--create", "--yes"]);
    }
    assert_eq!(groups.names(&["list"]), ["app-1", "app-2", "other"]);
    assert_eq!(groups.names(&["ls", "app*", "--state", "empty", "--type", "classic"]), ["app-1", "app-2"]);
    assert_eq!(groups.names(&["list", "--state", "stable,preparing-rebalance"]), [] as [&str; 0]);
    assert_eq!(groups.names(&["list", "--type", "consumer"]), [] as [&str; 0]);
    groups.refused(1, &["describe", "othe"], "did you mean other?");
    groups.refused(2, &["describe", "x*"], "no group matches x*");

    let tried = groups.json(&["delete-offsets", "other", "-t", "orders:1", "--dry-run"]);
    assert_eq!(tried["deleted"], json!([{ "topic": "orders", "partition": 1, "committed": 20 }]));
    groups.refused(2, &["delete-offsets", "other", "-t", "orders:1"], "--yes");
    assert_eq!(groups.offsets("other").len(), 2);
    groups.json(&["delete-offsets", "other", "-t", "orders:1", "--yes"]);
    assert_eq!(groups.offsets("other"), at(&[(10, 0)]));
    assert_eq!(groups.json(&["delete-offsets", "other", "-t", "payments", "--yes"])["deleted"], json!([]));

    groups.refused(2, &["delete", "app-1"], "--yes");
    groups.refused(1, &["delete", "app-1", "app-3", "--yes"], "app-3");
    groups.refused(2, &["delete", "app-1", "x*", "--yes"], "x*");
    assert_eq!(groups.json(&["delete", "app*", "--dry-run"])["deleted"], json!(["app-1", "app-2"]));
    assert_eq!(groups.names(&["list"]).len(), 3);
    assert_eq!(groups.json(&["delete", "app*", "--yes"])["deleted"], json!(["app-1", "app-2"]));
    assert_eq!(groups.names(&["list"]), ["other"]);

    assert!(
        torc(&["topic", "delete", "--yes", "orders", "--bootstrap-server", groups.0])
            .output()
            .unwrap()
            .status
            .success()
    );
}

/// Joins a group alone, with an assignment of `orders` 0 and 1, and leaves it when told.
fn join(client: &mut Client, group: &str) -> String {
    let mut request = JoinGroupRequest::default()
        .with_group_id(text(group).into())
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(30_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![JoinGroupRequestProtocol::default().with_name(text("range"))]);
    let mut joined = client.call(&request).unwrap();
    request.member_id = joined.member_id.clone();
    while joined.error_code != 0 {
        joined = client.call(&request).unwrap();
    }
    // Version 0: one topic with partitions 0 and 1, no user data.
    let mut assignment = b"\0\0\0\0\0\x01\0\x06orders\0\0\0\x02\0\0\0\0\0\0\0\x01".to_vec();
    assignment.extend_from_slice(&[0xff; 4]);
    let mine = SyncGroupRequestAssignment::default().with_member_id(request.member_id.clone());
    let sync = SyncGroupRequest::default()
        .with_group_id(text(group).into())
        .with_generation_id(joined.generation_id)
        .with_member_id(request.member_id.clone())
        .with_protocol_type(Some(text("consumer")))
        .with_protocol_name(Some(text("range")))
        .with_assignments(vec![mine.with_assignment(assignment.into())]);
    assert_eq!(client.call(&sync).unwrap().error_code, 0);
    request.member_id.to_string()
}

/// Segments of 2 MiB do not hold what two members say of themselves in one entry.
#[test]
fn a_member_that_does_not_fit_into_a_small_segment_is_refused_and_the_group_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--set", "torc.wal.segment.bytes=2MiB", "--set", "group.initial.rebalance.delay.ms=0"];
    let server = Server::start(dir.path(), &flags);
    let groups = Groups(server.said("kafka"));
    produce(groups.0, "orders", "0", 10);
    groups.json(&["reset-offsets", "beside", "-t", "orders", "--to-offset", "3", "--create", "--yes"]);
    let ask = |client: &mut Client, member: &str| {
        let range =
            JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(vec![0; 1_000 << 10].into());
        let request = JoinGroupRequest::default()
            .with_group_id(text("large").into())
            .with_member_id(text(member))
            .with_session_timeout_ms(30_000)
            .with_rebalance_timeout_ms(30_000)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![range]);
        client.call(&request).unwrap()
    };
    let mut first = Client::connect(groups.0).unwrap();
    let id = ask(&mut first, "").member_id.to_string();
    let joined = ask(&mut first, &id);
    assert_eq!((joined.error_code, joined.members.len()), (0, 1));
    for _ in 0..3 {
        let mut second = Client::connect(groups.0).unwrap();
        assert_eq!(ask(&mut second, "").error_code, 81, "GROUP_MAX_SIZE_REACHED");
    }
    let described = &groups.json(&["describe", "large"])[0];
    assert_eq!(
        (&described["state"], described["members"].as_array().map(Vec::len)),
        (&json!("CompletingRebalance"), Some(1))
    );
    assert_eq!(groups.offsets("beside")[0].2, 3);
}

#[test]
fn a_group_with_members_is_described_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let server = with_orders(dir.path());
    let groups = Groups(server.said("kafka"));
    groups.json(&["reset-offsets", "app", "-t", "orders", "--to-offset", "3", "--create", "--yes"]);
    let mut client = Client::connect(groups.0).unwrap();
    let member = join(&mut client, "app");

    assert_eq!(groups.names(&["list", "--state", "Stable"]), ["app"]);
    let described = &groups.json(&["describe", "app"])[0];
    assert_eq!(
        (&described["state"], &described["type"], &described["lag"]),
        (&json!("Stable"), &json!("classic"), &json!(24))
    );
    assert_eq!(described["assignor"], "range");
    let of_member = &described["members"][0];
    assert_eq!((&of_member["id"], &of_member["client"]), (&json!(member), &json!("torc-cli")));
    assert_eq!(of_member["assigned"], json!({ "orders": [0, 1] }));
    assert_eq!(described["offsets"][1]["member"], json!(member));

    let (_, all, _) = groups.run(&["describe", "app"]);
    assert!(all.contains("state        Stable") && all.contains("COMMITTED") && all.contains("orders:0-1"), "{all}");
    let (_, members, _) = groups.run(&["describe", "app", "--members"]);
    assert!(members.contains("orders:0-1") && !members.contains("COMMITTED"), "{members}");
    let (_, state, _) = groups.run(&["describe", "app", "--state"]);
    assert!(state.lines().count() == 2 && state.contains("Stable"), "{state}");

    let why = "it has 1 member (Stable): stop them first";
    groups.refused(1, &["reset-offsets", "app", "--all-topics", "--to-latest", "--yes"], why);
    groups.refused(1, &["delete", "app", "--yes"], "it has members (Stable): stop them first");
    assert_eq!(groups.offsets("app"), at(&[(3, 7), (3, 17)]));

    let me = MemberIdentity::default().with_member_id(text(&member));
    let leave = LeaveGroupRequest::default().with_group_id(text("app").into()).with_members(vec![me]);
    assert_eq!(client.call(&leave).unwrap().error_code, 0);
    groups.json(&["reset-offsets", "app", "--all-topics", "--to-latest", "--yes"]);
    assert_eq!(groups.offsets("app"), at(&[(10, 0), (20, 0)]));
}

#[test]
fn names_cannot_play_with_the_terminal_nor_with_patterns() {
    let dir = tempfile::tempdir().unwrap();
    let server = with_orders(dir.path());
    let groups = Groups(server.said("kafka"));
    for group in ["red\x1b[31m\nline", "app*", "apple"] {
        groups.json(&["reset-offsets", group, "-t", "orders", "--to-latest", "--create", "--yes"]);
    }
    for args in
        [&["list"][..], &["describe", "red*"], &["delete", "red*", "--dry-run"], &["describe", "red*", "--state"]]
    {
        let (code, out, err) = groups.run(args);
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains(r"red\u{1b}[31m\nline") && !out.contains('\x1b'), "{out}");
    }
    assert_eq!(groups.names(&["list", "app*"]), ["app*", "apple"]);
}

#[test]
fn lag_is_among_the_metrics_and_on_top() {
    let dir = tempfile::tempdir().unwrap();
    let server = with_orders(dir.path());
    let groups = Groups(server.said("kafka"));
    groups.json(&["reset-offsets", "app", "-t", "orders", "--to-offset", "4", "--create", "--yes"]);
    let metrics = server.get("/metrics");
    for line in [
        "kafka_consumergroup_lag{consumergroup=\"app\",topic=\"orders\",partition=\"0\"} 6",
        "kafka_consumergroup_lag{consumergroup=\"app\",topic=\"orders\",partition=\"1\"} 16",
        "kafka_consumergroup_current_offset{consumergroup=\"app\",topic=\"orders\",partition=\"1\"} 4",
        "kafka_consumergroup_lag_sum{consumergroup=\"app\",topic=\"orders\"} 22",
        "kafka_consumergroup_members{consumergroup=\"app\"} 0",
        "torc_consumergroups_left_out 0",
    ] {
        assert!(metrics.lines().any(|other| other == line), "no {line} in {metrics}");
    }
    let address = server.said("metrics").to_string();
    let output = torc(&["top", "--metrics", &address, "--once", "--format", "json", "--interval", "200ms"]).output();
    let figures: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let app = json!({ "state": "Empty", "members": 0.0, "lag": 22.0, "committed": 0.0 });
    assert_eq!(figures["groups"], json!({ "app": app }));
    drop(server);

    let server = Server::start(dir.path(), &["--set", "torc.metrics.offsets.max=1"]);
    let began = std::time::Instant::now();
    while server.get("/metrics").contains("torc_consumergroups_left_out 0") {
        assert!(began.elapsed().as_secs() < 60, "the coordinators are not loaded");
    }
    let metrics = server.get("/metrics");
    assert!(metrics.contains("torc_consumergroups_left_out 1") && !metrics.contains("\"app\""), "{metrics}");
    drop(server);
    let server = Server::start(dir.path(), &["--set", "torc.metrics.offsets.max=0"]);
    assert!(!server.get("/metrics").contains("consumergroup"), "nobody is asked");
}
