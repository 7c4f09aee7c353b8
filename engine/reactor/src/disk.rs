//! Disk operations. All go through the ring, on fixed files, except listing a directory and asking for free space:
//! the kernel has no entries for these, and they are rare (at start, and about once a second).

use crate::durably::Durably;
use crate::resources::Want;
use crate::ring::{Completion, Kind, Ring, RingError};
use crate::settings::Sync;
use crate::stats::LoopStats;
use io_uring::{opcode, squeue, types};
use std::collections::VecDeque;
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use torc_base::buf::{BufMut, Pages, Pool};
use torc_base::ids::{FileId, Tag};
use torc_base::io::{DiskDone, DiskError, DiskKind, DiskOk, DiskOp, Event, Level};
use torc_base::limits::PAGE;
use torc_base::time::Mono;

/// Gather lists up to this length are kept for reuse.
const RUNS_KEPT: usize = 64;
/// How often an allocation that was interrupted begins again.
const INTERRUPTED_MAX: u64 = 16;
/// Longest gather list, the kernel's IOV_MAX.
const RUNS_MAX: usize = 1024;
/// The registered arena's place among the registered buffers.
const ARENA: u16 = 0;

/// Where an operation is in its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Open,
    OpenStat,
    /// What the kernel has of a file in memory goes, if it takes that for written: it does so of what a flush has failed to write, and a
    /// log that was read from there would be flushed once more, with success, and never reach the disk.
    Forget,
    Create,
    Allocate,
    /// The file system allocates nothing ahead: the file gets its length by its last page.
    Extend,
    /// The file has not got its length: it is closed and removed again, then the error is reported.
    UndoClose(i32),
    UndoRemove(i32),
    Write,
    Read,
    /// One entry and nothing to hand back.
    Plain,
}

/// An operation in flight, and everything that the kernel was given addresses of. Boxed for that.
struct Running {
    tag: Tag,
    step: Step,
    file: FileId,
    at: u64,
    /// Bytes done of a write or read; bytes to allocate of a creation.
    bytes: u64,
    durable: bool,
    /// Made durable by an fdatasync that is linked to it, not by its own flag.
    linked: bool,
    /// When it was asked for.
    begun: Mono,
    name: CString,
    to: CString,
    stat: libc::statx,
    runs: Vec<Pages>,
    iovecs: Vec<libc::iovec>,
    read: Option<BufMut>,
    /// Opened with O_DIRECT.
    direct: bool,
}

pub(crate) struct Disk {
    path: PathBuf,
    directory: File,
    durably: Durably,
    /// The loop's clock, at what was begun or completed last.
    now: Mono,
    direct: bool,
    /// The file system does, as far as is known.
    allocates: bool,
    files: u32,
    /// Addresses of the registered arena, and whether gathered writes may use it.
    arena: Range<usize>,
    gather_fixed: bool,
    slots: Vec<Option<Box<Running>>>,
    free: Vec<usize>,
    /// Operations that ended, for reuse.
    #[expect(clippy::vec_box, reason = "they move to a slot and back without being copied")]
    spare: Vec<Box<Running>>,
    stats: Arc<LoopStats>,
}

fn disk_error(result: i32) -> DiskError {
    match -result {
        libc::ENOSPC | libc::EDQUOT => DiskError::NoSpace,
        libc::ENOENT | libc::EBADF => DiskError::NotFound,
        libc::EEXIST => DiskError::Exists,
        libc::EMFILE => DiskError::TooManyFiles,
        libc::ENFILE => DiskError::TooManyFilesInAll,
        libc::EFBIG => DiskError::FileTooLong,
        libc::ENOMEM => DiskError::NoMemory,
        errno => DiskError::Io(errno),
    }
}

fn io_error(error: &io::Error) -> DiskError {
    disk_error(-error.raw_os_error().unwrap_or(libc::EIO))
}

/// A file name of the shard's directory as the kernel takes it.
fn c_name(name: &str) -> CString {
    assert!(!name.is_empty() && !name.contains('/') && name != "." && name != "..", "{name:?} is no plain file name");
    CString::new(name).expect("file names contain no zero byte")
}

