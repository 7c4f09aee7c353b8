//! What all commands have in common.

use crate::support::{Server, torc};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

fn code(args: &[&str]) -> (Option<i32>, String) {
    let output = torc(args).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// A data directory with one topic and some records, of a server that has ended.
fn filled(dir: &Path) {
    let server = Server::start(dir, &["--shards", "1"]);
    let kafka = server.said("kafka").to_string();
    let mut load = torc(&["bench", "produce", "--bootstrap-server", &kafka, "--topic", "orders", "--quiet"]);
    load.args(["--warmup", "0", "--duration", "30", "--requests", "20"]);
    assert!(load.output().unwrap().status.success());
    assert_eq!(server.stop(Signal::TERM).code(), Some(0));
}

#[test]
fn a_wrong_command_line_ends_with_2_and_a_failure_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let missing = missing.to_str().unwrap();
    for args in [
        &["nonsense"][..],
        &["serve", "--shards", "x"],
        &["--data-dir", missing, "--set", "nonsense"],
        &["--data-dir", missing, "--set", "num.partitions=none"],
        &["config", "show", "--set", "no.such.key=1"],
        &["config", "check"],
        &["topic", "list", "--nope"],
        &["topic", "create", "t", "--partitions", "0"],
        &["topic", "create", "t", "--config", "x"],
        &["group", "describe"],
        &["group", "list", "--state", "asleep"],
        &["group", "reset-offsets", "g", "--to-latest", "--yes"],
        &["group", "reset-offsets", "g", "--topic", "t", "--yes"],
        &["group", "reset-offsets", "g", "--topic", "t", "--to-offset", "-1", "--yes"],
        &["group", "reset-offsets", "g", "--topic", "t", "--to-latest", "--to-earliest", "--yes"],
        &["group", "reset-offsets", "g", "--topic", "t:x", "--to-latest", "--yes"],
        &["group", "reset-offsets", "g", "--topic", "t", "--to-time", "soon", "--yes"],
        &["group", "reset-offsets", "g", "--from-file", "-"],
        &["group", "delete", "g"],
        &["produce", "t", "--key-delimiter", ":"],
        &["produce", "t", "--format", "json", "--delimiter", ";"],
        &["consume", "t", "--key-delimiter", ":"],
        &["consume", "t", "--format", "json", "--delimiter", ";"],
        &["consume", "t", "--format", "hex", "--null", "-"],
        &["consume", "t", "--template", "%v", "--delimiter", ";"],
        &["group", "delete-offsets", "g", "--topic", "t"],
        &["top", "--interval", "0"],
        &["sim", "--seeds", "3..1"],
        &["bench", "produce", "--connections", "x"],
        &["bench", "produce", "--topic-config", "x"],
        &["bench", "produce", "--acks", "0", "--verify"],
        &["bench", "consume", "--rate", "5"],
        &["bench", "consume", "--protocol", "bare"],
        &["bench", "limits", "--time", "0"],
        &["wal", "inspect"],
        &["wal", "inspect", missing, "--offset", "1"],
        &["snapshot", "inspect", missing, "--nope"],
        &["completions", "csh"],
        &["tune", "--format", "xml"],
    ] {
        let (code, text) = code(args);
        assert!(code == Some(2) && !text.is_empty(), "{args:?}: {code:?} {text}");
    }
    for args in [
        &["config", "check", missing][..],
        &["wal", "inspect", missing],
        &["snapshot", "inspect", missing],
        &["topic", "list", "--bootstrap-server", "127.0.0.1:1"],
        &["group", "list", "--bootstrap-server", "127.0.0.1:1"],
        &["top", "--metrics", "127.0.0.1:1", "--once"],
        &["bench", "run", missing],
        &["bench", "compare", missing],
        &["bench", "produce", "--bootstrap-server", "127.0.0.1:1"],
        &["man", "/dev/null/pages"],
    ] {
        let (code, text) = code(args);
        assert!(code == Some(1) && text.starts_with("torc: "), "{args:?}: {code:?} {text}");
    }
    assert!(!Path::new(missing).exists(), "nothing is made by a command that is wrong");
}

