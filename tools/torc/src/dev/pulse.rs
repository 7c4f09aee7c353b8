//! The built-in producer: a connection to each partition that writes with acks=all all the time, and notes how long it had to wait.

use crate::formats::moment::now_ms;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use torc_client::{Acks, Cluster, Outgoing, Patience, Times, Topic};
use torc_net::kafka::records::{BuildOptions, Record, build};

/// What is written to.
pub const TOPIC: &str = "torc-dev";
/// A wait that is worth a line.
pub const NOTABLE: Duration = Duration::from_millis(150);
/// A broker that says nothing for so long is given up: it may be paused.
const TIMES: Times = Times { connect: Duration::from_millis(500), answer: Duration::from_secs(1) };
const RETRY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(50));
/// Tries go on for as long as anybody watches.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Between two writes of a partition.
const REST: Duration = Duration::from_millis(2);

/// A time without an ack that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub partition: i32,
    pub time: Duration,
}

/// What is known of the writes.
pub struct Pulse {
    began: Instant,
    acknowledged: AtomicU64,
    /// Of each partition: when its last ack came, in microseconds.
    last_us: Mutex<Vec<Option<u64>>>,
    gaps: Mutex<Vec<Gap>>,
    /// The producers have ended, and why.
    trouble: Mutex<Option<String>>,
}

/// Producers see it between two tries.
static STOPPED: AtomicBool = AtomicBool::new(false);

fn stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// Tells all producers to stop.
pub fn stop() {
    STOPPED.store(true, Ordering::Relaxed);
}

fn patience() -> Patience {
    Patience::new(PATIENCE, stopped).pauses(RETRY.0, RETRY.1)
}

impl Pulse {
    /// Begins to write.
    pub fn start(addresses: &str) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse {
            began: Instant::now(),
            acknowledged: AtomicU64::new(0),
            last_us: Mutex::default(),
            gaps: Mutex::default(),
            trouble: Mutex::default(),
        });
        let (mine, addresses) = (Arc::clone(&pulse), addresses.to_string());
        thread::spawn(move || mine.note(mine.produce_all(&addresses)));
        pulse
    }

    fn note(&self, result: Result<(), String>) {
        if let Err(why) = result
            && !stopped()
        {
            self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        }
    }

    fn produce_all(&self, addresses: &str) -> Result<(), String> {
        let open = || -> Result<Topic, String> {
            let cluster = Cluster::connect_patiently(addresses, TIMES, &mut patience());
            let cluster = cluster.map_err(|error| error.to_string())?;
            Topic::open_or_create(cluster, TOPIC, &mut patience()).map_err(|error| error.to_string())
        };
        let partitions = open()?.partitions();
        *self.last_us.lock().unwrap_or_else(PoisonError::into_inner) = vec![None; partitions.len()];
        thread::scope(|scope| {
            for partition in partitions {
                scope.spawn(move || self.note(open().and_then(|topic| self.produce(topic, partition))));
            }
        });
        Ok(())
    }

    fn produce(&self, mut topic: Topic, partition: i32) -> Result<(), String> {
        let producer = topic.producer_id(&mut patience()).map_err(|error| error.to_string())?;
        let mut sequence = 0;
        while !stopped() {
            let value = format!("record {sequence} of partition {partition}");
            let record = Record { timestamp: now_ms(), key: None, value: Some(value.as_bytes()), headers: &[] };
            let mut options = BuildOptions::default();
            if let Some(producer) = producer {
                (options.producer_id, options.producer_epoch) = (producer.id, producer.epoch);
                options.base_sequence = sequence;
            }
            let mut batches = [Outgoing { partition, batch: build(&[record], &options).into(), outcome: None }];
            topic.produce(&mut batches, Acks::All, &mut patience()).map_err(|error| error.to_string())?;
            if let Some(Err(refusal)) = batches[0].outcome.take() {
                return Err(refusal.to_string());
            }
            self.answered(partition);
            // As brokers count: after the highest number comes 0.
            sequence = sequence.checked_add(1).unwrap_or(0);
            thread::sleep(REST);
        }
        Ok(())
    }

    fn now_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    fn answered(&self, partition: i32) {
        let now = self.now_us();
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        let last = self.last_us.lock().unwrap_or_else(PoisonError::into_inner)[partition as usize].replace(now);
        let time = Duration::from_micros(now - last.unwrap_or(now));
        if time >= NOTABLE {
            self.gaps.lock().unwrap_or_else(PoisonError::into_inner).push(Gap { partition, time });
        }
    }

    /// True once each partition has acknowledged a write: from then on no wait is missed.
    pub fn is_steady(&self) -> bool {
        let last_us = self.last_us.lock().unwrap_or_else(PoisonError::into_inner);
        !last_us.is_empty() && last_us.iter().all(Option::is_some)
    }

    /// Writes that were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Gaps that have ended since the last call.
    pub fn gaps(&self) -> Vec<Gap> {
        std::mem::take(&mut *self.gaps.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How long the partition that waits longest has waited, if that is worth a word.
    pub fn waiting(&self) -> Option<Duration> {
        let now = self.now_us();
        let last = self.last_us.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten().copied().min()?;
        Some(Duration::from_micros(now.saturating_sub(last))).filter(|time| *time >= NOTABLE)
    }

    /// Why nothing is written any more.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
