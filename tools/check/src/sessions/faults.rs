//! Counters, locks and queues on three nodes, to which something happens again and again.

use super::moves::patiently;
use super::recipes::{Book, roles};
use super::{Plan, znode};
use crate::cluster::{Kind, Nodes, RECOVERY_MAX, Strike, resting};
use crate::failure::{Failure, Result, wrong};
use crate::kill::wait_until;
use crate::report::{Report, ms};
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;
use torc_base::prng::Prng;
use torc_net::zookeeper::Kind as ZnodeKind;

/// What is measured, besides the pauses of each kind.
pub const NUMBERS: &[&str] = &["fault_rounds", "counted", "locked", "queued"];

/// What happens if nothing else is asked for.
const USUAL: &[Kind] = &[Kind::Kill, Kind::Pause, Kind::All, Kind::Rolling];
const CLIENTS: usize = 12;
/// A client gives up a server that says nothing for so long: what a pause costs those whose server it hits.
const TIMEOUT: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_secs(10);
/// Something happens at a moment of this span after the last round is over.
const LOAD_MS: (u64, u64) = (100, 600);
const GAP_MAX: Duration = Duration::from_secs(2);
const GAP_MEDIAN_MAX: Duration = Duration::from_millis(700);
const GRADED: u32 = 10;

/// Rounds of all kinds in a random order, then the books are settled.
pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let kinds: Vec<Kind> = if plan.faults.is_empty() { USUAL.to_vec() } else { plan.faults.clone() };
    let mut prng = Prng::new(plan.seed);
    let mut order: Vec<Kind> = kinds.iter().flat_map(|kind| vec![*kind; plan.rounds as usize]).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, prng.below(at as u64 + 1) as usize);
    }
    let mut nodes = Nodes::new(&resting(plan.torc.clone(), plan.dir.clone(), 3, 1), &kinds)?;
    let servers = nodes.serve_zookeeper()?;
    nodes.start_all(RECOVERY_MAX)?;
    let book = Book::new(&servers, TIMEOUT, CLIENTS);
    book.prepare(&mut patiently(&servers)?)?;
    let mut gaps: BTreeMap<Kind, Vec<Duration>> = BTreeMap::new();
    let result = thread::scope(|scope| {
        let work = roles(CLIENTS).into_iter().enumerate();
        let book = &book;
        let hands: Vec<_> = work.map(|(number, role)| scope.spawn(move || book.work(number, role))).collect();
        let result = order.iter().enumerate().try_for_each(|(number, kind)| {
            let longest = round(*kind, &mut nodes, book, &mut prng)
                .map_err(|failure| Failure::Wrong(format!("round {number}, {}: {failure}", kind.name())))?;
            gaps.entry(*kind).or_default().extend(longest);
            if (number + 1) % 20 == 0 {
                report.say(format!("{} rounds of {}", number + 1, order.len()));
            }
            Ok(())
        });
        book.stop();
        hands.into_iter().for_each(|hand| hand.join().expect("no client panics"));
        result
    });
    let settled = result.and_then(|()| {
        let mut client = patiently(&servers)?;
        book.settle(&mut client)?;
        // Sessions that could not end in order end by themselves; then nothing of them is left.
        let gone = wait_until(RECOVERY_MAX, || Ok(client.descendants("/lock")? == 0))?;
        client.create(&znode("/last", b"", ZnodeKind::Persistent))?;
        if gone { Ok(()) } else { wrong("ephemeral znodes of sessions that have ended are there") }
    });
    if let Err(failure) = settled {
        return wrong(format!("seed {}: {failure}\n{}", plan.seed, nodes.logs()));
    }
    nodes.stop_all()?;
    measured(plan, &book, &mut gaps, report);
    Ok(())
}

/// It happens; returns how long each client waited. When this returns, all is as before.
fn round(kind: Kind, nodes: &mut Nodes, book: &Book, prng: &mut Prng) -> Result<Vec<Duration>> {
    thread::sleep(Duration::from_millis(prng.between(LOAD_MS.0, LOAD_MS.1)));
    book.check()?;
    let running = nodes.running();
    let node = running[prng.below(running.len() as u64) as usize];
    book.begin_round();
    let strike = Strike { kind, pause: PAUSE };
    strike.run(nodes, node, prng, |_| Ok(()))?;
    await_all(book)?;
    let longest = book.longest();
    nodes.start_all(RECOVERY_MAX)?;
    await_all(book)?;
    book.check()?;
    Ok(longest)
}

/// Waits until every client was served again.
fn await_all(book: &Book) -> Result<()> {
    let before = book.marks();
    let is_served = || Ok(book.check().is_err() || book.marks().iter().zip(&before).all(|(now, then)| now > then));
    match wait_until(RECOVERY_MAX, is_served)? {
        true => book.check(),
        false => {
            let waiting = book.marks().iter().zip(&before).filter(|(now, then)| now == then).count();
            wrong(format!("{waiting} clients are not served for {RECOVERY_MAX:?}"))
        }
    }
}

fn measured(plan: &Plan, book: &Book, gaps: &mut BTreeMap<Kind, Vec<Duration>>, report: &mut Report) {
    let sums = book.sums();
    report.number("fault_rounds", f64::from(plan.rounds) * gaps.len() as f64);
    report.number("counted", sums.counted as f64);
    report.number("locked", sums.locked as f64);
    report.number("queued", sums.queued as f64);
    for (kind, gaps) in gaps {
        gaps.sort();
        let (median, most) = (gaps[(gaps.len() - 1) / 2], gaps[gaps.len() - 1]);
        let name = kind.name();
        report.number(format!("{name}_wait_p50_ms"), ms(median));
        report.number(format!("{name}_wait_max_ms"), ms(most));
        // In the others what clients wait for is a start, or their own patience.
        if *kind == Kind::Kill && plan.rounds >= GRADED {
            report.demand_within(format!("{name}: the longest wait of a client"), most, GAP_MAX);
            report.demand_within(format!("{name}: the median of the longest waits"), median, GAP_MEDIAN_MAX);
        }
    }
    let something = sums.counted > 0 && sums.locked > 0 && sums.queued > 0;
    let seen = format!("{} counts, {} locks, {} taken from the queue", sums.counted, sums.locked, sums.queued);
    report.demand("counters, locks and queues came out right", something, seen);
}
