//! The rules of the house: who may import whom, where the impure and the unsafe may live, how long a file may grow.
//! A new crate needs a row in [`CRATES`]; a rule is loosened only here, where it is seen.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a crate may reach.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// Events in, operations out: no clock, no I/O, no threads, no ambient randomness.
    Pure,
    /// Touches the world.
    Worldly,
}
use Nature::{Pure, Worldly};

/// Each crate, what it is, and all crates of this workspace that it may depend on, tests included.
const CRATES: &[(&str, Nature, &[&str])] = &[
    ("torc-base", Pure, &[]),
    ("torc-consensus", Pure, &["torc-base"]),
    ("torc-state", Pure, &["torc-base"]),
    ("torc-net", Pure, &["torc-base"]),
    ("torc-wal", Pure, &["torc-base"]),
    ("torc-snapshot", Pure, &["torc-base"]),
    ("torc-shard", Pure, &["torc-base", "torc-consensus", "torc-state", "torc-net", "torc-wal", "torc-snapshot"]),
    ("torc-reactor", Worldly, &["torc-base"]),
    // Servers that form a cluster speak to each other before any shard does.
    ("torc-server", Worldly, &["torc-base", "torc-net", "torc-shard", "torc-reactor"]),
    // Virtual time and simulated disks: as pure as what it runs, and never near the reactor.
    (
        "torc-sim",
        Pure,
        &["torc-base", "torc-consensus", "torc-state", "torc-net", "torc-wal", "torc-snapshot", "torc-shard"],
    ),
    // Reads files, and runs the log's own recovery over them without writing.
    ("torc-inspect", Worldly, &["torc-base", "torc-state", "torc-net", "torc-wal", "torc-snapshot"]),
    // Starts `torc` as a process; its test of allocations steps a shard itself, and its measuring threads ask for cores as the reactor does.
    ("torc-check", Worldly, &["torc-base", "torc-client", "torc-net", "torc-reactor", "torc-shard"]),
    // ZooKeeper's codec is torc's own, Kafka's that of the schema crate.
    ("torc-client", Worldly, &["torc-base", "torc-net"]),
    // The reactor carries the bare server and the disk limits: they are to be measured on the ring that torc runs on.
    ("torc-load", Worldly, &["torc-base", "torc-net", "torc-client", "torc-reactor"]),
    // Nobody depends on it. Frames are made as torc-check makes them.
    ("torc-micro", Worldly, &["torc-base", "torc-net", "torc-wal", "torc-shard", "torc-reactor", "torc-check"]),
    (
        "torc",
        Worldly,
        &["torc-base", "torc-net", "torc-server", "torc-sim", "torc-client", "torc-load", "torc-inspect"],
    ),
];

/// Crates of others that would bring the world into a pure crate.
const IMPURE: &[&str] = &[
    "async-std",
    "chrono",
    "core_affinity",
    "crossbeam",
    "getrandom",
    "io-uring",
    "libc",
    "mio",
    "nix",
    "rand",
    "rayon",
    "rustix",
    "signal-hook",
    "smol",
    "socket2",
    "tempfile",
    "time",
    "tokio",
];

/// Where memory is handled by hand. A folder stands for all in it.
const UNSAFE_ALLOWED: &[&str] = &["engine/base/src/buf.rs", "engine/reactor/"];

const FILE_LINES_MAX: usize = 900;
const LIB_LINES_MAX: usize = 60;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A crate of the workspace as cargo sees it.
struct Member {
    name: String,
    folder: PathBuf,
    /// Name and whether only tests use it.
    dependencies: Vec<(String, bool)>,
}

fn members() -> Vec<Member> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let dependency = |value: &Value| (text(&value["name"]), value["kind"] == "dev");
    let member = |package: &Value| Member {
        name: text(&package["name"]),
        folder: Path::new(&text(&package["manifest_path"])).parent().unwrap().to_path_buf(),
        dependencies: package["dependencies"].as_array().unwrap().iter().map(dependency).collect(),
    };
    metadata["packages"].as_array().unwrap().iter().map(member).collect()
}

