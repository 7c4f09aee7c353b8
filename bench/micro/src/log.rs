//! A write-ahead log over a disk in memory.

use crate::disk::Disk;
use torc_base::buf::Buf;
use torc_base::crc::crc32c;
use torc_base::ids::{GroupId, Index, Offset, Term};
use torc_base::io::{DiskDone, DiskOp};
use torc_base::time::{Mono, Now, Wall};
use torc_wal::{Claim, Entry, From, Item, Kind, Outcome, Read, Share, State, Wal, WalSettings};

/// The reader has nothing yet.
const FIRST: Claim = Claim { share: Share::All, turn: 0 };

/// Bytes at the front of an entry that its own checksum leaves out: those of a Kafka batch.
const PREFIX: usize = 21;

/// What is appended, again and again.
#[derive(Clone)]
pub struct Payload {
    bytes: Buf,
    body_crc: u32,
    gather: bool,
}

impl Payload {
    /// `bytes`, copied into each batch, or with `gather` written from where they lie.
    pub fn new(bytes: &[u8], gather: bool) -> Payload {
        let bytes = Buf::copy_of(bytes);
        Payload { body_crc: crc32c(&bytes[PREFIX..]), bytes, gather }
    }
}

/// The log, its disk, and what is between them.
pub struct Log {
    wal: Wal,
    disk: Disk,
    now: Now,
    ops: Vec<DiskOp>,
    outcomes: Vec<Outcome>,
}

impl Log {
    /// Opens a log and runs its recovery to the end. Returns it with the number of entries recovered.
    pub fn open(settings: &WalSettings, disk: Disk) -> (Log, usize) {
        let now = Now { mono: Mono(1), wall: Wall(1_700_000_000_000) };
        let (ops, outcomes) = (Vec::new(), Vec::new());
        let mut log = Log { wal: Wal::new(settings.clone(), 1), disk, now, ops, outcomes };
        log.wal.open(now, None, &mut log.ops).expect("there is no checkpoint that could be damaged");
        while log.wal.state() == State::Recovering {
            assert!(!log.ops.is_empty(), "recovery waits for nothing");
            log.carry_out();
        }
        assert_eq!(log.wal.state(), State::Running);
        let recovered = log.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Recovered(_))).count();
        log.outcomes.clear();
        (log, recovered)
    }

    /// The disk, as a killed process leaves it.
    pub fn into_disk(mut self) -> Disk {
        self.disk.close_all();
        self.disk
    }

    /// Puts an entry of one record behind the group's last.
    pub fn append(&mut self, group: GroupId, payload: &Payload) {
        let index = self.wal.last_index(group).unwrap_or(Index(0)).next();
        self.wal.append(Entry {
            group,
            kind: Kind(1),
            term: Term(1),
            index,
            first_offset: Offset(index.get() as i64 - 1),
            records: 1,
            max_timestamp: 1_700_000_000_000,
            bytes: payload.bytes.clone(),
            prefix_len: PREFIX as u8,
            body_crc: payload.body_crc,
            gather: payload.gather,
        });
    }

    /// Cuts what was appended into batches and writes them, and does what else is due.
    pub fn flush(&mut self) {
        self.now.mono.0 += 1000;
        self.wal.turn(self.now, &mut self.ops, &mut self.outcomes);
        while !self.ops.is_empty() {
            self.carry_out();
            self.wal.turn(self.now, &mut self.ops, &mut self.outcomes);
        }
        assert!(!self.wal.flushing());
        self.outcomes.clear();
    }

    /// Looks an offset up and reads its entry, from memory or from the disk; says whether it was the disk.
    pub fn read(&mut self, group: GroupId, offset: Offset) -> (Item, bool) {
        let upto = self.wal.last_index(group).expect("the group has entries");
        let read = self.wal.read(group, From::Offset(offset), upto, 1, FIRST, &mut self.ops);
        match read {
            Read::Ready(items) => (items.into_iter().next().expect("the offset was written"), false),
            Read::NoRoom | Read::Released => panic!("nothing is released"),
            Read::Pending(_) => loop {
                assert!(!self.ops.is_empty(), "a read waits for nothing");
                self.carry_out();
                if let Some(Outcome::Read(_, result)) = self.outcomes.pop() {
                    let items = result.expect("what was written can be read");
                    break (items.into_iter().next().expect("the offset was written"), true);
                }
            },
        }
    }

    /// Batches that were written.
    pub fn batches(&self) -> u64 {
        self.wal.durable().get()
    }

    /// Bytes that were written for batches. Goes over all segments.
    pub fn bytes(&self) -> u64 {
        self.wal.stats().bytes
    }

    /// Segments that hold entries. Goes over them.
    pub fn segments(&self) -> u64 {
        self.wal.stats().segments
    }

    fn carry_out(&mut self) {
        for DiskOp { tag, kind } in std::mem::take(&mut self.ops) {
            let result = Ok(self.disk.carry_out(kind));
            self.wal.on_disk(self.now, DiskDone { tag, result }, &mut self.ops, &mut self.outcomes);
        }
    }
}
