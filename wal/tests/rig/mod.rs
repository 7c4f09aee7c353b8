//! A log over a disk in memory, with operations completing in any order, and a model of what it must hold.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod disk;

use disk::Disk;
use std::collections::BTreeMap;
use torc_base::buf::{Buf, Pool};
use torc_base::crc::crc32c;
use torc_base::ids::{BatchSeq, GroupId, Index, Offset, Term};
use torc_base::io::{DiskDone, DiskOp};
use torc_base::limits::PAGE;
use torc_base::prng::Prng;
use torc_base::time::{Mono, Now, Wall};
use torc_wal::{
    Claim, CleanerSettings, Compacting, Entry, Find, From, Item, Kind, Lost, Outcome, Part, Read, ReadId, Share, State,
    Wal, WalError, WalSettings, batch, segment,
};

/// Claims of a read whose reader has nothing yet, and of one whose reader has something.
pub const FIRST: Claim = Claim { share: Share::All, turn: 0 };
pub const MORE: Claim = Claim { share: Share::Half, turn: 0 };

pub fn small() -> WalSettings {
    WalSettings {
        segment_bytes: 256 << 10,
        batches_in_flight: 4,
        tail_bytes: 64 << 10,
        read_memory: 128 << 20,
        read_ahead_bytes: 1 << 20,
        reserve_bytes: 0,
        spare_segments: 1,
        idle_seal_ms: 0,
        cleaner: CleanerSettings { enabled: false, ..CleanerSettings::default() },
    }
}

/// The same with marks that vouch for what is durable as soon as the log rests.
pub fn marked() -> WalSettings {
    WalSettings { idle_seal_ms: 5, ..small() }
}

/// Headers of all batches of a segment's file.
pub fn batches(bytes: &[u8]) -> Vec<batch::Header> {
    let header = segment::Header::decode(bytes).expect("a segment");
    let pages = bytes.chunks(PAGE).enumerate();
    let found = pages.filter_map(|(n, page)| batch::Header::decode(page).map(|(h, _)| (n, h)));
    found.filter(|(n, h)| h.salt == header.salt && h.position as usize == n * PAGE).map(|(_, h)| h).collect()
}

/// The same with a cleaner that does what it can at once.
pub fn cleaning() -> WalSettings {
    let cleaner =
        CleanerSettings { settle_ms: 0, sort_after_ms: 3_600_000, bytes_per_second: 1 << 40, ..Default::default() };
    WalSettings { cleaner, tail_bytes: 0, read_ahead_bytes: 0, ..small() }
}

/// An entry as the model remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub group: GroupId,
    pub kind: u8,
    pub term: u64,
    pub index: u64,
    pub first_offset: i64,
    pub records: u32,
    pub max_timestamp: i64,
    pub bytes: Vec<u8>,
    pub seq: BatchSeq,
}

impl Known {
    pub fn is(&self, item: &Item) -> bool {
        self.group == item.group
            && self.kind == item.kind.0
            && self.term == item.term.get()
            && self.index == item.index.get()
            && self.first_offset == item.first_offset.get()
            && self.records == item.records
            && self.max_timestamp == item.max_timestamp
            && self.bytes[..] == item.bytes[..]
    }
}

pub struct Rig {
    pub disk: Disk,
    pub wal: Wal,
    pub settings: WalSettings,
    pub prng: Prng,
    pub now: Now,
    /// Operations that the log has asked for and that have not been carried out.
    pub pending: Vec<DiskOp>,
    pub outcomes: Vec<Outcome>,
    /// What the last recovery said.
    pub said: Vec<String>,
    /// Everything ever appended whose batch may be in the log, in order.
    pub history: Vec<Known>,
    /// The first batch behind the published checkpoint.
    pub replay_from: BatchSeq,
    /// Everything appended and not replaced, by group.
    pub model: BTreeMap<GroupId, Vec<Known>>,
    /// The newest published section.
    pub section: Option<Vec<u8>>,
    pub durable: BatchSeq,
    /// What recovery handed out.
    pub recovered: Vec<Item>,
    /// Recovery passes over damage, and what it lost.
    pub salvages: bool,
    pub lost: Vec<Lost>,
    pub term: u64,
    lives: u64,
}

impl Rig {
    /// The same disk after a crash, a new process.
    pub fn reborn(&self) -> Rig {
        let mut other = Rig::new(self.settings.clone(), 77);
        other.disk = self.disk.clone();
        other.disk.crash();
        other.history = self.history.clone();
        other.model = self.model.clone();
        other.section = self.section.clone();
        other.replay_from = self.replay_from;
        other
    }

