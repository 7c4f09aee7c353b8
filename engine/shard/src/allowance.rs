//! What one turn of the shard may do: one sum for all kinds of work, so that many kinds at once make no longer a turn than
//! one does.
//!
//! Work is counted in units of about a microsecond, not measured: the core has no clock, and a run of the simulator is to
//! be the same run. Who has used little lately is served in the event that brings its request; whoever has used more
//! goes on in the turn as far as the sum reaches, and in turn with others of its kind. Each kind of work that waits gets a
//! part in every turn, so that none waits for ever for the others.

use torc_base::limits::{TURN_COST, TURN_DEBT_MAX, TURN_PART};
use torc_base::time::Mono;

/// Bytes of records that are decompressed in a unit.
const BYTES_OPENED: usize = 256;

/// What a turn may still do.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Below 0: what was done beyond, which the next turns have less.
    left: isize,
}

impl Allowance {
    pub fn new() -> Allowance {
        Allowance { left: TURN_COST }
    }

    /// The next turn begins.
    pub fn begin_turn(&mut self) {
        self.left = (self.left.max(-TURN_DEBT_MAX) + TURN_COST).min(TURN_COST);
    }

    /// Something was done.
    pub fn charge(&mut self, cost: usize) {
        self.left -= cost as isize;
    }

    /// The same for bytes of records that are decompressed or gone through.
    pub fn charge_bytes(&mut self, bytes: usize) {
        self.charge(bytes / BYTES_OPENED);
    }

    /// Of these, what a kind of work may do now that has waited for the turn.
    pub fn bytes(&self) -> usize {
        self.part() * BYTES_OPENED
    }

    pub fn is_spent(&self) -> bool {
        self.left <= 0
    }

    /// What is left.
    pub fn left(&self) -> isize {
        self.left
    }

    /// What a kind of work may do now that has waited for the turn.
    pub fn part(&self) -> usize {
        self.left.max(TURN_PART) as usize
    }

    /// It may go on while more than this is left.
    pub fn floor(&self) -> isize {
        (self.left - TURN_PART).min(0)
    }
}

/// What a kind of work gets of turns whose sum is spent. What one piece of it took beyond is taken from what comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    credit: isize,
}

impl Part {
    /// The next turn comes to this kind of work.
    pub fn begin_turn(&mut self, turn: &Allowance) {
        let due = if turn.is_spent() { TURN_PART } else { 0 };
        self.credit = (self.credit + due).min(due);
    }

    pub fn may_go(&self, turn: &Allowance) -> bool {
        !turn.is_spent() || self.credit > 0
    }

    /// A piece of the work is done, which costs so much.
    pub fn charge(&mut self, turn: &Allowance, cost: usize) {
        if turn.is_spent() {
            self.credit -= cost as isize;
        }
    }
}

/// About every so many nanoseconds (17 ms) half of what a connection has used is forgotten.
const HALF_LIFE_BITS: u32 = 24;
/// Who has used less lately is served at once.
const LITTLE: u32 = 64;

/// What a connection has used lately.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    units: u32,
    at: u64,
}

impl Usage {
    pub fn charge(&mut self, now: Mono, cost: usize) {
        self.forget(now);
        self.units = self.units.saturating_add(u32::try_from(cost).unwrap_or(u32::MAX));
    }

    pub fn is_little(&mut self, now: Mono) -> bool {
        self.forget(now);
        self.units < LITTLE
    }

    fn forget(&mut self, now: Mono) {
        let at = now.0 >> HALF_LIFE_BITS;
        self.units = self.units.checked_shr((at - self.at.min(at)).min(32) as u32).unwrap_or(0);
        self.at = at;
    }
}

#[cfg(test)]
#[path = "allowance_tests.rs"]
mod tests;
