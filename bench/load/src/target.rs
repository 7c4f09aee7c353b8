//! Targets that a scenario starts and ends itself.

use crate::error::Error;
use crate::scenario::TargetSpec;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Time in which a target must answer after its start.
const READY_TIME: Duration = Duration::from_secs(120);
/// Time that a target has to end when it is asked to.
const END_TIME: Duration = Duration::from_secs(30);

/// What was started; all of it is ended when this is dropped.
pub struct Servers {
    children: Vec<Child>,
    stops: Vec<String>,
}

impl Servers {
    /// Starts all targets that say how, and waits until they answer.
    pub fn start(targets: &[TargetSpec], dir: &Path) -> Result<Servers, Error> {
        let mut servers = Servers { children: Vec::new(), stops: Vec::new() };
        for target in targets {
            if let Some(stop) = &target.stop {
                servers.stops.push(fill_in(stop, dir)?);
            }
            if let Some(start) = &target.start {
                let status = shell(&fill_in(start, dir)?).status();
                let status = status.map_err(Error::io(format!("starting {}", target.name)))?;
                if !status.success() {
                    return Err(Error::Unfit(format!("starting {} failed: {status}", target.name)));
                }
            }
            if let Some(serve) = &target.serve {
                // With exec the child is the server itself, not a shell that would outlive its own end.
                let mut command = shell(&format!("exec {}", fill_in(serve, dir)?));
                let child = command.spawn().map_err(Error::io(format!("starting {}", target.name)))?;
                servers.children.push(child);
            }
            if let Some(toml::Value::String(address)) = target.options.get("bootstrap-server") {
                servers.await_answer(&target.name, address)?;
            }
        }
        Ok(servers)
    }

    fn await_answer(&mut self, name: &str, address: &str) -> Result<(), Error> {
        let began = Instant::now();
        let answers = || {
            let mut addresses = address.to_socket_addrs().ok()?;
            addresses.find_map(|address| TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok())
        };
        while answers().is_none() {
            if let Some(Ok(Some(status))) = self.children.last_mut().map(Child::try_wait) {
                return Err(Error::Unfit(format!("{name} ended instead of answering on {address}: {status}")));
            }
            if began.elapsed() > READY_TIME {
                return Err(Error::Unfit(format!("{name} does not answer on {address}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.children {
            end(child);
        }
        for stop in &self.stops {
            if !shell(stop).status().is_ok_and(|status| status.success()) {
                eprintln!("torc: {stop:?} failed");
            }
        }
    }
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::null());
    shell
}

fn fill_in(command: &str, dir: &Path) -> Result<String, Error> {
    let torc = std::env::current_exe().map_err(Error::io("finding this program"))?;
    Ok(command.replace("{torc}", &torc.to_string_lossy()).replace("{dir}", &dir.to_string_lossy()))
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
