//! What is said of bytes that another server sent and that make no sense.

use std::fmt;

/// Bytes that are not what they should be, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What they should have been.
    pub what: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is malformed", self.what)
    }
}

impl std::error::Error for Malformed {}
