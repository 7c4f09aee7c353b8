//! Production shards under a few seeds; `torc sim` runs thousands.

use torc_sim::command::STEPS;
use torc_sim::node;
use torc_sim::run::Report;
use torc_sim::trail::Trail;

fn run(seed: u64) -> Report {
    let outcome = node::run(seed, STEPS, &Trail::default());
    outcome.unwrap_or_else(|f| panic!("seed {seed}: {}\n{}", f.violation, f.trail))
}

#[test]
fn the_first_seeds_are_clean() {
    let reports: Vec<Report> = (1..=12).map(run).collect();
    assert!(reports.iter().map(|r| r.acked).sum::<u64>() > 1_000, "hardly anything was acknowledged: {reports:?}");
    assert!(reports.iter().map(|r| r.fetched).sum::<u64>() > 1_000, "hardly anything was read: {reports:?}");
    assert!(reports.iter().map(|r| r.moves).sum::<u64>() > 5, "hardly a connection moved: {reports:?}");
    assert!(reports.iter().map(|r| r.commits).sum::<u64>() > 100, "hardly an offset was committed: {reports:?}");
    assert!(reports.iter().map(|r| r.generations).sum::<u64>() > 30, "hardly a rebalance: {reports:?}");
    assert!(reports.iter().map(|r| r.compared).sum::<u64>() > 300, "hardly a look at coordinators: {reports:?}");
    let compacting = reports.iter().filter(|r| r.compacted > 20).count();
    assert!(compacting > 4, "hardly anything was compacted away: {reports:?}");
    assert!(reports.iter().map(|r| r.znodes.written).sum::<u64>() > 300, "hardly a znode was changed: {reports:?}");
    assert!(reports.iter().map(|r| r.znodes.events).sum::<u64>() > 300, "hardly an event was told: {reports:?}");
    assert!(reports.iter().all(|r| r.lives > 1), "a server without a crash: {reports:?}");
}

#[test]
fn one_seed_is_one_run() {
    for seed in [1, 3, 20] {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}
