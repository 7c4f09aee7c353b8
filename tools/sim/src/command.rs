//! `torc sim`: seeds in, verdicts out.

use crate::run::{Failure, Report};
use crate::trail::Trail;
use crate::violation::{Rule, Violation};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{ErrorKind, IsTerminal, Write};
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use torc_base::units::count_in;

/// Rounds of a run, if nothing else is asked for.
pub const STEPS: u32 = 5;

/// Runs production shards over simulated disks and networks, and checks every promise.
#[derive(Clone, Debug, Parser)]
pub struct Args {
    /// Run this one seed.
    #[arg(long, value_name = "N", conflicts_with = "seeds", value_parser = |text: &str| count_in::<u64>(text, 0..=i64::MAX))]
    pub seed: Option<u64>,
    /// Run these seeds, both ends included, such as 1..2000.
    #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
    pub seeds: Option<RangeInclusive<u64>>,
    /// Run clusters of one, three and five nodes, whose nodes and networks fail, instead of one node whose disk does.
    #[arg(long)]
    pub cluster: bool,
    /// Crashes and other faults of each run.
    #[arg(long, value_name = "N", default_value_t = STEPS, value_parser = |text: &str| count_in::<u32>(text, 0..=u32::MAX.into()))]
    pub steps: u32,
    /// Lines of history that a failure prints.
    #[arg(long, value_name = "N", default_value_t = crate::trail::SHOWN, value_parser = |text: &str| count_in::<usize>(text, 0..=i64::MAX))]
    pub trail: usize,
    /// Runs in parallel.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = |text: &str| count_in::<usize>(text, 1..=1024))]
    pub jobs: usize,
    /// A run that takes longer than so many seconds hangs: it is reported as failed, and ends the program.
    #[arg(long, value_name = "S", default_value_t = 600, value_parser = |text: &str| count_in::<u64>(text, 1..=1 << 20))]
    pub patience: u64,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// See [`Args::format`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One object.
    Json,
}

fn parse_seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (low, high) = text.split_once("..").ok_or("two numbers with .. between them are wanted, such as 1..2000")?;
    let number = |s: &str| count_in::<u64>(s, 0..=i64::MAX).map_err(|why| format!("{s:?}: {why}"));
    let (low, high) = (number(low)?, number(high.trim_start_matches('='))?);
    if low > high { Err(format!("{low} is more than {high}")) } else { Ok(low..=high) }
}

thread_local! {
    /// The run of this thread, for the report of a panic.
    static CURRENT: RefCell<Option<(u64, Args, Trail)>> = const { RefCell::new(None) };
}

/// Runs one seed with some rounds, leaving a trail.
pub type Runner = fn(u64, u32, &Trail) -> Result<Report, Failure>;

#[derive(Default)]
struct Sums {
    runs: AtomicU64,
    acked: AtomicU64,
    fetched: AtomicU64,
    lives: AtomicU64,
    refused: AtomicU64,
    commits: AtomicU64,
    generations: AtomicU64,
    compared: AtomicU64,
    compacted: AtomicU64,
    compacting: AtomicU64,
    virtual_ms: AtomicU64,
    deleted: AtomicU64,
    too_long: AtomicU64,
    rot: AtomicU64,
    disks: AtomicU64,
    room: AtomicU64,
    scatters: AtomicU64,
    scattered: AtomicU64,
    written: AtomicU64,
    events: AtomicU64,
    expired: AtomicU64,
    held: AtomicU64,
    failed: AtomicBool,
}

/// Runs what `args` asks for over production shards; exit code 1 if a promise was broken.
pub fn run(args: &Args) -> ExitCode {
    run_with(args, if args.cluster { crate::node::run_cluster } else { crate::node::run })
}

/// Runs what `args` asks for with `runner`; exit code 1 if a promise was broken.
pub fn run_with(args: &Args, runner: Runner) -> ExitCode {
    let seeds = match (&args.seeds, args.seed) {
        (Some(seeds), _) => seeds.clone(),
        (None, Some(seed)) => seed..=seed,
        (None, None) => 1..=100,
    };
    report_panics();
    let sums = Sums::default();
    let bar = progress(seeds.end() - seeds.start() + 1);
    let next = AtomicU64::new(*seeds.start());
    let printed = Mutex::new(());
    std::thread::scope(|scope| {
        // Ends when nobody runs seeds any more and `ended` is gone.
        let (ended, watched) = mpsc::channel::<()>();
        let under_way = Arc::new(Mutex::new(BTreeMap::new()));
        for _ in 0..args.jobs {
            let (ended, under_way) = (ended.clone(), Arc::clone(&under_way));
            let (seeds, next, sums, printed, bar) = (&seeds, &next, &sums, &printed, &bar);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > *seeds.end() || sums.failed.load(Ordering::Relaxed) {
                        drop(ended);
                        return;
                    }
                    under_way.lock().expect("nobody panics with it").insert(seed, 0);
                    one(args, seed, runner, sums, printed);
                    under_way.lock().expect("nobody panics with it").remove(&seed);
                    bar.inc(1);
                }
            });
        }
        drop(ended);
        watch(args, &under_way, &watched, &printed);
    });
    bar.finish_and_clear();
    if sums.failed.load(Ordering::Relaxed) {
        return ExitCode::FAILURE;
    }
    if args.cluster {
        summary_of_clusters(args.format, &sums)
    } else {
        summary(args.format, &sums)
    }
    ExitCode::SUCCESS
}

