//! One topic: who leads its partitions, where they begin and end, batches written to them and read from them. What passes by
//! itself (a leader that moved, a broker that restarts) is tried again, as long as a [`Patience`] lasts.

use crate::ask::AskError;
use crate::client::{ClientError, error_name};
use crate::cluster::{Cluster, text, topic_name};
use crate::near::near;
use crate::patience::{Ended, Patience};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DescribeConfigsRequest, InitProducerIdRequest, MetadataResponse,
    TopicName,
};
use kafka_protocol::protocol::Request;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Time that a broker gets to do what it is asked for, in milliseconds.
pub(crate) const TIMEOUT_MS: i32 = 30_000;
/// Kafka's number for the settings of topics.
const TOPIC_RESOURCE: i8 = 2;
/// So many names are listed where none is like the one that was asked for.
const LISTED_MAX: usize = 8;

/// Kafka's error codes that this module handles.
const UNKNOWN_TOPIC: i16 = ResponseError::UnknownTopicOrPartition.code();
const ALREADY_EXISTS: i16 = ResponseError::TopicAlreadyExists.code();
const NOT_ALLOWED: i16 = ResponseError::ClusterAuthorizationFailed.code();

/// Why something was not done to a topic.
#[derive(Debug)]
pub enum TopicError {
    /// No answer, or one that is none.
    Client(ClientError),
    /// There is no topic of that name, but these.
    Missing { name: String, there: Vec<String> },
    /// The topic has no such partition.
    NoPartition { name: String, partition: i32, partitions: usize },
    /// The cluster would not do it; to ask again would not help.
    Refused(Refusal),
    /// It did not pass while it was tried again.
    Ended(Ended),
}

/// What a broker refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Such as `create topic orders`.
    pub what: String,
    /// Kafka's error code.
    pub code: i16,
    /// The broker's own words.
    pub message: Option<String>,
    /// Which record of a batch is wrong, from 0, if it is one and the broker says so.
    pub record: Option<i32>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.what, error_name(self.code))?;
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopicError::Client(error) => error.fmt(f),
            TopicError::Missing { name, there } => {
                write!(f, "there is no topic {name}; ")?;
                let near = near(name, there.iter().map(String::as_str));
                match there.len() {
                    0 => f.write_str("there are no topics yet"),
                    _ if !near.is_empty() => write!(f, "did you mean {}?", near.join(" or ")),
                    1..=LISTED_MAX => write!(f, "there are: {}", there.join(", ")),
                    many => write!(f, "torc topic list shows the {many} that there are"),
                }
            }
            TopicError::NoPartition { name, partition, partitions } => {
                write!(f, "topic {name} has no partition {partition}, it has {partitions}, from 0 on")
            }
            TopicError::Refused(refusal) => refusal.fmt(f),
            TopicError::Ended(ended) => ended.fmt(f),
        }
    }
}

impl std::error::Error for TopicError {}

impl From<ClientError> for TopicError {
    fn from(error: ClientError) -> TopicError {
        TopicError::Client(error)
    }
}

impl From<AskError> for TopicError {
    fn from(error: AskError) -> TopicError {
        match error {
            AskError::Client(error) => TopicError::Client(error),
            AskError::Ended(ended) => TopicError::Ended(ended),
        }
    }
}

impl From<Ended> for TopicError {
    fn from(ended: Ended) -> TopicError {
        TopicError::Ended(ended)
    }
}

/// True for errors that pass by themselves.
pub(crate) fn passes(code: i16) -> bool {
    ResponseError::try_from_code(code).is_some_and(|error| error.is_retriable())
}

/// An id for batches that brokers take only once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerId {
    pub id: i64,
    pub epoch: i16,
}

/// Things of partitions by the broker that leads them.
pub(crate) type Led<T> = BTreeMap<i32, Vec<(i32, T)>>;

/// A topic of a cluster.
pub struct Topic {
    cluster: Cluster,
    name: String,
    /// Another topic of the same name has another one; zeros where the cluster does not say.
    id: [u8; 16],
    leaders: BTreeMap<i32, Leader>,
    /// Rounds of trouble since something succeeded.
    troubles: u32,
}

/// Who leads a partition.
#[derive(Clone, Copy, Debug)]
struct Leader {
    /// -1 while there is none.
    broker: i32,
    /// Higher with each election; -1 where the cluster does not say.
    epoch: i32,
}

impl Topic {
    fn unknown(cluster: Cluster, name: &str) -> Topic {
        Topic { cluster, name: name.to_string(), id: [0; 16], leaders: BTreeMap::new(), troubles: 0 }
    }

    /// Looks up a topic that is there.
    ///
    /// # Errors
    /// It is not: the error says what is.
    pub fn open(cluster: Cluster, name: &str, patience: &mut Patience) -> Result<Topic, TopicError> {
        let mut topic = Topic::unknown(cluster, name);
        match topic.look(patience)? {
            true => Ok(topic),
            false => Err(TopicError::Missing { name: topic.name, there: names(&mut topic.cluster)? }),
        }
    }

