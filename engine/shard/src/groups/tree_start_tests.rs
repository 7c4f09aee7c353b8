use super::*;
use crate::meaning::LogKind;
use crate::settings::Settings;

fn settings() -> Settings {
    crate::tests::rig::settings()
}

/// The parts of a tree, cut anywhere, as the log has them.
fn parts(transfer: u64, bytes: usize) -> (Vec<Vec<u8>>, u64) {
    let mut log = TreeLog::new(&settings());
    log.begin_giving();
    let mut stream = Vec::new();
    while let Some(false) = log.give(&mut stream) {}
    let chunks = stream.chunks(bytes).enumerate();
    let parts = chunks.map(|(n, part)| [&head(transfer, (n * bytes) as u64)[..], part].concat());
    (parts.collect(), stream.len() as u64)
}

fn find(payloads: &[Vec<u8>]) -> Option<Box<FoundParts>> {
    let tree = Meaning::new(LogKind::Tree, &settings());
    payloads.iter().fold(None, |before, payload| FoundParts::with(before, payload, &tree))
}

#[test]
fn parts_that_are_all_there_make_a_tree() {
    for bytes in [1, 50, 10_000] {
        let (parts, len) = parts(7, bytes);
        let made = find(&parts).expect("they follow each other").finish(&head(7, len));
        let Some(Meaning::Tree(tree)) = made else { panic!("no tree") };
        assert_eq!(tree.state().digest(), TreeLog::new(&settings()).state().digest());
    }
}

#[test]
fn what_was_given_up_is_left_behind() {
    let (given_up, _) = parts(6, 10);
    let (whole, len) = parts(7, 10);
    let all: Vec<Vec<u8>> = given_up[..2].iter().chain(&whole).cloned().collect();
    assert!(find(&all).expect("the second one is whole").finish(&head(7, len)).is_some());
}

#[test]
fn parts_that_are_not_all_there_or_not_those_make_none() {
    let (parts, len) = parts(7, 10);
    assert!(parts.len() > 4);
    for gone in 0..parts.len() {
        let mut fewer = parts.clone();
        fewer.remove(gone);
        assert!(find(&fewer).and_then(|found| found.finish(&head(7, len))).is_none(), "without part {gone}");
    }
    let end = |payload: &[u8]| find(&parts).expect("they follow each other").finish(payload).is_some();
    assert!(!end(&head(8, len)) && !end(&head(7, len - 1)) && !end(&[7]));
    let mut damaged = parts.clone();
    damaged[2][PART_HEAD] ^= 1;
    assert!(find(&damaged).and_then(|found| found.finish(&head(7, len))).is_none());
}
