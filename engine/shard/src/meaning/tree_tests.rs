use super::*;
use crate::tests::rig::settings;
use torc_base::buf::Buf;
use torc_base::ids::{GroupId, Offset, SessionId};
use torc_base::time::Wall;
use torc_state::tree::{Asker, Body, Change, Create, perms};

fn item(index: u64, number: u64, body: Body) -> Item {
    let (term, index) = (Term(3), Index(index));
    let txn = Txn { session: SessionId::NONE, cxid: 0, zxid: zxid_of(term, index), time: Wall(5), body };
    let mut bytes = Vec::new();
    encode_entry(number, &txn, &mut bytes);
    Item {
        group: GroupId::TREE,
        kind: kind::TXN,
        term,
        index,
        first_offset: Offset(0),
        records: 0,
        max_timestamp: -1,
        prefix_len: 0,
        body_crc: 0,
        bytes: Buf::copy_of(&bytes),
    }
}

fn create(log: &TreeLog, path: &str) -> Body {
    let who = Asker { session: SessionId::NONE, ids: &[], is_moved: false, is_local: false };
    let open = [tree::Acl { perms: perms::ALL, id: tree::Id { scheme: "world", id: "anyone" } }];
    let create = Create { path, data: Some(b"data"), acls: &open, flags: 0, is_container: false, ttl: None };
    log.state().prepare(&who, &Change::Create(create)).expect("it can be made")
}

fn apply(log: &mut TreeLog, through: u64) -> Vec<u64> {
    let mut outcomes = Vec::new();
    std::iter::from_fn(|| log.apply_next(Index(through), &mut outcomes, &mut |_| {}))
        .map(|applied| applied.number)
        .collect()
}

fn with_znodes(count: u64) -> TreeLog {
    let mut log = TreeLog::new(&settings());
    for n in 1..=count {
        let body = create(&log, &format!("/z{n}"));
        log.replay(&item(n, n, body)).expect("it follows");
    }
    log
}

/// Takes a piece of the snapshot for a checkpoint; true: there was no more.
fn walk(log: &mut TreeLog, section: &mut Vec<u8>) -> bool {
    log.walk().map(|piece| section.extend(piece)).is_none()
}

/// Takes the rest of the section.
fn whole(log: &mut TreeLog, mut section: Vec<u8>) -> Vec<u8> {
    while !walk(log, &mut section) {}
    section.extend(log.end_section().concat());
    section
}

/// Loads a section that comes in such parts.
fn load(log: &mut TreeLog, section: &[u8], part: usize, applied: u64) -> Result<(), String> {
    let mut start = log.start();
    section.chunks(part).try_for_each(|part| start.take_section(part))?;
    log.load(start, Index(applied))
}

#[test]
fn a_section_taken_over_many_turns_has_the_entries_applied_meanwhile_behind_it() {
    let mut log = with_znodes(5_000);
    apply(&mut log, 4_000);
    let (mut turns, mut section) = (1, Vec::new());
    log.begin_walk();
    while !walk(&mut log, &mut section) {
        turns += 1;
        let next = log.state().applied().get() + 1;
        assert_eq!(apply(&mut log, next), [next]);
    }
    assert!(turns > 2 && log.walked() == Some(Index(4_000)));
    let digest_then = {
        let mut then = with_znodes(5_000);
        apply(&mut then, 4_000);
        then.state().digest()
    };
    section.extend(log.end_section().concat());
    assert!(log.walked().is_none());

    let mut loaded = TreeLog::new(&settings());
    load(&mut loaded, &section, 999, 4_000).expect("what was just written");
    assert_eq!(loaded.state().digest(), digest_then);
    assert_eq!(loaded.pending(), Some((Index(4_001), Index(5_000))));
    assert_eq!(apply(&mut loaded, 5_000).len(), 1_000);
    apply(&mut log, 5_000);
    assert_eq!(loaded.state().digest(), log.state().digest());

    let mut other = TreeLog::new(&settings());
    assert!(load(&mut other, &section, section.len(), 3_999).is_err(), "another mark than the groups' section says");
    for at in [0, 1, section.len() / 2, section.len() - 1] {
        assert!(load(&mut other, &section[..at], 1 << 20, 4_000).is_err(), "cut at {at}");
    }
    assert!(load(&mut other, &[&section[..], &[0]].concat(), 1 << 20, 4_000).is_err(), "something behind it");
}

