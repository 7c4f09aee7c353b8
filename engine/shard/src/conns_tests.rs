use super::patience::{HOPELESS_MS, LOOK_MS, LOOK_PRESSED_MS, PATIENCE_MS, PATIENCE_PRESSED_MS};
use super::*;
use crate::memory::Standstill;
use torc_base::limits::{LARGE_FRAME, PAGE, PIECE_BYTES_MAX, START_BYTES};

const CONN: ConnId = ConnId(7);
const IDLE_MS: u64 = 60_000;

fn at(ms: u64) -> Mono {
    Mono(ms * 1_000_000)
}

fn origin(listener: u8) -> Origin {
    Origin { listener: ListenerId(listener), protocol: Protocol::Kafka, peer: ([10, 0, 0, 9], 40_000).into() }
}

fn conns(frames: usize) -> Conns {
    let limits = MemoryLimits { frames, ..MemoryLimits::default() };
    Conns::new(frames / 2, IDLE_MS, 0, limits, Pool::new(usize::MAX, 0))
}

/// One connection, accepted at the start.
fn one(memory: usize) -> Conns {
    let (mut conns, mut ops) = (conns(memory), Vec::new());
    conns.accepted(at(0), CONN, origin(0), &mut ops);
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

fn reply(text: &str) -> Vec<Piece> {
    vec![Piece::Bytes(Buf::copy_of(text.as_bytes()))]
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
    while let Some((_, frame)) = conns.next_frame(Mono(0), conn).expect("good lengths") {
        slots.push(conns.open_slot(Mono(0), conn, 0, frame.len()));
    }
    slots
}

#[test]
fn answers_leave_in_the_order_of_requests() {
    let (mut conns, mut ops) = (one(1 << 20), Vec::new());
    conns.received(at(0), CONN, frames(4));
    let slots = take(&mut conns, CONN);
    conns.answer(CONN, slots[2], reply("c"), Path::Other);
    conns.answer(CONN, slots[1], Vec::new(), Path::Other);
    conns.send(at(0), &mut ops);
    assert!(ops.is_empty(), "the first request has no answer yet");
    conns.answer(CONN, slots[0], reply("a"), Path::Other);
    conns.send(at(0), &mut ops);
    assert_eq!(sent(&ops), ["a", "c"]);
    conns.answer(CONN, slots[3], reply("d"), Path::Other);
    ops.clear();
    conns.send(at(0), &mut ops);
    assert!(ops.is_empty(), "one send at a time");
    conns.sent(at(0), CONN);
    conns.send(at(0), &mut ops);
    assert_eq!(sent(&ops), ["d"]);
    conns.sent(at(0), CONN);
    assert_eq!(conns.answers_used(), 0);
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
    conns.disarmed(CONN, false);
    ops.clear();
    conns.arm(at(0), CONN, &mut ops);
    assert!(ops.is_empty(), "nothing is received while there is no room");
    conns.answer(CONN, slots[0], reply("a"), Path::Other);
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
        conns.answer(CONN, slot, Vec::new(), Path::Other);
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
    conns.answer(CONN, slots[0], reply("a"), Path::Other);
    conns.send(at(0), &mut ops);
    conns.sent(at(0), CONN);
    assert_eq!(take(&mut conns, CONN).len(), 1);
    // An answer of the largest size that may wait.
    conns.received(at(0), CONN, frames(1));
    conns.answer(CONN, slots[1], vec![Piece::Bytes(Buf::copy_of(&vec![b'x'; REPLY_BYTES_MAX]))], Path::Other);
    conns.send(at(0), &mut ops);
    assert_eq!(conns.answers_used(), REPLY_BYTES_MAX);
    assert!(take(&mut conns, CONN).is_empty());
    conns.sent(at(0), CONN);
    assert_eq!(take(&mut conns, CONN).len(), 1);
    assert_eq!(conns.answers_used(), 0);
}

#[test]
fn after_the_peers_end_all_that_it_sent_is_served_and_then_closed() {
    let (mut conns, mut ops) = (one(1 << 20), Vec::new());
    conns.received(at(0), CONN, frames(REQUESTS_IN_FLIGHT_MAX + 5));
    let slots = take(&mut conns, CONN);
    conns.eof(at(0), CONN, &mut ops);
    slots.into_iter().for_each(|slot| conns.answer(CONN, slot, reply("a"), Path::Other));
    conns.send(at(0), &mut ops);
    conns.sent(at(0), CONN);
    assert!(closes(&ops).is_empty(), "5 requests are left");
    let rest = take(&mut conns, CONN);
    assert_eq!(rest.len(), 5);
    conns.arm(at(0), CONN, &mut ops);
    rest.into_iter().for_each(|slot| conns.answer(CONN, slot, Vec::new(), Path::Other));
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
    conns.add_token(CONN, Token(4));
    conns.add_token(CONN, Token(5));
    conns.remove_token(CONN, Token(4));
    conns.answer(CONN, slots[0], reply("a"), Path::Other);
    conns.close(CONN, &mut ops);
    conns.close(CONN, &mut ops);
    assert_eq!(closes(&ops), [CONN], "closed once");
    conns.answer(CONN, slots[1], reply("b"), Path::Other);
    conns.send(at(0), &mut ops);
    assert!(sent(&ops).is_empty());
    assert_eq!(conns.closed(CONN, |_| 0), [Token(5)]);
    conns.answer(CONN, slots[1], reply("b"), Path::Other);
    assert_eq!((conns.len(), conns.answers_used(), conns.frames_used()), (0, 0, 0));
}

/// The exact receive that is armed now.
fn exact(conns: &mut Conns) -> (BufMut, usize) {
    let mut ops = Vec::new();
    conns.arm(at(0), CONN, &mut ops);
    match ops.pop() {
        Some(Op::RecvExact { conn: CONN, bytes, from }) => (bytes, from),
        op => panic!("{op:?}"),
    }
}

/// Receives a frame exactly, first its length: the frame.
fn fill(conns: &mut Conns, frame: &[u8]) -> BufMut {
    let (mut head, 0) = exact(conns) else { panic!("nothing of it is there") };
    head.copy_from_slice(&(frame.len() as u32).to_be_bytes());
    assert!(conns.filled(at(0), CONN, head).expect("a good length").is_none());
    let (mut body, 0) = exact(conns) else { panic!("nothing of it is there") };
    body.copy_from_slice(frame);
    conns.filled(at(0), CONN, body).expect("a good length").expect("the frame").1
}

#[test]
fn without_a_shared_buffer_a_connection_goes_on_at_once_in_memory_of_its_own() {
    let (mut conns, mut ops) = (one(1 << 20), Vec::new());
    // In the middle of a length.
    conns.received(at(0), CONN, bytes(&[0, 0]));
    assert!(take(&mut conns, CONN).is_empty());
    conns.disarmed(CONN, true);
    let (mut head, 2) = exact(&mut conns) else { panic!("half of the length is there") };
    head[2..].copy_from_slice(&[0, 3]);
    assert!(conns.filled(at(0), CONN, head).expect("a good length").is_none());
    let (mut body, 0) = exact(&mut conns) else { panic!("nothing of it is there") };
    body.copy_from_slice(b"abc");
    assert_eq!(&conns.filled(at(0), CONN, body).expect("a good length").expect("the frame").1[..], b"abc");
    let slot = conns.open_slot(at(0), CONN, 0, 3);
    assert_eq!(conns.frames_used(), PAGE, "it is counted, as what it takes");
    conns.answer(CONN, slot, Vec::new(), Path::Other);
    // After some small ones it sees whether there are buffers again.
    let mut small = 1;
    loop {
        conns.arm(at(0), CONN, &mut ops);
        match ops.pop() {
            Some(Op::Recv { conn: CONN }) => break,
            Some(Op::RecvExact { mut bytes, .. }) => {
                bytes.fill(0);
                conns.filled(at(0), CONN, bytes).expect("a good length").expect("a frame without a byte");
                let slot = conns.open_slot(at(0), CONN, 0, 0);
                conns.answer(CONN, slot, Vec::new(), Path::Other);
                small += 1;
            }
            op => panic!("{op:?}"),
        }
    }
    assert!((4..20).contains(&small), "{small}");
    conns.disarmed(CONN, true);
    exact(&mut conns);
}

#[test]
fn a_starved_receive_that_was_to_pause_waits_for_the_pause() {
    let (mut conns, mut ops) = (one(1 << 20), Vec::new());
    conns.received(at(0), CONN, frames(REQUESTS_IN_FLIGHT_MAX));
    let slots = take(&mut conns, CONN);
    conns.arm(at(0), CONN, &mut ops);
    assert!(matches!(ops[..], [Op::Pause { conn: CONN }]));
    conns.disarmed(CONN, true);
    slots.into_iter().for_each(|slot| conns.answer(CONN, slot, Vec::new(), Path::Other));
    conns.send(at(0), &mut ops);
    ops.clear();
    conns.arm(at(0), CONN, &mut ops);
    assert!(ops.is_empty(), "Paused is still to come: {ops:?}");
    conns.disarmed(CONN, false);
    conns.arm(at(0), CONN, &mut ops);
    assert!(matches!(ops[..], [Op::Recv { conn: CONN }]));
}

/// Begins a frame that is received exactly; the receive, if there is memory for the frame.
fn begin(conns: &mut Conns, now: Mono, conn: ConnId, length: usize) -> Option<(BufMut, usize)> {
    let mut ops = Vec::new();
    conns.accepted(now, conn, origin(0), &mut ops);
    conns.received(now, conn, bytes(&[&(length as u32).to_be_bytes()[..], &[1]].concat()));
    assert!(conns.next_frame(now, conn).expect("a good length").is_none());
    conns.disarmed(conn, false);
    conns.arm(now, conn, &mut ops);
    match ops.pop() {
        Some(Op::RecvExact { bytes, from, .. }) => Some((bytes, from)),
        _ => None,
    }
}

/// Memory for requests of which stalled ones hold all that is given to those of whom nothing is known.
fn stuffed() -> (Conns, Vec<(ConnId, BufMut)>) {
    let mut conns = conns(64 * LARGE_FRAME);
    let mut held = Vec::new();
    while let Some((bytes, _)) = begin(&mut conns, at(0), ConnId(100 + held.len() as u64), LARGE_FRAME) {
        held.push((ConnId(100 + held.len() as u64), bytes));
    }
    assert!(held.len() > 30, "{} frames in memory for 64", held.len());
    // The last one waits, and so does this.
    assert!(begin(&mut conns, at(0), CONN, LARGE_FRAME).is_none());
    (conns, held)
}

#[test]
fn a_frame_that_moves_on_is_not_cut_off_however_slow_it_is() {
    let (mut conns, mut held) = stuffed();
    for second in 1..15 {
        let mut ops = Vec::new();
        conns.retry(at(second * 1_000 + 1), &mut ops);
        assert!(closes(&ops).is_empty(), "after {second} s");
        for op in ops {
            let Op::Pause { conn } = op else { panic!("{op:?}") };
            let (_, bytes) = held.iter_mut().find(|(id, _)| *id == conn).expect("one that has memory");
            let bytes = std::mem::replace(bytes, self::bytes(b""));
            let mut again = Vec::new();
            // One byte more has come.
            conns.halted(at(second * 1_000 + 2), conn, bytes, 1 + second as usize);
            conns.arm(at(second * 1_000 + 2), conn, &mut again);
            let Some(Op::RecvExact { bytes, from, .. }) = again.pop() else { panic!("it goes on") };
            assert_eq!(from, 1 + second as usize);
            held.iter_mut().find(|(id, _)| *id == conn).expect("as above").1 = bytes;
        }
    }
}

#[test]
fn a_frame_that_stands_still_gives_way_to_those_that_wait() {
    let (mut conns, mut held) = stuffed();
    let mut closed = Vec::new();
    for half_second in 1..12 {
        let (now, mut ops) = (at(half_second * 500 + 1), Vec::new());
        conns.retry(now, &mut ops);
        closed.extend(closes(&ops));
        for op in ops {
            let Op::Pause { conn } = op else { continue };
            let place = held.iter().position(|(id, _)| *id == conn).expect("one that has memory");
            let (_, bytes) = held.swap_remove(place);
            let mut again = Vec::new();
            conns.halted(now, conn, bytes, 1);
            conns.arm(now, conn, &mut again);
            let Some(Op::RecvExact { bytes, .. }) = again.pop() else { panic!("it goes on") };
            held.push((conn, bytes));
        }
    }
    assert_eq!(closed.len(), held.len(), "all of them, after five seconds");
    for conn in closed {
        conns.closed(conn, |_| 0);
    }
    assert!(conns.retry(at(6_001), &mut Vec::new()).contains(&CONN));
    assert!(conns.next_frame(at(6_001), CONN).expect("a good length").is_none());
    let mut ops = Vec::new();
    conns.arm(at(6_001), CONN, &mut ops);
    assert!(matches!(ops[..], [Op::RecvExact { conn: CONN, .. }]), "{ops:?}");
}

#[test]
fn memory_of_requests_stays_taken_while_others_hold_them() {
    let mut conns = one(1 << 20);
    conns.received(at(0), CONN, frames(3));
    take(&mut conns, CONN);
    conns.add_token(CONN, Token(1));
    assert_eq!(conns.frames_used(), 3);
    assert_eq!(conns.closed(CONN, |tokens| tokens.len()), [Token(1)]);
    assert_eq!(conns.frames_used(), 1, "the log still has one of them");
    conns.give(1);
    assert_eq!(conns.frames_used(), 0);
}

#[test]
fn idle_connections_and_those_that_do_not_read_are_closed_but_not_those_that_wait() {
    let (mut conns, mut ops) = (conns(1 << 20), Vec::new());
    let (idle, waits, deaf, gone) = (ConnId(1), ConnId(2), ConnId(3), ConnId(4));
    for conn in [idle, waits, deaf, gone] {
        conns.accepted(at(0), conn, origin(0), &mut ops);
    }
    for conn in [waits, deaf] {
        conns.received(at(0), conn, frames(1));
        let slots = take(&mut conns, conn);
        if conn == deaf {
            conns.answer(conn, slots[0], reply("a"), Path::Other);
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
    conns.answer(CONN, slots[0], reply("a"), Path::Other);
    conns.send(at(IDLE_MS * 2), &mut ops);
    conns.retry(at(IDLE_MS * 2 + 1), &mut ops);
    assert!(closes(&ops).is_empty());
}

/// Connections of which one is open.
fn open() -> (Conns, Vec<Op<Mail>>) {
    (one(1 << 20), Vec::new())
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
    let (mut conns, _) = open();
    conns.drain(at(1000));
    assert!(!turn(&mut conns, 1000), "its socket may hold requests");
    // The stop and these bytes were on their way at the same time.
    conns.received(at(1002), CONN, bytes(&[0, 0, 0, 3, 1, 2, 3, 0, 0]));
    let frame = conns.next_frame(Mono(0), CONN).expect("a good length").expect("a whole frame").1;
    assert_eq!(&frame[..], [1, 2, 3]);
    let slot = conns.open_slot(Mono(0), CONN, 0, 1);
    assert!(conns.next_frame(Mono(0), CONN).expect("no length yet").is_none());
    assert!(!turn(&mut conns, 1100), "it is owed an answer");
    conns.answer(CONN, slot, reply("done"), Path::Other);
    assert!(!turn(&mut conns, 1101), "the answer is being sent");
    conns.sent(at(1102), CONN);
    assert!(!turn(&mut conns, 1150), "half a frame has come, the rest of it may follow");
    conns.received(at(1151), CONN, bytes(&[0, 0]));
    assert_eq!(conns.next_frame(Mono(0), CONN).expect("a good length").expect("an empty frame").1.len(), 0);
    assert!(conns.next_frame(Mono(0), CONN).expect("nothing").is_none());
    let slot = conns.open_slot(Mono(0), CONN, 0, 1);
    conns.answer(CONN, slot, Vec::new(), Path::Other);
    assert!(!turn(&mut conns, 1160), "it was not silent for long");
    assert!(turn(&mut conns, 1180));
    assert!(!conns.is_drained());
    conns.closed(CONN, |_| 0);
    assert!(conns.is_drained());
}

#[test]
fn a_client_that_never_falls_silent_does_not_hold_up_a_stop() {
    let (mut conns, _) = open();
    conns.drain(at(0));
    for ms in (0..250).step_by(5) {
        conns.received(at(ms), CONN, bytes(&[0, 0, 0, 0]));
        assert!(conns.next_frame(Mono(0), CONN).expect("a good length").is_some());
        assert!(!turn(&mut conns, ms));
    }
    conns.received(at(250), CONN, bytes(&[0, 0, 0, 0]));
    assert!(turn(&mut conns, 251));
    assert!(conns.next_frame(Mono(0), CONN).expect("not looked at").is_none());
    assert!(!conns.reads());
}

#[test]
fn those_who_read_all_they_can_leave_room_to_who_asks_for_little() {
    let mut conns = conns(1 << 20);
    let (limit, new) = (conns.answers().limit(), CONN);
    conns.accepted(at(0), new, origin(0), &mut Vec::new());
    let share = conns.share_of_answers(new);
    assert_eq!(share, START_BYTES, "nobody knows whether it reads");
    conns.conns.get_mut(&new).expect("it is there").taken = limit;
    let share = conns.share_of_answers(new);
    assert!(share >= limit / 8, "while nobody else reads there is enough for one: {share} of {limit}");
    // So many fetches that are being answered.
    for _ in 0..40 {
        let share = conns.share_of_answers(new);
        conns.answers().take(share);
    }
    let share = conns.share_of_answers(new);
    assert!(share >= PIECE_BYTES_MAX, "the next one has a piece at once: {share}");
    assert!(!conns.are_answers_nearly_out(), "what is mostly short does not wait for them");
    for _ in 0..400 {
        let share = conns.share_of_answers(new);
        conns.answers().take(share);
    }
    assert!(conns.has_room_for_short(new), "ten times as many, and what is short does not wait");
    let used = conns.answers().used();
    conns.answers().give(used);
    let (mut standstill, mut ops) = (Standstill::default(), Vec::new());
    standstill.note(at(0), true);
    conns.note_stuck(standstill);
    conns.retry(at(1), &mut ops);
    assert_eq!(conns.share_of_answers(new), PIECE_BYTES_MAX, "while a list waits nobody gets more than a piece");
    conns.retry(at(2), &mut ops);
    assert!(conns.share_of_answers(new) > PIECE_BYTES_MAX);
}

#[test]
fn a_turn_at_whose_end_a_short_answer_leaves_sends_little_else() {
    let mut conns = conns(1 << 20);
    let ask = |conns: &mut Conns, number: u64| {
        conns.accepted(at(0), ConnId(number), origin(0), &mut Vec::new());
        conns.received(at(0), ConnId(number), frames(1));
        take(conns, ConnId(number))[0]
    };
    for number in 0..40 {
        let slot = ask(&mut conns, number);
        conns.answer(ConnId(number), slot, reply(&"x".repeat(2 * PIECE_BYTES_MIN)), Path::Other);
    }
    let turn = |conns: &mut Conns| {
        let mut ops = Vec::new();
        conns.send(at(0), &mut ops);
        sent(&ops).iter().map(String::len).sum::<usize>()
    };
    // Somebody has come.
    let come = turn(&mut conns);
    let slot = ask(&mut conns, 40);
    conns.allowance.begin_turn();
    let other = turn(&mut conns);
    conns.answer(ConnId(40), slot, reply("short"), Path::Other);
    let short = turn(&mut conns);
    assert_eq!(other, TURN_SEND_BYTES);
    assert!([come, short].iter().all(|sent| (2 * PIECE_BYTES_MIN..other * 2 / 3).contains(sent)), "{come} and {short}");
}

#[test]
fn many_short_answers_of_who_has_used_much_take_turns_as_well() {
    const GREEDY: u64 = 40;
    let (mut conns, mut ops) = (conns(1 << 20), Vec::new());
    for number in 0..=GREEDY {
        conns.accepted(at(0), ConnId(number), origin(0), &mut ops);
        conns.received(at(0), ConnId(number), frames(1));
        let slot = take(&mut conns, ConnId(number))[0];
        if number < GREEDY {
            conns.charge(ConnId(number), 1_000);
        }
        conns.answer(ConnId(number), slot, reply(&"x".repeat(PIECE_BYTES_MIN)), Path::Other);
    }
    let mut order = Vec::new();
    while order.len() as u64 <= GREEDY {
        ops.clear();
        conns.send(at(0), &mut ops);
        let now: Vec<u64> =
            ops.iter().filter_map(|op| if let Op::Send { conn, .. } = op { Some(conn.get()) } else { None }).collect();
        assert!(!now.is_empty() && now.len() * PIECE_BYTES_MIN <= 2 * TURN_SEND_BYTES, "{now:?} in one turn");
        assert!(!order.is_empty() || now.contains(&GREEDY), "who has used little does not wait: {now:?}");
        order.extend(now);
    }
    order.sort_unstable();
    assert_eq!(order, (0..=GREEDY).collect::<Vec<_>>(), "each once");
}

#[test]
fn long_answers_take_turns_and_short_ones_do_not_wait_for_them() {
    let (mut conns, mut ops) = (conns(1 << 20), Vec::new());
    for number in 0..20 {
        conns.accepted(at(0), ConnId(number), origin(0), &mut ops);
        conns.received(at(0), ConnId(number), frames(1));
        let slot = take(&mut conns, ConnId(number))[0];
        let text = if number == 19 { "short".into() } else { "x".repeat(TURN_SEND_BYTES / 2) };
        conns.answer(ConnId(number), slot, reply(&text), Path::Other);
    }
    conns.retry(at(0), &mut ops);
    // In those that follow nobody is in a hurry.
    conns.allowance.begin_turn();
    let mut order = Vec::new();
    while order.len() < 20 {
        ops.clear();
        conns.send(at(0), &mut ops);
        let sends = ops.iter().filter_map(|op| match op {
            Op::Send { conn, parts } => Some((conn.get(), parts.iter().map(|part| part.len()).sum::<usize>())),
            _ => None,
        });
        let sends: Vec<_> = sends.collect();
        assert!(!sends.is_empty(), "what waits for its turn gets one: {order:?}");
        let long: usize = sends.iter().map(|(_, bytes)| bytes).filter(|bytes| **bytes > PIECE_BYTES_MIN).sum();
        assert!(long <= TURN_SEND_BYTES, "{long} bytes in one turn");
        order.extend(sends.iter().map(|(conn, _)| *conn));
        let waits = order.len() < 20;
        assert_eq!(conns.deadline() == Some(Mono(0)), waits, "the next turn comes at once");
        if order.len() == 3 {
            // Who goes loses its place.
            conns.closed(ConnId(2), |_| 0);
            order.push(2);
        }
    }
    let expected: Vec<u64> = [19, 0, 1, 2].into_iter().chain(3..19).collect();
    assert_eq!(order, expected);
}

#[test]
fn requests_behind_a_half_closed_connection_are_all_taken() {
    let (mut conns, mut ops) = open();
    conns.received(at(1), CONN, bytes(&[0, 0, 0, 0, 0, 0, 0, 0]));
    assert!(conns.next_frame(Mono(0), CONN).expect("a good length").is_some());
    conns.eof(at(2), CONN, &mut ops);
    assert!(ops.is_empty(), "a second request has come before the end");
    assert!(conns.next_frame(Mono(0), CONN).expect("a good length").is_some());
    assert!(conns.next_frame(Mono(0), CONN).expect("nothing").is_none());
    conns.arm(at(3), CONN, &mut ops);
    assert!(matches!(ops[..], [Op::Close { conn: CONN }]));
}

#[test]
fn who_finds_no_memory_for_a_large_frame_does_not_keep_small_ones_waiting() {
    let (mut conns, _) = stuffed();
    let small = ConnId(8);
    conns.accepted(at(2), small, origin(0), &mut Vec::new());
    // Not even where there is none at all.
    let rest = conns.turns.budget().free();
    conns.turns.take(rest);
    conns.received(at(2), small, bytes(&100u32.to_be_bytes()));
    conns.received(at(2), small, bytes(&[1; 100]));
    let frame = conns.next_frame(at(2), small).expect("a good length").expect("a small one is taken").1;
    assert_eq!(frame.len(), 100);
}

#[test]
fn all_that_wait_for_memory_get_their_turn() {
    let mut conns = conns(64 * LARGE_FRAME);
    let all = conns.turns.budget().limit();
    conns.turns.take(all);
    let mut ops = Vec::new();
    let waiting = 200;
    for conn in (0..waiting).map(ConnId) {
        conns.accepted(at(0), conn, origin(0), &mut ops);
        conns.received(at(0), conn, bytes(&[0, 0, 16, 9]));
        assert!(conns.next_frame(at(0), conn).expect("a good length").is_none());
        conns.disarmed(conn, false);
        conns.arm(at(0), conn, &mut ops);
    }
    assert!(conns.retry(at(1), &mut ops).is_empty(), "nobody tries in vain");
    conns.turns.give(all);
    let mut served = 0;
    for conn in conns.retry(at(10), &mut ops) {
        conns.received(at(10), conn, bytes(&[1; 4096 + 9]));
        served += usize::from(conns.next_frame(at(10), conn).expect("a good length").is_some());
    }
    assert_eq!(served, waiting as usize);
}

/// A connection whose client is being sent an answer; what was given to its socket.
fn answering(answer: &str) -> (Conns, Vec<Op<Mail>>, Vec<Buf>) {
    let (mut conns, mut ops) = open();
    conns.received(at(0), CONN, frames(1));
    let slots = take(&mut conns, CONN);
    conns.answer(CONN, slots[0], reply(answer), Path::Other);
    conns.send(at(0), &mut ops);
    let Some(Op::Send { parts, .. }) = ops.pop() else { panic!("{ops:?}") };
    (conns, Vec::new(), parts)
}

#[test]
fn what_a_client_does_not_read_is_taken_back_after_a_while() {
    let (mut conns, mut ops, parts) = answering("an answer");
    conns.retry(at(PATIENCE_MS - 1), &mut ops);
    assert!(ops.is_empty());
    let due = conns.deadline().expect("somebody has to look");
    assert!(due <= at(PATIENCE_MS + LOOK_MS));
    conns.retry(at(PATIENCE_MS + LOOK_MS), &mut ops);
    assert!(matches!(ops[..], [Op::TakeBack { conn: CONN }]), "{ops:?}");
    ops.clear();
    conns.taken_back(at(5_600), CONN, &parts, 3, &mut ops);
    assert!(matches!(ops[..], [Op::AwaitRoom { conn: CONN }]), "{ops:?}");
    conns.room(at(9_000), CONN);
    ops.clear();
    conns.send(at(9_000), &mut ops);
    assert_eq!(sent(&ops), ["answer"]);
    assert_eq!(conns.answers_used(), 6);
    conns.sent(at(9_000), CONN);
    assert_eq!(conns.answers_used(), 0);
}

#[test]
fn while_memory_is_short_patience_is_short_and_who_never_reads_is_closed() {
    let (mut conns, mut ops, parts) = answering(&"x".repeat(2 * PIECE_BYTES_MIN));
    conns.press(true);
    conns.retry(at(PATIENCE_PRESSED_MS + LOOK_PRESSED_MS), &mut ops);
    assert!(matches!(ops[..], [Op::TakeBack { conn: CONN }]), "{ops:?}");
    conns.taken_back(at(200), CONN, &parts, 0, &mut ops);
    ops.clear();
    conns.retry(at(4_000), &mut ops);
    assert!(closes(&ops).is_empty());
    conns.retry(at(5_100), &mut ops);
    assert_eq!(closes(&ops), [CONN]);
}

/// One that takes a little now and then moves, and holds what others wait for all the same.
#[test]
fn who_takes_a_long_answer_little_by_little_gives_way_when_others_have_waited_for_long() {
    let (mut conns, mut ops, mut parts) = answering(&"x".repeat(8 * PIECE_BYTES_MIN));
    conns.press(true);
    let (mut closed_at, mut wanted_since) = (None, None);
    for ms in (0..HOPELESS_MS + 30_000).step_by(500) {
        // Somebody waits from the tenth second on, and nobody is granted anything.
        if ms >= 10_000 {
            let mut standstill = Standstill::default();
            standstill.note(at(*wanted_since.get_or_insert(ms)), true);
            conns.note_stuck(standstill);
        }
        ops.clear();
        conns.retry(at(ms), &mut ops);
        if !closes(&ops).is_empty() {
            closed_at = Some(ms);
            break;
        }
        if matches!(ops[..], [Op::TakeBack { .. }]) {
            conns.taken_back(at(ms), CONN, &parts, 1, &mut ops);
            conns.room(at(ms), CONN);
            ops.clear();
            conns.send(at(ms), &mut ops);
            let Some(Op::Send { parts: rest, .. }) = ops.pop() else { panic!("{ops:?}") };
            parts = rest;
        }
    }
    let waited = closed_at.expect("it gives way") - wanted_since.expect("somebody waited");
    assert!((HOPELESS_MS..HOPELESS_MS + 1_000).contains(&waited), "{waited} ms");
}

/// While a request is answered whose answer may be long no other one is taken; that the client ends is seen all the same.
#[test]
fn what_is_asked_for_behind_a_long_answer_waits_and_the_clients_end_is_seen() {
    let (mut conns, mut ops) = open();
    ops.clear();
    conns.received(at(0), CONN, frames(1));
    let frame = conns.next_frame(at(0), CONN).expect("a good length").expect("a frame").1;
    let slot = conns.open_slot(at(0), CONN, 3, frame.len());
    conns.take_alone(CONN, slot);
    conns.arm(at(0), CONN, &mut ops);
    assert!(ops.is_empty(), "it goes on receiving: {ops:?}");
    conns.received(at(1), CONN, frames(1));
    assert!(conns.next_frame(at(1), CONN).expect("a good length").is_none());
    conns.arm(at(1), CONN, &mut ops);
    assert!(matches!(ops[..], [Op::Pause { conn: CONN }]), "no more than that: {ops:?}");
    conns.answer(CONN, slot, reply("long"), Path::Other);
    assert!(conns.next_frame(at(2), CONN).expect("a good length").is_some());
}

/// The same of one that receives exactly: what comes behind is a length, and waits as it came.
#[test]
fn a_length_that_comes_behind_a_long_answer_waits_for_it() {
    for next in [&b"again"[..], b""] {
        let mut conns = one(1 << 20);
        conns.disarmed(CONN, true);
        let frame = fill(&mut conns, b"a list");
        let slot = conns.open_slot(at(0), CONN, 3, frame.len());
        conns.take_alone(CONN, slot);
        let used = conns.frames_used();
        let (mut head, 0) = exact(&mut conns) else { panic!("nothing of it is there") };
        head.copy_from_slice(&(next.len() as u32).to_be_bytes());
        assert!(conns.filled(at(0), CONN, head).expect("not looked at").is_none());
        assert_eq!(conns.frames_used(), used, "it holds no memory for the next one");
        let mut ops = Vec::new();
        conns.arm(at(0), CONN, &mut ops);
        assert!(ops.is_empty() && take(&mut conns, CONN).is_empty(), "no more than that: {ops:?}");
        conns.answer(CONN, slot, reply("long"), Path::Other);
        let whole = conns.next_frame(at(1), CONN).expect("a good length").map(|(_, frame)| frame);
        let whole = whole.unwrap_or_else(|| {
            let (mut body, 0) = exact(&mut conns) else { panic!("nothing of it is there") };
            body.copy_from_slice(next);
            conns.filled(at(1), CONN, body).expect("a good length").expect("the frame").1
        });
        assert_eq!(&whole[..], next);
    }
}

#[test]
fn a_connection_keeps_its_listener_and_its_protocol_when_it_moves() {
    let limits = MemoryLimits::default();
    let conns = || Conns::new(1 << 20, IDLE_MS, 1, limits, Pool::new(usize::MAX, 0));
    let (mut here, mut there, mut ops) = (conns(), conns(), Vec::new());
    here.accepted(at(0), CONN, origin(3), &mut ops);
    assert_eq!((here.protocol(CONN), here.listener(CONN)), (Some(Protocol::Kafka), ListenerId(3)));
    here.note_owner(CONN, Some(ShardId(1)));
    here.arm(at(1), CONN, &mut ops);
    here.disarmed(CONN, false);
    ops.clear();
    here.arm(at(1), CONN, &mut ops);
    let Some(Op::HandOver { with: Mail::Moving(moving), .. }) = ops.pop() else { panic!("it moves: {ops:?}") };
    assert_eq!(here.protocol(CONN), None, "it is not here any more");
    there.adopted(at(2), CONN, *moving);
    assert_eq!((there.protocol(CONN), there.listener(CONN)), (Some(Protocol::Kafka), ListenerId(3)));
    assert_eq!((there.peer(CONN), here.peer(CONN)), (Some(origin(3).peer), None));
    // A frame comes with the protocol in which it is to be read.
    there.received(at(3), CONN, bytes(&[0, 0, 0, 1, 9]));
    let (protocol, frame) = there.next_frame(at(3), CONN).expect("a good length").expect("a whole frame");
    assert_eq!((protocol, &frame[..]), (Protocol::Kafka, &[9][..]));
    there.open_slot(at(3), CONN, 0, 1);
    there.received(at(4), CONN, bytes(&[255; 4]));
    let (protocol, bad) = there.next_frame(at(4), CONN).expect_err("no such length");
    assert_eq!((protocol, bad), (Protocol::Kafka, BadLength(-1)));
}
