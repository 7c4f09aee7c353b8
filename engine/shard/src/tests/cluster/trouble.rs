//! Ways that carry nothing, or slowly; nodes that stand still; disks that are slow, small or new.

use super::rig::{Cluster, led, members, node};
use crate::groups::{FetchRequest, Flow};
use crate::mail::{Answer, Asker, FetchPart, Place, ReadFrom, Token};
use crate::refusal::Refusal;
use crate::{CleanupPolicy, TopicConfig};
use torc_base::ids::{GroupId, Index, NodeId, Offset, ShardId};
use torc_base::limits::{
    DELETED_KEPT_SEGMENTS, LARGE_FRAME, OLD_BYTES_PRESSED, PEER_READ_BYTES, REPLICATE_BYTES_WINDOW,
};

const LOG: GroupId = GroupId(1031);

fn cut(cluster: &mut Cluster, a: NodeId, b: NodeId, both: bool) {
    cluster.cut.insert((a, b));
    if both {
        cluster.cut.insert((b, a));
    }
}

/// The way between a leader and one follower is cut, in one direction or both: nobody else notices, and the follower has
/// everything when the way is whole again.
#[test]
fn a_follower_that_cannot_be_reached_holds_up_nobody_and_catches_up() {
    for (there, back) in [(true, true), (true, false), (false, true)] {
        let (mut cluster, leader) = led(LOG);
        let term = cluster.raft(leader, LOG).unwrap().term();
        if there {
            cluster.cut.insert((leader, node(3)));
        }
        if back {
            cluster.cut.insert((node(3), leader));
        }
        for round in 1..=10 {
            cluster.produce(leader, LOG, 2_000);
            cluster.pass(100);
            assert_eq!(cluster.state(leader, LOG).1, Offset(round), "the other two commit");
        }
        assert_eq!(cluster.count(node(3), |stats| &stats.peer_links_lost_total), 1, "{:?}", cluster.logs(node(3)));
        cluster.cut.clear();
        cluster.pass(3_000);
        // The third may have campaigned: pre-votes change nothing while the leader lives.
        assert_eq!(cluster.leader(LOG), leader);
        assert_eq!(cluster.raft(leader, LOG).unwrap().term(), term, "nobody has voted");
        cluster.assert_agree(LOG, &members());
    }
}

#[test]
fn what_a_leader_takes_that_is_cut_off_from_all_is_replaced() {
    let (mut cluster, old) = led(LOG);
    cluster.produce(old, LOG, 100);
    cluster.pass(100);
    for other in [2, 3] {
        cut(&mut cluster, old, node(other), true);
    }
    (0..3).for_each(|_| cluster.produce(old, LOG, 50_000));
    cluster.pass(400);
    assert_eq!(cluster.state(old, LOG).1, Offset(1));
    let new = cluster.leader(LOG);
    assert_ne!(new, old);
    cluster.produce(new, LOG, 70);
    cluster.pass(2_000);
    assert!(!cluster.raft(old, LOG).unwrap().is_leader(), "a quorum does not answer it");
    cluster.cut.clear();
    cluster.assert_agree(LOG, &members());
    assert_eq!(cluster.state(old, LOG).1, Offset(2));
}

/// A way that takes longer than several beats is no silence, nor are frames that come slowly.
#[test]
fn a_slow_way_is_not_a_broken_one() {
    let (mut cluster, leader) = led(LOG);
    for (a, b) in [(leader, node(3)), (node(3), leader)] {
        cluster.slow_ms.insert((a, b), 350);
    }
    cluster.pass(1_000);
    let lost = |cluster: &Cluster| -> u64 {
        members().into_iter().map(|id| cluster.count(id, |stats| &stats.peer_links_lost_total)).sum()
    };
    let before = lost(&cluster);
    for round in 1..=20 {
        cluster.produce(leader, LOG, 200_000);
        cluster.pass(20);
        assert_eq!(cluster.state(leader, LOG).1, Offset(round), "the quick one and the leader commit");
    }
    cluster.pass(4_000);
    assert_eq!(lost(&cluster), before);
    cluster.assert_agree(LOG, &members());
}

