//! The bare server: the least program that could do a log server's job, as the measure of what torc adds.
//!
//! One thread, one ring; length-prefixed frames, the CRC32C of each, one aligned durable write for all that arrived,
//! large frames written from where they were received, then a reply. It takes the frames of a Kafka produce request
//! without looking into them, and answers each with its correlation id.
//!
//! With followers it is the least program that could replicate, too: it sends them what it writes, and answers what a
//! majority has on disk.

mod followers;

use crate::error::Error;
use crate::units::parse_size;
use clap::Args;
use followers::Followers;
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use torc_base::buf::{Buf, BufMut, Pages, Pool};
use torc_base::crc::crc32c;
use torc_base::ids::{ConnId, FileId, ShardId, Tag};
use torc_base::io::{App, DiskDone, DiskKind, DiskOk, DiskOp, Event, Level, Op};
use torc_base::limits::{LARGE_FRAME, PAGE, RECV_BUFS};
use torc_base::time::{Mono, Now};
use torc_base::units::count_in;
use torc_reactor::mail::mesh;
use torc_reactor::settings::{LoopSettings, listen};
use torc_reactor::stats::LoopStats;
use torc_reactor::{probe, reactor};

/// Memory for frames.
const MEMORY: usize = 1 << 30;
/// Small frames gather in buffers of this size, which lie in memory that is registered with the kernel as torc's own.
const GATHER_BYTES: usize = 256 << 10;
const GATHER_BUFS: usize = 32;
/// A receive takes small frames whole, and several at once, as far as possible: their parts would be copied twice.
const RECV_BUF_BYTES: usize = 64 << 10;
/// A write is cut at this size, or at so many runs of memory.
const WRITE_BYTES: usize = 4 << 20;
const WRITE_RUNS: usize = 256;
/// Largest frame.
const FRAME_BYTES_MAX: usize = 100 << 20;
/// Where a frame behind its length holds the correlation id.
const AT_CORRELATION: usize = 4;
const REPLY_BYTES: usize = 8;
const FILE: FileId = FileId(0);

/// `torc bench bare`.
#[derive(Clone, Debug, Args)]
pub struct BareArgs {
    /// Where it listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9099")]
    pub listen: SocketAddr,
    /// The file that takes the frames, over and over; its content is lost.
    #[arg(long, value_name = "PATH")]
    pub file: PathBuf,
    /// Length of the file, which is written once before the start.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    pub file_bytes: usize,
    /// The file is new and only allocated: each block is written for the first time, as in a log that grows.
    #[arg(long)]
    pub unwritten: bool,
    /// Writes that may be under way at once.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = |text: &str| count_in::<u8>(text, 1..=64))]
    pub depth: u8,
    /// Another bare server that gets every frame, too; answers then wait for a majority of all disks. Can be repeated.
    #[arg(long = "follower", value_name = "ADDR")]
    pub followers: Vec<SocketAddr>,
    /// Microseconds that it spins before it sleeps while a write is under way.
    #[arg(long, value_name = "US", default_value_t = 0, value_parser = |text: &str| count_in::<u32>(text, 0..=u32::MAX.into()))]
    pub spin_us: u32,
}

/// How a connection is read.
enum Receiving {
    /// The length of a frame, into a buffer of its own.
    Head,
    /// The frame itself.
    Body,
    /// Whatever comes: its frames are small.
    Any,
}

struct Conn {
    receiving: Receiving,
    /// The beginning of a frame whose end has not come.
    partial: Vec<u8>,
    /// Replies that wait for the send under way.
    ready: Vec<Buf>,
    sending: bool,
}

/// Whom to answer with what correlation id.
type Waiting = Vec<(ConnId, [u8; 4])>;

/// Frames that become durable with one write, and who waits for it.
#[derive(Default)]
struct Batch {
    runs: Vec<Pages>,
    /// The same as followers get it: frames with their lengths. Empty without followers.
    wire: Vec<Buf>,
    bytes: usize,
    waiting: Waiting,
}

