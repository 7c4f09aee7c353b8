//! What a configuration says about ZooKeeper's clients: keys of `zoo.cfg` and torc's own.

use crate::endpoint::Endpoint;
use torc_base::limits::CATALOG_VOTERS_MAX;
use torc_shard::znodes::facts::About;
use torc_shard::{LocalSessions, SnapshotSettings, ZooKeeperSettings};

/// Where ZooKeeper's admin server listens unless `admin.serverPort` says otherwise.
const ADMIN_PORT: u16 = 8080;
/// Sessions last from so many ticks to so many, unless keys say otherwise.
const MIN_SESSION_TICKS: u64 = 2;
const MAX_SESSION_TICKS: u64 = 20;
/// What ZooKeeper keeps for itself.
const RESERVED: &str = "/zookeeper";

/// What the keys say, each as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZooKeeper {
    /// `torc.zookeeper.listener`
    pub listener: Option<Endpoint>,
    /// `clientPort` and `clientPortAddress`
    pub client_port: Option<u16>,
    pub client_address: Option<String>,
    pub tick_ms: u64,
    /// `minSessionTimeout` and `maxSessionTimeout`
    pub min_session_ms: Option<u64>,
    pub max_session_ms: Option<u64>,
    pub init_limit: u32,
    pub sync_limit: u32,
    pub max_connections_per_ip: usize,
    /// `znode.container.checkIntervalMs`
    pub due_ms: u64,
    pub max_buffer: usize,
    pub memory_max: usize,
    /// `4lw.commands.whitelist`
    pub four_letter_words: Vec<String>,
    pub super_digest: Option<String>,
    pub has_ttl: bool,
    pub enforces_quotas: bool,
    pub skips_acls: bool,
    /// `localSessionsEnabled`, `localSessionsUpgradingEnabled`, `readonlymode.enabled`
    pub local_sessions: bool,
    pub upgrades_sessions: bool,
    pub reads_alone: bool,
    /// `admin.enableServer`, `admin.serverAddress`, `admin.serverPort`
    pub admin_enabled: bool,
    pub admin_address: Option<String>,
    pub admin_port: Option<u16>,
    /// `torc.zookeeper.kafka.chroot`, as written.
    pub kafka_chroot: String,
}

impl ZooKeeper {
    /// Where clients connect; `None`: they are not served.
    pub fn listens(&self) -> Option<Endpoint> {
        let of_file = || {
            let host = self.client_address.clone().unwrap_or_default();
            Some(Endpoint { host, port: self.client_port? }.or_every_interface())
        };
        self.listener.clone().or_else(of_file)
    }

    /// Where the admin server is to listen: where ZooKeeper's would, of a server that starts with its file, or where a key says.
    pub fn admin(&self) -> Option<Endpoint> {
        let wanted = self.admin_port.is_some() || self.client_port.is_some();
        let host = self.admin_address.clone().unwrap_or_default();
        let endpoint = Endpoint { host, port: self.admin_port.unwrap_or(ADMIN_PORT) };
        (self.admin_enabled && wanted && self.listens().is_some()).then(|| endpoint.or_every_interface())
    }

    /// Shortest and longest session, in milliseconds.
    pub fn session_bounds_ms(&self) -> (u64, u64) {
        let ticks = |ticks: u64| ticks.saturating_mul(self.tick_ms);
        let min = self.min_session_ms.unwrap_or(ticks(MIN_SESSION_TICKS));
        (min, self.max_session_ms.unwrap_or(ticks(MAX_SESSION_TICKS)))
    }

    /// What shards go by; `about` is what they say of this server.
    pub fn settings(&self, about: About) -> ZooKeeperSettings {
        let (min_session_ms, max_session_ms) = self.session_bounds_ms();
        ZooKeeperSettings {
            tick_ms: self.tick_ms,
            min_session_ms,
            max_session_ms,
            max_buffer: self.max_buffer,
            max_connections_per_ip: self.max_connections_per_ip,
            due_ms: self.due_ms,
            super_digest: self.super_digest.clone(),
            has_ttl: self.has_ttl,
            enforces_quotas: self.enforces_quotas,
            skips_acls: self.skips_acls,
            local_sessions: match (self.local_sessions, self.upgrades_sessions) {
                (false, _) => LocalSessions::No,
                (true, false) => LocalSessions::Yes,
                (true, true) => LocalSessions::Upgraded,
            },
            reads_alone: self.reads_alone,
            memory_max: self.memory_max,
            snapshots: SnapshotSettings::default(),
            four_letter_words: self.four_letter_words.clone(),
            kafka_chroot: self.chroot().map(str::to_string),
            about: About { init_limit: self.init_limit, sync_limit: self.sync_limit, ..about },
        }
    }

