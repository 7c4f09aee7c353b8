//! Reads the sources of a configuration, and says of each setting what becomes of it.

use crate::cluster::Members;
use crate::config::{Config, Sources};
use crate::data_dir;
use crate::kafka_keys::{self, Fate, Group, NO_SECURITY};
use crate::keys::{self, KEYS, Key, Value};
use crate::listeners::Resolved;
use crate::properties;
use crate::zookeeper::ServerLine;
use crate::zookeeper_keys;
use std::collections::BTreeMap;
use std::fmt;
use std::mem::discriminant;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use torc_base::io::Level;
use torc_base::limits::NODES_MAX;

/// Where a value comes from, from the weakest to the strongest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Nobody said anything.
    Default,
    /// A line of the file, from 1.
    File(Arc<PathBuf>, usize),
    /// `--set`.
    Set,
    /// A flag that stands for the key, such as `--kafka`.
    Flag(&'static str),
}

impl Place {
    /// Two lines of a file are one source.
    fn rank(&self) -> u8 {
        match self {
            Place::Default => 0,
            Place::File(..) => 1,
            Place::Set => 2,
            Place::Flag(_) => 3,
        }
    }

    /// Without the line.
    fn source(&self) -> String {
        match self {
            Place::File(path, _) => path.display().to_string(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Default => f.write_str("default"),
            Place::File(path, line) => write!(f, "{}:{line}", path.display()),
            Place::Set => f.write_str("--set"),
            Place::Flag(name) => f.write_str(name),
        }
    }
}

/// One setting and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub place: Place,
    pub key: String,
    /// As written, without escapes. It may be a secret.
    pub value: String,
    pub fate: Fate,
    /// Empty if it works.
    pub why: String,
}

/// All sources, read.
#[derive(Debug)]
pub struct Reading {
    /// What is in force, as far as it could be read.
    pub config: Config,
    /// Every setting, in the order of the sources.
    pub lines: Vec<Line>,
    /// Why the server does not start, a line each; none if it does.
    pub problems: Vec<String>,
    /// The line that decides each key, by the strongest name of the same setting.
    deciding: BTreeMap<&'static str, (usize, usize)>,
    /// Lines `server.N` of a `zoo.cfg`: where they stand, and what they say.
    servers: Vec<(usize, u32, ServerLine)>,
}

/// One `key=value` and where it stands.
struct Setting {
    place: Place,
    key: String,
    value: String,
}

impl Reading {
    /// Reads them, whatever is wrong with them.
    pub fn of(sources: &Sources) -> Reading {
        let mut reading = Reading {
            config: Config::default(),
            lines: Vec::new(),
            problems: Vec::new(),
            deciding: BTreeMap::new(),
            servers: Vec::new(),
        };
        if let Some(path) = &sources.file {
            match std::fs::read(path) {
                Ok(bytes) => {
                    let mut settings = reading.file(path, &bytes);
                    reading.add_files_of_zookeeper(&mut settings);
                    reading.take(settings);
                }
                Err(error) => {
                    reading.problems.push(format!("cannot read the configuration {}: {error}", path.display()));
                }
            }
        }
        let set: Vec<Setting> = sources.set.iter().filter_map(|text| reading.set(text)).collect();
        reading.take(set);
        let flag = |f: &crate::config::Flag| Setting {
            place: Place::Flag(f.name),
            key: f.key.to_string(),
            value: f.value.trim().to_string(),
        };
        reading.take(sources.flags.iter().map(flag).collect());
        reading.conclude();
        reading
    }

    /// The settings of a file in the syntax of `server.properties`. Of a key that stands twice the last counts, as in Kafka.
    fn file(&mut self, path: &Path, bytes: &[u8]) -> Vec<Setting> {
        let path = Arc::new(path.to_path_buf());
        let (entries, malformed) = properties::parse(&properties::decode(bytes));
        self.problems.extend(malformed.into_iter().map(|bad| format!("{}:{}: {}", path.display(), bad.line, bad.why)));
        let mut settings: Vec<Setting> = Vec::with_capacity(entries.len());
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for entry in entries {
            let place = Place::File(Arc::clone(&path), entry.line);
            if let Some(earlier) = seen.insert(entry.key.clone(), entry.line) {
                let key = &entry.key;
                self.note(
                    Level::Warn,
                    format!("{place}: `{key}` stands at line {earlier} as well; the later line counts"),
                );
            }
            settings.push(Setting { place, key: entry.key, value: entry.value.trim().to_string() });
        }
        settings
    }

