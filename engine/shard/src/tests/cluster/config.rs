//! `/zookeeper/config`, which tells who the servers are.

use super::rig::{Cluster, address, founders, node};
use super::znodes::{ZOOKEEPER, Zk};
use crate::tests::zookeeper::{Told, serving};
use torc_base::ids::NodeId;
use torc_net::zookeeper::{Acl, AddMode, Ask};
use torc_state::tree::authenticate;

const CONFIG: &str = "/zookeeper/config";
const DATA_CHANGED: i32 = 3;

/// Who may do everything, as access lists name it.
fn root() -> String {
    authenticate("digest", Some(b"root:secret"), "", None).expect("a scheme that there is").remove(0).id
}

/// Three founders that know each other's disks.
fn cluster() -> Cluster {
    let mut cluster = Cluster::with([1, 1, 1], |settings| {
        *settings = serving(settings);
        let zookeeper = settings.zookeeper.as_mut().expect("just set");
        zookeeper.four_letter_words = vec!["conf".into()];
        zookeeper.super_digest = Some(root());
        settings.cluster.founders = founders();
        settings.cluster.disk = u128::from(settings.node.get()) * 10;
    });
    cluster.pass(2_000);
    cluster
}

/// The lines that a node shows, and that its stat tells their length.
fn shown(cluster: &mut Cluster, zk: &mut Zk, is_watched: bool) -> Vec<String> {
    let told = zk.ask(cluster, &Ask::GetData(CONFIG, is_watched));
    let mut answer = told.answer();
    let text = String::from_utf8(answer.data().expect("data").expect("some").to_vec()).expect("text");
    let length = answer.stat().expect("a stat").data_length as usize;
    let found = zk.ask(cluster, &Ask::Exists(CONFIG, false)).answer().stat().expect("a stat");
    assert_eq!((length, found.data_length as usize), (text.len(), text.len()));
    text.lines().map(str::to_string).collect()
}

/// A line of ZooKeeper's form, as a node tells it: itself it knows by the name that others are told.
fn line(id: u32, of: NodeId) -> String {
    let host = if id == of.get() { "torc.example".to_string() } else { address(node(id)).ip().to_string() };
    format!("server.{id}={host}:9192:9192:participant")
}

#[test]
fn every_node_tells_its_clients_who_the_servers_are_and_when_they_are_others() {
    let mut cluster = cluster();
    let mut clients: Vec<(NodeId, Zk)> = (1..=3).map(|id| (node(id), Zk::new(&mut cluster, node(id)))).collect();
    for (id, zk) in &mut clients {
        let mut wanted: Vec<String> = (1..=3).map(|other| line(other, *id)).collect();
        wanted.push("version=0".to_string());
        assert_eq!(shown(&mut cluster, zk, true), wanted);
        let conn = cluster.caller(*id, 0, ZOOKEEPER);
        cluster.say(conn, b"conf");
        cluster.pass(10);
        let conf = String::from_utf8(cluster.heard(conn).0).expect("text");
        assert!(conf.contains(&line(id.get(), *id)) && conf.contains("\nquorumPort=9192\n"), "{conf}");
        assert!(
            !conf.contains(';'),
            "no client is to take the servers of which an address is known for all of them: {conf}"
        );
    }
    cluster.join_with(node(4), 1, 40, node(1), |settings| *settings = serving(settings));
    for _ in 0..3 {
        cluster.pass(2_000);
        clients.iter_mut().for_each(|(_, zk)| zk.send(&mut cluster, &Ask::Ping));
    }
    cluster.pass(100);
    for (id, zk) in &mut clients {
        let events = zk.all(&mut cluster).into_iter().filter(|told| matches!(told, Told::Event(..)));
        assert_eq!(events.collect::<Vec<_>>(), [Told::Event(DATA_CHANGED, CONFIG.into())], "node {id}");
        let lines = shown(&mut cluster, zk, false);
        assert!(lines.len() == 5 && lines[3].starts_with("server.4="), "{lines:?}");
        assert!(lines[3].contains(&address(node(4)).ip().to_string()), "where it was let in: {lines:?}");
    }
}

/// It is an event as any other.
#[test]
fn who_may_not_read_who_the_servers_are_is_not_told_that_they_are_others() {
    let mut cluster = cluster();
    let (mut admin, mut other) = (Zk::new(&mut cluster, node(1)), Zk::new(&mut cluster, node(1)));
    admin.does(&mut cluster, &Ask::Auth("digest", b"root:secret"));
    let acls = [Acl { perms: 31, scheme: "digest", id: "ann:hash" }];
    admin.does(&mut cluster, &Ask::SetAcl(CONFIG, &acls, -1));
    for zk in [&mut admin, &mut other] {
        zk.does(&mut cluster, &Ask::AddWatch(CONFIG, AddMode::Persistent));
    }
    cluster.join_with(node(4), 1, 40, node(1), |settings| *settings = serving(settings));
    for _ in 0..3 {
        cluster.pass(2_000);
        [&mut admin, &mut other].into_iter().for_each(|zk| zk.send(&mut cluster, &Ask::Ping));
    }
    cluster.pass(100);
    let mut events = |zk: &mut Zk| zk.all(&mut cluster).iter().filter(|told| matches!(told, Told::Event(..))).count();
    assert!(events(&mut admin) > 0);
    assert_eq!(events(&mut other), 0);
}
