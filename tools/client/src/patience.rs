//! How long a failing request is tried again.

use crate::topic::TopicError;
use std::fmt::Display;
use std::time::{Duration, Instant};

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Whoever is told to stop does so after this time at most.
const LOOK: Duration = Duration::from_millis(20);

/// Tries go on until nothing has succeeded for some time, or until somebody wants them to stop.
#[derive(Clone, Debug)]
pub struct Patience {
    limit: Duration,
    stopped: fn() -> bool,
    /// The first failure since something succeeded.
    since: Option<Instant>,
    pause: Duration,
}

impl Patience {
    /// Gives up after failures for `limit`, or when `stopped` says so.
    pub fn new(limit: Duration, stopped: fn() -> bool) -> Patience {
        Patience { limit, stopped, since: None, pause: PAUSE_MIN }
    }

    /// Something succeeded.
    pub fn progress(&mut self) {
        (self.since, self.pause) = (None, PAUSE_MIN);
    }

    /// Waits before the next try after a failure, longer each time.
    ///
    /// # Errors
    /// The time is up, or a stop is wanted.
    pub fn again(&mut self, why: impl Display) -> Result<(), TopicError> {
        let now = Instant::now();
        let end = *self.since.get_or_insert(now) + self.limit;
        if now >= end {
            return Err(TopicError::GaveUp { after: self.limit, why: why.to_string() });
        }
        let next = (now + self.pause).min(end);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        while Instant::now() < next {
            if (self.stopped)() {
                return Err(TopicError::Stopped);
            }
            std::thread::sleep(LOOK.min(next.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }
}
