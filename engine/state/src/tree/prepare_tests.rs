use super::super::rig::{OPEN, Rig, SETTINGS, WORLD, contents, create, create_as, create_ttl};
use super::super::{EventKind, Outcome, TreeSettings};
use super::*;
use torc_base::ids::{Index, Zxid};

const ALICE: Id<'_> = Id { scheme: "digest", id: "alice:hash" };
const HERE: Id<'_> = Id { scheme: "ip", id: "10.1.2.3" };
const SUPER: Id<'_> = Id { scheme: "super", id: "" };

fn server() -> Asker<'static> {
    Rig::asker(0)
}

fn with<'a>(path: &'a str, acls: &'a [Acl<'a>]) -> Change<'a> {
    Change::Create(Create { path, data: Some(b""), acls, flags: 0, is_container: false, ttl: None })
}

#[test]
fn a_new_tree_is_what_a_new_zookeeper_has() {
    let rig = Rig::new();
    let all: Vec<(String, i32, i32)> =
        contents(&rig.tree).into_iter().map(|(path, (stat, ..))| (path, stat.cversion, stat.num_children)).collect();
    let expected = [("/", -1, 1), ("/zookeeper", -2, 2), ("/zookeeper/config", 0, 0), ("/zookeeper/quota", 0, 0)];
    assert_eq!(all, expected.map(|(path, cversion, children)| (path.to_string(), cversion, children)));
    let config = rig.tree.acl("/zookeeper/config", &[]).expect("everybody reads it").0;
    assert_eq!(config, AclList::world(perms::READ));
}

#[test]
fn stats_are_those_of_zookeeper_through_a_znodes_life() {
    let mut rig = Rig::new();
    let Ok([Outcome::Created(stat)]) =
        rig.does(create_as("/a", 0, b"data")).as_deref().map(|all| <[_; 1]>::try_from(all).unwrap())
    else {
        panic!("not created")
    };
    assert_eq!((stat.czxid, stat.mzxid, stat.pzxid), (Zxid(1), Zxid(1), Zxid(1)));
    assert_eq!((stat.ctime, stat.mtime, stat.data_length), (Wall(1001), Wall(1001), 4));
    rig.does(create("/a/b")).expect("there is a parent");
    rig.does(create("/a/c")).expect("there is a parent");
    rig.does(Change::Delete("/a/b", 0)).expect("it has that version");
    rig.does(Change::SetData("/a", Some(b"other data"), 0)).expect("it has that version");
    rig.does(Change::SetAcl("/a", OPEN, 0)).expect("it has that version");
    let stat = rig.tree.exists("/a", &[]).expect("it is there");
    assert_eq!((stat.czxid, stat.mzxid, stat.pzxid), (Zxid(1), Zxid(5), Zxid(4)));
    assert_eq!((stat.ctime, stat.mtime), (Wall(1001), Wall(1005)));
    assert_eq!((stat.version, stat.cversion, stat.aversion), (1, 3, 1));
    assert_eq!((stat.data_length, stat.num_children), (10, 1));
    assert_eq!(rig.tree.exists("/", &[]).expect("it is there").pzxid, Zxid(1));
}

