//! Kafka's clients: requests in, questions to the owners of partitions out, answers back in the order of requests.

mod all_topics;
mod brokers;
mod configs;
mod expiry;
mod fetch;
mod groups;
mod leaders;
mod lines;
mod log_dirs;
mod makings;
mod metadata;
mod moves;
mod named_topics;
mod offsets;
mod openings;
mod produce;
mod refusals;
mod repeats;
mod sessions;
mod topic_partitions;
mod topics;
mod view;

pub use configs::DECOMMISSION;
pub use refusals::code;
pub use view::View;

use crate::allowance::Part;
use crate::complaints::{Complaint, Complaints};
use crate::conns::Conns;
use crate::mail::{Admin, Answer, Ask, Mail, Token};
use crate::outbox::{Piece, SlotId};
use crate::packer::Packer;
use crate::settings::Settings;
use crate::stages::Path;
use crate::stats::{Stats, add};
use expiry::Expiry;
use sessions::Sessions;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use torc_base::buf::{Buf, BufMut};
use torc_base::ids::{ConnId, GroupId, Place};
use torc_base::io::{Level, Op};
use torc_base::time::{Mono, Now};
use torc_net::foreign::by_first_bytes;
use torc_net::kafka::schema::FindCoordinatorRequest;
use torc_net::kafka::{self, Bad, Encodable, Header, HeaderVersion, Request};

/// What a call may leave behind.
pub struct Out<'a> {
    pub now: Now,
    pub ops: &'a mut Vec<Op<Mail>>,
    pub asks: &'a mut VecDeque<(Place, Token, Ask)>,
    pub conns: &'a mut Conns,
}

/// A request that waits for answers of owners.
struct Pending {
    to: ReplyTo,
    what: Waiting,
    /// When it is answered with what is there: [`expiry::NEVER`] if the request names no time.
    expires: Mono,
}

/// Where an answer goes, and in which words.
#[derive(Clone, Copy, Debug)]
struct ReplyTo {
    conn: ConnId,
    slot: SlotId,
    api: i16,
    version: i16,
    correlation: i32,
    /// Bytes of the request.
    bytes: usize,
}

/// What a waiting request has so far.
enum Waiting {
    Produce(produce::Gather),
    Fetch(Box<fetch::Gather>),
    ListOffsets(offsets::ListGather),
    EpochEnds(offsets::EpochGather),
    DeleteRecords(topics::DeleteRecordsGather),
    LogDirs(log_dirs::Gather),
    ProducerId,
    Admin(topics::AdminGather),
    /// Metadata that waits for topics to be made.
    Metadata(Box<metadata::Waiting>),
    /// FindCoordinator that waits for the coordinators' topic to be made.
    FindCoordinator(Box<FindCoordinatorRequest>),
    /// ElectLeaders and DescribeQuorum, which wait for leaders on this node and others.
    Elect(leaders::ElectGather),
    Quorum(leaders::QuorumGather),
    /// A request that waits for coordinators.
    Coordinate(Box<groups::Gather>),
}

/// The Kafka side of one shard.
pub struct Kafka {
    settings: Arc<Settings>,
    stats: Arc<Stats>,
    pub view: View,
    all_topics: all_topics::AllTopics,
    sessions: Sessions,
    openings: openings::Openings,
    pending: BTreeMap<Token, Pending>,
    /// Fetches that wait for records, by when they are answered without.
    deadlines: BTreeSet<(Mono, Token)>,
    /// When other requests are looked at that name a time.
    expiry: Expiry,
    /// Fetches of connections that have one under way, or an answer that has not left.
    fetches: BTreeMap<ConnId, fetch::ConnFetches>,
    parked: fetch::Parked,
    long_fetches: fetch::LongFetches,
    /// Requests for long lists, which wait for memory for their answers, too; and those of which nobody knows whether they
    /// are long.
    lists: lines::Line,
    unknown: lines::Line,
    /// Other requests that name many partitions.
    many: lines::Line,
    /// Answers that are made over turns.
    makings: makings::Makings,
    /// Connections whose answers were taken back, by what the log is asked for again.
    rereads: BTreeMap<Token, ConnId>,
    /// Bytes of produced requests whose connections are gone, while the log has not answered.
    orphans: BTreeMap<Token, usize>,
    /// Requests that name many groups, of which more are to be asked for.
    asks_on: VecDeque<Token>,
    asks_part: Part,
    /// ElectLeaders requests that wait.
    elections: BTreeSet<Token>,
    next_token: u64,
    packer: Packer,
    complaints: Complaints,
    draining: bool,
}

