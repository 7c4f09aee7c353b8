//! Servers that join a cluster that runs, leave it, and come back with other disks, while its nodes stop and start.

use super::cluster::rig::{Cluster, founders, node};
use super::plane::connect;
use super::verbs::name;
use std::collections::BTreeSet;
use torc_base::ids::{GroupId, NodeId};
use torc_base::limits::CATALOG_KEPT_ENTRIES;
use torc_consensus::Seat;
use torc_net::kafka::error;
use torc_net::kafka::schema::DeleteTopicsRequest;
use torc_net::kafka::schema::delete_topics_request::DeleteTopicState;
use torc_net::peer::{Caller, Question, Reply};
use torc_state::catalog::Command;

/// Three founders that know each other's disks.
fn founded(shards: [u16; 3]) -> Cluster {
    let mut cluster = Cluster::with(shards, |settings| {
        settings.listeners[0].advertised.0 = format!("node{}.example", settings.node);
        settings.cluster.founders = founders();
        settings.cluster.disk = u128::from(settings.node.get()) * 10;
    });
    cluster.pass(1_000);
    cluster
}

/// Who votes on the catalog and who learns it, as its leader has it.
fn seats(cluster: &mut Cluster) -> (Vec<u32>, Vec<u32>) {
    let leader = cluster.leader(GroupId::CATALOG);
    let raft = cluster.raft(leader, GroupId::CATALOG).expect("it leads");
    let of = |votes: bool| {
        let members = raft.configuration().1.members().iter().filter(|member| (member.seat == Seat::Voter) == votes);
        members.map(|member| member.id.get()).collect()
    };
    (of(true), of(false))
}

fn remove(cluster: &mut Cluster, id: NodeId) {
    let leader = cluster.leader(GroupId::CATALOG);
    cluster
        .call(leader, GroupId::CATALOG, |groups, out| groups.propose_command(out, Command::RemoveNode(id)).map(drop))
        .expect("it leads");
    cluster.pass(3_000);
}

/// The nodes that have partitions of a topic, as `id` tells its clients.
fn holders(cluster: &mut Cluster, id: NodeId, topic: &str) -> BTreeSet<u32> {
    let (_, told) = connect(cluster, id).metadata(cluster, topic);
    told.partitions.iter().flat_map(|partition| partition.replica_nodes.iter().map(|node| node.0 as u32)).collect()
}

#[test]
fn a_server_that_joins_is_linked_to_all_votes_on_the_catalog_and_gets_partitions_of_new_topics() {
    for (via, shards) in [(1, 1), (3, 2)] {
        let mut cluster = founded([1, 2, 1]);
        cluster.join(node(4), shards, 40, node(via));
        cluster.pass(2_000);
        assert_eq!(cluster.links(node(4)), 4 * usize::from(shards), "{:?}", cluster.logs(node(4)));
        assert_eq!(seats(&mut cluster), (vec![1, 2, 3, 4], vec![]));
        let mut client = connect(&mut cluster, node(4));
        let created = client.create(&mut cluster, "t", 8, 3);
        assert_eq!(created.topics[0].error_code, 0, "{created:?}");
        cluster.pass(1_000);
        for asked in 1..=4 {
            assert_eq!(holders(&mut cluster, node(asked), "t"), BTreeSet::from([1, 2, 3, 4]), "node {asked}");
        }
        for partition in 0..8 {
            let leader = client.leader(&mut cluster, "t", partition);
            let produced = connect(&mut cluster, leader).produce_one(&mut cluster, "t", partition);
            assert_eq!(produced.error_code, 0, "partition {partition}");
        }
    }
}

