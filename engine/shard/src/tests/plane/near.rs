//! Consumers that say where they are (KIP-392): they are sent to a replica in their rack, which gives what it knows to be
//! committed.

use super::*;
use crate::tests::verbs::values;
use torc_net::kafka::schema::fetch_response::PartitionData;
use torc_net::kafka::schema::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use torc_net::kafka::schema::{FetchRequest, ListOffsetsRequest};

/// The first version with racks; it names topics.
const WITH_RACKS: i16 = 11;
const NOWHERE: i32 = -1;

fn request(offset: i64, rack: &str, wait_ms: i32) -> FetchRequest {
    fetch_request(vec![wanted("t", 0, offset)], wait_ms).with_rack_id(text(rack))
}

fn partition(answer: torc_net::kafka::schema::FetchResponse) -> PartitionData {
    answer.responses[0].partitions[0].clone()
}

/// What is fetched without waiting.
fn fetch(cluster: &mut Cluster, client: &mut Client, offset: i64, rack: &str) -> PartitionData {
    partition(client.ask(cluster, WITH_RACKS, &request(offset, rack, 0)))
}

/// Partition 0 of topic t, led by node 1, with three records on all nodes.
fn written(cluster: &mut Cluster) -> [Client; 3] {
    let mut clients = clients(cluster);
    assigned(cluster, &mut clients[0], "t", [1, 2, 3], "1");
    for _ in 0..3 {
        assert_eq!(clients[0].produce_one(cluster, "t", 0).error_code, error::NONE);
    }
    cluster.pass(200);
    clients
}

#[test]
fn a_consumer_reads_from_the_replica_in_its_rack() {
    for shards in [[1, 1, 1], [2, 3, 1]] {
        let mut cluster = cluster(shards);
        let [mut leader, mut near, mut far] = written(&mut cluster);
        let told = fetch(&mut cluster, &mut leader, 0, "rack2");
        assert_eq!((told.error_code, told.preferred_read_replica.0, values(&told).len()), (error::NONE, 2, 0));
        let read = fetch(&mut cluster, &mut near, 0, "rack2");
        assert_eq!((read.error_code, read.preferred_read_replica.0, values(&read).len()), (error::NONE, NOWHERE, 3));
        assert_eq!((read.high_watermark, read.last_stable_offset, read.log_start_offset), (3, 3, 0));
        // In the leader's own rack, in one where nobody is, without one: the leader.
        for rack in ["rack1", "rack9", ""] {
            let read = fetch(&mut cluster, &mut leader, 1, rack);
            assert_eq!((read.preferred_read_replica.0, values(&read).len()), (NOWHERE, 2), "{rack:?}");
        }
        // Who says where it is may ask any replica, even one that is elsewhere. Others are told to look for the leader.
        assert_eq!(values(&fetch(&mut cluster, &mut far, 2, "rack2")).len(), 1);
        for (version, refused) in [(WITH_RACKS, request(0, "", 0)), (WITH_RACKS - 1, request(0, "", 0))] {
            let answer = partition(near.ask(&mut cluster, version, &refused));
            assert_eq!((answer.error_code, values(&answer).len()), (error::NOT_LEADER_OR_FOLLOWER, 0));
        }
    }
}

#[test]
fn who_waits_at_a_follower_is_woken_by_what_is_committed() {
    let mut cluster = cluster([1, 1, 1]);
    let [mut leader, mut near, _] = written(&mut cluster);
    let waits = near.send(&mut cluster, WITH_RACKS, &request(3, "rack2", 60_000));
    assert!(near.take::<FetchRequest>(&mut cluster, WITH_RACKS, waits, 3_000).is_none(), "there is nothing");
    assert_eq!(leader.produce_one(&mut cluster, "t", 0).error_code, error::NONE);
    let read = partition(near.take::<FetchRequest>(&mut cluster, WITH_RACKS, waits, 500).expect("there is something"));
    assert_eq!((read.high_watermark, values(&read)[0].0), (4, 3));
    // A consumer at the end of the log is told at once where to wait.
    let told = partition(leader.ask(&mut cluster, WITH_RACKS, &request(4, "rack2", 60_000)));
    assert_eq!(told.preferred_read_replica.0, 2);
}

#[test]
fn nobody_is_sent_to_a_replica_that_lacks_what_is_committed() {
    let mut cluster = cluster([1, 1, 1]);
    let [mut leader, mut near, _] = written(&mut cluster);
    cluster.disk(node(2), 0).hold_writes = true;
    assert_eq!(leader.produce_one(&mut cluster, "t", 0).error_code, error::NONE, "two of three have it");
    let read = fetch(&mut cluster, &mut leader, 3, "rack2");
    assert_eq!((read.preferred_read_replica.0, values(&read).len()), (NOWHERE, 1));
    cluster.disk(node(2), 0).hold_writes = false;
    cluster.disk(node(2), 0).release();
    cluster.pass(200);
    assert_eq!(fetch(&mut cluster, &mut leader, 3, "rack2").preferred_read_replica.0, 2);
    // Of offsets that a follower has not heard of its leader may know.
    assert_eq!(fetch(&mut cluster, &mut near, 5, "rack2").error_code, error::NOT_LEADER_OR_FOLLOWER);
    cluster.kill(node(2));
    cluster.pass(1_000);
    let read = fetch(&mut cluster, &mut leader, 3, "rack2");
    assert_eq!((read.preferred_read_replica.0, values(&read).len()), (NOWHERE, 1), "it is not there");
}

