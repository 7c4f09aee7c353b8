//! Metadata and DescribeCluster, and the small answers about who serves what.

use super::{Kafka, Out, ReplyTo, expiry};
use crate::mail::{Admin, AdminResult, Ask, NewTopic, Token};
use std::collections::BTreeSet;
use std::sync::Arc;
use torc_base::ids::{GroupId, ListenerId, ProducerId, TopicId};
use torc_net::kafka::schema::describe_cluster_response::DescribeClusterBroker;
use torc_net::kafka::schema::metadata_request::MetadataRequestTopic;
use torc_net::kafka::schema::metadata_response::{MetadataResponseBroker, MetadataResponseTopic};
use torc_net::kafka::schema::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse, InitProducerIdRequest, InitProducerIdResponse,
    MetadataRequest, MetadataResponse, TopicName,
};
use torc_net::kafka::{StrBytes, error, topic_id, topic_uuid};
use torc_state::catalog::{Topic, is_internal, is_reserved};

/// Authorized operations that were not asked for.
const NOT_ASKED: i32 = i32::MIN;
/// A bit for each of Kafka's operations that a topic has, by their numbers: read, write, create, delete, alter,
/// describe, describe configs, alter configs. Nothing is forbidden to anybody here.
pub(super) const TOPIC_OPERATIONS: i32 = bits(&[3, 4, 5, 6, 7, 8, 10, 11]);
/// The same of a cluster: create, alter, describe, cluster action, describe configs, alter configs, idempotent write.
const CLUSTER_OPERATIONS: i32 = bits(&[5, 7, 8, 9, 10, 11, 12]);
/// How long Metadata waits for topics to be made. Kafka's does not: it shall be no hindrance for the topics that are there.
const CREATION_MS: i32 = 5_000;

/// How long InitProducerId, which names no time, waits for an id.
const PRODUCER_ID_MS: i32 = 10_000;

pub(super) const fn bits(numbers: &[u32]) -> i32 {
    let (mut bits, mut n) = (0, 0);
    while n < numbers.len() {
        bits |= 1 << numbers[n];
        n += 1;
    }
    bits
}

/// The operations that are told of: all, if they were asked for.
pub(super) const fn asked(is: bool, all: i32) -> i32 {
    if is { all } else { NOT_ASKED }
}

/// A metadata request that waits for its topics to be made.
pub(super) struct Waiting {
    request: MetadataRequest,
    /// In order, each once.
    created: Vec<String>,
}

/// True if the request is for all topics: version 0 says so with an empty list, later ones with null.
fn is_for_all(request: &MetadataRequest, version: i16) -> bool {
    request.topics.as_ref().is_none_or(|topics| version == 0 && topics.is_empty())
}

impl Kafka {
    pub(super) fn metadata(&mut self, out: &mut Out, to: ReplyTo, request: MetadataRequest) {
        if is_for_all(&request, to.version) {
            return self.metadata_of_all(out, to, request);
        }
        // Later versions go by id too, and with these Kafka knew no better than to refuse them.
        let bad = |topic: &MetadataRequestTopic| topic.name.is_none() || topic_id(topic.topic_id) != TopicId::ZERO;
        if matches!(to.version, 10 | 11) && request.topics.as_ref().is_some_and(|topics| topics.iter().any(bad)) {
            let topics = request.topics.iter().flatten().map(|topic| {
                MetadataResponseTopic::default()
                    .with_error_code(error::INVALID_REQUEST)
                    .with_name(Some(topic.name.clone().unwrap_or_default()))
                    .with_topic_id(topic.topic_id)
                    .with_topic_authorized_operations(NOT_ASKED)
            });
            let cluster_operations = request.include_cluster_authorized_operations;
            let response = self.describe_brokers(out.conns.listener(to.conn), cluster_operations);
            let response = response.with_topics(topics.collect());
            return self.reply(out, to, &response);
        }
        let may_create = self.settings.auto_create_topics && (to.version < 4 || request.allow_auto_topic_creation);
        let missing: Vec<String> = match &request.topics {
            Some(topics) if may_create => {
                let names = topics.iter().filter_map(|topic| topic.name.as_ref().map(|name| name.to_string()));
                let may_come = |name: &String| self.view.by_name(name).is_none() && !is_reserved(name);
                let mut missing: Vec<String> = names.filter(may_come).collect();
                missing.sort_unstable();
                missing.dedup();
                missing
            }
            _ => Vec::new(),
        };
        if missing.is_empty() {
            return self.metadata_of_named(out, to, request);
        }
        let topics = missing.iter().map(|name| NewTopic {
            name: name.clone(),
            partitions: -1,
            replication: -1,
            assignments: Vec::new(),
            config: Default::default(),
            refused: None,
        });
        let admin = Admin::Create { topics: topics.collect(), validate_only: false };
        let waiting = Waiting { request, created: missing };
        let expires = expiry::limit(out.now.mono, CREATION_MS);
        let token = self.wait_until(out, expires, to, super::Waiting::Metadata(Box::new(waiting)));
        out.asks.push_back((self.settings.owner(GroupId::CATALOG), token, Ask::Admin(admin)));
    }