fn one(args: &Args, seed: u64, runner: Runner, sums: &Sums, printed: &Mutex<()>) {
    let trail = Trail::default();
    CURRENT.with(|current| *current.borrow_mut() = Some((seed, args.clone(), trail.clone())));
    match runner(seed, args.steps, &trail) {
        Ok(report) => {
            sums.runs.fetch_add(1, Ordering::Relaxed);
            sums.acked.fetch_add(report.acked, Ordering::Relaxed);
            sums.fetched.fetch_add(report.fetched, Ordering::Relaxed);
            sums.lives.fetch_add(u64::from(report.lives), Ordering::Relaxed);
            sums.refused.fetch_add(u64::from(report.refused), Ordering::Relaxed);
            sums.commits.fetch_add(report.commits, Ordering::Relaxed);
            sums.generations.fetch_add(report.generations, Ordering::Relaxed);
            sums.compared.fetch_add(report.compared, Ordering::Relaxed);
            sums.compacted.fetch_add(report.compacted, Ordering::Relaxed);
            sums.compacting.fetch_add(u64::from(report.compacted > 0), Ordering::Relaxed);
            sums.virtual_ms.fetch_add(report.virtual_ms, Ordering::Relaxed);
            sums.deleted.fetch_add(report.deleted, Ordering::Relaxed);
            sums.too_long.fetch_add(report.too_long, Ordering::Relaxed);
            sums.rot.fetch_add(report.losses.rot, Ordering::Relaxed);
            sums.disks.fetch_add(report.losses.disks, Ordering::Relaxed);
            sums.room.fetch_add(report.losses.room, Ordering::Relaxed);
            sums.scatters.fetch_add(report.losses.scatters, Ordering::Relaxed);
            sums.scattered.fetch_add(report.losses.scattered, Ordering::Relaxed);
            sums.written.fetch_add(report.znodes.written, Ordering::Relaxed);
            sums.events.fetch_add(report.znodes.events, Ordering::Relaxed);
            sums.expired.fetch_add(report.znodes.expired, Ordering::Relaxed);
            sums.held.fetch_add(report.znodes.held, Ordering::Relaxed);
            if args.seed.is_some() && args.format == Format::Text {
                say(&format!("seed {seed}: {} things happened, digest {:016x}", report.steps, report.digest));
            }
        }
        Err(failure) => {
            sums.failed.store(true, Ordering::Relaxed);
            let _one_at_a_time = printed.lock();
            print_failure(args, seed, &failure);
        }
    }
}

/// Counts the seconds of each run under way. Ends the program if one hangs: a loop without an end is a fault like any other, and is to be told.
fn watch(args: &Args, under_way: &Mutex<BTreeMap<u64, u64>>, ended: &Receiver<()>, printed: &Mutex<()>) {
    while ended.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
        let mut runs = under_way.lock().expect("nobody panics with it");
        for (&seed, seconds) in runs.iter_mut() {
            *seconds += 1;
            if *seconds < args.patience {
                continue;
            }
            let _one_at_a_time = printed.lock();
            let text = format!("it has not ended after {} s of real time", args.patience);
            let violation = Violation::new(Rule::Liveness, text);
            print_failure(args, seed, &Failure { violation, trail: "  (unknown)".into() });
            std::process::exit(1);
        }
    }
}

