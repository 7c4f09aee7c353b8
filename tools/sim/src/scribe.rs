//! A client that reads the log of the coordinators, over and over, for the ledger.

use crate::client::{self, Client, Next};
use crate::history::{History, code};
use crate::net::{Appetite, Manner};
use crate::requests;
use crate::violation::Violation;
use crate::wire::{Asked, Connection, Port, Waiting, decode};
use crate::world::MS;
use bytes::Bytes;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::fetch_request::FetchTopic;
use torc_base::prng::Prng;

/// Where coordinators keep their records.
const TOPIC: &str = "__consumer_offsets";

/// See the module.
pub struct Scribe {
    partitions: usize,
    rng: Prng,
    connection: Connection,
    not_before: u64,
    /// All was read to its end since it was told to stop.
    finished: bool,
    stopping: bool,
}

impl Scribe {
    /// One that reads a log of so many partitions.
    pub fn new(partitions: usize, mut rng: Prng) -> Scribe {
        let manner = Manner { piece: 4096, delay: rng.between(5_000, 60_000), stalls: 0, appetite: Appetite::All };
        let connection = Connection::new(manner);
        Scribe { partitions, rng, connection, not_before: 0, finished: false, stopping: false }
    }

    fn fetch(&mut self, port: &mut dyn Port, history: &mut History) {
        if self.rng.chance(1, 40) {
            history.ledger.begin_again(self.rng.below(self.partitions as u64) as i32);
        }
        let parts: Vec<(i32, i64)> = (0..self.partitions as i32).map(|p| (p, history.ledger.next(p))).collect();
        let wanted = parts.iter().map(|(p, next)| requests::part(*p as usize, *next, 256 << 10));
        let topic = FetchTopic::default().with_topic(requests::topic(TOPIC)).with_partitions(wanted.collect());
        let request = requests::fetch().with_topics(vec![topic]);
        let version = self.rng.between(4, 12) as i16;
        self.connection.ask(port, version, &request, Some(Asked::OffsetsLog(parts)));
    }

    fn fetched(
        &mut self,
        port: &dyn Port,
        history: &mut History,
        waiting: Waiting,
        frame: Bytes,
    ) -> Result<(), Violation> {
        let Asked::OffsetsLog(parts) = &waiting.asked else { unreachable!("a scribe asks for nothing else") };
        let answer: FetchResponse = decode(frame, waiting.version)?;
        if answer.error_code != code::NONE {
            history.explain("fetch of the coordinators' log", answer.error_code, None)?;
            return Ok(());
        }
        self.finished = self.stopping;
        for part in answer.responses.iter().flat_map(|topic| &topic.partitions) {
            let asked = parts.iter().find(|(p, _)| *p == part.partition_index);
            match part.error_code {
                code::NONE if asked.is_some_and(|(p, next)| history.ledger.next(*p) == *next) => {
                    history.ledger.read(part.partition_index, part.records.as_deref().unwrap_or(&[]))?;
                    self.finished &= history.ledger.next(part.partition_index) >= part.high_watermark;
                }
                code::NONE => {}
                // It is made when somebody looks for a coordinator.
                code::UNKNOWN_TOPIC => self.not_before = port.now() + 20 * MS,
                error => {
                    history.explain("fetch of the coordinators' log", error, None)?;
                    self.finished &= history.faults.damage;
                    self.not_before = port.now() + 20 * MS;
                }
            }
        }
        Ok(())
    }
}

impl Client for Scribe {
    fn wake(&mut self, port: &mut dyn Port, history: &mut History) -> Result<Next, Violation> {
        if client::out_of_patience(port, history, &self.connection)? {
            if let Some(link) = self.connection.link {
                port.abort(link);
            }
            self.lost(port, history)?;
        }
        let idle = self.connection.outstanding() == 0;
        if self.finished && idle {
            if let Some(link) = self.connection.link.take() {
                port.half_close(link);
            }
            return Ok(Next::Done);
        }
        if idle && port.now() >= self.not_before && self.connection.open(port, &mut self.rng) {
            self.fetch(port, history);
        }
        Ok(Next::Wake(self.rng.between(500_000, 10 * MS)))
    }

    fn receive(&mut self, port: &mut dyn Port, history: &mut History, bytes: &[u8]) -> Result<(), Violation> {
        for (waiting, frame) in self.connection.receive(bytes)? {
            self.fetched(port, history, waiting, frame)?;
        }
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

    fn follows(&self) -> bool {
        true
    }
}
