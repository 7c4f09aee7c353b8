//! A shard's directory on a device that forgets.
//!
//! Sectors of 512 bytes. A write that is not durable ends in the device's cache; `Sync` of its file, or `durable`
//! on the write itself, moves it to stable storage, at the completion and not before. Until then a power cut keeps an
//! arbitrary subset of its sectors. Creations, renames and removals are volatile until `SyncDir`; of those, a power
//! cut keeps a prefix, as journaling file systems do.
//!
//! `bytes` of a file is what a read sees. For each sector that is not stable `undo` holds what the medium has.

use crate::faults::DiskFaults;
use crate::tear;
use crate::violation::Violation;
use std::collections::BTreeMap;
use torc_base::buf::{BufMut, Pages};
use torc_base::ids::{FileId, Tag};
use torc_base::io::{DiskDone, DiskError, DiskKind, DiskOk, DiskOp};
use torc_base::limits::PAGE;
use torc_base::prng::Prng;
use torc_base::time::Mono;

/// What a device writes at once or not at all.
pub const SECTOR: usize = 512;

/// EIO.
const EIO: i32 = 5;

/// Sector number in its file -> what the medium has, if it is not what a read sees.
pub(crate) type Undo = BTreeMap<usize, Unstable>;

/// A sector of the device's cache.
pub(crate) struct Unstable {
    /// What is on the medium. Boxed: a tree moves its entries about.
    pub old: Box<[u8; SECTOR]>,
    /// When it was written, on the disk's own count of events.
    pub at: u64,
}

/// A durable write that completed; the candidates for damage at rest.
#[derive(Clone, Copy)]
pub(crate) struct Note {
    pub at: usize,
    pub len: usize,
    pub issued: u64,
    pub completed: u64,
}

#[derive(Default)]
pub(crate) struct Inode {
    pub bytes: Vec<u8>,
    pub undo: Undo,
    /// Length on the medium; `bytes.len()` once synced.
    pub stable_len: usize,
    pub notes: Vec<Note>,
    /// No note is about anything from here on.
    pub noted_end: usize,
    /// Writes that are not durable by themselves, since the last sync: position, length, when they ended.
    pub plain: Vec<(usize, usize, u64)>,
}

impl Inode {
    /// What was written before a sync was asked for is durable with its end. Zeroes are not worth damaging.
    fn note_synced(&mut self, issued: u64, completed: u64) {
        let (synced, rest): (Vec<_>, Vec<_>) = self.plain.drain(..).partition(|(.., ended)| *ended < issued);
        self.plain = rest;
        for (at, len, _) in synced {
            if !is_zero(&self.bytes[at..at + len]) {
                self.notes.retain(|n| n.at + n.len <= at || n.at >= at + len);
                self.notes.push(Note { at, len, issued, completed });
                self.noted_end = self.noted_end.max(at + len);
            }
        }
    }
}

/// Number of a file, whatever it is called.
type Ino = u32;

#[derive(Clone)]
enum DirChange {
    Link { name: String, ino: Ino },
    Rename { from: String, to: String },
    Unlink { name: String },
}

/// An operation in flight.
struct Flight {
    tag: Tag,
    kind: Flying,
    issued: u64,
    fail: bool,
}

enum Flying {
    List,
    Open {
        file: FileId,
        name: String,
    },
    Create {
        file: FileId,
        name: String,
        bytes: u64,
    },
    Close {
        file: FileId,
    },
    Write {
        ino: Ino,
        at: usize,
        data: Data,
        durable: bool,
    },
    Read {
        ino: Ino,
        at: usize,
        bytes: BufMut,
    },
    Sync {
        ino: Ino,
    },
    /// `through`: directory changes that had been made when it was issued.
    SyncDir {
        through: u64,
    },
    Rename {
        from: String,
        to: String,
    },
    Remove {
        name: String,
    },
    Free,
}

/// Bytes of a write: the device may fetch them when it is asked or as late as when it is done.
enum Data {
    Early(Vec<u8>),
    Late(Vec<Pages>),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Data::Early(bytes) => bytes.len(),
            Data::Late(runs) => runs.iter().map(Pages::len).sum(),
        }
    }
}

