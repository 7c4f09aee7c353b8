//! A torc server as a process of its own, ended whatever happens to its check.

use crate::failure::{Result, wrong};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How servers of one check are started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The binary.
    pub torc: PathBuf,
    pub data: PathBuf,
    /// Where its standard error is kept, appended.
    pub log: PathBuf,
    pub shards: Option<u16>,
    /// Where it listens, for clients and for metrics.
    pub host: String,
    /// Kafka's port; 0 for any.
    pub port: u16,
    /// More flags of `torc serve`.
    pub more: Vec<String>,
    /// A command in front of it, such as `strace -f`.
    pub wrapper: Vec<String>,
}

impl Launch {
    /// A server on `dir/data`, with its log beside it.
    pub fn new(torc: &Path, dir: &Path) -> Launch {
        Launch {
            torc: torc.to_path_buf(),
            data: dir.join("data"),
            log: dir.join("server.log"),
            shards: None,
            host: "127.0.0.1".to_string(),
            port: 0,
            more: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// With this number of shards.
    pub fn shards(mut self, shards: Option<u16>) -> Launch {
        self.shards = shards;
        self
    }

    /// Starts it and waits until it says that it is ready. The error holds the end of its log.
    pub fn start(&self) -> Result<Server> {
        self.await_ready(self.spawn()?)
    }

    /// The same, but no longer than `limit`: then it is killed.
    pub fn start_within(&self, limit: Duration) -> Result<Server> {
        self.await_ready_within(self.spawn()?, limit)
    }

    /// The same of one that was spawned already.
    pub fn await_ready_within(&self, child: Child, limit: Duration) -> Result<Server> {
        let (pid, ready) = (child.id(), AtomicBool::new(false));
        thread::scope(|scope| {
            let watch = || {
                let until = Instant::now() + limit;
                while !ready.load(Ordering::Relaxed) {
                    if Instant::now() > until {
                        // It ends its output, which is what is waited for.
                        let _ = signal(pid, Signal::KILL);
                        return true;
                    }
                    thread::sleep(Duration::from_millis(10));
                }
                false
            };
            let watching = scope.spawn(watch);
            let server = self.await_ready(child);
            ready.store(true, Ordering::Relaxed);
            match watching.join().expect("who watches does not panic") {
                true => {
                    wrong(format!("the server was not ready after {limit:?}; its log ends with:\n{}", tail(&self.log)))
                }
                false => server,
            }
        })
    }

    fn await_ready(&self, mut child: Child) -> Result<Server> {
        let began = Instant::now();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let none = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = Server {
            child,
            stdout,
            lines: Vec::new(),
            kafka: none,
            metrics: none,
            zookeeper: none,
            ready: Duration::ZERO,
            ended: false,
        };
        if !server.until_ready()? {
            return wrong(format!("the server did not start; its log ends with:\n{}", tail(&self.log)));
        }
        server.ready = began.elapsed();
        Ok(server)
    }

    /// Starts it and waits for nothing.
    pub fn spawn(&self) -> Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        Ok(self.command().stdout(Stdio::piped()).stderr(log).spawn()?)
    }

    /// The command, with nothing to read.
    pub fn command(&self) -> Command {
        let mut words = self.wrapper.clone();
        words.push(self.torc.display().to_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("serve").arg("--data-dir").arg(&self.data);
        let host = &self.host;
        command.args(["--kafka", &format!("{host}:{}", self.port), "--metrics", &format!("{host}:0")]);
        if let Some(shards) = self.shards {
            command.args(["--shards", &shards.to_string()]);
        }
        command.args(&self.more).stdin(Stdio::null());
        command
    }
}

/// The last lines of a log.
pub fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// A server that is ready. Killed when it is dropped.
pub struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// What it printed until it was ready.
    pub lines: Vec<String>,
    pub kafka: SocketAddr,
    pub metrics: SocketAddr,
    /// 0.0.0.0:0: it does not serve ZooKeeper's clients.
    pub zookeeper: SocketAddr,
    /// From its start to its word.
    pub ready: Duration,
    ended: bool,
}

impl Server {
    fn until_ready(&mut self) -> Result<bool> {
        let mut line = String::new();
        while self.stdout.read_line(&mut line)? > 0 {
            let said = std::mem::take(&mut line).trim_end().to_string();
            let address = |text: &str| text.parse().or_else(|_| wrong(format!("`{text}` is no address")));
            if let Some(kafka) = said.strip_prefix("kafka ") {
                self.kafka = address(kafka)?;
            }
            if let Some(metrics) = said.strip_prefix("metrics http://") {
                self.metrics = address(metrics.trim_end_matches("/metrics"))?;
            }
            // Another line, of its admin server, has more words.
            if let Some(Ok(zookeeper)) = said.strip_prefix("zookeeper ").map(str::parse) {
                self.zookeeper = zookeeper;
            }
            let ready = said.starts_with("ready in ");
            self.lines.push(said);
            if ready {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The process started: the server, or the wrapper in front of it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.ended = true;
        Ok(())
    }

    /// Sends SIGTERM; returns at once.
    pub fn terminate(&self) -> Result<()> {
        signal(self.pid(), Signal::TERM)
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait()?;
        self.ended = true;
        Ok(status)
    }

    /// SIGTERM, then its end, which must be 0.
    pub fn stop(&mut self) -> Result<()> {
        self.terminate()?;
        let status = self.wait()?;
        if status.code() == Some(0) { Ok(()) } else { wrong(format!("the server ended with {status} after SIGTERM")) }
    }

    /// True while it runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Resident memory in bytes, now and at its highest.
    pub fn memory(&self) -> Result<(u64, u64)> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
            kib.map_or_else(|| wrong(format!("no {name} in /proc")), |kib| Ok(kib << 10))
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Every metric, summed over shards.
    pub fn metrics(&self) -> Result<BTreeMap<String, f64>> {
        let mut stream = TcpStream::connect(self.metrics)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let mut sums = BTreeMap::new();
        for line in answer.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let name = name.split('{').next().expect("a first piece");
            *sums.entry(name.to_string()).or_insert(0.0) += value;
        }
        Ok(sums)
    }

    /// One metric, summed over shards; an error if it does not exist.
    pub fn metric(&self, name: &str) -> Result<f64> {
        self.metrics()?.get(name).copied().map_or_else(|| wrong(format!("there is no metric {name}")), Ok)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.ended {
            // Fails if it has ended by itself, which is as good.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Sends a signal to one process.
pub fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid as i32).expect("a pid is not 0");
    kill_process(pid, signal).or_else(|errno| wrong(format!("cannot signal the server: {errno}")))
}

/// The `torc` binary that was built with the running program: beside it, or above it if that is a test.
pub fn beside() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let folders = here.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("torc")).find(|torc| torc.is_file());
    found.map_or_else(|| wrong("there is no torc beside this program: cargo build -p torc, or --torc FILE"), Ok)
}

/// For tests: builds `torc` with the profile that the running test was built with, and returns it.
///
/// `--examples`, of which there are none, makes cargo choose features as for the tests of the whole workspace, which have
/// built `torc` already; with others, it would build half of the dependencies again.
pub fn built() -> PathBuf {
    let mut build = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string()));
    build.args(["build", "--quiet", "--offline", "--workspace", "--bin", "torc", "--examples"]);
    build.current_dir(env!("CARGO_MANIFEST_DIR")).args(["--profile", &profile()]);
    let status = build.status().expect("cargo runs the tests, so it can be run");
    assert!(status.success(), "torc cannot be built");
    beside().expect("it was just built")
}

/// The profile that the running test was built with: it lies in `target/PROFILE/deps`.
fn profile() -> String {
    let here = std::env::current_exe().expect("a test has a path");
    let folder = here.ancestors().nth(2).and_then(Path::file_name).expect("it lies in target/PROFILE/deps");
    match folder.to_string_lossy().as_ref() {
        "debug" => "dev".to_string(),
        named => named.to_string(),
    }
}

/// Raises the soft limit of open files to the hard one; returns it.
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Raising to the hard limit is always allowed; without it the number below is just smaller.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
