//! What stories about consumer groups are told with: members with a client each, who say what they want and are told.

use crate::assignor;
use crate::batch;
use crate::history::code;
use crate::requests;
use crate::story::Story;
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::*;
use torc_base::io::App;

/// Partitions of a topic that a member holds.
pub type Held = consumer_group_heartbeat_request::TopicPartitions;

/// A record of the coordinator's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Where it lies.
    pub offset: i64,
    /// What it is about: the version that its key begins with. Up to 1 it is an offset, 2 is a group of the classic
    /// protocol, from 3 on it is a part of one of the consumer protocol.
    pub about: u16,
    /// False of a tombstone.
    pub has_value: bool,
}

/// The group of all stories.
pub const GROUP: &str = "g";

/// A member of the classic protocol, as far as it knows itself.
#[derive(Clone, Debug)]
pub struct Teller {
    /// Its client's number.
    pub client: u32,
    /// Version of JoinGroup; the others are of the same time.
    pub join: i16,
    pub instance: Option<&'static str>,
    pub session_ms: i32,
    pub rebalance_ms: i32,
    /// Empty before it is told.
    pub id: String,
    pub generation: i32,
    /// If it leads: who is in the generation.
    pub members: Vec<(String, Vec<String>)>,
    pub leader: String,
    pub skips: bool,
}

impl Teller {
    /// A member with client `client`.
    pub fn new(client: u32, join: i16, instance: Option<&'static str>) -> Teller {
        Teller {
            client,
            join,
            instance,
            session_ms: 1_000,
            rebalance_ms: 500,
            id: String::new(),
            generation: -1,
            members: Vec::new(),
            leader: String::new(),
            skips: false,
        }
    }

    fn is_static(&self) -> bool {
        self.instance.is_some()
    }

    /// The process ends, and another one takes its place.
    pub fn restarts(&mut self) {
        self.id.clear();
    }
}

impl<A: App> Story<A> {
    /// The coordinator is looked for until it serves.
    pub fn find(&mut self) {
        for _ in 0..100 {
            self.send(0, 4, &requests::find(GROUP, 4));
            if requests::coordinator(self.take(0, 4), 4).0 == code::NONE
                && self.fetches_offset(GROUP).error_code == code::NONE
            {
                return;
            }
            self.wait(20);
        }
        panic!("there is no coordinator\n{}", self.trail.tail());
    }

    /// A member asks to join; the answer may come later.
    pub fn joins(&mut self, member: &Teller) {
        let metadata = assignor::subscription(&["t"], 1, 0);
        let request = JoinGroupRequest::default()
            .with_group_id(requests::group(GROUP))
            .with_session_timeout_ms(member.session_ms)
            .with_rebalance_timeout_ms(member.rebalance_ms)
            .with_member_id(requests::text(&member.id))
            .with_group_instance_id(member.instance.map(requests::text))
            .with_protocol_type(requests::text("consumer"))
            .with_protocols(vec![requests::protocol("range", &metadata)]);
        self.send(member.client, member.join, &request);
    }

    /// What a member that asked to join is told; its error.
    pub fn joined(&mut self, member: &mut Teller) -> i16 {
        let answer: JoinGroupResponse = self.take(member.client, member.join);
        if !answer.member_id.is_empty() {
            member.id = answer.member_id.to_string();
        }
        if answer.error_code == code::NONE {
            member.generation = answer.generation_id;
            member.leader = answer.leader.to_string();
            member.skips = answer.skip_assignment;
            let listed =
                answer.members.iter().map(|one| (one.member_id.to_string(), assignor::subscribed(&one.metadata)));
            member.members = listed.collect();
        }
        answer.error_code
    }

    /// A member joins, with its id if it has to be told one first.
    pub fn join(&mut self, member: &mut Teller) -> i16 {
        self.joins(member);
        match self.joined(member) {
            code::ID_REQUIRED => {
                self.joins(member);
                self.joined(member)
            }
            error => error,
        }
    }

    /// A member asks for its assignment; the leader gives `partitions` partitions of `t` away.
    pub fn syncs(&mut self, member: &Teller, partitions: usize) {
        let leads = member.leader == member.id && !member.skips;
        let members = if leads { &member.members[..] } else { &[] };
        let shares = assignor::assign("range", members, |_| partitions);
        let request = SyncGroupRequest::default()
            .with_group_id(requests::group(GROUP))
            .with_generation_id(member.generation)
            .with_member_id(requests::text(&member.id))
            .with_group_instance_id(member.instance.map(requests::text))
            .with_assignments(shares.iter().map(|(id, share)| requests::share(id, share)).collect());
        self.send(member.client, 3, &request);
    }

    /// What a member that asked for its assignment is given: partitions of `t`, or the error.
    pub fn synced(&mut self, member: &Teller) -> Result<Vec<i32>, i16> {
        let answer: SyncGroupResponse = self.take(member.client, 3);
        match answer.error_code {
            code::NONE => {
                let parts = assignor::assigned(&answer.assignment).expect("an assignment that a member made");
                Ok(parts.into_iter().map(|(_, partition)| partition).collect())
            }
            error => Err(error),
        }
    }

