//! Clients and servers understand each other: what is asked is decoded, what is answered is read.

use super::super::*;

const ACLS: &[Acl<'_>] = &[Acl { perms: 31, scheme: "world", id: "anyone" }, Acl { perms: 1, scheme: "ip", id: "::1" }];

fn new(kind: Kind, sequential: bool) -> New<'static> {
    New { path: "/a", data: b"data", acls: ACLS, kind, sequential, ttl_ms: 77, with_stat: false }
}

fn asked(ask: &Ask<'_>) -> Vec<u8> {
    let mut out = b"before".to_vec();
    ask.encode(7, &mut out);
    let frame = out.split_off(6);
    assert_eq!(i32::from_be_bytes(frame[..4].try_into().unwrap()) as usize, frame.len() - 4);
    frame[4..].to_vec()
}

#[test]
fn every_kind_of_znode_is_asked_for_as_it_is_read() {
    for kind in [Kind::Persistent, Kind::Ephemeral, Kind::Container, Kind::Ttl] {
        for sequential in [false, true] {
            let frame = asked(&Ask::Create(new(kind, sequential)));
            let Ok((head, Request::Create(create))) = decode(&frame) else { panic!("{kind:?}") };
            assert_eq!((head.xid, create.path, create.data), (7, "/a", Some(&b"data"[..])));
            // Containers have no numbers.
            assert_eq!(create.mode(), Some((kind, sequential && kind != Kind::Container)));
            assert_eq!(create.ttl, (kind == Kind::Ttl).then_some(77));
            assert_eq!(create.acls.collect::<Vec<_>>(), ACLS);
        }
    }
}

