//! The loop: deliver events, carry out what the core asks for, submit it all and wait, in one system call per turn.

use crate::accept::Acceptor;
use crate::clock;
use crate::kernel::Kernel;
use crate::mail::{Parcel, Post};
use crate::places::{Full, Socket};
use crate::probe::Features;
use crate::resources::{Want, explain};
use crate::ring::{Completion, Kind, RingError};
use crate::settings::LoopSettings;
use crate::slice::ShortSlices;
use crate::stats::LoopStats;
use io_uring::{opcode, types};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use torc_base::ids::ShardId;
use torc_base::io::{App, Event, Level, Op};
use torc_base::time::Now;
use torc_base::turns::{TurnMeter, Work};

/// Events between two looks at the clock.
const EVENTS_PER_CLOCK: u32 = 32;
/// Checks of the ring between two looks at the clock while spinning.
const SPINS_PER_CLOCK: u32 = 64;
/// Why a loop could not start or go on.
#[derive(Debug)]
pub struct Error {
    /// The whole of it in words.
    text: String,
    error: io::Error,
}

impl Error {
    pub(crate) fn new(doing: &str, error: io::Error) -> Error {
        Error { text: format!("{doing}: {error}"), error }
    }

    /// With what to raise, if something ran out or was forbidden.
    pub(crate) fn scarce(doing: String, want: Want, error: io::Error) -> Error {
        Error { text: format!("{doing}: {}", explain(want, &error)), error }
    }

    /// In words of the caller's own.
    pub(crate) fn refused(text: String, error: io::Error) -> Error {
        Error { text, error }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<RingError> for Error {
    fn from(e: RingError) -> Error {
        Error::scarce(e.doing.to_string(), Want::Ring, e.error)
    }
}

/// Runs `app` on the calling thread until it asks to exit, and returns it. `log` gets the core's lines and the loop's.
///
/// On `Event::Stop` the listening socket is closed; connections go on until the core closes them or exits. One that was
/// just being accepted may still come.
///
/// # Errors
/// A resource that the loop needs is refused at the start, or the ring itself fails later.
pub fn run<A: App>(
    settings: LoopSettings,
    features: &Features,
    post: Post<A::Mail>,
    app: A,
    stats: Arc<LoopStats>,
    log: &mut dyn FnMut(Level, &str),
) -> Result<A, Error> {
    if let Some(core) = settings.core
        && !core_affinity::set_for_current(core_affinity::CoreId { id: core })
    {
        let why = explain(Want::Thread, &io::Error::last_os_error());
        log(Level::Warn, &format!("cannot pin the thread to core {core}, it runs where the kernel puts it: {why}"));
    }
    let slices = ShortSlices::ask();
    if let Err(error) = &slices {
        log(
            Level::Info,
            &format!(
                "cannot ask for short slices of the scheduler, busy neighbours on a core cost milliseconds: {error}"
            ),
        );
    }
    let shard = settings.shard;
    assert_eq!(post.shard(), shard, "a shard runs with its own post");
    let mut reactor = Reactor::start(settings, features, post, app, stats, log)?;
    reactor.work().and_then(|()| reactor.hand_over_mail())?;
    Ok(reactor.app)
}

struct Reactor<'a, A: App> {
    app: A,
    kernel: Kernel,
    post: Post<A::Mail>,
    /// Events to deliver, in order.
    events: VecDeque<Event<A::Mail>>,
    /// What the last step asked for.
    ops: Vec<Op<A::Mail>>,
    mail: Vec<Parcel<A::Mail>>,
    /// Receivers of this turn's mail that must be woken.
    asleep: Vec<usize>,
    now: Now,
    events_since_clock: u32,
    stopping: bool,
    exiting: bool,
    spin_ns: u64,
    ring_messages: bool,
    stats: Arc<LoopStats>,
    turns: Arc<TurnMeter>,
    log: &'a mut dyn FnMut(Level, &str),
}

impl<'a, A: App> Reactor<'a, A> {
    fn start(
        settings: LoopSettings,
        features: &Features,
        post: Post<A::Mail>,
        app: A,
        stats: Arc<LoopStats>,
        log: &'a mut dyn FnMut(Level, &str),
    ) -> Result<Reactor<'a, A>, Error> {
        let spin_ns = u64::from(settings.spin_us) * 1000;
        let turns = Arc::clone(&settings.turns);
        turns.set_clock(clock::mono);
        let kernel = Kernel::new(settings, features, Arc::clone(&stats), log)?;
        post.attach(kernel.ring.fd())
            .map_err(|e| Error::scarce("sharing the ring with other shards".into(), Want::Descriptor, e))?;
        Ok(Reactor {
            app,
            kernel,
            post,
            events: VecDeque::new(),
            ops: Vec::new(),
            mail: Vec::new(),
            asleep: Vec::new(),
            now: clock::now(),
            events_since_clock: 0,
            stopping: false,
            exiting: false,
            spin_ns,
            ring_messages: features.ring_messages,
            stats,
            turns,
            log,
        })
    }

