//! `torc topic`: topics of torc, or of any Kafka cluster, over Kafka's own protocol.

mod change;
mod delete;
mod describe;
mod pattern;
mod sizes;

#[cfg(test)]
mod topic_tests;

use crate::cli::{TopicArgs, TopicCommand};
use crate::exit::Usage;
use std::fmt;
use torc_client::{ClientError, Cluster, Refusal};

/// What Kafka's requests may take on the servers' side, in milliseconds.
const TIMEOUT_MS: i32 = 30_000;

/// Why a command did not do all that it was asked for.
#[derive(Debug)]
pub enum TopicError {
    /// No answer.
    Client(ClientError),
    /// Answers that refuse; what else was asked for is done.
    Refused(Vec<Refusal>),
    /// What was asked for makes no sense; nothing was done.
    Usage(Usage),
    /// Somebody was asked, and said no.
    NotMeant,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopicError::Client(error) => error.fmt(f),
            TopicError::Refused(refusals) => {
                let lines: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
            TopicError::Usage(error) => error.fmt(f),
            TopicError::NotMeant => f.write_str("nothing was deleted"),
        }
    }
}

impl std::error::Error for TopicError {}

impl From<ClientError> for TopicError {
    fn from(error: ClientError) -> TopicError {
        TopicError::Client(error)
    }
}

/// `Ok` if nothing was refused.
fn refusals_of(refusals: Vec<Refusal>) -> Result<(), TopicError> {
    if refusals.is_empty() { Ok(()) } else { Err(TopicError::Refused(refusals)) }
}

/// Does what the command line asks for.
pub fn run(args: TopicArgs) -> Result<(), Box<dyn std::error::Error>> {
    if let TopicCommand::Delete(delete) = &args.command {
        delete::check(delete)?;
    }
    let mut cluster = Cluster::connect(&args.bootstrap_server)?;
    let done = match &args.command {
        TopicCommand::Create(create) => change::create(&mut cluster, create, args.format),
        TopicCommand::List { names } => describe::list(&mut cluster, names, args.format),
        TopicCommand::Describe { names } => describe::describe(&mut cluster, names, args.format),
        TopicCommand::Alter(alter) => change::alter(&mut cluster, alter, args.format),
        TopicCommand::Delete(delete) => delete::delete(&mut cluster, delete, args.format),
    };
    done.map_err(|error| match error {
        TopicError::Usage(usage) => usage.into(),
        other => other.into(),
    })
}
