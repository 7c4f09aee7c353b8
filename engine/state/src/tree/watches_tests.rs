use super::super::rig::{Rig, create, some_path};
use super::super::{Change, EventKind};
use super::*;
use EventKind::*;
use torc_base::prng::Prng;

const ONE: ConnId = ConnId(1);
const TWO: ConnId = ConnId(2);
const PLENTY: usize = 1 << 30;

fn fired(watches: &mut Watches, kind: EventKind, path: &str) -> Vec<u64> {
    let mut told = Vec::new();
    watches.fire(kind, path, |conn| told.push(conn.get()));
    told.sort_unstable();
    told
}

#[test]
fn watches_for_one_change_fire_once_and_only_for_what_they_watch() {
    let mut watches = Watches::new(PLENTY);
    watches.add(ONE, "/a", Watch::Data).expect("room");
    watches.add(TWO, "/a", Watch::Children).expect("room");
    watches.add(ONE, "/a", Watch::Data).expect("room");
    assert_eq!(watches.counts(), (2, 1, 2));
    assert_eq!(fired(&mut watches, DataChanged, "/b"), []);
    assert_eq!(fired(&mut watches, DataChanged, "/a/b"), []);
    assert_eq!(fired(&mut watches, DataChanged, "/a"), [1]);
    assert_eq!(fired(&mut watches, DataChanged, "/a"), []);
    assert_eq!(fired(&mut watches, ChildrenChanged, "/a"), [2]);
    assert_eq!(watches.counts(), (0, 0, 0));
    assert_eq!(watches.memory(), 0);
    watches.add(ONE, "/a", Watch::Data).expect("room");
    assert_eq!(fired(&mut watches, Created, "/a"), [1]);
}

#[test]
fn the_end_of_a_znode_is_told_once_to_each_whatever_they_watch_there() {
    let mut watches = Watches::new(PLENTY);
    for watch in [Watch::Data, Watch::Children, Watch::Persistent, Watch::Recursive] {
        watches.add(ONE, "/a", watch).expect("room");
    }
    watches.add(TWO, "/a", Watch::Children).expect("room");
    watches.add(ONE, "/", Watch::Recursive).expect("room");
    assert_eq!(fired(&mut watches, Deleted, "/a"), [1, 2]);
    assert_eq!(fired(&mut watches, Deleted, "/a"), [1], "two kinds stay");
    assert!(!watches.contains(ONE, "/a", Some(Watch::Data)) && watches.contains(ONE, "/a", Some(Watch::Persistent)));
}

#[test]
fn watches_that_stay_are_told_of_everything_theirs() {
    let mut watches = Watches::new(PLENTY);
    watches.add(ONE, "/a", Watch::Persistent).expect("room");
    watches.add(TWO, "/a", Watch::Recursive).expect("room");
    for _ in 0..2 {
        assert_eq!(fired(&mut watches, Created, "/a"), [1, 2]);
        assert_eq!(fired(&mut watches, DataChanged, "/a"), [1, 2]);
        assert_eq!(fired(&mut watches, ChildrenChanged, "/a"), [1]);
        assert_eq!(fired(&mut watches, Deleted, "/a"), [1, 2]);
        assert_eq!(fired(&mut watches, Created, "/a/b/c"), [2]);
        assert_eq!(fired(&mut watches, ChildrenChanged, "/a/b"), []);
        assert_eq!(fired(&mut watches, Created, "/ab"), []);
    }
}

#[test]
fn watches_are_taken_away_by_kind() {
    let mut watches = Watches::new(PLENTY);
    assert_eq!(watches.remove(ONE, "/a", None), Err(TreeError::NoWatcher));
    watches.add(ONE, "/a", Watch::Data).expect("room");
    watches.add(ONE, "/a", Watch::Recursive).expect("room");
    watches.add(TWO, "/a", Watch::Data).expect("room");
    assert_eq!(watches.remove(ONE, "/a", Some(Watch::Children)), Err(TreeError::NoWatcher));
    assert_eq!(watches.remove(ONE, "/a", Some(Watch::Data)), Ok(()));
    assert!(watches.contains(ONE, "/a", None) && !watches.contains(ONE, "/a", Some(Watch::Data)));
    assert_eq!(watches.remove(ONE, "/a", None), Ok(()));
    assert!(!watches.contains(ONE, "/a", None) && watches.contains(TWO, "/a", Some(Watch::Data)));
    assert_eq!(watches.recursive, 0);
    for n in 0..10 {
        watches.add(ONE, &format!("/{n}"), Watch::Recursive).expect("room");
    }
    assert!(!watches.remove_all(ONE, 4));
    assert_eq!(watches.counts(), (7, 7, 2));
    assert!(watches.remove_all(ONE, 6) && watches.remove_all(ONE, 1));
    assert_eq!((watches.counts(), watches.recursive), ((1, 1, 1), 0));
}