impl Kafka {
    /// No connections, no topics.
    pub fn new(settings: Arc<Settings>, stats: Arc<Stats>) -> Kafka {
        Kafka {
            view: View::default(),
            all_topics: all_topics::AllTopics::default(),
            sessions: Sessions::new(settings.fetch_sessions, settings.seed),
            openings: openings::Openings::default(),
            pending: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            expiry: Expiry::default(),
            fetches: BTreeMap::new(),
            parked: fetch::Parked::default(),
            long_fetches: fetch::LongFetches::default(),
            lists: lines::Line::default(),
            unknown: lines::Line::default(),
            many: lines::Line::default(),
            makings: makings::Makings::default(),
            rereads: BTreeMap::new(),
            orphans: BTreeMap::new(),
            asks_on: VecDeque::new(),
            asks_part: Part::default(),
            elections: BTreeSet::new(),
            next_token: 0,
            packer: Packer::new(),
            complaints: Complaints::default(),
            draining: false,
            settings,
            stats,
        }
    }

    /// A send of a connection has ended: its next fetch may begin.
    pub fn sent(&mut self, out: &mut Out, conn: ConnId) {
        self.next_fetch(out, conn);
    }

    /// A client sends no more, which is nearly always its end: those of its requests that wait for records are answered with
    /// what there is.
    pub fn ended(&mut self, out: &mut Out, waiting: Vec<Token>) {
        for token in waiting {
            self.fetch_timeout(out, token);
        }
    }

    /// A connection is gone, and with it the answers that it waits for.
    pub fn closed(&mut self, out: &mut Out, conn: ConnId) {
        self.openings.forget(conn);
        self.fetches.remove(&conn);
        let (pending, orphans) = (&self.pending, &mut self.orphans);
        let tokens = out.conns.closed(conn, |tokens| {
            for token in tokens {
                if let Some(Pending { to, what: Waiting::Produce(gather), .. }) = pending.get(token)
                    && gather.is_with_owners()
                {
                    orphans.insert(*token, to.bytes);
                }
            }
            tokens.iter().filter_map(|token| orphans.get(token)).sum()
        });
        for token in tokens {
            match self.pending.remove(&token).map(|pending| pending.what) {
                Some(Waiting::Fetch(gather)) => self.forget_fetch(out, token, &gather),
                Some(Waiting::ListOffsets(gather)) => self.forget_list_offsets(out, token, &gather),
                Some(Waiting::Coordinate(gather)) => gather.forget(out, token),
                _ => {}
            }
        }
    }

    /// What came is no frame: its length says so.
    pub fn bad_length(&mut self, out: &mut Out, conn: ConnId, length: i32) {
        let complaint = match by_first_bytes(length.to_be_bytes()) {
            Some(foreign) => Complaint::Foreign(foreign),
            None => Complaint::Length,
        };
        add(&self.stats.requests_malformed_total, 1);
        match complaint {
            Complaint::Foreign(foreign) => self.close_with(out, conn, complaint, &foreign),
            _ => {
                let why = format_args!("a frame of {length} bytes (socket.request.max.bytes)");
                self.close_with(out, conn, complaint, &why);
            }
        }
    }

    /// Closes a connection that cannot go on, and says why if there have not been many such lines.
    fn close_with(&mut self, out: &mut Out, conn: ConnId, complaint: Complaint, why: &dyn std::fmt::Display) {
        if let Some(text) = self.complaints.line(out.now.mono, complaint, conn, why) {
            out.ops.push(Op::Log { level: Level::Warn, text });
        }
        out.conns.close(conn, out.ops);
    }

