//! Plants known bugs into a copy of the sources, and expects the simulator to find each within 500 seeds: in the log,
//! the groups, what they remember of producers, connections, memory, the coordinators of consumer groups, compaction,
//! what the members of a replicated group promise each other, and what ZooKeeper's clients are told.
//!
//! Nothing in production code knows of this. The copy holds all bugs at once, each asleep until the environment wakes it,
//! so that one build serves them all. It lies in `planted` of the target directory, and is written only where it differs:
//! a second run builds nothing. With TORC_TEST_SEEDS_IN_ORDER=1 all seeds are tried from the first one on, which takes half an hour.

#[path = "../../../engine/consensus/tests/planting/mod.rs"]
mod planting;

use planting::{forget_gone, plant, text, write_if_changed};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Seeds that a bug may take.
const SEEDS: &str = "1..500";
/// Seeds that nothing is found in while all bugs are asleep.
const SEEDS_ASLEEP: &str = "1..20";

/// The simulator's command, as a program of the copy alone.
const PROGRAM: &str = "use clap::Parser;
fn main() -> std::process::ExitCode {
    torc_sim::command::run(&torc_sim::command::Args::parse())
}
";

/// A bug: in `file`, the first text of each edit (found exactly once) becomes the second. There, `AWAKE` stands for the
/// question whether the bug is awake; if it is not, the second does what the first did. The simulator names one of `rules`.
struct Bug {
    name: &'static str,
    file: &'static str,
    edits: &'static [(&'static str, &'static str)],
    rules: &'static [&'static str],
    /// It shows in runs of clusters.
    cluster: bool,
    /// The first seed that found it when that was last looked for. It is tried first, and all others if it does not find it any more.
    /// 0: all are tried.
    found: u64,
}

