//! What does not fit into one record of the log is refused before anything is done for it: the group stays as it was.

use super::consumer_tests::Client;
use super::record::Record;
use super::request::{Commit, CommitPartition, CommitTopic, Join, Request, Sync};
use super::response::{GroupState, GroupType, JoinResponse, Refusal, Response};
use super::rig::{Rig, committing, joining, subscription, text};
use super::{Blob, CoordinatorSettings, Text, Ticket};

const KIB: usize = 1 << 10;
/// What the log takes in one record, and about how much of it is left for what members say.
const RECORD: usize = 40 * KIB;
const ROOM: usize = 36 * KIB;

fn rig() -> Rig {
    Rig::limited(CoordinatorSettings::default(), 1, RECORD)
}

fn saying(client: &str, member: &Text, bytes: usize) -> Join {
    let protocols = vec![(text("range"), vec![7; bytes].into()), (text("sticky"), vec![7; bytes / 2].into())];
    Join { protocols, ..joining(client, member) }
}

fn refused(rig: &mut Rig, join: Join) -> Option<Refusal> {
    let ticket = rig.ask(Request::Join(join));
    rig.answer(ticket).map(|answer| match answer {
        Response::Join(JoinResponse { result, .. }) => result.expect_err("it does not fit"),
        other => panic!("{other:?}"),
    })
}

/// A stable group of members that say so much each.
fn stable(rig: &mut Rig, clients: &[(&str, usize)]) -> (Vec<Text>, i32) {
    let ids: Vec<Text> = clients.iter().map(|(client, _)| rig.id(client)).collect();
    let each = clients.iter().zip(&ids);
    let joins: Vec<Ticket> =
        each.map(|((client, bytes), id)| rig.ask(Request::Join(saying(client, id, *bytes)))).collect();
    rig.pass(12_000);
    let generation = joins.into_iter().map(|ticket| rig.joined(ticket).generation).max().expect("somebody has joined");
    assert_eq!(assign(rig, &ids, generation, 3), vec![Ok(3); ids.len()]);
    assert_eq!(rig.state(), Some(GroupState::Stable));
    (ids, generation)
}

/// All members sync, each is assigned so many bytes; what they are told.
fn assign(rig: &mut Rig, ids: &[Text], generation: i32, bytes: usize) -> Vec<Result<usize, Refusal>> {
    let assignments: Vec<(Text, Blob)> = ids.iter().map(|id| (id.clone(), vec![1; bytes].into())).collect();
    let sync = |member: &Text| Sync {
        group: text("g"),
        member: member.clone(),
        instance: None,
        generation,
        protocol_type: None,
        protocol: None,
        assignments: assignments.clone(),
    };
    let tickets: Vec<Ticket> = ids.iter().map(|id| rig.ask(Request::Sync(sync(id)))).collect();
    tickets.into_iter().map(|ticket| rig.synced(ticket).map(|assignment| assignment.len())).collect()
}

#[test]
fn who_does_not_fit_into_a_groups_record_is_turned_away_and_the_group_goes_on() {
    let mut rig = rig();
    let (ids, generation) = stable(&mut rig, &[("a", 12 * KIB), ("b", 12 * KIB)]);
    let records = rig.log.len();
    // Told its id before it says all, and before.
    let id = rig.id("c");
    assert_eq!(refused(&mut rig, saying("c", &id, 13 * KIB)), Some(Refusal::GroupMaxSizeReached));
    assert_eq!(refused(&mut rig, saying("c", &text(""), 13 * KIB)), Some(Refusal::GroupMaxSizeReached));
    assert_eq!((rig.state(), rig.log.len()), (Some(GroupState::Stable), records));
    for id in &ids {
        assert_eq!(rig.heartbeat(id, generation), Ok(()));
    }
    // One that says less fits, and what it was told before is none of the others' business.
    let id = rig.id("d");
    assert_eq!(refused(&mut rig, saying("d", &id, 8 * KIB)), None);
    assert_eq!(rig.state(), Some(GroupState::PreparingRebalance));
    let rejoined: Vec<Ticket> =
        ids.iter().zip(["a", "b"]).map(|(id, client)| rig.ask(Request::Join(saying(client, id, 12 * KIB)))).collect();
    for ticket in rejoined {
        assert_eq!(rig.joined(ticket).generation, generation + 1);
    }
    // A group of its own that fits nowhere is no group.
    let alone = Join { group: text("other"), ..saying("e", &text(""), ROOM + KIB) };
    assert_eq!(refused(&mut rig, alone), Some(Refusal::GroupMaxSizeReached));
    assert!(!rig.knows("other"));
}

