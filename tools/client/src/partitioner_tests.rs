use crate::near::near;
use crate::partitioner::{murmur2, partition_of};

#[test]
fn keys_are_hashed_as_the_java_client_hashes_them() {
    for (key, expected) in [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ] {
        assert_eq!(murmur2(key.as_bytes()), expected, "{key}");
        let positive = i64::from(expected) & i64::from(i32::MAX);
        assert_eq!(i64::from(partition_of(key.as_bytes(), 7)), positive % 7, "{key}");
    }
    assert_eq!(partition_of(b"", 1), 0);
}

#[test]
fn names_that_are_alike_are_offered() {
    let names = ["orders", "order-items", "payments", "Users", "x"];
    let near = |name| near(name, names.iter().copied());
    assert_eq!(near("ordrs"), ["orders"]);
    assert_eq!(near("users"), ["Users"]);
    assert_eq!(near("order"), ["orders", "order-items"]);
    assert_eq!(near("payments-v2"), ["payments"]);
    assert!(near("zzzzzz").is_empty());
}
