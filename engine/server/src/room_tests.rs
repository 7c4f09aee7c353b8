use crate::room::{connections, file_slots, refusal, warning};
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
fn clients_have_what_the_limit_of_open_files_leaves_and_no_more_than_is_asked_for() {
    for (open_files, shards, asked, least, most, reason) in [
        (1 << 20, 2, None, 40_000, 40_000, "shards"),
        (1024, 1, None, 512, 1000, "ulimit -n"),
        (1024, 1, Some(5), 5, 5, "max.connections"),
        (1024, 1, Some(5000), 512, 1000, "ulimit -n"),
        (1 << 20, 1, Some(50_000), 20_000, 20_000, "shards"),
        (0, 1, None, 0, 0, "ulimit -n"),
    ] {
        let (max, told) = connections(open_files, shards, asked);
        let case = format!("{open_files} files, {shards} shards, {asked:?}: {max}, {told}");
        assert!((least..=most).contains(&max) && told.contains(reason), "{case}");
    }
    // Whatever starts has room for some clients, and room for many more with many more files.
    for shards in [1, 2, 40, 256] {
        let enough =
            (1..).find(|files| refusal(&Limits { files: Some(*files), ..Limits::default() }, shards).is_none());
        assert_eq!(connections(enough.expect("some number is enough"), shards, None).0, 64, "{shards} shards");
    }
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