#[test]
fn a_member_that_says_more_than_before_may_not_make_the_record_too_long() {
    let mut rig = rig();
    let (ids, generation) = stable(&mut rig, &[("a", 12 * KIB), ("b", 12 * KIB)]);
    assert_eq!(refused(&mut rig, saying("a", &ids[0], 30 * KIB)), Some(Refusal::GroupMaxSizeReached));
    assert_eq!(rig.state(), Some(GroupState::Stable));
    assert_eq!(rig.heartbeat(&ids[0], generation), Ok(()));
    // As much as before, or less, is never too much.
    let first = rig.ask(Request::Join(saying("a", &ids[0], 12 * KIB)));
    let second = rig.ask(Request::Join(saying("b", &ids[1], KIB)));
    for ticket in [first, second] {
        let joined = rig.answer(ticket);
        let Some(Response::Join(JoinResponse { result: Ok(joined), .. })) = joined else { panic!("{joined:?}") };
        assert!(joined.generation >= generation);
    }
}

#[test]
fn an_assignment_that_is_too_long_is_refused_to_all_and_the_next_one_is_taken() {
    let mut rig = rig();
    let (ids, generation) = stable(&mut rig, &[("a", 4 * KIB), ("b", 4 * KIB)]);
    // Another member makes them rebalance.
    let id = rig.id("c");
    let mut tickets = vec![rig.ask(Request::Join(saying("c", &id, 4 * KIB)))];
    tickets.extend(ids.iter().zip(["a", "b"]).map(|(id, client)| rig.ask(Request::Join(saying(client, id, 4 * KIB)))));
    tickets.into_iter().for_each(|ticket| assert_eq!(rig.joined(ticket).generation, generation + 1));
    let ids = [ids, vec![id]].concat();
    let records = rig.log.len();
    let told = assign(&mut rig, &ids, generation + 1, 10 * KIB);
    assert!(told.contains(&Err(Refusal::UnknownServerError)), "{told:?}");
    assert!(told.iter().all(|told| told.is_err()), "{told:?}");
    assert_eq!((rig.state(), rig.log.len()), (Some(GroupState::PreparingRebalance), records));
    let each = ids.iter().zip(["a", "b", "c"]);
    let tickets: Vec<Ticket> = each.map(|(id, client)| rig.ask(Request::Join(saying(client, id, 4 * KIB)))).collect();
    tickets.into_iter().for_each(|ticket| assert_eq!(rig.joined(ticket).generation, generation + 2));
    assert_eq!(assign(&mut rig, &ids, generation + 2, 5 * KIB), vec![Ok(5 * KIB); 3]);
}

#[test]
fn a_static_member_that_comes_back_with_more_is_refused_and_its_place_stays_its_own() {
    let mut rig = rig();
    let own = |bytes| Join { instance: Some(text("i")), ..saying("a", &text(""), bytes) };
    let ticket = rig.ask(Request::Join(own(12 * KIB)));
    rig.pass(12_000);
    let joined = rig.joined(ticket);
    let (id, generation) = (joined.leader, joined.generation);
    assert_eq!(assign(&mut rig, std::slice::from_ref(&id), generation, 20 * KIB), [Ok(20 * KIB)]);
    assert_eq!(refused(&mut rig, own(ROOM + KIB)), Some(Refusal::GroupMaxSizeReached));
    assert_eq!(rig.heartbeat(&id, generation), Ok(()), "nobody has taken its place");
    // What fits only without what was assigned begins a new generation.
    let ticket = rig.ask(Request::Join(own(30 * KIB)));
    assert_eq!(rig.joined(ticket).generation, generation + 1);
}

