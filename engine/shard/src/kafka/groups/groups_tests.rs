use super::partition_of;

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
