//! Requests of consumer groups: each is taken apart by group, asked of the coordinators, and put together again.

mod commits;
mod consumer;
mod find;
mod lists;
mod members;

pub(super) use commits::Telling;

use super::makings::Making;
use super::refusals::{group_code, unavailable_code};
use super::view::OFFSETS_TOPIC;
use super::{Kafka, Out, ReplyTo, Waiting};
use crate::mail::{Ask, Coordinated, CoordinatorPart, Token};
use std::collections::BTreeMap;
use torc_base::ids::{GroupId, Place};
use torc_base::limits::{MEMBER_NAME_BYTES_MAX, REPLY_BYTES_MAX};
use torc_net::kafka::schema::{OffsetFetchResponse, TopicName};
use torc_net::kafka::{StrBytes, error};
use torc_state::coordinator::request::Request;
use torc_state::coordinator::response::{Refusal, Response};
use torc_state::coordinator::{Blob, Text};

/// A request of groups whose answer is being put together.
pub(super) struct Gather {
    what: What,
    /// By position; a part that needed no coordinator has its code at once.
    parts: Vec<Option<Part>>,
    waiting: usize,
    /// The shards that were asked.
    owners: Vec<Place>,
}

/// What a coordinator has answered, or the code for why it has not.
type Part = Result<Box<Response>, i16>;

/// Which request it was, with what its answer needs of it.
enum What {
    Join,
    Sync,
    Heartbeat,
    Leave,
    Commit(commits::Places),
    Fetch(Vec<commits::AskedGroup>),
    DeleteOffsets(commits::Places),
    Describe { groups: Vec<Text>, operations: bool },
    List,
    Delete(Vec<Text>),
    Beat,
    DescribeConsumers { groups: Vec<Text>, operations: bool },
}

impl Gather {
    /// Takes an answer in; true if all are there.
    pub(super) fn take(&mut self, position: u32, result: Coordinated) -> bool {
        let part = match result.map_err(unavailable_code) {
            Ok(response) => match *response {
                Response::Refused(refusal) => Err(group_code(refusal)),
                response => Ok(Box::new(response)),
            },
            Err(code) => Err(code),
        };
        assert!(self.parts[position as usize].replace(part).is_none(), "a part is answered once");
        self.waiting -= 1;
        self.waiting == 0
    }

    /// Nobody waits for the answer any more.
    pub(super) fn forget(&self, out: &mut Out, token: Token) {
        out.asks.extend(self.owners.iter().map(|owner| (*owner, token, Ask::CancelCoordinate)));
    }
}

/// A part of a request: what its coordinator is asked, and where that is; or the code that it is answered with.
type Question = Result<(GroupId, Request), i16>;

impl Kafka {
    /// The log of the coordinator of a group, which is one of those of [`OFFSETS_TOPIC`].
    fn coordinator_of(&self, group: &str) -> Result<GroupId, i16> {
        let topic = self.view.offsets_topic().ok_or(error::NOT_COORDINATOR)?;
        Ok(topic.partitions.get(partition_of(group, topic.partitions.len())).expect("within their number"))
    }

    /// The same for requests that a group without a name cannot make.
    fn coordinator_of_named(&self, group: &str) -> Result<GroupId, i16> {
        if group.is_empty() { Err(error::INVALID_GROUP_ID) } else { self.coordinator_of(group) }
    }

    /// Asks coordinators; the request is answered when all of them have.
    fn coordinate(&mut self, out: &mut Out, to: ReplyTo, what: What, questions: Vec<Question>) {
        let mut parts = Vec::with_capacity(questions.len());
        let mut asks: BTreeMap<Place, Vec<CoordinatorPart>> = BTreeMap::new();
        for (position, question) in questions.into_iter().enumerate() {
            parts.push(match question {
                Ok((log, request)) => {
                    let part = CoordinatorPart { position: position as u32, log, request };
                    asks.entry(self.settings.owner(log)).or_default().push(part);
                    None
                }
                Err(code) => Some(Err(code)),
            });
        }
        let waiting = parts.iter().filter(|part| part.is_none()).count();
        let owners = asks.keys().copied().collect();
        let gather = Gather { what, parts, waiting, owners };
        if waiting == 0 {
            return self.answer_coordinated(out, to, gather);
        }
        let token = self.wait(out, to, Waiting::Coordinate(Box::new(gather)));
        out.asks.extend(asks.into_iter().map(|(owner, parts)| (owner, token, Ask::Coordinate(parts))));
    }