#[test]
fn a_group_from_a_log_with_longer_records_lets_go_whom_it_cannot_write_down() {
    let mut rig = Rig::limited(CoordinatorSettings::default(), 1, 4 * RECORD);
    let clients = [("a", 30 * KIB), ("b", 30 * KIB), ("c", 30 * KIB)];
    let (ids, generation) = stable(&mut rig, &clients);
    rig.restart_with(RECORD);
    assert_eq!(rig.state(), Some(GroupState::PreparingRebalance), "they are called to join again");
    let each = ids.iter().zip(clients);
    let tickets: Vec<Ticket> =
        each.map(|(id, (client, bytes))| rig.ask(Request::Join(saying(client, id, bytes)))).collect();
    let mut told = Vec::new();
    for ticket in tickets {
        let answer = rig.answer(ticket);
        let Some(Response::Join(JoinResponse { result, .. })) = answer else { panic!("{answer:?}") };
        told.push(result.map(|joined| joined.generation));
    }
    assert_eq!(told.iter().filter(|told| **told == Ok(generation + 1)).count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|told| **told == Err(Refusal::GroupMaxSizeReached)).count(), 2, "{told:?}");
    rig.restart_with(KIB);
    rig.pass(200_000);
    assert_eq!(rig.state(), Some(GroupState::Empty), "nobody came, and that is short enough");
}

#[test]
fn metadata_of_an_offset_that_is_too_long_is_refused_with_the_whole_commit() {
    let settings = CoordinatorSettings { offset_metadata_max_bytes: 1 << 20, ..CoordinatorSettings::default() };
    let mut rig = Rig::limited(settings, 1, RECORD);
    let commit = |bytes: usize| {
        let partition = |index, metadata: String| CommitPartition {
            index,
            offset: 5,
            leader_epoch: -1,
            metadata: metadata.as_str().into(),
        };
        let partitions = vec![partition(0, String::new()), partition(1, "m".repeat(bytes))];
        let topics = vec![CommitTopic { partitions, ..committing("g", &text(""), -1, "t", 5).topics.remove(0) }];
        Request::Commit(Commit { topics, ..committing("g", &text(""), -1, "t", 5) })
    };
    assert_eq!(rig.now(commit(ROOM + KIB)), Response::Commit(Err(Refusal::UnknownServerError)));
    assert!(!rig.knows("g") && rig.log.is_empty());
    assert!(matches!(rig.now(commit(ROOM - KIB)), Response::Commit(Ok(_))));
    assert_eq!(rig.now(commit(ROOM + KIB)), Response::Commit(Err(Refusal::UnknownServerError)));
    assert_eq!((rig.offset("t"), rig.log.len()), (Some(5), 2));
}

