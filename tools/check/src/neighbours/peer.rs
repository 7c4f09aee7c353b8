//! The socket of a neighbour: it never blocks who drives it, and may be as rude as a socket can be.

use crate::failure::{Result, wrong};
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A connection that is driven together with many others.
pub struct Peer {
    stream: TcpStream,
    /// What the kernel has not taken yet.
    unsent: Vec<u8>,
    sent: usize,
    /// The start of an answer that is not there in full.
    answer: Vec<u8>,
    /// Bytes of the answer at hand that are still to come and are not kept.
    skipped: usize,
    /// The server, or an error, ended it.
    pub closed: bool,
    /// Whole answers that came.
    pub answers: u64,
}

/// How a peer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goodbye {
    /// RST, whatever is under way.
    Reset,
    /// FIN in both directions.
    Close,
}

impl Peer {
    /// Connects. `receive_buffer`: what the kernel takes of answers that nobody reads, in bytes; as usual without it.
    pub fn connect(address: SocketAddr, receive_buffer: Option<usize>) -> Result<Peer> {
        let stream = connect(address, receive_buffer)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let (unsent, answer) = (Vec::new(), Vec::new());
        Ok(Peer { stream, unsent, sent: 0, answer, skipped: 0, closed: false, answers: 0 })
    }

    /// Adds to what is to be sent, and sends what the kernel takes.
    pub fn say(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        self.flush(usize::MAX);
    }

    /// Sends up to `most` bytes of what is left, as far as the kernel takes them; true if nothing is left.
    pub fn flush(&mut self, most: usize) -> bool {
        let mut left = most;
        while !self.closed && self.sent < self.unsent.len() && left > 0 {
            let end = self.unsent.len().min(self.sent.saturating_add(left));
            match self.stream.write(&self.unsent[self.sent..end]) {
                Ok(0) => self.closed = true,
                Ok(n) => {
                    self.sent += n;
                    left -= n;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.closed = true,
            }
        }
        if self.sent == self.unsent.len() {
            self.unsent.clear();
            self.sent = 0;
        }
        self.unsent.is_empty()
    }

    /// Bytes that wait for the kernel.
    pub fn backlog(&self) -> usize {
        self.unsent.len() - self.sent
    }

    /// Reads up to `most` bytes and forgets them; how many there were.
    pub fn swallow(&mut self, most: usize) -> usize {
        let (mut buffer, mut got) = ([0; 64 << 10], 0);
        while got < most && !self.closed {
            let part = buffer.len().min(most - got);
            match self.stream.read(&mut buffer[..part]) {
                Ok(0) => self.closed = true,
                Ok(n) => {
                    got += n;
                    self.count(&buffer[..n]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.closed = true,
            }
        }
        got
    }

    /// Counts whole answers in what came.
    fn count(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.skipped > 0 {
                let n = self.skipped.min(bytes.len());
                bytes = &bytes[n..];
                self.skipped -= n;
            } else {
                let n = (4 - self.answer.len()).min(bytes.len());
                self.answer.extend_from_slice(&bytes[..n]);
                bytes = &bytes[n..];
                let Ok(length) = <[u8; 4]>::try_from(&self.answer[..]) else { return };
                self.answer.clear();
                self.skipped = u32::from_be_bytes(length) as usize;
            }
            self.answers += u64::from(self.skipped == 0 && self.answer.is_empty());
        }
    }

    /// The FIN of this side; it may still read.
    pub fn say_no_more(&mut self) {
        // Fails if the server was faster.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Goes.
    pub fn leave(self, how: Goodbye) {
        if how == Goodbye::Reset {
            // Without it the kernel would send a FIN; either is a way to go.
            let _ = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
        }
    }
}

/// A socket whose receive buffer is set before it connects, so that the window never was larger.
fn connect(address: SocketAddr, receive_buffer: Option<usize>) -> Result<TcpStream> {
    let Some(bytes) = receive_buffer else { return Ok(TcpStream::connect(address)?) };
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let failed = |errno: rustix::io::Errno| io::Error::from(errno);
    let socket = rustix::net::socket(family, SocketType::STREAM, None).map_err(failed)?;
    sockopt::set_socket_recv_buffer_size(&socket, bytes).map_err(failed)?;
    rustix::net::connect(&socket, &address).map_err(failed)?;
    Ok(TcpStream::from(socket))
}

/// `count` connections, all in the same way.
pub fn crowd(address: SocketAddr, count: usize, receive_buffer: Option<usize>) -> Result<Vec<Peer>> {
    let peers: Result<Vec<Peer>> = (0..count).map(|_| Peer::connect(address, receive_buffer)).collect();
    peers.or_else(|failure| wrong(format!("{count} neighbours cannot connect: {failure}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn answers_are_counted_however_they_are_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = Peer::connect(listener.local_addr().unwrap(), Some(8192)).unwrap();
        let mut bytes = Vec::new();
        for length in [4u32, 0, 700, 1] {
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.resize(bytes.len() + length as usize, 7);
        }
        for piece in [1, 3, 5, 100] {
            let before = peer.answers;
            bytes.chunks(piece).for_each(|piece| peer.count(piece));
            assert_eq!(peer.answers - before, 4, "pieces of {piece}");
        }
        peer.count(&bytes[..6]);
        assert_eq!(peer.answers, 16, "half an answer is none");
    }
}
