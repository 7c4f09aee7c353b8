//! `torc produce`: lines of standard input, or files, become records of a topic.

pub mod args;
mod batches;
mod input;

#[cfg(test)]
mod produce_tests;

use crate::exit;
use crate::formats::RecordFormat;
use crate::formats::moment::now_ms;
use crate::output::complain;
use crate::tally::Tally;
use args::{AcksName, ProduceArgs};
use batches::{Batches, Manner};
use input::{Chunk, Rules};
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use torc_base::limits::MESSAGE_BYTES_DEFAULT;
use torc_client::{Acks, Cluster, Ended, Patience, Topic, TopicError};
use torc_load::interrupt;
use torc_load::options::CodecName;
use torc_net::kafka::records::Codec;

/// What has been read waits so long for more.
const LINGER: Duration = Duration::from_millis(5);
/// Ctrl-C is seen after this time.
const LOOK: Duration = Duration::from_millis(100);
/// A record that is to be compressed may have so many bytes; the broker judges what becomes of it.
const COMPRESSED_BYTES_MAX: usize = 64 << 20;

/// Why not all was sent.
enum Failure {
    /// The command line is wrong.
    Usage(String),
    Failed(String),
    /// A signal came before the end of the input.
    Stopped(i32),
}

impl From<TopicError> for Failure {
    fn from(error: TopicError) -> Failure {
        Failure::Failed(error.to_string())
    }
}

/// Does what the command line asks for.
pub fn run(args: &ProduceArgs) -> ExitCode {
    // Where somebody types, a line that changes would be in the way.
    let typed = io::stdin().is_terminal() && args.files.iter().all(|file| file.as_os_str() == "-");
    let verb = if args.acks == AcksName::None { "sent without acknowledgement" } else { "sent" };
    let mut tally = Tally::new(verb, !args.quiet && !typed);
    let (code, why) = match produce(args, &mut tally) {
        Ok(()) => {
            tally.end();
            return ExitCode::SUCCESS;
        }
        Err(Failure::Usage(why)) => (exit::USAGE, why),
        Err(Failure::Failed(why)) => (exit::FAILED, format!("{why}\n{tally}")),
        Err(Failure::Stopped(signal)) => (interrupt::exit_code(signal), tally.to_string()),
    };
    tally.wipe();
    complain(&why);
    ExitCode::from(code)
}

fn stopped() -> bool {
    interrupt::caught().is_some()
}

fn produce(args: &ProduceArgs, tally: &mut Tally) -> Result<(), Failure> {
    check(args)?;
    interrupt::watch().map_err(|error| Failure::Failed(error.to_string()))?;
    let mut patience = Patience::new(args.timeout, stopped);
    let mut topic = open(args, &mut patience)?;
    let bytes_max = topic.message_bytes_max().unwrap_or(MESSAGE_BYTES_DEFAULT);
    let producer = match args.acks {
        AcksName::All => topic.producer_id(&mut patience)?,
        AcksName::None | AcksName::Leader => None,
    };
    let manner = Manner::new(codec(args.codec), acks(args.acks), producer, bytes_max);
    let record_bytes_max = match args.codec {
        CodecName::None => bytes_max,
        _ => bytes_max.max(COMPRESSED_BYTES_MAX),
    };
    let chunks = input::start(args, Rules::new(args, record_bytes_max));
    let chunks = chunks.map_err(|error| Failure::Failed(format!("cannot start a thread: {error}")))?;
    let seed = now_ms() as u64 ^ u64::from(std::process::id()) << 32;
    let mut sender = Sender { topic, patience, batches: Batches::new(manner, seed), tally, partition: args.partition };
    let result = sender.send_all(&chunks);
    if args.acks == AcksName::None && result.is_ok() {
        let lost =
            |error| Failure::Failed(format!("a connection broke, and what was written to it may be lost: {error}"));
        sender.topic.await_taken().map_err(lost)?;
    }
    result
}

