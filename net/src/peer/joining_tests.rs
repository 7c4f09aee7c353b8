use super::joining::{Caller, Known, Question, Reply};
use torc_base::ids::NodeId;

const FROM: Caller = Caller { node: NodeId(4), start: u64::MAX - 1 };

fn question(joins: bool) -> Question {
    let address = joins.then(|| "[::1]:9192".parse().unwrap());
    Question { from: FROM, joins, cluster: 3, disk: u128::MAX - 7, address }
}

fn replies() -> Vec<Reply> {
    let known =
        |node, address: &str| Known { node: NodeId(node), disk: u128::from(node) << 70, address: address.into() };
    vec![
        Reply::Refused("node.id 4 is taken".into()),
        Reply::Wait("the controller is asked".into()),
        Reply::Member { founding: vec![1, 2, 3], servers: vec![known(1, "10.0.0.1:9192"), known(4, "[::1]:9192")] },
        Reply::Member { founding: Vec::new(), servers: Vec::new() },
    ]
}

#[test]
fn questions_and_answers_are_understood() {
    for joins in [true, false] {
        assert_eq!(Question::decode(&question(joins).encode()), Some(Ok(question(joins))));
    }
    for reply in replies() {
        assert_eq!(Reply::decode(&reply.encode(FROM)), Ok((FROM, reply)));
    }
    let Ok((_, Reply::Wait(cut))) = Reply::decode(&Reply::Wait("ä".repeat(9_000)).encode(FROM)) else {
        panic!("a long text is cut")
    };
    assert_eq!(cut, "ä".repeat(4_096));
}

#[test]
fn what_is_cut_short_or_too_long_is_none() {
    let whole = question(true).encode();
    for at in 2..whole.len() {
        assert!(Question::decode(&whole[..at]).is_none_or(|read| read.is_err()), "cut at {at}");
    }
    assert!(Question::decode(&[&whole[..], &[0]].concat()).is_some_and(|read| read.is_err()));
    for reply in replies() {
        let whole = reply.encode(FROM);
        (0..whole.len()).for_each(|at| assert!(Reply::decode(&whole[..at]).is_err(), "{reply:?} cut at {at}"));
        assert!(Reply::decode(&[&whole[..], &[0]].concat()).is_err());
    }
}

#[test]
fn a_question_without_a_disk_or_a_port_is_not_sound() {
    let bad = |question: Question| Question::decode(&question.encode()).is_some_and(|read| read.is_err());
    assert!(bad(Question { disk: 0, ..question(true) }));
    assert!(bad(Question { address: Some("10.0.0.1:0".parse().unwrap()), ..question(true) }));
}

#[test]
fn other_questions_are_not_these() {
    for body in [&[][..], &[1], &[1, 1, 0, 0], &[1, 2], &[9, 5]] {
        assert!(Question::decode(body).is_none(), "{body:?}");
    }
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Some(Ok(question)) = Question::decode(bytes) {
            assert_eq!(Question::decode(&question.encode()), Some(Ok(question)));
        }
        if let Ok((from, reply)) = Reply::decode(bytes) {
            assert_eq!(Reply::decode(&reply.encode(from)), Ok((from, reply)));
        }
    });
}
