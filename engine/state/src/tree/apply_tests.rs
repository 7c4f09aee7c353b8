use super::super::rig::{OPEN, Rig, contents, create, some_path};
use super::super::*;
use torc_base::prng::Prng;

const MOST: usize = 1_000;
const LONG: usize = 20_000;

fn some_change<'a>(prng: &mut Prng, path: &'a str) -> Change<'a> {
    match prng.below(6) {
        0..=2 => {
            let flags = prng.below(4) as i32;
            Change::Create(Create { path, data: Some(b"data"), acls: OPEN, flags, is_container: false, ttl: None })
        }
        3 => Change::SetData(path, Some(b"other"), -1),
        4 => Change::Check(path, -1),
        _ => Change::Delete(path, -1),
    }
}

/// A multi of so many znodes below "/m", which is there.
fn long_multi(rig: &mut Rig) -> Index {
    rig.does(create("/m")).expect("it can be made");
    let paths: Vec<String> = (0..LONG).map(|n| format!("/m/{n:05}")).collect();
    let changes: Vec<Change<'_>> = paths.iter().map(|path| create(path)).collect();
    rig.ask_multi(&Rig::asker(0), &changes).expect("they can be made")
}

#[test]
fn who_follows_has_the_same_state_events_and_outcomes_in_whatever_parts_it_applies() {
    for seed in 0..40 {
        let mut prng = Prng::new(seed);
        let mut rig = Rig::new();
        let mut follower = rig.tree.clone();
        let session = rig.session();
        for _ in 0..30 {
            let paths: Vec<String> = (0..prng.between(1, 12)).map(|_| some_path(&mut prng)).collect();
            rig.tree.begin_draft(Wall(rig.now + 1));
            for path in &paths {
                let _ = rig.tree.draft(&Rig::asker(session), &some_change(&mut prng, path));
            }
            let body = rig.tree.end_draft(true);
            rig.append(session, body);
            if prng.chance(1, 6)
                && let Some(body) = rig.tree.prepare_close(SessionId(session), usize::MAX)
            {
                rig.append(session, body);
            }
        }
        for (n, txn) in rig.log.iter().enumerate() {
            follower.follow(Index(n as u64 + 1), txn.clone());
        }
        assert_eq!(follower.overlay.records(), (0, 0), "nothing is looked at before it is committed");
        let end = Index(rig.log.len() as u64);
        let (mut outcomes, mut all, mut told) = (Vec::new(), Vec::new(), Vec::new());
        let mut tell = |event: Event<'_>| told.push((event.kind, event.path.to_string(), event.zxid.get()));
        while let Some(applied) = follower.apply_part(end, prng.between(1, 8) as usize, &mut outcomes, &mut tell) {
            all.extend_from_slice(&outcomes);
            if let Applied::Part(_) = applied
                && follower.applying() > 0
            {
                let (_, txn) = follower.pending_txns().next().expect("it is applied in part");
                for op in txn.ops() {
                    assert!(follower.touches(op.path()) || matches!(op, Op::Check { .. }), "seed {seed}");
                }
            }
        }
        while follower.tidy() {}
        let (mut same, mut said) = (Vec::new(), Vec::new());
        let mut whole = Tree::new(rig.tree.settings);
        for (n, txn) in rig.log.iter().enumerate() {
            whole.append(Index(n as u64 + 1), txn.clone());
        }
        let mut tell = |event: Event<'_>| said.push((event.kind, event.path.to_string(), event.zxid.get()));
        while whole.apply_next(end, &mut outcomes, &mut tell).is_some() {
            same.extend_from_slice(&outcomes);
        }
        assert_eq!((all, told), (same, said), "seed {seed}");
        assert_eq!(contents(&follower), contents(&whole), "seed {seed}");
        assert_eq!(follower.digest(), whole.digest(), "seed {seed}");
        assert_eq!((follower.overlay.records(), follower.pending()), ((0, 0), (0, 0)));
    }
}

#[test]
fn a_long_transaction_of_others_is_looked_through_some_operations_at_a_time_before_any_is_applied() {
    let mut rig = Rig::new();
    let mut follower = rig.tree.clone();
    let end = long_multi(&mut rig);
    for (n, txn) in rig.log.iter().enumerate() {
        follower.follow(Index(n as u64 + 1), txn.clone());
    }
    assert_eq!(follower.overlay.records(), (0, 0));
    let (mut outcomes, mut looks, mut calls, mut events) = (Vec::new(), 0, 0, 0);
    loop {
        let (records, before) = (follower.overlay.records().0, events);
        let applied = follower.apply_part(end, MOST, &mut outcomes, &mut |_| events += 1);
        let Some(applied) = applied else { break };
        calls += 1;
        assert!(outcomes.len() <= MOST && follower.overlay.records().0 <= records + 2 * MOST);
        if let Applied::Part(operations) = applied {
            assert!((1..=MOST).contains(&operations));
            if outcomes.is_empty() {
                looks += 1;
                assert_eq!((events, follower.applying()), (before, 0), "nothing is applied yet");
            } else {
                assert!(follower.touches("/m/00000") && follower.touches(&format!("/m/{:05}", LONG - 1)));
                assert!(!follower.touches("/other"));
            }
        }
    }
    // The first one makes "/m".
    assert_eq!((looks, calls), (LONG / MOST, 1 + 2 * LONG / MOST));
    while follower.tidy() {}
    rig.apply_all();
    assert_eq!(contents(&follower), contents(&rig.tree));
    assert_eq!((follower.overlay.records(), follower.pending()), ((0, 0), (0, 0)));
}

#[test]
fn who_is_to_make_transactions_first_applies_those_of_others() {
    let mut rig = Rig::new();
    let mut follower = rig.tree.clone();
    let end = long_multi(&mut rig);
    for (n, txn) in rig.log.iter().enumerate() {
        follower.follow(Index(n as u64 + 1), txn.clone());
    }
    // What is taken back leaves nothing.
    follower.cut(end);
    assert_eq!(follower.pending().0, 1);
    rig.cut(end);
    rig.tree = follower;
    rig.apply_all();
    rig.ask(&Rig::asker(0), create("/m/x")).expect("it can be made");
    rig.apply_all();
    assert_eq!(rig.names("/m"), ["x"]);
    assert_eq!(contents(&rig.tree), contents(&rig.replay()));
}

#[test]
#[should_panic(expected = "has applied those of others")]
fn nobody_makes_transactions_before() {
    let mut rig = Rig::new();
    let body = rig.tree.prepare(&Rig::asker(0), &create("/a")).expect("it can be made");
    let txn = Txn { session: SessionId::NONE, cxid: 0, zxid: Zxid(1), time: Wall(1), body: body.clone() };
    rig.tree.follow(Index(1), txn.clone());
    rig.tree.append(Index(2), Txn { zxid: Zxid(2), ..txn });
}