#[test]
fn requests_are_refused_for_the_reason_that_zookeeper_finds_first() {
    let mut rig = Rig::new();
    let mine = [Acl { perms: perms::ALL, id: ALICE }];
    rig.does(with("/mine", &mine)).expect("a good request");
    rig.does(create("/open")).expect("a good request");
    rig.does(create("/open/child")).expect("a good request");
    let session = rig.session();
    rig.does_as(&Rig::asker(session), create_as("/short", 1, b"")).expect("a good request");
    let bad = [Acl { perms: 1, id: Id { scheme: "world", id: "me" } }];
    let cases = [
        // Creating: mode, path without a parent, list, parent, permission, path, existence, ephemeral parent.
        (create_as("x", 7, b""), TreeError::BadArguments),
        (with("x", &bad), TreeError::BadArguments),
        (with("/none/x", &bad), TreeError::InvalidAcl),
        (with("/none/x", &[]), TreeError::InvalidAcl),
        (create("none/x"), TreeError::NoNode),
        (create("/none/x"), TreeError::NoNode),
        (create("/none/"), TreeError::NoNode),
        (create("/mine/"), TreeError::NoAuth),
        (create("/mine/x"), TreeError::NoAuth),
        (create("/open/"), TreeError::BadArguments),
        (create("/open/."), TreeError::BadArguments),
        (create("/a\0"), TreeError::BadArguments),
        (create("/open/child"), TreeError::NodeExists),
        (create("/"), TreeError::NodeExists),
        (create("/short/x"), TreeError::NoChildrenForEphemerals),
        (create_ttl("/ttl", 0), TreeError::BadArguments),
        (create_ttl("/ttl", TTL_MAX + 1), TreeError::BadArguments),
        (
            Change::Create(Create { path: "/x", data: None, acls: OPEN, flags: 0, is_container: false, ttl: Some(5) }),
            TreeError::BadArguments,
        ),
        (
            Change::Create(Create { path: "/x", data: None, acls: OPEN, flags: 5, is_container: false, ttl: None }),
            TreeError::BadArguments,
        ),
        // Deleting: path, parent, permission on the parent, existence, version, children.
        (Change::Delete("x", -1), TreeError::BadArguments),
        (Change::Delete("/", -1), TreeError::BadArguments),
        (Change::Delete("/zookeeper", -1), TreeError::BadArguments),
        (Change::Delete("/zookeeper/config", -1), TreeError::BadArguments),
        (Change::Delete("/none/x", -1), TreeError::NoNode),
        (Change::Delete("/mine/x", -1), TreeError::NoAuth),
        (Change::Delete("/none", 5), TreeError::NoNode),
        (Change::Delete("/open", 5), TreeError::BadVersion),
        (Change::Delete("/open", 0), TreeError::NotEmpty),
        // Writing: path, existence, permission, version.
        (Change::SetData("/open/", None, -1), TreeError::BadArguments),
        (Change::SetData("", None, -1), TreeError::BadArguments),
        (Change::SetData("/none", None, 5), TreeError::NoNode),
        (Change::SetData("/mine", None, 5), TreeError::NoAuth),
        (Change::SetData("/open", None, 5), TreeError::BadVersion),
        (Change::SetData("/zookeeper/config", None, -1), TreeError::NoAuth),
        (Change::SetAcl("/none/", &bad, -1), TreeError::BadArguments),
        (Change::SetAcl("/none", &bad, -1), TreeError::InvalidAcl),
        (Change::SetAcl("/none", OPEN, -1), TreeError::NoNode),
        (Change::SetAcl("/mine", OPEN, 5), TreeError::NoAuth),
        (Change::SetAcl("/open", OPEN, 5), TreeError::BadVersion),
        (Change::Check("/none", 5), TreeError::NoNode),
        (Change::Check("/mine", 5), TreeError::NoAuth),
        (Change::Check("/open", 5), TreeError::BadVersion),
    ];
    for (change, error) in cases {
        assert_eq!(rig.tree.prepare(&server(), &change), Err(error), "{change:?}");
    }
}

#[test]
fn the_session_is_looked_at_before_the_path_and_after_the_mode() {
    let mut rig = Rig::new();
    let session = rig.session();
    let gone = Rig::asker(session + 1);
    let moved = Asker { is_moved: true, ..Rig::asker(session) };
    let local = Asker { is_local: true, ..Rig::asker(session + 2) };
    assert_eq!(rig.tree.prepare(&gone, &create_as("x", 9, b"")), Err(TreeError::BadArguments));
    for change in [create("x"), Change::Delete("x", 0), Change::SetData("x", None, 0), Change::Check("x", 0)] {
        assert_eq!(rig.tree.prepare(&gone, &change), Err(TreeError::SessionExpired));
        assert_eq!(rig.tree.prepare(&moved, &change), Err(TreeError::SessionMoved));
        assert_eq!(rig.tree.prepare(&local, &change), Err(TreeError::BadArguments));
    }
    assert_eq!(rig.tree.prepare(&local, &create_as("/x", 1, b"")), Err(TreeError::EphemeralOnLocalSession));
    let close = rig.tree.prepare_close(SessionId(session), usize::MAX).expect("it is open");
    rig.append(session, close);
    assert_eq!(
        rig.tree.prepare(&Rig::asker(session), &create("/x")),
        Err(TreeError::SessionExpired),
        "closing is enough"
    );
}

