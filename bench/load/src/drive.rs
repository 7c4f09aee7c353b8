//! A run from its first connection to its last answer: warm-up, measurement, drain.

use crate::connection::{Dialogue, Loop, Paced, start};
use crate::cpu::{self, Process, Watch};
use crate::environment;
use crate::error::Error;
use crate::flamegraph::{Flamegraph, Sampling};
use crate::guide::Guide;
use crate::interrupt::{self, Bell};
use crate::options::Pace;
use crate::pace::{Schedule, Timer};
use crate::progress::Progress;
use crate::recorder::{Recorder, Second};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// Time that answers have after the end of the measurement.
pub const DRAIN: Duration = Duration::from_secs(10);
/// What is said of requests whose answer did not come in that time.
pub const UNANSWERED: &str = "no answer within";
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Entries of the submission queue: two operations of each connection in one system call.
const RING_ENTRIES: u32 = 4096;
/// Between two looks for connections that have had no answer for long.
const SILENCE_LOOK: Duration = Duration::from_millis(100);
/// In an open loop, requests that are due within this time leave together: setting the timer for each would take as much
/// time as sending it. Latency counts from when each was due.
const GRAIN: Duration = Duration::from_micros(50);
/// The same, when the run was interrupted: somebody waits.
const DRAIN_INTERRUPTED: Duration = Duration::from_secs(1);
/// Requests that an open loop keeps unanswered on one connection at most.
const OPEN_LOOP_MOST: usize = 100_000;

/// What all tasks of a run share.
pub struct Run {
    clock: Instant,
    pub recorder: RefCell<Recorder>,
    /// Requests that are due and not sent.
    pub queued: Cell<u64>,
    /// Connections that are neither lost nor at their end.
    pub open: Cell<usize>,
    /// A connection ended.
    pub ended: Notify,
    stopping: Cell<bool>,
    /// Measured requests after which the run ends.
    limit: u64,
    connections_lost: Cell<u64>,
    /// All that were started; some come later, when leaders move.
    pub connections: Connections,
    /// Who knows where leaders are; `None`: a connection stays where it is.
    pub guide: Option<Rc<Guide>>,
}

impl Run {
    /// A run whose clock began at `clock`.
    pub fn new(clock: Instant, plan: &Plan) -> Rc<Run> {
        Rc::new(Run {
            clock,
            recorder: RefCell::new(Recorder::new(plan.keep_log)),
            queued: Cell::new(0),
            open: Cell::new(0),
            ended: Notify::new(),
            stopping: Cell::new(false),
            limit: plan.pace.requests.unwrap_or(u64::MAX),
            connections_lost: Cell::new(0),
            connections: Connections::default(),
            guide: plan.guide.clone(),
        })
    }

    /// Nothing new is asked from now on.
    pub fn stop(&self) {
        self.stopping.set(true);
    }

    /// Connections that broke before the end.
    pub fn connections_lost(&self) -> u64 {
        self.connections_lost.get()
    }

    /// Nanoseconds of the run's clock.
    pub fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }

    /// True once nothing new is asked.
    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Answers came.
    pub fn answered(&self) {
        if self.recorder.borrow().requests >= self.limit {
            self.ended.notify_one();
        }
    }

    /// A connection broke.
    pub fn lost(&self, what: &str) {
        self.open.set(self.open.get() - 1);
        if !self.stopping.get() {
            self.connections_lost.set(self.connections_lost.get() + 1);
            *self.recorder.borrow_mut().errors.entry(what.to_string()).or_default() += 1;
        }
        self.ended.notify_one();
    }

    fn is_at_its_limit(&self) -> bool {
        self.open.get() == 0 || self.recorder.borrow().requests >= self.limit || interrupt::caught().is_some()
    }
}

/// What a run leaves behind.
pub struct Finished {
    pub recorder: Recorder,
    /// CPU time of this process during the measurement, in nanoseconds.
    pub own_cpu_ns: u64,
    pub server: Option<ServerUse>,
    pub connections_lost: u64,
    /// When the measurement began, in seconds since 1970.
    pub began_s: f64,
    /// That moment on the run's clock.
    pub began: u64,
    /// What the server writes to, if that can be seen from here.
    pub disk: Option<String>,
    /// Of the server, if a flamegraph was asked for; ended, and not drawn.
    pub sampling: Option<Sampling>,
    pub load: Load,
    pub ending: Ending,
}

