//! Figures as text: a page of all of them, or as much as a screen holds.

use super::figures::{Figures, GroupRates, Node, OTHERS, PRODUCE, Rates};
use super::terminal::Size;
use super::trend::{Glyphs, Trends};
use crate::output::{Align, Table, plain};
use torc_base::units::rounded_size;

/// A column of a table, and how soon it is left out where the table is too wide: 0 never, then the highest first.
type Column = (&'static str, Align, usize);

/// Topics that a page names, those that do most.
const TOPICS_MAX: usize = 10;

/// So many groups of consumers stand on a page that has all: those that are furthest behind.
const GROUPS_MAX: usize = 10;

/// What a screen shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Shards, stages, topics.
    Server,
    /// Consumer groups.
    Groups,
}

impl Page {
    /// The one behind it.
    pub fn next(self) -> Page {
        match self {
            Page::Server => Page::Groups,
            Page::Groups => Page::Server,
        }
    }
}

/// All figures, shards one below the other, as wide as they are.
pub fn page(address: &str, figures: &Figures) -> String {
    let mut lines = vec![title(address, figures), warnings(&figures.all).unwrap_or_default()];
    lines.extend(resources(figures));
    lines.extend(sections(figures, usize::MAX).into_iter().flatten());
    if !figures.groups.is_empty() {
        lines.push(String::new());
        lines.extend(groups(figures, usize::MAX, GROUPS_MAX));
    }
    lines.join("\n") + "\n"
}

/// What fits on a screen: every line in one row, the more important figures first. Before the first figures, and where there
/// are none, `note` says why.
pub fn screen(
    address: &str,
    figures: Option<&Figures>,
    note: Option<&str>,
    (trends, glyphs): (&Trends, Glyphs),
    (shown, size): (Page, Size),
) -> Vec<String> {
    let mut lines = vec![figures.map_or_else(|| format!("torc at {address}"), |figures| title(address, figures))];
    lines.push(note.map(str::to_string).or_else(|| warnings(&figures?.all)).unwrap_or_default());
    if let (Some(figures), Page::Groups) = (figures, shown) {
        lines.extend(groups(figures, size.columns, size.rows.saturating_sub(5)));
    }
    if let (Some(figures), Page::Server) = (figures, shown) {
        lines.extend(trends.lines(size.columns, glyphs));
        lines.extend(resources(figures));
        for section in sections(figures, size.columns) {
            // A heading without rows says nothing.
            if lines.len() + 4 <= size.rows {
                lines.extend(section);
            }
        }
    }
    lines.resize(size.rows, String::new());
    if let [_, .., last] = &mut lines[..] {
        *last = format!("q leaves, g {}", if shown == Page::Groups { "server" } else { "groups" });
    }
    lines.into_iter().map(|line| line.chars().take(size.columns).collect()).collect()
}

fn title(address: &str, figures: &Figures) -> String {
    let version = figures.version.as_ref().map(|version| format!(", {version}")).unwrap_or_default();
    let up = figures.uptime_seconds.map(|seconds| format!(", up {}", uptime(seconds))).unwrap_or_default();
    format!("torc at {address}{up}, {:.1} s{version}", figures.seconds)
}

/// What must not be overlooked.
fn warnings(all: &Rates) -> Option<String> {
    let mut text = Vec::new();
    for (count, what) in [(all.fenced, "fenced after a failed write"), (all.disk_full, "refusing producers: disk full")]
    {
        if count > 0.0 {
            text.push(format!("SHARDS {what}: {count}"));
        }
    }
    if all.slow_requests > 0.0 {
        text.push(format!("slow requests: {:.1}/s, see the server's log", all.slow_requests));
    }
    (!text.is_empty()).then(|| text.join("; "))
}

/// Disk and memory.
fn resources(figures: &Figures) -> Vec<String> {
    let bytes = |bytes: f64| rounded_size(bytes as u64);
    let known = |value: Option<f64>| value.map_or("-".to_string(), bytes);
    let used = figures.disk_free_bytes.zip(figures.disk_size_bytes).filter(|(_, size)| *size > 0.0);
    let used = used.map_or(String::new(), |(free, size)| format!("{:.0} % used, ", 100.0 * (1.0 - free / size)));
    let all = &figures.all;
    vec![
        format!("disk    {used}{} free of {}", known(figures.disk_free_bytes), known(figures.disk_size_bytes)),
        format!(
            "memory  {}: log {}, reads {}, requests {}, answers {}",
            known(figures.resident_bytes),
            bytes(all.log_memory_bytes),
            bytes(all.read_memory_bytes),
            bytes(all.request_memory_bytes),
            bytes(all.answer_memory_bytes)
        ),
    ]
}

