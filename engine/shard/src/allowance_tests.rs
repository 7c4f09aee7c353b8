use super::*;

#[test]
fn what_is_beyond_a_turn_is_taken_from_the_next_ones() {
    let mut turn = Allowance::new();
    assert!(!turn.is_spent());
    turn.charge(3 * TURN_COST as usize);
    assert!(turn.is_spent());
    let turns = std::iter::from_fn(|| {
        turn.begin_turn();
        turn.is_spent().then_some(())
    });
    assert_eq!(turns.count(), 2);
    // What was not used is not saved up, and what is owed has a bound.
    turn.begin_turn();
    turn.begin_turn();
    assert_eq!(turn.left(), TURN_COST);
    turn.charge(1 << 30);
    (0..=TURN_DEBT_MAX / TURN_COST).for_each(|_| turn.begin_turn());
    assert!(!turn.is_spent());
}

#[test]
fn every_kind_gets_a_part_of_a_turn() {
    let mut turn = Allowance::new();
    turn.charge(2 * TURN_COST as usize);
    for _ in 0..3 {
        let (part, floor) = (turn.part(), turn.floor());
        assert_eq!(part as isize, TURN_PART);
        assert_eq!(turn.left() - floor, TURN_PART);
        turn.charge(part);
    }
    // All of it, if nobody else has come.
    let turn = Allowance::new();
    assert_eq!((turn.part() as isize, turn.floor(), turn.long_floor()), (TURN_COST, 0, 0));
}

#[test]
fn a_turn_that_is_hurried_has_parts_of_what_is_long_and_all_of_what_is_short() {
    let mut turn = Allowance::new();
    let mut part = Part::default();
    part.begin_turn(&turn);
    assert!(part.may_go(&turn));
    turn.hurry();
    assert!(!part.may_go(&turn), "it has waited for nothing");
    part.begin_turn(&turn);
    assert!(part.may_go(&turn));
    part.charge(2 * TURN_PART as usize);
    assert!(!part.may_go(&turn) && part.owes());
    assert_eq!((turn.part() as isize, turn.long(), turn.long_floor()), (TURN_PART, 0, -TURN_PART));
    assert_eq!((turn.is_spent(), turn.left()), (false, TURN_COST));
    // What was done is not forgotten, and the next turn is as any other.
    turn.charge(100);
    turn.hurry();
    assert_eq!((turn.left(), turn.long()), (TURN_COST - 100, -100));
    turn.begin_turn();
    assert_eq!((turn.left(), turn.long()), (TURN_COST, TURN_COST));
}

#[test]
fn large_pieces_of_one_kind_leave_turns_to_others() {
    let (mut turn, mut part, mut done) = (Allowance::new(), Part::default(), 0);
    let (cost, turns) = (3 * TURN_COST as usize, 40);
    for _ in 0..turns {
        part.begin_turn(&turn);
        while part.may_go(&turn) {
            part.charge(cost);
            turn.charge(cost);
            done += 1;
        }
        turn.begin_turn();
    }
    assert!((turns / 8..=turns / 2).contains(&done), "{done} of {turns} turns");
    // Beside others who always spend the sum it gets its part, and no more.
    let (mut part, mut done) = (Part::default(), 0);
    let mut spent = Allowance::new();
    spent.charge(2 * TURN_COST as usize);
    for _ in 0..100 * cost / TURN_PART as usize {
        part.begin_turn(&spent);
        while part.may_go(&spent) {
            part.charge(cost);
            done += 1;
        }
    }
    assert!((99..=101).contains(&done), "{done}");
    // However long one piece is, the turns that follow have as much for others.
    let (mut part, mut turn, mut turns) = (Part::default(), Allowance::new(), 0);
    part.charge(40 * TURN_COST as usize);
    while part.owes() {
        turn.begin_turn();
        part.begin_turn(&turn);
        turns += 1;
    }
    assert_eq!(turns, 40);
}

#[test]
fn what_a_connection_has_used_is_forgotten() {
    let second = |s: u64| Mono(s * 1_000_000_000);
    let mut usage = Usage::default();
    assert!(usage.is_little(second(1)));
    usage.charge(second(1), LITTLE as usize);
    assert!(!usage.is_little(second(1)));
    assert!(!usage.is_little(Mono(second(1).0 - 1)), "a clock that stands still, or goes back, changes nothing");
    assert!(usage.is_little(second(2)));
    usage.charge(second(2), usize::MAX);
    usage.charge(second(2), usize::MAX);
    assert!(!usage.is_little(second(2)));
    assert!(usage.is_little(second(9)));
}
