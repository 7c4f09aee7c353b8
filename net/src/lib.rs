//! Wire codecs: bytes in, typed requests out. No sockets, no state.

pub mod foreign;
pub mod kafka;
pub mod peer;
pub mod zookeeper;
