//! What a node knows of its service to ZooKeeper's clients, as monitoring asks for it: the four-letter words, the admin
//! server's commands, the metrics.

pub use super::counters::Counters;
use super::words::TRACE_MASK;
use crate::settings::{Settings, ZooKeeperSettings};
use std::net::{IpAddr, SocketAddr};
use torc_base::ids::{SessionId, Zxid};
use torc_base::time::Wall;

/// What a node is for ZooKeeper's clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The only one.
    #[default]
    Standalone,
    Leader,
    Follower,
    /// It does not vote.
    Observer,
    /// It serves reads alone, to clients that allow it.
    ReadOnly,
}

impl Mode {
    /// ZooKeeper's word.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Standalone => "standalone",
            Mode::Leader => "leader",
            Mode::Follower => "follower",
            Mode::Observer => "observer",
            Mode::ReadOnly => "read-only",
        }
    }
}

/// Which lists an answer shows: they may be long, and are made for it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// None.
    None,
    /// [`Facts::connections`]
    Connections,
    /// [`Facts::sessions`] and [`Facts::connections`], and behind them [`Facts::ephemerals`]
    Sessions,
    /// [`Facts::watches`]
    Watches,
}

impl Detail {
    /// What comes in parts of it, over turns.
    pub fn in_parts(self) -> Option<ListOf> {
        match self {
            Detail::None | Detail::Connections => None,
            Detail::Sessions => Some(ListOf::Ephemerals),
            Detail::Watches => Some(ListOf::Watches),
        }
    }
}

/// A list of sessions with paths of each, of which there may be millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOf {
    /// [`Facts::ephemerals`]
    Ephemerals,
    /// [`Facts::watches`]
    Watches,
}

/// Where such a list goes on: at the first session from that one on, and there behind that place. What changes meanwhile is
/// in it or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPlace {
    pub session: SessionId,
    pub behind: Option<u32>,
}

impl ListPlace {
    pub const BEGINNING: ListPlace = ListPlace { session: SessionId(i64::MIN), behind: None };
}

/// A part of such a list, and where it goes on; `None`: that was all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPart {
    pub sessions: Vec<(SessionId, Vec<String>)>,
    pub next: Option<ListPlace>,
}

impl ListPart {
    /// Appends what comes behind it.
    pub fn append(&mut self, behind: ListPart) {
        let mut more = behind.sessions.into_iter();
        // A session with many paths is in several parts.
        if let (Some((last, paths)), Some((first, others))) = (self.sessions.last_mut(), more.as_slice().first())
            && last == first
        {
            paths.extend_from_slice(others);
            more.next();
        }
        self.sessions.extend(more);
        self.next = behind.next;
    }
}

/// Times from a request to its answer, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// 0 without requests.
    pub min: u64,
    pub max: u64,
    /// Of all together.
    pub sum: u64,
    pub count: u64,
}

impl Latency {
    /// Counts one.
    pub fn add(&mut self, ms: u64) {
        self.min = if self.count == 0 { ms } else { self.min.min(ms) };
        self.max = self.max.max(ms);
        self.sum = self.sum.saturating_add(ms);
        self.count += 1;
    }

    /// To four places, as ZooKeeper has it.
    pub fn average(&self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.sum as f64 / self.count as f64 * 10_000.0).round() / 10_000.0 }
    }
}

/// Bytes of what was sent last, of the least and of the most; `None`: nothing was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes(pub Option<(u32, u32, u32)>);

impl Sizes {
    /// Counts one.
    pub fn add(&mut self, bytes: u32) {
        let (_, min, max) = self.0.unwrap_or((bytes, bytes, bytes));
        self.0 = Some((bytes, min.min(bytes), max.max(bytes)));
    }

    /// Last, least and most; -1 each if there is nothing.
    pub fn numbers(&self) -> (i64, i64, i64) {
        self.0.map_or((-1, -1, -1), |(last, min, max)| (last.into(), min.into(), max.into()))
    }
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    pub remote: SocketAddr,
    /// It is read from: nothing holds it up.
    pub is_read: bool,
    /// Requests that wait for their answers.
    pub queued: u64,
    pub received: u64,
    pub sent: u64,
    /// `None`: no session yet, as that of a four-letter word.
    pub session: Option<OfSession>,
}

