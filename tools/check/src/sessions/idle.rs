//! Sessions that do nothing but say that they live, as clients do: what they cost.

use super::{Plan, Resting, alone, open_all};
use crate::failure::{Result, wrong};
use crate::process::raise_open_files;
use crate::report::Report;
use std::thread;
use std::time::{Duration, Instant};
use torc_net::zookeeper::Ask;

/// What is measured.
pub const NUMBERS: &[&str] =
    &["idle_sessions", "memory_of_a_session_bytes", "pings_per_second", "idle_sessions_cpu_percent_of_a_core"];

/// Curator's and Kafka's default is about this. A client pings when a third of it has passed.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The promise: of one core, with so many sessions.
const CPU_MAX: f64 = 0.05;
const PROMISED: u32 = 10_000;
/// Of the pings that were due so many must have been sent, or the share is of something else.
const SENT_MIN: f64 = 0.98;
/// Pings go out at their time, give or take this.
const LOOK: Duration = Duration::from_millis(5);

/// Opens the sessions and lets them rest.
pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    if raise_open_files() < u64::from(plan.idle) + 500 {
        return wrong(format!("{} connections are more than the limit of open files allows", plan.idle));
    }
    let mut server = alone(plan, &[]).start()?;
    let (empty, _) = server.memory()?;
    let mut sessions = open_all(&server, plan.idle, TIMEOUT, |_, _| Ok(()))?;
    // One round makes connections what they are to be.
    ping_for(&mut sessions, TIMEOUT / 3)?;
    let (full, _) = server.memory()?;
    report.number("idle_sessions", f64::from(plan.idle));
    report.number("memory_of_a_session_bytes", full.saturating_sub(empty) as f64 / f64::from(plan.idle));
    let (cpu, began) = (server.metric("process_cpu_seconds_total")?, Instant::now());
    let pings = ping_for(&mut sessions, Duration::from_secs(plan.seconds))?;
    let seconds = began.elapsed().as_secs_f64();
    let share = (server.metric("process_cpu_seconds_total")? - cpu) / seconds;
    report.number("pings_per_second", pings as f64 / seconds);
    report.number("idle_sessions_cpu_percent_of_a_core", share * 100.0);
    report.demand("pings are answered, all of them", pings > 0, format!("{pings}"));
    if plan.idle >= PROMISED {
        let due = f64::from(plan.idle) / (TIMEOUT / 3).as_secs_f64();
        let sent = pings as f64 / seconds / due;
        let seen = format!("{:.1} %, with {:.0} % of {due:.0} pings a second", share * 100.0, sent * 100.0);
        report.demand_of_time(
            format!("{} idle sessions take under {} % of a core", plan.idle, CPU_MAX * 100.0),
            share < CPU_MAX && sent >= SENT_MIN,
            seen,
        );
    }
    drop(sessions);
    server.stop()
}

/// Every session pings three times in its timeout, each at a time of its own; how many pings were answered.
fn ping_for(sessions: &mut [Resting], time: Duration) -> Result<u64> {
    let (began, every) = (Instant::now(), TIMEOUT / 3);
    let count = sessions.len();
    let mut next = 0;
    while began.elapsed() < time {
        let due = (began.elapsed().as_secs_f64() / every.as_secs_f64() * count as f64) as usize;
        // Who is late catches up, but not with all of it at once.
        let some = next..due.min(next + count);
        for at in some.clone() {
            sessions[at % count].send(&Ask::Ping, 0)?;
        }
        for at in some.clone() {
            match sessions[at % count].receive()? {
                0 => {}
                code => return wrong(format!("a ping was answered with {code}")),
            }
        }
        next = some.end;
        thread::sleep(LOOK);
    }
    Ok(next as u64)
}
