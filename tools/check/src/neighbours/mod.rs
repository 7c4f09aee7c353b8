//! Neighbours: hundreds of greedy, slow, stalled, vanishing and hostile clients beside one producer, two consumers and newcomers.
//!
//! Whatever the neighbours do, these make progress, nothing of theirs is lost, and the server's memory stays under
//! its bound. In the long form they keep besides half of their rate and twice their p99, each measured against what
//! they had just before and after, without neighbours, and less what the machine's own disk lost meanwhile: another
//! process writes and reads a file of its own there, at the same pace.

mod asks;
mod bare;
mod consumers;
mod data;
mod disk;
mod healthy;
mod kinds;
mod lists;
mod measuring;
mod peer;
mod producers;
mod strangers;
mod window;
mod znodes;

pub use kinds::Kind;

use crate::failure::Result;
use crate::kill::wait_until;
use crate::process::{Launch, Server, raise_open_files};
use crate::report::{Report, ms};
use bare::Bare;
use clap::ValueEnum;
use data::Size;
use disk::Disk;
use healthy::{CLIENTS, Figures, Healthy, NAMES};
use kinds::{Seen, Stage};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use torc_base::limits;
use window::Times;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub torc: PathBuf,
    /// An empty directory.
    pub dir: PathBuf,
    pub shards: u16,
    /// Of all kinds together; `None`: the short form, in which each kind stays until everybody has made progress.
    pub seconds: Option<u64>,
    /// Nobody else comes; all kinds without it.
    pub only: Vec<Kind>,
    pub seed: u64,
}

/// A healthy client that gets nothing done for so long beside neighbours has been stopped by them.
const PATIENCE: Duration = Duration::from_secs(30);
/// The part of a kind's time in which the healthy clients are alone.
const ALONE: f64 = 0.35;
/// What each kind of neighbours is there for at least, in the short form.
const SHORT_STAY: Duration = Duration::from_millis(300);
/// What a healthy client must get done meanwhile, in records.
const RECORDS_MIN: usize = 3;
/// What they keep of their rate, and how many times their p99 may be.
const RATE_KEPT: f64 = 0.5;
const P99_TIMES: f64 = 2.0;
/// Between two looks at the server's memory.
const LOOK: Duration = Duration::from_millis(100);
/// Requests that the healthy clients have under way, and more.
const SOME_REQUESTS: usize = 16 << 20;
/// What the process may have resident beside its shards' memory: code, tables of topics and connections, allocators.
const PROCESS_BYTES: usize = 192 << 20;

/// The most that a server may ever have resident.
pub fn memory_bound(shards: u16) -> u64 {
    let clients = limits::RECV_MEMORY + limits::FRAMES_MEMORY + limits::ANSWERS_MEMORY;
    let shard = clients + limits::WAL_MEMORY + limits::TAIL_CACHE_BYTES + limits::READ_MEMORY;
    (usize::from(shards) * shard + PROCESS_BYTES) as u64
}

/// Runs all kinds, one after the other, beside the healthy clients.
pub fn run(plan: &Plan) -> Result<Report> {
    let mut report = Report::new("neighbours");
    raise_open_files();
    let kinds: Vec<Kind> = if plan.only.is_empty() { Kind::value_variants().to_vec() } else { plan.only.clone() };
    let size = if plan.seconds.is_some() { Size::LONG } else { Size::SHORT };
    let mut server = {
        let mut launch = Launch::new(&plan.torc, &plan.dir).shards(Some(plan.shards));
        launch.more = ["--zookeeper", "127.0.0.1:0"].map(String::from).to_vec();
        launch.start()?
    };
    let began = Instant::now();
    data::prepare(server.kafka, &size)?;
    report.number("preparing_ms", ms(began.elapsed()));
    report.number("resident_prepared_mib", mib(server.memory()?.0));
    let healthy = Healthy::new(server.kafka, size);
    let disk = Disk::new(plan.dir.join("disk.dat"));
    let bare = Bare::new();
    let mut street =
        Street { plan, size, server: &server, healthy: &healthy, disk: &disk, bare: &bare, report: &mut report };
    thread::scope(|scope| {
        healthy.start(scope);
        if plan.seconds.is_some() {
            disk.start(scope);
            bare.start(scope)?;
        }
        let result = kinds.iter().try_for_each(|kind| street.beside(*kind, kinds.len()));
        healthy.stop();
        disk.stop();
        bare.stop();
        result
    })?;
    for (what, failure) in [("the disk is measured", disk.failure()), ("the machine is measured", bare.failure())] {
        if let Some(failure) = failure {
            report.demand(what, false, failure);
        }
    }
    for (who, name) in NAMES.iter().enumerate() {
        let failure = healthy.failure(who);
        let seen = failure.clone().unwrap_or_else(|| "every record, in order, unchanged".to_string());
        report.demand(format!("{name}: complete"), failure.is_none(), seen);
    }
    let highest = server.memory()?.1;
    let bound = memory_bound(plan.shards);
    let seen = format!("at most {:.0} MiB of {:.0}", mib(highest), mib(bound));
    report.demand("memory stays under its bound", highest < bound, seen);
    let stopped = server.stop().map_or_else(|failure| failure.to_string(), |()| "exit code 0".to_string());
    report.demand("the server lives, and stops in order", stopped == "exit code 0", stopped.clone());
    Ok(report)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1048576.0
}

