//! What one server promises, told as stories. Each is told with several seeds, which vary times, orders and what a
//! power cut keeps.

use torc_shard::{CleanerSettings, Shard};
use torc_sim::faults::Class;
use torc_sim::history::code;
use torc_sim::node;
use torc_sim::story::{Answer, Story};

const MESSAGE_TOO_LARGE: i16 = 10;

/// A server with a topic `t` of one partition, told with `seeds` seeds.
fn stories(seeds: u64, tell: impl Fn(u64, &mut Story<Shard>)) {
    for seed in 1..=seeds {
        let mut story = node::story(seed);
        assert_eq!(story.create("t", 1), Answer::Ok(0), "seed {seed}");
        tell(seed, &mut story);
    }
}

/// Produces until `count` batches are acknowledged, all of them at once; their numbers.
fn produce(story: &mut Story<Shard>, topic: &str, count: usize, bytes: usize) -> Vec<u64> {
    (0..count)
        .map(|_| match story.produce(topic, 0, bytes) {
            (number, Answer::Ok(_)) => number,
            (number, other) => panic!("batch {number} got {other:?}\n{}", story.trail.tail()),
        })
        .collect()
}

#[test]
fn a_record_is_acknowledged_and_the_power_cut_and_the_record_is_there() {
    stories(20, |seed, story| {
        let acked = produce(story, "t", 3, 100);
        story.cut_power().boot();
        let reading = story.read("t", 0, 0);
        assert_eq!((reading.numbers, reading.error), (acked, None), "seed {seed}");
    });
}

#[test]
fn what_was_served_after_a_kill_is_there_after_a_power_cut() {
    stories(20, |seed, story| {
        let mut acked = produce(story, "t", 2, 100);
        story.produce_and_leave("t", 0, 5_000);
        story.kill().boot();
        let served = story.read("t", 0, 0);
        assert!(served.numbers.starts_with(&acked), "seed {seed}: {served:?}");
        story.cut_power().boot();
        assert_eq!(story.read("t", 0, 0), served, "seed {seed}: what a reader saw changed");
        acked = served.numbers;
        acked.extend(produce(story, "t", 1, 100));
        assert_eq!(story.read("t", 0, 0).numbers, acked, "seed {seed}: the log does not go on where it ended");
    });
}

#[test]
fn a_record_larger_than_a_page_of_anything_comes_back_whole() {
    stories(5, |seed, story| {
        let mut acked = Vec::new();
        for bytes in [1, 4_096, 16_384, 32_768, 100_000, 180_000] {
            acked.extend(produce(story, "t", 1, bytes));
        }
        assert_eq!(story.read("t", 0, 0).numbers, acked, "seed {seed}: from memory");
        story.cut_power().boot();
        assert_eq!(story.read("t", 0, 0).numbers, acked, "seed {seed}: from disk");
    });
}

#[test]
fn a_batch_that_no_segment_holds_is_refused_and_the_connection_lives() {
    stories(2, |_, story| {
        assert_eq!(story.produce("t", 0, 250_000).1, Answer::Error(MESSAGE_TOO_LARGE));
        let acked = produce(story, "t", 1, 100);
        assert_eq!(story.read("t", 0, 0).numbers, acked);
    });
}

#[test]
fn a_retry_after_a_crash_gets_the_same_offset() {
    stories(20, |seed, story| {
        let (number, first) = story.produce_as("t", 0, 100, (7, 0, 0));
        assert_eq!(first, Answer::Ok(0), "seed {seed}");
        produce(story, "t", 1, 100);
        story.cut_power().boot();
        let again = story.produce_again("t", 0, number, 100, (7, 0, 0));
        assert_eq!(again, Answer::Ok(0), "seed {seed}");
        assert_eq!(story.produce_as("t", 0, 100, (7, 0, 2)).1, Answer::Error(code::OUT_OF_ORDER), "seed {seed}: a gap");
        assert_eq!(story.produce_as("t", 0, 100, (7, 0, 1)).1, Answer::Ok(2), "seed {seed}");
        assert_eq!(story.read("t", 0, 0).numbers.len(), 3, "seed {seed}");
    });
}

