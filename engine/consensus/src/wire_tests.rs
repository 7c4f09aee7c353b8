use super::*;
use torc_base::limits::{PEER_MESSAGE_BYTES_MAX, REPLICATE_ENTRIES_MAX};
use torc_base::prng::Prng;

fn mark(prng: &mut Prng) -> Mark {
    Mark { term: Term(prng.next_u64()), index: Index(prng.next_u64()) }
}

fn configuration(prng: &mut Prng) -> Configuration {
    let seats = [Seat::Voter, Seat::Learner, Seat::Joining, Seat::Leaving, Seat::Demoted];
    let first = Member { id: NodeId(prng.below(1 << 20) as u32), seat: Seat::Voter };
    let others = (0..prng.below(9)).map(|at| {
        let id = NodeId(first.id.0 + 1 + at as u32);
        Member { id, seat: seats[prng.below(5) as usize] }
    });
    Configuration::new(std::iter::once(first).chain(others).collect()).expect("each once, one votes")
}

/// A message of kind `at`, of all that there are.
fn message(prng: &mut Prng, at: u64) -> Message {
    let number = |prng: &mut Prng| prng.next_u64() >> prng.below(64);
    let index = |prng: &mut Prng| Index(prng.next_u64() >> prng.below(64));
    let body = match at {
        0 => Body::PreVote { last: mark(prng) },
        1 => Body::PreVoteReply { granted: prng.chance(1, 2) },
        2 => Body::RequestVote { last: mark(prng) },
        3 => Body::VoteReply { granted: prng.chance(1, 2) },
        4 => {
            let runs = (0..prng.below(20)).map(|_| Run { term: Term(prng.next_u64()), entries: prng.below(9) as u32 });
            let runs = runs.collect();
            Body::Append { prev: mark(prng), runs, configurations: Vec::new(), committed: index(prng) }
        }
        5 => Body::Accepted { through: index(prng), incarnation: number(prng) },
        6 => {
            let (prev, hint, incarnation) = (index(prng), mark(prng), number(prng));
            Body::Rejected { prev, hint, incarnation, damaged: prng.chance(1, 2) }
        }
        7 => Body::Commit { through: index(prng) },
        8 => Body::Heartbeat { committed: index(prng), round: number(prng) },
        9 => Body::HeartbeatReply { round: number(prng), incarnation: number(prng) },
        10 => Body::TimeoutNow,
        11 => Body::Resigned,
        12 => Body::Snapshot { mark: mark(prng), configuration: configuration(prng) },
        13 => Body::Readmitted { through: index(prng), incarnation: number(prng) },
        _ => Body::Abstained { pre: prng.chance(1, 2) },
    };
    Message { term: Term(number(prng)), body }
}

fn written(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(message, &mut bytes);
    bytes
}

#[test]
fn messages_are_read_as_they_were_written() {
    for seed in 0..2_000 {
        let message = message(&mut Prng::new(seed), seed % 15);
        let bytes = written(&message);
        assert_eq!(decode(&bytes), Ok(message), "seed {seed}");
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "seed {seed}, cut at {len}");
        }
        assert!(decode(&[&bytes[..], b"x"].concat()).is_err(), "seed {seed}, a byte too many");
    }
}

/// Whatever was made of a message on its way: it is refused, or it is another message, of which nothing else would come.
#[test]
fn damaged_messages_are_refused_or_other_messages() {
    let mut refused = 0;
    for seed in 0..4_000 {
        let mut prng = Prng::new(seed);
        let mut bytes = written(&message(&mut prng, seed % 15));
        for _ in 0..1 + prng.below(4) {
            let at = prng.below(bytes.len() as u64) as usize;
            bytes[at] = prng.below(256) as u8;
        }
        match decode(&bytes) {
            Ok(other) => assert_eq!(written(&other), bytes, "seed {seed}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 400, "{refused}");
}

#[test]
fn bytes_of_any_kind_do_no_harm() {
    for seed in 0..20_000 {
        let mut prng = Prng::new(seed);
        let mut bytes = vec![0; prng.below(80) as usize];
        prng.fill(&mut bytes);
        if let Some(kind) = bytes.first_mut() {
            *kind %= 16;
        }
        if let Ok(message) = decode(&bytes) {
            assert_eq!(written(&message), bytes, "seed {seed}");
        }
        // A number of members that are not there takes no memory.
        _ = take_configuration(&mut &bytes[..]);
    }
}

#[test]
fn configurations_stand_alone_and_are_checked() {
    for seed in 0..300 {
        let configuration = configuration(&mut Prng::new(seed));
        let mut bytes = Vec::new();
        encode_configuration(&configuration, &mut bytes);
        bytes.extend_from_slice(b"what follows");
        let rest = &mut &bytes[..];
        assert_eq!(take_configuration(rest), Ok(configuration), "seed {seed}");
        assert_eq!(*rest, b"what follows", "seed {seed}");
    }
    let none_votes = [1, 0, 7, 0, 0, 0, 1];
    let twice = [2, 0, 7, 0, 0, 0, 0, 7, 0, 0, 0, 0];
    let no_seat = [1, 0, 7, 0, 0, 0, 5];
    for bytes in [&none_votes[..], &twice, &no_seat, &[]] {
        assert!(take_configuration(&mut &bytes[..]).is_err(), "{bytes:?}");
    }
}

/// The longest message finds room where frames put it: each entry of another term than the one before.
#[test]
fn no_message_is_longer_than_a_frame_allows() {
    let run = Run { term: Term(1), entries: 1 };
    let runs = vec![run; REPLICATE_ENTRIES_MAX as usize];
    let body = Body::Append { prev: Mark::default(), runs, configurations: Vec::new(), committed: Index(0) };
    let append = written(&Message { term: Term(1), body });
    let members = (0..1_000).map(|id| Member { id: NodeId(id), seat: Seat::Voter }).collect();
    let configuration = Configuration::new(members).expect("each once");
    let snapshot = Message { term: Term(1), body: Body::Snapshot { mark: Mark::default(), configuration } };
    let longest = append.len().max(written(&snapshot).len());
    assert!(longest <= PEER_MESSAGE_BYTES_MAX, "{longest}");
}
