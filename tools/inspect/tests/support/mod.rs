//! A shard's directory on a real file system, filled by the real log, and the command line that looks at it.
#![allow(dead_code, reason = "each test file uses its part")]

use clap::Parser;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use torc_base::buf::Buf;
use torc_base::crc::crc32c;
use torc_base::ids::{FileId, GroupId, Index, LeaderEpoch, Offset, Term, TopicId};
use torc_base::io::{DiskDone, DiskError, DiskKind, DiskOk, DiskOp};
use torc_base::time::{Mono, Now, Wall};
use torc_inspect::{InspectError, Outcome, SnapshotArgs, WalArgs};
use torc_net::kafka::records::{self, BuildOptions, CRC_PREFIX, Record};
use torc_snapshot::{CheckpointWriter, Plan, Progress, Section};
use torc_state::catalog::{Catalog, Command, Defaults};
use torc_wal::{CleanerSettings, Entry, Kind, State, Wal, WalSettings};

const RECORDS: Kind = Kind(1);
const HARD_STATE: Kind = Kind(3);
const COMMAND: Kind = Kind(5);

/// The groups of the two partitions of `orders`.
pub const ORDERS: [GroupId; 2] = [GroupId(1024), GroupId(1025)];

/// A log under construction.
pub struct Rig {
    pub dir: PathBuf,
    wal: Wal,
    open: BTreeMap<FileId, File>,
    now: Now,
    indexes: BTreeMap<GroupId, (u64, i64)>,
    checkpoints: u64,
    catalog: Catalog,
    /// Every record batch as it was appended: group, first offset, bytes.
    pub appended: Vec<(GroupId, i64, Vec<u8>)>,
}

impl Rig {
    /// A running log in `dir`, which must exist. With `marks`, an idle log says on disk what was durable.
    pub fn new(dir: &Path, marks: bool) -> Rig {
        Rig::with(dir, marks, CleanerSettings { enabled: false, ..CleanerSettings::default() })
    }

    fn with(dir: &Path, marks: bool, cleaner: CleanerSettings) -> Rig {
        let settings = WalSettings {
            segment_bytes: 256 << 10,
            batches_in_flight: 4,
            tail_bytes: 64 << 10,
            read_memory: 64 << 20,
            read_ahead_bytes: 0,
            reserve_bytes: 0,
            spare_segments: 1,
            idle_seal_ms: if marks { 5 } else { 0 },
            cleaner,
        };
        let mut rig = Rig {
            dir: dir.to_path_buf(),
            wal: Wal::new(settings, 7),
            open: BTreeMap::new(),
            now: Now { mono: Mono(1), wall: Wall(1_000) },
            indexes: BTreeMap::new(),
            checkpoints: 0,
            catalog: Catalog::new(Defaults::default()),
            appended: Vec::new(),
        };
        let mut ops = Vec::new();
        rig.wal.open(rig.now, None, &mut ops).unwrap();
        rig.execute(ops);
        assert_eq!(rig.wal.state(), State::Running);
        rig
    }

    fn execute(&mut self, mut ops: Vec<DiskOp>) {
        while !ops.is_empty() {
            let op = ops.remove(0);
            let done = DiskDone { tag: op.tag, result: self.disk(op.kind) };
            self.wal.on_disk(self.now, done, &mut ops, &mut Vec::new());
        }
    }

    fn disk(&mut self, kind: DiskKind) -> Result<DiskOk, DiskError> {
        let path = |name: &str| self.dir.join(name);
        Ok(match kind {
            DiskKind::List => {
                let entries = fs::read_dir(&self.dir).unwrap().map(Result::unwrap);
                let line = |e: fs::DirEntry| (e.file_name().into_string().unwrap(), e.metadata().unwrap().len());
                DiskOk::Listed(entries.map(line).collect())
            }
            DiskKind::Create { file, name, bytes } => {
                let created = OpenOptions::new().read(true).write(true).create_new(true).open(path(&name)).unwrap();
                created.set_len(bytes).unwrap();
                self.open.insert(file, created);
                DiskOk::Opened { bytes }
            }
            DiskKind::Write { file, at, runs, .. } => {
                let mut at = at;
                for run in runs {
                    let mut bytes = vec![0; run.len()];
                    run.copy_into(&mut bytes);
                    let file = &self.open[&file];
                    file.write_all_at(&bytes, at).unwrap();
                    at += run.len() as u64;
                }
                DiskOk::Done
            }
            DiskKind::Close { file } => {
                self.open.remove(&file);
                DiskOk::Done
            }
            DiskKind::Rename { from, to } => {
                fs::rename(path(&from), path(&to)).unwrap();
                DiskOk::Done
            }
            DiskKind::Remove { name } => match fs::remove_file(path(&name)) {
                Ok(()) => DiskOk::Done,
                Err(_) => return Err(DiskError::NotFound),
            },
            DiskKind::Sync { .. } | DiskKind::SyncDir => DiskOk::Done,
            DiskKind::Free => DiskOk::Free { free: 1 << 40, total: 1 << 40 },
            DiskKind::Read { file, at, mut bytes } => {
                self.open[&file].read_exact_at(&mut bytes, at).unwrap();
                DiskOk::Read { bytes }
            }
            DiskKind::Open { .. } => panic!("a first life opens nothing"),
        })
    }

