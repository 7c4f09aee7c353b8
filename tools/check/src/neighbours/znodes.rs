//! Neighbours at ZooKeeper's port.

use super::kinds::{Seen, Stage};
use super::peer::{Peer, crowd};
use super::strangers::{SMALL_WINDOW, talk_as};
use crate::failure::{Result, wrong};
use std::thread;
use std::time::{Duration, Instant};
use torc_net::zookeeper::{Acl, Ask, Connect, Kind, New};

/// As many as ZooKeeper lets one address have, but for those of healthy clients.
const CLIENTS: usize = 50;
/// Children of one znode, whose list takes a quarter of a megabyte.
const CHILDREN: u64 = 4_000;
/// Reads of that list in one request.
const READS: usize = 4_000;
const OPEN: &[Acl<'static>] = &[Acl { perms: 31, scheme: "world", id: "anyone" }];
/// How long all that may take to be made.
const MAKING_MAX: Duration = Duration::from_secs(60);

fn hello() -> Vec<u8> {
    let mut bytes = Vec::new();
    Connect { last_zxid: 0, timeout_ms: 30_000, session: None, read_only: false, knows_read_only: true }
        .encode(&mut bytes);
    bytes
}

fn create(path: &str) -> Vec<u8> {
    let (data, kind) = (&b""[..], Kind::Persistent);
    let mut bytes = Vec::new();
    let new = New { path, data, acls: OPEN, kind, sequential: false, ttl_ms: 0, with_stat: false };
    Ask::Create(new).encode(1, &mut bytes);
    bytes
}

fn list() -> Vec<u8> {
    let mut bytes = Vec::new();
    Ask::GetChildren("/big", false).encode(1, &mut bytes);
    bytes
}

/// Many lists in one request (MultiRead).
fn lists() -> Vec<u8> {
    let mut body = [1i32.to_be_bytes(), 22i32.to_be_bytes()].concat();
    for _ in 0..READS {
        body.extend_from_slice(b"\0\0\0\x08\0\xff\xff\xff\xff\0\0\0\x04/big\0");
    }
    body.extend_from_slice(b"\xff\xff\xff\xff\x01\xff\xff\xff\xff");
    [&(body.len() as u32).to_be_bytes()[..], &body].concat()
}

/// A znode with many children.
fn make(stage: Stage) -> Result<()> {
    let mut maker = Peer::connect(stage.zookeeper, None)?;
    maker.say(&hello());
    maker.say(&create("/big"));
    (0..CHILDREN).for_each(|n| maker.say(&create(&format!("/big/{}{n:05}", "n".repeat(55)))));
    let began = Instant::now();
    while maker.answers < CHILDREN + 2 {
        if maker.closed || began.elapsed() > MAKING_MAX {
            return wrong(format!("{} of {CHILDREN} znodes were made", maker.answers));
        }
        maker.flush(usize::MAX);
        maker.swallow(1 << 20);
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

pub fn unread(stage: Stage) -> Result<Seen> {
    make(stage)?;
    let mut peers = crowd(stage.zookeeper, CLIENTS, SMALL_WINDOW)?;
    peers.iter_mut().for_each(|peer| peer.say(&hello()));
    talk_as(stage, peers, &[list(), lists()])
}