impl Running {
    fn new() -> Box<Running> {
        Box::new(Running {
            tag: Tag(0),
            step: Step::Plain,
            file: FileId(0),
            at: 0,
            bytes: 0,
            durable: false,
            linked: false,
            begun: Mono(0),
            name: CString::default(),
            to: CString::default(),
            // SAFETY: a statx is plain data.
            stat: unsafe { std::mem::zeroed() },
            runs: Vec::new(),
            iovecs: Vec::new(),
            read: None,
            direct: false,
        })
    }

    /// Bytes of all runs.
    fn total(&self) -> u64 {
        self.runs.iter().map(|r| r.len() as u64).sum()
    }

    fn end(&mut self) {
        self.runs = Vec::new();
        self.read = None;
        if self.iovecs.capacity() > RUNS_KEPT {
            self.iovecs = Vec::new();
        }
    }
}

impl Disk {
    /// Opens the shard's directory and makes `files` file slots.
    pub(crate) fn new(
        ring: &Ring,
        path: &Path,
        sync: Sync,
        direct: bool,
        files: u32,
        hold: Option<OwnedFd>,
        stats: Arc<LoopStats>,
    ) -> Result<Disk, (String, Want, io::Error)> {
        let place = path.display();
        let opening = |e| (format!("opening the directory {place}"), Want::Descriptor, e);
        let directory = File::open(path).map_err(opening)?;
        let registering = |e| (format!("registering {files} file slots for {place}"), Want::Ring, e);
        // The slot behind the last is for `hold`: the kernel gives a registered file up only with the ring, and the
        // ring only when all its operations have ended.
        ring.submitter().register_files_sparse(files + 1).map_err(registering)?;
        if let Some(hold) = hold {
            ring.submitter().register_files_update(files, &[hold.as_raw_fd()]).map_err(registering)?;
        }
        Ok(Disk {
            path: path.to_owned(),
            directory,
            durably: Durably::new(sync),
            now: Mono(0),
            direct,
            allocates: true,
            files,
            arena: 0..0,
            gather_fixed: false,
            slots: Vec::new(),
            free: Vec::new(),
            spare: Vec::new(),
            stats,
        })
    }

    /// Writes from these addresses use the registered buffer [`ARENA`]; gathered ones too if the kernel can.
    pub(crate) fn use_arena(&mut self, arena: Range<usize>, gather: bool) {
        self.arena = arena;
        self.gather_fixed = gather;
    }

    fn dir(&self) -> RawFd {
        self.directory.as_raw_fd()
    }

    /// Begins an operation.
    pub(crate) fn start<M>(
        &mut self,
        ring: &mut Ring,
        op: DiskOp,
        now: Mono,
        out: &mut VecDeque<Event<M>>,
    ) -> Result<(), RingError> {
        self.now = now;
        let tag = op.tag;
        let answer = match op.kind {
            DiskKind::List => Some(list(&self.path).map(DiskOk::Listed)),
            DiskKind::Free => Some(self.free_space()),
            DiskKind::Open { file, .. } | DiskKind::Create { file, .. } if file.get() >= self.files => {
                Some(Err(DiskError::TooManyFiles))
            }
            kind => {
                self.begin(ring, tag, kind)?;
                None
            }
        };
        if let Some(result) = answer {
            self.stats.disk_errors.add(u64::from(result.is_err()));
            out.push_back(Event::Disk(DiskDone { tag, result }));
        }
        Ok(())
    }

