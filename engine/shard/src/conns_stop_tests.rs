use crate::conns::Conns;
use crate::mail::Mail;
use torc_base::buf::{Buf, BufMut, Pool};
use torc_base::ids::ConnId;
use torc_base::io::Op;
use torc_base::limits::LARGE_FRAME;
use torc_base::time::Mono;

const CONN: ConnId = ConnId(7);
const MS: u64 = 1_000_000;

fn at(ms: u64) -> Mono {
    Mono(ms * MS)
}

/// A receive buffer that holds `bytes`.
fn buffer(bytes: &[u8]) -> BufMut {
    let mut buf = Pool::new(usize::MAX, 0).take(bytes.len()).expect("no limit");
    buf.copy_from_slice(bytes);
    buf
}

/// Connections of which one is open.
fn open(pool: Pool) -> (Conns, Vec<Op<Mail>>) {
    let (mut conns, mut ops) = (Conns::new(1 << 20, 600_000, pool), Vec::new());
    conns.accepted(at(0), CONN, &mut ops);
    assert!(matches!(ops[..], [Op::Recv { conn: CONN }]));
    ops.clear();
    (conns, ops)
}

/// What the shard does each turn; true if the connection was closed.
fn turn(conns: &mut Conns, ms: u64) -> bool {
    let mut ops = Vec::new();
    conns.retry(at(ms), &mut ops);
    conns.send(at(ms), &mut ops);
    ops.iter().any(|op| matches!(op, Op::Close { conn: CONN }))
}

#[test]
fn what_was_sent_before_a_stop_is_read_and_answered_before_the_connection_closes() {
    let (mut conns, _) = open(Pool::new(1 << 20, 0));
    conns.drain(at(1000));
    assert!(!turn(&mut conns, 1000), "its socket may hold requests");
    // The stop and these bytes were on their way at the same time.
    conns.received(at(1002), CONN, buffer(&[0, 0, 0, 3, 1, 2, 3, 0, 0]));
    let frame = conns.next_frame(CONN).expect("a good length").expect("a whole frame");
    assert_eq!(&frame[..], [1, 2, 3]);
    let slot = conns.open_slot(CONN, 10);
    assert!(conns.next_frame(CONN).expect("no length yet").is_none());
    assert!(!turn(&mut conns, 1100), "it is owed an answer");
    conns.answer(CONN, slot, vec![Buf::copy_of(b"done")]);
    assert!(!turn(&mut conns, 1101), "the answer is being sent");
    conns.sent(at(1102), CONN);
    assert!(!turn(&mut conns, 1150), "half a frame has come, the rest of it may follow");
    conns.received(at(1151), CONN, buffer(&[0, 0]));
    assert_eq!(conns.next_frame(CONN).expect("a good length").expect("an empty frame").len(), 0);
    assert!(conns.next_frame(CONN).expect("nothing").is_none());
    let slot = conns.open_slot(CONN, 10);
    conns.answer(CONN, slot, Vec::new());
    assert!(!turn(&mut conns, 1160), "it was not silent for long");
    assert!(turn(&mut conns, 1180));
    assert!(!conns.is_drained());
    conns.closed(CONN);
    assert!(conns.is_drained());
}

#[test]
fn a_client_that_never_falls_silent_does_not_hold_up_a_stop() {
    let (mut conns, _) = open(Pool::new(1 << 20, 0));
    conns.drain(at(0));
    for ms in (0..250).step_by(5) {
        conns.received(at(ms), CONN, buffer(&[0, 0, 0, 0]));
        assert!(conns.next_frame(CONN).expect("a good length").is_some());
        assert!(!turn(&mut conns, ms));
    }
    conns.received(at(250), CONN, buffer(&[0, 0, 0, 0]));
    assert!(turn(&mut conns, 251));
    assert!(conns.next_frame(CONN).expect("not looked at").is_none());
    assert!(!conns.reads());
}

#[test]
fn requests_behind_a_half_closed_connection_are_all_taken() {
    let (mut conns, mut ops) = open(Pool::new(1 << 20, 0));
    conns.received(at(1), CONN, buffer(&[0, 0, 0, 0, 0, 0, 0, 0]));
    assert!(conns.next_frame(CONN).expect("a good length").is_some());
    conns.eof(at(2), CONN, &mut ops);
    assert!(ops.is_empty(), "a second request has come before the end");
    assert!(conns.next_frame(CONN).expect("a good length").is_some());
    assert!(conns.next_frame(CONN).expect("nothing").is_none());
    conns.arm(at(3), CONN, &mut ops);
    assert!(matches!(ops[..], [Op::Close { conn: CONN }]));
}

#[test]
fn large_frames_leave_memory_to_small_ones() {
    let pool = Pool::new(16 * LARGE_FRAME, 0);
    let (mut conns, mut ops) = open(pool.clone());
    let mut held = Vec::new();
    while pool.used() + LARGE_FRAME <= pool.limit() / 8 * 7 {
        held.push(pool.take(LARGE_FRAME).expect("within the limit"));
    }
    let length = |n: usize| (n as u32).to_be_bytes();
    conns.received(at(1), CONN, buffer(&length(LARGE_FRAME)));
    assert!(conns.next_frame(CONN).expect("a good length").is_none());
    conns.disarmed(at(1), CONN, false);
    conns.arm(at(1), CONN, &mut ops);
    assert!(ops.is_empty(), "a large one waits for memory: {ops:?}");

    let small = ConnId(8);
    conns.accepted(at(2), small, &mut ops);
    conns.received(at(2), small, buffer(&length(100)));
    conns.received(at(2), small, buffer(&[1; 100]));
    let frame = conns.next_frame(small).expect("a good length").expect("a small one is taken");
    assert_eq!(frame.len(), 100);
}

#[test]
fn all_that_wait_for_memory_get_their_turn() {
    let pool = Pool::new(16 * LARGE_FRAME, 0);
    let all = pool.take(pool.limit()).expect("nothing is out");
    let (mut conns, mut ops) = (Conns::new(1 << 20, 600_000, pool), Vec::new());
    let waiting = 200;
    for conn in (0..waiting).map(ConnId) {
        conns.accepted(at(0), conn, &mut ops);
        conns.received(at(0), conn, buffer(&[0, 0, 0, 9]));
        assert!(conns.next_frame(conn).expect("a good length").is_none());
        conns.disarmed(at(0), conn, false);
        conns.arm(at(0), conn, &mut ops);
    }
    let mut tried = std::collections::BTreeSet::new();
    for ms in 1..10 {
        let turn = conns.retry(at(ms), &mut ops);
        assert!(turn.len() < 100, "a turn is short, however many wait");
        for conn in turn {
            tried.insert(conn);
            conns.arm(at(ms), conn, &mut ops);
        }
    }
    assert_eq!(tried.len(), waiting as usize);
    drop(all);
    let mut served = 0;
    for ms in 10..20 {
        for conn in conns.retry(at(ms), &mut ops) {
            conns.received(at(ms), conn, buffer(&[1; 9]));
            served += usize::from(conns.next_frame(conn).expect("a good length").is_some());
        }
    }
    assert_eq!(served, waiting as usize);
}
