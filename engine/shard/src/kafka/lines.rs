//! Requests that name many things wait in line, so that one turn of the shard does a bounded part of them, and who
//! names few is served meanwhile.
//!
//! So do those whose answers may be long, and lie nowhere else than in memory: they wait for memory, too. In either line
//! stands one request of each connection at most, whatever it has asked for ahead, so that the lines are the order in
//! which connections come round.

use super::configs::BROKER;
use super::topic_partitions::TOPIC_PARTITIONS_LIMIT;
use super::{Kafka, Out, ReplyTo};
use crate::allowance::Part;
use crate::conns::Conns;
use crate::memory::Standstill;
use crate::works;
use std::collections::VecDeque;
use torc_base::limits::{PIECE_BYTES_MIN, TURN_ITEMS_FREE};
use torc_net::kafka::schema::metadata_request::MetadataRequestTopic;
use torc_net::kafka::{Request, topic_id};

/// Requests that wait for their turn, in order.
#[derive(Default)]
pub(super) struct Line {
    /// With the items of each.
    waiting: VecDeque<(ReplyTo, Request, usize)>,
    part: Part,
    /// Those that wait for memory.
    standstill: Standstill,
}

impl Line {
    /// True if a request for so many items is to wait for its turn.
    pub(super) fn is_full(&self, items: usize, conns: &Conns) -> bool {
        let is_behind = conns.allowance.long() <= 0 || self.part.owes() || !self.waiting.is_empty();
        items > TURN_ITEMS_FREE && is_behind
    }

    /// A request for so many items is taken up that has not waited.
    pub(super) fn charge(&mut self, items: usize, cost: usize) {
        if items > TURN_ITEMS_FREE {
            self.part.charge(cost);
        }
    }

    /// Takes a request for so many items in.
    pub(super) fn push(&mut self, to: ReplyTo, request: Request, items: usize) {
        self.waiting.push_back((to, request, items));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// How long the answer to a request may be, and what it waits for therefore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// As long as the request, or little more.
    Own,
    /// Not beyond [`PIECE_BYTES_MIN`].
    Short,
    /// Whatever there is of what it asks for; mostly not much.
    Unknown,
    Long,
}

impl Length {
    pub(super) fn of(bytes: usize) -> Length {
        if bytes > PIECE_BYTES_MIN { Length::Long } else { Length::Short }
    }

    /// True if there is no memory for such an answer.
    pub(super) fn waits(self, conns: &Conns) -> bool {
        match self {
            Length::Own | Length::Short => false,
            Length::Unknown => conns.are_answers_nearly_out(),
            Length::Long => conns.are_answers_full(),
        }
    }
}

/// Bytes of an answer that cost a unit of the turn's sum.
pub(super) const BYTES_ENCODED: usize = 512;

/// An item of an answer, in units of the turn's sum.
pub(super) const ITEM_COST: usize = 2;

/// A partition of a fetch, in the same.
pub(super) const FETCH_COST: usize = 3;

/// What a request for so many items costs, besides its frame, in units of the turn's sum.
pub(super) fn cost(request: &Request, items: usize) -> usize {
    match request {
        // Of many each is counted when it is checked, appended and so on, or looked up, read and told.
        Request::Produce(_) if items > TURN_ITEMS_FREE => 0,
        Request::Produce(_) => 6 * items,
        Request::Fetch(_) if items > TURN_ITEMS_FREE => 0,
        Request::Fetch(_) => FETCH_COST * items,
        // Counted as it is made.
        Request::DescribeConfigs(_) | Request::DescribeLogDirs(_) => 0,
        // The same; but first it is looked up what is told of.
        Request::DescribeTopicPartitions(_) => items / 4,
        // Counted as it is made; but first they are looked up.
        Request::Metadata(asked) if asked.topics.is_some() => items,
        // The first ones; the others when they are asked for.
        Request::DescribeGroups(_) | Request::ConsumerGroupDescribe(_) | Request::DeleteGroups(_) => {
            ITEM_COST * items.min(TURN_ITEMS_FREE)
        }
        _ => ITEM_COST * items,
    }
}

/// True if others of the connection may follow before it is answered, once it is under way: only their order counts.
fn is_pipelined(request: &Request) -> bool {
    matches!(request, Request::Produce(_))
}

impl Kafka {
    /// Takes a request up, or lets it wait: for its turn, or, if its answer may be long and lies nowhere else than in
    /// memory, until there is some.
    pub(super) fn request(&mut self, out: &mut Out, to: ReplyTo, request: Request) {
        let items = self.items(&request);
        let length = match self.length(&request, items) {
            Length::Short if !out.conns.has_room_for_short(to.conn) => Length::Long,
            length => length,
        };
        let may_be_long = matches!(length, Length::Unknown | Length::Long);
        let is_behind = self.is_behind(length);
        let line = self.line(length);
        let waits =
            length.waits(out.conns) || is_behind || (may_be_long && !line.is_empty()) || line.is_full(items, out.conns);
        if may_be_long || (items > TURN_ITEMS_FREE && (waits || !is_pipelined(&request))) {
            out.conns.take_alone(to.conn, to.slot);
        }
        if waits {
            return self.line(length).push(to, request, items);
        }
        let cost = cost(&request, items);
        self.line(length).charge(items, cost);
        out.conns.charge(to.conn, cost);
        self.serve(out, to, request);
    }

