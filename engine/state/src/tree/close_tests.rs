use super::super::rig::{Rig, create, create_as, create_ttl};
use super::super::{Change, EventKind, Outcome};
use super::*;
use torc_base::ids::Index;

/// Ends a session as a leader does, and applies all; how many transactions it took.
fn close(rig: &mut Rig, session: i64) -> usize {
    for n in 1.. {
        let body = rig.tree.prepare_close(SessionId(session), usize::MAX).expect("it is there");
        let is_last = matches!(body, Body::CloseSession { last: true, .. });
        rig.append(session, body);
        if is_last {
            rig.apply_all();
            return n;
        }
    }
    unreachable!()
}

#[test]
fn ephemeral_znodes_go_with_their_session_and_no_others() {
    let mut rig = Rig::new();
    let (one, two) = (rig.session(), rig.session());
    assert_ne!(one, two);
    rig.does(create("/a")).expect("a good request");
    for (session, path) in [(one, "/a/1-"), (two, "/a/2-"), (one, "/a/1-")] {
        rig.does_as(&Rig::asker(session), create_as(path, 3, b"")).expect("a good request");
    }
    let stat = rig.tree.exists("/a/1-0000000000", &[]).expect("it is there");
    assert_eq!(stat.ephemeral_owner, SessionId(one));
    assert_eq!(rig.tree.ephemerals(SessionId(one), "/"), ["/a/1-0000000000", "/a/1-0000000002"]);
    assert_eq!(rig.tree.ephemerals(SessionId(one), "/b"), Vec::<String>::new());
    rig.told();
    assert_eq!(close(&mut rig, one), 1);
    assert_eq!(rig.names("/a"), ["2-0000000001"]);
    assert!(rig.tree.session(SessionId(one)).is_none());
    let gone = rig.told().into_iter().filter(|(kind, _)| *kind == EventKind::Deleted).count();
    assert_eq!((gone, rig.tree.znodes().1), (2, 1));
    assert_eq!(rig.tree.digest(), rig.replay().digest());
}

#[test]
fn a_close_lists_what_is_appended_and_leaves_out_what_is_being_deleted() {
    let mut rig = Rig::new();
    let session = rig.session();
    let who = Rig::asker(session);
    rig.does_as(&who, create_as("/old", 1, b"")).expect("a good request");
    rig.does_as(&who, create_as("/stays", 1, b"")).expect("a good request");
    rig.ask(&who, Change::Delete("/old", -1)).expect("a good request");
    rig.ask(&who, create_as("/new", 1, b"")).expect("a good request");
    rig.ask(&who, create_as("/brief", 1, b"")).expect("a good request");
    rig.ask(&who, Change::Delete("/brief", -1)).expect("a good request");
    rig.ask(&Rig::asker(0), create("/brief")).expect("another's now");
    rig.ask(&who, Change::SetData("/stays", Some(b"x"), -1)).expect("a good request");
    let body = rig.tree.prepare_close(SessionId(session), usize::MAX).expect("it is there");
    assert_eq!(body, Body::CloseSession { ephemerals: vec!["/new".into(), "/stays".into()], last: true });
    rig.append(session, body);
    assert!(rig.tree.prepare_close(SessionId(session), usize::MAX).is_none(), "it is on its way");
    rig.apply_all();
    assert_eq!(rig.names("/"), ["brief", "zookeeper"]);
}

#[test]
fn a_session_with_more_than_one_transaction_holds_ends_in_several_and_through_a_change_of_leader() {
    let mut rig = Rig::new();
    let session = rig.session();
    rig.does(create("/a")).expect("a good request");
    for _ in 0..SESSION_END_PART + 10 {
        rig.ask(&Rig::asker(session), create_as("/a/n", 3, b"")).expect("a good request");
    }
    rig.apply_all();
    let first = rig.tree.prepare_close(SessionId(session), usize::MAX).expect("it is there");
    let Body::CloseSession { ephemerals, last } = &first else { panic!("not a close") };
    assert_eq!((ephemerals.len(), *last), (SESSION_END_PART, false));
    let index = rig.append(session, first);
    assert_eq!(rig.tree.prepare(&Rig::asker(session), &create("/x")), Err(TreeError::SessionExpired));
    rig.apply(index);
    assert_eq!(rig.tree.closing().collect::<Vec<_>>(), [SessionId(session)], "a new leader finds it");
    assert_eq!(rig.names("/a").len(), 10);
    assert_eq!(close(&mut rig, session), 1);
    assert_eq!((rig.names("/a").len(), rig.tree.closing().count(), rig.tree.sessions().len()), (0, 0, 0));
    assert_eq!(rig.tree.digest(), rig.replay().digest());
}

