//! Reads under way: what each waits for, when to try again, and what is read before anybody asks.

use crate::ahead::{Ahead, CHUNK_BYTES_MIN, Held, Reach, Wish};
use crate::entry::Item;
use crate::error::WalError;
use crate::flight::{FLIGHT_BYTES_MAX, Flight, RANGES_MAX, Ticket, keep};
use crate::footers::{FOOTERS_BYTES, Footer, Footers, Loading};
use crate::outcome::{Claim, From, Outcome, ReadId, Share, Stats};
use crate::search::{Goal, Part, Plan, Sources, View, fetched};
use crate::tables::Tables;
use crate::tags::{Job, TRIPS};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use torc_base::buf::Pool;
use torc_base::ids::{GroupId, Index, Offset, SegmentId};
use torc_base::io::{DiskError, DiskOk, DiskOp, Level};
use torc_base::limits::{PEER_READ_MEMORY, READ_AHEAD_BYTES, READ_MEMORY};
use torc_base::time::Mono;

/// Memory that is kept for the next reads: fresh memory costs a fault for each page.
const KEEP_BYTES: usize = 32 << 20;
const _: () = assert!(KEEP_BYTES + READ_AHEAD_BYTES <= READ_MEMORY);
/// Operations that may be with the disk at once, unless one flight alone has more.
const OPS_MAX: usize = 256;
const _: () = assert!(RANGES_MAX <= OPS_MAX);
/// A flight starts while those under way have fewer bytes: more in the disk's queue brings nothing, and whoever flushes waits behind it. The
/// second is for when the log is flushing; then only one small chunk at a time is read ahead. Pieces of footers, and reads that nobody waits
/// for ([`Share::Background`]), keep to it whether the log is flushing or not: it may be in a moment.
const FLYING_BYTES: usize = 6 << 20;
const FLYING_BYTES_FLUSHING: usize = 512 << 10;

/// A read under way.
#[derive(Debug)]
struct Pending {
    group: GroupId,
    goal: Goal,
    /// Footers that it waits for.
    footers: usize,
    /// The trip that it has sent, and whether that has come back whole, with what is still the group's log.
    trip: Option<u64>,
    back: bool,
    /// So many extents are asked for at once: half as many each time that the disk did not give all of them, until it is known which one
    /// it does not give.
    most: usize,
    claim: Claim,
}

/// A trip to the disk.
#[derive(Debug)]
enum Trip {
    /// One piece after the other. With the group that it was first wanted for.
    Footer { loading: Box<Loading>, group: GroupId, waiting: Vec<u64> },
    /// Brings a chunk of [`Ahead`]. With the wish that it was read ahead for, and the last entry of interest.
    Chunk(Flight, Option<(GroupId, Wish, Index)>),
    /// For the read with this number alone.
    Look(Flight, u64),
}

/// What is known of wanted entries.
enum Recalled {
    Answer(Result<Vec<Item>, WalError>),
    /// The read is noted with the trip that brings them.
    Flying,
    Nothing,
}

/// Answer to a read.
pub(crate) enum Answer {
    Ready(Vec<Item>),
    Released,
    Pending(ReadId),
    NoRoom,
}

/// What became of the wish to ask the disk.
enum Launch {
    /// With this trip.
    Flies(u64),
    /// Too much is under way.
    Busy,
    /// There is no memory.
    NoRoom,
}

/// What reads wait for in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Disk,
    Memory,
}

/// Bytes that even a read that finds little room asks for.
const SHARE_BYTES_MIN: usize = 128 << 10;

