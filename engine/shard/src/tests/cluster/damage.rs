//! Damage in the log of one node: it starts, promises nothing that rests on what it has lost, and gets that from the others.

use super::rig::{Cluster, led, members, node};
use crate::mail::{Answer, Asker, Place, Token};
use crate::tests::disk::Files;
use torc_base::ids::{GroupId, Index, NodeId, Offset, ShardId};
use torc_base::limits::PAGE;
use torc_base::prng::Prng;
use torc_wal::{batch, segment};

const LOG: GroupId = GroupId(1031);

/// What of a batch is damaged.
#[derive(Clone, Copy, Debug)]
enum Part {
    Header,
    Table,
    /// The payload of the newest entry of the group.
    Entry,
}

/// Where a node's log has a batch with an entry of the group that `wanted` says: file, header, position of the payload.
fn find(cluster: &mut Cluster, id: NodeId, wanted: impl Fn(Index) -> bool) -> (String, batch::Header, usize) {
    find_in(&cluster.files(id)[0], LOG, wanted)
}

pub(super) fn find_in(files: &Files, group: GroupId, wanted: impl Fn(Index) -> bool) -> (String, batch::Header, usize) {
    let mut found = Vec::new();
    for (name, bytes) in files {
        let Some(file) = segment::Header::decode(bytes).filter(|_| name.starts_with("wal-")) else { continue };
        for (number, page) in bytes.chunks(PAGE).enumerate() {
            let Some((header, _)) = batch::Header::decode(page) else { continue };
            let at = number * PAGE;
            if header.salt != file.salt || header.position as usize != at {
                continue;
            }
            let whole = &bytes[at..at + header.total as usize];
            let lines = (0..header.count as usize).filter_map(|n| batch::Descriptor::decode(&header, whole, n));
            for d in lines.filter(|d| d.group == group && wanted(d.index)) {
                found.push((header.seq, (name.clone(), header, at + d.position as usize)));
            }
        }
    }
    found.into_iter().max_by_key(|(seq, _)| *seq).expect("the entry is in the log").1
}

/// Damages the newest batch of a node's log that has an entry of the group like that.
fn damage(cluster: &mut Cluster, id: NodeId, part: Part, wanted: impl Fn(Index) -> bool) {
    let (name, header, payload) = find(cluster, id, wanted);
    let at = match part {
        Part::Header => header.position as usize + 9,
        Part::Table => header.position as usize + batch::HEADER_BYTES + 17,
        Part::Entry => payload + 70,
    };
    cluster.files(id)[0].get_mut(&name).unwrap()[at] ^= 0x20;
}

/// A node is started on what it has; the group is made where its log says nothing of it, as the catalog would.
fn start(cluster: &mut Cluster, id: NodeId) {
    cluster.start(id);
    cluster.pass(1);
    cluster.create(LOG, &members());
}

