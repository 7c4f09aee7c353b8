//! The log groups that this shard owns, over its one write-ahead log.
//!
//! Every change goes the same way: consensus gives it a place, the log makes it durable, consensus says when it is
//! committed, and only then it is answered. Nothing here knows how many voters a group has.

mod append;
mod balance;
mod behind;
mod catalog_start;
mod checkpoint;
mod compaction;
mod depart;
mod digests;
mod fair;
mod fetch;
mod follow;
mod hard_state;
mod inside;
mod lend;
mod lookups;
mod mend;
mod moves;
mod outcomes;
mod propose;
mod put_aside;
mod quorums;
mod read;
mod recover;
mod regain;
mod replicas;
mod retention;
mod salvage;
mod sizes;
mod takes;
mod tree;
mod tree_start;
mod watch;

pub use depart::Link;
pub use digests::{Digest, Digests, RANGE as DIGEST_RANGE};
pub use fair::Flow;
pub use fetch::Request as FetchRequest;
pub use follow::{Sent, Untaken};

pub use inside::KeptBack;
#[cfg(test)]
pub use lend::LentHead;
pub use lend::{Lending, LendingWord};
pub use moves::{Arrival, Moving};
pub use recover::Phase;
pub use replicas::{InSync, OnCopies};
pub use tree::TxnHead;
pub use tree_start::{TreeTold, TreeWord};

use crate::allowance::Allowance;
use crate::group::Group;
use crate::line_limit::LineLimit;
use crate::mail::{Answer, Asker, Leaders, Mail};
use crate::meaning::{CatalogLog, LogKind, Meaning};
use crate::meters::Places;
use crate::packer::Packer;
use crate::peers::Outboxes;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::stats::{Stats, set};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use torc_base::ids::{BatchSeq, GroupId, Index, NodeId, Offset, Place, Term};
use torc_base::io::{DiskOp, Level, Op};
use torc_base::time::{Mono, Now};
use torc_consensus::{Input, Output};
use torc_state::catalog::{Change, Life};
use torc_wal::{Outcome, State, Wal};

/// Room that the log is to have for records from inside.
const INSIDE_BYTES: usize = 1 << 20;
/// Between two looks at the log's counters.
const STATS_MS: u64 = 50;
/// Lines about what cannot be read, in so many milliseconds.
const DAMAGE_LINES: u32 = 10;
const DAMAGE_SPAN_MS: u64 = 60_000;

/// What the groups say to the rest of the shard.
#[derive(Debug)]
pub enum Notice {
    /// More of the catalog's log is committed: what that changed.
    CatalogApplied(Vec<(Index, Change)>),
    /// The catalog is another one than before: a member that lacked much has got it as a whole.
    CatalogReplaced,
    /// The tree's log is committed through that entry, which is to be applied.
    TreeCommitted(Index),
    /// The tree is another one than before: a member that lacked much has got it as a whole.
    TreeReplaced,
    /// All groups of this shard have leaders, of those that this node alone decides about; or there is news of leaders.
    AllServing,
    /// This node does not lead the group any more.
    Lost(GroupId),
    /// The log has been read. `life` names the disk if one before it may have had something; else 0.
    Begun { life: u64 },
    /// Groups that this node leads have come where they were to come to.
    Arrived(Vec<Arrival>),
    /// The log takes nothing more.
    Fenced,
    /// There is a link to a shard of another node, perhaps again.
    PeerUp(Place),
    /// There is none any more: what was under way to it or from it may be lost.
    PeerDown(Place),
}

/// What a call may leave behind.
pub struct Out<'a> {
    pub now: Now,
    pub ops: &'a mut Vec<Op<Mail>>,
    pub answers: &'a mut VecDeque<(Asker, Answer)>,
    pub notices: &'a mut VecDeque<Notice>,
}

impl Out<'_> {
    /// A line for the log.
    pub fn log(&mut self, level: Level, text: String) {
        self.ops.push(Op::Log { level, text });
    }
}