    /// A request, as it came.
    pub fn frame(&mut self, out: &mut Out, conn: ConnId, frame: BufMut) {
        let frame_bytes = frame.len();
        match kafka::decode(frame) {
            Ok((header, request)) => {
                add(&self.stats.requests_total, 1);
                let slot = out.conns.open_slot(out.now.mono, conn, header.api, frame_bytes);
                let Header { api, version, correlation, .. } = header;
                let to = ReplyTo { conn, slot, api, version, correlation, bytes: frame_bytes };
                match request {
                    // The requests whose answers depend on who the client says it is.
                    Request::JoinGroup(join) => self.join_group(out, to, header.client_id, join),
                    Request::ConsumerGroupHeartbeat(beat) => {
                        self.consumer_group_heartbeat(out, to, header.client_id, beat);
                    }
                    request => self.request(out, to, request),
                }
            }
            Err(Bad::ApiVersionsUnknown { correlation, .. }) => {
                let slot = out.conns.open_slot(out.now.mono, conn, kafka::api::API_VERSIONS, frame_bytes);
                kafka::encode_api_versions_refusal(correlation, &mut self.packer.scratch);
                let reply = self.packer.take_scratch();
                out.conns.answer(conn, slot, vec![Piece::Bytes(reply)], Path::Other);
            }
            Err(bad) => {
                add(&self.stats.requests_malformed_total, 1);
                let complaint = match bad {
                    Bad::Foreign(foreign) => Complaint::Foreign(foreign),
                    Bad::Unsupported { .. } => Complaint::Unsupported,
                    _ => Complaint::Malformed,
                };
                self.close_with(out, conn, complaint, &bad);
            }
        }
    }

    fn serve(&mut self, out: &mut Out, to: ReplyTo, request: Request) {
        match request {
            Request::Produce(request) => self.produce(out, to, request, to.bytes),
            Request::Fetch(request) => self.fetch(out, to, request),
            Request::ListOffsets(request) => self.list_offsets(out, to, request),
            Request::Metadata(request) => self.metadata(out, to, request),
            Request::ApiVersions(_) => self.reply(out, to, &kafka::api_versions(to.version)),
            Request::CreateTopics(request) => self.create_topics(out, to, request),
            Request::DeleteTopics(request) => self.delete_topics(out, to, request),
            Request::CreatePartitions(request) => self.create_partitions(out, to, request),
            Request::DeleteRecords(request) => self.delete_records(out, to, request),
            Request::InitProducerId(request) => self.init_producer_id(out, to, request),
            Request::OffsetForLeaderEpoch(request) => self.epoch_ends(out, to, request),
            Request::DescribeConfigs(request) => self.describe_configs(out, to, request),
            Request::AlterConfigs(request) => self.alter_configs(out, to, request),
            Request::IncrementalAlterConfigs(request) => self.incremental_alter_configs(out, to, request),
            Request::ListConfigResources(request) => self.list_config_resources(out, to, &request),
            Request::DescribeTopicPartitions(request) => self.describe_topic_partitions(out, to, &request),
            Request::ElectLeaders(request) => self.elect_leaders(out, to, request),
            Request::AlterPartitionReassignments(request) => self.alter_partition_reassignments(out, to, request),
            Request::ListPartitionReassignments(request) => self.list_partition_reassignments(out, to, &request),
            Request::DescribeQuorum(request) => self.describe_quorum(out, to, request),
            Request::DescribeCluster(request) => self.describe_cluster(out, to, request),
            Request::DescribeLogDirs(request) => self.describe_log_dirs(out, to, request),
            Request::FindCoordinator(request) => self.find_coordinator(out, to, request),
            Request::JoinGroup(_) | Request::ConsumerGroupHeartbeat(_) => {
                unreachable!("taken up with its client's id")
            }
            Request::ConsumerGroupDescribe(request) => self.consumer_group_describe(out, to, request),
            Request::SyncGroup(request) => self.sync_group(out, to, request),
            Request::Heartbeat(request) => self.heartbeat(out, to, request),
            Request::LeaveGroup(request) => self.leave_group(out, to, request),
            Request::OffsetCommit(request) => self.offset_commit(out, to, request),
            Request::OffsetFetch(request) => self.offset_fetch(out, to, request),
            Request::OffsetCommitById(request) => self.offset_commit_by_id(out, to, request),
            Request::OffsetFetchById(request) => self.offset_fetch_by_id(out, to, request),
            Request::OffsetDelete(request) => self.offset_delete(out, to, request),
            Request::DescribeGroups(request) => self.describe_groups(out, to, request),
            Request::ListGroups(request) => self.list_groups(out, to, request),
            Request::DeleteGroups(request) => self.delete_groups(out, to, request),
        }
    }

    /// Answers with one of the schema crate's messages.
    fn reply<T: Encodable + HeaderVersion>(&mut self, out: &mut Out, to: ReplyTo, response: &T) {
        if let Some(reply) = self.encoded(out, to, response) {
            Self::charge_answer(out, to, reply.len());
            self.answer_with(out, to, Some(reply), Path::Other);
        }
    }