/// A process that stands still for ten seconds is missed, and comes back as a follower; it blames nobody for its own silence.
#[test]
fn a_node_that_stood_still_follows_when_it_goes_on() {
    for which in [1, 3] {
        let (mut cluster, leader) = led(LOG);
        assert_eq!(leader, node(1));
        cluster.paused.insert(node(which));
        cluster.pass(2_500);
        let new = cluster.leader(LOG);
        assert_eq!(new != leader, which == 1);
        for _ in 0..20 {
            cluster.produce(new, LOG, 1_000);
            cluster.pass(300);
        }
        let committed = cluster.state(new, LOG).1;
        assert_eq!(committed, Offset(20));
        cluster.paused.clear();
        cluster.pass(3_000);
        assert_eq!(cluster.leader(LOG), new);
        cluster.assert_agree(LOG, &members());
    }
}

/// A follower whose disk does not answer is sent a window, and no more; nothing of it piles up at the leader.
#[test]
fn a_follower_with_a_slow_disk_gets_no_more_than_a_window() {
    let (mut cluster, leader) = led(LOG);
    cluster.disk(node(3), 0).hold_writes = true;
    for _ in 0..60 {
        cluster.produce(leader, LOG, 500_000);
        cluster.run();
    }
    assert_eq!(cluster.state(leader, LOG).1, Offset(60));
    let sent = cluster.raft(leader, LOG).unwrap().peers()[2].next;
    let held = cluster.raft(leader, LOG).unwrap().peers()[2].held;
    let under_way = (sent.get() - held.get()) * 500_000;
    assert!(under_way <= REPLICATE_BYTES_WINDOW + 2 * 500_000 + 500_000, "{under_way} bytes");
    cluster.disk(node(3), 0).release();
    cluster.assert_agree(LOG, &members());
}

/// A follower that was away gets what it lacks in small pieces while clients write, so that nobody who flushes waits behind much of
/// it, and as much as a window holds while nobody does.
#[test]
fn what_is_old_yields_to_what_is_written() {
    for written_to in [true, false] {
        let mut cluster = Cluster::with([1, 1, 1], |settings| settings.wal.tail_bytes = 64 << 10);
        cluster.pass(500);
        cluster.create(LOG, &members());
        let leader = cluster.leader(LOG);
        let away = members().into_iter().find(|id| *id != leader).unwrap();
        cluster.kill(away);
        for _ in 0..60 {
            cluster.produce(leader, LOG, 250_000);
            cluster.pass(10);
        }
        cut(&mut cluster, leader, away, true);
        cluster.start(away);
        cluster.pass(500);
        cluster.cut.clear();
        cluster.slow_ms.extend([((leader, away), 5), ((away, leader), 5)]);
        let said = (0..1_000).any(|_| {
            cluster.pass(1);
            cluster.raft(leader, LOG).unwrap().peers().iter().any(|peer| peer.id == away && peer.follows())
        });
        assert!(said, "it has said how far it is: {}", cluster.describe(LOG));
        // Nothing that comes then is acknowledged.
        cluster.disk(away, 0).hold_writes = true;
        let mut most = 0;
        for _ in 0..300 {
            if written_to {
                cluster.produce(leader, LOG, 100);
            }
            cluster.pass(10);
            let peers = cluster.raft(leader, LOG).unwrap().peers();
            most = peers.iter().find(|peer| peer.id == away).unwrap().under_way().max(most);
        }
        // One message may be on its way beyond the bound.
        let bound = OLD_BYTES_PRESSED + PEER_READ_BYTES as u64;
        assert_eq!(0 < most && most <= bound, written_to, "{most} bytes under way, written to: {written_to}");
        cluster.disk(away, 0).release();
        cluster.assert_agree(LOG, &members());
    }
}

