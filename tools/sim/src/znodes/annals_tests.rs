use super::*;

const SESSION: i64 = 7;

fn effect(path: &str, kind: Kind) -> Effect {
    Effect { path: path.to_string(), kind, sequential: false, owner: 0 }
}

fn sight(czxid: i64, mzxid: i64, version: i32) -> Sight {
    Sight { czxid, mzxid, pzxid: czxid, version, owner: 0 }
}

/// `/a` was made by change 1, and set by changes 3 and 5.
fn annals() -> Annals {
    let mut annals = Annals::default();
    for (at, kind) in [(1, Kind::Made), (3, Kind::Set), (5, Kind::Set)] {
        let attempt = annals.ask(vec![effect("/a", kind)]);
        annals.acknowledged(attempt, at, &["/a".to_string()]).expect("nothing speaks against it");
    }
    annals
}

fn rule(result: Result<(), Violation>) -> Option<Rule> {
    result.err().map(|violation| violation.rule)
}

#[test]
fn whoever_sees_what_is_not_the_newest_by_then_is_told_a_lie() {
    let mut annals = annals();
    assert_eq!(rule(annals.seen("/a", 4, &sight(1, 3, 1), Some((2, 0)))), None);
    assert_eq!(rule(annals.seen("/a", 7, &sight(1, 5, 2), Some((3, 0)))), None);
    assert_eq!(rule(annals.seen("/a", 5, &sight(1, 3, 1), Some((2, 0)))), Some(Rule::OneOrder), "change 5 is missing");
    assert_eq!(rule(annals.missing("/a", 6)), Some(Rule::OneOrder));
    // What is learned later must fit, too.
    let attempt = annals.ask(vec![effect("/a", Kind::Set)]);
    assert_eq!(rule(annals.acknowledged(attempt, 6, &[])), Some(Rule::OneOrder));
}

#[test]
fn a_change_comes_about_once_and_behind_what_was_answered_before() {
    let mut annals = annals();
    let open = annals.ask(vec![effect("/a", Kind::Set), effect("/b", Kind::Made)]);
    assert_eq!(rule(annals.seen("/a", 9, &sight(1, 8, 3), Some((open, 0)))), None);
    // The same request has done the other thing at the same time.
    assert_eq!(rule(annals.missing("/b", 9)), Some(Rule::OneOrder));
    assert_eq!(rule(annals.seen("/a", 12, &sight(1, 11, 4), Some((open, 0)))), Some(Rule::OneOrder), "twice");
    let late = annals.ask(vec![effect("/a", Kind::Set)]);
    assert_eq!(rule(annals.done(late, 4, &[])), Some(Rule::OneOrder), "5 was answered before it was asked");
    assert_eq!(rule(annals.seen("/a", 20, &sight(1, 13, 5), Some((99, 0)))), Some(Rule::OneOrder), "nobody wrote it");
}

#[test]
fn an_ephemeral_znode_that_is_gone_ends_its_session() {
    let mut annals = Annals::default();
    annals.session(SESSION, 1_000, 0);
    let attempt = annals.ask(vec![Effect { owner: SESSION, ..effect("/e", Kind::Made) }]);
    annals.acknowledged(attempt, 3, &[]).expect("nothing speaks against it");
    assert_eq!(rule(annals.told(SESSION, 8)), None);
    assert_eq!(rule(annals.told(SESSION, 7)), Some(Rule::SessionOrder));
    assert_eq!(rule(annals.missing("/e", 10)), None);
    assert_eq!(rule(annals.told(SESSION, 9)), None, "a node that lags behind");
    assert_eq!(rule(annals.told(SESSION, 10)), Some(Rule::SessionLife));
    annals.touched(SESSION, 500);
    assert_eq!(rule(annals.expired(SESSION, 1_499, false)), Some(Rule::SessionLife));
    assert_eq!(rule(annals.expired(SESSION, 1_500, false)), None);
}

#[test]
fn a_session_that_is_said_to_be_gone_has_left_nothing_to_whoever_asks_later() {
    let mut annals = Annals::default();
    annals.session(SESSION, 1_000, 0);
    let attempt = annals.ask(vec![Effect { owner: SESSION, ..effect("/e", Kind::Made) }]);
    annals.acknowledged(attempt, 3, &[]).expect("nothing speaks against it");
    annals.expired(SESSION, 2_000, false).expect("it is late");
    let mine = Sight { owner: SESSION, ..sight(3, 3, 0) };
    annals.behind(1_999, 5);
    assert_eq!(rule(annals.seen("/e", 9, &mine, None)), None, "what was asked before may have been answered before");
    annals.behind(2_000, 7);
    assert_eq!(rule(annals.seen("/e", 6, &mine, None)), None, "a node that lags behind");
    assert_eq!(rule(annals.seen("/e", 9, &mine, None)), Some(Rule::SessionLife));
}

#[test]
fn a_watch_that_is_silent_says_that_nothing_changed() {
    let mut annals = annals();
    assert_eq!(rule(annals.silent("/a", 7, &sight(1, 5, 2), false)), None);
    assert_eq!(rule(annals.silent("/a", 5, &sight(1, 3, 1), false)), Some(Rule::Watches));
    assert_eq!(rule(annals.absent("/never", 2, 9)), None);
    let claim = |behind, through| Claim { path: "/a".into(), of_children: false, behind, through };
    annals.claim(claim(3, 5));
    let stretch = |claims| Stretch { path: "/a".into(), recursive: false, from: 2, to: 7, claims };
    annals.stretch(stretch(vec![claim(2, 3), claim(3, 6)]));
    assert_eq!(rule(annals.end()), None);
    annals.stretch(stretch(vec![claim(2, 3)]));
    assert_eq!(rule(annals.end()), Some(Rule::Watches), "change 5 was not told");
    annals.claim(claim(5, 9));
    assert_eq!(rule(annals.end()), Some(Rule::Watches), "nothing happened behind 5");
}

#[test]
fn who_writes_under_an_older_lock_than_somebody_before_is_found() {
    let mut annals = Annals::default();
    for (at, token) in [(10, 4), (11, 4), (20, 9)] {
        assert_eq!(rule(annals.guarded(at, token)), None);
    }
    assert_eq!(rule(annals.guarded(21, 4)), Some(Rule::LockSafety));
    assert_eq!(rule(annals.guarded(9, 5)), Some(Rule::LockSafety));
}
