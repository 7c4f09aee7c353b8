use super::*;
use torc_base::ids::{ProducerEpoch, ProducerId};
use torc_base::prng::Prng;

const NOW: Wall = Wall(1_000_000);

fn plain(records: u32) -> Incoming {
    Incoming { records, producer: None, max_timestamp: 5 }
}

fn numbered(records: u32, base_sequence: i32) -> Incoming {
    let producer = Sequenced { id: ProducerId(1), epoch: ProducerEpoch(0), base_sequence };
    Incoming { records, producer: Some(producer), max_timestamp: 77 }
}

/// A partition with `records` committed records of epoch 1.
fn filled(records: u32) -> Partition {
    let mut partition = Partition::new();
    partition.begin_epoch(LeaderEpoch(1), Offset(0));
    partition.append(NOW, Offset(0), &plain(records));
    partition.committed(Offset(i64::from(records)));
    partition
}

fn marks(partition: &Partition) -> (i64, i64, i64) {
    (partition.log_start().0, partition.high_watermark().0, partition.end().0)
}

fn round_trip(partition: &Partition) -> Partition {
    let mut out = Vec::new();
    partition.encode(&mut out);
    out.extend_from_slice(b"next");
    let mut bytes = &out[..];
    let back = Partition::decode(&mut bytes).expect("just encoded");
    assert_eq!(bytes, b"next", "exactly one partition is taken");
    back
}

#[test]
fn offsets_are_given_at_once_and_seen_when_committed() {
    let mut partition = Partition::new();
    assert_eq!(partition.admit(&plain(3)), Ok(Admission::Append { base: Offset(0) }));
    partition.append(NOW, Offset(0), &plain(3));
    assert_eq!(partition.admit(&plain(1)), Ok(Admission::Append { base: Offset(3) }));
    partition.append(NOW, Offset(3), &plain(1));
    assert_eq!(marks(&partition), (0, 0, 4));
    assert!(partition.committed(Offset(3)));
    assert!(!partition.committed(Offset(2)), "the mark never goes back");
    assert_eq!(marks(&partition), (0, 3, 4));
}

#[test]
fn a_repetition_of_an_uncommitted_batch_tells_what_its_answer_waits_for() {
    let mut partition = filled(10);
    let batch = numbered(4, 0);
    partition.append(NOW, Offset(10), &batch);
    let again = partition.admit(&batch);
    assert_eq!(again, Ok(Admission::Duplicate { base: Offset(10), last: Offset(13), max_timestamp: 77 }));
    assert!(Offset(13) >= partition.high_watermark(), "not committed yet");
    partition.committed(Offset(14));
    assert_eq!(partition.admit(&batch), again);
}

#[test]
fn an_epoch_ends_where_the_next_begins() {
    let mut partition = Partition::new();
    assert_eq!(partition.epoch_end_offset(LeaderEpoch(0)), (LeaderEpoch(-1), Offset(-1)));
    partition.begin_epoch(LeaderEpoch(2), Offset(0));
    partition.append(NOW, Offset(0), &plain(10));
    partition.begin_epoch(LeaderEpoch(4), Offset(10));
    // Epoch 4 wrote nothing.
    partition.begin_epoch(LeaderEpoch(5), Offset(10));
    partition.append(NOW, Offset(10), &plain(10));
    partition.begin_epoch(LeaderEpoch(8), Offset(20));
    let end = |epoch| {
        let (epoch, offset) = partition.epoch_end_offset(LeaderEpoch(epoch));
        (epoch.0, offset.0)
    };
    assert_eq!(end(-1), (-1, -1));
    assert_eq!(end(1), (1, 0));
    assert_eq!(end(2), (2, 10));
    assert_eq!(end(3), (2, 10));
    assert_eq!(end(4), (2, 10));
    assert_eq!(end(5), (5, 20));
    assert_eq!(end(7), (5, 20));
    assert_eq!(end(8), (8, 20));
    assert_eq!(end(9), (-1, -1));
    assert_eq!(partition.epoch_of(Offset(9)), Some(LeaderEpoch(2)));
    assert_eq!(partition.epoch_of(Offset(10)), Some(LeaderEpoch(5)));
    assert_eq!(partition.epoch_of(Offset(20)), None);
}

