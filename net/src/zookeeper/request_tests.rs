use super::super::{AddMode, Connect, Connected, Event, EventKind, EventState, Kind, Outcome, Reply, Session, Stat};
use super::super::{Place, Strings, event, failure, xid};
use super::*;

/// A record of a request, field by field.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn int(mut self, value: i32) -> Bytes {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    fn long(mut self, value: i64) -> Bytes {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    fn flag(mut self, value: bool) -> Bytes {
        self.0.push(u8::from(value));
        self
    }

    fn buffer(self, value: &[u8]) -> Bytes {
        let mut more = self.int(value.len() as i32);
        more.0.extend_from_slice(value);
        more
    }

    fn text(self, value: &str) -> Bytes {
        self.buffer(value.as_bytes())
    }

    fn op(self, number: i32) -> Bytes {
        self.int(number).flag(false).int(-1)
    }

    fn end_of_ops(self) -> Bytes {
        self.int(-1).flag(true).int(-1)
    }

    fn open_acl(self) -> Bytes {
        self.int(1).int(31).text("world").text("anyone")
    }
}

fn head(op: i32) -> Bytes {
    Bytes::default().int(7).int(op)
}

fn shown(bytes: &Bytes) -> String {
    let (head, request) = decode(&bytes.0).unwrap();
    assert_eq!(head.xid, 7);
    format!("{request:?}").chars().take(50).collect()
}

