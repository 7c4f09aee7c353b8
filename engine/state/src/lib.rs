//! What logs mean: partitions, producers, retention, topic settings, the catalog, consumer groups, the tree of znodes. Pure data, no I/O, no wire types.

pub mod catalog;
pub mod codec;
pub mod compaction;
pub mod config;
pub mod coordinator;
pub mod group_config;
pub mod kafka_znodes;
pub mod layout;
pub mod partition;
pub mod producers;
pub mod retention;
pub mod tree;
