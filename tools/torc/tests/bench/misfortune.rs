//! What goes wrong while something is measured must be seen in everything that is left of it: the exit code, the text,
//! the JSON, the files. The same against torc and, where a JDK and Maven are (`--ignored`), against Apache Kafka.

use crate::broker::Server;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const LONG: [&str; 4] = ["--warmup", "0s", "--duration", "10m"];
const MODES: [&str; 3] = ["produce", "consume", "e2e"];

fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every latency and rate of a report.
fn figures(report: &Value) -> Vec<&Value> {
    let percentiles = report["latency"]["percentiles"].as_array().unwrap().iter().map(|point| &point["ns"]);
    let others = ["requests_per_s", "records_per_s", "megabytes_per_s", "longest_stall_ns"].map(|key| &report[key]);
    let latency = ["mean_ns", "max_ns"].map(|key| &report["latency"][key]);
    percentiles.chain(others).chain(latency).collect()
}

/// A result that is none has no figures.
fn assert_no_figures(report: &Value, because: &str) {
    assert_eq!((&report["outcome"], &report["requests"]), (&"none".into(), &0.into()), "{report}");
    assert!(report["why"].as_str().unwrap().contains(because), "{report}");
    assert!(figures(report).iter().all(|figure| figure.is_null()), "{report}");
    assert_eq!(report["curve"].as_array().unwrap().len(), 0);
    assert!(report["environment"]["kernel"].as_str().unwrap().starts_with("Linux "), "{report}");
}

/// What a run that was broken off leaves: figures of the time until then, none of them 0.
fn assert_partial(output: &Output, code: i32, because: &str) {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(code), "{report} {}", text(&output.stderr));
    assert_eq!(report["outcome"], "partial", "{report}");
    assert!(report["why"].as_str().unwrap().contains(because), "{report}");
    assert!(report["requests"].as_u64().unwrap() > 0);
    assert!(figures(&report).iter().all(|figure| figure.is_null() || figure.as_f64().unwrap() > 0.0), "{report}");
    assert!(text(&output.stderr).contains(because), "{}", text(&output.stderr));
}

