//! Requests that name many partitions take turns, and who names few does not wait for them.

use super::rig::{Client, Rig, settings};
use super::verbs::*;
use crate::{MemoryLimits, Settings};
use torc_base::limits::TURN_ITEMS;
use torc_net::kafka::schema::delete_topics_request::DeleteTopicState;
use torc_net::kafka::schema::list_offsets_request::ListOffsetsPartition;
use torc_net::kafka::schema::{DeleteTopicsRequest, FetchRequest, ListOffsetsRequest, MetadataRequest};

const PARTITIONS: i32 = 400;
const MANY: usize = 20;
/// Requests for all partitions that are taken up from one turn to the next, by its events and at its end: the last ones
/// may go beyond.
const A_TURN: usize = 2 * (TURN_ITEMS / PARTITIONS as usize + 1);

fn all_fetched(session: (i32, i32)) -> FetchRequest {
    let topic = wanted("t", 0, 0).with_partitions((0..PARTITIONS).map(|index| wanted_partition(index, 0)).collect());
    fetch_request(vec![topic], 0).with_session_id(session.0).with_session_epoch(session.1)
}

fn all_offsets() -> ListOffsetsRequest {
    let part = |index| {
        let part = ListOffsetsPartition::default().with_partition_index(index);
        part.with_current_leader_epoch(-1).with_timestamp(-1)
    };
    let mut request = list_offsets_request("t", 0, -1);
    request.topics[0].partitions = (0..PARTITIONS).map(part).collect();
    request
}

/// A rig with a topic of many partitions, clients that are going to ask for all of them, and one that is not.
fn street() -> (Rig, Vec<Client>, Client) {
    let mut rig = Rig::with(1, &Settings { fetch_sessions: 2 * MANY, ..settings() });
    let small = rig.connect(0);
    assert_eq!(rig.create(small, "t", PARTITIONS, &[]), 0);
    let many = (0..MANY).map(|_| rig.connect(0)).collect();
    rig.run();
    (rig, many, small)
}

/// How many answers came in each turn, while `small` has asked for one offset.
fn turns<R: kafka_protocol::protocol::Request>(
    rig: &mut Rig,
    small: Client,
    mut sent: Vec<(Client, i16, i32)>,
) -> Vec<usize>
where
    R::Response: std::fmt::Debug,
{
    let asked = rig.send(small, LIST_OFFSETS, &list_offsets_request("t", 7, -1));
    let (mut turns, mut served) = (Vec::new(), None);
    while rig.turn(0) {
        let before = sent.len();
        sent.retain(|(client, version, correlation)| rig.take::<R>(*client, *version, *correlation).is_none());
        turns.push(before - sent.len());
        if rig.take::<ListOffsetsRequest>(small, LIST_OFFSETS, asked).is_some() {
            served = Some(turns.len());
        }
    }
    assert!(sent.is_empty(), "{} requests were never answered", sent.len());
    assert!(served.expect("it is answered") <= 3, "who asked for one offset waited {served:?} of {turns:?}");
    turns
}

#[test]
fn offsets_of_many_partitions_are_looked_up_in_turns() {
    let (mut rig, many, small) = street();
    let sent = many.iter().map(|client| (*client, LIST_OFFSETS, rig.send(*client, LIST_OFFSETS, &all_offsets())));
    let sent = sent.collect();
    let turns = turns::<ListOffsetsRequest>(&mut rig, small, sent);
    assert!(turns.iter().all(|answers| *answers <= A_TURN), "{turns:?}");
}

