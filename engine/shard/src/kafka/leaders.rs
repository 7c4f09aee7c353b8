//! ElectLeaders and DescribeQuorum: what only the leaders of partitions can do or know. They may be on other nodes; one
//! that does not answer in time is answered for.

use super::brokers::broker_id;
use super::repeats::repeated;
use super::{Kafka, Out, ReplyTo, Waiting, expiry, view};
use crate::mail::{Ask, HandOver, Quorum, Token};
use crate::settings::shard_of;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use torc_base::ids::{GroupId, NodeId, Place};
use torc_net::kafka::schema::describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData};
use torc_net::kafka::schema::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use torc_net::kafka::schema::{
    BrokerId, DescribeQuorumRequest, DescribeQuorumResponse, ElectLeadersRequest, ElectLeadersResponse, TopicName,
};
use torc_net::kafka::{StrBytes, error};
use torc_state::catalog::Topic;

/// Types of elections.
const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;
/// How long leaders may take to tell how far their replicas are.
const DESCRIBE_MS: i32 = 3_000;
/// The name by which Kafka's clients ask for the quorum of the controllers.
const METADATA: &str = "__cluster_metadata";
const UNCLEAN_REFUSED: StrBytes = StrBytes::from_static_str(
    "Unclean elections are never held: a replica that lacks committed records would lose them for all. A partition without \
     a leader gets one as soon as a majority of its replicas is there.",
);

/// An ElectLeaders request whose answer is being put together.
pub(super) struct ElectGather {
    response: ElectLeadersResponse,
    /// Partitions that are to be led by a node, with their places in the response; `None`: settled.
    places: Vec<Option<(usize, usize, GroupId, NodeId)>>,
    /// All partitions were asked for: those that need nothing are left out.
    all: bool,
}

/// A DescribeQuorum request whose answer is being put together.
pub(super) struct QuorumGather {
    response: DescribeQuorumResponse,
    places: Vec<(usize, usize)>,
    waiting: usize,
}

impl ElectGather {
    fn settle(&mut self, position: usize, code: i16) {
        if let Some((topic, partition, ..)) = self.places.get_mut(position).and_then(Option::take) {
            let place = &mut self.response.replica_election_results[topic].partition_result[partition];
            (place.error_code, place.error_message) = (code, explained(code));
        }
    }
}

fn explained(code: i16) -> Option<StrBytes> {
    let text = match code {
        error::NONE => return None,
        error::PREFERRED_LEADER_NOT_AVAILABLE => "The preferred leader cannot be reached, or is not in sync.",
        error::ELECTION_NOT_NEEDED => "Leader election not needed for topic partition.",
        error::NOT_LEADER_OR_FOLLOWER => "The leader has just changed: ask again.",
        _ => "The preferred leader does not lead yet.",
    };
    Some(StrBytes::from_static_str(text))
}

impl Kafka {
    /// Where the leader of a log is asked.
    fn place_of(&self, node: NodeId, log: GroupId) -> Option<Place> {
        if node == self.settings.node {
            return Some(self.settings.owner(log));
        }
        let shards = self.view.node(node)?.shards;
        Some(Place { node, shard: shard_of(log, shards) })
    }

    pub(super) fn elect_leaders(&mut self, out: &mut Out, to: ReplyTo, request: ElectLeadersRequest) {
        let mut gather = ElectGather {
            response: ElectLeadersResponse::default(),
            places: Vec::new(),
            all: request.topic_partitions.is_none(),
        };
        let mut asks: BTreeMap<Place, Vec<(u32, GroupId, NodeId)>> = BTreeMap::new();
        let named: Vec<(TopicName, Vec<i32>)> = match request.topic_partitions {
            Some(topics) => topics.into_iter().map(|topic| (topic.topic, topic.partitions)).collect(),
            None => {
                let all = |topic: &Arc<Topic>| (0..topic.partitions.len() as i32).collect();
                let name = |topic: &Arc<Topic>| TopicName(StrBytes::from_string(topic.name.to_string()));
                self.view.topics().map(|topic| (name(topic), all(topic))).collect()
            }
        };
        for (name, partitions) in named {
            let mut answer = ReplicaElectionResult::default().with_topic(name.clone());
            let topic = self.view.by_name(&name).cloned();
            for partition in partitions {
                let at = (gather.response.replica_election_results.len(), answer.partition_result.len());
                let wish = self.wish_of(topic.as_deref(), partition, request.election_type);
                let result = PartitionResult::default().with_partition_id(partition);
                let result = match wish {
                    Ok((place, log, node)) => {
                        asks.entry(place).or_default().push((gather.places.len() as u32, log, node));
                        gather.places.push(Some((at.0, at.1, log, node)));
                        result
                            .with_error_code(error::REQUEST_TIMED_OUT)
                            .with_error_message(explained(error::REQUEST_TIMED_OUT))
                    }
                    Err((code, text)) => result.with_error_code(code).with_error_message(text),
                };
                answer.partition_result.push(result);
            }
            gather.response.replica_election_results.push(answer);
        }
        if !matches!(request.election_type, PREFERRED | UNCLEAN) {
            gather.response.error_code = if to.version >= 1 { error::INVALID_REQUEST } else { error::NONE };
        }
        if asks.is_empty() {
            return self.answer_elect(out, to, gather);
        }
        let expires = expiry::limit(out.now.mono, request.timeout_ms);
        let token = self.wait_until(out, expires, to, Waiting::Elect(gather));
        self.elections.insert(token);
        out.asks.extend(asks.into_iter().map(|(place, parts)| (place, token, Ask::Elect(parts))));
    }

