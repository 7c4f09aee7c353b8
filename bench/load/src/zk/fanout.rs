//! One client writes a znode, all others watch it: how long until each has its event. An event says nothing of what caused it, but
//! each watcher has one for every write, in their order: its n-th is that of the n-th write.

use super::args::ZkArgs;
use super::requests::{is_aside, refused};
use super::{ground, open_all, start_beats};
use crate::connection::{Dialogue, Loop, Refused};
use crate::drive::{Connections, DRAIN, Finished, Pacer, Plan, Run, end_all, finish, in_runtime, measure, start_all};
use crate::error::Error;
use crate::interrupt;
use crate::progress::Progress;
use crate::recorder::{Recorder, Request};
use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};
use torc_net::zookeeper::{AddMode, Answer, Ask, xid};

/// The znode that is written.
pub fn watched(base: &str) -> String {
    format!("{base}/watched")
}

/// What the writer tells the watchers.
#[derive(Default)]
struct Writes {
    /// When each was due.
    due: RefCell<Vec<u64>>,
    /// One failed: from here on nobody knows which event is whose.
    broken: Cell<bool>,
}

/// The connection that writes.
struct Writer {
    path: String,
    data: Vec<Vec<u8>>,
    writes: Rc<Writes>,
}

impl Writer {
    fn put(&self, xid: i32, number: usize, out: &mut Vec<u8>) {
        Ask::SetData(&self.path, &self.data[number % self.data.len()], -1).encode(xid, out);
    }
}

impl Dialogue for Writer {
    /// Which write it is.
    type Note = usize;

    fn ask(&mut self, correlation: i32, due: u64, out: &mut Vec<u8>) -> Option<(Request, usize)> {
        let number = self.writes.due.borrow().len();
        self.writes.due.borrow_mut().push(due);
        self.put(correlation, number, out);
        Some((Request { due, records: 1, payload: 0 }, number))
    }

    fn repeat(&mut self, correlation: i32, _request: &Request, number: usize, out: &mut Vec<u8>) {
        self.put(correlation, number, out);
    }

    fn takes_aside(&mut self, frame: &[u8], _now: u64) -> bool {
        is_aside(frame)
    }

    fn beat(&mut self, out: &mut Vec<u8>) {
        Ask::Ping.encode(0, out);
    }

    fn answer(&mut self, request: Request, _note: usize, frame: &[u8], _now: u64) -> Result<Request, Refused> {
        let error = Answer::open(frame).map_err(|error| Refused::from(error.to_string()))?.error;
        if error != 0 {
            self.writes.broken.set(true);
            return Err(refused(error));
        }
        Ok(request)
    }

    fn partition(&self, _note: usize) -> i32 {
        0
    }

    fn partitions(&self) -> Vec<i32> {
        vec![0]
    }

    fn split(&mut self, _partitions: &[i32]) -> Writer {
        Writer { path: self.path.clone(), data: self.data.clone(), writes: Rc::clone(&self.writes) }
    }
}

/// A connection that watches: it asks nothing, and counts what it is told.
struct Watcher {
    writes: Rc<Writes>,
    arrivals: Rc<Run>,
    /// Events so far.
    seen: usize,
}

impl Dialogue for Watcher {
    type Note = ();

    fn ask(&mut self, _correlation: i32, _due: u64, _out: &mut Vec<u8>) -> Option<(Request, ())> {
        None
    }

    fn repeat(&mut self, _correlation: i32, _request: &Request, (): (), _out: &mut Vec<u8>) {}

    fn takes_aside(&mut self, frame: &[u8], now: u64) -> bool {
        let is_event = Answer::open(frame).is_ok_and(|answer| answer.xid == xid::EVENT);
        if is_event {
            let due = self.writes.due.borrow().get(self.seen).copied();
            self.seen += 1;
            if let Some(due) = due.filter(|_| !self.writes.broken.get()) {
                let request = Request { due, records: 1, payload: 0 };
                let mut recorder = self.arrivals.recorder.borrow_mut();
                recorder.sent(now, now, &request);
                recorder.done(now, &request);
                drop(recorder);
                self.arrivals.answered();
            }
        }
        is_aside(frame)
    }

    fn beat(&mut self, out: &mut Vec<u8>) {
        Ask::Ping.encode(0, out);
    }

    fn answer(&mut self, request: Request, (): (), _frame: &[u8], _now: u64) -> Result<Request, Refused> {
        Ok(request)
    }

    fn partition(&self, (): ()) -> i32 {
        0
    }

    fn partitions(&self) -> Vec<i32> {
        vec![0]
    }

    fn split(&mut self, _partitions: &[i32]) -> Watcher {
        Watcher { writes: Rc::clone(&self.writes), arrivals: Rc::clone(&self.arrivals), seen: self.seen }
    }
}

