//! One connection: a task that writes and one that reads. What is said is the [`Dialogue`]'s business.
//!
//! Where the run has a [`Guide`](crate::guide::Guide), a connection follows its partitions' leaders: what was lost, or refused
//! because it belongs elsewhere, is sent again, in order, to who leads now, and counts as one request from when it was first
//! due. A connection whose partitions have come to several leaders becomes several.

use crate::arrivals::{Arrivals, Left};
use crate::drive::Run;
use crate::recorder::Request;
use kafka_protocol::error::ResponseError;
use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_uring::buf::BoundedBuf;
use torc_client::error_name;

/// Frames are gathered into one write up to this size.
const GATHER_BYTES: usize = 64 << 10;
/// Up to so much is sent at once, which a socket that keeps up always takes; an operation of the ring costs more than the copy.
const DIRECT_BYTES: usize = 4 << 10;
/// First size of a connection's receive buffer; it grows to the largest answer.
const RECEIVE_BYTES: usize = 64 << 10;
/// A longer answer is taken for nonsense.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Rest after a refusal, so that a broken server is not asked as fast as it can refuse.
const REST: Duration = Duration::from_millis(10);
/// Without an answer for so long, a connection that can follow looks whether its leader is still the same.
const SILENCE_NS: u64 = 1_000_000_000;
/// A connection that finds no leader for so long is lost.
const SEARCH_NS: u64 = 30_000_000_000;
/// Between two looks whether somebody has found out who leads.
const LOOK: Duration = Duration::from_millis(1);
/// How long a leader that is said to be there may take to accept a connection.
const CONNECT_TIME: Duration = Duration::from_secs(1);

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub what: String,
    /// Who leads now, or the same server in a moment, may do it.
    pub passes: bool,
}

impl Refused {
    /// An error of Kafka's.
    pub fn with(code: i16) -> Refused {
        let passes = ResponseError::try_from_code(code).is_some_and(|error| error.is_retriable());
        Refused { what: error_name(code), passes }
    }
}

impl From<String> for Refused {
    /// What nobody would answer otherwise.
    fn from(what: String) -> Refused {
        Refused { what, passes: false }
    }
}

/// Asks, and understands the answers, which come in the order of asking.
pub trait Dialogue: 'static {
    /// What must be remembered of a request.
    type Note: Copy + 'static;

    /// Appends the next request's frame to `out`. Returns what it carries; `None` if there is nothing to ask now, which
    /// ends a connection that waits for nothing. A large request may replace `out`, which is empty if
    /// [`large`](Dialogue::large).
    fn ask(&mut self, correlation: i32, due: u64, out: &mut Vec<u8>) -> Option<(Request, Self::Note)>;

    /// True if each request is written alone.
    fn large(&self) -> bool {
        false
    }

    /// `out` has been written.
    fn written(&mut self, _out: &mut Vec<u8>) {}

    /// False if requests are not answered.
    fn is_answered(&self) -> bool {
        true
    }

    /// The measurement begins.
    fn begin(&mut self) {}

    /// True if a frame, given without its length, answers nothing that was asked. It is taken in by this.
    fn takes_aside(&mut self, _frame: &[u8], _now: u64) -> bool {
        false
    }

    /// Appends what tells the server that this client lives; it is answered [aside](Dialogue::takes_aside).
    fn beat(&mut self, _out: &mut Vec<u8>) {}

    /// Understands an answer, given without its length. Returns the request with what came of it, or why it failed.
    fn answer(&mut self, request: Request, note: Self::Note, frame: &[u8], now: u64) -> Result<Request, Refused>;

    /// Asks once more what was asked before, as [`ask`](Dialogue::ask) did.
    fn repeat(&mut self, correlation: i32, request: &Request, note: Self::Note, out: &mut Vec<u8>);

    /// The partition that a request is about.
    fn partition(&self, note: Self::Note) -> i32;

    /// All that the dialogue is about, in rising order.
    fn partitions(&self) -> Vec<i32>;

    /// Gives up these partitions, and returns a dialogue that goes on with them; it is about others, too.
    fn split(&mut self, partitions: &[i32]) -> Self
    where
        Self: Sized;
}

/// Who decides when a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// The answers: so many requests are outstanding.
    Closed { outstanding: usize },
    /// The clock, while no more than so many are outstanding.
    Open { most: usize },
}

struct InFlight<N> {
    /// Its place among all requests of the connection, however often it is asked.
    order: u64,
    correlation: i32,
    request: Request,
    note: N,
}