    /// What `zoo.cfg` has in other files: the number of the server, and its ensemble after it has changed.
    fn add_files_of_zookeeper(&mut self, settings: &mut Vec<Setting>) {
        let of = |settings: &[Setting], key: &str| {
            settings.iter().rfind(|setting| setting.key == key).map(|setting| PathBuf::from(&setting.value))
        };
        if let Some(path) = of(settings, "dynamicConfigFile") {
            match std::fs::read(&path) {
                Ok(bytes) => {
                    let more = self.file(&path, &bytes);
                    settings.extend(more);
                }
                Err(error) => {
                    self.problems.push(format!("cannot read the dynamicConfigFile {}: {error}", path.display()))
                }
            }
        }
        let has_number = settings.iter().any(|setting| matches!(&*setting.key, "node.id" | "broker.id"));
        let number = of(settings, "dataDir").map(|dir| dir.join("myid")).filter(|_| !has_number);
        if let Some((path, text)) = number.and_then(|path| Some((path.clone(), std::fs::read_to_string(path).ok()?))) {
            let value = text.lines().next().unwrap_or_default().trim().to_string();
            settings.push(Setting { place: Place::File(Arc::new(path), 1), key: "node.id".to_string(), value });
        }
    }

    fn set(&mut self, text: &str) -> Option<Setting> {
        let Some((key, value)) = text.split_once('=') else {
            self.problems.push(format!("--set {text}: it must be of the form KEY=VALUE"));
            return None;
        };
        Some(Setting { place: Place::Set, key: key.trim().to_string(), value: value.trim().to_string() })
    }

    /// Takes one source in, in the order of the table: a stronger name of a field beats a weaker one beside it.
    fn take(&mut self, settings: Vec<Setting>) {
        let mut good: Vec<(usize, usize, Value)> = Vec::new();
        for Setting { place, key, value } in settings {
            let at = self.lines.len();
            let (fate, why) = match KEYS.iter().position(|row| row.name == key) {
                // What has no default of its own is taken as not said.
                Some(row) if value.is_empty() && KEYS[row].default.is_empty() => {
                    (Fate::Ignored, "it is empty".to_string())
                }
                Some(row) => match parse(&KEYS[row], &value) {
                    Ok(parsed) => {
                        good.push((row, at, parsed));
                        (Fate::Works, String::new())
                    }
                    Err(why) => {
                        self.problems.push(format!("{place}: `{key}` cannot be `{value}`: {why}"));
                        (Fate::Refused, why)
                    }
                },
                None => self.of_others(&place, &key, &value),
            };
            self.lines.push(Line { place, key, value, fate, why });
        }
        // Stable: of one key twice, the later stays the later.
        good.sort_by_key(|(row, ..)| *row);
        for (row, at, value) in good {
            let key = &KEYS[row];
            self.deciding.insert(keys::strongest(key.name), (row, at));
            self.config.set.insert(key.name);
            self.config.put(key, value);
        }
    }

    /// What becomes of a key that is not in [`KEYS`].
    fn of_others(&mut self, place: &Place, key: &str, value: &str) -> (Fate, String) {
        if let Some(number) = zookeeper_keys::number_of(zookeeper_keys::SERVER, key) {
            return self.of_server(place, key, number, value);
        }
        if zookeeper_keys::is_weight(key) {
            let why = "all servers of torc count for the same: leave groups and weights out";
            self.problems.push(format!("{place}: `{key}`: {why}"));
            return (Fate::Refused, why.to_string());
        }
        if key == "dynamicConfigFile" {
            return (Fate::Works, String::new());
        }
        if key == "process.roles" && !value.is_empty() && !value.split(',').any(|role| role.trim() == "broker") {
            let why = "torc has no separate controllers, and this is the file of a controller that is no broker";
            self.problems.push(format!("{place}: `{key}={value}`: {why}"));
            return (Fate::Refused, why.to_string());
        }
        let found = match kafka_keys::of_listener(key) {
            Some((_, key)) => kafka_keys::find(key, value),
            None => kafka_keys::find(key, value),
        };
        match found {
            Some((group, harmless)) => of_group(group, harmless),
            // A key that works here, for one listener alone.
            None if kafka_keys::of_listener(key).is_some_and(|(_, key)| keys::find(key).is_some()) => {
                (Fate::NotYet, "all listeners have the same settings".to_string())
            }
            None => {
                let why = keys::advice(key);
                self.problems.push(format!("{place}: {why}"));
                (Fate::Refused, why)
            }
        }
    }

