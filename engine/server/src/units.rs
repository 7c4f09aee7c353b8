//! Sizes and times as people write them: `64MiB`, `10s`, `7d`. A plain number is bytes, or the key's own unit of time.

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

/// Milliseconds of one unit.
const TIMES: &[(&str, i64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 7 * 86_400_000),
];

/// Bytes of `text`, such as `1048588`, `64MiB`, `1GB`; upper and lower case are the same. `None` if it is no size, or
/// does not fit. Negative numbers are for keys where Kafka gives them a meaning.
pub fn parse_size(text: &str) -> Option<i64> {
    scaled(text, SIZES, 1)
}

/// Milliseconds of `text`, such as `100ms`, `10s`, `7d`; a plain number counts `plain_ms`. `None` if it is no time, or
/// does not fit.
pub fn parse_time_ms(text: &str, plain_ms: i64) -> Option<i64> {
    scaled(text, TIMES, plain_ms)
}

fn scaled(text: &str, units: &[(&str, i64)], plain: i64) -> Option<i64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().ok()?;
    let unit = unit.trim().to_ascii_lowercase();
    if unit.is_empty() {
        // -1 is "no limit" in every unit.
        return if number < 0 { Some(number) } else { number.checked_mul(plain) };
    }
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    if number < 0 {
        return None;
    }
    number.checked_mul(*factor)
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
