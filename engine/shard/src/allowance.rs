//! What one turn of the shard may do: one sum for all kinds of work, so that many kinds at once make no longer a turn than
//! one does.
//!
//! Work is counted in units of about a microsecond, not measured: the core has no clock, and a run of the simulator is to
//! be the same run. Who has used little lately is served in the event that brings its request; whoever has used more
//! goes on in the turn as far as the sum reaches, and in turn with others of its kind. Each kind of work that waits gets a
//! part in every turn, so that none waits for ever for the others; and nothing but that in a turn in which somebody is
//! served who has used little: who asks for little waits for the end of the turn under way, and of its own.

use torc_base::limits::{TURN_COST, TURN_DEBT_MAX, TURN_PART};
use torc_base::time::Mono;

/// Bytes of records that are decompressed in a unit.
const BYTES_OPENED: usize = 256;

/// What a turn may still do.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Below 0: what was done beyond, which the next turns have less.
    left: isize,
    /// The same for all that is longer than a short request: nothing in a turn that is hurried.
    long: isize,
}

impl Allowance {
    pub fn new() -> Allowance {
        Allowance { left: TURN_COST, long: TURN_COST }
    }

    /// The next turn begins.
    pub fn begin_turn(&mut self) {
        self.left = (self.left.max(-TURN_DEBT_MAX) + TURN_COST).min(TURN_COST);
        self.long = self.left;
    }

    /// Somebody who has used little waits for the end of the turn: what is long gets its parts of it, and no more.
    pub fn hurry(&mut self) {
        self.long = self.long.min(0);
    }

    /// Something was done.
    pub fn charge(&mut self, cost: usize) {
        self.left -= cost as isize;
        self.long -= cost as isize;
    }

    /// The same for bytes of records that are decompressed or gone through.
    pub fn charge_bytes(&mut self, bytes: usize) {
        self.charge(cost_of_bytes(bytes));
    }

    /// Of these, what a kind of long work may do now that has waited for the turn.
    pub fn bytes(&self) -> usize {
        self.part() * BYTES_OPENED
    }

    /// True if nothing is left for short requests of who has used much.
    pub fn is_spent(&self) -> bool {
        self.left <= 0
    }

    /// What is left for these.
    pub fn left(&self) -> isize {
        self.left
    }

    /// Those that have waited for the turn may go on while more than this is left.
    pub fn floor(&self) -> isize {
        (self.left - TURN_PART).min(0)
    }

    /// What is left for long work that nobody has waited with.
    pub fn long(&self) -> isize {
        self.long
    }

    /// What a kind of long work may do now that has waited for the turn.
    pub fn part(&self) -> usize {
        self.long.max(TURN_PART) as usize
    }

    /// It may go on while more than this is left for long work.
    pub fn long_floor(&self) -> isize {
        (self.long - TURN_PART).min(0)
    }
}

/// What it costs to decompress, or to go through, so many bytes of records.
pub fn cost_of_bytes(bytes: usize) -> usize {
    bytes / BYTES_OPENED
}

/// What a kind of long work gets of turns that is done in pieces of any length. What one took beyond what there was is taken
/// from the turns that come, however much it is, and others go on in these.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    credit: isize,
    /// It may go on while more than this is left for long work.
    floor: isize,
}

impl Part {
    /// The next turn comes to this kind of work.
    pub fn begin_turn(&mut self, turn: &Allowance) {
        let due = turn.part() as isize;
        self.credit = (self.credit + due).min(due);
        self.floor = turn.long_floor();
    }

    pub fn may_go(&self, turn: &Allowance) -> bool {
        self.credit > 0 && turn.long > self.floor
    }

    /// True if the last piece took more than there was.
    pub fn owes(&self) -> bool {
        self.credit < 0
    }

    /// A piece of the work is done, which costs so much.
    pub fn charge(&mut self, cost: usize) {
        self.credit -= cost as isize;
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
