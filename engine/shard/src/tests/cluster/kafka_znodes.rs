//! Kafka's metadata as clients of ZooKeeper see them on three nodes.

use super::rig::{Cluster, node};
use super::znodes::Zk;
use crate::tests::zookeeper::{Told, serving};
use torc_base::ids::{GroupId, NodeId};
use torc_net::zookeeper::Ask;

const DELETED: i32 = 2;

fn cluster() -> Cluster {
    let mut cluster = Cluster::with([1, 2, 1], |settings| {
        *settings = serving(settings);
        settings.zookeeper.as_mut().expect("its clients are served").kafka_chroot = Some("/kafka".to_string());
    });
    cluster.pass(1_000);
    cluster.leader(GroupId::TREE);
    cluster.pass(500);
    cluster
}

fn controller(zk: &mut Zk, cluster: &mut Cluster) -> String {
    String::from_utf8(zk.ask(cluster, &Ask::GetData("/kafka/controller", true)).data().0).unwrap()
}

#[test]
fn who_deletes_the_controller_on_any_node_moves_it() {
    let mut cluster = cluster();
    for via in 1..=3 {
        let before = cluster.leader(GroupId::CATALOG);
        let mut zk = Zk::new(&mut cluster, node(via));
        assert!(controller(&mut zk, &mut cluster).contains(&format!("\"brokerid\":{before},")));
        zk.send(&mut cluster, &Ask::Delete("/kafka/controller", -1));
        cluster.pass(3_000);
        let after: NodeId = cluster.leader(GroupId::CATALOG);
        assert_ne!(after, before, "through node {via}");
        let told = zk.all(&mut cluster);
        let answers: Vec<i32> = told
            .iter()
            .filter_map(|told| if let Told::Answer(_, error, _) = told { Some(*error) } else { None })
            .collect();
        assert_eq!(answers, [0], "{told:?}");
        // The watch was for one change: the controller that there was is gone.
        let events: Vec<&Told> = told.iter().filter(|told| matches!(told, Told::Event(..))).collect();
        assert_eq!(events, [&Told::Event(DELETED, "/kafka/controller".into())]);
        assert!(controller(&mut zk, &mut cluster).contains(&format!("\"brokerid\":{after},")));
    }
    let mut zk = Zk::new(&mut cluster, node(1));
    assert_eq!(zk.ask(&mut cluster, &Ask::GetChildren("/kafka/brokers/ids", false)).names(), ["1", "2", "3"]);
}
