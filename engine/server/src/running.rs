//! A server between its start and its end: what stops it, and what its end is called.

use crate::error::ServeError;
use crate::log::Log;
use crate::stop::{End, News, signal_name};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often a starting server looks whether its shards are ready.
const READY_POLL: Duration = Duration::from_millis(1);
/// What the other shards may take to drain after one has failed.
const DRAIN_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// A server whose shards have been started.
pub struct Running {
    log: Log,
    news: Receiver<News>,
    /// Asks every shard to drain.
    ask_to_stop: Box<dyn Fn()>,
    /// Shards that have not ended.
    left: u16,
    /// Shared with the metrics endpoint, which is not ready from here on.
    stopping: Arc<AtomicBool>,
    failure: Option<ServeError>,
}

impl Running {
    /// `shards` shards that tell `news` how they end. `stopping` becomes true when `ask_to_stop` has been called.
    pub fn new(
        log: Log,
        shards: u16,
        news: Receiver<News>,
        stopping: Arc<AtomicBool>,
        ask_to_stop: Box<dyn Fn()>,
    ) -> Running {
        Running { log, news, ask_to_stop, left: shards, stopping, failure: None }
    }

    /// Waits until all shards serve; false if the server is stopping before that.
    pub fn until_ready(&mut self, all_ready: impl Fn() -> bool) -> bool {
        while !self.is_stopping() {
            if all_ready() {
                return true;
            }
            match self.news.recv_timeout(READY_POLL) {
                Ok(news) => self.take(news),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("the signal thread never ends"),
            }
        }
        false
    }

    /// Waits until it is asked to stop, or a shard has failed.
    pub fn until_stopping(&mut self) {
        while !self.is_stopping() {
            let news = self.news.recv().expect("the signal thread never ends");
            self.take(news);
        }
    }

    /// Waits for the shards to drain; without limit if it was asked for (a second signal ends that), for a moment
    /// if one of them failed.
    pub fn until_ended(mut self) -> Result<(), ServeError> {
        let mut give_up = None;
        while self.left > 0 {
            if self.failure.is_some() && give_up.is_none() {
                give_up = Some(Instant::now() + DRAIN_AFTER_FAILURE);
            }
            let wait = give_up.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(Instant::now()));
            match self.news.recv_timeout(wait) {
                Ok(news) => self.take(news),
                Err(RecvTimeoutError::Timeout) if give_up.is_none() => {}
                Err(_) => {
                    self.log.warn("torc", &format!("{} shards did not drain in time", self.left));
                    break;
                }
            }
        }
        match self.failure {
            Some(failure) => Err(failure),
            None => {
                self.log.info("torc", "drained");
                Ok(())
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn take(&mut self, news: News) {
        match news {
            News::Signal(signal) => {
                self.log.info("torc", &format!("{}: draining", signal_name(signal)));
                self.stop();
            }
            News::Out(why) => {
                self.failure.get_or_insert(ServeError::Settings(why));
                self.stop();
            }
            News::Ended { shard, end } => {
                self.left -= 1;
                let why = match end {
                    End::Drained if self.is_stopping() => return,
                    End::Drained => "it ended without being asked".to_string(),
                    End::Refused(why) => why,
                    End::Panicked => "its thread panicked".to_string(),
                };
                // The first one is the reason that the process ends with; the others are told here.
                match self.failure {
                    Some(_) => self.log.error(&format!("shard {shard}"), &why),
                    None => self.failure = Some(ServeError::Shard { shard, why }),
                }
                self.stop();
            }
        }
    }

    fn stop(&mut self) {
        if !self.stopping.swap(true, Ordering::Relaxed) {
            (self.ask_to_stop)();
        }
    }
}
