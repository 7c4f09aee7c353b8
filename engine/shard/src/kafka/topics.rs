//! CreateTopics, DeleteTopics, CreatePartitions and DeleteRecords.

use super::lines::ITEMS_OF_SETTINGS;
use super::makings::{Listing, Making};
use super::repeats::repeated;
use super::{Kafka, Out, ReplyTo, Waiting, code, expiry};
use crate::mail::{Admin, AdminResult, Ask, MorePartitions, NewTopic, Parts, Token, TopicRef};
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Zip;
use std::vec::IntoIter;
use torc_base::ids::{GroupId, Offset, Place, TopicId};
use torc_net::kafka::schema::create_partitions_request::CreatePartitionsTopic;
use torc_net::kafka::schema::create_partitions_response::CreatePartitionsTopicResult;
use torc_net::kafka::schema::create_topics_request::CreatableTopic;
use torc_net::kafka::schema::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use torc_net::kafka::schema::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use torc_net::kafka::schema::delete_topics_response::DeletableTopicResult;
use torc_net::kafka::schema::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};
use torc_net::kafka::{StrBytes, error, topic_id, topic_uuid};
use torc_state::catalog::is_reserved;
use torc_state::config::{self, Overrides, TopicConfig};

/// A change of the catalog that a client waits for: what its answer needs besides the results of what was asked.
pub(super) enum AdminGather {
    Create { asked: Vec<TopicName>, refused: Vec<CreatableTopicResult> },
    Delete { asked: Vec<TopicRef>, refused: Vec<DeletableTopicResult> },
    AddPartitions { asked: Vec<TopicName>, refused: Vec<CreatePartitionsTopicResult> },
    AlterConfigs(super::configs::AlterGather),
    Reassign(super::moves::ReassignGather),
}

impl AdminGather {
    /// Results that are to come.
    fn asked(&self) -> usize {
        match self {
            AdminGather::Create { asked, .. } | AdminGather::AddPartitions { asked, .. } => asked.len(),
            AdminGather::Delete { asked, .. } => asked.len(),
            AdminGather::AlterConfigs(gather) => gather.asked(),
            AdminGather::Reassign(gather) => gather.asked(),
        }
    }
}

/// A DeleteRecords request whose answer is being put together.
pub(super) struct DeleteRecordsGather {
    response: DeleteRecordsResponse,
    places: Vec<(usize, usize)>,
    waiting: usize,
}

impl DeleteRecordsGather {
    /// Takes answers in; true if all are there.
    pub fn take(&mut self, parts: Parts<Offset>) -> bool {
        for (position, result) in parts {
            let (topic, partition) = self.places[position as usize];
            let place = &mut self.response.topics[topic].partitions[partition];
            place.error_code = result.err().map_or(error::NONE, code);
            place.low_watermark = result.unwrap_or(Offset(-1)).get();
            self.waiting -= 1;
        }
        self.waiting == 0
    }
}

/// A message for people, if there is one.
pub(super) fn message(text: Option<String>) -> Option<StrBytes> {
    text.map(StrBytes::from_string)
}

/// The beginning of what may be anything that fits into a request: answers have bounds too.
pub(super) fn clip(text: &str) -> &str {
    text.char_indices().nth(100).map_or(text, |(end, _)| &text[..end])
}

/// What a topic is refused with that the request names more than once.
const NAME_TWICE: StrBytes = StrBytes::from_static_str("Duplicate topic name.");

fn new_topic(topic: &CreatableTopic) -> NewTopic {
    let nulls = topic.configs.iter().filter(|config| config.value.is_none()).map(|config| config.name.as_str());
    let nulls: Vec<&str> = nulls.take(5).map(clip).collect();
    let refused = (!nulls.is_empty())
        .then(|| (error::INVALID_CONFIG, format!("Null value not supported for topic configs: {}", nulls.join(","))));
    let config = topic.configs.iter().filter_map(|c| Some((c.name.to_string(), c.value.as_ref()?.to_string())));
    let assignment = |a: &torc_net::kafka::schema::create_topics_request::CreatableReplicaAssignment| {
        (a.partition_index, a.broker_ids.iter().map(|broker| broker.0).collect())
    };
    NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication: topic.replication_factor,
        assignments: topic.assignments.iter().map(assignment).collect(),
        config: config.collect::<Overrides>(),
        refused,
    }
}

