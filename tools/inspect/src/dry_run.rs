//! The log's own recovery, over a disk that takes no writes: what a start of the server would say, and what it would
//! know afterwards.

use crate::kind;
use crate::place::{InspectError, Place};
use crate::progress;
use crate::source::Source;
use indicatif::ProgressBar;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use torc_base::ids::{BatchSeq, FileId, GroupId, Index, Offset, SegmentId};
use torc_base::io::{DiskDone, DiskError, DiskKind, DiskOk, DiskOp};
use torc_base::time::Now;
use torc_snapshot::{CheckpointReader, Loaded, Section, Sections};
use torc_wal::checkpoint::Section as LogSection;
use torc_wal::{Corruption, Outcome, Wal, WalError, WalSettings};

/// The section of a checkpoint that is the log's.
pub const LOG: Section = Section(*b"WAL ");
/// The section of a checkpoint that holds topics: how much of the catalog's log is in it (8 bytes), then the catalog.
pub const CATALOG: Section = Section(*b"CATL");

/// The file number of checkpoints; the log's are larger.
const CHECKPOINT_FILE: FileId = FileId(1);

/// What a start would come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is no log: a first start.
    Fresh,
    /// The log ends with batch `last`; `torn`: what is cut behind it.
    Accepted { last: BatchSeq, torn: Option<String> },
    /// The server does not start. `at`: where the log is corrupt, if that is why.
    Refused { why: String, at: Option<Box<Corruption>> },
    /// A server writes faster than the log can be read: each look ended at another place, the last one for this reason.
    Moving { why: String },
}

/// One group as it is after recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// The group.
    pub group: GroupId,
    /// Entries below are dead.
    pub first: Index,
    /// The last entry.
    pub last: Index,
    /// First offset that is held, and the one behind the last.
    pub offsets: (Offset, Offset),
    /// Payload bytes.
    pub bytes: u64,
    /// Segments that hold some of it, with the first and the last entry there.
    pub runs: Vec<(SegmentId, Index, Index)>,
}

/// What recovery would know.
#[derive(Debug)]
pub struct DryRun {
    /// How it ends.
    pub verdict: Verdict,
    /// The checkpoint that it starts from.
    pub checkpoint: Option<u64>,
    /// What that says of the log.
    pub section: Option<LogSection>,
    /// The catalog's section of the checkpoint.
    pub catalog: Option<Vec<u8>>,
    /// Commands of the catalog behind the checkpoint.
    pub commands: Vec<(Index, Vec<u8>)>,
    /// Groups of the log. Empty after a refusal.
    pub groups: Vec<GroupState>,
    /// Live payload bytes by segment. Empty after a refusal.
    pub live: BTreeMap<SegmentId, u64>,
}

/// A place and, for a whole directory, what recovery would know of it.
pub struct Opened {
    /// Where.
    pub place: Place,
    /// `None` for single files.
    pub dry: Option<DryRun>,
}

/// Reads go to the directory, writes nowhere.
struct ReadOnly {
    dir: PathBuf,
    open: BTreeMap<FileId, Source>,
    bar: ProgressBar,
}

fn disk_error(error: &std::io::Error) -> DiskError {
    match error.kind() {
        std::io::ErrorKind::NotFound => DiskError::NotFound,
        _ => DiskError::Io(error.raw_os_error().unwrap_or(libc::EIO)),
    }
}

impl ReadOnly {
    fn execute(&mut self, op: DiskOp) -> DiskDone {
        let result = self.result(op.kind).map_err(|error| disk_error(&error));
        DiskDone { tag: op.tag, result }
    }

    fn result(&mut self, kind: DiskKind) -> std::io::Result<DiskOk> {
        Ok(match kind {
            DiskKind::List => {
                let mut names = Vec::new();
                for entry in std::fs::read_dir(&self.dir)? {
                    let entry = entry?;
                    names.push((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()));
                }
                names.sort_unstable();
                DiskOk::Listed(names)
            }
            DiskKind::Open { file, name } => {
                let source = Source::open(&self.dir.join(name))?;
                let bytes = source.len();
                self.open.insert(file, source);
                DiskOk::Opened { bytes }
            }
            DiskKind::Read { file, at, mut bytes } => {
                let source = self.open.get(&file).ok_or(std::io::ErrorKind::NotFound)?;
                let filled = source.read_into(at, &mut bytes)?;
                self.bar.inc(filled as u64);
                bytes.truncate(filled);
                DiskOk::Read { bytes }
            }
            DiskKind::Close { file } => {
                self.open.remove(&file);
                DiskOk::Done
            }
            DiskKind::Free => DiskOk::Free { free: 0, total: 0 },
            // Nothing here ever writes; recovery goes on as if all had been done.
            DiskKind::Create { bytes, .. } => DiskOk::Opened { bytes },
            DiskKind::Write { .. }
            | DiskKind::Sync { .. }
            | DiskKind::SyncDir
            | DiskKind::Rename { .. }
            | DiskKind::Remove { .. } => DiskOk::Done,
        })
    }
}

