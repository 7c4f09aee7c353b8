//! What is read when something is there. No read is ever left to the ring: it would be tried in vain, wait for a poll and be
//! tried again; and one that is under way when the runtime ends would write into memory that the runtime has freed.

use rustix::io::Errno;
use std::io;
use std::os::fd::AsRawFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that keeps what it refers to open: a socket, a timer. Its reads must not block.
pub struct Arrivals<T: AsRawFd>(AsyncFd<T>);

/// What an attempt leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing: the next attempt waits for news.
    Nothing,
    /// Perhaps something: the next attempt is made at once.
    Perhaps,
}

impl<T: AsRawFd> Arrivals<T> {
    /// Watches `source`.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn new(source: T) -> io::Result<Arrivals<T>> {
        #[expect(
            deprecated,
            reason = "its successor leaves it to the caller that the descriptor stays open; what is watched keeps it open"
        )]
        AsyncFd::with_interest(source, Interest::READABLE).map(Arrivals)
    }

    /// What is watched.
    pub fn get(&self) -> &T {
        self.0.get_ref()
    }

    /// Makes attempts when something is there, until one succeeds or fails for another reason than that nothing was.
    pub async fn take<R>(&self, mut attempt: impl FnMut(&T) -> Result<(R, Left), Errno>) -> io::Result<R> {
        loop {
            let mut ready = self.0.readable().await?;
            match attempt(self.get()) {
                Ok((taken, left)) => {
                    if left == Left::Nothing {
                        ready.clear_ready();
                    }
                    return Ok(taken);
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
