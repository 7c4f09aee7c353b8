//! Stories of groups of the classic protocol, told to one coordinator.

use super::request::{Leave, Leaver, Request};
use super::response::{GroupState, JoinResponse, Refusal, Response};
use super::rig::{Rig, joining, text};
use super::{CoordinatorSettings, Text};

#[test]
fn members_join_one_of_them_assigns_and_all_are_told() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    let (a, b) = (rig.id("a"), rig.id("b"));
    assert!(a.starts_with("a-") && a.len() == "a-".len() + 36, "{a}");
    let (one, two) = (rig.join("a", &a), rig.join("b", &b));
    rig.pass(2_900);
    assert_eq!(rig.answer(one), None, "others may come yet");
    rig.pass(4_000);
    let (one, two) = (rig.joined(one), rig.joined(two));
    assert_eq!((one.generation, two.generation), (1, 1));
    assert_eq!((&one.leader, &two.leader), (&a, &a), "who came first leads");
    assert_eq!(one.members.iter().map(|member| &member.id).collect::<Vec<_>>(), [&a, &b]);
    assert_eq!(two.members, [], "only the leader is told of the others");
    assert_eq!(one.protocol.as_deref(), Some("range"));
    let waits = rig.sync(&b, 1, &[]);
    assert_eq!(rig.answer(waits), None);
    let leads = rig.sync(&a, 1, &[(&a, "first"), (&b, "second"), (&text("nobody"), "third")]);
    assert_eq!(&*rig.synced(leads).expect("assigned"), b"first");
    assert_eq!(&*rig.synced(waits).expect("assigned"), b"second");
    assert_eq!(rig.state(), Some(GroupState::Stable));
    assert_eq!((rig.heartbeat(&a, 1), rig.heartbeat(&b, 1)), (Ok(()), Ok(())));
}

#[test]
fn a_newcomer_calls_all_to_a_new_generation() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    let ids = rig.stable(&["a", "b"]);
    let c = rig.id("c");
    let late = rig.join("c", &c);
    assert_eq!(rig.heartbeat(&ids[0], 1), Err(Refusal::RebalanceInProgress));
    assert_eq!(rig.commit(&ids[0], 1, "t", 5), Ok(()), "what was consumed may still be committed");
    let (one, two) = (rig.join("a", &ids[0]), rig.join("b", &ids[1]));
    for ticket in [late, one, two] {
        assert_eq!(rig.joined(ticket).generation, 2);
    }
    assert_eq!(rig.commit(&ids[0], 2, "t", 6), Err(Refusal::RebalanceInProgress), "partitions are on their way");
    assert_eq!(rig.commit(&ids[0], 1, "t", 6), Err(Refusal::IllegalGeneration));
    assert_eq!(rig.offset("t"), Some(5));
}

#[test]
fn who_does_not_come_back_in_time_is_left_out() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    let ids = rig.stable(&["a", "b", "c"]);
    assert_eq!(rig.leave(&ids[2]), Ok(()));
    let one = rig.join("a", &ids[0]);
    for _ in 0..12 {
        rig.pass(4_900);
        assert_eq!(rig.heartbeat(&ids[1], 1), Err(Refusal::RebalanceInProgress));
        assert_eq!(rig.answer(one), None);
    }
    rig.pass(2_000);
    assert_eq!(rig.joined(one).members.len(), 1);
    assert_eq!(rig.heartbeat(&ids[1], 1), Err(Refusal::UnknownMemberId));
}

#[test]
fn who_is_silent_is_given_up_after_its_own_session_and_holds_up_nobody_longer() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    let ids = rig.stable(&["a", "b"]);
    rig.pass(6_000);
    assert_eq!(rig.heartbeat(&ids[0], 1), Ok(()));
    rig.pass(3_900);
    assert_eq!(rig.heartbeat(&ids[0], 1), Ok(()), "the other one has 100 ms left");
    rig.pass(200);
    assert_eq!(rig.heartbeat(&ids[0], 1), Err(Refusal::RebalanceInProgress));
    let one = rig.join("a", &ids[0]);
    assert_eq!(rig.joined(one).members.len(), 1);
}