    /// A message as a frame. `None`: it cannot be one, and the connection is closed.
    fn encoded<T: Encodable + HeaderVersion>(&mut self, out: &mut Out, to: ReplyTo, response: &T) -> Option<Buf> {
        let scratch = &mut self.packer.scratch;
        match kafka::encode(response, to.api, to.version, to.correlation, scratch) {
            Ok(()) => Some(self.packer.take_scratch()),
            Err(error) => {
                self.close_with(out, to.conn, Complaint::Answer, &error);
                None
            }
        }
    }

    /// `None`: the client waits for nothing.
    fn answer_with(&mut self, out: &mut Out, to: ReplyTo, reply: Option<Buf>, path: Path) {
        out.conns.answer(to.conn, to.slot, reply.map(Piece::Bytes).into_iter().collect(), path);
    }

    /// Lets a request wait; its answers carry the token.
    fn wait(&mut self, out: &mut Out, to: ReplyTo, what: Waiting) -> Token {
        self.wait_until(out, expiry::NEVER, to, what)
    }

    /// The same, but at `expires` it is answered with what is there.
    fn wait_until(&mut self, out: &mut Out, expires: Mono, to: ReplyTo, what: Waiting) -> Token {
        let token = self.token();
        out.conns.add_token(to.conn, token);
        self.expiry.note(expires);
        self.pending.insert(token, Pending { to, what, expires });
        token
    }

