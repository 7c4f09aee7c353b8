//! Members under random schedules (`storm`): what was committed stays committed, the same everywhere (`cluster::check`, at
//! each step), and a calm group gets work done, and is silent then.

mod cluster;
mod storm;

use std::panic::{catch_unwind, resume_unwind};

#[test]
fn committed_entries_survive_every_schedule_and_a_calm_group_commits_more() {
    for seed in 0..300 {
        if let Err(panic) = catch_unwind(|| storm::run(seed)) {
            eprintln!("seed {seed} does that");
            resume_unwind(panic);
        }
    }
}
