//! Damaged logs: where the chain breaks, and how that is judged.

mod support;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use support::{ORDERS, Rig, damage, filled, golden, snapshot, wal};
use torc_base::limits::PAGE;
use torc_inspect::Outcome;

fn json(path: &Path) -> (Value, Outcome) {
    let (text, outcome) = wal(path, "--batches --format json");
    (serde_json::from_str(&text).unwrap(), outcome)
}

fn segments(document: &Value) -> Vec<Value> {
    document["shards"][0]["segments"].as_array().unwrap().clone()
}

/// Five batches in one segment, of which nothing on disk says that the last two were durable.
fn unmarked(dir: &Path) -> Rig {
    let mut rig = Rig::new(dir, false);
    rig.create_orders();
    for _ in 0..5 {
        rig.produce(ORDERS[0], 2, 3_000, false);
        rig.settle();
    }
    rig
}

/// Position and length of batch `seq`, and its file.
fn batch(dir: &Path, seq: u64) -> (PathBuf, usize, usize) {
    for segment in segments(&json(dir).0) {
        for batch in segment["batch_list"].as_array().unwrap() {
            if batch["seq"] == seq {
                let number = |key: &str| batch[key].as_u64().unwrap() as usize;
                return (dir.join(segment["file"].as_str().unwrap()), number("position"), number("bytes"));
            }
        }
    }
    panic!("no batch {seq}")
}

#[test]
fn a_torn_write_at_the_end_is_no_corruption() {
    let dir = tempfile::tempdir().unwrap();
    let rig = unmarked(dir.path());
    let (file, at, bytes) = batch(&rig.dir, 5);
    damage(&file, |content| content[at + bytes - PAGE..at + bytes].fill(0));
    let (text, outcome) = wal(&rig.dir, "");
    assert_eq!(outcome, Outcome::Sound);
    golden("torn", dir.path(), &text);
    let (document, _) = json(&rig.dir);
    assert_eq!(segments(&document)[0]["last_batch"], 4);
    assert_eq!(document["shards"][0]["start"]["last_batch"], 4);
}

#[test]
fn a_flipped_bit_in_a_durable_batch_is_corruption() {
    let dir = tempfile::tempdir().unwrap();
    let rig = filled(dir.path());
    let (file, at, bytes) = batch(&rig.dir, 18);
    damage(&file, |content| content[at + bytes - 2 * PAGE] ^= 1);
    let (text, outcome) = wal(&rig.dir, "");
    assert_eq!(outcome, Outcome::Corrupt);
    golden("corrupt", dir.path(), &text);
    let (text, outcome) = wal(&file, "");
    assert_eq!(outcome, Outcome::Corrupt, "the file alone tells it too:\n{text}");
}

#[test]
fn the_chain_is_followed_behind_a_lost_header() {
    let dir = tempfile::tempdir().unwrap();
    let rig = filled(dir.path());
    let (file, at, _) = batch(&rig.dir, 16);
    damage(&file, |content| content[at..at + PAGE].fill(0));
    let (document, outcome) = json(&rig.dir);
    assert_eq!(outcome, Outcome::Corrupt);
    let hurt = segments(&document).into_iter().find(|s| !s["breaks"].as_array().unwrap().is_empty()).unwrap();
    let breaks = hurt["breaks"].as_array().unwrap();
    assert_eq!((breaks.len(), &breaks[0]["missing_batch"], &breaks[0]["position"]), (1, &16.into(), &at.into()));
    let seqs: Vec<u64> = hurt["batch_list"].as_array().unwrap().iter().map(|b| b["seq"].as_u64().unwrap()).collect();
    assert!(!seqs.contains(&16) && seqs.contains(&17), "{seqs:?}");
    assert_eq!(document["shards"][0]["start"]["position"], at);
}

