//! Neighbours that write, or should.

use super::asks;
use super::data::WRITTEN;
use super::kinds::{Seen, Stage};
use super::peer::{Peer, crowd};
use crate::content::{self, Sender};
use crate::failure::Result;
use crate::kill::now_ms;
use crate::wire::{ACKS_ALL, Produce, produce_frame};
use std::thread;
use std::time::{Duration, Instant};
use torc_base::limits::FRAME_BYTES_MAX;
use torc_net::kafka::records::{self, BuildOptions, Codec, Record};

/// Longest wait for an answer to an upload that is there in full. Nothing is judged by it but that an answer comes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A produce request of one batch of `bytes` bytes.
fn upload(partition: i32, bytes: usize, acks: i16) -> Result<Vec<u8>> {
    let batch = content::batch(Sender { producer: 0, idempotent: None }, 0, &[bytes], Codec::None, now_ms());
    Ok(produce_frame(Produce { topic: WRITTEN, partition, acks, batch }, 1)?.to_vec())
}

/// A producer whose connection is slow.
struct Slow {
    peer: Peer,
    request: Vec<u8>,
    /// Bytes of the upload under way that were handed to the kernel.
    at: usize,
    /// Uploads that were begun; the last of them has no answer yet if there are fewer answers.
    begun: u64,
}

impl Slow {
    /// Sends the next piece of an upload; begins another one when the last was answered, if it is to go on.
    fn step(&mut self, piece: usize, go_on: bool) {
        self.peer.swallow(usize::MAX);
        if !self.is_waiting() && go_on {
            self.begun += 1;
            self.at = 0;
        }
        if self.is_waiting() && self.at < self.request.len() && self.peer.flush(usize::MAX) {
            let end = (self.at + piece).min(self.request.len());
            self.peer.say(&self.request[self.at..end]);
            self.at = end;
        } else {
            self.peer.flush(usize::MAX);
        }
    }

    fn is_waiting(&self) -> bool {
        self.begun > self.peer.answers
    }
}

pub fn slow_uploads(stage: Stage) -> Result<Seen> {
    // In the long form a megabyte takes three seconds, as over a poor line; 400 of them are one gigabit a second.
    let (bytes, pieces, pause) = if stage.size.long { (1_000_000, 10, 300) } else { (300_000, 5, 30) };
    let count = stage.size.of(400).min(stage.size.written_partitions as usize);
    let mut slow = Vec::new();
    for (partition, peer) in crowd(stage.kafka, count, None)?.into_iter().enumerate() {
        let request = upload(partition as i32, bytes, ACKS_ALL)?;
        slow.push(Slow { peer, request, at: 0, begun: 0 });
    }
    stage.here();
    let waiting = |slow: &[Slow]| slow.iter().filter(|one| one.is_waiting()).count();
    let mut over = None;
    // Each is to end what it has begun.
    while over.is_none_or(|since: Instant| waiting(&slow) > 0 && since.elapsed() < PATIENCE) {
        if stage.is_over() {
            over.get_or_insert_with(Instant::now);
        }
        slow.iter_mut().for_each(|one| one.step(bytes / pieces, over.is_none()));
        thread::sleep(Duration::from_millis(pause));
    }
    let closed = slow.iter().filter(|one| one.peer.closed).count();
    let acknowledged: u64 = slow.iter().map(|one| one.peer.answers).sum();
    let waiting = waiting(&slow);
    let text = format!(
        "{count} uploads at once of {bytes} bytes in {pieces} pieces: {acknowledged} acknowledged, {closed} cut off, \
         {waiting} without an answer"
    );
    Ok(Seen::honest(text, closed == 0 && waiting == 0 && acknowledged as usize >= count))
}

pub fn stopped_uploads(stage: Stage) -> Result<Seen> {
    let sizes = [600, 80_000, 1_000_000, 20 << 20, 90 << 20];
    let mut requests = Vec::new();
    for bytes in sizes {
        requests.push(upload(0, bytes, ACKS_ALL)?);
    }
    let mut peers = crowd(stage.kafka, stage.size.of(300), None)?;
    for (way, peer) in peers.iter_mut().enumerate() {
        let request = &requests[way % requests.len()];
        // A half, or all but the last byte.
        let end = if way % 2 == 0 { request.len() / 2 } else { request.len() - 1 };
        peer.say(&request[..end.min(stage.size.of(40 << 20))]);
    }
    stage.here();
    while stage.rest(Duration::from_millis(100)) {
        for peer in &mut peers {
            peer.flush(usize::MAX);
        }
    }
    let closed = peers.iter_mut().filter(|peer| peer.closed).count();
    Ok(Seen::of(format!("{} uploads that stopped, {closed} closed", peers.len())))
}

