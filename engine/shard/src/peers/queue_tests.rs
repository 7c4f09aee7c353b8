use super::*;
use torc_base::ids::{Index, Term};
use torc_consensus::Body;

fn accepted(through: u64) -> Message {
    Message { term: Term(1), body: Body::Accepted { through: Index(through), incarnation: 0 } }
}

fn reply(round: u64) -> Message {
    Message { term: Term(1), body: Body::HeartbeatReply { round, incarnation: 0 } }
}

#[test]
fn what_waits_long_folds_into_the_last_message_of_its_group() {
    let mut queue = Queue::default();
    for through in 1..1_000 {
        for group in [7, 8] {
            queue.message(GroupId(group), accepted(through));
        }
    }
    // Nothing is overtaken by what is said behind it.
    queue.message(GroupId(7), reply(1));
    queue.message(GroupId(7), accepted(1_000));
    queue.message(GroupId(8), accepted(1_001));
    let waiting = queue.take_messages();
    let expected = [(7, accepted(999)), (8, accepted(1_001)), (7, reply(1)), (7, accepted(1_000))];
    assert_eq!(waiting, expected.map(|(group, message)| (GroupId(group), message)));
    assert!(queue.is_empty() && !queue.has_overflowed());
}

#[test]
fn more_than_a_link_may_have_waiting_makes_it_a_broken_one() {
    let mut queue = Queue::default();
    for group in 0..PEER_MESSAGES_MAX as u64 {
        queue.message(GroupId(group), accepted(1));
    }
    assert!(!queue.has_overflowed());
    queue.message(GroupId(1), accepted(2));
    assert!(!queue.has_overflowed(), "it takes no more room");
    queue.message(GroupId(1 << 40), accepted(1));
    assert!(queue.has_overflowed());
    assert_eq!(queue.take_messages().len(), PEER_MESSAGES_MAX);

    let mut queue = Queue::default();
    queue.mail(vec![0; PEER_MAIL_BYTES_MAX]);
    queue.mail(vec![0; PEER_MAIL_BYTES_MAX]);
    assert!(!queue.has_overflowed());
    queue.mail(vec![0; 1]);
    assert!(queue.has_overflowed());
    let mut large = Queue::default();
    large.mail(vec![0; PEER_MAIL_BYTES_MAX + 1]);
    assert!(large.has_overflowed(), "no frame has room for it");
}

#[test]
fn mail_leaves_in_its_order_as_there_is_room() {
    let mut queue = Queue::default();
    (1..4).for_each(|bytes| queue.mail(vec![bytes as u8; bytes]));
    assert_eq!(queue.next_mail(|bytes| bytes <= 1), Some(vec![1]));
    assert_eq!(queue.next_mail(|bytes| bytes <= 1), None);
    assert_eq!(queue.next_mail(|_| true), Some(vec![2, 2]));
    assert!(!queue.is_empty());
    assert_eq!(queue.next_mail(|_| true), Some(vec![3; 3]));
    assert!(queue.is_empty() && queue.next_mail(|_| true).is_none());
}

#[test]
fn groups_that_were_not_taken_are_named_once() {
    let mut queue = Queue::default();
    [5, 3, 5, 4].into_iter().for_each(|group| queue.untaken(GroupId(group)));
    assert_eq!(queue.take_untaken(2), [GroupId(3), GroupId(4)]);
    assert_eq!(queue.take_untaken(2), [GroupId(5)]);
    assert!(queue.take_untaken(2).is_empty() && queue.is_empty());
}

/// A commit alone waits for company, or for the next beat.
#[test]
fn commits_leave_with_what_else_there_is_to_say() {
    let commit = |through| Message { term: Term(1), body: Body::Commit { through: Index(through) } };
    let mut queue = Queue::default();
    assert!(!queue.urge() && !queue.is_urgent());
    queue.message(GroupId(7), commit(1));
    queue.message(GroupId(7), commit(2));
    assert!(!queue.is_urgent() && queue.urge() && queue.is_urgent() && !queue.urge());
    assert_eq!(queue.take_messages(), [(GroupId(7), commit(2))]);
    assert!(!queue.is_urgent());
    queue.message(GroupId(7), commit(3));
    queue.message(GroupId(8), accepted(1));
    assert!(queue.is_urgent());
    queue.take_messages();
    queue.message(GroupId::CATALOG, commit(3));
    assert!(queue.is_urgent(), "what nodes do follows from it");
    queue.take_messages();
    for say in [|queue: &mut Queue| queue.mail(vec![1]), |queue: &mut Queue| queue.untaken(GroupId(7))] {
        let mut queue = Queue::default();
        say(&mut queue);
        assert!(queue.is_urgent());
        queue.take_messages();
        assert!(queue.is_urgent(), "it still waits");
    }
}
