//! What clients know of consumer groups, and whether it can all be true.
//!
//! A committed offset is a register that several clients write and read: what is read must have been written, and not
//! have been overwritten by something that began after it had been acknowledged. Each commit has a number in its
//! metadata, so that it is known which one came back. Generations only go up; of each one there are one leader, one list
//! of members, and one owner of every partition; who is of an older one is refused.

use crate::history::History;
use crate::spans::Spans;
use crate::violation::{Rule, Violation};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// A partition of a topic, by their numbers in the history.
pub type Place = (usize, usize);

/// A moment in the order of what clients did and were told.
pub type Moment = u64;

/// Something that a client asked to be written down for a partition.
struct Write {
    /// `None`: what was committed is to be forgotten.
    offset: Option<i64>,
    began: Moment,
    /// When it was acknowledged.
    ended: Option<Moment>,
    refused: bool,
    /// The least that the server's clock showed when it began and when it ended, milliseconds: so old is what it wrote at most.
    wall: i64,
}

/// What a generation is known to be.
#[derive(Default)]
struct Generation {
    /// When anybody was first told of it.
    told: Moment,
    leader: String,
    protocol: String,
    /// Ids of its members, as the leader was told.
    listed: BTreeSet<String>,
    /// Ids of those that were told that they are in it.
    heard: BTreeSet<String>,
    /// What its leader has assigned to whom; more than one, if it assigned again.
    assigned: BTreeMap<String, Vec<Bytes>>,
    /// Who was given what.
    owners: BTreeMap<Place, String>,
}

/// A group.
#[derive(Default)]
pub struct Group {
    /// Its id.
    pub name: String,
    /// Its members consume every topic whose number leaves `topics.1` when it is divided by `topics.0`.
    pub topics: (usize, usize),
    /// Its members speak both protocols: nobody knows whose generations are whose.
    pub mixed: bool,
    writes: BTreeMap<Place, BTreeMap<u64, Write>>,
    /// Offsets that its members have got.
    delivered: BTreeMap<Place, Spans>,
    generations: BTreeMap<i32, Generation>,
    /// Which member of the consumer protocol was last told to hold what.
    holders: BTreeMap<Place, String>,
    /// What members held when others were told to hold it, and since when those have been.
    taken: BTreeMap<(String, Place), Moment>,
}

/// What an answer to JoinGroup tells of a generation.
pub struct Told<'a> {
    /// The highest generation that anybody knew of when it was asked.
    pub floor: i32,
    pub generation: i32,
    pub leader: &'a str,
    pub protocol: &'a str,
    pub member: &'a str,
    /// For the leader: who else is in it.
    pub members: Vec<String>,
}

/// All groups, with what their rules need.
#[derive(Default)]
pub struct GroupHistory {
    pub all: Vec<Group>,
    clock: Moment,
    next_number: u64,
    /// Milliseconds after which an offset that nobody needs is forgotten, if that is short in this run.
    pub retention_ms: Option<i64>,
    /// What the server's clock shows, and the latest time that it has shown, milliseconds: it is set back, too.
    wall: i64,
    wall_most: i64,
    /// Commits that were acknowledged.
    pub commits: u64,
    /// Generations that anybody was told of, and epochs that members of the consumer protocol were.
    pub generations: u64,
}

/// Static members' instances have this name and a number.
pub const INSTANCE: &str = "static";

fn broken<T>(rule: Rule, text: String) -> Result<T, Violation> {
    Err(Violation::new(rule, text))
}

impl GroupHistory {
    /// Now.
    pub fn moment(&mut self) -> Moment {
        self.clock += 1;
        self.clock
    }

    /// The server's clock shows `wall`, milliseconds.
    pub fn clock_shows(&mut self, wall: i64) {
        (self.wall, self.wall_most) = (wall, self.wall_most.max(wall));
    }

