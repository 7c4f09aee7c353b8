use super::*;

fn reached(marks: &[u64]) -> u64 {
    reached_by_majority(marks.iter().map(|&m| Index(m))).0
}

fn certain(mark: u64) -> Reach {
    Reach { matched: Index(mark), held: Index(mark), in_doubt: false }
}

/// A member that holds so much, and whose word does not count.
fn doubtful(mark: u64) -> Reach {
    Reach { matched: Index(0), held: Index(mark), in_doubt: true }
}

#[test]
fn a_majority_is_more_than_half() {
    assert_eq!([1, 2, 3, 4, 5].map(majority), [1, 2, 2, 3, 3]);
}

#[test]
fn a_mark_counts_when_more_than_half_have_reached_it() {
    assert_eq!(reached(&[7]), 7);
    assert_eq!(reached(&[7, 3]), 3);
    assert_eq!(reached(&[7, 3, 5]), 5);
    assert_eq!(reached(&[9, 9, 1, 1]), 1);
    assert_eq!(reached(&[9, 9, 9, 1, 1]), 9);
    assert_eq!(reached(&[0, 0, 4]), 0);
}

#[test]
fn a_poll_is_lost_as_soon_as_it_cannot_be_won() {
    let count = |ballots: &[Option<bool>]| tally(ballots.iter().map(|ballot| ballot.map(Ballot::of)));
    assert_eq!(count(&[None]), Tally::Open);
    assert_eq!(count(&[Some(true)]), Tally::Won);
    assert_eq!(count(&[Some(true), None, Some(false)]), Tally::Open);
    assert_eq!(count(&[Some(true), None, Some(true)]), Tally::Won);
    assert_eq!(count(&[Some(false), None, Some(false)]), Tally::Lost);
    assert_eq!(count(&[Some(true), Some(true), Some(false), Some(false)]), Tally::Lost);
}

const JOINT: [Seat; 5] = [Seat::Voter, Seat::Leaving, Seat::Demoted, Seat::Joining, Seat::Learner];

#[test]
fn a_joint_quorum_is_a_majority_of_the_old_voters_and_one_of_the_new() {
    let reached = |marks: [u64; 5]| reached_by_quorum(JOINT.into_iter().zip(marks.map(certain))).0;
    // Old: the first three. New: the first and the fourth.
    assert_eq!(reached([9, 9, 0, 9, 0]), 9);
    assert_eq!(reached([9, 9, 9, 4, 9]), 4, "the new voters lag");
    assert_eq!(reached([9, 3, 2, 9, 9]), 3, "the old voters lag");
}

#[test]
fn a_joint_poll_needs_both_and_is_lost_by_either() {
    let (yes, no) = (Some(Ballot::Yes), Some(Ballot::No));
    let count = |ballots: [Option<Ballot>; 5]| poll(JOINT.into_iter().zip(ballots));
    assert_eq!(count([yes, yes, None, yes, None]), Tally::Won);
    assert_eq!(count([yes, yes, yes, None, yes]), Tally::Open, "a learner's vote is none");
    assert_eq!(count([None, yes, yes, yes, None]), Tally::Open);
    assert_eq!(count([yes, yes, yes, no, None]), Tally::Lost);
    assert_eq!(count([yes, no, no, yes, None]), Tally::Lost);
}

#[test]
fn of_an_even_number_half_may_be_in_doubt_if_all_others_agree() {
    use Ballot::{Abstained, No, Yes};
    let count = |ballots: &[Option<Ballot>]| tally(ballots.iter().copied());
    assert_eq!(count(&[Some(Yes), Some(Abstained)]), Tally::Won);
    assert_eq!(count(&[Some(Yes), None]), Tally::Open);
    assert_eq!(count(&[Some(No), Some(Abstained)]), Tally::Lost);
    assert_eq!(count(&[Some(Abstained), Some(Abstained)]), Tally::Lost, "none is left who knows");
    assert_eq!(count(&[Some(Abstained)]), Tally::Lost);
    // Of three a majority is left.
    assert_eq!(count(&[Some(Yes), Some(Yes), Some(Abstained)]), Tally::Won);
    assert_eq!(count(&[Some(Yes), None, Some(Abstained)]), Tally::Open);
    assert_eq!(count(&[Some(Yes), Some(No), Some(Abstained)]), Tally::Lost);
    assert_eq!(count(&[Some(Yes), Some(Abstained), Some(Abstained)]), Tally::Lost);
    // Of four both others are asked.
    assert_eq!(count(&[Some(Yes), Some(Yes), Some(Abstained), Some(Abstained)]), Tally::Won);
    assert_eq!(count(&[Some(Yes), None, Some(Abstained), Some(Abstained)]), Tally::Open);
    assert_eq!(count(&[Some(Yes), Some(Yes), None, Some(Abstained)]), Tally::Open, "it is not known of the third");
    assert_eq!(count(&[Some(Yes), Some(No), Some(Abstained), Some(Abstained)]), Tally::Lost);
    assert_eq!(count(&[Some(Yes), Some(No), None, Some(Abstained)]), Tally::Lost);
}

#[test]
fn what_half_of_an_even_number_commits_is_on_a_majority_of_the_disks() {
    let reached = |voters: &[Reach]| super::reached(voters.iter().copied()).0;
    assert_eq!(reached(&[certain(9), doubtful(7)]), 7);
    assert_eq!(reached(&[certain(5), doubtful(7)]), 5);
    assert_eq!(reached(&[doubtful(9), doubtful(9)]), 0);
    assert_eq!(reached(&[doubtful(9)]), 0);
    // Of three a majority is left, and copies of the third count for nothing.
    assert_eq!(reached(&[certain(9), certain(3), doubtful(9)]), 3);
    assert_eq!(reached(&[certain(9), doubtful(9), doubtful(9)]), 0);
    assert_eq!(reached(&[certain(9), certain(8), doubtful(7), doubtful(0)]), 7);
    assert_eq!(reached(&[certain(9), certain(4), doubtful(9), doubtful(9)]), 4);
    assert_eq!(reached(&[certain(9), certain(8), certain(7), doubtful(0)]), 7);
}
