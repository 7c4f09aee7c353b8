//! Plants known bugs into a copy of this crate, and expects the random schedules (`storm`) to find each.
//!
//! Nothing in production code knows of this. The copy holds all bugs at once, each asleep until the environment wakes it,
//! so that one build serves them all (as in the simulator's test of the same name). It lies in `planted-consensus` of the
//! target directory, and is written only where it differs: a second run builds nothing.

mod planting;

use planting::{forget_gone, plant, text, write_if_changed};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Seeds that a bug may take: most take a few dozen, what damage does to a log that another leader replaces over a thousand.
const SEEDS: &str = "1500";
/// Seeds that nothing is found in while all bugs are asleep.
const SEEDS_ASLEEP: &str = "20";

/// The schedules, as a program of the copy alone.
const PROGRAM: &str = "#[path = \"../tests/cluster/mod.rs\"]
mod cluster;
#[path = \"../tests/storm/mod.rs\"]
mod storm;

fn main() {
    let seeds = std::env::args().nth(1).and_then(|n| n.parse().ok()).expect(\"a number of seeds\");
    for seed in 0..seeds {
        if let Err(panic) = std::panic::catch_unwind(|| storm::run(seed)) {
            eprintln!(\"seed {seed} does that\");
            std::panic::resume_unwind(panic);
        }
    }
}
";

/// A bug: in `file`, `old` (found exactly once) becomes `new`. There, `AWAKE` stands for the question whether the bug is
/// awake; if it is not, `new` does what `old` did. One of `rules` is what is broken.
struct Bug {
    name: &'static str,
    file: &'static str,
    old: &'static str,
    new: &'static str,
    rules: &'static [&'static str],
}

/// All bugs, each with the test that wakes it.
macro_rules! bugs {
    ($($test:ident: $bug:expr;)*) => {
        const BUGS: &[Bug] = &[$($bug),*];
        $(#[test] fn $test() { is_caught(&$bug); })*
    };
}

bugs! {
    an_ack_before_it_is_durable_is_caught: Bug {
        name: "ack-before-durable",
        file: "replication.rs",
        old: "        out.send_when_durable.push((from, self.message(body)));\n    }\n\n    pub(crate) fn receive_commit",
        new: "        let sends = if AWAKE { &mut out.send_now } else { &mut out.send_when_durable };\n        \
              sends.push((from, self.message(body)));\n    }\n\n    pub(crate) fn receive_commit",
        rules: &["durable:", "leader completeness:", "state machine safety:"],
    };
    a_leader_that_counts_itself_before_it_is_durable_is_caught: Bug {
        name: "leader-counts-early",
        file: "replication.rs",
        old: "        let durable = self.durable;\n        let own = Reach",
        new: "        let durable = if AWAKE { self.log.last() } else { self.durable };\n        let own = Reach",
        rules: &["durable:", "leader completeness:", "state machine safety:"],
    };
    a_second_vote_in_a_term_is_caught: Bug {
        name: "vote-twice",
        file: "election.rs",
        old: "            Some(vote) => vote == from,",
        new: "            Some(vote) => AWAKE || vote == from,",
        rules: &["vote once:", "vote durable:", "election safety:", "log matching:"],
    };
    a_vote_before_it_is_durable_is_caught: Bug {
        name: "vote-before-durable",
        file: "election.rs",
        old: "        out.send_when_durable.push((from, self.message(Body::VoteReply { granted: true })));",
        new: "        let sends = if AWAKE { &mut out.send_now } else { &mut out.send_when_durable };\n        \
              sends.push((from, self.message(Body::VoteReply { granted: true })));",
        rules: &["vote durable:", "vote once:", "election safety:"],
    };
    a_log_match_that_is_not_checked_is_caught: Bug {
        name: "log-match-skipped",
        file: "replication.rs",
        old: "        if self.log.term_at(prev.index) != Some(prev.term) {",
        new: "        if self.log.term_at(prev.index) != Some(prev.term) && !(AWAKE && prev.index <= self.log.last()) {",
        // The log itself notices when terms go back.
        rules: &["log matching:", "state machine safety:", "leader completeness:", "durable:", "consensus/src/log.rs"],
    };
    an_entry_of_an_older_term_that_is_committed_by_count_is_caught: Bug {
        name: "older-term-by-count",
        file: "replication.rs",
        old: "&& self.log.term_at(reached) == Some(self.term())",
        new: "&& (AWAKE || self.log.term_at(reached) == Some(self.term()))",
        rules: &["own term:", "leader completeness:", "state machine safety:"],
    };
    a_vote_of_a_removed_member_that_counts_is_caught: Bug {
        name: "removed-votes",
        file: "quorum.rs",
        old: "    let after = ballots.filter(|(seat, _)| seat.votes_after()).map(|(_, ballot)| ballot);",
        new: "    let counts = |seat: Seat| if AWAKE { seat.votes_before() } else { seat.votes_after() };\n    \
              let after = ballots.filter(move |(seat, _)| counts(*seat)).map(|(_, ballot)| ballot);",
        rules: &["leader completeness:", "state machine safety:", "election safety:"],
    };
    a_copy_on_a_removed_member_that_counts_is_caught: Bug {
        name: "removed-copies",
        file: "quorum.rs",
        old: "    let after = marks.filter(|(seat, _)| seat.votes_after()).map(|(_, reach)| reach);",
        new: "    let counts = |seat: Seat| if AWAKE { seat.votes_before() } else { seat.votes_after() };\n    \
              let after = marks.filter(move |(seat, _)| counts(*seat)).map(|(_, reach)| reach);",
        rules: &["durable:", "leader completeness:", "state machine safety:", "election safety:"],
    };
    a_change_of_voters_without_a_joint_configuration_is_caught: Bug {
        name: "not-joint",
        file: "membership.rs",
        old: "        self.append_configuration(next, out);\n        Ok(())",
        new: "        self.append_configuration(if AWAKE { next.settled() } else { next }, out);\n        Ok(())",
        rules: &["leader completeness:", "state machine safety:", "election safety:"],
    };
    a_disk_with_amnesia_that_votes_is_caught: Bug {
        name: "amnesia",
        file: "doubt.rs",
        old: "        self.incarnation() == 0\n",
        new: "        AWAKE || self.incarnation() == 0\n",
        rules: &["leader completeness:", "state machine safety:", "election safety:"],
    };
    a_member_in_doubt_that_counts_as_a_vote_is_caught: Bug {
        name: "abstention-counts",
        file: "quorum.rs",
        old: "            Some(Ballot::Abstained) => abstained += 1,",
        new: "            Some(Ballot::Abstained) if AWAKE => yes += 1,\n            Some(Ballot::Abstained) => abstained += 1,",
        rules: &["leader completeness:", "state machine safety:", "election safety:"],
    };
    an_entry_that_lies_only_with_those_who_know_it_is_caught: Bug {
        name: "half-of-the-disks",
        file: "quorum.rs",
        old: "by_majority.max(by_others.min(reached_by_majority(voters.map(|reach| reach.held))))",
        new: "by_majority.max(if AWAKE { by_others } else { by_others.min(reached_by_majority(voters.map(|reach| reach.held))) })",
        rules: &["leader completeness:", "state machine safety:"],
    };
    a_damaged_log_that_votes_for_a_shorter_one_is_caught: Bug {
        name: "damage-forgotten",
        file: "election.rs",
        old: "last >= self.log.last_mark().max(self.lost_tail())",
        new: "last >= self.log.last_mark().max(if AWAKE { Mark::default() } else { self.lost_tail() })",
        rules: &["leader completeness:", "state machine safety:"],
    };
    a_damaged_log_that_stands_before_it_has_all_again_is_caught: Bug {
        name: "regained-in-part",
        file: "doubt.rs",
        old: "        if (Mark { term, index: self.durable }) >= lost {",
        new: "        if AWAKE || (Mark { term, index: self.durable }) >= lost {",
        rules: &["leader completeness:", "state machine safety:"],
    };
    a_lost_entry_that_is_taken_behind_another_one_is_caught: Bug {
        name: "regained-behind-another",
        file: "doubt.rs",
        old: "        let is_next = self.log.last_mark() == prev && self.role == Role::Follower && !self.has_living_leader();",
        new: "        let follows = if AWAKE { self.log.last() == prev.index } else { self.log.last_mark() == prev };
        let is_next = follows && self.role == Role::Follower && !self.has_living_leader();",
        rules: &["log matching:"],
    };
    a_read_that_is_served_without_asking_is_caught: Bug {
        name: "read-unasked",
        file: "reads.rs",
        old: "        if poll(answers) != Tally::Won {",
        new: "        if !AWAKE && poll(answers) != Tally::Won {",
        rules: &["a read of"],
    };
}

/// Without this, what a bug's test finds might be a fault of the copy.
#[test]
fn nothing_is_found_while_all_bugs_are_asleep() {
    let output = storm("none", SEEDS_ASLEEP);
    assert!(output.status.success(), "{SEEDS_ASLEEP} seeds:\n{}", text(&output));
}

fn is_caught(bug: &Bug) {
    let output = storm(bug.name, SEEDS);
    let (name, text) = (bug.name, text(&output));
    assert!(!output.status.success(), "{name}: not caught within {SEEDS} seeds:\n{text}");
    let named = bug.rules.iter().any(|rule| text.contains(rule));
    assert!(named, "{name}: caught, but by none of {:?}:\n{text}", bug.rules);
    eprintln!("{name}: {}", text.lines().find(|line| line.starts_with("seed ")).unwrap_or_default());
}

/// Runs the schedules in the copy, with one bug awake.
fn storm(awake: &str, seeds: &str) -> Output {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let mut command = Command::new(PROGRAM.get_or_init(build));
    command.env("TORC_PLANTED", awake).env("RUST_BACKTRACE", "0").arg(seeds);
    command.output().expect("the program was just built")
}

/// Builds the schedules from a copy with all bugs; the program's path.
fn build() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this crate lies two levels down");
    let program = std::env::current_exe().expect("this test has a path");
    let folder = program.ancestors().nth(2).expect("it lies in target/PROFILE/deps");
    let target = folder.parent().expect("it lies in target/PROFILE/deps");
    let copy = target.join("planted-consensus");
    for part in ["engine/base/src", "engine/consensus/src", "engine/consensus/tests"] {
        copy_tree(workspace, &copy, Path::new(part));
    }
    for file in ["engine/base/Cargo.toml", "engine/consensus/Cargo.toml", "Cargo.lock"] {
        copy_file(workspace, &copy, Path::new(file));
    }
    let manifest = fs::read_to_string(workspace.join("Cargo.toml")).expect("the workspace has a manifest");
    write_if_changed(&copy.join("Cargo.toml"), only_these_crates(&manifest).as_bytes());
    fs::create_dir_all(copy.join("engine/consensus/examples")).expect("a directory under target");
    write_if_changed(&copy.join("engine/consensus/examples/planted_consensus.rs"), PROGRAM.as_bytes());
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(&copy).env("CARGO_TARGET_DIR", target.join("planted-consensus/target"));
    build.args(["build", "--quiet", "--offline", "-p", "torc-consensus", "--example", "planted_consensus"]);
    build.args(["--config", "profile.dev.opt-level=1"]);
    let output = build.output().expect("cargo can be run");
    assert!(output.status.success(), "the copy cannot be built:\n{}", text(&output));
    copy.join("target/debug/examples/planted_consensus")
}

/// The workspace's manifest without the crates that the copy has not.
fn only_these_crates(manifest: &str) -> String {
    let is_absent = |line: &str| {
        let crate_folder = line.trim_start().starts_with('"') && line.trim_end().ends_with("\",");
        let kept = line.contains("\"engine/base\"") || line.contains("\"engine/consensus\"");
        (crate_folder && !kept) || line.starts_with("default-members")
    };
    manifest.lines().filter(|line| !is_absent(line)).map(|line| format!("{line}\n")).collect()
}

/// Copies what lies below `folder`; bugs are planted on the way.
fn copy_tree(from: &Path, to: &Path, folder: &Path) {
    forget_gone(&from.join(folder), &to.join(folder));
    for entry in fs::read_dir(from.join(folder)).expect("the sources can be read") {
        let entry = entry.expect("the sources can be read");
        let path = folder.join(entry.file_name());
        if entry.file_type().expect("the sources can be read").is_dir() {
            copy_tree(from, to, &path);
        } else {
            copy_file(from, to, &path);
        }
    }
}

fn copy_file(from: &Path, to: &Path, path: &Path) {
    let bytes = fs::read(from.join(path)).expect("the sources can be read");
    fs::create_dir_all(to.join(path.parent().expect("a file lies in a folder"))).expect("a directory under target");
    write_if_changed(&to.join(path), &with_bugs(path, bytes));
}

/// The file with all bugs that belong into it, or as it was.
fn with_bugs(path: &Path, bytes: Vec<u8>) -> Vec<u8> {
    let here = |bug: &&Bug| path == Path::new("engine/consensus/src").join(bug.file);
    plant(path, bytes, BUGS.iter().filter(here).map(|bug| (bug.name, bug.old, bug.new)))
}
