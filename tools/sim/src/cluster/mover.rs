//! Has partitions brought to other nodes all the time, and changes its mind. When it is to stop, all that is under way must
//! end.

use super::guide::{Guide, Nodes, topic_name};
use super::logs::Logs;
use super::{Actor, explain};
use crate::client::Next;
use crate::history::code;
use crate::violation::{Rule, Violation};
use crate::wire::{Asked, decode};
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId, ElectLeadersRequest,
    ElectLeadersResponse, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};
use torc_base::prng::Prng;

/// There is nothing to cancel, the node leads already, or cannot lead now.
const NO_REASSIGNMENT: i16 = 85;
const ELECTION_NOT_NEEDED: i16 = 84;
const PREFERRED_NOT_AVAILABLE: i16 = 80;
/// A node has joined and has not yet said where it is.
const INVALID_REPLICA_ASSIGNMENT: i16 = 39;
/// It changed its mind so often that too many nodes have the partition.
const POLICY_VIOLATION: i16 = 44;

/// See the module.
pub struct Mover {
    guide: Guide,
    pause: u64,
    copies_min: usize,
    /// It likes to leave a partition with its leader, and to bring all else of it to others.
    ousts: bool,
    stopping: bool,
    /// Nodes that know of no move, one after the other.
    quiet: usize,
}

impl Mover {
    /// Moves about one partition in each `pause`, to `copies_min` nodes at least.
    pub fn new(rng: Prng, pause: u64, copies_min: usize) -> Mover {
        Mover { guide: Guide::new(rng), pause, copies_min, ousts: false, stopping: false, quiet: 0 }
    }

    /// The same, which mostly brings all replicas but the leader's to other nodes.
    pub fn of_all_but_leaders(rng: Prng, pause: u64, copies_min: usize) -> Mover {
        Mover { ousts: true, ..Mover::new(rng, pause, copies_min) }
    }

    /// Of the nodes `ids`, those that a partition is to have instead of all it has but its leader; `None`: it is not known, or they are
    /// too few.
    fn all_but_leader(&self, (topic, partition): (usize, usize), ids: &[i32]) -> Option<Vec<i32>> {
        let (leader, replicas) = (self.guide.leader(topic, partition)?.node, self.guide.replicas(topic, partition));
        let others = ids.iter().copied().filter(|id| !replicas.contains(&(*id as usize - 1)));
        let wanted: Vec<i32> = std::iter::once(leader as i32 + 1).chain(others).take(replicas.len()).collect();
        (replicas.contains(&leader) && wanted.len() == replicas.len() && wanted.len() > 2).then_some(wanted)
    }

    fn list(&mut self, nodes: &mut dyn Nodes) {
        let request = ListPartitionReassignmentsRequest::default().with_topics(None).with_timeout_ms(5_000);
        if let Some(line) = self.guide.line(nodes, self.quiet) {
            line.ask(nodes, 0, &request, Some(Asked::Reassignments));
        }
    }

    fn wish(&mut self, nodes: &mut dyn Nodes, logs: &Logs) {
        let rng = &mut self.guide.rng;
        let live = logs.live();
        if live.is_empty() {
            return;
        }
        let topic = live[rng.below(live.len() as u64) as usize];
        let partition = rng.below(logs.topics[topic].partitions.len() as u64) as i32;
        let count = logs.nodes as u64;
        let mut ids: Vec<i32> = (1..=count as i32).collect();
        for at in (1..ids.len()).rev() {
            ids.swap(at, rng.below(at as u64 + 1) as usize);
        }
        let ousts = self.ousts && rng.chance(3, 4);
        let most = rng.between(self.copies_min as u64, count.min(4)) as usize;
        let (cancels, elects) = (rng.chance(1, 5), rng.chance(1, 8));
        let node = rng.below(count) as usize;
        match self.all_but_leader((topic, partition as usize), &ids).filter(|_| ousts) {
            Some(wanted) => ids = wanted,
            None => ids.truncate(most),
        }
        if self.ousts {
            self.guide.doubt(nodes.now());
        }
        let Some(line) = self.guide.line(nodes, node) else { return };
        if elects {
            let request = ElectLeadersRequest::default().with_topic_partitions(None).with_timeout_ms(2_000);
            return line.ask(nodes, 2, &request, Some(Asked::Elect));
        }
        let replicas = (!cancels).then(|| ids.into_iter().map(BrokerId).collect());
        let one = ReassignablePartition::default().with_partition_index(partition).with_replicas(replicas);
        let wanted = ReassignableTopic::default().with_name(topic_name(logs, topic)).with_partitions(vec![one]);
        let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![wanted]).with_timeout_ms(5_000);
        line.ask(nodes, 0, &request, Some(Asked::Reassign));
    }
}

impl Actor for Mover {
    fn wake(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs) -> Result<Next, Violation> {
        self.guide.wake(nodes);
        if self.guide.outstanding() > 0 {
            return Ok(Next::Wake(10_000_000));
        }
        if !self.stopping {
            self.wish(nodes, logs);
            return Ok(Next::Wake(self.guide.rng.between(self.pause / 4, 2 * self.pause)));
        }
        if self.quiet == logs.nodes {
            self.guide.hang_up(nodes);
            return Ok(Next::Done);
        }
        self.list(nodes);
        Ok(Next::Wake(20_000_000))
    }

    fn receive(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs, link: u64, bytes: &[u8]) -> Result<(), Violation> {
        for (waiting, frame) in self.guide.receive(nodes.now(), logs, link, bytes)? {
            match waiting.asked {
                Asked::Reassign => {
                    let answer: AlterPartitionReassignmentsResponse = decode(frame, waiting.version)?;
                    let inside = answer.responses.iter().flat_map(|topic| &topic.partitions);
                    for error in inside.map(|one| one.error_code).chain([answer.error_code]) {
                        match error {
                            code::NONE | NO_REASSIGNMENT | POLICY_VIOLATION => {}
                            INVALID_REPLICA_ASSIGNMENT if logs.has_newcomers => {}
                            error => explain(logs, "a reassignment", error)?,
                        }
                    }
                }
                Asked::Elect => {
                    let answer: ElectLeadersResponse = decode(frame, waiting.version)?;
                    let inside = answer.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
                    for error in inside.map(|one| one.error_code).chain([answer.error_code]) {
                        match error {
                            code::NONE | ELECTION_NOT_NEEDED | PREFERRED_NOT_AVAILABLE => {}
                            error => explain(logs, "an election", error)?,
                        }
                    }
                }
                Asked::Reassignments => {
                    let answer: ListPartitionReassignmentsResponse = decode(frame, waiting.version)?;
                    self.quiet = if answer.topics.is_empty() { self.quiet + 1 } else { 0 };
                }
                asked => return Err(Violation::new(Rule::Protocol, format!("a mover asked for {asked:?}"))),
            }
        }
        Ok(())
    }

    fn lost(&mut self, nodes: &mut dyn Nodes, _: &mut Logs, link: u64) {
        self.guide.lost(nodes.now(), link);
    }

    fn has(&self, link: u64) -> bool {
        self.guide.has(link)
    }

    fn stop(&mut self) {
        self.stopping = true;
    }
}
