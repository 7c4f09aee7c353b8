//! A record as one line of JSON, with everything that it has. Bytes that are not UTF-8 stand in hex under a name of their own, so
//! that reading a line back gives the same record.

use super::hex;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use torc_net::kafka::records::OwnedRecord;

/// Where a record was read, and what its timestamp is.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub topic: &'a str,
    pub partition: i32,
    /// `CreateTime` or `LogAppendTime`.
    pub timestamp_type: &'static str,
}

#[derive(Serialize)]
struct Written<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    timestamp_type: &'static str,
    #[serde(flatten)]
    pair: Pair<'a>,
    headers: Vec<Pair<'a>>,
}

/// Key and value, of a record or of a header.
#[derive(Serialize)]
struct Pair<'a> {
    #[serde(skip_serializing_if = "Text::is_elsewhere")]
    key: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_hex: Option<String>,
    #[serde(skip_serializing_if = "Text::is_elsewhere")]
    value: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_hex: Option<String>,
}

/// Bytes as text.
#[derive(Serialize)]
#[serde(untagged)]
enum Text<'a> {
    Null,
    Utf8(&'a str),
    /// They are none: they stand in hex.
    Elsewhere,
}

impl Text<'_> {
    fn is_elsewhere(&self) -> bool {
        matches!(self, Text::Elsewhere)
    }
}

fn texts(bytes: Option<&[u8]>) -> (Text<'_>, Option<String>) {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => (Text::Null, None),
        Some((Ok(text), _)) => (Text::Utf8(text), None),
        Some((Err(_), bytes)) => (Text::Elsewhere, Some(hex::text(bytes))),
    }
}

impl<'a> Pair<'a> {
    fn new(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Pair<'a> {
        let (key, key_hex) = texts(key);
        let (value, value_hex) = texts(value);
        Pair { key, key_hex, value, value_hex }
    }
}

/// Appends `record` as a line, without its end.
pub fn put(out: &mut Vec<u8>, place: &Place, record: &OwnedRecord) {
    let headers = record.headers.iter().map(|(key, value)| Pair::new(Some(key), value.as_deref()));
    let written = Written {
        topic: place.topic,
        partition: place.partition,
        offset: record.offset,
        timestamp: record.timestamp,
        timestamp_type: place.timestamp_type,
        pair: Pair::new(record.key.as_deref(), record.value.as_deref()),
        headers: headers.collect(),
    };
    serde_json::to_writer(out, &written).expect("memory takes it, and all keys are strings");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, deserialize_with = "present")]
    key: Field,
    key_hex: Option<String>,
    #[serde(default, deserialize_with = "present")]
    value: Field,
    value_hex: Option<String>,
    #[serde(default)]
    headers: Vec<Header>,
    timestamp: Option<i64>,
    partition: Option<i32>,
    // What `torc consume` says besides, which is decided anew.
    #[serde(rename = "topic")]
    _topic: Option<Value>,
    #[serde(rename = "offset")]
    _offset: Option<Value>,
    #[serde(rename = "timestamp_type")]
    _timestamp_type: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    #[serde(default, deserialize_with = "present")]
    key: Field,
    key_hex: Option<String>,
    #[serde(default, deserialize_with = "present")]
    value: Field,
    value_hex: Option<String>,
}

/// A field that is there (`Some`), perhaps as null.
type Field = Option<Option<String>>;

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Field, D::Error> {
    Option::<String>::deserialize(from).map(Some)
}

/// The bytes of a field that is given as text or in hex. The outer `None`: it is not given.
fn bytes(name: &str, text: Field, hex: Option<String>) -> Result<Option<Option<Vec<u8>>>, String> {
    match (text, hex) {
        (Some(_), Some(_)) => Err(format!("it has {name} and {name}_hex")),
        (Some(text), None) => Ok(Some(text.map(String::into_bytes))),
        (None, Some(digits)) => match hex::parse(digits.as_bytes()) {
            Ok(bytes) => Ok(Some(Some(bytes))),
            Err(why) => Err(format!("{name}_hex: {why}")),
        },
        (None, None) => Ok(None),
    }
}

/// What a line says of a record.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub timestamp: Option<i64>,
    pub partition: Option<i32>,
}

/// Reads a line that [`put`] made, or a shorter one: only the value, which may be null, must be given.
pub fn parse(line: &[u8]) -> Result<Read, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| format!("it is no record in JSON: {error}"))?;
    let value = bytes("value", line.value, line.value_hex)?;
    let headers = line.headers.into_iter().map(|header| {
        let key = bytes("key", header.key, header.key_hex)?.flatten();
        Ok((key.ok_or("a header has no key")?, bytes("value", header.value, header.value_hex)?.flatten()))
    });
    Ok(Read {
        key: bytes("key", line.key, line.key_hex)?.flatten(),
        value: value.ok_or("it has neither value nor value_hex (null is a value)")?,
        headers: headers.collect::<Result<_, String>>()?,
        timestamp: line.timestamp,
        partition: line.partition,
    })
}
