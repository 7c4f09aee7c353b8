//! A partition has moved, and the logs of all that have it are damaged in front of the word of who they are: what each of them has
//! lost may be with one of which it does not know that it is a member.

use super::reassignments::{fill, reassign, settle, started};
use super::regains::lose;
use super::rig::node;
use torc_base::ids::{GroupId, Index, Offset};
use torc_net::kafka::error;

const LOG: GroupId = GroupId(GroupId::FIRST_PARTITION.0 + 1);
/// Those that have the partition in the end; of those that had it before only the first is among them.
const MEMBERS: [u32; 3] = [1, 4, 5];

#[test]
fn members_that_do_not_know_of_each_other_lend_each_other_what_they_have_lost() {
    // Which of them lose which entries: each entry is whole on one.
    for lost in [
        [&[3, 5, 7][..], &[5], &[3, 7]],
        [&[3, 5, 7], &[3, 7], &[5]],
        [&[5], &[3, 7], &[3, 5, 7]],
        [&[3, 4, 5, 6], &[5, 6], &[3, 4]],
    ] {
        let what = format!("{lost:?}");
        let mut cluster = started(&[1; 5], &[&[1, 2, 3]]);
        fill(&mut cluster, 12, 500);
        assert_eq!(reassign(&mut cluster, node(5), 0, Some(&MEMBERS)), (error::NONE, String::new()));
        settle(&mut cluster, node(4));
        let records = fill(&mut cluster, 3, 500);
        cluster.pass(1_000);
        (1..=5).map(node).for_each(|id| cluster.kill(id));
        for (id, entries) in MEMBERS.map(node).into_iter().zip(lost) {
            entries.iter().for_each(|index| lose(&mut cluster, id, LOG, Index(*index)));
        }
        (1..=5).map(node).for_each(|id| cluster.start(id));
        cluster.pass(8_000);
        let leader = cluster.leader(LOG);
        cluster.assert_agree(LOG, &MEMBERS.map(node));
        assert_eq!(cluster.state(leader, LOG).1, Offset(records), "{what}: {}", cluster.describe(LOG));
        for id in MEMBERS.map(node) {
            let doubt = cluster.raft(id, LOG).expect("it has it").hard_state().doubt;
            assert_eq!(doubt, None, "{what}: {}", cluster.describe(LOG));
            assert!(cluster.count(id, |stats| &stats.damage_found_total) > 0, "{what}: {:?}", cluster.logs(id));
        }
    }
}
