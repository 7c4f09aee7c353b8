//! Many requests on one connection, and connections that misbehave.

use super::rig::{Rig, frame, settings};
use super::verbs::*;
use std::sync::atomic::Ordering;
use torc_base::ids::ConnId;
use torc_base::io::Event;
use torc_base::limits::REQUESTS_IN_FLIGHT_MAX;
use torc_base::time::Mono;
use torc_net::kafka::schema::ProduceRequest;

#[test]
fn answers_come_in_the_order_of_requests_whichever_shard_is_faster() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    rig.disk(0).hold_writes = true;
    let sent: Vec<i32> =
        (0..20).map(|n| rig.send(client, PRODUCE, &produce_request(-1, &[("t", n % 2, &batch(&["a"]))]))).collect();
    rig.run();
    let first: Vec<i32> = std::iter::from_fn(|| rig.take_frame(client)).map(|(correlation, _)| correlation).collect();
    assert!(first.len() <= 1, "the other shard's answers wait for those before them: {first:?}");
    rig.disk(0).release();
    rig.run();
    let rest = std::iter::from_fn(|| rig.take_frame(client)).map(|(correlation, _)| correlation);
    let all: Vec<i32> = first.iter().copied().chain(rest).collect();
    assert_eq!(all, sent);
}

/// A request's place in the log is that of its arrival, so a read behind a write on one connection sees it.
#[test]
fn a_request_takes_effect_before_the_next_one() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    let sent: Vec<i32> =
        (0..100).map(|_| rig.send(client, PRODUCE, &produce_request(-1, &[("t", 0, &batch(&["a"]))]))).collect();
    rig.run();
    for (offset, correlation) in sent.into_iter().enumerate() {
        let answer = rig.take::<ProduceRequest>(client, PRODUCE, correlation).expect("an answer");
        assert_eq!(produced(answer)[0].base_offset, offset as i64);
    }
}

#[test]
fn more_requests_than_may_wait_are_all_answered() {
    for piece in [1 << 20, 1_000, 7] {
        let mut rig = Rig::new(2);
        rig.piece = piece;
        let client = rig.connect(0);
        assert_eq!(rig.create(client, "t", 2, &[]), 0);
        let count = 3 * REQUESTS_IN_FLIGHT_MAX as i32;
        // Some without answers among them.
        let acks = |n: i32| if n % 3 == 0 { 0 } else { -1 };
        let sent: Vec<(i32, i32)> = (0..count)
            .map(|n| (n, rig.send(client, PRODUCE, &produce_request(acks(n), &[("t", n % 2, &batch(&["a"]))]))))
            .collect();
        rig.run();
        let got: Vec<i32> = std::iter::from_fn(|| rig.take_frame(client)).map(|(correlation, _)| correlation).collect();
        let expected: Vec<i32> = sent.into_iter().filter(|(n, _)| acks(*n) != 0).map(|(_, c)| c).collect();
        assert_eq!(got, expected, "in pieces of {piece}");
    }
}

#[test]
fn large_requests_between_small_ones_arrive_whole() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    let sizes = [10, 200_000, 10, 10, 40_000, 300_000, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 100_000];
    let sent: Vec<i32> =
        sizes.iter().map(|&size| rig.send(client, PRODUCE, &produce_request(-1, &[("t", 1, &large(size))]))).collect();
    rig.run();
    for correlation in sent {
        let answer = rig.take::<ProduceRequest>(client, PRODUCE, correlation).expect("an answer");
        assert_eq!(produced(answer)[0].error_code, 0);
    }
    let mut offset = 0;
    while offset < sizes.len() as i64 {
        for (at, value) in values(&rig.fetch(client, "t", 1, offset)) {
            assert_eq!((at, value.len()), (offset, sizes[offset as usize]));
            offset += 1;
        }
    }
}

#[test]
fn a_client_that_does_not_read_is_not_read_either() {
    let mut rig = Rig::new(1);
    let (client, other) = (rig.connect(0), rig.connect(0));
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    for _ in 0..4 {
        rig.produce(client, -1, "t", 0, &large(900_000));
    }
    rig.reads(client, false);
    let served = |rig: &Rig| rig.stats(0).requests_total.load(Ordering::Relaxed);
    let ask = |rig: &mut Rig| {
        for _ in 0..REQUESTS_IN_FLIGHT_MAX + 10 {
            rig.send(client, FETCH, &fetch_request(vec![wanted("t", 0, 0)], 0));
        }
        rig.run();
        served(rig)
    };
    let before = ask(&mut rig);
    assert_eq!(ask(&mut rig), before, "so many requests wait, and no more");
    let held = rig.stats(0).answer_memory_bytes.load(Ordering::Relaxed);
    assert!((900_000..1_100_000).contains(&held), "one answer is made at a time: {held}");
    assert_eq!(rig.fetch(other, "t", 0, 4).error_code, 0, "others are served");
    rig.reads(client, true);
    rig.run();
    assert_eq!(std::iter::from_fn(|| rig.take_frame(client)).count(), 2 * (REQUESTS_IN_FLIGHT_MAX + 10));
}

