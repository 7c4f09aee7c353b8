//! JoinGroup and SyncGroup, on a thread and a connection of their own: the first waits for all members.

use super::assign::{Assignor, Joined};
use super::{MemberError, Membership, OLD_GENERATION, REBALANCING, UNKNOWN_MEMBER, texts};
use crate::client::{ClientError, Times};
use crate::cluster::{Cluster, text};
use crate::embedded;
use crate::groups::{GroupClient, id};
use crate::offsets::TopicPartition;
use crate::patience::Patience;
use crate::topic::Refusal;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse, SyncGroupRequest};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

const ID_REQUIRED: i16 = ResponseError::MemberIdRequired.code();
/// What groups say whose members read topics.
const CONSUMER: &str = "consumer";
/// First versions: of JoinGroup that has a rebalance timeout of its own, of SyncGroup that names the protocol.
const REBALANCE_TIMEOUT: i16 = 1;
const NAMED: i16 = 5;
/// How long other members may let a join wait: as long as any client lets them by default, and more.
const JOIN_TIME: Duration = Duration::from_secs(15 * 60);

/// Who joins.
pub(super) struct Entry {
    pub membership: Membership,
    pub patience: Patience,
    /// Empty: it has none yet.
    pub id: String,
    pub generation: i32,
    pub owned: BTreeSet<TopicPartition>,
}

/// How it went.
pub(super) enum JoinOutcome {
    /// The group has given it an id, with which to join.
    Named(String),
    /// The group began anew meanwhile.
    Again,
    /// The group does not know its id.
    Forgotten,
    In {
        id: String,
        generation: i32,
        assigned: BTreeSet<TopicPartition>,
        /// The number of partitions that this member has given out, if it leads.
        led: Option<usize>,
    },
}

/// Joins on a new thread, which says once how it went. If nobody wants to know any more, it ends when the group answers.
pub(super) fn start(entry: Entry) -> Receiver<Result<JoinOutcome, MemberError>> {
    let (sender, receiver) = channel();
    thread::spawn(move || drop(sender.send(join(&entry))));
    receiver
}

fn join(entry: &Entry) -> Result<JoinOutcome, MemberError> {
    let membership = &entry.membership;
    let cluster = Cluster::connect_patiently(&membership.address, Times::default(), &mut entry.patience.clone())?;
    let mut groups = GroupClient::new(cluster, entry.patience.clone());
    let me = Joined {
        instance: None,
        topics: [membership.topic.clone()].into(),
        owned: entry.owned.clone(),
        generation: entry.generation,
    };
    let protocol = |assignor: &Assignor| {
        JoinGroupRequestProtocol::default().with_name(text(assignor.name())).with_metadata(texts::subscription(&me))
    };
    let request = JoinGroupRequest::default()
        .with_group_id(id(&membership.group))
        .with_session_timeout_ms(membership.session_timeout.as_millis() as i32)
        .with_member_id(text(&entry.id))
        .with_protocol_type(text(CONSUMER))
        .with_protocols(membership.assignors.iter().map(protocol).collect());
    let told = groups.one(&membership.group, "join", |client| {
        let version = client.version::<JoinGroupRequest>()?;
        let mut request = request.clone();
        if version >= REBALANCE_TIMEOUT {
            request.rebalance_timeout_ms = membership.rebalance_timeout.as_millis() as i32;
        }
        client.send(&request, version)?;
        let answer = client.receive_within::<JoinGroupRequest>(version, JOIN_TIME)?;
        Ok(if answer.error_code == ID_REQUIRED { (0, answer) } else { (answer.error_code, answer) })
    })?;
    match told {
        Ok(answer) if answer.error_code == ID_REQUIRED => Ok(JoinOutcome::Named(answer.member_id.to_string())),
        Ok(answer) => sync(entry, &mut groups, &answer),
        Err(refusal) => again(refusal),
    }
}

/// What follows from a refusal: another try, as somebody else perhaps, or the end.
fn again(refusal: Refusal) -> Result<JoinOutcome, MemberError> {
    match refusal.code {
        UNKNOWN_MEMBER => Ok(JoinOutcome::Forgotten),
        OLD_GENERATION | REBALANCING => Ok(JoinOutcome::Again),
        _ => Err(MemberError::Refused(refusal)),
    }
}

/// Takes what the leader gives; the leader gives to all.
fn sync(entry: &Entry, groups: &mut GroupClient, joined: &JoinGroupResponse) -> Result<JoinOutcome, MemberError> {
    let group = &entry.membership.group;
    let name = joined.protocol_name.as_ref().map_or("", |name| name.as_str());
    let leads = joined.leader == joined.member_id && !joined.skip_assignment;
    let (given, led) = match Assignor::of_name(name) {
        Some(assignor) if leads => {
            let (given, topics) = give(assignor, groups, joined)?;
            let led = topics.get(&entry.membership.topic).map_or(0, |count| *count as usize);
            (given, Some(led))
        }
        _ => (Vec::new(), None),
    };
    let request = SyncGroupRequest::default()
        .with_group_id(id(group))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(given);
    let told = groups.one(group, "join", |client| {
        let version = client.version::<SyncGroupRequest>()?;
        let mut request = request.clone();
        if version >= NAMED {
            (request.protocol_type, request.protocol_name) = (Some(text(CONSUMER)), joined.protocol_name.clone());
        }
        client.send(&request, version)?;
        let answer = client.receive_within::<SyncGroupRequest>(version, JOIN_TIME)?;
        Ok((answer.error_code, answer))
    })?;
    match told {
        Ok(answer) => Ok(JoinOutcome::In {
            id: joined.member_id.to_string(),
            generation: joined.generation_id,
            assigned: embedded::assignment(&answer.assignment).unwrap_or_default(),
            led,
        }),
        Err(refusal) => again(refusal),
    }
}

/// Gives all partitions of all topics that members want to them.
fn give(
    assignor: Assignor,
    groups: &mut GroupClient,
    joined: &JoinGroupResponse,
) -> Result<(Vec<SyncGroupRequestAssignment>, BTreeMap<String, i32>), ClientError> {
    let members: BTreeMap<String, Joined> = joined
        .members
        .iter()
        .map(|member| {
            let instance = member.group_instance_id.as_ref().map(|instance| instance.to_string());
            (member.member_id.to_string(), texts::read_subscription(instance, &member.metadata))
        })
        .collect();
    let names: BTreeSet<String> = members.values().flat_map(|member| member.topics.iter().cloned()).collect();
    let metadata = groups.metadata(&names.into_iter().collect::<Vec<_>>())?;
    let known = metadata.topics.iter().filter(|topic| topic.error_code == 0);
    let topics: BTreeMap<String, i32> =
        known.filter_map(|topic| Some((topic.name.as_ref()?.to_string(), topic.partitions.len() as i32))).collect();
    let given = assignor.assign(&members, &topics).into_iter().map(|(member, places)| {
        SyncGroupRequestAssignment::default().with_member_id(text(&member)).with_assignment(texts::assignment(&places))
    });
    Ok((given.collect(), topics))
}