    fn begin(&mut self, ring: &mut Ring, tag: Tag, kind: DiskKind) -> Result<(), RingError> {
        let mut running = self.spare.pop().unwrap_or_else(Running::new);
        running.tag = tag;
        running.step = Step::Plain;
        running.bytes = 0;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let entry = match kind {
            DiskKind::Open { file, name } => {
                running.step = Step::Open;
                running.name = c_name(&name);
                running.file = file;
                running.direct = self.direct;
                self.open_entry(&running)
            }
            DiskKind::Create { file, name, bytes } => {
                running.step = Step::Create;
                running.name = c_name(&name);
                running.file = file;
                running.bytes = bytes;
                running.direct = self.direct;
                self.open_entry(&running)
            }
            DiskKind::Close { file } => opcode::Close::new(types::Fixed(file.get())).build(),
            DiskKind::Write { file, at, runs, durable } => {
                assert!(at.is_multiple_of(PAGE as u64) && !runs.is_empty() && runs.len() <= RUNS_MAX);
                (running.step, running.file, running.at) = (Step::Write, file, at);
                (running.runs, running.durable) = (runs, durable);
                running.linked = durable && self.durably.linked(self.now, running.total());
                running.begun = self.now;
                self.slots[slot] = Some(running);
                return self.write(ring, slot);
            }
            DiskKind::Read { file, at, bytes } => {
                assert!(at.is_multiple_of(PAGE as u64) && bytes.len().is_multiple_of(PAGE) && bytes.is_aligned());
                (running.step, running.file, running.at) = (Step::Read, file, at);
                running.read = Some(bytes);
                read_entry(&mut running)
            }
            DiskKind::Sync { file } => opcode::Fsync::new(types::Fixed(file.get())).build(),
            DiskKind::SyncDir => opcode::Fsync::new(types::Fd(self.dir())).build(),
            DiskKind::Rename { from, to } => {
                (running.name, running.to) = (c_name(&from), c_name(&to));
                let dir = types::Fd(self.dir());
                opcode::RenameAt::new(dir, running.name.as_ptr(), dir, running.to.as_ptr()).build()
            }
            DiskKind::Remove { name } => {
                running.name = c_name(&name);
                opcode::UnlinkAt::new(types::Fd(self.dir()), running.name.as_ptr()).build()
            }
            DiskKind::List | DiskKind::Free => unreachable!("answered at once"),
        };
        self.slots[slot] = Some(running);
        self.push(ring, slot, entry)
    }

    fn push(&mut self, ring: &mut Ring, slot: usize, entry: squeue::Entry) -> Result<(), RingError> {
        let key = ring.key(Kind::Disk, slot);
        // SAFETY: whatever the entry names belongs to the boxed operation in `slot`, which stays there, untouched,
        // until the completion comes.
        unsafe { ring.push(entry, key) }
    }

    fn open_entry(&self, running: &Running) -> squeue::Entry {
        // Without O_CLOEXEC: slots are not inherited, and the kernel refuses the flag for them.
        let mut flags = libc::O_RDWR;
        if running.step == Step::Create {
            flags |= libc::O_CREAT | libc::O_EXCL;
        }
        if running.direct {
            flags |= libc::O_DIRECT;
        }
        let target = types::DestinationSlot::try_from_slot_target(running.file.get()).expect("below the slots' number");
        opcode::OpenAt::new(types::Fd(self.dir()), running.name.as_ptr())
            .flags(flags)
            .mode(0o640)
            .file_index(Some(target))
            .build()
    }

