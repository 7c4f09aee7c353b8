//! ConsumerGroupHeartbeat and ConsumerGroupDescribe (KIP-848).

use super::{Kafka, Out, Part, ReplyTo, What, cut, host, maybe_text, text, topic_name, wire};
use crate::kafka::View;
use crate::kafka::metadata::asked;
use crate::kafka::refusals::group_code;
use crate::kafka::repeats::NamedGroups;
use torc_net::kafka::schema::consumer_group_describe_response::{
    Assignment as DescribedAssignment, DescribedGroup, Member, TopicPartitions as DescribedPartitions,
};
use torc_net::kafka::schema::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use torc_net::kafka::schema::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicName,
};
use torc_net::kafka::{error, topic_id, topic_uuid};
use torc_state::coordinator::Text;
use torc_state::coordinator::record::TopicPartitions as Held;
use torc_state::coordinator::request::{ConsumerHeartbeat, Request};
use torc_state::coordinator::response::{ConsumerBeat, DescribedConsumer, DescribedConsumerGroup, Refusal, Response};

/// First versions: of ConsumerGroupHeartbeat whose members choose their ids; of ConsumerGroupDescribe that tells which protocol
/// a member speaks.
const CHOOSES_ID: i16 = 1;
const MEMBER_TYPES: i16 = 1;
/// Kafka's numbers for the protocols of members.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

impl Kafka {
    pub(in crate::kafka) fn consumer_group_heartbeat(
        &mut self,
        out: &mut Out,
        to: ReplyTo,
        client_id: Option<String>,
        request: ConsumerGroupHeartbeatRequest,
    ) {
        let names = |names: &Vec<TopicName>| names.iter().map(|name| text(name)).collect();
        let beat = ConsumerHeartbeat {
            group: text(&request.group_id),
            member: text(&request.member_id),
            epoch: request.member_epoch,
            instance: maybe_text(request.instance_id.as_ref()),
            rack: maybe_text(request.rack_id.as_ref()),
            rebalance_timeout: request.rebalance_timeout_ms,
            topics: request.subscribed_topic_names.as_ref().map(names),
            regex: maybe_text(request.subscribed_topic_regex.as_ref()),
            assignor: maybe_text(request.server_assignor.as_ref()),
            owned: request
                .topic_partitions
                .map(|owned| owned.into_iter().map(|topic| (topic_id(topic.topic_id), topic.partitions)).collect()),
            client_id: cut(&client_id.unwrap_or_default()).into(),
            client_host: host(out, to),
            takes_id: to.version < CHOOSES_ID,
        };
        if let Some(flaw) = beat.flaw() {
            return self.reply(out, to, &refused_beat(error::INVALID_REQUEST, flaw));
        }
        let question = self.coordinator_of(&beat.group).map(|log| (log, Request::ConsumerHeartbeat(beat)));
        self.coordinate(out, to, What::Beat, vec![question]);
    }

    pub(in crate::kafka) fn consumer_group_describe(
        &mut self,
        out: &mut Out,
        to: ReplyTo,
        request: ConsumerGroupDescribeRequest,
    ) {
        let groups: Vec<Text> = request.group_ids.iter().map(|group| text(group)).collect();
        let mut named = NamedGroups::new();
        let question = |group: &Text| {
            let describe = Request::ConsumerDescribe { groups: vec![group.clone()] };
            let is_admitted = named.admit(group.clone());
            let log = if is_admitted { self.coordinator_of_named(group) } else { Err(error::INVALID_REQUEST) };
            log.map(|log| (log, describe))
        };
        let questions = groups.iter().map(question).collect();
        let what = What::DescribeConsumers { groups, operations: request.include_authorized_operations };
        self.coordinate(out, to, what, questions);
    }
}

fn refused_beat(code: i16, why: &str) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse::default().with_error_code(code).with_error_message(Some(wire(why)))
}

