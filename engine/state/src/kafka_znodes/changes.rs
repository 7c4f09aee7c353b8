//! Which znodes have changed from one moment to another, for those who watch them.

use super::{Metadata, State};
use crate::catalog::{Node, Topic};
use crate::config::Overrides;
use crate::coordinator::Text;
use crate::tree::EventKind;
use std::collections::BTreeMap;
use std::sync::Arc;
use torc_base::ids::NodeId;

/// A topic, and of each of its partitions what was shown, if it has a leader.
type Partitions = (Arc<Topic>, Vec<Option<State>>);

/// What was shown at one moment. Topics and nodes are shared with the catalog; a partition with a leader takes some 100 bytes.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    topics: BTreeMap<Arc<str>, Partitions>,
    groups: BTreeMap<Text, Arc<Overrides>>,
    brokers: BTreeMap<NodeId, Arc<Node>>,
    controller: Option<NodeId>,
    controller_epoch: u64,
}

/// News of paths below the chroot, in the order in which they are told.
pub type News = Vec<(EventKind, String)>;

impl Shown {
    /// This moment.
    pub fn of(metadata: &Metadata<'_>) -> Shown {
        let topics = metadata.topics.iter().map(|(name, topic)| {
            let states = (0..topic.partitions.len()).map(|partition| metadata.state_of(topic, partition)).collect();
            (Arc::clone(name), (Arc::clone(topic), states))
        });
        Shown {
            topics: topics.collect(),
            groups: (metadata.groups)().into_iter().collect(),
            brokers: metadata.brokers.clone(),
            controller: metadata.controller,
            controller_epoch: metadata.controller_epoch,
        }
    }

    /// What has changed until `next`.
    pub fn news(&self, next: &Shown) -> News {
        let mut news = News::new();
        self.news_of_controller(next, &mut news);
        for (id, pair) in pairs(&self.brokers, &next.brokers) {
            let is_same = |(a, b): (&Arc<Node>, &Arc<Node>)| a == b;
            of_child(pair, is_same, "/brokers/ids", &id.to_string(), &mut news);
            // Settings of brokers are there with them, and always empty.
            of_child(pair, |_| true, "/config/brokers", &id.to_string(), &mut news);
        }
        for (group, pair) in pairs(&self.groups, &next.groups) {
            of_child(pair, |(a, b)| a == b, "/config/groups", group, &mut news);
        }
        for (name, pair) in pairs(&self.topics, &next.topics) {
            match pair {
                (Some((was, before)), Some((is, after))) if was.id == is.id => {
                    of_topic(name, (was, before), (is, after), &mut news);
                }
                (was, is) => {
                    was.into_iter().for_each(|(topic, states)| topic_gone(topic, states, &mut news));
                    is.into_iter().for_each(|(topic, states)| topic_made(topic, states, &mut news));
                }
            }
        }
        news
    }

    fn news_of_controller(&self, next: &Shown, news: &mut News) {
        if self.controller != next.controller {
            if self.controller.is_some() {
                gone("", "controller", news);
            }
            if next.controller.is_some() {
                made("", "controller", news);
            }
        }
        if self.controller_epoch != next.controller_epoch {
            news.push((EventKind::DataChanged, "/controller_epoch".to_string()));
        }
    }
}

/// All keys of two maps, each with what both have under it.
fn pairs<'a, K: Ord, V>(
    was: &'a BTreeMap<K, V>,
    is: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, (Option<&'a V>, Option<&'a V>))> {
    let old = was.iter().map(|(key, value)| (key, (Some(value), is.get(key))));
    let new = is.iter().filter(|(key, _)| !was.contains_key(key)).map(|(key, value)| (key, (None, Some(value))));
    old.chain(new)
}

fn parent(path: &str) -> String {
    if path.is_empty() { "/".to_string() } else { path.to_string() }
}

fn made(parent_path: &str, name: &str, news: &mut News) {
    news.push((EventKind::Created, format!("{parent_path}/{name}")));
    news.push((EventKind::ChildrenChanged, parent(parent_path)));
}

fn gone(parent_path: &str, name: &str, news: &mut News) {
    news.push((EventKind::Deleted, format!("{parent_path}/{name}")));
    news.push((EventKind::ChildrenChanged, parent(parent_path)));
}

fn of_child<V>(
    pair: (Option<&V>, Option<&V>),
    is_same: impl Fn((&V, &V)) -> bool,
    parent: &str,
    name: &str,
    news: &mut News,
) {
    match pair {
        (None, Some(_)) => made(parent, name, news),
        (Some(_), None) => gone(parent, name, news),
        (Some(was), Some(is)) if !is_same((was, is)) => news.push((EventKind::DataChanged, format!("{parent}/{name}"))),
        _ => {}
    }
}

fn partition_made(partitions: &str, partition: usize, state: Option<&State>, news: &mut News) {
    made(partitions, &partition.to_string(), news);
    if state.is_some() {
        made(&format!("{partitions}/{partition}"), "state", news);
    }
}

fn topic_made(topic: &Topic, states: &[Option<State>], news: &mut News) {
    made("/config/topics", &topic.name, news);
    made("/brokers/topics", &topic.name, news);
    let path = format!("/brokers/topics/{}", topic.name);
    made(&path, "partitions", news);
    let partitions = format!("{path}/partitions");
    states.iter().enumerate().for_each(|(at, state)| partition_made(&partitions, at, state.as_ref(), news));
}

/// The deepest first, as they would be deleted.
fn topic_gone(topic: &Topic, states: &[Option<State>], news: &mut News) {
    let path = format!("/brokers/topics/{}", topic.name);
    let partitions = format!("{path}/partitions");
    for (at, state) in states.iter().enumerate() {
        if state.is_some() {
            gone(&format!("{partitions}/{at}"), "state", news);
        }
        gone(&partitions, &at.to_string(), news);
    }
    gone(&path, "partitions", news);
    gone("/brokers/topics", &topic.name, news);
    gone("/config/topics", &topic.name, news);
}

/// A topic that stays.
fn of_topic(
    name: &str,
    (was, before): (&Arc<Topic>, &[Option<State>]),
    (is, after): (&Arc<Topic>, &[Option<State>]),
    news: &mut News,
) {
    let path = format!("/brokers/topics/{name}");
    if !Arc::ptr_eq(was, is) {
        if was.overrides != is.overrides {
            news.push((EventKind::DataChanged, format!("/config/topics/{name}")));
        }
        if (&was.partitions, &was.replicas, &was.moves) != (&is.partitions, &is.replicas, &is.moves) {
            news.push((EventKind::DataChanged, path.clone()));
        }
    }
    let partitions = format!("{path}/partitions");
    for (at, state) in after.iter().enumerate() {
        match before.get(at) {
            None => partition_made(&partitions, at, state.as_ref(), news),
            Some(known) if known == state => {}
            Some(known) => {
                let pair = (known.as_ref(), state.as_ref());
                of_child(pair, |_| false, &format!("{partitions}/{at}"), "state", news);
            }
        }
    }
}
