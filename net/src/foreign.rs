//! Protocols that come to a port of another one by mistake, told by their first bytes.

use crate::kafka::window;
use std::fmt;

/// What a connection probably speaks instead of what is spoken at the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Foreign {
    Tls,
    Http,
    Kafka,
    /// A client's connect request, or a word of four letters.
    ZooKeeper,
    ProxyHeader,
    Ssh,
    Redis,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Foreign::Tls => "probably a TLS client (TLS is not served here: security.protocol=PLAINTEXT)",
            Foreign::Http => "probably an HTTP client (metrics have an address of their own: torc.metrics.listen)",
            Foreign::Kafka => "probably a Kafka client (its port: --kafka)",
            Foreign::ZooKeeper => "probably a ZooKeeper client (its port: --zookeeper)",
            Foreign::ProxyHeader => "probably a load balancer's PROXY header, which is not read here",
            Foreign::Ssh => "probably an SSH client",
            Foreign::Redis => "probably a Redis client",
        })
    }
}

/// Bytes of ZooKeeper's connect request, without and with the flag "read-only".
const ZOOKEEPER_CONNECT: [usize; 2] = [44, 45];
/// Where in it the length of the password stands, and that length.
const ZOOKEEPER_PASSWORD: (usize, [u8; 4]) = (24, [0, 0, 0, 16]);

/// Who begins with these four bytes, which are no length of a Kafka frame.
pub fn by_first_bytes(first: [u8; 4]) -> Option<Foreign> {
    Some(match &first {
        // A handshake record of TLS 1.0 to 1.3 (22, 3, minor); SSLv2 hellos begin with a length.
        [0x16, 0x03, ..] => Foreign::Tls,
        b"GET " | b"HEAD" | b"POST" | b"PUT " | b"DELE" | b"OPTI" | b"PATC" | b"CONN" | b"TRAC" | b"PRI " => {
            Foreign::Http
        }
        b"ruok" | b"stat" | b"srvr" | b"mntr" | b"envi" | b"conf" | b"cons" | b"crst" | b"dump" | b"isro" | b"srst"
        | b"wchc" | b"wchp" | b"wchs" | b"dirs" | b"gtmk" | b"stmk" | b"kill" => Foreign::ZooKeeper,
        b"PROX" | b"\r\n\r\n" => Foreign::ProxyHeader,
        b"SSH-" => Foreign::Ssh,
        [b'*', b'1'..=b'9', b'\r', b'\n'] | b"PING" | b"AUTH" => Foreign::Redis,
        _ => return None,
    })
}

/// True if `frame`, without its length, is what a ZooKeeper client says first.
pub fn is_zookeeper_connect(frame: &[u8]) -> bool {
    let (at, length) = ZOOKEEPER_PASSWORD;
    // Version 0 of the protocol, then the last transaction that the client saw, its timeout and its session.
    ZOOKEEPER_CONNECT.contains(&frame.len()) && frame[..4] == [0; 4] && frame[at..at + 4] == length
}

/// True if `frame`, without its length, begins as a Kafka request does: with an API, a version of it, a number and the
/// client's name.
pub fn is_kafka_request(frame: &[u8]) -> bool {
    let Some(([a0, a1, v0, v1, _, _, _, _, n0, n1], rest)) = frame.split_first_chunk() else { return false };
    let number = |high: &u8, low: &u8| i16::from_be_bytes([*high, *low]);
    let is_served = window(number(a0, a1)).is_some_and(|window| (0..=window.max).contains(&number(v0, v1)));
    is_served && i64::from(number(n0, n1)) <= rest.len() as i64
}

#[cfg(test)]
#[path = "foreign_tests.rs"]
mod tests;
