use super::*;
use torc_base::limits::LARGE_FRAME;

const CONN: ConnId = ConnId(1);
const FRAME_MAX: usize = 64 << 20;
const IDLE_MS: u64 = 60_000;

fn at(ms: u64) -> Mono {
    Mono(ms * 1_000_000)
}

fn conns(memory: usize) -> Conns {
    Conns::new(FRAME_MAX, IDLE_MS, Pool::new(memory, 0))
}

/// One connection, accepted at the start.
fn one(memory: usize) -> Conns {
    let (mut conns, mut ops) = (conns(memory), Vec::new());
    conns.accepted(at(0), CONN, &mut ops);
    assert!(matches!(ops[..], [Op::Recv { conn: CONN }]));
    conns
}

fn bytes(bytes: &[u8]) -> BufMut {
    let mut buf = Pool::new(usize::MAX, 0).take(bytes.len()).expect("no limit");
    buf.copy_from_slice(bytes);
    buf
}

/// `count` frames of one byte.
fn frames(count: usize) -> BufMut {
    bytes(&[0, 0, 0, 1, 9].repeat(count))
}

fn reply(text: &str) -> Vec<Buf> {
    vec![Buf::copy_of(text.as_bytes())]
}

/// What was sent, by part.
fn sent(ops: &[Op<Mail>]) -> Vec<String> {
    let parts = ops.iter().filter_map(|op| match op {
        Op::Send { parts, .. } => Some(parts),
        _ => None,
    });
    parts.flatten().map(|part| String::from_utf8(part.to_vec()).expect("text")).collect()
}

fn closes(ops: &[Op<Mail>]) -> Vec<ConnId> {
    let closed = ops.iter().filter_map(|op| match op {
        Op::Close { conn } => Some(*conn),
        _ => None,
    });
    closed.collect()
}

/// Takes all frames that may be taken, a slot for each.
fn take(conns: &mut Conns, conn: ConnId) -> Vec<SlotId> {
    let mut slots = Vec::new();
    while let Some(frame) = conns.next_frame(conn).expect("good lengths") {
        slots.push(conns.open_slot(conn, frame.len()));
    }
    slots
}

#[test]
fn answers_leave_in_the_order_of_requests() {
    let (mut conns, mut ops) = (one(1 << 20), Vec::new());
    conns.received(at(0), CONN, frames(4));
    let slots = take(&mut conns, CONN);
    conns.answer(CONN, slots[2], reply("c"));
    conns.answer(CONN, slots[1], Vec::new());
    conns.send(at(0), &mut ops);
    assert!(ops.is_empty(), "the first request has no answer yet");
    conns.answer(CONN, slots[0], reply("a"));
    conns.send(at(0), &mut ops);
    assert_eq!(sent(&ops), ["a", "c"]);
    conns.answer(CONN, slots[3], reply("d"));
    ops.clear();
    conns.send(at(0), &mut ops);
    assert!(ops.is_empty(), "one send at a time");
    conns.sent(at(0), CONN);
    conns.send(at(0), &mut ops);
    assert_eq!(sent(&ops), ["d"]);
    conns.sent(at(0), CONN);
    assert_eq!(conns.reply_room(), REPLIES_MEMORY);
}

#[test]
fn too_many_requests_stop_the_receive_until_there_is_room() {
    let (mut conns, mut ops) = (one(1 << 20), Vec::new());
    conns.received(at(0), CONN, frames(REQUESTS_IN_FLIGHT_MAX + 5));
    let slots = take(&mut conns, CONN);
    assert_eq!(slots.len(), REQUESTS_IN_FLIGHT_MAX);
    conns.arm(at(0), CONN, &mut ops);
    assert!(matches!(ops[..], [Op::Pause { conn: CONN }]));
    // More comes before the receive has stopped.
    conns.received(at(0), CONN, frames(1));
    assert!(take(&mut conns, CONN).is_empty());
    conns.disarmed(at(0), CONN, false);
    ops.clear();
    conns.arm(at(0), CONN, &mut ops);
    assert!(ops.is_empty(), "nothing is received while there is no room");
    conns.answer(CONN, slots[0], reply("a"));
    conns.send(at(0), &mut ops);
    conns.sent(at(0), CONN);
    assert_eq!(take(&mut conns, CONN).len(), 1, "one place is free");
}

/// The end of a send tells that there is room. Where nothing is sent, the next turn has to.
#[test]
fn places_that_become_free_without_a_send_are_used() {
    let (mut conns, mut ops) = (one(1 << 20), Vec::new());
    conns.received(at(0), CONN, frames(REQUESTS_IN_FLIGHT_MAX + 5));
    for slot in take(&mut conns, CONN) {
        conns.answer(CONN, slot, Vec::new());
    }
    conns.arm(at(0), CONN, &mut ops);
    conns.send(at(0), &mut ops);
    assert!(sent(&ops).is_empty());
    assert!(conns.deadline() <= Some(at(0)), "the next turn is due at once");
    assert!(conns.retry(at(0), &mut ops).contains(&CONN));
    assert_eq!(take(&mut conns, CONN).len(), 5);
    conns.send(at(0), &mut ops);
    assert!(conns.deadline() > Some(at(0)), "and no other after that");
}

