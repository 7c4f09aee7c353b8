use super::*;

fn ids(ids: &[u32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn seats(configuration: &Configuration) -> Vec<(u32, Seat)> {
    configuration.members().iter().map(|m| (m.id.0, m.seat)).collect()
}

#[test]
fn voters_change_by_way_of_a_joint_configuration() {
    let old = Configuration::of_voters(ids(&[3, 1, 2]));
    assert!(!old.is_joint());
    let joint = old.towards(&ids(&[1, 4]), &ids(&[2, 5])).expect("a valid target");
    let expected = [(1, Seat::Voter), (2, Seat::Demoted), (3, Seat::Leaving), (4, Seat::Joining), (5, Seat::Learner)];
    assert_eq!(seats(&joint), expected);
    assert!(joint.is_joint());
    let new = joint.settled();
    assert_eq!(seats(&new), [(1, Seat::Voter), (2, Seat::Learner), (4, Seat::Voter), (5, Seat::Learner)]);
    assert!(!new.is_joint());
}

#[test]
fn learners_come_and_go_without_a_joint_configuration() {
    let old = Configuration::of_voters(ids(&[1, 2]));
    let with = old.towards(&ids(&[1, 2]), &ids(&[7])).expect("a valid target");
    assert!(!with.is_joint());
    assert_eq!(with.seat(NodeId(7)), Some(Seat::Learner));
    assert_eq!(with.towards(&ids(&[1, 2]), &[]), Some(old));
}

#[test]
fn a_configuration_has_voters_and_names_nobody_twice() {
    let old = Configuration::of_voters(ids(&[1, 2]));
    assert_eq!(old.towards(&[], &ids(&[1])), None);
    assert_eq!(old.towards(&ids(&[1, 1]), &[]), None);
    assert_eq!(old.towards(&ids(&[1]), &ids(&[1])), None);
    let member = |id, seat| Member { id: NodeId(id), seat };
    assert_eq!(Configuration::new(vec![member(1, Seat::Joining)]), None, "nobody would vote before");
    assert_eq!(Configuration::new(vec![member(1, Seat::Leaving)]), None, "nobody would vote after");
    assert_eq!(Configuration::new(vec![member(1, Seat::Learner)]), None);
}
