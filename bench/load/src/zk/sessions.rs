//! Sessions that come and go: a request is a connection, a session on it, an ephemeral znode, and the end of all of it.

use super::args::ZkArgs;
use super::ground::{OPEN, new};
use super::requests::refused;
use crate::connection::Paced;
use crate::drive::{Finished, Plan, Run, drive_started};
use crate::error::Error;
use crate::recorder::Request;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use torc_net::zookeeper::{Answer, Ask, Connect, Connected, Kind, New};

/// A longer answer is taken for nonsense.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Rest after a failure, so that a broken server is not asked as fast as it can refuse.
const REST: Duration = Duration::from_millis(10);

/// One after another.
struct Client {
    run: Rc<Run>,
    address: SocketAddr,
    timeout_ms: i32,
    /// What its znodes are called, but for their numbers.
    path: String,
    /// Sessions so far: the znode of one that was lost stays until it expires.
    sessions: Cell<u64>,
    /// In an open loop: when requests were due, and when they could be sent.
    due: Option<RefCell<VecDeque<(u64, u64)>>>,
    wake: Notify,
    ended: Cell<bool>,
}

impl Paced for Client {
    fn push(&self, due: u64, ready: u64) {
        let queue = self.due.as_ref().expect("only in an open loop is something due");
        self.run.queued.set(self.run.queued.get() + 1);
        queue.borrow_mut().push_back((due, ready));
        self.wake.notify_one();
    }

    fn begin(&self) {}

    fn wake(&self) {
        self.wake.notify_one();
    }

    fn look(&self, _now: u64) {}

    fn beat(&self) {}

    fn shut(&self) {
        self.ended.set(true);
        self.wake.notify_one();
    }
}

impl Client {
    async fn work(self: Rc<Self>) {
        loop {
            let Some((due, ready)) = self.next().await else { break };
            let request = Request { due, records: 1, payload: 0 };
            let sent = if self.due.is_some() { self.run.now() } else { ready };
            self.run.recorder.borrow_mut().sent(sent, ready, &request);
            let done = self.cycle().await;
            let now = self.run.now();
            match done {
                Ok(()) => self.run.recorder.borrow_mut().done(now, &request),
                Err(what) => {
                    self.run.recorder.borrow_mut().failed(now, &request, what);
                    tokio::time::sleep(REST).await;
                }
            }
            self.run.answered();
        }
        self.run.open.set(self.run.open.get() - 1);
        self.run.ended.notify_one();
    }

    /// When the next one is due and could be sent; `None`: there is none any more.
    async fn next(&self) -> Option<(u64, u64)> {
        loop {
            if self.ended.get() {
                return None;
            }
            let Some(queue) = &self.due else {
                let now = self.run.now();
                return (!self.run.is_stopping()).then_some((now, now));
            };
            let next = queue.borrow_mut().pop_front();
            if let Some(next) = next {
                self.run.queued.set(self.run.queued.get() - 1);
                return Some(next);
            }
            self.wake.notified().await;
        }
    }

    async fn cycle(&self) -> Result<(), String> {
        let mut wire = Wire::open(self.address).await.map_err(|error| format!("connecting: {error}"))?;
        let timeout_ms = self.timeout_ms;
        let connect = Connect { last_zxid: 0, timeout_ms, session: None, read_only: false, knows_read_only: true };
        let mut out = Vec::new();
        connect.encode(&mut out);
        let frame = wire.exchange(&out).await.map_err(|error| format!("opening a session: {error}"))?;
        let connected = Connected::decode(&frame).map_err(|error| error.to_string())?;
        connected.session.ok_or("no session was given")?;
        let mut ask = async |ask: Ask<'_>, xid: i32, doing: &str| {
            out.clear();
            ask.encode(xid, &mut out);
            let frame = wire.exchange(&out).await.map_err(|error| format!("{doing}: {error}"))?;
            match Answer::open(&frame).map(|answer| answer.error) {
                Ok(0) => Ok(()),
                Ok(code) => Err(format!("{doing}: {}", refused(code).what)),
                Err(error) => Err(error.to_string()),
            }
        };
        let path = format!("{}-{}", self.path, self.sessions.replace(self.sessions.get() + 1));
        let ephemeral = New { kind: Kind::Ephemeral, acls: OPEN, ..new(&path, b"") };
        ask(Ask::Create(ephemeral), 1, "creating an ephemeral znode").await?;
        ask(Ask::CloseSession, 2, "closing a session").await
    }
}

/// A connection with one request at a time.
struct Wire(TcpStream);

impl Wire {
    async fn open(address: SocketAddr) -> io::Result<Wire> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Wire(stream))
    }

    /// Sends a frame; returns the next one, without its length.
    async fn exchange(&mut self, out: &[u8]) -> io::Result<Vec<u8>> {
        let mut rest = out;
        while !rest.is_empty() {
            self.0.writable().await?;
            match self.0.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        let mut arrived = Vec::new();
        loop {
            if let Some((length, frame)) = arrived.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if length > ANSWER_BYTES_MAX {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, format!("an answer of {length} bytes")));
                }
                if frame.len() >= length {
                    return Ok(frame[..length].to_vec());
                }
            }
            self.0.readable().await?;
            let mut chunk = [0; 512];
            match self.0.try_read(&mut chunk) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed it")),
                Ok(read) => arrived.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// So many sessions at a time as there are connections.
pub fn run(args: &ZkArgs, plan: &Plan, addresses: &[SocketAddr]) -> Result<Finished, Error> {
    if args.pace.outstanding.is_some_and(|outstanding| outstanding > 1) {
        return Err(Error::Usage(
            "a session is opened and closed by itself: say --connections, not --outstanding".into(),
        ));
    }
    drive_started(plan, |run| {
        for (number, address) in addresses.iter().cycle().take(args.pace.connections as usize).enumerate() {
            let client = Rc::new(Client {
                run: Rc::clone(run),
                address: *address,
                timeout_ms: i32::try_from(args.target.session_timeout.as_millis()).unwrap_or(i32::MAX),
                path: format!("{}/e{number}", args.target.path),
                sessions: Cell::new(0),
                due: plan.schedule.map(|_| RefCell::default()),
                wake: Notify::new(),
                ended: Cell::new(false),
            });
            run.open.set(run.open.get() + 1);
            run.connections.borrow_mut().push(Rc::clone(&client) as Rc<dyn Paced>);
            tokio_uring::spawn(client.work());
        }
        Ok(())
    })
}
