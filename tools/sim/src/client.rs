//! What all simulated clients have in common.

use crate::history::History;
use crate::net::{Appetite, Manner};
use crate::violation::{Rule, Violation};
use crate::wire::{Connection, Port};
use torc_base::prng::Prng;

/// Longest wait for an answer, in virtual nanoseconds, while the server runs and nothing explains a delay.
const PATIENCE: u64 = 30_000_000_000;

/// What a client wants after it was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// To be woken again, in this many nanoseconds.
    Wake(u64),
    /// Nothing: it was asked to stop, and has.
    Done,
}

/// A simulated client with one connection at a time.
pub trait Client {
    /// Its time has come.
    fn wake(&mut self, port: &mut dyn Port, history: &mut History) -> Result<Next, Violation>;
    /// Bytes came on its connection.
    fn receive(&mut self, port: &mut dyn Port, history: &mut History, bytes: &[u8]) -> Result<(), Violation>;
    /// Its connection is gone.
    fn lost(&mut self, port: &mut dyn Port, history: &mut History) -> Result<(), Violation>;
    /// Its connection, if it has one.
    fn link(&self) -> Option<u64>;
    /// Begin nothing new.
    fn stop(&mut self);
    /// True if it is there for what others do: it is asked to stop when all of them have.
    fn follows(&self) -> bool {
        false
    }
    /// True if it is there to be in the way of others: nobody waits for it, and it goes when all others are done.
    fn is_neighbour(&self) -> bool {
        false
    }
}

/// How a new connection behaves: from whole requests at once to a byte at a time.
pub fn manner(rng: &mut Prng) -> Manner {
    let piece = match rng.below(8) {
        0 => 7,
        1 => 300,
        2 => 4096,
        3 => 16 << 10,
        _ => 256 << 10,
    };
    let delay = if rng.chance(1, 8) { 3_000_000 } else { rng.between(5_000, 100_000) };
    Manner { piece, delay, stalls: if rng.chance(1, 8) { 16 } else { 0 }, appetite: Appetite::All }
}

/// True if a client that has waited for so long should hang up; an error if nothing explains the delay.
pub fn out_of_patience(port: &dyn Port, history: &History, connection: &Connection) -> Result<bool, Violation> {
    let Some(oldest) = connection.oldest().filter(|w| port.now() - w.sent_at > PATIENCE) else { return Ok(false) };
    let faults = history.faults;
    if faults.disk_errors || faults.full || faults.damage || faults.stuck {
        return Ok(true);
    }
    let text =
        format!("{:?}, version {}, has had no answer for {} s", oldest.asked, oldest.version, PATIENCE / 1_000_000_000);
    Err(Violation::new(Rule::Liveness, text))
}
