//! What the kernel is asked to do. Needs root, tracefs and strace.

use torc_check::report::Report;
use torc_check::{machine, process, trace};

fn plan(dir: &tempfile::TempDir) -> trace::Plan {
    trace::Plan { torc: process::built(), dir: dir.path().to_path_buf(), requests: 60, seconds: 2 }
}

#[test]
fn nothing_is_acknowledged_before_its_flush() {
    if let Err(why) = trace::Tracing::begin() {
        return machine::cannot_run("trace, the order of writes and answers", format!("tracefs: {why}"));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut report = Report::new("trace");
    trace::orders(&plan(&dir), &mut report).unwrap();
    report.assert_good();
}

#[test]
fn all_data_goes_through_the_ring() {
    if let Err(why) = trace::may_strace() {
        return machine::cannot_run("trace, the system calls", why);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut report = Report::new("trace");
    trace::system_calls(&plan(&dir), &mut report).unwrap();
    report.assert_good();
}
