use super::*;
use torc_base::ids::{GroupId, Index, Term};

fn member(term: u64, leads: bool, committed: (u64, u64)) -> GroupMarks {
    let (committed, of) = committed;
    GroupMarks {
        group: GroupId(1025),
        term: Term(term),
        leads,
        changes: false,
        vote: None,
        committed: Index(committed),
        committed_term: (of > 0).then_some(Term(of)),
        before: (Some(Term(of)), Index(committed)),
        durable: Index(committed),
        members_since: Index(0),
    }
}

/// Sees members one after the other; the rule that is broken.
fn broken(seen: &[(usize, GroupMarks)]) -> Option<Rule> {
    let mut marks = Marks::default();
    seen.iter().find_map(|(node, member)| marks.see(*node, member).err()).map(|violation| violation.rule)
}

#[test]
fn terms_have_one_leader_each() {
    assert_eq!(
        broken(&[(0, member(3, true, (5, 2))), (1, member(4, true, (5, 2))), (0, member(4, false, (5, 2)))]),
        None
    );
    assert_eq!(broken(&[(0, member(3, true, (5, 2))), (1, member(3, true, (5, 2)))]), Some(Rule::OneLeader));
    // It was seen long ago, and led others in between.
    let seen = [(0, member(3, true, (5, 2))), (0, member(9, true, (5, 2))), (1, member(3, true, (5, 2)))];
    assert_eq!(broken(&seen), Some(Rule::OneLeader));
}

#[test]
fn what_is_committed_is_the_same_everywhere() {
    assert_eq!(broken(&[(0, member(3, true, (5, 2))), (1, member(7, false, (5, 2)))]), None);
    assert_eq!(broken(&[(0, member(3, true, (5, 2))), (1, member(7, false, (5, 3)))]), Some(Rule::CommittedAgrees));
    // Who has released the entry does not know its term.
    assert_eq!(broken(&[(0, member(3, true, (5, 2))), (1, member(7, false, (5, 0)))]), None);
}

#[test]
fn leaders_commit_by_entries_of_their_own_term() {
    let before = (0, member(3, true, (5, 2)));
    assert_eq!(broken(&[before, (0, member(3, true, (7, 3)))]), None);
    assert_eq!(broken(&[before, (0, member(3, true, (6, 2)))]), Some(Rule::OwnTerm));
    // It followed in between, or was another's follower before: others may have committed that.
    assert_eq!(broken(&[before, (0, member(3, false, (5, 2))), (0, member(4, true, (6, 2)))]), None);
    assert_eq!(broken(&[before, (0, member(4, true, (6, 2)))]), None);
}

#[test]
fn who_begins_to_lead_or_to_change_members_is_news() {
    let mut marks = Marks::default();
    let mut news = |node: usize, member: GroupMarks| {
        marks.see(node, &member).expect("nothing is wrong");
        for (node, group, led) in marks.take_reseated() {
            marks.seat(node, group, led, Vec::new()).expect("nothing is wrong");
        }
        marks.take_newest()
    };
    assert_eq!(news(0, member(3, false, (5, 2))), None);
    assert_eq!(news(0, member(3, true, (5, 2))), Some(0));
    assert_eq!(news(0, member(3, true, (7, 3))), None);
    let changes = GroupMarks { changes: true, members_since: Index(8), ..member(3, true, (7, 3)) };
    assert_eq!(news(0, changes), Some(0));
    assert_eq!(news(0, changes), None);
    assert_eq!(news(1, member(4, true, (7, 3))), Some(1));
}

#[test]
fn who_begins_to_lead_has_all_that_is_committed() {
    let elected = |term: u64, of: u64, last: u64| GroupMarks {
        before: (Some(Term(of)), Index(last)),
        ..member(term, true, (1, 1))
    };
    let committed = (0, member(4, true, (9, 4)));
    assert_eq!(broken(&[committed, (1, elected(5, 4, 9))]), None);
    assert_eq!(broken(&[committed, (1, elected(6, 5, 3))]), None);
    assert_eq!(broken(&[committed, (1, elected(5, 4, 8))]), Some(Rule::LeaderHasAll));
    assert_eq!(broken(&[committed, (1, elected(5, 3, 12))]), Some(Rule::LeaderHasAll));
    // It may have been elected before that was committed.
    assert_eq!(broken(&[committed, (1, elected(3, 2, 8))]), None);
    // It leads already, and has only been seen.
    assert_eq!(broken(&[(1, elected(5, 4, 8)), (0, member(5, false, (9, 4))), (1, elected(5, 4, 8))]), None);
}

