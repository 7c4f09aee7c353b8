use super::fuse::O_DSYNC;
use super::*;
use crate::machine::cannot_run;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{ReadWriteFlags, pwritev2};
use std::io::IoSlice;
use std::io::{Read, Write};

/// The same by real system calls: what is flushed stays, by whichever way it was flushed.
#[test]
fn what_programs_flush_is_there_after_a_power_cut() {
    let dir = tempfile::tempdir().unwrap();
    let mount = dir.path().join("disk");
    let mut volatile = match VolatileDisk::new(&mount, 64 << 20) {
        Ok(volatile) => volatile,
        Err(why) => return cannot_run("what_programs_flush_is_there_after_a_power_cut", why),
    };
    let mut prng = Prng::new(3);
    let read = |name: &str| {
        let mut bytes = Vec::new();
        fs::File::open(mount.join(name)).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let mut lost = 0;
    for round in 0..8u8 {
        let mut synced = fs::File::create(mount.join("synced")).unwrap();
        synced.write_all(&[round; 10_000]).unwrap();
        synced.sync_data().unwrap();
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::from_bits_retain(O_DSYNC as u32);
        let mut dsync = fs::File::from(open(mount.join("dsync"), flags, Mode::RUSR | Mode::WUSR).unwrap());
        dsync.write_all(&[round; 9_000]).unwrap();
        let marked = fs::File::create(mount.join("marked")).unwrap();
        let written = pwritev2(&marked, &[IoSlice::new(&[round; 7_000])], 0, ReadWriteFlags::DSYNC).unwrap();
        assert_eq!(written, 7_000);
        fs::create_dir_all(mount.join(format!("d{round}"))).unwrap();
        fs::rename(mount.join("dsync"), mount.join("renamed")).unwrap();
        fs::File::open(&mount).unwrap().sync_all().unwrap();
        // And then something that nobody flushes.
        fs::write(mount.join("left"), vec![round + 1; 100_000]).unwrap();
        lost += volatile.power_off(&mut prng).0;
        assert!(fs::write(mount.join("after"), b"x").is_err(), "the power is off");
        drop((synced, dsync, marked));
        volatile.power_on().unwrap();
        assert_eq!((read("synced"), read("renamed")), (vec![round; 10_000], vec![round; 9_000]));
        assert_eq!(read("marked"), vec![round; 7_000], "a write that is to be durable by itself");
        assert!(mount.join(format!("d{round}")).is_dir() && !mount.join("dsync").exists());
    }
    assert!(lost > 0, "nothing was ever lost");
}
