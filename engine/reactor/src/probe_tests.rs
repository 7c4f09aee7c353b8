use crate::probe::{Machine, probe, raise_open_files};
use crate::resources::Limits;
use std::io;

fn machine(disabled: Option<&str>) -> Machine {
    Machine { kernel: "5.15.0-test".to_owned(), io_uring_disabled: disabled.map(str::to_owned), limits: limits() }
}

fn limits() -> Limits {
    Limits { locked: Some(64 << 10), files: Some(300), ..Limits::default() }
}

fn refusal(disabled: Option<&str>, errno: i32) -> String {
    machine(disabled).no_ring(&io::Error::from_raw_os_error(errno)).to_string()
}

#[test]
fn refusals_name_what_to_change() {
    let cases: [(Option<&str>, i32, &[&str]); 7] = [
        (None, libc::ENOSYS, &["5.15.0-test", "Linux 6.1 or later", "seccomp"]),
        (Some("2"), libc::EPERM, &["kernel.io_uring_disabled=2", "sysctl -w kernel.io_uring_disabled=0"]),
        (Some("0"), libc::EPERM, &["seccomp"]),
        (None, libc::EINVAL, &["DEFER_TASKRUN", "5.15.0-test", "Linux 6.1 or later"]),
        (None, libc::ENOMEM, &["ulimit -l", "LimitMEMLOCK"]),
        (None, libc::EMFILE, &["ulimit -n", "LimitNOFILE"]),
        (None, libc::EIO, &["5.15.0-test", "os error 5"]),
    ];
    for (disabled, errno, words) in cases {
        let text = refusal(disabled, errno);
        for word in words {
            assert!(text.contains(word), "{errno}: {text:?} does not say {word:?}");
        }
        assert!(!text.contains("  "), "{text:?}");
    }
    let lacks = machine(None).lacks("the operation sendmsg").to_string();
    assert!(lacks.contains("5.15.0-test") && lacks.contains("sendmsg") && lacks.contains("6.1"), "{lacks}");
    let few = machine(None).few_files(64).to_string();
    assert!(few.contains("only 64 files") && few.contains("ulimit -n"), "{few}");
}

#[test]
fn this_machine_is_accepted() {
    let most = raise_open_files();
    let features = probe().expect("torc's tests need a kernel that runs torc");
    assert_eq!(features.open_files, most);
    assert!(!features.kernel.is_empty());
}