    /// The topics that were missing have been made, or could not be. `None`: not in time.
    pub(super) fn finish_metadata(&mut self, out: &mut Out, token: Token, results: Option<Vec<AdminResult>>) {
        let pending = self.done(out, token);
        let super::Waiting::Metadata(waiting) = pending.what else { unreachable!("it was one") };
        let response = self.describe(out, pending.to, &waiting.request, &waiting.created, results.as_deref());
        self.reply(out, pending.to, &response);
    }

    /// An answer without topics, to a client of this listener.
    pub(super) fn describe_brokers(&self, listener: ListenerId, cluster_operations: bool) -> MetadataResponse {
        let brokers = self.brokers(listener).into_iter().map(|broker| {
            MetadataResponseBroker::default()
                .with_node_id(broker.id)
                .with_host(StrBytes::from_string(broker.host))
                .with_port(broker.port.into())
                .with_rack(broker.rack.map(StrBytes::from_string))
        });
        MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_cluster_id(Some(StrBytes::from_string(self.settings.cluster_id.clone())))
            .with_controller_id(self.controller_id())
            .with_cluster_authorized_operations(asked(cluster_operations, CLUSTER_OPERATIONS))
    }

    fn describe(
        &self,
        out: &Out,
        to: ReplyTo,
        request: &MetadataRequest,
        created: &[String],
        results: Option<&[AdminResult]>,
    ) -> MetadataResponse {
        let cluster_operations = request.include_cluster_authorized_operations;
        let mut response = self.describe_brokers(out.conns.listener(to.conn), cluster_operations);
        let operations = asked(request.include_topic_authorized_operations, TOPIC_OPERATIONS);
        let mut seen = BTreeSet::new();
        for wanted in request.topics.iter().flatten() {
            // As in Kafka each is told of once: a short request must not make an answer without bounds.
            if !seen.insert((wanted.name.as_deref(), wanted.topic_id)) {
                continue;
            }
            let answer = match self.find_wanted(to.version, wanted, operations, (created, results)) {
                Ok(topic) => self.describe_topic(topic, operations),
                Err(refused) => refused,
            };
            response.topics.push(answer);
        }
        response
    }

    /// The topic that is asked for, or the answer that says why not. `created`: names that were to be made for the request,
    /// and what came of that.
    pub(super) fn find_wanted(
        &self,
        version: i16,
        wanted: &MetadataRequestTopic,
        operations: i32,
        (created, results): (&[String], Option<&[AdminResult]>),
    ) -> Result<&Arc<Topic>, MetadataResponseTopic> {
        let name = wanted.name.as_ref().map(|name| name.to_string());
        let id = topic_id(wanted.topic_id);
        let by_id = name.is_none() || id != TopicId::ZERO;
        let found = if by_id { self.view.by_id(id) } else { self.view.by_name(name.as_deref().unwrap_or("")) };
        found.ok_or_else(|| {
            let at = name.as_ref().and_then(|name| created.binary_search(name).ok());
            let code = match at.map(|at| results.map_or(error::REQUEST_TIMED_OUT, |results| results[at].error)) {
                // Made and deleted again meanwhile, made by somebody else at the same time, or not made yet.
                Some(error::NONE | error::TOPIC_ALREADY_EXISTS | error::REQUEST_TIMED_OUT | error::NOT_CONTROLLER) => {
                    error::LEADER_NOT_AVAILABLE
                }
                Some(code) => code,
                None if by_id => error::UNKNOWN_TOPIC_ID,
                None if name.as_deref().is_some_and(|name| torc_state::catalog::check_name(name).is_err()) => {
                    error::INVALID_TOPIC_EXCEPTION
                }
                None => error::UNKNOWN_TOPIC_OR_PARTITION,
            };
            MetadataResponseTopic::default()
                .with_error_code(code)
                .with_topic_id(wanted.topic_id)
                .with_name(wanted.name.clone().or((version < 12).then(TopicName::default)))
                .with_is_internal(name.as_deref().is_some_and(is_internal))
                .with_topic_authorized_operations(if by_id { NOT_ASKED } else { operations })
        })
    }