/// Memory that the bytes of writes and of files were in, for those of the next ones.
#[derive(Default)]
struct Buffers {
    free: Vec<Vec<u8>>,
    of_files: Vec<Vec<u8>>,
}

impl Buffers {
    /// More of either are not kept.
    const KEPT: usize = 8;

    fn zeroes(&mut self, len: usize) -> Vec<u8> {
        match self.of_files.pop() {
            Some(mut bytes) => {
                bytes.clear();
                bytes.resize(len, 0);
                bytes
            }
            None => vec![0; len],
        }
    }

    fn file_gone(&mut self, file: &mut Inode) {
        if self.of_files.len() < Buffers::KEPT {
            self.of_files.push(std::mem::take(&mut file.bytes));
        }
    }

    fn gather(&mut self, runs: &[Pages]) -> Vec<u8> {
        let mut out = self.free.pop().unwrap_or_default();
        out.resize(runs.iter().map(Pages::len).sum(), 0);
        let mut at = 0;
        for run in runs {
            run.copy_into(&mut out[at..at + run.len()]);
            at += run.len();
        }
        out
    }

    fn bytes(&mut self, data: Data) -> Vec<u8> {
        match data {
            Data::Early(bytes) => bytes,
            Data::Late(runs) => self.gather(&runs),
        }
    }

    fn give_back(&mut self, bytes: Vec<u8>) {
        if self.free.len() < Buffers::KEPT {
            self.free.push(bytes);
        }
    }
}

/// Zeroes and nothing else: of the many that are written ahead each is looked at, so many at a time.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(PAGE).all(|part| part == &[0; PAGE][..part.len()])
}

/// How long operations take, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Least and most of one operation, before the bytes are counted.
    pub least: u64,
    /// See `least`.
    pub most: u64,
    /// Per KiB of a read or write.
    pub per_kib: u64,
}

/// Counters for reports.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskCounts {
    /// Writes, durable or not.
    pub writes: u64,
    /// Reads.
    pub reads: u64,
    /// Syncs of files and directories.
    pub syncs: u64,
    /// Files created.
    pub creates: u64,
}

/// One shard's directory.
pub struct Disk {
    rng: Prng,
    pub(crate) files: BTreeMap<Ino, Inode>,
    pub(crate) names: BTreeMap<String, Ino>,
    stable_names: BTreeMap<String, Ino>,
    /// Changes since the last completed SyncDir, with their numbers.
    journal: Vec<(u64, DirChange)>,
    handles: BTreeMap<FileId, Ino>,
    flights: BTreeMap<u64, Flight>,
    tick: u64,
    next_ino: Ino,
    buffers: Buffers,
    /// Bytes of the file system; beyond it NoSpace.
    pub capacity: u64,
    /// Bytes that somebody else's files take.
    pub foreign: u64,
    /// How fast it is.
    pub speed: Speed,
    /// Until when it is slow, and how many times slower.
    pub slow: (Mono, u64),
    /// Failures to come.
    pub faults: DiskFaults,
    /// Durable writes and syncs to come that the device says it has made, and has only in its cache.
    pub lies: u64,
    /// What has been asked for.
    pub counts: DiskCounts,
}

impl Disk {
    /// An empty directory on a file system of `capacity` bytes.
    pub fn new(rng: Prng, capacity: u64, speed: Speed) -> Disk {
        Disk {
            rng,
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            stable_names: BTreeMap::new(),
            journal: Vec::new(),
            handles: BTreeMap::new(),
            flights: BTreeMap::new(),
            tick: 0,
            next_ino: 1,
            buffers: Buffers::default(),
            capacity,
            foreign: 0,
            speed,
            slow: (Mono(0), 1),
            faults: DiskFaults::default(),
            lies: 0,
            counts: DiskCounts::default(),
        }
    }