/// Tables, each with an empty line in front, the more important first.
fn sections(figures: &Figures, width: usize) -> Vec<Vec<String>> {
    let mut rows: Vec<(String, &Rates)> = figures.shards.iter().map(|(id, rates)| (id.to_string(), rates)).collect();
    if rows.len() != 1 {
        rows.insert(0, ("all".to_string(), &figures.all));
    }
    let headed = |heading: &str, table: String| -> Vec<String> {
        let lines = [String::new(), heading.to_string()].into_iter().chain(table.lines().map(str::to_string));
        lines.enumerate().filter(|(n, line)| *n != 1 || !line.is_empty()).map(|(_, line)| line).collect()
    };
    let mut sections = if figures.nodes.is_empty() { Vec::new() } else { vec![headed("", nodes(figures, width))] };
    sections.extend([
        headed("", throughput(&rows, width)),
        headed("produce, by stage: p50 p99", stages(&rows, &PRODUCE, width)),
        headed("", topics(figures, width)),
        headed("fetch (reads from disk, total) and flush of log batches: p50 p99", stages(&rows, &OTHERS, width)),
    ]);
    sections
}

/// The nodes of a cluster. Of one that does not answer there is only that.
fn nodes(figures: &Figures, width: usize) -> String {
    let columns = [
        ("node", Align::Left, 0),
        ("state", Align::Left, 0),
        ("CPU %", Align::Right, 4),
        ("requests/s", Align::Right, 1),
        ("MB in/s", Align::Right, 2),
        ("MB out/s", Align::Right, 3),
        ("MB to nodes/s", Align::Right, 5),
        ("links", Align::Right, 6),
        ("produce p50 p99", Align::Right, 1),
        ("quorum p50 p99", Align::Right, 2),
    ];
    let cells = |node: &Node| {
        let state = if node.silent.is_some() { "does not answer" } else { "answers" };
        let mut cells = vec![super::scrape::host_of(&node.address).to_string(), state.to_string()];
        let Some(rates) = &node.rates else {
            cells.resize(columns.len(), String::new());
            return cells;
        };
        let stage = |name: &str| match rates.stages.get(name) {
            Some(times) => format!("{} {}", time(times.p50_us), time(times.p99_us)),
            None => String::new(),
        };
        cells.extend([
            node.cpu_cores.map_or(String::new(), |cores| whole(cores * 100.0)),
            whole(rates.requests),
            format!("{:.2}", rates.mb_in),
            format!("{:.2}", rates.mb_out),
            format!("{:.2}", rates.mb_to_nodes),
            whole(rates.links),
            stage("total"),
            stage("quorum"),
        ]);
        cells
    };
    fitted(&columns, figures.nodes.iter().map(cells).collect(), width)
}

fn throughput(rows: &[(String, &Rates)], width: usize) -> String {
    let columns = [
        ("shard", Align::Left, 0),
        ("cpu %", Align::Right, 4),
        ("conns", Align::Right, 3),
        ("requests/s", Align::Right, 0),
        ("records in/s", Align::Right, 6),
        ("MB in/s", Align::Right, 1),
        ("records out/s", Align::Right, 7),
        ("MB out/s", Align::Right, 2),
        ("flushes/s", Align::Right, 5),
        ("bytes/batch", Align::Right, 8),
        ("entries/batch", Align::Right, 9),
    ];
    let cells = |(name, rates): &(String, &Rates)| {
        vec![
            name.clone(),
            rates.cpu_cores.map_or(String::new(), |cores| whole(cores * 100.0)),
            whole(rates.connections),
            whole(rates.requests),
            whole(rates.records_in),
            format!("{:.2}", rates.mb_in),
            whole(rates.records_out),
            format!("{:.2}", rates.mb_out),
            whole(rates.flushes),
            whole(rates.batch_bytes),
            format!("{:.1}", rates.batch_entries),
        ]
    };
    fitted(&columns, rows.iter().map(cells).collect(), width)
}

