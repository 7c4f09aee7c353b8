//! Nodes whose segments differ: what one log takes another may not.

use super::rig::{Cluster, members, node};
use crate::mail::{Answer, Asker, Place, Token};
use crate::refusal::Refusal;
use torc_base::ids::{GroupId, NodeId, Offset, ShardId};
use torc_base::limits::{ENTRY_BYTES_ANYWHERE, SEGMENT_BYTES_MIN};
use torc_state::catalog::Command;
use torc_state::config::Overrides;

const LOG: GroupId = GroupId(1030);
/// Longer than the smallest segments take.
const LONG: usize = ENTRY_BYTES_ANYWHERE + 100_000;

/// These nodes have the smallest segments, the others have larger ones.
fn with_small(small: &[u32]) -> Cluster {
    Cluster::with([1, 1, 1], |settings| {
        let is_small = small.contains(&settings.node.get());
        settings.wal.segment_bytes = if is_small { SEGMENT_BYTES_MIN } else { 4 * SEGMENT_BYTES_MIN };
    })
}

/// Node 3 has the smallest segments.
fn uneven() -> Cluster {
    let mut cluster = with_small(&[3]);
    cluster.pass(500);
    cluster
}

/// The leader of the log, which is not node 3.
fn large_leader(cluster: &mut Cluster) -> NodeId {
    let mut leader = cluster.leader(LOG);
    while leader == node(3) {
        cluster.call(leader, LOG, |groups, out| groups.resign(out));
        cluster.pass(2_000);
        leader = cluster.leader(LOG);
    }
    leader
}

/// What the leader says of replicas that are behind.
fn held(cluster: &mut Cluster, leader: NodeId) -> Option<String> {
    let asker = Asker { place: Place { node: leader, shard: ShardId(0) }, token: Token(1) };
    let answer = cluster.call(leader, LOG, |groups, out| {
        groups.quorums(out, asker, vec![(0, LOG)]);
        out.answers.pop_back()
    });
    let Some((_, Answer::Quorums(told))) = answer else { panic!("{answer:?}") };
    told.into_iter().next().and_then(|(_, quorum)| quorum).expect("it leads").hold
}

#[test]
fn what_a_member_could_not_take_is_refused_whether_it_is_there_or_not() {
    let mut cluster = uneven();
    cluster.create(LOG, &members());
    let leader = large_leader(&mut cluster);
    assert_eq!(cluster.try_produce(leader, LOG, 100 << 10), None);
    assert_eq!(cluster.try_produce(leader, LOG, LONG), Some(Refusal::TooLarge));
    cluster.assert_agree(LOG, &members());
    cluster.kill(node(3));
    cluster.pass(3_000);
    assert_eq!(cluster.try_produce(leader, LOG, LONG), Some(Refusal::TooLarge), "it may come back");
    // Nobody who is there has ever heard of it from itself.
    for id in [node(1), node(2)] {
        cluster.kill(id);
        cluster.start(id);
    }
    cluster.pass(3_000);
    let leader = cluster.leader(LOG);
    assert_eq!(cluster.try_produce(leader, LOG, LONG), Some(Refusal::TooLarge));
    assert_eq!(cluster.try_produce(leader, LOG, 100), None);
    cluster.start(node(3));
    cluster.pass(3_000);
    cluster.assert_agree(LOG, &members());
    assert_eq!(cluster.state(node(3), LOG).1, Offset(2));
    // Groups without it take more.
    let other = GroupId(1031);
    cluster.create(other, &[node(1), node(2)]);
    let leader = cluster.leader(other);
    assert_eq!(cluster.try_produce(leader, other, LONG), None);
    cluster.assert_agree(other, &[node(1), node(2)]);
}

