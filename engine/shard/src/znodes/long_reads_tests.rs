use super::*;
use crate::memory::MemoryLimits;
use torc_base::buf::Pool;

#[test]
fn what_one_read_takes_beyond_its_turn_is_taken_from_those_that_follow() {
    let mut conns = Conns::new(1 << 20, 60_000, 0, MemoryLimits::default(), Pool::new(usize::MAX, 0));
    let mut reads = LongReads::default();
    reads.begin_turn(&mut conns);
    assert!(!reads.is_over(&conns));
    let bytes = 32 << 20;
    reads.charge(bytes);
    let mut turns = 0;
    while reads.is_over(&conns) {
        conns.allowance.begin_turn();
        reads.begin_turn(&mut conns);
        turns += 1;
    }
    assert!((bytes / TURN_SEND_BYTES..4 * bytes / TURN_SEND_BYTES).contains(&turns), "{turns} turns");
    // What was not used is not saved up.
    (0..10).for_each(|_| reads.begin_turn(&mut conns));
    assert!(!reads.take(TURN_SEND_BYTES));
}