#[test]
fn damage_has_an_exit_code_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let data = dir.path().to_str().unwrap();
    assert_eq!(code(&["wal", "inspect", data]), (Some(0), String::new()));
    assert_eq!(code(&["snapshot", "inspect", data]), (Some(0), String::new()));
    let output = torc(&["wal", "inspect", data, "--topic", "orders", "--offset", "3"]).output().unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && found.contains("orders-0"), "{found}");
    let (none, text) = code(&["wal", "inspect", data, "--topic", "orders", "--offset", "3_000"]);
    assert!(none == Some(1) && text.contains("3000"), "{text}");

    // The first batch: everything behind it says that it had been durable.
    let segment = dir.path().join("shard-0/wal-000001");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[4096 + 100] ^= 1;
    fs::write(&segment, bytes).unwrap();
    assert_eq!(code(&["wal", "inspect", data]), (Some(3), String::new()));
    let shard = fs::read_dir(dir.path().join("shard-0")).unwrap().map(|entry| entry.unwrap().path());
    for checkpoint in shard.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("checkpoint-")) {
        let mut bytes = fs::read(&checkpoint).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&checkpoint, bytes).unwrap();
    }
    assert_eq!(code(&["snapshot", "inspect", data]), (Some(3), String::new()));
}

/// Runs a command whose output nobody reads.
fn unread(args: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    torc(args).stdout(Stdio::from(writer)).output().unwrap()
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let server = Server::start(dir.path(), &[]);
    let (data, kafka) = (dir.path().to_str().unwrap(), server.said("kafka").to_string());
    let metrics = server.said("metrics").to_string();
    for args in [
        &["--help"][..],
        &["help", "bench"],
        &["--version"],
        &["serve", "--keys"],
        &["serve", "--keys", "--format", "json"],
        &["config", "show"],
        &["config", "check", "/dev/null"],
        &["man"],
        &["completions", "bash"],
        &["tune"],
        &["sim", "--seed", "1", "--steps", "1"],
        &["sim", "--seed", "1", "--steps", "1", "--format", "json"],
        &["top", "--metrics", &metrics, "--once", "--interval", "200ms"],
        &["topic", "--bootstrap-server", &kafka, "list"],
        &["topic", "--bootstrap-server", &kafka, "describe", "--format", "json"],
        &["topic", "--bootstrap-server", &kafka, "create", "t"],
        &["wal", "inspect", data, "--entries"],
        &["snapshot", "inspect", data, "--groups", "--format", "json"],
        &["bench", "consume", "--bootstrap-server", &kafka, "--topic", "orders", "--warmup", "0", "--quiet"],
    ] {
        let output = unread(args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(0) && text.is_empty(), "{args:?}: {} {text}", output.status);
    }
    // What fails, fails, whoever reads.
    assert_eq!(unread(&["config", "check", "/dev/null/file"]).status.code(), Some(1));
    assert_eq!(unread(&["topic", "--bootstrap-server", &kafka, "describe", "no-such-topic"]).status.code(), Some(1));
    // Nor do servers mind: the banner of this one is read by nobody.
    assert_eq!(server.stop(Signal::TERM).code(), Some(0));
}

#[test]
fn a_full_disk_for_the_result_is_an_error() {
    for args in [&["serve", "--keys"][..], &["config", "show"], &["man"], &["sim", "--seed", "1", "--steps", "1"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = torc(args).stdout(Stdio::from(full)).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(1) && text.contains("cannot write to standard output"),
            "{args:?}: {text}"
        );
    }
}

