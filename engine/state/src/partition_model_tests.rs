//! Any history against a list of its entries: a state is what its committed entries make, whatever was appended and cut on
//! the way, and wherever checkpoints were taken.

use super::*;
use crate::producers::Remembered;
use std::collections::BTreeMap;
use torc_base::limits::PRODUCER_BATCHES;
use torc_base::prng::Prng;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Batch(Incoming),
    Term(i32),
    Trim(i64),
    Clock(Clock),
}

/// Entries from index 1 on, and how many are committed.
#[derive(Default)]
struct Model {
    entries: Vec<Kind>,
    committed: usize,
}

/// What a producer is known by: epoch, last batches (sequence of the first, records, offset of the last), when last seen.
type Known = BTreeMap<i64, (i16, Vec<(i32, u32, i64)>, Option<i64>)>;

impl Model {
    fn end(&self, entries: usize) -> i64 {
        let records = |kind: &Kind| if let Kind::Batch(batch) = kind { i64::from(batch.records) } else { 0 };
        self.entries[..entries].iter().map(records).sum()
    }

    fn log_start(&self) -> i64 {
        let trim = |kind: &Kind| if let Kind::Trim(to) = kind { *to } else { 0 };
        self.entries[..self.committed].iter().map(trim).max().unwrap_or(0)
    }

    /// Where terms begin: those with records, and the newest.
    fn epochs(&self) -> Vec<(i32, i64)> {
        let mut epochs: Vec<(i32, i64)> = Vec::new();
        for (at, kind) in self.entries.iter().enumerate() {
            let Kind::Term(epoch) = kind else { continue };
            epochs.retain(|(_, start)| *start < self.end(at));
            epochs.push((*epoch, self.end(at)));
        }
        // Of what is gone the last term is known.
        let start = self.log_start();
        let gone = epochs.iter().filter(|(_, at)| *at <= start).count().saturating_sub(1);
        epochs.drain(..gone);
        epochs
    }

    fn epoch_end(&self, requested: i32) -> (i32, i64) {
        let epochs = self.epochs();
        if requested < 0 {
            return (-1, -1);
        }
        if epochs.last().is_some_and(|(epoch, _)| *epoch == requested) {
            return (requested, self.end(self.entries.len()));
        }
        let Some((_, start)) = epochs.iter().find(|(epoch, _)| *epoch > requested) else { return (-1, -1) };
        let floor = epochs.iter().rfind(|(epoch, _)| *epoch <= requested);
        (floor.map_or(requested, |(epoch, _)| *epoch), (*start).max(self.log_start()))
    }

    /// Clocks count when they are committed, batches when they are appended.
    fn known(&self) -> Known {
        let mut known = Known::new();
        for (at, kind) in self.entries.iter().enumerate() {
            match kind {
                Kind::Batch(Incoming { records, producer: Some(by), .. }) => {
                    let batch = (by.base_sequence, *records, self.end(at + 1) - 1);
                    let producer = known.entry(by.id.0).or_insert((by.epoch.0, Vec::new(), None));
                    if producer.0 != by.epoch.0 {
                        *producer = (by.epoch.0, Vec::new(), None);
                    }
                    producer.1.push(batch);
                    producer.2 = None;
                    let old = producer.1.len().saturating_sub(PRODUCER_BATCHES);
                    producer.1.drain(..old);
                }
                Kind::Clock(clock) if at < self.committed => {
                    known.retain(|_, producer| producer.2.is_none_or(|seen| seen > clock.forget.0));
                    known.values_mut().for_each(|producer| producer.2 = producer.2.or(Some(clock.now.0)));
                }
                _ => {}
            }
        }
        known
    }

    fn admit(&self, known: &Known, batch: &Incoming) -> Result<Admission, Refusal> {
        let new = Admission::Append { base: Offset(self.end(self.entries.len())) };
        let Some(by) = batch.producer else { return Ok(new) };
        let Some((epoch, batches, _)) = known.get(&by.id.0) else { return Ok(new) };
        if by.epoch.0 < *epoch {
            return Err(Refusal::InvalidProducerEpoch { producer: by, current: ProducerEpoch(*epoch) });
        }
        let mut expected = 0;
        if by.epoch.0 == *epoch {
            if let Some((_, _, last)) = batches
                .iter()
                .rev()
                .find(|(sequence, records, _)| (*sequence, *records) == (by.base_sequence, batch.records))
            {
                let base = Offset(last - i64::from(batch.records) + 1);
                return Ok(Admission::Duplicate { base, last: Offset(*last), max_timestamp: batch.max_timestamp });
            }
            let (sequence, records, _) = batches.last().unwrap();
            expected = sequence + *records as i32;
        }
        if by.base_sequence == expected { Ok(new) } else { Err(Refusal::OutOfOrderSequence { producer: by, expected }) }
    }

    /// A replica that came by the entries in the straight way.
    fn straight(&self) -> Partition {
        let mut partition = Partition::new();
        for (at, kind) in self.entries.iter().enumerate() {
            put(&mut partition, Index(at as u64 + 1), *kind);
        }
        partition.apply(Index(self.committed as u64));
        partition
    }
}

fn put(partition: &mut Partition, index: Index, kind: Kind) {
    match kind {
        Kind::Batch(batch) => partition.append(index, partition.end(), &batch, 70),
        Kind::Term(epoch) => partition.begin_term(index, LeaderEpoch(epoch)),
        Kind::Trim(to) => partition.append_trim(index, Offset(to)),
        Kind::Clock(clock) => partition.append_clock(index, clock),
    }
}

