//! How the leader of a classic group gives partitions to its members: Kafka's `range`, and `cooperative-sticky`.

use crate::offsets::TopicPartition;
use std::collections::{BTreeMap, BTreeSet};

/// What a member says of itself when it joins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// Of a static member: it is sorted by this, as in Kafka.
    pub instance: Option<String>,
    pub topics: BTreeSet<String>,
    /// What it reads, and since which generation; -1: it does not say.
    pub owned: BTreeSet<TopicPartition>,
    pub generation: i32,
}

/// Who gets what.
pub type Assignment = BTreeMap<String, BTreeSet<TopicPartition>>;

/// An assignor by its name in Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// Of each topic, each member gets adjacent partitions.
    Range,
    /// Each member keeps what it has as far as all get as many; what moves is given up first, and given in the next generation.
    CooperativeSticky,
}

impl Assignor {
    pub const ALL: [Assignor; 2] = [Assignor::Range, Assignor::CooperativeSticky];

    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Range => "range",
            Assignor::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// The one of that name.
    pub fn of_name(name: &str) -> Option<Assignor> {
        Assignor::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// Gives the partitions of `topics` (their numbers of partitions) to `members`, by their ids. Every member is in the result.
    pub fn assign(self, members: &BTreeMap<String, Joined>, topics: &BTreeMap<String, i32>) -> Assignment {
        match self {
            Assignor::Range => range(members, topics),
            Assignor::CooperativeSticky => cooperative(members, topics),
        }
    }
}

fn nothing(members: &BTreeMap<String, Joined>) -> Assignment {
    members.keys().map(|id| (id.clone(), BTreeSet::new())).collect()
}

fn range(members: &BTreeMap<String, Joined>, topics: &BTreeMap<String, i32>) -> Assignment {
    let mut assignment = nothing(members);
    for (topic, partitions) in topics {
        let mut readers: Vec<(&String, &Joined)> = members.iter().filter(|(_, m)| m.topics.contains(topic)).collect();
        if readers.is_empty() {
            continue;
        }
        // Static members first, in the order of their instances, so that a new id changes nothing.
        readers.sort_by_key(|(id, member)| (member.instance.is_none(), member.instance.clone(), (*id).clone()));
        let many = readers.len() as i32;
        let (each, more) = (partitions / many, partitions % many);
        let mut next = 0;
        for (n, (id, _)) in (0..).zip(readers) {
            let count = each + i32::from(n < more);
            let mine = (next..next + count).map(|partition| TopicPartition::new(topic, partition));
            assignment.get_mut(id).expect("all have a place").extend(mine);
            next += count;
        }
    }
    assignment
}

/// The balanced assignment without what another member still reads.
fn cooperative(members: &BTreeMap<String, Joined>, topics: &BTreeMap<String, i32>) -> Assignment {
    let mut assignment = sticky(members, topics);
    for (id, places) in &mut assignment {
        let is_anothers =
            |place: &TopicPartition| members.iter().any(|(other, member)| other != id && member.owned.contains(place));
        let keeps = &members[id].owned;
        places.retain(|place| keeps.contains(place) || !is_anothers(place));
    }
    assignment
}

/// As even as subscriptions allow; what members have stays with them as far as that allows.
fn sticky(members: &BTreeMap<String, Joined>, topics: &BTreeMap<String, i32>) -> Assignment {
    let mut assignment = nothing(members);
    let all =
        topics.iter().flat_map(|(topic, count)| (0..*count).map(|partition| TopicPartition::new(topic, partition)));
    let owners = owners(members);
    let mut open = Vec::new();
    for place in all {
        match owners.get(&place) {
            Some(owner) => drop(assignment.get_mut(*owner).expect("all have a place").insert(place)),
            None => open.push(place),
        }
    }
    for place in open {
        let least = readers(members, &place.topic).min_by_key(|id| (assignment[*id].len(), *id)).cloned();
        if let Some(id) = least {
            assignment.get_mut(&id).expect("all have a place").insert(place);
        }
    }
    balance(members, &mut assignment);
    assignment
}

fn readers<'a>(members: &'a BTreeMap<String, Joined>, topic: &str) -> impl Iterator<Item = &'a String> {
    members.iter().filter(move |(_, member)| member.topics.contains(topic)).map(|(id, _)| id)
}

/// Who keeps what: of several members that say they have a partition the one of the latest generation, and none if there are two.
fn owners(members: &BTreeMap<String, Joined>) -> BTreeMap<TopicPartition, &String> {
    let mut claims: BTreeMap<TopicPartition, (i32, Option<&String>)> = BTreeMap::new();
    for (id, member) in members {
        for place in member.owned.iter().filter(|place| member.topics.contains(&place.topic)) {
            let claim = claims.entry(place.clone()).or_insert((i32::MIN, None));
            match member.generation.cmp(&claim.0) {
                std::cmp::Ordering::Greater => *claim = (member.generation, Some(id)),
                std::cmp::Ordering::Equal => claim.1 = None,
                std::cmp::Ordering::Less => {}
            }
        }
    }
    claims.into_iter().filter_map(|(place, (_, owner))| Some((place, owner?))).collect()
}

/// Moves partitions from members that have at least two more than another one that reads the topic. Each move makes the sum of
/// squares smaller, so this ends.
fn balance(members: &BTreeMap<String, Joined>, assignment: &mut Assignment) {
    loop {
        let mut moved = false;
        let mut fullest: Vec<String> = assignment.keys().cloned().collect();
        fullest.sort_by_key(|id| std::cmp::Reverse(assignment[id].len()));
        for from in fullest {
            loop {
                let many = assignment[&from].len();
                let to_whom = |place: &TopicPartition| {
                    let least = readers(members, &place.topic).min_by_key(|id| (assignment[*id].len(), *id))?;
                    (assignment[least].len() + 1 < many).then(|| (place.clone(), least.clone()))
                };
                // The last ones go: what was read first stays.
                let Some((place, to)) = assignment[&from].iter().rev().find_map(to_whom) else { break };
                assignment.get_mut(&from).expect("it has it").remove(&place);
                assignment.get_mut(&to).expect("all have a place").insert(place);
                moved = true;
            }
        }
        if !moved {
            return;
        }
    }
}
