//! The way out to other members: who can be reached, and what leaves with the entries that it offers.
//!
//! Consensus offers entries; here they are taken from the log, from its tail without a copy or from the disk, as many as the
//! frame has room for, and consensus is told how many left, and how large they are. Nothing more is offered to a follower
//! before that.

use super::catalog_start::is_sent_whole;
use super::replicas::find;
use super::takes::HELD_MS;
use super::{Groups, Out};
use crate::group::epoch_of;
use crate::mail::Mail;
use crate::meaning::{PartitionLog, kind};
use crate::peers::{Landed, Queue};
use crate::settings::shard_of;
use std::collections::{BTreeMap, BTreeSet};
use torc_base::buf::Buf;
use torc_base::crc::crc32c;
use torc_base::ids::{GroupId, Index, NodeId, Offset, Place};
use torc_base::limits::{
    OLD_BYTES_PRESSED, PEER_ENTRIES_BYTES, PEER_MESSAGE_BYTES_MAX, PEER_READ_BYTES, REPLICATE_ENTRIES_MAX,
};
use torc_base::time::Mono;
use torc_consensus::log::Log;
use torc_consensus::{Body, Input, Mark, Message, Peer, Role, Run, SnapshotOutcome, wire};
use torc_net::peer::{EntryHead, GroupsWriter};
use torc_state::retention::Age;
use torc_wal::{Claim, From, Item, Read, ReadId, Share, WalError};

/// Reads for one link that may be under way at once.
const READS_MAX: usize = 4;
/// For so long after the log was last written it is taken for written to.
const PRESSED_MS: u64 = 100;
/// A message that was not taken in, or could not leave, is made up for after so long.
const AGAIN_MS: u64 = 100;
/// A member that takes nothing in for so long, asked again and again, is not waited for by whoever releases a log; after a pause
/// like that between two refusals it may have taken something.
const REFUSES_MS: u64 = 10_000;
const PAUSE_MS: u64 = 7_500;
/// Who refuses is offered one entry, and the next time after a part like that of the time for which it has refused, at most after so
/// long: a disk that is full may stay so, and what is sent there in vain others may lack.
const REFUSED_PART: u64 = 4;
const REFUSED_MAX_MS: u64 = 5_000;
const _: () = assert!(REFUSED_MAX_MS < PAUSE_MS, "who refuses each time is known to refuse");

/// A link to a shard of another node, and which one of those that there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub place: Place,
    pub number: u64,
}

/// Who can be reached, and what is on its way there.
#[derive(Default)]
pub(super) struct Departures {
    /// Shards of other nodes, as they last said.
    shards: BTreeMap<NodeId, u16>,
    up: BTreeSet<Place>,
    /// Nodes that lend entries.
    lenders: BTreeSet<NodeId>,
    /// Reads for followers: for which link, and what offers the entries.
    reads: BTreeMap<ReadId, (Link, GroupId, Message)>,
    landed: Vec<(Link, Landed)>,
    /// Members that are to be taken for lost and found again, and when.
    again: BTreeSet<(Mono, NodeId, GroupId)>,
    waiting: BTreeMap<(NodeId, GroupId), Mono>,
    /// Members of groups that are led here which take nothing in.
    refusing: BTreeMap<(GroupId, NodeId), Refusing>,
    /// Groups of which old entries are on their way to a place.
    behind: BTreeMap<Place, BTreeSet<GroupId>>,
    /// The bytes of the message at hand.
    message: Vec<u8>,
}

/// A member that did not take in what it was sent.
struct Refusing {
    /// What it held all the time.
    held: Index,
    since: Mono,
    last: Mono,
    /// Before that it is offered nothing.
    until: Mono,
}

/// What became of the wish for a message's entries.
enum Entries {
    Here(Vec<Item>),
    /// The disk was asked.
    Asked(ReadId),
    /// There is no memory for them.
    Later,
    /// They are in no batch yet: they leave in the turn that hands theirs to the disk, together with its other entries.
    Open,
    /// They do not leave: nobody offers them any more, or they are not there.
    Never,
}

