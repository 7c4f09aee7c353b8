//! DescribeLogDirs: what partitions take on this node.

use super::makings::{Making, Nesting};
use super::{Kafka, Out, Pending, ReplyTo, Waiting, view};
use crate::mail::{Ask, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use torc_base::ids::{GroupId, Place, TopicId};
use torc_net::kafka::schema::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use torc_net::kafka::schema::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use torc_net::kafka::{Behind, DIFFERENCES_TAG, StrBytes};
use torc_state::catalog::Topic;

/// A request whose answer is being put together.
#[derive(Default)]
pub(super) struct Gather {
    topics: Vec<DescribeLogDirsTopic>,
    /// Where each size goes that was asked for: the topic and the partition of the answer.
    places: Vec<(usize, usize)>,
    waiting: usize,
    /// Nothing more is going to be asked for.
    is_whole: bool,
}

impl Gather {
    /// Takes sizes in; true if all are there.
    pub fn take(&mut self, parts: Vec<(u32, u64, u64)>) -> bool {
        for (position, bytes, differences) in parts {
            let (topic, partition) = self.places[position as usize];
            let answer = &mut self.topics[topic].partitions[partition];
            answer.partition_size = bytes as i64;
            if differences > 0 {
                let told = differences.to_be_bytes().to_vec().into();
                answer.unknown_tagged_fields.insert(DIFFERENCES_TAG, told);
            }
            self.waiting -= 1;
        }
        self.is_whole && self.waiting == 0
    }
}

/// A topic, and those of its partitions that were not gone through.
type Rest = (Arc<Topic>, std::vec::IntoIter<i32>);

/// What is still to be asked for.
pub(super) struct Survey {
    token: Token,
    /// The topic that is being gone through; it is the last one of the answer.
    at: Option<Rest>,
    /// Topics that were named, or that all are gone through, and the last of these by name.
    named: Option<std::vec::IntoIter<Rest>>,
    last: Option<Arc<str>>,
}

impl Kafka {
    pub(super) fn describe_log_dirs(&mut self, out: &mut Out, to: ReplyTo, request: DescribeLogDirsRequest) {
        // Each partition is told of once, and what is not there is left out, as in Kafka.
        let mut wanted: BTreeMap<TopicId, (Arc<Topic>, BTreeSet<i32>)> = BTreeMap::new();
        for asked in request.topics.iter().flatten() {
            if let Some(topic) = self.view.by_name(&asked.topic) {
                let (_, indexes) = wanted.entry(topic.id).or_insert_with(|| (Arc::clone(topic), BTreeSet::new()));
                indexes.extend(&asked.partitions);
            }
        }
        let rest = |(topic, indexes): (Arc<Topic>, BTreeSet<i32>)| (topic, Vec::from_iter(indexes).into_iter());
        let named = request.topics.is_some().then(|| wanted.into_values().map(rest).collect::<Vec<Rest>>().into_iter());
        let token = self.wait(out, to, Waiting::LogDirs(Gather::default()));
        self.make(out, to, Making::LogDirs(Survey { token, at: None, named, last: None }));
    }

    /// Asks for the sizes of up to `left` more partitions. True if there are no others.
    pub(super) fn survey_on(&mut self, out: &mut Out, survey: &mut Survey, left: &mut usize) -> bool {
        let Some(Pending { what: Waiting::LogDirs(gather), .. }) = self.pending.get_mut(&survey.token) else {
            return true;
        };
        let mut asks: BTreeMap<Place, Vec<(u32, GroupId)>> = BTreeMap::new();
        let is_whole = loop {
            if *left == 0 {
                break false;
            }
            *left -= 1;
            let Some((topic, mut indexes)) = survey.at.take() else {
                let next = match &mut survey.named {
                    Some(named) => named.next(),
                    None => self.view.topic_behind(survey.last.as_deref()).map(|topic| {
                        survey.last = Some(Arc::clone(&topic.name));
                        (Arc::clone(topic), Vec::from_iter(0..topic.partitions.len() as i32).into_iter())
                    }),
                };
                let Some(next) = next else { break true };
                let name = TopicName(StrBytes::from_string(next.0.name.to_string()));
                gather.topics.push(DescribeLogDirsTopic::default().with_name(name));
                survey.at = Some(next);
                continue;
            };
            let at = gather.topics.len() - 1;
            let answer = &mut gather.topics[at].partitions;
            let now = *left;
            for index in indexes.by_ref().take(now) {
                *left -= 1;
                let Some(group) = view::partition(&topic, index) else { continue };
                if self.settings.members(&topic, index as u32).contains(&self.settings.node) {
                    asks.entry(self.settings.owner(group)).or_default().push((gather.places.len() as u32, group));
                    gather.places.push((at, answer.len()));
                    answer.push(DescribeLogDirsPartition::default().with_partition_index(index));
                    gather.waiting += 1;
                }
            }
            if indexes.len() > 0 {
                survey.at = Some((topic, indexes));
            } else if answer.is_empty() {
                gather.topics.pop();
            }
        };
        gather.is_whole = is_whole;
        out.asks.extend(asks.into_iter().map(|(owner, parts)| (owner, survey.token, Ask::Sizes(parts))));
        is_whole
    }

    /// Everything has been asked for.
    pub(super) fn end_survey(&mut self, out: &mut Out, survey: Survey) {
        if matches!(&self.pending.get(&survey.token), Some(Pending { what: Waiting::LogDirs(gather), .. }) if gather.waiting == 0)
        {
            self.finish_log_dirs(out, survey.token);
        }
    }

    pub(super) fn finish_log_dirs(&mut self, out: &mut Out, token: Token) {
        let pending = self.done(out, token);
        let Waiting::LogDirs(gather) = pending.what else { unreachable!("it was one") };
        let surveyed = Surveyed::new(pending.to, self.settings.data_dir.clone(), gather.topics);
        self.make(out, pending.to, Making::LogDirsFound(Box::new(surveyed)));
    }
}

/// What all that was asked for takes, and the answer to it so far.
pub(super) struct Surveyed {
    pub(super) nesting: Nesting,
    topics: std::vec::IntoIter<DescribeLogDirsTopic>,
    /// What is left of the topic at hand.
    partitions: Option<(std::vec::IntoIter<DescribeLogDirsPartition>, Behind)>,
    /// Behind all topics, and behind the directory.
    behind: Option<[Behind; 2]>,
}

impl Surveyed {
    fn new(to: ReplyTo, data_dir: String, topics: Vec<DescribeLogDirsTopic>) -> Surveyed {
        let mut nesting = Nesting::new(to);
        let response = |results| DescribeLogDirsResponse::default().with_results(results);
        let behind_directory = nesting.open(1, response);
        let name = StrBytes::from_string(data_dir);
        let behind_topics = nesting.open(topics.len(), |topics| {
            let directory = DescribeLogDirsResult::default().with_log_dir(name.clone()).with_topics(topics);
            directory.with_total_bytes(-1).with_usable_bytes(-1)
        });
        let behind = Some([behind_topics, behind_directory]);
        Surveyed { nesting, topics: topics.into_iter(), partitions: None, behind }
    }

    /// Tells on, for about `left` partitions. True if all has been told.
    pub(super) fn tell_on(&mut self, left: &mut usize) -> bool {
        while *left > 0 {
            if let Some((partitions, _)) = &mut self.partitions {
                for partition in partitions.by_ref().take(*left) {
                    *left -= 1;
                    self.nesting.put(&partition);
                }
                if partitions.len() > 0 {
                    return false;
                }
                let (_, behind) = self.partitions.take().expect("seen above");
                self.nesting.close(behind);
                continue;
            }
            let Some(mut topic) = self.topics.next() else {
                self.behind.take().into_iter().flatten().for_each(|behind| self.nesting.close(behind));
                return true;
            };
            *left -= 1;
            let partitions = std::mem::take(&mut topic.partitions);
            let around = |partitions| topic.clone().with_partitions(partitions);
            let behind = self.nesting.open(partitions.len(), around);
            self.partitions = Some((partitions.into_iter(), behind));
        }
        false
    }
}