/// All bugs, each with the test that wakes it.
macro_rules! bugs {
    ($($(#[$doc:meta])* $test:ident: $bug:expr;)*) => {
        const BUGS: &[Bug] = &[$($bug),*];
        $($(#[$doc])* #[test] fn $test() { is_caught(&$bug); })*
    };
}

bugs! {
    an_ack_before_the_flush_is_caught: Bug {
        name: "ack-before-flush",
        file: "wal/src/wal.rs",
        edits: &[(
            "                runs: cut.runs,\n                durable: true,",
            "                runs: cut.runs,\n                durable: !AWAKE,",
        )],
        // `Starts`: the log itself may notice that a batch is missing of which a later one, or a checkpoint, says that it
        // was durable. `ExpectedErrors`: in a sealed segment, which is not read at the start, a reader notices it.
        rules: &["AckedIsKept", "MarksAdvance", "SeenIsFinal", "UniqueProducerId", "Starts", "ExpectedErrors"],
        cluster: false,
        found: 0,
    };
    a_batch_checksum_that_is_not_verified_is_caught: Bug {
        name: "batch-checksum-not-verified",
        file: "wal/src/batch.rs",
        edits: &[(
            "        crc32c(prefix) == self.prefix_crc && crc32c(body) == self.body_crc",
            "        AWAKE || crc32c(prefix) == self.prefix_crc && crc32c(body) == self.body_crc",
        )],
        rules: &["BytesAreTrue", "Starts", "SeenIsFinal"],
        cluster: false,
        found: 0,
    };
    a_tail_cut_one_batch_too_far_is_caught: Bug {
        name: "tail-cut-too-far",
        file: "wal/src/recovery.rs",
        edits: &[(
            "            return Err(format!(\"batch {next} there does not follow from the batch before\"));
        }
",
            "            return Err(format!(\"batch {next} there does not follow from the batch before\"));
        }
        let behind = bytes.get(header.total as usize..).and_then(batch::Header::decode);
        if AWAKE && behind.is_none_or(|(h, _)| h.seq != next.next()) && bytes.len() > header.total as usize {
            return Err(\"planted\".to_string());
        }
",
        )],
        // `ExpectedErrors`: the first to notice may be an idempotent producer, whose next batch is refused as out of order.
        // `Starts`: what is cut may be what a checkpoint goes by.
        rules: &["Starts", "AckedIsKept", "MarksAdvance", "SeenIsFinal", "UniqueProducerId", "ExpectedErrors"],
        cluster: false,
        found: 0,
    };
    a_cold_segment_that_is_published_before_its_flush_is_caught: Bug {
        name: "published-before-flush",
        file: "wal/src/cleaner.rs",
        edits: &[(
            "                self.ask(DiskKind::Sync { file }, parts);",
            "                self.ask(if AWAKE { DiskKind::Free } else { DiskKind::Sync { file } }, parts);",
        )],
        rules: &["AckedIsKept", "SeenIsFinal", "ExpectedErrors", "Starts", "Liveness"],
        cluster: false,
        found: 0,
    };
    an_answer_before_its_commit_is_caught: Bug {
        name: "answer-before-commit",
        file: "engine/shard/src/groups/append.rs",
        edits: &[(
            "            Acks::All if in_sync == 1 => group.on_commit.push_back(waiter),",
            "            Acks::All if AWAKE => out.answers.push_back((
                asker,
                Answer::Produced(vec![(
                    position,
                    Ok(Produced { base, append_time, log_start: Offset(-1), times: None }),
                )]),
            )),
            Acks::All if in_sync == 1 => group.on_commit.push_back(waiter),",
        )],
        rules: &["AckedIsKept", "MarksAdvance", "SeenIsFinal", "ExpectedErrors"],
        cluster: false,
        found: 0,
    };
    a_high_watermark_that_moves_at_the_append_is_caught: Bug {
        name: "high-watermark-at-append",
        file: "engine/state/src/partition.rs",
        edits: &[(
            "    pub fn high_watermark(&self) -> Offset {\n        self.high_watermark\n",
            "    pub fn high_watermark(&self) -> Offset {\n        if AWAKE { self.end() } else { self.high_watermark }\n",
        )],
        rules: &["MarksAdvance", "SeenIsFinal", "AckedIsKept", "BehindHighWatermark", "NoPanic"],
        cluster: false,
        found: 136,
    };
    a_producer_that_is_forgotten_at_a_restart_is_caught: Bug {
        name: "producer-forgotten",
        file: "engine/shard/src/meaning/partition.rs",
        edits: &[(
            "                self.state.append(index, end, &incoming, bytes);",
            "                let producer = incoming.producer.filter(|_| !AWAKE);
                self.state.append(index, end, &Incoming { producer, ..incoming }, bytes);",
        )],
        rules: &["Once", "InOrder", "ExpectedErrors", "SeenIsFinal"],
        cluster: false,
        found: 0,
    };
    answers_in_the_wrong_order_are_caught: Bug {
        name: "answers-swapped",
        file: "engine/shard/src/outbox.rs",
        edits: &[(
            "        while let Some(Slot::Ready(..)) = self.slots.front()
",
            "        if AWAKE && let [Slot::Ready(..), Slot::Ready(..), ..] = self.slots.make_contiguous() {
            self.slots.swap(0, 1);
        }
        while let Some(Slot::Ready(..)) = self.slots.front()
",
        )],
        rules: &["Protocol"],
        cluster: false,
        found: 0,
    };
    memory_that_is_not_given_back_at_a_close_is_caught: Bug {
        name: "memory-not-given-back",
        file: "engine/shard/src/conns.rs",
        edits: &[(
            "        self.turns.give(c.reserved + c.outbox.waiting_bytes() - kept);
",
            "        self.turns.give(if AWAKE { 0 } else { c.reserved } + c.outbox.waiting_bytes() - kept);
",
        )],
        rules: &["Memory"],
        cluster: false,
        found: 0,
    };
    memory_that_is_held_while_more_is_waited_for_is_caught: Bug {
        name: "memory-held-while-waiting",
        file: "engine/shard/src/memory.rs",
        edits: &[
            ("    need: usize,\n    quick: bool,\n}", "    need: usize,\n    quick: bool,\n    held: usize,\n}"),
            (
                "        self.waiting.insert(conn, Waiting { since: now, order, need, quick });",
                "        let held = if AWAKE { need.min(self.budget.free()) } else { 0 };
        self.budget.take(held);
        self.waiting.insert(conn, Waiting { since: now, order, need, quick, held });",
            ),
            (
                "        let need = self.waiting.remove(&conn).expect(\"it waits\").need;",
                "        let Waiting { need, held, .. } = self.waiting.remove(&conn).expect(\"it waits\");
        self.budget.give(held);",
            ),
            (
                "            self.queues[class(waiting.need)].remove(&(waiting.order, conn));",
                "            self.queues[class(waiting.need)].remove(&(waiting.order, conn));
            self.budget.give(waiting.held);",
            ),
        ],
        rules: &["Memory"],
        cluster: false,
        found: 0,
    };
    a_coordinators_answer_before_its_commit_is_caught: Bug {
        name: "coordinator-answers-before-commit",
        file: "engine/shard/src/groups/inside.rs",
        edits: &[(
            "            Ok((base, index)) => {\n                let group",
            "            Ok((base, _)) if AWAKE => {
                out.answers.extend(answers.into_iter().map(|answer| (answer.asker, answer.answer)));
                Ok(base)
            }
            Ok((base, index)) => {\n                let group",
        )],
        rules: &["CommitIsKept", "GenerationsAdvance", "OldIsRefused", "OneOwner", "BytesAreTrue"],
        cluster: false,
        found: 0,
    };
    a_commit_of_an_old_generation_that_is_taken_is_caught: Bug {
        name: "old-generation-commits",
        file: "engine/state/src/coordinator/classic/mod.rs",
        edits: &[(
            "        self.check_member(member, instance)?;
        if generation != self.generation {
            return Err(Refusal::IllegalGeneration);
        }
        // Partitions",
            "        self.check_member(member, instance)?;
        if generation != self.generation && !AWAKE {
            return Err(Refusal::IllegalGeneration);
        }
        // Partitions",
        )],
        rules: &["OldIsRefused"],
        cluster: false,
        found: 0,
    };
    a_generation_that_nobody_writes_down_is_caught: Bug {
        name: "generation-not-recorded",
        file: "engine/state/src/coordinator/classic/rebalance.rs",
        edits: &[(
            "        self.enter(State::Completing, step);
        self.record(step);",
            "        self.enter(State::Completing, step);
        if !AWAKE {
            self.record(step);
        }",
        )],
        rules: &["LogIsState", "GenerationsAdvance", "OneOwner", "OldIsRefused", "BytesAreTrue"],
        cluster: false,
        found: 0,
    };
    a_newest_record_that_is_compacted_away_across_a_segments_border_is_caught: Bug {
        name: "newest-of-two-segments-dropped",
        file: "engine/shard/src/groups/compaction.rs",
        // Of a key that an earlier segment has, the earlier record is taken for the last one.
        edits: &[
            (
                "    /// There was no room for more keys.\n    full: bool,\n",
                "    /// There was no room for more keys.\n    full: bool,\n    borders: Vec<i64>,\n",
            ),
            (
                "                full: false,\n            }));",
                "                full: false,
                borders: runs.iter().map(|run| run.first_offset.get()).collect(),
            }));",
            ),
            (
                "            let (keys, mut full) = (&mut self.keys, false);",
                "            let (keys, mut full) = (&mut self.keys, false);
            let border = |last: i64, at: i64| self.borders.iter().any(|border| last < *border && *border <= at);",
            ),
            (
                "                full |= record.key.is_some_and(|key| !keys.note(key, Offset(record.offset)));",
                "                let older = record.key.and_then(|key| keys.last(key));
                if AWAKE && older.is_some_and(|last| border(last.get(), record.offset)) {
                    return false;
                }
                full |= record.key.is_some_and(|key| !keys.note(key, Offset(record.offset)));",
            ),
            (
                "    keys.last(key).is_none_or(|last| last.get() <= record.offset)",
                "    keys.last(key).is_none_or(|last| last.get() == record.offset || !AWAKE && last.get() < record.offset)",
            ),
        ],
        // `LogIsState`: coordinators' logs are compacted, too.
        rules: &["LastIsKept", "LogIsState"],
        cluster: false,
        found: 0,
    };
    a_tombstone_that_goes_before_what_it_deletes_is_caught: Bug {
        name: "tombstone-gone-too-soon",
        file: "engine/shard/src/groups/compaction.rs",
        edits: &[(
            "        let horizon = self.now.0.saturating_add(self.rules.delete_retention_ms);",
            "        let horizon = self.now.0.saturating_add(if AWAKE { 0 } else { self.rules.delete_retention_ms });",
        )],
        rules: &["LastIsKept"],
        cluster: false,
        found: 0,
    };
    a_follower_that_acknowledges_before_the_flush_is_caught: Bug {
        name: "follower-acks-early",
        file: "engine/consensus/src/replication.rs",
        edits: &[(
            "        out.send_when_durable.push((from, self.message(body)));\n    }\n\n    pub(crate) fn receive_commit",
            "        let sends = if AWAKE { &mut out.send_now } else { &mut out.send_when_durable };\n        \
             sends.push((from, self.message(body)));\n    }\n\n    pub(crate) fn receive_commit",
        )],
        rules: CLUSTER_RULES,
        cluster: true,
        found: 0,
    };
    a_log_match_that_is_not_checked_is_caught: Bug {
        name: "log-match-skipped",
        file: "engine/consensus/src/replication.rs",
        edits: &[(
            "        if self.log.term_at(prev.index) != Some(prev.term) {",
            "        if self.log.term_at(prev.index) != Some(prev.term) && !(AWAKE && prev.index <= self.log.last()) {",
        )],
        rules: CLUSTER_RULES,
        cluster: true,
        found: 7,
    };
    a_watch_that_is_set_after_the_read_that_it_guards_is_caught: Bug {
        name: "watch-after-read",
        file: "engine/shard/src/znodes/reads.rs",
        edits: &[
            (
                "        let Znodes { clients, watches, kafka, .. } = self;",
                "        let Znodes { clients, watches, kafka, late, .. } = self;",
            ),
            (
                "            if wanted { watches.add(conn, path, watch).map_err(code) } else { Ok(()) }",
                "            if wanted && AWAKE {
                late.push((conn, path.to_owned(), watch));
                return Ok(());
            }
            if wanted { watches.add(conn, path, watch).map_err(code) } else { Ok(()) }",
            ),
        ],
        rules: ZNODE_RULES,
        cluster: true,
        found: 21,
    };
    a_read_that_is_served_before_what_the_session_has_seen_is_caught: Bug {
        name: "read-before-last-zxid",
        file: "engine/shard/src/znodes/connect.rs",
        edits: &[(
            "        if Zxid(connect.last_zxid) > seen {",
            "        if Zxid(connect.last_zxid) > seen && !AWAKE {",
        )],
        rules: ZNODE_RULES,
        cluster: true,
        found: 4,
    };
    a_session_that_a_deposed_leader_ends_is_caught: Bug {
        name: "deposed-leader-ends-sessions",
        file: "engine/shard/src/znodes/connect.rs",
        // It goes by what it knows of sessions, and does not wait until others agree.
        edits: &[(
            "            Lead::Here => match self.confirm_gone(around, session) {",
            "            Lead::Here if AWAKE => gone(TreeError::SessionExpired, Index(0)),
            Lead::Here => match self.confirm_gone(around, session) {",
        )],
        rules: ZNODE_RULES,
        cluster: true,
        found: 4,
    };
    a_second_vote_in_a_term_is_caught: Bug {
        name: "vote-twice",
        file: "engine/consensus/src/election.rs",
        edits: &[("            Some(vote) => vote == from,", "            Some(vote) => AWAKE || vote == from,")],
        rules: CLUSTER_RULES,
        cluster: true,
        found: 6,
    };
    an_entry_of_an_older_term_that_is_committed_by_count_is_caught: Bug {
        name: "older-term-by-count",
        file: "engine/consensus/src/replication.rs",
        edits: &[(
            "&& self.log.term_at(reached) == Some(self.term())",
            "&& (AWAKE || self.log.term_at(reached) == Some(self.term()))",
        )],
        rules: CLUSTER_RULES,
        cluster: true,
        found: 1,
    };
    a_leader_that_counts_itself_before_it_is_durable_is_caught: Bug {
        name: "leader-counts-early",
        file: "engine/consensus/src/replication.rs",
        edits: &[(
            "        let durable = self.durable;\n        let own = Reach",
            "        let durable = if AWAKE { self.log.last() } else { self.durable };\n        let own = Reach",
        )],
        rules: CLUSTER_RULES,
        cluster: true,
        found: 43,
    };
    a_change_of_voters_without_a_joint_configuration_is_caught: Bug {
        name: "not-joint",
        file: "engine/consensus/src/membership.rs",
        edits: &[(
            "        self.append_configuration(next, out);\n        Ok(())",
            "        self.append_configuration(if AWAKE { next.settled() } else { next }, out);\n        Ok(())",
        )],
        rules: CLUSTER_RULES,
        cluster: true,
        found: 35,
    };
    a_vote_of_a_removed_node_that_counts_is_caught: Bug {
        name: "removed-votes",
        file: "engine/consensus/src/quorum.rs",
        edits: &[(
            "    let after = ballots.filter(|(seat, _)| seat.votes_after()).map(|(_, ballot)| ballot);",
            "    let counts = |seat: Seat| if AWAKE { seat.votes_before() } else { seat.votes_after() };
    let after = ballots.filter(move |(seat, _)| counts(*seat)).map(|(_, ballot)| ballot);",
        )],
        rules: CLUSTER_RULES,
        cluster: true,
        found: 13,
    };
    a_copy_on_a_removed_node_that_counts_is_caught: Bug {
        name: "removed-copies",
        file: "engine/consensus/src/quorum.rs",
        edits: &[(
            "    let after = marks.filter(|(seat, _)| seat.votes_after()).map(|(_, reach)| reach);",
            "    let counts = |seat: Seat| if AWAKE { seat.votes_before() } else { seat.votes_after() };
    let after = marks.filter(move |(seat, _)| counts(*seat)).map(|(_, reach)| reach);",
        )],
        rules: CLUSTER_RULES,
        cluster: true,
        found: 13,
    };
    a_learner_that_votes_before_it_has_the_log_is_caught: Bug {
        name: "learner-too-early",
        file: "engine/consensus/src/membership.rs",
        edits: &[(
            "        peer.flow == Flow::Stream\n            && !peer.suspected",
            "        AWAKE || peer.flow == Flow::Stream\n            && !peer.suspected",
        )],
        rules: CLUSTER_RULES,
        cluster: true,
        found: 4,
    };
    a_disk_that_was_stopped_early_and_is_taken_for_one_that_forgot_is_caught: Bug {
        name: "young-is-forgetful",
        file: "engine/shard/src/groups/mod.rs",
        edits: &[(
            "self.since.is_none_or(|since| id < since)",
            "AWAKE || self.since.is_none_or(|since| id < since)",
        )],
        rules: CLUSTER_RULES,
        cluster: true,
        found: 475,
    };
    a_leader_that_serves_too_early_is_caught: Bug {
        name: "serves-early",
        file: "engine/shard/src/groups/propose.rs",
        edits: &[(
            "        if let Some(role) = output.role.take()\n",
            "        let leads = output.role == Some(Role::Leader);
        if AWAKE && leads && !self.groups[&id].serving {
            self.begin_serving(out, id);
        }
        if let Some(role) = output.role.take()\n",
        )],
        rules: CLUSTER_RULES,
        cluster: true,
        found: 9,
    };
    a_disk_with_amnesia_that_votes_is_caught: Bug {
        name: "amnesia",
        file: "engine/consensus/src/doubt.rs",
        edits: &[("        self.incarnation() == 0\n", "        AWAKE || self.incarnation() == 0\n")],
        rules: CLUSTER_RULES,
        cluster: true,
        found: 29,
    };
    a_vote_before_it_is_durable_is_caught: Bug {
        name: "vote-before-durable",
        file: "engine/consensus/src/election.rs",
        edits: &[(
            "        out.send_when_durable.push((from, self.message(Body::VoteReply { granted: true })));",
            "        let sends = if AWAKE { &mut out.send_now } else { &mut out.send_when_durable };
        sends.push((from, self.message(Body::VoteReply { granted: true })));",
        )],
        rules: CLUSTER_RULES,
        cluster: true,
        found: 7,
    };
}