/// What makes a connection look for its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Astray {
    /// The socket is gone.
    Lost,
    /// A request was refused in a way that passes.
    Refused,
    /// No answer for a while.
    Silence,
}

struct State<D: Dialogue> {
    dialogue: D,
    in_flight: VecDeque<InFlight<D::Note>>,
    /// What must be asked again, before anything else, in its first order.
    again: VecDeque<InFlight<D::Note>>,
    /// Requests asked, each counted once.
    asked: u64,
    /// Requests that are due (open loop): when, and when they could be sent.
    due: VecDeque<(u64, u64)>,
    correlation: i32,
    refused: bool,
    /// The server is to be told that this client lives.
    beat: bool,
    astray: Option<Astray>,
    lost: bool,
    /// When the last answer came that brought what was asked for, or the first request after a silence was sent.
    last_sign: u64,
    /// When it was last looked up who leads.
    looked: u64,
}

impl<D: Dialogue> State<D> {
    fn new(dialogue: D) -> State<D> {
        State {
            dialogue,
            in_flight: VecDeque::new(),
            again: VecDeque::new(),
            asked: 0,
            due: VecDeque::new(),
            correlation: 0,
            refused: false,
            beat: false,
            astray: None,
            lost: false,
            last_sign: 0,
            looked: 0,
        }
    }

    /// Requests that have no answer.
    fn unanswered(&self) -> usize {
        self.in_flight.len() + self.again.len()
    }

    /// The socket that they were sent to will not answer requests that are in flight. Returns how many these are.
    fn take_back(&mut self) -> u64 {
        let taken = self.in_flight.len() as u64;
        self.again.append(&mut self.in_flight);
        self.again.make_contiguous().sort_by_key(|sent| sent.order);
        taken
    }

    /// This one was refused for now.
    fn repeat(&mut self, sent: InFlight<D::Note>) {
        let at = self.again.partition_point(|other| other.order < sent.order);
        self.again.insert(at, sent);
    }
}

/// A socket, for what leaves and for what arrives.
struct Wire {
    address: SocketAddr,
    stream: tokio_uring::net::TcpStream,
    /// The same socket, for what arrives, and for small requests.
    arrivals: Arrivals<TcpStream>,
}

impl Wire {
    fn new(stream: TcpStream) -> io::Result<Wire> {
        let address = stream.peer_addr()?;
        let arrivals = Arrivals::new(stream.try_clone()?)?;
        Ok(Wire { address, stream: tokio_uring::net::TcpStream::from_std(stream), arrivals })
    }

    fn shut(&self) {
        // A connection that is gone already needs no end.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Sends all of `out`, which comes back.
    async fn send(&self, out: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let mut sent = 0;
        if out.len() <= DIRECT_BYTES {
            match send(self.arrivals.get(), &out, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(taken) if taken == out.len() => return (Ok(()), out),
                Ok(taken) => sent = taken,
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(error) => return (Err(error.into()), out),
            }
        }
        let (result, rest) = self.stream.write_all(out.slice(sent..)).await;
        (result, rest.into_inner())
    }

    /// Appends what has arrived to `buffer`, as far as it has room; 0 at the end of the stream.
    async fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let room = buffer.capacity() - buffer.len();
        let attempt = |stream: &TcpStream| {
            let (received, _) = recv(stream, spare_capacity(buffer), RecvFlags::DONTWAIT)?;
            let drained = 0 < received && received < room;
            Ok((received, if drained { Left::Nothing } else { Left::Perhaps }))
        };
        self.arrivals.take(attempt).await
    }
}

/// A connection of the run.
pub struct Connection<D: Dialogue> {
    state: RefCell<State<D>>,
    /// `None` while it looks for its leader, and when it has ended.
    wire: RefCell<Option<Rc<Wire>>>,
    wake: Notify,
    pace: Loop,
    run: Rc<Run>,
}

/// What the pacer sees of a connection.
pub trait Paced {
    /// A request is due: latency counts from `due`, it can be sent at `ready`.
    fn push(&self, due: u64, ready: u64);
    /// The measurement begins.
    fn begin(&self);
    /// The run is stopping: nothing new is asked.
    fn wake(&self);
    /// Looks for its leader if it has had no answer for long.
    fn look(&self, now: u64);
    /// Tells the server that it lives.
    fn beat(&self);
    /// Ends the connection.
    fn shut(&self);
}

impl<D: Dialogue> Paced for Connection<D> {
    fn push(&self, due: u64, ready: u64) {
        self.run.queued.set(self.run.queued.get() + 1);
        self.state.borrow_mut().due.push_back((due, ready));
        self.wake.notify_one();
    }