/// Few producers, epochs and sequence numbers, so that batches repeat and clash.
fn any_batch(prng: &mut Prng) -> Incoming {
    let producer = Sequenced {
        id: ProducerId(prng.below(3) as i64),
        epoch: ProducerEpoch(prng.below(3) as i16),
        base_sequence: prng.below(6) as i32,
    };
    Incoming { records: prng.between(1, 3) as u32, producer: prng.chance(3, 4).then_some(producer), max_timestamp: -1 }
}

fn encoded(partition: &Partition) -> Vec<u8> {
    let mut out = Vec::new();
    partition.encode(&mut out);
    out
}

fn compare(model: &Model, partition: &Partition, prng: &mut Prng, what: &str) {
    assert_eq!(encoded(partition), encoded(&model.straight()), "{what}");
    let all = model.entries.len();
    let marks = (partition.log_start().0, partition.high_watermark().0, partition.end().0);
    assert_eq!(marks, (model.log_start(), model.end(model.committed), model.end(all)), "{what}");
    let pending = (model.committed < all).then(|| (Index(model.committed as u64 + 1), Index(all as u64)));
    assert_eq!(partition.pending(), pending, "{what}");
    for at in model.committed..all {
        assert_eq!(partition.end_at(Index(at as u64 + 1)).0, model.end(at + 1), "{what}");
    }
    for requested in -1..=model.epochs().last().map_or(0, |(epoch, _)| *epoch) + 1 {
        let (epoch, end) = partition.epoch_end_offset(LeaderEpoch(requested));
        assert_eq!((epoch.0, end.0), model.epoch_end(requested), "{what}: the end of epoch {requested}");
    }
    for offset in model.log_start()..model.end(all) {
        let epoch = model.epochs().iter().rfind(|(_, start)| *start <= offset).map(|(epoch, _)| LeaderEpoch(*epoch));
        assert_eq!(partition.epoch_of(Offset(offset)), epoch, "{what}: the epoch of {offset}");
    }
    let known = model.known();
    for _ in 0..8 {
        let batch = any_batch(prng);
        assert_eq!(partition.admit(&batch), model.admit(&known, &batch), "{what}: {batch:?} after {:?}", model.entries);
    }
}

#[test]
fn any_history_of_appends_commits_cuts_and_checkpoints_is_what_its_entries_make() {
    for seed in 0..300 {
        let mut prng = Prng::new(seed);
        let (mut model, mut partition) = (Model::default(), Partition::new());
        let mut epoch = 0;
        for step in 0..60 {
            let all = model.entries.len();
            let end = model.end(all);
            let kind = match prng.below(12) {
                0..=4 => Some(Kind::Batch(any_batch(&mut prng))),
                5 => {
                    epoch += prng.between(1, 2) as i32;
                    Some(Kind::Term(epoch))
                }
                6 => Some(Kind::Trim(prng.below(end as u64 + 1) as i64)),
                7 => {
                    let now = i64::from(step) + prng.below(20) as i64;
                    Some(Kind::Clock(Clock { now: Wall(now), forget: Wall(now - 10) }))
                }
                8 | 9 => {
                    model.committed = prng.between(model.committed as u64, all as u64) as usize;
                    partition.apply(Index(model.committed as u64));
                    None
                }
                10 => {
                    let from = prng.between(model.committed as u64 + 1, all as u64 + 1);
                    model.entries.truncate(from as usize - 1);
                    partition.cut(Index(from));
                    None
                }
                _ => {
                    let bytes = encoded(&partition);
                    partition = Partition::decode(&mut &bytes[..]).expect("just encoded");
                    for cut in 0..bytes.len() {
                        assert!(Partition::decode(&mut &bytes[..cut]).is_err(), "seed {seed}: {cut} bytes");
                    }
                    None
                }
            };
            if let Some(kind) = kind {
                model.entries.push(kind);
                put(&mut partition, Index(model.entries.len() as u64), kind);
            }
            compare(&model, &partition, &mut prng, &format!("seed {seed}, step {step}"));
        }
    }
}

/// Of a producer with more batches pending than are remembered, those before them are there again when they are cut.
#[test]
fn a_cut_brings_back_what_newer_batches_had_pushed_out() {
    let by = |sequence| Sequenced { id: ProducerId(4), epoch: ProducerEpoch(0), base_sequence: sequence };
    let batch = |sequence| Incoming { records: 1, producer: Some(by(sequence)), max_timestamp: 8 };
    let mut partition = Partition::new();
    for n in 0..5 {
        partition.append(Index(n + 1), Offset(n as i64), &batch(n as i32), 70);
    }
    partition.apply(Index(5));
    for n in 5..12 {
        partition.append(Index(n + 1), Offset(n as i64), &batch(n as i32), 70);
    }
    let expected = Err(Refusal::OutOfOrderSequence { producer: by(4), expected: 12 });
    assert_eq!(partition.admit(&batch(4)), expected);
    partition.cut(Index(6));
    let first = Remembered::new(Offset(0), 8, 0, 1);
    let again = Admission::Duplicate { base: Offset(0), last: first.last, max_timestamp: 8 };
    assert_eq!(partition.admit(&batch(0)), Ok(again));
    assert_eq!(partition.admit(&batch(5)), Ok(Admission::Append { base: Offset(5) }));
}