#[test]
fn kinds_that_are_switched_off_are_unimplemented() {
    let rig = Rig::with(TreeSettings { has_ttl: false, ..SETTINGS });
    assert_eq!(rig.tree.prepare(&server(), &create_ttl("/x", 5)), Err(TreeError::Unimplemented));
    assert_eq!(rig.tree.prepare(&server(), &create_as("/x", 6, b"")), Err(TreeError::Unimplemented));
}

#[test]
fn sequential_names_count_what_was_ever_made_below_their_parent() {
    let mut rig = Rig::new();
    rig.does(create("/q")).expect("a good request");
    rig.does(create("/q/other")).expect("a good request");
    for _ in 0..2 {
        rig.ask(&server(), create_as("/q/n-", 2, b"")).expect("a good request");
    }
    rig.apply_all();
    assert_eq!(rig.names("/q"), ["n-0000000001", "n-0000000002", "other"]);
    rig.does(Change::Delete("/q/n-0000000002", -1)).expect("it is there");
    rig.does(Change::Delete("/q/other", -1)).expect("it is there");
    rig.does(create_as("/q/n-", 2, b"")).expect("a good request");
    rig.does(create_as("/q/", 2, b"")).expect("a number alone is a name");
    assert_eq!(rig.names("/q"), ["0000000004", "n-0000000001", "n-0000000003"]);
}

#[test]
fn a_sequence_goes_on_below_zero_behind_its_largest_number() {
    let mut rig = Rig::new();
    rig.does(create("/q")).expect("a good request");
    let id = rig.tree.store.find("/q").expect("just made");
    rig.tree.store.slab.get_mut(id).family().creates = i32::MAX - 1;
    for _ in 0..3 {
        rig.ask(&server(), create_as("/q/n", 2, b"")).expect("a good request");
    }
    rig.apply_all();
    rig.does(create_as("/q/n", 2, b"")).expect("a good request");
    assert_eq!(rig.names("/q"), ["n-2147483647", "n-2147483648", "n2147483646", "n2147483647"]);
}

#[test]
fn versions_pass_over_the_one_that_means_any() {
    assert_eq!(next_version(-2, -2), Ok(0));
    assert_eq!(next_version(i32::MAX, -1), Ok(i32::MIN));
    assert_eq!(next_version(3, 3), Ok(4));
    assert_eq!(next_version(3, 2), Err(TreeError::BadVersion));
}

#[test]
fn requests_see_what_is_appended_and_reads_what_is_applied() {
    let mut rig = Rig::new();
    rig.ask(&server(), create("/a")).expect("a good request");
    rig.ask(&server(), create("/a/b")).expect("its parent is appended");
    assert_eq!(rig.tree.prepare(&server(), &create("/a")), Err(TreeError::NodeExists));
    assert_eq!(rig.tree.prepare(&server(), &Change::Delete("/a", -1)), Err(TreeError::NotEmpty));
    assert_eq!(rig.tree.exists("/a", &[]), Err(TreeError::NoNode));
    let set = rig.ask(&server(), Change::SetData("/a", Some(b"x"), 0)).expect("a good request");
    assert_eq!(rig.tree.prepare(&server(), &Change::SetData("/a", None, 0)), Err(TreeError::BadVersion));
    rig.cut(set);
    assert!(rig.tree.prepare(&server(), &Change::SetData("/a", None, 0)).is_ok());
    rig.apply_all();
    assert!(rig.tree.exists("/a/b", &[]).is_ok());
    rig.ask(&server(), Change::Delete("/a/b", -1)).expect("a good request");
    assert!(rig.tree.prepare(&server(), &Change::Delete("/a", -1)).is_ok());
    rig.cut(Index(3));
    assert_eq!(rig.tree.prepare(&server(), &Change::Delete("/a", -1)), Err(TreeError::NotEmpty));
}

