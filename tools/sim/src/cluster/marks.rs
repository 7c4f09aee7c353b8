//! What must be true of a group's members whatever clients see: a leader for each term, which commits by an entry of that
//! term, and the same entries committed everywhere.
//!
//! The members on a shard are looked at after each of its turns, so that nothing passes unseen: a commit that is wrong may be
//! right a moment later.

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
    /// What all were when they were looked at last, by node and group.
    seen: BTreeMap<(usize, u64), GroupMarks>,
    /// The last node that has begun to lead, or to change members.
    newest: Option<usize>,
    /// The last one that has begun to change members.
    changing: Option<usize>,
    /// The last one that has voted for another one, and for which.
    voter: Option<(usize, usize)>,
}

impl Marks {
    /// A member as it is now.
    pub fn see(&mut self, node: usize, marks: &GroupMarks) -> Result<(), Violation> {
        let (group, term, index) = (marks.group.0, marks.term.get(), marks.committed.get());
        let before = self.seen.insert((node, group), *marks);
        if before == Some(*marks) {
            return Ok(());
        }
        if marks.changes && !before.is_some_and(|before| before.changes) {
            (self.newest, self.changing) = (Some(node), Some(node));
        }
        let has_voted = before.is_some_and(|before| (before.term, before.vote) != (marks.term, marks.vote));
        if let Some(of) = marks.vote.map(|of| of.get() as usize - 1).filter(|of| has_voted && *of != node) {
            self.voter = Some((node, of));
        }
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
        let leader = *self.leaders.entry((group, term)).or_insert_with(|| {
            self.newest = Some(node);
            node
        });
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
        self.seen.retain(|(of, _), _| *of != node);
    }

    /// The node that leads most groups.
    pub fn leads_most(&self) -> Option<usize> {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        self.led.keys().for_each(|(_, node)| *counts.entry(*node).or_default() += 1);
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(node, _)| node)
    }

    /// The last node that has begun to lead, or to change members, since that was last asked or forgotten.
    pub fn take_newest(&mut self) -> Option<usize> {
        self.newest.take()
    }

    /// The last node that has begun to change members, since that was last asked or forgotten.
    pub fn take_changing(&mut self) -> Option<usize> {
        self.changing.take()
    }

    /// The last node that has voted for another one, since that was last forgotten, and for which.
    pub fn voter(&self) -> Option<(usize, usize)> {
        self.voter
    }

    /// What was is not news.
    pub fn forget_newest(&mut self) {
        (self.newest, self.changing, self.voter) = (None, None, None);
    }
}

#[cfg(test)]
#[path = "marks_tests.rs"]
mod tests;
