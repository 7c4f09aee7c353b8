use super::*;

const MAX: usize = 1 << 20;

fn pool() -> Pool {
    Pool::new(usize::MAX, 0)
}

fn buf(bytes: &[u8]) -> BufMut {
    let mut buf = pool().take(bytes.len()).expect("no limit");
    buf.copy_from_slice(bytes);
    buf
}

/// Memory for frames, of one connection.
struct Memory {
    turns: Turns,
    pool: Pool,
    reserved: usize,
}

impl Memory {
    fn new(limit: usize) -> Memory {
        Memory { turns: Turns::new(limit, limit / 2), pool: pool(), reserved: 0 }
    }

    fn lender(&mut self) -> Lender<'_> {
        let Memory { turns, pool, reserved } = self;
        Lender { now: Mono(0), conn: ConnId(1), pace: Pace::default(), turns, pool, reserved, is_first: false }
    }
}

fn plenty() -> Memory {
    Memory::new(1 << 30)
}

/// Frames of these lengths, each filled with its number, as they come on the wire.
fn wire(lengths: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, &length) in lengths.iter().enumerate() {
        out.extend((length as u32).to_be_bytes());
        out.resize(out.len() + length, n as u8);
    }
    out
}

/// Delivers `bytes` as a connection does, in pieces into shared buffers and exactly where that is wanted; the frames,
/// and how many bytes were received exactly.
fn deliver(frames: &mut Frames, memory: &mut Memory, mut bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, usize) {
    let (mut out, mut exactly) = (Vec::new(), 0);
    loop {
        while let Some(frame) = frames.pop(&mut memory.lender()).expect("good lengths") {
            out.push(frame.to_vec());
        }
        if bytes.is_empty() {
            return (out, exactly);
        }
        match frames.want(&memory.pool) {
            Want::Any => {
                let (head, rest) = bytes.split_at(piece.min(bytes.len()));
                frames.push(Mono(0), buf(head));
                bytes = rest;
            }
            Want::Exact(mut into, at) => {
                let (head, rest) = bytes.split_at(into.len() - at);
                into[at..].copy_from_slice(head);
                exactly += head.len();
                bytes = rest;
                if let Some(frame) = frames.filled(into, &mut memory.lender()).expect("good lengths") {
                    out.push(frame.to_vec());
                }
            }
            Want::Memory => panic!("there is memory"),
        }
    }
}

#[test]
fn frames_are_the_same_however_they_are_cut() {
    let mut lengths = vec![5, 0, 1, 4, 100, LARGE_FRAME - 1, 3, LARGE_FRAME, 7, 200_000, 0];
    lengths.extend([1; 20]);
    let bytes = wire(&lengths);
    for piece in [1, 2, 3, 5, 7, 64, 4096, 16 << 10, bytes.len()] {
        let (got, _) = deliver(&mut Frames::new(MAX), &mut plenty(), &bytes, piece);
        assert_eq!(got.len(), lengths.len(), "pieces of {piece}");
        for (n, (frame, &length)) in got.iter().zip(&lengths).enumerate() {
            assert!(frame.len() == length && frame.iter().all(|b| *b == n as u8), "frame {n}, pieces of {piece}");
        }
    }
}

#[test]
fn a_large_frame_is_received_exactly_and_small_ones_switch_back() {
    let mut frames = Frames::new(MAX);
    let (_, exactly) = deliver(&mut frames, &mut plenty(), &wire(&[500_000]), 16 << 10);
    assert!(exactly > 450_000, "all but what had come before its length was known: {exactly}");
    assert!(frames.wants_exact());
    for n in 0..SMALL_AGAIN {
        assert!(frames.wants_exact(), "after {n} small frames");
        deliver(&mut frames, &mut plenty(), &wire(&[10]), 100);
    }
    assert!(!frames.wants_exact());
}

#[test]
fn a_whole_frame_is_a_slice_and_takes_no_memory() {
    let mut memory = plenty();
    let mut frames = Frames::new(MAX);
    frames.push(Mono(0), buf(&wire(&[300, 20])));
    assert_eq!(frames.pop(&mut memory.lender()).unwrap().expect("whole").len(), 300);
    assert_eq!(frames.pop(&mut memory.lender()).unwrap().expect("whole").len(), 20);
    assert!(frames.pop(&mut memory.lender()).unwrap().is_none() && !frames.is_partial());
    assert_eq!((memory.reserved, memory.turns.budget().used()), (0, 0));
}

#[test]
fn without_memory_a_frame_waits_and_nothing_is_lost() {
    let mut memory = Memory::new(8192);
    let mut frames = Frames::new(MAX);
    let bytes = wire(&[6000, 50]);
    frames.push(Mono(0), buf(&bytes[..100]));
    memory.turns.take(8000);
    assert!(frames.pop(&mut memory.lender()).unwrap().is_none());
    assert!(frames.is_starved() && frames.is_partial());
    assert!(matches!(frames.want(&memory.pool), Want::Memory));
    // More may come before the receive has stopped.
    frames.push(Mono(0), buf(&bytes[100..]));
    assert!(frames.pop(&mut memory.lender()).unwrap().is_none());
    memory.turns.give(8000);
    assert_eq!(memory.turns.next(Mono(0)), Some(ConnId(1)));
    assert_eq!(frames.pop(&mut memory.lender()).unwrap().expect("whole").len(), 6000);
    assert_eq!(frames.pop(&mut memory.lender()).unwrap().expect("whole").len(), 50);
    assert!(!frames.is_starved() && !frames.is_partial());
}

