//! OffsetCommit, OffsetFetch and OffsetDelete.

use super::{Kafka, Out, Part, ReplyTo, What, code_of, maybe_text, text, topic_name, wire};
use crate::kafka::makings::Nesting;
use crate::kafka::refusals::group_code;
use crate::kafka::repeats::NamedGroups;
use crate::kafka::view::{self, View};
use std::sync::Arc;
use torc_base::ids::TopicId;
use torc_base::limits::LIST_BYTES_MAX;
use torc_net::kafka::schema::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use torc_net::kafka::schema::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use torc_net::kafka::schema::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use torc_net::kafka::schema::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use torc_net::kafka::schema::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use torc_net::kafka::schema::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest,
    OffsetFetchResponse,
};
use torc_net::kafka::{Behind, StrBytes, error, offsets_by_id, topic_uuid};
use torc_state::catalog::Topic;
use torc_state::coordinator::Text;
use torc_state::coordinator::request::{Commit, CommitPartition, CommitTopic, DeleteOffsets, Fetch, Request};
use torc_state::coordinator::response::{CommittedOffset, FetchedOffset, PartitionResult, Refusal, Response};

/// First versions: of OffsetCommit that knows epochs of members; of OffsetFetch with many groups, with a code for the whole
/// answer, and with leader epochs; of both that name topics by ids. Last version of OffsetCommit that names a time to keep
/// offsets for.
const KNOWS_EPOCHS: i16 = 9;
const MANY_GROUPS: i16 = 8;
const WHOLE_CODE: i16 = 2;
const LEADER_EPOCHS: i16 = 5;
const BY_ID: i16 = 10;
const WITH_RETENTION: i16 = 4;

/// A topic as it was asked for, with its partitions in the order of the request; those that the coordinator is not asked
/// about have their codes.
pub(super) struct Place {
    /// `None`: it was asked for by an id that no topic has.
    name: Option<Text>,
    /// Zero if it was asked for by a name that no topic has.
    id: TopicId,
    partitions: Vec<(i32, Option<i16>)>,
}

/// Topics in the order of the request.
pub(super) type Places = Vec<Place>;

/// A group of an OffsetFetch, with the topics that were asked for if not all of them were.
pub(super) struct AskedGroup {
    group: Text,
    places: Option<Places>,
}

/// Partitions of a topic with their codes; `unknown` if there is no such topic.
fn placed(topic: Option<&Arc<Topic>>, unknown: i16, partitions: impl Iterator<Item = i32>) -> Vec<(i32, Option<i16>)> {
    let code = |index| match topic {
        None => Some(unknown),
        Some(topic) => view::partition(topic, index).is_none().then_some(error::UNKNOWN_TOPIC_OR_PARTITION),
    };
    partitions.map(|index| (index, code(index))).collect()
}

impl Kafka {
    /// A topic that was asked for by its name, and which of its partitions there are.
    fn place(&self, name: &StrBytes, partitions: impl Iterator<Item = i32>) -> Place {
        let topic = self.view.by_name(name);
        let partitions = placed(topic, error::UNKNOWN_TOPIC_OR_PARTITION, partitions);
        Place { name: Some(text(name)), id: topic.map_or(TopicId::ZERO, |topic| topic.id), partitions }
    }

    /// The same of one that was asked for by its id.
    fn place_by_id(&self, id: TopicId, partitions: impl Iterator<Item = i32>) -> Place {
        let topic = self.view.by_id(id);
        let partitions = placed(topic, error::UNKNOWN_TOPIC_ID, partitions);
        Place { name: topic.map(|topic| Arc::clone(&topic.name)), id, partitions }
    }

