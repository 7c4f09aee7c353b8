//! How soon a loop that wakes up gets its core, when somebody else is busy there.

use std::io;

/// The least slice that Linux takes (from 6.12 on). A loop has little to do each time, and waits for its core no longer than who is on
/// it has to.
const SLICE_NS: u64 = 100_000;

/// The calling thread has short slices until this is dropped, and so have those that the kernel starts for it meanwhile, or it starts.
///
/// Who wakes up with a shorter slice than the one who runs there gets the core at once, instead of at the end of that slice, which is a
/// tick of 4 ms ("EEVDF: custom slice, preempt short"). The share of the core stays what it is. Older kernels take the call and change
/// nothing; a thread of another policy (`chrt`) is left as it is.
#[derive(Debug)]
#[must_use = "the slices are ordinary ones again when it is dropped"]
pub struct ShortSlices {
    /// What the thread had, if that was changed.
    before: Option<libc::sched_attr>,
}

impl ShortSlices {
    /// Asks the scheduler for them.
    ///
    /// # Errors
    /// The kernel or its seccomp filter refuses the calls.
    pub fn ask() -> io::Result<ShortSlices> {
        let before = attributes()?;
        let ordinary = [libc::SCHED_OTHER, libc::SCHED_BATCH]
            .iter()
            .any(|&policy| i64::from(policy) == i64::from(before.sched_policy));
        if !ordinary || (1..=SLICE_NS).contains(&before.sched_runtime) {
            return Ok(ShortSlices { before: None });
        }
        set(&libc::sched_attr { sched_runtime: SLICE_NS, ..before })?;
        Ok(ShortSlices { before: Some(before) })
    }
}

impl Drop for ShortSlices {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // What was allowed a moment ago is allowed now; and nobody depends on it.
            let _ = set(before);
        }
    }
}

fn attributes() -> io::Result<libc::sched_attr> {
    // SAFETY: the structure is of integers only, for which zeroes are valid.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = u32::try_from(size_of::<libc::sched_attr>()).expect("it is some bytes long");
    // SAFETY: `attributes` is valid for writing `size` bytes; 0 is the calling thread.
    if unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(attributes)
}

fn set(attributes: &libc::sched_attr) -> io::Result<()> {
    // SAFETY: `attributes` is valid for reading the size that stands in it; 0 is the calling thread.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const *attributes, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
