//! Consumer groups: commits under `kill -9`, thousands of groups that only beat their hearts, a large group whose members are
//! restarted one after the other, a member that falls silent.

mod classic;
mod commits;
mod committer;
mod consumer;
mod crew;
mod many;
mod place;
mod requests;
mod rolling;
mod silent;

use crate::failure::Result;
use crate::parts;
use crate::report::Report;
use clap::ValueEnum;
use std::path::PathBuf;

/// One of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// kill -9 while 20 groups of both protocols commit.
    Commits,
    /// Thousands of groups of three members that only send heartbeats: CPU, memory, restart after kill -9.
    Many,
    /// A large group whose members are restarted one after the other.
    Rolling,
    /// A member that is heard of no more during a rebalance.
    Silent,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub torc: PathBuf,
    /// An empty directory.
    pub dir: PathBuf,
    /// `None`: 2, so that members and their coordinators are on different ones, but what the server chooses where it is about cost.
    pub shards: Option<u16>,
    pub seed: u64,
    /// Nothing else; all parts without it.
    pub only: Vec<Part>,
    /// Rounds of `kill -9`.
    pub rounds: u32,
    /// Groups of three members that only send heartbeats, and for how long.
    pub groups: u32,
    pub seconds: u64,
    /// Members of one group that are restarted one after the other.
    pub members: u32,
}

impl Plan {
    /// Shards of the parts in which it matters that there are several.
    fn several_shards(&self) -> Option<u16> {
        self.shards.or(Some(2))
    }
}

/// Runs all parts, each on a server of its own. What was not measured is in the report without a number.
pub fn run(plan: &Plan) -> Result<Report> {
    let within = |dir| Plan { dir, ..plan.clone() };
    parts::run("groups", &plan.only, &plan.dir, within, |part| match part {
        Part::Commits => (commits::run, commits::NUMBERS),
        Part::Many => (many::run, many::NUMBERS),
        Part::Rolling => (rolling::run, rolling::NUMBERS),
        Part::Silent => (silent::run, silent::NUMBERS),
    })
}