    /// Another disk of the same kind is put in its place, and it is empty. Nobody may have anything open.
    pub fn replace(&mut self) {
        assert!(self.handles.is_empty() && self.flights.is_empty(), "its process still runs");
        *self = Disk { counts: self.counts, ..Disk::new(self.rng.fork(), self.capacity, self.speed) };
    }

    /// All but `free` bytes are taken by somebody else's files.
    pub fn fill_up(&mut self, free: u64) {
        self.foreign = 0;
        self.foreign = self.capacity.saturating_sub(self.used() + free);
    }

    /// Bytes that files take, with those that are unlinked but open.
    pub fn used(&self) -> u64 {
        self.files.values().map(|f| f.bytes.len() as u64).sum::<u64>() + self.foreign
    }

    /// Takes an operation in; returns its ticket and how long it takes.
    pub fn issue(&mut self, now: Mono, op: DiskOp) -> Result<(u64, u64), Violation> {
        self.tick += 1;
        let ticket = self.tick;
        let (kind, bytes) = self.start(op.kind)?;
        let fail = self.faults.strikes(match kind {
            Flying::Write { .. } => crate::faults::Class::Write,
            Flying::Sync { .. } | Flying::SyncDir { .. } => crate::faults::Class::Sync,
            Flying::Read { .. } => crate::faults::Class::Read,
            _ => crate::faults::Class::Directory,
        });
        let mut takes = self.rng.between(self.speed.least, self.speed.most) + bytes as u64 / 1024 * self.speed.per_kib;
        if now < self.slow.0 {
            takes *= self.slow.1;
        }
        self.flights.insert(ticket, Flight { tag: op.tag, kind, issued: ticket, fail });
        Ok((ticket, takes))
    }

    /// Checks an operation against the contract; returns it with the bytes it moves.
    fn start(&mut self, kind: DiskKind) -> Result<(Flying, usize), Violation> {
        Ok(match kind {
            DiskKind::List => (Flying::List, 0),
            DiskKind::Open { file, .. } | DiskKind::Create { file, .. } if self.handles.contains_key(&file) => {
                return Err(Violation::contract(format!("file {file} is opened again before it was closed")));
            }
            DiskKind::Open { file, name } => (Flying::Open { file, name }, 0),
            DiskKind::Create { file, name, bytes } => (Flying::Create { file, name, bytes }, 0),
            DiskKind::Close { file } => {
                self.ino(file)?;
                (Flying::Close { file }, 0)
            }
            DiskKind::Write { file, at, runs, durable } => {
                self.counts.writes += 1;
                let len: usize = runs.iter().map(Pages::len).sum();
                aligned("write", at, len)?;
                let early = self.rng.chance(1, 2);
                let data = if early { Data::Early(self.buffers.gather(&runs)) } else { Data::Late(runs) };
                (Flying::Write { ino: self.ino(file)?, at: at as usize, data, durable }, len)
            }
            DiskKind::Read { file, at, bytes } => {
                self.counts.reads += 1;
                aligned("read", at, bytes.len())?;
                let len = bytes.len();
                if !bytes.is_aligned() {
                    return Err(Violation::contract("a read's buffer does not start on a page boundary"));
                }
                (Flying::Read { ino: self.ino(file)?, at: at as usize, bytes }, len)
            }
            DiskKind::Sync { file } => {
                self.counts.syncs += 1;
                (Flying::Sync { ino: self.ino(file)? }, 0)
            }
            DiskKind::SyncDir => {
                self.counts.syncs += 1;
                (Flying::SyncDir { through: self.tick }, 0)
            }
            DiskKind::Rename { from, to } => (Flying::Rename { from, to }, 0),
            DiskKind::Remove { name } => (Flying::Remove { name }, 0),
            DiskKind::Free => (Flying::Free, 0),
        })
    }

    fn ino(&self, file: FileId) -> Result<Ino, Violation> {
        let found = self.handles.get(&file).copied();
        found.ok_or_else(|| Violation::contract(format!("a disk operation names file {file}, which is not open")))
    }

