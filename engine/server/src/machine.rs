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

/// Randomness of the operating system.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    // Up to 256 bytes come at once, never in parts.
    assert!(N <= 256);
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    assert_eq!(got, N);
    Ok(bytes)
}

/// Memory that this process has in RAM; `None` without /proc.
pub fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// True if a process of that number exists and has not ended.
pub fn is_alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The state follows the name, which is in parentheses and may hold anything.
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, Some('Z' | 'X'))
}
