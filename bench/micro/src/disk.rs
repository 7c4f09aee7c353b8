//! A shard's directory in memory, which carries out every operation at once.

use std::collections::BTreeMap;
use torc_base::ids::FileId;
use torc_base::io::{DiskKind, DiskOk};

/// Bytes that the disk says it has; more than any bench writes.
const DISK_BYTES: u64 = 1 << 50;

/// What is kept of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Every byte, to be read back.
    Bytes,
    /// Lengths alone: a write costs nothing, and nothing can be read.
    Lengths,
}

#[derive(Default)]
struct File {
    length: u64,
    /// Empty with [`Keep::Lengths`].
    bytes: Vec<u8>,
}

/// The disk.
pub struct Disk {
    keep: Keep,
    files: BTreeMap<String, File>,
    open: BTreeMap<FileId, String>,
}

impl Disk {
    /// An empty disk.
    pub fn new(keep: Keep) -> Disk {
        Disk { keep, files: BTreeMap::new(), open: BTreeMap::new() }
    }

    /// Closes all files, as the end of a process does.
    pub fn close_all(&mut self) {
        self.open.clear();
    }

    /// Carries the operation out. Panics where a real disk would fail: no bench asks for such a thing.
    pub fn carry_out(&mut self, kind: DiskKind) -> DiskOk {
        match kind {
            DiskKind::List => {
                return DiskOk::Listed(self.files.iter().map(|(name, file)| (name.clone(), file.length)).collect());
            }
            DiskKind::Open { file, name } => return self.open(file, name),
            DiskKind::Create { file, name, bytes } => {
                let content = if self.keep == Keep::Bytes { vec![0; bytes as usize] } else { Vec::new() };
                let before = self.files.insert(name.clone(), File { length: bytes, bytes: content });
                assert!(before.is_none(), "{name} exists");
                return self.open(file, name);
            }
            DiskKind::Close { file } => drop(self.open.remove(&file)),
            DiskKind::Write { file, at, runs, .. } => {
                let keep = self.keep;
                let file = self.file(file);
                let mut end = at;
                for run in &runs {
                    let start = end as usize;
                    end += run.len() as u64;
                    if keep == Keep::Bytes {
                        file.bytes.resize(file.bytes.len().max(end as usize), 0);
                        run.copy_into(&mut file.bytes[start..end as usize]);
                    }
                }
                file.length = file.length.max(end);
            }
            DiskKind::Read { file, at, mut bytes } => {
                assert_eq!(self.keep, Keep::Bytes, "nothing was kept that could be read");
                let content = &self.file(file).bytes;
                let n = content.len().saturating_sub(at as usize).min(bytes.len());
                bytes.truncate(n);
                bytes.copy_from_slice(&content[at as usize..at as usize + n]);
                return DiskOk::Read { bytes };
            }
            DiskKind::Rename { from, to } => {
                let file = self.files.remove(&from).expect("what is renamed exists");
                self.files.insert(to, file);
            }
            DiskKind::Remove { name } => drop(self.files.remove(&name)),
            DiskKind::Free => return DiskOk::Free { free: DISK_BYTES, total: DISK_BYTES },
            DiskKind::Sync { .. } | DiskKind::SyncDir => {}
        }
        DiskOk::Done
    }

    fn open(&mut self, file: FileId, name: String) -> DiskOk {
        let bytes = self.files.get(&name).expect("what is opened exists").length;
        self.open.insert(file, name);
        DiskOk::Opened { bytes }
    }

    fn file(&mut self, file: FileId) -> &mut File {
        let name = self.open.get(&file).expect("the file is open");
        self.files.get_mut(name).expect("open files exist")
    }
}
