//! A client's end of one connection: requests out, answers in, in order.

use crate::groups::{Moment, Place};
use crate::net::Manner;
use crate::violation::{Rule, Violation};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use std::collections::{BTreeSet, VecDeque};
use torc_base::ids::ListenerId;
use torc_base::prng::Prng;

/// The client id of well-behaved clients.
pub const NAME: &str = "torc-sim";

/// What a client can do to the world.
pub trait Port {
    /// Virtual nanoseconds.
    fn now(&self) -> u64;
    /// Milliseconds since 1970, as the server sees them.
    fn wall_ms(&self) -> i64;
    /// Shards one can connect to.
    fn shards(&self) -> usize;
    /// A new connection; `None` while the server is down.
    fn connect(&mut self, shard: usize, manner: Manner) -> Option<u64>;
    /// The same, to another listener than the first.
    fn connect_at(&mut self, shard: usize, listener: ListenerId, manner: Manner) -> Option<u64>;
    /// Sends bytes.
    fn send(&mut self, link: u64, bytes: &[u8]);
    /// Hangs up without a word.
    fn abort(&mut self, link: u64);
    /// Sends the FIN; still reads.
    fn half_close(&mut self, link: u64);
    /// True if connections lead to the node of that id, where a coordinator is said to be; else whoever asked is brought there.
    fn reaches(&self, _node: i32) -> bool {
        true
    }
}

/// What a request was about, kept until its answer.
#[derive(Clone, Debug)]
pub enum Asked {
    /// Batches as (topic, partition, number).
    Produce(Vec<(usize, usize, u64)>),
    /// Partitions as (topic, partition, from offset, high watermark known when it was asked).
    /// `session`: the fetch session it belongs to, id and epoch.
    Fetch {
        parts: Vec<(usize, usize, i64, i64)>,
        session: Option<(i32, i32)>,
    },
    /// Of one partition of a cluster, from the leader of an epoch: the high watermark is to be this at least.
    FetchOf {
        at: (usize, usize),
        from: i64,
        epoch: i32,
        floor: i64,
    },
    /// A topic's creation.
    Create(usize),
    /// Other replicas for a partition, those that are on their way to them, and leaders for all.
    Reassign,
    Reassignments,
    Elect,
    /// A topic's deletion.
    Delete(usize),
    /// Records before an offset.
    DeleteRecords {
        topic: usize,
        partition: usize,
        before: i64,
    },
    /// (topic, partition, timestamp asked for, high watermark and log start known when it was asked)
    ListOffsets {
        topic: usize,
        partition: usize,
        timestamp: i64,
        hw: i64,
        start: i64,
    },
    /// A producer id.
    InitProducerId,
    /// All topics.
    Metadata,
    /// A group's coordinator.
    FindCoordinator,
    /// To join a group of which this generation was known.
    Join {
        floor: i32,
    },
    /// An assignment in a generation.
    Sync {
        generation: i32,
        asked: Moment,
    },
    /// A heartbeat in a generation.
    Heartbeat {
        generation: i32,
        asked: Moment,
    },
    /// A heartbeat of the consumer protocol: who it was, and what it held.
    Beat {
        id: String,
        epoch: i32,
        asked: Moment,
        held: BTreeSet<Place>,
    },
    /// To leave a group.
    Leave,
    /// Commits, or deletions of them: places and the numbers of the writes. A member's are of a generation.
    Commit {
        generation: i32,
        asked: Moment,
        writes: Vec<(Place, u64)>,
    },
    /// A deletion of what was committed.
    Forget {
        writes: Vec<(Place, u64)>,
    },
    /// The same for a group with all that is its own.
    ForgetGroup {
        writes: Vec<(Place, u64)>,
    },
    /// What was committed for these, or for all.
    Committed {
        asked: Moment,
        places: Option<Vec<Place>>,
    },
    /// The coordinators' log, by partition and offset.
    OffsetsLog(Vec<(i32, i64)>),
}

/// A request without its answer.
#[derive(Clone, Debug)]
pub struct Waiting {
    correlation: i32,
    /// Version it was sent in.
    pub version: i16,
    /// When it was sent.
    pub sent_at: u64,
    /// What it was about.
    pub asked: Asked,
}

/// One connection of a client, or none.
pub struct Connection {
    /// Its name in the network.
    pub link: Option<u64>,
    received: Vec<u8>,
    waiting: VecDeque<Waiting>,
    correlation: i32,
    manner: Manner,
}

