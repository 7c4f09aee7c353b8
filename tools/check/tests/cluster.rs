//! A few rounds of what may happen to a node.

use std::time::Duration;
use torc_check::cluster::{self, Kind, Plan};
use torc_check::process;

fn run(nodes: u32, rounds: u32, only: Vec<Kind>) {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan {
        torc: process::built(),
        dir: dir.path().to_path_buf(),
        nodes,
        shards: 1,
        rounds,
        only,
        producers: 3,
        pause: Duration::from_secs(2),
        seed: 5,
    };
    cluster::run(&plan).unwrap().assert_good();
}

#[test]
fn a_single_node_keeps_what_it_acknowledged() {
    run(1, 2, vec![Kind::Kill, Kind::All, Kind::Pause]);
}

#[test]
fn three_nodes_keep_what_they_acknowledged_whatever_happens_to_one_or_all_of_them() {
    run(3, 1, Vec::new());
}

#[test]
fn all_disks_may_be_replaced_one_after_the_other() {
    run(3, 3, vec![Kind::Wipe]);
}
