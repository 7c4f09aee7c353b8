//! A connection: frames that leave and arrive.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use torc_net::zookeeper::{Connect, Connected};

/// A longer frame is taken for nonsense, such as an HTTP server's.
const FRAME_BYTES_MAX: usize = 256 << 20;
/// Read from the socket at once.
const CHUNK: usize = 64 << 10;

/// A socket, and what has come of the next frame.
pub(super) struct Wire {
    stream: TcpStream,
    pub address: String,
    arrived: Vec<u8>,
    /// When something was last sent.
    pub sent: Instant,
    /// When something last came.
    pub heard: Instant,
}

impl Wire {
    pub fn new(stream: TcpStream, address: String) -> Wire {
        Wire { stream, address, arrived: Vec::new(), sent: Instant::now(), heard: Instant::now() }
    }

    /// Sends whole frames.
    pub fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        self.sent = Instant::now();
        self.stream.write_all(frames)
    }

    /// The next frame, without its length; `None`: it has not come by `deadline`.
    pub fn receive(&mut self, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let before = self.arrived.len();
            self.arrived.resize(before + CHUNK, 0);
            let got = self.stream.read(&mut self.arrived[before..]);
            self.arrived.truncate(before + *got.as_ref().unwrap_or(&0));
            match got {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection")),
                Ok(_) => self.heard = Instant::now(),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// A frame that has come whole.
    fn take(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(length) = self.arrived.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
        }
        if self.arrived.len() < 4 + length {
            return Ok(None);
        }
        let rest = self.arrived.split_off(4 + length);
        let mut frame = std::mem::replace(&mut self.arrived, rest);
        frame.drain(..4);
        Ok(Some(frame))
    }
}

/// Asks for a session on a new connection, or to take one up again, and waits for the answer for so long. Nothing else has
/// arrived on the connection then.
///
/// # Errors
/// The connection breaks, nothing comes in time, or what comes is no answer.
pub fn handshake(stream: &mut TcpStream, connect: &Connect, time: Duration) -> io::Result<Connected> {
    let mut out = Vec::new();
    connect.encode(&mut out);
    stream.write_all(&out)?;
    stream.set_read_timeout(Some(time))?;
    let late = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            io::Error::new(io::ErrorKind::TimedOut, format!("nothing came for {} s", time.as_secs_f64()))
        }
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "it closed the connection"),
        _ => error,
    };
    let mut length = [0; 4];
    stream.read_exact(&mut length).map_err(late)?;
    let length = u32::from_be_bytes(length) as usize;
    let nonsense = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    // The answer has 36 bytes or 37.
    if length > CHUNK {
        return Err(nonsense(format!("it does not speak ZooKeeper's protocol: a frame of {length} bytes")));
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).map_err(late)?;
    stream.set_read_timeout(None)?;
    Connected::decode(&frame).map_err(|error| nonsense(format!("it does not speak ZooKeeper's protocol: {error}")))
}
