//! Servers that join a cluster that runs, as processes.

mod support;

use rustix::process::Signal;
use std::path::Path;
use std::process::Command;
use std::thread;
use support::{Lines, Server, as_peers, free_addresses, refused, refused_with, torc};
use tempfile::TempDir;

/// A port that was free a moment ago.
fn address() -> String {
    free_addresses(1).remove(0)
}

/// Three servers that found a cluster, each with its directory.
struct Founders {
    addresses: Vec<String>,
    list: String,
    dirs: Vec<TempDir>,
    servers: Vec<Server>,
}

impl Founders {
    fn start() -> Founders {
        let addresses = free_addresses(3);
        let list = as_peers(&addresses);
        let dirs: Vec<TempDir> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        let starting = (1..).zip(&dirs).map(|(node, dir)| {
            let (dir, list) = (dir.path().to_path_buf(), list.clone());
            thread::spawn(move || founder(&dir, node, &list))
        });
        let starting: Vec<_> = starting.collect();
        let servers = starting.into_iter().map(|thread| thread.join().unwrap()).collect();
        Founders { addresses, list, dirs, servers }
    }
}

fn founder(dir: &Path, node: u32, list: &str) -> Server {
    Server::start(dir, &["--shards", "1", "--node-id", &node.to_string(), "--peers", list])
}

fn joins(dir: &Path, node: u32, peer: &str, at: &str) -> Server {
    Server::start(dir, &["--shards", "1", "--node-id", &node.to_string(), "--peer", peer, "--join", at])
}

/// What a server prints of its cluster, as JSON.
fn shown(server: &Server, what: &str) -> serde_json::Value {
    let output =
        torc(&["cluster", what, "--bootstrap-server", server.said("kafka"), "--format", "json"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {output:?}"))
}

fn create(server: &Server, topic: &str) {
    let output =
        torc(&["topic", "create", topic, "--partitions", "8", "--bootstrap-server", server.said("kafka")]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_server_joins_by_way_of_any_other_and_comes_back_without_being_told_of_them() {
    let founders = Founders::start();
    let (dir, peer) = (tempfile::tempdir().unwrap(), address());
    let via = format!("{},{}", address(), founders.addresses[2]);
    let fourth = joins(dir.path(), 4, &peer, &via);
    assert_eq!(fourth.lines[0].split("cluster ").last(), founders.servers[0].lines[0].split("cluster ").last());
    // All four have partitions of a topic that is made now.
    create(&fourth, "t");
    let nodes = shown(&founders.servers[0], "nodes");
    let nodes = nodes.as_array().expect("a list");
    assert_eq!(nodes.iter().map(|node| node["node"].as_i64()).collect::<Vec<_>>(), [1, 2, 3, 4].map(Some));
    assert!(nodes.iter().all(|node| node["replicas"].as_i64() > Some(0)), "{nodes:?}");
    // It is killed, and knows the others by what it has.
    fourth.stop(Signal::KILL);
    let fourth = Server::start(dir.path(), &[]);
    assert!(fourth.said("peer").ends_with(&peer), "{:?}", fourth.lines);
    create(&fourth, "u");
    // A fifth one comes by way of it.
    let other = tempfile::tempdir().unwrap();
    let fifth = joins(other.path(), 5, &address(), &peer);
    assert!(fifth.said("peers").contains(&format!("4={peer}")), "{:?}", fifth.lines);
    for server in founders.servers.into_iter().chain([fourth, fifth]) {
        assert_eq!(server.stop(Signal::TERM).code(), Some(0));
    }
    drop(founders.dirs);
}

#[test]
fn a_number_that_is_taken_is_refused_on_both_sides_and_a_lost_disk_is_replaced() {
    let mut founders = Founders::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let flags = ["serve", "--data-dir", path, "--kafka", "127.0.0.1:0", "--metrics", "none", "--shards", "1"];
    let peer = address();
    let join = ["--peer", &peer, "--join", &founders.addresses[0]];
    let text = refused(&[&flags[..], &["--node-id", "2"], &join].concat());
    assert!(text.contains("node.id 2 is taken"), "{text}");
    let mut log = Lines::of(founders.servers[0].child.stderr.take().unwrap());
    log.until("node.id 2 is taken");
    // Nothing is known of a server that does not say which it is, or where.
    let other = tempfile::tempdir().unwrap();
    let flags = ["serve", "--data-dir", other.path().to_str().unwrap(), "--kafka", "127.0.0.1:0", "--metrics", "none"];
    let text = refused(&[&flags[..], &join].concat());
    assert!(text.contains("--node-id"), "{text}");
    let text = refused(&[&flags[..], &["--node-id", "4", "--join", &founders.addresses[0]]].concat());
    assert!(text.contains("--peer HOST:PORT"), "{text}");
    let text = refused_with(2, &[&flags[..], &["--node-id", "1", "--peers", &founders.list], &join].concat());
    assert!(text.contains("torc.join"), "{text}");

    // The disk of node 2 is gone, and its machine with it: another one takes its place.
    founders.servers.remove(1).stop(Signal::KILL);
    let second = joins(dir.path(), 2, &peer, &founders.addresses[2]);
    create(&second, "t");
    // The old disk does not come back, with the cluster's list or without one.
    let old = founders.dirs[1].path().to_str().unwrap().to_string();
    let mut command: Command = torc(&["serve", "--data-dir", &old, "--kafka", "127.0.0.1:0", "--metrics", "none"]);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("node 2 has another disk by now"), "{text}");
}
