//! JoinGroup, SyncGroup, Heartbeat and LeaveGroup.

use super::{Kafka, Out, Part, ReplyTo, What, blob, code_of, cut, host, maybe_text, text, wire};
use crate::kafka::refusals::group_code;
use torc_base::limits::MEMBER_NAME_BYTES_MAX;
use torc_net::kafka::schema::join_group_response::JoinGroupResponseMember;
use torc_net::kafka::schema::leave_group_response::MemberResponse;
use torc_net::kafka::schema::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    SyncGroupRequest, SyncGroupResponse,
};
use torc_net::kafka::{StrBytes, error};
use torc_state::coordinator::Text;
use torc_state::coordinator::request::{Heartbeat, Join, Leave, Leaver, Request, Sync};
use torc_state::coordinator::response::{JoinResponse, Joined, Response};

/// First versions: of JoinGroup with ids told before the join, with instances, with a nullable protocol, with joins that
/// skip the assignment; of SyncGroup with protocols; of LeaveGroup with many members.
const TAKES_ID: i16 = 4;
const INSTANCES: i16 = 5;
const NULL_PROTOCOL: i16 = 7;
const SKIPS_ASSIGNMENT: i16 = 9;
const SYNC_PROTOCOLS: i16 = 5;
const MANY_LEAVE: i16 = 3;

impl Kafka {
    pub(in crate::kafka) fn join_group(
        &mut self,
        out: &mut Out,
        to: ReplyTo,
        client_id: Option<String>,
        request: JoinGroupRequest,
    ) {
        let JoinGroupRequest { group_id, member_id, group_instance_id, protocol_type, protocols, .. } = &request;
        let is_long = group_instance_id.as_ref().is_some_and(|instance| instance.len() > MEMBER_NAME_BYTES_MAX);
        let log = if is_long { Err(error::INVALID_REQUEST) } else { self.coordinator_of_named(group_id) };
        let question = log.map(|log| {
            let join = Join {
                group: text(group_id),
                member: text(member_id),
                instance: maybe_text(group_instance_id.as_ref()),
                client_id: cut(&client_id.unwrap_or_default()).into(),
                client_host: host(out, to),
                session_timeout: request.session_timeout_ms,
                rebalance_timeout: request.rebalance_timeout_ms,
                protocol_type: text(protocol_type),
                protocols: protocols.iter().map(|one| (text(&one.name), blob(&one.metadata))).collect(),
                takes_id: to.version >= TAKES_ID,
                skips_assignment: to.version >= SKIPS_ASSIGNMENT,
            };
            (log, Request::Join(join))
        });
        self.coordinate(out, to, What::Join, vec![question]);
    }

    pub(in crate::kafka) fn sync_group(&mut self, out: &mut Out, to: ReplyTo, request: SyncGroupRequest) {
        let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
        let log = match to.version >= SYNC_PROTOCOLS && !names_protocol {
            true => Err(error::INCONSISTENT_GROUP_PROTOCOL),
            false => self.coordinator_of_named(&request.group_id),
        };
        let question = log.map(|log| {
            let assignment = request.assignments.iter().map(|one| (text(&one.member_id), blob(&one.assignment)));
            let sync = Sync {
                group: text(&request.group_id),
                member: text(&request.member_id),
                instance: maybe_text(request.group_instance_id.as_ref()),
                generation: request.generation_id,
                protocol_type: maybe_text(request.protocol_type.as_ref()),
                protocol: maybe_text(request.protocol_name.as_ref()),
                assignments: assignment.collect(),
            };
            (log, Request::Sync(sync))
        });
        self.coordinate(out, to, What::Sync, vec![question]);
    }

    pub(in crate::kafka) fn heartbeat(&mut self, out: &mut Out, to: ReplyTo, request: HeartbeatRequest) {
        let question = self.coordinator_of_named(&request.group_id).map(|log| {
            let heartbeat = Heartbeat {
                group: text(&request.group_id),
                member: text(&request.member_id),
                instance: maybe_text(request.group_instance_id.as_ref()),
                generation: request.generation_id,
            };
            (log, Request::Heartbeat(heartbeat))
        });
        self.coordinate(out, to, What::Heartbeat, vec![question]);
    }

