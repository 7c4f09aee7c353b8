//! What older torcs wrote is read; what newer ones may write is refused with a reason.

use super::*;
use crate::groups::hard_state::encode_hard_state;
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
    // 3 is that of the tree, which is another group's.
    for tag in [2, 3, 4, 200] {
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
    let hard_state = HardState { term: Term(3), vote: Some(torc_base::ids::NodeId(7)), doubt: None };
    let node = settings().node;
    let alone = Configuration::of_voters([node]);
    let tagged = encode_hard_state(&hard_state, LogKind::Partition, (Index(0), &alone), node);
    let mut groups = groups();
    let replay = |groups: &mut Groups, item: Item| groups.replay(&item);
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
    let mut unknown = tagged.clone();
    unknown[13] = 2;
    let refused = replay(&mut groups, marker(1028, &unknown)).unwrap_err();
    assert!(refused.contains("kind 2"), "{refused}");
}

/// An entry of a partition's log: a no-op, or a batch of `records` at `base`.
fn entry(term: u64, index: u64, base: i64, records: u32) -> Item {
    let record = torc_net::kafka::records::Record { value: Some(b"v"), ..Default::default() };
    let bytes = crate::batch::build(&vec![record; records.max(1) as usize]);
    let (kind, bytes) = if records > 0 { (kind::RECORDS, &bytes[..]) } else { (kind::NOOP, &b""[..]) };
    Item { kind, term: Term(term), index: Index(index), first_offset: Offset(base), records, ..marker(1024, bytes) }
}

fn told(found: &RecoveredGroup) -> (u64, u64, i64, i32, Vec<(u64, u64)>) {
    let state = found.meaning.partition().unwrap().state();
    let terms = found.terms.iter().map(|run| (run.term.get(), run.first.get())).collect();
    (found.last.get(), found.applied.get(), state.end().get(), state.epoch().get(), terms)
}

/// A follower's log has entries that other leaders' replaced, of newer terms and of older ones, which are as good.
#[test]
fn entries_of_another_term_replace_what_is_there() {
    let mut groups = groups();
    for entry in [
        entry(1, 1, 0, 0),
        entry(1, 2, 0, 5),
        // Of a leader that was alone.
        entry(3, 3, 5, 0),
        entry(3, 4, 5, 2),
        entry(3, 5, 7, 2),
        // Of one that had another history, which it had from the leader before.
        entry(2, 3, 5, 0),
        entry(2, 4, 5, 1),
        entry(4, 5, 6, 0),
        entry(4, 6, 6, 3),
        // Twice the same.
        entry(4, 6, 6, 3),
        entry(5, 6, 6, 0),
    ] {
        groups.replay(&entry).unwrap();
    }
    let found = &groups.checkpoint.recovery.found[&GroupId(1024)];
    assert_eq!(told(found), (6, 0, 6, 5, vec![(1, 1), (2, 3), (4, 5), (5, 6)]));
    let refused = groups.replay(&entry(5, 8, 6, 1)).unwrap_err();
    assert!(refused.contains("entry 8 follows entry 6"), "{refused}");
    let refused = groups.replay(&entry(4, 7, 6, 1)).unwrap_err();
    assert!(refused.contains("follows term 5"), "{refused}");
}

/// What is applied is committed, and replaced by nobody; what is behind it in the checkpoint can be replaced.
#[test]
fn a_checkpoint_keeps_what_is_applied_apart_from_what_is_not() {
    let mut settings = settings();
    settings.cluster.voters = vec![settings.node, torc_base::ids::NodeId(8), torc_base::ids::NodeId(9)];
    let settings = Arc::new(settings);
    let mut first = Groups::new(Arc::clone(&settings), Arc::new(Stats::default()));
    for entry in [entry(1, 1, 0, 0), entry(1, 2, 0, 5), entry(1, 3, 5, 2), entry(3, 4, 7, 2)] {
        first.replay(&entry).unwrap();
    }
    let (terms, hard_state) = (Term(3), HardState { term: Term(3), vote: None, doubt: None });
    assert_eq!(hard_state.term, terms);
    let found = std::mem::take(&mut first.checkpoint.recovery.found);
    for (id, mut found) in found {
        found.meaning.apply(Index(2));
        let log = LogView { first: found.first, last: found.last, terms: found.terms };
        let members = Configuration::of_voters(settings.cluster.voters.iter().copied());
        let config = config(&settings, id, vec![(Index(0), members)]);
        let raft = Raft::new(config, hard_state, log, Index(2));
        first.groups.insert(id, Group::new(raft, found.meaning));
    }
    let mut second = groups();
    second.decode_groups(&first.encode_groups()).unwrap();
    let found = &second.checkpoint.recovery.found[&GroupId(1024)];
    assert_eq!(told(found), (4, 2, 9, 3, vec![(1, 1), (3, 4)]));
    assert_eq!(found.meaning.partition().unwrap().state().high_watermark(), Offset(5));
    // The log goes on behind the checkpoint, with another leader.
    second.replay(&entry(2, 3, 5, 0)).unwrap();
    second.replay(&entry(4, 4, 5, 1)).unwrap();
    let found = &second.checkpoint.recovery.found[&GroupId(1024)];
    assert_eq!(told(found), (4, 2, 6, 4, vec![(1, 1), (2, 3), (4, 4)]));
    let refused = second.replay(&entry(4, 2, 0, 5)).unwrap_err();
    assert!(refused.contains("2 is applied"), "{refused}");
}

