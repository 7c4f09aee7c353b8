//! Clients that never rest: producers with acks=all, a reader at the tail, a group that commits.

use super::nodes::{Nodes, TIMES};
use super::{RECOVERY_MAX, wait_for};
use crate::content::{self, Sender};
use crate::failure::{Failure, Result, wrong};
use crate::kill::now_ms;
use crate::ledger::{Ledger, Sent, Source};
use crate::wire;
use bytes::Bytes;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest};
use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use torc_base::prng::Prng;
use torc_client::{
    Acks, Cluster, FetchLimits, GroupClient, Isolation, LATEST, Outgoing, Patience, ProducerId, Topic, TopicPartition,
    topic_name,
};
use torc_net::kafka::records::Codec;

/// The shortest and the longest pause of a client before it tries again.
pub const RETRY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(50));
/// Between two batches of a producer: the machine is to have time for elections.
const REST: Duration = Duration::from_millis(3);
/// Between two commits.
const COMMIT_REST: Duration = Duration::from_millis(20);
/// Bytes of each batch of a bulk.
const BULK_BYTES: usize = 1_000_000;
/// Where a node's own log ends, whoever leads, is told to whoever asks as this replica.
const ANY_REPLICA: BrokerId = BrokerId(-2);
const GROUP: &str = "cluster";
const FETCH: FetchLimits =
    FetchLimits { wait_ms: 100, bytes: 8 << 20, partition_bytes: 1 << 20, isolation: Isolation::ReadUncommitted };

fn patience() -> Patience {
    Patience::new(RECOVERY_MAX, || false).pauses(RETRY.0, RETRY.1)
}

fn failed(error: impl fmt::Display) -> Failure {
    Failure::Wrong(error.to_string())
}

/// When a producer was last answered, and its longest wait in this round. The clock is that of the load.
#[derive(Default)]
struct Waits {
    last_us: AtomicU64,
    longest_us: AtomicU64,
    acknowledged: AtomicU64,
}

/// What all clients share.
struct Shared {
    began: Instant,
    stop: AtomicBool,
    waits: Vec<Waits>,
    ledger: Mutex<Ledger>,
    /// Commits that were acknowledged; their offsets count up from 1.
    committed: AtomicI64,
    /// Why clients have ended.
    failures: Mutex<Vec<Failure>>,
}

impl Shared {
    fn now_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no client panics")
    }

    fn answered(&self, producer: usize) {
        let (now, waits) = (self.now_us(), &self.waits[producer]);
        let last = waits.last_us.swap(now, Ordering::Relaxed);
        waits.longest_us.fetch_max(now.saturating_sub(last), Ordering::Relaxed);
        waits.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

/// Clients that run.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    pub topic: String,
}

/// What they leave behind.
pub struct Ended {
    pub acknowledged: u64,
    pub commits: u64,
    /// Records that were read back.
    pub verified: u64,
    /// Everything that was acknowledged is there.
    pub result: Result<()>,
}

impl Load {
    /// A producer to each partition of the ledger's topic, and the others.
    pub fn start(nodes: &Nodes, topic: &str, ledger: Ledger, mut prng: Prng) -> Result<Load> {
        let producers = ledger.ends().len();
        let shared = Arc::new(Shared {
            began: Instant::now(),
            stop: AtomicBool::new(false),
            waits: (0..producers).map(|_| Waits::default()).collect(),
            ledger: Mutex::new(ledger),
            committed: AtomicI64::new(0),
            failures: Mutex::default(),
        });
        let mut load = Load { shared, threads: Vec::new(), topic: topic.to_string() };
        for number in 0..producers {
            let topic = open(nodes, topic)?;
            let mut producer = Producer { number, topic, id: None, next: 0, prng: prng.fork() };
            load.run(move |shared| producer.run(shared));
        }
        let mut tail = open(nodes, topic)?;
        load.run(move |shared| follow(shared, &mut tail));
        let (mut groups, name) = (GroupClient::new(nodes.client()?, patience()), topic.to_string());
        load.run(move |shared| commit(shared, &mut groups, &name));
        load.await_all()?;
        Ok(load)
    }

    fn run(&mut self, mut client: impl FnMut(&Shared) -> Result<()> + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        self.threads.push(thread::spawn(move || {
            if let Err(failure) = client(&shared) {
                shared.failures.lock().expect("no client panics").push(failure);
            }
        }));
    }

