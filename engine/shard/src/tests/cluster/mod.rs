//! Nodes of a cluster, each with the production shards, and with links between them over connections in memory.

mod begun_anew;
mod commits;
mod config;
mod damage;
mod damaged_states;
mod damaged_tables;
mod greetings;
mod kafka_znodes;
mod local_sessions;
mod long_entries;
mod moved_and_damaged;
mod observers;
mod read_only;
mod reassignments;
mod regains;
pub mod rig;
mod tree_starts;
mod trouble;
mod versions;
mod znode_letters;
mod znode_stories;
mod znodes;
mod znodes_unanswered;