    /// The same; makes the topic with the cluster's defaults if it is not there.
    pub fn open_or_create(cluster: Cluster, name: &str, patience: &mut Patience) -> Result<Topic, TopicError> {
        let mut topic = Topic::unknown(cluster, name);
        let mut created = false;
        while !topic.look(patience)? {
            if created {
                patience.again(format_args!("topic {name} was created, and does not appear"))?;
                continue;
            }
            match topic.create(patience) {
                Ok(()) => created = true,
                // It may have been made, and then it is there.
                Err(TopicError::Client(error)) if error.passes() => topic.recover(error, true, patience)?,
                Err(error) => return Err(error),
            }
        }
        patience.progress();
        Ok(topic)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The numbers of its partitions.
    pub fn partitions(&self) -> Vec<i32> {
        self.leaders.keys().copied().collect()
    }

    /// Where brokers of its cluster are, as [`Cluster::connect`] takes it.
    pub fn addresses(&self) -> String {
        self.cluster.known().join(",")
    }

    /// True if it has this partition.
    pub fn has(&self, partition: i32) -> bool {
        self.leaders.contains_key(&partition)
    }

    /// Partitions that have a leader.
    pub fn led(&self) -> Vec<i32> {
        self.leaders.iter().filter(|(_, leader)| leader.broker >= 0).map(|(partition, _)| *partition).collect()
    }

    /// The broker that leads a partition, as far as is known.
    pub fn leader(&self, partition: i32) -> Option<i32> {
        self.leaders.get(&partition).map(|leader| leader.broker).filter(|broker| *broker >= 0)
    }

    /// True if the topic is there and all that is known of it, but perhaps not all leaders.
    fn look(&mut self, patience: &mut Patience) -> Result<bool, TopicError> {
        loop {
            let metadata = self.metadata(patience)?;
            let Some(topic) = metadata.topics.first() else { return Ok(false) };
            match topic.error_code {
                0 if !topic.partitions.is_empty() => {
                    self.learn(&metadata);
                    return Ok(true);
                }
                UNKNOWN_TOPIC => return Ok(false),
                0 => patience.again(format_args!("topic {} has no partitions yet", self.name))?,
                code if passes(code) => patience.again(self.refusal("look up", code, None))?,
                code => return Err(TopicError::Refused(self.refusal("look up", code, None))),
            }
        }
    }

    fn metadata(&mut self, patience: &mut Patience) -> Result<MetadataResponse, TopicError> {
        loop {
            let error = match self.cluster.metadata(Some(std::slice::from_ref(&self.name))) {
                Ok(metadata) => return Ok(metadata),
                Err(error) if error.passes() => error,
                Err(error) => return Err(error.into()),
            };
            patience.again(&error)?;
            // If nobody is there, the next round says so.
            let _ = self.cluster.reconnect();
        }
    }

    /// Looks up anew which partitions there are, and who leads them.
    pub fn refresh(&mut self, patience: &mut Patience) -> Result<(), TopicError> {
        let metadata = self.metadata(patience)?;
        self.learn(&metadata);
        Ok(())
    }

    /// Takes in who leads. A broker that was cut off may tell of the past: of the same topic that is known by its epoch.
    fn learn(&mut self, metadata: &MetadataResponse) {
        let Some(topic) = metadata.topics.first().filter(|topic| topic.error_code == 0) else { return };
        let id = *topic.topic_id.as_bytes();
        let same = id == self.id && id != [0; 16];
        let told = |p: &MetadataResponsePartition| {
            let told = Leader { broker: p.leader_id.0, epoch: p.leader_epoch };
            let known = self.leaders.get(&p.partition_index).filter(|known| same && known.epoch > told.epoch);
            (p.partition_index, known.copied().filter(|_| told.epoch >= 0).unwrap_or(told))
        };
        let leaders: BTreeMap<i32, Leader> = topic.partitions.iter().map(told).collect();
        // Partitions are added, never taken away.
        if !same || leaders.len() >= self.leaders.len() {
            (self.id, self.leaders) = (id, leaders);
        }
    }

    /// Who does not lead a partition may say who does (KIP-951). True if that is news, and it is known where that broker is.
    pub(crate) fn is_led_by(&mut self, partition: i32, broker: i32, epoch: i32) -> bool {
        let known = self.leaders.get_mut(&partition).filter(|known| known.epoch < epoch);
        match known {
            Some(leader) if broker >= 0 && self.cluster.address(broker).is_some() => {
                *leader = Leader { broker, epoch };
                true
            }
            _ => false,
        }
    }

    /// Where a broker is that an answer names.
    pub(crate) fn is_at(&mut self, broker: i32, host: &str, port: i32) {
        self.cluster.learn(broker, host, port);
    }

    /// Something succeeded.
    pub(crate) fn well(&mut self, patience: &mut Patience) {
        self.troubles = 0;
        patience.progress();
    }

    /// After a failure: waits, and looks up who leads now. `reconnect`: a connection broke.
    pub(crate) fn recover(
        &mut self,
        why: impl fmt::Display,
        reconnect: bool,
        patience: &mut Patience,
    ) -> Result<(), TopicError> {
        patience.again(why)?;
        self.troubles += 1;
        // Whoever told of leaders that are none any more is not asked twice.
        if reconnect || self.troubles > 1 {
            let _ = self.cluster.reconnect();
        }
        self.refresh(patience)
    }

    pub(crate) fn refusal(&self, what: &str, code: i16, message: Option<String>) -> Refusal {
        Refusal { what: format!("{what} topic {}", self.name), code, message, record: None }
    }

    pub(crate) fn topic_name(&self) -> TopicName {
        topic_name(&self.name)
    }

    fn create(&mut self, patience: &mut Patience) -> Result<(), TopicError> {
        let topic =
            CreatableTopic::default().with_name(self.topic_name()).with_num_partitions(-1).with_replication_factor(-1);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
        let codes = |response: &CreateTopicsResponse| response.topics.iter().map(|topic| topic.error_code).collect();
        let response = self.cluster.change(patience, |client| client.call(&request), codes)?;
        match response.topics.first() {
            Some(topic) if ![0, ALREADY_EXISTS].contains(&topic.error_code) => {
                let message = topic.error_message.as_ref().map(|message| message.to_string());
                Err(TopicError::Refused(self.refusal("create", topic.error_code, message)))
            }
            _ => Ok(()),
        }
    }

    /// Groups what concerns partitions by the brokers that lead them; the rest are those that nobody leads now.
    pub(crate) fn by_leader<T>(&self, items: impl Iterator<Item = (i32, T)>) -> (Led<T>, Vec<i32>) {
        let (mut by_leader, mut leaderless) = (Led::new(), Vec::new());
        for (partition, item) in items {
            match self.leaders.get(&partition) {
                Some(leader) if leader.broker >= 0 => {
                    by_leader.entry(leader.broker).or_default().push((partition, item));
                }
                _ => leaderless.push(partition),
            }
        }
        (by_leader, leaderless)
    }

    /// Sends each leader its request, in the highest version up to `most`, and then waits for all answers, for each so long.
    pub(crate) fn ask<R: Request>(
        &mut self,
        requests: &[(i32, R)],
        most: i16,
        time: Duration,
    ) -> Vec<Result<R::Response, ClientError>> {
        let mut sent = Vec::new();
        for (leader, request) in requests {
            let version = self.cluster.broker(*leader).and_then(|client| {
                let version = client.version_up_to::<R>(most)?;
                client.send(request, version).map(|()| version)
            });
            sent.push((*leader, version));
        }
        let answer = |(leader, version): (i32, Result<i16, ClientError>)| {
            let version = version?;
            self.cluster.broker(leader)?.receive_soon::<R>(version, time)
        };
        sent.into_iter().map(answer).collect()
    }

    /// The connection to a broker.
    pub(crate) fn broker(&mut self, leader: i32) -> Result<&mut crate::Client, ClientError> {
        self.cluster.broker(leader)
    }

    /// What the topic's `max.message.bytes` is, if the cluster says it.
    pub fn message_bytes_max(&mut self) -> Option<usize> {
        let key = "max.message.bytes";
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC_RESOURCE)
            .with_resource_name(text(&self.name))
            .with_configuration_keys(Some(vec![text(key)]));
        let response = self.cluster.ask(&DescribeConfigsRequest::default().with_resources(vec![resource])).ok()?;
        let config = response.results.first()?.configs.iter().find(|config| config.name.as_str() == key)?;
        config.value.as_ref()?.parse().ok()
    }

