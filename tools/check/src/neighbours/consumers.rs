//! Neighbours that read, or should.

use super::asks::{self, Fetch};
use super::data::{COLD, HOT, SHARED, Size, WRITTEN};
use super::kinds::{Seen, Stage};
use super::peer::{Goodbye, Peer, crowd};
use crate::content::{self, Sender};
use crate::failure::Result;
use crate::kill::now_ms;
use crate::wire::{ACKS_ALL, Client, Produce};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use torc_base::prng::Prng;
use torc_net::kafka::records::Codec;

/// What the kernel takes for a reader that does not read: next to nothing.
const SMALL_WINDOW: Option<usize> = Some(4096);
/// As much as one answer may have.
const MUCH: i32 = 64 << 20;
/// Longest wait of an honest neighbour. Nothing is judged by it but that an answer comes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests of one connection that asks for much.
const ASKED_AHEAD: usize = 4;

/// One of several ways to ask for much of what is old.
fn much(size: &Size, way: usize) -> Fetch<'static> {
    let all = |offset| (0..size.cold_partitions).map(|index| (index, offset)).collect();
    match way % 4 {
        0 => Fetch::of(COLD, vec![(0, 0)], MUCH),
        1 => Fetch { part_bytes: 1 << 20, bytes: 50 << 20, ..Fetch::of(COLD, all(0), MUCH) },
        2 => Fetch::of(COLD, all(i64::from(size.cold_batches) / 2), MUCH),
        _ => Fetch::of(COLD, vec![(0, i64::from(size.cold_batches_first) / 2)], i32::MAX),
    }
}

/// Connections that have asked for much, each several times.
fn askers(stage: &Stage, count: usize) -> Result<Vec<Peer>> {
    let mut peers = crowd(stage.kafka, count, SMALL_WINDOW)?;
    for (way, peer) in peers.iter_mut().enumerate() {
        peer.say(&much(&stage.size, way).frame()?.repeat(ASKED_AHEAD));
    }
    Ok(peers)
}

fn closed(peers: &[Peer]) -> usize {
    peers.iter().filter(|peer| peer.closed).count()
}

/// See [`super::kinds::Kind::UnreadFetches`]; so the others.
pub fn unread(stage: Stage) -> Result<Seen> {
    let peers = askers(&stage, stage.size.of(120))?;
    stage.here();
    while stage.rest(Duration::from_secs(1)) {}
    Ok(Seen::of(format!("{} connections that read nothing", peers.len())))
}

pub fn trickle(stage: Stage) -> Result<Seen> {
    let mut peers = askers(&stage, stage.size.of(120))?;
    let mut read = 0;
    stage.here();
    while stage.rest(Duration::from_secs(1)) {
        read += peers.iter_mut().map(|peer| peer.swallow(1)).sum::<usize>();
    }
    Ok(Seen::of(format!("{} connections that read {read} bytes, {} closed", peers.len(), closed(&peers))))
}

pub fn herds(stage: Stage) -> Result<Seen> {
    let count = stage.size.of(48);
    let (mut rounds, mut lost, mut slowest) = (0, 0, Duration::ZERO);
    while !stage.is_over() && lost == 0 {
        let began = Instant::now();
        let mut peers = crowd(stage.kafka, count, None)?;
        for (number, peer) in peers.iter_mut().enumerate() {
            let parts = (0..stage.size.cold_partitions).map(|index| (index, number as i64 % 8)).collect();
            peer.say(&Fetch { part_bytes: 1 << 20, ..Fetch::of(COLD, parts, 50 << 20) }.frame()?);
        }
        while peers.iter().any(|peer| peer.answers == 0 && !peer.closed) && began.elapsed() < PATIENCE {
            if peers.iter_mut().map(|peer| peer.swallow(1 << 20)).sum::<usize>() == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        lost = peers.iter().filter(|peer| peer.answers == 0).count();
        rounds += 1;
        stage.here();
        slowest = slowest.max(began.elapsed());
    }
    let text = format!("{rounds} herds of {count}, the slowest took {slowest:.1?}, {lost} were not answered");
    Ok(Seen::honest(text, lost == 0))
}

/// Partitions of [`WRITTEN`] that are written in turn.
const FED: i32 = 40;

pub fn unread_tail(stage: Stage) -> Result<Seen> {
    let fed = AtomicU64::new(0);
    thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(&stage, &fed));
        let (mut peers, most) = (Vec::new(), stage.size.of(100));
        let all = || (0..FED).map(|index| (index, 0)).collect();
        while stage.rest(Duration::from_millis(if stage.size.long { 100 } else { 20 })) {
            if peers.len() < most {
                let mut peer = Peer::connect(stage.kafka, Some(64 << 10))?;
                // Where the log starts is unknown: the first answer tells which offsets are out of range.
                let ends = if peers.len() % 2 == 0 { ends(&stage)? } else { all() };
                peer.say(&Fetch { part_bytes: 1 << 20, ..Fetch::of(WRITTEN, ends, 50 << 20) }.frame()?.repeat(2));
                peers.push(peer);
            } else {
                stage.here();
            }
        }
        feeder.join().expect("no panic")?;
        let batches = fed.load(Ordering::Relaxed);
        let text = format!("{} consumers that stopped, beside {batches} batches of 1 MB produced", peers.len());
        Ok(Seen::honest(text, batches > 0))
    })
}

