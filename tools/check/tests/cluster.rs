//! A few rounds of what may happen to a node.

use std::time::Duration;
use torc_check::cluster::{self, Kind, Plan};
use torc_check::process;

fn run(nodes: u32, only: Vec<Kind>) {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan {
        torc: process::built(),
        dir: dir.path().to_path_buf(),
        nodes,
        shards: 1,
        rounds: 2,
        only,
        producers: 3,
        pause: Duration::from_secs(2),
        seed: 5,
    };
    cluster::run(&plan).unwrap().assert_good();
}

#[test]
fn a_single_node_keeps_what_it_acknowledged() {
    run(1, vec![Kind::Kill, Kind::All, Kind::Pause]);
}
