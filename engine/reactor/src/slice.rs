//! How soon a loop that wakes up gets its core, when somebody else is busy there.

use std::io;

/// The least slice that Linux takes (from 6.12 on). A loop has little to do each time, and waits for its core no longer than who is on
/// it has to.
const SLICE_NS: u64 = 100_000;

/// Asks the scheduler for short slices of the calling thread: who wakes up with a shorter slice than the one who runs there gets the core
/// at once, instead of at the end of that slice (3 to 4 ms; "EEVDF: custom slice, preempt short"). The share of the core stays what it
/// is. Older kernels take the call and change nothing; a thread of another policy (`chrt`) is left as it is.
///
/// # Errors
/// The kernel or its seccomp filter refuses the calls.
pub(crate) fn shorten() -> io::Result<()> {
    // SAFETY: the structure is of integers only, for which zeroes are valid.
    let mut of_thread: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = u32::try_from(size_of::<libc::sched_attr>()).expect("it is some bytes long");
    // SAFETY: `of_thread` is valid for writing `size` bytes; 0 is the calling thread.
    if unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut of_thread, size, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let ordinary = [libc::SCHED_OTHER, libc::SCHED_BATCH]
        .iter()
        .any(|&policy| i64::from(policy) == i64::from(of_thread.sched_policy));
    if !ordinary || (1..=SLICE_NS).contains(&of_thread.sched_runtime) {
        return Ok(());
    }
    of_thread.sched_runtime = SLICE_NS;
    // SAFETY: `of_thread` is valid for reading the size that stands in it.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const of_thread, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