/// What finds no memory at a follower is told to the leader, which sends it again: the follower has all in the end.
#[test]
fn what_a_follower_has_no_room_for_comes_again() {
    let mut cluster = Cluster::with([1, 1, 1], |settings| settings.memory.followers = 300_000);
    cluster.pass(500);
    cluster.create(LOG, &members());
    let leader = cluster.leader(LOG);
    cluster.disk(node(3), 0).hold_writes = true;
    for _ in 0..6 {
        cluster.produce(leader, LOG, 250_000);
        cluster.run();
    }
    cluster.pass(300);
    assert_eq!(cluster.state(leader, LOG).1, Offset(6));
    cluster.disk(node(3), 0).release();
    cluster.pass(1_000);
    cluster.assert_agree(LOG, &members());
    assert_eq!(cluster.state(node(3), LOG).1, Offset(6));
}

/// Two of three nodes have a group, and are far from each other; the third one is near, and has not made it yet. It says so long before
/// a vote can come, again and again, and they have a leader all the same.
#[test]
fn a_voter_that_does_not_have_its_group_yet_ends_no_election() {
    let mut cluster = Cluster::new([1, 1, 1]);
    for (from, to) in [(1, 2), (2, 1)] {
        cluster.slow_ms.insert((node(from), node(to)), 80);
    }
    cluster.pass(1_000);
    cluster.create_on(LOG, &members(), &[node(1), node(2)]);
    let leader = cluster.leader(LOG);
    cluster.produce(leader, LOG, 100);
    cluster.pass(1_000);
    cluster.create(LOG, &members());
    cluster.assert_agree(LOG, &members());
    assert_eq!(cluster.state(node(3), LOG).1, Offset(1));
}

/// A follower's disk is full, and whoever makes room by keeping less says so behind what it does not take. The leader keeps for it for a
/// while what is deleted; then it begins anew where the leader's log does, and has room.
#[test]
fn a_follower_whose_disk_is_full_keeps_no_leader_from_deleting_and_finds_room_by_that() {
    let mut cluster = Cluster::with([1, 1, 1], |settings| settings.retention_check_interval_ms = 1_000);
    cluster.pass(500);
    cluster.create(LOG, &members());
    let leader = cluster.leader(LOG);
    let full = members().into_iter().find(|id| *id != leader).unwrap();
    for round in 0..210 {
        cluster.disk(full, 0).full = round >= 60;
        cluster.produce(leader, LOG, 200_000);
        cluster.pass(20);
    }
    cluster.pass(1_000);
    let held = cluster.raft(full, LOG).unwrap().marks().written;
    let committed = cluster.committed(leader, LOG);
    assert!(held.plus(20) < committed, "the disk is never full: {}", cluster.describe(LOG));
    let files = cluster.disk(full, 0).files.len();
    // No more than a leader keeps for who is slow.
    let keeps = TopicConfig { retention_bytes: 12 << 20, ..TopicConfig::default() };
    cluster.call(leader, LOG, |groups, _| groups.set_cleanup(&keeps, [LOG].into_iter()));
    cluster.pass(3_000);
    let first = |cluster: &Cluster| cluster.raft(leader, LOG).unwrap().log().first();
    assert!(first(&cluster) <= held.next(), "who can be reached is waited for: {}", cluster.describe(LOG));
    cluster.pass(15_000);
    assert!(first(&cluster) > held.plus(20), "for a while: {}", cluster.describe(LOG));
    // What it has removed others may have meanwhile, or it.
    assert!(cluster.disk(full, 0).files.len() < files, "{:?}", cluster.logs(full));
    cluster.disk(full, 0).full = false;
    cluster.pass(5_000);
    cluster.produce(leader, LOG, 100);
    cluster.assert_agree(LOG, &members());
    assert_eq!(cluster.state(full, LOG).1, Offset(211), "{:?}", cluster.logs(full));
}

