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
        marks.take_newest()
    };
    assert_eq!(news(0, member(3, false, (5, 2))), None);
    assert_eq!(news(0, member(3, true, (5, 2))), Some(0));
    assert_eq!(news(0, member(3, true, (7, 3))), None);
    let changes = GroupMarks { changes: true, ..member(3, true, (7, 3)) };
    assert_eq!(news(0, changes), Some(0));
    assert_eq!(news(0, changes), None);
    assert_eq!(news(1, member(4, true, (7, 3))), Some(1));
}
