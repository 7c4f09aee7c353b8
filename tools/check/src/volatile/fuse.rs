//! The disk as the kernel asks for it. Nothing is kept in the kernel's cache: each write comes here at once, with what it promises.

use super::disk::{Disk, Entry, PAGE, Trouble};
use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, KernelConfig,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use std::ffi::OsStr;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The kernel asks anew each time.
const TTL: Duration = Duration::ZERO;
const WRITE_BYTES_MAX: u32 = 1 << 20;
/// open(2): a write is on the medium when it returns; O_SYNC has this bit, too. (In rustix both names mean O_SYNC.)
pub(super) const O_DSYNC: i32 = 0o10000;
/// fallocate(2): only allocate, and leave the length alone.
const KEEP_SIZE: i32 = 1;

/// What a session serves.
pub struct Served {
    disk: Arc<Mutex<Disk>>,
}

impl Served {
    pub fn new(disk: &Arc<Mutex<Disk>>) -> Served {
        Served { disk: Arc::clone(disk) }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().expect("nobody panics with it")
    }
}

fn errno(trouble: Trouble) -> Errno {
    match trouble {
        Trouble::NotFound => Errno::ENOENT,
        Trouble::Exists => Errno::EEXIST,
        Trouble::NotEmpty => Errno::ENOTEMPTY,
        Trouble::NotDirectory => Errno::ENOTDIR,
        Trouble::IsDirectory => Errno::EISDIR,
        Trouble::NoSpace => Errno::ENOSPC,
        Trouble::Gone => Errno::EIO,
    }
}

fn attributes(entry: Entry) -> FileAttr {
    let (kind, perm) = if entry.is_directory { (FileType::Directory, 0o755) } else { (FileType::RegularFile, 0o644) };
    // Whoever mounts it owns all of it; nobody asks for times.
    let time: SystemTime = UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(entry.number),
        size: entry.len,
        blocks: entry.len.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm,
        nlink: 1,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        rdev: 0,
        blksize: PAGE as u32,
        flags: 0,
    }
}

fn direct() -> FopenFlags {
    FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES
}

fn empty(result: Result<(), Trouble>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(trouble) => reply.error(errno(trouble)),
    }
}

fn entry(result: Result<Entry, Trouble>, reply: ReplyEntry) {
    match result {
        Ok(entry) => reply.entry(&TTL, &attributes(entry), Generation(0)),
        Err(trouble) => reply.error(errno(trouble)),
    }
}

impl Filesystem for Served {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // A smaller bound of the kernel's serves, too.
        let _ = config.set_max_write(WRITE_BYTES_MAX);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(self.disk().find(parent.0, name), reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.disk().entry(ino.0) {
            Ok(entry) => reply.attr(&TTL, &attributes(entry)),
            Err(trouble) => reply.error(errno(trouble)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut disk = self.disk();
        let cut = size.map_or(Ok(()), |size| disk.set_len(ino.0, size));
        match cut.and_then(|()| disk.entry(ino.0)) {
            Ok(entry) => reply.attr(&TTL, &attributes(entry)),
            Err(trouble) => reply.error(errno(trouble)),
        }
    }

    fn mknod(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, _: u32, reply: ReplyEntry) {
        entry(self.disk().make(parent.0, name, false), reply);
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        entry(self.disk().make(parent.0, name, true), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.disk().remove(parent.0, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.disk().remove(parent.0, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        empty(self.disk().rename((parent.0, name), (newparent.0, newname)), reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.disk().opened(ino.0);
        reply.opened(FileHandle(0), direct());
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        let mut disk = self.disk();
        match disk.make(parent.0, name, false) {
            Ok(entry) => {
                disk.opened(entry.number);
                reply.created(&TTL, &attributes(entry), Generation(0), FileHandle(0), direct());
            }
            Err(trouble) => reply.error(errno(trouble)),
        }
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.disk().closed(ino.0);
        reply.ok();
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.disk().read(ino.0, offset, size as usize) {
            Ok(data) => reply.data(&data),
            Err(trouble) => reply.error(errno(trouble)),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        // The file's flags, and those of this write (RWF_DSYNC).
        let durable = flags.0 & O_DSYNC != 0;
        match self.disk().write(ino.0, offset, data, durable) {
            Ok(()) => reply.written(data.len() as u32),
            Err(trouble) => reply.error(errno(trouble)),
        }
    }

    /// A close, which promises nothing.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(self.disk().flush(ino.0), reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(self.disk().flush(ino.0), reply);
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        match self.disk().list(ino.0) {
            Ok(entries) => {
                for (at, (name, entry)) in entries.into_iter().enumerate().skip(offset as usize) {
                    let kind = if entry.is_directory { FileType::Directory } else { FileType::RegularFile };
                    if reply.add(INodeNo(entry.number), at as u64 + 1, kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(trouble) => reply.error(errno(trouble)),
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let disk = self.disk();
        let (blocks, used) = (disk.size() / PAGE as u64, disk.used() / PAGE as u64);
        let free = blocks.saturating_sub(used);
        reply.statfs(blocks, free, free, 1 << 20, 1 << 20, PAGE as u32, 255, PAGE as u32);
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let mut disk = self.disk();
        let grown = match mode {
            KEEP_SIZE => Ok(()),
            0 => disk.entry(ino.0).and_then(|entry| disk.set_len(ino.0, entry.len.max(offset + length))),
            _ => return reply.error(Errno::EOPNOTSUPP),
        };
        empty(grown, reply);
    }
}