/// A follower's disk is full: now and then it is sent one entry, and all when it says that it has room again.
#[test]
fn a_follower_whose_disk_is_full_is_sent_next_to_nothing_until_it_has_room() {
    let (mut cluster, leader) = led(LOG);
    let full = members().into_iter().find(|id| *id != leader).unwrap();
    for round in 0..120 {
        cluster.disk(full, 0).full = round >= 30;
        cluster.produce(leader, LOG, 200_000);
        cluster.pass(20);
    }
    cluster.pass(20_000);
    let held = cluster.raft(full, LOG).unwrap().marks().written;
    let committed = cluster.committed(leader, LOG);
    assert!(held.plus(20) < committed, "the disk is never full: {}", cluster.describe(LOG));
    let before = cluster.carried;
    cluster.pass(20_000);
    let said = cluster.carried - before;
    assert!(said < 1_500_000, "{said} bytes in 20 s: {}", cluster.describe(LOG));
    // Just after it has been asked once more.
    let asked = (0..200).any(|_| {
        let before = cluster.carried;
        cluster.pass(50);
        cluster.carried - before > 150_000
    });
    assert!(asked, "nobody asks");
    cluster.disk(full, 0).full = false;
    cluster.pass(2_500);
    assert!(cluster.raft(full, LOG).unwrap().marks().written > held.plus(20), "{}", cluster.describe(LOG));
    cluster.pass(5_000);
    cluster.assert_agree(LOG, &members());
}

/// The disks of all followers stand still, and their nodes answer: what waits for them in their leader's memory is bounded, whatever
/// producers ask for.
#[test]
fn a_leader_whose_followers_write_nothing_takes_no_more_than_it_can_keep() {
    let mut cluster = Cluster::with([1, 1, 1], |settings| settings.memory.uncommitted_entries = 300);
    cluster.pass(500);
    cluster.create(LOG, &members());
    let leader = cluster.leader(LOG);
    let others: Vec<NodeId> = members().into_iter().filter(|id| *id != leader).collect();
    others.iter().for_each(|id| cluster.disk(*id, 0).hold_writes = true);
    let mut refused = 0;
    for _ in 0..1_000 {
        refused += u32::from(cluster.try_produce(leader, LOG, 100) == Some(Refusal::TooFewInSync));
        cluster.pass(2);
    }
    let marks = cluster.raft(leader, LOG).unwrap().marks();
    let waiting = marks.written.get() - marks.committed.get();
    assert!((300..310).contains(&waiting) && refused > 600, "{waiting} wait, {refused} refused");
    others.iter().for_each(|id| cluster.disk(*id, 0).release());
    cluster.pass(2_000);
    assert_eq!(cluster.try_produce(leader, LOG, 100), None);
    cluster.assert_agree(LOG, &members());
}

/// A follower's disk stands still, and it can be reached: its leader waits for it with what is deleted, but not with all that ever is.
#[test]
fn a_slow_follower_does_not_fill_its_leaders_disk() {
    let (mut cluster, leader) = led(LOG);
    let slow = members().into_iter().find(|id| *id != leader).unwrap();
    let keeps = TopicConfig { retention_bytes: 2 << 20, ..TopicConfig::default() };
    cluster.call(leader, LOG, |groups, _| groups.set_cleanup(&keeps, [LOG].into_iter()));
    cluster.disk(slow, 0).hold_writes = true;
    let mut most = 0;
    for _ in 0..300 {
        cluster.produce(leader, LOG, 200_000);
        cluster.pass(20);
        most = most.max(cluster.count(leader, |stats| &stats.wal_live_bytes));
    }
    let kept = DELETED_KEPT_SEGMENTS * (4 << 20);
    assert!(kept < most && most < 2 * kept, "{most} bytes: {}", cluster.describe(LOG));
    cluster.disk(slow, 0).release();
    cluster.pass(5_000);
    cluster.assert_agree(LOG, &members());
    assert_eq!(cluster.state(slow, LOG).1, Offset(300), "{:?}", cluster.logs(slow));
}

