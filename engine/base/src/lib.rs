//! What every torc crate shares: ids, limits, buffers, the I/O vocabulary, time, randomness, checksums.

pub mod buf;
pub mod crc;
pub mod ids;
pub mod io;
pub mod limits;
pub mod prng;
pub mod time;

#[cfg(test)]
mod buf_tests;