#[test]
fn a_trim_moves_the_start_and_the_epochs_with_it() {
    let mut partition = filled(10);
    partition.begin_epoch(LeaderEpoch(3), Offset(10));
    partition.append(NOW, Offset(10), &plain(10));
    partition.committed(Offset(20));
    assert!(partition.trim(Offset(4)));
    assert!(!partition.trim(Offset(4)));
    assert_eq!(partition.epoch_end_offset(LeaderEpoch(1)), (LeaderEpoch(1), Offset(10)));
    assert!(partition.trim(Offset(10)));
    // As in Kafka: whoever asks for an epoch that is gone goes on at the start.
    assert_eq!(partition.epoch_end_offset(LeaderEpoch(1)), (LeaderEpoch(1), Offset(10)));
    assert!(partition.trim(Offset(20)));
    assert_eq!(marks(&partition), (20, 20, 20));
    assert_eq!(partition.epoch(), LeaderEpoch(3));
    assert_eq!(partition.epoch_end_offset(LeaderEpoch(0)), (LeaderEpoch(0), Offset(20)));
    assert_eq!(round_trip(&partition), partition);
}

#[test]
#[should_panic(expected = "trim to 11")]
fn nothing_is_trimmed_that_is_not_there() {
    filled(10).trim(Offset(11));
}

#[test]
fn a_replay_passes_over_what_the_checkpoint_holds() {
    let mut live = Partition::new();
    let log: Vec<_> = (0..12).map(|n| (LeaderEpoch(1 + n / 5), numbered(3, n * 3))).collect();
    let mut checkpoint = Partition::new();
    for (n, (epoch, batch)) in log.iter().enumerate() {
        let base = live.end();
        live.begin_epoch(*epoch, base);
        live.append(NOW, base, batch);
        if n == 7 {
            checkpoint = round_trip(&live);
        }
    }
    let mut base = Offset(0);
    for (epoch, batch) in &log {
        checkpoint.replay(NOW, *epoch, base, batch);
        base = base.plus(3);
    }
    assert_eq!(checkpoint, live);
}

#[test]
#[should_panic(expected = "a batch at 12")]
fn a_gap_in_the_log_is_noticed() {
    filled(10).replay(NOW, LeaderEpoch(1), Offset(12), &plain(1));
}

#[test]
fn producers_go_when_they_are_idle_for_long() {
    let mut partition = filled(10);
    partition.append(NOW, Offset(10), &numbered(1, 0));
    assert_eq!(partition.expire_producers(Wall(NOW.0 + 999), 1000), 0);
    assert_eq!((partition.producers(), partition.expire_producers(Wall(NOW.0 + 1000), 1000)), (1, 1));
    assert!(partition.producers.is_none());
}

#[test]
fn an_idle_partition_is_small() {
    assert!(size_of::<Partition>() <= 64, "{} bytes", size_of::<Partition>());
    let mut out = Vec::new();
    filled(1_000_000).encode(&mut out);
    assert!(out.len() <= 16, "{} bytes", out.len());
}

#[test]
fn any_history_comes_back_from_its_encoding_and_no_part_of_one_does() {
    for seed in 0..100 {
        let mut prng = Prng::new(seed);
        let mut partition = Partition::new();
        let mut epoch = 0;
        for _ in 0..prng.below(60) {
            let end = partition.end();
            match prng.below(6) {
                0 => {
                    epoch += prng.between(1, 3) as i32;
                    partition.begin_epoch(LeaderEpoch(epoch), end);
                }
                1 => {
                    let to = prng.between(partition.high_watermark().0 as u64, end.0 as u64);
                    partition.committed(Offset(to as i64));
                }
                2 => {
                    let to = prng.between(partition.log_start().0 as u64, partition.high_watermark().0 as u64);
                    partition.trim(Offset(to as i64));
                }
                3 => partition.append(NOW, end, &plain(prng.between(1, 1000) as u32)),
                _ => {
                    let id = ProducerId(prng.below(5) as i64);
                    let base_sequence = prng.below(1 << 31) as i32;
                    let producer = Sequenced { id, epoch: ProducerEpoch(prng.below(3) as i16), base_sequence };
                    let batch = Incoming { records: 2, producer: Some(producer), max_timestamp: -1 };
                    partition.append(NOW, end, &batch);
                }
            }
        }
        assert_eq!(round_trip(&partition), partition, "seed {seed}");
        let mut out = Vec::new();
        partition.encode(&mut out);
        for cut in 0..out.len() {
            assert!(Partition::decode(&mut &out[..cut]).is_err(), "seed {seed}: {cut} of {} bytes", out.len());
        }
    }
}
