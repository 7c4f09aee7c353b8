//! What the kernel sees: no acknowledgement before its flush, one write to a batch, and nothing but the ring.
//!
//! The order comes from the kernel's own tracepoints of io_uring (tracefs), the system calls from strace. With one shard,
//! one connection and one request at a time there is one answer to a write, so the order is decidable without a look
//! into the bytes: between two answers a durable write must have been submitted and completed.

use crate::content::{self, Sender};
use crate::failure::{Failure, Result, wrong};
use crate::kill::{now_ms, wait_until};
use crate::process::{Launch, Server, signal};
use crate::report::Report;
use crate::wire::{ACKS_ALL, Client, Produce};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use torc_net::kafka::records::Codec;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub torc: PathBuf,
    /// An empty directory.
    pub dir: PathBuf,
    /// Requests whose order is looked at, for each way of flushing.
    pub requests: u32,
    /// Load under strace.
    pub seconds: u64,
}

const TOPIC: &str = "traced";
/// Looks, a second each, whether the server has ended what it writes by itself.
const LOOKS_MAX: u32 = 60;
/// Sizes of requests, small and large in turn.
const SIZES: [usize; 4] = [100, 5_000, 50_000, 300_000];
/// What a shard's thread may ask of the kernel under load, seldom: memory, waking, the free space of the disk. No data.
const RARE: [&str; 9] =
    ["futex", "madvise", "mmap", "munmap", "mprotect", "brk", "restart_syscall", "sched_yield", "fstatfs"];
/// Requests after which a shard takes no more memory than it has: some 90 KB each, three times what it keeps.
const WARM_REQUESTS: f64 = 1500.0;
/// Nothing is judged by it: a server that does not serve so many in this time does not serve.
const WARM_PATIENCE: Duration = Duration::from_secs(120);
/// All of these together, for each time the shard enters its ring.
const RARE_PART: f64 = 0.05;

/// Traces both ways of flushing, then counts system calls.
pub fn run(plan: &Plan) -> Result<Report> {
    let mut report = Report::new("trace");
    orders(plan, &mut report)?;
    system_calls(plan, &mut report)?;
    Ok(report)
}

/// The order of writes and answers, for both ways of flushing.
pub fn orders(plan: &Plan, report: &mut Report) -> Result<()> {
    for (sync, last) in [("dsync", "WRITE"), ("write-fdatasync", "FSYNC")] {
        let dir = plan.dir.join(sync);
        fs::create_dir(&dir)?;
        let mut launch = Launch::new(&plan.torc, &dir).shards(Some(1));
        launch.more = vec!["--set".to_string(), format!("torc.wal.sync={sync}")];
        order(plan, &launch, &Tracing::begin()?, sync, last, report)?;
    }
    Ok(())
}

/// The error says why this machine cannot: strace is missing, or may not trace.
pub fn may_strace() -> Result<()> {
    match Command::new("strace").args(["-c", "-o", "/dev/null", "true"]).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => wrong(format!("strace ends with {status}")),
        Err(error) => wrong(format!("strace: {error}")),
    }
}

/// An instance of the kernel's tracing of its own; removed when dropped.
pub struct Tracing {
    folder: PathBuf,
}

impl Tracing {
    /// The error says why this machine cannot: it takes root and tracefs.
    pub fn begin() -> Result<Tracing> {
        let root = Path::new("/sys/kernel/tracing");
        if !root.join("instances").is_dir() {
            // Fails without root, which the next step reports.
            let _ = Command::new("mount").args(["-t", "tracefs", "nodev"]).arg(root).stderr(Stdio::null()).status();
        }
        let folder = root.join("instances").join(format!("torc-check-{}", std::process::id()));
        let failed = |error| Failure::Wrong(format!("{}: {error}", folder.display()));
        fs::create_dir(&folder).map_err(failed)?;
        let tracing = Tracing { folder: folder.clone() };
        for (file, value) in [
            ("buffer_size_kb", "16384"),
            ("trace_clock", "mono"),
            ("events/io_uring/io_uring_submit_req/enable", "1"),
            ("events/io_uring/io_uring_complete/enable", "1"),
        ] {
            fs::write(folder.join(file), value).map_err(failed)?;
        }
        Ok(tracing)
    }

    fn clear(&self) -> Result<()> {
        Ok(fs::write(self.folder.join("trace"), "")?)
    }

