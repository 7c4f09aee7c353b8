//! What runs out when a server starts in a narrow place, and what to raise: the kernel only says ENOMEM, EAGAIN or EPERM.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What the kernel was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// A ring, or memory that it shares with the kernel: counts against the limit of locked memory.
    Ring,
    /// A descriptor: a file, a socket, an eventfd.
    Descriptor,
    /// A thread with its stack.
    Thread,
    /// A directory or file that this process must be able to write.
    Directory,
}

/// The limits of this process that have a number. `None`: none, or it cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// RLIMIT_MEMLOCK in bytes; of no account for root.
    pub locked: Option<u64>,
    /// RLIMIT_AS in bytes.
    pub address_space: Option<u64>,
    /// RLIMIT_NOFILE, soft.
    pub files: Option<u64>,
    /// RLIMIT_NPROC: threads of this user.
    pub threads: Option<u64>,
    /// Bytes that the container or service may use: the least memory.max of its cgroups.
    pub memory: Option<u64>,
    /// Threads of the container or service: the least pids.max of its cgroups.
    pub tasks: Option<u64>,
}

#[cfg(target_env = "musl")]
type Resource = libc::c_int;
#[cfg(not(target_env = "musl"))]
type Resource = libc::__rlimit_resource_t;

fn rlimit(resource: Resource) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for writing.
    let result = unsafe { libc::getrlimit(resource, &mut limit) };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// The cgroup directories that a line of /proc/self/cgroup stands for, innermost first, for the controller `name`.
fn cgroups(root: &Path, line: &str, name: &str) -> Vec<PathBuf> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { return Vec::new() };
    let mount = match controllers {
        "" => root.to_path_buf(),
        list if list.split(',').any(|controller| controller == name) => root.join(list),
        _ => return Vec::new(),
    };
    // In a container the path may be the host's, while what is mounted begins at the container's own.
    let inner = mount.join(path.trim_start_matches('/'));
    inner.ancestors().take_while(|dir| dir.starts_with(&mount)).map(Path::to_path_buf).collect()
}

/// The least number in the files of these names in any cgroup of this process.
pub(crate) fn least(root: &Path, membership: &str, controller: &str, names: [&str; 2]) -> Option<u64> {
    let dirs = membership.lines().flat_map(|line| cgroups(root, line, controller));
    let files = dirs.flat_map(|dir| names.map(|name| dir.join(name)));
    let numbers = files.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok());
    // Version 1 writes "no limit" as a number of about 2^63.
    numbers.filter(|n| *n < 1 << 60).min()
}

impl Limits {
    /// As they are now.
    pub fn here() -> Limits {
        let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let root = Path::new("/sys/fs/cgroup");
        Limits {
            locked: rlimit(libc::RLIMIT_MEMLOCK),
            address_space: rlimit(libc::RLIMIT_AS),
            files: rlimit(libc::RLIMIT_NOFILE),
            threads: rlimit(libc::RLIMIT_NPROC),
            memory: least(root, &membership, "memory", ["memory.max", "memory.limit_in_bytes"]),
            tasks: least(root, &membership, "pids", ["pids.max", "pids.max"]),
        }
    }

    /// What a person can raise so that `want` is granted; `None` if the error is not one of scarcity or permission.
    pub fn cure(&self, want: Want, errno: i32) -> Option<String> {
        match (errno, want) {
            (libc::ENOMEM | libc::ENOBUFS, _) => Some(self.memory_cure(want)),
            (libc::EAGAIN, Want::Ring) => Some(self.memory_cure(want)),
            (libc::EAGAIN, Want::Thread) => Some(self.thread_cure()),
            (libc::EMFILE, _) => Some(format!(
                "raise the limit of open files (ulimit -n, LimitNOFILE=){}",
                self.files.map_or(String::new(), |files| format!(", which is {files}"))
            )),
            (libc::ENFILE, _) => Some("the machine has no descriptor left: raise the sysctl fs.file-max".to_string()),
            (libc::EPERM | libc::EACCES | libc::ENOSYS, Want::Ring) => Some(
                "a security policy forbids it: use a seccomp profile that allows io_uring_setup, io_uring_enter and \
                 io_uring_register"
                    .to_string(),
            ),
            (libc::EPERM | libc::EACCES, Want::Thread | Want::Descriptor) => Some(
                "a security policy (seccomp, AppArmor, SELinux, or the rules of the container) forbids it".to_string(),
            ),
            (libc::EACCES | libc::EPERM, Want::Directory) => {
                Some("give this user the right to write there, or choose another place with --data-dir".to_string())
            }
            (libc::EROFS, Want::Directory) => Some(
                "the file system is mounted read-only: mount it for writing, or choose another place with --data-dir"
                    .to_string(),
            ),
            (libc::ENOSPC | libc::EDQUOT, Want::Directory) => {
                Some("free some space (or inodes, or quota) there, or choose another place with --data-dir".to_string())
            }
            _ => None,
        }
    }

    fn memory_cure(&self, want: Want) -> String {
        let mut causes = Vec::new();
        if let (Want::Ring, Some(bytes)) = (want, self.locked) {
            causes.push(format!("the limit of locked memory, {} (ulimit -l, LimitMEMLOCK=)", size(bytes)));
        }
        if let Some(bytes) = self.address_space {
            causes.push(format!("the limit of address space, {} (ulimit -v, LimitAS=)", size(bytes)));
        }
        if let Some(bytes) = self.memory {
            causes.push(format!(
                "the memory of the container or service, {} (memory.max, MemoryMax=, --memory)",
                size(bytes)
            ));
        }
        raise(causes, "the machine has no memory left for it: free some")
    }

    fn thread_cure(&self) -> String {
        let mut causes = Vec::new();
        if let Some(threads) = self.threads {
            causes.push(format!("the limit of this user's threads, {threads} (ulimit -u, LimitNPROC=)"));
        }
        if let Some(tasks) = self.tasks {
            causes.push(format!("that of the container or service, {tasks} (pids.max, TasksMax=, --pids-limit)"));
        }
        if let Some(bytes) = self.address_space {
            causes.push(format!("the limit of address space, {} (ulimit -v, LimitAS=)", size(bytes)));
        }
        raise(causes, "the machine has no thread left: raise the sysctls kernel.threads-max and kernel.pid_max")
    }
}

fn raise(causes: Vec<String>, otherwise: &str) -> String {
    if causes.is_empty() { otherwise.to_string() } else { format!("raise {}", causes.join(", or ")) }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        _ if bytes < 1 << 20 => format!("{} KiB", bytes >> 10),
        _ if bytes < 1 << 30 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

/// An error in words, with what to raise if something ran out or was forbidden.
pub fn explain(want: Want, error: &io::Error) -> String {
    let mut text = error.to_string();
    // What failed without a word of the kernel has nothing to raise.
    if let Some(cure) = error.raw_os_error().and_then(|errno| Limits::here().cure(want, errno)) {
        let _ = write!(text, "; {cure}");
    }
    text
}
