//! Ctrl-C and SIGTERM end a run, not its report: the first one is told to the run, a second one ends the process.

use crate::arrivals::{Arrivals, Left};
use crate::error::Error;
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// The signal that came; 0 before. Signals are the process's own, so this is too.
static CAUGHT: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// Catches the signals from now on.
///
/// # Errors
/// The system does not let them be caught.
pub fn watch() -> Result<(), Error> {
    if CAUGHT.get().is_some() {
        return Ok(());
    }
    let (caught, armed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    for signal in SIGNALS {
        // In the order of registration: the first signal finds it unarmed.
        flag::register_conditional_shutdown(signal, exit_code(signal).into(), Arc::clone(&armed))
            .and_then(|_| flag::register(signal, Arc::clone(&armed)))
            .and_then(|_| flag::register_usize(signal, Arc::clone(&caught), signal as usize))
            .map_err(Error::io("catching signals"))?;
    }
    // Whoever was first has registered the same.
    let _ = CAUGHT.set(caught);
    Ok(())
}

/// The signal that came, if one has.
pub fn caught() -> Option<i32> {
    let signal = CAUGHT.get()?.load(Ordering::Relaxed) as i32;
    (signal != 0).then_some(signal)
}

/// What a shell calls the end by `signal`.
pub fn exit_code(signal: i32) -> u8 {
    128 + signal as u8
}

/// What people call it.
pub fn name(signal: i32) -> &'static str {
    match signal {
        SIGINT => "Ctrl-C",
        SIGTERM => "SIGTERM",
        _ => "a signal",
    }
}

/// Wakes a runtime when a signal comes.
pub struct Bell {
    rope: Arrivals<UnixStream>,
    registered: Vec<SigId>,
}

impl Bell {
    /// Rings at the next signal.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn new() -> io::Result<Bell> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        let mut bell = Bell { rope: Arrivals::new(read)?, registered: Vec::new() };
        for signal in SIGNALS {
            bell.registered.push(low_level::pipe::register(signal, write.try_clone()?)?);
        }
        Ok(bell)
    }

    /// Waits for a signal.
    ///
    /// # Errors
    /// The pipe broke.
    pub async fn rung(&self) -> io::Result<()> {
        self.rope.take(|rope| Ok((rustix::io::read(rope, &mut [0; 8])?, Left::Nothing))).await.map(drop)
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        for id in self.registered.drain(..) {
            low_level::unregister(id);
        }
    }
}
