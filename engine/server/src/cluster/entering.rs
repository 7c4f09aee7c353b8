//! What a server of a cluster does between its data directory and its shards: it opens the sockets for the others, waits for
//! the cluster to be founded if it is not yet, and looks up where the others are.

use super::forming::{FormError, Formed, Former, Teller, form};
use super::wire::{Form, Speaker};
use super::{Joined, Joiner, Knock, Member, Members, join};
use crate::config::Config;
use crate::data_dir::{DataDir, Identity, Membership, Opened, Unformed};
use crate::error::ServeError;
use crate::listen::{self, Patience};
use crate::log::Log;
use crate::machine;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use torc_reactor::resources::Want;

/// What others are told to change if the socket cannot be had.
const SETTING: &str = "--peer";
/// Between two looks for the address of a name.
const LOOK_UP: Duration = Duration::from_millis(200);
/// How long a server that starts again waits for the addresses of names, as long as it has some.
const NAME_TIME: Duration = Duration::from_secs(10);

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
    /// What it asks the others beside its shards.
    pub knock: Knock,
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
    let (node, shards, own) = match &opened {
        Opened::Unformed(unformed) => {
            let own = unformed.members.as_ref().and_then(|members| members.address(unformed.node_id));
            (unformed.node_id, unformed.shards, own.cloned())
        }
        Opened::Ready(data) => match &data.identity.membership {
            Some(membership) => {
                let node = data.identity.node_id;
                (node, data.identity.shards, membership.address(node).cloned())
            }
            None => return alone(config, opened, start),
        },
    };
    let Some(listen) = config.peer.clone().or(own) else {
        let why = "a server that joins a cluster says where the others reach it: give it --peer HOST:PORT";
        return Err(ServeError::Settings(why.to_string()));
    };
    let sockets = listen::shared("other servers", &listen, SETTING, shards, patience)?;
    let listens = sockets[0].local_addr().map_err(io("ask for the port"))?;
    let me = Speaker { node, start };
    let data = match opened {
        Opened::Ready(data) => data,
        Opened::Unformed(unformed) => {
            let kept = match unformed.members.clone() {
                Some(members) => await_founding(&unformed, members, me, &sockets, log, stopped)?,
                None => come_in(config, &unformed, me, listens, log, stopped)?,
            };
            match kept {
                Some(identity) => unformed.ready(identity),
                None => return Ok(Err(Stopped)),
            }
        }
    };
    let membership = data.identity.membership.as_ref().expect("it has been kept");
    let places = places(membership, node);
    let Some(others) = addresses(&places, !data.fresh, log, stopped) else { return Ok(Err(Stopped)) };
    let Membership { founding, disk, .. } = membership;
    if data.fresh {
        log.info("torc", &founded(membership, node, &data.identity.cluster_id));
    }
    let doubt = (!founding.has(node, *disk)).then(|| incarnation(*disk));
    let answer = Form::Founded(founding.clone()).encode(me);
    let knock = Knock {
        me,
        cluster: founding.cluster,
        disk: *disk,
        address: membership.joined.is_some().then_some(listens),
        others: others.iter().map(|(_, address)| *address).collect(),
    };
    let peering = Peering { sockets, listens, others, answer, doubt, knock };
    Ok(Ok(Entered { data, start, peering: Some(peering) }))
}

/// Waits for the cluster to be founded with this server; `None`: it was told to stop before.
fn await_founding(
    unformed: &Unformed,
    members: Members,
    me: Speaker,
    sockets: &[TcpListener],
    log: &Log,
    stopped: &dyn Fn() -> bool,
) -> Result<Option<Identity>, ServeError> {
    let (tell, warn) = (log.clone(), log.clone());
    let former = Former {
        me,
        disk: unformed.disk,
        members,
        tell: Arc::new(move |line: &str| tell.info("torc", line)) as Teller,
        warn: Arc::new(move |line: &str| warn.warn("torc", line)) as Teller,
    };
    let mut identity = None;
    let keep = |founding: &_| unformed.keep(founding, None).map(|made| identity = Some(made));
    Ok(match form(former, sockets, keep, stopped)? {
        Formed::Founded(_) => Some(identity.expect("it is kept before the forming ends")),
        Formed::Stopped => None,
    })
}

/// Waits for a cluster that runs to let this server in; `None`: it was told to stop before.
fn come_in(
    config: &Config,
    unformed: &Unformed,
    me: Speaker,
    listens: SocketAddr,
    log: &Log,
    stopped: &dyn Fn() -> bool,
) -> Result<Option<Identity>, ServeError> {
    let tell = log.clone();
    let joiner = Joiner {
        me,
        disk: unformed.disk,
        listens,
        at: config.join.clone().expect("it joins"),
        tell: Arc::new(move |line: &str| tell.info("torc", line)) as Teller,
    };
    match join(&joiner, stopped)? {
        Joined::In { founding, servers } => Ok(Some(unformed.keep(&founding, Some(servers))?)),
        Joined::Stopped => Ok(None),
    }
}

/// All other servers, as the directory says where they are.
fn places(membership: &Membership, node: u32) -> Vec<Member> {
    let all: Vec<Member> = match &membership.joined {
        Some(servers) => servers.clone(),
        None => membership.founding.members.iter().cloned().collect(),
    };
    all.into_iter().filter(|member| member.node != node).collect()
}

/// A server without others needs no sockets for them.
fn alone(config: &Config, opened: Opened, start: u64) -> Result<Result<Entered, Stopped>, ServeError> {
    let Opened::Ready(data) = opened else { unreachable!("an unformed server is not alone") };
    if config.peer.is_some() {
        let why = "torc.peer.listener is for servers of a cluster, and this is a single one: name all servers with --peers, or have it join some with --join";
        return Err(ServeError::Settings(why.to_string()));
    }
    Ok(Ok(Entered { data, start, peering: None }))
}

fn founded(membership: &Membership, node: u32, cluster: &str) -> String {
    let Membership { founding, disk, joined } = membership;
    if let Some(servers) = joined {
        let others: Vec<String> =
            servers.iter().map(|m| m.node).filter(|n| *n != node).map(|n| n.to_string()).collect();
        return format!("node {node} has joined cluster {cluster}, beside nodes {}", others.join(", "));
    }
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

/// Where all others are; `None` if it was told to stop. Names that have no address may have one later: that is waited for, by a
/// server that `starts_again` for a while, since whoever had that name may be gone for good.
fn addresses(
    members: &[Member],
    starts_again: bool,
    log: &Log,
    stopped: &dyn Fn() -> bool,
) -> Option<Vec<(u32, SocketAddr)>> {
    let began = Instant::now();
    let mut told = false;
    loop {
        let mut failed = None;
        let others: Vec<(u32, SocketAddr)> = members
            .iter()
            .filter_map(|member| match member.address.resolve() {
                Ok(address) => Some((member.node, address)),
                Err(error) => {
                    failed = Some(format!("the address of node {}, {}: {error}", member.node, member.address));
                    None
                }
            })
            .collect();
        let Some(what) = failed else { return Some(others) };
        if starts_again && began.elapsed() >= NAME_TIME && !others.is_empty() {
            log.warn("torc", &format!("going on without {what}"));
            return Some(others);
        }
        if !std::mem::replace(&mut told, true) {
            log.warn("torc", &format!("waiting for {what}"));
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
