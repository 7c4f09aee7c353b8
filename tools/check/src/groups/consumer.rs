//! A member of a group of the consumer protocol (KIP-848): what it says in its next heartbeat, and what it is told.

use super::requests::{Place, patiently};
use crate::failure::{Result, wrong};
use crate::wire::{Client, text};
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use std::collections::{BTreeMap, BTreeSet};
use torc_base::prng::Prng;
use uuid::Uuid;

/// The version that is sent: members choose their own ids.
pub const BEAT: i16 = 1;
/// The epoch of one that joins, and of one that leaves.
const JOINS: i32 = 0;
const LEAVES: i32 = -1;

/// Partitions by the ids of their topics.
pub type Places = BTreeSet<(Uuid, i32)>;

/// A member, and what it knows.
#[derive(Clone, Debug)]
pub struct Member {
    pub group: String,
    pub id: String,
    /// What it was last told; 0 before it is one.
    pub epoch: i32,
    topics: Vec<String>,
    rebalance_ms: i32,
    /// What it is to hold.
    pub given: Places,
    /// What it holds.
    pub owned: Places,
    /// What it last said it holds, in a heartbeat that was answered; `None`: it is to say everything.
    said: Option<Places>,
}

impl Member {
    /// One that has not joined yet.
    pub fn new(group: &str, topics: &[&str], rebalance_ms: i32, prng: &mut Prng) -> Member {
        Member {
            group: group.to_string(),
            id: format!("{:016x}{:016x}", prng.next_u64(), prng.next_u64()),
            epoch: JOINS,
            topics: topics.iter().map(|topic| topic.to_string()).collect(),
            rebalance_ms,
            given: Places::new(),
            owned: Places::new(),
            said: None,
        }
    }

    /// Wants other topics from the next heartbeat on.
    pub fn want(&mut self, topics: &[&str]) {
        self.topics = topics.iter().map(|topic| topic.to_string()).collect();
        self.said = None;
    }

    /// As a committer says who it is.
    pub fn place(&self) -> Place {
        Place { group: self.group.clone(), member: self.id.clone(), generation: self.epoch }
    }

    /// True if it holds what it is to hold, and has said so.
    pub fn is_settled(&self) -> bool {
        self.epoch > 0 && self.owned == self.given && self.said.as_ref() == Some(&self.owned)
    }

    /// True if it has news for the group.
    pub fn has_news(&self) -> bool {
        self.said.as_ref() != Some(&self.owned)
    }

    /// Its next heartbeat: all that has changed since the last one that was answered.
    pub fn request(&self) -> ConsumerGroupHeartbeatRequest {
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(text(&self.group).into())
            .with_member_id(text(&self.id))
            .with_member_epoch(self.epoch)
            .with_rebalance_timeout_ms(-1);
        let request = if self.has_news() { request.with_topic_partitions(Some(list(&self.owned))) } else { request };
        if self.said.is_some() {
            return request;
        }
        let topics = self.topics.iter().map(|topic| text(topic).into()).collect();
        request.with_rebalance_timeout_ms(self.rebalance_ms).with_subscribed_topic_names(Some(topics))
    }

    /// Takes in the answer to [`Member::request`]; its code. What is given is not held before [`Member::take_up`].
    ///
    /// # Errors
    /// It is another member's, or the epoch has gone back.
    pub fn answered(&mut self, answer: &ConsumerGroupHeartbeatResponse) -> Result<i16> {
        if answer.error_code != 0 {
            return Ok(answer.error_code);
        }
        if answer.member_id.as_ref().map(|id| id.as_str()) != Some(&self.id) || answer.member_epoch < self.epoch.max(1)
        {
            let Self { group, id, epoch, .. } = self;
            let told = (&answer.member_id, answer.member_epoch);
            return wrong(format!("member {id} of {group} with epoch {epoch} is told of {told:?}"));
        }
        self.epoch = answer.member_epoch;
        self.said = Some(self.owned.clone());
        if let Some(assignment) = &answer.assignment {
            let of = |topic: &kafka_protocol::messages::consumer_group_heartbeat_response::TopicPartitions| {
                let id = topic.topic_id;
                topic.partitions.iter().map(move |partition| (id, *partition)).collect::<Vec<_>>()
            };
            self.given = assignment.topic_partitions.iter().flat_map(of).collect();
        }
        Ok(0)
    }

    /// Gives back what it is no longer to hold, and takes up the rest.
    pub fn take_up(&mut self) {
        self.owned.clone_from(&self.given);
    }

    /// One heartbeat, and what it is answered.
    pub fn beat(&mut self, client: &mut Client) -> Result<i16> {
        let request = self.request();
        let (_, answer) = patiently(|| {
            let answer = client.call(&request, BEAT)?;
            Ok((answer.error_code, answer))
        })?;
        self.answered(&answer)
    }

    /// Heartbeats until it has all it gets, and the group knows.
    ///
    /// # Errors
    /// It is refused, or does not get there in some heartbeats, which a member that is alone in its group does.
    pub fn settle_alone(&mut self, client: &mut Client) -> Result<()> {
        for _ in 0..10 {
            match self.beat(client)? {
                0 if self.is_settled() => return Ok(()),
                0 => self.take_up(),
                code => return wrong(format!("a heartbeat of {:?}: error {code}", self.place())),
            }
        }
        wrong(format!("{self:?} does not settle"))
    }

    /// The heartbeat of one that leaves.
    pub fn leave_request(&self) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(text(&self.group).into())
            .with_member_id(text(&self.id))
            .with_member_epoch(LEAVES)
            .with_rebalance_timeout_ms(-1)
    }
}

fn list(places: &Places) -> Vec<TopicPartitions> {
    let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in places {
        topics.entry(*topic).or_default().push(*partition);
    }
    let one = |(topic, partitions)| TopicPartitions::default().with_topic_id(topic).with_partitions(partitions);
    topics.into_iter().map(one).collect()
}
