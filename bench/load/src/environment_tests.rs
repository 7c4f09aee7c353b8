use crate::environment::{Build, Environment, cpu, date, is_written, memory, mounted};

#[test]
fn the_machine_is_named() {
    assert_eq!(cpu("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n"), "Some CPU @ 3 GHz");
    assert_eq!(cpu("processor\t: 0\nBogoMIPS\t: 50\n"), std::env::consts::ARCH, "ARM tells no name");
    assert_eq!(memory("MemFree: 1 kB\nMemTotal:   2048 kB\n"), 2 << 20);
    let mounts = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n30 22 0:25 / /dev/shm rw shared:2 - tmpfs tmpfs rw\n";
    assert_eq!(mounted(mounts, "254:1"), Some(("ext4", "/dev/vda1")));
    assert_eq!(mounted(mounts, "0:25"), Some(("tmpfs", "tmpfs")));
    assert_eq!(mounted(mounts, "8:1"), None);
    assert!(is_written("pos:\t0\nflags:\t02100002\n") && !is_written("pos:\t0\nflags:\t0100000\n"));
}

#[test]
fn dates_are_those_of_the_calendar() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_735_689_599, "2024-12-31T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
    ] {
        assert_eq!(date(seconds), text);
    }
}

#[test]
fn what_is_not_known_is_a_dash() {
    let said = Environment::here(Build { version: "1.2.3", commit: None }).to_string();
    assert!(said.starts_with("torc 1.2.3 (commit -), Linux ") && said.contains("disk -, 2"), "{said}");
    let here =
        Environment::here(Build { version: "1", commit: Some("abc") }).with_directory(std::path::Path::new("/proc"));
    assert!(here.disk.as_deref().unwrap().contains("proc"), "{here}");
}