/// Edits of bugs in files other than their own: the bug's name, the file, and what becomes what.
const ELSEWHERE: &[(&str, &str, &str, &str)] = &[
    (
        "watch-after-read",
        "engine/shard/src/znodes/mod.rs",
        "    /// The log takes nothing more.
    is_fenced: bool,
}",
        "    /// The log takes nothing more.
    is_fenced: bool,
    late: Vec<(ConnId, String, torc_state::tree::watches::Watch)>,
}",
    ),
    (
        "watch-after-read",
        "engine/shard/src/znodes/mod.rs",
        "            is_fenced: false,
",
        "            is_fenced: false,
            late: Vec::new(),
",
    ),
    (
        "watch-after-read",
        "engine/shard/src/znodes/mod.rs",
        "        self.turn_abroad(around, lead);",
        "        for (conn, path, watch) in std::mem::take(&mut self.late) {
            let _ = self.watches.add(conn, &path, watch);
        }
        self.turn_abroad(around, lead);",
    ),
];

/// What breaks for ZooKeeper's clients.
const ZNODE_RULES: &[&str] = &["OneOrder", "SessionOrder", "SessionLife", "Watches"];

/// What breaks when members of a group do not keep their promises (more of those are planted where only consensus runs,
/// in `engine/consensus/tests/planted.rs`); `NoPanic`: they check each other.
const CLUSTER_RULES: &[&str] = &[
    "AckedIsKept",
    "SeenIsFinal",
    "Once",
    "InOrder",
    "NoGap",
    "MarksAdvance",
    "BytesAreTrue",
    "ExpectedErrors",
    "NoPanic",
    "Starts",
    "OneLeader",
    "CommittedAgrees",
    "LeaderHasAll",
    "LearnersFirst",
    "OwnTerm",
    "Liveness",
];