#[test]
fn five_vote_on_the_catalog_and_who_comes_later_learns_it_until_a_seat_is_free() {
    let mut cluster = founded([1, 1, 1]);
    for id in 4..=7 {
        // Each by way of the one that came before.
        cluster.join(node(id), 1, u128::from(id) * 10, node(id - 1));
        cluster.pass(2_000);
    }
    assert_eq!(seats(&mut cluster), (vec![1, 2, 3, 4, 5], vec![6, 7]));
    for id in 1..=7 {
        assert_eq!(cluster.links(node(id)), 6, "node {id}");
    }
    // The one that leads goes, too.
    let controller = cluster.leader(GroupId::CATALOG);
    remove(&mut cluster, controller);
    let (voters, learners) = seats(&mut cluster);
    assert!(!voters.contains(&controller.get()), "{voters:?}");
    assert_eq!((voters.len(), learners), (5, vec![7]));
    assert_eq!(cluster.links(controller), 0);
    let told = cluster.logs(controller).iter().any(|line| line.contains("was removed from the cluster"));
    assert!(told, "{:?}", cluster.logs(controller));
    // It is not named to clients any more.
    let other = node(if controller == node(7) { 6 } else { 7 });
    let mut client = connect(&mut cluster, other);
    client.create(&mut cluster, "t", 1, 3);
    let (answer, _) = client.metadata(&mut cluster, "t");
    assert_eq!(answer.brokers.len(), 6);
}

#[test]
fn of_two_nodes_one_can_be_removed_while_both_are_there() {
    let mut cluster = founded([1, 1, 1]);
    remove(&mut cluster, node(3));
    assert_eq!(seats(&mut cluster), (vec![1, 2], vec![]));
    remove(&mut cluster, node(2));
    assert_eq!(seats(&mut cluster), (vec![1], vec![]));
    assert_eq!([1, 2, 3].map(|id| cluster.links(node(id))), [0, 0, 0]);
    // And the cluster grows again, from the one that is left.
    cluster.join(node(4), 1, 40, node(1));
    cluster.pass(2_000);
    assert_eq!(seats(&mut cluster), (vec![1, 4], vec![]));
}

#[test]
fn nodes_that_start_again_find_those_that_joined_and_are_found_by_them() {
    let mut cluster = founded([1, 1, 1]);
    for id in 4..=5 {
        cluster.join(node(id), 1, u128::from(id) * 10, node(1));
        cluster.pass(2_000);
    }
    (1..=5).for_each(|id| cluster.power_off(node(id)));
    (1..=5).for_each(|id| cluster.start(node(id)));
    cluster.pass(5_000);
    assert_eq!(seats(&mut cluster), (vec![1, 2, 3, 4, 5], vec![]));
    for id in 1..=5 {
        assert_eq!(cluster.links(node(id)), 4, "node {id}: {:?}", cluster.logs(node(id)));
    }
    // The founders are gone for good: those that are left find each other without them.
    for id in 1..=3 {
        remove(&mut cluster, node(id));
        cluster.kill(node(id));
    }
    assert_eq!(seats(&mut cluster), (vec![4, 5], vec![]));
    for id in 4..=5 {
        cluster.power_off(node(id));
    }
    cluster.start(node(4));
    cluster.start(node(5));
    cluster.pass(5_000);
    assert_eq!(seats(&mut cluster), (vec![4, 5], vec![]));
    // So does one that comes now.
    cluster.join(node(6), 1, 60, node(5));
    cluster.pass(2_000);
    assert_eq!(seats(&mut cluster), (vec![4, 5, 6], vec![]));
}

#[test]
fn a_controller_that_dies_while_servers_join_is_followed_by_one_that_lets_them_in() {
    for seed in 0..6u64 {
        let mut cluster = founded([1, 1, 1]);
        let controller = cluster.leader(GroupId::CATALOG);
        let via = node(controller.get() % 3 + 1);
        let question = Question {
            from: Caller { node: node(4), start: 1 },
            joins: true,
            cluster: 0,
            disk: 40,
            address: Some(super::cluster::rig::address(node(4))),
        };
        cluster.ask(via, &question);
        cluster.pass(seed * 3);
        cluster.kill(controller);
        cluster.join(node(4), 1, 40, via);
        cluster.pass(100 * seed);
        cluster.start(controller);
        cluster.pass(4_000);
        assert_eq!(seats(&mut cluster), (vec![1, 2, 3, 4], vec![]), "controller {controller}, {seed}");
        assert_eq!(cluster.links(node(4)), 3);
    }
}

