//! `torc consume --group`: members that come and go.

use crate::{Pipes, said};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

impl Pipes {
    /// What `torc group describe` says of a group.
    fn group(&self, name: &str) -> Value {
        let args = ["group", "describe", name, "--format", "json", "--bootstrap-server", self.kafka()];
        let output = crate::support::torc(&args).output().unwrap();
        // It may not be there yet.
        if said(&output).contains("there are no groups yet") {
            return serde_json::json!({ "members": [] });
        }
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()[0].clone()
    }

    fn write(&self, topic: &str, range: std::ops::Range<i32>) {
        let line = |n: i32| format!("{{\"value\":\"{n}\",\"partition\":{}}}\n", n % 4);
        let lines: String = range.map(line).collect();
        self.good(&format!("produce {topic} --format json --keep-partitions"), lines.as_bytes());
    }

    fn await_members(&self, group: &str, sizes: &[usize]) {
        let began = Instant::now();
        loop {
            let told = self.group(group);
            let members = told["members"].as_array().unwrap();
            let count = |member: &Value| member["assigned"]["t"].as_array().map_or(0, Vec::len);
            let mut have: Vec<usize> = members.iter().map(count).collect();
            have.sort_unstable();
            if told["state"] == "Stable" && have == sizes {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "it does not come to {sizes:?}: {told}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn numbers(text: &str) -> Vec<i32> {
    let mut numbers: Vec<i32> = text.lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

/// A member whose lines are read as they come.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(pipes: &Pipes, line: &str) -> Running {
        let mut child = pipes.spawn(line);
        let out = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
        Running { child, lines }
    }

    /// Asks it to stop; what it has printed in all is what was taken and this.
    fn stop(mut self) -> Vec<i32> {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.lines.iter().map(|line| line.parse().unwrap()).collect()
    }
}

#[test]
fn a_group_goes_on_where_it_was() {
    let pipes = Pipes::start_with(&["--set", "group.initial.rebalance.delay.ms=0"]);
    pipes.topic("t", "--partitions 4");
    pipes.write("t", 0..20);
    let line = "consume t --group g -e --quiet";
    assert_eq!(numbers(&pipes.text(line)), (0..20).collect::<Vec<_>>());
    assert_eq!(pipes.text(line), "", "all is read");
    let told = pipes.group("g");
    assert_eq!((&told["state"], &told["lag"]), (&"Empty".into(), &0.into()), "it has left");
    pipes.write("t", 20..30);
    assert_eq!(pipes.group("g")["lag"], 10);
    let first = numbers(&pipes.text("consume t -g g -n 7 -q"));
    assert_eq!((first.len(), &pipes.group("g")["lag"]), (7, &3.into()), "what was printed is committed, and no more");
    let rest = numbers(&pipes.text(&format!("{line} --assignor cooperative-sticky")));
    assert_eq!(
        numbers(&[first, rest].concat().iter().map(|n| format!("{n}\n")).collect::<String>()),
        (20..30).collect::<Vec<_>>()
    );
    // Where the group has nothing, --from says where it begins, and that is committed too.
    assert_eq!(pipes.text("consume t -g late --from end -e -q"), "");
    pipes.write("t", 30..34);
    assert_eq!(numbers(&pipes.text("consume t -g late --from start -e -q")), (30..34).collect::<Vec<_>>());
    for wrong in
        ["-g g -p 1", "-g g --last 3", "--assignor range", "-g g --assignor sticky", "-g g --session-timeout 1ms"]
    {
        pipes.bad(2, &format!("consume t {wrong}"), b"");
    }
    let why = pipes.bad(1, "consume t -g g -e --session-timeout 2s", b"");
    assert!(why.contains("INVALID_SESSION_TIMEOUT"), "{why}");
}

fn share(assignors: [&str; 2]) {
    let pipes = Pipes::start_with(&["--set", "group.initial.rebalance.delay.ms=0"]);
    pipes.topic("t", "--partitions 4");
    let line = |assignor: &str| format!("consume t -g g -q --assignor {assignor}");
    let one = Running::start(&pipes, &line(assignors[0]));
    pipes.write("t", 0..40);
    let mut read: Vec<i32> = one.lines.iter().take(40).map(|line| line.parse().unwrap()).collect();
    pipes.await_members("g", &[4]);
    let two = Running::start(&pipes, &line(assignors[1]));
    pipes.await_members("g", &[2, 2]);
    pipes.write("t", 40..80);
    let began = Instant::now();
    while read.len() < 80 {
        assert!(began.elapsed() < PATIENCE, "only {} records came", read.len());
        read.extend(one.lines.try_iter().chain(two.lines.try_iter()).map(|line| line.parse::<i32>().unwrap()));
        std::thread::sleep(Duration::from_millis(20));
    }
    // One goes, the other goes on with all.
    read.extend(one.stop());
    pipes.await_members("g", &[4]);
    pipes.write("t", 80..100);
    read.extend(two.lines.iter().take(20).map(|line| line.parse::<i32>().unwrap()));
    read.extend(two.stop());
    read.sort_unstable();
    assert_eq!(read, (0..100).collect::<Vec<_>>(), "members that stop in order read everything once");
    let told = pipes.group("g");
    assert_eq!((&told["state"], &told["lag"]), (&"Empty".into(), &0.into()));
}

#[test]
fn members_share_a_topic_eagerly() {
    share(["range", "range,cooperative-sticky"]);
}

#[test]
fn members_share_a_topic_cooperatively() {
    share(["cooperative-sticky", "cooperative-sticky"]);
}

#[test]
fn members_of_both_kinds_share_a_topic() {
    share(["cooperative-sticky", "range,cooperative-sticky"]);
}

#[test]
fn a_member_that_dies_costs_no_record() {
    let set = ["--set", "group.initial.rebalance.delay.ms=0", "--set", "group.min.session.timeout.ms=1000"];
    let pipes = Pipes::start_with(&set);
    pipes.topic("t", "--partitions 4");
    let line = "consume t -g g -q --session-timeout 3s";
    let mut one = Running::start(&pipes, line);
    let two = Running::start(&pipes, line);
    pipes.await_members("g", &[2, 2]);
    pipes.write("t", 0..40);
    one.child.kill().unwrap();
    one.child.wait().unwrap();
    let mut read: BTreeSet<i32> = one.lines.iter().map(|line| line.parse().unwrap()).collect();
    pipes.await_members("g", &[4]);
    pipes.write("t", 40..80);
    let began = Instant::now();
    while read.len() < 80 {
        assert!(began.elapsed() < PATIENCE, "records are lost: {read:?}");
        read.extend(two.lines.try_iter().map(|line| line.parse::<i32>().unwrap()));
        std::thread::sleep(Duration::from_millis(20));
    }
    two.stop();
}

#[test]
fn a_group_gets_the_partitions_that_a_topic_gets() {
    let pipes = Pipes::start_with(&["--set", "group.initial.rebalance.delay.ms=0"]);
    pipes.topic("t", "--partitions 3");
    let one = Running::start(&pipes, "consume t -g g -q");
    pipes.await_members("g", &[3]);
    let mut alter =
        crate::support::torc(&["topic", "alter", "t", "--partitions", "4", "--bootstrap-server", pipes.kafka()]);
    assert!(alter.output().unwrap().status.success());
    pipes.await_members("g", &[4]);
    pipes.write("t", 0..8);
    assert_eq!(one.lines.iter().take(8).count(), 8);
    one.stop();
}

#[test]
fn who_reads_the_output_may_go() {
    let pipes = Pipes::start_with(&["--set", "group.initial.rebalance.delay.ms=0"]);
    pipes.topic("t", "--partitions 4");
    pipes.write("t", 0..20);
    let mut child = pipes.spawn("consume t -g g -q");
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.code() == Some(0) && output.stderr.is_empty(), "{}", said(&output));
    assert_eq!(pipes.group("g")["members"], serde_json::json!([]), "it has left");
}
