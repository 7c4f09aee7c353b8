//! Commands as a person types them: exit codes, numbers, readers that go away, topics, `torc top`.

mod cluster;
mod commands;
mod groups;
#[path = "../support/mod.rs"]
mod support;
mod top;
mod topics;
