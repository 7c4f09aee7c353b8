//! What the machine's disk takes for an operation of its own beside the server: nobody can be quicker than that.

use super::healthy::pace;
use super::measuring::Measuring;
use super::window::{Samples, Times};
use crate::failure::{Failure, Result};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{pread, pwrite};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use torc_base::buf::{BufMut, Pool};

/// As the healthy producer, and the healthy consumer of old records.
const WRITE_EVERY: Duration = Duration::from_millis(5);
const WRITE_BYTES: usize = 4 << 10;
const READ_EVERY: Duration = Duration::from_millis(50);
const READ_BYTES: usize = 1 << 20;
const FILE_BYTES: usize = 64 << 20;

/// What is measured.
#[derive(Clone, Copy)]
enum Op {
    Write,
    Read,
}

impl Times {
    /// How many times as long as the slower one of `alone` these took: mean and p99, neither less than 1.
    pub fn slower(beside: Option<Times>, alone: [Option<Times>; 2]) -> (f64, f64) {
        let times = |of: fn(&Times) -> Duration| {
            let alone = alone.iter().flatten().map(of).max();
            let beside = beside.as_ref().map(of);
            beside.zip(alone).map_or(1.0, |(beside, alone)| beside.as_secs_f64() / alone.as_secs_f64()).max(1.0)
        };
        (times(|times| times.mean), times(|times| times.p99))
    }
}

/// A file of its own on the disk of the server.
pub struct Disk {
    path: PathBuf,
    stop: AtomicBool,
    took: [Samples; 2],
    measuring: Measuring,
}

impl Disk {
    /// Nothing is measured yet.
    pub fn new(path: PathBuf) -> Disk {
        Disk { path, stop: AtomicBool::new(false), took: Default::default(), measuring: Measuring::default() }
    }

    /// Measures on a thread of `scope` until [`Disk::stop`].
    pub fn start<'a>(&'a self, scope: &'a thread::Scope<'a, '_>) {
        scope.spawn(|| self.measuring.run(|| self.run()));
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Why nothing more is measured, if so.
    pub fn failure(&self) -> Option<String> {
        self.measuring.failure()
    }

    /// Durable writes of 4 KiB that ended from `from` to `to`; `None` without any.
    pub fn writes(&self, from: Instant, to: Instant) -> Option<Times> {
        self.times(Op::Write, from, to)
    }

    /// The same of reads of 1 MiB.
    pub fn reads(&self, from: Instant, to: Instant) -> Option<Times> {
        self.times(Op::Read, from, to)
    }

    fn times(&self, op: Op, from: Instant, to: Instant) -> Option<Times> {
        self.took[op as usize].window(from, to).times
    }

    fn run(&self) -> Result<()> {
        let what = |error: rustix::io::Errno| Failure::Wrong(format!("{}: {error}", self.path.display()));
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::DIRECT | OFlags::DSYNC;
        let file = open(&self.path, flags, Mode::from_raw_mode(0o600)).map_err(what)?;
        let mut bytes: BufMut = Pool::new(usize::MAX, 0).take(READ_BYTES).expect("no limit");
        bytes.fill(0);
        for at in (0..FILE_BYTES).step_by(READ_BYTES) {
            pwrite(&file, &bytes, at as u64).map_err(what)?;
        }
        let mut next_read = Instant::now();
        for number in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let began = Instant::now();
            pwrite(&file, &bytes[..WRITE_BYTES], (number * WRITE_BYTES % FILE_BYTES) as u64).map_err(what)?;
            self.note(Op::Write, began);
            if Instant::now() >= next_read {
                next_read = Instant::now() + READ_EVERY;
                let began = Instant::now();
                pread(&file, &mut bytes[..], (number * READ_BYTES % FILE_BYTES) as u64).map_err(what)?;
                self.note(Op::Read, began);
            }
            pace(began, WRITE_EVERY);
        }
        Ok(())
    }

    fn note(&self, op: Op, began: Instant) {
        self.took[op as usize].note(began, 0);
    }
}
