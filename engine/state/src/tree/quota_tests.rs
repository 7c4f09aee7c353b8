use super::super::rig::{Rig, SETTINGS, create, create_as};
use super::super::{Change, TreeSettings};
use super::*;

/// Bounds for `/a`, as ZooKeeper's command line sets them.
fn limit(rig: &mut Rig, limits: &str) {
    rig.does(create("/zookeeper/quota/a")).expect("a good request");
    rig.does(create_as("/zookeeper/quota/a/zookeeper_limits", 0, limits.as_bytes())).expect("a good request");
    rig.does(create("/zookeeper/quota/a/zookeeper_stats")).expect("a good request");
}

fn stats(rig: &Rig) -> String {
    let (data, _) = rig.tree.data("/zookeeper/quota/a/zookeeper_stats", &[]).expect("it is there");
    String::from_utf8(data.unwrap_or_default().to_vec()).expect("text")
}

#[test]
fn what_is_below_a_path_with_bounds_is_counted_from_the_beginning_and_with_every_change() {
    let mut rig = Rig::new();
    rig.does(create_as("/a", 0, b"12345")).expect("a good request");
    rig.does(create_as("/a/b", 0, b"12")).expect("a good request");
    rig.does(create_as("/ab", 0, b"not below")).expect("a good request");
    limit(&mut rig, "count=100,bytes=1000");
    assert_eq!(stats(&rig), "count=2,bytes=7");
    rig.does(create_as("/a/b/c", 0, b"123")).expect("a good request");
    assert_eq!(stats(&rig), "count=3,bytes=10");
    rig.does(Change::SetData("/a/b", None, -1)).expect("a good request");
    assert_eq!(stats(&rig), "count=3,bytes=8");
    rig.does(Change::Delete("/a/b/c", -1)).expect("a good request");
    assert_eq!(stats(&rig), "count=2,bytes=5");
    let stat = rig.tree.exists("/zookeeper/quota/a/zookeeper_stats", &[]).expect("it is there");
    assert_eq!((stat.version, stat.czxid), (0, stat.mzxid), "counting is no change");
    assert_eq!(rig.tree.digest(), rig.replay().digest());
    rig.does(Change::Delete("/zookeeper/quota/a/zookeeper_limits", -1)).expect("a good request");
    rig.does(create("/a/more")).expect("a good request");
    assert_eq!(stats(&rig), "count=2,bytes=5", "without bounds nothing is counted");
}

#[test]
fn hard_bounds_are_kept_and_soft_ones_are_not() {
    let mut rig = Rig::new();
    rig.does(create_as("/a", 0, b"12345")).expect("a good request");
    limit(&mut rig, "count=1,bytes=1=;byteHardLimit=10;countHardLimit=3");
    rig.does(create_as("/a/b", 0, b"12345")).expect("as much as may be");
    let refused = |rig: &Rig, change| rig.tree.prepare(&Rig::asker(0), &change).err();
    assert_eq!(refused(&rig, create_as("/a/c", 0, b"1")), Some(TreeError::QuotaExceeded));
    assert_eq!(
        refused(&rig, Change::SetData("/a/b", Some(b"123456"), 7)),
        Some(TreeError::QuotaExceeded),
        "before its version"
    );
    assert_eq!(refused(&rig, Change::SetData("/a/b", Some(b"54321"), -1)), None, "not more than before");
    rig.does(create("/a/c")).expect("as many as may be");
    assert_eq!(refused(&rig, create("/a/d")), Some(TreeError::QuotaExceeded));
    assert_eq!(refused(&rig, create("/a/c")), Some(TreeError::NodeExists), "that is found first");
    rig.does(create("/b")).expect("elsewhere there are no bounds");
    let lax =
        Rig { tree: Tree { settings: TreeSettings { enforces_quotas: false, ..SETTINGS }, ..rig.tree.clone() }, ..rig };
    assert_eq!(refused(&lax, create("/a/d")), None);
}

#[test]
fn the_nearest_bounds_count() {
    let mut quotas = Quotas::default();
    quotas.paths.extend(["/a".into(), "/a/b/c".into()]);
    assert_eq!(
        [quotas.of("/a/b"), quotas.of("/a/b/c"), quotas.of("/a/b/c/d")],
        [Some("/a"), Some("/a/b/c"), Some("/a/b/c")]
    );
    assert_eq!([quotas.of("/ab"), quotas.of("/"), quotas.of("/b/a")], [None; 3]);
}

#[test]
fn numbers_that_are_none_change_nothing() {
    for text in ["", "count", "count=", "count=x,bytes=y", "=,=;;=", "\u{fffd}"] {
        let numbers = Numbers::read(Some(text.as_bytes()));
        assert_eq!((numbers.get("count"), numbers.get("bytes")), (-1, -1), "{text}");
    }
    let numbers = Numbers::read(Some(b"count=4,bytes=5=;countHardLimit=10;byteHardLimit=20"));
    assert_eq!(numbers.write(6, 7), "count=6,bytes=7=;byteHardLimit=20;countHardLimit=10");
    // Bounds of the root, or of no path at all, are none.
    let mut rig = Rig::new();
    rig.does(create_as("/zookeeper/quota/zookeeper_limits", 0, b"countHardLimit=0")).expect("a good request");
    rig.does(create("/zookeeper/quota/zookeeper_stats")).expect("a good request");
    rig.does(create("/a")).expect("a good request");
}
