use crate::lag::of_groups;
use crate::metrics::render;
use std::collections::BTreeMap;
use torc_base::ids::{GroupId, Offset, ShardId};
use torc_shard::{GroupProgress, PartitionProgress};

fn offset(topic: &str, partition: i32, offset: i64, log: Option<u64>) -> PartitionProgress {
    PartitionProgress { topic: topic.into(), partition, offset, log: log.map(|log| (ShardId(0), GroupId(log))) }
}

#[test]
fn groups_are_shown_as_dashboards_know_them() {
    let groups = [
        GroupProgress {
            group: "app \"1\"".into(),
            state: "Stable",
            kind: "classic",
            members: 2,
            offsets: vec![offset("t", 0, 7, Some(10)), offset("t", 1, 30, Some(11)), offset("u", 0, 5, Some(12))],
        },
        GroupProgress {
            group: "empty".into(),
            state: "Empty",
            kind: "consumer",
            members: 0,
            offsets: vec![offset("gone", 0, 3, None)],
        },
    ];
    // Nobody says where `u` ends; what is committed of t/1 is behind the end.
    let ends = BTreeMap::from([(GroupId(10), Offset(10)), (GroupId(11), Offset(20))]);
    let text = render(&of_groups(&groups, &ends, 3));
    let group = "consumergroup=\"app \\\"1\\\"\"";
    for line in [
        &format!("kafka_consumergroup_current_offset{{{group},topic=\"t\",partition=\"0\"}} 7")[..],
        &format!("kafka_consumergroup_lag{{{group},topic=\"t\",partition=\"0\"}} 3"),
        &format!("kafka_consumergroup_lag{{{group},topic=\"t\",partition=\"1\"}} 0"),
        &format!("kafka_consumergroup_lag_sum{{{group},topic=\"t\"}} 3"),
        &format!("kafka_consumergroup_current_offset_sum{{{group},topic=\"t\"}} 37"),
        &format!("kafka_consumergroup_members{{{group}}} 2"),
        &format!("torc_consumergroup_info{{{group},state=\"Stable\",type=\"classic\"}} 1"),
        "kafka_consumergroup_members{consumergroup=\"empty\"} 0",
        "kafka_consumergroup_current_offset{consumergroup=\"empty\",topic=\"gone\",partition=\"0\"} 3",
        "torc_consumergroups_left_out 3",
    ] {
        assert!(text.lines().any(|other| other == line), "no {line} in {text}");
    }
    for unknown in ["lag{consumergroup=\"empty\"", "lag_sum{consumergroup=\"empty\""] {
        assert!(!text.contains(unknown), "what is not known is not shown: {text}");
    }
    assert!(!text.contains(&format!("lag{{{group},topic=\"u\"")), "{text}");
}
