//! Snapshots of a large tree in the background: what writes feel of them.

use super::tree::make;
use super::{Plan, Resting, alone, connect, znode};
use crate::failure::{Result, wrong};
use crate::process::Server;
use crate::report::{Report, ms, percentiles};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use torc_net::zookeeper::{Ask, Kind};

/// What is measured.
pub const NUMBERS: &[&str] = &[
    "snapshots",
    "snapshots_share_of_time_percent",
    "writes_per_second",
    "write_beside_snapshots_p50_ms",
    "write_beside_snapshots_p99_ms",
    "write_beside_snapshots_max_ms",
    "write_during_snapshots_p50_ms",
    "write_during_snapshots_p99_ms",
    "write_during_snapshots_max_ms",
];

/// Clients that write, each with one request outstanding.
const WRITERS: usize = 8;
const DATA: [u8; 100] = [b'w'; 100];
const TIMEOUT: Duration = Duration::from_secs(40);
/// It is asked so often whether a snapshot is under way.
const LOOK: Duration = Duration::from_millis(25);
/// There must be so many of them, or what was seen is of something else; nobody waits longer for them.
const SNAPSHOTS_MIN: u64 = 3;
const PATIENCE: Duration = Duration::from_secs(180);
/// The promise, with so many znodes.
const PROMISED: u32 = 1_000_000;
const FACTOR_MAX: f64 = 2.0;

/// From one moment to another.
type Span = (Instant, Instant);

/// Makes the tree, writes to it, and looks at what was written while a snapshot was under way.
pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    // A snapshot begins when a segment of the log is full: a short run has short ones.
    let short: &[&str] = if plan.znodes < PROMISED { &["--set", "torc.wal.segment.bytes=4MiB"] } else { &[] };
    let mut server = alone(plan, short).start()?;
    make(&server, plan.znodes)?;
    let mut client = connect(&server.zookeeper.to_string(), TIMEOUT)?;
    client.create(&znode("/written", b"", Kind::Persistent))?;
    for number in 0..WRITERS {
        client.create(&znode(&path(number), &DATA, Kind::Persistent))?;
    }
    client.close()?;
    let ended = AtomicBool::new(false);
    let began = Instant::now();
    let (writes, (snapshots, spans)) = thread::scope(|scope| {
        let (server, ended) = (&server, &ended);
        let writers: Vec<_> = (0..WRITERS).map(|number| scope.spawn(move || write(server, number, ended))).collect();
        let seen = look(server, Duration::from_secs(plan.seconds));
        ended.store(true, Ordering::Relaxed);
        let writes: Result<Vec<_>> = writers.into_iter().map(|hand| hand.join().expect("no writer panics")).collect();
        Ok::<_, crate::failure::Failure>((writes?.concat(), seen?))
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let during = |write: &Span| spans.iter().any(|span| write.0 <= span.1 && span.0 <= write.1);
    let took = |is_during: bool| -> Vec<Duration> {
        let of = writes.iter().filter(|write| during(write) == is_during);
        of.map(|(from, to)| *to - *from).collect()
    };
    let (mut beside, mut under) = (took(false), took(true));
    let share: f64 = spans.iter().map(|(from, to)| (*to - *from).as_secs_f64()).sum::<f64>() / seconds;
    report.number("snapshots", snapshots as f64);
    report.number("snapshots_share_of_time_percent", share * 100.0);
    report.number("writes_per_second", writes.len() as f64 / seconds);
    percentiles(report, "write_beside_snapshots", &mut beside);
    percentiles(report, "write_during_snapshots", &mut under);
    let enough = snapshots >= SNAPSHOTS_MIN;
    report.demand("snapshots are taken while the tree is written to", enough, format!("{snapshots}"));
    if plan.znodes >= PROMISED && !under.is_empty() && !beside.is_empty() {
        let p99 = |times: &[Duration]| ms(times[(times.len() - 1) * 99 / 100]);
        let (with, without) = (p99(&under), p99(&beside));
        report.demand_of_time(
            format!(
                "a snapshot of {} znodes moves the p99 of writes by less than a factor of {FACTOR_MAX}",
                plan.znodes
            ),
            with < FACTOR_MAX * without,
            format!("{with:.3} ms, and {without:.3} ms without ({:.2} times)", with / without),
        );
    }
    server.stop()
}

fn path(number: usize) -> String {
    format!("/written/{number}")
}

/// Writes until `ended`: when each write was asked and answered.
fn write(server: &Server, number: usize, ended: &AtomicBool) -> Result<Vec<Span>> {
    let mut client = Resting::open(server.zookeeper, TIMEOUT)?;
    let (path, mut writes) = (path(number), Vec::new());
    while !ended.load(Ordering::Relaxed) {
        let began = Instant::now();
        client.send(&Ask::SetData(&path, &DATA, -1), 1)?;
        match client.receive()? {
            0 => writes.push((began, Instant::now())),
            code => return wrong(format!("a write was refused with {code}")),
        }
    }
    Ok(writes)
}

/// How many snapshots were made in `time`, or until there were enough, and when some was under way.
fn look(server: &Server, time: Duration) -> Result<(u64, Vec<Span>)> {
    const MADE: &str = "torc_checkpoints_total";
    let (before, began) = (server.metric(MADE)? as u64, Instant::now());
    let mut spans: Vec<Span> = Vec::new();
    let (mut last, mut was_under_way) = (began, false);
    loop {
        let asked = Instant::now();
        let metrics = server.metrics()?;
        let of = |name: &str| metrics.get(name).copied().map_or_else(|| wrong(format!("there is no {name}")), Ok);
        let (made, is_under_way) = (of(MADE)? as u64 - before, of("torc_checkpoint_under_way")? > 0.0);
        match (is_under_way, was_under_way) {
            // It began or ended at some time between two looks.
            (true, false) => spans.push((last, asked)),
            (_, true) => spans.last_mut().expect("it began").1 = Instant::now(),
            (false, false) => {}
        }
        (last, was_under_way) = (asked, is_under_way);
        let is_over = began.elapsed() >= time && made >= SNAPSHOTS_MIN && !is_under_way;
        if is_over || began.elapsed() >= PATIENCE.max(time) {
            return Ok((made, spans));
        }
        thread::sleep(LOOK);
    }
}
