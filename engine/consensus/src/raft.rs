//! A member of a Raft group.
//!
//! The contract: the shard steps a member with one [`Input`] at a time and carries out the [`Output`] in the order of
//! its fields. The disk is one more asynchronous peer: what was handed out to be written comes back as
//! [`Input::Durable`] or [`Input::HardStateDurable`], and nothing counts towards a quorum before that. Nothing here
//! knows how many voters there are: a group of one goes through the same poll and the same count.

use crate::log::{Log, LogView};
use crate::message::{Body, Message};
use crate::output::{Append, Input, NotLeader, Output};
use crate::progress::Peer;
use torc_base::ids::{Index, NodeId, Term};
use torc_base::prng::Prng;

/// What a member is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// This member; one of `voters`.
    pub id: NodeId,
    /// All members, at least one, each once.
    pub voters: Vec<NodeId>,
    /// A follower campaigns after this many silent ticks, at the latest after twice as many. At least 1.
    pub election_ticks: u16,
    /// A leader speaks at least every so many ticks. At least 1, less than `election_ticks`.
    pub heartbeat_ticks: u16,
    /// Spreads the timeouts of members and groups.
    pub seed: u64,
}

/// What a member must not forget: it is on disk before any vote or acknowledgement that depends on it leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// Highest term seen.
    pub term: Term,
    /// Who got this member's vote in that term.
    pub vote: Option<NodeId>,
}

/// The four marks of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Last entry handed out to be written; perhaps only in memory.
    pub written: Index,
    /// Last entry that is on this member's disk, with all before it.
    pub durable: Index,
    /// Last entry known to be on the disks of a quorum. May be ahead of `durable` on a follower.
    pub committed: Index,
    /// Last entry that is in the state.
    pub applied: Index,
}

/// What a member is in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether an election would be won.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Appends.
    Leader,
}

/// A member of a Raft group.
#[derive(Clone, Debug)]
pub struct Raft {
    pub(crate) id: NodeId,
    seed: u64,
    pub(crate) election_ticks: u16,
    pub(crate) heartbeat_ticks: u16,
    /// Ticks since the leader was heard (as follower), the poll began, or heartbeats were sent (as leader).
    pub(crate) elapsed: u16,
    /// Ticks after which this member campaigns.
    pub(crate) timeout: u16,
    pub(crate) role: Role,
    pub(crate) hard_state: HardState,
    pub(crate) leader: Option<NodeId>,
    pub(crate) log: Log,
    pub(crate) durable: Index,
    pub(crate) committed: Index,
    pub(crate) applied: Index,
    /// How often a suffix of the log was cut off.
    pub(crate) cut: u32,
    /// All voters, this one included, by id.
    pub(crate) peers: Vec<Peer>,
}

impl Raft {
    /// A member as recovery found it: a follower without a leader. `applied` is what the state holds, and so at least
    /// as much is committed.
    pub fn new(config: Config, hard_state: HardState, log: LogView, applied: Index) -> Raft {
        let Config { id, mut voters, election_ticks, heartbeat_ticks, seed } = config;
        voters.sort_unstable();
        assert!(voters.windows(2).all(|w| w[0] != w[1]), "voters {voters:?} name a member twice");
        assert!(voters.contains(&id), "member {id} is not one of {voters:?}");
        assert!(heartbeat_ticks > 0 && heartbeat_ticks < election_ticks, "heartbeats come before elections");
        let log = Log::new(log);
        assert!(log.last_mark().term <= hard_state.term, "an entry of a term that the hard state does not know");
        assert!(applied <= log.last(), "applied {applied} of a log that ends at {}", log.last());
        let mut raft = Raft {
            id,
            seed,
            election_ticks,
            heartbeat_ticks,
            elapsed: 0,
            timeout: election_ticks,
            role: Role::Follower,
            hard_state,
            leader: None,
            durable: log.last(),
            committed: applied.max(Index(log.first().0 - 1)),
            applied,
            cut: 0,
            peers: voters.into_iter().map(Peer::new).collect(),
            log,
        };
        raft.restart_timeout();
        raft
    }

