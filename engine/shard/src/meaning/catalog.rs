//! The catalog's log: topics as its committed commands make them, and the commands that are not committed.

use super::kind;
use crate::settings::Settings;
use std::collections::BTreeSet;
use torc_base::ids::{Index, NodeId};
use torc_state::catalog::{Catalog, Change, Command, Defaults};
use torc_wal::Item;

/// The catalog with its log's uncommitted end.
pub struct CatalogLog {
    state: Catalog,
    /// What the state took when it was last written into a checkpoint, or read.
    bytes: usize,
}

impl CatalogLog {
    /// Without topics.
    pub fn new(settings: &Settings) -> CatalogLog {
        let defaults = Defaults {
            partitions: settings.num_partitions,
            config: settings.topic_defaults,
            brokers: settings.nodes().collect(),
            replication: settings.default_replication,
        };
        CatalogLog { state: Catalog::new(defaults), bytes: 0 }
    }

    /// As [`CatalogLog::encode_start`] has it, for whoever knows the same defaults as this one.
    pub fn decode_start(&self, mut bytes: &[u8]) -> Result<CatalogLog, String> {
        let len = bytes.len();
        let state = Catalog::decode(self.state.defaults().clone(), &mut bytes).map_err(|error| error.to_string())?;
        let whole = bytes.is_empty() && state.pending().len() == 0;
        if whole { Ok(CatalogLog { state, bytes: len }) } else { Err("a catalog with something behind it".into()) }
    }

    /// All that is committed.
    pub fn encode_start(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.state.encode_committed(&mut bytes);
        bytes
    }

    /// All topics.
    pub fn state(&self) -> &Catalog {
        &self.state
    }

    /// The same, for plans: they are given ids that no other plan under way has, and nodes that are not `absent`.
    pub fn planner(&mut self, absent: &BTreeSet<NodeId>) -> &mut Catalog {
        self.state.begin_plans(absent);
        &mut self.state
    }

    /// Bytes that the state took when it was last written into a checkpoint, or read: to count them anew would be to write it anew.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// It has taken so many.
    pub fn note_bytes(&mut self, bytes: usize) {
        self.bytes = bytes;
    }

    /// True while a command is appended and not committed.
    pub fn has_pending(&self) -> bool {
        self.state.pending().len() > 0
    }

    /// The command is entry `index`.
    pub fn append(&mut self, index: Index, command: Command) {
        self.state.append(index, command);
    }

    /// See [`super::Meaning::check`].
    pub fn check(item: &Item) -> Result<(), String> {
        read(item).map(|_| ())
    }

    /// See [`super::Meaning::replay`].
    pub fn replay(&mut self, item: &Item) -> Result<(), String> {
        if let Some(command) = read(item)? {
            self.append(item.index, command);
        }
        Ok(())
    }

    /// See [`super::Meaning::apply`]: what each command did.
    pub fn apply(&mut self, through: Index) -> Vec<(Index, Change)> {
        self.state.commit(through)
    }

    /// See [`super::Meaning::cut`].
    pub fn cut(&mut self, from: Index) {
        self.state.cut(from);
    }

    /// Appends the state for its section of a checkpoint: the last command that is in it, 8 bytes little endian, the topics,
    /// and what is not committed.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.state.applied().get().to_le_bytes());
        self.state.encode(out);
    }

    /// Takes the state over that a checkpoint's section has.
    pub fn load(&mut self, section: &[u8]) -> Result<(), String> {
        self.bytes = section.len();
        let (_, mut state) = section.split_first_chunk::<8>().ok_or("the catalog's section is too short")?;
        let defaults = self.state.defaults().clone();
        self.state = Catalog::decode(defaults, &mut state).map_err(|error| format!("the catalog: {error}"))?;
        Ok(())
    }
}

/// The command of an entry, if it has one.
fn read(item: &Item) -> Result<Option<Command>, String> {
    match item.kind {
        kind::NOOP => Ok(None),
        kind::MEMBERS => super::members(item).map(|_| None),
        kind::COMMAND => match Command::decode(&item.bytes) {
            Ok(command) => Ok(Some(command)),
            Err(error) => Err(format!("catalog entry {}: {error}", item.index)),
        },
        other => Err(format!("an entry of kind {} does not belong into the catalog's log", other.0)),
    }
}
