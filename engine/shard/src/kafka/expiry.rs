//! Requests that say how long they may take (`timeout_ms`): at that time they are answered with what is there, which is
//! REQUEST_TIMED_OUT for the rest.
//!
//! Small requests pay one comparison for it: when the time is up stands with the waiting request, and no queue is kept
//! in the order of times. Instead all that waits is looked through when the earliest of the times has come, and then the
//! earliest of those that still wait is known again. As requests of one kind name the same time (30 s with most
//! clients) and are nearly all answered long before, that is one look in 30 s, at what waits just then.

use crate::mail::Token;
use torc_base::time::Mono;

/// Of requests without a time.
pub const NEVER: Mono = Mono(u64::MAX);
/// Rest between two looks, so that clients with many different times cannot make each turn a look.
const REST_MS: u64 = 100;
/// What shorter times count as. Kafka has a record at once where a single replica is asked for, even with a time of 0;
/// here it waits for the disk, which is not to be taken for a failure.
const TIMEOUT_MIN_MS: u64 = 500;

/// When a request that came at `now` with `timeout_ms` is answered at the latest.
pub fn limit(now: Mono, timeout_ms: i32) -> Mono {
    now.plus_ms(u64::try_from(timeout_ms).unwrap_or(0).max(TIMEOUT_MIN_MS))
}

/// When what waits is looked through.
pub struct Expiry {
    /// No request that waits has an earlier time.
    earliest: Mono,
    /// The rest after the last look ends here.
    rested: Mono,
}

impl Default for Expiry {
    fn default() -> Expiry {
        Expiry { earliest: NEVER, rested: Mono(0) }
    }
}

impl Expiry {
    /// A request waits until `expires` at the latest.
    pub fn note(&mut self, expires: Mono) {
        self.earliest = self.earliest.min(expires);
    }

    /// When the next look is due; `None` if nothing has a time.
    pub fn due(&self) -> Option<Mono> {
        (self.earliest != NEVER).then(|| self.earliest.max(self.rested))
    }

    /// Those of `pending` whose time is up, if it is time to look.
    pub fn look(&mut self, now: Mono, pending: impl Iterator<Item = (Token, Mono)>) -> Vec<Token> {
        if self.due().is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.rested = now.plus_ms(REST_MS);
        self.earliest = NEVER;
        let mut expired = Vec::new();
        for (token, expires) in pending {
            if expires <= now {
                expired.push(token);
            } else {
                self.note(expires);
            }
        }
        expired
    }
}

#[cfg(test)]
#[path = "expiry_tests.rs"]
mod tests;
