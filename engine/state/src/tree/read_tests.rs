use super::super::rig::{Rig, create, create_as};
use super::super::{Change, TreeError};
use super::*;

/// A list of children as it comes in parts of `each` names; what was told before a change of it is dropped. Before each part
/// `between` happens.
fn list(rig: &mut Rig, path: &str, each: usize, mut between: impl FnMut(&mut Rig, usize)) -> Vec<String> {
    let (mut all, mut place) = (Vec::new(), None);
    for part in 0.. {
        between(rig, part);
        let before = all.len();
        let mut put = |name: &str| {
            all.push(name.to_string());
            all.len() - before < each
        };
        match rig.tree.list_children(path, &[], place, &mut put).expect("it is there") {
            Listed::Whole => break,
            Listed::Part(next) => place = Some(next),
            Listed::Changed => (all, place) = (Vec::new(), None),
        }
    }
    all.sort();
    all
}

#[test]
fn a_list_in_parts_has_each_name_once_and_begins_anew_when_something_comes_or_goes() {
    let mut rig = Rig::new();
    rig.does(create("/a")).expect("a good request");
    for n in 0..50 {
        rig.does(create(&format!("/a/{n}"))).expect("a good request");
    }
    for each in [1, 7, 50, 51] {
        assert_eq!(list(&mut rig, "/a", each, |_, _| {}), rig.names("/a"), "{each} names at once");
        // What is no change of the list does not count as one.
        let writes = |rig: &mut Rig, _| {
            rig.does(Change::SetData("/a/7", Some(b"new"), -1)).expect("a good request");
            rig.does(Change::SetData("/a", Some(b"new"), -1)).expect("a good request");
        };
        assert_eq!(list(&mut rig, "/a", each, writes), rig.names("/a"), "{each} names at once");
        let changes = |rig: &mut Rig, part| {
            if part == 3 {
                rig.does(Change::Delete("/a/13", -1)).expect("a good request");
                rig.does(create("/a/13")).expect("a good request");
                rig.does(create(&format!("/a/new-{each}"))).expect("a good request");
            }
        };
        assert_eq!(list(&mut rig, "/a", each, changes), rig.names("/a"), "{each} names at once");
    }
    assert_eq!(list(&mut rig, "/a/1", 1, |_, _| {}), Vec::<String>::new());
    assert_eq!(rig.tree.list_children("/none", &[], None, &mut |_| true), Err(TreeError::NoNode));
}

#[test]
fn another_znode_at_the_same_path_has_another_list() {
    let mut rig = Rig::new();
    for path in ["/a", "/a/1", "/a/2"] {
        rig.does(create(path)).expect("a good request");
    }
    let Ok(Listed::Part(place)) = rig.tree.list_children("/a", &[], None, &mut |_| false) else { panic!("two names") };
    let renew = [Change::Delete("/a/1", -1), Change::Delete("/a/2", -1), Change::Delete("/a", -1), create("/a")];
    rig.ask_multi(&Rig::asker(0), &renew).expect("a good request");
    rig.apply_all();
    assert_eq!(rig.tree.list_children("/a", &[], Some(place), &mut |_| true), Ok(Listed::Changed));
}

#[test]
fn what_is_shown_of_the_servers_is_no_part_of_the_state() {
    let mut rig = Rig::new();
    let before = (rig.tree.digest(), rig.tree.memory());
    assert_eq!(rig.tree.data(path::CONFIG, &[]).map(|(data, stat)| (data, stat.data_length)), Ok((Some(&b""[..]), 0)));
    rig.tree.show_config(Some("version=0".into()));
    let stat = rig.tree.exists(path::CONFIG, &[]).expect("it is there");
    assert_eq!(rig.tree.data(path::CONFIG, &[]), Ok((Some(&b"version=0"[..]), stat)));
    assert_eq!((stat.data_length, rig.tree.acl(path::CONFIG, &[]).map(|(_, told)| told)), (9, Ok(stat)));
    assert_eq!(rig.tree.data("/zookeeper/quota", &[]).map(|(data, _)| data), Ok(Some(&b""[..])), "only there");
    assert_eq!((rig.tree.digest(), rig.tree.memory()), before);
    rig.tree.show_config(None);
    assert_eq!(rig.tree.exists(path::CONFIG, &[]).map(|stat| stat.data_length), Ok(0));
}

#[test]
fn ephemeral_znodes_are_listed_in_parts_with_their_paths() {
    let mut rig = Rig::new();
    let (one, two) = (rig.session(), rig.session());
    rig.does(create("/a")).expect("a good request");
    for n in 0..30 {
        let path = if n % 3 == 0 { format!("/top-{n}") } else { format!("/a/{n}") };
        rig.does_as(&Rig::asker(if n % 2 == 0 { one } else { two }), create_as(&path, 1, b"")).expect("a good request");
    }
    let all = rig.tree.ephemerals(SessionId(one), "/");
    assert_eq!(all.len(), 15);
    for each in [1, 4, 15, 16] {
        let (mut told, mut place) = (Vec::new(), None);
        loop {
            let before = told.len();
            let mut put = |path: &str| {
                told.push(path.to_string());
                told.len() - before < each
            };
            match rig.tree.list_ephemerals(SessionId(one), place, &mut put) {
                Listed::Whole => break,
                Listed::Part(next) => place = Some(next),
                Listed::Changed => panic!("nothing has changed"),
            }
        }
        assert_eq!(told, all, "{each} paths at once");
    }
    let Listed::Part(place) = rig.tree.list_ephemerals(SessionId(one), None, &mut |_| false) else { panic!("many") };
    rig.does(create("/b")).expect("a good request");
    assert!(matches!(rig.tree.list_ephemerals(SessionId(one), Some(place), &mut |_| true), Listed::Whole));
    rig.does_as(&Rig::asker(one), create_as("/c", 1, b"")).expect("a good request");
    assert_eq!(rig.tree.list_ephemerals(SessionId(one), Some(place), &mut |_| true), Listed::Changed);
}
