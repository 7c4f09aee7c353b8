use crate::disk::{Disk, SECTOR, Speed};
use crate::faults::{Class, damage};
use torc_base::buf::{Buf, Pool};
use torc_base::ids::{FileId, Tag};
use torc_base::io::{DiskError, DiskKind, DiskOk, DiskOp};
use torc_base::limits::PAGE;
use torc_base::prng::Prng;
use torc_base::time::Mono;

const FILE: FileId = FileId(3);

fn disk(seed: u64) -> Disk {
    Disk::new(Prng::new(seed), 1 << 20, Speed { least: 1, most: 10, per_kib: 0 })
}

fn issue(disk: &mut Disk, kind: DiskKind) -> u64 {
    disk.issue(Mono(0), DiskOp { tag: Tag(1), kind }).expect("within the contract").0
}

fn run(disk: &mut Disk, kind: DiskKind) -> Result<DiskOk, DiskError> {
    let ticket = issue(disk, kind);
    disk.complete(ticket).expect("nothing crashed").result
}

fn page(byte: u8) -> Vec<torc_base::buf::Pages> {
    vec![Buf::copy_of(&[byte; PAGE]).pages()]
}

fn create(disk: &mut Disk, pages: usize) {
    run(disk, DiskKind::Create { file: FILE, name: "a".into(), bytes: (pages * PAGE) as u64 }).unwrap();
    run(disk, DiskKind::Sync { file: FILE }).unwrap();
    run(disk, DiskKind::SyncDir).unwrap();
}

fn write(at: usize, byte: u8, durable: bool) -> DiskKind {
    DiskKind::Write { file: FILE, at: (at * PAGE) as u64, runs: page(byte), durable }
}

fn read(disk: &mut Disk, pages: usize) -> Vec<u8> {
    let bytes = Pool::new(1 << 20, 0).take(pages * PAGE).unwrap();
    match run(disk, DiskKind::Read { file: FILE, at: 0, bytes }).unwrap() {
        DiskOk::Read { bytes } => bytes.to_vec(),
        other => panic!("a read answered {other:?}"),
    }
}

fn reopen(disk: &mut Disk) -> Result<DiskOk, DiskError> {
    run(disk, DiskKind::Open { file: FILE, name: "a".into() })
}

#[test]
fn a_durable_write_survives_every_power_cut_and_a_volatile_one_some() {
    let (mut lost, mut torn, mut kept) = (0, 0, 0);
    for seed in 0..200 {
        let mut disk = disk(seed);
        create(&mut disk, 3);
        run(&mut disk, write(0, 1, true)).unwrap();
        run(&mut disk, write(1, 2, false)).unwrap();
        run(&mut disk, write(2, 3, false)).unwrap();
        assert_eq!(read(&mut disk, 3)[PAGE], 2, "reads see the device's cache");
        disk.cut_power();
        reopen(&mut disk).unwrap();
        let bytes = read(&mut disk, 3);
        assert!(bytes[..PAGE].iter().all(|b| *b == 1), "seed {seed}: a durable write was lost");
        let sectors = bytes[PAGE..].chunks(SECTOR).filter(|s| s[0] != 0).count();
        match sectors {
            0 => lost += 1,
            n if n == 2 * PAGE / SECTOR => kept += 1,
            _ => torn += 1,
        }
    }
    assert!(lost > 0 && torn > 0 && kept > 0, "lost {lost}, torn {torn}, kept {kept}");
}

#[test]
fn a_sync_makes_what_was_written_before_it_survive() {
    for seed in 0..100 {
        let mut disk = disk(seed);
        create(&mut disk, 2);
        run(&mut disk, write(0, 1, false)).unwrap();
        let sync = issue(&mut disk, DiskKind::Sync { file: FILE });
        run(&mut disk, write(1, 2, false)).unwrap();
        disk.complete(sync).unwrap().result.unwrap();
        disk.cut_power();
        reopen(&mut disk).unwrap();
        assert!(read(&mut disk, 2)[..PAGE].iter().all(|b| *b == 1), "seed {seed}");
    }
}

#[test]
fn writes_in_flight_tear_at_a_power_cut_and_are_all_or_nothing_at_a_kill() {
    let mut torn = 0;
    for seed in 0..200 {
        for kill in [false, true] {
            let mut disk = disk(seed);
            create(&mut disk, 1);
            issue(&mut disk, write(0, 9, true));
            if kill {
                disk.kill()
            } else {
                disk.cut_power()
            }
            reopen(&mut disk).unwrap();
            let bytes = read(&mut disk, 1);
            let sectors = bytes.chunks(SECTOR).filter(|s| s[0] == 9).count();
            let part = sectors > 0 && sectors < PAGE / SECTOR;
            assert!(!(kill && part), "seed {seed}: a kill tore a write");
            torn += usize::from(part);
        }
    }
    assert!(torn > 0);
}

