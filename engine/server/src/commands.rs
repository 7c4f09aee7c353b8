//! ZooKeeper's admin commands over HTTP: `/commands/NAME`, answered in JSON with the names and keys of ZooKeeper 3.9.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use torc_shard::znodes::facts::{Connection, Detail, Facts, Member, Mode, Number, OfSession};
use torc_shard::znodes::words::{self, Reset};

/// Under which all commands are.
pub const PATH: &str = "/commands";
const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";
const ELSEWHERE: &str = "torc makes its snapshots by itself; `torc znode export` and `torc znode import` copy znodes";

/// One command.
#[derive(Debug)]
pub struct Command {
    /// The one that answers show, then the others.
    names: &'static [&'static str],
    /// Lists that the answer needs.
    pub detail: Detail,
    /// What it does besides.
    pub reset: Option<Reset>,
    /// Answered by a server that serves nobody.
    always: bool,
    fill: fn(&Facts, &mut Map<String, Value>),
}

const fn command(names: &'static [&'static str], fill: fn(&Facts, &mut Map<String, Value>)) -> Command {
    Command { names, detail: Detail::None, reset: None, always: false, fill }
}

/// All of them, by their first names.
static COMMANDS: &[Command] = &[
    command(&["configuration", "conf", "config"], configuration),
    Command { reset: Some(Reset::Connections), ..command(&["connection_stat_reset", "crst"], nothing) },
    Command {
        detail: Detail::Connections,
        ..command(&["connections", "cons"], |facts, out| connections(facts, out, false))
    },
    command(&["dirs"], |facts, out| {
        put(out, "datadir_size", facts.snapshot_bytes);
        put(out, "logdir_size", facts.log_bytes);
    }),
    Command { detail: Detail::Sessions, ..command(&["dump"], dump) },
    Command { always: true, ..command(&["environment", "env", "envi"], environment) },
    Command {
        always: true,
        ..command(&["get_trace_mask", "gtmk"], |facts, out| put(out, "tracemask", facts.trace_mask))
    },
    command(&["hash"], |facts, out| {
        let digest = |(zxid, digest): &_| json!({ "zxid": number_of(*zxid), "digest": digest, "digest_version": 2 });
        put(out, "digests", facts.digests.iter().map(digest).collect::<Vec<_>>());
    }),
    command(&["initial_configuration", "icfg"], |facts, out| {
        let members = facts.ensemble.as_ref().map(|ensemble| &ensemble.members[..]);
        put(out, "initial_configuration", members.map(words::membership));
    }),
    command(&["is_read_only", "isro"], |facts, out| put(out, "read_only", facts.mode == Mode::ReadOnly)),
    command(&["last_snapshot", "lsnp"], |facts, out| {
        let (zxid, timestamp) = facts.last_snapshot.map_or((-1, -1), |(zxid, made)| (zxid.0, made.0 / 1_000));
        put(out, "zxid", format!("{zxid:x}"));
        put(out, "timestamp", timestamp);
    }),
    command(&["leader", "lead"], leader),
    command(&["monitor", "mntr"], monitor),
    command(&["observer_connection_stat_reset", "orst"], nothing),
    command(&["observers", "obsr"], observers),
    command(&["restore", "rest"], |_, out| put(out, "error", ELSEWHERE)),
    command(&["ruok"], nothing),
    command(&["server_stats", "srvr"], server_stats),
    Command {
        always: true,
        ..command(&["set_trace_mask", "stmk"], |facts, out| put(out, "tracemask", facts.trace_mask))
    },
    command(&["snapshot", "snap"], |_, out| put(out, "error", ELSEWHERE)),
    Command { reset: Some(Reset::Server), ..command(&["stat_reset", "srst"], nothing) },
    Command {
        detail: Detail::Connections,
        ..command(&["stats", "stat"], |facts, out| {
            server_stats(facts, out);
            connections(facts, out, true);
        })
    },
    Command { always: true, ..command(&["system_properties", "sysp"], environment) },
    command(&["voting_view"], voting_view),
    command(&["watch_summary", "wchs"], |facts, out| {
        put(out, "num_connections", facts.watch_counts.connections);
        put(out, "num_paths", facts.watch_counts.paths);
        put(out, "num_total_watches", facts.watch_counts.data);
    }),
    Command {
        detail: Detail::Watches,
        ..command(&["watches", "wchc"], |facts, out| {
            let by_session = facts.watches.iter().map(|(session, paths)| (session.0.to_string(), json!(paths)));
            put(out, "session_id_to_watched_paths", by_session.collect::<Map<_, _>>());
        })
    },
    Command {
        detail: Detail::Watches,
        ..command(&["watches_by_path", "wchp"], |facts, out| {
            let ids = |sessions: Vec<_>| sessions.into_iter().map(number_of_session).collect::<Vec<_>>();
            let by_path =
                words::by_path(facts).into_iter().map(|(path, sessions)| (path.to_string(), json!(ids(sessions))));
            put(out, "path_to_session_ids", by_path.collect::<Map<_, _>>());
        })
    },
    command(&["zabstate"], zab_state),
];

