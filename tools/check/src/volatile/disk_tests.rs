use super::*;

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

/// A disk after a power cut.
fn cut(mut disk: Disk, seed: u64) -> Disk {
    disk.power_off(&mut Prng::new(seed));
    assert_eq!(disk.find(ROOT, name("a")), Err(Trouble::Gone));
    disk.power_on();
    disk
}

fn file(disk: &mut Disk, text: &str) -> u64 {
    disk.make(ROOT, name(text), false).unwrap().number
}

#[test]
fn what_was_flushed_is_there_after_every_power_cut() {
    for seed in 0..100 {
        let mut disk = Disk::new(1 << 20);
        let (a, b) = (file(&mut disk, "a"), file(&mut disk, "b"));
        disk.write(a, 100, &[1; 9000], false).unwrap();
        disk.flush(a).unwrap();
        disk.write(b, 0, &[2; 5000], true).unwrap();
        disk.write(a, 0, &[3; 9000], false).unwrap();
        let mut disk = cut(disk, seed);
        // Only what was written again may be something else.
        assert_eq!(disk.read(a, 9000, 100).unwrap(), [1; 100], "seed {seed}");
        assert!(disk.read(a, 100, 8900).unwrap().iter().all(|byte| [1, 3].contains(byte)), "seed {seed}");
        assert_eq!(disk.read(b, 0, 6000).unwrap(), [2; 5000], "seed {seed}");
    }
}

#[test]
fn what_was_not_flushed_comes_to_all_ends() {
    let mut ends = BTreeSet::new();
    for seed in 0..200 {
        let mut disk = Disk::new(1 << 20);
        let a = file(&mut disk, "a");
        disk.write(a, 0, &[1; PAGE], true).unwrap();
        disk.write(a, 0, &[2; PAGE], false).unwrap();
        let left = cut(disk, seed).read(a, 0, PAGE).unwrap();
        // A sector is one thing or the other.
        assert!(left.chunks(SECTOR).all(|sector| sector.iter().all(|byte| *byte == sector[0])), "seed {seed}");
        ends.insert(left.iter().filter(|byte| **byte == 2).count());
    }
    assert!(ends.contains(&0) && ends.contains(&PAGE) && ends.len() > 3, "{ends:?}");
}

#[test]
fn changes_of_names_are_lost_from_the_last_one_on() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let mut disk = Disk::new(1 << 20);
        let a = file(&mut disk, "a");
        disk.flush(a).unwrap();
        disk.rename((ROOT, name("a")), (ROOT, name("b"))).unwrap();
        file(&mut disk, "c");
        disk.remove(ROOT, name("b")).unwrap();
        let disk = cut(disk, seed);
        let names = disk.list(ROOT).unwrap().into_iter().map(|(name, _)| name.into_string().unwrap());
        seen.insert(names.collect::<Vec<_>>().join(" "));
    }
    assert_eq!(seen, ["a", "b", "b c", "c"].map(str::to_string).into());
}

#[test]
fn a_name_is_as_durable_as_the_next_flush_of_anything() {
    for seed in 0..50 {
        let mut disk = Disk::new(1 << 20);
        let a = file(&mut disk, "a");
        let directory = disk.make(ROOT, name("d"), true).unwrap();
        disk.write(a, 0, &[1; 10], true).unwrap();
        let disk = cut(disk, seed);
        assert_eq!(disk.find(ROOT, name("d")).unwrap(), directory, "seed {seed}");
    }
}

#[test]
fn files_are_cut_and_grow_by_zeroes_and_the_disk_has_an_end() {
    let mut disk = Disk::new(3 * PAGE as u64);
    let a = file(&mut disk, "a");
    disk.write(a, 0, &[1; 5000], false).unwrap();
    disk.set_len(a, 10).unwrap();
    disk.set_len(a, 5000).unwrap();
    let read = disk.read(a, 0, 9000).unwrap();
    assert!(read.len() == 5000 && read[..10] == [1; 10] && read[10..].iter().all(|byte| *byte == 0));
    assert_eq!(disk.write(a, 0, &[1; 4 * PAGE], false), Err(Trouble::NoSpace));
    assert_eq!(disk.set_len(a, 4 * PAGE as u64), Err(Trouble::NoSpace));
    disk.remove(ROOT, name("a")).unwrap();
    disk.flush(ROOT).unwrap();
    assert_eq!(disk.used(), 0);
}
