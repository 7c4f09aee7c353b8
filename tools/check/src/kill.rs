//! `kill -9` in mid-load, again and again: nothing acknowledged is lost, doubled or changed.

use crate::content::{self, Sender};
use crate::failure::{Failure, Result, wrong};
use crate::ledger::{Ledger, Sent};
use crate::process::{Launch, Server};
use crate::report::{Report, percentiles};
use crate::wire::{ACKS_ALL, Client, Produce, Produced};
use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use torc_base::prng::Prng;
use torc_net::kafka::records::Codec;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub torc: PathBuf,
    /// An empty directory.
    pub dir: PathBuf,
    pub rounds: u32,
    pub shards: u16,
    pub seed: u64,
}

const PARTITIONS: u16 = 6;
/// Connections that produce; the odd ones are idempotent and repeat what was not answered.
const PRODUCERS: u16 = 6;
/// Requests of one connection without answers, as Kafka's clients have them at most.
const IN_FLIGHT: usize = 5;
/// After so many bytes of a round a producer sends small records only, which bounds the disk.
const ROUND_BYTES: usize = 3 << 20;
/// Rounds after which the topic is deleted and another one made.
const TOPIC_ROUNDS: u32 = 10;
/// The server is killed at a moment of this span after load began.
const LOAD_MS: (u64, u64) = (20, 700);
/// A start is now and then killed in this span, before or soon after it is ready.
const START_MS: u64 = 120;

/// Runs the rounds.
pub fn run(plan: &Plan) -> Result<Report> {
    let mut report = Report::new("kill");
    let mut prng = Prng::new(plan.seed);
    let mut launch = Launch::new(&plan.torc, &plan.dir).shards(Some(plan.shards));
    // One port for all lives of the server: a restart finds it as the last one left it.
    launch.port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut producers: Vec<Producer> = (0..PRODUCERS).map(|id| Producer::new(id, prng.fork())).collect();
    let mut ledger = Ledger::new(String::new(), PARTITIONS);
    let (mut restarts, mut killed_starts, mut batches) = (Vec::new(), 0, 0);
    for round in 0..plan.rounds {
        killed_starts += u32::from(round > 0 && kill_a_start(&launch, &mut prng)?);
        let mut server = launch.start()?;
        restarts.push(server.ready);
        let told = format!("round {round} of {} with seed {}", plan.rounds, plan.seed);
        if let Err(failure) = one_round(&mut server, round, &mut ledger, &mut producers, &mut prng) {
            report.demand(told, false, failure.to_string());
            return Ok(report);
        }
        server.kill()?;
        batches += producers.iter_mut().map(|p| std::mem::take(&mut p.acknowledged)).sum::<u64>();
        if (round + 1) % 20 == 0 {
            report.say(format!("{} rounds, {batches} batches acknowledged", round + 1));
        }
    }
    let mut server = launch.start()?;
    restarts.push(server.ready);
    let last = ledger.check(server.kafka).map_or_else(|f| f.to_string(), |()| "as acknowledged".to_string());
    report.demand("the log after the last round", last == "as acknowledged", last.clone());
    server.stop()?;
    report.number("rounds", f64::from(plan.rounds));
    report.number("starts_killed_too", f64::from(killed_starts));
    report.number("batches_acknowledged", batches as f64);
    report.number("records_verified", ledger.records_verified as f64);
    report.number("batches_repeated_after_a_kill", producers.iter().map(|p| p.repeated).sum::<u64>() as f64);
    percentiles(&mut report, "restart", &mut restarts);
    let seen = format!("{batches} batches in {} rounds of kill -9", plan.rounds);
    report.demand("no acknowledged record lost, doubled or changed", batches > 0, seen);
    Ok(report)
}

/// Now and then starts the server and kills it before or soon after it is ready; true if it did.
pub fn kill_a_start(launch: &Launch, prng: &mut Prng) -> Result<bool> {
    let kills = prng.chance(1, 4);
    if kills {
        let after = Duration::from_micros(prng.below(START_MS * 1000));
        let mut child = launch.spawn()?;
        thread::sleep(after);
        child.kill()?;
        child.wait()?;
    }
    Ok(kills)
}

/// Verifies what the last round left, then produces and reads until the server is killed.
fn one_round(
    server: &mut Server,
    round: u32,
    ledger: &mut Ledger,
    producers: &mut [Producer],
    prng: &mut Prng,
) -> Result<()> {
    if round > 0 {
        ledger.check(server.kafka)?;
    }
    if round.is_multiple_of(TOPIC_ROUNDS) {
        let mut client = Client::connect(server.kafka)?;
        if round > 0 {
            client.delete_topic(&ledger.topic)?;
        }
        let topic = format!("kill-{}", round / TOPIC_ROUNDS);
        client.create_topic(&topic, PARTITIONS.into(), &[])?;
        ledger.start_over(topic);
        producers.iter_mut().for_each(Producer::forget);
    }
    let wait = Duration::from_millis(prng.between(LOAD_MS.0, LOAD_MS.1));
    let (address, topic, stop) = (server.kafka, ledger.topic.clone(), AtomicBool::new(false));
    let shared = Mutex::new(ledger);
    thread::scope(|scope| -> Result<()> {
        let mut hands = Vec::new();
        for producer in producers.iter_mut() {
            let (topic, stop, shared) = (&topic, &stop, &shared);
            hands.push(scope.spawn(move || producer.run(address, topic, stop, shared)));
        }
        hands.push(scope.spawn(|| follow(address, &stop, &shared)));
        thread::sleep(wait);
        let dead = !server.is_alive();
        let killed = server.kill();
        stop.store(true, Ordering::Relaxed);
        for hand in hands {
            match hand.join().expect("a producer's thread does not panic") {
                Err(failure) if !failure.is_lost() => return Err(failure),
                _ => {}
            }
        }
        if dead { wrong("the server ended by itself") } else { killed }
    })
}

