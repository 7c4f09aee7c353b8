//! Clusters of production shards under a few seeds; `torc sim --cluster` runs thousands.

use torc_sim::command::STEPS;
use torc_sim::node;
use torc_sim::run::Report;
use torc_sim::trail::Trail;

/// Short ones: some of the others do twenty times as much, which takes minutes without optimization.
const SEEDS: [u64; 8] = [21, 23, 40, 45, 46, 48, 54, 58];

fn run(seed: u64) -> Report {
    let outcome = node::run_cluster(seed, STEPS, &Trail::default());
    outcome.unwrap_or_else(|f| panic!("seed {seed}: {}\n{}", f.violation, f.trail))
}

#[test]
fn short_seeds_are_clean() {
    let reports: Vec<Report> = SEEDS.into_iter().map(run).collect();
    assert!(reports.iter().map(|r| r.acked).sum::<u64>() > 3_000, "hardly anything was acknowledged: {reports:?}");
    assert!(reports.iter().map(|r| r.fetched).sum::<u64>() > 10_000, "hardly anything was read: {reports:?}");
    assert!(reports.iter().map(|r| u64::from(r.lives)).sum::<u64>() > 60, "hardly a node was restarted: {reports:?}");
    assert!(reports.iter().map(|r| r.commits).sum::<u64>() > 300, "hardly an offset was committed: {reports:?}");
    assert!(reports.iter().map(|r| r.deleted).sum::<u64>() > 5, "hardly a topic was deleted: {reports:?}");
    assert!(
        reports.iter().map(|r| r.compacted).sum::<u64>() > 1_000,
        "hardly a record was compacted away: {reports:?}"
    );
    assert!(reports.iter().map(|r| r.znodes.written).sum::<u64>() > 500, "hardly a znode was changed: {reports:?}");
    assert!(reports.iter().map(|r| r.znodes.events).sum::<u64>() > 500, "hardly an event was told: {reports:?}");
    assert!(reports.iter().map(|r| r.znodes.held).sum::<u64>() > 10, "hardly a lock was held: {reports:?}");
    let struck = |of: fn(&Report) -> u64| reports.iter().filter(|report| of(report) > 0).count();
    assert!(struck(|r| r.losses.rot) > 2, "hardly anything rotted: {reports:?}");
    assert!(struck(|r| r.losses.disks) > 0, "no disk was replaced: {reports:?}");
    assert!(struck(|r| r.losses.room) > 1, "hardly a disk was full: {reports:?}");
}

#[test]
fn one_seed_is_one_run() {
    for seed in [45, 54] {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}
