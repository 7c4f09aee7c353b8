//! Nodes whose segments differ: what one log takes another may not.

use super::rig::{Cluster, members, node};
use torc_base::ids::{GroupId, Offset};
use torc_base::limits::SEGMENT_BYTES_MIN;
use torc_state::catalog::Command;
use torc_state::config::Overrides;

const LOG: GroupId = GroupId(1030);

/// Node 3 has the smallest segments, the others have larger ones.
fn uneven() -> Cluster {
    let mut cluster = Cluster::with([1, 1, 1], |settings| {
        let is_small = settings.node == node(3);
        settings.wal.segment_bytes = if is_small { SEGMENT_BYTES_MIN } else { 4 * SEGMENT_BYTES_MIN };
    });
    cluster.pass(500);
    cluster
}

#[test]
fn a_follower_says_why_it_does_not_take_an_entry_and_the_others_go_on() {
    let mut cluster = uneven();
    cluster.create(LOG, &members());
    let mut leader = cluster.leader(LOG);
    while leader == node(3) {
        cluster.call(leader, LOG, |groups, out| groups.resign(out));
        cluster.pass(2_000);
        leader = cluster.leader(LOG);
    }
    cluster.produce(leader, LOG, 100 << 10);
    cluster.assert_agree(LOG, &members());
    cluster.produce(leader, LOG, 300 << 10);
    cluster.produce(leader, LOG, 100);
    cluster.pass(5_000);
    assert!(cluster.is_running(node(3)));
    assert_eq!(cluster.state(leader, LOG).1, Offset(3), "two of three have it");
    assert_eq!(cluster.state(node(3), LOG).1, Offset(1));
    let why = cluster.logs(node(3)).iter().filter(|line| line.contains("larger segments")).count();
    assert!((1..20).contains(&why), "{:?}", cluster.logs(node(3)));
    // What fits goes on everywhere else.
    let other = GroupId(1031);
    cluster.create(other, &members());
    let leader = cluster.leader(other);
    cluster.produce(leader, other, 100);
    cluster.assert_agree(other, &members());
}

#[test]
fn a_command_that_is_longer_than_an_entry_is_refused_and_changes_nothing() {
    let mut cluster = uneven();
    let leader = cluster.leader(GroupId::CATALOG);
    let config = |bytes: usize| Overrides::from([("key".to_owned(), "v".repeat(bytes))]);
    let before = cluster.raft(leader, GroupId::CATALOG).expect("it leads").marks().written;
    for _ in 0..3 {
        let command = Command::SetGroupConfig { group: "g".into(), config: config(1 << 20) };
        let refused = cluster.call(leader, GroupId::CATALOG, |groups, out| groups.propose_command(out, command));
        assert_eq!(refused, Err(crate::refusal::Refusal::TooLarge));
    }
    assert_eq!(cluster.raft(leader, GroupId::CATALOG).expect("it leads").marks().written, before);
}
