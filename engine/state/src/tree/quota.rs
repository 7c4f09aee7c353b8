//! Quotas: what stands below `/zookeeper/quota`. A znode there of the name `zookeeper_limits` sets bounds for the path that
//! leads to it, `zookeeper_stats` beside it is counted on by the server. Bounds that are hard are kept, if that is switched
//! on; both are judged by what is committed, as in ZooKeeper.

use super::error::TreeError;
use super::path::QUOTA;
use super::{Tree, path};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

/// Paths that have bounds.
#[derive(Clone, Debug, Default)]
pub(super) struct Quotas {
    paths: BTreeSet<Arc<str>>,
}

impl Quotas {
    /// The longest path with bounds that leads to `path`, or is it.
    fn of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut at = if self.paths.is_empty() { "" } else { path };
        while !at.is_empty() {
            if self.paths.contains(at) {
                return Some(at);
            }
            at = at.rsplit_once('/').map_or("", |(before, _)| before);
        }
        None
    }
}

/// Numbers by name, as they stand in data: `count=3,bytes=40=;byteHardLimit=100`. What is no number counts as -1.
#[derive(Debug)]
struct Numbers<'a>(BTreeMap<&'a str, i64>);

impl<'a> Numbers<'a> {
    fn read(data: Option<&'a [u8]>) -> Numbers<'a> {
        let text = std::str::from_utf8(data.unwrap_or_default()).unwrap_or_default();
        let pairs = text.split([',', ';']).filter_map(|pair| {
            let mut parts = pair.split('=');
            Some((parts.next()?, parts.next()?.parse().ok()?))
        });
        Numbers(pairs.collect())
    }

    fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(-1)
    }

    /// The same text with the numbers that are counted. Others stand behind a "=" that old readers stop at.
    fn write(&self, count: i64, bytes: i64) -> String {
        let mut text = format!("count={count},bytes={bytes}");
        let others = self.0.iter().filter(|(name, _)| !matches!(**name, "count" | "bytes"));
        for (n, (name, value)) in others.enumerate() {
            let separator = if n == 0 { "=;" } else { ";" };
            let _ = write!(text, "{separator}{name}={value}");
        }
        text
    }
}

/// The path that a znode below `/zookeeper/quota` sets bounds for.
fn limited(parent: &str) -> Option<&str> {
    parent.strip_prefix(QUOTA).filter(|path| path.starts_with('/'))
}

impl Tree {
    /// Fails if `path` has a hard bound that is passed when there are so many more bytes and znodes below it.
    pub(super) fn check_quota(&self, path: &str, more_bytes: i64, more_znodes: i64) -> Result<(), TreeError> {
        let Some(prefix) = self.quotas.of(path).filter(|_| self.settings.enforces_quotas) else { return Ok(()) };
        let (Some(limits), Some(stats)) = (self.numbers(prefix, LIMITS), self.numbers(prefix, STATS)) else {
            return Ok(());
        };
        let passes = |more: i64, counted: &str, bound: &str| {
            let bound = limits.get(bound);
            more != 0 && bound > -1 && stats.get(counted).saturating_add(more) > bound
        };
        if passes(more_znodes, "count", "countHardLimit") || passes(more_bytes, "bytes", "byteHardLimit") {
            return Err(TreeError::QuotaExceeded);
        }
        Ok(())
    }

    fn numbers(&self, prefix: &str, name: &str) -> Option<Numbers<'_>> {
        let id = self.store.find(&format!("{QUOTA}{prefix}/{name}"))?;
        Some(Numbers::read(self.store.data(id)))
    }

    /// A znode was made.
    pub(super) fn count_created(&mut self, created: &str, bytes: usize) {
        let (parent, name) = path::split(created).expect("paths are checked");
        match (limited(parent), name) {
            (Some(path), LIMITS) => drop(self.quotas.paths.insert(path.into())),
            (Some(path), STATS) => self.count_below(path, created),
            _ => {}
        }
        self.count(created, bytes as i64, 1);
    }

    /// A znode is gone.
    pub(super) fn count_deleted(&mut self, deleted: &str, bytes: usize) {
        let (parent, name) = path::split(deleted).expect("paths are checked");
        if let (Some(path), LIMITS) = (limited(parent), name) {
            self.quotas.paths.remove(path);
        }
        self.count(deleted, -(bytes as i64), -1);
    }

    /// A znode's data are others.
    pub(super) fn count_changed(&mut self, changed: &str, before: usize, now: usize) {
        self.count(changed, now as i64 - before as i64, 0);
    }

    fn count(&mut self, path: &str, more_bytes: i64, more_znodes: i64) {
        let Some(prefix) = self.quotas.of(path) else { return };
        let Some(id) = self.store.find(&format!("{QUOTA}{prefix}/{STATS}")) else { return };
        let numbers = Numbers::read(self.store.data(id));
        let (count, bytes) = (numbers.get("count"), numbers.get("bytes"));
        let text = numbers.write(count.saturating_add(more_znodes), bytes.saturating_add(more_bytes));
        self.store.set_count(id, text.as_bytes());
    }

    /// Counts what is at and below `path` into the data of `stats`.
    fn count_below(&mut self, path: &str, stats: &str) {
        let (mut count, mut bytes) = (0, 0);
        let top = self.store.find(path);
        let mut at = top;
        while let (Some(top), Some(id)) = (top, at) {
            count += 1;
            bytes += self.store.get(id).data_len() as i64;
            at = self.store.next_below(top, id);
        }
        let id = self.store.find(stats).expect("just made");
        let text = Numbers::read(None).write(count, bytes);
        self.store.set_count(id, text.as_bytes());
    }

    /// Finds the bounds that stand in a tree that was loaded.
    pub(super) fn find_quotas(&mut self) {
        let top = self.store.find(QUOTA);
        let mut at = top;
        while let (Some(top), Some(id)) = (top, at) {
            if self.store.name(id) == LIMITS {
                let parent = self.store.path(self.store.get(id).parent);
                if let Some(path) = limited(&parent) {
                    self.quotas.paths.insert(path.into());
                }
            }
            at = self.store.next_below(top, id);
        }
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