    /// Ends an operation; `None` if a crash took it.
    pub fn complete(&mut self, ticket: u64) -> Option<DiskDone> {
        let flight = self.flights.remove(&ticket)?;
        self.tick += 1;
        // What was freed meanwhile is noticed when the directory is used next, or somebody asks for room.
        let may_free = !matches!(flight.kind, Flying::Write { .. } | Flying::Read { .. } | Flying::Sync { .. });
        let result = if flight.fail { self.broken(flight.kind) } else { self.carry_out(flight.kind, flight.issued) };
        if may_free {
            self.collect();
        }
        Some(DiskDone { tag: flight.tag, result })
    }

    /// An operation that fails: what it did to the medium is unknown.
    fn broken(&mut self, kind: Flying) -> Result<DiskOk, DiskError> {
        match kind {
            Flying::Write { ino, at, data, durable } => {
                let bytes = self.buffers.bytes(data);
                let keep = tear::pattern(&mut self.rng, bytes.len() / SECTOR);
                let file = self.files.get_mut(&ino).expect("open files exist");
                let end = (at + bytes.len()).min(file.bytes.len());
                let len = end.saturating_sub(at) / SECTOR * SECTOR;
                tear::put(file, at, &bytes[..len], &keep, durable && self.rng.chance(1, 2), self.tick);
            }
            Flying::Sync { ino } => {
                let file = self.files.get_mut(&ino).expect("open files exist");
                // With O_DIRECT there are no pages that the kernel could mark clean; the device may have dropped
                // any of what it had not written yet.
                let lost = tear::pattern(&mut self.rng, file.bytes.len() / SECTOR);
                tear::drop_unstable(file, &lost);
            }
            // As on Linux: whatever close says, the descriptor is gone.
            Flying::Close { file } => {
                self.handles.remove(&file);
            }
            _ => {}
        }
        Err(DiskError::Io(EIO))
    }

    fn carry_out(&mut self, kind: Flying, issued: u64) -> Result<DiskOk, DiskError> {
        match kind {
            Flying::List => {
                let all = self.names.iter().map(|(n, ino)| (n.clone(), self.files[ino].bytes.len() as u64)).collect();
                return Ok(DiskOk::Listed(all));
            }
            Flying::Open { file, name } => {
                let ino = *self.names.get(&name).ok_or(DiskError::NotFound)?;
                self.handles.insert(file, ino);
                return Ok(DiskOk::Opened { bytes: self.files[&ino].bytes.len() as u64 });
            }
            Flying::Create { file, name, bytes } => return self.create(file, name, bytes),
            Flying::Close { file } => {
                self.handles.remove(&file);
            }
            Flying::Write { ino, at, data, durable } => {
                let durable = durable && !self.lies_now();
                let bytes = self.buffers.bytes(data);
                let written = self.write(ino, at, &bytes, durable, issued);
                self.buffers.give_back(bytes);
                written?;
            }
            Flying::Sync { .. } if self.lies_now() => {}
            Flying::Read { ino, at, bytes } => return Ok(self.read(ino, at, bytes)),
            Flying::Sync { ino } => {
                let file = self.files.get_mut(&ino).expect("open files exist");
                file.undo.retain(|_, unstable| unstable.at > issued);
                file.stable_len = file.bytes.len();
                file.note_synced(issued, self.tick);
            }
            Flying::SyncDir { through } => {
                let journal = std::mem::take(&mut self.journal);
                let (stable, rest): (Vec<_>, Vec<_>) = journal.into_iter().partition(|(n, _)| *n <= through);
                for (_, change) in stable {
                    apply(&mut self.stable_names, &change);
                }
                self.journal = rest;
            }
            Flying::Rename { from, to } => {
                if !self.names.contains_key(&from) {
                    return Err(DiskError::NotFound);
                }
                self.change(DirChange::Rename { from, to });
            }
            Flying::Remove { name } => {
                if !self.names.contains_key(&name) {
                    return Err(DiskError::NotFound);
                }
                self.change(DirChange::Unlink { name });
            }
            Flying::Free => {
                let free = self.capacity.saturating_sub(self.used());
                return Ok(DiskOk::Free { free, total: self.capacity });
            }
        }
        Ok(DiskOk::Done)
    }

