//! A directory of one shard in memory: what is written, what of it is stable, and what a power cut leaves.

use std::collections::BTreeMap;
use torc_base::ids::FileId;
use torc_base::io::{DiskError, DiskKind, DiskOk};
use torc_base::limits::{BATCH_RUNS_MAX, PAGE};
use torc_base::prng::Prng;

const SECTOR: usize = 512;

#[derive(Clone)]
pub struct File {
    /// What a read gives.
    pub bytes: Vec<u8>,
    /// What is on stable storage for certain.
    stable: Vec<u8>,
    /// The name survives a power cut for certain.
    pub named: bool,
}

#[derive(Clone, Default)]
pub struct Disk {
    pub files: BTreeMap<String, File>,
    open: BTreeMap<FileId, String>,
    /// Bytes that all files together may have.
    pub capacity: u64,
    /// Bytes of writes that nobody asked to be durable: of new files.
    pub written_ahead: u64,
    /// Counts down with each write, flush or creation; at 0 that one fails with the error.
    pub fail_in: Option<(u64, DiskError)>,
    /// Why no more files can be made or opened, if there is a reason.
    pub no_files: Option<DiskError>,
    /// As above, for reads.
    pub fail_read_in: Option<u64>,
    /// The page of a file that cannot be read.
    pub unreadable: Option<(String, usize)>,
    /// Bytes that were read.
    pub bytes_read: u64,
}

impl Disk {
    pub fn new() -> Disk {
        Disk { capacity: 1 << 40, ..Disk::default() }
    }

    fn used(&self) -> u64 {
        self.files.values().map(|f| f.bytes.len() as u64).sum()
    }

    fn file(&mut self, file: FileId) -> &mut File {
        let name = self.open.get(&file).unwrap_or_else(|| panic!("{file} is not open"));
        self.files.get_mut(name).unwrap_or_else(|| panic!("{name} was removed while open"))
    }

    /// Carries an operation out.
    pub fn execute(&mut self, kind: DiskKind) -> Result<DiskOk, DiskError> {
        let changes = !matches!(
            kind,
            DiskKind::Read { .. } | DiskKind::List | DiskKind::Free | DiskKind::Open { .. } | DiskKind::Close { .. }
        );
        if changes && let Some((n, error)) = &mut self.fail_in {
            *n = n.wrapping_sub(1);
            if *n == 0 {
                return Err(error.clone());
            }
        }
        match kind {
            DiskKind::List => {
                Ok(DiskOk::Listed(self.files.iter().map(|(n, f)| (n.clone(), f.bytes.len() as u64)).collect()))
            }
            DiskKind::Open { file, name } => {
                let bytes = self.files.get(&name).ok_or(DiskError::NotFound)?.bytes.len() as u64;
                assert!(self.open.insert(file, name).is_none(), "opened twice");
                Ok(DiskOk::Opened { bytes })
            }
            DiskKind::Create { file, name, bytes } => {
                if self.files.contains_key(&name) {
                    return Err(DiskError::Exists);
                }
                if let Some(lack) = &self.no_files {
                    return Err(lack.clone());
                }
                if self.used() + bytes > self.capacity {
                    return Err(DiskError::NoSpace);
                }
                let zeroes = vec![0; bytes as usize];
                self.files.insert(name.clone(), File { bytes: zeroes.clone(), stable: zeroes, named: false });
                self.open.insert(file, name);
                Ok(DiskOk::Opened { bytes })
            }
            DiskKind::Close { file } => {
                self.open.remove(&file).expect("an open file is closed");
                Ok(DiskOk::Done)
            }
            DiskKind::Write { file, at, runs, durable } => {
                assert!(runs.len() <= BATCH_RUNS_MAX, "a write of {} runs", runs.len());
                let mut data = Vec::new();
                for run in runs {
                    let start = data.len();
                    data.resize(start + run.len(), 0);
                    run.copy_into(&mut data[start..]);
                }
                self.written_ahead += if durable { 0 } else { data.len() as u64 };
                let f = self.file(file);
                let range = at as usize..at as usize + data.len();
                assert!(range.end <= f.bytes.len(), "no write makes a file longer");
                f.bytes[range.clone()].copy_from_slice(&data);
                if durable {
                    f.stable[range].copy_from_slice(&data);
                }
                Ok(DiskOk::Done)
            }
            DiskKind::Read { file, at, mut bytes } => {
                if let Some(n) = &mut self.fail_read_in {
                    *n = n.wrapping_sub(1);
                    if *n == 0 {
                        return Err(DiskError::Io(5));
                    }
                }
                let pages = at as usize / PAGE..(at as usize + bytes.len()) / PAGE;
                if self
                    .unreadable
                    .as_ref()
                    .is_some_and(|(name, page)| self.open[&file] == *name && pages.contains(page))
                {
                    return Err(DiskError::Io(5));
                }
                let f = self.file(file);
                let end = f.bytes.len().min(at as usize + bytes.len());
                let start = end.min(at as usize);
                bytes.truncate(end - start);
                bytes.copy_from_slice(&f.bytes[start..end]);
                self.bytes_read += bytes.len() as u64;
                Ok(DiskOk::Read { bytes })
            }
            DiskKind::Sync { file } => {
                let f = self.file(file);
                f.stable = f.bytes.clone();
                Ok(DiskOk::Done)
            }
            DiskKind::SyncDir => {
                self.files.values_mut().for_each(|f| f.named = true);
                Ok(DiskOk::Done)
            }
            DiskKind::Rename { .. } => panic!("the log renames nothing"),
            DiskKind::Remove { name } => {
                self.files.remove(&name).ok_or(DiskError::NotFound)?;
                Ok(DiskOk::Done)
            }
            DiskKind::Free => {
                Ok(DiskOk::Free { free: self.capacity.saturating_sub(self.used()), total: self.capacity })
            }
        }
    }

    /// An operation was under way when the process died: any of its sectors may have arrived.
    pub fn execute_torn(&mut self, kind: DiskKind, prng: &mut Prng) {
        let DiskKind::Write { file, at, runs, .. } = kind else {
            if prng.chance(1, 2) {
                let _ = self.execute(kind);
            }
            return;
        };
        let mut data = Vec::new();
        for run in runs {
            let start = data.len();
            data.resize(start + run.len(), 0);
            run.copy_into(&mut data[start..]);
        }
        let share = prng.below(5);
        let f = self.file(file);
        for (n, sector) in data.chunks(SECTOR).enumerate() {
            if prng.below(4) < share {
                let start = at as usize + n * SECTOR;
                f.bytes[start..start + sector.len()].copy_from_slice(sector);
            }
        }
    }

    /// The process is gone; files are as they are.
    pub fn crash(&mut self) {
        self.open.clear();
        self.fail_in = None;
        self.fail_read_in = None;
    }

    /// The power is gone: of what was not flushed, any sector may be there or not.
    pub fn power_cut(&mut self, prng: &mut Prng) {
        self.crash();
        self.files.retain(|_, f| f.named || prng.chance(1, 2));
        for f in self.files.values_mut() {
            for start in (0..f.bytes.len()).step_by(SECTOR) {
                let range = start..(start + SECTOR).min(f.bytes.len());
                if f.bytes[range.clone()] != f.stable[range.clone()] && prng.chance(1, 2) {
                    let old = f.stable[range.clone()].to_vec();
                    f.bytes[range].copy_from_slice(&old);
                }
            }
            f.stable = f.bytes.clone();
            f.named = true;
        }
    }
}
