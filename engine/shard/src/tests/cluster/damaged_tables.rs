//! Damage in what speaks of many entries: headers and tables of batches, and footers of segments, in old parts of the logs of members that
//! run. Reads find it; what it has taken comes from the others, whoever leads, and can be read again.

use super::damage::find_in;
use super::rig::{Cluster, members};
use std::collections::BTreeSet;
use torc_base::ids::{GroupId, Index, NodeId};
use torc_base::limits::{PAGE, SEGMENT_BYTES_MIN};
use torc_wal::batch;

const LOG: GroupId = GroupId(1031);
/// Entries that all members have, and those that one lacks.
const FEW: u64 = 4;
const MANY: u64 = 60;
/// Some of a segment's entries each.
const BYTES: usize = 12_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Header,
    Table,
    Footer,
    /// The footer, and the header of the batch: it cannot be made again as a whole.
    FooterAndBatch,
}

/// A member that leads, one that has all of it, and one that is away and lacks most.
fn parted() -> (Cluster, NodeId, NodeId, NodeId) {
    let mut cluster = Cluster::with([1, 1, 1], |settings| {
        settings.wal.segment_bytes = SEGMENT_BYTES_MIN;
        (settings.wal.tail_bytes, settings.wal.read_ahead_bytes) = (64 << 10, 0);
    });
    cluster.pass(500);
    cluster.create(LOG, &members());
    let leader = cluster.leader(LOG);
    let others: Vec<NodeId> = members().into_iter().filter(|id| *id != leader).collect();
    (0..FEW).for_each(|_| cluster.produce(leader, LOG, BYTES));
    cluster.pass(300);
    cluster.kill(others[1]);
    for _ in 0..MANY {
        cluster.produce(leader, LOG, BYTES);
        cluster.pass(20);
    }
    cluster.pass(1_000);
    (cluster, leader, others[0], others[1])
}

/// A bit flips on the disk of a member that runs: of the batch that has this entry, or of the footer of its segment; or two.
fn damage(cluster: &mut Cluster, id: NodeId, part: Part, entry: u64) {
    let files = &mut cluster.disk(id, 0).files;
    let (name, header, _) = find_in(files, LOG, |at| at == Index(entry));
    let bytes = files.get_mut(&name).expect("just found");
    let at = match part {
        Part::Header => header.position as usize + 9,
        Part::Table => header.position as usize + batch::HEADER_BYTES + 17,
        Part::Footer | Part::FooterAndBatch => bytes.len() - PAGE + 9,
    };
    if part == Part::FooterAndBatch {
        bytes[header.position as usize + 9] ^= 0x20;
    }
    bytes[at] ^= 0x20;
}

fn start(cluster: &mut Cluster, id: NodeId) {
    cluster.start(id);
    cluster.pass(1);
    cluster.create(LOG, &members());
}

/// A member has another disk, and gets all of what whoever leads can read.
fn start_with_nothing(cluster: &mut Cluster, id: NodeId, life: u64) {
    cluster.kill(id);
    cluster.wipe(id);
    cluster.settings.get_mut(&id).expect("a member").cluster.doubt = Some(life);
    start(cluster, id);
    cluster.pass(12_000);
}

/// All damage that this member has found is mended, and there was some.
fn is_mended(cluster: &Cluster, id: NodeId, what: &str) {
    let found = cluster.count(id, |stats| &stats.damage_found_total);
    let mended = cluster.count(id, |stats| &stats.damage_repaired_total);
    assert!(found > 0 && found == mended, "{what}: {mended} of {found} mended: {:?}", cluster.logs(id));
}

fn have_all(cluster: &mut Cluster, what: &str) {
    cluster.assert_agree(LOG, &members());
    for id in members() {
        let state = cluster.raft(id, LOG).expect("it has the group").hard_state();
        assert_eq!(state.doubt, None, "{what}: {}", cluster.describe(LOG));
    }
}