/// Any batch may be damaged, in front of a checkpoint or behind it: the node starts and has everything again before long, and
/// then it leads as well as any other.
#[test]
fn a_node_with_a_damaged_log_gets_from_the_others_what_is_lost() {
    for (seed, checkpointed) in [(1, false), (2, true), (3, false), (4, true)] {
        let (mut cluster, mut leader) = led(LOG);
        let mut prng = Prng::new(seed);
        let mut end = 0;
        for round in 0..12 {
            for _ in 0..prng.between(2, 8) {
                cluster.produce(leader, LOG, prng.between(100, 3_000) as usize);
                cluster.pass(20);
                end += 1;
            }
            if checkpointed && round % 3 == 1 {
                cluster.call(node(3), LOG, |groups, out| groups.begin_checkpoint(out));
            }
            cluster.pass(300);
            let part = [Part::Header, Part::Table, Part::Entry][round % 3];
            let what = format!("seed {seed}, round {round}: {part:?}");
            cluster.kill(node(3));
            let written = cluster.raft(node(1), LOG).or(cluster.raft(node(2), LOG)).unwrap().marks().written;
            let index = Index(prng.between(written.get().saturating_sub(8).max(2), written.get()));
            damage(&mut cluster, node(3), part, |at| at == index);
            start(&mut cluster, node(3));
            // What lies in front of the checkpoint is not read: mending has the log begin another segment.
            assert!(checkpointed || cluster.count(node(3), |stats| &stats.damage_found_total) > 0, "{what}");
            leader = cluster.leader(LOG);
            cluster.produce(leader, LOG, 50);
            end += 1;
            cluster.pass(3_000);
            let state = cluster.raft(node(3), LOG).unwrap().hard_state();
            assert_eq!(state.doubt, None, "{what}: {} {:?}", cluster.describe(LOG), cluster.logs(node(3)));
            cluster.assert_agree(LOG, &members());
            assert_eq!(cluster.state(node(3), LOG).1, Offset(end), "{what}");
            // Its vote counts again.
            let other = if leader == node(1) { node(2) } else { node(1) };
            cluster.kill(other);
            leader = cluster.leader(LOG);
            cluster.produce(leader, LOG, 50);
            end += 1;
            cluster.pass(200);
            assert_eq!(cluster.state(leader, LOG).1, Offset(end), "{what}");
            start(&mut cluster, other);
            cluster.pass(1_000);
            leader = cluster.leader(LOG);
        }
    }
}

/// An entry is on two of three disks. One of them is damaged, the other one is away: the third does not lead without it.
#[test]
fn whoever_has_lost_an_entry_lets_nobody_lead_who_lacks_it() {
    for part in [Part::Header, Part::Table, Part::Entry] {
        for more in [false, true] {
            let (mut cluster, leader) = led(LOG);
            let others: Vec<NodeId> = members().into_iter().filter(|id| *id != leader).collect();
            let (behind, damaged) = (others[0], others[1]);
            (0..3).for_each(|_| cluster.produce(leader, LOG, 500));
            cluster.pass(300);
            cluster.kill(behind);
            cluster.pass(100);
            cluster.produce(leader, LOG, 500);
            cluster.pass(50);
            let lost = cluster.committed(leader, LOG);
            if more {
                cluster.produce(leader, LOG, 500);
            }
            cluster.pass(300);
            let what = format!("{part:?}, more {more}");
            let (end, committed) = (cluster.state(leader, LOG).1, cluster.committed(leader, LOG));
            assert_eq!(end, Offset(4 + i64::from(more)), "{what}: it is committed");
            cluster.kill(leader);
            cluster.kill(damaged);
            damage(&mut cluster, damaged, part, |at| at == lost);
            start(&mut cluster, behind);
            start(&mut cluster, damaged);
            cluster.pass(20_000);
            for id in [behind, damaged] {
                assert!(!cluster.raft(id, LOG).unwrap().is_leader(), "{what}: {}", cluster.describe(LOG));
                assert!(cluster.committed(id, LOG) < committed, "{what}: {}", cluster.describe(LOG));
            }
            start(&mut cluster, leader);
            cluster.pass(3_000);
            let new = cluster.leader(LOG);
            assert!(cluster.state(new, LOG).1 >= end, "{what}: {}", cluster.describe(LOG));
            cluster.produce(new, LOG, 100);
            cluster.pass(2_000);
            cluster.assert_agree(LOG, &members());
        }
    }
}