    /// Why a client has ended, if one has.
    pub fn check(&self) -> Result<()> {
        match self.shared.failures.lock().expect("no client panics").pop() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// How many batches of each producer were acknowledged.
    fn counts(&self) -> Vec<u64> {
        self.shared.waits.iter().map(|waits| waits.acknowledged.load(Ordering::Relaxed)).collect()
    }

    /// Waits until every producer has been answered several times from now on.
    pub fn await_all(&self) -> Result<()> {
        let before = self.counts();
        wait_for("an answer to every producer", || {
            self.check()?;
            Ok(self.counts().iter().zip(&before).all(|(now, before)| *now > before + 2))
        })
    }

    /// From now on waits are counted anew.
    pub fn begin_round(&self) {
        self.shared.waits.iter().for_each(|waits| waits.longest_us.store(0, Ordering::Relaxed));
    }

    /// The longest wait of each producer since then, one that has no end yet too.
    pub fn waits(&self) -> Vec<Duration> {
        let now = self.shared.now_us();
        let longest = |waits: &Waits| {
            let open = now.saturating_sub(waits.last_us.load(Ordering::Relaxed));
            Duration::from_micros(open.max(waits.longest_us.load(Ordering::Relaxed)))
        };
        self.shared.waits.iter().map(longest).collect()
    }

    /// Stops all clients, and reads everything back.
    pub fn stop(mut self, nodes: &Nodes) -> Ended {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in mem::take(&mut self.threads) {
            thread.join().expect("no client panics");
        }
        let acknowledged = self.counts().iter().sum();
        let commits = self.shared.committed.load(Ordering::Relaxed);
        let result = self.check().and_then(|()| {
            let mut source = TopicSource(open(nodes, &self.topic)?);
            self.shared.ledger().check_from(&mut source)?;
            let mut groups = GroupClient::new(nodes.client()?, patience());
            committed(&mut groups, &self.topic, commits)
        });
        let verified = self.shared.ledger().records_verified;
        Ended { acknowledged, commits: commits as u64, verified, result }
    }
}

/// A topic of the cluster, found out anew.
pub fn open(nodes: &Nodes, topic: &str) -> Result<Topic> {
    let cluster = Cluster::connect_patiently(&nodes.addresses, TIMES, &mut patience()).map_err(failed)?;
    Topic::open(cluster, topic, &mut patience()).map_err(failed)
}

/// One large batch to each partition at a time, until so much is written.
pub fn fill(nodes: &Nodes, topic: &str, partitions: u16, bytes: u64) -> Result<()> {
    let mut topic = open(nodes, topic)?;
    let mut written = 0;
    while written < bytes {
        let batch = |partition: u16| {
            let sender = Sender { producer: partition, idempotent: None };
            let batch = content::batch(sender, 0, &[BULK_BYTES], Codec::None, now_ms());
            Outgoing { partition: partition.into(), batch: batch.into(), outcome: None }
        };
        let mut batches: Vec<Outgoing> = (0..partitions).map(batch).collect();
        topic.produce(&mut batches, Acks::All, &mut patience()).map_err(failed)?;
        if let Some(Err(refusal)) = batches.iter().find_map(|batch| batch.outcome.as_ref().filter(|o| o.is_err())) {
            return wrong(refusal.to_string());
        }
        written += u64::from(partitions) * BULK_BYTES as u64;
    }
    Ok(())
}

/// Where the logs of the partitions end: on one node, or where they are led.
pub fn ends(nodes: &Nodes, topic: &str, partitions: u16, on: Option<u32>) -> Result<BTreeMap<i32, i64>> {
    let mut client = nodes.client()?;
    let leaders = nodes.leaders(topic)?;
    let mut ends = BTreeMap::new();
    for partition in 0..i32::from(partitions) {
        let asked = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(LATEST);
        let named = ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![asked]);
        let request = ListOffsetsRequest::default().with_replica_id(ANY_REPLICA).with_topics(vec![named]);
        let Some(node) = on.map(|node| node as i32).or_else(|| leaders.get(&partition).copied()) else { continue };
        client.metadata(Some(&[])).map_err(failed)?;
        let answer = client.broker(node).and_then(|broker| broker.call(&request)).map_err(failed)?;
        let told = answer.topics.iter().flat_map(|topic| &topic.partitions).find(|part| part.error_code == 0);
        if let Some(told) = told {
            ends.insert(partition, told.offset);
        }
    }
    Ok(ends)
}

/// One connection that writes batch after batch to one partition, each once it knows of the one before.
struct Producer {
    /// Its number is its partition's.
    number: usize,
    topic: Topic,
    id: Option<ProducerId>,
    next: u32,
    prng: Prng,
}

