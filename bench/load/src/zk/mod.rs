//! Loads of a ZooKeeper.

mod args;
mod fanout;
mod ground;
mod ops;
mod requests;
mod sessions;

pub use args::ZkArgs;

use crate::cpu::{self, Process};
use crate::drive::{Plan, Run, drive_connected};
use crate::error::Error;
use crate::flamegraph::Flamegraph;
use crate::interrupt;
use crate::pace::Schedule;
use crate::publish::Ran;
use ops::{Mix, Op};
use requests::{Requests, Shared, own};
use std::cell::Cell;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;
use torc_base::prng::Prng;
use torc_net::zookeeper::Session;

/// Different data that are written.
const CHOICES: usize = 64;

/// Loads as `args` say.
pub fn run(args: &ZkArgs) -> Result<Ran, Error> {
    let addresses = ground::addresses(&args.target)?;
    let mut client = ground::client(&args.target)?;
    let data = choices(args);
    let connections = u64::from(args.pace.connections);
    let base = args.target.path.clone();
    let (paths, shared) = match &args.op {
        Mix::Requests(ops) => {
            let needs = |op: &Op| !matches!(op, Op::Create | Op::Delete);
            let znodes = if ops.iter().any(|(op, _)| needs(op)) { args.znodes } else { 0 };
            let paths: Vec<String> = (0..znodes).map(|n| format!("{base}/d/n{n:010}")).collect();
            let makes = ops.iter().any(|(op, _)| !needs(op));
            let owns = (0..connections).filter(|_| makes).map(|number| own(&base, number));
            let shared = Shared {
                ops: ops.clone(),
                base: base.clone(),
                paths: paths.clone(),
                data: data.clone(),
                changes: args.changes as usize,
                seed: args.seed,
                numbers: Cell::new(0),
            };
            ([format!("{base}/d")].into_iter().chain(paths).chain(owns).collect(), Some(Rc::new(shared)))
        }
        Mix::Watch => (vec![fanout::watched(&base)], None),
        Mix::Session => (Vec::new(), None),
    };
    ground::prepare(&mut client, &base, &paths, |n| data[n % data.len()].clone())?;
    client.close()?;
    let server = server(args, &addresses);
    let plan = Plan {
        pace: args.pace.clone(),
        schedule: args.rate.map(|rate| Schedule::new(rate.max(1), 1, args.pace.connections, None)),
        guide: None,
        flamegraph: Flamegraph::prepare(args.output.flamegraph.as_deref(), server.as_ref().map(Process::pid))?,
        server,
        keep_log: args.output.keeps_log(),
        quiet: args.output.quiet,
        title: args.output.name.clone().unwrap_or_else(|| "zk".to_string()),
    };
    let mut finished = match shared {
        Some(shared) => {
            let (streams, sessions) = open_all(args, &addresses, args.pace.connections as usize)?;
            let streams = streams.into_iter().map(|stream| (stream, Requests::new(&shared))).collect();
            let beat = args.target.session_timeout / 4;
            let finished = drive_connected(&plan, streams, |run| start_beats(run, beat));
            ground::end(&sessions, args.target.session_timeout);
            finished?
        }
        None if args.op == Mix::Watch => fanout::run(args, &plan, &addresses, &data)?,
        None => sessions::run(args, &plan, &addresses)?,
    };
    if !args.keep {
        let mut client = ground::client(&args.target)?;
        ground::clear(&mut client, &base)?;
        client.close()?;
    }
    finished.ending.signal = interrupt::caught();
    Ok((finished, None))
}

/// What is written.
fn choices(args: &ZkArgs) -> Vec<Vec<u8>> {
    let mut prng = Prng::new(args.seed);
    let one = |_| {
        let mut data = vec![0; args.data_size.pick(&mut prng)];
        prng.fill(&mut data);
        data
    };
    (0..CHOICES).map(one).collect()
}

/// Connections, and the sessions that they serve.
type Opened = (Vec<TcpStream>, Vec<(SocketAddr, Session)>);

/// Connections with sessions, spread over the servers.
fn open_all(args: &ZkArgs, addresses: &[SocketAddr], count: usize) -> Result<Opened, Error> {
    let (mut streams, mut sessions) = (Vec::new(), Vec::new());
    for address in addresses.iter().cycle().take(count) {
        let (stream, session) = ground::open(*address, args.target.session_timeout)?;
        streams.push(stream);
        sessions.push((*address, session));
    }
    Ok((streams, sessions))
}

/// Keeps the sessions of a run alive, also those that have nothing to ask.
fn start_beats(run: &Rc<Run>, every: Duration) {
    let run = Rc::clone(run);
    tokio_uring::spawn(async move {
        while run.open.get() > 0 {
            tokio::time::sleep(every).await;
            run.connections.borrow().iter().for_each(|connection| connection.beat());
        }
    });
}

/// The processes whose CPU time and memory are reported.
fn server(args: &ZkArgs, addresses: &[SocketAddr]) -> Option<Process> {
    if !args.target.server_pid.is_empty() {
        return Process::find_all(&args.target.server_pid);
    }
    let mut pids = addresses.iter().map(|address| cpu::listener(*address)).collect::<Option<Vec<u32>>>()?;
    pids.sort_unstable();
    pids.dedup();
    Process::find_all(&pids)
}
