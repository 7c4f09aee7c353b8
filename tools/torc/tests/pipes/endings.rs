//! How the commands end: what is refused, who goes away, signals, a server that dies.

use crate::{Pipes, said};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Output};
use std::time::{Duration, Instant};

/// Longer than anything takes that is waited for on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn end_by(child: Child, signal: Signal) -> Output {
    kill_process(Pid::from_child(&child), signal).unwrap();
    child.wait_with_output().unwrap()
}

/// Waits until so many records are in a topic.
pub fn await_records(pipes: &Pipes, topic: &str, count: usize) {
    let began = Instant::now();
    while pipes.records(topic).len() < count {
        assert!(began.elapsed() < PATIENCE, "they do not come");
    }
}

#[test]
fn a_typing_error_makes_no_topic_and_says_what_there_is() {
    let pipes = Pipes::start();
    let why = pipes.bad(1, "produce orders", b"x\n");
    assert!(why.contains("there are no topics yet") && why.contains("--create"), "{why}");
    pipes.topic("orders", "");
    for line in ["produce ordrs", "consume ordrs -e"] {
        let why = pipes.bad(1, line, b"x\n");
        assert!(why.contains("there is no topic ordrs; did you mean orders?"), "{why}");
    }
    let why = pipes.bad(1, "produce elsewhere", b"x\n");
    assert!(why.contains("there are: orders") && why.contains("0 records sent"), "{why}");
    pipes.good("produce made --create", b"x\n");
    pipes.good("produce made --create", b"y\n");
    assert_eq!(pipes.text("consume made -e"), "x\ny\n");
    for wrong in
        ["-f json -k x", "--keep-partitions", "-f hex --null x", "-H nothing", "--acks 2", "-p x", "--whole -D x"]
    {
        pipes.bad(2, &format!("produce orders {wrong}"), b"");
    }
    assert_eq!(pipes.text("consume orders -e"), "", "nothing was written by mistake");
}

#[test]
fn what_is_refused_is_named_by_its_line_and_what_was_sent_is_counted() {
    let pipes = Pipes::start();
    pipes.topic("small", "--config max.message.bytes=2000");
    let why = pipes.bad(1, "produce small", format!("a\nb\n{}\nc\n", "x".repeat(3_000)).as_bytes());
    assert!(why.contains("line 3: it is longer than 2000 bytes") && why.contains("2 records sent"), "{why}");
    assert_eq!(pipes.text("consume small -e"), "a\nb\n");
    // It fits into a line, but not into a batch.
    let why = pipes.bad(1, "produce small", "x".repeat(1_990).as_bytes());
    assert!(why.contains("line 1: ") && why.contains("MESSAGE_TOO_LARGE") && why.contains("0 records"), "{why}");
    // Many small ones make several batches.
    let lines: String = (0..100).map(|n| format!("{n}-{}\n", "y".repeat(90))).collect();
    pipes.good("produce small", lines.as_bytes());
    assert_eq!(pipes.text("consume small -e --last 100"), lines);

    let far = "{\"value\":\"1\"}\n{\"value\":\"2\",\"timestamp\":99999999999999}\n{\"value\":\"3\"}\n";
    let why = pipes.bad(1, "produce small --format json", far.as_bytes());
    assert!(why.contains("line 2: ") && why.contains("INVALID_TIMESTAMP") && why.contains("1 record sent"), "{why}");
    let why = pipes.bad(1, "produce small --format json", b"{\"value\":\"1\"}\n{\"velue\":\"2\"}\n");
    assert!(why.contains("line 2: ") && why.contains("velue") && why.contains("1 record sent"), "{why}");
}

#[test]
fn a_batch_that_has_become_too_large_is_sent_in_parts() {
    let pipes = Pipes::start();
    pipes.topic("t", "");
    let mut child = pipes.spawn("produce t");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"first\n").unwrap();
    await_records(&pipes, "t", 1);
    let mut alter = crate::torc(&["topic", "alter", "t", "--config", "max.message.bytes=1000"]);
    assert!(alter.args(["--bootstrap-server", pipes.kafka()]).status().unwrap().success());
    let lines: String = (0..50).map(|n| format!("{n}-{}\n", "y".repeat(90))).collect();
    stdin.write_all(lines.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(pipes.text("consume t -e"), format!("first\n{lines}"), "none is missing, doubled or out of order");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let pipes = Pipes::start();
    pipes.topic("t", "");
    pipes.good("produce t", b"first\n");
    // No further record comes: it must notice all the same.
    let mut child = pipes.spawn("consume t");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "first\n");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), said(&output)), (Some(0), String::new()));
    // And in the middle of much.
    pipes.good("produce t", "many\n".repeat(200_000).as_bytes());
    let mut child = pipes.spawn("consume t -e");
    child.stdout.take().unwrap().read_exact(&mut [0; 9]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), said(&output)), (Some(0), String::new()));
}

#[test]
fn signals_end_it_in_order() {
    let pipes = Pipes::start();
    pipes.topic("t", "");
    let mut child = pipes.spawn("produce t");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"a\nb\nno end").unwrap();
    await_records(&pipes, "t", 2);
    let output = end_by(child, Signal::INT);
    assert!(output.status.code() == Some(130) && said(&output).contains("2 records sent"), "{}", said(&output));
    // For ever means until somebody ends it; N records mean N.
    for (line, signal, code) in
        [("consume t", Signal::INT, 0), ("consume t", Signal::TERM, 0), ("consume t -n 9", Signal::INT, 130)]
    {
        let mut child = pipes.spawn(line);
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut two = [0; 4];
        out.read_exact(&mut two).unwrap();
        let output = end_by(child, signal);
        assert_eq!((output.status.code(), &two), (Some(code), b"a\nb\n"), "{line}: {}", said(&output));
        assert!(said(&output).contains("2 records read"), "{}", said(&output));
    }
}

#[test]
fn a_server_that_dies_is_said_with_what_was_done_before() {
    let mut pipes = Pipes::start();
    pipes.topic("t", "");
    let mut producer = pipes.spawn("produce t --timeout 300ms");
    producer.stdin.as_mut().unwrap().write_all(b"a\n").unwrap();
    await_records(&pipes, "t", 1);
    let mut consumer = pipes.spawn("consume t --timeout 300ms");
    let mut out = consumer.stdout.take().unwrap();
    out.read_exact(&mut [0; 2]).unwrap();
    pipes.server.child.kill().unwrap();
    pipes.server.child.wait().unwrap();
    producer.stdin.as_mut().unwrap().write_all(b"b\n").unwrap();
    for (child, done) in [(producer, "1 record sent"), (consumer, "1 record read")] {
        let output = child.wait_with_output().unwrap();
        let why = said(&output);
        assert!(
            output.status.code() == Some(1) && why.contains("tried again for 0.3 s") && why.contains(done),
            "{why}"
        );
    }
    let why = pipes.bad(1, "consume t", b"");
    assert!(why.contains("cannot connect to"), "{why}");
}
