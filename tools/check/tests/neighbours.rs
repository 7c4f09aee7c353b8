//! A few neighbours of each kind.

use clap::ValueEnum;
use torc_check::neighbours::{self, Kind};
use torc_check::process;

/// Those that today's memory rules do not stand.
const NOT_YET: [Kind; 4] = [Kind::UnreadFetches, Kind::TrickleReaders, Kind::PipelinedFetches, Kind::LongPolls];

#[test]
fn whatever_neighbours_do_the_others_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let (torc, dir) = (process::built(), dir.path().to_path_buf());
    let only = Kind::value_variants().iter().copied().filter(|kind| !NOT_YET.contains(kind)).collect();
    let plan = neighbours::Plan { torc, dir, shards: 2, seconds: None, only, seed: 1 };
    neighbours::run(&plan).unwrap().assert_good();
}
