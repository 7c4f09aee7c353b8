//! A few rounds of `kill -9`.

use torc_check::{kill, process};

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let plan = kill::Plan { torc: process::built(), dir: dir.path().to_path_buf(), rounds: 6, shards: 2, seed: 3 };
    kill::run(&plan).unwrap().assert_good();
}
