//! What a sound log looks like; golden outputs.

mod support;

use serde_json::Value;
use std::fs;
use std::path::Path;
use support::{ORDERS, Rig, cleaned, filled, golden, snapshot, try_wal, wal};
use torc_inspect::Outcome;

/// Name, content and time of change of all files.
fn everything(dir: &Path) -> Vec<(String, Vec<u8>, std::time::SystemTime)> {
    let mut all: Vec<_> = (fs::read_dir(dir).unwrap().map(Result::unwrap))
        .map(|e| {
            let changed = e.metadata().unwrap().modified().unwrap();
            (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap(), changed)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn a_sound_log_in_every_detail() {
    let dir = tempfile::tempdir().unwrap();
    let shard = dir.path().join("shard-0");
    fs::create_dir(&shard).unwrap();
    filled(&shard);
    for (name, flags) in [
        ("segments", ""),
        ("batches", "--batches"),
        ("entries", "--entries"),
        ("extents", "--extents"),
        ("segments_json", "--format json"),
        ("follow", "--topic orders --partition 0 --offset 7"),
        ("follow_gathered", "--group 1025 --offset 20"),
    ] {
        let (text, outcome) = wal(dir.path(), flags);
        assert_eq!(outcome, Outcome::Sound, "{flags}:\n{text}");
        golden(name, dir.path(), &text);
    }
    golden("checkpoint", dir.path(), &snapshot(dir.path(), "--groups").0);
    golden("checkpoint_json", dir.path(), &snapshot(dir.path(), "--groups --format json").0);
}

#[test]
fn what_the_cleaner_moved_is_shown_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let rig = cleaned(dir.path(), false);
    let (text, outcome) = wal(&rig.dir, "");
    assert_eq!(outcome, Outcome::Sound, "{text}");
    golden("cold", dir.path(), &text);
    golden("cold_follow", dir.path(), &wal(&rig.dir, "--topic orders --partition 1 --offset 7").0);
    golden("cold_checkpoint", dir.path(), &snapshot(&rig.dir, "--groups").0);
    for (group, offset, bytes) in rig.appended.iter().filter(|(group, ..)| *group == ORDERS[1]) {
        let (text, outcome) = wal(&rig.dir, &format!("--group {group} --offset {offset} --format json"));
        assert_eq!(outcome, Outcome::Sound, "{text}");
        let found: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&found["entry"]["bytes"], &found["entry"]["intact"]), (&bytes.len().into(), &true.into()));
    }
}

#[test]
fn a_cold_segment_that_no_checkpoint_names_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let rig = cleaned(dir.path(), true);
    let (text, outcome) = wal(&rig.dir, "--format json");
    assert_eq!(outcome, Outcome::Sound, "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    let segments = document["shards"][0]["segments"].as_array().unwrap();
    let states = |kind: &str| -> Vec<&str> {
        segments.iter().filter(|s| s["kind"] == kind).map(|s| s["state"].as_str().unwrap()).collect()
    };
    assert_eq!(states("cold"), ["sealed", "unknown"], "{text}");
    assert!(states("log").contains(&"active") && !states("log").contains(&"unknown"), "{text}");
    // What it holds is found where the checkpoint has it.
    let (text, outcome) = wal(&rig.dir, "--topic orders --partition 1 --offset 150 --format json");
    assert_eq!(outcome, Outcome::Sound, "{text}");
    let found: Value = serde_json::from_str(&text).unwrap();
    assert!(found["segment"].as_u64().unwrap() < 1000, "{text}");
    assert_eq!(found["older_copies"], 1);
}

#[test]
fn nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let rig = filled(dir.path());
    // What recovery would remove or write again: leftovers, and a tail that it would cut.
    fs::write(rig.dir.join("checkpoint-000000000009.tmp"), b"unfinished").unwrap();
    fs::write(rig.dir.join("wal-000009"), vec![0; 256 << 10]).unwrap();
    let before = everything(&rig.dir);
    for flags in ["", "--entries --extents", "--group 1024 --offset 3", "--format json"] {
        wal(&rig.dir, flags);
    }
    snapshot(&rig.dir, "");
    assert!(before == everything(&rig.dir), "names, bytes and times are as they were");
}

