//! CPU time and memory, of this process and of the server if it runs on this machine.

use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::net::SocketAddr;

/// CPU time of this process, in nanoseconds.
pub fn own_ns() -> u64 {
    let at = clock_gettime(ClockId::ProcessCPUTime);
    at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64
}

/// CPU time of the threads of `pid`, in nanoseconds; `None` if there is no such process. Threads that have ended do not
/// count.
pub fn process_ns(pid: u32) -> Option<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        sum += text.split_ascii_whitespace().next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
    }
    Some(sum)
}

/// Memory of `pid` that is resident, in bytes.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
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
