//! DescribeGroups, ListGroups and DeleteGroups.

use super::{Kafka, Out, Part, ReplyTo, What, code_of, text, wire};
use crate::kafka::metadata::{asked, bits};
use crate::kafka::refusals::group_code;
use crate::kafka::repeats::NamedGroups;
use torc_net::kafka::error;
use torc_net::kafka::schema::delete_groups_response::DeletableGroupResult;
use torc_net::kafka::schema::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use torc_net::kafka::schema::list_groups_response::ListedGroup;
use torc_net::kafka::schema::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, GroupId, ListGroupsRequest,
};
use torc_state::coordinator::Text;
use torc_state::coordinator::request::{List, Request};
use torc_state::coordinator::response::{DescribedMember, GroupState, Listed, Refusal, Response};

/// Kafka's operations on a group, by their numbers: read, delete, describe, describe configs, alter configs.
pub(super) const GROUP_OPERATIONS: i32 = bits(&[3, 6, 8, 10, 11]);
/// First versions: of DescribeGroups that tells that there is no such group, and that tells instances; of ListGroups that
/// tells states, and types.
const NOT_FOUND: i16 = 6;
const INSTANCES: i16 = 4;
const STATES: i16 = 4;
const TYPES: i16 = 5;

impl Kafka {
    pub(in crate::kafka) fn describe_groups(&mut self, out: &mut Out, to: ReplyTo, request: DescribeGroupsRequest) {
        let groups: Vec<Text> = request.groups.iter().map(|group| text(group)).collect();
        let mut named = NamedGroups::new();
        let question = |group: &Text| {
            let describe = Request::Describe { groups: vec![group.clone()] };
            let log = if named.admit(group.clone()) { self.coordinator_of(group) } else { Err(error::INVALID_REQUEST) };
            log.map(|log| (log, describe))
        };
        let questions = groups.iter().map(question).collect();
        let what = What::Describe { groups, operations: request.include_authorized_operations };
        self.coordinate(out, to, what, questions);
    }

    pub(in crate::kafka) fn list_groups(&mut self, out: &mut Out, to: ReplyTo, request: ListGroupsRequest) {
        let list = List {
            states: request.states_filter.iter().map(text).collect(),
            types: request.types_filter.iter().map(text).collect(),
        };
        let logs = self.view.offsets_topic().into_iter().flat_map(|topic| topic.partitions.iter());
        let questions = logs.map(|log| Ok((log, Request::List(list.clone())))).collect();
        self.coordinate(out, to, What::List, questions);
    }

    pub(in crate::kafka) fn delete_groups(&mut self, out: &mut Out, to: ReplyTo, request: DeleteGroupsRequest) {
        let groups: Vec<Text> = request.groups_names.iter().map(|group| text(group)).collect();
        let question = |group: &Text| {
            let delete = Request::DeleteGroups { groups: vec![group.clone()] };
            self.coordinator_of(group).map(|log| (log, delete))
        };
        let questions = groups.iter().map(question).collect();
        self.coordinate(out, to, What::Delete(groups), questions);
    }
}

fn id(group: &str) -> GroupId {
    GroupId(wire(group))
}

/// What is said of a group, and its members.
pub(super) fn described(
    version: i16,
    operations: bool,
    group: &Text,
    part: Part,
) -> (DescribedGroup, Vec<DescribedMember>) {
    let operations = asked(operations && version >= 3, GROUP_OPERATIONS);
    let answer = DescribedGroup::default().with_group_id(id(group));
    let result = match part {
        Ok(response) => match *response {
            Response::Describe(mut described) => described.pop().expect("one group was asked for").result,
            other => unreachable!("{other:?} answers no DescribeGroups"),
        },
        Err(code) => {
            let refused = answer.with_error_code(code).with_authorized_operations(asked(false, 0));
            return (refused, Vec::new());
        }
    };
    let answer = match result {
        Ok(described) => {
            let answer = answer
                .with_group_state(wire(described.state.name()))
                .with_protocol_type(wire(&described.protocol_type))
                .with_protocol_data(wire(&described.protocol))
                .with_authorized_operations(operations);
            return (answer, described.members);
        }
        Err(Refusal::GroupIdNotFound) => {
            let dead = answer.with_group_state(wire(GroupState::Dead.name())).with_authorized_operations(operations);
            if version < NOT_FOUND {
                dead
            } else {
                let why = wire(&format!("Group {group} not found."));
                dead.with_error_code(error::GROUP_ID_NOT_FOUND).with_error_message(Some(why))
            }
        }
        Err(refusal) => answer.with_error_code(group_code(refusal)),
    };
    (answer, Vec::new())
}

pub(super) fn member(version: i16, member: &DescribedMember) -> DescribedGroupMember {
    let instance = member.instance.as_ref().filter(|_| version >= INSTANCES);
    DescribedGroupMember::default()
        .with_member_id(wire(&member.id))
        .with_group_instance_id(instance.map(|instance| wire(instance)))
        .with_client_id(wire(&member.client_id))
        .with_client_host(wire(&member.client_host))
        .with_member_metadata(member.metadata.to_vec().into())
        .with_member_assignment(member.assignment.to_vec().into())
}

/// The groups that coordinators have, and the code for those that did not say.
pub(super) fn all_listed(parts: impl Iterator<Item = Part>) -> (i16, Vec<Vec<Listed>>) {
    let (mut code, mut all) = (error::NONE, Vec::new());
    for part in parts {
        match part {
            Ok(response) => match *response {
                Response::List(listed) => all.push(listed),
                other => unreachable!("{other:?} answers no ListGroups"),
            },
            // Another node has them.
            Err(error::NOT_COORDINATOR) => {}
            Err(other) => code = other,
        }
    }
    (code, all)
}

pub(super) fn listed(version: i16, one: &Listed) -> ListedGroup {
    let mut group = ListedGroup::default().with_group_id(id(&one.group)).with_protocol_type(wire(&one.protocol_type));
    if version >= STATES {
        group.group_state = wire(one.state.name());
    }
    if version >= TYPES {
        group.group_type = wire(one.kind.name());
    }
    group
}

pub(super) fn deleted(groups: Vec<Text>, parts: impl Iterator<Item = Part>) -> DeleteGroupsResponse {
    let results = groups.iter().zip(parts).map(|(group, part)| {
        let code = match part {
            Ok(response) => match *response {
                Response::DeleteGroups(results) => code_of(&results.first().expect("one group was named").1),
                other => unreachable!("{other:?} answers no DeleteGroups"),
            },
            Err(code) => code,
        };
        DeletableGroupResult::default().with_group_id(id(group)).with_error_code(code)
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}
