//! ZooKeeper's four-letter words: the first four bytes of a connection may be one, and the answer is text, after which the
//! connection is closed. Lines are those of ZooKeeper 3.8 and 3.9, which scripts and exporters parse.

use super::facts::{
    Connection, Detail, Facts, ListOf, ListPart, ListPlace, Member, Mode, Number, Session, java_address, java_date,
    java_double,
};
use std::collections::BTreeMap;
use std::fmt::Write;
use torc_base::ids::SessionId;
use torc_base::time::Wall;

/// All of them.
pub const WORDS: [&str; 18] = [
    "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "ruok", "stmk", "srvr", "srst", "stat", "wchc", "wchp",
    "wchs", "mntr", "isro", "hash",
];

/// The one that is always answered: scripts that start servers ask for it.
const ALWAYS: &str = "srvr";
const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";
/// What tracing is set to at the start, as in ZooKeeper; it does nothing here.
pub const TRACE_MASK: i64 = 306;
/// Bytes that follow `stmk`: the mask, a big-endian number.
pub const MASK_BYTES: usize = 8;

/// What a word does besides its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Numbers of the server begin anew.
    Server,
    /// Those of each connection.
    Connections,
}

/// The word that these bytes are.
pub fn word(bytes: [u8; 4]) -> Option<&'static str> {
    WORDS.into_iter().find(|word| word.as_bytes() == bytes)
}

/// True if the word is answered by a server that allows these (`4lw.commands.whitelist`).
pub fn is_allowed(word: &str, allowed: &[String]) -> bool {
    word == ALWAYS || allowed.iter().any(|allowed| matches!(allowed.trim(), text if text == "*" || text == word))
}

/// The lists that the answer to an allowed word needs.
pub fn detail(word: &str) -> Detail {
    match word {
        "cons" | "stat" => Detail::Connections,
        "dump" => Detail::Sessions,
        "wchc" | "wchp" => Detail::Watches,
        _ => Detail::None,
    }
}

/// What an allowed word does to a server that serves.
pub fn reset(word: &str) -> Option<Reset> {
    match word {
        "srst" => Some(Reset::Server),
        "crst" => Some(Reset::Connections),
        _ => None,
    }
}

/// The answer to a word.
pub fn answer(word: &str, facts: &Facts) -> String {
    if !is_allowed(word, &facts.allowed) {
        return format!("{word} is not executed because it is not in the whitelist.\n");
    }
    match word {
        "ruok" => "imok".to_string(),
        "envi" => environment(facts),
        "gtmk" | "stmk" => facts.trace_mask.to_string(),
        "isro" if !facts.is_serving => "null".to_string(),
        "hash" if !facts.is_serving => NOT_SERVING.to_string(),
        _ if !facts.is_serving => format!("{NOT_SERVING}\n"),
        "isro" if facts.mode == Mode::ReadOnly => "ro".to_string(),
        "isro" => "rw".to_string(),
        "hash" => facts.digests.iter().map(|(zxid, digest)| format!("{:x}: {digest}\n", zxid.0)).collect(),
        "conf" => conf(facts),
        "cons" => connections(facts, false),
        "crst" => "Connection stats reset.\n".to_string(),
        "dirs" => format!("datadir_size: {}\nlogdir_size: {}\n", facts.snapshot_bytes, facts.log_bytes),
        "dump" => dump(facts),
        "srst" => "Server stats reset.\n".to_string(),
        "srvr" => stat(facts, false),
        "stat" => stat(facts, true),
        "mntr" => monitor(facts),
        "wchs" => watch_summary(facts),
        "wchc" => watches(facts),
        "wchp" => watches_by_path(facts),
        other => panic!("no word: {other}"),
    }
}

fn environment(facts: &Facts) -> String {
    let lines = facts.environment.iter().map(|(name, value)| format!("{name}={value}\n"));
    format!("Environment:\nzookeeper.version={}\n{}", facts.version, lines.collect::<String>())
}

fn conf(facts: &Facts) -> String {
    let conf = &facts.conf;
    let dir = &conf.data_dir;
    let lines: [(&str, &dyn std::fmt::Display); 12] = [
        ("clientPort", &conf.client_port),
        ("secureClientPort", &-1),
        ("dataDir", dir),
        ("dataDirSize", &facts.snapshot_bytes),
        ("dataLogDir", dir),
        ("dataLogSize", &facts.log_bytes),
        ("tickTime", &conf.tick_ms),
        ("maxClientCnxns", &conf.max_connections_per_ip),
        ("minSessionTimeout", &conf.min_session_ms),
        ("maxSessionTimeout", &conf.max_session_ms),
        ("clientPortListenBacklog", &-1),
        ("serverId", &conf.server_id),
    ];
    let mut text: String = lines.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    let Some(ensemble) = &facts.ensemble else { return text };
    let me = ensemble.members.iter().find(|member| member.id == conf.server_id);
    let port = me.map_or(0, |member| member.port);
    let peer_type = i32::from(me.is_some_and(|member| member.is_observer));
    let _ = write!(
        text,
        "initLimit={}\nsyncLimit={}\nelectionAlg=3\nelectionPort={port}\nquorumPort={port}\npeerType={peer_type}\nmembership: \n{}",
        ensemble.init_limit,
        ensemble.sync_limit,
        membership(&ensemble.members)
    );
    text
}