/// A node whose disk was replaced votes for nobody before it has what it may have acknowledged.
#[test]
fn a_node_with_a_new_disk_is_let_vote_again_when_it_has_everything() {
    let (mut cluster, leader) = led(LOG);
    (0..5).for_each(|_| cluster.produce(leader, LOG, 1_000));
    cluster.pass(100);
    cluster.kill(node(3));
    cluster.wipe(node(3));
    cluster.settings.get_mut(&node(3)).unwrap().cluster.doubt = Some(77);
    cluster.start(node(3));
    // The group is older than the start: the catalog would have it made before it tells of that.
    cluster.pass(1);
    cluster.create(LOG, &members());
    cluster.assert_agree(LOG, &members());
    let state = cluster.raft(node(3), LOG).unwrap().hard_state();
    assert_eq!(state.doubt, None, "it was readmitted: {}", cluster.describe(LOG));
    // With its vote the group goes on without the old leader, and the doubt does not come back with the disk.
    cluster.kill(node(3));
    cluster.start(node(3));
    cluster.pass(1_000);
    cluster.kill(leader);
    let new = cluster.leader(LOG);
    assert_eq!(cluster.state(new, LOG).1, Offset(5));
}

/// A follower that lacks what its leader has deleted begins anew where the leader's log begins, and so it is found after a
/// restart.
#[test]
fn a_follower_behind_the_start_of_its_leaders_log_begins_anew() {
    for wiped in [false, true] {
        for checkpointed in [false, true] {
            let what = format!("wiped {wiped}, with a checkpoint {checkpointed}");
            let (mut cluster, leader) = led(LOG);
            (0..3).for_each(|_| cluster.produce(leader, LOG, 500));
            cluster.pass(200);
            cluster.kill(node(3));
            (0..20).for_each(|_| cluster.produce(leader, LOG, 3_000));
            cluster.pass(200);
            let asker = Asker { place: Place { node: leader, shard: ShardId(0) }, token: Token(1 << 40) };
            cluster.call(leader, LOG, |groups, out| groups.delete_records(out, asker, vec![(0, LOG, Offset(-1))]));
            cluster.pass(200);
            assert!(cluster.raft(leader, LOG).unwrap().log().first() > Index(20), "{what}: {}", cluster.describe(LOG));
            (0..5).for_each(|_| cluster.produce(leader, LOG, 700));
            cluster.pass(100);
            if wiped {
                cluster.wipe(node(3));
                cluster.settings.get_mut(&node(3)).unwrap().cluster.doubt = Some(77);
            }
            cluster.start(node(3));
            cluster.pass(100);
            cluster.create(LOG, &members());
            cluster.pass(3_000);
            let high_watermark = cluster.state(node(3), LOG).1;
            assert_eq!(high_watermark, Offset(28), "{what}: {}", cluster.describe(LOG));
            assert_eq!(
                cluster.raft(node(3), LOG).unwrap().log().first(),
                cluster.raft(leader, LOG).unwrap().log().first()
            );
            if checkpointed {
                cluster.call(node(3), LOG, |groups, out| groups.begin_checkpoint(out));
                cluster.pass(100);
            }
            cluster.kill(node(3));
            cluster.produce(leader, LOG, 70);
            cluster.start(node(3));
            cluster.pass(2_000);
            assert_eq!(cluster.state(node(3), LOG).1, Offset(29), "{what}: {}", cluster.describe(LOG));
            // It leads as well as any other.
            cluster.kill(leader);
            let new = cluster.leader(LOG);
            cluster.produce(new, LOG, 70);
            cluster.pass(100);
            cluster.start(leader);
            cluster.assert_agree(LOG, &members());
            assert_eq!(cluster.state(new, LOG).1, Offset(30), "{what}");
        }
    }
}

/// A node that has forgotten what it acknowledged and does not know it breaks its promise; it is asked again with each
/// heartbeat, and not as fast as the network carries it.
#[test]
fn a_node_that_forgot_without_knowing_it_keeps_nobody_busy() {
    let (mut cluster, leader) = led(LOG);
    (0..5).for_each(|_| cluster.produce(leader, LOG, 1_000));
    cluster.pass(200);
    cluster.kill(node(3));
    cluster.wipe(node(3));
    cluster.start(node(3));
    cluster.pass(100);
    cluster.create(LOG, &members());
    let before = cluster.carried;
    cluster.pass(5_000);
    let said = cluster.carried - before;
    assert!(said < 200_000, "{said} bytes in 5 s");
    cluster.produce(leader, LOG, 1_000);
    cluster.pass(100);
    assert_eq!(cluster.state(leader, LOG).1, Offset(6), "the others go on");
}

