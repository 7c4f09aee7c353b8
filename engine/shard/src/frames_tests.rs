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
fn deliver(frames: &mut Frames, pool: &Pool, mut bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, usize) {
    let (mut out, mut exactly) = (Vec::new(), 0);
    loop {
        while let Some(frame) = frames.pop(pool).expect("good lengths") {
            out.push(frame.to_vec());
        }
        if bytes.is_empty() {
            return (out, exactly);
        }
        match frames.want(pool) {
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
                if let Some(frame) = frames.filled(Mono(0), into, pool).expect("good lengths") {
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
        let (got, _) = deliver(&mut Frames::new(MAX), &pool(), &bytes, piece);
        assert_eq!(got.len(), lengths.len(), "pieces of {piece}");
        for (n, (frame, &length)) in got.iter().zip(&lengths).enumerate() {
            assert!(frame.len() == length && frame.iter().all(|b| *b == n as u8), "frame {n}, pieces of {piece}");
        }
    }
}

#[test]
fn a_large_frame_is_received_exactly_and_small_ones_switch_back() {
    let mut frames = Frames::new(MAX);
    let (_, exactly) = deliver(&mut frames, &pool(), &wire(&[500_000]), 16 << 10);
    assert!(exactly > 450_000, "all but what had come before its length was known: {exactly}");
    assert!(frames.wants_exact());
    for n in 0..SMALL_AGAIN {
        assert!(frames.wants_exact(), "after {n} small frames");
        deliver(&mut frames, &pool(), &wire(&[10]), 100);
    }
    assert!(!frames.wants_exact());
}

#[test]
fn a_whole_frame_is_a_slice_and_takes_no_memory() {
    let none = Pool::new(0, 0);
    let mut frames = Frames::new(MAX);
    frames.push(Mono(0), buf(&wire(&[300, 20])));
    assert_eq!(frames.pop(&none).unwrap().expect("whole").len(), 300);
    assert_eq!(frames.pop(&none).unwrap().expect("whole").len(), 20);
    assert!(frames.pop(&none).unwrap().is_none() && !frames.is_partial());
}

#[test]
fn without_memory_a_frame_waits_and_nothing_is_lost() {
    let small = Pool::new(8192, 0);
    let mut frames = Frames::new(MAX);
    let bytes = wire(&[6000, 50]);
    frames.push(Mono(0), buf(&bytes[..100]));
    let hog = small.take(4096).expect("room");
    assert!(frames.pop(&small).unwrap().is_none());
    assert!(frames.is_starved() && frames.is_partial());
    assert!(matches!(frames.want(&small), Want::Memory));
    // More may come before the receive has stopped.
    frames.push(Mono(0), buf(&bytes[100..]));
    assert!(frames.pop(&small).unwrap().is_none());
    drop(hog);
    assert_eq!(frames.pop(&small).unwrap().expect("whole").len(), 6000);
    assert_eq!(frames.pop(&small).unwrap().expect("whole").len(), 50);
    assert!(!frames.is_starved() && !frames.is_partial());
}

#[test]
fn lengths_out_of_bounds_are_refused_wherever_they_come() {
    for length in [-1, i32::MIN, MAX as i32 + 1, i32::MAX] {
        let mut frames = Frames::new(MAX);
        frames.push(Mono(0), buf(&length.to_be_bytes()));
        assert_eq!(frames.pop(&pool()).unwrap_err(), BadLength(length));
        let mut frames = Frames::new(MAX);
        deliver(&mut frames, &pool(), &wire(&[LARGE_FRAME + 1]), 1000);
        let Want::Exact(mut head, 0) = frames.want(&pool()) else { panic!("exact after a large frame") };
        head.copy_from_slice(&length.to_be_bytes());
        assert_eq!(frames.filled(Mono(0), head, &pool()).unwrap_err(), BadLength(length));
    }
    let mut frames = Frames::new(MAX);
    frames.push(Mono(0), buf(&wire(&[MAX])));
    assert_eq!(frames.pop(&pool()).unwrap().expect("the limit itself is allowed").len(), MAX);
}
