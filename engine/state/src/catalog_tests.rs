use super::*;
use crate::config::Alter;
use crate::coordinator::CoordinatorSettings;
use crate::retention::Limits;
use torc_base::limits::{ENTRY_BYTES_MAX, GROUP_CONFIGS_MAX, PARTITIONS_MAX, TOPIC_PARTITIONS_MAX};
use torc_base::prng::Prng;
use torc_base::time::Wall;

const SESSION: &str = "consumer.session.timeout.ms";

fn wish(name: &str, id: u128, partitions: i32) -> NewTopic {
    NewTopic {
        name: name.into(),
        id: TopicId(id),
        partitions,
        replication: -1,
        assignments: Vec::new(),
        config: Overrides::new(),
        created: Wall(7),
    }
}

fn a_node(id: u32, start: u64, rack: Option<&str>) -> Node {
    let listeners = vec![(format!("node{id}.example"), 9092), ("inside".into(), 19_092)];
    Node {
        id: NodeId(id),
        start,
        rack: rack.map(str::to_owned),
        listeners,
        shards: 2,
        lives: vec![],
        entry_bytes_max: ENTRY_BYTES_MAX,
    }
}

/// Of a cluster with these nodes, some of which may be registered later.
fn cluster(nodes: &[u32]) -> Defaults {
    Defaults { brokers: nodes.iter().copied().map(NodeId).collect(), ..Defaults::default() }
}

/// A catalog and the log behind it.
struct Logged {
    catalog: Catalog,
    log: Vec<Command>,
}

impl Logged {
    fn new() -> Logged {
        Logged::of(Defaults::default())
    }

    fn of(defaults: Defaults) -> Logged {
        Logged { catalog: Catalog::new(defaults), log: Vec::new() }
    }

    fn apply(&mut self, command: Command) -> Change {
        // What goes through the log is encoded.
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        assert_eq!(Command::decode(&bytes), Ok(command.clone()));
        self.log.push(command);
        self.catalog.apply(Index(self.log.len() as u64), self.log.last().expect("just pushed"))
    }

    fn create(&mut self, name: &str, id: u128, partitions: i32) -> Arc<Topic> {
        let command = self.catalog.plan_create(wish(name, id, partitions)).unwrap_or_else(|e| panic!("{e}"));
        match self.apply(command) {
            Change::Created(topic) => topic,
            other => panic!("{other:?}"),
        }
    }
}

fn encoded(catalog: &Catalog) -> Vec<u8> {
    let mut out = Vec::new();
    catalog.encode(&mut out);
    out
}

fn groups(topic: &Topic) -> Vec<u64> {
    topic.partitions.iter().map(GroupId::get).collect()
}

#[test]
fn a_topic_is_found_by_name_id_and_group() {
    let mut logged = Logged::new();
    let a = logged.create("a", 1, 3);
    let b = logged.create("b", 2, -1);
    assert_eq!((groups(&a), groups(&b)), (vec![1025, 1026, 1027], vec![1028]));
    let catalog = &logged.catalog;
    assert_eq!(catalog.topic("a"), Some(&a));
    assert_eq!(catalog.topic_by_id(TopicId(2)), Some(&b));
    assert_eq!(catalog.partition_of(GroupId(1026)), Some((&a, 1)));
    assert_eq!(catalog.partition_of(GroupId(1028)), Some((&b, 0)));
    assert_eq!([1, 1024, 1029].map(|g| catalog.partition_of(GroupId(g))), [None; 3]);
    assert_eq!((a.partitions.get(2), a.partitions.get(3)), (Some(GroupId(1027)), None));
    assert_eq!(catalog.partitions(), 4);
}