impl Departures {
    /// A member has not taken in what it was sent. After how many milliseconds it is offered something again.
    fn refused(&mut self, now: Mono, id: GroupId, peer: &Peer) -> u64 {
        let refusing = Refusing { held: peer.held, since: now, last: now, until: now };
        let said = self.refusing.entry((id, peer.id)).or_insert(refusing);
        if said.held != peer.held || now > said.last.plus_ms(PAUSE_MS) {
            (said.held, said.since) = (peer.held, now);
        }
        let for_ms = now.since(said.since) / 1_000_000;
        let pause_ms = (for_ms / REFUSED_PART).clamp(AGAIN_MS, REFUSED_MAX_MS);
        (said.last, said.until) = (now, now.plus_ms(pause_ms));
        pause_ms
    }

    /// What is known of a member that takes nothing in, if it does not.
    fn refusing(&self, now: Mono, id: GroupId, peer: &Peer) -> Option<&Refusing> {
        self.refusing.get(&(id, peer.id)).filter(|said| said.held == peer.held && now <= said.last.plus_ms(PAUSE_MS))
    }

    fn can_reach(&self, node: NodeId, group: GroupId) -> bool {
        let shards = self.shards.get(&node);
        shards.is_some_and(|shards| self.up.contains(&Place { node, shard: shard_of(group, *shards) }))
    }
}

impl Groups {
    /// Where a group's member on another node is, if that can be reached.
    pub fn place_of(&self, node: NodeId, group: GroupId) -> Option<Place> {
        let shards = *self.departures.shards.get(&node)?;
        let place = Place { node, shard: shard_of(group, shards) };
        self.departures.up.contains(&place).then_some(place)
    }

    /// True if a node knows what it is to be asked for an entry.
    pub(super) fn may_borrow(&self, node: NodeId) -> bool {
        self.departures.lenders.contains(&node)
    }

    /// All nodes that know.
    pub(super) fn lenders(&self) -> impl Iterator<Item = NodeId> {
        self.departures.lenders.iter().copied()
    }

    /// There is a link to a shard of another node, which has so many, and `lends` entries. Groups that wait for a leader seek one.
    pub fn peer_up(&mut self, out: &mut Out, place: Place, shards: u16, lends: bool) {
        self.departures.shards.insert(place.node, shards);
        self.departures.up.insert(place);
        if lends {
            self.departures.lenders.insert(place.node);
        } else {
            self.departures.lenders.remove(&place.node);
        }
        for id in self.shared_with(place) {
            self.step(out, id, Input::Alive(place.node));
            let Some(group) = self.groups.get(&id) else { continue };
            let mut voters = group.raft.peers().iter().filter(|peer| peer.seat.votes());
            let first = voters.next().is_some_and(|peer| peer.id == self.settings.node);
            if first && group.raft.leader().is_none() && group.raft.role() != Role::Leader {
                self.step(out, id, Input::Campaign);
            }
        }
    }

    /// There is none any more.
    pub fn peer_down(&mut self, out: &mut Out, place: Place) {
        self.departures.up.remove(&place);
        self.departures.behind.remove(&place);
        self.tree_starts.lost(place.node);
        for id in self.shared_with(place) {
            self.step(out, id, Input::Suspected(place.node));
        }
    }

    /// Groups with a member at that place.
    fn shared_with(&self, place: Place) -> Vec<GroupId> {
        let Some(shards) = self.departures.shards.get(&place.node) else { return Vec::new() };
        let shared = self.groups.iter().filter(|(id, group)| {
            // Whoever leads may not be known here as a member yet.
            let is_known = || group.raft.peers().iter().any(|peer| peer.id == place.node);
            shard_of(**id, *shards) == place.shard && (group.raft.leader() == Some(place.node) || is_known())
        });
        shared.map(|(id, _)| *id).collect()
    }

    /// Of a group's members those that cannot be reached are known to be lost from the beginning.
    pub(super) fn suspect_absent(&mut self, out: &mut Out, id: GroupId) {
        // Without peers in the settings there are no links: whoever drives the groups carries what they say.
        if self.settings.is_alone() {
            return;
        }
        let group = &self.groups[&id];
        let others = group.raft.peers().iter().map(|peer| peer.id).filter(|node| *node != self.settings.node);
        let absent: Vec<NodeId> = others.filter(|node| !self.departures.can_reach(*node, id)).collect();
        for node in absent {
            self.step(out, id, Input::Suspected(node));
        }
    }

