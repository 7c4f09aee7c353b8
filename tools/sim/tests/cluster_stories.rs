//! What three nodes promise, told as stories: of the rows of replication those that whole nodes have a part in. (What members of
//! one group do among themselves is told in `engine/consensus/testdata`.) Each is told with several seeds, which vary times,
//! orders and what a power cut keeps.

use torc_base::limits::{ENTRY_BYTES_ANYWHERE, SEGMENT_BYTES_MIN};
use torc_shard::Shard;
use torc_sim::cluster::{ClusterStory, NODES};
use torc_sim::node;

fn stories(seeds: u64, tell: impl Fn(u64, &mut ClusterStory<Shard>)) {
    for seed in 1..=seeds {
        tell(seed, &mut node::cluster_story(seed));
    }
}

/// All of `acked` is there, in this order, whatever else is.
fn has_all(story: &mut ClusterStory<Shard>, acked: &[u64], when: &str) {
    let there = story.read();
    let kept: Vec<u64> = there.iter().copied().filter(|number| acked.contains(number)).collect();
    assert_eq!(kept, acked, "{when}: {there:?} is there\n{}", story.trail.tail());
}

/// The two that are not this one.
fn others(node: usize) -> [usize; 2] {
    [(node + 1) % NODES, (node + 2) % NODES]
}

#[test]
fn an_old_leader_comes_back_with_what_nobody_else_has_and_gives_it_up() {
    stories(4, |seed, story| {
        let mut acked = story.produce(3);
        let old = story.leader();
        story.isolate(old);
        assert!(!story.produce_in_vain(old, 1), "seed {seed}: acknowledged by one of three");
        acked.extend(story.produce(3));
        let new = story.leader();
        assert_ne!(new, old, "seed {seed}");
        story.mend();
        // The new leader goes as soon as the old one can be heard again.
        story.wait(seed * 60);
        story.kill(new);
        has_all(story, &acked, "after the old leader came back");
        story.boot(new);
        acked.extend(story.produce(1));
        has_all(story, &acked, "in the end");
    });
}

#[test]
fn a_catalog_is_damaged_and_its_node_is_there_with_one_other_and_nothing_is_deleted() {
    stories(6, |seed, story| {
        let mut acked = story.produce(5);
        let victim = (seed as usize) % NODES;
        story.cut_power(victim);
        assert!(story.rot(victim, 6) > 0, "seed {seed}: nothing rotted");
        story.boot(victim);
        story.wait(200);
        story.kill(others(victim)[0]);
        // Who has forgotten something leads nobody into deleting it, nor is it waited for for ever.
        story.wait(3_000);
        story.boot(others(victim)[0]);
        has_all(story, &acked, "with a damaged catalog");
        story.wait(5_000);
        story.kill(others(victim)[1]);
        acked.extend(story.produce(1));
        has_all(story, &acked, "when it has been mended");
    });
}

#[test]
fn a_disk_is_empty_and_its_node_gets_everything_from_the_others_before_it_counts() {
    stories(4, |seed, story| {
        let mut acked = story.produce(5);
        let victim = story.leader();
        story.kill(victim);
        story.replace_disk(victim);
        story.boot(victim);
        story.wait(seed * 10);
        // One that knows nothing and one that was there: what is acknowledged is on the second.
        story.kill(others(victim)[0]);
        story.wait(1_000);
        story.boot(others(victim)[0]);
        acked.extend(story.produce(1));
        story.wait(8_000);
        story.kill(others(victim)[1]);
        acked.extend(story.produce(1));
        has_all(story, &acked, "when it has everything");
    });
}

#[test]
fn two_are_paused_and_the_third_without_power_and_then_it_is_the_other_way_round() {
    stories(4, |seed, story| {
        let mut acked = story.produce(3);
        let third = story.leader();
        let [one, two] = others(third);
        story.world.pause_node(one, 2_000_000_000);
        story.world.pause_node(two, 2_000_000_000);
        story.wait(50 * seed);
        story.cut_power(third);
        story.wait(1_000);
        story.boot(third);
        story.wait(500);
        story.world.pause_node(third, 3_000_000_000);
        acked.extend(story.produce(3));
        has_all(story, &acked, "while the third is paused");
        story.wait(4_000);
        has_all(story, &acked, "when all are back");
    });
}

#[test]
fn a_disk_is_slow_and_nobody_waits_for_it_and_it_catches_up() {
    stories(3, |seed, story| {
        let mut acked = story.produce(2);
        let slow = others(story.leader())[(seed % 2) as usize];
        let began = story.world.now();
        story.slow_disk(slow, 2_000, 3_000);
        acked.extend(story.produce(40));
        assert!(story.world.now() - began < 3_000_000_000, "seed {seed}: the others waited for the slow one");
        story.wait(10_000);
        let leader = story.leader();
        story.kill(if leader == slow { others(slow)[0] } else { leader });
        has_all(story, &acked, "with what the slow one has");
    });
}

#[test]
fn the_power_of_all_fails_between_what_is_applied_and_the_note_of_it_and_nothing_is_there_twice() {
    stories(4, |seed, story| {
        let mut acked = Vec::new();
        for round in 0..4 {
            acked.extend(story.produce(2));
            let leader = story.leader();
            story.produce_in_vain(leader, (seed as usize + round) % 2);
            story.world.step().expect("a step");
            (0..NODES).for_each(|node| story.cut_power(node));
            (0..NODES).for_each(|node| story.boot(node));
        }
        let there = story.read();
        let mut once = there.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), there.len(), "seed {seed}: something is there twice: {there:?}");
        has_all(story, &acked, "after four power cuts");
    });
}

