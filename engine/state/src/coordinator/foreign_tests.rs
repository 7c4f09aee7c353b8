//! Logs that nobody of ours has written: whatever the records say, a coordinator takes them over, answers, and comes to
//! rest. What makes no sense in them may be lost, not the coordinator.

use super::consumer_tests::Client;
use super::record::{
    ConsumerGroupValue, CurrentValue, GroupMember, GroupValue, MemberValue, OffsetValue, Record,
    RegularExpressionValue, TargetValue, TopicPartitions,
};
use super::request::Request;
use super::rig::{Topics, blob, committing, joining, subscription, text};
use super::{Coordinator, CoordinatorSettings, Outcome, Text, Ticket, World};
use std::sync::Arc;
use torc_base::ids::TopicId;
use torc_base::prng::Prng;
use torc_base::time::{Mono, Now, Wall};

fn number(prng: &mut Prng) -> i32 {
    [0, 1, 2, 5, -1, -2, i32::MIN, i32::MAX, 10_000][prng.below(9) as usize]
}

fn name(prng: &mut Prng) -> Text {
    text(["", "a", "b", "c"][prng.below(4) as usize])
}

fn maybe(prng: &mut Prng) -> Option<Text> {
    prng.chance(1, 2).then(|| name(prng))
}

fn partitions(prng: &mut Prng) -> Vec<TopicPartitions> {
    let topic = |prng: &mut Prng| TopicPartitions {
        topic: TopicId(prng.below(3).into()),
        partitions: (0..prng.below(4)).map(|_| number(prng)).collect(),
        epochs: (0..prng.below(3)).map(|_| number(prng)).collect(),
    };
    (0..prng.below(3)).map(|_| topic(prng)).collect()
}

fn group_value(prng: &mut Prng) -> GroupValue {
    let member = |prng: &mut Prng| GroupMember {
        id: name(prng),
        instance: maybe(prng),
        client_id: name(prng),
        client_host: name(prng),
        rebalance_timeout: number(prng),
        session_timeout: number(prng),
        subscription: [blob(""), blob("x"), subscription(&["t"])][prng.below(3) as usize].clone(),
        assignment: [blob(""), blob("x")][prng.below(2) as usize].clone(),
    };
    GroupValue {
        protocol_type: text(["", "consumer", "connect"][prng.below(3) as usize]),
        generation: number(prng),
        protocol: maybe(prng),
        leader: maybe(prng),
        since: Wall(number(prng).into()),
        members: (0..prng.below(4)).map(|_| member(prng)).collect(),
    }
}

fn member_value(prng: &mut Prng) -> MemberValue {
    MemberValue {
        instance: maybe(prng),
        rack: maybe(prng),
        client_id: name(prng),
        client_host: name(prng),
        topics: (0..prng.below(3)).map(|_| text("t")).collect(),
        regex: [None, Some(text("t.*")), Some(text("("))][prng.below(3) as usize].clone(),
        rebalance_timeout: number(prng),
        assignor: [None, Some(text("range")), Some(text("none"))][prng.below(3) as usize].clone(),
        classic: None,
    }
}

fn record(prng: &mut Prng) -> Record {
    let group = text("g");
    let there = prng.chance(4, 5);
    let member = name(prng);
    match prng.below(9) {
        0 => {
            let value = OffsetValue {
                offset: number(prng).into(),
                leader_epoch: number(prng),
                metadata: name(prng),
                committed: Wall(number(prng).into()),
                expires: prng.chance(1, 2).then(|| Wall(number(prng).into())),
                topic_id: TopicId(1),
            };
            Record::Offset { group, topic: name(prng), partition: number(prng), value: there.then_some(value) }
        }
        1 | 2 => Record::Group { group, value: there.then(|| group_value(prng)) },
        3 => {
            let value = ConsumerGroupValue { epoch: number(prng), metadata_hash: number(prng).into() };
            Record::ConsumerGroup { group, value: there.then_some(value) }
        }
        4 => Record::Member { group, member, value: there.then(|| member_value(prng)) },
        5 => {
            let value = TargetValue { epoch: number(prng), computed: Wall(0) };
            Record::Target { group, value: there.then_some(value) }
        }
        6 => Record::TargetMember { group, member, value: there.then(|| partitions(prng)) },
        7 => {
            let value = CurrentValue {
                epoch: number(prng),
                previous_epoch: number(prng),
                state: [0, 1, 2, 127, -7][prng.below(5) as usize],
                assigned: partitions(prng),
                revoking: partitions(prng),
            };
            Record::CurrentAssignment { group, member, value: there.then_some(value) }
        }
        _ => {
            let value = RegularExpressionValue { topics: vec![text("t")], version: -1, computed: Wall(0) };
            Record::RegularExpression { group, expression: name(prng), value: there.then_some(value) }
        }
    }
}

fn request(prng: &mut Prng, client: &mut Client) -> Request {
    match prng.below(4) {
        0 => Request::Join(joining("x", &name(prng))),
        1 => Request::Commit(committing("g", &name(prng), number(prng), "t", 1)),
        2 => Request::ConsumerDescribe { groups: vec![text("g")] },
        _ => {
            client.id = text(["a", "b", "c", "new"][prng.below(4) as usize]);
            client.epoch = [0, number(prng)][prng.below(2) as usize];
            Request::ConsumerHeartbeat(client.beat())
        }
    }
}

#[test]
fn any_log_can_be_taken_over() {
    for seed in 0..1_500 {
        let mut prng = Prng::new(seed);
        let mut topics = Topics::default();
        topics.set("t", 3);
        let mut ids = Prng::new(seed);
        let mut coordinator = Coordinator::new(Arc::new(CoordinatorSettings::default()), usize::MAX);
        for _ in 0..prng.below(20) {
            coordinator.replay(&record(&mut prng));
        }
        let mut now = Now { mono: Mono(1), wall: Wall(1_000_000) };
        let mut world = World { now, ids: &mut ids, cluster: &topics };
        let _: Outcome = coordinator.start(&mut world);
        let mut client = Client::new("new", &["t"]);
        for ticket in 0..20 {
            let request = request(&mut prng, &mut client);
            coordinator.handle(&mut world, Ticket(ticket), request);
            now.mono = now.mono.plus_ms(prng.below(20_000));
            now.wall.0 += 10_000;
            world.now = now;
            for _ in 0..20 {
                if coordinator.next_deadline().is_some_and(|at| at <= now.mono) {
                    coordinator.tick(&mut world);
                }
            }
        }
        let due = coordinator.next_deadline().expect("offsets are looked through at least");
        assert!(due > now.mono, "seed {seed}: it never comes to rest");
    }
}
