//! Servers on loopback ports that form clusters, each on a thread.

use super::wire::{self, Form, Speaker};
use super::{FormError, Formed, Former, Founding, Members, form};
use crate::data_dir::DataDirError;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Longer than anything takes that comes to an end.
const LONG: Duration = Duration::from_secs(60);

static STARTS: AtomicU64 = AtomicU64::new(1);

/// Servers 1, 2, ... with a port each.
struct Place {
    sockets: Vec<TcpListener>,
    members: Members,
}

impl Place {
    fn new(count: u32) -> Place {
        let sockets: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let members = list(&sockets);
        Place { sockets, members }
    }

    fn socket(&self, node: u32) -> TcpListener {
        self.sockets[node as usize - 1].try_clone().unwrap()
    }

    /// A server at its own address.
    fn start(&self, node: u32, disk: u128) -> Server {
        Server::start(self.socket(node), node, disk, &self.members)
    }
}

fn list(sockets: &[TcpListener]) -> Members {
    let one = |(at, socket): (usize, &TcpListener)| format!("{}={}", at + 1, socket.local_addr().unwrap());
    Members::parse(&sockets.iter().enumerate().map(one).collect::<Vec<_>>().join(",")).unwrap()
}

/// One that is forming, or has ended.
struct Server {
    socket: TcpListener,
    me: Speaker,
    stop: Arc<AtomicBool>,
    told: Arc<Mutex<Vec<String>>>,
    thread: JoinHandle<(Result<Formed, FormError>, Vec<Founding>)>,
}