/// What was asked of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    pub connections: u32,
    /// Requests that a connection keeps unanswered at most; `None` in an open loop without that bound.
    pub outstanding: Option<u32>,
    /// `None` in a closed loop.
    pub records_per_s: Option<f64>,
    pub requests_per_s: Option<f64>,
}

/// How the measurement ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// How long it should have taken.
    pub planned: Duration,
    /// Every connection was lost before that.
    pub abandoned: bool,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Finished {
    /// What `recorder` has counted, and nothing else.
    pub fn of(recorder: Recorder) -> Finished {
        Finished {
            recorder,
            own_cpu_ns: 0,
            server: None,
            connections_lost: 0,
            began_s: 0.0,
            began: 0,
            disk: None,
            sampling: None,
            load: Load::default(),
            ending: Ending::default(),
        }
    }

    /// The same, with what `run` has counted.
    pub fn with(self, run: &Run, connections_lost: u64) -> Finished {
        Finished { recorder: run.recorder.replace(Recorder::new(false)), connections_lost, ..self }
    }

    /// Draws the flamegraph that was asked for.
    pub fn draw(&mut self, title: &str) -> Result<(), Error> {
        self.sampling.take().map_or(Ok(()), |sampling| sampling.draw(title))
    }
}

/// What the server took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerUse {
    pub pid: u32,
    /// During the measurement, in nanoseconds.
    pub cpu_ns: u64,
    /// At its end.
    pub resident_bytes: u64,
    /// Before the run's first connection.
    pub resident_before_bytes: u64,
    /// The most from the beginning of the warm-up to the end.
    pub resident_max_bytes: u64,
    /// The most of the same time.
    pub threads: u64,
}

/// The connections of a run.
pub type Connections = Rc<RefCell<Vec<Rc<dyn Paced>>>>;

/// How a run goes.
#[derive(Clone)]
pub struct Plan {
    pub pace: Pace,
    /// `None`: closed loop.
    pub schedule: Option<Schedule>,
    pub guide: Option<Rc<Guide>>,
    pub server: Option<Process>,
    pub flamegraph: Option<Flamegraph>,
    pub keep_log: bool,
    pub quiet: bool,
    pub title: String,
}

impl Plan {
    /// What is asked of the run.
    fn load(&self) -> Load {
        let outstanding = match self.schedule {
            Some(_) => self.pace.outstanding,
            None => Some(self.pace.outstanding.unwrap_or(1)),
        };
        let (records_per_s, requests_per_s) = self.schedule.map(|schedule| schedule.rates()).unzip();
        Load { connections: self.pace.connections, outstanding, records_per_s, requests_per_s }
    }

    /// Who decides when a request is sent.
    pub fn pacing(&self) -> Loop {
        let outstanding = self.pace.outstanding.map(|n| n as usize);
        match self.schedule {
            Some(_) => Loop::Open { most: outstanding.unwrap_or(OPEN_LOOP_MOST) },
            None => Loop::Closed { outstanding: outstanding.unwrap_or(1) },
        }
    }
}

/// Connects each dialogue to its server and runs them all.
pub fn drive<D: Dialogue>(plan: &Plan, dialogues: Vec<(SocketAddr, D)>) -> Result<Finished, Error> {
    drive_connected(plan, connect_all(dialogues)?, |_| {})
}

/// The same with connections that are there. `beside` may start tasks of its own.
pub fn drive_connected<D: Dialogue>(
    plan: &Plan,
    streams: Vec<(TcpStream, D)>,
    beside: impl FnOnce(&Rc<Run>),
) -> Result<Finished, Error> {
    drive_started(plan, |run| {
        start_all(run, plan.pacing(), streams)?;
        beside(run);
        Ok(())
    })
}

/// The same with whatever `start` starts, which stands in the run's list of connections.
pub fn drive_started(plan: &Plan, start: impl FnOnce(&Rc<Run>) -> std::io::Result<()>) -> Result<Finished, Error> {
    let run = Run::new(Instant::now(), plan);
    let mut times = in_runtime(async {
        start(&run)?;
        let connections = Rc::clone(&run.connections);
        let pacer = Pacer::start(plan, &run, &connections)?;
        let mut progress = Progress::new(&plan.title, plan.pace.warmup, plan.pace.duration, plan.quiet);
        let times = measure(&run, &[], &connections, plan, &mut progress).await?;
        finish(&run, pacer.as_deref(), &connections).await;
        progress.end();
        end_all(&connections);
        Ok(times)
    })
    .map_err(Error::io("running the load"))?;
    times.draw(&plan.title)?;
    Ok(times.with(&run, run.connections_lost()))
}