#[test]
fn large_waiting_requests_and_answers_stop_the_receive() {
    let (mut conns, mut ops) = (one(1 << 30), Vec::new());
    let large = |conns: &mut Conns| {
        let mut head = (WAITING_BYTES_MAX as u32 / 2).to_be_bytes().to_vec();
        head.resize(4 + WAITING_BYTES_MAX / 2, 0);
        conns.received(at(0), CONN, bytes(&head));
    };
    (0..3).for_each(|_| large(&mut conns));
    let slots = take(&mut conns, CONN);
    assert_eq!(slots.len(), 2, "the third would be beyond the bytes that may wait");
    conns.answer(CONN, slots[0], reply("a"));
    conns.send(at(0), &mut ops);
    conns.sent(at(0), CONN);
    assert_eq!(take(&mut conns, CONN).len(), 1);
    // An answer of the largest size that may wait.
    conns.received(at(0), CONN, frames(1));
    conns.answer(CONN, slots[1], vec![Buf::copy_of(&vec![b'x'; REPLY_BYTES_MAX])]);
    conns.send(at(0), &mut ops);
    assert_eq!(conns.reply_room(), REPLIES_MEMORY - REPLY_BYTES_MAX);
    assert!(take(&mut conns, CONN).is_empty());
    conns.sent(at(0), CONN);
    assert_eq!(take(&mut conns, CONN).len(), 1);
    assert_eq!(conns.reply_room(), REPLIES_MEMORY);
}

#[test]
fn after_the_peers_end_all_that_it_sent_is_served_and_then_closed() {
    let (mut conns, mut ops) = (one(1 << 20), Vec::new());
    conns.received(at(0), CONN, frames(REQUESTS_IN_FLIGHT_MAX + 5));
    let slots = take(&mut conns, CONN);
    conns.eof(at(0), CONN, &mut ops);
    slots.into_iter().for_each(|slot| conns.answer(CONN, slot, reply("a")));
    conns.send(at(0), &mut ops);
    conns.sent(at(0), CONN);
    assert!(closes(&ops).is_empty(), "5 requests are left");
    let rest = take(&mut conns, CONN);
    assert_eq!(rest.len(), 5);
    conns.arm(at(0), CONN, &mut ops);
    rest.into_iter().for_each(|slot| conns.answer(CONN, slot, Vec::new()));
    conns.send(at(0), &mut ops);
    assert_eq!(closes(&ops), [CONN]);
}

#[test]
fn an_end_in_the_middle_of_a_frame_closes_at_once() {
    let (mut conns, mut ops) = (one(1 << 20), Vec::new());
    conns.received(at(0), CONN, bytes(&[0, 0, 0, 9, 1, 2]));
    assert!(take(&mut conns, CONN).is_empty());
    conns.eof(at(0), CONN, &mut ops);
    assert_eq!(closes(&ops), [CONN]);
}

#[test]
fn what_was_asked_for_a_closed_connection_is_dropped() {
    let (mut conns, mut ops) = (one(1 << 20), Vec::new());
    conns.received(at(0), CONN, frames(2));
    let slots = take(&mut conns, CONN);
    conns.waits(CONN, Token(4), true);
    conns.waits(CONN, Token(5), true);
    conns.waits(CONN, Token(4), false);
    conns.answer(CONN, slots[0], reply("a"));
    conns.close(CONN, &mut ops);
    conns.close(CONN, &mut ops);
    assert_eq!(closes(&ops), [CONN], "closed once");
    conns.answer(CONN, slots[1], reply("b"));
    conns.send(at(0), &mut ops);
    assert!(sent(&ops).is_empty());
    assert_eq!(conns.closed(CONN), [Token(5)]);
    conns.answer(CONN, slots[1], reply("b"));
    assert_eq!((conns.len(), conns.reply_room()), (0, REPLIES_MEMORY));
}

#[test]
fn starved_of_receive_buffers_a_connection_tries_again_after_a_while() {
    let (mut conns, mut ops) = (one(1 << 20), Vec::new());
    conns.disarmed(at(0), CONN, true);
    assert_eq!(conns.deadline(), Some(at(0)), "the first sweep");
    assert!(conns.retry(at(0), &mut ops).is_empty(), "too early");
    assert_eq!(conns.deadline(), Some(at(STARVED_MS)));
    assert!(conns.retry(at(STARVED_MS), &mut ops).contains(&CONN));
    conns.arm(at(STARVED_MS), CONN, &mut ops);
    assert!(matches!(ops[..], [Op::Recv { conn: CONN }]));
}

