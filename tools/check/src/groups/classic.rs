//! Requests of a member of a classic group, one by one, with what they must be answered.

use super::requests::{Place, patiently};
use crate::failure::{Result, wrong};
use crate::wire::{Client, text};
use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, SyncGroupRequest};

/// Versions that are sent.
/// Before members had to join twice.
pub const JOIN: i16 = 3;
pub const SYNC: i16 = 2;
pub const BEAT: i16 = 2;

/// Longer than any pause of a busy machine.
const SESSION_MS: i32 = 300_000;

/// JoinGroup; `member` is empty or known there. Others wait for it as long as `rebalance_ms`.
pub fn join_request(group: &str, member: &str, rebalance_ms: i32) -> JoinGroupRequest {
    let protocol =
        JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(Bytes::from_static(b"any"));
    JoinGroupRequest::default()
        .with_group_id(text(group).into())
        .with_session_timeout_ms(SESSION_MS)
        .with_rebalance_timeout_ms(rebalance_ms)
        .with_member_id(text(member))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

/// SyncGroup of a member; the leader gives each of `all` its own id.
pub fn sync_request(place: &Place, all: &[String]) -> SyncGroupRequest {
    let give = |member: &String| {
        let given = SyncGroupRequestAssignment::default().with_member_id(text(member));
        given.with_assignment(Bytes::from(member.clone()))
    };
    SyncGroupRequest::default()
        .with_group_id(text(&place.group).into())
        .with_generation_id(place.generation)
        .with_member_id(text(&place.member))
        .with_assignments(all.iter().map(give).collect())
}

/// Heartbeat of a member.
pub fn beat_request(place: &Place) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(text(&place.group).into())
        .with_generation_id(place.generation)
        .with_member_id(text(&place.member))
}

/// What an answer to a JoinGroup makes of somebody.
pub fn joined(group: &str, answer: &JoinGroupResponse) -> Place {
    Place { group: group.to_string(), member: answer.member_id.to_string(), generation: answer.generation_id }
}

/// Joins; the code and what it is told.
pub fn join(client: &mut Client, group: &str, member: &str) -> Result<(i16, Place)> {
    // It is alone: nobody is kept waiting.
    let request = join_request(group, member, SESSION_MS);
    patiently(|| {
        let answer = client.call(&request, JOIN)?;
        Ok((answer.error_code, joined(group, &answer)))
    })
}

/// Gives itself what the only member of a group gets.
pub fn sync_alone(client: &mut Client, place: &Place) -> Result<i16> {
    let request = sync_request(place, std::slice::from_ref(&place.member));
    let (code, given) = patiently(|| {
        let answer = client.call(&request, SYNC)?;
        Ok((answer.error_code, answer.assignment))
    })?;
    if code == 0 && given != place.member.as_bytes() {
        return wrong(format!("{place:?} was given {given:?}"));
    }
    Ok(code)
}

/// A heartbeat's code.
pub fn beat(client: &mut Client, place: &Place) -> Result<i16> {
    let request = beat_request(place);
    Ok(patiently(|| Ok((client.call(&request, BEAT)?.error_code, ())))?.0)
}
