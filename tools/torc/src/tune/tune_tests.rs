use super::machine::{Machine, Mount, mount_of};
use super::{Applied, Row, Verdict, advice, look};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use tempfile::TempDir;

/// A machine on which everything is as it should not be.
fn bad_machine() -> (TempDir, Machine) {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    fs::create_dir(&data).unwrap();
    let dev = fs::metadata(&data).unwrap().dev();
    let number = format!("{}:{}", rustix::fs::major(dev), rustix::fs::minor(dev));
    let point = fs::canonicalize(&data).unwrap();
    let mountinfo =
        format!("1 0 0:1 / / rw - ext4 /dev/a rw\n2 1 0:2 / {} rw - tmpfs none rw,barrier=0\n", point.display());
    for (path, text) in [
        ("proc/sys/kernel/io_uring_disabled", "2\n"),
        ("proc/sys/vm/swappiness", "60\n"),
        ("proc/swaps", "Filename Type\n/dev/b partition\n"),
        ("proc/self/mountinfo", mountinfo.as_str()),
        (
            "proc/self/limits",
            "Limit  Soft Limit\nMax open files            1024    4096  files\nMax locked memory   65536  65536  bytes\n",
        ),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
        ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n"),
        ("sys/devices/system/cpu/cpufreq/other", "\n"),
        ("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n"),
        ("sys/block/sda/queue/scheduler", "none mq-deadline [bfq]\n"),
        ("sys/block/sda/queue/nr_requests", "2\n"),
        ("sys/block/sda/queue/write_cache", "write back\n"),
        ("sys/block/sda/sda1/partition", "1\n"),
    ] {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::create_dir_all(root.path().join("sys/dev/block")).unwrap();
    symlink("../../block/sda/sda1", root.path().join("sys/dev/block").join(number)).unwrap();
    let machine = Machine::new(root.path().to_path_buf(), data);
    (root, machine)
}

fn found(rows: &[Row]) -> Vec<(&str, Option<&str>, Verdict)> {
    rows.iter().map(|row| (row.check, row.now.as_deref(), row.verdict)).collect()
}

#[test]
fn what_is_wrong_is_found() {
    let (_root, machine) = bad_machine();
    let rows = look(&machine, false);
    let expected = [
        ("io_uring", Some("2"), Verdict::Bad),
        ("file system", Some("tmpfs"), Verdict::Bad),
        ("mount options", Some("barrier=0"), Verdict::Bad),
        ("write cache", Some("write back"), Verdict::Improve),
        ("governor", Some("powersave"), Verdict::Improve),
        ("I/O scheduler", Some("bfq"), Verdict::Improve),
        ("queue depth", Some("2"), Verdict::Improve),
        ("clock source", Some("hpet"), Verdict::Improve),
        ("swappiness", Some("60"), Verdict::Improve),
        ("huge pages", Some("always"), Verdict::Improve),
        ("open files", Some("1024"), Verdict::Improve),
        ("locked memory", Some("64.0 KiB"), Verdict::Improve),
    ];
    assert_eq!(found(&rows), expected);
    let text = advice(&rows, false);
    assert!(text.contains("open files: ulimit -n 1048576"), "{text}");
    assert!(
        text.contains("torc tune --apply changes, until the next boot: io_uring, governor, I/O scheduler"),
        "{text}"
    );
}

#[test]
fn nothing_is_changed_unless_asked_and_then_what_can_be() {
    let (root, machine) = bad_machine();
    let read = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
    look(&machine, false);
    assert_eq!(read("proc/sys/vm/swappiness"), "60\n");
    let rows = look(&machine, true);
    for (path, value) in [
        ("proc/sys/vm/swappiness", "1"),
        ("proc/sys/kernel/io_uring_disabled", "0"),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance"),
        ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance"),
        ("sys/block/sda/queue/scheduler", "none"),
        ("sys/block/sda/queue/nr_requests", "256"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "madvise"),
    ] {
        assert_eq!(read(path), value, "{path}");
    }
    let applied = rows.iter().filter(|row| row.applied == Some(Applied::Done)).count();
    assert_eq!(applied, 6, "limits, clock, disk and file system are not torc's to change");
    let left: Vec<&str> = rows.iter().filter(|row| row.verdict != Verdict::Good).map(|row| row.check).collect();
    assert_eq!(left, ["file system", "mount options", "write cache", "clock source", "open files", "locked memory"]);
}

#[test]
fn what_cannot_be_changed_is_said() {
    let (root, machine) = bad_machine();
    // A file that not even root can write.
    let path = root.path().join("proc/sys/vm/swappiness");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let why = machine.write_all(&[("proc/sys/vm/swappiness".to_string(), "1")]).unwrap_err();
    assert!(why.contains("proc/sys/vm/swappiness: "), "{why}");
}

#[test]
fn what_a_machine_does_not_tell_is_unknown_and_no_reason_to_worry() {
    let root = tempfile::tempdir().unwrap();
    let rows = look(&Machine::new(root.path().to_path_buf(), root.path().join("data")), true);
    for row in rows.iter().filter(|row| row.check != "io_uring") {
        assert_eq!((row.now.as_deref(), row.verdict, &row.applied), (None, Verdict::Unknown, &None), "{}", row.check);
    }
}

#[test]
fn the_deepest_mount_counts() {
    let text = "1 0 8:1 / / rw,relatime - ext4 /dev/a rw\n\
                2 1 8:2 / /srv rw,noatime shared:1 - xfs /dev/b rw,sync\n\
                3 1 8:3 / /srv/my\\040data rw - tmpfs none rw\n";
    let kind = |path: &str| mount_of(text, Path::new(path)).map(|Mount { kind, .. }| kind);
    assert_eq!(kind("/var/lib/torc").as_deref(), Some("ext4"));
    assert_eq!(kind("/srv/torc").as_deref(), Some("xfs"));
    assert_eq!(kind("/srvother").as_deref(), Some("ext4"));
    assert_eq!(kind("/srv/my data/x").as_deref(), Some("tmpfs"));
    assert!(mount_of(text, Path::new("/srv")).unwrap().options.contains(&"sync".to_string()));
    assert_eq!(mount_of("", Path::new("/")), None);
    assert_eq!(mount_of("nonsense", Path::new("/")), None);
}