    /// An id for batches that are taken once, however often they are sent. `None`: the cluster does not allow it.
    pub fn producer_id(&mut self, patience: &mut Patience) -> Result<Option<ProducerId>, TopicError> {
        let request =
            InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(TIMEOUT_MS);
        loop {
            let answer = self.cluster.ask(&request);
            match answer {
                Ok(answer) if answer.error_code == 0 => {
                    return Ok(Some(ProducerId { id: answer.producer_id.0, epoch: answer.producer_epoch }));
                }
                Ok(answer) if answer.error_code == NOT_ALLOWED => return Ok(None),
                Ok(answer) if !passes(answer.error_code) => {
                    let what = "get a producer id".to_string();
                    return Err(TopicError::Refused(Refusal {
                        what,
                        code: answer.error_code,
                        message: None,
                        record: None,
                    }));
                }
                Ok(answer) => {
                    let why = format!("there is no producer id yet: {}", error_name(answer.error_code));
                    self.recover(why, false, patience)?;
                }
                Err(error) if error.passes() => self.recover(error, true, patience)?,
                Err(ClientError::Version { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The names of all topics of users.
fn names(cluster: &mut Cluster) -> Result<Vec<String>, ClientError> {
    let metadata = cluster.metadata(None)?;
    let own = metadata.topics.iter().filter(|topic| topic.error_code == 0 && !topic.is_internal);
    let mut names: Vec<String> = own.filter_map(|topic| topic.name.as_ref().map(|name| name.to_string())).collect();
    names.sort_unstable();
    Ok(names)
}
