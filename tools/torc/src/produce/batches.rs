//! Records into batches, and batches to their partitions.

use super::input::Input;
use crate::formats::moment::now_ms;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use torc_base::prng::Prng;
use torc_client::{Acks, Outgoing, Patience, ProducerId, Refusal, Topic, TopicError, partition_of};
use torc_net::kafka::records::{BuildOptions, Codec, Record, build};

/// Bytes of records that one batch has, about.
const BATCH_BYTES: usize = 512 << 10;
/// All is sent when so many bytes wait.
const WAITING_BYTES: usize = 4 << 20;

/// Errors that are of a batch's records: MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE, INVALID_TIMESTAMP, INVALID_RECORD. The batch is
/// sent again in halves: those that are good are taken, and the one that is not is known.
const OF_RECORDS: [i16; 4] = [10, 18, 32, 87];

/// How batches are made and sent.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub codec: Codec,
    pub acks: Acks,
    pub producer: Option<ProducerId>,
    /// Bytes of a batch; what is longer is of one record.
    pub batch_bytes: usize,
}

impl Manner {
    /// Batches that fit a topic that takes so many bytes.
    pub fn new(codec: Codec, acks: Acks, producer: Option<ProducerId>, bytes_max: usize) -> Manner {
        Manner { codec, acks, producer, batch_bytes: BATCH_BYTES.min(bytes_max) }
    }
}

/// Why records were not sent.
#[derive(Debug)]
pub enum SendError {
    Topic(TopicError),
    /// A batch was refused; where its records, or the one that is wrong, stood in the input.
    Refused {
        places: String,
        refusal: Refusal,
    },
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SendError::Topic(error) => error.fmt(f),
            SendError::Refused { places, refusal } => write!(f, "{places}: {refusal}"),
        }
    }
}

/// Records that wait, by partition.
pub struct Batches {
    manner: Manner,
    /// Of each partition, the batches to be; only the last one grows.
    waiting: BTreeMap<i32, VecDeque<Group>>,
    bytes: usize,
    /// Numbers of the next records, for brokers that take each once.
    sequences: BTreeMap<i32, i32>,
    /// The partition of records that may go to any, until its batch is full.
    sticky: Option<i32>,
    prng: Prng,
    /// Records and bytes that were taken, since [`Batches::taken`] was asked.
    taken: (u64, u64),
}

/// As batches are built of them.
type Header<'a> = (&'a [u8], Option<&'a [u8]>);

#[derive(Default)]
struct Group {
    records: Vec<Input>,
    bytes: usize,
}

impl Batches {
    /// None yet. `seed`: where records without keys go first.
    pub fn new(manner: Manner, seed: u64) -> Batches {
        Batches {
            manner,
            waiting: BTreeMap::new(),
            bytes: 0,
            sequences: BTreeMap::new(),
            sticky: None,
            prng: Prng::new(seed),
            taken: (0, 0),
        }
    }