pub fn empty_promises(stage: Stage) -> Result<Seen> {
    let mut peers = crowd(stage.kafka, stage.size.of(1000), None)?;
    let lengths = [FRAME_BYTES_MAX as u32, FRAME_BYTES_MAX as u32 - 1, 64 << 20, 5 << 20, 1 << 20];
    for (way, peer) in peers.iter_mut().enumerate() {
        let mut bytes = lengths[way % lengths.len()].to_be_bytes().to_vec();
        // Nothing, or what looks like the start of a request.
        if way % 2 == 0 {
            bytes.extend_from_slice(&upload(0, 1000, ACKS_ALL)?[4..]);
        }
        peer.say(&bytes);
    }
    stage.here();
    while stage.rest(Duration::from_secs(1)) {}
    Ok(Seen::of(format!("{} connections that promised up to 100 MB", peers.len())))
}

/// Bytes that one connection of the flood has waiting at most.
const FLOOD_AHEAD: usize = 2 << 20;
/// Requests of the flood in one second, all connections together: as much as a disk of some years ago takes.
const FLOOD_BYTES_A_SECOND: f64 = 100e6;

pub fn flood(stage: Stage) -> Result<Seen> {
    let mut peers = crowd(stage.kafka, stage.size.of(40), None)?;
    let small = upload(0, 100, 0)?.repeat(200);
    let large = upload(1, 900_000, 0)?;
    let (began, mut said) = (Instant::now(), 0);
    stage.here();
    while stage.rest(Duration::from_millis(2)) {
        for (way, peer) in peers.iter_mut().enumerate() {
            peer.flush(usize::MAX);
            let request = if way % 2 == 0 { &small } else { &large };
            if peer.backlog() < FLOOD_AHEAD && said as f64 <= began.elapsed().as_secs_f64() * FLOOD_BYTES_A_SECOND {
                peer.say(request);
                said += request.len();
            }
        }
    }
    Ok(Seen::of(format!("{} producers without acks sent {} MB", peers.len(), said / 1_000_000)))
}

/// Bytes of zeroes in a compressed batch.
const BOMB_BYTES: usize = 200 << 20;

pub fn bombs(stage: Stage) -> Result<Seen> {
    let zeroes = vec![0; if stage.size.long { BOMB_BYTES } else { 30 << 20 }];
    let mut requests = Vec::new();
    for (partition, codec) in [Codec::Gzip, Codec::Zstd, Codec::Lz4, Codec::Snappy].into_iter().enumerate() {
        let value =
            if matches!(codec, Codec::Lz4 | Codec::Snappy) { &zeroes[..zeroes.len() / 16] } else { &zeroes[..] };
        let record = Record { timestamp: now_ms(), value: Some(value), ..Record::default() };
        let bomb = records::build(&[record], &BuildOptions { codec, ..BuildOptions::default() });
        let partition = partition as i32;
        requests.push(asks::produce(WRITTEN, partition..partition + 1, ACKS_ALL, &bomb)?);
        requests.push(asks::list_offsets(WRITTEN, partition, now_ms())?);
    }
    let mut peers = crowd(stage.kafka, stage.size.of(40), None)?;
    let mut asked = vec![0; peers.len()];
    stage.here();
    while stage.rest(Duration::from_millis(10)) {
        for (way, (peer, asked)) in peers.iter_mut().zip(&mut asked).enumerate() {
            peer.swallow(usize::MAX);
            if *asked == peer.answers && !peer.closed {
                peer.say(&requests[(way + *asked as usize) % requests.len()]);
                *asked += 1;
            }
        }
    }
    let answers: u64 = peers.iter().map(|peer| peer.answers).sum();
    let closed = peers.iter().filter(|peer| peer.closed).count();
    Ok(Seen::of(format!("{answers} bombs and searches answered, {closed} connections closed")))
}