/// The ensemble as `zoo.cfg` and `/zookeeper/config` write it. Servers of torc have one port among themselves: it stands
/// for both of ZooKeeper's.
pub fn membership(members: &[Member]) -> String {
    let mut text = String::new();
    for member in members {
        let role = if member.is_observer { "observer" } else { "participant" };
        let host = delimited(&member.host);
        let _ = write!(text, "server.{}={host}:{}:{}:{role}", member.id, member.port, member.port);
        if let Some((host, port)) = &member.client {
            let _ = write!(text, ";{}:{port}", delimited(host));
        }
        text.push('\n');
    }
    text + "version=0"
}

/// An IPv6 address in brackets.
fn delimited(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_string() }
}

fn stat(facts: &Facts, with_clients: bool) -> String {
    let mut text = format!("Zookeeper version: {}\n", facts.version);
    if facts.mode == Mode::ReadOnly {
        text += "READ-ONLY mode; serving only read-only clients\n";
    }
    if with_clients {
        text += "Clients:\n";
        text += &connections(facts, true);
    }
    let latency = &facts.latency;
    let _ = write!(
        text,
        "Latency min/avg/max: {}/{}/{}\nReceived: {}\nSent: {}\nConnections: {}\nOutstanding: {}\nZxid: 0x{:x}\nMode: {}\n\
         Node count: {}\n",
        latency.min,
        java_double(latency.average()),
        latency.max,
        facts.received,
        facts.sent,
        facts.alive_connections,
        facts.outstanding,
        facts.zxid.0,
        facts.mode.name(),
        facts.znodes
    );
    if let Some(ensemble) = facts.ensemble.as_ref().filter(|_| facts.mode == Mode::Leader) {
        let (last, min, max) = ensemble.proposals.numbers();
        let _ = writeln!(text, "Proposal sizes last/min/max: {last}/{min}/{max}");
    }
    text
}

/// A line each, and an empty one.
fn connections(facts: &Facts, brief: bool) -> String {
    let lines = facts.connections.iter().map(|connection| connection_line(connection, brief) + "\n");
    lines.collect::<String>() + "\n"
}

fn connection_line(connection: &Connection, brief: bool) -> String {
    let Connection { remote, is_read, queued, received, sent, session } = connection;
    let mut text =
        format!(" /{}[{}](queued={queued},recved={received},sent={sent}", java_address(*remote), i32::from(*is_read));
    if let Some(session) = session.as_ref().filter(|_| !brief) {
        let latency = &session.latency;
        let _ = write!(
            text,
            ",sid=0x{:x},lop={},est={},to={}",
            session.id.0, session.last_operation, session.established.0, session.timeout_ms
        );
        if session.last_cxid >= 0 {
            let _ = write!(text, ",lcxid=0x{:x}", session.last_cxid);
        }
        let _ = write!(
            text,
            ",lzxid=0x{:x},lresp={},llat={},minlat={},avglat={},maxlat={}",
            session.last_zxid.0,
            session.last_response_ms,
            session.last_latency_ms,
            latency.min,
            latency.sum.checked_div(latency.count).unwrap_or(0),
            latency.max
        );
    }
    text + ")"
}

fn dump(facts: &Facts) -> String {
    let mut text = dump_of_sessions(facts);
    begin_ephemerals(&mut text, facts.ephemerals.len());
    put_sessions(&mut text, ListOf::Ephemerals, ListPlace::BEGINNING, &facts.ephemerals);
    text + &dump_of_connections(facts)
}

/// The first part of what `dump` says.
pub(super) fn dump_of_sessions(facts: &Facts) -> String {
    let mut text = "SessionTracker dump:\n".to_string();
    if matches!(facts.mode, Mode::Standalone | Mode::Leader) {
        text += "Session ";
        let rows =
            facts.sessions.iter().filter_map(|session| Some((session.expires?, format!("0x{:x}", session.id.0))));
        text += &sets(rows.collect());
    } else {
        let _ = writeln!(text, "Global Sessions({}):", facts.sessions.len());
        let mut sessions: Vec<&Session> = facts.sessions.iter().collect();
        sessions.sort_by_key(|session| session.id);
        for session in sessions {
            let _ = writeln!(text, "0x{:x}\t{}ms", session.id.0, session.timeout_ms);
        }
    }
    text
}

