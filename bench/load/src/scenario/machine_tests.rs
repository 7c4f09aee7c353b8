use super::machine::medians;
use super::testdata::machine;
use crate::limits::{DurableWrites, Limits, RoundTrip};

#[test]
fn limits_are_medians_of_each_figure() {
    let durable = |per_s, p50_ns| DurableWrites { block_bytes: 4096, depth: 4, per_s, p50_ns, p99_ns: 9 };
    let of = |read, trip_ns, per_s, p50_ns| Limits {
        sequential_read_mb_per_s: read,
        loopback_spinning: RoundTrip { p50_ns: trip_ns, p99_ns: 2 * trip_ns },
        durable_writes: vec![durable(per_s, p50_ns)],
        ..machine()
    };
    let all = [of(1.0, 30, 10.0, 500), of(3.0, 10, 30.0, 300), of(2.0, 20, 20.0, 400)];
    assert_eq!(medians(&all), Some(of(2.0, 20, 20.0, 400)));
    assert_eq!(medians(&all[..1]).as_ref(), Some(&all[0]));
    assert_eq!(medians(&[]), None);
}