fn progress(runs: u64) -> ProgressBar {
    if runs == 1 || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left");
    ProgressBar::new(runs).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The command that does it again.
fn replay(args: &Args, seed: u64) -> String {
    let cluster = if args.cluster { " --cluster" } else { "" };
    let steps = if args.steps == STEPS { String::new() } else { format!(" --steps {}", args.steps) };
    format!("torc sim{cluster} --seed {seed}{steps}")
}

fn print_failure(args: &Args, seed: u64, failure: &Failure) {
    let (rule, text) = (format!("{:?}", failure.violation.rule), &failure.violation.text);
    let replay = replay(args, seed);
    let lines: Vec<&str> = failure.trail.lines().collect();
    let trail = &lines[lines.len().saturating_sub(args.trail)..];
    match args.format {
        Format::Text => {
            say(&format!("seed {seed} FAILED\n\nthe last things that happened (virtual ms):\n{}\n", trail.join("\n")));
            say(&format!("broken: {rule}: {text}\nreplay: {replay}"));
        }
        Format::Json => say(&json!({
            "ok": false, "seed": seed, "rule": rule, "text": text, "replay": replay, "trail": trail,
        })
        .to_string()),
    }
}

fn summary(format: Format, sums: &Sums) {
    let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
    let (runs, acked, fetched) = (get(&sums.runs), get(&sums.acked), get(&sums.fetched));
    let (lives, refused, ms) = (get(&sums.lives), get(&sums.refused), get(&sums.virtual_ms));
    let (commits, generations, compared) = (get(&sums.commits), get(&sums.generations), get(&sums.compared));
    let (compacted, compacting) = (get(&sums.compacted), get(&sums.compacting));
    let (written, events) = (get(&sums.written), get(&sums.events));
    let (expired, held) = (get(&sums.expired), get(&sums.held));
    match format {
        Format::Text => say(&format!(
            "{runs} seeds, no promise broken: {lives} server lives over {} virtual s, {acked} batches acknowledged, \
             {fetched} fetched and compared, {commits} offsets committed in {generations} generations of groups, \
             coordinators compared with their logs {compared} times, {compacted} records compacted away in {compacting} of \
             the seeds, {refused} damaged logs refused; {written} changes of znodes acknowledged, {events} events told, \
             {expired} sessions expired, {held} locks held",
            ms / 1000
        )),
        Format::Json => say(&json!({
            "ok": true, "seeds": runs, "lives": lives, "virtual_ms": ms, "acknowledged": acked, "fetched": fetched,
            "commits": commits, "generations": generations, "compared": compared, "refused": refused,
            "compacted": compacted, "compacting_seeds": compacting, "znode_changes": written, "znode_events": events,
            "sessions_expired": expired, "locks_held": held,
        })
        .to_string()),
    }
}

fn summary_of_clusters(format: Format, sums: &Sums) {
    let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
    let (runs, acked, fetched) = (get(&sums.runs), get(&sums.acked), get(&sums.fetched));
    let (lives, ms) = (get(&sums.lives), get(&sums.virtual_ms));
    let (rot, disks, room) = (get(&sums.rot), get(&sums.disks), get(&sums.room));
    let (scatters, scattered) = (get(&sums.scatters), get(&sums.scattered));
    let (commits, deleted, compacted) = (get(&sums.commits), get(&sums.deleted), get(&sums.compacted));
    let (generations, too_long) = (get(&sums.generations), get(&sums.too_long));
    let (written, events) = (get(&sums.written), get(&sums.events));
    let (expired, held) = (get(&sums.expired), get(&sums.held));
    match format {
        Format::Text => say(&format!(
            "{runs} seeds, no promise broken: {lives} server lives over {} virtual s, {acked} batches acknowledged, {fetched} \
             fetched and compared, {too_long} too long for a replica and refused, {commits} offsets committed, {generations} generations of groups, {deleted} topics deleted, \
             {compacted} records compacted away; {rot} places on disks rotted, {scattered} entries on disks of several nodes at once ({scatters} times), \
             the disks of {disks} nodes were replaced, those of {room} were full; \
             {written} changes of znodes acknowledged, {events} events told, {expired} sessions expired, {held} locks held",
            ms / 1000
        )),
        Format::Json => say(&json!({
            "ok": true, "seeds": runs, "lives": lives, "virtual_ms": ms, "acknowledged": acked, "fetched": fetched,
            "too_long": too_long, "commits": commits, "generations": generations, "topics_deleted": deleted, "compacted": compacted, "rotted": rot, "disks_replaced": disks, "disks_full": room,
            "scatters": scatters, "entries_scattered": scattered,
            "znode_changes": written, "znode_events": events, "sessions_expired": expired, "locks_held": held,
        })
        .to_string()),
    }
}

/// A line on standard output. A reader that has seen enough changes no verdict; a full disk does, since nobody will see it.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = writeln!(std::io::stderr(), "torc: cannot write to standard output: {error}");
        std::process::exit(1);
    }
}

/// A shard that panics ends the run like any other broken rule, with its trail and the command that replays it.
fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        let current = CURRENT.with(|current| current.try_borrow_mut().ok().and_then(|mut c| c.take()));
        let _ = writeln!(std::io::stderr(), "{info}");
        if let Some((seed, args, trail)) = current {
            let violation = Violation::new(Rule::NoPanic, info.to_string());
            print_failure(&args, seed, &Failure { violation, trail: trail.tail() });
        }
        std::process::exit(1);
    }));
}
