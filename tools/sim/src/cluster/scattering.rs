//! Disks of several nodes at once lose entries, in different places each (`scatter.rs`), in runs in which they lose nothing else.
//!
//! The budget: each entry stays whole on one member at least that has it on its disk and votes. That holds for as long as the run goes on,
//! however often this happens, and though what has rotted is perhaps never read: whoever comes to vote later has got all from a leader
//! that had it. So nothing rots of a group that may go on with some of its members and nobody new: it has more than the least number
//! of them, and replicas move. Nor of one whose members are changing, or of one that is compacted: who lacks what compaction has taken
//! everywhere else begins anew, and what it had with it is gone.

use super::{Run, runs_whole};
use crate::cluster::scatter::Entry;
use crate::violation::Violation;
use std::collections::BTreeMap;
use torc_base::ids::GroupId;
use torc_base::io::App;

/// All get so long to have everything that they lack, before more is lost.
const WHOLE_MS: (u64, u64) = (200, 2_500);

impl<A: App> Run<A> {
    /// Entries rot on several disks, if it is time for that; false if not.
    pub(super) fn scatter(&mut self) -> Result<bool, Violation> {
        if !self.budget.scatters_now() {
            return Ok(false);
        }
        // What a disk has lost and still lacks another one is not to lose.
        let (least, most) = WHOLE_MS;
        let ms = self.budget.rng().between(least, most);
        self.heal(false);
        self.phase(ms)?;
        let whole = |node| runs_whole(&self.world, self.subject.is_whole, node);
        if !(0..self.world.nodes()).filter(|node| self.newcomers.is_in(*node)).all(whole) {
            return Ok(true);
        }
        let rotten = self.rot_entries();
        self.world.trail.say(format!("entries rot, by disk: {rotten:?}"));
        self.logs.reads_fail = true;
        if self.budget.rng().chance(2, 3) {
            self.start_all_anew(ms)?;
        }
        Ok(true)
    }

    fn rot_entries(&mut self) -> Vec<usize> {
        let settled = self.settled_groups();
        let Run { world, budget, subject, .. } = self;
        let mut disks = std::mem::take(&mut world.disks);
        let keeps = |shard: usize, (group, term, index): Entry| {
            let votes = settled.get(&group).is_some_and(|voters| voters.contains(&world.node_of(shard)));
            votes && world.app(shard).is_some_and(|app| (subject.keeps)(app, group, term, index))
        };
        let rotten = budget.scatter(&mut disks, keeps);
        world.disks = disks;
        rotten
    }

    /// Groups in whose members entries may rot, and who votes there.
    fn settled_groups(&self) -> BTreeMap<GroupId, Vec<usize>> {
        let mut settled = BTreeMap::new();
        for shard in 0..self.world.shards() {
            let Some(app) = self.world.app(shard) else { continue };
            let mut led = Vec::new();
            (self.subject.marks)(app, &mut |member| {
                if member.leads && self.marks.leads(member.group) == Some(self.world.node_of(shard)) {
                    led.push(member.group);
                }
            });
            for group in led {
                let voters = (self.subject.voters)(app, group);
                let stays = voters.iter().all(|voter| voter.before && voter.after);
                let may_shrink = self.logs.replicas_move && voters.len() != self.budget.copies_min();
                let is_plane = group == GroupId::CATALOG || group == GroupId::TREE;
                if stays && (is_plane || !may_shrink) {
                    settled.insert(group, voters.iter().map(|voter| voter.node).collect());
                }
            }
        }
        settled
    }

    /// All nodes end, and most are started again at once: nobody knows more of what has rotted than its own disk says.
    fn start_all_anew(&mut self, ms: u64) -> Result<(), Violation> {
        for node in 0..self.world.nodes() {
            let power = self.budget.rng().chance(1, 2);
            self.end_node(node, power);
        }
        for node in 0..self.world.nodes() {
            if self.newcomers.is_in(node) && self.budget.rng().chance(5, 6) {
                self.boot(node);
            }
        }
        self.phase(ms)
    }
}
