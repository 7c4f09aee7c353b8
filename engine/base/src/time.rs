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