    /// Where Kafka's metadata are seen; `None`: nowhere.
    pub fn chroot(&self) -> Option<&str> {
        Some(self.kafka_chroot.as_str()).filter(|path| *path != "none")
    }

    /// Why these keys cannot be as they are: each key with its reason.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.client_address.is_some() && self.client_port.is_none() {
            problems.push(("clientPortAddress", "clientPort is not set".to_string()));
        }
        let (min, max) = self.session_bounds_ms();
        if min > max {
            let key = if self.min_session_ms.is_some() { "minSessionTimeout" } else { "maxSessionTimeout" };
            problems.push((key, format!("sessions of at least {min} ms cannot last at most {max} ms")));
        }
        if let Some(why) = self.chroot().and_then(chroot_problem) {
            problems.push(("torc.zookeeper.kafka.chroot", why));
        }
        if self.super_digest.as_ref().is_some_and(|digest| !digest.contains(':')) {
            let why = "it is not of the form user:hash".to_string();
            problems.push(("DigestAuthenticationProvider.superDigest", why));
        }
        problems
    }
}

fn chroot_problem(path: &str) -> Option<String> {
    let names = path.strip_prefix('/').map(|rest| rest.split('/'));
    let sound = names.is_some_and(|mut names| names.all(|name| !matches!(name, "" | "." | "..")));
    if !sound {
        return Some(format!("`{path}` is no path of a znode, such as /kafka, nor none"));
    }
    let reserved = path == RESERVED || path.starts_with(&format!("{RESERVED}/"));
    reserved.then(|| format!("{RESERVED} is ZooKeeper's own"))
}

/// A line `server.N` of a `zoo.cfg`: `host:port:port[:role][;[address:]port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLine {
    /// Where the other servers reach it: ZooKeeper's first port. torc needs no second one.
    pub address: Endpoint,
    /// Where its clients connect, if the line says that.
    pub client: Option<Endpoint>,
}

impl ServerLine {
    /// Reads what stands behind `=`. The error says what is wrong and what to write, in words that follow "cannot be".
    pub fn parse(text: &str) -> Result<ServerLine, String> {
        const FORM: &str = "it must be of the form host:port:port or host:port:port;port";
        let (server, client) = match text.split_once(';') {
            Some((server, client)) => (server.trim(), Some(client.trim())),
            None => (text.trim(), None),
        };
        if server.contains('|') {
            return Err("torc knows one address of each server: leave one of them".to_string());
        }
        // An IPv6 address has colons of its own, in brackets.
        let host_end = if server.starts_with('[') { server.find(']').map(|at| at + 1) } else { server.find(':') };
        let (host, ports) = server.split_at(host_end.ok_or(FORM)?);
        let mut fields = ports.strip_prefix(':').ok_or(FORM)?.split(':');
        let port = fields.next().unwrap_or_default();
        let address = Endpoint::parse_address(&format!("{host}:{port}"))?;
        if address.port == 0 || address.host.is_empty() || address.is_wildcard() {
            return Err(format!("`{address}` is no address that others can connect to"));
        }
        match (fields.next(), fields.next().map(str::to_ascii_lowercase).as_deref(), fields.next()) {
            (election, None | Some("participant"), None) => {
                if election.is_some_and(|port| port.parse::<u16>().is_err()) {
                    return Err(FORM.to_string());
                }
            }
            (_, Some("observer"), None) => {
                return Err(format!(
                    "torc has no observers by name: of more than {CATALOG_VOTERS_MAX} servers those with the highest \
                     numbers do not vote; leave `:observer` out"
                ));
            }
            _ => return Err(FORM.to_string()),
        }
        let client = client.map(|text| {
            let address = if text.contains(':') { text.to_string() } else { format!(":{text}") };
            Endpoint::parse_address(&address)
        });
        Ok(ServerLine { address, client: client.transpose()? })
    }
}

#[cfg(test)]
#[path = "zookeeper_tests.rs"]
mod tests;
