//! The disk, through the same ring and the same calls as torc's log.

use super::DurableWrites;
use crate::bare::prewrite;
use crate::error::Error;
use crate::interrupt;
use crate::recorder::histogram;
use hdrhistogram::Histogram;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use torc_base::buf::{BufMut, Pages, Pool};
use torc_base::ids::{FileId, ShardId, Tag};
use torc_base::io::{App, DiskKind, DiskOk, DiskOp, Event, Level, Op};
use torc_base::limits::PAGE;
use torc_base::time::{Mono, Now};
use torc_reactor::mail::mesh;
use torc_reactor::settings::LoopSettings;
use torc_reactor::stats::LoopStats;
use torc_reactor::{probe, reactor};

const FILE: FileId = FileId(0);
const NAME: &str = "torc-bench-limits.tmp";
/// Block sizes and depths of durable writes.
const BLOCKS: &[usize] = &[4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
const DEPTHS: &[usize] = &[1, 4, 16];
/// Block and depth of the sequential figures.
const SEQUENTIAL_BLOCK: usize = 1 << 20;
const SEQUENTIAL_DEPTH: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    DurableWrite,
    Write,
    Read,
}

/// The disk's part of the limits.
pub struct DiskLimits {
    pub durable_writes: Vec<DurableWrites>,
    pub sequential_write_mb_per_s: f64,
    pub sequential_read_mb_per_s: f64,
}

/// Keeps so many operations of one kind under way, one behind the other in the file.
struct Load {
    work: Work,
    block: usize,
    depth: usize,
    file_bytes: u64,
    time: Duration,
    at: u64,
    pages: Pages,
    pool: Pool,
    began: Option<Mono>,
    last: Mono,
    /// When each operation under way was asked for.
    asked: Vec<Mono>,
    flying: usize,
    latency: Histogram<u64>,
    failure: Option<String>,
}

impl Load {
    fn ask(&mut self, slot: usize, now: Mono, ops: &mut Vec<Op<()>>) {
        if self.at + self.block as u64 > self.file_bytes {
            self.at = 0;
        }
        let at = self.at;
        self.at += self.block as u64;
        let runs = || vec![self.pages.clone()];
        let kind = match self.work {
            Work::DurableWrite => DiskKind::Write { file: FILE, at, runs: runs(), durable: true },
            Work::Write => DiskKind::Write { file: FILE, at, runs: runs(), durable: false },
            Work::Read => DiskKind::Read { file: FILE, at, bytes: self.buffer() },
        };
        self.asked[slot] = now;
        self.flying += 1;
        ops.push(Op::Disk(DiskOp { tag: Tag(slot as u64 + 1), kind }));
    }

    fn buffer(&self) -> BufMut {
        self.pool.take(self.block).expect("a block for each operation under way")
    }

    fn done(&mut self, tag: Tag, now: Mono, ops: &mut Vec<Op<()>>) {
        let Some(slot) = tag.get().checked_sub(1) else {
            self.began = Some(now);
            return (0..self.depth).for_each(|slot| self.ask(slot, now, ops));
        };
        self.flying -= 1;
        self.last = now;
        self.latency.saturating_record(now.since(self.asked[slot as usize]).max(1));
        if now.since(self.began.expect("it began")) < self.time.as_nanos() as u64 {
            self.ask(slot as usize, now, ops);
        } else if self.flying == 0 {
            ops.push(Op::Exit);
        }
    }

    fn per_s(&self) -> f64 {
        let began = self.began.expect("it began");
        self.latency.len() as f64 * 1e9 / self.last.since(began).max(1) as f64
    }
}

impl App for Load {
    type Mail = ();

