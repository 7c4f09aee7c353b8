//! Majorities.

use torc_base::ids::Index;

/// Members of `voters` that make a quorum.
pub fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// The highest index that a majority has reached; `marks` holds one mark of each voter.
pub fn reached_by_majority(marks: impl ExactSizeIterator<Item = Index> + Clone) -> Index {
    let need = majority(marks.len());
    // Quadratic in the number of voters, which is small; no allocation.
    let reached = |mark: Index| marks.clone().filter(|&other| other >= mark).count() >= need;
    marks.clone().filter(|&mark| reached(mark)).max().unwrap_or_default()
}

/// What a poll has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// A majority said yes.
    Won,
    /// A majority can no longer say yes.
    Lost,
    /// Too few have answered.
    Open,
}

/// Counts answers; `None`: not yet given.
pub fn tally(ballots: impl ExactSizeIterator<Item = Option<bool>>) -> Tally {
    let voters = ballots.len();
    let (mut yes, mut no) = (0, 0);
    for ballot in ballots {
        match ballot {
            Some(true) => yes += 1,
            Some(false) => no += 1,
            None => {}
        }
    }
    if yes >= majority(voters) {
        Tally::Won
    } else if no > voters - majority(voters) {
        Tally::Lost
    } else {
        Tally::Open
    }
}

#[cfg(test)]
#[path = "quorum_tests.rs"]
mod tests;
