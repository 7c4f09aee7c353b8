//! One connection: a task that writes and one that reads. What is said is the [`Dialogue`]'s business.

use crate::arrivals::{Arrivals, Left};
use crate::drive::Run;
use crate::recorder::Request;
use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_uring::buf::BoundedBuf;

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

    /// Understands an answer, given without its length. Returns the request with what came of it, or why it failed.
    fn answer(&mut self, request: Request, note: Self::Note, frame: &[u8], now: u64) -> Result<Request, String>;
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
    correlation: i32,
    request: Request,
    note: N,
}

struct State<D: Dialogue> {
    dialogue: D,
    in_flight: VecDeque<InFlight<D::Note>>,
    /// Requests that are due (open loop): when, and when they could be sent.
    due: VecDeque<(u64, u64)>,
    correlation: i32,
    refused: bool,
    lost: bool,
}

/// A connection of the run.
pub struct Connection<D: Dialogue> {
    state: RefCell<State<D>>,
    stream: tokio_uring::net::TcpStream,
    /// The same socket, for what arrives, and for small requests.
    arrivals: Arrivals<TcpStream>,
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

    fn shut(&self) {
        // A connection that is gone already needs no end.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Starts both tasks of a connection.
///
/// # Errors
/// The system has no more descriptors.
pub fn start<D: Dialogue>(run: &Rc<Run>, stream: TcpStream, pace: Loop, dialogue: D) -> io::Result<Rc<Connection<D>>> {
    let arrivals = Arrivals::new(stream.try_clone()?)?;
    let stream = tokio_uring::net::TcpStream::from_std(stream);
    let state = State {
        dialogue,
        in_flight: VecDeque::new(),
        due: VecDeque::new(),
        correlation: 0,
        refused: false,
        lost: false,
    };
    let (state, wake, run_too) = (RefCell::new(state), Notify::new(), Rc::clone(run));
    let connection = Rc::new(Connection { state, stream, arrivals, wake, pace, run: run_too });
    run.open.set(run.open.get() + 1);
    tokio_uring::spawn(Rc::clone(&connection).write());
    tokio_uring::spawn(Rc::clone(&connection).read());
    Ok(connection)
}

impl<D: Dialogue> Connection<D> {
    async fn write(self: Rc<Self>) {
        let mut out = Vec::with_capacity(GATHER_BYTES);
        loop {
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
            match self.send(out).await {
                Ok(back) => out = back,
                Err(error) => return self.lose(&format!("connection lost: {error}")),
            }
            self.written(&mut out);
        }
    }

    /// Sends all of `out`.
    async fn send(&self, out: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut sent = 0;
        if out.len() <= DIRECT_BYTES {
            match send(self.arrivals.get(), &out, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(taken) if taken == out.len() => return Ok(out),
                Ok(taken) => sent = taken,
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let (result, rest) = self.stream.write_all(out.slice(sent..)).await;
        result.map(|()| rest.into_inner())
    }

    /// Puts the frames of all requests that may leave now into `out`, as far as one write goes.
    fn fill(&self, out: &mut Vec<u8>) {
        let state = &mut *self.state.borrow_mut();
        let mut recorder = self.run.recorder.borrow_mut();
        // Looked at once, and only if something leaves: the clock is a good part of what a request costs.
        let mut clock = None;
        while !state.lost && out.len() < GATHER_BYTES && (out.is_empty() || !state.dialogue.large()) {
            let waiting = match self.pace {
                Loop::Closed { outstanding } if state.in_flight.len() < outstanding && !self.run.is_stopping() => None,
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
            recorder.sent(now, ready, &request);
            state.in_flight.push_back(InFlight { correlation: state.correlation, request, note });
            state.correlation = state.correlation.wrapping_add(1);
        }
    }

    /// True if nothing is awaited and nothing will be asked: `fill` just found nothing to do.
    fn is_over(&self) -> bool {
        let state = self.state.borrow();
        state.lost || state.in_flight.is_empty() && matches!(self.pace, Loop::Closed { .. })
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

    async fn read(self: Rc<Self>) {
        let mut buffer = Vec::with_capacity(RECEIVE_BYTES);
        loop {
            if buffer.len() == buffer.capacity() {
                buffer.reserve(RECEIVE_BYTES);
            }
            match self.receive(&mut buffer).await {
                Ok(0) => return self.lose("connection lost: the server closed it"),
                Err(error) => return self.lose(&format!("connection lost: {error}")),
                Ok(_) => {}
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
            let sent = state.in_flight.pop_front().ok_or("an answer to nothing")?;
            let correlation = i32::from_be_bytes(*frame.first_chunk().expect("4 bytes at least"));
            if correlation != sent.correlation {
                recorder.failed(now, &sent.request, "answers in the wrong order");
                return Err(format!("an answer to request {correlation} instead of {}", sent.correlation));
            }
            match state.dialogue.answer(sent.request, sent.note, frame, now) {
                Ok(request) => recorder.done(now, &request),
                Err(what) => {
                    state.refused = true;
                    recorder.failed(now, &sent.request, what);
                }
            }
            at += 4 + length;
            answers += 1;
        }
        buffer.drain(..at);
        Ok(answers)
    }

    /// The connection is gone: whatever was awaited on it failed.
    fn lose(&self, what: &str) {
        let state = &mut *self.state.borrow_mut();
        if std::mem::replace(&mut state.lost, true) {
            return;
        }
        let now = self.run.now();
        let mut recorder = self.run.recorder.borrow_mut();
        for sent in state.in_flight.drain(..) {
            recorder.failed(now, &sent.request, what);
        }
        drop(recorder);
        self.run.lost(what);
        self.wake.notify_one();
        self.shut();
    }
}
