//! What values of configuration keys can be: how each kind is read, and how it is shown.

use crate::cluster::Members;
use crate::endpoint::Endpoint;
use crate::listeners::{self, Listener};
use crate::units;
use std::path::PathBuf;

const NO_LIMIT: i64 = i64::MAX;
const PPM: f64 = 1_000_000.0;
const HOUR_MS: i64 = 3_600_000;
/// Longest text, such as a rack's name.
const TEXT_BYTES_MAX: usize = 249;

/// What the text after `=` must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes, with or without unit.
    Size { min: i64, max: i64 },
    /// A time; a plain number counts `plain_ms` milliseconds. The bounds are milliseconds.
    Time { plain_ms: i64, min: i64, max: i64 },
    /// A whole number.
    Int { min: i64, max: i64 },
    /// `true` or `false`.
    Bool,
    /// `yes` or `no`.
    YesNo,
    /// Where to listen: `host:port` or `NAME://host:port`, or several with commas between.
    Listeners,
    /// The name of a listener.
    Name,
    /// Names of listeners with commas between.
    Names,
    /// `NAME:PROTOCOL` with commas between.
    Protocols,
    /// `host:port`, or `none`.
    AddressOrNone,
    /// The same, or a port of this machine's alone.
    Listener,
    /// `host:port`.
    Address,
    /// All servers of a cluster: `1=host:port,2=host:port`.
    Members,
    /// One or more of `host:port` with commas between.
    Addresses,
    /// Any text of one line.
    Text,
    /// The same, which is shown to nobody.
    Secret,
    /// A directory, or several with commas between.
    Paths,
    /// Bytes in a second, as [`Kind::Size`]; Kafka has a number with a fraction here, and more than `max` is `max`.
    Rate { min: i64, max: i64 },
    /// A number from 0 to 1.
    Part,
    /// One of these words; upper and lower case are the same.
    OneOf(&'static [&'static str]),
    /// Some of these words, in any order, with commas between.
    SomeOf(&'static [&'static str]),
}

/// A value that was found to be of its key's [`Kind`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Size`] (bytes), [`Kind::Time`] (milliseconds), [`Kind::Int`], [`Kind::Part`] (millionths).
    Number(i64),
    /// Of [`Kind::Bool`] and [`Kind::YesNo`].
    Bool(bool),
    /// Of [`Kind::Listeners`].
    Listeners(Vec<Listener>),
    /// Of [`Kind::Names`], and of [`Kind::Name`], which is one or none.
    Names(Vec<String>),
    /// Of [`Kind::Protocols`].
    Protocols(Vec<(String, String)>),
    /// Of [`Kind::AddressOrNone`], [`Kind::Listener`], and [`Kind::Address`], which is one.
    Address(Option<Endpoint>),
    /// Of [`Kind::Members`].
    Members(Members),
    /// Of [`Kind::Addresses`]; never empty.
    Addresses(Vec<Endpoint>),
    /// Of [`Kind::Text`] and [`Kind::Secret`].
    Text(String),
    /// Of [`Kind::Paths`]; never empty.
    Paths(Vec<PathBuf>),
    /// Of [`Kind::OneOf`]: the position of the word.
    Choice(usize),
    /// Of [`Kind::SomeOf`]: the positions of the words; never empty, and none twice.
    Choices(Vec<usize>),
}

