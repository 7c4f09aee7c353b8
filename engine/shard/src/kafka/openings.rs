//! Compressed batches of producers are opened before they go on, in slices, so that other requests go on meanwhile: a
//! megabyte can hold a gigabyte of records. The batches of long requests, and of those that name many partitions, are checked in
//! the same way, one after the other, and go to the owners of the partitions some at a time.

use super::produce::{Asking, Opened, demands, is_compressed, refused};
use super::{Kafka, Out, ReplyTo};
use crate::allowance::cost_of_bytes;
use std::collections::{BTreeMap, VecDeque};
use torc_base::ids::ConnId;
use torc_base::limits::{OPENING_MEMORY, OPENING_SLICE, OPENING_TURN};
use torc_base::turns::Work;
use torc_net::kafka::produce::Request;
use torc_net::kafka::records::{self, Check, Checked, Spares};

/// How many times as fast bytes are checked that are not compressed as others are opened, and what a record of them costs
/// besides, and a batch, in bytes that could be opened. And what it costs that a batch is appended, committed and answered.
const CHECK_GAIN: usize = 32;
const CHECK_RECORD: usize = 4;
const CHECK_BATCH: usize = 256;
const TAKE_BATCH: usize = 1_280;

/// A produce request on its way to being opened.
struct Parcel {
    to: ReplyTo,
    /// `None`: its batches are opened.
    request: Option<Request>,
    frame_bytes: usize,
    /// All batches are looked at, not only those that are compressed.
    all: bool,
    opened: Opened,
    /// Topic and partition whose batch is looked at next.
    at: (usize, usize),
    check: Option<Box<Check>>,
    /// There was no memory for its records beside those of others: it begins anew when it is alone.
    alone: bool,
    /// What is left of opened batches for the owners.
    asking: Option<Asking>,
}

/// Produce requests with compressed batches, and long ones. Those of one connection are opened, and go on, in the order in which they
/// came; so do all that came behind them. Connections take turns.
#[derive(Default)]
pub(super) struct Openings {
    spares: Spares,
    works: BTreeMap<ConnId, VecDeque<Parcel>>,
    /// The connections of `works`, the next one first.
    turns: VecDeque<ConnId>,
    /// Bytes that may still be decompressed in this turn.
    budget: usize,
    /// Bytes of memory that checks under way hold, besides the batches.
    memory: usize,
}

impl Openings {
    /// True if there is something to do.
    pub(super) fn is_due(&self) -> bool {
        !self.turns.is_empty()
    }

    /// True if requests of the connection are here: those that come later wait behind them.
    pub(super) fn holds(&self, conn: ConnId) -> bool {
        self.works.contains_key(&conn)
    }

    /// Forgets the requests of a connection that is gone.
    pub(super) fn forget(&mut self, conn: ConnId) {
        let Some(works) = self.works.remove(&conn) else { return };
        self.turns.retain(|other| *other != conn);
        for check in works.into_iter().filter_map(|work| work.check) {
            self.memory -= check.memory();
            check.end(&mut self.spares);
        }
    }
}

impl Kafka {
    /// Opens a produce request's batches, behind the connection's requests that are being opened; then it goes on.
    pub(super) fn open_first(
        &mut self,
        out: &mut Out,
        to: ReplyTo,
        (request, opened): (Request, Opened),
        frame_bytes: usize,
        all: bool,
    ) {
        let waits = self.openings.holds(to.conn);
        let works = self.openings.works.entry(to.conn).or_default();
        let (at, check, alone, asking) = ((0, 0), None, false, None);
        works.push_back(Parcel { to, request: Some(request), frame_bytes, all, opened, at, check, alone, asking });
        if waits {
            return;
        }
        // What is small is opened at once.
        self.openings.turns.push_front(to.conn);
        if self.openings.budget > 0 && !(all && out.conns.allowance.long() <= 0) {
            self.open_next(out);
        }
    }

    /// Opens what is there, as far as one turn goes.
    pub(super) fn open_compressed(&mut self, out: &mut Out) {
        self.openings.budget = OPENING_TURN.min(out.conns.allowance.bytes());
        while self.openings.budget > 0 && !self.openings.turns.is_empty() {
            self.open_next(out);
        }
    }