    /// Who is asked to hand a partition over, and to whom; or the code and the text of why nobody is.
    fn wish_of(
        &self,
        topic: Option<&Topic>,
        partition: i32,
        kind: i8,
    ) -> Result<(Place, GroupId, NodeId), (i16, Option<StrBytes>)> {
        let log = topic.and_then(|topic| Some((topic, view::partition(topic, partition)?)));
        let Some((topic, log)) = log else {
            let text = StrBytes::from_static_str("No such topic or partition.");
            return Err((error::UNKNOWN_TOPIC_OR_PARTITION, Some(text)));
        };
        let leader = self.view.leader(log);
        match (kind, leader) {
            (PREFERRED, _) => {}
            (UNCLEAN, Some(_)) => return Err((error::ELECTION_NOT_NEEDED, Some(UNCLEAN_REFUSED))),
            (UNCLEAN, None) => return Err((error::ELIGIBLE_LEADERS_NOT_AVAILABLE, Some(UNCLEAN_REFUSED))),
            _ => return Err((error::INVALID_REQUEST, Some(StrBytes::from_static_str("Unknown type of election.")))),
        }
        let preferred = self.settings.replicas(topic, partition as u32)[0];
        let refused = |code| (code, explained(code));
        match leader {
            Some(leader) if leader.node == preferred => Err(refused(error::ELECTION_NOT_NEEDED)),
            None => Err(refused(error::PREFERRED_LEADER_NOT_AVAILABLE)),
            Some(leader) => {
                let place = self.place_of(leader.node, log);
                Ok((place.ok_or(refused(error::NOT_LEADER_OR_FOLLOWER))?, log, preferred))
            }
        }
    }

    /// Leaders have begun to hand over, or said why not. What nobody asked is no answer.
    pub(super) fn elected(&mut self, token: Token, results: Vec<(u32, HandOver)>) {
        let Some(Waiting::Elect(gather)) = self.pending.get_mut(&token).map(|pending| &mut pending.what) else {
            return;
        };
        for (position, what) in results {
            let code = match what {
                HandOver::Begun => continue,
                HandOver::NotNeeded => error::ELECTION_NOT_NEEDED,
                HandOver::NotAvailable => error::PREFERRED_LEADER_NOT_AVAILABLE,
                HandOver::NotLeader => error::NOT_LEADER_OR_FOLLOWER,
            };
            gather.settle(position as usize, code);
        }
    }

    /// Answers elections whose leaders are there.
    pub(super) fn turn_elections(&mut self, out: &mut Out) {
        for token in self.elections.clone() {
            let Some(Waiting::Elect(gather)) = self.pending.get_mut(&token).map(|pending| &mut pending.what) else {
                self.elections.remove(&token);
                continue;
            };
            for position in 0..gather.places.len() {
                if let Some((_, _, log, node)) = gather.places[position]
                    && self.view.leader(log).is_some_and(|leader| leader.node == node)
                {
                    gather.settle(position, error::NONE);
                }
            }
            if gather.places.iter().all(Option::is_none) {
                self.finish_elect(out, token);
            }
        }
    }

    pub(super) fn finish_elect(&mut self, out: &mut Out, token: Token) {
        self.elections.remove(&token);
        let pending = self.done(out, token);
        let Waiting::Elect(gather) = pending.what else { unreachable!("it was one") };
        self.answer_elect(out, pending.to, gather);
    }

    fn answer_elect(&mut self, out: &mut Out, to: ReplyTo, gather: ElectGather) {
        let mut response = gather.response;
        if gather.all {
            for topic in &mut response.replica_election_results {
                topic.partition_result.retain(|result| result.error_code != error::ELECTION_NOT_NEEDED);
            }
            response.replica_election_results.retain(|topic| !topic.partition_result.is_empty());
        }
        self.reply(out, to, &response);
    }