    fn work(&mut self) -> Result<(), Error> {
        self.listen_for_bell()?;
        self.arm_acceptors(|_| true)?;
        self.events.push_back(Event::Start);
        while !self.exiting {
            self.turn()?;
            if !self.exiting {
                self.submit_and_wait()?;
            }
        }
        Ok(())
    }

    /// Accepts at those that `wanted` picks.
    fn arm_acceptors(&mut self, wanted: impl Fn(&Acceptor) -> bool) -> Result<(), RingError> {
        let Kernel { ring, acceptors, .. } = &mut self.kernel;
        acceptors.iter_mut().filter(|acceptor| wanted(acceptor)).try_for_each(|acceptor| acceptor.arm(ring))
    }

    /// Delivers everything at hand, then `Event::Turn`, and hands this turn's mail over.
    fn turn(&mut self) -> Result<(), Error> {
        self.stats.turns.add(1);
        self.now = clock::now();
        self.begin_turn();
        self.kernel.conns.refill();
        let now = self.now.mono;
        self.arm_acceptors(|acceptor| acceptor.retry_at().is_some_and(|at| at <= now))?;
        if self.post.waker().stop_asked() && !self.stopping {
            self.stopping = true;
            let Kernel { ring, acceptors, .. } = &mut self.kernel;
            acceptors.iter_mut().try_for_each(|acceptor| acceptor.stop(ring))?;
            self.events.push_back(Event::Stop);
        }
        self.deliver()?;
        // Bounded: completions that an enter in the middle (a full submission queue) brings wait for the next turn.
        for _ in 0..self.kernel.ring.at_hand() {
            let Some(completion) = self.kernel.ring.next() else { break };
            self.complete(completion)?;
            self.deliver()?;
        }
        self.deliver_mail()?;
        self.now = clock::now();
        self.step(Event::Turn)?;
        // What these operations answer at once comes with the next turn, so that a `Turn` follows it.
        self.kernel.conns.rearm(&mut self.kernel.ring)?;
        self.hand_over_mail()
    }

    /// Delivers queued events, and those that carrying out their operations makes. Ends, since only an operation that
    /// is answered at once makes a new event, and the core asks for such a thing at most once per event.
    fn deliver(&mut self) -> Result<(), Error> {
        while let Some(event) = self.events.pop_front() {
            self.step(event)?;
        }
        Ok(())
    }

