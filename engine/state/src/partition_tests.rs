use super::*;
use torc_base::ids::{ProducerEpoch, ProducerId};

const NOW: Wall = Wall(1_000_000);

fn plain(records: u32) -> Incoming {
    Incoming { records, producer: None, max_timestamp: 5 }
}

fn numbered(records: u32, base_sequence: i32) -> Incoming {
    let producer = Sequenced { id: ProducerId(1), epoch: ProducerEpoch(0), base_sequence };
    Incoming { records, producer: Some(producer), max_timestamp: 77 }
}

/// A partition and the next entry of its log.
struct Log {
    partition: Partition,
    next: Index,
}

impl Log {
    fn new() -> Log {
        Log { partition: Partition::new(), next: Index(1) }
    }

    /// With `records` committed records of epoch 1.
    fn filled(records: u32) -> Log {
        let mut log = Log::new();
        log.begin(1);
        log.append(&plain(records));
        log.commit();
        log
    }

    fn take(&mut self) -> Index {
        let index = self.next;
        self.next = index.next();
        index
    }

    fn begin(&mut self, epoch: i32) {
        let index = self.take();
        self.partition.begin_term(index, LeaderEpoch(epoch));
    }

    fn append(&mut self, batch: &Incoming) {
        let (index, base) = (self.take(), self.partition.end());
        self.partition.append(index, base, batch, 70);
    }

    fn trim(&mut self, to: i64) {
        let index = self.take();
        self.partition.append_trim(index, Offset(to));
    }

    fn clock(&mut self, now: i64, forget: i64) {
        let index = self.take();
        self.partition.append_clock(index, Clock { now: Wall(now), forget: Wall(forget) });
    }

    /// All that is appended.
    fn commit(&mut self) -> Applied {
        self.partition.apply(Index(self.next.0 - 1))
    }

    /// The last `entries` entries.
    fn cut(&mut self, entries: u64) {
        self.next = Index(self.next.0 - entries);
        self.partition.cut(self.next);
    }
}

fn marks(partition: &Partition) -> (i64, i64, i64) {
    (partition.log_start().0, partition.high_watermark().0, partition.end().0)
}

fn encoded(partition: &Partition) -> Vec<u8> {
    let mut out = Vec::new();
    partition.encode(&mut out);
    out
}

fn round_trip(partition: &Partition) -> Partition {
    let mut out = encoded(partition);
    out.extend_from_slice(b"next");
    let mut bytes = &out[..];
    let back = Partition::decode(&mut bytes).expect("just encoded");
    assert_eq!(bytes, b"next", "exactly one partition is taken");
    assert_eq!(encoded(&back), out[..out.len() - 4]);
    back
}

#[test]
fn offsets_are_given_at_once_and_seen_when_committed() {
    let mut log = Log::new();
    assert_eq!(log.partition.admit(&plain(3)), Ok(Admission::Append { base: Offset(0) }));
    log.append(&plain(3));
    assert_eq!(log.partition.admit(&plain(1)), Ok(Admission::Append { base: Offset(3) }));
    log.append(&plain(1));
    assert_eq!(marks(&log.partition), (0, 0, 4));
    assert_eq!(log.partition.apply(Index(1)), Applied { bytes: 70, trimmed: false });
    assert_eq!(marks(&log.partition), (0, 3, 4));
    assert_eq!(log.partition.apply(Index(1)), Applied::default(), "nothing is committed twice");
}

#[test]
fn a_repetition_of_an_uncommitted_batch_tells_what_its_answer_waits_for() {
    let mut log = Log::filled(10);
    let batch = numbered(4, 0);
    log.append(&batch);
    let again = log.partition.admit(&batch);
    assert_eq!(again, Ok(Admission::Duplicate { base: Offset(10), last: Offset(13), max_timestamp: 77 }));
    assert!(Offset(13) >= log.partition.high_watermark(), "not committed yet");
    assert_eq!(log.partition.pending_entry(Offset(13)), Index(3));
    log.commit();
    assert_eq!(log.partition.admit(&batch), again);
}

#[test]
fn what_is_cut_was_never_there() {
    let mut log = Log::filled(10);
    log.append(&numbered(4, 0));
    log.commit();
    let before = encoded(&log.partition);
    log.append(&numbered(2, 4));
    log.begin(2);
    log.append(&Incoming {
        producer: Some(Sequenced { id: ProducerId(9), ..numbered(1, 0).producer.unwrap() }),
        ..plain(1)
    });
    log.trim(12);
    log.clock(NOW.0, NOW.0);
    assert_eq!((log.partition.end(), log.partition.epoch()), (Offset(17), LeaderEpoch(2)));
    assert!(log.partition.is_trimming() && log.partition.pending() == Some((Index(4), Index(8))));
    let expected = Err(Refusal::OutOfOrderSequence { producer: numbered(2, 5).producer.unwrap(), expected: 6 });
    assert_eq!(log.partition.admit(&numbered(2, 5)), expected);
    log.cut(5);
    assert_eq!(encoded(&log.partition), before);
    assert_eq!(log.partition.admit(&numbered(2, 4)), Ok(Admission::Append { base: Offset(14) }));
    assert_eq!((log.partition.epoch(), log.partition.is_trimming()), (LeaderEpoch(1), false));
}