#[test]
fn names_follow_kafkas_rules() {
    let long = "x".repeat(249);
    for name in ["a", "a.b_c-D9", "...", "__consumer_offsets", &long] {
        assert_eq!(check_name(name), Ok(()), "{name}");
    }
    let longer = "x".repeat(250);
    for name in ["", ".", "..", "a b", "a/b", "ä", "a\0", &longer] {
        assert_eq!(check_name(name).expect_err("no name").code(), 17, "{name}");
    }
}

#[test]
fn a_wish_that_cannot_be_granted_gets_kafkas_error() {
    let mut logged = Logged::new();
    logged.create("a.b", 1, 1);
    let mut code = |new: NewTopic| logged.catalog.plan_create(new).map_err(|e| e.code());
    assert_eq!(code(wish("a.b", 2, 1)), Err(36));
    assert_eq!(code(wish("a_b", 2, 1)), Err(17), "alike");
    assert!(code(wish("a-b", 2, 1)).is_ok());
    assert_eq!(code(wish("c", 2, 0)), Err(37));
    assert_eq!(code(wish("c", 2, -2)), Err(37));
    assert_eq!(code(wish("c", 2, 100_001)), Err(37));
    assert_eq!(code(NewTopic { replication: 0, ..wish("c", 2, 1) }), Err(38));
    assert_eq!(code(NewTopic { replication: 3, ..wish("c", 2, 1) }), Err(38));
    assert!(code(NewTopic { replication: 1, ..wish("c", 2, 1) }).is_ok());
    let config = [("cleanup.policy".to_string(), "compress".to_string())].into();
    assert_eq!(code(NewTopic { config, ..wish("c", 2, 1) }), Err(40));
    assert_eq!(code(wish("c", 1, 1)), Err(42), "the id is taken");
    assert_eq!(code(wish("c", 0, 1)), Err(42), "no id");
    let catalog = &mut logged.catalog;
    assert_eq!(catalog.plan_delete("nope").map_err(|e| e.code()), Err(3));
    assert_eq!(catalog.plan_partitions("nope", 2, None).map_err(|e| e.code()), Err(3));
    assert_eq!(catalog.plan_partitions("a.b", 1, None).map_err(|e| e.code()), Err(37));
    assert_eq!(catalog.plan_partitions("a.b", -1, None).map_err(|e| e.code()), Err(37));
    assert_eq!(catalog.plan_alter("nope", &[]).map_err(|e| e.code()), Err(3));
}

#[test]
fn the_servers_own_topics_are_compacted_and_stay() {
    let mut logged = Logged::new();
    const NAME: &str = "__consumer_offsets";
    assert_eq!(logged.catalog.plan_create(wish(NAME, 1, 1)).map_err(|e| e.code()), Err(42), "not for clients");
    let plan = logged.catalog.plan_internal(NAME, TopicId(9), 50, 3, Wall(0)).expect("it is not there yet");
    let Change::Created(topic) = logged.apply(plan) else { panic!("refused") };
    assert_eq!((topic.partitions.len(), topic.replication), (50, 1), "as many copies as there are nodes");
    assert_eq!(topic.overrides["cleanup.policy"], "compact");
    assert_eq!(topic.config.retention(), Limits { ms: -1, bytes: -1 }, "nothing goes by age or size");
    let inside: Vec<bool> = [0, 1, 50].map(|n| topic.partitions.contains(GroupId(groups(&topic)[0] + n))).into();
    assert_eq!(inside, [true, true, false]);
    let catalog = &mut logged.catalog;
    assert!(matches!(catalog.plan_internal(NAME, TopicId(10), 50, 1, Wall(0)), Err(CatalogError::TopicExists(_))));
    assert_eq!(catalog.plan_delete(NAME).map_err(|e| e.code()), Err(17));
    assert_eq!(catalog.plan_partitions(NAME, 51, None).map_err(|e| e.code()), Err(17));
    let set = |key: &str, value: &str| [(key.to_string(), Alter::Set(value.to_string()))];
    assert_eq!(catalog.plan_alter(NAME, &set("cleanup.policy", "delete")).map_err(|e| e.code()), Err(42));
    let plan = catalog.plan_alter(NAME, &set("max.message.bytes", "2000000")).expect("other settings can be altered");
    let Change::Configured(topic) = logged.apply(plan) else { panic!("refused") };
    assert_eq!((&*topic.overrides["cleanup.policy"], topic.config.max_message_bytes), ("compact", 2_000_000));
    // A checkpoint has it, too.
    let mut bytes = Vec::new();
    logged.catalog.encode(&mut bytes);
    let decoded = Catalog::decode(logged.catalog.defaults().clone(), &mut &bytes[..]).expect("sound");
    assert_eq!(decoded.topic(NAME), Some(&topic));
}

