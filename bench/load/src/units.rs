//! Sizes, times and numbers as people write and read them; read as all of torc reads them ([`torc_base::units`]).

use std::time::Duration;
use torc_base::units;

/// `500`, `10_000`, `10k`, `2M`.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let count = units::parse_count(text).and_then(|count| u64::try_from(count).ok());
    count.ok_or_else(|| format!("{text:?} is no count: write 500, 10_000, 10k or 2M"))
}

/// Bytes of `100`, `16KiB`, `1MB`.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let bytes = units::parse_size(text).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| format!("{text:?} is no size: write 100, 16KiB or 1MB"))
}

/// `500us`, `5ms`, `10s`, `5m`; a plain number counts seconds.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let micros = units::parse_time_us(text, 1_000_000).and_then(|us| u64::try_from(us).ok());
    micros.map(Duration::from_micros).ok_or_else(|| format!("{text:?} is no time: write 500us, 5ms, 10s or 5m"))
}

/// A time in which something can be measured: not 0.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    match parse_time(text)? {
        Duration::ZERO => Err("nothing can be measured in no time".to_string()),
        time => Ok(time),
    }
}

/// A setting of a topic, as it is written.
pub fn parse_setting(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.trim().is_empty() => Ok(text.to_string()),
        _ => Err("it must be of the form KEY=VALUE".to_string()),
    }
}

/// Nanoseconds in the unit that suits them, with three digits.
pub fn time(ns: u64) -> String {
    let (value, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, "us"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

/// A time as it is written on the command line.
pub fn option_time(time: Duration) -> String {
    match time.as_micros() {
        us if us.is_multiple_of(1_000_000) => format!("{}s", us / 1_000_000),
        us if us.is_multiple_of(1_000) => format!("{}ms", us / 1_000),
        us => format!("{us}us"),
    }
}

/// A time, or `-` where there is none.
pub fn time_or_none(ns: Option<u64>) -> String {
    ns.map_or("-".to_string(), time)
}

/// A number with three digits, or `-` where there is none.
pub fn three_or_none(value: Option<f64>) -> String {
    value.map_or("-".to_string(), three_digits)
}

/// How many of what: `1 check`, `2 checks`.
pub fn counted(n: u64, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{} {what}s", thousands(n)),
    }
}

/// A number with three digits, and more only before the point.
pub fn three_digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// A count with its thousands apart: `1 234 567`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}