/// What was made in a lost batch, and not heard of since, is in doubt as on a new disk.
#[test]
fn a_group_whose_beginning_is_lost_has_its_votes_in_doubt() {
    let (mut cluster, leader) = led(LOG);
    let follower = members().into_iter().find(|id| *id != leader).unwrap();
    cluster.produce(leader, LOG, 500);
    cluster.pass(300);
    cluster.kill(follower);
    // All that the log has of the group, but for its last entry.
    let last = cluster.raft(leader, LOG).unwrap().marks().written;
    let (name, header, _) = find(&mut cluster, follower, |at| at < last);
    let bytes = cluster.files(follower)[0].get_mut(&name).unwrap();
    let first = PAGE;
    bytes[first..(header.position + header.total) as usize].fill(0);
    cluster.start(follower);
    cluster.pass(1);
    assert!(cluster.raft(follower, LOG).is_none(), "nothing is known of it: {}", cluster.describe(LOG));
    cluster.cut.extend([(leader, follower), (follower, leader)]);
    cluster.create(LOG, &members());
    assert!(cluster.raft(follower, LOG).unwrap().hard_state().doubt.is_some(), "{}", cluster.describe(LOG));
    cluster.cut.clear();
    cluster.pass(3_000);
    cluster.produce(leader, LOG, 500);
    cluster.pass(3_000);
    cluster.assert_agree(LOG, &members());
    assert_eq!(cluster.raft(follower, LOG).unwrap().hard_state().doubt, None, "{}", cluster.describe(LOG));
}

/// What cannot be read at all is put aside, wherever that is interrupted, and the node begins in doubt with nothing.
#[test]
fn a_directory_that_cannot_be_read_is_put_aside_and_everything_got_from_the_others() {
    for (case, interrupted) in [(0, false), (1, false), (2, false), (0, true), (2, true)] {
        let (mut cluster, leader) = led(LOG);
        for _ in 0..6 {
            cluster.produce(leader, LOG, 1_000);
            cluster.pass(30);
        }
        cluster.call(node(3), LOG, |groups, out| groups.begin_checkpoint(out));
        cluster.pass(300);
        (0..3).for_each(|_| cluster.produce(leader, LOG, 500));
        cluster.pass(300);
        cluster.kill(node(3));
        let files = &mut cluster.files(node(3))[0];
        let before: Vec<String> = files.keys().cloned().collect();
        let named = |start: &str| before.iter().find(|name| name.starts_with(start)).unwrap().clone();
        let what = match case {
            0 => {
                files.get_mut(&named("checkpoint-")).unwrap()[PAGE + 3] ^= 1;
                "the checkpoint is damaged"
            }
            1 => {
                files.get_mut(&named("wal-000001")).unwrap()[..2 * PAGE].fill(0);
                "a header page is damaged, and so is the first batch"
            }
            _ => {
                files.remove(&named("wal-000001")).unwrap();
                "a file is gone"
            }
        };
        if interrupted {
            // A process had begun to put it aside.
            files.insert(format!("putting-aside-{:016x}", 0x99), Vec::new());
            let first = before.iter().find(|name| files.contains_key(*name)).unwrap();
            let bytes = files.remove(first).unwrap();
            files.insert(format!("aside-{:016x}-{first}", 0x99), bytes);
        }
        start(&mut cluster, node(3));
        let doubt = cluster.raft(node(3), LOG).unwrap().hard_state().doubt;
        assert!(matches!(doubt, Some(torc_consensus::Doubt::All { .. })), "{what}: {doubt:?}");
        let now = cluster.leader(LOG);
        cluster.produce(now, LOG, 50);
        cluster.pass(3_000);
        cluster.assert_agree(LOG, &members());
        assert_eq!(cluster.state(node(3), LOG).1, Offset(10), "{what}");
        assert_eq!(cluster.raft(node(3), LOG).unwrap().hard_state().doubt, None, "{what}: {}", cluster.describe(LOG));
        // It is as sound as any other from then on, and what it had is still there.
        cluster.kill(node(3));
        let names: Vec<&String> = cluster.files(node(3))[0].keys().collect();
        let kept = |name: &String| names.iter().any(|now| now.starts_with("aside-") && now.ends_with(name.as_str()));
        assert!(before.iter().all(|name| kept(name) || case == 2 && name == "wal-000001"), "{what}: {names:?}");
        assert!(names.iter().all(|name| !name.starts_with("putting-aside-")), "{what}: {names:?}");
        cluster.start(node(3));
        cluster.pass(1_000);
        cluster.assert_agree(LOG, &members());
        let other = if leader == node(1) { node(2) } else { node(1) };
        cluster.kill(other);
        let new = cluster.leader(LOG);
        cluster.produce(new, LOG, 50);
        cluster.pass(300);
        assert_eq!(cluster.state(new, LOG).1, Offset(11), "{what}");
    }
}

