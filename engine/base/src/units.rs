//! Numbers, sizes and times as people write them: `10_000`, `10k`, `64MiB`, `1.5s`, `7d`. Configuration, command line and
//! scenario files all read them here, so that they are read alike.

use std::ops::RangeInclusive;

/// Units of counts; decimal, as in "10k records".
const COUNTS: &[(&str, i64)] = &[("k", 1_000), ("m", 1_000_000), ("g", 1_000_000_000)];

/// Bytes of one unit. `k`, `m`, `g` alone are the binary ones, as in `tc`, `dd` and Java's `-Xmx`.
const SIZES: &[(&str, i64)] = &[
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("tb", 1_000_000_000_000),
];

/// Microseconds of one unit.
const TIMES: &[(&str, i64)] = &[
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("min", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
    ("w", 7 * 86_400_000_000),
];

const US_PER_MS: i64 = 1_000;
/// Digits behind the point: more are never needed to be exact.
const DECIMALS_MAX: usize = 9;

/// A count: `500`, `10_000`, `10k`, `2M`. `None` if it is none, or does not fit. Negative numbers are for keys where Kafka
/// gives them a meaning.
pub fn parse_count(text: &str) -> Option<i64> {
    scaled(text, COUNTS, 1)?.try_into().ok()
}

/// A count within `allowed`, for options.
///
/// # Errors
/// What it must be instead, in words that can stand behind the option's name.
pub fn count_in<N: TryFrom<i64>>(text: &str, allowed: RangeInclusive<i64>) -> Result<N, String> {
    let count = parse_count(text).filter(|count| allowed.contains(count));
    let (low, high) = (allowed.start(), allowed.end());
    count.and_then(|count| N::try_from(count).ok()).ok_or_else(|| match high {
        &i64::MAX => format!("it must be a whole number of at least {low}, such as 500, 10_000 or 10k"),
        ..1_000 => format!("it must be a whole number from {low} to {high}"),
        _ => format!("it must be a whole number from {low} to {high}, such as 500, 10_000 or 10k"),
    })
}

/// Bytes of `text`, such as `1048588`, `64MiB`, `1GB`; upper and lower case are the same. `None` if it is no size, no whole
/// number of bytes, or does not fit.
pub fn parse_size(text: &str) -> Option<i64> {
    scaled(text, SIZES, 1)?.try_into().ok()
}

/// Milliseconds of `text`, such as `100ms`, `1.5s`, `7d`; a plain number counts `plain_ms`. `None` if it is no time, no
/// whole number of milliseconds, or does not fit.
pub fn parse_time_ms(text: &str, plain_ms: i64) -> Option<i64> {
    let us = scaled(text, TIMES, plain_ms.checked_mul(US_PER_MS)?)?;
    match us {
        // "No limit" is -1 in every unit.
        ..0 => us.try_into().ok(),
        _ if us % i128::from(US_PER_MS) == 0 => (us / i128::from(US_PER_MS)).try_into().ok(),
        _ => None,
    }
}

/// Microseconds of `text`, as [`parse_time_ms`] reads it; a plain number counts `plain_us`.
pub fn parse_time_us(text: &str, plain_us: i64) -> Option<i64> {
    scaled(text, TIMES, plain_us)?.try_into().ok()
}

/// The number times its unit, or times `plain`; only whole results. A negative number has no unit and is not scaled.
fn scaled(text: &str, units: &[(&str, i64)], plain: i64) -> Option<i128> {
    let text = text.trim();
    if let Some(digits) = text.strip_prefix('-') {
        return digits_of(digits)?.checked_neg();
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_' && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let factor = match units.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() => plain,
        None => return None,
    };
    let (whole, decimals) = number.split_once('.').map_or((number, None), |(whole, rest)| (whole, Some(rest)));
    let whole = digits_of(whole)?.checked_mul(factor.into())?;
    let Some(decimals) = decimals else { return Some(whole) };
    if decimals.len() > DECIMALS_MAX || decimals.contains('_') {
        return None;
    }
    let part = digits_of(decimals)?.checked_mul(factor.into())?;
    let scale = 10_i128.pow(decimals.len() as u32);
    (part % scale == 0).then(|| whole + part / scale)
}

/// Digits, with single underscores between them.
fn digits_of(text: &str) -> Option<i128> {
    let sound = text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && !text.contains("__")
        && text.chars().all(|c| c.is_ascii_digit() || c == '_');
    // i64 is what all callers want in the end: more digits cannot fit, and i64 times any unit fits i128.
    if sound { text.replace('_', "").parse::<i64>().ok().map(i128::from) } else { None }
}

/// The value of a topic's setting as Kafka's requests carry it: a plain number in the unit that its key ends with, so that
/// `retention.ms=7d` is 604800000. What is no number is left as it stands, for the server to judge.
pub fn plain_setting(key: &str, value: &str) -> String {
    let number = match key.rsplit('.').next() {
        Some("ms") => parse_time_ms(value, 1),
        Some("bytes") => parse_size(value),
        Some("messages") => parse_count(value),
        _ => None,
    };
    number.map_or(value.to_string(), |number| number.to_string())
}

/// `bytes` in the largest unit that divides it, such as `64MiB`; [`parse_size`] reads it back exactly.
pub fn size(bytes: u64) -> String {
    for (unit, factor) in [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// `bytes` rounded to three digits for reading, such as `11.9 GiB`.
pub fn rounded_size(bytes: u64) -> String {
    for (unit, factor) in [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= factor {
            let value = bytes as f64 / factor as f64;
            return if value < 100.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") };
        }
    }
    format!("{bytes} B")
}
