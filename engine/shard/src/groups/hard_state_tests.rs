use super::*;
use torc_base::prng::Prng;
use torc_consensus::Member;

const NODE: NodeId = NodeId(7);

fn alone() -> Configuration {
    Configuration::of_voters([NODE])
}

fn state(vote: Option<u32>, doubt: Option<Doubt>) -> HardState {
    HardState { term: Term(0x0102_0304), vote: vote.map(NodeId), doubt }
}

/// What older torcs wrote is what this one writes of a group that the node has for itself.
#[test]
fn a_group_of_one_says_what_it_always_said() {
    let bytes = encode_hard_state(&state(Some(7), None), LogKind::Partition, (Index(0), &alone()), NODE);
    assert_eq!(bytes, [4, 3, 2, 1, 0, 0, 0, 0, 1, 7, 0, 0, 0, 1]);
    let told = decode_hard_state(&bytes).unwrap();
    assert_eq!(told, Told { hard_state: state(Some(7), None), kind: Some(1), members: None });
    let old = decode_hard_state(&bytes[..13]).unwrap();
    assert_eq!(old, Told { hard_state: state(Some(7), None), kind: None, members: None });
}

#[test]
fn members_and_doubt_come_back_as_they_were() {
    let seat = |id, seat| Member { id: NodeId(id), seat };
    let three = Configuration::of_voters([NodeId(1), NodeId(2), NODE]);
    let learning = Configuration::new(vec![seat(1, Seat::Voter), seat(7, Seat::Learner)]).unwrap();
    let joint = Configuration::new(vec![seat(1, Seat::Leaving), seat(2, Seat::Voter), seat(7, Seat::Joining)]).unwrap();
    let mark = Mark { term: Term(5), index: Index(99) };
    for doubt in [None, Some(Doubt::Tail(mark)), Some(Doubt::All { incarnation: 1 << 60 })] {
        for (index, members) in
            [(0, alone()), (4, alone()), (0, three.clone()), (12, learning.clone()), (9, joint.clone())]
        {
            for vote in [None, Some(0), Some(u32::MAX)] {
                let hard_state = state(vote, doubt);
                let bytes = encode_hard_state(&hard_state, LogKind::Catalog, (Index(index), &members), NODE);
                let told = decode_hard_state(&bytes).unwrap();
                assert_eq!((told.hard_state, told.kind), (hard_state, Some(0)));
                let plain = doubt.is_none() && index == 0 && members == alone();
                assert_eq!(told.members, (!plain).then_some((Index(index), members.clone())));
                for len in (0..bytes.len()).filter(|len| ![13, 14].contains(len)) {
                    assert_eq!(decode_hard_state(&bytes[..len]), None, "cut at {len}");
                }
                assert_eq!(decode_hard_state(&[&bytes[..], &[0]].concat()).filter(|_| !plain), None);
            }
        }
    }
}

#[test]
fn bytes_of_any_kind_are_refused_or_read() {
    for seed in 0..5_000 {
        let mut prng = Prng::new(seed);
        let mut bytes = vec![0; prng.below(60) as usize];
        prng.fill(&mut bytes);
        if let Some(doubt) = bytes.get_mut(14) {
            *doubt %= 4;
        }
        _ = decode_hard_state(&bytes);
    }
}

#[test]
fn a_state_comes_back_as_it_was() {
    let members = Configuration::of_voters([NodeId(1), NODE]);
    let mark = Mark { term: Term(5), index: Index(99) };
    let bytes = encode_state(mark, &members, b"a state");
    assert_eq!(decode_state(&bytes), Some((mark, members.clone(), &b"a state"[..])));
    for len in 0..bytes.len() - 7 {
        assert_eq!(decode_state(&bytes[..len]), None, "cut at {len}");
    }
    assert_eq!(
        decode_state(&encode_state(Mark::default(), &members, b"")),
        None,
        "a log that begins is none that goes on"
    );
}
