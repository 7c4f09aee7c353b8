//! A member of a classic consumer group: it joins, reads what it is given, commits, and leaves.
//!
//! The owner of a [`Member`] calls [`Member::poll`] again and again, and does what it says. Heartbeats go out on a thread of their
//! own, so a slow reader stays in the group for a while; JoinGroup waits for all members, so it has one, too.

mod assign;
mod beat;
mod join;
mod texts;

#[cfg(test)]
mod assign_tests;

pub use assign::{Assignment, Assignor, Joined};

use crate::ask::AskError;
use crate::client::Times;
use crate::cluster::Cluster;
use crate::groups::{Committed, GroupClient, commit_codes, commit_request, id};
use crate::offsets::TopicPartition;
use crate::patience::Patience;
use crate::topic::Refusal;
use beat::Beats;
use join::{Entry, JoinOutcome};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{LeaveGroupRequest, OffsetCommitRequest};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

const REBALANCING: i16 = ResponseError::RebalanceInProgress.code();
const UNKNOWN_MEMBER: i16 = ResponseError::UnknownMemberId.code();
const OLD_GENERATION: i16 = ResponseError::IllegalGeneration.code();
const NO_COMMON_PROTOCOL: i16 = ResponseError::InconsistentGroupProtocol.code();
/// First version of LeaveGroup that takes members in a list.
const LEAVE_LIST: i16 = 3;

/// As what somebody joins.
#[derive(Clone, Debug)]
pub struct Membership {
    /// Servers of the cluster, as [`Cluster::connect`] takes them.
    pub address: String,
    pub group: String,
    pub topic: String,
    /// What it can do, the best first. With `range` among them it gives up all it reads before each rebalance.
    pub assignors: Vec<Assignor>,
    pub session_timeout: Duration,
    /// How long others may have to wait until this member has given up what it is to give up.
    pub rebalance_timeout: Duration,
}

/// Why somebody is no member.
#[derive(Debug)]
pub enum MemberError {
    Ask(AskError),
    /// The group does not take it.
    Refused(Refusal),
}

impl fmt::Display for MemberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemberError::Ask(error) => error.fmt(f),
            MemberError::Refused(refusal) if refusal.code == NO_COMMON_PROTOCOL => {
                write!(f, "{refusal}: its members give out partitions by an assignor that is not offered here")
            }
            MemberError::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for MemberError {}

impl<E: Into<AskError>> From<E> for MemberError {
    fn from(error: E) -> MemberError {
        MemberError::Ask(error.into())
    }
}

/// What has changed, and is to be done before the next [`Member::poll`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These are to be read from now on.
    Assigned(BTreeSet<TopicPartition>),
    /// These are to be committed, and not to be read any more.
    Revoked(BTreeSet<TopicPartition>),
    /// All partitions are others' already, and nothing can be committed.
    Lost,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    Done,
    /// The group is rebalancing: to be tried again after the next [`Member::poll`].
    Later,
    /// The group has gone on without this member.
    Lost,
}

enum Phase {
    /// To join as soon as nothing is read that may not be meanwhile.
    Out,
    Joining(Receiver<Result<JoinOutcome, MemberError>>),
    In,
}

/// A member, from its first [`Member::poll`] on.
pub struct Member {
    membership: Membership,
    patience: Patience,
    commits: GroupClient,
    phase: Phase,
    beats: Beats,
    /// Its id; empty before it has one.
    id: String,
    generation: i32,
    owned: BTreeSet<TopicPartition>,
    /// What was assigned and is not owned yet.
    coming: BTreeSet<TopicPartition>,
    /// The number of the topic's partitions that the assignment was made for, if this member made it.
    led: Option<usize>,
}

impl Member {
    /// One that has not joined yet. Things that pass by themselves are tried again with `patience`.
    pub fn new(membership: Membership, patience: Patience) -> Result<Member, AskError> {
        let connect = || {
            let cluster = Cluster::connect_patiently(&membership.address, Times::default(), &mut patience.clone())?;
            Ok::<_, AskError>(GroupClient::new(cluster, patience.clone()))
        };
        Ok(Member {
            commits: connect()?,
            beats: Beats::start(connect()?, membership.group.clone()),
            membership,
            patience,
            phase: Phase::Out,
            id: String::new(),
            generation: -1,
            owned: BTreeSet::new(),
            coming: BTreeSet::new(),
            led: None,
        })
    }