    /// Records and bytes that were taken since this was asked last.
    pub fn taken(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.taken)
    }

    /// True if it is time to send.
    pub fn is_full(&self) -> bool {
        self.bytes >= WAITING_BYTES || self.waiting.values().any(|groups| groups.len() > 1)
    }

    /// Takes a record for its partition.
    pub fn add(&mut self, mut input: Input, topic: &Topic) {
        input.timestamp.get_or_insert_with(now_ms);
        let partition = match (input.partition, &input.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_of(key, topic.partitions().len() as i32),
            (None, None) => self.any(topic),
        };
        let bytes = input.bytes();
        self.bytes += bytes;
        let groups = self.waiting.entry(partition).or_default();
        match groups.back_mut().filter(|group| group.bytes + bytes <= self.manner.batch_bytes) {
            Some(group) => {
                group.bytes += bytes;
                group.records.push(input);
            }
            None => {
                if !groups.is_empty() && self.sticky == Some(partition) {
                    self.sticky = None;
                }
                groups.push_back(Group { records: vec![input], bytes });
            }
        }
    }

    /// The partition whose batch is being filled.
    fn any(&mut self, topic: &Topic) -> i32 {
        *self.sticky.get_or_insert_with(|| {
            // While none has a leader, any is as good.
            let all = Some(topic.led()).filter(|led| !led.is_empty()).unwrap_or_else(|| topic.partitions());
            all[self.prng.below(all.len() as u64) as usize]
        })
    }

    /// Sends all that waits.
    pub fn send(&mut self, topic: &mut Topic, patience: &mut Patience) -> Result<(), SendError> {
        self.sticky = None;
        while !self.waiting.is_empty() {
            let mut outgoing = self.front();
            let sent = topic.produce(&mut outgoing, self.manner.acks, patience);
            let mut refused = None;
            for batch in outgoing {
                match batch.outcome {
                    None => {}
                    Some(Ok(_)) => self.done(batch.partition),
                    Some(Err(refusal)) => {
                        let groups = self.waiting.get_mut(&batch.partition).expect("it was made of the first");
                        let first = groups.front().expect("there is a first");
                        if OF_RECORDS.contains(&refusal.code) && first.records.len() > 1 {
                            halve(groups);
                        } else {
                            refused
                                .get_or_insert_with(|| SendError::Refused { places: places(first, &refusal), refusal });
                        }
                    }
                }
            }
            sent.map_err(SendError::Topic)?;
            if let Some(refused) = refused {
                return Err(refused);
            }
        }
        self.bytes = 0;
        Ok(())
    }

    /// The first batch of each partition.
    fn front(&self) -> Vec<Outgoing> {
        let first = |(partition, groups): (&i32, &VecDeque<Group>)| {
            let first = groups.front().expect("those that have none are removed");
            Outgoing { partition: *partition, batch: self.batch(*partition, first), outcome: None }
        };
        self.waiting.iter().map(first).collect()
    }

    fn batch(&self, partition: i32, group: &Group) -> Bytes {
        let headers: Vec<Vec<Header>> = group
            .records
            .iter()
            .map(|input| input.headers.iter().map(|(key, value)| (key.as_slice(), value.as_deref())).collect())
            .collect();
        let records: Vec<Record> = group
            .records
            .iter()
            .zip(&headers)
            .map(|(input, headers)| Record {
                timestamp: input.timestamp.expect("set when it was added"),
                key: input.key.as_deref(),
                value: input.value.as_deref(),
                headers,
            })
            .collect();
        let mut options = BuildOptions { codec: self.manner.codec, ..BuildOptions::default() };
        if let Some(producer) = self.manner.producer {
            (options.producer_id, options.producer_epoch) = (producer.id, producer.epoch);
            options.base_sequence = self.sequences.get(&partition).copied().unwrap_or(0);
        }
        build(&records, &options).into()
    }

    /// The first batch of a partition was taken.
    fn done(&mut self, partition: i32) {
        let groups = self.waiting.get_mut(&partition).expect("a batch was sent");
        let group = groups.pop_front().expect("a batch was sent");
        if groups.is_empty() {
            self.waiting.remove(&partition);
        }
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len) as u64;
        let payload: u64 = group.records.iter().map(|input| length(&input.key) + length(&input.value)).sum();
        self.taken = (self.taken.0 + group.records.len() as u64, self.taken.1 + payload);
        let sequence = self.sequences.entry(partition).or_insert(0);
        // Behind the largest number comes 0.
        *sequence = sequence.wrapping_add(group.records.len() as i32) & i32::MAX;
    }
}

fn halve(groups: &mut VecDeque<Group>) {
    let mut first = groups.pop_front().expect("it was refused");
    let records = first.records.split_off(first.records.len() / 2);
    let bytes = records.iter().map(Input::bytes).sum();
    first.bytes -= bytes;
    groups.push_front(Group { records, bytes });
    groups.push_front(first);
}

fn places(group: &Group, refusal: &Refusal) -> String {
    let wrong = refusal.record.and_then(|index| group.records.get(usize::try_from(index).ok()?));
    match (wrong, &group.records[..]) {
        (Some(wrong), _) => wrong.place(),
        (None, [only]) => only.place(),
        (None, [first, .., last]) => format!("{} to {}", first.place(), last.place()),
        (None, []) => unreachable!("a batch has records"),
    }
}
