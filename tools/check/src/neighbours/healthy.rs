//! Clients that do nothing unusual: one produces, one reads what it produces, one reads old records, and newcomers, one
//! after the other, ask small things. Each keeps a pace that leaves the server idle for most of the time, and compares
//! every byte.

use super::asks;
use super::data::{COLD, HOT, Size};
use super::measuring::Measuring;
use super::window::{Samples, Window};
use crate::content::{self, Mark, Sender};
use crate::failure::{Result, wrong};
use crate::kill::now_ms;
use crate::wire::{ACKS_ALL, Client, Fetched, Produce, batches};
use std::collections::VecDeque;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use torc_net::kafka::records::{self, Codec};

/// Who is healthy.
pub const CLIENTS: usize = 4;
pub const NAMES: [&str; CLIENTS] = ["producer", "hot consumer", "cold consumer", "newcomer"];

/// Of the producer: a batch each.
const PRODUCE_EVERY: Duration = Duration::from_millis(5);
const VALUE: usize = 2_000;
/// Of the cold consumer: a fetch of so many bytes each.
const COLD_EVERY: Duration = Duration::from_millis(50);
const COLD_BYTES: i32 = 1 << 20;
/// A newcomer comes, asks what clients ask first, and goes.
pub(super) const NEWCOMER_EVERY: Duration = Duration::from_millis(20);
/// Longest wait of the hot consumer for the next record.
const HOT_WAIT_MS: i32 = 500;

/// What a healthy client has done so far.
struct Progress {
    samples: Samples,
    /// Why it has ended, if it has.
    measuring: Measuring,
}

/// What a client did between two moments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub records: usize,
    /// Records per second.
    pub rate: f64,
    /// Of the producer's round trips, of the way from the producer to the hot consumer, of the cold consumer's fetches, of
    /// newcomers' whole stays.
    /// `None` without any.
    pub p99: Option<Duration>,
}

/// All of them, and what joins them.
pub struct Healthy {
    address: SocketAddr,
    size: Size,
    progress: [Progress; CLIENTS],
    /// When records were sent that the hot consumer has not seen, oldest first, by number.
    sent: Mutex<VecDeque<(u32, Instant)>>,
    /// Records that were acknowledged.
    acknowledged: Mutex<u32>,
    stop: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Healthy {
    /// Clients that have not begun.
    pub fn new(address: SocketAddr, size: Size) -> Healthy {
        let progress = || Progress { samples: Samples::default(), measuring: Measuring::default() };
        Healthy {
            address,
            size,
            progress: std::array::from_fn(|_| progress()),
            sent: Mutex::default(),
            acknowledged: Mutex::default(),
            stop: AtomicBool::new(false),
        }
    }

    /// Runs all of them, each on a thread of `scope`, until [`Healthy::stop`].
    pub fn start<'a>(&'a self, scope: &'a thread::Scope<'a, '_>) {
        scope.spawn(|| self.run(0, Healthy::produce));
        scope.spawn(|| self.run(1, Healthy::read_hot));
        scope.spawn(|| self.run(2, Healthy::read_cold));
        scope.spawn(|| self.run(3, Healthy::come_and_go));
    }

    fn run(&self, who: usize, work: impl Fn(&Healthy) -> Result<()>) {
        self.progress[who].measuring.run(|| work(self));
    }

