//! Why ZooKeeper did not do what it was asked for.

use std::fmt;
use std::io;
use torc_net::zookeeper::ErrorCode;

/// Why a request failed.
#[derive(Debug)]
pub enum ZooKeeperError {
    /// No server of the list serves.
    Connect { servers: String, why: String },
    /// The connection broke before the answer came; the request may have been done.
    Lost { address: String, what: String, error: io::Error },
    /// The session is gone, and all of its ephemeral znodes and watches with it.
    Expired { id: i64 },
    /// What came is no answer to what was asked.
    Protocol { address: String, what: String },
    /// It was refused.
    Refused { what: String, code: i32 },
}

impl ZooKeeperError {
    /// What it was refused with, if it was.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ZooKeeperError::Refused { code, .. } => ErrorCode::of(*code),
            _ => None,
        }
    }
}

/// ZooKeeper's name of an error code, and what it means where the name does not say so.
fn named(code: i32) -> String {
    let Some(error) = ErrorCode::of(code) else { return format!("error {code}") };
    let why = match error {
        ErrorCode::NoNode => "there is no such znode",
        ErrorCode::NodeExists => "it is there already",
        ErrorCode::NotEmpty => "it has children",
        ErrorCode::BadVersion => "it has another version by now",
        ErrorCode::NoAuth => "its access list does not let this client do that",
        ErrorCode::NoChildrenForEphemerals => "ephemeral znodes have no children",
        ErrorCode::InvalidAcl => "an access list that the server does not take",
        ErrorCode::BadArguments => "a path, a mode or a time that the server does not take",
        ErrorCode::Unimplemented => "the server does not know such requests, or they are turned off",
        ErrorCode::AuthFailed => "the credentials prove nothing",
        ErrorCode::NotReadOnly => "the server only reads, as it has no quorum",
        ErrorCode::QuotaExceeded => "that would be more than the quota",
        ErrorCode::RuntimeInconsistency => "another operation of the same multi failed",
        _ => return format!("{error:?}"),
    };
    format!("{error:?}: {why}")
}

impl fmt::Display for ZooKeeperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ZooKeeperError::Connect { servers, why } => {
                write!(f, "no ZooKeeper serves at {servers}: {why} (the address is set with --server)")
            }
            ZooKeeperError::Lost { address, what, error } => {
                write!(f, "cannot {what}: {address} gave no answer: {error}; it may have been done")
            }
            ZooKeeperError::Expired { id } => {
                write!(f, "session {id:#x} has expired: its ephemeral znodes are gone")
            }
            ZooKeeperError::Protocol { address, what } => {
                write!(f, "{address} answered with what is not ZooKeeper's protocol: {what}")
            }
            ZooKeeperError::Refused { what, code } => write!(f, "cannot {what}: {}", named(*code)),
        }
    }
}

impl std::error::Error for ZooKeeperError {}