    /// One slice of the connection whose turn it is, which is its first request's; one that is opened goes on.
    fn open_next(&mut self, out: &mut Out) {
        let conn = self.openings.turns.pop_front().expect("the caller has looked");
        let works = self.openings.works.get_mut(&conn).expect("it has its turn for them");
        let mut work = works.pop_front().expect("not empty");
        let slice = OPENING_SLICE.min(self.openings.budget);
        let mut left = slice;
        let before = self.stats.turns.at(Work::Opening);
        let done = self.open_on(out, &mut work, &mut left);
        self.stats.turns.at(before);
        // A slice costs something even if nothing could be done in it, so that a turn has an end.
        let used = (slice - left).max(1 << 10);
        self.openings.budget = self.openings.budget.saturating_sub(used);
        out.conns.charge(conn, cost_of_bytes(used));
        let works = self.openings.works.get_mut(&conn).expect("seen above");
        if !done {
            works.push_front(work);
            self.openings.turns.push_back(conn);
            return;
        }
        if works.is_empty() {
            self.openings.works.remove(&conn);
        } else {
            self.openings.turns.push_back(conn);
        }
    }

    /// Goes on with a request, until the budget is used up. True if nothing is left to do for it.
    fn open_on(&mut self, out: &mut Out, work: &mut Parcel, budget: &mut usize) -> bool {
        if let Some(mut request) = work.request.take() {
            if !self.open(out, work, &mut request, budget) {
                work.request = Some(request);
                return false;
            }
            let opened = std::mem::take(&mut work.opened);
            work.asking = self.produce_opened(out, work.to, request, work.frame_bytes, opened);
        }
        let Some(asking) = &mut work.asking else { return true };
        self.stats.turns.at(Work::Produce);
        self.ask_on(out, asking, TAKE_BATCH, budget)
    }

    /// Opens the request's batches, in order, until the budget is used up. True if all are opened.
    fn open(&mut self, out: &mut Out, work: &mut Parcel, request: &mut Request, budget: &mut usize) -> bool {
        while let Some(topic) = request.topics.get_mut(work.at.0) {
            if *budget == 0 {
                return false;
            }
            let Some(partition) = topic.partitions.get_mut(work.at.1) else {
                work.at = (work.at.0 + 1, 0);
                continue;
            };
            let is_open = !(work.all || is_compressed(partition)) || work.opened.contains_key(&work.at);
            let known = self.view.find(&topic.name, topic.id).filter(|_| !is_open).cloned();
            // What is refused for other reasons needs no opening.
            if let Some(topic) = known
                && let Some(bytes) = &mut partition.records
                && bytes.len() <= self.batch_bytes_max(&topic.config)
            {
                let openings = &mut self.openings;
                let begun = match work.check.take() {
                    Some(check) => {
                        openings.memory -= check.memory();
                        Ok(Checked::Compressed(check))
                    }
                    None if work.alone && openings.memory > 0 => return false,
                    None => records::begin(bytes, demands(&topic.config, out.now.wall), &mut openings.spares),
                };
                let result = match begun {
                    Ok(Checked::Compressed(mut check)) => match check.step(bytes, budget).transpose() {
                        None if openings.memory > 0 && openings.memory + check.memory() > OPENING_MEMORY => {
                            work.alone = true;
                            return false;
                        }
                        None => {
                            openings.memory += check.memory();
                            work.check = Some(check);
                            return false;
                        }
                        Some(result) => {
                            check.end(&mut openings.spares);
                            result
                        }
                    },
                    Ok(Checked::Sound(batch)) => {
                        let cost = CHECK_BATCH + bytes.len() / CHECK_GAIN + batch.records as usize * CHECK_RECORD;
                        *budget = budget.saturating_sub(cost);
                        Ok(batch)
                    }
                    Err(invalid) => Err(invalid),
                };
                work.opened.insert(work.at, result.map_err(refused));
            } else if let Some(check) = work.check.take() {
                // Meanwhile its topic has gone, or takes no batch of that length any more. What follows is another one.
                self.openings.memory -= check.memory();
                check.end(&mut self.openings.spares);
            }
            work.alone = false;
            work.at.1 += 1;
        }
        true
    }
}