#[test]
fn of_two_plans_under_way_the_first_in_the_log_wins() {
    let mut logged = Logged::new();
    let first = logged.catalog.plan_create(wish("a", 1, 2)).expect("free");
    let second = logged.catalog.plan_create(wish("a", 2, 2)).expect("still free");
    let third = logged.catalog.plan_create(wish("b", 3, 2)).expect("free");
    let Change::Created(a) = logged.apply(first) else { panic!("refused") };
    assert_eq!(logged.apply(second), Change::Refused(CatalogError::TopicExists("a".into())));
    let Change::Created(b) = logged.apply(third) else { panic!("refused") };
    assert_eq!((groups(&a), groups(&b)), (vec![1025, 1026], vec![1029, 1030]), "no group is given twice");

    let to_five = logged.catalog.plan_partitions("a", 5, None).expect("more");
    let to_four = logged.catalog.plan_partitions("a", 4, None).expect("more");
    let to_seven = logged.catalog.plan_partitions("a", 7, None).expect("more");
    assert!(matches!(logged.apply(to_five), Change::Grown { from: 2, .. }));
    assert!(matches!(logged.apply(to_four), Change::Refused(CatalogError::InvalidPartitions(_))));
    let Change::Grown { topic, from: 5 } = logged.apply(to_seven) else { panic!("refused") };
    assert_eq!(groups(&topic), [1025, 1026, 1031, 1032, 1033, 1036, 1037]);
    for (partition, group) in topic.partitions.iter().enumerate() {
        assert_eq!(logged.catalog.partition_of(group), Some((&topic, partition as u32)));
    }
    assert_eq!(logged.catalog.partition_of(GroupId(1034)), None);
    let gone = logged.catalog.plan_delete("a").expect("there");
    assert_eq!(logged.apply(gone.clone()), Change::Deleted(topic));
    assert_eq!(logged.apply(gone), Change::Refused(CatalogError::UnknownTopicId(TopicId(1))));
    assert_eq!(logged.catalog.partitions(), 2);
}

#[test]
fn a_deleted_name_is_free_for_another_topic_with_other_groups() {
    let mut logged = Logged::new();
    let before = logged.create("a.b", 1, 2);
    let command = logged.catalog.plan_delete("a.b").expect("there");
    logged.apply(command);
    assert_eq!(logged.catalog.partition_of(GroupId(1025)), None);
    let after = logged.create("a_b", 2, 2);
    assert!(groups(&before).iter().all(|group| !groups(&after).contains(group)));
}

#[test]
fn settings_change_and_the_rest_stays() {
    let mut logged = Logged::new();
    logged.create("a", 1, 1);
    let set = |key: &str, value: &str| (key.to_string(), Alter::Set(value.into()));
    let command = logged.catalog.plan_alter("a", &[set("retention.ms", "5"), set("retention.bytes", "6")]);
    let Change::Configured(topic) = logged.apply(command.expect("allowed")) else { panic!("refused") };
    assert_eq!((topic.config.retention_ms, topic.config.retention_bytes), (5, 6));
    let command = logged.catalog.plan_alter("a", &[("retention.ms".into(), Alter::Delete)]).expect("allowed");
    let Change::Configured(topic) = logged.apply(command) else { panic!("refused") };
    assert_eq!((topic.config.retention_ms, topic.config.retention_bytes), (604_800_000, 6));
    assert_eq!(logged.catalog.topic("a"), Some(&topic));
    let refused = logged.catalog.plan_alter("a", &[set("compression.zstd.level", "5")]).expect_err("unsupported");
    assert_eq!(refused.code(), 40);
}