fn stages<const N: usize>(rows: &[(String, &Rates)], names: &[&'static str; N], width: usize) -> String {
    // The whole is worth most, then the flush, which is the larger part of it, then what stands last.
    let worth = |name: &str| match name {
        "total" | "fetch_total" => 1,
        "flush" | "quorum" | "torc_wal_flush" => 2,
        "wal_wait" => 3,
        _ => 4,
    };
    let heading = |name: &&'static str| (name.strip_prefix("torc_").unwrap_or(name), Align::Right, worth(name));
    let columns: Vec<Column> = [("shard", Align::Left, 0)].into_iter().chain(names.iter().map(heading)).collect();
    let cells = |(name, rates): &(String, &Rates)| {
        let cell = |stage: &&str| match rates.stages.get(*stage) {
            Some(times) => format!("{} {}", time(times.p50_us), time(times.p99_us)),
            None => String::new(),
        };
        [name.clone()].into_iter().chain(names.iter().map(cell)).collect()
    };
    fitted(&columns, rows.iter().map(cells).collect(), width)
}

/// Those topics that move most bytes.
fn topics(figures: &Figures, width: usize) -> String {
    let mut topics: Vec<_> = figures.topics.iter().collect();
    topics.sort_by(|(_, a), (_, b)| (b.mb_in + b.mb_out).total_cmp(&(a.mb_in + a.mb_out)));
    let columns = [
        ("topic", Align::Left, 0),
        ("records in/s", Align::Right, 3),
        ("MB in/s", Align::Right, 1),
        ("records out/s", Align::Right, 4),
        ("MB out/s", Align::Right, 2),
    ];
    // A long name shall not push the figures out.
    let room = (width / 2).max(16);
    let cells = topics.iter().take(TOPICS_MAX).map(|(name, rates)| {
        vec![
            name.chars().take(room).collect(),
            whole(rates.records_in),
            format!("{:.2}", rates.mb_in),
            whole(rates.records_out),
            format!("{:.2}", rates.mb_out),
        ]
    });
    fitted(&columns, cells.collect(), width)
}

/// Those groups that are furthest behind, and how many there are besides.
fn groups(figures: &Figures, width: usize, most: usize) -> Vec<String> {
    if figures.groups.is_empty() {
        return vec!["no consumer groups".to_string()];
    }
    let mut groups: Vec<_> = figures.groups.iter().collect();
    // Of whom it is not known how far behind they are, is what has to be looked at first.
    let lag = |group: &GroupRates| group.lag.unwrap_or(f64::INFINITY);
    groups.sort_by(|(_, a), (_, b)| lag(b).total_cmp(&lag(a)));
    let columns = [
        ("group", Align::Left, 0),
        ("state", Align::Left, 2),
        ("members", Align::Right, 3),
        ("lag", Align::Right, 0),
        ("committed/s", Align::Right, 1),
    ];
    // A long name shall not push the figures out.
    let room = (width / 2).max(16);
    let known = |number: Option<f64>| number.map_or(String::new(), whole);
    let cells = groups.iter().take(most.max(1)).map(|(name, rates)| {
        vec![
            plain(name).chars().take(room).collect(),
            rates.state.clone().unwrap_or_default(),
            known(rates.members),
            known(rates.lag),
            whole(rates.committed),
        ]
    });
    let mut lines: Vec<String> = fitted(&columns, cells.collect(), width).lines().map(str::to_string).collect();
    let without = groups.len().saturating_sub(most.max(1));
    if without > 0 {
        lines.push(format!("and {without} more, less far behind"));
    }
    lines
}

/// A table without the columns that `width` has no room for.
fn fitted(columns: &[Column], rows: Vec<Vec<String>>, width: usize) -> String {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    loop {
        let headings: Vec<_> = kept.iter().map(|at| (columns[*at].0, columns[*at].1)).collect();
        let mut table = Table::new(&headings);
        for row in &rows {
            table.row_of(kept.iter().map(|at| row[*at].clone()).collect());
        }
        let text = table.to_string();
        // Of equals the last goes first.
        let worst = kept.iter().copied().filter(|at| columns[*at].2 > 0).max_by_key(|at| columns[*at].2);
        match worst {
            Some(worst) if text.lines().any(|line| line.chars().count() > width) => kept.retain(|at| *at != worst),
            _ => return text,
        }
    }
}

/// Without a fraction.
pub fn whole(number: f64) -> String {
    format!("{number:.0}")
}

/// In the two largest units.
fn uptime(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Three digits and the unit. Times of the first bucket are nobody knows how much less than a microsecond.
pub fn time(us: f64) -> String {
    if us <= 1.024 {
        return "<1us".to_string();
    }
    let (number, unit) = match us {
        ..1e3 => (us, "us"),
        1e3..1e6 => (us / 1e3, "ms"),
        _ => (us / 1e6, "s"),
    };
    let digits = if number < 9.995 { 2 } else { usize::from(number < 99.95) };
    format!("{number:.digits$}{unit}")
}
