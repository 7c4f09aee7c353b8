//! Requests that write to many partitions at once.

use super::rig::{Client, Rig};
use super::verbs::{PRODUCE, batch, produce_request, produced};
use torc_base::limits::TURN_ITEMS;
use torc_net::kafka::schema::{MetadataRequest, ProduceRequest};

const PARTITIONS: i32 = 400;

fn rig_with_topic() -> (Rig, Client) {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", PARTITIONS, &[]), 0);
    (rig, client)
}

/// One record to each partition of the topic.
fn send_to_all(rig: &mut Rig, client: Client) -> i32 {
    let batch = batch(&["a"]);
    let parts: Vec<_> = (0..PARTITIONS).map(|partition| ("t", partition, &batch[..])).collect();
    rig.send(client, PRODUCE, &produce_request(-1, &parts))
}

#[test]
fn writes_of_one_connection_keep_their_order_when_they_wait_for_their_turns() {
    let (mut rig, client) = rig_with_topic();
    let sent: Vec<i32> = (0..5).map(|_| send_to_all(&mut rig, client)).collect();
    let last = rig.send(client, PRODUCE, &produce_request(-1, &[("t", 7, &batch(&["b"]))]));
    rig.run();
    for (offset, correlation) in sent.into_iter().enumerate() {
        let answer = rig.take::<ProduceRequest>(client, PRODUCE, correlation).expect("an answer");
        let offsets = produced(answer).iter().map(|part| part.base_offset).collect::<Vec<_>>();
        assert_eq!(offsets, vec![offset as i64; PARTITIONS as usize]);
    }
    let answer = rig.take::<ProduceRequest>(client, PRODUCE, last).expect("an answer");
    assert_eq!(produced(answer)[0].base_offset, 5, "what is small does not go past what waits");
}

#[test]
fn writes_to_many_partitions_take_turns_and_others_are_served_meanwhile() {
    let (mut rig, other) = rig_with_topic();
    let clients: Vec<Client> = (0..12).map(|_| rig.connect(0)).collect();
    let sent: Vec<i32> = clients.iter().map(|client| send_to_all(&mut rig, *client)).collect();
    let (mut turns, mut served, mut answers) = (0, 0, 0);
    while answers < clients.len() {
        rig.send(other, 9, &MetadataRequest::default().with_topics(Some(Vec::new())));
        rig.turn(0);
        turns += 1;
        assert!(turns < 200, "{answers} answers");
        served += usize::from(rig.take_frame(other).is_some());
        let came = clients.iter().zip(&sent);
        answers +=
            came.filter(|(client, sent)| rig.take::<ProduceRequest>(**client, PRODUCE, **sent).is_some()).count();
    }
    let least = clients.len() * PARTITIONS as usize / TURN_ITEMS / 2;
    assert!(turns >= least && served + 2 >= turns, "{turns} turns, at least {least}; {served} others were served");
}