fn refused(bytes: &Bytes) -> ErrorCode {
    match decode(&bytes.0) {
        Err(Undecodable::Body(Head { xid: 7, .. }, code, _)) => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_of_paths_and_versions_are_read() {
    assert_eq!(shown(&head(2).text("/a").int(-1)), r#"Delete("/a", -1)"#);
    assert_eq!(shown(&head(3).text("/a").flag(true)), r#"Exists("/a", true)"#);
    assert_eq!(shown(&head(4).text("/a").flag(false)), r#"GetData("/a", false)"#);
    assert_eq!(shown(&head(5).text("/a").buffer(b"x").int(3)), r#"SetData("/a", Some([120]), 3)"#);
    assert_eq!(shown(&head(5).text("/a").int(-1).int(3)), r#"SetData("/a", None, 3)"#);
    assert_eq!(shown(&head(8).text("/a").flag(true)), r#"GetChildren("/a", true, false)"#);
    assert_eq!(shown(&head(12).text("/a").flag(false)), r#"GetChildren("/a", false, true)"#);
    assert_eq!(shown(&head(106).text("/a").int(1)), r#"AddWatch("/a", Recursive)"#);
    assert_eq!(shown(&head(18).text("/a").int(3)), r#"RemoveWatches("/a", Any)"#);
    assert_eq!(shown(&head(100).int(0).text("digest").buffer(b"u:p")), r#"Auth("digest", Some([117, 58, 112]))"#);
    assert_eq!(shown(&head(11)), "Ping");
    assert_eq!(shown(&head(-11)), "CloseSession");
    assert_eq!(shown(&head(9).text("/a").text("bytes behind the last field")), r#"Sync("/a")"#);
}

#[test]
fn znodes_of_all_kinds_are_made() {
    for (flags, mode) in [
        (0, Some((Kind::Persistent, false))),
        (1, Some((Kind::Ephemeral, false))),
        (2, Some((Kind::Persistent, true))),
        (3, Some((Kind::Ephemeral, true))),
        (4, Some((Kind::Persistent, false))),
        (5, Some((Kind::Ttl, false))),
        (6, Some((Kind::Ttl, true))),
        (7, None),
        (-1, None),
    ] {
        let bytes = head(21).text("/a").buffer(b"data").open_acl().int(flags).long(1000);
        let Ok((_, Request::Create(create))) = decode(&bytes.0) else { panic!("flags {flags}") };
        assert_eq!((create.mode(), create.ttl, create.with_stat), (mode, Some(1000), true));
        let acls: Vec<_> = create.acls.map(|acl| (acl.perms, acl.scheme, acl.id)).collect();
        assert_eq!(acls, [(31, "world", "anyone")]);
    }
    let bytes = head(1).text("/a").int(-1).int(-1).int(0);
    let Ok((_, Request::Create(create))) = decode(&bytes.0) else { panic!() };
    assert_eq!((create.data, create.acls.len(), create.ttl, create.with_stat), (None, 0, None, false));
}

/// What ZooKeeper makes, be the operation a request or one of a multi: its mode and whether the answer has the stat.
#[test]
fn the_operation_says_what_is_a_container_and_in_a_multi_the_mode_does_too() {
    let body = |bytes: Bytes, number, flags| {
        let bytes = bytes.text("/a").buffer(b"").open_acl().int(flags);
        if number == 21 { bytes.long(5) } else { bytes }
    };
    let alone = |number, flags| {
        let bytes = body(head(number), number, flags);
        let Ok((_, Request::Create(create))) = decode(&bytes.0) else { panic!("{number} {flags}") };
        (create.mode(), create.with_stat, create.ttl)
    };
    let among_many = |number, flags| {
        let bytes = body(head(14).op(number), number, flags).end_of_ops();
        let Ok((_, Request::Multi(mut ops))) = decode(&bytes.0) else { panic!("{number} {flags}") };
        let Some(Op::Create(create)) = ops.next() else { panic!("{number} {flags}") };
        (create.mode(), create.with_stat, create.ttl)
    };
    let container = |sequential| (Some((Kind::Container, sequential)), true, None);
    for (flags, sequential) in [(0, false), (1, false), (2, true), (3, true), (4, false)] {
        assert_eq!(
            (alone(19, flags), among_many(19, flags)),
            (container(sequential), container(sequential)),
            "{flags}"
        );
    }
    let persistent = |with_stat| (Some((Kind::Persistent, false)), with_stat, None);
    assert_eq!((alone(1, 4), alone(15, 4)), (persistent(false), persistent(true)));
    assert_eq!([1, 15, 21].map(|number| among_many(number, 4)), [container(false); 3]);
    assert_eq!(among_many(21, 0), persistent(false));
    assert_eq!(among_many(21, 3), (Some((Kind::Ephemeral, true)), false, None));
    assert_eq!(among_many(21, 6), (Some((Kind::Ttl, true)), true, Some(5)));
    assert_eq!(among_many(21, 7), (None, false, None));
}

#[test]
fn a_multi_holds_writes_or_reads() {
    let create = |bytes: Bytes, flags| bytes.op(1).text("/a").buffer(b"").open_acl().int(flags);
    let all = create(head(14), 0).op(2).text("/b").int(1).op(5).text("/c").buffer(b"x").int(2).op(13).text("/d").int(3);
    let all = all.end_of_ops();
    let Ok((_, Request::Multi(ops))) = decode(&all.0) else { panic!() };
    let ops: Vec<_> = ops.map(|op| format!("{op:?}").chars().take(15).collect::<String>()).collect();
    assert_eq!(ops, ["Create(Create {", r#"Delete("/b", 1)"#, r#"SetData("/c", S"#, r#"Check("/d", 3)"#]);

    let reads = head(22).op(4).text("/a").flag(false).op(8).text("/b").flag(false).end_of_ops();
    let Ok((_, Request::MultiRead(ops))) = decode(&reads.0) else { panic!() };
    assert_eq!(format!("{:?}", ops.collect::<Vec<_>>()), r#"[GetData("/a"), GetChildren("/b")]"#);

    assert_eq!(shown(&head(14).end_of_ops()), shown(&head(14).end_of_ops()), "none at all");
    let unreadable = ErrorCode::MarshallingError;
    assert_eq!(refused(&head(14).op(4).text("/a").flag(false).end_of_ops()), unreadable, "a read in a multi");
    assert_eq!(refused(&head(22).op(2).text("/a").int(1).end_of_ops()), unreadable, "a write among reads");
    assert_eq!(refused(&create(head(14), 9).end_of_ops()), unreadable, "a mode that nobody knows");
    for flags in [5, 6] {
        assert_eq!(refused(&create(head(14), flags).end_of_ops()), unreadable, "a time to live that is missing");
    }
    assert_eq!(refused(&head(14).op(3).text("/a").flag(false).end_of_ops()), unreadable, "no operation of a multi");
    assert_eq!(refused(&create(head(14), 0)), unreadable, "no end");
}

#[test]
fn a_path_of_null_is_none_where_a_znode_is_looked_for() {
    let null = |op| head(op).int(-1);
    let create = null(1).buffer(b"").open_acl().int(0);
    let multi = head(14).op(2).int(-1).int(0).end_of_ops();
    let reads = head(22).op(4).int(-1).flag(false).end_of_ops();
    let looked_for = [create, null(2).int(0), null(3).flag(false), null(4).flag(false), null(6), null(8).flag(false)];
    for bytes in looked_for.into_iter().chain([null(12).flag(false), null(104), multi, reads]) {
        assert_eq!(refused(&bytes), ErrorCode::MarshallingError);
    }
    assert_eq!(shown(&null(103)), r#"GetEphemerals("")"#);
    assert_eq!(shown(&null(5).buffer(b"").int(0)), r#"SetData("", Some([]), 0)"#);
}

#[test]
fn watches_are_set_again_by_kind() {
    let three = head(101).long(9).int(1).text("/d").int(2).text("/e").text("/f").int(-1);
    let Ok((_, Request::SetWatches(9, lists))) = decode(&three.0) else { panic!() };
    assert_eq!(lists.map(|list| list.collect::<Vec<_>>().join(" ")), ["/d", "/e /f", "", "", ""]);
    let five = head(105).long(9).int(0).int(0).int(0).int(1).text("/p").int(1).text("/r");
    let Ok((_, Request::SetWatches(9, lists))) = decode(&five.0) else { panic!() };
    assert_eq!(lists.map(|list| list.collect::<Vec<_>>().join(" ")), ["", "", "", "/p", "/r"]);
    assert_eq!(refused(&head(105).long(9).int(0).int(0).int(0)), ErrorCode::MarshallingError);
}

#[test]
fn paths_that_are_null_are_told_from_others_and_a_list_that_is_null_has_one() {
    let bytes = head(101).long(9).int(2).text("/a").int(-1).int(-1).int(0);
    let Ok((_, Request::SetWatches(9, lists))) = decode(&bytes.0) else { panic!() };
    let all = lists.map(|mut list| std::iter::from_fn(|| list.next_or_null()).collect::<Vec<_>>());
    assert_eq!(all[..3], [vec![Some("/a"), None], vec![None], vec![]]);
}

#[test]
fn a_list_goes_on_where_it_was_left() {
    let three = head(101).long(9).int(2).text("/a").text("/b").int(1).text("/c").int(-2);
    let Ok((_, Request::SetWatches(9, [mut first, second, third, ..]))) = decode(&three.0) else { panic!() };
    assert_eq!(first.next(), Some("/a"));
    let places = [first, second, third].map(|list| list.place());
    let rest = places.map(|place| Strings::at(&three.0, place).collect::<Vec<_>>());
    assert_eq!(rest, [vec!["/b"], vec!["/c"], vec![]]);
    assert_eq!(places.map(Place::is_end), [false, false, true]);
}

#[test]
fn what_cannot_be_read_is_refused() {
    assert_eq!(refused(&head(10)), ErrorCode::Unimplemented);
    assert_eq!(refused(&head(20).text("/a")), ErrorCode::BadArguments, "containers are deleted by the server alone");
    assert_eq!(refused(&head(16).text("server.1=a").text("").text("")), ErrorCode::MarshallingError);
    assert_eq!(refused(&head(4).text("/a")), ErrorCode::MarshallingError);
    assert_eq!(refused(&head(4).int(i32::MAX)), ErrorCode::MarshallingError);
    assert_eq!(refused(&head(4).int(-2)), ErrorCode::MarshallingError);
    assert_eq!(refused(&head(101).long(1).int(i32::MAX)), ErrorCode::MarshallingError);
    assert_eq!(refused(&head(106).text("/a").int(2)), ErrorCode::MarshallingError);
    assert!(matches!(decode(&[0; 7]), Err(Undecodable::Head(_))));
    // What is no text is a path that nobody can have; null is an empty one, where ZooKeeper does not stumble over it.
    assert_eq!(shown(&head(9).buffer(b"/a/\xff")), "Sync(\"/\u{fffd}\")");
    assert_eq!(shown(&head(9).buffer(b"a\xff")), "Sync(\"\u{fffd}\")");
    assert_eq!(shown(&head(9).buffer(b"/\0\xff")), "Sync(\"\u{fffd}\")");
    assert_eq!(shown(&head(9).int(-1)), "Sync(\"\")");
    for op in [17, 106] {
        assert_eq!(refused(&head(op).int(-1).int(1)), ErrorCode::MarshallingError);
    }
    // Where a client is to prove who it is, there is no answer.
    for bytes in [head(100).int(0).text("digest"), head(100), head(102), head(102).int(-1), head(102).int(9)] {
        assert!(matches!(decode(&bytes.0), Err(Undecodable::Proof(_))));
    }
    assert_eq!(shown(&head(100).int(0).text("digest").int(-1)), "Auth(\"digest\", None)");
    assert_eq!(shown(&head(102).buffer(b"token")), "Sasl");
    assert_eq!(shown(&head(16).text("server.1=a").text("").text("").long(-1)), "Reconfig");
}

#[test]
fn lists_of_fewer_than_none_are_empty_and_null_is_no_id_of_a_scheme_that_looks_at_it() {
    let entries = |bytes: Bytes| match decode(&bytes.0) {
        Ok((_, Request::SetAcl(_, acls, _))) => Some(acls.len()),
        _ => None,
    };
    let list = |count| head(7).text("/a").int(count);
    assert_eq!([-1, 0, -2, i32::MIN].map(|count| entries(list(count).int(-1))), [Some(0); 4]);
    for (scheme, read) in [("world", None), ("digest", None), ("ip", None), ("auth", Some(1)), ("x", Some(1))] {
        assert_eq!(entries(list(1).int(31).text(scheme).int(-1).int(0)), read, "{scheme}");
    }
}

#[test]
fn sessions_are_asked_for_and_taken_up() {
    let password = [5; 16];
    let begin = |id| Bytes::default().int(0).long(3).int(4000).long(id).buffer(&password);
    let new = Connect::decode(&begin(0).flag(true).0).unwrap();
    assert_eq!((new.session, new.read_only, new.knows_read_only), (None, true, true));
    let old = Connect::decode(&begin(8).0).unwrap();
    assert_eq!(old.session, Some(Session { id: 8, password }));
    assert_eq!((old.last_zxid, old.timeout_ms, old.read_only, old.knows_read_only), (3, 4000, false, false));

    let (mut to_new, mut to_old) = (Vec::new(), Vec::new());
    let session = Some(Session { id: 8, password });
    Connected { session, timeout_ms: 6000, read_only: false }.encode(&new, &mut to_new);
    assert_eq!(to_new, Bytes::default().int(37).int(0).int(6000).long(8).buffer(&password).flag(false).0);
    Connected { session: None, timeout_ms: 6000, read_only: false }.encode(&old, &mut to_old);
    assert_eq!(to_old, Bytes::default().int(36).int(0).int(0).long(0).buffer(&[0; 16]).0);
    assert!(Connect::decode(&[0; 20]).is_err());
}

#[test]
fn answers_stand_behind_their_head() {
    let mut out = Vec::new();
    failure(&mut out, 7, 99, ErrorCode::NoNode);
    assert_eq!(out, Bytes::default().int(16).int(7).long(99).int(-101).0);

    out.clear();
    let stat = Stat { czxid: 1, mzxid: 2, ctime: 3, mtime: 4, version: 5, cversion: 6, ..Stat::default() };
    let mut reply = Reply::new(&mut out, 7, 99);
    reply.data(None);
    reply.stat(&stat);
    reply.end();
    let expected = Bytes::default().int(88).int(7).long(99).int(0).int(-1);
    let expected = expected.long(1).long(2).long(3).long(4).int(5).int(6).int(0).long(0).int(0).int(0).long(0);
    assert_eq!(out, expected.0);

    out.clear();
    let mut reply = Reply::new(&mut out, 7, 99);
    reply.outcome(&Outcome::Create("/a"));
    reply.outcome(&Outcome::Delete);
    reply.outcome(&Outcome::Error(Some(ErrorCode::BadVersion)));
    reply.outcome(&Outcome::Error(None));
    reply.end_of_outcomes();
    reply.end();
    let expected = Bytes::default().int(75).int(7).long(99).int(0).int(1).flag(false).int(0).text("/a");
    let expected = expected.int(2).flag(false).int(0).int(-1).flag(false).int(-103).int(-103);
    assert_eq!(out, expected.int(-1).flag(false).int(0).int(0).end_of_ops().0);

    out.clear();
    event(&mut out, -1, Event { kind: EventKind::DataChanged, state: EventState::Connected, path: "/a" });
    assert_eq!(out, Bytes::default().int(30).int(xid::EVENT).long(-1).int(0).int(3).int(3).text("/a").0);
}

#[test]
fn modes_of_watches_that_stay_are_two() {
    let mode = |number| match decode(&head(106).text("/a").int(number).0) {
        Ok((_, Request::AddWatch("/a", mode))) => Some(mode),
        _ => None,
    };
    assert_eq!([mode(0), mode(1), mode(2)], [Some(AddMode::Persistent), Some(AddMode::Recursive), None]);
}

#[test]
fn null_is_no_part_of_an_operation_of_a_multi() {
    let multi = |bytes: Bytes| decode(&bytes.end_of_ops().0).map(|_| ());
    for op in [5, 13] {
        let rest = |bytes: Bytes| if op == 5 { bytes.buffer(b"x").int(-1) } else { bytes.int(-1) };
        assert!(multi(rest(head(14).op(op).text("/a"))).is_ok());
        assert!(multi(rest(head(14).op(op).int(-1))).is_err());
    }
    let create = |op, acls: fn(Bytes) -> Bytes| acls(head(14).op(op).text("/a").buffer(b"")).int(0);
    for op in [1, 15, 19] {
        assert!(multi(create(op, Bytes::open_acl)).is_ok());
        assert!(multi(create(op, |bytes| bytes.int(0))).is_ok(), "that is an empty list");
        assert!(multi(create(op, |bytes| bytes.int(-1))).is_err());
    }
    assert!(multi(create(21, |bytes| bytes.int(-1)).long(5)).is_ok());
}

#[test]
fn a_multi_that_is_looked_through_in_parts_is_the_same_request() {
    let whole = (0..7).fold(head(op::MULTI), |bytes, n| match n % 3 {
        0 => bytes.op(op::CREATE).text("/a").buffer(b"data").open_acl().int(0),
        1 => bytes.op(op::SET_DATA).text("/b").buffer(b"more").int(3),
        _ => bytes.op(op::CHECK).text("/c").int(-1),
    });
    let whole = whole.end_of_ops();
    let (_, Request::Multi(known)) = decode(&whole.0).unwrap() else { panic!("a multi") };
    let known: Vec<String> = known.map(|op| format!("{op:?}")).collect();
    for most in [1, 2, 3, 7, 8, 100] {
        let mut looking = Looking::begin(&whole.0).expect("a multi");
        let (mut seen, mut calls) = (Vec::new(), 1);
        while !looking.go_on(&whole.0, most, |op| seen.push(format!("{op:?}"))).unwrap() {
            calls += 1;
            assert!(seen.len() <= most * calls);
        }
        // The end is one more that is looked at.
        assert_eq!(calls, known.len() / most + 1, "{most} at a time");
        assert_eq!(seen, known);
        let (head, Request::Multi(ops)) = looking.request(&whole.0) else { panic!("a multi") };
        assert_eq!((head.xid, ops.len()), (7, known.len()));
        assert_eq!(ops.map(|op| format!("{op:?}")).collect::<Vec<_>>(), known);
    }
    for length in 8..whole.0.len() {
        let cut = Bytes(whole.0[..length].to_vec());
        let mut looking = Looking::begin(&cut.0).expect("a multi");
        let found = loop {
            match looking.go_on(&cut.0, 2, |_| {}) {
                Ok(false) => {}
                Ok(true) => panic!("{length} bytes are not all"),
                Err(Undecodable::Body(Head { xid: 7, .. }, code, _)) => break code,
                Err(other) => panic!("{other:?}"),
            }
        };
        assert_eq!(found, refused(&cut), "{length} bytes");
    }
    let reads = head(op::MULTI).op(op::GET_DATA).text("/a").flag(false).end_of_ops();
    let found = Looking::begin(&reads.0).expect("a multi").go_on(&reads.0, 5, |_| {});
    assert!(matches!(found, Err(Undecodable::Body(_, code, _)) if code == refused(&reads)));
    assert!(Looking::begin(&head(op::MULTI_READ).0).is_none() && Looking::begin(&whole.0[..7]).is_none());
}