    fn lies_now(&mut self) -> bool {
        let lies = self.lies > 0;
        self.lies = self.lies.saturating_sub(1);
        lies
    }

    fn change(&mut self, change: DirChange) {
        apply(&mut self.names, &change);
        self.journal.push((self.tick, change));
    }

    fn create(&mut self, file: FileId, name: String, bytes: u64) -> Result<DiskOk, DiskError> {
        if self.names.contains_key(&name) {
            return Err(DiskError::Exists);
        }
        let ino = self.next_ino;
        self.next_ino += 1;
        self.counts.creates += 1;
        let room = self.used() + bytes <= self.capacity;
        let len = if room { bytes as usize } else { 0 };
        self.files.insert(ino, Inode { bytes: self.buffers.zeroes(len), ..Inode::default() });
        self.change(DirChange::Link { name, ino });
        if !room {
            // As on a real file system: open(O_CREAT) went well, fallocate did not; the empty file stays.
            return Err(DiskError::NoSpace);
        }
        self.handles.insert(file, ino);
        Ok(DiskOk::Opened { bytes })
    }

    fn write(&mut self, ino: Ino, at: usize, bytes: &[u8], durable: bool, issued: u64) -> Result<(), DiskError> {
        let end = at + bytes.len();
        let more = end.saturating_sub(self.files.get(&ino).expect("open files exist").bytes.len()) as u64;
        if more > 0 && self.used() + more > self.capacity {
            return Err(DiskError::NoSpace);
        }
        let file = self.files.get_mut(&ino).expect("just seen");
        if more > 0 {
            file.bytes.resize(end, 0);
        }
        tear::put(file, at, bytes, &tear::Keep::All, durable, self.tick);
        if durable {
            file.stable_len = file.stable_len.max(end);
            let note = Note { at, len: bytes.len(), issued, completed: self.tick };
            if at == 0 {
                // A recycled segment begins with its header page.
                file.notes.clear();
                file.noted_end = 0;
                file.plain.clear();
            }
            // Mostly a file is written from its beginning to its end.
            if at < file.noted_end {
                file.notes.retain(|n| n.at + n.len <= at || n.at >= end);
            }
            file.noted_end = file.noted_end.max(end);
            file.notes.push(note);
        } else {
            file.plain.push((at, bytes.len(), self.tick));
        }
        Ok(())
    }

    fn read(&mut self, ino: Ino, at: usize, mut bytes: BufMut) -> DiskOk {
        self.leak(ino, at, bytes.len());
        let file = &self.files[&ino];
        let len = file.bytes.len().saturating_sub(at).min(bytes.len());
        bytes.truncate(len);
        if len > 0 {
            bytes.copy_from_slice(&file.bytes[at..at + len]);
        }
        DiskOk::Read { bytes }
    }

    /// A read that overlaps writes in flight sees any mixture of old and new.
    fn leak(&mut self, ino: Ino, from: usize, len: usize) {
        let file = self.files.get_mut(&ino).expect("open files exist");
        for flight in self.flights.values() {
            let Flying::Write { ino: other, at, data, .. } = &flight.kind else { continue };
            let end = at + data.len();
            if *other != ino || *at >= from + len || end <= from || end > file.bytes.len() {
                continue;
            }
            let keep = tear::pattern(&mut self.rng, data.len() / SECTOR);
            match data {
                Data::Early(bytes) => tear::put(file, *at, bytes, &keep, false, self.tick),
                Data::Late(runs) => {
                    let bytes = self.buffers.gather(runs);
                    tear::put(file, *at, &bytes, &keep, false, self.tick);
                    self.buffers.give_back(bytes);
                }
            }
        }
    }