/// Where neighbours move in and out.
struct Street<'a> {
    plan: &'a Plan,
    size: Size,
    server: &'a Server,
    healthy: &'a Healthy,
    disk: &'a Disk,
    bare: &'a Bare,
    report: &'a mut Report,
}

/// The healthy clients' figures over one time, and what others' durable writes, reads and round trips took then.
#[derive(Clone, Copy)]
struct All {
    clients: [Figures; CLIENTS],
    writes: Option<Times>,
    reads: Option<Times>,
    stays: Option<Times>,
}

impl Street<'_> {
    /// One kind of neighbours, with a time alone before and after.
    fn beside(&mut self, kind: Kind, kinds: usize) -> Result<()> {
        let name = kind.name();
        let (alone, beside) = match self.plan.seconds {
            Some(seconds) => {
                let each = seconds as f64 / kinds as f64;
                (Duration::from_secs_f64(each * ALONE / 2.0), Duration::from_secs_f64(each * (1.0 - ALONE)))
            }
            None => (Duration::ZERO, SHORT_STAY),
        };
        let before = self.watch(alone);
        let (arrived, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        let Server { kafka, metrics, zookeeper, .. } = *self.server;
        let size = self.size;
        let stage = Stage { kafka, metrics, zookeeper, size, seed: self.plan.seed, arrived: &arrived, stop: &stop };
        let mut memory = Memory::default();
        let (figures, seen) = thread::scope(|scope| {
            let neighbours = scope.spawn(move || kind.run(stage));
            while !arrived.load(Ordering::Relaxed) && !neighbours.is_finished() {
                thread::sleep(Duration::from_millis(1));
            }
            let figures = self.watch_progress(beside, &mut memory);
            stop.store(true, Ordering::Relaxed);
            (figures, neighbours.join().expect("no panic"))
        });
        memory.look(self.server);
        let left = self.settled();
        let after = self.watch(alone);
        self.judge(&name, &figures, seen, &memory);
        if self.plan.seconds.is_some() {
            self.compare(&name, &before, &figures, &after);
        }
        self.report.demand(format!("{name}: nothing of them is left"), left.is_empty(), format!("left: {left:?}"));
        Ok(())
    }

    /// What the healthy clients do for a while.
    fn watch(&self, time: Duration) -> All {
        let from = Instant::now();
        thread::sleep(time);
        self.figures(from)
    }

    fn figures(&self, from: Instant) -> All {
        let to = Instant::now();
        let clients = std::array::from_fn(|who| self.healthy.figures(who, from, to));
        All {
            clients,
            writes: self.disk.writes(from, to),
            reads: self.disk.reads(from, to),
            stays: self.bare.stays(from, to),
        }
    }

    /// The same, until each has got something done; and the server's memory all the while.
    fn watch_progress(&self, time: Duration, memory: &mut Memory) -> All {
        let from = Instant::now();
        loop {
            thread::sleep(LOOK);
            memory.look(self.server);
            let figures = self.figures(from);
            let all = figures.clients.iter().all(|figures| figures.records >= RECORDS_MIN);
            let failed = (0..CLIENTS).any(|who| self.healthy.failure(who).is_some());
            if from.elapsed() >= time && (all || failed || from.elapsed() > time + PATIENCE) {
                return figures;
            }
        }
    }

    fn judge(&mut self, name: &str, figures: &All, seen: Result<Seen>, memory: &Memory) {
        match seen {
            Ok(Seen { text, owed }) => {
                self.report.say(format!("{name}: {text}"));
                if let Some(owed) = owed {
                    self.report.demand(format!("{name}: honest neighbours are served"), false, owed);
                }
            }
            Err(failure) => {
                self.report.demand(format!("{name}: they can come"), false, failure.to_string());
            }
        }
        for (who, client) in NAMES.iter().enumerate() {
            let records = figures.clients[who].records;
            let seen = match self.healthy.failure(who) {
                Some(failure) => format!("it has ended: {failure}"),
                None => format!("{records} records, p99 {}", time(figures.clients[who].p99)),
            };
            self.report.demand(format!("{name}: the {client} makes progress"), records >= RECORDS_MIN, seen);
        }
        let bound = memory_bound(self.plan.shards);
        self.report.demand(format!("{name}: memory"), memory.resident < bound, memory.to_string());
    }

    /// Rates and p99 beside the neighbours against those without. What the disk, or the machine for round trips, was slower at for others is
    /// nobody's fault here: a client that waits for it as often as it can loses as much.
    fn compare(&mut self, name: &str, before: &All, figures: &All, after: &All) {
        let slower = |of: fn(&All) -> Option<Times>| Times::slower(of(figures), [of(before), of(after)]);
        let (writes, reads) = (slower(|all| all.writes), slower(|all| all.reads));
        let stays = slower(|all| all.stays);
        self.report.say(format!(
            "{name}: p99 for others: durable writes {} ({:.1} times what it was), reads {} ({:.1} times), a bare server's newcomers {} ({:.1} times)",
            time(figures.writes.map(|times| times.p99)),
            writes.1,
            time(figures.reads.map(|times| times.p99)),
            reads.1,
            time(figures.stays.map(|times| times.p99)),
            stays.1
        ));
        let others = [(writes, "the disk"), (writes, "the disk"), (reads, "the disk"), (stays, "a bare server")];
        for ((who, client), ((mean, high), what_else)) in NAMES.iter().enumerate().zip(others) {
            let (alone, beside) = ([before.clients[who], after.clients[who]], figures.clients[who]);
            let rate = (alone[0].rate + alone[1].rate) / 2.0;
            let kept = beside.rate / rate;
            let seen = format!("{:.0} records/s, {:.0} alone: {kept:.2}", beside.rate, rate);
            let what = format!("{name}: the {client} keeps half of its rate");
            self.report.demand_of_time(what, kept * mean >= RATE_KEPT, seen);
            let p99 = alone.iter().filter_map(|figures| figures.p99).max();
            let times = match (beside.p99, p99) {
                (Some(beside), Some(alone)) => beside.as_secs_f64() / alone.as_secs_f64(),
                _ => f64::INFINITY,
            };
            let seen = format!("{}, {} alone: {times:.2} times, {what_else} {high:.2}", time(beside.p99), time(p99));
            let what = format!("{name}: the {client}'s p99 is at most twice what it was");
            self.report.demand_of_time(what, times <= P99_TIMES * high, seen);
        }
    }

    /// When all neighbours have left, so has what they held; what has not, if anything.
    fn settled(&self) -> Vec<String> {
        let mut left = Vec::new();
        let kept = SOME_REQUESTS as f64;
        let looked = wait_until(PATIENCE, || {
            // It may have no room for one more reader yet.
            let metrics = self.server.metrics().unwrap_or_default();
            let over = |name: &str, most: f64| {
                let value = metrics.get(name).copied().unwrap_or(f64::NAN);
                (value.is_nan() || value > most).then(|| format!("{name} = {value}"))
            };
            let held = [
                over("torc_connections", NAMES.len() as f64),
                over("torc_request_memory_bytes", kept),
                over("torc_answer_memory_bytes", kept),
            ];
            left = held.into_iter().flatten().collect();
            Ok(left.is_empty())
        });
        looked.expect("nothing in it fails");
        left
    }
}

/// `-` if nothing was measured.
fn time(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_string(), |time| format!("{:.1} ms", ms(time)))
}

/// The most that was seen of the server's memory.
#[derive(Debug, Default)]
struct Memory {
    resident: u64,
    /// Sums over shards of gauges that count bytes, by name.
    gauges: std::collections::BTreeMap<String, f64>,
}

impl Memory {
    fn look(&mut self, server: &Server) {
        // What cannot be read now is read the next time; that the server lives is looked at elsewhere.
        if let Ok((resident, _)) = server.memory() {
            self.resident = self.resident.max(resident);
        }
        let metrics = server.metrics().unwrap_or_default();
        for (name, value) in metrics.into_iter().filter(|(name, _)| name.ends_with("_bytes")) {
            let most = self.gauges.entry(name).or_insert(0.0);
            *most = most.max(value);
        }
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0} MiB resident", mib(self.resident))?;
        for (name, most) in self.gauges.iter().filter(|(name, _)| name.contains("memory") || name.contains("ahead")) {
            write!(f, ", {name} up to {:.0} MiB", most / 1048576.0)?;
        }
        Ok(())
    }
}
