//! Groups of consumers as an administrator sees them: which there are, who is in them, what they have committed. Each is asked
//! through its coordinator; what passes by itself (a coordinator that loads, moves or restarts) is tried again.

mod describe;
mod offsets;

pub use describe::{Described, GroupMember};
pub use offsets::Committed;
pub(crate) use offsets::{OFFSETS, by_topic, commit_codes, commit_request};

use crate::ask::AskError;
use crate::client::{Client, ClientError, error_name};
use crate::cluster::{Cluster, text};
use crate::offsets::{Outcomes, TopicPartition, offsets_at};
use crate::patience::Patience;
use crate::topic::{Refusal, passes};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    DeleteGroupsRequest, FindCoordinatorRequest, GroupId, ListGroupsRequest, MetadataResponse,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const NOT_FOUND: i16 = ResponseError::GroupIdNotFound.code();
/// What coordinators keep groups in.
const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// So many groups are named in one request.
const GROUPS_MAX: usize = 200;
/// First version of FindCoordinator that takes many groups.
const FIND_MANY: i16 = 4;
/// Later versions say nothing more that is of use here.
const FIND: i16 = 4;
/// Kafka's number for a key that is a group.
const KEY_IS_GROUP: i8 = 0;

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    pub name: String,
    /// Such as `Stable`. `None`: the broker is too old to say.
    pub state: Option<String>,
    /// `classic`, `consumer`, `share`, `streams`. `None`: the broker is too old to say, and has only classic ones.
    pub kind: Option<String>,
    /// `consumer` for groups that read topics; of classic groups it may be anything, such as `connect`, or nothing.
    pub protocol_type: String,
}

/// What is said of each group that was asked for.
pub type OfGroups<T> = BTreeMap<String, Result<T, Refusal>>;

/// The groups of a cluster.
pub struct GroupClient {
    cluster: Cluster,
    patience: Patience,
    /// Coordinators that are known, by group.
    coordinators: BTreeMap<String, i32>,
}

/// A name as the protocol crate wants it.
pub(crate) fn id(group: &str) -> GroupId {
    GroupId(text(group))
}

impl GroupClient {
    /// Of a cluster that is connected.
    pub fn new(cluster: Cluster, patience: Patience) -> GroupClient {
        GroupClient { cluster, patience, coordinators: BTreeMap::new() }
    }

    /// All groups, in the order of their names.
    pub fn list(&mut self) -> Result<Vec<ListedGroup>, AskError> {
        loop {
            match self.list_once() {
                Ok(Ok(mut groups)) => {
                    self.patience.progress();
                    // One that moves may be told of twice.
                    groups.sort_by(|a, b| a.name.cmp(&b.name));
                    groups.dedup_by(|a, b| a.name == b.name);
                    return Ok(groups);
                }
                Ok(Err(code)) if passes(code) => {
                    self.patience.again(format_args!("cannot list groups: {}", error_name(code)))?;
                }
                Ok(Err(code)) => {
                    let address = "the cluster".to_string();
                    let api = kafka_protocol::messages::ApiKey::ListGroups;
                    return Err(ClientError::Refused { address, api, code }.into());
                }
                Err(error) => self.lost(error)?,
            }
        }
    }

    fn list_once(&mut self) -> Result<Result<Vec<ListedGroup>, i16>, ClientError> {
        let mut groups = Vec::new();
        for broker in self.coordinating()? {
            let answer = self.cluster.broker(broker)?.call(&ListGroupsRequest::default())?;
            if answer.error_code != 0 {
                return Ok(Err(answer.error_code));
            }
            let told = |text: &StrBytes| Some(text.to_string()).filter(|text| !text.is_empty());
            groups.extend(answer.groups.iter().map(|group| ListedGroup {
                name: group.group_id.to_string(),
                state: told(&group.group_state),
                kind: told(&group.group_type),
                protocol_type: group.protocol_type.to_string(),
            }));
        }
        Ok(Ok(groups))
    }

