//! What a run needs on the server: its znodes, and sessions. Both are taken away behind it.

use super::args::ZkTarget;
use crate::error::Error;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;
use torc_client::zookeeper::{Done, ZooKeeper, ZooKeeperOptions, handshake};
use torc_net::zookeeper::{Acl, Ask, Change, Connect, ErrorCode, Kind, New, Session};

/// Everybody may do everything.
pub const OPEN: &[Acl<'_>] = &[Acl { perms: 31, scheme: "world", id: "anyone" }];
/// Changes of one multi of the preparations.
const AT_ONCE: usize = 500;
/// Their bytes: half of what servers take at once by default.
const BYTES_AT_ONCE: usize = 512 << 10;
/// A tree has fewer levels below the run's znode.
const ROUNDS: usize = 8;
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// A znode that stays.
pub fn new<'a>(path: &'a str, data: &'a [u8]) -> New<'a> {
    New { path, data, acls: OPEN, kind: Kind::Persistent, sequential: false, ttl_ms: 0, with_stat: false }
}

/// The addresses of the servers.
pub fn addresses(target: &ZkTarget) -> Result<Vec<SocketAddr>, Error> {
    let one = |server: &str| {
        let found = server.trim().to_socket_addrs().map_err(Error::io(format!("looking up {server}")))?.next();
        found.ok_or_else(|| Error::Unfit(format!("{server} has no address")))
    };
    target.server.split(',').map(one).collect()
}

/// A client for the preparations.
pub fn client(target: &ZkTarget) -> Result<ZooKeeper, Error> {
    let options = ZooKeeperOptions { timeout: target.session_timeout, auths: Vec::new() };
    Ok(ZooKeeper::connect(&target.server, options)?)
}

/// Makes the run's znode and, below it, `paths` with their data; what had been there is gone.
pub fn prepare(
    zookeeper: &mut ZooKeeper,
    base: &str,
    paths: &[String],
    data: impl Fn(usize) -> Vec<u8>,
) -> Result<(), Error> {
    clear(zookeeper, base)?;
    let above: Vec<&str> = base.match_indices('/').skip(1).map(|(at, _)| &base[..at]).chain([base]).collect();
    for path in above {
        match zookeeper.create(&new(path, b"")) {
            Err(error) if error.code() != Some(ErrorCode::NodeExists) => return Err(error.into()),
            _ => {}
        }
    }
    let data: Vec<Vec<u8>> = (0..paths.len()).map(data).collect();
    let mut changes = Vec::new();
    let mut bytes = 0;
    for (path, data) in paths.iter().zip(&data) {
        let change = Change::Create(new(path, data));
        if changes.len() == AT_ONCE || bytes + change.bytes() > BYTES_AT_ONCE && !changes.is_empty() {
            make(zookeeper, &changes)?;
            (changes, bytes) = (Vec::new(), 0);
        }
        bytes += change.bytes();
        changes.push(change);
    }
    make(zookeeper, &changes)
}

fn make(zookeeper: &mut ZooKeeper, changes: &[Change<'_>]) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let done = zookeeper.multi(changes)?;
    match done.iter().find(|done| matches!(done, Done::Failed(code) if *code != 0)) {
        Some(failed) => Err(Error::Unfit(format!("the znodes of the run cannot be made: {failed:?}"))),
        None => Ok(()),
    }
}

/// Deletes a znode and all below it, if it is there.
pub fn clear(zookeeper: &mut ZooKeeper, base: &str) -> Result<(), Error> {
    for _ in 0..ROUNDS {
        if zookeeper.exists(base)?.is_none() {
            return Ok(());
        }
        let mut found = vec![base.to_string()];
        let mut at = 0;
        while at < found.len() {
            let path = found[at].clone();
            match zookeeper.children(&path) {
                Ok((names, _)) => found.extend(names.into_iter().map(|name| format!("{path}/{name}"))),
                // An ephemeral one, whose session has ended meanwhile.
                Err(error) if error.code() == Some(ErrorCode::NoNode) => {}
                Err(error) => return Err(error.into()),
            }
            at += 1;
        }
        found.reverse();
        for paths in found.chunks(AT_ONCE) {
            let changes: Vec<Change<'_>> = paths.iter().map(|path| Change::Delete(path, -1)).collect();
            if zookeeper.multi(&changes)?.iter().any(|done| matches!(done, Done::Failed(_))) {
                // The next round deletes what is left.
                paths.iter().for_each(|path| drop(zookeeper.delete(path, -1)));
            }
        }
    }
    Err(Error::Unfit(format!("{base} cannot be deleted: others make znodes there")))
}

/// A connection with a session of its own.
pub fn open(address: SocketAddr, timeout: Duration) -> Result<(TcpStream, Session), Error> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let connect = Connect { last_zxid: 0, timeout_ms, session: None, read_only: false, knows_read_only: true };
    let mut stream = connected(address)?;
    let answer = handshake(&mut stream, &connect, timeout).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::Unfit(format!(
            "{address} closed a connection that wanted a session: does it allow so many from one address (maxClientCnxns)?"
        )),
        _ => Error::io(format!("opening a session at {address}"))(error),
    })?;
    let session = answer.session.ok_or_else(|| Error::Unfit(format!("{address} gives out no sessions")))?;
    Ok((stream, session))
}

fn connected(address: SocketAddr) -> Result<TcpStream, Error> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_TIME);
    let stream = stream.map_err(Error::io(format!("connecting to {address}")))?;
    stream.set_nodelay(true).map_err(Error::io("setting TCP_NODELAY"))?;
    Ok(stream)
}

/// Ends sessions, so that the server need not wait for them; one that cannot be ended expires.
pub fn end(sessions: &[(SocketAddr, Session)], timeout: Duration) {
    const THREADS: usize = 8;
    std::thread::scope(|scope| {
        for sessions in sessions.chunks(sessions.len().div_ceil(THREADS).max(1)) {
            scope.spawn(move || {
                sessions.iter().for_each(|(address, session)| drop(end_one(*address, *session, timeout)))
            });
        }
    });
}

fn end_one(address: SocketAddr, session: Session, timeout: Duration) -> Result<(), Error> {
    use std::io::{Read, Write};
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let connect = Connect { last_zxid: 0, timeout_ms, session: Some(session), read_only: false, knows_read_only: true };
    let mut stream = connected(address)?;
    let doing = || format!("ending a session at {address}");
    handshake(&mut stream, &connect, CONNECT_TIME).map_err(Error::io(doing()))?;
    let mut out = Vec::new();
    Ask::CloseSession.encode(1, &mut out);
    stream.write_all(&out).map_err(Error::io(doing()))?;
    stream.set_read_timeout(Some(CONNECT_TIME)).map_err(Error::io(doing()))?;
    stream.read_exact(&mut [0; 20]).map_err(Error::io(doing()))
}
