use super::*;
use torc_base::ids::TopicId;
use torc_base::prng::Prng;
use torc_state::coordinator::{Blob, Text};

/// Values of any length, numbers of any size.
struct Any(Prng);

impl Any {
    fn number(&mut self) -> i32 {
        (self.0.next_u64() as i32) >> self.0.below(32)
    }

    fn text(&mut self) -> Text {
        let most = 1 << self.0.below(10);
        "x".repeat(self.0.below(most) as usize).into()
    }

    fn maybe(&mut self) -> Option<Text> {
        if self.0.chance(1, 2) { Some(self.text()) } else { None }
    }

    fn blob(&mut self) -> Blob {
        self.text().as_bytes().into()
    }

    fn list<T>(&mut self, mut of: impl FnMut(&mut Any) -> T) -> Vec<T> {
        (0..self.0.below(6)).map(|_| of(self)).collect()
    }

    fn wall(&mut self) -> Wall {
        Wall(self.0.next_u64() as i64)
    }

    fn partitions(&mut self, with_epochs: bool) -> TopicPartitions {
        let count = self.0.below(300) as i32;
        let epochs = if with_epochs { (0..count).map(|n| i32::MAX - n).collect() } else { Vec::new() };
        TopicPartitions { topic: TopicId(u128::MAX), partitions: (0..count).map(|n| i32::MAX - n).collect(), epochs }
    }

    fn group_member(&mut self) -> GroupMember {
        GroupMember {
            id: self.text(),
            instance: self.maybe(),
            client_id: self.text(),
            client_host: self.text(),
            rebalance_timeout: self.number(),
            session_timeout: self.number(),
            subscription: self.blob(),
            assignment: self.blob(),
        }
    }

    fn member(&mut self) -> MemberValue {
        let protocol = |any: &mut Any| (any.text(), any.blob());
        MemberValue {
            instance: self.maybe(),
            rack: self.maybe(),
            client_id: self.text(),
            client_host: self.text(),
            topics: self.list(Any::text),
            regex: self.maybe(),
            rebalance_timeout: self.number(),
            assignor: self.maybe(),
            classic: self
                .0
                .chance(1, 2)
                .then(|| ClassicMember { session_timeout: self.number(), protocols: self.list(protocol) }),
        }
    }

    fn record(&mut self) -> Record {
        let group = self.text();
        match self.0.below(8) {
            0 => {
                let value = OffsetValue {
                    offset: i64::MAX,
                    leader_epoch: self.number(),
                    metadata: self.text(),
                    committed: self.wall(),
                    expires: self.0.chance(1, 2).then_some(Wall(i64::MAX)),
                    topic_id: TopicId(u128::MAX),
                };
                Record::Offset { group, topic: self.text(), partition: i32::MAX, value: Some(value) }
            }
            1 => {
                let value = GroupValue {
                    protocol_type: self.text(),
                    generation: self.number(),
                    protocol: self.maybe(),
                    leader: self.maybe(),
                    since: self.wall(),
                    members: self.list(Any::group_member),
                };
                Record::Group { group, value: Some(value) }
            }
            2 => {
                let value = ConsumerGroupValue { epoch: i32::MAX, metadata_hash: i64::MAX };
                Record::ConsumerGroup { group, value: Some(value) }
            }
            3 => Record::Member { group, member: self.text(), value: Some(self.member()) },
            4 => Record::Target { group, value: Some(TargetValue { epoch: i32::MAX, computed: self.wall() }) },
            5 => {
                let value = self.list(|any| any.partitions(false));
                Record::TargetMember { group, member: self.text(), value: Some(value) }
            }
            6 => {
                let value = CurrentValue {
                    epoch: i32::MAX,
                    previous_epoch: i32::MAX,
                    state: 127,
                    assigned: self.list(|any| any.partitions(true)),
                    revoking: self.list(|any| any.partitions(true)),
                };
                Record::CurrentAssignment { group, member: self.text(), value: Some(value) }
            }
            _ => {
                let (topics, computed) = (self.list(Any::text), self.wall());
                let value = RegularExpressionValue { topics, version: i64::MAX, computed };
                Record::RegularExpression { group, expression: self.text(), value: Some(value) }
            }
        }
    }
}

#[test]
fn no_record_is_longer_than_it_was_judged_to_be() {
    let mut any = Any(Prng::new(1));
    for _ in 0..20_000 {
        let record = any.record();
        let (key, value) = encode(&record);
        let bytes = key.len() + value.map_or(0, |value| value.len());
        assert!(bytes <= record.bytes_max(), "{bytes} > {}: {record:?}", record.bytes_max());
    }
}
