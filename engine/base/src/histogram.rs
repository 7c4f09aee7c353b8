//! Histograms of times, which one thread fills and any may read meanwhile.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds double every two buckets, with one in between: 1, 1.5, 2, 3, 4, 6, ... times 1,024 ns.
const BOUNDED: usize = 50;
/// Values up to the first bound are one bucket.
const FIRST_BITS: u32 = 10;

/// Times of one kind of thing. One thread records, any may read.
#[derive(Debug)]
pub struct Histogram {
    /// Of values up to each bound and above the one before; the last one: above all bounds.
    buckets: [AtomicU64; BOUNDED + 1],
    /// Nanoseconds.
    sum: AtomicU64,
}

impl Histogram {
    /// Upper bounds (included) of all buckets but the last, in nanoseconds, rising.
    pub fn bounds() -> impl Iterator<Item = u64> {
        (0..BOUNDED).map(|bucket| match bucket {
            0 => 1 << FIRST_BITS,
            _ => (3 + (bucket as u64 - 1) % 2) << (FIRST_BITS as usize - 1 + (bucket - 1) / 2),
        })
    }

    /// Counts a value of so many nanoseconds. Only the owning thread calls this: plain loads and stores do.
    pub fn record(&self, ns: u64) {
        add(&self.buckets[bucket(ns)], 1);
        add(&self.sum, ns);
    }

    /// How many values each bucket has (one more than there are bounds), and the sum of all in nanoseconds. Values
    /// recorded while this reads may be in the one and not yet in the other.
    pub fn read(&self) -> (Vec<u64>, u64) {
        (self.buckets.iter().map(|n| n.load(Ordering::Relaxed)).collect(), self.sum.load(Ordering::Relaxed))
    }
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: array::from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0) }
    }
}

fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

/// The bucket of a value: from its highest two bits.
fn bucket(ns: u64) -> usize {
    // Bounds belong to the bucket below.
    let ns = ns.saturating_sub(1);
    if ns >> FIRST_BITS == 0 {
        return 0;
    }
    let octave = ns.ilog2();
    let half = (ns >> (octave - 1)) & 1;
    (1 + (octave - FIRST_BITS) as usize * 2 + half as usize).min(BOUNDED)
}

#[cfg(test)]
#[path = "histogram_tests.rs"]
mod tests;
