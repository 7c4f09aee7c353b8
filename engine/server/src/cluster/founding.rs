//! How a cluster came to be: written once by the server that founded it, and kept by all.

use super::Members;
use std::collections::BTreeMap;

/// The record of it. It never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founding {
    /// The cluster, as [`crate::data_dir::kafka_id`] writes it; not 0.
    pub cluster: u128,
    /// Its servers.
    pub members: Members,
    /// The disk of each of them, as it was then: a number that was drawn when its data directory was made. A server with another
    /// disk has lost what it had.
    pub founders: BTreeMap<u32, u128>,
}

impl Founding {
    /// True if this disk was there from the beginning, and has all that it ever promised.
    pub fn has(&self, node: u32, disk: u128) -> bool {
        self.founders.get(&node) == Some(&disk)
    }
}

/// A number of 128 bits as files and people have it.
pub fn hex(number: u128) -> String {
    format!("{number:032x}")
}