    pub fn new(settings: WalSettings, seed: u64) -> Rig {
        let mut prng = Prng::new(seed);
        let wal = Wal::new(settings.clone(), prng.next_u64());
        Rig {
            disk: Disk::new(),
            wal,
            settings,
            prng,
            now: Now { mono: Mono(1), wall: Wall(1_000) },
            pending: Vec::new(),
            outcomes: Vec::new(),
            said: Vec::new(),
            history: Vec::new(),
            replay_from: BatchSeq(1),
            model: BTreeMap::new(),
            section: None,
            durable: BatchSeq(0),
            recovered: Vec::new(),
            salvages: false,
            lost: Vec::new(),
            term: 1,
            lives: 0,
        }
    }

    /// A running log on an empty disk.
    pub fn started(settings: WalSettings, seed: u64) -> Rig {
        let mut rig = Rig::new(settings, seed);
        rig.open().expect("a first start");
        rig
    }

    /// Opens the log and runs recovery to its end. What was cut, or why it was refused.
    pub fn open(&mut self) -> Result<Option<String>, WalError> {
        self.lives += 1;
        self.term += 1;
        self.wal = Wal::new(self.settings.clone(), self.prng.next_u64());
        self.pending.clear();
        self.outcomes.clear();
        self.recovered.clear();
        self.said.clear();
        self.lost.clear();
        if self.salvages {
            self.wal.salvage();
        }
        let section = self.section.clone();
        self.wal.open(self.now, section.as_deref(), &mut self.pending)?;
        while self.wal.state() == State::Recovering {
            assert!(!self.pending.is_empty(), "recovery waits for nothing");
            self.step();
        }
        let mut torn = None;
        for outcome in std::mem::take(&mut self.outcomes) {
            match outcome {
                Outcome::Recovered(item) => self.recovered.push(item),
                Outcome::Lost(lost) => self.lost.push(lost),
                Outcome::RecoveryDone(found) => torn = found.torn,
                Outcome::Refused(error) => return Err(error),
                Outcome::Log(_, text) => self.said.push(text),
                other => panic!("{other:?} in recovery"),
            }
        }
        self.durable = self.wal.durable();
        Ok(torn)
    }

    /// Starts recovery and dies after `steps` operations.
    pub fn open_and_die(&mut self, steps: u64, power: bool) {
        self.wal = Wal::new(self.settings.clone(), self.prng.next_u64());
        let section = self.section.clone();
        self.wal.open(self.now, section.as_deref(), &mut self.pending).expect("a sound section");
        for _ in 0..steps {
            if !self.pending.is_empty() {
                self.step();
                self.turn();
            }
        }
        self.outcomes.clear();
        self.kill(power);
    }

    /// Carries out one pending operation, any of them, and hands the completion in.
    pub fn step(&mut self) {
        let at = self.prng.below(self.pending.len() as u64) as usize;
        self.step_at(at);
    }

    pub fn step_at(&mut self, at: usize) {
        self.now.mono.0 += 10_000;
        let op = self.pending.remove(at);
        let result = self.disk.execute(op.kind);
        let done = DiskDone { tag: op.tag, result };
        assert!(self.wal.owns(done.tag));
        let mut out = Vec::new();
        self.wal.on_disk(self.now, done, &mut self.pending, &mut out);
        for outcome in out {
            if let Outcome::Durable(seq) = &outcome {
                assert!(*seq > self.durable, "the durable mark only rises");
                self.durable = *seq;
            }
            self.outcomes.push(outcome);
        }
    }

    pub fn turn(&mut self) {
        self.wal.turn(self.now, &mut self.pending, &mut self.outcomes);
    }

    /// Turns until nothing is left to do now.
    pub fn settle(&mut self) {
        self.turn();
        while !self.pending.is_empty() {
            self.step();
            self.turn();
        }
    }

    /// Time goes by: everything that is due is done.
    pub fn pass_time(&mut self, ms: u64) {
        let end = self.now.mono.plus_ms(ms);
        loop {
            self.settle();
            match self.wal.deadline() {
                Some(at) if at <= end => self.now.mono = self.now.mono.max(at),
                _ => break,
            }
        }
        self.now.mono = self.now.mono.max(end);
    }

    /// Entries of one group, each in a batch of its own.
    pub fn fill(&mut self, group: u64, entries: usize, bytes: usize) {
        for _ in 0..entries {
            self.append(group, bytes, false);
            self.settle();
        }
    }

