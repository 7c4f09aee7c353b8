//! Misfortunes that come together, in the order in which they hurt: what a single one finds by luck alone, such as two
//! candidates in one term, or a leader that has what another one of its kind left behind. In some runs they take the place of
//! single ones. They follow from the seed, but from a part of it that nothing else uses.

use super::{Budget, MS, Run, runs_whole};
use crate::cluster::marks::{Changing, Until};
use crate::cluster::mover::Mover;
use crate::violation::Violation;
use torc_base::ids::GroupId;
use torc_base::io::App;
use torc_base::prng::Prng;
use torc_base::time::Mono;

/// What comes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Storm {
    /// Who has just begun to lead, or to change the members of a group, is the next to die. So nobody brings its entries
    /// to all, and whoever comes next finds some of them.
    Hunt,
    /// All ways are slow when leaders go: several others are candidates before they have heard of each other.
    Rivals,
    /// What a leader appends leaves it no more; then all are started anew, and that leader may be the first to stand again.
    Tails,
    /// Who has voted dies at once, before that is on its disk, and nobody hears of the one that got the vote: whoever voted is
    /// not to vote for another one in that term.
    Votes,
    /// The nodes are parted in two when the members of a group change, and who changes them may die.
    Parted,
    /// Of those that have something one has other disks, and the rest is gone: who never had it is not to lead by the vote of
    /// the one that forgot it.
    Amnesia,
    /// Most of those that had a group's votes are to go: they are parted from the rest before they have agreed to that, or when
    /// they have, and before they hear that it has come to pass. What they decide by themselves is not to count.
    Ousted,
    /// Who came later, or has other disks, ends when it has just got a partition: what is not on its disk was never there.
    Cradle,
    /// The tree's leader stands still, and nobody hears of it, for longer than sessions live; those are kept elsewhere. Then it goes
    /// on as a leader until it finds out, and sessions come to it.
    Deposed,
}

/// Partitions move so often while nodes are parted.
const MOVES_MS: (u64, u64) = (50, 300);

/// A change of a group's voters, those that are to go, and those that are to vote then, without the leader.
type Ousting = (Changing, Vec<usize>, Vec<usize>);

/// The storms of a run.
pub(super) struct Storms {
    rng: Prng,
    kinds: Vec<Storm>,
}

impl Storms {
    /// Of a cluster of so many founders and, in the end, nodes; disks may be replaced, and ZooKeeper may have clients.
    pub(super) fn new(seed: u64, founders: usize, nodes: usize, new_disks: bool, has_sessions: bool) -> Storms {
        let mut rng = Prng::new(seed ^ 0x5702_3a11);
        let kinds = match rng.below(6) {
            _ if founders == 1 => Vec::new(),
            0 => vec![Storm::Hunt],
            1 => vec![Storm::Rivals],
            2 => vec![Storm::Tails],
            _ => match rng.below(6) {
                0 => vec![Storm::Votes],
                1 => vec![Storm::Parted],
                2 | 3 if new_disks => vec![Storm::Amnesia],
                2 | 3 if has_sessions => vec![Storm::Deposed],
                2 | 3 => Vec::new(),
                4 if nodes > founders => vec![Storm::Cradle],
                // Of its own, so that what the others do in a seed stays.
                _ if has_sessions && Prng::new(seed ^ 0x5e55_de90).chance(1, 3) => vec![Storm::Deposed],
                _ => vec![Storm::Ousted],
            },
        };
        Storms { rng, kinds }
    }

    /// Who has partitions moved in addition, if storms strike while they move.
    pub(super) fn mover(&mut self, copies_min: usize) -> Option<Mover> {
        let (least, most) = MOVES_MS;
        self.kinds.iter().any(|kind| matches!(kind, Storm::Parted | Storm::Ousted)).then(|| {
            let pause = self.rng.between(least, most) * MS;
            let ousts = self.kinds.contains(&Storm::Ousted);
            let new = if ousts { Mover::of_all_but_leaders } else { Mover::new };
            new(self.rng.fork(), pause, copies_min)
        })
    }

    /// In a few words.
    pub(super) fn told(&self) -> String {
        format!("storms {:?}", self.kinds)
    }

    /// What comes in this round, if it is a storm.
    fn next(&mut self) -> Option<Storm> {
        if self.kinds.is_empty() || self.rng.chance(1, 3) {
            return None;
        }
        Some(self.kinds[self.rng.below(self.kinds.len() as u64) as usize])
    }
}