#[test]
fn lengths_out_of_bounds_are_refused_wherever_they_come() {
    for length in [-1, i32::MIN, MAX as i32 + 1, i32::MAX] {
        let mut frames = Frames::new(MAX);
        frames.push(Mono(0), buf(&length.to_be_bytes()));
        assert_eq!(frames.pop(&mut plenty().lender()).unwrap_err(), BadLength(length));
        let mut frames = Frames::new(MAX);
        deliver(&mut frames, &mut plenty(), &wire(&[LARGE_FRAME + 1]), 1000);
        let Want::Exact(mut head, 0) = frames.want(&pool()) else { panic!("exact after a large frame") };
        head.copy_from_slice(&length.to_be_bytes());
        assert_eq!(frames.filled(head, &mut plenty().lender()).unwrap_err(), BadLength(length));
    }
    let mut frames = Frames::new(MAX);
    frames.push(Mono(0), buf(&wire(&[MAX])));
    assert_eq!(frames.pop(&mut plenty().lender()).unwrap().expect("the limit itself is allowed").len(), MAX);
}

#[test]
fn an_exact_receive_that_was_stopped_goes_on_where_it_was() {
    let mut memory = plenty();
    let mut frames = Frames::new(MAX);
    let all = wire(&[LARGE_FRAME, LARGE_FRAME + 9]);
    let (_, rest) = all.split_at(4 + LARGE_FRAME);
    deliver(&mut frames, &mut memory, &all[..4 + LARGE_FRAME], 1000);
    memory.reserved = 0;
    // In the middle of the length, and in the middle of the frame.
    let Want::Exact(mut head, 0) = frames.want(&memory.pool) else { panic!("exact after a large frame") };
    head[..2].copy_from_slice(&rest[..2]);
    assert!(frames.halted(Mono(1), head, 2));
    let Want::Exact(mut head, 2) = frames.want(&memory.pool) else { panic!("two bytes are there") };
    head[2..].copy_from_slice(&rest[2..4]);
    assert!(frames.filled(head, &mut memory.lender()).expect("a good length").is_none());
    let Want::Exact(mut body, 0) = frames.want(&memory.pool) else { panic!("the frame follows") };
    body[..100].copy_from_slice(&rest[4..104]);
    assert!(frames.halted(Mono(2), body, 100), "it has moved");
    let Want::Exact(body, 100) = frames.want(&memory.pool) else { panic!("from there") };
    assert!(!frames.halted(Mono(3), body, 100), "it has not");
    let Want::Exact(mut body, 100) = frames.want(&memory.pool) else { panic!("from there") };
    body[100..].copy_from_slice(&rest[104..]);
    let frame = frames.filled(body, &mut memory.lender()).expect("a good length").expect("whole");
    assert_eq!(&frame[..], &rest[4..]);
    assert_eq!(memory.reserved, LARGE_FRAME + 9);
}

#[test]
fn what_is_not_looked_at_for_now_takes_what_it_needs() {
    let mut memory = plenty();
    let shared = Pool::new(usize::MAX, 0);
    let mut frames = Frames::new(MAX);
    let sizes = [10, 0, 3_000, 77];
    let bytes = wire(&sizes);
    for piece in bytes.chunks(90) {
        let mut block = shared.take(32 << 10).expect("no limit");
        block.truncate(piece.len());
        block.copy_from_slice(piece);
        frames.push(Mono(0), block);
    }
    let pinned = shared.used();
    frames.set_aside();
    assert!(shared.used() * 4 < pinned, "{} of {pinned}", shared.used());
    let aside = shared.used();
    frames.set_aside();
    assert_eq!(shared.used(), aside, "once");
    for size in sizes {
        let frame = frames.pop(&mut memory.lender()).expect("a good length").expect("it is there");
        assert_eq!(frame.len(), size);
    }
    assert!(frames.is_looked_through() && shared.used() == 0);
}

/// What moves aside stays in the bound of the memory that it came into; where there is no room for that, it stays.
#[test]
fn without_room_what_is_not_looked_at_stays_where_it_is() {
    let shared = Pool::new(32 << 10, 0);
    let mut frames = Frames::new(MAX);
    let mut block = shared.take(32 << 10).expect("no limit");
    block.truncate(6);
    block.copy_from_slice(&wire(&[2]));
    frames.push(Mono(0), block);
    frames.set_aside();
    assert_eq!(shared.used(), 32 << 10);
    assert_eq!(frames.pop(&mut plenty().lender()).expect("a good length").expect("it is there").len(), 2);
}

/// The length of a frame that waits for memory may have come alone: its buffer is not held for that.
#[test]
fn a_frame_that_waits_for_memory_holds_no_empty_buffer() {
    let mut memory = Memory::new(8192);
    memory.turns.take(8192);
    let shared = pool();
    let mut frames = Frames::new(MAX);
    let mut block = shared.take(32 << 10).expect("no limit");
    block.truncate(4);
    block.copy_from_slice(&6000u32.to_be_bytes());
    frames.push(Mono(0), block);
    assert!(frames.pop(&mut memory.lender()).unwrap().is_none());
    assert!(frames.is_starved() && frames.is_looked_through());
    assert_eq!(shared.used(), 0);
}

#[test]
fn without_shared_buffers_frames_are_the_same_and_take_their_own() {
    let mut memory = plenty();
    let mut frames = Frames::new(MAX);
    let lengths = [5, 0, 700, 1, LARGE_FRAME, 3];
    let bytes = wire(&lengths);
    // Two of its bytes came into a shared one.
    frames.push(Mono(0), buf(&bytes[..2]));
    assert!(frames.pop(&mut memory.lender()).unwrap().is_none());
    frames.do_without_shared();
    let (got, exactly) = deliver(&mut frames, &mut memory, &bytes[2..], 1000);
    assert_eq!(got.iter().map(Vec::len).collect::<Vec<_>>(), lengths);
    assert_eq!(exactly, bytes.len() - 2);
}