#[test]
fn eio_on_a_write_fences_and_leaves_no_hole() {
    stories(20, |seed, story| {
        let mut acked = produce(story, "t", 3, 100);
        story.wait(1_000);
        story.fail(Class::Write, 0);
        let (_, refused) = story.produce("t", 0, 100);
        assert_eq!(refused, Answer::Error(code::STORAGE), "seed {seed}");
        assert_eq!(story.produce("t", 0, 100).1, Answer::Error(code::STORAGE), "seed {seed}: it was not fenced");
        assert_eq!(story.read("t", 0, 0).numbers, acked, "seed {seed}: a fenced log can be read");
        story.kill().boot();
        let reading = story.read("t", 0, 0);
        assert!(reading.numbers.starts_with(&acked) && reading.error.is_none(), "seed {seed}: {reading:?}");
        acked = reading.numbers;
        acked.extend(produce(story, "t", 1, 100));
        assert_eq!(story.read("t", 0, 0).numbers, acked, "seed {seed}");
    });
}

#[test]
fn a_full_disk_refuses_producers_serves_readers_and_heals_by_deleting() {
    stories(5, |seed, story| {
        assert_eq!(story.create("doomed", 1), Answer::Ok(0), "seed {seed}");
        let acked = produce(story, "t", 2, 100);
        story.wait(200);
        // The reserve, and room for some segments that hold nothing else.
        story.leave_free(3 << 20);
        let mut refused = false;
        for _ in 0..100 {
            match story.produce("doomed", 0, 60_000).1 {
                Answer::Ok(_) => {}
                Answer::Error(code::STORAGE) => {
                    refused = true;
                    break;
                }
                other => panic!("seed {seed}: a full disk answered {other:?}\n{}", story.trail.tail()),
            }
        }
        assert!(refused, "seed {seed}: the disk never got full");
        assert_eq!(story.read("t", 0, 0).numbers, acked, "seed {seed}: readers are served");
        story.cut_power().boot();
        assert_eq!(story.read("t", 0, 0).numbers, acked, "seed {seed}: a restart works");
        assert_eq!(story.delete("doomed"), Answer::Ok(0), "seed {seed}: a delete works");
        story.wait(5_000);
        produce(story, "t", 1, 60_000);
    });
}

/// A little of `t` in every segment, the rest of which was another topic's, now deleted; and a cleaner that works.
fn pinned(seed: u64, story: &mut Story<Shard>) -> Vec<u64> {
    story.cleaner = CleanerSettings { sort_after_ms: 50, ..CleanerSettings::default() };
    story.kill().boot();
    assert_eq!(story.create("doomed", 1), Answer::Ok(0), "seed {seed}");
    let mut kept = Vec::new();
    for _ in 0..50 {
        kept.extend(produce(story, "t", 1, 2_000));
        produce(story, "doomed", 1, 60_000);
    }
    // What lies in front of the last checkpoint and is not in memory any more is what can be moved.
    story.wait(300);
    assert_eq!(story.delete("doomed"), Answer::Ok(0), "seed {seed}");
    kept
}

#[test]
fn what_is_kept_for_ever_pins_no_segment_of_what_was_deleted() {
    stories(5, |seed, story| {
        let kept = pinned(seed, story);
        let files = |story: &Story<Shard>| story.world.disks[0].listing().len();
        let before = files(story);
        // Emptied files are kept for a while, for a log that fills again.
        story.wait(40_000);
        assert!(files(story) * 2 < before, "seed {seed}: {before} files before, {} now", files(story));
        assert_eq!(story.read("t", 0, 0).numbers, kept, "seed {seed}: moved");
        story.cut_power().boot();
        assert_eq!(story.read("t", 0, 0).numbers, kept, "seed {seed}: after a power cut");
    });
}

#[test]
fn a_power_cut_at_any_moment_of_cleaning_loses_nothing() {
    stories(40, |seed, story| {
        let mut kept = pinned(seed, story);
        for cut in 0..4 {
            story.wait(seed * 3 % 40 + cut);
            story.cut_power().boot();
            let reading = story.read("t", 0, 0);
            assert_eq!((reading.numbers, reading.error), (kept.clone(), None), "seed {seed}, cut {cut}");
            kept.extend(produce(story, "t", 1, 100));
        }
        story.wait(3_000);
        assert_eq!(story.read("t", 0, 0).numbers, kept, "seed {seed}");
        assert!(story.world.disks[0].listing().len() < 10, "seed {seed}: {:?}", story.world.disks[0].listing());
    });
}