/// KAFKA-12890: a member that never asks for its assignment.
#[test]
fn who_never_syncs_is_left_out_of_the_next_generation() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    let (a, b) = (rig.id("a"), rig.id("b"));
    let (one, two) = (rig.join("a", &a), rig.join("b", &b));
    rig.pass(6_000);
    assert_eq!((rig.joined(one).generation, rig.joined(two).generation), (1, 1));
    // The leader is alive, but brings nothing.
    let waits = rig.sync(&b, 1, &[]);
    for _ in 0..12 {
        rig.pass(4_990);
        assert_eq!(rig.heartbeat(&a, 1), Ok(()));
        assert_eq!(rig.answer(waits), None);
    }
    rig.pass(200);
    assert_eq!(rig.synced(waits), Err(Refusal::RebalanceInProgress));
    assert_eq!(rig.heartbeat(&a, 1), Err(Refusal::UnknownMemberId));
    let again = rig.join("b", &b);
    assert_eq!(rig.joined(again).leader, b);
}

#[test]
fn ids_that_nobody_uses_are_forgotten_and_hold_up_the_others_only_so_long() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    let ids = rig.stable(&["a"]);
    let ghost = rig.id("ghost");
    let again = rig.join("a", &ids[0]);
    assert_eq!(rig.answer(again), None, "who got an id may be about to join");
    rig.pass(10_100);
    assert_eq!(rig.joined(again).generation, 2);
    let late = rig.join("ghost", &ghost);
    let unknown = JoinResponse { member: ghost, result: Err(Refusal::UnknownMemberId) };
    assert_eq!(rig.answer(late), Some(Response::Join(unknown)));
}

#[test]
fn clients_of_old_join_without_an_id_first() {
    let mut rig = Rig::new(CoordinatorSettings { initial_rebalance_delay_ms: 0, ..CoordinatorSettings::default() });
    let old = |client| super::request::Join { takes_id: false, ..joining(client, &text("")) };
    let one = rig.ask(Request::Join(old("a")));
    let first = rig.joined(one);
    assert_eq!((first.generation, first.members.len()), (1, 1));
    // Its connection goes before it has learnt its id: nobody will come back with it.
    let two = rig.ask(Request::Join(old("b")));
    rig.cancel(two);
    let again = rig.join("a", &first.leader);
    assert_eq!(rig.joined(again).members.len(), 1, "nobody waits for the other");
    assert_eq!(rig.answer(two), None);
}

#[test]
fn a_waiting_client_that_goes_is_given_up_after_its_session() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    let ids = rig.stable(&["a", "b", "c"]);
    let gone = rig.join("a", &ids[0]);
    rig.cancel(gone);
    rig.pass(9_000);
    assert_eq!(rig.heartbeat(&ids[1], 1), Err(Refusal::RebalanceInProgress));
    rig.pass(2_000);
    let one = rig.join("b", &ids[1]);
    let joined = rig.joined(one);
    assert_eq!(joined.members.len(), 1, "the third one was silent as well");
    assert_eq!(rig.answer(gone), None);
}

#[test]
fn a_group_moves_with_its_generation_in_every_state() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    let ids = rig.stable(&["a", "b"]);
    assert_eq!(rig.commit(&ids[0], 1, "t", 7), Ok(()));
    rig.restart();
    assert_eq!((rig.heartbeat(&ids[0], 1), rig.heartbeat(&ids[1], 1)), (Ok(()), Ok(())));
    let again = rig.sync(&ids[1], 1, &[]);
    assert_eq!(&*rig.synced(again).expect("as before"), b"b");
    // In the middle of a rebalance: members have been told of generation 2, the leader has not assigned.
    let tickets = [rig.join("a", &ids[0]), rig.join("b", &ids[1])];
    assert_eq!(tickets.map(|ticket| rig.joined(ticket).generation), [2, 2]);
    rig.restart();
    assert_eq!(rig.state(), Some(GroupState::CompletingRebalance));
    assert_eq!(rig.heartbeat(&ids[1], 1), Err(Refusal::IllegalGeneration));
    let (waits, leads) = (rig.sync(&ids[1], 2, &[]), rig.sync(&ids[0], 2, &[(&ids[1], "new")]));
    assert_eq!(&*rig.synced(waits).expect("assigned"), b"new");
    assert_eq!(&*rig.synced(leads).expect("assigned"), b"");
    // Sessions run again, from the start.
    rig.restart();
    rig.pass(9_900);
    assert_eq!(rig.heartbeat(&ids[0], 2), Ok(()));
    rig.pass(200);
    assert_eq!(rig.heartbeat(&ids[0], 2), Err(Refusal::RebalanceInProgress), "the other one is gone");
    assert_eq!(rig.offset("t"), Some(7));
}

