//! DescribeConfigs, AlterConfigs and IncrementalAlterConfigs.

use super::lines::ITEMS_OF_SETTINGS;
use super::makings::{Listing, Making};
use super::repeats::repeated;
use super::topics::{AdminGather, clip, message};
use super::{Kafka, Out, ReplyTo, expiry};
use crate::mail::{Admin, AdminResult, ConfigChange, Resource};
use std::collections::BTreeSet;
use torc_base::ids::NodeId;
use torc_base::limits::LIST_BYTES_MAX;
use torc_net::kafka::schema::alter_configs_response::AlterConfigsResourceResponse;
use torc_net::kafka::schema::describe_configs_request::DescribeConfigsResource;
use torc_net::kafka::schema::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use torc_net::kafka::schema::incremental_alter_configs_response::AlterConfigsResourceResponse as IncrementalResponse;
use torc_net::kafka::schema::list_config_resources_response::ConfigResource;
use torc_net::kafka::schema::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use torc_net::kafka::{StrBytes, error};
use torc_state::catalog::{Topic, check_name};
use torc_state::config::{self, Alter, Overrides};
use torc_state::group_config;

/// Kinds of resources, by Kafka's numbers.
const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
/// Sources of settings: STATIC_BROKER_CONFIG, DEFAULT_CONFIG, DYNAMIC_BROKER_LOGGER_CONFIG, GROUP_CONFIG.
const FROM_SERVER: i8 = 4;
/// As it is set in the catalog for one broker.
const FROM_CATALOG: i8 = 2;
const BUILT_IN: i8 = 5;
const FROM_LOGGER: i8 = 6;
const FROM_GROUP: i8 = 8;
/// The one logger there is, and the setting that says what it logs.
const LOGGER: &str = "root";
const LOG_LEVEL: &str = "torc.log.level";
/// Resources that one request may have described again. Kafka has no bound, but a short request must not make an answer
/// without bounds.
const REPEATS_MAX: usize = 1_000;

/// How long changes of settings, whose requests name no time, wait to be made.
const ALTER_MS: i32 = 30_000;

/// Why a resource is refused: the code and, for people, the reason.
type Refused = (i16, Option<String>);

/// What a setting takes in an answer, about.
fn bytes_of(setting: &DescribeConfigsResourceResult) -> usize {
    let text = |text: &Option<StrBytes>| text.as_ref().map_or(0, |text| text.len());
    let synonyms = setting.synonyms.iter().map(|one| 8 + one.name.len() + text(&one.value)).sum::<usize>();
    16 + setting.name.len() + text(&setting.value) + text(&setting.documentation) + synonyms
}

fn invalid<T>(why: String) -> Result<T, Refused> {
    Err((error::INVALID_REQUEST, Some(why)))
}

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
    answer: Option<Refused>,
}

impl AlterGather {
    /// Results that are to come.
    pub fn asked(&self) -> usize {
        self.resources.iter().filter(|resource| resource.answer.is_none()).count()
    }
}

/// A DescribeConfigs request, and the answer to it so far.
pub(super) struct Describing {
    request: DescribeConfigsRequest,
    seen: BTreeSet<(i8, StrBytes)>,
    /// Resources that may still be named again.
    repeats: usize,
    bytes: usize,
    pub(super) results: Listing,
}

impl Kafka {
    pub(super) fn describe_configs(&mut self, out: &mut Out, to: ReplyTo, request: DescribeConfigsRequest) {
        let results = Listing::new(to);
        let describing = Describing { request, seen: BTreeSet::new(), repeats: REPEATS_MAX, bytes: 0, results };
        self.make(out, to, Making::Configs(describing));
    }

