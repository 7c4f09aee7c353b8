//! Requests of consumer groups: each is taken apart by group, asked of the coordinators, and put together again.

mod commits;
mod consumer;
mod find;
mod grouping;
mod lists;
mod members;

pub(super) use commits::Telling;
pub(super) use grouping::Grouping;

use super::lines::ITEM_COST;
use super::makings::Making;
use super::refusals::{group_code, unavailable_code};
use super::view::OFFSETS_TOPIC;
use super::{Kafka, Out, Pending, ReplyTo, Waiting};
use crate::mail::{Ask, Coordinated, CoordinatorPart, Token};
use crate::settings::Settings;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use torc_base::ids::{GroupId, Place};
use torc_base::limits::{LIST_BYTES_MAX, MEMBER_NAME_BYTES_MAX, REPLY_BYTES_MAX, TURN_ITEMS_FREE};
use torc_net::kafka::schema::{OffsetFetchResponse, TopicName};
use torc_net::kafka::{StrBytes, error};
use torc_state::coordinator::record::TopicPartitions;
use torc_state::coordinator::request::Request;
use torc_state::coordinator::response::{DescribedConsumer, FetchedOffset, Refusal, Response};
use torc_state::coordinator::{Blob, Text};

/// A request of groups whose answer is being put together.
pub(super) struct Gather {
    what: What,
    /// By position; a part that needed no coordinator has its code at once.
    parts: Vec<Option<Part>>,
    /// What coordinators are to be asked when they have answered what they were asked before.
    later: VecDeque<CoordinatorPart>,
    waiting: usize,
    /// Bytes that may still be told of groups: they are read from all that coordinators hold.
    room: usize,
    /// The shards that were asked.
    owners: BTreeSet<Place>,
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
    /// Takes an answer in; true if all are there that were asked for.
    pub(super) fn take(&mut self, position: u32, result: Coordinated) -> bool {
        let part = match result.map_err(unavailable_code) {
            Ok(response) => match *response {
                Response::Refused(refusal) => Err(group_code(refusal)),
                response => Ok(Box::new(response)),
            },
            Err(code) => Err(code),
        };
        self.room = self.room.saturating_sub(part.as_ref().map_or(0, |response| told_bytes(response)));
        assert!(self.parts[position as usize].replace(part).is_none(), "a part is answered once");
        if self.room == 0 {
            for CoordinatorPart { position, .. } in self.later.drain(..) {
                self.parts[position as usize] = Some(Err(error::INVALID_REQUEST));
            }
        }
        self.waiting -= 1;
        self.waiting == 0
    }

    /// True if more is to be asked for.
    pub(super) fn has_more(&self) -> bool {
        !self.later.is_empty()
    }

    /// Some of what the request names, by the shards that are asked; the rest comes in later turns.
    fn ask_on(&mut self, settings: &Settings) -> BTreeMap<Place, Vec<CoordinatorPart>> {
        let mut asks: BTreeMap<Place, Vec<CoordinatorPart>> = BTreeMap::new();
        let count = self.later.len().min(TURN_ITEMS_FREE);
        for part in self.later.drain(..count) {
            asks.entry(settings.owner(part.log)).or_default().push(part);
        }
        self.waiting += count;
        self.owners.extend(asks.keys());
        asks
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
        let (mut parts, mut later) = (Vec::with_capacity(questions.len()), VecDeque::new());
        for (position, question) in questions.into_iter().enumerate() {
            parts.push(match question {
                Ok((log, request)) => {
                    later.push_back(CoordinatorPart { position: position as u32, log, request });
                    None
                }
                Err(code) => Some(Err(code)),
            });
        }
        let room = LIST_BYTES_MAX.min(self.settings.memory.answers / 4);
        let mut gather = Gather { what, parts, later, waiting: 0, room, owners: BTreeSet::new() };
        if gather.later.is_empty() {
            return self.answer_coordinated(out, to, gather);
        }
        let asks = gather.ask_on(&self.settings);
        let token = self.wait(out, to, Waiting::Coordinate(Box::new(gather)));
        out.asks.extend(asks.into_iter().map(|(owner, parts)| (owner, token, Ask::Coordinate(parts))));
    }