#[test]
fn a_command_is_applied_once() {
    let mut logged = Logged::new();
    logged.create("a", 1, 1);
    let before = encoded(&logged.catalog);
    let command = logged.log[0].clone();
    assert_eq!(logged.catalog.apply(Index(1), &command), Change::Stale);
    assert_eq!(encoded(&logged.catalog), before);
}

#[test]
fn producer_ids_are_given_once_also_across_a_restart() {
    let mut logged = Logged::new();
    let (one, two) = (logged.catalog.plan_producer_ids(10), logged.catalog.plan_producer_ids(5));
    let given = |first, end| Change::ProducerIds { first: ProducerId(first), end: ProducerId(end) };
    assert_eq!(logged.apply(one.expect("enough")), given(0, 10));
    assert_eq!(logged.apply(two.expect("enough")), given(10, 15));
    let bytes = encoded(&logged.catalog);
    logged.catalog = Catalog::decode(Defaults::default(), &mut &bytes[..]).expect("just encoded");
    let three = logged.catalog.plan_producer_ids(1).expect("enough");
    assert_eq!(logged.apply(three), given(15, 16));
}

#[test]
fn groups_have_settings_that_change_and_go() {
    let settings = CoordinatorSettings::default();
    let mut logged = Logged::new();
    let set = |logged: &Logged, group: &str, ms: &str| {
        logged.catalog.plan_group_alter(&settings, group, &[(SESSION.into(), Alter::Set(ms.into()))])
    };
    let plan = set(&logged, "g", "50000").expect("allowed");
    let config = Arc::new(Overrides::from([(SESSION.into(), "50000".into())]));
    assert_eq!(logged.apply(plan), Change::GroupConfigured { group: "g".into(), config });
    let bytes = encoded(&logged.catalog);
    let restored = Catalog::decode(Defaults::default(), &mut &bytes[..]).expect("just encoded");
    assert_eq!(
        restored.group_configs().map(|(group, config)| (&**group, config.len())).collect::<Vec<_>>(),
        [("g", 1)]
    );
    assert_eq!(set(&logged, "g", "1").map_err(|error| error.code()), Err(40));
    assert_eq!(set(&logged, &"g".repeat(1_025), "50000").map_err(|error| error.code()), Err(42));
    let plan = logged.catalog.plan_group_config(&settings, "g", Overrides::new()).expect("allowed");
    logged.apply(plan);
    assert_eq!(logged.catalog.group_configs().len(), 0);
    assert_eq!(encoded(&logged.catalog)[0], 1, "an older torc reads it, as nothing in it is new");
    for n in 0..GROUP_CONFIGS_MAX {
        let plan = set(&logged, &n.to_string(), "50000").expect("there is room");
        logged.apply(plan);
    }
    assert_eq!(set(&logged, "one more", "50000").map_err(|error| error.code()), Err(44));
    assert!(set(&logged, "0", "50001").is_ok());
}

#[test]
fn a_node_bears_so_many_partitions_and_no_more() {
    let mut logged = Logged::new();
    for id in 1..=(PARTITIONS_MAX / TOPIC_PARTITIONS_MAX) {
        let topic = logged.create(&format!("t{id}"), id as u128, TOPIC_PARTITIONS_MAX as i32);
        assert_eq!(topic.partitions.ranges().len(), 1, "however many, one range");
    }
    let refused = logged.catalog.plan_create(wish("one-more", 99, 1)).expect_err("too many");
    assert_eq!(refused.code(), 44);
}

