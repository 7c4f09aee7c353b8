//! Partitions and nodes on their way in a cluster of four processes, as `torc cluster` has it.

mod support;

use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use support::{Server, as_peers, free_addresses, torc};

/// Addresses of a cluster's nodes 1, 2, ... for each other, and for clients.
struct Addresses {
    peers: String,
    kafka: Vec<String>,
}

impl Addresses {
    fn of(nodes: usize) -> Addresses {
        let mut peers = free_addresses(2 * nodes);
        let kafka = peers.split_off(nodes);
        Addresses { peers: as_peers(&peers), kafka }
    }

    fn start(&self, dir: &Path, node: usize) -> Server {
        let (dir, id) = (dir.join(node.to_string()), node.to_string());
        let fixed = ["serve", "--metrics", "none", "--shards", "1", "--data-dir", dir.to_str().unwrap()];
        let own = ["--node-id", &id, "--peers", &self.peers, "--kafka", &self.kafka[node - 1]];
        let child = torc(&[&fixed[..], &own].concat()).spawn().unwrap();
        Server { child, lines: Vec::new() }
    }

    fn all(&self) -> String {
        self.kafka.join(",")
    }
}

/// Runs a command against the cluster: its exit code, and what it printed.
fn run(at: &str, args: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let mut child = torc(args).args(["--bootstrap-server", at]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn good(at: &str, args: &[&str], input: &[u8]) -> String {
    let (code, out, err) = run(at, args, input);
    assert_eq!(code, Some(0), "{args:?}: {err}{out}");
    out
}

fn cluster(at: &str, args: &[&str]) -> Value {
    let out = good(at, &[&["cluster"], args, &["--format", "json"]].concat(), b"");
    serde_json::from_str(&out).unwrap()
}

fn refused(at: &str, args: &[&str]) -> String {
    let (code, out, err) = run(at, &[&["cluster"], args].concat(), b"");
    assert_eq!(code, Some(1), "{args:?}: {err}{out}");
    err
}

fn await_ready(server: &mut Server) {
    assert!(server.until_ready(), "{:?}", server.lines);
}

#[test]
fn partitions_and_nodes_move_under_the_records_that_they_have() {
    let dir = tempfile::tempdir().unwrap();
    let addresses = Addresses::of(4);
    let mut nodes: Vec<Server> = (1..=4).map(|node| addresses.start(dir.path(), node)).collect();
    nodes.iter_mut().for_each(await_ready);
    let at = addresses.all();
    good(&at, &["topic", "create", "t", "--partitions", "4"], b"");
    let lines: String = (0..20_000).map(|n| format!("record {n}\n")).collect();
    good(&at, &["produce", "t", "--quiet"], lines.as_bytes());

    // The controller dies in the middle, and comes back.
    cluster(&at, &["reassign", "t", "--to", "4,2,3"]);
    let controller = cluster(&at, &["status"])["controller"].as_u64().expect("there is one") as usize;
    nodes[controller - 1].child.kill().unwrap();
    nodes[controller - 1].child.wait().unwrap();
    nodes[controller - 1] = addresses.start(dir.path(), controller);
    await_ready(&mut nodes[controller - 1]);
    cluster(&at, &["reassign", "t", "--to", "4,2,3", "--wait"]);
    assert_eq!(cluster(&at, &["reassign"]), json!([]));
    for part in cluster(&at, &["partitions", "t"]).as_array().unwrap() {
        assert_eq!(
            (&part["replicas"], &part["adding"], &part["removing"]),
            (&json!([4, 2, 3]), &json!([]), &json!([]))
        );
    }
    cluster(&at, &["transfer-leader", "t/0", "--to", "3"]);
    let part = cluster(&at, &["partitions", "t"])[0].clone();
    assert_eq!((&part["leader"], &part["replicas"]), (&json!(3), &json!([3, 4, 2])));
    let text = refused(&at, &["reassign", "t/1", "--cancel"]);
    assert!(text.contains("No reassignment of partition 1 of topic t is in progress"), "{text}");

    // What nobody else could have stays; what others can have goes.
    cluster(&at, &["reassign", "t/2", "--to", "1,2,3,4", "--wait"]);
    let text = refused(&at, &["decommission", "4"]);
    assert!(text.contains("add a node"), "{text}");
    assert_eq!(cluster(&at, &["decommission", "4", "--progress"])["state"], "stays");
    cluster(&at, &["reassign", "t/2", "--to", "4,2,3", "--wait"]);
    let departed = cluster(&at, &["decommission", "4", "--wait"]);
    assert_eq!((&departed["state"], &departed["partitions"]), (&json!("left"), &json!(0)));
    let left = cluster(&at, &["nodes"]);
    let ids: Vec<&Value> = left.as_array().unwrap().iter().map(|node| &node["node"]).collect();
    assert_eq!(ids, [&json!(1), &json!(2), &json!(3)]);

    let three = addresses.kafka[..3].join(",");
    let read = good(&three, &["consume", "t", "-e", "--quiet"], b"");
    let mut read: Vec<&str> = read.lines().collect();
    let mut written: Vec<&str> = lines.lines().collect();
    read.sort_unstable();
    written.sort_unstable();
    assert!(read == written, "{} records of {}", read.len(), written.len());
}
