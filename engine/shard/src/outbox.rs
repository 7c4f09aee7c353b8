//! Answers of one connection on their way out, in the order of its requests.
//!
//! What is handed to the socket is held in memory until the kernel has it. A socket that does not take it gets no more
//! than that: the rest is *taken back*. Record batches are then known by their place in the log and read again, a piece
//! at a time, when the socket takes more; all other bytes are kept, in memory of their own.

use crate::stages::{Path, Trace};
use std::collections::VecDeque;
use torc_base::buf::Buf;
use torc_base::ids::{GroupId, Offset};
use torc_base::limits::{PIECE_BYTES_MAX, PIECE_BYTES_MIN};
use torc_base::time::Mono;
use torc_net::kafka::records;

/// Parts of one send; the kernel takes 1,024 at once.
const SEND_PARTS: usize = 1_000;

/// A part of an answer.
#[derive(Debug)]
pub enum Piece {
    /// Bytes that are nowhere else.
    Bytes(Buf),
    /// Record batches in memory.
    Log(Stretch),
    /// Record batches that are to be read again.
    Later(Later),
}

/// Adjacent record batches of a log. A part begins with a batch.
#[derive(Debug)]
pub struct Stretch {
    pub group: GroupId,
    pub parts: Vec<Buf>,
    /// Bytes of the first batch that the client has already.
    pub skip: usize,
}

/// A stretch that was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Later {
    pub group: GroupId,
    /// Base offset of the first batch, and the bytes of it that the client has already.
    pub from: Offset,
    pub skip: usize,
    /// Bytes of that batch, if it is known: where a part of it was sent, no other may follow.
    pub size: Option<usize>,
    /// Bytes that the client was promised and does not have.
    pub bytes: usize,
}

impl Piece {
    /// Bytes of it that are sent.
    pub fn bytes(&self) -> usize {
        match self {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Log(stretch) => stretch.bytes(),
            Piece::Later(later) => later.bytes,
        }
    }

    /// Bytes of memory that it counts for.
    fn held(&self) -> usize {
        if let Piece::Later(_) = self { 0 } else { self.bytes() }
    }
}

impl Stretch {
    fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum::<usize>() - self.skip
    }

    fn later(&self) -> Option<Later> {
        let (from, size) = batch(self.parts.first()?)?;
        let (skip, bytes) = (self.skip, self.bytes());
        Some(Later { group: self.group, from: Offset(from), skip, size: Some(size), bytes })
    }
}

#[derive(Debug)]
enum Slot {
    /// For the answer to a request of so many bytes.
    Waiting(usize, Trace),
    Ready(Vec<Piece>, Trace),
}

/// Place of a request among the answers of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotId(u64);

/// What a run of sent bytes was.
#[derive(Clone, Copy, Debug)]
struct Span {
    bytes: usize,
    log: Option<Place>,
}

/// Where a span of a log began: in the middle of a batch, if `skip` is not 0.
#[derive(Clone, Copy, Debug)]
struct Place {
    group: GroupId,
    from: Offset,
    skip: usize,
    /// Bytes of the batch behind `skip`.
    left: usize,
}

#[derive(Debug)]
enum State {
    /// Nothing is under way.
    Idle,
    Sending {
        spans: Vec<Span>,
        taking_back: bool,
    },
    /// The socket takes nothing; it says when it does.
    AwaitsRoom,
    /// The next piece is being read from the log.
    Reads,
}

/// What an outbox wants done next.
#[derive(Debug)]
pub enum Action {
    Send(Vec<Buf>),
    /// Read about so many bytes of the log; they go to [`Outbox::read`].
    Read(Later, usize),
}

/// The log gave other batches than those that the client was promised.
#[derive(Debug, PartialEq, Eq)]
pub struct Changed;

/// The answers of one connection.
#[derive(Debug)]
pub struct Outbox {
    slots: VecDeque<Slot>,
    first_slot: u64,
    /// What is sent next of answers that have left their slots.
    queue: VecDeque<Piece>,
    state: State,
    /// Bytes of memory for answers, those under way included.
    held: usize,
    /// Bytes of requests whose answers are not there.
    waiting_bytes: usize,
    /// Bytes that are read next of what was taken back.
    step: usize,
    /// When the kernel last took all that it was given, or nothing was under way.
    moved: Mono,
}

