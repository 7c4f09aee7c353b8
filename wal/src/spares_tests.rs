//! When new files are written once with zeroes, and in which pieces.

use crate::settings::WalSettings;
use crate::spares::{Progress, Spares};
use torc_base::io::{DiskKind, DiskOk, DiskOp};
use torc_base::prng::Prng;
use torc_base::time::{Mono, Now};

const US: u64 = 1_000;
const SEC: u64 = 1_000_000_000;
const KIB: usize = 1 << 10;

/// Files made over a disk.
struct Scene {
    /// How long it takes for anything, and its free bytes.
    takes: u64,
    free: u64,
    spares: Spares,
    now: Mono,
    /// What is under way, and when it ends.
    under_way: Option<(Mono, DiskKind)>,
    /// Sizes of all pieces of zeroes.
    pieces: Vec<usize>,
}

fn scene() -> Scene {
    let spares = Spares::new(&WalSettings::default(), Prng::new(7));
    Scene { takes: 100 * US, free: 1 << 40, spares, now: Mono(SEC), under_way: None, pieces: Vec::new() }
}

impl Scene {
    /// A turn of the log `ns` later.
    fn turn(&mut self, ns: u64) {
        self.now = Mono(self.now.0 + ns);
        let now = Now { mono: self.now, ..Now::default() };
        let mut ops: Vec<DiskOp> = Vec::new();
        if let Some((_, kind)) = self.under_way.take_if(|(ends, _)| *ends <= now.mono) {
            let result = match kind {
                DiskKind::Free => DiskOk::Free { free: self.free, total: 1 << 40 },
                DiskKind::Create { bytes, .. } => DiskOk::Opened { bytes },
                _ => DiskOk::Done,
            };
            let progress = self.spares.on_disk(now, Ok(result), &mut ops);
            let expected = match progress {
                Progress::NoRoom(_) => self.free == 0,
                _ => matches!(progress, Progress::Nothing | Progress::Ready),
            };
            assert!(expected, "{progress:?}");
        }
        self.spares.turn(now, &mut ops);
        for op in ops {
            assert!(self.under_way.is_none(), "one step at a time");
            if let DiskKind::Write { runs, durable: false, .. } = &op.kind {
                self.pieces.push(runs.iter().map(|pages| pages.len()).sum());
            }
            self.under_way = Some((Mono(now.mono.0 + self.takes), op.kind));
        }
    }

    /// The log lies idle until so many spares are ready; turns are made when something ends or is due.
    fn idle_until(&mut self, spares: usize) {
        while self.spares.prepared() < spares {
            let ends = self.under_way.as_ref().map(|(ends, _)| *ends);
            let next = ends.into_iter().chain(self.spares.deadline()).min().map_or(0, |at| at.since(self.now));
            self.turn(next);
        }
    }

    /// The log fills so many files in `ns` each, with a turn every 50 us. There is a spare whenever one is needed.
    fn fill(&mut self, files: u32, ns: u64) {
        for _ in 0..files {
            self.spares.take(self.now).expect("a spare is ready in time");
            for _ in 0..ns / (50 * US) {
                self.spares.note_write(self.now);
                self.turn(50 * US);
            }
        }
    }
}

/// A full disk is asked again and again. While it is slow to answer nothing is due that could not be done.
#[test]
fn on_a_full_and_slow_disk_nothing_is_due_while_it_is_asked() {
    for half_written in [false, true] {
        let mut scene = scene();
        scene.idle_until(if half_written { 1 } else { 2 });
        (scene.free, scene.takes) = (0, 4 * SEC);
        for _ in 0..if half_written { 0 } else { 2 } {
            scene.spares.take(scene.now).expect("a spare is ready");
        }
        let mut full = 0;
        for _ in 0..2_000 {
            scene.turn(10_000 * US);
            full += u32::from(scene.spares.is_full());
            let due = scene.spares.deadline();
            assert!(due.is_none_or(|at| at > scene.now), "{due:?} at {:?}, {:?} under way", scene.now, scene.under_way);
        }
        assert!(full > 0 || half_written, "it was never full");
    }
}

#[test]
fn the_first_file_comes_fast_and_the_next_with_rests() {
    let mut scene = scene();
    scene.idle_until(1);
    assert!(scene.pieces.iter().all(|piece| *piece == 1024 * KIB), "{:?}", scene.pieces);
    scene.pieces.clear();
    let began = scene.now;
    scene.idle_until(2);
    assert!(scene.pieces.iter().all(|piece| *piece == 256 * KIB), "{:?}", scene.pieces);
    assert!(scene.now.since(began) > 256 * 800 * US, "the device rests between two pieces");
}

#[test]
fn beside_a_log_that_is_filled_slowly_pieces_are_small() {
    let mut scene = scene();
    scene.idle_until(2);
    // The first time between two files is not yet known.
    scene.fill(2, 2 * SEC);
    scene.pieces.clear();
    scene.fill(4, 2 * SEC);
    // The last piece of a file is what is left of it.
    assert_eq!((scene.pieces[0], scene.pieces.iter().max()), (36 * KIB, Some(&(36 * KIB))));
    let all: usize = scene.pieces.iter().sum();
    assert!((3..=5).contains(&(all >> 26)), "about a file for each that is filled: {all}");
}

#[test]
fn pieces_grow_with_the_pace_of_the_log() {
    let mut scene = scene();
    scene.idle_until(2);
    scene.fill(2, SEC / 4);
    scene.pieces.clear();
    scene.fill(8, SEC / 4);
    assert!(scene.pieces.iter().all(|piece| *piece == 256 * KIB || *piece == 1024 * KIB), "{:?}", scene.pieces);
}

#[test]
fn no_timer_is_due_at_once_while_the_log_is_written() {
    let mut scene = scene();
    scene.idle_until(2);
    scene.fill(2, 2 * SEC);
    for _ in 0..20_000 {
        scene.spares.note_write(scene.now);
        scene.turn(50 * US);
        let due = scene.spares.deadline().map(|at| at.since(scene.now));
        assert!(due.is_none_or(|ns| ns > 3_000_000), "{due:?}");
    }
}
