//! Clients that take what they can get: they ask for much and read little or nothing, leave in mid-answer, upload
//! slowly or stop half way, ask for every special offset without end. What becomes of them is their own affair;
//! everybody else is served all the while.

use crate::batch::{self, Plan};
use crate::client::{self, Client, Next};
use crate::history::History;
use crate::net::Appetite;
use crate::requests;
use crate::violation::Violation;
use crate::wire::{Connection, NAME, Port, encode};
use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    CreateTopicsRequest, DescribeConfigsRequest, DescribeLogDirsRequest, ListGroupsRequest, MetadataRequest,
    ProduceRequest,
};
use torc_base::limits::LARGE_FRAME;
use torc_base::prng::Prng;

/// What a neighbour does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Asks for much, several times, and reads nothing.
    NeverReads,
    /// The same, and reads slowly.
    ReadsSlowly,
    /// The same, and is gone in the middle of an answer.
    Vanishes,
    /// Sends requests ahead and reads nothing: offsets of all kinds, lists.
    AsksAhead,
    /// Uploads slowly.
    UploadsSlowly,
    /// Uploads a part, and no more.
    StopsUploading,
}

const WAYS: [Way; 6] =
    [Way::NeverReads, Way::ReadsSlowly, Way::Vanishes, Way::AsksAhead, Way::UploadsSlowly, Way::StopsUploading];
/// Nobody else's topic, and it does not exist: what is uploaded is refused when it is there.
const TOPIC: &str = "zz-uploads";
/// Largest upload.
const UPLOAD_BYTES_MAX: u64 = 900_000;
/// What one request names whose answer tells of each what takes much.
const LISTED: usize = 60;
/// As much as one answer may have.
const MUCH: i32 = 64 << 20;

/// See the module.
pub struct Neighbour {
    way: Way,
    rng: Prng,
    connection: Connection,
    /// Requests of this connection.
    asked: u64,
    /// What is left of an upload.
    upload: Vec<u8>,
    stopping: bool,
}

impl Neighbour {
    /// One of any kind.
    pub fn new(mut rng: Prng) -> Neighbour {
        let way = WAYS[rng.below(WAYS.len() as u64) as usize];
        let mut manner = client::manner(&mut rng);
        let after = rng.below(100_000);
        manner.appetite = match way {
            Way::NeverReads | Way::AsksAhead => Appetite::Stops { after, per_second: 0 },
            Way::ReadsSlowly => Appetite::Stops { after, per_second: 1 << rng.below(18) },
            Way::Vanishes | Way::UploadsSlowly | Way::StopsUploading => Appetite::All,
        };
        let connection = Connection::new(manner);
        Neighbour { way, rng, connection, asked: 0, upload: Vec::new(), stopping: false }
    }

    /// Much of one topic, from anywhere.
    fn much(&mut self, history: &mut History) -> Option<Vec<u8>> {
        let live = history.live();
        let topic = *live.get(self.rng.below(live.len().max(1) as u64) as usize)?;
        let partitions = history.topics[topic].partitions.len();
        let mut parts = Vec::new();
        for partition in 0..partitions {
            let known = history.part(topic, partition);
            let (low, high) = (known.start.min(known.hw), known.hw);
            let from = self.rng.between(low as u64, high as u64) as i64;
            parts.push((topic, requests::part(partition, from, MUCH)));
        }
        let request = requests::fetch()
            .with_max_wait_ms(self.rng.below(500) as i32)
            .with_min_bytes([1, 1, 20 << 20][self.rng.below(3) as usize])
            .with_max_bytes(MUCH)
            .with_topics(requests::fetch_topics(history, false, parts.into_iter()));
        Some(encode(NAME, &request, 11, 1))
    }

    /// A list of which nothing lies on disk, as long as there may be.
    fn list(&mut self, history: &History) -> Vec<u8> {
        let live = history.live();
        let name = |number: usize| match live.get(number) {
            Some(topic) => history.topics[*topic].name.clone(),
            None => format!("zz-{number}"),
        };
        match self.rng.below(6) {
            0 => {
                let resource = |number| {
                    let resource = DescribeConfigsResource::default().with_resource_type(2);
                    resource.with_resource_name(requests::text(&name(number))).with_configuration_keys(None)
                };
                let request = DescribeConfigsRequest::default()
                    .with_resources((0..LISTED).map(resource).collect())
                    .with_include_documentation(true);
                encode(NAME, &request, 4, 1)
            }
            1 => {
                let topic = |number: usize| {
                    let topic = CreatableTopic::default().with_name(requests::topic(&format!("zz-{number}")));
                    topic.with_num_partitions(1).with_replication_factor(1)
                };
                let request = CreateTopicsRequest::default().with_topics((0..LISTED).map(topic).collect());
                encode(NAME, &request.with_timeout_ms(30_000).with_validate_only(true), 7, 1)
            }
            2 => encode(NAME, &DescribeLogDirsRequest::default().with_topics(None), 4, 1),
            3 => encode(NAME, &ListGroupsRequest::default(), 4, 1),
            _ => encode(NAME, &MetadataRequest::default().with_topics(None), 9, 1),
        }
    }

