use super::file::{RelativeRate, Scenario};

const TWO: &str = r#"
title = "T"
repeat = 3
before = "sync"
[defaults]
warmup = "1s"
topic = "all"
[[target]]
name = "a"
options = { bootstrap-server = "127.0.0.1:1" }
[[target]]
name = "b"
serve = "serve b"
data = "{dir}/b"
options = { bootstrap-server = "127.0.0.1:2", topic-config = "flush.messages=1" }
[[run]]
name = "peak"
mode = "produce"
[[run]]
name = "half"
mode = "produce"
targets = ["b"]
rate = { part = 0.5, of = "peak", target = "a" }
space = { reserve = "1MiB" }
settle = { metrics = "127.0.0.1:3", prefix = "x_", for = "2s", timeout = "1m", at-least = { x_total = 1 } }
connections = 4
[[run.also]]
name = "slow"
rate = 10
topic-config = ["retention.ms=-1"]
[[run]]
name = "again"
mode = "restart"
targets = ["b"]
[[run]]
name = "read"
mode = "consume"
needs = ["half"]
"#;

fn refused(from: &str, to: &str) -> String {
    assert!(TWO.contains(from));
    Scenario::parse(&TWO.replacen(from, to, 1)).unwrap_err()
}

fn line(scenario: &Scenario, run: usize, also: bool, rate: f64) -> String {
    let (run, target) = (&scenario.runs[run], scenario.target("b").unwrap());
    let also = also.then(|| &run.also[0]);
    scenario.arguments(run, also, target, &|_: &RelativeRate| Ok(rate)).unwrap().join(" ")
}

#[test]
fn a_command_line_follows_from_defaults_run_and_target() {
    let scenario = Scenario::parse(TWO).unwrap();
    let peak = line(&scenario, 0, false, 0.0);
    assert_eq!(peak, "--bootstrap-server=127.0.0.1:2 --topic=all-b --topic-config=flush.messages=1 --warmup=1s");
    let half = line(&scenario, 1, false, 801.0);
    assert!(half.contains("--rate=401 ") && half.contains("--connections=4 "), "{half}");
    // Beside it: the run's options and its own, but a topic of its own.
    let slow = line(&scenario, 1, true, 801.0);
    assert!(slow.contains("--rate=10 ") && slow.contains("--connections=4 "), "{slow}");
    assert!(slow.contains("--topic=slow-b "), "{slow}");
}

#[test]
fn what_runs_refer_to_must_be_there() {
    Scenario::parse(TWO).unwrap();
    assert!(refused("of = \"peak\"", "of = \"read\"").contains("no run before it"));
    assert!(refused("target = \"a\" }", "target = \"c\" }").contains("no target \"c\""));
    assert!(refused("part = 0.5", "share = 0.5").contains("share"));
    assert!(refused("needs = [\"half\"]", "needs = [\"whole\"]").contains("\"whole\""));
    assert!(refused("data = \"{dir}/b\"\n", "").contains("where its data is"));
    assert!(refused("serve = \"serve b\"\n", "").contains("how it is started"));
    assert!(refused("name = \"read\"", "name = \"slow\"").contains("two runs"));
    assert!(refused("for = \"2s\"", "for = \"two\"").contains("\"two\""));
    assert!(refused("1MiB", "1MoB").contains("1MoB"));
    assert!(refused("mode = \"restart\"", "mode = \"restart\"\nconnections = 3").contains("no option connections"));
    assert!(refused("rate = 10", "reat = 10").contains("\"slow\""));
}

#[test]
fn runs_that_others_need_are_kept() {
    let kept = |text: &str| {
        let mut scenario = Scenario::parse(TWO).unwrap();
        scenario.retain_runs(text);
        scenario.runs.iter().map(|run| run.name.clone()).collect::<Vec<String>>()
    };
    // It reads what half writes, whose rate is part of the peak.
    assert_eq!(kept("read"), ["peak", "half", "read"]);
    assert_eq!(kept("peak"), ["peak"]);
    assert_eq!(kept("again"), ["again"]);
    assert!(kept("nothing").is_empty());
}
