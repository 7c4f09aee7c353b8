//! Each rule about groups fires on a story that breaks it, and on nothing else.

use crate::groups::{Group, GroupHistory, Told};
use crate::history::{History, Life};
use crate::spans::Spans;
use crate::violation::{Rule, Violation};
use bytes::Bytes;
use std::collections::BTreeSet;
use torc_base::prng::Prng;

const PLACE: (usize, usize) = (0, 0);

fn groups() -> GroupHistory {
    let mut groups = GroupHistory::default();
    groups.all.push(Group::new("g".into(), (1, 0)));
    groups
}

fn rule(result: Result<(), Violation>) -> Option<Rule> {
    result.err().map(|violation| violation.rule)
}

/// A commit of `offset`, acknowledged or not; what a reader would be told of it.
fn commit(groups: &mut GroupHistory, offset: i64, acked: bool) -> (i64, String) {
    let number = groups.write_begins(0, PLACE, Some(offset));
    if acked {
        groups.write_ends(0, PLACE, number);
    }
    (offset, format!("commit {number}"))
}

/// Somebody asks now, and is told `told`.
fn read(groups: &mut GroupHistory, told: Option<&(i64, String)>) -> Option<Rule> {
    let asked = groups.moment();
    rule(groups.committed(0, PLACE, asked, told.map(|(offset, metadata)| (*offset, &**metadata))))
}

#[test]
fn an_acknowledged_commit_is_there_until_another_one_is() {
    let mut groups = groups();
    assert_eq!(read(&mut groups, None), None, "nothing was committed");
    let first = commit(&mut groups, 5, true);
    assert_eq!(read(&mut groups, Some(&first)), None);
    assert_eq!(read(&mut groups, None), Some(Rule::CommitIsKept));
    let before = groups.moment();
    let second = commit(&mut groups, 3, true);
    assert_eq!(read(&mut groups, Some(&second)), None, "back, by request");
    assert_eq!(read(&mut groups, Some(&first)), Some(Rule::CommitIsKept));
    let late = groups.committed(0, PLACE, before, Some((first.0, &first.1)));
    assert_eq!(rule(late), None, "who asked before may be told the old one");
    assert_eq!(read(&mut groups, Some(&(4, second.1.clone()))), Some(Rule::BytesAreTrue));
    assert_eq!(read(&mut groups, Some(&(4, "commit 99".into()))), Some(Rule::BytesAreTrue));
}

#[test]
fn commits_side_by_side_may_come_in_any_order_and_one_without_an_answer_may_come_or_not() {
    let mut groups = groups();
    let (one, two) = (groups.write_begins(0, PLACE, Some(1)), groups.write_begins(0, PLACE, Some(2)));
    groups.write_ends(0, PLACE, two);
    groups.write_ends(0, PLACE, one);
    let told = |number: u64, offset: i64| (offset, format!("commit {number}"));
    assert_eq!(read(&mut groups, Some(&told(one, 1))), None);
    assert_eq!(read(&mut groups, Some(&told(two, 2))), None);
    let unknown = commit(&mut groups, 7, false);
    assert_eq!(read(&mut groups, Some(&told(two, 2))), None);
    assert_eq!(read(&mut groups, Some(&unknown)), None);
    let refused = groups.write_begins(0, PLACE, Some(8));
    groups.write_refused(0, PLACE, refused);
    assert_eq!(read(&mut groups, Some(&told(refused, 8))), Some(Rule::OldIsRefused));
}

#[test]
fn what_is_deleted_or_expires_is_gone() {
    let mut groups = groups();
    let first = commit(&mut groups, 5, true);
    let deletion = groups.write_begins(0, PLACE, None);
    assert_eq!((read(&mut groups, None), read(&mut groups, Some(&first))), (None, None), "it is under way");
    groups.write_ends(0, PLACE, deletion);
    assert_eq!((read(&mut groups, None), read(&mut groups, Some(&first))), (None, Some(Rule::CommitIsKept)));
    commit(&mut groups, 6, true);
    assert_eq!(read(&mut groups, None), Some(Rule::CommitIsKept));
    groups.retention_ms = Some(100);
    groups.clock_shows(99);
    assert_eq!(read(&mut groups, None), Some(Rule::CommitIsKept));
    groups.clock_shows(100);
    assert_eq!(read(&mut groups, None), None);
    groups.clock_shows(50);
    commit(&mut groups, 7, true);
    groups.clock_shows(149);
    assert_eq!(read(&mut groups, None), Some(Rule::CommitIsKept));
    groups.clock_shows(150);
    assert_eq!(read(&mut groups, None), None, "the clock was set back, and what was written then is old by it");
}

fn told<'a>(generation: i32, leader: &'a str, member: &'a str, members: &[&str]) -> Told<'a> {
    let members = members.iter().map(|id| (*id).to_string()).collect();
    Told { floor: 0, generation, leader, protocol: "range", member, members }
}

#[test]
fn a_generation_is_given_once() {
    let mut groups = groups();
    let join = |groups: &mut GroupHistory, told: Told<'_>| rule(groups.joined(0, told));
    assert_eq!(join(&mut groups, told(1, "a", "b", &[])), None);
    assert_eq!(join(&mut groups, told(1, "a", "a", &["a", "b"])), None);
    assert_eq!(join(&mut groups, told(1, "b", "b", &[])), Some(Rule::GenerationsAdvance), "two leaders");
    assert_eq!(join(&mut groups, told(1, "a", "c", &[])), Some(Rule::GenerationsAdvance), "a stranger");
    let other = Told { protocol: "roundrobin", ..told(1, "a", "a", &["a", "b", "c"]) };
    assert_eq!(join(&mut groups, other), Some(Rule::GenerationsAdvance), "two protocols");
    let back = Told { floor: 3, ..told(2, "a", "a", &["a"]) };
    assert_eq!(join(&mut groups, back), Some(Rule::GenerationsAdvance), "it goes back");
    // A static member has a new id each time.
    assert_eq!(join(&mut groups, told(4, "static-1-x", "static-1-x", &["static-1-x"])), None);
    assert_eq!(join(&mut groups, told(4, "static-1-y", "static-1-y", &["static-1-y"])), None);
}

