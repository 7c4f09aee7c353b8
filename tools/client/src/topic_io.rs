//! Produce, Fetch and ListOffsets of one topic, each sent to all leaders at once.

use crate::client::{ClientError, error_name};
use crate::patience::Patience;
use crate::topic::{Refusal, Topic, TopicError, passes};
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{ApiVersionsRequest, BrokerId, FetchRequest, ListOffsetsRequest, ProduceRequest};
use std::collections::BTreeMap;
use std::time::Duration;

/// The newest versions that name topics; later ones have ids instead.
const PRODUCE: i16 = 12;
const FETCH: i16 = 12;
/// Later versions say nothing more that is of use here.
pub(crate) const LIST_OFFSETS: i16 = 8;
const API_VERSIONS_OLDEST: i16 = 0;

/// Time that a leader gets to have records on enough disks, and that after which it is taken for dead. A batch may then be
/// written twice only by producers without an id.
const PRODUCE_TIMEOUT_MS: i32 = 10_000;
const PRODUCE_TIME: Duration = Duration::from_secs(15);
/// A leader that is well answers in this time to what waits for nobody.
const SOON: Duration = Duration::from_secs(10);

const OUT_OF_RANGE: i16 = ResponseError::OffsetOutOfRange.code();
/// The batch is there already.
const DUPLICATE: i16 = ResponseError::DuplicateSequenceNumber.code();

/// Where a log is to be read from, as ListOffsets takes it: a time in milliseconds since 1970, or one of these.
pub const EARLIEST: i64 = -2;
pub const LATEST: i64 = -1;

/// Whom a write waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Nobody: there is no answer.
    None = 0,
    Leader = 1,
    /// All replicas that are in sync.
    All = -1,
}

/// What of transactions is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted = 0,
    ReadCommitted = 1,
}

/// A record batch on its way.
#[derive(Debug)]
pub struct Outgoing {
    pub partition: i32,
    /// One batch of Kafka's format 2.
    pub batch: Bytes,
    /// What became of it: the offset of its first record (-1 if that is not known). `None`: it is not known whether it is there.
    pub outcome: Option<Result<i64, Refusal>>,
}

/// How much is fetched at once.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    pub wait_ms: i32,
    /// Of one answer, and of one partition in it.
    pub bytes: i32,
    pub partition_bytes: i32,
    pub isolation: Isolation,
}

/// What a fetch brought of one partition.
#[derive(Debug)]
pub struct Fetched {
    pub partition: i32,
    /// The offset that was asked for is not in the log.
    pub out_of_range: bool,
    /// Record batches; the last may be cut short.
    pub records: Bytes,
    /// Aborted transactions: producer and first offset of each.
    pub aborted: Vec<(i64, i64)>,
}

/// What of one round has to be asked again, and why.
#[derive(Default)]
struct Trouble {
    why: Option<String>,
    reconnect: bool,
    /// It must be looked up who leads.
    look: bool,
}

impl Trouble {
    fn add(&mut self, why: impl Into<String>) {
        self.look = true;
        self.why.get_or_insert_with(|| why.into());
    }

    /// Another broker leads, and is known.
    fn moved(&mut self, why: impl Into<String>) {
        self.why.get_or_insert_with(|| why.into());
    }

    /// Takes the failure of a whole request in.
    fn client(&mut self, error: ClientError) -> Result<(), TopicError> {
        if !error.passes() {
            return Err(error.into());
        }
        // It tells more than what follows from it.
        (self.why, self.reconnect, self.look) = (Some(error.to_string()), true, true);
        Ok(())
    }

    fn leaderless(&mut self, partitions: &[i32]) {
        if let Some(partition) = partitions.first() {
            self.add(format!("partition {partition} has no leader"));
        }
    }
}

impl Topic {
    /// Goes on where a round had trouble.
    fn settle(&mut self, trouble: Trouble, patience: &mut Patience) -> Result<(), TopicError> {
        match trouble.why {
            None => self.well(patience),
            Some(why) if trouble.look => self.recover(why, trouble.reconnect, patience)?,
            Some(why) => patience.again(why)?,
        }
        Ok(())
    }