    /// The coordinators have answered.
    pub(super) fn finish_coordinate(&mut self, out: &mut Out, token: Token) {
        let pending = self.done(out, token);
        let Waiting::Coordinate(gather) = pending.what else { unreachable!("it was one") };
        self.answer_coordinated(out, pending.to, *gather);
    }

    fn answer_coordinated(&mut self, out: &mut Out, to: ReplyTo, mut gather: Gather) {
        // These may be long, and are not lists that wait for memory. Who asks ahead and takes none is to come again.
        if matches!(gather.what, What::Join | What::Sync | What::Beat) && out.conns.held(to.conn) > REPLY_BYTES_MAX {
            gather.parts = vec![Some(Err(error::COORDINATOR_LOAD_IN_PROGRESS))];
        }
        let mut parts = gather.parts.into_iter().map(|part| part.expect("none is missing"));
        match gather.what {
            What::Join => self.reply(out, to, &members::joined(to.version, one(&mut parts))),
            What::Sync => self.reply(out, to, &members::synced(to.version, one(&mut parts))),
            What::Heartbeat => self.reply(out, to, &members::heard(one(&mut parts))),
            What::Leave => self.reply(out, to, &members::left(to.version, one(&mut parts))),
            What::Commit(places) => self.reply(out, to, &commits::committed(to.version, places, one(&mut parts))),
            What::DeleteOffsets(places) => self.reply(out, to, &commits::deleted(places, one(&mut parts))),
            What::Fetch(groups) => match commits::fetched(&self.view, to.version, groups, parts) {
                Ok(telling) => self.make(out, to, Making::Offsets(Box::new(telling))),
                Err(code) => self.reply(out, to, &OffsetFetchResponse::default().with_error_code(code)),
            },
            What::Describe { groups, operations } => {
                self.reply(out, to, &lists::described(to.version, operations, groups, parts));
            }
            What::List => self.reply(out, to, &lists::listed(to.version, parts)),
            What::Delete(groups) => self.reply(out, to, &lists::deleted(groups, parts)),
            What::Beat => {
                let beaten = consumer::beaten(&self.settings.coordinator.consumer_assignors, one(&mut parts));
                self.reply(out, to, &beaten);
            }
            What::DescribeConsumers { groups, operations } => {
                let described = consumer::described(&self.view, to.version, operations, groups, parts);
                self.reply(out, to, &described);
            }
        }
    }
}

/// The part of a request that has one.
fn one(parts: &mut impl Iterator<Item = Part>) -> Part {
    parts.next().expect("a request of one group has one part")
}

/// The partition of a group, of `count`, as Kafka has it: by the absolute value of Java's hash of its UTF-16, where that of
/// -2^31 is 0. Source: `GroupCoordinatorService.partitionFor`.
fn partition_of(group: &str, count: u32) -> u32 {
    let hash = group.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0) as u32 % count
}

/// Which machine a request comes from, as Kafka writes it: `/10.0.0.1`.
fn host(out: &Out, to: ReplyTo) -> Text {
    out.conns.peer(to.conn).map_or_else(Text::default, |peer| format!("/{peer}").into())
}

/// As much of a client's id as a member's id is made of.
fn cut(client_id: &str) -> &str {
    let mut end = client_id.len().min(MEMBER_NAME_BYTES_MAX);
    while !client_id.is_char_boundary(end) {
        end -= 1;
    }
    &client_id[..end]
}

fn text(text: &StrBytes) -> Text {
    Text::from(&**text)
}

fn maybe_text(maybe: Option<&StrBytes>) -> Option<Text> {
    maybe.map(text)
}

fn blob(bytes: &[u8]) -> Blob {
    Blob::from(bytes)
}

fn wire(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(wire(name))
}

/// The code for the result of something.
fn code_of<T>(result: &Result<T, Refusal>) -> i16 {
    result.as_ref().err().map_or(error::NONE, |refusal| group_code(*refusal))
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;