#[test]
fn fetches_of_many_partitions_take_turns_and_sessions_keep_their_order() {
    let (mut rig, many, small) = street();
    let mut sent = Vec::new();
    for client in &many {
        // The second is of no session that exists, and must not be looked at before the first.
        sent.push((*client, FETCH, rig.send(*client, FETCH, &all_fetched((0, 0)))));
        sent.push((*client, FETCH, rig.send(*client, FETCH, &all_fetched((1, 1)))));
    }
    let turns = turns::<FetchRequest>(&mut rig, small, sent);
    assert!(turns.iter().all(|answers| *answers <= 2 * A_TURN), "{turns:?}");
    // A session of many partitions is many, though its request names none.
    let (mut rig, many, small) = street();
    let begun: Vec<i32> = many.iter().map(|client| rig.ask(*client, FETCH, &all_fetched((0, 0))).session_id).collect();
    let mut sent = Vec::new();
    for (client, session) in many.iter().zip(begun) {
        assert!(session > 0);
        let request = fetch_request(vec![], 0).with_session_id(session).with_session_epoch(1);
        sent.push((*client, FETCH, rig.send(*client, FETCH, &request)));
    }
    let turns = self::turns::<FetchRequest>(&mut rig, small, sent);
    // They go on side by side, so that more may end in one turn than begin in it.
    assert!(turns.iter().all(|answers| *answers <= 2 * A_TURN), "{turns:?}");
}

/// Many that wait for memory get it at once.
#[test]
fn fetches_that_have_waited_for_memory_take_turns_as_well() {
    let memory = MemoryLimits { answers: 8 << 20, ..MemoryLimits::default() };
    let mut rig = Rig::with(1, &Settings { memory, ..settings() });
    let small = rig.connect(0);
    assert_eq!(rig.create(small, "t", PARTITIONS, &[]), 0);
    assert_eq!(rig.produce(small, -1, "t", 0, &large(100_000)).error_code, 0);
    let deaf: Vec<Client> = (0..80).map(|_| rig.connect(0)).collect();
    for client in &deaf {
        rig.reads(*client, false);
        rig.send(*client, FETCH, &fetch_request(vec![wanted("t", 0, 0)], 0));
        rig.run();
    }
    let many: Vec<Client> = (0..MANY).map(|_| rig.connect(0)).collect();
    let request = all_fetched((0, -1));
    let sent: Vec<_> = many.iter().map(|client| (*client, FETCH, rig.send(*client, FETCH, &request))).collect();
    rig.run();
    assert!(many.iter().all(|client| rig.take_frame(*client).is_none()), "there is memory for them");
    deaf.iter().for_each(|client| rig.leave(*client));
    let turns = turns::<FetchRequest>(&mut rig, small, sent);
    assert!(turns.iter().all(|answers| *answers <= A_TURN), "{turns:?}");
}

#[test]
fn requests_to_delete_many_topics_take_turns() {
    let (mut rig, many, small) = street();
    let topic = |n: i32| DeleteTopicState::default().with_name(Some(name(&format!("not-there-{n}"))));
    let request =
        DeleteTopicsRequest::default().with_timeout_ms(1_000).with_topics((0..PARTITIONS).map(topic).collect());
    let sent = many.iter().map(|client| (*client, 6, rig.send(*client, 6, &request))).collect();
    let turns = turns::<DeleteTopicsRequest>(&mut rig, small, sent);
    assert!(turns.iter().all(|answers| *answers <= A_TURN), "{turns:?}");
}

#[test]
fn metadata_is_made_in_turns_and_who_leaves_the_line_is_forgotten() {
    let (mut rig, many, small) = street();
    // By name: one answer about all topics serves everybody.
    let all = metadata_request(&["t"]);
    let ask =
        |rig: &mut Rig| many.iter().map(|client| (*client, METADATA, rig.send(*client, METADATA, &all))).collect();
    let sent = ask(&mut rig);
    let turns = turns::<MetadataRequest>(&mut rig, small, sent);
    assert!(turns.iter().all(|answers| *answers <= A_TURN), "{turns:?}");
    let mut sent: Vec<(Client, i16, i32)> = ask(&mut rig);
    rig.turn(0);
    for (client, ..) in sent.drain(10..15) {
        rig.abort(client);
    }
    self::turns::<MetadataRequest>(&mut rig, small, sent);
}
