//! Starts in narrow places and stops of every kind.

use torc_check::{process, starts};

#[test]
fn a_server_starts_or_says_what_is_lacking_and_ends_when_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let plan = starts::Plan { torc: process::built(), dir: dir.path().to_path_buf(), nonsense: 1200, stalled: 60 };
    starts::run(&plan).unwrap().assert_good();
}
