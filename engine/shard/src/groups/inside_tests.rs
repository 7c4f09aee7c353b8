//! A small user inside the shard: it keeps a sum whose parts are records of a partition, and answers with the sum. What
//! coordinators rely on is tried with it.

use super::*;
use crate::allowance::Allowance;
use crate::groups::{FetchRequest, Flow};
use crate::mail::{Acks, FetchPart, ProducePart, ReadFrom, Token};
use crate::meaning::LogKind;
use crate::stats::Stats;
use crate::tests::disk::{Disk, Files};
use crate::tests::rig::{START_MS, settings};
use std::collections::VecDeque;
use std::sync::Arc;
use torc_base::io::{DiskOp, Op};
use torc_base::time::{Mono, Now, Wall};
use torc_net::kafka::records as kafka_records;

const LOG: GroupId = GroupId(1030);
const OTHER: GroupId = GroupId(1031);

/// The groups of a shard over a disk in memory.
struct Node {
    groups: Groups,
    disk: Disk,
    now: Now,
    answers: VecDeque<(Asker, Answer)>,
    next_token: u64,
}

impl Node {
    fn start(files: Files) -> Node {
        let groups = Groups::new(Arc::new(settings()), Arc::new(Stats::default()));
        let now = Now { mono: Mono(1), wall: Wall(START_MS) };
        let mut node = Node { groups, disk: Disk::new(files), now, answers: VecDeque::new(), next_token: 0 };
        node.call(|groups, out| groups.start(out));
        node.run();
        for id in [LOG, OTHER] {
            node.call(|groups, out| groups.create(out, id, LogKind::Partition, &[settings().node]));
        }
        node.run();
        node
    }

    fn call<T>(&mut self, f: impl FnOnce(&mut Groups, &mut Out) -> T) -> T {
        let (mut ops, mut notices) = (Vec::new(), VecDeque::new());
        let mut out = Out { now: self.now, ops: &mut ops, answers: &mut self.answers, notices: &mut notices };
        let result = f(&mut self.groups, &mut out);
        for op in ops {
            if let Op::Disk(DiskOp { tag, kind }) = op {
                self.disk.issue(DiskOp { tag, kind });
            }
        }
        result
    }

    /// Until the disk has nothing more to say.
    fn run(&mut self) {
        for _ in 0..1_000 {
            self.call(|groups, out| groups.turn(out, &mut Allowance::new()));
            let Some(done) = self.disk.pop() else { return };
            self.call(|groups, out| groups.on_disk(out, done));
        }
        panic!("the log does not come to rest");
    }

    fn asker(&mut self) -> Asker {
        self.next_token += 1;
        Asker { place: settings().here(), token: Token(self.next_token) }
    }

    /// All answers so far, by token.
    fn answers(&mut self) -> Vec<(u64, Told)> {
        self.answers.drain(..).map(|(asker, answer)| (asker.token.0, told(answer))).collect()
    }

    /// What is committed of a partition, as a consumer gets it.
    fn fetched(&mut self, group: GroupId) -> Vec<kafka_records::OwnedRecord> {
        let asker = self.asker();
        let part =
            FetchPart { position: 0, group, offset: Offset(0), max_bytes: 1 << 20, epoch: -1, from: ReadFrom::Leader };
        let request =
            FetchRequest { asker, reader: Flow::Inside, parts: vec![part], max_bytes: 1 << 20, may_wait: false };
        self.call(|groups, out| groups.fetch(out, request));
        self.run();
        let Some((_, Answer::Fetched(mut parts))) = self.answers.pop_front() else { panic!("no answer") };
        let fetched = parts.pop().unwrap().1.unwrap();
        let bytes: Vec<u8> = fetched.records.iter().flat_map(|buf| buf.to_vec()).collect();
        let mut rest = &bytes[..];
        let mut all = Vec::new();
        while !rest.is_empty() {
            let header = kafka_records::parse(rest).unwrap();
            let (batch, behind) = rest.split_at(header.length);
            kafka_records::verify(batch).expect("the CRC is that of a client's batch");
            assert_eq!(header.leader_epoch, 1, "patched like a client's");
            all.extend(kafka_records::read(batch).unwrap());
            rest = behind;
        }
        all
    }
}

/// What somebody was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Sum(u64),
    Refused(Refusal),
    Produced(Offset),
}

fn told(answer: Answer) -> Told {
    match answer {
        Answer::Sizes(sum) => Told::Sum(sum[0].1),
        Answer::Deleted(refused) => Told::Refused(refused[0].1.unwrap_err()),
        Answer::Produced(produced) => Told::Produced(produced[0].1.unwrap().base),
        other => panic!("{other:?} was not asked for"),
    }
}

/// The user: its state is the sum of the records of [`LOG`].
#[derive(Default)]
struct Sum(u64);

impl Sum {
    fn answer(&self, asker: Asker) -> KeptBack {
        let lost = |_, refusal| Answer::Deleted(vec![(0, Err(refusal))]);
        KeptBack { asker, answer: Answer::Sizes(vec![(0, self.0, 0)]), lost }
    }