    pub(in crate::kafka) fn offset_commit(&mut self, out: &mut Out, to: ReplyTo, request: OffsetCommitRequest) {
        let topic = |topic: &OffsetCommitRequestTopic| {
            let place = self.place(&topic.name, topic.partitions.iter().map(|one| one.partition_index));
            let partition = |one: &OffsetCommitRequestPartition| CommitPartition {
                index: one.partition_index,
                offset: one.committed_offset,
                leader_epoch: one.committed_leader_epoch,
                metadata: maybe_text(one.committed_metadata.as_ref()).unwrap_or_default(),
            };
            (place, topic.partitions.iter().map(partition).collect())
        };
        let topics = request.topics.iter().map(topic).collect();
        let commit = Commit {
            group: text(&request.group_id),
            member: text(&request.member_id),
            instance: maybe_text(request.group_instance_id.as_ref()),
            generation: request.generation_id_or_member_epoch,
            retention: (to.version <= WITH_RETENTION && request.retention_time_ms >= 0)
                .then_some(request.retention_time_ms),
            knows_epochs: to.version >= KNOWS_EPOCHS,
            topics: Vec::new(),
        };
        self.commit(out, to, commit, topics);
    }

    pub(in crate::kafka) fn offset_commit_by_id(&mut self, out: &mut Out, to: ReplyTo, request: offsets_by_id::Commit) {
        let topic = |topic: offsets_by_id::CommitTopic| {
            let place = self.place_by_id(topic.id, topic.partitions.iter().map(|one| one.index));
            let partition = |one: offsets_by_id::CommitPartition| CommitPartition {
                index: one.index,
                offset: one.offset,
                leader_epoch: one.leader_epoch,
                metadata: maybe_text(one.metadata.as_ref()).unwrap_or_default(),
            };
            (place, topic.partitions.into_iter().map(partition).collect())
        };
        let topics = request.topics.into_iter().map(topic).collect();
        let commit = Commit {
            group: text(&request.group),
            member: text(&request.member),
            instance: maybe_text(request.instance.as_ref()),
            generation: request.generation,
            retention: None,
            knows_epochs: true,
            topics: Vec::new(),
        };
        self.commit(out, to, commit, topics);
    }

    /// Asks for a commit of those partitions that there are.
    fn commit(&mut self, out: &mut Out, to: ReplyTo, mut commit: Commit, topics: Vec<(Place, Vec<CommitPartition>)>) {
        let mut places = Places::with_capacity(topics.len());
        for (place, partitions) in topics {
            let known = partitions.into_iter().zip(&place.partitions).filter(|(_, (_, code))| code.is_none());
            let partitions: Vec<CommitPartition> = known.map(|(partition, _)| partition).collect();
            if let Some(name) = place.name.clone().filter(|_| !partitions.is_empty()) {
                commit.topics.push(CommitTopic { name, id: place.id, partitions });
            }
            places.push(place);
        }
        if commit.topics.is_empty() && !places.is_empty() {
            let response = committed(to.version, places, Ok(Box::new(Response::Commit(Ok(Vec::new())))));
            return self.reply(out, to, &response);
        }
        let question = self.coordinator_of(&commit.group).map(|log| (log, Request::Commit(commit)));
        self.coordinate(out, to, What::Commit(places), vec![question]);
    }

    pub(in crate::kafka) fn offset_fetch(&mut self, out: &mut Out, to: ReplyTo, request: OffsetFetchRequest) {
        // Whether there is such a topic does not matter here.
        let place = |name: &StrBytes, indexes: &[i32]| Place {
            name: Some(text(name)),
            id: TopicId::ZERO,
            partitions: indexes.iter().map(|index| (*index, None)).collect(),
        };
        let fetches: Vec<(Fetch, Option<Places>)> = if to.version >= MANY_GROUPS {
            let places = |topics: &Vec<OffsetFetchRequestTopics>| {
                topics.iter().map(|topic| place(&topic.name, &topic.partition_indexes)).collect()
            };
            let fetch = |group: &OffsetFetchRequestGroup| {
                let member = maybe_text(group.member_id.as_ref());
                let fetch = Fetch { group: text(&group.group_id), member, epoch: group.member_epoch, topics: None };
                (fetch, group.topics.as_ref().map(places))
            };
            request.groups.iter().map(fetch).collect()
        } else {
            let places = |topics: &Vec<OffsetFetchRequestTopic>| {
                topics.iter().map(|topic| place(&topic.name, &topic.partition_indexes)).collect()
            };
            let fetch = Fetch { group: text(&request.group_id), member: None, epoch: -1, topics: None };
            vec![(fetch, request.topics.as_ref().map(places))]
        };
        self.fetch_offsets(out, to, fetches);
    }