    /// A stable group of new members, who share `partitions` partitions of `t`; what each has.
    pub fn settle(&mut self, members: &mut [Teller], partitions: usize) -> Vec<Vec<i32>> {
        // Whoever is to be told its id first.
        for member in
            members.iter_mut().filter(|member| member.id.is_empty() && member.join >= 4 && !member.is_static())
        {
            self.joins(member);
            assert_eq!(self.joined(member), code::ID_REQUIRED);
        }
        members.iter().for_each(|member| self.joins(member));
        members.iter_mut().for_each(|member| assert_eq!(self.joined(member), code::NONE, "{member:?}"));
        members.iter().for_each(|member| self.syncs(member, partitions));
        members.iter().map(|member| self.synced(member).expect("the leader has assigned")).collect()
    }

    /// The error of a heartbeat.
    pub fn heartbeat(&mut self, member: &Teller) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(requests::group(GROUP))
            .with_generation_id(member.generation)
            .with_member_id(requests::text(&member.id))
            .with_group_instance_id(member.instance.map(requests::text));
        self.send(member.client, 3, &request);
        self.take::<HeartbeatResponse>(member.client, 3).error_code
    }

    /// A member of the consumer protocol says that it wants `t` and what it holds, in its epoch; nobody waits.
    pub fn beats(&mut self, client: u32, id: &str, epoch: i32, held: &[Held]) {
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(requests::group(GROUP))
            .with_member_id(requests::text(id))
            .with_member_epoch(epoch)
            .with_rebalance_timeout_ms(5_000)
            .with_subscribed_topic_names(Some(vec![requests::topic("t")]))
            .with_topic_partitions(Some(held.to_vec()));
        self.send(client, 1, &request);
    }

    /// What it is told: its epoch and what it is to hold, or the error.
    pub fn beaten(&mut self, client: u32) -> Result<(i32, Vec<Held>), i16> {
        let answer: ConsumerGroupHeartbeatResponse = self.take(client, 1);
        if answer.error_code != code::NONE {
            return Err(answer.error_code);
        }
        let topics = answer.assignment.map(|assignment| assignment.topic_partitions).unwrap_or_default();
        let held = |topic: consumer_group_heartbeat_response::TopicPartitions| {
            Held::default().with_topic_id(topic.topic_id).with_partitions(topic.partitions)
        };
        Ok((answer.member_epoch, topics.into_iter().map(held).collect()))
    }

    /// The error of a commit for partitions of `t`, of a member or of nobody.
    pub fn commits(&mut self, group: &str, member: &str, generation: i32, offsets: &[(i32, i64)]) -> i16 {
        let part = |(partition, offset): &(i32, i64)| {
            OffsetCommitRequestPartition::default().with_partition_index(*partition).with_committed_offset(*offset)
        };
        let topic = OffsetCommitRequestTopic::default()
            .with_name(requests::topic("t"))
            .with_partitions(offsets.iter().map(part).collect());
        let request = OffsetCommitRequest::default()
            .with_group_id(requests::group(group))
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(requests::text(member))
            .with_topics(if offsets.is_empty() { Vec::new() } else { vec![topic] });
        // The first version that members of the consumer protocol may use.
        self.send(0, 9, &request);
        let answer: OffsetCommitResponse = self.take(0, 9);
        answer.topics.iter().flat_map(|topic| &topic.partitions).map(|part| part.error_code).max().unwrap_or(code::NONE)
    }

    /// The error of the group's deletion.
    pub fn deletes_group(&mut self) -> i16 {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![requests::group(GROUP)]);
        self.send(0, 1, &request);
        self.take::<DeleteGroupsResponse>(0, 1).results[0].error_code
    }

    /// What the coordinator's log has left.
    pub fn logged(&mut self) -> Vec<Logged> {
        let (mut all, mut next) = (Vec::new(), 0);
        loop {
            let topic = FetchTopic::default()
                .with_topic(requests::topic("__consumer_offsets"))
                .with_partitions(vec![requests::part(0, next, 1 << 20)]);
            self.send(0, 11, &requests::fetch().with_topics(vec![topic]));
            let answer: FetchResponse = self.take(0, 11);
            let bytes = answer.responses[0].partitions[0].records.clone().unwrap_or_default();
            let (records, behind) = batch::records(&bytes).expect("whole records");
            let about = |key: Option<&[u8]>| key.map_or(u16::MAX, |key| u16::from_be_bytes([key[0], key[1]]));
            all.extend(records.iter().map(|record| Logged {
                offset: record.offset,
                about: about(record.key),
                has_value: record.value.is_some(),
            }));
            match behind {
                Some(behind) => next = behind,
                None => return all,
            }
        }
    }

    fn fetches_offset(&mut self, group: &str) -> OffsetFetchResponse {
        let topic = OffsetFetchRequestTopic::default().with_name(requests::topic("t")).with_partition_indexes(vec![0]);
        let request =
            OffsetFetchRequest::default().with_group_id(requests::group(group)).with_topics(Some(vec![topic]));
        self.send(0, 5, &request);
        self.take(0, 5)
    }

    /// What a group has committed for partition 0 of `t`; -1 for nothing.
    pub fn committed(&mut self, group: &str) -> i64 {
        let answer = self.fetches_offset(group);
        assert_eq!(answer.error_code, code::NONE, "{}", self.trail.tail());
        answer.topics[0].partitions[0].committed_offset
    }
}
