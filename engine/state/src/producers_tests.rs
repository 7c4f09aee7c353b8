use super::*;
use torc_base::prng::Prng;

fn numbered(id: i64, epoch: i16, base_sequence: i32) -> Sequenced {
    Sequenced { id: ProducerId(id), epoch: ProducerEpoch(epoch), base_sequence }
}

/// Checks and, if it is new, appends a batch; the base offset of the batch and whether it was a repetition.
fn write(producers: &mut Producers, end: &mut i64, by: Sequenced, records: u32) -> Result<(i64, bool), Refusal> {
    if let Some(batch) = producers.check(by, records)? {
        return Ok((batch.base().0, true));
    }
    let base = *end;
    producers.remember(Wall(base), by, Offset(base), records, base);
    *end += i64::from(records);
    Ok((base, false))
}

#[test]
fn a_repeated_batch_gets_its_first_answer_while_it_is_among_the_last_five() {
    let (mut producers, mut end) = (Producers::default(), 0);
    for n in 0..6 {
        assert_eq!(write(&mut producers, &mut end, numbered(7, 0, n * 2), 2), Ok((i64::from(n) * 2, false)));
    }
    for n in 1..6 {
        assert_eq!(write(&mut producers, &mut end, numbered(7, 0, n * 2), 2), Ok((i64::from(n) * 2, true)));
    }
    // Older than the last five: 45, not 46.
    let old = numbered(7, 0, 0);
    let refused = write(&mut producers, &mut end, old, 2);
    assert_eq!(refused, Err(Refusal::OutOfOrderSequence { producer: old, expected: 12 }));
    // The same start with another length is no repetition.
    assert!(write(&mut producers, &mut end, numbered(7, 0, 10), 1).is_err());
    assert_eq!(end, 12);
}

#[test]
fn gaps_and_old_epochs_are_refused_and_a_new_epoch_starts_at_zero() {
    let (mut producers, mut end) = (Producers::default(), 0);
    assert!(write(&mut producers, &mut end, numbered(7, 3, 0), 1).is_ok());
    let gap = numbered(7, 3, 2);
    let refused = write(&mut producers, &mut end, gap, 1);
    assert_eq!(refused, Err(Refusal::OutOfOrderSequence { producer: gap, expected: 1 }));
    let old = numbered(7, 2, 1);
    let refused = write(&mut producers, &mut end, old, 1);
    assert_eq!(refused, Err(Refusal::InvalidProducerEpoch { producer: old, current: ProducerEpoch(3) }));
    let not_at_zero = numbered(7, 4, 1);
    let refused = write(&mut producers, &mut end, not_at_zero, 1);
    assert_eq!(refused, Err(Refusal::OutOfOrderSequence { producer: not_at_zero, expected: 0 }));
    assert_eq!(write(&mut producers, &mut end, numbered(7, 4, 0), 1), Ok((1, false)));
    let unnumbered = numbered(8, 0, -1);
    assert_eq!(write(&mut producers, &mut end, unnumbered, 1), Err(Refusal::InvalidSequence { producer: unnumbered }));
}

#[test]
fn a_producer_that_is_not_remembered_may_start_anywhere() {
    let (mut producers, mut end) = (Producers::default(), 0);
    assert_eq!(write(&mut producers, &mut end, numbered(7, 2, 41), 3), Ok((0, false)));
    assert_eq!(producers.expire(Wall(99), 100), 0);
    assert_eq!(producers.expire(Wall(100), 100), 1);
    assert_eq!(write(&mut producers, &mut end, numbered(7, 0, 900), 3), Ok((3, false)));
}

#[test]
fn the_longest_idle_are_forgotten_first_and_the_bound_holds() {
    let (mut producers, mut end) = (Producers::default(), 0);
    let all = PRODUCERS_PER_PARTITION_MAX as i64 + 1;
    for id in 0..all - 1 {
        write(&mut producers, &mut end, numbered(id, 0, 0), 1).expect("new");
    }
    // The first one writes again and is the youngest.
    write(&mut producers, &mut end, numbered(0, 0, 1), 1).expect("in sequence");
    assert_eq!(producers.len(), PRODUCERS_PER_PARTITION_MAX);
    write(&mut producers, &mut end, numbered(all, 0, 0), 1).expect("new");
    assert!(producers.len() < PRODUCERS_PER_PARTITION_MAX);
    let known = |id| producers.by_id.contains_key(&ProducerId(id));
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
        let (mut producers, mut end) = (Producers::default(), 0);
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
                    let answer = write(&mut producers, &mut end, by(producer.next), records);
                    assert_eq!(answer, Ok((base, false)), "seed {seed}");
                    producer.batches.push((producer.next, records, base));
                    producer.next = ((i64::from(producer.next) + i64::from(records)) % (1 << 31)) as i32;
                }
                5..=7 if !producer.batches.is_empty() => {
                    let back = prng.below(producer.batches.len().min(9) as u64) as usize;
                    let (sequence, records, base) = producer.batches[producer.batches.len() - 1 - back];
                    let answer = write(&mut producers, &mut end, by(sequence), records);
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
                    let answer = write(&mut producers, &mut end, by(sequence), records);
                    assert!(matches!(answer, Err(Refusal::OutOfOrderSequence { .. })), "seed {seed}");
                }
                9 if prng.chance(1, 4) => {
                    let old = numbered(id as i64, producer.epoch, producer.next);
                    *producer = Sent { epoch: producer.epoch + 1, next: records as i32, batches: Vec::new() };
                    producer.batches.push((0, records, end));
                    let first = numbered(id as i64, producer.epoch, 0);
                    assert_eq!(write(&mut producers, &mut end, first, records), Ok((end - i64::from(records), false)));
                    let refused = write(&mut producers, &mut end, old, records);
                    assert!(matches!(refused, Err(Refusal::InvalidProducerEpoch { .. })), "seed {seed}");
                }
                _ => {
                    let mut out = Vec::new();
                    producers.encode(Offset(end), &mut out);
                    let mut bytes = &out[..];
                    let back = Producers::decode(Offset(end), &mut Decoder::new(&mut bytes)).expect("just encoded");
                    assert_eq!(back, producers, "seed {seed}");
                    producers = back;
                }
            }
        }
    }
}