#[test]
fn only_what_a_disk_before_this_one_may_have_had_is_in_doubt() {
    let mut settings = settings();
    settings.cluster.doubt = Some(7);
    let mut groups = Groups::new(Arc::new(settings), Arc::new(Stats::default()));
    let replicas = [1, 2, 3].map(torc_base::ids::NodeId);
    let doubt = |groups: &mut Groups, id| {
        with_out(|out| groups.create(out, GroupId(id), crate::meaning::LogKind::Partition, &replicas));
        groups.groups[&GroupId(id)].raft.hard_state().doubt
    };
    assert!(doubt(&mut groups, 1025).is_some(), "it may have voted there");
    groups.start_is_known();
    assert_eq!(doubt(&mut groups, 1026), None, "it was made when the old disk was gone");
    assert!(doubt(&mut groups, 1025).is_some(), "that is not forgotten");
}

/// A state that was taken over is missing, and what was said when it held is there: nothing is promised of it.
#[test]
fn a_group_whose_state_is_missing_begins_anew_and_in_doubt() {
    let three = Configuration::of_voters([1, 2, 3].map(torc_base::ids::NodeId));
    let node = torc_base::ids::NodeId(1);
    for behind in [vec![], vec![entry(3, 42, 90, 1), entry(3, 43, 91, 1)]] {
        let mut groups = groups();
        let hard_state = HardState { term: Term(3), vote: None, doubt: None };
        let bytes = encode_hard_state(&hard_state, LogKind::Partition, (Index(41), &three), node);
        groups.replay(&Item { kind: kind::HARD_STATE, ..marker(1024, &bytes) }).unwrap();
        behind.iter().for_each(|entry| groups.replay(entry).unwrap());
        let mut found = groups.checkpoint.recovery.found.remove(&GroupId(1024)).unwrap();
        found.look_for_state();
        let consequence = found.consequence(&groups.settings, 7, true);
        assert_eq!((consequence.doubt, consequence.anew), (Some(Doubt::All { incarnation: 7 }), true));
        let config = config(&groups.settings, GroupId(1024), found.configurations);
        let log = LogView { first: found.first, last: found.last, terms: found.terms };
        let raft = Raft::new(config, found.hard_state, log, found.applied);
        assert_eq!(raft.configurations(), [(Index(0), three.clone())]);
        assert_eq!(raft.hard_state().term, Term(3));
    }
}

/// A group that a node had for itself gets other members by an entry, and no checkpoint has been made: nothing is lost, and the node
/// starts with all of it, whether the log or a checkpoint says how it began.
#[test]
fn a_group_that_began_alone_and_has_others_by_its_log_is_whole() {
    let (mut members, node) = (Vec::new(), settings().node);
    let alone = Configuration::of_voters([node]);
    let learner = torc_consensus::Member { id: torc_base::ids::NodeId(9), seat: torc_consensus::Seat::Learner };
    let voter = torc_consensus::Member { id: node, seat: torc_consensus::Seat::Voter };
    let with_learner = Configuration::new(vec![voter, learner]).unwrap();
    torc_consensus::wire::encode_configuration(&with_learner, &mut members);
    let change = Item { kind: kind::MEMBERS, index: Index(3), first_offset: Offset(2), ..marker(1024, &members) };
    let hard_state = HardState { term: Term(3), vote: Some(node), doubt: None };
    let first = encode_hard_state(&hard_state, LogKind::Partition, (Index(0), &alone), node);
    for checkpointed in [false, true] {
        let mut groups = groups();
        groups.replay(&marker(1024, &first)).unwrap();
        if checkpointed {
            let found = std::mem::take(&mut groups.checkpoint.recovery.found);
            with_out(|out| found.into_iter().for_each(|(id, found)| groups.begin_recovered(out, id, found)));
            let bytes = groups.encode_groups();
            groups = self::groups();
            groups.decode_groups(&bytes).unwrap();
        }
        groups.replay(&entry(3, 1, 0, 1)).unwrap();
        groups.replay(&entry(3, 2, 1, 1)).unwrap();
        groups.replay(&change).unwrap();
        let found = groups.checkpoint.recovery.found.remove(&GroupId(1024)).unwrap();
        assert_eq!(found.configurations, [(Index(0), alone.clone()), (Index(3), with_learner.clone())]);
        with_out(|out| groups.begin_recovered(out, GroupId(1024), found));
        let raft = groups.raft(GroupId(1024)).unwrap();
        assert_eq!((raft.marks().written, raft.hard_state()), (Index(3), hard_state), "checkpointed {checkpointed}");
        assert_eq!(raft.configuration().1, &with_learner);
    }
}

/// Logs of older torcs, and damaged ones, do not say that they begin anew: a replica that was moved away has come back, and its
/// entries stand again behind those that it had.
#[test]
fn a_log_that_begins_again_without_a_word_is_not_the_one_before() {
    let old = |applied: u64| {
        let mut groups = groups();
        for entry in [entry(1, 1, 0, 0), entry(1, 2, 0, 5), entry(1, 3, 5, 2)] {
            groups.replay(&entry).unwrap();
        }
        let found = groups.checkpoint.recovery.found.get_mut(&GroupId(1024)).unwrap();
        found.meaning.apply(Index(applied));
        found.applied = Index(applied);
        groups
    };
    for applied in [0, 1, 3] {
        let mut groups = old(applied);
        groups.replay(&entry(1, 1, 0, 0)).unwrap();
        groups.replay(&entry(1, 2, 0, 5)).unwrap();
        let found = &groups.checkpoint.recovery.found[&GroupId(1024)];
        assert_eq!(told(found), (2, 0, 5, 1, vec![(1, 1)]), "{applied} was applied");
    }
    // Its first entries are lost, too: nobody knows what it has.
    let mut groups = old(3);
    groups.replay(&entry(1, 2, 0, 5)).unwrap();
    assert!(groups.checkpoint.recovery.found[&GroupId(1024)].loss.is_gap());
}