/// The groups of one shard.
pub struct Groups {
    settings: Arc<Settings>,
    stats: Arc<Stats>,
    /// Where topics are counted.
    places: Places,
    pub phase: Phase,
    /// This disk, as long as one before it may have had replicas of groups that are made here.
    doubt: Option<u64>,
    /// Groups from this one on were made when this disk was there, whatever was before.
    since: Option<GroupId>,
    wal: Wal,
    groups: BTreeMap<GroupId, Group>,
    /// What is in the log and not yet durable, in the order of the log.
    in_flight: VecDeque<(BatchSeq, GroupId, propose::Mark)>,
    /// Batches that wait for room in the log, in the order of arrival, with when that was.
    deferred: VecDeque<(Asker, Mono, crate::mail::ProducePart)>,
    /// When batches were handed to the disk, each time with the last one of its turn; those that are not durable.
    cuts: VecDeque<(BatchSeq, Mono)>,
    /// The same of the batch that was durable last.
    last_cut: Mono,
    /// That batch.
    cut_seq: BatchSeq,
    fetches: fetch::Fetches,
    lookups: lookups::Lookups,
    compaction: compaction::Compaction,
    damage_lines: LineLimit,
    mends: mend::Mends,
    lendings: lend::Lendings,
    regains: regain::Regains,
    /// Of ranges that became whole in this turn, of groups that this node leads.
    digests_to_tell: Vec<Digest>,
    /// What topics take in the log, while it is being added up.
    sizes: Option<sizes::Sizes>,
    /// Where logs end, while it is being looked at.
    ends: Option<sizes::Ends>,
    /// Who waits for bytes.
    watches: BTreeMap<Asker, watch::Watch>,
    /// Groups of this shard that do not serve yet, and whose leader is this node's decision alone. Of the others nobody
    /// knows when they will have one: they keep nothing from going on.
    electing: usize,
    /// Partitions that began or ceased to serve, and nobody has been told.
    new_leaders: Leaders,
    /// What leaves for other nodes.
    pub outboxes: Outboxes,
    departures: depart::Departures,
    arrived: follow::Arrived,
    tree_starts: tree_start::TreeStarts,
    looks: replicas::Looks,
    balance: balance::Balance,
    moves: moves::Moves,
    takes: takes::Takes,
    /// Groups that get ticks, and when the next one is due.
    ticking: BTreeSet<GroupId>,
    next_tick: Mono,
    /// Entries of groups that this node leads which were not committed at the last of them.
    backlog: u64,
    /// What was refused may be taken now, and leaders of other nodes have not been told.
    takes_more: bool,
    packer: Packer,
    /// The entry at hand of the tree's log.
    txn_bytes: Vec<u8>,
    output: Output,
    disk_ops: Vec<DiskOp>,
    outcomes: Vec<Outcome>,
    checkpoint: checkpoint::Checkpointing,
    next_retention: Mono,
    /// Groups whose size is to be looked at, because a segment with entries of them has been filled.
    overfull: BTreeSet<GroupId>,
    next_stats: Mono,
    /// Groups that a test has made, of which no catalog knows.
    #[cfg(test)]
    pub by_hand: BTreeSet<GroupId>,
    /// The counters have been left for later: a turn is due then, or they would stay old while the shard idles.
    stats_due: bool,
}

/// Where the consensus of a group stands, for whoever compares members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupMarks {
    pub group: GroupId,
    pub term: Term,
    /// This member leads in that term.
    pub leads: bool,
    /// It leads, and its members are being changed.
    pub changes: bool,
    /// Whom it votes for in that term, whether that is on its disk yet or not.
    pub vote: Option<NodeId>,
    pub committed: Index,
    /// The term of the newest committed entry; `None` if the log does not say it any more.
    pub committed_term: Option<Term>,
    /// The last entry before those of that term, and its term if the log says it.
    pub before: (Option<Term>, Index),
    /// How far the log is on the disk.
    pub durable: Index,
    /// The entry since which its members are who they are.
    pub members_since: Index,
}

