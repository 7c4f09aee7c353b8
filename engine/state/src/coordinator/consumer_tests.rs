//! Stories of groups of the consumer protocol.

use super::cluster::GroupConfig;
use super::record::Record;
use super::request::{Commit, ConsumerHeartbeat, Request};
use super::response::{ConsumerBeat, GroupState, Refusal, Response};
use super::rig::{Rig, committing, text};
use super::{CoordinatorSettings, Text};
use std::collections::BTreeSet;
use torc_base::ids::TopicId;

/// A consumer that does at once what it is told.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) id: Text,
    pub(super) epoch: i32,
    pub(super) instance: Option<Text>,
    pub(super) topics: Vec<Text>,
    pub(super) regex: Option<Text>,
    /// What it holds.
    pub(super) held: BTreeSet<(TopicId, i32)>,
}

impl Client {
    pub(super) fn new(id: &str, topics: &[&str]) -> Client {
        let topics = topics.iter().map(|topic| text(topic)).collect();
        Client { id: text(id), epoch: 0, instance: None, topics, regex: None, held: BTreeSet::new() }
    }

    /// A heartbeat that says everything.
    pub(super) fn beat(&self) -> ConsumerHeartbeat {
        let mut owned: Vec<(TopicId, Vec<i32>)> = Vec::new();
        for (topic, partition) in &self.held {
            match owned.last_mut().filter(|(last, _)| last == topic) {
                Some((_, partitions)) => partitions.push(*partition),
                None => owned.push((*topic, vec![*partition])),
            }
        }
        ConsumerHeartbeat {
            group: text("g"),
            member: self.id.clone(),
            epoch: self.epoch,
            instance: self.instance.clone(),
            rack: None,
            rebalance_timeout: 60_000,
            topics: Some(self.topics.clone()),
            regex: self.regex.clone(),
            assignor: None,
            owned: Some(if self.epoch == 0 { Vec::new() } else { owned }),
            client_id: text("c"),
            client_host: text("/127.0.0.1"),
            takes_id: false,
        }
    }

    pub(super) fn ask(&mut self, rig: &mut Rig) -> Result<ConsumerBeat, Refusal> {
        match rig.now(Request::ConsumerHeartbeat(self.beat())) {
            Response::ConsumerHeartbeat(result) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn take(&mut self, beat: &ConsumerBeat) {
        self.id = beat.member.clone();
        self.epoch = beat.epoch;
        if let Some(assignment) = &beat.assignment {
            let all = assignment.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic.topic, *p)));
            self.held = all.collect();
        }
    }

    /// One heartbeat, and what it leads to.
    pub(super) fn turn(&mut self, rig: &mut Rig) {
        let beat = self.ask(rig).unwrap_or_else(|refusal| panic!("{}: {refusal}", self.id));
        self.take(&beat);
    }
}

/// Lets all clients send heartbeats until nothing changes.
fn settle(rig: &mut Rig, clients: &mut [Client]) {
    for _ in 0..10 {
        clients.iter_mut().for_each(|client| client.turn(rig));
    }
    assert_eq!(rig.state(), Some(GroupState::Stable));
}

fn shares(clients: &[Client]) -> Vec<usize> {
    clients.iter().map(|client| client.held.len()).collect()
}

fn rig(partitions: u32) -> Rig {
    let mut rig = Rig::new(CoordinatorSettings::default());
    rig.topics.set("t", partitions);
    rig
}

#[test]
fn partitions_move_when_they_have_been_given_back() {
    let mut rig = rig(4);
    let mut a = Client::new("a", &["t"]);
    let beat = a.ask(&mut rig).expect("joins");
    assert_eq!((beat.epoch, beat.heartbeat_interval), (1, 5_000));
    a.take(&beat);
    assert_eq!(a.held.len(), 4);
    let mut b = Client::new("b", &["t"]);
    b.turn(&mut rig);
    assert_eq!((b.epoch, b.held.len()), (2, 0), "nothing is free yet");
    assert_eq!(rig.state(), Some(GroupState::Reconciling));
    // It hears of it, and still holds all four.
    let told = a.ask(&mut rig).expect("stays");
    assert_eq!(told.epoch, 1, "the new epoch comes with giving back");
    b.turn(&mut rig);
    assert_eq!(b.held.len(), 0);
    a.take(&told);
    assert_eq!(a.held.len(), 2);
    a.turn(&mut rig);
    assert_eq!(a.epoch, 2);
    b.turn(&mut rig);
    assert_eq!(b.held.len(), 2);
    assert!(a.held.is_disjoint(&b.held));
    assert_eq!(rig.state(), Some(GroupState::Stable));
}

