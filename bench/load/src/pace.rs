//! When requests are due in an open loop.

use crate::arrivals::{Arrivals, Left};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A timer of the kernel's precision, not of milliseconds as the runtime's own.
pub struct Timer(Arrivals<OwnedFd>);

impl Timer {
    /// A timer that is not set.
    pub fn new() -> io::Result<Timer> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        Ok(Timer(Arrivals::new(fd)?))
    }

    /// Waits for so long.
    pub async fn wait(&self, time: Duration) -> io::Result<()> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A timer of zero would be none at all.
        let time = time.max(Duration::from_nanos(1));
        let value = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) };
        timerfd_settime(self.0.get(), TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value: value })?;
        // Read, it tells how often it went off.
        self.0.take(|timer| Ok((rustix::io::read(timer, &mut [0; 8])?, Left::Nothing))).await.map(drop)
    }
}

/// An even sequence of requests, and how records gather in them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Nanoseconds from one request to the next.
    gap: f64,
    /// Records of a request.
    records: u32,
    /// Nanoseconds that the first record of a request waits for the last.
    pub gather: u64,
}

impl Schedule {
    /// `rate` records per second in requests of `records`.
    pub fn new(rate: u64, records: u32, connections: u32, linger: Option<Duration>) -> Schedule {
        assert!(rate > 0 && records > 0 && connections > 0);
        let gap = 1e9 * f64::from(records) / rate as f64;
        let gather = match linger {
            // Records of one connection come one by one; the last completes the request.
            Some(_) => 1e9 * f64::from(connections) / rate as f64 * f64::from(records - 1),
            None => 0.0,
        };
        Schedule { gap, records, gather: gather as u64 }
    }

    /// Records that gather on one of `connections` within `linger` at `rate`, at most `most`.
    pub fn gathered(rate: u64, connections: u32, linger: Duration, most: u32) -> u32 {
        let each = rate as f64 / f64::from(connections);
        ((each * linger.as_secs_f64()) as u32).saturating_add(1).min(most)
    }

    /// Records and requests per second.
    pub fn rates(&self) -> (f64, f64) {
        (1e9 / self.gap * f64::from(self.records), 1e9 / self.gap)
    }

    /// When request `n` is complete and may be sent, in nanoseconds from the beginning.
    pub fn at(&self, n: u64) -> u64 {
        (n as f64 * self.gap) as u64
    }
}
