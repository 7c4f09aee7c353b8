//! What a command that moves records has done so far: shown on a terminal while it goes on, and said at its end.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};
use torc_base::units::rounded_size;

/// The line changes so often.
const SHOWN_EVERY: Duration = Duration::from_millis(200);

/// Records and bytes that were moved, with a line on standard error, if that is a terminal on which nothing else moves.
pub struct Tally {
    verb: &'static str,
    pub records: u64,
    pub bytes: u64,
    began: Instant,
    shown: Instant,
    bar: ProgressBar,
}

impl Tally {
    /// `verb`: what is done to records, such as `sent`. `shown`: whether there shall be a line.
    pub fn new(verb: &'static str, shown: bool) -> Tally {
        let target = if shown && io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is right"));
        let now = Instant::now();
        Tally { verb, records: 0, bytes: 0, began: now, shown: now, bar }
    }

    /// So much more was moved.
    pub fn add(&mut self, records: u64, bytes: u64) {
        (self.records, self.bytes) = (self.records + records, self.bytes + bytes);
    }

    /// Shows the line anew if it is time.
    pub fn show(&mut self) {
        if self.bar.is_hidden() || self.shown.elapsed() < SHOWN_EVERY {
            return;
        }
        self.shown = Instant::now();
        let seconds = self.began.elapsed().as_secs_f64().max(1e-3);
        let rate = rounded_size((self.bytes as f64 / seconds) as u64);
        self.bar.set_message(format!("{self}, {:.0} records/s, {rate}/s", self.records as f64 / seconds));
    }

    /// Wipes the line; on a terminal says how it ended.
    pub fn end(&self) {
        if !self.bar.is_hidden() {
            self.bar.finish_and_clear();
            eprintln!("torc: {self}");
        }
    }

    /// Wipes the line, for something else to be said.
    pub fn wipe(&self) {
        self.bar.finish_and_clear();
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let s = if self.records == 1 { "" } else { "s" };
        write!(f, "{} record{s} {}", self.records, self.verb)?;
        if self.records > 0 { write!(f, ", {}", rounded_size(self.bytes)) } else { Ok(()) }
    }
}
