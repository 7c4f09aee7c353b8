//! What is looked at, what is wanted, and what it is worth. Words, not figures: what it is worth on this machine only a
//! measurement on this machine tells (`torc bench`).

use super::Verdict;
use super::machine::{Limit, Machine};
use torc_base::limits::{PAGE, REGISTERED_PAGES, SHARDS_MAX};
use torc_base::units;

/// Descriptors that nobody outgrows by accident.
const FILES_WANTED: u64 = 65_536;
const SWAPPINESS_MAX: u32 = 10;
const REQUESTS_WANTED: u32 = 64;

/// One thing that was looked at.
pub struct Check {
    pub name: &'static str,
    pub wanted: &'static str,
    pub worth: &'static str,
    /// How it is changed where `Found::writes` has nothing.
    pub by_hand: &'static str,
    pub found: Found,
}

/// What was there.
pub struct Found {
    /// `None`: the machine does not have it, or does not tell.
    pub now: Option<String>,
    pub verdict: Verdict,
    /// Files and values that make it as wanted, from the machine's root.
    pub writes: Vec<(String, &'static str)>,
}

impl Found {
    fn unknown() -> Found {
        Found { now: None, verdict: Verdict::Unknown, writes: Vec::new() }
    }

    fn judged(now: impl ToString, verdict: Verdict) -> Found {
        Found { now: Some(now.to_string()), verdict, writes: Vec::new() }
    }

