//! The server's settings as DescribeConfigs shows them.

use crate::cluster::Members;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::endpoint::Endpoint;
use crate::keys::{KEYS, Kind};
use torc_shard::{BrokerSetting, SettingType};

/// The settings in effect: those of the configuration, and what it left to the data directory and the machine.
/// `advertised` is what clients are told, `reserve` the bytes of disk that are held back.
pub fn settings(config: &Config, data: &DataDir, advertised: &[(String, u16)], reserve: u64) -> Vec<BrokerSetting> {
    let id = &data.identity;
    let members = id.membership.as_ref().map(|membership| &membership.founding.members);
    let told = config.kafka.iter().zip(advertised).map(|(listener, (host, port))| {
        format!("{}://{}", listener.name, Endpoint { host: host.clone(), port: *port })
    });
    let advertised = told.collect::<Vec<_>>().join(",");
    let decided = |name: &str| match name {
        "broker.id" | "node.id" => Some(id.node_id.to_string()),
        "log.dir" | "log.dirs" => Some(data.path.to_string_lossy().into_owned()),
        "advertised.listeners" => Some(advertised.clone()),
        "log.retention.ms" => Some(config.log_retention_ms.to_string()),
        "torc.shards" => Some(id.shards.to_string()),
        "torc.wal.segment.bytes" => Some(id.segment_bytes.to_string()),
        "torc.disk.reserve.bytes" => Some(reserve.to_string()),
        "torc.peers" => Some(members?.to_string()),
        "torc.peer.listener" => {
            let own = id.membership.as_ref().and_then(|membership| membership.address(id.node_id));
            Some(config.peer.as_ref().or(own)?.to_string())
        }
        "default.replication.factor" => Some(config.replication(members.map_or(1, Members::len)).to_string()),
        _ => None,
    };
    let rows = KEYS.iter().filter_map(|key| {
        let value = decided(key.name).or_else(|| config.shown.get(key.name).cloned())?;
        let default = key.kind.parse(key.default).ok().filter(|_| !key.default.is_empty());
        Some(BrokerSetting {
            name: key.name,
            value,
            is_set: config.set.contains(key.name),
            default: default.map(|value| key.kind.show(&value)),
            kind: kind(&key.kind),
            doc: key.doc,
        })
    });
    let mut rows: Vec<BrokerSetting> = rows.collect();
    rows.sort_by_key(|row| row.name);
    rows
}

/// The nearest of Kafka's types.
fn kind(kind: &Kind) -> SettingType {
    match kind {
        Kind::Bool | Kind::YesNo => SettingType::Boolean,
        Kind::Rate { .. } | Kind::Part => SettingType::Double,
        Kind::Size { max, .. } | Kind::Time { max, .. } | Kind::Int { max, .. } if *max > i64::from(i32::MAX) => {
            SettingType::Long
        }
        Kind::Size { .. } | Kind::Time { .. } | Kind::Int { .. } => SettingType::Int,
        Kind::Listeners | Kind::Members | Kind::Addresses | Kind::Names | Kind::Paths | Kind::SomeOf(_) => {
            SettingType::List
        }
        Kind::AddressOrNone | Kind::Listener | Kind::Address | Kind::Name | Kind::Protocols => SettingType::String,
        Kind::OneOf(_) | Kind::Text | Kind::Secret => SettingType::String,
    }
}
