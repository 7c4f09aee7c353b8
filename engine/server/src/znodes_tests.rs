use super::*;
use crate::metrics::render;

#[test]
fn metrics_have_zookeepers_names() {
    let facts = Facts { is_serving: true, znodes: 7, files: Some((70, 1_024)), ..Facts::default() };
    let text = render(&of(&facts));
    for line in [
        "# TYPE znode_count gauge",
        "znode_count 7",
        "avg_latency 0",
        "open_file_descriptor_count 70",
        "max_client_response_size -1",
    ] {
        assert!(text.lines().any(|other| other == line), "no {line:?} in {text}");
    }
}

#[test]
fn a_server_that_has_not_started_answers_commands_with_an_error() {
    let commands = commands(vec![Counters::default()]);
    assert!(commands("ruok", "").contains("not currently serving requests"));
    assert!(commands("nope", "").contains("Unknown command: nope"));
    assert!(samples(&[Counters::default()]).is_empty());
}