#[test]
fn memory_has_a_bound_and_what_is_known_already_costs_nothing() {
    let mut watches = Watches::new(1_000);
    let mut held = 0;
    while watches.add(ONE, &format!("/{held}"), Watch::Data).is_ok() {
        held += 1;
    }
    assert!((4..6).contains(&held), "{held}");
    assert_eq!(watches.add(ONE, "/0", Watch::Persistent), Ok(()), "it has a watch there");
    assert_eq!(watches.add(ONE, &"x".repeat(1_000), Watch::Data), Err(TreeError::QuotaExceeded));
    assert_eq!(fired(&mut watches, DataChanged, "/1"), [1]);
    assert_eq!(watches.add(TWO, "/1", Watch::Data), Ok(()));
}

#[test]
fn what_a_client_missed_while_it_was_away_is_told_and_the_rest_is_watched_again() {
    let mut rig = Rig::new();
    for path in ["/same", "/written", "/grown", "/gone"] {
        rig.does(create(path)).expect("a good request");
    }
    let since = rig.tree.zxid();
    rig.does(Change::SetData("/written", None, -1)).expect("a good request");
    rig.does(create("/grown/child")).expect("a good request");
    rig.does(Change::Delete("/gone", -1)).expect("a good request");
    rig.does(create("/new")).expect("a good request");
    let mut watches = Watches::new(PLENTY);
    let cases = [
        (Kept::Data, "/same", None),
        (Kept::Data, "/written", Some(DataChanged)),
        (Kept::Data, "/grown", None),
        (Kept::Data, "/gone", Some(Deleted)),
        (Kept::Children, "/same", None),
        (Kept::Children, "/written", None),
        (Kept::Children, "/grown", Some(ChildrenChanged)),
        (Kept::Children, "/gone", Some(Deleted)),
        (Kept::Absent, "/new", Some(Created)),
        (Kept::Absent, "/never", None),
        (Kept::Persistent, "/gone", None),
        (Kept::Recursive, "/written", None),
    ];
    for (kept, path, missed) in cases {
        assert_eq!(watches.resume(&rig.tree, ONE, since, kept, path), Ok(missed), "{kept:?} {path}");
    }
    assert!(watches.contains(ONE, "/same", Some(Watch::Data)) && watches.contains(ONE, "/same", Some(Watch::Children)));
    assert!(!watches.contains(ONE, "/new", None) && watches.contains(ONE, "/never", Some(Watch::Data)));
    assert!(watches.contains(ONE, "/gone", Some(Watch::Persistent)));
    assert!(!watches.contains(ONE, "/written", Some(Watch::Data)));
    let mut full = Watches::new(10);
    assert_eq!(full.resume(&rig.tree, ONE, since, Kept::Data, "/same"), Err(TreeError::QuotaExceeded));
}

/// Watches as a list that is gone through.
#[derive(Default)]
struct Model(BTreeSet<(String, u64, Watch)>);