/// `assignors`: those that the server has.
pub(super) fn beaten(assignors: &[Text], part: Part) -> ConsumerGroupHeartbeatResponse {
    let result = match part {
        Ok(response) => match *response {
            Response::ConsumerHeartbeat(result) => result,
            other => unreachable!("{other:?} answers no ConsumerGroupHeartbeat"),
        },
        Err(code) => return ConsumerGroupHeartbeatResponse::default().with_error_code(code),
    };
    let ConsumerBeat { member, epoch, heartbeat_interval, assignment } = match result {
        Ok(beat) => beat,
        Err(Refusal::UnsupportedAssignor) => {
            let why = format!("there is no such assignor; there is {}", assignors.join(" and "));
            return refused_beat(error::UNSUPPORTED_ASSIGNOR, &why);
        }
        Err(refusal) => return refused_beat(group_code(refusal), &refusal.to_string()),
    };
    let partitions =
        |held: Held| TopicPartitions::default().with_topic_id(topic_uuid(held.topic)).with_partitions(held.partitions);
    let assignment =
        assignment.map(|all| Assignment::default().with_topic_partitions(all.into_iter().map(partitions).collect()));
    ConsumerGroupHeartbeatResponse::default()
        .with_member_id(Some(wire(&member)))
        .with_member_epoch(epoch)
        .with_heartbeat_interval_ms(heartbeat_interval)
        .with_assignment(assignment)
}

/// What is said of a group, and its members.
pub(super) fn described(operations: bool, group: &Text, part: Part) -> (DescribedGroup, Vec<DescribedConsumer>) {
    let answer =
        DescribedGroup::default().with_group_id(wire(group).into()).with_authorized_operations(asked(false, 0));
    let result = match part {
        Ok(response) => match *response {
            Response::ConsumerDescribe(mut described) => described.pop().expect("one group was asked for").1,
            other => unreachable!("{other:?} answers no ConsumerGroupDescribe"),
        },
        Err(code) => return (answer.with_error_code(code), Vec::new()),
    };
    let DescribedConsumerGroup { state, epoch, assignment_epoch, assignor, members } = match result {
        Ok(described) => described,
        Err(refusal) => {
            let why = match refusal {
                Refusal::GroupIdNotFound => format!("Group {group} is not a consumer group."),
                refusal => refusal.to_string(),
            };
            let refused = answer.with_error_code(group_code(refusal)).with_error_message(Some(wire(&why)));
            return (refused, Vec::new());
        }
    };
    let answer = answer
        .with_group_state(wire(state.name()))
        .with_group_epoch(epoch)
        .with_assignment_epoch(assignment_epoch)
        .with_assignor_name(wire(&assignor))
        .with_authorized_operations(asked(operations, super::lists::GROUP_OPERATIONS));
    (answer, members)
}

pub(super) fn member(view: &View, version: i16, member: DescribedConsumer) -> Member {
    let kind = if member.is_classic { CLASSIC_MEMBER } else { CONSUMER_MEMBER };
    let answer = Member::default()
        .with_member_id(wire(&member.id))
        .with_instance_id(member.instance.map(|one| wire(&one)))
        .with_rack_id(member.rack.map(|one| wire(&one)))
        .with_member_epoch(member.epoch)
        .with_client_id(wire(&member.client_id))
        .with_client_host(wire(&member.client_host))
        .with_subscribed_topic_names(member.topics.iter().map(|name| topic_name(name)).collect())
        // Not null, though it could be, as in Kafka.
        .with_subscribed_topic_regex(Some(wire(&member.regex.unwrap_or_default())))
        .with_assignment(assignment(view, member.assignment))
        .with_target_assignment(assignment(view, member.target));
    if version >= MEMBER_TYPES { answer.with_member_type(kind) } else { answer }
}

/// Partitions of topics that still exist: others have no names.
fn assignment(view: &View, held: Vec<Held>) -> DescribedAssignment {
    let named = |held: Held| {
        let topic = view.by_id(held.topic)?;
        let partitions = DescribedPartitions::default()
            .with_topic_id(topic_uuid(held.topic))
            .with_topic_name(topic_name(&topic.name))
            .with_partitions(held.partitions);
        Some(partitions)
    };
    DescribedAssignment::default().with_topic_partitions(held.into_iter().filter_map(named).collect())
}