/// What a connection with a session has besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfSession {
    pub id: SessionId,
    /// See [`last_operation`]; `NA` before the first request.
    pub last_operation: &'static str,
    /// When it was connected.
    pub established: Wall,
    pub timeout_ms: i32,
    /// Of the last request; below 0: none.
    pub last_cxid: i32,
    pub last_zxid: Zxid,
    /// When it was last answered, on a clock whose zero means nothing.
    pub last_response_ms: u64,
    pub last_latency_ms: u64,
    pub latency: Latency,
}

/// What connections show of their last request, by its opcode.
pub fn last_operation(opcode: i32) -> &'static str {
    match opcode {
        -11 => "CLOS",
        -10 => "SESS",
        1 | 15 | 19 | 21 => "CREA",
        2 | 20 => "DELE",
        3 => "EXIS",
        4 => "GETD",
        5 => "SETD",
        6 => "GETA",
        7 => "SETA",
        8 | 12 => "GETC",
        9 => "SYNC",
        11 => "PING",
        13 => "CHEC",
        14 => "MULT",
        16 => "RECO",
        17 => "CHKW",
        18 => "REMW",
        22 => "MLTR",
        101 => "SETW",
        103 => "GETE",
        104 => "GETACN",
        105 => "STW2",
        106 => "ADDW",
        107 => "HOMI",
        _ => "NA",
    }
}

/// One session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub timeout_ms: i32,
    /// When it ends unless it is heard of; `None` where another node decides that.
    pub expires: Option<Wall>,
}

/// A node of the ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: u32,
    /// Where the others reach it.
    pub host: String,
    pub port: u16,
    /// It does not vote.
    pub is_observer: bool,
    /// It has all that the leader has, nearly; known to the leader.
    pub is_synced: bool,
    /// Where clients reach it, if that is known.
    pub client: Option<(String, u16)>,
}

/// All nodes, where there are several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ensemble {
    /// By id.
    pub members: Vec<Member>,
    pub leader: Option<u32>,
    /// Of the last proposals, while this node leads.
    pub proposals: Sizes,
    /// Milliseconds since this node leads.
    pub leads_for_ms: u64,
    /// Rounds that clients of other nodes asked for and that are not through.
    pub pending_syncs: u64,
    pub init_limit: u32,
    pub sync_limit: u32,
}

/// Watches in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchCounts {
    /// Connections that have some on data, paths that they watch, and all of these.
    pub connections: u64,
    pub paths: u64,
    pub data: u64,
    /// Of children, besides.
    pub children: u64,
}

/// What a node says of itself that the service itself does not go by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// See [`Facts::version`].
    pub version: String,
    /// See [`Facts::environment`].
    pub environment: Vec<(String, String)>,
    /// Where clients connect.
    pub client_port: u16,
    /// `initLimit` and `syncLimit`
    pub init_limit: u32,
    pub sync_limit: u32,
}

/// Where the service is, by the keys of `zoo.cfg`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conf {
    pub client_port: u16,
    pub data_dir: String,
    pub tick_ms: u64,
    pub max_connections_per_ip: usize,
    pub min_session_ms: u64,
    pub max_session_ms: u64,
    pub server_id: u32,
}

