//! A replica's log is damaged where compaction has been in the others: where that has left nothing it begins anew, and goes on with all
//! that it was about.

use super::reassignments::{fill, reassign, settle, started_with};
use super::regains::lose;
use super::rig::{Cluster, node};
use crate::mail::{Asker, Place, Token};
use crate::{CleanupPolicy, TopicConfig};
use torc_base::ids::{GroupId, Index, NodeId, Offset, ShardId};
use torc_net::kafka::error;

const LOG: GroupId = GroupId(GroupId::FIRST_PARTITION.0 + 1);

fn compact(cluster: &mut Cluster, id: NodeId) {
    let compacts = TopicConfig { cleanup_policy: CleanupPolicy::Compact, ..TopicConfig::default() };
    cluster.call(id, LOG, |groups, _| groups.set_cleanup(&compacts, [LOG].into_iter()));
}

/// Its partition is to move, and waits for a node that is away. When that comes the move goes on, though it is led by the replica
/// that has begun anew meanwhile.
#[test]
fn a_replica_that_begins_anew_knows_where_its_partition_is_to_move() {
    let (leader, damaged, third, new) = (node(1), node(2), node(3), node(4));
    let mut cluster = started_with(&[1; 4], &[&[1, 2, 3]], |settings| settings.compaction_backoff_ms = 1_000);
    cluster.kill(new);
    fill(&mut cluster, 70, 9_000);
    assert_eq!(reassign(&mut cluster, leader, 0, Some(&[2, 3, 4])), (error::NONE, String::new()));
    for id in [leader, third] {
        compact(&mut cluster, id);
    }
    cluster.pass(20_000);
    for id in [leader, third] {
        let removed = cluster.count(id, |stats| &stats.compaction_removed_bytes_total);
        assert!(removed > 9_000 * 50, "node {id}: {removed} bytes");
    }
    cluster.call(damaged, LOG, |groups, out| groups.begin_checkpoint(out));
    cluster.pass(500);
    cluster.kill(damaged);
    lose(&mut cluster, damaged, LOG, Index(10));
    cluster.start(damaged);
    cluster.pass(3_000);
    compact(&mut cluster, damaged);
    cluster.pass(30_000);
    let told = |cluster: &Cluster, what: &str| cluster.logs(damaged).iter().any(|line| line.contains(what));
    assert!(told(&cluster, "is got anew"), "{:?}", cluster.logs(damaged));
    assert!(told(&cluster, "has all again"), "{:?}", cluster.logs(damaged));
    let asker = Asker { place: Place { node: leader, shard: ShardId(0) }, token: Token(1 << 40) };
    cluster.call(leader, LOG, |groups, out| groups.elect(out, asker, vec![(0, LOG, damaged)]));
    cluster.pass(1_000);
    assert_eq!(cluster.leader(LOG), damaged, "{}", cluster.describe(LOG));
    cluster.kill(leader);
    cluster.start(new);
    settle(&mut cluster, damaged);
    cluster.assert_agree(LOG, &[damaged, third, new]);
    assert_eq!(cluster.state(new, LOG).1, Offset(70), "{}", cluster.describe(LOG));
}

/// What compaction has gone through and left as it came is as good as what it has not come to.
#[test]
fn an_entry_that_compaction_has_left_whole_is_lent_to_one_that_is_not_compacted() {
    let mut cluster = started_with(&[1; 3], &[&[1, 2, 3]], |settings| settings.compaction_backoff_ms = 1_000);
    let damaged = node(2);
    fill(&mut cluster, 70, 9_000);
    // The last record of its key.
    let whole = Index(cluster.committed(node(1), LOG).get() - 3);
    for id in [node(1), node(3)] {
        compact(&mut cluster, id);
    }
    cluster.pass(20_000);
    cluster.call(damaged, LOG, |groups, out| groups.begin_checkpoint(out));
    cluster.pass(500);
    cluster.kill(damaged);
    lose(&mut cluster, damaged, LOG, whole);
    cluster.start(damaged);
    cluster.pass(30_000);
    let (found, mended) = (
        cluster.count(damaged, |stats| &stats.damage_found_total),
        cluster.count(damaged, |stats| &stats.damage_repaired_total),
    );
    assert_eq!((found, mended), (1, 1), "{:?}", cluster.logs(damaged));
    let told = |what: &str| cluster.logs(damaged).iter().any(|line| line.contains(what));
    assert!(told("came from other replicas") && !told("is got anew"), "{:?}", cluster.logs(damaged));
}
