//! Many partitions of a cluster that nobody uses: what they cost each node, and how soon all are led again after all nodes were
//! killed.

use super::nodes::Nodes;
use super::{Plan, RECOVERY_MAX, wait_for};
use crate::failure::{Failure, Result};
use crate::report::{Report, ms};
use std::thread;
use std::time::{Duration, Instant};

/// What to run.
#[derive(Clone, Debug)]
pub struct ManyPlan {
    /// Nodes, shards and directory are taken from it.
    pub cluster: Plan,
    pub partitions: u32,
    /// How long nothing is done.
    pub rest: Duration,
}

/// Partitions of each topic.
const TOPIC_PARTITIONS: u32 = 1000;
/// What a node may cost with `PROMISED` partitions: part of a core, and bytes.
const CPU_MAX: f64 = 0.02;
const RESIDENT_MAX: f64 = 150.0 * 1048576.0;
const LEADERS_MAX: Duration = Duration::from_secs(3);
/// The promise speaks of so many; with others, numbers are reported only.
const PROMISED: u32 = 10_000;
/// Until what follows the last topic has come to rest.
const SETTLE: Duration = Duration::from_secs(10);

/// Makes the partitions, rests, kills all nodes and waits for leaders.
pub fn run(plan: &ManyPlan) -> Result<Report> {
    let mut report = Report::new("idle cluster");
    let mut nodes = Nodes::new(&plan.cluster, &[])?;
    nodes.start_all(RECOVERY_MAX)?;
    let mut topics = Vec::new();
    let began = Instant::now();
    let mut made = 0;
    while made < plan.partitions {
        let count = TOPIC_PARTITIONS.min(plan.partitions - made);
        let topic = format!("idle-{made}");
        nodes.create(&topic, count as u16)?;
        topics.push(topic);
        made += count;
    }
    report.number("creating_ms", ms(began.elapsed()));
    thread::sleep(SETTLE.min(plan.rest));
    let graded = plan.partitions == PROMISED;
    rest(&mut nodes, plan, graded, &mut report)?;
    nodes.kill_all()?;
    let began = Instant::now();
    nodes.start_all(RECOVERY_MAX)?;
    report.number("all_ready_ms", ms(began.elapsed()));
    wait_for("leaders of all partitions", || all_led(&nodes, &topics, plan.partitions))?;
    let led = began.elapsed();
    report.number("all_led_ms", ms(led));
    if graded {
        report.demand_within("all partitions are led again after all nodes were killed", led, LEADERS_MAX);
    }
    report.demand("every partition is led again", true, format!("{} partitions", plan.partitions));
    nodes.stop_all()?;
    Ok(report)
}

/// What nodes take while nobody asks for anything.
fn rest(nodes: &mut Nodes, plan: &ManyPlan, graded: bool, report: &mut Report) -> Result<()> {
    let cpu = "process_cpu_seconds_total";
    let ids = nodes.running();
    let before = ids.iter().map(|id| nodes.metric(*id, cpu)).collect::<Result<Vec<f64>>>()?;
    let began = Instant::now();
    thread::sleep(plan.rest);
    for (id, before) in ids.into_iter().zip(before) {
        let cores = (nodes.metric(id, cpu)? - before) / began.elapsed().as_secs_f64();
        let resident = nodes.metric(id, "process_resident_memory_bytes")?;
        report.number(format!("node_{id}_cores_idle"), cores);
        report.number(format!("node_{id}_resident_mib"), resident / 1048576.0);
        if graded {
            let told = format!("{:.2} % of a core, {:.0} MiB", 100.0 * cores, resident / 1048576.0);
            report.demand(format!("node {id}: under 2 % of a core"), cores < CPU_MAX, told.clone());
            report.demand(format!("node {id}: under 150 MiB"), resident < RESIDENT_MAX, told);
        }
    }
    Ok(())
}

/// True if one node knows leaders of all.
fn all_led(nodes: &Nodes, topics: &[String], partitions: u32) -> Result<bool> {
    // Nobody may answer yet.
    let Ok(mut client) = nodes.client() else { return Ok(false) };
    let metadata = match client.metadata(Some(topics)) {
        Ok(metadata) => metadata,
        Err(error) if error.passes() => return Ok(false),
        Err(error) => return Err(Failure::Wrong(error.to_string())),
    };
    let parts = metadata.topics.iter().flat_map(|topic| &topic.partitions);
    Ok(parts.filter(|part| part.leader_id.0 >= 0).count() == partitions as usize)
}