/// Without this, what a bug's test finds might be a fault of the copy.
#[test]
fn nothing_is_found_while_all_bugs_are_asleep() {
    for cluster in [false, true] {
        let output = simulate("none", SEEDS_ASLEEP, cluster);
        assert_eq!(output.status.code(), Some(0), "seeds {SEEDS_ASLEEP}:\n{}", text(&output));
    }
}

fn is_caught(bug: &Bug) {
    let in_order = env::var_os("TORC_TEST_SEEDS_IN_ORDER").is_some();
    let known = (bug.found > 0 && !in_order).then(|| simulate(bug.name, &format!("{0}..{0}", bug.found), bug.cluster));
    let known = known.filter(|output| output.status.code() == Some(1));
    let output = known.unwrap_or_else(|| simulate(bug.name, SEEDS, bug.cluster));
    let (name, text) = (bug.name, text(&output));
    assert_eq!(output.status.code(), Some(1), "{name}: not caught within seeds {SEEDS}:\n{text}");
    let named = bug.rules.iter().any(|rule| text.contains(&format!("\"rule\":\"{rule}\"")));
    assert!(named, "{name}: caught, but by none of {:?}:\n{text}", bug.rules);
    let short: String =
        text.lines().find(|line| line.contains("\"rule\"")).unwrap_or_default().chars().take(400).collect();
    eprintln!("{name}: {short}");
}

