//! A shard's directory in memory: every operation ends well and at once, unless a test says otherwise. What a crash
//! does to a disk is the simulator's matter.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use torc_base::buf::Pages;
use torc_base::ids::FileId;
use torc_base::io::{DiskDone, DiskError, DiskKind, DiskOk, DiskOp};
use torc_base::limits::PAGE;

/// Files by name, as a restart finds them.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What is left on a full disk: room for a checkpoint, and for nothing larger.
const RESERVE: u64 = 256 << 10;

#[derive(Default)]
pub struct Disk {
    pub files: Files,
    open: BTreeMap<FileId, String>,
    /// Operations that a test holds back.
    held: VecDeque<DiskOp>,
    /// Durable writes do not end before a test lets them.
    pub hold_writes: bool,
    /// Reads do not end before a test lets them.
    pub hold_reads: bool,
    /// So many of the next reads do not.
    pub hold_next_reads: usize,
    /// The next durable write fails with EIO.
    pub fail_write: bool,
    /// Pages that cannot be read until they are written, by file and number.
    pub unreadable: BTreeSet<(String, usize)>,
    /// No segment can be made.
    pub full: bool,
    pub reads: usize,
    pub read_bytes: usize,
    done: VecDeque<DiskDone>,
}

impl Disk {
    pub fn new(files: Files) -> Disk {
        Disk { files, ..Disk::default() }
    }

    pub fn issue(&mut self, op: DiskOp) {
        let held = match op.kind {
            DiskKind::Write { durable, .. } => durable && self.hold_writes,
            DiskKind::Read { .. } if self.hold_next_reads > 0 => {
                self.hold_next_reads -= 1;
                true
            }
            DiskKind::Read { .. } => self.hold_reads,
            _ => false,
        };
        if held {
            return self.held.push_back(op);
        }
        let result = self.carry_out(op.kind);
        self.done.push_back(DiskDone { tag: op.tag, result });
    }

    /// Lets everything end that was held back.
    pub fn release(&mut self) {
        (self.hold_writes, self.hold_reads, self.hold_next_reads) = (false, false, 0);
        for op in std::mem::take(&mut self.held) {
            self.issue(op);
        }
    }

    pub fn pop(&mut self) -> Option<DiskDone> {
        self.done.pop_front()
    }

    fn file(&mut self, file: FileId) -> &mut Vec<u8> {
        let name = self.open.get(&file).expect("an operation on an open file");
        self.files.get_mut(name).expect("an open file exists")
    }

    fn carry_out(&mut self, kind: DiskKind) -> Result<DiskOk, DiskError> {
        match kind {
            DiskKind::List => {
                return Ok(DiskOk::Listed(self.files.iter().map(|(name, f)| (name.clone(), f.len() as u64)).collect()));
            }
            DiskKind::Free => {
                let total = 1 << 40;
                return Ok(DiskOk::Free { free: if self.full { 0 } else { total }, total });
            }
            DiskKind::Open { file, name } => {
                let bytes = self.files.get(&name).ok_or(DiskError::NotFound)?.len() as u64;
                assert!(self.open.insert(file, name).is_none(), "a file slot is closed before it is used again");
                return Ok(DiskOk::Opened { bytes });
            }
            DiskKind::Create { file, name, bytes } => {
                if self.files.contains_key(&name) {
                    return Err(DiskError::Exists);
                }
                if self.full && bytes > RESERVE {
                    return Err(DiskError::NoSpace);
                }
                self.files.insert(name.clone(), vec![0; bytes as usize]);
                assert!(self.open.insert(file, name).is_none(), "a file slot is closed before it is used again");
                return Ok(DiskOk::Opened { bytes });
            }
            DiskKind::Close { file } => drop(self.open.remove(&file).expect("an open file is closed")),
            DiskKind::Write { file, at, runs, durable } => {
                if durable && std::mem::take(&mut self.fail_write) {
                    return Err(DiskError::Io(5));
                }
                let mut at = at as usize;
                let len: usize = runs.iter().map(Pages::len).sum();
                self.unreadable.retain(|place| !touches(&self.open[&file], at, len, place));
                let file = self.file(file);
                file.resize(file.len().max(at + len), 0);
                for run in &runs {
                    run.copy_into(&mut file[at..at + run.len()]);
                    at += run.len();
                }
            }
            DiskKind::Read { file, at, mut bytes } => {
                self.reads += 1;
                self.read_bytes += bytes.len();
                if self.unreadable.iter().any(|place| touches(&self.open[&file], at as usize, bytes.len(), place)) {
                    return Err(DiskError::Io(5));
                }
                let (at, file) = (at as usize, self.file(file));
                bytes.truncate(file.len().saturating_sub(at).min(bytes.len()));
                let len = bytes.len();
                bytes.copy_from_slice(&file[at..at + len]);
                return Ok(DiskOk::Read { bytes });
            }
            DiskKind::Rename { from, to } => {
                let file = self.files.remove(&from).ok_or(DiskError::NotFound)?;
                self.files.insert(to.clone(), file);
                for name in self.open.values_mut().filter(|name| **name == from) {
                    name.clone_from(&to);
                }
            }
            DiskKind::Remove { name } => drop(self.files.remove(&name).ok_or(DiskError::NotFound)?),
            DiskKind::Sync { .. } | DiskKind::SyncDir => {}
        }
        Ok(DiskOk::Done)
    }
}

/// True if a page of a file is among `len` bytes at `at` of the file of this name.
fn touches(name: &str, at: usize, len: usize, (file, page): &(String, usize)) -> bool {
    name == file && (at / PAGE..(at + len).div_ceil(PAGE)).contains(page)
}