    fn step(&mut self, now: Now, event: Event<()>, ops: &mut Vec<Op<()>>) {
        match event {
            Event::Start => {
                let kind = DiskKind::Open { file: FILE, name: NAME.to_string() };
                ops.push(Op::Disk(DiskOp { tag: Tag(0), kind }));
            }
            Event::Disk(done) => match done.result {
                Ok(DiskOk::Read { bytes }) if bytes.len() < self.block => {
                    self.failure = Some("the file is shorter than it was written".to_string());
                    ops.push(Op::Exit);
                }
                Ok(_) => self.done(done.tag, now.mono, ops),
                Err(error) => {
                    self.failure = Some(error.to_string());
                    ops.push(Op::Exit);
                }
            },
            Event::Stop => ops.push(Op::Exit),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        None
    }

    fn busy(&self) -> bool {
        self.flying > 0
    }
}

/// Measures in `directory`, with a file of `file_bytes`, for `time` each.
pub fn measure(directory: &Path, file_bytes: u64, time: Duration) -> Result<DiskLimits, Error> {
    let file_bytes = file_bytes.next_multiple_of(PAGE as u64).max(64 << 20);
    let path = directory.join(NAME);
    prewrite(&path, file_bytes)?;
    let result = measure_all(directory, file_bytes, time);
    std::fs::remove_file(&path).map_err(Error::io(format!("removing {}", path.display())))?;
    result
}

fn measure_all(directory: &Path, file_bytes: u64, time: Duration) -> Result<DiskLimits, Error> {
    let one = |work, block, depth| match interrupt::caught() {
        Some(signal) => {
            Err(Error::Interrupted { signal, what: "interrupted: the limits were not measured".to_string() })
        }
        None => load(directory, file_bytes, time, (work, block, depth)),
    };
    let mut durable_writes = Vec::new();
    for &block_bytes in BLOCKS {
        for &depth in DEPTHS {
            let load = one(Work::DurableWrite, block_bytes, depth)?;
            let at = |quantile| load.latency.value_at_quantile(quantile);
            let (per_s, p50_ns, p99_ns) = (load.per_s(), at(0.5), at(0.99));
            durable_writes.push(DurableWrites { block_bytes, depth, per_s, p50_ns, p99_ns });
        }
    }
    let sequential = |work| {
        super::best(time, |part| {
            let load = load(directory, file_bytes, part, (work, SEQUENTIAL_BLOCK, SEQUENTIAL_DEPTH))?;
            Ok::<f64, Error>(load.per_s() * SEQUENTIAL_BLOCK as f64 / 1e6)
        })
    };
    Ok(DiskLimits {
        durable_writes,
        sequential_write_mb_per_s: sequential(Work::Write)?,
        sequential_read_mb_per_s: sequential(Work::Read)?,
    })
}

fn load(
    directory: &Path,
    file_bytes: u64,
    time: Duration,
    (work, block, depth): (Work, usize, usize),
) -> Result<Load, Error> {
    let memory = (depth + 1) * block * 2;
    let pool = Pool::new(memory, memory);
    let mut bytes = pool.take(block).expect("within the pool's bound");
    bytes.fill(0x5a);
    let app = Load {
        work,
        block,
        depth,
        file_bytes,
        time,
        at: 0,
        pages: bytes.freeze().pages(),
        pool,
        began: None,
        last: Mono(0),
        asked: vec![Mono(0); depth],
        flying: 0,
        latency: histogram(),
        failure: None,
    };
    let features = probe::probe().map_err(|refusal| Error::Unfit(refusal.to_string()))?;
    let settings = LoopSettings::new(ShardId(0), directory.to_path_buf());
    let post = mesh(1).map_err(Error::io("making the loop"))?.remove(0);
    let mut log = |level: Level, text: &str| eprintln!("{level:?} {text}");
    let load = reactor::run(settings, &features, post, app, Arc::new(LoopStats::default()), &mut log)
        .map_err(|error| Error::Unfit(error.to_string()))?;
    match load.failure {
        Some(failure) => Err(Error::Unfit(format!("the disk failed at {work:?} of {block} bytes: {failure}"))),
        None => Ok(load),
    }
}
