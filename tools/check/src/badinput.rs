//! Bad input: whoever sends it gets an error or loses the connection; nobody else notices.

use crate::content::{self, Mark, Sender};
use crate::failure::{Failure, Result, wrong};
use crate::kill::{now_ms, wait_until};
use crate::process::{Launch, Server, raise_open_files};
use crate::report::{Report, percentiles};
use crate::wire::{ACKS_ALL, Client, Produce, batches, produce_frame};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use torc_base::crc::crc32c;
use torc_base::limits;
use torc_base::prng::Prng;
use torc_net::kafka::records::{self, Codec};

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub torc: PathBuf,
    /// An empty directory.
    pub dir: PathBuf,
    pub shards: u16,
    /// Connections of each kind of short attack.
    pub tries: u32,
    /// Connections that hold half a frame each, at once.
    pub halves: u32,
    pub seed: u64,
}

const TOPIC: &str = "attacked";
/// A connection that was ended by its client must be gone from the server's side within this.
const PATIENCE: Duration = Duration::from_secs(10);
/// A round trip of the good client that is worth a line.
const SLOW: Duration = Duration::from_millis(200);
/// Frames of which connections send the first half: one that fits a receive buffer, one that gets a buffer of its own.
const HALF_FRAMES: [usize; 2] = [600, 80_000];
/// Connections that promise the longest frame that is allowed and send a little of it.
const LONG_PROMISES: u32 = 40;

/// Runs all attacks against one server with one good client.
pub fn run(plan: &Plan) -> Result<Report> {
    let mut report = Report::new("badinput");
    let mut prng = Prng::new(plan.seed);
    let open_files = raise_open_files();
    let server = Launch::new(&plan.torc, &plan.dir).shards(Some(plan.shards)).start()?;
    Client::connect(server.kafka)?.create_topic(TOPIC, 4, &[])?;
    let stop = AtomicBool::new(false);
    let good = thread::scope(|scope| {
        let good = scope.spawn(|| good_client(server.kafka, &stop));
        let result = attack(plan, &server, &mut report, &mut prng, open_files);
        stop.store(true, Ordering::Relaxed);
        let good = good.join().expect("the good client does not panic");
        result.and(Ok(good))
    })?;
    match good {
        Ok(mut times) => {
            percentiles(&mut report, "good_client_round_trip", &mut times);
            let seen = format!("{} produces and fetches without an error", times.len());
            report.demand("a good client notices nothing", times.len() > 10, seen);
        }
        Err(failure) => {
            report.demand("a good client notices nothing", false, failure.to_string());
        }
    }
    memory(plan, server, &mut report)?;
    Ok(report)
}

fn attack(plan: &Plan, server: &Server, report: &mut Report, prng: &mut Prng, open_files: u64) -> Result<()> {
    let address = server.kafka;
    noise(address, plan.tries, prng, report)?;
    truncated(address, plan.tries, prng, report)?;
    lengths(address, report)?;
    unknown(address, report)?;
    bad_batches(address, plan.tries, prng, report)?;
    mutated(address, plan.tries, prng, report)?;
    promises(server, report)?;
    // Both ends of every connection are not in one process: the limit holds for each.
    let halves = plan.halves.min(u32::try_from(open_files.saturating_sub(200)).unwrap_or(u32::MAX));
    for bytes in HALF_FRAMES {
        half_frames(server, halves, bytes, report)?;
    }
    Ok(())
}

