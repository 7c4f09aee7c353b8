//! A server as a process, for tests of the binary.

// Each test program uses a part of it.
#![allow(dead_code)]

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// No line takes so long: who waits longer waits for one that never comes.
const PATIENCE: Duration = Duration::from_secs(120);

/// The binary with these arguments; nothing to read, and what it prints is kept.
pub fn torc(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_torc"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Addresses with ports that are free, taken all at once, or two would be alike.
pub fn free_addresses(count: usize) -> Vec<String> {
    let sockets: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    sockets.iter().map(|socket| socket.local_addr().unwrap().to_string()).collect()
}

/// The addresses of servers 1, 2, ... as `--peers` takes them.
pub fn as_peers(addresses: &[String]) -> String {
    let one = |(node, address): (usize, &String)| format!("{node}={address}");
    (1..).zip(addresses).map(one).collect::<Vec<_>>().join(",")
}

/// What a process prints, line by line. Nobody waits for ever for a line.
pub struct Lines(Receiver<String>);

impl Lines {
    /// Lines of a pipe, which is read to its end.
    pub fn of(pipe: impl Read + Send + 'static) -> Lines {
        let (sender, lines) = channel();
        thread::spawn(move || {
            BufReader::new(pipe).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Lines(lines)
    }

    /// The next line; `None`: there are no more.
    pub fn next(&mut self) -> Option<String> {
        match self.0.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line for {} s", PATIENCE.as_secs()),
        }
    }

    /// Reads up to a line with this in it, and returns that.
    pub fn until(&mut self, part: &str) -> String {
        let mut all = Vec::new();
        loop {
            match self.0.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => all.push(line),
                Err(error) => panic!("no `{part}` ({error}) in:\n{}", all.join("\n")),
            }
        }
    }
}

/// Runs a command that is expected to refuse; returns what it says. A server that starts after all is ended.
pub fn refused(args: &[&str]) -> String {
    refused_with(1, args)
}

/// The same with another exit code.
pub fn refused_with(code: i32, args: &[&str]) -> String {
    let mut server = Server { child: torc(args).spawn().unwrap(), lines: Vec::new() };
    assert!(!server.until_ready(), "{args:?} is served: {:?}", server.lines);
    let mut text = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(code), "{args:?}: {text}");
    assert!(text.lines().any(|line| line.starts_with("torc: ")), "{args:?}: {text}");
    text
}

/// A server that has said that it is ready. Killed if a test fails before it is stopped.
pub struct Server {
    pub child: Child,
    /// What it printed, up to `ready`.
    pub lines: Vec<String>,
}

impl Server {
    /// Starts one on free ports, with more flags.
    pub fn start(data: &Path, more: &[&str]) -> Server {
        let fixed =
            ["serve", "--data-dir", data.to_str().unwrap(), "--kafka", "127.0.0.1:0", "--metrics", "127.0.0.1:0"];
        let child = torc(&[&fixed, more].concat()).spawn().unwrap();
        let mut server = Server { child, lines: Vec::new() };
        if server.until_ready() {
            return server;
        }
        let mut text = String::new();
        server.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        panic!("it did not start: {text}");
    }

    /// Reads what it prints until it is ready; false if it ends before that.
    pub fn until_ready(&mut self) -> bool {
        let mut lines = Lines::of(self.child.stdout.take().unwrap());
        while let Some(line) = lines.next() {
            self.lines.push(line);
            if self.lines.last().unwrap().starts_with("ready in ") {
                return true;
            }
        }
        false
    }

    /// What follows `name` on its line.
    pub fn said(&self, name: &str) -> &str {
        let line = self.lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no line `{name}` in {:?}", self.lines))
    }

    /// Answer of the metrics endpoint.
    pub fn get(&self, path: &str) -> String {
        let address = self.said("metrics").strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sends it a signal, and waits for its end.
    pub fn stop(mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
