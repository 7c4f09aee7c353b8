//! What a member has on its disk: a checkpoint and the log behind it.

use super::Settings;
use torc_base::ids::{Index, NodeId, Term};
use torc_consensus::{Append, Configuration, HardState, LogView, Mark, Message, Raft, Restore, TermRun};

/// An entry with what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub term: Term,
    /// Unique: no two proposals are the same.
    pub id: u64,
    pub configuration: Option<Configuration>,
}

#[derive(Clone)]
pub struct Disk {
    pub hard_state: HardState,
    /// What the checkpoint holds.
    pub base: Mark,
    /// The configuration that holds there.
    pub configuration: Configuration,
    /// Entries behind it.
    pub entries: Vec<Entry>,
}

/// What a member asked its disk for and has not been told about.
pub struct Write {
    pub hard_state: Option<HardState>,
    pub restore: Option<(Restore, Configuration)>,
    pub append: Option<(Append, Vec<Entry>)>,
    pub sends: Vec<(NodeId, Message)>,
}

impl Write {
    /// True if there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.hard_state.is_none() && self.restore.is_none() && self.append.is_none()
    }
}

impl Disk {
    pub fn new(configuration: Configuration) -> Disk {
        Disk { hard_state: HardState::default(), base: Mark::default(), configuration, entries: Vec::new() }
    }

    pub fn write(&mut self, write: &Write) {
        self.hard_state = write.hard_state.unwrap_or(self.hard_state);
        if let Some((restore, configuration)) = &write.restore {
            self.restore(restore.mark, configuration.clone());
        }
        if let Some((append, entries)) = &write.append {
            self.append(*append, entries);
        }
    }

    pub fn restore(&mut self, mark: Mark, configuration: Configuration) {
        self.base = mark;
        self.configuration = configuration;
        self.entries.clear();
    }

    pub fn append(&mut self, append: Append, entries: &[Entry]) {
        let kept = append.first.0.checked_sub(self.base.index.0 + 1).expect("behind the checkpoint") as usize;
        assert!(kept <= self.entries.len(), "a hole in the log");
        self.entries.truncate(kept);
        self.entries.extend_from_slice(entries);
    }

    /// Drops entries up to `mark`, of which there is a checkpoint now.
    pub fn compact(&mut self, mark: Mark, configuration: Configuration) {
        self.entries.drain(..(mark.index.0 - self.base.index.0) as usize);
        self.base = mark;
        self.configuration = configuration;
    }

    pub fn entry(&self, index: Index) -> Option<&Entry> {
        let at = index.0.checked_sub(self.base.index.0 + 1)?;
        self.entries.get(at as usize)
    }

    pub fn last_mark(&self) -> Mark {
        let index = self.base.index.plus(self.entries.len() as u64);
        Mark { term: self.entries.last().map_or(self.base.term, |entry| entry.term), index }
    }

    /// The mark of an entry or of the checkpoint's end.
    pub fn mark(&self, index: Index) -> Option<Mark> {
        if index == self.base.index {
            return Some(self.base);
        }
        self.entry(index).map(|entry| Mark { term: entry.term, index })
    }

    /// A member with what is here.
    pub fn recover(&self, settings: &Settings) -> Raft {
        let mut terms: Vec<TermRun> = Vec::new();
        if self.base.index > Index(0) {
            terms.push(TermRun { term: self.base.term, first: self.base.index });
        }
        let mut configurations = vec![(self.base.index, self.configuration.clone())];
        for (at, entry) in self.entries.iter().enumerate() {
            let index = self.base.index.plus(at as u64 + 1);
            if terms.last().is_none_or(|run| run.term != entry.term) {
                terms.push(TermRun { term: entry.term, first: index });
            }
            configurations.extend(entry.configuration.clone().map(|configuration| (index, configuration)));
        }
        let log = LogView { first: self.base.index.next(), last: self.last_mark().index, terms };
        Raft::new(settings.config(configurations), self.hard_state, log, self.base.index)
    }
}
