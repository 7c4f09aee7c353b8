//! What is counted, and what monitoring is told.

use super::clients::Stage;
use super::facts::{
    Connection, Counters, Detail, Ensemble, Facts, Latency, Member, Mode, OfSession, Session, Sizes, WatchCounts,
    last_operation,
};
use super::words::{self, Reset};
use super::{Around, Lead, Znodes};
use crate::settings::Protocol;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use torc_base::ids::{ConnId, GroupId, SessionId, Zxid};
use torc_base::time::{Mono, Now, Wall};

/// ZooKeeper's number for what makes a session, which no client sends.
const CREATE_SESSION: i32 = -10;

/// Of all clients.
#[derive(Default)]
pub(super) struct Meters {
    pub(super) received: u64,
    pub(super) sent: u64,
    latency: Latency,
    sizes: Sizes,
    pub(super) auth_failures: u64,
    pub(super) counters: Counters,
    since: Option<Mono>,
}

impl Meters {
    pub(super) fn answered(&mut self, ms: u64, bytes: usize) {
        self.sent += 1;
        self.latency.add(ms);
        self.sizes.add(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.counters.answered_bytes += bytes as u64;
    }

    /// Clients are served since then. True: they were not before.
    pub(super) fn begin(&mut self, now: Mono) -> bool {
        let is_new = self.since.is_none();
        self.since.get_or_insert(now);
        is_new
    }
}

/// Of one client.
#[derive(Default)]
pub(super) struct ClientMeters {
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) established: Wall,
    latency: Latency,
    last_ms: u64,
    last_op: i32,
    /// Of the last request that has a number of its client's.
    last_cxid: Option<i32>,
    last_zxid: Zxid,
    answered_at: Wall,
}

impl ClientMeters {
    pub(super) fn note(&mut self, cxid: i32, op: i32) {
        self.last_op = op;
        // As in ZooKeeper: numbers below 0 are those of pings and the like.
        if cxid >= 0 {
            self.last_cxid = Some(cxid);
        }
    }

    /// Its session began with it, which counts as a request.
    pub(super) fn note_new_session(&mut self) {
        self.note(0, CREATE_SESSION);
    }

    pub(super) fn answered(&mut self, now: Now, ms: u64, zxid: Zxid) {
        self.sent += 1;
        self.latency.add(ms);
        (self.last_ms, self.last_zxid, self.answered_at) = (ms, zxid, now.wall);
    }
}

impl Znodes {
    /// Answers a four-letter word, and closes its connection.
    pub(super) fn answer_word(&mut self, around: &mut Around, conn: ConnId, word: &'static str) {
        if self.begin_list(around, conn, word) {
            return;
        }
        let facts = self.facts(around, words::detail(word));
        let text = words::answer(word, &facts);
        if let Some(reset) = words::reset(word).filter(|_| words::is_allowed(word, &facts.allowed)) {
            self.reset(reset);
        }
        let bytes = self.packer.put(text.as_bytes());
        around.conns.push(around.out.now.mono, conn, bytes);
        self.end(around, conn);
    }

    /// Numbers begin anew.
    pub fn reset(&mut self, what: Reset) {
        match what {
            Reset::Server => self.meters = Meters { since: self.meters.since, ..Meters::default() },
            Reset::Connections => {
                for client in self.clients.values_mut() {
                    let established = client.meters.established;
                    client.meters = ClientMeters { established, ..ClientMeters::default() };
                }
            }
        }
    }

    /// What this node knows. What comes in parts ([`Detail::in_parts`]) is not among it: see [`Znodes::some_of`].
    pub fn facts(&self, around: &mut Around, detail: Detail) -> Facts {
        let now = around.out.now;
        let (watches, paths, watchers) = self.watches.data_counts();
        let has_tree = around.groups.has_tree();
        let (mode, ensemble) = self.ensemble(around);
        let mut facts = Facts {
            is_serving: has_tree && (self.lead.0 != Lead::Nobody || mode == Mode::ReadOnly),
            local_sessions: self.locals.len() as u64,
            mode,
            ensemble,
            latency: self.meters.latency,
            received: self.meters.received,
            sent: self.meters.sent,
            response_sizes: self.meters.sizes,
            outstanding: self.clients.values().map(|client| client.line.len() as u64).sum(),
            uptime_ms: self.meters.since.map_or(0, |since| now.mono.since(since) / 1_000_000),
            auth_failures: self.meters.auth_failures,
            counters: self.meters.counters,
            alive_connections: self.clients.len() as u64,
            watch_counts: WatchCounts {
                connections: watchers as u64,
                paths: paths as u64,
                data: watches as u64,
                children: self.watches.of_children() as u64,
            },
            ..Facts::of(&self.settings).expect("ZooKeeper's clients are served")
        };
        if has_tree {
            self.add_tree(around, &mut facts);
        }
        // One directory has all of it.
        facts.log_bytes = self.stats.wal_live_bytes.load(Ordering::Relaxed);
        facts.snapshot_bytes = facts.log_bytes;
        self.add_lists(around, detail, &mut facts);
        facts
    }

