use super::assign::{Assignment, Assignor, Joined};
use super::texts::{assignment, read_subscription, subscription};
use crate::embedded;
use crate::offsets::TopicPartition;
use std::collections::{BTreeMap, BTreeSet};

type Members = BTreeMap<String, Joined>;

fn places(topic: &str, partitions: &[i32]) -> BTreeSet<TopicPartition> {
    partitions.iter().map(|partition| TopicPartition::new(topic, *partition)).collect()
}

fn member(topics: &[&str], owned: &BTreeSet<TopicPartition>, generation: i32) -> Joined {
    let topics = topics.iter().map(|topic| topic.to_string()).collect();
    Joined { instance: None, topics, owned: owned.clone(), generation }
}

fn topics(counts: &[(&str, i32)]) -> BTreeMap<String, i32> {
    counts.iter().map(|(topic, count)| (topic.to_string(), *count)).collect()
}

/// Rebalances until nobody has to give up anything, as members do; checks each round.
fn settle(members: &mut Members, topics: &BTreeMap<String, i32>) -> Assignment {
    for generation in 1..10 {
        let given = Assignor::CooperativeSticky.assign(members, topics);
        let mut seen = BTreeSet::new();
        let mut gave_up = false;
        for (id, places) in &given {
            let me = members.get_mut(id).unwrap();
            for place in places {
                assert!(seen.insert(place.clone()), "{place} is given twice");
            }
            gave_up |= !me.owned.is_subset(places);
            (me.owned, me.generation) = (places.clone(), generation);
        }
        if !gave_up {
            return given;
        }
    }
    panic!("it does not settle: {members:?}");
}

fn sizes(assignment: &Assignment) -> Vec<usize> {
    assignment.values().map(BTreeSet::len).collect()
}

#[test]
fn range_gives_adjacent_partitions_topic_by_topic() {
    let none = BTreeSet::new();
    let mut members: Members = ["a", "b", "c"].map(|id| (id.to_string(), member(&["t", "u"], &none, -1))).into();
    let given = Assignor::Range.assign(&members, &topics(&[("t", 7), ("u", 2)]));
    let of = |id: &str| given[id].clone();
    assert_eq!(of("a"), &places("t", &[0, 1, 2]) | &places("u", &[0]));
    assert_eq!(of("b"), &places("t", &[3, 4]) | &places("u", &[1]));
    assert_eq!(of("c"), places("t", &[5, 6]));
    // Static members come first, by their instances.
    members.get_mut("c").unwrap().instance = Some("1".to_string());
    members.insert("z".to_string(), member(&["v"], &none, -1));
    let given = Assignor::Range.assign(&members, &topics(&[("t", 7), ("u", 2)]));
    assert_eq!(given["c"], &places("t", &[0, 1, 2]) | &places("u", &[0]));
    assert_eq!(given["z"], none, "nobody is left out of the answer");
}

#[test]
fn cooperative_members_keep_what_they_can_and_give_up_before_others_get() {
    let none = BTreeSet::new();
    let all = topics(&[("t", 9)]);
    let mut members: Members = [("a".to_string(), member(&["t"], &none, -1))].into();
    assert_eq!(sizes(&settle(&mut members, &all)), [9]);
    members.insert("b".to_string(), member(&["t"], &none, -1));
    let first = Assignor::CooperativeSticky.assign(&members, &all);
    assert!(first["b"].is_empty() && first["a"].len() == 5, "what moves is given up first: {first:?}");
    assert_eq!(sizes(&settle(&mut members, &all)), [5, 4]);
    let before = members["a"].owned.clone();
    members.insert("c".to_string(), member(&["t"], &none, -1));
    let given = settle(&mut members, &all);
    assert_eq!(sizes(&given), [3, 3, 3]);
    assert!(given["a"].is_subset(&before));
    // One goes: the others keep all they have.
    let kept = members["a"].owned.clone();
    members.remove("c");
    let given = settle(&mut members, &all);
    assert!(kept.is_subset(&given["a"]) && sizes(&given).iter().sum::<usize>() == 9);
}

