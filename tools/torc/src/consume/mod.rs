//! `torc consume`: records of a topic to standard output.

pub mod args;
mod group;
mod last;
mod print;
mod reader;
mod template;

#[cfg(test)]
mod consume_tests;

use crate::exit;
use crate::formats::json::Place;
use crate::output::complain;
use crate::tally::Tally;
use args::{ConsumeArgs, From};
use print::Printer;
use reader::{ReadError, Taken, TopicReader, Wanted};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use torc_client::{Cluster, EARLIEST, Isolation, LATEST, Patience, Topic, TopicError};
use torc_load::interrupt;
use torc_net::kafka::records::OwnedRecord;

/// Whoever reads for ever looks so often whether the topic has got more partitions.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How reading ended.
enum End {
    /// All that was asked for was read, or nobody reads it any more.
    Done,
    /// A signal came.
    Stopped(i32),
}

/// Does what the command line asks for.
pub fn run(args: &ConsumeArgs) -> ExitCode {
    if let Some(why) = args.flaw() {
        complain(why);
        return ExitCode::from(exit::USAGE);
    }
    // On a terminal that shows the records a line that changes would be in their way.
    let mut tally = Tally::new("read", !args.quiet && !io::stdout().is_terminal());
    let result = consume(args, &mut tally);
    let has_end = args.until_end || args.count.is_some();
    match result {
        Ok(End::Done) => {
            tally.end();
            ExitCode::SUCCESS
        }
        Ok(End::Stopped(signal)) => {
            tally.wipe();
            complain(&tally.to_string());
            if has_end { ExitCode::from(interrupt::exit_code(signal)) } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            tally.wipe();
            complain(&format!("{error}\n{tally}"));
            ExitCode::from(exit::FAILED)
        }
    }
}

fn stopped() -> bool {
    interrupt::caught().is_some()
}

fn consume(args: &ConsumeArgs, tally: &mut Tally) -> Result<End, Box<dyn Error>> {
    interrupt::watch()?;
    let mut patience = Patience::new(args.timeout, stopped);
    let topic = Topic::open(Cluster::connect(&args.bootstrap_server)?, &args.topic, &mut patience)?;
    let partitions = partitions(&topic, &args.partition)?;
    let isolation = if args.uncommitted { Isolation::ReadUncommitted } else { Isolation::ReadCommitted };
    let mut reader = TopicReader::new(topic, patience, isolation);
    let mut sink = Sink { printer: Printer::new(args), args, tally, failed: None };
    let read = read(args, &mut reader, &partitions, &mut sink);
    // What was read before something failed is handed on.
    let flushed = sink.printer.flush();
    match (sink.failed.map_or(flushed, Err), read) {
        (Err(error), _) if error.kind() == io::ErrorKind::BrokenPipe => Ok(End::Done),
        (Err(error), _) => Err(format!("cannot write to standard output: {error}").into()),
        (Ok(()), Err(error)) if error.is_stop() => Ok(End::Stopped(interrupt::caught().unwrap_or(0))),
        (Ok(()), Err(error)) => Err(error.to_string().into()),
        (Ok(()), Ok(end)) => Ok(end),
    }
}

/// Those that were asked for, or all.
fn partitions(topic: &Topic, asked: &[i32]) -> Result<Vec<i32>, TopicError> {
    let there = topic.partitions();
    if asked.is_empty() {
        return Ok(there);
    }
    match asked.iter().find(|partition| !there.contains(partition)) {
        Some(&partition) => {
            Err(TopicError::NoPartition { name: topic.name().to_string(), partition, partitions: there.len() })
        }
        None => Ok(asked.to_vec()),
    }
}

