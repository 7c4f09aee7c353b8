//! What ends a run before its time, or in another way than it should.

use crate::interrupt;
use std::fmt;
use std::io;
use torc_client::ClientError;
use torc_client::zookeeper::ZooKeeperError;

/// Why a command fails.
#[derive(Debug)]
pub enum Error {
    /// A request of the preparations failed.
    Client(ClientError),
    /// The same, of a ZooKeeper.
    ZooKeeper(ZooKeeperError),
    /// Options that do not fit together.
    Usage(String),
    /// The target, the machine or a file cannot do what was asked for.
    Unfit(String),
    /// A system call failed; `doing` says at what.
    Io { doing: String, error: io::Error },
    /// There is a report, and it says this: nothing was measured, or not all, or requests failed.
    Report(String),
    /// A signal ended it; what was done until then is said.
    Interrupted { signal: i32, what: String },
}

impl Error {
    /// For `map_err`: what was being done when a system call failed.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let doing = doing.into();
        |error| Error::Io { doing, error }
    }

    /// What the process ends with: that of a shell for signals, 2 for options that are wrong, as clap does, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Interrupted { signal, .. } => interrupt::exit_code(*signal),
            Error::Usage(_) => 2,
            _ => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Client(error) => error.fmt(f),
            Error::ZooKeeper(error) => error.fmt(f),
            Error::Usage(what) | Error::Unfit(what) | Error::Report(what) | Error::Interrupted { what, .. } => {
                f.write_str(what)
            }
            Error::Io { doing, error } => write!(f, "{doing}: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Error {
        Error::Client(error)
    }
}

impl From<ZooKeeperError> for Error {
    fn from(error: ZooKeeperError) -> Error {
        Error::ZooKeeper(error)
    }
}
