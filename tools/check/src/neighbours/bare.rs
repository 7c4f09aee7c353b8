//! What the machine takes for the round trips of a newcomer with the least server that could answer: nobody can be quicker than that.

use super::healthy::{NEWCOMER_EVERY, pace};
use super::measuring::Measuring;
use super::window::{Samples, Times};
use crate::failure::Result;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

/// As the newcomer.
const ROUND_TRIPS: usize = 5;
/// A request and its answer.
const BYTES: usize = 128;

/// A server of one thread that sends back what it gets, and a client that comes and goes.
pub struct Bare {
    stop: AtomicBool,
    took: Samples,
    measuring: Measuring,
}

impl Bare {
    /// Nothing is measured yet.
    pub fn new() -> Bare {
        Bare { stop: AtomicBool::new(false), took: Samples::default(), measuring: Measuring::default() }
    }

    /// Measures on two threads of `scope` until [`Bare::stop`].
    pub fn start<'a>(&'a self, scope: &'a thread::Scope<'a, '_>) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        scope.spawn(move || self.measuring.run(|| serve(&listener)));
        scope.spawn(move || {
            self.measuring.run(|| self.come_and_go(address));
            // Who says nothing ends the server.
            self.measuring.run(|| TcpStream::connect(address).map(drop));
        });
        Ok(())
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Why nothing more is measured, if so.
    pub fn failure(&self) -> Option<String> {
        self.measuring.failure()
    }

    /// Whole stays that ended from `from` to `to`; `None` without any.
    pub fn stays(&self, from: Instant, to: Instant) -> Option<Times> {
        self.took.window(from, to).times
    }

    fn come_and_go(&self, address: SocketAddr) -> std::io::Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            let mut stream = TcpStream::connect(address)?;
            for _ in 0..ROUND_TRIPS {
                let mut bytes = [0; BYTES];
                stream.write_all(&bytes)?;
                stream.read_exact(&mut bytes)?;
            }
            self.took.note(began, 0);
            pace(began, NEWCOMER_EVERY);
        }
        Ok(())
    }
}

/// Serves one client after the other, until one comes that says nothing.
fn serve(listener: &TcpListener) -> std::io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept()?;
        let mut served = 0;
        loop {
            let mut bytes = [0; BYTES];
            match stream.read_exact(&mut bytes) {
                Ok(()) => stream.write_all(&bytes)?,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            }
            served += 1;
        }
        if served == 0 {
            return Ok(());
        }
    }
}