fn read(args: &ConsumeArgs, reader: &mut TopicReader, partitions: &[i32], sink: &mut Sink) -> Result<End, ReadError> {
    if args.count == Some(0) {
        return Ok(End::Done);
    }
    if let Some(group) = &args.group {
        return group::read(args, group, reader, sink);
    }
    let mut ends = None;
    if args.until_end || args.last.is_some() {
        ends = Some(reader.offsets(partitions, LATEST)?);
    }
    let starts = match (args.last, &ends) {
        (Some(count), Some(ends)) => {
            let last = last::read(reader, ends, count, stopped)?;
            if let Some(signal) = interrupt::caught() {
                return Ok(End::Stopped(signal));
            }
            for kept in last {
                if sink.take(kept.partition, kept.timestamp_type, &kept.record) == Wanted::Enough {
                    return Ok(End::Done);
                }
            }
            ends.clone()
        }
        _ => starts(reader, partitions, args.from)?,
    };
    reader.begin(&starts, ends.as_ref().filter(|_| args.until_end));
    let follows = args.partition.is_empty() && !args.until_end;
    let mut looked = Instant::now();
    while !reader.is_done() {
        if follows && looked.elapsed() > LOOK_EVERY {
            reader.look_for_new()?;
            looked = Instant::now();
        }
        if sink.hand_on() == Wanted::Enough {
            return Ok(End::Done);
        }
        if let Some(signal) = interrupt::caught() {
            return Ok(End::Stopped(signal));
        }
        let take = |taken: &Taken| sink.take(taken.partition, taken.timestamp_type, taken.record);
        if reader.round(take)? == Wanted::Enough {
            return Ok(End::Done);
        }
    }
    Ok(End::Done)
}

/// The offsets to begin with.
fn starts(reader: &mut TopicReader, partitions: &[i32], from: From) -> Result<BTreeMap<i32, i64>, TopicError> {
    let wanted = match from {
        From::Start => return reader.offsets(partitions, EARLIEST),
        From::End => return reader.offsets(partitions, LATEST),
        From::Moment(ms) => {
            let mut starts = reader.offsets(partitions, ms)?;
            // Where nothing is as new, what comes next is.
            let without: Vec<i32> = starts.iter().filter(|(_, at)| **at < 0).map(|(partition, _)| *partition).collect();
            starts.extend(reader.offsets(&without, LATEST)?);
            return Ok(starts);
        }
        From::Offset(offset) => offset,
    };
    let first = reader.offsets(partitions, EARLIEST)?;
    let end = reader.offsets(partitions, LATEST)?;
    let start = |partition: &i32| {
        let (first, end) = (first[partition], end[partition]);
        let why = if wanted < first { "begins" } else { "ends" };
        let start = wanted.clamp(first, end.max(first));
        if start != wanted {
            complain(&format!("partition {partition} {why} at offset {start}, not at {wanted}: reading from there"));
        }
        (*partition, start)
    };
    Ok(partitions.iter().map(start).collect())
}

/// Where records go.
struct Sink<'a> {
    printer: Printer<'a>,
    args: &'a ConsumeArgs,
    tally: &'a mut Tally,
    /// Why nothing can be written any more.
    failed: Option<io::Error>,
}

impl Sink<'_> {
    fn take(&mut self, partition: i32, timestamp_type: &'static str, record: &OwnedRecord) -> Wanted {
        let place = Place { topic: &self.args.topic, partition, timestamp_type };
        if let Err(error) = self.printer.print(&place, record) {
            self.failed = Some(error);
            return Wanted::Enough;
        }
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len) as u64;
        self.tally.add(1, length(&record.key) + length(&record.value));
        let enough = self.args.count == Some(self.tally.records);
        if enough { Wanted::Enough } else { Wanted::More }
    }

    /// Writes out what is buffered; nobody may want more.
    fn hand_on(&mut self) -> Wanted {
        self.tally.show();
        if let Err(error) = self.printer.flush() {
            self.failed = Some(error);
            return Wanted::Enough;
        }
        if self.printer.is_unread() { Wanted::Enough } else { Wanted::More }
    }
}
