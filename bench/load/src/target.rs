//! Targets that a scenario starts and ends itself.

use crate::cpu;
use crate::error::Error;
use crate::scenario::TargetSpec;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use torc_client::Client;

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
    child: Option<Child>,
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
        let mut running = Running { name: name.clone(), child: None, stop: None };
        if let Some(start) = &target.start {
            running.stop = target.stop.as_ref().map(|stop| self.fill_in(stop)).transpose()?;
            self.command(start, &format!("starting {name}"))?;
        }
        if let Some(serve) = &target.serve {
            // With exec the child is the server itself, not a shell that would outlive its own end.
            let mut command = shell(&format!("exec {}", self.fill_in(serve)?));
            running.child = Some(command.spawn().map_err(Error::io(format!("starting {name}")))?);
        }
        if running.child.is_some() || running.stop.is_some() {
            self.running.push(running);
        }
        if let Some(address) = target.address() {
            self.await_answer(target, address)?;
            let ready = began.elapsed();
            return self.is_its_own(target, address).map(|()| ready);
        }
        Ok(began.elapsed())
    }

    /// Ends `target` in an orderly way, if it was started here.
    pub fn end(&mut self, target: &TargetSpec) {
        if let Some(at) = self.running.iter().position(|running| running.name == target.name) {
            self.running.remove(at).end();
        }
    }

    /// The process to ask about CPU time and memory, if the scenario knows it; else whoever listens there is asked.
    pub fn pid(&self, target: &TargetSpec) -> Result<Option<u32>, Error> {
        if let Some(file) = &target.pid_file {
            let file = self.fill_in(file)?;
            let text = std::fs::read_to_string(&file).map_err(Error::io(format!("reading {file}")))?;
            let pid = text.trim().parse().map_err(|_| Error::Unfit(format!("{file} holds no process id: {text:?}")))?;
            return Ok(Some(pid));
        }
        let own = self.running.iter().find(|running| running.name == target.name);
        Ok(own.and_then(|running| running.child.as_ref()).map(Child::id))
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

    /// Waits until the target serves: a Kafka broker answers a request, the bare server accepts a connection.
    fn await_answer(&mut self, target: &TargetSpec, address: &str) -> Result<(), Error> {
        let name = &target.name;
        let bare = target.options.get("protocol").and_then(toml::Value::as_str) == Some("bare");
        let began = Instant::now();
        let answers = || match (bare, resolve(address)) {
            (_, None) => false,
            (true, Some(at)) => std::net::TcpStream::connect_timeout(&at, Duration::from_secs(1)).is_ok(),
            (false, Some(_)) => Client::connect(address).is_ok(),
        };
        while !answers() {
            if let Some(Running { child: Some(child), .. }) = self.running.last_mut()
                && let Ok(Some(status)) = child.try_wait()
            {
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
        let own = self.pid(target)?;
        match (own, resolve(address).and_then(cpu::listener)) {
            (Some(own), Some(other)) if own != other => Err(Error::Unfit(format!(
                "{} is process {own}, but process {other} listens on {address}: end that one first",
                target.name
            ))),
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
        if let Some(child) = &mut self.child {
            end(child);
        }
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

/// Asks a child to end, and waits for it.
fn end(child: &mut Child) {
    if let Some(pid) = rustix::process::Pid::from_raw(child.id() as i32) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
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