/// Sets a watch that stays, and waits until it stands.
fn watch(stream: &mut TcpStream, path: &str, time: Duration) -> Result<(), Error> {
    use std::io::{Read, Write};
    let doing = "setting a watch";
    let mut out = Vec::new();
    Ask::AddWatch(path, AddMode::Persistent).encode(1, &mut out);
    stream.write_all(&out).map_err(Error::io(doing))?;
    stream.set_read_timeout(Some(time)).map_err(Error::io(doing))?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).map_err(Error::io(doing))?;
    // An answer has a head, and perhaps an error's code once more.
    let mut frame = vec![0; (u32::from_be_bytes(length) as usize).min(64)];
    stream.read_exact(&mut frame).map_err(Error::io(doing))?;
    stream.set_read_timeout(None).map_err(Error::io(doing))?;
    match Answer::open(&frame).map(|answer| answer.error) {
        Ok(0) => Ok(()),
        Ok(code) => {
            Err(Error::Unfit(format!("watches that stay (ZooKeeper 3.6) cannot be set: {}", refused(code).what)))
        }
        Err(error) => Err(Error::Unfit(error.to_string())),
    }
}

/// The sides of the run: its recorder counts a request when a watcher has its event.
struct Sides {
    arrivals: Rc<Run>,
    writing: Rc<Run>,
    watching: Rc<Run>,
    watchers: u64,
}

/// One connection more than was asked for writes.
pub fn run(args: &ZkArgs, plan: &Plan, addresses: &[SocketAddr], data: &[Vec<u8>]) -> Result<Finished, Error> {
    let timeout = args.target.session_timeout;
    let (mut streams, sessions) = open_all(args, addresses, args.pace.connections as usize + 1)?;
    let path = watched(&args.target.path);
    let writer = streams.remove(0);
    streams.iter_mut().try_for_each(|stream| watch(stream, &path, timeout))?;
    let clock = Instant::now();
    let side = || Run::new(clock, plan);
    let watchers = streams.len() as u64;
    let sides = Sides { arrivals: side(), writing: side(), watching: side(), watchers };
    // It has no connections of its own that could end.
    sides.arrivals.open.set(1);
    let writes = Rc::new(Writes::default());
    let watcher = |stream| {
        let (writes, arrivals) = (Rc::clone(&writes), Rc::clone(&sides.arrivals));
        (stream, Watcher { writes, arrivals, seen: 0 })
    };
    let watchers = streams.into_iter().map(watcher).collect();
    let writer = vec![(writer, Writer { path, data: data.to_vec(), writes: Rc::clone(&writes) })];
    let times = in_runtime(async {
        // They ask nothing: an open loop in which nothing is ever due.
        let watching = start_all(&sides.watching, Loop::Open { most: 1 }, watchers)?;
        let writing = start_all(&sides.writing, plan.pacing(), writer)?;
        [&sides.watching, &sides.writing].into_iter().for_each(|run| start_beats(run, timeout / 4));
        let pacer = Pacer::start(plan, &sides.writing, &writing)?;
        conduct(&sides, plan, pacer.as_deref(), &watching, &writing).await
    });
    ground::end(&sessions, timeout);
    let mut times = times.map_err(Error::io("running the load"))?;
    times.draw(&plan.title)?;
    let mut recorder = sides.arrivals.recorder.replace(Recorder::new(false));
    {
        let mut written = sides.writing.recorder.borrow_mut();
        recorder.longest_stall = written.longest_stall;
        recorder.windows = std::mem::take(&mut written.windows);
    }
    for side in [&sides.writing, &sides.watching] {
        for (error, count) in &side.recorder.borrow().errors {
            *recorder.errors.entry(error.clone()).or_default() += count;
        }
    }
    let connections_lost = sides.writing.connections_lost() + sides.watching.connections_lost();
    Ok(Finished { recorder, connections_lost, ..times })
}

async fn conduct(
    sides: &Sides,
    plan: &Plan,
    pacer: Option<&Pacer>,
    watching: &Connections,
    writing: &Connections,
) -> std::io::Result<Finished> {
    let Sides { arrivals, writing: writer, watching: watchers, watchers: count } = sides;
    let mut progress = Progress::new(&plan.title, plan.pace.warmup, plan.pace.duration, plan.quiet);
    let times = measure(arrivals, &[writer, watchers], &Connections::default(), plan, &mut progress).await?;
    finish(writer, pacer, writing).await;
    // Each write that was acknowledged is told to everybody.
    let deadline = arrivals.now() + DRAIN.as_nanos() as u64;
    let behind = || (writer.recorder.borrow().answered * count).saturating_sub(arrivals.recorder.borrow().answered);
    let interrupted = || interrupt::caught().is_some();
    while behind() > 0 && arrivals.now() < deadline && watchers.open.get() > 0 && !interrupted() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if behind() > 0 && !interrupted() {
        let what = "written, and no event within 10 s of the end".to_string();
        *arrivals.recorder.borrow_mut().errors.entry(what).or_default() += behind();
    }
    watchers.stop();
    progress.end();
    [watching, writing].into_iter().for_each(end_all);
    Ok(times)
}