#[test]
fn a_heartbeat_that_changes_nothing_writes_nothing() {
    let mut rig = rig(4);
    let mut clients = [Client::new("a", &["t"]), Client::new("b", &["t"])];
    settle(&mut rig, &mut clients);
    let records = rig.log.len();
    for _ in 0..5 {
        let mut beat = clients[0].beat();
        (beat.topics, beat.owned, beat.rebalance_timeout) = (None, None, -1);
        let Response::ConsumerHeartbeat(Ok(told)) = rig.now(Request::ConsumerHeartbeat(beat)) else { panic!("no") };
        assert_eq!((told.epoch, told.assignment), (clients[0].epoch, None));
    }
    assert_eq!(rig.log.len(), records);
}

#[test]
fn who_goes_leaves_its_share_to_the_others() {
    let mut rig = rig(6);
    let mut clients = [Client::new("a", &["t"]), Client::new("b", &["t"]), Client::new("c", &["t"])];
    settle(&mut rig, &mut clients);
    assert_eq!(shares(&clients), [2, 2, 2]);
    let mut gone = clients[2].clone();
    gone.epoch = -1;
    assert_eq!(gone.ask(&mut rig).map(|beat| beat.epoch), Ok(-1));
    assert_eq!(clients[2].ask(&mut rig).map(drop), Err(Refusal::UnknownMemberId));
    settle(&mut rig, &mut clients[..2]);
    assert_eq!(shares(&clients[..2]), [3, 3]);
    for client in &mut clients[..2] {
        client.epoch = -1;
        client.ask(&mut rig).expect("leaves");
    }
    assert_eq!(rig.state(), Some(GroupState::Empty));
    clients[0].epoch = -1;
    assert_eq!(clients[0].ask(&mut rig).map(drop), Err(Refusal::UnknownMemberId));
}

#[test]
fn who_is_silent_is_given_up_and_so_is_who_gives_nothing_back() {
    let mut rig = rig(4);
    let mut clients = [Client::new("a", &["t"]), Client::new("b", &["t"])];
    settle(&mut rig, &mut clients);
    rig.pass(44_000);
    clients[0].turn(&mut rig);
    rig.pass(2_000);
    clients[0].turn(&mut rig);
    assert_eq!(clients[0].held.len(), 4);
    // The other one comes back, and the first one keeps what it is to give back.
    let mut b = Client::new("b", &["t"]);
    b.turn(&mut rig);
    for _ in 0..6 {
        assert_eq!(clients[0].ask(&mut rig).map(|beat| beat.epoch), Ok(clients[0].epoch), "it is not forced at once");
        b.turn(&mut rig);
        assert_eq!(b.held.len(), 0);
        rig.pass(9_900);
    }
    rig.pass(1_000);
    assert_eq!(clients[0].ask(&mut rig).map(drop), Err(Refusal::UnknownMemberId));
    b.turn(&mut rig);
    assert_eq!(b.held.len(), 4);
}

/// The answer to a join gets lost, and the member joins again with its id, also when time has gone on meanwhile.
/// While the disk is full no heartbeat is taken up, and nobody is to be given up for it when there is room again.
#[test]
fn the_time_of_who_is_put_off_does_not_run_out() {
    let mut rig = rig(2);
    let mut clients = [Client::new("a", &["t"]), Client::new("b", &["t"])];
    clients[0].turn(&mut rig);
    clients[1].turn(&mut rig);
    // Asked to give one back, which it does at once, but cannot say.
    clients[0].turn(&mut rig);
    assert_eq!(clients[0].held.len(), 1);
    let silent = Client::new("silent", &["t"]).ask(&mut rig);
    assert!(silent.is_ok());
    for _ in 0..20 {
        // No timer is looked at, either.
        rig.now.mono = rig.now.mono.plus_ms(5_000);
        clients.iter().for_each(|client| rig.put_off(&client.beat()));
    }
    rig.pass(1);
    settle(&mut rig, &mut clients);
    assert_eq!(shares(&clients), [1, 1]);
    let other = Client { epoch: 1, ..Client::new("silent", &["t"]) }.ask(&mut rig);
    assert_eq!(other.map(drop), Err(Refusal::UnknownMemberId), "who says nothing is given up");
}

