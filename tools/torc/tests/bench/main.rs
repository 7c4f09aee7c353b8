//! The load generator against the server that it ships with: everything written is there, and is counted.

mod broker;
mod cluster;
mod misfortune;

use broker::Server;
use serde_json::Value;
use std::process::Command;

fn assert_good(report: &Value) {
    assert!(report["requests"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["errors"].as_object().unwrap().len(), 0, "{report}");
    let verdict = &report["verdict"];
    for fault in ["missing", "wrong", "damaged", "damaged_batches", "disordered", "unacknowledged", "foreign"] {
        assert_eq!(verdict[fault], 0, "{fault}: {verdict}");
    }
    assert_eq!(verdict["read"], verdict["acknowledged"]);
}

const SHORT: [&str; 4] = ["--warmup", "0s", "--duration", "200ms"];

#[test]
fn what_is_produced_can_be_read_back() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let server = Server::torc(dir.path());
    let produce = |more: &str| {
        let more: Vec<&str> = more.split_whitespace().collect();
        assert_good(&server.bench("produce", &[&SHORT[..], &["--verify"], &more].concat()));
    };
    produce("--topic small --partitions 3 --connections 4 --outstanding 5 --records 3 --idempotence");
    produce("--topic zipped --connections 2 --records 20 --codec zstd --keys 10 --idempotence");
    produce("--topic sized --record-size 24..400:9,50KiB:1 --outstanding 4");
    produce("--topic large --record-size 1000 --batch-bytes 900KB --outstanding 2 --partitions 2");
    produce("--topic paced --connections 3 --rate 3000 --records 10 --linger 5ms");

    let read = server.bench("consume", &["--topic", "large", "--partitions", "2", "--verify", "--warmup", "0s"]);
    assert!(read["records"].as_u64().unwrap() > 0 && read["verdict"]["damaged"] == 0, "{read}");
}

#[test]
fn records_arrive_at_consumers_once() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let server = Server::torc(dir.path());
    let arguments = ["--partitions", "2", "--connections", "2", "--consumers", "2", "--rate", "500"];
    let report = server.bench("e2e", &[&SHORT[..], &arguments].concat());
    assert_eq!(report["errors"].as_object().unwrap().len(), 0, "{report}");
    // 500 a second for 0.2 s or a little more, as the machine allows; no record twice.
    let requests = report["requests"].as_f64().unwrap();
    assert!(requests >= 95.0 && requests <= 500.0 * report["elapsed_s"].as_f64().unwrap() + 2.0, "{report}");
}

/// A port that nobody has now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Everything that a scenario can ask for, in runs of a moment.
const SCENARIO: &str = r#"
title = "All at once"
before = "echo before >> {dir}/hooks"
[defaults]
warmup = "100ms"
duration = "300ms"
[[target]]
name = "torc"
serve = "{torc} serve --shards 1 --data-dir {dir}/torc --kafka 127.0.0.1:PORT --metrics 127.0.0.1:METRICS"
data = "{dir}/torc"
options = { bootstrap-server = "127.0.0.1:PORT" }
[[target]]
name = "fresh"
serve = "{torc} serve --shards 1 --data-dir {dir}/fresh --kafka 127.0.0.1:FRESH --metrics none"
fresh = "rm -rf {dir}/fresh; echo fresh >> {dir}/hooks"
options = { bootstrap-server = "127.0.0.1:FRESH" }
[[run]]
name = "peak"
mode = "produce"
fresh-topic = true
connections = 2
[[run]]
name = "half"
mode = "produce"
targets = ["torc"]
rate = { part = 0.5, of = "peak", target = "torc" }
settle = { metrics = "127.0.0.1:METRICS", prefix = "torc_groups", for = "10ms", timeout = "1m" }
space = { reserve = "1MiB" }
topic-config = "retention.bytes=1000"
[[run.also]]
name = "beside"
rate = 100
[[run]]
name = "verified"
mode = "produce"
targets = ["torc"]
verify = true
[[run]]
name = "again"
mode = "restart"
targets = ["torc"]
[[check]]
what = "met"
figure = "faults"
run = "verified"
target = "torc"
at-most = 0
[[check]]
what = "not met"
figure = "ready"
run = "again"
target = "torc"
at-most = "1us"
"#;