impl<A: App> Run<A> {
    /// A storm comes over the cluster, if it is time for one; false if not.
    pub(super) fn storm(&mut self) -> Result<bool, Violation> {
        let Some(storm) = self.storms.next() else { return Ok(false) };
        self.world.trail.say(format!("{storm:?}"));
        match storm {
            Storm::Hunt => self.hunt()?,
            Storm::Rivals => self.rivals()?,
            Storm::Tails => self.tails()?,
            Storm::Votes => self.votes()?,
            Storm::Parted => self.parted()?,
            Storm::Amnesia => self.amnesia()?,
            Storm::Ousted => self.ousted()?,
            Storm::Cradle => self.cradle()?,
            Storm::Deposed => self.deposed()?,
        }
        Ok(true)
    }

    fn hunt(&mut self) -> Result<(), Violation> {
        let slow = [0, 2, 20, 80][self.storms.rng.below(4) as usize] * MS;
        self.slow_all(slow);
        self.marks.forget_newest();
        for _ in 0..self.storms.rng.between(3, 8) {
            let quarry = self.await_newest(1_500)?;
            // It gets some way.
            let ms = self.storms.rng.below(12);
            self.phase(ms)?;
            let power = self.storms.rng.chance(1, 3);
            self.end_node(quarry, power);
            let ms = self.storms.rng.below(400);
            self.phase(ms)?;
            for node in 0..self.world.nodes() {
                if self.storms.rng.chance(2, 3) {
                    self.start(node);
                }
            }
        }
        self.slow_all(0);
        Ok(())
    }

    fn rivals(&mut self) -> Result<(), Violation> {
        let slow = self.storms.rng.between(10, 300) * MS;
        self.slow_all(slow);
        for _ in 0..self.storms.rng.between(2, 5) {
            let ms = self.storms.rng.between(50, 800);
            self.phase(ms)?;
            let leader = self.leads_most();
            let power = self.storms.rng.chance(1, 3);
            match self.storms.rng.below(3) {
                0 => self.end_node(leader, power),
                1 => {
                    // Their clocks begin together.
                    (0..self.world.nodes()).for_each(|node| self.end_node(node, power));
                    (0..self.world.nodes()).for_each(|node| self.start(node));
                }
                _ => {
                    for other in (0..self.world.nodes()).filter(|other| *other != leader) {
                        self.world.cut(leader, other);
                        self.world.cut(other, leader);
                    }
                }
            }
            let ms = self.storms.rng.between(500, 2_500);
            self.phase(ms)?;
            self.mend_all();
            (0..self.world.nodes()).for_each(|node| self.start(node));
        }
        self.slow_all(0);
        Ok(())
    }

    fn tails(&mut self) -> Result<(), Violation> {
        for _ in 0..self.storms.rng.between(1, 4) {
            let leader = self.leads_most();
            for other in (0..self.world.nodes()).filter(|other| *other != leader) {
                if self.storms.rng.chance(3, 4) {
                    self.world.cut(leader, other);
                }
            }
            let ms = self.storms.rng.between(5, 200);
            self.phase(ms)?;
            let power = self.storms.rng.chance(1, 2);
            for node in 0..self.world.nodes() {
                // What it has written in vain is to be there.
                self.end_node(node, power && node != leader);
            }
            self.mend_all();
            let ms = self.storms.rng.between(500, 3_000);
            self.slow_disks(leader, ms, (1, 60));
            self.start(leader);
            let ms = self.storms.rng.below(100);
            self.phase(ms)?;
            (0..self.world.nodes()).for_each(|node| self.start(node));
            let ms = self.storms.rng.between(800, 3_000);
            self.phase(ms)?;
        }
        Ok(())
    }

    fn votes(&mut self) -> Result<(), Violation> {
        for _ in 0..self.storms.rng.between(3, 8) {
            // A vote comes to the one that asked for it long before it can be durable.
            (0..self.world.nodes()).for_each(|node| self.slow_disks(node, 10_000, (200, 1_500)));
            let leader = self.leads_most();
            let power = self.storms.rng.chance(1, 3);
            self.end_node(leader, power);
            self.marks.forget_newest();
            self.phase_until(4_000, Until::Voted)?;
            if let Some((voter, candidate)) = self.marks.voter() {
                let ms = self.storms.rng.between(1, 4);
                self.phase(ms)?;
                let power = self.storms.rng.chance(1, 2);
                self.end_node(voter, power);
                for other in (0..self.world.nodes()).filter(|other| *other != candidate) {
                    self.world.cut(candidate, other);
                }
                (0..self.world.nodes()).for_each(|node| self.slow_disks(node, 0, (1, 1)));
                self.start(voter);
            }
            self.start(leader);
            let ms = self.storms.rng.between(500, 3_000);
            self.phase(ms)?;
            self.all_come_back(500)?;
        }
        Ok(())
    }

