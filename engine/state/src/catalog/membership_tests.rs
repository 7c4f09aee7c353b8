use super::*;
use crate::catalog::{Catalog, Change, Command, Defaults, Life, Node, Replicas};
use crate::config::Overrides;
use torc_base::ids::{GroupId, Index, TopicId};
use torc_base::limits::{ENTRY_BYTES_ANYWHERE, ENTRY_BYTES_MAX};
use torc_base::time::Wall;

struct Logged {
    catalog: Catalog,
    index: u64,
}

impl Logged {
    fn new() -> Logged {
        let brokers = [1, 2, 3].map(NodeId).to_vec();
        Logged { catalog: Catalog::new(Defaults { brokers, ..Defaults::default() }), index: 0 }
    }

    fn apply(&mut self, command: Command) -> Change {
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        assert_eq!(Command::decode(&bytes), Ok(command.clone()));
        self.index += 1;
        self.catalog.apply(Index(self.index), &command)
    }

    fn admit(&mut self, node: u32, disk: u128) -> Change {
        let admission = Admission { disk, address: format!("10.0.0.{node}:9192") };
        self.apply(Command::AdmitNode { node: NodeId(node), admission })
    }

    fn register(&mut self, node: u32) -> Change {
        let listeners = vec![("host".into(), 9092)];
        self.apply(Command::RegisterNode(Node {
            id: NodeId(node),
            start: 7,
            rack: None,
            listeners,
            shards: 1,
            lives: vec![],
            entry_bytes_max: ENTRY_BYTES_MAX,
        }))
    }

    fn create(&mut self, id: u128, nodes: &[u32]) -> Change {
        let row: Vec<NodeId> = nodes.iter().copied().map(NodeId).collect();
        self.apply(Command::CreateTopic {
            name: format!("t{id}"),
            id: TopicId(id),
            first_group: GroupId::FIRST_PARTITION.plus(id as u64 * 100),
            partitions: 1,
            replication: nodes.len() as i16,
            replicas: Replicas::new([&row[..]]),
            config: Overrides::new(),
            created: Wall(0),
        })
    }

    fn again(&self) -> Catalog {
        let mut bytes = Vec::new();
        self.catalog.encode(&mut bytes);
        let again = Catalog::decode(self.catalog.defaults().clone(), &mut &bytes[..]).expect("just encoded");
        assert_eq!(again.membership(), self.catalog.membership());
        again
    }
}

#[test]
fn a_server_that_is_let_in_can_have_replicas_once_it_has_registered() {
    let mut logged = Logged::new();
    assert_eq!(logged.admit(4, 40), Change::Admitted(NodeId(4)));
    assert_eq!(logged.catalog.membership().admitted(NodeId(4)).map(|admission| admission.disk), Some(40));
    assert!(!logged.catalog.members().contains(&NodeId(4)));
    assert!(matches!(logged.register(4), Change::Node(_)));
    assert!(logged.catalog.members().contains(&NodeId(4)));
    assert_eq!(logged.again().members(), logged.catalog.members());
}

#[test]
fn a_server_with_replicas_is_not_removed_and_one_that_was_gets_none() {
    let mut logged = Logged::new();
    logged.register(3);
    assert!(matches!(logged.create(1, &[3, 1]), Change::Created(_)));
    let Change::Refused(why) = logged.apply(Command::RemoveNode(NodeId(3))) else { panic!("it has a replica") };
    assert!(why.to_string().contains("still has 1 replicas"), "{why}");
    logged.apply(Command::DeleteTopic { id: TopicId(1) });
    assert_eq!(logged.apply(Command::RemoveNode(NodeId(3))), Change::Removed(NodeId(3)));
    assert!(logged.catalog.node(NodeId(3)).is_none() && !logged.catalog.members().contains(&NodeId(3)));
    assert_eq!(logged.catalog.membership().gone(NodeId(3)), Some(0), "a founder's");
    assert!(matches!(logged.create(2, &[1, 3]), Change::Refused(_)), "planned before it was removed");
    assert!(matches!(logged.register(3), Change::Refused(_)), "said before it was removed");
    assert!(matches!(logged.create(3, &[1, 2]), Change::Created(_)));
    logged.again();
}

#[test]
fn a_disk_that_was_removed_never_comes_back_and_another_one_does() {
    let mut logged = Logged::new();
    logged.admit(4, 40);
    logged.apply(Command::RemoveNode(NodeId(4)));
    assert!(matches!(logged.admit(4, 40), Change::Refused(_)));
    assert_eq!(logged.admit(4, 41), Change::Admitted(NodeId(4)));
    assert_eq!(logged.catalog.membership().gone(NodeId(4)), None);
    logged.apply(Command::RemoveNode(NodeId(4)));
    assert!(matches!(logged.admit(4, 41), Change::Refused(_)));
    // Twice is as once.
    logged.apply(Command::RemoveNode(NodeId(4)));
    assert_eq!(logged.catalog.membership().gone(NodeId(4)), Some(41));
    // A founder comes back with another disk.
    logged.apply(Command::RemoveNode(NodeId(2)));
    assert_eq!(logged.admit(2, 22), Change::Admitted(NodeId(2)));
    assert!(matches!(logged.register(2), Change::Node(_)));
    logged.again();
}