    /// The member at `place` did not take in what it was sent of these groups. Soon each is as if the link had been lost and
    /// found again.
    pub fn untaken(&mut self, now: Mono, node: NodeId, groups: impl Iterator<Item = GroupId>) {
        for id in groups {
            if let Some(group) = self.groups.get(&id) {
                let peer = find(&group.raft, node).filter(|_| group.raft.is_leader());
                let pause_ms = peer.map_or(AGAIN_MS, |peer| self.departures.refused(now, id, peer));
                self.try_again_in(now, pause_ms, node, id);
            }
        }
    }

    /// A shard of another node takes more than it did: what it refused is offered to it at once.
    pub fn has_room(&mut self, now: Mono, place: Place) {
        let Some(shards) = self.departures.shards.get(&place.node).copied() else { return };
        let is_there = |id: GroupId, node: NodeId| node == place.node && shard_of(id, shards) == place.shard;
        let all = self.departures.refusing.iter_mut().filter(|((id, node), _)| is_there(*id, *node));
        let refused: Vec<GroupId> = all
            .map(|((id, _), said)| {
                said.until = now;
                *id
            })
            .collect();
        refused.into_iter().for_each(|id| self.try_again_in(now, 0, place.node, id));
    }

    /// The disk here has room again, or groups are here that were not: leaders of other nodes may wait for that.
    pub(super) fn tell_of_room(&mut self) {
        if std::mem::take(&mut self.takes_more) {
            self.departures.up.iter().for_each(|place| self.outboxes.post(*place, Mail::Room));
        }
    }

    /// True if a member of a group that is led here can be reached, and has taken nothing in for long: its disk is full, as a rule.
    pub(super) fn refuses(&self, now: Mono, id: GroupId, peer: &Peer) -> bool {
        self.departures.refusing(now, id, peer).is_some_and(|said| now >= said.since.plus_ms(REFUSES_MS))
    }

    /// The group is here no longer.
    pub(super) fn forget_refusals(&mut self, id: GroupId) {
        self.departures.refusing.retain(|(of, _), _| *of != id);
    }

    /// How much of `room` there is for entries that a message offers: for one entry if its receiver took none the last time, and for none
    /// before it is asked again. Consensus is not told that anything left then, and so offers nothing else meanwhile.
    fn room_for(&mut self, now: Mono, id: GroupId, node: NodeId, message: &Message, room: usize) -> Option<usize> {
        let peer = self.groups.get(&id).and_then(|group| find(&group.raft, node));
        let peer = peer.filter(|_| matches!(message.body, Body::Append { .. }));
        let Some(refusing) = peer.and_then(|peer| self.departures.refusing(now, id, peer)) else { return Some(room) };
        let until = refusing.until;
        if now < until {
            self.try_again_in(now, until.since(now).div_ceil(1_000_000), node, id);
            return None;
        }
        Some(room.min(1))
    }

    fn try_again(&mut self, now: Mono, node: NodeId, id: GroupId) {
        self.try_again_in(now, AGAIN_MS, node, id);
    }

    /// The same after so long, if that is not to be sooner anyway.
    fn try_again_in(&mut self, now: Mono, ms: u64, node: NodeId, id: GroupId) {
        let at = now.plus_ms(ms);
        let before = self.departures.waiting.get(&(node, id)).copied();
        if before.is_none_or(|before| at < before) {
            self.departures.waiting.insert((node, id), at);
            if let Some(before) = before {
                self.departures.again.remove(&(before, node, id));
            }
            self.departures.again.insert((at, node, id));
        }
    }

