use crate::stop::{Meaning, Wishes, ignores};
use std::time::{Duration, Instant};

fn meanings(after_ms: &[u64]) -> Vec<Meaning> {
    let (began, mut wishes) = (Instant::now(), Wishes::default());
    after_ms.iter().map(|ms| wishes.take(began + Duration::from_millis(*ms))).collect()
}

#[test]
fn two_signals_at_once_are_one_wish() {
    assert_eq!(meanings(&[0, 0]), [Meaning::Drain, Meaning::Again]);
    assert_eq!(meanings(&[0, 999]), [Meaning::Drain, Meaning::Again]);
}

#[test]
fn a_third_one_ends_at_once_and_so_does_one_a_second_later() {
    assert_eq!(meanings(&[0, 0, 0]), [Meaning::Drain, Meaning::Again, Meaning::Leave]);
    assert_eq!(meanings(&[0, 1000]), [Meaning::Drain, Meaning::Leave]);
    assert_eq!(meanings(&[0, 5, 60_000]), [Meaning::Drain, Meaning::Again, Meaning::Leave]);
}

#[test]
fn what_was_to_be_ignored_is_seen() {
    let status =
        |mask: &str| format!("Name:\ttorc\nSigBlk:\tffffffffffffffff\nSigIgn:\t{mask}\nSigCgt:\tffffffffffffffff\n");
    // SIGHUP is 1, SIGINT 2, SIGPIPE 13, SIGTERM 15.
    assert!(ignores(&status("0000000000001001"), 1) && ignores(&status("0000000000001000"), 13));
    assert!(!ignores(&status("0000000000001000"), 1) && !ignores(&status("0000000000001000"), 15));
    assert!(!ignores("", 1) && !ignores(&status("x"), 1), "what cannot be read is taken for the usual");
}
