//! Three members of a group, each with a log and a disk of its own, and what they say to each other carried by hand.

use super::*;
use crate::allowance::Allowance;
use crate::batch::{self, NewBatch, Record};
use crate::mail::{Acks, Answer, Asker, Led, Place, ProducePart, Token};
use crate::meaning::LogKind;
use crate::settings::{ClusterSettings, Settings};
use crate::stats::Stats;
use crate::tests::disk::{Disk, Files};
use crate::tests::rig::{START_MS, settings};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use torc_base::ids::{Offset, ShardId, Term};
use torc_base::io::{DiskOp, Op};
use torc_base::prng::Prng;
use torc_base::time::{Now, Wall};
use torc_consensus::message::{Mark as Spot, Run};
use torc_wal::{Claim, From, Read, Share};

const LOG: GroupId = GroupId(1030);
const MEMBERS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

struct Member {
    groups: Groups,
    disk: Disk,
    now: Now,
    answers: VecDeque<(Asker, Answer)>,
    notices: VecDeque<Notice>,
    settings: Settings,
}

impl Member {
    fn settings(node: NodeId) -> Settings {
        // Another shard has the catalog.
        let (shard, shards) = (ShardId(1), 2);
        let cluster = ClusterSettings { voters: MEMBERS.to_vec(), ..ClusterSettings::alone(node) };
        Settings { node, cluster, seed: u64::from(node.0), shard, shards, ..settings() }
    }

    fn start(settings: Settings, files: Files, now: Now) -> Member {
        let groups = Groups::new(Arc::new(settings.clone()), Arc::new(Stats::default()));
        let (answers, notices) = (VecDeque::new(), VecDeque::new());
        let mut member = Member { groups, disk: Disk::new(files), now, answers, notices, settings };
        member.call(|groups, out| groups.start(out));
        member.run();
        let voters = member.settings.cluster.voters.clone();
        member.call(|groups, out| groups.create(out, LOG, LogKind::Partition, &voters));
        member.run();
        member
    }

    fn call<T>(&mut self, f: impl FnOnce(&mut Groups, &mut Out) -> T) -> T {
        let mut ops = Vec::new();
        let (answers, notices) = (&mut self.answers, &mut self.notices);
        let result = f(&mut self.groups, &mut Out { now: self.now, ops: &mut ops, answers, notices });
        for op in ops {
            if let Op::Disk(DiskOp { tag, kind }) = op {
                self.disk.issue(DiskOp { tag, kind });
            }
        }
        result
    }

    /// Until the disk has nothing more to say.
    fn run(&mut self) {
        for _ in 0..10_000 {
            self.call(|groups, out| groups.turn(out, &mut Allowance::new()));
            let Some(done) = self.disk.pop() else { return };
            self.call(|groups, out| groups.on_disk(out, done));
        }
        panic!("the log does not come to rest");
    }

    fn checkpoint(&mut self) {
        self.run();
        self.call(|groups, out| groups.begin_checkpoint(out));
        self.run();
    }

    fn produce(&mut self, token: u64, value: &[u8], acks: Acks, producer: Option<(i64, i32)>) {
        let asker = Asker { place: Place { node: self.settings.node, shard: ShardId(0) }, token: Token(token) };
        let part = part(value, acks, producer);
        self.call(|groups, out| groups.produce(out, asker, vec![part]));
    }

    /// What was answered, by token: the offset, or why not.
    fn answered(&mut self) -> Vec<(u64, Result<i64, Refusal>)> {
        let told = |(asker, answer): (Asker, Answer)| {
            let Answer::Produced(mut parts) = answer else { panic!("{answer:?} was not asked for") };
            (asker.token.0, parts.pop().unwrap().1.map(|produced| produced.base.get()))
        };
        self.answers.drain(..).map(told).collect()
    }

    fn group(&self) -> &Group {
        &self.groups.groups[&LOG]
    }

    fn state(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.group().meaning.encode(&mut bytes);
        bytes
    }