/// A leader finds damage when a follower needs what is damaged: it gets the entry from the third, and the follower from it; so it
/// is found after a restart, with a checkpoint behind it or without.
#[test]
fn an_entry_in_which_a_read_finds_damage_is_got_from_others() {
    for checkpointed in [false, true] {
        let (mut cluster, leader) = led(LOG);
        let (other, behind) = {
            let others: Vec<NodeId> = members().into_iter().filter(|id| *id != leader).collect();
            (others[0], others[1])
        };
        (0..4).for_each(|_| cluster.produce(leader, LOG, 500));
        cluster.pass(300);
        cluster.kill(behind);
        for _ in 0..30 {
            cluster.produce(leader, LOG, 20_000);
            cluster.pass(20);
        }
        cluster.pass(300);
        // An old entry, that the leader has no longer in memory.
        let (name, _, payload) = find_in(&cluster.disk(leader, 0).files, LOG, |at| at == Index(8));
        cluster.disk(leader, 0).files.get_mut(&name).unwrap()[payload + 70] ^= 0x20;
        start(&mut cluster, behind);
        cluster.pass(6_000);
        let what = format!("checkpointed {checkpointed}: {} {:?}", cluster.describe(LOG), cluster.logs(leader));
        assert_eq!(cluster.count(leader, |stats| &stats.damage_found_total), 1, "{what}");
        assert_eq!(cluster.count(leader, |stats| &stats.damage_repaired_total), 1, "{what}");
        cluster.assert_agree(LOG, &members());
        if checkpointed {
            cluster.call(leader, LOG, |groups, out| groups.begin_checkpoint(out));
            cluster.pass(100);
        }
        let now = cluster.leader(LOG);
        cluster.produce(now, LOG, 100);
        cluster.pass(300);
        cluster.kill(leader);
        cluster.start(leader);
        cluster.pass(1_000);
        cluster.assert_agree(LOG, &members());
        // All of it can be read there: it brings another one up to date that has lost everything.
        cluster.kill(other);
        cluster.wipe(other);
        cluster.settings.get_mut(&other).unwrap().cluster.doubt = Some(77);
        let now = cluster.leader(LOG);
        cluster.produce(now, LOG, 100);
        start(&mut cluster, other);
        cluster.pass(3_000);
        cluster.assert_agree(LOG, &members());
        assert_eq!(cluster.state(leader, LOG).1, Offset(36), "{what}");
        // The start has read over it once more, if the log still begins in front of it.
        let again = cluster.count(leader, |stats| &stats.damage_found_total);
        assert!(again == 1 || checkpointed && again == 0, "{what}");
    }
}