/// What a node knows. Everything counts from its start or from the last `srst`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// As clients parse it: begins with a version of ZooKeeper's.
    pub version: String,
    /// There is a leader, and this node has applied what there was when it started.
    pub is_serving: bool,
    pub mode: Mode,
    pub conf: Conf,
    /// `None`: one node alone.
    pub ensemble: Option<Ensemble>,
    /// Words that are answered (`4lw.commands.whitelist`); `*`: all of them.
    pub allowed: Vec<String>,
    /// Of the process, for `envi`.
    pub environment: Vec<(String, String)>,
    pub latency: Latency,
    pub received: u64,
    pub sent: u64,
    pub response_sizes: Sizes,
    pub outstanding: u64,
    pub uptime_ms: u64,
    /// The last that was applied here.
    pub zxid: Zxid,
    pub znodes: u64,
    pub ephemeral_znodes: u64,
    /// Bytes of paths and data of all znodes.
    pub data_bytes: u64,
    pub global_sessions: u64,
    pub local_sessions: u64,
    /// Clients that could not prove who they are.
    pub auth_failures: u64,
    pub counters: Counters,
    /// Client connections that are open.
    pub alive_connections: u64,
    pub watch_counts: WatchCounts,
    /// Bytes on disk of snapshots, and of the log.
    pub snapshot_bytes: u64,
    pub log_bytes: u64,
    /// What the newest snapshot holds, and when it was made.
    pub last_snapshot: Option<(Zxid, Wall)>,
    /// Descriptors of the process that are open, and how many there may be; `None`: not known here.
    pub files: Option<(u64, u64)>,
    /// What `stmk` has set, which does nothing.
    pub trace_mask: i64,
    /// Digests of the tree, by the change that each stands behind.
    pub digests: Vec<(Zxid, i64)>,
    /// Lists: see [`Detail`]. All connections, that of the word among them.
    pub connections: Vec<Connection>,
    pub sessions: Vec<Session>,
    /// Paths of each session that has some.
    pub ephemerals: Vec<(SessionId, Vec<String>)>,
    /// Paths whose data each session watches.
    pub watches: Vec<(SessionId, Vec<String>)>,
}

/// A number of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Whole(i64),
    Real(f64),
}

/// One line of `mntr` that is a number; also a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// ZooKeeper's name, without `zk_`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    pub number: Number,
}

impl Facts {
    /// What the settings say; nothing is served yet. `None`: ZooKeeper's clients are not.
    pub fn of(settings: &Settings) -> Option<Facts> {
        let zookeeper = settings.zookeeper.as_ref()?;
        let ZooKeeperSettings { about, tick_ms, min_session_ms, max_session_ms, .. } = zookeeper;
        Some(Facts {
            version: about.version.clone(),
            environment: about.environment.clone(),
            // As ZooKeeper has it: clients that read look for servers that do more by this word.
            allowed: zookeeper
                .four_letter_words
                .iter()
                .cloned()
                .chain(zookeeper.reads_alone.then(|| "isro".into()))
                .collect(),
            conf: Conf {
                client_port: about.client_port,
                data_dir: settings.data_dir.clone(),
                tick_ms: *tick_ms,
                max_connections_per_ip: zookeeper.max_connections_per_ip,
                min_session_ms: *min_session_ms,
                max_session_ms: *max_session_ms,
                server_id: settings.node.get(),
            },
            trace_mask: TRACE_MASK,
            ..Facts::default()
        })
    }

    /// Every number that ZooKeeper has a name for, as far as it is known here.
    pub fn figures(&self) -> Vec<Figure> {
        let (last, min, max) = self.response_sizes.numbers();
        let whole = |name, help, number: u64| Figure { name, help, number: Number::Whole(number as i64) };
        let signed = |name, help, number: i64| Figure { name, help, number: Number::Whole(number) };
        let real = |name, help, number| Figure { name, help, number: Number::Real(number) };
        let watches = self.watch_counts.data + self.watch_counts.children;
        let mut figures = vec![
            real("avg_latency", "Milliseconds from a request to its answer, on average.", self.latency.average()),
            whole("max_latency", "Milliseconds from a request to its answer, at most.", self.latency.max),
            whole("min_latency", "Milliseconds from a request to its answer, at least.", self.latency.min),
            whole("packets_received", "Requests of ZooKeeper's clients.", self.received),
            whole("packets_sent", "Answers and events that ZooKeeper's clients were sent.", self.sent),
            whole("num_alive_connections", "Connections of ZooKeeper's clients.", self.alive_connections),
            whole("outstanding_requests", "Requests of ZooKeeper's clients that wait.", self.outstanding),
            whole("uptime", "Milliseconds since ZooKeeper's clients are served.", self.uptime_ms),
            whole("znode_count", "Znodes of the tree.", self.znodes),
            whole("watch_count", "Watches of this node's clients.", watches),
            whole("ephemerals_count", "Znodes that end with their sessions.", self.ephemeral_znodes),
            whole("approximate_data_size", "Bytes of the paths and data of all znodes.", self.data_bytes),
            whole("global_sessions", "Sessions of the whole cluster.", self.global_sessions),
            whole("local_sessions", "Sessions of this node alone.", self.local_sessions),
            signed("last_client_response_size", "Bytes of the last answer; -1: there was none.", last),
            signed("max_client_response_size", "Bytes of the longest answer; -1: there was none.", max),
            signed("min_client_response_size", "Bytes of the shortest answer; -1: there was none.", min),
            whole("auth_failed_count", "Clients that could not prove who they are.", self.auth_failures),
        ];
        if let Some((open, most)) = self.files {
            figures.push(whole("open_file_descriptor_count", "File descriptors of this process.", open));
            figures.push(whole("max_file_descriptor_count", "File descriptors that it may have.", most));
        }
        if let Some(ensemble) = &self.ensemble {
            figures.extend(self.of_ensemble(ensemble));
        }
        figures.extend(self.counters.figures());
        figures
    }

