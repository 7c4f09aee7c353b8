//! What some tests need of the machine, such as root. A test that cannot run has shown nothing: it fails, unless who
//! runs it says that he knows.

use std::ffi::OsStr;

/// Set to 1, it lets tests pass that this machine cannot run.
pub const MAY_SKIP: &str = "TORC_TESTS_MAY_SKIP";

/// For tests: ends a test that this machine cannot run. Panics, unless [`MAY_SKIP`] is set to 1; then the test is to
/// return.
pub fn cannot_run(test: &str, why: impl std::fmt::Display) {
    assert!(
        may_skip(std::env::var_os(MAY_SKIP).as_deref()),
        "{test} cannot run here: {why}; run it where it can, or set {MAY_SKIP}=1 to leave it out"
    );
    eprintln!("skipped, as {MAY_SKIP} is set: {test}: {why}");
}

/// Whether this value of [`MAY_SKIP`] lets tests be left out.
fn may_skip(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| value == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_cannot_run_fails_unless_somebody_said_that_it_may_be_left_out() {
        assert!(may_skip(Some(OsStr::new("1"))));
        for value in [None, Some(OsStr::new("")), Some(OsStr::new("0")), Some(OsStr::new("false"))] {
            assert!(!may_skip(value), "{value:?}");
        }
    }
}
