use super::*;

#[test]
fn bytes_leave_at_the_rate_whatever_their_pieces() {
    for piece in [1_000, 65_536, 1_000_000, 7_000_001] {
        let mut rate = Rate { bytes_per_second: 10_000_000, paid: Mono(0) };
        let (mut now, mut left) = (Mono(5), 0);
        while now < Mono(5).plus_ms(10_000) {
            while rate.admits(now) {
                rate.take(now, piece);
                left += piece;
            }
            now = now.plus_ms(1);
        }
        // One piece may be under way when the time is up, and a tenth of a second's worth in advance.
        assert!((100_000_000..=101_000_000 + piece).contains(&left), "{left} bytes in pieces of {piece}");
    }
    let mut none = Rate { bytes_per_second: 0, paid: Mono(0) };
    none.take(Mono(1), u64::MAX);
    assert!(none.admits(Mono(1)));
    let mut huge = Rate { bytes_per_second: 1, paid: Mono(0) };
    huge.take(Mono(1), u64::MAX);
    assert!(!huge.admits(Mono(u64::MAX / 4)));
}
