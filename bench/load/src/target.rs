//! Targets that a scenario starts and ends itself.

use crate::cpu;
use crate::error::Error;
use crate::scenario::TargetSpec;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use torc_client::Client;
use torc_client::zookeeper::{ZooKeeper, ZooKeeperOptions};

/// Time in which a target must answer after its start.
const READY_TIME: Duration = Duration::from_secs(120);
/// Time between two questions whether it does.
const READY_RETRY: Duration = Duration::from_millis(1);
/// Time that a target has to end when it is asked to.
const END_TIME: Duration = Duration::from_secs(30);

/// The targets of a scenario; those that were started are ended when this is dropped.
pub struct Servers {
    dir: PathBuf,
    running: Vec<Running>,
}

/// A target that runs.
struct Running {
    name: String,
    /// Of `serve`.
    children: Vec<Child>,
    /// Of `start`.
    stop: Option<String>,
}

impl Servers {
    /// Nothing runs yet; `{dir}` in commands is `dir`.
    pub fn new(dir: &Path) -> Servers {
        Servers { dir: dir.to_path_buf(), running: Vec::new() }
    }

    /// Starts `target` if it says how, and waits until it answers. Returns how long that took.
    pub fn start(&mut self, target: &TargetSpec) -> Result<Duration, Error> {
        let name = &target.name;
        let began = Instant::now();
        let mut running = Running { name: name.clone(), children: Vec::new(), stop: None };
        if let Some(start) = &target.start {
            running.stop = target.stop.as_ref().map(|stop| self.fill_in(stop)).transpose()?;
            self.command(start, &format!("starting {name}"))?;
        }
        let started: Result<(), Error> = target.serve.iter().try_for_each(|serve| {
            // With exec the child is the server itself, not a shell that would outlive its own end.
            let mut command = shell(&format!("exec {}", self.fill_in(serve)?));
            running.children.push(command.spawn().map_err(Error::io(format!("starting {name}")))?);
            Ok(())
        });
        if !running.children.is_empty() || running.stop.is_some() {
            self.running.push(running);
        }
        started?;
        if let Some(addresses) = target.address() {
            for address in addresses.split(',') {
                self.await_answer(target, address)?;
            }
            let ready = began.elapsed();
            return addresses.split(',').try_for_each(|address| self.is_its_own(target, address)).map(|()| ready);
        }
        Ok(began.elapsed())
    }

    /// Ends `target` in an orderly way, if it was started here.
    pub fn end(&mut self, target: &TargetSpec) {
        if let Some(at) = self.running.iter().position(|running| running.name == target.name) {
            self.running.remove(at).end();
        }
    }

    /// The processes to ask about CPU time and memory, if the scenario knows them; else whoever listens there is asked.
    pub fn pids(&self, target: &TargetSpec) -> Result<Vec<u32>, Error> {
        if let Some(file) = &target.pid_file {
            let file = self.fill_in(file)?;
            let text = std::fs::read_to_string(&file).map_err(Error::io(format!("reading {file}")))?;
            let pids = text.split_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>();
            return pids
                .ok()
                .filter(|pids| !pids.is_empty())
                .ok_or_else(|| Error::Unfit(format!("{file} holds no process id: {text:?}")));
        }
        let own = self.running.iter().find(|running| running.name == target.name);
        Ok(own.map(|running| running.children.iter().map(Child::id).collect()).unwrap_or_default())
    }

    /// Runs a command to its end; a failure says what was being done.
    pub fn command(&self, command: &str, doing: &str) -> Result<(), Error> {
        let command = self.fill_in(command)?;
        let status = shell(&command).status().map_err(Error::io(doing))?;
        match status.success() {
            true => Ok(()),
            false => Err(Error::Unfit(format!("{doing}: {command:?} failed: {status}"))),
        }
    }

    /// `{torc}` and `{dir}` become what they stand for.
    pub fn fill_in(&self, text: &str) -> Result<String, Error> {
        let torc = std::env::current_exe().map_err(Error::io("finding this program"))?;
        Ok(text.replace("{torc}", &torc.to_string_lossy()).replace("{dir}", &self.dir.to_string_lossy()))
    }

    /// Waits until the target serves: a Kafka broker answers a request, a ZooKeeper gives out a session, the bare server accepts
    /// a connection.
    fn await_answer(&mut self, target: &TargetSpec, address: &str) -> Result<(), Error> {
        let name = &target.name;
        let bare = target.options.get("protocol").and_then(toml::Value::as_str) == Some("bare");
        let began = Instant::now();
        let answers = || match (bare, resolve(address)) {
            (_, None) => false,
            (true, Some(at)) => std::net::TcpStream::connect_timeout(&at, Duration::from_secs(1)).is_ok(),
            (false, Some(_)) if target.is_zookeeper() => {
                let session = ZooKeeper::connect(address, ZooKeeperOptions::default());
                session.is_ok_and(|session| session.close().is_ok())
            }
            (false, Some(_)) => Client::connect(address).is_ok(),
        };
        while !answers() {
            let children = self.running.last_mut().into_iter().flat_map(|running| &mut running.children);
            if let Some(status) = children.filter_map(|child| child.try_wait().ok()?).next() {
                return Err(Error::Unfit(format!("{name} ended instead of answering on {address}: {status}")));
            }
            if began.elapsed() > READY_TIME {
                return Err(Error::Unfit(format!("{name} does not answer on {address}")));
            }
            std::thread::sleep(READY_RETRY);
        }
        Ok(())
    }

    /// Refuses to measure somebody else who has had the port before.
    fn is_its_own(&self, target: &TargetSpec, address: &str) -> Result<(), Error> {
        let own = self.pids(target)?;
        match resolve(address).and_then(cpu::listener) {
            Some(other) if !own.is_empty() && !own.contains(&other) => {
                let own = own.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
                let name = &target.name;
                Err(Error::Unfit(format!(
                    "{name} is process {own}, but process {other} listens on {address}: end that one first"
                )))
            }
            _ => Ok(()),
        }
    }
}

fn resolve(address: &str) -> Option<SocketAddr> {
    address.to_socket_addrs().ok()?.next()
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.running.drain(..).for_each(Running::end);
    }
}

impl Running {
    fn end(mut self) {
        // All are asked before one is waited for: nodes hand their groups over to whoever is left.
        self.children.iter().for_each(ask_to_end);
        self.children.iter_mut().for_each(await_end);
        if let Some(stop) = &self.stop
            && !shell(stop).status().is_ok_and(|status| status.success())
        {
            eprintln!("torc: {stop:?} failed");
        }
    }
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::null());
    shell
}

fn ask_to_end(child: &Child) {
    if let Some(pid) = rustix::process::Pid::from_raw(child.id() as i32) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// Waits until a child has ended, and kills it if that takes too long.
fn await_end(child: &mut Child) {
    let began = Instant::now();
    while began.elapsed() < END_TIME {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            _ => return,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}
