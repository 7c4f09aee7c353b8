//! What must be true of a group's members whatever clients see: a leader for each term, which commits by an entry of that
//! term, and the same entries committed everywhere.
//!
//! Members are looked at now and then, not at every step. What they were is remembered, so most that is wrong is seen in the
//! end.

use crate::violation::{Rule, Violation};
use std::collections::BTreeMap;
use torc_shard::GroupMarks;

/// What was seen of all members of all groups.
#[derive(Debug, Default)]
pub struct Marks {
    /// Who led, by group and term.
    leaders: BTreeMap<(u64, u64), usize>,
    /// The terms of entries that some member had for committed, by group and index.
    committed: BTreeMap<(u64, u64), u64>,
    /// What each leader had for committed in its term when it was looked at last, by group and node.
    led: BTreeMap<(u64, usize), (u64, u64)>,
}

impl Marks {
    /// A member as it is now.
    pub fn see(&mut self, node: usize, marks: &GroupMarks) -> Result<(), Violation> {
        let (group, term, index) = (marks.group.0, marks.term.get(), marks.committed.get());
        let wrong = |rule, text: String| Err(Violation::new(rule, format!("group {group}: {text}")));
        if let Some(of) = marks.committed_term.map(|term| term.get()).filter(|_| index > 0) {
            let known = *self.committed.entry((group, index)).or_insert(of);
            if known != of {
                let text = format!("entry {index} is committed with term {known}, and on node {node} with term {of}");
                return wrong(Rule::CommittedAgrees, text);
            }
        }
        if !marks.leads {
            self.led.remove(&(group, node));
            return Ok(());
        }
        let leader = *self.leaders.entry((group, term)).or_insert(node);
        if leader != node {
            return wrong(Rule::OneLeader, format!("nodes {leader} and {node} both lead in term {term}"));
        }
        let before = self.led.insert((group, node), (term, index));
        let has_moved = before.is_some_and(|(of, at)| of == term && at < index);
        if has_moved && marks.committed_term.is_some_and(|of| of != marks.term) {
            let of = marks.committed_term.expect("just seen");
            let text = format!("node {node} leads term {term}, and has committed entry {index} of term {of} by itself");
            return wrong(Rule::OwnTerm, text);
        }
        Ok(())
    }

    /// A node's process has ended.
    pub fn ended(&mut self, node: usize) {
        self.led.retain(|(_, of), _| *of != node);
    }
}

#[cfg(test)]
#[path = "marks_tests.rs"]
mod tests;