/// The command of that name.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.names.contains(&name))
}

/// A line for each command, as a page.
pub fn links() -> String {
    let link = |command: &Command| format!("<a href=\"{PATH}/{0}\">{0}</a>\n<br/>\n", command.names[0]);
    COMMANDS.iter().map(link).collect()
}

/// The answer to a command that was found; without facts nobody is served now.
pub fn answer(command: &Command, facts: Option<&Facts>, query: &str) -> Value {
    let mut out = Map::new();
    put(&mut out, "command", command.names[0]);
    put(&mut out, "error", Value::Null);
    match facts.filter(|facts| facts.is_serving || command.always) {
        None => put(&mut out, "error", NOT_SERVING),
        Some(_) if command.names[0] == "set_trace_mask" => trace_mask(query, &mut out),
        Some(facts) => (command.fill)(facts, &mut out),
    }
    Value::Object(out)
}

/// The answer to a name that is no command's.
pub fn unknown(name: &str) -> Value {
    json!({ "command": name, "error": format!("Unknown command: {name}") })
}

fn put(out: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    out.insert(key.to_string(), value.into());
}

fn number_of(zxid: torc_base::ids::Zxid) -> i64 {
    zxid.0
}

fn number_of_session(session: torc_base::ids::SessionId) -> i64 {
    session.0
}

fn nothing(_: &Facts, _: &mut Map<String, Value>) {}

/// The mask does nothing here, and is said again.
fn trace_mask(query: &str, out: &mut Map<String, Value>) {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("traceMask="));
    match value.map(|text| (text, text.parse::<i64>())) {
        Some((_, Ok(mask))) => put(out, "tracemask", mask),
        Some((text, Err(_))) => put(out, "error", format!("setTraceMask requires long traceMask argument, got {text}")),
        None => put(out, "error", "setTraceMask requires long traceMask argument"),
    }
}

fn configuration(facts: &Facts, out: &mut Map<String, Value>) {
    let conf = &facts.conf;
    put(out, "client_port", conf.client_port);
    put(out, "data_dir", conf.data_dir.as_str());
    put(out, "data_log_dir", conf.data_dir.as_str());
    put(out, "tick_time", conf.tick_ms);
    put(out, "max_client_cnxns", conf.max_connections_per_ip);
    put(out, "min_session_timeout", conf.min_session_ms);
    put(out, "max_session_timeout", conf.max_session_ms);
    put(out, "server_id", conf.server_id);
    put(out, "client_port_listen_backlog", -1);
}

fn connections(facts: &Facts, out: &mut Map<String, Value>, brief: bool) {
    let all: Vec<Value> = facts.connections.iter().map(|connection| of_connection(connection, brief)).collect();
    put(out, "connections", all);
    put(out, "secure_connections", Vec::<Value>::new());
}

fn of_connection(connection: &Connection, brief: bool) -> Value {
    let mut value = Map::new();
    let out = &mut value;
    put(out, "remote_socket_address", torc_shard::znodes::facts::java_address(connection.remote));
    put(out, "interest_ops", i32::from(connection.is_read));
    put(out, "outstanding_requests", connection.queued);
    put(out, "packets_received", connection.received);
    put(out, "packets_sent", connection.sent);
    if let Some(session) = connection.session.as_ref().filter(|_| !brief) {
        let OfSession { id, last_operation, established, timeout_ms, last_cxid, last_zxid, latency, .. } = session;
        put(out, "session_id", id.0);
        put(out, "last_operation", *last_operation);
        put(out, "established", established.0);
        put(out, "session_timeout", *timeout_ms);
        put(out, "last_cxid", *last_cxid);
        put(out, "last_zxid", last_zxid.0);
        put(out, "last_response_time", session.last_response_ms);
        put(out, "last_latency", session.last_latency_ms);
        put(out, "min_latency", latency.min);
        put(out, "avg_latency", latency.sum.checked_div(latency.count).unwrap_or(0));
        put(out, "max_latency", latency.max);
    }
    Value::Object(value)
}

fn dump(facts: &Facts, out: &mut Map<String, Value>) {
    let mut by_time: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for session in &facts.sessions {
        if let Some(expires) = session.expires {
            by_time.entry(expires.0).or_default().push(session.id.0);
        }
    }
    let by_time: Map<String, Value> = by_time.into_iter().map(|(time, ids)| (time.to_string(), json!(ids))).collect();
    put(out, "expiry_time_to_session_ids", by_time);
    let paths = facts.ephemerals.iter().map(|(session, paths)| (session.0.to_string(), json!(paths)));
    put(out, "session_id_to_ephemeral_paths", paths.collect::<Map<_, _>>());
}

