//! `--template`: what is printed of a record, in the order that the reader wants.

use crate::formats::escape::unescape;
use crate::formats::json::Place;
use std::io::{self, Write};
use torc_net::kafka::records::OwnedRecord;
use torc_server::log::timestamp;

/// Text and places for what a record has.
#[derive(Clone, Debug)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Key,
    KeyLength,
    Value,
    ValueLength,
    Headers,
    Timestamp,
    Date,
}

impl Template {
    /// Reads what the option says.
    pub fn parse(text: &str) -> Result<Template, String> {
        let bytes = unescape(text)?;
        let (mut pieces, mut plain) = (Vec::new(), Vec::new());
        let mut rest = bytes.iter().copied();
        while let Some(byte) = rest.next() {
            if byte != b'%' {
                plain.push(byte);
                continue;
            }
            let piece = match rest.next() {
                Some(b'%') => {
                    plain.push(b'%');
                    continue;
                }
                Some(b't') => Piece::Topic,
                Some(b'p') => Piece::Partition,
                Some(b'o') => Piece::Offset,
                Some(b'k') => Piece::Key,
                Some(b'K') => Piece::KeyLength,
                // As kcat calls them.
                Some(b'v' | b's') => Piece::Value,
                Some(b'V' | b'S') => Piece::ValueLength,
                Some(b'h') => Piece::Headers,
                Some(b'T') => Piece::Timestamp,
                Some(b'd') => Piece::Date,
                _ => return Err("a % must be followed by one of t p o k K v V h T d %".to_string()),
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Template(pieces))
    }

    /// Writes what it says of `record`, `null` for what is null.
    pub fn write(&self, out: &mut impl Write, place: &Place, record: &OwnedRecord, null: &[u8]) -> io::Result<()> {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(-1, |bytes| bytes.len() as i64);
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.write_all(text)?,
                Piece::Topic => out.write_all(place.topic.as_bytes())?,
                Piece::Partition => write!(out, "{}", place.partition)?,
                Piece::Offset => write!(out, "{}", record.offset)?,
                Piece::Key => out.write_all(record.key.as_deref().unwrap_or(null))?,
                Piece::KeyLength => write!(out, "{}", length(&record.key))?,
                Piece::Value => out.write_all(record.value.as_deref().unwrap_or(null))?,
                Piece::ValueLength => write!(out, "{}", length(&record.value))?,
                Piece::Headers => {
                    for (n, (key, value)) in record.headers.iter().enumerate() {
                        out.write_all(if n > 0 { b"," } else { b"" })?;
                        out.write_all(key)?;
                        out.write_all(b"=")?;
                        out.write_all(value.as_deref().unwrap_or(null))?;
                    }
                }
                Piece::Timestamp => write!(out, "{}", record.timestamp)?,
                Piece::Date => match u64::try_from(record.timestamp) {
                    Ok(ms) => out.write_all(timestamp(ms).as_bytes())?,
                    Err(_) => out.write_all(b"-")?,
                },
            }
        }
        Ok(())
    }
}
