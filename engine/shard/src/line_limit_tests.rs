use super::*;

fn at(ms: u64) -> Mono {
    Mono(0).plus_ms(ms)
}

#[test]
fn so_many_lines_in_a_span_and_the_next_knows_how_many_are_missing() {
    let mut limit = LineLimit::new(2, 1_000);
    let admitted: Vec<_> = (0..10).map(|n| limit.admit(at(5_000 + n))).collect();
    assert_eq!(admitted[..3], [Some(0), Some(0), None]);
    assert_eq!(admitted.iter().flatten().count(), 2);
    assert_eq!(limit.admit(at(5_999)), None);
    assert_eq!(limit.admit(at(6_000)), Some(9));
    assert_eq!(limit.admit(at(6_001)), Some(0), "they are told of once");
}

#[test]
fn what_nothing_follows_is_told_of_when_the_span_is_over() {
    let mut limit = LineLimit::new(1, 1_000);
    assert_eq!((limit.admit(at(0)), limit.due()), (Some(0), None), "a quiet log has nothing to wait for");
    assert_eq!((limit.admit(at(1)), limit.admit(at(2))), (None, None));
    assert_eq!((limit.due(), limit.take_left_out(at(999))), (Some(at(1_000)), None));
    assert_eq!((limit.take_left_out(at(1_000)), limit.take_left_out(at(1_000)), limit.due()), (Some(2), None, None));
}
