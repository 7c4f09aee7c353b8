//! A few rounds of what may happen to a node.

use std::time::Duration;
use torc_check::cluster::{self, Kind, Plan};
use torc_check::machine::cannot_run;
use torc_check::process;
use torc_check::volatile::VolatileDisk;

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

/// Tests of what needs root say so where they are run without.
fn is_root(test: &str) -> bool {
    let is_root = rustix::process::getuid().is_root();
    if !is_root {
        cannot_run(test, "it takes root");
    }
    is_root
}

#[test]
fn links_that_are_cut_in_one_direction_or_both_lose_nothing() {
    if is_root("links_that_are_cut_in_one_direction_or_both_lose_nothing") {
        run(3, 2, vec![Kind::Cut, Kind::OneWay]);
    }
}

#[test]
fn a_power_cut_of_all_nodes_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    match VolatileDisk::new(&dir.path().join("disk"), 1 << 20) {
        Ok(disk) => drop(disk),
        Err(why) => return cannot_run("a_power_cut_of_all_nodes_loses_nothing_that_was_acknowledged", why),
    }
    run(3, 3, vec![Kind::Power]);
}