/// Starts the connections of a run.
pub fn start_all<D: Dialogue>(
    run: &Rc<Run>,
    pacing: Loop,
    streams: Vec<(TcpStream, D)>,
) -> std::io::Result<Connections> {
    for (stream, dialogue) in streams {
        start(run, stream, pacing, dialogue)?;
    }
    if run.guide.is_some() {
        tokio_uring::spawn(watch_silence(Rc::clone(run)));
    }
    Ok(Rc::clone(&run.connections))
}

/// Lets connections that have had no answer for long look for their leaders: one that is paused ends no connection.
async fn watch_silence(run: Rc<Run>) {
    while run.open.get() > 0 {
        tokio::time::sleep(SILENCE_LOOK).await;
        let now = run.now();
        run.connections.borrow().iter().for_each(|connection| connection.look(now));
    }
}

/// Ends all connections.
pub fn end_all(connections: &Connections) {
    connections.borrow_mut().drain(..).for_each(|connection| connection.shut());
}

/// Connects each dialogue to its server.
pub fn connect_all<D: Dialogue>(dialogues: Vec<(SocketAddr, D)>) -> Result<Vec<(TcpStream, D)>, Error> {
    dialogues.into_iter().map(|(address, dialogue)| Ok((connect(address)?, dialogue))).collect()
}

/// Runs the generator's one thread.
pub fn in_runtime<T>(future: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    let mut ring = tokio_uring::uring_builder();
    ring.setup_coop_taskrun();
    let mut builder = tokio_uring::builder();
    // Asked for first, as this says what to change.
    torc_reactor::probe::probe().map_err(|refusal| std::io::Error::other(refusal.to_string()))?;
    let runtime = tokio_uring::Runtime::new(builder.entries(RING_ENTRIES).uring_builder(&ring));
    // The generator's own waiting for a core is not the server's latency. Without them it measures all the same.
    let _slices = torc_reactor::slice::ShortSlices::ask();
    // A limit may leave room for a small ring and not for this one.
    runtime.map_err(|error| std::io::Error::other(torc_reactor::probe::no_ring(&error).to_string()))?.block_on(future)
}

fn connect(address: SocketAddr) -> Result<TcpStream, Error> {
    let connected = TcpStream::connect_timeout(&address, CONNECT_TIME);
    let stream = connected.map_err(Error::io(format!("connecting to {address}")))?;
    stream.set_nodelay(true).map_err(Error::io("setting TCP_NODELAY"))?;
    Ok(stream)
}

/// Hands requests to the connections in turn as they become due.
pub struct Pacer {
    run: Rc<Run>,
    schedule: Schedule,
    connections: Connections,
    /// When the first request is due, on the run's clock.
    start: u64,
    /// Requests handed out.
    handed: Cell<u64>,
}

impl Pacer {
    /// Begins to hand out requests, if there is a schedule.
    pub fn start(plan: &Plan, run: &Rc<Run>, connections: &Connections) -> std::io::Result<Option<Rc<Pacer>>> {
        let Some(schedule) = plan.schedule else { return Ok(None) };
        let (start, handed) = (run.now(), Cell::new(0));
        let pacer = Pacer { run: Rc::clone(run), schedule, connections: Rc::clone(connections), start, handed };
        let pacer = Rc::new(pacer);
        tokio_uring::spawn(Rc::clone(&pacer).work(Timer::new()?));
        Ok(Some(pacer))
    }

    /// Hands out all that is due before `now`.
    fn hand_out(&self, now: u64) {
        while self.next() < now {
            let (ready, n) = (self.next(), self.handed.get());
            let connections = self.connections.borrow();
            let connection = &connections[n as usize % connections.len()];
            connection.push(ready.saturating_sub(self.schedule.gather), ready);
            self.handed.set(n + 1);
        }
    }

    fn next(&self) -> u64 {
        self.start + self.schedule.at(self.handed.get())
    }

    async fn work(self: Rc<Self>, timer: Timer) {
        while !self.run.is_stopping() {
            self.hand_out(self.run.now());
            let wait = Duration::from_nanos(self.next().saturating_sub(self.run.now())).max(GRAIN);
            if let Err(error) = timer.wait(wait).await {
                return self.run.lost(&format!("the timer failed: {error}"));
            }
        }
    }
}

/// Ends a run: what was due before now is still sent, nothing else; waits for the answers.
pub async fn finish(run: &Run, pacer: Option<&Pacer>, connections: &Connections) {
    // Also what a generator that was late has not handed out, or it would hide the server's worst moment.
    if let Some(pacer) = pacer {
        let until = run.recorder.borrow().until();
        pacer.hand_out(until);
    }
    run.stop();
    connections.borrow().iter().for_each(|connection| connection.wake());
    drain(run).await;
}

