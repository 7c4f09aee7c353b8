use super::*;
use torc_base::ids::LeaderEpoch;
use torc_base::prng::Prng;
use torc_net::kafka::records::{BuildOptions, Record, build, place};

const GROUP: GroupId = GroupId(7);

/// A log of batches of `sizes` bytes of value each, two records in a batch.
fn log(sizes: &[usize]) -> Vec<Buf> {
    let mut next = 100;
    sizes.iter().map(|size| batch_at(&mut next, *size)).collect()
}

fn batch_at(next: &mut i64, size: usize) -> Buf {
    let value = vec![*next as u8; size];
    let record = || Record { value: Some(&value), ..Record::default() };
    let mut bytes = build(&[record(), record()], &BuildOptions::default());
    place(&mut bytes, Offset(*next), LeaderEpoch(1));
    *next += 2;
    Buf::copy_of(&bytes)
}

fn stretch(parts: &[Buf]) -> Piece {
    Piece::Log(Stretch { group: GROUP, parts: parts.to_vec(), skip: 0 })
}

fn bytes(text: &str) -> Piece {
    Piece::Bytes(Buf::copy_of(text.as_bytes()))
}

fn outbox(pieces: Vec<Piece>) -> Outbox {
    let mut outbox = Outbox::new(Mono(0));
    let slot = outbox.open(10, Trace::default());
    assert_eq!(outbox.answer(Mono(0), slot, pieces, Path::Other), Some(10));
    outbox
}

fn flat(parts: &[Buf]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.to_vec()).collect()
}

/// What the log gives for a read: whole batches, at least one.
fn reread(log: &[Buf], later: Later, most: usize) -> Vec<Buf> {
    let first = log.iter().position(|b| batch(b).expect("a batch").0 == later.from.0).expect("it is there");
    let mut parts = vec![log[first].clone()];
    let mut total = log[first].len();
    for next in &log[first + 1..] {
        if total + next.len() > later.skip + most {
            break;
        }
        total += next.len();
        parts.push(next.clone());
    }
    parts
}

#[test]
fn answers_leave_in_the_order_of_their_requests() {
    let mut outbox = Outbox::new(Mono(0));
    let slots: Vec<_> = (0..3).map(|_| outbox.open(5, Trace::default())).collect();
    assert_eq!(outbox.waiting_bytes(), 15);
    outbox.answer(Mono(0), slots[1], vec![bytes("b")], Path::Other);
    assert!(outbox.next(|_| panic!("the first is missing")).is_none());
    outbox.answer(Mono(0), slots[0], vec![bytes("a")], Path::Other);
    let Some(Action::Send(parts)) = outbox.next(|_| ()) else { panic!("two are ready") };
    assert_eq!(flat(&parts), b"ab");
    assert_eq!((outbox.held(), outbox.waiting_bytes()), (2, 5));
    assert!(outbox.next(|_| ()).is_none(), "one send at a time");
    assert_eq!(outbox.sent(Mono(1)), 2);
    assert_eq!(outbox.answer(Mono(1), slots[2], vec![], Path::Other), Some(5));
    assert!(outbox.next(|_| panic!("nothing is sent for it")).is_none());
    assert!(outbox.is_empty());
}

#[test]
fn what_a_stalled_socket_does_not_take_is_known_by_its_place_in_the_log() {
    let log = log(&[1_000, 2_000, 500]);
    let mut outbox = outbox(vec![bytes("head"), stretch(&log), bytes("tail")]);
    let Some(Action::Send(parts)) = outbox.next(|_| ()) else { panic!() };
    let all = flat(&parts);
    assert_eq!(outbox.held(), all.len());
    assert_eq!(outbox.take_back(), (true, 0), "all of it is with the reactor");
    assert_eq!(outbox.take_back(), (false, 0), "once");
    // The kernel has the head and 100 bytes of the second batch.
    let sent = 4 + log[0].len() + 100;
    let freed = outbox.taken_back(Mono(5), &parts[2..], 100).expect("nothing changed");
    assert_eq!(freed, all.len() - 4, "only the tail is kept");
    assert!(outbox.next(|_| ()).is_none(), "it waits for room");
    outbox.room();
    let Some(Action::Read(later, _)) = outbox.next(|_| ()) else { panic!("the log is asked") };
    let bytes = log[1].len() + log[2].len() - 100;
    assert_eq!(later, Later { group: GROUP, from: Offset(102), skip: 100, size: Some(log[1].len()), bytes });
    assert_eq!(outbox.read(log[1..].to_vec()), Ok(bytes));
    let Some(Action::Send(rest)) = outbox.next(|_| ()) else { panic!() };
    assert_eq!([&all[..sent], &flat(&rest)].concat(), all);
}

