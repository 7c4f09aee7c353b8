//! Settings of single consumer groups (Kafka's ConfigResource GROUP), which stand in the catalog. They are a group's whether or
//! not there is one of that name.

use crate::config::{Alter, ConfigError, Overrides, Type};
use crate::coordinator::CoordinatorSettings;
use crate::coordinator::cluster::GroupConfig;
use std::ops::RangeInclusive;

/// A key that groups have.
#[derive(Debug)]
pub struct Key {
    /// As in Kafka.
    pub name: &'static str,
    /// What it means, for `DescribeConfigs`.
    pub doc: &'static str,
    /// The server's key that gives its default.
    pub server_key: &'static str,
    /// What the server has for it.
    default: fn(&CoordinatorSettings) -> i32,
    /// What the server allows.
    allowed: fn(&CoordinatorSettings) -> RangeInclusive<i32>,
    put: fn(&mut GroupConfig, i32),
}

/// Type of all values.
pub const KIND: Type = Type::Int;

const HEARTBEAT: &str = "consumer.heartbeat.interval.ms";
const SESSION: &str = "consumer.session.timeout.ms";

/// Every key that groups have, in the order of their names.
pub const KEYS: &[Key] = &[
    Key {
        name: HEARTBEAT,
        doc: "Time between two heartbeats of a member of the consumer protocol.",
        server_key: "group.consumer.heartbeat.interval.ms",
        default: |settings| settings.consumer_heartbeat_interval_ms,
        allowed: |settings| settings.consumer_heartbeat_intervals_ms.clone(),
        put: |config, ms| config.heartbeat_interval_ms = Some(ms),
    },
    Key {
        name: SESSION,
        doc: "A member of the consumer protocol that is silent for so long is given up.",
        server_key: "group.consumer.session.timeout.ms",
        default: |settings| settings.consumer_session_timeout_ms,
        allowed: |settings| settings.consumer_session_timeouts_ms.clone(),
        put: |config, ms| config.session_timeout_ms = Some(ms),
    },
];

const NO_OTHER_GROUPS: &str = "share groups and streams groups are not served";

/// Kafka's keys that torc knows and cannot honour, by what they begin with, and why.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("consumer.assignment.interval.ms", "assignments are computed at once"),
    ("consumer.assignor.offload.enable", "assignments are computed at once"),
    ("errors.deadletterqueue.", NO_OTHER_GROUPS),
    ("share.", NO_OTHER_GROUPS),
    ("streams.", NO_OTHER_GROUPS),
];

impl Key {
    /// The value of a group without one of its own.
    pub fn default(&self, settings: &CoordinatorSettings) -> String {
        (self.default)(settings).to_string()
    }
}

fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The settings in effect. What cannot be read is left out: it was checked before it was written down.
pub fn resolve(overrides: &Overrides) -> GroupConfig {
    let mut config = GroupConfig::default();
    for (name, value) in overrides {
        if let (Some(key), Ok(ms)) = (key(name), value.parse()) {
            (key.put)(&mut config, ms);
        }
    }
    config
}

/// `overrides`, if the server allows all of them, each in the one form that is stored.
pub fn canonical(settings: &CoordinatorSettings, overrides: &Overrides) -> Result<Overrides, ConfigError> {
    let mut all = Overrides::new();
    for (name, value) in overrides {
        let value = value.trim();
        let fail = |why: String| Err(ConfigError::new(name, value, why));
        let Some(key) = key(name) else {
            return match UNSUPPORTED.iter().find(|(start, _)| name.starts_with(start)) {
                Some((_, why)) => fail(format!("not supported yet: {why}")),
                None => fail("there is no such group setting".into()),
            };
        };
        let allowed = (key.allowed)(settings);
        match value.parse::<i32>() {
            Ok(ms) if allowed.contains(&ms) => drop(all.insert(name.clone(), ms.to_string())),
            _ => return fail(format!("allowed is a whole number from {} to {}", allowed.start(), allowed.end())),
        }
    }
    let config = resolve(&all);
    let session = config.session_timeout_ms.unwrap_or(settings.consumer_session_timeout_ms);
    let heartbeat = config.heartbeat_interval_ms.unwrap_or(settings.consumer_heartbeat_interval_ms);
    if !all.is_empty() && session <= heartbeat {
        let why = format!("it must be more than {HEARTBEAT}, which is {heartbeat}");
        return Err(ConfigError::new(SESSION, &session.to_string(), why));
    }
    Ok(all)
}

/// The overrides after `changes`, not yet checked.
pub fn alter(overrides: &Overrides, changes: &[(String, Alter)]) -> Result<Overrides, ConfigError> {
    let mut altered = overrides.clone();
    for (name, change) in changes {
        match change {
            Alter::Set(value) => drop(altered.insert(name.clone(), value.clone())),
            Alter::Delete => drop(altered.remove(name)),
            Alter::Append(words) | Alter::Subtract(words) => {
                let why = "only lists can be appended to or subtracted from";
                return Err(ConfigError::new(name, words, why.into()));
            }
        }
    }
    Ok(altered)
}

#[cfg(test)]
#[path = "group_config_tests.rs"]
mod tests;
