//! What every torc crate shares: ids, limits, buffers, the I/O vocabulary, time, randomness, checksums.

pub mod buf;
pub mod crc;
pub mod histogram;
pub mod ids;
pub mod io;
pub mod limits;
pub mod malformed;
pub mod prng;
pub mod time;
pub mod turns;
pub mod units;

#[cfg(test)]
mod buf_tests;
#[cfg(test)]
mod units_tests;
