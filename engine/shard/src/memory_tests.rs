use super::*;

const LIMIT: usize = 64 << 20;
const MB: usize = 1 << 20;

fn turns() -> Turns {
    Turns::new(LIMIT, 32 << 20)
}

fn quick() -> Pace {
    let mut pace = Pace::default();
    pace.arrived(1);
    pace
}

fn slow() -> Pace {
    let mut pace = Pace::default();
    pace.arrived(5_000);
    pace
}

#[test]
fn a_holder_gets_as_much_as_it_leaves_and_so_does_the_next() {
    let mut budget = Budget::new(1_000);
    let mut held = Vec::new();
    for _ in 0..6 {
        let share = budget.share(0, 0);
        budget.take(share);
        held.push(share);
    }
    assert_eq!(held, [500, 250, 125, 62, 31, 16]);
    assert!(budget.share(0, 0) > 0, "whoever comes next finds something");
    assert_eq!(budget.share(500, 0), 0, "who has most gets nothing more");
    budget.give(500);
    assert_eq!(budget.free(), 516);
    assert_eq!(
        (budget.share(0, 116), budget.share(300, 116), budget.share(0, 600)),
        (200, 50, 0),
        "what is kept is nobody's"
    );
}

#[test]
#[should_panic(expected = "given back")]
fn nothing_is_given_back_twice() {
    let mut budget = Budget::new(10);
    budget.take(5);
    budget.give(5);
    budget.give(1);
}

#[test]
fn large_frames_leave_room_to_smaller_ones() {
    let mut turns = turns();
    let mut got = 0;
    while turns.ask(Mono(0), ConnId(got), 8 * MB, Pace::default()) {
        got += 1;
    }
    assert!(got >= 4, "{got} of 8 MB in 64 MB");
    assert!(turns.ask(Mono(0), ConnId(100), 100, Pace::default()), "a small one does not wait");
    assert!(turns.ask(Mono(0), ConnId(101), MB / 2, quick()), "nor a quick one that is small beside them");
}

#[test]
fn who_waits_holds_nothing_and_gets_its_turn_when_there_is_room() {
    let mut turns = turns();
    let mut got = 0;
    while turns.ask(Mono(0), ConnId(got), MB, Pace::default()) {
        got += 1;
    }
    let used = turns.budget().used();
    assert_eq!(used, got as usize * MB, "the one that waits has nothing");
    assert!(!turns.ask(Mono(1), ConnId(got), MB, Pace::default()), "asking again changes nothing");
    assert_eq!(turns.next(Mono(2)), None);
    turns.give(MB);
    assert_eq!(turns.next(Mono(3)), Some(ConnId(got)));
    assert!(turns.ask(Mono(4), ConnId(got), MB, Pace::default()), "it has its turn");
    assert_eq!(turns.budget().used(), used);
    assert!(!turns.is_short());
}

#[test]
fn quick_ones_go_before_slow_ones_but_not_for_ever() {
    let mut turns = turns();
    turns.take(LIMIT);
    assert!(!turns.ask(Mono(0), ConnId(1), MB, slow()));
    assert!(!turns.ask(Mono(0), ConnId(2), MB, Pace::default()));
    assert!(!turns.ask(Mono(0), ConnId(3), MB, quick()));
    // Eleven seconds later even the quickest newcomer stands behind the slow one.
    assert!(!turns.ask(Mono(0).plus_ms(11_000), ConnId(4), MB, quick()));
    turns.give(LIMIT);
    let order: Vec<_> = std::iter::from_fn(|| turns.next(Mono(1))).collect();
    assert_eq!(order, [ConnId(3), ConnId(2), ConnId(1), ConnId(4)]);
}

#[test]
fn one_that_does_not_fit_keeps_its_place_and_lets_small_ones_pass() {
    let mut turns = turns();
    turns.take(40 * MB);
    assert!(!turns.ask(Mono(0), ConnId(1), 24 * MB, quick()), "with what it leaves it is too much");
    assert!(!turns.ask(Mono(0), ConnId(2), 20 * MB, quick()), "this one would take what the first waits for");
    turns.give(4 * MB);
    assert_eq!(turns.next(Mono(0)), None, "there would be room for the second alone");
    assert!(turns.ask(Mono(0), ConnId(3), MB, quick()), "that is small beside both");
    turns.give(37 * MB);
    assert_eq!(turns.next(Mono(0)), Some(ConnId(1)));
    assert_eq!(turns.next(Mono(0)), Some(ConnId(2)));
}

#[test]
fn who_leaves_gives_back_its_place_and_its_turn() {
    let mut turns = turns();
    turns.take(LIMIT);
    assert!(!turns.ask(Mono(0), ConnId(1), MB, quick()));
    assert!(!turns.ask(Mono(0), ConnId(2), MB, quick()));
    turns.leave(ConnId(1));
    turns.give(LIMIT);
    assert_eq!(turns.next(Mono(0)), Some(ConnId(2)));
    turns.leave(ConnId(2));
    assert_eq!(turns.budget().used(), 0);
    assert_eq!(turns.stuck_since(), None);
}

#[test]
fn it_is_known_since_when_nobody_got_a_turn() {
    let mut turns = turns();
    turns.take(LIMIT);
    assert_eq!(turns.stuck_since(), None);
    assert!(!turns.ask(Mono(5), ConnId(1), MB, quick()));
    assert!(!turns.ask(Mono(7), ConnId(2), MB, quick()));
    assert_eq!(turns.stuck_since(), Some(Mono(5)));
    turns.give(3 * MB);
    assert_eq!(turns.next(Mono(9)), Some(ConnId(1)));
    assert_eq!(turns.stuck_since(), Some(Mono(9)), "the queue moves");
}

#[test]
fn those_who_promise_much_keep_nobody_waiting_who_wants_little() {
    let mut turns = turns();
    assert!(turns.ask(Mono(0), ConnId(0), 24 * MB, Pace::default()));
    for conn in 1..500 {
        assert!(!turns.ask(Mono(0), ConnId(conn), 24 * MB, Pace::default()), "for {conn} there is no room");
    }
    assert!(turns.ask(Mono(0), ConnId(500), MB / 4, Pace::default()), "a newcomer with a quarter of a megabyte");
    assert!(turns.ask(Mono(0), ConnId(501), 2 * MB, Pace::default()), "or with two");
    // Behind others of its own size it waits, and is not forgotten.
    turns.take(30 * MB);
    assert!(!turns.ask(Mono(0), ConnId(502), 2 * MB, Pace::default()));
    turns.give(30 * MB);
    assert_eq!(turns.next(Mono(1)), Some(ConnId(502)));
    assert_eq!(turns.next(Mono(1)), None);
}

#[test]
fn a_large_one_that_has_waited_long_is_not_starved_by_smaller_ones() {
    let mut turns = turns();
    turns.take(40 * MB);
    assert!(!turns.ask(Mono(0), ConnId(1), 24 * MB, quick()));
    assert!(turns.ask(Mono(0), ConnId(2), 2 * MB, quick()), "at first smaller ones go on");
    let late = Mono(0).plus_ms(10_001);
    assert!(!turns.ask(late, ConnId(3), 2 * MB, quick()), "then what it waits for is left alone");
    assert!(turns.ask(late, ConnId(4), MB / 16, quick()), "but by the smallest");
    turns.give(42 * MB);
    assert_eq!(turns.next(late), Some(ConnId(1)));
    assert_eq!(turns.next(late), Some(ConnId(3)));
}