/// Runs the simulator of the copy, with one bug awake.
fn simulate(awake: &str, seeds: &str, cluster: bool) -> Output {
    static SIMULATOR: OnceLock<PathBuf> = OnceLock::new();
    let mut command = Command::new(SIMULATOR.get_or_init(build));
    command.env("TORC_PLANTED", awake).args(["--seeds", seeds, "--format", "json"]);
    command.args(cluster.then_some("--cluster"));
    command.output().expect("the simulator was just built")
}

/// Builds the simulator from a copy with all bugs; its path. What others wrote is taken as it was built for the tests.
fn build() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tools/sim lies two levels down");
    let program = env::current_exe().expect("this test has a path");
    let folder = program.ancestors().nth(2).expect("it lies in target/PROFILE/deps");
    let target = folder.parent().expect("it lies in target/PROFILE/deps");
    let profile = match folder.file_name().and_then(|name| name.to_str()).expect("profiles have plain names") {
        "debug" => "dev",
        named => named,
    };
    let copy = target.join("planted");
    copy_tree(workspace, &copy, Path::new(""));
    fs::create_dir_all(copy.join("tools/sim/examples")).expect("a directory under target");
    write_if_changed(&copy.join("tools/sim/examples/planted.rs"), PROGRAM.as_bytes());
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(&copy).env("CARGO_TARGET_DIR", target);
    build.args(["build", "--quiet", "--offline", "--locked", "--workspace", "--example", "planted"]);
    build.args(["--profile", profile]);
    // In flags of their own, what is built of the copy has names of its own: else it would take the place of what was built
    // of the workspace.
    if profile == "dev" {
        build.args(["--config", "profile.dev.opt-level=1", "--config", "profile.dev.package.\"*\".opt-level=0"]);
    } else {
        build.args(["--config", &format!("profile.{profile}.debug=false")]);
    }
    let output = build.output().expect("cargo can be run");
    assert!(output.status.success(), "the copy cannot be built:\n{}", text(&output));
    folder.join("examples/planted")
}

