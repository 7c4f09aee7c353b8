//! Records from lines: read on a thread of its own, so that what is there can be sent while nothing comes.

use super::args::ProduceArgs;
use crate::formats::{RecordFormat, hex, json};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use torc_load::options::CodecName;

const BUFFER: usize = 64 << 10;
/// A chunk is handed on when it has so many bytes, or when no other whole record is there.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks that may wait to be sent.
const CHUNKS_WAITING: usize = 2;
/// Bytes that a line of JSON or hex may have beside its record, and for each byte of it.
const ENCODED_MORE: usize = 64 << 10;
const ENCODED_TIMES: usize = 6;

/// A record to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// Number of its line in its source, from 1; with `--whole` 0.
    pub line: u64,
    /// The file that it is from; `None` for standard input.
    pub file: Option<Arc<str>>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub timestamp: Option<i64>,
    pub partition: Option<i32>,
}

impl Input {
    /// Where it stands, such as `line 7` or `orders.txt:7`.
    pub fn place(&self) -> String {
        place(self.file.as_deref(), self.line)
    }

    /// Bytes that it takes in a batch, about and not less.
    pub fn bytes(&self) -> usize {
        const FRAME: usize = 32;
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(|(key, value)| key.len() + length(value) + FRAME / 2).sum();
        length(&self.key) + length(&self.value) + headers + FRAME
    }
}

fn place(file: Option<&str>, line: u64) -> String {
    match (file, line) {
        (None, 0) => "standard input".to_string(),
        (None, line) => format!("line {line}"),
        (Some(file), 0) => file.to_string(),
        (Some(file), line) => format!("{file}:{line}"),
    }
}

/// How lines become records.
#[derive(Clone, Debug)]
pub struct Rules {
    pub format: RecordFormat,
    pub whole: bool,
    pub delimiter: Vec<u8>,
    pub key_delimiter: Vec<u8>,
    pub null: Option<Vec<u8>>,
    pub key: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub keep_partitions: bool,
    /// A record with more bytes is not read.
    pub bytes_max: usize,
    /// Records are to be compressed: the topic judges what becomes of them.
    pub compressed: bool,
}

impl Rules {
    /// As `args` want it, for records up to so many bytes.
    pub fn new(args: &ProduceArgs, bytes_max: usize) -> Rules {
        let header = |(key, value): &(String, String)| (key.clone().into_bytes(), Some(value.clone().into_bytes()));
        Rules {
            format: args.format,
            whole: args.whole,
            delimiter: match args.format {
                RecordFormat::Value | RecordFormat::KeyValue => {
                    args.delimiter.as_ref().map_or(b"\n".to_vec(), |text| text.0.clone())
                }
                RecordFormat::Json | RecordFormat::Hex => b"\n".to_vec(),
            },
            key_delimiter: args.key_delimiter.as_ref().map_or(b"\t".to_vec(), |text| text.0.clone()),
            null: args.null.as_ref().map(|null| null.0.clone()),
            key: args.key.clone().map(String::into_bytes),
            headers: args.header.iter().map(header).collect(),
            keep_partitions: args.keep_partitions,
            bytes_max,
            compressed: args.codec != CodecName::None,
        }
    }

    /// Bytes of the longest line that can hold a record.
    fn line_max(&self) -> usize {
        match self.format {
            RecordFormat::Value | RecordFormat::KeyValue => self.bytes_max,
            RecordFormat::Json | RecordFormat::Hex => self.bytes_max.saturating_mul(ENCODED_TIMES) + ENCODED_MORE,
        }
    }

    /// The record of a line.
    pub fn record(&self, line: &[u8]) -> Result<Input, String> {
        let mut input = match self.format {
            RecordFormat::Value => Input { key: self.key.clone(), value: self.nullable(line), ..Input::default() },
            RecordFormat::KeyValue => {
                let (key, value) = split(line, &self.key_delimiter).ok_or("it has no key delimiter")?;
                Input { key: self.nullable(key), value: self.nullable(value), ..Input::default() }
            }
            RecordFormat::Hex => {
                let (key, value) = split(line, b"\t").map_or((None, line), |(key, value)| (Some(key), value));
                let value = if value == b"-" { None } else { Some(hex::parse(value)?) };
                Input { key: key.map(hex::parse).transpose()?, value, ..Input::default() }
            }
            RecordFormat::Json => {
                let json::Read { key, value, headers, timestamp, partition } = json::parse(line)?;
                let partition = partition.filter(|_| self.keep_partitions);
                Input { key, value, headers, timestamp, partition, ..Input::default() }
            }
        };
        input.headers.extend(self.headers.iter().cloned());
        match input.bytes() {
            bytes if bytes > self.bytes_max.saturating_add(1 << 10) => Err(self.too_long()),
            _ => Ok(input),
        }
    }

    fn nullable(&self, field: &[u8]) -> Option<Vec<u8>> {
        (self.null.as_deref() != Some(field)).then(|| field.to_vec())
    }