    /// True if it has all that the group gives it now.
    pub fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::In) && self.coming.is_empty() && !self.beats.is_rebalancing()
    }

    /// The number of partitions that it has given out, if it did.
    pub fn led(&self) -> Option<usize> {
        self.led
    }

    /// Makes the group rebalance: the topic is not what it was.
    pub fn rejoin(&mut self) {
        if matches!(self.phase, Phase::In) {
            self.phase = Phase::Out;
        }
    }

    fn keeps_while_joining(&self) -> bool {
        !self.membership.assignors.contains(&Assignor::Range)
    }

    /// Says what has changed, if something has. To be called often: after some minutes without, others take over.
    ///
    /// # Errors
    /// It is no member, and will not become one.
    pub fn poll(&mut self) -> Result<Option<Change>, MemberError> {
        self.beats.polled();
        if let Phase::In = self.phase {
            if self.beats.is_lost() {
                return Ok(self.lose());
            }
            if !self.coming.is_empty() {
                let coming = std::mem::take(&mut self.coming);
                self.owned.extend(coming.iter().cloned());
                return Ok(Some(Change::Assigned(coming)));
            }
            if self.beats.is_rebalancing() {
                self.phase = Phase::Out;
            }
        }
        if let Phase::Out = self.phase {
            if !self.keeps_while_joining() && !self.owned.is_empty() {
                return Ok(Some(Change::Revoked(std::mem::take(&mut self.owned))));
            }
            self.join()?;
        }
        let Phase::Joining(outcome) = &self.phase else { return Ok(None) };
        match outcome.try_recv() {
            Ok(outcome) => outcome.map(|outcome| self.joined(outcome)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => unreachable!("who joins says how it went"),
        }
    }

    fn join(&mut self) -> Result<(), MemberError> {
        self.beats.pause();
        let entry = Entry {
            membership: self.membership.clone(),
            patience: self.patience.clone(),
            id: self.id.clone(),
            generation: self.generation,
            owned: self.owned.clone(),
        };
        self.phase = Phase::Joining(join::start(entry));
        Ok(())
    }

    /// What follows from a join.
    fn joined(&mut self, outcome: JoinOutcome) -> Option<Change> {
        match outcome {
            JoinOutcome::Named(id) => {
                self.id = id;
                self.phase = Phase::Out;
                None
            }
            JoinOutcome::Again => {
                self.phase = Phase::Out;
                None
            }
            JoinOutcome::Forgotten => self.lose(),
            JoinOutcome::In { id, generation, assigned, led } => {
                (self.id, self.generation, self.led) = (id, generation, led);
                let revoked: BTreeSet<_> = self.owned.difference(&assigned).cloned().collect();
                self.coming = assigned.difference(&self.owned).cloned().collect();
                self.owned.retain(|place| assigned.contains(place));
                self.beats.begin(&self.id, generation);
                // Who gives something up joins again, so that others get it.
                self.phase = if revoked.is_empty() { Phase::In } else { Phase::Out };
                if revoked.is_empty() {
                    return None;
                }
                // What comes with the same assignment comes again with the next.
                self.coming.clear();
                Some(Change::Revoked(revoked))
            }
        }
    }

    fn lose(&mut self) -> Option<Change> {
        self.beats.pause();
        (self.phase, self.generation, self.led) = (Phase::Out, -1, None);
        self.id.clear();
        self.coming.clear();
        let had = !std::mem::take(&mut self.owned).is_empty();
        had.then_some(Change::Lost)
    }

    /// What the group has committed for these partitions.
    pub fn committed(
        &mut self,
        places: &BTreeSet<TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, i64>, MemberError> {
        let told = self.commits.committed(std::slice::from_ref(&self.membership.group))?;
        let told = told.into_values().next().expect("one group was asked for").map_err(MemberError::Refused)?;
        let offset = |(place, committed): (TopicPartition, Committed)| (place, committed.offset);
        Ok(told.into_iter().filter(|(place, _)| places.contains(place)).map(offset).collect())
    }

    /// Commits the next offsets to read.
    pub fn commit(&mut self, offsets: &BTreeMap<TopicPartition, i64>) -> Result<Commit, MemberError> {
        if offsets.is_empty() {
            return Ok(Commit::Done);
        }
        if self.id.is_empty() {
            return Ok(Commit::Lost);
        }
        let request = commit_request(&self.membership.group, self.generation, &self.id, offsets);
        let told = self.commits.one(&self.membership.group, "commit offsets of", |client| {
            let version = client.version_up_to::<OffsetCommitRequest>(crate::groups::OFFSETS)?;
            client.send(&request, version)?;
            let codes = commit_codes(&client.receive::<OffsetCommitRequest>(version)?);
            let worst = codes.iter().map(|(_, code)| *code).find(|code| *code != 0).unwrap_or(0);
            Ok((worst, codes))
        })?;
        match told {
            Ok(_) => Ok(Commit::Done),
            Err(refusal) if refusal.code == REBALANCING => Ok(Commit::Later),
            Err(refusal) if [UNKNOWN_MEMBER, OLD_GENERATION].contains(&refusal.code) => {
                self.beats.lose();
                Ok(Commit::Lost)
            }
            Err(refusal) => Err(MemberError::Refused(refusal)),
        }
    }

    /// Leaves at once, so that others need not wait for the session's end. If nobody hears it, that comes.
    pub fn leave(mut self) {
        self.beats.pause();
        if self.id.is_empty() {
            return;
        }
        let (group, member) = (self.membership.group.clone(), crate::cluster::text(&self.id));
        // Whoever waits for a join has a connection of its own, which does not answer.
        let _ = self.commits.one(&group, "leave", |client| {
            let version = client.version::<LeaveGroupRequest>()?;
            let request = LeaveGroupRequest::default().with_group_id(id(&group));
            let request = match version < LEAVE_LIST {
                true => request.with_member_id(member.clone()),
                false => request.with_members(vec![MemberIdentity::default().with_member_id(member.clone())]),
            };
            client.call(&request).map(|_| (0, ()))
        });
    }
}
