//! What can be wrong with a log.

use std::fmt;
use torc_base::ids::{GroupId, Index, SegmentId};
use torc_base::io::DiskError;

/// Why the log cannot do what was asked. Every one says what, where, and what can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalError {
    /// Bytes on disk are not those that were written.
    Corrupt(Box<Corruption>),
    /// The disk does not give these bytes: perhaps for the moment, perhaps never again.
    Unreadable(Box<Corruption>),
    /// The disk refused an operation.
    Disk {
        /// What was being done.
        doing: &'static str,
        /// The file, empty if it was about the directory.
        file: String,
        /// The disk's answer.
        error: DiskError,
    },
    /// The checkpoint's section cannot be used.
    Checkpoint(String),
    /// The entry was released while it was being read.
    Released {
        /// The log it belonged to.
        group: GroupId,
    },
    /// There is no memory for what the disk would bring. Not a fault: ask again when there is.
    NoRoom,
    /// The log is fenced or not yet recovered.
    Closed(String),
}

/// Where a corruption was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// What does not fit.
    pub what: String,
    /// The file's name.
    pub file: String,
    /// The segment that the file holds or should hold.
    pub segment: SegmentId,
    /// Byte position in the file.
    pub position: u64,
    /// The entry, if the damage is in one.
    pub entry: Option<(GroupId, Index)>,
    /// The last of the group's entries that cannot be read for it, if those are more.
    pub through: Option<Index>,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (file {}, segment {}, position {}", self.what, self.file, self.segment, self.position)?;
        if let Some((group, index)) = self.entry {
            write!(f, ", group {group}, index {index}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for WalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WalError::Corrupt(found) => {
                write!(f, "corrupt log: {found}; restore this shard's directory from a copy or from a replica")
            }
            WalError::Unreadable(found) => write!(f, "{found}; check the disk"),
            WalError::Disk { doing, file, error } if file.is_empty() => {
                write!(f, "{doing}: {error}; {}, then restart", error.cure())
            }
            WalError::Disk { doing, file, error } => {
                write!(f, "{doing} of {file}: {error}; {}, then restart", error.cure())
            }
            WalError::Checkpoint(what) => {
                write!(f, "the checkpoint does not fit the log: {what}; restore the directory from a copy")
            }
            WalError::Released { group } => write!(f, "entries of group {group} were released while they were read"),
            WalError::NoRoom => f.write_str("no memory for reads at the moment"),
            WalError::Closed(why) => write!(f, "the log takes no part: {why}"),
        }
    }
}

impl std::error::Error for WalError {}