    /// The producer stops; the hot consumer when it has read everything; the cold one at once.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn note(&self, who: usize, began: Instant, records: usize) {
        self.progress[who].samples.note(began, records);
    }

    /// Why a client has ended, by number.
    pub fn failure(&self, who: usize) -> Option<String> {
        self.progress[who].measuring.failure()
    }

    /// What client `who` did from `from` to `to`. An operation belongs to where it ended.
    pub fn figures(&self, who: usize, from: Instant, to: Instant) -> Figures {
        let Window { records, times } = self.progress[who].samples.window(from, to);
        Figures { records, rate: records as f64 / (to - from).as_secs_f64(), p99: times.map(|times| times.p99) }
    }

    fn produce(&self) -> Result<()> {
        let mut client = Client::connect(self.address)?;
        for number in 0.. {
            if self.stopping() {
                break;
            }
            let sender = Sender { producer: 0, idempotent: None };
            let batch = content::batch(sender, number, &[VALUE], Codec::None, now_ms());
            let began = Instant::now();
            lock(&self.sent).push_back((number, began));
            let produced = client.produce(Produce { topic: HOT, partition: 0, acks: ACKS_ALL, batch })?;
            if produced.error != 0 || produced.base_offset != i64::from(number) {
                return wrong(format!("batch {number} got {produced:?}"));
            }
            self.note(0, began, 1);
            *lock(&self.acknowledged) = number + 1;
            pace(began, PRODUCE_EVERY);
        }
        Ok(())
    }

    fn read_hot(&self) -> Result<()> {
        let mut client = Client::connect(self.address)?;
        let mut next = 0;
        while !self.stopping() || next < *lock(&self.acknowledged) {
            let fetched = client.fetch(HOT, &[(0, i64::from(next))], 1 << 20, HOT_WAIT_MS)?;
            for (producer, number) in marks(fetched)? {
                if (producer, number) != (0, next) {
                    return wrong(format!("record {number} of producer {producer} came, {next} was due"));
                }
                next += 1;
                let sent = lock(&self.sent).pop_front();
                let Some((_, began)) = sent.filter(|(sent, _)| *sent == number) else {
                    return wrong(format!("record {number} came, which was not sent"));
                };
                self.note(1, began, 1);
            }
        }
        Ok(())
    }

    /// Connects, learns of the server, of one topic and its settings, of its end and of a coordinator, and leaves.
    fn come_and_go(&self) -> Result<()> {
        while !self.stopping() {
            let began = Instant::now();
            let mut client = Client::connect(self.address)?;
            let asked = [asks::api_versions()?, asks::metadata_of(HOT)?, asks::configs_of(HOT)?, asks::coordinator()?];
            for request in &asked {
                client.stream().write_all(request)?;
                client.frame()?;
            }
            client.offset(HOT, 0, -1)?;
            self.note(3, began, 1);
            pace(began, NEWCOMER_EVERY);
        }
        Ok(())
    }

    /// Reads all partitions in turn from start to end, again and again.
    fn read_cold(&self) -> Result<()> {
        let mut client = Client::connect(self.address)?;
        let (mut partition, mut next) = (0, 0u32);
        let mut began = Instant::now();
        while !self.stopping() {
            let fetched = client.fetch(COLD, &[(partition, i64::from(next))], COLD_BYTES, HOT_WAIT_MS)?;
            let marks = marks(fetched)?;
            if marks.is_empty() {
                continue; // an answer without records is none
            }
            self.note(2, began, marks.len());
            for (producer, number) in marks {
                if (i32::from(producer), number) != (partition, next) {
                    return wrong(format!("partition {partition}: record {number} came, {next} was due"));
                }
                next += 1;
            }
            let end = if partition == 0 { self.size.cold_batches_first } else { self.size.cold_batches };
            if next == end {
                (partition, next) = ((partition + 1) % self.size.cold_partitions, 0);
            }
            pace(began, COLD_EVERY);
            began = Instant::now();
        }
        Ok(())
    }
}

/// Sleeps until `interval` is over since `began`.
pub(super) fn pace(began: Instant, interval: Duration) {
    thread::sleep(interval.saturating_sub(began.elapsed()));
}

/// Producer and number of every record in an answer for one partition.
fn marks(fetched: Vec<Fetched>) -> Result<Vec<(u16, u32)>> {
    let Some(part) = fetched.into_iter().next() else { return wrong("an answer without the partition") };
    if part.error != 0 {
        return wrong(format!("a fetch got error {}", part.error));
    }
    let mut marks = Vec::new();
    for (_, bytes) in batches(part.records)? {
        for record in records::read(&bytes).or_else(|error| wrong(error.to_string()))? {
            let Mark { producer, number } = content::read(record.value.as_deref().unwrap_or_default())?;
            marks.push((producer, number));
        }
    }
    Ok(marks)
}
