//! Plants known bugs into a copy of the sources, and expects the simulator to find each within 200 seeds: in the log,
//! the groups, what they remember of producers, connections, and memory.
//!
//! Nothing in production code knows of this. The copies and what is built of them lie under `target/planted`, and are
//! written only where they differ, so that a second run builds nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Seeds that a bug may take.
const SEEDS: &str = "1..200";

/// The simulator's command, as a program of the copy alone.
const PROGRAM: &str = "use clap::Parser;
fn main() -> std::process::ExitCode {
    torc_sim::command::run(&torc_sim::command::Args::parse())
}
";

/// A bug: in `file`, `old` (found exactly once) becomes `new`. The simulator names one of `rules`.
struct Bug {
    name: &'static str,
    file: &'static str,
    old: &'static str,
    new: &'static str,
    rules: &'static [&'static str],
}

/// Two builds at once would only wait for each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tools/sim lies two levels down").to_path_buf()
}

fn write_if_changed(path: &Path, bytes: &[u8]) {
    if fs::read(path).ok().as_deref() != Some(bytes) {
        fs::write(path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
}

/// Copies the sources, without what was built; `bug` is planted on the way.
fn copy_tree(from: &Path, to: &Path, bug: &Bug, bugged: &Path) {
    fs::create_dir_all(to).expect("a directory under target");
    for entry in fs::read_dir(from).expect("the workspace can be read") {
        let entry = entry.expect("the workspace can be read");
        let (name, kind) = (entry.file_name(), entry.file_type().expect("the workspace can be read"));
        if name == "target" || name == ".git" {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        if kind.is_dir() {
            copy_tree(&source, &target, bug, bugged);
        } else if kind.is_file() {
            let bytes = fs::read(&source).expect("the workspace can be read");
            let bytes = if source == bugged { plant(bug, &bytes) } else { bytes };
            write_if_changed(&target, &bytes);
        }
    }
}

fn plant(bug: &Bug, bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let found = text.matches(bug.old).count();
    let Bug { name, file, old, .. } = bug;
    assert_eq!(found, 1, "{name}: the text to replace is {found} times in {file}; adapt tests/planted.rs:\n{old}");
    text.replace(bug.old, bug.new).into_bytes()
}

/// Runs the simulator of `tree`; its exit code and output.
fn simulate(tree: &Path, build: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO"))
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", build)
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .args(["run", "--quiet", "--offline", "-p", "torc-sim", "--example", "planted", "--"])
        .args(["--seeds", SEEDS, "--format", "json"])
        .output()
        .expect("cargo can be run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

fn is_caught(bug: &Bug) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let root = workspace();
    let planted = root.join("target/planted");
    let tree = planted.join(bug.name);
    copy_tree(&root, &tree, bug, &root.join(bug.file));
    fs::create_dir_all(tree.join("tools/sim/examples")).expect("a directory under target");
    write_if_changed(&tree.join("tools/sim/examples/planted.rs"), PROGRAM.as_bytes());
    let (code, text) = simulate(&tree, &planted.join("build"));
    let name = bug.name;
    assert_eq!(code, Some(1), "{name}: not caught within seeds {SEEDS}:\n{text}");
    let named = bug.rules.iter().any(|rule| text.contains(&format!("\"rule\":\"{rule}\"")));
    assert!(named, "{name}: caught, but by none of {:?}:\n{text}", bug.rules);
}

#[test]
fn an_ack_before_the_flush_is_caught() {
    is_caught(&Bug {
        name: "ack-before-flush",
        file: "wal/src/wal.rs",
        old: "                runs: cut.runs,\n                durable: true,",
        new: "                runs: cut.runs,\n                durable: false,",
        // `Starts`: the log itself may notice that a batch is missing of which a later one, or a checkpoint, says that it
        // was durable. `ExpectedErrors`: in a sealed segment, which is not read at the start, a reader notices it.
        rules: &["AckedIsKept", "MarksAdvance", "SeenIsFinal", "UniqueProducerId", "Starts", "ExpectedErrors"],
    });
}

#[test]
fn a_batch_checksum_that_is_not_verified_is_caught() {
    is_caught(&Bug {
        name: "batch-checksum-not-verified",
        file: "wal/src/batch.rs",
        old: "        crc32c(prefix) == self.prefix_crc && crc32c(body) == self.body_crc",
        new: "        let _ = (prefix, body);\n        true",
        rules: &["BytesAreTrue", "Starts", "SeenIsFinal"],
    });
}

#[test]
fn a_tail_cut_one_batch_too_far_is_caught() {
    is_caught(&Bug {
        name: "tail-cut-too-far",
        file: "wal/src/recovery.rs",
        old: "            return Err(format!(\"batch {next} there does not follow from the batch before\"));\n        }\n",
        new: "            return Err(format!(\"batch {next} there does not follow from the batch before\"));\n        }\n        \
              let behind = bytes.get(header.total as usize..).and_then(batch::Header::decode);\n        \
              if behind.is_none_or(|(h, _)| h.seq != next.next()) && bytes.len() > header.total as usize {\n            \
              return Err(\"planted\".to_string());\n        }\n",
        // `ExpectedErrors`: the first to notice may be an idempotent producer, whose next batch is refused as out of order.
        rules: &["AckedIsKept", "MarksAdvance", "SeenIsFinal", "UniqueProducerId", "ExpectedErrors"],
    });
}

#[test]
fn a_cold_segment_that_is_published_before_its_flush_is_caught() {
    is_caught(&Bug {
        name: "published-before-flush",
        file: "wal/src/cleaner.rs",
        old: "                self.ask(DiskKind::Sync { file }, parts);",
        new: "                let _ = file;\n                self.ask(DiskKind::Free, parts);",
        rules: &["AckedIsKept", "SeenIsFinal", "ExpectedErrors", "Starts", "Liveness"],
    });
}

#[test]
fn an_answer_before_its_commit_is_caught() {
    is_caught(&Bug {
        name: "answer-before-commit",
        file: "engine/shard/src/groups/append.rs",
        old: "            Acks::All => group.on_commit.push_back(waiter),",
        new: "            Acks::All => out.answers.push_back((\n                asker,\n                Answer::Produced(vec![(\n                    \
              position,\n                    Ok(Produced { base, append_time, log_start: Offset(-1), times: None }),\n                \
              )]),\n            )),",
        rules: &["AckedIsKept", "MarksAdvance", "SeenIsFinal", "ExpectedErrors"],
    });
}

#[test]
fn a_high_watermark_that_moves_at_the_append_is_caught() {
    is_caught(&Bug {
        name: "high-watermark-at-append",
        file: "engine/state/src/partition.rs",
        old: "        self.end = base.plus(i64::from(incoming.records));\n",
        new: "        self.end = base.plus(i64::from(incoming.records));\n        self.high_watermark = self.end;\n",
        rules: &["MarksAdvance", "SeenIsFinal", "AckedIsKept", "BehindHighWatermark", "NoPanic"],
    });
}

#[test]
fn a_producer_that_is_forgotten_at_a_restart_is_caught() {
    is_caught(&Bug {
        name: "producer-forgotten",
        file: "engine/state/src/partition.rs",
        old: "        self.append(now, base, incoming);",
        new: "        self.append(now, base, &Incoming { producer: None, ..*incoming });",
        rules: &["Once", "InOrder", "ExpectedErrors", "SeenIsFinal"],
    });
}

#[test]
fn answers_in_the_wrong_order_are_caught() {
    is_caught(&Bug {
        name: "answers-swapped",
        file: "engine/shard/src/outbox.rs",
        old: "        while let Some(Slot::Ready(..)) = self.slots.front()\n",
        new: "        if let [Slot::Ready(..), Slot::Ready(..), ..] = self.slots.make_contiguous() {\n            \
              self.slots.swap(0, 1);\n        }\n        \
              while let Some(Slot::Ready(..)) = self.slots.front()\n",
        rules: &["Protocol"],
    });
}

#[test]
fn memory_that_is_not_given_back_at_a_close_is_caught() {
    is_caught(&Bug {
        name: "memory-not-given-back",
        file: "engine/shard/src/conns.rs",
        old: "        self.turns.give(c.reserved + c.outbox.waiting_bytes() - kept);\n",
        new: "        self.turns.give(c.outbox.waiting_bytes() - kept);\n",
        rules: &["Memory"],
    });
}
