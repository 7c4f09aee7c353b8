use super::*;
use crate::mail::Mail;
use crate::peers::known;
use std::collections::BTreeMap;

fn sample() -> TreeMail {
    let ids = vec![Identity::of_address("10.0.0.9"), Identity { scheme: "digest", id: "ann:hash".into() }];
    let (session, owner) = (SessionId(-7), Owner(3 << 48 | 5));
    TreeMail {
        term: Term(4),
        asks: vec![
            TreeAsk::Write { number: 1, session, owner, is_local: true, ids, frame: b"a frame".to_vec() },
            TreeAsk::Upgrade { session, owner, timeout_ms: 4_000 },
            TreeAsk::NewSession { number: 2, wanted: session, timeout_ms: 30_000 },
            TreeAsk::TakeUp { number: u64::MAX, session, owner },
            TreeAsk::LivesFor { session, owner, timeout_ms: 40_000 },
            TreeAsk::Heard(vec![session, SessionId(9)]),
            TreeAsk::Heard((0..100).map(|n| SessionId(i64::MIN + n)).collect()),
        ],
        answers: vec![
            TreeAnswer::Refused { number: 5, error: TreeError::NoNode, at: 3, after: Index(70) },
            TreeAnswer::TakenUp { number: 6, is_taken: true },
            TreeAnswer::TakenUp { number: 7, is_taken: false },
            TreeAnswer::Astray { number: 8 },
        ],
    }
}

fn decode(mut bytes: &[u8]) -> Read<TreeMail> {
    let mut from = Decoder::new(&mut bytes);
    let mail = TreeMail::decode(&mut from)?;
    from.check(from.is_empty(), "end")?;
    Ok(mail)
}

#[test]
fn letters_are_read_as_they_were_written() {
    for mail in [sample(), TreeMail::default()] {
        let mut bytes = Vec::new();
        mail.encode(&mut bytes);
        assert_eq!(decode(&bytes), Ok(mail));
    }
}

/// What servers that are out there understand does not change: a kind that is new here comes with a version that is.
#[test]
fn the_letters_that_a_version_knows_are_these_for_ever() {
    let since = |ask: TreeAsk| {
        let mut bytes = Vec::new();
        put_ask(&mut bytes, &ask);
        let mail = TreeMail { asks: vec![ask], ..TreeMail::default() };
        (bytes[0], known::since(&Mail::Tree(Box::new(mail))).expect("it travels"))
    };
    let all = sample().asks.into_iter().chain([TreeAsk::MoveController]);
    let known: BTreeMap<u8, u16> = all.map(since).collect();
    assert_eq!(known, [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 4)].into());
    // All kinds that can be read are among them.
    for number in 0..=u8::MAX {
        let mut bytes = &[&[number], &[0; 100][..]].concat()[..];
        let unknown = take_ask(&mut Decoder::new(&mut bytes)).is_err_and(|error| error.what == "kind of question");
        assert_eq!(unknown, !known.contains_key(&number), "kind {number} is read, and not in the table");
    }
    let answers = TreeMail { asks: Vec::new(), ..sample() };
    assert_eq!(known::since(&Mail::Tree(Box::new(answers))), Some(1));
}

#[test]
fn no_question_takes_more_than_it_says() {
    for ask in sample().asks {
        let mut bytes = Vec::new();
        put_ask(&mut bytes, &ask);
        assert!(bytes.len() <= ask.bytes(), "{ask:?} takes {}", bytes.len());
    }
}

#[test]
fn letters_that_are_cut_or_claim_too_much_are_none() {
    let mut bytes = Vec::new();
    sample().encode(&mut bytes);
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end]).is_err(), "cut at {end}");
    }
    let mut claims = Vec::new();
    put_u64(&mut claims, 1);
    put_u64(&mut claims, u64::MAX);
    assert!(decode(&claims).is_err());
}