/// A Rust source of this repository.
struct Source {
    /// From the root, with `/`.
    name: String,
    text: String,
}

impl Source {
    /// Its lines with their numbers, without what stands behind `//`.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(i, line)| (i + 1, line.split("//").next().unwrap_or_default()))
    }

    fn is_test(&self) -> bool {
        self.name.ends_with("_tests.rs") || self.name.contains("/tests/")
    }
}

fn sources() -> Vec<Source> {
    let root = root();
    let (mut folders, mut sources) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && !matches!(name.as_str(), "target" | "node_modules") {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                sources.push(Source { name, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    assert!(sources.len() > 20, "only {} sources found below {}", sources.len(), root.display());
    sources
}

/// True if `word` stands in `line` as a word of its own.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part_of_word) && !line[at + word.len()..].starts_with(part_of_word))
}

/// Fails with all violations at once.
fn assert_none(rule: &str, violations: Vec<String>) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}

#[test]
fn crates_import_only_whom_they_may() {
    let rules: BTreeMap<&str, &[&str]> = CRATES.iter().map(|(name, _, allowed)| (*name, *allowed)).collect();
    let members = members();
    let mut violations = Vec::new();
    for member in &members {
        let Some(allowed) = rules.get(member.name.as_str()) else {
            violations.push(format!("{} has no row in CRATES", member.name));
            continue;
        };
        for (dependency, _) in &member.dependencies {
            let ours = members.iter().any(|other| other.name == *dependency);
            if ours && !allowed.contains(&dependency.as_str()) {
                violations.push(format!("{} -> {dependency}", member.name));
            }
        }
    }
    for (name, _, _) in CRATES {
        if !members.iter().any(|member| member.name == *name) {
            violations.push(format!("{name} has a row in CRATES, but is no crate"));
        }
    }
    assert_none("imports that design section 2 does not allow", violations);
}

#[test]
fn pure_crates_depend_on_nothing_impure() {
    let mut violations = Vec::new();
    for member in members().iter().filter(|member| nature(&member.name) == Some(Pure)) {
        for (dependency, dev) in &member.dependencies {
            if !dev && IMPURE.contains(&dependency.as_str()) {
                violations.push(format!("{} -> {dependency}", member.name));
            }
        }
    }
    assert_none("pure crates that depend on the world", violations);
}

fn nature(name: &str) -> Option<Nature> {
    CRATES.iter().find(|(other, _, _)| *other == name).map(|(_, nature, _)| *nature)
}

#[test]
fn pure_crates_are_linted_as_such() {
    let denies = |manifest: &str| {
        ["disallowed_types = \"deny\"", "disallowed_methods = \"deny\""].iter().all(|line| manifest.contains(line))
    };
    let manifest = |folder: &Path| fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    assert!(denies(&manifest(&root())), "the workspace's lints no longer forbid the impure");
    let (sources, mut violations) = (sources(), Vec::new());
    for member in members().iter().filter(|member| nature(&member.name) == Some(Pure)) {
        let text = manifest(&member.folder);
        if !text.contains("[lints]\nworkspace = true") && !denies(&text) {
            violations.push(format!("{}: its Cargo.toml does not deny disallowed_types and _methods", member.name));
        }
        let folder = format!("{}/", member.folder.strip_prefix(root()).unwrap().display());
        for source in sources.iter().filter(|source| source.name.starts_with(&folder) && !source.is_test()) {
            for (number, line) in source.code() {
                if line.contains("clippy::disallowed") {
                    violations.push(format!("{}:{number}: {}", source.name, line.trim()));
                }
            }
        }
    }
    assert_none("pure crates that escape their lints", violations);
}

#[test]
fn protocols_do_not_know_each_other() {
    let mut violations = Vec::new();
    for (folder, other) in [("net/src/kafka", "zookeeper"), ("net/src/zookeeper", "kafka")] {
        for source in sources().iter().filter(|source| source.name.starts_with(folder)) {
            for (number, line) in source.code() {
                if has_word(line, &format!("crate::{other}")) {
                    violations.push(format!("{}:{number}: {}", source.name, line.trim()));
                }
            }
        }
    }
    assert_none("kafka and zookeeper are apart", violations);
}

/// Logs, and what they mean, know Kafka's format of records (`batch.rs`), and nothing of its protocol: other protocols have
/// logs, too.
#[test]
fn logs_know_no_protocol() {
    let mut violations = Vec::new();
    let shard = "engine/shard/src/";
    let is_of_logs = |source: &&Source| {
        let name = source.name.strip_prefix(shard).unwrap_or_default();
        ["groups/", "group.rs", "meaning"].iter().any(|of| name.starts_with(of)) && !source.is_test()
    };
    let sources = sources();
    assert!(sources.iter().filter(is_of_logs).count() > 10, "the files of logs are found");
    for source in sources.iter().filter(is_of_logs) {
        for (number, line) in source.code() {
            // Frames between nodes carry entries of logs, and nothing of what clients speak.
            let of_clients = has_word(line, "torc_net") && !line.contains("torc_net::peer");
            if of_clients || has_word(line, "crate::kafka") {
                violations.push(format!("{}:{number}: {}", source.name, line.trim()));
            }
        }
    }
    assert_none("logs that know a protocol", violations);
}

#[test]
fn memory_is_handled_by_hand_only_where_it_is_allowed() {
    let word = concat!("un", "safe");
    let mut violations = Vec::new();
    for source in sources() {
        if UNSAFE_ALLOWED.iter().any(|allowed| source.name.starts_with(allowed)) {
            continue;
        }
        for (number, line) in source.code() {
            if has_word(line, word) {
                violations.push(format!("{}:{number}: {}", source.name, line.trim()));
            }
        }
    }
    assert_none("only base's buffers and the reactor may", violations);
}

#[test]
fn nothing_is_left_undone() {
    let marks = [concat!("to", "do!"), concat!("unimple", "mented!"), concat!("#[ig", "nore")];
    let mut violations = Vec::new();
    for source in sources() {
        for (number, line) in source.code() {
            if marks.iter().any(|mark| line.contains(mark)) {
                violations.push(format!("{}:{number}: {}", source.name, line.trim()));
            }
        }
    }
    assert_none("work that was left for later", violations);
}

#[test]
fn files_stay_readable() {
    let too_long = |source: &Source| source.text.lines().count() > FILE_LINES_MAX;
    let long = sources().into_iter().filter(too_long).map(|source| source.name).collect();
    assert_none(&format!("files of over {FILE_LINES_MAX} lines"), long);
}

#[test]
fn a_lib_lists_its_modules_and_little_else() {
    let mut violations = Vec::new();
    for source in sources().iter().filter(|source| source.name.ends_with("src/lib.rs")) {
        if source.text.lines().count() > LIB_LINES_MAX {
            violations.push(format!("{}: over {LIB_LINES_MAX} lines", source.name));
        }
        let code: Vec<&str> =
            source.code().map(|(_, line)| line.trim()).filter(|line| !line.starts_with('#')).collect();
        for statement in code.join(" ").split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            let bare = statement.strip_prefix("pub(crate) ").or(statement.strip_prefix("pub ")).unwrap_or(statement);
            let listed = bare.starts_with("mod ") && !bare.contains('{') || bare.starts_with("use ");
            if !listed || bare.contains("::*") {
                violations.push(format!("{}: {statement}", source.name));
            }
        }
    }
    assert_none("a lib.rs holds modules and named re-exports", violations);
}

#[test]
fn words_are_found_as_words() {
    assert!(has_word("a b-c", "b") && has_word("b", "b") && has_word("(b)", "b"));
    assert!(!has_word("ab", "b") && !has_word("b_c", "b") && !has_word("", "b"));
}
