//! CreateTopics, DeleteTopics, CreatePartitions and DeleteRecords.

use super::{Kafka, Out, ReplyTo, Waiting};
use crate::mail::{Admin, AdminResult, Ask, NewTopic, Token, TopicRef};
use std::collections::BTreeMap;
use torc_base::ids::{GroupId, Offset, ShardId};
use torc_net::kafka::schema::create_partitions_response::CreatePartitionsTopicResult;
use torc_net::kafka::schema::create_topics_request::CreatableTopic;
use torc_net::kafka::schema::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use torc_net::kafka::schema::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use torc_net::kafka::schema::delete_topics_response::DeletableTopicResult;
use torc_net::kafka::schema::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};
use torc_net::kafka::{StrBytes, error, topic_id, topic_uuid};
use torc_state::config::{self, TopicConfig};

/// A change of the catalog that a client waits for: what its answer needs besides the results.
pub(super) enum AdminGather {
    Create(Vec<TopicName>),
    Delete(Vec<TopicRef>),
    AddPartitions(Vec<TopicName>),
    AlterConfigs(super::configs::AlterGather),
}

/// A DeleteRecords request whose answer is being put together.
pub(super) struct DeleteRecordsGather {
    response: DeleteRecordsResponse,
    places: Vec<(usize, usize)>,
    waiting: usize,
}

impl DeleteRecordsGather {
    /// Takes answers in; true if all are there.
    pub fn take(&mut self, parts: Vec<(u32, i16, Offset)>) -> bool {
        for (position, code, low_watermark) in parts {
            let (topic, partition) = self.places[position as usize];
            let place = &mut self.response.topics[topic].partitions[partition];
            place.error_code = code;
            place.low_watermark = low_watermark.get();
            self.waiting -= 1;
        }
        self.waiting == 0
    }
}

/// A message for people, if there is one.
pub(super) fn message(text: Option<String>) -> Option<StrBytes> {
    text.map(StrBytes::from_string)
}

fn new_topic(topic: &CreatableTopic, twice: bool) -> NewTopic {
    let mut refused = None;
    let mut partitions = topic.num_partitions;
    if twice {
        refused = Some((error::INVALID_REQUEST, "the topic is named more than once in the request".to_owned()));
    } else if !topic.assignments.is_empty() {
        // With one node every assignment that makes sense is the same.
        if topic.num_partitions != -1 || topic.replication_factor != -1 {
            let text = "partitions and replication factor must be -1 where replicas are assigned";
            refused = Some((error::INVALID_REQUEST, text.to_owned()));
        } else if topic.assignments.iter().any(|assignment| assignment.broker_ids.len() != 1) {
            refused = Some((error::INVALID_REPLICA_ASSIGNMENT, "each partition has one replica on one node".into()));
        }
        partitions = topic.assignments.len() as i32;
    }
    // A null value asks for the default.
    let config = topic.configs.iter().filter_map(|c| Some((c.name.to_string(), c.value.as_ref()?.to_string())));
    NewTopic {
        name: topic.name.to_string(),
        partitions,
        replication: topic.replication_factor,
        config: config.collect(),
        refused,
    }
}

impl Kafka {
    pub(super) fn create_topics(&mut self, out: &mut Out, to: ReplyTo, request: CreateTopicsRequest) {
        let mut times: BTreeMap<String, u32> = BTreeMap::new();
        for topic in &request.topics {
            *times.entry(topic.name.to_string()).or_default() += 1;
        }
        let topics: Vec<NewTopic> =
            request.topics.iter().map(|topic| new_topic(topic, times[topic.name.as_str()] > 1)).collect();
        let gather = AdminGather::Create(request.topics.into_iter().map(|topic| topic.name).collect());
        self.ask_admin(out, to, Admin::Create { topics, validate_only: request.validate_only }, gather);
    }

    pub(super) fn delete_topics(&mut self, out: &mut Out, to: ReplyTo, request: DeleteTopicsRequest) {
        let by_name = request.topic_names.iter().map(|name| TopicRef::Name(name.to_string()));
        let by_state = request.topics.iter().map(|topic| match &topic.name {
            Some(name) => TopicRef::Name(name.to_string()),
            None => TopicRef::Id(topic_id(topic.topic_id)),
        });
        let topics: Vec<TopicRef> = by_name.chain(by_state).collect();
        self.ask_admin(out, to, Admin::Delete(topics.clone()), AdminGather::Delete(topics));
    }

    pub(super) fn create_partitions(&mut self, out: &mut Out, to: ReplyTo, request: CreatePartitionsRequest) {
        let topics = request.topics.iter().map(|topic| (topic.name.to_string(), topic.count)).collect();
        let names = request.topics.into_iter().map(|topic| topic.name).collect();
        let admin = Admin::AddPartitions { topics, validate_only: request.validate_only };
        self.ask_admin(out, to, admin, AdminGather::AddPartitions(names));
    }