    /// Adds entries of this member's log that `store` has not, as far as they are in a batch.
    fn show(&mut self, store: &mut Store) {
        let last = self.group().raft.marks().written;
        let log = self.group().raft.log();
        let known = |index: &Index| store.contains_key(&(log.term_at(*index).unwrap(), *index));
        let mut first = last.next();
        while first > log.first() && !known(&Index(first.get() - 1)) {
            first = Index(first.get() - 1);
        }
        while first <= last {
            let claim = Claim { share: Share::All, turn: 0 };
            let read = self.groups.wal.read(LOG, From::Index(first), last, 1 << 20, claim, &mut Vec::new());
            // What is in no batch yet is shown the next time.
            let Read::Ready(items) = read else { return };
            if items.is_empty() {
                return;
            }
            for item in items {
                first = item.index.next();
                store.insert((item.term, item.index), item);
            }
        }
    }
}

/// All entries that ever were, by term and index, which name them.
type Store = BTreeMap<(Term, Index), Item>;

fn part(value: &[u8], acks: Acks, producer: Option<(i64, i32)>) -> ProducePart {
    let record = Record { timestamp: START_MS, value: Some(value), ..Record::default() };
    let mut options = torc_net::kafka::records::BuildOptions::default();
    if let Some((id, sequence)) = producer {
        (options.producer_id, options.producer_epoch, options.base_sequence) = (id, 0, sequence);
    }
    let bytes = torc_net::kafka::records::build(&[record], &options);
    let mut payload = torc_base::buf::Pool::new(usize::MAX, 0).take(bytes.len()).unwrap();
    payload.copy_from_slice(&bytes);
    let batch = NewBatch { header: batch::header(&bytes).unwrap(), bytes: payload, gather: false, stamp: false };
    ProducePart { position: 0, group: LOG, batch, acks, in_sync: 1 }
}

struct Cluster {
    members: BTreeMap<NodeId, Member>,
    /// Who hears nobody and is heard by nobody.
    away: BTreeSet<NodeId>,
    /// Links that are known to be cut, by who knows of it.
    cut: BTreeSet<(NodeId, NodeId)>,
    now: Now,
    next_token: u64,
    store: Store,
}

impl Cluster {
    fn new() -> Cluster {
        let now = Now { mono: Mono(1), wall: Wall(START_MS) };
        let member = |node: NodeId| (node, Member::start(Member::settings(node), Files::new(), now));
        let members = MEMBERS.into_iter().map(member).collect();
        Cluster { members, away: BTreeSet::new(), cut: BTreeSet::new(), now, next_token: 0, store: Store::new() }
    }

    fn member(&mut self, node: NodeId) -> &mut Member {
        self.members.get_mut(&node).unwrap()
    }

    /// Carries what is said until nobody says anything. Whoever is away loses what is said to it and by it.
    fn run(&mut self) {
        self.watch();
        for _ in 0..10_000 {
            let mut letters = Vec::new();
            for (&from, member) in &mut self.members {
                member.run();
                member.show(&mut self.store);
                for (to, parcel) in member.groups.outboxes.take() {
                    for (group, message) in parcel.messages {
                        assert_eq!(group, LOG);
                        if let Some(through) = message.last_entry() {
                            let sent = Input::Sent { to, through, bytes: 0 };
                            member.call(|groups, out| groups.step(out, LOG, sent));
                        }
                        letters.push((from, to, message));
                    }
                }
            }
            if letters.is_empty() {
                return;
            }
            for (from, to, message) in letters {
                // Entries that were taken back before they were in a batch were never sent.
                if let Some(entries) = self.entries(&message)
                    && !self.away.contains(&from)
                    && !self.away.contains(&to)
                {
                    let taken = self.member(to).call(|groups, out| groups.receive(out, LOG, from, message, entries));
                    assert_eq!(taken, Ok(()), "{from} to {to}");
                }
            }
        }
        panic!("the members do not come to rest");
    }