impl Groups {
    /// Nothing happens before [`Groups::start`].
    pub fn new(settings: Arc<Settings>, stats: Arc<Stats>) -> Groups {
        Groups {
            phase: Phase::Idle,
            doubt: settings.cluster.doubt,
            since: None,
            wal: Wal::with_blocks(settings.wal.clone(), settings.seed, settings.log_blocks.clone()),
            groups: BTreeMap::new(),
            in_flight: VecDeque::new(),
            deferred: VecDeque::new(),
            cuts: VecDeque::new(),
            last_cut: Mono(0),
            cut_seq: BatchSeq(0),
            fetches: fetch::Fetches::default(),
            lookups: lookups::Lookups::default(),
            compaction: compaction::Compaction::new(settings.seed),
            damage_lines: LineLimit::new(DAMAGE_LINES, DAMAGE_SPAN_MS),
            mends: mend::Mends::default(),
            lendings: lend::Lendings::default(),
            regains: regain::Regains::default(),
            digests_to_tell: Vec::new(),
            sizes: None,
            ends: None,
            watches: BTreeMap::new(),
            electing: 0,
            new_leaders: Leaders::new(),
            outboxes: Outboxes::default(),
            departures: depart::Departures::default(),
            arrived: follow::Arrived::new(settings.memory.followers),
            tree_starts: tree_start::TreeStarts::new(settings.seed ^ settings.cluster.start),
            looks: replicas::Looks::default(),
            balance: balance::Balance::default(),
            moves: moves::Moves::new(settings.move_bytes_per_second),
            takes: takes::Takes::default(),
            ticking: BTreeSet::new(),
            next_tick: Mono(0),
            backlog: 0,
            takes_more: false,
            packer: Packer::new(),
            txn_bytes: Vec::new(),
            output: Output::default(),
            disk_ops: Vec::new(),
            outcomes: Vec::new(),
            checkpoint: checkpoint::Checkpointing::default(),
            next_retention: Mono(0),
            overfull: BTreeSet::new(),
            next_stats: Mono(0),
            #[cfg(test)]
            by_hand: BTreeSet::new(),
            stats_due: false,
            settings,
            stats,
            places: Places::default(),
        }
    }

    /// Where each group stands, a line each.
    pub fn standing(&self) -> String {
        let line = |(id, group): (&GroupId, &Group)| {
            let raft = &group.raft;
            let marks = raft.marks();
            let members: Vec<String> = raft.peers().iter().map(|peer| format!("{} {:?}", peer.id, peer.seat)).collect();
            format!(
                "group {id}: {:?} in term {}, leader {:?}, written {}, durable {}, committed {}, applied {}, serves {}, ticks {} of [{}]\n",
                raft.role(),
                raft.term(),
                raft.leader().map(|node| node.get()),
                marks.written,
                marks.durable,
                marks.committed,
                marks.applied,
                group.serving,
                group.ticks,
                members.join(", "),
            )
        };
        self.groups.iter().map(line).collect()
    }

    /// Where the consensus of each group stands.
    pub fn marks(&self) -> impl Iterator<Item = GroupMarks> {
        self.groups.iter().map(|(id, Group { raft, .. })| {
            let committed = raft.marks().committed;
            let committed_term = raft.log().term_at(committed);
            let (term, leads, vote) = (raft.term(), raft.is_leader(), raft.hard_state().vote);
            let (members_since, members) = raft.configuration();
            let changes = leads && members.is_joint();
            let own = raft.log().terms().last().filter(|run| run.term == term).map(|run| run.first);
            let before = own.map_or(raft.log().last(), |first| Index(first.get().saturating_sub(1)));
            let before = (raft.log().term_at(before), before);
            let durable = raft.marks().durable;
            GroupMarks {
                group: *id,
                term,
                leads,
                changes,
                vote,
                committed,
                committed_term,
                before,
                durable,
                members_since,
            }
        })
    }