/// Starts a load that goes on and on, and waits until some of it is answered.
fn load(server: &Server, mode: &str, more: &[&str]) -> std::process::Child {
    let topic = format!("going-{mode}");
    if mode == "consume" {
        server.bench("produce", &["--topic", &topic, "--requests", "100", "--warmup", "0s"]);
    }
    let endless: &[&str] = if mode == "consume" { &["--repeat"] } else { &[] };
    let arguments = [&LONG[..], &["--format", "json", "--topic", &topic], endless, more].concat();
    let child = server.command(mode, &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    server.await_records(&topic);
    // Of consumers nothing is seen from outside: they have read their few records many times over by then.
    std::thread::sleep(std::time::Duration::from_secs(1));
    child
}

fn a_server_that_is_killed(start: fn(&Path) -> Server) {
    for mode in MODES {
        let dir = directory();
        let mut server = start(dir.path());
        let child = load(&server, mode, &[]);
        server.kill();
        assert_partial(&child.wait_with_output().unwrap(), 1, "every connection was lost");
    }
}

fn a_run_that_is_interrupted(start: fn(&Path) -> Server) {
    let dir = directory();
    let server = start(dir.path());
    for (mode, signal, code, because) in
        [("produce", "INT", 130, "Ctrl-C"), ("consume", "INT", 130, "Ctrl-C"), ("e2e", "TERM", 143, "SIGTERM")]
    {
        let json = dir.path().join(format!("{mode}.json"));
        let child = load(&server, mode, &["--json", json.to_str().unwrap()]);
        let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let output = child.wait_with_output().unwrap();
        assert_partial(&output, code, because);
        assert_eq!(std::fs::read(json).unwrap(), output.stdout, "the file has the same report");
    }
}

fn requests_that_are_refused(server: &Server) {
    let dir = directory();
    let topic = ["create", "small", "--config", "max.message.bytes=200"];
    assert!(server.topic(&topic).status.success(), "{}", text(&server.topic(&topic).stderr));
    let files = ["x.hgrm", "x.hlog"].map(|name| dir.path().join(name).to_str().unwrap().to_string());
    let refused = ["--topic", "small", "--record-size", "5000", "--warmup", "0s", "--duration", "300ms"];
    let files_too = ["--hgrm", &files[0], "--hlog", &files[1]];
    for mode in ["produce", "e2e"] {
        let json = server.command(mode, &[&refused[..], &files_too, &["--format", "json"]].concat()).output().unwrap();
        assert_eq!(json.status.code(), Some(1));
        assert_no_figures(&serde_json::from_slice(&json.stdout).unwrap(), "MESSAGE_TOO_LARGE");
        let plain = server.command(mode, &refused).output().unwrap();
        assert_eq!(plain.status.code(), Some(1));
        let said = text(&plain.stdout);
        assert!(said.contains("NO RESULT   nothing was measured"), "{said}");
        let row =
            |name: &str| said.lines().find(|line| line.trim_start().starts_with(name)).unwrap().trim_end().to_string();
        assert!(["p50", "p99.9", "max", "mean"].iter().all(|name| row(name).ends_with(" -")), "{said}");
        assert!(row("requests").ends_with("0 (-/s)"), "{said}");
        for file in &files {
            let text = std::fs::read_to_string(file).unwrap();
            assert!(text.contains("#[NO RESULT: nothing was measured"), "{text}");
            let data =
                |line: &&str| line.starts_with(|c: char| c.is_ascii_digit() || c == ' ') && !line.contains("Value");
            assert_eq!(text.lines().find(data), None, "{text}");
        }
    }
}

fn a_topic_that_is_deleted(server: &Server) {
    for mode in MODES {
        // Nobody tells when a run has had its first answer: where the topic went before that, it is done again with more time.
        let report = [1, 4, 10].into_iter().map(|seconds| deleted_after(server, mode, seconds));
        let report = report.into_iter().find(|report| report["requests"].as_u64() > Some(0));
        let report = report.unwrap_or_else(|| panic!("{mode}: nothing was answered in 10 s"));
        assert!(["failed", "partial"].iter().any(|outcome| report["outcome"] == *outcome), "{report}");
    }
}

/// A run whose topic is deleted so many seconds after there are records in it.
fn deleted_after(server: &Server, mode: &str, seconds: u64) -> Value {
    let topic = format!("going-{mode}-{seconds}");
    let dir = directory();
    // It ends by itself: refusals do not end a run.
    let duration = format!("{}s", seconds + 7);
    let short = ["--duration", &duration];
    let endless: &[&str] = if mode == "consume" { &["--repeat"] } else { &[] };
    if mode == "consume" {
        server.bench("produce", &["--topic", &topic, "--requests", "100", "--warmup", "0s"]);
    }
    let json = dir.path().join("x.json");
    let files = ["--topic", &topic, "--warmup", "0s", "--json", json.to_str().unwrap()];
    let mut command = server.command(mode, &[&short[..], &files, endless].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    server.await_records(&topic);
    std::thread::sleep(std::time::Duration::from_secs(seconds));
    assert!(server.topic(&["delete", "--yes", &topic]).status.success());
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert!(report["errors"].as_object().unwrap().keys().any(|error| error.contains("UNKNOWN_TOPIC")), "{report}");
    assert!(text(&output.stdout).contains("UNKNOWN_TOPIC"), "{}", text(&output.stdout));
    report
}

fn nothing_to_read(server: &Server) {
    assert!(server.topic(&["create", "empty", "--partitions", "3"]).status.success());
    for (topic, because) in [("empty", "is empty"), ("typo", "there is no topic typo")] {
        let dir = directory();
        let json = dir.path().join("x.json");
        std::fs::write(&json, "what an earlier run left").unwrap();
        let arguments = ["--topic", topic, "--format", "json", "--json", json.to_str().unwrap()];
        let output = server.command("consume", &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(because), "{}", text(&output.stderr));
        assert_no_figures(&serde_json::from_slice(&output.stdout).unwrap(), because);
        assert_eq!(std::fs::read(json).unwrap(), output.stdout, "an old result does not stay");
        let plain = server.command("consume", &["--topic", topic]).output().unwrap();
        assert_eq!((plain.status.code(), text(&plain.stdout).as_str()), (Some(1), ""));
    }
    assert!(!text(&server.topic(&["list"]).stdout).contains("typo"), "reading creates no topic");
}

/// Both with defaults, as a newcomer tries it; only shorter.
fn what_was_just_produced_is_consumed(server: &Server) {
    let produced = server.bench("produce", &["--warmup", "200ms", "--duration", "500ms"]);
    assert_eq!(produced["outcome"], "complete");
    let read = server.bench("consume", &["--verify"]);
    assert!(read["requests"].as_u64().unwrap() > 0, "warming up leaves something to measure: {read}");
    // Everything once, however often it was read before that.
    let verdict = &read["verdict"];
    assert!(read["records"] == verdict["read"] && verdict["plain"] == verdict["read"], "{read}");
    assert_eq!((&verdict["foreign"], &verdict["damaged"]), (&0.into(), &0.into()), "{read}");
    let last = server.bench("consume", &["--last", "10", "--warmup", "300ms"]);
    assert_eq!(last["records"], 10, "{last}");
    assert!(last["latency"]["percentiles"][5]["ns"].is_null(), "a request or two have no p99.9: {last}");
}

#[test]
fn torc_a_killed_server_leaves_a_partial_report() {
    a_server_that_is_killed(Server::torc);
}

#[test]
fn torc_ctrl_c_leaves_a_partial_report() {
    a_run_that_is_interrupted(Server::torc);
}

#[test]
fn torc_refused_deleted_empty_and_missing_topics_are_said() {
    let dir = directory();
    everything_about_topics(&Server::torc(dir.path()));
}

fn everything_about_topics(server: &Server) {
    requests_that_are_refused(server);
    nothing_to_read(server);
    what_was_just_produced_is_consumed(server);
    a_topic_that_is_deleted(server);
}

/// Takes a JDK, Maven and some minutes: only with TORC_TEST_KAFKA=1.
#[test]
fn kafka_is_measured_with_the_same_care() {
    if std::env::var_os("TORC_TEST_KAFKA").is_none_or(|value| value != "1") {
        return println!("left out: TORC_TEST_KAFKA is not 1");
    }
    a_server_that_is_killed(Server::kafka);
    a_run_that_is_interrupted(Server::kafka);
    let dir = directory();
    everything_about_topics(&Server::kafka(dir.path()));
}

#[test]
fn a_result_that_cannot_be_kept_is_said_and_still_printed() {
    let dir = directory();
    let server = Server::torc(dir.path());
    let short = ["--warmup", "0s", "--duration", "100ms"];
    for option in ["--json", "--hgrm", "--hlog"] {
        // A full disk.
        let output = server.command("produce", &[&short[..], &[option, "/dev/full"]].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{option}");
        assert!(text(&output.stderr).contains("writing /dev/full: No space left"), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("p50 "), "the report is printed: {}", text(&output.stdout));
        // No such directory: found before anybody is asked for anything.
        let nowhere = dir.path().join("none/x");
        let mut command = Command::new(env!("CARGO_BIN_EXE_torc"));
        command.args(["bench", "produce", "--bootstrap-server", "127.0.0.1:1", option]).arg(&nowhere);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("none/x for the result"), "{}", text(&output.stderr));
    }
    let unmade = dir.path().join("unmade.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_torc"));
    let output = command.args(["bench", "compare", "/dev/null", "--time-svg"]).arg(&unmade).output().unwrap();
    assert!(!output.status.success() && !unmade.exists());
}

#[test]
fn who_reads_only_the_beginning_of_a_report_is_no_error() {
    let dir = directory();
    let server = Server::torc(dir.path());
    let mut command = server.command("produce", &["--warmup", "0s", "--duration", "100ms"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
}

/// A scenario of two runs, with its files.
fn scenario(dir: &Path, duration: &str) -> Command {
    let text = format!(
        "title = \"T\"\n[defaults]\nwarmup = \"0s\"\nduration = \"{duration}\"\n[[target]]\nname = \"torc\"\n\
         serve = \"{{torc}} serve --shards 1 --data-dir {{dir}}/torc --kafka 127.0.0.1:{port} --metrics none\"\n\
         options = {{ bootstrap-server = \"127.0.0.1:{port}\" }}\n\
         [[run]]\nname = \"first\"\nmode = \"produce\"\n[[run]]\nname = \"second\"\nmode = \"consume\"\n",
        port = crate::free_port()
    );
    std::fs::write(dir.join("s.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_torc"));
    command.args(["bench", "run", "--quiet"]).arg(dir.join("s.toml")).arg("--out").arg(dir.join("out"));
    command.arg("--dir").arg(dir.join("data")).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_scenario_goes_on_behind_a_run_that_fails_and_says_so() {
    let dir = directory();
    // The second reads a topic of its own, which is not there.
    let output = scenario(dir.path(), "200ms").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("second, torc, repetition 1: there is no topic"), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("NO RESULT: there is no topic"), "{said}");
    let report: Value = serde_json::from_slice(&std::fs::read(dir.path().join("out/report.json")).unwrap()).unwrap();
    assert!(report["sections"][0]["lines"][0]["figures"]["rate"]["median"].as_f64().unwrap() > 0.0, "{report}");
    assert_eq!(report["sections"][1]["lines"][0]["figures"].as_object().unwrap().len(), 0, "{report}");
    let html = std::fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert!(html.contains("class=\"banner\">FAILED: second, torc"), "{html}");
}

#[test]
fn ctrl_c_ends_a_scenario_with_a_partial_report() {
    let dir = directory();
    let child = scenario(dir.path(), "10m").spawn().unwrap();
    let started = dir.path().join("data/torc");
    while !started.exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("PARTIAL: interrupted by Ctrl-C after 0 of 2 runs"),
        "{}",
        text(&output.stdout)
    );
    let report: Value = serde_json::from_slice(&std::fs::read(dir.path().join("out/report.json")).unwrap()).unwrap();
    assert!(report["interrupted"].as_str().unwrap().contains("Ctrl-C"), "{report}");
}

#[test]
fn a_scenarios_report_that_does_not_fit_the_disk_is_said() {
    let dir = directory();
    std::fs::create_dir(dir.path().join("out")).unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.path().join("out/report.html")).unwrap();
    let output = scenario(dir.path(), "200ms").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("out/report.html: No space left on device"), "{said}");
    assert!(dir.path().join("out/report.md").exists(), "the others are written");
    let nowhere = Command::new(env!("CARGO_BIN_EXE_torc"))
        .args(["bench", "run", "--out", "/dev/null/x"])
        .arg(dir.path().join("s.toml"))
        .output()
        .unwrap();
    assert!(!nowhere.status.success() && text(&nowhere.stderr).contains("/dev/null/x"), "{}", text(&nowhere.stderr));
}

#[test]
fn no_option_is_offered_that_is_refused() {
    let help = |mode: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_torc")).args(["bench", mode, "--help"]).output().unwrap();
        text(&output.stdout)
    };
    assert!(help("produce").contains("--rate <") && help("e2e").contains("--rate <"));
    for mode in ["consume", "sweep"] {
        assert!(!help(mode).contains("--rate <") && !help(mode).contains("--linger"), "{mode}");
    }
    assert!(!help("consume").contains("created if"), "{}", help("consume"));
}