struct Bare {
    pool: Pool,
    /// Where small frames gather.
    gather: Pool,
    name: String,
    file_bytes: u64,
    /// Where the next write goes.
    at: u64,
    depth: usize,
    conns: BTreeMap<ConnId, Conn>,
    /// Small frames that came, and how many bytes of the buffer they take.
    small: Option<(BufMut, usize)>,
    open: Batch,
    cut: VecDeque<Batch>,
    /// Writes under way in the order of asking, and behind one of them those that ended before it: its tag, how many
    /// frames are written when it has ended, whether it has.
    flying: VecDeque<(u64, u64, bool)>,
    followers: Followers,
    /// Who waits for what was written and is not yet answered: the count of frames that must be held, and whom to answer.
    unanswered: VecDeque<(u64, Waiting)>,
    /// Frames that were handed to the disk, and those that are durable there.
    written: u64,
    durable: u64,
    /// Why it cannot go on.
    failed: Option<String>,
    next_tag: u64,
    /// The CRCs of all frames, so that computing them is not idle.
    checksum: u32,
}

type Ops = Vec<Op<()>>;

impl Bare {
    /// Receives a frame's length.
    fn want_head(&mut self, conn: ConnId, ops: &mut Ops) {
        match self.pool.take(4) {
            Some(bytes) => ops.push(Op::RecvExact { conn, bytes, from: 0 }),
            None => ops.push(Op::Close { conn }),
        }
    }

    /// A frame's length came.
    fn head(&mut self, conn: ConnId, head: &[u8], ops: &mut Ops) {
        let length = u32::from_be_bytes(head.try_into().expect("4 bytes were asked for")) as usize;
        let sane = (AT_CORRELATION + 4..=FRAME_BYTES_MAX).contains(&length);
        match self.pool.take(length).filter(|_| sane) {
            Some(bytes) => ops.push(Op::RecvExact { conn, bytes, from: 0 }),
            None => ops.push(Op::Close { conn }),
        }
    }

    /// A frame came into a buffer of its own. Large ones are written from there.
    fn body(&mut self, conn: ConnId, frame: BufMut, ops: &mut Ops) {
        let large = frame.len() >= LARGE_FRAME;
        if !large {
            self.small_frame(conn, &frame, ops);
        } else {
            self.count(&frame);
            self.close_small();
            self.open.waiting.push((conn, correlation(&frame)));
            self.open.bytes += frame.len();
            let frame = frame.freeze();
            self.open.runs.push(frame.pages());
            if !self.followers.are_none() {
                self.open.wire.extend([Buf::copy_of(&(frame.len() as u32).to_be_bytes()), frame]);
            }
            self.cut_if_full();
        }
        let Some(state) = self.conns.get_mut(&conn) else { return };
        if large {
            state.receiving = Receiving::Head;
            self.want_head(conn, ops);
        } else {
            state.receiving = Receiving::Any;
            ops.push(Op::Recv { conn });
        }
    }