    /// Makes up for what was not taken in.
    pub(super) fn turn_departures(&mut self, out: &mut Out) {
        while let Some(&(at, node, id)) = self.departures.again.first()
            && at <= out.now.mono
        {
            self.departures.again.pop_first();
            self.departures.waiting.remove(&(node, id));
            if !self.departures.can_reach(node, id) {
                continue;
            }
            match self.groups.get(&id).map(|group| group.raft.role()) {
                // It asked whether it would get a vote, and asks anew.
                Some(Role::PreCandidate) => self.step(out, id, Input::Campaign),
                Some(Role::Leader | Role::Follower) => {
                    self.step(out, id, Input::Suspected(node));
                    self.step(out, id, Input::Alive(node));
                }
                // The votes of those that would give theirs are on their way: they are waited for.
                Some(Role::Candidate) | None => {}
            }
        }
    }

    pub(super) fn departures_deadline(&self) -> Option<Mono> {
        self.departures.again.first().map(|(at, ..)| *at)
    }

    /// Where the log of a follower begins that needs what is released here: as this one does. The state there goes with the
    /// message that says so. `None`: it goes there first, and that takes its time.
    pub(super) fn start_for_others(&mut self, now: Mono, id: GroupId, to: NodeId) -> Option<SnapshotOutcome> {
        if id == GroupId::TREE {
            return self.begin_giving(now, to);
        }
        let group = &self.groups[&id];
        let log = group.raft.log();
        let index = Index(log.first().get() - 1);
        Some(match log.term_at(index) {
            Some(term) if group.meaning.partition().is_some() && index > Index(0) => {
                let configuration = group.raft.configurations()[0].1.clone();
                SnapshotOutcome::Delivered { mark: Mark { term, index }, configuration }
            }
            _ if is_sent_whole(id) => self.whole_start(id),
            _ => SnapshotOutcome::Refused,
        })
    }

    /// Puts into a frame what waits for a link, and tells consensus what leaves of the entries that it offered. What finds no
    /// room stays, and so does what is for new replicas, if enough of that has left. True if something that stays waits for
    /// nothing but another try.
    pub fn fill(&mut self, out: &mut Out, link: Link, queue: &mut Queue, writer: &mut GroupsWriter) -> bool {
        let mut later = false;
        let window = self.old_window(out.now.mono);
        let mut under_way = self.old_under_way(link.place, queue);
        while let Some(Landed { group, message, items }) = queue.next_landed(|landed| {
            writer.len() < PEER_ENTRIES_BYTES && writer.admits(PEER_MESSAGE_BYTES_MAX, entries_of(&landed.message))
        }) {
            self.is_behind(link.place, group);
            self.depart(out, link.place.node, group, message, items, writer);
        }
        let mut messages = queue.take_messages();
        for (group, message) in messages.drain(..) {
            let entries = entries_of(&message) > 0;
            if !writer.admits(PEER_MESSAGE_BYTES_MAX, entries_of(&message)) {
                queue.message(group, message);
                continue;
            }
            if !entries {
                self.put(group, &message, 0, writer);
                continue;
            }
            if !self.may_depart(out.now.mono, group, link.place.node) {
                later = true;
                queue.message(group, message);
                continue;
            }
            let room = PEER_ENTRIES_BYTES.saturating_sub(writer.len());
            if room == 0 || queue.reading == READS_MAX {
                queue.message(group, message);
                continue;
            }
            let Some(room) = self.room_for(out.now.mono, group, link.place.node, &message, room) else { continue };
            let is_old = self.offers_old(group, &message);
            if is_old && under_way >= window {
                later = true;
                queue.message(group, message);
                continue;
            }
            match self.entries(out, group, &message, room.min(PEER_READ_BYTES), false) {
                Entries::Here(items) => {
                    if is_old {
                        under_way += bytes_of(&items);
                        self.is_behind(link.place, group);
                    }
                    self.depart(out, link.place.node, group, message, items, writer);
                }
                Entries::Asked(id) => {
                    under_way += PEER_READ_BYTES as u64;
                    queue.reading += 1;
                    self.departures.reads.insert(id, (link, group, message));
                }
                Entries::Later => {
                    later = true;
                    queue.message(group, message);
                }
                Entries::Open => queue.message(group, message),
                Entries::Never => self.offer_again(out, link.place.node, group, &message),
            }
        }
        queue.give_back(messages);
        later
    }