/// All reads under way, and the memory they use.
pub(crate) struct Reads {
    /// Without a limit of its own: what a read would take is asked of [`Reads::fits`] first.
    pool: Pool,
    limit: usize,
    pending: BTreeMap<u64, Pending>,
    trips: BTreeMap<u64, Trip>,
    /// Footers under way, by their trips, and their bytes. Those that have come have memory of their own.
    loading: BTreeMap<SegmentId, (u64, usize)>,
    footer_pool: Pool,
    /// Those of which the next piece is still to be asked for, and bytes of pieces with the disk.
    pieces_due: VecDeque<u64>,
    pieces_flying: usize,
    /// Reads that wait until less is with the disk, by their turns and in the order of their coming. They may hold what
    /// their readers got before, so they are never kept waiting for memory.
    busy: BTreeSet<(u64, u64)>,
    /// Searches that wait for memory. They hold nothing.
    roomless: BTreeSet<(u64, u64)>,
    next_read: u64,
    next_trip: u64,
    /// Operations with the disk, and bytes of flights and of pieces of footers.
    ops: usize,
    flying: usize,
    footers: Footers,
    tables: Tables,
    ahead: Ahead,
    /// Segments whose damaged footers were told of.
    told: BTreeSet<SegmentId>,
    /// See [`Reads::compacts`].
    compacted: Option<GroupId>,
    compaction_bytes: u64,
    stats: Counts,
}

/// Counters since the start.
#[derive(Default)]
struct Counts {
    cold_reads: u64,
    disk_reads: u64,
    disk_read_bytes: u64,
}

impl Reads {
    /// `limit`: memory for all reads. `ahead_bytes`: the part of it for what is read ahead; 0: nothing is.
    pub(crate) fn new(limit: usize, ahead_bytes: usize) -> Reads {
        Reads {
            pool: Pool::new(usize::MAX, KEEP_BYTES),
            limit,
            pending: BTreeMap::new(),
            trips: BTreeMap::new(),
            loading: BTreeMap::new(),
            footer_pool: Pool::new(usize::MAX, FOOTERS_BYTES / 2),
            pieces_due: VecDeque::new(),
            pieces_flying: 0,
            busy: BTreeSet::new(),
            roomless: BTreeSet::new(),
            next_read: 1,
            next_trip: 0,
            ops: 0,
            flying: 0,
            footers: Footers::default(),
            tables: Tables::default(),
            ahead: Ahead::new(ahead_bytes),
            told: BTreeSet::new(),
            compacted: None,
            compaction_bytes: 0,
            stats: Counts::default(),
        }
    }

    /// Answers from memory, or asks the disk.
    pub(crate) fn read(
        &mut self,
        log: Sources,
        group: GroupId,
        goal: Goal,
        claim: Claim,
        ops: &mut Vec<DiskOp>,
    ) -> Answer {
        let id = self.next_read;
        let mut pending = Pending { group, goal, footers: 0, trip: None, back: false, most: usize::MAX, claim };
        match self.advance(log, id, &mut pending, None, ops) {
            Some(Ok(items)) => Answer::Ready(items),
            Some(Err(WalError::Released { .. })) => Answer::Released,
            Some(Err(WalError::NoRoom)) => Answer::NoRoom,
            Some(Err(other)) => panic!("nothing has failed yet: {other}"),
            None => {
                self.next_read += 1;
                self.stats.cold_reads += 1;
                self.pending.insert(id, pending);
                Answer::Pending(ReadId(id))
            }
        }
    }