    /// Appends behind the group's last entry. `records` offsets, random bytes.
    pub fn append(&mut self, group: u64, bytes: usize, gather: bool) -> BatchSeq {
        let last = self.model.get(&GroupId(group)).and_then(|known| known.last());
        let (index, offset) = last.map_or((1, 0), |k| (k.index + 1, k.first_offset + i64::from(k.records)));
        self.append_at(group, index, offset, bytes, gather)
    }

    pub fn append_at(&mut self, group: u64, index: u64, first_offset: i64, bytes: usize, gather: bool) -> BatchSeq {
        let mut content = vec![0; bytes];
        self.prng.fill(&mut content);
        let prefix_len = if bytes >= 21 { 21 } else { 0 };
        let known = Known {
            group: GroupId(group),
            kind: self.prng.below(4) as u8,
            term: self.term,
            index,
            first_offset,
            records: self.prng.below(5) as u32,
            max_timestamp: 1_000 + self.prng.below(1_000) as i64,
            bytes: content,
            seq: BatchSeq(0),
        };
        // Received somewhere in a larger block, as frames are.
        let shift = self.prng.below(5000) as usize;
        let mut block = Pool::new(usize::MAX, 0).take(shift + bytes + 100).expect("no limit");
        self.prng.fill(&mut block[..shift]);
        block[shift..shift + bytes].copy_from_slice(&known.bytes);
        let buf = block.freeze().slice(shift..shift + bytes);
        self.append_known(known, buf, prefix_len, gather)
    }

    fn append_known(&mut self, mut known: Known, bytes: Buf, prefix_len: u8, gather: bool) -> BatchSeq {
        let entry = Entry {
            group: known.group,
            kind: Kind(known.kind),
            term: Term(known.term),
            index: Index(known.index),
            first_offset: Offset(known.first_offset),
            records: known.records,
            max_timestamp: known.max_timestamp,
            prefix_len,
            body_crc: crc32c(&bytes[usize::from(prefix_len)..]),
            bytes,
            gather,
        };
        let seq = self.wal.append(entry);
        known.seq = seq;
        self.history.push(known.clone());
        replace(&mut self.model, known);
        seq
    }

    /// Reads through the disk if need be.
    pub fn read(&mut self, group: u64, from: From, upto: u64, max_bytes: usize) -> Result<Vec<Item>, WalError> {
        let read = self.wal.read(GroupId(group), from, Index(upto), max_bytes, FIRST, &mut self.pending);
        match read {
            Read::Ready(items) => Ok(items),
            Read::NoRoom => Err(WalError::NoRoom),
            Read::Released => Err(WalError::Released { group: GroupId(group) }),
            Read::Pending(id) => self.wait_read(id),
        }
    }

    pub fn wait_read(&mut self, id: ReadId) -> Result<Vec<Item>, WalError> {
        loop {
            if let Some(at) = self.outcomes.iter().position(|o| matches!(o, Outcome::Read(i, _) if *i == id)) {
                let Outcome::Read(_, result) = self.outcomes.remove(at) else { unreachable!() };
                return result;
            }
            assert!(!self.pending.is_empty(), "the read waits for nothing");
            self.step();
            self.turn();
        }
    }

    pub fn lookup(&mut self, find: Find) -> Result<Option<Item>, WalError> {
        let id = match find {
            Find::Ready(item) => return Ok(item),
            Find::Pending(id) => id,
        };
        for _ in 0..10_000 {
            if let Some(at) = self.outcomes.iter().position(|o| matches!(o, Outcome::Found(i, _) if *i == id)) {
                let Outcome::Found(_, result) = self.outcomes.remove(at) else { unreachable!() };
                return result;
            }
            assert!(!self.pending.is_empty(), "the search waits for nothing");
            self.step();
            self.turn();
        }
        panic!("the search does not end");
    }

    /// All live entries of a group, read piece by piece.
    pub fn read_all(&mut self, group: u64, max_bytes: usize) -> Result<Vec<Item>, WalError> {
        let Some(last) = self.wal.last_index(GroupId(group)) else { return Ok(Vec::new()) };
        let mut next = self.wal.first_index(GroupId(group)).expect("known");
        let mut all = Vec::new();
        while next <= last {
            let items = self.read(group, From::Index(next), last.get(), max_bytes)?;
            assert!(
                !items.is_empty(),
                "group {group} has nothing at {next} of {last}: {:?}",
                self.wal.runs(GroupId(group))
            );
            for item in items {
                assert!(item.index >= next, "in order");
                next = item.index.next();
                all.push(item);
            }
        }
        Ok(all)
    }

