//! Reading as a member of a consumer group: what it is given, from where the group has come to. What was written out is committed,
//! so every record is read at least once.

use super::args::ConsumeArgs;
use super::reader::{ReadError, Taken, TopicReader, Wanted};
use super::{End, LOOK_EVERY, Sink, starts};
use crate::group::ranges_of;
use crate::output::complain;
use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};
use torc_client::{Change, Commit, LATEST, Member, MemberError, Membership, TopicPartition};
use torc_load::interrupt;

/// Others wait so long at a rebalance until this member has written out what it has read.
const REBALANCE_TIME: Duration = Duration::from_secs(60);
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at a group that gives nothing to read now.
const IDLE: Duration = Duration::from_millis(20);
/// A commit waits so long for a rebalance that is under way.
const COMMIT_TIME: Duration = Duration::from_secs(10);

struct Session<'a, 'b> {
    args: &'a ConsumeArgs,
    reader: &'a mut TopicReader,
    sink: &'a mut Sink<'b>,
    member: Member,
    /// The next offset of each partition after all that was written out, and what of that is committed.
    written: BTreeMap<TopicPartition, i64>,
    committed: BTreeMap<TopicPartition, i64>,
    last_commit: Instant,
    /// Members that have been told of nothing yet are not done.
    was_settled: bool,
}

/// Joins `group`, reads until the end that the command line says, commits, and leaves.
pub fn read(args: &ConsumeArgs, group: &str, reader: &mut TopicReader, sink: &mut Sink) -> Result<End, ReadError> {
    let membership = Membership {
        // Those that were named may be gone when it joins again.
        address: reader.topic.addresses(),
        group: group.to_string(),
        topic: args.topic.clone(),
        assignors: args.assignor.clone(),
        session_timeout: args.session_timeout,
        rebalance_timeout: REBALANCE_TIME,
    };
    let member = Member::new(membership, reader.patience.clone()).map_err(MemberError::from)?;
    let (written, committed, last_commit) = (BTreeMap::new(), BTreeMap::new(), Instant::now());
    let mut session = Session { args, reader, sink, member, written, committed, last_commit, was_settled: false };
    let read = session.run();
    let finished = session.finish();
    session.member.leave();
    let end = read?;
    finished.map(|()| end)
}

impl Session<'_, '_> {
    fn run(&mut self) -> Result<End, ReadError> {
        let mut looked = Instant::now();
        loop {
            if let Some(signal) = interrupt::caught() {
                return Ok(End::Stopped(signal));
            }
            if let Some(change) = self.member.poll()? {
                self.follow(change)?;
                continue;
            }
            if self.hand_on() == Wanted::Enough {
                return Ok(End::Done);
            }
            if self.last_commit.elapsed() > COMMIT_EVERY {
                self.commit(None, false)?;
            }
            self.was_settled |= self.member.is_settled();
            if self.args.until_end && self.was_settled && self.member.is_settled() && self.reader.is_done() {
                return Ok(End::Done);
            }
            if looked.elapsed() > LOOK_EVERY {
                self.look_for_new()?;
                looked = Instant::now();
            }
            if self.reader.is_done() {
                thread::sleep(IDLE);
                continue;
            }
            let Session { reader, sink, .. } = self;
            let take = |taken: &Taken| sink.take(taken.partition, taken.timestamp_type, taken.record);
            if reader.round(take)? == Wanted::Enough {
                return Ok(End::Done);
            }
        }
    }

    fn follow(&mut self, change: Change) -> Result<(), ReadError> {
        match change {
            Change::Assigned(places) => self.begin(&places)?,
            Change::Revoked(places) => {
                self.hand_on();
                self.commit(Some(&places), true)?;
                self.forget(&places);
            }
            Change::Lost => {
                let places: BTreeSet<TopicPartition> = self.written.keys().cloned().collect();
                self.warn("the group went on without this member: some records may be read again");
                self.forget(&places);
            }
        }
        Ok(())
    }