#[test]
fn a_disk_that_is_gone_is_replaced_by_one_that_joins_with_the_same_number() {
    let mut cluster = founded([1, 1, 1]);
    let mut client = connect(&mut cluster, node(1));
    client.create(&mut cluster, "t", 3, 3);
    for partition in 0..3 {
        let leader = client.leader(&mut cluster, "t", partition);
        assert_eq!(connect(&mut cluster, leader).produce_one(&mut cluster, "t", partition).error_code, 0);
    }
    // While it runs nobody takes its place.
    let why = cluster.ask_to_join(node(2), 21, node(1)).expect_err("it runs");
    assert!(why.contains("node.id 2 is taken"), "{why}");
    cluster.power_off(node(2));
    cluster.pass(2_000);
    cluster.join(node(2), 1, 21, node(3));
    cluster.pass(5_000);
    assert_eq!(seats(&mut cluster), (vec![1, 2, 3], vec![]));
    assert_eq!(cluster.links(node(2)), 2);
    // It has everything, and is as good as any other: with it and one more the partitions are served.
    cluster.power_off(node(3));
    cluster.pass(3_000);
    let mut client = connect(&mut cluster, node(1));
    for partition in 0..3 {
        let leader = client.leader(&mut cluster, "t", partition);
        assert_eq!(connect(&mut cluster, leader).produce_one(&mut cluster, "t", partition).error_code, 0);
    }
    // The old disk comes back, and belongs to nothing.
    let old = Question {
        from: Caller { node: node(2), start: 5 },
        joins: false,
        cluster: super::cluster::rig::CLUSTER,
        disk: 20,
        address: None,
    };
    let controller = cluster.leader(GroupId::CATALOG);
    let asked = if controller == node(2) { node(1) } else { controller };
    assert!(!matches!(cluster.ask(asked, &old), Some(Reply::Member { .. })));
}

#[test]
fn a_process_with_a_disk_that_was_replaced_gets_no_link() {
    let mut cluster = founded([1, 1, 1]);
    cluster.power_off(node(3));
    cluster.pass(2_000);
    cluster.ask_to_join(node(3), 31, node(1)).expect("it is let in");
    // Its server never comes; the old one does.
    cluster.start(node(3));
    cluster.pass(5_000);
    assert_eq!(cluster.links(node(3)), 0);
    let refused = cluster.logs(node(1)).iter().any(|line| line.contains("node 3 has another disk by now"));
    assert!(refused, "{:?}", cluster.logs(node(1)));
}

#[test]
fn a_server_that_was_removed_is_refused_when_it_comes_back_and_may_join_anew() {
    let mut cluster = founded([1, 1, 1]);
    cluster.join(node(4), 1, 40, node(1));
    cluster.pass(2_000);
    remove(&mut cluster, node(4));
    assert_eq!(seats(&mut cluster), (vec![1, 2, 3], vec![]));
    let why = cluster.ask_to_join(node(4), 40, node(2)).expect_err("its disk is out");
    assert!(why.contains("was removed from the cluster"), "{why}");
    cluster.kill(node(4));
    cluster.start(node(4));
    cluster.pass(2_000);
    assert_eq!(cluster.links(node(4)), 0);
    cluster.kill(node(4));
    cluster.join(node(4), 1, 41, node(3));
    cluster.pass(2_000);
    assert_eq!(seats(&mut cluster), (vec![1, 2, 3, 4], vec![]));
}

/// Commands that say nothing of anybody, each of which is an entry.
fn fill(cluster: &mut Cluster, from: i64, count: i64) {
    let leader = cluster.leader(GroupId::CATALOG);
    for up_to in from..from + count {
        cluster.call(leader, GroupId::CATALOG, |groups, out| {
            groups.propose_command(out, Command::AllocateProducerIds { up_to }).map(drop).expect("it leads")
        });
        if up_to % 50 == 0 {
            cluster.pass(50);
        }
    }
    cluster.pass(1_000);
}

/// Has the log of the catalog released on a node, as its next checkpoint would.
fn release(cluster: &mut Cluster, id: NodeId) {
    cluster.call(id, GroupId::CATALOG, |groups, out| {
        let applied = groups.raft(GroupId::CATALOG).expect("it has the catalog").marks().applied;
        groups.release_whole(out, GroupId::CATALOG, 1_000, applied);
    });
    let raft = cluster.raft(id, GroupId::CATALOG).expect("it is there");
    let (first, applied) = (raft.log().first().get(), raft.marks().applied.get());
    assert_eq!(first, applied + 1 - CATALOG_KEPT_ENTRIES, "node {id} keeps what others may lack, and no more");
}

