//! What is written together may lie in two batches, and a crash may leave the first alone: what stands in it holds without what
//! was to follow.

use super::*;
use torc_base::ids::BatchSeq;
use torc_base::limits::PAGE;
use torc_consensus::Configuration;
use torc_wal::{batch, segment};

/// A group that fills the batch.
const FILL: GroupId = GroupId(1031);
/// Bytes of a record for it, with which a batch ends between two of those entries that follow, and steps between them.
const FILLS: std::ops::Range<usize> = (61 * PAGE - 800)..(61 * PAGE - 100);
const STEP: usize = 40;

/// A log as a crash leaves it that comes before the batch behind `last` is on the disk.
fn crashed(files: &Files, last: BatchSeq) -> Files {
    let mut left = files.clone();
    for (_, bytes) in left.iter_mut().filter(|(name, _)| name.starts_with("wal-")) {
        let Some(file) = segment::Header::decode(bytes) else { continue };
        for at in (PAGE..bytes.len()).step_by(PAGE) {
            let Some((header, _)) = batch::Header::decode(&bytes[at..]) else { continue };
            if header.salt == file.salt && header.position as usize == at && header.seq > last {
                bytes[at..at + header.total as usize].fill(0);
            }
        }
    }
    left
}

/// All that a crash may leave of what a member has written, each with a member that goes on with it.
fn crashes(member: &Member) -> Vec<Member> {
    let again = |last: u64| {
        let files = crashed(&member.disk.files, BatchSeq(last));
        Member::start(member.settings.clone(), files, member.now)
    };
    (0..=member.groups.wal.written().get()).map(again).collect()
}

/// Fills the open batch.
fn fill(member: &mut Member, bytes: usize) {
    member.call(|groups, out| groups.create(out, FILL, LogKind::Partition, &MEMBERS));
    let mut entries = vec![sent(1, 0, &vec![b'x'; bytes])];
    entries[0].item.group = FILL;
    let message = append(Spot::default(), 0, &entries);
    assert_eq!(member.call(|groups, out| groups.receive(out, FILL, MEMBERS[1], message, entries)), Ok(()));
}

fn in_doubt(member: &Member) -> bool {
    member.group().raft.hard_state().doubt.is_some()
}

/// A state comes from a leader of whom nothing was heard before: its term stands in front of it.
#[test]
fn a_term_that_comes_with_a_state_may_be_found_without_it() {
    let mark = Spot { term: Term(9), index: Index(41) };
    let mut met = 0;
    for bytes in FILLS.step_by(STEP) {
        let mut member = fresh();
        fill(&mut member, bytes);
        let mut state = sent(1, 0, b"").item;
        (state.kind, state.index, state.term, state.records) = (kind::STATE, mark.index, mark.term, 0);
        let start =
            crate::meaning::PartitionLog::encode_start(Offset(7), Offset(90), crate::group::epoch_of(mark.term));
        (state.bytes, state.prefix_len) = (torc_base::buf::Buf::copy_of(&start), 0);
        state.body_crc = torc_base::crc::crc32c(&start);
        let configuration = Configuration::of_voters([1, 2, 4].map(NodeId));
        let message = Message { term: Term(12), body: Body::Snapshot { mark, configuration: configuration.clone() } };
        let entries = vec![Sent { item: state, gather: false }];
        assert_eq!(member.call(|groups, out| groups.receive(out, LOG, MEMBERS[1], message, entries)), Ok(()));
        member.run();
        for again in crashes(&member) {
            let raft = &again.group().raft;
            let (applied, (since, members)) = (raft.marks().applied, &raft.configurations()[0]);
            assert!(!in_doubt(&again), "{bytes}: nothing is lost");
            match applied {
                Index(0) => assert_eq!((*since, members), (Index(0), &Configuration::of_voters(MEMBERS)), "{bytes}"),
                _ => assert_eq!((applied, *since, members), (mark.index, mark.index, &configuration), "{bytes}"),
            }
            met += usize::from(applied == Index(0) && raft.term() == Term(12));
        }
    }
    assert!(met > 0, "the term was never found alone");
}

/// A log that is damaged begins anew: whoever has nothing of it any more knows that it may have forgotten something.
#[test]
fn a_log_that_begins_anew_is_never_found_without_its_doubt() {
    let mut met = 0;
    for bytes in FILLS.step_by(STEP) {
        let mut member = fresh();
        let entries = vec![sent(1, 0, b"a"), sent(2, 1, b"b"), sent(3, 2, b"c")];
        let message = append(Spot::default(), 3, &entries);
        assert_eq!(member.call(|groups, out| groups.receive(out, LOG, MEMBERS[1], message, entries)), Ok(()));
        member.run();
        let had = member.groups.wal.written();
        fill(&mut member, bytes);
        member.call(|groups, out| groups.begin_anew(out, LOG));
        member.run();
        assert!(in_doubt(&member));
        for again in crashes(&member).into_iter().skip(had.get() as usize) {
            let has_all = again.group().raft.marks().written == Index(3);
            assert!(has_all != in_doubt(&again), "{bytes}: {:?}", again.group().raft);
            met += usize::from(has_all && again.groups.groups.contains_key(&FILL));
        }
    }
    assert!(met > 0, "no batch ended there");
}
