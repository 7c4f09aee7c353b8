//! Many partitions that nobody uses: what they cost in memory, and at a restart.

use crate::failure::Result;
use crate::process::{Launch, Server};
use crate::report::{Report, ms};
use crate::wire::Client;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub torc: PathBuf,
    /// An empty directory.
    pub dir: PathBuf,
    pub partitions: u32,
    pub shards: u16,
}

/// Partitions of each topic.
const TOPIC_PARTITIONS: u32 = 1000;
/// What 10,000 idle partitions may cost in all.
const RESIDENT_MAX: u64 = 300 << 20;
const RESTART_MAX: Duration = Duration::from_secs(3);
/// The promise speaks of so many; with more, numbers are reported only.
const PROMISED: u32 = 10_000;

/// Creates the partitions, measures, restarts both ways.
pub fn run(plan: &Plan) -> Result<Report> {
    let mut report = Report::new("idle");
    let launch = Launch::new(&plan.torc, &plan.dir).shards(Some(plan.shards));
    let mut server = launch.start()?;
    report.number("resident_empty_mib", server.memory()?.0 as f64 / 1048576.0);
    let began = Instant::now();
    let mut client = Client::connect(server.kafka)?;
    let mut made = 0;
    while made < plan.partitions {
        let count = TOPIC_PARTITIONS.min(plan.partitions - made);
        client.create_topic(&format!("idle-{made}"), count as i32, &[])?;
        made += count;
    }
    report.number("creating_ms", ms(began.elapsed()));
    drop(client);
    resident(&server, plan, "after creating", &mut report)?;
    server.kill()?;
    let server = restarted(&launch, plan, "kill -9", &mut report)?;
    stop(server, &mut report)?;
    let server = restarted(&launch, plan, "SIGTERM", &mut report)?;
    let groups = server.metric("torc_groups")?;
    let all = groups >= f64::from(plan.partitions);
    report.demand("all partitions are there after the restarts", all, format!("{groups} groups"));
    let last = format!("idle-{}", (plan.partitions - 1) / TOPIC_PARTITIONS * TOPIC_PARTITIONS);
    let end = Client::connect(server.kafka)?.offset(&last, 0, -1)?;
    report.demand("the last topic is served", end == 0, format!("{last} ends at {end}"));
    stop(server, &mut report)?;
    Ok(report)
}

fn stop(mut server: Server, report: &mut Report) -> Result<()> {
    let began = Instant::now();
    server.stop()?;
    report.number("stopping_ms", ms(began.elapsed()));
    Ok(())
}

fn restarted(launch: &Launch, plan: &Plan, how: &str, report: &mut Report) -> Result<Server> {
    let server = launch.start()?;
    report.number(format!("restart_after_{how}_ms"), ms(server.ready));
    if plan.partitions <= PROMISED {
        report.demand_within(format!("restart after {how}"), server.ready, RESTART_MAX);
    }
    resident(&server, plan, &format!("after {how}"), report)?;
    Ok(server)
}

fn resident(server: &Server, plan: &Plan, when: &str, report: &mut Report) -> Result<()> {
    let (now, highest) = server.memory()?;
    report.number(format!("resident_{when}_mib"), now as f64 / 1048576.0);
    report.number(format!("resident_highest_{when}_mib"), highest as f64 / 1048576.0);
    if plan.partitions <= PROMISED {
        let what = format!("under {} MiB resident {when}", RESIDENT_MAX >> 20);
        report.demand(what, now < RESIDENT_MAX, format!("{} MiB", now >> 20));
    }
    Ok(())
}
