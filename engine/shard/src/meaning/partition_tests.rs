use super::*;
use torc_base::buf::Buf;
use torc_base::ids::{GroupId, Term};
use torc_net::kafka::records::{BuildOptions, Record, build};

fn item(kind: torc_wal::Kind, index: u64, first: i64, records: u32, bytes: Buf) -> Item {
    Item {
        group: GroupId(7),
        kind,
        term: Term(1),
        index: Index(index),
        first_offset: Offset(first),
        records,
        max_timestamp: 5,
        prefix_len: 0,
        body_crc: 0,
        bytes,
    }
}

fn batch(index: u64, first: i64, records: usize) -> Item {
    let all = vec![Record { timestamp: 1, key: Some(b"k"), ..Record::default() }; records];
    let bytes = Buf::copy_of(&build(&all, &BuildOptions::default()));
    item(kind::RECORDS, index, first, records as u32, bytes)
}

fn hole(index: u64, claim: i64) -> Item {
    item(kind::HOLE, index, claim, 0, Buf::copy_of(&[]))
}

/// A log of three records, committed.
fn begun() -> PartitionLog {
    let mut log = PartitionLog::new();
    log.replay(&item(kind::NOOP, 1, 0, 0, Buf::copy_of(&[]))).expect("a term");
    log.replay(&batch(2, 0, 3)).expect("records");
    log.apply(Index(2));
    log
}

fn end(log: &PartitionLog) -> (i64, i64) {
    (log.state().high_watermark().get(), log.state().end().get())
}

/// Takes entries in as a follower does, each checked first.
fn take(log: &mut PartitionLog, items: &[Item]) -> Result<(), String> {
    let mut end = log.end_behind(Index(items[0].index.get() - 1));
    for item in items {
        PartitionLog::check(item, end)?;
        end = end.behind(item);
    }
    items.iter().try_for_each(|item| log.replay(item))
}

/// The same log, started anew from a checkpoint.
fn restarted(log: &PartitionLog) -> PartitionLog {
    let mut bytes = Vec::new();
    log.encode(1, &mut bytes);
    // Behind the list of trims, which is empty, and the tag.
    let mut rest = &bytes[9..];
    PartitionLog::decode(Vec::new(), &mut rest).expect("as it was encoded")
}

#[test]
fn records_do_not_go_on_behind_a_gap() {
    let mut log = begun();
    assert!(take(&mut log, &[batch(3, 5, 1)]).is_err() && take(&mut log, &[batch(3, 2, 1)]).is_err());
    take(&mut log, &[batch(3, 3, 1)]).expect("it follows");
    assert_eq!(end(&log), (3, 4));
}

#[test]
fn holes_of_one_leader_are_followed_by_what_another_has_in_their_place() {
    // Compaction has left out entries 3 to 8 of the one, which goes on at 20; five of them arrive before it is lost.
    let mut log = begun();
    take(&mut log, &(3..8).map(|index| hole(index, 0)).collect::<Vec<_>>()).expect("holes");
    log.apply(Index(7));
    assert_eq!(end(&log), (3, 3), "no more is claimed than is known");
    // The other has entry 8, which begins at 15.
    assert!(take(&mut log, &[batch(8, 2, 5)]).is_err(), "offsets do not go back");
    take(&mut log, &[batch(8, 15, 5), batch(9, 20, 1)]).expect("it says where records go on");
    assert_eq!(end(&log), (3, 21));
    log.cut(Index(8));
    assert_eq!(end(&log), (3, 3));
    take(&mut log, &[batch(8, 16, 4)]).expect("it is the hole's end that is open, once more");
    log.apply(Index(8));
    assert_eq!(end(&log), (20, 20));
    assert!(take(&mut log, &[batch(9, 25, 1)]).is_err(), "behind records there is no gap");
}

#[test]
fn the_last_hole_is_exact_and_so_is_who_leads_behind_it() {
    let mut log = begun();
    take(&mut log, &[hole(3, 0), hole(4, 20)]).expect("holes");
    log.begin_term(LeaderEpoch(2), Index(5));
    assert_eq!(end(&log), (3, 20));
    log.apply(Index(5));
    assert_eq!(end(&log), (20, 20));
}

#[test]
fn entries_of_all_kinds_say_where_a_hole_ends() {
    let empty = || Buf::copy_of(&[]);
    let trim = item(kind::TRIM, 4, 30, 0, Buf::copy_of(&28_i64.to_le_bytes()));
    for second in [item(kind::NOOP, 4, 30, 0, empty()), trim] {
        let mut log = begun();
        take(&mut log, &[hole(3, 0), second, batch(5, 30, 1)]).expect("it says where the log ends");
        assert_eq!(end(&log), (3, 31));
    }
    let beyond = item(kind::TRIM, 4, 30, 0, Buf::copy_of(&31_i64.to_le_bytes()));
    assert!(take(&mut begun(), &[hole(3, 0), beyond]).is_err());
}

#[test]
fn a_start_from_a_checkpoint_behind_a_hole_takes_what_follows() {
    let mut log = begun();
    take(&mut log, &[hole(3, 0)]).expect("a hole");
    log.apply(Index(3));
    let mut log = restarted(&log);
    assert_eq!(end(&log), (3, 3));
    take(&mut log, &[batch(4, 9, 2)]).expect("nothing is known of the entry in front");
    log.apply(Index(4));
    assert_eq!(end(&log), (11, 11));
    assert!(take(&mut log, &[batch(5, 12, 1)]).is_err(), "it is known now");
}

#[test]
fn a_log_that_begins_with_a_state_takes_what_follows() {
    let state = PartitionLog::encode_start(Offset(4), Offset(4), LeaderEpoch(1));
    for first in [4, 9] {
        let mut log = PartitionLog::decode_start(&state).expect("a state");
        take(&mut log, &[batch(601, first, 2)]).expect("nothing is known of the entry in front");
        assert_eq!(end(&log), (4, first + 2));
    }
    let mut log = PartitionLog::decode_start(&state).expect("a state");
    assert!(take(&mut log, &[batch(601, 3, 2)]).is_err());
}
