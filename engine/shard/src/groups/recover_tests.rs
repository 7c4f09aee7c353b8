//! What older torcs wrote is read; what newer ones may write is refused with a reason.

use super::*;
use crate::stats::Stats;
use crate::tests::rig::settings;
use std::collections::VecDeque;
use std::sync::Arc;
use torc_base::ids::Offset;
use torc_base::time::{Mono, Now, Wall};
use torc_snapshot::{Section, Sections};

/// See its head.
const BEFORE_KINDS: &str = include_str!("../../testdata/checkpoint_before_kinds.txt");

fn sections() -> Sections {
    let mut sections = Sections::new();
    for line in BEFORE_KINDS.lines().filter(|line| !line.starts_with('#')) {
        if let Ok(name) = <[u8; 4]>::try_from(format!("{line:4}").as_bytes()) {
            sections.push((Section(name), Vec::new()));
            continue;
        }
        let bytes = (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap());
        sections.last_mut().unwrap().1.extend(bytes);
    }
    sections
}

fn groups() -> Groups {
    Groups::new(Arc::new(settings()), Arc::new(Stats::default()))
}

fn with_out<T>(f: impl FnOnce(&mut Out) -> T) -> T {
    let (mut ops, mut answers, mut notices) = (Vec::new(), VecDeque::new(), VecDeque::new());
    let now = Now { mono: Mono(1), wall: Wall(1_700_000_000_000) };
    f(&mut Out { now, ops: &mut ops, answers: &mut answers, notices: &mut notices })
}

fn load(sections: Sections) -> Result<Groups, String> {
    let mut groups = groups();
    with_out(|out| groups.load_sections(out, sections)).map(|_| groups)
}

#[test]
fn a_checkpoint_from_before_kinds_had_tags_is_read() {
    let mut groups = load(sections()).unwrap();
    let found = std::mem::take(&mut groups.checkpoint.recovery.found);
    let partitions: Vec<(u64, i64, i64, usize)> = found
        .iter()
        .filter_map(|(id, found)| Some((id.get(), found.meaning.partition()?.state())))
        .map(|(id, state)| (id, state.high_watermark().get(), state.end().get(), state.producers()))
        .collect();
    assert_eq!(partitions, [(1025, 4, 4, 1), (1026, 1, 1, 0), (1027, 0, 0, 0)]);
    let Meaning::Catalog(catalog) = &found[&GroupId::CATALOG].meaning else { panic!("the catalog's kind is known") };
    let topics: Vec<(&str, u32)> = catalog.state().topics().map(|t| (&*t.name, t.partitions.len())).collect();
    assert_eq!(topics, [("orders", 2), ("other", 1)]);
}

#[test]
fn a_checkpoint_whose_catalog_is_missing_is_refused() {
    for missing in [*b"CATL", *b"GRPS"] {
        let mut sections = sections();
        sections.retain(|(section, _)| section.0 != missing);
        let refused = load(sections).err().expect("topics would be lost");
        assert!(refused.contains("catalog"), "{refused}");
    }
}

#[test]
fn a_checkpoint_with_a_kind_of_a_newer_torc_is_refused_by_its_number() {
    for tag in [2, 3, 200] {
        let mut sections = sections();
        let (_, bytes) = sections.iter_mut().find(|(section, _)| section.0 == *b"GRPS").unwrap();
        // The last group is that of topic `other`; its partition takes 8 bytes, the tag stands before.
        let at = bytes.len() - 8;
        assert_eq!(bytes[at - 1..=at], [1, 1], "the tag, and the version of what follows");
        bytes[at - 1] = tag;
        let refused = load(sections).err().expect("no such kind");
        assert!(refused.contains("group 1027") && refused.contains(&format!("kind {tag}")), "{refused}");
    }
}

fn marker(group: u64, bytes: &[u8]) -> Item {
    let mut payload = torc_base::buf::Pool::new(usize::MAX, 0).take(bytes.len()).unwrap();
    payload.copy_from_slice(bytes);
    Item {
        group: GroupId(group),
        kind: kind::HARD_STATE,
        term: Term(3),
        index: Index(0),
        first_offset: Offset(0),
        records: 0,
        max_timestamp: -1,
        prefix_len: 0,
        body_crc: 0,
        bytes: payload.freeze(),
    }
}

/// Terms and votes of logs with and without the kind behind them.
#[test]
fn terms_say_of_which_kind_a_log_is_unless_they_are_old() {
    let hard_state = HardState { term: Term(3), vote: Some(torc_base::ids::NodeId(7)) };
    let tagged = crate::groups::propose::encode_hard_state(&hard_state, LogKind::Partition);
    let mut groups = groups();
    let replay = |groups: &mut Groups, item: Item| with_out(|out| groups.replay(out, &item));
    for (group, bytes, kind) in [
        (1024, &tagged[..], LogKind::Partition),
        (1025, &tagged[..13], LogKind::Partition),
        (GroupId::CATALOG.get(), &tagged[..13], LogKind::Catalog),
    ] {
        replay(&mut groups, marker(group, bytes)).unwrap();
        let found = &groups.checkpoint.recovery.found[&GroupId(group)];
        assert_eq!((found.hard_state, found.meaning.kind()), (hard_state, kind));
    }
    // Older and newer ones of the same group.
    replay(&mut groups, marker(1024, &tagged[..13])).unwrap();
    replay(&mut groups, marker(1025, &tagged)).unwrap();
    let other = replay(&mut groups, marker(GroupId::CATALOG.get(), &tagged)).unwrap_err();
    assert!(other.contains("Catalog") && other.contains("Partition"), "{other}");
    for length in [0, 12, 15] {
        let bytes = [&tagged[..], &[0; 8]].concat();
        assert!(replay(&mut groups, marker(1024, &bytes[..length])).is_err(), "{length} bytes");
    }
    let mut unknown = tagged;
    unknown[13] = 2;
    let refused = replay(&mut groups, marker(1028, &unknown)).unwrap_err();
    assert!(refused.contains("kind 2"), "{refused}");
}
