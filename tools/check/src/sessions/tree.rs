//! A large tree: what a znode takes in memory, and how soon all is served after `kill -9` and after an orderly stop.

use super::{Plan, alone, connect, znode};
use crate::failure::{Result, wrong};
use crate::process::Server;
use crate::report::{Report, ms};
use std::time::{Duration, Instant};
use torc_client::zookeeper::{Done, ZooKeeper};
use torc_net::zookeeper::{Change, Kind};

/// What is measured.
pub const NUMBERS: &[&str] = &[
    "znodes",
    "memory_of_a_znode_bytes",
    "creating_ms",
    "tree_served_after_kill_ms",
    "tree_served_after_stop_ms",
    "memory_after_stop_mib",
];

/// As the promise has it: names of 20 bytes in all, data of 100.
const DATA: [u8; 100] = [b'd'; 100];
/// Creations of one multi, and children of one parent.
const AT_ONCE: u32 = 1_000;
const PER_PARENT: u32 = 10_000;
const TIMEOUT: Duration = Duration::from_secs(40);
/// The promises, with so many znodes.
const PROMISED: u32 = 1_000_000;
const START_MAX: Duration = Duration::from_secs(3);
const ZNODE_BYTES_MAX: f64 = 300.0;

/// Makes the tree, kills the server, starts it, stops it, starts it.
pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let launch = alone(plan, &[]);
    let mut server = launch.start()?;
    let (empty, _) = server.memory()?;
    let began = Instant::now();
    make(&server, plan.znodes)?;
    report.number("znodes", f64::from(plan.znodes));
    report.number("creating_ms", ms(began.elapsed()));
    let (full, _) = server.memory()?;
    let each = full.saturating_sub(empty) as f64 / f64::from(plan.znodes);
    report.number("memory_of_a_znode_bytes", each);
    if plan.znodes >= PROMISED {
        let seen = format!("{each:.0} B of resident memory for each of {}", plan.znodes);
        report.demand("a znode takes under 300 B", each < ZNODE_BYTES_MAX, seen);
    }
    server.kill()?;
    let began = Instant::now();
    let mut server = launch.start()?;
    served(&server, plan.znodes)?;
    let after_kill = began.elapsed();
    report.number("tree_served_after_kill_ms", ms(after_kill));
    server.stop()?;
    let began = Instant::now();
    let mut server = launch.start()?;
    served(&server, plan.znodes)?;
    let after_stop = began.elapsed();
    report.number("tree_served_after_stop_ms", ms(after_stop));
    report.number("memory_after_stop_mib", server.memory()?.0 as f64 / 1048576.0);
    if plan.znodes >= PROMISED {
        report.demand_within(format!("{} znodes are served after kill -9", plan.znodes), after_kill, START_MAX);
        report.demand_within(format!("{} znodes are served after a stop", plan.znodes), after_stop, START_MAX);
    }
    report.demand("every znode is there after kill -9 and after a stop", true, format!("{}", plan.znodes));
    server.stop()
}

fn client(server: &Server) -> Result<ZooKeeper> {
    connect(&server.zookeeper.to_string(), TIMEOUT)
}

/// Makes so many znodes.
pub(super) fn make(server: &Server, count: u32) -> Result<()> {
    let mut client = client(server)?;
    client.create(&znode("/many", b"", Kind::Persistent))?;
    for parent in 0..count.div_ceil(PER_PARENT) {
        client.create(&znode(&parent_of(parent), b"", Kind::Persistent))?;
    }
    let mut first = 0;
    while first < count {
        let numbers = first..count.min(first + AT_ONCE);
        let paths: Vec<String> = numbers.clone().map(path).collect();
        let changes: Vec<Change<'_>> =
            paths.iter().map(|path| Change::Create(znode(path, &DATA, Kind::Persistent))).collect();
        if let Some(Done::Failed(code)) =
            client.multi(&changes)?.into_iter().find(|done| matches!(done, Done::Failed(_)))
        {
            return wrong(format!("a znode was refused with {code}"));
        }
        first = numbers.end;
    }
    Ok(client.close()?)
}

fn parent_of(number: u32) -> String {
    format!("/many/{number:04}")
}

/// Its own name has 20 bytes.
fn path(number: u32) -> String {
    format!("{}/znode-number-{:07}", parent_of(number / PER_PARENT), number)
}

/// All are there, and some hold what they should.
fn served(server: &Server, count: u32) -> Result<()> {
    let mut client = client(server)?;
    let there = client.descendants("/many")?;
    let wanted = (count + count.div_ceil(PER_PARENT)) as i32;
    if there != wanted {
        return wrong(format!("{there} znodes are there instead of {wanted}"));
    }
    for number in [0, count / 2, count - 1] {
        if client.get(&path(number))?.0 != DATA {
            return wrong(format!("{} holds something else", path(number)));
        }
    }
    Ok(client.close()?)
}