/// Produces and reads back, all the time; the times of its round trips.
fn good_client(address: SocketAddr, stop: &AtomicBool) -> Result<Vec<Duration>> {
    let (mut client, mut times) = (Client::connect(address)?, Vec::new());
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let batch = content::batch(Sender { producer: 0, idempotent: None }, number, &[200], Codec::None, now_ms());
        let produced = client.produce(Produce { topic: TOPIC, partition: 0, acks: ACKS_ALL, batch })?;
        let produced_in = began.elapsed();
        if produced.error != 0 {
            return wrong(format!("its batch {number} got error {}", produced.error));
        }
        let fetched = client.fetch(TOPIC, &[(0, produced.base_offset)], 1 << 20, 1000)?;
        times.push(began.elapsed());
        if began.elapsed() > SLOW {
            eprintln!("      a good round trip took {:.0?}, of it {produced_in:.0?} to produce", began.elapsed());
        }
        let part = fetched.into_iter().next().map_or_else(|| wrong("an empty fetch"), Ok)?;
        let got = batches(part.records)?;
        let Some((_, bytes)) = got.first() else { return wrong("what it produced does not come back") };
        let read = records::read(bytes).or_else(|e| wrong(e.to_string()))?;
        let mark = content::read(read[0].value.as_deref().unwrap_or_default())?;
        if mark != (Mark { producer: 0, number }) {
            return wrong(format!("instead of record {number} it read {mark:?}"));
        }
        number += 1;
        if times.last().is_some_and(|time| *time > PATIENCE) {
            return wrong(format!("round trip {number} took {:?}", times.last()));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(times)
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Closed without a word.
    Closed,
    /// Answered with so many bytes, then closed after the client had ended.
    Answered(usize),
    /// Still open when patience ended.
    Open,
}

/// Sends bytes, ends the sending side if `end`, and waits for what comes.
fn send(address: SocketAddr, bytes: &[u8], end: bool) -> Result<Outcome> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // The server may close while this is being sent; that is one of the good ends.
    if stream.write_all(bytes).is_err() {
        return Ok(Outcome::Closed);
    }
    if end && stream.shutdown(Shutdown::Write).is_err() {
        return Ok(Outcome::Closed);
    }
    let (mut answer, mut chunk) = (0, [0; 4096]);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(if answer > 0 { Outcome::Answered(answer) } else { Outcome::Closed }),
            Ok(n) => answer += n,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                return Ok(Outcome::Open);
            }
            Err(_) => return Ok(Outcome::Closed),
        }
    }
}

/// Counts outcomes of `tries` connections and demands that none stays open.
fn ends(
    report: &mut Report,
    what: &str,
    tries: u32,
    mut connection: impl FnMut(u32) -> Result<Outcome>,
) -> Result<(u32, u32)> {
    let (mut closed, mut answered, mut open) = (0, 0, 0);
    for n in 0..tries {
        match connection(n)? {
            Outcome::Closed => closed += 1,
            Outcome::Answered(_) => answered += 1,
            Outcome::Open => open += 1,
        }
        if open > 3 {
            break; // each costs patience, and the demand has failed
        }
    }
    report.demand(what, open == 0, format!("{closed} closed, {answered} answered, {open} left open"));
    Ok((closed, answered))
}

fn noise(address: SocketAddr, tries: u32, prng: &mut Prng, report: &mut Report) -> Result<()> {
    ends(report, "random bytes", tries, |_| {
        let mut bytes = vec![0; prng.between(1, 3000) as usize];
        prng.fill(&mut bytes);
        if prng.chance(1, 2) && bytes.len() > 4 {
            // With a right length, so that they reach the decoder.
            let length = (bytes.len() - 4) as u32;
            bytes[..4].copy_from_slice(&length.to_be_bytes());
        }
        send(address, &bytes, true)
    })?;
    Ok(())
}

/// A good produce frame of one record to partition 1.
fn good_frame(size: usize) -> Result<Vec<u8>> {
    let sender = Sender { producer: 1, idempotent: None };
    let batch = content::batch(sender, 0, &[size], Codec::None, now_ms());
    Ok(produce_frame(Produce { topic: TOPIC, partition: 1, acks: ACKS_ALL, batch }, 7)?.to_vec())
}

fn truncated(address: SocketAddr, tries: u32, prng: &mut Prng, report: &mut Report) -> Result<()> {
    let frames = [good_frame(300)?, good_frame(50_000)?];
    let (_, answered) = ends(report, "truncated frames", tries, |n| {
        let frame = &frames[(n % 2) as usize];
        send(address, &frame[..prng.below(frame.len() as u64) as usize], true)
    })?;
    report.demand("no truncated frame is taken", answered == 0, format!("{answered} answered"));
    Ok(())
}

fn lengths(address: SocketAddr, report: &mut Report) -> Result<()> {
    for length in [limits::FRAME_BYTES_MAX as u32 + 1, i32::MAX as u32, u32::MAX, 1 << 31] {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0; 100]);
        let outcome = send(address, &bytes, false)?;
        report.demand(
            format!("a frame of {} bytes", length as i32),
            outcome == Outcome::Closed,
            format!("{outcome:?}"),
        );
    }
    Ok(())
}

/// A frame with nothing but a header of version 1.
fn header_only(api: i16, version: i16) -> Vec<u8> {
    let mut frame = vec![0, 0, 0, 10];
    frame.extend_from_slice(&api.to_be_bytes());
    frame.extend_from_slice(&version.to_be_bytes());
    frame.extend_from_slice(&[0, 0, 0, 9, 0xff, 0xff]);
    frame
}