#[test]
fn an_epoch_ends_where_the_next_begins() {
    for committed in [false, true] {
        let mut log = Log::new();
        assert_eq!(log.partition.epoch_end_offset(LeaderEpoch(0)), (LeaderEpoch(-1), Offset(-1)));
        log.begin(2);
        log.append(&plain(10));
        // Epoch 4 wrote nothing, and may be committed before the next one begins.
        log.begin(4);
        if committed {
            log.commit();
        }
        log.begin(5);
        log.append(&plain(10));
        log.begin(8);
        let partition = &log.partition;
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
}

#[test]
fn a_trim_moves_the_start_and_the_epochs_with_it() {
    let mut log = Log::filled(10);
    log.begin(3);
    log.append(&plain(10));
    log.trim(4);
    assert_eq!((log.partition.pending_trim(Offset(4)), log.partition.pending_trim(Offset(5))), (Some(Index(5)), None));
    assert!(log.commit().trimmed);
    log.trim(4);
    assert!(!log.commit().trimmed);
    assert_eq!(log.partition.epoch_end_offset(LeaderEpoch(1)), (LeaderEpoch(1), Offset(10)));
    log.trim(10);
    assert!(log.commit().trimmed);
    // As in Kafka: whoever asks for an epoch that is gone goes on at the start.
    assert_eq!(log.partition.epoch_end_offset(LeaderEpoch(1)), (LeaderEpoch(1), Offset(10)));
    log.trim(20);
    assert!(log.commit().trimmed);
    assert_eq!(marks(&log.partition), (20, 20, 20));
    assert_eq!(log.partition.epoch(), LeaderEpoch(3));
    assert_eq!(log.partition.epoch_end_offset(LeaderEpoch(0)), (LeaderEpoch(0), Offset(20)));
    assert_eq!(marks(&round_trip(&log.partition)), (20, 20, 20));
}

#[test]
#[should_panic(expected = "trim to 11")]
fn nothing_is_trimmed_that_is_not_there() {
    Log::filled(10).trim(11);
}

#[test]
#[should_panic(expected = "a batch at 12")]
fn a_gap_in_the_log_is_noticed() {
    Log::filled(10).partition.append(Index(3), Offset(12), &plain(1), 70);
}

/// What a checkpoint of an older torc has: records up to `end`, committed to `high_watermark`.
#[test]
fn of_one_voter_all_that_an_older_checkpoint_has_is_committed() {
    let bytes = [VERSION, 2, 3, 4, 1, 7, 9, 0];
    let partition = Partition::decode(&mut &bytes[..]).unwrap();
    assert_eq!((marks(&partition), partition.epoch_of(Offset(8))), ((2, 9, 9), Some(LeaderEpoch(7))));
}

#[test]
fn producers_go_when_they_are_idle_for_long_by_the_clock_of_the_log() {
    let mut log = Log::filled(10);
    let told = |log: &Log, now: i64| log.partition.clock_to_tell(Wall(now), 1000);
    assert_eq!(told(&log, NOW.0), None, "there is no producer");
    log.append(&numbered(1, 0));
    assert_eq!(told(&log, NOW.0), None, "none is committed");
    log.commit();
    let clock = told(&log, NOW.0).expect("one that has not been seen yet");
    assert_eq!(clock, Clock { now: NOW, forget: Wall(NOW.0 - 1000) });
    log.clock(clock.now.0, clock.forget.0);
    assert_eq!(told(&log, NOW.0 + 9000), None, "one is on its way");
    log.commit();
    assert_eq!(told(&log, NOW.0 + 999), None, "nothing is new, and nobody idle for long");
    let clock = told(&log, NOW.0 + 1000).expect("one is idle");
    log.append(&numbered(1, 1));
    log.commit();
    log.clock(clock.now.0, clock.forget.0);
    log.commit();
    assert_eq!(log.partition.producers(), 1, "it has written meanwhile");
    let clock = told(&log, clock.now.0 + 1000).expect("one is idle");
    log.clock(clock.now.0, clock.forget.0);
    log.commit();
    assert_eq!(log.partition.producers(), 0);
    assert!(log.partition.producers.is_none());
}

/// Compaction has left nothing in front of offset 52, and a replica begins with what is left: consumers that begin at the
/// beginning are to find it there as on its leader (`torc sim --cluster --seed 215` found one where they did not).
#[test]
fn a_replica_of_what_compaction_has_left_begins_where_its_leader_does() {
    let partition = Partition::starting_at(Offset(0), Offset(52), LeaderEpoch(3));
    let partition = round_trip(&partition);
    assert_eq!(marks(&partition), (0, 52, 52));
    assert_eq!(partition.admit(&plain(2)), Ok(Admission::Append { base: Offset(52) }));
}

#[test]
fn an_idle_partition_is_small() {
    assert!(size_of::<Partition>() <= 144, "{} bytes", size_of::<Partition>());
    assert!(size_of::<Entry>() <= 56, "{} bytes", size_of::<Entry>());
    let out = encoded(&Log::filled(1_000_000).partition);
    assert!(out.len() <= 16, "{} bytes", out.len());
}