#[test]
fn a_member_whose_answers_get_lost_is_not_fenced() {
    let mut rig = rig(4);
    let mut a = Client::new("a", &["t"]);
    for _ in 0..3 {
        assert_eq!(a.ask(&mut rig).map(|beat| beat.epoch), Ok(1));
        let epochs = rig.log.iter().filter(|record| matches!(record, Record::ConsumerGroup { .. })).count();
        assert_eq!(epochs, 1, "one join, however often it is said");
    }
    rig.topics.set("t", 5);
    assert_eq!(a.ask(&mut rig).map(|beat| beat.epoch), Ok(2));
    let again = a.ask(&mut rig).expect("begins anew");
    a.take(&again);
    assert_eq!((a.epoch, a.held.len()), (2, 5));
    // An answer with a new epoch gets lost: the next heartbeat comes with the old one.
    rig.topics.set("t", 6);
    assert_eq!(a.ask(&mut rig).map(|beat| beat.epoch), Ok(3));
    let again = a.ask(&mut rig).expect("one behind is no crime");
    assert!(again.assignment.is_some(), "and it is told again what it has");
    a.take(&again);
    assert_eq!((a.epoch, a.held.len()), (3, 6));
    for wrong in [1, 4, i32::MAX] {
        let mut other = a.clone();
        other.epoch = wrong;
        assert_eq!(other.ask(&mut rig).map(drop), Err(Refusal::FencedMemberEpoch));
    }
    let mut liar = a.clone();
    (liar.epoch, liar.held) = (2, [(rig.topics.id("t"), 7)].into());
    assert_eq!(liar.ask(&mut rig).map(drop), Err(Refusal::FencedMemberEpoch), "it holds what nobody gave it");
}

#[test]
fn a_static_member_finds_its_partitions_where_it_left_them() {
    let mut rig = rig(4);
    let mut a = Client { instance: Some(text("i")), ..Client::new("a", &["t"]) };
    let mut clients = [a.clone(), Client::new("b", &["t"])];
    settle(&mut rig, &mut clients);
    a = clients[0].clone();
    let held = a.held.clone();
    let mut other = Client { instance: Some(text("i")), ..Client::new("a2", &["t"]) };
    assert_eq!(other.ask(&mut rig).map(drop), Err(Refusal::UnreleasedInstanceId));
    a.epoch = -2;
    assert_eq!(a.ask(&mut rig).map(|beat| beat.epoch), Ok(-2));
    let late = Client { epoch: 1, ..a.clone() }.ask(&mut rig);
    assert_eq!(late.map(drop), Err(Refusal::FencedMemberEpoch), "what it had sent before does not bring it back");
    clients[1].turn(&mut rig);
    assert_eq!(clients[1].held.len(), 2, "they stay its own for a session");
    rig.restart();
    let epoch = clients[1].epoch;
    other.turn(&mut rig);
    assert_eq!((&other.held, other.epoch), (&held, epoch), "no new epoch is needed for that");
    a.epoch = epoch;
    assert_eq!(a.ask(&mut rig).map(drop), Err(Refusal::FencedInstanceId));
    // Gone for good.
    other.epoch = -2;
    other.ask(&mut rig).expect("leaves");
    for _ in 0..10 {
        rig.pass(5_000);
        clients[1].turn(&mut rig);
    }
    assert_eq!(clients[1].held.len(), 4);
}

#[test]
fn topics_come_grow_and_go() {
    let mut rig = rig(2);
    let mut clients = [Client::new("a", &["t", "u"]), Client::new("b", &["t", "u"])];
    settle(&mut rig, &mut clients);
    assert_eq!(shares(&clients), [1, 1]);
    rig.topics.set("u", 4);
    settle(&mut rig, &mut clients);
    assert_eq!(shares(&clients), [3, 3]);
    rig.topics.set("t", 4);
    settle(&mut rig, &mut clients);
    assert_eq!(shares(&clients), [4, 4]);
    rig.topics.set("u", 0);
    settle(&mut rig, &mut clients);
    assert_eq!(shares(&clients), [2, 2]);
    // Another topic of the same name is another topic.
    rig.topics.set("t", 0);
    rig.topics.set("t", 2);
    settle(&mut rig, &mut clients);
    let t = rig.topics.id("t");
    assert!(clients.iter().all(|client| client.held.len() == 1 && client.held.iter().all(|(topic, _)| *topic == t)));
    clients[0].topics = Vec::new();
    clients[0].regex = Some(text("nothing"));
    settle(&mut rig, &mut clients);
    assert_eq!(shares(&clients), [0, 2]);
}

