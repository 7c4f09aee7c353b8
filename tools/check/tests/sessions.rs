//! Short forms of what `torc-check sessions` does. Times are for the long form.

use torc_check::cluster::Kind;
use torc_check::process;
use torc_check::sessions::{self, Part, Plan};

fn check(part: Part) {
    let dir = tempfile::tempdir().unwrap();
    let (torc, dir) = (process::built(), dir.path().to_path_buf());
    let (only, faults) = (vec![part], vec![Kind::Kill, Kind::All]);
    let plan = Plan {
        torc,
        dir,
        seed: 3,
        only,
        moves: 4,
        expiring: 100,
        idle: 100,
        seconds: 3,
        znodes: 5_000,
        rounds: 2,
        faults,
    };
    let report = sessions::run(&plan).unwrap();
    report.assert_good();
    assert!(report.to_text().contains(" -\n"), "what other parts measure has no number: {}", report.to_text());
}

#[test]
fn a_session_its_ephemeral_znode_and_its_watch_survive_their_servers() {
    check(Part::Moves);
}

#[test]
fn sessions_that_are_heard_of_no_more_end_together() {
    check(Part::Expire);
}

#[test]
fn idle_sessions_are_kept() {
    check(Part::Idle);
}

#[test]
fn a_tree_is_there_after_kill_9() {
    check(Part::Tree);
}

#[test]
fn a_tree_is_written_to_while_snapshots_of_it_are_taken() {
    check(Part::Snapshot);
}

#[test]
fn counters_locks_and_queues_come_out_right_while_nodes_are_killed() {
    check(Part::Faults);
}
