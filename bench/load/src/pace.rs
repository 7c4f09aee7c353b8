//! When requests are due in an open loop.

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timer of the kernel's precision, not of milliseconds as the runtime's own. No read of it is ever left to the ring: one
/// that is under way when the runtime ends would write into memory that the runtime has freed.
pub struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// A timer that is not set.
    pub fn new() -> io::Result<Timer> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        #[expect(
            deprecated,
            reason = "its successor leaves it to the caller that the descriptor stays open; an OwnedFd keeps it open"
        )]
        Ok(Timer(AsyncFd::with_interest(fd, Interest::READABLE)?))
    }

    /// Waits for so long.
    pub async fn wait(&self, time: Duration) -> io::Result<()> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A timer of zero would be none at all.
        let time = time.max(Duration::from_nanos(1));
        let value = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value: value })?;
        loop {
            let mut ready = self.0.readable().await?;
            // How often it went off.
            match rustix::io::read(&self.0, &mut [0; 8]) {
                Ok(_) => {
                    ready.clear_ready();
                    return Ok(());
                }
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// An even sequence of requests, and how records gather in them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Nanoseconds from one request to the next.
    gap: f64,
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
        Schedule { gap, gather: gather as u64 }
    }

    /// Records that gather on one of `connections` within `linger` at `rate`, at most `most`.
    pub fn gathered(rate: u64, connections: u32, linger: Duration, most: u32) -> u32 {
        let each = rate as f64 / f64::from(connections);
        ((each * linger.as_secs_f64()) as u32).saturating_add(1).min(most)
    }

    /// When request `n` is complete and may be sent, in nanoseconds from the beginning.
    pub fn at(&self, n: u64) -> u64 {
        (n as f64 * self.gap) as u64
    }
}
