//! CPU time, memory and threads: of this process, and of the server if it runs on this machine.

use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Time between two looks at a process that is watched.
const LOOK: Duration = Duration::from_millis(100);

/// CPU time of this process, in nanoseconds.
pub fn own_ns() -> u64 {
    let at = clock_gettime(ClockId::ProcessCPUTime);
    at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64
}

/// A server's processes and their descendants, as they were when they were found: of a cluster, all nodes that run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Those that were asked for first.
    pids: Vec<u32>,
    /// How many were asked for.
    roots: usize,
    /// Memory that was resident when it was found: before the load.
    pub resident_before: u64,
}

impl Process {
    /// The process `pid` and all that it has started; `None` if there is none or this user may not see it.
    pub fn find(pid: u32) -> Option<Process> {
        Process::find_all(&[pid])
    }

    /// The same of several; `None` if one of them is not there.
    pub fn find_all(roots: &[u32]) -> Option<Process> {
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for entry in fs::read_dir("/proc").ok()?.flatten() {
            let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            if let Some(stat) = stat(child) {
                children.entry(stat.parent).or_default().push(child);
            }
        }
        if roots.is_empty() || roots.iter().any(|pid| stat(*pid).is_none()) {
            return None;
        }
        let mut process = Process { pids: roots.to_vec(), roots: roots.len(), resident_before: 0 };
        let mut at = 0;
        while let Some(parent) = process.pids.get(at) {
            process.pids.extend(children.remove(parent).unwrap_or_default());
            at += 1;
        }
        process.resident_before = process.resident_bytes();
        Some(process)
    }

    /// The process that was asked for, or the first of them.
    pub fn pid(&self) -> u32 {
        self.pids[0]
    }

    /// CPU time so far, of threads that have ended too, in nanoseconds; to the kernel's tick, a hundredth of a second.
    pub fn cpu_ns(&self) -> Option<u64> {
        // What a process took that has ended is not known.
        if self.pids[..self.roots].iter().any(|pid| stat(*pid).is_none()) {
            return None;
        }
        Some(self.stats().map(|stat| stat.cpu_ns).sum())
    }

    /// Memory that is resident, in bytes; what processes share counts for each.
    pub fn resident_bytes(&self) -> u64 {
        let status = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        self.pids.iter().map(|pid| resident_in(&status(pid)).unwrap_or(0)).sum()
    }

    /// Threads that there are.
    pub fn threads(&self) -> u64 {
        self.stats().map(|stat| stat.threads).sum()
    }

    fn stats(&self) -> impl Iterator<Item = Stat> {
        self.pids.iter().filter_map(|pid| stat(*pid))
    }
}

/// What a line of /proc/PID/stat says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) parent: u32,
    pub(crate) cpu_ns: u64,
    pub(crate) threads: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let ticks_per_s = rustix::param::clock_ticks_per_second();
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, ticks_per_s)
}

/// Reads a line of /proc/PID/stat (proc(5)).
pub(crate) fn parse_stat(line: &str, ticks_per_s: u64) -> Option<Stat> {
    // The name stands in parentheses and may hold any character: the last parenthesis ends it.
    let (_, rest) = line.rsplit_once(')')?;
    // From here on field 3 of the manual page is number 0.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let ticks = number(14)? + number(15)?;
    Some(Stat { parent: number(4)? as u32, cpu_ns: ticks * (1_000_000_000 / ticks_per_s), threads: number(20)? })
}

/// Resident bytes that the text of /proc/PID/status tells.
pub(crate) fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// The most that a process had while it was watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    pub resident_bytes: u64,
    pub threads: u64,
}

/// Looks at a process again and again, on a thread of its own.
pub struct Watch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Peak>,
}

impl Watch {
    /// Begins to look.
    pub fn start(process: Process) -> Watch {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut peak = Peak::default();
            loop {
                peak.resident_bytes = peak.resident_bytes.max(process.resident_bytes());
                peak.threads = peak.threads.max(process.threads());
                if told.load(Ordering::Relaxed) {
                    return peak;
                }
                thread::park_timeout(LOOK);
            }
        });
        Watch { over, thread }
    }

    /// Looks a last time.
    pub fn end(self) -> Peak {
        self.over.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().expect("looking does not panic")
    }
}

/// The process that listens on the port of `address`, if `address` is of this machine and this user may see it.
pub fn listener(address: SocketAddr) -> Option<u32> {
    if !address.ip().is_loopback() {
        return None;
    }
    let sockets = ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| fs::read_to_string(file).unwrap_or_default());
    let inodes: Vec<&str> =
        sockets.iter().flat_map(|text| text.lines()).filter_map(|line| listening(line, address.port())).collect();
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        let mut targets = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        if targets.any(|target| links.iter().any(|link| target.to_str() == Some(link))) {
            return Some(pid);
        }
    }
    None
}

/// The inode of a line of /proc/net/tcp, if it is a socket that listens on `port`.
fn listening(line: &str, port: u16) -> Option<&str> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let of_port = u16::from_str_radix(local.rsplit(':').next()?, 16) == Ok(port);
    (of_port && *state == LISTEN).then_some(*inode)
}
