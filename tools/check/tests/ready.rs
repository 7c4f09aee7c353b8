//! Start and stop.

use torc_check::{process, ready};

#[test]
fn a_server_starts_at_once_and_drains() {
    let dir = tempfile::tempdir().unwrap();
    let plan = ready::Plan { torc: process::built(), dir: dir.path().to_path_buf(), shards: 2, starts: 1, stops: 2 };
    ready::run(&plan).unwrap().assert_good();
}
