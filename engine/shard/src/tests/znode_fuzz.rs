//! Fuzz targets: whatever comes at ZooKeeper's port, first or from a session, others are served, and nothing panics.

use super::rig::{Rig, settings};
use super::znodes::Zk;
use super::zookeeper::{create, serving};
use torc_base::ids::ListenerId;
use torc_net::zookeeper::Ask;

/// The listener of ZooKeeper's clients.
const ZOOKEEPER: ListenerId = ListenerId(2);

/// Numbers of operations that are known, and some that are not.
const OPS: std::ops::RangeInclusive<i32> = -12..=108;

fn framed(head: &[u8], body: &[u8]) -> Vec<u8> {
    let len = i32::try_from(head.len() + body.len()).expect("an input is short");
    [&len.to_be_bytes(), head, body].concat()
}

/// Somebody else, who is served.
fn other(rig: &mut Rig) -> Zk {
    let mut zk = Zk::new(rig);
    zk.does(rig, &create("/mine", b"data"));
    zk
}

fn assert_served(rig: &mut Rig, zk: &mut Zk) {
    rig.run();
    assert_eq!(zk.ask(rig, &Ask::GetData("/mine", false)).data(), (b"data".to_vec(), 0));
    zk.does(rig, &Ask::Ping);
}

#[test]
fn whatever_comes_first_at_zookeepers_port_harms_nobody() {
    bolero::check!().with_iterations(300).for_each(|input: &[u8]| {
        let mut rig = Rig::with(1, &serving(&settings()));
        let mut zk = other(&mut rig);
        for bytes in [input.to_vec(), framed(&[], input), framed(&[0; 4], input), [b"srvr", input].concat()] {
            let client = rig.connect_at(0, ZOOKEEPER);
            rig.send_bytes(client, &bytes);
        }
        assert_served(&mut rig, &mut zk);
    });
}

#[test]
fn whatever_a_session_asks_for_harms_nobody_else() {
    bolero::check!().with_iterations(100).for_each(|input: &[u8]| {
        let mut rig = Rig::with(1, &serving(&settings()));
        let mut zk = other(&mut rig);
        let mut asking = Zk::new(&mut rig);
        for op in OPS {
            if rig.is_closed(asking.client()) {
                asking = Zk::new(&mut rig);
            }
            let head = [1_i32.to_be_bytes(), op.to_be_bytes()].concat();
            // As it is, and behind a path that there can be.
            rig.send_bytes(asking.client(), &framed(&head, input));
            rig.send_bytes(asking.client(), &framed(&head, &[&[0, 0, 0, 2, b'/', b'x'], input].concat()));
            rig.run();
        }
        assert_served(&mut rig, &mut zk);
    });
}