    /// A line `server.N`, the next of all lines.
    fn of_server(&mut self, place: &Place, key: &str, number: u32, value: &str) -> (Fate, String) {
        match ServerLine::parse(value) {
            Ok(line) => {
                self.servers.push((self.lines.len(), number, line));
                (Fate::Works, String::new())
            }
            Err(why) => {
                self.problems.push(format!("{place}: `{key}` cannot be `{value}`: {why}"));
                (Fate::Refused, why)
            }
        }
    }

    /// What lines `server.N` say of the cluster: what `torc.peers` would.
    fn take_servers(&mut self) {
        let mut servers: BTreeMap<u32, (usize, ServerLine)> = BTreeMap::new();
        for (at, number, line) in std::mem::take(&mut self.servers) {
            servers.insert(number, (at, line));
        }
        if servers.is_empty() || self.lines.iter().any(|line| line.fate == Fate::Refused && is_of_server(line)) {
            return;
        }
        let own = self.config.node_id.and_then(|node| servers.get(&node));
        if let Some(client) = own.and_then(|(_, line)| line.client.clone()).filter(|_| !self.said("clientPort")) {
            self.config.zookeeper.client_port = Some(client.port);
            self.config.zookeeper.client_address = Some(client.host).filter(|host| !host.is_empty());
        }
        let lines: Vec<usize> = servers.values().map(|(at, _)| *at).collect();
        let stronger = ["torc.peers", "torc.join"].into_iter().find(|key| self.said(key));
        if servers.len() == 1 || stronger.is_some() {
            for at in lines {
                let line = &mut self.lines[at];
                (line.fate, line.why) = match stronger {
                    Some(key) => (Fate::Replaced(key), "which says who the servers are".to_string()),
                    None => (Fate::Ignored, "a single server needs no list".to_string()),
                };
            }
            return;
        }
        let member = |(number, (_, line)): (&u32, &(usize, ServerLine))| format!("{number}={}", line.address);
        let text = servers.iter().map(member).collect::<Vec<_>>().join(",");
        let row = KEYS.iter().position(|key| key.name == "torc.peers").expect("the table has it");
        match KEYS[row].kind.parse(&text) {
            Ok(members) => {
                self.deciding.insert(KEYS[row].name, (row, lines[0]));
                self.config.set.insert(KEYS[row].name);
                self.config.put(&KEYS[row], members);
            }
            Err(why) => {
                let line = &mut self.lines[lines[0]];
                self.problems.push(format!("{}: `{}`: {why}", line.place, line.key));
                (line.fate, line.why) = (Fate::Refused, why);
            }
        }
    }

    /// True if a source names the key.
    fn said(&self, key: &str) -> bool {
        self.config.set.contains(key)
    }

    fn note(&mut self, level: Level, text: String) {
        self.config.notes.push((level, text));
    }

    /// What can be said only when all sources are read.
    fn conclude(&mut self) {
        self.take_servers();
        self.mark_overridden();
        let controllers = self.config.asked.controllers.clone();
        for line in self.lines.iter_mut().filter(|line| line.fate == Fate::Refused && line.why == NO_SECURITY) {
            let of_controllers = kafka_keys::of_listener(&line.key)
                .is_some_and(|(name, _)| controllers.iter().any(|controller| controller.eq_ignore_ascii_case(name)));
            if of_controllers {
                line.fate = Fate::Ignored;
                line.why = "torc has no separate controllers and keeps its metadata itself".to_string();
            }
        }
        self.refuse_groups();
        self.resolve_listeners();
        self.check_zookeeper();
        self.choose_data_dir();
        self.config.check_relations(&mut self.problems);
        self.check_cluster();
        self.note_groups();
    }

    /// As far as it can be said without the data directory, which may know the servers and this one's number.
    fn check_cluster(&mut self) {
        if self.config.join.is_some() && self.config.members.is_some() {
            let why = "a server either founds a cluster, with torc.peers, or joins one that runs, with torc.join";
            self.refuse("torc.join", why.to_string());
        }
        // How many servers there are is not known to one that joins.
        let alone = if self.config.join.is_some() { NODES_MAX } else { 1 };
        let servers = self.config.members.as_ref().map_or(alone, Members::len);
        if let Some(factor) = self.config.replication.filter(|factor| *factor as usize > servers) {
            let why = match servers {
                1 => "without torc.peers torc is one server and keeps one copy of each partition".to_string(),
                _ => format!("the cluster has {servers} servers, and each keeps one copy at most"),
            };
            self.refuse("default.replication.factor", format!("it cannot be {factor}: {why}"));
        }
        let copies = self.config.min_insync_replicas as usize;
        if copies > servers {
            let text = match servers {
                1 => {
                    "but torc keeps one copy of each partition: acks=all is answered by NOT_ENOUGH_REPLICAS".to_string()
                }
                _ => format!("but there are {servers} servers: acks=all is answered by NOT_ENOUGH_REPLICAS"),
            };
            self.note(Level::Warn, format!("min.insync.replicas={copies}, {text}"));
        }
        if let (Some(members), Some(node)) = (&self.config.members, self.config.node_id)
            && members.address(node).is_none()
        {
            let why = format!("it does not name this server, whose node.id is {node}: {members}");
            self.refuse("torc.peers", why);
        }
    }

