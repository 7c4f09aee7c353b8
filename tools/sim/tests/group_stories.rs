//! What consumer groups are promised, over crashes, told as stories; each is told with several seeds. The coordinator's
//! own stories, without a disk and a wire, are in `engine/state/src/coordinator`.

use torc_shard::{CleanerSettings, CoordinatorSettings, Shard};
use torc_sim::group_story::{GROUP, Held, Logged, Teller};
use torc_sim::history::code;
use torc_sim::node;
use torc_sim::story::{Answer, Story};

/// A server with a topic `t` of `partitions` partitions and a coordinator that serves, told with `seeds` seeds. A group
/// waits for no newcomers.
fn stories(seeds: u64, partitions: i32, tell: impl Fn(u64, &mut Story<Shard>)) {
    for seed in 1..=seeds {
        let mut story = node::story(seed);
        story.coordinator = quick();
        story.kill().boot();
        assert_eq!(story.create("t", partitions), Answer::Ok(0), "seed {seed}");
        story.find();
        tell(seed, &mut story);
    }
}

fn quick() -> CoordinatorSettings {
    CoordinatorSettings { min_session_timeout_ms: 1, initial_rebalance_delay_ms: 50, ..CoordinatorSettings::default() }
}

/// The plug is pulled, and the server starts again.
fn restart(story: &mut Story<Shard>) {
    story.cut_power().boot();
    story.find();
}

#[test]
fn a_commit_is_acknowledged_and_the_power_cut_and_the_offset_is_there() {
    stories(10, 1, |seed, story| {
        for offset in [5, 9, 3] {
            assert_eq!(story.commits(GROUP, "", -1, &[(0, offset)]), code::NONE, "seed {seed}");
            restart(story);
            assert_eq!(story.committed(GROUP), offset, "seed {seed}");
        }
    });
}

#[test]
fn members_are_told_of_a_generation_and_the_power_cut_and_no_other_one_gets_its_number() {
    stories(10, 2, |seed, story| {
        let mut members = [Teller::new(1, 5, None), Teller::new(2, 5, None)];
        assert_eq!(story.settle(&mut members, 2).concat().len(), 2, "seed {seed}");
        let told = members[0].generation;
        restart(story);
        // They are where they were, and one who comes makes the next generation.
        assert_eq!(story.heartbeat(&members[0]), code::NONE, "seed {seed}");
        let mut third = Teller::new(3, 3, None);
        story.joins(&third);
        story.wait(20);
        assert_eq!(story.heartbeat(&members[0]), code::REBALANCE, "seed {seed}");
        members.iter().for_each(|member| story.joins(member));
        assert_eq!(story.joined(&mut third), code::NONE, "seed {seed}");
        members.iter_mut().for_each(|member| assert_eq!(story.joined(member), code::NONE, "seed {seed}"));
        let next = third.generation;
        assert!(next > told, "seed {seed}: {next} after {told}");
        // The leader has not assigned when the power is cut: the generation goes on where it was.
        restart(story);
        members.iter().chain([&third]).for_each(|member| story.syncs(member, 2));
        let shares: Vec<_> = members.iter().chain([&third]).map(|member| story.synced(member)).collect();
        let mut parts: Vec<i32> = shares.into_iter().flat_map(|share| share.expect("assigned")).collect();
        parts.sort_unstable();
        assert_eq!(parts, [0, 1], "seed {seed}");
    });
}

#[test]
fn a_static_member_is_told_its_new_id_and_the_power_cut_and_the_old_process_is_fenced() {
    stories(10, 2, |seed, story| {
        let mut members = [Teller::new(1, 5, Some("static-1")), Teller::new(2, 5, Some("static-2"))];
        let before = story.settle(&mut members, 2);
        let old = members[0].clone();
        members[0].restarts();
        assert_eq!(story.join(&mut members[0]), code::NONE, "seed {seed}");
        assert_ne!(members[0].id, old.id, "seed {seed}");
        restart(story);
        assert_eq!(story.heartbeat(&members[0]), code::NONE, "seed {seed}: nobody knows the new id");
        assert_eq!(story.heartbeat(&old), code::FENCED_INSTANCE, "seed {seed}");
        assert_eq!(story.heartbeat(&members[1]), code::NONE, "seed {seed}: the group does not rebalance");
        story.syncs(&members[0], 2);
        assert_eq!(story.synced(&members[0]), Ok(before[0].clone()), "seed {seed}: what it had is its own");
    });
}