    /// The answer, or `None` when the read waits. `error`: what it waited for has failed; then it is not tried again.
    fn advance(
        &mut self,
        log: Sources,
        id: u64,
        pending: &mut Pending,
        error: Option<WalError>,
        ops: &mut Vec<DiskOp>,
    ) -> Option<Result<Vec<Item>, WalError>> {
        let group = pending.group;
        match self.recall(log, id, pending, ops) {
            Recalled::Answer(answer) => return Some(answer),
            Recalled::Flying => return None,
            Recalled::Nothing => {}
        }
        if let Some(error) = error {
            return Some(Err(error));
        }
        if pending.back && matches!(pending.goal, Goal::Entries { .. }) {
            // What the extents promised lies behind the last entry that is wanted. (Not so where compaction has put something else
            // in their place meanwhile: then it is read anew, from there.)
            return Some(Ok(Vec::new()));
        }
        let share = (self.room() / 2).max(SHARE_BYTES_MIN);
        match (View { log, footers: &mut self.footers }).plan(group, &mut pending.goal, share) {
            Plan::Done(items) => return Some(Ok(items)),
            Plan::Released => return Some(Err(WalError::Released { group })),
            Plan::Footers(segments) => {
                if let Goal::Entries { asked, .. } = &mut pending.goal {
                    *asked = true;
                }
                pending.footers = segments.len();
                for segment in segments {
                    if !self.load(log, (group, segment), Some((id, pending.claim)), ops) {
                        // Those that are under way already find it gone or waiting for memory, and leave it so.
                        pending.footers = 0;
                        return self.without_room(id, pending);
                    }
                }
            }
            // Whoever has had less of the disk goes first.
            Plan::Fetch(_) if self.busy.first().is_some_and(|first| *first < (pending.claim.turn, id)) => {
                self.busy.insert((pending.claim.turn, id));
            }
            Plan::Fetch(mut parts) => {
                keep(&mut parts, pending.most);
                match self.launch(log, group, &pending.goal, parts, Ok((id, pending.claim)), ops) {
                    Launch::Flies(trip) => pending.trip = Some(trip),
                    Launch::Busy => {
                        self.busy.insert((pending.claim.turn, id));
                    }
                    Launch::NoRoom => return self.without_room(id, pending),
                }
            }
        }
        None
    }

    /// A search, which holds nothing, waits for memory. Whoever reads entries may hold some, and does not.
    fn without_room(&mut self, id: u64, pending: &Pending) -> Option<Result<Vec<Item>, WalError>> {
        if matches!(pending.goal, Goal::Entries { .. }) {
            return Some(Err(WalError::NoRoom));
        }
        self.roomless.insert((pending.claim.turn, id));
        None
    }

    /// Looks for entries that were read before, or are on their way.
    fn recall(&mut self, log: Sources, id: u64, pending: &Pending, ops: &mut Vec<DiskOp>) -> Recalled {
        let Goal::Entries { from, upto, max_bytes, .. } = pending.goal else { return Recalled::Nothing };
        let group = pending.group;
        let Some(known) = log.directory.group(group) else { return Recalled::Nothing };
        let upto = upto.min(known.last);
        if (View { log, footers: &mut self.footers }).released(group, from) {
            return Recalled::Answer(Err(WalError::Released { group }));
        }
        match self.ahead.find(group, from, upto, max_bytes, id) {
            Held::Nothing => Recalled::Nothing,
            Held::Flying => Recalled::Flying,
            Held::Items { items, ahead } => {
                let wish = self.ahead.note(group, from, items.last().expect("not empty"), max_bytes);
                self.ahead.counts.hits += u64::from(ahead);
                self.ahead.counts.misses += u64::from(!ahead && wish.is_some() && pending.trip.is_some());
                if let Some(wish) = wish.filter(|_| pending.claim.share != Share::Background) {
                    self.top_up(log, group, wish, upto, ops);
                }
                Recalled::Answer(Ok(items))
            }
        }
    }

    /// Reads on for a reader that will come back.
    fn top_up(&mut self, log: Sources, group: GroupId, wish: Wish, upto: Index, ops: &mut Vec<DiskOp>) {
        loop {
            let (next, at, bytes) = self.ahead.reach(group, &wish);
            let flushing = log.writer.in_flight() > 0;
            let max_bytes = if flushing { CHUNK_BYTES_MIN } else { wish.chunk };
            let done = bytes >= wish.window || next > upto;
            let busy = !self.busy.is_empty() || (flushing && self.flying > 0);
            if done || busy || !self.ahead.has_room(max_bytes) {
                return;
            }
            let mut goal = Goal::Entries { from: From::Index(next), upto, max_bytes, asked: true };
            let share = (self.room() / 2).max(SHARE_BYTES_MIN);
            match (View { log, footers: &mut self.footers }).plan(group, &mut goal, share) {
                Plan::Fetch(parts) => {
                    let launch = self.launch(log, group, &goal, parts, Err((wish, at, upto)), ops);
                    if !matches!(launch, Launch::Flies(_)) {
                        return;
                    }
                }
                Plan::Footers(segments) => {
                    // The reader's next read goes on from there.
                    self.load(log, (group, segments[0]), None, ops);
                    return;
                }
                // From here on the entries are in memory.
                Plan::Done(_) | Plan::Released => return,
            }
        }
    }

