//! A file system that takes only a part of a write. In a file of its own, for the limit holds for the process.

use std::sync::Arc;
use torc_base::buf::Pool;
use torc_base::ids::{FileId, ShardId, Tag};
use torc_base::io::{App, DiskDone, DiskError, DiskKind, DiskOk, DiskOp, Event, Op};
use torc_base::limits::PAGE;
use torc_base::time::{Mono, Now};
use torc_reactor::mail::mesh;
use torc_reactor::probe::probe;
use torc_reactor::reactor::run;
use torc_reactor::settings::{LoopSettings, Sync};
use torc_reactor::stats::LoopStats;

const LIMIT: u64 = 1 << 20;

/// Makes a file and writes eight pages at the given places, one after the other.
struct Writer {
    places: Vec<u64>,
    results: Vec<Result<DiskOk, DiskError>>,
}

impl App for Writer {
    type Mail = ();

    fn step(&mut self, _: Now, event: Event<()>, ops: &mut Vec<Op<()>>) {
        let kind = match event {
            Event::Start => DiskKind::Create { file: FileId(0), name: "f".into(), bytes: 0 },
            Event::Disk(DiskDone { result, .. }) => {
                let place = self.places.get(self.results.len()).copied();
                self.results.push(result);
                let Some(at) = place else { return ops.push(Op::Exit) };
                let runs = (0..2).map(|_| Pool::new(1 << 20, 0).take(4 * PAGE).unwrap().freeze().pages()).collect();
                DiskKind::Write { file: FileId(0), at, runs, durable: true }
            }
            _ => return,
        };
        ops.push(Op::Disk(DiskOp { tag: Tag(0), kind }));
    }

    fn deadline(&self) -> Option<Mono> {
        None
    }

    fn busy(&self) -> bool {
        false
    }
}

#[test]
fn a_write_that_fits_in_part_fails_with_the_reason() {
    let limit = libc::rlimit { rlim_cur: LIMIT, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: ignoring a signal runs no handler, and `limit` is valid for reading.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
    let (fits, half, beyond) = (LIMIT - 8 * PAGE as u64, LIMIT - 3 * PAGE as u64, LIMIT);
    for sync in [Sync::Dsync, Sync::WriteThenFdatasync, Sync::Adaptive] {
        let directory = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut settings = LoopSettings::new(ShardId(0), directory.path().to_owned());
        settings.sync = sync;
        let app = Writer { places: vec![fits, half, beyond, 0], results: Vec::new() };
        let stats = Arc::new(LoopStats::default());
        let app = run(settings, &probe().unwrap(), mesh(1).unwrap().remove(0), app, stats, &mut |_, _| {}).unwrap();
        let errors: Vec<_> = app.results.iter().map(|r| r.as_ref().err().cloned()).collect();
        let too_big = Some(DiskError::FileTooLong);
        assert_eq!(errors, [None, None, too_big.clone(), too_big, None], "{sync:?}");
        assert_eq!(std::fs::metadata(directory.path().join("f")).unwrap().len(), LIMIT);
    }
}