    /// Cuts a batch of what was appended, and waits until nothing is left to do.
    pub fn settle(&mut self) {
        loop {
            let (mut ops, mut outcomes) = (Vec::new(), Vec::new());
            self.wal.turn(self.now, &mut ops, &mut outcomes);
            if ops.is_empty() {
                return;
            }
            self.execute(ops);
        }
    }

    /// Long enough without an append for a mark.
    pub fn idle(&mut self) {
        for ms in [1, 10] {
            self.now.mono = self.now.mono.plus_ms(ms);
            self.settle();
        }
    }

    fn append(&mut self, group: GroupId, kind: Kind, records: u32, bytes: &[u8], prefix: usize, gather: bool) {
        let (index, offset) = self.indexes.entry(group).or_insert((1, 0));
        let marker = kind == HARD_STATE;
        let entry = Entry {
            group,
            kind,
            term: Term(1),
            index: Index(if marker { 0 } else { *index }),
            first_offset: Offset(*offset),
            records,
            max_timestamp: if records > 0 { 1_700_000_000_000 } else { -1 },
            prefix_len: prefix as u8,
            body_crc: crc32c(&bytes[prefix..]),
            bytes: Buf::copy_of(bytes),
            gather,
        };
        if !marker {
            (*index, *offset) = (*index + 1, *offset + i64::from(records));
        }
        self.wal.append(entry);
    }

    /// Makes the topic `orders` with two partitions.
    pub fn create_orders(&mut self) {
        let command = Command::CreateTopic {
            name: "orders".into(),
            id: TopicId(42),
            first_group: ORDERS[0],
            partitions: 2,
            replication: 1,
            replicas: Default::default(),
            config: BTreeMap::new(),
            created: Wall(1_000),
        };
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        self.append(GroupId::CATALOG, COMMAND, 0, &bytes, 0, false);
        self.catalog.apply(Index(1), &command);
    }

    /// A term and a vote.
    pub fn vote(&mut self, group: GroupId) {
        self.append(group, HARD_STATE, 0, &[1; 12], 0, false);
    }

    /// A record batch of `count` records with values of `bytes` bytes.
    pub fn produce(&mut self, group: GroupId, count: usize, bytes: usize, gather: bool) {
        let offset = self.indexes.get(&group).map_or(0, |(_, offset)| *offset);
        let values: Vec<Vec<u8>> = (0..count).map(|n| vec![b'a' + (offset as usize + n) as u8 % 26; bytes]).collect();
        let record = |value| Record { key: Some(b"key"), value: Some(value), ..Record::default() };
        let all: Vec<Record<'_>> = values.iter().map(|value| record(value.as_slice())).collect();
        let mut batch = records::build(&all, &BuildOptions::default());
        records::place(&mut batch, Offset(offset), LeaderEpoch(1));
        self.append(group, RECORDS, count as u32, &batch, CRC_PREFIX, gather);
        self.appended.push((group, offset, batch));
    }

    /// Writes and publishes a checkpoint; a shard without the catalog has no section for it.
    pub fn checkpoint(&mut self, with_catalog: bool) {
        let (log, _) = self.wal.begin_checkpoint(false);
        self.settle();
        self.checkpoints += 1;
        let mut sections = vec![(Section(*b"SHRD"), vec![0, 0, 1, 0])];
        if with_catalog {
            let mut bytes = self.catalog.applied().get().to_le_bytes().to_vec();
            self.catalog.encode(&mut bytes);
            sections.push((Section(*b"CATL"), bytes));
        }
        sections.push((Section(*b"WAL "), log));
        let mut ops = Vec::new();
        let expected = sections.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let plan = Plan { expected, write_bytes: 256 << 10 };
        let mut writer = CheckpointWriter::begin(self.checkpoints, plan, FileId(1), &mut ops);
        for (section, bytes) in sections {
            writer.section(section);
            writer.put(bytes, &mut ops);
        }
        writer.end(&mut ops);
        while let Some(op) = ops.pop() {
            let done = DiskDone { tag: op.tag, result: self.disk(op.kind) };
            match writer.on_disk(done, &mut ops) {
                Progress::Written => writer.publish(&mut ops),
                Progress::Published => {
                    self.wal.checkpoint_published();
                    self.settle();
                }
                Progress::Failed(error) => panic!("{error}"),
                Progress::Working | Progress::Finished | Progress::GivenUp => {}
            }
        }
    }
}