#[test]
fn a_cluster_of_founders_is_written_as_it_always_was() {
    let mut logged = Logged::new();
    logged.register(1);
    let mut bytes = Vec::new();
    logged.catalog.encode(&mut bytes);
    assert_eq!(bytes[0], 4);
    logged.admit(4, 40);
    bytes.clear();
    logged.catalog.encode(&mut bytes);
    assert_eq!(bytes[0], 5);
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let rest = &mut &bytes[..];
        if let Ok(membership) = Membership::decode(&mut Decoder::new(rest)) {
            let mut again = Vec::new();
            membership.encode(&mut again);
            assert_eq!(again, bytes[..bytes.len() - rest.len()]);
        }
    });
}

/// The lives of a node's two disks as they are known once it has said that these are theirs.
fn lives(log: &mut Logged, node: u32, start: u64, numbers: [u64; 2]) -> Vec<u64> {
    let lives = numbers.map(Life::of).to_vec();
    let (listeners, rack) = (vec![("host".into(), 9092)], None);
    let said = Node { id: NodeId(node), start, rack, listeners, shards: 2, lives, entry_bytes_max: ENTRY_BYTES_MAX };
    let Change::Node(known) = log.apply(Command::RegisterNode(said.clone())) else { panic!("it is refused") };
    assert!(known.is_as_said(&said));
    assert_eq!(**log.again().node(NodeId(node)).expect("just registered"), *known);
    known.lives.iter().map(|life| life.since.0 - GroupId::FIRST_PARTITION.0).collect()
}

#[test]
fn a_disk_is_younger_than_the_groups_that_were_made_before_the_catalog_knew_of_it() {
    let mut log = Logged::new();
    log.create(1, &[1]);
    assert_eq!(lives(&mut log, 2, 1, [7, 0]), [101, 101]);
    log.create(2, &[1]);
    // It starts again, and is as old as it was; the other one is not what it was.
    assert_eq!(lives(&mut log, 2, 2, [7, 0]), [101, 101]);
    assert_eq!(lives(&mut log, 2, 3, [7, 9]), [101, 201]);
    log.create(3, &[1]);
    assert_eq!(lives(&mut log, 2, 4, [8, 9]), [301, 201]);
    // One that comes back was away meanwhile.
    log.create(4, &[1]);
    assert_eq!(lives(&mut log, 2, 5, [7, 9]), [401, 201]);
    log.register(2);
    assert_eq!(lives(&mut log, 2, 6, [7, 9]), [401, 401]);
    // So is one of a node that was removed.
    log.apply(Command::RemoveNode(NodeId(2)));
    log.create(5, &[1]);
    log.admit(2, 50);
    assert_eq!(lives(&mut log, 2, 7, [7, 9]), [501, 501]);
}

#[test]
fn what_a_node_s_logs_take_is_kept_and_an_older_torc_reads_nodes_that_take_all() {
    let said = |entry_bytes_max| {
        let (listeners, rack) = (vec![("host".into(), 9092)], Some("r".into()));
        Node { id: NodeId(2), start: 7, rack, listeners, shards: 2, lives: vec![], entry_bytes_max }
    };
    let bytes = |node: &Node| {
        let mut bytes = Vec::new();
        node.encode(&mut bytes);
        bytes
    };
    let all = bytes(&said(ENTRY_BYTES_MAX));
    // The id, the start, and what an older torc takes for "there is a rack".
    assert_eq!(all[9], 1);
    for takes in [ENTRY_BYTES_ANYWHERE, ENTRY_BYTES_MAX - 1] {
        let (node, rest) = (said(takes), &mut &bytes(&said(takes))[..]);
        assert_eq!(Node::decode(&mut Decoder::new(rest)), Ok(node.clone()));
        assert!(rest.is_empty() && bytes(&node).len() > all.len() && !node.is_as_said(&said(ENTRY_BYTES_MAX)));
    }
    let less = bytes(&said(ENTRY_BYTES_ANYWHERE - 1));
    assert!(Node::decode(&mut Decoder::new(&mut &less[..])).is_err(), "no log is so small");
    let mut log = Logged::new();
    log.apply(Command::RegisterNode(said(1 << 20)));
    assert_eq!(log.again().node(NodeId(2)).map(|node| node.entry_bytes_max), Some(1 << 20));
}
