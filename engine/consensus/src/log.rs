//! The terms of a log's entries, by runs: all that consensus needs to know of a log.

use crate::message::{Mark, Run};
use torc_base::ids::{Index, Term};

/// Adjacent entries of one term, from `first` to the start of the next run or the log's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermRun {
    /// Their term.
    pub term: Term,
    /// The first of them.
    pub first: Index,
}

/// A log as recovery found it. All of it is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogView {
    /// First entry that is still there; `Index(1)` if none was released. `last + 1` in a log without entries.
    pub first: Index,
    /// Last entry.
    pub last: Index,
    /// Runs in order, without gaps, with growing terms. The first run also covers the entry before `first`, if there
    /// was one, so that followers can agree on it.
    pub terms: Vec<TermRun>,
}

/// The same, as it grows.
#[derive(Clone, Debug)]
pub struct Log {
    first: Index,
    last: Index,
    terms: Vec<TermRun>,
}

impl Log {
    pub(crate) fn new(view: LogView) -> Log {
        let first = view.first.max(Index(1));
        assert!(first <= view.last.next(), "a log from {first} cannot end at {}", view.last);
        let grows = view.terms.windows(2).all(|w| w[0].term < w[1].term && w[0].first < w[1].first);
        assert!(grows, "terms and indexes of runs grow: {:?}", view.terms);
        match (view.terms.first(), view.terms.last()) {
            (Some(head), Some(tail)) => {
                assert!(head.first <= first && tail.first <= view.last, "runs {:?} of {first}..", view.terms);
            }
            _ => assert_eq!(view.last, Index(0), "entries without a term"),
        }
        Log { first, last: view.last, terms: view.terms }
    }

    /// First entry that is still there.
    pub fn first(&self) -> Index {
        self.first
    }

    /// Last entry; 0 if there never was one.
    pub fn last(&self) -> Index {
        self.last
    }

    /// The runs of terms, as [`LogView::terms`] has them.
    pub fn terms(&self) -> &[TermRun] {
        &self.terms
    }

    /// Place of the last entry.
    pub fn last_mark(&self) -> Mark {
        Mark { term: self.terms.last().map_or(Term(0), |run| run.term), index: self.last }
    }

    /// The term of the entry at `index`; `None` if the log does not know it. Index 0 has term 0.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index == Index(0) {
            return Some(Term(0));
        }
        if index > self.last || index.next() < self.first {
            return None;
        }
        let after = self.terms.partition_point(|run| run.first <= index);
        after.checked_sub(1).map(|at| self.terms[at].term)
    }

    /// Adds `entries` of `term`; the first gets the index behind the last.
    pub(crate) fn append(&mut self, term: Term, entries: u32) -> Index {
        assert!(entries > 0, "an append without entries");
        let first = self.last.next();
        match self.terms.last() {
            Some(run) if run.term == term => {}
            Some(run) if run.term > term => panic!("term {term} after {}", run.term),
            _ => {
                self.terms.reserve_exact(1);
                self.terms.push(TermRun { term, first });
            }
        }
        self.last = self.last.plus(u64::from(entries));
        first
    }

    /// Drops all entries from `from` on.
    pub(crate) fn cut(&mut self, from: Index) {
        assert!(from >= self.first && from <= self.last, "cut at {from} of {}..={}", self.first, self.last);
        self.last = Index(from.0 - 1);
        self.terms.retain(|run| run.first < from);
    }

    /// Forgets entries before `first`, all but the term of the one before it.
    pub(crate) fn release(&mut self, first: Index) {
        assert!(first <= self.last.next(), "release to {first} of a log that ends at {}", self.last);
        if first <= self.first {
            return;
        }
        self.first = first;
        let keep = self.terms.partition_point(|run| run.first.next() <= first);
        self.terms.drain(..keep.saturating_sub(1));
    }

    /// Begins anew behind `mark`, of which a snapshot has the state.
    pub(crate) fn restore(&mut self, mark: Mark) {
        self.first = mark.index.next();
        self.last = mark.index;
        self.terms = vec![TermRun { term: mark.term, first: mark.index }];
    }

    /// The last entry that is neither behind `mark` nor of a newer term: the first place where a log that has not
    /// `mark` could agree.
    pub(crate) fn not_newer(&self, mark: Mark) -> Mark {
        let mut index = mark.index.min(self.last);
        loop {
            match self.term_at(index) {
                Some(term) if term <= mark.term => return Mark { term, index },
                Some(_) => {
                    let run = self.terms.partition_point(|run| run.first <= index) - 1;
                    index = Index(self.terms[run].first.0 - 1);
                }
                // Before all that is known: agree there or take a snapshot.
                None => return Mark { term: Term(0), index },
            }
        }
    }

    /// Runs of the entries `first..=last`.
    pub(crate) fn runs(&self, first: Index, last: Index) -> Vec<Run> {
        assert!(first >= self.first && last <= self.last, "{first}..={last} of {}..={}", self.first, self.last);
        let mut runs = Vec::new();
        let mut at = first;
        let mut next = self.terms.partition_point(|run| run.first <= first);
        while at <= last {
            let end = self.terms.get(next).map_or(last.next(), |run| run.first.min(last.next()));
            let entries = u32::try_from(end.0 - at.0).expect("a message holds few entries");
            runs.push(Run { term: self.terms[next - 1].term, entries });
            at = end;
            next += 1;
        }
        runs
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
