//! What goes between nodes. With one node nothing ever lies here.
//!
//! [`Outboxes`] gather what groups and handlers say in a turn, by node; [`Links`] know which shards can be reached and over
//! which connection; a [`Queue`] is what waits for one of them. At the end of a turn each link that is free gets one send with
//! all that waits for it (`carry.rs`), and what arrives goes to the groups at once.

mod carry;
mod greeting;
mod joining;
pub(crate) mod known;
mod links;
mod outboxes;
mod queue;
mod roster;
mod wires;

pub use links::{Calling, Links, News};
pub use outboxes::Outboxes;
pub use queue::{Landed, Queue};
pub use roster::Roster;