    fn parted(&mut self) -> Result<(), Violation> {
        let slow = [0, 5, 30, 150][self.storms.rng.below(4) as usize];
        self.slow_all(slow * MS);
        self.marks.forget_newest();
        for _ in 0..self.storms.rng.between(4, 10) {
            for node in 0..self.world.nodes() {
                if self.storms.rng.chance(1, 2) {
                    self.slow_disks(node, 3_000, (5, 100));
                }
            }
            let Some(quarry) = self.await_changing(1_500)? else { continue };
            let ms = self.storms.rng.below(3 * slow + 10);
            self.phase(ms)?;
            let sides: Vec<bool> = (0..self.world.nodes()).map(|_| self.storms.rng.chance(1, 2)).collect();
            for (from, to) in self.ways() {
                if sides[from] != sides[to] {
                    self.world.cut(from, to);
                }
            }
            if self.storms.rng.chance(1, 2) {
                let power = self.storms.rng.chance(1, 2);
                self.end_node(quarry, power);
            }
            let ms = self.storms.rng.between(300, 3_000);
            self.phase(ms)?;
            self.all_come_back(300)?;
        }
        self.slow_all(0);
        Ok(())
    }

    fn amnesia(&mut self) -> Result<(), Violation> {
        let (world, is_whole) = (&self.world, self.subject.is_whole);
        let Some(victim) = self.budget.next_disks(|node| runs_whole(world, is_whole, node)) else { return Ok(()) };
        let founders = self.newcomers.founders();
        let mut others: Vec<usize> = (0..founders).filter(|node| *node != victim).collect();
        for at in (1..others.len()).rev() {
            others.swap(at, self.storms.rng.below(at as u64 + 1) as usize);
        }
        // With the victim they are a majority.
        let behind = &others[..founders / 2];
        for (from, to) in self.ways() {
            if behind.contains(&from) != behind.contains(&to) {
                self.world.cut(from, to);
            }
        }
        let ms = self.storms.rng.between(50, 1_500);
        self.phase(ms)?;
        self.replace_disks(victim);
        for node in (0..self.world.nodes()).filter(|node| !behind.contains(node)) {
            self.end_node(node, false);
        }
        self.mend_all();
        self.start(victim);
        behind.iter().for_each(|node| self.start(*node));
        let ms = self.storms.rng.between(1_000, 4_000);
        self.phase(ms)?;
        (0..self.world.nodes()).for_each(|node| self.start(node));
        let ms = self.storms.rng.between(500, 2_000);
        self.phase(ms)
    }

    fn ousted(&mut self) -> Result<(), Violation> {
        for _ in 0..self.storms.rng.between(3, 8) {
            let Some((change, going, rest)) = self.await_ousting(1_500)? else { continue };
            let controller = self.marks.leader(GroupId::CATALOG).map(|(node, _)| node);
            let by_themselves = controller.is_some_and(|node| !going.contains(&node) && node != change.node);
            match self.storms.rng.below(4) {
                0 => self.keep_from_the_ousted(&going)?,
                1 if rest.len() > 1 => self.end_unheard(change, &going, &rest)?,
                2 if rest.len() > 1 && by_themselves => self.left_with_the_ousted(change, &going, rest)?,
                _ => self.part_from_the_ousted(change, &going)?,
            }
            self.all_come_back(300)?;
            let ms = self.storms.rng.between(300, 1_500);
            self.phase(ms)?;
        }
        Ok(())
    }

    /// Those that are to go do not hear of it, and are enough to go on as if nothing had been said.
    fn keep_from_the_ousted(&mut self, going: &[usize]) -> Result<(), Violation> {
        self.part(going);
        let ms = self.storms.rng.between(1_000, 5_000);
        self.phase(ms)
    }

    /// Nobody hears from the leader that the change is to end. Another one goes on with those that are to go, who may not decide
    /// anything by themselves; then the first one comes back, and they are away.
    fn end_unheard(&mut self, change: Changing, going: &[usize], rest: &[usize]) -> Result<(), Violation> {
        self.phase_until(500, Until::Ending(change))?;
        self.part(&[change.node]);
        let among_rest = self.ways().into_iter().filter(|(from, to)| rest.contains(from) && rest.contains(to));
        let among_rest: Vec<(usize, usize)> = among_rest.collect();
        // Who does not hear all of those that vote then is none that they elect.
        let one_that_goes = self.storms.rng.chance(3, 4);
        among_rest.iter().filter(|_| one_that_goes).for_each(|(from, to)| self.world.cut(*from, *to));
        self.phase_until(4_000, Until::LedElsewhere(change))?;
        self.part(going);
        among_rest.into_iter().for_each(|(from, to)| self.mend(from, to));
        let ms = self.storms.rng.between(20, 400);
        self.phase(ms)?;
        for other in (0..self.world.nodes()).filter(|other| *other != change.node && !going.contains(other)) {
            self.mend(change.node, other);
            self.mend(other, change.node);
        }
        let ms = self.storms.rng.between(1_000, 5_000);
        self.phase(ms)
    }