    /// Bytes came that may hold several frames and parts of frames.
    fn any(&mut self, conn: ConnId, bytes: &[u8], ops: &mut Ops) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let mut partial = std::mem::take(&mut state.partial);
        let joined = !partial.is_empty();
        if joined {
            partial.extend_from_slice(bytes);
        }
        let mut rest: &[u8] = if joined { &partial } else { bytes };
        while let Some((head, behind)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*head) as usize;
            if !(AT_CORRELATION + 4..=FRAME_BYTES_MAX).contains(&length) {
                return ops.push(Op::Close { conn });
            }
            let Some((frame, behind)) = behind.split_at_checked(length) else { break };
            self.small_frame(conn, frame, ops);
            rest = behind;
        }
        let rest = rest.to_vec();
        if let Some(state) = self.conns.get_mut(&conn) {
            state.partial = rest;
        }
    }

    fn small_frame(&mut self, conn: ConnId, frame: &[u8], ops: &mut Ops) {
        self.count(frame);
        let length = (frame.len() as u32).to_be_bytes();
        // Followers want it, the disk does not.
        let length = if self.followers.are_none() { &[][..] } else { &length[..] };
        let bytes = length.len() + frame.len();
        let room = self.small.as_ref().map_or(0, |(buffer, used)| buffer.len() - used);
        if room < bytes {
            self.close_small();
            let Some(buffer) = self.gather.take(GATHER_BYTES.max(bytes)) else {
                return ops.push(Op::Close { conn });
            };
            self.small = Some((buffer, 0));
        }
        let (buffer, used) = self.small.as_mut().expect("there is room");
        let (before, rest) = buffer[*used..*used + bytes].split_at_mut(length.len());
        before.copy_from_slice(length);
        rest.copy_from_slice(frame);
        *used += bytes;
        self.open.bytes += frame.len();
        self.open.waiting.push((conn, correlation(frame)));
        self.cut_if_full();
    }

    fn count(&mut self, frame: &[u8]) {
        self.checksum ^= crc32c(frame);
    }

    /// Small frames so far become a run of the open batch.
    fn close_small(&mut self) {
        if let Some((buffer, used)) = self.small.take().filter(|(_, used)| *used > 0) {
            let frames = buffer.freeze().slice(0..used);
            self.open.runs.push(frames.pages());
            if !self.followers.are_none() {
                self.open.wire.push(frames);
            }
        }
    }

    fn cut_if_full(&mut self) {
        if self.open.bytes >= WRITE_BYTES || self.open.runs.len() >= WRITE_RUNS {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.close_small();
        if !self.open.waiting.is_empty() {
            self.cut.push_back(std::mem::take(&mut self.open));
        }
    }

    /// Everything has been delivered: writes what came, as far as writes may be under way.
    fn turn(&mut self, ops: &mut Ops) {
        while self.flying.len() < self.depth {
            if self.cut.is_empty() {
                self.cut();
            }
            let Some(batch) = self.cut.pop_front() else { return };
            let length: u64 = batch.runs.iter().map(|run| run.len() as u64).sum();
            if self.at + length > self.file_bytes {
                self.at = 0;
            }
            let kind = DiskKind::Write { file: FILE, at: self.at, runs: batch.runs, durable: true };
            self.at += length;
            self.next_tag += 1;
            self.written += batch.waiting.len() as u64;
            self.flying.push_back((self.next_tag, self.written, false));
            self.unanswered.push_back((self.written, batch.waiting));
            self.followers.forward(&batch.wire, ops);
            ops.push(Op::Disk(DiskOp { tag: Tag(self.next_tag), kind }));
        }
    }

    /// A write is durable.
    fn durable(&mut self, done: DiskDone, ops: &mut Ops) {
        let result = done.result.unwrap_or_else(|error| panic!("the bare server's file {}: {error}", self.name));
        if let DiskOk::Opened { bytes } = result {
            assert!(bytes >= self.file_bytes, "the file was written before the start");
            return;
        }
        let (_, _, ended) =
            self.flying.iter_mut().find(|(tag, _, _)| *tag == done.tag.get()).expect("a write that was asked for");
        *ended = true;
        // Answers of a connection come in the order of its requests, so writes count in their order.
        while let Some((_, frames, true)) = self.flying.front() {
            self.durable = *frames;
            self.flying.pop_front();
        }
        self.answer(ops);
    }

    /// Everybody whose frame enough disks have gets a reply.
    fn answer(&mut self, ops: &mut Ops) {
        let held = self.followers.held_by_majority(self.durable);
        while self.unanswered.front().is_some_and(|(frames, _)| *frames <= held) {
            let (_, waiting) = self.unanswered.pop_front().expect("just seen");
            self.reply(waiting, ops);
        }
    }

    fn reply(&mut self, waiting: Waiting, ops: &mut Ops) {
        let mut replies = self.pool.take(waiting.len() * REPLY_BYTES).expect("replies are small");
        for (reply, (_, correlation)) in replies.chunks_exact_mut(REPLY_BYTES).zip(&waiting) {
            reply[..4].copy_from_slice(&4u32.to_be_bytes());
            reply[4..].copy_from_slice(correlation);
        }
        let replies = replies.freeze();
        for (i, (conn, _)) in waiting.into_iter().enumerate() {
            let Some(state) = self.conns.get_mut(&conn) else { continue };
            let reply = replies.slice(i * REPLY_BYTES..(i + 1) * REPLY_BYTES);
            if state.sending {
                state.ready.push(reply);
            } else {
                state.sending = true;
                ops.push(Op::Send { conn, parts: vec![reply] });
            }
        }
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8], ops: &mut Ops) {
        if self.followers.answered(conn, bytes.len()) {
            self.answer(ops);
        } else {
            self.any(conn, bytes, ops);
        }
    }

    fn closed(&mut self, conn: ConnId, ops: &mut Ops) {
        match self.followers.lost(conn) {
            Some(why) => self.fail(why, ops),
            None => drop(self.conns.remove(&conn)),
        }
    }

    fn fail(&mut self, why: String, ops: &mut Ops) {
        self.failed = Some(why);
        ops.push(Op::Exit);
    }

    fn sent(&mut self, conn: ConnId, ops: &mut Ops) {
        if self.followers.sent(conn, ops) {
            return;
        }
        let Some(state) = self.conns.get_mut(&conn) else { return };
        state.sending = !state.ready.is_empty();
        if state.sending {
            ops.push(Op::Send { conn, parts: std::mem::take(&mut state.ready) });
        }
    }

    fn filled(&mut self, conn: ConnId, bytes: BufMut, ops: &mut Ops) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        match state.receiving {
            Receiving::Head => {
                state.receiving = Receiving::Body;
                self.head(conn, &bytes, ops);
            }
            Receiving::Body => self.body(conn, bytes, ops),
            Receiving::Any => unreachable!("an exact receive that nobody asked for"),
        }
    }
}

