//! What clients are told when this node leads no longer what they wait for.

use super::groups::{find, join_request};
use super::rig::Rig;
use super::verbs::{CREATE_TOPICS, METADATA, name};
use torc_base::ids::GroupId;
use torc_net::kafka::error;
use torc_net::kafka::schema::create_topics_request::CreatableTopic;
use torc_net::kafka::schema::metadata_request::MetadataRequestTopic;
use torc_net::kafka::schema::{CreateTopicsRequest, JoinGroupRequest, MetadataRequest};

fn create(topic: &str) -> CreateTopicsRequest {
    let topic = CreatableTopic::default().with_name(name(topic)).with_num_partitions(2).with_replication_factor(-1);
    CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000)
}

#[test]
fn members_that_wait_for_a_coordinator_that_was_lost_are_sent_to_look_for_it() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    find(&mut rig, client, "g");
    let told = rig.ask(client, 9, &join_request("g", ""));
    let waits = rig.send(client, 9, &join_request("g", &told.member_id));
    rig.run();
    assert!(rig.take::<JoinGroupRequest>(client, 9, waits).is_none(), "it waits for others");
    rig.lose(0, |id| id != GroupId::CATALOG);
    let answer = rig.take::<JoinGroupRequest>(client, 9, waits).expect("it is answered at once");
    assert_eq!(answer.error_code, error::NOT_COORDINATOR);
    let late = rig.ask(client, 9, &join_request("g", &told.member_id));
    assert_eq!(late.error_code, error::NOT_COORDINATOR);
}

#[test]
fn partitions_that_lost_their_leader_have_none_in_any_shards_metadata() {
    let mut rig = Rig::new(2);
    let clients = [rig.connect(0), rig.connect(1)];
    let created = rig.ask(clients[0], CREATE_TOPICS, &create("t"));
    assert_eq!(created.topics[0].error_code, error::NONE);
    let leaders = |rig: &mut Rig| {
        let topic = MetadataRequestTopic::default().with_name(Some(name("t")));
        clients.map(|client| {
            let request = MetadataRequest::default().with_topics(Some(vec![topic.clone()]));
            let told = rig.ask(client, METADATA, &request);
            let mut partitions: Vec<(i32, i32, i16)> = told.topics[0]
                .partitions
                .iter()
                .map(|partition| (partition.partition_index, partition.leader_id.0, partition.error_code))
                .collect();
            partitions.sort();
            partitions
        })
    };
    let led = vec![(0, 7, error::NONE), (1, 7, error::NONE)];
    assert_eq!(leaders(&mut rig), [led.clone(), led]);
    // Each shard has one of them.
    rig.lose(1, |id| id != GroupId::CATALOG);
    let [here, there] = leaders(&mut rig);
    assert_eq!(here, there, "all shards tell the same");
    assert_eq!(here.iter().filter(|(_, leader, code)| (*leader, *code) == (7, error::NONE)).count(), 1);
    assert_eq!(
        here.iter().filter(|(_, leader, code)| (*leader, *code) == (-1, error::LEADER_NOT_AVAILABLE)).count(),
        1
    );
}

#[test]
fn changes_that_wait_for_the_catalog_are_sent_to_its_leader() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    rig.disk(0).hold_writes = true;
    let waits = rig.send(client, CREATE_TOPICS, &create("t"));
    rig.run();
    assert!(rig.take::<CreateTopicsRequest>(client, CREATE_TOPICS, waits).is_none(), "nothing is durable");
    rig.lose(0, |id| id == GroupId::CATALOG);
    let answer = rig.take::<CreateTopicsRequest>(client, CREATE_TOPICS, waits).expect("it is answered at once");
    assert_eq!(answer.topics[0].error_code, error::NOT_CONTROLLER);
    // It may come to pass all the same, and then it is known.
    rig.disk(0).release();
    rig.run();
    let again = rig.ask(client, CREATE_TOPICS, &create("t"));
    assert_eq!(again.topics[0].error_code, error::TOPIC_ALREADY_EXISTS);
}
