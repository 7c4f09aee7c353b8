//! What a result was measured with and on: without that it cannot be compared with another.

use crate::cpu::Process;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use torc_base::time::Wall;

/// This program, as it was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build {
    pub version: &'static str,
    /// The commit, `-modified` behind it if the sources were; `None` if it was not built in a checkout.
    pub commit: Option<&'static str>,
}

/// The machine that the load generator ran on, and the disk of the server if that ran there too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of torc bench.
    pub torc: String,
    pub commit: Option<String>,
    pub kernel: String,
    pub cpu: String,
    pub cores: u64,
    pub memory_bytes: u64,
    /// Device, file system and write cache; `None` if the server's files cannot be seen from here.
    pub disk: Option<String>,
    /// When, in UTC (ISO 8601).
    pub date: String,
}

impl Environment {
    /// The machine now.
    pub fn here(build: Build) -> Environment {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        Environment {
            torc: build.version.to_string(),
            commit: build.commit.map(str::to_string),
            kernel: format!("Linux {}", kernel.trim()),
            cpu: cpu(&cpuinfo),
            cores: std::thread::available_parallelism().map_or(0, |cores| cores.get() as u64),
            memory_bytes: memory(&meminfo),
            disk: None,
            date: date(now),
        }
    }

    /// The same, with the disk that `path` is on.
    pub fn with_directory(self, path: &Path) -> Environment {
        Environment { disk: fs::metadata(path).ok().map(|file| file.dev()).and_then(disk), ..self }
    }
}

/// The disk that a server on this machine writes to.
pub fn disk_of(server: &Process) -> Option<String> {
    written_by(server.pid()).and_then(disk)
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Environment { torc, kernel, cpu, cores, .. } = self;
        let commit = self.commit.as_deref().unwrap_or("-");
        let gib = self.memory_bytes as f64 / (1u64 << 30) as f64;
        let (plural, disk) = (if *cores == 1 { "" } else { "s" }, self.disk.as_deref().unwrap_or("-"));
        write!(f, "torc {torc} (commit {commit}), {kernel}, {cpu}, {cores} core{plural}, {gib:.1} GiB, ")?;
        write!(f, "disk {disk}, {}", self.date)
    }
}

/// The first processor's name.
pub(crate) fn cpu(cpuinfo: &str) -> String {
    let named = |key: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(key))?;
        line.split_once(':').map(|(_, name)| name.trim().to_string()).filter(|name| !name.is_empty())
    };
    // ARM has no names there.
    named("model name").or_else(|| named("Model")).unwrap_or_else(|| std::env::consts::ARCH.to_string())
}

/// Bytes of all memory.
pub(crate) fn memory(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}

/// Seconds since 1970 as `2026-11-28T14:03:31Z`.
pub fn date(seconds: u64) -> String {
    let text = Wall(seconds.saturating_mul(1_000).try_into().unwrap_or(i64::MAX)).utc();
    format!("{}Z", text.split_once('.').map_or("-", |(to_seconds, _)| to_seconds))
}

/// The device of most regular files that a process has open for writing.
fn written_by(pid: u32) -> Option<u64> {
    let mut devices: BTreeMap<u64, usize> = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten() {
        let info = entry.path().to_string_lossy().replace("/fd/", "/fdinfo/");
        let Ok(file) = fs::metadata(entry.path()) else { continue };
        if file.is_file() && fs::read_to_string(info).is_ok_and(|text| is_written(&text)) {
            *devices.entry(file.dev()).or_default() += 1;
        }
    }
    devices.into_iter().max_by_key(|(_, files)| *files).map(|(device, _)| device)
}

/// Whether the text of /proc/PID/fdinfo/FD is of a file that is open for writing.
pub(crate) fn is_written(fdinfo: &str) -> bool {
    let flags = fdinfo.lines().find_map(|line| line.strip_prefix("flags:"));
    // In octal; the two lowest bits are O_WRONLY and O_RDWR.
    flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).is_some_and(|flags| flags & 3 != 0)
}

/// Such as `vda1, ext4, write back`.
fn disk(device: u64) -> Option<String> {
    let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (kind, source) = mounted(&mounts, &number)?;
    let mut said = vec![source.rsplit('/').next().unwrap_or(source).to_string(), kind.to_string()];
    let block = Path::new("/sys/dev/block").join(&number);
    // A partition's queue is that of its disk.
    let read = |name: &str| {
        let places = [block.join(name), block.join("..").join(name)];
        places.iter().find_map(|path| fs::read_to_string(path).ok()).map(|text| text.trim().to_string())
    };
    said.extend(read("device/model").filter(|model| !model.is_empty()));
    said.extend(read("queue/write_cache"));
    Some(said.join(", "))
}

/// File system and source of the device `number` in the text of /proc/self/mountinfo (proc(5)).
pub(crate) fn mounted<'a>(mountinfo: &'a str, number: &str) -> Option<(&'a str, &'a str)> {
    let line = mountinfo.lines().find(|line| line.split(' ').nth(2) == Some(number))?;
    let mut behind = line.split_once(" - ")?.1.split(' ');
    Some((behind.next()?, behind.next()?))
}
