//! What other threads ask of shards.

use super::rig::{Client, Rig, settings};
use super::verbs::{batch, large, name};
use super::znodes::Zk;
use super::zookeeper::{ephemeral, serving};
use crate::znodes::facts::{Detail, ListOf, ListPart, ListPlace};
use crate::{Finding, GroupProgress, Inquiry};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::*;
use torc_base::ids::{GroupId, Offset, ShardId};
use torc_base::io::Event;
use torc_base::limits::{TOPIC_METRICS_MAX, TURN_ITEMS};
use torc_net::kafka::{StrBytes, error};
use torc_net::zookeeper::Ask;

fn s(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn commit(rig: &mut Rig, client: Client, group: &str, offsets: &[(&str, i32, i64)]) {
    let topic = |&(name, partition, offset): &(&str, i32, i64)| {
        let part = OffsetCommitRequestPartition::default().with_partition_index(partition);
        let part = part.with_committed_offset(offset).with_committed_metadata(Some(s("")));
        OffsetCommitRequestTopic::default().with_name(s(name).into()).with_partitions(vec![part])
    };
    let request = OffsetCommitRequest::default()
        .with_group_id(s(group).into())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(offsets.iter().map(topic).collect());
    let answer = rig.ask(client, 8, &request);
    assert!(answer.topics.iter().flat_map(|topic| &topic.partitions).all(|part| part.error_code == error::NONE));
}

/// A turn without anything to do, as a shard makes it that is woken.
fn wake(rig: &mut Rig, shard: usize) {
    rig.inject(shard, Event::Turn);
    rig.turn(shard);
}

fn inquire(rig: &mut Rig, shard: usize, inquiry: Inquiry) -> Finding {
    let number = rig.stats(shard).inquiries.ask(inquiry);
    assert_eq!(rig.stats(shard).inquiries.take(number), None, "it is answered in a turn");
    wake(rig, shard);
    rig.stats(shard).inquiries.take(number).expect("a turn answers")
}

/// All groups of all shards, by name, and how many were left out.
fn groups(rig: &mut Rig, offsets_max: usize) -> (Vec<GroupProgress>, usize) {
    let (mut all, mut without) = (Vec::new(), 0);
    for shard in 0..rig.shards() {
        let Finding::Groups { groups, left_out } = inquire(rig, shard, Inquiry::Groups { offsets_max }) else {
            panic!("groups were asked for")
        };
        all.extend(groups);
        without += left_out;
    }
    all.sort_by(|a, b| a.group.cmp(&b.group));
    (all, without)
}

#[test]
fn groups_tell_what_they_have_committed_and_logs_where_they_end() {
    let mut rig = Rig::with(2, &settings());
    let client = rig.connect(0);
    let topic = CreatableTopic::default().with_name(s("t").into()).with_num_partitions(2).with_replication_factor(1);
    let created = rig.ask(client, 7, &CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(1_000));
    assert_eq!(created.topics[0].error_code, error::NONE);
    let (none, left_out) = groups(&mut rig, 100);
    assert!(none.is_empty() && left_out == 0);
    for group in ["a", "b", "c", "d"] {
        let found = rig.ask(client, 6, &FindCoordinatorRequest::default().with_coordinator_keys(vec![s(group)]));
        assert_eq!(found.coordinators[0].error_code, error::NONE);
        rig.run();
        commit(&mut rig, client, group, &[("t", 0, 1), ("t", 1, 2)]);
    }
    let (all, left_out) = groups(&mut rig, 100);
    assert_eq!((all.iter().map(|g| &*g.group).collect::<Vec<_>>(), left_out), (vec!["a", "b", "c", "d"], 0));
    let told: Vec<(&str, i32, i64, bool)> =
        all[0].offsets.iter().map(|o| (&*o.topic, o.partition, o.offset, o.log.is_some())).collect();
    assert_eq!(told, [("t", 0, 1, true), ("t", 1, 2, true)]);
    assert_eq!((all[0].members, all[0].state, all[0].kind), (0, "Empty", "classic"));
    // No more than there is room for, and whole groups.
    let (some, left_out) = groups(&mut rig, 3);
    assert_eq!(some.len() + left_out, 4);
    assert!(some.len() <= rig.shards() && some.iter().all(|group| group.offsets.len() == 2));
    assert_eq!(groups(&mut rig, 1), (Vec::new(), 4));
    // Ends are told by who owns the log.
    for offset in &all[0].offsets {
        let (owner, log) = offset.log.unwrap();
        let ask = |log| Inquiry::Ends(vec![log, GroupId(u64::MAX >> 8)]);
        let found = inquire(&mut rig, usize::from(owner.get()), ask(log));
        assert_eq!(found, Finding::Ends(vec![Some(Offset(0)), None]));
        let other = ShardId(1 - owner.get());
        assert_eq!(inquire(&mut rig, usize::from(other.get()), ask(log)), Finding::Ends(vec![None, None]));
    }
}

#[test]
fn an_answer_that_comes_late_is_not_taken_for_another() {
    let mut rig = Rig::with(1, &settings());
    let early = rig.stats(0).inquiries.ask(Inquiry::Ends(Vec::new()));
    wake(&mut rig, 0);
    let late = rig.stats(0).inquiries.ask(Inquiry::Groups { offsets_max: 1 });
    assert_eq!(rig.stats(0).inquiries.take(late), None);
    wake(&mut rig, 0);
    assert_eq!(rig.stats(0).inquiries.take(early), None);
    assert_eq!(rig.stats(0).inquiries.take(late), Some(Finding::Groups { groups: Vec::new(), left_out: 0 }));
}

/// What topics take on all shards together, and the turns that it took one of them to say so.
fn sizes(rig: &mut Rig) -> (Vec<(String, u64)>, u64, usize) {
    let (mut sums, mut rest, mut turns) = (std::collections::BTreeMap::new(), 0, 0);
    for shard in 0..rig.shards() {
        let number = rig.stats(shard).inquiries.ask(Inquiry::Sizes);
        let answer = (1..100).find_map(|turn| {
            wake(rig, shard);
            rig.stats(shard).inquiries.take(number).map(|finding| (turn, finding))
        });
        let Some((turn, Finding::Sizes { topics, others })) = answer else { panic!("sizes were asked for") };
        topics.into_iter().for_each(|(topic, bytes)| *sums.entry(topic).or_insert(0) += bytes);
        (rest, turns) = (rest + others, turns.max(turn));
    }
    (sums.into_iter().filter(|(topic, _)| !topic.starts_with("__")).collect(), rest, turns)
}

#[test]
fn topics_tell_what_they_take_in_the_log_over_turns() {
    let mut rig = Rig::with(2, &settings());
    let client = rig.connect(0);
    for (topic, partitions) in [("few", 2), ("many", 4 * TURN_ITEMS as i32)] {
        assert_eq!(rig.create(client, topic, partitions, &[]), 0);
    }
    let (none, rest, turns) = sizes(&mut rig);
    assert_eq!((none, rest), (vec![("few".to_string(), 0), ("many".to_string(), 0)], 0));
    // Who is woken has two turns here.
    assert!((2..=3).contains(&turns), "{turns} times for {} partitions on two shards", 4 * TURN_ITEMS);
    let mut bytes = [0, 0];
    for n in 0..20 {
        let (topic, partition) = if n % 2 == 0 { ("few", n / 2 % 2) } else { ("many", n * 97) };
        let batch = large(1_000 + n as usize);
        assert_eq!(rig.produce(client, -1, topic, partition, &batch).error_code, 0);
        bytes[n as usize % 2] += batch.len() as u64;
    }
    let (told, rest, _) = sizes(&mut rig);
    assert_eq!((told, rest), (vec![("few".to_string(), bytes[0]), ("many".to_string(), bytes[1])], 0));
    // One that is asked again begins anew; a topic that goes meanwhile takes nothing with it.
    let first = rig.stats(0).inquiries.ask(Inquiry::Sizes);
    wake(&mut rig, 0);
    let request = DeleteTopicsRequest::default().with_topic_names(vec![name("few")]).with_timeout_ms(1_000);
    assert_eq!(rig.ask(client, 5, &request).responses[0].error_code, error::NONE);
    let (told, rest, _) = sizes(&mut rig);
    assert_eq!((told, rest), (vec![("many".to_string(), bytes[1])], 0));
    assert_eq!(rig.stats(0).inquiries.take(first), None);
}

#[test]
fn topics_beyond_those_with_metrics_of_their_own_are_told_of_together() {
    let mut rig = Rig::with(1, &settings());
    let client = rig.connect(0);
    let mut bytes = 0;
    for n in 0..TOPIC_METRICS_MAX + 3 {
        let topic = format!("t{n}");
        assert_eq!(rig.create(client, &topic, 1, &[]), 0);
        if n >= TOPIC_METRICS_MAX {
            let batch = batch(&["a"]);
            assert_eq!(rig.produce(client, -1, &topic, 0, &batch).error_code, 0);
            bytes += batch.len() as u64;
        }
    }
    let (told, rest, _) = sizes(&mut rig);
    assert_eq!((told.len(), rest), (TOPIC_METRICS_MAX, bytes));
    assert!(told.iter().all(|(_, bytes)| *bytes == 0));
}

/// A whole list, as it comes in parts, and how many these were.
fn list(rig: &mut Rig, of: ListOf) -> (ListPart, usize) {
    let mut all = ListPart { next: Some(ListPlace::BEGINNING), ..ListPart::default() };
    let mut parts = 0;
    while let Some(place) = all.next {
        let Finding::ZooKeeperList(Some(part)) = inquire(rig, 0, Inquiry::ZooKeeperList { of, place }) else {
            panic!("a part was asked for")
        };
        let paths: usize = part.sessions.iter().map(|(_, paths)| paths.len()).sum();
        assert!(paths <= 4_096, "no turn lists more");
        parts += 1;
        all.append(part);
    }
    (all, parts)
}

#[test]
fn long_lists_of_zookeepers_sessions_come_in_parts() {
    let mut rig = Rig::with(1, &serving(&settings()));
    let mut zks: Vec<Zk> = (0..3).map(|_| Zk::with_timeout(&mut rig, 30_000)).collect();
    let mut paths: Vec<Vec<String>> = Vec::new();
    for (n, (zk, count)) in zks.iter_mut().zip([9_000, 1, 5_000]).enumerate() {
        let some: Vec<String> = (0..count).map(|at| format!("/{n}-{at:05}")).collect();
        zk.does(&mut rig, &Ask::SetWatches(0, [&[], &some, &[], &[], &[]]));
        paths.push(some);
    }
    let sorted = |part: ListPart| {
        let mut all: Vec<Vec<String>> = part.sessions.into_iter().map(|(_, paths)| paths).collect();
        all.iter_mut().for_each(|paths| paths.sort());
        all.sort();
        all
    };
    let (watches, parts) = list(&mut rig, ListOf::Watches);
    assert!(parts >= 4 && watches.sessions.is_sorted_by(|a, b| a.0 < b.0), "{parts} parts");
    assert_eq!(sorted(watches), paths);
    assert_eq!(list(&mut rig, ListOf::Ephemerals), (ListPart::default(), 1));

    paths.iter_mut().flatten().for_each(|path| path.push_str("-ephemeral"));
    for (zk, paths) in zks.iter_mut().zip(&paths) {
        for some in paths.chunks(100) {
            some.iter().for_each(|path| _ = zk.send(&mut rig, &ephemeral(path)));
            rig.run();
            assert!(zk.all(&mut rig).iter().all(|told| told.error() == 0));
        }
    }
    let (ephemerals, parts) = list(&mut rig, ListOf::Ephemerals);
    assert!(parts >= 4, "{parts} parts");
    assert_eq!(sorted(ephemerals), paths);
    // What does not come in parts has nothing of it.
    let inquiry = Inquiry::ZooKeeper { detail: Detail::Sessions, reset: None };
    let Finding::ZooKeeper(Some(facts)) = inquire(&mut rig, 0, inquiry) else { panic!("facts were asked for") };
    assert_eq!((facts.sessions.len(), facts.ephemerals.len(), facts.watches.len()), (3, 0, 0));
}

/// A group's offsets, and where so many logs end, are looked at over turns.
#[test]
fn much_that_groups_have_committed_is_told_over_turns() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    let many = 4 * TURN_ITEMS as i32;
    assert_eq!(rig.create(client, "many", many, &[]), 0);
    assert_eq!(rig.create(client, "zero", 1, &[]), 0);
    for group in ["a", "b", "c", "none"] {
        let found = rig.ask(client, 6, &FindCoordinatorRequest::default().with_coordinator_keys(vec![s(group)]));
        assert_eq!(found.coordinators[0].error_code, error::NONE);
        rig.run();
        let mut offsets: Vec<(&str, i32, i64)> = (0..many).map(|index| ("many", index, i64::from(index) + 1)).collect();
        offsets.truncate(if group == "none" { 1 } else { many as usize });
        offsets.push(("zero", 0, 5));
        commit(&mut rig, client, group, &offsets);
    }
    let mut told = |inquiry: Inquiry| {
        let number = rig.stats(0).inquiries.ask(inquiry);
        (1..100).find_map(|turn| {
            wake(&mut rig, 0);
            rig.stats(0).inquiries.take(number).map(|finding| (turn, finding))
        })
    };
    let room = 2 * (many as usize + 1) + 2;
    let Some((turns, Finding::Groups { groups, left_out })) = told(Inquiry::Groups { offsets_max: room }) else {
        panic!("groups were asked for")
    };
    // Who is woken has two turns here.
    assert!(turns >= 4, "{turns} times for {room} offsets");
    assert_eq!((groups.len(), left_out), (3, 1));
    let offsets = |group: &str| &groups.iter().find(|one| &*one.group == group).expect("it is told of").offsets;
    assert_eq!(offsets("none").len(), 2);
    for group in groups.iter().filter(|group| &*group.group != "none") {
        let told: Vec<(i32, i64)> = group.offsets.iter().map(|one| (one.partition, one.offset)).collect();
        let wanted = (0..many).map(|index| (index, i64::from(index) + 1)).chain([(0, 5)]);
        assert_eq!(told, wanted.collect::<Vec<_>>(), "{}", group.group);
    }
    let logs: Vec<GroupId> =
        groups.iter().flat_map(|group| &group.offsets).filter_map(|one| Some(one.log?.1)).collect();
    let Some((turns, Finding::Ends(ends))) = told(Inquiry::Ends(logs.clone())) else { panic!("ends were asked for") };
    assert!(turns >= 4 && ends == vec![Some(Offset(0)); logs.len()], "{turns} times for {} ends", logs.len());
}