    /// Describes more resources, for about `left` items. True if there are no others.
    pub(super) fn describe_on(&self, describing: &mut Describing, left: &mut usize) -> bool {
        let bytes_max = LIST_BYTES_MAX.min(self.settings.memory.answers / 4);
        let Describing { request, seen, repeats, bytes, results } = describing;
        while let Some(resource) = request.resources.get(results.count()) {
            if *left == 0 {
                return false;
            }
            let result = DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            let described = if *bytes > bytes_max {
                invalid(format!("the answer has {bytes_max} bytes already: ask for fewer resources at once"))
            } else if seen.insert((resource.resource_type, resource.resource_name.clone())) {
                self.described(request, resource)
            } else if *repeats > 0 {
                *repeats -= 1;
                self.described(request, resource)
            } else {
                invalid(format!("more than {REPEATS_MAX} resources are named again"))
            };
            let result = match described {
                Ok(configs) => {
                    *bytes += configs.iter().map(bytes_of).sum::<usize>();
                    result.with_configs(configs)
                }
                Err((code, why)) => result.with_error_code(code).with_error_message(message(why)),
            };
            *left = left.saturating_sub(ITEMS_OF_SETTINGS + results.put(&result));
        }
        true
    }

    /// The settings of one resource that its request asks for. No keys at all ask for all of them.
    fn described(
        &self,
        request: &DescribeConfigsRequest,
        resource: &DescribeConfigsResource,
    ) -> Result<Vec<DescribeConfigsResourceResult>, Refused> {
        let keys = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
        let keys: Option<BTreeSet<&str>> = keys.map(|keys| keys.iter().map(|key| key.as_str()).collect());
        let wanted = |name: &str| keys.as_ref().is_none_or(|keys| keys.contains(name));
        let name = resource.resource_name.as_str();
        match resource.resource_type {
            TOPIC => {
                check_name(name).map_err(|error| (error.code(), Some(error.to_string())))?;
                let topic = self.view.by_name(name).ok_or((error::UNKNOWN_TOPIC_OR_PARTITION, None))?;
                Ok(self.topic_configs(request, topic, wanted))
            }
            // What all brokers have in common and was set while they ran: nothing can be.
            BROKER if name.is_empty() => Ok(Vec::new()),
            BROKER => {
                // Of any node it is told whether it leaves, of the others nothing else.
                let asks_for_it = keys.as_ref().is_some_and(|keys| keys.len() == 1 && keys.contains(DECOMMISSION));
                let node = node_of(name).filter(|node| asks_for_it || self.view.is_leaving(*node));
                let leaves = node.filter(|_| wanted(DECOMMISSION)).map(|node| self.decommission(node));
                if asks_for_it && let Some(leaves) = leaves {
                    return Ok(vec![leaves]);
                }
                self.check_broker(name, " or empty string")?;
                Ok(self.broker_configs(request, wanted).into_iter().chain(leaves).collect())
            }
            BROKER_LOGGER if name.is_empty() => invalid("Broker id must not be empty".into()),
            BROKER_LOGGER => {
                self.check_broker(name, "")?;
                Ok(self.loggers(wanted))
            }
            CLIENT_METRICS if name.is_empty() => invalid("Client metrics subscription name must not be empty".into()),
            GROUP if name.is_empty() => invalid("Group name must not be empty".into()),
            // They can have settings in Kafka, and none here.
            CLIENT_METRICS => Ok(Vec::new()),
            GROUP => Ok(self.group_configs(request, name, wanted)),
            other => invalid(format!("Unexpected resource type {other}")),
        }
    }

    /// What has settings: of all kinds if none is named. Version 0 asks for subscriptions to clients' metrics alone.
    pub(super) fn list_config_resources(&mut self, out: &mut Out, to: ReplyTo, request: &ListConfigResourcesRequest) {
        const KINDS: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
        let asked: BTreeSet<i8> = match (to.version, &request.resource_types[..]) {
            (0, _) => [CLIENT_METRICS].into(),
            (_, []) => KINDS.into(),
            (_, kinds) => kinds.iter().copied().collect(),
        };
        let mut response = ListConfigResourcesResponse::default();
        if asked.iter().any(|kind| !KINDS.contains(kind)) {
            return self.reply(out, to, &response.with_error_code(error::UNSUPPORTED_VERSION));
        }
        let mut brokers: Vec<_> = self.view.nodes().map(|node| node.id).chain([self.settings.node]).collect();
        brokers.sort_unstable();
        brokers.dedup();
        for kind in asked {
            let names: Vec<StrBytes> = match kind {
                TOPIC => self.view.topics().map(|topic| StrBytes::from_string(topic.name.to_string())).collect(),
                GROUP => self.view.configured_groups().map(|group| StrBytes::from_string(group.to_string())).collect(),
                BROKER | BROKER_LOGGER => brokers.iter().map(|id| StrBytes::from_string(id.to_string())).collect(),
                _ => Vec::new(),
            };
            let resource = |name| ConfigResource::default().with_resource_name(name).with_resource_type(kind);
            response.config_resources.extend(names.into_iter().map(resource));
        }
        self.reply(out, to, &response);
    }