    fn begin(&self) {
        self.state.borrow_mut().dialogue.begin();
        self.wake.notify_one();
    }

    fn wake(&self) {
        self.wake.notify_one();
    }

    fn look(&self, now: u64) {
        let state = &mut *self.state.borrow_mut();
        let quiet = now.saturating_sub(state.last_sign.max(state.looked)) > SILENCE_NS;
        if quiet && state.unanswered() > 0 && state.astray.is_none() && !state.lost {
            state.astray = Some(Astray::Silence);
            self.wake.notify_one();
        }
    }

    fn beat(&self) {
        self.state.borrow_mut().beat = true;
        self.wake.notify_one();
    }

    fn shut(&self) {
        if let Some(wire) = self.wire.take() {
            wire.shut();
        }
        self.state.borrow_mut().lost = true;
        self.wake.notify_one();
        self.close_window();
    }
}

/// Starts both tasks of a connection.
///
/// # Errors
/// The system has no more descriptors.
pub fn start<D: Dialogue>(run: &Rc<Run>, stream: TcpStream, pace: Loop, dialogue: D) -> io::Result<()> {
    let wire = Rc::new(Wire::new(stream)?);
    let connection = Connection::with(run, pace, State::new(dialogue), Some(Rc::clone(&wire)));
    tokio_uring::spawn(connection.read(wire));
    Ok(())
}

impl<D: Dialogue> Connection<D> {
    /// A connection of the run, which writes.
    fn with(run: &Rc<Run>, pace: Loop, state: State<D>, wire: Option<Rc<Wire>>) -> Rc<Connection<D>> {
        let (state, wire) = (RefCell::new(state), RefCell::new(wire));
        let connection = Rc::new(Connection { state, wire, wake: Notify::new(), pace, run: Rc::clone(run) });
        run.open.set(run.open.get() + 1);
        run.connections.borrow_mut().push(Rc::clone(&connection) as Rc<dyn Paced>);
        tokio_uring::spawn(Rc::clone(&connection).write());
        connection
    }

    async fn write(self: Rc<Self>) {
        let mut out = Vec::with_capacity(GATHER_BYTES);
        loop {
            let astray = self.state.borrow().astray;
            if astray.is_some()
                && let Err(what) = self.find().await
            {
                return self.lose(&what);
            }
            let Some(wire) = self.wire.borrow().clone() else { return };
            self.fill(&mut out);
            if out.is_empty() {
                if self.is_over() {
                    return self.finish();
                }
                self.wake.notified().await;
                let refused = std::mem::take(&mut self.state.borrow_mut().refused);
                if refused {
                    tokio::time::sleep(REST).await;
                }
                continue;
            }
            let (result, back) = wire.send(out).await;
            out = back;
            match result {
                Ok(()) => self.written(&mut out),
                Err(error) => {
                    self.state.borrow_mut().dialogue.written(&mut out);
                    out.clear();
                    self.broke(&wire, &format!("connection lost: {error}"));
                }
            }
        }
    }

    /// Puts the frames of all requests that may leave now into `out`, as far as one write goes.
    fn fill(&self, out: &mut Vec<u8>) {
        let state = &mut *self.state.borrow_mut();
        if std::mem::take(&mut state.beat) && !state.lost {
            state.dialogue.beat(out);
        }
        let mut recorder = self.run.recorder.borrow_mut();
        // Looked at once, and only if something leaves: the clock is a good part of what a request costs.
        let mut clock = None;
        while !state.lost && out.len() < GATHER_BYTES && (out.is_empty() || !state.dialogue.large()) {
            let (order, request, note) = if let Some(sent) = state.again.pop_front() {
                state.dialogue.repeat(state.correlation, &sent.request, sent.note, out);
                (sent.order, sent.request, sent.note)
            } else {
                let waiting = match self.pace {
                    Loop::Closed { outstanding } if state.in_flight.len() < outstanding && !self.run.is_stopping() => {
                        None
                    }
                    Loop::Open { most } if state.in_flight.len() < most && !state.due.is_empty() => {
                        state.due.front().copied()
                    }
                    _ => return,
                };
                let now = *clock.get_or_insert_with(|| self.run.now());
                let (due, ready) = waiting.unwrap_or((now, now));
                let Some((request, note)) = state.dialogue.ask(state.correlation, due, out) else { return };
                if let Loop::Open { .. } = self.pace {
                    state.due.pop_front();
                    self.run.queued.set(self.run.queued.get() - 1);
                }
                if state.in_flight.is_empty() {
                    state.last_sign = now;
                }
                recorder.sent(now, ready, &request);
                state.asked += 1;
                (state.asked, request, note)
            };
            state.in_flight.push_back(InFlight { order, correlation: state.correlation, request, note });
            state.correlation = state.correlation.wrapping_add(1);
        }
    }

