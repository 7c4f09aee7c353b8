//! Which nodes have a topic's partitions.

use crate::codec::{DecodeError, Decoder, put_u64};
use torc_base::ids::NodeId;
use torc_base::limits::{REPLICAS_MAX, TOPIC_PARTITIONS_MAX};

/// The replicas of partitions in their order, the first of each the one that is to lead. Where the same assignments come
/// again and again they stand here once: a topic that was placed over few nodes takes few bytes, however many partitions
/// it has. Empty: the topic was made by a server without peers, which has all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replicas {
    runs: Vec<Run>,
}

/// Adjacent partitions with equally many replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    partitions: u32,
    copies: usize,
    /// Rows of `copies` nodes; behind the last the first comes again.
    nodes: Box<[NodeId]>,
}

impl Run {
    fn get(&self, partition: u32) -> &[NodeId] {
        let at = partition as usize * self.copies % self.nodes.len();
        &self.nodes[at..at + self.copies]
    }

    fn iter(&self) -> impl Iterator<Item = &[NodeId]> {
        self.nodes.chunks_exact(self.copies).cycle().take(self.partitions as usize)
    }
}

impl Replicas {
    /// Of one partition after the other. None of them may be without replicas.
    pub fn new<'a>(partitions: impl IntoIterator<Item = &'a [NodeId]>) -> Replicas {
        let mut replicas = Replicas::default();
        let (mut nodes, mut copies): (Vec<NodeId>, usize) = (Vec::new(), 0);
        for partition in partitions {
            assert!(!partition.is_empty(), "a partition has a replica");
            if partition.len() != copies {
                replicas.push(copies, std::mem::take(&mut nodes));
                copies = partition.len();
            }
            nodes.extend_from_slice(partition);
        }
        replicas.push(copies, nodes);
        replicas
    }

    /// Adds rows as a run, each of those that come again once.
    fn push(&mut self, copies: usize, mut nodes: Vec<NodeId>) {
        if nodes.is_empty() {
            return;
        }
        let partitions = (nodes.len() / copies) as u32;
        nodes.truncate(copies * period(&nodes.chunks_exact(copies).collect::<Vec<_>>()));
        self.runs.push(Run { partitions, copies, nodes: nodes.into() });
    }

    /// Partitions that are named.
    pub fn len(&self) -> u32 {
        self.runs.iter().map(|run| run.partitions).sum()
    }

    /// True if the one node has all of the topic.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The replicas of a partition; none if they are not named.
    pub fn get(&self, mut partition: u32) -> &[NodeId] {
        for run in &self.runs {
            if partition < run.partitions {
                return run.get(partition);
            }
            partition -= run.partitions;
        }
        &[]
    }

    /// All of them, in the order of partitions.
    pub fn iter(&self) -> impl Iterator<Item = &[NodeId]> {
        self.runs.iter().flat_map(Run::iter)
    }

    /// Assignments, and how many partitions have each; one may come several times.
    pub(super) fn counted(&self) -> impl Iterator<Item = (&[NodeId], u64)> {
        self.runs.iter().flat_map(|run| {
            let rows = (run.nodes.len() / run.copies) as u32;
            let times = move |row: u32| u64::from(run.partitions / rows + u32::from(row < run.partitions % rows));
            (0..rows).map(move |row| (run.get(row), times(row)))
        })
    }

    /// Those of partitions that come behind.
    pub fn extend(&mut self, more: &Replicas) {
        self.runs.extend(more.runs.iter().cloned());
    }

    /// Other replicas for some partitions, by their numbers.
    pub fn with(&self, changes: &[(u32, Vec<NodeId>)]) -> Replicas {
        let mut rows: Vec<&[NodeId]> = self.iter().collect();
        for (partition, nodes) in changes {
            rows[*partition as usize] = nodes;
        }
        Replicas::new(rows)
    }

    /// Appends them for the log or a checkpoint.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.runs.len() as u64);
        for run in &self.runs {
            put_u64(out, run.partitions.into());
            put_u64(out, run.copies as u64);
            put_u64(out, (run.nodes.len() / run.copies) as u64);
            run.nodes.iter().for_each(|node| put_u64(out, node.0.into()));
        }
    }

    /// Takes them off the front of what is being read.
    pub fn decode(from: &mut Decoder<'_, '_>) -> Result<Replicas, DecodeError> {
        let mut replicas = Replicas::default();
        for _ in 0..from.count(TOPIC_PARTITIONS_MAX, "runs of replicas")? {
            let room = TOPIC_PARTITIONS_MAX as u64 - u64::from(replicas.len());
            let partitions = from.u64_max(room, "partitions of a run")?;
            let copies = from.u64_max(REPLICAS_MAX as u64, "replicas of a partition")? as usize;
            let rows = from.count(TOPIC_PARTITIONS_MAX, "assignments")?;
            from.check(partitions > 0 && copies > 0 && (1..=partitions).contains(&(rows as u64)), "assignments")?;
            let mut nodes = Vec::new();
            for _ in 0..rows {
                let row = nodes.len();
                for _ in 0..copies {
                    let node = NodeId(from.u64_max(u32::MAX.into(), "replica")? as u32);
                    from.check(!nodes[row..].contains(&node), "replica")?;
                    nodes.push(node);
                }
            }
            replicas.runs.push(Run { partitions: partitions as u32, copies, nodes: nodes.into() });
        }
        Ok(replicas)
    }
}

/// How many of the first rows make all of them, when they come again and again. Source: the failure function of Knuth,
/// Morris and Pratt.
fn period(rows: &[&[NodeId]]) -> usize {
    let mut border = vec![0; rows.len()];
    let mut length = 0;
    for at in 1..rows.len() {
        while length > 0 && rows[at] != rows[length] {
            length = border[length - 1];
        }
        length += usize::from(rows[at] == rows[length]);
        border[at] = length;
    }
    rows.len() - length
}

#[cfg(test)]
#[path = "replicas_tests.rs"]
mod tests;