#[test]
fn a_starved_receive_that_was_to_pause_waits_for_the_pause() {
    let (mut conns, mut ops) = (one(1 << 20), Vec::new());
    conns.received(at(0), CONN, frames(REQUESTS_IN_FLIGHT_MAX));
    take(&mut conns, CONN);
    conns.arm(at(0), CONN, &mut ops);
    conns.disarmed(at(0), CONN, true);
    assert!(conns.retry(at(5), &mut ops).is_empty(), "Paused is still to come");
}

/// Two that hold all the memory with half-sent frames give way, whoever it is that lacks some.
#[test]
fn a_stalled_frame_gives_way_when_memory_is_short() {
    let head = |conns: &mut Conns, ms: u64, conn: ConnId, length: usize| {
        let mut ops = Vec::new();
        conns.accepted(at(ms), conn, &mut ops);
        conns.received(at(ms), conn, bytes(&(length as u32).to_be_bytes()));
        assert!(take(conns, conn).is_empty());
        conns.disarmed(at(ms), conn, false);
        ops.clear();
        conns.arm(at(ms), conn, &mut ops);
        ops
    };
    // Together 1 MiB, of which large frames may have seven eighths.
    let (mut conns, mut ops) = (conns(1 << 20), Vec::new());
    let (stalled, honest) = (ConnId(2), ConnId(9));
    let held = head(&mut conns, 0, stalled, 24 * LARGE_FRAME);
    assert!(matches!(held[..], [Op::RecvExact { .. }]), "{held:?}");
    assert!(head(&mut conns, 10, honest, 5 * LARGE_FRAME).is_empty(), "no memory");
    assert!(conns.retry(at(500), &mut ops).contains(&honest));
    assert!(closes(&ops).is_empty(), "it may still move");
    conns.arm(at(500), honest, &mut ops);
    assert!(conns.retry(at(2_000), &mut ops).contains(&honest));
    assert_eq!(closes(&ops), [stalled]);
    drop(held);
    ops.clear();
    assert!(take(&mut conns, honest).is_empty());
    conns.arm(at(2_000), honest, &mut ops);
    assert!(matches!(ops[..], [Op::RecvExact { .. }]), "{ops:?}");
}

#[test]
fn idle_connections_and_those_that_do_not_read_are_closed_but_not_those_that_wait() {
    let (mut conns, mut ops) = (conns(1 << 20), Vec::new());
    let (idle, waits, deaf, gone) = (ConnId(1), ConnId(2), ConnId(3), ConnId(4));
    for conn in [idle, waits, deaf, gone] {
        conns.accepted(at(0), conn, &mut ops);
    }
    for conn in [waits, deaf] {
        conns.received(at(0), conn, frames(1));
        let slots = take(&mut conns, conn);
        if conn == deaf {
            conns.answer(conn, slots[0], reply("a"));
        }
    }
    conns.send(at(0), &mut ops);
    conns.close(gone, &mut ops);
    ops.clear();
    conns.retry(at(IDLE_MS), &mut ops);
    assert!(closes(&ops).is_empty());
    conns.retry(at(IDLE_MS + 10_001), &mut ops);
    assert_eq!(closes(&ops), [idle, deaf]);
}

/// An answer after a long wait has its own time to be read.
#[test]
fn the_time_to_read_an_answer_begins_when_it_is_sent() {
    let (mut conns, mut ops) = (one(1 << 20), Vec::new());
    conns.received(at(0), CONN, frames(1));
    let slots = take(&mut conns, CONN);
    conns.answer(CONN, slots[0], reply("a"));
    conns.send(at(IDLE_MS * 2), &mut ops);
    conns.retry(at(IDLE_MS * 2 + 1), &mut ops);
    assert!(closes(&ops).is_empty());
}

#[test]
fn draining_takes_nothing_new_and_closes_what_is_answered() {
    let (mut conns, mut ops) = (conns(1 << 20), Vec::new());
    let (quiet, busy) = (ConnId(1), ConnId(2));
    conns.accepted(at(0), quiet, &mut ops);
    conns.accepted(at(0), busy, &mut ops);
    conns.received(at(0), busy, frames(1));
    let slots = take(&mut conns, busy);
    conns.received(at(0), busy, frames(1));
    conns.drain(at(0));
    // Longer than anything that was sent before could take to be read.
    conns.retry(at(300), &mut ops);
    assert_eq!(closes(&ops), [quiet]);
    assert!(take(&mut conns, busy).is_empty());
    conns.answer(busy, slots[0], reply("a"));
    conns.send(at(300), &mut ops);
    conns.sent(at(300), busy);
    conns.retry(at(310), &mut ops);
    assert_eq!((sent(&ops), closes(&ops)), (vec!["a".to_owned()], vec![quiet, busy]));
    assert!(!conns.is_drained());
    conns.closed(quiet);
    conns.closed(busy);
    assert!(conns.is_drained());
}
