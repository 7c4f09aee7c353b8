//! Whom the load generator is tried against: torc, or Apache Kafka.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything that is waited for takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server, killed when it goes out of scope.
pub struct Server {
    /// torc is a child of ours; Kafka's process id stands in a file.
    process: Process,
    pub address: String,
}

enum Process {
    Torc(Child),
    Kafka { pid: String, data: PathBuf },
}

impl Server {
    /// A torc with its data in `data`.
    pub fn torc(data: &Path) -> Server {
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
                kafka = address.split_whitespace().next().map(str::to_string);
            }
            if line.starts_with("ready in ") {
                break;
            }
        }
        Server { process: Process::Torc(child), address: kafka.expect("the server says where it listens") }
    }

    /// Apache Kafka with its data in `data`; it needs a JDK and Maven.
    pub fn kafka(data: &Path) -> Server {
        // The controller takes the port behind it.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() & !1;
        let started = Command::new(interop())
            .args(["start", "--heap", "512m", "--set", "auto.create.topics.enable=true", "--port"])
            .arg(port.to_string())
            .arg("--dir")
            .arg(data)
            .status()
            .unwrap();
        assert!(started.success(), "Kafka does not start: see {}", data.join("broker.log").display());
        let pid = std::fs::read_to_string(data.join("broker.pid")).unwrap().trim().to_string();
        let process = Process::Kafka { pid, data: data.to_path_buf() };
        Server { process, address: format!("127.0.0.1:{port}") }
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        match &mut self.process {
            Process::Torc(child) => {
                // Fails if it has ended, which is as good.
                let _ = child.kill();
                let _ = child.wait();
            }
            Process::Kafka { pid, data } => {
                let _ = Command::new("kill").args(["-9", pid]).stderr(Stdio::null()).status();
                let _ = std::fs::remove_file(data.join("broker.pid"));
            }
        }
    }

    /// `torc bench mode arguments` against this server.
    pub fn command(&self, mode: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_torc"));
        command.args(["bench", mode, "--quiet", "--bootstrap-server", &self.address]).args(arguments);
        command
    }

    /// Runs `torc bench`, which must succeed, and returns its report.
    pub fn bench(&self, mode: &str, arguments: &[&str]) -> Value {
        let output = self.command(mode, &[&["--format", "json"], arguments].concat()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs `torc topic`.
    pub fn topic(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_torc"));
        command.args(["topic", "--bootstrap-server", &self.address]).args(arguments).output().unwrap()
    }

    /// Waits until records are in partition 0 of `topic`.
    pub fn await_records(&self, topic: &str) {
        let began = Instant::now();
        loop {
            let output = self.topic(&["describe", topic, "--format", "json"]);
            let described: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let topic_of = if described.is_array() { &described[0] } else { &described };
            if topic_of["partitions"][0]["latest"].as_i64().is_some_and(|latest| latest > 0) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "nothing comes into {topic}: {described}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn interop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/kafka")
}

/// Three nodes, killed when they go out of scope.
pub struct Nodes {
    nodes: Vec<Child>,
    pub addresses: String,
}

impl Nodes {
    /// A cluster with its data below `dir`, which serves.
    pub fn start(dir: &Path) -> Nodes {
        // Held until all are known, so that no two are the same.
        let sockets: Vec<TcpListener> = (0..6).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let address = |n: usize| sockets[n].local_addr().unwrap().to_string();
        let peers: Vec<String> = (1..=3).map(|id| format!("{id}={}", address(id + 2))).collect();
        let peers = peers.join(",");
        let kafka: Vec<String> = (0..3).map(address).collect();
        drop(sockets);
        let node = |id: usize| {
            Command::new(env!("CARGO_BIN_EXE_torc"))
                .args(["serve", "--shards", "1", "--metrics", "none", "--peers", &peers, "--node-id", &id.to_string()])
                .args(["--kafka", &kafka[id - 1], "--data-dir"])
                .arg(dir.join(id.to_string()))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let nodes = Nodes { nodes: (1..=3).map(node).collect(), addresses: kafka.join(",") };
        nodes.await_that("all nodes are there", || {
            nodes.ask(&["cluster", "status", "--format", "json"])["nodes_answering"] == 3
        });
        nodes
    }

    /// `torc bench mode arguments` against this cluster.
    pub fn command(&self, mode: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_torc"));
        command.args(["bench", mode, "--quiet", "--bootstrap-server", &self.addresses]).args(arguments);
        command
    }

    /// What `torc arguments` prints; null if it fails.
    fn ask(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_torc"));
        let output = command.args(arguments).args(["--bootstrap-server", &self.addresses]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn await_that(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < PATIENCE, "not so: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The node that leads partition 0 of `topic`, once there is one, from 1.
    pub fn await_leader(&self, topic: &str) -> usize {
        let mut leader = 0;
        self.await_that("the topic has a leader", || {
            let described = self.ask(&["topic", "describe", topic, "--format", "json"]);
            let topic_of = if described.is_array() { &described[0] } else { &described };
            leader = topic_of["partitions"][0]["leader"].as_i64().unwrap_or(0);
            leader > 0
        });
        leader as usize
    }

    /// Waits until a load is under way: records are in partition 0 of `topic`.
    pub fn await_records(&self, topic: &str) {
        self.await_that("there are records", || {
            let described = self.ask(&["topic", "describe", topic, "--format", "json"]);
            let topic_of = if described.is_array() { &described[0] } else { &described };
            topic_of["partitions"][0]["latest"].as_i64() > Some(0)
        });
    }

    /// Kills a node at once.
    pub fn kill(&mut self, node: usize) {
        let child = &mut self.nodes[node - 1];
        // Fails if it has ended, which is as good.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        (1..=self.nodes.len()).for_each(|node| self.kill(node));
    }
}
