use super::space::{allocated, live};
use super::testdata::report;
use crate::report::Held;
use crate::{figures, plot};

#[test]
fn a_directory_takes_the_blocks_of_all_below_it() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("below");
    std::fs::create_dir(&below).unwrap();
    let before = allocated(directory.path()).unwrap();
    let written = std::fs::File::create(below.join("written")).unwrap();
    std::io::Write::write_all(&mut &written, &vec![7; 1 << 20]).unwrap();
    written.sync_all().unwrap();
    // Its length is not what it takes.
    std::fs::File::create(below.join("hole")).unwrap().set_len(1 << 30).unwrap();
    let after = allocated(directory.path()).unwrap();
    assert!((1 << 20..1 << 22).contains(&(after - before)), "{before} to {after}");
}

#[test]
fn of_a_partition_no_more_is_live_than_must_be_kept() {
    assert_eq!(live(&[100, 50], Some(60)), 110);
    assert_eq!(live(&[100, 50], None), 150);
    assert_eq!(live(&[], None), 0);
}

#[test]
fn the_worst_moment_behind_the_warmup_counts() {
    let held = |at_s, disk_bytes, live_bytes| Held { at_s, disk_bytes, live_bytes, reserve_bytes: 1_000_000_000 };
    let mut report = report(1, 1);
    let ratio = |report: &crate::report::Report| (figures::find("disk-ratio").unwrap().value)(report);
    assert!(ratio(&report).is_nan(), "nobody looked");
    report.space = vec![
        held(-1.0, 9_000_000_000, 1),
        held(0.0, 3_000_000_000, 1_000_000_000),
        held(1.0, 5_000_000_000, 4_000_000_000),
    ];
    assert_eq!(ratio(&report), 2.0);
    assert_eq!((figures::find("disk-peak").unwrap().value)(&report), 5.0);
    let svg = plot::space("S", &[plot::Line { report: &report, name: &report.name, target: 0, run: 0 }]).file();
    assert!(svg.contains("x: on disk") && svg.contains("x: live") && svg.contains("GB ↑"), "{svg}");
    assert_eq!(svg.matches("<polyline").count(), 4, "in each of the two drawings");
}
