//! Partitions on their way to other nodes, as clients ask for it, with nodes that go down meanwhile.

use super::rig::{Cluster, node};
use crate::tests::plane::{connect, ids};
use crate::tests::verbs::{name, text};
use torc_base::ids::{GroupId, NodeId, Offset};
use torc_net::kafka::error;
use torc_net::kafka::schema::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use torc_net::kafka::schema::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use torc_net::kafka::schema::describe_configs_request::DescribeConfigsResource;
use torc_net::kafka::schema::describe_quorum_request::{PartitionData, TopicData};
use torc_net::kafka::schema::describe_quorum_response::PartitionData as Told;
use torc_net::kafka::schema::elect_leaders_request::TopicPartitions;
use torc_net::kafka::schema::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use torc_net::kafka::schema::list_partition_reassignments_response::OngoingPartitionReassignment;
use torc_net::kafka::schema::{
    AlterPartitionReassignmentsRequest, BrokerId, DescribeConfigsRequest, DescribeQuorumRequest, ElectLeadersRequest,
    IncrementalAlterConfigsRequest, ListPartitionReassignmentsRequest,
};

/// The log of the first topic's first partition.
const LOG: GroupId = GroupId(GroupId::FIRST_PARTITION.0 + 1);

fn brokers(nodes: &[u32]) -> Vec<BrokerId> {
    nodes.iter().map(|id| BrokerId(*id as i32)).collect()
}

fn nodes(of: &[u32]) -> Vec<NodeId> {
    of.iter().copied().map(node).collect()
}

/// As many nodes as numbers of shards, and a topic "t" with these replicas.
pub(super) fn started(shards: &[u16], rows: &[&[u32]]) -> Cluster {
    started_with(shards, rows, |_| {})
}

pub(super) fn started_with(shards: &[u16], rows: &[&[u32]], change: impl Fn(&mut crate::Settings)) -> Cluster {
    let mut cluster = Cluster::of(shards, change);
    cluster.pass(1_000);
    let mut client = connect(&mut cluster, node(1));
    let assignments = rows.iter().zip(0..).map(|(row, partition)| {
        CreatableReplicaAssignment::default().with_partition_index(partition).with_broker_ids(brokers(row))
    });
    let new = CreatableTopic::default().with_name(name("t")).with_num_partitions(-1).with_replication_factor(-1);
    let created = client.create_topic(&mut cluster, new.with_assignments(assignments.collect()));
    assert_eq!(created.topics[0].error_code, error::NONE, "{created:?}");
    cluster.pass(200);
    cluster
}

/// Asks for other replicas, or, `None`, that those stay which there were.
pub(super) fn reassign(cluster: &mut Cluster, at: NodeId, partition: i32, target: Option<&[u32]>) -> (i16, String) {
    let mut client = connect(cluster, at);
    let one = ReassignablePartition::default().with_partition_index(partition).with_replicas(target.map(brokers));
    let topic = ReassignableTopic::default().with_name(name("t")).with_partitions(vec![one]);
    let request = AlterPartitionReassignmentsRequest::default().with_timeout_ms(6_000).with_topics(vec![topic]);
    let answer = client.ask(cluster, 0, &request);
    assert_eq!(answer.error_code, error::NONE, "{answer:?}");
    let one = &answer.responses[0].partitions[0];
    (one.error_code, one.error_message.as_deref().unwrap_or_default().to_owned())
}

fn ongoing(cluster: &mut Cluster, at: NodeId) -> Vec<OngoingPartitionReassignment> {
    let mut client = connect(cluster, at);
    let answer = client.ask(cluster, 0, &ListPartitionReassignmentsRequest::default().with_topics(None));
    answer.topics.into_iter().flat_map(|topic| topic.partitions).collect()
}

/// How far a partition's replicas are, as its leader tells.
fn quorum(cluster: &mut Cluster, at: NodeId, topic: &str) -> Told {
    let mut client = connect(cluster, at);
    let topic = TopicData::default().with_topic_name(name(topic)).with_partitions(vec![PartitionData::default()]);
    let answer = client.ask(cluster, 2, &DescribeQuorumRequest::default().with_topics(vec![topic]));
    assert_eq!(answer.error_code, error::NONE);
    answer.topics[0].partitions[0].clone()
}