fn unknown(address: SocketAddr, report: &mut Report) -> Result<()> {
    for (api, version) in [(-1, 0), (999, 0), (i16::MAX, 3), (4, 0), (0, 99), (1, -1), (3, 100), (0, 2)] {
        let outcome = send(address, &header_only(api, version), false)?;
        let what = format!("API key {api} version {version}");
        report.demand(what, outcome == Outcome::Closed, format!("{outcome:?}"));
    }
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&header_only(18, 77))?;
    let mut answer = [0; 10];
    stream.read_exact(&mut answer)?;
    let code = i16::from_be_bytes([answer[8], answer[9]]);
    report.demand("ApiVersions of an unknown version is answered", code == 35, format!("error {code}"));
    Ok(())
}

/// Damages a batch in one of several ways; the second is whether its CRC is made right again.
fn damage(batch: &mut Vec<u8>, prng: &mut Prng) -> (&'static str, bool) {
    let body = records::HEADER as u64;
    match prng.below(6) {
        0 => {
            let at = prng.between(body, batch.len() as u64 - 1) as usize;
            batch[at] ^= 1 << prng.below(8);
            ("CRC", false)
        }
        1 => {
            batch[records::HEADER] = batch[records::HEADER].wrapping_add(2 * prng.between(1, 100) as u8);
            ("record length", true)
        }
        2 => {
            batch[57..61].copy_from_slice(&(prng.next_u64() as u32).to_be_bytes());
            ("record count", true)
        }
        3 => {
            batch[8..12].copy_from_slice(&(prng.next_u64() as u32).to_be_bytes());
            ("batch length", true)
        }
        4 => {
            batch[16] = [0, 1, 3, 255][prng.below(4) as usize];
            ("magic", true)
        }
        _ => {
            batch.truncate(prng.between(1, batch.len() as u64 - 1) as usize);
            ("cut short", false)
        }
    }
}