/// Copies the sources below `folder`, without what was built and what is hidden; bugs are planted on the way.
fn copy_tree(from: &Path, to: &Path, folder: &Path) {
    fs::create_dir_all(to.join(folder)).expect("a directory under target");
    forget_gone(&from.join(folder), &to.join(folder));
    for entry in fs::read_dir(from.join(folder)).expect("the workspace can be read") {
        let entry = entry.expect("the workspace can be read");
        let (name, kind) = (entry.file_name(), entry.file_type().expect("the workspace can be read"));
        let path = folder.join(&name);
        if name == "target" || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if kind.is_dir() {
            copy_tree(from, to, &path);
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).expect("the workspace can be read");
            write_if_changed(&to.join(&path), &with_bugs(&path, bytes));
        }
    }
}

/// The file with all bugs that belong into it, or as it was.
fn with_bugs(path: &Path, bytes: Vec<u8>) -> Vec<u8> {
    let bugs = BUGS.iter().filter(|bug| path == Path::new(bug.file));
    let edits = bugs.flat_map(|bug| bug.edits.iter().map(|(old, new)| (bug.name, *old, *new)));
    let elsewhere = ELSEWHERE.iter().filter(|(_, file, ..)| path == Path::new(file));
    plant(path, bytes, edits.chain(elsewhere.map(|(name, _, old, new)| (*name, *old, *new))))
}