/// Warm-up and measurement of connections that have been started, of which `reading` begin anew with the measurement.
/// The recorder stays in `run`; those of `others` count over the same time. A signal ends both.
pub async fn measure(
    run: &Rc<Run>,
    others: &[&Run],
    reading: &Connections,
    plan: &Plan,
    progress: &mut Progress,
) -> std::io::Result<Finished> {
    let (bell, told) = (Bell::new()?, Rc::clone(run));
    tokio_uring::spawn(async move {
        // Without it the run ends in its time.
        let _ = bell.rung().await;
        told.ended.notify_one();
    });
    // Now, as it may not be there at the end.
    let disk = plan.server.as_ref().and_then(environment::disk_of);
    let watch = plan.server.clone().map(Watch::start);
    let mut sampling = plan.flamegraph.as_ref().map(|flamegraph| flamegraph.begin(plan.pace.warmup));
    pass(run, others, plan.pace.warmup, progress).await;
    let began = run.now();
    let all = || others.iter().copied().chain([&**run]);
    all().for_each(|run| run.recorder.borrow_mut().begin(began));
    reading.borrow().iter().for_each(|connection| connection.begin());
    let began_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
    let server_cpu = || plan.server.as_ref().and_then(Process::cpu_ns);
    let (own_before, server_before) = (cpu::own_ns(), server_cpu());
    progress.measure();
    pass(run, others, plan.pace.duration, progress).await;
    let (own_after, server_after) = (cpu::own_ns(), server_cpu());
    sampling.iter_mut().for_each(Sampling::end);
    let ended = run.now();
    all().for_each(|run| run.recorder.borrow_mut().end(ended));
    let peak = watch.map(Watch::end).unwrap_or_default();
    let server =
        server_before.zip(server_after).zip(plan.server.as_ref()).map(|((before, after), process)| ServerUse {
            pid: process.pid(),
            cpu_ns: after.saturating_sub(before),
            resident_bytes: process.resident_bytes(),
            resident_before_bytes: process.resident_before,
            resident_max_bytes: peak.resident_bytes,
            threads: peak.threads,
        });
    let abandoned = all().any(|run| run.open.get() == 0 && run.connections_lost() > 0);
    Ok(Finished {
        own_cpu_ns: own_after - own_before,
        server,
        began_s,
        began,
        disk,
        sampling,
        load: plan.load(),
        ending: Ending { planned: plan.pace.duration, abandoned, signal: interrupt::caught() },
        ..Finished::of(Recorder::new(false))
    })
}

/// Lets `time` pass, in steps of a second; less if the run is at its limit, or one of `others` has no connection left.
async fn pass(run: &Run, others: &[&Run], time: Duration, progress: &mut Progress) {
    let is_over = || run.is_at_its_limit() || others.iter().any(|run| run.open.get() == 0);
    let end = run.now() + time.as_nanos() as u64;
    let mut next = run.now();
    while run.now() < end && !is_over() {
        next = (next + 1_000_000_000).min(end);
        while run.now() < next && !is_over() {
            let wait = tokio::time::sleep(Duration::from_nanos(next.saturating_sub(run.now())));
            // Whichever comes first.
            tokio::pin!(wait);
            let ended = run.ended.notified();
            tokio::pin!(ended);
            std::future::poll_fn(|context| match wait.as_mut().poll(context) {
                std::task::Poll::Ready(()) => std::task::Poll::Ready(()),
                std::task::Poll::Pending => ended.as_mut().poll(context),
            })
            .await;
        }
        let second: Second = run.recorder.borrow_mut().tick(run.now());
        progress.show(&second);
    }
}

/// Waits for the last answers.
async fn drain(run: &Run) {
    let interrupted = || interrupt::caught().is_some();
    let deadline = run.now() + DRAIN.as_nanos() as u64;
    let hurried = run.now() + DRAIN_INTERRUPTED.as_nanos() as u64;
    let due = || run.now() < if interrupted() { hurried } else { deadline };
    let left = || run.recorder.borrow().outstanding + run.queued.get();
    while left() > 0 && run.open.get() > 0 && due() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if left() > 0 && !interrupted() {
        let what = format!("{UNANSWERED} {} s of the end", DRAIN.as_secs());
        *run.recorder.borrow_mut().errors.entry(what).or_default() += left();
    }
}
