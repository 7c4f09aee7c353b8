//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs and DescribeLogDirs.

use super::topics::{AdminGather, message};
use super::{Kafka, Out, ReplyTo, Waiting, view};
use crate::mail::{Admin, AdminResult, Ask, ConfigChange, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use torc_base::ids::{GroupId, ShardId};
use torc_net::kafka::schema::alter_configs_response::AlterConfigsResourceResponse;
use torc_net::kafka::schema::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use torc_net::kafka::schema::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use torc_net::kafka::schema::incremental_alter_configs_response::AlterConfigsResourceResponse as IncrementalResponse;
use torc_net::kafka::schema::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse, DescribeLogDirsRequest,
    DescribeLogDirsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, TopicName,
};
use torc_net::kafka::{StrBytes, error};
use torc_state::catalog::Topic;
use torc_state::config::{self, Alter, Overrides};

/// Kinds of resources that have settings.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Why a resource is refused that the request has named before.
const NAMED_TWICE: &str = "the resource is named more than once";
/// STATIC_BROKER_CONFIG
const FROM_SERVER: i8 = 4;
/// Kafka's number for a text setting.
const STRING: i8 = 2;

/// One resource of a request that changes settings: answered already, or the next of those that were asked.
pub(super) struct AlterGather {
    incremental: bool,
    resources: Vec<Altered>,
}

/// A resource whose settings are to be changed.
struct Altered {
    kind: i8,
    name: StrBytes,
    /// If it is known before the catalog's owner is asked.
    answer: Option<(i16, String)>,
}

/// A DescribeLogDirs request whose answer is being put together.
pub(super) struct LogDirsGather {
    topics: Vec<DescribeLogDirsTopic>,
    places: Vec<(usize, usize)>,
    waiting: usize,
}

impl LogDirsGather {
    /// Takes answers in; true if all are there.
    pub fn take(&mut self, parts: Vec<(u32, u64)>) -> bool {
        for (position, bytes) in parts {
            let (topic, partition) = self.places[position as usize];
            self.topics[topic].partitions[partition].partition_size = bytes as i64;
            self.waiting -= 1;
        }
        self.waiting == 0
    }
}

impl Kafka {
    pub(super) fn describe_configs(&mut self, out: &mut Out, to: ReplyTo, request: DescribeConfigsRequest) {
        let mut seen = BTreeSet::new();
        let results = request.resources.iter().map(|resource| {
            let keys = resource.configuration_keys.as_ref();
            let wanted = |name: &str| keys.is_none_or(|keys| keys.iter().any(|key| key.as_str() == name));
            let result = DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            match resource.resource_type {
                // A short request must not make an answer without bounds.
                kind if !seen.insert((kind, &resource.resource_name)) => {
                    result.with_error_code(error::INVALID_REQUEST).with_error_message(message(Some(NAMED_TWICE.into())))
                }
                TOPIC => match self.view.by_name(&resource.resource_name) {
                    Some(topic) => result.with_configs(self.topic_configs(&request, topic, wanted)),
                    None => result.with_error_code(error::UNKNOWN_TOPIC_OR_PARTITION),
                },
                BROKER if self.is_this_broker(&resource.resource_name) => {
                    result.with_configs(self.broker_configs(wanted))
                }
                BROKER => result
                    .with_error_code(error::INVALID_REQUEST)
                    .with_error_message(message(Some(format!("this is broker {}", self.settings.node)))),
                other => result
                    .with_error_code(error::INVALID_REQUEST)
                    .with_error_message(message(Some(format!("resources of type {other} have no settings here")))),
            }
        });
        let response = DescribeConfigsResponse::default().with_results(results.collect());
        self.reply(out, to, &response);
    }

    fn is_this_broker(&self, name: &str) -> bool {
        name.is_empty() || name.parse() == Ok(self.settings.node.get())
    }

