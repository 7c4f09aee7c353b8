//! What a server of a cluster does between its data directory and its shards: it opens the sockets for the others, waits for
//! the cluster to be founded if it is not yet, and looks up where the others are.

use super::Members;
use super::forming::{FormError, Formed, Former, Teller, form};
use super::wire::{Form, Speaker};
use crate::config::Config;
use crate::data_dir::{DataDir, Membership, Opened};
use crate::error::ServeError;
use crate::listen::{self, Patience};
use crate::log::Log;
use crate::machine;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use torc_reactor::resources::Want;

/// What others are told to change if the socket cannot be had.
const SETTING: &str = "--peer";
/// Between two looks for the address of a name.
const LOOK_UP: Duration = Duration::from_millis(200);

/// A server that may start its shards.
pub struct Entered {
    pub data: DataDir,
    /// Drawn at this start.
    pub start: u64,
    /// Of a server of a cluster.
    pub peering: Option<Peering>,
}

/// How it is connected with the others.
pub struct Peering {
    /// One for each shard, on one port.
    pub sockets: Vec<TcpListener>,
    /// Where they listen.
    pub listens: SocketAddr,
    /// All other servers, by rising number.
    pub others: Vec<(u32, SocketAddr)>,
    /// What is answered to a server that asks how the cluster was founded.
    pub answer: Vec<u8>,
    /// The number of this disk, if the cluster was there before it.
    pub doubt: Option<u64>,
}

/// The end of a server before it has begun.
pub struct Stopped;

/// Waits until the server may start. `stopped` is asked some times a second.
pub fn enter(
    config: &Config,
    opened: Opened,
    patience: Patience<'_>,
    log: &Log,
    stopped: &dyn Fn() -> bool,
) -> Result<Result<Entered, Stopped>, ServeError> {
    let io = |what| move |error| ServeError::Io { what, want: Want::Descriptor, error };
    let start = u64::from_le_bytes(machine::random().map_err(io("get randomness"))?);
    let (node, shards, members) = match &opened {
        Opened::Unformed(unformed) => (unformed.node_id, unformed.shards, unformed.members.clone()),
        Opened::Ready(data) => match &data.identity.membership {
            Some(membership) => (data.identity.node_id, data.identity.shards, membership.founding.members.clone()),
            None => return alone(config, opened, start),
        },
    };
    let listen = config.peer.as_ref().or(members.address(node)).expect("the directory's server is one of them");
    let sockets = listen::shared("other servers", listen, SETTING, shards, patience)?;
    let listens = sockets[0].local_addr().map_err(io("ask for the port"))?;
    let me = Speaker { node, start };
    let data = match opened {
        Opened::Ready(data) => data,
        Opened::Unformed(unformed) => {
            let (tell, warn) = (log.clone(), log.clone());
            let former = Former {
                me,
                disk: unformed.disk,
                members: members.clone(),
                tell: Arc::new(move |line: &str| tell.info("torc", line)) as Teller,
                warn: Arc::new(move |line: &str| warn.warn("torc", line)) as Teller,
            };
            let mut identity = None;
            let keep = |founding: &_| unformed.keep(founding).map(|made| identity = Some(made));
            match form(former, &sockets, keep, stopped)? {
                Formed::Founded(_) => {}
                Formed::Stopped => return Ok(Err(Stopped)),
            }
            unformed.ready(identity.expect("it is kept before the forming ends"))
        }
    };
    let Some(others) = addresses(&members, node, log, stopped) else { return Ok(Err(Stopped)) };
    let membership = data.identity.membership.as_ref().expect("it has been kept");
    let Membership { founding, disk } = membership;
    if data.fresh {
        log.info("torc", &founded(membership, node, &data.identity.cluster_id));
    }
    let doubt = (!founding.has(node, *disk)).then(|| incarnation(*disk));
    let answer = Form::Founded(founding.clone()).encode(me);
    let peering = Peering { sockets, listens, others, answer, doubt };
    Ok(Ok(Entered { data, start, peering: Some(peering) }))
}

/// A server without others needs no sockets for them.
fn alone(config: &Config, opened: Opened, start: u64) -> Result<Result<Entered, Stopped>, ServeError> {
    let Opened::Ready(data) = opened else { unreachable!("an unformed server is not alone") };
    if config.peer.is_some() {
        let why =
            "torc.peer.listener is for servers of a cluster, and this is a single one: name all servers with --peers";
        return Err(ServeError::Settings(why.to_string()));
    }
    Ok(Ok(Entered { data, start, peering: None }))
}

fn founded(membership: &Membership, node: u32, cluster: &str) -> String {
    let Membership { founding, disk } = membership;
    match founding.has(node, *disk) {
        true => format!("cluster {cluster} is founded, of {} nodes", founding.members.len()),
        false => format!(
            "cluster {cluster} was founded with another disk of node {node}: what that had is lost here, and comes from the others"
        ),
    }
}

/// A number for what a disk cannot know any more: two disks differ in it. Not 0.
fn incarnation(disk: u128) -> u64 {
    ((disk >> 64) as u64 ^ disk as u64).max(1)
}

/// Where all others are; `None` if it was told to stop. Names that have no address may have one later.
fn addresses(members: &Members, node: u32, log: &Log, stopped: &dyn Fn() -> bool) -> Option<Vec<(u32, SocketAddr)>> {
    let mut told = false;
    loop {
        let mut failed = None;
        let others: Vec<(u32, SocketAddr)> = members
            .others(node)
            .filter_map(|member| match member.address.resolve() {
                Ok(address) => Some((member.node, address)),
                Err(error) => {
                    failed =
                        Some(format!("waiting for the address of node {}, {}: {error}", member.node, member.address));
                    None
                }
            })
            .collect();
        let Some(line) = failed else { return Some(others) };
        if !std::mem::replace(&mut told, true) {
            log.warn("torc", &line);
        }
        if stopped() {
            return None;
        }
        thread::sleep(LOOK_UP);
    }
}

impl From<FormError> for ServeError {
    fn from(error: FormError) -> ServeError {
        match error {
            FormError::Keep(error) => ServeError::DataDir(error),
            FormError::Refused(why) => ServeError::Settings(why),
            FormError::Io { what, error } => ServeError::Io { what, want: Want::Descriptor, error },
        }
    }
}
