//! What is shown on the terminal while a run goes on.

use crate::recorder::Second;
use crate::units::{thousands, three_digits, time_or_none};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// A line with the state of the run, on standard error and only if that is a terminal.
pub struct Progress {
    bar: ProgressBar,
    title: String,
    warming: bool,
}

impl Progress {
    /// Shown at once, unless `quiet`.
    pub fn new(title: &str, warmup: Duration, duration: Duration, quiet: bool) -> Progress {
        let length = (warmup + duration).as_millis() as u64;
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(length), target);
        let style = ProgressStyle::with_template("{prefix} {bar:30} {msg}").expect("the template is right");
        bar.set_style(style);
        bar.set_prefix(title.to_string());
        Progress { bar, title: title.to_string(), warming: true }
    }

    /// The warm-up is over.
    pub fn measure(&mut self) {
        self.warming = false;
        self.bar.set_prefix(self.title.clone());
    }

    /// What the last second brought.
    pub fn show(&mut self, second: &Second) {
        self.bar.inc((second.length_s * 1e3) as u64);
        let rate = thousands((second.requests as f64 / second.length_s) as u64);
        let bandwidth = three_digits(second.payload_bytes as f64 / second.length_s / 1e6);
        let phase = if self.warming { " (warm-up)" } else { "" };
        self.bar.set_message(format!(
            "{rate} requests/s, {bandwidth} MB/s, p50 {}, p99 {}{phase}",
            time_or_none(second.p50_ns),
            time_or_none(second.p99_ns)
        ));
    }

    /// Wipes the line.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