    /// The catalog's owner has done what was asked, or not.
    pub(super) fn finish_admin(&mut self, out: &mut Out, token: Token, results: Vec<AdminResult>) {
        let pending = self.done(token);
        let Waiting::Admin(gather) = pending.what else { unreachable!("it was one") };
        let to = pending.to;
        match gather {
            AdminGather::Create(names) => {
                let defaults = self.settings.topic_defaults;
                let topics = names.into_iter().zip(results);
                let topics = topics.map(|(name, result)| created(&defaults, to.version, name, result));
                let response = CreateTopicsResponse::default().with_topics(topics.collect());
                self.reply(out, to, &response);
            }
            AdminGather::Delete(topics) => {
                let responses =
                    topics.into_iter().zip(results).map(|(topic, result)| deleted(to.version, topic, result));
                let response = DeleteTopicsResponse::default().with_responses(responses.collect());
                self.reply(out, to, &response);
            }
            AdminGather::AddPartitions(names) => {
                let results = names.into_iter().zip(results).map(|(name, result)| {
                    CreatePartitionsTopicResult::default()
                        .with_name(name)
                        .with_error_code(result.error)
                        .with_error_message(message(result.message))
                });
                self.reply(out, to, &CreatePartitionsResponse::default().with_results(results.collect()));
            }
            AdminGather::AlterConfigs(gather) => self.finish_alter_configs(out, to, gather, results),
        }
    }

    pub(super) fn delete_records(&mut self, out: &mut Out, to: ReplyTo, request: DeleteRecordsRequest) {
        let response = DeleteRecordsResponse::default();
        let mut gather = DeleteRecordsGather { response, places: Vec::new(), waiting: 0 };
        let mut asks: BTreeMap<ShardId, Vec<(u32, GroupId, Offset)>> = BTreeMap::new();
        for (t, topic) in request.topics.into_iter().enumerate() {
            let mut answer = DeleteRecordsTopicResult::default().with_name(topic.name.clone());
            for (p, partition) in topic.partitions.into_iter().enumerate() {
                let mut place = DeleteRecordsPartitionResult::default()
                    .with_partition_index(partition.partition_index)
                    .with_low_watermark(-1);
                match self.group_of(&topic.name, partition.partition_index) {
                    Ok(group) => {
                        let position = gather.places.len() as u32;
                        gather.places.push((t, p));
                        let part = (position, group, Offset(partition.offset));
                        asks.entry(self.settings.owner(group)).or_default().push(part);
                    }
                    Err(code) => place.error_code = code,
                }
                answer.partitions.push(place);
            }
            gather.response.topics.push(answer);
        }
        gather.waiting = gather.places.len();
        if gather.waiting == 0 {
            return self.reply(out, to, &gather.response);
        }
        let token = self.wait(to, Waiting::DeleteRecords(gather));
        out.asks.extend(asks.into_iter().map(|(owner, parts)| (owner, token, Ask::DeleteRecords(parts))));
    }

    pub(super) fn finish_delete_records(&mut self, out: &mut Out, token: Token) {
        let pending = self.done(token);
        let Waiting::DeleteRecords(gather) = pending.what else { unreachable!("it was one") };
        self.reply(out, pending.to, &gather.response);
    }
}

fn created(defaults: &TopicConfig, version: i16, name: TopicName, result: AdminResult) -> CreatableTopicResult {
    let mut answer = CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(result.error)
        .with_error_message(message(result.message));
    if version < 5 {
        return answer;
    }
    match result.topic {
        Some(topic) => {
            answer.num_partitions = topic.partitions.len() as i32;
            answer.replication_factor = 1;
            let configs = config::describe(defaults, &topic.overrides).map(|entry| {
                CreatableTopicConfigs::default()
                    .with_name(StrBytes::from_static_str(entry.key.name))
                    .with_value(Some(StrBytes::from_string(entry.value)))
                    .with_read_only(entry.key.is_fixed())
                    .with_config_source(entry.source as i8)
            });
            answer.configs = Some(configs.collect());
            if version >= 7 {
                answer.topic_id = topic_uuid(topic.id);
            }
        }
        None => answer.configs = Some(Vec::new()),
    }
    answer
}

fn deleted(version: i16, topic: TopicRef, result: AdminResult) -> DeletableTopicResult {
    let mut answer = DeletableTopicResult::default().with_error_code(result.error);
    if version >= 5 {
        answer.error_message = message(result.message);
    }
    let name = match (&topic, &result.topic) {
        (TopicRef::Name(name), _) => Some(name.clone()),
        (TopicRef::Id(_), Some(topic)) => Some(topic.name.to_string()),
        (TopicRef::Id(_), None) => None,
    };
    answer.name = name.map(|name| TopicName(StrBytes::from_string(name)));
    if version >= 6 {
        answer.topic_id = match (&topic, &result.topic) {
            (_, Some(topic)) => topic_uuid(topic.id),
            (TopicRef::Id(id), None) => topic_uuid(*id),
            (TopicRef::Name(_), None) => answer.topic_id,
        };
    }
    answer
}