    /// Bytes of old entries that may be on their way to one place at once: few while clients write, since whoever flushes waits
    /// behind them, in the disk's queue here as there, and for the cores that carry them. A member that has been away is in
    /// nobody's way as long as others make the quorum.
    fn old_window(&self, now: Mono) -> u64 {
        let is_pressed = self.last_cut.plus_ms(PRESSED_MS) > now;
        if is_pressed { OLD_BYTES_PRESSED } else { u64::MAX }
    }

    /// True if what a message offers is in memory no longer.
    fn offers_old(&self, id: GroupId, message: &Message) -> bool {
        match &message.body {
            Body::Append { prev, .. } => !self.wal.is_recent(id, prev.index.next()),
            Body::Snapshot { mark, .. } => !is_sent_whole(id) && !self.wal.is_recent(id, mark.index.next()),
            _ => false,
        }
    }

    /// Old entries of a group are on their way to a place.
    fn is_behind(&mut self, place: Place, id: GroupId) {
        self.departures.behind.entry(place).or_default().insert(id);
    }

    /// Bytes of old entries that are on their way to a place: asked of the disk, in memory, or not acknowledged.
    fn old_under_way(&mut self, place: Place, queue: &Queue) -> u64 {
        let (groups, mut unacknowledged) = (&self.groups, 0);
        if let Some(behind) = self.departures.behind.get_mut(&place) {
            behind.retain(|id| {
                let peer = groups.get(id).and_then(|group| find(&group.raft, place.node));
                let bytes = peer.map_or(0, Peer::under_way);
                unacknowledged += bytes;
                bytes > 0
            });
        }
        unacknowledged + queue.landed_bytes() + (queue.reading * PEER_READ_BYTES) as u64
    }

    /// Entries that have come from the disk, since this was last asked.
    pub fn take_landed(&mut self) -> Vec<(Link, Landed)> {
        std::mem::take(&mut self.departures.landed)
    }

    /// Looks for the entries that a message offers, the first of them at least; if they are not there, `beyond` them.
    fn entries(&mut self, out: &mut Out, id: GroupId, message: &Message, max_bytes: usize, beyond: bool) -> Entries {
        let (prev, last) = match &message.body {
            Body::Append { prev, .. } => (*prev, message.last_entry()),
            Body::Snapshot { mark, .. } => (*mark, None),
            _ => return Entries::Never,
        };
        let Some(group) = self.groups.get(&id) else { return Entries::Never };
        if !group.raft.is_leader() || group.raft.term() != message.term || prev.index.next() < group.raft.log().first()
        {
            return Entries::Never;
        }
        let written = group.raft.marks().written;
        let is_whole = is_sent_whole(id) && matches!(message.body, Body::Snapshot { .. });
        if is_whole || written == prev.index {
            return Entries::Here(Vec::new());
        }
        let Some(cut) = self.wal.runs(id).last().map(|run| run.last_index).filter(|cut| *cut > prev.index) else {
            return Entries::Open;
        };
        let last = last.filter(|_| !beyond).unwrap_or(written).min(cut);
        // Followers go before those who read for clients, and have memory that those cannot use up.
        let claim = Claim { share: Share::Followers, turn: 0 };
        let from = From::Index(prev.index.next());
        let read = self.wal.read(id, from, last, max_bytes, claim, &mut self.disk_ops);
        self.emit_disk(out);
        match read {
            // Compaction has left them out: what follows tells where their offsets end.
            Read::Ready(items) if items.is_empty() && !beyond => self.entries(out, id, message, 1, true),
            Read::Ready(items) => Entries::Here(items),
            Read::Pending(read) => Entries::Asked(read),
            Read::NoRoom => Entries::Later,
            Read::Released => Entries::Never,
        }
    }

