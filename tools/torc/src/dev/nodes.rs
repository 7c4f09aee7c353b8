//! The nodes: processes of this very program, each with ports, a data directory and a log of its own.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Above the ports for clients: those between nodes, and those of the metrics.
const PEER_PORTS: u16 = 100;
const METRICS_PORTS: u16 = 200;
/// And those for ZooKeeper's clients.
const ZOOKEEPER_PORTS: u16 = 300;
/// None is further above.
pub const PORTS: u16 = ZOOKEEPER_PORTS;
/// Lines of a log that say why a node has ended.
const TAIL: usize = 6;
/// How long nodes have to end in order.
const END_TIME: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(10);

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Runs,
    Paused,
    /// Killed from here, or not started yet.
    Down,
    /// It ended by itself.
    Failed,
}

impl State {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            State::Runs => "runs",
            State::Paused => "paused",
            State::Down => "down",
            State::Failed => "failed",
        }
    }
}

/// One of them.
pub struct Node {
    pub id: u32,
    pub state: State,
    /// Where clients connect.
    pub kafka: String,
    pub metrics: String,
    pub zookeeper: String,
    pub log: PathBuf,
    dir: PathBuf,
    /// All nodes, as `--peers` takes them; `None`: there is one.
    peers: Option<String>,
    count: u32,
    child: Option<Child>,
}

/// All of them. They are killed when this is dropped.
pub struct Nodes(pub Vec<Node>);

impl Nodes {
    /// Nodes below a directory, none of which runs.
    pub fn new(count: u32, dir: &Path, port: u16) -> Nodes {
        let address = |base: u16, id: u32| format!("127.0.0.1:{}", port + base + id as u16 - 1);
        let peers: Vec<String> = (1..=count).map(|id| format!("{id}={}", address(PEER_PORTS, id))).collect();
        let peers = (count > 1).then(|| peers.join(","));
        let node = |id: u32| {
            let dir = dir.join(format!("node-{id}"));
            Node {
                id,
                state: State::Down,
                kafka: address(0, id),
                metrics: address(METRICS_PORTS, id),
                zookeeper: address(ZOOKEEPER_PORTS, id),
                log: dir.join("torc.log"),
                dir,
                peers: peers.clone(),
                count,
                child: None,
            }
        };
        Nodes((1..=count).map(node).collect())
    }

    /// Addresses for clients, of all.
    pub fn addresses(&self) -> String {
        self.0.iter().map(|node| node.kafka.clone()).collect::<Vec<_>>().join(",")
    }

    /// Addresses for ZooKeeper's clients, of all.
    pub fn zookeepers(&self) -> String {
        self.0.iter().map(|node| node.zookeeper.clone()).collect::<Vec<_>>().join(",")
    }

    /// The node of that number.
    pub fn get(&mut self, id: u32) -> &mut Node {
        &mut self.0[id as usize - 1]
    }

    /// Nodes that have ended by themselves since the last look.
    pub fn failed(&mut self) -> Vec<u32> {
        self.0.iter_mut().filter_map(|node| node.has_failed().then_some(node.id)).collect()
    }

    /// Ends all in order; those that take too long are killed.
    pub fn end(&mut self) {
        self.0.iter_mut().for_each(Node::terminate);
        let until = Instant::now() + END_TIME;
        for node in &mut self.0 {
            node.await_end(until);
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Node::kill);
    }
}

impl Node {
    /// Starts it.
    pub fn start(&mut self) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--data-dir"]).arg(self.dir.join("data"));
        command.args(["--kafka", &self.kafka, "--metrics", &self.metrics, "--node-id", &self.id.to_string()]);
        command.args(["--zookeeper", &self.zookeeper, "--set", "4lw.commands.whitelist=*"]);
        command.args(["--shards", "1", "--set", &format!("num.partitions={}", self.count)]);
        if let Some(peers) = &self.peers {
            command.args(["--peers", peers]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // Ctrl-C is for the one who ends them.
        command.process_group(0);
        self.child = Some(command.spawn()?);
        self.state = State::Runs;
        Ok(())
    }

    /// The process, if there is one.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The last lines of its log.
    pub fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            // One that has just ended needs none.
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    /// `kill -9`, and its end.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails if it has ended, which is as good.
            let _ = child.kill();
            let _ = child.wait();
            self.state = State::Down;
        }
    }

    /// Stops it where it stands, or lets it go on.
    pub fn pause(&mut self, paused: bool) {
        self.signal(if paused { Signal::STOP } else { Signal::CONT });
        self.state = if paused { State::Paused } else { State::Runs };
    }

    /// Ends it in order, and waits for that.
    pub fn stop(&mut self) {
        self.terminate();
        self.await_end(Instant::now() + END_TIME);
    }

    fn terminate(&mut self) {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
    }

    fn await_end(&mut self, until: Instant) {
        while let Some(child) = &mut self.child {
            if !matches!(child.try_wait(), Ok(None)) || Instant::now() > until {
                self.kill();
                return;
            }
            std::thread::sleep(LOOK);
        }
    }

    fn has_failed(&mut self) -> bool {
        let ended = self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
        if ended {
            self.child = None;
            self.state = State::Failed;
        }
        ended
    }
}
