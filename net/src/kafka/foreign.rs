//! Other protocols that come to a Kafka port by mistake, told by their first bytes.

use std::fmt;

/// What a connection probably speaks instead of Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Foreign {
    Tls,
    Http,
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
            Foreign::ZooKeeper => "probably a ZooKeeper client",
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

/// Whose whole message `frame` is, where its length is one that a Kafka frame can have.
pub(crate) fn by_frame(frame: &[u8]) -> Option<Foreign> {
    let (at, length) = ZOOKEEPER_PASSWORD;
    // Version 0 of the protocol, then the last transaction that the client saw, its timeout and its session.
    let connect = ZOOKEEPER_CONNECT.contains(&frame.len()) && frame[..4] == [0; 4] && frame[at..at + 4] == length;
    connect.then_some(Foreign::ZooKeeper)
}
