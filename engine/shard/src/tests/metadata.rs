//! Metadata of all topics: the same answer serves all until something changes.

use super::rig::{Client, Rig};
use super::verbs::*;
use torc_base::limits::TURN_ITEMS;
use torc_net::kafka::schema::create_partitions_request::CreatePartitionsTopic;
use torc_net::kafka::schema::{CreatePartitionsRequest, DeleteTopicsRequest, MetadataRequest, MetadataResponse};

fn all() -> MetadataRequest {
    MetadataRequest::default().with_topics(None)
}

/// Names, and for each the number of partitions that have leaders.
fn told(response: &MetadataResponse) -> Vec<(String, usize)> {
    let topics = response.topics.iter().map(|topic| {
        let led = topic.partitions.iter().filter(|partition| partition.leader_id.0 >= 0).count();
        (topic.name.as_ref().expect("each has one").to_string(), led)
    });
    topics.filter(|(name, _)| !name.starts_with("__")).collect()
}

fn asked(rig: &mut Rig, client: Client, version: i16) -> Vec<(String, usize)> {
    let twice = [rig.ask(client, version, &all()), rig.ask(client, version, &all())];
    assert_eq!(twice[0], twice[1], "version {version}");
    told(&twice[0])
}

#[test]
fn answers_about_all_topics_are_those_of_now_in_every_version() {
    let mut rig = Rig::new(2);
    let (client, other) = (rig.connect(0), rig.connect(1));
    let of = |names: &[(&str, usize)]| -> Vec<(String, usize)> {
        names.iter().map(|(name, led)| (name.to_string(), *led)).collect()
    };
    let check = |rig: &mut Rig, expected: &[(&str, usize)]| {
        for version in 1..=12 {
            assert_eq!(asked(rig, client, version), of(expected), "version {version}");
            assert_eq!(asked(rig, other, version), of(expected), "version {version}, of the other shard");
        }
        // Version 0 says "all" with an empty list.
        let empty = MetadataRequest::default().with_topics(Some(vec![]));
        let response = rig.ask(client, 0, &empty);
        assert_eq!(told(&response), of(expected), "version 0");
    };
    check(&mut rig, &[]);
    assert_eq!(rig.create(client, "a", 3, &[]), 0);
    check(&mut rig, &[("a", 3)]);
    assert_eq!(rig.create(other, "b", 1, &[]), 0);
    check(&mut rig, &[("a", 3), ("b", 1)]);
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![name("a")]).with_timeout_ms(1000);
    assert_eq!(rig.ask(client, 5, &delete).responses[0].error_code, 0);
    rig.run();
    check(&mut rig, &[("b", 1)]);
}

#[test]
fn answers_differ_by_what_was_asked_for() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    for _ in 0..2 {
        for (topics, cluster) in [(false, false), (true, false), (false, true), (true, true)] {
            let request = all()
                .with_include_topic_authorized_operations(topics)
                .with_include_cluster_authorized_operations(cluster);
            let response = rig.ask(client, 9, &request);
            assert_eq!(response.topics[0].topic_authorized_operations != i32::MIN, topics);
            assert_eq!(response.cluster_authorized_operations != i32::MIN, cluster);
        }
    }
}

#[test]
fn who_never_reads_what_all_topics_are_does_not_make_the_shard_look_at_them_each_time() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2_000, &[]), 0);
    rig.ask(client, 9, &all());
    let sent: Vec<i32> = (0..50).map(|_| rig.send(client, 9, &all())).collect();
    let mut waiting = sent.iter().peekable();
    let mut turns = 0;
    while rig.turn(0) {
        turns += 1;
        while waiting.next_if(|asked| rig.take::<MetadataRequest>(client, 9, **asked).is_some()).is_some() {}
    }
    assert_eq!(waiting.next(), None);
    assert!(turns < 25, "{turns} turns for {} answers of 2,000 partitions: a turn looks at 512", sent.len());
}

/// A server with more partitions than a turn looks at, in a topic with many and in several with few.
fn large() -> (Rig, Client) {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    for (name, partitions) in [("m", 3_000), ("a", 1), ("z", 700), ("b", 40)] {
        assert_eq!(rig.create(client, name, partitions, &[]), 0);
    }
    rig.run();
    (rig, client)
}

fn in_turns(rig: &mut Rig, clients: &[(Client, i32)]) -> Vec<(usize, MetadataResponse)> {
    let (mut turns, mut answers) = (0, Vec::new());
    while rig.turn(0) {
        turns += 1;
        for (client, sent) in clients {
            answers.extend(rig.take::<MetadataRequest>(*client, 9, *sent).map(|answer| (turns, answer)));
        }
    }
    answers
}

