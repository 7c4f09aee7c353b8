//! `torc config`, and servers that start with the files of others.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

fn torc(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_torc")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../engine/server/testdata").join(name)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A server, and what it has said. Killed if a test fails before it is stopped.
struct Server {
    child: Child,
    lines: Vec<String>,
}

impl Server {
    /// Waits until it is ready.
    fn start(args: &[&str]) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_torc"));
        let command =
            command.arg("serve").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut server = Server { child: command.spawn().unwrap(), lines: Vec::new() };
        for line in BufReader::new(server.child.stdout.take().unwrap()).lines() {
            server.lines.push(line.unwrap());
            if server.lines.last().unwrap().starts_with("ready in ") {
                return server;
            }
        }
        let mut said = String::new();
        server.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        panic!("{args:?} does not start: {said}");
    }

    /// Stops it; what it has logged.
    fn stop(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{log}");
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn check_says_of_each_line_what_becomes_of_it() {
    let file = testdata("kafka/server-4.3.properties");
    let file = file.to_str().unwrap();
    let output = torc(&["config", "check", file]);
    let table = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(table.ends_with(&format!("{file}: torc starts with it\n")), "{table}");
    for line in ["listeners works", "num.io.threads replaced by torc.shards", "process.roles ignored"] {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(table.lines().any(|row| words(row).contains(line)), "no {line:?} in {table}");
    }
    let output = torc(&["config", "check", file, "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let settings = fs::read_to_string(file).unwrap().lines().filter(|line| line.contains('=')).count();
    assert_eq!((&json["starts"], json["lines"].as_array().unwrap().len()), (&true.into(), settings));
    for row in json["lines"].as_array().unwrap() {
        assert!(row["fate"] == "works" || row["why"].is_string(), "{row}");
    }
}

#[test]
fn check_fails_where_a_start_would_and_keeps_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.properties");
    fs::write(&file, "num.partitions=0\nssl.keystore.password=hunter2\nsasl.jaas.config=hunter2\nnum.partition=1\n")
        .unwrap();
    for format in ["table", "json"] {
        let output = torc(&["config", "check", file.to_str().unwrap(), "--format", format]);
        assert_eq!(output.status.code(), Some(1));
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(!out.contains("hunter2") && !err.contains("hunter2"), "{out}{err}");
        assert!(err.contains(":1: `num.partitions` cannot be `0`") && err.contains(":2,3: "), "{err}");
        assert!(err.contains(":4: unknown key `num.partition`; the nearest known key is `num.partitions`"), "{err}");
    }
    let missing = torc(&["config", "check", "/no/such/file"]);
    assert!(missing.status.code() == Some(1) && text(&missing.stderr).contains("cannot read the configuration"));
}

#[test]
fn show_tells_where_each_value_comes_from() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.properties");
    fs::write(&file, "# mine\nnum.partitions=12\n").unwrap();
    let file = file.to_str().unwrap();
    let output = torc(&[
        "config",
        "show",
        "--config",
        file,
        "--set",
        "log.retention.ms=2d",
        "--kafka",
        ":19092",
        "--format",
        "json",
    ]);
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for (key, value, from) in [
        ("num.partitions", Some("12"), format!("{file}:2")),
        ("log.retention.ms", Some("172800000"), "--set".to_string()),
        ("listeners", Some("PLAINTEXT://:19092"), "--kafka".to_string()),
        ("message.max.bytes", Some("1048588"), "default".to_string()),
        ("torc.shards", None, "decided at the start".to_string()),
    ] {
        let row = rows.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("no {key}"));
        assert_eq!((row["value"].as_str(), row["from"].as_str()), (value, Some(from.as_str())), "{key}");
    }
    let table = text(&torc(&["config", "show", "--config", file]).stdout);
    assert!(
        table.lines().any(|line| line.starts_with("num.partitions") && line.ends_with(&format!("{file}:2"))),
        "{table}"
    );
}

#[test]
fn the_files_of_kafka_and_of_images_start_torc() {
    for name in [
        "kafka/server-2.8",
        "kafka/kraft-broker-2.8",
        "kafka/server-3.9",
        "kafka/kraft-broker-3.9",
        "kafka/server-4.3",
        "kafka/broker-4.3",
        "published/tutorial-zookeeper",
        "published/bitnami-image",
        "published/confluent-image",
        "published/apache-image",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = testdata(&format!("{name}.properties"));
        let data = dir.path().join("data");
        let server = Server::start(&[
            "--config",
            file.to_str().unwrap(),
            "--kafka",
            "127.0.0.1:0",
            "--metrics",
            "none",
            "--shards",
            "1",
            "--data-dir",
            data.to_str().unwrap(),
        ]);
        let log = server.stop();
        assert!(log.contains("ignored ("), "{name} does not say what is left out: {log}");
        assert!(!log.contains("ERROR"), "{name}: {log}");
    }
}

#[test]
fn clients_of_each_listener_reach_the_server_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.properties");
    // Each address is reached only by its own name: a wrong one in the answer, and the command fails.
    let settings = "listeners=INSIDE://127.0.0.1:0,CONTROLLER://127.0.0.1:0,OUTSIDE://127.0.0.2:0\n\
                    advertised.listeners=OUTSIDE://127.0.0.2:0\ncontroller.listener.names=CONTROLLER\n\
                    listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT,CONTROLLER:SSL\n\
                    inter.broker.listener.name=INSIDE\ntorc.metrics.listen=none\n";
    fs::write(&file, format!("{settings}log.dirs={}\n", dir.path().join("data").display())).unwrap();
    let server = Server::start(&["--config", file.to_str().unwrap(), "--shards", "2"]);
    let kafka: Vec<String> =
        server.lines.iter().filter_map(|line| line.strip_prefix("kafka ")).map(String::from).collect();
    assert_eq!(kafka.len(), 2, "{:?}", server.lines);
    assert!(kafka[0].ends_with(" (INSIDE)") && kafka[1].ends_with(" (OUTSIDE)"), "{kafka:?}");
    for (n, kafka) in kafka.iter().enumerate() {
        let address = kafka.split(' ').next().unwrap();
        let topic = format!("t{n}");
        for command in ["create", "describe"] {
            let output = torc(&["topic", "--bootstrap-server", address, command, &topic]);
            assert!(output.status.success(), "{address}: {}", text(&output.stderr));
        }
    }
    server.stop();
}