    pub(in crate::kafka) fn leave_group(&mut self, out: &mut Out, to: ReplyTo, request: LeaveGroupRequest) {
        let question = self.coordinator_of_named(&request.group_id).map(|log| {
            let members = if to.version >= MANY_LEAVE {
                let leaver = |member: &Text, instance| Leaver { member: member.clone(), instance };
                let members = request.members.iter();
                members.map(|one| leaver(&text(&one.member_id), maybe_text(one.group_instance_id.as_ref()))).collect()
            } else {
                vec![Leaver { member: text(&request.member_id), instance: None }]
            };
            (log, Request::Leave(Leave { group: text(&request.group_id), members }))
        });
        self.coordinate(out, to, What::Leave, vec![question]);
    }
}

pub(super) fn joined(version: i16, part: Part) -> JoinGroupResponse {
    let empty = if version >= NULL_PROTOCOL { None } else { Some(StrBytes::default()) };
    let refused = |code| {
        JoinGroupResponse::default().with_error_code(code).with_generation_id(-1).with_protocol_name(empty.clone())
    };
    let JoinResponse { member, result } = match part {
        Ok(response) => match *response {
            Response::Join(joined) => joined,
            other => unreachable!("{other:?} answers no JoinGroup"),
        },
        Err(code) => return refused(code),
    };
    let joined = match result {
        Ok(joined) => joined,
        Err(refusal) => return refused(group_code(refusal)).with_member_id(wire(&member)),
    };
    let Joined { generation, protocol_type, protocol, leader, skip_assignment, members } = joined;
    let members = members.iter().map(|one| {
        let instance = one.instance.as_ref().filter(|_| version >= INSTANCES);
        JoinGroupResponseMember::default()
            .with_member_id(wire(&one.id))
            .with_group_instance_id(instance.map(|instance| wire(instance)))
            .with_metadata(one.metadata.to_vec().into())
    });
    JoinGroupResponse::default()
        .with_generation_id(generation)
        .with_protocol_type(protocol_type.filter(|_| version >= NULL_PROTOCOL).map(|one| wire(&one)))
        .with_protocol_name(protocol.map(|one| wire(&one)).or(empty.clone()))
        .with_leader(wire(&leader))
        .with_skip_assignment(skip_assignment && version >= SKIPS_ASSIGNMENT)
        .with_member_id(wire(&member))
        .with_members(members.collect())
}

pub(super) fn synced(version: i16, part: Part) -> SyncGroupResponse {
    let result = match part {
        Ok(response) => match *response {
            Response::Sync(result) => result.map_err(group_code),
            other => unreachable!("{other:?} answers no SyncGroup"),
        },
        Err(code) => Err(code),
    };
    let protocols = version >= SYNC_PROTOCOLS;
    match result {
        Ok(synced) => SyncGroupResponse::default()
            .with_protocol_type(synced.protocol_type.filter(|_| protocols).map(|one| wire(&one)))
            .with_protocol_name(synced.protocol.filter(|_| protocols).map(|one| wire(&one)))
            .with_assignment(synced.assignment.to_vec().into()),
        Err(code) => SyncGroupResponse::default().with_error_code(code),
    }
}

/// A member that is heard while its coordinator loads is told that all is well, for it will be there: clients take any other
/// answer for the end of its membership, and some for an error that they cannot go on from.
/// Source: `GroupCoordinatorService.heartbeat`.
pub(super) fn heard(part: Part) -> HeartbeatResponse {
    let code = match part {
        Err(error::COORDINATOR_LOAD_IN_PROGRESS) => error::NONE,
        Ok(response) => match *response {
            Response::Heartbeat(result) => code_of(&result),
            other => unreachable!("{other:?} answers no Heartbeat"),
        },
        Err(code) => code,
    };
    HeartbeatResponse::default().with_error_code(code)
}

pub(super) fn left(version: i16, part: Part) -> LeaveGroupResponse {
    let result = match part {
        Ok(response) => match *response {
            Response::Leave(result) => result.map_err(group_code),
            other => unreachable!("{other:?} answers no LeaveGroup"),
        },
        Err(code) => Err(code),
    };
    let members = match result {
        Ok(members) => members,
        Err(code) => return LeaveGroupResponse::default().with_error_code(code),
    };
    if version < MANY_LEAVE {
        let code = members.first().map_or(error::NONE, |member| code_of(&member.result));
        return LeaveGroupResponse::default().with_error_code(code);
    }
    let members = members.iter().map(|one| {
        MemberResponse::default()
            .with_member_id(wire(&one.member))
            .with_group_instance_id(one.instance.as_ref().map(|instance| wire(instance)))
            .with_error_code(code_of(&one.result))
    });
    LeaveGroupResponse::default().with_members(members.collect())
}
