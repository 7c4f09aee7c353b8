//! Records to standard output.

use super::args::{Bytes, ConsumeArgs};
use super::template::Template;
use crate::formats::json::{self, Place};
use crate::formats::{RecordFormat, hex};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, BufWriter, StdoutLock, Write};
use torc_net::kafka::records::OwnedRecord;

const BUFFER: usize = 64 << 10;

/// Standard output, and how records are written to it.
pub struct Printer<'a> {
    out: BufWriter<StdoutLock<'static>>,
    how: How<'a>,
    delimiter: &'a [u8],
    null: &'a [u8],
    line: Vec<u8>,
}

enum How<'a> {
    Value,
    KeyValue(&'a [u8]),
    Json,
    Hex,
    Template(&'a Template),
}

impl<'a> Printer<'a> {
    /// As `args` want it.
    pub fn new(args: &'a ConsumeArgs) -> Printer<'a> {
        let or =
            |given: &'a Option<Bytes>, otherwise: &'static [u8]| given.as_ref().map_or(otherwise, |text| &text.0[..]);
        let how = match (&args.template, args.format) {
            (Some(template), _) => How::Template(template),
            (None, RecordFormat::Value) => How::Value,
            (None, RecordFormat::KeyValue) => How::KeyValue(or(&args.key_delimiter, b"\t")),
            (None, RecordFormat::Json) => How::Json,
            (None, RecordFormat::Hex) => How::Hex,
        };
        let out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
        let (delimiter, null) = (or(&args.delimiter, b"\n"), or(&args.null, b""));
        Printer { out, how, delimiter, null, line: Vec::new() }
    }

    /// Writes one record; it may stay in a buffer until [`Printer::flush`].
    pub fn print(&mut self, place: &Place, record: &OwnedRecord) -> io::Result<()> {
        let (null, key, value) = (self.null, record.key.as_deref(), record.value.as_deref());
        match self.how {
            How::Value => self.out.write_all(value.unwrap_or(null))?,
            How::KeyValue(delimiter) => {
                self.out.write_all(key.unwrap_or(null))?;
                self.out.write_all(delimiter)?;
                self.out.write_all(value.unwrap_or(null))?;
            }
            How::Json | How::Hex => {
                self.line.clear();
                match self.how {
                    How::Json => json::put(&mut self.line, place, record),
                    _ => put_hex(&mut self.line, key, value),
                }
                self.line.push(b'\n');
                return self.out.write_all(&self.line);
            }
            How::Template(template) => return template.write(&mut self.out, place, record, null),
        }
        self.out.write_all(self.delimiter)
    }

    /// Hands on what is in the buffer.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// True if nobody reads what is written any more. Otherwise a reader such as `head` would be waited for until the next record
    /// comes.
    pub fn is_unread(&self) -> bool {
        let out = io::stdout();
        let mut polled = [PollFd::new(&out, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().contains(PollFlags::ERR)
    }
}

fn put_hex(line: &mut Vec<u8>, key: Option<&[u8]>, value: Option<&[u8]>) {
    if let Some(key) = key {
        hex::put(line, key);
        line.push(b'\t');
    }
    match value {
        Some(value) => hex::put(line, value),
        None => line.push(b'-'),
    }
}