    fn too_long(&self) -> String {
        let whose = if self.compressed { "that is compressed" } else { "that the topic takes (max.message.bytes)" };
        format!("it is longer than {} bytes, the most {whose}", self.bytes_max)
    }
}

fn split<'a>(line: &'a [u8], delimiter: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = line.windows(delimiter.len()).position(|window| window == delimiter)?;
    Some((&line[..at], &line[at + delimiter.len()..]))
}

/// What the reading thread hands on: records, or why there are no more.
pub type Chunk = Result<Vec<Input>, String>;

/// Begins to read.
pub fn start(args: &ProduceArgs, rules: Rules) -> io::Result<Receiver<Chunk>> {
    let (sender, receiver) = sync_channel(CHUNKS_WAITING);
    let mut files = args.files.clone();
    if files.is_empty() {
        files.push("-".into());
    }
    std::thread::Builder::new().name("input".to_string()).spawn(move || {
        let read = files.iter().try_for_each(|file| read_file(file, &rules, &sender));
        if let Err(Some(why)) = read {
            // Nobody listens any more: there is another reason to end.
            let _ = sender.send(Err(why));
        }
    })?;
    Ok(receiver)
}

/// Reads a file to its end. `Err(None)`: nobody wants more.
fn read_file(path: &Path, rules: &Rules, sender: &SyncSender<Chunk>) -> Result<(), Option<String>> {
    let name: Option<Arc<str>> = (path != Path::new("-")).then(|| path.display().to_string().into());
    let source: Box<dyn Read> = match &name {
        None => Box::new(io::stdin()),
        Some(name) => Box::new(File::open(path).map_err(|error| Some(format!("cannot open {name}: {error}")))?),
    };
    let mut lines = Lines { source: BufReader::with_capacity(BUFFER, source), line: 0, chunk: Vec::new(), bytes: 0 };
    let read = lines.read(name.as_ref(), rules, sender);
    // Those before one that is wrong are sent.
    let rest = lines.hand_on(sender);
    read.and(rest)
}

struct Lines {
    source: BufReader<Box<dyn Read>>,
    line: u64,
    chunk: Vec<Input>,
    bytes: usize,
}

impl Lines {
    fn read(
        &mut self,
        file: Option<&Arc<str>>,
        rules: &Rules,
        sender: &SyncSender<Chunk>,
    ) -> Result<(), Option<String>> {
        let mut bytes = Vec::new();
        loop {
            self.line += u64::from(!rules.whole);
            let wrong = |line, why: String| Some(format!("{}: {why}", place(file.map(|file| &**file), line)));
            bytes.clear();
            let delimiter = if rules.whole { &[][..] } else { &rules.delimiter[..] };
            match next(&mut self.source, delimiter, rules.line_max(), &mut bytes) {
                Ok(Next::Record) => {}
                Ok(Next::End) if rules.whole && self.chunk.is_empty() => {}
                Ok(Next::End) => return Ok(()),
                Ok(Next::TooLong) => return Err(wrong(self.line, rules.too_long())),
                Err(error) => return Err(wrong(0, format!("cannot read: {error}"))),
            }
            let mut input = rules.record(&bytes).map_err(|why| wrong(self.line, why))?;
            (input.line, input.file) = (self.line, file.cloned());
            self.bytes += input.bytes();
            self.chunk.push(input);
            if rules.whole {
                return Ok(());
            }
            // The next one may be long in coming, or its end.
            let has_next = delimiter.last().is_some_and(|last| self.source.buffer().contains(last));
            if self.bytes >= CHUNK_BYTES || !has_next {
                self.hand_on(sender)?;
            }
        }
    }

    fn hand_on(&mut self, sender: &SyncSender<Chunk>) -> Result<(), Option<String>> {
        self.bytes = 0;
        match std::mem::take(&mut self.chunk) {
            none if none.is_empty() => Ok(()),
            chunk => sender.send(Ok(chunk)).map_err(|_| None),
        }
    }
}

/// What [`next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Record,
    /// Nothing is left.
    End,
    TooLong,
}

/// Reads up to the delimiter, which is left out, or to the end; without a delimiter always to the end.
pub fn next(source: &mut impl BufRead, delimiter: &[u8], most: usize, out: &mut Vec<u8>) -> io::Result<Next> {
    loop {
        let buffer = match source.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            buffer => buffer?,
        };
        if buffer.is_empty() {
            return Ok(if out.is_empty() { Next::End } else { Next::Record });
        }
        let last = delimiter.last();
        let found = last.and_then(|last| buffer.iter().position(|byte| byte == last)).map(|at| at + 1);
        let length = found.unwrap_or(buffer.len());
        out.extend_from_slice(&buffer[..length]);
        source.consume(length);
        if found.is_some() && out.ends_with(delimiter) {
            out.truncate(out.len() - delimiter.len());
            return Ok(if out.len() > most { Next::TooLong } else { Next::Record });
        }
        if out.len() > most.saturating_add(delimiter.len()) {
            return Ok(Next::TooLong);
        }
    }
}
