//! Why a check cannot go on, or what a client was told.

use std::fmt;
use std::io;

/// What went wrong between a client and its server.
#[derive(Debug)]
pub enum Failure {
    /// The connection is gone, or nothing came in time.
    Lost(io::Error),
    /// A well-formed answer with an error code where none was due.
    Refused { what: String, code: i16 },
    /// What came is not what was asked for, or the machine cannot do what the check needs.
    Wrong(String),
}

/// What every step of a check gives.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// True if the server went away: expected while it is being killed.
    pub fn is_lost(&self) -> bool {
        matches!(self, Failure::Lost(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Lost(error) => write!(f, "the connection is lost: {error}"),
            Failure::Refused { what, code } => write!(f, "{what} was refused with error {code}"),
            Failure::Wrong(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Lost(error)
    }
}

/// A [`Failure::Wrong`].
pub fn wrong<T>(what: impl Into<String>) -> Result<T> {
    Err(Failure::Wrong(what.into()))
}