/// Zeroes or flips each page in turn: what is shown agrees with what recovery says.
#[test]
fn judgement_and_recovery_agree_on_every_damaged_page() {
    let dir = tempfile::tempdir().unwrap();
    let rig = filled(dir.path());
    let (sound, _) = json(&rig.dir);
    let scan = sound["shards"][0]["checkpoint"]["scan_segment"].as_u64().unwrap();
    let (mut refused, mut cut) = (0, 0);
    for segment in segments(&sound).iter().filter(|s| s["segment"].as_u64().unwrap() >= scan) {
        let file = rig.dir.join(segment["file"].as_str().unwrap());
        let clean = fs::read(&file).unwrap();
        let used = segment["used_bytes"].as_u64().unwrap() as usize;
        for at in (PAGE..used).step_by(PAGE) {
            let mut bytes = clean.clone();
            if (at / PAGE).is_multiple_of(2) {
                bytes[at..at + PAGE].fill(0)
            } else {
                bytes[at + 30] ^= 4
            }
            fs::write(&file, &bytes).unwrap();
            let (document, outcome) = json(&rig.dir);
            let start = &document["shards"][0]["start"];
            let shown = segments(&document);
            let first = |judged: &str| {
                let mut all = shown.iter().flat_map(|s| s["breaks"].as_array().unwrap().iter().map(move |b| (s, b)));
                all.find(|(_, b)| b["judged"] == judged).map(|(s, b)| (s["file"].clone(), b["position"].clone()))
            };
            if start["verdict"] == "refused" {
                refused += 1;
                let found = first("corruption").expect("a reason to refuse");
                // A lost first batch is named by the end of the segment before.
                let before =
                    shown.iter().position(|s| s["file"] == found.0).and_then(|at| shown.get(at.checked_sub(1)?));
                let same = found == (start["file"].clone(), start["position"].clone());
                let at_the_end =
                    before.is_some_and(|s| s["file"] == start["file"] && s["used_bytes"] == start["position"]);
                assert!(same || found.1 == PAGE && at_the_end, "{found:?}: {document:#}");
                assert_eq!(outcome, Outcome::Corrupt);
            } else {
                assert_eq!(first("corruption"), None, "page at {at} of {}: {document:#}", file.display());
                let end = shown.iter().find(|s| s["state"] == "active").expect("the log ends somewhere");
                assert_eq!(end["last_batch"], start["last_batch"]);
                cut += u32::from(first("torn").is_some());
            }
        }
        fs::write(&file, &clean).unwrap();
    }
    assert!(refused > 50 && cut <= 2, "{refused} refused, {cut} cut");
}

#[test]
fn a_damaged_footer_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let rig = filled(dir.path());
    let first = &segments(&json(&rig.dir).0)[0];
    assert_eq!(first["state"], "sealed");
    let file = rig.dir.join(first["file"].as_str().unwrap());
    let bytes = first["footer"]["bytes"].as_u64().unwrap() as usize;
    damage(&file, |content| {
        let at = content.len() - bytes;
        content[at + 9] ^= 1;
    });
    let (text, outcome) = wal(&rig.dir, "");
    assert_eq!(outcome, Outcome::Corrupt);
    assert!(text.contains("the footer's extents are damaged"), "{text}");
    // Without its index the segment is read batch by batch.
    let (text, _) = wal(&rig.dir, "--group 1024 --offset 1");
    assert!(text.contains("reading the segment's batches"), "{text}");
}

#[test]
fn a_damaged_checkpoint_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let rig = filled(dir.path());
    fs::write(rig.dir.join("checkpoint-000000000002.tmp"), b"unfinished").unwrap();
    damage(&rig.dir.join("checkpoint-000000000001"), |content| content[PAGE + 70] ^= 1);
    let (text, outcome) = snapshot(&rig.dir, "");
    assert_eq!(outcome, Outcome::Corrupt);
    golden("checkpoint_damaged", dir.path(), &text);
    let (text, outcome) = wal(&rig.dir, "");
    assert!(outcome == Outcome::Corrupt && text.contains("a start would REFUSE the log: checkpoint"), "{text}");
}