    /// Queues the write of everything that is not written yet.
    fn write(&mut self, ring: &mut Ring, slot: usize) -> Result<(), RingError> {
        let running = self.slots[slot].as_deref_mut().expect("in flight");
        running.iovecs.clear();
        let mut skip = running.bytes as usize;
        for run in &running.runs {
            let (address, len) = run.as_raw();
            if skip >= len {
                skip -= len;
                continue;
            }
            // SAFETY: `skip` is below the run's length.
            let address = unsafe { address.add(skip) };
            running.iovecs.push(libc::iovec { iov_base: address.cast_mut().cast(), iov_len: len - skip });
            skip = 0;
        }
        let arena = &self.arena;
        let fixed = running.iovecs.iter().all(|run| arena.contains(&(run.iov_base as usize)));
        let flags = if running.durable && !running.linked { libc::RWF_DSYNC } else { 0 };
        let (file, at) = (types::Fixed(running.file.get()), running.at + running.bytes);
        let entry = match running.iovecs[..] {
            [run] if fixed => opcode::WriteFixed::new(file, run.iov_base.cast(), run.iov_len as u32, ARENA)
                .offset(at)
                .rw_flags(flags)
                .build(),
            [run] => {
                opcode::Write::new(file, run.iov_base.cast(), run.iov_len as u32).offset(at).rw_flags(flags).build()
            }
            ref runs if fixed && self.gather_fixed => {
                opcode::WritevFixed::new(file, runs.as_ptr(), runs.len() as u32, ARENA)
                    .offset(at)
                    .rw_flags(flags)
                    .build()
            }
            ref runs => opcode::Writev::new(file, runs.as_ptr(), runs.len() as u32).offset(at).rw_flags(flags).build(),
        };
        self.stats.disk_writes_fixed.add(u64::from(fixed && (running.iovecs.len() == 1 || self.gather_fixed)));
        if !running.linked {
            return self.push(ring, slot, entry);
        }
        let flush = opcode::Fsync::new(file).flags(types::FsyncFlags::DATASYNC).build();
        let (write_key, flush_key) = (ring.key(Kind::Disk, slot), ring.key(Kind::DiskSync, slot));
        // SAFETY: as in `push`.
        unsafe { ring.push_linked((entry, write_key), (flush, flush_key)) }
    }

    /// Takes the completion of an operation's entry, or linked entries.
    pub(crate) fn complete<M>(
        &mut self,
        ring: &mut Ring,
        completion: Completion,
        now: Mono,
        out: &mut VecDeque<Event<M>>,
        log: &mut dyn FnMut(Level, &str),
    ) -> Result<(), RingError> {
        self.now = now;
        let slot = completion.key.slot();
        let running = self.slots[slot].as_deref_mut().expect("an operation stays until its last completion");
        let result = match completion.key.kind() {
            Kind::Disk => completion.result,
            // Only a write in full gets as far as its flush.
            _ if completion.result < 0 => completion.result,
            _ => (running.total() - running.bytes) as i32,
        };
        match running.step {
            Step::Open | Step::Create => self.opened(ring, slot, result, out, log),
            Step::OpenStat if result >= 0 && !running.direct => {
                running.step = Step::Forget;
                let file = types::Fixed(running.file.get());
                self.push(ring, slot, opcode::Fadvise::new(file, 0, libc::POSIX_FADV_DONTNEED).build())
            }
            Step::OpenStat | Step::Forget => {
                let bytes = running.stat.stx_size;
                // Without it, reads are as good as they were.
                let result = if running.step == Step::Forget { 0 } else { result };
                self.finish_with(slot, result, DiskOk::Opened { bytes }, out)
            }
            // A signal, or the machine that went to sleep: what is allocated stays so.
            Step::Allocate if result == -libc::EINTR && running.at < INTERRUPTED_MAX => {
                running.at += 1;
                self.allocate(ring, slot)
            }
            Step::Allocate if matches!(-result, libc::EOPNOTSUPP | libc::ENOSYS) => self.extend(ring, slot, log),
            Step::Extend if result >= 0 && result != PAGE as i32 => self.undo(ring, slot, -libc::EIO),
            Step::Allocate | Step::Extend if result < 0 => self.undo(ring, slot, result),
            Step::Allocate | Step::Extend => {
                let bytes = running.bytes;
                self.finish_with(slot, result, DiskOk::Opened { bytes }, out)
            }
            Step::UndoClose(error) => {
                running.step = Step::UndoRemove(error);
                let name = running.name.as_ptr();
                let entry = opcode::UnlinkAt::new(types::Fd(self.dir()), name).build();
                self.push(ring, slot, entry)
            }
            Step::UndoRemove(error) => self.finish_with(slot, error, DiskOk::Done, out),
            Step::Write => self.wrote(ring, slot, result, out),
            Step::Read => self.read(ring, slot, result, out),
            Step::Plain => self.finish_with(slot, result, DiskOk::Done, out),
        }
    }