    /// Nodes notice whose links are cut, and whose are whole again.
    fn watch(&mut self) {
        for (a, b) in MEMBERS.into_iter().flat_map(|a| MEMBERS.map(|b| (a, b))).filter(|(a, b)| a != b) {
            let away = self.away.contains(&a) || self.away.contains(&b);
            let news = if away { self.cut.insert((a, b)) } else { self.cut.remove(&(a, b)) };
            if news {
                let input = if away { Input::Suspected(b) } else { Input::Alive(b) };
                self.member(a).call(|groups, out| groups.step(out, LOG, input));
            }
        }
    }

    /// What a message speaks of.
    fn entries(&self, message: &Message) -> Option<Vec<Sent>> {
        let Body::Append { prev, runs, .. } = &message.body else { return Some(Vec::new()) };
        let terms = runs.iter().flat_map(|run| std::iter::repeat_n(run.term, run.entries as usize));
        let places = terms.zip(1..).map(|(term, n)| (term, prev.index.plus(n)));
        places.map(|place| Some(Sent { item: self.store.get(&place)?.clone(), gather: false })).collect()
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now.mono.plus_ms(ms);
        while self.now.mono < end {
            self.now = Now { mono: self.now.mono.plus_ms(TICK_MS), wall: Wall(self.now.wall.0 + TICK_MS as i64) };
            self.members.values_mut().for_each(|member| member.now = self.now);
            self.run();
        }
    }

    /// Who leads and is heard by a majority; there must be one before long.
    fn leader(&mut self) -> NodeId {
        for _ in 0..200 {
            let leads = |(node, member): (&NodeId, &Member)| {
                (!self.away.contains(node) && member.group().leads()).then_some((member.group().raft.term(), *node))
            };
            // One of an older term may not know yet.
            if let Some((_, leader)) = self.members.iter().filter_map(leads).max() {
                return leader;
            }
            self.pass(TICK_MS);
        }
        panic!("nobody leads");
    }

    fn produce(&mut self, node: NodeId, acks: Acks) -> u64 {
        self.next_token += 1;
        let token = self.next_token;
        self.member(node).produce(token, format!("value {token}").as_bytes(), acks, None);
        token
    }

    /// Ends a member without a word; another process goes on with its disk.
    fn restart(&mut self, node: NodeId) {
        let mut member = self.members.remove(&node).unwrap();
        member.show(&mut self.store);
        let again = Member::start(member.settings, member.disk.files, self.now);
        self.members.insert(node, again);
    }

    /// All members have the same log and the same state.
    fn assert_agree(&mut self, what: &str) {
        self.away.clear();
        self.leader();
        self.pass(3_000);
        let leader = self.leader();
        let told = |member: &Member| (member.group().raft.marks().applied, member.state());
        let expected = told(&self.members[&leader]);
        for (node, member) in &self.members {
            assert_eq!(told(member), expected, "{what}: member {node} and the leader {leader}");
            let marks = member.group().raft.marks();
            assert_eq!(marks.applied, marks.written, "{what}: member {node}");
        }
        let terms = |member: &Member| member.group().raft.log().terms().to_vec();
        for (node, member) in &self.members {
            assert_eq!(terms(member), terms(&self.members[&leader]), "{what}: member {node} has another log");
        }
    }
}

#[test]
fn followers_have_what_their_leader_has() {
    let mut cluster = Cluster::new();
    let leader = cluster.leader();
    let tokens: Vec<u64> = (0..5).map(|_| cluster.produce(leader, Acks::All)).collect();
    // Idempotent, one of them twice.
    for (token, sequence) in [(101, 0), (102, 1), (103, 0)] {
        cluster.member(leader).produce(token, b"numbered", Acks::All, Some((5, sequence)));
    }
    cluster.run();
    let mut answered = cluster.member(leader).answered();
    answered.sort_by_key(|(token, _)| *token);
    let expected: Vec<_> = tokens.iter().zip(0..).map(|(token, offset)| (*token, Ok(offset))).collect();
    assert_eq!(answered[..5], expected);
    assert_eq!(answered[5..], [(101, Ok(5)), (102, Ok(6)), (103, Ok(5))]);
    cluster.assert_agree("after records");
    // Time for producers to be forgotten is told by the log, to all.
    cluster.pass(settings().retention_check_interval_ms + 1_000);
    cluster.assert_agree("after a clock");
    let known = |member: &Member| member.group().partition().producers();
    assert!(cluster.members.values().all(|member| known(member) == 1));
    assert!(
        cluster.members.values().all(|member| member.group().partition().clock_to_tell(Wall(START_MS), 1).is_none())
    );
}

