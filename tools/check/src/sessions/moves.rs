//! The node that a client is on is killed, again and again: its session goes on elsewhere, with its ephemeral znode and its
//! watches.

use super::{Plan, connect, znode};
use crate::cluster::{Nodes, RECOVERY_MAX, resting};
use crate::failure::{Result, wrong};
use crate::report::{Report, ms};
use std::thread;
use std::time::{Duration, Instant};
use torc_base::prng::Prng;
use torc_client::zookeeper::{Happening, ZooKeeper, ZooKeeperError};
use torc_net::zookeeper::{AddMode, EventKind, Kind};

/// What is measured.
pub const NUMBERS: &[&str] = &["moves", "move_p50_ms", "move_max_ms"];

const TIMEOUT: Duration = Duration::from_secs(20);
/// Within this an event must come.
const EVENT_MAX: Duration = Duration::from_secs(20);
/// The promises of clusters hold for sessions, too.
const GAP_MAX: Duration = Duration::from_secs(2);
const GAP_MEDIAN_MAX: Duration = Duration::from_millis(700);
const GRADED: u32 = 10;

/// Kills and starts the node, round by round.
pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let mut nodes = Nodes::new(&resting(plan.torc.clone(), plan.dir.clone(), 3, 1), &[])?;
    let servers = nodes.serve_zookeeper()?;
    nodes.start_all(RECOVERY_MAX)?;
    let outcome = rounds(plan, &mut nodes, &servers);
    let mut gaps = match outcome {
        Ok(gaps) => gaps,
        Err(failure) => return wrong(format!("{failure}\n{}", nodes.logs())),
    };
    gaps.sort();
    let (median, most) = (gaps[(gaps.len() - 1) / 2], gaps[gaps.len() - 1]);
    report.number("moves", f64::from(plan.moves));
    report.number("move_p50_ms", ms(median));
    report.number("move_max_ms", ms(most));
    if plan.moves >= GRADED {
        report.demand_within("the longest time until a client is served elsewhere", most, GAP_MAX);
        report.demand_within("the median of these times", median, GAP_MEDIAN_MAX);
    }
    let seen = format!("{} kills", gaps.len());
    report.demand("sessions, ephemeral znodes and watches survive their servers", !gaps.is_empty(), seen);
    nodes.stop_all()
}

fn rounds(plan: &Plan, nodes: &mut Nodes, servers: &str) -> Result<Vec<Duration>> {
    let mut prng = Prng::new(plan.seed);
    let mut client = patiently(servers)?;
    let session = client.session();
    let mut writer = patiently(servers)?;
    writer.create(&znode("/watched", b"0", Kind::Persistent))?;
    client.create(&znode("/mine", b"", Kind::Ephemeral))?;
    client.watch("/watched", AddMode::Persistent)?;
    let mut gaps = Vec::new();
    for round in 0..plan.moves {
        thread::sleep(Duration::from_millis(prng.between(20, 300)));
        let hit = nodes.zookeeper_at(client.address());
        let Some(hit) = hit else { return wrong(format!("{:?} is no node's address", client.address())) };
        nodes.kill(hit)?;
        let killed = Instant::now();
        client.exists("/")?;
        gaps.push(killed.elapsed());
        if client.session() != session {
            return wrong(format!("round {round}: session {session:#x} became {:#x}", client.session()));
        }
        let owner = client.exists("/mine")?.map(|stat| stat.ephemeral_owner);
        if owner != Some(session) {
            return wrong(format!("round {round}: the ephemeral znode has owner {owner:x?}, not {session:#x}"));
        }
        // What is written again is written as well.
        let data = round.to_string();
        while let Err(error) = writer.set("/watched", data.as_bytes(), -1) {
            if !matches!(error, ZooKeeperError::Lost { .. } | ZooKeeperError::Connect { .. }) {
                return Err(error.into());
            }
        }
        await_event(&mut client, round)?;
        nodes.start_all(RECOVERY_MAX)?;
    }
    client.close()?;
    writer.sync()?;
    match writer.exists("/mine")? {
        None => Ok(gaps),
        Some(_) => wrong("an ephemeral znode outlives its session"),
    }
}

/// The event of the znode that the client watches.
fn await_event(client: &mut ZooKeeper, round: u32) -> Result<()> {
    let until = Instant::now() + EVENT_MAX;
    while Instant::now() < until {
        match client.wait(Duration::from_millis(200))? {
            Some(Happening::Event { kind: EventKind::DataChanged, path }) if path == "/watched" => {
                // Those of writes that were made twice.
                while client.wait(Duration::ZERO)?.is_some() {}
                return Ok(());
            }
            _ => {}
        }
    }
    wrong(format!("round {round}: no event of a watched znode in {EVENT_MAX:?}"))
}

/// A session as soon as somebody serves.
pub fn patiently(servers: &str) -> Result<ZooKeeper> {
    let until = Instant::now() + RECOVERY_MAX;
    loop {
        match connect(servers, TIMEOUT) {
            Ok(client) => return Ok(client),
            Err(failure) if Instant::now() > until => return Err(failure),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}