/// A leader finds it when a follower needs what is lost; the third has it. So it is found after a restart.
#[test]
fn a_table_or_a_footer_in_which_a_leader_finds_damage_is_made_good_by_a_follower() {
    for part in [Part::Header, Part::Table, Part::FooterAndBatch] {
        for checkpointed in [false, true] {
            let what = format!("{part:?}, checkpointed {checkpointed}");
            let (mut cluster, leader, other, behind) = parted();
            damage(&mut cluster, leader, part, 9);
            start(&mut cluster, behind);
            cluster.pass(12_000);
            is_mended(&cluster, leader, &what);
            have_all(&mut cluster, &what);
            if checkpointed {
                cluster.call(leader, LOG, |groups, out| groups.begin_checkpoint(out));
                cluster.pass(300);
            }
            // All of it can be read there: it brings another one up to date that has nothing.
            cluster.kill(leader);
            start(&mut cluster, leader);
            cluster.pass(2_000);
            for (life, id) in [(77, other), (78, behind)] {
                start_with_nothing(&mut cluster, id, life);
                have_all(&mut cluster, &what);
            }
        }
    }
}

/// What a footer said is in the batches: nobody is asked for it.
#[test]
fn a_footer_in_which_a_leader_finds_damage_is_made_again_from_its_batches() {
    let (mut cluster, leader, _, behind) = parted();
    // In different segments.
    for entry in [9, 40] {
        damage(&mut cluster, leader, Part::Footer, entry);
    }
    start(&mut cluster, behind);
    cluster.pass(12_000);
    let logs = cluster.logs(leader);
    assert_eq!(cluster.count(leader, |stats| &stats.damage_found_total), 0, "{logs:?}");
    assert!(logs.iter().any(|line| line.contains("made again")), "{logs:?}");
    have_all(&mut cluster, "footers");
}

/// A sector that cannot be read, of an entry or of the table of its batch. If that lasts, the entry comes from another member.
#[test]
fn what_a_leader_cannot_read_is_made_good_by_a_follower_unless_it_can_be_read_again() {
    for of_table in [false, true] {
        for lasts in [true, false] {
            let what = format!("of the table {of_table}, it lasts {lasts}");
            let (mut cluster, leader, _, behind) = parted();
            let (name, header, payload) = find_in(&cluster.disk(leader, 0).files, LOG, |at| at == Index(9));
            let at = if of_table { header.position as usize } else { payload + PAGE };
            cluster.disk(leader, 0).unreadable.insert((name, at / PAGE));
            start(&mut cluster, behind);
            let failed = |cluster: &Cluster| cluster.logs(leader).iter().any(|line| line.contains("cannot be read"));
            let mut ms = 0;
            while !failed(&cluster) && ms < 6_000 {
                cluster.pass(100);
                ms += 100;
            }
            assert!(failed(&cluster), "{what}: {:?}", cluster.logs(leader));
            if !lasts {
                cluster.disk(leader, 0).unreadable.clear();
            }
            cluster.pass(12_000);
            if lasts {
                is_mended(&cluster, leader, &what);
            } else {
                assert_eq!(cluster.count(leader, |stats| &stats.damage_found_total), 0, "{what}");
            }
            have_all(&mut cluster, &what);
        }
    }
}

/// Both that have all of it are damaged, the one's footers and the other one's tables, never of the same entries. Whoever leads gets from
/// the other one what it lacks.
#[test]
fn members_whose_tables_and_footers_are_damaged_in_different_places_mend_each_other() {
    for parts in [
        (Part::FooterAndBatch, Part::Table),
        (Part::Table, Part::FooterAndBatch),
        (Part::FooterAndBatch, Part::FooterAndBatch),
        (Part::Header, Part::Table),
    ] {
        let what = format!("{parts:?}");
        let (mut cluster, leader, other, behind) = parted();
        damage(&mut cluster, leader, parts.0, 9);
        damage(&mut cluster, other, parts.1, 40);
        start(&mut cluster, behind);
        cluster.pass(12_000);
        is_mended(&cluster, leader, &what);
        have_all(&mut cluster, &what);
        // The other one leads, and one begins with nothing, as often as it takes.
        let mut led = BTreeSet::from([leader]);
        for life in 100..140 {
            if led.contains(&other) {
                break;
            }
            let now = cluster.leader(LOG);
            cluster.kill(now);
            let next = cluster.leader(LOG);
            start(&mut cluster, now);
            cluster.pass(3_000);
            if next == other {
                start_with_nothing(&mut cluster, behind, life);
                led.insert(cluster.leader(LOG));
            }
        }
        assert!(led.contains(&other), "{what}: it never led");
        is_mended(&cluster, other, &what);
        have_all(&mut cluster, &what);
    }
}