    /// Answers the requests whose own time is up.
    fn expire(&mut self, out: &mut Out) {
        let pending = self.pending.iter().map(|(token, pending)| (*token, pending.expires));
        for token in self.expiry.look(out.now.mono, pending) {
            match self.pending.get(&token).expect("it waits").what {
                Waiting::Produce(ref gather) => {
                    // The log has its records all the same, and they take their memory until it answers.
                    if gather.is_with_owners() {
                        let bytes = self.pending[&token].to.bytes;
                        out.conns.keep(bytes);
                        self.orphans.insert(token, bytes);
                    }
                    self.finish_produce(out, token);
                }
                Waiting::ListOffsets(_) => self.finish_list_offsets(out, token),
                Waiting::DeleteRecords(_) => self.finish_delete_records(out, token),
                Waiting::Admin(_) => self.admin_timeout(out, token),
                Waiting::Metadata(_) => self.finish_metadata(out, token, None),
                Waiting::ProducerId => {
                    // The code that has clients come again.
                    self.finish_producer_id(out, token, Err(kafka::error::COORDINATOR_LOAD_IN_PROGRESS));
                }
                Waiting::FindCoordinator(_) => self.finish_find_coordinator(out, token),
                Waiting::Elect(_) => self.finish_elect(out, token),
                Waiting::Quorum(_) => self.finish_quorum(out, token),
                Waiting::Fetch(_) | Waiting::EpochEnds(_) | Waiting::LogDirs(_) | Waiting::Coordinate(_) => {
                    unreachable!("these name no time, or have one of their own")
                }
            }
        }
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    /// Takes a request out whose answers are all there.
    fn done(&mut self, out: &mut Out, token: Token) -> Pending {
        let pending = self.pending.remove(&token).expect("it waited");
        out.conns.remove_token(pending.to.conn, token);
        pending
    }

    /// Asks the catalog's owner for a change.
    fn ask_admin(&mut self, out: &mut Out, to: ReplyTo, expires: Mono, admin: Admin, gather: topics::AdminGather) {
        let token = self.wait_until(out, expires, to, Waiting::Admin(gather));
        out.asks.push_back((self.settings.owner(GroupId::CATALOG), token, Ask::Admin(admin)));
    }

    /// What leaders on this node or on others answer; others may answer what nobody asked them.
    pub fn answer_from_leader(&mut self, out: &mut Out, token: Token, answer: Answer) {
        match answer {
            Answer::Elected(results) => self.elected(token, results),
            Answer::Quorums(quorums) => self.told_quorums(out, token, quorums),
            _ => {}
        }
        self.turn_elections(out);
    }

    /// An answer, or a part of one. What it was for may be gone with its connection.
    pub fn answer(&mut self, out: &mut Out, token: Token, answer: Answer) {
        if matches!(answer, Answer::Elected(_) | Answer::Quorums(_)) {
            return self.answer_from_leader(out, token, answer);
        }
        let Some(pending) = self.pending.get_mut(&token) else { return self.unasked(out, token, answer) };
        match (&mut pending.what, answer) {
            (Waiting::Produce(gather), Answer::Produced(parts)) => {
                if gather.take(parts) {
                    self.finish_produce(out, token);
                }
            }
            (Waiting::Fetch(_), answer @ (Answer::Fetched(_) | Answer::Wake { .. })) => {
                self.fetch_answer(out, token, answer)
            }
            (Waiting::ListOffsets(gather), Answer::Offsets(parts)) => {
                if gather.take(parts) {
                    self.finish_list_offsets(out, token);
                }
            }
            (Waiting::EpochEnds(gather), Answer::EpochEnds(parts)) => {
                if gather.take(parts) {
                    self.finish_epoch_ends(out, token);
                }
            }
            (Waiting::DeleteRecords(gather), Answer::Deleted(parts)) => {
                if gather.take(parts) {
                    self.finish_delete_records(out, token);
                }
            }
            (Waiting::LogDirs(gather), Answer::Sizes(parts)) => {
                if gather.take(parts) {
                    self.finish_log_dirs(out, token);
                }
            }
            (Waiting::ProducerId, Answer::ProducerId(result)) => self.finish_producer_id(out, token, result),
            (Waiting::Admin(_), Answer::Admin(results)) => self.finish_admin(out, token, results),
            (Waiting::FindCoordinator(_), Answer::Admin(_)) => self.finish_find_coordinator(out, token),
            (Waiting::Coordinate(gather), Answer::Coordinated { position, result }) => {
                if gather.take(position, result) {
                    match gather.has_more() {
                        true => self.asks_on.push_back(token),
                        false => self.finish_coordinate(out, token),
                    }
                }
            }
            (Waiting::Metadata(_), Answer::Admin(results)) => self.finish_metadata(out, token, Some(results)),
            (_, answer) => panic!("{answer:?} does not answer what was asked"),
        }
    }

    /// An answer that no request waits for: its connection was slow, or is gone.
    fn unasked(&mut self, out: &mut Out, token: Token, answer: Answer) {
        if let Some(conn) = self.rereads.remove(&token) {
            let Answer::Fetched(mut parts) = answer else { panic!("{answer:?} does not answer what was asked") };
            let (_, fetched) = parts.pop().expect("one partition was asked for");
            self.reread(out, conn, fetched);
        } else if let Some(bytes) = self.orphans.remove(&token) {
            out.conns.give(bytes);
        }
    }

    /// End of a turn: requests whose time is up, or that waited for memory.
    pub fn turn(&mut self, out: &mut Out) {
        while let Some(&(at, token)) = self.deadlines.first()
            && at <= out.now.mono
        {
            self.deadlines.pop_first();
            self.fetch_timeout(out, token);
        }
        self.expire(out);
        for text in self.complaints.left_out(out.now.mono) {
            out.ops.push(Op::Log { level: Level::Warn, text });
        }
        self.turn_elections(out);
        self.open_compressed(out);
        self.retry_parked(out);
        self.turn_fetches(out);
        self.turn_coordinates(out);
        self.turn_makings(out);
        self.turn_lines(out);
        self.turn_all_topics(out);
    }

    /// When the next turn is due at the latest.
    pub fn deadline(&self, conns: &Conns) -> Option<Mono> {
        let fetch = self.deadlines.first().map(|(at, _)| *at);
        let expiry = self.expiry.due().filter(|_| !self.pending.is_empty());
        let making = self.all_topics.is_due() || self.makings.is_due() || !self.asks_on.is_empty();
        let waits =
            self.openings.is_due() || self.lines_are_due(conns) || self.parked.is_due || self.long_fetches.is_due();
        let next_turn = (waits || making).then_some(Mono(0));
        [fetch, next_turn, expiry, self.complaints.due()].into_iter().flatten().min()
    }

    /// Requests that were sent before are still taken; fetches that wait for records are answered now.
    pub fn drain(&mut self, out: &mut Out) {
        self.draining = true;
        let waiting: Vec<Token> = self.deadlines.iter().map(|(_, token)| *token).collect();
        self.deadlines.clear();
        for token in waiting {
            self.fetch_timeout(out, token);
        }
    }

    /// True when nothing waits any more.
    pub fn is_drained(&self) -> bool {
        self.draining && self.pending.is_empty()
    }
}
