use super::health::problems;
use super::look::{Look, Node, Partition};
use super::{Numbers, chosen, health_text, nodes, nodes_table, partition, partitions_table, status, status_text};
use std::collections::BTreeSet;

fn node(id: i32) -> Node {
    Node { id, address: Some(format!("h{id}:9092")), bytes: Some(1 << 20), ..Node::default() }
}

fn part(topic: &str, number: i32, leader: i32) -> Partition {
    Partition {
        topic: topic.to_string(),
        number,
        leader: Some(leader),
        epoch: 4,
        replicas: vec![1, 2, 3],
        in_sync: vec![1, 2, 3],
        bytes: Some(5 << 10),
        least_in_sync: Some(2),
        ..Partition::default()
    }
}

fn well() -> Look {
    Look {
        cluster_id: Some("abc".to_string()),
        controller: Some(2),
        nodes: [1, 2, 3].map(node).to_vec(),
        partitions: vec![part("a", 0, 1), part("a", 1, 2), part("b", 0, 3)],
    }
}

/// One problem, with this in it, and in what to do.
fn only(look: &Look, what: &str, remedy: &str) {
    let problems = problems(look);
    assert!(
        problems.len() == 1 && problems[0].what.contains(what) && problems[0].remedy.contains(remedy),
        "{what}: {problems:#?}"
    );
}

#[test]
fn of_a_cluster_that_is_well_nothing_is_said() {
    assert_eq!(problems(&well()), []);
    assert_eq!(health_text(&well(), &[]), "nothing is wrong: 3 nodes, 3 partitions, every replica in sync\n");
    assert_eq!(problems(&Look { controller: Some(1), nodes: vec![node(1)], ..Look::default() }), [], "an empty one");
}

#[test]
fn each_trouble_is_named_with_what_to_do() {
    let mut look = well();
    look.nodes[2].silent = Some("nothing came for 10 s".to_string());
    only(&look, "node 3 at h3:9092 does not answer: nothing came for 10 s; it keeps replicas of 3 partitions", "log");

    // Its replicas are no trouble of their own.
    look.partitions.iter_mut().for_each(|part| part.in_sync = vec![1, 2]);
    only(&look, "node 3 at h3:9092 does not answer", "start it");

    let mut look = well();
    look.nodes[2] = Node { id: 3, ..Node::default() };
    look.partitions.iter_mut().for_each(|part| part.in_sync = vec![1, 2]);
    only(&look, "node 3 is not there; it keeps replicas of 3 partitions", "empty data directory");

    let mut look = well();
    look.partitions[1].in_sync = vec![1, 3];
    only(&look, "node 2 is behind with its replicas of 1 partition (a/1)", "catches up by itself");
    look.partitions[1].why_behind = Some("entry 7 is too long".to_string());
    only(&look, "node 2 is behind with its replicas of 1 partition (a/1)", "the leader says: entry 7 is too long");

    let mut look = well();
    look.partitions[0].leader = None;
    look.partitions[0].in_sync = vec![1];
    only(&look, "1 partition (a/0) cannot be written or read", "start their nodes, which are 1, 2, 3");

    let mut look = well();
    look.controller = None;
    only(&look, "there is no controller", "start more nodes");

    let mut look = well();
    look.partitions[2].differing.insert(2, 3);
    only(&look, "node 2 has other entries than the leaders of 1 partition (b/0)", "empty data directory");

    let mut look = well();
    look.nodes[0].disk = Some("KAFKA_STORAGE_ERROR".to_string());
    only(&look, "node 1 has trouble with its disk: KAFKA_STORAGE_ERROR", "restart");

    let mut look = well();
    look.partitions[2].least_in_sync = Some(4);
    only(&look, "1 partition (b/0) refuse acks=all", "they have fewer replicas than that");
}

#[test]
fn the_worst_comes_first() {
    let mut look = well();
    look.controller = None;
    look.nodes[1].silent = Some("x".to_string());
    look.nodes[2] = Node { id: 3, ..Node::default() };
    for part in &mut look.partitions {
        (part.leader, part.in_sync) = (None, vec![1]);
    }
    look.partitions.extend((1..9).map(|number| Partition {
        leader: Some(1),
        in_sync: vec![1],
        ..part("b", number, 1)
    }));
    let problems = problems(&look);
    let starts =
        ["3 partitions (a/0, a/1, b/0) cannot", "there is no controller", "8 partitions (b/1, b/2, b/3, ...) refuse"];
    for (problem, start) in problems.iter().zip(starts) {
        assert!(problem.what.starts_with(start), "{problem:?}");
    }
    assert!(problems[1].remedy.contains("not there: 2, 3"), "{:?}", problems[1]);
    assert!(health_text(&look, &problems).lines().count() == 2 * problems.len());
}

#[test]
fn numbers_are_counted_once() {
    let mut look = well();
    look.nodes[0].silent = Some("x".to_string());
    look.partitions[0].leader = None;
    look.partitions[0].in_sync = vec![2, 3];
    let numbers = Numbers::of(&look);
    assert_eq!((numbers.answering, numbers.topics, numbers.led), (2, 2, 2));
    assert_eq!((numbers.in_sync, numbers.replicas), (8, 9));
    let text = status_text(&look);
    assert!(
        text.contains("nodes        3, 2 answering\n") && text.contains("in sync      8 of 9 replicas\n"),
        "{text}"
    );
    let told = status(&look);
    assert_eq!(
        (&told["nodes_answering"], &told["partitions_led"], &told["controller"]),
        (&2.into(), &2.into(), &2.into())
    );
    let told = nodes(&look);
    assert_eq!(
        (&told[0]["state"], &told[0]["replicas_in_sync"], &told[0]["leads"]),
        (&"silent".into(), &2.into(), &0.into())
    );
    let table = nodes_table(&look).to_string();
    assert!(table.lines().nth(2).unwrap().contains("answers  controller"), "{table}");
}

#[test]
fn partitions_are_chosen_by_topic_and_by_what_they_lack() {
    let mut look = well();
    look.partitions[1].in_sync = vec![1];
    let names = |names: &[&str], lacking| {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let chosen =
            chosen(&look, &names, lacking).map(|parts| parts.iter().map(|part| part.name()).collect::<BTreeSet<_>>());
        chosen.map_err(|error| error.to_string())
    };
    let set = |names: &[&str]| Ok(names.iter().map(|name| name.to_string()).collect::<BTreeSet<_>>());
    assert_eq!(names(&[], false), set(&["a/0", "a/1", "b/0"]));
    assert_eq!(names(&["a"], false), set(&["a/0", "a/1"]));
    assert_eq!(names(&["?"], true), set(&["a/1"]));
    assert_eq!(names(&["b"], true), set(&[]));
    assert!(names(&["c"], false).unwrap_err().contains("no topic is or matches c"));
    let table = partitions_table(&[&look.partitions[1]]).to_string();
    assert!(table.lines().nth(1).unwrap().contains("1,2,3     1        2,3"), "{table}");
    assert_eq!(partition(&look.partitions[1])["in_sync"], serde_json::json!([1]));
}
