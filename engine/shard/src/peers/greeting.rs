//! Who is let in, and why not.

use super::Roster;
use super::known::WITH_ENTRY_BYTES;
use crate::settings::Settings;
use std::fmt;
use std::ops::RangeInclusive;
use torc_base::ids::NodeId;
use torc_base::limits::{ENTRY_BYTES_MAX, SHARDS_MAX};
use torc_net::foreign::{Foreign, is_kafka_request, is_zookeeper_connect};
use torc_net::peer::{Hello, Reason, Refusal, VERSIONS, Welcome};

/// What this shard knows of the node that calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// The start and the shards of a process of that node that has a link here.
    pub linked: Option<(u64, u16)>,
    /// Who belongs to the cluster.
    pub roster: &'a Roster,
}

/// A cluster's id as people read it.
pub(super) struct Cluster(pub u128);

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("no cluster") } else { write!(f, "cluster {:032x}", self.0) }
    }
}

/// Who sent this frame, which is none of a peer's.
pub(super) fn foreign(frame: &[u8]) -> Option<Foreign> {
    match frame {
        frame if is_zookeeper_connect(frame) => Some(Foreign::ZooKeeper),
        frame if is_kafka_request(frame) => Some(Foreign::Kafka),
        _ => None,
    }
}

/// The versions of the peers' protocol that this node speaks. Older servers cannot read that its logs take less than theirs.
pub(super) fn versions(settings: &Settings) -> RangeInclusive<u16> {
    let least = if settings.wal.entry_bytes_max() < ENTRY_BYTES_MAX { WITH_ENTRY_BYTES } else { *VERSIONS.start() };
    least..=settings.cluster.newest_version.min(*VERSIONS.end())
}

/// Says why a caller is not let in. `running`: this shard has read its log.
pub(super) fn check(hello: &Hello, settings: &Settings, known: Known<'_>, running: bool) -> Result<(), Refusal> {
    let (here, caller) = (settings.node, hello.node);
    let refuse = |reason, text| Err(Refusal { reason, text });
    let own = versions(settings);
    if hello.common_version(&own).is_none() {
        let (low, high) = hello.versions;
        let (first, last) = (own.start(), own.end());
        let text = format!(
            "node {caller} speaks versions {low} to {high} of the peers' protocol, node {here} {first} to {last}: \
             upgrade the older one"
        );
        return refuse(Reason::Version, text);
    }
    if hello.cluster != settings.cluster.id {
        let (ours, theirs) = (Cluster(settings.cluster.id), Cluster(hello.cluster));
        let text =
            format!("node {here} belongs to {ours}, and node {caller}, which calls, to {theirs}: see --peers of both");
        return refuse(Reason::Cluster, text);
    }
    if hello.to_node != here {
        let text =
            format!("node {caller} looks for node {}, and this is node {here}: see --peers of both", hello.to_node);
        return refuse(Reason::Node, text);
    }
    if caller == here {
        return refuse(Reason::DoubledNode, format!("there are two nodes {here}: give one of them another --node-id"));
    }
    if known.roster.server(caller).is_none() {
        let text = match known.roster.gone(caller) {
            Some(_) => {
                format!("node {caller} was removed from the cluster: to have it join anew, start it with --join")
            }
            None => format!("node {here} knows no node {caller}: it is not in its --peers, and has not joined"),
        };
        return refuse(Reason::UnknownNode, text);
    }
    if known.roster.is_another_disk(caller, hello.disk) {
        return refuse(Reason::DoubledNode, another_disk(caller));
    }
    if caller > here {
        let text = format!("node {caller} calls node {here}, and of two nodes the lower one calls");
        return refuse(Reason::Node, text);
    }
    let shards = usize::from(hello.shards);
    if shards == 0 || shards > SHARDS_MAX || hello.from.0 >= hello.shards {
        return refuse(Reason::Shard, format!("node {caller} has no shard {} of {shards}", hello.from));
    }
    if hello.to.0 >= settings.shards {
        let text = format!("node {here} has {} shards, and shard {} was called", settings.shards, hello.to);
        return refuse(Reason::Shard, text);
    }
    if !running {
        return refuse(Reason::NotReady, format!("node {here} still reads its log, or its disk has failed"));
    }
    match known.linked {
        Some((start, _)) if start != hello.start => {
            let text = format!(
                "another process is node {caller} already: if it was not just restarted, give one of them another --node-id"
            );
            refuse(Reason::DoubledNode, text)
        }
        Some((_, shards)) if shards != hello.shards => {
            let text = format!("node {caller} has {shards} shards, as it said before, and now says {}", hello.shards);
            refuse(Reason::Shard, text)
        }
        _ => Ok(()),
    }
}

fn another_disk(node: NodeId) -> String {
    format!("node {node} has another disk by now: this one does not belong to the cluster any more")
}

/// Says why the answer of `node` does not fit.
pub(super) fn check_welcome(
    welcome: &Welcome,
    settings: &Settings,
    roster: &Roster,
    node: NodeId,
) -> Result<(), String> {
    if !versions(settings).contains(&welcome.version) {
        return Err(format!("node {node} wants to speak version {}, which was not offered", welcome.version));
    }
    if welcome.cluster != settings.cluster.id {
        let (ours, theirs) = (Cluster(settings.cluster.id), Cluster(welcome.cluster));
        return Err(format!("node {node} belongs to {theirs}, and this node to {ours}"));
    }
    if roster.is_another_disk(node, welcome.disk) {
        return Err(another_disk(node));
    }
    if welcome.shards == 0 || usize::from(welcome.shards) > SHARDS_MAX {
        return Err(format!("node {node} says that it has {} shards", welcome.shards));
    }
    Ok(())
}
