//! The two clocks, read once per turn and handed to the core with each event.

use torc_base::time::{Mono, Now, Wall};

fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `at` is valid for writing a timespec.
    let result = unsafe { libc::clock_gettime(clock, &mut at) };
    assert_eq!(result, 0, "Linux always has these clocks");
    at
}

/// Nanoseconds of CLOCK_MONOTONIC.
pub(crate) fn mono() -> Mono {
    let at = read(libc::CLOCK_MONOTONIC);
    Mono(at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64)
}

/// Both clocks.
pub(crate) fn now() -> Now {
    let wall = read(libc::CLOCK_REALTIME);
    Now { mono: mono(), wall: Wall(wall.tv_sec * 1000 + wall.tv_nsec / 1_000_000) }
}