#[test]
fn a_consumer_that_names_more_than_one_record_holds_is_refused_and_keeps_what_it_had() {
    let mut rig = rig();
    rig.topics.set("t", 4);
    let mut first = Client::new("m1", &["t"]);
    first.turn(&mut rig);
    let many: Vec<String> = (0..200).map(|n| format!("{n:0>200}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let records = rig.log.len();
    let mut second = Client::new("m2", &many);
    assert_eq!(second.ask(&mut rig), Err(Refusal::UnknownServerError));
    assert!(!rig.has_member(&text("m2")));
    let mut greedy = first.clone();
    greedy.topics = many.iter().map(|name| text(name)).collect();
    assert_eq!(greedy.ask(&mut rig), Err(Refusal::UnknownServerError));
    assert_eq!((rig.log.len(), rig.state()), (records, Some(GroupState::Stable)));
    first.turn(&mut rig);
    assert_eq!(first.held.len(), 4);
}

#[test]
fn a_pattern_that_matches_more_than_one_record_holds_is_refused_and_a_known_one_stays_as_it_was() {
    let mut rig = rig();
    for n in 0..150 {
        rig.topics.set(&format!("{n:0>200}"), 1);
    }
    let mut known = Client::new("m1", &[]);
    known.regex = Some(text("0.*"));
    known.turn(&mut rig);
    assert_eq!(known.held.len(), 150);
    for n in 150..200 {
        rig.topics.set(&format!("{n:0>200}"), 1);
    }
    rig.pass(11_000);
    known.turn(&mut rig);
    assert_eq!(known.held.len(), 150, "as far as it was written down");
    let mut new = Client::new("m2", &[]);
    new.regex = Some(text("0+.*"));
    assert_eq!(new.ask(&mut rig), Err(Refusal::UnknownServerError));
    new.regex = Some(text("0+1."));
    new.turn(&mut rig);
    assert_eq!(rig.state(), Some(GroupState::Reconciling));
}

#[test]
fn a_member_gets_no_more_partitions_than_one_record_holds_and_the_rest_when_others_come() {
    let mut rig = rig();
    rig.topics.set("t", 6_000);
    let mut clients = [Client::new("m1", &["t"]), Client::new("m2", &["t"])];
    clients[0].turn(&mut rig);
    let most = clients[0].held.len();
    assert!((4_000..6_000).contains(&most), "{most}");
    for _ in 0..3 {
        clients.iter_mut().for_each(|client| client.turn(&mut rig));
    }
    let held: Vec<usize> = clients.iter().map(|client| client.held.len()).collect();
    assert_eq!(held, [3_000, 3_000]);
    assert_eq!(rig.state(), Some(GroupState::Stable));
}

#[test]
fn a_group_changes_its_protocol_only_as_far_as_its_records_fit() {
    let mut rig = rig();
    rig.topics.set("t", 4);
    // Each protocol by itself fits into the group's record, all of them not into the member's own.
    let consuming = subscription(&["t"]);
    let padded: Blob = [&consuming[..], &[0; 20 * KIB]].concat().into();
    let protocols = vec![(text("range"), padded.clone()), (text("sticky"), padded)];
    let id = rig.id("a");
    let ticket = rig.ask(Request::Join(Join { protocols, ..joining("a", &id) }));
    rig.pass(12_000);
    let generation = rig.joined(ticket).generation;
    assert_eq!(assign(&mut rig, std::slice::from_ref(&id), generation, 0), [Ok(0)]);
    let records = rig.log.len();
    let mut new = Client::new("m", &["t"]);
    assert_eq!(new.ask(&mut rig), Err(Refusal::UnknownServerError));
    assert_eq!((rig.log.len(), rig.heartbeat(&id, generation)), (records, Ok(())), "it stays a classic one");
    // The other way round: members that fit by themselves do not fit together.
    let mut rig = self::rig();
    rig.topics.set("t", 4);
    let mut new = Client::new("m", &["t"]);
    new.turn(&mut rig);
    let consuming = subscription(&["t"]);
    for client in ["a", "b"] {
        let padded: Blob = [&consuming[..], &[0; 20 * KIB]].concat().into();
        let first = Join { protocols: vec![(text("range"), padded)], takes_id: false, ..joining(client, &text("")) };
        let joined = rig.now(Request::Join(first));
        assert!(matches!(joined, Response::Join(JoinResponse { result: Ok(_), .. })), "{joined:?}");
    }
    new.epoch = -1;
    new.ask(&mut rig).expect("it leaves");
    let kinds = |record: &Record| matches!(record, Record::Group { value: Some(_), .. });
    assert!(!rig.log.iter().any(kinds), "no record of a classic group");
    assert_eq!(rig.coordinator.groups.get(&"g".into()).expect("is there").kind(), GroupType::Consumer);
}
