//! What ZooKeeper's clients prove to be: how much of it is kept, and what it holds for.

use super::rig::{Rig, settings};
use super::znodes::Zk;
use super::zookeeper::{Told, create, serving};
use torc_base::limits::{CLIENT_IDENTITIES_BYTES_MAX, CLIENT_IDENTITIES_MAX};
use torc_net::zookeeper::{Acl, Ask, Kind, New};

const AUTH_FAILED: i32 = -115;
const NO_AUTH: i32 = -102;

fn rig() -> Rig {
    Rig::with(1, &serving(&settings()))
}

/// Who proves to be too much is told so, is left, and stands in the log; nobody else is.
#[test]
fn only_so_much_is_kept_of_what_a_client_proves() {
    let mut rig = rig();
    let mut other = Zk::new(&mut rig);
    let mut zk = Zk::new(&mut rig);
    // Its address is the first.
    for n in 1..CLIENT_IDENTITIES_MAX {
        zk.does(&mut rig, &Ask::Auth("digest", format!("user-{n}:secret").as_bytes()));
    }
    zk.does(&mut rig, &Ask::Auth("digest", b"user-1:secret"));
    assert_eq!(zk.ask(&mut rig, &Ask::Auth("digest", b"one-more:secret")).error(), AUTH_FAILED);
    rig.run();
    assert!(rig.is_closed(zk.client()));
    let lines = |rig: &Rig| rig.logs().iter().filter(|line| line.contains("more credentials than")).count();
    assert_eq!(lines(&rig), 1, "{:?}", rig.logs());
    let mut long = Zk::new(&mut rig);
    let half = format!("{}:secret", "u".repeat(CLIENT_IDENTITIES_BYTES_MAX / 2));
    long.does(&mut rig, &Ask::Auth("digest", half.as_bytes()));
    assert_eq!(long.ask(&mut rig, &Ask::Auth("digest", format!("2{half}").as_bytes())).error(), AUTH_FAILED);
    rig.run();
    assert!(rig.is_closed(long.client()));
    assert_eq!(lines(&rig), 2);
    other.does(&mut rig, &Ask::Auth("digest", b"ann:secret"));
}

/// A read is that of who its client was when it asked, though it waits for a change before it.
#[test]
fn credentials_count_for_what_is_asked_behind_them() {
    let mut rig = rig();
    let mut ann = Zk::new(&mut rig);
    ann.does(&mut rig, &Ask::Auth("digest", b"ann:secret"));
    let acls = &[Acl { perms: 31, scheme: "auth", id: "" }];
    let kind = Kind::Persistent;
    let hers = New { path: "/hers", data: b"x", acls, kind, sequential: false, ttl_ms: 0, with_stat: false };
    ann.does(&mut rig, &Ask::Create(hers));
    let mut zk = Zk::new(&mut rig);
    rig.disk(0).hold_writes = true;
    zk.send(&mut rig, &create("/a", b""));
    zk.send(&mut rig, &Ask::GetData("/hers", false));
    zk.send(&mut rig, &Ask::Auth("digest", b"ann:secret"));
    zk.send(&mut rig, &Ask::GetData("/hers", false));
    rig.run();
    assert!(zk.all(&mut rig).is_empty(), "nothing is durable");
    rig.disk(0).hold_writes = false;
    rig.disk(0).release();
    rig.run();
    let errors: Vec<i32> = zk.all(&mut rig).iter().map(Told::error).collect();
    assert_eq!(errors, [0, NO_AUTH, 0, 0]);
}
