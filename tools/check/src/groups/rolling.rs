//! A large group whose members are restarted one after the other, with the cooperative assignor of the classic protocol and with
//! the consumer protocol: those that are not restarted read on.

use super::Plan;
use super::crew::{Crew, Protocol, SHARE};
use crate::failure::Result;
use crate::process::Launch;
use crate::report::{Report, ms, percentiles};
use crate::wire::Client;
use std::sync::atomic::AtomicU8;
use std::thread;
use std::time::Duration;

const TOPIC: &str = "rolling";
/// Longer than any rebalance of a busy machine takes.
const SETTLE_MAX: Duration = Duration::from_secs(300);
/// Nobody is given up while it waits for its turn on a busy machine.
const TIMEOUTS: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(300));
/// Reads before the first restart, to compare with.
const AT_REST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What is measured.
pub const NUMBERS: &[&str] = &[
    "rolling_members",
    "rolling_cooperative_at_rest_pause_max_ms",
    "rolling_cooperative_pause_p50_ms",
    "rolling_cooperative_pause_p99_ms",
    "rolling_cooperative_pause_max_ms",
    "rolling_cooperative_restart_p50_ms",
    "rolling_cooperative_restart_p99_ms",
    "rolling_cooperative_restart_max_ms",
    "rolling_cooperative_partitions_moved_per_restart",
    "rolling_consumer_at_rest_pause_max_ms",
    "rolling_consumer_pause_p50_ms",
    "rolling_consumer_pause_p99_ms",
    "rolling_consumer_pause_max_ms",
    "rolling_consumer_restart_p50_ms",
    "rolling_consumer_restart_p99_ms",
    "rolling_consumer_restart_max_ms",
    "rolling_consumer_partitions_moved_per_restart",
];

/// Restarts all members, with each protocol.
pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    report.number("rolling_members", f64::from(plan.members));
    for protocol in Protocol::ALL {
        let dir = plan.dir.join(protocol.name());
        std::fs::create_dir(&dir)?;
        let mut launch = Launch::new(&plan.torc, &dir).shards(plan.several_shards());
        let settings = [
            "group.initial.rebalance.delay.ms=500",
            "group.consumer.max.session.timeout.ms=300000",
            "group.consumer.session.timeout.ms=300000",
        ];
        launch.more = settings.iter().flat_map(|setting| ["--set".to_string(), setting.to_string()]).collect();
        let mut server = launch.start()?;
        Client::connect(server.kafka)?.create_topic(TOPIC, plan.members as i32 * SHARE as i32, &[])?;
        let crew = Crew::new(server.kafka, protocol, TOPIC, TIMEOUTS);
        restart_all(&crew, plan.members, report)?;
        server.stop()?;
    }
    Ok(())
}

fn restart_all(crew: &Crew, members: u32, report: &mut Report) -> Result<()> {
    let name = format!("rolling_{}", crew.protocol.name());
    let orders: Vec<AtomicU8> = (0..members).map(|_| AtomicU8::new(0)).collect();
    let mut restarts = Vec::new();
    let mut at_rest = None;
    let result = thread::scope(|scope| {
        let start = |number: u32| crew.start(scope, number, &orders[number as usize]);
        let mut hands: Vec<_> = (0..members).map(|number| Some(start(number))).collect();
        let result: Result<_> = (|| {
            crew.settle(members, SETTLE_MAX)?;
            // What the beginning took is nobody's pause.
            crew.figures();
            thread::sleep(AT_REST);
            at_rest = crew.figures().pauses.into_iter().max();
            for number in 0..members {
                let hand = &mut hands[number as usize];
                hand.take().expect("each is restarted once").end(false);
                // Others take over what it had before it is back: the group divides its partitions twice.
                let without = crew.wait(SETTLE_MAX, |crew| crew.reads_all(members as usize * SHARE))?;
                *hand = Some(start(number));
                restarts.push(without + crew.settle(members, SETTLE_MAX)?);
                if (number + 1) % 20 == 0 {
                    report.say(format!("{} of {members} members are restarted", number + 1));
                }
            }
            Ok(())
        })();
        crew.end();
        result
    });
    result?;
    let mut figures = crew.figures();
    let longest = figures.pauses.iter().max().copied();
    if let Some(at_rest) = at_rest {
        report.number(format!("{name}_at_rest_pause_max_ms"), ms(at_rest));
    }
    percentiles(report, &format!("{name}_pause"), &mut figures.pauses);
    percentiles(report, &format!("{name}_restart"), &mut restarts);
    report.number(format!("{name}_partitions_moved_per_restart"), figures.taken_up as f64 / f64::from(members));
    let seen = longest.map_or_else(|| "nobody read".to_string(), |longest| format!("{longest:.0?} at most"));
    let what = format!("{}: {members} members restarted one by one, no other one pauses", crew.protocol.name());
    let good = longest.is_some_and(|longest| longest < PAUSE_MAX);
    report.demand_of_time(format!("{what} for {PAUSE_MAX:?}"), good, seen);
    let what = format!("{}: no partition is read by two members at once", crew.protocol.name());
    let moved = figures.taken_up;
    report.demand(what, figures.doubled == 0 && moved > 0, format!("{} of {moved} moves", figures.doubled));
    Ok(())
}