#[test]
fn a_deleted_topic_stays_deleted() {
    stories(10, |seed, story| {
        assert_eq!(story.create("doomed", 3), Answer::Ok(0), "seed {seed}");
        produce(story, "doomed", 2, 1_000);
        assert_eq!(story.delete("doomed"), Answer::Ok(0), "seed {seed}");
        story.cut_power().boot();
        assert_eq!(story.read("doomed", 0, 0).error, Some(code::UNKNOWN_TOPIC), "seed {seed}");
        assert_eq!(story.create("doomed", 1), Answer::Ok(0), "seed {seed}: its name is free");
        assert!(story.read("doomed", 0, 0).numbers.is_empty(), "seed {seed}: something of the old one is left");
    });
}

#[test]
fn damage_is_reported_and_never_served() {
    let (mut refusals, mut errors) = (0, 0);
    for seed in 1..=40 {
        let mut story = node::story(seed);
        assert_eq!(story.create("t", 1), Answer::Ok(0));
        let acked = produce(&mut story, "t", 30, 20_000);
        story.wait(1_000);
        story.cut_power();
        let damage = story.damage_log();
        story.boot();
        if story.wait(3_000) {
            assert!(damage.is_some(), "seed {seed}: refused to start on a sound log");
            refusals += 1;
            continue;
        }
        let reading = story.read("t", 0, 0);
        match reading.error {
            None => assert_eq!(reading.numbers, acked, "seed {seed}: {damage:?}"),
            Some(_) => {
                assert!(acked.starts_with(&reading.numbers), "seed {seed}: {damage:?}");
                errors += 1;
            }
        }
    }
    assert!(refusals > 0, "no damage was ever found at the start ({errors} were found when reading)");
}

#[test]
fn a_disk_that_lies_about_a_flush_is_found_out_or_costs_the_newest_records_alone() {
    let (mut refusals, mut losses, mut unharmed) = (0, 0, 0);
    for seed in 1..=60 {
        let mut story = node::story(seed);
        assert_eq!(story.create("t", 1), Answer::Ok(0));
        let mut acked = produce(&mut story, "t", 5, 100);
        story.wait(seed % 2 * 500);
        story.lie(1 + seed % 3);
        // What comes behind a lie and is kept tells of it; the newest write has nobody to tell.
        acked.extend(produce(&mut story, "t", 1 + seed as usize % 6, 100));
        story.cut_power().boot();
        if story.wait(3_000) {
            refusals += 1;
            continue;
        }
        let reading = story.read("t", 0, 0);
        assert!(acked.starts_with(&reading.numbers), "seed {seed}: {reading:?} of {acked:?}");
        match reading.error {
            Some(_) => refusals += 1,
            None if reading.numbers.len() < acked.len() => losses += 1,
            None => unharmed += 1,
        }
    }
    let all = format!("{refusals} found out, {losses} lost, {unharmed} unharmed");
    assert!(refusals > 0 && losses > 0 && unharmed > 0, "one of these never happened: {all}");
}

#[test]
fn a_start_on_a_disk_that_fails_serves_or_ends() {
    for class in [Class::Write, Class::Sync, Class::Read, Class::Directory] {
        let mut ends = 0;
        for after in 0..16 {
            let mut story = node::story(1 + after);
            assert_eq!(story.create("t", 2), Answer::Ok(0));
            produce(&mut story, "t", 3, 5_000);
            if after % 2 == 0 {
                story.kill()
            } else {
                story.cut_power()
            };
            story.fail(class, after / 2).boot();
            if story.wait(10_000) {
                ends += 1;
                continue;
            }
            let answer = story.create("u", 1);
            let served = matches!(answer, Answer::Ok(_) | Answer::Error(_));
            assert!(served, "{class:?} after {after}: neither served nor ended: {answer:?}\n{}", story.trail.tail());
        }
        println!("{class:?}: {ends} of 16 starts ended");
    }
}
