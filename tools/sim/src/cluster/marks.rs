//! What must be true of a group's members whatever clients see: a leader for each term, which has all that is committed and commits
//! by an entry of that term, the same entries committed everywhere, and no vote for who does not hold the log.
//!
//! The members on a shard are looked at after each of its turns, so that nothing passes unseen: a commit that is wrong may be
//! right a moment later.

use crate::violation::{Rule, Violation};
use std::collections::BTreeMap;
use torc_base::ids::GroupId;
use torc_shard::GroupMarks;

/// A member that votes in a group, or has done so and is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voter {
    pub node: usize,
    /// It votes before the change that is under way, and after it.
    pub before: bool,
    pub after: bool,
}

/// What may be waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Until {
    #[default]
    Never,
    /// Somebody has voted for another one.
    Voted,
    /// Somebody has begun to change the voters of a group.
    Changing,
    /// One of these nodes has a group that is new to it, and nothing of it on its disk.
    Born(Vec<usize>),
    /// One of these nodes has a group's change on its disk.
    OnDisk { change: Changing, nodes: Vec<usize> },
    /// Whoever began the change has told the members that it is to end, or leads no longer.
    Ending(Changing),
    /// Whoever began the change has come to its end.
    Changed(Changing),
    /// Another node than whoever began the change leads the group.
    LedElsewhere(Changing),
}

/// A change of a group's voters: who leads it, and the entry of the log that it began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changing {
    pub node: usize,
    pub group: GroupId,
    pub entry: u64,
    /// Those before and those after it vote until it ends; else, which is wrong if they are many, it is all that there is.
    pub is_joint: bool,
}

/// The last entry that was seen committed of a group: its term and index, and the term of whoever was the first to know.
type Newest = (u64, u64, u64);

/// What was seen of all members of all groups.
#[derive(Debug, Default)]
pub struct Marks {
    /// Who led, by group and term.
    leaders: BTreeMap<(u64, u64), usize>,
    /// The terms of entries that some member had for committed, by group and index.
    committed: BTreeMap<(u64, u64), u64>,
    /// The last of those, by group.
    last_committed: BTreeMap<u64, Newest>,
    /// How far the log of a group was ever on a node's disk.
    held: BTreeMap<(usize, u64), u64>,
    /// What each leader had for committed in its term when it was looked at last, by group and node.
    led: BTreeMap<(u64, usize), (u64, u64)>,
    /// What all were when they were looked at last, by node and group.
    seen: BTreeMap<(usize, u64), GroupMarks>,
    /// The last node that has begun to lead, or to change members.
    newest: Option<usize>,
    /// Leaders whose groups have other members than when they were looked at last, and whether they led these then.
    reseated: Vec<(usize, GroupId, bool)>,
    /// Who votes in the group of a leader when what is under way has ended.
    seats: BTreeMap<(usize, u64), Vec<usize>>,
    /// The last change of voters that has begun, and those.
    changing: Option<(Changing, Vec<Voter>)>,
    /// The last one that has voted for another one, and for which.
    voter: Option<(usize, usize)>,
    /// The last one that has got a group of which its disk has nothing.
    born: Option<usize>,
}

impl Marks {
    /// A member as it is now.
    pub fn see(&mut self, node: usize, marks: &GroupMarks) -> Result<(), Violation> {
        let (group, term, index) = (marks.group.0, marks.term.get(), marks.committed.get());
        let before = self.seen.insert((node, group), *marks);
        if before == Some(*marks) {
            return Ok(());
        }
        let held = self.held.entry((node, group)).or_default();
        *held = marks.durable.get().max(*held);
        if before.is_none() && marks.durable.get() == 0 {
            self.born = Some(node);
        }
        let led = before.filter(|before| before.leads && before.term == marks.term);
        if marks.leads && led.is_none_or(|led| led.members_since != marks.members_since) {
            self.reseated.push((node, marks.group, led.is_some()));
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
            let last = self.last_committed.entry(group).or_insert((of, index, term));
            if last.1 < index {
                *last = (of, index, term);
            }
        }
        if !marks.leads {
            self.led.remove(&(group, node));
            return Ok(());
        }
        let begins = !self.leaders.contains_key(&(group, term));
        let leader = *self.leaders.entry((group, term)).or_insert(node);
        if begins {
            self.newest = Some(node);
            let last = self.last_committed.get(&group).copied();
            // Of an older term than that of the commit it may have been elected before.
            let last = last.filter(|(.., known)| *known < term).map(|(of, index, _)| (of, index));
            let has = marks.before.0.map(|of| (of.get(), marks.before.1.get()));
            if let (Some(last), Some(has)) = (last, has)
                && has < last
            {
                let text = format!(
                    "node {node} begins to lead in term {term} with a log to {has:?}, of {last:?} that are committed"
                );
                return wrong(Rule::LeaderHasAll, text);
            }
        }
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
        self.seats.retain(|(of, _), _| *of != node);
    }