/// One request can name any number of topics, all of which are planned before the first is applied.
#[test]
fn plans_under_way_are_bounded_together() {
    let mut logged = Logged::new();
    let plan = |logged: &mut Logged, id: u128| {
        let wish = wish(&format!("t{id}"), id, TOPIC_PARTITIONS_MAX as i32 - 1);
        logged.catalog.plan_create(wish).expect("there is room yet")
    };
    let plans: Vec<Command> = (1..=3).map(|id| plan(&mut logged, id)).collect();
    let grow = plans.into_iter().map(|plan| logged.apply(plan)).collect::<Vec<_>>();
    assert!(matches!(grow[..], [Change::Created(_), Change::Created(_), Change::Refused(CatalogError::Limit(_))]));
    let more =
        ["t1", "t2"].map(|name| logged.catalog.plan_partitions(name, TOPIC_PARTITIONS_MAX as i32, None).expect("room"));
    let one = logged.catalog.plan_create(wish("one", 9, 1)).expect("room");
    for plan in more {
        assert!(matches!(logged.apply(plan), Change::Grown { .. }));
    }
    assert!(matches!(logged.apply(one), Change::Refused(CatalogError::Limit(_))));
    assert_eq!(logged.catalog.partitions(), PARTITIONS_MAX);
}

#[test]
fn any_history_gives_the_same_catalog_from_its_log_and_from_its_checkpoint() {
    let groups_settings = CoordinatorSettings::default();
    for seed in 0..60 {
        let mut prng = Prng::new(seed);
        let defaults = if seed % 2 == 0 { Defaults::default() } else { cluster(&[1, 2, 3, 4]) };
        let mut logged = Logged::of(defaults.clone());
        let mut planned = Vec::new();
        let mut checkpoint = (0, encoded(&logged.catalog));
        for id in 1..120u128 {
            let name = format!("t{}", [".1", "_1", "2", "3", "4", "5"][prng.below(6) as usize]);
            let catalog = &mut logged.catalog;
            let plan = match prng.below(10) {
                8 if seed % 2 == 1 => {
                    let node =
                        a_node(prng.between(1, 6) as u32, prng.next_u64(), [None, Some("r1")][prng.below(2) as usize]);
                    Ok(Command::RegisterNode(node))
                }
                9 if seed % 2 == 1 => {
                    let (node, disk) = (NodeId(prng.between(1, 6) as u32), prng.between(1, 3).into());
                    let admission = Admission { disk, address: format!("10.0.0.{node}:1") };
                    let admit = prng.chance(2, 3);
                    Ok(if admit { Command::AdmitNode { node, admission } } else { Command::RemoveNode(node) })
                }
                0 | 1 => catalog.plan_create(wish(&name, id, prng.between(1, 5) as i32)),
                2 => catalog.plan_partitions(&name, prng.between(1, 12) as i32, None),
                3 => catalog.plan_alter(&name, &[("retention.ms".into(), Alter::Set(id.to_string()))]),
                4 => catalog.plan_delete(&name),
                5 => catalog.plan_group_alter(&groups_settings, &name, &[(SESSION.into(), Alter::Delete)]),
                6 => {
                    let ms = prng.between(45_000, 60_000).to_string();
                    catalog.plan_group_config(&groups_settings, &name, [(SESSION.into(), ms)].into())
                }
                _ => catalog.plan_producer_ids(prng.between(1, 9) as u32),
            };
            planned.extend(plan.ok());
            if prng.chance(1, 2) {
                planned.drain(..).for_each(|command| drop(logged.apply(command)));
            }
            if prng.chance(1, 20) {
                checkpoint = (logged.log.len(), encoded(&logged.catalog));
            }
        }
        let expected = encoded(&logged.catalog);
        let mut replayed = Catalog::new(defaults.clone());
        let mut restored = Catalog::decode(defaults.clone(), &mut &checkpoint.1[..]).expect("just encoded");
        for (at, command) in logged.log.iter().enumerate() {
            let index = Index(at as u64 + 1);
            let change = replayed.apply(index, command);
            let again = restored.apply(index, command);
            assert_eq!(again, if at < checkpoint.0 { Change::Stale } else { change }, "seed {seed}");
        }
        assert_eq!(encoded(&replayed), expected, "seed {seed}");
        assert_eq!(encoded(&restored), expected, "seed {seed}");
        let owners: usize = restored.topics().map(|topic| groups(topic).len()).sum();
        assert_eq!(owners, restored.partitions(), "seed {seed}");
        assert!(restored.nodes().eq(replayed.nodes()), "seed {seed}");
        for node in restored.members() {
            let rows = || restored.topics().flat_map(|topic| topic.replicas.iter());
            let all = rows().filter(|row| row.contains(&node)).count() as u64;
            let first = rows().filter(|row| row[0] == node).count() as u64;
            for catalog in [&restored, &replayed, &logged.catalog] {
                assert_eq!(catalog.loads.of(node), placement::Load { first, all }, "seed {seed}: node {node}");
            }
        }
        for topic in restored.topics() {
            for (partition, group) in topic.partitions.iter().enumerate() {
                assert_eq!(restored.partition_of(group), Some((topic, partition as u32)), "seed {seed}");
            }
        }
        for cut in 0..expected.len() {
            assert!(Catalog::decode(Defaults::default(), &mut &expected[..cut]).is_err(), "seed {seed}: {cut}");
        }
    }
}