impl Kind {
    /// What a value is called, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Size { .. } | Kind::Rate { .. } => "size",
            Kind::Time { .. } => "time",
            Kind::Int { .. } => "integer",
            Kind::Bool | Kind::YesNo => "boolean",
            Kind::AddressOrNone | Kind::Listener | Kind::Address => "address",
            Kind::Members => "servers",
            Kind::Addresses => "addresses",
            Kind::Text | Kind::Secret => "text",
            Kind::Listeners => "listeners",
            Kind::Name | Kind::Names => "names",
            Kind::Protocols => "protocols",
            Kind::Paths => "path",
            Kind::Part => "fraction",
            Kind::OneOf(_) => "word",
            Kind::SomeOf(_) => "words",
        }
    }

    /// Reads a value. The error names what is allowed, in words that follow "`key` cannot be `value`:".
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        match *self {
            Kind::Size { min, max } => {
                let hexadecimal = text.strip_prefix("0x").and_then(|digits| i64::from_str_radix(digits, 16).ok());
                let bytes = hexadecimal
                    .or_else(|| units::parse_size(text))
                    .ok_or("it must be a size, such as 1048576 or 64MiB")?;
                within(bytes, min, max, |n| if n < 0 { n.to_string() } else { units::size(n as u64) })
            }
            Kind::Time { plain_ms, min, max } => {
                let ms =
                    units::parse_time_ms(text, plain_ms).ok_or("it must be a time, such as 500ms, 10s, 3h or 7d")?;
                if ms > 0 && ms % plain_ms != 0 {
                    return Err(format!("it must be a whole number of {}", plain_unit(plain_ms)));
                }
                within(ms, min, max, |n| if n < 0 { n.to_string() } else { format!("{n}ms") })
            }
            Kind::Int { min, max } => {
                let number = units::parse_count(text).ok_or("it must be a whole number, such as 500, 10_000 or 10k")?;
                within(number, min, max, |n| n.to_string())
            }
            Kind::Bool if text.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
            Kind::Bool if text.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
            Kind::Bool => Err("it must be true or false".to_string()),
            Kind::YesNo => match text.to_ascii_lowercase().as_str() {
                "yes" | "true" => Ok(Value::Bool(true)),
                "no" | "false" => Ok(Value::Bool(false)),
                _ => Err("it must be yes or no".to_string()),
            },
            Kind::Rate { min, max } => match units::parse_size(text) {
                Some(bytes) => within(bytes.min(max), min, max, |n| units::size(n as u64)),
                None => match text.parse::<f64>() {
                    Ok(bytes) if bytes >= min as f64 => Ok(Value::Number(bytes.min(max as f64) as i64)),
                    _ => Err("it must be a size, such as 1048576 or 64MiB".to_string()),
                },
            },
            Kind::Part => match text.parse::<f64>() {
                Ok(part) if (0.0..=1.0).contains(&part) => Ok(Value::Number((part * PPM).round() as i64)),
                _ => Err("it must be a number from 0 to 1".to_string()),
            },
            Kind::AddressOrNone | Kind::Listener if text == "none" => Ok(Value::Address(None)),
            Kind::Listener if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Endpoint::parse(&format!("127.0.0.1:{text}")).map(|e| Value::Address(Some(e)))
            }
            Kind::AddressOrNone | Kind::Listener | Kind::Address => {
                Endpoint::parse(text).map(|e| Value::Address(Some(e)))
            }
            Kind::Members => Members::parse(text).map(Value::Members),
            Kind::Addresses => addresses(text).map(Value::Addresses),
            Kind::Text | Kind::Secret if text.chars().any(char::is_control) || text.len() > TEXT_BYTES_MAX => {
                Err(format!("it must be up to {TEXT_BYTES_MAX} bytes on one line"))
            }
            Kind::Text | Kind::Secret => Ok(Value::Text(text.to_string())),
            Kind::Listeners => listeners::parse_listeners(text).map(Value::Listeners),
            Kind::Name if text.is_empty() => Ok(Value::Names(Vec::new())),
            Kind::Name => listeners::parse_name(text).map(|name| Value::Names(vec![name])),
            Kind::Names => listeners::parse_names(text).map(Value::Names),
            Kind::Protocols => listeners::parse_protocols(text).map(Value::Protocols),
            Kind::Paths => {
                let paths: Vec<PathBuf> =
                    text.split(',').map(str::trim).filter(|path| !path.is_empty()).map(PathBuf::from).collect();
                if paths.is_empty() { Err("it must be a directory".to_string()) } else { Ok(Value::Paths(paths)) }
            }
            Kind::OneOf(words) => words
                .iter()
                .position(|word| word.eq_ignore_ascii_case(text))
                .map(Value::Choice)
                .ok_or_else(|| format!("it must be one of {}", words.join(", "))),
            Kind::SomeOf(words) => some_of(words, text).map(Value::Choices),
        }
    }

    /// The value as Kafka's DescribeConfigs shows it: numbers plain, in the key's own unit.
    pub fn show(&self, value: &Value) -> String {
        match (self, value) {
            (Kind::Time { plain_ms, .. }, Value::Number(ms)) if *ms > 0 => (ms / plain_ms).to_string(),
            (Kind::Part, Value::Number(ppm)) => format!("{:?}", *ppm as f64 / PPM),
            (_, Value::Number(number)) => number.to_string(),
            (Kind::YesNo, Value::Bool(bool)) => if *bool { "yes" } else { "no" }.to_string(),
            (_, Value::Bool(bool)) => bool.to_string(),
            (_, Value::Listeners(listeners)) => joined(listeners),
            (_, Value::Names(names)) => names.join(","),
            (_, Value::Protocols(map)) => joined(map.iter().map(|(name, protocol)| format!("{name}:{protocol}"))),
            (_, Value::Address(Some(endpoint))) => endpoint.to_string(),
            (_, Value::Address(None)) => "none".to_string(),
            (_, Value::Members(members)) => members.to_string(),
            (_, Value::Addresses(endpoints)) => joined(endpoints),
            (Kind::Secret, Value::Text(_)) => "(hidden)".to_string(),
            (_, Value::Text(text)) => text.clone(),
            (_, Value::Paths(paths)) => joined(paths.iter().map(|path| path.display())),
            (Kind::OneOf(words), Value::Choice(position)) => words[*position].to_string(),
            (Kind::SomeOf(words), Value::Choices(positions)) => joined(positions.iter().map(|at| words[*at])),
            (kind, Value::Choice(_) | Value::Choices(_)) => panic!("no words: {kind:?}"),
        }
    }
}

