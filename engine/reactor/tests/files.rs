//! Disk operations on real files.

mod support;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use support::{Running, pattern};
use torc_base::buf::{BufMut, Pages, Pool};
use torc_base::ids::{FileId, Tag};
use torc_base::io::{App, DiskDone, DiskError, DiskKind, DiskOk, DiskOp, Event, Op};
use torc_base::limits::PAGE;
use torc_base::time::{Mono, Now};
use torc_reactor::settings::{LoopSettings, Sync};

/// Carries out scripts: all operations of a step at once, the next step when all have ended.
struct Script {
    steps: Receiver<Vec<DiskKind>>,
    results: Sender<BTreeMap<u64, Result<DiskOk, DiskError>>>,
    open: usize,
    done: BTreeMap<u64, Result<DiskOk, DiskError>>,
    now: Mono,
}

impl App for Script {
    type Mail = ();

    fn step(&mut self, now: Now, event: Event<()>, ops: &mut Vec<Op<()>>) {
        self.now = now.mono;
        match event {
            Event::Disk(DiskDone { tag, result }) => {
                assert!(self.done.insert(tag.get(), result).is_none(), "one completion each");
                self.open -= 1;
                if self.open == 0 {
                    self.results.send(std::mem::take(&mut self.done)).unwrap();
                }
            }
            Event::Turn if self.open == 0 => {
                if let Ok(step) = self.steps.try_recv() {
                    self.open = step.len();
                    ops.extend((0..).zip(step).map(|(i, kind)| Op::Disk(DiskOp { tag: Tag(i), kind })));
                }
            }
            Event::Stop => ops.push(Op::Exit),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        Some(self.now.plus_ms(1))
    }

    fn busy(&self) -> bool {
        self.open > 0
    }
}

struct Bench {
    running: Running<Script>,
    steps: Sender<Vec<DiskKind>>,
    results: Receiver<BTreeMap<u64, Result<DiskOk, DiskError>>>,
    pool: Pool,
}

impl Bench {
    fn new(change: impl FnOnce(&mut LoopSettings)) -> Bench {
        let (steps, steps_in) = channel();
        let (results_out, results) = channel();
        let app = Script { steps: steps_in, results: results_out, open: 0, done: BTreeMap::new(), now: Mono(0) };
        let running = Running::start(app, change);
        Bench { running, steps, results, pool: Pool::new(64 << 20, 1 << 20) }
    }

    /// Results in the order of the operations, in whatever order they came.
    fn all(&self, step: Vec<DiskKind>) -> Vec<Result<DiskOk, DiskError>> {
        let count = step.len();
        self.steps.send(step).unwrap();
        let results: Vec<_> = self.results.recv().unwrap().into_values().collect();
        assert_eq!(results.len(), count);
        results
    }

    fn one(&self, kind: DiskKind) -> Result<DiskOk, DiskError> {
        self.all(vec![kind]).remove(0)
    }

    fn create(&self, file: u32, name: &str, bytes: u64) {
        let made = self.one(DiskKind::Create { file: FileId(file), name: name.into(), bytes });
        assert!(matches!(made, Ok(DiskOk::Opened { bytes: b }) if b == bytes), "{made:?}");
    }

    fn pages(&self, bytes: &[u8]) -> Pages {
        let mut buf = self.pool.take(bytes.len()).unwrap();
        buf.copy_from_slice(bytes);
        buf.freeze().pages()
    }

    fn read(&self, file: u32, at: u64, bytes: usize) -> BufMut {
        let buf = self.pool.take(bytes).unwrap();
        match self.one(DiskKind::Read { file: FileId(file), at, bytes: buf }) {
            Ok(DiskOk::Read { bytes }) => bytes,
            other => panic!("{other:?}"),
        }
    }