    /// Kafka's clients ask for the controllers' quorum alone. Here they may ask for that of any partition.
    pub(super) fn describe_quorum(&mut self, out: &mut Out, to: ReplyTo, request: DescribeQuorumRequest) {
        let mut gather = QuorumGather { response: DescribeQuorumResponse::default(), places: Vec::new(), waiting: 0 };
        let mut asks: BTreeMap<Place, Vec<(u32, GroupId)>> = BTreeMap::new();
        let twice = repeated(request.topics.iter().map(|topic| &topic.topic_name));
        for topic in &request.topics {
            let name = &topic.topic_name;
            let mut answer = TopicData::default().with_topic_name(name.clone());
            for partition in topic.partitions.iter().map(|partition| partition.partition_index) {
                let data = PartitionData::default().with_partition_index(partition).with_leader_id(BrokerId(-1));
                let found =
                    if twice.contains(name) { Err(error::INVALID_REQUEST) } else { self.leader_of(name, partition) };
                let code = match found {
                    Ok((place, log)) => {
                        asks.entry(place).or_default().push((gather.places.len() as u32, log));
                        gather.places.push((gather.response.topics.len(), answer.partitions.len()));
                        error::REQUEST_TIMED_OUT
                    }
                    Err(code) => code,
                };
                answer.partitions.push(data.with_error_code(code));
            }
            gather.response.topics.push(answer);
        }
        gather.waiting = gather.places.len();
        if asks.is_empty() {
            return self.answer_quorum(out, to, gather);
        }
        let expires = expiry::limit(out.now.mono, DESCRIBE_MS);
        let token = self.wait_until(out, expires, to, Waiting::Quorum(gather));
        out.asks.extend(asks.into_iter().map(|(place, parts)| (place, token, Ask::Quorums(parts))));
    }

    /// Who leads a partition, or the catalog.
    fn leader_of(&self, topic: &str, partition: i32) -> Result<(Place, GroupId), i16> {
        let (log, leader) = if topic == METADATA && partition == 0 {
            let alone = self.settings.is_alone().then_some(self.settings.node);
            (GroupId::CATALOG, alone.or(self.view.controller()))
        } else {
            let log = self.view.log(topic, partition).ok_or(error::UNKNOWN_TOPIC_OR_PARTITION)?;
            (log, self.view.leader(log).map(|leader| leader.node))
        };
        let place = leader.and_then(|node| self.place_of(node, log));
        place.map(|place| (place, log)).ok_or(error::LEADER_NOT_AVAILABLE)
    }

    /// Leaders have told how far their replicas are. What nobody asked is no answer.
    pub(super) fn told_quorums(&mut self, out: &mut Out, token: Token, quorums: Vec<(u32, Option<Quorum>)>) {
        let Some(Waiting::Quorum(gather)) = self.pending.get_mut(&token).map(|pending| &mut pending.what) else {
            return;
        };
        for (position, quorum) in quorums {
            let Some((topic, partition)) = gather.places.get(position as usize) else { continue };
            let place = &mut gather.response.topics[*topic].partitions[*partition];
            if place.error_code != error::REQUEST_TIMED_OUT {
                continue;
            }
            match quorum {
                Some(quorum) => fill(place, quorum),
                None => place.error_code = error::NOT_LEADER_OR_FOLLOWER,
            }
            gather.waiting -= 1;
        }
        if gather.waiting == 0 {
            self.finish_quorum(out, token);
        }
    }

    pub(super) fn finish_quorum(&mut self, out: &mut Out, token: Token) {
        let pending = self.done(out, token);
        let Waiting::Quorum(gather) = pending.what else { unreachable!("it was one") };
        self.answer_quorum(out, pending.to, gather);
    }

    fn answer_quorum(&mut self, out: &mut Out, to: ReplyTo, gather: QuorumGather) {
        let mut response = gather.response;
        if to.version < 2 {
            let all = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            all.for_each(|partition| partition.error_message = None);
        } else {
            let partitions = || response.topics.iter().flat_map(|topic| &topic.partitions);
            let replicas = partitions().flat_map(|one| one.current_voters.iter().chain(&one.observers));
            let ids: BTreeSet<i32> = replicas.map(|replica| replica.replica_id.0).collect();
            let listener = out.conns.listener(to.conn);
            let brokers = ids.into_iter().filter_map(|id| self.broker(NodeId(id as u32), listener));
            let nodes = brokers.map(|broker| {
                let at = Listener::default()
                    .with_name(StrBytes::from_static_str("PLAINTEXT"))
                    .with_host(StrBytes::from_string(broker.host))
                    .with_port(broker.port);
                Node::default().with_node_id(broker.id).with_listeners(vec![at])
            });
            response.nodes = nodes.collect();
        }
        self.reply(out, to, &response);
    }
}

fn fill(place: &mut PartitionData, quorum: Quorum) {
    place.error_code = error::NONE;
    place.leader_id = broker_id(quorum.leader);
    place.leader_epoch = quorum.epoch.get();
    place.high_watermark = quorum.high_watermark.get();
    let lacks = quorum.members.iter().filter(|member| !member.votes && member.behind_bytes > 0);
    let lacks: Vec<String> =
        lacks.map(|member| format!("node {} lacks about {} bytes", member.node, member.behind_bytes)).collect();
    place.error_message = quorum.hold.map(|hold| {
        let text = if lacks.is_empty() { hold } else { format!("{hold}; {}", lacks.join(", ")) };
        StrBytes::from_string(text)
    });
    for member in quorum.members {
        let state = ReplicaState::default()
            .with_replica_id(broker_id(member.node))
            .with_log_end_offset(member.end.get())
            .with_last_fetch_timestamp(member.caught_up.0)
            .with_last_caught_up_timestamp(member.caught_up.0);
        if member.votes { &mut place.current_voters } else { &mut place.observers }.push(state);
    }
}
