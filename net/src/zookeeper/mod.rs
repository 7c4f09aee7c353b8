//! ZooKeeper's client protocol: frames of jute records, as ZooKeeper 3.4 to 3.9 speak it. Requests borrow from their frame.
//! Source: `zookeeper.jute` and the programmer's guide of Apache ZooKeeper 3.9.

mod answer;
mod ask;
mod connect;
mod error;
mod jute;
mod reply;
mod request;

pub use answer::{Answer, Came, OwnedAcl, Told};
pub use ask::{Ask, Change, New};
pub use connect::{Connect, Connected, PASSWORD_BYTES, Session};
pub use error::ErrorCode;
pub use jute::{Acl, Acls, Place, Strings};
pub use reply::{Event, EventKind, EventState, Outcome, Reply, Stat, event, failure, put_name, put_stat};
pub use request::{AddMode, Create, Head, Kind, Looking, Op, Ops, Request, Undecodable, WatcherType, decode};

/// Request ids that are not counted by clients.
pub mod xid {
    /// Of watch events.
    pub const EVENT: i32 = -1;
    /// Of pings.
    pub const PING: i32 = -2;
    /// Of credentials.
    pub const AUTH: i32 = -4;
    /// Of watches that are set again after a reconnect.
    pub const SET_WATCHES: i32 = -8;
}
