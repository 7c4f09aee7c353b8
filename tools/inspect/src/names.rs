//! Which group is which partition: from the catalog's state in the checkpoint and the commands behind it.

use crate::dry_run::DryRun;
use torc_base::ids::{GroupId, Index};
use torc_state::catalog::{Catalog, Command, Defaults};

/// Names of groups, as far as they are known.
pub struct Names {
    catalog: Catalog,
    /// Why topics may be missing.
    pub incomplete: Option<String>,
}

impl Names {
    /// No topics.
    pub fn none(why: String) -> Names {
        Names { catalog: Catalog::new(Defaults::default()), incomplete: Some(why) }
    }

    /// What shard 0 knows.
    pub fn of(shard_0: &DryRun) -> Names {
        let mut names = match &shard_0.catalog {
            None => Names { catalog: Catalog::new(Defaults::default()), incomplete: None },
            Some(section) => match decode(section) {
                Ok(catalog) => Names { catalog, incomplete: None },
                Err(why) => return Names::none(format!("the catalog in the checkpoint cannot be read: {why}")),
            },
        };
        for (index, bytes) in &shard_0.commands {
            match Command::decode(bytes) {
                Ok(command) => {
                    names.catalog.apply(*index, &command);
                }
                Err(error) => names.incomplete = Some(format!("command {index} of the catalog: {error}")),
            }
        }
        names
    }

    /// Topic and partition, such as `orders-3`; `catalog`, `tree`; or `None` for a group that no topic has (any more).
    pub fn of_group(&self, group: GroupId) -> Option<String> {
        if group == GroupId::CATALOG {
            return Some("catalog".to_string());
        }
        if group == GroupId::TREE {
            return Some("tree".to_string());
        }
        self.catalog.partition_of(group).map(|(topic, partition)| format!("{}-{partition}", topic.name))
    }

    /// The name, or the group's number.
    pub fn label(&self, group: GroupId) -> String {
        self.of_group(group).unwrap_or_else(|| format!("group {group}"))
    }

    /// The group of a partition, or why there is none. The partition may be left out if the topic has only one.
    pub fn find(&self, topic: &str, partition: Option<u32>) -> Result<GroupId, String> {
        let Some(found) = self.catalog.topic(topic) else {
            let known: Vec<&str> = self.catalog.topics().map(|t| &*t.name).take(20).collect();
            let known =
                if known.is_empty() { "there are none".into() } else { format!("there are {}", known.join(", ")) };
            let why = self.incomplete.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            return Err(format!("no topic is called {topic}: {known}{why}; --group takes a group's number"));
        };
        let count = found.partitions.len();
        let partition = match partition {
            None if count != 1 => {
                return Err(format!("topic {topic} has {count} partitions: say which one with --partition, from 0"));
            }
            named => named.unwrap_or(0),
        };
        let missing = || format!("topic {topic} has no partition {partition}: it has {count}, numbered from 0");
        found.partitions.get(partition).ok_or_else(missing)
    }
}

/// The catalog in its section of a checkpoint.
pub fn decode(section: &[u8]) -> Result<Catalog, String> {
    let (applied, mut state) = section.split_first_chunk::<8>().ok_or("it is too short")?;
    let catalog = Catalog::decode(Defaults::default(), &mut state).map_err(|error| error.to_string())?;
    let applied = Index(u64::from_le_bytes(*applied));
    if catalog.applied() > applied {
        return Err(format!("it holds command {}, its section says {applied}", catalog.applied()));
    }
    Ok(catalog)
}
