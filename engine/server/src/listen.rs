//! One listening socket for each shard, all on the same port: the kernel spreads connections among them.

use crate::endpoint::Endpoint;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};
use torc_reactor::resources::{Want, explain};

/// Connections that may wait to be accepted on one socket; the kernel cuts it to net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// Shorter waits are not worth a line.
const TELL_AFTER: Duration = Duration::from_millis(20);

/// Why nothing listens.
#[derive(Debug)]
pub struct ListenError {
    /// What was to listen, such as `kafka`.
    pub what: &'static str,
    /// As configured.
    pub endpoint: Endpoint,
    /// What the operating system said.
    pub error: io::Error,
    /// What the user may change.
    pub setting: &'static str,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ListenError { what, endpoint, error, setting } = self;
        write!(f, "cannot listen for {what} on {endpoint}: ")?;
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                write!(f, "the port is in use; stop what listens there, or choose another with {setting}")
            }
            io::ErrorKind::AddrNotAvailable => {
                write!(f, "this host does not have that address; choose another with {setting}")
            }
            io::ErrorKind::PermissionDenied if (1..1024).contains(&endpoint.port) => {
                write!(f, "ports below 1024 need CAP_NET_BIND_SERVICE; choose another with {setting}")
            }
            _ => f.write_str(&explain(Want::Descriptor, error)),
        }
    }
}

impl std::error::Error for ListenError {}

/// How long a port in use is waited for, and who is told.
#[derive(Clone, Copy)]
pub struct Patience<'a> {
    /// None: a port in use is refused at once.
    pub time: Duration,
    /// Gets a line when the waiting begins, and one when it has been worth it.
    pub tell: &'a dyn Fn(&str),
}

impl Patience<'_> {
    /// For a port that nobody may be about to give up.
    pub const NONE: Patience<'static> = Patience { time: Duration::ZERO, tell: &|_| () };
}

/// `count` listening sockets on one address. Port 0 is chosen by the kernel once, for all of them. A port in use is waited
/// for: a server that was killed gives its own up only when the kernel has ended what it had begun, which on a slow disk comes
/// some time after the process is gone.
pub fn shared(
    what: &'static str,
    endpoint: &Endpoint,
    setting: &'static str,
    count: u16,
    patience: Patience<'_>,
) -> Result<Vec<TcpListener>, ListenError> {
    assert!(count > 0);
    let fail = |error| ListenError { what, endpoint: endpoint.clone(), error, setting };
    let mut address = endpoint.resolve().map_err(fail)?;
    if address.port() != 0 {
        // Sockets that share a port do not keep a second server of this user off it: one that does not share would
        // fail, so that is tried first.
        wait_for(address, patience).map_err(fail)?;
    }
    let mut listeners: Vec<TcpListener> = Vec::new();
    for _ in 0..count {
        let listener = socket(address, true).map_err(fail)?;
        address = listener.local_addr().map_err(fail)?;
        listeners.push(listener);
    }
    // Only when all are bound: the kernel shall not spread connections among fewer than there will be.
    for listener in &listeners {
        net::listen(listener, BACKLOG).map_err(|errno| fail(errno.into()))?;
    }
    Ok(listeners)
}

/// Waits until nobody has that port.
fn wait_for(address: SocketAddr, patience: Patience<'_>) -> io::Result<()> {
    let (began, mut told) = (Instant::now(), false);
    while let Err(error) = socket(address, false) {
        if error.kind() != io::ErrorKind::AddrInUse || began.elapsed() >= patience.time {
            return Err(error);
        }
        if began.elapsed() >= TELL_AFTER && !std::mem::replace(&mut told, true) {
            (patience.tell)(&format!(
                "{address} is in use: waiting up to {} s for it, since a server that was just killed gives its port up only \
                 when its last write has ended",
                patience.time.as_secs()
            ));
        }
        thread::sleep(Duration::from_millis(2));
    }
    if told {
        (patience.tell)(&format!("{address} is free"));
    }
    Ok(())
}

/// A bound socket that does not listen yet.
fn socket(address: SocketAddr, share: bool) -> io::Result<TcpListener> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // A restart must not wait for the connections of the server before it to time out.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // Connections inherit it: answers leave at once.
    sockopt::set_tcp_nodelay(&socket, true)?;
    if share {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    net::bind(&socket, &address)?;
    Ok(TcpListener::from(socket))
}
