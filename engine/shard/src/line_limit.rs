//! Few lines of one kind in the log, and how many were left out.

use torc_base::time::Mono;

/// Lets so many lines through in a span of time and counts the others.
#[derive(Debug)]
pub struct LineLimit {
    max: u32,
    span_ms: u64,
    /// End of the span that `lines` counts.
    until: Mono,
    lines: u32,
    /// Lines that were not let through since the last one that was.
    left_out: u64,
}

impl LineLimit {
    /// At most `max` lines in `span_ms` milliseconds from the first one on.
    pub fn new(max: u32, span_ms: u64) -> LineLimit {
        LineLimit { max, span_ms, until: Mono(0), lines: 0, left_out: 0 }
    }

    /// A line an hour, about what stays as it is until somebody changes it.
    pub fn hourly() -> LineLimit {
        LineLimit::new(1, 3_600_000)
    }

    /// A line is to be written: `None` if it must not, else how many were left out before it.
    pub fn admit(&mut self, now: Mono) -> Option<u64> {
        if now >= self.until {
            (self.until, self.lines) = (now.plus_ms(self.span_ms), 0);
        }
        if self.lines == self.max {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }

    /// When [`LineLimit::take_left_out`] has something to tell, unless a line tells it before.
    pub fn due(&self) -> Option<Mono> {
        (self.left_out > 0).then_some(self.until)
    }

    /// How many lines were left out in a span that is over; each is told of once.
    pub fn take_left_out(&mut self, now: Mono) -> Option<u64> {
        let due = self.due().is_some_and(|due| due <= now);
        due.then(|| std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
#[path = "line_limit_tests.rs"]
mod tests;
