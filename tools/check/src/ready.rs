//! Start and stop: ready at once, says what listens where, drains.

use crate::content::{self, Sender};
use crate::failure::Result;
use crate::kill::now_ms;
use crate::process::Launch;
use crate::report::{Report, ms, percentiles};
use crate::wire::{ACKS_ALL, Client, Produce};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use torc_net::kafka::records::Codec;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub torc: PathBuf,
    /// An empty directory.
    pub dir: PathBuf,
    pub shards: u16,
    /// Starts on an empty directory.
    pub starts: u32,
    /// Stops under load.
    pub stops: u32,
}

const READY_MAX: Duration = Duration::from_secs(2);
const STOP_MAX: Duration = Duration::from_secs(10);
const TOPIC: &str = "ready";
/// Connections while it stops, by what each of their requests holds.
const SIZES: [usize; 6] = [100, 100, 1000, 10_000, 100_000, 300_000];

/// Runs starts and stops.
pub fn run(plan: &Plan) -> Result<Report> {
    let mut report = Report::new("ready");
    let mut starts = Vec::new();
    for n in 0..plan.starts {
        let dir = plan.dir.join(format!("start-{n}"));
        std::fs::create_dir(&dir)?;
        let mut server = Launch::new(&plan.torc, &dir).shards(Some(plan.shards)).start()?;
        starts.push(server.ready);
        if n == 0 {
            for word in ["kafka 127.0.0.1:", "metrics http://", "data ", "shards ", "ready in "] {
                let line = server.lines.iter().find(|line| line.starts_with(word)).cloned();
                report.demand(format!("it says `{word}...`"), line.is_some(), line.unwrap_or_default());
            }
        }
        let began = Instant::now();
        let stopped = server.stop();
        report.demand(
            "SIGTERM when idle",
            stopped.is_ok(),
            format!("{:?} after {:.0?}", stopped.err(), began.elapsed()),
        );
        std::fs::remove_dir_all(&dir)?;
    }
    let slowest = starts.iter().max().copied().unwrap_or_default();
    percentiles(&mut report, "ready", &mut starts);
    report.demand_within("ready on an empty directory", slowest, READY_MAX);
    for n in 0..plan.stops {
        stop_under_load(plan, n, &mut report)?;
    }
    Ok(report)
}

/// What became of one connection's requests.
#[derive(Debug, Default)]
struct Tally {
    /// Sent whole, before the signal.
    sent: usize,
    answered: usize,
    errors: Vec<i16>,
}

fn stop_under_load(plan: &Plan, n: u32, report: &mut Report) -> Result<()> {
    let dir = plan.dir.join(format!("stop-{n}"));
    std::fs::create_dir(&dir)?;
    let launch = Launch::new(&plan.torc, &dir).shards(Some(plan.shards));
    let mut server = launch.start()?;
    Client::connect(server.kafka)?.create_topic(TOPIC, SIZES.len() as i32, &[])?;
    let (address, stop) = (server.kafka, AtomicBool::new(false));
    let mut stopped_in = Duration::ZERO;
    let (tallies, status) = thread::scope(|scope| {
        let stop = &stop;
        let hands: Vec<_> = (0..SIZES.len()).map(|lane| scope.spawn(move || produce(address, lane, stop))).collect();
        thread::sleep(Duration::from_millis(300 + 37 * u64::from(n)));
        stop.store(true, Ordering::SeqCst);
        let began = Instant::now();
        let status = server.terminate().and_then(|()| server.wait());
        stopped_in = began.elapsed();
        let tallies: Vec<Result<Tally>> = hands.into_iter().map(|hand| hand.join().expect("no panic")).collect();
        (tallies, status)
    });
    let status = status?;
    report.number("stop_under_load_ms", ms(stopped_in));
    report.demand("SIGTERM under load", status.code() == Some(0), status.to_string());
    report.demand_within("it stops under load", stopped_in, STOP_MAX);
    let (mut sent, mut answered, mut errors) = (0, 0, Vec::new());
    for tally in tallies {
        let tally = tally?;
        sent += tally.sent;
        answered += tally.answered;
        errors.extend(tally.errors);
    }
    let seen = format!("{answered} of {sent} answered, errors {errors:?}");
    report.demand("every request sent before SIGTERM is answered", answered == sent && errors.is_empty(), seen);
    let server = launch.start()?;
    let mut client = Client::connect(server.kafka)?;
    let mut there = 0;
    for lane in 0..SIZES.len() {
        there += client.offset(TOPIC, lane as i32, -1)?;
    }
    let seen = format!("{there} batches in the log, {answered} acknowledged");
    report.demand("what was answered is there after the stop", there >= answered as i64, seen);
    drop(server);
    Ok(std::fs::remove_dir_all(&dir)?)
}

/// Keeps a few requests on the way until told to stop, then takes the answers that are owed.
fn produce(address: SocketAddr, lane: usize, stop: &AtomicBool) -> Result<Tally> {
    let mut client = Client::connect(address)?;
    let (mut tally, mut number) = (Tally::default(), 0);
    let sender = Sender { producer: lane as u16, idempotent: None };
    while !stop.load(Ordering::SeqCst) {
        let batch = content::batch(sender, number, &[SIZES[lane]], Codec::None, now_ms());
        let produce = Produce { topic: TOPIC, partition: lane as i32, acks: ACKS_ALL, batch };
        match client.send_produce(produce) {
            Err(failure) if failure.is_lost() && stop.load(Ordering::SeqCst) => break,
            sent => sent?,
        }
        // A request whose last bytes left after the signal may be refused.
        if stop.load(Ordering::SeqCst) {
            break;
        }
        tally.sent += 1;
        number += 1;
        if client.outstanding() >= 4 {
            take(&mut client, &mut tally)?;
        }
    }
    while tally.answered + tally.errors.len() < tally.sent {
        match take(&mut client, &mut tally) {
            Err(failure) if failure.is_lost() => break,
            other => other?,
        }
    }
    Ok(tally)
}

fn take(client: &mut Client, tally: &mut Tally) -> Result<()> {
    let produced = client.receive_produced()?;
    match produced.error {
        0 => tally.answered += 1,
        code => tally.errors.push(code),
    }
    Ok(())
}