/// Lets moves end, which must be before long.
pub(super) fn settle(cluster: &mut Cluster, at: NodeId) {
    for _ in 0..300 {
        if ongoing(cluster, at).is_empty() {
            return cluster.pass(300);
        }
        cluster.pass(100);
    }
    let (why, logs) = (quorum(cluster, at, "t"), cluster.logs(at).join("\n"));
    panic!("{:?}: {why:?}: {}\n{logs}", ongoing(cluster, at), cluster.describe(LOG));
}

/// Appends at whoever leads, and waits for the commit.
pub(super) fn fill(cluster: &mut Cluster, records: usize, bytes: usize) -> i64 {
    let mut end = 0;
    for _ in 0..records {
        let leader = cluster.leader(LOG);
        cluster.produce(leader, LOG, bytes);
        cluster.pass(5);
        end = cluster.state(leader, LOG).1.get();
    }
    end
}

/// The partition is on these nodes and on no others, with so many records on each.
fn assert_on(cluster: &mut Cluster, expected: &[u32], records: i64) {
    let expected = nodes(expected);
    let all: Vec<NodeId> = cluster.settings.keys().copied().collect();
    for id in all {
        let has = cluster.is_running(id) && cluster.raft(id, LOG).is_some();
        assert_eq!(has, expected.contains(&id), "node {id}: {}", cluster.describe(LOG));
    }
    cluster.assert_agree(LOG, &expected);
    assert_eq!(cluster.state(expected[0], LOG).1, Offset(records), "{}", cluster.describe(LOG));
    let voters = cluster.raft(expected[0], LOG).expect("just seen").configuration().1.clone();
    let members: Vec<NodeId> = voters.members().iter().map(|member| member.id).collect();
    assert!(!voters.is_joint() && voters.members().iter().all(|member| member.seat.votes()), "{voters:?}");
    let mut sorted = expected;
    sorted.sort_unstable();
    assert_eq!(members, sorted);
}

#[test]
fn a_partition_moves_with_all_that_it_has_and_is_led_by_the_first_of_its_new_replicas() {
    for (shards, to) in [
        ([1, 1, 1, 1, 1], &[4, 5, 2][..]),
        ([2, 1, 3, 1, 2], &[5, 4, 3]),
        ([1, 1, 1, 1, 1], &[5, 4]),
        ([2, 2, 2, 2, 2], &[3, 2, 1, 5, 4]),
        ([1, 2, 1, 2, 1], &[2]),
    ] {
        let mut cluster = started(&shards, &[&[1, 2, 3]]);
        let records = fill(&mut cluster, 30, 3_000);
        assert_eq!(reassign(&mut cluster, node(5), 0, Some(to)), (error::NONE, String::new()));
        settle(&mut cluster, node(4));
        assert_on(&mut cluster, to, records);
        // It need not wait to be balanced where the old leader is gone.
        cluster.pass(12_000);
        assert_eq!(cluster.leader(LOG), node(to[0]), "{to:?}");
        let records = fill(&mut cluster, 3, 40_000);
        assert_on(&mut cluster, to, records);
        let mut client = connect(&mut cluster, node(4));
        let (_, told) = client.metadata(&mut cluster, "t");
        let one = &told.partitions[0];
        assert_eq!((ids(&one.replica_nodes), one.leader_id.0 as u32), (to.to_vec(), to[0]));
        let mut in_sync = ids(&one.isr_nodes);
        in_sync.sort_unstable();
        let mut all = to.to_vec();
        all.sort_unstable();
        assert_eq!(in_sync, all);
    }
}

/// What the log no longer has at its beginning comes as the state that it leads to.
#[test]
fn a_replica_that_is_added_to_a_log_without_its_beginning_gets_the_rest() {
    let mut cluster = started(&[1; 4], &[&[1, 2, 3]]);
    let records = fill(&mut cluster, 20, 2_000);
    let leader = cluster.leader(LOG);
    let asker = crate::mail::Asker {
        place: crate::mail::Place { node: leader, shard: torc_base::ids::ShardId(0) },
        token: crate::mail::Token(1 << 40),
    };
    cluster.call(leader, LOG, |groups, out| groups.delete_records(out, asker, vec![(0, LOG, Offset(records))]));
    cluster.pass(500);
    assert_eq!(reassign(&mut cluster, node(1), 0, Some(&[4, 2, 3])).0, error::NONE);
    settle(&mut cluster, node(1));
    let records = fill(&mut cluster, 2, 100);
    let agreed = cluster.committed(node(4), LOG);
    cluster.pass(1_000);
    assert_eq!(cluster.state(node(4), LOG).1, Offset(records));
    assert!(cluster.committed(node(4), LOG) >= agreed);
}

