//! Restart with some log.

use torc_check::{process, restart};

#[test]
fn a_long_log_is_read_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (torc, dir) = (process::built(), dir.path().to_path_buf());
    let plan = restart::Plan { torc, dir, bytes: 400 << 20, shards: 2 };
    restart::run(&plan).unwrap().assert_good();
}