#[test]
fn a_start_for_others_has_all_that_is_applied_and_nothing_else() {
    let mut log = with_znodes(100);
    apply(&mut log, 60);
    let mut section = Vec::new();
    log.begin_walk();
    assert!(!walk(&mut log, &mut section), "a snapshot for a checkpoint is under way");
    let digest = log.state().digest();
    log.begin_giving();
    let mut start = Vec::new();
    while let Some(false) = log.give(&mut start) {
        apply(&mut log, 70);
    }
    assert_eq!(log.give(&mut start), None, "that was all");
    assert!(!whole(&mut log, section).is_empty(), "the other one goes on");
    let take = |bytes: &[u8], part: usize| {
        let mut taking = log.start();
        bytes.chunks(part).try_for_each(|part| taking.take(part)).and_then(|()| {
            while !taking.settle(7)? {}
            assert_eq!((taking.applied(), taking.bytes()), (Some(Index(60)), bytes.len() as u64));
            taking.finish()
        })
    };
    for part in [1, 7, 1_000, start.len()] {
        let taken = take(&start, part).expect("what was just written");
        assert_eq!((taken.state().applied(), taken.state().digest()), (Index(60), digest));
        assert_eq!(taken.pending(), None);
    }
    assert!(take(&start[..start.len() - 1], 100).is_err(), "cut short");
    assert!(take(&[&start[..], &[0]].concat(), 100).is_err(), "something behind it");
    assert!(take(&u32::MAX.to_le_bytes(), 4).is_err(), "a piece that no tree has");
}

#[test]
fn what_is_cut_is_forgotten_with_its_numbers() {
    let mut log = with_znodes(10);
    apply(&mut log, 4);
    log.cut(Index(7));
    assert_eq!(log.pending(), Some((Index(5), Index(6))));
    let body = create(&log, "/other");
    log.replay(&item(7, 70, body)).expect("it follows");
    assert_eq!(apply(&mut log, 7), [5, 6, 70]);
}

#[test]
fn entries_that_do_not_fit_their_place_are_refused() {
    let log = TreeLog::new(&settings());
    let mut entry = item(5, 1, create(&log, "/a"));
    assert_eq!(TreeLog::check(&entry), Ok(()));
    entry.index = Index(6);
    assert!(TreeLog::check(&entry).is_err(), "its zxid is that of another place");
    entry.index = Index(5);
    entry.kind = kind::COMMAND;
    assert!(TreeLog::check(&entry).is_err());
    entry.kind = kind::TXN;
    for end in 0..entry.bytes.len() {
        let cut = Item { bytes: entry.bytes.slice(0..end), ..entry.clone() };
        assert!(TreeLog::check(&cut).is_err(), "cut at {end}");
    }
}

#[test]
fn zxids_grow_with_the_log_and_its_terms() {
    assert_eq!(zxid_of(Term(1), Index(1)).get(), (1 << 32) + 1);
    assert!(zxid_of(Term(2), Index(1 << 32)) > zxid_of(Term(1), Index((1 << 32) - 1)));
    assert!(ends_term(Index((1 << 32) - 1)) && ends_term(Index((7 << 32) + (1 << 32) - 2)));
    assert!(!ends_term(Index(1)) && !ends_term(Index(1 << 32)));
}

/// All that a tree is: what is in it, and what is not applied yet.
fn assert_same(log: &TreeLog, other: &TreeLog) {
    assert_eq!((log.state().zxid(), log.state().digest()), (other.state().zxid(), other.state().digest()));
}

fn session(log: &mut TreeLog, index: u64) -> SessionId {
    let (session, body) = log.state().prepare_session(Zxid(77), 10_000).expect("there is room");
    let mut entry = item(index, index, body.clone());
    let txn = Txn { session, cxid: 0, zxid: zxid_of(entry.term, entry.index), time: Wall(5), body };
    let mut bytes = Vec::new();
    encode_entry(index, &txn, &mut bytes);
    entry.bytes = Buf::copy_of(&bytes);
    log.replay(&entry).expect("it follows");
    session
}

fn ephemeral(log: &TreeLog, session: SessionId, path: &str) -> Body {
    let who = Asker { session, ids: &[], is_moved: false, is_local: false };
    let open = [tree::Acl { perms: perms::ALL, id: tree::Id { scheme: "world", id: "anyone" } }];
    let create = Create { path, data: None, acls: &open, flags: 1, is_container: false, ttl: None };
    log.state().prepare(&who, &Change::Create(create)).expect("it can be made")
}