fn static_member(rig: &mut Rig, client: &str, instance: &str, skips: bool) -> super::Ticket {
    let join =
        super::request::Join { instance: Some(text(instance)), skips_assignment: skips, ..joining(client, &text("")) };
    rig.ask(Request::Join(join))
}

/// KAFKA-10284: the new id of a static member is written down before anybody is told of it.
#[test]
fn a_static_member_comes_back_to_what_it_had() {
    for skips in [true, false] {
        let mut rig = Rig::new(CoordinatorSettings::default());
        let tickets = [static_member(&mut rig, "a", "i-1", true), static_member(&mut rig, "b", "i-2", true)];
        rig.pass(10_000);
        let joined = tickets.map(|ticket| rig.joined(ticket));
        let old = joined[0].members.iter().map(|member| member.id.clone()).collect::<Vec<Text>>();
        let leads = rig.sync(&old[0], 1, &[(&old[0], "first"), (&old[1], "second")]);
        assert_eq!(&*rig.synced(leads).expect("assigned"), b"first");
        let back = static_member(&mut rig, "a", "i-1", skips);
        let Some(Response::Join(JoinResponse { member: new, result: Ok(again) })) = rig.answer(back) else {
            panic!("it waits for nobody");
        };
        assert_eq!((again.generation, again.skip_assignment), (1, skips));
        assert_eq!(again.leader == new, skips, "a leader of old would assign");
        assert_eq!(again.members.len(), if skips { 2 } else { 0 });
        for moved in [false, true] {
            if moved {
                rig.restart();
            }
            assert_eq!(rig.heartbeat(&old[0], 1), Err(Refusal::UnknownMemberId), "the old id is no more");
            let sync = super::request::Sync {
                group: text("g"),
                member: old[0].clone(),
                instance: Some(text("i-1")),
                generation: 1,
                protocol_type: None,
                protocol: None,
                assignments: Vec::new(),
            };
            assert_eq!(rig.now(Request::Sync(sync)), Response::Sync(Err(Refusal::FencedInstanceId)));
            let same = rig.sync(&new, 1, &[]);
            assert_eq!(&*rig.synced(same).expect("assigned"), b"first");
        }
    }
}

#[test]
fn an_administrator_removes_members_by_their_instances() {
    let mut rig = Rig::new(CoordinatorSettings { initial_rebalance_delay_ms: 0, ..CoordinatorSettings::default() });
    let one = static_member(&mut rig, "a", "i-1", true);
    let id = rig.joined(one).leader;
    let leaver =
        |member: &Text, instance: Option<&str>| Leaver { member: member.clone(), instance: instance.map(text) };
    let nobody = text("");
    let members = vec![
        leaver(&nobody, Some("i-2")),
        leaver(&nobody, None),
        leaver(&text("other"), Some("i-1")),
        leaver(&nobody, Some("i-1")),
        leaver(&id, Some("i-1")),
    ];
    let Response::Leave(Ok(left)) = rig.now(Request::Leave(Leave { group: text("g"), members })) else {
        panic!("no leave")
    };
    let unknown = Err(Refusal::UnknownMemberId);
    let results: Vec<_> = left.into_iter().map(|leaver| leaver.result).collect();
    assert_eq!(results, [unknown, unknown, Err(Refusal::FencedInstanceId), Ok(()), unknown]);
    assert_eq!(rig.state(), Some(GroupState::Empty));
}

#[test]
fn a_group_takes_whom_it_has_room_for() {
    let mut rig = Rig::new(CoordinatorSettings { group_max_size: 2, ..CoordinatorSettings::default() });
    let ids = rig.stable(&["a", "b"]);
    let full = |rig: &mut Rig, client: &str, id: &Text| {
        let ticket = rig.join(client, id);
        matches!(
            rig.answer(ticket),
            Some(Response::Join(JoinResponse { result: Err(Refusal::GroupMaxSizeReached), .. }))
        )
    };
    assert!(full(&mut rig, "c", &text("")));
    let again = rig.join("a", &ids[0]);
    assert_eq!(rig.answer(again), None);
    // In the joining phase the places are theirs who come first.
    let c = rig.id("c");
    let third = rig.join("c", &c);
    assert_eq!(rig.answer(third), None);
    assert!(full(&mut rig, "b", &ids[1]));
    assert_eq!((rig.joined(again).generation, rig.joined(third).generation), (2, 2));
}

