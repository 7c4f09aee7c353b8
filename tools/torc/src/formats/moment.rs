//! Moments as people write them, in milliseconds since 1970.

use std::time::{SystemTime, UNIX_EPOCH};
use torc_base::time::Wall;
use torc_base::units::parse_time_ms;

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

/// Now.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(i64::MAX)
}

/// The moment that `text` names: `-1h` before `now`; `@1700000000000` milliseconds; `2026-11-28`, `2026-11-28T14:30`,
/// `2026-11-28T14:30:05.250Z`, `2026-11-28T14:30:05+02:00` (UTC where no zone is given).
pub fn parse(text: &str, now: i64) -> Option<i64> {
    if let Some(ago) = text.strip_prefix('-') {
        // A plain number would be seconds to some and records to others.
        let has_unit = ago.ends_with(|c: char| c.is_ascii_alphabetic());
        let ms = parse_time_ms(ago, 1).filter(|ms| *ms >= 0 && has_unit)?;
        return Some((now - ms).max(0));
    }
    if let Some(ms) = text.strip_prefix('@') {
        return digits(ms, 1..=15);
    }
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut fields = date.split('-');
    let (year, month, day) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() {
        return None;
    }
    let days = days_of(digits(year, 4..=4)?, digits(month, 2..=2)?, digits(day, 2..=2)?)?;
    let of_day = time.map_or(Some(0), time_of_day)?;
    Some(days * DAY_MS + of_day).filter(|ms| *ms >= 0)
}

fn digits(text: &str, lengths: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let sound = lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if sound { text.parse().ok() } else { None }
}

/// Milliseconds of `14:30`, `14:30:05`, `14:30:05.25`, with `Z` or `+02:00` behind them, since midnight in UTC.
fn time_of_day(text: &str) -> Option<i64> {
    let (clock, zone_ms) = match text.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => match text.rfind(['+', '-']) {
            Some(at) => {
                let (hours, minutes) = text[at + 1..].split_once(':')?;
                let minutes = digits(hours, 2..=2)? * 60 + digits(minutes, 2..=2).filter(|m| *m < 60)?;
                (&text[..at], if text[at..].starts_with('-') { -minutes } else { minutes } * MINUTE_MS)
            }
            None => (text, 0),
        },
    };
    let mut fields = clock.split(':');
    let hours = digits(fields.next()?, 2..=2).filter(|h| *h < 24)?;
    let minutes = digits(fields.next()?, 2..=2).filter(|m| *m < 60)?;
    let ms = match fields.next() {
        None => 0,
        Some(seconds) => {
            let (whole, part) = seconds.split_once('.').unwrap_or((seconds, "0"));
            let part_ms = digits(part, 1..=9)? * 1_000 / 10_i64.pow(part.len() as u32);
            digits(whole, 2..=2).filter(|s| *s < 60)? * 1_000 + part_ms
        }
    };
    let done = fields.next().is_none();
    done.then_some(hours * 60 * MINUTE_MS + minutes * MINUTE_MS + ms - zone_ms)
}

/// Days from 1970-01-01 to a date: the inverse of [`torc_base::time::date_of`] (after Hinnant, "chrono-compatible low-level date algorithms"). `None` if there is no such day.
fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let year = year - i64::from(month <= 2); // years begin in March
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year.rem_euclid(400) * 365 + year.rem_euclid(400) / 4 - year.rem_euclid(400) / 100 + day_of_year;
    Some(year.div_euclid(400) * 146_097 + day_of_era - 719_468)
}

/// A moment as [`parse`] reads it, in UTC, to the millisecond.
pub fn text(ms: i64) -> String {
    Wall(ms).utc()
}
