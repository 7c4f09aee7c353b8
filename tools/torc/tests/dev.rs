//! `torc dev` as a process, with its keys on standard input.

mod support;

use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;
use support::{Lines, Server};

/// Longer than any wait that `torc dev` leaves out.
const DOWN_TIME: Duration = Duration::from_millis(400);

/// A port with free ones next to it, where `torc dev` wants them.
fn port(nodes: u16) -> u16 {
    let free = |base: u16| {
        let ports = [0, 100, 200].iter().flat_map(|above| (0..nodes).map(move |at| base + above + at));
        ports.map(|port| TcpListener::bind(("127.0.0.1", port))).all(|bound| bound.is_ok())
    };
    let first = 20_000 + (std::process::id() % 20_000) as u16;
    (0..).map(|n| first + n * 7).find(|base| free(*base)).unwrap()
}

struct Dev {
    child: Child,
    keys: ChildStdin,
    lines: Lines,
}

impl Dev {
    fn start(dir: &str, nodes: u16) -> Dev {
        let mut command = Command::new(env!("CARGO_BIN_EXE_torc"));
        command.args([
            "dev",
            "--plain",
            "--dir",
            dir,
            "--nodes",
            &nodes.to_string(),
            "--port",
            &port(nodes).to_string(),
        ]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (keys, lines) = (child.stdin.take().unwrap(), Lines::of(child.stdout.take().unwrap()));
        Dev { child, keys, lines }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Fails if it has ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_node_is_killed_restarted_and_paused_while_clients_wait_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(dir.path().to_str().unwrap(), 1);
    dev.lines.until("all nodes answer");
    dev.lines.until("writing to each partition");
    dev.lines.until("all partitions acknowledge");
    dev.press("k");
    dev.lines.until("node 1 is killed");
    dev.press("p");
    dev.lines.until("node 1 does not run");
    thread::sleep(DOWN_TIME);
    dev.press("r\n");
    dev.lines.until("node 1 is started");
    dev.lines.until("ms without an ack");
    dev.press("p");
    dev.lines.until("node 1 is paused");
    dev.press("p");
    dev.lines.until("node 1 goes on");
    dev.press("r");
    // How long that takes, and whether it is worth a line, is up to the machine.
    dev.lines.until("was ended in order, and is started again");
    dev.press("q");
    dev.lines.until("ending all nodes");
    assert_eq!(dev.child.wait().unwrap().code(), Some(0));
    // Nothing of it runs any more: the directory is free.
    Server::start(&dir.path().join("node-1/data"), &[]);
}

#[test]
fn a_node_that_does_not_start_ends_it_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("node-1/data")).unwrap();
    std::fs::write(dir.path().join("node-1/data/foreign"), "x").unwrap();
    let port = port(1).to_string();
    let args = ["dev", "--plain", "--dir", dir.path().to_str().unwrap(), "--nodes", "1", "--port", &port];
    let output = support::torc(&args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && text.contains("is not torc's"), "{text}");
}