#[test]
fn json_counts_what_was_appended() {
    let dir = tempfile::tempdir().unwrap();
    let rig = filled(dir.path());
    let (text, _) = wal(&rig.dir, "--entries --format json");
    let document: Value = serde_json::from_str(&text).unwrap();
    let segments = document["shards"][0]["segments"].as_array().unwrap();
    let batches = segments.iter().flat_map(|s| s["batch_list"].as_array().unwrap());
    let entries: Vec<&Value> = batches.flat_map(|b| b["entries"].as_array().unwrap()).collect();
    let records: Vec<&&Value> = entries.iter().filter(|e| e["kind_name"] == "records").collect();
    assert_eq!(records.len(), rig.appended.len());
    for (entry, (group, offset, bytes)) in records.iter().zip(&rig.appended) {
        assert_eq!(entry["group"], group.get());
        assert_eq!(entry["first_offset"], *offset);
        assert_eq!(entry["bytes"], bytes.len());
        assert_eq!(entry["intact"], true);
    }
    let sum: u64 = segments.iter().map(|s| s["entries"].as_u64().unwrap()).sum();
    assert_eq!(sum, entries.len() as u64);
    assert_eq!(document["shards"][0]["start"]["verdict"], "accepted");
}

#[test]
fn every_offset_is_followed_to_the_bytes_that_were_appended() {
    let dir = tempfile::tempdir().unwrap();
    let rig = filled(dir.path());
    for (group, first, bytes) in &rig.appended {
        let count = if *group == ORDERS[0] { 3 } else { 1 };
        for offset in *first..first + count {
            let (text, outcome) = wal(&rig.dir, &format!("--group {group} --offset {offset} --format json"));
            assert_eq!(outcome, Outcome::Sound);
            let found: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(found["record"]["offset"], offset);
            let file = fs::read(rig.dir.join(found["file"].as_str().unwrap())).unwrap();
            let at = found["entry"]["position"].as_u64().unwrap() as usize;
            assert!(file[at..at + bytes.len()] == bytes[..], "group {group}, offset {offset}");
            let at = found["bytes_position"].as_u64().unwrap() as usize;
            let hex = found["bytes_hex"].as_str().unwrap();
            let shown: String = file[at..at + hex.len() / 2].iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(hex, shown);
        }
    }
}

#[test]
fn what_is_not_there_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let rig = filled(dir.path());
    for (flags, says) in [
        ("--topic orders --partition 0 --offset 72", "the log holds its offsets from 0 to before 72"),
        ("--topic orders --partition 2 --offset 0", "has no partition 2: it has 2"),
        ("--topic order --partition 0 --offset 0", "there are orders"),
        ("--group 5000 --offset 0", "the log holds nothing of it"),
        ("--topic orders --offset 0", "topic orders has 2 partitions: say which one with --partition"),
    ] {
        let error = try_wal(&rig.dir, flags).expect_err(flags).to_string();
        assert!(error.contains(says), "{flags}: {error}");
    }
    let nowhere = tempfile::tempdir().unwrap();
    assert!(try_wal(nowhere.path(), "").unwrap_err().to_string().contains("neither a data directory"));
    fs::create_dir(nowhere.path().join("shard-0")).unwrap();
    let (text, outcome) = wal(nowhere.path(), "");
    assert!(text.contains("there are no segments") && text.contains("find no log here"), "{text}");
    assert_eq!(outcome, Outcome::Sound);
}

#[test]
fn topics_of_other_shards_come_from_shard_0() {
    let dir = tempfile::tempdir().unwrap();
    let shards = ["shard-0", "shard-1"].map(|name| dir.path().join(name));
    shards.iter().for_each(|shard| fs::create_dir(shard).unwrap());
    let mut zero = Rig::new(&shards[0], true);
    zero.create_orders();
    zero.settle();
    let mut one = Rig::new(&shards[1], true);
    one.produce(ORDERS[1], 2, 100, false);
    one.settle();
    one.checkpoint(false);
    one.produce(ORDERS[1], 2, 100, false);
    one.settle();
    for path in [dir.path(), &shards[1], &shards[1].join("wal-000001")] {
        let (text, _) = wal(path, "--entries");
        assert!(text.contains("orders-1"), "{text}");
        let (text, _) = wal(path, "--topic orders --partition 1 --offset 3");
        assert!(text.starts_with("orders-1, offset 3\n"), "{text}");
    }
}

#[test]
fn a_running_server_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let shard = dir.path().join("shard-0");
    fs::create_dir(&shard).unwrap();
    filled(&shard);
    fs::write(dir.path().join("torc.lock"), "4711\n").unwrap();
    assert!(!wal(dir.path(), "").0.contains("warning"));
    let lock = fs::File::open(dir.path().join("torc.lock")).unwrap();
    lock.lock().unwrap();
    for path in [dir.path(), &shard] {
        assert!(wal(path, "").0.contains("warning: process 4711 runs on it"));
    }
    let document: Value = serde_json::from_str(&wal(dir.path(), "--format json").0).unwrap();
    assert_eq!(document["shards"][0]["server"], "process 4711");
}
