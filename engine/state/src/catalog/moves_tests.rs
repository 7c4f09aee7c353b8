//! Partitions on their way to other nodes, and nodes on their way out.

use super::*;
use crate::catalog::{Defaults, NewTopic, Node};
use torc_base::ids::ProducerId;
use torc_base::limits::ENTRY_BYTES_MAX;
use torc_base::prng::Prng;
use torc_base::time::Wall;

fn nodes(ids: &[u32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn a_node(id: u32, rack: Option<&str>) -> Node {
    let listeners = vec![(format!("node{id}.example"), 9092)];
    Node {
        id: NodeId(id),
        start: 1,
        rack: rack.map(str::to_owned),
        listeners,
        shards: 1,
        lives: vec![],
        entry_bytes_max: ENTRY_BYTES_MAX,
    }
}

/// A catalog whose commands go through their encoding, and whose checkpoint is looked at after each.
struct Story {
    catalog: Catalog,
    index: u64,
}

impl Story {
    /// Of registered nodes `1..=count`.
    fn new(count: u32) -> Story {
        let defaults = Defaults { brokers: nodes(&[1]), ..Defaults::default() };
        let mut story = Story { catalog: Catalog::new(defaults), index: 0 };
        for id in 1..=count {
            story.apply(Command::RegisterNode(a_node(id, None)));
        }
        story
    }

    fn apply(&mut self, command: Command) -> Change {
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        let command = Command::decode(&bytes).expect("just encoded");
        self.index += 1;
        let change = self.catalog.apply(Index(self.index), &command);
        self.check();
        change
    }

    /// A checkpoint is the state, and loads are those of the topics.
    fn check(&self) {
        let (mut bytes, mut again) = (Vec::new(), Vec::new());
        self.catalog.encode(&mut bytes);
        let read = Catalog::decode(self.catalog.defaults().clone(), &mut &bytes[..]).expect("just encoded");
        read.encode(&mut again);
        assert_eq!(again, bytes);
        for id in self.catalog.members() {
            let of = |catalog: &Catalog| catalog.loads.of(id);
            let rows =
                self.catalog.topics().flat_map(|topic| topic.future().iter().map(<[_]>::to_vec).collect::<Vec<_>>());
            let all = rows.filter(|row| row.contains(&id)).count() as u64;
            assert_eq!((of(&self.catalog).all, of(&read).all), (all, all), "replicas of node {id}");
        }
        for end in (0..bytes.len()).filter(|_| self.index.is_multiple_of(16)) {
            let cut = Catalog::decode(self.catalog.defaults().clone(), &mut &bytes[..end]);
            assert!(cut.is_err(), "{end} of {} bytes", bytes.len());
        }
    }

    fn create(&mut self, name: &str, rows: &[&[i32]]) -> TopicId {
        let id = TopicId(self.index as u128 + 1);
        let assignments = rows.iter().zip(0..).map(|(row, partition)| (partition, row.to_vec())).collect();
        let new = NewTopic {
            name: name.into(),
            id,
            partitions: -1,
            replication: -1,
            assignments,
            config: Default::default(),
            created: Wall(1),
        };
        let command = self.catalog.plan_create(new).unwrap_or_else(|error| panic!("{error}"));
        assert!(matches!(self.apply(command), Change::Created(_)));
        id
    }

    fn topic(&self, name: &str) -> &Topic {
        self.catalog.topic(name).expect("it is there")
    }

    fn wish(&mut self, name: &str, partition: i32, target: Option<&[i32]>) -> Result<Arc<Topic>, CatalogError> {
        let planned = self.catalog.plan_move(name, partition, target, true)?;
        let (id, partition, target) = planned.expect("there is something to move");
        match self.apply(Command::Move { id, wishes: vec![(partition, target)] }) {
            Change::Moving(topic) => Ok(topic),
            Change::Refused(error) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    /// The partition's group has come to its target.
    fn end(&mut self, name: &str, partition: u32) -> Vec<Ended> {
        let topic = self.topic(name);
        let (id, number) = (topic.id, topic.moves[&partition].number);
        match self.apply(Command::EndMoves { id, ended: vec![Ended { partition, number, members: Index(9) }] }) {
            Change::Moved { ended, .. } => ended,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_partition_keeps_its_old_replicas_until_its_group_has_the_new_ones() {
    let mut story = Story::new(5);
    story.create("t", &[&[1, 2, 3], &[2, 3, 1]]);
    story.wish("t", 0, Some(&[4, 2, 5])).unwrap();
    let topic = story.topic("t");
    assert_eq!(topic.replicas.get(0), nodes(&[1, 2, 3]));
    assert_eq!(topic.members(0), nodes(&[1, 2, 3, 4, 5]));
    assert_eq!(*topic.shown(0), nodes(&[4, 2, 5, 1, 3]));
    assert_eq!(topic.adding_and_removing(0), (nodes(&[4, 5]), nodes(&[1, 3])));
    assert_eq!((topic.members(1), &*topic.shown(1)), (&nodes(&[2, 3, 1])[..], &nodes(&[2, 3, 1])[..]));
    assert_eq!(story.end("t", 0).len(), 1);
    let topic = story.topic("t");
    assert_eq!((topic.replicas.get(0), topic.members(0)), (&nodes(&[4, 2, 5])[..], &nodes(&[4, 2, 5])[..]));
    assert_eq!(topic.adding_and_removing(0), Default::default());
    assert!(topic.moves.is_empty());
}

/// Somebody may have got it already: whoever may have it stays a member until the group is back.
#[test]
fn what_is_cancelled_or_changed_on_the_way_moves_from_where_it_is() {
    let mut story = Story::new(6);
    let id = story.create("t", &[&[1, 2, 3]]);
    story.wish("t", 0, Some(&[4, 5, 6])).unwrap();
    let first = story.topic("t").moves[&0].number;
    story.wish("t", 0, Some(&[4, 2, 3])).unwrap();
    assert_eq!(story.topic("t").members(0), nodes(&[1, 2, 3, 4, 5, 6]));
    // The end of what nobody wants any more is no end.
    let stale = Ended { partition: 0, number: first, members: Index(7) };
    let change = story.apply(Command::EndMoves { id, ended: vec![stale] });
    assert!(matches!(change, Change::Moved { ended, .. } if ended.is_empty()));
    story.wish("t", 0, None).unwrap();
    let topic = story.topic("t");
    assert_eq!(topic.moves[&0].target, nodes(&[1, 2, 3]));
    assert_eq!(topic.adding_and_removing(0), (vec![], nodes(&[4, 5, 6])));
    story.end("t", 0);
    assert_eq!(story.topic("t").replicas.get(0), nodes(&[1, 2, 3]));
    assert_eq!(story.wish("t", 0, None).unwrap_err().code(), 85, "there is nothing to cancel");
}

#[test]
fn another_order_is_no_move_and_another_number_is_one() {
    let mut story = Story::new(4);
    story.create("t", &[&[1, 2, 3], &[1, 2, 3]]);
    story.wish("t", 0, Some(&[3, 1, 2])).unwrap();
    let topic = story.topic("t");
    assert_eq!((topic.replicas.get(0), topic.moves.len()), (&nodes(&[3, 1, 2])[..], 0));
    for partition in [0, 1] {
        story.wish("t", partition, Some(&[2, 4])).unwrap();
        story.end("t", partition as u32);
    }
    assert_eq!(story.topic("t").replication, 2, "what comes later gets as many as all have");
    let refused = story.catalog.plan_move("t", 0, Some(&[1, 2, 3]), false).unwrap_err();
    assert_eq!(refused.code(), 38);
}

#[test]
fn what_cannot_be_is_refused_with_kafkas_codes() {
    let mut story = Story::new(3);
    story.create("t", &[&[1, 2]]);
    let plan = |name, partition, target: &[i32]| story.catalog.plan_move(name, partition, Some(target), true);
    for (name, partition, target, code) in [
        ("u", 0, &[1, 2][..], 3),
        ("t", 1, &[1, 2], 3),
        ("t", -1, &[1, 2], 3),
        ("t", 0, &[], 39),
        ("t", 0, &[1, 1], 39),
        ("t", 0, &[1, 9], 39),
        ("t", 0, &[-1], 39),
    ] {
        let refused = plan(name, partition, target).unwrap_err();
        assert_eq!(refused.code(), code, "{name} {partition} {target:?}: {refused}");
    }
    assert_eq!(story.catalog.plan_move("t", 0, None, true).unwrap_err().code(), 85);
}

/// What one server has for itself has no replicas that could be elsewhere, and a wish for it to be there is granted.
#[test]
fn with_one_server_all_is_where_it_is_to_be() {
    let mut alone = Catalog::new(Defaults::default());
    let new = NewTopic {
        name: "t".into(),
        id: TopicId(1),
        partitions: 1,
        replication: 1,
        assignments: Vec::new(),
        config: Default::default(),
        created: Wall(1),
    };
    let command = alone.plan_create(new).unwrap();
    alone.apply(Index(1), &command);
    assert_eq!(alone.plan_move("t", 0, Some(&[1]), true).unwrap(), None);
    for (partition, target, code) in [(0, &[][..], 39), (0, &[1, 1], 39), (0, &[2], 39), (1, &[1], 3)] {
        assert_eq!(alone.plan_move("t", partition, Some(target), true).unwrap_err().code(), code, "{target:?}");
    }
    assert_eq!(alone.plan_move("t", 0, None, true).unwrap_err().code(), 85);
    let second = Node {
        id: NodeId(2),
        start: 7,
        rack: None,
        listeners: Vec::new(),
        shards: 1,
        lives: vec![],
        entry_bytes_max: ENTRY_BYTES_MAX,
    };
    alone.apply(Index(2), &Command::RegisterNode(second));
    assert_eq!(alone.plan_move("t", 0, Some(&[1]), true).unwrap_err().code(), 42);
}

/// Does what the controller does until nothing is left to do, as many at a time.
fn depart(story: &mut Story, at_once: usize) -> usize {
    for rounds in 0.. {
        story.catalog.begin_plans(&BTreeSet::new());
        let commands = story.catalog.plan_departures(at_once);
        for command in commands {
            story.apply(command);
        }
        let running: Vec<_> = story
            .catalog
            .topics()
            .flat_map(|topic| {
                topic.moves.keys().map(|partition| (topic.name.to_string(), *partition)).collect::<Vec<_>>()
            })
            .collect();
        assert!(running.len() <= at_once, "{} at a time", running.len());
        if running.is_empty() {
            return rounds;
        }
        for (name, partition) in running {
            story.end(&name, partition);
        }
    }
    unreachable!("it ends or not")
}

#[test]
fn a_node_that_leaves_is_left_by_all_some_at_a_time() {
    let mut story = Story::new(4);
    let rows: Vec<Vec<i32>> = (0..20).map(|n| vec![1 + n % 4, 1 + (n + 1) % 4, 1 + (n + 2) % 4]).collect();
    story.create("t", &rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let command = story.catalog.plan_leave(NodeId(2), true).unwrap();
    assert!(matches!(story.apply(command), Change::Leaving { leaving: true, .. }));
    assert_eq!(story.catalog.held_by(NodeId(2)), (15, 0));
    // Nothing new comes to it.
    story.catalog.begin_plans(&BTreeSet::new());
    assert_eq!(story.catalog.plan_move("t", 0, Some(&[2, 3, 4]), true).unwrap_err().code(), 39);
    assert_eq!(story.catalog.left().count(), 0);
    let rounds = depart(&mut story, 4);
    assert!((4..=5).contains(&rounds), "15 moves, 4 at a time, in {rounds} rounds");
    assert!(story.topic("t").replicas.iter().all(|row| row.len() == 3 && !row.contains(&NodeId(2))));
    assert_eq!(story.catalog.left().collect::<Vec<_>>(), nodes(&[2]));
}

#[test]
fn a_node_that_is_to_stay_after_all_gets_back_what_is_under_way() {
    let mut story = Story::new(4);
    story.create("t", &[&[1, 2, 3], &[2, 3, 4], &[1, 3, 4]]);
    let command = story.catalog.plan_leave(NodeId(2), true).unwrap();
    story.apply(command);
    for command in story.catalog.plan_departures(1) {
        story.apply(command);
    }
    assert_eq!(story.catalog.held_by(NodeId(2)), (2, 1));
    let command = story.catalog.plan_leave(NodeId(2), false).unwrap();
    let Change::Leaving { leaving: false, topics, .. } = story.apply(command) else { panic!("it stays") };
    assert_eq!(topics.len(), 1);
    assert_eq!(story.topic("t").moves[&0].target, nodes(&[1, 2, 3]));
    story.end("t", 0);
    assert_eq!(story.catalog.held_by(NodeId(2)), (2, 0));
    assert!(story.catalog.plan_departures(9).is_empty());
    assert_eq!(story.catalog.plan_leave(NodeId(2), false).unwrap_err().code(), 85);
}

#[test]
fn a_node_whose_replicas_nobody_else_can_have_does_not_leave() {
    let mut story = Story::new(3);
    story.create("t", &[&[1, 2], &[1, 2]]);
    story.wish("t", 1, Some(&[1, 2, 3])).unwrap();
    let refused = story.catalog.plan_leave(NodeId(3), true).unwrap_err();
    assert_eq!(refused.code(), 38);
    let text = refused.to_string();
    assert!(text.contains("Partition 1 of topic t has 3 replicas, and without node 3 there are 2"), "{text}");
    assert_eq!(story.catalog.plan_leave(NodeId(7), true).unwrap_err().code(), 102);
}

#[test]
fn racks_stay_apart_when_a_node_leaves() {
    let mut story = Story::new(0);
    for (id, rack) in [(1, "a"), (2, "b"), (3, "c"), (4, "a"), (5, "b"), (6, "c")] {
        story.apply(Command::RegisterNode(a_node(id, Some(rack))));
    }
    story.create("t", &[&[1, 2, 3], &[2, 3, 4], &[5, 1, 3], &[6, 5, 1]]);
    let command = story.catalog.plan_leave(NodeId(3), true).unwrap();
    story.apply(command);
    depart(&mut story, 10);
    let rack = |node: &NodeId| story.catalog.node(*node).unwrap().rack.clone();
    for row in story.topic("t").replicas.iter() {
        let racks: BTreeSet<_> = row.iter().map(rack).collect();
        assert_eq!(racks.len(), 3, "{row:?}");
    }
}

/// Wishes, ends, cancels, departures and topics by chance: each command is applied or refused as a whole, and the state is
/// that of its checkpoint.
#[test]
fn whatever_comes_the_state_is_sound() {
    for seed in 0..12 {
        let mut prng = Prng::new(seed);
        let mut story = Story::new(5);
        for number in 0..3 {
            story.create(&format!("t{number}"), &[&[1, 2, 3], &[3, 4, 5], &[2, 5, 1]]);
        }
        for _ in 0..120 {
            let name = format!("t{}", prng.below(3));
            let partition = prng.below(3) as i32;
            let mut target: Vec<i32> = (1..=5).filter(|_| prng.below(2) == 0).collect();
            let by = prng.below(target.len().max(1) as u64) as usize;
            target.rotate_left(by);
            let node = NodeId(1 + prng.below(5) as u32);
            match prng.below(6) {
                0 | 1 => drop(story.wish(&name, partition, Some(&target))),
                2 => drop(story.wish(&name, partition, None)),
                3 if story.topic(&name).moves.contains_key(&(partition as u32)) => {
                    story.end(&name, partition as u32);
                }
                4 => {
                    if let Ok(command) = story.catalog.plan_leave(node, prng.below(2) == 0) {
                        story.apply(command);
                    }
                }
                _ => {
                    story.catalog.begin_plans(&BTreeSet::new());
                    for command in story.catalog.plan_departures(2) {
                        story.apply(command);
                    }
                }
            }
            for topic in story.catalog.topics() {
                for partition in 0..3 {
                    let members = topic.members(partition);
                    assert!(topic.shown(partition).iter().all(|node| members.contains(node)), "seed {seed}");
                }
            }
        }
        let ids = story.apply(Command::AllocateProducerIds { up_to: 10 });
        assert_eq!(ids, Change::ProducerIds { first: ProducerId(0), end: ProducerId(10) });
    }
}
