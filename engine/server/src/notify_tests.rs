use crate::notify::{Notify, Pulse};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A service manager: its socket, and what tells it.
fn manager(watchdog: Option<Duration>) -> (UnixDatagram, Notify, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    (socket, Notify::to(path.as_os_str(), watchdog).unwrap(), dir)
}

fn heard(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 256];
    let length = socket.recv(&mut bytes).expect("nothing was said");
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

#[test]
fn readiness_and_the_end_are_told() {
    let (socket, notify, _dir) = manager(None);
    notify.ready("serving");
    assert_eq!(heard(&socket), "READY=1\nSTATUS=serving");
    notify.stopping();
    assert_eq!(heard(&socket), "STOPPING=1\nSTATUS=draining");
}

#[test]
fn abstract_sockets_are_reached_and_missing_ones_are_an_error() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    let name = format!("torc-test-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    Notify::to(format!("@{name}").as_ref(), None).unwrap().stopping();
    assert!(heard(&socket).starts_with("STOPPING=1"));
    assert!(Notify::to("/no/such/socket".as_ref(), None).is_err());
    Notify::default().ready("to nobody");
}

#[test]
fn the_watchdog_hears_only_of_shards_that_turn() {
    let (socket, notify, _dir) = manager(Some(Duration::from_millis(8)));
    let turns = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let (stands_still, goes_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
    let (stuck, heard_of_stuck) = std::sync::mpsc::channel();
    let (seen, woken, halted, going) = (turns.clone(), turns.clone(), stands_still.clone(), goes_on.clone());
    let pulse = Pulse {
        turns: Box::new(move || seen.iter().map(|turns| turns.load(Ordering::Relaxed)).collect()),
        wake: Box::new(move || {
            woken[0].fetch_add(1, Ordering::Relaxed);
            if !halted.load(Ordering::Relaxed) {
                woken[1].fetch_add(1, Ordering::Relaxed);
            }
        }),
        goes_on: Box::new(move || going.load(Ordering::Relaxed)),
        stuck: Box::new(move |shard| stuck.send(shard).unwrap()),
    };
    notify.watch(pulse).unwrap();
    for _ in 0..3 {
        assert_eq!(heard(&socket), "WATCHDOG=1");
    }
    stands_still.store(true, Ordering::Relaxed);
    assert_eq!(heard_of_stuck.recv(), Ok(1), "shard 1 is named");
    // What was said before it stood still; then silence.
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    while socket.recv(&mut [0; 64]).is_ok() {}
    let was = turns[0].load(Ordering::Relaxed);
    assert!(socket.recv(&mut [0; 64]).is_err() && turns[0].load(Ordering::Relaxed) > was, "it looks, and says nothing");
    stands_still.store(false, Ordering::Relaxed);
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(heard(&socket), "WATCHDOG=1", "it turns again");
    goes_on.store(false, Ordering::Relaxed);
}