    fn decommission(&self, node: NodeId) -> DescribeConfigsResourceResult {
        const BOOLEAN: i8 = 1;
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str(DECOMMISSION))
            .with_value(Some(StrBytes::from_string(self.view.is_leaving(node).to_string())))
            .with_config_source(FROM_CATALOG)
            .with_config_type(BOOLEAN)
    }

    fn check_broker(&self, name: &str, or: &str) -> Result<(), Refused> {
        let node = self.settings.node.get();
        match name.parse::<i32>() {
            Err(_) => invalid(format!("Broker id must be an integer, but it is: {}", clip(name))),
            Ok(id) if i64::from(id) != i64::from(node) => {
                invalid(format!("Unexpected broker id, expected {node}{or}, but received {id}"))
            }
            Ok(_) => Ok(()),
        }
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
                    .with_config_source(entry.source as i8)
                    .with_config_type(entry.key.kind as i8);
                result.documentation = request.include_documentation.then(|| StrBytes::from_static_str(entry.key.doc));
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

    fn broker_configs(
        &self,
        request: &DescribeConfigsRequest,
        wanted: impl Fn(&str) -> bool,
    ) -> Vec<DescribeConfigsResourceResult> {
        let settings = self.settings.described.iter().filter(|setting| wanted(setting.name));
        settings
            .map(|setting| {
                let source = if setting.is_set { FROM_SERVER } else { BUILT_IN };
                let mut result = DescribeConfigsResourceResult::default()
                    .with_name(StrBytes::from_static_str(setting.name))
                    .with_value(Some(StrBytes::from_string(setting.value.clone())))
                    .with_read_only(true)
                    .with_config_source(source)
                    .with_config_type(setting.kind as i8);
                result.documentation = request.include_documentation.then(|| StrBytes::from_static_str(setting.doc));
                if request.include_synonyms {
                    let set = setting.is_set.then(|| (setting.value.clone(), FROM_SERVER));
                    let default = setting.default.iter().map(|default| (default.clone(), BUILT_IN));
                    let synonyms = set.into_iter().chain(default).map(|(value, source)| {
                        DescribeConfigsSynonym::default()
                            .with_name(StrBytes::from_static_str(setting.name))
                            .with_value(Some(StrBytes::from_string(value)))
                            .with_source(source)
                    });
                    result.synonyms = synonyms.collect();
                }
                result
            })
            .collect()
    }

    /// Every group has settings, whether or not it is there.
    fn group_configs(
        &self,
        request: &DescribeConfigsRequest,
        group: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Vec<DescribeConfigsResourceResult> {
        let own = self.view.group(group);
        let describe = |key: &group_config::Key| {
            let set = own.and_then(|own| own.get(key.name)).map(|value| (key.name, value.clone(), FROM_GROUP));
            let server = self.settings.described.iter().find(|setting| setting.name == key.server_key);
            let is_set = server.is_some_and(|server| server.is_set);
            let server_value = key.default(&self.settings.coordinator);
            let from_server = is_set.then(|| (key.server_key, server_value.clone(), FROM_SERVER));
            let built_in = match server {
                Some(server) => server.default.clone().map(|value| (key.server_key, value, BUILT_IN)),
                None => Some((key.server_key, server_value, BUILT_IN)),
            };
            let synonyms: Vec<_> = set.into_iter().chain(from_server).chain(built_in).collect();
            let (_, value, source) = synonyms.first().expect("every key has a default").clone();
            let mut result = DescribeConfigsResourceResult::default()
                .with_name(StrBytes::from_static_str(key.name))
                .with_value(Some(StrBytes::from_string(value)))
                .with_config_source(source)
                .with_config_type(group_config::KIND as i8);
            result.documentation = request.include_documentation.then(|| StrBytes::from_static_str(key.doc));
            if request.include_synonyms {
                let synonym = |(name, value, source): (&'static str, String, i8)| {
                    DescribeConfigsSynonym::default()
                        .with_name(StrBytes::from_static_str(name))
                        .with_value(Some(StrBytes::from_string(value)))
                        .with_source(source)
                };
                result.synonyms = synonyms.into_iter().map(synonym).collect();
            }
            result
        };
        group_config::KEYS.iter().filter(|key| wanted(key.name)).map(describe).collect()
    }

    fn loggers(&self, wanted: impl Fn(&str) -> bool) -> Vec<DescribeConfigsResourceResult> {
        let level = self.settings.described.iter().find(|setting| setting.name == LOG_LEVEL);
        let level = level.filter(|_| wanted(LOGGER)).map(|setting| {
            DescribeConfigsResourceResult::default()
                .with_name(StrBytes::from_static_str(LOGGER))
                .with_value(Some(StrBytes::from_string(setting.value.to_uppercase())))
                .with_read_only(true)
                .with_config_source(FROM_LOGGER)
        });
        level.into_iter().collect()
    }

    pub(super) fn incremental_alter_configs(
        &mut self,
        out: &mut Out,
        to: ReplyTo,
        request: IncrementalAlterConfigsRequest,
    ) {
        let resources = request.resources.into_iter().map(|resource| {
            let configs = &resource.configs;
            let nulls = configs.iter().filter(|c| c.value.is_none() && c.config_operation != DELETE);
            let checked = check_keys(configs.iter().map(|c| &c.name), nulls.map(|c| &c.name));
            let changes = checked.and_then(|()| {
                let changes = configs.iter().map(|change| {
                    let value = change.value.as_ref().map(|value| value.to_string()).unwrap_or_default();
                    let alter = match change.config_operation {
                        0 => Alter::Set(value),
                        DELETE => Alter::Delete,
                        2 => Alter::Append(value),
                        3 => Alter::Subtract(value),
                        other => return invalid(format!("Unknown operations type {other}")),
                    };
                    Ok((change.name.to_string(), alter))
                });
                changes.collect::<Result<Vec<_>, Refused>>()
            });
            (resource.resource_type, resource.resource_name, changes.map(ConfigChange::Alter))
        });
        let resources = resources.collect();
        self.change_configs(out, to, true, resources, request.validate_only);
    }

    pub(super) fn alter_configs(&mut self, out: &mut Out, to: ReplyTo, request: AlterConfigsRequest) {
        let resources = request.resources.into_iter().map(|resource| {
            let configs = &resource.configs;
            let nulls = configs.iter().filter(|c| c.value.is_none());
            let checked = check_keys(configs.iter().map(|c| &c.name), nulls.map(|c| &c.name));
            let overrides: Overrides =
                configs.iter().filter_map(|c| Some((c.name.to_string(), c.value.as_ref()?.to_string()))).collect();
            (resource.resource_type, resource.resource_name, checked.map(|()| ConfigChange::Replace(overrides)))
        });
        let resources = resources.collect();
        self.change_configs(out, to, false, resources, request.validate_only);
    }

    fn change_configs(
        &mut self,
        out: &mut Out,
        to: ReplyTo,
        incremental: bool,
        resources: Vec<(i8, StrBytes, Result<ConfigChange, Refused>)>,
        validate_only: bool,
    ) {
        let twice = repeated(resources.iter().map(|(kind, name, _)| (*kind, name.clone())));
        let mut gather = AlterGather { incremental, resources: Vec::new() };
        let mut asked = Vec::new();
        for (kind, name, change) in resources {
            let checked = if twice.contains(&(kind, name.clone())) {
                invalid("Each resource must appear at most once.".into())
            } else {
                change.and_then(|change| self.check_changed(kind, &name, &change, incremental).map(|()| change))
            };
            let answer = match checked {
                Ok(change) if kind == TOPIC => {
                    asked.push((Resource::Topic(name.to_string()), change));
                    None
                }
                Ok(change) if kind == GROUP => {
                    asked.push((Resource::Group(name.to_string()), change));
                    None
                }
                Ok(change) if is_decommission(&change) => {
                    asked.push((Resource::Node(node_of(&name).expect("checked")), change));
                    None
                }
                // A broker that is to be left as it is.
                Ok(_) => Some((error::NONE, None)),
                Err(refused) => Some(refused),
            };
            gather.resources.push(Altered { kind, name, answer });
        }
        let admin = Admin::Configs { resources: asked, validate_only };
        let expires = expiry::limit(out.now.mono, ALTER_MS);
        self.ask_admin(out, to, expires, admin, AdminGather::AlterConfigs(gather));
    }

    /// Refuses changes of resources whose settings do not change while the server runs.
    fn check_changed(&self, kind: i8, name: &str, change: &ConfigChange, incremental: bool) -> Result<(), Refused> {
        match kind {
            TOPIC => Ok(()),
            BROKER if is_decommission(change) => match node_of(name) {
                Some(_) if !self.settings.is_alone() => Ok(()),
                Some(_) => invalid("a server without peers has nobody that could have its partitions".into()),
                None => invalid(format!("Broker id must be an integer, but it is: {}", clip(name))),
            },
            BROKER => {
                if !name.is_empty() {
                    self.check_broker(name, "")?;
                }
                let keys: Vec<&str> = match change {
                    ConfigChange::Alter(changes) => changes.iter().map(|(key, _)| key.as_str()).collect(),
                    ConfigChange::Replace(overrides) => overrides.keys().map(String::as_str).collect(),
                };
                let Some(first) = keys.first() else { return Ok(()) };
                invalid(format!(
                    "Cannot update these configs dynamically: [{}{}]; they stand in torc's configuration file",
                    clip(first),
                    if keys.len() > 1 { ", ..." } else { "" }
                ))
            }
            BROKER_LOGGER if incremental => {
                invalid(format!("log levels stand in torc's configuration file ({LOG_LEVEL})"))
            }
            CLIENT_METRICS if name.is_empty() => invalid("Subscription name can't be empty".into()),
            GROUP if name.is_empty() => invalid("Default group resources are not allowed.".into()),
            CLIENT_METRICS => invalid("torc does not collect clients' metrics".into()),
            GROUP => Ok(()),
            other => invalid(format!("Unknown resource type {other}")),
        }
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
                Some(answer) => answer,
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
}

/// What a node is told that is to lose all its replicas and then to leave the cluster: the one setting of a broker that
/// changes while it runs, and that any node takes for any.
pub const DECOMMISSION: &str = "torc.decommission";

fn is_decommission(change: &ConfigChange) -> bool {
    let ConfigChange::Alter(changes) = change else { return false };
    let says = |alter: &Alter| match alter {
        Alter::Delete => true,
        Alter::Set(value) => value == "true" || value == "false",
        Alter::Append(_) | Alter::Subtract(_) => false,
    };
    matches!(&changes[..], [(key, alter)] if key == DECOMMISSION && says(alter))
}

fn node_of(name: &str) -> Option<NodeId> {
    name.parse::<i32>().ok().and_then(|id| u32::try_from(id).ok()).map(NodeId)
}

/// IncrementalAlterConfigs' number for "the default again".
const DELETE: i8 = 1;

/// Refuses a resource whose keys are not all different, or whose values are missing.
fn check_keys<'a>(
    keys: impl Iterator<Item = &'a StrBytes>,
    nulls: impl Iterator<Item = &'a StrBytes>,
) -> Result<(), Refused> {
    if !repeated(keys).is_empty() {
        return invalid("Error due to duplicate config keys".into());
    }
    let nulls: Vec<&str> = nulls.take(5).map(|key| clip(key)).collect();
    if nulls.is_empty() { Ok(()) } else { invalid(format!("Null value not supported for : {}", nulls.join(", "))) }
}
