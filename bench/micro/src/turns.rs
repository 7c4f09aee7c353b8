//! Cores that keep a reactor's loop turning for a number of rounds, and say how long it took.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use torc_base::buf::{BufMut, Pool};
use torc_base::ids::{FileId, ShardId, Tag};
use torc_base::io::{App, DiskDone, DiskKind, DiskOk, DiskOp, Event, Op};
use torc_base::limits::PAGE;
use torc_base::time::{Mono, Now};
use torc_reactor::mail::{Post, mesh};
use torc_reactor::probe::{Features, probe};
use torc_reactor::reactor::run;
use torc_reactor::settings::LoopSettings;
use torc_reactor::stats::LoopStats;

/// Rounds that are left, and the time from the first to the last.
struct Rounds {
    left: u64,
    began: Instant,
    took: Duration,
}

impl Rounds {
    fn new(rounds: u64) -> Rounds {
        Rounds { left: rounds, began: Instant::now(), took: Duration::ZERO }
    }

    fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// A round is over; true if another follows.
    fn next(&mut self) -> bool {
        self.left -= 1;
        if self.left == 0 {
            self.took = self.began.elapsed();
        }
        self.left > 0
    }
}

/// Sends a letter to `to`, which sends it back; with itself, a round is one turn of the loop without any I/O.
struct Letters {
    to: ShardId,
    /// It begins, and counts; the other one only answers until it is told to end.
    opens: bool,
    rounds: Rounds,
}

/// Whether the receiver is to end after this letter.
type Last = bool;

impl App for Letters {
    type Mail = Last;

    fn step(&mut self, _: Now, event: Event<Last>, ops: &mut Vec<Op<Last>>) {
        let to = self.to;
        match event {
            Event::Start if self.opens => {
                self.rounds.begin();
                ops.push(Op::Mail { to, mail: false });
            }
            Event::Mail { mail: true, .. } => ops.push(Op::Exit),
            Event::Mail { .. } if !self.opens => ops.push(Op::Mail { to, mail: false }),
            Event::Mail { .. } if self.rounds.next() => ops.push(Op::Mail { to, mail: false }),
            Event::Mail { .. } => ops.extend([Op::Mail { to, mail: true }, Op::Exit]),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        None
    }

    fn busy(&self) -> bool {
        false
    }
}

/// Name of the file that [`read_a_page`] reads, in its directory.
pub const PAGE_FILE: &str = "page";
const FILE: FileId = FileId(0);

/// Reads one page of a file again and again.
struct Reads {
    rounds: Rounds,
    pool: Pool,
}

impl Reads {
    fn read(bytes: BufMut) -> Op<()> {
        Op::Disk(DiskOp { tag: Tag(1), kind: DiskKind::Read { file: FILE, at: 0, bytes } })
    }
}

impl App for Reads {
    type Mail = ();

    fn step(&mut self, _: Now, event: Event<()>, ops: &mut Vec<Op<()>>) {
        match event {
            Event::Start => {
                let kind = DiskKind::Open { file: FILE, name: PAGE_FILE.to_string() };
                ops.push(Op::Disk(DiskOp { tag: Tag(0), kind }));
            }
            Event::Disk(DiskDone { result: Ok(DiskOk::Opened { bytes }), .. }) => {
                assert_eq!(bytes, PAGE as u64);
                self.rounds.begin();
                ops.push(Reads::read(self.pool.take(PAGE).expect("the pool holds one page")));
            }
            Event::Disk(DiskDone { result: Ok(DiskOk::Read { bytes }), .. }) => {
                assert_eq!(bytes.len(), PAGE);
                ops.push(if self.rounds.next() { Reads::read(bytes) } else { Op::Exit });
            }
            Event::Disk(DiskDone { result, .. }) => panic!("reading a page: {result:?}"),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        None
    }

    fn busy(&self) -> bool {
        false
    }
}

fn features() -> Features {
    probe().unwrap_or_else(|refusal| panic!("this kernel has no ring to measure: {}", refusal.text()))
}

fn turn<A: App>(app: A, post: Post<A::Mail>, directory: &Path) -> A {
    let mut settings = LoopSettings::new(post.shard(), directory.to_path_buf());
    settings.direct = false;
    let mut silent = |_, _: &str| {};
    run(settings, &features(), post, app, Arc::<LoopStats>::default(), &mut silent)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Time of `rounds` turns in which a shard gets a letter from itself. `directory` must exist; nothing is put into it.
pub fn mail_to_self(rounds: u64, directory: &Path) -> Duration {
    let post = mesh(1).expect("an eventfd").remove(0);
    let app = Letters { to: ShardId(0), opens: true, rounds: Rounds::new(rounds) };
    turn(app, post, directory).rounds.took
}

/// Time of `rounds` letters to another shard and back, each of which wakes a sleeper through its ring.
pub fn mail_to_another(rounds: u64, directory: &Path) -> Duration {
    let mut posts = mesh(2).expect("two eventfds");
    let (second, first) = (posts.remove(1), posts.remove(0));
    let app = |opens| Letters { to: ShardId(u16::from(opens)), opens, rounds: Rounds::new(rounds) };
    std::thread::scope(|scope| {
        scope.spawn(|| turn(app(false), second, directory));
        turn(app(true), first, directory).rounds.took
    })
}

/// Time of `rounds` reads of one cached page through the ring. `directory` must hold [`PAGE_FILE`], one page long.
pub fn read_a_page(rounds: u64, directory: &Path) -> Duration {
    let post = mesh(1).expect("an eventfd").remove(0);
    let app = Reads { rounds: Rounds::new(rounds), pool: Pool::new(PAGE, PAGE) };
    turn(app, post, directory).rounds.took
}
