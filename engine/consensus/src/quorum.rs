//! Majorities. In a joint configuration two of them are needed: one of the old voters and one of the new.
//!
//! Of an even number of voters half may have lost their disks, and no majority is left whose word counts. Then all the others
//! together, each of them, are as good: whatever a majority has ever decided, one of them knows (`doubt.rs` has the argument).

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

/// How far a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Its log agrees up to here, is durable, and that counts.
    pub matched: Index,
    /// The same, whether it counts or not.
    pub held: Index,
    /// It may have forgotten what it promised: what it says does not count.
    pub in_doubt: bool,
}

/// The highest index that one set of voters has reached: a majority of them, or all whose word counts, if they are many enough,
/// and a majority of the disks.
pub fn reached(voters: impl Iterator<Item = Reach> + Clone) -> Index {
    let by_majority = reached_by_majority(voters.clone().map(|reach| reach.matched));
    let in_doubt = voters.clone().filter(|reach| reach.in_doubt).count();
    if in_doubt == 0 || in_doubt >= majority(voters.clone().count()) {
        return by_majority;
    }
    let by_others = voters.clone().filter(|reach| !reach.in_doubt).map(|reach| reach.matched).min().unwrap_or_default();
    by_majority.max(by_others.min(reached_by_majority(voters.map(|reach| reach.held))))
}

/// The highest index that a quorum has reached; `marks` holds one of each member.
pub fn reached_by_quorum(marks: impl Iterator<Item = (Seat, Reach)> + Clone) -> Index {
    let before = marks.clone().filter(|(seat, _)| seat.votes_before()).map(|(_, reach)| reach);
    let after = marks.filter(|(seat, _)| seat.votes_after()).map(|(_, reach)| reach);
    reached(before).min(reached(after))
}

/// A member's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ballot {
    Yes,
    No,
    /// It may have forgotten what it promised, and is not against it.
    Abstained,
}

impl Ballot {
    /// The answer of a member whose word counts.
    pub fn of(yes: bool) -> Ballot {
        if yes { Ballot::Yes } else { Ballot::No }
    }
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
pub fn tally(ballots: impl Iterator<Item = Option<Ballot>>) -> Tally {
    let (mut voters, mut yes, mut no, mut abstained) = (0, 0, 0, 0);
    for ballot in ballots {
        voters += 1;
        match ballot {
            Some(Ballot::Yes) => yes += 1,
            Some(Ballot::No) => no += 1,
            Some(Ballot::Abstained) => abstained += 1,
            None => {}
        }
    }
    let need = majority(voters);
    let few_abstain = abstained < need;
    let all_others = few_abstain && abstained > 0 && yes + abstained == voters;
    if yes >= need || all_others {
        Tally::Won
    } else if no + abstained > voters - need && !(few_abstain && no == 0) {
        Tally::Lost
    } else {
        Tally::Open
    }
}

/// Counts the answers of all members. Those of members that do not vote count for nothing.
pub fn poll(ballots: impl Iterator<Item = (Seat, Option<Ballot>)> + Clone) -> Tally {
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