/// The newest record of each partition that is fed.
fn ends(stage: &Stage) -> Result<Vec<(i32, i64)>> {
    let mut client = Client::connect(stage.kafka)?;
    (0..FED).map(|index| Ok((index, (client.offset(WRITTEN, index, -1)? - 1).max(0)))).collect()
}

/// An honest producer of megabytes, some 40 a second.
fn feed(stage: &Stage, fed: &AtomicU64) -> Result<()> {
    let mut client = Client::connect(stage.kafka)?;
    let sender = Sender { producer: 0, idempotent: None };
    let batch = content::batch(sender, 0, &[1_000_000], Codec::None, now_ms());
    for partition in (0..FED).cycle() {
        if !stage.rest(Duration::from_millis(25)) {
            break;
        }
        let produced = client.produce(Produce { topic: WRITTEN, partition, acks: ACKS_ALL, batch: batch.clone() })?;
        fed.fetch_add(u64::from(produced.error == 0), Ordering::Relaxed);
    }
    Ok(())
}

pub fn pipelined(stage: Stage) -> Result<Seen> {
    let mut peers = crowd(stage.kafka, stage.size.of(60), SMALL_WINDOW)?;
    for (way, peer) in peers.iter_mut().enumerate() {
        let ahead = match way % 4 {
            0 => Fetch::of(COLD, vec![(0, 0)], 1 << 20).frame()?.repeat(100),
            1 => Fetch::of(COLD, vec![(way as i32 % stage.size.cold_partitions, 0)], 10_000).frame()?.repeat(1000),
            2 => Fetch::of(HOT, vec![(0, 0)], 1 << 20).frame()?.repeat(200),
            _ => much(&stage.size, way / 4).frame()?.repeat(100),
        };
        peer.say(&ahead);
    }
    stage.here();
    while stage.rest(Duration::from_millis(100)) {
        for peer in &mut peers {
            peer.flush(usize::MAX);
        }
    }
    let waiting: usize = peers.iter().map(Peer::backlog).sum();
    Ok(Seen::of(format!(
        "{} connections, {waiting} bytes of requests not taken, {} closed",
        peers.len(),
        closed(&peers)
    )))
}

pub fn long_polls(stage: Stage) -> Result<Seen> {
    let mut peers = crowd(stage.kafka, stage.size.of(100), None)?;
    let end = Client::connect(stage.kafka)?.offset(HOT, 0, -1)?;
    for (way, peer) in peers.iter_mut().enumerate() {
        let parts = match way % 3 {
            0 => vec![(0, end)],
            // What is there already is much, and not enough.
            1 => vec![(0, (end - 1000).max(0))],
            _ => vec![(0, 0)],
        };
        let fetch = Fetch { min_bytes: 512 << 20, wait_ms: 600_000, ..Fetch::of(HOT, parts, 24_000_000) };
        let fetch = if way % 3 == 0 { Fetch { min_bytes: 20_000_000, ..fetch } } else { fetch };
        peer.say(&fetch.frame()?);
    }
    stage.here();
    while stage.rest(Duration::from_millis(200)) {
        for peer in &mut peers {
            peer.swallow(1 << 20);
        }
    }
    let answers: u64 = peers.iter().map(|peer| peer.answers).sum();
    Ok(Seen::of(format!("{} long polls, {answers} of them answered meanwhile", peers.len())))
}