/// The second part, of so many sessions: this, and each of them.
pub(super) fn begin_ephemerals(text: &mut String, sessions: usize) {
    let _ = writeln!(text, "ephemeral nodes dump:\nSessions with Ephemerals ({sessions}):");
}

/// A part of a list, from that place on.
pub(super) fn put_list(text: &mut String, of: ListOf, from: ListPlace, part: &ListPart) {
    put_sessions(text, of, from, &part.sessions);
}

/// Sessions, and paths of each: it is named in front of the first ones.
fn put_sessions(text: &mut String, of: ListOf, from: ListPlace, sessions: &[(SessionId, Vec<String>)]) {
    let end = if of == ListOf::Ephemerals { ":" } else { "" };
    for (session, paths) in sessions {
        if from.behind.is_none() || *session != from.session {
            let _ = writeln!(text, "0x{:x}{end}", session.0);
        }
        paths.iter().for_each(|path| _ = writeln!(text, "\t{path}"));
    }
}

/// The last part.
pub(super) fn dump_of_connections(facts: &Facts) -> String {
    // A connection ends with its session, at the latest.
    let deadline: BTreeMap<SessionId, Wall> =
        facts.sessions.iter().filter_map(|session| Some((session.id, session.expires?))).collect();
    let rows = facts.connections.iter().filter_map(|connection| {
        let id = connection.session.as_ref()?.id;
        let text = format!("ip: /{} sessionId: 0x{:x}", java_address(connection.remote), id.0);
        Some((*deadline.get(&id)?, text))
    });
    format!("Connections dump:\nConnections {}", sets(rows.collect()))
}

/// What ends at one moment, moment by moment.
fn sets(rows: Vec<(Wall, String)>) -> String {
    let count = rows.len();
    let mut moments: BTreeMap<Wall, Vec<String>> = BTreeMap::new();
    rows.into_iter().for_each(|(moment, row)| moments.entry(moment).or_default().push(row));
    let mut text = format!("Sets ({})/({count}):\n", moments.len());
    for (moment, rows) in moments {
        let _ = writeln!(text, "{} expire at {}:", rows.len(), java_date(moment));
        rows.iter().for_each(|row| text += &format!("\t{row}\n"));
    }
    text
}

fn monitor(facts: &Facts) -> String {
    let mut text = format!("zk_version\t{}\nzk_server_state\t{}\n", facts.version, facts.mode.name());
    if let Some(state) = peer_state(facts) {
        let _ = writeln!(text, "zk_peer_state\t{state}");
    }
    for figure in facts.figures() {
        let _ = match figure.number {
            Number::Whole(number) => writeln!(text, "zk_{}\t{number}", figure.name),
            Number::Real(number) => writeln!(text, "zk_{}\t{}", figure.name, java_double(number)),
        };
    }
    text
}

/// What a node of an ensemble does, in ZooKeeper's words.
pub fn peer_state(facts: &Facts) -> Option<&'static str> {
    facts.ensemble.as_ref()?;
    match facts.mode {
        Mode::Leader => Some("leading - broadcast"),
        Mode::Follower => Some("following - broadcast"),
        Mode::Observer => Some("observing - broadcast"),
        Mode::Standalone | Mode::ReadOnly => None,
    }
}

fn watch_summary(facts: &Facts) -> String {
    let counts = &facts.watch_counts;
    format!("{} connections watching {} paths\nTotal watches:{}\n", counts.connections, counts.paths, counts.data)
}

fn watches(facts: &Facts) -> String {
    let mut text = String::new();
    put_sessions(&mut text, ListOf::Watches, ListPlace::BEGINNING, &facts.watches);
    text + "\n"
}

/// The same the other way round.
pub fn by_path(facts: &Facts) -> BTreeMap<&str, Vec<SessionId>> {
    let mut by_path: BTreeMap<&str, Vec<SessionId>> = BTreeMap::new();
    for (session, paths) in &facts.watches {
        paths.iter().for_each(|path| by_path.entry(path).or_default().push(*session));
    }
    by_path
}

fn watches_by_path(facts: &Facts) -> String {
    let mut text = String::new();
    for (path, sessions) in by_path(facts) {
        let _ = writeln!(text, "{path}");
        sessions.iter().for_each(|session| text += &format!("\t0x{:x}\n", session.0));
    }
    text + "\n"
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