    /// True if what was begun of long answers is to be ended first: their memory is counted when they are there.
    fn is_behind(&self, length: Length) -> bool {
        length == Length::Long && self.makings.is_due()
    }

    fn line(&mut self, length: Length) -> &mut Line {
        match length {
            Length::Own | Length::Short => &mut self.many,
            Length::Unknown => &mut self.unknown,
            Length::Long => &mut self.lists,
        }
    }

    /// What waited for its turn, as far as one turn goes.
    pub(super) fn turn_lines(&mut self, out: &mut Out) {
        for length in [Length::Own, Length::Unknown, Length::Long] {
            self.line(length).part.begin_turn(&out.conns.allowance);
            while !length.waits(out.conns)
                && !self.is_behind(length)
                && self.line(length).part.may_go(&out.conns.allowance)
                && let Some((to, request, items)) = self.line(length).waiting.pop_front()
            {
                if out.conns.is_open(to.conn) {
                    let cost = cost(&request, items.max(1));
                    self.line(length).part.charge(cost);
                    out.conns.charge(to.conn, cost);
                    self.line(length).standstill.end();
                    self.resume(out, to, request);
                }
            }
            let is_short = length.waits(out.conns);
            let line = self.line(length);
            line.standstill.note(out.now.mono, is_short && !line.is_empty());
            out.conns.note_stuck(line.standstill);
        }
    }

    /// An answer was made.
    pub(super) fn charge_answer(out: &mut Out, to: ReplyTo, bytes: usize) {
        out.conns.charge(to.conn, bytes / BYTES_ENCODED);
    }

    /// True if something waits for nothing but its turn.
    pub(super) fn lines_are_due(&self, conns: &Conns) -> bool {
        let due = |line: &Line, length: Length| !line.is_empty() && !length.waits(conns);
        due(&self.many, Length::Own) || due(&self.unknown, Length::Unknown) || due(&self.lists, Length::Long)
    }

    fn resume(&mut self, out: &mut Out, to: ReplyTo, request: Request) {
        let before = self.stats.turns.at(works::of_api(to.api));
        match request {
            Request::Fetch(request) => self.start_fetch(out, to, request),
            request => {
                if is_pipelined(&request) {
                    out.conns.let_follow(to.conn, to.slot);
                }
                self.serve(out, to, request);
            }
        }
        self.stats.turns.at(before);
    }

    /// Topics and partitions that a request makes this shard look at; 0: it is not made to wait here. Fetches of one
    /// connection keep their order, and so are looked at when they begin.
    fn items(&self, request: &Request) -> usize {
        match request {
            Request::Produce(request) => super::produce::partitions(request),
            Request::ListOffsets(request) => request.topics.iter().map(|topic| topic.partitions.len()).sum(),
            Request::OffsetForLeaderEpoch(request) => request.topics.iter().map(|topic| topic.partitions.len()).sum(),
            Request::OffsetCommit(request) => request.topics.iter().map(|topic| topic.partitions.len()).sum(),
            Request::OffsetCommitById(request) => request.topics.iter().map(|topic| topic.partitions.len()).sum(),
            Request::OffsetDelete(request) => request.topics.iter().map(|topic| topic.partitions.len()).sum(),
            Request::OffsetFetch(request) => {
                let old = request.topics.iter().flatten().map(|topic| topic.partition_indexes.len());
                let topics = request.groups.iter().filter_map(|group| group.topics.as_ref()).flatten();
                old.chain(topics.map(|topic| topic.partition_indexes.len())).sum::<usize>() + request.groups.len()
            }
            Request::OffsetFetchById(request) => {
                let topics = request.groups.iter().filter_map(|group| group.topics.as_ref()).flatten();
                topics.map(|(_, partitions)| partitions.len()).sum::<usize>() + request.groups.len()
            }
            Request::DescribeGroups(request) => request.groups.len(),
            Request::ConsumerGroupDescribe(request) => request.group_ids.len(),
            Request::DeleteGroups(request) => request.groups_names.len(),
            Request::FindCoordinator(request) => request.coordinator_keys.len(),
            Request::Metadata(request) => match &request.topics {
                // It is made over turns by itself (`all_topics.rs`).
                None => 1,
                Some(topics) => self.named(topics),
            },
            // It has a bound of its own.
            Request::DescribeTopicPartitions(request) if request.topics.is_empty() => {
                self.view.partitions().min(TOPIC_PARTITIONS_LIMIT)
            }
            Request::DescribeTopicPartitions(request) => request.topics.len(),
            Request::ElectLeaders(request) => match &request.topic_partitions {
                None => self.view.partitions(),
                Some(topics) => topics.iter().map(|topic| topic.partitions.len()).sum(),
            },
            Request::AlterPartitionReassignments(request) => {
                request.topics.iter().map(|topic| topic.partitions.len()).sum()
            }
            Request::CreateTopics(request) => request.topics.len(),
            Request::DeleteTopics(request) => request.topic_names.len() + request.topics.len(),
            Request::CreatePartitions(request) => request.topics.len(),
            Request::DeleteRecords(request) => request.topics.iter().map(|topic| topic.partitions.len()).sum(),
            Request::AlterConfigs(request) => request.resources.len(),
            Request::IncrementalAlterConfigs(request) => request.resources.len(),
            Request::ListPartitionReassignments(request) => match &request.topics {
                None => self.view.topics().map(|topic| 1 + topic.moves.len()).sum(),
                Some(topics) => topics.iter().map(|topic| topic.partition_indexes.len()).sum(),
            },
            Request::DescribeQuorum(request) => request.topics.iter().map(|topic| topic.partitions.len()).sum(),
            Request::DescribeConfigs(request) => request.resources.len() * ITEMS_OF_SETTINGS,
            Request::ListConfigResources(_) => self.view.topics().len() + self.view.configured_groups().len(),
            Request::DescribeLogDirs(request) => match &request.topics {
                None => self.view.partitions(),
                Some(topics) => topics.iter().map(|topic| topic.partitions.len()).sum(),
            },
            _ => 0,
        }
    }