fn some_of(words: &[&str], text: &str) -> Result<Vec<usize>, String> {
    let mut positions = Vec::new();
    for asked in text.split(',').map(str::trim).filter(|asked| !asked.is_empty()) {
        let position = words.iter().position(|word| word.eq_ignore_ascii_case(asked));
        let position = position.ok_or_else(|| format!("it must be of {}, with commas between", words.join(", ")))?;
        if positions.contains(&position) {
            return Err(format!("{asked} stands twice"));
        }
        positions.push(position);
    }
    if positions.is_empty() { Err(format!("it must be at least one of {}", words.join(", "))) } else { Ok(positions) }
}

fn joined(items: impl IntoIterator<Item = impl ToString>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}

/// What a plain number counts, for people.
fn plain_unit(plain_ms: i64) -> &'static str {
    match plain_ms {
        HOUR_MS => "hours",
        60_000 => "minutes",
        1_000 => "seconds",
        _ => "milliseconds",
    }
}

fn within(number: i64, min: i64, max: i64, show: impl Fn(i64) -> String) -> Result<Value, String> {
    if number >= min && number <= max {
        return Ok(Value::Number(number));
    }
    Err(match max {
        NO_LIMIT => format!("it must be at least {}", show(min)),
        _ => format!("it must be from {} to {}", show(min), show(max)),
    })
}

// A key's `set` is handed only values of its own kind; a row that breaks this is a mistake in the table.
impl Value {
    pub(crate) fn number(self) -> i64 {
        match self {
            Value::Number(number) => number,
            other => panic!("no number: {other:?}"),
        }
    }

    pub(crate) fn bool(self) -> bool {
        match self {
            Value::Bool(bool) => bool,
            other => panic!("no bool: {other:?}"),
        }
    }

    pub(crate) fn address_or_none(self) -> Option<Endpoint> {
        match self {
            Value::Address(endpoint) => endpoint,
            other => panic!("no address: {other:?}"),
        }
    }

    pub(crate) fn addresses(self) -> Vec<Endpoint> {
        match self {
            Value::Addresses(endpoints) => endpoints,
            other => panic!("no addresses: {other:?}"),
        }
    }

    pub(crate) fn members(self) -> Members {
        match self {
            Value::Members(members) => members,
            other => panic!("no servers: {other:?}"),
        }
    }

    pub(crate) fn text(self) -> String {
        match self {
            Value::Text(text) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    pub(crate) fn listeners(self) -> Vec<Listener> {
        match self {
            Value::Listeners(listeners) => listeners,
            other => panic!("no listeners: {other:?}"),
        }
    }

    pub(crate) fn names(self) -> Vec<String> {
        match self {
            Value::Names(names) => names,
            other => panic!("no names: {other:?}"),
        }
    }

    pub(crate) fn protocols(self) -> Vec<(String, String)> {
        match self {
            Value::Protocols(map) => map,
            other => panic!("no protocols: {other:?}"),
        }
    }

    pub(crate) fn paths(self) -> Vec<PathBuf> {
        match self {
            Value::Paths(paths) => paths,
            other => panic!("no paths: {other:?}"),
        }
    }

    pub(crate) fn choices(self) -> Vec<usize> {
        match self {
            Value::Choices(positions) => positions,
            other => panic!("no choices: {other:?}"),
        }
    }

    pub(crate) fn choice(self) -> usize {
        match self {
            Value::Choice(position) => position,
            other => panic!("no choice: {other:?}"),
        }
    }
}

fn addresses(text: &str) -> Result<Vec<Endpoint>, String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let endpoints: Vec<Endpoint> = items.map(Endpoint::parse_address).collect::<Result<_, _>>()?;
    match endpoints.iter().find(|endpoint| endpoint.host.is_empty() || endpoint.port == 0 || endpoint.is_wildcard()) {
        Some(endpoint) => Err(format!("`{endpoint}` is no address that this server can connect to")),
        None if endpoints.is_empty() => Err("it must name a server of the cluster: HOST:PORT".to_string()),
        None => Ok(endpoints),
    }
}
