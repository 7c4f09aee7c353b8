//! Why a server ended otherwise than by being asked to.

use crate::data_dir::DataDirError;
use crate::listen::ListenError;
use std::fmt;
use std::io;
use torc_reactor::resources::{Want, explain};

/// Why a server did not start, or did not go on.
#[derive(Debug)]
pub enum ServeError {
    /// The kernel lacks something; the text says what is needed.
    Kernel(String),
    /// The operating system refused `what`, for which this was wanted.
    Io { what: &'static str, want: Want, error: io::Error },
    /// See [`DataDirError`].
    DataDir(DataDirError),
    /// See [`ListenError`].
    Listen(ListenError),
    /// Settings that do not fit this data directory, or this process' limits.
    Settings(String),
    /// A shard refused to start, or had to stop.
    Shard { shard: u16, why: String },
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Kernel(why) | ServeError::Settings(why) => f.write_str(why),
            ServeError::Io { what, want, error } => write!(f, "cannot {what}: {}", explain(*want, error)),
            ServeError::DataDir(error) => error.fmt(f),
            ServeError::Listen(error) => error.fmt(f),
            ServeError::Shard { shard, why } => write!(f, "shard {shard}: {why}"),
        }
    }
}

impl std::error::Error for ServeError {}

impl From<DataDirError> for ServeError {
    fn from(error: DataDirError) -> ServeError {
        ServeError::DataDir(error)
    }
}

impl From<ListenError> for ServeError {
    fn from(error: ListenError) -> ServeError {
        ServeError::Listen(error)
    }
}
