//! What has gone wrong in coordination services elsewhere, told of one node.

use super::rig::{Rig, settings};
use super::znodes::{Zk, events};
use super::zookeeper::{Told, create, ephemeral, serving};
use torc_base::limits::SESSION_END_PART;
use torc_net::zookeeper::Ask;

fn rig() -> Rig {
    Rig::with(1, &serving(&settings()))
}

#[test]
fn a_session_with_thousands_of_ephemeral_znodes_ends_and_the_server_starts_again() {
    let mut rig = rig();
    let (mut zk, mut other) = (Zk::with_timeout(&mut rig, 4_000), Zk::with_timeout(&mut rig, 40_000));
    other.does(&mut rig, &create("/p", b""));
    for n in 0..5_000 {
        zk.send(&mut rig, &ephemeral(&format!("/p/a-name-that-takes-some-room-{n:05}")));
        if n % 100 == 99 {
            rig.run();
            assert!(zk.all(&mut rig).iter().all(|told| told.error() == 0));
        }
    }
    rig.pass(9_000);
    assert_eq!(other.ask(&mut rig, &Ask::GetAllChildrenNumber("/p")).answer().count(), Ok(0));
    let digest = rig.shard(0).groups.tree().state().digest();
    let mut rig = rig.restart(&serving(&settings()));
    rig.pass(100);
    assert_eq!(rig.shard(0).groups.tree().state().digest(), digest);
}

#[test]
fn watches_that_one_request_does_not_hold_are_set_again_in_pieces_and_none_is_gone() {
    let mut rig = rig();
    let (mut zk, mut other) = (Zk::new(&mut rig), Zk::new(&mut rig));
    other.does(&mut rig, &create("/p", b""));
    let paths: Vec<String> = (0..3_000).map(|n| format!("/p/{}-{n:04}", "x".repeat(500))).collect();
    for some in paths.chunks(100) {
        some.iter().for_each(|path| _ = zk.send(&mut rig, &Ask::Exists(path, true)));
        rig.run();
        assert!(zk.all(&mut rig).iter().all(|told| told.error() == -101));
    }
    rig.abort(zk.client());
    // All of them at once are more than a request may be: the session lives, but this connection is of no use.
    let mut at_once = Zk::greet(&mut rig, Some(zk.session()), 10_000).expect("it lives");
    at_once.send(&mut rig, &Ask::SetWatches(0, [&[], &paths, &[], &[], &[]]));
    rig.run();
    assert!(at_once.all(&mut rig).is_empty() && rig.is_closed(at_once.client()));
    let mut zk = Zk::greet(&mut rig, Some(zk.session()), 10_000).expect("it lives");
    for some in paths.chunks(1_000) {
        zk.does(&mut rig, &Ask::SetWatches(0, [&[], some, &[], &[], &[]]));
    }
    for some in paths.chunks(100) {
        some.iter().for_each(|path| _ = other.send(&mut rig, &create(path, b"")));
        rig.run();
        assert!(other.all(&mut rig).iter().all(|told| told.error() == 0));
        let told = zk.all(&mut rig);
        let expected: Vec<Told> = some.iter().map(|path| Told::Event(1, path.clone())).collect();
        assert_eq!(events(&told).len(), some.len());
        assert_eq!(told, expected);
    }
}

/// Whatever changes while they are set again is told once, and before the answer.
#[test]
fn many_watches_are_set_again_in_turns_and_miss_nothing_that_happens_in_between() {
    const PATHS: usize = 9_000;
    let mut rig = rig();
    let (mut zk, mut other) = (Zk::new(&mut rig), Zk::new(&mut rig));
    other.does(&mut rig, &create("/p", b""));
    let paths: Vec<String> = (0..PATHS).map(|n| format!("/p/{n:04}")).collect();
    zk.send(&mut rig, &Ask::SetWatches(0, [&[], &paths, &["/p".to_string()], &[], &["/p".to_string()]]));
    zk.send(&mut rig, &Ask::Exists("/p", false));
    let (mut made, mut acknowledged, mut told, mut turns) = (Vec::new(), 0, Vec::new(), 0);
    while told.iter().filter(|told| matches!(told, Told::Answer(..))).count() < 2 {
        // Some watches stand by now, and others do not.
        for path in paths.iter().skip(turns).step_by(PATHS / 3) {
            other.send(&mut rig, &create(path, b""));
            made.push(path.clone());
        }
        rig.turn(0);
        turns += 1;
        told.extend(zk.all(&mut rig));
        if !told.iter().any(|told| matches!(told, Told::Answer(..))) {
            acknowledged += other.all(&mut rig).iter().filter(|told| told.error() == 0).count();
        }
    }
    assert!(turns > 4 && acknowledged >= 6, "{turns} turns, {acknowledged} changes");
    let answer = told.iter().position(|told| matches!(told, Told::Answer(..))).expect("it was answered");
    let created = |told: &[Told]| -> Vec<String> {
        let paths =
            told.iter().filter_map(|told| if let Told::Event(1, path) = told { Some(path.clone()) } else { None });
        paths.collect()
    };
    assert!(made[..acknowledged].iter().all(|path| created(&told[..answer]).contains(path)));
    rig.run();
    told.extend(zk.all(&mut rig));
    let (mut found, of_parent) = (created(&told), told.iter().filter(|told| matches!(told, Told::Event(4, _))).count());
    // Who watches a znode and all below its parent is told once.
    found.sort_unstable();
    made.sort_unstable();
    assert_eq!((found, of_parent), (made, 1));
}

#[test]
fn a_session_with_thousands_of_ephemeral_znodes_ends_in_several_turns() {
    let mut rig = rig();
    let mut zk = Zk::with_timeout(&mut rig, 40_000);
    for n in 0..5_000 {
        zk.send(&mut rig, &ephemeral(&format!("/{n:05}")));
        if n % 500 == 499 {
            rig.run();
            assert!(zk.all(&mut rig).iter().all(|told| told.error() == 0));
        }
    }
    let left = |rig: &Rig| rig.shard(0).groups.tree().state().znodes().1;
    zk.send(&mut rig, &Ask::CloseSession);
    let (mut before, mut most) = (left(&rig), 0);
    assert_eq!(before, 5_000);
    while before > 0 {
        rig.turn(0);
        let after = left(&rig);
        most = most.max(before - after);
        before = after;
    }
    assert!((1..=3 * SESSION_END_PART).contains(&most), "{most} in one turn");
    rig.run();
    assert_eq!(zk.all(&mut rig).last().map(Told::error), Some(0));
}