#[test]
fn a_multi_does_all_or_nothing_and_tells_which_operation_was_wrong() {
    let mut rig = Rig::new();
    rig.does(create("/a")).expect("a good request");
    let good = [
        create("/a/b"),
        Change::SetData("/a/b", Some(b"1"), 0),
        Change::Check("/a/b", 1),
        create_as("/a/n", 2, b""),
        create_as("/a/n", 2, b""),
        Change::Delete("/a/b", 1),
    ];
    rig.ask_multi(&server(), &good).expect("each sees those before");
    let outcomes = rig.apply_all();
    assert!(matches!(
        outcomes[..],
        [
            Outcome::Created(_),
            Outcome::DataSet(_),
            Outcome::Checked,
            Outcome::Created(_),
            Outcome::Created(_),
            Outcome::Deleted
        ]
    ));
    assert_eq!(rig.names("/a"), ["n0000000001", "n0000000002"]);
    let (digest, pending) = (rig.tree.digest(), rig.tree.pending());
    let wrong = [create("/a/c"), Change::Delete("/a", -1), create("/a/d")];
    let refused = rig.ask_multi(&server(), &wrong).expect_err("it has children");
    assert_eq!(refused, Refused { error: TreeError::NotEmpty, at: 1 });
    let results = [0, 1, 2].map(|n| refused.of(n));
    assert_eq!(results, [None, Some(TreeError::NotEmpty), Some(TreeError::RuntimeInconsistency)]);
    assert_eq!((rig.tree.digest(), rig.tree.pending()), (digest, pending));
    assert!(
        rig.tree
            .prepare(&server(), &create_as("/a/n", 2, b""))
            .is_ok_and(|body| { matches!(body, Body::One(Op::Create { path, .. }) if &*path == "/a/n0000000003") })
    );
    rig.ask_multi(&server(), &[]).expect("nothing is allowed");
}

#[test]
fn a_container_is_made_whatever_its_mode_and_by_no_mode_alone() {
    let mut rig = Rig::new();
    let new = |path, flags, is_container| {
        Change::Create(Create { path, data: None, acls: OPEN, flags, is_container, ttl: None })
    };
    let session = rig.session();
    let who = Rig::asker(session);
    for (path, flags) in [("/c0", 0), ("/c1", 1), ("/c2-", 2), ("/c3-", 3), ("/c4", 4)] {
        rig.does_as(&who, new(path, flags, true)).expect("a good request");
    }
    rig.does_as(&who, new("/p", 4, false)).expect("a good request");
    for flags in [5, 6] {
        assert_eq!(rig.tree.prepare(&who, &new("/x", flags, true)), Err(TreeError::BadArguments));
    }
    let lifetime = |name: &String| rig.tree.view(&format!("/{name}")).expect("it is there").lifetime;
    let is_container = |name: &String| matches!(lifetime(name), Lifetime::Container);
    let names = rig.names("/");
    let (containers, others): (Vec<_>, Vec<_>) = names.into_iter().partition(is_container);
    assert_eq!(containers, ["c0", "c1", "c2-0000000002", "c3-0000000003", "c4"]);
    assert_eq!(others, ["p", "zookeeper"]);
}

#[test]
fn all_of_a_multi_has_one_zxid_and_its_events_come_in_order() {
    let mut rig = Rig::new();
    rig.ask_multi(&server(), &[create("/a"), create("/a/b"), Change::Delete("/a/b", -1)]).expect("a good request");
    rig.apply_all();
    assert!(rig.told.iter().all(|(_, _, zxid)| *zxid == 1));
    let told = rig.told();
    let told: Vec<(EventKind, &str)> = told.iter().map(|(kind, path)| (*kind, path.as_str())).collect();
    use EventKind::*;
    let b = [(Created, "/a/b"), (ChildrenChanged, "/a"), (Deleted, "/a/b"), (ChildrenChanged, "/a")];
    assert_eq!(told, [&[(Created, "/a"), (ChildrenChanged, "/")][..], &b].concat());
}

