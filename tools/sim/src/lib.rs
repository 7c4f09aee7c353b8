//! The simulator: production shards over simulated sectors and packets.

pub mod disk;
pub mod faults;
pub mod net;
pub mod tear;
pub mod trail;
pub mod violation;
pub mod world;
