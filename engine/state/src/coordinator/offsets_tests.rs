//! Offsets: who may commit, what is fetched, what is forgotten and when.

use super::record::Record;
use super::request::{CommitPartition, CommitTopic, DeleteOffsets, Fetch, List, Request};
use super::response::{GroupState, Refusal, Response};
use super::rig::{Rig, committing, joining, text};
use super::{CoordinatorSettings, Reading, Text};
use std::collections::BTreeSet;

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

fn nobody() -> Text {
    text("")
}

/// Partitions of a topic and their offsets.
type OfTopic = (String, Vec<(i32, Option<i64>)>);

fn fetched(rig: &mut Rig, group: &str, topics: Option<&[(&str, &[i32])]>) -> Vec<OfTopic> {
    let topics = topics.map(|topics| topics.iter().map(|(topic, p)| (text(topic), p.to_vec())).collect());
    match rig.now(Request::Fetch(Fetch { group: text(group), member: None, epoch: -1, topics })) {
        Response::Fetch { result: Ok(topics), .. } => {
            let offsets = |partitions: Vec<super::response::FetchedOffset>| {
                partitions.into_iter().map(|p| (p.partition, p.committed.map(|c| c.offset))).collect()
            };
            topics.into_iter().map(|(topic, partitions)| (topic.to_string(), offsets(partitions))).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_committed_is_fetched() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    assert_eq!(fetched(&mut rig, "g", None), [], "a group that nobody knows has committed nothing");
    assert_eq!(rig.commit(&nobody(), -1, "t", 5), Ok(()));
    assert_eq!(rig.commit(&nobody(), -1, "u", 6), Ok(()));
    assert_eq!(rig.commit(&nobody(), -1, "t", 4), Ok(()), "also backwards, if that is asked for");
    let t = |offset| ("t".to_string(), vec![(0, offset)]);
    assert_eq!(fetched(&mut rig, "g", None), [t(Some(4)), ("u".to_string(), vec![(0, Some(6))])]);
    let some = fetched(&mut rig, "g", Some(&[("t", &[0, 1]), ("v", &[7])]));
    assert_eq!(some, [("t".to_string(), vec![(0, Some(4)), (1, None)]), ("v".to_string(), vec![(7, None)])]);
    rig.restart();
    assert_eq!(fetched(&mut rig, "g", Some(&[("t", &[0])])), [t(Some(4))]);
    assert_eq!(fetched(&mut rig, "h", Some(&[("t", &[0])])), [t(None)]);
}

/// Offset 100 n + m for partition m of topic n, of 10, for every second m of 30; the topics' names.
fn commit_many(rig: &mut Rig, group: &str) -> Vec<Text> {
    let names: Vec<Text> = (0..10).map(|n| text(&format!("t{n}"))).collect();
    let mut commit = committing(group, &nobody(), -1, "t", 0);
    let topic = |(n, name): (i64, &Text)| {
        let partition = |index: i32| CommitPartition {
            index,
            offset: 100 * n + i64::from(index),
            leader_epoch: -1,
            metadata: text(""),
        };
        CommitTopic {
            name: name.clone(),
            partitions: (0..30).step_by(2).map(partition).collect(),
            ..commit.topics[0].clone()
        }
    };
    commit.topics = (0..).zip(&names).map(topic).collect();
    assert!(matches!(rig.now(Request::Commit(commit)), Response::Commit(Ok(_))));
    names
}

#[test]
fn offsets_that_are_read_some_at_a_time_are_those_that_are_read_at_once() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    let names = commit_many(&mut rig, "g");
    let all: Vec<(Text, Vec<i32>)> = names.iter().map(|name| (name.clone(), (0..30).collect())).collect();
    let odd = vec![
        (names[3].clone(), vec![4, 4, 5, 99]),
        (text("nobody's"), vec![1, 2]),
        (names[1].clone(), vec![]),
        (names[3].clone(), vec![0]),
    ];
    for topics in [None, Some(all), Some(odd), Some(vec![])] {
        for group in ["g", "h"] {
            let fetch = Fetch { group: text(group), member: None, epoch: -1, topics: topics.clone() };
            let Response::Fetch { result: Ok(whole), .. } = rig.now(Request::Fetch(fetch.clone())) else {
                panic!("it may be fetched")
            };
            for piece in [1, 2, 7, 15, 16, 1_000] {
                let (mut reading, mut turns) = (Reading::default(), 1);
                while !rig.coordinator.fetch_on(&fetch, &mut reading, &mut { piece }) {
                    turns += 1;
                }
                let told = reading.into_told();
                assert_eq!(told, whole, "{group}, {piece} at a time");
                let offsets: usize = told.iter().map(|(_, partitions)| partitions.len()).sum();
                assert!(turns >= offsets / piece, "{turns} times for {offsets}");
            }
        }
    }
    let asked = |topics| rig.coordinator.offsets_asked(&Fetch { group: text("g"), member: None, epoch: -1, topics });
    assert_eq!((asked(None), asked(Some(vec![(text("t"), vec![1, 2])]))), (150, 3));
}

#[test]
fn how_far_groups_have_come_is_looked_at_from_anywhere() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    for group in ["a", "b", "c"] {
        commit_many(&mut rig, group);
    }
    let coordinator = &rig.coordinator;
    let names =
        |behind: Option<&Text>| coordinator.progress(behind).map(|group| group.id().to_string()).collect::<Vec<_>>();
    let all = names(None);
    assert_eq!(all.iter().collect::<BTreeSet<_>>(), ["a", "b", "c"].map(String::from).iter().collect());
    for (at, name) in all.iter().enumerate() {
        assert_eq!(names(Some(&text(name))), all[at + 1..], "behind {name}");
    }
    assert!(all.ends_with(&names(Some(&text("bb")))), "behind one that is not there");
    let group = coordinator.progress_of(&text("b")).expect("it is there");
    let all: Vec<(Text, i32, i64)> =
        group.offsets(None).map(|(topic, index, offset)| (topic.clone(), index, offset)).collect();
    assert_eq!((all.len(), group.offsets_len()), (150, 150));
    for (at, (topic, index, _)) in all.iter().enumerate() {
        let rest: Vec<(Text, i32, i64)> = group
            .offsets(Some(&(topic.clone(), *index)))
            .map(|(topic, index, offset)| (topic.clone(), index, offset))
            .collect();
        assert_eq!(rest, all[at + 1..], "behind {topic} {index}");
    }
    assert_eq!(
        group.offsets(Some(&(text("t0"), 27))).next().map(|(topic, index, _)| (&**topic, index)),
        Some(("t0", 28))
    );
    assert_eq!(
        group.offsets(Some(&(text("t00"), 3))).next().map(|(topic, index, _)| (&**topic, index)),
        Some(("t1", 0))
    );
}