    /// A commit is about to be sent, or a deletion of what was committed; its number.
    pub fn write_begins(&mut self, group: usize, place: Place, offset: Option<i64>) -> u64 {
        let (began, wall) = (self.moment(), self.wall);
        self.next_number += 1;
        let write = Write { offset, began, ended: None, refused: false, wall };
        self.all[group].writes.entry(place).or_default().insert(self.next_number, write);
        self.next_number
    }

    /// A commit has been acknowledged.
    pub fn write_ends(&mut self, group: usize, place: Place, number: u64) {
        let moment = self.moment();
        self.commits += 1;
        let wall = self.wall;
        let write = self.write(group, place, number);
        (write.ended, write.wall) = (Some(moment), write.wall.min(wall));
    }

    /// A commit has been refused, in a way that says that it was not taken.
    pub fn write_refused(&mut self, group: usize, place: Place, number: u64) {
        self.write(group, place, number).refused = true;
    }

    fn write(&mut self, group: usize, place: Place, number: u64) -> &mut Write {
        let writes = self.all[group].writes.get_mut(&place).expect("it was begun");
        writes.get_mut(&number).expect("it was begun")
    }

    /// Where somebody has begun to commit.
    pub fn written(&self, group: usize) -> Vec<Place> {
        self.all[group].writes.keys().copied().collect()
    }

    /// What was committed for `place` is said to be `told`, an offset and its metadata, to somebody who asked at `asked`.
    pub fn committed(
        &self,
        group: usize,
        place: Place,
        asked: Moment,
        told: Option<(i64, &str)>,
    ) -> Result<(), Violation> {
        let known = &self.all[group];
        let nothing = BTreeMap::new();
        let writes = known.writes.get(&place).unwrap_or(&nothing);
        let acked = writes.values().filter(|write| write.ended.is_some_and(|ended| ended < asked));
        let newest = acked.max_by_key(|write| write.began);
        let is_current = |write: &Write| {
            !write.refused && write.ended.is_none_or(|ended| newest.is_none_or(|newest| ended >= newest.began))
        };
        let name = format!("{} partition {place:?}", known.name);
        let Some((offset, metadata)) = told else {
            let has_expired =
                |write: &Write| self.retention_ms.is_some_and(|ms| self.wall_most.saturating_sub(write.wall) >= ms);
            let deleted = writes.values().any(|write| write.offset.is_none() && is_current(write));
            if deleted || newest.is_none_or(|newest| newest.offset.is_none() || has_expired(newest)) {
                return Ok(());
            }
            let lost = newest.and_then(|newest| newest.offset);
            return broken(Rule::CommitIsKept, format!("{name}: nothing is committed; {lost:?} was acknowledged"));
        };
        let number = metadata.strip_prefix("commit ").and_then(|number| number.parse().ok()).unwrap_or(0);
        match writes.get(&number) {
            None => broken(Rule::BytesAreTrue, format!("{name}: offset {offset} {metadata:?} was never committed")),
            Some(write) if write.offset != Some(offset) => broken(
                Rule::BytesAreTrue,
                format!("{name}: {metadata:?} came back as {offset}, not {:?}", write.offset),
            ),
            Some(write) if write.refused => {
                broken(Rule::OldIsRefused, format!("{name}: {metadata:?} was refused, and is there"))
            }
            Some(write) if !is_current(write) => {
                let newest = newest.and_then(|newest| newest.offset);
                let text = format!("{name}: {metadata:?} of {offset} is there; {newest:?} was acknowledged after it");
                broken(Rule::CommitIsKept, text)
            }
            Some(_) => Ok(()),
        }
    }

    /// The highest generation that anybody was told of.
    pub fn generation(&self, group: usize) -> i32 {
        self.all[group].generations.last_key_value().map_or(0, |(generation, _)| *generation)
    }

