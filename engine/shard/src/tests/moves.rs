//! Connections that move to the shard that owns what they produce to.

use super::rig::{Client, Rig};
use super::verbs::*;
use torc_base::ids::ListenerId;
use torc_base::io::Event;
use torc_net::kafka::schema::{DescribeClusterRequest, ProduceRequest};

/// Sends `count` requests without waiting; every third wants no answer. The correlation ids of the others.
fn burst(rig: &mut Rig, client: Client, count: usize, bytes: usize, index: impl Fn(usize) -> i32) -> Vec<i32> {
    let mut asked = Vec::new();
    for n in 0..count {
        let acks = if n % 3 == 0 { 0 } else { -1 };
        let correlation = rig.send(client, PRODUCE, &produce_request(acks, &[("t", index(n), &large(bytes))]));
        if acks != 0 {
            asked.push(correlation);
        }
    }
    asked
}

fn answers(rig: &mut Rig, client: Client) -> Vec<i32> {
    let mut got = Vec::new();
    while let Some((correlation, _)) = rig.take_frame(client) {
        got.push(correlation);
    }
    got
}

#[test]
fn a_producer_moves_to_the_owner_of_its_partition_and_every_request_is_answered() {
    for (piece, bytes, count) in [(1 << 20, 100, 200), (7, 10, 60), (16 << 10, 50_000, 60), (1_000, 40_000, 40)] {
        let mut rig = Rig::new(2);
        rig.piece = piece;
        let clients = [rig.connect(0), rig.connect(1)];
        assert_eq!(rig.create(clients[0], "t", 1, &[]), 0);
        for client in clients {
            let asked = burst(&mut rig, client, count, bytes, |_| 0);
            rig.run();
            assert_eq!(answers(&mut rig, client), asked, "pieces of {piece}, batches of {bytes}");
        }
        assert_eq!(rig.home(clients[0]), rig.home(clients[1]), "both are with the owner");
        let last = rig.offset(clients[0], "t", 0, -1).offset;
        assert_eq!(last, 2 * count as i64, "nothing was lost or done twice");
    }
}

#[test]
fn clients_are_told_the_address_of_the_listener_that_they_came_in_by_wherever_they_are() {
    let mut rig = Rig::new(2);
    let inside = (rig.connect_at(0, ListenerId(0)), "torc.example");
    let outside = (rig.connect_at(1, ListenerId(1)), "outside.example");
    let clients = [inside, outside];
    assert_eq!(rig.create(clients[0].0, "t", 1, &[]), 0);
    let mut moved = false;
    for (client, host) in clients {
        let before = rig.home(client);
        for _ in 0..2 {
            assert_eq!(rig.metadata(client, &["t"]).brokers[0].host.as_str(), host);
            let cluster = rig.ask(client, 0, &DescribeClusterRequest::default());
            assert_eq!(cluster.brokers[0].host.as_str(), host);
            burst(&mut rig, client, 60, 10, |_| 0);
            rig.run();
            answers(&mut rig, client);
        }
        moved |= rig.home(client) != before;
    }
    assert!(moved, "none has gone to the owner of its partition");
}

#[test]
fn a_producer_for_several_shards_stays_where_it_is() {
    let mut rig = Rig::new(2);
    for shard in [0, 1] {
        let client = rig.connect(shard);
        if shard == 0 {
            assert_eq!(rig.create(client, "t", 2, &[]), 0);
        }
        let asked = burst(&mut rig, client, 300, 10, |n| (n / 10 % 2) as i32);
        rig.run();
        assert_eq!(answers(&mut rig, client), asked);
        assert_eq!(rig.home(client), shard);
    }
}

/// Each move makes the next one dearer: a client that changes its mind does not keep the shards busy with itself.
#[test]
fn moves_become_rarer() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    let mut moves = 0;
    for n in 0..40 {
        let before = rig.home(client);
        for _ in 0..40 {
            assert_eq!(rig.produce(client, -1, "t", n % 2, &batch(&["a"])).error_code, 0);
        }
        moves += usize::from(rig.home(client) != before);
    }
    assert!((1..=2).contains(&moves), "{moves} moves");
}

#[test]
fn what_was_sent_before_the_end_of_the_stream_is_answered_on_the_way_too() {
    for count in 15..40 {
        let mut rig = Rig::new(2);
        rig.piece = 50;
        let clients = [rig.connect(0), rig.connect(1)];
        assert_eq!(rig.create(clients[0], "t", 1, &[]), 0);
        for client in clients {
            let asked = burst(&mut rig, client, count, 10, |_| 0);
            rig.half_close(client);
            rig.run();
            assert_eq!(answers(&mut rig, client), asked);
            assert!(rig.is_closed(client));
        }
    }
}

#[test]
fn a_stop_answers_those_that_are_about_to_move() {
    for count in [15, 16, 17, 40] {
        let mut rig = Rig::new(2);
        let clients = [rig.connect(0), rig.connect(1)];
        assert_eq!(rig.create(clients[0], "t", 1, &[]), 0);
        (0..2).for_each(|shard| rig.disk(shard).hold_writes = true);
        let asked = clients.map(|client| burst(&mut rig, client, count, 10, |_| 0));
        rig.run();
        (0..2).for_each(|shard| rig.inject(shard, Event::Stop));
        rig.run();
        (0..2).for_each(|shard| rig.disk(shard).release());
        rig.pass(1_000);
        for (client, asked) in clients.into_iter().zip(asked) {
            assert_eq!(answers(&mut rig, client), asked, "{count} requests");
        }
        assert!(rig.has_exited());
    }
}

#[test]
fn a_client_that_goes_away_in_the_middle_leaves_nothing_behind() {
    let mut rig = Rig::new(2);
    let clients = [rig.connect(0), rig.connect(1)];
    assert_eq!(rig.create(clients[0], "t", 1, &[]), 0);
    (0..2).for_each(|shard| rig.disk(shard).hold_writes = true);
    for client in clients {
        let _ = burst(&mut rig, client, 50, 10, |_| 0);
        rig.run();
        rig.abort(client);
    }
    (0..2).for_each(|shard| rig.disk(shard).release());
    rig.run();
    let client = rig.connect(0);
    let sent = rig.send(client, PRODUCE, &produce_request(-1, &[("t", 0, &batch(&["a"]))]));
    rig.run();
    assert!(rig.take::<ProduceRequest>(client, PRODUCE, sent).is_some());
    for shard in [0, 1] {
        let open = rig.stats(shard).connections.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(open, u64::from(rig.home(client) == shard));
    }
}