    /// The brokers that coordinate groups: those that lead partitions of the topic that groups are kept in. All, if that is not
    /// known.
    fn coordinating(&mut self) -> Result<BTreeSet<i32>, ClientError> {
        let metadata = self.metadata(&[OFFSETS_TOPIC.to_string()])?;
        let partitions =
            metadata.topics.iter().filter(|topic| topic.error_code == 0).flat_map(|topic| &topic.partitions);
        let leaders: BTreeSet<i32> = partitions.map(|part| part.leader_id.0).filter(|leader| *leader >= 0).collect();
        Ok(if leaders.is_empty() { self.cluster.brokers().into_iter().collect() } else { leaders })
    }

    /// What the cluster says about these topics; it is not tried again.
    pub fn metadata(&mut self, topics: &[String]) -> Result<MetadataResponse, ClientError> {
        self.cluster.metadata(Some(topics))
    }

    /// See [`offsets_at`].
    pub fn offsets_at(&mut self, asked: &BTreeMap<TopicPartition, i64>) -> Result<Outcomes<i64>, AskError> {
        offsets_at(&mut self.cluster, asked, &mut self.patience.clone())
    }

    /// Deletes groups. One that is gone is deleted.
    pub fn delete(&mut self, groups: &[String]) -> Result<OfGroups<()>, AskError> {
        self.each(groups, "delete", |client, groups| {
            let request = DeleteGroupsRequest::default().with_groups_names(groups.iter().map(|g| id(g)).collect());
            let results = client.call(&request)?.results;
            let result = |group: &str, code| match code {
                0 | NOT_FOUND => (group.to_string(), Ok(())),
                code => (group.to_string(), Err((code, None))),
            };
            Ok(results.iter().map(|result_of| result(&result_of.group_id, result_of.error_code)).collect())
        })
    }

    /// Asks the coordinators of `groups`. `ask` names some of one coordinator's, and returns what is said of each: what was asked
    /// for, or Kafka's error code with the broker's words. `what` stands in refusals before "group".
    pub(crate) fn each<T>(
        &mut self,
        groups: &[String],
        what: &str,
        ask: impl Fn(&mut Client, &[String]) -> Result<Vec<Told<T>>, ClientError>,
    ) -> Result<OfGroups<T>, AskError> {
        let mut outcomes = OfGroups::new();
        loop {
            let open: Vec<String> = groups.iter().filter(|group| !outcomes.contains_key(*group)).cloned().collect();
            if open.is_empty() {
                return Ok(outcomes);
            }
            let mut trouble = match self.find(&open) {
                Ok(found) => self.settle(found.into_iter().map(|(g, r)| (g, r.map(|_| None))), what, &mut outcomes),
                Err(error) => {
                    self.lost(error)?;
                    continue;
                }
            };
            match self.ask_found(&open, &ask) {
                Ok(told) => {
                    let told = told.into_iter().map(|(group, result)| (group, result.map(Some)));
                    let later = self.settle(told, what, &mut outcomes);
                    trouble = trouble.or(later);
                }
                Err(error) => {
                    self.lost(error)?;
                    continue;
                }
            }
            match trouble {
                Some(why) => self.patience.again(why)?,
                None if open.iter().any(|group| !outcomes.contains_key(group)) => {
                    self.patience.again(format_args!("a broker does not say all that it was asked to {what}"))?;
                }
                None => self.patience.progress(),
            }
        }
    }

    /// Puts one question about one group: `ask` gives an answer with its error code. What passes by itself is tried again.
    pub(crate) fn one<T>(
        &mut self,
        group: &str,
        what: &str,
        ask: impl Fn(&mut Client) -> Result<(i16, T), ClientError>,
    ) -> Result<Result<T, Refusal>, AskError> {
        let told = self.each(&[group.to_string()], what, |client, _| {
            let (code, answer) = ask(client)?;
            Ok(vec![(group.to_string(), if code == 0 { Ok(answer) } else { Err((code, None)) })])
        })?;
        Ok(told.into_values().next().expect("one group was asked for"))
    }

