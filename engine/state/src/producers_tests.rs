use super::*;
use crate::partition::{Admission, Incoming, Partition};
use torc_base::ids::Index;
use torc_base::prng::Prng;

fn numbered(id: i64, epoch: i16, base_sequence: i32) -> Sequenced {
    Sequenced { id: ProducerId(id), epoch: ProducerEpoch(epoch), base_sequence }
}

/// A partition whose last `lag` entries are not committed.
struct Log {
    partition: Partition,
    entries: u64,
    lag: u64,
}

impl Log {
    fn new(lag: u64) -> Log {
        Log { partition: Partition::new(), entries: 0, lag }
    }

    /// Appends a batch if it is new; the base offset of the batch and whether it was a repetition.
    fn write(&mut self, by: Sequenced, records: u32) -> Result<(i64, bool), Refusal> {
        let end = self.partition.end();
        let batch = Incoming { records, producer: Some(by), max_timestamp: end.0 };
        match self.partition.admit(&batch)? {
            Admission::Duplicate { base, .. } => Ok((base.0, true)),
            Admission::Append { base } => {
                self.entries += 1;
                self.partition.append(Index(self.entries), base, &batch, 70);
                self.commit();
                Ok((base.0, false))
            }
        }
    }

    fn commit(&mut self) {
        self.partition.apply(Index(self.entries.saturating_sub(self.lag)));
    }

    fn tell(&mut self, now: i64, forget: i64) {
        self.entries += 1;
        self.partition.append_clock(Index(self.entries), Clock { now: Wall(now), forget: Wall(forget) });
        self.commit();
    }
}

#[test]
fn a_repeated_batch_gets_its_first_answer_while_it_is_among_the_last_five() {
    for lag in [0, 1, 3, 5, 6, 9] {
        repeats(Log::new(lag));
    }
}

fn repeats(mut log: Log) {
    for n in 0..6 {
        assert_eq!(log.write(numbered(7, 0, n * 2), 2), Ok((i64::from(n) * 2, false)));
    }
    for n in 1..6 {
        assert_eq!(log.write(numbered(7, 0, n * 2), 2), Ok((i64::from(n) * 2, true)));
    }
    // Older than the last five: 45, not 46.
    let old = numbered(7, 0, 0);
    let refused = log.write(old, 2);
    assert_eq!(refused, Err(Refusal::OutOfOrderSequence { producer: old, expected: 12 }));
    // The same start with another length is no repetition.
    assert!(log.write(numbered(7, 0, 10), 1).is_err());
    assert_eq!(log.partition.end(), Offset(12));
}

#[test]
fn gaps_and_old_epochs_are_refused_and_a_new_epoch_starts_at_zero() {
    let mut log = Log::new(1);
    assert!(log.write(numbered(7, 3, 0), 1).is_ok());
    let gap = numbered(7, 3, 2);
    let refused = log.write(gap, 1);
    assert_eq!(refused, Err(Refusal::OutOfOrderSequence { producer: gap, expected: 1 }));
    let old = numbered(7, 2, 1);
    let refused = log.write(old, 1);
    assert_eq!(refused, Err(Refusal::InvalidProducerEpoch { producer: old, current: ProducerEpoch(3) }));
    let not_at_zero = numbered(7, 4, 1);
    let refused = log.write(not_at_zero, 1);
    assert_eq!(refused, Err(Refusal::OutOfOrderSequence { producer: not_at_zero, expected: 0 }));
    assert_eq!(log.write(numbered(7, 4, 0), 1), Ok((1, false)));
    let unnumbered = numbered(8, 0, -1);
    assert_eq!(log.write(unnumbered, 1), Err(Refusal::InvalidSequence { producer: unnumbered }));
}

#[test]
fn a_producer_that_is_not_remembered_may_start_anywhere() {
    let mut log = Log::new(0);
    assert_eq!(log.write(numbered(7, 2, 41), 3), Ok((0, false)));
    log.tell(100, 0);
    log.tell(199, 99);
    assert_eq!(log.partition.producers(), 1);
    log.tell(200, 100);
    assert_eq!(log.partition.producers(), 0);
    assert_eq!(log.write(numbered(7, 0, 900), 3), Ok((3, false)));
}