    /// kill -9: each operation in flight is carried out or not; the device's cache survives.
    pub fn kill(&mut self) {
        for (_, flight) in std::mem::take(&mut self.flights) {
            self.tick += 1;
            if self.rng.chance(1, 2) {
                continue;
            }
            // Durable only at its completion, which nobody will see.
            let kind = match flight.kind {
                Flying::Write { ino, at, data, .. } => Flying::Write { ino, at, data, durable: false },
                Flying::Sync { .. } | Flying::SyncDir { .. } => continue,
                other => other,
            };
            let _ = self.carry_out(kind, flight.issued);
        }
        self.handles.clear();
        self.collect();
    }

    /// The power is cut: of everything that is not stable any part is kept.
    pub fn cut_power(&mut self) {
        let mut flights: Vec<Flight> = std::mem::take(&mut self.flights).into_values().collect();
        tear::shuffle(&mut self.rng, &mut flights);
        for flight in flights {
            self.tick += 1;
            match flight.kind {
                Flying::Write { ino, at, data, .. } => {
                    let bytes = self.buffers.bytes(data);
                    let keep = tear::pattern(&mut self.rng, bytes.len() / SECTOR);
                    let file = self.files.get_mut(&ino).expect("open files exist");
                    if at + bytes.len() <= file.bytes.len() {
                        tear::put(file, at, &bytes, &keep, true, self.tick);
                    }
                }
                Flying::Create { .. } | Flying::Rename { .. } | Flying::Remove { .. } if self.rng.chance(1, 2) => {
                    let _ = self.carry_out(flight.kind, flight.issued);
                }
                _ => {}
            }
        }
        self.handles.clear();
        let kept = self.rng.below(self.journal.len() as u64 + 1) as usize;
        for (_, change) in std::mem::take(&mut self.journal).into_iter().take(kept) {
            apply(&mut self.stable_names, &change);
        }
        self.names = self.stable_names.clone();
        self.collect();
        for file in self.files.values_mut() {
            tear::settle(&mut self.rng, file);
        }
    }

    /// Frees files that no name, journal entry or handle knows.
    fn collect(&mut self) {
        if self.files.len() == self.names.len() {
            return;
        }
        let mut known: Vec<Ino> = self.names.values().chain(self.stable_names.values()).copied().collect();
        known.extend(self.handles.values());
        known.extend(self.journal.iter().filter_map(|(_, change)| match change {
            DirChange::Link { ino, .. } => Some(*ino),
            DirChange::Rename { .. } | DirChange::Unlink { .. } => None,
        }));
        let (flights, buffers) = (&self.flights, &mut self.buffers);
        self.files.retain(|ino, file| {
            let stays = known.contains(ino) || flights.values().any(|flight| flight.kind.uses(*ino));
            if !stays {
                buffers.file_gone(file);
            }
            stays
        });
    }

    /// Operations in flight.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Numbers for the files of the directory: name, length, sectors that are not stable.
    pub fn listing(&self) -> Vec<(String, usize, usize)> {
        let row = |(name, ino): (&String, &Ino)| {
            let file = &self.files[ino];
            (name.clone(), file.bytes.len(), file.undo.len())
        };
        self.names.iter().map(row).collect()
    }
}

impl Flying {
    fn uses(&self, ino: Ino) -> bool {
        match self {
            Flying::Write { ino: i, .. } | Flying::Read { ino: i, .. } | Flying::Sync { ino: i } => *i == ino,
            _ => false,
        }
    }
}

fn apply(names: &mut BTreeMap<String, Ino>, change: &DirChange) {
    match change {
        DirChange::Link { name, ino } => {
            names.insert(name.clone(), *ino);
        }
        DirChange::Rename { from, to } => {
            if let Some(ino) = names.remove(from) {
                names.insert(to.clone(), ino);
            }
        }
        DirChange::Unlink { name } => {
            names.remove(name);
        }
    }
}

fn aligned(what: &str, at: u64, len: usize) -> Result<(), Violation> {
    if at.is_multiple_of(PAGE as u64) && len.is_multiple_of(PAGE) && len > 0 {
        return Ok(());
    }
    Err(Violation::contract(format!("a {what} of {len} bytes at {at} is not made of whole pages")))
}