/// Old entries of all replicas are damaged, each in another place. Nothing is given up that another one may lack: each gets from the
/// others what it has lost, and all of it can be read again.
#[test]
fn replicas_whose_old_entries_are_damaged_in_different_places_mend_each_other() {
    let (mut cluster, leader) = led(LOG);
    for _ in 0..30 {
        cluster.produce(leader, LOG, 20_000);
        cluster.pass(20);
    }
    cluster.pass(300);
    for id in members() {
        cluster.call(id, LOG, |groups, out| groups.begin_checkpoint(out));
        cluster.pass(300);
        cluster.kill(id);
    }
    for (at, id) in members().into_iter().enumerate() {
        damage_every_third(&mut cluster, id, 4 + at as u64);
    }
    members().into_iter().for_each(|id| start(&mut cluster, id));
    cluster.pass(30_000);
    let what = |cluster: &Cluster| members().map(|id| format!("{:?}", cluster.logs(id))).join("\n");
    for id in members() {
        let found = cluster.count(id, |stats| &stats.damage_found_total);
        let mended = cluster.count(id, |stats| &stats.damage_repaired_total);
        assert_eq!((found, mended), (6, 6), "node {id}: {}", what(&cluster));
    }
    // So it is after a start, and whoever leads brings all of it to one that has nothing.
    members().into_iter().for_each(|id| cluster.kill(id));
    members().into_iter().for_each(|id| start(&mut cluster, id));
    let leader = cluster.leader(LOG);
    for (round, other) in members().into_iter().filter(|id| *id != leader).enumerate() {
        cluster.kill(other);
        cluster.wipe(other);
        cluster.settings.get_mut(&other).unwrap().cluster.doubt = Some(77 + round as u64);
        cluster.produce(leader, LOG, 100);
        start(&mut cluster, other);
        cluster.pass(5_000);
        cluster.assert_agree(LOG, &members());
        assert_eq!(cluster.raft(other, LOG).unwrap().hard_state().doubt, None, "{}", cluster.describe(LOG));
    }
}

/// Every third entry of a node's log, of 18.
fn damage_every_third(cluster: &mut Cluster, id: NodeId, first: u64) {
    for index in (first..first + 18).step_by(3).map(Index) {
        let files = &mut cluster.files(id)[0];
        let (name, _, payload) = find_in(files, LOG, |at| at == index);
        files.get_mut(&name).unwrap()[payload + 70] ^= 0x20;
    }
}

/// While records are written all replicas compare what they have committed, whoever leads; a difference is named.
#[test]
fn replicas_compare_what_they_have_committed() {
    let (mut cluster, mut leader) = led(LOG);
    for round in 0..6 {
        for _ in 0..70 {
            cluster.produce(leader, LOG, 200);
            cluster.run();
        }
        cluster.pass(100);
        if round == 2 {
            // One comes back in the middle of a range, and another one leads.
            cluster.kill(leader);
            let new = cluster.leader(LOG);
            start(&mut cluster, leader);
            leader = new;
        }
    }
    cluster.pass(1_000);
    let compared = members().map(|id| cluster.count(id, |stats| &stats.replica_ranges_compared_total));
    assert!(compared.iter().sum::<u64>() >= 8, "{compared:?}");
    let different = members().map(|id| cluster.count(id, |stats| &stats.replica_differences_total));
    assert_eq!(different, [0; 3]);
    let follower = members().into_iter().find(|id| *id != leader).unwrap();
    let last = Index(cluster.committed(follower, LOG).get() / 64 * 64);
    let word = crate::groups::Digest { group: LOG, last, digest: 1 };
    cluster.call(follower, LOG, |groups, out| groups.take_digests(out, leader, vec![word]));
    assert_eq!(cluster.count(follower, |stats| &stats.replica_differences_total), 1);
    let range = format!("entries {} to {last} here are not those of node {leader}", last.get() - 63);
    assert!(cluster.logs(follower).iter().any(|line| line.contains(&range)), "{:?}", cluster.logs(follower));
    // Whoever asks what it keeps is told, for this replica alone.
    for (id, differences) in members().map(|id| (id, u64::from(id == follower))) {
        let asker = Asker { place: Place { node: id, shard: ShardId(0) }, token: Token(1 << 40) };
        let told = cluster.call(id, LOG, |groups, out| {
            groups.sizes(out, asker, vec![(7, LOG)]);
            out.answers.pop_back()
        });
        let Some((_, Answer::Sizes(parts))) = told else { panic!("no answer") };
        assert_eq!((parts[0].0, parts[0].2), (7, differences), "node {id}");
    }
}
