//! Figures as a page of text.

use super::figures::{Figures, OTHERS, PRODUCE, Rates};
use crate::output::{Align, Table};

/// Puts a page where the one before was: each line over the old one, and nothing of the old one below. `first`
/// clears what the terminal showed before.
pub fn frame(page: &str, first: bool) -> String {
    let clear = if first { "\x1b[2J" } else { "" };
    let lines: String = page.lines().map(|line| format!("{line}\x1b[K\r\n")).collect();
    format!("{clear}\x1b[H{lines}\x1b[J")
}

/// All figures, shards one below the other.
pub fn page(address: &str, figures: &Figures) -> String {
    let mut rows: Vec<(String, &Rates)> = figures.shards.iter().map(|(id, rates)| (id.to_string(), rates)).collect();
    if rows.len() != 1 {
        rows.insert(0, ("all".to_string(), &figures.all));
    }
    let mut page = format!("torc at {address}, {:.1} s{}\n\n", figures.seconds, warnings(&figures.all));
    page += &format!("{}\n", throughput(&rows));
    page += &format!("produce, by stage: p50 p99\n{}\n", stages(&rows, &PRODUCE));
    page += &format!("fetch (reads from disk, total) and flush of log batches: p50 p99\n{}", stages(&rows, &OTHERS));
    page
}

/// What must not be overlooked.
fn warnings(all: &Rates) -> String {
    let mut text = String::new();
    for (count, what) in [(all.fenced, "fenced after a failed write"), (all.disk_full, "refusing producers: disk full")]
    {
        if count > 0.0 {
            text += &format!("; SHARDS {what}: {count}");
        }
    }
    if all.slow_requests > 0.0 {
        text += &format!("; slow requests: {:.1}/s, see the server's log", all.slow_requests);
    }
    text
}

fn throughput(rows: &[(String, &Rates)]) -> Table {
    let mut table = Table::new(&[
        ("shard", Align::Left),
        ("conns", Align::Right),
        ("requests/s", Align::Right),
        ("records in/s", Align::Right),
        ("MB in/s", Align::Right),
        ("records out/s", Align::Right),
        ("MB out/s", Align::Right),
        ("flushes/s", Align::Right),
        ("bytes/batch", Align::Right),
        ("entries/batch", Align::Right),
    ]);
    for (name, rates) in rows {
        table.row([
            name.clone(),
            whole(rates.connections),
            whole(rates.requests),
            whole(rates.records_in),
            format!("{:.2}", rates.mb_in),
            whole(rates.records_out),
            format!("{:.2}", rates.mb_out),
            whole(rates.flushes),
            whole(rates.batch_bytes),
            format!("{:.1}", rates.batch_entries),
        ]);
    }
    table
}

fn stages<const N: usize>(rows: &[(String, &Rates)], names: &[&'static str; N]) -> String {
    let heading = |name: &&'static str| (name.strip_prefix("torc_").unwrap_or(name), Align::Right);
    let columns: Vec<(&'static str, Align)> =
        [("shard", Align::Left)].into_iter().chain(names.iter().map(heading)).collect();
    let mut table = Table::new(&columns);
    for (name, rates) in rows {
        let cell = |stage: &&str| match rates.stages.get(*stage) {
            Some(times) => format!("{} {}", time(times.p50_us), time(times.p99_us)),
            None => String::new(),
        };
        table.row_of([name.clone()].into_iter().chain(names.iter().map(cell)).collect());
    }
    table.to_string()
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}

/// Three digits and the unit.
pub fn time(us: f64) -> String {
    let (number, unit) = match us {
        ..1e3 => (us, "us"),
        1e3..1e6 => (us / 1e3, "ms"),
        _ => (us / 1e6, "s"),
    };
    let digits = if number < 9.995 { 2 } else { usize::from(number < 99.95) };
    format!("{number:.digits$}{unit}")
}