/// A frame's correlation id, as it is sent back.
fn correlation(frame: &[u8]) -> [u8; 4] {
    frame[AT_CORRELATION..AT_CORRELATION + 4].try_into().expect("4 bytes")
}

impl App for Bare {
    type Mail = ();

    fn step(&mut self, _: Now, event: Event<()>, ops: &mut Ops) {
        match event {
            Event::Start => {
                let kind = DiskKind::Open { file: FILE, name: self.name.clone() };
                ops.push(Op::Disk(DiskOp { tag: Tag(0), kind }));
                self.followers.call(ops);
            }
            Event::Accepted { conn, .. } => {
                let state = Conn { receiving: Receiving::Head, partial: Vec::new(), ready: Vec::new(), sending: false };
                self.conns.insert(conn, state);
                self.want_head(conn, ops);
            }
            Event::Received { conn, bytes } => self.received(conn, &bytes, ops),
            Event::Filled { conn, bytes } => self.filled(conn, bytes, ops),
            Event::Starved { conn } => ops.push(Op::Recv { conn }),
            Event::Eof { conn } => ops.push(Op::Close { conn }),
            Event::Sent { conn } => self.sent(conn, ops),
            Event::Closed { conn } => self.closed(conn, ops),
            Event::Connected { call, conn } => self.followers.connected(call, conn, ops),
            Event::Unreachable { call, error } => self.fail(self.followers.unreachable(call, error), ops),
            Event::Disk(done) => self.durable(done, ops),
            Event::Turn => self.turn(ops),
            Event::Stop => ops.push(Op::Exit),
            Event::Paused { .. } | Event::Halted { .. } | Event::TakenBack { .. } | Event::Room { .. } => {}
            Event::Mail { .. } | Event::Adopted { .. } => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        None
    }

    fn busy(&self) -> bool {
        !self.flying.is_empty()
    }
}

/// Serves until the process is ended.
pub fn run(args: &BareArgs, out: &mut dyn Write) -> Result<(), Error> {
    let file_bytes = (args.file_bytes.next_multiple_of(PAGE) as u64).max(64 << 20);
    let (directory, name) = match args.unwritten {
        true => allocate(&args.file, file_bytes)?,
        false => prewrite(&args.file, file_bytes)?,
    };
    let gather = Pool::with_arena(MEMORY, MEMORY / 4, GATHER_BYTES, GATHER_BUFS);
    let app = Bare {
        pool: Pool::new(MEMORY, MEMORY / 4),
        gather: gather.clone(),
        name,
        file_bytes,
        at: 0,
        depth: usize::from(args.depth),
        conns: BTreeMap::new(),
        small: None,
        open: Batch::default(),
        cut: VecDeque::new(),
        flying: VecDeque::new(),
        followers: Followers::new(&args.followers),
        unanswered: VecDeque::new(),
        written: 0,
        durable: 0,
        failed: None,
        next_tag: 0,
        checksum: 0,
    };
    let mut settings = LoopSettings::new(ShardId(0), directory);
    let listener = listen(args.listen).map_err(Error::io(format!("listening on {}", args.listen)))?;
    let address = listener.local_addr().map_err(Error::io("asking for the port"))?;
    settings.listeners = vec![listener];
    settings.spin_us = args.spin_us;
    settings.recv_buf_bytes = RECV_BUF_BYTES;
    settings.recv_pool = Pool::new(MEMORY, 2 * RECV_BUFS * RECV_BUF_BYTES);
    settings.registered = Some(gather);
    probe::raise_open_files();
    let features = probe::probe().map_err(|refusal| Error::Unfit(refusal.to_string()))?;
    let post = mesh(1).map_err(Error::io("making the loop"))?.remove(0);
    writeln!(out, "bare server on {address}").and_then(|()| out.flush()).map_err(Error::io("saying so"))?;
    let mut log = |level: Level, text: &str| eprintln!("{level:?} {text}");
    let end = reactor::run(settings, &features, post, app, Arc::new(LoopStats::default()), &mut log);
    let app = end.map_err(|error| Error::Unfit(error.to_string()))?;
    app.failed.map_or(Ok(()), |why| Err(Error::Unfit(why)))
}

/// A path's directory and its name there.
fn split(path: &Path) -> Result<(PathBuf, String), Error> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Error::Unfit(format!("{} names no file", path.display())))?.to_string();
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    Ok((directory, name))
}

