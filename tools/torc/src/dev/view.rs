//! What a screen shows of the nodes and of the clients' waits.

use super::nodes::State;
use crate::output::{Align, Table, plain};
use crate::top::terminal::Size;
use crate::top::trend::{Glyphs, bars};
use std::collections::VecDeque;
use std::time::Duration;

/// A node, as it is shown.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: u32,
    pub state: State,
    pub pid: Option<u32>,
    pub kafka: String,
    pub controller: bool,
    /// Partitions that it leads, replicas that it keeps, and those of them that are in sync. `None`: nobody says.
    pub shares: Option<(usize, usize, usize)>,
}

/// All that is shown.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub dir: String,
    pub rows: Vec<Row>,
    /// Acks in each of the last looks, the oldest first.
    pub acks: VecDeque<Option<f64>>,
    pub acknowledged: u64,
    /// How long some partition waits now.
    pub waiting: Option<Duration>,
    /// The last and the longest wait that is over.
    pub last: Option<Duration>,
    pub longest: Option<Duration>,
    /// What happened, the newest last.
    pub events: VecDeque<String>,
    /// A letter that waits for its digit.
    pub pending: Option<char>,
}

fn time(time: Option<Duration>) -> String {
    time.map_or("-".to_string(), |time| format!("{} ms", time.as_millis()))
}

impl View {
    /// Lines for a screen of this size; what has no room is left out, the oldest events first.
    pub fn screen(&self, glyphs: Glyphs, size: Size) -> Vec<String> {
        let mut lines = vec![format!("torc dev: {} nodes in {}", self.rows.len(), plain(&self.dir)), String::new()];
        lines.extend(self.table().to_string().lines().map(str::to_string));
        lines.push(String::new());
        let waits = match self.waiting {
            Some(waiting) => format!("NOW WAITING {} ms", waiting.as_millis()),
            None => "no client waits".to_string(),
        };
        lines.push(format!(
            "{} writes acknowledged; {waits}; last gap {}, longest {}",
            self.acknowledged,
            time(self.last),
            time(self.longest)
        ));
        let acks: Vec<Option<f64>> = self.acks.iter().copied().collect();
        lines.push(format!(
            "acks  {}",
            bars(&acks[acks.len().saturating_sub(size.columns.saturating_sub(6))..], glyphs)
        ));
        lines.push(String::new());
        let room = size.rows.saturating_sub(lines.len() + 2);
        lines.extend(self.events.iter().skip(self.events.len().saturating_sub(room)).map(|event| plain(event)));
        lines.resize(size.rows, String::new());
        if let [_, .., last] = &mut lines[..] {
            *last = self.hint();
        }
        lines.into_iter().map(|line| line.chars().take(size.columns).collect()).collect()
    }

    /// The rows without the looks of a screen.
    fn table(&self) -> Table {
        let mut table = Table::new(&[
            ("NODE", Align::Right),
            ("STATE", Align::Left),
            ("PID", Align::Right),
            ("KAFKA", Align::Left),
            ("ROLE", Align::Left),
            ("LEADS", Align::Right),
            ("IN SYNC", Align::Right),
        ]);
        for row in &self.rows {
            let (leads, in_sync) = row.shares.map_or((String::new(), String::new()), |(leads, replicas, in_sync)| {
                (leads.to_string(), format!("{in_sync} of {replicas}"))
            });
            table.row([
                row.id.to_string(),
                row.state.name().to_string(),
                row.pid.map(|pid| pid.to_string()).unwrap_or_default(),
                row.kafka.clone(),
                if row.controller { "controller".to_string() } else { String::new() },
                leads,
                in_sync,
            ]);
        }
        table
    }

    fn hint(&self) -> String {
        let to = format!("1 to {}", self.rows.len());
        match (self.pending, self.rows.len()) {
            (Some('k'), _) => format!("kill node: {to}"),
            (Some('p'), _) => format!("pause node, or let it go on: {to}"),
            (Some(_), _) => format!("restart node: {to}"),
            (None, 1) => "k kills, p pauses or lets go on, r restarts, q ends all".to_string(),
            (None, _) => "k1 kills node 1, p1 pauses it or lets it go on, r1 restarts it, q ends all".to_string(),
        }
    }
}
