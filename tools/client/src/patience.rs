//! How long a failing request is tried again.

use std::fmt;
use std::time::{Duration, Instant};

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Whoever is told to stop does so after this time at most.
const LOOK: Duration = Duration::from_millis(20);

/// Why it is not tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was tried again for so long.
    GaveUp { after: Duration, why: String },
    /// Somebody wanted it to stop.
    Stopped,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::GaveUp { after, why } => write!(f, "{why} (tried again for {} s)", after.as_secs_f64()),
            Ended::Stopped => f.write_str("it was told to stop"),
        }
    }
}

/// Tries go on until nothing has succeeded for some time, or until somebody wants them to stop.
#[derive(Clone, Debug)]
pub struct Patience {
    limit: Duration,
    stopped: fn() -> bool,
    /// The first failure since something succeeded.
    since: Option<Instant>,
    pause: Duration,
    /// The shortest pause and the longest.
    pauses: (Duration, Duration),
}

impl Patience {
    /// Gives up after failures for `limit`, or when `stopped` says so.
    pub fn new(limit: Duration, stopped: fn() -> bool) -> Patience {
        Patience { limit, stopped, since: None, pause: PAUSE_MIN, pauses: (PAUSE_MIN, PAUSE_MAX) }
    }

    /// The same with other pauses between tries.
    pub fn pauses(self, shortest: Duration, longest: Duration) -> Patience {
        Patience { pause: shortest, pauses: (shortest, longest), ..self }
    }

    /// Something succeeded.
    pub fn progress(&mut self) {
        (self.since, self.pause) = (None, self.pauses.0);
    }

    /// Waits before the next try after a failure, longer each time.
    ///
    /// # Errors
    /// The time is up, or a stop is wanted.
    pub fn again(&mut self, why: impl fmt::Display) -> Result<(), Ended> {
        let now = Instant::now();
        let end = *self.since.get_or_insert(now) + self.limit;
        if now >= end {
            return Err(Ended::GaveUp { after: self.limit, why: why.to_string() });
        }
        let next = (now + self.pause).min(end);
        self.pause = (self.pause * 2).min(self.pauses.1);
        while Instant::now() < next {
            if (self.stopped)() {
                return Err(Ended::Stopped);
            }
            std::thread::sleep(LOOK.min(next.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }
}