    /// True if a member here votes in a group, of which it knows of no loss and nothing is compacted, and has put this entry of its log
    /// on the disk.
    pub fn keeps(&self, id: GroupId, term: Term, index: Index) -> bool {
        let Some(group) = self.groups.get(&id).filter(|group| group.compaction.is_none()) else { return false };
        let raft = &group.raft;
        let is_member = raft.peers().iter().any(|peer| peer.id == self.settings.node && peer.seat.votes_after());
        let has =
            index >= raft.log().first() && index <= raft.marks().durable && raft.log().term_at(index) == Some(term);
        is_member && has && raft.hard_state().doubt.is_none()
    }

    /// Who votes in a group of this shard that this node leads, and whether before the change that is under way, and after it.
    pub fn voters(&self, id: GroupId) -> Vec<(NodeId, bool, bool)> {
        let Some(group) = self.groups.get(&id).filter(|group| group.raft.is_leader()) else { return Vec::new() };
        let members = group.raft.configuration().1.members().iter().filter(|member| member.seat.votes());
        members.map(|member| (member.id, member.seat.votes_before(), member.seat.votes_after())).collect()
    }

    /// Groups of this shard.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// True while a flush is in flight.
    pub fn flushing(&self) -> bool {
        self.wal.flushing()
    }

    /// Why the log takes nothing more, if so.
    pub fn fenced(&self) -> Option<String> {
        match self.wal.state() {
            State::Fenced(why) => Some(why),
            _ => None,
        }
    }

    /// True while there is no room for producers' records, nor for partitions to put them in.
    pub fn is_full(&self) -> bool {
        self.wal.state() == State::Full
    }

    /// True while what is to be written waits for room: who makes records for clients lets their requests wait.
    pub fn is_busy(&self) -> bool {
        !self.refuses_records() && !self.wal.admits(INSIDE_BYTES)
    }

    /// True while the log takes no records, and for a while.
    pub fn refuses_records(&self) -> bool {
        self.refusal().is_some()
    }

    /// The first offset of a partition that this node leads and the one behind its last committed record.
    pub fn extent(&self, id: GroupId) -> Option<(Offset, Offset)> {
        let partition = self.group_for_reading(id, -1).ok()?.partition();
        Some((partition.log_start(), partition.high_watermark()))
    }

    /// The end of a partition's log that this node leads, with what is not committed yet.
    pub fn end(&self, id: GroupId) -> Option<Offset> {
        Some(self.group_for_reading(id, -1).ok()?.partition().end())
    }

    /// True if all that the partition's log has is committed.
    pub fn is_committed(&self, id: GroupId) -> bool {
        let marks = |group: &Group| group.raft.marks();
        self.groups.get(&id).map(marks).is_some_and(|marks| marks.committed >= marks.written)
    }

    /// True when the log leaves no file half made. Asked after the last checkpoint.
    pub fn is_settled(&self) -> bool {
        self.wal.is_settled()
    }

    /// True if this node leads the group and has all that was committed before.
    pub fn leads(&self, id: GroupId) -> bool {
        self.groups.get(&id).is_some_and(Group::leads)
    }

    /// True if partitions began or ceased to serve since [`Groups::take_leaders`].
    pub fn has_news_of_leaders(&self) -> bool {
        !self.new_leaders.is_empty()
    }

    /// True when every group has its leader that waits for nobody but this node, or never will.
    pub fn all_serving(&self) -> bool {
        self.electing == 0 || self.fenced().is_some()
    }

    /// Partitions that began or ceased to serve since this was last asked.
    pub fn take_leaders(&mut self) -> Leaders {
        std::mem::take(&mut self.new_leaders)
    }