impl Outbox {
    pub fn new(now: Mono) -> Outbox {
        Outbox {
            slots: VecDeque::new(),
            first_slot: 0,
            queue: VecDeque::new(),
            state: State::Idle,
            held: 0,
            waiting_bytes: 0,
            step: PIECE_BYTES_MIN,
            moved: now,
        }
    }

    /// Requests whose answers have not left.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True if nothing is owed: every answer is with the kernel.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.queue.is_empty() && matches!(self.state, State::Idle)
    }

    /// Bytes of memory that answers hold.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Of these, bytes that are nowhere else, and cannot be taken back.
    pub fn made(&self) -> usize {
        let ready = self.slots.iter().filter_map(|slot| match slot {
            Slot::Ready(pieces, _) => Some(pieces.iter()),
            Slot::Waiting(..) => None,
        });
        let made = |piece: &Piece| if let Piece::Bytes(bytes) = piece { bytes.len() } else { 0 };
        let waiting: usize = self.queue.iter().chain(ready.flatten()).map(made).sum();
        let sending = match &self.state {
            State::Sending { spans, .. } => spans.iter().filter(|span| span.log.is_none()).map(|span| span.bytes).sum(),
            _ => 0,
        };
        waiting + sending
    }

    /// Bytes in memory that may be sent now, at most; 0 while something is under way.
    pub fn ready(&self) -> usize {
        if let State::Idle = self.state { self.held } else { 0 }
    }

    /// Bytes of requests that wait for their answers.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// True if something has been given to the socket that it has not taken.
    pub fn is_sending(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// When the socket last took something.
    pub fn moved(&self) -> Mono {
        self.moved
    }

    /// Takes the next place, for the answer to a request of `bytes` bytes.
    pub fn open(&mut self, bytes: usize, trace: Trace) -> SlotId {
        self.slots.push_back(Slot::Waiting(bytes, trace));
        self.waiting_bytes += bytes;
        SlotId(self.first_slot + self.slots.len() as u64 - 1)
    }

    /// The answer to the request of that place, and what way it went. No pieces: there is none to send. Returns the
    /// bytes of the request; `None` if the place is gone.
    pub fn answer(&mut self, now: Mono, slot: SlotId, pieces: Vec<Piece>, path: Path) -> Option<usize> {
        let place = slot.0.checked_sub(self.first_slot)?;
        let place = self.slots.get_mut(place as usize)?;
        let Slot::Waiting(request_bytes, trace) = place else { panic!("a request is answered once") };
        let request_bytes = *request_bytes;
        if self.held == 0 {
            self.moved = now;
        }
        self.waiting_bytes -= request_bytes;
        self.held += pieces.iter().map(Piece::held).sum::<usize>();
        *place = Slot::Ready(pieces, Trace { path, ..*trace });
        Some(request_bytes)
    }

    /// Something that nobody asked for: it goes behind the answers that are there, as far as all before them are, and in front
    /// of all that come later. `left` as for [`Outbox::next`].
    pub fn push(&mut self, now: Mono, bytes: Buf, mut left: impl FnMut(&Trace)) {
        if self.held == 0 {
            self.moved = now;
        }
        self.take_ready(usize::MAX, &mut left);
        self.held += bytes.len();
        self.queue.push_back(Piece::Bytes(bytes));
    }

    /// Takes answers that are there, and all before them, out of their slots, as long as the queue is shorter than `most`.
    fn take_ready(&mut self, most: usize, left: &mut impl FnMut(&Trace)) {
        while let Some(Slot::Ready(..)) = self.slots.front()
            && self.queue.len() < most
        {
            let Some(Slot::Ready(pieces, trace)) = self.slots.pop_front() else { unreachable!("just seen") };
            self.first_slot += 1;
            if !pieces.is_empty() {
                left(&trace);
            }
            self.queue.extend(pieces);
        }
    }

    /// The next thing to do, if nothing is under way. `left` is told of every request whose answer leaves its place.
    pub fn next(&mut self, mut left: impl FnMut(&Trace)) -> Option<Action> {
        if !matches!(self.state, State::Idle) {
            return None;
        }
        self.take_ready(SEND_PARTS, &mut left);
        if let Some(Piece::Later(later)) = self.queue.front() {
            self.state = State::Reads;
            return Some(Action::Read(*later, self.step));
        }
        let (mut parts, mut spans) = (Vec::new(), Vec::new());
        while let Some(piece) = self.queue.front() {
            let later = matches!(piece, Piece::Later(_));
            if later || (!parts.is_empty() && parts.len() + piece.parts() > SEND_PARTS) {
                break;
            }
            put(self.queue.pop_front().expect("just seen"), &mut parts, &mut spans);
        }
        if parts.is_empty() {
            return None;
        }
        self.state = State::Sending { spans, taking_back: false };
        Some(Action::Send(parts))
    }

    /// The kernel has all of the send. Returns the bytes of memory that are free now.
    pub fn sent(&mut self, now: Mono) -> usize {
        let State::Sending { spans, .. } = std::mem::replace(&mut self.state, State::Idle) else {
            panic!("a send that was not asked for");
        };
        self.moved = now;
        if !self.queue.is_empty() {
            self.step = (self.step * 2).min(PIECE_BYTES_MAX);
        }
        let bytes = spans.iter().map(|span| span.bytes).sum();
        self.held -= bytes;
        bytes
    }

    /// The socket takes nothing: batches in memory become places in the log. True if the send under way is to be taken
    /// back; with the bytes of memory that are free now.
    pub fn take_back(&mut self) -> (bool, usize) {
        let ready = self.slots.iter_mut().filter_map(|slot| match slot {
            Slot::Ready(pieces, _) => Some(pieces.iter_mut()),
            Slot::Waiting(..) => None,
        });
        let mut freed = 0;
        for piece in self.queue.iter_mut().chain(ready.flatten()) {
            match piece {
                Piece::Log(stretch) => {
                    if let Some(later) = stretch.later() {
                        freed += later.bytes;
                        *piece = Piece::Later(later);
                    }
                }
                Piece::Bytes(bytes) => *bytes = apart(bytes),
                Piece::Later(_) => {}
            }
        }
        self.held -= freed;
        let sending = match &mut self.state {
            State::Sending { taking_back, .. } => !std::mem::replace(taking_back, true),
            _ => false,
        };
        (sending, freed)
    }

    /// The end of a send that was taken back: `rest` are its parts from the first on that the kernel does not have all
    /// of, `sent` the bytes of that one that it has. Returns the bytes of memory that are free now.
    pub fn taken_back(&mut self, now: Mono, rest: &[Buf], sent: usize) -> Result<usize, Changed> {
        let State::Sending { spans, .. } = std::mem::replace(&mut self.state, State::AwaitsRoom) else {
            panic!("nothing was to be taken back");
        };
        let total: usize = spans.iter().map(|span| span.bytes).sum();
        let start = total - rest.iter().map(|part| part.len()).sum::<usize>();
        let gone = start + sent;
        if gone > 0 {
            self.moved = now;
        }
        let mut pieces = Vec::new();
        let (mut at, mut parts, mut part_at) = (0, rest.iter(), start);
        for span in spans {
            let (begin, end) = (at, at + span.bytes);
            at = end;
            if end <= gone {
                continue;
            }
            let mut mine = Vec::new();
            while part_at < end {
                let part = parts.next().expect("the parts are as long as the spans");
                mine.push((part_at, part));
                part_at += part.len();
            }
            match span.log {
                None => pieces.extend(mine.iter().map(|(at, part)| {
                    let from = gone.saturating_sub(*at).min(part.len());
                    Piece::Bytes(apart(&part.slice(from..part.len())))
                })),
                Some(place) => pieces.push(Piece::Later(cut(place, begin, end, gone, &mine)?)),
            }
        }
        let held: usize = pieces.iter().map(Piece::held).sum();
        for piece in pieces.into_iter().rev() {
            self.queue.push_front(piece);
        }
        self.step = PIECE_BYTES_MIN;
        self.held -= total - held;
        Ok(total - held)
    }

    /// The socket takes bytes.
    pub fn room(&mut self) {
        assert!(matches!(self.state, State::AwaitsRoom), "nobody waited for room");
        self.state = State::Idle;
    }

    /// The next batches of what is to be read again, as the log has them. Returns the bytes of memory that they take.
    pub fn read(&mut self, mut parts: Vec<Buf>) -> Result<usize, Changed> {
        assert!(matches!(self.state, State::Reads), "nothing was being read");
        let Some(Piece::Later(later)) = self.queue.front_mut() else { panic!("it was the first") };
        let (from, size) = parts.first().and_then(|part| batch(part)).ok_or(Changed)?;
        if Offset(from) != later.from || later.size.is_some_and(|expected| expected != size) {
            return Err(Changed);
        }
        let next = keep(&mut parts, later.skip + later.bytes)?;
        let stretch = Stretch { group: later.group, parts, skip: later.skip };
        let bytes = stretch.bytes();
        if bytes == later.bytes {
            self.queue.pop_front();
        } else {
            *later = Later { from: next, skip: 0, size: None, bytes: later.bytes - bytes, ..*later };
        }
        self.queue.push_front(Piece::Log(stretch));
        self.held += bytes;
        self.state = State::Idle;
        Ok(bytes)
    }
}