impl Server {
    fn start(socket: TcpListener, node: u32, disk: u128, members: &Members) -> Server {
        let me = Speaker { node, start: STARTS.fetch_add(1, Ordering::Relaxed) };
        let (stop, told) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let tell = |told: &Arc<Mutex<Vec<String>>>| {
            let told = Arc::clone(told);
            Arc::new(move |line: &str| told.lock().unwrap().push(line.to_string())) as Arc<dyn Fn(&str) + Send + Sync>
        };
        let former = Former { me, disk, members: members.clone(), tell: tell(&told), warn: tell(&told) };
        let (mine, stopped) = (socket.try_clone().unwrap(), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut kept = Vec::new();
            let keep = |founding: &Founding| {
                kept.push(founding.clone());
                Ok::<(), DataDirError>(())
            };
            let result = form(former, &[mine], keep, &|| stopped.load(Ordering::Relaxed));
            (result, kept)
        });
        Server { socket, me, stop, told, thread }
    }

    /// Waits until it has told a line with this in it.
    fn until_told(&self, part: &str) {
        let began = Instant::now();
        while !self.told.lock().unwrap().iter().any(|line| line.contains(part)) {
            assert!(began.elapsed() < LONG, "no `{part}` in {:?}", self.told.lock().unwrap());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The record that it kept.
    fn founded(self) -> Founding {
        let (result, kept) = self.thread.join().unwrap();
        let Ok(Formed::Founded(founding)) = result else { panic!("server {}: {result:?}", self.me.node) };
        assert_eq!(kept, std::slice::from_ref(&founding), "the record is kept once");
        assert_eq!(self.socket.set_nonblocking(false).map_err(|e| e.kind()), Ok(()));
        founding
    }

    /// As a process that is killed: what it had not kept is gone.
    fn killed(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (result, kept) = self.thread.join().unwrap();
        assert!(matches!(result, Ok(Formed::Stopped)) && kept.is_empty(), "{result:?} {kept:?}");
    }

    fn refused(self) -> String {
        match self.thread.join().unwrap() {
            (Err(FormError::Refused(why)), kept) if kept.is_empty() => why,
            (result, kept) => panic!("server {} is not refused: {result:?} {kept:?}", self.me.node),
        }
    }
}

/// A running server: to every question it has the same answer.
struct Running {
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(socket: TcpListener, me: Speaker, founding: Founding) -> Running {
        let closed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&closed);
        socket.set_nonblocking(true).unwrap();
        let thread = thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                let Ok((mut stream, _)) = socket.accept() else {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                };
                stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
                if wire::receive(&mut stream).is_ok() {
                    let _ = wire::send(&mut stream, me, &Form::Founded(founding.clone()));
                }
            }
        });
        Running { closed, thread: Some(thread) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[test]
fn empty_servers_found_a_cluster_of_all_their_disks() {
    for count in [2, 3, 5] {
        let place = Place::new(count);
        let servers: Vec<Server> = (1..=count).rev().map(|node| place.start(node, u128::from(node) + 100)).collect();
        let records: Vec<Founding> = servers.into_iter().map(Server::founded).collect();
        let first = &records[0];
        assert!(records.iter().all(|record| record == first), "{records:?}");
        assert_eq!(first.members, place.members);
        assert!(first.cluster != 0 && (1..=count).all(|node| first.has(node, u128::from(node) + 100)));
    }
    let (a, b) = (Place::new(2), Place::new(2));
    let found = |place: &Place| [1, 2].map(|node| place.start(node, 1)).map(Server::founded)[0].cluster;
    assert_ne!(found(&a), found(&b), "two clusters have two numbers");
}

#[test]
fn nobody_begins_before_the_last_is_there() {
    let place = Place::new(3);
    let (second, first) = (place.start(2, 20), place.start(1, 10));
    first.until_told("waiting for node 3 of 3");
    assert!(first.told.lock().unwrap().iter().all(|line| !line.contains("founded")));
    second.until_told("waiting for node 3 of 3");
    assert!(!first.thread.is_finished() && !second.thread.is_finished());
    let third = place.start(3, 30);
    let records = [first, second, third].map(Server::founded);
    assert!(records.iter().all(|record| *record == records[0] && record.has(3, 30)));
}

#[test]
fn several_that_are_missing_are_named_in_one_line() {
    let place = Place::new(4);
    let server = place.start(2, 20);
    server.until_told("waiting for nodes 1, 3 and 4 of 4");
    server.killed();
}

#[test]
fn one_that_is_killed_meanwhile_comes_back_with_its_disk() {
    let place = Place::new(3);
    let first = place.start(1, 10);
    let second = place.start(2, 20);
    first.until_told("waiting for node 3 of 3");
    second.killed();
    let (second, third) = (place.start(2, 20), place.start(3, 30));
    let records = [first, second, third].map(Server::founded);
    assert!(records.iter().all(|record| *record == records[0] && record.has(2, 20)));
}

#[test]
fn the_founder_that_is_killed_before_it_kept_the_record_begins_again() {
    let place = Place::new(3);
    let (first, second) = (place.start(1, 10), place.start(2, 20));
    second.until_told("waiting for node 3 of 3");
    first.killed();
    let third = place.start(3, 30);
    third.until_told("waiting for node 1 of 3");
    let records = [place.start(1, 10), second, third].map(Server::founded);
    assert!(records.iter().all(|record| *record == records[0]));
}

/// A cluster of three, of which two run; server `lost` is not started.
fn old_cluster(place: &Place, lost: u32) -> (Founding, Vec<Running>) {
    let servers = [1, 2, 3].map(|node| place.start(node, u128::from(node) * 10));
    let speakers = servers.each_ref().map(|server| server.me);
    let records = servers.map(Server::founded);
    let others = speakers.into_iter().filter(|me| me.node != lost);
    let running = others.map(|me| Running::start(place.socket(me.node), me, records[0].clone())).collect();
    (records[0].clone(), running)
}

#[test]
fn a_wiped_server_takes_the_old_record_and_is_not_in_it() {
    for lost in [1, 2, 3] {
        let place = Place::new(3);
        let (founding, _running) = old_cluster(&place, lost);
        let record = place.start(lost, 99).founded();
        assert_eq!(record, founding, "server {lost}");
        assert!(founding.has(lost, u128::from(lost) * 10) && !founding.has(lost, 99), "its votes of before are lost");
    }
}

#[test]
fn a_wiped_server_asks_whoever_is_there() {
    let place = Place::new(3);
    let (founding, running) = old_cluster(&place, 1);
    // Server 2 is gone as well.
    let third = running.into_iter().next_back().unwrap();
    assert_eq!(place.start(1, 99).founded(), founding, "it never founds a second cluster");
    drop(third);
}

#[test]
fn a_disk_that_is_lost_before_it_heard_the_record_is_none_of_the_founders() {
    let place = Place::new(3);
    let (first, second) = (place.start(1, 10), place.start(2, 20));
    first.until_told("waiting for node 3 of 3");
    // Server 3 is heard, and gone with its disk before it hears anything.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    drop(gone);
    let (me, members) = (Speaker { node: 3, start: u64::MAX }, place.members.clone());
    let socket = place.socket(3);
    let answers = thread::spawn(move || {
        // Until the founder tells its record, which this one does not live to keep.
        loop {
            let (mut stream, _) = socket.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            match wire::receive(&mut stream) {
                Ok(Some((_, Form::Founded(founding)))) => return founding,
                Ok(_) => drop(wire::send(&mut stream, me, &Form::Fresh { disk: 30, members: members.clone() })),
                Err(_) => {}
            }
        }
    });
    let speaker = first.me;
    let record = first.founded();
    assert_eq!(second.founded(), record);
    assert_eq!(answers.join().unwrap(), record);
    assert!(record.has(3, 30));
    let _running = Running::start(place.socket(1), speaker, record.clone());
    assert_eq!(place.start(3, 31).founded(), record);
    assert!(!record.has(3, 31));
}

#[test]
fn one_that_was_only_killed_before_it_heard_the_record_is_a_founder() {
    let place = Place::new(3);
    let (founding, _running) = old_cluster(&place, 3);
    assert!(place.start(3, 30).founded().has(3, 30));
    assert!(founding.has(3, 30));
}

#[test]
fn another_list_is_refused_on_both_sides_with_both_lists() {
    let place = Place::new(3);
    let others = list(&place.sockets[..2]);
    let (first, second) = (place.start(1, 10), Server::start(place.socket(2), 2, 20, &others));
    for why in [first.refused(), second.refused()] {
        assert!(why.contains(&place.members.to_string()) && why.contains(&format!("{others},")), "{why}");
        assert!(why.contains("the same list"), "{why}");
    }
    let place = Place::new(3);
    let (founding, _running) = old_cluster(&place, 2);
    let shorter = list(&place.sockets[..2]);
    let why = Server::start(place.socket(2), 2, 20, &shorter).refused();
    assert!(why.contains(&founding.members.to_string()) && why.contains(&shorter.to_string()), "{why}");
}

#[test]
fn a_number_that_is_there_twice_is_refused_on_both_sides() {
    let place = Place::new(3);
    let (first, second) = (place.start(1, 10), place.start(2, 20));
    first.until_told("waiting for node 3 of 3");
    // It reaches the others and the server whose number it has, and is reached at another address.
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let double = Server::start(elsewhere, 2, 21, &place.members);
    let why = double.refused();
    assert!(why.contains("node.id 2") && why.contains("number of its own"), "{why}");
    second.until_told("node.id 2 is taken");
    let third = place.start(3, 30);
    let records = [first, second, third].map(Server::founded);
    assert!(records.iter().all(|record| *record == records[0] && record.has(2, 20)));
}

#[test]
fn a_number_of_a_running_server_is_refused() {
    let place = Place::new(3);
    let (_, _running) = old_cluster(&place, 1);
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let why = Server::start(elsewhere, 2, 21, &place.members).refused();
    assert!(why.contains("another server with node.id 2 answers at"), "{why}");
}

#[test]
fn an_address_that_is_another_servers_is_refused() {
    let place = Place::new(3);
    let mixed: Vec<TcpListener> = [2, 1, 3].map(|node| place.socket(node)).into();
    let members = list(&mixed);
    // Both go by the same list, and sit where the other should.
    let (first, second) =
        (Server::start(place.socket(1), 1, 10, &members), Server::start(place.socket(2), 2, 20, &members));
    for why in [first.refused(), second.refused()] {
        assert!(why.contains("answers at") || why.contains("refuses"), "{why}");
    }
}

#[test]
fn servers_of_different_clusters_are_refused() {
    let place = Place::new(3);
    let founding =
        |cluster| Founding { cluster, members: place.members.clone(), founders: [(1, 10), (2, 20), (3, 30)].into() };
    let running = |node, cluster| {
        Running::start(place.socket(node), Speaker { node, start: u64::from(node) << 32 }, founding(cluster))
    };
    let _running = (running(2, 5), running(3, 6));
    let why = place.start(1, 10).refused();
    assert!(why.contains("servers 2 and 3 are of different clusters"), "{why}");
}

#[test]
fn strangers_and_nonsense_hold_up_nobody() {
    let place = Place::new(2);
    let first = place.start(1, 10);
    first.until_told("waiting for node 2 of 2");
    let address = place.sockets[0].local_addr().unwrap();
    let silent: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut nonsense = TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut nonsense, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let records = [place.start(2, 20), first].map(Server::founded);
    assert_eq!(records[0], records[1]);
    drop(silent);
}

#[test]
fn a_server_of_a_running_cluster_is_told_to_come_back() {
    let place = Place::new(2);
    let first = place.start(1, 10);
    first.until_told("waiting for node 2 of 2");
    let mut stream = TcpStream::connect(place.sockets[0].local_addr().unwrap()).unwrap();
    wire::send_not_ready(&mut stream).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    // Any frame that is no question of this kind gets the refusal.
    assert_eq!(wire::receive(&mut stream).unwrap(), None);
    assert_eq!(wire::receive(&mut stream).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    first.killed();
}

#[test]
fn a_record_that_cannot_be_kept_is_told_to_nobody() {
    let place = Place::new(2);
    let second = place.start(2, 20);
    let tell: Arc<dyn Fn(&str) + Send + Sync> = Arc::new(|_: &str| ());
    let me = Speaker { node: 1, start: u64::MAX };
    let former = Former { me, disk: 10, members: place.members.clone(), tell: Arc::clone(&tell), warn: tell };
    let full = || DataDirError::Io { what: "write", path: "d".into(), error: ErrorKind::StorageFull.into() };
    let result = form(former, &[place.socket(1)], |_| Err(full()), &|| false);
    assert!(matches!(result, Err(FormError::Keep(_))), "{result:?}");
    second.until_told("waiting for node 1 of 2");
    second.killed();
}
