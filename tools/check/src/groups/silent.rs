//! A member that is heard of no more just when its group has to divide its partitions anew: the others read on meanwhile, and wait
//! for what that one had no longer than it may be silent.

use super::Plan;
use super::crew::{BEAT, Crew, Protocol, SHARE};
use crate::failure::{Result, wrong};
use crate::process::Launch;
use crate::report::{Report, ms};
use crate::wire::Client;
use std::sync::atomic::AtomicU8;
use std::thread;
use std::time::{Duration, Instant};

const TOPIC: &str = "silent";
const MEMBERS: u32 = 10;
/// How long a member may be silent.
const SESSION: Duration = Duration::from_secs(6);
/// A rebalance must not wait for this instead.
const REBALANCE: Duration = Duration::from_secs(120);
/// Others hear by their heartbeats that there is something to be divided, twice if something is given back first, and a third time
/// for the answer.
const HEARING: Duration = Duration::from_secs(3 * BEAT.as_secs());
const SETTLE_MAX: Duration = Duration::from_secs(300);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What is measured.
pub const NUMBERS: &[&str] = &[
    "silent_session_timeout_ms",
    "silent_cooperative_pause_max_ms",
    "silent_cooperative_newcomer_reads_after_ms",
    "silent_cooperative_all_read_after_ms",
    "silent_consumer_pause_max_ms",
    "silent_consumer_newcomer_reads_after_ms",
    "silent_consumer_all_read_after_ms",
];

/// Has one fall silent, with each protocol.
pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    report.number("silent_session_timeout_ms", ms(SESSION));
    for protocol in Protocol::ALL {
        let dir = plan.dir.join(protocol.name());
        std::fs::create_dir(&dir)?;
        let mut launch = Launch::new(&plan.torc, &dir).shards(plan.several_shards());
        let session = SESSION.as_millis();
        let settings = [
            "group.initial.rebalance.delay.ms=500".to_string(),
            format!("group.consumer.min.session.timeout.ms={session}"),
            format!("group.consumer.session.timeout.ms={session}"),
        ];
        launch.more = settings.into_iter().flat_map(|setting| ["--set".to_string(), setting]).collect();
        let mut server = launch.start()?;
        Client::connect(server.kafka)?.create_topic(TOPIC, MEMBERS as i32 * SHARE as i32, &[])?;
        let crew = Crew::new(server.kafka, protocol, TOPIC, (SESSION, REBALANCE));
        one_falls_silent(&crew, report)?;
        server.stop()?;
    }
    Ok(())
}

fn one_falls_silent(crew: &Crew, report: &mut Report) -> Result<()> {
    let name = crew.protocol.name();
    let orders: Vec<AtomicU8> = (0..=MEMBERS).map(|_| AtomicU8::new(0)).collect();
    let result = thread::scope(|scope| {
        let start = |number: u32| crew.start(scope, number, &orders[number as usize]);
        let mut hands: Vec<_> = (0..MEMBERS).map(start).collect();
        let result: Result<_> = (|| {
            crew.settle(MEMBERS, SETTLE_MAX)?;
            crew.figures();
            // Somebody in the middle, whoever leads.
            hands.swap_remove(MEMBERS as usize / 2).end(true);
            let began = Instant::now();
            hands.push(start(MEMBERS));
            crew.wait(SETTLE_MAX, |crew| crew.reads(MEMBERS))?;
            let newcomer = began.elapsed();
            crew.wait(SETTLE_MAX, |crew| crew.reads_all(MEMBERS as usize * SHARE))?;
            let all = began.elapsed();
            crew.settle(MEMBERS, SETTLE_MAX)?;
            Ok((newcomer, all))
        })();
        crew.end();
        result
    });
    let (newcomer, all) = result?;
    let figures = crew.figures();
    let Some(longest) = figures.pauses.iter().max().copied() else { return wrong("nobody read") };
    report.number(format!("silent_{name}_pause_max_ms"), ms(longest));
    report.number(format!("silent_{name}_newcomer_reads_after_ms"), ms(newcomer));
    report.number(format!("silent_{name}_all_read_after_ms"), ms(all));
    report.demand_within(format!("{name}: nobody pauses beside a silent member,"), longest, PAUSE_MAX);
    let within = SESSION + HEARING;
    report.demand_within(
        format!("{name}: a newcomer reads beside a member that is silent for {SESSION:?}"),
        newcomer,
        within,
    );
    report.demand_within(format!("{name}: what the silent member had is read again"), all, within);
    let seen = format!("{} of {} moves", figures.doubled, figures.taken_up);
    report.demand(format!("{name}: beside a silent member no partition is read by two"), figures.doubled == 0, seen);
    Ok(())
}