    fn opened<M>(
        &mut self,
        ring: &mut Ring,
        slot: usize,
        result: i32,
        out: &mut VecDeque<Event<M>>,
        log: &mut dyn FnMut(Level, &str),
    ) -> Result<(), RingError> {
        let running = self.slots[slot].as_deref_mut().expect("in flight");
        if result == -libc::EINVAL && running.direct {
            running.direct = false;
            if std::mem::take(&mut self.direct) {
                let path = self.path.display();
                log(Level::Warn, &format!("{path}: this file system refuses O_DIRECT; writing through the page cache"));
            }
            let running = self.slots[slot].as_deref().expect("in flight");
            let mut entry = self.open_entry(running);
            if running.step == Step::Create {
                // A refused open may leave the new file behind; nobody else makes files here.
                entry = self.reopen_entry(running);
            }
            return self.push(ring, slot, entry);
        }
        if result < 0 {
            return self.finish_with(slot, result, DiskOk::Done, out);
        }
        if running.step == Step::Open {
            running.step = Step::OpenStat;
            let stat = (&raw mut running.stat).cast();
            let name = running.name.as_ptr();
            let entry = opcode::Statx::new(types::Fd(self.dir()), name, stat).mask(libc::STATX_SIZE).build();
            return self.push(ring, slot, entry);
        }
        if running.bytes == 0 {
            return self.finish_with(slot, 0, DiskOk::Opened { bytes: 0 }, out);
        }
        (running.step, running.at) = (Step::Allocate, 0);
        self.allocate(ring, slot)
    }

    fn allocate(&mut self, ring: &mut Ring, slot: usize) -> Result<(), RingError> {
        let running = self.slots[slot].as_deref().expect("in flight");
        let entry = opcode::Fallocate::new(types::Fixed(running.file.get()), running.bytes).build();
        self.push(ring, slot, entry)
    }

    /// Gives a new file its length without its room.
    fn extend(&mut self, ring: &mut Ring, slot: usize, log: &mut dyn FnMut(Level, &str)) -> Result<(), RingError> {
        if std::mem::take(&mut self.allocates) {
            let path = self.path.display();
            let text =
                "this file system does not allocate files ahead, so that room that others take may be missed late";
            log(Level::Warn, &format!("{path}: {text}"));
        }
        let running = self.slots[slot].as_deref_mut().expect("in flight");
        assert!(running.bytes.is_multiple_of(PAGE as u64), "a file of {} bytes", running.bytes);
        let mut page = Pool::new(PAGE, 0).take(PAGE).expect("within the limit");
        page.fill(0);
        running.step = Step::Extend;
        let (address, len) = running.read.insert(page).as_raw();
        let at = running.bytes - PAGE as u64;
        let entry = opcode::Write::new(types::Fixed(running.file.get()), address, len as u32).offset(at).build();
        self.push(ring, slot, entry)
    }

    /// A file that could not be made is closed and removed.
    fn undo(&mut self, ring: &mut Ring, slot: usize, error: i32) -> Result<(), RingError> {
        let running = self.slots[slot].as_deref_mut().expect("in flight");
        running.step = Step::UndoClose(error);
        let file = types::Fixed(running.file.get());
        self.push(ring, slot, opcode::Close::new(file).build())
    }

    /// Opens a file that an open with O_DIRECT has made and refused.
    fn reopen_entry(&self, running: &Running) -> squeue::Entry {
        let target = types::DestinationSlot::try_from_slot_target(running.file.get()).expect("below the slots' number");
        opcode::OpenAt::new(types::Fd(self.dir()), running.name.as_ptr())
            .flags(libc::O_RDWR | libc::O_CREAT)
            .mode(0o640)
            .file_index(Some(target))
            .build()
    }

