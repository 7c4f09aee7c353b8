use super::*;
use torc_base::ids::{Offset, Term};
use torc_consensus::{Config, Configuration, HardState, LogView, Raft, TermRun};
use torc_wal::Kind;

fn item(term: u64, index: u64, base: i64, records: u32) -> Item {
    Item {
        group: GroupId(7),
        kind: kind::RECORDS,
        term: Term(term),
        index: Index(index),
        first_offset: Offset(base),
        records,
        max_timestamp: 5,
        prefix_len: 0,
        body_crc: 9,
        bytes: Buf::copy_of(b"records"),
    }
}

/// A log of 20 entries, from 11 on of term 3, before of term 1.
fn raft() -> Raft {
    let terms = [(1, 1), (3, 11)].map(|(term, first)| TermRun { term: Term(term), first: Index(first) });
    let log = LogView { first: Index(1), last: Index(20), terms: terms.to_vec() };
    let configurations = vec![(Index(0), Configuration::of_voters([NodeId(1)]))];
    let config = Config { id: NodeId(1), configurations, election_ticks: 10, heartbeat_ticks: 1, seed: 0 };
    Raft::new(config, HardState { term: Term(3), ..HardState::default() }, log, Index(20))
}

fn told(items: &[Item]) -> Vec<(u64, u64, Kind, i64)> {
    items.iter().map(|item| (item.index.get(), item.term.get(), item.kind, item.first_offset.get())).collect()
}

#[test]
fn holes_stand_for_what_compaction_has_left_out_and_for_nothing_else() {
    let raft = raft();
    let bridge = |items: &[(u64, u64, i64)], prev, last, compacted| {
        let items = items.iter().map(|&(term, index, base)| item(term, index, base, 2)).collect();
        told(&bridged(items, raft.log(), Index(prev), Index(last), Index(compacted), true))
    };
    let (records, hole) = (kind::RECORDS, kind::HOLE);
    // Nothing is missing.
    assert_eq!(bridge(&[(1, 4, 6), (1, 5, 8)], 3, 9, 1), [(4, 1, records, 6), (5, 1, records, 8)]);
    // In front, and between two terms.
    assert_eq!(
        bridge(&[(1, 9, 20), (3, 12, 40)], 7, 13, 15),
        [(8, 1, hole, 20), (9, 1, records, 20), (10, 1, hole, 22), (11, 3, hole, 40), (12, 3, records, 40)]
    );
    // All that was offered is a hole: only the last one says where records go on.
    assert_eq!(bridge(&[(3, 16, 50)], 12, 14, 16), [(13, 3, hole, 0), (14, 3, hole, 0)]);
    assert_eq!(bridge(&[(3, 16, 50)], 12, 15, 16), [(13, 3, hole, 0), (14, 3, hole, 0), (15, 3, hole, 50)]);
    // A hole that another leader has left says no more than it was told.
    let kept = Item { kind: hole, records: 0, ..item(3, 16, 50, 0) };
    let holes = told(&bridged(vec![kept], raft.log(), Index(14), Index(16), Index(17), true));
    assert_eq!(holes, [(15, 3, hole, 0), (16, 3, hole, 50)]);
    // An older server takes each to end where records go on.
    let old = told(&bridged(vec![item(3, 16, 50, 2)], raft.log(), Index(12), Index(14), Index(16), false));
    assert_eq!(old, [(13, 3, hole, 50), (14, 3, hole, 50)]);
    // What is missing and not compacted does not leave as if it were.
    assert_eq!(bridge(&[(1, 9, 20), (3, 12, 40)], 8, 13, 10), [(9, 1, records, 20)]);
    assert!(bridge(&[(3, 12, 40)], 8, 13, 9).is_empty() && bridge(&[], 8, 13, 15).is_empty());
    // No more than was offered.
    assert_eq!(bridge(&[(1, 4, 6), (1, 5, 8)], 3, 4, 1), [(4, 1, records, 6)]);
}

#[test]
fn as_many_entries_are_named_as_leave() {
    let run = |term, entries| Run { term: Term(term), entries };
    let kept = |count| {
        let mut runs = vec![run(1, 3), run(2, 2), run(5, 4)];
        keep(&mut runs, count);
        runs
    };
    assert_eq!(kept(9), [run(1, 3), run(2, 2), run(5, 4)]);
    assert_eq!(kept(6), [run(1, 3), run(2, 2), run(5, 1)]);
    assert_eq!(kept(5), [run(1, 3), run(2, 2)]);
    assert_eq!(kept(1), [run(1, 1)]);
    let body = Body::Append { prev: Mark::default(), runs: kept(4), configurations: Vec::new(), committed: Index(0) };
    assert_eq!(entries_of(&Message { term: Term(5), body }), 4);
}
