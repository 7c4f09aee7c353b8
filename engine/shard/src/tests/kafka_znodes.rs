//! Kafka's metadata as ZooKeeper's clients see them.

use super::rig::{Client, Rig, settings};
use super::znode_reads::multi_read_of;
use super::znodes::{Zk, events};
use super::zookeeper::{Told, create, serving};
use crate::{Settings, ZooKeeperSettings};
use torc_net::kafka::schema::create_topics_request::CreatableTopic;
use torc_net::kafka::schema::{CreateTopicsRequest, DeleteTopicsRequest, TopicName};
use torc_net::zookeeper::{Acl, AddMode, Ask, Came, Change};

const NO_NODE: i32 = -101;
const NO_AUTH: i32 = -102;
const BAD_VERSION: i32 = -103;
const NODE_EXISTS: i32 = -110;
const INCONSISTENT: i32 = -2;

const CREATED: i32 = 1;
const DELETED: i32 = 2;
const CHILDREN_CHANGED: i32 = 4;

fn served() -> Settings {
    let settings = serving(&settings());
    let zookeeper = settings.zookeeper.clone().expect("its clients are served");
    let zookeeper = ZooKeeperSettings { kafka_chroot: Some("/kafka".to_string()), ..zookeeper };
    Settings { zookeeper: Some(zookeeper), ..settings }
}

fn topic(name: &str) -> TopicName {
    TopicName(name.to_string().into())
}

fn make(rig: &mut Rig, client: Client, name: &str, partitions: i32) {
    let wish =
        CreatableTopic::default().with_name(topic(name)).with_num_partitions(partitions).with_replication_factor(-1);
    let made = rig.ask(client, 4, &CreateTopicsRequest::default().with_topics(vec![wish]).with_timeout_ms(1_000));
    assert_eq!(made.topics[0].error_code, 0);
}

fn remove(rig: &mut Rig, client: Client, name: &str) {
    let gone =
        rig.ask(client, 1, &DeleteTopicsRequest::default().with_topic_names(vec![topic(name)]).with_timeout_ms(1_000));
    assert_eq!(gone.responses[0].error_code, 0);
}

fn text(zk: &mut Zk, rig: &mut Rig, path: &str) -> String {
    String::from_utf8(zk.ask(rig, &Ask::GetData(path, false)).data().0).unwrap()
}

