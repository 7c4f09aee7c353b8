//! The load generator against the server that it ships with: everything written is there, and is counted.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server, killed when it goes out of scope.
struct Server {
    child: Child,
    kafka: String,
}

impl Server {
    fn start(data: &Path) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_torc"))
            .args(["serve", "--shards", "2", "--kafka", "127.0.0.1:0", "--metrics", "none", "--data-dir"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut kafka = None;
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix("kafka ") {
                kafka = Some(address.trim().to_string());
            }
            if line.starts_with("ready in ") {
                break;
            }
        }
        Server { child, kafka: kafka.expect("the server says where it listens") }
    }

    /// Runs `torc bench` and returns its report.
    fn bench(&self, mode: &str, arguments: &[&str]) -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_torc"))
            .args(["bench", mode, "--quiet", "--format", "json", "--bootstrap-server", &self.kafka])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
    let server = Server::start(dir.path());
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
    let server = Server::start(dir.path());
    let arguments = ["--partitions", "2", "--connections", "2", "--consumers", "2", "--rate", "500"];
    let report = server.bench("e2e", &[&SHORT[..], &arguments].concat());
    assert_eq!(report["errors"].as_object().unwrap().len(), 0, "{report}");
    // 500 a second for 0.2 s or a little more, as the machine allows; no record twice.
    let requests = report["requests"].as_f64().unwrap();
    assert!(requests >= 95.0 && requests <= 500.0 * report["elapsed_s"].as_f64().unwrap() + 2.0, "{report}");
}
