//! Thousands of sessions are heard of no more, all at once: they end within their time and a bit, all of them, and whoever
//! lives does not feel it.

use super::{Plan, Resting, alone, connect, open_all, znode};
use crate::failure::{Result, wrong};
use crate::kill::wait_until;
use crate::process::raise_open_files;
use crate::report::{Report, ms, percentiles};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use torc_net::zookeeper::{Ask, Kind};

/// What is measured.
pub const NUMBERS: &[&str] =
    &["sessions_expired", "expiry_after_the_timeout_ms", "ping_p50_ms", "ping_p99_ms", "ping_max_ms"];

/// Long enough to open all of them on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(20);
const PING_EVERY: Duration = Duration::from_millis(2);
/// The promises: pings of others meanwhile, with so many sessions.
const PING_P99_MAX: Duration = Duration::from_millis(100);
const PROMISED: u32 = 5_000;
/// When the last of them must have ended, after its time.
const LATE_MAX: Duration = Duration::from_secs(60);

/// Opens the sessions, each with an ephemeral znode, drops their connections and waits.
pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    raise_open_files();
    let mut server = alone(plan, &[]).start()?;
    let servers = server.zookeeper.to_string();
    let mut watcher = connect(&servers, TIMEOUT)?;
    watcher.create(&znode("/expire", b"", Kind::Persistent))?;
    watcher.create(&znode("/mine", b"", Kind::Ephemeral))?;
    let sessions = open_all(&server, plan.expiring, TIMEOUT, |number, session| {
        session.send(&Ask::Create(znode(&format!("/expire/e{number}"), b"", Kind::Ephemeral)), 1)?;
        match session.receive()? {
            0 => Ok(()),
            code => wrong(format!("an ephemeral znode of session {:#x} was refused with {code}", session.id)),
        }
    })?;
    if watcher.descendants("/expire")? != plan.expiring as i32 {
        return wrong("an ephemeral znode is not there");
    }
    let mut sessions = sessions;
    // All live equally long from here on.
    sessions.iter_mut().try_for_each(|session| session.send(&Ask::Ping, 0))?;
    sessions.iter_mut().try_for_each(|session| session.receive().map(drop))?;
    let dropped = Instant::now();
    drop(sessions);

    let ended = AtomicBool::new(false);
    let mut lone = Resting::open(server.zookeeper, TIMEOUT)?;
    let (pings, last) = thread::scope(|scope| -> Result<(Vec<Duration>, Duration)> {
        let pinging = scope.spawn(|| pings(&mut lone, &ended));
        let gone = wait_until(TIMEOUT + LATE_MAX, || Ok(watcher.descendants("/expire")? == 0));
        let last = dropped.elapsed();
        ended.store(true, Ordering::Relaxed);
        let pings = pinging.join().expect("who pings does not panic")?;
        match gone? {
            true => Ok((pings, last)),
            false => wrong(format!("ephemeral znodes of dead sessions are there after {last:.0?}")),
        }
    })?;
    report.number("sessions_expired", f64::from(plan.expiring));
    report.number("expiry_after_the_timeout_ms", ms(last.saturating_sub(TIMEOUT)));
    let mut pings = pings;
    percentiles(report, "ping", &mut pings);
    if plan.expiring >= PROMISED {
        let p99 = pings[(pings.len() - 1) * 99 / 100];
        report.demand_within(format!("p99 of pings while {} sessions expire", plan.expiring), p99, PING_P99_MAX);
    }
    let early = last < TIMEOUT;
    let seen = format!("{} of them, {last:.1?} after they were last heard of", plan.expiring);
    report.demand("sessions that are heard of no more end, none before its time", !early, seen);
    let kept = watcher.exists("/mine")?.is_some();
    report.demand(
        "a session that lives keeps its ephemeral znode",
        kept,
        if kept { "it is there" } else { "it is gone" },
    );
    server.stop()
}

/// Round trips, until `ended`.
fn pings(session: &mut Resting, ended: &AtomicBool) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    while !ended.load(Ordering::Relaxed) || times.is_empty() {
        let began = Instant::now();
        session.send(&Ask::Ping, 0)?;
        session.receive()?;
        times.push(began.elapsed());
        thread::sleep(PING_EVERY);
    }
    Ok(times)
}