    fn add_tree(&self, around: &Around, facts: &mut Facts) {
        let tree = around.tree();
        let (znodes, ephemerals) = tree.znodes();
        facts.zxid = tree.zxid();
        facts.znodes = znodes as u64;
        facts.ephemeral_znodes = ephemerals as u64;
        facts.data_bytes = tree.data_bytes();
        facts.global_sessions = tree.sessions().len() as u64;
        facts.digests = Vec::from_iter((tree.applying() == 0).then(|| (tree.zxid(), tree.digest() as i64)));
    }

    /// The members of the tree's group, as this node knows them; `None`: it is alone, or not one of them.
    pub(super) fn members(&self, around: &Around) -> Option<Vec<Member>> {
        if self.settings.is_alone() || !around.groups.has_tree() {
            return None;
        }
        let me = self.settings.node;
        let own = || {
            let listener = self.settings.listeners.iter().find(|listener| listener.protocol == Protocol::Peer);
            listener.map(|listener| listener.advertised.clone())
        };
        // Those that were let in, or have moved, since the others began together.
        let admitted = |node| {
            let catalog = around.groups.has_catalog().then(|| around.groups.catalog().state())?;
            catalog.membership().admitted(node)?.address.parse::<SocketAddr>().ok()
        };
        let known = |node| self.settings.cluster.peer(node).map(|peer| peer.address);
        let told = |address: SocketAddr| (address.ip().to_string(), address.port());
        let (_, configuration) = around.groups.members(GroupId::TREE);
        let member = |member: &torc_consensus::Member| {
            let is_me = member.id == me;
            let begun = || if is_me { own() } else { known(member.id).map(told) };
            let (host, port) = admitted(member.id).map(told).or_else(begun).unwrap_or_default();
            Member {
                id: member.id.get(),
                host,
                port,
                is_observer: !member.seat.votes(),
                is_synced: is_me || around.groups.has_caught_up(GroupId::TREE, member.id),
                // That of one alone would be taken for all that there are: clients of such a list forget the others.
                client: None,
            }
        };
        Some(configuration.members().iter().map(member).collect())
    }

    fn ensemble(&self, around: &Around) -> (Mode, Option<Ensemble>) {
        let Some(members) = self.members(around) else { return (Mode::Standalone, None) };
        let (lead, _, since) = self.lead;
        if self.is_without_leader(around.out.now.mono) && self.reads_alone(around) {
            return (Mode::ReadOnly, None);
        }
        let me = self.settings.node;
        let observes = members.iter().any(|member| member.id == me.get() && member.is_observer);
        let (mode, leader) = match lead {
            Lead::Here => (Mode::Leader, Some(me.get())),
            Lead::There(node) if observes => (Mode::Observer, Some(node.get())),
            Lead::There(node) => (Mode::Follower, Some(node.get())),
            Lead::Nobody => (Mode::Follower, None),
        };
        let leads_for_ms = if lead == Lead::Here { around.out.now.mono.since(since) / 1_000_000 } else { 0 };
        let about = &self.zookeeper.about;
        let (init_limit, sync_limit) = (about.init_limit, about.sync_limit);
        (mode, Some(Ensemble { members, leader, leads_for_ms, init_limit, sync_limit, ..Ensemble::default() }))
    }

    fn add_lists(&self, around: &Around, detail: Detail, facts: &mut Facts) {
        if matches!(detail, Detail::Connections | Detail::Sessions) {
            facts.connections = self.connections();
        }
        if detail == Detail::Sessions && around.groups.has_tree() {
            let (tree, now) = (around.tree(), around.out.now);
            let expires = |id| {
                let at = self.expiry.as_ref()?.deadline(id)?;
                Some(Wall(now.wall.0 + (at.since(now.mono) / 1_000_000) as i64))
            };
            let session = |(id, session): (SessionId, torc_state::tree::Session)| Session {
                id,
                timeout_ms: session.timeout_ms as i32,
                expires: expires(id),
            };
            facts.sessions = tree.sessions().map(session).collect();
        }
    }

    fn connections(&self) -> Vec<Connection> {
        self.clients
            .values()
            .map(|client| {
                let meters = &client.meters;
                let of_session = OfSession {
                    id: client.session,
                    last_operation: last_operation(meters.last_op),
                    established: meters.established,
                    timeout_ms: client.timeout_ms as i32,
                    last_cxid: meters.last_cxid.unwrap_or(-1),
                    last_zxid: meters.last_zxid,
                    last_response_ms: meters.answered_at.0.max(0) as u64,
                    last_latency_ms: meters.last_ms,
                    latency: meters.latency,
                };
                Connection {
                    remote: client.peer,
                    is_read: client.stage == Stage::Open,
                    queued: client.line.len() as u64,
                    received: meters.received,
                    sent: meters.sent,
                    session: (client.session != SessionId::NONE).then_some(of_session),
                }
            })
            .collect()
    }
}