    /// A new turn: requests that name many groups have more of them asked for.
    pub(super) fn turn_coordinates(&mut self, out: &mut Out) {
        self.asks_part.begin_turn(&out.conns.allowance);
        while self.asks_part.may_go(&out.conns.allowance)
            && let Some(token) = self.asks_on.pop_front()
        {
            // One that is not there has gone with its connection.
            let Some(Pending { to, what: Waiting::Coordinate(gather), .. }) = self.pending.get_mut(&token) else {
                continue;
            };
            let asks = gather.ask_on(&self.settings);
            let cost = ITEM_COST * asks.values().map(Vec::len).sum::<usize>();
            self.asks_part.charge(cost);
            out.conns.charge(to.conn, cost);
            out.asks.extend(asks.into_iter().map(|(owner, parts)| (owner, token, Ask::Coordinate(parts))));
        }
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
            What::Fetch(groups) => match commits::fetched(to, groups, parts) {
                Ok(telling) => self.make(out, to, Making::Offsets(Box::new(telling))),
                Err(code) => self.reply(out, to, &OffsetFetchResponse::default().with_error_code(code)),
            },
            What::Describe { groups, operations } => {
                let grouping = Grouping::classic(to, operations, groups, parts.collect());
                self.make(out, to, Making::Groups(Box::new(grouping)));
            }
            What::List => {
                let (code, groups) = lists::all_listed(parts);
                self.make(out, to, Making::Groups(Box::new(Grouping::listed(to, code, groups))));
            }
            What::Delete(groups) => self.reply(out, to, &lists::deleted(groups, parts)),
            What::Beat => {
                let beaten = consumer::beaten(&self.settings.coordinator.consumer_assignors, one(&mut parts));
                self.reply(out, to, &beaten);
            }
            What::DescribeConsumers { groups, operations } => {
                let grouping = Grouping::consumer(to, operations, groups, parts.collect());
                self.make(out, to, Making::Groups(Box::new(grouping)));
            }
        }
    }
}

/// About what an offset or a member takes, besides what they say.
const TOLD_BYTES: usize = 32;

/// About what a group takes in an answer, if that may be much.
fn told_bytes(response: &Response) -> usize {
    let offsets = |(name, partitions): &(Text, Vec<FetchedOffset>)| {
        let metadata = partitions.iter().filter_map(|one| Some(one.committed.as_ref()?.metadata.len()));
        name.len() + TOLD_BYTES * partitions.len() + metadata.sum::<usize>()
    };
    let of =
        |assigned: &[TopicPartitions]| assigned.iter().map(|one| TOLD_BYTES + 4 * one.partitions.len()).sum::<usize>();
    match response {
        Response::Fetch { result: Ok(topics), .. } => topics.iter().map(offsets).sum(),
        Response::Describe(groups) => {
            let members = groups.iter().filter_map(|group| group.result.as_ref().ok()).flat_map(|group| &group.members);
            members.map(|one| TOLD_BYTES + one.metadata.len() + one.assignment.len()).sum()
        }
        Response::ConsumerDescribe(groups) => {
            let members = groups.iter().filter_map(|(_, group)| group.as_ref().ok()).flat_map(|group| &group.members);
            let topics = |one: &DescribedConsumer| one.topics.iter().map(|topic| topic.len()).sum::<usize>();
            members.map(|one| TOLD_BYTES + topics(one) + of(&one.assignment) + of(&one.target)).sum()
        }
        _ => 0,
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
    out.conns.peer(to.conn).map_or_else(Text::default, |peer| format!("/{}", peer.ip()).into())
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
