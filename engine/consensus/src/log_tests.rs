use super::*;

fn log(terms: &[(u64, u64)], last: u64) -> Log {
    let terms = terms.iter().map(|&(term, first)| TermRun { term: Term(term), first: Index(first) }).collect();
    Log::new(LogView { first: Index(1), last: Index(last), terms })
}

fn mark(term: u64, index: u64) -> Mark {
    Mark { term: Term(term), index: Index(index) }
}

#[test]
fn a_term_is_found_by_its_run() {
    let log = log(&[(1, 1), (3, 4), (4, 6)], 8);
    let terms: Vec<_> = (0..10).map(|i| log.term_at(Index(i)).map(Term::get)).collect();
    let expected = [0, 1, 1, 1, 3, 3, 4, 4, 4].map(Some);
    assert_eq!(terms[..9], expected);
    assert_eq!(terms[9], None);
    assert_eq!(log.last_mark(), mark(4, 8));
}

#[test]
fn an_append_of_the_same_term_makes_the_run_longer() {
    let mut log = log(&[], 0);
    assert_eq!(log.append(Term(2), 3), Index(1));
    assert_eq!(log.append(Term(2), 1), Index(4));
    assert_eq!(log.append(Term(5), 2), Index(5));
    assert_eq!(log.terms.len(), 2);
    assert_eq!(log.last(), Index(6));
}

#[test]
fn a_cut_drops_the_runs_behind_it() {
    let mut log = log(&[(1, 1), (3, 4), (4, 6)], 8);
    log.cut(Index(5));
    assert_eq!(log.last_mark(), mark(3, 4));
    log.cut(Index(4));
    assert_eq!(log.last_mark(), mark(1, 3));
    log.cut(Index(1));
    assert_eq!(log.last_mark(), mark(0, 0));
}

#[test]
fn a_released_log_still_knows_the_term_before_its_first_entry() {
    let mut log = log(&[(1, 1), (3, 4), (4, 6)], 8);
    log.release(Index(6));
    assert_eq!(log.term_at(Index(4)), None);
    assert_eq!(log.term_at(Index(5)), Some(Term(3)));
    log.release(Index(9));
    assert_eq!((log.first(), log.last_mark()), (Index(9), mark(4, 8)));
    assert_eq!(log.append(Term(4), 1), Index(9));
}

#[test]
fn the_last_entry_that_is_no_newer_skips_whole_runs() {
    let log = log(&[(1, 1), (3, 4), (4, 6)], 8);
    assert_eq!(log.not_newer(mark(9, 20)), mark(4, 8));
    assert_eq!(log.not_newer(mark(3, 7)), mark(3, 5));
    assert_eq!(log.not_newer(mark(2, 7)), mark(1, 3));
    assert_eq!(log.not_newer(mark(0, 7)), mark(0, 0));
}

#[test]
fn runs_of_a_range_are_clipped_to_it() {
    let log = log(&[(1, 1), (3, 4), (4, 6)], 8);
    let run = |term, entries| Run { term: Term(term), entries };
    assert_eq!(log.runs(Index(2), Index(7)), [run(1, 2), run(3, 2), run(4, 2)]);
    assert_eq!(log.runs(Index(4), Index(5)), [run(3, 2)]);
    assert_eq!(log.runs(Index(8), Index(8)), [run(4, 1)]);
}
