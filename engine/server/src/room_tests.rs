use crate::room::{file_slots, refusal, warning};
use torc_reactor::resources::Limits;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

#[test]
fn what_is_too_little_for_the_shards_is_refused_with_the_limit_and_its_remedy() {
    assert_eq!(refusal(&Limits::default(), 256), None, "without limits anything fits");
    let few = Limits { files: Some(256), ..Limits::default() };
    assert_eq!(refusal(&few, 2), None);
    let text = refusal(&few, 200).expect("too few descriptors");
    assert!(text.contains("200 shards need") && text.contains("may have 256") && text.contains("ulimit -n"), "{text}");
    let narrow = Limits { address_space: Some(100 * MIB), ..Limits::default() };
    assert!(refusal(&narrow, 1).is_none_or(|text| text.contains("ulimit -v")));
    let text = refusal(&narrow, 8).expect("too little address space");
    assert!(text.contains("100 MiB") && text.contains("ulimit -v"), "{text}");
}

#[test]
fn a_container_that_is_too_small_is_warned_of() {
    assert_eq!(warning(&Limits::default(), 16), None);
    assert_eq!(warning(&Limits { memory: Some(4 * GIB), ..Limits::default() }, 4), None);
    let text =
        warning(&Limits { memory: Some(64 * MIB), ..Limits::default() }, 2).expect("it is killed sooner or later");
    assert!(text.contains("64.0 MiB") && text.contains("memory.max") && text.contains("2 shards"), "{text}");
}

#[test]
fn the_log_has_a_file_slot_for_each_segment_that_the_disk_holds_or_says_how_far_it_can_grow() {
    // A small disk needs few, a large one many.
    assert_eq!(file_slots(1 << 20, GIB, 64 * MIB, 1), (1024, None));
    let (slots, told) = file_slots(1 << 20, 20 << 40, 64 * MIB, 1);
    assert!(u64::from(slots) * 64 * MIB > 20 << 40 && told.is_none());
    // The limit of open files is less.
    let (slots, told) = file_slots(300, 100 * GIB, 256 << 10, 1);
    let told = told.expect("a hundred gigabytes do not fit into 300 small files");
    assert!(slots == 299 && told.contains("282 files of 256KiB") && told.contains("ulimit -n"), "{told}");
    // Many shards share the disk: each need not hold all of it.
    assert_eq!(file_slots(300, GIB, 4 * MIB, 2).1, None);
    // As many as the kernel takes.
    let (slots, told) = file_slots(1 << 24, 1 << 50, 64 * MIB, 1);
    assert!(slots < 1 << 20 && told.is_some_and(|told| told.contains("kernel")));
}