    fn of_ensemble(&self, ensemble: &Ensemble) -> Vec<Figure> {
        let whole = |name, help, number: u64| Figure { name, help, number: Number::Whole(number as i64) };
        let count = |wanted: &dyn Fn(&&Member) -> bool| ensemble.members.iter().filter(wanted).count() as u64;
        let me = self.conf.server_id;
        let mut figures =
            vec![whole("quorum_size", "Nodes that vote on the tree's log.", count(&|member| !member.is_observer))];
        if self.mode != Mode::Leader {
            return figures;
        }
        let (last, min, max) = ensemble.proposals.numbers();
        let signed = |name, help, number: i64| Figure { name, help, number: Number::Whole(number) };
        figures.extend([
            whole("learners", "Nodes that follow this one.", count(&|member| member.id != me)),
            whole(
                "synced_followers",
                "Nodes that vote, follow this one and have what it has.",
                count(&|member| member.id != me && !member.is_observer && member.is_synced),
            ),
            whole("synced_non_voting_followers", "Nodes that are about to vote.", 0),
            whole(
                "synced_observers",
                "Nodes that follow this one without a vote and have what it has.",
                count(&|member| member.id != me && member.is_observer && member.is_synced),
            ),
            whole("pending_syncs", "Syncs that wait.", ensemble.pending_syncs),
            whole("leader_uptime", "Milliseconds since this node leads.", ensemble.leads_for_ms),
            signed("last_proposal_size", "Bytes of the last proposal; -1: there was none.", last),
            signed("max_proposal_size", "Bytes of the longest proposal; -1: there was none.", max),
            signed("min_proposal_size", "Bytes of the shortest proposal; -1: there was none.", min),
        ]);
        figures
    }
}

/// An address as Java prints it: IPv6 in full, in brackets.
pub fn java_address(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => format!("{ip}:{}", address.port()),
        IpAddr::V6(ip) => {
            let groups: Vec<String> = ip.segments().iter().map(|group| format!("{group:x}")).collect();
            format!("[{}]:{}", groups.join(":"), address.port())
        }
    }
}

/// A number as Java prints a `double`.
pub fn java_double(number: f64) -> String {
    let magnitude = number.abs();
    if number == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{number:?}");
    }
    let text = format!("{number:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

const DAY_MS: i64 = 86_400_000;

/// A moment as Java prints a `Date` in UTC: `Sun Nov 29 13:54:48 UTC 2026`. Source of the calendar: Hinnant,
/// "chrono-compatible low-level date algorithms".
pub fn java_date(moment: Wall) -> String {
    let (days, of_day) = (moment.0.div_euclid(DAY_MS), moment.0.rem_euclid(DAY_MS) / 1_000);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153; // 0 is March
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = year_of_era + era * 400 + i64::from(month >= 10);
    const MONTHS: [&str; 12] = ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let (hours, minutes, seconds) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    let (weekday, month) = (WEEKDAYS[days.rem_euclid(7) as usize], MONTHS[month as usize]);
    format!("{weekday} {month} {day:02} {hours:02}:{minutes:02}:{seconds:02} UTC {year}")
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