    /// Topics that a Metadata request names, and their partitions.
    fn named(&self, topics: &[MetadataRequestTopic]) -> usize {
        let find = |topic: &'_ MetadataRequestTopic| {
            let name = topic.name.as_ref().map_or("", |name| name.as_str());
            let found = self.view.find(name, topic_id(topic.topic_id));
            found.map_or(0, |topic| topic.partitions.len() as usize)
        };
        topics.len() + topics.iter().map(find).sum::<usize>()
    }
}

/// The settings of a topic, in items.
pub(super) const ITEMS_OF_SETTINGS: usize = 16;

/// About what an item takes in an answer; the settings of a topic or group, and of a broker; and how many times as much these
/// take with their documentation or where they come from.
const ITEM_BYTES: usize = 96;
const SETTINGS_BYTES: usize = 4 << 10;
const BROKER_SETTINGS_BYTES: usize = 24 << 10;
const EXPLAINED: usize = 4;
/// So many offsets are short, though each has a text beside it.
const OFFSETS_SHORT: usize = 16;

impl Kafka {
    /// How long the answer to a request for so many items may be. What is long, or may be, is made only while there is memory.
    fn length(&self, request: &Request, items: usize) -> Length {
        match request {
            Request::Metadata(asked) if asked.topics.is_none() => {
                Length::of((self.view.topics().len() + self.view.partitions()) * ITEM_BYTES)
            }
            Request::DescribeTopicPartitions(asked) => {
                let known = asked.topics.iter().filter_map(|topic| self.view.by_name(topic.name.as_str()));
                let partitions = match asked.topics.is_empty() {
                    true => self.view.partitions(),
                    false => known.map(|topic| topic.partitions.len() as usize).sum(),
                };
                Length::of((partitions.min(TOPIC_PARTITIONS_LIMIT) + asked.topics.len()) * ITEM_BYTES)
            }
            Request::DescribeConfigs(asked) => {
                let more = if asked.include_documentation || asked.include_synonyms { EXPLAINED } else { 1 };
                let of = |kind: i8| if kind == BROKER { BROKER_SETTINGS_BYTES } else { SETTINGS_BYTES };
                Length::of(asked.resources.iter().map(|one| of(one.resource_type) * more).sum())
            }
            // Nothing but an answer comes of it, which tells all settings of each.
            Request::CreateTopics(asked) if asked.validate_only => Length::of(asked.topics.len() * SETTINGS_BYTES),
            Request::Metadata(_)
            | Request::DescribeLogDirs(_)
            | Request::ListConfigResources(_)
            | Request::ListPartitionReassignments(_)
            | Request::DescribeQuorum(_) => Length::of(items * ITEM_BYTES),
            Request::OffsetFetch(asked)
                if asked.groups.iter().all(|group| group.topics.is_some())
                    && (asked.topics.is_some() || !asked.groups.is_empty())
                    && items <= OFFSETS_SHORT =>
            {
                Length::Short
            }
            Request::OffsetFetch(_)
            | Request::OffsetFetchById(_)
            | Request::DescribeGroups(_)
            | Request::ConsumerGroupDescribe(_)
            | Request::ListGroups(_) => Length::Unknown,
            _ => Length::Own,
        }
    }
}