    /// The node that leads most groups.
    pub fn leads_most(&self) -> Option<usize> {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        self.led.keys().for_each(|(_, node)| *counts.entry(*node).or_default() += 1);
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(node, _)| node)
    }

    /// The node that leads a group in the newest term of which that is known.
    pub fn leads(&self, group: GroupId) -> Option<usize> {
        let of = self.led.iter().filter(|((of, _), _)| *of == group.0);
        of.max_by_key(|(_, (term, _))| *term).map(|((_, node), _)| *node)
    }

    /// The last node that has begun to lead, or to change members, since that was last asked or forgotten.
    pub fn take_newest(&mut self) -> Option<usize> {
        self.newest.take()
    }

    /// The last change of voters that has begun, since that was last asked or forgotten, and those voters.
    pub fn take_changing(&mut self) -> Option<(Changing, Vec<Voter>)> {
        self.changing.take()
    }

    /// Leaders whose groups have other members since that was last asked.
    pub fn take_reseated(&mut self) -> Vec<(usize, GroupId, bool)> {
        std::mem::take(&mut self.reseated)
    }

    /// These are the voters of a group by what its leader has, which may have had others when it led before.
    pub fn seat(&mut self, node: usize, group: GroupId, led: bool, mut voters: Vec<Voter>) -> Result<(), Violation> {
        let Some(seen) = self.seen.get(&(node, group.0)) else { return Ok(()) };
        let (entry, is_joint) = (seen.members_since.get(), seen.changes);
        let after: Vec<usize> = voters.iter().filter(|voter| voter.after).map(|voter| voter.node).collect();
        let before = self.seats.insert((node, group.0), after.clone()).filter(|_| led);
        if !is_joint {
            let Some(before) = before.filter(|before| *before != after) else { return Ok(()) };
            voters.iter_mut().for_each(|voter| voter.before = before.contains(&voter.node));
            let going = before.iter().filter(|node| !after.contains(node));
            voters.extend(going.map(|node| Voter { node: *node, before: true, after: false }));
        }
        let change = Changing { node, group, entry, is_joint };
        let verdict = self.see_voters(change, &voters);
        (self.newest, self.changing) = (Some(node), Some((change, voters)));
        verdict
    }

    /// These are the voters of a change that has just begun: those that are new must hold the log at least to where the term of
    /// their leader began.
    pub fn see_voters(&self, change: Changing, voters: &[Voter]) -> Result<(), Violation> {
        // What it found begun when it was elected its predecessor has answered for.
        let began = |leader: &&GroupMarks| leader.before.1.get() < change.entry;
        let Some(leader) = self.seen.get(&(change.node, change.group.0)).filter(began) else { return Ok(()) };
        let new = voters.iter().filter(|voter| voter.after && !voter.before);
        for Voter { node, .. } in new {
            let held = self.held.get(&(*node, change.group.0)).copied().unwrap_or(0);
            if held <= leader.before.1.get() {
                let text = format!(
                    "group {}: node {node} gets a vote in term {} with a log to {held}, and the term began behind {}",
                    change.group, leader.term, leader.before.1
                );
                return Err(Violation::new(Rule::LearnersFirst, text));
            }
        }
        Ok(())
    }

    /// The last node that has got a group of which its disk has nothing, since that was last forgotten.
    pub fn born(&self) -> Option<usize> {
        self.born
    }

    /// The node that leads a group, and the entry since which its members are who they are.
    pub fn leader(&self, group: GroupId) -> Option<(usize, u64)> {
        let leads = self.seen.iter().filter(|((_, of), seen)| *of == group.0 && seen.leads);
        leads.max_by_key(|(_, seen)| seen.term).map(|((node, _), seen)| (*node, seen.members_since.get()))
    }

    /// True if that has happened.
    pub fn meet(&self, until: &Until) -> bool {
        match until {
            Until::Never => false,
            Until::Voted => self.voter.is_some(),
            Until::Changing => self.changing.is_some(),
            Until::Born(nodes) => self.born.is_some_and(|born| nodes.contains(&born)),
            Until::OnDisk { change, nodes } => nodes.iter().any(|node| {
                let seen = self.seen.get(&(*node, change.group.0));
                seen.is_some_and(|seen| seen.members_since.get() == change.entry && seen.durable.get() >= change.entry)
            }),
            Until::Ending(change) => {
                let seen = self.seen.get(&(change.node, change.group.0));
                seen.is_none_or(|seen| !seen.leads || seen.members_since.get() != change.entry)
            }
            Until::Changed(change) => {
                let seen = self.seen.get(&(change.node, change.group.0));
                let ends = |seen: &GroupMarks| !change.is_joint || seen.members_since.get() != change.entry;
                // Or it is none that ends.
                seen.is_none_or(|seen| ends(seen) && seen.committed >= seen.members_since)
            }
            Until::LedElsewhere(change) => self.leads(change.group).is_some_and(|node| node != change.node),
        }
    }

    /// The last node that has voted for another one, since that was last forgotten, and for which.
    pub fn voter(&self) -> Option<(usize, usize)> {
        self.voter
    }

    /// What was is not news.
    pub fn forget_newest(&mut self) {
        (self.newest, self.changing, self.voter, self.born) = (None, None, None, None);
    }
}

#[cfg(test)]
#[path = "marks_tests.rs"]
mod tests;
