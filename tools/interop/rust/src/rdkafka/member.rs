//! rust-rdkafka as a member of a group, as harness/members.py describes it.

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, Write};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(15);
const BATCH: usize = 500;

/// Tells what librdkafka calls back with.
#[derive(Default)]
struct Told {
    owned: Mutex<BTreeSet<i32>>,
}

impl ClientContext for Told {}

impl ConsumerContext for Told {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(gone) = rebalance {
            let gone = numbers(gone);
            self.change(|owned| owned.retain(|partition| !gone.contains(partition)));
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(added) = rebalance {
            self.change(|owned| owned.extend(numbers(added)));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        match result {
            Ok(()) => tell_committed(offsets),
            Err(error) => say(&format!("uncommitted\t{error}")),
        }
    }
}

impl Told {
    fn change(&self, change: impl FnOnce(&mut BTreeSet<i32>)) {
        let mut owned = self.owned.lock().expect("no panic while it is held");
        change(&mut owned);
        say(&format!("assigned\t{}", owned.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")));
    }
}

pub fn join(bootstrap: &str, path: &str) {
    let text = std::fs::read_to_string(path).expect("the file is readable");
    let plan: HashMap<&str, &str> = text.lines().map(|line| line.split_once('\t').expect("name<tab>value")).collect();
    let (topic, mode) = (plan["topic"], plan["commit"]);
    let consumer = connect(bootstrap, &plan).expect("the settings are valid");
    consumer.subscribe(&[topic]).expect("the topic's name is valid");
    let orders = read_orders();
    loop {
        for order in orders.try_iter() {
            if order[0] == "leave" {
                // Dropping the consumer closes it, and drops what is still in its queue: with auto commit that would count as read.
                report("failed", consumer.assignment().and_then(|all| consumer.pause(&all)));
                return;
            }
            report("failed", run_order(&consumer, topic, &order.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        if poll(&consumer) && matches!(mode, "sync" | "async") {
            report("uncommitted", run_order(&consumer, topic, &["commit", mode]));
        }
    }
}

fn connect(bootstrap: &str, plan: &HashMap<&str, &str>) -> KafkaResult<BaseConsumer<Told>> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", plan["group"])
        .set("group.protocol", plan["protocol"])
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", (plan["commit"] == "auto").to_string())
        .set("auto.commit.interval.ms", "200")
        .set("reconnect.backoff.max.ms", "500")
        .set("fetch.wait.max.ms", "100");
    if plan["protocol"] == "classic" {
        let assignor = if plan["assignor"] == "cooperative" { "cooperative-sticky" } else { "range" };
        config
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "500")
            .set("partition.assignment.strategy", assignor);
    }
    if !plan["instance"].is_empty() {
        config.set("group.instance.id", plan["instance"]);
    }
    config.create_with_context(Told::default())
}

fn read_orders() -> Receiver<Vec<String>> {
    let (sender, orders) = channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok);
        for line in lines.chain(["leave".into()]) {
            if sender.send(line.split_whitespace().map(Into::into).collect()).is_err() {
                return;
            }
        }
    });
    orders
}

/// Tells the records that arrive within POLL; whether there were any.
fn poll(consumer: &BaseConsumer<Told>) -> bool {
    let deadline = Instant::now() + POLL;
    let mut told = String::new();
    for _ in 0..BATCH {
        match consumer.poll(deadline.saturating_duration_since(Instant::now())) {
            None => break,
            Some(Err(error)) => eprintln!("{error}"), // of a connection; librdkafka goes on by itself
            Some(Ok(message)) => {
                let value = String::from_utf8_lossy(message.payload().unwrap_or_default());
                told += &format!("record\t{}\t{}\t{value}\n", message.partition(), message.offset());
            }
        }
    }
    say(told.trim_end());
    !told.is_empty()
}

fn run_order(consumer: &BaseConsumer<Told>, topic: &str, order: &[&str]) -> KafkaResult<()> {
    let numbers: Vec<i64> = order.iter().filter_map(|word| word.parse().ok()).collect();
    let mut partition = TopicPartitionList::new();
    if let &[number, ..] = numbers.as_slice() {
        let offset = numbers.get(1).map_or(Offset::Invalid, |&offset| Offset::Offset(offset));
        partition.add_partition_offset(topic, number as i32, offset)?;
    }
    match order {
        // What is committed is told by the callback, in each mode.
        ["commit", "sync"] => return consumer.commit_consumer_state(CommitMode::Sync),
        ["commit", "async"] => return consumer.commit_consumer_state(CommitMode::Async),
        ["commit", "hand", ..] => return consumer.commit(&partition, CommitMode::Sync),
        ["pause", _] => consumer.pause(&partition)?,
        ["resume", _] => consumer.resume(&partition)?,
        ["seek", ..] => drop(consumer.seek_partitions(partition, TIMEOUT)?),
        _ => return Err(KafkaError::Subscription(format!("no such order: {order:?}"))),
    }
    say(&format!("done\t{}", order[0]));
    Ok(())
}

/// Nothing new to commit is no failure.
fn report(what: &str, result: KafkaResult<()>) {
    match result {
        Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
        Err(error) => say(&format!("{what}\t{error}")),
    }
}

fn tell_committed(offsets: &TopicPartitionList) {
    for element in offsets.elements() {
        if let Offset::Offset(offset) = element.offset() {
            say(&format!("committed\t{}\t{offset}", element.partition()));
        }
    }
}

fn numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    partitions.elements().iter().map(|element| element.partition()).collect()
}

fn say(line: &str) {
    if !line.is_empty() {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).expect("somebody reads");
    }
}
