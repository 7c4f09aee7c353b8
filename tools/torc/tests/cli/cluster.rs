//! `torc cluster` against a single server.

use crate::support::{Server, torc};
use rustix::process::Signal;
use serde_json::{Value, json};

fn cluster(address: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let output = torc(&[&["cluster", "--bootstrap-server", address], args].concat()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn told(address: &str, args: &[&str]) -> Value {
    let (code, out, err) = cluster(address, &[args, &["--format", "json"]].concat());
    assert_eq!(code, Some(0), "{args:?}: {err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn a_single_server_is_a_cluster_that_is_well() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--shards", "2", "--node-id", "4"]);
    let address = server.said("kafka").to_string();
    assert_eq!(
        torc(&["topic", "create", "t", "--partitions", "3", "--bootstrap-server", &address]).status().unwrap().code(),
        Some(0)
    );
    let status = told(&address, &["status"]);
    assert_eq!(
        (&status["controller"], &status["nodes_answering"], &status["partitions_led"]),
        (&json!(4), &json!(1), &json!(3))
    );
    let nodes = told(&address, &["nodes"]);
    assert_eq!((&nodes[0]["node"], &nodes[0]["state"], &nodes[0]["leads"]), (&json!(4), &json!("answers"), &json!(3)));
    let partitions = told(&address, &["partitions", "t*"]);
    assert_eq!(partitions.as_array().unwrap().len(), 3);
    assert_eq!((&partitions[1]["replicas"], &partitions[1]["in_sync"]), (&json!([4]), &json!([4])));
    assert_eq!(told(&address, &["partitions", "--lacking"]), json!([]));
    assert_eq!(told(&address, &["health"]), json!({ "healthy": true, "problems": [] }));
    let (code, text, _) = cluster(&address, &["health"]);
    assert!(code == Some(0) && text.starts_with("nothing is wrong: 1 node, 3 partitions"), "{text}");
    let (code, _, text) = cluster(&address, &["partitions", "x"]);
    assert!(code == Some(2) && text.contains("no topic is or matches x"), "{text}");

    assert_eq!(server.stop(Signal::TERM).code(), Some(0));
    let (code, _, text) = cluster(&address, &["health"]);
    assert!(code == Some(1) && text.contains("is a server running there?"), "{text}");
}