#[test]
fn any_group_settles_with_every_partition_read_once_and_evenly() {
    // Subscriptions to one or both of two topics, memberships that come and go, by a fixed sequence.
    let all = topics(&[("t", 13), ("u", 7)]);
    let wants = [&["t"][..], &["u"], &["t", "u"]];
    let mut members = Members::new();
    let mut dice = 12_345_u32;
    for step in 0..60 {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if dice >> 30 == 0 && members.len() > 1 {
            let gone = members.keys().nth(dice as usize % members.len()).unwrap().clone();
            members.remove(&gone);
        } else {
            let id = format!("m{step}");
            members.insert(id, member(wants[(dice >> 16) as usize % 3], &BTreeSet::new(), -1));
        }
        let given = settle(&mut members, &all);
        let read: usize = sizes(&given).iter().sum();
        let wanted: i32 =
            all.iter().filter(|(t, _)| members.values().any(|m| m.topics.contains(*t))).map(|(_, n)| n).sum();
        assert_eq!(read, wanted as usize, "every partition that somebody wants is read");
        for (id, mine) in &given {
            assert!(
                mine.iter().all(|place| members[id].topics.contains(&place.topic)),
                "nobody gets what it does not want"
            );
            for (other, theirs) in &given {
                let could_take = mine.iter().any(|place| members[other].topics.contains(&place.topic));
                assert!(
                    !could_take || theirs.len() + 1 >= mine.len(),
                    "{id} has {}, {other} {}",
                    mine.len(),
                    theirs.len()
                );
            }
        }
    }
}

#[test]
fn of_two_that_claim_a_partition_the_later_generation_keeps_it() {
    let mine = places("t", &[0, 1]);
    let mut members: Members =
        [("a".to_string(), member(&["t"], &mine, 3)), ("b".to_string(), member(&["t"], &mine, 5))].into();
    let given = Assignor::CooperativeSticky.assign(&members, &topics(&[("t", 2)]));
    assert!(given["b"].len() == 1 && given["b"].is_subset(&mine));
    assert_eq!(sizes(&settle(&mut members, &topics(&[("t", 2)]))), [1, 1]);
}

#[test]
fn subscriptions_and_assignments_are_kafkas() {
    let owned = &places("t", &[2, 5]) | &places("u", &[0]);
    let me = member(&["t", "u"], &owned, 17);
    assert_eq!(read_subscription(None, &subscription(&me)), me);
    assert_eq!(embedded::assignment(&assignment(&owned)), Some(owned));
    // Version 0, as the oldest consumers write it: topics, no data of their own.
    let oldest = b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff";
    assert_eq!(read_subscription(None, oldest), member(&["t"], &BTreeSet::new(), -1));
    // Version 1 with the generation in the member's own data, as cooperative consumers before Kafka 3.2 write it.
    let older = b"\0\x01\0\0\0\x01\0\x01t\0\0\0\x04\0\0\0\x07\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03";
    assert_eq!(read_subscription(None, older), member(&["t"], &places("t", &[3]), 7));
    // A version to come, with more behind.
    let mut newer = subscription(&me).to_vec();
    newer[1] = 9;
    newer.extend_from_slice(&[0xff, 0xff, 1, 2, 3]);
    assert_eq!(read_subscription(None, &newer), me);
    let huge = b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\x7f\xff\xff\xff\0\x01t\x7f\xff\xff\xff";
    for garbage in [&b""[..], b"\0", b"\0\0\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\0\0\0\0\0\x01\x7f\xff", huge] {
        let nothing = read_subscription(Some("i".to_string()), garbage);
        assert!(nothing.topics.is_empty() && nothing.instance.as_deref() == Some("i"), "{garbage:?}");
    }
    for garbage in [&b""[..], b"\0", b"\0\0\x7f\xff\xff\xff", b"\0\0\0\0\0\x01\0\x01t\x7f\xff\xff\xff"] {
        assert_eq!(embedded::assignment(garbage), None, "{garbage:?}");
    }
}