fn environment(facts: &Facts, out: &mut Map<String, Value>) {
    put(out, "zookeeper.version", facts.version.as_str());
    facts.environment.iter().for_each(|(name, value)| put(out, name, value.as_str()));
}

fn leader(facts: &Facts, out: &mut Map<String, Value>) {
    let Some(ensemble) = &facts.ensemble else { return put(out, "error", "server is not initialized") };
    let leader = ensemble.members.iter().find(|member| Some(member.id) == ensemble.leader);
    put(out, "is_leader", facts.mode == Mode::Leader);
    put(out, "leader_id", ensemble.leader.map_or(-1, i64::from));
    put(out, "leader_ip", leader.map_or("", |leader| leader.host.as_str()));
}

fn monitor(facts: &Facts, out: &mut Map<String, Value>) {
    put(out, "version", facts.version.as_str());
    put(out, "server_state", facts.mode.name());
    if let Some(state) = words::peer_state(facts) {
        put(out, "peer_state", state);
    }
    for figure in facts.figures() {
        match figure.number {
            Number::Whole(number) => put(out, figure.name, number),
            Number::Real(number) => put(out, figure.name, number),
        }
    }
}

fn observers(facts: &Facts, out: &mut Map<String, Value>) {
    let members = facts.ensemble.iter().flat_map(|ensemble| &ensemble.members);
    let synced: Vec<&Member> = match facts.mode {
        Mode::Leader => members.filter(|member| member.is_observer && member.is_synced).collect(),
        _ => Vec::new(),
    };
    put(out, "synced_observers", synced.len());
    let observer = |member: &&Member| json!({ "sid": member.id, "remote_socket_address": format!("{}:{}", member.host, member.port) });
    put(out, "observers", synced.iter().map(observer).collect::<Vec<_>>());
}

fn sizes((last, min, max): (i64, i64, i64)) -> Value {
    json!({ "last_buffer_size": last, "min_buffer_size": min, "max_buffer_size": max })
}

fn server_stats(facts: &Facts, out: &mut Map<String, Value>) {
    let responses = sizes(facts.response_sizes.numbers());
    put(out, "version", facts.version.as_str());
    put(out, "read_only", facts.mode == Mode::ReadOnly);
    let stats = json!({
        "packets_sent": facts.sent,
        "packets_received": facts.received,
        "client_response_stats": responses,
        "server_state": facts.mode.name(),
        "provider_null": false,
        "uptime": facts.uptime_ms,
        "min_latency": facts.latency.min,
        "avg_latency": facts.latency.average(),
        "max_latency": facts.latency.max,
        "outstanding_requests": facts.outstanding,
        "last_processed_zxid": facts.zxid.0,
        "data_dir_size": facts.snapshot_bytes,
        "log_dir_size": facts.log_bytes,
        "num_alive_client_connections": facts.alive_connections,
        "auth_failed_count": facts.auth_failures,
    });
    put(out, "server_stats", stats);
    put(out, "client_response", responses);
    if let Some(ensemble) = facts.ensemble.as_ref().filter(|_| facts.mode == Mode::Leader) {
        put(out, "proposal_stats", sizes(ensemble.proposals.numbers()));
    }
    put(out, "node_count", facts.znodes);
}

fn voting_view(facts: &Facts, out: &mut Map<String, Value>) {
    let members = facts.ensemble.iter().flat_map(|ensemble| &ensemble.members).filter(|member| !member.is_observer);
    let view = members.map(|member| {
        let address = format!("{}:{}", member.host, member.port);
        let client = member.client.as_ref().map_or(String::new(), |(host, port)| format!("{host}:{port}"));
        let view = json!({
            "server_addresses": [address],
            "election_addresses": [address],
            "client_address": client,
            "learner_type": "participant",
        });
        (member.id.to_string(), view)
    });
    put(out, "current_config", view.collect::<Map<_, _>>());
}

fn zab_state(facts: &Facts, out: &mut Map<String, Value>) {
    let Some(ensemble) = &facts.ensemble else {
        put(out, "voting", false);
        return put(out, "zabstate", "");
    };
    let me = ensemble.members.iter().find(|member| member.id == facts.conf.server_id);
    let address = me.map(|member| format!("{}:{}", member.host, member.port));
    put(out, "myid", facts.conf.server_id);
    put(out, "is_leader", facts.mode == Mode::Leader);
    put(out, "quorum_address", address.clone());
    put(out, "election_address", address);
    put(
        out,
        "client_address",
        me.and_then(|member| member.client.as_ref()).map(|(host, port)| format!("{host}:{port}")),
    );
    put(out, "voting", me.is_some_and(|member| !member.is_observer));
    put(out, "last_zxid", format!("0x{:x}", facts.zxid.0));
    put(out, "zab_epoch", facts.zxid.0 >> 32);
    put(out, "zab_counter", facts.zxid.0 & 0xffff_ffff);
    put(out, "zabstate", "broadcast");
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
