//! What the kernel is asked to do. Needs strace and the right to trace, and says so where it has none.

use std::process::Command;
use torc_check::{process, trace};

#[test]
fn nothing_is_acknowledged_before_its_flush_and_all_data_goes_through_the_ring() {
    let may_trace = Command::new("strace").args(["-c", "-o", "/dev/null", "true"]).status();
    if !may_trace.is_ok_and(|status| status.success()) {
        eprintln!("skipped: strace cannot be used here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let plan = trace::Plan { torc: process::built(), dir: dir.path().to_path_buf(), requests: 60, seconds: 2 };
    trace::run(&plan).unwrap().assert_good();
}