fn load(disk: &mut ReadOnly) -> Result<Option<(u64, Sections)>, String> {
    let mut ops = Vec::new();
    let mut reader = CheckpointReader::begin(CHECKPOINT_FILE, None, &mut ops);
    loop {
        let done = disk.execute(ops.pop().expect("a reader that reads has asked for something"));
        match reader.on_disk(done, &mut ops) {
            Loaded::Reading => {}
            Loaded::None => return Ok(None),
            Loaded::Some { number, sections } => return Ok(Some((number, sections))),
            Loaded::Damaged(damage) | Loaded::Unreadable(damage) => return Err(damage.to_string()),
        }
    }
}

/// Recoveries over a log that changes meanwhile.
const TRIES: usize = 5;

/// Runs recovery over a directory that a server is writing to. A refusal counts only if it comes twice for the same
/// reason: what was being written when its first part was read looks like damage once the rest is there.
///
/// # Errors
/// As [`run`].
pub fn run_live(dir: &Path) -> Result<DryRun, InspectError> {
    let mut before = None;
    for _ in 0..TRIES {
        let run = run(dir)?;
        if !matches!(run.verdict, Verdict::Refused { .. }) || before.as_ref().is_some_and(|b| *b == run.verdict) {
            return Ok(run);
        }
        before = Some(run.verdict);
    }
    let mut run = run(dir)?;
    if let Verdict::Refused { why, .. } = run.verdict {
        run.verdict = Verdict::Moving { why };
    }
    Ok(run)
}

/// Runs recovery over the shard's directory.
///
/// # Errors
/// The directory cannot be listed. Everything else that is wrong is a [`Verdict`].
pub fn run(dir: &Path) -> Result<DryRun, InspectError> {
    let files = std::fs::read_dir(dir).map_err(InspectError::io("list", dir))?;
    let bytes = files.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.len()).sum();
    // At most that much: what a checkpoint holds is not read again.
    let bar = progress::bar("recovering", bytes);
    let mut disk = ReadOnly { dir: dir.to_path_buf(), open: BTreeMap::new(), bar };
    let mut run = DryRun {
        verdict: Verdict::Fresh,
        checkpoint: None,
        section: None,
        catalog: None,
        commands: Vec::new(),
        groups: Vec::new(),
        live: BTreeMap::new(),
    };
    let mut log = None;
    match load(&mut disk) {
        Err(why) => {
            run.verdict = Verdict::Refused { why, at: None };
            return Ok(run);
        }
        Ok(None) => {}
        Ok(Some((number, sections))) => {
            run.checkpoint = Some(number);
            for (section, bytes) in sections {
                match section {
                    LOG => log = Some(bytes),
                    CATALOG => run.catalog = Some(bytes),
                    _ => {}
                }
            }
            if log.is_none() {
                let why = format!("checkpoint {number}: has no section of the log");
                run.verdict = Verdict::Refused { why, at: None };
                return Ok(run);
            }
        }
    }
    run.recover(&mut disk, log);
    disk.bar.finish_and_clear();
    Ok(run)
}

impl DryRun {
    fn recover(&mut self, disk: &mut ReadOnly, log: Option<Vec<u8>>) {
        self.section = log.as_deref().and_then(|bytes| LogSection::decode(bytes).ok());
        let (mut wal, mut ops) = (Wal::new(WalSettings::default(), 1), Vec::new());
        if let Err(error) = wal.open(Now::default(), log.as_deref(), &mut ops) {
            return self.verdict = refused(error);
        }
        let mut done = None;
        while done.is_none() && !ops.is_empty() {
            let mut outcomes = Vec::new();
            // Oldest first, so that windows of a file come in order and few are held.
            let op = ops.remove(0);
            // A new file is about to be made, which only a first start needs.
            if let DiskKind::Free = op.kind {
                break;
            }
            wal.on_disk(Now::default(), disk.execute(op), &mut ops, &mut outcomes);
            for outcome in outcomes {
                match outcome {
                    Outcome::Recovered(item) if item.group == GroupId::CATALOG && item.kind.0 == kind::COMMAND => {
                        self.commands.push((item.index, item.bytes.to_vec()));
                    }
                    Outcome::RecoveryDone(found) => {
                        done = Some(Verdict::Accepted { last: wal.durable(), torn: found.torn });
                    }
                    Outcome::Refused(error) => done = Some(refused(error)),
                    _ => {}
                }
            }
        }
        self.verdict = done.unwrap_or(Verdict::Fresh);
        if let Verdict::Accepted { .. } = self.verdict {
            self.note_groups(&wal);
        }
    }

    fn note_groups(&mut self, wal: &Wal) {
        for group in wal.groups() {
            let runs = wal.runs(group);
            for run in runs {
                *self.live.entry(run.segment).or_default() += run.bytes;
            }
            let end = wal.end_offset(group).unwrap_or_default();
            self.groups.push(GroupState {
                group,
                first: wal.first_index(group).unwrap_or_default(),
                last: wal.last_index(group).unwrap_or_default(),
                offsets: (runs.first().map_or(end, |run| run.first_offset), end),
                bytes: runs.iter().map(|run| run.bytes).sum(),
                runs: runs.iter().map(|run| (run.segment, run.first_index, run.last_index)).collect(),
            });
        }
    }
}

fn refused(error: WalError) -> Verdict {
    let why = error.to_string();
    let at = match error {
        WalError::Corrupt(corruption) => Some(corruption),
        _ => None,
    };
    Verdict::Refused { why, at }
}