#[test]
fn a_client_that_never_reads_is_closed_like_an_idle_one() {
    let mut rig = Rig::new(1);
    let (deaf, idle, waits) = (rig.connect(0), rig.connect(0), rig.connect(0));
    assert_eq!(rig.create(deaf, "t", 1, &[]), 0);
    rig.reads(deaf, false);
    rig.send(deaf, FETCH, &fetch_request(vec![wanted("t", 0, 0)], 0));
    rig.send(waits, FETCH, &fetch_request(vec![wanted("t", 0, 0)], i32::MAX));
    rig.pass(590_000);
    assert!(!rig.is_closed(deaf) && !rig.is_closed(idle));
    rig.pass(30_000);
    assert!(rig.is_closed(deaf) && rig.is_closed(idle));
    assert!(!rig.is_closed(waits), "who waits for records is not idle");
}

#[test]
fn what_was_sent_before_the_end_is_served() {
    let mut rig = Rig::new(1);
    let (client, reader) = (rig.connect(0), rig.connect(0));
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    let count = 3 * REQUESTS_IN_FLIGHT_MAX;
    for n in 0..count {
        rig.send(client, PRODUCE, &produce_request((n % 2) as i16, &[("t", 0, &batch(&["a"]))]));
    }
    rig.half_close(client);
    rig.run();
    assert_eq!(std::iter::from_fn(|| rig.take_frame(client)).count(), count / 2);
    assert!(rig.is_closed(client));
    assert_eq!(rig.fetch(reader, "t", 0, 0).high_watermark, count as i64);
}

#[test]
fn nonsense_costs_the_connection_and_nothing_else() {
    let mut rig = Rig::new(1);
    let request = produce_request(-1, &[("t", 0, &batch(&["a"]))]);
    let good = frame(&request, PRODUCE, 1);
    let mut unknown_api = good.clone();
    unknown_api[4..6].copy_from_slice(&999i16.to_be_bytes());
    let mut short = good.clone();
    short[..4].copy_from_slice(&((good.len() - 4 - 3) as i32).to_be_bytes());
    let too_long = i32::to_be_bytes((4 << 20) + 1).to_vec();
    for bytes in [unknown_api, short, too_long, vec![0xff; 40], vec![0; 40]] {
        let client = rig.connect(0);
        rig.send_bytes(client, &bytes);
        rig.run();
        assert!(rig.is_closed(client), "{bytes:?}");
    }
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    assert_eq!(rig.stats(0).connections.load(Ordering::Relaxed), 1);
}

/// Frames of every length that begins like a request, and requests with each byte damaged, end no shard.
#[test]
fn damaged_requests_end_no_shard() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    let frames = [
        frame(&produce_request(-1, &[("t", 0, &batch(&["a"])), ("t", 1, &batch(&["b"]))]), PRODUCE, 1),
        frame(&fetch_request(vec![wanted("t", 0, 0), wanted("t", 1, 0)], 0), FETCH, 1),
        frame(&metadata_request(&["t", "u"]), METADATA, 1),
        frame(&new_producer(), 4, 1),
    ];
    for whole in frames {
        for at in 4..whole.len() {
            for damage in [0x00, 0x7f, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = damage;
                let client = rig.connect(at % 2);
                rig.send_bytes(client, &bytes);
                rig.run();
                rig.abort(client);
            }
        }
    }
    assert_eq!(rig.fetch(client, "t", 0, 0).error_code, 0);
    assert_eq!(rig.stats(1).connections.load(Ordering::Relaxed), 0);
}

/// Whoever leaves in the middle of things leaves nothing behind.
#[test]
fn answers_for_a_client_that_left_are_dropped() {
    let mut rig = Rig::new(2);
    let (client, writer) = (rig.connect(0), rig.connect(0));
    assert_eq!(rig.create(writer, "t", 2, &[]), 0);
    rig.disk(1).hold_writes = true;
    rig.disk(0).hold_writes = true;
    for index in 0..2 {
        rig.send(client, PRODUCE, &produce_request(-1, &[("t", index, &batch(&["a"]))]));
        rig.send(client, FETCH, &fetch_request(vec![wanted("t", index, 0)], 60_000));
    }
    rig.run();
    rig.abort(client);
    (0..2).for_each(|shard| rig.disk(shard).release());
    rig.run();
    for index in 0..2 {
        assert_eq!(rig.fetch(writer, "t", index, 0).high_watermark, 1, "it was in the log");
    }
    assert_eq!(rig.stats(0).connections.load(Ordering::Relaxed), 1);
}

#[test]
fn who_comes_before_the_start_has_ended_is_served_after_it() {
    let mut rig = Rig::start(vec![Default::default()], &settings(), Mono(1));
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    // A restart whose first read is slow.
    let mut rig = rig.restart_held(&settings());
    assert!(!rig.is_ready());
    let (early, gone) = (rig.connect(0), rig.connect(0));
    rig.send(early, PRODUCE, &produce_request(-1, &[("t", 0, &batch(&["a"]))]));
    rig.abort(gone);
    assert!(rig.take_frame(early).is_none());
    rig.disk(0).release();
    rig.run();
    assert!(rig.is_ready() && rig.take_frame(early).is_some());
    assert_eq!(rig.stats(0).connections.load(Ordering::Relaxed), 1, "who left while waiting is not there");
    rig.inject(0, Event::Closed { conn: ConnId(999) });
    rig.run();
}