fn more_partitions(topic: &CreatePartitionsTopic) -> MorePartitions {
    let assignments = topic.assignments.as_ref().map(|assignments| {
        assignments.iter().map(|one| one.broker_ids.iter().map(|broker| broker.0).collect()).collect()
    });
    MorePartitions { name: topic.name.to_string(), total: topic.count, assignments }
}

/// Topics of one CreateTopics whose settings are told.
const SETTINGS_TOLD_MAX: usize = 1_000;

/// What came of a CreateTopics, and the answer to it so far: it tells the settings of each topic.
pub(super) struct Creating {
    version: i16,
    /// Topics that are not in it.
    rest: Zip<IntoIter<TopicName>, IntoIter<AdminResult>>,
    pub(super) topics: Listing,
    refused: Vec<CreatableTopicResult>,
}

impl Kafka {
    /// Topics that are named twice are refused, each with one answer, and so in the requests below.
    pub(super) fn create_topics(&mut self, out: &mut Out, to: ReplyTo, request: CreateTopicsRequest) {
        let twice = repeated(request.topics.iter().map(|topic| &topic.name));
        let once = || request.topics.iter().filter(|topic| !twice.contains(&topic.name));
        let refused = twice.iter().map(|name| {
            CreatableTopicResult::default()
                .with_name((*name).clone())
                .with_error_code(error::INVALID_REQUEST)
                .with_error_message(Some(NAME_TWICE))
        });
        let gather =
            AdminGather::Create { asked: once().map(|topic| topic.name.clone()).collect(), refused: refused.collect() };
        let admin = Admin::Create { topics: once().map(new_topic).collect(), validate_only: request.validate_only };
        self.ask_admin(out, to, expiry::limit(out.now.mono, request.timeout_ms), admin, gather);
    }