    /// A key that could be read, and cannot be as it is.
    fn refuse(&mut self, key: &'static str, why: String) {
        let place = self.place(key);
        self.problems.push(format!("{place}: `{key}`: {why}"));
        if let Some((_, at)) = self.deciding.get(key) {
            (self.lines[*at].fate, self.lines[*at].why) = (Fate::Refused, why);
        }
    }

    /// Of one setting that is said several times one line decides.
    fn mark_overridden(&mut self) {
        for at in 0..self.lines.len() {
            let line = &self.lines[at];
            let deciding = match keys::find(&line.key) {
                Some(key) => self.deciding.get(keys::strongest(key.name)).map(|(_, at)| *at),
                None => self.lines.iter().rposition(|other| other.key == line.key),
            };
            let Some(other) = deciding.filter(|other| *other != at && line.fate != Fate::Refused) else { continue };
            let why = format!("by `{}` at {}", self.lines[other].key, self.lines[other].place);
            (self.lines[at].fate, self.lines[at].why) = (Fate::Overridden, why);
        }
    }

    /// Refused keys of Kafka: one problem for each reason and source, however many keys it has.
    fn refuse_groups(&mut self) {
        for (source, why, lines) in self.grouped(|line| line.fate == Fate::Refused && kafka_key(&line.key)) {
            let numbers: Vec<String> = lines.iter().filter_map(line_number).collect();
            let colon = if numbers.is_empty() { "" } else { ":" };
            let keys: Vec<String> = lines.iter().map(|line| format!("`{}`", line.key)).collect();
            self.problems.push(format!("{source}{colon}{}: {}: {why}", numbers.join(","), keys.join(", ")));
        }
    }

    /// One note for each reason and source.
    fn note_groups(&mut self) {
        for fate in [Fate::Ignored, Fate::Replaced(""), Fate::NotYet] {
            let same = |line: &Line| discriminant(&line.fate) == discriminant(&fate);
            for (source, why, lines) in self.grouped(same) {
                let keys: Vec<&str> = lines.iter().map(|line| line.key.as_str()).collect();
                let level = if fate == Fate::NotYet { Level::Warn } else { Level::Info };
                let text = match lines[0].fate {
                    Fate::Replaced(by) => format!("{source}: replaced by {by} ({why}): {}", keys.join(", ")),
                    fate => format!("{source}: {} ({why}): {}", fate.name(), keys.join(", ")),
                };
                self.note(level, text);
            }
        }
    }

    /// The lines that `wanted` picks, by source and reason, in the order of the first of each.
    fn grouped(&self, wanted: impl Fn(&Line) -> bool) -> Vec<(String, String, Vec<Line>)> {
        let mut groups: Vec<(String, String, Vec<Line>)> = Vec::new();
        for line in self.lines.iter().filter(|line| wanted(line)) {
            let source = line.place.source();
            match groups.iter_mut().find(|(other, why, _)| *other == source && *why == line.why) {
                Some((.., lines)) => lines.push(line.clone()),
                None => groups.push((source, line.why.clone(), vec![line.clone()])),
            }
        }
        groups
    }

    /// What decides a key: a line, or nobody.
    pub fn place(&self, key: &'static str) -> Place {
        self.deciding.get(keys::strongest(key)).map_or(Place::Default, |(_, at)| self.lines[*at].place.clone())
    }

    /// Each setting once, under the name that decides it: its value, if there is one without a start, and where that stands.
    pub fn in_force(&self) -> Vec<(&'static str, Option<&str>, Place)> {
        let setting = |key: &Key| {
            let (name, place) = match self.deciding.get(key.name) {
                Some((row, at)) => (KEYS[*row].name, self.lines[*at].place.clone()),
                None => (keys::default_name(key.name), Place::Default),
            };
            (name, self.config.shown.get(name).map(String::as_str), place)
        };
        KEYS.iter().filter(|key| keys::strongest(key.name) == key.name).map(setting).collect()
    }

