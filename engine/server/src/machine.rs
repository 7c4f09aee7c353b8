//! What the server asks of the machine: cores, memory, disk space, a name, randomness.

use std::io;
use std::path::Path;

/// Size of a file system and what is free of it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What this user may still take.
    pub free: u64,
}

/// The cores that this process may run on; never empty.
pub fn cores() -> Vec<usize> {
    let cores: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    if cores.is_empty() { vec![0] } else { cores }
}

/// The space of the file system that holds `path`.
pub fn space(path: &Path) -> io::Result<Space> {
    let fs = rustix::fs::statvfs(path)?;
    Ok(Space { total: fs.f_blocks * fs.f_frsize, free: fs.f_bavail * fs.f_frsize })
}

/// The name of this host, as clients may know it.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The kernel's release, such as `6.12.0`.
pub fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Randomness of the operating system.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    // Up to 256 bytes come at once, never in parts.
    assert!(N <= 256);
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    assert_eq!(got, N);
    Ok(bytes)
}

/// True if a process of that number exists and has not ended.
pub fn is_alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The state follows the name, which is in parentheses and may hold anything.
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, Some('Z' | 'X'))
}

/// What this process uses; `None` is what the kernel does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    pub cpu_seconds: Option<f64>,
    /// Since the epoch.
    pub start_seconds: Option<f64>,
    pub virtual_bytes: Option<f64>,
    /// In RAM.
    pub resident_bytes: Option<f64>,
    pub open_files: Option<f64>,
}

/// Positions behind the name in /proc's `stat` (proc_pid_stat(5), where the state is the third field).
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const START_TICKS: usize = 19;
const VIRTUAL_BYTES: usize = 20;
const RESIDENT_PAGES: usize = 21;

impl Process {
    /// As it is now.
    pub fn here() -> Process {
        let files = std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as f64);
        let Some(stat) = stat("/proc/self/stat") else { return Process { open_files: files, ..Process::default() } };
        let boot = std::fs::read_to_string("/proc/stat").ok().and_then(|text| {
            text.lines()
                .find_map(|line| line.strip_prefix("btime "))
                .and_then(|seconds| seconds.trim().parse::<f64>().ok())
        });
        Process {
            cpu_seconds: cpu_seconds(&stat),
            start_seconds: boot.zip(stat.get(START_TICKS)).map(|(boot, ticks)| boot + ticks / ticks_per_second()),
            virtual_bytes: stat.get(VIRTUAL_BYTES).copied(),
            resident_bytes: stat.get(RESIDENT_PAGES).map(|pages| pages * rustix::param::page_size() as f64),
            open_files: files,
        }
    }
}

/// The kernel's number of the thread that asks; 0 without /proc.
pub fn thread_id() -> u32 {
    let link = std::fs::read_link("/proc/thread-self").ok();
    link.and_then(|path| path.file_name()?.to_str()?.parse().ok()).unwrap_or(0)
}

/// CPU time of a thread of this process, user and system; `None` if there is no such thread.
pub fn cpu_seconds_of_thread(id: u32) -> Option<f64> {
    cpu_seconds(&stat(&format!("/proc/self/task/{id}/stat"))?)
}

fn cpu_seconds(stat: &[f64]) -> Option<f64> {
    Some((stat.get(USER_TICKS)? + stat.get(SYSTEM_TICKS)?) / ticks_per_second())
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// The numbers behind the name in a `stat` file, the state, which is none, as 0.
fn stat(path: &str) -> Option<Vec<f64>> {
    let text = std::fs::read_to_string(path).ok()?;
    // The name is in parentheses and may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect())
}
