use crate::buf::{Buf, Pool};
use crate::limits::{FRAME_BYTES_MAX, PAGE};

#[test]
fn a_pool_hands_out_what_was_asked_for_up_to_its_limit() {
    let pool = Pool::new(64 * PAGE, 64 * PAGE);
    let mut held = Vec::new();
    for bytes in [1, PAGE, PAGE + 1, 5 * PAGE, 9 * PAGE + 17] {
        let buf = pool.take(bytes).expect("within the limit");
        assert_eq!(buf.len(), bytes);
        assert!(buf.is_aligned());
        held.push(buf);
    }
    let before = pool.used();
    assert!(pool.take(64 * PAGE).is_none());
    assert_eq!(pool.used(), before, "a refusal leaves the count alone");
    drop(held);
    assert_eq!(pool.used(), 0);
    assert!(pool.take(64 * PAGE).is_some());
}

#[test]
fn every_size_up_to_the_largest_frame_fits_its_class_with_little_waste() {
    let pool = Pool::new(usize::MAX, 0);
    let mut bytes = 1;
    while bytes <= FRAME_BYTES_MAX + PAGE {
        let buf = pool.take(bytes).expect("no limit").freeze();
        assert!((buf.pages().as_raw().0 as usize).is_multiple_of(PAGE), "{bytes} bytes");
        assert!(buf.block_bytes() >= bytes);
        assert!(buf.block_bytes() <= bytes + bytes / 4 + PAGE, "{bytes} took {}", buf.block_bytes());
        bytes = bytes * 9 / 8 + 1;
    }
}

#[test]
fn slices_keep_the_block_until_the_last_is_gone_on_any_thread() {
    let pool = Pool::new(1 << 20, 1 << 20);
    let mut buf = pool.take(3 * PAGE).unwrap();
    buf.fill(7);
    let mut head = buf.split_to(100);
    head[0] = 1;
    let (head, tail) = (head.freeze(), buf.freeze());
    let other = std::thread::scope(|s| {
        let clone = tail.slice(10..20);
        s.spawn(move || clone.iter().map(|&b| u32::from(b)).sum::<u32>()).join().unwrap()
    });
    assert_eq!(other, 70);
    assert_eq!((head[0], head[1], tail[0]), (1, 7, 7));
    drop(tail);
    assert_ne!(pool.used(), 0);
    drop(head);
    assert_eq!(pool.used(), 0);
}

#[test]
fn pages_cover_a_slice_and_merge_with_their_neighbours() {
    let pool = Pool::new(1 << 20, 0);
    let mut buf = pool.take(4 * PAGE).unwrap();
    for (i, b) in buf.iter_mut().enumerate() {
        *b = (i / PAGE) as u8;
    }
    let buf = buf.freeze();
    let (a, b) = (buf.slice(10..PAGE + 1), buf.slice(PAGE + 50..3 * PAGE));
    let mut pages = a.pages();
    assert_eq!(pages.len(), 2 * PAGE);
    assert_eq!(pages.position_of(&b), None);
    assert!(pages.merge(&b.pages()));
    assert_eq!((pages.len(), pages.position_of(&b)), (3 * PAGE, Some(PAGE + 50)));
    assert!(!pages.merge(&Buf::copy_of(b"elsewhere").pages()));
    let mut out = vec![9; pages.len()];
    pages.copy_into(&mut out);
    assert_eq!((out[0], out[PAGE], out[2 * PAGE]), (0, 1, 2));
}

#[test]
fn adjacent_slices_join() {
    let buf = Buf::copy_of(b"hello world");
    let mut head = buf.slice(0..5);
    assert!(!head.join(&buf.slice(6..11)));
    assert!(head.join(&buf.slice(5..11)));
    assert_eq!(&head[..], b"hello world");
}

#[test]
fn a_trimmed_pool_keeps_its_arena_alone() {
    let pool = Pool::with_arena(16 * PAGE, 8 * PAGE, 2 * PAGE, 1);
    let bufs: Vec<_> = [2, 2, 3].map(|pages| pool.take(pages * PAGE).unwrap()).into();
    drop(bufs);
    pool.trim();
    let (start, _) = pool.arena().expect("made with one");
    assert_eq!(pool.take(2 * PAGE).unwrap().as_raw().0.cast_const(), start);
    // As much as before can be kept again: what went is not counted.
    let bufs: Vec<_> = [4, 4].map(|pages| pool.take(pages * PAGE).unwrap()).into();
    drop(bufs);
    assert_eq!(pool.used(), 0);
}

#[test]
fn blocks_of_an_arena_lie_in_it_come_back_to_it_and_outlive_the_pool() {
    let pool = Pool::with_arena(8 * PAGE, 0, 2 * PAGE, 2);
    let (start, bytes) = pool.arena().expect("made with one");
    assert_eq!(bytes, 4 * PAGE);
    let inside = |buf: &mut crate::buf::BufMut| {
        let at = buf.as_raw().0 as usize;
        (start as usize..start as usize + bytes).contains(&at)
    };
    for _ in 0..3 {
        let mut bufs: Vec<_> = (0..3).map(|_| pool.take(2 * PAGE).unwrap()).collect();
        let places: Vec<bool> = bufs.iter_mut().map(inside).collect();
        assert_eq!(places, [true, true, false], "the third finds the arena used up");
        assert!(!inside(&mut pool.take(PAGE).unwrap()), "other sizes lie elsewhere");
        assert_eq!(pool.used(), 6 * PAGE);
    }
    assert_eq!(pool.used(), 0);
    let mut last = pool.take(2 * PAGE).unwrap();
    drop(pool);
    last.fill(5);
    assert_eq!(last[2 * PAGE - 1], 5);
}