    /// Takes one input in. `out` is cleared first. Only [`Input::Propose`] can be refused.
    pub fn step(&mut self, input: Input, out: &mut Output) -> Result<(), NotLeader> {
        out.clear();
        match input {
            Input::Propose { entries } => return self.propose(entries, out),
            Input::Message { from, message } => self.receive(from, message, out),
            Input::Durable { cut, through } => self.log_durable(cut, through, out),
            Input::HardStateDurable(hard_state) => self.hard_state_durable(hard_state, out),
            Input::Tick => self.tick(out),
            Input::Applied { through } => {
                assert!(through <= self.committed, "applied {through}, committed {}", self.committed);
                self.applied = self.applied.max(through);
            }
            Input::Released { first } => {
                assert!(first <= self.applied.next(), "release to {first}, applied {}", self.applied);
                self.log.release(first);
            }
            Input::Campaign => self.campaign(out),
        }
        Ok(())
    }

    /// This member's role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// True if this member leads.
    pub fn is_leader(&self) -> bool {
        self.role == Role::Leader
    }

    /// The current term.
    pub fn term(&self) -> Term {
        self.hard_state.term
    }

    /// The hard state as last handed out; perhaps not yet durable.
    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// Who leads, as far as known.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// Where the log stands.
    pub fn marks(&self) -> Marks {
        Marks { written: self.log.last(), durable: self.durable, committed: self.committed, applied: self.applied }
    }

    /// The terms of the log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Voters of the group by id, with what a leader knows of them.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// False while ticks do nothing: nobody else is there to be heard or to be spoken to.
    pub fn needs_ticks(&self) -> bool {
        self.peers.len() > 1
    }

    fn tick(&mut self, out: &mut Output) {
        if !self.needs_ticks() {
            return;
        }
        self.elapsed = self.elapsed.saturating_add(1);
        if self.role == Role::Leader {
            if self.elapsed >= self.heartbeat_ticks {
                self.elapsed = 0;
                self.heartbeat(out);
            }
        } else if self.elapsed >= self.timeout {
            self.campaign(out);
        }
    }

    /// Starts the silence anew, with another timeout, so that members do not campaign in step.
    pub(crate) fn restart_timeout(&mut self) {
        self.elapsed = 0;
        let salt = (u64::from(self.id.0) << 32) ^ self.hard_state.term.0.rotate_left(17) ^ u64::from(self.timeout);
        let extra = Prng::new(self.seed ^ salt).below(u64::from(self.election_ticks));
        self.timeout = self.election_ticks + extra as u16;
    }

    fn propose(&mut self, entries: u32, out: &mut Output) -> Result<(), NotLeader> {
        if self.role != Role::Leader {
            return Err(NotLeader { leader: self.leader });
        }
        self.append(entries, false, out);
        Ok(())
    }

    /// Appends entries of this leader's own term and sends them on at once, beside the disk write.
    pub(crate) fn append(&mut self, entries: u32, noop: bool, out: &mut Output) {
        assert_eq!(self.role, Role::Leader, "only a leader appends");
        let term = self.term();
        let first = self.log.append(term, entries);
        out.append = Some(Append { term, first, last: self.log.last(), noop, cut: self.cut });
        self.send_appends(false, out);
    }

    fn log_durable(&mut self, cut: u32, through: Index, out: &mut Output) {
        assert!(cut <= self.cut, "a report about cut {cut} of {}", self.cut);
        if cut < self.cut {
            // The entries that followed the cut are under way; their report tells of all before them too.
            return;
        }
        assert!(through <= self.log.last(), "durable {through} of a log that ends at {}", self.log.last());
        if through <= self.durable {
            return;
        }
        self.durable = through;
        if self.role == Role::Leader {
            self.count_commit(out);
        }
    }

    pub(crate) fn set_role(&mut self, role: Role, out: &mut Output) {
        if self.role != role {
            self.role = role;
            out.role = Some(role);
        }
    }

    pub(crate) fn commit_to(&mut self, index: Index, out: &mut Output) {
        if index > self.committed {
            assert!(index <= self.log.last(), "committed {index} of a log that ends at {}", self.log.last());
            self.committed = index;
            out.committed = Some(index);
        }
    }

    pub(crate) fn message(&self, body: Body) -> Message {
        Message { term: self.term(), body }
    }

    pub(crate) fn others(&self) -> impl Iterator<Item = NodeId> + use<> {
        let id = self.id;
        let ids: Vec<NodeId> = self.peers.iter().map(|peer| peer.id).filter(|&peer| peer != id).collect();
        ids.into_iter()
    }

    /// Position of another voter; `None` for strangers, whose messages are ignored.
    pub(crate) fn find(&self, id: NodeId) -> Option<usize> {
        self.peers.binary_search_by_key(&id, |peer| peer.id).ok()
    }
}