#[test]
fn a_leader_of_old_assigns_to_static_members_that_it_cannot_tell_from_others() {
    stories(10, 3, |seed, story| {
        // Before version 5 of JoinGroup there are no instances: the leader is told ids alone.
        let mut members = [Teller::new(1, 4, None)];
        assert_eq!(story.settle(&mut members, 3), [[0, 1, 2]], "seed {seed}");
        let mut member = Teller::new(2, 5, Some("static-1"));
        story.joins(&member);
        story.wait(20);
        assert_eq!(story.join(&mut members[0]), code::NONE, "seed {seed}");
        assert_eq!(story.joined(&mut member), code::NONE, "seed {seed}");
        assert_eq!((members[0].members.len(), &member.leader), (2, &members[0].id), "seed {seed}");
        story.syncs(&member, 3);
        story.syncs(&members[0], 3);
        let share = story.synced(&member).expect("assigned");
        assert!(!share.is_empty() && story.synced(&members[0]).is_ok_and(|rest| rest.len() + share.len() == 3));
        // The static one restarts beside it, and so does the server: nobody rebalances, nobody loses anything.
        member.restarts();
        assert_eq!(story.join(&mut member), code::NONE, "seed {seed}");
        restart(story);
        assert_eq!(story.heartbeat(&members[0]), code::NONE, "seed {seed}");
        story.syncs(&member, 3);
        assert_eq!(story.synced(&member), Ok(share), "seed {seed}");
    });
}

#[test]
fn a_member_whose_sync_never_comes_holds_up_the_others_for_its_timeout_over_a_restart() {
    stories(10, 2, |seed, story| {
        let mut members = [Teller::new(1, 5, None), Teller::new(2, 5, None)];
        for member in &mut members {
            member.session_ms = 60_000;
            story.joins(member);
            assert_eq!(story.joined(member), code::ID_REQUIRED);
        }
        members.iter().for_each(|member| story.joins(member));
        members.iter_mut().for_each(|member| assert_eq!(story.joined(member), code::NONE, "seed {seed}"));
        let leads = usize::from(members[1].leader == members[1].id);
        if seed % 2 == 0 {
            restart(story);
        }
        // The leader has died after it was told that it leads.
        let mut other = members[1 - leads].clone();
        story.syncs(&other, 2);
        assert_eq!(story.synced(&other), Err(code::REBALANCE), "seed {seed}");
        assert_eq!(story.join(&mut other), code::NONE, "seed {seed}");
        assert_eq!((other.members.len(), &other.leader), (1, &other.id), "seed {seed}");
        story.syncs(&other, 2);
        assert_eq!(story.synced(&other), Ok(vec![0, 1]), "seed {seed}");
    });
}

#[test]
fn offsets_expire_while_the_group_rebalances_and_the_power_is_cut_and_they_are_there() {
    stories(6, 1, |seed, story| {
        story.coordinator.offsets_retention_ms = 500;
        story.coordinator.offsets_retention_check_interval_ms = 50;
        restart(story);
        let mut member = Teller { session_ms: 60_000, rebalance_ms: 4_000, ..Teller::new(1, 5, None) };
        assert_eq!(story.join(&mut member), code::NONE, "seed {seed}");
        story.syncs(&member, 1);
        assert_eq!(story.synced(&member), Ok(vec![0]), "seed {seed}");
        assert_eq!(story.commits(GROUP, &member.id, member.generation, &[(0, 7)]), code::NONE, "seed {seed}");
        // Another one comes; the first does not join again for longer than offsets are kept.
        story.joins(&Teller::new(2, 3, None));
        story.wait(1_500);
        assert_eq!(story.heartbeat(&member), code::REBALANCE, "seed {seed}");
        assert_eq!(story.committed(GROUP), 7, "seed {seed}: expired in a rebalance");
        restart(story);
        story.wait(1_500);
        assert_eq!(story.heartbeat(&member), code::NONE, "seed {seed}");
        assert_eq!(story.committed(GROUP), 7, "seed {seed}: expired under its consumer");
    });
}