    fn write(&self, file: u32, at: u64, runs: Vec<Pages>, durable: bool) -> DiskKind {
        DiskKind::Write { file: FileId(file), at, runs, durable }
    }
}

fn listed(result: Result<DiskOk, DiskError>) -> Vec<(String, u64)> {
    match result {
        Ok(DiskOk::Listed(mut files)) => {
            files.sort();
            files
        }
        other => panic!("{other:?}"),
    }
}

fn done(result: &Result<DiskOk, DiskError>) -> bool {
    matches!(result, Ok(DiskOk::Done))
}

fn many_writes_at_once_read_back(sync: Sync, direct: bool) {
    let bench = Bench::new(|settings| {
        settings.sync = sync;
        settings.direct = direct;
        settings.spin_us = 50;
    });
    bench.create(3, "segment", 16 << 20);
    let mut writes = Vec::new();
    let mut whole = Vec::new();
    for i in 0..24 {
        let runs: Vec<Vec<u8>> = (0..=i % 5 * 40).map(|r| pattern(i * 1000 + r, PAGE * (1 + r as usize % 2))).collect();
        let at = whole.len() as u64;
        whole.extend(runs.concat());
        writes.push(bench.write(3, at, runs.iter().map(|r| bench.pages(r)).collect(), true));
    }
    assert!(bench.all(writes).iter().all(done));
    assert!(bench.read(3, 0, whole.len())[..] == whole[..]);
    assert!(bench.read(3, PAGE as u64 * 7, PAGE * 9)[..] == whole[PAGE * 7..PAGE * 16]);
    assert!(done(&bench.one(DiskKind::Sync { file: FileId(3) })));
    let on_disk = std::fs::read(bench.running.directory.path().join("segment")).unwrap();
    assert!(on_disk.len() == 16 << 20 && on_disk[..whole.len()] == whole[..]);
    assert_eq!(bench.running.stats.disk_written_bytes.get(), whole.len() as u64);
    bench.running.finish();
}

#[test]
fn many_writes_at_once_read_back_with_dsync() {
    many_writes_at_once_read_back(Sync::Dsync, true);
}

#[test]
fn many_writes_at_once_read_back_with_linked_fdatasync() {
    many_writes_at_once_read_back(Sync::WriteThenFdatasync, true);
}

#[test]
fn many_writes_at_once_read_back_in_the_adaptive_way() {
    many_writes_at_once_read_back(Sync::Adaptive, true);
}

#[test]
fn many_writes_at_once_read_back_through_the_page_cache() {
    many_writes_at_once_read_back(Sync::Dsync, false);
}

#[test]
fn files_are_made_opened_renamed_and_removed() {
    let bench = Bench::new(|_| {});
    bench.create(0, "a", 0);
    bench.create(1, "b", 3 << 20);
    assert!(matches!(
        bench.one(DiskKind::Create { file: FileId(2), name: "a".into(), bytes: 0 }),
        Err(DiskError::Exists)
    ));
    assert_eq!(listed(bench.one(DiskKind::List)), [("a".into(), 0), ("b".into(), 3 << 20)]);
    let rename = DiskKind::Rename { from: "b".into(), to: "a".into() };
    assert!(done(&bench.one(rename)) && done(&bench.one(DiskKind::SyncDir)));
    assert_eq!(listed(bench.one(DiskKind::List)), [("a".into(), 3 << 20)]);
    // The slot still holds the renamed file; closed and opened again it shows its length.
    assert!(done(&bench.one(DiskKind::Close { file: FileId(1) })));
    let opened = bench.one(DiskKind::Open { file: FileId(1), name: "a".into() });
    assert!(matches!(opened, Ok(DiskOk::Opened { bytes: 0x30_0000 })), "{opened:?}");
    assert!(done(&bench.one(DiskKind::Remove { name: "a".into() })));
    for gone in [
        DiskKind::Remove { name: "a".into() },
        DiskKind::Open { file: FileId(5), name: "a".into() },
        DiskKind::Sync { file: FileId(77) },
    ] {
        assert!(matches!(bench.one(gone), Err(DiskError::NotFound)));
    }
    let free = bench.one(DiskKind::Free);
    assert!(matches!(free, Ok(DiskOk::Free { free, total }) if free > 0 && free <= total), "{free:?}");
    assert_eq!(bench.running.stats.disk_errors.get(), 4);
    bench.running.finish();
}

#[test]
fn a_read_at_the_end_is_short_and_behind_it_empty() {
    let bench = Bench::new(|_| {});
    std::fs::write(bench.running.directory.path().join("odd"), pattern(1, 3 * PAGE + 10)).unwrap();
    let opened = bench.one(DiskKind::Open { file: FileId(0), name: "odd".into() });
    assert!(matches!(opened, Ok(DiskOk::Opened { bytes }) if bytes == 3 * PAGE as u64 + 10));
    assert_eq!(bench.read(0, PAGE as u64, 8 * PAGE)[..], pattern(1, 3 * PAGE + 10)[PAGE..]);
    assert!(bench.read(0, 8 * PAGE as u64, PAGE).is_empty());
    bench.running.finish();
}

#[test]
fn a_slot_beyond_the_table_is_an_error_not_a_panic() {
    let bench = Bench::new(|settings| settings.files_max = 4);
    let refused = bench.one(DiskKind::Create { file: FileId(4), name: "x".into(), bytes: 0 });
    assert!(matches!(refused, Err(DiskError::TooManyFiles)), "{refused:?}");
    bench.create(3, "x", 0);
    bench.running.finish();
}

#[test]
fn a_failed_allocation_leaves_no_file_behind() {
    let bench = Bench::new(|_| {});
    let huge = bench.one(DiskKind::Create { file: FileId(0), name: "huge".into(), bytes: 1 << 60 });
    assert!(huge.is_err(), "{huge:?}");
    assert!(listed(bench.one(DiskKind::List)).is_empty());
    bench.create(0, "huge", 1 << 20);
    bench.running.finish();
}

#[test]
fn a_write_that_fails_does_so_in_both_modes_and_the_good_ones_around_it_do_not() {
    for sync in [Sync::Dsync, Sync::WriteThenFdatasync, Sync::Adaptive] {
        let bench = Bench::new(|settings| settings.sync = sync);
        bench.create(0, "a", 1 << 20);
        let page = || vec![bench.pages(&pattern(4, PAGE))];
        let far = i64::MAX as u64 / PAGE as u64 * PAGE as u64;
        let results = bench.all(vec![
            bench.write(0, 0, page(), true),
            bench.write(0, far, page(), true),
            bench.write(0, 4096, page(), true),
        ]);
        assert!(done(&results[0]) && done(&results[2]), "{results:?}");
        assert!(matches!(results[1], Err(DiskError::Io(_))), "{results:?}");
        bench.running.finish();
    }
}

#[test]
fn writes_from_a_registered_arena_gather_and_read_back() {
    let arena = Pool::with_arena(1 << 20, 0, 4 * PAGE, 8);
    let registered = arena.clone();
    let bench = Bench::new(|settings| settings.registered = Some(registered));
    bench.create(0, "a", 1 << 20);
    let piece = |seed| {
        let mut buf = arena.take(4 * PAGE).unwrap();
        buf.copy_from_slice(&pattern(seed, 4 * PAGE));
        buf.freeze().pages()
    };
    let elsewhere = || bench.pages(&pattern(9, PAGE));
    let whole = 4 * PAGE as u64;
    let step = vec![
        bench.write(0, 0, vec![piece(0)], true),
        bench.write(0, whole, vec![piece(1), piece(2)], true),
        // One run that is not registered makes the whole write a plain one.
        bench.write(0, 3 * whole, vec![piece(3), elsewhere()], true),
    ];
    assert!(bench.all(step).iter().all(done));
    let expected = [0, 1, 2, 3].map(|seed| pattern(seed, 4 * PAGE)).concat();
    assert!(bench.read(0, 0, 16 * PAGE)[..] == expected[..]);
    assert!(bench.read(0, 4 * whole, PAGE)[..] == pattern(9, PAGE)[..]);
    let features = torc_reactor::probe::probe().unwrap();
    assert_eq!(bench.running.stats.disk_writes_fixed.get(), 1 + u64::from(features.gather_fixed));
    assert_eq!(arena.used(), 0, "buffers come back when their write is done");
    bench.running.finish();
}

#[test]
fn writing_to_and_reading_from_a_file_that_is_not_open_is_an_error_in_both_modes() {
    for sync in [Sync::Dsync, Sync::WriteThenFdatasync, Sync::Adaptive] {
        let bench = Bench::new(|settings| settings.sync = sync);
        let write = bench.write(2, 0, vec![bench.pages(&pattern(1, PAGE))], true);
        let read = DiskKind::Read { file: FileId(2), at: 0, bytes: bench.pool.take(PAGE).unwrap() };
        let results = bench.all(vec![write, read]);
        assert!(results.iter().all(|r| matches!(r, Err(DiskError::NotFound))), "{results:?}");
        bench.running.finish();
    }
}
