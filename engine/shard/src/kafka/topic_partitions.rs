//! DescribeTopicPartitions: Metadata of topics in pages, for clients that look at large ones.

use super::metadata::TOPIC_OPERATIONS;
use super::{Kafka, Out, ReplyTo};
use std::collections::BTreeSet;
use std::sync::Arc;
use torc_net::kafka::schema::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use torc_net::kafka::schema::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName};
use torc_net::kafka::{StrBytes, error, topic_uuid};
use torc_state::catalog::{Topic, check_name, is_internal};

/// Partitions of one answer at most (`max.request.partition.size.limit`), as in Kafka.
pub(super) const TOPIC_PARTITIONS_LIMIT: usize = 2_000;

/// A page of topics that is being filled.
struct Page {
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    left: usize,
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
        let mut page = Page { topics: Vec::new(), left: limit };
        let begin = |name: &str| if name == from { first } else { 0 };
        let mut next = None;
        if request.topics.is_empty() {
            let mut last = None;
            while let Some(topic) = self.view.topic_from(from, last.as_deref()) {
                next = self.describe_page(&mut page, topic, begin(&topic.name));
                if next.is_some() {
                    break;
                }
                last = Some(Arc::clone(&topic.name));
            }
        } else {
            let names: BTreeSet<&str> = request.topics.iter().map(|topic| topic.name.as_str()).collect();
            for name in names.range(from..) {
                next = match self.view.by_name(name) {
                    Some(topic) => self.describe_page(&mut page, topic, begin(name)),
                    None => page.unknown(name),
                };
                if next.is_some() {
                    break;
                }
            }
        }
        let response = DescribeTopicPartitionsResponse::default().with_topics(page.topics).with_next_cursor(next);
        self.reply(out, to, &response);
    }

    /// Puts a topic on the page from a partition on. Where the next page begins, if it does not fit.
    fn describe_page(&self, page: &mut Page, topic: &Arc<Topic>, first: u32) -> Option<Cursor> {
        let cursor = |partition: u32| {
            Some(Cursor::default().with_topic_name(topic_name(&topic.name)).with_partition_index(partition as i32))
        };
        if page.left == 0 {
            return cursor(first);
        }
        let end = topic.partitions.len().min(first.saturating_add(page.left as u32));
        let partitions = (first..end).map(|index| {
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
        });
        let partitions: Vec<_> = partitions.collect();
        page.left -= partitions.len();
        page.topics.push(
            DescribeTopicPartitionsResponseTopic::default()
                .with_name(Some(topic_name(&topic.name)))
                .with_topic_id(topic_uuid(topic.id))
                .with_is_internal(is_internal(&topic.name))
                .with_partitions(partitions)
                .with_topic_authorized_operations(TOPIC_OPERATIONS),
        );
        if end < topic.partitions.len() { cursor(end) } else { None }
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
    /// A topic that is not there takes no room of partitions.
    fn unknown(&mut self, name: &str) -> Option<Cursor> {
        let code = match check_name(name) {
            Ok(()) => error::UNKNOWN_TOPIC_OR_PARTITION,
            Err(_) => error::INVALID_TOPIC_EXCEPTION,
        };
        self.topics.push(
            DescribeTopicPartitionsResponseTopic::default()
                .with_error_code(code)
                .with_name(Some(topic_name(name)))
                .with_is_internal(is_internal(name)),
        );
        None
    }
}