    fn writing(mut self, path: String, value: &'static str) -> Found {
        self.writes.push((path, value));
        self
    }
}

fn good_if(good: bool, otherwise: Verdict) -> Verdict {
    if good { Verdict::Good } else { otherwise }
}

/// Everything, what matters most first.
pub fn all(machine: &Machine) -> Vec<Check> {
    let check = |name, wanted, worth, by_hand, found| Check { name, wanted, worth, by_hand, found };
    vec![
        check(
            "io_uring",
            "0",
            "torc needs io_uring; 2 forbids it to all, 1 to whom is not in a group",
            "",
            io_uring(machine),
        ),
        check(
            "file system",
            "ext4 or xfs",
            "durability and latency: a write that is durable must overwrite its place, on a disk",
            "put the data directory on a file system of its own: ext4 or xfs, on a disk of this machine",
            file_system(machine),
        ),
        check(
            "mount options",
            "barriers",
            "durability: without barriers a flush is not a flush",
            "mount it without nobarrier, barrier=0, data=journal and sync",
            mount_options(machine),
        ),
        check(
            "write cache",
            "write through",
            "latency: behind a cache that loses its content with the power every batch must wait for a flush",
            "a disk with power-loss protection says write through",
            write_cache(machine),
        ),
        check(
            "governor",
            "performance",
            "latency: a core that has clocked down answers late, most of all at low load",
            "",
            governor(machine),
        ),
        check(
            "I/O scheduler",
            "none or mq-deadline",
            "latency: others reorder for fairness, which a log that writes in order does not need",
            "",
            scheduler(machine),
        ),
        check(
            "queue depth",
            "64 or more",
            "bandwidth: cold reads keep up to 256 operations under way",
            "",
            queue_depth(machine),
        ),
        check(
            "clock source",
            "tsc or kvm-clock",
            "CPU: others are a system call for each turn of a shard",
            "boot with another clocksource=, or ask who runs the virtual machine",
            clock(machine),
        ),
        check(
            "swappiness",
            "10 or less",
            "latency: a page that was swapped out is a disk read in the middle",
            "",
            swappiness(machine),
        ),
        check(
            "huge pages",
            "madvise",
            "latency: with always the kernel stops a process to compact memory",
            "",
            huge_pages(machine),
        ),
        check(
            "open files",
            "65536 or more",
            "a descriptor for each connection: without one more the next client waits",
            "ulimit -n 1048576, or LimitNOFILE= in the unit",
            open_files(machine),
        ),
        check(
            "locked memory",
            "8 MiB a shard",
            "CPU: the log's write buffers are registered with the kernel, which saves work on each write",
            "ulimit -l unlimited, or LimitMEMLOCK=infinity in the unit",
            locked_memory(machine),
        ),
    ]
}

fn io_uring(machine: &Machine) -> Found {
    const PATH: &str = "proc/sys/kernel/io_uring_disabled";
    match machine.read(PATH) {
        // Kernels before 6.6 have no such switch.
        None => Found::judged("no switch", Verdict::Good),
        Some(now) => Found::judged(&now, good_if(now == "0", Verdict::Bad)).writing(PATH.to_string(), "0"),
    }
}

fn file_system(machine: &Machine) -> Found {
    let Some(mount) = machine.mount() else { return Found::unknown() };
    let verdict = match mount.kind.as_str() {
        "ext4" | "xfs" => Verdict::Good,
        // In memory: gone with the power.
        "tmpfs" | "ramfs" => Verdict::Bad,
        _ => Verdict::Improve,
    };
    Found::judged(mount.kind, verdict)
}

fn mount_options(machine: &Machine) -> Found {
    let Some(mount) = machine.mount() else { return Found::unknown() };
    let found = |wanted: &[&str]| -> Vec<String> {
        mount.options.iter().filter(|option| wanted.contains(&option.as_str())).cloned().collect()
    };
    let unsafe_ones = found(&["nobarrier", "barrier=0"]);
    let slow_ones = found(&["data=journal", "sync"]);
    match (unsafe_ones.is_empty(), slow_ones.is_empty()) {
        (true, true) => Found::judged("nothing in the way", Verdict::Good),
        (true, false) => Found::judged(slow_ones.join(","), Verdict::Improve),
        (false, _) => Found::judged(unsafe_ones.join(","), Verdict::Bad),
    }
}

fn write_cache(machine: &Machine) -> Found {
    let now = machine.queue().and_then(|queue| machine.read(&format!("{queue}/write_cache")));
    now.map_or_else(Found::unknown, |now| Found::judged(&now, good_if(now == "write through", Verdict::Improve)))
}

fn governor(machine: &Machine) -> Found {
    let paths = machine.numbered("sys/devices/system/cpu/cpu", "/cpufreq/scaling_governor");
    let governors: Vec<String> = paths.iter().filter_map(|path| machine.read(path)).collect();
    let Some(other) = governors.iter().find(|governor| *governor != "performance").or(governors.first()) else {
        return Found::unknown();
    };
    let found = Found::judged(other, good_if(other == "performance", Verdict::Improve));
    paths.into_iter().fold(found, |found, path| found.writing(path, "performance"))
}

fn scheduler(machine: &Machine) -> Found {
    let Some(path) = machine.queue().map(|queue| format!("{queue}/scheduler")) else { return Found::unknown() };
    let Some(now) = machine.chosen(&path) else { return Found::unknown() };
    let good = now == "none" || now == "mq-deadline";
    Found::judged(&now, good_if(good, Verdict::Improve)).writing(path, "none")
}

fn queue_depth(machine: &Machine) -> Found {
    let Some(path) = machine.queue().map(|queue| format!("{queue}/nr_requests")) else { return Found::unknown() };
    let Some(now) = machine.read(&path).and_then(|text| text.parse::<u32>().ok()) else { return Found::unknown() };
    Found::judged(now, good_if(now >= REQUESTS_WANTED, Verdict::Improve)).writing(path, "256")
}

fn clock(machine: &Machine) -> Found {
    let now = machine.read("sys/devices/system/clocksource/clocksource0/current_clocksource");
    let good = |now: &str| matches!(now, "tsc" | "kvm-clock" | "arch_sys_counter" | "hyperv_clocksource_tsc_page");
    now.map_or_else(Found::unknown, |now| Found::judged(&now, good_if(good(&now), Verdict::Improve)))
}

fn swappiness(machine: &Machine) -> Found {
    const PATH: &str = "proc/sys/vm/swappiness";
    // The first line is a headline.
    if machine.read("proc/swaps").is_some_and(|swaps| swaps.lines().count() <= 1) {
        return Found::judged("no swap", Verdict::Good);
    }
    let Some(now) = machine.read(PATH).and_then(|text| text.parse::<u32>().ok()) else { return Found::unknown() };
    Found::judged(now, good_if(now <= SWAPPINESS_MAX, Verdict::Improve)).writing(PATH.to_string(), "1")
}

fn huge_pages(machine: &Machine) -> Found {
    const PATH: &str = "sys/kernel/mm/transparent_hugepage/enabled";
    let Some(now) = machine.chosen(PATH) else { return Found::unknown() };
    Found::judged(&now, good_if(now != "always", Verdict::Improve)).writing(PATH.to_string(), "madvise")
}

fn open_files(machine: &Machine) -> Found {
    match machine.limit(Limit::Files) {
        None => Found::unknown(),
        Some(None) => Found::judged("unlimited", Verdict::Good),
        Some(Some(now)) => Found::judged(now, good_if(now >= FILES_WANTED, Verdict::Improve)),
    }
}

fn locked_memory(machine: &Machine) -> Found {
    let cores = machine.numbered("sys/devices/system/cpu/cpu", "").len().clamp(1, SHARDS_MAX);
    let wanted = (cores * REGISTERED_PAGES * PAGE) as u64;
    match machine.limit(Limit::Locked) {
        None => Found::unknown(),
        Some(None) => Found::judged("unlimited", Verdict::Good),
        Some(Some(now)) => Found::judged(units::rounded_size(now), good_if(now >= wanted, Verdict::Improve)),
    }
}
