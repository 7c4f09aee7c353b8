use super::*;

fn mark(term: u64, index: u64) -> Mark {
    Mark { term: Term(term), index: Index(index) }
}

fn message(term: u64, body: Body) -> Message {
    Message { term: Term(term), body }
}

fn append(prev: Mark, runs: &[(u64, u32)], committed: u64) -> Message {
    let runs = runs.iter().map(|&(term, entries)| Run { term: Term(term), entries }).collect();
    message(3, Body::Append { prev, runs, configurations: Vec::new(), committed: Index(committed) })
}

fn accepted(through: u64, incarnation: u64) -> Message {
    message(3, Body::Accepted { through: Index(through), incarnation })
}

#[test]
fn marks_of_one_term_fold_into_the_highest() {
    let mut first = accepted(4, 0);
    assert!(first.absorb(&accepted(9, 0)) && first.absorb(&accepted(7, 0)));
    assert_eq!(first, accepted(9, 0));
    assert!(!first.absorb(&accepted(12, 5)), "what does not count is not folded into what does");
    assert!(!first.absorb(&message(4, Body::Accepted { through: Index(12), incarnation: 0 })), "another term");
    let commit = |through| message(3, Body::Commit { through: Index(through) });
    let mut first = commit(2);
    assert!(first.absorb(&commit(5)));
    assert_eq!(first, commit(5));
    assert!(!first.absorb(&message(3, Body::Resigned)));
}

#[test]
fn adjacent_entries_fold_and_others_do_not() {
    let mut first = append(mark(1, 4), &[(1, 2), (3, 1)], 4);
    assert!(first.absorb(&append(mark(3, 7), &[(3, 2)], 6)));
    assert!(first.absorb(&message(3, Body::Commit { through: Index(7) })));
    assert_eq!(first, append(mark(1, 4), &[(1, 2), (3, 3)], 7));
    assert!(!first.absorb(&message(3, Body::Commit { through: Index(10) })), "behind its end");
    assert!(!first.absorb(&append(mark(3, 8), &[(3, 2)], 6)), "they begin before the end");
    assert!(!first.absorb(&append(mark(2, 9), &[(3, 2)], 6)), "they follow another entry");
}
