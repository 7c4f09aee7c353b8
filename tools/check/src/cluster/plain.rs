//! Plain files that are written and read at a given rate: what the machine's one disk and two cores make of such a load by
//! themselves, whoever it comes from.

use crate::failure::{Failure, Result};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{pread, pwrite};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use torc_base::buf::{BufMut, Pool};

/// Bytes of each operation: about what a server's are when it sends and takes in old batches.
const OP_BYTES: usize = 1 << 20;
const FILE_BYTES: usize = 256 << 20;

/// A way over the disk: durable writes, or reads, of a file of its own.
struct Way {
    file: std::os::fd::OwnedFd,
    bytes: BufMut,
    writes: bool,
}

impl Way {
    /// With its file written once.
    fn new(dir: &Path, writes: bool) -> Result<Way> {
        let path = dir.join(if writes { "plain-writes" } else { "plain-reads" });
        let what = |error: rustix::io::Errno| Failure::Wrong(format!("{}: {error}", path.display()));
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::DIRECT | OFlags::DSYNC;
        let file = open(&path, flags, Mode::from_raw_mode(0o600)).map_err(what)?;
        let mut bytes: BufMut = Pool::new(usize::MAX, 0).take(OP_BYTES).expect("no limit");
        bytes.fill(7);
        for at in (0..FILE_BYTES).step_by(OP_BYTES) {
            pwrite(&file, &bytes, at as u64).map_err(what)?;
        }
        Ok(Way { file, bytes, writes })
    }

    /// Operation after operation, at `rate` bytes a second, until it is to stop.
    fn run(&mut self, rate: f64, stop: &AtomicBool, moved: &AtomicU64) -> Result<()> {
        let began = Instant::now();
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let at = (number * OP_BYTES % FILE_BYTES) as u64;
            let done = match self.writes {
                true => pwrite(&self.file, &self.bytes, at),
                false => pread(&self.file, &mut self.bytes[..], at),
            };
            done.map_err(|error| Failure::Wrong(format!("a plain file: {error}")))?;
            moved.fetch_add(OP_BYTES as u64, Ordering::Relaxed);
            let due = Duration::from_secs_f64((number + 1) as f64 * OP_BYTES as f64 / rate);
            thread::sleep(due.saturating_sub(began.elapsed()));
        }
        Ok(())
    }
}

/// Writes and reads `rate` bytes a second of each for so long, beginning when the files are there, of which `begins` is told. Returns
/// the rate of both that it came to.
pub fn load(dir: &Path, rate: f64, time: Duration, begins: impl FnOnce()) -> Result<f64> {
    let mut ways = [Way::new(dir, true)?, Way::new(dir, false)?];
    begins();
    let (stop, moved) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let (stop, moved) = (&stop, &moved);
        let running = ways.each_mut().map(|way| scope.spawn(move || way.run(rate, stop, moved)));
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        running.into_iter().try_for_each(|thread| thread.join().expect("no way panics"))
    })?;
    for name in ["plain-writes", "plain-reads"] {
        std::fs::remove_file(dir.join(name))?;
    }
    Ok(moved.load(Ordering::Relaxed) as f64 / time.as_secs_f64())
}