/// Four segments, a checkpoint in their middle, two partitions, a mark at the end.
pub fn filled(dir: &Path) -> Rig {
    let mut rig = Rig::new(dir, true);
    rig.create_orders();
    for group in ORDERS {
        rig.vote(group);
    }
    for round in 0..24 {
        rig.produce(ORDERS[0], 3, 4_000, false);
        rig.produce(ORDERS[1], 1, 24_000, true);
        rig.settle();
        if round == 12 {
            rig.checkpoint(true);
        }
    }
    rig.idle();
    rig
}

/// A log of which the cleaner has moved the second partition, and a checkpoint that says so; with `more`, another
/// output that no checkpoint names.
pub fn cleaned(dir: &Path, more: bool) -> Rig {
    let cleaner = CleanerSettings { settle_ms: 0, bytes_per_second: 1 << 40, ..CleanerSettings::default() };
    let mut rig = Rig::with(dir, true, cleaner);
    rig.create_orders();
    for part in 0..=u64::from(more) {
        for _ in 0..50 {
            rig.produce(ORDERS[0], 3, 10_000, false);
            rig.produce(ORDERS[1], 2, 300, false);
            rig.settle();
        }
        rig.checkpoint(true);
        let last = rig.wal.last_index(ORDERS[0]).unwrap();
        rig.wal.release(ORDERS[0], last);
        for _ in 0..30 {
            rig.now.mono = rig.now.mono.plus_ms(100);
            rig.settle();
        }
        if part == 0 {
            rig.checkpoint(true);
        }
    }
    rig.idle();
    rig
}

#[derive(Parser)]
struct Wals {
    #[command(flatten)]
    args: WalArgs,
}

#[derive(Parser)]
struct Snapshots {
    #[command(flatten)]
    args: SnapshotArgs,
}

/// `torc wal inspect PATH FLAGS`: its output and what it found.
pub fn try_wal(path: &Path, flags: &str) -> Result<(String, Outcome), InspectError> {
    let line = ["wal", "inspect", path.to_str().unwrap()].into_iter().chain(flags.split_whitespace());
    let args = Wals::try_parse_from(line).unwrap_or_else(|error| panic!("{flags}: {error}"));
    let mut out = Vec::new();
    let outcome = torc_inspect::wal(&args.args, &mut out)?;
    Ok((String::from_utf8(out).unwrap(), outcome))
}

/// The same, for what must succeed.
pub fn wal(path: &Path, flags: &str) -> (String, Outcome) {
    try_wal(path, flags).unwrap_or_else(|error| panic!("{flags}: {error}"))
}

/// `torc snapshot inspect PATH FLAGS`.
pub fn snapshot(path: &Path, flags: &str) -> (String, Outcome) {
    let line = ["snapshot", "inspect", path.to_str().unwrap()].into_iter().chain(flags.split_whitespace());
    let args = Snapshots::try_parse_from(line).unwrap_or_else(|error| panic!("{flags}: {error}"));
    let mut out = Vec::new();
    let outcome = torc_inspect::snapshot(&args.args, &mut out).unwrap_or_else(|error| panic!("{flags}: {error}"));
    (String::from_utf8(out).unwrap(), outcome)
}

/// Compares with `tests/golden/NAME.txt`, in which DIR stands for `dir`. With UPDATE=1, writes the file.
pub fn golden(name: &str, dir: &Path, text: &str) {
    let text = text.replace(dir.to_str().unwrap(), "DIR");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    if std::env::var("UPDATE").is_ok_and(|v| v == "1") {
        fs::write(&path, &text).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(text == wanted, "{name} differs (UPDATE=1 rewrites it):\n{text}");
}

/// Changes bytes of a file in place.
pub fn damage(path: &Path, change: impl FnOnce(&mut [u8])) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}
