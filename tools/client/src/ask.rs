//! Why a cluster says nothing to a question that many of its brokers are asked.

use crate::client::ClientError;
use crate::patience::Ended;
use std::fmt;

/// Nothing is known then of what was asked.
#[derive(Debug)]
pub enum AskError {
    /// No answer, or one that is none.
    Client(ClientError),
    /// It did not pass while it was tried again.
    Ended(Ended),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::Client(error) => error.fmt(f),
            AskError::Ended(ended) => ended.fmt(f),
        }
    }
}

impl std::error::Error for AskError {}

impl From<ClientError> for AskError {
    fn from(error: ClientError) -> AskError {
        AskError::Client(error)
    }
}

impl From<Ended> for AskError {
    fn from(ended: Ended) -> AskError {
        AskError::Ended(ended)
    }
}
