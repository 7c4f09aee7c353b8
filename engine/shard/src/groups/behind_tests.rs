use super::*;
use torc_base::ids::{GroupId, Offset};
use torc_consensus::LogView;
use torc_wal::Kind;

fn mark(term: u64, index: u64) -> Mark {
    Mark { term: Term(term), index: Index(index) }
}

fn item(term: u64, index: u64) -> Item {
    Item {
        group: GroupId(7),
        kind: Kind(1),
        term: Term(term),
        index: Index(index),
        first_offset: Offset(0),
        records: 0,
        max_timestamp: -1,
        prefix_len: 0,
        body_crc: 0,
        bytes: Buf::copy_of(&[index as u8; 10]),
    }
}

/// Behind an end, what recovery comes by: term, index, whether it is whole.
fn behind(last: Mark, found: &[(u64, u64, bool)]) -> Behind {
    let mut behind = Behind { keeps: true, ..Behind::default() };
    for &(term, index, whole) in found {
        let item = item(term, index);
        behind.note(last, Term(term), Index(index), whole.then_some(&item));
    }
    behind
}

/// What is known: index, term, whether it is whole.
fn known(behind: &Behind) -> Vec<(u64, u64, bool)> {
    let places = behind.places.iter().zip(behind.first().get()..);
    places.map(|((term, item), index)| (index, term.get(), item.is_some())).collect()
}

#[test]
fn what_lies_behind_a_lost_entry_is_kept_in_the_order_of_the_log() {
    let found = behind(mark(1, 4), &[(1, 5, false), (1, 6, true), (2, 7, true), (2, 8, false)]);
    assert_eq!(known(&found), [(5, 1, false), (6, 1, true), (7, 2, true), (8, 2, false)]);
    assert_eq!((found.lacks(), found.bytes()), (Some(mark(1, 5)), 20));
    assert!(found.whole(9, 100).is_empty(), "the first is lost");
    assert!(found.get(mark(2, 7)).is_some() && found.get(mark(1, 7)).is_none() && found.get(mark(2, 8)).is_none());
}

#[test]
fn an_entry_of_another_term_replaces_all_from_its_place_on_and_one_of_the_same_term_nothing() {
    let mut found = behind(mark(1, 4), &[(1, 5, false), (1, 6, true), (1, 7, true), (2, 6, true)]);
    assert_eq!(known(&found), [(5, 1, false), (6, 2, true)]);
    assert_eq!(found.bytes(), 10);
    found.note(mark(1, 4), Term(1), Index(5), Some(&item(1, 5)));
    assert_eq!(known(&found), [(5, 1, true), (6, 2, true)]);
}

#[test]
fn a_gap_is_known_only_between_two_entries_of_one_leader() {
    assert_eq!(known(&behind(mark(1, 4), &[(1, 6, true)])), [(5, 1, false), (6, 1, true)]);
    assert_eq!(known(&behind(mark(1, 4), &[(2, 6, true)])), []);
    assert_eq!(known(&behind(mark(1, 4), &[(1, 5, false), (2, 7, true)])), []);
}

#[test]
fn what_has_no_memory_is_lost_as_if_it_were_damaged() {
    let mut found = behind(mark(1, 4), &[(1, 5, false)]);
    found.keeps = false;
    found.note(mark(1, 4), Term(1), Index(6), Some(&item(1, 6)));
    assert_eq!((known(&found), found.bytes()), (vec![(5, 1, false), (6, 1, false)], 0));
}

#[test]
fn what_the_log_takes_in_again_goes_and_what_it_takes_in_instead_ends_it() {
    let made = || behind(mark(1, 4), &[(1, 5, false), (1, 6, true), (1, 7, true)]);
    let mut found = made();
    found.taken(None, Term(1), Index(5));
    assert_eq!(known(&found), [(6, 1, true), (7, 1, true)]);
    found.taken(Some(Term(1)), Term(1), Index(3));
    assert_eq!(known(&found).len(), 2, "it was there");
    let mut other = made();
    other.taken(None, Term(2), Index(5));
    assert!(other.is_empty() && other.bytes() == 0);
    let mut before = made();
    before.taken(Some(Term(1)), Term(2), Index(4));
    assert!(before.is_empty());
}

#[test]
fn it_follows_the_log_as_long_as_that_is_the_same() {
    let log = |last: u64, terms: &[(u64, u64)]| {
        let terms =
            terms.iter().map(|&(term, first)| torc_consensus::TermRun { term: Term(term), first: Index(first) });
        let view = LogView { first: Index(1), last: Index(last), terms: terms.collect() };
        torc_consensus::Raft::new(
            torc_consensus::Config {
                id: torc_base::ids::NodeId(1),
                configurations: vec![(Index(0), torc_consensus::Configuration::of_voters([torc_base::ids::NodeId(1)]))],
                election_ticks: 5,
                heartbeat_ticks: 1,
                seed: 1,
            },
            torc_consensus::HardState { term: Term(9), ..Default::default() },
            view,
            Index(0),
        )
    };
    let made = || behind(mark(1, 4), &[(1, 5, false), (1, 6, true), (2, 7, true), (2, 8, true)]);
    let mut found = made();
    found.give(item(1, 5));
    assert_eq!(found.whole(9, 100).iter().map(|item| item.index.get()).collect::<Vec<_>>(), [5, 6], "of one term");
    assert_eq!(found.whole(1, 100).len(), 1);
    found.settle(log(6, &[(1, 1)]).log());
    assert_eq!(known(&found), [(7, 2, true), (8, 2, true)]);
    found.settle(log(8, &[(1, 1), (2, 7)]).log());
    assert!(found.is_empty());
    let mut found = made();
    found.settle(log(7, &[(1, 1), (3, 6)]).log());
    assert!(found.is_empty(), "another leader has written there");
    let mut found = behind(mark(2, 4), &[(2, 5, true)]);
    found.settle(log(4, &[(1, 1)]).log());
    assert!(found.is_empty(), "another leader has written in front of it");
    let mut found = made();
    found.settle(log(2, &[(1, 1)]).log());
    assert!(found.is_empty(), "what it follows was taken back");
}