#[test]
fn who_gets_a_vote_holds_the_log_to_where_its_leader_began() {
    let mut marks = Marks::default();
    marks.see(0, &member(3, true, (7, 3))).expect("nothing is wrong");
    let change = Changing { node: 0, group: GroupId(1025), entry: 8, is_joint: true };
    let voters = [(0, true, true), (1, true, false), (2, false, true)];
    let voters = voters.map(|(node, before, after)| Voter { node, before, after });
    let mut check = |held: u64| {
        marks.see(2, &member(3, false, (held, 3))).expect("nothing is wrong");
        marks.see_voters(change, &voters).map_err(|violation| violation.rule)
    };
    assert_eq!(check(7), Err(Rule::LearnersFirst));
    assert_eq!(check(8), Ok(()));
    // Who begins anew held it once.
    assert_eq!(check(0), Ok(()));
    // The change was begun by the leader before.
    assert_eq!(
        marks.see_voters(Changing { entry: 7, ..change }, &[Voter { node: 3, before: false, after: true }]),
        Ok(())
    );
}

#[test]
fn of_two_that_lead_the_one_of_the_newer_term_does() {
    let mut marks = Marks::default();
    marks.see(2, &member(3, true, (5, 2))).expect("nothing is wrong");
    marks.see(0, &member(4, true, (5, 2))).expect("nothing is wrong");
    assert_eq!(marks.leads(GroupId(1025)), Some(0));
    assert_eq!(marks.leads(GroupId(1026)), None);
    marks.ended(0);
    assert_eq!(marks.leads(GroupId(1025)), Some(2));
}

/// A change by one entry is one, too.
#[test]
fn a_change_of_voters_is_known_by_its_leader_whether_it_is_joint_or_not() {
    let group = GroupId(1025);
    let since = |term: u64, index: u64, changes: bool| GroupMarks {
        changes,
        members_since: Index(index),
        ..member(term, true, (5, 2))
    };
    let voter = |(node, before, after)| Voter { node, before, after };
    let settled = |nodes: [usize; 3]| nodes.map(|node| voter((node, true, true))).to_vec();
    let mut marks = Marks::default();
    let mut changed = |node: usize, member: GroupMarks, voters: Vec<Voter>| {
        marks.see(node, &member).expect("nothing is wrong");
        for (node, group, led) in marks.take_reseated() {
            // What its new voters hold is another test's.
            let _ = marks.seat(node, group, led, voters.clone());
        }
        marks.take_changing()
    };
    let change = |node: usize, entry: u64, is_joint: bool| Changing { node, group, entry, is_joint };
    assert_eq!(changed(0, since(3, 0, false), settled([0, 1, 2])), None);
    let joint = [(0, true, true), (1, true, false), (2, true, false), (3, false, true), (4, false, true)];
    let joint = joint.map(voter).to_vec();
    assert_eq!(changed(0, since(3, 6, true), joint.clone()), Some((change(0, 6, true), joint.clone())));
    assert_eq!(changed(0, since(3, 7, false), settled([0, 3, 4])), None, "it ends");
    let plain = [(0, true, true), (1, false, true), (2, false, true), (3, true, false), (4, true, false)];
    let plain = plain.map(voter).to_vec();
    assert_eq!(changed(0, since(3, 9, false), settled([0, 1, 2])), Some((change(0, 9, false), plain)));
    // Another one leads by what it has.
    assert_eq!(changed(1, since(4, 0, false), settled([1, 2, 3])), None);
    assert_eq!(changed(0, since(5, 6, true), joint.clone()), Some((change(0, 6, true), joint)));
}
