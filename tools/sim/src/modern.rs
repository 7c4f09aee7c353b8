//! A member of a consumer group of the consumer protocol (KIP-848): heartbeats say what it wants and what it holds, and
//! bring what it is to hold. It makes the same trouble as members of the classic protocol (`member.rs`).

use crate::client::{self, Client, Next};
use crate::groups::Place;
use crate::history::{History, code};
use crate::member::{self, Ways};
use crate::requests;
use crate::share::{self, Heard, Share, Who};
use crate::violation::{Rule, Violation};
use crate::wire::{Asked, Connection, Port, Waiting, decode};
use crate::world::MS;
use bytes::Bytes;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::*;
use std::collections::{BTreeMap, BTreeSet};
use torc_base::prng::Prng;
use uuid::Uuid;

/// Epochs of one that leaves, and of one that will be back.
const LEAVES: i32 = -1;
const LEAVES_FOR_A_WHILE: i32 = -2;
/// The first version of OffsetCommit that knows epochs.
const KNOWS_EPOCHS: i16 = 9;

/// See the module.
pub struct Modern {
    ways: Ways,
    rng: Prng,
    connection: Connection,
    /// Version of the heartbeat: in the first one the coordinator chooses the id.
    version: i16,
    found: bool,
    id: String,
    /// 0 before it is in the group.
    epoch: i32,
    /// It wants topics by a pattern.
    by_pattern: bool,
    subscribed: Vec<usize>,
    share: Share,
    /// What it has last said that it holds.
    said: BTreeSet<Place>,
    /// The next heartbeat says everything.
    says_all: bool,
    next_heartbeat: u64,
    not_before: u64,
    left: bool,
    stopping: bool,
}

impl Modern {
    /// One that has not joined yet.
    pub fn new(ways: Ways, mut rng: Prng) -> Modern {
        let versions = share::Versions {
            commit: KNOWS_EPOCHS,
            committed: rng.between(1, 9) as i16,
            fetch: rng.between(4, 12) as i16,
        };
        let mut member = Modern {
            connection: member::quick(&mut rng),
            version: 1,
            found: false,
            id: String::new(),
            epoch: 0,
            by_pattern: false,
            subscribed: Vec::new(),
            share: Share::new(ways.group, versions),
            said: BTreeSet::new(),
            says_all: true,
            next_heartbeat: 0,
            not_before: 0,
            left: false,
            stopping: false,
            ways,
            rng,
        };
        member.begin();
        member
    }

    /// A new process.
    fn begin(&mut self) {
        self.version = i16::from(self.rng.chance(3, 4));
        self.by_pattern = self.version >= 1 && self.rng.chance(1, 3);
        let id = Uuid::from_u64_pair(self.rng.next_u64(), self.rng.next_u64());
        self.id = if self.version >= 1 { id.to_string() } else { String::new() };
        self.epoch = 0;
    }

    fn sleep(&mut self, port: &dyn Port, most_ms: u64) {
        self.not_before = port.now() + self.rng.below(most_ms.max(1) * MS);
    }

    /// It holds nothing any more, and joins again.
    fn out(&mut self, history: &mut History) {
        self.epoch = 0;
        self.share.clear();
        self.said.clear();
        history.groups.holds(self.ways.group, &self.id, &BTreeSet::new());
    }

    /// Another process in its place.
    fn die(&mut self, port: &mut dyn Port, history: &mut History) -> Result<(), Violation> {
        self.hang_up(port, history)?;
        self.out(history);
        self.begin();
        self.sleep(port, 2 * self.ways.session_ms);
        Ok(())
    }

    fn hang_up(&mut self, port: &mut dyn Port, history: &mut History) -> Result<(), Violation> {
        if let Some(link) = self.connection.link {
            port.abort(link);
        }
        self.lost(port, history)
    }