#[test]
fn what_all_topics_are_is_written_over_turns_and_is_what_each_of_them_is() {
    let (mut rig, client) = large();
    let others: Vec<Client> = (0..5).map(|_| rig.connect(0)).collect();
    let mut sent: Vec<(Client, i32)> = others.iter().map(|other| (*other, rig.send(*other, 9, &all()))).collect();
    // One of them goes.
    rig.turn(0);
    rig.leave(sent.pop().expect("five were sent").0);
    assert!(rig.turn(0), "nothing is left to be written");
    let small = rig.send(client, LIST_OFFSETS, &list_offsets_request("a", 0, -1));
    rig.turn(0);
    rig.turn(0);
    let served = rig.take::<torc_net::kafka::schema::ListOffsetsRequest>(client, LIST_OFFSETS, small);
    assert!(served.is_some(), "who asks for little is served meanwhile");
    let answers = in_turns(&mut rig, &sent);
    assert_eq!(answers.len(), 4);
    let by_name = rig.ask(client, 9, &metadata_request(&["a", "b", "m", "z"]));
    for (_, answer) in &answers {
        assert_eq!(answer.topics, by_name.topics);
    }
    assert_eq!(told(&by_name), [("a".into(), 1), ("b".into(), 40), ("m".into(), 3_000), ("z".into(), 700)]);
    // From its first turn on it takes as many as there are parts.
    let (mut rig, client) = large();
    let sent = rig.send(client, 9, &all());
    let (turns, _) = in_turns(&mut rig, &[(client, sent)])[0];
    // The first one's part of a turn may come to another one's, and somebody has come in it.
    let least = 3_741 / (2 * TURN_ITEMS);
    assert!((least..=2 * least + 4).contains(&turns), "{turns} turns of {TURN_ITEMS} partitions");
}

/// However many a client names, each is what it is when it is asked for alone.
#[test]
fn what_many_named_topics_are_is_written_over_turns() {
    let (mut rig, client) = large();
    for version in [4, 9, 11, 12] {
        let mut names: Vec<String> = ["b", "m", "not-there", "z", "no/name", "m", "a"].map(String::from).to_vec();
        names.extend((0..100).map(|n| format!("not-there-{n}")));
        let of = |names: &[String]| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            metadata_request(&names).with_allow_auto_topic_creation(false)
        };
        let other = rig.connect(0);
        let sent = rig.send(client, version, &of(&names));
        let (mut turns, mut small) = (0, 0);
        let answer = loop {
            rig.send(other, 9, &metadata_request(&[]));
            assert!(rig.turn(0), "it is never answered");
            turns += 1;
            small += usize::from(rig.take_frame(other).is_some());
            if let Some(answer) = rig.take::<MetadataRequest>(client, version, sent) {
                break answer;
            }
        };
        assert!(turns >= 3_741 / TURN_ITEMS && small + 2 >= turns, "{turns} turns, {small} others were served");
        names.remove(5);
        assert_eq!(answer.topics.len(), names.len(), "each once");
        for (topic, name) in answer.topics.iter().zip(&names) {
            let alone = rig.ask(client, version, &of(std::slice::from_ref(name)));
            assert_eq!(alone.topics.first(), Some(topic), "{name}, version {version}");
            assert_eq!(alone.clone().with_topics(Vec::new()), answer.clone().with_topics(Vec::new()));
        }
    }
}

#[test]
fn who_asks_after_a_change_is_told_of_it_and_who_asked_before_it_is_answered() {
    let (mut rig, admin) = large();
    let mut clients: Vec<Client> = (0..3).map(|_| rig.connect(0)).collect();
    let mut sent = Vec::new();
    let mut ask = |rig: &mut Rig, sent: &mut Vec<(Client, i32)>| {
        let client = clients.pop().expect("three ask");
        sent.push((client, rig.send(client, 9, &all())));
    };
    ask(&mut rig, &mut sent);
    rig.turn(0);
    // The one that is being written, one that has been, and ones that come.
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![name("m"), name("a")]).with_timeout_ms(1000);
    let asked = rig.send(admin, 5, &delete);
    let answer = loop {
        assert!(rig.turn(0), "the topics are deleted");
        if let Some(answer) = rig.take::<DeleteTopicsRequest>(admin, 5, asked) {
            break answer;
        }
    };
    assert!(answer.responses.iter().all(|topic| topic.error_code == 0), "{answer:?}");
    ask(&mut rig, &mut sent);
    let topic = CreatePartitionsTopic::default().with_name(name("z")).with_count(900).with_assignments(None);
    let grow = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000);
    let asked = rig.send(admin, 2, &grow);
    let answer = loop {
        assert!(rig.turn(0), "the partitions are made");
        if let Some(answer) = rig.take::<CreatePartitionsRequest>(admin, 2, asked) {
            break answer;
        }
    };
    assert_eq!(answer.results[0].error_code, 0, "{answer:?}");
    ask(&mut rig, &mut sent);
    rig.run();
    let of: Vec<Vec<(String, usize)>> = sent
        .iter()
        .map(|(client, sent)| told(&rig.take::<MetadataRequest>(*client, 9, *sent).expect("it is answered")))
        .collect();
    for (name, led) in of.iter().flatten() {
        let whole: &[usize] = if name == "z" { &[700, 900] } else { &[1, 40, 3_000] };
        assert!(whole.contains(led), "{name} with {led} partitions: {of:?}");
    }
    let names = |of: &[(String, usize)]| of.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&of[1]), ["b", "z"]);
    assert_eq!(of[2], [("b".to_string(), 40), ("z".to_string(), 900)]);
}
