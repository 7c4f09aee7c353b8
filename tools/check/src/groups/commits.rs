//! Groups of both protocols that commit all the time while the server is killed again and again: what was acknowledged is there,
//! as it was, and so is what others have read; members are still members; generations and epochs only rise.

use super::Plan;
use super::committer::{Committer, PARTITIONS, TOPIC, TOPIC_MORE};
use super::requests::{self, Committed};
use crate::failure::{Result, wrong};
use crate::kill::{kill_a_start, wait_until};
use crate::process::{Launch, Server};
use crate::report::{Report, percentiles};
use crate::wire::Client;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use torc_base::prng::Prng;

/// Half of them speak each protocol.
const GROUPS: u32 = 20;
/// The server is killed at a moment of this span after load began.
const LOAD_MS: (u64, u64) = (20, 400);

/// Longer than the first commits of any busy machine take.
const FIRST_COMMITS_MAX: Duration = Duration::from_secs(120);

/// What is measured.
pub const NUMBERS: &[&str] = &[
    "commit_rounds",
    "commit_starts_killed_too",
    "commits_acknowledged",
    "commits_acknowledged_that_went_back_by_request",
    "commits_found_without_their_answers",
    "generations_and_epochs",
    "restart_with_commits_p50_ms",
    "restart_with_commits_p99_ms",
    "restart_with_commits_max_ms",
];

/// What a reader beside the committers saw last, by group; nothing in this life of the server: `None`.
type Seen = Mutex<Vec<Option<Vec<Committed>>>>;

/// Runs the rounds.
pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let mut prng = Prng::new(plan.seed);
    let mut launch = Launch::new(&plan.torc, &plan.dir).shards(plan.several_shards());
    // Nobody is given up while it waits for its turn on a busy machine.
    let settings = [
        "group.initial.rebalance.delay.ms=0",
        "group.consumer.max.session.timeout.ms=300000",
        "group.consumer.session.timeout.ms=300000",
    ];
    launch.more = settings.iter().flat_map(|setting| ["--set".to_string(), setting.to_string()]).collect();
    let mut committers: Vec<Committer> = (0..GROUPS).map(|number| Committer::new(number, prng.fork())).collect();
    let (mut restarts, mut killed_starts) = (Vec::new(), 0);
    let (seen, begun) = (Mutex::new(vec![None; GROUPS as usize]), AtomicUsize::new(0));
    for round in 0..plan.rounds {
        killed_starts += u32::from(round > 0 && kill_a_start(&launch, &mut prng)?);
        let mut server = launch.start()?;
        restarts.push(server.ready);
        let wait = Duration::from_millis(prng.between(LOAD_MS.0, LOAD_MS.1));
        // However slow the machine is, everybody commits something before the end.
        let first_commits = if round + 1 == plan.rounds { GROUPS as usize } else { 0 };
        let load = Load { wait, first_commits, begun: &begun, seen: &seen };
        if let Err(failure) = one_round(&mut server, round, &mut committers, &load) {
            let told = format!("commits, round {round} of {} with seed {}", plan.rounds, plan.seed);
            report.demand(told, false, failure.to_string());
            return Ok(());
        }
        if (round + 1) % 20 == 0 {
            report.say(format!("{} rounds of commits", round + 1));
        }
    }
    let mut server = launch.start()?;
    restarts.push(server.ready);
    let last = verify(server.kafka, &mut committers, &seen);
    server.stop()?;
    let sum = |count: fn(&Committer) -> u64| committers.iter().map(count).sum::<u64>();
    let commits = sum(|c| c.commits);
    report.number("commit_rounds", f64::from(plan.rounds));
    report.number("commit_starts_killed_too", f64::from(killed_starts));
    report.number("commits_acknowledged", commits as f64);
    report.number("commits_acknowledged_that_went_back_by_request", sum(|c| c.went_back) as f64);
    report.number("commits_found_without_their_answers", sum(|c| c.found_unanswered) as f64);
    report.number("generations_and_epochs", sum(|c| c.generations) as f64);
    percentiles(report, "restart_with_commits", &mut restarts);
    // Every committer of each protocol has done something, or nothing is shown.
    let idle: Vec<&str> = committers.iter().filter(|c| c.commits == 0).map(|c| c.group.as_str()).collect();
    let good = last.is_ok() && idle.is_empty();
    let seen = match last {
        Err(failure) => failure.to_string(),
        Ok(()) if good => format!("{commits} commits of {GROUPS} groups in {} rounds of kill -9", plan.rounds),
        Ok(()) => format!("nothing was acknowledged to {}", idle.join(", ")),
    };
    report.demand(
        "every acknowledged commit is there, no commit, generation or member epoch has gone back",
        good,
        seen,
    );
    Ok(())
}