#[test]
fn questions_are_read_as_they_were_asked() {
    let lists = [vec!["/d".to_string()], vec![], vec!["/c".to_string()], vec!["/p".to_string()], vec![]];
    let [data, exists, children, persistent, recursive] = &lists;
    let all: [&[String]; 5] = [data, exists, children, persistent, recursive];
    let cases: &[(Ask<'_>, i32, &str)] = &[
        (Ask::Delete("/a", -1), 7, "Delete(\"/a\", -1)"),
        (Ask::Exists("/a", true), 7, "Exists(\"/a\", true)"),
        (Ask::GetData("/a", false), 7, "GetData(\"/a\", false)"),
        (Ask::SetData("/a", b"x", 3), 7, "SetData(\"/a\", Some([120]), 3)"),
        (Ask::GetAcl("/a"), 7, "GetAcl(\"/a\")"),
        (Ask::GetChildren("/a", true), 7, "GetChildren(\"/a\", true, true)"),
        (Ask::Sync("/"), 7, "Sync(\"/\")"),
        (Ask::Ping, -2, "Ping"),
        (Ask::RemoveWatches("/a", WatcherType::Recursive), 7, "RemoveWatches(\"/a\", Recursive)"),
        (Ask::Auth("digest", b"u:p"), -4, "Auth(\"digest\", Some([117, 58, 112]))"),
        (Ask::SetWatches(9, all), -8, "SetWatches(9, "),
        (Ask::GetAllChildrenNumber("/a"), 7, "GetAllChildrenNumber(\"/a\")"),
        (Ask::AddWatch("/a", AddMode::Recursive), 7, "AddWatch(\"/a\", Recursive)"),
        (Ask::AddWatch("/a", AddMode::Persistent), 7, "AddWatch(\"/a\", Persistent)"),
        (Ask::CloseSession, 7, "CloseSession"),
    ];
    for (ask, xid, shown) in cases {
        let frame = asked(ask);
        let (head, request) = decode(&frame).unwrap();
        assert_eq!(head.xid, *xid, "{ask:?}");
        assert!(format!("{request:?}").starts_with(shown), "{request:?} instead of {shown}");
    }
    let frame = asked(&Ask::SetAcl("/a", ACLS, 5));
    let Ok((_, Request::SetAcl("/a", acls, 5))) = decode(&frame) else { panic!("no setACL") };
    assert_eq!(acls.collect::<Vec<_>>(), ACLS);
    let frame = asked(&Ask::SetWatches(9, all));
    let Ok((_, Request::SetWatches(9, read))) = decode(&frame) else { panic!("no setWatches2") };
    let read: Vec<Vec<&str>> = read.into_iter().map(Iterator::collect).collect();
    assert_eq!(read, [vec!["/d"], vec![], vec!["/c"], vec!["/p"], vec![]]);
}

#[test]
fn a_multi_is_read_operation_by_operation() {
    let changes = [
        Change::Create(new(Kind::Ttl, true)),
        Change::Create(new(Kind::Persistent, false)),
        Change::Delete("/b", 1),
        Change::SetData("/c", b"", -1),
        Change::Check("/d", 0),
    ];
    let frame = asked(&Ask::Multi(&changes));
    assert!(changes.iter().map(Change::bytes).sum::<usize>() >= frame.len());
    let Ok((_, Request::Multi(ops))) = decode(&frame) else { panic!("no multi") };
    let ops: Vec<Op<'_>> = ops.collect();
    assert!(matches!(&ops[0], Op::Create(create) if create.mode() == Some((Kind::Ttl, true))));
    assert!(matches!(&ops[1], Op::Create(create) if create.mode() == Some((Kind::Persistent, false))));
    assert!(matches!(ops[2], Op::Delete("/b", 1)));
    assert!(matches!(ops[3], Op::SetData("/c", Some(b""), -1)));
    assert!(matches!(ops[4], Op::Check("/d", 0)));
    assert_eq!(ops.len(), 5);
}

fn stat() -> Stat {
    let (czxid, mzxid, pzxid) = (1, 2, 3);
    Stat { czxid, mzxid, ctime: 4, mtime: 5, version: 6, cversion: 7, aversion: 8, pzxid, ..Stat::default() }
}

#[test]
fn answers_are_read_as_they_were_given() {
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, 7, 99);
    reply.data(Some(b"data"));
    reply.stat(&stat());
    reply.names(["a", "b"].into_iter());
    reply.acls(ACLS.iter().copied());
    reply.outcome(&Outcome::Create2("/x", stat()));
    reply.outcome(&Outcome::Delete);
    reply.outcome(&Outcome::SetData(stat()));
    reply.outcome(&Outcome::Error(Some(ErrorCode::NoNode)));
    reply.end_of_outcomes();
    reply.end();
    let mut answer = Answer::open(&out[4..]).unwrap();
    assert_eq!((answer.xid, answer.zxid, answer.error), (7, 99, 0));
    assert_eq!(answer.data().unwrap(), Some(&b"data"[..]));
    assert_eq!(answer.stat().unwrap(), stat());
    assert_eq!(answer.names().unwrap().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(answer.acls().unwrap().collect::<Vec<_>>(), ACLS);
    let came: Vec<Came<'_>> = std::iter::from_fn(|| answer.came().unwrap()).collect();
    let failed = Came::Failed(ErrorCode::NoNode as i32);
    assert_eq!(came, [Came::Created2("/x", stat()), Came::Deleted, Came::Written(stat()), failed]);
    assert!(answer.count().is_err(), "there is nothing more");

    out.clear();
    failure(&mut out, 8, 100, ErrorCode::BadVersion);
    let answer = Answer::open(&out[4..]).unwrap();
    assert_eq!(ErrorCode::of(answer.error), Some(ErrorCode::BadVersion));
    assert_eq!(ErrorCode::of(0), None);

    out.clear();
    event(&mut out, -1, Event { kind: EventKind::Deleted, state: EventState::Connected, path: "/x" });
    let mut answer = Answer::open(&out[4..]).unwrap();
    assert_eq!((answer.xid, answer.event().unwrap()), (xid::EVENT, Told { kind: 2, state: 3, path: "/x" }));
}

#[test]
fn a_session_is_asked_for_and_taken_up_again() {
    let session = Session { id: 0x0102, password: [9; PASSWORD_BYTES] };
    for session in [None, Some(session)] {
        for knows_read_only in [false, true] {
            let connect =
                Connect { last_zxid: 5, timeout_ms: 4000, session, read_only: knows_read_only, knows_read_only };
            let mut out = Vec::new();
            connect.encode(&mut out);
            assert_eq!(Connect::decode(&out[4..]), Ok(connect));
            out.clear();
            let timeout_ms = if session.is_some() { 4000 } else { 0 };
            let connected = Connected { session, timeout_ms, read_only: false };
            connected.encode(&connect, &mut out);
            assert_eq!(Connected::decode(&out[4..]), Ok(connected));
        }
    }
}
