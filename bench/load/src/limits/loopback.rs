//! Round trips and bandwidth of the loopback interface, between two threads.

use super::RoundTrip;
use crate::recorder::histogram;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of one call when bandwidth is measured.
const PIECE: usize = 256 << 10;

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

/// Millions of bytes per second from one thread to another.
pub fn bandwidth(time: Duration) -> io::Result<f64> {
    let (mut near, mut far) = pair()?;
    let sink = thread::spawn(move || -> io::Result<u64> {
        let mut buffer = vec![0; PIECE];
        let mut bytes = 0;
        loop {
            match far.read(&mut buffer)? {
                0 => return Ok(bytes),
                n => bytes += n as u64,
            }
        }
    });
    let piece = vec![1; PIECE];
    let began = Instant::now();
    while began.elapsed() < time {
        near.write_all(&piece)?;
    }
    drop(near);
    let bytes = sink.join().expect("the sink does not panic")?;
    Ok(bytes as f64 / began.elapsed().as_secs_f64() / 1e6)
}