/// What expired is gone from the log too, and what was committed in its place is not, whenever the power is cut.
#[test]
fn an_offset_expires_beside_a_commit_and_the_power_is_cut_and_nothing_comes_back() {
    stories(20, 1, |seed, story| {
        story.coordinator.offsets_retention_ms = 300;
        story.coordinator.offsets_retention_check_interval_ms = 10;
        restart(story);
        assert_eq!(story.commits(GROUP, "", -1, &[(0, 7)]), code::NONE, "seed {seed}");
        // Shortly before it expires, while it does, or shortly behind that.
        story.wait(285 + seed * 2);
        assert_eq!(story.commits(GROUP, "", -1, &[(0, 8)]), code::NONE, "seed {seed}");
        restart(story);
        assert_eq!(story.committed(GROUP), 8, "seed {seed}");
        story.wait(400);
        assert_eq!(story.committed(GROUP), -1, "seed {seed}");
        restart(story);
        assert_eq!(story.committed(GROUP), -1, "seed {seed}: what had expired is back");
    });
}

/// The answer to a join is lost, and later the one that tells of a new epoch: the member is not fenced by what it does not
/// know.
#[test]
fn what_a_member_of_the_consumer_protocol_is_told_is_lost_with_the_power_and_it_goes_on() {
    let parts = |held: &[Held]| held.iter().map(|topic| topic.partitions.len()).sum::<usize>();
    stories(20, 2, |seed, story| {
        story.beats(1, "one", 0, &[]);
        story.wait_us(seed * 37);
        restart(story);
        story.beats(1, "one", 0, &[]);
        let (epoch, held) = story.beaten(1).unwrap_or_else(|error| panic!("seed {seed}: it is refused: {error}"));
        assert!(epoch >= 1 && parts(&held) == 2, "seed {seed}: epoch {epoch}, {held:?}");
        // Another one comes, so that the first is to give one back.
        story.beats(2, "two", 0, &[]);
        let (newer, nothing) = story.beaten(2).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(newer > epoch && parts(&nothing) == 0, "seed {seed}: epoch {newer}, {nothing:?}");
        story.beats(1, "one", epoch, &held);
        story.wait_us(seed * 37);
        restart(story);
        story.beats(1, "one", epoch, &held);
        let (_, mut left) = story.beaten(1).unwrap_or_else(|error| panic!("seed {seed}: it is refused: {error}"));
        let mut epoch = epoch;
        for _ in 0..4 {
            story.beats(1, "one", epoch, &left);
            let (now, told) = story.beaten(1).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            (epoch, left) = (now, told);
        }
        story.beats(2, "two", newer, &[]);
        let (last, share) = story.beaten(2).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!((epoch, last, parts(&left), parts(&share)), (newer, newer, 1, 1), "seed {seed}");
    });
}

/// The cleaner works from now on.
fn clean(story: &mut Story<Shard>) {
    story.cleaner = CleanerSettings::default();
    restart(story);
}

/// Waits until the coordinator's log has been compacted to what `left` says; what is left.
fn compacted(story: &mut Story<Shard>, seed: u64, left: impl Fn(&[Logged]) -> bool) -> Vec<Logged> {
    for _ in 0..60 {
        let logged = story.logged();
        if left(&logged) {
            return logged;
        }
        story.wait(5_000);
    }
    panic!("seed {seed}: the log is not compacted: {:?}", story.logged());
}

#[test]
fn only_tombstones_of_a_group_are_left_and_it_begins_anew() {
    stories(6, 1, |seed, story| {
        clean(story);
        for offset in 1..=5 {
            assert_eq!(story.commits(GROUP, "", -1, &[(0, offset)]), code::NONE, "seed {seed}");
        }
        assert_eq!(story.deletes_group(), code::NONE, "seed {seed}");
        // The last entry of a log always stays as it is.
        assert_eq!(story.commits("other", "", -1, &[(0, 1)]), code::NONE, "seed {seed}");
        assert_eq!(story.commits("other", "", -1, &[(0, 2)]), code::NONE, "seed {seed}");
        let of_group = |logged: &[Logged]| logged.iter().filter(|one| one.offset < 6).cloned().collect::<Vec<_>>();
        let left = compacted(story, seed, |logged| of_group(logged).iter().all(|one| !one.has_value));
        assert!(!of_group(&left).is_empty(), "seed {seed}: tombstones stay for their time: {left:?}");
        restart(story);
        assert_eq!(story.committed(GROUP), -1, "seed {seed}");
        assert_eq!(story.deletes_group(), code::NO_GROUP, "seed {seed}");
        assert_eq!(story.committed("other"), 2, "seed {seed}");
        restart(story);
        assert_eq!(story.committed(GROUP), -1, "seed {seed}");
        assert_eq!(story.commits(GROUP, "", -1, &[(0, 7)]), code::NONE, "seed {seed}");
        restart(story);
        assert_eq!((story.committed(GROUP), story.committed("other")), (7, 2), "seed {seed}");
    });
}

