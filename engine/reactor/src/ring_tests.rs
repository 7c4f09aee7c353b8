use super::*;

/// A ring in which a write with its flush is queued, behind one entry that stands alone.
fn with_a_pair() -> Ring {
    let mut ring = Ring::new(8, Arc::default()).expect("this kernel has rings");
    let entry = || opcode::Nop::new().build();
    let (alone, first, second) = (ring.key(Kind::Bell, 0), ring.key(Kind::Disk, 0), ring.key(Kind::DiskSync, 0));
    // SAFETY: the entries name no memory.
    unsafe { ring.push(entry(), alone).and_then(|()| ring.push_linked((entry(), first), (entry(), second))) }
        .expect("there is room");
    ring
}

#[test]
fn a_write_that_may_be_parted_from_its_flush_ends_the_ring() {
    let mut ring = with_a_pair();
    let error = ring.taken(2, 3).expect_err("the flush is left behind");
    assert!(error.error.to_string().contains("2 of 3"), "{}", error.error);
}

#[test]
fn entries_that_stand_alone_may_be_left_for_the_next_enter() {
    let mut ring = with_a_pair();
    ring.enter(0, None).expect("all are taken, the pair, too");
    assert!(ring.taken(1, 2).is_ok());
    while ring.next().is_some() || ring.outstanding() > 0 {
        ring.enter(u32::from(ring.at_hand() == 0 && ring.outstanding() > 0), None).expect("they complete");
    }
}