/// Whatever goes down in the middle, and whenever: the move goes on, nothing is lost.
#[test]
fn a_move_goes_on_when_its_leader_the_controller_or_a_new_replica_goes_down() {
    for who in ["leader", "controller", "new", "everybody"] {
        for after in [0, 1, 2, 5, 20, 60, 110, 160, 210, 320, 600] {
            let mut cluster = started(&[1; 5], &[&[1, 2, 3]]);
            let records = fill(&mut cluster, 12, 20_000);
            assert_eq!(reassign(&mut cluster, node(3), 0, Some(&[4, 5, 3])).0, error::NONE);
            cluster.pass(after);
            let hit = match who {
                "leader" => vec![cluster.leader(LOG)],
                "controller" => vec![cluster.leader(GroupId::CATALOG)],
                "new" => vec![node(4)],
                _ => nodes(&[1, 2, 3, 4, 5]),
            };
            hit.iter().for_each(|id| cluster.power_off(*id));
            cluster.pass(1_500);
            hit.iter().for_each(|id| cluster.start(*id));
            cluster.pass(2_000);
            settle(&mut cluster, node(2));
            let more = fill(&mut cluster, 2, 100);
            assert_eq!(more, records + 2, "{who} after {after} ms");
            assert_on(&mut cluster, &[4, 5, 3], more);
        }
    }
}

