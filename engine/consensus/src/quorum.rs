//! Majorities. In a joint configuration two of them are needed: one of the old voters and one of the new.

use crate::configuration::Seat;
use torc_base::ids::Index;

/// Members of `voters` that make a majority.
pub fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// The highest index that a majority has reached; `marks` holds one mark of each voter.
pub fn reached_by_majority(marks: impl Iterator<Item = Index> + Clone) -> Index {
    let need = majority(marks.clone().count());
    // Quadratic in the number of voters, which is small; no allocation.
    let reached = |mark: Index| marks.clone().filter(|&other| other >= mark).count() >= need;
    marks.clone().filter(|&mark| reached(mark)).max().unwrap_or_default()
}

/// The highest index that a quorum has reached; `marks` holds one mark of each member.
pub fn reached_by_quorum(marks: impl Iterator<Item = (Seat, Index)> + Clone) -> Index {
    let before = marks.clone().filter(|(seat, _)| seat.votes_before()).map(|(_, mark)| mark);
    let after = marks.filter(|(seat, _)| seat.votes_after()).map(|(_, mark)| mark);
    reached_by_majority(before).min(reached_by_majority(after))
}

/// What a poll has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// A quorum said yes.
    Won,
    /// A quorum can no longer say yes.
    Lost,
    /// Too few have answered.
    Open,
}

/// Counts the answers of one set of voters; `None`: not yet given.
pub fn tally(ballots: impl Iterator<Item = Option<bool>>) -> Tally {
    let (mut voters, mut yes, mut no) = (0, 0, 0);
    for ballot in ballots {
        voters += 1;
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

/// Counts the answers of all members. Those of members that do not vote count for nothing.
pub fn poll(ballots: impl Iterator<Item = (Seat, Option<bool>)> + Clone) -> Tally {
    let before = ballots.clone().filter(|(seat, _)| seat.votes_before()).map(|(_, ballot)| ballot);
    let after = ballots.filter(|(seat, _)| seat.votes_after()).map(|(_, ballot)| ballot);
    match (tally(before), tally(after)) {
        (Tally::Won, Tally::Won) => Tally::Won,
        (Tally::Lost, _) | (_, Tally::Lost) => Tally::Lost,
        _ => Tally::Open,
    }
}

#[cfg(test)]
#[path = "quorum_tests.rs"]
mod tests;