#[test]
fn commands_wait_for_their_commit_in_checkpoints_too_and_can_be_taken_back() {
    let mut catalog = Catalog::new(Defaults::default());
    let create = |catalog: &mut Catalog, index: u64, name: &str| {
        let command = catalog.plan_create(wish(name, u128::from(index), 2)).expect("a good wish");
        catalog.append(Index(index), command);
    };
    for (index, name) in [(2, "a"), (3, "b"), (5, "c")] {
        create(&mut catalog, index, name);
    }
    assert_eq!(catalog.commit(Index(2)).len(), 1);
    let encoded = |catalog: &Catalog| {
        let mut bytes = Vec::new();
        catalog.encode(&mut bytes);
        bytes
    };
    let bytes = encoded(&catalog);
    let mut back = Catalog::decode(Defaults::default(), &mut &bytes[..]).expect("just encoded");
    assert!(back.pending().eq(catalog.pending()) && back.topics().eq(catalog.topics()));
    for cut in 0..bytes.len() {
        assert!(Catalog::decode(Defaults::default(), &mut &bytes[..cut]).is_err(), "{cut} of {} bytes", bytes.len());
    }
    // One of them stays, and then another leader's comes.
    back.cut(Index(4));
    let mut straight = Catalog::decode(Defaults::default(), &mut &bytes[..]).unwrap();
    for catalog in [&mut back, &mut straight] {
        catalog.cut(Index(4));
        create(catalog, 4, "d");
        let names: Vec<Change> = catalog.commit(Index(9)).into_iter().map(|(_, change)| change).collect();
        assert!(matches!(&names[..], [Change::Created(b), Change::Created(d)] if &*b.name == "b" && &*d.name == "d"));
    }
    assert_eq!(encoded(&back), encoded(&straight));
}

