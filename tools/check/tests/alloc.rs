//! What a produce request costs: no allocation per record, and no copy of large requests. Counted inside the steps of a
//! production shard, after warm-up. One test, as the allocator counts for the whole process.

mod rig;

use rig::{Rig, TAIL_BYTES};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::ops::Range;
use torc_base::limits::{LARGE_FRAME, PAGE};
use torc_check::content::{self, Sender};
use torc_check::wire::{ACKS_ALL, Produce, create_frame, produce_frame};
use torc_net::kafka::records::Codec;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TOPIC: &str = "counted";
/// Requests that are counted; the median leaves out the few that begin a segment.
const COUNTED: usize = 51;

fn frame(records: usize) -> Vec<u8> {
    let sender = Sender { producer: 0, idempotent: None };
    let batch = content::batch(sender, 0, &vec![100; records], Codec::None, 1_700_000_000_000);
    produce_frame(Produce { topic: TOPIC, partition: 0, acks: ACKS_ALL, batch }, 1).unwrap().to_vec()
}

/// Median calls of the allocator and bytes asked for, of one request.
fn cost(rig: &mut Rig, records: usize) -> (usize, usize) {
    let frame = frame(records);
    let fill_tail = 2 * TAIL_BYTES / frame.len().next_multiple_of(PAGE);
    for _ in 0..fill_tail + 20 {
        rig.call(&frame);
    }
    let mut costs: Vec<(usize, usize)> = (0..COUNTED)
        .map(|_| {
            rig.spent = Default::default();
            rig.frames.clear();
            rig.writes.clear();
            let answer = rig.call(&frame);
            assert!(answer.len() > 8 && !rig.writes.is_empty());
            if frame.len() > LARGE_FRAME {
                written_in_place(rig, frame.len() - 4);
            }
            (rig.spent.allocations + rig.spent.reallocations, rig.spent.bytes_allocated)
        })
        .collect();
    costs.sort();
    costs[COUNTED / 2]
}

/// The frame was received into one buffer, and the pages of that buffer were written; what else was written is a header.
fn written_in_place(rig: &Rig, frame: usize) {
    let [buffer] = &rig.frames[..] else { panic!("one buffer for the frame, not {:?}", rig.frames) };
    assert_eq!(buffer.len(), frame);
    let pages = buffer.start..buffer.end.next_multiple_of(PAGE);
    let is_inside = |run: &&Range<usize>| run.start >= pages.start && run.end <= pages.end;
    // Now and then a segment's footer or a checkpoint is written, too: a write without any page of the frame.
    let batch = rig.writes.iter().filter(|runs| runs.iter().any(|run| is_inside(&run))).flatten();
    let (inside, outside): (Vec<_>, Vec<_>) = batch.partition(is_inside);
    let in_place: usize = inside.iter().map(|run| run.len()).sum();
    let copied: usize = outside.iter().map(|run| run.len()).sum();
    assert!(in_place + PAGE > frame, "{in_place} bytes of the frame's {frame} were written from where they are");
    assert!(copied <= 4 * PAGE, "{copied} bytes were written from elsewhere");
}

#[test]
fn a_request_costs_the_same_however_many_records_it_has_and_large_ones_are_not_copied() {
    let mut rig = Rig::new(ALLOCATOR);
    rig.call(&create_frame(TOPIC, 1, 1).unwrap());
    // Those that arrive in one receive buffer, in two, and those that get a buffer of their own.
    let groups = [[1, 10, 100], [200, 220, 250], [400, 1000, 5000]];
    for group in groups {
        let costs = group.map(|records| cost(&mut rig, records));
        println!("requests of {group:?} records cost (calls, bytes): {costs:?}");
        assert!(
            costs.iter().all(|(calls, _)| *calls == costs[0].0),
            "calls depend on the number of records: {costs:?}"
        );
        assert!(costs.iter().all(|(calls, _)| *calls < 60), "{costs:?}");
        assert!(costs.iter().all(|(_, bytes)| *bytes < 16 << 10), "bytes of the payload are allocated: {costs:?}");
    }
}
