use super::super::rig::{OPEN, Rig, contents, create, some_path};
use super::super::*;
use std::sync::Arc;
use torc_base::prng::Prng;

fn some_change<'a>(prng: &mut Prng, path: &'a str) -> Change<'a> {
    match prng.below(8) {
        0..=3 => {
            let flags = prng.below(4) as i32;
            let data = Some(&b"data"[..]);
            Change::Create(Create { path, data, acls: OPEN, flags, is_container: false, ttl: None })
        }
        4 => Change::SetData(path, Some(b"other"), -1),
        5 => Change::SetAcl(path, OPEN, -1),
        6 => Change::Check(path, -1),
        _ => Change::Delete(path, -1),
    }
}

/// All paths that tests make znodes at, with a few that come of sequential ones.
fn all_paths() -> Vec<String> {
    let names = ["a", "b", "c", "d", "a0000000000", "b0000000001"];
    let one: Vec<String> = names.iter().map(|name| format!("/{name}")).collect();
    let two = one.iter().flat_map(|above| names.iter().map(move |name| format!("{above}/{name}")));
    let mut all: Vec<String> = two.collect();
    all.extend(one);
    all.push("/".into());
    all
}

#[test]
fn what_new_requests_see_of_a_draft_is_what_they_see_of_its_transaction() {
    for seed in 0..60 {
        let mut prng = Prng::new(seed);
        let (mut drafted, mut staged) = (Rig::new(), Rig::new());
        let (session, other) = (drafted.session(), staged.session());
        assert_eq!(session, other);
        let who = Rig::asker(session);
        for _ in 0..80 {
            drafted.tree.begin_draft(Wall(drafted.now + 1));
            let is_many = prng.chance(1, 2);
            for _ in 0..if is_many { prng.between(1, 6) } else { 1 } {
                let path = some_path(&mut prng);
                let change = some_change(&mut prng, &path);
                let before = drafted.tree.overlay.records();
                if drafted.tree.draft(&who, &change).is_err() {
                    assert_eq!(drafted.tree.overlay.records(), before, "what is refused leaves nothing");
                }
            }
            match drafted.tree.end_draft(is_many) {
                Body::Multi(ops) if ops.is_empty() => drafted.tree.drop_draft(),
                body => {
                    // What others make of the entry.
                    staged.append(session, body.clone());
                    drafted.append(session, body);
                }
            }
            for path in all_paths() {
                assert_eq!(drafted.tree.view(&path), staged.tree.view(&path), "seed {seed}: {path}");
            }
            let owned = |rig: &Rig| rig.tree.overlay.owned(SessionId(session)).cloned().collect::<Vec<Arc<str>>>();
            assert_eq!(owned(&drafted), owned(&staged), "seed {seed}");
            if prng.chance(1, 4) {
                let index = Index(prng.between(drafted.tree.applied().get(), drafted.log.len() as u64));
                assert_eq!(drafted.apply(index), staged.apply(index), "seed {seed}");
            }
        }
        assert_eq!(drafted.apply_all(), staged.apply_all());
        assert_eq!(contents(&drafted.tree), contents(&staged.tree), "seed {seed}");
        assert_eq!(drafted.tree.overlay.records(), (0, 0));
    }
}

#[test]
fn a_draft_is_made_while_what_is_before_it_is_applied() {
    let mut rig = Rig::new();
    for n in 0..5 {
        rig.ask(&Rig::asker(0), create(&format!("/before{n}"))).expect("it can be made");
    }
    rig.tree.begin_draft(Wall(9_000));
    rig.tree.draft(&Rig::asker(0), &create("/before4/x")).expect("it can be made");
    rig.apply(Index(3));
    rig.tree.draft(&Rig::asker(0), &create("/before4/y")).expect("it can be made");
    rig.apply(Index(5));
    assert_eq!(rig.tree.drafted(), Some((Wall(9_000), false)));
    let body = rig.tree.end_draft(true);
    rig.append(0, body);
    rig.apply_all();
    assert_eq!(rig.names("/before4"), ["x", "y"]);
    assert_eq!((rig.tree.overlay.records(), rig.tree.pending()), ((0, 0), (0, 0)));
}

#[test]
fn what_is_appended_by_others_and_a_cut_end_a_draft() {
    for ends in 0..3 {
        let mut rig = Rig::new();
        rig.ask(&Rig::asker(0), create("/a")).expect("it can be made");
        rig.tree.begin_draft(Wall(9_000));
        rig.tree.draft(&Rig::asker(0), &create("/a/x")).expect("it can be made");
        let foreign = rig.tree.prepare(&Rig::asker(0), &create("/b")).expect("it can be made");
        match ends {
            0 => _ = rig.append(0, foreign),
            1 => rig.cut(Index(1)),
            _ => rig.tree.drop_draft(),
        }
        assert_eq!(rig.tree.drafted(), None);
        assert_eq!(rig.tree.view("/a/x"), None, "nobody sees it any more");
        assert_eq!(rig.tree.view("/a").map(|view| view.children), (ends != 1).then_some(0));
        rig.apply_all();
        assert_eq!(contents(&rig.tree), contents(&rig.replay()));
    }
}