/// How many records a node has from an offset on, which it has in memory.
fn records_from(cluster: &mut Cluster, id: NodeId, offset: i64) -> u64 {
    let asker = Asker { place: Place { node: id, shard: ShardId(0) }, token: Token(1 << 41) };
    let (max_bytes, from) = (1 << 20, ReadFrom::Any { near: None });
    let part = FetchPart { position: 0, group: LOG, offset: Offset(offset), max_bytes, epoch: -1, from };
    let request = FetchRequest { asker, reader: Flow::Inside, parts: vec![part], max_bytes, may_wait: false };
    let answer = cluster.call(id, LOG, |groups, out| {
        groups.fetch(out, request);
        out.answers.pop_back()
    });
    let Some((_, Answer::Fetched(parts))) = answer else { panic!("no answer of node {id}") };
    parts[0].1.as_ref().unwrap_or_else(|refusal| panic!("node {id}: {refusal:?}")).count
}

/// Records are deleted while a follower is away, others behind them are not. It hears of all of it at once, and has what is left.
#[test]
fn a_follower_that_hears_late_of_a_deletion_keeps_what_was_not_deleted() {
    let (mut cluster, leader) = led(LOG);
    (0..3).for_each(|_| cluster.produce(leader, LOG, 500));
    cluster.pass(200);
    let late = members().into_iter().find(|id| *id != leader).unwrap();
    cluster.kill(late);
    (3..9).for_each(|_| cluster.produce(leader, LOG, 500));
    cluster.pass(200);
    let asker = Asker { place: Place { node: leader, shard: ShardId(0) }, token: Token(1 << 40) };
    cluster.call(leader, LOG, |groups, out| groups.delete_records(out, asker, vec![(0, LOG, Offset(5))]));
    cluster.pass(200);
    assert_eq!(cluster.raft(leader, LOG).unwrap().log().first(), Index(1), "{}", cluster.describe(LOG));
    cluster.start(late);
    cluster.assert_agree(LOG, &members());
    for id in members() {
        assert_eq!(records_from(&mut cluster, id, 5), 4, "node {id}: {}", cluster.describe(LOG));
    }
    let end = cluster.committed(late, LOG);
    assert!(cluster.raft(late, LOG).unwrap().log().first() < end, "{}", cluster.describe(LOG));
}

/// A follower that comes when compaction has been there gets what is left, and offsets go on as they did.
#[test]
fn a_follower_gets_what_compaction_has_left() {
    let mut cluster = Cluster::with([1, 1, 1], |settings| settings.compaction_backoff_ms = 1_000);
    cluster.pass(500);
    cluster.create(LOG, &members());
    let leader = cluster.leader(LOG);
    let compacts = TopicConfig { cleanup_policy: CleanupPolicy::Compact, ..TopicConfig::default() };
    cluster.kill(node(3));
    cluster.call(leader, LOG, |groups, _| groups.set_cleanup(&compacts, [LOG].into_iter()));
    (0..70).for_each(|_| cluster.produce(leader, LOG, 9_000));
    cluster.pass(20_000);
    (0..7).for_each(|_| cluster.produce(leader, LOG, 9_000));
    cluster.pass(20_000);
    let removed = cluster.count(leader, |stats| &stats.compaction_removed_bytes_total);
    assert!(removed > 9_000 * 50, "{removed} bytes: {:?}", cluster.logs(leader));
    cluster.start(node(3));
    cluster.pass(100);
    cluster.create(LOG, &members());
    cluster.pass(5_000);
    let all = cluster.committed(leader, LOG);
    assert_eq!(cluster.committed(node(3), LOG), all, "{}", cluster.describe(LOG));
    assert_eq!(cluster.state(node(3), LOG).1, Offset(77));
    // Consumers that begin at the beginning find it on all nodes.
    for id in members() {
        assert_eq!(cluster.call(id, LOG, |groups, _| groups.log_start(LOG)), Some(Offset(0)), "{id:?}");
    }
    cluster.kill(leader);
    let new = cluster.leader(LOG);
    cluster.produce(new, LOG, 100);
    cluster.pass(100);
    assert_eq!(cluster.state(new, LOG).1, Offset(78));
}