#[test]
fn patterns_match_whole_names_and_topics_to_come() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    for name in ["orders-1", "orders-22", "orders", "my-orders-1"] {
        rig.topics.set(name, 1);
    }
    let mut a = Client { regex: Some(text(r"orders-\d+|payments")), ..Client::new("a", &[]) };
    a.turn(&mut rig);
    let held: Vec<TopicId> = a.held.iter().map(|(topic, _)| *topic).collect();
    assert_eq!(held, [rig.topics.id("orders-1"), rig.topics.id("orders-22")]);
    rig.restart();
    rig.topics.set("payments", 3);
    rig.pass(11_000);
    a.turn(&mut rig);
    assert_eq!(a.held.len(), 5);
    for wrong in ["(", "a)|(b", "(?<=a)b", r"(a)\1", &"(".repeat(2_000), &"a".repeat(5_000), "((a{100}){100}){100}"] {
        a.regex = Some(text(wrong));
        assert_eq!(a.ask(&mut rig).map(drop), Err(Refusal::InvalidRegularExpression), "{wrong}");
    }
    a.regex = Some(text(""));
    a.topics = vec![text("orders")];
    a.turn(&mut rig);
    a.turn(&mut rig);
    assert_eq!(a.held.len(), 1);
    let tombstone = |record: &Record| matches!(record, Record::RegularExpression { value: None, .. });
    assert!(rig.log.iter().any(tombstone), "a pattern that nobody has is forgotten");
}

#[test]
fn patterns_find_topics_that_are_made_when_another_process_counts_versions_anew() {
    for before in 0..8 {
        let mut rig = Rig::new(CoordinatorSettings::default());
        (0..4).for_each(|n| rig.topics.set(&format!("t-{n}"), 1));
        let mut a = Client { regex: Some(text("t-.*")), ..Client::new("a", &[]) };
        a.turn(&mut rig);
        assert_eq!(a.held.len(), 4);
        rig.restart();
        rig.topics.count_from(before);
        rig.pass(11_000);
        a.turn(&mut rig);
        rig.topics.set("t-4", 1);
        rig.pass(11_000);
        a.turn(&mut rig);
        assert_eq!(a.held.len(), 5, "it counts from {before}");
    }
}

#[test]
fn patterns_find_topics_that_came_while_the_coordinator_was_away() {
    for before in 0..8 {
        let mut rig = Rig::new(CoordinatorSettings::default());
        (0..4).for_each(|n| rig.topics.set(&format!("t-{n}"), 1));
        let mut a = Client { regex: Some(text("t-.*")), ..Client::new("a", &[]) };
        a.turn(&mut rig);
        rig.restart();
        rig.topics.count_from(before);
        rig.topics.set("t-4", 1);
        rig.pass(11_000);
        a.turn(&mut rig);
        assert_eq!(a.held.len(), 5, "it counts from {before}");
    }
}

/// Kafka's own consumers join with an empty subscription when they have been told of none.
#[test]
fn a_member_may_want_nothing_and_something_later() {
    let mut rig = rig(2);
    let mut a = Client::new("a", &[]);
    a.turn(&mut rig);
    assert_eq!((a.held.len(), a.epoch), (0, 1));
    a.topics = vec![text("t")];
    a.turn(&mut rig);
    a.turn(&mut rig);
    assert_eq!(a.held.len(), 2);
}

