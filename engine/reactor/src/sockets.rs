//! Connections: receiving into provided or given buffers, sending, and closing once the kernel has let go of all
//! memory of the connection.

use crate::address::Name;
use crate::places::{Full, Place, Places, Socket};
use crate::provided::{GROUP, Provided};
use crate::ring::{Completion, Key, Kind, Ring, RingError};
use crate::settings::{set_option, socket};
use crate::stats::LoopStats;
use io_uring::{opcode, squeue, types};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use torc_base::buf::{Buf, BufMut};
use torc_base::ids::{ConnId, ListenerId};
use torc_base::io::{ConnectError, Event};

/// Parts that one sendmsg takes.
const PARTS_PER_SEND: usize = libc::UIO_MAXIOV as usize;
/// Bytes that one send or receive asks for; the kernel's bound is a page below 2 GiB.
const BYTES_PER_CALL: usize = 1 << 30;
/// Receives in a row that left their buffer unfilled after which a connection is taken for one of small requests.
const SMALL_RECEIVES: u8 = 4;
/// Gather lists up to this length stay with their connection.
const PARTS_KEPT: usize = 64;

enum Recv {
    Idle,
    /// A receive into provided buffers is in flight.
    Armed {
        key: Key,
        pausing: bool,
    },
    /// Armed for the core, but the next receive goes to the kernel only when the core has seen the last one's bytes.
    Between,
    /// Filling `bytes` from `at`.
    Exact {
        bytes: BufMut,
        at: usize,
        key: Key,
        pausing: bool,
    },
}

/// What is being sent. Invariant: `byte` < length of `parts[part]`, or `part` is past the end.
struct Sending {
    parts: Vec<Buf>,
    part: usize,
    byte: usize,
    /// The operation that is in flight.
    key: Key,
    /// What is left is given back, not sent.
    taking_back: bool,
}

impl Sending {
    fn skip_empty(&mut self) {
        while self.parts.get(self.part).is_some_and(|p| p.len() == self.byte) {
            self.part += 1;
            self.byte = 0;
        }
    }

    fn advance(&mut self, mut n: usize) {
        while n > 0 {
            let step = n.min(self.parts[self.part].len() - self.byte);
            self.byte += step;
            n -= step;
            self.skip_empty();
        }
    }

    fn done(&self) -> bool {
        self.part == self.parts.len()
    }
}

/// A connection that is being made.
struct Calling {
    call: u64,
    to: Name,
}

/// One connection. Boxed: the kernel is given addresses of `calling`, of `header` and of `iovecs`' elements.
struct Conn {
    id: ConnId,
    fd: OwnedFd,
    place: Place,
    recv: Recv,
    send: Option<Sending>,
    header: libc::msghdr,
    iovecs: Vec<libc::iovec>,
    /// While the connection is being made: the call that it answers, and whom it reaches.
    calling: Option<Calling>,
    /// Operations whose last completion is still to come.
    in_flight: u8,
    /// Receives in a row that left their buffer unfilled, since the last pause, up to [`SMALL_RECEIVES`].
    small_receives: u8,
    /// No more events but the last.
    closing: bool,
}

pub(crate) struct Sockets {
    slots: Vec<Option<Box<Conn>>>,
    free: Vec<usize>,
    max: usize,
    places: Arc<Places>,
    /// Connections so far.
    count: u64,
    provided: Provided,
    /// Connections whose receive is between two completions.
    between: Vec<ConnId>,
    stats: Arc<LoopStats>,
}

fn slot_of(conn: ConnId) -> usize {
    conn.get() as usize & (Key::SLOTS - 1)
}

fn empty_header() -> libc::msghdr {
    // SAFETY: a msghdr is plain data, and all zeros is an empty message.
    unsafe { std::mem::zeroed() }
}

impl Sockets {
    pub(crate) fn new(max: usize, places: Arc<Places>, provided: Provided, stats: Arc<LoopStats>) -> Sockets {
        assert!(max < Key::SLOTS, "{max} connections do not fit into a key");
        Sockets { slots: Vec::new(), free: Vec::new(), max, places, count: 0, provided, between: Vec::new(), stats }
    }

