//! The machine beside the runs: a shared disk's speed changes within minutes, so limits are measured in each repetition.

use super::results::Spread;
use crate::limits::{DurableWrites, Limits, RoundTrip};

/// The median of each of the limits that were measured in several repetitions; `None` of none.
pub fn medians(all: &[Limits]) -> Option<Limits> {
    let first = all.first()?;
    let median = |of: &dyn Fn(&Limits) -> f64| {
        let values: Vec<f64> = all.iter().map(of).collect();
        Spread::of(&values).map_or(f64::NAN, |spread| spread.median)
    };
    let time = |of: &dyn Fn(&Limits) -> u64| median(&|limits| of(limits) as f64) as u64;
    let trip = |of: &dyn Fn(&Limits) -> RoundTrip| RoundTrip {
        p50_ns: time(&|limits| of(limits).p50_ns),
        p99_ns: time(&|limits| of(limits).p99_ns),
    };
    let durable = |number: usize| DurableWrites {
        per_s: median(&|limits| limits.durable_writes[number].per_s),
        p50_ns: time(&|limits| limits.durable_writes[number].p50_ns),
        p99_ns: time(&|limits| limits.durable_writes[number].p99_ns),
        ..first.durable_writes[number]
    };
    Some(Limits {
        durable_writes: (0..first.durable_writes.len()).map(durable).collect(),
        sequential_write_mb_per_s: median(&|limits| limits.sequential_write_mb_per_s),
        sequential_read_mb_per_s: median(&|limits| limits.sequential_read_mb_per_s),
        loopback_sleeping: trip(&|limits| limits.loopback_sleeping),
        loopback_spinning: trip(&|limits| limits.loopback_spinning),
        loopback_mb_per_s: median(&|limits| limits.loopback_mb_per_s),
        crc32c_mb_per_s: median(&|limits| limits.crc32c_mb_per_s),
        copy_mb_per_s: median(&|limits| limits.copy_mb_per_s),
    })
}