    /// The disk has answered a read for a follower. False: it was not one.
    pub(super) fn departure_read(
        &mut self,
        out: &mut Out,
        id: ReadId,
        result: &mut Result<Vec<Item>, WalError>,
    ) -> bool {
        let Some((link, group, message)) = self.departures.reads.remove(&id) else { return false };
        let items = match std::mem::replace(result, Ok(Vec::new())) {
            Ok(items) if items.is_empty() => match self.entries(out, group, &message, 1, true) {
                Entries::Here(items) => items,
                Entries::Asked(id) => {
                    self.departures.reads.insert(id, (link, group, message));
                    return true;
                }
                Entries::Later | Entries::Open | Entries::Never => Vec::new(),
            },
            Ok(items) => items,
            Err(error) => {
                if !matches!(error, WalError::NoRoom | WalError::Released { .. }) {
                    self.note_damage(out.now.mono, group, &error);
                    self.read_error(out, &error);
                }
                self.try_again(out.now.mono, link.place.node, group);
                Vec::new()
            }
        };
        self.departures.landed.push((link, Landed { group, message, items }));
        true
    }

    /// Sends a message with those of its entries that are at hand, and says so.
    fn depart(
        &mut self,
        out: &mut Out,
        node: NodeId,
        id: GroupId,
        mut message: Message,
        items: Vec<Item>,
        writer: &mut GroupsWriter,
    ) {
        let leads = |message: &Message| {
            self.groups.get(&id).is_some_and(|group| group.raft.is_leader() && group.raft.term() == message.term)
        };
        if !leads(&message) {
            return;
        }
        if is_sent_whole(id) && matches!(message.body, Body::Snapshot { .. }) {
            return self.depart_whole(out, node, id, message, writer);
        }
        if let Body::Snapshot { mark, .. } = message.body {
            return self.depart_start(out, node, id, &message, mark, items.first(), writer);
        }
        let Body::Append { prev, runs, .. } = &mut message.body else { return };
        let offered: u64 = runs.iter().map(|run| u64::from(run.entries)).sum();
        let compacted = self.wal.compacted(id);
        let (log, last, knows) = (self.groups[&id].raft.log(), prev.index.plus(offered), self.may_borrow(node));
        let mut items = bridged(items, log, prev.index, last, compacted, knows);
        items.truncate(REPLICATE_ENTRIES_MAX as usize);
        if items.is_empty() {
            return self.offer_again(out, node, id, &message);
        }
        if !self.keep_what_fits(out, id, node, &mut items) {
            // Consensus is not told that anything left, and so offers nothing else meanwhile.
            return self.try_again_in(out.now.mono, HELD_MS, node, id);
        }
        let through = prev.index.plus(items.len() as u64);
        keep(runs, items.len() as u64);
        self.put(id, &message, items.len(), writer);
        let mut bytes = 0;
        for item in items {
            bytes += item.bytes.len() as u64;
            let (head, payload) = entry(item);
            writer.entry(head, payload);
        }
        self.departed(out.now.mono, id, node, bytes);
        self.step(out, id, Input::Sent { to: node, through, bytes });
    }

    /// Sends the state that a follower's log begins with; `first`: the first entry behind it.
    #[expect(clippy::too_many_arguments, reason = "all of it is one message")]
    fn depart_start(
        &mut self,
        out: &mut Out,
        node: NodeId,
        id: GroupId,
        message: &Message,
        mark: Mark,
        first: Option<&Item>,
        writer: &mut GroupsWriter,
    ) {
        let group = &self.groups[&id];
        let Some(partition) = group.meaning.partition() else { return };
        let start = match first {
            Some(first) => first.first_offset,
            None if group.raft.marks().written == mark.index => partition.state().end(),
            None => return self.offer_again(out, node, id, message),
        };
        // Compaction may have left nothing of what the partition begins with, and consumers ask for that all the same. If the leader
        // still has entries in front of the mark, the member lacks them, and begins behind them.
        let is_all = group.raft.log().first() > mark.index;
        let log_start = if is_all { partition.state().log_start().min(start) } else { start };
        // What compaction has left out right behind the mark another leader may have: it is not known where that begins.
        let is_known = first.is_none_or(|first| first.index == mark.index.next() && first.kind != kind::HOLE);
        let start = if is_known || !self.may_borrow(node) { start } else { log_start };
        let state = PartitionLog::encode_start(log_start, start, epoch_of(mark.term));
        let body_crc = crc32c(&state);
        let (kind, max_timestamp) = (kind::STATE.0, Age::NONE.0);
        let head = EntryHead { kind, prefix_len: 0, records: 0, first_offset: start, max_timestamp, body_crc };
        self.put(id, message, 1, writer);
        writer.entry(head, Buf::copy_of(&state));
    }