    /// All events of the ring that `thread` submits to, oldest first.
    fn events(&self, thread: u32) -> Result<Vec<Event>> {
        let text = fs::read_to_string(self.folder.join("trace"))?;
        let lines = || text.lines().filter_map(Event::read);
        let ring = lines().find(|(by, _, event)| *by == thread && event.submit).map(|(_, ring, _)| ring);
        let Some(ring) = ring else { return wrong("the trace has no event of the shard") };
        Ok(lines().filter(|(_, of, _)| *of == ring).map(|(_, _, event)| event).collect())
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        // Cannot fail for an instance that nobody reads; a leftover costs memory until the next boot.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// One tracepoint.
#[derive(Clone, Debug)]
struct Event {
    /// Submitted, not completed.
    submit: bool,
    user_data: u64,
    /// Of a submission.
    opcode: String,
    /// Of a completion.
    result: i64,
}

impl Event {
    /// The thread, the ring, the event.
    fn read(line: &str) -> Option<(u32, &str, Event)> {
        let (head, rest) = line.split_once(": io_uring_")?;
        let thread = head.split(" [").next()?.trim().rsplit('-').next()?.trim().parse().ok()?;
        let submit = rest.starts_with("submit_req: ");
        let field = |name: &str| {
            let at = rest.find(name)? + name.len();
            rest[at..].split([',', ' ']).next()
        };
        let user_data = u64::from_str_radix(field("user_data 0x")?, 16).ok()?;
        let opcode = field("opcode ").unwrap_or_default().to_string();
        let result = field("result ").and_then(|text| text.parse().ok()).unwrap_or(0);
        Some((thread, field("ring ")?, Event { submit, user_data, opcode, result }))
    }

    fn is_answer(&self) -> bool {
        self.submit && self.opcode.starts_with("SEND") && !self.opcode.contains("RECV")
    }

    fn is_write(&self) -> bool {
        self.submit && self.opcode.starts_with("WRITE")
    }
}

/// The id of the only shard's thread.
fn shard_thread(server: &Server) -> Result<u32> {
    for entry in fs::read_dir(format!("/proc/{}/task", server.pid()))? {
        let path = entry?.path();
        if fs::read_to_string(path.join("comm"))?.trim() == "shard-0" {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            return name.parse().or_else(|_| wrong("a thread without a number"));
        }
    }
    wrong("the server has no thread shard-0")
}

fn produce(client: &mut Client, number: u32) -> Result<()> {
    let size = SIZES[number as usize % SIZES.len()];
    let batch = content::batch(Sender { producer: 0, idempotent: None }, number, &[size], Codec::None, now_ms());
    let produced = client.produce(Produce { topic: TOPIC, partition: 0, acks: ACKS_ALL, batch })?;
    if produced.error == 0 { Ok(()) } else { wrong(format!("a batch was refused with error {}", produced.error)) }
}

/// Sends requests one at a time and looks at the order of what the ring was asked for.
fn order(plan: &Plan, launch: &Launch, tracing: &Tracing, sync: &str, last: &str, report: &mut Report) -> Result<()> {
    let mut server = launch.start()?;
    let thread = shard_thread(&server)?;
    let mut client = Client::connect(server.kafka)?;
    client.create_topic(TOPIC, 1, &[])?;
    // Spare segments are written ahead; afterwards the only writes are batches.
    (0..8).try_for_each(|n| produce(&mut client, n))?;
    let mut quiet = 0;
    for _ in 0..LOOKS_MAX {
        tracing.clear()?;
        thread::sleep(Duration::from_millis(1000));
        // A trace without any event of the shard is refused, and is what is waited for; on a slow disk files come with pauses.
        let writes = tracing.events(thread).is_ok_and(|events| events.iter().any(Event::is_write));
        quiet = if writes { 0 } else { quiet + 1 };
        if quiet == 2 {
            break;
        }
    }
    let batches = server.metric("torc_wal_batches_total")?;
    tracing.clear()?;
    (0..plan.requests).try_for_each(|n| produce(&mut client, n))?;
    // The batch that vouches for the last one comes when the shard is idle.
    thread::sleep(Duration::from_millis(500));
    let events = tracing.events(thread)?;
    let batches = server.metric("torc_wal_batches_total")? - batches;
    server.stop()?;

    let (mut durable, mut answers, mut early) = (false, 0, 0);
    // Operations that are under way since the last answer, by user data.
    let mut flushing = BTreeMap::new();
    for event in &events {
        if event.is_answer() {
            answers += 1;
            early += u32::from(!durable);
            durable = false;
            flushing.clear();
        } else if event.submit && event.opcode.starts_with(last) {
            flushing.insert(event.user_data, ());
        } else if !event.submit && flushing.remove(&event.user_data).is_some() {
            durable |= event.result >= 0;
        }
    }
    let seen =
        format!("{answers} answers to {} requests, {early} without a completed {last} before them", plan.requests);
    report.demand(format!("{sync}: no answer before its flush"), early == 0 && answers == plan.requests, seen);
    let writes = events.iter().filter(|event| event.is_write()).count();
    let seen = format!("{writes} write operations, {batches} batches, {} requests", plan.requests);
    report.demand(format!("{sync}: one write to a batch"), writes as f64 == batches, seen);
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for event in events.iter().filter(|event| event.submit) {
        *kinds.entry(&event.opcode).or_default() += 1;
    }
    report.say(format!("{sync}: submitted {kinds:?}"));
    Ok(())
}

/// Counts the system calls of the shard's thread under load.
pub fn system_calls(plan: &Plan, report: &mut Report) -> Result<()> {
    let dir = plan.dir.join("calls");
    fs::create_dir(&dir)?;
    let launch = Launch::new(&plan.torc, &dir).shards(Some(1));
    let mut server = launch.start()?;
    let thread = shard_thread(&server)?;
    Client::connect(server.kafka)?.create_topic(TOPIC, 1, &[])?;
    let (address, stop) = (server.kafka, AtomicBool::new(false));
    let out = launch.data.with_file_name("strace.txt");
    let result = thread::scope(|scope| {
        let hands: Vec<_> = (0..8).map(|_| scope.spawn(|| load(address, &stop))).collect();
        let before = warm(&server);
        let traced = strace(thread, &out, Duration::from_secs(plan.seconds));
        let after = server.metric("torc_requests_total");
        stop.store(true, Ordering::Relaxed);
        hands.into_iter().try_for_each(|hand| hand.join().expect("no panic"))?;
        Ok::<_, Failure>((before?, after?, traced?))
    });
    let (before, after, calls) = result?;
    server.stop()?;
    report.number("requests_under_strace", after - before);
    let entered = calls.get("io_uring_enter").copied().unwrap_or(0);
    report.demand("the shard enters its ring", entered > 100, format!("{entered} times"));
    let others: Vec<_> = calls.iter().filter(|(name, _)| *name != "io_uring_enter").collect();
    let (rare, foreign): (Vec<_>, Vec<_>) = others.into_iter().partition(|(name, _)| RARE.contains(&name.as_str()));
    let seen = format!("{entered} io_uring_enter, besides {rare:?} and {foreign:?}");
    report.demand("no write, fsync, epoll or any other call for data", foreign.is_empty(), seen);
    let often = rare.iter().map(|(_, count)| **count).sum::<u64>() as f64 / entered.max(1) as f64;
    report.demand("other calls are rare", often < RARE_PART, format!("{often:.4} for each io_uring_enter"));
    Ok(())
}

/// Waits until memory has been taken that is taken once: for the newest batches, above all. The requests so far.
fn warm(server: &Server) -> Result<f64> {
    let mut served = 0.0;
    let warm = wait_until(WARM_PATIENCE, || {
        served = server.metric("torc_requests_total")?;
        Ok(served >= WARM_REQUESTS)
    })?;
    if warm { Ok(served) } else { wrong(format!("only {served} requests were served in {WARM_PATIENCE:?}")) }
}

/// Produces and fetches until told to stop.
fn load(address: SocketAddr, stop: &AtomicBool) -> Result<()> {
    let mut client = Client::connect(address)?;
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        produce(&mut client, number)?;
        number += 1;
        if number % 8 == 0 {
            let end = client.offset(TOPIC, 0, -1)?;
            client.fetch(TOPIC, &[(0, end - 1)], 1 << 20, 100)?;
        }
    }
    Ok(())
}

/// Counts the calls of one thread for a time, by name.
fn strace(thread: u32, out: &Path, time: Duration) -> Result<BTreeMap<String, u64>> {
    let mut command = Command::new("strace");
    command.arg("-c").arg("-o").arg(out).arg("-p").arg(thread.to_string()).stderr(Stdio::null());
    let mut child = command.spawn().or_else(|error| wrong(format!("strace: {error}; it must be installed")))?;
    thread::sleep(time);
    signal(child.id(), Signal::INT)?;
    child.wait()?;
    let mut calls = BTreeMap::new();
    for line in fs::read_to_string(out)?.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        // % time, seconds, usecs/call, calls, [errors], syscall
        if let (Some(Ok(_)), Some(Ok(count)), Some(name)) =
            (words.first().map(|w| w.parse::<f64>()), words.get(3).map(|w| w.parse::<u64>()), words.last())
            && *name != "total"
        {
            calls.insert(name.to_string(), count);
        }
    }
    Ok(calls)
}
