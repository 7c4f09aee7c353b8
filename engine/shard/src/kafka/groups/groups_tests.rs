use super::members::{heard, joined, left, synced};
use super::partition_of;
use torc_net::kafka::error;

/// Groups and the numbers of their partitions of 50, by `String.hashCode` of a JVM.
#[test]
fn groups_have_the_partitions_that_kafka_gives_them() {
    let known = [
        ("", 0),
        ("a", 47),
        ("group", 47),
        // Its hash is negative, -421004483.
        ("consumers", 33),
        // Its hash is -2^31, which has no absolute value.
        ("polygenelubricants", 0),
        // One character of two units.
        ("ä🦀", 10),
    ];
    for (group, partition) in known {
        assert_eq!(partition_of(group, 50), partition, "{group}");
    }
}

#[test]
fn a_heartbeat_is_answered_well_while_its_coordinator_loads_and_other_requests_are_not() {
    let loading = || Err(error::COORDINATOR_LOAD_IN_PROGRESS);
    assert_eq!(heard(loading()).error_code, error::NONE);
    for code in [error::NOT_COORDINATOR, error::COORDINATOR_NOT_AVAILABLE, error::INVALID_GROUP_ID] {
        assert_eq!(heard(Err(code)).error_code, code);
    }
    for version in 0..=5 {
        assert_eq!(joined(version, loading()).error_code, error::COORDINATOR_LOAD_IN_PROGRESS);
        assert_eq!(synced(version, loading()).error_code, error::COORDINATOR_LOAD_IN_PROGRESS);
        assert_eq!(left(version, loading()).error_code, error::COORDINATOR_LOAD_IN_PROGRESS);
    }
}