    /// What is said of connections that find no place, for the reason of the last of them.
    pub(crate) fn full(&self, full: Full) -> String {
        match full {
            Full::Shard => format!("{} are open here, and no more are served", self.max),
            Full::Process => format!("{} are open, {}", self.places.max(), self.places.reason()),
        }
    }

    /// Takes over an accepted socket, or closes it if there are enough, and says of what.
    pub(crate) fn open<M>(
        &mut self,
        ring: &mut Ring,
        fd: RawFd,
        listener: ListenerId,
        out: &mut VecDeque<Event<M>>,
    ) -> Result<Option<Full>, RingError> {
        // SAFETY: the accept has just made the descriptor for this connection alone.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let stream = TcpStream::from(fd);
        // A client that has gone again has no address, and is about to be found gone.
        let peer = stream.peer_addr().unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let fd = OwnedFd::from(stream);
        let Some(place) = self.places.take() else {
            self.stats.refused.add(1);
            ring.close_fd(fd.into_raw_fd())?;
            return Ok(Some(Full::Process));
        };
        let Some(conn) = self.take_in(ring, Socket { fd, place })? else { return Ok(Some(Full::Shard)) };
        out.push_back(Event::Accepted { conn, listener, peer });
        Ok(None)
    }

    /// Gives a socket a place here; closes it if there are enough.
    pub(crate) fn take_in(&mut self, ring: &mut Ring, socket: Socket) -> Result<Option<ConnId>, RingError> {
        let Socket { fd, place } = socket;
        if self.slots.len() - self.free.len() == self.max {
            self.stats.refused.add(1);
            ring.close_fd(fd.into_raw_fd())?;
            return Ok(None);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.count += 1;
        let id = ConnId(self.count << 24 | slot as u64);
        self.slots[slot] = Some(Box::new(Conn {
            id,
            fd,
            place,
            recv: Recv::Idle,
            send: None,
            header: empty_header(),
            iovecs: Vec::new(),
            calling: None,
            in_flight: 0,
            small_receives: 0,
            closing: false,
        }));
        Ok(Some(id))
    }

    /// `Op::Connect`.
    pub(crate) fn connect<M>(
        &mut self,
        ring: &mut Ring,
        call: u64,
        to: SocketAddr,
        patience_ms: u32,
        out: &mut VecDeque<Event<M>>,
    ) -> Result<(), RingError> {
        let to = Name::new(to);
        let socket = match calling_socket(&to, patience_ms) {
            Ok(socket) => socket,
            Err(error) => {
                out.push_back(Event::Unreachable { call, error: connect_error(&error) });
                return Ok(());
            }
        };
        let socket = self.places.take().map(|place| Socket { fd: socket, place });
        let id = socket.map(|socket| self.take_in(ring, socket)).transpose()?.flatten();
        let Some(id) = id else {
            out.push_back(Event::Unreachable { call, error: ConnectError::Full });
            return Ok(());
        };
        let key = ring.key(Kind::Connect, slot_of(id));
        let conn = self.slots[slot_of(id)].as_deref_mut().expect("just taken in");
        let calling = conn.calling.insert(Calling { call, to });
        let (name, bytes) = calling.to.as_raw();
        let entry = opcode::Connect::new(types::Fd(conn.fd.as_raw_fd()), name, bytes).build();
        // SAFETY: the address belongs to the connection, which stays in its slot while anything is in flight, and is next
        // touched when this has completed.
        unsafe { ring.push(entry, key) }?;
        conn.in_flight += 1;
        Ok(())
    }

    /// `Op::HandOver`: the socket of a connection, which has no place here any more.
    pub(crate) fn give_away(&mut self, id: ConnId) -> Option<Socket> {
        let conn = self.find(id)?;
        let idle = matches!(conn.recv, Recv::Idle) && conn.send.is_none() && conn.in_flight == 0;
        assert!(idle, "{id}: handed over with operations in flight");
        let conn = self.slots[slot_of(id)].take().expect("just found");
        self.free.push(slot_of(id));
        Some(Socket { fd: conn.fd, place: conn.place })
    }

    /// The connection, unless it is closed or closing: then what is asked for it is dropped.
    fn find(&mut self, id: ConnId) -> Option<&mut Conn> {
        let conn = self.slots.get_mut(slot_of(id))?.as_deref_mut()?;
        (conn.id == id && !conn.closing).then_some(conn)
    }

    /// `Op::Recv`.
    pub(crate) fn recv(&mut self, ring: &mut Ring, id: ConnId) -> Result<(), RingError> {
        let stats = Arc::clone(&self.stats);
        let Some(conn) = self.find(id) else { return Ok(()) };
        assert!(matches!(conn.recv, Recv::Idle), "{id}: a receive is armed already");
        conn.arm(ring, &stats)
    }

    /// Once per turn, when all events are delivered: lets the receives go on that the core has not paused.
    pub(crate) fn rearm(&mut self, ring: &mut Ring) -> Result<(), RingError> {
        let stats = Arc::clone(&self.stats);
        let mut between = std::mem::take(&mut self.between);
        for id in between.drain(..) {
            if let Some(conn) = self.find(id).filter(|c| matches!(c.recv, Recv::Between)) {
                conn.arm(ring, &stats)?;
            }
        }
        self.between = between;
        Ok(())
    }

    /// `Op::RecvExact`.
    pub(crate) fn recv_exact<M>(
        &mut self,
        ring: &mut Ring,
        id: ConnId,
        bytes: BufMut,
        from: usize,
        out: &mut VecDeque<Event<M>>,
    ) -> Result<(), RingError> {
        assert!(from <= bytes.len(), "receive from {from} of {}", bytes.len());
        let Some(conn) = self.find(id) else { return Ok(()) };
        assert!(matches!(conn.recv, Recv::Idle), "{id}: a receive is armed already");
        if from == bytes.len() {
            out.push_back(Event::Filled { conn: id, bytes });
            return Ok(());
        }
        let key = ring.key(Kind::RecvExact, slot_of(id));
        conn.recv = Recv::Exact { bytes, at: from, key, pausing: false };
        conn.fill(ring)
    }

    /// `Op::Pause`.
    pub(crate) fn pause<M>(
        &mut self,
        ring: &mut Ring,
        id: ConnId,
        out: &mut VecDeque<Event<M>>,
    ) -> Result<(), RingError> {
        let Some(conn) = self.find(id) else { return Ok(()) };
        conn.small_receives = 0;
        match &mut conn.recv {
            Recv::Idle | Recv::Between => {
                conn.recv = Recv::Idle;
                out.push_back(Event::Paused { conn: id });
            }
            Recv::Armed { pausing: true, .. } | Recv::Exact { pausing: true, .. } => {}
            Recv::Armed { key, pausing } | Recv::Exact { key, pausing, .. } => {
                *pausing = true;
                ring.cancel(*key)?;
            }
        }
        Ok(())
    }

    /// `Op::Send`.
    pub(crate) fn send<M>(
        &mut self,
        ring: &mut Ring,
        id: ConnId,
        parts: Vec<Buf>,
        out: &mut VecDeque<Event<M>>,
    ) -> Result<(), RingError> {
        let Some(conn) = self.find(id) else { return Ok(()) };
        assert!(conn.send.is_none(), "{id}: a send is outstanding already");
        let key = ring.key(Kind::Send, slot_of(id));
        let mut sending = Sending { parts, part: 0, byte: 0, key, taking_back: false };
        sending.skip_empty();
        conn.send = Some(sending);
        conn.transmit(ring, out)
    }

    /// `Op::TakeBack`.
    pub(crate) fn take_back(&mut self, ring: &mut Ring, id: ConnId) -> Result<(), RingError> {
        let Some(sending) = self.find(id).and_then(|conn| conn.send.as_mut()) else { return Ok(()) };
        if std::mem::replace(&mut sending.taking_back, true) {
            return Ok(());
        }
        ring.cancel(sending.key)
    }

    /// `Op::AwaitRoom`.
    pub(crate) fn await_room(&mut self, ring: &mut Ring, id: ConnId) -> Result<(), RingError> {
        let Some(conn) = self.find(id) else { return Ok(()) };
        assert!(conn.send.is_none(), "{id}: waits for room while it sends");
        let key = ring.key(Kind::Room, slot_of(id));
        let entry = opcode::PollAdd::new(types::Fd(conn.fd.as_raw_fd()), libc::POLLOUT as u32).build();
        // SAFETY: the entry names no memory.
        unsafe { ring.push(entry, key) }?;
        conn.in_flight += 1;
        Ok(())
    }

    /// `Op::Close`.
    pub(crate) fn close<M>(
        &mut self,
        ring: &mut Ring,
        id: ConnId,
        out: &mut VecDeque<Event<M>>,
    ) -> Result<(), RingError> {
        if self.find(id).is_none() {
            return Ok(());
        }
        self.fail(ring, slot_of(id), out)
    }

    /// Once per turn: gives buffers that came back to the kernel.
    pub(crate) fn refill(&mut self) {
        self.provided.refill();
    }

    /// Takes the buffer ring back from the kernel; nothing may be in flight.
    pub(crate) fn unregister(&self, ring: &Ring) -> std::io::Result<()> {
        self.provided.unregister(ring)
    }

    /// Takes the completion of a receive or send.
    pub(crate) fn complete<M>(
        &mut self,
        ring: &mut Ring,
        completion: Completion,
        out: &mut VecDeque<Event<M>>,
    ) -> Result<(), RingError> {
        let slot = completion.key.slot();
        let conn = self.slots[slot].as_deref_mut().expect("a slot stays taken while operations are in flight");
        conn.in_flight -= u8::from(!completion.more());
        let failed = match completion.key.kind() {
            Kind::Recv => {
                let bytes = completion.buffer().and_then(|id| {
                    if completion.result <= 0 {
                        self.provided.put_back(id);
                        return None;
                    }
                    Some(self.provided.take(id, completion.result as usize))
                });
                self.stats.received_bytes.add(completion.result.max(0) as u64);
                let failed = conn.received(completion, bytes, &mut self.provided, &self.stats, out);
                if matches!(conn.recv, Recv::Between) {
                    self.between.push(conn.id);
                }
                failed
            }
            Kind::RecvExact => {
                self.stats.received_bytes.add(completion.result.max(0) as u64);
                conn.filled(ring, completion, out)?
            }
            Kind::Send => {
                self.stats.sent_bytes.add(completion.result.max(0) as u64);
                conn.sent(ring, completion, out)?
            }
            // An error of the socket shows at the next send.
            Kind::Room => {
                if !conn.closing {
                    out.push_back(Event::Room { conn: conn.id });
                }
                false
            }
            Kind::Connect => {
                let Calling { call, .. } = conn.calling.take().expect("completed while it was made");
                if completion.result == 0 {
                    self.stats.connected.add(1);
                    out.push_back(Event::Connected { call, conn: conn.id });
                    return Ok(());
                }
                let error = io::Error::from_raw_os_error(-completion.result);
                out.push_back(Event::Unreachable { call, error: connect_error(&error) });
                let conn = self.slots[slot].take().expect("taken");
                self.free.push(slot);
                return ring.close_fd(conn.fd.into_raw_fd());
            }
            other => unreachable!("{other:?} is not a connection's"),
        };
        if conn.closing {
            return self.settle(ring, slot, out);
        }
        if failed {
            return self.fail(ring, slot, out);
        }
        Ok(())
    }

    /// Begins the end of a connection.
    fn fail<M>(&mut self, ring: &mut Ring, slot: usize, out: &mut VecDeque<Event<M>>) -> Result<(), RingError> {
        let conn = self.slots[slot].as_deref_mut().expect("taken");
        conn.closing = true;
        if conn.in_flight > 0 {
            ring.cancel_fd(conn.fd.as_raw_fd())?;
        }
        self.settle(ring, slot, out)
    }

    /// Ends a closing connection if the kernel has let go of it.
    fn settle<M>(&mut self, ring: &mut Ring, slot: usize, out: &mut VecDeque<Event<M>>) -> Result<(), RingError> {
        let conn = self.slots[slot].as_deref().expect("taken");
        assert!(conn.closing);
        if conn.in_flight > 0 {
            return Ok(());
        }
        let conn = self.slots[slot].take().expect("taken");
        self.free.push(slot);
        self.stats.closed.add(1);
        out.push_back(Event::Closed { conn: conn.id });
        ring.close_fd(conn.fd.into_raw_fd())
    }
}

/// A socket whose kernel gives up after `patience_ms` without an acknowledgement, when it connects and later.
fn calling_socket(to: &Name, patience_ms: u32) -> io::Result<OwnedFd> {
    let socket = socket(to)?;
    set_option(&socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    set_option(&socket, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, patience_ms.min(i32::MAX as u32) as i32)?;
    Ok(socket)
}

fn connect_error(error: &io::Error) -> ConnectError {
    match error.raw_os_error().unwrap_or(0) {
        libc::ECONNREFUSED => ConnectError::Refused,
        libc::ETIMEDOUT => ConnectError::TimedOut,
        libc::EHOSTUNREACH | libc::ENETUNREACH => ConnectError::NoRoute,
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL => ConnectError::Full,
        other => ConnectError::Other(other),
    }
}

/// Errors after which the same call is made again.
fn transient(result: i32) -> bool {
    matches!(-result, libc::EINTR | libc::EAGAIN)
}

impl Conn {
    /// Lets the kernel receive into provided buffers. A connection of small requests gets one multishot receive. One
    /// that may be about to send a large frame gets a receive at a time, so that the core can see a frame's length
    /// and pause before more of it lands in provided buffers.
    fn arm(&mut self, ring: &mut Ring, stats: &LoopStats) -> Result<(), RingError> {
        assert!(matches!(self.recv, Recv::Idle | Recv::Between));
        let key = ring.key(Kind::Recv, slot_of(self.id));
        let fd = types::Fd(self.fd.as_raw_fd());
        let entry = if self.small_receives >= SMALL_RECEIVES {
            stats.multishots.add(1);
            opcode::RecvMulti::new(fd, GROUP).build()
        } else {
            let one = opcode::Recv::new(fd, std::ptr::null_mut(), 0).buf_group(GROUP).build();
            one.flags(squeue::Flags::BUFFER_SELECT)
        };
        // SAFETY: the memory is the buffer ring's, which lives until nothing is in flight.
        unsafe { ring.push(entry, key) }?;
        self.in_flight += 1;
        self.recv = Recv::Armed { key, pausing: false };
        Ok(())
    }

    /// Asks for what is missing of an exact receive.
    fn fill(&mut self, ring: &mut Ring) -> Result<(), RingError> {
        let Recv::Exact { bytes, at, key, .. } = &mut self.recv else { unreachable!("only called while it fills") };
        let key = *key;
        let (address, len) = bytes.as_raw();
        let want = (len - *at).min(BYTES_PER_CALL) as u32;
        // SAFETY: `at` is below `len`.
        let address = unsafe { address.add(*at) };
        let entry = opcode::Recv::new(types::Fd(self.fd.as_raw_fd()), address, want).flags(libc::MSG_WAITALL).build();
        // SAFETY: the buffer stays in `self.recv`, which only the completion empties, and `self` stays in its slot
        // while anything is in flight.
        unsafe { ring.push(entry, key) }?;
        self.in_flight += 1;
        Ok(())
    }

    /// Sends what is left, or says that nothing is.
    fn transmit<M>(&mut self, ring: &mut Ring, out: &mut VecDeque<Event<M>>) -> Result<(), RingError> {
        let sending = self.send.as_ref().expect("only called while it sends");
        if sending.done() {
            self.send = None;
            if self.iovecs.capacity() > PARTS_KEPT {
                self.iovecs = Vec::new();
            }
            out.push_back(Event::Sent { conn: self.id });
            return Ok(());
        }
        self.iovecs.clear();
        let mut skip = sending.byte;
        for part in sending.parts[sending.part..].iter().take(PARTS_PER_SEND) {
            let rest = &part[skip..];
            skip = 0;
            if !rest.is_empty() {
                self.iovecs.push(libc::iovec { iov_base: rest.as_ptr().cast_mut().cast(), iov_len: rest.len() });
            }
        }
        let flags = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
        let fd = types::Fd(self.fd.as_raw_fd());
        let entry = if let [only] = self.iovecs[..] {
            let len = only.iov_len.min(BYTES_PER_CALL) as u32;
            opcode::Send::new(fd, only.iov_base.cast(), len).flags(flags).build()
        } else {
            self.header.msg_iov = self.iovecs.as_mut_ptr();
            // Of a type that differs by C library.
            self.header.msg_iovlen = self.iovecs.len() as _;
            opcode::SendMsg::new(fd, &raw const self.header).flags(flags as u32).build()
        };
        let key = sending.key;
        // SAFETY: parts, gather list and header belong to `self`, which stays in its slot while anything is in
        // flight; they are next touched when this has completed.
        unsafe { ring.push(entry, key) }?;
        self.in_flight += 1;
        Ok(())
    }

    /// A completion of a receive into provided buffers; true if the connection failed.
    fn received<M>(
        &mut self,
        completion: Completion,
        bytes: Option<BufMut>,
        provided: &mut Provided,
        stats: &LoopStats,
        out: &mut VecDeque<Event<M>>,
    ) -> bool {
        if self.closing {
            return false;
        }
        let Recv::Armed { pausing, .. } = self.recv else { unreachable!("completed while armed") };
        if let Some(bytes) = bytes {
            let small = bytes.len() < provided.buf_bytes();
            self.small_receives = if small { (self.small_receives + 1).min(SMALL_RECEIVES) } else { 0 };
            out.push_back(Event::Received { conn: self.id, bytes });
        }
        if completion.more() {
            return false;
        }
        self.recv = Recv::Idle;
        let conn = self.id;
        match completion.result {
            // An end of the stream shows again when the receive is armed again.
            n if pausing && (n >= 0 || transient(n) || matches!(-n, libc::ECANCELED | libc::ENOBUFS)) => {
                out.push_back(Event::Paused { conn });
            }
            0 => out.push_back(Event::Eof { conn }),
            n if n > 0 || transient(n) => self.recv = Recv::Between,
            n if -n == libc::ENOBUFS => {
                provided.refill();
                if provided.available() > 0 {
                    self.recv = Recv::Between;
                } else {
                    stats.starved.add(1);
                    out.push_back(Event::Starved { conn });
                }
            }
            _ => return true,
        }
        false
    }

    /// A completion of the exact receive; true if the connection failed.
    fn filled<M>(
        &mut self,
        ring: &mut Ring,
        completion: Completion,
        out: &mut VecDeque<Event<M>>,
    ) -> Result<bool, RingError> {
        if self.closing {
            return Ok(false);
        }
        let Recv::Exact { bytes, at, pausing, .. } = &mut self.recv else { unreachable!("completed while filling") };
        let pausing = *pausing;
        *at += completion.result.max(0) as usize;
        let full = *at == bytes.len();
        match completion.result {
            // An end of the stream shows again when the receive goes on.
            0 if !pausing => {
                self.recv = Recv::Idle;
                out.push_back(Event::Eof { conn: self.id });
            }
            n if n >= 0 || transient(n) || (pausing && -n == libc::ECANCELED) => {
                if !full && !pausing {
                    self.fill(ring)?;
                } else if let Recv::Exact { bytes, at, .. } = std::mem::replace(&mut self.recv, Recv::Idle) {
                    let conn = self.id;
                    if !full {
                        out.push_back(Event::Halted { conn, bytes, at });
                        return Ok(false);
                    }
                    out.push_back(Event::Filled { conn, bytes });
                    if pausing {
                        out.push_back(Event::Paused { conn });
                    }
                }
            }
            _ => return Ok(true),
        }
        Ok(false)
    }

    /// A completion of the send; true if the connection failed.
    fn sent<M>(
        &mut self,
        ring: &mut Ring,
        completion: Completion,
        out: &mut VecDeque<Event<M>>,
    ) -> Result<bool, RingError> {
        if self.closing {
            return Ok(false);
        }
        let sending = self.send.as_mut().expect("completed while sending");
        match completion.result {
            n if n > 0 => sending.advance(n as usize),
            n if transient(n) || (sending.taking_back && -n == libc::ECANCELED) => {}
            _ => return Ok(true),
        }
        if sending.taking_back && !sending.done() {
            let Sending { mut parts, part, byte, .. } = self.send.take().expect("just seen");
            out.push_back(Event::TakenBack { conn: self.id, rest: parts.split_off(part), sent: byte });
            return Ok(false);
        }
        self.transmit(ring, out)?;
        Ok(false)
    }
}
