//! A few rounds of what may happen to a node.

use std::time::Duration;
use torc_check::cluster::away::AwayPlan;
use torc_check::cluster::changes::{self, ChangesPlan};
use torc_check::cluster::many::ManyPlan;
use torc_check::cluster::{self, Kind, Plan};
use torc_check::machine::cannot_run;
use torc_check::process;

fn plan(dir: &std::path::Path, nodes: u32, rounds: u32, only: Vec<Kind>) -> Plan {
    Plan {
        torc: process::built(),
        dir: dir.to_path_buf(),
        nodes,
        shards: 1,
        rounds,
        only,
        producers: 3,
        pause: Duration::from_secs(2),
        seed: 5,
    }
}

fn run(nodes: u32, rounds: u32, only: Vec<Kind>) {
    let dir = tempfile::tempdir().unwrap();
    cluster::run(&plan(dir.path(), nodes, rounds, only)).unwrap().assert_good();
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
fn idle_partitions_are_led_again_when_all_nodes_were_killed() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = plan(dir.path(), 3, 0, Vec::new());
    let idle = ManyPlan { cluster, partitions: 60, rest: Duration::from_secs(1) };
    cluster::many::run(&idle).unwrap().assert_good();
}

#[test]
fn a_node_that_was_away_gets_all_that_it_missed() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = plan(dir.path(), 3, 0, Vec::new());
    let away = AwayPlan { cluster, bytes: 40 << 20, before: Duration::from_secs(1) };
    cluster::away::run(&away).unwrap().assert_good();
}

#[test]
fn changes_of_members_and_replicas_come_to_their_end_though_the_controller_dies_in_the_middle() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = plan(dir.path(), 3, 0, Vec::new());
    changes::run(&ChangesPlan { cluster, rounds: 1, bytes: 32 << 20 }).unwrap().assert_good();
}
