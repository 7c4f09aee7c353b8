//! Requests that name many things wait in line, so that one turn of the shard does a bounded part of them, and who
//! names few is served meanwhile.

use super::topic_partitions::TOPIC_PARTITIONS_LIMIT;
use super::{Kafka, Out, ReplyTo};
use crate::conns::Conns;
use std::collections::VecDeque;
use torc_base::limits::{TURN_ITEMS, TURN_ITEMS_FREE};
use torc_net::kafka::Request;

/// Requests that wait for their turn, in order.
#[derive(Default)]
pub(super) struct Line {
    waiting: VecDeque<(ReplyTo, Request)>,
    /// Items that may still be looked at in this turn.
    left: usize,
}

impl Line {
    /// True if a request for so many items is to wait. Otherwise it has its part of the turn.
    pub(super) fn is_full(&mut self, items: usize) -> bool {
        if items > TURN_ITEMS_FREE && (self.left == 0 || !self.waiting.is_empty()) {
            return true;
        }
        self.left = self.left.saturating_sub(items);
        false
    }

    /// Takes a request in.
    pub(super) fn push(&mut self, to: ReplyTo, request: Request) {
        self.waiting.push_back((to, request));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn next(&mut self) -> Option<(ReplyTo, Request)> {
        if self.left == 0 { None } else { self.waiting.pop_front() }
    }
}

impl Kafka {
    /// Takes a request up, or lets it wait: for its turn, or, if its answer may be long and lies nowhere else than in
    /// memory, until there is some.
    pub(super) fn request(&mut self, out: &mut Out, to: ReplyTo, request: Request) {
        let items = self.items(&request);
        if is_list(&request) {
            if out.conns.are_answers_full() || !self.lists.is_empty() || self.lists.is_full(items) {
                return self.lists.push(to, request);
            }
        } else if self.many.is_full(items) {
            return self.many.push(to, request);
        }
        self.serve(out, to, request);
    }

    /// What waited for its turn, as far as one turn goes.
    pub(super) fn turn_lines(&mut self, out: &mut Out) {
        (self.many.left, self.lists.left) = (TURN_ITEMS, TURN_ITEMS);
        while let Some((to, request)) = self.many.next() {
            if out.conns.is_open(to.conn) {
                self.many.left = self.many.left.saturating_sub(self.items_or_some(&request));
                self.resume(out, to, request);
            }
        }
        while !out.conns.are_answers_full()
            && let Some((to, request)) = self.lists.next()
        {
            if out.conns.is_open(to.conn) {
                self.lists.left = self.lists.left.saturating_sub(self.items_or_some(&request));
                self.serve(out, to, request);
            }
        }
    }

    /// True if something waits for nothing but its turn.
    pub(super) fn lines_are_due(&self, conns: &Conns) -> bool {
        !self.many.is_empty() || (!self.lists.is_empty() && !conns.are_answers_full())
    }

    fn resume(&mut self, out: &mut Out, to: ReplyTo, request: Request) {
        match request {
            Request::Fetch(request) => self.start_fetch(out, to, request),
            request => self.serve(out, to, request),
        }
    }

    /// Topics and partitions that a request makes this shard look at; 0: it is not made to wait here. Fetches of one
    /// connection keep their order, and so are looked at when they begin.
    fn items(&self, request: &Request) -> usize {
        match request {
            Request::ListOffsets(request) => request.topics.iter().map(|topic| topic.partitions.len()).sum(),
            Request::OffsetForLeaderEpoch(request) => request.topics.iter().map(|topic| topic.partitions.len()).sum(),
            Request::OffsetCommit(request) => request.topics.iter().map(|topic| topic.partitions.len()).sum(),
            Request::OffsetCommitById(request) => request.topics.iter().map(|topic| topic.partitions.len()).sum(),
            Request::OffsetDelete(request) => request.topics.iter().map(|topic| topic.partitions.len()).sum(),
            Request::OffsetFetch(request) => {
                let old = request.topics.iter().flatten().map(|topic| topic.partition_indexes.len());
                let topics = request.groups.iter().filter_map(|group| group.topics.as_ref()).flatten();
                old.chain(topics.map(|topic| topic.partition_indexes.len())).sum::<usize>() + request.groups.len()
            }
            Request::OffsetFetchById(request) => {
                let topics = request.groups.iter().filter_map(|group| group.topics.as_ref()).flatten();
                topics.map(|(_, partitions)| partitions.len()).sum::<usize>() + request.groups.len()
            }
            Request::DescribeGroups(request) => request.groups.len(),
            Request::ConsumerGroupDescribe(request) => request.group_ids.len(),
            Request::DeleteGroups(request) => request.groups_names.len(),
            Request::FindCoordinator(request) => request.coordinator_keys.len(),
            Request::Metadata(request) => match &request.topics {
                // It is made over turns by itself (`all_topics.rs`).
                None => 1,
                Some(topics) => {
                    let known = topics.iter().filter_map(|topic| self.view.by_name(topic.name.as_ref()?));
                    topics.len() + known.map(|topic| topic.partitions.len() as usize).sum::<usize>()
                }
            },
            // It has a bound of its own.
            Request::DescribeTopicPartitions(request) if request.topics.is_empty() => TOPIC_PARTITIONS_LIMIT,
            Request::DescribeTopicPartitions(request) => request.topics.len(),
            Request::ElectLeaders(request) => match &request.topic_partitions {
                None => self.view.partitions(),
                Some(topics) => topics.iter().map(|topic| topic.partitions.len()).sum(),
            },
            Request::AlterPartitionReassignments(request) => {
                request.topics.iter().map(|topic| topic.partitions.len()).sum()
            }
            Request::ListPartitionReassignments(request) => match &request.topics {
                None => self.view.topics().map(|topic| 1 + topic.moves.len()).sum(),
                Some(topics) => topics.iter().map(|topic| topic.partition_indexes.len()).sum(),
            },
            Request::DescribeQuorum(request) => request.topics.iter().map(|topic| topic.partitions.len()).sum(),
            Request::DescribeConfigs(request) => request.resources.len() * ITEMS_OF_SETTINGS,
            Request::ListConfigResources(_) => self.view.topics().len() + self.view.configured_groups().len(),
            Request::DescribeLogDirs(request) => match &request.topics {
                None => self.view.partitions(),
                Some(topics) => topics.iter().map(|topic| topic.partitions.len()).sum(),
            },
            _ => 0,
        }
    }

    fn items_or_some(&self, request: &Request) -> usize {
        let items = match request {
            Request::Fetch(request) => self.fetch_items(request),
            request => self.items(request),
        };
        items.max(1)
    }
}

/// The settings of a topic, in items.
const ITEMS_OF_SETTINGS: usize = 16;

/// True if the answer may be long, and is made at once.
fn is_list(request: &Request) -> bool {
    matches!(request, Request::Metadata(_) | Request::DescribeConfigs(_) | Request::DescribeLogDirs(_))
        || matches!(request, Request::OffsetFetch(_) | Request::DescribeGroups(_) | Request::ListGroups(_))
        || matches!(request, Request::ConsumerGroupDescribe(_) | Request::OffsetFetchById(_))
        || matches!(request, Request::ListConfigResources(_) | Request::DescribeTopicPartitions(_))
        || matches!(request, Request::ListPartitionReassignments(_) | Request::DescribeQuorum(_))
}