/// A leader that is cut off takes records that never count: when another one has taken its place they are gone, from the
/// log, from what it means and from what producers may repeat, and whoever waits for them is sent away.
#[test]
fn what_a_leader_that_was_cut_off_has_taken_is_taken_back() {
    for restarts in [false, true] {
        for checkpoints in [false, true] {
            let what = format!("restarts {restarts}, checkpoints {checkpoints}");
            let mut cluster = Cluster::new();
            let old = cluster.leader();
            cluster.produce(old, Acks::All);
            cluster.pass(TICK_MS);
            cluster.member(old).answered();
            cluster.member(old).notices.clear();
            cluster.away.insert(old);
            let lost = [cluster.produce(old, Acks::All), cluster.produce(old, Acks::Disks(1))];
            cluster.member(old).produce(201, b"numbered", Acks::All, Some((9, 0)));
            cluster.run();
            assert_eq!(cluster.member(old).answered(), [(lost[1], Ok(2))], "{what}: on its own disk");
            assert_eq!(cluster.member(old).group().partition().end(), Offset(4));
            let new = cluster.leader();
            assert_ne!(new, old);
            let kept = cluster.produce(new, Acks::All);
            cluster.run();
            assert_eq!(cluster.member(new).answered(), [(kept, Ok(1))], "{what}: two of three have it");
            if checkpoints {
                cluster.member(old).checkpoint();
            }
            if restarts {
                cluster.restart(old);
                assert_eq!(cluster.member(old).group().partition().end(), Offset(4), "{what}");
                assert_eq!(
                    cluster.member(old).group().partition().high_watermark(),
                    Offset(u8::from(checkpoints).into())
                );
            }
            cluster.away.clear();
            cluster.pass(2_000);
            if !restarts {
                let mut refused = cluster.member(old).answered();
                refused.sort_by_key(|(token, _)| *token);
                assert_eq!(refused, [(lost[0], Err(Refusal::NotLeader)), (201, Err(Refusal::NotLeader))], "{what}");
                assert!(cluster.member(old).notices.iter().any(|notice| matches!(notice, Notice::Lost(LOG))), "{what}");
                assert!(!cluster.member(old).group().leads());
            }
            cluster.assert_agree(&what);
            // What was taken back is no repetition, wherever the group is led now.
            let leader = cluster.leader();
            cluster.member(leader).produce(202, b"numbered", Acks::All, Some((9, 0)));
            cluster.run();
            assert_eq!(cluster.member(leader).answered(), [(202, Ok(2))], "{what}");
            // And the disk says the same.
            cluster.restart(old);
            cluster.assert_agree(&what);
        }
    }
}

/// Who watches a partition, or asks something of it, is told that it is led elsewhere.
#[test]
fn whoever_waits_at_a_leader_that_was_replaced_is_woken() {
    let mut cluster = Cluster::new();
    let old = cluster.leader();
    let here = cluster.member(old).groups.settings.here();
    let asker = |token| Asker { place: here, token: Token(token) };
    let member = cluster.member(old);
    member.call(|groups, out| groups.watch(out, asker(1), vec![(LOG, 0)], 1 << 20));
    cluster.away.insert(old);
    cluster.leader();
    cluster.away.clear();
    cluster.pass(2_000);
    let member = cluster.member(old);
    let wakes: Vec<_> = member.answers.drain(..).collect();
    assert!(
        matches!(wakes[..], [(Asker { token: Token(1), .. }, Answer::Wake { place, bytes: u64::MAX })] if place == here),
        "{wakes:?}"
    );
    assert!(member.group().watchers.is_empty() && member.groups.watches.is_empty());
    assert_eq!(member.groups.take_leaders().last(), Some(&Led::lost(LOG, member.settings.node)));
    member.produce(7, b"late", Acks::All, None);
    assert_eq!(member.answered(), [(7, Err(Refusal::NotLeader))]);
    assert_eq!(member.groups.extent(LOG), None);
}