#[test]
fn a_scenario_goes_from_start_to_report() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = dir.path().join("scenario.toml");
    let text = ["PORT", "METRICS", "FRESH"]
        .iter()
        .fold(SCENARIO.to_string(), |text, name| text.replace(name, &free_port().to_string()));
    std::fs::write(&file, text).unwrap();
    let (out, data) = (dir.path().join("out"), dir.path().join("data"));
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_torc"));
        command.args(["bench", "run", "--quiet"]).arg(&file).arg("--out").arg(&out);
        command.arg("--dir").arg(&data).args(more).output().unwrap()
    };
    let output = run(&["--repeat", "2"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("1 of 2 checks is met, 1 is not."), "{said}");

    let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    let lines: Vec<&Value> =
        report["sections"].as_array().unwrap().iter().flat_map(|s| s["lines"].as_array().unwrap()).collect();
    let of = |run: &str, target: &str| {
        let line = lines.iter().find(|line| line["run"] == run && line["target"] == target);
        &line.unwrap_or_else(|| panic!("{run}, {target}: {report}"))["figures"]
    };
    for (run, target) in
        [("peak", "torc"), ("peak", "fresh"), ("half", "torc"), ("beside", "torc"), ("verified", "torc")]
    {
        let figures = of(run, target);
        assert!(figures["rate"]["median"].as_f64().unwrap() > 0.0, "{run}: {figures}");
        assert_eq!(figures["errors"]["most"], 0.0, "{run}: {figures}");
        assert!(figures["resident-max"]["median"].as_f64().unwrap() > 1.0, "the server is watched: {figures}");
    }
    assert!(of("half", "torc")["disk-peak"]["median"].as_f64().unwrap() > 0.0);
    assert!(of("again", "torc")["ready"]["median"].as_f64().unwrap() > 0.0);
    assert!(of("again", "torc")["resident-before"]["median"].as_f64().unwrap() > 1.0);
    let hooks = std::fs::read_to_string(data.join("hooks")).unwrap();
    // Five runs of each repetition, two with a target that is cleaned up before and after.
    assert_eq!((hooks.matches("before").count(), hooks.matches("fresh").count()), (10, 4));
    assert!(!data.join("fresh").exists());
    for name in ["report.md", "summary.md", "report.html", "1-percentiles.svg", "2-space.svg", "2-beside-1-torc-2.json"]
    {
        assert!(out.join(name).exists(), "{name}");
    }

    let strict = run(&["--strict", "--only", "again", "--repeat", "1"]);
    assert!(!strict.status.success());
    let why = String::from_utf8_lossy(&strict.stderr).into_owned();
    assert!(why.contains("--strict: 1 check not met, 1 not measured"), "{why}");
}

#[test]
fn a_run_draws_and_is_compared_by_programs() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let server = Server::torc(dir.path());
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let (out, svg, html) = (path("out"), path("a.svg"), path("a.html"));
    let files = ["--out", &out, "--plot", &svg, "--name", "mine"];
    let first = server.bench("produce", &[&SHORT[..], &files].concat());
    server.bench("produce", &[&SHORT[..], &["--plot", &html, "--json", &path("b.json")]].concat());
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    for name in ["a.svg", "out/percentiles.svg", "out/latency.svg", "out/throughput.svg"] {
        assert!(read(name).starts_with("<svg xmlns") && read(name).contains("<polyline"), "{name}");
    }
    for name in ["a.html", "out/report.html"] {
        assert!(read(name).contains("<svg class") && read(name).contains("Measured with torc "), "{name}");
    }
    assert!(read("out/latency.hgrm").contains("#[Max") && read("out/latency.hlog").contains("HIST"));
    assert_eq!(serde_json::from_str::<Value>(&read("out/report.json")).unwrap(), first);
    let compared = Command::new(env!("CARGO_BIN_EXE_torc"))
        .args(["bench", "compare", "--format", "json", &path("out/report.json"), &path("b.json")])
        .output()
        .unwrap();
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stderr));
    let compared: Value = serde_json::from_slice(&compared.stdout).unwrap();
    let rate = |at: usize| &compared["reports"][at]["figures"]["rate"];
    assert_eq!(compared["reports"][0]["name"], "mine");
    assert!(rate(0)["ratio"].is_null() && rate(1)["ratio"].as_f64().unwrap() > 0.0, "{compared}");
    assert_eq!(rate(0)["value"], first["requests_per_s"]);
    assert!(compared["reports"][0]["figures"]["ready"]["value"].is_null(), "{compared}");
}

#[test]
fn a_sweep_steps_through_rates() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let server = Server::torc(dir.path());
    let html = dir.path().join("s.html");
    let plot = ["--rates", "200,100", "--connections", "2", "--plot", html.to_str().unwrap()];
    let sweep = server.bench("sweep", &[&SHORT[..], &plot].concat());
    let asked: Vec<f64> = sweep["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["asked_records_per_s"].as_f64().unwrap().round())
        .collect();
    // The second is not made if a busy machine did not keep up with the first.
    assert!(asked == [100.0, 200.0] || asked == [100.0], "{asked:?}");
    assert_eq!((&sweep["outcome"], &sweep["peak_records_per_s"]), (&"complete".into(), &Value::Null));
    assert!(std::fs::read_to_string(&html).unwrap().contains("latency against rate"));
    // Without rates they are parts of a peak.
    let sweep = server.bench("sweep", &["--warmup", "0s", "--duration", "1s"]);
    assert!(sweep["peak_records_per_s"].as_f64().unwrap() > 0.0, "{sweep}");
    let gone = Command::new(env!("CARGO_BIN_EXE_torc"))
        .args(["bench", "sweep", "--format", "json", "--bootstrap-server", "127.0.0.1:1"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&gone.stdout).unwrap();
    assert_eq!(
        (gone.status.code(), &report["outcome"], report["steps"].as_array().unwrap().len()),
        (Some(1), &"none".into(), 0)
    );
}
