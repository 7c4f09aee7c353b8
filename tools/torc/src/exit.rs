//! What torc ends with: 0 if it did what it was asked for, and these.

use std::error::Error;
use std::fmt;
use torc_server::config::ConfigError;

/// It could not, or it found what it was to look for: a configuration that does not start, a promise that is broken.
pub const FAILED: u8 = 1;
/// The command line is wrong; nothing was done. clap uses the same.
pub const USAGE: u8 = 2;
/// Something on disk that had been durable is damaged.
pub const DAMAGED: u8 = 3;

/// What is wrong with the command line, where clap cannot know it.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Usage {}

/// The exit code of a command that failed with `error`.
pub fn code(error: &(dyn Error + 'static)) -> u8 {
    let usage = error.is::<Usage>() || error.downcast_ref::<ConfigError>().is_some_and(ConfigError::is_of_command_line);
    if usage { USAGE } else { FAILED }
}