/// Any sequence of cuts, deaths and checkpoints: what was acknowledged is there, once, and all members agree.
#[test]
fn any_history_leaves_members_that_agree_and_have_all_that_was_acknowledged() {
    for seed in 0..12 {
        let mut prng = Prng::new(seed);
        let mut cluster = Cluster::new();
        let mut acknowledged: BTreeMap<i64, u64> = BTreeMap::new();
        for step in 0..60 {
            let node = MEMBERS[prng.below(3) as usize];
            match prng.below(10) {
                0 => {
                    cluster.away.clear();
                    cluster.away.insert(node);
                }
                1 | 2 => cluster.away.clear(),
                3 => cluster.restart(node),
                4 => cluster.member(node).checkpoint(),
                5 => cluster.pass(prng.between(1, 30) * TICK_MS),
                _ => {
                    cluster.produce(node, Acks::All);
                }
            }
            if prng.chance(2, 3) {
                cluster.run();
            }
            for member in cluster.members.values_mut() {
                for (token, result) in member.answered() {
                    let Ok(offset) = result else { continue };
                    assert_eq!(
                        acknowledged.insert(offset, token),
                        None,
                        "seed {seed}, step {step}: offset {offset} twice"
                    );
                }
            }
        }
        cluster.assert_agree(&format!("seed {seed}"));
        let leader = cluster.leader();
        let log = cluster.members[&leader].group().raft.log();
        let indexes = (log.first().get()..=log.last().get()).map(Index);
        let all: Vec<&Item> = indexes.map(|index| &cluster.store[&(log.term_at(index).unwrap(), index)]).collect();
        for (offset, token) in acknowledged {
            let entry = all.iter().find(|item| item.records > 0 && item.first_offset == Offset(offset));
            let Some(entry) = entry else { panic!("seed {seed}: the record at {offset} is lost") };
            let value = format!("value {token}");
            let found = entry.bytes.windows(value.len()).any(|bytes| bytes == value.as_bytes());
            assert!(found, "seed {seed}: the record at {offset} is another one");
        }
    }
}

/// A message of `leader` with these entries of term 9 behind all that a fresh member has.
fn append(prev: Spot, committed: u64, entries: &[Sent]) -> Message {
    let entries = entries.len() as u32;
    let runs = if entries > 0 { vec![Run { term: Term(9), entries }] } else { Vec::new() };
    Message {
        term: Term(9),
        body: Body::Append { prev, runs, configurations: Vec::new(), committed: Index(committed) },
    }
}

fn sent(index: u64, base: i64, value: &[u8]) -> Sent {
    let part = part(value, Acks::All, None);
    let place = Append { term: Term(9), first: Index(index), last: Index(index), noop: false, cut: 0 };
    let entry = part.batch.into_entry(LOG, &place, Offset(base), Wall(START_MS));
    let Entry { group, kind, term, index, first_offset, records, max_timestamp, bytes, prefix_len, body_crc, .. } =
        entry;
    let item = Item { group, kind, term, index, first_offset, records, max_timestamp, bytes, prefix_len, body_crc };
    Sent { item, gather: false }
}

fn fresh() -> Member {
    let now = Now { mono: Mono(1), wall: Wall(START_MS) };
    Member::start(Member::settings(MEMBERS[0]), Files::new(), now)
}