/// A session's entry.
fn item_of(session: SessionId, index: u64, body: Body) -> Item {
    let entry = item(index, index, body.clone());
    let txn = Txn { session, cxid: 0, zxid: zxid_of(entry.term, entry.index), time: Wall(5), body };
    let mut bytes = Vec::new();
    encode_entry(index, &txn, &mut bytes);
    Item { bytes: Buf::copy_of(&bytes), ..entry }
}

#[test]
fn a_checkpoint_with_entries_that_are_taken_back_leaves_no_ephemeral_znode_behind() {
    let mut log = with_znodes(10);
    let session = session(&mut log, 11);
    apply(&mut log, 11);
    let body = ephemeral(&log, session, "/z1/mine");
    log.replay(&item_of(session, 12, body)).expect("it follows");
    log.begin_walk();
    let section = whole(&mut log, Vec::new());
    // What was not committed is another leader's to decide: it ends the session instead.
    let mut loaded = TreeLog::new(&settings());
    load(&mut loaded, &section, 1 << 20, 11).expect("what was just written");
    assert_eq!(loaded.pending(), Some((Index(12), Index(12))));
    for log in [&mut log, &mut loaded] {
        log.cut(Index(12));
        let body = log.state().prepare_close(session, usize::MAX).expect("it is there");
        log.replay(&item_of(session, 12, body)).expect("it follows");
        assert_eq!(apply(log, 12), [12]);
    }
    assert_same(&log, &loaded);
    assert_eq!((loaded.state().znodes().1, loaded.state().sessions().len()), (0, 0));
}

#[test]
fn a_session_that_ends_while_a_checkpoint_is_taken_has_ended_behind_it_whatever_was_taken_before() {
    let mut log = with_znodes(4_000);
    let session = session(&mut log, 4_001);
    apply(&mut log, 4_001);
    for n in 0..40 {
        let at = 4_002 + n;
        let path = format!("/z{}/mine", 1 + n * 100);
        let body = ephemeral(&log, session, &path);
        log.replay(&item_of(session, at, body)).expect("it follows");
    }
    apply(&mut log, 4_041);
    // Some of its znodes have been taken when it ends, others have not.
    let mut section = Vec::new();
    log.begin_walk();
    assert!(!walk(&mut log, &mut section) && !walk(&mut log, &mut section));
    let body = log.state().prepare_close(session, usize::MAX).expect("it is there");
    log.replay(&item_of(session, 4_042, body)).expect("it follows");
    apply(&mut log, 4_042);
    let section = whole(&mut log, section);
    let mut loaded = TreeLog::new(&settings());
    load(&mut loaded, &section, 1 << 20, 4_041).expect("what was just written");
    assert_eq!(loaded.state().znodes().1, 40);
    apply(&mut loaded, 4_042);
    // The digest has the last changes of children, too.
    assert_same(&log, &loaded);
    assert_eq!((loaded.state().znodes().1, loaded.state().sessions().len()), (0, 0));
}

#[test]
fn a_checkpoint_holds_all_of_a_multi_or_nothing_of_it() {
    let mut log = with_znodes(4_000);
    apply(&mut log, 4_000);
    let mut section = Vec::new();
    log.begin_walk();
    assert!(!walk(&mut log, &mut section) && !walk(&mut log, &mut section));
    let made: Vec<_> = (0..20).map(|n| create(&log, &format!("/z{}/child", 1 + n * 200))).collect();
    let ops = made.into_iter().map(|body| match body {
        Body::One(op) => op,
        other => panic!("{other:?}"),
    });
    let body = Body::Multi(ops.collect());
    log.replay(&item(4_001, 1, body)).expect("it follows");
    assert_eq!(apply(&mut log, 4_001), [1]);
    let section = whole(&mut log, section);
    let mut loaded = TreeLog::new(&settings());
    load(&mut loaded, &section, 1 << 20, 4_000).expect("what was just written");
    assert_eq!((loaded.state().znodes().0, loaded.state().zxid()), (4_004, zxid_of(Term(3), Index(4_000))));
    apply(&mut loaded, 4_001);
    assert_same(&log, &loaded);
}
