//! Why a request is refused.

use std::fmt;

/// What ZooKeeper answers, under its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum TreeError {
    /// An operation of a multi that was not tried, as another before it had failed.
    RuntimeInconsistency = -2,
    /// A kind of znode that is switched off.
    Unimplemented = -6,
    /// A path, a mode or a time that cannot be.
    BadArguments = -8,
    /// No such znode, or no parent for one that is to be made.
    NoNode = -101,
    /// The access list does not let this client do that.
    NoAuth = -102,
    /// The znode has another version.
    BadVersion = -103,
    /// Ephemeral znodes have no children.
    NoChildrenForEphemerals = -108,
    /// There is one already.
    NodeExists = -110,
    /// It has children.
    NotEmpty = -111,
    /// The session is gone.
    SessionExpired = -112,
    /// An access list that is empty or names what is not there.
    InvalidAcl = -114,
    /// Credentials that prove nothing.
    AuthFailed = -115,
    /// Another server serves the session by now.
    SessionMoved = -118,
    /// A session of one server alone has no ephemeral znodes.
    EphemeralOnLocalSession = -120,
    /// There is no such watch.
    NoWatcher = -121,
    /// It would take more than a quota, or the whole tree may take.
    QuotaExceeded = -125,
}

impl TreeError {
    const ALL: [TreeError; 16] = [
        TreeError::RuntimeInconsistency,
        TreeError::Unimplemented,
        TreeError::BadArguments,
        TreeError::NoNode,
        TreeError::NoAuth,
        TreeError::BadVersion,
        TreeError::NoChildrenForEphemerals,
        TreeError::NodeExists,
        TreeError::NotEmpty,
        TreeError::SessionExpired,
        TreeError::InvalidAcl,
        TreeError::AuthFailed,
        TreeError::SessionMoved,
        TreeError::EphemeralOnLocalSession,
        TreeError::NoWatcher,
        TreeError::QuotaExceeded,
    ];

    /// ZooKeeper's number.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The error of that number.
    pub fn from_code(code: i32) -> Option<TreeError> {
        TreeError::ALL.into_iter().find(|error| error.code() == code)
    }
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TreeError::RuntimeInconsistency => "an operation before it failed",
            TreeError::Unimplemented => "this kind of znode is switched off",
            TreeError::BadArguments => "no such path, mode or time can be",
            TreeError::NoNode => "no such znode",
            TreeError::NoAuth => "the access list does not allow it",
            TreeError::BadVersion => "the znode has another version",
            TreeError::NoChildrenForEphemerals => "ephemeral znodes have no children",
            TreeError::NodeExists => "the znode exists",
            TreeError::NotEmpty => "the znode has children",
            TreeError::SessionExpired => "the session has expired",
            TreeError::InvalidAcl => "the access list is not valid",
            TreeError::AuthFailed => "the credentials prove nothing",
            TreeError::SessionMoved => "another server serves the session",
            TreeError::EphemeralOnLocalSession => "a local session has no ephemeral znodes",
            TreeError::NoWatcher => "no such watch",
            TreeError::QuotaExceeded => "the quota is exceeded",
        })
    }
}

impl std::error::Error for TreeError {}