    /// A member was told of the generation that it is in.
    pub fn joined(&mut self, group: usize, told: Told<'_>) -> Result<(), Violation> {
        let moment = self.moment();
        let known = &mut self.all[group];
        let Told { floor, generation, leader, protocol, member, members } = told;
        let name = format!("{} generation {generation}", known.name);
        if known.mixed {
            return Ok(());
        }
        if generation < floor {
            // A group that is forgotten with its last offset begins anew.
            if self.retention_ms.is_none() {
                return broken(Rule::GenerationsAdvance, format!("{name}: {floor} was there before"));
            }
            known.generations.clear();
        }
        // A static member that comes back has a new id in the same generation.
        let leads =
            |of: &Generation| of.leader == leader || (of.leader.starts_with(INSTANCE) && leader.starts_with(INSTANCE));
        let differs = |of: &Generation| !leads(of) || of.protocol != protocol;
        if self.retention_ms.is_some() && known.generations.get(&generation).is_some_and(differs) {
            known.generations.clear();
        }
        let is_new = !known.generations.contains_key(&generation);
        self.generations += u64::from(is_new);
        let of = known.generations.entry(generation).or_insert_with(|| Generation {
            told: moment,
            leader: leader.into(),
            protocol: protocol.into(),
            ..Generation::default()
        });
        if !leads(of) {
            return broken(Rule::GenerationsAdvance, format!("{name} has leaders {} and {leader}", of.leader));
        }
        if of.protocol != protocol {
            return broken(Rule::GenerationsAdvance, format!("{name} has protocols {} and {protocol}", of.protocol));
        }
        of.heard.insert(member.into());
        if !members.is_empty() {
            of.listed = members.into_iter().collect();
        }
        let stray = of.heard.iter().find(|id| !id.starts_with(INSTANCE) && !of.listed.contains(*id));
        match stray.filter(|_| !of.listed.is_empty() && self.retention_ms.is_none()) {
            Some(id) => broken(Rule::GenerationsAdvance, format!("{name} has {id}, of whom its leader knows nothing")),
            None => Ok(()),
        }
    }

    /// The leader of a generation assigns.
    pub fn assigns(&mut self, group: usize, generation: i32, member: &str, assignment: Bytes) {
        if let Some(of) = self.all[group].generations.get_mut(&generation) {
            of.assigned.entry(member.into()).or_default().push(assignment);
        }
    }

    /// A member was given its part of a generation.
    pub fn assigned(&mut self, group: usize, generation: i32, member: &str, given: &Bytes) -> Result<(), Violation> {
        let known = &self.all[group];
        let Some(of) = known.generations.get(&generation) else { return Ok(()) };
        let sent = of.assigned.get(member);
        let is_true = member.starts_with(INSTANCE) || given.is_empty() || sent.is_some_and(|sent| sent.contains(given));
        if is_true {
            return Ok(());
        }
        let text = format!("{} generation {generation}: {member} was given {given:?}, not {sent:?}", known.name);
        broken(Rule::BytesAreTrue, text)
    }

    /// `who` may consume partitions in a generation.
    pub fn owns(
        &mut self,
        group: usize,
        generation: i32,
        who: &str,
        places: &BTreeSet<Place>,
    ) -> Result<(), Violation> {
        let known = &mut self.all[group];
        let Some(of) = known.generations.get_mut(&generation) else { return Ok(()) };
        for place in places {
            let owner = of.owners.entry(*place).or_insert_with(|| who.into());
            if owner != who && self.retention_ms.is_none() {
                let text = format!("{} generation {generation}: {place:?} is {owner}'s and {who}'s", known.name);
                return broken(Rule::OneOwner, text);
            }
        }
        Ok(())
    }

    /// A member of `generation` asked for something at `asked`, and it was done.
    pub fn served(&self, group: usize, generation: i32, asked: Moment, what: &str) -> Result<(), Violation> {
        let known = &self.all[group];
        // A group that may begin anew has lower generations after higher ones.
        let newer = known.generations.range(generation + 1..).find(|(_, of)| of.told < asked);
        match newer.filter(|_| self.retention_ms.is_none()) {
            Some((newer, _)) => {
                let text =
                    format!("{}: {what} of generation {generation} was taken; {newer} was there before", known.name);
                broken(Rule::OldIsRefused, text)
            }
            None => Ok(()),
        }
    }

