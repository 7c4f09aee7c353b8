//! `torc dev`: a cluster on this machine, to be looked at while its nodes are killed, paused and restarted.

pub mod args;
mod keys;
mod nodes;
mod pulse;
mod view;

#[cfg(test)]
#[path = "dev_tests.rs"]
mod tests;

use crate::cluster::look::Look;
use crate::output::print;
use crate::top::terminal::{Input, Terminal};
use crate::top::trend::Glyphs;
use args::DevArgs;
use keys::{Command, Keys};
use nodes::{Nodes, State};
use pulse::{Gap, Pulse, TOPIC};
use std::error::Error;
use std::io::{IsTerminal, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
use torc_load::interrupt;
use view::{Row, View};

/// How long a key may wait, and how often acks are counted.
const TICK: Duration = Duration::from_millis(100);
/// Between two looks at the cluster.
const LOOK: Duration = Duration::from_millis(500);
/// How long all nodes may take to answer.
const START_TIME: Duration = Duration::from_secs(120);
/// Events that are remembered, and looks at acks.
const EVENTS_MAX: usize = 200;
const ACKS_MAX: usize = 500;

/// Runs until it is told to end.
pub fn run(args: &DevArgs) -> Result<(), Box<dyn Error>> {
    if u32::from(args.port) + u32::from(nodes::PORTS) + args.nodes > u32::from(u16::MAX) {
        return Err(Box::new(crate::exit::Usage(format!("--port {}: the ports above it are used too", args.port))));
    }
    interrupt::watch()?;
    let live = !args.plain && std::io::stdout().is_terminal();
    let mut session = Session::new(args, live);
    for node in &mut session.nodes.0 {
        node.start()?;
    }
    let face = if live { Face::Screen(Terminal::take()?) } else { Face::Lines(typed()?) };
    let result = session.until_ready(&face).and_then(|ready| if ready { session.until_left(&face) } else { Ok(()) });
    pulse::stop();
    drop(face);
    session.event("ending all nodes".to_string());
    session.nodes.end();
    Ok(result?)
}

/// Where keys come from, and where things are shown.
enum Face {
    Screen(Terminal),
    /// What is typed on standard input.
    Lines(Receiver<Vec<u8>>),
}

/// Standard input on a thread of its own: nobody need type anything.
fn typed() -> std::io::Result<Receiver<Vec<u8>>> {
    let (sender, typed) = channel();
    let read = move || {
        let mut bytes = [0; 256];
        while let Ok(count @ 1..) = std::io::stdin().read(&mut bytes) {
            if sender.send(bytes[..count].to_vec()).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("keys".to_string()).spawn(read)?;
    Ok(typed)
}

impl Face {
    /// Waits a moment for keys.
    fn keys(&self) -> Input {
        if interrupt::caught().is_some() {
            return Input::Ended;
        }
        match self {
            Face::Screen(terminal) => terminal.read(TICK),
            Face::Lines(typed) => match typed.recv_timeout(TICK) {
                Ok(keys) => Input::Keys(keys),
                // The end of the input is no end of the nodes.
                Err(error) => {
                    if error == std::sync::mpsc::RecvTimeoutError::Disconnected {
                        thread::sleep(TICK);
                    }
                    Input::Nothing
                }
            },
        }
    }
}

struct Session {
    nodes: Nodes,
    view: View,
    live: bool,
    glyphs: Glyphs,
    keys: Keys,
    began: Instant,
    looks: Receiver<Result<Look, String>>,
    look: Option<Look>,
    pulse: Option<Arc<Pulse>>,
    /// All partitions have acknowledged a write.
    steady: bool,
    counted: u64,
}

impl Session {
    fn new(args: &DevArgs, live: bool) -> Session {
        let nodes = Nodes::new(args.nodes, &args.dir, args.port);
        let looks = looks(nodes.addresses());
        let view = View { dir: args.dir.display().to_string(), ..View::default() };
        let mut session = Session {
            nodes,
            view,
            live,
            glyphs: Glyphs::of_locale(|name| std::env::var(name).ok()),
            keys: Keys::default(),
            began: Instant::now(),
            looks,
            look: None,
            pulse: None,
            steady: false,
            counted: 0,
        };
        session.event(format!("starting {} nodes in {}", args.nodes, args.dir.display()));
        session
    }

    /// Something happened.
    fn event(&mut self, what: String) {
        let line = format!("{:>7.1} s  {what}", self.began.elapsed().as_secs_f64());
        if !self.live {
            print(format_args!("{line}\n"));
        }
        if self.view.events.len() == EVENTS_MAX {
            self.view.events.pop_front();
        }
        self.view.events.push_back(line);
    }

    /// False if somebody does not want to wait.
    fn until_ready(&mut self, face: &Face) -> Result<bool, String> {
        loop {
            if self.commands(face).contains(&Command::Leave) {
                return Ok(false);
            }
            if let Some(id) = self.nodes.failed().first() {
                let words = self.nodes.get(*id).last_words();
                return Err(format!("node {id} does not start; its log ends with:\n{words}"));
            }
            let count = self.nodes.0.len();
            if self.take_looks() && self.look.as_ref().is_some_and(|look| is_ready(look, count)) {
                break;
            }
            if self.began.elapsed() > START_TIME {
                return Err(format!("not all nodes answer after {} s: their logs say why", START_TIME.as_secs()));
            }
            self.draw(face)?;
        }
        let addresses = self.nodes.addresses();
        self.event(format!("all nodes answer; clients connect to {addresses}"));
        self.event(format!("ZooKeeper's clients connect to {}", self.nodes.zookeepers()));
        self.pulse = Some(Pulse::start(&addresses));
        self.event(format!("writing to each partition of topic {TOPIC} with acks=all"));
        Ok(true)
    }

    fn until_left(&mut self, face: &Face) -> Result<(), String> {
        loop {
            for command in self.commands(face) {
                if command == Command::Leave {
                    return Ok(());
                }
                self.run_command(command)?;
            }
            for id in self.nodes.failed() {
                let words = self.nodes.get(id).last_words();
                self.event(format!("node {id} has ended by itself; its log ends with:"));
                words.lines().for_each(|line| self.event(format!("  {line}")));
            }
            self.take_looks();
            self.take_pulse()?;
            self.draw(face)?;
        }
    }

    fn commands(&mut self, face: &Face) -> Vec<Command> {
        let nodes = self.nodes.0.len() as u32;
        match face.keys() {
            Input::Keys(keys) => self.keys.take(&keys, nodes),
            Input::Ended => vec![Command::Leave],
            Input::Nothing | Input::Resized => Vec::new(),
        }
    }

    fn run_command(&mut self, command: Command) -> Result<(), String> {
        let (Command::Kill(id) | Command::Pause(id) | Command::Restart(id)) = command else { return Ok(()) };
        let node = self.nodes.get(id);
        let before = node.state;
        let told = match (command, before) {
            (Command::Kill(_), State::Runs | State::Paused) => {
                node.kill();
                format!("node {id} is killed")
            }
            (Command::Pause(_), State::Runs) => {
                node.pause(true);
                format!("node {id} is paused")
            }
            (Command::Pause(_), State::Paused) => {
                node.pause(false);
                format!("node {id} goes on")
            }
            (Command::Kill(_) | Command::Pause(_), _) => format!("node {id} does not run"),
            (_, State::Down | State::Failed) => {
                node.start().map_err(|error| format!("cannot start node {id}: {error}"))?;
                format!("node {id} is started")
            }
            (_, State::Runs | State::Paused) => {
                node.stop();
                node.start().map_err(|error| format!("cannot start node {id}: {error}"))?;
                format!("node {id} was ended in order, and is started again")
            }
        };
        self.event(told);
        Ok(())
    }

    /// True if there is news.
    fn take_looks(&mut self) -> bool {
        let mut news = false;
        while let Ok(look) = self.looks.try_recv() {
            (self.look, news) = (look.ok(), true);
        }
        news
    }

    fn take_pulse(&mut self) -> Result<(), String> {
        let Some(pulse) = self.pulse.clone() else { return Ok(()) };
        if let Some(why) = pulse.trouble() {
            return Err(format!("nothing can be written any more: {why}"));
        }
        if !self.steady && pulse.is_steady() {
            self.steady = true;
            self.event("all partitions acknowledge".to_string());
        }
        for Gap { partition, time } in pulse.gaps() {
            self.event(format!("partition {partition}: {} ms without an ack", time.as_millis()));
            self.view.last = Some(time);
            self.view.longest = self.view.longest.max(Some(time));
        }
        let acknowledged = pulse.acknowledged();
        if self.view.acks.len() == ACKS_MAX {
            self.view.acks.pop_front();
        }
        self.view.acks.push_back(Some((acknowledged - self.counted) as f64));
        (self.counted, self.view.acknowledged, self.view.waiting) = (acknowledged, acknowledged, pulse.waiting());
        Ok(())
    }

    fn draw(&mut self, face: &Face) -> Result<(), String> {
        let Face::Screen(terminal) = face else { return Ok(()) };
        let look = self.look.as_ref();
        let row = |node: &nodes::Node| {
            let id = node.id as i32;
            Row {
                id: node.id,
                state: node.state,
                pid: node.pid(),
                kafka: node.kafka.clone(),
                controller: look.is_some_and(|look| look.controller == Some(id)),
                shares: look.map(|look| look.shares(id)),
            }
        };
        self.view.rows = self.nodes.0.iter().map(row).collect();
        self.view.pending = self.keys.pending();
        terminal.draw(&self.view.screen(self.glyphs, terminal.size())).map_err(|error| error.to_string())
    }
}

/// True if all nodes serve.
fn is_ready(look: &Look, count: usize) -> bool {
    let answering = look.nodes.iter().filter(|node| node.address.is_some() && node.silent.is_none());
    look.controller.is_some() && answering.count() == count
}

/// Looks at the cluster again and again, on a thread of its own: one that does not answer keeps no key waiting.
fn looks(addresses: String) -> Receiver<Result<Look, String>> {
    let (sender, looks) = channel();
    thread::spawn(move || {
        while sender.send(Look::at(&addresses).map_err(|error| error.to_string())).is_ok() {
            thread::sleep(LOOK);
        }
    });
    looks
}