/// Followers compact what they have as the leader does: their disks would be full of what has gone from the leader's.
#[test]
fn all_replicas_are_compacted_whoever_leads() {
    let mut cluster = Cluster::with([1, 1, 1], |settings| settings.compaction_backoff_ms = 1_000);
    cluster.pass(500);
    cluster.create(LOG, &members());
    let leader = cluster.leader(LOG);
    let compacts = TopicConfig { cleanup_policy: CleanupPolicy::Compact, ..TopicConfig::default() };
    for id in members() {
        cluster.call(id, LOG, |groups, _| groups.set_cleanup(&compacts, [LOG].into_iter()));
    }
    (0..70).for_each(|_| cluster.produce(leader, LOG, 9_000));
    cluster.pass(20_000);
    (0..7).for_each(|_| cluster.produce(leader, LOG, 9_000));
    cluster.pass(20_000);
    for id in members() {
        let removed = cluster.count(id, |stats| &stats.compaction_removed_bytes_total);
        assert!(removed > 9_000 * 50, "node {id}: {removed} bytes: {:?}", cluster.logs(id));
    }
    cluster.assert_agree(LOG, &members());
    cluster.kill(leader);
    let new = cluster.leader(LOG);
    cluster.produce(new, LOG, 100);
    cluster.start(leader);
    cluster.pass(2_000);
    cluster.assert_agree(LOG, &members());
    assert_eq!(cluster.state(leader, LOG).1, Offset(78));
}

/// A node whose disk fails leads nothing any more, and is as good as gone: it is not called again and again, nor told what it
/// does not take in.
#[test]
fn a_node_whose_disk_fails_is_out_at_once() {
    for which in [1, 3] {
        let (mut cluster, leader) = led(LOG);
        assert_eq!(leader, node(1));
        cluster.disk(node(which), 0).fail_write = true;
        cluster.produce(leader, LOG, 100);
        cluster.pass(10);
        assert_eq!(cluster.links(node(which)), 0, "{:?}", cluster.logs(node(which)));
        cluster.pass(1_500);
        cluster.cut = members().into_iter().filter(|id| *id != node(which)).map(|id| (node(which), id)).collect();
        let new = cluster.leader(LOG);
        assert_eq!(new == leader, which == 3);
        cluster.cut.clear();
        let (calls, said) = (cluster.calls.len(), cluster.carried);
        for _ in 0..20 {
            cluster.produce(new, LOG, 100);
            cluster.pass(100);
        }
        assert!(cluster.state(new, LOG).1 >= Offset(20), "the others go on: {}", cluster.describe(LOG));
        assert!(cluster.calls.len() - calls < 20 && cluster.carried - said < 50_000);
        cluster.kill(node(which));
        cluster.start(node(which));
        cluster.assert_agree(LOG, &members());
    }
}

/// Clients may hold all shared receive buffers: what leaders, followers and strangers say is received all the same.
#[test]
fn links_need_no_shared_receive_buffers() {
    let (mut cluster, leader) = led(LOG);
    cluster.starving = true;
    for round in 1..=20 {
        cluster.produce(leader, LOG, if round % 5 == 0 { 200_000 } else { 500 });
        cluster.pass(50);
        assert_eq!(cluster.state(leader, LOG).1, Offset(round), "it commits");
    }
    assert!(members().into_iter().all(|id| cluster.count(id, |stats| &stats.peer_links_lost_total) == 0));
    // One that comes now finds its way in.
    let follower = members().into_iter().find(|id| *id != leader).expect("there are three");
    cluster.kill(follower);
    cluster.produce(leader, LOG, 100_000);
    cluster.start(follower);
    cluster.pass(2_000);
    cluster.assert_agree(LOG, &members());
}