#[test]
fn a_node_that_lacks_what_the_catalogs_log_has_no_more_gets_the_catalog_itself() {
    let mut cluster = founded([2, 1, 1]);
    let mut client = connect(&mut cluster, node(1));
    client.create(&mut cluster, "old", 2, 3);
    client.create(&mut cluster, "stays", 2, 3);
    cluster.power_off(node(3));
    cluster.pass(2_000);
    let mut client = connect(&mut cluster, node(1));
    let delete = DeleteTopicsRequest::default()
        .with_timeout_ms(6_000)
        .with_topics(vec![DeleteTopicState::default().with_name(Some(name("old")))]);
    client.ask(&mut cluster, 6, &delete);
    client.create(&mut cluster, "new", 2, 3);
    fill(&mut cluster, 10_000, 1_100);
    for id in [1, 2] {
        release(&mut cluster, node(id));
    }
    // One that was away, one that never was there, and one whose disk is gone.
    cluster.start(node(3));
    cluster.join(node(4), 2, 40, node(2));
    cluster.pass(4_000);
    let took = |cluster: &Cluster, id| cluster.logs(id).iter().any(|line| line.contains("the catalog is taken over"));
    for id in [3, 4] {
        assert!(took(&cluster, node(id)), "node {id}: {:?}", cluster.logs(node(id)));
    }
    assert_eq!(seats(&mut cluster), (vec![1, 2, 3, 4], vec![]));
    cluster.power_off(node(2));
    cluster.pass(2_000);
    cluster.join(node(2), 1, 21, node(3));
    cluster.pass(5_000);
    assert!(took(&cluster, node(2)));
    // All tell the same, also after they have started from what they then wrote.
    for round in 0..2 {
        for id in 1..=4 {
            let mut client = connect(&mut cluster, node(id));
            let (_, old) = client.metadata(&mut cluster, "old");
            assert_eq!(old.error_code, error::UNKNOWN_TOPIC_OR_PARTITION, "node {id}, round {round}");
            for topic in ["stays", "new"] {
                let (_, told) = client.metadata(&mut cluster, topic);
                assert_eq!((told.error_code, told.partitions.len()), (0, 2), "node {id}: {told:?}");
            }
        }
        let leader = connect(&mut cluster, node(4)).leader(&mut cluster, "new", 1);
        assert_eq!(connect(&mut cluster, leader).produce_one(&mut cluster, "new", 1).error_code, 0);
        (1..=4).for_each(|id| cluster.power_off(node(id)));
        (1..=4).for_each(|id| cluster.start(node(id)));
        cluster.pass(6_000);
    }
}

#[test]
fn a_node_that_serves_and_was_cut_off_takes_the_catalog_over_and_forgets_what_was_deleted() {
    let mut cluster = founded([1, 1, 2]);
    let mut client = connect(&mut cluster, node(1));
    client.create(&mut cluster, "old", 4, 3);
    cluster.pass(500);
    for other in [1, 2] {
        cluster.cut.extend([(node(3), node(other)), (node(other), node(3))]);
    }
    cluster.pass(3_000);
    let mut client = connect(&mut cluster, node(1));
    let delete = DeleteTopicsRequest::default()
        .with_timeout_ms(6_000)
        .with_topics(vec![DeleteTopicState::default().with_name(Some(name("old")))]);
    client.ask(&mut cluster, 6, &delete);
    client.create(&mut cluster, "new", 4, 3);
    fill(&mut cluster, 10_000, 1_100);
    for id in [1, 2] {
        release(&mut cluster, node(id));
    }
    cluster.cut.clear();
    cluster.pass(5_000);
    assert!(cluster.logs(node(3)).iter().any(|line| line.contains("the catalog is taken over")));
    let mut client = connect(&mut cluster, node(3));
    let (_, old) = client.metadata(&mut cluster, "old");
    assert_eq!(old.error_code, error::UNKNOWN_TOPIC_OR_PARTITION);
    for partition in 0..4 {
        let leader = client.leader(&mut cluster, "new", partition);
        assert_eq!(connect(&mut cluster, leader).produce_one(&mut cluster, "new", partition).error_code, 0);
    }
    for shard in 0..2 {
        let ids = cluster.shard(node(3), shard).standing();
        assert_eq!(ids.matches("group ").count(), if shard == 0 { 3 } else { 2 }, "the groups of one topic: {ids}");
    }
}