#[test]
fn a_transaction_that_is_applied_in_parts_is_the_same_as_one_that_is_applied_at_once() {
    for seed in 0..40 {
        let mut prng = Prng::new(seed);
        let mut rig = Rig::new();
        let session = rig.session();
        let who = Rig::asker(session);
        for _ in 0..6 {
            let paths: Vec<String> = (0..prng.between(1, 20)).map(|_| some_path(&mut prng)).collect();
            rig.tree.begin_draft(Wall(rig.now + 1));
            for path in &paths {
                let _ = rig.tree.draft(&who, &some_change(&mut prng, path));
            }
            let body = rig.tree.end_draft(true);
            rig.append(session, body);
        }
        let mut whole = rig.clone();
        let (mut outcomes, mut told) = (Vec::new(), Vec::new());
        let mut tell = |event: Event<'_>| told.push((event.kind, event.path.to_string(), event.zxid.get()));
        let (mut part, mut all, mut entries) = (Vec::new(), Vec::new(), 0);
        let end = Index(rig.log.len() as u64);
        let before = rig.tree.applied().get();
        while let Some(applied) = rig.tree.apply_part(end, prng.between(1, 4) as usize, &mut outcomes, &mut tell) {
            part.extend_from_slice(&outcomes);
            let at = (before + entries) as usize;
            match applied {
                Applied::Part(_) => {
                    assert_eq!(rig.tree.applied().get(), before + entries);
                    assert_eq!(rig.tree.applying(), part.len());
                    for op in rig.log[at].ops() {
                        assert!(rig.tree.touches(op.path()) || matches!(op, Op::Check { .. }), "seed {seed}");
                    }
                    let pending: Vec<&Txn> = rig.tree.pending_txns().map(|(_, txn)| txn).collect();
                    assert!(pending.iter().zip(&rig.log[at..]).all(|(txn, logged)| *txn == logged));
                }
                Applied::Whole(txn) => {
                    assert_eq!(&txn, &rig.log[at]);
                    rig.tree.spend(txn);
                    entries += 1;
                    assert_eq!((rig.tree.applied().get(), rig.tree.applying()), (before + entries, 0));
                    all.append(&mut part);
                }
            }
        }
        while rig.tree.tidy() {}
        let mut same = Vec::new();
        let mut said = Vec::new();
        let mut tell = |event: Event<'_>| said.push((event.kind, event.path.to_string(), event.zxid.get()));
        while whole.tree.apply_next(end, &mut outcomes, &mut tell).is_some() {
            same.extend_from_slice(&outcomes);
        }
        assert_eq!((all, told), (same, said), "seed {seed}");
        assert_eq!(contents(&rig.tree), contents(&whole.tree), "seed {seed}");
        assert_eq!(rig.tree.digest(), whole.tree.digest(), "seed {seed}");
        assert_eq!((rig.tree.overlay.records(), rig.tree.pending()), ((0, 0), (0, 0)));
    }
}

#[test]
fn what_is_left_of_a_long_transaction_tells_what_the_state_tells_and_goes_some_at_a_time() {
    let mut rig = Rig::new();
    rig.tree.begin_draft(Wall(rig.now + 1));
    for n in 0..20_000 {
        rig.tree.draft(&Rig::asker(0), &create(&format!("/n{n:05}"))).expect("it can be made");
    }
    let body = rig.tree.end_draft(true);
    let index = rig.append(0, body);
    let mut outcomes = Vec::new();
    let applied = rig.tree.apply_part(index, usize::MAX, &mut outcomes, &mut |_| {});
    let Some(Applied::Whole(txn)) = applied else { panic!("all of it") };
    rig.tree.spend(txn);
    assert!(rig.tree.overlay.records().0 > 30_000);
    // What comes meanwhile finds what is there.
    rig.ask(&Rig::asker(0), Change::Delete("/n00007", -1)).expect("it is there");
    assert_eq!(rig.ask(&Rig::asker(0), create("/n00007/x")), Err(TreeError::NoNode));
    rig.ask(&Rig::asker(0), create("/n00007")).expect("it is gone");
    let end = Index(rig.log.len() as u64);
    while rig.tree.apply_part(end, 1, &mut outcomes, &mut |_| {}).is_some() {}
    let mut turns = 0;
    while rig.tree.tidy() {
        turns += 1;
        assert!(rig.tree.view("/n00007").is_some_and(|view| view.children == 0));
    }
    assert!(turns >= 3, "{turns}");
    assert_eq!(rig.tree.overlay.records(), (0, 0));
    assert_eq!(contents(&rig.tree), contents(&rig.replay()));
}
