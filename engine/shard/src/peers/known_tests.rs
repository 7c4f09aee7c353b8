use super::*;
use crate::groups::Lending;
use std::collections::BTreeMap;
use torc_base::ids::{GroupId, Index, SessionId};
use torc_consensus::{Configuration, Mark, wire};
use torc_net::peer::VERSIONS;
use torc_state::tree::expiry::Owner;

const NEWEST: u16 = *VERSIONS.end();

fn messages() -> Vec<Body> {
    let (last, index) = (Mark::default(), Index(3));
    let configuration = Configuration::of_voters([torc_base::ids::NodeId(1)]);
    vec![
        Body::PreVote { last },
        Body::PreVoteReply { granted: true },
        Body::RequestVote { last },
        Body::VoteReply { granted: true },
        Body::Append { prev: last, runs: Vec::new(), configurations: Vec::new(), committed: index },
        Body::Accepted { through: index, incarnation: 0 },
        Body::Rejected { prev: index, hint: last, incarnation: 0, damaged: false },
        Body::Commit { through: index },
        Body::Heartbeat { committed: index, round: 1 },
        Body::HeartbeatReply { round: 1, incarnation: 0 },
        Body::TimeoutNow,
        Body::Resigned,
        Body::Snapshot { mark: last, configuration },
        Body::Readmitted { through: index, incarnation: 1 },
        Body::Abstained { pre: true },
    ]
}

fn message(body: Body) -> Message {
    Message { term: Term(5), body }
}

fn number_of(message: &Message) -> u8 {
    let mut bytes = Vec::new();
    wire::encode(message, &mut bytes);
    bytes[0]
}

/// What servers that are out there understand does not change: a kind that is new here comes with a version that is.
#[test]
fn the_messages_that_a_version_knows_are_these_for_ever() {
    let known: BTreeMap<u8, u16> =
        messages().into_iter().map(message).map(|m| (number_of(&m), of_message(&m))).collect();
    let first = (1..=14).map(|number| (number, 1));
    assert_eq!(known, first.chain([(15, 4)]).collect());
    // All kinds that can be read are among them.
    for number in 0..=u8::MAX {
        let unknown = (0..200).all(|len| {
            let bytes: Vec<u8> = std::iter::once(number).chain(std::iter::repeat_n(1, len)).collect();
            matches!(wire::decode(&bytes), Err(error) if error.what == "the kind of a message between members" || len < 8)
        });
        assert_eq!(unknown, !known.contains_key(&number), "kind {number} is read, and not in the table");
    }
}

#[test]
fn on_every_link_a_message_is_one_that_its_version_knows() {
    for version in VERSIONS {
        for message in messages().into_iter().map(message) {
            let sent = fitting_message(message.clone(), version);
            assert!(of_message(&sent) <= version, "{message:?} as {sent:?} in version {version}");
            assert!(sent == message || of_message(&message) > version, "{message:?} is known to {version}");
        }
    }
    let refused = fitting_message(message(Body::Abstained { pre: true }), 3);
    // The candidate's own term, as of any that refuses.
    assert_eq!(refused, Message { term: Term(4), body: Body::PreVoteReply { granted: false } });
    let refused = fitting_message(message(Body::Abstained { pre: false }), 3);
    assert_eq!(refused, message(Body::VoteReply { granted: false }));
}

#[test]
fn of_mail_that_leaves_nothing_is_unknown_and_all_else_is_there() {
    let (session, owner) = (SessionId(7), Owner(9));
    let lives = TreeAsk::LivesFor { session, owner, timeout_ms: 40_000 };
    let letters =
        |asks: &[TreeAsk]| Mail::Tree(Box::new(crate::znodes::TreeMail { asks: asks.to_vec(), ..Default::default() }));
    let heard = TreeAsk::Heard(vec![session]);
    let both = || letters(&[heard.clone(), lives.clone()]);
    let told = |mail: Option<Mail>| mail.map(|mail| format!("{mail:?}"));
    assert_eq!(told(fitting(both(), NEWEST)), Some(format!("{:?}", both())));
    assert_eq!(told(fitting(both(), 3)), Some(format!("{:?}", letters(&[heard]))));
    assert!(fitting(letters(&[lives]), 3).is_none(), "nothing is left to say");
    let lending = || {
        Mail::Lending(Box::new(Lending {
            group: GroupId(1),
            entry: Mark { term: Term(1), index: Index(1) },
            word: LendingWord::Lacked,
        }))
    };
    assert_eq!([2, 3].map(|version| fitting(lending(), version).is_some()), [false, true]);
    assert_eq!([3, 4].map(|version| fitting(Mail::Room, version).is_some()), [false, true]);
    assert!(fitting(Mail::Drained, NEWEST).is_none(), "it stays inside");
}