impl Piece {
    fn parts(&self) -> usize {
        if let Piece::Log(stretch) = self { stretch.parts.len() } else { 1 }
    }
}

/// Adds a piece to a send.
fn put(piece: Piece, parts: &mut Vec<Buf>, spans: &mut Vec<Span>) {
    let bytes = piece.bytes();
    match piece {
        Piece::Bytes(bytes) => {
            match spans.last_mut() {
                Some(Span { bytes: all, log: None }) => *all += bytes.len(),
                _ => spans.push(Span { bytes: bytes.len(), log: None }),
            }
            if !parts.last_mut().is_some_and(|last: &mut Buf| last.join(&bytes)) {
                parts.push(bytes);
            }
        }
        Piece::Log(stretch) => {
            let (from, size) = stretch.parts.first().and_then(|part| batch(part)).unwrap_or((-1, 0));
            let skip = stretch.skip;
            let place = Place { group: stretch.group, from: Offset(from), skip, left: size.saturating_sub(skip) };
            spans.push(Span { bytes, log: Some(place) });
            let mut batches = stretch.parts.into_iter();
            if let Some(first) = batches.next() {
                parts.push(if skip > 0 { first.slice(skip..first.len()) } else { first });
            }
            parts.extend(batches);
        }
        Piece::Later(_) => panic!("what is not in memory cannot be sent"),
    }
}

