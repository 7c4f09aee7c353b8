use crate::cluster::{Founding, Member, Members};
use crate::data_dir::{
    DataDir, DataDirError, Identity, Opened, Unformed, Wishes, cluster_id, directories_that_change, kafka_id,
    number_of_kafka_id, reserve_bytes_for, segment_bytes_for,
};
use std::fs;
use std::path::Path;

fn open(path: &Path, wishes: Wishes) -> Result<DataDir, DataDirError> {
    match DataDir::open(path, &wishes, 3, &|_| ())? {
        Opened::Ready(data) => Ok(data),
        Opened::Unformed(unformed) => panic!("{unformed:?}"),
    }
}

fn unformed(path: &Path, wishes: Wishes) -> Result<Unformed, DataDirError> {
    match DataDir::open(path, &wishes, 3, &|_| ())? {
        Opened::Ready(data) => panic!("{data:?}"),
        Opened::Unformed(unformed) => Ok(unformed),
    }
}

fn two_shards() -> Wishes {
    Wishes { shards: Some(2), node_id: Some(7), segment_bytes: Some(8 << 20), members: None, joins: false }
}

#[test]
fn a_shard_that_has_served_and_holds_no_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let logs = |data: &DataDir| [data.shard(0), data.shard(1)].map(|shard| shard.join("wal-000001"));
    let data = open(dir.path(), two_shards()).unwrap();
    let [one, other] = logs(&data);
    fs::write(&one, "a log").unwrap();
    drop(data);
    // The first start may have ended before the other shard had a file.
    let data = open(dir.path(), two_shards()).unwrap();
    fs::write(&other, "a log").unwrap();
    data.note_served().unwrap();
    drop(data);
    let data = open(dir.path(), two_shards()).unwrap();
    data.note_served().unwrap();
    drop(data);
    // Its disk is not mounted: what is there is the empty directory that it was mounted on.
    fs::remove_file(&other).unwrap();
    let refused = open(dir.path(), two_shards()).unwrap_err();
    assert!(matches!(&refused, DataDirError::ShardEmpty { path } if path.ends_with("shard-1")), "{refused:?}");
    assert!(refused.to_string().contains("mount the disk"), "{refused}");
    fs::write(&other, "a log").unwrap();
    open(dir.path(), two_shards()).unwrap();
}

#[test]
fn each_directory_that_gets_a_name_for_it_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path();
    assert_eq!(directories_that_change(top), Vec::<std::path::PathBuf>::new());
    assert_eq!(directories_that_change(&top.join("a")), [top]);
    assert_eq!(directories_that_change(&top.join("a/b/c")), [top, &top.join("a"), &top.join("a/b")]);
    fs::create_dir(top.join("a")).unwrap();
    assert_eq!(directories_that_change(&top.join("a/b")), [top.join("a")]);
    assert_eq!(directories_that_change(Path::new("never/there")), [Path::new("."), Path::new("never")]);
}

#[test]
fn the_first_start_makes_it_and_later_ones_find_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    let first = open(&path, two_shards()).unwrap();
    assert!(first.fresh);
    assert!(first.shard(0).is_dir() && first.shard(1).is_dir());
    let identity = first.identity.clone();
    assert_eq!((identity.node_id, identity.shards, identity.segment_bytes), (7, 2, 8 << 20));
    assert_eq!(identity.cluster_id.len(), 22);
    drop(first);

    let second = open(&path, Wishes::default()).unwrap();
    assert!(!second.fresh);
    assert_eq!(second.identity, identity, "what is not wished for comes from the directory");
    drop(second);
    open(&path, two_shards()).expect("the same wishes are granted");
}

#[test]
fn without_wishes_there_is_a_shard_for_each_core() {
    let dir = tempfile::tempdir().unwrap();
    let made = open(dir.path(), Wishes::default()).unwrap();
    assert_eq!((made.identity.node_id, made.identity.shards), (1, 3));
    assert!(made.identity.segment_bytes.is_power_of_two());
}

#[test]
fn what_cannot_change_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), two_shards()).unwrap());
    for (wishes, key) in [
        (Wishes { shards: Some(4), ..Wishes::default() }, "torc.shards=2"),
        (Wishes { node_id: Some(8), ..Wishes::default() }, "node.id=7"),
        (Wishes { segment_bytes: Some(16 << 20), ..Wishes::default() }, "torc.wal.segment.bytes=8MiB"),
    ] {
        let text = open(dir.path(), wishes).unwrap_err().to_string();
        assert!(text.contains(key) && text.contains("new data directory"), "{text}");
    }
}

#[test]
fn one_process_owns_it_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let owner = open(dir.path(), two_shards()).unwrap();
    let text = open(dir.path(), Wishes::default()).unwrap_err().to_string();
    assert!(text.contains(&format!("(process {})", std::process::id())), "{text}");
    drop(owner);
    open(dir.path(), Wishes::default()).unwrap();
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("meta.properties"), "version=1\n").unwrap();
    let text = open(dir.path(), Wishes::default()).unwrap_err().to_string();
    assert!(text.contains("meta.properties"), "{text}");
    assert!(!dir.path().join("torc.properties").exists());
}

