//! What has gone wrong in coordination services elsewhere, told of one node.

use super::rig::{Rig, settings};
use super::znodes::{Zk, events};
use super::zookeeper::{Told, create, ephemeral, serving};
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
