//! Time as the core sees it: handed in with each event, never asked for.

/// Nanoseconds on a clock that never goes back; its zero means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

/// Milliseconds since 1970, as records carry them. May jump either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines and durations.
    pub mono: Mono,
    /// For timestamps that users see.
    pub wall: Wall,
}

impl Mono {
    /// This moment and `ms` milliseconds; saturates.
    pub const fn plus_ms(self, ms: u64) -> Mono {
        Mono(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }

    /// The end of a rest that begins at this moment and is `times` as long as what began at `begun`; saturates.
    pub const fn rested(self, begun: Mono, times: u64) -> Mono {
        Mono(self.0.saturating_add(self.since(begun).saturating_mul(times)))
    }

    /// Nanoseconds from `earlier` to this moment; 0 if it is later.
    pub const fn since(self, earlier: Mono) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Wall {
    /// The moment in UTC to the millisecond, as `2026-11-28T14:30:05.250Z` (ISO 8601).
    pub fn utc(self) -> String {
        let (days, of_day) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = date_of(days);
        let (hours, minutes, seconds) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1_000 % 60);
        format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", of_day % 1_000)
    }
}

/// Year, month and day so many days after 1970-01-01. Counts in years that begin in March, so that the leap day is the last
/// (after Hinnant, "chrono-compatible low-level date algorithms").
pub fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468); // since 0000-03-01
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097)); // of 400 years
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}