    /// Asks the disk for a footer. False if there is no memory.
    fn load(
        &mut self,
        log: Sources,
        (group, id): (GroupId, SegmentId),
        reader: Option<(u64, Claim)>,
        ops: &mut Vec<DiskOp>,
    ) -> bool {
        if let Some((trip, _)) = self.loading.get(&id) {
            let Some(Trip::Footer { waiting, .. }) = self.trips.get_mut(trip) else { panic!("it loads a footer") };
            waiting.extend(reader.map(|(reader, _)| reader));
            return true;
        }
        let segment = log.segments.get(id).expect("a run's segment exists");
        let length = segment.footer().expect("extents leave memory when the footer is durable") as usize;
        if !self.fits(length, reader.map(|(_, claim)| claim)) {
            return false;
        }
        let memory = self.footer_pool.take(length).expect("the pool has no limit");
        let loading = Box::new(Loading::new(segment.header, segment.known_end(), memory));
        let trip = self.trip();
        self.loading.insert(id, (trip, loading.memory()));
        let waiting = reader.into_iter().map(|(id, _)| id).collect();
        self.trips.insert(trip, Trip::Footer { loading, group, waiting });
        self.pieces_due.push_back(trip);
        self.ask_for_footers(ops);
        true
    }

    /// Asks for the next pieces of footers, as many as may be under way. Whoever flies has no part in that: flights may follow each other
    /// for ever.
    fn ask_for_footers(&mut self, ops: &mut Vec<DiskOp>) {
        while self.pieces_flying < FLYING_BYTES_FLUSHING
            && let Some(id) = self.pieces_due.pop_front()
        {
            let Some(Trip::Footer { loading, group, .. }) = self.trips.get_mut(&id) else {
                panic!("it loads a footer")
            };
            ops.push(DiskOp { tag: Job::Read { id, part: 0 }.tag(), kind: loading.next(&self.footer_pool) });
            let (group, bytes) = (*group, loading.asked());
            self.flying += bytes;
            self.pieces_flying += bytes;
            self.count(group, 1, bytes);
        }
    }

    /// Asks the disk for extents: for a reader, or ahead as wished.
    fn launch(
        &mut self,
        log: Sources,
        group: GroupId,
        goal: &Goal,
        parts: Vec<Part>,
        whom: Result<(u64, Claim), (Wish, Offset, Index)>,
        ops: &mut Vec<DiskOp>,
    ) -> Launch {
        if !self.may_fly(log) {
            return Launch::Busy;
        }
        let reader = whom.ok().map(|(id, _)| id);
        let (mut first, mut start) = {
            let (part, extent) = (&parts[0], &parts[0].extents[0]);
            let first = extent.first_index.max(part.from);
            // Where its offsets begin is known if no entry of the extent is left out.
            (first, if first == extent.first_index { extent.first_offset } else { Offset(i64::MAX) })
        };
        let background = whom.ok().is_some_and(|(_, claim)| claim.share == Share::Background);
        let most = if background { FLYING_BYTES_FLUSHING } else { FLIGHT_BYTES_MAX };
        let ticket = Ticket::new(parts, most.min(self.limit / 4), log.segments, &mut self.tables);
        if self.ops > 0 && self.ops + ticket.ops > OPS_MAX {
            return Launch::Busy;
        }
        if !self.fits(ticket.bytes, whom.ok().map(|(_, claim)| claim)) {
            return Launch::NoRoom;
        }
        let (last, end, payload) = ticket.reach();
        let (trip, count) = (self.trip(), ticket.ops);
        let flight = ticket.start(trip, &self.pool, ops);
        self.count(group, count, flight.bytes);
        self.flying += flight.bytes;
        let trip_of = match (goal, reader) {
            (Goal::Entries { from, .. }, _) => {
                // Nothing lies between where the read begins and the first extent.
                match *from {
                    From::Offset(offset) => start = start.min(offset),
                    From::Index(index) => first = first.min(index),
                }
                start = whom.err().map_or(start, |(_, at, _)| start.min(at));
                let reach = Reach { first, last, start, end, payload, memory: flight.memory };
                self.ahead.started(trip, group, reach, reader);
                Trip::Chunk(flight, whom.err().map(|(wish, _, upto)| (group, wish, upto)))
            }
            (_, Some(reader)) => Trip::Look(flight, reader),
            (_, None) => panic!("only entries are read ahead"),
        };
        self.trips.insert(trip, trip_of);
        Launch::Flies(trip)
    }

