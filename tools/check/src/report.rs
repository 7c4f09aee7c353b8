//! What a check did, measured and found.

use serde::Serialize;
use std::time::Duration;

/// The result of one subcommand.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The promise, by its subcommand.
    pub check: &'static str,
    pub passed: u32,
    pub failed: u32,
    pub lines: Vec<Line>,
    /// In the order of measuring: name with its unit, number; `None`: it was not measured.
    pub numbers: Vec<(String, Option<f64>)>,
    /// Progress goes to standard error as it comes.
    #[serde(skip)]
    pub quiet: bool,
}

/// One demand and whether it was met.
#[derive(Debug, Serialize)]
pub struct Line {
    pub what: String,
    pub good: bool,
    /// What was seen.
    pub seen: String,
    /// The demand is one of time.
    pub of_time: bool,
}

impl Report {
    /// An empty report.
    pub fn new(check: &'static str) -> Report {
        Report { check, ..Report::default() }
    }

    /// Notes whether a demand was met; returns it.
    pub fn demand(&mut self, what: impl Into<String>, good: bool, seen: impl Into<String>) -> bool {
        let line = Line { what: what.into(), good, seen: seen.into(), of_time: false };
        if !self.quiet {
            eprintln!("{}  {}: {}", if good { "ok  " } else { "FAIL" }, line.what, line.seen);
        }
        if good {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        self.lines.push(line);
        good
    }

    /// Notes whether a demand was met that a busy machine may fail.
    pub fn demand_of_time(&mut self, what: impl Into<String>, good: bool, seen: impl Into<String>) {
        self.demand(what, good, seen);
        self.lines.last_mut().expect("just noted").of_time = true;
    }

    /// Notes whether something took less than `limit`.
    pub fn demand_within(&mut self, what: impl Into<String>, took: Duration, limit: Duration) {
        self.demand_of_time(format!("{} in under {limit:?}", what.into()), took < limit, format!("{took:.0?}"));
    }

    /// Notes a number; the name ends with its unit.
    pub fn number(&mut self, name: impl Into<String>, value: f64) {
        let name = name.into();
        if !self.quiet {
            eprintln!("      {name} = {value:.3}");
        }
        self.numbers.push((name, Some(value)));
    }

    /// Notes that these numbers, as far as they are not there, were not measured.
    pub fn not_measured(&mut self, names: &[&str]) {
        for name in names {
            if self.numbers.iter().all(|(noted, _)| noted != name) {
                self.numbers.push((name.to_string(), None));
            }
        }
    }

    /// Says what is being done.
    pub fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            eprintln!("      {}", text.as_ref());
        }
    }

    /// For people: numbers, demands, the count.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.check);
        for (name, value) in &self.numbers {
            let value = value.map_or("-".to_string(), |value| format!("{value:.3}"));
            text += &format!("  {name:<48} {value:>14}\n");
        }
        for line in &self.lines {
            text += &format!("  {}  {}: {}\n", if line.good { "ok  " } else { "FAIL" }, line.what, line.seen);
        }
        text + &format!("{} passed, {} failed\n", self.passed, self.failed)
    }

    /// For tests: panics with everything that failed. Times are not judged: the machine may be busy.
    pub fn assert_good(&self) {
        assert!(self.lines.iter().any(|line| line.good && !line.of_time), "nothing was checked");
        let failed = self.lines.iter().any(|line| !line.good && !line.of_time);
        assert!(!failed, "{}", self.to_text());
    }
}

/// Milliseconds with fractions.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Adds p50, p99 and maximum of `times` under `name`.
pub fn percentiles(report: &mut Report, name: &str, times: &mut [Duration]) {
    times.sort();
    let Some(last) = times.last().copied() else { return };
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    let (half, most) = (at(0.5), at(0.99));
    report.number(format!("{name}_p50_ms"), ms(half));
    report.number(format!("{name}_p99_ms"), ms(most));
    report.number(format!("{name}_max_ms"), ms(last));
}