    fn topic_configs(
        &self,
        request: &DescribeConfigsRequest,
        topic: &Topic,
        wanted: impl Fn(&str) -> bool,
    ) -> Vec<DescribeConfigsResourceResult> {
        let all = config::describe(&self.settings.topic_defaults, &topic.overrides);
        all.filter(|entry| wanted(entry.key.name))
            .map(|entry| {
                let mut result = DescribeConfigsResourceResult::default()
                    .with_name(StrBytes::from_static_str(entry.key.name))
                    .with_value(Some(StrBytes::from_string(entry.value)))
                    .with_read_only(entry.key.is_fixed())
                    .with_config_source(entry.source as i8)
                    .with_config_type(entry.key.kind as i8);
                if request.include_documentation {
                    result.documentation = Some(StrBytes::from_static_str(entry.key.doc));
                }
                if request.include_synonyms {
                    let synonyms = entry.synonyms.into_iter().map(|synonym| {
                        DescribeConfigsSynonym::default()
                            .with_name(StrBytes::from_static_str(synonym.name))
                            .with_value(Some(StrBytes::from_string(synonym.value)))
                            .with_source(synonym.source as i8)
                    });
                    result.synonyms = synonyms.collect();
                }
                result
            })
            .collect()
    }

    fn broker_configs(&self, wanted: impl Fn(&str) -> bool) -> Vec<DescribeConfigsResourceResult> {
        let settings = self.settings.described.iter().filter(|(name, _)| wanted(name));
        settings
            .map(|(name, value)| {
                DescribeConfigsResourceResult::default()
                    .with_name(StrBytes::from_string(name.clone()))
                    .with_value(Some(StrBytes::from_string(value.clone())))
                    .with_read_only(true)
                    .with_config_source(FROM_SERVER)
                    .with_config_type(STRING)
            })
            .collect()
    }

    pub(super) fn incremental_alter_configs(
        &mut self,
        out: &mut Out,
        to: ReplyTo,
        request: IncrementalAlterConfigsRequest,
    ) {
        let resources = request.resources.into_iter().map(|resource| {
            let changes = resource.configs.into_iter().map(|change| {
                let value = change.value.map(|value| value.to_string());
                let alter = match (change.config_operation, value) {
                    (1, _) => Alter::Delete,
                    (0, Some(value)) => Alter::Set(value),
                    (2, Some(value)) => Alter::Append(value),
                    (3, Some(value)) => Alter::Subtract(value),
                    (0, None) => return Err(format!("{}: a value is missing", change.name)),
                    (operation, _) => return Err(format!("{}: operation {operation} is unknown", change.name)),
                };
                Ok((change.name.to_string(), alter))
            });
            let changes: Result<Vec<_>, String> = changes.collect();
            (resource.resource_type, resource.resource_name, changes.map(ConfigChange::Alter))
        });
        let resources = resources.collect();
        self.change_configs(out, to, true, resources, request.validate_only);
    }

    pub(super) fn alter_configs(&mut self, out: &mut Out, to: ReplyTo, request: AlterConfigsRequest) {
        let resources = request.resources.into_iter().map(|resource| {
            let configs = resource.configs.into_iter();
            let overrides: Overrides =
                configs.filter_map(|c| Some((c.name.to_string(), c.value?.to_string()))).collect();
            (resource.resource_type, resource.resource_name, Ok(ConfigChange::Replace(overrides)))
        });
        let resources = resources.collect();
        self.change_configs(out, to, false, resources, request.validate_only);
    }

    fn change_configs(
        &mut self,
        out: &mut Out,
        to: ReplyTo,
        incremental: bool,
        resources: Vec<(i8, StrBytes, Result<ConfigChange, String>)>,
        validate_only: bool,
    ) {
        let mut gather = AlterGather { incremental, resources: Vec::new() };
        let mut topics = Vec::new();
        let mut seen = BTreeSet::new();
        for (kind, name, change) in resources {
            let text = "only topics' settings can be changed while torc runs; others stand in its configuration file";
            let answer = match change {
                _ if !seen.insert((kind, name.clone())) => Some((error::INVALID_REQUEST, NAMED_TWICE.to_owned())),
                _ if kind != TOPIC => Some((error::INVALID_REQUEST, text.to_owned())),
                Err(what) => Some((error::INVALID_CONFIG, what)),
                Ok(change) => {
                    topics.push((name.to_string(), change));
                    None
                }
            };
            gather.resources.push(Altered { kind, name, answer });
        }
        self.ask_admin(out, to, Admin::Configs { topics, validate_only }, AdminGather::AlterConfigs(gather));
    }