/// Longer than the smallest segments take.
const LONG: usize = ENTRY_BYTES_ANYWHERE + 50_000;
const MESSAGE_TOO_LARGE: i16 = 10;

#[test]
fn one_node_takes_less_than_the_others_and_nothing_is_acknowledged_that_it_could_not_take() {
    for seed in 1..=6 {
        let small = seed as usize % NODES;
        let mut segments = [4 * SEGMENT_BYTES_MIN; NODES];
        segments[small] = SEGMENT_BYTES_MIN;
        let mut story = node::uneven_story(seed, segments);
        let mut acked = story.produce(3);
        assert_eq!(story.produce_long(LONG), Err(MESSAGE_TOO_LARGE), "seed {seed}: whoever leads knows all three");
        // It is away, and those who are left have been started anew: none of them has heard of it.
        story.kill(small);
        assert_eq!(story.produce_long(LONG), Err(MESSAGE_TOO_LARGE), "seed {seed}: it may come back");
        for other in others(small) {
            story.kill(other);
            story.boot(other);
        }
        acked.extend(story.produce(2));
        assert_eq!(story.produce_long(LONG), Err(MESSAGE_TOO_LARGE), "seed {seed}: the catalog knows it");
        // It has all that was acknowledged: with one of the others it is enough.
        story.boot(small);
        story.wait(5_000);
        story.kill(others(small)[seed as usize % 2]);
        acked.extend(story.produce(2));
        has_all(&mut story, &acked, "with the small one");
        assert_eq!(story.held(Shard::held_back), None, "seed {seed}");
    }
}

#[test]
fn a_smaller_disk_takes_the_place_of_one_and_the_others_go_on_and_say_what_it_lacks() {
    for seed in 1..=4 {
        let mut story = node::uneven_story(seed, [4 * SEGMENT_BYTES_MIN; NODES]);
        let mut acked = story.produce(2);
        acked.push(story.produce_long(LONG).expect("all three take it"));
        acked.extend(story.produce(2));
        let victim = seed as usize % NODES;
        story.kill(victim);
        story.replace_disk(victim);
        story.segments[victim] = SEGMENT_BYTES_MIN;
        story.boot(victim);
        story.wait(5_000);
        assert_eq!(story.produce_long(LONG), Err(MESSAGE_TOO_LARGE), "seed {seed}");
        acked.extend(story.produce(2));
        has_all(&mut story, &acked, "the others go on");
        let why = story.held(Shard::held_back).expect("its replica cannot get the long one");
        assert!(why.contains(&format!("node {} takes", victim + 1)), "seed {seed}: {why}");
        // The disk that it should have had.
        story.kill(victim);
        story.replace_disk(victim);
        story.segments[victim] = 4 * SEGMENT_BYTES_MIN;
        story.boot(victim);
        story.wait(15_000);
        acked.push(story.produce_long(LONG).expect("all three take it again"));
        story.kill(others(victim)[0]);
        acked.extend(story.produce(1));
        has_all(&mut story, &acked, "with the new disk");
    }
}

#[test]
fn every_disk_has_lost_other_entries_and_the_nodes_lead_again_and_have_all() {
    stories(8, |seed, story| {
        let mut acked = story.produce(10);
        for round in 0..2 {
            // Something says of the last ones, too, that they are durable.
            story.wait(1_500);
            (0..NODES).for_each(|node| story.cut_power(node));
            let rotten = story.scatter(2);
            let what = format!("seed {seed}, round {round}: {rotten:?} entries rotted");
            assert!(rotten.iter().all(|count| *count > 0), "{what}");
            (0..NODES).for_each(|node| story.boot(node));
            acked.extend(story.produce(3));
            has_all(story, &acked, &what);
        }
    });
}

#[test]
fn an_entry_that_every_disk_has_lost_is_named_and_waited_for() {
    stories(3, |seed, story| {
        story.produce(8);
        story.wait(1_500);
        (0..NODES).for_each(|node| story.cut_power(node));
        let lost = story.lose_one().unwrap_or_else(|| panic!("seed {seed}: nothing rotted"));
        (0..NODES).for_each(|node| story.boot(node));
        let told = format!("entry {lost} of term");
        let said = (0..600).any(|_| {
            story.wait(50);
            story.has_said(&told) && story.has_said("delete the topic")
        });
        assert!(said, "seed {seed}: nobody says that {told} is lost\n{}", story.trail.tail());
        let acked = (0..NODES).any(|node| story.produce_in_vain(node, 1));
        assert!(!acked, "seed {seed}: acknowledged without what may have been before");
    });
}

/// Whatever one of two lost the other one has, and its word is enough as long as both are there: so the second disk may go when the
/// first one's successor has everything.
#[test]
fn of_two_copies_the_disk_of_one_is_empty_and_later_that_of_the_other() {
    for seed in 1..=6 {
        let mut story = node::story_of_copies(seed, 2);
        let mut acked = story.produce(5);
        let replicas = story.replicas();
        let (first, leader) = (replicas[(seed % 2) as usize], story.leader());
        for victim in [first, replicas[((seed + 1) % 2) as usize], first] {
            story.kill(victim);
            story.replace_disk(victim);
            story.wait(seed * 100);
            story.boot(victim);
            // It takes both disks to acknowledge something.
            acked.extend(story.produce(3));
            has_all(&mut story, &acked, &format!("seed {seed}: node {victim} has a new disk, {leader} led"));
            story.wait(5_000);
        }
        acked.extend(story.produce(1));
        has_all(&mut story, &acked, "in the end");
    }
}
