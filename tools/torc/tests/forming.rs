//! Servers that are to be a cluster, as processes: whom they wait for, and what they refuse.

mod support;

use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::Child;
use support::{Lines, Server, as_peers, free_addresses, refused, refused_with, torc};

/// Free ports as a list of servers 1, 2, ...
fn list(count: usize) -> String {
    as_peers(&free_addresses(count))
}

fn arguments<'a>(dir: &'a Path, node: &'a str, list: &'a str) -> Vec<&'a str> {
    let dir = dir.to_str().unwrap();
    let fixed = ["serve", "--kafka", "127.0.0.1:0", "--metrics", "none", "--shards", "1", "--data-dir", dir];
    [&fixed[..], &["--node-id", node, "--peers", list]].concat()
}

/// A server of which nothing is known but its log. Killed if a test fails.
struct Forming {
    child: Child,
    log: Lines,
}

impl Forming {
    fn start(dir: &Path, node: &str, list: &str) -> Forming {
        let mut child = torc(&arguments(dir, node, list)).spawn().unwrap();
        let log = Lines::of(child.stderr.take().unwrap());
        Forming { child, log }
    }

    /// How it ends.
    fn ends(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Forming {
    fn drop(&mut self) {
        // Fails if it has ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_says_whom_it_waits_for_and_ends_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Forming::start(dir.path(), "2", &list(3));
        server.log.until("waiting for nodes 1 and 3 of 3");
        kill_process(Pid::from_child(&server.child), signal).unwrap();
        server.log.until("told to stop before the cluster was founded or joined");
        assert_eq!(server.ends(), Some(0));
    }
}

#[test]
fn three_that_start_empty_agree_on_a_cluster() {
    let (dirs, list) = ([1, 2, 3].map(|_| tempfile::tempdir().unwrap()), list(3));
    let start = |at: usize| Forming::start(dirs[at].path(), &(at + 1).to_string(), &list);
    let (mut first, mut third) = (start(0), start(2));
    first.log.until("waiting for node 2 of 3");
    let mut second = start(1);
    let cluster = |server: &mut Forming| {
        server.log.until(" is founded, of 3 nodes").split("cluster ").last().unwrap().to_string()
    };
    let said = [cluster(&mut first), cluster(&mut second), cluster(&mut third)];
    assert!(said.iter().all(|line| *line == said[0]), "{said:?}");
    drop((first, second, third));
    let text = refused(&arguments(dirs[0].path(), "1", &list.replace("3=", "4=")));
    assert!(text.contains("was founded with torc.peers=") && text.contains(&list), "{text}");
    let text = refused(&arguments(dirs[0].path(), "2", &list));
    assert!(text.contains("node.id=1"), "{text}");
}

#[test]
fn lists_that_differ_end_both_servers() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let three = list(3);
    let two = three.rsplit_once(',').unwrap().0;
    let (mut first, mut second) = (Forming::start(a.path(), "1", &three), Forming::start(b.path(), "2", two));
    for server in [&mut first, &mut second] {
        let line = server.log.until("torc: ");
        let line = if line.contains("same list") { line } else { server.log.until("same list") };
        assert!(line.contains(&three), "{line}");
    }
    assert_eq!((first.ends(), second.ends()), (Some(1), Some(1)));
}

#[test]
fn a_single_server_does_not_become_one_of_a_cluster_by_a_flag() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Server::start(dir.path(), &["--shards", "1"]).stop(Signal::TERM).code(), Some(0));
    let text = refused(&arguments(dir.path(), "1", &list(3)));
    assert!(text.contains("single server") && text.contains("without --peers"), "{text}");
    Server::start(dir.path(), &[]).stop(Signal::TERM);

    let other = tempfile::tempdir().unwrap();
    let (dir, peers) = (other.path().to_str().unwrap(), list(3));
    let text = refused(&["serve", "--data-dir", dir, "--peers", &peers]);
    assert!(text.contains("--node-id"), "{text}");
    let text = refused_with(2, &["serve", "--data-dir", dir, "--peers", &peers, "--node-id", "4"]);
    assert!(text.contains("does not name this server"), "{text}");
    let text = refused(&["serve", "--data-dir", dir, "--kafka", "127.0.0.1:0", "--peer", "127.0.0.1:0"]);
    assert!(text.contains("name all servers with --peers"), "{text}");
}