#[test]
fn a_follower_goes_by_the_epoch_that_a_consumer_believes_in() {
    let mut cluster = cluster([1, 1, 1]);
    let [mut leader, mut near, _] = written(&mut cluster);
    let (_, told) = leader.metadata(&mut cluster, "t");
    let epoch = told.partitions[0].leader_epoch;
    for (believed, code) in [
        (epoch, error::NONE),
        (epoch - 1, error::FENCED_LEADER_EPOCH),
        (epoch + 1, error::UNKNOWN_LEADER_EPOCH),
        (-1, error::NONE),
    ] {
        let mut asked = request(0, "rack2", 0);
        asked.topics[0].partitions[0].current_leader_epoch = believed;
        let answer = partition(near.ask(&mut cluster, WITH_RACKS, &asked));
        assert_eq!(answer.error_code, code, "{believed} beside {epoch}");
    }
}

#[test]
fn a_session_tells_of_a_replica_each_time() {
    let mut cluster = cluster([1, 1, 1]);
    let [mut leader, _, _] = written(&mut cluster);
    let mut answer = leader.ask(&mut cluster, WITH_RACKS, &request(3, "rack2", 0).with_session_epoch(0));
    assert_ne!(answer.session_id, 0);
    for epoch in 1..4 {
        let next = fetch_request(Vec::new(), 10_000).with_rack_id(text("rack2"));
        let next = next.with_session_id(answer.session_id).with_session_epoch(epoch);
        answer = leader.ask(&mut cluster, WITH_RACKS, &next);
        assert_eq!(partition(answer.clone()).preferred_read_replica.0, 2, "although nothing else has changed");
    }
}

#[test]
fn an_administrator_may_leave_all_readers_to_leaders() {
    let mut cluster = Cluster::with([1, 1, 1], |settings| {
        settings.cluster.rack = Some(format!("rack{}", settings.node.get()));
        settings.cluster.rack_reads = false;
    });
    cluster.pass(1_000);
    let [mut leader, ..] = written(&mut cluster);
    let read = fetch(&mut cluster, &mut leader, 0, "rack2");
    assert_eq!((read.preferred_read_replica.0, values(&read).len()), (NOWHERE, 3));
}

/// What each node has of partition 0 of t, by a request that any replica answers.
fn ends(cluster: &mut Cluster, clients: &mut [Client]) -> Vec<i64> {
    let partition = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(-1);
    let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-2)).with_topics(vec![topic]);
    let end = |client: &mut Client| {
        let answer = client.ask(cluster, 5, &request);
        let told = &answer.topics[0].partitions[0];
        assert_eq!(told.error_code, error::NONE, "{told:?}");
        told.offset
    };
    clients.iter_mut().map(end).collect()
}

#[test]
fn every_replica_says_how_far_it_is() {
    let mut cluster = cluster([1, 1, 1]);
    let mut clients = written(&mut cluster);
    assert_eq!(ends(&mut cluster, &mut clients), [3, 3, 3]);
    cluster.kill(node(3));
    cluster.pass(1_000);
    assert_eq!(clients[0].produce_one(&mut cluster, "t", 0).error_code, error::NONE);
    cluster.pass(200);
    assert_eq!(ends(&mut cluster, &mut clients[..2]), [4, 4]);
    // A consumer is told by leaders alone.
    let partition = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(-1);
    let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    let answer = clients[1].ask(&mut cluster, 5, &request);
    assert_eq!(answer.topics[0].partitions[0].error_code, error::NOT_LEADER_OR_FOLLOWER);
}

/// The time that a produce waits for other nodes is told apart from that of the own disk.
#[test]
fn the_wait_for_a_quorum_is_a_stage_of_its_own() {
    let mut cluster = cluster([1, 1, 1]);
    let [mut leader, ..] = written(&mut cluster);
    let spent = |cluster: &Cluster, stage: crate::Stage| cluster.stages(node(1), stage).1 / 1_000_000;
    let before = (spent(&cluster, crate::Stage::Flush), spent(&cluster, crate::Stage::Quorum));
    let held = [node(2), node(3)];
    held.iter().for_each(|id| cluster.disk(*id, 0).hold_writes = true);
    let bytes = batch(&["a"]);
    let waits = leader.send(&mut cluster, PRODUCE, &produce_request(-1, &[("t", 0, &bytes)]));
    assert!(leader.take::<ProduceRequest>(&mut cluster, PRODUCE, waits, 300).is_none(), "one disk has it");
    for id in held {
        cluster.disk(id, 0).hold_writes = false;
        cluster.disk(id, 0).release();
    }
    assert!(leader.take::<ProduceRequest>(&mut cluster, PRODUCE, waits, 1_000).is_some());
    let (flush, quorum) = (spent(&cluster, crate::Stage::Flush), spent(&cluster, crate::Stage::Quorum));
    assert!(quorum - before.1 >= 300 && flush - before.0 < 100, "{before:?} {flush} {quorum}");
}

/// `replica.lag.time.max.ms` is the time after which a replica that lags is not in sync.
#[test]
fn how_long_a_replica_may_lag_is_a_setting() {
    let mut cluster = Cluster::with([1, 1, 1], |settings| settings.cluster.replica_lag_ms = 3_000);
    cluster.pass(1_000);
    let [mut leader, ..] = written(&mut cluster);
    cluster.disk(node(3), 0).hold_writes = true;
    assert_eq!(leader.produce_one(&mut cluster, "t", 0).error_code, error::NONE);
    let mut in_sync_after = |ms| {
        cluster.pass(ms);
        let (_, told) = leader.metadata(&mut cluster, "t");
        ids(&told.partitions[0].isr_nodes)
    };
    assert_eq!((in_sync_after(1_500), in_sync_after(3_500)), (vec![1, 2, 3], vec![1, 2]));
}