    /// Those that are to go are alone from then on, and may vote.
    fn part_from_the_ousted(&mut self, change: Changing, going: &[usize]) -> Result<(), Violation> {
        self.phase_until(500, Until::OnDisk { change, nodes: going.to_vec() })?;
        going.iter().for_each(|node| self.world.cut(change.node, *node));
        self.phase_until(500, Until::Changed(change))?;
        self.part(going);
        let ms = self.storms.rng.between(1_000, 5_000);
        self.phase(ms)
    }

    /// The leader is alone with them, and may go on by their copies; then it is gone, and the others vote.
    fn left_with_the_ousted(&mut self, change: Changing, going: &[usize], rest: Vec<usize>) -> Result<(), Violation> {
        // The way to the catalog's leader is cut first: those that are to go are not to hear from it that they may.
        let controller = self.marks.leader(GroupId::CATALOG).map(|(node, _)| node).expect("just seen");
        going.iter().chain([&change.node]).for_each(|node| {
            self.world.cut(*node, controller);
            if !rest.contains(&controller) {
                self.world.cut(controller, *node);
            }
        });
        self.phase_until(500, Until::Changed(change))?;
        let Some((node, entry)) = self.marks.leader(change.group).filter(|(node, _)| *node == change.node) else {
            return Ok(());
        };
        let change = Changing { node, entry, ..change };
        self.phase_until(200, Until::OnDisk { change, nodes: rest.clone() })?;
        self.part(&rest);
        let ms = self.storms.rng.between(20, 400);
        self.phase(ms)?;
        let power = self.storms.rng.chance(1, 3);
        self.end_node(node, power);
        let ms = self.storms.rng.between(1_000, 5_000);
        self.phase(ms)
    }

    /// These are cut off from all others.
    fn part(&mut self, nodes: &[usize]) {
        for (from, to) in self.ways() {
            if nodes.contains(&from) != nodes.contains(&to) {
                self.world.cut(from, to);
            }
        }
    }

    fn cradle(&mut self) -> Result<(), Violation> {
        let young = |node: &usize| {
            self.newcomers.is_in(*node) && self.budget.disk(*node) != Budget::first_disk(*node)
                || *node >= self.newcomers.founders() && self.newcomers.is_in(*node)
        };
        let young: Vec<usize> = (0..self.world.nodes()).filter(young).collect();
        for _ in 0..self.storms.rng.between(2, 4) {
            if young.is_empty() {
                break;
            }
            young.iter().for_each(|node| self.slow_disks(*node, 3_000, (50, 500)));
            let replication = self.newcomers.replication(self.budget.copies_min());
            self.logs.add_topic(2, replication, 0);
            self.marks.forget_newest();
            self.phase_until(3_000, Until::Born(young.clone()))?;
            let ms = self.storms.rng.below(4);
            self.phase(ms)?;
            let power = self.storms.rng.chance(1, 2);
            match self.marks.born().filter(|node| young.contains(node)) {
                Some(node) if self.storms.rng.chance(1, 2) => self.end_node(node, power),
                _ => young.iter().for_each(|node| self.end_node(*node, power)),
            }
            young.iter().for_each(|node| self.slow_disks(*node, 0, (1, 1)));
            self.all_come_back(500)?;
        }
        Ok(())
    }

    /// Waits, but for so many milliseconds only, until most voters of a group are to go, and not the one that leads it: the change,
    /// they, and those others that vote then.
    fn await_ousting(&mut self, ms: u64) -> Result<Option<Ousting>, Violation> {
        let end = self.world.now() + ms * MS;
        self.marks.forget_newest();
        while self.world.now() < end {
            self.phase_until(ms, Until::Changing)?;
            let Some((change, voters)) = self.marks.take_changing() else { continue };
            let before = voters.iter().filter(|voter| voter.before).count();
            let going: Vec<usize> = voters.iter().filter(|voter| !voter.after).map(|voter| voter.node).collect();
            if going.len() > before / 2 && !going.contains(&change.node) {
                let rest = voters.iter().filter(|voter| voter.after && voter.node != change.node);
                return Ok(Some((change, going, rest.map(|voter| voter.node).collect())));
            }
        }
        Ok(None)
    }