#[test]
fn what_does_not_fit_is_not_taken_in() {
    let mut member = fresh();
    let start = Spot::default();
    let mut other_group = sent(1, 0, b"x");
    other_group.item.group = GroupId(1031);
    let mut other_term = sent(1, 0, b"x");
    other_term.item.term = Term(8);
    let mut unknown = sent(1, 0, b"x");
    unknown.item.kind = torc_wal::Kind(77);
    let long = vec![b'x'; member.settings.wal.entry_bytes_max() + 1];
    let cases = [
        ("fewer than named", append(start, 0, &[sent(1, 0, b"x"), sent(2, 1, b"x")]), vec![sent(1, 0, b"x")]),
        ("another index", append(start, 0, &[sent(1, 0, b"x")]), vec![sent(2, 0, b"x")]),
        ("another offset", append(start, 0, &[sent(1, 0, b"x")]), vec![sent(1, 5, b"x")]),
        ("a gap", append(start, 0, &[sent(1, 0, b"x"), sent(2, 1, b"x")]), vec![sent(1, 0, b"x"), sent(2, 2, b"x")]),
        ("another group", append(start, 0, &[sent(1, 0, b"x")]), vec![other_group]),
        ("another term", append(start, 0, &[sent(1, 0, b"x")]), vec![other_term]),
        ("an unknown kind", append(start, 0, &[sent(1, 0, b"x")]), vec![unknown]),
        ("more than the log takes", append(start, 0, &[sent(1, 0, &long)]), vec![sent(1, 0, &long)]),
        (
            "more than nothing",
            Message { term: Term(9), body: Body::HeartbeatReply { round: 0, incarnation: 0 } },
            vec![sent(1, 0, b"x")],
        ),
    ];
    let before = (member.state(), member.group().raft.term());
    for (what, message, entries) in cases {
        let taken = member.call(|groups, out| groups.receive(out, LOG, MEMBERS[1], message, entries));
        assert!(matches!(taken, Err(Untaken::Unsound(_))), "{what}: {taken:?}");
        assert_eq!((member.state(), member.group().raft.term()), before, "{what}");
    }
    // Behind what is not here offsets are not known: consensus says so to the leader.
    let behind = Spot { term: Term(4), index: Index(7) };
    let (message, entries) = (append(behind, 0, &[sent(8, 70, b"x")]), vec![sent(8, 70, b"x")]);
    let taken = member.call(|groups, out| groups.receive(out, LOG, MEMBERS[1], message, entries));
    assert_eq!(taken, Ok(()));
    member.run();
    let parcels = member.groups.outboxes.take();
    let said = &parcels[&MEMBERS[1]].messages;
    assert!(said.iter().any(|(_, message)| matches!(message.body, Body::Rejected { .. })), "{said:?}");
    let elsewhere = member.call(|groups, out| {
        groups.receive(
            out,
            GroupId(9_999),
            MEMBERS[1],
            Message { term: Term(9), body: Body::HeartbeatReply { round: 0, incarnation: 0 } },
            Vec::new(),
        )
    });
    assert_eq!(elsewhere, Err(Untaken::NotHere));
}

/// A follower says that it has what is on its disk, and has memory for it whatever clients hold.
#[test]
fn entries_are_acknowledged_when_they_are_durable_and_hold_memory_until_then() {
    let mut member = fresh();
    member.run();
    member.groups.outboxes.take();
    let large = vec![b'x'; 40 << 10];
    let limit = 64 << 10;
    member.groups.arrived = Arrived::new(limit);
    member.disk.hold_writes = true;
    let first = vec![sent(1, 0, &large)];
    let message = append(Spot::default(), 0, &first);
    assert_eq!(member.call(|groups, out| groups.receive(out, LOG, MEMBERS[1], message, first)), Ok(()));
    let used = member.groups.arrived.used();
    assert!(used > large.len() && used < limit);
    let prev = Spot { term: Term(9), index: Index(1) };
    let second = || vec![sent(2, 1, &large)];
    let message = append(prev, 0, &second());
    let taken = member.call(|groups, out| groups.receive(out, LOG, MEMBERS[1], message.clone(), second()));
    assert_eq!(taken, Err(Untaken::NoRoom));
    member.run();
    let acknowledged = |member: &mut Member| {
        let parcels = member.groups.outboxes.take();
        let said = parcels.into_values().flat_map(|parcel| parcel.messages);
        let through = said.filter_map(|(_, message)| match message.body {
            Body::Accepted { through, .. } => Some(through.get()),
            _ => None,
        });
        through.collect::<Vec<_>>()
    };
    assert_eq!(acknowledged(&mut member), [] as [u64; 0], "nothing is durable");
    member.disk.release();
    member.run();
    assert_eq!((acknowledged(&mut member), member.groups.arrived.used()), (vec![1], 0));
    let taken = member.call(|groups, out| groups.receive(out, LOG, MEMBERS[1], message, second()));
    assert_eq!(taken, Ok(()));
    member.run();
    assert_eq!(acknowledged(&mut member), [2]);
    // One message is taken, however large.
    let huge = vec![b'x'; 100 << 10];
    let third = vec![sent(3, 2, &huge)];
    let message = append(Spot { term: Term(9), index: Index(2) }, 2, &third);
    assert_eq!(member.call(|groups, out| groups.receive(out, LOG, MEMBERS[1], message, third)), Ok(()));
    member.run();
    assert_eq!((acknowledged(&mut member), member.groups.arrived.used()), (vec![3], 0));
    assert_eq!(member.group().partition().high_watermark(), Offset(2));
}