    pub(super) fn delete_topics(&mut self, out: &mut Out, to: ReplyTo, request: DeleteTopicsRequest) {
        let mut refused = Vec::new();
        let mut refuse = |name: Option<&TopicName>, id: TopicId, why: &'static str| {
            let mut answer = DeletableTopicResult::default().with_name(name.cloned());
            if to.version >= 6 {
                answer.topic_id = topic_uuid(id);
            }
            if to.version >= 5 {
                answer.error_message = Some(StrBytes::from_static_str(why));
            }
            refused.push(answer.with_error_code(error::INVALID_REQUEST));
        };
        let mut names: Vec<&TopicName> = request.topic_names.iter().collect();
        let mut ids = Vec::new();
        for topic in &request.topics {
            let id = topic_id(topic.topic_id);
            match &topic.name {
                Some(name) if id == TopicId::ZERO => names.push(name),
                None if id != TopicId::ZERO => ids.push(id),
                Some(name) => refuse(Some(name), id, "You may not specify both topic name and topic id."),
                None => refuse(None, id, "Neither topic name nor id were specified."),
            }
        }
        let (names_twice, ids_twice) = (repeated(names.iter().copied()), repeated(ids.iter().copied()));
        names_twice.iter().for_each(|name| refuse(Some(name), TopicId::ZERO, "Duplicate topic name."));
        ids_twice.iter().for_each(|id| refuse(None, *id, "Duplicate topic id."));
        names.retain(|name| !names_twice.contains(name));
        let all_ids: BTreeSet<TopicId> = ids.iter().copied().collect();
        ids.retain(|id| !ids_twice.contains(id));
        let mut asked = Vec::new();
        for name in names {
            match self.view.by_name(name).map(|topic| topic.id).filter(|id| all_ids.contains(id)) {
                Some(id) => {
                    refuse(Some(name), id, "The provided topic name maps to an ID that was already supplied.");
                    ids.retain(|other| *other != id);
                }
                None => asked.push(TopicRef::Name(name.to_string())),
            }
        }
        asked.extend(ids.into_iter().map(TopicRef::Id));
        let admin = Admin::Delete(asked.clone());
        let expires = expiry::limit(out.now.mono, request.timeout_ms);
        self.ask_admin(out, to, expires, admin, AdminGather::Delete { asked, refused });
    }

    pub(super) fn create_partitions(&mut self, out: &mut Out, to: ReplyTo, request: CreatePartitionsRequest) {
        let twice = repeated(request.topics.iter().map(|topic| &topic.name));
        let once = || request.topics.iter().filter(|topic| !twice.contains(&topic.name));
        let refused = twice.iter().map(|name| {
            CreatePartitionsTopicResult::default()
                .with_name((*name).clone())
                .with_error_code(error::INVALID_REQUEST)
                .with_error_message(Some(NAME_TWICE))
        });
        let gather = AdminGather::AddPartitions {
            asked: once().map(|topic| topic.name.clone()).collect(),
            refused: refused.collect(),
        };
        let topics = once().map(more_partitions).collect();
        let admin = Admin::AddPartitions { topics, validate_only: request.validate_only };
        self.ask_admin(out, to, expiry::limit(out.now.mono, request.timeout_ms), admin, gather);
    }

    /// The time of a change is up. It may still be made.
    pub(super) fn admin_timeout(&mut self, out: &mut Out, token: Token) {
        let Some(Waiting::Admin(gather)) = self.pending.get(&token).map(|pending| &pending.what) else {
            unreachable!("looked at by the caller");
        };
        let late = || AdminResult::refused(error::REQUEST_TIMED_OUT, "The request timed out.".into());
        let results = std::iter::repeat_with(late).take(gather.asked()).collect();
        self.finish_admin(out, token, results);
    }

    /// The catalog's owner has done what was asked, or not.
    pub(super) fn finish_admin(&mut self, out: &mut Out, token: Token, results: Vec<AdminResult>) {
        let pending = self.done(out, token);
        let Waiting::Admin(gather) = pending.what else { unreachable!("it was one") };
        let to = pending.to;
        let is_named = |at: usize| match &gather {
            AdminGather::Delete { asked, .. } => matches!(asked[at], TopicRef::Name(_)),
            _ => true,
        };
        let results = results.into_iter().enumerate();
        let results: Vec<AdminResult> =
            results.map(|(at, result)| if is_named(at) { result.of_named() } else { result }).collect();
        match gather {
            AdminGather::Create { asked, refused } => {
                let (topics, rest) = (Listing::new(to), asked.into_iter().zip(results));
                self.make(out, to, Making::Created(Creating { version: to.version, rest, topics, refused }));
            }
            AdminGather::Delete { asked, refused } => {
                let responses =
                    asked.into_iter().zip(results).map(|(topic, result)| deleted(to.version, topic, result));
                let response = DeleteTopicsResponse::default().with_responses(responses.chain(refused).collect());
                self.reply(out, to, &response);
            }
            AdminGather::AddPartitions { asked, refused } => {
                let results = asked.into_iter().zip(results).map(|(name, result)| {
                    CreatePartitionsTopicResult::default()
                        .with_name(name)
                        .with_error_code(result.error)
                        .with_error_message(message(result.message))
                });
                let results = results.chain(refused).collect();
                self.reply(out, to, &CreatePartitionsResponse::default().with_results(results));
            }
            AdminGather::AlterConfigs(gather) => self.finish_alter_configs(out, to, gather, results),
            AdminGather::Reassign(gather) => self.finish_reassign(out, to, gather, results),
        }
    }

    /// Tells of more topics, for about `left` items. True if there are no others.
    pub(super) fn tell_created(&self, creating: &mut Creating, left: &mut usize) -> bool {
        while *left > 0 {
            let Some((name, result)) = creating.rest.next() else {
                creating.refused.drain(..).for_each(|refused| _ = creating.topics.put(&refused));
                return true;
            };
            let has_room = creating.topics.count() < SETTINGS_TOLD_MAX;
            let defaults = has_room.then_some(&self.settings.topic_defaults);
            let items = creating.topics.put(&created(defaults, creating.version, name, result));
            *left = left.saturating_sub(items + if has_room { ITEMS_OF_SETTINGS } else { 1 });
        }
        false
    }

    /// Of a partition that is named more than once the last offset counts, as in Kafka, and it is answered once.
    pub(super) fn delete_records(&mut self, out: &mut Out, to: ReplyTo, request: DeleteRecordsRequest) {
        let mut wanted: BTreeMap<&TopicName, BTreeMap<i32, i64>> = BTreeMap::new();
        for topic in &request.topics {
            let partitions = topic.partitions.iter().map(|partition| (partition.partition_index, partition.offset));
            wanted.entry(&topic.name).or_default().extend(partitions);
        }
        let response = DeleteRecordsResponse::default();
        let mut gather = DeleteRecordsGather { response, places: Vec::new(), waiting: 0 };
        let mut asks: BTreeMap<Place, Vec<(u32, GroupId, Offset)>> = BTreeMap::new();
        for (t, (name, partitions)) in wanted.into_iter().enumerate() {
            let mut answer = DeleteRecordsTopicResult::default().with_name(name.clone());
            for (p, (index, offset)) in partitions.into_iter().enumerate() {
                let group = match self.group_of(name, index) {
                    _ if is_reserved(name) => Err(error::INVALID_TOPIC_EXCEPTION),
                    // Of a topic that only compacts the last record of a key is never deleted.
                    Ok(_) if !self.deletes(name) => Err(error::POLICY_VIOLATION),
                    group => group,
                };
                let code = match group {
                    Ok(group) => {
                        let position = gather.places.len() as u32;
                        gather.places.push((t, p));
                        let part = (position, group, Offset(offset));
                        asks.entry(self.settings.owner(group)).or_default().push(part);
                        // Until its owner has answered.
                        error::REQUEST_TIMED_OUT
                    }
                    Err(code) => code,
                };
                let place = DeleteRecordsPartitionResult::default().with_partition_index(index).with_low_watermark(-1);
                answer.partitions.push(place.with_error_code(code));
            }
            gather.response.topics.push(answer);
        }
        gather.waiting = gather.places.len();
        if gather.waiting == 0 {
            return self.reply(out, to, &gather.response);
        }
        let expires = expiry::limit(out.now.mono, request.timeout_ms);
        let token = self.wait_until(out, expires, to, Waiting::DeleteRecords(gather));
        out.asks.extend(asks.into_iter().map(|(owner, parts)| (owner, token, Ask::DeleteRecords(parts))));
    }

    /// True if the topic drops old records.
    fn deletes(&self, name: &str) -> bool {
        let topic = self.view.find(name, torc_base::ids::TopicId::ZERO);
        topic.is_none_or(|topic| topic.config.cleanup_policy.deletes())
    }

    pub(super) fn finish_delete_records(&mut self, out: &mut Out, token: Token) {
        let pending = self.done(out, token);
        let Waiting::DeleteRecords(gather) = pending.what else { unreachable!("it was one") };
        self.reply(out, pending.to, &gather.response);
    }
}

/// Without `defaults` the settings of a topic are left out: a short request must not make an answer without bounds.
fn created(defaults: Option<&TopicConfig>, version: i16, name: TopicName, result: AdminResult) -> CreatableTopicResult {
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
            answer.replication_factor = topic.replication;
            let configs = |defaults| {
                let told = config::describe(defaults, &topic.overrides).map(|entry| {
                    CreatableTopicConfigs::default()
                        .with_name(StrBytes::from_static_str(entry.key.name))
                        .with_value(Some(StrBytes::from_string(entry.value)))
                        .with_config_source(entry.source as i8)
                });
                told.collect()
            };
            answer.configs = defaults.map(configs);
            if defaults.is_none() {
                answer.topic_config_error_code = error::INVALID_REQUEST;
            }
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