    /// Nothing left of what was offered. If there is a reason for it that passes, it passes soon.
    pub(super) fn offer_again(&mut self, out: &mut Out, node: NodeId, id: GroupId, message: &Message) {
        let Some(group) = self.groups.get(&id) else { return };
        if !group.raft.is_leader() || group.raft.term() != message.term {
            return;
        }
        match &message.body {
            // Consensus asks for a snapshot then.
            Body::Append { prev, .. } if prev.index.next() < group.raft.log().first() => {
                self.step(out, id, Input::Sent { to: node, through: prev.index, bytes: 0 });
            }
            _ => self.try_again(out.now.mono, node, id),
        }
    }

    pub(super) fn put(&mut self, id: GroupId, message: &Message, entries: usize, writer: &mut GroupsWriter) {
        let bytes = &mut self.departures.message;
        bytes.clear();
        wire::encode(message, bytes);
        writer.message(id, bytes, entries);
    }
}

fn bytes_of(items: &[Item]) -> u64 {
    items.iter().map(|item| item.bytes.len() as u64).sum()
}

/// How many entries go with a message.
fn entries_of(message: &Message) -> usize {
    match &message.body {
        Body::Append { runs, .. } => {
            let entries: usize = runs.iter().map(|run| run.entries as usize).sum();
            entries.min(REPLICATE_ENTRIES_MAX as usize)
        }
        // The state.
        Body::Snapshot { .. } => 1,
        _ => 0,
    }
}

/// Entries behind `prev` through `last`, without a gap: what compaction has left out, all of it below `compacted`, is a hole. Where
/// records go on only the last of some holes says, and only if what follows is whole; the others say where they went on before, for
/// another leader may have what is left out here. `knows` that: older servers take every hole to end where records go on.
fn bridged(items: Vec<Item>, log: &Log, prev: Index, last: Index, compacted: Index, knows: bool) -> Vec<Item> {
    let mut next = prev.next();
    if items.iter().zip(next.get()..).all(|(item, at)| item.index.get() == at)
        && items.len() as u64 <= last.get() - prev.get()
    {
        return items;
    }
    let mut whole: Vec<Item> = Vec::with_capacity(items.len());
    for item in items {
        while next < item.index && next <= last && next < compacted {
            let Some(term) = log.term_at(next) else { return whole };
            let is_exact = next.next() == item.index && item.kind != kind::HOLE;
            let before = whole.last().map_or(Offset(0), Item::end_offset);
            let first_offset = if is_exact || !knows { item.first_offset } else { before };
            whole.push(Item {
                group: item.group,
                kind: kind::HOLE,
                term,
                index: next,
                first_offset,
                records: 0,
                max_timestamp: Age::NONE.0,
                prefix_len: 0,
                body_crc: crc32c(&[]),
                bytes: Buf::copy_of(&[]),
            });
            next = next.next();
        }
        if next != item.index || next > last {
            break;
        }
        whole.push(item);
        next = next.next();
    }
    whole
}

/// Leaves the first `count` entries of the runs.
fn keep(runs: &mut Vec<Run>, count: u64) {
    let mut left = count;
    runs.retain_mut(|run| {
        run.entries = u64::from(run.entries).min(left) as u32;
        left -= u64::from(run.entries);
        run.entries > 0
    });
    assert_eq!(left, 0, "no more entries leave than were offered");
}

/// What a frame says of an entry, and its bytes, which stay where they are.
fn entry(item: Item) -> (EntryHead, Buf) {
    let Item { kind, records, first_offset, max_timestamp, prefix_len, body_crc, bytes, .. } = item;
    (EntryHead { kind: kind.0, prefix_len, records, first_offset, max_timestamp, body_crc }, bytes)
}

#[cfg(test)]
#[path = "depart_tests.rs"]
mod tests;
