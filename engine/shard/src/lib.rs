//! One core's state machine: events in, operations out. Ties consensus, state, log and wire together.

mod allowance;
mod batch;
mod catalog;
mod complaints;
mod conns;
mod coordinators;
mod frames;
mod group;
mod groups;
mod inquiry;
mod kafka;
mod line_limit;
mod mail;
mod meaning;
mod memory;
mod meters;
mod outbox;
mod packer;
mod peers;
mod receive;
mod refusal;
mod settings;
mod shard;
mod slow;
mod stages;
mod stats;
#[cfg(test)]
mod tests;
mod wire;
mod works;
pub mod znodes;

pub use coordinators::decode_group_record;
pub use groups::GroupMarks;
pub use inquiry::{Finding, GroupProgress, Inquiries, Inquiry, PartitionProgress};
pub use mail::Mail;
pub use memory::MemoryLimits;
pub use meters::Counts;
pub use settings::{
    BrokerSetting, ClusterSettings, Listener, LocalSessions, Peer, Protocol, Settings, SnapshotSettings,
    ZooKeeperSettings,
};
pub use shard::Shard;
pub use stages::{Histogram, Stage, Stages};
pub use stats::Stats;
// Parts of `Settings`.
pub use torc_state::config::{CleanupPolicy, TimestampType, TopicConfig, Type as SettingType};
pub use torc_state::coordinator::{CoordinatorSettings, Migration};
pub use torc_wal::{CleanerSettings, WalSettings};
