use super::*;
use crate::mail::{Answer, Produced};
use crate::stages::LogTimes;
use torc_base::ids::{Index, Offset, Term};
use torc_consensus::Body;

const PEERS: [NodeId; 2] = [NodeId(2), NodeId(3)];

fn message(term: u64) -> Message {
    Message { term: Term(term), body: Body::HeartbeatReply { round: 0, incarnation: 0 } }
}

fn terms(parcel: &Parcel) -> Vec<(u64, u64)> {
    parcel.messages.iter().map(|(group, message)| (group.get(), message.term.get())).collect()
}

#[test]
fn each_peer_gets_one_parcel_in_the_order_in_which_it_was_said() {
    let mut boxes = Outboxes::default();
    assert!(boxes.is_empty() && boxes.take().is_empty());
    boxes.send(PEERS[0], GroupId(5), message(1));
    boxes.send(PEERS[1], GroupId(5), message(2));
    boxes.send(PEERS[0], GroupId(4), message(3));
    boxes.post(Place { node: PEERS[1], shard: ShardId(6) }, Mail::Drained);
    let parcels = boxes.take();
    assert_eq!(parcels.keys().copied().collect::<Vec<_>>(), PEERS);
    assert_eq!(terms(&parcels[&PEERS[0]]), [(5, 1), (4, 3)]);
    assert_eq!(terms(&parcels[&PEERS[1]]), [(5, 2)]);
    assert!(matches!(parcels[&PEERS[1]].mail[..], [(ShardId(6), Mail::Drained)]));
    assert!(boxes.is_empty() && boxes.take().is_empty(), "it leaves once");
}

#[test]
fn what_depends_on_the_disk_leaves_when_that_is_durable() {
    let mut boxes = Outboxes::default();
    let behind = |boxes: &mut Outboxes, wrote, durable, group, term| {
        boxes.send_behind(BatchSeq(wrote), BatchSeq(durable), PEERS[0], GroupId(group), message(term));
    };
    behind(&mut boxes, 4, 4, 1, 10);
    behind(&mut boxes, 7, 4, 2, 11);
    behind(&mut boxes, 6, 4, 3, 12);
    behind(&mut boxes, 6, 4, 1, 13);
    let leaves = |boxes: &mut Outboxes| boxes.take().get(&PEERS[0]).map_or(Vec::new(), terms);
    assert_eq!(leaves(&mut boxes), [(1, 10)]);
    boxes.durable(BatchSeq(5));
    assert!(boxes.is_empty());
    boxes.durable(BatchSeq(6));
    assert_eq!(leaves(&mut boxes), [(3, 12), (1, 13)]);
    behind(&mut boxes, 8, 6, 1, 14);
    boxes.forget(GroupId(2));
    boxes.durable(BatchSeq(7));
    assert!(boxes.is_empty(), "its group is gone");
    boxes.never();
    boxes.durable(BatchSeq(u64::MAX));
    assert!(boxes.is_empty(), "the log failed");
}

/// A leader asks once in a while, and a disk may stand still for minutes.
#[test]
fn what_a_disk_that_stands_still_holds_back_is_no_more_than_the_newest() {
    let mut boxes = Outboxes::default();
    let accepted =
        |through| Message { term: Term(1), body: Body::Accepted { through: Index(through), incarnation: 0 } };
    let mut behind = |wrote, to, group, through| {
        boxes.send_behind(BatchSeq(wrote), BatchSeq(4), to, GroupId(group), accepted(through));
    };
    for _ in 0..1_000 {
        PEERS.into_iter().for_each(|to| behind(7, to, 1, 9));
        behind(7, PEERS[0], 2, 5);
    }
    behind(8, PEERS[0], 1, 12);
    assert_eq!(boxes.held.len(), 4);
    boxes.durable(BatchSeq(7));
    let parcels = boxes.take();
    assert_eq!(parcels[&PEERS[0]].messages, [(GroupId(1), accepted(9)), (GroupId(2), accepted(5))]);
    assert_eq!(parcels[&PEERS[1]].messages, [(GroupId(1), accepted(9))]);
    boxes.durable(BatchSeq(8));
    assert_eq!(boxes.take()[&PEERS[0]].messages, [(GroupId(1), accepted(12))]);
    assert!(boxes.newest.is_empty());
}

/// Times of this process's clock would mean something else elsewhere.
#[test]
fn answers_for_other_nodes_have_no_times_of_this_one() {
    let times = Some(LogTimes::default());
    let produced = Produced { base: Offset(7), append_time: -1, log_start: Offset(0), times };
    let Answer::Produced(parts) = Answer::Produced(vec![(0, Ok(produced))]).abroad() else { panic!("the same answer") };
    assert_eq!(parts, [(0, Ok(Produced { times: None, ..produced }))]);
}
