//! Addresses as configuration writes them: `host:port`, `[::1]:port`, `PLAINTEXT://host:port`, `:port`.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// A host, by name or number, and a TCP port. Port 0 is "any free one" where something listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Without brackets if it is an IPv6 address. Empty only where that has a meaning of its own.
    pub host: String,
    /// 0 to 65535.
    pub port: u16,
}

impl Endpoint {
    /// Reads `[PLAINTEXT://][host]:port`; an empty host is every interface, as in Kafka. The error says what is wrong
    /// with the text, in words that follow "cannot be".
    pub fn parse(text: &str) -> Result<Endpoint, String> {
        let text = text.trim();
        if text.contains(',') {
            return Err("one address is supported, this is a list".to_string());
        }
        let address = match text.split_once("://") {
            Some((protocol, rest)) if protocol.eq_ignore_ascii_case("PLAINTEXT") => rest,
            Some((protocol, _)) => return Err(format!("`{protocol}` is not supported, only PLAINTEXT is")),
            None => text,
        };
        Endpoint::parse_address(address).map(Endpoint::or_every_interface)
    }

    /// Reads `[host]:port`; the host may be empty.
    pub fn parse_address(address: &str) -> Result<Endpoint, String> {
        let Some((host, port)) = address.rsplit_once(':') else {
            return Err("the port is missing, write host:port".to_string());
        };
        let port = port.parse().map_err(|_| format!("`{port}` is no port, 0 to 65535 are"))?;
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(inner) => inner,
            None if host.contains(':') => {
                return Err("an IPv6 address stands in brackets, as in [::1]:9092".to_string());
            }
            None => host,
        };
        if host.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(format!("`{host}` is no host"));
        }
        Ok(Endpoint { host: host.to_string(), port })
    }

    /// Every interface, if the host is empty.
    pub fn or_every_interface(mut self) -> Endpoint {
        if self.host.is_empty() {
            self.host = "0.0.0.0".to_string();
        }
        self
    }

    /// The socket address to listen on: the first that the name resolves to.
    pub fn resolve(&self) -> io::Result<SocketAddr> {
        let mut found = (self.host.as_str(), self.port).to_socket_addrs()?;
        found.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
    }

    /// True if the host is "every interface", which no client can connect to by that name.
    pub fn is_wildcard(&self) -> bool {
        matches!(self.host.as_str(), "0.0.0.0" | "::" | "*")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