#[test]
fn topics_and_brokers_stand_below_the_chroot() {
    let mut rig = Rig::with(2, &served());
    let kafka = rig.connect(1);
    make(&mut rig, kafka, "orders", 3);
    let mut zk = Zk::new(&mut rig);
    let names = zk.ask(&mut rig, &Ask::GetChildren("/", false)).names();
    assert_eq!(names, ["kafka", "zookeeper"]);
    assert_eq!(zk.ask(&mut rig, &Ask::GetChildren("/kafka/brokers", false)).names(), ["ids", "seqid", "topics"]);
    assert_eq!(zk.ask(&mut rig, &Ask::GetChildren("/kafka/brokers/topics", false)).names(), ["orders"]);
    let json = text(&mut zk, &mut rig, "/kafka/brokers/topics/orders");
    assert!(json.contains(r#""partitions":{"0":[7],"1":[7],"2":[7]}"#), "{json}");
    let json = text(&mut zk, &mut rig, "/kafka/brokers/topics/orders/partitions/2/state");
    assert!(json.contains(r#""leader":7,"#) && json.contains(r#""isr":[7]"#), "{json}");
    let json = text(&mut zk, &mut rig, "/kafka/brokers/ids/7");
    assert!(json.contains(r#""endpoints":["PLAINTEXT://"#) && !json.contains("2181"), "{json}");
    assert!(text(&mut zk, &mut rig, "/kafka/controller").contains(r#""brokerid":7"#));
    assert_eq!(zk.ask(&mut rig, &Ask::Exists("/kafka/brokers/topics/none", false)).error(), NO_NODE);
    assert_eq!(zk.ask(&mut rig, &Ask::GetAllChildrenNumber("/kafka/brokers/topics")).answer().count(), Ok(8));
    let stat =
        zk.ask(&mut rig, &Ask::Exists("/kafka/brokers/topics/orders/partitions", false)).answer().stat().unwrap();
    assert_eq!((stat.num_children, stat.ephemeral_owner), (3, 0));
    zk.does(&mut rig, &create("/elsewhere", b""));
    let told = zk.ask(&mut rig, &Ask::GetChildren("/", false));
    assert_eq!(told.names(), ["elsewhere", "kafka", "zookeeper"]);
    rig.send_bytes(zk.client(), &multi_read_of(8, &["/", "/elsewhere"]));
    rig.run();
    let Some(Told::Answer(_, 0, frame)) = zk.told(&mut rig) else { panic!("an answer") };
    assert_eq!(frame[25..29], 3i32.to_be_bytes(), "it stands in a list of reads, too");
    assert!(frame.windows(9).any(|bytes| bytes == b"\0\0\0\x05kafka"));
}

#[test]
fn who_watches_hears_of_topics_that_come_and_go() {
    let mut rig = Rig::with(2, &served());
    let kafka = rig.connect(1);
    let (mut zk, mut all) = (Zk::new(&mut rig), Zk::new(&mut rig));
    zk.does(&mut rig, &Ask::GetChildren("/kafka/brokers/topics", true));
    assert_eq!(zk.ask(&mut rig, &Ask::Exists("/kafka/brokers/topics/orders", true)).error(), NO_NODE);
    all.does(&mut rig, &Ask::AddWatch("/kafka", AddMode::Recursive));
    make(&mut rig, kafka, "orders", 1);
    rig.pass(200);
    let told = zk.all(&mut rig);
    assert_eq!(events(&told), [(CREATED, "/kafka/brokers/topics/orders"), (CHILDREN_CHANGED, "/kafka/brokers/topics")]);
    let told = all.all(&mut rig);
    for path in [
        "/kafka/config/topics/orders",
        "/kafka/brokers/topics/orders",
        "/kafka/brokers/topics/orders/partitions/0/state",
    ] {
        assert!(events(&told).contains(&(CREATED, path)), "{path}: {told:?}");
    }
    make(&mut rig, kafka, "more", 1);
    rig.pass(200);
    assert!(zk.all(&mut rig).is_empty(), "each watch was for one change");
    all.all(&mut rig);
    // Who reads hears of it before.
    zk.does(&mut rig, &Ask::GetData("/kafka/brokers/topics/orders", true));
    remove(&mut rig, kafka, "orders");
    zk.send(&mut rig, &Ask::Exists("/kafka/brokers/topics/orders", false));
    rig.run();
    let told = zk.all(&mut rig);
    assert_eq!(events(&told), [(DELETED, "/kafka/brokers/topics/orders")]);
    assert_eq!(told.last().map(|told| told.error()), Some(NO_NODE), "{told:?}");
    rig.pass(200);
    assert!(events(&all.all(&mut rig)).contains(&(DELETED, "/kafka/brokers/topics/orders")));
}

#[test]
fn nothing_can_be_written_below_the_chroot() {
    let mut rig = Rig::with(1, &served());
    let mut zk = Zk::new(&mut rig);
    for (ask, error) in [
        (create("/kafka", b""), NODE_EXISTS),
        (create("/kafka/brokers", b""), NODE_EXISTS),
        (create("/kafka/mine", b""), NO_AUTH),
        (create("/kafka/brokers/ids/9", b""), NO_AUTH),
        (Ask::SetData("/kafka/controller_epoch", b"9", -1), NO_AUTH),
        (Ask::SetData("/kafka/none", b"9", -1), NO_NODE),
        (Ask::Delete("/kafka/brokers", -1), NO_AUTH),
        (Ask::Delete("/kafka", -1), NO_AUTH),
        (Ask::Delete("/kafka/controller", 5), BAD_VERSION),
    ] {
        assert_eq!(zk.ask(&mut rig, &ask).error(), error, "{ask:?}");
    }
    // This is the only node: it stays the controller.
    zk.does(&mut rig, &Ask::Delete("/kafka/controller", -1));
    assert_eq!(zk.ask(&mut rig, &Ask::Exists("/kafka/controller", false)).error(), 0);
    let changes = [Change::Check("/", -1), Change::Delete("/kafka/brokers", -1), Change::Check("/", -1)];
    let told = zk.ask(&mut rig, &Ask::Multi(&changes));
    let mut answer = told.answer();
    for error in [0, NO_AUTH, INCONSISTENT] {
        assert_eq!(answer.came(), Ok(Some(Came::Failed(error))));
    }
    assert_eq!(zk.ask(&mut rig, &Ask::Exists("/kafka/brokers", false)).error(), 0);
    zk.does(&mut rig, &create("/kafka2", b""));
    let told = zk.ask(&mut rig, &Ask::GetAcl("/kafka/brokers"));
    let acls: Vec<(i32, String)> =
        told.answer().acls().unwrap().map(|Acl { perms, id, .. }| (perms, id.to_string())).collect();
    assert_eq!(acls, [(1, "anyone".to_string())]);
}

/// What came of each operation of a multi: an error, or 0.
fn came(zk: &mut Zk, rig: &mut Rig, changes: &[Change<'_>]) -> Vec<i32> {
    let told = zk.ask(rig, &Ask::Multi(changes));
    let mut answer = told.answer();
    let results = std::iter::from_fn(|| answer.came().expect("a result"));
    results.map(|came| if let Came::Failed(error) = came { error } else { 0 }).collect()
}

#[test]
fn a_multi_may_ask_for_versions_below_the_chroot() {
    let mut rig = Rig::with(2, &served());
    let kafka = rig.connect(1);
    make(&mut rig, kafka, "orders", 1);
    let mut zk = Zk::new(&mut rig);
    zk.does(&mut rig, &create("/a", b""));
    let orders = "/kafka/brokers/topics/orders";
    let version = zk.ask(&mut rig, &Ask::Exists(orders, false)).answer().stat().unwrap().version;
    let write = |version| [Change::Check(orders, version), Change::SetData("/a", b"x", -1), Change::Check("/a", -1)];
    assert_eq!(came(&mut zk, &mut rig, &write(version)), [0, 0, 0]);
    assert_eq!(zk.ask(&mut rig, &Ask::GetData("/a", false)).data(), (b"x".to_vec(), 1), "the rest is done");
    assert_eq!(came(&mut zk, &mut rig, &write(-1)), [0, 0, 0]);
    assert_eq!(came(&mut zk, &mut rig, &write(version + 1)), [BAD_VERSION, INCONSISTENT, INCONSISTENT]);
    let none = [Change::SetData("/a", b"y", -1), Change::Check("/kafka/none", -1)];
    assert_eq!(came(&mut zk, &mut rig, &none), [0, NO_NODE]);
    // The first that fails counts, wherever it is.
    let first = [Change::Delete("/none", -1), Change::Delete(orders, -1), Change::Check(orders, version)];
    assert_eq!(came(&mut zk, &mut rig, &first), [NO_NODE, INCONSISTENT, INCONSISTENT]);
    assert_eq!(zk.ask(&mut rig, &Ask::GetData("/a", false)).data().1, 2, "of what failed nothing is done");
}

#[test]
fn a_znode_that_somebody_has_made_comes_first() {
    let plain = serving(&settings());
    let mut rig = Rig::with(1, &plain);
    let mut zk = Zk::new(&mut rig);
    zk.does(&mut rig, &create("/kafka", b"mine"));
    let mut rig = rig.restart(&served());
    let mut zk = Zk::new(&mut rig);
    assert_eq!(text(&mut zk, &mut rig, "/kafka"), "mine");
    zk.does(&mut rig, &create("/kafka/brokers", b"too"));
    assert_eq!(zk.ask(&mut rig, &Ask::GetChildren("/kafka", false)).names(), ["brokers"]);
}