    /// True if nothing is awaited and nothing will be asked: `fill` just found nothing to do.
    fn is_over(&self) -> bool {
        let state = self.state.borrow();
        state.lost || state.unanswered() == 0 && matches!(self.pace, Loop::Closed { .. })
    }

    fn finish(&self) {
        if !std::mem::replace(&mut self.state.borrow_mut().lost, true) {
            self.run.open.set(self.run.open.get() - 1);
            self.run.ended.notify_one();
        }
        self.shut();
    }

    fn written(&self, out: &mut Vec<u8>) {
        let state = &mut *self.state.borrow_mut();
        state.dialogue.written(out);
        out.clear();
        if !state.dialogue.is_answered() {
            let now = self.run.now();
            let mut recorder = self.run.recorder.borrow_mut();
            for sent in state.in_flight.drain(..) {
                recorder.done(now, &sent.request);
            }
            drop(recorder);
            self.run.answered();
        }
    }

    async fn read(self: Rc<Self>, wire: Rc<Wire>) {
        let mut buffer = Vec::with_capacity(RECEIVE_BYTES);
        loop {
            if buffer.len() == buffer.capacity() {
                buffer.reserve(RECEIVE_BYTES);
            }
            match wire.receive(&mut buffer).await {
                Ok(0) => return self.broke(&wire, "connection lost: the server closed it"),
                Err(error) => return self.broke(&wire, &format!("connection lost: {error}")),
                Ok(_) => {}
            }
            if !self.is_current(&wire) {
                return;
            }
            match self.take_answers(&mut buffer) {
                Ok(0) => {}
                Ok(_) => {
                    self.run.answered();
                    self.wake.notify_one();
                }
                Err(what) => return self.lose(&what),
            }
        }
    }