#[test]
fn numbers_and_times_are_read_alike_by_all_commands() {
    // Each option with a number of people's kind is taken: what is refused is something else, behind it.
    for (args, numbers) in [
        (&["topic", "create", "t", "--bootstrap-server", "127.0.0.1:1", "--partitions"][..], ["10k", "10_000"]),
        (&["topic", "alter", "t", "--bootstrap-server", "127.0.0.1:1", "--partitions"], ["10k", "10_000"]),
        (&["bench", "produce", "--bootstrap-server", "127.0.0.1:1", "--partitions"], ["10k", "10_000"]),
        (&["bench", "produce", "--bootstrap-server", "127.0.0.1:1", "--connections"], ["1k", "1_000"]),
        (&["bench", "produce", "--bootstrap-server", "127.0.0.1:1", "--outstanding"], ["1k", "1_000"]),
        (&["bench", "produce", "--bootstrap-server", "127.0.0.1:1", "--records"], ["1k", "1_000"]),
        (&["bench", "produce", "--bootstrap-server", "127.0.0.1:1", "--keys"], ["1k", "1_000"]),
        (&["bench", "produce", "--bootstrap-server", "127.0.0.1:1", "--seed"], ["1k", "1_000"]),
        (&["bench", "produce", "--bootstrap-server", "127.0.0.1:1", "--rate"], ["1k", "1_000"]),
        (&["bench", "produce", "--bootstrap-server", "127.0.0.1:1", "--duration"], ["10", "0.5"]),
        (&["bench", "produce", "--bootstrap-server", "127.0.0.1:1", "--warmup"], ["0", "1m"]),
        (&["bench", "consume", "--bootstrap-server", "127.0.0.1:1", "--last"], ["1k", "1_000"]),
        (&["bench", "e2e", "--bootstrap-server", "127.0.0.1:1", "--consumers"], ["1k", "1_000"]),
        (&["bench", "sweep", "--bootstrap-server", "127.0.0.1:1", "--rates"], ["1k,2k", "1_000"]),
        (&["consume", "t", "--bootstrap-server", "127.0.0.1:1", "--count"], ["10k", "10_000"]),
        (&["consume", "t", "--bootstrap-server", "127.0.0.1:1", "--last"], ["10k", "10_000"]),
        (&["consume", "t", "--bootstrap-server", "127.0.0.1:1", "--from"], ["10k", "-1.5h"]),
        (&["consume", "t", "--bootstrap-server", "127.0.0.1:1", "--timeout"], ["2", "0.5s"]),
        (&["produce", "t", "--bootstrap-server", "127.0.0.1:1", "--partition"], ["1k", "1_000"]),
        (&["bench", "run", "/no/such/file", "--repeat"], ["1k", "1_000"]),
        (&["top", "--metrics", "127.0.0.1:1", "--interval"], ["2", "0.5s"]),
        (&["wal", "inspect", "/no/such/file", "--group", "1", "--offset"], ["1k", "1_000"]),
        (&["wal", "inspect", "/no/such/file", "--offset", "1", "--group"], ["1k", "1_000"]),
        (&["wal", "inspect", "/no/such/file", "--offset", "1", "--topic", "t", "--partition"], ["1k", "1_000"]),
    ] {
        for number in numbers {
            let (code, text) = code(&[args, &[number]].concat());
            assert!(code == Some(1), "{args:?} {number}: {code:?} {text}");
        }
        let (code, text) = code(&[args, &["10 apples"]].concat());
        assert!(code == Some(2) && !text.contains("invalid digit"), "{args:?}: {text}");
    }
    let output = torc(&["sim", "--seeds", "1_000..1k", "--steps", "0_1", "--jobs", "1", "--trail", "1k"]).output();
    assert!(output.unwrap().status.success());
    let shown = |value: &str| {
        let output = torc(&["config", "show", "--format", "json", "--set", value]).output().unwrap();
        assert!(output.status.success(), "{value}: {}", String::from_utf8_lossy(&output.stderr));
        let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let key = value.split_once('=').unwrap().0;
        rows.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap()["value"].clone()
    };
    assert_eq!(shown("num.partitions=1k"), shown("num.partitions=1_000"));
    assert_eq!(shown("log.retention.hours=7d"), shown("log.retention.hours=168"));
}
