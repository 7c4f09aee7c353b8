//! What the binary tells shells, man(1) and whoever tunes a machine.

use std::fs;
use std::process::{Command, Output};

fn torc(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_torc")).args(args).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&torc(&["completions", shell]));
        for word in ["bench", "config", "topic", "tune", "data-dir"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
}

#[test]
fn every_command_has_a_page_that_says_how_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    text(&torc(&["man", dir.path().to_str().unwrap()]));
    for name in [
        "torc",
        "torc-serve",
        "torc-config-check",
        "torc-topic-create",
        "torc-bench-produce",
        "torc-wal-inspect",
        "torc-dev",
        "torc-cluster-health",
        "torc-znode-import",
        "torc-bench-zk",
    ] {
        let page = fs::read_to_string(dir.path().join(format!("{name}.1"))).unwrap_or_else(|e| panic!("{name}: {e}"));
        let title = format!(".TH {name} 1");
        assert!(page.lines().any(|line| line.starts_with(&title)), "{name} has no title: {page}");
        let words = name.replace('-', " ");
        assert!(page.replace("\\fB", "").replace("\\fR", "").replace("\\-", "-").contains(&words), "{name}: {page}");
    }
    assert!(text(&torc(&["man"])).contains(".TH torc 1"));
    let there = dir.path().join("file");
    fs::write(&there, "").unwrap();
    let output = torc(&["man", there.to_str().unwrap()]);
    assert!(output.status.code() == Some(1) && String::from_utf8_lossy(&output.stderr).contains("cannot make"));
}

#[test]
fn tune_looks_at_this_machine_and_changes_nothing() {
    let path = "/proc/sys/vm/swappiness";
    let before = fs::read_to_string(path).unwrap();
    let rows: serde_json::Value = serde_json::from_str(&text(&torc(&["tune", "--format", "json"]))).unwrap();
    let row = |check: &str| rows.as_array().unwrap().iter().find(|row| row["check"] == check).unwrap().clone();
    assert_eq!(row("io_uring")["verdict"], "good", "the tests of this project run here");
    assert!(row("file system")["now"].is_string() && row("open files")["now"].is_string(), "{rows}");
    for row in rows.as_array().unwrap() {
        assert!(row["worth"].is_string() && row["wanted"].is_string() && row.get("applied").is_none(), "{row}");
    }
    assert!(text(&torc(&["tune"])).starts_with("CHECK"));
    assert_eq!(fs::read_to_string(path).unwrap(), before);
}