    fn is_current(&self, wire: &Rc<Wire>) -> bool {
        self.wire.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(current, wire))
    }

    /// Takes all whole answers out of `buffer`; returns how many.
    fn take_answers(&self, buffer: &mut Vec<u8>) -> Result<usize, String> {
        let state = &mut *self.state.borrow_mut();
        let mut recorder = self.run.recorder.borrow_mut();
        let now = self.run.now();
        let (mut at, mut answers) = (0, 0);
        while let Some(length) = buffer[at..].first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if !(4..=ANSWER_BYTES_MAX).contains(&length) {
                return Err(format!("an answer of {length} bytes"));
            }
            let Some(frame) = buffer.get(at + 4..at + 4 + length) else {
                let missing = at + 4 + length - buffer.len();
                buffer.reserve(missing);
                break;
            };
            if state.dialogue.takes_aside(frame, now) {
                at += 4 + length;
                continue;
            }
            let sent = state.in_flight.pop_front().ok_or("an answer to nothing")?;
            let correlation = i32::from_be_bytes(*frame.first_chunk().expect("4 bytes at least"));
            if correlation != sent.correlation {
                recorder.failed(now, &sent.request, "answers in the wrong order");
                return Err(format!("an answer to request {correlation} instead of {}", sent.correlation));
            }
            match state.dialogue.answer(sent.request, sent.note, frame, now) {
                Ok(request) => {
                    recorder.window(state.last_sign, now);
                    state.last_sign = now;
                    recorder.done(now, &request);
                }
                // What follows one that is asked again is refused for that.
                Err(refused) if self.run.guide.is_some() && (refused.passes || !state.again.is_empty()) => {
                    recorder.repeated += 1;
                    state.astray = Some(Astray::Refused);
                    state.repeat(sent);
                }
                Err(refused) => {
                    state.refused = true;
                    recorder.failed(now, &sent.request, refused.what);
                }
            }
            at += 4 + length;
            answers += 1;
        }
        buffer.drain(..at);
        Ok(answers)
    }

    /// The time until now without an answer that somebody waits for.
    fn close_window(&self) {
        let state = self.state.borrow();
        if state.unanswered() > 0 && state.dialogue.is_answered() {
            self.run.recorder.borrow_mut().window(state.last_sign, self.run.now());
        }
    }

    /// The socket is gone: the connection is lost, or looks for its leader.
    fn broke(&self, wire: &Rc<Wire>, what: &str) {
        if !self.is_current(wire) {
            return;
        }
        if self.run.guide.is_none() {
            return self.lose(what);
        }
        wire.shut();
        self.wire.take();
        let state = &mut *self.state.borrow_mut();
        self.run.recorder.borrow_mut().repeated += state.take_back();
        state.astray = Some(Astray::Lost);
        self.wake.notify_one();
    }

    /// Looks for who leads, until there is a socket to it. Returns early if the connection has ended meanwhile.
    ///
    /// # Errors
    /// Nobody leads for a long time.
    async fn find(self: &Rc<Self>) -> Result<(), String> {
        let guide = self.run.guide.clone().expect("only who can follow goes astray");
        let began = self.run.now();
        loop {
            let question = guide.ask();
            while !guide.has_answered(question) {
                if self.state.borrow().lost {
                    return Ok(());
                }
                if self.run.now() - began > SEARCH_NS {
                    return Err(format!("connection lost: no leader within {} s", SEARCH_NS / 1_000_000_000));
                }
                tokio::time::sleep(LOOK).await;
            }
            if self.state.borrow().lost {
                return Ok(());
            }
            let partitions = self.state.borrow().dialogue.partitions();
            if let Some(places) = guide.find(&partitions)
                && self.settle(places).await
            {
                return Ok(());
            }
            if self.run.now() - began > SEARCH_NS {
                return Err(format!("connection lost: no leader within {} s", SEARCH_NS / 1_000_000_000));
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// Goes on with the leader that has most of the partitions; others get connections of their own. False if it cannot be
    /// reached.
    async fn settle(self: &Rc<Self>, mut places: BTreeMap<SocketAddr, Vec<i32>>) -> bool {
        let Some(address) = places.iter().max_by_key(|(_, led)| led.len()).map(|(address, _)| *address) else {
            return false;
        };
        places.remove(&address);
        for led in places.into_values() {
            let part = self.part(&led);
            Connection::with(&self.run, self.pace, part, None);
        }
        let stays = self.wire.borrow().as_ref().is_some_and(|wire| wire.address == address);
        if stays {
            let why = self.state.borrow().astray;
            if why == Some(Astray::Refused) {
                // It does not know yet that it leads, or cannot do it now.
                tokio::time::sleep(REST).await;
            }
        } else {
            let connected = tokio::task::spawn_blocking(move || connect(address)).await;
            let Some(wire) = connected.ok().and_then(Result::ok).and_then(|stream| Wire::new(stream).ok()) else {
                return false;
            };
            if self.state.borrow().lost {
                return true;
            }
            let wire = Rc::new(wire);
            if let Some(old) = self.wire.replace(Some(Rc::clone(&wire))) {
                old.shut();
                let state = &mut *self.state.borrow_mut();
                self.run.recorder.borrow_mut().repeated += state.take_back();
            }
            self.run.recorder.borrow_mut().moved += 1;
            tokio_uring::spawn(Rc::clone(self).read(wire));
        }
        let state = &mut *self.state.borrow_mut();
        // The socket may have gone meanwhile.
        if self.wire.borrow().is_some() {
            state.astray = None;
            state.looked = self.run.now();
        }
        true
    }

    /// What another connection needs to go on with these partitions.
    fn part(&self, partitions: &[i32]) -> State<D> {
        let state = &mut *self.state.borrow_mut();
        // In flight are requests of all of them, whose answers may still come: they are asked again by whoever has them now.
        if let Some(wire) = self.wire.take() {
            wire.shut();
            self.run.recorder.borrow_mut().repeated += state.take_back();
        }
        let dialogue = state.dialogue.split(partitions);
        let (mut own, mut theirs) = (VecDeque::new(), VecDeque::new());
        for sent in state.again.drain(..) {
            let of = state.dialogue.partition(sent.note);
            if partitions.binary_search(&of).is_ok() { theirs.push_back(sent) } else { own.push_back(sent) }
        }
        state.again = own;
        let (asked, last_sign) = (state.asked, state.last_sign);
        State { again: theirs, asked, astray: Some(Astray::Lost), last_sign, ..State::new(dialogue) }
    }

    /// The connection is gone: whatever was awaited on it failed.
    fn lose(&self, what: &str) {
        self.close_window();
        let state = &mut *self.state.borrow_mut();
        if std::mem::replace(&mut state.lost, true) {
            return;
        }
        let now = self.run.now();
        let mut recorder = self.run.recorder.borrow_mut();
        state.take_back();
        for sent in state.again.drain(..) {
            recorder.failed(now, &sent.request, what);
        }
        drop(recorder);
        self.run.lost(what);
        self.wake.notify_one();
        if let Some(wire) = self.wire.take() {
            wire.shut();
        }
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_TIME)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
