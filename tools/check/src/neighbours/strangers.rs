//! Neighbours that want nothing in particular.

use super::asks;
use super::data::{COLD, WRITTEN};
use super::kinds::{Seen, Stage};
use super::peer::{Goodbye, Peer, crowd};
use crate::content::{self, Sender};
use crate::failure::Result;
use crate::kill::now_ms;
use std::thread;
use std::time::Duration;
use torc_base::prng::Prng;
use torc_net::kafka::records::Codec;

/// What the kernel takes for a reader that does not read: next to nothing.
pub const SMALL_WINDOW: Option<usize> = Some(4096);
/// Bytes of requests of one connection that wait for the kernel.
const AHEAD: usize = 1 << 20;

pub fn storms(stage: Stage) -> Result<Seen> {
    let mut held = crowd(stage.kafka, stage.size.of(2000), None)?;
    stage.here();
    let came = thread::scope(|scope| {
        let storms: Vec<_> = (0..4).map(|way| scope.spawn(move || storm(stage, way))).collect();
        storms.into_iter().map(|storm| storm.join().expect("no panic")).sum::<Result<u64>>()
    })?;
    let closed = held.iter_mut().filter_map(|peer| (peer.swallow(1) == 0 && peer.closed).then_some(())).count();
    Ok(Seen::of(format!("{came} came and went, {} came and said nothing, {closed} of them closed", held.len())))
}

fn storm(stage: Stage, way: usize) -> Result<u64> {
    let hello = asks::api_versions()?;
    let mut came = 0;
    // Ports of connections that were closed in order are not free for a minute: these are few.
    while stage.rest(Duration::from_millis(if way == 0 { 5 } else { 1 })) {
        for _ in 0..4 {
            let mut peer = Peer::connect(stage.kafka, None)?;
            match way {
                1 => peer.say(&hello),
                2 => peer.say(&hello[..hello.len() / 2]),
                _ => {}
            }
            peer.leave(if way == 0 { Goodbye::Close } else { Goodbye::Reset });
            came += 1;
        }
    }
    Ok(came)
}

/// A TLS client's first words: a handshake record with the start of a ClientHello.
const TLS_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
/// A ZooKeeper client's: protocol version, last zxid, timeout, session, password.
const ZOOKEEPER_CONNECT: &[u8] = &[
    0, 0, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 117, 48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

pub fn garbage(stage: Stage) -> Result<Seen> {
    let mut prng = Prng::new(stage.seed);
    // The monitoring has its own, who ask and do not read.
    let mut monitors = crowd(stage.metrics, 3, SMALL_WINDOW)?;
    monitors.iter_mut().for_each(|peer| peer.say(b"GET /metrics HTTP/1.1\r\n\r\n"));
    let (mut sent, mut peers) = (0, Vec::new());
    while stage.rest(Duration::from_millis(5)) {
        for _ in 0..8 {
            let mut peer = Peer::connect(stage.kafka, None)?;
            peer.say(&greeting(&mut prng));
            peers.push(peer);
            sent += 1;
        }
        stage.here();
        if peers.len() > 800 {
            peers.drain(..400).for_each(|peer| peer.leave(Goodbye::Reset));
        }
    }
    Ok(Seen::of(format!("{sent} connections that sent no request")))
}

fn greeting(prng: &mut Prng) -> Vec<u8> {
    match prng.below(8) {
        0 => [TLS_HELLO, &[3; 500]].concat(),
        1 => b"GET / HTTP/1.1\r\nHost: kafka\r\nUser-Agent: curl/8.0\r\n\r\n".to_vec(),
        2 => ZOOKEEPER_CONNECT.to_vec(),
        3 => b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
        4 => vec![0xff; 4],
        5 => vec![0; 64],
        6 => {
            // Noise with a right length, so that it reaches the decoder.
            let mut bytes = vec![0; prng.between(8, 3000) as usize];
            prng.fill(&mut bytes);
            let length = (bytes.len() - 4) as u32;
            bytes[..4].copy_from_slice(&length.to_be_bytes());
            bytes
        }
        _ => {
            let mut bytes = vec![0; prng.between(1, 3000) as usize];
            prng.fill(&mut bytes);
            bytes
        }
    }
}

/// Sends `requests` in turn, again and again, and reads no answer.
fn talk(stage: Stage, count: usize, requests: &[Vec<u8>]) -> Result<Seen> {
    talk_as(stage, crowd(stage.kafka, count, SMALL_WINDOW)?, requests)
}

/// The same of connections that are there.
pub fn talk_as(stage: Stage, mut peers: Vec<Peer>, requests: &[Vec<u8>]) -> Result<Seen> {
    let (count, mut said) = (peers.len(), 0);
    stage.here();
    while stage.rest(Duration::from_millis(5)) {
        for (way, peer) in peers.iter_mut().enumerate() {
            peer.flush(usize::MAX);
            if !peer.closed && peer.backlog() < AHEAD {
                peer.say(&requests[way % requests.len()].repeat(16));
                said += 16;
            }
        }
    }
    let closed = peers.iter().filter(|peer| peer.closed).count();
    Ok(Seen::of(format!("{count} connections, {said} requests said, no answer read, {closed} closed")))
}

pub fn unread_metadata(stage: Stage) -> Result<Seen> {
    talk(stage, stage.size.of(100), &[asks::metadata()?])
}

pub fn unread_answers(stage: Stage) -> Result<Seen> {
    let batch = content::batch(Sender { producer: 0, idempotent: None }, 0, &[100], Codec::None, now_ms());
    let requests = [
        asks::api_versions()?,
        asks::list_offsets(COLD, 0, -1)?,
        asks::list_offsets(COLD, 0, 0)?,
        asks::produce(WRITTEN, 0..1, 1, &batch)?,
        asks::produce(WRITTEN, 0..stage.size.written_partitions, -1, &batch)?,
    ];
    talk(stage, stage.size.of(60), &requests)
}