    /// Looks up an offset of each of these partitions: of the first record at the time or later, or at an end of the log.
    pub fn offsets(
        &mut self,
        asked: &BTreeMap<i32, i64>,
        isolation: Isolation,
        patience: &mut Patience,
    ) -> Result<BTreeMap<i32, i64>, TopicError> {
        let mut found = BTreeMap::new();
        while found.len() < asked.len() {
            let open =
                asked.iter().filter(|(partition, _)| !found.contains_key(*partition)).map(|(p, time)| (*p, *time));
            let (by_leader, leaderless) = self.by_leader(open);
            let mut trouble = Trouble::default();
            trouble.leaderless(&leaderless);
            let request = |(leader, partitions): (i32, Vec<(i32, i64)>)| {
                let partition = |(index, time)| {
                    let part = ListOffsetsPartition::default().with_partition_index(index).with_timestamp(time);
                    part.with_current_leader_epoch(-1)
                };
                let partitions = partitions.into_iter().map(partition).collect();
                let topic = ListOffsetsTopic::default().with_name(self.topic_name()).with_partitions(partitions);
                let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1));
                (leader, request.with_isolation_level(isolation as i8).with_topics(vec![topic]))
            };
            let requests: Vec<_> = by_leader.into_iter().map(request).collect();
            for answer in self.ask(&requests, LIST_OFFSETS, SOON) {
                let answer = match answer {
                    Ok(answer) => answer,
                    Err(error) => {
                        trouble.client(error)?;
                        continue;
                    }
                };
                for part in answer.topics.iter().flat_map(|topic| &topic.partitions) {
                    match part.error_code {
                        _ if !asked.contains_key(&part.partition_index) => {}
                        0 => drop(found.insert(part.partition_index, part.offset)),
                        code => self.partition_refused("get offsets of", part.partition_index, code, &mut trouble)?,
                    }
                }
            }
            if let Some(partition) = asked.keys().find(|partition| !found.contains_key(partition)) {
                trouble.add(format!("no broker answered about partition {partition}"));
            }
            self.settle(trouble, patience)?;
        }
        Ok(found)
    }

    fn partition_refused(
        &self,
        what: &str,
        partition: i32,
        code: i16,
        trouble: &mut Trouble,
    ) -> Result<(), TopicError> {
        let refusal = self.refusal(&format!("{what} partition {partition} of"), code, None);
        match passes(code) {
            true => trouble.add(refusal.to_string()),
            false => return Err(TopicError::Refused(refusal)),
        }
        Ok(())
    }

    /// Writes batches, at most one to each partition, and waits until all have their outcomes.
    ///
    /// # Errors
    /// It gave up; the outcomes that are known stand in `batches`.
    pub fn produce(&mut self, batches: &mut [Outgoing], acks: Acks, patience: &mut Patience) -> Result<(), TopicError> {
        while batches.iter().any(|batch| batch.outcome.is_none()) {
            let open = batches.iter().filter(|batch| batch.outcome.is_none());
            let (by_leader, leaderless) = self.by_leader(open.map(|batch| (batch.partition, batch.batch.clone())));
            let mut trouble = Trouble::default();
            trouble.leaderless(&leaderless);
            let request = |(leader, batches): (i32, Vec<(i32, Bytes)>)| {
                let part = |(partition, batch)| {
                    PartitionProduceData::default().with_index(partition).with_records(Some(batch))
                };
                let parts = batches.into_iter().map(part).collect();
                let topic = TopicProduceData::default().with_name(self.topic_name()).with_partition_data(parts);
                let request = ProduceRequest::default().with_transactional_id(None).with_acks(acks as i16);
                (leader, request.with_timeout_ms(PRODUCE_TIMEOUT_MS).with_topic_data(vec![topic]))
            };
            let requests: Vec<_> = by_leader.into_iter().map(request).collect();
            if acks == Acks::None {
                self.send_without_answers(&requests, batches, &mut trouble)?;
            } else {
                for answer in self.ask(&requests, PRODUCE, PRODUCE_TIME) {
                    match answer {
                        Err(error) => trouble.client(error)?,
                        Ok(answer) => {
                            for node in &answer.node_endpoints {
                                self.is_at(node.node_id.0, node.host.as_str(), node.port);
                            }
                            let parts = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
                            parts.for_each(|part| self.take_outcome(part, batches, &mut trouble));
                        }
                    }
                }
            }
            let open = batches.iter().find(|batch| batch.outcome.is_none());
            if let Some(batch) = open.filter(|_| trouble.why.is_none()) {
                trouble.add(format!("no broker answered about partition {}", batch.partition));
            }
            self.settle(trouble, patience)?;
        }
        Ok(())
    }

    fn take_outcome(&mut self, part: &PartitionProduceResponse, batches: &mut [Outgoing], trouble: &mut Trouble) {
        let Some(batch) = batches.iter_mut().find(|batch| batch.partition == part.index) else { return };
        let what = format!("write to partition {} of", part.index);
        let wrong = part.record_errors.first();
        let message = part.error_message.as_ref().or(wrong.and_then(|wrong| wrong.batch_index_error_message.as_ref()));
        let message = message.map(|message| message.to_string());
        match part.error_code {
            0 => batch.outcome = Some(Ok(part.base_offset)),
            DUPLICATE => batch.outcome = Some(Ok(-1)),
            code if passes(code) => {
                let (leader, why) = (&part.current_leader, self.refusal(&what, code, message).to_string());
                match self.is_led_by(part.index, leader.leader_id.0, leader.leader_epoch) {
                    true => trouble.moved(why),
                    false => trouble.add(why),
                }
            }
            code => {
                let record = wrong.map(|wrong| wrong.batch_index);
                batch.outcome = Some(Err(Refusal { record, ..self.refusal(&what, code, message) }));
            }
        }
    }

    fn send_without_answers(
        &mut self,
        requests: &[(i32, ProduceRequest)],
        batches: &mut [Outgoing],
        trouble: &mut Trouble,
    ) -> Result<(), TopicError> {
        for (leader, request) in requests {
            let sent = self.broker(*leader).and_then(|client| {
                let version = client.version_up_to::<ProduceRequest>(PRODUCE)?;
                client.send_only(request, version)
            });
            if let Err(error) = sent {
                trouble.client(error)?;
                continue;
            }
            for part in request.topic_data.iter().flat_map(|topic| &topic.partition_data) {
                let batch = batches.iter_mut().find(|batch| batch.partition == part.index);
                batch.expect("it was made of one").outcome = Some(Ok(-1));
            }
        }
        Ok(())
    }

    /// After writes without answers: waits until the brokers have taken them from their connections, which they close instead if
    /// they refuse something.
    ///
    /// # Errors
    /// A connection is gone, and nobody knows what of it was written.
    pub fn await_taken(&mut self) -> Result<(), TopicError> {
        let (by_leader, _) = self.by_leader(self.led().into_iter().map(|partition| (partition, ())));
        for leader in by_leader.into_keys() {
            let client = self.broker(leader)?;
            client.send(&ApiVersionsRequest::default(), API_VERSIONS_OLDEST)?;
            client.receive::<ApiVersionsRequest>(API_VERSIONS_OLDEST)?;
        }
        Ok(())
    }

    /// Reads what follows these offsets, of those partitions that have something or all that have nothing. Partitions with
    /// trouble that passes are left out, and their leaders looked up.
    pub fn fetch(
        &mut self,
        from: &[(i32, i64)],
        limits: &FetchLimits,
        patience: &mut Patience,
    ) -> Result<Vec<Fetched>, TopicError> {
        let (by_leader, leaderless) = self.by_leader(from.iter().copied());
        let mut trouble = Trouble::default();
        trouble.leaderless(&leaderless);
        let requests: Vec<_> =
            by_leader.into_iter().map(|(leader, parts)| (leader, self.fetch_request(parts, limits))).collect();
        let mut fetched = Vec::new();
        for answer in self.ask(&requests, FETCH, SOON + Duration::from_millis(limits.wait_ms.max(0) as u64)) {
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    trouble.client(error)?;
                    continue;
                }
            };
            if answer.error_code != 0 {
                trouble.add(format!("a broker refused a fetch: {}", error_name(answer.error_code)));
            }
            for part in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
                match part.error_code {
                    0 | OUT_OF_RANGE => fetched.push(fetched_of(part)),
                    code => self.partition_refused("read", part.partition_index, code, &mut trouble)?,
                }
            }
        }
        self.settle(trouble, patience)?;
        Ok(fetched)
    }

    fn fetch_request(&self, partitions: Vec<(i32, i64)>, limits: &FetchLimits) -> FetchRequest {
        let part = |(partition, offset)| {
            FetchPartition::default()
                .with_partition(partition)
                .with_fetch_offset(offset)
                .with_current_leader_epoch(-1)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(limits.partition_bytes)
        };
        let partitions = partitions.into_iter().map(part).collect();
        let topic = FetchTopic::default().with_topic(self.topic_name()).with_partitions(partitions);
        FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(limits.wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(limits.bytes)
            .with_isolation_level(limits.isolation as i8)
            .with_session_epoch(-1)
            .with_topics(vec![topic])
    }
}

fn fetched_of(part: PartitionData) -> Fetched {
    let aborted = part.aborted_transactions.unwrap_or_default();
    Fetched {
        partition: part.partition_index,
        out_of_range: part.error_code == OUT_OF_RANGE,
        records: part.records.unwrap_or_default(),
        aborted: aborted.iter().map(|aborted| (aborted.producer_id.0, aborted.first_offset)).collect(),
    }
}
