use super::jute::Adler;
use super::state::{Head, Txn};
use super::*;
use std::path::PathBuf;
use std::sync::Arc;
use torc_net::zookeeper::OwnedAcl;

/// What a real ZooKeeper wrote: see the README there.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/zookeeper-3.8.4")
}

#[test]
fn a_real_zookeepers_directory_is_understood() {
    let loaded = load(&golden(), None).unwrap();
    assert!(loaded.snapshot.ends_with("version-2/snapshot.12"), "{:?}", loaded.snapshot);
    assert!(loaded.passed_over.is_empty());
    let State { nodes, sessions, zxid } = &loaded.state;
    let paths: Vec<&str> = nodes.keys().map(String::as_str).filter(|path| path.starts_with("/app")).collect();
    assert_eq!(
        paths,
        [
            "/app",
            "/app/a",
            "/app/a/b",
            "/app/binary",
            "/app/container",
            "/app/container/child",
            "/app/empty",
            "/app/later",
            "/app/secret",
            "/app/secret/inside",
            "/app/seq",
            "/app/seq/n-0000000000",
            "/app/seq/n-0000000001",
            "/app/timed",
        ],
        "deleted ones are gone, and so is the ephemeral one, whose session was closed"
    );
    let data = |path: &str| nodes[path].data.clone().unwrap();
    assert_eq!((data("/app/a/b"), data("/app/binary")), (b"three".to_vec(), vec![0, 0xff, 0x10]));
    // As ZooKeeper told them itself.
    let kept = |path: &str| nodes[path].kept;
    let (ctime, mtime) = (1_795_963_349_565, 1_795_963_354_943);
    let expected = Kept { czxid: 4, mzxid: 20, pzxid: 4, ctime, mtime, version: 2, ..Kept::default() };
    assert_eq!(kept("/app/a/b"), expected);
    assert_eq!((kept("/app/seq").cversion, kept("/app/seq").pzxid), (4, 24));
    assert_eq!((kept("/app").cversion, kept("/app").pzxid), (10, 29));
    assert_eq!(kept("/app/container").owner, i64::MIN);
    assert_eq!(kept("/app/timed").owner, (0xff << 56) | 1_000_000);
    let acl = |perms, scheme: &str, id: &str| OwnedAcl { perms, scheme: scheme.to_string(), id: id.to_string() };
    assert_eq!(*nodes["/app/later"].acls, [acl(1, "world", "anyone"), acl(31, "ip", "127.0.0.1")]);
    assert_eq!(kept("/app/later").aversion, 1);
    assert_eq!(*nodes["/app/secret"].acls, [acl(31, "digest", "user:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=")][..]);
    assert!(sessions.is_empty() && *zxid >= 29, "{sessions:?}, {zxid}");
}

#[test]
fn what_is_written_is_read_again() {
    let mut state = load(&golden(), None).unwrap().state;
    state.sessions.insert(7, 4_000);
    state.nodes.get_mut("/app/empty").unwrap().data = None;
    let dir = tempfile::tempdir().unwrap();
    let path = save(dir.path(), &state).unwrap();
    assert_eq!(path, dir.path().join(format!("version-2/snapshot.{:x}", state.zxid)));
    for place in [dir.path(), path.parent().unwrap()] {
        let loaded = load(place, None).unwrap();
        assert_eq!((&loaded.state, loaded.replayed), (&state, 0));
    }
    let refused = save(dir.path(), &state).unwrap_err();
    assert!(refused.contains("has files already"), "{refused}");
}

/// Any byte that is not what it was is noticed, wherever it stands; so is a cut.
#[test]
fn damage_is_noticed_and_nothing_panics() {
    let snapshot = std::fs::read(golden().join("version-2/snapshot.12")).unwrap();
    let state = snapshot::read(&snapshot, 0x12).unwrap();
    // Behind the first seal stands the digest, which is not looked at.
    let sealed = snapshot::write(&state).len();
    for at in (0..sealed.min(snapshot.len())).filter(|at| !(8..16).contains(at)) {
        let mut damaged = snapshot.clone();
        damaged[at] ^= 0x41;
        assert!(snapshot::read(&damaged, 0x12).is_err(), "at {at}");
        assert!(snapshot::read(&snapshot[..at], 0x12).is_err(), "cut at {at}");
    }
    let log = std::fs::read(golden().join("version-2/log.13")).unwrap();
    let whole = log::replay(&log, &mut state.clone()).unwrap();
    let end = log.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for at in 16..end {
        let mut damaged = log.clone();
        damaged[at] ^= 0x41;
        let replayed = log::replay(&damaged, &mut state.clone());
        assert!(replayed.as_ref().is_err() || replayed.unwrap() < whole, "at {at}");
        // What was not written whole was never acknowledged.
        assert!(log::replay(&log[..at], &mut state.clone()).unwrap() <= whole, "cut at {at}");
    }
}

