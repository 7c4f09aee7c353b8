//! AlterPartitionReassignments and ListPartitionReassignments.

use super::brokers::broker_id;
use super::topics::{AdminGather, message};
use super::{Kafka, Out, ReplyTo, expiry};
use crate::mail::{Admin, AdminResult, Reassign};
use std::sync::Arc;
use torc_base::ids::NodeId;
use torc_net::kafka::schema::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use torc_net::kafka::schema::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use torc_net::kafka::schema::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, TopicName,
};
use torc_net::kafka::{StrBytes, error};
use torc_state::catalog::Topic;

/// What an answer needs besides the results: the partitions in the order in which they were named.
pub(super) struct ReassignGather {
    topics: Vec<(TopicName, Vec<i32>)>,
    factor: bool,
}

impl ReassignGather {
    /// Results that are to come.
    pub fn asked(&self) -> usize {
        self.topics.iter().map(|(_, partitions)| partitions.len()).sum()
    }
}

impl Kafka {
    pub(super) fn alter_partition_reassignments(
        &mut self,
        out: &mut Out,
        to: ReplyTo,
        request: AlterPartitionReassignmentsRequest,
    ) {
        // Before version 1 nobody could say that he did not want it.
        let factor = to.version < 1 || request.allow_replication_factor_change;
        let named = request.topics.iter().map(|topic| {
            (topic.name.clone(), topic.partitions.iter().map(|partition| partition.partition_index).collect())
        });
        let gather = ReassignGather { topics: named.collect(), factor };
        let ids = |ids: &Vec<BrokerId>| ids.iter().map(|id| id.0).collect();
        let topics = request.topics.iter().map(|topic| Reassign {
            topic: topic.name.to_string(),
            partitions: topic
                .partitions
                .iter()
                .map(|one| (one.partition_index, one.replicas.as_ref().map(ids)))
                .collect(),
        });
        let admin = Admin::Reassign { topics: topics.collect(), factor };
        let expires = expiry::limit(out.now.mono, request.timeout_ms);
        self.ask_admin(out, to, expires, admin, AdminGather::Reassign(gather));
    }

    pub(super) fn finish_reassign(
        &mut self,
        out: &mut Out,
        to: ReplyTo,
        gather: ReassignGather,
        results: Vec<AdminResult>,
    ) {
        let mut response = AlterPartitionReassignmentsResponse::default();
        if to.version >= 1 {
            response.allow_replication_factor_change = gather.factor;
        }
        // Clients look for another controller only if the whole request was refused.
        if !results.is_empty() && results.iter().all(|result| result.error == error::NOT_CONTROLLER) {
            response.error_code = error::NOT_CONTROLLER;
            return self.reply(out, to, &response);
        }
        let mut results = results.into_iter();
        for (name, partitions) in gather.topics {
            let responses = partitions.into_iter().zip(results.by_ref()).map(|(partition, result)| {
                ReassignablePartitionResponse::default()
                    .with_partition_index(partition)
                    .with_error_code(result.error)
                    .with_error_message(message(result.message))
            });
            let responses = responses.collect();
            response.responses.push(ReassignableTopicResponse::default().with_name(name).with_partitions(responses));
        }
        self.reply(out, to, &response);
    }

    pub(super) fn list_partition_reassignments(
        &mut self,
        out: &mut Out,
        to: ReplyTo,
        request: &ListPartitionReassignmentsRequest,
    ) {
        let mut topics = Vec::new();
        match &request.topics {
            None => {
                let moving = self.view.topics().filter(|topic| !topic.moves.is_empty());
                topics.extend(moving.map(|topic| ongoing(topic, topic.moves.keys().copied())));
            }
            Some(named) => {
                for wanted in named {
                    let Some(topic) = self.view.by_name(&wanted.name) else { continue };
                    let indexes = wanted.partition_indexes.iter().filter_map(|index| u32::try_from(*index).ok());
                    topics.push(ongoing(topic, indexes.filter(|index| topic.moves.contains_key(index))));
                }
                topics.retain(|topic| !topic.partitions.is_empty());
            }
        }
        self.reply(out, to, &ListPartitionReassignmentsResponse::default().with_topics(topics));
    }
}

fn ongoing(topic: &Arc<Topic>, partitions: impl Iterator<Item = u32>) -> OngoingTopicReassignment {
    let ids = |nodes: &[NodeId]| nodes.iter().copied().map(broker_id).collect();
    let partitions = partitions.map(|partition| {
        let (adding, removing) = topic.adding_and_removing(partition);
        OngoingPartitionReassignment::default()
            .with_partition_index(partition as i32)
            .with_replicas(ids(&topic.shown(partition)))
            .with_adding_replicas(ids(&adding))
            .with_removing_replicas(ids(&removing))
    });
    let name = TopicName(StrBytes::from_string(topic.name.to_string()));
    OngoingTopicReassignment::default().with_name(name).with_partitions(partitions.collect())
}