    pub(super) fn finish_alter_configs(
        &mut self,
        out: &mut Out,
        to: ReplyTo,
        gather: AlterGather,
        results: Vec<AdminResult>,
    ) {
        let mut results = results.into_iter();
        let answers = gather.resources.into_iter().map(|Altered { kind, name, answer }| {
            let (code, text) = match answer {
                Some((code, text)) => (code, Some(text)),
                None => {
                    let result = results.next().expect("one result to each that was asked");
                    (result.error, result.message)
                }
            };
            (kind, name, code, message(text))
        });
        if gather.incremental {
            let responses = answers.map(|(kind, name, code, text)| {
                IncrementalResponse::default()
                    .with_resource_type(kind)
                    .with_resource_name(name)
                    .with_error_code(code)
                    .with_error_message(text)
            });
            let response = IncrementalAlterConfigsResponse::default().with_responses(responses.collect());
            self.reply(out, to, &response);
        } else {
            let responses = answers.map(|(kind, name, code, text)| {
                AlterConfigsResourceResponse::default()
                    .with_resource_type(kind)
                    .with_resource_name(name)
                    .with_error_code(code)
                    .with_error_message(text)
            });
            let response = AlterConfigsResponse::default().with_responses(responses.collect());
            self.reply(out, to, &response);
        }
    }

    pub(super) fn describe_log_dirs(&mut self, out: &mut Out, to: ReplyTo, request: DescribeLogDirsRequest) {
        let mut wanted: Vec<(Arc<Topic>, Vec<i32>)> = Vec::new();
        match request.topics {
            None => {
                for topic in self.view.topics() {
                    wanted.push((Arc::clone(topic), (0..topic.partitions.len() as i32).collect()));
                }
            }
            Some(topics) => {
                for topic in topics {
                    if let Some(found) = self.view.by_name(&topic.topic) {
                        wanted.push((Arc::clone(found), topic.partitions));
                    }
                }
            }
        }
        let mut gather = LogDirsGather { topics: Vec::new(), places: Vec::new(), waiting: 0 };
        let mut asks: BTreeMap<ShardId, Vec<(u32, GroupId)>> = BTreeMap::new();
        for (topic, indexes) in wanted {
            let name = TopicName(StrBytes::from_string(topic.name.to_string()));
            let mut answer = DescribeLogDirsTopic::default().with_name(name);
            for index in indexes {
                let Some(group) = view::partition(&topic, index) else { continue };
                let position = gather.places.len() as u32;
                gather.places.push((gather.topics.len(), answer.partitions.len()));
                answer.partitions.push(DescribeLogDirsPartition::default().with_partition_index(index));
                asks.entry(self.settings.owner(group)).or_default().push((position, group));
            }
            gather.topics.push(answer);
        }
        gather.waiting = gather.places.len();
        if gather.waiting == 0 {
            return self.answer_log_dirs(out, to, gather);
        }
        let token = self.wait(to, Waiting::LogDirs(gather));
        out.asks.extend(asks.into_iter().map(|(owner, parts)| (owner, token, Ask::Sizes(parts))));
    }

    pub(super) fn finish_log_dirs(&mut self, out: &mut Out, token: Token) {
        let pending = self.done(token);
        let Waiting::LogDirs(gather) = pending.what else { unreachable!("it was one") };
        self.answer_log_dirs(out, pending.to, gather);
    }

    fn answer_log_dirs(&mut self, out: &mut Out, to: ReplyTo, gather: LogDirsGather) {
        let directory = DescribeLogDirsResult::default()
            .with_log_dir(StrBytes::from_string(self.settings.data_dir.clone()))
            .with_topics(gather.topics)
            .with_total_bytes(-1)
            .with_usable_bytes(-1);
        let response = DescribeLogDirsResponse::default().with_results(vec![directory]);
        self.reply(out, to, &response);
    }
}
