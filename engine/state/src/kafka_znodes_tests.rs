use super::*;
use crate::catalog::{Catalog, Command, Defaults, NewTopic};
use crate::tree::EventKind;
use std::collections::BTreeSet;
use torc_base::ids::{Index, TopicId};
use torc_base::limits::ENTRY_BYTES_MAX;
use torc_base::prng::Prng;

/// A catalog, and what nodes know besides.
struct World {
    catalog: Catalog,
    applied: u64,
    ids: u128,
    topics: BTreeMap<Arc<str>, Arc<Topic>>,
    brokers: BTreeMap<NodeId, Arc<Node>>,
    leaders: BTreeMap<GroupId, Leader>,
    behind: BTreeSet<(GroupId, NodeId)>,
    controller: Option<NodeId>,
    epoch: u64,
}

impl World {
    fn new() -> World {
        let defaults = Defaults { brokers: (1..=3).map(NodeId).collect(), ..Defaults::default() };
        World {
            catalog: Catalog::new(defaults),
            applied: 0,
            ids: 0,
            topics: BTreeMap::new(),
            brokers: BTreeMap::new(),
            leaders: BTreeMap::new(),
            behind: BTreeSet::new(),
            controller: None,
            epoch: 0,
        }
    }

    fn apply(&mut self, command: &Command) {
        self.applied += 1;
        let change = self.catalog.apply(Index(self.applied), command);
        assert!(!format!("{change:?}").starts_with("Refused"), "{change:?}");
        self.topics = self.catalog.topics().map(|topic| (Arc::clone(&topic.name), Arc::clone(topic))).collect();
        let groups: BTreeSet<GroupId> = self.topics.values().flat_map(|topic| topic.partitions.iter()).collect();
        self.leaders.retain(|group, _| groups.contains(group));
    }

    fn create(&mut self, name: &str, partitions: i32) {
        self.ids += 1;
        let wish = NewTopic {
            name: name.into(),
            id: TopicId(0x0123_4567_89ab_cdef_0011_2233_4455_6600 + self.ids),
            partitions,
            replication: 2,
            assignments: Vec::new(),
            config: Overrides::new(),
            created: Wall(1_700_000_000_000),
        };
        self.catalog.begin_plans(&BTreeSet::new());
        let command = self.catalog.plan_create(wish).unwrap();
        self.apply(&command);
    }

    fn come(&mut self, id: u32, rack: Option<&str>) {
        let listeners = vec![(format!("h{id}"), 9092), ("fe80::1".to_string(), 19_092)];
        let start = 0xabcd_0000_0000_0000 + (u64::from(id) << 32);
        let node = Node {
            id: NodeId(id),
            start,
            rack: rack.map(str::to_string),
            listeners,
            shards: 1,
            lives: vec![],
            entry_bytes_max: ENTRY_BYTES_MAX,
        };
        self.brokers.insert(NodeId(id), Arc::new(node));
    }

    fn lead(&mut self, topic: &str, partition: u32, node: u32, epoch: i32) -> GroupId {
        let group = self.topics[topic].partitions.get(partition).unwrap();
        self.leaders.insert(group, (NodeId(node), LeaderEpoch(epoch)));
        group
    }