    /// The group that is being compacted. Who else reads it meanwhile counts with that.
    pub(crate) fn compacts(&mut self, group: Option<GroupId>) {
        self.compacted = group;
    }

    /// Bytes that the disk was asked for of the group that is being compacted, since the last time.
    pub(crate) fn take_compaction_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.compaction_bytes)
    }

    /// True if there is memory for `bytes` more. `claim`: a reader's; `None`: they are read ahead. What is kept for later
    /// gives way to what somebody waits for; the largest entry finds room when nothing else is there.
    fn fits(&mut self, bytes: usize, claim: Option<Claim>) -> bool {
        let most = match claim.map(|claim| claim.share) {
            Some(Share::All) => self.limit,
            Some(Share::Most) => self.limit / 4 * 3,
            Some(Share::Followers) => self.limit + PEER_READ_MEMORY,
            Some(Share::Half | Share::Background) | None => self.limit / 2,
        };
        let limit = self.limit.max(most);
        if claim.is_some() && self.wanted() > 0 && self.wanted() + bytes > most {
            return false;
        }
        while self.used() > 0 && self.used() + bytes > limit {
            if claim.is_none() || !self.ahead.give_way() {
                // What is left is being read ahead, or small beside one entry.
                return claim.is_some() && self.wanted() == 0;
            }
        }
        true
    }

    /// Bytes of flights and of what came of them, and of footers under way.
    fn used(&self) -> usize {
        self.pool.used() + self.loading.values().map(|(_, bytes)| bytes).sum::<usize>()
    }

    /// Bytes that readers wait for or have not sent, as far as is known: what was kept for later may be among them.
    fn wanted(&self) -> usize {
        self.used().saturating_sub(self.ahead.memory())
    }

    fn room(&self) -> usize {
        self.limit.saturating_sub(self.wanted())
    }

    pub(crate) fn is_tight(&self) -> bool {
        self.wanted() > self.limit / 2
    }

    pub(crate) fn memory_used(&self) -> (usize, usize) {
        (self.used(), self.ahead.memory())
    }

    fn may_fly(&self, log: Sources) -> bool {
        let flushing = log.writer.in_flight() > 0;
        self.flying < if flushing { FLYING_BYTES_FLUSHING } else { FLYING_BYTES }
    }

    fn trip(&mut self) -> u64 {
        self.next_trip = (self.next_trip + 1) % TRIPS;
        self.next_trip
    }

    fn count(&mut self, group: GroupId, ops: usize, bytes: usize) {
        self.ops += ops;
        if self.compacted == Some(group) {
            self.compaction_bytes += bytes as u64;
        }
        self.stats.disk_reads += ops as u64;
        self.stats.disk_read_bytes += bytes as u64;
    }

    /// A part of a trip has come.
    pub(crate) fn on_disk(
        &mut self,
        log: Sources,
        (id, part): (u64, u16),
        result: Result<DiskOk, DiskError>,
        ops: &mut Vec<DiskOp>,
        out: &mut Vec<Outcome>,
    ) {
        self.ops -= 1;
        let footer = match self.trips.get_mut(&id).expect("a trip under way") {
            Trip::Footer { loading, .. } => {
                self.flying -= loading.asked();
                self.pieces_flying -= loading.asked();
                match loading.take(result) {
                    Ok(None) => {
                        self.pieces_due.push_back(id);
                        return self.ask_for_footers(ops);
                    }
                    Ok(Some(footer)) => Some(Ok(footer)),
                    Err(error) => Some(Err(error)),
                }
            }
            Trip::Chunk(flight, _) | Trip::Look(flight, _) => {
                if !flight.arrived(part, result) {
                    return;
                }
                None
            }
        };
        match self.trips.remove(&id).expect("just seen") {
            Trip::Footer { loading, waiting, .. } => {
                let result = footer.expect("kept for it").and_then(|footer| self.use_of(log, &loading, footer, out));
                self.footer(log, loading.segment.segment, waiting, result, ops, out);
            }
            Trip::Chunk(flight, wish) => {
                self.flying -= flight.bytes;
                let extents = flight.extents();
                let (items, error) = flight.verify(&mut self.tables);
                let narrows = extents > 1 && matches!(error, Some(WalError::Unreadable(_)));
                let (waiting, is_current) = self.ahead.landed(id, items);
                let is_answer = is_current && !narrows;
                let (trip, failed) = (Some(id).filter(|_| is_answer), error.clone().filter(|_| is_answer));
                for reader in waiting {
                    if narrows && let Some(pending) = self.pending.get_mut(&reader) {
                        pending.most = extents / 2;
                    }
                    self.resume(log, reader, trip, failed.clone(), ops, out);
                }
                self.ahead.trim();
                if let Some((group, wish, upto)) = wish.filter(|_| error.is_none()) {
                    self.top_up(log, group, wish, upto, ops);
                }
            }
            Trip::Look(flight, reader) => {
                self.flying -= flight.bytes;
                let (items, error) = flight.verify(&mut self.tables);
                // It may have been cancelled meanwhile.
                let Some(mut pending) = self.pending.remove(&reader) else { return };
                let found = match error {
                    Some(error) => Some(Err(error)),
                    None => fetched(&mut pending.goal, items).map(Ok),
                };
                match found {
                    Some(result) => finish(reader, &pending, result, out),
                    None => self.go_on(log, reader, pending, None, ops, out),
                }
            }
        }
    }

    /// A footer that was made again is told of. One that lacks something is of no use where others have all of it: what a missing batch had
    /// replaced would not be known to be.
    fn use_of(
        &mut self,
        log: Sources,
        loading: &Loading,
        footer: Footer,
        out: &mut Vec<Outcome>,
    ) -> Result<Footer, WalError> {
        if !footer.is_whole() && log.replicated {
            return Err(loading.refusal());
        }
        if let Some(text) = footer.remark().filter(|_| self.told.insert(loading.segment.segment)) {
            out.push(Outcome::Log(Level::Warn, text));
        }
        Ok(footer)
    }

    fn footer(
        &mut self,
        log: Sources,
        segment: SegmentId,
        waiting: Vec<u64>,
        result: Result<Footer, WalError>,
        ops: &mut Vec<DiskOp>,
        out: &mut Vec<Outcome>,
    ) {
        self.loading.remove(&segment).expect("it is under way");
        let error = result.map(|footer| self.footers.insert(segment, footer)).err();
        for id in waiting {
            // It may have been answered meanwhile, with another footer's error, or wait for memory.
            let Some(pending) = self.pending.get_mut(&id).filter(|pending| pending.footers > 0) else { continue };
            pending.footers -= 1;
            if pending.footers == 0 || error.is_some() {
                pending.footers = 0;
                self.resume(log, id, None, error.clone(), ops, out);
            }
        }
    }

    /// Forgets a search. What the disk was asked for still comes, and is dropped.
    pub(crate) fn cancel_search(&mut self, id: ReadId) {
        if let Some(pending) = self.pending.remove(&id.0) {
            assert!(!matches!(pending.goal, Goal::Entries { .. }), "read {} is no search", id.0);
            self.busy.remove(&(pending.claim.turn, id.0));
            self.roomless.remove(&(pending.claim.turn, id.0));
        }
    }

    /// Takes a read up again that waited, for this trip, whose entries are there now, or for something else.
    fn resume(
        &mut self,
        log: Sources,
        id: u64,
        trip: Option<u64>,
        error: Option<WalError>,
        ops: &mut Vec<DiskOp>,
        out: &mut Vec<Outcome>,
    ) {
        let Some(mut pending) = self.pending.remove(&id) else { panic!("read {id} is not under way") };
        pending.back |= trip.is_some() && pending.trip == trip && error.is_none();
        self.go_on(log, id, pending, error, ops, out);
    }

    fn go_on(
        &mut self,
        log: Sources,
        id: u64,
        mut pending: Pending,
        error: Option<WalError>,
        ops: &mut Vec<DiskOp>,
        out: &mut Vec<Outcome>,
    ) {
        match self.advance(log, id, &mut pending, error, ops) {
            Some(result) => finish(id, &pending, result, out),
            None => {
                self.pending.insert(id, pending);
            }
        }
    }

    /// End of a loop turn: reads that waited for memory go on, and what nobody came for is dropped.
    pub(crate) fn turn(&mut self, log: Sources, now: Mono, ops: &mut Vec<DiskOp>, out: &mut Vec<Outcome>) {
        if self.ahead.turn(now) {
            self.pool.trim();
        }
        self.ask_for_footers(ops);
        // Whoever waits for the disk alone may hold something, and goes before those who wait for memory.
        if self.resume_line(Line::Disk, log, ops, out) {
            self.resume_line(Line::Memory, log, ops, out);
        }
    }

    /// Lets those go on that wait in a line, by their turns. False if one of them has to wait on: it stays the first.
    fn resume_line(&mut self, line: Line, log: Sources, ops: &mut Vec<DiskOp>, out: &mut Vec<Outcome>) -> bool {
        while self.disk_is_free(log)
            && (line == Line::Disk || self.memory_is_free())
            && let Some((turn, id)) = self.line(line).pop_first()
        {
            self.resume(log, id, None, None, ops, out);
            if self.line(line).contains(&(turn, id)) {
                return false;
            }
        }
        true
    }

    fn line(&mut self, line: Line) -> &mut BTreeSet<(u64, u64)> {
        match line {
            Line::Disk => &mut self.busy,
            Line::Memory => &mut self.roomless,
        }
    }

    fn memory_is_free(&self) -> bool {
        let used = self.wanted();
        used == 0 || used < self.limit / 4 * 3
    }

    fn disk_is_free(&self, log: Sources) -> bool {
        self.may_fly(log) && (self.ops == 0 || self.ops < OPS_MAX / 4 * 3)
    }

    /// When [`Reads::turn`] has something to drop.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.ahead.deadline()
    }

    /// True if a trip to this segment is under way: its file must stay as it is.
    pub(crate) fn reads_from(&self, id: SegmentId) -> bool {
        self.trips.values().any(|trip| match trip {
            Trip::Footer { loading, .. } => loading.segment.segment == id,
            Trip::Chunk(flight, _) | Trip::Look(flight, _) => flight.touches(id),
        })
    }

    /// The segment is gone. What was read from it may still be handed out.
    pub(crate) fn forget(&mut self, segment: SegmentId) {
        self.footers.remove(segment);
        self.told.remove(&segment);
        self.tables.forget(segment);
    }

    /// The group's entries from `from` on are not what they were.
    pub(crate) fn truncate(&mut self, group: GroupId, from: Index) {
        self.ahead.truncate(group, from);
    }

    /// Its part of the log's counters.
    pub(crate) fn count_into(&self, stats: &mut Stats) {
        stats.reads = self.pending.len() as u64;
        stats.cold_reads = self.stats.cold_reads;
        stats.disk_reads = self.stats.disk_reads;
        stats.disk_read_bytes = self.stats.disk_read_bytes;
        stats.ahead_hits = self.ahead.counts.hits;
        stats.ahead_misses = self.ahead.counts.misses;
        stats.ahead_dropped = self.ahead.counts.dropped;
        stats.ahead_bytes = self.ahead.memory() as u64;
    }
}

/// The read is over.
fn finish(id: u64, pending: &Pending, result: Result<Vec<Item>, WalError>, out: &mut Vec<Outcome>) {
    out.push(match pending.goal {
        Goal::Entries { .. } => Outcome::Read(ReadId(id), result),
        _ => Outcome::Found(ReadId(id), result.map(|items| items.into_iter().next())),
    });
}