#[test]
fn answers_that_wait_behind_others_are_taken_back_without_a_word_to_the_kernel() {
    let log = log(&[3_000]);
    let mut outbox = outbox(vec![stretch(&log)]);
    let slot = outbox.open(1, Trace::default());
    assert!(outbox.next(|_| ()).is_some());
    outbox.answer(Mono(0), slot, vec![bytes("x"), stretch(&log)], Path::Other);
    let held = outbox.held();
    let (sending, freed) = outbox.take_back();
    assert!(sending && freed == log[0].len(), "{freed}");
    assert_eq!(outbox.held(), held - freed);
    outbox.sent(Mono(1));
    let Some(Action::Send(parts)) = outbox.next(|_| ()) else { panic!() };
    assert_eq!(flat(&parts), b"x");
    outbox.sent(Mono(2));
    assert!(matches!(outbox.next(|_| ()), Some(Action::Read(Later { from: Offset(100), skip: 0, .. }, _))));
}

#[test]
fn other_batches_than_those_promised_are_noticed() {
    let all = log(&[1_000, 1_000]);
    let fresh = || {
        let mut outbox = outbox(vec![stretch(&all)]);
        let Some(Action::Send(parts)) = outbox.next(|_| ()) else { panic!() };
        outbox.take_back();
        outbox.taken_back(Mono(0), &parts, 10).expect("nothing changed");
        outbox.room();
        assert!(matches!(outbox.next(|_| ()), Some(Action::Read(Later { from: Offset(100), skip: 10, .. }, _))));
        outbox
    };
    assert_eq!(fresh().read(vec![]), Err(Changed));
    assert_eq!(fresh().read(vec![all[1].clone()]), Err(Changed), "another place");
    let other = log(&[1_500, 100]);
    assert_eq!(fresh().read(other), Err(Changed), "the lengths differ");
    assert_eq!(fresh().read(vec![Buf::copy_of(b"garbage that is no batch")]), Err(Changed));
    assert!(fresh().read(all.clone()).is_ok());
}

/// Answers of all shapes over sockets that take what they like: every byte arrives, once and in order, and memory is
/// given back.
#[test]
fn every_byte_arrives_whatever_the_socket_takes() {
    for seed in 0..400 {
        let mut rng = Prng::new(seed);
        let sizes: Vec<usize> = (0..rng.between(1, 9)).map(|_| rng.between(0, 90_000) as usize).collect();
        let log = log(&sizes);
        let (mut pieces, mut wanted, mut from) = (Vec::new(), Vec::new(), 0);
        while from < log.len() {
            let head = Buf::copy_of(&vec![b'h'; rng.between(1, 50) as usize]);
            let until = from + rng.between(1, (log.len() - from) as u64) as usize;
            wanted.extend_from_slice(&head);
            wanted.extend(flat(&log[from..until]));
            pieces.push(Piece::Bytes(head));
            pieces.push(stretch(&log[from..until]));
            from = until;
        }
        let mut outbox = outbox(pieces);
        let mut budget = wanted.len() as i64;
        let mut got = Vec::new();
        let mut under_way: Option<Vec<Buf>> = None;
        for step in 0.. {
            assert!(step < 10_000, "seed {seed}: it does not come to an end");
            match outbox.next(|_| ()) {
                Some(Action::Send(parts)) => under_way = Some(parts),
                Some(Action::Read(later, most)) => {
                    budget += outbox.read(reread(&log, later, most)).expect("the log is as it was") as i64;
                }
                None => {}
            }
            let Some(parts) = under_way.take() else {
                if outbox.is_empty() {
                    break;
                }
                continue;
            };
            let all = flat(&parts);
            if rng.chance(1, 3) {
                got.extend_from_slice(&all);
                budget -= outbox.sent(Mono(0)) as i64;
                continue;
            }
            let (sending, freed) = outbox.take_back();
            budget -= freed as i64;
            assert!(sending);
            let taken = rng.below(all.len() as u64) as usize;
            got.extend_from_slice(&all[..taken]);
            let (mut rest, mut sent) = (&parts[..], taken);
            while sent >= rest[0].len() {
                sent -= rest[0].len();
                rest = &rest[1..];
            }
            budget -= outbox.taken_back(Mono(0), rest, sent).expect("batches are whole") as i64;
            outbox.room();
        }
        assert!(got == wanted, "seed {seed}");
        assert_eq!((outbox.held(), budget), (0, 0), "seed {seed}");
    }
}
