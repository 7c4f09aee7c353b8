//! What ends a run without a report.

use std::fmt;
use std::io;
use torc_client::ClientError;

/// Why there is no report.
#[derive(Debug)]
pub enum Error {
    /// A request of the preparations failed.
    Client(ClientError),
    /// What was asked for does not fit together, or the target cannot do it.
    Unfit(String),
    /// A system call failed; `doing` says at what.
    Io { doing: String, error: io::Error },
}

impl Error {
    /// For `map_err`: what was being done when a system call failed.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let doing = doing.into();
        |error| Error::Io { doing, error }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Client(error) => error.fmt(f),
            Error::Unfit(what) => f.write_str(what),
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