#[test]
fn only_members_of_this_generation_commit() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    assert_eq!(rig.commit(&text("m"), 3, "t", 1), Err(Refusal::GroupIdNotFound));
    let mut old = committing("g", &text("m"), 3, "t", 1);
    old.knows_epochs = false;
    assert_eq!(rig.now(Request::Commit(old)), Response::Commit(Err(Refusal::IllegalGeneration)));
    assert_eq!(rig.coordinator.groups(), 0);
    let ids = rig.stable(&["a", "b"]);
    assert_eq!(rig.commit(&ids[0], 1, "t", 1), Ok(()));
    assert_eq!(rig.commit(&ids[0], 0, "t", 9), Err(Refusal::IllegalGeneration));
    assert_eq!(rig.commit(&ids[0], 2, "t", 9), Err(Refusal::IllegalGeneration));
    assert_eq!(rig.commit(&ids[0], -1, "t", 9), Err(Refusal::IllegalGeneration));
    assert_eq!(rig.commit(&text("m"), 1, "t", 9), Err(Refusal::UnknownMemberId));
    assert_eq!(rig.commit(&nobody(), -1, "t", 9), Err(Refusal::UnknownMemberId), "not beside its members");
    let mut fenced = committing("g", &ids[0], 1, "t", 9);
    fenced.instance = Some(text("i"));
    assert_eq!(rig.now(Request::Commit(fenced)), Response::Commit(Err(Refusal::UnknownMemberId)));
    assert_eq!(rig.offset("t"), Some(1));
    ids.iter().for_each(|id| assert_eq!(rig.leave(id), Ok(())));
    assert_eq!(rig.commit(&ids[0], 1, "t", 9), Err(Refusal::UnknownMemberId));
    assert_eq!(rig.commit(&nobody(), -1, "t", 9), Ok(()), "an administrator, once nobody is in it");
}

#[test]
fn a_commit_is_a_sign_of_life() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    let ids = rig.stable(&["a"]);
    for offset in 0..10 {
        rig.pass(9_000);
        assert_eq!(rig.commit(&ids[0], 1, "t", offset), Ok(()));
    }
}

#[test]
fn metadata_has_a_largest_length_for_each_partition_apart() {
    let mut rig = Rig::new(CoordinatorSettings { offset_metadata_max_bytes: 3, ..CoordinatorSettings::default() });
    let mut commit = committing("g", &nobody(), -1, "t", 1);
    let mut add = |index, metadata: &str| {
        let mut partition = commit.topics[0].partitions[0].clone();
        (partition.index, partition.metadata) = (index, text(metadata));
        commit.topics[0].partitions.push(partition);
    };
    add(1, "äöü");
    add(2, "abcd");
    let Response::Commit(Ok(topics)) = rig.now(Request::Commit(commit)) else { panic!("refused") };
    assert_eq!(topics[0].1, [(0, Ok(())), (1, Ok(())), (2, Err(Refusal::OffsetMetadataTooLarge))]);
    let all = fetched(&mut rig, "g", None);
    assert_eq!(all[0].1, [(0, Some(1)), (1, Some(1))]);
}

