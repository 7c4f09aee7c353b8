//! What partitions hold on disk, as their brokers say (DescribeLogDirs).

use super::describe::Topic;
use kafka_protocol::messages::DescribeLogDirsRequest;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use std::collections::{BTreeMap, BTreeSet};
use torc_client::{ClientError, Cluster, topic_name};

/// Fills in the size of each partition: that of its leader's copy. What a broker does not say stays unknown: nothing that a
/// size stands beside fails for want of it.
pub fn add(cluster: &mut Cluster, topics: &mut [Topic]) {
    let leaders: BTreeSet<i32> = topics.iter().flat_map(|t| &t.partitions).filter_map(|p| p.leader).collect();
    for leader in leaders {
        let Ok(sizes) = of_broker(cluster, leader, topics) else { continue };
        for topic in topics.iter_mut() {
            for partition in topic.partitions.iter_mut().filter(|p| p.leader == Some(leader)) {
                partition.bytes = sizes.get(&(topic.name.clone(), partition.partition)).copied();
            }
        }
    }
}

/// Bytes by topic and partition.
fn of_broker(
    cluster: &mut Cluster,
    broker: i32,
    topics: &[Topic],
) -> Result<BTreeMap<(String, i32), u64>, ClientError> {
    let asked = topics.iter().map(|topic| {
        let mine = topic.partitions.iter().filter(|p| p.leader == Some(broker)).map(|p| p.partition);
        DescribableLogDirTopic::default().with_topic(topic_name(&topic.name)).with_partitions(mine.collect())
    });
    let asked = asked.filter(|topic| !topic.partitions.is_empty()).collect();
    let request = DescribeLogDirsRequest::default().with_topics(Some(asked));
    let response = cluster.broker(broker)?.call(&request)?;
    let mut sizes = BTreeMap::new();
    for topic in response.results.iter().filter(|dir| dir.error_code == 0).flat_map(|dir| &dir.topics) {
        // A future copy is one that moves to another directory, beside the one that serves.
        for partition in topic.partitions.iter().filter(|partition| !partition.is_future_key) {
            if let Ok(bytes) = u64::try_from(partition.partition_size) {
                sizes.insert((topic.name.to_string(), partition.partition_index), bytes);
            }
        }
    }
    Ok(sizes)
}
