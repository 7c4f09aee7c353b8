//! Short forms of what `torc-check groups` does. A silent member is left out, as it needs a timeout that is short for a busy machine,
//! and so are times, which such a machine does not keep; both are for the long form.

use torc_check::groups::{self, Part, Plan};
use torc_check::process;

fn check(part: Part) {
    let dir = tempfile::tempdir().unwrap();
    let (torc, dir) = (process::built(), dir.path().to_path_buf());
    let only = vec![part];
    let plan = Plan { torc, dir, shards: None, seed: 3, only, rounds: 5, groups: 200, seconds: 4, members: 3 };
    let report = groups::run(&plan).unwrap();
    report.assert_good();
    assert!(report.to_text().contains(" -\n"), "what other parts measure has no number: {}", report.to_text());
}

#[test]
fn acknowledged_commits_and_generations_survive_kill_9() {
    check(Part::Commits);
}

#[test]
fn many_groups_beat_and_are_known_after_kill_9() {
    check(Part::Many);
}

#[test]
fn no_partition_is_read_twice_while_members_restart() {
    check(Part::Rolling);
}
