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

/// A state that a leader sends.
fn snapshot(mark: Spot, configuration: &Configuration) -> (Message, Vec<Sent>) {
    let mut state = sent(1, 0, b"").item;
    (state.kind, state.index, state.term, state.records) = (kind::STATE, mark.index, mark.term, 0);
    let start = crate::meaning::PartitionLog::encode_start(Offset(7), Offset(90), crate::group::epoch_of(mark.term));
    (state.bytes, state.prefix_len) = (torc_base::buf::Buf::copy_of(&start), 0);
    state.body_crc = torc_base::crc::crc32c(&start);
    let message = Message { term: Term(12), body: Body::Snapshot { mark, configuration: configuration.clone() } };
    (message, vec![Sent { item: state, gather: false }])
}

/// A state comes from a leader of whom nothing was heard before: its term stands in front of it.
#[test]
fn a_term_that_comes_with_a_state_may_be_found_without_it() {
    let mark = Spot { term: Term(9), index: Index(41) };
    let mut met = 0;
    for bytes in FILLS.step_by(STEP) {
        let mut member = fresh();
        fill(&mut member, bytes);
        let configuration = Configuration::of_voters([1, 2, 4].map(NodeId));
        let (message, entries) = snapshot(mark, &configuration);
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

/// A member that has got entries 1 to 3.
fn with_three_entries() -> Member {
    let mut member = fresh();
    let entries = vec![sent(1, 0, b"a"), sent(2, 1, b"b"), sent(3, 2, b"c")];
    let message = append(Spot::default(), 3, &entries);
    assert_eq!(member.call(|groups, out| groups.receive(out, LOG, MEMBERS[1], message, entries)), Ok(()));
    member.run();
    member
}

/// A log that is damaged begins anew: whoever has nothing of it any more knows that it may have forgotten something.
#[test]
fn a_log_that_begins_anew_is_never_found_without_its_doubt() {
    let mut met = 0;
    for bytes in FILLS.step_by(STEP) {
        let mut member = with_three_entries();
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

/// The entry behind those that the log has from `first` on, one behind the other.
fn whole_to(member: &Member, first: Index) -> Index {
    member.groups.wal.runs(LOG).iter().fold(first, |next, run| {
        assert!(run.entries == run.last_index.get() + 1 - run.first_index.get(), "{run:?}");
        if run.first_index <= next { next.max(run.last_index.next()) } else { next }
    })
}

/// A replica is moved away and comes back, and no checkpoint is made meanwhile: what a start finds is what the log has, of the copy
/// that went or of the one that came, whose entries are the same.
#[test]
fn a_replica_that_moved_away_and_back_is_not_taken_for_the_one_before() {
    // Where the log of the copy that goes begins, and whether the one that comes begins with a state.
    for (released, with_state) in [(1, false), (3, false), (1, true), (3, true)] {
        let (mut met, mut between) = ([0; 4], 0);
        for bytes in FILLS.step_by(STEP) {
            let mut member = with_three_entries();
            let first = Index(released);
            member.groups.wal.release(LOG, first);
            member.call(|groups, out| groups.step(out, LOG, Input::Released { first }));
            member.checkpoint();
            let had = member.groups.wal.written();
            member.call(|groups, out| groups.drop_group(out, LOG));
            fill(&mut member, bytes);
            member.call(|groups, out| groups.create_added(out, LOG, &[MEMBERS[1]]));
            member.run();
            assert!(in_doubt(&member));
            let (message, entries) = if with_state {
                snapshot(Spot { term: Term(9), index: Index(2) }, &Configuration::of_voters([MEMBERS[1]]))
            } else {
                let entries = vec![sent(1, 0, b"a"), sent(2, 1, b"b")];
                (append(Spot::default(), 2, &entries), entries)
            };
            assert_eq!(member.call(|groups, out| groups.receive(out, LOG, MEMBERS[1], message, entries)), Ok(()));
            member.run();
            for again in crashes(&member).into_iter().skip(had.get() as usize) {
                let (raft, wal) = (&again.group().raft, &again.groups.wal);
                let (first, last) = (raft.log().first(), raft.log().last());
                if wal.last_index(LOG).is_some() {
                    assert_eq!((wal.first_index(LOG), wal.last_index(LOG)), (Some(first), Some(last)), "{bytes}");
                }
                assert_eq!(whole_to(&again, first), last.next(), "{bytes}: all are there");
                assert!(last == Index(3) || in_doubt(&again), "{bytes}: it may have forgotten what it had");
                let members = raft.configuration().1;
                assert!(last == Index(3) || members == &Configuration::of_voters([MEMBERS[1]]), "{members:?}");
                met[last.get() as usize] += 1;
                between += usize::from(last == Index(3) && in_doubt(&again));
            }
        }
        assert!(met[0] > 0 && met[1] == 0 && met[3] > 0, "{met:?}");
        assert!(met[2] >= FILLS.step_by(STEP).count(), "all that was written is found: {met:?}");
        assert!(between > 0, "the doubt was never found alone");
    }
}