    /// Adds a number, for several who wait for the sum.
    fn add(&mut self, node: &mut Node, number: u64, askers: usize) -> (Vec<u64>, Result<Offset, Refusal>) {
        self.0 += number;
        let askers: Vec<Asker> = (0..askers).map(|_| node.asker()).collect();
        let answers = askers.iter().map(|asker| self.answer(*asker)).collect();
        let value = number.to_be_bytes();
        let record = Record { timestamp: START_MS, key: Some(b"add"), value: Some(&value), headers: &[] };
        let result = node.call(|groups, out| groups.append_records(out, LOG, &[record], answers));
        (askers.into_iter().map(|asker| asker.token.0).collect(), result)
    }

    fn ask(&self, node: &mut Node) -> u64 {
        let asker = node.asker();
        let answer = self.answer(asker);
        node.call(|groups, out| groups.answer_behind(out, LOG, answer));
        asker.token.0
    }

    fn replayed(node: &mut Node) -> Sum {
        let numbers = node.fetched(LOG).into_iter().map(|record| {
            assert_eq!(record.key.as_deref(), Some(&b"add"[..]));
            u64::from_be_bytes(record.value.unwrap()[..].try_into().unwrap())
        });
        Sum(numbers.sum())
    }
}

#[test]
fn an_answer_leaves_when_its_records_are_committed_and_not_before() {
    let mut node = Node::start(Files::new());
    let mut sum = Sum::default();
    node.disk.hold_writes = true;
    let (first, base) = sum.add(&mut node, 5, 2);
    assert_eq!(base, Ok(Offset(0)));
    let (second, base) = sum.add(&mut node, 7, 1);
    assert_eq!(base, Ok(Offset(1)));
    node.run();
    assert_eq!(node.answers(), [], "nothing is durable");
    assert_eq!(node.fetched(LOG).len(), 0, "nor committed");
    node.disk.release();
    node.run();
    assert_eq!(node.answers(), [(first[0], Told::Sum(5)), (first[1], Told::Sum(5)), (second[0], Told::Sum(12))]);
    node.run();
    assert_eq!(node.answers(), [], "once each");
    // Without anybody who waits, as after a timer.
    assert_eq!(sum.add(&mut node, 1, 0).1, Ok(Offset(2)));
    node.run();
    assert_eq!(node.answers(), []);
    assert_eq!(Sum::replayed(&mut node).0, 13);
}

#[test]
fn an_answer_without_records_waits_for_those_that_it_may_come_of() {
    let mut node = Node::start(Files::new());
    let mut sum = Sum::default();
    let at_once = sum.ask(&mut node);
    assert_eq!(node.answers(), [(at_once, Told::Sum(0))]);
    node.disk.hold_writes = true;
    let (added, _) = sum.add(&mut node, 5, 1);
    let behind = sum.ask(&mut node);
    let (more, _) = sum.add(&mut node, 1, 1);
    node.run();
    assert_eq!(node.answers(), []);
    node.disk.release();
    node.run();
    assert_eq!(node.answers(), [(added[0], Told::Sum(5)), (behind, Told::Sum(5)), (more[0], Told::Sum(6))]);
}

#[test]
fn records_lie_in_the_log_like_those_of_clients_and_are_there_after_a_restart() {
    let mut node = Node::start(Files::new());
    let mut sum = Sum::default();
    let client = |value: &[u8], group: GroupId| {
        let bytes = batch::build(&[Record { timestamp: START_MS, value: Some(value), ..Record::default() }]);
        let mut payload = torc_base::buf::Pool::new(usize::MAX, 0).take(bytes.len()).unwrap();
        payload.copy_from_slice(&bytes);
        let batch = NewBatch { header: batch::header(&bytes).unwrap(), bytes: payload, gather: false, stamp: false };
        ProducePart { position: 0, group, batch, acks: Acks::All, in_sync: 1 }
    };
    let asker = node.asker();
    node.call(|groups, out| groups.produce(out, asker, vec![client(b"a client's", OTHER)]));
    for number in 1..=100 {
        sum.add(&mut node, number, 1).1.unwrap();
    }
    node.run();
    let answers = node.answers();
    assert_eq!(answers.len(), 101);
    assert_eq!(answers[0].1, Told::Produced(Offset(0)));
    let sums = answers[1..].iter().map(|(_, told)| *told);
    assert!(sums.eq((1..=100).map(|n| Told::Sum(n * (n + 1) / 2))));
    let offsets: Vec<i64> = node.fetched(LOG).iter().map(|record| record.offset).collect();
    assert_eq!(offsets, Vec::from_iter(0..100));
    let mut node = Node::start(std::mem::take(&mut node.disk.files));
    let replayed = Sum::replayed(&mut node);
    assert_eq!(replayed.0, sum.0);
    // The leader of the next term goes on where the last one ended.
    sum = replayed;
    assert_eq!(sum.add(&mut node, 1, 0).1, Ok(Offset(100)));
}