    /// An offset of any kind, or a list.
    fn anything(&mut self, history: &mut History) -> Vec<u8> {
        let live = history.live();
        let topic = live.get(self.rng.below(live.len().max(1) as u64) as usize).copied();
        let Some(topic) = topic.filter(|_| self.rng.chance(7, 8)) else { return self.list(history) };
        let known = &history.topics[topic];
        let partition = self.rng.below(known.partitions.len() as u64) as usize;
        let timestamp = if self.rng.chance(3, 4) { -(self.rng.between(1, 6) as i64) } else { 0 };
        let request = requests::list_offsets(&known.name, partition, timestamp);
        encode(NAME, &request, self.rng.between(1, 10) as i16, 1)
    }

    fn produce(&mut self) -> Vec<u8> {
        let bytes = self.rng.between(100, UPLOAD_BYTES_MAX) as usize;
        let batch = batch::build(&Plan { number: 0, records: 1, bytes, producer: (-1, -1, -1), timestamp: 1, keys: 0 });
        let data = PartitionProduceData::default().with_records(Some(Bytes::from(batch)));
        let topic = TopicProduceData::default().with_name(requests::topic(TOPIC)).with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
        encode(NAME, &request, 9, 1)
    }

    /// Does the next rude thing.
    fn act(&mut self, port: &mut dyn Port, history: &mut History, link: u64) {
        match self.way {
            Way::NeverReads | Way::ReadsSlowly if self.asked < 6 => {
                if let Some(frame) = self.much(history) {
                    self.asked += 1;
                    port.send(link, &frame.repeat(self.rng.between(1, 3) as usize));
                }
            }
            Way::NeverReads | Way::ReadsSlowly => {
                // Another one comes in its place, now and then.
                if self.rng.chance(1, 30) {
                    self.hang_up(port);
                }
            }
            Way::Vanishes => {
                if self.asked > 0 {
                    if self.rng.chance(1, 3) {
                        port.half_close(link);
                    }
                    self.hang_up(port);
                } else if let Some(frame) = self.much(history) {
                    self.asked += 1;
                    port.send(link, &frame.repeat(2));
                }
            }
            // More than half a receive buffer, and up to some, in one go behind what is waited for.
            Way::AsksAhead if self.asked == 0 => {
                let bytes = self.rng.between(LARGE_FRAME as u64 / 2, 3 * LARGE_FRAME as u64 / 2) as usize;
                let mut frames = self.list(history);
                while frames.len() < bytes {
                    self.asked += 1;
                    frames.extend(self.anything(history));
                }
                port.send(link, &frames);
            }
            Way::AsksAhead if self.asked < 300 => {
                for _ in 0..10 {
                    self.asked += 1;
                    let frame = self.anything(history);
                    port.send(link, &frame);
                }
            }
            Way::AsksAhead => {}
            Way::UploadsSlowly | Way::StopsUploading => self.send_piece(port, link),
        }
    }

    fn send_piece(&mut self, port: &mut dyn Port, link: u64) {
        if self.way == Way::StopsUploading {
            if self.asked == 0 {
                self.asked += 1;
                let frame = self.produce();
                port.send(link, &frame[..self.rng.below(frame.len() as u64) as usize]);
            }
            return;
        }
        if self.upload.is_empty() {
            self.upload = self.produce();
        }
        let piece = (self.rng.between(1, 50_000) as usize).min(self.upload.len());
        port.send(link, &self.upload[..piece]);
        self.upload.drain(..piece);
    }

    fn hang_up(&mut self, port: &mut dyn Port) {
        if let Some(link) = self.connection.link {
            port.abort(link);
        }
        self.forget();
    }

    fn forget(&mut self) {
        self.connection.lost();
        self.asked = 0;
        self.upload.clear();
    }
}

impl Client for Neighbour {
    fn wake(&mut self, port: &mut dyn Port, history: &mut History) -> Result<Next, Violation> {
        if self.stopping {
            self.hang_up(port);
            return Ok(Next::Done);
        }
        if self.connection.open(port, &mut self.rng) {
            let link = self.connection.link.expect("just opened");
            self.act(port, history, link);
        }
        Ok(Next::Wake(self.rng.between(1_000_000, 100_000_000)))
    }

    fn receive(&mut self, _port: &mut dyn Port, _history: &mut History, _bytes: &[u8]) -> Result<(), Violation> {
        Ok(())
    }

    fn lost(&mut self, _port: &mut dyn Port, _history: &mut History) -> Result<(), Violation> {
        self.forget();
        Ok(())
    }

    fn link(&self) -> Option<u64> {
        self.connection.link
    }

    fn stop(&mut self) {
        self.stopping = true;
    }

    fn is_neighbour(&self) -> bool {
        true
    }
}
