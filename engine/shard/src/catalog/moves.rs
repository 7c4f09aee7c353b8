//! The controller's part in moves: it ends those that have come to their target, and has nodes left that are to be.

use super::job::Job;
use super::{CatalogOwner, Cause, refused};
use crate::groups::{Arrival, Groups, Out};
use crate::mail::{AdminResult, Asker, Reassign};
use std::collections::BTreeMap;
use torc_base::ids::{Index, TopicId};
use torc_base::time::Mono;
use torc_net::kafka::error;
use torc_state::catalog::{Command, Ended, Topic, Wishes};

/// Partitions that leave one node at a time, and between two looks at what could leave.
const DEPARTURES_AT_ONCE: usize = 64;
const DEPARTURES_MS: u64 = 500;

/// What the controller has heard.
#[derive(Default)]
pub(super) struct Moves {
    arrived: Vec<Arrival>,
    /// Nodes are to be left: when it is looked at what could.
    departs_at: Option<Mono>,
}

impl Moves {
    /// This node is not the controller.
    pub fn clear(&mut self) {
        *self = Moves::default();
    }

    pub fn deadline(&self) -> Option<Mono> {
        self.departs_at
    }
}

impl CatalogOwner {
    /// Groups have come to their targets, as those say who lead them.
    pub fn arrived(&mut self, arrived: Vec<Arrival>) {
        self.moves.arrived.extend(arrived);
    }

    /// Refused, an arrival is told again.
    pub(super) fn drive_moves(&mut self, groups: &mut Groups, out: &mut Out) {
        if self.fenced {
            return self.moves.clear();
        }
        self.end_moves(groups, out);
        let catalog = groups.catalog().state();
        if catalog.leaving().is_empty() {
            self.moves.departs_at = None;
        } else if self.moves.departs_at.is_none_or(|at| at <= out.now.mono) {
            self.moves.departs_at = Some(out.now.mono.plus_ms(DEPARTURES_MS));
            let absent = self.absent();
            let catalog = groups.catalog_mut().planner(&absent);
            let mut commands = catalog.plan_departures(DEPARTURES_AT_ONCE);
            if catalog.pending().len() == 0 {
                commands.extend(catalog.left().map(Command::RemoveNode));
            }
            for command in commands {
                let _ = groups.propose_command(out, command);
            }
        }
    }

    /// Begins moves that a client asks for, those of one topic by one command.
    pub(super) fn begin_reassign(
        &mut self,
        groups: &mut Groups,
        out: &mut Out,
        asker: Asker,
        topics: Vec<Reassign>,
        factor: bool,
    ) {
        let items = topics.iter().map(|topic| topic.partitions.len()).sum();
        let number = self.put_job(Job::new(out.now.mono, asker, items, false));
        let mut item = 0;
        for Reassign { topic, partitions } in topics {
            let (mut wishes, mut causes, mut id) = (Wishes::new(), Vec::new(), None);
            for (partition, target) in partitions {
                let catalog = groups.catalog().state();
                match catalog.plan_move(&topic, partition, target.as_deref(), factor) {
                    Ok(None) => self.job(number).item_done(item, AdminResult::code(error::NONE), (Index(0), 0)),
                    Ok(Some((of, partition, target))) => {
                        id = Some(of);
                        wishes.push((partition, target));
                        causes.push(item);
                    }
                    Err(error) => self.job(number).item_done(item, refused(&error), (Index(0), 0)),
                }
                item += 1;
            }
            let Some(id) = id else { continue };
            let (command, cause) = (Command::Move { id, wishes }, Cause::Moves { job: number, items: causes.clone() });
            if let Err(code) = self.append(groups, out, command, cause) {
                let result = AdminResult::code(code);
                causes.into_iter().for_each(|item| self.job(number).item_done(item, result.clone(), (Index(0), 0)));
            }
        }
    }

    fn end_moves(&mut self, groups: &mut Groups, out: &mut Out) {
        let arrived = std::mem::take(&mut self.moves.arrived);
        if arrived.is_empty() {
            return;
        }
        let catalog = groups.catalog().state();
        let mut ended: BTreeMap<TopicId, Vec<Ended>> = BTreeMap::new();
        for Arrival { group, number, members } in arrived {
            let Some((topic, partition)) = catalog.partition_of(group) else { continue };
            if topic.moves.get(&partition).is_some_and(|a_move| a_move.number == number) {
                ended.entry(topic.id).or_default().push(Ended { partition, number, members });
            }
        }
        let is_said = |command: &Command| catalog.pending().any(|(_, pending)| pending == command);
        let commands = ended.into_iter().map(|(id, ended)| Command::EndMoves { id, ended });
        let commands: Vec<Command> = commands.filter(|command| !is_said(command)).collect();
        for command in commands {
            let _ = groups.propose_command(out, command);
        }
    }
}

/// A line for the log about partitions that are to move.
pub(super) fn begun(topic: &Topic) -> String {
    format!("topic {} is altered: {} of its partitions are being moved", topic.name, topic.moves.len())
}

/// The same of partitions that have.
pub(super) fn ended(topic: &Topic, ended: &[Ended]) -> String {
    let each = ended.iter().take(10).map(|ended| {
        let nodes: Vec<String> = topic.replicas.get(ended.partition).iter().map(|node| node.to_string()).collect();
        format!("partition {} is on nodes {}", ended.partition, nodes.join(","))
    });
    let each: Vec<String> = each.collect();
    let more = if ended.len() > 10 { format!(" and {} more have moved", ended.len() - 10) } else { String::new() };
    format!("topic {} was altered: {}{more}", topic.name, each.join(", "))
}
