//! `torc topic`: topics of torc, or of any Kafka cluster, over Kafka's own protocol.

mod change;
mod describe;

use crate::cli::{TopicArgs, TopicCommand};
use std::fmt;
use torc_client::Cluster;
use torc_client::{ClientError, error_name};

/// What Kafka's requests may take on the servers' side, in milliseconds.
const TIMEOUT_MS: i32 = 30_000;

/// Why a command did not do all that it was asked for.
#[derive(Debug)]
pub enum TopicError {
    /// No answer.
    Client(ClientError),
    /// Answers that refuse; what else was asked for is done.
    Refused(Vec<Refusal>),
}

/// One thing that the cluster would not do.
#[derive(Debug)]
pub struct Refusal {
    /// Such as `create topic orders`.
    pub what: String,
    /// Kafka's error code.
    pub code: i16,
    /// The server's own words.
    pub message: Option<String>,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopicError::Client(error) => error.fmt(f),
            TopicError::Refused(refusals) => {
                let lines: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.what, error_name(self.code))?;
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
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
fn unless_refused(refusals: Vec<Refusal>) -> Result<(), TopicError> {
    if refusals.is_empty() { Ok(()) } else { Err(TopicError::Refused(refusals)) }
}

/// Does what the command line asks for.
pub fn run(args: TopicArgs) -> Result<(), Box<dyn std::error::Error>> {
    let mut cluster = Cluster::connect(&args.bootstrap_server)?;
    match &args.command {
        TopicCommand::Create(create) => change::create(&mut cluster, create, args.format)?,
        TopicCommand::List => describe::list(&mut cluster, args.format)?,
        TopicCommand::Describe { names } => describe::describe(&mut cluster, names, args.format)?,
        TopicCommand::Alter(alter) => change::alter(&mut cluster, alter, args.format)?,
        TopicCommand::Delete { names } => change::delete(&mut cluster, names, args.format)?,
    }
    Ok(())
}