#[test]
fn access_lists_are_kept_as_they_are_resolved_and_asked_by_kind() {
    let mut rig = Rig::new();
    let auth = [Acl { perms: perms::ALL, id: Id { scheme: "auth", id: "" } }];
    let near = [Acl { perms: perms::READ, id: Id { scheme: "ip", id: "10.1.0.0/16" } }];
    let alice = Asker { ids: &[HERE, ALICE], ..server() };
    assert_eq!(rig.tree.prepare(&server(), &with("/a", &auth)), Err(TreeError::InvalidAcl));
    rig.does_as(&alice, with("/a", &auth)).expect("she has proved who she is");
    assert_eq!(rig.tree.acl("/a", &[ALICE]).expect("hers").0, AclList::new(&[Acl { perms: perms::ALL, id: ALICE }]));
    assert_eq!(rig.tree.data("/a", &[HERE]), Err(TreeError::NoAuth));
    assert!(rig.tree.data("/a", &[SUPER]).is_ok());
    assert_eq!(rig.tree.exists("/a", &[HERE]), Err(TreeError::NoAuth));
    assert!(rig.tree.children("/a", &[HERE]).is_err());
    rig.does_as(&alice, Change::SetAcl("/a", &[near[0], Acl { perms: perms::ADMIN, id: ALICE }], -1)).expect("hers");
    assert!(rig.tree.data("/a", &[HERE]).is_ok());
    assert_eq!(rig.tree.data("/a", &[ALICE]), Err(TreeError::NoAuth), "not even she");
    let (list, _) = rig.tree.acl("/a", &[HERE]).expect("who may read may see the list");
    let hidden = Acl { perms: perms::ADMIN, id: Id { scheme: "digest", id: "alice:x" } };
    assert_eq!(list, AclList::new(&[near[0], hidden]));
    assert_eq!(rig.tree.acl("/a", &[]).map(drop), Err(TreeError::NoAuth));
    // Deleting asks the parent, not the znode.
    assert!(rig.does(Change::Delete("/a", -1)).is_ok());
}

#[test]
fn nobody_is_asked_where_access_lists_are_switched_off() {
    let mut rig = Rig::with(TreeSettings { skips_acls: true, ..SETTINGS });
    rig.does(with("/a", &[Acl { perms: 0, id: WORLD }])).expect("a good request");
    rig.does(Change::SetData("/a", None, -1)).expect("nobody asks");
    assert!(rig.tree.data("/a", &[]).is_ok());
}

#[test]
fn what_is_too_large_is_refused_and_deleting_always_goes() {
    let mut rig = Rig::new();
    let long = format!("/{}", "x".repeat(ZNODE_PATH_BYTES_MAX));
    assert_eq!(rig.tree.prepare(&server(), &create(&long)), Err(TreeError::BadArguments));
    let data = vec![0; ZNODE_DATA_BYTES_MAX + 1];
    assert_eq!(rig.tree.prepare(&server(), &create_as("/x", 0, &data)), Err(TreeError::BadArguments));
    let half = vec![0; TREE_TXN_BYTES_MAX / 2];
    let two = [create_as("/x", 0, &half), create_as("/y", 0, &half)];
    assert_eq!(rig.ask_multi(&server(), &two), Err(Refused { error: TreeError::BadArguments, at: 1 }));
    rig.does(create_as("/full", 0, &half)).expect("it has room");
    rig.tree.settings.memory_max = rig.tree.memory() + 50;
    assert_eq!(rig.tree.prepare(&server(), &create("/x")), Err(TreeError::QuotaExceeded));
    assert_eq!(rig.tree.prepare(&server(), &Change::SetData("/full", Some(&half), -1)), Err(TreeError::QuotaExceeded));
    rig.does(Change::Delete("/full", -1)).expect("that makes room");
    assert!(rig.tree.prepare(&server(), &create("/x")).is_ok());
}