impl Connection {
    /// No connection yet; it will behave like `manner`.
    pub fn new(manner: Manner) -> Connection {
        Connection { link: None, received: Vec::new(), waiting: VecDeque::new(), correlation: 0, manner }
    }

    /// Connects if it is not connected; false while the server is down.
    pub fn open(&mut self, port: &mut dyn Port, rng: &mut Prng) -> bool {
        let shard = if self.link.is_none() { rng.below(port.shards() as u64) as usize } else { 0 };
        self.open_at(port, shard)
    }

    /// Connects to that shard if it is not connected; false while the server is down.
    pub fn open_at<P: Port + ?Sized>(&mut self, port: &mut P, shard: usize) -> bool {
        if self.link.is_none() {
            self.link = port.connect(shard, self.manner);
            self.received.clear();
            self.waiting.clear();
        }
        self.link.is_some()
    }

    /// Requests without answers.
    pub fn outstanding(&self) -> usize {
        self.waiting.len()
    }

    /// When the oldest request without an answer was sent.
    pub fn oldest(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    /// Sends a request.
    pub fn ask<R: Request, P: Port + ?Sized>(&mut self, port: &mut P, version: i16, request: &R, asked: Option<Asked>) {
        let link = self.link.expect("the connection is open");
        self.correlation += 1;
        let frame = encode(NAME, request, version, self.correlation);
        if let Some(asked) = asked {
            self.waiting.push_back(Waiting { correlation: self.correlation, version, sent_at: port.now(), asked });
        }
        port.send(link, &frame);
    }

    /// Takes bytes in; returns whole answers, each with its request.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Vec<(Waiting, Bytes)>, Violation> {
        self.received.extend_from_slice(bytes);
        let mut answers = Vec::new();
        let mut at = 0;
        while let Some(head) = self.received.get(at..at + 4) {
            let length = i32::from_be_bytes(head.try_into().expect("4 bytes"));
            if !(4..=256 << 20).contains(&length) {
                return Err(Violation::new(Rule::Protocol, format!("an answer claims {length} bytes")));
            }
            let Some(frame) = self.received.get(at + 4..at + 4 + length as usize) else { break };
            let correlation = i32::from_be_bytes(frame[..4].try_into().expect("4 bytes"));
            let Some(waiting) = self.waiting.pop_front() else {
                return Err(Violation::new(Rule::Protocol, format!("an answer {correlation} that nobody asked for")));
            };
            if waiting.correlation != correlation {
                let text = format!("answer {correlation} came, {} was the oldest request", waiting.correlation);
                return Err(Violation::new(Rule::Protocol, text));
            }
            answers.push((waiting, Bytes::copy_from_slice(frame)));
            at += 4 + length as usize;
        }
        self.received.drain(..at);
        Ok(answers)
    }

    /// The connection is gone; returns the requests that will get no answer, oldest first.
    pub fn lost(&mut self) -> Vec<Waiting> {
        self.link = None;
        self.received.clear();
        std::mem::take(&mut self.waiting).into()
    }
}

/// A request as a frame with its length.
pub fn encode<R: Request>(client: &'static str, request: &R, version: i16, correlation: i32) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str(client)));
    let mut out = BytesMut::new();
    out.put_i32(0);
    header.encode(&mut out, R::header_version(version)).expect("a header that the simulator made");
    request.encode(&mut out, version).expect("a request that the simulator made");
    let length = (out.len() - 4) as i32;
    out[..4].copy_from_slice(&length.to_be_bytes());
    out.into()
}

/// An answer's body; all bytes must be used.
pub fn decode<R: Decodable + HeaderVersion>(mut frame: Bytes, version: i16) -> Result<R, Violation> {
    let name = std::any::type_name::<R>().rsplit("::").next().unwrap_or("answer");
    let wrong = |what: String| Violation::new(Rule::Protocol, format!("{name} version {version}: {what}"));
    ResponseHeader::decode(&mut frame, R::header_version(version)).map_err(|e| wrong(e.to_string()))?;
    let body = R::decode(&mut frame, version).map_err(|e| wrong(e.to_string()))?;
    if !frame.is_empty() {
        return Err(wrong(format!("{} bytes too many", frame.len())));
    }
    Ok(body)
}
