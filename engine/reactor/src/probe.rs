//! Whether this kernel will do, decided once at start, in words that say what to change.

use crate::resources::{Limits, Want};
use crate::ring;
use io_uring::{IoUring, Probe, opcode};
use std::fmt;
use std::fs;
use std::io;

/// What the kernel offers beyond what is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// The kernel's release, as in `uname -r`.
    pub kernel: String,
    /// Gathered writes from registered buffers (Linux 6.15); without, gathered writes are plain ones.
    pub gather_fixed: bool,
    /// Shards wake each other from ring to ring (Linux 5.18); without, through eventfds.
    pub ring_messages: bool,
    /// Descriptors this process may have open (RLIMIT_NOFILE, soft).
    pub open_files: u64,
}

/// Why torc cannot run here, and what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    /// The reason in one or two sentences.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// What is known of the machine when a refusal is worded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    /// The sysctl kernel.io_uring_disabled, where it exists (Linux 6.6).
    pub(crate) io_uring_disabled: Option<String>,
    pub(crate) limits: Limits,
}

/// The oldest kernel that has all that is needed.
const KERNEL_NEEDED: &str = "Linux 6.1 or later";
/// Descriptors without which serving makes no sense.
const OPEN_FILES_MIN: u64 = 256;
/// Entries of the ring that is built to try.
const ENTRIES: u32 = 8;

/// What every loop uses, with the kernel that brought it.
const OPERATIONS: [(u8, &str); 16] = [
    (opcode::AcceptMulti::CODE, "accept"),
    (opcode::RecvMulti::CODE, "recv"),
    (opcode::Send::CODE, "send"),
    (opcode::SendMsg::CODE, "sendmsg"),
    (opcode::AsyncCancel2::CODE, "cancel"),
    (opcode::Close::CODE, "close"),
    (opcode::OpenAt::CODE, "openat"),
    (opcode::Statx::CODE, "statx"),
    (opcode::Fallocate::CODE, "fallocate"),
    (opcode::Read::CODE, "read"),
    (opcode::Write::CODE, "write"),
    (opcode::Writev::CODE, "writev"),
    (opcode::WriteFixed::CODE, "write_fixed"),
    (opcode::Fsync::CODE, "fsync"),
    (opcode::RenameAt::CODE, "renameat"),
    (opcode::UnlinkAt::CODE, "unlinkat"),
];

impl Machine {
    pub(crate) fn here() -> Machine {
        let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        Machine {
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "of unknown version".to_owned()),
            io_uring_disabled: read("/proc/sys/kernel/io_uring_disabled"),
            limits: Limits::here(),
        }
    }

    /// The refusal for a ring that could not be built.
    pub(crate) fn no_ring(&self, error: &io::Error) -> Refusal {
        let kernel = &self.kernel;
        let disabled = self.io_uring_disabled.as_deref().unwrap_or("0");
        Refusal(match error.raw_os_error() {
            Some(libc::ENOSYS) => format!(
                "torc needs io_uring, which this kernel ({kernel}) does not have or a seccomp filter hides; \
                 it needs {KERNEL_NEEDED}, in a container also a seccomp profile that allows io_uring"
            ),
            Some(libc::EPERM | libc::EACCES) if disabled != "0" => format!(
                "torc needs io_uring, which the sysctl kernel.io_uring_disabled={disabled} forbids; \
                 set it to 0 (sysctl -w kernel.io_uring_disabled=0), or, if it is 1, run torc as a member of the \
                 group named by kernel.io_uring_group"
            ),
            Some(libc::EPERM | libc::EACCES) => "torc needs io_uring, which a security policy forbids to this \
                 process; in a container use a seccomp profile that allows io_uring_setup, io_uring_enter and \
                 io_uring_register"
                .to_owned(),
            Some(libc::EINVAL) => format!(
                "this kernel ({kernel}) has an io_uring without IORING_SETUP_DEFER_TASKRUN; torc needs {KERNEL_NEEDED}"
            ),
            Some(errno) => match self.limits.cure(Want::Ring, errno) {
                Some(cure) => format!("an io_uring is refused ({error}); {cure}"),
                None => format!("an io_uring cannot be built on this kernel ({kernel}): {error}"),
            },
            None => format!("an io_uring cannot be built on this kernel ({kernel}): {error}"),
        })
    }

    /// The refusal for a kernel that lacks `what`.
    pub(crate) fn lacks(&self, what: &str) -> Refusal {
        Refusal(format!("the io_uring of this kernel ({}) lacks {what}; torc needs {KERNEL_NEEDED}", self.kernel))
    }

    /// The refusal for too few descriptors.
    pub(crate) fn few_files(&self, limit: u64) -> Refusal {
        Refusal(format!(
            "this process may open only {limit} files, torc needs at least {OPEN_FILES_MIN} and one more per \
             connection; raise the limit (ulimit -n, LimitNOFILE=)"
        ))
    }
}

/// Why this machine builds no ring, given what the kernel said.
pub fn no_ring(error: &io::Error) -> Refusal {
    Machine::here().no_ring(error)
}

/// Tries what torc needs of the kernel.
pub fn probe() -> Result<Features, Refusal> {
    let machine = Machine::here();
    let (open_files, _) = open_file_limits();
    if open_files < OPEN_FILES_MIN {
        return Err(machine.few_files(open_files));
    }
    let mut uring = ring::build(ENTRIES).map_err(|e| machine.no_ring(&e))?;
    let params = uring.params();
    if !params.is_feature_ext_arg() || !params.is_feature_nodrop() {
        return Err(machine.lacks("waits with a timeout"));
    }
    let mut probe = Probe::new();
    uring.submitter().register_probe(&mut probe).map_err(|e| machine.no_ring(&e))?;
    for (code, name) in OPERATIONS {
        if !probe.is_supported(code) {
            return Err(machine.lacks(&format!("the operation {name}")));
        }
    }
    // A policy may allow a ring to be built and forbid its use.
    enter(&mut uring).map_err(|e| machine.no_ring(&e))?;
    Ok(Features {
        gather_fixed: probe.is_supported(opcode::WritevFixed::CODE),
        ring_messages: probe.is_supported(opcode::MsgRingData::CODE),
        open_files,
        kernel: machine.kernel,
    })
}

/// One operation that does nothing.
fn enter(uring: &mut IoUring) -> io::Result<()> {
    // SAFETY: the entry names no memory.
    unsafe { uring.submission().push(&opcode::Nop::new().build()) }.expect("the ring is empty");
    uring.submit_and_wait(1).map(drop)
}

fn open_file_limits() -> (u64, u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for writing.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    assert_eq!(result, 0, "RLIMIT_NOFILE can always be read");
    (limit.rlim_cur, limit.rlim_max)
}

/// Raises the soft limit of open files to the hard one; returns what holds afterwards.
pub fn raise_open_files() -> u64 {
    let (soft, hard) = open_file_limits();
    let limit = libc::rlimit { rlim_cur: hard, rlim_max: hard };
    // SAFETY: `limit` is valid for reading.
    if soft < hard && unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } == 0 {
        return hard;
    }
    soft
}
