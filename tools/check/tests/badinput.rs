//! Bad input, a little of each kind.

use torc_check::{badinput, process};

#[test]
fn bad_input_concerns_only_who_sends_it() {
    let dir = tempfile::tempdir().unwrap();
    let (torc, dir) = (process::built(), dir.path().to_path_buf());
    let plan = badinput::Plan { torc, dir, shards: 2, tries: 100, halves: 300, seed: 5 };
    badinput::run(&plan).unwrap().assert_good();
}
