//! Round trips and bandwidth of the loopback interface, between two threads.

use super::RoundTrip;
use crate::recorder::histogram;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of one call when bandwidth is measured.
const PIECE: usize = 256 << 10;
/// Streams at once when bandwidth is measured: what one carries depends more on its two threads than on the interface.
pub const STREAMS: usize = 4;

fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

/// One byte; 0 at the end of the stream.
fn receive(stream: &mut TcpStream) -> io::Result<usize> {
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
            other => return other,
        }
    }
}

/// One byte there and back, again and again.
pub fn round_trips(spinning: bool, time: Duration) -> io::Result<RoundTrip> {
    let (mut near, mut far) = pair()?;
    near.set_nonblocking(spinning)?;
    far.set_nonblocking(spinning)?;
    let echo = thread::spawn(move || -> io::Result<()> {
        while receive(&mut far)? > 0 {
            far.write_all(&[1])?;
        }
        Ok(())
    });
    let mut latency = histogram();
    let began = Instant::now();
    while began.elapsed() < time || latency.is_empty() {
        let sent = Instant::now();
        near.write_all(&[1])?;
        if receive(&mut near)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        latency.saturating_record(sent.elapsed().as_nanos() as u64);
    }
    drop(near);
    echo.join().expect("the echo does not panic")?;
    Ok(RoundTrip { p50_ns: latency.value_at_quantile(0.5), p99_ns: latency.value_at_quantile(0.99) })
}

/// Reads to the end of the stream; how many bytes.
fn drain(mut stream: TcpStream) -> io::Result<u64> {
    let mut buffer = vec![0; PIECE];
    let mut bytes = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(bytes),
            n => bytes += n as u64,
        }
    }
}

/// Writes until `end`.
fn flood(mut stream: TcpStream, end: Instant) -> io::Result<()> {
    let piece = vec![1; PIECE];
    while Instant::now() < end {
        stream.write_all(&piece)?;
    }
    Ok(())
}

/// Millions of bytes per second over all streams, each from one thread to another.
pub fn bandwidth(time: Duration) -> io::Result<f64> {
    let pairs = (0..STREAMS).map(|_| pair()).collect::<io::Result<Vec<_>>>()?;
    let began = Instant::now();
    let streams = pairs.into_iter().map(|(near, far)| {
        let source = thread::spawn(move || flood(near, began + time));
        (source, thread::spawn(move || drain(far)))
    });
    let mut bytes = 0;
    for (source, sink) in streams.collect::<Vec<_>>() {
        source.join().expect("writing does not panic")?;
        bytes += sink.join().expect("reading does not panic")?;
    }
    Ok(bytes as f64 / began.elapsed().as_secs_f64() / 1e6)
}