fn refused(rig: &mut Rig, change: impl FnOnce(&mut ConsumerHeartbeat)) -> Refusal {
    let mut beat = Client::new("a", &["t"]).beat();
    change(&mut beat);
    match rig.now(Request::ConsumerHeartbeat(beat)) {
        Response::ConsumerHeartbeat(Err(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn heartbeats_that_make_no_sense_are_refused_and_leave_nothing() {
    let mut rig = rig(1);
    assert_eq!(refused(&mut rig, |beat| beat.group = text(" ")), Refusal::InvalidRequest);
    assert_eq!(refused(&mut rig, |beat| beat.member = text("")), Refusal::InvalidRequest);
    assert_eq!(refused(&mut rig, |beat| beat.instance = Some(text(""))), Refusal::InvalidRequest);
    assert_eq!(refused(&mut rig, |beat| beat.rack = Some(text("\t"))), Refusal::InvalidRequest);
    assert_eq!(refused(&mut rig, |beat| beat.topics = None), Refusal::InvalidRequest);
    assert_eq!(refused(&mut rig, |beat| beat.rebalance_timeout = -1), Refusal::InvalidRequest);
    assert_eq!(refused(&mut rig, |beat| beat.owned = None), Refusal::InvalidRequest);
    assert_eq!(refused(&mut rig, |beat| beat.owned = Some(vec![(TopicId(1), vec![0])])), Refusal::InvalidRequest);
    assert_eq!(refused(&mut rig, |beat| beat.epoch = -3), Refusal::InvalidRequest);
    assert_eq!(refused(&mut rig, |beat| beat.epoch = -2), Refusal::InvalidRequest);
    assert_eq!(refused(&mut rig, |beat| beat.epoch = i32::MIN), Refusal::InvalidRequest);
    assert_eq!(refused(&mut rig, |beat| beat.epoch = -1), Refusal::GroupIdNotFound);
    assert_eq!(refused(&mut rig, |beat| beat.epoch = 1), Refusal::GroupIdNotFound);
    assert_eq!(refused(&mut rig, |beat| beat.assignor = Some(text("best"))), Refusal::UnsupportedAssignor);
    assert_eq!(refused(&mut rig, |beat| beat.regex = Some(text("("))), Refusal::InvalidRegularExpression);
    let huge = |beat: &mut ConsumerHeartbeat| beat.topics = Some(vec![text(&"x".repeat(100)); 20_000]);
    assert_eq!(refused(&mut rig, huge), Refusal::InvalidRequest);
    assert_eq!((rig.coordinator.groups(), rig.log.len()), (0, 0));
    let mut full = Rig::new(CoordinatorSettings { consumer_group_max_size: 1, ..CoordinatorSettings::default() });
    Client::new("a", &["t"]).turn(&mut full);
    assert_eq!(refused(&mut full, |beat| beat.member = text("b")), Refusal::GroupMaxSizeReached);
    assert_eq!(refused(&mut full, |beat| (beat.member, beat.epoch) = (text("b"), 1)), Refusal::UnknownMemberId);
}

#[test]
fn offsets_are_committed_by_members_in_their_epoch() {
    let mut rig = rig(4);
    let mut clients = [Client::new("a", &["t"]), Client::new("b", &["t"])];
    settle(&mut rig, &mut clients);
    let t = rig.topics.id("t");
    let of = |rig: &mut Rig, member: &Text, epoch: i32, partition: i32, knows_epochs: bool| {
        let mut commit: Commit = committing("g", member, epoch, "t", 7);
        commit.knows_epochs = knows_epochs;
        commit.topics[0].id = t;
        commit.topics[0].partitions[0].index = partition;
        match rig.now(Request::Commit(commit)) {
            Response::Commit(result) => result.map(drop),
            other => panic!("{other:?}"),
        }
    };
    let (a, epoch) = (clients[0].id.clone(), clients[0].epoch);
    let mine = clients[0].held.first().expect("holds two").1;
    let others = clients[1].held.first().expect("holds two").1;
    assert_eq!(of(&mut rig, &a, epoch, mine, true), Ok(()));
    assert_eq!(of(&mut rig, &a, epoch, mine, false), Err(Refusal::UnsupportedVersion));
    assert_eq!(of(&mut rig, &a, epoch + 1, mine, true), Err(Refusal::StaleMemberEpoch));
    assert_eq!(of(&mut rig, &text(""), -1, mine, true), Err(Refusal::UnknownMemberId));
    assert_eq!(of(&mut rig, &text("x"), epoch, mine, true), Err(Refusal::UnknownMemberId));
    // A new epoch is on its way to it: what it has held since the old one it may still commit.
    rig.topics.set("t", 5);
    clients[0].ask(&mut rig).expect("is told");
    assert_eq!(of(&mut rig, &a, epoch, mine, true), Ok(()));
    assert_eq!(of(&mut rig, &a, epoch, others, true), Err(Refusal::StaleMemberEpoch));
    assert_eq!(of(&mut rig, &a, -1, mine, true), Err(Refusal::StaleMemberEpoch));
    assert_eq!(rig.offset("t").is_some(), mine == 0);
}

#[test]
fn a_group_without_members_changes_its_protocol_and_keeps_its_offsets() {
    let mut rig = rig(1);
    assert_eq!(rig.commit(&text(""), -1, "t", 5), Ok(()));
    let ids = rig.stable(&["a"]);
    assert_eq!(rig.leave(&ids[0]), Ok(()));
    let mut a = Client::new("a", &["t"]);
    a.turn(&mut rig);
    assert_eq!(rig.offset("t"), Some(5));
    a.epoch = -1;
    a.ask(&mut rig).expect("leaves");
    rig.stable(&["b"]);
    assert_eq!(rig.offset("t"), Some(5));
}

#[test]
fn a_group_is_described_and_deleted() {
    let mut rig = rig(2);
    let mut clients = [Client::new("a", &["t"])];
    settle(&mut rig, &mut clients);
    let groups = || vec![text("g"), text("h")];
    let Response::ConsumerDescribe(described) = rig.now(Request::ConsumerDescribe { groups: groups() }) else {
        panic!("another answer")
    };
    assert_eq!(described[1].1, Err(Refusal::GroupIdNotFound));
    let group = described[0].1.as_ref().expect("is there");
    assert_eq!(
        (group.state, group.epoch, group.assignment_epoch, &*group.assignor),
        (GroupState::Stable, 1, 1, "uniform")
    );
    let member = &group.members[0];
    assert_eq!((&*member.id, member.epoch, member.assignment[0].partitions.len()), ("a", 1, 2));
    assert_eq!(member.assignment, member.target);
    let delete = |rig: &mut Rig| match rig.now(Request::DeleteGroups { groups: groups() }) {
        Response::DeleteGroups(results) => results[0].1,
        other => panic!("{other:?}"),
    };
    assert_eq!(delete(&mut rig), Err(Refusal::NonEmptyGroup));
    clients[0].epoch = -1;
    clients[0].ask(&mut rig).expect("leaves");
    assert_eq!(delete(&mut rig), Ok(()));
    assert_eq!((rig.coordinator.groups(), rig.coordinator.bytes()), (0, 0));
    rig.restart();
    assert_eq!(rig.coordinator.groups(), 0);
}

#[test]
fn a_groups_own_settings_go_before_the_servers() {
    let mut rig = rig(2);
    rig.topics.config = GroupConfig { session_timeout_ms: Some(50_000), heartbeat_interval_ms: Some(700) };
    let mut a = Client::new("a", &["t"]);
    assert_eq!(a.ask(&mut rig).map(|beat| beat.heartbeat_interval), Ok(700));
    rig.pass(49_000);
    assert_eq!(rig.state(), Some(GroupState::Stable));
    rig.pass(2_000);
    assert_eq!(rig.state(), Some(GroupState::Empty));
}

#[test]
fn memory_is_bounded_and_small() {
    let mut rig = rig(6);
    let mut clients = [Client::new("a", &["t"]), Client::new("b", &["t"]), Client::new("c", &["t"])];
    settle(&mut rig, &mut clients);
    let bytes = rig.coordinator.bytes();
    assert!(bytes < 6 << 10, "{bytes} bytes for a group of three");
    // Who has joined may not grow without bound either.
    let mut small = Rig::new(CoordinatorSettings { bytes_max: 1_000, ..CoordinatorSettings::default() });
    small.topics.set("t", 1);
    let mut a = Client::new("a", &["t"]);
    a.turn(&mut small);
    let Response::Refused(refusal) = small.now(Request::ConsumerHeartbeat(a.beat())) else { panic!("taken") };
    assert_eq!(refusal, Refusal::CoordinatorNotAvailable);
    let mut short = a.beat();
    (short.topics, short.owned, short.rebalance_timeout) = (None, None, -1);
    let Response::ConsumerHeartbeat(Ok(_)) = small.now(Request::ConsumerHeartbeat(short)) else { panic!("refused") };
}

#[test]
fn most_members_choose_the_assignor() {
    let mut rig = rig(4);
    let mut clients = [Client::new("a", &["t"]), Client::new("b", &["t"])];
    let mut beat = clients[0].beat();
    beat.assignor = Some(text("range"));
    rig.now(Request::ConsumerHeartbeat(beat));
    clients[0].turn(&mut rig);
    settle(&mut rig, &mut clients);
    let of_a: Vec<i32> = clients[0].held.iter().map(|(_, partition)| *partition).collect();
    assert_eq!(of_a, [0, 1]);
}
