//! Kafka's listeners: each has a name, an address to listen on, a protocol by its name, and perhaps another address that
//! clients are told. torc opens those of protocol PLAINTEXT.

use crate::endpoint::Endpoint;
use crate::kafka_keys::NO_SECURITY;
use std::fmt;

/// The name of a listener that is written without one, and the protocol that torc speaks.
pub const PLAINTEXT: &str = "PLAINTEXT";
/// Kafka's protocols. A listener that is called like one has it, unless the map says otherwise.
const PROTOCOLS: &[&str] = &[PLAINTEXT, "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
/// More listeners than anybody has.
const LISTENERS_MAX: usize = 16;

/// One address of `listeners` or `advertised.listeners`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// In capitals; `None` if it is written without.
    pub name: Option<String>,
    /// An empty host is every interface, or this host's name where clients are told it.
    pub address: Endpoint,
}

impl Listener {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(PLAINTEXT)
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.name(), self.address)
    }
}

/// Where Kafka clients connect: one socket address of this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaListener {
    /// In capitals.
    pub name: String,
    /// What is listened on.
    pub listen: Endpoint,
    /// What clients are told, if not the same; an empty host is this host's name.
    pub advertised: Option<Endpoint>,
}

/// What the keys about listeners say, each as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// `listeners`
    pub listeners: Vec<Listener>,
    /// `advertised.listeners`
    pub advertised: Vec<Listener>,
    /// `listener.security.protocol.map`: names and protocols, in capitals.
    pub protocols: Option<Vec<(String, String)>>,
    /// `controller.listener.names`, in capitals.
    pub controllers: Vec<String>,
    /// `inter.broker.listener.name`, in capitals.
    pub inter_broker: Option<String>,
}

/// What comes of them.
#[derive(Debug, Default)]
pub struct Resolved {
    /// In the order of `listeners`.
    pub open: Vec<KafkaListener>,
    /// What was left out, though the server starts.
    pub notes: Vec<String>,
    /// Why it does not start: the key, and what is wrong with it.
    pub problems: Vec<(&'static str, String)>,
}

/// `NAME://host:port` or `host:port`, with commas between. The error says what is wrong, in words that follow "cannot be".
pub fn parse_listeners(text: &str) -> Result<Vec<Listener>, String> {
    let items = items(text);
    if items.is_empty() {
        return Err("it must be host:port or NAME://host:port, or several with commas between".to_string());
    }
    if items.len() > LISTENERS_MAX {
        return Err(format!("it may have up to {LISTENERS_MAX} listeners"));
    }
    items.into_iter().map(parse_listener).collect()
}

fn parse_listener(text: &str) -> Result<Listener, String> {
    let (name, address) = match text.split_once("://") {
        Some((name, address)) => (Some(parse_name(name)?), address),
        None => (None, text),
    };
    Ok(Listener { name, address: Endpoint::parse_address(address)? })
}

/// Kafka takes capitals and small letters for the same.
pub fn parse_name(text: &str) -> Result<String, String> {
    let sound = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if sound { Ok(text.to_ascii_uppercase()) } else { Err(format!("`{text}` is no name of a listener")) }
}

/// Names with commas between.
pub fn parse_names(text: &str) -> Result<Vec<String>, String> {
    items(text).into_iter().map(parse_name).collect()
}

/// `NAME:PROTOCOL` with commas between. Which protocols there are is asked only of listeners that are opened.
pub fn parse_protocols(text: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |item: &str| {
        let (name, protocol) =
            item.split_once(':').ok_or_else(|| format!("`{item}` is not of the form NAME:PROTOCOL"))?;
        let protocol = protocol.trim().to_ascii_uppercase();
        if !PROTOCOLS.contains(&protocol.as_str()) {
            return Err(format!("`{protocol}` is none of Kafka's protocols, {}", PROTOCOLS.join(", ")));
        }
        Ok((parse_name(name.trim())?, protocol))
    };
    items(text).into_iter().map(pair).collect()
}

fn items(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

impl Asked {
    /// What is opened, and what clients are told. `told_by_weaker` is true if `advertised.listeners` stands in a weaker source
    /// than `listeners`: it may then speak of listeners that are no more.
    pub fn resolve(&self, told_by_weaker: bool) -> Resolved {
        let mut out = Resolved::default();
        for listener in &self.listeners {
            let name = listener.name();
            if self.is_controllers(name) {
                out.notes.push(format!("listener {name} is not opened: torc has no separate controllers"));
                continue;
            }
            if self.listeners.iter().filter(|other| other.name() == name).count() > 1 {
                out.problem("listeners", format!("two listeners have the name {name}"));
                return out;
            }
            match self.protocol(name) {
                Some(PLAINTEXT) => {}
                Some(protocol) => {
                    out.problem("listeners", format!("listener {name} is {protocol}, and {NO_SECURITY}"));
                    continue;
                }
                None => {
                    let why = format!("listener {name} has no protocol: listener.security.protocol.map must name it");
                    out.problem("listeners", why);
                    continue;
                }
            }
            out.open.push(KafkaListener {
                name: name.to_string(),
                listen: listener.address.clone().or_every_interface(),
                advertised: None,
            });
        }
        if out.open.is_empty() && out.problems.is_empty() {
            let why = "all of them are controllers': none is left for clients".to_string();
            out.problem("listeners", why);
        }
        self.advertise(told_by_weaker, &mut out);
        self.check_inter_broker(&mut out);
        out
    }

    fn is_controllers(&self, name: &str) -> bool {
        self.controllers.iter().any(|controller| controller == name)
    }

    fn protocol(&self, name: &str) -> Option<&str> {
        match &self.protocols {
            Some(map) => map.iter().find(|(other, _)| other == name).map(|(_, protocol)| protocol.as_str()),
            None => PROTOCOLS.iter().find(|protocol| **protocol == name).copied(),
        }
    }

    fn advertise(&self, told_by_weaker: bool, out: &mut Resolved) {
        const KEY: &str = "advertised.listeners";
        let told: Vec<&Listener> = self.advertised.iter().filter(|told| !self.is_controllers(told.name())).collect();
        // One address for one listener needs no name.
        let single = told.len() == 1 && self.listeners.len() == 1 && (told_by_weaker || told[0].name.is_none());
        for told in &told {
            if told.address.is_wildcard() {
                out.problem(KEY, format!("clients cannot connect to `{}`; name a host they can reach", told.address));
                continue;
            }
            match out.open.iter_mut().find(|open| single || open.name == told.name()) {
                Some(open) => open.advertised = Some(told.address.clone()),
                // What is wrong with that listener has been said.
                None if self.listeners.iter().any(|listener| listener.name() == told.name()) => {}
                None if told_by_weaker => {
                    out.notes.push(format!("advertised.listeners: {told} is not among the listeners"))
                }
                None => out.problem(KEY, format!("{} is not among the listeners", told.name())),
            }
        }
    }

    fn check_inter_broker(&self, out: &mut Resolved) {
        let Some(name) = &self.inter_broker else { return };
        // A name that Kafka has by itself may stand there while --kafka decides what is opened.
        if name != PLAINTEXT && !self.listeners.iter().any(|listener| listener.name() == name) {
            out.notes.push(format!("inter.broker.listener.name: {name} is not among the listeners"));
        }
    }
}

impl Resolved {
    fn problem(&mut self, key: &'static str, why: String) {
        self.problems.push((key, why));
    }
}

#[cfg(test)]
#[path = "listeners_tests.rs"]
mod tests;