#[test]
fn long_paths_make_the_pieces_of_an_end_shorter() {
    let mut rig = Rig::new();
    let session = rig.session();
    let path = format!("/{}", "x".repeat(SESSION_END_PATH_BYTES / 2));
    for _ in 0..7 {
        rig.ask(&Rig::asker(session), create_as(&path, 3, b"")).expect("a good request");
    }
    assert_eq!(close(&mut rig, session), 4);
    assert_eq!(rig.tree.znodes().1, 0);
}

#[test]
fn a_session_is_no_others_even_after_a_tree_was_taken_over() {
    let mut rig = Rig::new();
    let session = rig.session();
    let (id, _) = rig.tree.prepare_session(Zxid(session), 1).expect("there is room");
    assert_ne!(id, SessionId(session));
    let (id, _) = rig.tree.prepare_session(Zxid(0), 1).expect("there is room");
    assert_ne!(id, SessionId::NONE);
    assert_eq!(Tree::negotiate(10, (4_000, 40_000)), 4_000);
    assert_eq!(Tree::negotiate(-1, (4_000, 40_000)), 4_000);
    assert_eq!(Tree::negotiate(5_000, (4_000, 40_000)), 5_000);
    assert_eq!(Tree::negotiate(i32::MAX, (4_000, 40_000)), 40_000);
}

#[test]
fn a_container_goes_when_it_has_been_emptied_and_not_before_its_first_child() {
    let mut rig = Rig::new();
    rig.does(create_as("/c", 4, b"")).expect("a good request");
    let stat = rig.tree.exists("/c", &[]).expect("it is there");
    assert_eq!(stat.ephemeral_owner, SessionId::NONE, "clients do not see the mark");
    assert_eq!(rig.tree.due(Wall(i64::MAX), 10), Vec::<String>::new());
    assert_eq!(rig.tree.prepare_end("/c", Wall(i64::MAX)), Err(TreeError::BadVersion));
    rig.does(create("/c/x")).expect("a good request");
    assert_eq!(rig.tree.due(Wall(i64::MAX), 10), Vec::<String>::new());
    rig.does(Change::Delete("/c/x", -1)).expect("a good request");
    assert_eq!(rig.tree.due(Wall(0), 10), ["/c"]);
    // A child that comes between the search and the deletion, and one that is appended.
    rig.ask(&Rig::asker(0), create("/c/y")).expect("a good request");
    assert_eq!(rig.tree.prepare_end("/c", Wall(0)), Err(TreeError::NotEmpty));
    rig.cut(Index(rig.log.len() as u64));
    let body = rig.tree.prepare_end("/c", Wall(0)).expect("it is empty again");
    rig.append(0, body);
    assert_eq!(rig.tree.prepare(&Rig::asker(0), &create("/c/z")), Err(TreeError::NoNode));
    assert_eq!(rig.tree.prepare_end("/c", Wall(0)), Err(TreeError::NoNode));
    assert_eq!(rig.apply_all(), [Outcome::Deleted]);
    assert_eq!(rig.tree.due(Wall(0), 10), Vec::<String>::new());
}

#[test]
fn a_time_to_live_begins_again_with_every_write_and_rests_while_there_are_children() {
    let mut rig = Rig::new();
    rig.does(create_ttl("/t", 100)).expect("a good request");
    let made = rig.now;
    assert_eq!(rig.tree.exists("/t", &[]).expect("it is there").ephemeral_owner, SessionId::NONE);
    assert!(rig.tree.due(Wall(made + 100), 10).is_empty());
    assert_eq!(rig.tree.due(Wall(made + 101), 10), ["/t"]);
    rig.does(Change::SetData("/t", Some(b"x"), -1)).expect("a good request");
    let written = rig.now;
    assert!(written > made && rig.tree.due(Wall(made + 101), 10).is_empty());
    assert_eq!(rig.tree.prepare_end("/t", Wall(made + 101)), Err(TreeError::BadVersion));
    rig.does(create("/t/child")).expect("a good request");
    assert!(rig.tree.due(Wall(i64::MAX), 10).is_empty());
    rig.does(Change::Delete("/t/child", -1)).expect("a good request");
    for n in 0..5 {
        rig.does(create_ttl(&format!("/t{n}"), 1)).expect("a good request");
    }
    assert_eq!(rig.tree.due(Wall(i64::MAX), 3).len(), 3, "bounded");
    assert!(rig.tree.prepare_end("/t", Wall(written + 101)).is_ok());
    assert_eq!(rig.tree.prepare_end("/zookeeper/config", Wall(i64::MAX)), Err(TreeError::BadArguments));
}