/// The rest of a span of a log, of which the bytes up to `gone` are with the kernel.
fn cut(place: Place, begin: usize, end: usize, gone: usize, parts: &[(usize, &Buf)]) -> Result<Later, Changed> {
    let bytes = end - gone.max(begin);
    let later = |from, skip, size| Later { group: place.group, from, skip, size: Some(size), bytes };
    // Still inside the first batch, perhaps before its first byte.
    let done = gone.saturating_sub(begin);
    if done < place.left {
        return Ok(later(place.from, place.skip + done, place.skip + place.left));
    }
    let (at, part) = parts.first().ok_or(Changed)?;
    // A part begins with a batch, but for the first one of a span that began inside a batch.
    let mut at = if *at == begin && place.skip > 0 { place.left } else { 0 } + at;
    let start = parts[0].0;
    while at <= gone {
        let (from, size) = batch(&part[at - start..]).ok_or(Changed)?;
        if gone < at + size {
            return Ok(later(Offset(from), gone - at, size));
        }
        at += size;
    }
    Err(Changed)
}

/// Keeps the batches that make up the first `most` bytes; the base offset of what follows them.
fn keep(parts: &mut Vec<Buf>, most: usize) -> Result<Offset, Changed> {
    let (mut left, mut next) = (most, Offset(-1));
    let mut kept = 0;
    for part in parts.iter_mut() {
        let mut at = 0;
        while at < part.len() && left > 0 {
            let (_, size) = batch(&part[at..]).ok_or(Changed)?;
            // An answer ends where a batch ends, so this is another batch than it was.
            left = left.checked_sub(size).ok_or(Changed)?;
            next = next_offset(&part[at..]).ok_or(Changed)?;
            at += size;
        }
        if at == 0 {
            break;
        }
        kept += 1;
        *part = part.slice(0..at);
    }
    parts.truncate(kept);
    Ok(next)
}

/// Base offset and bytes of the batch that `bytes` begin with.
fn batch(bytes: &[u8]) -> Option<(i64, usize)> {
    records::parse(bytes).ok().map(|batch| (batch.base_offset, batch.length))
}

/// The offset behind the batch that `bytes` begin with.
fn next_offset(bytes: &[u8]) -> Option<Offset> {
    records::parse(bytes).ok().map(|batch| Offset(batch.last_offset() + 1))
}

/// The same bytes in memory that holds little else.
fn apart(bytes: &Buf) -> Buf {
    if bytes.block_bytes() > 2 * bytes.len().max(torc_base::limits::PAGE) { Buf::copy_of(bytes) } else { bytes.clone() }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