#[test]
fn an_interrupted_first_start_is_done_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    fs::create_dir(dir.path().join("shard-0")).unwrap();
    fs::write(dir.path().join("torc.properties.new"), "format.ver").unwrap();
    assert!(open(dir.path(), two_shards()).unwrap().fresh);
}

#[test]
fn shards_with_data_but_no_properties_are_not_taken_for_empty() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("shard-0")).unwrap();
    fs::write(dir.path().join("shard-0/000001.wal"), "data").unwrap();
    assert!(matches!(open(dir.path(), two_shards()), Err(DataDirError::Foreign { .. })));
}

#[test]
fn a_lost_shard_is_not_replaced_by_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), two_shards()).unwrap());
    fs::remove_dir(dir.path().join("shard-1")).unwrap();
    assert!(matches!(open(dir.path(), Wishes::default()), Err(DataDirError::ShardMissing { .. })));
}

#[test]
fn damaged_properties_are_named() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), two_shards()).unwrap());
    let path = dir.path().join("torc.properties");
    let good = fs::read_to_string(&path).unwrap();
    for (from, to, part) in [
        ("torc.shards=2", "torc.shards=0", "`torc.shards` is `0`"),
        ("node.id=7\n", "", "`node.id` is missing"),
        ("segment.bytes=8388608", "segment.bytes=8388607", "power of two"),
        ("format.version=1", "format.version=4", "newer"),
    ] {
        fs::write(&path, good.replace(from, to)).unwrap();
        let text = open(dir.path(), Wishes::default()).unwrap_err().to_string();
        assert!(text.contains(part), "{from}: {text}");
    }
}

#[test]
fn sizes_fit_the_disk() {
    const MIB: u64 = 1 << 20;
    assert_eq!(segment_bytes_for(1 << 40), 64 * MIB);
    assert_eq!(segment_bytes_for(4096 * MIB), 64 * MIB);
    assert_eq!(segment_bytes_for(4095 * MIB), 32 * MIB);
    assert_eq!(segment_bytes_for(240 * MIB), 4 * MIB);
    assert_eq!(segment_bytes_for(0), 4 * MIB);
    assert_eq!(reserve_bytes_for(1 << 40), 256 * MIB);
    assert_eq!(reserve_bytes_for(256 * MIB), 8 * MIB);
}

#[test]
fn cluster_ids_are_kafkas_base64() {
    assert_eq!(kafka_id([0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(number_of_kafka_id(&cluster_id([0; 16])), Some(1), "0 is no cluster's");
    assert_eq!(cluster_id([0xff; 16]), "_____________________w");
    let bytes: [u8; 16] = std::array::from_fn(|i| i as u8);
    assert_eq!(cluster_id(bytes), "AAECAwQFBgcICQoLDA0ODw");
    assert!(!cluster_id([0xf8; 16]).starts_with('-'));
    for number in [0, 1, u128::MAX, u128::from_be_bytes(bytes)] {
        assert_eq!(number_of_kafka_id(&kafka_id(number.to_be_bytes())), Some(number));
    }
    for wrong in
        ["", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAB"]
    {
        assert_eq!(number_of_kafka_id(wrong), None, "{wrong}");
    }
}

#[test]
fn two_directories_have_two_ids() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let id = |dir: &Path| -> Identity { open(dir, two_shards()).unwrap().identity.clone() };
    assert_ne!(id(a.path()).cluster_id, id(b.path()).cluster_id);
}

fn of_cluster(list: &str) -> Wishes {
    Wishes { members: Some(Members::parse(list).unwrap()), ..two_shards() }
}

const LIST: &str = "7=a:1,8=b:1,9=c:1";

fn founding(disk: u128) -> Founding {
    Founding { cluster: 5, members: Members::parse(LIST).unwrap(), founders: [(7, disk), (8, 2), (9, 3)].into() }
}

#[test]
fn a_server_of_a_cluster_keeps_its_disks_number_and_then_the_founding() {
    let dir = tempfile::tempdir().unwrap();
    let first = unformed(dir.path(), of_cluster(LIST)).unwrap();
    let disk = first.disk;
    drop(first);
    let again = unformed(dir.path(), Wishes { node_id: None, ..of_cluster(LIST) }).unwrap();
    assert_eq!((again.disk, again.node_id), (disk, 7), "it may have been told");
    let identity = again.keep(&founding(disk), None).unwrap();
    let ready = again.ready(identity.clone());
    assert!(ready.fresh && ready.shard(1).is_dir());
    drop(ready);

    for wishes in [of_cluster(LIST), Wishes::default()] {
        let later = open(dir.path(), wishes).unwrap();
        assert_eq!(later.identity, identity);
        let membership = later.identity.membership.as_ref().unwrap();
        assert!(membership.founding.has(7, membership.disk));
    }
    let text = open(dir.path(), of_cluster("7=a:1,8=b:1")).unwrap_err().to_string();
    assert!(text.contains(LIST) && text.contains("7=a:1,8=b:1:"), "{text}");
    let other = tempfile::tempdir().unwrap();
    assert_ne!(unformed(other.path(), of_cluster(LIST)).unwrap().disk, disk);
}

#[test]
fn a_single_servers_directory_is_none_of_a_cluster_and_the_other_way_round() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), two_shards()).unwrap());
    let before = fs::read_to_string(dir.path().join("torc.properties")).unwrap();
    let text = open(dir.path(), of_cluster(LIST)).unwrap_err().to_string();
    assert!(text.contains("a single server") && text.contains("without --peers"), "{text}");
    assert_eq!(fs::read_to_string(dir.path().join("torc.properties")).unwrap(), before);
    assert!(before.contains("format.version=1\n"), "torc of before opens it: {before}");

    let dir = tempfile::tempdir().unwrap();
    drop(unformed(dir.path(), of_cluster(LIST)).unwrap());
    let text = open(dir.path(), two_shards()).unwrap_err().to_string();
    assert!(text.contains("waits for a cluster") && text.contains("--peers"), "{text}");
}