#[test]
fn a_producer_that_is_forgotten_while_it_writes_is_known_by_what_is_pending() {
    let mut log = Log::new(0);
    assert_eq!(log.write(numbered(7, 2, 41), 3), Ok((0, false)));
    log.tell(100, 0);
    log.lag = 2;
    assert_eq!(log.write(numbered(7, 2, 44), 1), Ok((3, false)));
    // Was sent before the batch had come.
    log.entries -= 1;
    log.partition.cut(Index(log.entries + 1));
    log.tell(300, 200);
    assert_eq!(log.write(numbered(7, 2, 44), 1), Ok((3, false)));
    log.lag = 1;
    log.commit();
    assert_eq!(log.partition.producers(), 0);
    assert_eq!(log.write(numbered(7, 2, 44), 1), Ok((3, true)));
    log.lag = 0;
    log.commit();
    assert_eq!((log.partition.producers(), log.write(numbered(7, 2, 45), 1)), (1, Ok((4, false))));
}

#[test]
fn the_longest_idle_are_forgotten_first_and_the_bound_holds() {
    let mut log = Log::new(1);
    let all = PRODUCERS_PER_PARTITION_MAX as i64 + 1;
    for id in 0..all - 1 {
        log.write(numbered(id, 0, 0), 1).expect("new");
    }
    // The first one writes again and is the youngest.
    log.write(numbered(0, 0, 1), 1).expect("in sequence");
    log.lag = 0;
    log.commit();
    assert_eq!(log.partition.producers(), PRODUCERS_PER_PARTITION_MAX);
    log.write(numbered(all, 0, 0), 1).expect("new");
    assert!(log.partition.producers() < PRODUCERS_PER_PARTITION_MAX);
    // Whoever is known may not skip a number.
    let known = |id| {
        log.partition.admit(&Incoming { records: 1, producer: Some(numbered(id, 0, 77)), max_timestamp: 0 }).is_err()
    };
    assert!(known(0) && known(all) && known(all - 2));
    assert!(!known(1) && !known(2));
}

/// What a producer has really sent, with the offset that each batch got.
struct Sent {
    epoch: i16,
    next: i32,
    /// (sequence, records, base), oldest first, of this epoch.
    batches: Vec<(i32, u32, i64)>,
}

#[test]
fn no_order_of_retries_gives_a_batch_two_offsets_or_hides_a_gap() {
    for seed in 0..200 {
        let mut prng = Prng::new(seed);
        let mut log = Log::new(prng.below(8));
        let mut end = 0;
        let mut sent: Vec<Sent> =
            (0..3).map(|_| Sent { epoch: 0, next: i32::MAX - prng.below(40) as i32, batches: Vec::new() }).collect();
        for _ in 0..300 {
            let id = prng.below(3) as usize;
            let producer = &mut sent[id];
            let by = |sequence| numbered(id as i64, producer.epoch, sequence);
            let records = prng.between(1, 6) as u32;
            match prng.below(10) {
                0..=4 => {
                    let base = end;
                    let answer = log.write(by(producer.next), records);
                    assert_eq!(answer, Ok((base, false)), "seed {seed}");
                    producer.batches.push((producer.next, records, base));
                    producer.next = ((i64::from(producer.next) + i64::from(records)) % (1 << 31)) as i32;
                }
                5..=7 if !producer.batches.is_empty() => {
                    let back = prng.below(producer.batches.len().min(9) as u64) as usize;
                    let (sequence, records, base) = producer.batches[producer.batches.len() - 1 - back];
                    let answer = log.write(by(sequence), records);
                    if back < PRODUCER_BATCHES {
                        assert_eq!(answer, Ok((base, true)), "seed {seed}");
                    } else {
                        let expected = producer.next;
                        assert_eq!(
                            answer,
                            Err(Refusal::OutOfOrderSequence { producer: by(sequence), expected }),
                            "seed {seed}"
                        );
                    }
                }
                8 if !producer.batches.is_empty() => {
                    let skip = prng.between(1, 1000) as i64;
                    let sequence = ((i64::from(producer.next) + skip) % (1 << 31)) as i32;
                    let answer = log.write(by(sequence), records);
                    assert!(matches!(answer, Err(Refusal::OutOfOrderSequence { .. })), "seed {seed}");
                }
                9 if prng.chance(1, 4) => {
                    let old = numbered(id as i64, producer.epoch, producer.next);
                    *producer = Sent { epoch: producer.epoch + 1, next: records as i32, batches: Vec::new() };
                    producer.batches.push((0, records, end));
                    let first = numbered(id as i64, producer.epoch, 0);
                    assert_eq!(log.write(first, records), Ok((end, false)));
                    let refused = log.write(old, records);
                    assert!(matches!(refused, Err(Refusal::InvalidProducerEpoch { .. })), "seed {seed}");
                }
                _ => {
                    let mut out = Vec::new();
                    log.partition.encode(&mut out);
                    log.partition = Partition::decode(&mut &out[..]).expect("just encoded");
                }
            }
            end = log.partition.end().0;
        }
    }
}