    pub(in crate::kafka) fn offset_fetch_by_id(&mut self, out: &mut Out, to: ReplyTo, request: offsets_by_id::Fetch) {
        let fetch = |group: offsets_by_id::FetchGroup| {
            let place = |(id, indexes): (TopicId, Vec<i32>)| {
                let mut place = self.place_by_id(id, indexes.into_iter());
                if place.name.is_some() {
                    place.partitions.iter_mut().for_each(|(_, code)| *code = None);
                }
                place
            };
            let places = group.topics.map(|topics| topics.into_iter().map(place).collect());
            let member = maybe_text(group.member.as_ref());
            (Fetch { group: text(&group.group), member, epoch: group.epoch, topics: None }, places)
        };
        let fetches = request.groups.into_iter().map(fetch).collect();
        self.fetch_offsets(out, to, fetches);
    }

    /// Asks for the offsets of the topics that are known.
    fn fetch_offsets(&mut self, out: &mut Out, to: ReplyTo, fetches: Vec<(Fetch, Option<Places>)>) {
        let (mut groups, mut questions) = (Vec::with_capacity(fetches.len()), Vec::with_capacity(fetches.len()));
        let mut named_groups = NamedGroups::new();
        for (mut fetch, places) in fetches {
            let named =
                |place: &Place| Some((place.name.clone()?, place.partitions.iter().map(|(index, _)| *index).collect()));
            fetch.topics = places.as_ref().map(|places| places.iter().filter_map(named).collect());
            groups.push(AskedGroup { group: fetch.group.clone(), places });
            let is_admitted = named_groups.admit(fetch.group.clone());
            let log = if is_admitted { self.coordinator_of(&fetch.group) } else { Err(error::INVALID_REQUEST) };
            questions.push(log.map(|log| (log, Request::Fetch(fetch))));
        }
        self.coordinate(out, to, What::Fetch(groups), questions);
    }

    pub(in crate::kafka) fn offset_delete(&mut self, out: &mut Out, to: ReplyTo, request: OffsetDeleteRequest) {
        let (mut places, mut topics) = (Places::new(), Vec::new());
        for topic in &request.topics {
            let place = self.place(&topic.name, topic.partitions.iter().map(|one| one.partition_index));
            let known = place.partitions.iter().filter(|(_, code)| code.is_none()).map(|(index, _)| *index).collect();
            topics.push((text(&topic.name), known));
            places.push(place);
        }
        let question = self
            .coordinator_of_named(&request.group_id)
            .map(|log| (log, Request::DeleteOffsets(DeleteOffsets { group: text(&request.group_id), topics })));
        self.coordinate(out, to, What::DeleteOffsets(places), vec![question]);
    }
}

/// Each partition's code: its own, the coordinator's, which come in the order of the request, or that of the whole.
fn fill(
    places: Places,
    result: Result<Vec<(Text, Vec<PartitionResult>)>, i16>,
) -> impl Iterator<Item = (Option<Text>, TopicId, Vec<(i32, i16)>)> {
    let (whole, results) = match result {
        Ok(topics) => (None, topics),
        Err(code) => (Some(code), Vec::new()),
    };
    let mut results = results.into_iter().flat_map(|(_, partitions)| partitions);
    places.into_iter().map(move |Place { name, id, partitions }| {
        let code = |(index, code): (i32, Option<i16>)| {
            let code = code.or(whole).unwrap_or_else(|| {
                let (answered, result) = results.next().expect("each partition is answered");
                assert_eq!(answered, index, "in the order of the request");
                code_of(&result)
            });
            (index, code)
        };
        (name, id, partitions.into_iter().map(code).collect())
    })
}