    fn resolve_listeners(&mut self) {
        // What could not be read has been said, and defaults are not what was asked for.
        let failed = |line: &Line| line.fate == Fate::Refused && keys::find(&line.key).is_some();
        if self.lines.iter().any(|line| failed(line) && line.key.contains("listener")) {
            return;
        }
        // The file of a ZooKeeper starts one.
        if self.config.zookeeper.client_port.is_some() && !self.said("listeners") && !self.said("advertised.listeners")
        {
            self.config.kafka.clear();
            return;
        }
        let weaker = self.place("advertised.listeners").rank() < self.place("listeners").rank();
        let Resolved { open, notes, problems } = self.config.asked.resolve(weaker);
        self.config.kafka = open;
        for text in notes {
            self.note(Level::Info, text);
        }
        for (key, why) in problems {
            self.refuse(key, why);
        }
    }

    fn check_zookeeper(&mut self) {
        for (key, why) in self.config.zookeeper.problems() {
            self.refuse(key, why);
        }
        // Where there is no Kafka there is nothing to see of it, and a Kafka may want to keep its own there.
        if self.config.kafka.is_empty() && !self.said("torc.zookeeper.kafka.chroot") {
            let key = keys::find("torc.zookeeper.kafka.chroot").expect("the table has it");
            self.config.put(key, Value::Text("none".to_string()));
        }
        if self.said("clientPort") && self.config.zookeeper.listener.is_some() {
            self.note(
                Level::Warn,
                "torc.zookeeper.listener says where ZooKeeper's clients connect, not clientPort".into(),
            );
        }
        if self.config.zookeeper.skips_acls && self.config.zookeeper.listens().is_some() {
            self.note(Level::Warn, "skipACL: access lists of znodes mean nothing".into());
        }
    }

    /// Data of a ZooKeeper beside which torc begins with none of its own.
    fn note_data_of_zookeeper(&mut self) {
        let beside = self.config.data_dir.parent().map(|dir| dir.join("version-2"));
        let Some(data) = beside.filter(|data| data.is_dir() && !data_dir::holds_data(&self.config.data_dir)) else {
            return;
        };
        if matches!(self.lines.iter().rfind(|line| line.key == "dataDir"), Some(line) if line.fate == Fate::Works) {
            let text = format!(
                "dataDir: {} is a ZooKeeper's, and is left as it is: `torc znode import` takes its znodes over",
                data.display()
            );
            self.note(Level::Warn, text);
        }
    }

    /// torc keeps everything in one directory. Of several it takes the one that it has data in, or the first.
    fn choose_data_dir(&mut self) {
        let dirs = &self.config.data_dirs;
        let used: Vec<&PathBuf> = dirs.iter().filter(|dir| data_dir::holds_data(dir)).collect();
        match used[..] {
            [_, other, ..] if dirs.len() > 1 => {
                let place = self.place("log.dirs");
                let (first, other) = (used[0].display(), other.display());
                self.problems.push(format!("{place}: `log.dirs`: {first} and {other} both hold torc's data: name one"));
            }
            _ => {
                let chosen = used.first().copied().unwrap_or(&dirs[0]).clone();
                let others: Vec<String> =
                    dirs.iter().filter(|dir| **dir != chosen).map(|dir| dir.display().to_string()).collect();
                if !others.is_empty() {
                    let text = format!(
                        "log.dirs: torc keeps everything in {}; not used: {}",
                        chosen.display(),
                        others.join(", ")
                    );
                    self.note(Level::Warn, text);
                }
                self.config.data_dir = chosen;
                self.note_data_of_zookeeper();
            }
        }
    }
}

fn is_of_server(line: &Line) -> bool {
    zookeeper_keys::number_of(zookeeper_keys::SERVER, &line.key).is_some()
}

fn parse(key: &Key, value: &str) -> Result<Value, String> {
    // A template that nobody filled in; as a directory it would even work.
    if value.contains("${") {
        return Err("it is a placeholder, and torc takes values as they stand".to_string());
    }
    key.kind.parse(value)
}

fn of_group(group: &'static Group, harmless: bool) -> (Fate, String) {
    let why = group.why.to_string();
    match (group.fate, harmless) {
        (Fate::Only, true) => (Fate::Works, String::new()),
        (Fate::Refused, true) => (Fate::Ignored, "its value asks for nothing".to_string()),
        (Fate::Only, false) => (Fate::Refused, why),
        (fate, _) => (fate, why),
    }
}

/// True if it is refused for what it is, not for its value or its name.
fn kafka_key(key: &str) -> bool {
    let key = kafka_keys::of_listener(key).map_or(key, |(_, key)| key);
    key != "process.roles" && kafka_keys::find(key, "").is_some()
}

fn line_number(line: &Line) -> Option<String> {
    match line.place {
        Place::File(_, number) => Some(number.to_string()),
        _ => None,
    }
}