fn deleted(rig: &mut Rig, topic: &str) -> Result<(), Refusal> {
    let topics = vec![(text(topic), vec![0, 1])];
    match rig.now(Request::DeleteOffsets(DeleteOffsets { group: text("g"), topics })) {
        Response::DeleteOffsets(result) => result.map(|topics| topics[0].1.clone()).and_then(|partitions| {
            assert_eq!((partitions[0].0, partitions[1].0), (0, 1));
            partitions[0].1
        }),
        other => panic!("{other:?}"),
    }
}

#[test]
fn offsets_of_topics_that_are_consumed_are_not_deleted() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    assert_eq!(deleted(&mut rig, "t"), Err(Refusal::GroupIdNotFound));
    let ids = rig.stable(&["a"]);
    assert_eq!(rig.commit(&ids[0], 1, "t", 1), Ok(()));
    assert_eq!(rig.commit(&ids[0], 1, "u", 1), Ok(()));
    assert_eq!(deleted(&mut rig, "t"), Err(Refusal::GroupSubscribedToTopic));
    assert_eq!(deleted(&mut rig, "u"), Ok(()));
    assert_eq!((rig.offset("t"), rig.offset("u")), (Some(1), None));
    assert_eq!(rig.leave(&ids[0]), Ok(()));
    assert_eq!(deleted(&mut rig, "t"), Ok(()));
    assert_eq!(rig.offset("t"), None);
}

/// The members of other kinds of groups do not say what they consume in a way that a coordinator could read.
#[test]
fn offsets_of_a_group_of_another_kind_are_not_deleted_while_it_has_members() {
    let mut rig = Rig::new(CoordinatorSettings { initial_rebalance_delay_ms: 0, ..CoordinatorSettings::default() });
    assert_eq!(rig.commit(&nobody(), -1, "t", 1), Ok(()));
    let id = rig.id("a");
    let mut join = joining("a", &id);
    join.protocol_type = text("connect");
    let ticket = rig.ask(Request::Join(join));
    rig.joined(ticket);
    assert_eq!(deleted(&mut rig, "t"), Err(Refusal::NonEmptyGroup));
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    for group in ["g", "h"] {
        for topic in ["t", "u"] {
            rig.now(Request::Commit(committing(group, &nobody(), -1, topic, 1)));
        }
    }
    rig.now(Request::Commit(committing("i", &nobody(), -1, "t", 1)));
    rig.topic_deleted("t");
    let u = ("u".to_string(), vec![(0, Some(1))]);
    assert_eq!((fetched(&mut rig, "g", None), fetched(&mut rig, "h", None)), (vec![u.clone()], vec![u]));
    assert_eq!(rig.coordinator.groups(), 2, "nothing is left of the third");
    let tombstones = rig.log.iter().filter(|record| record.is_tombstone()).count();
    assert_eq!(tombstones, 3);
}

#[test]
fn groups_are_deleted_with_all_that_is_theirs() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    let ids = rig.stable(&["a"]);
    assert_eq!(rig.commit(&ids[0], 1, "t", 1), Ok(()));
    let delete = |rig: &mut Rig| match rig.now(Request::DeleteGroups { groups: vec![text("g"), text("h")] }) {
        Response::DeleteGroups(results) => [results[0].1, results[1].1],
        other => panic!("{other:?}"),
    };
    let unknown = Err(Refusal::GroupIdNotFound);
    assert_eq!(delete(&mut rig), [Err(Refusal::NonEmptyGroup), unknown]);
    assert_eq!(rig.leave(&ids[0]), Ok(()));
    assert_eq!(delete(&mut rig), [Ok(()), unknown]);
    assert_eq!(delete(&mut rig), [unknown, unknown]);
    assert!(matches!(rig.log.last(), Some(Record::Group { value: None, .. })), "the group's own tombstone is the last");
    assert_eq!((rig.coordinator.groups(), rig.coordinator.bytes()), (0, 0));
    rig.restart();
    assert_eq!(rig.coordinator.groups(), 0);
}

#[test]
fn an_empty_group_keeps_its_offsets_for_the_retention_from_when_it_became_empty() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    let ids = rig.stable(&["a"]);
    assert_eq!(rig.commit(&ids[0], 1, "t", 1), Ok(()));
    assert_eq!(rig.commit(&ids[0], 1, "gone", 1), Ok(()));
    for _ in 0..(8 * DAY / 9_000) {
        rig.pass_without_checks(9_000);
        rig.touch(&ids[0]);
    }
    assert_eq!(rig.offset("t"), Some(1), "however long: the group lives and consumes it");
    assert_eq!(rig.offset("gone"), None, "nobody consumes it, and it was committed 8 days ago");
    assert_eq!(rig.leave(&ids[0]), Ok(()));
    rig.restart();
    rig.pass(7 * DAY - MINUTE);
    assert_eq!(rig.offset("t"), Some(1));
    rig.pass(12 * MINUTE);
    assert_eq!(rig.coordinator.groups(), 0, "with its last offset the group goes");
}