#[test]
fn a_partition_has_one_owner_and_the_assignment_is_the_leaders() {
    let mut groups = groups();
    groups.joined(0, told(1, "a", "a", &["a", "b"])).unwrap();
    let bytes = Bytes::from_static(b"share");
    groups.assigns(0, 1, "a", bytes.clone());
    assert_eq!(rule(groups.assigned(0, 1, "a", &bytes)), None);
    assert_eq!(rule(groups.assigned(0, 1, "b", &bytes)), Some(Rule::BytesAreTrue));
    assert_eq!(rule(groups.owns(0, 1, "a", &BTreeSet::from([(0, 0), (0, 1)]))), None);
    assert_eq!(rule(groups.owns(0, 1, "a", &BTreeSet::from([(0, 0)]))), None, "told again");
    assert_eq!(rule(groups.owns(0, 1, "b", &BTreeSet::from([(0, 1)]))), Some(Rule::OneOwner));
    groups.joined(0, told(2, "b", "b", &["a", "b"])).unwrap();
    assert_eq!(rule(groups.owns(0, 2, "b", &BTreeSet::from([(0, 1)]))), None, "of another generation");
}

#[test]
fn members_of_the_consumer_protocol_never_hold_the_same() {
    let mut groups = groups();
    let (one, none) = (BTreeSet::from([PLACE]), BTreeSet::new());
    let holds = |groups: &mut GroupHistory, who: &str| {
        let asked = groups.moment();
        rule(groups.still_holds(0, who, &one, asked, "heartbeat"))
    };
    groups.told_to_hold(0, "a", &one);
    assert_eq!(holds(&mut groups, "a"), None);
    let before = groups.moment();
    groups.told_to_hold(0, "b", &one);
    assert_eq!(rule(groups.still_holds(0, "a", &one, before, "heartbeat")), None, "it was on its way");
    assert_eq!(holds(&mut groups, "a"), Some(Rule::OneOwner), "it is a member, and has not given it back");
    assert_eq!(holds(&mut groups, "b"), None);
    groups.holds(0, "a", &none);
    groups.holds(0, "b", &none);
    groups.told_to_hold(0, "a", &one);
    assert_eq!(holds(&mut groups, "a"), None, "it was given back, and given again");
}

#[test]
fn who_is_of_an_older_generation_is_refused() {
    let mut groups = groups();
    groups.joined(0, told(1, "a", "a", &["a"])).unwrap();
    let before = groups.moment();
    groups.joined(0, told(2, "a", "a", &["a", "b"])).unwrap();
    let after = groups.moment();
    assert_eq!(rule(groups.served(0, 1, before, "commit")), None, "nobody knew of it yet");
    assert_eq!(rule(groups.served(0, 2, after, "commit")), None);
    assert_eq!(rule(groups.served(0, 1, after, "commit")), Some(Rule::OldIsRefused));
}

#[test]
fn a_group_gets_everything_and_commits_what_it_has_got() {
    let mut history = History::default();
    history.new_topic("t".into(), 1, false);
    history.topics[0].life = Life::Live;
    history.groups.all.push(Group::new("g".into(), (1, 0)));
    for (number, base) in [(1, 0), (2, 3)] {
        let plan = crate::batch::Plan { number, records: 3, bytes: 20, producer: (-1, -1, -1), timestamp: 1, keys: 0 };
        history.compose(0, 0, &plan, (1, number));
        history.part(0, 0).batches.get_mut(&number).unwrap().attempts = 1;
        history.acknowledged(0, 0, number, base, true).unwrap();
    }
    assert!(history.missing(0).is_some_and(|what| what.contains("batch 1 ")));
    history.groups.delivered(0, PLACE, 0, 4);
    assert!(history.missing(0).is_some_and(|what| what.contains("batch 2 ")), "half of it is not all");
    assert_eq!(rule(history.begins_at(0, PLACE, 4)), None);
    assert_eq!(rule(history.begins_at(0, PLACE, 5)), Some(Rule::AtLeastOnce));
    history.part(0, 0).start_most = 6;
    assert_eq!(history.missing(0), None, "what was deleted nobody can get");
    assert_eq!(rule(history.begins_at(0, PLACE, 6)), None);
}

#[test]
fn spans_are_sets_of_numbers() {
    for seed in 0..50 {
        let mut rng = Prng::new(seed);
        let (mut spans, mut set) = (Spans::default(), BTreeSet::new());
        for _ in 0..30 {
            let from = rng.below(60) as i64;
            let to = from + rng.below(8) as i64;
            spans.add(from, to);
            set.extend(from..to);
            let (low, high) = (rng.below(60) as i64, rng.below(70) as i64);
            let hole = (low..high).find(|at| !set.contains(at));
            assert_eq!(spans.first_hole(low, high), hole, "seed {seed}: {spans:?}");
            assert_eq!(spans.covers(low, high), hole.is_none(), "seed {seed}");
        }
    }
}
