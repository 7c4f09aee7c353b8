//! A member of a Raft group.
//!
//! The contract: the shard steps a member with one [`Input`] at a time and carries out the [`Output`] in the order of
//! its fields. The disk is one more asynchronous peer: what was handed out to be written comes back as
//! [`Input::Durable`] or [`Input::HardStateDurable`], and nothing counts towards a quorum before that. Nothing here
//! knows how many voters there are: a group of one goes through the same poll and the same count.
//!
//! Nodes are watched once for all groups. A link that loses a message breaks, and whoever notices says
//! [`Input::Suspected`] on both sides, and [`Input::Alive`] when there is a new one. So a group that has nothing to do
//! needs neither ticks nor messages ([`Raft::needs_ticks`]): a follower trusts its leader until the leader's node is
//! suspected, and a leader whose followers have all asks nobody.

use crate::configuration::{Configuration, Seat};
use crate::doubt::Doubt;
use crate::log::{Log, LogView};
use crate::message::{Body, Mark, Message};
use crate::output::{Append, Input, Output, Refused};
use crate::progress::Peer;
use crate::reads::Reads;
use crate::transfer::Transfer;
use torc_base::ids::{Index, NodeId, Term};

/// What a member is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// This member. It need not be one of the group yet, or any more.
    pub id: NodeId,
    /// Who belongs to the group: the configuration that holds at the applied mark, with its index (0: from the
    /// beginning), and those of the entries behind it, in order.
    pub configurations: Vec<(Index, Configuration)>,
    /// A voter without a leader campaigns after this many silent ticks, at the latest after twice as many. At least 1.
    pub election_ticks: u16,
    /// A leader that waits for answers asks at least every so many ticks. At least 1, less than `election_ticks`.
    pub heartbeat_ticks: u16,
    /// Spreads the timeouts of groups; the same for all members of one, best.
    pub seed: u64,
}

/// What a member must not forget: it is on disk before any vote or acknowledgement that depends on it leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// Highest term seen.
    pub term: Term,
    /// Who got this member's vote in that term.
    pub vote: Option<NodeId>,
    /// What it may have forgotten nevertheless.
    pub doubt: Option<Doubt>,
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
    pub(crate) seed: u64,
    pub(crate) election_ticks: u16,
    pub(crate) heartbeat_ticks: u16,
    /// Ticks since heartbeats were sent (as leader), or since the wait for a leader or a poll began.
    pub(crate) elapsed: u16,
    /// Ticks after which this member campaigns.
    pub(crate) timeout: u16,
    pub(crate) role: Role,
    pub(crate) hard_state: HardState,
    /// The hard state is on its way to the disk.
    pub(crate) promise_is_open: bool,
    pub(crate) leader: Option<NodeId>,
    /// The leader's node was suspected, and the leader was not heard since.
    pub(crate) leader_suspected: bool,
    pub(crate) log: Log,
    pub(crate) durable: Index,
    pub(crate) committed: Index,
    pub(crate) applied: Index,
    /// How often a suffix of the log was cut off.
    pub(crate) cut: u32,
    /// The entry that opened the term that this member leads.
    pub(crate) term_start: Index,
    /// The last configuration that is applied, and all behind it; the last of them holds, committed or not. Never empty.
    pub(crate) configurations: Vec<(Index, Configuration)>,
    /// All members, by id; this one is among them if it is a member.
    pub(crate) peers: Vec<Peer>,
    pub(crate) transfer: Option<Transfer>,
    pub(crate) reads: Reads,
}

impl Raft {
    /// A member as recovery found it: a follower without a leader. `applied` is what the state holds, and so at least
    /// as much is committed.
    pub fn new(config: Config, hard_state: HardState, log: LogView, applied: Index) -> Raft {
        let Config { id, configurations, election_ticks, heartbeat_ticks, seed } = config;
        assert!(heartbeat_ticks > 0 && heartbeat_ticks < election_ticks, "heartbeats come before elections");
        let log = Log::new(log);
        assert!(log.last_mark().term <= hard_state.term, "an entry of a term that the hard state does not know");
        assert!(applied <= log.last(), "applied {applied} of a log that ends at {}", log.last());
        let indexes = || configurations.iter().map(|&(index, _)| index);
        assert!(indexes().is_sorted_by(|a, b| a < b), "configurations stand in the order of their entries");
        assert!(indexes().next().is_some_and(|first| first <= applied), "no configuration holds at {applied}");
        assert!(indexes().all(|index| index <= log.last()), "a configuration behind the log's end {}", log.last());
        let mut raft = Raft {
            id,
            seed,
            election_ticks,
            heartbeat_ticks,
            elapsed: 0,
            timeout: election_ticks,
            role: Role::Follower,
            hard_state,
            promise_is_open: false,
            leader: None,
            leader_suspected: false,
            durable: log.last(),
            committed: applied.max(Index(log.first().0 - 1)),
            applied,
            cut: 0,
            term_start: Index(0),
            configurations,
            peers: Vec::new(),
            transfer: None,
            reads: Reads::default(),
            log,
        };
        if raft.lost_tail() != Mark::default() && raft.log.last_mark() >= raft.lost_tail() {
            raft.hard_state.doubt = None;
        }
        raft.seat_peers();
        raft.restart_timeout();
        raft
    }