#[test]
fn what_cannot_be_is_refused_and_what_has_begun_can_be_taken_back() {
    let mut cluster = started(&[1; 4], &[&[1, 2, 3], &[2, 3, 1]]);
    let records = fill(&mut cluster, 5, 2_000);
    let asked = |cluster: &mut Cluster, partition, target| reassign(cluster, node(2), partition, target).0;
    assert_eq!(asked(&mut cluster, 7, Some(&[1, 2])), error::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(asked(&mut cluster, 0, Some(&[1, 9])), error::INVALID_REPLICA_ASSIGNMENT);
    assert_eq!(asked(&mut cluster, 0, Some(&[])), error::INVALID_REPLICA_ASSIGNMENT);
    assert_eq!(asked(&mut cluster, 0, Some(&[1, 1, 2])), error::INVALID_REPLICA_ASSIGNMENT);
    assert_eq!(asked(&mut cluster, 0, None), error::NO_REASSIGNMENT_IN_PROGRESS);

    // The new one is gone: the move waits for it, and says so.
    cluster.power_off(node(4));
    cluster.pass(1_500);
    assert_eq!(asked(&mut cluster, 0, Some(&[4, 2, 3])), error::NONE);
    cluster.pass(3_000);
    for at in [1, 2, 3] {
        let going = ongoing(&mut cluster, node(at));
        assert_eq!(going.len(), 1, "at node {at}");
        assert_eq!(ids(&going[0].replicas), [4, 2, 3, 1]);
        assert_eq!((ids(&going[0].adding_replicas), ids(&going[0].removing_replicas)), (vec![4], vec![1]));
        let told = quorum(&mut cluster, node(at), "t");
        assert_eq!(told.error_code, error::NONE);
        assert_eq!((told.current_voters.len(), told.observers.len()), (3, 1));
        let why = told.error_message.expect("why it does not advance");
        assert!(why.contains("node 4 cannot be reached"), "{why}");
        let (_, topic) = connect(&mut cluster, node(at)).metadata(&mut cluster, "t");
        let one = topic.partitions.iter().find(|one| one.partition_index == 0).expect("it is there");
        assert_eq!(ids(&one.replica_nodes), [4, 2, 3, 1]);
        let mut in_sync = ids(&one.isr_nodes);
        in_sync.sort_unstable();
        assert_eq!(in_sync, [1, 2, 3], "node {at}");
    }
    let records = fill(&mut cluster, 2, 100).max(records);
    assert_eq!(asked(&mut cluster, 0, None), error::NONE);
    settle(&mut cluster, node(3));
    cluster.start(node(4));
    cluster.pass(2_000);
    assert_on(&mut cluster, &[1, 2, 3], records);
}

/// Taken back at any moment, it ends with the old replicas or had come to the new ones before; asked for other ones, with
/// those.
#[test]
fn a_wish_that_changes_on_the_way_is_another_target() {
    for after in [0, 3, 50, 105, 150, 205, 260, 310, 420] {
        for then in [None, Some(&[2, 1, 5][..])] {
            let mut cluster = started(&[1; 5], &[&[1, 2, 3]]);
            let records = fill(&mut cluster, 8, 20_000);
            assert_eq!(reassign(&mut cluster, node(3), 0, Some(&[4, 5, 3])).0, error::NONE);
            cluster.pass(after);
            let code = reassign(&mut cluster, node(1), 0, then).0;
            settle(&mut cluster, node(1));
            let expected = match (then, code) {
                (Some(then), error::NONE) => then,
                (None, error::NONE) => &[1, 2, 3],
                (None, error::NO_REASSIGNMENT_IN_PROGRESS) => &[4, 5, 3],
                other => panic!("{other:?} after {after} ms"),
            };
            assert_on(&mut cluster, expected, records);
        }
    }
}

/// A node that had the partition, lost it and gets it again has another log, and its word of before counts for nothing.
#[test]
fn a_partition_goes_away_and_comes_back() {
    let mut cluster = started(&[1, 2, 1, 1], &[&[1, 2, 3]]);
    let mut records = 0;
    for round in 0..6 {
        records = fill(&mut cluster, 3, 5_000).max(records);
        let target: &[u32] = [&[1, 2, 4][..], &[1, 2, 3], &[4, 2, 3]][round % 3];
        assert_eq!(reassign(&mut cluster, node(2), 0, Some(target)).0, error::NONE);
        if round == 4 {
            cluster.power_off(node(3));
            cluster.pass(1_500);
            cluster.start(node(3));
        }
        settle(&mut cluster, node(1));
        assert_on(&mut cluster, target, records);
    }
}

/// So many at a time, and those that wait say so.
#[test]
fn no_more_partitions_than_may_are_brought_to_new_replicas_at_a_time() {
    let rows = [&[1, 2, 3][..]; 9];
    let mut cluster = started_with(&[1; 4], &rows, |settings| settings.moves_at_once = 2);
    cluster.power_off(node(4));
    cluster.pass(1_500);
    for partition in 0..9 {
        assert_eq!(reassign(&mut cluster, node(1), partition, Some(&[1, 2, 4])).0, error::NONE);
    }
    cluster.pass(2_000);
    let learners = |cluster: &Cluster| {
        let groups = (0..9).map(|partition| GroupId(LOG.0 + partition));
        let rafts = groups.filter_map(|group| cluster.raft(node(1), group));
        rafts.filter(|raft| raft.configuration().1.members().len() > 3).count()
    };
    assert_eq!(learners(&cluster), 2);
    cluster.start(node(4));
    settle(&mut cluster, node(1));
    for partition in 0..9 {
        assert!(cluster.raft(node(4), GroupId(LOG.0 + partition)).is_some());
        assert!(cluster.raft(node(3), GroupId(LOG.0 + partition)).is_none());
    }
}

/// A new replica gets no more bytes in a second than are said, and nobody else waits for that.
#[test]
fn a_rate_holds_up_new_replicas_and_nobody_else() {
    let mut cluster = started_with(&[1; 4], &[&[1, 2, 3]], |settings| settings.move_bytes_per_second = 100_000);
    let records = fill(&mut cluster, 40, 20_000);
    assert_eq!(reassign(&mut cluster, node(1), 0, Some(&[1, 2, 4])).0, error::NONE);
    let begun = cluster.now.mono;
    cluster.pass(2_000);
    let told = quorum(&mut cluster, node(3), "t");
    let why = told.error_message.clone().expect("it waits");
    assert!(why.contains("node 4 is being sent the log; node 4 lacks about"), "{why}");
    // The others get what is new at once.
    let leader = cluster.leader(LOG);
    cluster.produce(leader, LOG, 100);
    cluster.pass(10);
    assert_eq!(cluster.state(leader, LOG).1, Offset(records + 1));
    settle(&mut cluster, node(1));
    let took = cluster.now.mono.since(begun) / 1_000_000_000;
    assert!((6..=12).contains(&took), "800 KB at 100 KB in a second took {took} s of the test's time");
    assert_on(&mut cluster, &[1, 2, 4], records + 1);
}

fn elect(cluster: &mut Cluster, at: NodeId, kind: i8, partitions: Option<Vec<i32>>) -> Vec<(i32, i16, String)> {
    let topics =
        partitions.map(|partitions| vec![TopicPartitions::default().with_topic(name("t")).with_partitions(partitions)]);
    let request = ElectLeadersRequest::default().with_election_type(kind).with_topic_partitions(topics);
    let answer = connect(cluster, at).ask(cluster, 2, &request.with_timeout_ms(4_000));
    assert_eq!(answer.error_code, error::NONE);
    let results = answer.replica_election_results.into_iter().flat_map(|topic| topic.partition_result);
    let results =
        results.map(|one| (one.partition_id, one.error_code, one.error_message.as_deref().unwrap_or("").into()));
    results.collect()
}

#[test]
fn leadership_goes_to_the_preferred_replica_when_that_is_asked_for() {
    for shards in [[1, 1, 1], [2, 3, 1]] {
        let mut cluster = started(&shards, &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]]);
        let codes = |results: Vec<(i32, i16, String)>| -> Vec<(i32, i16)> {
            results.into_iter().map(|(partition, code, _)| (partition, code)).collect()
        };
        let not_needed = error::ELECTION_NOT_NEEDED;
        assert_eq!(
            codes(elect(&mut cluster, node(2), 0, Some(vec![0, 9]))),
            [(0, not_needed), (9, error::UNKNOWN_TOPIC_OR_PARTITION)]
        );
        assert_eq!(elect(&mut cluster, node(2), 0, None), [], "of all, those that need none are left out");
        // Another order of replicas, and another leader at once, without waiting to be balanced.
        for (partition, order) in [(0, &[3, 2, 1][..]), (1, &[1, 2, 3])] {
            assert_eq!(reassign(&mut cluster, node(3), partition, Some(order)).0, error::NONE);
        }
        let mut elected = codes(elect(&mut cluster, node(2), 0, None));
        elected.sort_unstable();
        assert_eq!(elected, [(0, error::NONE), (1, error::NONE)], "{shards:?}");
        let mut client = connect(&mut cluster, node(2));
        assert_eq!(client.leader(&mut cluster, "t", 0), node(3));
        assert_eq!(client.leader(&mut cluster, "t", 1), node(1));
        // One that is not there cannot.
        assert_eq!(reassign(&mut cluster, node(3), 0, Some(&[2, 3, 1])).0, error::NONE);
        cluster.power_off(node(2));
        cluster.pass(2_000);
        let refused = elect(&mut cluster, node(1), 0, Some(vec![0]));
        assert_eq!(refused[0].1, error::PREFERRED_LEADER_NOT_AVAILABLE, "{refused:?}");
        let unclean = elect(&mut cluster, node(1), 1, Some(vec![0]));
        assert_eq!(unclean[0].1, not_needed);
        assert!(unclean[0].2.contains("Unclean elections are never held"), "{unclean:?}");
    }
}

