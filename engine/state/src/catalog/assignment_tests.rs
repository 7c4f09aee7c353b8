use super::*;

fn brokers() -> BTreeSet<NodeId> {
    [1, 2, 5].map(NodeId).into()
}

fn new(assignments: &[(i32, &[i32])]) -> Result<i16, String> {
    let assignments = assignments.iter().map(|(partition, replicas)| (*partition, replicas.to_vec())).collect();
    check_new(&assignments, &brokers()).map_err(|error| {
        assert_eq!(error.code(), 39);
        error.to_string()
    })
}

fn refused(assignments: &[(i32, &[i32])], why: &str) {
    let text = new(assignments).expect_err(why);
    assert!(text.contains(why), "{text:?} does not say {why:?}");
}

#[test]
fn partitions_may_come_in_any_order_and_leave_no_gap() {
    assert_eq!(new(&[(0, &[5])]), Ok(1));
    assert_eq!(new(&[(2, &[1, 2]), (0, &[5, 1]), (1, &[2, 5])]), Ok(2));
    for gap in [&[(1, &[1][..])][..], &[(0, &[1]), (2, &[1])], &[(-1, &[1])], &[(-1, &[1]), (0, &[1])]] {
        refused(gap, "consecutive");
    }
    refused(&[(i32::MAX, &[1]), (i32::MIN, &[1])], "consecutive");
    refused(&[(0, &[1]), (1, &[1]), (0, &[2])], "multiple manual partition assignments for partition 0");
}

#[test]
fn replicas_are_brokers_each_once_and_as_many_for_each_partition() {
    for (unknown, says) in [(3, "broker 3,"), (-1, "broker -1,"), (i32::MAX, "broker 2147483647,")] {
        refused(&[(0, &[1, unknown])], says);
        refused(&[(0, &[1]), (1, &[unknown])], says);
    }
    refused(&[(0, &[])], "empty replica list");
    refused(&[(0, &[1]), (1, &[])], "empty replica list");
    refused(&[(0, &[1, 5, 1])], "broker 1 more than once");
    refused(&[(0, &[1]), (1, &[1, 2])], "a partition with 2 replica(s), but others have 1");
    refused(&[(0, &[1, 2]), (1, &[1])], "a partition with 1 replica(s), but others have 2");
}

#[test]
fn more_partitions_have_an_assignment_each_and_as_many_copies_as_the_others() {
    let more = |assignments: &[&[i32]], more, copies| {
        let assignments: Vec<Vec<i32>> = assignments.iter().map(|replicas| replicas.to_vec()).collect();
        check_more(&assignments, more, copies, &brokers()).map_err(|error| (error.code(), error.to_string()))
    };
    assert_eq!(more(&[&[1], &[5]], 2, 1), Ok(()));
    for (assignments, count, copies) in [
        (&[&[1][..]][..], 2, 1),
        (&[&[1], &[1]], 1, 1),
        (&[], 1, 1),
        (&[&[1, 2]], 1, 1),
        (&[&[1]], 1, 2),
        (&[&[1], &[]], 2, 1),
        (&[&[9]], 1, 1),
        (&[&[1, 1]], 1, 2),
    ] {
        assert_eq!(more(assignments, count, copies).map_err(|(code, _)| code), Err(39), "{assignments:?}");
    }
}

#[test]
fn what_was_assigned_is_kept_as_it_was_given() {
    let assignments = vec![(2, vec![1, 2]), (0, vec![5, 1]), (1, vec![2, 5])];
    let replicas = in_order(&assignments);
    let rows: Vec<Vec<u32>> = replicas.iter().map(|row| row.iter().map(|node| node.0).collect()).collect();
    assert_eq!(rows, [[5, 1], [2, 5], [1, 2]]);
}