#[test]
fn a_server_that_joined_keeps_who_was_there_then() {
    let dir = tempfile::tempdir().unwrap();
    let joins = || Wishes { node_id: Some(4), joins: true, ..two_shards() };
    let text = unformed(dir.path(), Wishes { node_id: None, ..joins() }).unwrap_err().to_string();
    assert!(text.contains("--node-id"), "{text}");
    let waits = unformed(dir.path(), joins()).unwrap();
    let disk = waits.disk;
    drop(waits);
    let waits = unformed(dir.path(), joins()).unwrap();
    assert_eq!(waits.disk, disk, "it may have been let in");
    let servers = ["8=b:1", "4=10.0.0.4:9192"].map(|text| Member::parse(text).unwrap()).to_vec();
    let identity = waits.keep(&founding(1), Some(servers.clone())).unwrap();
    drop(waits);
    for wishes in [joins(), Wishes::default(), Wishes { node_id: None, ..of_cluster(LIST) }] {
        let later = open(dir.path(), wishes).unwrap();
        assert_eq!(later.identity, identity);
        let membership = later.identity.membership.as_ref().unwrap();
        assert_eq!(membership.joined, Some(servers.clone()));
        assert_eq!(membership.address(4).map(ToString::to_string).as_deref(), Some("10.0.0.4:9192"));
        assert!(!membership.founding.has(4, membership.disk));
    }
    let path = dir.path().join("torc.properties");
    let good = fs::read_to_string(&path).unwrap();
    assert!(good.contains("format.version=3\n"), "torc of before does not take it for a founder's: {good}");
    for (from, to, part) in [
        ("4=10.0.0.4:9192", "5=10.0.0.4:9192", "does not name server 4"),
        ("8=b:1,4", "8=b,4", "`torc.joined`"),
        ("torc.joined", "joined", "`torc.joined` is missing"),
    ] {
        fs::write(&path, good.replace(from, to)).unwrap();
        let text = open(dir.path(), Wishes::default()).unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    }
    // A single server's directory joins nothing.
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), two_shards()).unwrap());
    let text = open(dir.path(), Wishes { joins: true, ..two_shards() }).unwrap_err().to_string();
    assert!(text.contains("a single server"), "{text}");
}

#[test]
fn which_server_of_its_list_it_is_must_be_said() {
    for (node_id, part) in [(None, "--node-id"), (Some(6), "does not name this server, whose node.id is 6")] {
        let dir = tempfile::tempdir().unwrap();
        let text = unformed(dir.path(), Wishes { node_id, ..of_cluster(LIST) }).unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    }
    let dir = tempfile::tempdir().unwrap();
    drop(unformed(dir.path(), of_cluster(LIST)).unwrap());
    let text = unformed(dir.path(), Wishes { node_id: Some(8), ..of_cluster(LIST) }).unwrap_err().to_string();
    assert!(text.contains("node.id=7 and cannot change to 8"), "its disk may have been told as another's: {text}");
}

#[test]
fn a_damaged_founding_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let unformed = unformed(dir.path(), of_cluster(LIST)).unwrap();
    unformed.keep(&founding(unformed.disk), None).unwrap();
    drop(unformed);
    let path = dir.path().join("torc.properties");
    let good = fs::read_to_string(&path).unwrap();
    assert!(open(dir.path(), Wishes::default()).is_ok());
    for (from, to, part) in [
        ("torc.peers=7=a:1", "torc.peers=6=a:1", "not a disk of each server"),
        ("7=a:1,8=b:1,9=c:1", "7=a:1", "`torc.peers`"),
        (",8:", ",", "`torc.founders`"),
        ("torc.disk.id=", "torc.disk.id=x", "`torc.disk.id`"),
        ("torc.founders", "founders", "`torc.founders` is missing"),
        ("cluster.id=", "cluster.id=A", "`cluster.id`"),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good, "{from}");
        fs::write(&path, bad).unwrap();
        let text = open(dir.path(), Wishes::default()).unwrap_err().to_string();
        assert!(text.contains(part), "{from}: {text}");
    }
}
