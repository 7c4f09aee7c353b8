//! Disks that have nothing of a group: those that were stopped before anything of it was durable, and those that took the place of
//! one that may have had something. The first go on as if nothing had been, the others stay out of votes.

use super::cluster::rig::{Cluster, founders, node};
use super::plane::connect;
use super::verbs::name;
use torc_base::ids::{GroupId, NodeId};
use torc_consensus::Doubt;
use torc_net::kafka::error;
use torc_net::kafka::schema::BrokerId;
use torc_net::kafka::schema::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};

/// The log of the first topic's first partition.
const LOG: GroupId = GroupId(GroupId::FIRST_PARTITION.0 + 1);

/// Three founders.
fn founded() -> Cluster {
    let mut cluster = Cluster::with([1, 2, 1], |settings| {
        settings.cluster.founders = founders();
        settings.cluster.disk = u128::from(settings.node.get()) * 10;
    });
    cluster.pass(1_000);
    cluster
}

/// The same with two nodes that joined, of which one has two shards.
fn joined() -> Cluster {
    let mut cluster = founded();
    for (id, shards) in [(4, 1), (5, 2)] {
        cluster.join(node(id), shards, u128::from(id) * 10, node(1));
        cluster.pass(2_000);
    }
    cluster
}

/// Asks node 1 for a topic of one partition with these replicas, whether it is made in time or not.
fn ask_for(cluster: &mut Cluster, topic: &str, replicas: &[u32]) {
    let brokers = replicas.iter().map(|id| BrokerId(*id as i32)).collect();
    let row = CreatableReplicaAssignment::default().with_partition_index(0).with_broker_ids(brokers);
    let new = CreatableTopic::default().with_name(name(topic)).with_num_partitions(-1).with_replication_factor(-1);
    let created = connect(cluster, node(1)).create_topic(cluster, new.with_assignments(vec![row]));
    let code = created.topics[0].error_code;
    assert!([error::NONE, error::REQUEST_TIMED_OUT].contains(&code), "{created:?}");
}

fn hold_writes(cluster: &mut Cluster, id: u32) {
    for shard in 0..cluster.shards_of(node(id)) {
        cluster.disk(node(id), shard).hold_writes = true;
    }
}

fn assert_serves(cluster: &mut Cluster, topic: &str) {
    let leader = connect(cluster, node(1)).leader(cluster, topic, 0);
    let produced = connect(cluster, leader).produce_one(cluster, topic, 0);
    assert_eq!(produced.error_code, error::NONE, "{produced:?}, {}", cluster.describe(LOG));
}

fn doubt(cluster: &Cluster, id: u32, log: GroupId) -> Option<Doubt> {
    cluster.raft(node(id), log).expect("it has the group").hard_state().doubt
}

/// Nodes end before anything of a partition that is made then is on their disks, or are down meanwhile; so it may go twice.
fn stopped_too_early(cluster: &mut Cluster, replicas: &[u32], young: &[u32], down: bool) {
    for id in young {
        match down {
            true => cluster.kill(node(*id)),
            false => hold_writes(cluster, *id),
        }
    }
    ask_for(cluster, "t", replicas);
    for _ in 0..2 {
        young.iter().filter(|id| cluster.is_running(node(**id))).copied().collect::<Vec<_>>().into_iter().for_each(
            |id| {
                cluster.kill(node(id));
            },
        );
        young.iter().for_each(|id| cluster.start(node(*id)));
        if down {
            // They get as far as that, and no further.
            young.iter().for_each(|id| hold_writes(cluster, *id));
            cluster.pass(1_000);
        }
    }
    young.iter().for_each(|id| {
        (0..cluster.shards_of(node(*id))).for_each(|shard| cluster.disk(node(*id), shard).release());
    });
    cluster.pass(3_000);
    assert_serves(cluster, "t");
    cluster.assert_agree(LOG, &replicas.iter().map(|id| node(*id)).collect::<Vec<NodeId>>());
}

#[test]
fn a_partition_has_a_leader_though_those_who_joined_ended_before_its_log_was_durable() {
    for (replicas, young) in
        [(&[4][..], &[4][..]), (&[5], &[5]), (&[4, 1], &[4]), (&[4, 5, 1], &[4, 5]), (&[5, 4], &[4, 5])]
    {
        for down in [false, true] {
            stopped_too_early(&mut joined(), replicas, young, down);
        }
    }
}

#[test]
fn the_same_holds_for_a_founder_whose_disk_was_replaced() {
    for down in [false, true] {
        let mut cluster = founded();
        cluster.kill(node(2));
        cluster.wipe(node(2));
        cluster.settings.get_mut(&node(2)).unwrap().cluster.doubt = Some(77);
        cluster.start(node(2));
        cluster.pass(3_000);
        stopped_too_early(&mut cluster, &[2], &[2], down);
    }
}

#[test]
fn the_same_holds_for_a_shard_whose_files_were_put_aside() {
    for down in [false, true] {
        let mut cluster = founded();
        cluster.call(node(2), LOG, |groups, out| groups.begin_checkpoint(out));
        cluster.pass(100);
        cluster.kill(node(2));
        for files in cluster.files(node(2)) {
            let checkpoints = files.iter_mut().filter(|(name, _)| name.starts_with("checkpoint-"));
            checkpoints.for_each(|(_, bytes)| bytes.iter_mut().for_each(|byte| *byte ^= 0x55));
        }
        cluster.start(node(2));
        cluster.pass(3_000);
        let aside = cluster.logs(node(2)).iter().any(|line| line.contains("its files are kept"));
        assert!(aside, "{:?}", cluster.logs(node(2)));
        stopped_too_early(&mut cluster, &[2], &[2], down);
    }
}

#[test]
fn the_same_holds_for_all_of_a_cluster_that_starts_at_once() {
    let mut cluster = joined();
    hold_writes(&mut cluster, 5);
    ask_for(&mut cluster, "t", &[5]);
    (1..=5).for_each(|id| cluster.power_off(node(id)));
    (1..=5).for_each(|id| cluster.start(node(id)));
    cluster.pass(5_000);
    assert_serves(&mut cluster, "t");
}

#[test]
fn a_disk_in_the_place_of_one_that_may_have_voted_stays_out_however_often_it_starts() {
    let mut cluster = joined();
    ask_for(&mut cluster, "t", &[4]);
    assert_serves(&mut cluster, "t");
    cluster.kill(node(4));
    cluster.pass(2_000);
    cluster.join(node(4), 1, 41, node(1));
    cluster.pass(3_000);
    // What is made now was not there before it.
    hold_writes(&mut cluster, 4);
    ask_for(&mut cluster, "young", &[4]);
    for _ in 0..3 {
        cluster.kill(node(4));
        cluster.start(node(4));
        cluster.pass(3_000);
        assert!(matches!(doubt(&cluster, 4, LOG), Some(Doubt::All { .. })), "{}", cluster.describe(LOG));
        assert!(!cluster.raft(node(4), LOG).unwrap().is_leader());
    }
    assert_serves(&mut cluster, "young");
    // A third one knows neither.
    cluster.kill(node(4));
    cluster.pass(2_000);
    cluster.join(node(4), 1, 42, node(1));
    for _ in 0..2 {
        cluster.pass(3_000);
        for log in [LOG, LOG.next()] {
            assert!(matches!(doubt(&cluster, 4, log), Some(Doubt::All { .. })), "{}", cluster.describe(log));
        }
        cluster.kill(node(4));
        cluster.start(node(4));
    }
}
