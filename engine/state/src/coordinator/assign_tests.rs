//! Assignors: everything is assigned once, evenly, and stays where it is if it can.

use super::modern::{Consumers, Partitions, Want, range, uniform};
use super::rig::text;
use std::collections::{BTreeMap, BTreeSet};
use torc_base::ids::TopicId;
use torc_base::prng::Prng;

fn want(name: &str, topics: &[u128], has: Partitions) -> Want {
    Want { member: text(name), instance: None, topics: topics.iter().map(|id| TopicId(*id)).collect(), has }
}

fn topics(counts: &[(u128, u32)]) -> BTreeMap<TopicId, u32> {
    counts.iter().map(|(id, count)| (TopicId(*id), *count)).collect()
}

fn listed(partitions: &Partitions) -> Vec<(u128, i32)> {
    partitions.iter().map(|(topic, partition)| (topic.0, partition)).collect()
}

/// Assigns, and gives members what they were assigned.
fn settle(consumers: &mut Consumers) -> Vec<Partitions> {
    let assigned = uniform(consumers);
    for (want, target) in consumers.wants.iter_mut().zip(&assigned) {
        want.has = target.clone();
    }
    assigned
}

fn check(consumers: &Consumers, assigned: &[Partitions]) {
    let mut seen = BTreeSet::new();
    for (want, target) in consumers.wants.iter().zip(assigned) {
        for (topic, partition) in target.iter() {
            assert!(want.topics.contains(&topic), "{} gets what it does not want", want.member);
            assert!(partition < consumers.topics[&topic] as i32, "there is no such partition");
            assert!(seen.insert((topic, partition)), "assigned twice");
        }
    }
    for (topic, count) in &consumers.topics {
        let is_wanted = consumers.wants.iter().any(|want| want.topics.contains(topic));
        let assigned = seen.iter().filter(|(other, _)| other == topic).count();
        assert_eq!(assigned, if is_wanted { *count as usize } else { 0 }, "{topic}");
    }
}

/// No partition could move to somebody who has fewer by two.
fn check_level(consumers: &Consumers, assigned: &[Partitions]) {
    for (from, target) in assigned.iter().enumerate() {
        for (topic, _) in target.iter() {
            for (to, want) in consumers.wants.iter().enumerate() {
                let is_level = !want.topics.contains(&topic) || assigned[from].len() < assigned[to].len() + 2;
                assert!(is_level, "{} has more than {}", consumers.wants[from].member, want.member);
            }
        }
    }
}

#[test]
fn any_members_of_any_topics_are_served_evenly_and_nothing_moves_without_need() {
    for seed in 0..300 {
        let mut prng = Prng::new(seed);
        let mut consumers = Consumers::default();
        for id in 1..=prng.between(1, 6) {
            consumers.topics.insert(TopicId(id.into()), prng.between(1, 12) as u32);
        }
        let same = prng.chance(1, 2);
        let all: BTreeSet<TopicId> = consumers.topics.keys().copied().collect();
        let mut next = 0;
        for _ in 0..12 {
            match prng.below(4) {
                0 | 1 => {
                    next += 1;
                    let mut new = want(&format!("m{next}"), &[], Partitions::default());
                    new.topics = all.iter().filter(|_| same || prng.chance(1, 2)).copied().collect();
                    consumers.wants.push(new);
                }
                2 if !consumers.wants.is_empty() => {
                    let at = prng.below(consumers.wants.len() as u64) as usize;
                    consumers.wants.remove(at);
                }
                _ => {
                    let topic = *all.first().expect("one at least");
                    let more = consumers.topics[&topic] + prng.below(3) as u32;
                    consumers.topics.insert(topic, more);
                }
            }
            let assigned = settle(&mut consumers);
            check(&consumers, &assigned);
            check_level(&consumers, &assigned);
            assert_eq!(settle(&mut consumers), assigned, "seed {seed}: what is level stays");
            let ranges = range(&consumers);
            check(&consumers, &ranges);
            assert_eq!(range(&consumers), ranges);
        }
    }
}

#[test]
fn who_comes_gets_its_share_and_who_goes_leaves_it_and_the_rest_stays() {
    let mut consumers = Consumers { topics: topics(&[(1, 30), (2, 30)]), wants: Vec::new() };
    for n in 1..=20 {
        consumers.wants.push(want(&format!("m{n:02}"), &[1, 2], Partitions::default()));
        let before: Vec<Partitions> = consumers.wants.iter().map(|want| want.has.clone()).collect();
        let after = settle(&mut consumers);
        let lost =
            |(before, after): (&Partitions, &Partitions)| before.iter().filter(|(t, p)| !after.has(*t, *p)).count();
        let moved: usize = before.iter().zip(&after).map(lost).sum();
        let of_new = if n == 1 { 0 } else { after[n - 1].len() };
        assert_eq!(moved, of_new, "only what the new one gets moves");
    }
    while consumers.wants.len() > 1 {
        consumers.wants.remove(consumers.wants.len() / 2);
        let before: Vec<Partitions> = consumers.wants.iter().map(|want| want.has.clone()).collect();
        let after = settle(&mut consumers);
        let keeps = |(before, after): (&Partitions, &Partitions)| before.iter().all(|(t, p)| after.has(t, p));
        assert!(before.iter().zip(&after).all(keeps), "nobody who stays loses anything");
        check_level(&consumers, &after);
    }
}

#[test]
fn ranges_of_topics_with_the_same_members_lie_alike() {
    let wants = ["c", "a", "b"].map(|name| want(name, &[1, 2], Partitions::default()));
    let mut consumers = Consumers { topics: topics(&[(1, 7), (2, 7)]), wants: wants.into() };
    let of = |consumers: &Consumers, at: usize| listed(&range(consumers)[at]);
    assert_eq!(of(&consumers, 1), [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]);
    assert_eq!(of(&consumers, 2), [(1, 3), (1, 4), (2, 3), (2, 4)]);
    assert_eq!(of(&consumers, 0), [(1, 5), (1, 6), (2, 5), (2, 6)]);
    // A static one comes first, by its instance, whatever its id.
    consumers.wants[0].instance = Some(text("z"));
    assert_eq!(of(&consumers, 0), [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]);
    consumers.wants[2].topics.remove(&TopicId(2));
    assert_eq!(of(&consumers, 2), [(1, 5), (1, 6)]);
    assert_eq!(of(&consumers, 1), [(1, 3), (1, 4), (2, 4), (2, 5), (2, 6)]);
}

#[test]
fn a_claim_to_what_is_no_more_is_nothing() {
    let has: Partitions = [(1, -1), (1, 5), (1, 0), (9, 0)].map(|(topic, p)| (TopicId(topic), p)).into_iter().collect();
    let wants = vec![want("a", &[1], has.clone()), want("b", &[1], has)];
    let consumers = Consumers { topics: topics(&[(1, 2)]), wants };
    let assigned = uniform(&consumers);
    check(&consumers, &assigned);
    assert_eq!(listed(&assigned[0]), [(1, 0)]);
}