#[test]
fn while_a_founder_has_not_said_what_it_takes_long_entries_are_to_be_tried_again() {
    let mut cluster = with_small(&[]);
    cluster.kill(node(3));
    cluster.pass(3_000);
    cluster.create(LOG, &members());
    let leader = cluster.leader(LOG);
    assert_eq!(cluster.try_produce(leader, LOG, LONG), Some(Refusal::TooFewInSync));
    assert_eq!(cluster.try_produce(leader, LOG, ENTRY_BYTES_ANYWHERE - 1_000), None);
    cluster.start(node(3));
    cluster.pass(5_000);
    cluster.create(LOG, &members());
    let leader = cluster.leader(LOG);
    assert_eq!(cluster.try_produce(leader, LOG, LONG), None);
    cluster.assert_agree(LOG, &members());
}

#[test]
fn a_member_that_cannot_take_what_is_in_the_log_stays_behind_and_the_leader_says_why() {
    let mut cluster = with_small(&[]);
    cluster.pass(500);
    cluster.create(LOG, &members());
    let leader = large_leader(&mut cluster);
    assert_eq!((cluster.try_produce(leader, LOG, 100), cluster.try_produce(leader, LOG, LONG)), (None, None));
    cluster.assert_agree(LOG, &members());
    // A smaller disk takes the place of that one.
    cluster.kill(node(3));
    cluster.wipe(node(3));
    let settings = cluster.settings.get_mut(&node(3)).expect("it is known");
    settings.wal.segment_bytes = SEGMENT_BYTES_MIN;
    settings.cluster.doubt = Some(77);
    cluster.start(node(3));
    // The group is older than the start.
    cluster.pass(1);
    cluster.create(LOG, &members());
    cluster.pass(6_000);
    let leader = large_leader(&mut cluster);
    assert_eq!(cluster.try_produce(leader, LOG, LONG), Some(Refusal::TooLarge));
    assert_eq!(cluster.try_produce(leader, LOG, 100), None);
    cluster.pass(1_000);
    assert_eq!(cluster.state(leader, LOG).1, Offset(3), "two of three have it");
    assert_eq!(cluster.state(node(3), LOG).1, Offset(1));
    let why = held(&mut cluster, leader).expect("there is a reason");
    assert!(why.contains("node 3 takes") && why.contains("torc.wal.segment.bytes"), "{why}");
    // It is looked at again now and then, and is not sent what it does not take.
    let (carried, lines) = (cluster.carried, cluster.logs(leader).len() + cluster.logs(node(3)).len());
    cluster.pass(30_000);
    assert!(cluster.carried - carried < LONG as u64, "{} bytes in 30 s", cluster.carried - carried);
    assert_eq!(cluster.logs(leader).len() + cluster.logs(node(3)).len(), lines, "it was said once");
    assert!(cluster.logs(leader).iter().any(|line| line.contains(&why)));
    // It is deleted, which the replica that lacks it does not keep anybody from, and that one begins behind it.
    let asker = Asker { place: Place { node: leader, shard: ShardId(0) }, token: Token(2) };
    cluster.call(leader, LOG, |groups, out| groups.delete_records(out, asker, vec![(0, LOG, Offset(-1))]));
    cluster.pass(15_000);
    assert_eq!(held(&mut cluster, leader), None);
    assert_eq!(cluster.try_produce(leader, LOG, 100), None);
    cluster.pass(1_000);
    assert_eq!(cluster.state(node(3), LOG).1, Offset(4));
    cluster.assert_agree(LOG, &members());
}

#[test]
fn a_command_that_is_longer_than_an_entry_is_refused_and_changes_nothing() {
    let mut cluster = uneven();
    let leader = cluster.leader(GroupId::CATALOG);
    let config = |bytes: usize| Overrides::from([("key".to_owned(), "v".repeat(bytes))]);
    let before = cluster.raft(leader, GroupId::CATALOG).expect("it leads").marks().written;
    for bytes in [1 << 20, LONG] {
        let command = Command::SetGroupConfig { group: "g".into(), config: config(bytes) };
        let refused = cluster.call(leader, GroupId::CATALOG, |groups, out| groups.propose_command(out, command));
        assert_eq!(refused, Err(Refusal::TooLarge));
    }
    assert_eq!(cluster.raft(leader, GroupId::CATALOG).expect("it leads").marks().written, before);
}