/// What torc wrote before it knew of nodes, byte by byte.
#[test]
fn commands_and_checkpoints_of_one_node_are_what_they_were_before_there_were_clusters() {
    let mut logged = Logged::new();
    let created = logged.catalog.plan_create(wish("t", 0x0102, 3)).expect("a good wish");
    let mut bytes = Vec::new();
    created.encode(&mut bytes);
    let id = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2];
    let expected: Vec<u8> = [&[1, 1, 1, b't'][..], &id, &[0x81, 8, 3, 1, 0, 14]].concat();
    assert_eq!(bytes, expected);
    logged.apply(created);
    let grown = logged.catalog.plan_partitions("t", 5, None).expect("more");
    let mut bytes = Vec::new();
    grown.encode(&mut bytes);
    assert_eq!(bytes, [&[1, 3][..], &id, &[5, 0x84, 8]].concat());
    logged.apply(grown);
    let checkpoint = encoded(&logged.catalog);
    let topic: Vec<u8> = [&[1, b't'][..], &id, &[14, 1, 1, 0x81, 8, 5, 0]].concat();
    assert_eq!(checkpoint, [&[1, 2, 0x86, 8, 0, 1][..], &topic].concat());
    let old = Catalog::decode(Defaults::default(), &mut &checkpoint[..]).expect("it was written by an older torc");
    let topic = old.topic("t").expect("it is there");
    assert!(topic.replicas.is_empty() && topic.replicas.get(0).is_empty(), "the one node has it all");
}

#[test]
fn a_cluster_has_three_copies_where_nobody_says_and_never_more_than_nodes() {
    for (nodes, copies) in [(&[1, 2][..], 2), (&[1, 2, 3], 3), (&[1, 2, 3, 4, 5], 3)] {
        let mut logged = Logged::of(cluster(nodes));
        let topic = logged.create("t", 1, 6);
        assert_eq!((topic.replication, topic.replicas.len()), (copies, 6));
        assert!(topic.replicas.iter().all(|row| row.len() == copies as usize));
        let plan = logged.catalog.plan_internal("__consumer_offsets", TopicId(9), 50, 3, Wall(0)).expect("allowed");
        let Change::Created(topic) = logged.apply(plan) else { panic!("refused") };
        assert_eq!((topic.replication, topic.replicas.len()), (copies, 50));
        let refused = logged.catalog.plan_create(NewTopic { replication: nodes.len() as i16 + 1, ..wish("u", 2, 1) });
        assert_eq!(refused.map_err(|error| error.code()), Err(38));
    }
    let mut logged = Logged::of(Defaults { replication: Some(1), ..cluster(&[1, 2, 3]) });
    assert_eq!(logged.create("t", 1, 1).replication, 1);
}

#[test]
fn replicas_that_were_assigned_are_kept_and_so_are_those_of_partitions_that_follow() {
    let mut logged = Logged::of(cluster(&[1, 2, 3]));
    let assigned = vec![(1, vec![2, 3]), (0, vec![3, 1])];
    let new = NewTopic { partitions: -1, assignments: assigned, ..wish("t", 1, 1) };
    let plan = logged.catalog.plan_create(new).expect("allowed");
    let Change::Created(topic) = logged.apply(plan) else { panic!("refused") };
    let rows = |topic: &Topic| -> Vec<Vec<u32>> {
        topic.replicas.iter().map(|row| row.iter().map(|node| node.0).collect()).collect()
    };
    assert_eq!((rows(&topic), topic.replication), (vec![vec![3, 1], vec![2, 3]], 2));
    let plan = logged.catalog.plan_partitions("t", 3, Some(&[vec![1, 3]])).expect("allowed");
    let Change::Grown { topic, from: 2 } = logged.apply(plan) else { panic!("refused") };
    assert_eq!(rows(&topic), [[3, 1], [2, 3], [1, 3]]);
    let plan = logged.catalog.plan_partitions("t", 6, None).expect("allowed");
    let Change::Grown { topic, from: 3 } = logged.apply(plan) else { panic!("refused") };
    assert!(rows(&topic).iter().all(|row| row.len() == 2));
    for unknown in [&[vec![1, 4]][..], &[vec![1]], &[vec![1, 1]]] {
        assert_eq!(logged.catalog.plan_partitions("t", 7, Some(unknown)).map_err(|error| error.code()), Err(39));
    }
}