/// Whatever becomes of the log, nobody waits for ever, and nobody is told what is not so.
#[test]
fn those_who_wait_for_a_log_that_is_lost_are_told_so() {
    type Lose = fn(&mut Node);
    let cases: [(&str, Lose, Refusal); 2] = [
        ("dropped", |node| node.call(|groups, out| groups.drop_group(out, LOG)), Refusal::Gone),
        (
            "fenced",
            |node| {
                node.disk.fail_write = true;
                node.disk.release();
            },
            Refusal::Storage,
        ),
    ];
    for (what, lose, refusal) in cases {
        let mut node = Node::start(Files::new());
        let mut sum = Sum::default();
        node.disk.hold_writes = true;
        let (added, _) = sum.add(&mut node, 5, 2);
        let behind = sum.ask(&mut node);
        node.run();
        lose(&mut node);
        node.run();
        node.disk.release();
        node.run();
        let refused = Told::Refused(refusal);
        assert_eq!(node.answers(), [(added[0], refused), (added[1], refused), (behind, refused)], "{what}");
        // From now on it is said at once.
        let (late, result) = sum.add(&mut node, 1, 1);
        let after = result.unwrap_err();
        let behind = sum.ask(&mut node);
        assert_eq!(node.answers(), [(late[0], Told::Refused(after)), (behind, Told::Refused(after))], "{what}");
        let expected = if what == "dropped" { Refusal::NotLeader } else { Refusal::Storage };
        assert_eq!(after, expected, "{what}");
    }
}

#[test]
fn records_that_the_log_cannot_take_are_refused_and_change_nothing() {
    let mut node = Node::start(Files::new());
    let mut sum = Sum::default();
    let asker = node.asker();
    let huge = vec![7; settings().wal.entry_bytes_max()];
    let record = Record { timestamp: START_MS, value: Some(&huge), ..Record::default() };
    let answer = sum.answer(asker);
    let result = node.call(|groups, out| groups.append_records(out, LOG, &[record], vec![answer]));
    assert_eq!(result, Err(Refusal::TooLarge));
    assert_eq!(node.answers(), [(asker.token.0, Told::Refused(Refusal::TooLarge))]);
    // No leader has been elected here.
    let (unknown, asker) = (GroupId(4000), node.asker());
    let answer = sum.answer(asker);
    node.call(|groups, out| groups.answer_behind(out, unknown, answer));
    assert_eq!(node.answers(), [(asker.token.0, Told::Refused(Refusal::NotLeader))]);
    node.disk.hold_writes = true;
    let id = GroupId(4001);
    node.call(|groups, out| groups.create(out, id, LogKind::Partition, &[settings().node]));
    let asker = node.asker();
    let answer = sum.answer(asker);
    let record = Record { timestamp: START_MS, value: Some(b"x"), ..Record::default() };
    let result = node.call(|groups, out| groups.append_records(out, id, &[record], vec![answer]));
    assert_eq!(result, Err(Refusal::NotLeader));
    assert_eq!(node.answers(), [(asker.token.0, Told::Refused(Refusal::NotLeader))]);
    node.disk.release();
    node.run();
    // The log as it was: the next records get the first offset.
    assert_eq!(sum.add(&mut node, 1, 0).1, Ok(Offset(0)));
}

#[test]
fn a_full_disk_takes_no_records_from_inside_on_behalf_of_clients() {
    let mut node = Node::start(Files::new());
    let mut sum = Sum::default();
    node.disk.full = true;
    let mut refused = None;
    // Segments that are ready are used up first.
    let filler = vec![0; 200 << 10];
    for _ in 0..200 {
        let record = Record { timestamp: START_MS, value: Some(&filler), ..Record::default() };
        if let Err(refusal) = node.call(|groups, out| groups.append_records(out, OTHER, &[record], Vec::new())) {
            refused = Some(refusal);
            break;
        }
        node.run();
        node.now.mono = node.now.mono.plus_ms(1_000);
    }
    assert_eq!(refused, Some(Refusal::Storage));
    let (late, result) = sum.add(&mut node, 1, 1);
    assert_eq!(result, Err(Refusal::Storage));
    assert_eq!(node.answers(), [(late[0], Told::Refused(Refusal::Storage))]);
}

/// As when a replica is moved away and back.
#[test]
fn a_partition_that_is_dropped_and_comes_back_hears_nothing_of_what_the_old_one_wrote() {
    let mut node = Node::start(Files::new());
    let mut old = Sum::default();
    node.disk.hold_writes = true;
    for _ in 0..5 {
        old.add(&mut node, 5, 0).1.unwrap();
    }
    node.run();
    node.call(|groups, out| groups.drop_group(out, LOG));
    node.call(|groups, out| groups.create(out, LOG, LogKind::Partition, &[settings().node]));
    node.run();
    node.disk.release();
    node.run();
    assert_eq!(Sum::replayed(&mut node).0, 0, "it begins anew");
    let mut new = Sum::default();
    let (added, base) = new.add(&mut node, 1, 1);
    assert_eq!(base, Ok(Offset(0)));
    node.run();
    assert_eq!(node.answers(), [(added[0], Told::Sum(1))]);
}
