//! A few neighbours of each kind.

use torc_check::neighbours;
use torc_check::process;

#[test]
fn whatever_neighbours_do_the_others_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let (torc, dir) = (process::built(), dir.path().to_path_buf());
    let plan = neighbours::Plan { torc, dir, shards: 2, seconds: None, only: Vec::new(), seed: 1 };
    neighbours::run(&plan).unwrap().assert_good();
}