#[test]
fn the_quorum_of_the_controllers_is_described_by_any_node() {
    let mut cluster = started(&[1, 2, 1, 1, 1, 1], &[&[1, 2, 3]]);
    let controller = cluster.leader(GroupId::CATALOG);
    for at in 1..=6 {
        let told = quorum(&mut cluster, node(at), "__cluster_metadata");
        assert_eq!((told.error_code, told.leader_id.0 as u32), (error::NONE, controller.get()), "at node {at}");
        let voters: Vec<i32> = told.current_voters.iter().map(|one| one.replica_id.0).collect();
        assert_eq!(voters, [1, 2, 3, 4, 5]);
        assert_eq!(told.observers.iter().map(|one| one.replica_id.0).collect::<Vec<_>>(), [6]);
        let end = told.current_voters.iter().find(|one| one.replica_id.0 == told.leader_id.0).unwrap().log_end_offset;
        assert!(end >= told.high_watermark && told.high_watermark > 0, "{told:?}");
    }
    let unknown = quorum(&mut cluster, node(1), "u");
    assert_eq!(unknown.error_code, error::UNKNOWN_TOPIC_OR_PARTITION);
}

/// Says that a node is to leave, or to stay.
fn decommission(cluster: &mut Cluster, at: NodeId, id: NodeId, leaves: bool) -> (i16, String) {
    let value = Some(text(if leaves { "true" } else { "false" }));
    let change = AlterableConfig::default().with_name(text("torc.decommission")).with_value(value);
    let resource = AlterConfigsResource::default().with_resource_type(4).with_resource_name(text(&id.to_string()));
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource.with_configs(vec![change])]);
    let answer = connect(cluster, at).ask(cluster, 1, &request);
    let one = &answer.responses[0];
    (one.error_code, one.error_message.as_deref().unwrap_or_default().to_owned())
}

fn is_leaving(cluster: &mut Cluster, at: NodeId, id: NodeId) -> String {
    let resource = DescribeConfigsResource::default().with_resource_type(4).with_resource_name(text(&id.to_string()));
    let resource = resource.with_configuration_keys(Some(vec![text("torc.decommission")]));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let answer = connect(cluster, at).ask(cluster, 4, &request);
    answer.results[0].configs[0].value.as_deref().unwrap_or_default().to_owned()
}