    /// Every group reads back as the model has it, from the log's first index on.
    pub fn verify(&mut self, max_bytes: usize) {
        for (group, known) in self.model.clone() {
            let items = self.read_all(group.get(), max_bytes).unwrap_or_else(|e| panic!("{e}"));
            let first = self.wal.first_index(group).map_or(0, Index::get);
            let known: Vec<_> = known.iter().filter(|k| k.index >= first).collect();
            assert_eq!(items.len(), known.len(), "entries of group {group}");
            for (item, known) in items.iter().zip(known) {
                assert!(known.is(item), "group {group} index {}", item.index);
            }
        }
    }

    /// Hands over entries, each part of them in a row, in the place of those that were there; how it ended.
    pub fn mend(&mut self, parts: Vec<Vec<Item>>) -> bool {
        assert!(self.wal.begin_mending());
        for items in parts {
            let (first, last) = (items.first().expect("some"), items.last().expect("some"));
            let part = Part {
                group: first.group,
                first_index: first.index,
                first_offset: first.first_offset,
                last_index: last.index,
                end_offset: last.end_offset(),
            };
            self.wal.compact(&part, items);
        }
        self.wal.end_compaction(true);
        self.compaction_ended()
    }

    /// Waits for the end of a compaction: true if it is whole.
    pub fn compaction_ended(&mut self) -> bool {
        while self.wal.compacting(self.now.mono) != Compacting::Nothing {
            self.now.mono = self.now.mono.plus_ms(100);
            self.turn();
            if !self.pending.is_empty() {
                self.step_at(0);
            }
        }
        let at = self.outcomes.iter().position(|outcome| matches!(outcome, Outcome::Compacted { .. }));
        matches!(self.outcomes.remove(at.expect("it is told")), Outcome::Compacted { whole: true })
    }

    /// The next checkpoint says what was mended, and the log goes on.
    pub fn goes_on(&mut self) {
        self.append(1, 500, false);
        self.settle();
        self.checkpoint();
        for power in [false, true] {
            self.restart(power);
            self.verify(1 << 20);
        }
    }

    /// Takes and publishes a checkpoint.
    pub fn checkpoint(&mut self) {
        self.make_checkpoint(false);
    }

    /// Ends the log in an orderly way.
    pub fn close(&mut self) {
        self.make_checkpoint(true);
    }

    fn make_checkpoint(&mut self, closing: bool) {
        let (section, upto) = self.wal.begin_checkpoint(closing);
        self.turn();
        while self.durable < upto {
            self.step();
            self.turn();
        }
        self.replay_from = upto.next();
        self.section = Some(section);
        self.wal.checkpoint_published();
    }

    /// The process dies, the power too if `power`; what is on the disk opens as a sound log that has all that was durable.
    pub fn restart(&mut self, power: bool) {
        let durable = self.durable;
        self.kill(power);
        self.open().unwrap_or_else(|e| panic!("{e}"));
        self.settle_model(durable);
    }

    /// The process dies; with `power`, the device's cache too.
    pub fn kill(&mut self, power: bool) {
        let mut prng = self.prng.fork();
        for op in std::mem::take(&mut self.pending) {
            self.disk.execute_torn(op.kind, &mut prng);
        }
        if power {
            self.disk.power_cut(&mut prng);
        } else {
            self.disk.crash();
        }
    }

    /// After a restart: the log is a prefix (by batch) of what was appended, with everything that had been durable.
    /// The model forgets the rest.
    pub fn settle_model(&mut self, durable_before: BatchSeq) {
        let end = self.wal.durable();
        assert!(end >= durable_before, "batches up to {durable_before} were durable, {end} are left");
        self.history.retain(|k| k.seq <= end);
        let mut expected: Vec<&Known> = self.history.iter().filter(|k| k.seq >= self.replay_from).collect();
        expected.sort_by_key(|k| (k.seq, k.group));
        assert_eq!(expected.len(), self.recovered.len(), "entries behind the checkpoint");
        for (known, item) in expected.iter().zip(&self.recovered) {
            assert!(known.is(item), "recovered group {} index {}", item.group, item.index);
        }
        self.model.clear();
        for known in self.history.clone() {
            replace(&mut self.model, known);
        }
    }

    /// The group is dropped, in the log and in the model.
    pub fn drop_group(&mut self, group: u64) {
        self.wal.drop_group(GroupId(group));
        self.model.remove(&GroupId(group));
    }
}

fn replace(model: &mut BTreeMap<GroupId, Vec<Known>>, known: Known) {
    let group = model.entry(known.group).or_default();
    group.retain(|k| k.index < known.index);
    group.push(known);
}