    /// True if all that was appended is durable, and nothing waits for room.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.deferred.is_empty()
    }

    /// Makes a group that is new here, with these nodes as its voters; those of the catalog and the tree are in the
    /// settings. It has a
    /// leader when the votes and a no-op are committed; the first of `replicas` stands for election at once.
    pub fn create(&mut self, out: &mut Out, id: GroupId, kind: LogKind, replicas: &[NodeId]) {
        let first = match id {
            GroupId::CATALOG | GroupId::TREE => self.settings.cluster.voters.first(),
            _ => replicas.first(),
        };
        let stands = first == Some(&self.settings.node);
        let doubt = self.doubt.filter(|_| self.since.is_none_or(|since| id < since));
        self.make(out, id, kind, replicas, doubt, stands);
    }

    /// The same. `doubt` names the disk, or its life, if an earlier one may have had something of the group.
    fn make(&mut self, out: &mut Out, id: GroupId, kind: LogKind, voters: &[NodeId], doubt: Option<u64>, stands: bool) {
        if self.groups.contains_key(&id) || self.fenced().is_some() {
            return;
        }
        let raft = recover::fresh_raft(&self.settings, doubt, id, voters);
        self.groups.insert(id, Group::new(raft, Meaning::new(kind, &self.settings)));
        self.takes_more = true;
        self.seek_leader(out, id, stands);
    }

    /// What the catalog knows of this shard's disk: of none, or of another life of it, it says nothing here. So a disk that has
    /// nothing of a group because it was stopped too early is not taken for one that has forgotten it.
    pub fn lives(&mut self, known: Option<&Life>) {
        self.since = known.filter(|known| Some(known.number) == self.doubt).map(|known| known.since);
    }

    /// The catalog has this node's word that it has started anew. What it makes from here on was made after that, and no disk
    /// that the node had before can have promised anything about it.
    pub fn start_is_known(&mut self) {
        self.doubt = None;
        self.checkpoint.waits_for_catalog = false;
    }

    /// True if nothing that members here may have forgotten is still open.
    pub fn has_no_doubts(&self) -> bool {
        let none = |group: &Group| group.raft.hard_state().doubt.is_none();
        let known = self.doubt.is_none() && !self.checkpoint.waits_for_catalog;
        self.phase == Phase::Running && known && self.groups.values().all(none)
    }

    /// The catalog as its log says. Only the shard that owns it may ask, once it has been made.
    pub fn catalog(&self) -> &CatalogLog {
        match &self.groups.get(&GroupId::CATALOG).expect("asked of the catalog's owner").meaning {
            Meaning::Catalog(catalog) => catalog,
            _ => unreachable!("the catalog's group has the catalog's log"),
        }
    }

    /// The same, to plan changes of it.
    pub fn catalog_mut(&mut self) -> &mut CatalogLog {
        match &mut self.groups.get_mut(&GroupId::CATALOG).expect("asked of the catalog's owner").meaning {
            Meaning::Catalog(catalog) => catalog,
            _ => unreachable!("the catalog's group has the catalog's log"),
        }
    }

    /// A group has been made or recovered. With one voter the vote alone decides, once it is durable; of several, one
    /// stands at once, if any, and the others give it time.
    fn seek_leader(&mut self, out: &mut Out, id: GroupId, stands: bool) {
        let group = self.groups.get_mut(&id).expect("just made");
        let alone = group.is_alone();
        // With something lost, and nobody who has it, there will be none.
        let hopeless = alone && group.raft.hard_state().doubt.is_some();
        if alone && !hopeless {
            group.awaited = true;
            self.electing += 1;
        }
        if !alone {
            self.suspect_absent(out, id);
        }
        if alone || stands {
            self.step(out, id, Input::Campaign);
        } else {
            self.note_ticks(out.now.mono, id);
        }
        set(&self.stats.groups, self.groups.len() as u64);
    }

    /// Drops a group and all that waits for it.
    pub fn drop_group(&mut self, out: &mut Out, id: GroupId) {
        #[cfg(test)]
        if self.by_hand.contains(&id) {
            return;
        }
        self.waits_no_more(id);
        let Some(mut group) = self.groups.remove(&id) else { return };
        self.ticking.remove(&id);
        self.balance.left(id);
        self.moves.forget(id);
        self.takes.forget(id);
        self.regains.forget(id);
        self.mends.forget(id);
        self.lendings.forget(id);
        self.compaction.forget(id);
        self.forget_refusals(id);
        self.forget_under_way(id);
        self.wal.drop_group(id);
        let waiters = group.waiters_mut().flat_map(std::mem::take);
        out.answers.extend(waiters.map(|waiter| waiter.refused(Refusal::Gone)));
        self.wake_all(out, group.watchers.into_iter().map(|(_, asker)| asker));
        set(&self.stats.groups, self.groups.len() as u64);
        self.note_serving(out);
    }

    /// A group of that id may be made again: what was to be said of the old log is not said, and what is on its way to the disk is
    /// not in the new one.
    fn forget_under_way(&mut self, id: GroupId) {
        self.outboxes.forget(id);
        self.in_flight.retain(|(_, of, _)| *of != id);
    }

    /// A group's member here.
    #[cfg(test)]
    pub fn raft(&self, id: GroupId) -> Option<&torc_consensus::Raft> {
        self.groups.get(&id).map(|group| &group.raft)
    }

    /// A partition's state, and the offset behind its last committed record.
    #[cfg(test)]
    pub fn state(&self, id: GroupId) -> Option<(Vec<u8>, Offset)> {
        let group = self.groups.get(&id)?;
        let mut bytes = Vec::new();
        group.meaning.encode(&mut bytes);
        Some((bytes, group.partition().high_watermark()))
    }

    /// A partition's first offset.
    #[cfg(test)]
    pub fn log_start(&self, id: GroupId) -> Option<Offset> {
        Some(self.groups.get(&id)?.partition().log_start())
    }

    /// Counters of the log.
    #[cfg(test)]
    pub fn wal_stats(&self) -> torc_wal::Stats {
        self.wal.stats()
    }

    /// The ids of all groups.
    pub fn ids(&self) -> Vec<GroupId> {
        self.groups.keys().copied().collect()
    }

    /// End of a turn: waiting batches go in, the open batch is cut, background work goes on.
    pub fn turn(&mut self, out: &mut Out, allowance: &mut Allowance) {
        if !matches!(self.phase, Phase::Running | Phase::Replaying) {
            return;
        }
        self.turn_checkpoint(out.now.mono);
        self.turn_ticks(out);
        self.turn_departures(out);
        self.turn_giving(out);
        self.turn_taking(out);
        self.tell_digests();
        self.tell_of_room();
        self.turn_replicas(out);
        self.turn_balance(out);
        self.turn_mends(out);
        self.turn_regains(out);
        self.turn_lendings(out);
        self.turn_moves(out);
        self.take_deferred(out);
        self.retry_fetches(out);
        self.retain(out);
        self.retain_filled(out);
        let looked = self.turn_lookups(out, allowance.bytes());
        allowance.charge_bytes(looked);
        let compacted = self.turn_compaction(out, allowance.bytes());
        allowance.charge_bytes(compacted);
        let mut ops = std::mem::take(&mut self.disk_ops);
        let mut outcomes = std::mem::take(&mut self.outcomes);
        self.wal.turn(out.now, &mut ops, &mut outcomes);
        let cut = self.wal.written();
        if self.cuts.back().map_or(self.cut_seq, |(last, _)| *last) < cut {
            self.cuts.push_back((cut, out.now.mono));
        }
        self.take_outcomes(out, outcomes);
        out.ops.extend(ops.drain(..).map(Op::Disk));
        self.disk_ops = ops;
        self.publish_stats(out.now.mono);
    }

    /// Not in every turn: adding up what is alive costs more than a small request.
    fn publish_stats(&mut self, now: Mono) {
        self.stats_due = now < self.next_stats;
        if self.stats_due {
            return;
        }
        self.next_stats = now.plus_ms(STATS_MS);
        let wal = self.wal.stats();
        set(&self.stats.wal_batches_total, wal.batches);
        set(&self.stats.wal_bytes_total, wal.bytes);
        set(&self.stats.wal_entries_total, wal.entries);
        set(&self.stats.read_memory_bytes, self.wal.read_memory().0 as u64);
        set(&self.stats.follower_memory_bytes, self.arrived.used() as u64);
        set(&self.stats.log_memory_bytes, self.settings.log_blocks.used() as u64);
        set(&self.stats.wal_segments, wal.segments);
        set(&self.stats.wal_live_bytes, wal.live_bytes);
        set(&self.stats.cleaner_cold_segments, wal.cold_segments);
        set(&self.stats.cleaner_waiting_segments, wal.cleaner_waiting);
        set(&self.stats.cleaner_passes_total, wal.cleaner_passes);
        set(&self.stats.cleaner_read_bytes_total, wal.cleaner_read_bytes);
        set(&self.stats.cleaner_written_bytes_total, wal.cleaner_written_bytes);
        set(&self.stats.cleaner_freed_bytes_total, wal.cleaner_freed_bytes);
        set(&self.stats.compactions_total, wal.compactions);
        set(&self.stats.fetch_cold_reads_total, wal.cold_reads);
        set(&self.stats.wal_reads_total, wal.disk_reads);
        set(&self.stats.wal_read_bytes_total, wal.disk_read_bytes);
        set(&self.stats.read_ahead_hits_total, wal.ahead_hits);
        set(&self.stats.read_ahead_misses_total, wal.ahead_misses);
        set(&self.stats.read_ahead_dropped_total, wal.ahead_dropped);
        set(&self.stats.read_ahead_bytes, wal.ahead_bytes);
    }

    /// When what is due, by name; nothing of what rests. A time that has passed is now.
    pub fn dues(&self) -> [(&'static str, Option<Mono>); 17] {
        // Fenced, only what answers is due: of all else the time would be due for ever.
        let runs = self.phase == Phase::Running && self.fenced().is_none();
        let at_rest_unless = |runs: bool, at: Option<Mono>| at.filter(|_| runs);
        let at_once = |is_due: bool| is_due.then_some(Mono(0));
        [
            ("log", self.wal.deadline()),
            ("lookups", at_once(self.lookups.is_due())),
            ("sizes", at_once(self.is_asked() || self.is_taking_snapshot())),
            ("checkpoint", at_rest_unless(runs, self.checkpoint_deadline())),
            ("ticks", at_rest_unless(runs, self.tick_deadline())),
            ("departures", at_rest_unless(runs, self.departures_deadline())),
            ("tree starts", at_rest_unless(runs, self.tree_starts_deadline())),
            ("replicas", at_rest_unless(runs, self.replicas_deadline())),
            ("balance", at_rest_unless(runs, self.balance_deadline())),
            ("mends", at_rest_unless(runs, self.mend_deadline())),
            ("regains", at_rest_unless(runs, self.regains.deadline())),
            ("lendings", at_rest_unless(runs, self.lendings.deadline())),
            ("moves", at_rest_unless(runs, self.moves_deadline())),
            ("compaction", at_rest_unless(runs, self.compaction_deadline())),
            ("stats", at_rest_unless(runs && self.stats_due, Some(self.next_stats))),
            ("overfull", at_rest_unless(runs, at_once(!self.overfull.is_empty()))),
            ("retention", at_rest_unless(runs, Some(self.next_retention))),
        ]
    }

    /// When the next turn is due at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        self.dues().into_iter().filter_map(|(_, at)| at).min()
    }
}