    /// Takes one input in. `out` is cleared first. Only what is asked for ([`Input::Propose`], `Read`, `Reconfigure`,
    /// `Transfer`) can be refused.
    pub fn step(&mut self, input: Input, out: &mut Output) -> Result<(), Refused> {
        out.clear();
        match input {
            Input::Propose { entries } => return self.propose(entries, out),
            Input::Message { from, message } => self.receive(from, message, out),
            Input::Durable { cut, through } => self.log_durable(cut, through, out),
            Input::HardStateDurable(hard_state) => self.hard_state_durable(hard_state, out),
            Input::Tick => self.tick(out),
            Input::Applied { through } => self.applied(through),
            Input::Released { first } => {
                assert!(first <= self.applied.next(), "release to {first}, applied {}", self.applied);
                self.log.release(first);
            }
            Input::Campaign => self.campaign(out),
            Input::Suspected(node) => self.suspect(node),
            Input::Alive(node) => self.alive(node, out),
            Input::Sent { to, through, bytes } => self.sent(to, through, bytes, out),
            Input::Snapshot { to, outcome } => self.snapshot_ended(to, outcome, out),
            Input::Reconfigure { voters, learners } => return self.reconfigure(&voters, &learners, out),
            Input::Transfer { to } => return self.transfer_to(to, out),
            Input::Resign => self.resign(out),
            Input::Read => return self.read(out),
            Input::Regained { prev, run, configurations } => self.regained(prev, run, configurations, out),
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

    /// True if somebody leads as far as is known here, this member included.
    pub fn has_leader(&self) -> bool {
        self.has_living_leader()
    }

    /// Where the log stands.
    pub fn marks(&self) -> Marks {
        Marks { written: self.log.last(), durable: self.durable, committed: self.committed, applied: self.applied }
    }

    /// The terms of the log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Members of the group by id, with what a leader knows of them.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// Who belongs to the group as far as the log says, and since which entry: it holds from its append on, and is
    /// taken back if its entry is.
    pub fn configuration(&self) -> (Index, &Configuration) {
        let (index, configuration) = self.configurations.last().expect("there is always one");
        (*index, configuration)
    }

    /// The configurations that a checkpoint at the applied mark must have, and those of the entries behind it:
    /// [`Config::configurations`].
    pub fn configurations(&self) -> &[(Index, Configuration)] {
        &self.configurations
    }

    /// This member's seat; `None` if it is no member.
    pub fn seat(&self) -> Option<Seat> {
        self.find(self.id).map(|at| self.peers[at].seat)
    }

    fn propose(&mut self, entries: u32, out: &mut Output) -> Result<(), Refused> {
        self.check_leads()?;
        if let Some(Transfer { to, .. }) = self.transfer {
            return Err(Refused::Transferring { to });
        }
        self.append(entries, false, out);
        self.send_appends(out);
        Ok(())
    }

    pub(crate) fn check_leads(&self) -> Result<(), Refused> {
        if self.role == Role::Leader { Ok(()) } else { Err(Refused::NotLeader { leader: self.leader }) }
    }

    /// Appends entries of this leader's own term. They are sent on in the same step, beside the disk write.
    pub(crate) fn append(&mut self, entries: u32, noop: bool, out: &mut Output) {
        assert_eq!(self.role, Role::Leader, "only a leader appends");
        assert_eq!(out.append, None, "one append in a step");
        let term = self.term();
        let first = self.log.append(term, entries);
        out.append = Some(Append { term, first, last: self.log.last(), noop, cut: self.cut });
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
        self.check_repaired(out);
        if self.role == Role::Leader {
            self.count_commit(out);
        }
    }

    fn applied(&mut self, through: Index) {
        assert!(through <= self.committed, "applied {through}, committed {}", self.committed);
        self.applied = self.applied.max(through);
        self.forget_configurations();
    }

    pub(crate) fn set_hard_state(&mut self, hard_state: HardState, out: &mut Output) {
        self.hard_state = hard_state;
        self.promise_is_open = true;
        out.hard_state = Some(hard_state);
    }

    pub(crate) fn set_role(&mut self, role: Role, out: &mut Output) {
        if self.role != role {
            self.role = role;
            self.transfer = None;
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

    /// Position of a member; `None` for strangers.
    pub(crate) fn find(&self, id: NodeId) -> Option<usize> {
        self.peers.binary_search_by_key(&id, |peer| peer.id).ok()
    }

    /// Position of another member that this one leads.
    pub(crate) fn leads_to(&self, id: NodeId) -> Option<usize> {
        if self.role == Role::Leader && id != self.id { self.find(id) } else { None }
    }
}