    fn deliver_mail(&mut self) -> Result<(), Error> {
        if !self.post.has_mail() {
            return Ok(());
        }
        let mut mail = std::mem::take(&mut self.mail);
        // One look at each lane: what comes in meanwhile is for the next turn.
        for (i, mut senders) in self.post.senders().into_iter().enumerate() {
            while senders != 0 {
                let from = i * 64 + senders.trailing_zeros() as usize;
                senders &= senders - 1;
                self.post.take(from, &mut mail);
                self.stats.mails.add(mail.len() as u64);
                let from = ShardId(from as u16);
                for parcel in mail.drain(..) {
                    match parcel {
                        Parcel::Mail(mail) => self.step(Event::Mail { from, mail })?,
                        Parcel::Socket(socket, with) => self.adopt(from, socket, with)?,
                    }
                    self.deliver()?;
                }
            }
        }
        self.mail = mail;
        Ok(())
    }

    /// A connection of another shard is this one's from now on.
    fn adopt(&mut self, from: ShardId, socket: Socket, with: A::Mail) -> Result<(), Error> {
        match self.kernel.conns.take_in(&mut self.kernel.ring, socket)? {
            Some(conn) => self.step(Event::Adopted { from, conn, with }),
            None => {
                // Whichever listener it came in by: the first one tells, as often as any may.
                let Kernel { acceptors, conns, .. } = &mut self.kernel;
                if let Some(acceptor) = acceptors.first_mut() {
                    acceptor.turned_away(|| conns.full(Full::Shard), self.log);
                }
                Ok(())
            }
        }
    }

    /// One step of the core, and its operations.
    fn step(&mut self, event: Event<A::Mail>) -> Result<(), Error> {
        if self.exiting {
            return Ok(());
        }
        self.events_since_clock += 1;
        if self.events_since_clock >= EVENTS_PER_CLOCK {
            self.events_since_clock = 0;
            self.now = clock::now();
        }
        self.app.step(self.now, event, &mut self.ops);
        let mut ops = std::mem::take(&mut self.ops);
        for op in ops.drain(..) {
            self.carry_out(op)?;
        }
        self.ops = ops;
        Ok(())
    }

    fn carry_out(&mut self, op: Op<A::Mail>) -> Result<(), RingError> {
        let Kernel { ring, conns, disk, .. } = &mut self.kernel;
        let events = &mut self.events;
        match op {
            Op::Connect { call, to, patience_ms } => conns.connect(ring, call, to, patience_ms, events),
            Op::Recv { conn } => conns.recv(ring, conn),
            Op::RecvExact { conn, bytes, from } => conns.recv_exact(ring, conn, bytes, from, events),
            Op::Pause { conn } => conns.pause(ring, conn, events),
            Op::Send { conn, parts } => conns.send(ring, conn, parts, events),
            Op::TakeBack { conn } => conns.take_back(ring, conn),
            Op::AwaitRoom { conn } => conns.await_room(ring, conn),
            Op::Close { conn } => conns.close(ring, conn, events),
            Op::Disk(op) => disk.start(ring, op, self.now.mono, events),
            Op::HandOver { conn, to, with } => {
                if let Some(socket) = conns.give_away(conn) {
                    self.stats.handed_over.add(1);
                    self.post.send(to, Parcel::Socket(socket, with));
                }
                Ok(())
            }
            Op::Mail { to, mail } => {
                self.post.send(to, Parcel::Mail(mail));
                Ok(())
            }
            Op::Log { level, text } => {
                (self.log)(level, &text);
                Ok(())
            }
            Op::Exit => {
                self.exiting = true;
                Ok(())
            }
        }
    }

