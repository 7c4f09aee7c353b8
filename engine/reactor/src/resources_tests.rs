use crate::resources::{Limits, Want, explain, least};
use std::fs;
use std::io;

fn narrow() -> Limits {
    Limits {
        locked: Some(64 << 10),
        address_space: Some(512 << 20),
        files: Some(1024),
        threads: Some(100),
        memory: Some(256 << 20),
        tasks: Some(64),
    }
}

#[test]
fn every_limit_that_can_strike_is_named_with_its_number_and_its_remedy() {
    let cases: [(Want, i32, &[&str]); 9] = [
        (Want::Ring, libc::ENOMEM, &["64 KiB (ulimit -l, LimitMEMLOCK=)", "512 MiB (ulimit -v", "256 MiB (memory.max"]),
        (Want::Descriptor, libc::ENOMEM, &["ulimit -v", "memory.max"]),
        (Want::Descriptor, libc::ENOBUFS, &["memory.max"]),
        (Want::Thread, libc::EAGAIN, &["100 (ulimit -u", "64 (pids.max, TasksMax=", "512 MiB (ulimit -v"]),
        (Want::Descriptor, libc::EMFILE, &["ulimit -n", "1024"]),
        (Want::Ring, libc::EMFILE, &["ulimit -n", "1024"]),
        (Want::Descriptor, libc::ENFILE, &["fs.file-max"]),
        (Want::Ring, libc::EPERM, &["seccomp"]),
        (Want::Directory, libc::EROFS, &["read-only", "--data-dir"]),
    ];
    for (want, errno, words) in cases {
        let text = narrow().cure(want, errno).expect("it has a remedy");
        for word in words {
            assert!(text.contains(word), "{want:?} {errno}: {text:?} does not say {word:?}");
        }
        assert!(!text.contains("  "), "{text:?}");
    }
    // Locked memory has nothing to do with a socket.
    assert!(!narrow().cure(Want::Descriptor, libc::ENOMEM).unwrap().contains("ulimit -l"));
}

#[test]
fn limits_that_are_not_there_are_not_blamed() {
    let none = Limits::default();
    assert!(none.cure(Want::Ring, libc::ENOMEM).unwrap().contains("no memory left"));
    assert!(none.cure(Want::Thread, libc::EAGAIN).unwrap().contains("kernel.threads-max"));
    assert_eq!(none.cure(Want::Ring, libc::EIO), None);
    assert_eq!(explain(Want::Ring, &io::Error::other("by itself")), "by itself");
}

#[test]
fn the_least_limit_of_all_cgroups_around_counts() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let names = ["memory.max", "memory.limit_in_bytes"];
    write("a/b/memory.max", "max\n");
    write("a/memory.max", "1000\n");
    write("memory.max", "4000\n");
    write("other/memory.max", "1\n");
    assert_eq!(least(dir.path(), "0::/a/b\n", "memory", names), Some(1000));
    // Version 1 has a hierarchy of its own to each controller, and a number for "none".
    write("memory/c/memory.limit_in_bytes", "9223372036854771712\n");
    assert_eq!(least(dir.path(), "5:pids:/c\n4:memory:/c\n", "memory", names), None);
    write("memory/c/memory.limit_in_bytes", "5000\n");
    assert_eq!(least(dir.path(), "5:pids:/c\n4:memory:/c\n", "memory", names), Some(5000));
    // A container sees its own cgroup at the top, whatever the path says.
    assert_eq!(least(dir.path(), "0::/../nowhere\n", "memory", names), Some(4000));
}