    /// A member of the consumer protocol says what it holds; anything else it has given back.
    pub fn holds(&mut self, group: usize, member: &str, held: &BTreeSet<Place>) {
        let known = &mut self.all[group];
        known.holders.retain(|place, holder| holder != member || held.contains(place));
        known.taken.retain(|(holder, place), _| holder != member || held.contains(place));
    }

    /// A member of the consumer protocol is told to hold `places`, whoever has held them.
    pub fn told_to_hold(&mut self, group: usize, member: &str, places: &BTreeSet<Place>) {
        let moment = self.moment();
        let known = &mut self.all[group];
        for place in places {
            match known.holders.insert(*place, member.into()) {
                Some(before) if before != member => {
                    known.taken.entry((before, *place)).or_insert(moment);
                }
                _ => {}
            }
        }
    }

    /// Something was done for a member that held `held` when it asked for it.
    pub fn still_holds(
        &self,
        group: usize,
        member: &str,
        held: &BTreeSet<Place>,
        asked: Moment,
        what: &str,
    ) -> Result<(), Violation> {
        let known = &self.all[group];
        for place in held {
            let taken = known.taken.get(&(member.to_string(), *place));
            if taken.is_some_and(|taken| *taken < asked) {
                let other = known.holders.get(place);
                let text =
                    format!("{}: {what} of {member} was taken, which holds {place:?} beside {other:?}", known.name);
                return broken(Rule::OneOwner, text);
            }
        }
        Ok(())
    }

    /// A member has got what lies at `from..to`.
    pub fn delivered(&mut self, group: usize, place: Place, from: i64, to: i64) {
        self.all[group].delivered.entry(place).or_default().add(from, to);
    }
}

impl Group {
    /// A group that nobody has joined.
    pub fn new(name: String, topics: (usize, usize)) -> Group {
        Group { name, topics, ..Group::default() }
    }

    /// True if its members consume the topic of that number.
    pub fn consumes(&self, topic: usize) -> bool {
        topic % self.topics.0 == self.topics.1
    }
}

impl History {
    /// The first acknowledged batch of a live topic that no member of the group has got, if there is one.
    pub fn missing(&self, group: usize) -> Option<String> {
        let known = &self.groups.all[group];
        // Where retention deletes, nobody can say what could still be got. What is compacted away was passed over.
        let wanted = self.live().into_iter().filter(|t| known.consumes(*t) && !self.topics[*t].retention);
        let none = Spans::default();
        for t in wanted {
            for (p, partition) in self.topics[t].partitions.iter().enumerate() {
                let got = known.delivered.get(&(t, p)).unwrap_or(&none);
                for (number, sent) in &partition.batches {
                    let Some(base) = sent.acked else { continue };
                    let (from, end) = (base.max(partition.start_most), base + i64::from(sent.records));
                    if from < end && !got.covers(from, end) {
                        let name = &self.topics[t].name;
                        return Some(format!("batch {number} at {base}..{end} of {name}-{p}"));
                    }
                }
            }
        }
        None
    }

    /// A member begins where its group has committed: what lies before that, somebody has got.
    pub fn begins_at(&self, group: usize, place: Place, offset: i64) -> Result<(), Violation> {
        let (t, p) = place;
        let (known, partition) = (&self.groups.all[group], &self.topics[t].partitions[p]);
        let none = Spans::default();
        let got = known.delivered.get(&place).unwrap_or(&none);
        let from =
            if self.topics[t].retention { partition.start.max(partition.start_most) } else { partition.start_most };
        let Some(hole) = got.first_hole(from, offset) else { return Ok(()) };
        // Where nothing was ever said to be, there may be nothing.
        let in_hole = |(base, (_, end)): (&i64, &(u64, i64))| *base < offset && *end > hole;
        if self.topics[t].retention || !partition.at.iter().any(in_hole) {
            return Ok(());
        }
        let text =
            format!("{} has committed {offset} of {}-{p}, and nobody has got {hole}", known.name, self.topics[t].name);
        broken(Rule::AtLeastOnce, text)
    }
}
