//! What servers of one cluster say to each other, over one connection for each pair of shards that have groups in common.
//!
//! A frame is, after its length (4 bytes, big endian, as in Kafka's protocol, without themselves):
//!
//! ```text
//! crc32c (4) of all up to the payloads | kind (1) | 0 (3) | bytes of the head (4) | head | payloads
//! ```
//!
//! Numbers are little endian. Payloads are entries' bytes as they lie in the log: they leave from the buffers that they came
//! in, and are written from those that they land in. Each has its own checksums in the head, one of which is the body's that
//! the log keeps anyway: a receiver runs over the bytes once.
//!
//! The first frame of a connection is a [`Hello`], answered by a [`Welcome`] or a [`Refusal`], after which it is closed; or it
//! is one about the founding of the cluster ([`form`]), answered by another.

mod frame;
mod hello;
mod joining;
mod reader;
mod small;

pub use frame::{Entries, EntryHead, Frame, GroupMessages, GroupsWriter, Said, decode};
pub use hello::{Hello, Reason, Refusal, VERSIONS, Welcome};
pub use joining::{Caller, Known, Question, Reply};
pub use small::{MailWriter, Mails, UNTAKEN_MAX, Untaken, beat, form, untaken};

/// Bytes between a frame's length and its head.
pub const PRELUDE: usize = 12;

/// Kinds of frames.
mod kind {
    pub const HELLO: u8 = 1;
    pub const WELCOME: u8 = 2;
    pub const REFUSAL: u8 = 3;
    pub const GROUPS: u8 = 4;
    pub const BEAT: u8 = 5;
    pub const UNTAKEN: u8 = 6;
    pub const MAIL: u8 = 7;
    pub const FORM: u8 = 8;
}

#[cfg(test)]
mod frame_tests;
#[cfg(test)]
mod hello_tests;
#[cfg(test)]
mod joining_tests;
#[cfg(test)]
mod small_tests;
