//! Error codes, as `KeeperException` numbers them.

/// What a request is refused with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum ErrorCode {
    /// An operation of a multi that was not tried, as another of it had failed.
    RuntimeInconsistency = -2,
    /// What stands in the request cannot be read.
    MarshallingError = -5,
    /// An operation that this server does not know.
    Unimplemented = -6,
    /// A path, a mode or a time that cannot be.
    BadArguments = -8,
    /// No such znode.
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
    /// A write, to a server that only reads.
    NotReadOnly = -119,
    /// A session of one server alone has no ephemeral znodes.
    EphemeralOnLocalSession = -120,
    /// There is no such watch.
    NoWatcher = -121,
    /// Nothing was decided in time.
    RequestTimeout = -122,
    /// Members are not changed by clients here.
    ReconfigDisabled = -123,
    /// It would take more than the quota.
    QuotaExceeded = -125,
    /// More is asked than is served at once.
    ThrottledOp = -127,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [ErrorCode; 21] = [
        ErrorCode::RuntimeInconsistency,
        ErrorCode::MarshallingError,
        ErrorCode::Unimplemented,
        ErrorCode::BadArguments,
        ErrorCode::NoNode,
        ErrorCode::NoAuth,
        ErrorCode::BadVersion,
        ErrorCode::NoChildrenForEphemerals,
        ErrorCode::NodeExists,
        ErrorCode::NotEmpty,
        ErrorCode::SessionExpired,
        ErrorCode::InvalidAcl,
        ErrorCode::AuthFailed,
        ErrorCode::SessionMoved,
        ErrorCode::NotReadOnly,
        ErrorCode::EphemeralOnLocalSession,
        ErrorCode::NoWatcher,
        ErrorCode::RequestTimeout,
        ErrorCode::ReconfigDisabled,
        ErrorCode::QuotaExceeded,
        ErrorCode::ThrottledOp,
    ];

    /// The one with this number; `None`: one that no request of torc's is refused with.
    pub fn of(code: i32) -> Option<ErrorCode> {
        ErrorCode::ALL.into_iter().find(|error| *error as i32 == code)
    }
}
