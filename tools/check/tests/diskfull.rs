//! A small disk that fills up. Needs root and loop devices.

use torc_check::{diskfull, machine, process};

#[test]
fn a_full_disk_is_told_and_heals() {
    let dir = tempfile::tempdir().unwrap();
    if let Err(why) = diskfull::SmallDisk::new(dir.path(), 16 << 20) {
        return machine::cannot_run("diskfull", format!("no small disk can be made: {why}"));
    }
    let dir = tempfile::tempdir().unwrap();
    let (torc, dir) = (process::built(), dir.path().to_path_buf());
    let plan = diskfull::Plan { torc, dir, bytes: 128 << 20, shards: 2, cycles: 1 };
    diskfull::run(&plan).unwrap().assert_good();
}