/// Makes `path` a new file of `bytes` of which none has been written. Returns its directory and its name.
fn allocate(path: &Path, bytes: u64) -> Result<(PathBuf, String), Error> {
    let place = split(path)?;
    let doing = || Error::io(format!("allocating {}", path.display()));
    // Blocks of an older file of this name would have been written before.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(doing()(error)),
        _ => {}
    }
    let file = std::fs::File::create(path).map_err(doing())?;
    let allocated = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes);
    allocated.map_err(|error| doing()(error.into()))?;
    file.sync_all().map_err(doing())?;
    Ok(place)
}

/// Makes `path` a file of `bytes` that have all been written once, so that overwriting them touches no metadata.
/// Returns its directory and its name.
pub fn prewrite(path: &Path, bytes: u64) -> Result<(PathBuf, String), Error> {
    const PIECE: usize = 1 << 20;
    let doing = || format!("writing {}", path.display());
    let (directory, name) = split(path)?;
    if std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == bytes) {
        return Ok((directory, name));
    }
    let mut file = std::fs::File::create(path).map_err(Error::io(doing()))?;
    let piece = vec![0xa5; PIECE];
    let mut left = bytes;
    while left > 0 {
        let n = left.min(PIECE as u64) as usize;
        file.write_all(&piece[..n]).map_err(Error::io(doing()))?;
        left -= n as u64;
    }
    file.sync_all().map_err(Error::io(doing()))?;
    Ok((directory, name))
}
