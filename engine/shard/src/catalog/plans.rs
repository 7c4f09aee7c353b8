//! From what clients ask of the catalog to commands for its log.

use super::CatalogOwner;
use crate::groups::Groups;
use crate::kafka::DECOMMISSION;
use crate::mail::{self, Admin, AdminResult, ConfigChange, MorePartitions, Resource, TopicRef};
use torc_base::ids::TopicId;
use torc_base::limits::MADE_PARTITIONS_MAX;
use torc_base::prng::Prng;
use torc_base::time::Wall;
use torc_net::kafka::error;
use torc_state::catalog::{Catalog, CatalogError, Command, NewTopic};
use torc_state::config::Alter;

impl CatalogOwner {
    /// Turns a request's items into commands, or into the reasons why not.
    pub(super) fn plan(
        &mut self,
        groups: &mut Groups,
        now: Wall,
        admin: Admin,
    ) -> (Vec<Result<Command, AdminResult>>, bool) {
        let catalog = groups.catalog_mut().planner(&self.absent());
        match admin {
            Admin::Create { topics, validate_only } => {
                (plan_topics(catalog, &mut self.prng, now, topics), validate_only)
            }
            Admin::CreateInternal { name, partitions, replication } => {
                let name = name.as_str();
                let id = u128::from(self.prng.next_u64()) << 64 | u128::from(self.prng.next_u64());
                let plan = catalog.plan_internal(name, TopicId(id), partitions, replication, now);
                (vec![plan.map_err(|error| refused(&error))], false)
            }
            Admin::Delete(topics) => {
                let plans = topics.into_iter().map(|topic| match topic {
                    TopicRef::Name(name) => catalog.plan_delete(&name).map_err(|error| refused(&error)),
                    TopicRef::Id(id) if catalog.topic_by_id(id).is_some() => Ok(Command::DeleteTopic { id }),
                    TopicRef::Id(id) => Err(refused(&CatalogError::UnknownTopicId(id))),
                });
                (plans.collect(), false)
            }
            Admin::AddPartitions { topics, validate_only } => (plan_partitions(catalog, topics), validate_only),
            Admin::Reassign { .. } => unreachable!("several of its items are one command"),
            Admin::Configs { resources, validate_only } => {
                let of_groups = &self.coordinator;
                let plans = resources.into_iter().map(|(resource, change)| {
                    let plan = match (resource, change) {
                        (Resource::Node(node), change) => catalog.plan_leave(node, decommissions(&change)),
                        (Resource::Topic(name), ConfigChange::Alter(changes)) => catalog.plan_alter(&name, &changes),
                        (Resource::Topic(name), ConfigChange::Replace(all)) => catalog.plan_config(&name, all),
                        (Resource::Group(name), ConfigChange::Alter(changes)) => {
                            catalog.plan_group_alter(of_groups, &name, &changes)
                        }
                        (Resource::Group(name), ConfigChange::Replace(all)) => {
                            catalog.plan_group_config(of_groups, &name, all)
                        }
                    };
                    plan.map_err(|error| refused(&error))
                });
                (plans.collect(), validate_only)
            }
        }
    }
}

fn plan_topics(
    catalog: &mut Catalog,
    prng: &mut Prng,
    now: Wall,
    topics: Vec<mail::NewTopic>,
) -> Vec<Result<Command, AdminResult>> {
    let wanted = topics.iter().map(|one| catalog.wanted_partitions(one.partitions, one.assignments.len()));
    let is_too_much = wanted.fold(0, usize::saturating_add) > MADE_PARTITIONS_MAX;
    let plan = |topic: mail::NewTopic| {
        if is_too_much {
            return Err(too_many());
        }
        if let Some((code, why)) = topic.refused {
            return Err(AdminResult::refused(code, why));
        }
        let id = u128::from(prng.next_u64()) << 64 | u128::from(prng.next_u64());
        let new = NewTopic {
            name: topic.name,
            id: TopicId(id),
            partitions: topic.partitions,
            replication: topic.replication,
            assignments: topic.assignments,
            config: topic.config,
            created: now,
        };
        catalog.plan_create(new).map_err(|error| refused(&error))
    };
    topics.into_iter().map(plan).collect()
}

/// What no longer fits into the request is refused, and the rest is made.
fn plan_partitions(catalog: &mut Catalog, topics: Vec<MorePartitions>) -> Vec<Result<Command, AdminResult>> {
    let mut left = MADE_PARTITIONS_MAX;
    let plan = |topic: MorePartitions| {
        let more = catalog.added_partitions(&topic.name, topic.total);
        let after = left.checked_sub(more).ok_or_else(too_many)?;
        let plan = catalog.plan_partitions(&topic.name, topic.total, topic.assignments.as_deref());
        let command = plan.map_err(|error| refused(&error))?;
        left = after;
        Ok(command)
    };
    topics.into_iter().map(plan).collect()
}

/// True if a node is to be left by all its replicas; that it is not is said by any other value.
fn decommissions(change: &ConfigChange) -> bool {
    let ConfigChange::Alter(changes) = change else { return false };
    matches!(&changes[..], [(key, Alter::Set(value))] if key == DECOMMISSION && value == "true")
}

/// What a request gets that would make more partitions than one may: all of it, if it is for new topics, as in Kafka.
fn too_many() -> AdminResult {
    let why = "Excessively large number of partitions per request.";
    AdminResult::refused(error::POLICY_VIOLATION, why.into())
}

fn refused(error: &CatalogError) -> AdminResult {
    AdminResult::refused(error.code(), error.to_string())
}
