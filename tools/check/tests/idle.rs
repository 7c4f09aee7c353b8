//! Ten thousand idle partitions.

use torc_check::{idle, process};

#[test]
fn idle_partitions_cost_little() {
    let dir = tempfile::tempdir().unwrap();
    let plan = idle::Plan { torc: process::built(), dir: dir.path().to_path_buf(), partitions: 10_000, shards: 2 };
    idle::run(&plan).unwrap().assert_good();
}