/// True if the node is one of the cluster's, as others tell.
fn is_named(cluster: &mut Cluster, at: NodeId, id: NodeId) -> bool {
    let (told, topic) = connect(cluster, at).metadata(cluster, "t");
    told.brokers.iter().any(|one| one.node_id.0 as u32 == id.get())
        || topic.partitions.iter().any(|one| ids(&one.replica_nodes).contains(&id.get()))
}

fn holds_something(cluster: &Cluster, id: NodeId) -> bool {
    (0..8).any(|partition| cluster.raft(id, GroupId(LOG.0 + partition)).is_some())
}

#[test]
fn a_node_is_left_by_all_its_replicas_and_then_out_and_does_not_come_back() {
    for (leaver, crash) in [(2, None), (1, None), (3, Some("controller")), (4, Some("leaver"))] {
        let rows: Vec<Vec<u32>> = (0..8).map(|n| (0..3).map(|at| 1 + (n + at) % 4).collect()).collect();
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let mut cluster = started(&[1; 4], &rows);
        let records = fill(&mut cluster, 6, 8_000);
        let (at, leaver) = (node(1 + leaver % 4), node(leaver));
        assert_eq!(decommission(&mut cluster, at, leaver, true), (error::NONE, String::new()));
        assert_eq!(is_leaving(&mut cluster, at, leaver), "true");
        cluster.pass(150);
        let hit = match crash {
            Some("controller") => Some(cluster.leader(GroupId::CATALOG)),
            Some(_) => Some(leaver),
            None => None,
        };
        if let Some(hit) = hit {
            cluster.power_off(hit);
            cluster.pass(1_500);
            cluster.start(hit);
        }
        let mut rounds = 0;
        // One that was down when it was taken out is not told so before it comes back, and then nothing else.
        let is_told = crash != Some("leaver");
        while is_named(&mut cluster, at, leaver) || (is_told && holds_something(&cluster, leaver)) {
            cluster.pass(500);
            rounds += 1;
            assert!(rounds < 60, "{leaver} {crash:?}: {}", cluster.logs(at).join("\n"));
        }
        let more = fill(&mut cluster, 2, 100);
        assert!(more >= records, "{more} of {records}");
        cluster.power_off(leaver);
        cluster.pass(1_000);
        cluster.start(leaver);
        cluster.pass(3_000);
        assert!(!is_named(&mut cluster, at, leaver));
        // The highest calls nobody and is called by nobody; its server asks about it before it starts.
        let why = cluster.logs(leaver).join("\n");
        assert!(leaver == node(4) || why.contains("removed from the cluster"), "{why}");
        assert_eq!(cluster.links(leaver), 0);
        let registered = decommission(&mut cluster, at, leaver, true);
        assert_eq!(registered.0, error::BROKER_ID_NOT_REGISTERED, "{registered:?}");
    }
}

#[test]
fn a_node_whose_replicas_nobody_else_can_have_stays_and_one_may_change_its_mind() {
    let mut cluster = started(&[1; 3], &[&[1, 2, 3]]);
    let refused = decommission(&mut cluster, node(1), node(2), true);
    assert_eq!(refused.0, error::INVALID_REPLICATION_FACTOR);
    assert!(refused.1.contains("add a node"), "{refused:?}");
    assert_eq!(decommission(&mut cluster, node(1), node(9), true).0, error::BROKER_ID_NOT_REGISTERED);
    assert_eq!(decommission(&mut cluster, node(1), node(2), false).0, error::NO_REASSIGNMENT_IN_PROGRESS);

    let mut cluster = started(&[1; 4], &[&[1, 2, 3], &[2, 3, 1]]);
    let records = fill(&mut cluster, 6, 8_000);
    // What would take its place is gone: nothing advances.
    cluster.power_off(node(4));
    cluster.pass(1_500);
    assert_eq!(decommission(&mut cluster, node(1), node(2), true).0, error::NONE);
    cluster.pass(3_000);
    assert_eq!(ongoing(&mut cluster, node(3)).len(), 2);
    assert_eq!(decommission(&mut cluster, node(3), node(2), false).0, error::NONE);
    settle(&mut cluster, node(1));
    cluster.start(node(4));
    cluster.pass(2_000);
    assert_eq!(is_leaving(&mut cluster, node(1), node(2)), "false");
    assert_on(&mut cluster, &[1, 2, 3], records);
}
