//! Loading: a coordinator's partition is read from its first record to its last, a piece at a time.

use super::{Around, Coordinators, PAUSE_MS, Seat, State, records};
use crate::batch;
use crate::groups::{FetchRequest, Flow};
use crate::mail::{Answer, Asker, FetchPart, Fetched, ReadFrom, Token};
use crate::refusal::Refusal;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use torc_base::ids::{GroupId, Offset};
use torc_base::io::Level;
use torc_base::time::Mono;
use torc_state::coordinator::Coordinator;

/// Bytes of one read.
const PIECE: usize = 128 << 10;
/// Reads under way at once: one turn takes up what as many bring.
const READS_MAX: usize = 4;
/// Milliseconds between two looks whether the last records of the log are committed.
const COMMIT_MS: u64 = 5;

/// A coordinator that is being loaded.
pub(super) struct Load {
    coordinator: Box<Coordinator>,
    /// The next record to be read.
    from: Offset,
    /// The read under way.
    read: Option<Token>,
}

/// All loads of a shard.
#[derive(Default)]
pub(super) struct Loads {
    next_token: u64,
    reads: BTreeMap<Token, GroupId>,
    /// Whose next piece may be read.
    queue: VecDeque<GroupId>,
    /// Those that wait until then.
    paused: Vec<(Mono, GroupId)>,
}

impl Loads {
    pub(super) fn deadline(&self) -> Option<Mono> {
        let now = (!self.queue.is_empty() && self.reads.len() < READS_MAX).then_some(Mono(0));
        now.into_iter().chain(self.paused.iter().map(|(at, _)| *at)).min()
    }
}

impl Coordinators {
    /// This node has begun to lead the partition.
    pub fn lead(&mut self, around: &mut Around, log: GroupId) {
        let now = around.out.now.mono;
        if !self.seats.contains_key(&log) {
            self.begin_load(around, log, now);
        }
    }

    /// Loads the coordinator of a partition, from `at` on; nothing if this node does not lead it.
    pub(super) fn begin_load(&mut self, around: &mut Around, log: GroupId, at: Mono) {
        let Some((from, _)) = around.groups.extent(log).filter(|_| !self.closed) else { return };
        let settings = Arc::clone(&self.settings.coordinator);
        let coordinator = Box::new(Coordinator::new(settings, around.groups.record_bytes_max(log)));
        let state = State::Loading(Load { coordinator, from, read: None });
        self.seats.insert(log, Seat { state, armed: None });
        if at <= around.out.now.mono {
            self.next_piece(around, log);
        } else {
            self.loads.paused.push((at, log));
        }
    }

    /// Goes on with a load: with the next piece, or with the coordinator's work.
    fn next_piece(&mut self, around: &mut Around, log: GroupId) {
        let Some(Seat { state: State::Loading(load), .. }) = self.seats.get(&log) else { return };
        match around.groups.extent(log) {
            // Dropped, or led by another node: it has been said, or will be.
            None => self.leave(around, log),
            Some((_, end)) if load.from < end => self.loads.queue.push_back(log),
            Some(_) if !around.groups.is_committed(log) => {
                self.loads.paused.push((around.out.now.mono.plus_ms(COMMIT_MS), log));
            }
            Some(_) => self.serve(around, log),
        }
    }

    fn serve(&mut self, around: &mut Around, log: GroupId) {
        let seat = self.seats.get_mut(&log).expect("it was loaded");
        let State::Loading(load) = std::mem::replace(&mut seat.state, State::Damaged) else {
            unreachable!("it was loading")
        };
        seat.state = State::Serving(load.coordinator);
        self.step(around, log, |coordinator, world| coordinator.start(world));
    }

    /// The next pieces, as many as one turn takes up.
    pub(super) fn turn_loads(&mut self, around: &mut Around) {
        let now = around.out.now.mono;
        let due: Vec<GroupId> = self.loads.paused.extract_if(.., |(at, _)| *at <= now).map(|(_, log)| log).collect();
        due.into_iter().for_each(|log| self.next_piece(around, log));
        while self.loads.reads.len() < READS_MAX
            && let Some(log) = self.loads.queue.pop_front()
        {
            let Some(Seat { state: State::Loading(load), .. }) = self.seats.get_mut(&log) else { continue };
            self.loads.next_token += 1;
            let token = Token::inside(self.loads.next_token);
            load.read = Some(token);
            self.loads.reads.insert(token, log);
            let part = FetchPart {
                position: 0,
                group: log,
                offset: load.from,
                max_bytes: PIECE,
                epoch: -1,
                from: ReadFrom::Leader,
            };
            let asker = Asker { place: self.settings.here(), token };
            let parts = vec![part];
            let request = FetchRequest { asker, reader: Flow::Inside, parts, max_bytes: PIECE, may_wait: true };
            around.groups.fetch(around.out, request);
        }
    }

    /// A piece has been read.
    pub fn loaded(&mut self, around: &mut Around, token: Token, answer: Answer) {
        let Answer::Fetched(mut parts) = answer else { panic!("{answer:?} does not answer what was asked") };
        let log = self.loads.reads.remove(&token).expect("a read is answered once");
        let Some(Seat { state: State::Loading(load), .. }) = self.seats.get_mut(&log) else { return };
        if load.read.take_if(|read| *read == token).is_none() {
            // Of a load before this one.
            return;
        }
        let (_, result) = parts.pop().expect("one partition was asked for");
        let pause = around.out.now.mono.plus_ms(PAUSE_MS);
        match result {
            Ok(fetched) => match take(load, &fetched) {
                Ok(()) => self.next_piece(around, log),
                Err(what) => {
                    let at = load.from;
                    let text = format!("group {log}, behind offset {at}: {what}: no consumer group of it is served");
                    around.out.log(Level::Error, text);
                    self.seats.get_mut(&log).expect("it is there").state = State::Damaged;
                }
            },
            Err(Refusal::NotLeader | Refusal::Gone) => self.leave(around, log),
            Err(refusal) => {
                around.out.log(Level::Warn, format!("group {log}: its coordinator cannot be loaded yet: {refusal:?}"));
                // The log's start may have moved.
                self.seats.remove(&log);
                self.begin_load(around, log, pause);
            }
        }
    }
}

/// Takes records over; the load is then behind them.
fn take(load: &mut Load, fetched: &Fetched) -> Result<(), String> {
    for slice in &fetched.records {
        let mut rest: &[u8] = slice;
        while !rest.is_empty() {
            let header = batch::header(rest).map_err(|invalid| invalid.to_string())?;
            let (bytes, behind) = rest.split_at_checked(header.length).ok_or("a record batch is cut short")?;
            rest = behind;
            for record in batch::read(bytes).map_err(|invalid| invalid.to_string())? {
                let Some(key) = record.key.filter(|_| record.offset >= load.from.get()) else { continue };
                if let Some(record) = records::decode(&key, record.value.as_deref())? {
                    load.coordinator.replay(&record);
                }
            }
            load.from = Offset(header.base_offset + i64::from(header.last_offset_delta) + 1);
        }
    }
    Ok(())
}