impl Producer {
    fn run(&mut self, shared: &Shared) -> Result<()> {
        self.id = self.topic.producer_id(&mut patience()).map_err(failed)?;
        while !shared.stop.load(Ordering::Relaxed) {
            let count = self.prng.between(1, 4) as usize;
            let sizes: Vec<usize> =
                (0..count).map(|_| self.prng.between(content::VALUE_MIN as u64, 400) as usize).collect();
            let idempotent = self.id.map(|producer| (producer.id, producer.epoch));
            let sender = Sender { producer: self.number as u16, idempotent };
            let batch = content::batch(sender, self.next, &sizes, Codec::None, now_ms());
            let partition = self.number as i32;
            let mut batches = [Outgoing { partition, batch: batch.into(), outcome: None }];
            self.topic.produce(&mut batches, Acks::All, &mut patience()).map_err(failed)?;
            let base = match batches[0].outcome.take().expect("it waits for it") {
                Ok(base) => base,
                Err(refusal) => return wrong(refusal.to_string()),
            };
            shared.answered(self.number);
            let lane = self.number as u16;
            let sent = Sent { lane, partition: lane, first: self.next, count: count as u32 };
            shared.ledger().acknowledged(sent, base);
            self.next += count as u32;
            thread::sleep(REST);
        }
        Ok(())
    }
}

/// A consumer at the tail: what it sees must be there afterwards, too.
fn follow(shared: &Shared, topic: &mut Topic) -> Result<()> {
    let mut patience = patience();
    while !shared.stop.load(Ordering::Relaxed) {
        let from = shared.ledger().ends();
        let fetched = topic.fetch(&from, &FETCH, &mut patience).map_err(failed)?;
        if let Some(part) = fetched.iter().find(|part| part.out_of_range) {
            return wrong(format!("partition {} ends before what a reader has seen", part.partition));
        }
        let taken = |part: torc_client::Fetched| wire::Fetched {
            partition: part.partition,
            error: 0,
            high_watermark: -1,
            records: part.records,
        };
        shared.ledger().take(fetched.into_iter().map(taken).collect())?;
    }
    Ok(())
}

/// Commits one offset after the other.
fn commit(shared: &Shared, groups: &mut GroupClient, topic: &str) -> Result<()> {
    let place = TopicPartition::new(topic, 0);
    while !shared.stop.load(Ordering::Relaxed) {
        let next = shared.committed.load(Ordering::Relaxed) + 1;
        let offsets: BTreeMap<TopicPartition, i64> = [(place.clone(), next)].into();
        let outcomes = groups.commit(GROUP, &offsets).map_err(failed)?.map_err(failed)?;
        match outcomes.get(&place) {
            Some(Ok(())) => shared.committed.store(next, Ordering::Relaxed),
            Some(Err(refusal)) => return wrong(refusal.to_string()),
            None => return wrong("a commit's answer does not name its partition"),
        }
        thread::sleep(COMMIT_REST);
    }
    Ok(())
}

/// The last commit that was acknowledged is there; nobody commits any more.
fn committed(groups: &mut GroupClient, topic: &str, last: i64) -> Result<()> {
    if last == 0 {
        return Ok(());
    }
    let told = groups.committed(&[GROUP.to_string()]).map_err(failed)?;
    let offsets = told.into_values().next().map_or_else(|| Ok(BTreeMap::new()), |told| told.map_err(failed))?;
    let found = offsets.get(&TopicPartition::new(topic, 0)).map(|committed| committed.offset);
    if found == Some(last) {
        Ok(())
    } else {
        wrong(format!("LOST: commit {last} was acknowledged, and {found:?} is there"))
    }
}

/// Reads a topic from its leaders.
struct TopicSource(Topic);

impl Source for TopicSource {
    fn end(&mut self, _: &str, partition: i32) -> Result<i64> {
        let asked: BTreeMap<i32, i64> = [(partition, LATEST)].into();
        let ends = self.0.offsets(&asked, Isolation::ReadUncommitted, &mut patience()).map_err(failed)?;
        ends.get(&partition).copied().map_or_else(|| wrong("an offset's answer without the partition"), Ok)
    }

    fn read(&mut self, _: &str, partition: i32, offset: i64) -> Result<Option<Bytes>> {
        let mut patience = patience();
        loop {
            let fetched = self.0.fetch(&[(partition, offset)], &FETCH, &mut patience).map_err(failed)?;
            // What passes by itself has been waited for.
            if let Some(part) = fetched.into_iter().next() {
                return Ok((!part.out_of_range).then_some(part.records));
            }
        }
    }
}
