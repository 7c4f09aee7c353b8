//! Any history of requests, commits and cuts against the log alone: a state is what its committed transactions make,
//! whatever was appended and taken back on the way, and new requests are judged by what is appended.

use super::rig::{OPEN, Rig, contents, some_path};
use super::*;
use std::sync::Arc;
use torc_base::prng::Prng;

fn some_change<'a>(prng: &mut Prng, path: &'a str, data: &'a [u8]) -> Change<'a> {
    const MINE: &[Acl<'_>] = &[Acl { perms: perms::ALL, id: Id { scheme: "digest", id: "me:x" } }];
    let version = [-1, -1, 0, 1][prng.below(4) as usize];
    let acls = if prng.chance(1, 20) { MINE } else { OPEN };
    let data = prng.chance(9, 10).then_some(data);
    match prng.below(10) {
        0..=4 => {
            let flags = prng.below(7) as i32;
            let ttl = (flags >= 5).then_some(50);
            Change::Create(Create { path, data, acls, flags, is_container: flags == 4, ttl })
        }
        5 | 6 => Change::Delete(path, version),
        7 => Change::SetAcl(path, acls, version),
        8 => Change::Check(path, version),
        _ => Change::SetData(path, data, version),
    }
}

/// One step of some history.
fn step(rig: &mut Rig, prng: &mut Prng, sessions: &mut Vec<i64>) {
    let session = if sessions.is_empty() { 0 } else { sessions[prng.below(sessions.len() as u64) as usize] };
    let ids = [Id { scheme: "digest", id: "me:x" }];
    let who = Asker { ids: &ids, ..Rig::asker(session) };
    let data = [b'd'; 30];
    let data = &data[..prng.below(30) as usize];
    match prng.below(20) {
        0 => {
            let (id, body) = rig.tree.prepare_session(Zxid(rig.zxid + 1), 5_000).expect("there is room");
            rig.append(id.get(), body);
            sessions.push(id.get());
        }
        1 if session != 0 => {
            if let Some(body) = rig.tree.prepare_close(SessionId(session), usize::MAX) {
                rig.append(session, body);
            }
        }
        2 => {
            if let Some(path) = rig.tree.due(Wall(rig.now), 5).first()
                && let Ok(body) = rig.tree.prepare_end(path, Wall(rig.now))
            {
                rig.append(0, body);
            }
        }
        3..=5 => {
            let paths: Vec<String> = (0..prng.between(1, 5)).map(|_| some_path(prng)).collect();
            let changes: Vec<Change<'_>> = paths.iter().map(|path| some_change(prng, path, data)).collect();
            let _ = rig.ask_multi(&who, &changes);
        }
        6 => {
            let (applied, end) = (rig.tree.applied().get(), rig.log.len() as u64);
            rig.apply(Index(prng.between(applied, end)));
        }
        7 => {
            let (applied, end) = (rig.tree.applied().get(), rig.log.len() as u64);
            rig.cut(Index(prng.between(applied + 1, end + 1)));
        }
        _ => {
            let path = some_path(prng);
            let _ = rig.ask(&who, some_change(prng, &path, data));
        }
    }
}

#[test]
fn a_state_is_what_its_committed_transactions_make() {
    for seed in 0..60 {
        let mut prng = Prng::new(seed);
        let mut rig = Rig::new();
        let mut sessions = Vec::new();
        for n in 0..300 {
            step(&mut rig, &mut prng, &mut sessions);
            if n % 60 == 59 {
                let replay = rig.replay();
                assert_eq!(contents(&rig.tree), contents(&replay), "seed {seed}, step {n}");
                assert_eq!(rig.tree.digest(), replay.digest(), "seed {seed}, step {n}");
                assert!(rig.tree.sessions().eq(replay.sessions()), "seed {seed}, step {n}");
            }
        }
        // What is left over of all that was appended and taken back is nothing.
        rig.cut(rig.tree.applied().next());
        assert_eq!(rig.tree.pending(), (0, 0), "seed {seed}");
        assert_eq!(rig.tree.overlay.records(), (0, 0), "seed {seed}");
        for session in sessions {
            assert_eq!(rig.tree.overlay.owned(SessionId(session)).count(), 0, "seed {seed}");
        }
    }
}

#[test]
fn what_a_request_is_judged_by_is_what_will_be_when_all_is_applied() {
    for seed in 100..140 {
        let mut prng = Prng::new(seed);
        let mut rig = Rig::new();
        let mut sessions = Vec::new();
        for _ in 0..200 {
            step(&mut rig, &mut prng, &mut sessions);
        }
        let mut later = rig.clone();
        later.apply_all();
        for _ in 0..100 {
            let path = some_path(&mut prng);
            assert_eq!(rig.tree.view(&path), later.tree.view(&path), "seed {seed}: {path}");
            let change = some_change(&mut prng, &path, b"data");
            let who = Rig::asker(0);
            assert_eq!(rig.tree.prepare(&who, &change), later.tree.prepare(&who, &change), "seed {seed}: {change:?}");
        }
        for session in sessions {
            let id = SessionId(session);
            assert_eq!(rig.tree.session(id), later.tree.session(id), "seed {seed}");
            assert_eq!(rig.tree.prepare_close(id, usize::MAX), later.tree.prepare_close(id, usize::MAX), "seed {seed}");
        }
    }
}

#[test]
fn no_ephemeral_outlives_its_session_and_none_goes_before_it() {
    for seed in 200..230 {
        let mut prng = Prng::new(seed);
        let mut rig = Rig::new();
        let mut sessions = Vec::new();
        for n in 0..300 {
            step(&mut rig, &mut prng, &mut sessions);
            if n % 50 == 0 {
                let all = contents(&rig.tree);
                let owners =
                    all.values().map(|(stat, ..)| stat.ephemeral_owner).filter(|owner| *owner != SessionId::NONE);
                for owner in owners {
                    assert!(rig.tree.committed_session(owner).is_some(), "seed {seed}, step {n}: {owner}");
                }
            }
        }
    }
}

#[test]
fn transactions_that_nobody_would_prepare_are_safe_and_seen_alike() {
    for seed in 300..340 {
        let mut prng = Prng::new(seed);
        let mut rig = Rig::new();
        for _ in 0..200 {
            let path: Arc<str> = if prng.chance(1, 10) { "/zookeeper".into() } else { some_path(&mut prng).into() };
            let lifetime =
                [Lifetime::Persistent, Lifetime::Ephemeral(SessionId(5)), Lifetime::Container, Lifetime::Ttl(1)];
            let op = match prng.below(4) {
                0 => Op::Delete { path },
                1 => Op::SetData { path, data: None, version: prng.below(9) as i32 },
                _ => Op::Create {
                    path,
                    data: Some(Box::new([1])),
                    acl: AclList::new(&[]),
                    lifetime: lifetime[prng.below(4) as usize],
                    creates: prng.next_u64() as i32,
                },
            };
            let body = match prng.below(4) {
                0 => Body::Multi(vec![op.clone(), op]),
                1 => Body::CloseSession { ephemerals: vec![op.path().clone()], last: prng.chance(1, 2) },
                _ => Body::One(op),
            };
            rig.append(5, body);
            if prng.chance(1, 4) {
                rig.apply(Index(prng.between(rig.tree.applied().get(), rig.log.len() as u64)));
            }
        }
        let mut later = rig.clone();
        later.apply_all();
        for _ in 0..50 {
            let path = some_path(&mut prng);
            assert_eq!(rig.tree.view(&path), later.tree.view(&path), "seed {seed}: {path}");
        }
        assert_eq!(later.tree.digest(), later.replay().digest(), "seed {seed}");
    }
}