/// A group whose leader depends on others keeps nothing from going on: the node is ready, and its checkpoints say what
/// the group has.
#[test]
fn a_group_without_a_leader_holds_up_neither_the_node_nor_its_checkpoints() {
    let mut member = fresh();
    let entries = vec![sent(1, 0, b"a"), sent(2, 1, b"b"), sent(3, 2, b"c")];
    let message = append(Spot::default(), 1, &entries);
    assert_eq!(member.call(|groups, out| groups.receive(out, LOG, MEMBERS[1], message, entries)), Ok(()));
    member.run();
    assert!(member.groups.all_serving() && !member.group().leads());
    member.groups.force_checkpoint();
    assert!(member.groups.wants_checkpoint());
    member.call(|groups, out| groups.begin_checkpoint(out));
    member.run();
    assert_eq!(member.groups.checkpoint.number, 1);
    let (state, term) = (member.state(), member.group().raft.term());
    let mut again = Member::start(member.settings, member.disk.files, member.now);
    assert_eq!(again.state(), state, "committed and pending, each in its place");
    let marks = again.group().raft.marks();
    assert_eq!((marks.applied, marks.written, again.group().raft.term()), (Index(1), Index(3), term));
    // Another leader replaces what was not committed.
    let entries = vec![Sent { item: Item { term: Term(10), ..sent(2, 1, b"z").item }, gather: false }];
    let runs = vec![Run { term: Term(10), entries: 1 }];
    let prev = Spot { term: Term(9), index: Index(1) };
    let message =
        Message { term: Term(10), body: Body::Append { prev, runs, configurations: Vec::new(), committed: Index(2) } };
    assert_eq!(again.call(|groups, out| groups.receive(out, LOG, MEMBERS[2], message, entries)), Ok(()));
    again.run();
    let partition = again.group().partition();
    assert_eq!((partition.high_watermark(), partition.end(), partition.pending()), (Offset(2), Offset(2), None));
}

#[test]
fn only_groups_that_need_ticks_get_some() {
    let now = Now { mono: Mono(1), wall: Wall(START_MS) };
    let mut alone = Member::start(settings(), Files::new(), now);
    assert!(alone.group().leads() && alone.groups.ticking.is_empty() && alone.groups.tick_deadline().is_none());
    assert!(alone.groups.outboxes.is_empty(), "there is nobody to speak to");
    let mut member = fresh();
    assert!(member.groups.tick_deadline().is_some());
    let before = member.group().raft.term();
    for _ in 0..100 {
        member.now.mono = member.now.mono.plus_ms(TICK_MS);
        member.run();
    }
    assert!(!member.groups.outboxes.is_empty(), "it asks for votes again and again");
    assert_eq!(member.group().raft.term(), before, "a pre-vote begins no term");
    member.call(|groups, out| groups.drop_group(out, LOG));
    assert!(!member.groups.ticking.contains(&LOG));
    alone.call(|groups, out| groups.drop_group(out, LOG));
}

#[path = "order_tests.rs"]
mod order;