#[test]
fn offsets_without_a_group_expire_by_their_own_time() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    assert_eq!(rig.commit(&nobody(), -1, "t", 1), Ok(()));
    rig.pass(4 * DAY);
    assert_eq!(rig.commit(&nobody(), -1, "u", 1), Ok(()));
    let mut short = committing("g", &nobody(), -1, "v", 1);
    short.retention = Some(60 * MINUTE as i64);
    rig.now(Request::Commit(short));
    rig.restart();
    rig.pass(61 * MINUTE);
    assert_eq!(rig.offset("v"), None, "its own retention was an hour, and looked at within ten minutes");
    rig.pass(3 * DAY);
    assert_eq!((rig.offset("t"), rig.offset("u")), (None, Some(1)));
    rig.pass(4 * DAY);
    assert_eq!(rig.coordinator.groups(), 0);
}

/// KAFKA-13636: what a group consumes is not known while it rebalances.
#[test]
fn nothing_expires_while_the_group_rebalances() {
    let mut rig = Rig::new(CoordinatorSettings { offsets_retention_ms: 1_000, ..CoordinatorSettings::default() });
    let ids = rig.stable(&["a", "b"]);
    assert_eq!(rig.commit(&ids[0], 1, "t", 1), Ok(()));
    let slow = rig.join("a", &ids[0]);
    assert_eq!(rig.state(), Some(GroupState::PreparingRebalance));
    rig.expire_now();
    assert_eq!(rig.offset("t"), Some(1));
    rig.pass(11_000);
    rig.joined(slow);
    assert_eq!(rig.state(), Some(GroupState::CompletingRebalance));
    rig.expire_now();
    assert_eq!(rig.offset("t"), Some(1));
}

#[test]
fn many_groups_are_looked_through_over_many_turns() {
    let mut rig = Rig::new(CoordinatorSettings { offsets_retention_ms: 1_000, ..CoordinatorSettings::default() });
    let ids: Vec<String> = (0..600).map(|n| format!("g{n}")).collect();
    for id in &ids {
        rig.quietly(Request::Commit(committing(id, &nobody(), -1, "t", 1)));
    }
    rig.pass(11 * MINUTE);
    assert_eq!(rig.coordinator.groups(), 0);
    assert_eq!(rig.log.iter().filter(|record| record.is_tombstone()).count(), 600);
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    rig.stable(&["a"]);
    rig.now(Request::Commit(committing("simple", &nobody(), -1, "t", 1)));
    let mut listed = |states: &[&str], types: &[&str]| {
        let words = |words: &[&str]| words.iter().map(|word| text(word)).collect();
        match rig.now(Request::List(List { states: words(states), types: words(types) })) {
            Response::List(groups) => groups.iter().map(|group| group.group.to_string()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(listed(&[], &[]), ["g", "simple"]);
    assert_eq!(listed(&["Empty"], &[]), ["simple"]);
    assert_eq!(listed(&[" stable ", "Dead"], &["CLASSIC"]), ["g"]);
    assert_eq!(listed(&[], &["consumer"]), [""; 0]);
    assert_eq!(listed(&["nonsense"], &[]), [""; 0]);
}

#[test]
fn a_group_is_described_with_its_members_assignments_only_while_it_is_stable() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    let ids = rig.stable(&["a"]);
    let described = |rig: &mut Rig| match rig.now(Request::Describe { groups: vec![text("g"), text("h")] }) {
        Response::Describe(mut groups) => {
            assert_eq!(groups[1].result, Err(Refusal::GroupIdNotFound));
            groups.swap_remove(0).result.expect("is there")
        }
        other => panic!("{other:?}"),
    };
    let group = described(&mut rig);
    assert_eq!((group.state, &*group.protocol_type, &*group.protocol), (GroupState::Stable, "consumer", "range"));
    let member = &group.members[0];
    assert_eq!((&member.id, &*member.client_id, &*member.assignment), (&ids[0], "a", &b"a"[..]));
    assert!(!member.metadata.is_empty());
    let b = rig.id("b");
    rig.join("b", &b);
    let group = described(&mut rig);
    assert_eq!((group.state, &*group.protocol, group.members.len()), (GroupState::PreparingRebalance, "", 2));
    assert!(group.members.iter().all(|member| member.metadata.is_empty() && member.assignment.is_empty()));
}