#[test]
fn what_a_killed_process_wrote_is_only_in_the_cache() {
    let mut lost = 0;
    for seed in 0..200 {
        let mut disk = disk(seed);
        create(&mut disk, 1);
        issue(&mut disk, write(0, 9, true));
        disk.kill();
        reopen(&mut disk).unwrap();
        if read(&mut disk, 1)[0] == 9 {
            disk.cut_power();
            reopen(&mut disk).unwrap();
            lost += usize::from(read(&mut disk, 1)[0] != 9);
        }
    }
    assert!(lost > 0, "it read as written, and was never lost");
}

#[test]
fn a_rename_without_syncdir_is_lost_or_kept_but_never_half() {
    let (mut old, mut new) = (0, 0);
    for seed in 0..100 {
        let mut disk = disk(seed);
        create(&mut disk, 1);
        run(&mut disk, write(0, 1, true)).unwrap();
        run(&mut disk, DiskKind::Create { file: FileId(4), name: "b".into(), bytes: PAGE as u64 }).unwrap();
        run(&mut disk, DiskKind::Write { file: FileId(4), at: 0, runs: page(2), durable: true }).unwrap();
        run(&mut disk, DiskKind::Rename { from: "b".into(), to: "a".into() }).unwrap();
        disk.cut_power();
        reopen(&mut disk).unwrap();
        match read(&mut disk, 1)[0] {
            1 => old += 1,
            2 => new += 1,
            other => panic!("seed {seed}: the file is neither: {other}"),
        }
    }
    assert!(old > 0 && new > 0, "old {old}, new {new}");
}

#[test]
fn space_is_bounded_and_comes_back() {
    let mut disk = disk(1);
    let big = |name: &str| DiskKind::Create { file: FILE, name: name.into(), bytes: 700 << 10 };
    run(&mut disk, big("a")).unwrap();
    assert_eq!(run(&mut disk, big("b")).unwrap_err(), DiskError::NoSpace);
    run(&mut disk, DiskKind::Close { file: FILE }).unwrap();
    for name in ["a", "b"] {
        run(&mut disk, DiskKind::Remove { name: name.into() }).unwrap();
    }
    run(&mut disk, DiskKind::SyncDir).unwrap();
    run(&mut disk, big("c")).unwrap();
}

#[test]
fn failures_strike_the_nth_operation_of_their_class() {
    let mut disk = disk(1);
    create(&mut disk, 1);
    disk.faults.fail(Class::Write, 1);
    run(&mut disk, write(0, 1, true)).unwrap();
    run(&mut disk, DiskKind::Sync { file: FILE }).unwrap();
    assert_eq!(run(&mut disk, write(0, 2, true)).unwrap_err(), DiskError::Io(5));
    run(&mut disk, write(0, 3, true)).unwrap();
    assert_eq!(disk.faults.struck, 1);
}

#[test]
fn damage_spares_the_newest_durable_write() {
    let mut rng = Prng::new(4);
    for seed in 0..100 {
        let mut disk = disk(seed);
        create(&mut disk, 3);
        run(&mut disk, write(0, 1, true)).unwrap();
        assert!(damage(&mut disk, &mut rng, "a", true).is_none(), "nothing stands behind it");
        run(&mut disk, write(1, 2, true)).unwrap();
        if damage(&mut disk, &mut rng, "a", true).is_some() {
            let bytes = read(&mut disk, 3);
            assert!(bytes[..PAGE].iter().any(|b| *b != 1));
            assert!(bytes[PAGE..2 * PAGE].iter().all(|b| *b == 2));
        }
    }
}

#[test]
fn operations_against_the_contract_are_refused() {
    let mut disk = disk(1);
    create(&mut disk, 1);
    let bad = [
        DiskKind::Write { file: FileId(99), at: 0, runs: page(1), durable: true },
        DiskKind::Write { file: FILE, at: 512, runs: page(1), durable: true },
        DiskKind::Sync { file: FileId(99) },
        DiskKind::Read { file: FILE, at: 0, bytes: Pool::new(1 << 20, 0).take(100).unwrap() },
    ];
    for kind in bad {
        let text = format!("{kind:?}");
        assert!(disk.issue(Mono(0), DiskOp { tag: Tag(1), kind }).is_err(), "{text}");
    }
}
