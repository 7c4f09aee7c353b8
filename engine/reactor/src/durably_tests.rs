use crate::durably::Durably;
use crate::settings::Sync;
use torc_base::time::Mono;

const PAGE: u64 = 4096;

/// Writes one after the other for `ms` milliseconds; how many went by the pair, and how many by RWF_DSYNC.
fn write_for(ms: u64, clock: &mut u64, durably: &mut Durably, dsync_us: u64, pair_us: u64) -> (u32, u32) {
    let end = *clock + ms * 1_000_000;
    let mut by = (0, 0);
    while *clock < end {
        let linked = durably.linked(Mono(*clock), PAGE);
        let ns = 1_000 * if linked { pair_us } else { dsync_us };
        *clock += ns;
        durably.took(linked, PAGE, ns);
        if linked { by.0 += 1 } else { by.1 += 1 }
    }
    by
}

#[test]
fn on_a_calm_machine_writes_go_by_the_flag_but_for_a_trial_a_second() {
    let (mut durably, mut clock) = (Durably::new(Sync::Adaptive), 5_000_000_000);
    let (pair, dsync) = write_for(10_000, &mut clock, &mut durably, 130, 150);
    assert!((1..=11).contains(&pair) && dsync > 70_000, "{pair} by the pair, {dsync} by the flag");
}

#[test]
fn when_the_flag_takes_a_tick_writes_go_by_the_pair_within_half_a_second_and_return_when_that_is_over() {
    let (mut durably, mut clock) = (Durably::new(Sync::Adaptive), 5_000_000_000);
    write_for(2_000, &mut clock, &mut durably, 130, 150);
    write_for(500, &mut clock, &mut durably, 4_000, 150);
    let (pair, dsync) = write_for(5_000, &mut clock, &mut durably, 4_000, 150);
    assert!(pair > 30_000 && dsync <= 6, "busy: {pair} by the pair, {dsync} by the flag");
    write_for(10_000, &mut clock, &mut durably, 130, 150);
    let (pair, dsync) = write_for(5_000, &mut clock, &mut durably, 130, 150);
    assert!(pair <= 6 && dsync > 35_000, "calm again: {pair} by the pair, {dsync} by the flag");
}

#[test]
fn a_write_that_was_held_up_once_changes_nothing() {
    let (mut durably, mut clock) = (Durably::new(Sync::Adaptive), 5_000_000_000);
    write_for(3_000, &mut clock, &mut durably, 130, 140);
    for _ in 0..2 {
        durably.took(false, PAGE, 40_000_000);
    }
    assert!(!durably.linked(Mono(clock), PAGE));
    let (pair, _) = write_for(3_000, &mut clock, &mut durably, 130, 140);
    assert!(pair <= 4, "{pair} by the pair");
}

#[test]
fn a_disk_that_is_slow_both_ways_is_left_to_the_flag() {
    let (mut durably, mut clock) = (Durably::new(Sync::Adaptive), 5_000_000_000);
    let (pair, dsync) = write_for(60_000, &mut clock, &mut durably, 9_000, 9_000);
    assert!(pair * 8 <= dsync, "{pair} by the pair, {dsync} by the flag");
}

#[test]
fn what_is_set_is_done_and_large_writes_tell_nothing() {
    let mut clock = 5_000_000_000;
    assert_eq!(write_for(1_000, &mut clock, &mut Durably::new(Sync::Dsync), 4_000, 100).0, 0);
    assert_eq!(write_for(1_000, &mut clock, &mut Durably::new(Sync::WriteThenFdatasync), 100, 4_000).1, 0);
    let mut durably = Durably::new(Sync::Adaptive);
    for second in 5..100 {
        assert!(!durably.linked(Mono(second * 1_000_000_000), 1 << 20));
        durably.took(false, 1 << 20, 50_000_000);
    }
}