/// What a round's work is, and what its threads share with those of others.
struct Load<'a> {
    /// Until the server is killed.
    wait: Duration,
    /// It is killed when so many committers have had their first commit acknowledged, if that is later.
    first_commits: usize,
    begun: &'a AtomicUsize,
    seen: &'a Seen,
}

/// Verifies what the last round left, then commits and reads until the server is killed.
fn one_round(server: &mut Server, round: u32, committers: &mut [Committer], load: &Load) -> Result<()> {
    let address = server.kafka;
    if round == 0 {
        let mut client = Client::connect(address)?;
        client.create_topic(TOPIC, PARTITIONS, &[])?;
        client.create_topic(TOPIC_MORE, 1, &[])?;
        // Who is killed before it knows its id would leave a member behind that nobody speaks for.
        on_each(committers, |_, committer| committer.begin(&mut requests::connect(address, &committer.group)?))?;
    } else {
        verify(address, committers, load.seen)?;
    }
    let (stop, names): (_, Vec<String>) =
        (AtomicBool::new(false), committers.iter().map(|c| c.group.clone()).collect());
    thread::scope(|scope| -> Result<()> {
        let stop = &stop;
        let work = move |committer: &mut Committer| committer.run(address, stop, load.begun);
        let mut hands: Vec<_> = committers.iter_mut().map(|c| scope.spawn(move || work(c))).collect();
        hands.push(scope.spawn(|| read(address, &names, stop, load.seen)));
        thread::sleep(load.wait);
        let has_begun = || Ok(load.begun.load(Ordering::Relaxed) >= load.first_commits);
        let begun = wait_until(FIRST_COMMITS_MAX, has_begun);
        let dead = !server.is_alive();
        // Nobody's connection ends before the server does.
        let gone = hands.iter().any(|hand| hand.is_finished());
        let killed = server.kill();
        stop.store(true, Ordering::Relaxed);
        let mut first = Ok(());
        for hand in hands {
            match hand.join().expect("a committer's thread does not panic") {
                Err(failure) if gone || !failure.is_lost() => first = first.and(Err(failure)),
                _ => {}
            }
        }
        if dead { wrong("the server ended by itself") } else { first.and(begun.map(drop)).and(killed) }
    })
}

/// Works with all committers at once.
fn on_each(committers: &mut [Committer], work: impl Fn(usize, &mut Committer) -> Result<()> + Sync) -> Result<()> {
    let work = &work;
    thread::scope(|scope| {
        let hands: Vec<_> = committers.iter_mut().enumerate().map(|(n, c)| scope.spawn(move || work(n, c))).collect();
        hands.into_iter().try_for_each(|hand| hand.join().expect("a committer's thread does not panic"))
    })
}

fn verify(address: SocketAddr, committers: &mut [Committer], seen: &Seen) -> Result<()> {
    let seen = std::mem::replace(&mut *seen.lock().expect("no thread panics"), vec![None; GROUPS as usize]);
    on_each(committers, |n, committer| {
        let mut client = requests::connect(address, &committer.group)?;
        committer.verify(&mut client, seen[n].as_deref())
    })
}

/// Reads what is committed while it is being committed.
fn read(address: SocketAddr, groups: &[String], stop: &AtomicBool, seen: &Seen) -> Result<()> {
    let mut client = requests::connect(address, &groups[0])?;
    while !stop.load(Ordering::Relaxed) {
        for (n, group) in groups.iter().enumerate() {
            let found = requests::committed(&mut client, group, TOPIC, PARTITIONS)?;
            seen.lock().expect("no thread panics")[n] = Some(found);
        }
    }
    Ok(())
}