    /// Turns a completion into events.
    fn complete(&mut self, completion: Completion) -> Result<(), Error> {
        let Kernel { ring, acceptors, conns, disk, .. } = &mut self.kernel;
        let events = &mut self.events;
        match completion.key.kind() {
            Kind::Accept => {
                let acceptor = &mut acceptors[completion.key.slot()];
                if let Some(fd) = acceptor.complete(ring, completion, self.log)?
                    && let Some(full) = conns.open(ring, fd, acceptor.id(), events)?
                {
                    acceptor.turned_away(|| conns.full(full), self.log);
                }
            }
            Kind::Recv | Kind::RecvExact | Kind::Send | Kind::Room | Kind::Connect => {
                conns.complete(ring, completion, events)?
            }
            Kind::Disk | Kind::DiskSync => disk.complete(ring, completion, self.now.mono, events, self.log)?,
            Kind::Bell if completion.result == 8 => self.listen_for_bell()?,
            Kind::Bell => {
                let error = io::Error::from_raw_os_error(-completion.result);
                return Err(Error::new("reading the eventfd that wakes a shard", error));
            }
            // The message could not be posted: the receiver's ring is full, or gone.
            Kind::Wake => self.post.waker_of(completion.key.slot()).ring_bell(),
            // Waking was all.
            Kind::Woken | Kind::Silent => {}
        }
        Ok(())
    }

    /// Reads the own eventfd, through which a stop comes, and mail whose MSG_RING failed.
    fn listen_for_bell(&mut self) -> Result<(), RingError> {
        let bell = self.kernel.bell.as_mut_ptr();
        let entry = opcode::Read::new(types::Fd(self.post.waker().eventfd()), bell, 8).build();
        let key = self.kernel.ring.key(Kind::Bell, 0);
        // SAFETY: the kernel's side keeps the box until nothing is in flight.
        unsafe { self.kernel.ring.push(entry, key) }
    }

    fn hand_over_mail(&mut self) -> Result<(), Error> {
        let Reactor { post, kernel: Kernel { ring, .. }, ring_messages, stats, asleep, .. } = self;
        post.flush(asleep);
        for shard in asleep.drain(..) {
            stats.wakes.add(1);
            match post.waker_of(shard).ring() {
                Some(target) if *ring_messages => ring.wake(target, shard)?,
                _ => post.waker_of(shard).ring_bell(),
            }
        }
        Ok(())
    }

    fn begin_turn(&mut self) {
        let now = self.now.mono;
        self.turns.end(now);
        self.turns.begin(now);
    }

    /// Submits this turn's operations and waits for something to do.
    fn submit_and_wait(&mut self) -> Result<(), Error> {
        self.turns.at(Work::Kernel);
        if !self.events.is_empty() || self.kernel.ring.at_hand() > 0 || self.post.has_mail() {
            return Ok(self.kernel.ring.enter(0, None)?);
        }
        if self.spin_ns > 0 && self.app.busy() {
            self.kernel.ring.enter(0, None)?;
            if self.kernel.ring.at_hand() > 0 || self.spin() {
                return Ok(self.kernel.ring.enter(0, None)?);
            }
        }
        let retries = self.kernel.acceptors.iter().filter_map(Acceptor::retry_at);
        let due = retries.chain(self.app.deadline()).min();
        let timeout = match due {
            None if !self.turns.is_watched() => {
                self.turns.leave();
                None
            }
            due => {
                let now = clock::mono();
                self.turns.end(now);
                due.map(|at| at.since(now))
            }
        };
        if timeout == Some(0) || !self.post.may_sleep() {
            return Ok(self.kernel.ring.enter(0, None)?);
        }
        self.stats.sleeps.add(1);
        let result = self.kernel.ring.enter(1, timeout);
        self.post.awake();
        Ok(result?)
    }

    /// Spins, in user space alone, until there is something to do (true) or the time for it is over.
    fn spin(&mut self) -> bool {
        self.stats.spins.add(1);
        let start = clock::mono();
        self.turns.end(start);
        let due = self.app.deadline();
        loop {
            for _ in 0..SPINS_PER_CLOCK {
                if self.kernel.ring.has_work() || self.post.has_mail() {
                    self.stats.spins_won.add(1);
                    return true;
                }
                std::hint::spin_loop();
            }
            let now = clock::mono();
            if now.since(start) >= self.spin_ns || due.is_some_and(|at| at <= now) {
                return false;
            }
        }
    }
}