#[test]
fn plans_that_are_made_together_are_placed_together() {
    let mut logged = Logged::of(cluster(&[1, 2, 3, 4]));
    let mut firsts = BTreeMap::new();
    for turn in 0..2 {
        logged.catalog.begin_plans(&BTreeSet::new());
        let plans: Vec<Command> = (0..10u128)
            .map(|n| logged.catalog.plan_create(wish(&format!("t{turn}{n}"), turn * 10 + n + 1, 1)).expect("allowed"))
            .collect();
        for plan in plans {
            let Change::Created(topic) = logged.apply(plan) else { panic!("refused") };
            *firsts.entry(topic.replicas.get(0)[0]).or_insert(0) += 1;
        }
    }
    assert_eq!(firsts.into_values().collect::<Vec<_>>(), [5; 4]);
}

#[test]
fn a_topic_is_not_made_where_it_would_have_no_leader() {
    let mut logged = Logged::of(cluster(&[1, 2, 3]));
    let absent = |ids: &[u32]| ids.iter().copied().map(NodeId).collect::<BTreeSet<_>>();
    logged.catalog.begin_plans(&absent(&[3]));
    assert!(logged.catalog.plan_create(wish("three", 1, 1)).is_ok(), "two of three suffice");
    let plan = logged.catalog.plan_create(NewTopic { replication: 1, ..wish("one", 2, 4) }).expect("allowed");
    let Command::CreateTopic { replicas, .. } = &plan else { panic!("{plan:?}") };
    assert!(replicas.iter().all(|row| row != [NodeId(3)]));
    logged.catalog.begin_plans(&absent(&[2, 3]));
    for replication in [-1, 2, 3] {
        let refused = logged.catalog.plan_create(NewTopic { replication, ..wish("t", 3, 1) });
        assert_eq!(refused.map_err(|error| error.code()), Err(38), "{replication}");
    }
}

#[test]
fn nodes_say_of_themselves_what_they_are_and_say_it_again() {
    let mut logged = Logged::of(cluster(&[1, 2]));
    for (node, rack) in [(1, None), (2, Some("west")), (1, Some("east"))] {
        let node = a_node(node, 7, rack);
        let change = logged.apply(Command::RegisterNode(node.clone()));
        assert_eq!(change, Change::Node(Arc::new(node)));
    }
    let racks: Vec<Option<&str>> = logged.catalog.nodes().map(|node| node.rack.as_deref()).collect();
    assert_eq!(racks, [Some("east"), Some("west")]);
    let node = logged.catalog.node(NodeId(2)).expect("registered");
    assert_eq!(node.advertised(1).map(|(host, port)| (host.as_str(), *port)), Some(("inside", 19_092)));
    assert_eq!(node.advertised(5), node.advertised(0), "a node with fewer listeners is found all the same");
}

#[test]
fn commands_whose_replicas_do_not_fit_change_nothing() {
    let mut logged = Logged::of(cluster(&[1, 2, 3]));
    logged.create("t", 1, 2);
    let before = encoded(&logged.catalog);
    let replicas = Replicas::new([&[NodeId(1)][..]]);
    let next = logged.catalog.planned_group;
    let create = Command::CreateTopic {
        name: "u".into(),
        id: TopicId(2),
        first_group: next,
        partitions: 2,
        replication: 1,
        replicas: replicas.clone(),
        config: Overrides::new(),
        created: Wall(0),
    };
    let add = |replicas| Command::AddPartitions { id: TopicId(1), total: 4, first_group: next, replicas };
    for command in [create, add(replicas), add(Replicas::default())] {
        assert!(matches!(logged.apply(command), Change::Refused(CatalogError::InvalidRequest(_))));
    }
    let applied = |bytes: &[u8]| [&bytes[..1], &bytes[2..]].concat();
    assert_eq!(applied(&encoded(&logged.catalog)), applied(&before));
}