    /// Reads these too, from where the group has come to.
    fn begin(&mut self, places: &BTreeSet<TopicPartition>) -> Result<(), ReadError> {
        let committed = self.member.committed(places)?;
        // A group may read other topics as well, and then members get what they have not asked for.
        let mine: BTreeSet<&TopicPartition> = places.iter().filter(|place| place.topic == self.args.topic).collect();
        let without = mine.iter().filter(|place| !committed.contains_key(**place)).map(|place| place.partition);
        let mut from = starts(self.reader, &without.collect::<Vec<_>>(), self.args.from)?;
        from.extend(mine.iter().filter_map(|place| Some((place.partition, *committed.get(*place)?))));
        let partitions: Vec<i32> = from.keys().copied().collect();
        let ends = if self.args.until_end { Some(self.reader.offsets(&partitions, LATEST)?) } else { None };
        self.reader.add(&from, ends.as_ref());
        for place in mine {
            self.written.insert(place.clone(), from[&place.partition]);
        }
        self.committed.extend(committed);
        self.say_what_is_read();
        Ok(())
    }

    fn forget(&mut self, places: &BTreeSet<TopicPartition>) {
        self.reader.remove(places.iter().map(|place| place.partition));
        self.written.retain(|place, _| !places.contains(place));
        self.committed.retain(|place, _| !places.contains(place));
    }

    fn say_what_is_read(&self) {
        let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for place in self.written.keys() {
            topics.entry(place.topic.clone()).or_default().push(place.partition);
        }
        self.warn(&format!("reading {}", ranges_of(&topics)));
    }

    fn warn(&self, what: &str) {
        if !self.args.quiet {
            complain(what);
        }
    }

    /// Writes out what is buffered; then that is what counts as read.
    fn hand_on(&mut self) -> Wanted {
        let wanted = self.sink.hand_on();
        if self.sink.failed.is_none() {
            let topic = &self.args.topic;
            let next =
                self.reader.next_offsets().map(|(partition, next)| (TopicPartition::new(topic, partition), next));
            self.written.extend(next);
        }
        wanted
    }

    /// Commits what was written out, of `only` or of all. `wait`: for a rebalance that is in the way.
    fn commit(&mut self, only: Option<&BTreeSet<TopicPartition>>, wait: bool) -> Result<(), ReadError> {
        self.last_commit = Instant::now();
        loop {
            let is_new = |place: &TopicPartition, next: &i64| {
                self.committed.get(place) != Some(next) && only.is_none_or(|only| only.contains(place))
            };
            let new: BTreeMap<_, _> =
                self.written.iter().filter(|(p, n)| is_new(p, n)).map(|(p, n)| (p.clone(), *n)).collect();
            match self.member.commit(&new)? {
                Commit::Done => {
                    self.committed.extend(new);
                    return Ok(());
                }
                // The next poll says what follows.
                Commit::Lost => return Ok(()),
                Commit::Later if !wait || self.last_commit.elapsed() > COMMIT_TIME => return Ok(()),
                Commit::Later => thread::sleep(IDLE),
            }
        }
    }

    /// What was read is written out and committed, whatever the group does meanwhile.
    fn finish(&mut self) -> Result<(), ReadError> {
        self.hand_on();
        let until = Instant::now() + COMMIT_TIME;
        loop {
            self.commit(None, false)?;
            let open = self.written.iter().any(|(place, next)| self.committed.get(place) != Some(next));
            if !open {
                return Ok(());
            }
            match self.member.poll()? {
                Some(Change::Revoked(places)) => {
                    self.commit(Some(&places), true)?;
                    self.forget(&places);
                }
                Some(Change::Lost) => {
                    self.warn("the group went on without this member: some records may be read again");
                    return Ok(());
                }
                Some(Change::Assigned(_)) | None if Instant::now() > until => {
                    self.warn("what was read last could not be committed: it may be read again");
                    return Ok(());
                }
                Some(Change::Assigned(_)) | None => thread::sleep(IDLE),
            }
        }
    }

    /// Who gives out the partitions looks whether there are more.
    fn look_for_new(&mut self) -> Result<(), ReadError> {
        let Some(given) = self.member.led() else { return Ok(()) };
        self.reader.refresh()?;
        if self.reader.topic.partitions().len() != given {
            self.member.rejoin();
        }
        Ok(())
    }
}