    fn with<T>(&self, look: impl FnOnce(&Metadata<'_>) -> T) -> T {
        look(&Metadata {
            cluster_id: "Q2x1c3Rlci1pZC1vZi10b3",
            topics: &self.topics,
            groups: &|| {
                self.catalog.group_configs().map(|(group, config)| (Arc::clone(group), Arc::clone(config))).collect()
            },
            brokers: &self.brokers,
            here: NodeId(1),
            leader: &|group| self.leaders.get(&group).copied(),
            is_behind: &|group, node| self.behind.contains(&(group, node)),
            controller: self.controller,
            controller_epoch: self.epoch,
            zxid: Zxid(42),
        })
    }

    /// Data as text; panics if there is no such znode or it has none.
    fn data(&self, path: &str) -> String {
        let (data, stat) = self.with(|metadata| metadata.find(path)).unwrap_or_else(|| panic!("no {path}"));
        let data = data.unwrap_or_else(|| panic!("{path} has no data"));
        assert_eq!(stat.data_length as usize, data.len(), "{path}");
        String::from_utf8(data).unwrap()
    }

    fn children(&self, path: &str) -> Vec<String> {
        let (names, stat) = self.with(|metadata| metadata.children(path)).unwrap_or_else(|| panic!("no {path}"));
        assert_eq!(stat.num_children as usize, names.len(), "{path}");
        names
    }

    /// Every znode by its path: data and children.
    fn walk(&self) -> BTreeMap<String, (Option<Vec<u8>>, Vec<String>)> {
        let (mut all, mut open) = (BTreeMap::new(), vec!["/".to_string()]);
        while let Some(path) = open.pop() {
            let names = self.children(&path);
            let (data, _) = self.with(|metadata| metadata.find(&path)).unwrap();
            let parent = path.trim_end_matches('/');
            open.extend(names.iter().map(|name| format!("{parent}/{name}")));
            all.insert(path, (data, names));
        }
        all
    }
}

fn of_three() -> World {
    let mut world = World::new();
    (1..=3).for_each(|id| world.come(id, (id == 1).then_some("a\"b\\\n")));
    world.create("orders", 3);
    world.lead("orders", 0, 2, 7);
    (world.controller, world.epoch) = (Some(NodeId(3)), 5);
    world
}

#[test]
fn znodes_have_the_json_that_kafka_wrote() {
    let world = of_three();
    assert_eq!(
        world.data("/brokers/ids/1"),
        r#"{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT","PLAINTEXT_1":"PLAINTEXT"},"endpoints":["PLAINTEXT://h1:9092","PLAINTEXT_1://[fe80::1]:19092"],"rack":"a\"b\\\u000a","jmx_port":-1,"port":9092,"host":"h1","version":5,"timestamp":"-1"}"#
    );
    assert!(!world.data("/brokers/ids/2").contains("rack"));
    let replicas: Vec<String> = world.topics["orders"]
        .replicas
        .iter()
        .enumerate()
        .map(|(at, row)| format!("\"{at}\":[{},{}]", row[0], row[1]))
        .collect();
    assert_eq!(
        world.data("/brokers/topics/orders"),
        format!(
            "{{\"removing_replicas\":{{}},\"partitions\":{{{}}},\"topic_id\":\"ASNFZ4mrze8AESIzRFVmAQ\",\
             \"adding_replicas\":{{}},\"version\":3}}",
            replicas.join(",")
        )
    );
    let row = world.topics["orders"].replicas.get(0).to_vec();
    assert_eq!(
        world.data("/brokers/topics/orders/partitions/0/state"),
        format!(
            "{{\"controller_epoch\":5,\"leader\":2,\"version\":1,\"leader_epoch\":7,\"isr\":[{},{}]}}",
            row[0], row[1]
        )
    );
    assert_eq!(world.data("/controller"), r#"{"version":2,"brokerid":3,"timestamp":"-1","kraftControllerEpoch":-1}"#);
    assert_eq!(world.data("/controller_epoch"), "5");
    assert_eq!(world.data("/cluster/id"), r#"{"version":"1","id":"Q2x1c3Rlci1pZC1vZi10b3"}"#);
    assert_eq!(world.data("/config/topics/orders"), r#"{"version":1,"config":{}}"#);
    assert_eq!(world.data("/config/brokers/2"), r#"{"version":1,"config":{}}"#);
    assert_eq!(world.data("/feature"), r#"{"features":{},"version":2,"status":1}"#);
}

#[test]
fn settings_stand_under_their_topics_and_groups() {
    let mut world = of_three();
    let config = Overrides::from([("retention.ms".to_string(), "5".to_string())]);
    let id = world.topics["orders"].id;
    world.apply(&Command::SetConfig { id, config: config.clone() });
    assert_eq!(world.data("/config/topics/orders"), r#"{"version":1,"config":{"retention.ms":"5"}}"#);
    let config = Overrides::from([("consumer.session.timeout.ms".to_string(), "50000".to_string())]);
    world.apply(&Command::SetGroupConfig { group: "g".to_string(), config });
    assert_eq!(world.children("/config/groups"), ["g"]);
    assert_eq!(world.data("/config/groups/g"), r#"{"version":1,"config":{"consumer.session.timeout.ms":"50000"}}"#);
}

#[test]
fn a_node_alone_has_all_of_its_topics() {
    let mut world = World::new();
    world.catalog = Catalog::new(Defaults::default());
    world.ids += 1;
    let wish = NewTopic {
        name: "t".into(),
        id: TopicId(1),
        partitions: 1,
        replication: -1,
        assignments: Vec::new(),
        config: Overrides::new(),
        created: Wall(5),
    };
    let command = world.catalog.plan_create(wish).unwrap();
    world.apply(&command);
    world.lead("t", 0, 1, 0);
    assert!(world.data("/brokers/topics/t").contains(r#""partitions":{"0":[1]}"#));
    assert!(
        world
            .data("/brokers/topics/t/partitions/0/state")
            .contains(r#""leader":1,"version":1,"leader_epoch":0,"isr":[1]"#)
    );
}

#[test]
fn there_is_what_is_listed_and_nothing_else() {
    let mut world = of_three();
    assert_eq!(
        world.children("/"),
        [
            "admin",
            "brokers",
            "cluster",
            "config",
            "consumers",
            "controller",
            "controller_epoch",
            "feature",
            "isr_change_notification",
            "latest_producer_id_block",
            "log_dir_event_notification"
        ]
    );
    assert_eq!(world.children("/brokers/topics/orders/partitions"), ["0", "1", "2"]);
    assert_eq!(world.children("/brokers/topics/orders/partitions/0"), ["state"]);
    assert_eq!(world.children("/brokers/topics/orders/partitions/1"), Vec::<String>::new(), "it has no leader");
    for path in [
        "",
        "brokers",
        "//",
        "/brokers/",
        "/brokers/ids/4",
        "/brokers/ids/01",
        "/brokers/ids/1/x",
        "/brokers/topics/none",
        "/brokers/topics/orders/partition",
        "/brokers/topics/orders/partitions/3",
        "/brokers/topics/orders/partitions/+1",
        "/brokers/topics/orders/partitions/1/state",
        "/brokers/topics/orders/partitions/0/state/x",
        "/brokers/topics/orders/partitions/0/stat",
        "/config/nope",
        "/config/topics/none",
        "/config/topics/orders/x",
        "/config/clients/x",
        "/controller/x",
        "/admin/delete_topics/orders",
        "/nope",
    ] {
        assert!(world.with(|metadata| metadata.find(path).is_none() && metadata.children(path).is_none()), "{path}");
    }
    world.controller = None;
    assert!(world.with(|metadata| metadata.find(CONTROLLER).is_none()));
    assert!(!world.children("/").contains(&"controller".to_string()));
}

#[test]
fn stats_tell_brokers_and_the_controller_from_what_stays() {
    let world = of_three();
    let stat = |path: &str| world.with(|metadata| metadata.find(path)).unwrap().1;
    assert_ne!(stat("/brokers/ids/1").ephemeral_owner, SessionId::NONE);
    assert_ne!(stat("/brokers/ids/1").ephemeral_owner, stat("/brokers/ids/2").ephemeral_owner);
    assert_eq!(stat("/controller").ephemeral_owner, stat("/brokers/ids/3").ephemeral_owner);
    assert_eq!(stat("/brokers/topics/orders").ephemeral_owner, SessionId::NONE);
    assert_eq!(stat("/brokers/topics/orders/partitions/0/state").version, 7);
    assert_eq!(stat("/controller_epoch").version, 5);
    assert_eq!((stat("/brokers").mzxid, stat("/brokers").pzxid), (Zxid(42), Zxid(42)));
    assert_eq!(stat("/brokers/topics/orders").ctime, Wall(1_700_000_000_000));
}

#[test]
fn paths_are_taken_off_the_chroot_and_put_back() {
    for (path, expected) in [
        ("/kafka", Some("/")),
        ("/kafka/brokers", Some("/brokers")),
        ("/kafka2", None),
        ("/", None),
        ("/kafk", None),
        ("/x/kafka", None),
    ] {
        assert_eq!(below("/kafka", path), expected, "{path}");
        if let Some(inner) = expected {
            assert_eq!(above("/kafka", inner), path);
        }
    }
    for (chroot, path, expected) in [
        ("/kafka", "/", Some("kafka")),
        ("/a/b", "/", Some("a")),
        ("/a/b", "/a", Some("b")),
        ("/a/b", "/a/b", None),
        ("/ab", "/a", None),
        ("/kafka", "/other", None),
    ] {
        assert_eq!(child_of_parent(chroot, path), expected, "{chroot} {path}");
    }
}

/// What two walks say has changed.
fn differences(was: &World, is: &World) -> BTreeSet<(EventKind, String)> {
    let (was, is) = (was.walk(), is.walk());
    let mut all = BTreeSet::new();
    for (path, (data, names)) in &was {
        match is.get(path) {
            None => drop(all.insert((EventKind::Deleted, path.clone()))),
            Some((new_data, new_names)) => {
                if data != new_data {
                    all.insert((EventKind::DataChanged, path.clone()));
                }
                if names != new_names {
                    all.insert((EventKind::ChildrenChanged, path.clone()));
                }
            }
        }
    }
    all.extend(is.keys().filter(|path| !was.contains_key(*path)).map(|path| (EventKind::Created, path.clone())));
    all
}

/// News, without those of children of znodes that came or went themselves.
fn told(was: &World, is: &World) -> BTreeSet<(EventKind, String)> {
    let news = was.with(Shown::of).news(&is.with(Shown::of));
    let (old, new) = (was.walk(), is.walk());
    let stays = |path: &String| old.contains_key(path) && new.contains_key(path);
    news.into_iter().filter(|(kind, path)| *kind != EventKind::ChildrenChanged || stays(path)).collect()
}

impl Clone for World {
    fn clone(&self) -> World {
        let mut bytes = Vec::new();
        self.catalog.encode(&mut bytes);
        World {
            catalog: Catalog::decode(self.catalog.defaults().clone(), &mut &bytes[..]).unwrap(),
            applied: self.applied,
            ids: self.ids,
            topics: self.topics.clone(),
            brokers: self.brokers.clone(),
            leaders: self.leaders.clone(),
            behind: self.behind.clone(),
            controller: self.controller,
            epoch: self.epoch,
        }
    }
}

#[test]
fn who_watches_hears_of_each_change_and_of_nothing_else() {
    let seed = 0x0a11_ce55;
    let mut prng = Prng::new(seed);
    let mut world = of_three();
    for step in 0..300 {
        let before = world.clone();
        let names: Vec<Arc<str>> = world.topics.keys().cloned().collect();
        let name = names.get(prng.below(names.len().max(1) as u64) as usize).cloned();
        match (prng.below(10), name) {
            (0, _) if names.len() < 6 => world.create(&format!("t{step}"), 1 + prng.below(3) as i32),
            (1, Some(name)) if names.len() > 2 => {
                let id = world.topics[&name].id;
                world.apply(&Command::DeleteTopic { id });
            }
            (2, Some(name)) => {
                let value = prng.below(3).to_string();
                let config = Overrides::from([("retention.ms".to_string(), value)]);
                let id = world.topics[&name].id;
                world.apply(&Command::SetConfig { id, config });
            }
            (3, _) => {
                let id = 1 + prng.below(3) as u32;
                if world.brokers.remove(&NodeId(id)).is_none() {
                    world.come(id, None);
                }
            }
            (4, _) => {
                world.controller = Some(NodeId(prng.below(4) as u32)).filter(|node| node.0 > 0);
                world.epoch += prng.below(2);
            }
            (5, Some(name)) => {
                let group = world.topics[&name].partitions.get(0).unwrap();
                world.leaders.remove(&group);
            }
            (6, Some(name)) => {
                let group = world.topics[&name].partitions.get(0).unwrap();
                let replica = world.topics[&name].replicas.get(0)[0];
                if !world.behind.remove(&(group, replica)) {
                    world.behind.insert((group, replica));
                }
            }
            (7, _) => {
                let config = match prng.below(2) {
                    0 => Overrides::new(),
                    _ => Overrides::from([("consumer.session.timeout.ms".to_string(), "50000".to_string())]),
                };
                world.apply(&Command::SetGroupConfig { group: "g".to_string(), config });
            }
            (_, Some(name)) => {
                let partition = prng.below(u64::from(world.topics[&name].partitions.len())) as u32;
                let (node, epoch) = (1 + prng.below(3) as u32, prng.below(4) as i32);
                world.lead(&name, partition, node, epoch);
            }
            _ => {}
        }
        let mut expected = differences(&before, &world);
        // A broker that becomes the controller makes the znode anew.
        if expected.remove(&(EventKind::DataChanged, CONTROLLER.to_string())) {
            expected.extend([EventKind::Deleted, EventKind::Created].map(|kind| (kind, CONTROLLER.to_string())));
            expected.insert((EventKind::ChildrenChanged, "/".to_string()));
        }
        // All states name the controller's epoch of now; those who watch them are not told of that.
        if before.epoch != world.epoch {
            expected.retain(|(kind, path)| *kind != EventKind::DataChanged || !path.ends_with("/state"));
        }
        assert_eq!(told(&before, &world), expected, "step {step} of seed {seed}");
    }
}

#[test]
fn a_topic_that_takes_the_name_of_another_goes_and_comes() {
    let was = of_three();
    let mut is = was.clone();
    let id = is.topics["orders"].id;
    is.apply(&Command::DeleteTopic { id });
    is.create("orders", 1);
    let news = was.with(Shown::of).news(&is.with(Shown::of));
    let of_topic: Vec<EventKind> =
        news.iter().filter(|(_, path)| path == "/brokers/topics/orders").map(|(kind, _)| *kind).collect();
    assert_eq!(of_topic.first().zip(of_topic.last()), Some((&EventKind::ChildrenChanged, &EventKind::ChildrenChanged)));
    let (gone, come) = (EventKind::Deleted, EventKind::Created);
    assert!(of_topic.iter().position(|kind| *kind == gone) < of_topic.iter().position(|kind| *kind == come));
    assert!(news.iter().all(|(kind, _)| *kind != EventKind::DataChanged), "{news:?}");
}