/// Requests for sessions of one connection that have no answer yet.
const SESSIONS_AHEAD: u64 = 6;

pub fn sessions(stage: Stage) -> Result<Seen> {
    let mut peers = crowd(stage.kafka, stage.size.of(20), None)?;
    let parts: Vec<(i32, i64)> = (0..stage.size.shared_partitions).map(|index| (index, 0)).collect();
    let quick = |parts, bytes| Fetch { min_bytes: 0, wait_ms: 0, ..Fetch::of(SHARED, parts, bytes) };
    let new = Fetch { session: (0, 0), ..quick(parts, 2000) }.frame()?;
    let stale = Fetch { session: (7, 3), ..quick(vec![(0, 0)], 2000) }.frame()?;
    let mut asked = vec![0; peers.len()];
    stage.here();
    while stage.rest(Duration::from_millis(10)) {
        for (peer, asked) in peers.iter_mut().zip(&mut asked) {
            peer.swallow(usize::MAX);
            if *asked <= peer.answers + SESSIONS_AHEAD {
                peer.say(&new.repeat(2));
                peer.say(&stale);
                *asked += 3;
            }
        }
    }
    let answers: u64 = peers.iter().map(|peer| peer.answers).sum();
    Ok(Seen::honest(format!("{answers} sessions asked for, over {} connections", peers.len()), answers > 0))
}

pub fn max_timestamps(stage: Stage) -> Result<Seen> {
    let mut prng = Prng::new(stage.seed);
    let mut ask = || asks::list_offsets(SHARED, prng.below(stage.size.shared_partitions as u64) as i32, -3);
    let count = stage.size.of(40);
    let (mut left, mut answered, mut slowest) = (0, 0, Duration::ZERO);
    let mut staying: Vec<(Peer, Instant)> = Vec::new();
    loop {
        let over = stage.is_over();
        staying.retain_mut(|(peer, began)| {
            peer.swallow(usize::MAX);
            if peer.answers > 0 {
                answered += 1;
                slowest = slowest.max(began.elapsed());
            }
            peer.answers == 0 && began.elapsed() < PATIENCE
        });
        let late = staying.iter().any(|(peer, began)| peer.closed || began.elapsed() > PATIENCE);
        if late || over && staying.is_empty() {
            break;
        }
        if !over {
            while staying.len() < count {
                let mut peer = Peer::connect(stage.kafka, None)?;
                peer.say(&ask()?);
                staying.push((peer, Instant::now()));
            }
            for how in [Goodbye::Reset, Goodbye::Close] {
                let mut peer = Peer::connect(stage.kafka, None)?;
                peer.say(&ask()?.repeat(3));
                peer.leave(how);
                left += 1;
            }
            stage.here();
        }
        thread::sleep(Duration::from_millis(20));
    }
    let waiting = staying.len();
    let text =
        format!("{answered} answered, the slowest after {slowest:.1?}; {left} left at once; {waiting} had no answer");
    Ok(Seen::honest(text, waiting == 0 && answered > 0))
}

pub fn vanishing(stage: Stage) -> Result<Seen> {
    let mut gone = 0;
    let mut silent = Vec::new();
    while stage.rest(Duration::from_millis(20)) {
        let mut peers = crowd(stage.kafka, stage.size.of(20), Some(64 << 10))?;
        for (way, peer) in peers.iter_mut().enumerate() {
            peer.say(&much(&stage.size, way).frame()?.repeat(2));
        }
        // Long enough for an answer to be on its way, or not.
        thread::sleep(Duration::from_millis(gone % 4 * 10));
        for (way, mut peer) in peers.into_iter().enumerate() {
            peer.swallow(way % 3 * 50_000);
            gone += 1;
            match way % 4 {
                0 | 1 => peer.leave(Goodbye::Reset),
                2 => peer.leave(Goodbye::Close),
                _ => {
                    peer.say_no_more();
                    silent.push(peer);
                }
            }
        }
        if silent.len() > stage.size.of(200) {
            silent.clear();
        }
        stage.here();
    }
    Ok(Seen::of(format!("{gone} clients that vanished in the middle of an answer")))
}