    /// Lets things happen until that is one of them, but for so many milliseconds only.
    fn phase_until(&mut self, ms: u64, until: Until) -> Result<(), Violation> {
        self.until = until;
        let ended = self.phase(ms);
        self.until = Until::Never;
        ended
    }

    /// All links are mended and all nodes run, for less than so many milliseconds.
    fn all_come_back(&mut self, ms: u64) -> Result<(), Violation> {
        self.mend_all();
        (0..self.world.nodes()).for_each(|node| self.start(node));
        let ms = self.storms.rng.below(ms);
        self.phase(ms)
    }

    /// Waits, but for so many milliseconds only, until a node begins to change members: which one that is.
    fn await_changing(&mut self, ms: u64) -> Result<Option<usize>, Violation> {
        let end = self.world.now() + ms * MS;
        while self.world.now() < end {
            if let Some((change, _)) = self.marks.take_changing().filter(|(change, _)| self.world.runs(change.node)) {
                return Ok(Some(change.node));
            }
            let ms = self.storms.rng.between(1, 5);
            self.phase(ms)?;
        }
        Ok(None)
    }

    fn deposed(&mut self) -> Result<(), Violation> {
        let Some(leader) = self.marks.leads(GroupId::TREE).filter(|node| self.world.runs(*node)) else {
            let ms = self.storms.rng.between(100, 1_000);
            return self.phase(ms);
        };
        // Who has seen something that the leader has not is not served by it.
        let (lull, stands, late) =
            (self.storms.rng.between(100, 600), self.storms.rng.between(1_500, 7_000), self.storms.rng.below(200));
        let until = self.world.now() + (lull + stands + late) * MS;
        self.actors.iter_mut().for_each(|actor| actor.rest(until));
        self.phase(lull)?;
        if !self.world.runs(leader) {
            return Ok(());
        }
        self.world.pause_node(leader, stands * MS);
        for other in (0..self.world.nodes()).filter(|other| *other != leader) {
            self.world.cut(leader, other);
            self.world.cut(other, leader);
        }
        self.phase(stands)?;
        let Run { storms, world, actors, .. } = self;
        for actor in actors {
            if storms.rng.chance(1, 2) {
                actor.visit(world, leader)?;
            }
        }
        let ms = self.storms.rng.between(late, 1_500);
        self.phase(ms)?;
        self.mend_all();
        Ok(())
    }

    /// Waits, but for so many milliseconds only, until somebody begins to lead or to change members: who that is, or else
    /// one that leads.
    fn await_newest(&mut self, ms: u64) -> Result<usize, Violation> {
        let end = self.world.now() + ms * MS;
        while self.world.now() < end {
            if let Some(node) = self.marks.take_newest().filter(|node| self.world.runs(*node)) {
                return Ok(node);
            }
            let ms = self.storms.rng.between(1, 5);
            self.phase(ms)?;
        }
        Ok(self.leads_most())
    }

    /// The node that leads most groups, or any.
    fn leads_most(&mut self) -> usize {
        let any = self.storms.rng.below(self.newcomers.founders() as u64) as usize;
        self.marks.leads_most().unwrap_or(any)
    }

    /// Starts a node that does not run and is to.
    fn start(&mut self, node: usize) {
        if !self.world.runs(node) && self.newcomers.is_in(node) {
            self.boot(node);
        }
    }

    /// For so many milliseconds the disks of a node take so many times as long.
    fn slow_disks(&mut self, node: usize, ms: u64, (least, most): (u64, u64)) {
        let times = self.storms.rng.between(least, most);
        let until = Mono(self.world.now() + ms * MS);
        for shard in self.world.shards_of(node) {
            self.world.disks[shard].slow = (until, times);
        }
    }

    fn slow_all(&mut self, ns: u64) {
        for (from, to) in self.ways() {
            self.world.net.cables.slow_down(from, to, ns);
        }
    }

    fn mend_all(&mut self) {
        self.ways().into_iter().for_each(|(from, to)| self.mend(from, to));
    }

    fn mend(&mut self, from: usize, to: usize) {
        if self.world.net.cables.is_cut(from, to) {
            self.world.mend(from, to);
        }
    }

    fn ways(&self) -> Vec<(usize, usize)> {
        let nodes = self.world.nodes();
        let from = |from: usize| (0..nodes).filter(move |to| *to != from).map(move |to| (from, to));
        (0..nodes).flat_map(from).collect()
    }
}