    fn describe_topic(&self, topic: &Arc<Topic>, operations: i32) -> MetadataResponseTopic {
        let partitions = topic.partitions.iter().enumerate();
        let partitions = partitions.map(|(index, group)| self.describe_partition(topic, index, group)).collect();
        self.describe_head(topic, operations).with_partitions(partitions)
    }

    /// A topic without its partitions.
    pub(super) fn describe_head(&self, topic: &Topic, operations: i32) -> MetadataResponseTopic {
        MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_string(topic.name.to_string()))))
            .with_topic_id(topic_uuid(topic.id))
            .with_is_internal(is_internal(&topic.name))
            .with_topic_authorized_operations(operations)
    }

    pub(super) fn describe_cluster(&mut self, out: &mut Out, to: ReplyTo, request: DescribeClusterRequest) {
        /// Clients may ask about brokers or controllers. Before version 1 they cannot choose.
        const BROKERS: i8 = 1;
        const CONTROLLERS: i8 = 2;
        let mut response = DescribeClusterResponse::default().with_endpoint_type(BROKERS);
        let refused = match request.endpoint_type {
            _ if to.version == 0 => None,
            BROKERS => None,
            CONTROLLERS => {
                let text = "The request was sent to an endpoint of type BROKER, but we wanted one of type CONTROLLER.";
                Some((error::MISMATCHED_ENDPOINT_TYPE, text.to_owned()))
            }
            other => Some((error::UNSUPPORTED_ENDPOINT_TYPE, format!("Unsupported endpoint type {other}"))),
        };
        if let Some((code, text)) = refused {
            response.error_code = code;
            response.error_message = Some(StrBytes::from_string(text));
            response.controller_id = BrokerId(-1);
            response.cluster_authorized_operations = NOT_ASKED;
            return self.reply(out, to, &response);
        }
        // Of a broker that cannot be reached no address is told: none is fenced that could be included or left out.
        let brokers = self.brokers(out.conns.listener(to.conn)).into_iter().map(|broker| {
            DescribeClusterBroker::default()
                .with_broker_id(broker.id)
                .with_host(StrBytes::from_string(broker.host))
                .with_port(broker.port.into())
                .with_rack(broker.rack.map(StrBytes::from_string))
        });
        let response = response
            .with_cluster_id(StrBytes::from_string(self.settings.cluster_id.clone()))
            .with_controller_id(self.controller_id())
            .with_cluster_authorized_operations(asked(
                request.include_cluster_authorized_operations,
                CLUSTER_OPERATIONS,
            ))
            .with_brokers(brokers.collect());
        self.reply(out, to, &response);
    }

    pub(super) fn init_producer_id(&mut self, out: &mut Out, to: ReplyTo, request: InitProducerIdRequest) {
        let is_empty = request.transactional_id.as_ref().is_some_and(|id| id.is_empty());
        // Both are -1, or an id that the client had before and its epoch; it gets a new id all the same.
        if is_empty || (request.producer_id.0 == -1) != (request.producer_epoch == -1) {
            return self.reply_producer_id(out, to, Err(error::INVALID_REQUEST));
        }
        if request.transactional_id.is_some() {
            // Fatal to the client, which is right: it would wait for ever for a coordinator.
            return self.reply_producer_id(out, to, Err(error::TRANSACTIONAL_ID_AUTHORIZATION_FAILED));
        }
        let expires = expiry::limit(out.now.mono, PRODUCER_ID_MS);
        let token = self.wait_until(out, expires, to, super::Waiting::ProducerId);
        out.asks.push_back((self.settings.owner(GroupId::CATALOG), token, Ask::ProducerId));
    }

    pub(super) fn finish_producer_id(&mut self, out: &mut Out, token: Token, result: Result<ProducerId, i16>) {
        let pending = self.done(out, token);
        self.reply_producer_id(out, pending.to, result);
    }

    fn reply_producer_id(&mut self, out: &mut Out, to: ReplyTo, result: Result<ProducerId, i16>) {
        use torc_net::kafka::schema::ProducerId as WireId;
        let response = match result {
            Ok(id) => InitProducerIdResponse::default().with_producer_id(WireId(id.get())).with_producer_epoch(0),
            Err(code) => InitProducerIdResponse::default()
                .with_error_code(code)
                .with_producer_id(WireId(-1))
                .with_producer_epoch(-1),
        };
        self.reply(out, to, &response);
    }
}