    fn wrote<M>(
        &mut self,
        ring: &mut Ring,
        slot: usize,
        result: i32,
        out: &mut VecDeque<Event<M>>,
    ) -> Result<(), RingError> {
        let running = self.slots[slot].as_deref_mut().expect("in flight");
        if result < 0 {
            return self.finish_with(slot, result, DiskOk::Done, out);
        }
        running.bytes += result as u64;
        let total = running.total();
        assert!(running.bytes <= total, "the kernel wrote more than it was given");
        if running.bytes == total {
            self.stats.disk_writes.add(1);
            self.stats.disk_written_bytes.add(total);
            if running.durable {
                self.stats.disk_writes_linked.add(u64::from(running.linked));
                self.durably.took(running.linked, total, self.now.since(running.begun));
            }
            return self.finish_with(slot, 0, DiskOk::Done, out);
        }
        // Short without an error: asking for the rest brings the reason, or the end.
        if result == 0 || !running.bytes.is_multiple_of(PAGE as u64) {
            return self.finish_with(slot, -libc::EIO, DiskOk::Done, out);
        }
        self.write(ring, slot)
    }

    fn read<M>(
        &mut self,
        ring: &mut Ring,
        slot: usize,
        result: i32,
        out: &mut VecDeque<Event<M>>,
    ) -> Result<(), RingError> {
        let running = self.slots[slot].as_deref_mut().expect("in flight");
        if result < 0 {
            return self.finish_with(slot, result, DiskOk::Done, out);
        }
        running.bytes += result as u64;
        let whole = running.read.as_ref().map_or(0, |b| b.len()) as u64;
        // Only the file's end is short of a page; otherwise the next read tells whether it is the end.
        if result > 0 && running.bytes < whole && running.bytes.is_multiple_of(PAGE as u64) {
            let entry = read_entry(running);
            return self.push(ring, slot, entry);
        }
        let mut bytes = running.read.take().expect("a read has its buffer");
        bytes.truncate(running.bytes as usize);
        self.stats.disk_reads.add(1);
        self.finish_with(slot, 0, DiskOk::Read { bytes }, out)
    }

    /// Ends an operation: well with `ok`, or with the error that `result` is.
    fn finish_with<M>(
        &mut self,
        slot: usize,
        result: i32,
        ok: DiskOk,
        out: &mut VecDeque<Event<M>>,
    ) -> Result<(), RingError> {
        let mut running = self.slots[slot].take().expect("in flight");
        let result = if result < 0 { Err(disk_error(result)) } else { Ok(ok) };
        self.stats.disk_errors.add(u64::from(result.is_err()));
        out.push_back(Event::Disk(DiskDone { tag: running.tag, result }));
        running.durable = false;
        running.end();
        self.spare.push(running);
        self.free.push(slot);
        Ok(())
    }

    fn free_space(&self) -> Result<DiskOk, DiskError> {
        // SAFETY: a statvfs is plain data.
        let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open and `stat` is valid for writing.
        if unsafe { libc::fstatvfs(self.dir(), &mut stat) } < 0 {
            return Err(io_error(&io::Error::last_os_error()));
        }
        Ok(DiskOk::Free { free: stat.f_bavail * stat.f_frsize, total: stat.f_blocks * stat.f_frsize })
    }
}

/// The read of what is missing.
fn read_entry(running: &mut Running) -> squeue::Entry {
    let done = running.bytes as usize;
    let (address, len) = running.read.as_mut().expect("a read has its buffer").as_raw();
    // SAFETY: `done` is below the buffer's length.
    let address = unsafe { address.add(done) };
    opcode::Read::new(types::Fixed(running.file.get()), address, (len - done) as u32)
        .offset(running.at + running.bytes)
        .build()
}

/// Regular files of the directory. Names that are not UTF-8 are not torc's and left out.
fn list(path: &Path) -> Result<Vec<(String, u64)>, DiskError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|e| io_error(&e))? {
        let entry = entry.map_err(|e| io_error(&e))?;
        let meta = entry.metadata().map_err(|e| io_error(&e))?;
        if let (true, Ok(name)) = (meta.is_file(), std::str::from_utf8(entry.file_name().as_bytes())) {
            files.push((name.to_owned(), meta.len()));
        }
    }
    Ok(files)
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
