//! What one core does with bytes.

use std::hint::black_box;
use std::time::{Duration, Instant};
use torc_base::crc::crc32c;

/// Larger than the caches that a core has for itself.
const BYTES: usize = 16 << 20;

/// Millions of bytes per second that `pass` handles, called with memory of [`BYTES`].
fn rate(time: Duration, mut pass: impl FnMut(&mut [u8], &mut [u8])) -> f64 {
    let (mut from, mut to) = (vec![1; BYTES], vec![2; BYTES]);
    let began = Instant::now();
    let mut passes = 0;
    while began.elapsed() < time || passes == 0 {
        pass(&mut from, &mut to);
        passes += 1;
    }
    (passes * BYTES) as f64 / began.elapsed().as_secs_f64() / 1e6
}

/// CRC32C.
pub fn crc32c_mb_per_s(time: Duration) -> f64 {
    rate(time, |from, _| {
        black_box(crc32c(black_box(from)));
    })
}

/// Copying from one place to another.
pub fn copy_mb_per_s(time: Duration) -> f64 {
    rate(time, |from, to| black_box(to).copy_from_slice(black_box(from)))
}