    fn misbehave(&mut self, port: &mut dyn Port, history: &mut History) -> Result<bool, Violation> {
        match self.rng.below(400) {
            0..4 => self.die(port, history)?,
            4..8 => self.sleep(port, 2 * self.ways.session_ms),
            8..12 => self.hang_up(port, history)?,
            12..14 if self.epoch > 0 => self.leave(port, history),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn act(&mut self, port: &mut dyn Port, history: &mut History) {
        if !self.found {
            let request = requests::find(&history.groups.all[self.ways.group].name, 4);
            return self.connection.ask(port, 4, &request, Some(Asked::FindCoordinator));
        }
        let by_pattern = self.asks_by_pattern(history);
        let changes = !by_pattern && self.subscribed != member::wanted(history, self.ways.group);
        let hurries = self.epoch == 0 || self.said != self.share.places() || changes && self.rng.chance(1, 4);
        if hurries || port.now() >= self.next_heartbeat {
            return self.heartbeat(port, history);
        }
        let who = Who { id: &self.id, instance: self.ways.instance.as_deref(), generation: self.epoch };
        self.share.consume(port, history, &mut self.connection, &mut self.rng, &who);
    }

    /// A pattern names all topics.
    fn asks_by_pattern(&self, history: &History) -> bool {
        self.by_pattern && history.groups.all[self.ways.group].topics == (1, 0)
    }

    fn heartbeat(&mut self, port: &mut dyn Port, history: &mut History) {
        self.next_heartbeat = port.now() + self.rng.between(1, self.ways.session_ms / 4) * MS;
        let (group, held) = (self.ways.group, self.share.places());
        let says_all = self.says_all || self.epoch == 0 || self.rng.chance(1, 8);
        let wanted = member::wanted(history, group);
        let wants_other = says_all || self.subscribed != wanted;
        self.subscribed = wanted;
        let names = self.subscribed.iter().map(|topic| requests::topic(&history.topics[*topic].name)).collect();
        let mut topics: BTreeMap<usize, Vec<i32>> = BTreeMap::new();
        held.iter().for_each(|(t, p)| topics.entry(*t).or_default().push(*p as i32));
        let owned = topics.into_iter().map(|(t, partitions)| {
            let id = Uuid::from_u128(history.topics[t].id.unwrap_or(0));
            TopicPartitions::default().with_topic_id(id).with_partitions(partitions)
        });
        let by_pattern = self.asks_by_pattern(history);
        let says_owned = says_all || held != self.said;
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(requests::group(&history.groups.all[group].name))
            .with_member_id(requests::text(&self.id))
            .with_member_epoch(self.epoch)
            .with_instance_id(self.ways.instance.as_deref().map(requests::text))
            .with_rebalance_timeout_ms(if says_all { self.ways.rebalance_ms as i32 } else { -1 })
            .with_subscribed_topic_names((wants_other && !by_pattern).then_some(names))
            .with_subscribed_topic_regex((says_all && by_pattern).then(|| requests::text("topic-.*")))
            .with_topic_partitions(says_owned.then(|| owned.collect()));
        history.groups.holds(group, &self.id, &held);
        self.said.clone_from(&held);
        let asked = Asked::Beat { id: self.id.clone(), epoch: self.epoch, asked: history.groups.moment(), held };
        self.connection.ask(port, self.version, &request, Some(asked));
    }

    fn leave(&mut self, port: &mut dyn Port, history: &mut History) {
        let for_a_while = self.ways.instance.is_some() && self.rng.chance(1, 2);
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(requests::group(&history.groups.all[self.ways.group].name))
            .with_member_id(requests::text(&self.id))
            .with_member_epoch(if for_a_while { LEAVES_FOR_A_WHILE } else { LEAVES })
            .with_instance_id(self.ways.instance.as_deref().map(requests::text))
            .with_rebalance_timeout_ms(-1);
        self.connection.ask(port, self.version, &request, Some(Asked::Leave));
        self.out(history);
        self.begin();
        self.left = true;
    }

    fn beaten(
        &mut self,
        history: &mut History,
        of: (&str, i32, u64),
        held: &BTreeSet<Place>,
        answer: &ConsumerGroupHeartbeatResponse,
    ) -> Result<(), Violation> {
        let (group, (id, epoch, asked)) = (self.ways.group, of);
        if answer.member_epoch < epoch.max(1) {
            let text = format!("{id} has epoch {}, and had {epoch} before", answer.member_epoch);
            return Err(Violation::new(Rule::GenerationsAdvance, text));
        }
        let told = answer.member_id.as_deref().unwrap_or_default();
        if epoch > 0 {
            history.groups.still_holds(group, id, held, asked, "heartbeat")?;
        }
        if id != self.id || epoch != self.epoch {
            // It has begun anew since.
            return Ok(());
        }
        if self.id.is_empty() {
            self.id = told.to_string();
        }
        history.groups.generations += u64::from(answer.member_epoch > epoch);
        self.epoch = answer.member_epoch;
        self.says_all = false;
        let Some(assignment) = &answer.assignment else { return Ok(()) };
        let mut places = BTreeSet::new();
        for topic in &assignment.topic_partitions {
            let t = history.topics.iter().position(|known| known.id == Some(topic.topic_id.as_u128()));
            places.extend(t.into_iter().flat_map(|t| topic.partitions.iter().map(move |p| (t, *p as usize))));
        }
        history.groups.told_to_hold(group, &self.id, &places);
        self.share.set(&places);
        Ok(())
    }

    fn refused(
        &mut self,
        port: &dyn Port,
        history: &mut History,
        what: &str,
        error: i16,
        expected: &[i16],
    ) -> Result<(), Violation> {
        let strange = history.groups.all[self.ways.group].mixed && error == code::INCONSISTENT;
        if strange || history.explain_group(what, error, expected)? {
            self.found = false;
            self.sleep(port, 20);
        }
        match error {
            code::UNKNOWN_MEMBER | code::FENCED_EPOCH | code::NO_GROUP => self.out(history),
            code::UNRELEASED_INSTANCE | code::GROUP_FULL => self.sleep(port, 50),
            code::FENCED_INSTANCE => {
                self.out(history);
                self.begin();
            }
            _ => {}
        }
        self.says_all = true;
        Ok(())
    }

    fn answered(
        &mut self,
        port: &dyn Port,
        history: &mut History,
        waiting: Waiting,
        frame: Bytes,
    ) -> Result<(), Violation> {
        let mut expected = vec![code::UNKNOWN_MEMBER, code::FENCED_EPOCH, code::NO_GROUP, code::GROUP_FULL];
        if self.ways.instance.is_some() {
            expected.extend([code::UNRELEASED_INSTANCE, code::FENCED_INSTANCE]);
        }
        match waiting.asked {
            Asked::FindCoordinator => {
                let (error, node) = requests::coordinator(decode(frame, waiting.version)?, waiting.version);
                self.found = error == code::NONE && port.reaches(node);
                if error == code::NONE { Ok(()) } else { self.refused(port, history, "find coordinator", error, &[]) }
            }
            Asked::Beat { id, epoch, asked, held } => {
                let answer: ConsumerGroupHeartbeatResponse = decode(frame, waiting.version)?;
                match answer.error_code {
                    code::NONE => self.beaten(history, (&*id, epoch, asked), &held, &answer),
                    error if id != self.id || epoch != self.epoch => {
                        history.explain_group("heartbeat", error, &expected).map(|_| ())
                    }
                    error => self.refused(port, history, "heartbeat", error, &expected),
                }
            }
            Asked::Leave => {
                let answer: ConsumerGroupHeartbeatResponse = decode(frame, waiting.version)?;
                match answer.error_code {
                    code::NONE => Ok(()),
                    error => history.explain_group("leave", error, &expected).map(|_| ()),
                }
            }
            _ => match self.share.answered(port, history, waiting, frame)? {
                Heard::Nothing => Ok(()),
                Heard::Refused(what, error) => self.refused(port, history, what, error, &[]),
                Heard::Commits { generation: _, asked, errors } => {
                    let id = self.id.clone();
                    for (error, place) in errors {
                        if error == code::NONE {
                            let held = BTreeSet::from([place]);
                            history.groups.still_holds(self.ways.group, &id, &held, asked, "commit")?;
                        } else {
                            expected.extend([code::STALE_EPOCH, code::OLD_GENERATION, code::REBALANCE]);
                            self.share.doubt();
                            self.refused(port, history, "commit", error, &expected)?;
                        }
                    }
                    Ok(())
                }
            },
        }
    }

    /// True if it may go: the group has got everything. It leaves politely, or not.
    fn is_over(&mut self, port: &mut dyn Port, history: &mut History) -> bool {
        let looks = self.stopping && self.connection.outstanding() == 0 && (self.share.idle || self.epoch == 0);
        if !looks || !self.left && history.missing(self.ways.group).is_some() {
            return false;
        }
        if self.epoch > 0 && self.rng.chance(1, 2) && self.connection.link.is_some() {
            self.leave(port, history);
            return false;
        }
        if let Some(link) = self.connection.link.take() {
            port.half_close(link);
        }
        true
    }
}

impl Client for Modern {
    fn wake(&mut self, port: &mut dyn Port, history: &mut History) -> Result<Next, Violation> {
        if client::out_of_patience(port, history, &self.connection)? {
            self.hang_up(port, history)?;
        }
        if self.is_over(port, history) {
            return Ok(Next::Done);
        }
        let slow = if self.stopping && self.share.idle { 20 } else { 4 };
        let pause = Next::Wake(self.rng.between(100_000, slow * MS));
        let waits = port.now() < self.not_before || self.connection.outstanding() > 0;
        if waits || !self.connection.open(port, &mut self.rng) {
            return Ok(pause);
        }
        if self.stopping || !self.misbehave(port, history)? {
            self.act(port, history);
        }
        Ok(pause)
    }

    fn receive(&mut self, port: &mut dyn Port, history: &mut History, bytes: &[u8]) -> Result<(), Violation> {
        for (waiting, frame) in self.connection.receive(bytes)? {
            self.answered(port, history, waiting, frame)?;
        }
        Ok(())
    }

    fn lost(&mut self, _port: &mut dyn Port, _history: &mut History) -> Result<(), Violation> {
        self.connection.lost();
        self.found = false;
        self.says_all = true;
        self.share.doubt();
        Ok(())
    }

    fn link(&self) -> Option<u64> {
        self.connection.link
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.left = false;
    }

    fn follows(&self) -> bool {
        true
    }
}
