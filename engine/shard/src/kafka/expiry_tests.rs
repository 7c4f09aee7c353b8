use super::*;

fn at(ms: u64) -> Mono {
    Mono(0).plus_ms(ms)
}

#[test]
fn the_earliest_that_waits_is_due_and_what_was_answered_costs_one_look() {
    let mut expiry = Expiry::default();
    assert_eq!(expiry.due(), None);
    expiry.note(NEVER);
    assert_eq!(expiry.due(), None, "it names no time");
    for ms in [30_000, 5_000, 60_000] {
        expiry.note(at(ms));
    }
    assert_eq!(expiry.due(), Some(at(5_000)));
    let pending = [(Token(1), at(30_000)), (Token(2), NEVER)];
    assert!(expiry.look(at(4_999), pending.into_iter()).is_empty());
    assert!(expiry.look(at(5_000), pending.into_iter()).is_empty(), "the one of 5 s has been answered meanwhile");
    assert_eq!(expiry.due(), Some(at(30_000)), "and so has that of 60 s");
    assert_eq!(expiry.look(at(30_000), pending.into_iter()), [Token(1)]);
    assert_eq!(expiry.due(), None);
}

#[test]
fn there_is_a_rest_between_looks() {
    let mut expiry = Expiry::default();
    expiry.note(at(1_000));
    assert_eq!(expiry.look(at(1_000), [(Token(1), at(1_001))].into_iter()), []);
    assert_eq!(expiry.due(), Some(at(1_000 + REST_MS)));
    assert_eq!(expiry.look(at(1_001), [(Token(1), at(1_001))].into_iter()), []);
    assert_eq!(expiry.look(at(1_000 + REST_MS), [(Token(1), at(1_001))].into_iter()), [Token(1)]);
}

#[test]
fn a_time_is_what_the_client_says_but_not_less_than_a_flush_may_take() {
    for (timeout_ms, ms) in [(30_000, 30_000), (500, 500), (1, 500), (0, 500), (-1, 500), (i32::MIN, 500)] {
        assert_eq!(limit(at(7), timeout_ms), at(7 + ms));
    }
    assert!(limit(at(0), i32::MAX) < NEVER);
}
