//! A client that sends what no client should: noise, impossible lengths, halves of frames, mutilated requests.
//! Whatever comes back is its own affair; nobody else may notice.

use crate::batch::{self, Plan};
use crate::client::{self, Client, Next};
use crate::history::History;
use crate::violation::Violation;
use crate::wire::{Connection, Port, encode};
use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiVersionsRequest, FetchRequest, ListOffsetsRequest, MetadataRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use torc_base::prng::Prng;

/// Its own topic: a mutilated request that happens to be valid touches nobody else's.
const TOPIC: &str = "zz-noise";

/// See the module.
pub struct Fuzzer {
    rng: Prng,
    connection: Connection,
    stopping: bool,
}

impl Fuzzer {
    /// A source of noise.
    pub fn new(mut rng: Prng) -> Fuzzer {
        let connection = Connection::new(client::manner(&mut rng));
        Fuzzer { rng, connection, stopping: false }
    }

    fn valid(&mut self) -> Vec<u8> {
        let name = || TopicName(StrBytes::from_static_str(TOPIC));
        let rng = &mut self.rng;
        match rng.below(5) {
            0 => {
                let bytes = if rng.chance(1, 8) { 40_000 } else { 50 };
                let plan = Plan { number: 0, records: 2, bytes, producer: (-1, -1, -1), timestamp: 1, keys: 0 };
                let mut batch = batch::build(&plan);
                if rng.chance(1, 2) {
                    let at = rng.below(batch.len() as u64) as usize;
                    batch[at] ^= 1 << rng.below(8);
                }
                let data = PartitionProduceData::default().with_records(Some(Bytes::from(batch)));
                let topic = TopicProduceData::default().with_name(name()).with_partition_data(vec![data]);
                let request = ProduceRequest::default().with_acks(1).with_topic_data(vec![topic]);
                encode(TOPIC, &request, rng.between(3, 12) as i16, 7)
            }
            1 => {
                let topic = FetchTopic::default().with_topic(name()).with_partitions(vec![FetchPartition::default()]);
                let request = FetchRequest::default().with_max_wait_ms(10).with_topics(vec![topic]);
                encode(TOPIC, &request, rng.between(4, 12) as i16, 7)
            }
            2 => encode(TOPIC, &ListOffsetsRequest::default(), rng.between(1, 9) as i16, 7),
            3 => encode(TOPIC, &MetadataRequest::default().with_topics(None), rng.between(1, 13) as i16, 7),
            _ => encode(TOPIC, &ApiVersionsRequest::default(), rng.between(0, 2) as i16, 7),
        }
    }

    fn noise(&mut self) -> Vec<u8> {
        let mut bytes = self.valid();
        match self.rng.below(6) {
            0 => {
                let len = self.rng.between(1, 3000) as usize;
                bytes.resize(len, 0);
                self.rng.fill(&mut bytes);
            }
            1 => {
                let length = [0x7fff_ffffu32, 0xffff_ffff, 0, 1, 100 << 20, (100 << 20) + 1, 5 << 20];
                let length = length[self.rng.below(length.len() as u64) as usize];
                bytes[..4].copy_from_slice(&length.to_be_bytes());
            }
            2 => bytes.truncate(self.rng.between(1, bytes.len() as u64 - 1) as usize),
            3 | 4 => {
                for _ in 0..self.rng.between(1, 6) {
                    let at = self.rng.between(4, bytes.len() as u64 - 1) as usize;
                    bytes[at] = self.rng.next_u64() as u8;
                }
            }
            _ => {}
        }
        bytes
    }
}

impl Client for Fuzzer {
    fn wake(&mut self, port: &mut dyn Port, _history: &mut History) -> Result<Next, Violation> {
        if self.stopping {
            if let Some(link) = self.connection.link.take() {
                port.abort(link);
            }
            return Ok(Next::Done);
        }
        if self.connection.open(port, &mut self.rng) {
            let link = self.connection.link.expect("just opened");
            let noise = self.noise();
            port.send(link, &noise);
            match self.rng.below(6) {
                0 => {
                    port.abort(link);
                    self.connection.lost();
                }
                1 => port.half_close(link),
                _ => {}
            }
        }
        Ok(Next::Wake(self.rng.between(1_000_000, 60_000_000)))
    }

    fn receive(&mut self, _port: &mut dyn Port, _history: &mut History, _bytes: &[u8]) -> Result<(), Violation> {
        Ok(())
    }

    fn lost(&mut self, _port: &mut dyn Port, _history: &mut History) -> Result<(), Violation> {
        self.connection.lost();
        Ok(())
    }

    fn link(&self) -> Option<u64> {
        self.connection.link
    }

    fn stop(&mut self) {
        self.stopping = true;
    }
}
