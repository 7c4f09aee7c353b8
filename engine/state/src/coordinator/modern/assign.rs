//! Who is to consume what. An assignor is a function of what members want and have. Racks play no part, as in Kafka 4.0 to 4.4,
//! whose assignors do not look at them; members' racks are kept and shown.

use super::super::Text;
use super::Partitions;
use std::collections::{BTreeMap, BTreeSet};
use torc_base::ids::TopicId;

/// A member, for an assignor.
#[derive(Clone, Debug)]
pub(in super::super) struct Want {
    pub(in super::super) member: Text,
    pub(in super::super) instance: Option<Text>,
    /// Topics that exist.
    pub(in super::super) topics: BTreeSet<TopicId>,
    /// Its target so far.
    pub(in super::super) has: Partitions,
}

/// What is to be assigned to whom.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Consumers {
    /// Numbers of partitions.
    pub(in super::super) topics: BTreeMap<TopicId, u32>,
    pub(in super::super) wants: Vec<Want>,
}

/// Topics that the same members want: for each other's partitions they are as good.
struct Class {
    members: Vec<usize>,
    topics: Vec<TopicId>,
}

/// Every member gets as many partitions as any other, as far as what they want allows, and keeps what it has as far
/// as that allows: a partition only moves from a member to one that has fewer by two at least.
pub(in super::super) fn uniform(consumers: &Consumers) -> Vec<Partitions> {
    let mut balance = Balance::new(consumers);
    let classes = classes(consumers);
    for class in &classes {
        balance.hand_out(consumers, class);
    }
    // What is level within one class may move what was level in another that shares members with it. Each move makes
    // the sum of the loads' squares smaller, so this ends; a single class needs one pass.
    while classes.iter().any(|class| balance.level(class)) {}
    balance.assigned.into_iter().map(|topics| topics.into_iter().collect()).collect()
}

/// The topics by who wants them, first those that the fewest want.
fn classes(consumers: &Consumers) -> Vec<Class> {
    let mut wanted: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
    for (at, want) in consumers.wants.iter().enumerate() {
        want.topics.iter().for_each(|topic| wanted.entry(*topic).or_default().push(at));
    }
    let mut classes: BTreeMap<(usize, Vec<usize>), Vec<TopicId>> = BTreeMap::new();
    for (topic, members) in wanted {
        classes.entry((members.len(), members)).or_default().push(topic);
    }
    classes.into_iter().map(|((_, members), topics)| Class { members, topics }).collect()
}

/// An assignment on its way to be level.
struct Balance {
    assigned: Vec<BTreeSet<(TopicId, i32)>>,
    taken: BTreeSet<(TopicId, i32)>,
}

impl Balance {
    /// What members have, of what they want and what exists; of two that claim a partition, the first.
    fn new(consumers: &Consumers) -> Balance {
        let mut taken = BTreeSet::new();
        let exists = |topic: TopicId, partition: i32| {
            consumers.topics.get(&topic).is_some_and(|count| (0..i64::from(*count)).contains(&i64::from(partition)))
        };
        let mut keep = |want: &Want| {
            let is_wanted =
                |(topic, partition): &(TopicId, i32)| want.topics.contains(topic) && exists(*topic, *partition);
            want.has.iter().filter(is_wanted).filter(|partition| taken.insert(*partition)).collect()
        };
        let assigned = consumers.wants.iter().map(&mut keep).collect();
        Balance { assigned, taken }
    }

    /// Gives what nobody has to those that have the least.
    fn hand_out(&mut self, consumers: &Consumers, class: &Class) {
        let mut loads: BTreeSet<(usize, usize)> = class.members.iter().map(|m| (self.assigned[*m].len(), *m)).collect();
        for topic in &class.topics {
            for partition in 0..consumers.topics[topic] as i32 {
                if self.taken.insert((*topic, partition)) {
                    let (load, member) = loads.pop_first().expect("somebody wants the topic");
                    self.assigned[member].insert((*topic, partition));
                    loads.insert((load + 1, member));
                }
            }
        }
    }

    /// Moves partitions of the class from those that have most to those that have least; true if any moved.
    fn level(&mut self, class: &Class) -> bool {
        let mut loads: BTreeSet<(usize, usize)> = class.members.iter().map(|m| (self.assigned[*m].len(), *m)).collect();
        // Who has nothing of this class has nothing to give.
        let mut givers = loads.clone();
        let mut moved = false;
        while let (Some((least, to)), Some((most, from))) = (loads.first().copied(), givers.last().copied()) {
            if most < least + 2 {
                break;
            }
            let in_class = |(topic, _): &&(TopicId, i32)| class.topics.binary_search(topic).is_ok();
            let Some(partition) = self.assigned[from].iter().rev().find(in_class).copied() else {
                givers.remove(&(most, from));
                continue;
            };
            self.assigned[from].remove(&partition);
            self.assigned[to].insert(partition);
            for set in [&mut loads, &mut givers] {
                if set.remove(&(most, from)) {
                    set.insert((most - 1, from));
                }
            }
            loads.remove(&(least, to));
            loads.insert((least + 1, to));
            givers.remove(&(least, to));
            givers.insert((least + 1, to));
            moved = true;
        }
        moved
    }
}

/// Of each topic every member that wants it gets one range, the first ones a partition more: topics with the same
/// members and as many partitions are divided in the same way.
pub(in super::super) fn range(consumers: &Consumers) -> Vec<Partitions> {
    let mut order: Vec<usize> = (0..consumers.wants.len()).collect();
    let rank = |at: &usize| {
        let want = &consumers.wants[*at];
        // Static members first, so that the ranges of those stay that come back with other ids.
        (want.instance.is_none(), want.instance.clone().unwrap_or_else(|| want.member.clone()))
    };
    order.sort_by_cached_key(rank);
    let mut assigned = vec![Vec::new(); consumers.wants.len()];
    for (topic, count) in &consumers.topics {
        let members: Vec<usize> =
            order.iter().copied().filter(|at| consumers.wants[*at].topics.contains(topic)).collect();
        let Some(share) = (*count as usize).checked_div(members.len()) else { continue };
        let extra = *count as usize - share * members.len();
        let mut next = 0;
        for (at, member) in members.into_iter().enumerate() {
            let end = next + share + usize::from(at < extra);
            assigned[member].extend((next..end).map(|partition| (*topic, partition as i32)));
            next = end;
        }
    }
    assigned.into_iter().map(|partitions| partitions.into_iter().collect()).collect()
}
