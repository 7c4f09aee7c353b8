//! What survives of a coordinator, and whether another one that has replayed its log has the same.

use super::record::Record;
use super::response::GroupState;
use super::{Coordinator, Group, Text};
use std::collections::BTreeSet;

impl Coordinator {
    /// What a group of `replayed`, which has been given the records of this coordinator's log, has otherwise than here;
    /// `None` if nothing is, as it has to be after every step.
    pub fn difference(&self, replayed: &Coordinator) -> Option<String> {
        let ids: BTreeSet<&Text> = self.groups.names().chain(replayed.groups.names()).collect();
        ids.into_iter().find_map(|id| {
            let (live, replayed) = (self.groups.get(id), replayed.groups.get(id));
            let is_preparing = live.is_some_and(|group| group.state() == GroupState::PreparingRebalance);
            let records = |group: Option<&Group>| group.map_or_else(Vec::new, |group| group.records(id, is_preparing));
            let (live, replayed) = (records(live), records(replayed));
            (live != replayed).then(|| format!("group {id} is {live:?}, its log says {replayed:?}"))
        })
    }
}

impl Group {
    /// The last value of each of its keys. While a classic group prepares a rebalance the log has its last generation,
    /// and the state does not: that record is left out then.
    fn records(&self, id: &Text, is_preparing: bool) -> Vec<Record> {
        let mut records = self.consumer.as_ref().map_or_else(Vec::new, |consumer| consumer.records(id));
        let classic = self.classic.as_ref().filter(|classic| classic.is_recorded() && !is_preparing);
        records.extend(classic.map(|classic| Record::Group { group: id.clone(), value: Some(classic.value()) }));
        for (topic, partitions) in self.offsets.topics() {
            records.extend(partitions.iter().map(|(partition, value)| Record::Offset {
                group: id.clone(),
                topic: topic.clone(),
                partition: *partition,
                value: Some(value.clone()),
            }));
        }
        records
    }
}
