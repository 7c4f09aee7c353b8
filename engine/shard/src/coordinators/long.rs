//! Requests for many offsets of one group: they are read over turns, so that who asks for little does not wait for all of them.
//!
//! What is told is what the group had committed at one moment, as in Kafka: where something of it changes meanwhile, it is read
//! again from the beginning; and all at once if that happens too often. Such a request is the only one of its connection, so that
//! nothing that came behind it goes before it.

use super::{Around, Coordinators, State, lost};
use crate::allowance::Allowance;
use crate::groups::KeptBack;
use crate::mail::{Answer, Asker, Unavailable};
use torc_base::ids::GroupId;
use torc_base::limits::TURN_ITEMS_FREE;
use torc_state::coordinator::record::Record;
use torc_state::coordinator::request::{Fetch, Request};
use torc_state::coordinator::response::Response;
use torc_state::coordinator::{Coordinator, Reading};

/// An offset that is read, in units of the turn's sum.
const OFFSET_COST: usize = 2;

/// So often offsets are read again that change while they are read; then all are read in one turn.
const REPEATS_MAX: u32 = 3;

/// A request for offsets whose answer is being made.
pub(super) struct LongFetch {
    asker: Asker,
    position: u32,
    log: GroupId,
    fetch: Fetch,
    reading: Reading,
    repeats: u32,
}

impl LongFetch {
    pub(super) fn asker(&self) -> Asker {
        self.asker
    }

    /// A record is on its way into the log that changes what may have been read.
    fn note(&mut self, log: GroupId, records: &[Record]) {
        let is_of_group =
            |record: &Record| matches!(record, Record::Offset { group, .. } if *group == self.fetch.group);
        if self.log == log && records.iter().any(is_of_group) {
            self.reading = Reading::default();
            self.repeats += 1;
        }
    }

    /// Reads on, for about `left` offsets. True if all have been read.
    fn read_on(&mut self, coordinator: &Coordinator, left: &mut usize) -> bool {
        if self.repeats > REPEATS_MAX {
            *left = 0;
            return coordinator.fetch_on(&self.fetch, &mut self.reading, &mut usize::MAX.clone());
        }
        coordinator.fetch_on(&self.fetch, &mut self.reading, left)
    }

    fn into_answer(self) -> Answer {
        let response = Response::Fetch { group: self.fetch.group, result: Ok(self.reading.into_told()) };
        Answer::Coordinated { position: self.position, result: Ok(Box::new(response)) }
    }
}

impl Coordinators {
    /// Takes a request in that is to be answered over turns. `Some`: it is not one.
    pub(super) fn begin_long(
        &mut self,
        asker: Asker,
        position: u32,
        log: GroupId,
        request: Request,
    ) -> Option<Request> {
        let (Request::Fetch(fetch), Some(coordinator)) = (&request, self.serving(log)) else { return Some(request) };
        let is_long = coordinator.offsets_asked(fetch) > TURN_ITEMS_FREE && coordinator.may_fetch(fetch).is_ok();
        let Request::Fetch(fetch) = request else { unreachable!("seen above") };
        if !is_long {
            return Some(Request::Fetch(fetch));
        }
        self.long.push_back(LongFetch { asker, position, log, fetch, reading: Reading::default(), repeats: 0 });
        None
    }

    /// A turn's part of what is answered over turns.
    pub(super) fn turn_long(&mut self, around: &mut Around, allowance: &mut Allowance) {
        let part = allowance.part() / OFFSET_COST;
        let mut left = part;
        self.read_long(around, &mut left);
        allowance.charge(OFFSET_COST * (part - left));
    }

    fn read_long(&mut self, around: &mut Around, left: &mut usize) {
        while *left > 0
            && let Some(mut long) = self.long.pop_front()
        {
            let Some(State::Serving(coordinator)) = self.seats.get(&long.log).map(|seat| &seat.state) else {
                around.answer(long.asker, long.position, Err(Unavailable::NotCoordinator));
                continue;
            };
            if !long.read_on(coordinator, left) {
                return self.long.push_front(long);
            }
            let (asker, log) = (long.asker, long.log);
            around.groups.answer_behind(around.out, log, KeptBack { asker, answer: long.into_answer(), lost });
        }
    }

    /// Records are on their way into a coordinator's log.
    pub(super) fn note_changes(&mut self, log: GroupId, records: &[Record]) {
        // The others have not begun.
        if let Some(long) = self.long.front_mut() {
            long.note(log, records);
        }
    }

    /// The coordinator is not here any more.
    pub(super) fn drop_long(&mut self, around: &mut Around, log: GroupId) {
        let (gone, stay) = std::mem::take(&mut self.long).into_iter().partition(|long| long.log == log);
        self.long = stay;
        for long in Vec::from(gone) {
            around.answer(long.asker, long.position, Err(Unavailable::NotCoordinator));
        }
    }
}
