//! DescribeTopicPartitions: Metadata of topics in pages, for clients that look at large ones.

use super::makings::{Making, Nesting};
use super::metadata::TOPIC_OPERATIONS;
use super::{Kafka, Out, ReplyTo};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use torc_net::kafka::schema::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use torc_net::kafka::schema::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName};
use torc_net::kafka::{Behind, StrBytes, error, topic_uuid};
use torc_state::catalog::{Topic, check_name, is_internal};

/// Partitions of one answer at most (`max.request.partition.size.limit`), as in Kafka.
pub(super) const TOPIC_PARTITIONS_LIMIT: usize = 2_000;

/// What a page tells of: it is looked up at once, and told over turns.
struct Page {
    topics: Vec<Paged>,
    /// Partitions that there is room for.
    left: u32,
}

enum Paged {
    Known(Arc<Topic>, Range<u32>),
    /// It takes no room of partitions.
    Unknown(String),
}

/// A page that is being told.
pub(super) struct Paging {
    pub(super) nesting: Nesting,
    rest: std::vec::IntoIter<Paged>,
    /// Partitions of the topic at hand that are not told of, and what stands behind them.
    at: Option<(Arc<Topic>, Range<u32>, Behind)>,
    /// Behind all topics.
    behind: Option<Behind>,
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

impl Kafka {
    /// Topics come in the order of their names, and partitions in theirs, from the cursor on; where the page is full stands
    /// the next cursor.
    pub(super) fn describe_topic_partitions(
        &mut self,
        out: &mut Out,
        to: ReplyTo,
        request: &DescribeTopicPartitionsRequest,
    ) {
        let limit = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, TOPIC_PARTITIONS_LIMIT);
        let (from, first) = match &request.cursor {
            Some(cursor) => (cursor.topic_name.as_str(), u32::try_from(cursor.partition_index)),
            None => ("", Ok(0)),
        };
        let Ok(first) = first else {
            // Of a request that is refused as a whole nothing but its topics can say so.
            return self.refuse_topic_partitions(out, to, request);
        };
        let mut page = Page { topics: Vec::new(), left: limit as u32 };
        let begin = |name: &str| if name == from { first } else { 0 };
        let next = if request.topics.is_empty() {
            self.view.topics_from(from).find_map(|topic| page.put(topic, begin(&topic.name)))
        } else {
            let names: BTreeSet<&str> = request.topics.iter().map(|topic| topic.name.as_str()).collect();
            names.range(from..).find_map(|name| match self.view.by_name(name) {
                Some(topic) => page.put(topic, begin(name)),
                None => page.put_unknown(name),
            })
        };
        self.make(out, to, Making::Page(Box::new(Paging::new(to, page, next))));
    }

    /// Tells on, for about `left` partitions. True if all has been told.
    pub(super) fn page_on(&self, paging: &mut Paging, left: &mut usize) -> bool {
        while *left > 0 {
            let Some((topic, mut indexes, behind)) = paging.at.take() else {
                *left -= 1;
                match paging.rest.next() {
                    Some(Paged::Known(topic, indexes)) => paging.begin(topic, indexes),
                    Some(Paged::Unknown(name)) => paging.nesting.put(&unknown(&name)),
                    None => {
                        paging.behind.take().into_iter().for_each(|behind| paging.nesting.close(behind));
                        return true;
                    }
                }
                continue;
            };
            for index in indexes.by_ref().take(*left) {
                *left -= 1;
                paging.nesting.put(&self.paged(&topic, index));
            }
            if indexes.is_empty() {
                paging.nesting.close(behind);
            } else {
                paging.at = Some((topic, indexes, behind));
            }
        }
        false
    }

    fn paged(&self, topic: &Arc<Topic>, index: u32) -> DescribeTopicPartitionsResponsePartition {
        let group = topic.partitions.get(index).expect("it is below their number");
        let told = self.describe_partition(topic, index as usize, group);
        DescribeTopicPartitionsResponsePartition::default()
            .with_error_code(told.error_code)
            .with_partition_index(told.partition_index)
            .with_leader_id(told.leader_id)
            .with_leader_epoch(told.leader_epoch)
            .with_replica_nodes(told.replica_nodes)
            .with_isr_nodes(told.isr_nodes)
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
            .with_offline_replicas(told.offline_replicas)
    }

    fn refuse_topic_partitions(&mut self, out: &mut Out, to: ReplyTo, request: &DescribeTopicPartitionsRequest) {
        let names: BTreeSet<&str> = request.topics.iter().map(|topic| topic.name.as_str()).collect();
        let topics = names.into_iter().map(|name| {
            DescribeTopicPartitionsResponseTopic::default()
                .with_error_code(error::INVALID_REQUEST)
                .with_name(Some(topic_name(name)))
        });
        self.reply(out, to, &DescribeTopicPartitionsResponse::default().with_topics(topics.collect()));
    }
}

impl Page {
    /// Puts a topic on the page from a partition on. Where the next page begins, if it does not fit.
    fn put(&mut self, topic: &Arc<Topic>, first: u32) -> Option<Cursor> {
        let cursor = |partition: u32| {
            Some(Cursor::default().with_topic_name(topic_name(&topic.name)).with_partition_index(partition as i32))
        };
        if self.left == 0 {
            return cursor(first);
        }
        let count = topic.partitions.len();
        let end = count.min(first.saturating_add(self.left)).max(first);
        self.left -= end - first;
        self.topics.push(Paged::Known(Arc::clone(topic), first..end));
        if end < count { cursor(end) } else { None }
    }

    fn put_unknown(&mut self, name: &str) -> Option<Cursor> {
        self.topics.push(Paged::Unknown(name.to_owned()));
        None
    }
}

impl Paging {
    fn new(to: ReplyTo, page: Page, next: Option<Cursor>) -> Paging {
        let mut nesting = Nesting::new(to);
        let response =
            |topics| DescribeTopicPartitionsResponse::default().with_topics(topics).with_next_cursor(next.clone());
        let behind = Some(nesting.open(page.topics.len(), response));
        Paging { nesting, rest: page.topics.into_iter(), at: None, behind }
    }

    /// Begins the next topic.
    fn begin(&mut self, topic: Arc<Topic>, indexes: Range<u32>) {
        let around = |partitions| {
            DescribeTopicPartitionsResponseTopic::default()
                .with_name(Some(topic_name(&topic.name)))
                .with_topic_id(topic_uuid(topic.id))
                .with_is_internal(is_internal(&topic.name))
                .with_partitions(partitions)
                .with_topic_authorized_operations(TOPIC_OPERATIONS)
        };
        let behind = self.nesting.open(indexes.len(), around);
        self.at = Some((topic, indexes, behind));
    }
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let code = match check_name(name) {
        Ok(()) => error::UNKNOWN_TOPIC_OR_PARTITION,
        Err(_) => error::INVALID_TOPIC_EXCEPTION,
    };
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(code)
        .with_name(Some(topic_name(name)))
        .with_is_internal(is_internal(name))
}
