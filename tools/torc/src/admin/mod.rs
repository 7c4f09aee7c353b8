//! What commands that look after a cluster have in common: how they fail, which names they mean, whether a change is meant.

pub mod consent;
pub mod pattern;

#[cfg(test)]
mod admin_tests;

use crate::exit::Usage;
use kafka_protocol::protocol::StrBytes;
use std::error::Error;
use std::fmt;
use torc_client::{AskError, ClientError, Ended, Refusal};

/// What stands under a result that was only tried.
pub const DRY_RUN: &str = "nothing is changed: this is a dry run";

/// Why a command did not do all that it was asked for.
#[derive(Debug)]
pub enum AdminError {
    /// No answer.
    Client(ClientError),
    /// It did not pass while it was tried again.
    Ended(Ended),
    /// Answers that refuse; what else was asked for is done.
    Refused(Vec<Refusal>),
    /// What was asked for makes no sense; nothing was done.
    Usage(Usage),
    /// A file that was named says nothing that can be done.
    Input(String),
    /// Somebody was asked, and said no: what was therefore not done.
    NotMeant(&'static str),
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminError::Client(error) => error.fmt(f),
            AdminError::Ended(ended) => ended.fmt(f),
            AdminError::Refused(refusals) => {
                let lines: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
            AdminError::Usage(error) => error.fmt(f),
            AdminError::Input(why) => f.write_str(why),
            AdminError::NotMeant(nothing) => f.write_str(nothing),
        }
    }
}

impl std::error::Error for AdminError {}

impl From<ClientError> for AdminError {
    fn from(error: ClientError) -> AdminError {
        AdminError::Client(error)
    }
}

/// `Ok` if nothing was refused.
pub fn refusals_of(refusals: Vec<Refusal>) -> Result<(), AdminError> {
    if refusals.is_empty() { Ok(()) } else { Err(AdminError::Refused(refusals)) }
}

impl From<AskError> for AdminError {
    fn from(error: AskError) -> AdminError {
        match error {
            AskError::Client(error) => AdminError::Client(error),
            AskError::Ended(ended) => AdminError::Ended(ended),
        }
    }
}

/// [`DRY_RUN`] if it was one.
pub fn note(dry_run: bool) -> String {
    if dry_run { format!("{DRY_RUN}\n") } else { String::new() }
}

/// As main takes it: what is wrong with the command line has an exit code of its own.
pub fn boxed(error: AdminError) -> Box<dyn Error> {
    match error {
        AdminError::Usage(usage) => usage.into(),
        other => other.into(),
    }
}

/// Notes a refusal; false if `code` is none.
pub fn refuse(refusals: &mut Vec<Refusal>, what: String, code: i16, message: &Option<StrBytes>) -> bool {
    if code != 0 {
        let message = message.as_ref().map(|m| m.to_string()).filter(|m| !m.is_empty());
        refusals.push(Refusal { what, code, message, record: None });
    }
    code != 0
}