pub(super) fn committed(version: i16, places: Places, part: Part) -> OffsetCommitResponse {
    let result = match part {
        Ok(response) => match *response {
            Response::Commit(result) => result.map_err(group_code),
            other => unreachable!("{other:?} answers no OffsetCommit"),
        },
        Err(code) => Err(code),
    };
    let topics = fill(places, result).map(|(name, id, partitions)| {
        let partition =
            |(index, code)| OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code);
        let topic =
            OffsetCommitResponseTopic::default().with_partitions(partitions.into_iter().map(partition).collect());
        if version >= BY_ID {
            topic.with_topic_id(topic_uuid(id))
        } else {
            topic.with_name(topic_name(&name.unwrap_or_default()))
        }
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

pub(super) fn deleted(places: Places, part: Part) -> OffsetDeleteResponse {
    let result = match part {
        Ok(response) => match *response {
            Response::DeleteOffsets(result) => result.map_err(group_code),
            other => unreachable!("{other:?} answers no OffsetDelete"),
        },
        Err(code) => Err(code),
    };
    if let Err(code) = result {
        return OffsetDeleteResponse::default().with_error_code(code);
    }
    let topics = fill(places, result).map(|(name, _, partitions)| {
        let partition =
            |(index, code)| OffsetDeleteResponsePartition::default().with_partition_index(index).with_error_code(code);
        OffsetDeleteResponseTopic::default()
            .with_name(topic_name(&name.unwrap_or_default()))
            .with_partitions(partitions.into_iter().map(partition).collect())
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}

/// What was fetched of a group, or the code of why not.
type FetchedGroup = Result<Vec<(Text, Vec<FetchedOffset>)>, i16>;

fn fetched_group(part: Part) -> FetchedGroup {
    match *part? {
        Response::Fetch { result, .. } => result.map_err(|refusal: Refusal| group_code(refusal)),
        other => unreachable!("{other:?} answers no OffsetFetch"),
    }
}

/// Bytes of metadata that an answer may still have. A partition may be named again and again, in four bytes, and its metadata
/// take four thousand.
struct Room(usize);

impl Room {
    fn new() -> Room {
        Room(LIST_BYTES_MAX)
    }

    /// A partition of the answer; it is refused if there is no more room.
    fn admit(&mut self, one: FetchedOffset) -> (i32, CommittedOffset, i16) {
        let committed = one.committed.unwrap_or_else(nothing);
        if self.0 == 0 {
            return (one.partition, nothing(), error::INVALID_REQUEST);
        }
        self.0 = self.0.saturating_sub(committed.metadata.len());
        (one.partition, committed, error::NONE)
    }
}

/// What a topic's partitions are answered with.
struct Told {
    name: Text,
    id: TopicId,
    partitions: ToldOf,
}

/// What is known of the partitions of a topic.
enum ToldOf {
    Offsets(std::vec::IntoIter<FetchedOffset>),
    /// Nothing, for this reason each.
    Codes(std::vec::IntoIter<(i32, i16)>),
}

impl ToldOf {
    fn len(&self) -> usize {
        match self {
            ToldOf::Offsets(offsets) => offsets.len(),
            ToldOf::Codes(codes) => codes.len(),
        }
    }

    /// Index, offset, leader epoch, metadata, code.
    fn next(&mut self, room: &mut Room) -> Option<(i32, CommittedOffset, i16)> {
        match self {
            ToldOf::Offsets(offsets) => offsets.next().map(|one| room.admit(one)),
            ToldOf::Codes(codes) => codes.next().map(|(index, code)| (index, nothing(), code)),
        }
    }
}

/// What there is of a partition of which nothing is known.
fn nothing() -> CommittedOffset {
    CommittedOffset { offset: -1, leader_epoch: -1, metadata: Text::default() }
}

/// What the coordinator has said of a group, and where that goes: in the places of the request, or as it is.
struct Answered {
    answer: OffsetFetchResponseGroup,
    places: Option<std::vec::IntoIter<Place>>,
    topics: std::vec::IntoIter<(Text, Vec<FetchedOffset>)>,
    told: Vec<Told>,
}

impl Answered {
    fn new(
        answer: OffsetFetchResponseGroup,
        places: Option<Places>,
        topics: Vec<(Text, Vec<FetchedOffset>)>,
    ) -> Answered {
        Answered { answer, places: places.map(Vec::into_iter), topics: topics.into_iter(), told: Vec::new() }
    }

    /// A group of which nothing is told but this.
    fn refused(answer: OffsetFetchResponseGroup, code: i16) -> Answered {
        Answered::new(answer.with_error_code(code), None, Vec::new())
    }

    /// Puts the next topic in its place. Of all topics those have no id that are gone. False: there is none.
    fn place(&mut self, view: &View, version: i16) -> bool {
        let Some(places) = &mut self.places else {
            let Some((name, partitions)) = self.topics.next() else { return false };
            let known = if version >= BY_ID { view.by_name(&name) } else { None };
            let id = known.map_or(TopicId::ZERO, |topic| topic.id);
            if version < BY_ID || id != TopicId::ZERO {
                self.told.push(Told { name, id, partitions: ToldOf::Offsets(partitions.into_iter()) });
            }
            return true;
        };
        let Some(Place { name, id, partitions }) = places.next() else { return false };
        self.told.push(match name {
            Some(name) => {
                let (answered, partitions) = self.topics.next().expect("each topic is answered");
                assert_eq!(answered, name, "in the order of the request");
                Told { name, id, partitions: ToldOf::Offsets(partitions.into_iter()) }
            }
            None => {
                let refused = |(index, code): (i32, Option<i16>)| (index, code.expect("it has no name"));
                let codes: Vec<(i32, i16)> = partitions.into_iter().map(refused).collect();
                Told { name: Text::default(), id, partitions: ToldOf::Codes(codes.into_iter()) }
            }
        });
        true
    }
}

/// An OffsetFetch whose offsets are all there, and the answer to it so far.
pub(in crate::kafka) struct Telling {
    pub(in crate::kafka) nesting: Nesting,
    version: i16,
    room: Room,
    /// The answer's own list, from the beginning to the end.
    whole: Option<Behind>,
    /// Groups of which nothing has been told; before version [`MANY_GROUPS`] one without a name.
    groups: std::vec::IntoIter<Answered>,
    /// That at hand: its topics are being put in their places.
    placing: Option<Answered>,
    /// Then they are told.
    topics: Option<(std::vec::IntoIter<Told>, Behind)>,
    /// What is left of the topic at hand.
    partitions: Option<(ToldOf, Behind)>,
}

impl Telling {
    fn new(to: ReplyTo, groups: Vec<Answered>) -> Telling {
        let mut nesting = Nesting::new(to);
        let response = |groups| OffsetFetchResponse::default().with_groups(groups);
        let whole = (to.version >= MANY_GROUPS).then(|| nesting.open(groups.len(), response));
        let (version, room, groups) = (to.version, Room::new(), groups.into_iter());
        Telling { nesting, version, room, whole, groups, placing: None, topics: None, partitions: None }
    }

    /// Tells on, for about `left` partitions. True if all has been told.
    pub(in crate::kafka) fn tell_on(&mut self, view: &View, left: &mut usize) -> bool {
        while *left > 0 {
            *left -= 1;
            if self.partitions.is_some() {
                self.tell_partitions(left);
            } else if let Some((topics, _)) = &mut self.topics {
                match topics.next() {
                    Some(told) => self.begin_topic(told),
                    None => {
                        let (_, behind) = self.topics.take().expect("seen above");
                        self.nesting.close(behind);
                    }
                }
            } else if let Some(placing) = &mut self.placing {
                if !placing.place(view, self.version) {
                    self.begin_group();
                }
            } else {
                self.placing = self.groups.next();
                if self.placing.is_none() {
                    self.whole.take().into_iter().for_each(|behind| self.nesting.close(behind));
                    return true;
                }
            }
        }
        false
    }

    /// All topics of the group at hand have their places.
    fn begin_group(&mut self) {
        let Answered { answer, told, .. } = self.placing.take().expect("the caller has seen it");
        let count = told.len();
        let behind = if self.version >= MANY_GROUPS {
            self.nesting.open(count, |topics| answer.clone().with_topics(topics))
        } else {
            self.nesting.open(count, |topics| OffsetFetchResponse::default().with_topics(topics))
        };
        self.topics = Some((told.into_iter(), behind));
    }

    fn begin_topic(&mut self, Told { name, id, partitions }: Told) {
        let (version, count) = (self.version, partitions.len());
        let behind = if version >= BY_ID {
            let topic = OffsetFetchResponseTopics::default().with_topic_id(topic_uuid(id));
            self.nesting.open(count, |partitions| topic.clone().with_partitions(partitions))
        } else if version >= MANY_GROUPS {
            let topic = OffsetFetchResponseTopics::default().with_name(topic_name(&name));
            self.nesting.open(count, |partitions| topic.clone().with_partitions(partitions))
        } else {
            let topic = OffsetFetchResponseTopic::default().with_name(topic_name(&name));
            self.nesting.open(count, |partitions| topic.clone().with_partitions(partitions))
        };
        self.partitions = Some((partitions, behind));
    }

    /// Tells of the topic at hand.
    fn tell_partitions(&mut self, left: &mut usize) {
        let (mut partitions, behind) = self.partitions.take().expect("the caller has seen it");
        while let Some((index, committed, code)) = partitions.next(&mut self.room) {
            if self.version >= MANY_GROUPS {
                self.nesting.put(&told_of_many(index, &committed, code));
            } else {
                self.nesting.put(&told_of_one(self.version, index, &committed, code));
            }
            *left = left.saturating_sub(1);
            if *left == 0 && partitions.len() > 0 {
                self.partitions = Some((partitions, behind));
                return;
            }
        }
        self.nesting.close(behind);
    }
}

/// What coordinators said of groups; or a code for all of it.
pub(super) fn fetched(to: ReplyTo, groups: Vec<AskedGroup>, parts: impl Iterator<Item = Part>) -> Result<Telling, i16> {
    let mut groups = groups.into_iter().zip(parts.map(fetched_group));
    if to.version >= MANY_GROUPS {
        let groups = groups.map(|(AskedGroup { group, places }, result)| {
            let answer = OffsetFetchResponseGroup::default().with_group_id(wire(&group).into());
            match result {
                Ok(topics) => Answered::new(answer, places, topics),
                Err(code) => Answered::refused(answer, code),
            }
        });
        return Ok(Telling::new(to, groups.collect()));
    }
    let (AskedGroup { places, .. }, result) = groups.next().expect("one group was asked for");
    let answer = OffsetFetchResponseGroup::default();
    let answered = match result {
        Ok(topics) => Answered::new(answer, places, topics),
        Err(code) if to.version >= WHOLE_CODE => return Err(code),
        // Version 1 has codes for partitions alone.
        Err(code) => {
            Answered { told: refuse_all(places.unwrap_or_default(), code), ..Answered::new(answer, None, Vec::new()) }
        }
    };
    Ok(Telling::new(to, vec![answered]))
}

/// All partitions with one code.
fn refuse_all(places: Places, code: i16) -> Vec<Told> {
    let told = |Place { name, id, partitions }: Place| {
        let codes: Vec<(i32, i16)> = partitions.into_iter().map(|(index, _)| (index, code)).collect();
        Told { name: name.unwrap_or_default(), id, partitions: ToldOf::Codes(codes.into_iter()) }
    };
    places.into_iter().map(told).collect()
}

fn told_of_one(version: i16, index: i32, committed: &CommittedOffset, code: i16) -> OffsetFetchResponsePartition {
    OffsetFetchResponsePartition::default()
        .with_partition_index(index)
        .with_committed_offset(committed.offset)
        .with_committed_leader_epoch(if version >= LEADER_EPOCHS { committed.leader_epoch } else { -1 })
        .with_metadata(Some(wire(&committed.metadata)))
        .with_error_code(code)
}

fn told_of_many(index: i32, committed: &CommittedOffset, code: i16) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions::default()
        .with_partition_index(index)
        .with_committed_offset(committed.offset)
        .with_committed_leader_epoch(committed.leader_epoch)
        .with_metadata(Some(wire(&committed.metadata)))
        .with_error_code(code)
}