impl Model {
    fn fire(&mut self, kind: EventKind, path: &str) -> Vec<u64> {
        let is_above = |top: &str| {
            top == "/" || path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let fires = |(at, _, watch): &(String, u64, Watch)| match watch {
            Watch::Data => at == path && kind != ChildrenChanged,
            Watch::Children => at == path && matches!(kind, ChildrenChanged | Deleted),
            Watch::Persistent => at == path,
            Watch::Recursive => is_above(at) && kind != ChildrenChanged,
        };
        let told: BTreeSet<u64> = self.0.iter().filter(|watch| fires(watch)).map(|(_, conn, _)| *conn).collect();
        self.0.retain(|watch| !(fires(watch) && matches!(watch.2, Watch::Data | Watch::Children)));
        told.into_iter().collect()
    }

    /// Watches of data with their paths and connections, and watches of children, as ZooKeeper 3.9 has them in two tables.
    fn counts(&self) -> ((usize, usize, usize), usize) {
        let of = |kinds: &[Watch]| -> BTreeSet<(&str, u64)> {
            let some = self.0.iter().filter(|(.., watch)| kinds.contains(watch));
            some.map(|(path, conn, _)| (path.as_str(), *conn)).collect()
        };
        let data = of(&[Watch::Data, Watch::Persistent, Watch::Recursive]);
        let paths: BTreeSet<&str> = data.iter().map(|(path, _)| *path).collect();
        let conns: BTreeSet<u64> = data.iter().map(|(_, conn)| *conn).collect();
        ((data.len(), paths.len(), conns.len()), of(&[Watch::Children, Watch::Persistent]).len())
    }
}

#[test]
fn any_history_of_watches_is_as_if_a_list_were_gone_through() {
    const KINDS: [Watch; 4] = [Watch::Data, Watch::Children, Watch::Persistent, Watch::Recursive];
    for seed in 0..30 {
        let mut prng = Prng::new(seed);
        let (mut watches, mut model) = (Watches::new(PLENTY), Model::default());
        for n in 0..400 {
            let path = if prng.chance(1, 10) { "/".to_string() } else { some_path(&mut prng) };
            let (conn, watch) = (prng.below(5), KINDS[prng.below(4) as usize]);
            match prng.below(8) {
                0..=3 => {
                    watches.add(ConnId(conn), &path, watch).expect("room");
                    model.0.insert((path, conn, watch));
                }
                4 => {
                    let removed = watches.remove(ConnId(conn), &path, Some(watch)).is_ok();
                    assert_eq!(removed, model.0.remove(&(path, conn, watch)), "seed {seed}, step {n}");
                }
                5 if prng.chance(1, 10) => {
                    while !watches.remove_all(ConnId(conn), 2) {}
                    model.0.retain(|(_, other, _)| *other != conn);
                }
                _ => {
                    let kind = [Created, Deleted, DataChanged, ChildrenChanged][prng.below(4) as usize];
                    let told = fired(&mut watches, kind, &path);
                    assert_eq!(told, model.fire(kind, &path), "seed {seed}, step {n}: {kind:?} {path}");
                }
            }
            let pairs: BTreeSet<(&str, u64)> = model.0.iter().map(|(path, conn, _)| (path.as_str(), *conn)).collect();
            assert!(
                watches.iter().map(|(path, conn)| (path, conn.get())).collect::<BTreeSet<_>>() == pairs,
                "seed {seed}"
            );
            assert_eq!(watches.by_watcher.len(), pairs.len(), "seed {seed}");
            let (data, children) = model.counts();
            assert_eq!((watches.data_counts(), watches.of_children()), (data, children), "seed {seed}, step {n}");
        }
        for conn in 0..5 {
            while !watches.remove_all(ConnId(conn), 3) {}
        }
        assert_eq!((watches.counts(), watches.recursive, watches.memory()), ((0, 0, 0), 0, 0), "seed {seed}");
        assert_eq!((watches.data_counts(), watches.of_children()), ((0, 0, 0), 0), "seed {seed}");
    }
}

#[test]
fn watches_of_children_alone_are_none_of_data_and_paths_below_one_are_found() {
    let mut watches = Watches::new(1 << 20);
    for (conn, path, watch) in [
        (1, "/a/b", Watch::Children),
        (1, "/b", Watch::Children),
        (1, "/b", Watch::Data),
        (2, "/ab", Watch::Persistent),
    ] {
        watches.add(ConnId(conn), path, watch).unwrap();
    }
    let by_path = |through| watches.data_by_path(through).collect::<Vec<_>>();
    assert_eq!(by_path(None), [("/a/b", vec![]), ("/ab", vec![ConnId(2)]), ("/b", vec![ConnId(1)])]);
    assert_eq!(by_path(Some("/ab")), by_path(None)[2..]);
    let of = |conn, through| watches.data_of(ConnId(conn), through).map(|(_, path)| path).collect::<Vec<_>>();
    assert_eq!((of(1, None), of(2, None), of(3, None)), (vec!["/b"], vec!["/ab"], vec![]));
    let (number, _) = watches.data_of(ConnId(1), None).next().expect("there is one");
    assert!(of(1, Some(number)).is_empty());
    for (top, is_watched) in [("/a", true), ("/a/b", true), ("/a/b/c", false), ("/ab", true), ("/c", false)] {
        assert_eq!(watches.is_watched_below(top), is_watched, "{top}");
    }
    watches.add(ConnId(2), "/", Watch::Recursive).unwrap();
    assert!(watches.is_watched_below("/c"), "all below some path");
}

#[test]
fn who_comes_back_to_a_path_of_unknown_age_is_told_of_it() {
    let mut watches = Watches::new(1 << 20);
    for (kept, is_there, told) in [
        (Kept::Data, true, Some(EventKind::DataChanged)),
        (Kept::Data, false, Some(EventKind::Deleted)),
        (Kept::Children, true, Some(EventKind::ChildrenChanged)),
        (Kept::Children, false, Some(EventKind::Deleted)),
        (Kept::Absent, true, Some(EventKind::Created)),
        (Kept::Absent, false, None),
        (Kept::Persistent, true, None),
        (Kept::Recursive, true, None),
    ] {
        let path = format!("/{kept:?}-{is_there}");
        assert_eq!(watches.resume_unsure(ConnId(1), kept, &path, is_there), Ok(told), "{path}");
        assert_eq!(watches.contains(ConnId(1), &path, None), told.is_none(), "{path}");
    }
}