/// What clap cannot know of.
fn check(args: &ProduceArgs) -> Result<(), Failure> {
    let usage = |what: &str| Err(Failure::Usage(what.to_string()));
    if args.key.is_some() && args.format != RecordFormat::Value {
        return usage("--key is for --format value: other formats have keys of their own");
    }
    if args.keep_partitions && args.format != RecordFormat::Json {
        return usage("--keep-partitions is for --format json");
    }
    // What is passed over would end up in the log as something else than was meant.
    if args.key_delimiter.is_some() && args.format != RecordFormat::KeyValue {
        return usage("--key-delimiter is for --format key-value");
    }
    if args.delimiter.is_some() && matches!(args.format, RecordFormat::Json | RecordFormat::Hex) {
        return usage("--delimiter is for --format value and key-value: the others have a record in each line");
    }
    if args.null.is_some() && matches!(args.format, RecordFormat::Json | RecordFormat::Hex) {
        return usage("--null is for --format value and key-value: the others have a null of their own");
    }
    Ok(())
}

fn open(args: &ProduceArgs, patience: &mut Patience) -> Result<Topic, Failure> {
    let cluster = Cluster::connect(&args.bootstrap_server).map_err(|error| Failure::Failed(error.to_string()))?;
    let topic = match args.create {
        true => Topic::open_or_create(cluster, &args.topic, patience),
        false => Topic::open(cluster, &args.topic, patience),
    };
    let topic = topic.map_err(|error| {
        let hint = if matches!(error, TopicError::Missing { .. }) { " (--create makes a new one)" } else { "" };
        Failure::Failed(format!("{error}{hint}"))
    })?;
    match args.partition.filter(|partition| !topic.partitions().contains(partition)) {
        Some(partition) => Err(no_partition(&topic, partition).into()),
        None => Ok(topic),
    }
}

fn no_partition(topic: &Topic, partition: i32) -> TopicError {
    TopicError::NoPartition { name: topic.name().to_string(), partition, partitions: topic.partitions().len() }
}

fn codec(name: CodecName) -> Codec {
    match name {
        CodecName::None => Codec::None,
        CodecName::Gzip => Codec::Gzip,
        CodecName::Snappy => Codec::Snappy,
        CodecName::Lz4 => Codec::Lz4,
        CodecName::Zstd => Codec::Zstd,
    }
}

fn acks(name: AcksName) -> Acks {
    match name {
        AcksName::None => Acks::None,
        AcksName::Leader => Acks::Leader,
        AcksName::All => Acks::All,
    }
}

struct Sender<'a> {
    topic: Topic,
    patience: Patience,
    batches: Batches,
    tally: &'a mut Tally,
    partition: Option<i32>,
}

impl Sender<'_> {
    /// Sends all that comes. What came before a failure is sent.
    fn send_all(&mut self, chunks: &Receiver<Chunk>) -> Result<(), Failure> {
        let mut linger: Option<Instant> = None;
        loop {
            if let Some(signal) = interrupt::caught() {
                // What has been read is sent; nothing more is.
                while let Ok(Ok(chunk)) = chunks.try_recv() {
                    self.take(chunk)?;
                }
                self.flush()?;
                return Err(Failure::Stopped(signal));
            }
            let wait = linger.map_or(LOOK, |end| end.saturating_duration_since(Instant::now()).min(LOOK));
            match chunks.recv_timeout(wait) {
                Ok(Ok(chunk)) => {
                    self.take(chunk)?;
                    linger.get_or_insert_with(|| Instant::now() + LINGER);
                }
                Ok(Err(why)) => {
                    self.flush()?;
                    return Err(Failure::Failed(why));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.flush(),
            }
            if self.batches.is_full() || linger.is_some_and(|end| end <= Instant::now()) {
                self.flush()?;
                linger = None;
            }
        }
    }

    fn take(&mut self, chunk: Vec<input::Input>) -> Result<(), Failure> {
        for mut input in chunk {
            input.partition = self.partition.or(input.partition);
            if let Some(partition) = input.partition.filter(|partition| !self.topic.has(*partition)) {
                let (place, error) = (input.place(), no_partition(&self.topic, partition));
                self.flush()?;
                return Err(Failure::Failed(format!("{place}: {error}")));
            }
            self.batches.add(input, &self.topic);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let result = self.batches.send(&mut self.topic, &mut self.patience);
        let (records, bytes) = self.batches.taken();
        self.tally.add(records, bytes);
        self.tally.show();
        match result {
            Ok(()) => Ok(()),
            Err(batches::SendError::Topic(TopicError::Ended(Ended::Stopped))) => Err(interrupt::caught()
                .map_or_else(|| Failure::Failed("it was told to stop".to_string()), Failure::Stopped)),
            Err(error) => Err(Failure::Failed(error.to_string())),
        }
    }
}