/// The group is written down again and again, the offset once: compaction leaves the offset in front.
#[test]
fn a_commit_is_left_in_front_of_its_groups_record_and_the_power_cut_and_both_are_there() {
    stories(6, 2, |seed, story| {
        clean(story);
        let long = |client| Teller { session_ms: 900_000, ..Teller::new(client, 5, None) };
        let mut members = [long(1), long(2)];
        story.settle(&mut members[..1], 2);
        assert_eq!(story.commits(GROUP, &members[0].id, members[0].generation, &[(0, 42)]), code::NONE, "seed {seed}");
        story.settle(&mut members, 2);
        assert_eq!(story.commits("other", "", -1, &[(0, 1)]), code::NONE, "seed {seed}");
        assert_eq!(story.commits("other", "", -1, &[(0, 2)]), code::NONE, "seed {seed}");
        let left = compacted(story, seed, |logged| logged.first().is_some_and(|first| first.about < 2));
        assert!(left.iter().any(|one| one.about == 2 && one.has_value), "seed {seed}: {left:?}");
        restart(story);
        assert_eq!(story.committed(GROUP), 42, "seed {seed}");
        members.iter().for_each(|member| assert_eq!(story.heartbeat(member), code::NONE, "seed {seed}"));
        let last = &members[1];
        assert_eq!(story.commits(GROUP, &last.id, last.generation - 1, &[(0, 1)]), code::OLD_GENERATION, "seed {seed}");
        assert_eq!(story.commits(GROUP, &last.id, last.generation, &[(0, 43)]), code::NONE, "seed {seed}");
        restart(story);
        assert_eq!(story.committed(GROUP), 43, "seed {seed}");
    });
}

#[test]
fn a_commit_is_left_in_front_of_the_epochs_of_its_group_and_the_power_cut_and_both_are_there() {
    stories(6, 1, |seed, story| {
        story.coordinator.consumer_session_timeout_ms = 900_000;
        clean(story);
        story.beats(1, "one", 0, &[]);
        let (epoch, held) = story.beaten(1).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(story.commits(GROUP, "one", epoch, &[(0, 42)]), code::NONE, "seed {seed}");
        story.beats(2, "two", 0, &[]);
        let (newer, _) = story.beaten(2).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        story.beats(1, "one", epoch, &held);
        let (now, held) = story.beaten(1).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(now, newer, "seed {seed}");
        // The second one goes, and everything is written down once more.
        story.beats(2, "two", -1, &[]);
        assert!(story.beaten(2).is_ok(), "seed {seed}");
        story.beats(1, "one", now, &held);
        let (last, _) = story.beaten(1).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(story.commits("other", "", -1, &[(0, 1)]), code::NONE, "seed {seed}");
        assert_eq!(story.commits("other", "", -1, &[(0, 2)]), code::NONE, "seed {seed}");
        let epochs_behind = |logged: &[Logged]| {
            let commit = logged.iter().position(|one| one.about < 2);
            let epoch = logged.iter().position(|one| one.about == 3);
            commit.zip(epoch).is_some_and(|(commit, epoch)| commit < epoch)
        };
        compacted(story, seed, epochs_behind);
        restart(story);
        assert_eq!(story.committed(GROUP), 42, "seed {seed}");
        story.beats(1, "one", last, &held);
        assert!(story.beaten(1).is_ok_and(|(epoch, _)| epoch == last), "seed {seed}");
        assert_eq!(story.commits(GROUP, "one", last, &[(0, 43)]), code::NONE, "seed {seed}");
        restart(story);
        assert_eq!(story.committed(GROUP), 43, "seed {seed}");
    });
}