/// A consumer at the tail while the load runs: what it sees must be there afterwards, too.
fn follow(address: SocketAddr, stop: &AtomicBool, ledger: &Mutex<&mut Ledger>) -> Result<()> {
    let mut client = Client::connect(address)?;
    while !stop.load(Ordering::Relaxed) {
        let (topic, from) = {
            let ledger = ledger.lock().expect("no thread panics");
            (ledger.topic.clone(), ledger.ends())
        };
        let fetched = client.fetch(&topic, &from, 4 << 20, 20)?;
        ledger.lock().expect("no thread panics").take(fetched)?;
    }
    Ok(())
}

/// A batch that was sent and not answered.
struct Pending {
    sent: Sent,
    batch: Vec<u8>,
}

/// One connection that produces to every partition.
struct Producer {
    id: u16,
    prng: Prng,
    /// Id and epoch, for the odd ones, once asked for.
    idempotent: Option<(i64, i16)>,
    /// The number of the next record, by partition.
    next: Vec<u32>,
    pending: VecDeque<Pending>,
    acknowledged: u64,
    repeated: u64,
}

impl Producer {
    fn new(id: u16, prng: Prng) -> Producer {
        let next = vec![0; usize::from(PARTITIONS)];
        Producer { id, prng, idempotent: None, next, pending: VecDeque::new(), acknowledged: 0, repeated: 0 }
    }

    fn repeats(&self) -> bool {
        self.id % 2 == 1
    }

    /// Starts over with another topic.
    fn forget(&mut self) {
        self.next.fill(0);
        self.pending.clear();
    }

    /// Produces until told to stop, or the server is gone.
    fn run(&mut self, address: SocketAddr, topic: &str, stop: &AtomicBool, ledger: &Mutex<&mut Ledger>) -> Result<()> {
        let result = self.produce(address, topic, stop, ledger);
        if !self.repeats() {
            self.pending.clear();
        }
        result
    }

    fn produce(
        &mut self,
        address: SocketAddr,
        topic: &str,
        stop: &AtomicBool,
        ledger: &Mutex<&mut Ledger>,
    ) -> Result<()> {
        let mut client = Client::connect(address)?;
        if self.repeats() && self.idempotent.is_none() {
            self.idempotent = Some(client.init_producer()?);
        }
        for pending in &self.pending {
            let (partition, batch) = (pending.sent.partition.into(), pending.batch.clone());
            client.send_produce(Produce { topic, partition, acks: ACKS_ALL, batch })?;
            self.repeated += 1;
        }
        let mut bytes = 0;
        let depth = if self.id < 2 { 1 } else { IN_FLIGHT };
        while !stop.load(Ordering::Relaxed) {
            while client.outstanding() >= depth {
                let produced = client.receive_produced()?;
                self.answered(produced, ledger)?;
            }
            let pending = self.next_batch(bytes);
            bytes += pending.batch.len();
            if bytes > ROUND_BYTES {
                thread::sleep(Duration::from_millis(1));
            }
            let (partition, batch) = (pending.sent.partition.into(), pending.batch.clone());
            self.pending.push_back(pending);
            client.send_produce(Produce { topic, partition, acks: ACKS_ALL, batch })?;
        }
        Ok(())
    }

    fn next_batch(&mut self, bytes_before: usize) -> Pending {
        let partition = self.prng.below(PARTITIONS.into()) as u16;
        let lane = self.id * PARTITIONS + partition;
        let largest =
            if bytes_before > ROUND_BYTES { 100 } else { [100, 2_000, 60_000, 300_000][self.prng.below(4) as usize] };
        let count = self.prng.between(1, if largest > 2_000 { 2 } else { 20 });
        let size = |prng: &mut Prng| prng.between(content::VALUE_MIN as u64, largest / count.min(2)) as usize;
        let sizes: Vec<usize> = (0..count).map(|_| size(&mut self.prng)).collect();
        let first = self.next[usize::from(partition)];
        self.next[usize::from(partition)] += sizes.len() as u32;
        let codec = match self.prng.below(8) {
            0 => Codec::Lz4,
            1 => Codec::Zstd,
            _ => Codec::None,
        };
        let sender = Sender { producer: lane, idempotent: self.idempotent };
        let batch = content::batch(sender, first, &sizes, codec, now_ms());
        Pending { sent: Sent { lane, partition, first, count: sizes.len() as u32 }, batch }
    }

    fn answered(&mut self, produced: Produced, ledger: &Mutex<&mut Ledger>) -> Result<()> {
        let sent = self.pending.pop_front().expect("an answer to a batch").sent;
        if produced.error != 0 {
            return Err(Failure::Wrong(format!("{sent:?} was answered with error {}", produced.error)));
        }
        self.acknowledged += 1;
        ledger.lock().expect("no thread panics").acknowledged(sent, produced.base_offset);
        Ok(())
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}

/// Waits until `done` or for `limit`; true if it was done.
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<bool> {
    let began = Instant::now();
    loop {
        if done()? {
            return Ok(true);
        }
        if began.elapsed() > limit {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(20));
    }
}