#[test]
fn a_snapshot_that_is_not_whole_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("version-2");
    std::fs::create_dir(&folder).unwrap();
    let golden = golden().join("version-2");
    for name in ["snapshot.12", "log.13"] {
        std::fs::copy(golden.join(name), folder.join(name)).unwrap();
    }
    let bytes = std::fs::read(golden.join("snapshot.12")).unwrap();
    std::fs::write(folder.join("snapshot.15"), &bytes[..bytes.len() / 2]).unwrap();
    let loaded = load(dir.path(), None).unwrap();
    assert!(loaded.passed_over.len() == 1 && loaded.passed_over[0].contains("snapshot.15"), "{:?}", loaded.passed_over);
    assert!(loaded.state.nodes.contains_key("/app/later"));
    std::fs::remove_file(folder.join("snapshot.12")).unwrap();
    assert!(load(dir.path(), None).unwrap_err().contains("no snapshot is whole"));
    std::fs::remove_file(folder.join("snapshot.15")).unwrap();
    assert!(load(dir.path(), None).unwrap_err().contains("has no snapshot"));
}

#[test]
fn compressed_snapshots_and_logs_elsewhere_are_read() {
    let plain = load(&golden(), None).unwrap();
    let bytes = std::fs::read(golden().join("version-2/snapshot.12")).unwrap();
    let gz = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut snappy = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for part in bytes.chunks(1_000) {
        let part = snap::raw::Encoder::new().compress_vec(part).unwrap();
        snappy.extend((part.len() as u32).to_be_bytes());
        snappy.extend(part);
    }
    for (ending, file) in [("gz", gz), ("snappy", snappy)] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(format!("snapshot.12.{ending}")), file).unwrap();
        let loaded = load(dir.path(), Some(&golden())).unwrap();
        assert_eq!(loaded.state, plain.state, "{ending}");
    }
}

fn create(path: &str, parent_cversion: i32) -> Txn {
    Txn::Create { path: path.to_string(), data: None, acls: vec![OwnedAcl::open()], owner: 0, parent_cversion }
}

fn head(zxid: i64) -> Head {
    Head { session: 7, zxid, time: zxid * 10 }
}

/// A snapshot is taken while changes are made: what the log says again is harmless.
#[test]
fn changes_that_the_snapshot_has_already_are_made_once() {
    let mut state = State::default();
    let root = Node { data: None, acls: Arc::new(vec![OwnedAcl::open()]), kept: Kept::default() };
    state.nodes.insert("/".to_string(), root);
    let txns = [
        create("/a", 1),
        create("/a/b", 1),
        Txn::SetData { path: "/a".to_string(), data: Some(b"x".to_vec()), version: 1 },
        Txn::Multi(vec![create("/c", 2), Txn::Delete { path: "/a/b".to_string() }]),
        Txn::Multi(vec![Txn::Error, create("/d", 3)]),
        Txn::Error,
        Txn::CreateSession { timeout_ms: 4_000 },
        Txn::Create { path: "/e".to_string(), data: None, acls: vec![], owner: 7, parent_cversion: 3 },
    ];
    let replay = |state: &mut State| {
        for (zxid, txn) in (1..).zip(&txns) {
            state.apply(&head(zxid), txn.clone());
        }
    };
    replay(&mut state);
    let once = state.clone();
    assert_eq!(once.nodes.keys().collect::<Vec<_>>(), ["/", "/a", "/c", "/e"]);
    assert_eq!((once.nodes["/"].kept.cversion, once.nodes["/"].kept.pzxid), (3, 8));
    assert_eq!((once.nodes["/a"].kept.version, once.nodes["/a"].kept.mzxid), (1, 3));
    replay(&mut state);
    assert_eq!(state.nodes.keys().collect::<Vec<_>>(), once.nodes.keys().collect::<Vec<_>>());
    assert_eq!(state.nodes["/"].kept, once.nodes["/"].kept);
    state.apply(&head(9), Txn::CloseSession);
    assert!(!state.nodes.contains_key("/e") && state.sessions.is_empty());
    assert_eq!(state.nodes["/"].kept.pzxid, 9);
}

#[test]
fn the_checksum_is_that_of_the_rfc() {
    let sum = |bytes: &[u8]| {
        let mut sum = Adler::default();
        sum.add(bytes);
        sum.value()
    };
    assert_eq!(sum(b""), 1);
    assert_eq!(sum(b"Wikipedia"), 0x11e6_0398);
    // Sums that need reducing on the way.
    let long = vec![0xff; 1 << 20];
    let (mut a, mut b) = (1_u64, 0_u64);
    for byte in &long {
        a = (a + u64::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    assert_eq!(sum(&long), (b << 16 | a) as i64);
}