    /// Asks about those of `groups` whose coordinators are known.
    fn ask_found<T>(
        &mut self,
        groups: &[String],
        ask: &impl Fn(&mut Client, &[String]) -> Result<Vec<Told<T>>, ClientError>,
    ) -> Result<Vec<Told<T>>, ClientError> {
        let mut by_coordinator: BTreeMap<i32, Vec<String>> = BTreeMap::new();
        for group in groups {
            if let Some(broker) = self.coordinators.get(group) {
                by_coordinator.entry(*broker).or_default().push(group.clone());
            }
        }
        let mut told = Vec::new();
        for (broker, groups) in by_coordinator {
            for some in groups.chunks(GROUPS_MAX) {
                told.extend(ask(self.cluster.broker(broker)?, some)?);
            }
        }
        Ok(told)
    }

    /// Notes outcomes; `Ok(None)` is none. Returns why some are still open.
    fn settle<T>(
        &mut self,
        told: impl Iterator<Item = Told<Option<T>>>,
        what: &str,
        outcomes: &mut OfGroups<T>,
    ) -> Option<Refusal> {
        let mut trouble = None;
        for (group, result) in told {
            match result {
                Ok(None) => {}
                Ok(Some(done)) => drop(outcomes.insert(group, Ok(done))),
                Err((code, message)) => {
                    let refusal = Refusal { what: format!("{what} group {group}"), code, message, record: None };
                    if passes(code) {
                        self.coordinators.remove(&group);
                        trouble = Some(refusal);
                    } else {
                        outcomes.insert(group, Err(refusal));
                    }
                }
            }
        }
        trouble
    }

    /// Learns the coordinators of those that have none yet; returns what is said of these.
    fn find(&mut self, groups: &[String]) -> Result<Vec<Told<()>>, ClientError> {
        let unknown: Vec<&String> = groups.iter().filter(|group| !self.coordinators.contains_key(*group)).collect();
        let mut told = Vec::new();
        let client = self.cluster.any();
        let version = client.version_up_to::<FindCoordinatorRequest>(FIND)?;
        let at_once = if version < FIND_MANY { 1 } else { GROUPS_MAX };
        for some in unknown.chunks(at_once) {
            let request = FindCoordinatorRequest::default().with_key_type(KEY_IS_GROUP);
            let request = match version < FIND_MANY {
                true => request.with_key(text(some[0])),
                false => request.with_coordinator_keys(some.iter().map(|group| text(group)).collect()),
            };
            let answer = self.cluster.ask_in(&request, version)?;
            let mut learn = |group: &str, code: i16, message: Option<String>, place: (i32, &str, i32)| {
                let result = if code == 0 { Ok(()) } else { Err((code, message)) };
                if code == 0 {
                    let (broker, host, port) = place;
                    self.cluster.learn(broker, host, port);
                    self.coordinators.insert(group.to_string(), broker);
                }
                told.push((group.to_string(), result));
            };
            let words = |text: &Option<StrBytes>| text.as_ref().map(|text| text.to_string()).filter(|t| !t.is_empty());
            if version < FIND_MANY {
                let place = (answer.node_id.0, answer.host.as_str(), answer.port);
                learn(some[0], answer.error_code, words(&answer.error_message), place);
            }
            for one in &answer.coordinators {
                let place = (one.node_id.0, one.host.as_str(), one.port);
                learn(&one.key, one.error_code, words(&one.error_message), place);
            }
        }
        Ok(told)
    }

    /// A connection broke, or the error is final.
    fn lost(&mut self, error: ClientError) -> Result<(), AskError> {
        if !error.passes() {
            return Err(error.into());
        }
        self.patience.again(error)?;
        self.coordinators.clear();
        // If nobody is there, the next round says so.
        let _ = self.cluster.reconnect();
        Ok(())
    }
}

/// What a broker says of a group: what it was asked for, or an error code with its words.
pub(crate) type Told<T> = (String, Result<T, (i16, Option<String>)>);