/// Large entries are written at a follower from where they landed, and leave the leader from where it received them.
#[test]
fn large_entries_are_copied_nowhere() {
    let (mut cluster, leader) = led(LOG);
    let stats = |cluster: &Cluster, id| cluster.shard(id, 0).groups.wal_stats();
    let before = members().map(|id| stats(&cluster, id));
    let (count, size) = (6, 1_000_000);
    for _ in 0..count {
        cluster.produce(leader, LOG, size);
        cluster.run();
    }
    cluster.pass(50);
    for (id, before) in members().into_iter().zip(before) {
        let gathered = stats(&cluster, id).gathered_bytes - before.gathered_bytes;
        assert!(gathered >= (count * size) as u64, "node {id}: {gathered} bytes were written from where they were");
    }
    // The heads of frames are all that the links of the leader have in memory of their own.
    let own = cluster.shard(leader, 0).links.pool().used();
    assert!(own < LARGE_FRAME, "{own} bytes");
    cluster.assert_agree(LOG, &members());
}

/// Nothing is said of a group that has nothing to do: nodes say that they are there, and no more.
#[test]
fn an_idle_cluster_says_beats_and_nothing_else() {
    let (mut cluster, leader) = led(LOG);
    for group in 2_000..2_100 {
        cluster.create(GroupId(group), &members());
    }
    cluster.produce(leader, LOG, 100);
    cluster.pass(5_000);
    let before = cluster.carried;
    cluster.pass(10_000);
    let said = cluster.carried - before;
    let beat = torc_net::peer::beat().len() as u64;
    let most = 6 * (10_000 / 100 + 1) * beat;
    assert!(said <= most && said >= most / 2, "{said} bytes in 10 s, of at most {most}");
}

/// How long it took to notice that a node is gone is measured: by its silence, and at once when its process ended.
#[test]
fn how_soon_a_node_that_is_gone_was_noticed_is_counted() {
    for powered_off in [true, false] {
        let mut cluster = Cluster::new([1, 1, 1]);
        cluster.pass(1_000);
        let beats = |cluster: &Cluster| {
            let sent = cluster.count(node(1), |stats| &stats.peer_beats_sent_total);
            (sent, cluster.count(node(1), |stats| &stats.peer_beats_received_total))
        };
        let before = beats(&cluster);
        cluster.pass(1_000);
        let after = beats(&cluster);
        // Ten a second to each of two and from each of two.
        assert!((15..=25).contains(&(after.0 - before.0)) && (15..=25).contains(&(after.1 - before.1)), "{after:?}");
        if powered_off {
            cluster.power_off(node(3))
        } else {
            cluster.kill(node(3))
        }
        cluster.pass(800);
        assert_eq!(cluster.count(node(1), |stats| &stats.peer_detections_total), 1);
        let us = cluster.count(node(1), |stats| &stats.peer_detection_last_us);
        let expected = if powered_off { 490_000..=510_000 } else { 0..=110_000 };
        assert!(expected.contains(&us), "{us} us, powered off: {powered_off}");
        assert_eq!(cluster.count(node(1), |stats| &stats.peer_detection_us_total), us);
    }
}

#[test]
fn what_was_on_its_way_to_the_disk_says_nothing_of_a_group_that_is_made_again() {
    let (mut cluster, leader) = led(LOG);
    cluster.disk(leader, 0).hold_writes = true;
    cluster.produce(leader, LOG, 2_000);
    cluster.pass(20);
    // Its replica moves away from here, and back at once.
    cluster.call(leader, LOG, |groups, out| {
        groups.by_hand.remove(&LOG);
        groups.drop_group(out, LOG);
        groups.by_hand.insert(LOG);
    });
    cluster.create(LOG, &members());
    cluster.disk(leader, 0).release();
    cluster.pass(100);
    assert!(cluster.raft(leader, LOG).is_some_and(|raft| raft.marks().durable <= raft.log().last()));
}