/// Batches that are wrong inside good frames: the protocol's error, and the connection goes on.
fn bad_batches(address: SocketAddr, tries: u32, prng: &mut Prng, report: &mut Report) -> Result<()> {
    let mut client = Client::connect(address)?;
    let (mut refused, mut taken) = (0, Vec::new());
    for n in 0..tries {
        let sender = Sender { producer: 2, idempotent: None };
        let sizes: Vec<usize> = (0..prng.between(1, 4)).map(|_| prng.between(10, 300) as usize).collect();
        let mut batch = content::batch(sender, n, &sizes, Codec::None, now_ms());
        let (what, seal) = damage(&mut batch, prng);
        if seal {
            let crc = crc32c(&batch[records::CRC_PREFIX..]);
            batch[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        let produced = client.produce(Produce { topic: TOPIC, partition: 2, acks: ACKS_ALL, batch })?;
        match produced.error {
            // CORRUPT_MESSAGE, UNSUPPORTED_FOR_MESSAGE_FORMAT, INVALID_RECORD, MESSAGE_TOO_LARGE
            2 | 43 | 87 | 10 => refused += 1,
            code => taken.push((what, code)),
        }
    }
    let seen = format!("{refused} of {tries} refused on one connection, others: {taken:?}");
    report.demand("damaged record batches get their error", taken.is_empty(), seen);
    let end = client.offset(TOPIC, 2, -1)?;
    report.demand("no damaged batch is in the log", end == 0, format!("the log ends at {end}"));
    Ok(())
}

/// Good frames with a few bits flipped anywhere: an answer or a closed connection.
fn mutated(address: SocketAddr, tries: u32, prng: &mut Prng, report: &mut Report) -> Result<()> {
    let frame = good_frame(200)?;
    ends(report, "frames with flipped bits", tries, |_| {
        let mut bytes = frame.clone();
        for _ in 0..prng.between(1, 6) {
            let at = prng.between(4, bytes.len() as u64 - 1) as usize;
            bytes[at] ^= 1 << prng.below(8);
        }
        send(address, &bytes, true)
    })?;
    Ok(())
}

/// Opens connections that each send `sent` and then nothing.
fn hold(address: SocketAddr, count: u32, sent: &[u8]) -> Result<Vec<TcpStream>> {
    let mut held = Vec::new();
    for n in 0..count {
        let mut stream = TcpStream::connect(address)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        // A server that closes these is right, one that does not read on is, too.
        stream.set_nonblocking(true)?;
        let _ = stream.write(sent);
        held.push(stream);
        if n % 500 == 499 {
            thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(held)
}

/// While many connections hold what they hold: others are served, small and large requests.
fn others_are_served(server: &Server, what: &str, report: &mut Report) -> Result<()> {
    for size in [100, 200_000] {
        let began = Instant::now();
        let served = (|| {
            let mut client = Client::connect(server.kafka)?;
            client.stream().set_read_timeout(Some(PATIENCE))?;
            let batch = content::batch(Sender { producer: 3, idempotent: None }, 0, &[size], Codec::None, now_ms());
            client.produce(Produce { topic: TOPIC, partition: 3, acks: ACKS_ALL, batch })
        })();
        let good = matches!(served, Ok(produced) if produced.error == 0);
        let seen = match served {
            Ok(produced) => format!("error code {} after {:.1?}", produced.error, began.elapsed()),
            Err(Failure::Lost(error)) => format!("nothing after {:.1?}: {error}", began.elapsed()),
            Err(failure) => failure.to_string(),
        };
        report.demand(format!("{what}: a new client's request of {size} bytes"), good, seen);
    }
    Ok(())
}

fn promises(server: &Server, report: &mut Report) -> Result<()> {
    let mut sent = ((limits::FRAME_BYTES_MAX - 1) as u32).to_be_bytes().to_vec();
    sent.extend_from_slice(&good_frame(1000)?[4..]);
    let held = hold(server.kafka, LONG_PROMISES, &sent)?;
    thread::sleep(Duration::from_millis(500));
    report.number("long_promises_request_memory_mib", server.metric("torc_request_memory_bytes")? / 1048576.0);
    report.number("long_promises_resident_mib", server.memory()?.0 as f64 / 1048576.0);
    others_are_served(server, &format!("{LONG_PROMISES} promises of 100 MiB"), report)?;
    drop(held);
    settled(server, "after the promises", report)
}

fn half_frames(server: &Server, count: u32, bytes: usize, report: &mut Report) -> Result<()> {
    let frame = good_frame(bytes)?;
    let began = Instant::now();
    let before = server.metric("torc_connections_accepted_total")?;
    let held = hold(server.kafka, count, &frame[..frame.len() / 2])?;
    let what = format!("{count} halves of frames of {bytes} bytes");
    // The first ones may be closed again before the last are accepted: stalled frames give way when memory is short.
    let accepted = || -> Result<f64> { Ok(server.metric("torc_connections_accepted_total")? - before) };
    let all = wait_until(PATIENCE, || Ok(accepted()? >= f64::from(count)))?;
    let seen = format!("{} after {:.1?}", accepted()?, began.elapsed());
    report.demand(format!("{what}: all are accepted"), all, seen);
    let mib = |bytes: f64| bytes / 1048576.0;
    report.number(format!("half_frames_of_{bytes}_left_open"), server.metric("torc_connections")?);
    report
        .number(format!("half_frames_of_{bytes}_request_memory_mib"), mib(server.metric("torc_request_memory_bytes")?));
    report.number(format!("half_frames_of_{bytes}_resident_mib"), mib(server.memory()?.0 as f64));
    others_are_served(server, &what, report)?;
    drop(held);
    settled(server, &format!("after {what}"), report)
}

/// When all bad connections are gone, so is what they held.
fn settled(server: &Server, what: &str, report: &mut Report) -> Result<()> {
    // The good client's connection stays.
    let gone = wait_until(PATIENCE, || {
        Ok(server.metric("torc_connections")? <= 1.0 && server.metric("torc_request_memory_bytes")? < 32e6)
    })?;
    let (connections, memory) = (server.metric("torc_connections")?, server.metric("torc_request_memory_bytes")?);
    let seen = format!("{connections} connections, {:.1} MiB of requests", memory / 1048576.0);
    report.demand(format!("{what}: nothing is left"), gone, seen);
    Ok(())
}

fn memory(plan: &Plan, mut server: Server, report: &mut Report) -> Result<()> {
    let (resident, highest) = server.memory()?;
    report.number("resident_mib", resident as f64 / 1048576.0);
    report.number("resident_highest_mib", highest as f64 / 1048576.0);
    let per_shard = limits::RECV_MEMORY
        + limits::FRAMES_MEMORY
        + limits::ANSWERS_MEMORY
        + limits::WAL_MEMORY
        + limits::TAIL_CACHE_BYTES
        + limits::READ_MEMORY;
    let bound = usize::from(plan.shards) * per_shard + (128 << 20);
    let seen = format!("at most {} MiB of {} MiB", highest >> 20, bound >> 20);
    report.demand("memory stays below the sum of its bounds", highest < bound as u64, seen);
    let stopped = server.stop().map_or_else(|failure| failure.to_string(), |()| "exit code 0".to_string());
    report.demand("the server lives, and stops in order", stopped == "exit code 0", stopped.clone());
    Ok(())
}