#[test]
fn members_need_a_protocol_in_common() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    let refused = |rig: &mut Rig, kind: &str, protocols: &[&str]| {
        let protocols = protocols.iter().map(|name| (text(name), super::Blob::default())).collect();
        let join = super::request::Join { protocol_type: text(kind), protocols, ..joining("z", &text("")) };
        match rig.now(Request::Join(join)) {
            Response::Join(JoinResponse { result: Err(refusal), .. }) => refusal,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&mut rig, "consumer", &[]), Refusal::InconsistentGroupProtocol);
    assert_eq!(refused(&mut rig, "", &["range"]), Refusal::InconsistentGroupProtocol);
    assert_eq!(rig.coordinator.groups(), 0, "nothing is left of what was refused");
    rig.stable(&["a", "b"]);
    assert_eq!(refused(&mut rig, "connect", &["range"]), Refusal::InconsistentGroupProtocol);
    assert_eq!(refused(&mut rig, "consumer", &["other"]), Refusal::InconsistentGroupProtocol);
    assert_eq!(refused(&mut rig, "consumer", &["other", "sticky", "sticky"]), Refusal::MemberIdRequired);
}

#[test]
fn requests_out_of_bounds_are_refused_and_leave_nothing() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    let mut refused = |change: fn(&mut super::request::Join)| {
        let mut join = joining("a", &text(""));
        change(&mut join);
        match rig.now(Request::Join(join)) {
            Response::Join(JoinResponse { result: Err(refusal), .. }) => refusal,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(|join| join.group = text("")), Refusal::InvalidGroupId);
    assert_eq!(refused(|join| join.session_timeout = -1), Refusal::InvalidSessionTimeout);
    assert_eq!(refused(|join| join.session_timeout = 5_999), Refusal::InvalidSessionTimeout);
    assert_eq!(refused(|join| join.session_timeout = i32::MAX), Refusal::InvalidSessionTimeout);
    assert_eq!(refused(|join| join.member = text("nobody")), Refusal::UnknownMemberId);
    let large = |join: &mut super::request::Join| join.protocols[0].1 = vec![0; (1 << 20) + 1].into();
    assert_eq!(refused(large), Refusal::InvalidRequest);
    let many = |join: &mut super::request::Join| {
        join.protocols = (0..1000).map(|n| (text(&n.to_string()), super::Blob::default())).collect();
    };
    assert_eq!(refused(many), Refusal::InvalidRequest);
    assert_eq!((rig.coordinator.groups(), rig.coordinator.bytes(), rig.log.len()), (0, 0, 0));
    let mut small = Rig::new(CoordinatorSettings { bytes_max: 1, ..CoordinatorSettings::default() });
    assert_eq!(small.commit(&text(""), -1, "t", 1), Ok(()));
    let refused = small.now(Request::Join(joining("a", &text(""))));
    assert_eq!(refused, Response::Refused(Refusal::CoordinatorNotAvailable));
}

/// An assignment that would make a record too large for the log.
#[test]
fn an_assignment_that_no_record_holds_ends_the_generation() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    let ids = rig.stable(&["a"]);
    let again = rig.join("a", &ids[0]);
    assert_eq!(rig.joined(again).generation, 2);
    let huge = "x".repeat(9 << 20);
    let sync = rig.sync(&ids[0], 2, &[(&ids[0], &huge)]);
    assert_eq!(rig.synced(sync), Err(Refusal::UnknownServerError));
    assert_eq!(rig.heartbeat(&ids[0], 2), Err(Refusal::RebalanceInProgress));
}

#[test]
fn a_group_costs_little() {
    let mut rig = Rig::new(CoordinatorSettings::default());
    rig.stable(&["a", "b", "c"]);
    let bytes = rig.coordinator.bytes();
    assert!(bytes < 6 << 10, "{bytes} bytes for a group of three");
}
